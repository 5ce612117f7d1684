"""Order statistics, and reductions that leave nan out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from canter import lax
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from . import ufunc_bodies as bodies
from .creation import place
from .indexing import take_along_axis
from .reductions import _extremum, _mean, _restore_axes, _sum, _variance
from .util import (
    broadcast_to,
    canonical_axes,
    check_arraylike,
    convert,
    dtype_of,
    dtype_rank,
    hashable_axis,
    is_inexact,
    promote_dtypes_inexact,
    refuse_out,
    shape_of,
)

__all__ = [
    "median",
    "nanmax",
    "nanmean",
    "nanmedian",
    "nanmin",
    "nanpercentile",
    "nanprod",
    "nanquantile",
    "nanstd",
    "nansum",
    "nanvar",
    "percentile",
    "quantile",
]

# --- quantiles ----------------------------------------------------------------------------------

_QUANTILE_METHODS = ("linear", "lower", "higher", "midpoint", "nearest", "inverted_cdf")


def _flattened_axes(a: Any, axis: Any) -> tuple[Any, tuple[int, ...]]:
    """a with the reduced axes joined into one, the last."""
    shape = shape_of(a)
    axes = canonical_axes(axis, len(shape))
    kept = tuple(i for i in range(len(shape)) if i not in axes)
    a = lax.transpose(a, (*kept, *axes))
    return lax.reshape(a, (*(shape[i] for i in kept), math.prod(shape[i] for i in axes))), axes


@composite(static_argnames=("axis", "method", "keepdims", "skip_nan"))
def _quantile(a: Any, q: Any, weights: Any, *, axis: Any, method: str, keepdims: bool, skip_nan: bool) -> Any:
    (a,) = promote_dtypes_inexact(a)  # the result's dtype: q has no part in it
    a, q = as_array(a), as_array(q)
    shape, q_shape = shape_of(a), shape_of(q)
    half = dtype_of(a)
    if half.itemsize < 4:
        a = convert(a, np.dtype(np.float32))
    q = convert(q, dtype_of(a))
    if weights is not None:
        weights, _ = _flattened_axes(_spread_weights(weights, shape, axis, dtype_of(a)), axis)
    a, axes = _flattened_axes(a, axis)
    *rest, size = shape_of(a)
    if size == 0:
        raise ValueError(f"quantile of no elements: shape {shape}, axis {axis}.")
    last = len(rest)
    nan = bodies.isnan(a)
    if weights is None:
        a = lax.sort(a, dimension=last)
    else:
        weights = bodies.where(nan, const(weights, 0), weights)
        a, weights = lax.sort((a, weights), dimension=last, num_keys=1)
    if skip_nan:
        count = lax.reduce_sum(convert(lax.bitwise_not(nan), dtype_of(a)), (last,))
    else:
        count = lax.full(tuple(rest), size, dtype_of(a))
    flat_q = lax.clamp(const(q, 0), lax.reshape(q, (math.prod(q_shape),)), const(q, 1))
    full = (*rest, shape_of(flat_q)[0])
    count = lax.broadcast_in_dim(count, full, tuple(range(last)))
    if weights is None:
        where = _between(a, count, lax.broadcast_in_dim(flat_q, full, (last,)), method)
    else:
        where = _weighted(a, weights, flat_q, full)
    broken = lax.eq(count, const(count, 0)) if skip_nan else lax.broadcast_in_dim(
        lax.reduce_or(nan, (last,)), full, tuple(range(last)))  # fmt: skip
    out = lax.select(broken, lax.full_like(where, math.nan), where)
    out = lax.transpose(out, (last, *range(last)))
    if keepdims:
        rest = [1 if i in axes else n for i, n in enumerate(shape)]
    return convert(lax.reshape(out, (*q_shape, *rest)), half)


def _spread_weights(weights: Any, shape: tuple[int, ...], axis: Any, dtype: Any) -> Any:
    """Weights as an array of the data's shape; those of one axis may be one-dimensional."""
    weights = convert(as_array(weights), dtype)
    if shape_of(weights) == shape:
        return weights
    if isinstance(axis, int) and shape_of(weights) == (shape[axis],):
        return lax.broadcast_in_dim(weights, shape, (axis % len(shape),))
    raise ValueError(
        f"quantile: weights should have the shape {shape} of a, or the length of one axis; got "
        f"{shape_of(weights)} with axis={axis}."
    )


def _weighted(a: Any, weights: Any, q: Any, full: tuple[int, ...]) -> Any:
    """The first elements of sorted rows at which the running weight reaches fractions q of the whole."""
    last = len(full) - 1
    running = lax.cumsum(weights, last)
    total = lax.slice_in_dim(running, shape_of(running)[last] - 1, None, 1, last)
    wide = (*shape_of(running), full[-1])
    share = lax.broadcast_in_dim(
        lax.div(running, broadcast_to(total, shape_of(running))), wide, tuple(range(last + 1))
    )
    before = lax.bitwise_or(
        lax.lt(share, lax.broadcast_in_dim(q, wide, (last + 1,))), lax.eq(share, const(share, 0))
    )
    index = lax.reduce_sum(convert(before, np.dtype(np.int32)), (last,))
    return take_along_axis(a, index, -1, mode="clip")


def _between(a: Any, count: Any, q: Any, method: str) -> Any:
    """The elements of sorted rows at fractions q of their counts."""
    one = const(a, 1)
    place_ = lax.mul(q, lax.sub(count, one))
    low, high = lax.floor(place_), lax.ceil(place_)
    if method == "inverted_cdf":
        low = high = lax.max(lax.sub(lax.ceil(lax.mul(q, count)), one), const(a, 0))
    elif method == "nearest":
        low = high = lax.round(place_, lax.RoundingMethod.TO_NEAREST_EVEN)
    elif method == "lower":
        high = low
    elif method == "higher":
        low = high

    def at(index: Any) -> Any:
        return take_along_axis(a, convert(index, np.dtype(np.int32)), -1, mode="clip")

    below = at(low)
    if high is low:
        return below
    above = at(high)
    fraction = const(a, 0.5) if method == "midpoint" else lax.sub(place_, low)
    if method == "midpoint":
        return lax.mul(lax.add(below, above), fraction)
    return lax.add(lax.mul(below, lax.sub(one, fraction)), lax.mul(above, fraction))


_QUANTILE_DOC = """{what} over axes{nan}, as `numpy.{name}`.

Args:
  a: an array.
  q: {q}; an array of them gives leading dimensions.
  axis: an axis or a tuple of axes; None for all.
  out: must be None.
  overwrite_input: must be False.
  method: "linear", "lower", "higher", "midpoint", "nearest" or "inverted_cdf".
  keepdims: whether reduced axes stay, of size 1.
  weights: how much each element counts, for method "inverted_cdf" only; an array of a's shape, or
    one-dimensional for a single axis.

Returns:
  An array of floats; nan where {empty}.

Raises:
  ValueError: an axis is out of bounds, or the method is unknown.
  NotImplementedError: `out` or `overwrite_input` is given, or weights with another method.

Example:
  >>> import canter.numpy as cnp
  >>> cnp.{name}(cnp.array([1.0, 2.0, 4.0]), {example})
  Array(2., dtype=float32)
"""


def _quantile_function(name: str, percent: bool, skip_nan: bool) -> Callable[..., Any]:
    def quantile(
        a: Any,
        q: Any,
        axis: Any = None,
        out: None = None,
        overwrite_input: bool = False,
        method: str = "linear",
        keepdims: bool = False,
        *,
        weights: Any = None,
        out_sharding: Any = None,
    ) -> Any:
        refuse_out(name, out)
        check_arraylike(name, a, q)
        if overwrite_input:
            raise NotImplementedError(f"canter.numpy.{name}: overwrite_input=True is not possible.")
        if weights is not None:
            check_arraylike(name, weights)
            if method != "inverted_cdf":
                raise NotImplementedError(
                    f'canter.numpy.{name}: only method="inverted_cdf" takes weights, got {method!r}.'
                )
        if method not in _QUANTILE_METHODS:
            raise ValueError(f"{name}: method {method!r} is not one of {', '.join(_QUANTILE_METHODS)}.")
        if dtype_rank(dtype_of(a)) == 3:
            raise ValueError(f"{name} is not defined for complex numbers: they have no order.")
        if percent:
            (q,) = promote_dtypes_inexact(q)
            q = lax.div(as_array(q), const(q, 100))
        found = _quantile(
            a, q, weights, axis=hashable_axis(axis), method=method, keepdims=bool(keepdims), skip_nan=skip_nan
        )
        return place(found, None, out_sharding, name)

    quantile.__name__ = quantile.__qualname__ = name
    quantile.__module__ = "canter.numpy"
    quantile.__doc__ = _QUANTILE_DOC.format(
        name=name,
        what="The percentile" if percent else "The quantile",
        nan=", leaving nan out" if skip_nan else "",
        q="which, from 0 to 100" if percent else "which, from 0 to 1",
        empty="all are nan" if skip_nan else "an element is nan",
        example="50" if percent else "0.5",
    )
    return composite(static_argnames=("axis", "overwrite_input", "method", "keepdims"))(quantile)


quantile = _quantile_function("quantile", False, False)
percentile = _quantile_function("percentile", True, False)
nanquantile = _quantile_function("nanquantile", False, True)
nanpercentile = _quantile_function("nanpercentile", True, True)


def _median(name: str, skip_nan: bool) -> Callable[..., Any]:
    def median(
        a: Any, axis: Any = None, out: None = None, overwrite_input: bool = False, keepdims: bool = False
    ) -> Any:
        refuse_out(name, out)
        check_arraylike(name, a)
        if overwrite_input:
            raise NotImplementedError(f"canter.numpy.{name}: overwrite_input=True is not possible.")
        return _quantile(
            a,
            0.5,
            None,
            axis=hashable_axis(axis),
            method="midpoint",
            keepdims=bool(keepdims),
            skip_nan=skip_nan,
        )

    median.__name__ = median.__qualname__ = name
    median.__module__ = "canter.numpy"
    median.__doc__ = f"""The median of elements over axes{", leaving nan out" if skip_nan else ""}, as `numpy.{name}`.

Args:
  a: an array.
  axis: an axis or a tuple of axes; None for all.
  out: must be None.
  overwrite_input: must be False.
  keepdims: whether reduced axes stay, of size 1.

Returns:
  An array of floats.

Raises:
  ValueError: an axis is out of bounds or empty.

Example:
  >>> import canter.numpy as cnp
  >>> cnp.{name}(cnp.array([1.0, 2.0, 4.0]))
  Array(2., dtype=float32)
"""
    return composite(static_argnames=("axis", "overwrite_input", "keepdims"))(median)


median = _median("median", False)
nanmedian = _median("nanmedian", True)

# --- without nan --------------------------------------------------------------------------------


def _without_nan(a: Any, fill: Any) -> Any:
    a = as_array(a)
    if not is_inexact(dtype_of(a)):
        return a
    return bodies.where(bodies.isnan(a), const(a, fill), a)


@composite(static_argnames=("axis", "dtype", "keepdims"))
def _nansum(a: Any, where: Any, initial: Any, *, axis: Any, dtype: Any, keepdims: bool) -> Any:
    return _sum(
        _without_nan(a, 0), where, initial, axis=axis, dtype=dtype, keepdims=keepdims, promote_integers=True
    )


@composite(static_argnames=("axis", "dtype", "keepdims"))
def _nanprod(a: Any, where: Any, initial: Any, *, axis: Any, dtype: Any, keepdims: bool) -> Any:
    from .reductions import _prod

    return _prod(
        _without_nan(a, 1), where, initial, axis=axis, dtype=dtype, keepdims=keepdims, promote_integers=True
    )


@composite(static_argnames=("axis", "dtype", "keepdims"))
def nansum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Any:
    """The sum of elements over axes, nan counting as 0, as `numpy.nansum`.

    Args:
      a, axis, dtype, out, keepdims, initial, where: as in `sum`.

    Returns:
      An array.

    Raises:
      ValueError: an axis is out of bounds or given twice.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.nansum(cnp.array([1.0, cnp.nan]))
      Array(1., dtype=float32)
    """
    refuse_out("nansum", out)
    check_arraylike("nansum", a)
    return _nansum(a, where, initial, axis=hashable_axis(axis), dtype=dtype, keepdims=bool(keepdims))


@composite(static_argnames=("axis", "dtype", "keepdims"))
def nanprod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Any:
    """The product of elements over axes, nan counting as 1, as `numpy.nanprod`.

    Args:
      a, axis, dtype, out, keepdims, initial, where: as in `prod`.

    Returns:
      An array.

    Raises:
      ValueError: an axis is out of bounds or given twice.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.nanprod(cnp.array([2.0, cnp.nan]))
      Array(2., dtype=float32)
    """
    refuse_out("nanprod", out)
    check_arraylike("nanprod", a)
    return _nanprod(a, where, initial, axis=hashable_axis(axis), dtype=dtype, keepdims=bool(keepdims))


@composite(static_argnames=("name", "axis", "keepdims"))
def _nanextremum(a: Any, where: Any, initial: Any, *, name: str, axis: Any, keepdims: bool) -> Any:
    a = as_array(a)
    reduce, combine, bound = (
        (lax.reduce_max, lax.max, -math.inf) if name == "max" else (lax.reduce_min, lax.min, math.inf)
    )
    out = _extremum(name, reduce, combine, _without_nan(a, bound), where, initial, axis, keepdims)
    if initial is None and is_inexact(dtype_of(a)):
        nan = bodies.isnan(a)
        axes = canonical_axes(axis, len(shape_of(a)))
        nothing = lax.reduce_and(nan, axes)
        nothing = _restore_axes(nothing, axes, shape_of(a)) if keepdims else nothing
        out = lax.select(nothing, lax.full_like(out, math.nan), out)
    return out


@composite(static_argnames=("axis", "keepdims"))
def nanmax(
    a: Any, axis: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Any:
    """The greatest element over axes, leaving nan out, as `numpy.nanmax`.

    Args:
      a, axis, out, keepdims, initial, where: as in `max`.

    Returns:
      An array; nan where all are nan.

    Raises:
      ValueError: an axis is out of bounds or empty.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.nanmax(cnp.array([1.0, cnp.nan]))
      Array(1., dtype=float32)
    """
    refuse_out("nanmax", out)
    check_arraylike("nanmax", a)
    return _nanextremum(a, where, initial, name="max", axis=hashable_axis(axis), keepdims=bool(keepdims))


@composite(static_argnames=("axis", "keepdims"))
def nanmin(
    a: Any, axis: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Any:
    """The least element over axes, leaving nan out, as `numpy.nanmin`.

    Args:
      a, axis, out, keepdims, initial, where: as in `min`.

    Returns:
      An array; nan where all are nan.

    Raises:
      ValueError: an axis is out of bounds or empty.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.nanmin(cnp.array([1.0, cnp.nan]))
      Array(1., dtype=float32)
    """
    refuse_out("nanmin", out)
    check_arraylike("nanmin", a)
    return _nanextremum(a, where, initial, name="min", axis=hashable_axis(axis), keepdims=bool(keepdims))


def _valid(a: Any, where: Any) -> Any:
    """Which elements count: those that are not nan."""
    valid = lax.bitwise_not(bodies.isnan(as_array(a)))
    return valid if where is None else bodies.logical_and(*_both(valid, where))


def _both(x: Any, y: Any) -> list[Any]:
    from .util import broadcast_arrays_to_common

    return broadcast_arrays_to_common("where", x, as_array(y))


@composite(static_argnames=("axis", "dtype", "keepdims"))
def _nanmean(a: Any, where: Any, *, axis: Any, dtype: Any, keepdims: bool) -> Any:
    return _mean(a, _valid(a, where), axis=axis, dtype=dtype, keepdims=keepdims)


@composite(static_argnames=("axis", "dtype", "keepdims"))
def nanmean(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False, where: Any = None
) -> Any:
    """The mean of elements over axes, leaving nan out, as `numpy.nanmean`.

    Args:
      a, axis, dtype, out, keepdims, where: as in `mean`.

    Returns:
      An array; nan where all are nan.

    Raises:
      ValueError: an axis is out of bounds or given twice.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.nanmean(cnp.array([1.0, cnp.nan]))
      Array(1., dtype=float32)
    """
    refuse_out("nanmean", out)
    check_arraylike("nanmean", a)
    return _nanmean(a, where, axis=hashable_axis(axis), dtype=dtype, keepdims=bool(keepdims))


@composite(static_argnames=("ddof", "axis", "dtype", "keepdims", "root"))
def _nanvar(
    a: Any, where: Any, mean: Any, *, ddof: Any, axis: Any, dtype: Any, keepdims: bool, root: bool
) -> Any:
    out = _variance(as_array(a), _valid(a, where), mean, ddof, axis, dtype, keepdims)
    return lax.sqrt(out) if root else out


@composite(static_argnames=("axis", "dtype", "ddof", "keepdims"))
def nanvar(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: int = 0,
    keepdims: bool = False,
    where: Any = None,
    mean: Any = None,
) -> Any:
    """The variance of elements over axes, leaving nan out, as `numpy.nanvar`.

    Args:
      a, axis, dtype, out, ddof, keepdims, where, mean: as in `var`.

    Returns:
      An array of real numbers.

    Raises:
      ValueError: an axis is out of bounds or given twice.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.nanvar(cnp.array([1.0, cnp.nan, 3.0]))
      Array(1., dtype=float32)
    """
    refuse_out("nanvar", out)
    check_arraylike("nanvar", a)
    return _nanvar(
        a, where, mean, ddof=ddof, axis=hashable_axis(axis), dtype=dtype, keepdims=bool(keepdims), root=False
    )


@composite(static_argnames=("axis", "dtype", "ddof", "keepdims"))
def nanstd(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: int = 0,
    keepdims: bool = False,
    where: Any = None,
    mean: Any = None,
) -> Any:
    """The standard deviation of elements over axes, leaving nan out, as `numpy.nanstd`.

    Args:
      a, axis, dtype, out, ddof, keepdims, where, mean: as in `std`.

    Returns:
      An array of real numbers.

    Raises:
      ValueError: an axis is out of bounds or given twice.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.nanstd(cnp.array([1.0, cnp.nan, 3.0]))
      Array(1., dtype=float32)
    """
    refuse_out("nanstd", out)
    check_arraylike("nanstd", a)
    return _nanvar(
        a, where, mean, ddof=ddof, axis=hashable_axis(axis), dtype=dtype, keepdims=bool(keepdims), root=True
    )
