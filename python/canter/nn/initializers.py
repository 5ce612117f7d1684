"""Initial weights: functions of a key, a shape and a dtype.

Each function of this module makes such an initializer, except `zeros` and `ones`, which are some.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from canter import lax, numpy as cnp, random
from canter.core import dtypes
from canter.lax.common import const, laid_out
from canter.numpy.creation import default_dtype
from canter.numpy.util import convert
from canter.random import bodies
from canter.random.arguments import STATIC, prepare, sample_shape
from canter.runtime.composite import composite

__all__ = [
    "Initializer", "constant", "delta_orthogonal", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform",
    "kaiming_normal", "kaiming_uniform", "lecun_normal", "lecun_uniform", "normal", "ones", "orthogonal",
    "truncated_normal", "uniform", "variance_scaling", "xavier_normal", "xavier_uniform", "zeros",
]  # fmt: skip

Axes = int | Sequence[int]

#: The standard deviation of the normal distribution cut to (-2, 2).
_CUT_DEVIATION = 0.87962566103423978


class Initializer(Protocol):
    """A function that makes initial weights."""

    def __call__(self, key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> Any:
        """Weights of a shape and dtype, from a random key."""


def _made(draw: Callable[[Any, tuple[int, ...], Any], Any], name: str, default: Any) -> Initializer:
    """An initializer that checks its arguments and calls `draw(raw key, shape, dtype)`."""

    def init(key: Any, shape: Any, dtype: Any = default, out_sharding: Any = None) -> Any:
        raw, chosen = prepare(f"nn.initializers.{name}", key, dtype, "float or complex", None)
        weights = draw(raw, sample_shape(f"nn.initializers.{name}", shape), chosen)
        return weights if out_sharding is None else laid_out(lambda: weights, out_sharding, "initializers")

    init.__doc__ = f"Weights of a shape and dtype, from a random key, by `initializers.{name}`."
    return init


@composite(static_argnames=("body", *STATIC))
def _scaled(
    words: Any, factor: Any, bounds: tuple[Any, ...], *, body: Any, impl: Any, shape: Any, dtype: Any
) -> Any:
    return body(words, *bounds, impl=impl, shape=shape, dtype=dtype) * convert(factor, dtype)


def _draw(body: Any, raw: Any, factor: Any, shape: Any, dtype: Any, *bounds: Any) -> Any:
    factor = np.asarray(factor, dtype)[()] if isinstance(factor, (int, float)) else factor
    return _scaled(raw.words, factor, bounds, body=body, impl=raw.impl, shape=shape, dtype=dtype)


# --- constants ------------------------------------------------------------------------------------


def zeros(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> Any:
    """Weights that are 0.

    Args:
      key: a random key; not used.
      shape: of the weights.
      dtype: of the weights.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      TypeError, ValueError: the shape is not valid.

    Example:
      >>> import canter as ct
      >>> print(ct.nn.initializers.zeros(ct.random.key(0), (2,)))
      [0. 0.]
    """
    return cnp.zeros(shape, default_dtype(float) if dtype is None else dtype, out_sharding=out_sharding)


def ones(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> Any:
    """Weights that are 1.

    Args, raised errors: as for `zeros`.

    Example:
      >>> import canter as ct
      >>> print(ct.nn.initializers.ones(ct.random.key(0), (2,)))
      [1. 1.]
    """
    return cnp.ones(shape, default_dtype(float) if dtype is None else dtype, out_sharding=out_sharding)


def constant(value: Any, dtype: Any = None) -> Initializer:
    """An initializer of weights that have a given value.

    Args:
      value: a number, or an array that broadcasts to the shape of the weights.
      dtype: the default dtype of the weights.

    Example:
      >>> import canter as ct
      >>> print(ct.nn.initializers.constant(3)(ct.random.key(0), (2,)))
      [3. 3.]
    """

    def init(key: Any, shape: Any, dtype: Any = dtype, out_sharding: Any = None) -> Any:
        return cnp.full(
            shape, value, default_dtype(float) if dtype is None else dtype, out_sharding=out_sharding
        )

    return init


# --- distributions of a given size ----------------------------------------------------------------


def uniform(scale: Any = 1e-2, dtype: Any = None) -> Initializer:
    """An initializer of weights uniformly distributed in [0, scale).

    Args:
      scale: the upper bound.
      dtype: the default dtype of the weights, a float or complex one.

    Example:
      >>> import canter as ct
      >>> ct.nn.initializers.uniform()(ct.random.key(0), (2, 3)).shape
      (2, 3)
    """

    def draw(raw: Any, shape: Any, dtype: Any) -> Any:
        if dtypes.issubdtype(dtype, np.complexfloating):
            raise ValueError(f"dtype argument to `uniform` must be a float dtype, got {dtype}.")
        return _draw(bodies.uniform_body, raw, scale, shape, dtype, 0.0, 1.0)

    return _made(draw, "uniform", dtype)


def normal(stddev: Any = 1e-2, dtype: Any = None) -> Initializer:
    """An initializer of normally distributed weights.

    Args:
      stddev: the standard deviation.
      dtype: the default dtype of the weights, a float or complex one.

    Example:
      >>> import canter as ct
      >>> ct.nn.initializers.normal(1.0)(ct.random.key(0), (2, 3)).shape
      (2, 3)
    """
    return _made(
        lambda raw, shape, dtype: _draw(bodies.normal_body, raw, stddev, shape, dtype), "normal", dtype
    )


def truncated_normal(
    stddev: Any = 1e-2, dtype: Any = None, lower: Any = -2.0, upper: Any = 2.0
) -> Initializer:
    """An initializer of normally distributed weights, cut off at multiples of `stddev`.

    Args:
      stddev: the standard deviation before the cut.
      dtype: the default dtype of the weights, a float one.
      lower: the lower bound, in units of `stddev`.
      upper: the upper bound, likewise.

    Example:
      >>> import canter as ct
      >>> ct.nn.initializers.truncated_normal()(ct.random.key(0), (2, 3)).shape
      (2, 3)
    """

    def draw(raw: Any, shape: Any, dtype: Any) -> Any:
        if dtypes.issubdtype(dtype, np.complexfloating):
            raise ValueError(f"dtype argument to `truncated_normal` must be a float dtype, got {dtype}.")
        return _draw(bodies.truncated_normal_body, raw, stddev, shape, dtype, lower, upper)

    return _made(draw, "truncated_normal", dtype)


# --- variance scaling -----------------------------------------------------------------------------


def _fans(shape: tuple[int, ...], in_axis: Axes, out_axis: Axes, batch_axis: Axes) -> tuple[float, float]:
    """How many inputs an output has, and how many outputs an input."""
    if len(shape) <= 1 and in_axis == -2:
        raise ValueError(
            f"Can't compute input and output sizes of a {len(shape)}-dimensional weights tensor with default in_axis. "
            "Must be at least 2D or specify in_axis explicitly."
        )

    def size(axes: Axes) -> int:
        return math.prod(shape[a] for a in ((axes,) if isinstance(axes, int) else axes))

    try:
        inputs, outputs, batch = size(in_axis), size(out_axis), size(batch_axis)
    except IndexError:
        raise ValueError(
            f"in_axis={in_axis}, out_axis={out_axis} and batch_axis={batch_axis} must be dimensions of the weights, "
            f"whose shape is {shape}."
        ) from None
    # What is neither input, output nor batch is the window that a convolution slides over.
    window = math.prod(shape) / max(inputs * outputs * batch, 1)
    return inputs * window, outputs * window


_MEANS: dict[str, Callable[[float, float], float]] = {
    "fan_in": lambda fan_in, fan_out: fan_in,
    "fan_out": lambda fan_in, fan_out: fan_out,
    "fan_avg": lambda fan_in, fan_out: (fan_in + fan_out) / 2,
    "fan_geo_avg": lambda fan_in, fan_out: math.sqrt(fan_in * fan_out),
}


@composite(static_argnames=("cut", *STATIC))
def _complex_disc(words: Any, *, cut: float, impl: Any, shape: Any, dtype: Any) -> Any:
    """Complex numbers of variance 1 before the cut, normally distributed in a disc of radius `cut`; with
    `cut` 0, uniformly in the disc of radius sqrt(2).
    """
    real = np.dtype(f"float{dtype.itemsize * 4}")
    first, second = bodies.halves(words, impl)
    radius = bodies.uniform_body(first, 0.0, 1.0, impl=impl, shape=shape, dtype=real)
    if cut:
        reach = dtype.type(1) - np.exp(dtype.type(-(cut**2)))
        radius = lax.sqrt(-lax.log(dtype.type(1) - reach * convert(radius, dtype)))
    else:
        radius = convert(lax.sqrt(const(radius, 2) * radius), dtype)
    angle = bodies.uniform_body(second, 0.0, 1.0, impl=impl, shape=shape, dtype=real)
    return radius * lax.exp(dtype.type(1j) * (dtype.type(2 * np.pi) * convert(angle, dtype)))


def _disc_body(cut: float) -> Any:
    def body(words: Any, *, impl: Any, shape: Any, dtype: Any) -> Any:
        return _complex_disc(words, cut=cut, impl=impl, shape=shape, dtype=dtype)

    return body


_cut_disc, _even_disc = _disc_body(2.0), _disc_body(0.0)


def _draw_truncated(raw: Any, variance: Any, shape: Any, dtype: Any) -> Any:
    if dtypes.issubdtype(dtype, np.complexfloating):
        # The deviation of the complex normal distribution cut to the disc of radius 2.
        return _draw(_cut_disc, raw, np.sqrt(variance) / dtype.type(0.95311164380491208), shape, dtype)
    deviation = np.sqrt(variance) / np.asarray(_CUT_DEVIATION, dtype)
    return _draw(bodies.truncated_normal_body, raw, deviation, shape, dtype, -2.0, 2.0)


def _draw_uniform(raw: Any, variance: Any, shape: Any, dtype: Any) -> Any:
    if dtypes.issubdtype(dtype, np.complexfloating):
        return _draw(_even_disc, raw, np.sqrt(variance), shape, dtype)
    return _draw(bodies.uniform_body, raw, np.sqrt(np.asarray(3, dtype) * variance), shape, dtype, -1.0, 1.0)


_DISTRIBUTIONS: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "normal": lambda raw, variance, shape, dtype: _draw(
        bodies.normal_body, raw, np.sqrt(variance), shape, dtype
    ),
    "truncated_normal": _draw_truncated,
    "uniform": _draw_uniform,
}


def variance_scaling(
    scale: Any,
    mode: str,
    distribution: str,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    dtype: Any = None,
) -> Initializer:
    """An initializer whose weights have the variance scale / n, where n is a number of connections.

    Args:
      scale: a positive number.
      mode: what n is: "fan_in", the inputs of an output; "fan_out", the outputs of an input; their
        mean "fan_avg", or their geometric mean "fan_geo_avg".
      distribution: "normal", "truncated_normal" (at two standard deviations) or "uniform".
      in_axis: the dimension of the weights that numbers inputs, or several.
      out_axis: the dimension that numbers outputs, or several.
      batch_axis: dimensions that number independent weights. Those left over are a window.
      dtype: the default dtype of the weights, a float or complex one.

    Raises:
      ValueError: the mode or the distribution is unknown.

    Source: He et al., "Delving deep into rectifiers", ICCV 2015.

    Example:
      >>> import canter as ct
      >>> init = ct.nn.initializers.variance_scaling(1.0, "fan_avg", "uniform")
      >>> init(ct.random.key(0), (3, 4)).shape
      (3, 4)
    """
    if mode not in _MEANS:
        raise ValueError(
            f"invalid mode for variance scaling initializer: {mode!r}; expected one of {list(_MEANS)}."
        )
    if distribution not in _DISTRIBUTIONS:
        raise ValueError(
            f"invalid distribution for variance scaling initializer: {distribution!r}; expected one of "
            f"{list(_DISTRIBUTIONS)}."
        )

    def draw(raw: Any, shape: Any, dtype: Any) -> Any:
        connections = _MEANS[mode](*_fans(shape, in_axis, out_axis, batch_axis))
        variance = np.asarray(scale / max(connections, np.finfo(np.float32).tiny), dtype)
        return _DISTRIBUTIONS[distribution](raw, variance, shape, dtype)

    return _made(draw, "variance_scaling", dtype)


def _scaling(
    name: str, scale: float, mode: str, distribution: str, who: str, example: str
) -> Callable[..., Initializer]:
    def make(
        in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None
    ) -> Initializer:
        return variance_scaling(scale, mode, distribution, in_axis, out_axis, batch_axis, dtype)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"""{who}: variance {scale:g} / {mode}, {distribution.replace("_", " ")} distribution.

    Args:
      in_axis: the dimension of the weights that numbers inputs, or several.
      out_axis: the dimension that numbers outputs, or several.
      batch_axis: dimensions that number independent weights. Those left over are a window.
      dtype: the default dtype of the weights, a float or complex one.

    Source: {example}.

    Example:
      >>> import canter as ct
      >>> ct.nn.initializers.{name}()(ct.random.key(0), (3, 4)).shape
      (3, 4)
    """
    return make


_GLOROT = 'Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010'
_LECUN = 'LeCun et al., "Efficient backprop", 1998'
_HE = 'He et al., "Delving deep into rectifiers", ICCV 2015'

glorot_uniform = _scaling(
    "glorot_uniform", 1.0, "fan_avg", "uniform", "Glorot's initializer, also called Xavier's", _GLOROT
)
glorot_normal = _scaling(
    "glorot_normal", 1.0, "fan_avg", "truncated_normal", "Glorot's initializer, also called Xavier's", _GLOROT
)
lecun_uniform = _scaling("lecun_uniform", 1.0, "fan_in", "uniform", "LeCun's initializer", _LECUN)
lecun_normal = _scaling("lecun_normal", 1.0, "fan_in", "truncated_normal", "LeCun's initializer", _LECUN)
he_uniform = _scaling("he_uniform", 2.0, "fan_in", "uniform", "He's initializer, also called Kaiming's", _HE)
he_normal = _scaling(
    "he_normal", 2.0, "fan_in", "truncated_normal", "He's initializer, also called Kaiming's", _HE
)
xavier_uniform, xavier_normal = glorot_uniform, glorot_normal
kaiming_uniform, kaiming_normal = he_uniform, he_normal


# --- orthogonal -----------------------------------------------------------------------------------


def orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """An initializer of matrices with orthonormal columns, or rows if there are fewer of them.

    Args:
      scale: a factor.
      column_axis: the dimension of the weights that numbers columns; the others together number rows.
      dtype: the default dtype of the weights, a float or complex one.

    Source: Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks", ICLR 2014.

    Example:
      >>> import canter as ct
      >>> ct.nn.initializers.orthogonal()(ct.random.key(0), (3, 4)).shape
      (3, 4)
    """

    def init(key: Any, shape: Any, dtype: Any = dtype, out_sharding: Any = None) -> Any:
        shape = sample_shape("nn.initializers.orthogonal", shape)
        if len(shape) < 2:
            raise ValueError(f"orthogonal initializer requires at least a 2D shape, got {shape}.")
        columns = shape[column_axis]
        rest = tuple(n for i, n in enumerate(shape) if i != column_axis % len(shape))
        matrix = random.orthogonal(key, math.prod(rest), m=columns, dtype=dtype, out_sharding=out_sharding)
        return scale * cnp.moveaxis(cnp.reshape(matrix, (*rest, columns)), -1, column_axis)

    return init


def delta_orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """An initializer of convolutions that are an orthogonal matrix in the middle of the window and 0 around it.

    Args:
      scale: a factor.
      column_axis: the dimension that numbers columns; must be the last.
      dtype: the default dtype of the weights, a float or complex one.

    Raises:
      ValueError: the column axis is another.

    Source: Xiao et al., "Dynamical isometry and a mean field theory of CNNs", ICML 2018.

    Example:
      >>> import canter as ct
      >>> ct.nn.initializers.delta_orthogonal()(ct.random.key(0), (3, 3, 2, 4)).shape
      (3, 3, 2, 4)
    """
    matrices = orthogonal(scale, column_axis, dtype)

    def init(key: Any, shape: Any, dtype: Any = dtype, out_sharding: Any = None) -> Any:
        shape = sample_shape("nn.initializers.delta_orthogonal", shape)
        if len(shape) not in (3, 4, 5):
            raise ValueError(f"Delta orthogonal initializer requires a 3D, 4D or 5D shape, got {shape}.")
        if shape[-1] < shape[-2]:
            raise ValueError(
                f"Delta orthogonal initializer: `fan_in` must be less or equal than `fan_out`, got {shape[-2]} and "
                f"{shape[-1]}."
            )
        matrix = matrices(key, shape[-2:], dtype)
        middle = tuple((n - 1) // 2 for n in shape[:-2])
        weights = cnp.zeros(shape, matrix.dtype).at[middle].set(matrix)
        return weights if out_sharding is None else laid_out(lambda: weights, out_sharding, "initializers")

    return init


def __dir__() -> list[str]:
    return sorted(__all__)
