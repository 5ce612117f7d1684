"""LSTMs against loops in NumPy."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter.experimental import rnn

BATCH, TIME, INPUT, HIDDEN = 3, 6, 3, 4
LENGTHS = np.array([6, 4, 0])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_loop(x, h_0, c_0, parts, layers, directions):
    """Step by step, sequence by sequence, with no padding."""
    h_n, c_n = np.array(h_0), np.array(c_0)
    value = x
    for layer in range(layers):
        out = np.zeros((BATCH, TIME, HIDDEN * directions))
        for direction in range(directions):
            i = layer * directions + direction
            w_ih, w_hh, b_ih, b_hh = (np.asarray(part[i], np.float64) for part in parts)
            for b in range(BATCH):
                h, c = h_0[i, b], c_0[i, b]
                steps = range(LENGTHS[b])
                for t in reversed(steps) if direction else steps:
                    ours = np.split(w_ih @ value[b, t] + b_ih + w_hh @ h + b_hh, 4)
                    c = sigmoid(ours[1]) * c + sigmoid(ours[0]) * np.tanh(ours[2])
                    h = sigmoid(ours[3]) * np.tanh(c)
                    out[b, t, direction * HIDDEN : (direction + 1) * HIDDEN] = h
                h_n[i, b], c_n[i, b] = h, c
        value = out
    return value, h_n, c_n


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_layers_directions_and_lengths(layers, bidirectional):
    directions = 1 + bidirectional
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH, TIME, INPUT)).astype(np.float32)
    h, c = rng.normal(size=(2, layers * directions, BATCH, HIDDEN)).astype(np.float32)
    shape = INPUT, HIDDEN, layers, bidirectional
    weights = rnn.init_lstm_weight(ct.random.key(0), *shape)
    assert weights.shape == (rnn.get_num_params_in_lstm(*shape),)
    assert float(abs(weights).max()) <= HIDDEN**-0.5
    parts = rnn.unpack_lstm_weights(weights, *shape)
    wanted = by_loop(x, h, c, parts, layers, directions)
    lengths = cnp.asarray(LENGTHS)
    for found in (
        ct.jit(lambda w: rnn.lstm(x, h, c, w, lengths, INPUT, HIDDEN, layers, 0.0, bidirectional))(weights),
        rnn.lstm_ref(cnp.asarray(x), h, c, *parts, lengths, INPUT, HIDDEN, layers, 0.0, bidirectional),
    ):
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other, atol=2e-6)


def test_weights_lie_as_in_cudnn():
    parts = rnn.unpack_lstm_weights(cnp.arange(432), 2, 3, 2, True)
    begins = [{i: int(x.ravel()[0]) for i, x in part.items()} for part in parts]  # as JAX has them
    assert begins == [
        {0: 0, 1: 60, 2: 120, 3: 228},
        {0: 24, 1: 84, 2: 192, 3: 300},
        {0: 336, 1: 360, 2: 384, 3: 408},
        {0: 348, 1: 372, 2: 396, 3: 420},
    ]
    swapped = rnn.swap_lstm_gates(cnp.arange(16), 1, 1, 1, False)
    assert swapped.tolist() == [0, 1, 3, 2, 4, 5, 7, 6, 8, 9, 11, 10, 12, 13, 15, 14]


def test_derivative_and_what_is_refused():
    weights = rnn.init_lstm_weight(ct.random.key(1), 2, 2, 1, True)
    x, state = cnp.ones((1, 3, 2)) * 0.3, cnp.zeros((2, 1, 2))

    def loss(weights):
        return rnn.lstm(x, state, state, weights, cnp.array([2]), 2, 2, 1, 0.0, True)[0].sum()

    ct.test_util.check_grads(loss, (weights,), order=1, atol=1e-2, rtol=1e-2)
    with pytest.raises(NotImplementedError, match="dropout"):
        rnn.lstm(x, state, state, weights, cnp.array([2]), 2, 2, 1, 0.5, True)
    with pytest.raises(ValueError, match="vector of 96 weights"):
        rnn.lstm(x, state, state, weights[1:], cnp.array([2]), 2, 2, 1, 0.0, True)
