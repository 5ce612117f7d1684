"""Reductions: sums, products, extrema, means, and their kin that leave nan out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from . import ufunc_bodies as bodies
from .util import (
    broadcast_to,
    canonical_axes,
    check_arraylike,
    convert,
    dtype_of,
    dtype_rank,
    hashable_axis,
    inexact_dtype,
    promote_dtypes_inexact,
    refuse_out,
    shape_of,
)

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "average",
    "count_nonzero",
    "max",
    "mean",
    "min",
    "prod",
    "ptp",
    "std",
    "sum",
    "var",
]

_STATIC = ("axis", "dtype", "keepdims", "promote_integers")


def _restore_axes(x: Any, axes: Sequence[int], shape: Sequence[int]) -> Any:
    """x with the reduced axes put back, of size 1."""
    kept = tuple(i for i in range(len(shape)) if i not in axes)
    return lax.broadcast_in_dim(x, tuple(1 if i in axes else n for i, n in enumerate(shape)), kept)


def _sum_dtype(dtype: Any, promote_integers: bool) -> Any:
    """The dtype in which integers are summed: the default integer, where theirs is narrower."""
    rank = dtype_rank(dtype)
    if rank == 0:
        return dtypes.canonicalize_dtype(int)
    if rank == 1 and promote_integers:
        wide = np.uint64 if dtypes.issubdtype(dtype, np.unsignedinteger) else np.int64
        wide = dtypes.canonicalize_dtype(wide)
        return wide if dtypes.itemsize_bits(dtype) < dtypes.itemsize_bits(wide) else dtype
    return dtype


def _computing_dtype(dtype: Any) -> Any:
    """Half precision is summed in single precision."""
    return np.dtype(np.float32) if dtype_rank(dtype) == 2 and dtype.itemsize < 4 else dtype


def _masked(x: Any, where: Any, fill: Any) -> Any:
    if where is None:
        return x
    check_arraylike("reduction's where", where)
    return bodies.where(bodies.to_bool(as_array(where)), x, const(x, fill))


def _reduced_shape(name: str, a: Any, where: Any) -> Any:
    """a broadcast against its mask."""
    if where is None:
        return a
    shape = lax.broadcast_shapes(shape_of(a), shape_of(where))
    return broadcast_to(a, shape)


def _accumulate(
    name: str,
    reduce: Callable[..., Any],
    combine: Callable[..., Any],
    unit: int,
    a: Any,
    where: Any,
    initial: Any,
    axis: Any,
    dtype: Any,
    keepdims: bool,
    promote_integers: bool,
) -> Any:
    """sum and prod: reductions that widen integers and have a unit."""
    a = as_array(a)
    source = dtype_of(a)
    result = dtypes.canonicalize_dtype(dtype) if dtype is not None else _sum_dtype(source, promote_integers)
    computing = _computing_dtype(result)
    a = _reduced_shape(name, a, where)
    if dtype_rank(result) == 0:
        a = bodies.to_bool(a)
        computing = result
    else:
        a = convert(a, computing)
    shape = shape_of(a)
    axes = canonical_axes(axis, len(shape))
    a = _masked(a, where, unit)
    if dtype_rank(result) == 0:
        out = lax.reduce_or(a, axes) if unit == 0 else lax.reduce_and(a, axes)
    else:
        out = reduce(a, axes)
    if initial is not None:
        out = combine(out, convert(initial, computing))
    if keepdims:
        out = _restore_axes(out, axes, shape)
    return convert(out, result)


@composite(static_argnames=_STATIC)
def _sum(
    a: Any, where: Any, initial: Any, *, axis: Any, dtype: Any, keepdims: bool, promote_integers: bool
) -> Any:
    return _accumulate(
        "sum", lax.reduce_sum, lax.add, 0, a, where, initial, axis, dtype, keepdims, promote_integers
    )


@composite(static_argnames=_STATIC)
def _prod(
    a: Any, where: Any, initial: Any, *, axis: Any, dtype: Any, keepdims: bool, promote_integers: bool
) -> Any:
    return _accumulate(
        "prod", lax.reduce_prod, lax.mul, 1, a, where, initial, axis, dtype, keepdims, promote_integers
    )


@composite(static_argnames=("axis", "dtype", "keepdims", "promote_integers"))
def sum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
    promote_integers: bool = True,
) -> Any:
    """The sum of elements over axes, as `numpy.sum`.

    Args:
      a: an array or number.
      axis: an axis or a tuple of axes; None for all.
      dtype: dtype of the result and of the computation.
      out: must be None.
      keepdims: whether reduced axes stay, of size 1.
      initial: added to the sum.
      where: which elements count; broadcasts with `a`.
      promote_integers: whether narrow integers are summed in the default integer dtype.

    Returns:
      An array.

    Raises:
      ValueError: an axis is out of bounds or given twice.
      NotImplementedError: `out` is given.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.sum(cnp.array([[1.0, 2.0], [3.0, 4.0]]), axis=0)
      Array([4., 6.], dtype=float32)
    """
    refuse_out("sum", out)
    check_arraylike("sum", a)
    return _sum(
        a,
        where,
        initial,
        axis=hashable_axis(axis),
        dtype=dtype,
        keepdims=keepdims,
        promote_integers=promote_integers,
    )


@composite(static_argnames=("axis", "dtype", "keepdims", "promote_integers"))
def prod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
    promote_integers: bool = True,
) -> Any:
    """The product of elements over axes, as `numpy.prod`.

    Args:
      a: an array or number.
      axis: an axis or a tuple of axes; None for all.
      dtype: dtype of the result and of the computation.
      out: must be None.
      keepdims: whether reduced axes stay, of size 1.
      initial: multiplied with the product.
      where: which elements count; broadcasts with `a`.
      promote_integers: whether narrow integers are multiplied in the default integer dtype.

    Returns:
      An array.

    Raises:
      ValueError: an axis is out of bounds or given twice.
      NotImplementedError: `out` is given.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.prod(cnp.array([2.0, 3.0]))
      Array(6., dtype=float32)
    """
    refuse_out("prod", out)
    check_arraylike("prod", a)
    return _prod(
        a,
        where,
        initial,
        axis=hashable_axis(axis),
        dtype=dtype,
        keepdims=keepdims,
        promote_integers=promote_integers,
    )


# --- extrema ------------------------------------------------------------------------------------


def _extremum(
    name: str,
    reduce: Callable[..., Any],
    combine: Callable[..., Any],
    a: Any,
    where: Any,
    initial: Any,
    axis: Any,
    keepdims: bool,
) -> Any:
    a = _reduced_shape(name, as_array(a), where)
    shape = shape_of(a)
    axes = canonical_axes(axis, len(shape))
    if initial is None:
        if where is not None:
            raise ValueError(
                f"reduction operation {name} does not have an identity, so to use a where mask one has to "
                "specify 'initial'."
            )
        if 0 in [shape[i] for i in axes]:
            raise ValueError(
                f"zero-size array to reduction operation {name} which has no identity: shape {shape}, "
                f"axes {axes}. Pass 'initial'."
            )
    else:
        initial = convert(initial, dtype_of(a))
        if where is not None:
            a = bodies.where(bodies.to_bool(as_array(where)), a, initial)
    out = reduce(a, axes)
    if initial is not None:
        out = combine(out, initial)
    return convert(_restore_axes(out, axes, shape) if keepdims else out, dtype_of(a))


@composite(static_argnames=("axis", "keepdims"))
def _max(a: Any, where: Any, initial: Any, *, axis: Any, keepdims: bool) -> Any:
    return _extremum("max", lax.reduce_max, lax.max, a, where, initial, axis, keepdims)


@composite(static_argnames=("axis", "keepdims"))
def _min(a: Any, where: Any, initial: Any, *, axis: Any, keepdims: bool) -> Any:
    return _extremum("min", lax.reduce_min, lax.min, a, where, initial, axis, keepdims)


@composite(static_argnames=("axis", "keepdims"))
def max(
    a: Any, axis: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Any:
    """The greatest element over axes, as `numpy.max`; nan where one is nan.

    Args:
      a: an array or number.
      axis: an axis or a tuple of axes; None for all.
      out: must be None.
      keepdims: whether reduced axes stay, of size 1.
      initial: a lower bound of the result; needed for empty axes and with `where`.
      where: which elements count; broadcasts with `a`.

    Returns:
      An array.

    Raises:
      ValueError: an axis is out of bounds or empty, or `where` is given without `initial`.
      NotImplementedError: `out` is given.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.max(cnp.array([[1, 5], [3, 2]]), axis=1)
      Array([5, 3], dtype=int32)
    """
    refuse_out("max", out)
    check_arraylike("max", a)
    return _max(a, where, initial, axis=hashable_axis(axis), keepdims=keepdims)


@composite(static_argnames=("axis", "keepdims"))
def min(
    a: Any, axis: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Any:
    """The least element over axes, as `numpy.min`; nan where one is nan.

    Args:
      a: an array or number.
      axis: an axis or a tuple of axes; None for all.
      out: must be None.
      keepdims: whether reduced axes stay, of size 1.
      initial: an upper bound of the result; needed for empty axes and with `where`.
      where: which elements count; broadcasts with `a`.

    Returns:
      An array.

    Raises:
      ValueError: an axis is out of bounds or empty, or `where` is given without `initial`.
      NotImplementedError: `out` is given.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.min(cnp.array([[1, 5], [3, 2]]), axis=1)
      Array([1, 2], dtype=int32)
    """
    refuse_out("min", out)
    check_arraylike("min", a)
    return _min(a, where, initial, axis=hashable_axis(axis), keepdims=keepdims)


amax, amin = max, min


@composite(static_argnames=("axis", "keepdims"))
def _ptp(a: Any, *, axis: Any, keepdims: bool) -> Any:
    high = _extremum("max", lax.reduce_max, lax.max, a, None, None, axis, keepdims)
    return lax.sub(high, _extremum("min", lax.reduce_min, lax.min, a, None, None, axis, keepdims))


@composite(static_argnames=("axis", "keepdims"))
def ptp(a: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> Any:
    """The greatest less the least element over axes, as `numpy.ptp`.

    Args:
      a: an array or number.
      axis: an axis or a tuple of axes; None for all.
      out: must be None.
      keepdims: whether reduced axes stay, of size 1.

    Returns:
      An array.

    Raises:
      ValueError: an axis is out of bounds or empty.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.ptp(cnp.array([1, 5, 3]))
      Array(4, dtype=int32)
    """
    refuse_out("ptp", out)
    check_arraylike("ptp", a)
    return _ptp(a, axis=hashable_axis(axis), keepdims=keepdims)


# --- logic --------------------------------------------------------------------------------------


def _truth(reduce: Callable[..., Any], unit: bool, a: Any, where: Any, axis: Any, keepdims: bool) -> Any:
    a = bodies.to_bool(_reduced_shape("all", as_array(a), where))
    axes = canonical_axes(axis, len(shape_of(a)))
    if where is not None:
        a = bodies.where(bodies.to_bool(as_array(where)), a, np.bool_(unit))
    out = reduce(a, axes)
    return _restore_axes(out, axes, shape_of(a)) if keepdims else out


@composite(static_argnames=("axis", "keepdims"))
def _all(a: Any, where: Any, *, axis: Any, keepdims: bool) -> Any:
    return _truth(lax.reduce_and, True, a, where, axis, keepdims)


@composite(static_argnames=("axis", "keepdims"))
def _any(a: Any, where: Any, *, axis: Any, keepdims: bool) -> Any:
    return _truth(lax.reduce_or, False, a, where, axis, keepdims)


@composite(static_argnames=("axis", "keepdims"))
def all(a: Any, axis: Any = None, out: None = None, keepdims: bool = False, *, where: Any = None) -> Any:
    """Whether all elements over axes are non-zero, as `numpy.all`.

    Args:
      a: an array or number.
      axis: an axis or a tuple of axes; None for all.
      out: must be None.
      keepdims: whether reduced axes stay, of size 1.
      where: which elements count; broadcasts with `a`.

    Returns:
      A boolean array.

    Raises:
      ValueError: an axis is out of bounds or given twice.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.all(cnp.array([True, False]))
      Array(False, dtype=bool)
    """
    refuse_out("all", out)
    check_arraylike("all", a)
    return _all(a, where, axis=hashable_axis(axis), keepdims=keepdims)


@composite(static_argnames=("axis", "keepdims"))
def any(a: Any, axis: Any = None, out: None = None, keepdims: bool = False, *, where: Any = None) -> Any:
    """Whether any element over axes is non-zero, as `numpy.any`.

    Args:
      a: an array or number.
      axis: an axis or a tuple of axes; None for all.
      out: must be None.
      keepdims: whether reduced axes stay, of size 1.
      where: which elements count; broadcasts with `a`.

    Returns:
      A boolean array.

    Raises:
      ValueError: an axis is out of bounds or given twice.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.any(cnp.array([True, False]))
      Array(True, dtype=bool)
    """
    refuse_out("any", out)
    check_arraylike("any", a)
    return _any(a, where, axis=hashable_axis(axis), keepdims=keepdims)


@composite(static_argnames=("axis", "keepdims"))
def _count_nonzero(a: Any, *, axis: Any, keepdims: bool) -> Any:
    counted = convert(bodies.to_bool(as_array(a)), dtypes.canonicalize_dtype(int))
    axes = canonical_axes(axis, len(shape_of(a)))
    out = lax.reduce_sum(counted, axes)
    return _restore_axes(out, axes, shape_of(a)) if keepdims else out


@composite(static_argnames=("axis", "keepdims"))
def count_nonzero(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The number of non-zero elements over axes, as `numpy.count_nonzero`.

    Args:
      a: an array or number.
      axis: an axis or a tuple of axes; None for all.
      keepdims: whether reduced axes stay, of size 1.

    Returns:
      An array of integers.

    Raises:
      ValueError: an axis is out of bounds or given twice.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.count_nonzero(cnp.array([0, 1, 2]))
      Array(2, dtype=int32)
    """
    check_arraylike("count_nonzero", a)
    return _count_nonzero(a, axis=hashable_axis(axis), keepdims=keepdims)


# --- moments ------------------------------------------------------------------------------------


def _moment_dtypes(a: Any, dtype: Any) -> tuple[Any, Any]:
    """The dtype of a mean and the one to compute it in."""
    result = inexact_dtype(dtype_of(a)) if dtype is None else dtypes.canonicalize_dtype(dtype)
    return result, _computing_dtype(inexact_dtype(result))


def _element_count(shape: Sequence[int], axes: Sequence[int], where: Any, dtype: Any) -> Any:
    """How many elements a reduction takes: a number, or an array where there is a mask."""
    if where is None:
        return math.prod(shape[i] for i in axes)
    mask = broadcast_to(bodies.to_bool(as_array(where)), tuple(shape))
    return lax.reduce_sum(convert(mask, dtype), tuple(axes))


def _over(total: Any, count: Any) -> Any:
    return lax.div(
        total, const(total, count) if isinstance(count, (int, float)) else convert(count, dtype_of(total))
    )


@composite(static_argnames=("axis", "dtype", "keepdims"))
def _mean(a: Any, where: Any, *, axis: Any, dtype: Any, keepdims: bool) -> Any:
    a = _reduced_shape("mean", as_array(a), where)
    result, computing = _moment_dtypes(a, dtype)
    if result == np.bool_:
        raise TypeError("mean of dtype bool is not supported: pass a numeric dtype.")
    shape = shape_of(a)
    axes = canonical_axes(axis, len(shape))
    total = lax.reduce_sum(_masked(convert(a, computing), where, 0), axes)
    count = _element_count(shape, axes, where, _real_of(computing))
    if keepdims and isinstance(count, int):
        total, keepdims = _restore_axes(total, axes, shape), False
    out = convert(_over(total, count), result)
    if (
        dtype_rank(result) == 1 and where is not None
    ):  # an integer has no nan: all bits are set, as in a division by 0
        out = bodies.where(lax.eq(count, const(count, 0)), np.asarray(-1).astype(result), out)
    return _restore_axes(out, axes, shape) if keepdims else out


def _real_of(dtype: Any) -> Any:
    return np.dtype(f"float{4 * dtype.itemsize}") if dtype_rank(dtype) == 3 else dtype


@composite(static_argnames=("axis", "dtype", "keepdims"))
def mean(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
    *,
    where: Any = None,
) -> Any:
    """The mean of elements over axes, as `numpy.mean`.

    Args:
      a: an array or number.
      axis: an axis or a tuple of axes; None for all.
      dtype: dtype of the result; a float by default.
      out: must be None.
      keepdims: whether reduced axes stay, of size 1.
      where: which elements count; broadcasts with `a`.

    Returns:
      An array; nan where no element counts. Half precision is summed in single precision.

    Raises:
      ValueError: an axis is out of bounds or given twice.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.mean(cnp.array([1.0, 2.0, 6.0]))
      Array(3., dtype=float32)
    """
    refuse_out("mean", out)
    check_arraylike("mean", a)
    return _mean(a, where, axis=hashable_axis(axis), dtype=dtype, keepdims=keepdims)


def _variance(a: Any, where: Any, mean: Any, correction: Any, axis: Any, dtype: Any, keepdims: bool) -> Any:
    a = _reduced_shape("var", as_array(a), where)
    source = inexact_dtype(dtype_of(a))
    result = _real_of(source) if dtype is None else dtypes.canonicalize_dtype(dtype)
    if dtype_rank(result) < 2:
        raise ValueError(f"var and std of dtype {result} are not supported: pass a float dtype.")
    if dtype_rank(source) == 3 and dtype_rank(result) == 2 and dtype is not None:
        raise ValueError(
            f"var and std of {source} in the real dtype {result}: take cnp.real first, or leave dtype out."
        )
    computing = _computing_dtype(source if dtype_rank(source) == 3 else result)
    shape = shape_of(a)
    axes = canonical_axes(axis, len(shape))
    a = convert(a, computing)
    count = _element_count(shape, axes, where, _real_of(computing))
    if mean is None:
        sums = lax.reduce_sum(_masked(a, where, 0), axes)
        # With its dimensions back before the division: a number would leave the memory in which `a` is.
        centre = (
            _over(_restore_axes(sums, axes, shape), count)
            if isinstance(count, int)
            else _restore_axes(_over(sums, count), axes, shape)
        )
    else:
        centre = convert(mean, computing)
    centred = lax.sub(a, broadcast_to(centre, shape))
    squares = (
        lax.real(lax.mul(centred, lax.conj(centred))) if dtype_rank(computing) == 3 else lax.square(centred)
    )
    total = lax.reduce_sum(_masked(squares, where, 0), axes)
    free = (
        count - correction
        if isinstance(count, int) and isinstance(correction, (int, float))
        else lax.sub(convert(count, dtype_of(total)), convert(correction, dtype_of(total)))
    )
    out = _over(total, free)
    if isinstance(free, (int, float)):
        if free <= 0:
            out = lax.full_like(total, math.nan)
    else:
        out = bodies.where(lax.gt(free, const(free, 0)), out, const(out, math.nan))
    if keepdims:
        out = _restore_axes(out, axes, shape)
    return convert(out, result)


@composite(static_argnames=("correction", "axis", "dtype", "keepdims"))
def _var(a: Any, where: Any, mean: Any, *, correction: Any, axis: Any, dtype: Any, keepdims: bool) -> Any:
    return _variance(a, where, mean, correction, axis, dtype, keepdims)


@composite(static_argnames=("correction", "axis", "dtype", "keepdims"))
def _std(a: Any, where: Any, mean: Any, *, correction: Any, axis: Any, dtype: Any, keepdims: bool) -> Any:
    return lax.sqrt(_variance(a, where, mean, correction, axis, dtype, keepdims))


def _correction(ddof: Any, correction: Any) -> Any:
    if correction is None:
        return ddof
    if ddof:
        raise ValueError("ddof and correction can't be provided simultaneously.")
    return correction


@composite(static_argnames=("axis", "dtype", "ddof", "keepdims", "correction"))
def var(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: int = 0,
    keepdims: bool = False,
    *,
    where: Any = None,
    mean: Any = None,
    correction: int | float | None = None,
) -> Any:
    """The variance of elements over axes, as `numpy.var`.

    Args:
      a: an array or number.
      axis: an axis or a tuple of axes; None for all.
      dtype: dtype of the result; a float by default.
      out: must be None.
      ddof: subtracted from the number of elements in the denominator.
      keepdims: whether reduced axes stay, of size 1.
      where: which elements count; broadcasts with `a`.
      mean: the mean, where it is known, with the reduced axes of size 1.
      correction: another name of ddof.

    Returns:
      An array of real numbers; nan where the denominator is not positive.

    Raises:
      ValueError: an axis is out of bounds, the dtype is an integer, or ddof and correction are both given.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.var(cnp.array([1.0, 3.0]))
      Array(1., dtype=float32)
    """
    refuse_out("var", out)
    check_arraylike("var", a)
    correction = _correction(ddof, correction)
    return _var(
        a, where, mean, correction=correction, axis=hashable_axis(axis), dtype=dtype, keepdims=keepdims
    )


@composite(static_argnames=("axis", "dtype", "ddof", "keepdims", "correction"))
def std(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: int = 0,
    keepdims: bool = False,
    *,
    where: Any = None,
    mean: Any = None,
    correction: int | float | None = None,
) -> Any:
    """The standard deviation of elements over axes, as `numpy.std`.

    Args:
      a: an array or number.
      axis: an axis or a tuple of axes; None for all.
      dtype: dtype of the result; a float by default.
      out: must be None.
      ddof: subtracted from the number of elements in the denominator.
      keepdims: whether reduced axes stay, of size 1.
      where: which elements count; broadcasts with `a`.
      mean: the mean, where it is known, with the reduced axes of size 1.
      correction: another name of ddof.

    Returns:
      An array of real numbers; nan where the denominator is not positive.

    Raises:
      ValueError: an axis is out of bounds, the dtype is an integer, or ddof and correction are both given.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.std(cnp.array([1.0, 3.0]))
      Array(1., dtype=float32)
    """
    refuse_out("std", out)
    check_arraylike("std", a)
    correction = _correction(ddof, correction)
    return _std(
        a, where, mean, correction=correction, axis=hashable_axis(axis), dtype=dtype, keepdims=keepdims
    )


@composite(static_argnames=("axis", "keepdims"))
def _average(a: Any, weights: Any, *, axis: Any, keepdims: bool) -> Any:
    check_arraylike("average", a, weights)
    a, weights = promote_dtypes_inexact(a, weights)
    shape = shape_of(a)
    axes = canonical_axes(axis, len(shape))
    if shape_of(weights) != shape:
        if shape_of(weights) != tuple(shape[i] for i in axes):
            raise ValueError(
                f"average: the weights' shape {shape_of(weights)} is neither the array's, {shape}, "
                f"nor that of its axes {axes}."
            )
        order = np.argsort(axes)
        weights = lax.transpose(weights, tuple(int(i) for i in order))
        weights = lax.broadcast_in_dim(weights, shape, tuple(sorted(axes)))
    total = lax.reduce_sum(weights, axes)
    out = lax.div(lax.reduce_sum(lax.mul(a, weights), axes), total)
    if keepdims:
        out, total = (_restore_axes(x, axes, shape) for x in (out, total))
    return out, total


@composite(static_argnames=("axis", "returned", "keepdims"))
def average(
    a: Any, axis: Any = None, weights: Any = None, returned: bool = False, keepdims: bool = False
) -> Any:
    """The weighted mean of elements over axes, as `numpy.average`.

    Args:
      a: an array or number.
      axis: an axis or a tuple of axes; None for all.
      weights: of a's shape, or of the shape of the axes; None for equal weights.
      returned: whether to return the sum of weights too.
      keepdims: whether reduced axes stay, of size 1.

    Returns:
      An array, or the pair (array, sum of weights).

    Raises:
      ValueError: an axis is out of bounds, or the weights' shape does not fit.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.average(cnp.array([1.0, 2.0]), weights=cnp.array([3.0, 1.0]))
      Array(1.25, dtype=float32)
    """
    check_arraylike("average", a)
    axis = hashable_axis(axis)
    if weights is None:
        out = mean(a, axis=axis, keepdims=keepdims)
        if not returned:
            return out
        axes = canonical_axes(axis, len(shape_of(a)))
        total = lax.full_like(out, math.prod(shape_of(a)[i] for i in axes))
        return out, total
    out, total = _average(a, weights, axis=axis, keepdims=keepdims)
    return (out, total) if returned else out
