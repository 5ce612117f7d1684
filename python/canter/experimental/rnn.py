"""Recurrent networks with the parameters that cuDNN has: the layers of an LSTM in one vector of weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.avals import get_aval
from ..lax import dot_general, scan
from ..nn import sigmoid
from ..numpy import arange, concatenate, take_along_axis, tanh, where, zeros_like
from ..random import uniform

__all__ = [
    "get_num_params_in_lstm",
    "init_lstm_weight",
    "lstm",
    "lstm_ref",
    "swap_lstm_gates",
    "unpack_lstm_weights",
]


def _shapes(input_size: int, hidden_size: int, num_layers: int, bidirectional: bool) -> tuple[list[Any], int]:
    """The shapes of what multiplies the input, one for each layer and direction; the number of directions."""
    directions = 2 if bidirectional else 1
    widths = [input_size] + [hidden_size * directions] * (num_layers - 1)
    return [(4 * hidden_size, width) for width in widths for _ in range(directions)], directions


def get_num_params_in_lstm(input_size: int, hidden_size: int, num_layers: int, bidirectional: bool) -> int:
    """How many weights an LSTM has.

    Args:
      input_size: features of the input.
      hidden_size: features of the state.
      num_layers: how many layers.
      bidirectional: whether each layer reads the sequence in both directions.

    Example:
      >>> from canter.experimental import rnn
      >>> rnn.get_num_params_in_lstm(3, 4, 1, False)
      144
    """
    shapes, _ = _shapes(input_size, hidden_size, num_layers, bidirectional)
    return sum(rows * (columns + hidden_size + 2) for rows, columns in shapes)


def init_lstm_weight(
    rng: Any, input_size: int, hidden_size: int, num_layers: int, bidirectional: bool
) -> Any:
    """Random weights, uniform between ±1/√hidden_size.

    Args:
      rng: a random key.
      input_size, hidden_size, num_layers, bidirectional: see `get_num_params_in_lstm`.

    Returns:
      A vector of float32.

    Example:
      >>> import canter as ct
      >>> from canter.experimental import rnn
      >>> rnn.init_lstm_weight(ct.random.key(0), 3, 4, 1, False).shape
      (144,)
    """
    bound = float(1.0 / np.sqrt(hidden_size))
    count = get_num_params_in_lstm(input_size, hidden_size, num_layers, bidirectional)
    return uniform(rng, (count,), dtype=np.float32, minval=-bound, maxval=bound)


def swap_lstm_gates(
    weights: Any, input_size: int, hidden_size: int, num_layers: int, bidirectional: bool
) -> Any:
    """Weights for a library that has an LSTM's last two gates in the other order, or from one.

    Args:
      weights: a vector.
      input_size, hidden_size, num_layers, bidirectional: see `get_num_params_in_lstm`.

    Returns:
      A vector in which the third and the fourth quarter of every matrix and bias have changed places.

    Example:
      >>> import canter.numpy as cnp
      >>> from canter.experimental import rnn
      >>> rnn.swap_lstm_gates(cnp.arange(16), 1, 1, 1, False)
      Array([ 0,  1,  3,  2,  4,  5,  7,  6,  8,  9, 11, 10, 12, 13, 15, 14],      dtype=int32)
    """
    parts = []
    for start, shape in _places(input_size, hidden_size, num_layers, bidirectional):
        rows = weights[start : start + int(np.prod(shape))].reshape(4, -1)
        parts.append(rows[np.array([0, 1, 3, 2])].ravel())
    return concatenate(parts)


def _places(input_size: int, hidden_size: int, num_layers: int, bidirectional: bool) -> list[Any]:
    """Where each matrix and bias begins in the vector: the matrices of all layers, then their biases."""
    shapes, _ = _shapes(input_size, hidden_size, num_layers, bidirectional)
    all_shapes: list[tuple[int, ...]] = []
    for shape in shapes:
        all_shapes += [shape, (4 * hidden_size, hidden_size)]
    all_shapes += [(4 * hidden_size,)] * (2 * len(shapes))
    starts = np.cumsum([0] + [int(np.prod(shape)) for shape in all_shapes])
    return list(zip(starts.tolist(), all_shapes, strict=False))


def unpack_lstm_weights(
    weights: Any, input_size: int, hidden_size: int, num_layers: int, bidirectional: bool
) -> tuple[dict[int, Any], dict[int, Any], dict[int, Any], dict[int, Any]]:
    """The matrices and biases in a vector of weights.

    Args:
      weights: the vector.
      input_size, hidden_size, num_layers, bidirectional: see `get_num_params_in_lstm`.

    Returns:
      W_ih, W_hh, b_ih and b_hh: dicts from a layer's number to what its four gates (input, forget, cell, output)
      have one below the other. With two directions a layer has two numbers, forward first.

    Raises:
      ValueError: a vector of another length.

    Example:
      >>> import canter.numpy as cnp
      >>> from canter.experimental import rnn
      >>> W_ih, W_hh, b_ih, b_hh = rnn.unpack_lstm_weights(cnp.arange(144), 3, 4, 1, False)
      >>> W_ih[0].shape, W_hh[0].shape, b_ih[0].shape
      ((16, 3), (16, 4), (16,))
    """
    count = get_num_params_in_lstm(input_size, hidden_size, num_layers, bidirectional)
    if get_aval(weights).shape != (count,):
        raise ValueError(f"This LSTM has a vector of {count} weights, got shape {get_aval(weights).shape}.")
    places = _places(input_size, hidden_size, num_layers, bidirectional)
    parts = [weights[start : start + int(np.prod(shape))].reshape(shape) for start, shape in places]
    matrices, biases = parts[: len(parts) // 2], parts[len(parts) // 2 :]
    return tuple(dict(enumerate(p[i::2])) for p in (matrices, biases) for i in (0, 1))  # type: ignore[return-value]


def _run(x: Any, h: Any, c: Any, weights: Any, lengths: Any, precision: Any) -> tuple[Any, Any, Any]:
    """One layer in one direction over (time, batch, features); past a sequence's end the state stays as it is."""
    w_ih, w_hh, b_ih, b_hh = weights

    def times(a: Any, w: Any) -> Any:
        return dot_general(a, w, (((a.ndim - 1,), (1,)), ((), ())), precision=precision)

    def step(state: Any, now: Any) -> Any:
        (h, c), (gates, time) = state, now
        parts = (gates + times(h, w_hh) + b_hh).reshape(h.shape[0], 4, -1)
        new_c = sigmoid(parts[:, 1]) * c + sigmoid(parts[:, 0]) * tanh(parts[:, 2])
        new_h = sigmoid(parts[:, 3]) * tanh(new_c)
        inside = (time < lengths)[:, None]
        state = where(inside, new_h, h), where(inside, new_c, c)
        return state, where(inside, new_h, zeros_like(new_h))

    (h, c), y = scan(step, (h, c), (times(x, w_ih) + b_ih, arange(x.shape[0])))
    return y, h, c


def _backwards(x: Any, lengths: Any) -> Any:
    """Each sequence of (time, batch, features) from its own end to its beginning, its padding left in place."""
    time = arange(x.shape[0])[:, None]
    return take_along_axis(x, where(time < lengths, lengths - 1 - time, time)[:, :, None], axis=0)


def lstm_ref(
    x: Any,
    h_0: Any,
    c_0: Any,
    W_ih: dict[int, Any],
    W_hh: dict[int, Any],
    b_ih: dict[int, Any],
    b_hh: dict[int, Any],
    seq_lengths: Any,
    input_size: int,
    hidden_size: int,
    num_layers: int,
    dropout: float,
    bidirectional: bool,
) -> tuple[Any, Any, Any]:
    """An LSTM whose weights are given layer by layer, as `unpack_lstm_weights` gives them; see `lstm`."""
    return _layers(
        x, h_0, c_0, (W_ih, W_hh, b_ih, b_hh), seq_lengths, num_layers, dropout, bidirectional, None
    )


def _layers(
    x: Any,
    h_0: Any,
    c_0: Any,
    weights: Any,
    seq_lengths: Any,
    num_layers: int,
    dropout: float,
    bidirectional: bool,
    precision: Any,
) -> tuple[Any, Any, Any]:
    if dropout:
        raise NotImplementedError(
            f"An LSTM with dropout={dropout} needs a random key, which these parameters have no place for. Use "
            "dropout=0.0, and drop between layers that you call one by one."
        )
    directions = 2 if bidirectional else 1
    value, states = x.swapaxes(0, 1), []
    for layer in range(num_layers):
        outs = []
        for i in range(layer * directions, (layer + 1) * directions):
            own = tuple(part[i] for part in weights)
            turned = i % directions == 1
            given = _backwards(value, seq_lengths) if turned else value
            y, h, c = _run(given, h_0[i], c_0[i], own, seq_lengths, precision)
            outs.append(_backwards(y, seq_lengths) if turned else y)
            states.append((h[None], c[None]))
        value = concatenate(outs, axis=-1)
    h_n, c_n = (concatenate(parts) for parts in zip(*states, strict=True))
    return value.swapaxes(0, 1), h_n, c_n


def lstm(
    x: Any,
    h_0: Any,
    c_0: Any,
    weights: Any,
    seq_lengths: Any,
    input_size: int,
    hidden_size: int,
    num_layers: int,
    dropout: float,
    bidirectional: bool,
    precision: Any = None,
) -> tuple[Any, Any, Any]:
    """An LSTM of several layers, whose weights are those of cuDNN; a loop of Canter's on every platform.

    Args:
      x: (batch, time, input_size).
      h_0: the layers' outputs before the first step, (num_layers × directions, batch, hidden_size).
      c_0: the layers' cells before the first step, of the same shape.
      weights: one vector, see `init_lstm_weight` and `unpack_lstm_weights`.
      seq_lengths: (batch,), integers: the steps of each sequence; what follows them is padding.
      input_size, hidden_size, num_layers, bidirectional: see `get_num_params_in_lstm`.
      dropout: 0.0.
      precision: of the matrix products.

    Returns:
      The last layer's output, (batch, time, hidden_size × directions), zero in the padding; the outputs and the cells
      of all layers after each sequence's last step, of the shape of `h_0`.

    Raises:
      ValueError: a vector of weights of another length.
      NotImplementedError: a dropout other than 0.

    Example:
      >>> import canter as ct, canter.numpy as cnp
      >>> from canter.experimental import rnn
      >>> weights = rnn.init_lstm_weight(ct.random.key(0), 3, 4, 1, False)
      >>> state = cnp.zeros((1, 2, 4))
      >>> y, h, c = rnn.lstm(cnp.ones((2, 5, 3)), state, state, weights, cnp.array([5, 3]), 3, 4, 1, 0.0, False)
      >>> y.shape, h.shape
      ((2, 5, 4), (1, 2, 4))
    """
    parts = unpack_lstm_weights(weights, input_size, hidden_size, num_layers, bidirectional)
    return _layers(x, h_0, c_0, parts, seq_lengths, num_layers, dropout, bidirectional, precision)
