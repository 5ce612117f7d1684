"""Functions of a whole axis: softmax and its logarithms, standardisation, one-hot vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from canter import lax, numpy as cnp
from canter.core import config, dtypes
from canter.core.dimensions import size_of
from canter.core.trace import Tracer
from canter.lax.common import const
from canter.numpy.creation import default_dtype
from canter.numpy.ufunc_bodies import where as select
from canter.numpy.util import (
    broadcast_shape,
    broadcast_to,
    canonical_axes,
    canonical_axis,
    check_arraylike,
    convert,
    dtype_of,
    hashable_axis,
    is_inexact,
    promote_args_inexact,
    shape_of,
    to_inexact,
)
from canter.runtime.composite import composite
from canter.transforms.custom_rules import custom_jvp

__all__ = ["log_softmax", "logmeanexp", "logsumexp", "one_hot", "softmax", "standardize"]

_AXES = ("axis",)


def _mask(name: str, x: Any, where: Any) -> Any:
    """The mask of a reduction, of x's shape; x itself must not broadcast."""
    if where is None:
        return None
    check_arraylike(name, where)
    if dtype_of(where) != np.bool_:
        raise TypeError(f"nn.{name}: where must be an array of booleans, got dtype {dtype_of(where)}.")
    if broadcast_shape(shape_of(x), shape_of(where)) != shape_of(x):
        raise ValueError(
            f"nn.{name}: where of shape {shape_of(where)} does not broadcast to x's {shape_of(x)}."
        )
    return broadcast_to(where, shape_of(x))


def _sum_axes(x: Any, axes: tuple[int, ...]) -> Any:
    """A sum that keeps its axes. Half precision is summed in single precision."""
    dtype = dtype_of(x)
    if is_inexact(dtype) and dtype.itemsize < 4:
        return convert(lax.expand_dims(lax.reduce_sum(convert(x, np.dtype(np.float32)), axes), axes), dtype)
    return lax.expand_dims(lax.reduce_sum(x, axes), axes)


def _exponentials(x: Any, where: Any, axes: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """x less its maximum, the exponentials of that, and their sum along the axes."""
    low = const(x, -np.inf)
    masked = x if where is None else select(where, x, low)
    top = lax.stop_gradient(lax.expand_dims(lax.reduce_max(masked, axes), axes))
    if where is not None:
        # Where all is masked the maximum is -inf, and would make nan of values that nobody asked for.
        top = select(lax.is_finite(top), top, const(x, 0))
    shifted = masked - top
    exponentials = lax.exp(shifted)
    return shifted, exponentials, _sum_axes(exponentials, axes)


def _axes(x: Any, axis: Any) -> tuple[int, ...]:
    return canonical_axes(axis, len(shape_of(x)))


@composite(static_argnames=_AXES)
def _softmax(x: Any, where: Any, *, axis: Any) -> Any:
    x = to_inexact("softmax", x)
    if not all(shape_of(x)):
        return x
    _, exponentials, total = _exponentials(x, _mask("softmax", x, where), _axes(x, axis))
    if where is None:
        return exponentials / total
    return exponentials / select(lax.eq(total, const(x, 0)), const(x, 1), total)


@composite(static_argnames=("axis",))
def softmax(x: Any, axis: Any = -1, where: Any = None) -> Any:
    """exp(x) / sum(exp(x)) along an axis, computed without overflow.

    Args:
      x: array or number.
      axis: one axis, several, or None for all.
      where: a mask that broadcasts to x; what it leaves out has probability 0.

    Raises:
      ValueError: an axis is out of bounds.
      TypeError: `x` is no array of numbers, or `where` none of booleans.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> print(ct.nn.softmax(cnp.array([0.0, 0.0])))
      [0.5 0.5]
    """
    softmax_of = _softmax_by_rule if config.softmax_custom_jvp.value else _softmax
    return softmax_of(x, where, axis=hashable_axis(axis))


def _softmax_by_rule(x: Any, where: Any, *, axis: Any) -> Any:
    """Softmax whose derivative s * (t - sum(s * t)) is written in terms of the result s alone."""
    axes = _axes(x, axis)
    value = custom_jvp(lambda x: _softmax(x, where, axis=axis))

    @value.defjvp
    def rule(primals: Any, tangents: Any) -> tuple[Any, Any]:
        s = value(*primals)
        scaled = s * tangents[0]
        return s, scaled - s * _sum_axes(scaled, axes)

    return value(to_inexact("softmax", x))


@composite(static_argnames=_AXES)
def _log_softmax(x: Any, where: Any, *, axis: Any) -> Any:
    x = to_inexact("log_softmax", x)
    if not all(shape_of(x)):
        return x
    mask = _mask("log_softmax", x, where)
    shifted, _, total = _exponentials(x, mask, _axes(x, axis))
    if mask is None:
        return shifted - lax.log(total)
    total = select(lax.eq(total, const(x, 0)), const(x, 1), total)
    return select(mask, shifted - lax.log(total), const(x, -np.inf))


@composite(static_argnames=("axis",))
def log_softmax(x: Any, axis: Any = -1, where: Any = None) -> Any:
    """The logarithm of softmax, computed without loss where that is small.

    Args:
      x: array or number.
      axis: one axis, several, or None for all.
      where: a mask that broadcasts to x; what it leaves out becomes -inf.

    Raises:
      ValueError: an axis is out of bounds.
      TypeError: `x` is no array of numbers, or `where` none of booleans.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> print(ct.nn.log_softmax(cnp.array([0.0, 1000.0])))
      [-1000.     0.]
    """
    return _log_softmax(x, where, axis=hashable_axis(axis))


def _log_sum(a: Any, b: Any, where: Any, axes: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """The sum of b * exp(a - top) along the axes, which are kept, the logarithm of its size, and top."""
    real = lax.real(a) if dtypes.issubdtype(dtype_of(a), np.complexfloating) else a
    kept = where
    if b is not None:
        # A weight of 0 removes even an infinite exponential.
        real_kept = lax.ne(b, const(b, 0))
        kept = real_kept if kept is None else lax.bitwise_and(kept, real_kept)
    exponents = real if kept is None else select(kept, real, const(real, -np.inf))
    top = (
        lax.expand_dims(lax.reduce_max(exponents, axes), axes)
        if all(shape_of(a)[i] for i in axes)
        else lax.full(tuple(1 if i in axes else n for i, n in enumerate(shape_of(a))), 0, dtype_of(real))
    )
    top = lax.stop_gradient(select(lax.is_finite(top), top, const(real, 0)))
    if kept is not None:
        a = select(kept, a, const(a, 0))
    terms = lax.exp(a - convert(top, dtype_of(a)))
    if b is not None:
        terms = terms * b
    if kept is not None:
        terms = select(kept, terms, const(a, 0))
    total = _sum_axes(terms, axes)
    return total, lax.log(lax.abs(total)) + top, top


@composite(static_argnames=("axis", "keepdims", "return_sign"))
def _logsumexp(a: Any, b: Any, where: Any, *, axis: Any, keepdims: bool, return_sign: bool) -> Any:
    if b is None:
        (a,) = promote_args_inexact("logsumexp", a)
    else:
        a, b = promote_args_inexact("logsumexp", a, b)
        shape = broadcast_shape(shape_of(a), shape_of(b))
        a, b = broadcast_to(a, shape), broadcast_to(b, shape)
    if where is not None:
        a = broadcast_to(a, broadcast_shape(shape_of(a), shape_of(where)))
        b = None if b is None else broadcast_to(b, shape_of(a))
    axes = _axes(a, axis)
    total, size, top = _log_sum(a, b, _mask("logsumexp", a, where), axes)
    is_complex = dtypes.issubdtype(dtype_of(a), np.complexfloating)
    if return_sign:
        results = [size, lax.sign(total)]
    elif is_complex:
        results = [lax.log(total) + convert(top, dtype_of(a))]
    elif b is not None:
        results = [select(lax.lt(total, const(total, 0)), const(size, np.nan), size)]
    else:
        results = [size]
    if not keepdims:
        results = [lax.squeeze(r, axes) for r in results]
    return tuple(results) if return_sign else results[0]


@composite(static_argnames=("axis", "keepdims", "return_sign"))
def logsumexp(
    a: Any,
    axis: Any = None,
    b: Any = None,
    keepdims: bool = False,
    return_sign: bool = False,
    where: Any = None,
) -> Any:
    """log(sum(b * exp(a))) along an axis, computed without overflow, as `scipy.special.logsumexp`.

    Args:
      a: array or number.
      axis: one axis, several, or None for all.
      b: weights of the exponentials, of a shape that broadcasts with a's.
      keepdims: whether the axes stay, with size 1.
      return_sign: whether to return the logarithm of the sum's size, and its sign.
      where: a mask that broadcasts with a; what it leaves out does not count.

    Returns:
      The logarithm; nan where the sum is negative. Or a pair with its sign.

    Raises:
      ValueError: an axis is out of bounds.
      TypeError: an argument is no array of numbers.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> print(ct.nn.logsumexp(cnp.array([1000.0, 1000.0])))
      1000.6932
    """
    return _logsumexp(
        a, b, where, axis=hashable_axis(axis), keepdims=bool(keepdims), return_sign=bool(return_sign)
    )


@composite(static_argnames=("axis", "keepdims"))
def _logmeanexp(x: Any, where: Any, *, axis: Any, keepdims: bool) -> Any:
    x = to_inexact("logmeanexp", x)
    mask = _mask("logmeanexp", x, where)
    _, size, _ = _log_sum(x, None, mask, axes := _axes(x, axis))
    ones = lax.full(shape_of(x), 1, dtype_of(x)) if mask is None else convert(mask, dtype_of(x))
    out = size - lax.log(_sum_axes(ones, axes))
    return out if keepdims else lax.squeeze(out, axes)


def logmeanexp(x: Any, axis: Any = None, where: Any = None, keepdims: bool = False) -> Any:
    """log(mean(exp(x))) along an axis, computed without overflow.

    Args:
      x: array or number.
      axis: one axis, several, or None for all.
      where: a mask that broadcasts to x; what it leaves out does not count.
      keepdims: whether the axes stay, with size 1.

    Raises:
      ValueError: an axis is out of bounds.
      TypeError: `x` is no array of numbers, or `where` none of booleans.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> print(ct.nn.logmeanexp(cnp.array([1000.0, 1000.0])))
      1000.0
    """
    return _logmeanexp(x, where, axis=hashable_axis(axis), keepdims=bool(keepdims))


@composite(static_argnames=("axis", "algorithm"))
def _standardize(
    x: Any, mean: Any, variance: Any, epsilon: Any, where: Any, *, axis: Any, algorithm: str
) -> Any:
    x = to_inexact("standardize", x)
    if mean is None:
        mean = cnp.mean(x, axis, keepdims=True, where=where)
    if variance is None:
        # E[x²] - E[x]² needs one pass over the data, E[(x - E[x])²] two, but cancels less.
        moment = lax.square(x) if algorithm == "fast" else lax.square(x - mean)
        variance = cnp.mean(moment, axis, keepdims=True, where=where)
        if algorithm == "fast":
            variance = cnp.maximum(variance - lax.square(convert(mean, dtype_of(variance))), 0)
    return (x - mean) * lax.rsqrt(cnp.asarray(variance) + epsilon)


@composite(static_argnames=("axis", "algorithm"))
def standardize(
    x: Any,
    axis: Any = -1,
    mean: Any = None,
    variance: Any = None,
    epsilon: Any = 1e-5,
    where: Any = None,
    *,
    algorithm: str = "fast",
) -> Any:
    """x less its mean, divided by its standard deviation, along an axis.

    Args:
      x: array.
      axis: one axis, several, or None for all.
      mean: the mean, if known.
      variance: the variance, if known.
      epsilon: what is added to the variance.
      where: a mask that broadcasts to x; what it leaves out does not count for mean and variance.
      algorithm: "fast" computes the variance from the mean of squares, "stable" from the differences.

    Raises:
      ValueError: the algorithm is unknown, or an axis is out of bounds.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> print(ct.nn.standardize(cnp.array([-1.0, 1.0]), epsilon=0.0))
      [-1.  1.]
    """
    if algorithm not in ("fast", "stable"):
        raise ValueError(f"nn.standardize: unknown algorithm {algorithm!r}; expected 'fast' or 'stable'.")
    return _standardize(x, mean, variance, epsilon, where, axis=hashable_axis(axis), algorithm=algorithm)


@composite(static_argnames=("size", "dtype", "axis"))
def _one_hot(x: Any, *, size: int, dtype: Any, axis: int) -> Any:
    ndim = len(shape_of(x)) + 1
    numbers = lax.broadcasted_iota(dtype_of(x), tuple(size if i == axis else 1 for i in range(ndim)), axis)
    return convert(lax.expand_dims(x, (axis,)) == numbers, dtype)


def one_hot(x: Any, num_classes: int, *, dtype: Any = None, axis: Any = -1) -> Any:
    """Vectors that are 1 at an index and 0 elsewhere. Indices out of bounds give zeros.

    Args:
      x: array of integers.
      num_classes: the length of the vectors.
      dtype: of the result; by default the default float dtype.
      axis: where the vectors lie in the result; or the name of a mapped axis of size `num_classes`
        along which they are spread.

    Raises:
      TypeError: `num_classes` is no concrete integer.
      ValueError: it is negative, the axis is out of bounds, or the mapped axis has another size.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> print(ct.nn.one_hot(cnp.array([1]), 3))
      [[0. 1. 0.]]
    """
    try:
        size = size_of(num_classes)
    except TypeError:
        traced = (
            " A traced value cannot be a shape: mark it static in jit."
            if isinstance(num_classes, Tracer)
            else ""
        )
        raise TypeError(f"nn.one_hot: num_classes must be an integer, got {num_classes!r}.{traced}") from None
    if size < 0:
        raise ValueError(f"nn.one_hot: num_classes must not be negative, got {size}.")
    dtype = default_dtype(float) if dtype is None else dtypes.check_user_dtype_supported(dtype, "nn.one_hot")
    x = cnp.asarray(x)
    if dtype_of(x) == np.bool_ or not (is_inexact(dtype_of(x)) or dtypes.issubdtype(dtype_of(x), np.integer)):
        raise TypeError(f"nn.one_hot: x must be an array of integers, got dtype {dtype_of(x)}.")
    if isinstance(axis, int):
        return _one_hot(x, size=size, dtype=dtype, axis=canonical_axis(axis, len(shape_of(x)) + 1))
    if lax.axis_size(axis) != size:
        raise ValueError(
            f"nn.one_hot: num_classes is {size}, but the axis {axis!r} has size {lax.axis_size(axis)}."
        )
    return convert(x == lax.axis_index(axis), dtype)
