"""Order statistics, reductions that leave nan out, histograms, covariances and differences."""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from . import ufunc_bodies as bodies
from .creation import place
from .indexing import take_along_axis
from .reductions import _extremum, _mean, _restore_axes, _sum, _variance
from .sorting import _concrete, index_dtype, searchsorted
from .util import (
    broadcast_to,
    canonical_axes,
    canonical_axis,
    check_arraylike,
    convert,
    dtype_of,
    dtype_rank,
    hashable_axis,
    is_inexact,
    promote_args_inexact,
    promote_dtypes,
    promote_dtypes_inexact,
    refuse_out,
    shape_of,
)

__all__ = [
    "bincount", "convolve", "corrcoef", "correlate", "cov", "diff", "digitize", "ediff1d", "gradient", "histogram",
    "histogram_bin_edges", "median", "nanmax", "nanmean", "nanmedian", "nanmin", "nanpercentile", "nanprod",
    "nanquantile", "nanstd", "nansum", "nanvar", "percentile", "quantile", "trapezoid", "unwrap",
]  # fmt: skip


# --- quantiles ----------------------------------------------------------------------------------

_QUANTILE_METHODS = ("linear", "lower", "higher", "midpoint", "nearest", "inverted_cdf")


def _flattened_axes(a: Any, axis: Any) -> tuple[Any, tuple[int, ...], tuple[int, ...]]:
    """a with the reduced axes joined into one, the last."""
    shape = shape_of(a)
    axes = canonical_axes(axis, len(shape))
    kept = tuple(i for i in range(len(shape)) if i not in axes)
    a = lax.transpose(a, (*kept, *axes))
    return lax.reshape(a, (*(shape[i] for i in kept), math.prod(shape[i] for i in axes))), axes, kept


@composite(static_argnames=("axis", "method", "keepdims", "skip_nan"))
def _quantile(a: Any, q: Any, *, axis: Any, method: str, keepdims: bool, skip_nan: bool) -> Any:
    a, q = promote_dtypes_inexact(a, q)
    a, q = as_array(a), as_array(q)
    shape, q_shape = shape_of(a), shape_of(q)
    half = dtype_of(a)
    if half.itemsize < 4:
        a, q = convert(a, np.dtype(np.float32)), convert(q, np.dtype(np.float32))
    a, axes, kept = _flattened_axes(a, axis)
    *rest, size = shape_of(a)
    if size == 0:
        raise ValueError(f"quantile of no elements: shape {shape}, axis {axis}.")
    last = len(rest)
    nan = bodies.isnan(a)
    a = lax.sort(a, dimension=last)
    if skip_nan:
        count = lax.reduce_sum(convert(lax.bitwise_not(nan), dtype_of(a)), (last,))
    else:
        count = lax.full(tuple(rest), size, dtype_of(a))
    flat_q = lax.clamp(const(q, 0), lax.reshape(q, (math.prod(q_shape),)), const(q, 1))
    full = (*rest, shape_of(flat_q)[0])
    count = lax.broadcast_in_dim(count, full, tuple(range(last)))
    where = _between(a, count, lax.broadcast_in_dim(flat_q, full, (last,)), method)
    broken = lax.eq(count, const(count, 0)) if skip_nan else lax.broadcast_in_dim(
        lax.reduce_or(nan, (last,)), full, tuple(range(last)))  # fmt: skip
    out = lax.select(broken, lax.full_like(where, math.nan), where)
    out = lax.transpose(out, (last, *range(last)))
    if keepdims:
        rest = [1 if i in axes else n for i, n in enumerate(shape)]
    return convert(lax.reshape(out, (*q_shape, *rest)), half)


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
  weights: must be None.

Returns:
  An array of floats; nan where {empty}.

Raises:
  ValueError: an axis is out of bounds, or the method is unknown.
  NotImplementedError: `out`, `overwrite_input` or `weights` is given.

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
            raise NotImplementedError(f"canter.numpy.{name}: overwrite_input=True is not possible, arrays are immutable.")
        if weights is not None:
            raise NotImplementedError(f"canter.numpy.{name}: weights are not supported.")
        if method not in _QUANTILE_METHODS:
            raise ValueError(f"{name}: method {method!r} is not one of {', '.join(_QUANTILE_METHODS)}.")
        if dtype_rank(dtype_of(a)) == 3:
            raise ValueError(f"{name} is not defined for complex numbers: they have no order.")
        if percent:
            (q,) = promote_dtypes_inexact(q)
            q = lax.div(as_array(q), const(q, 100))
        found = _quantile(a, q, axis=hashable_axis(axis), method=method, keepdims=bool(keepdims), skip_nan=skip_nan)
        return place(found, None, out_sharding)

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
    return quantile


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
            raise NotImplementedError(f"canter.numpy.{name}: overwrite_input=True is not possible, arrays are immutable.")
        return _quantile(
            a, 0.5, axis=hashable_axis(axis), method="midpoint", keepdims=bool(keepdims), skip_nan=skip_nan
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
    return median


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
    return _sum(_without_nan(a, 0), where, initial, axis=axis, dtype=dtype, keepdims=keepdims, promote_integers=True)


@composite(static_argnames=("axis", "dtype", "keepdims"))
def _nanprod(a: Any, where: Any, initial: Any, *, axis: Any, dtype: Any, keepdims: bool) -> Any:
    from .reductions import _prod

    return _prod(_without_nan(a, 1), where, initial, axis=axis, dtype=dtype, keepdims=keepdims, promote_integers=True)


def nansum(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = None
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


def nanprod(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = None
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
def _nanvar(a: Any, where: Any, mean: Any, *, ddof: Any, axis: Any, dtype: Any, keepdims: bool, root: bool) -> Any:
    out = _variance(as_array(a), _valid(a, where), mean, ddof, axis, dtype, keepdims)
    return lax.sqrt(out) if root else out


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


# --- counting -----------------------------------------------------------------------------------


@composite(static_argnames=("length",))
def _bincount(x: Any, weights: Any, *, length: int) -> Any:
    x = as_array(x)
    weights = lax.full(shape_of(x), 1, index_dtype()) if weights is None else as_array(weights)
    x = lax.max(x, const(x, 0)) if not dtypes.issubdtype(dtype_of(x), np.unsignedinteger) else x
    return lax.full((length,), 0, dtype_of(weights)).at[x].add(weights)


def bincount(
    x: Any, weights: Any = None, minlength: int = 0, *, length: int | None = None, out_sharding: Any = None
) -> Any:
    """How often each non-negative integer occurs, as `numpy.bincount`.

    Args:
      x: a one-dimensional array of integers; negative ones count as 0.
      weights: what each occurrence counts; 1 by default.
      minlength: the least length of the result.
      length: its length, needed where x is traced; greater numbers are left out.
      out_sharding: a sharding to put the result on.

    Returns:
      A one-dimensional array.

    Raises:
      TypeError: x is not of integers.
      ValueError: x is not one-dimensional, or the weights have another shape.
      ConcretizationTypeError: x is traced and there is no length.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.bincount(cnp.array([1, 2, 2]))
      Array([0, 1, 2], dtype=int32)
    """
    check_arraylike("bincount", x)
    if dtype_rank(dtype_of(x)) > 1:
        raise TypeError(f"x argument to bincount must have an integer type; got {dtype_of(x)}.")
    if len(shape_of(x)) != 1:
        raise ValueError(f"only 1-dimensional input supported by bincount, got shape {shape_of(x)}.")
    if weights is not None and shape_of(weights) != shape_of(x):
        raise ValueError(f"shape of weights must match shape of x, got {shape_of(weights)} and {shape_of(x)}.")
    if length is None:
        values = _concrete("bincount (there called length)", x)
        length = builtins.max(operator.index(minlength), int(values.max()) + 1 if values.size else 0)
    if dtype_rank(dtype_of(x)) == 0:
        x = convert(as_array(x), index_dtype())
    return place(_bincount(x, weights, length=operator.index(length)), None, out_sharding)


@composite(static_argnames=("bins",))
def _edges(a: Any, bounds: Any, *, bins: int) -> Any:
    from .creation import _linspace

    (a,) = promote_dtypes_inexact(a)
    a = as_array(a)
    if bounds is None:
        if math.prod(shape_of(a)) == 0:
            low, high = const(a, 0), const(a, 1)
        else:
            axes = tuple(range(len(shape_of(a))))
            low, high = lax.reduce_min(a, axes), lax.reduce_max(a, axes)
    else:
        low, high = (convert(as_array(b), dtype_of(a)) for b in bounds)
    flat = lax.eq(low, high)
    half = const(a, 0.5)
    low, high = bodies.where(flat, lax.sub(low, half), low), bodies.where(flat, lax.add(high, half), high)
    return _linspace(low, high, num=bins + 1, endpoint=True, retstep=False, dtype=None, axis=0)


def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    """The edges of a histogram's bins, as `numpy.histogram_bin_edges`.

    Args:
      a: an array.
      bins: how many bins, or the edges themselves.
      range: the outermost edges; a's least and greatest element by default.
      weights: not used, as in NumPy where bins is a number.

    Returns:
      A one-dimensional array.

    Raises:
      NotImplementedError: bins is a string.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.histogram_bin_edges(cnp.array([0.0, 4.0]), bins=2)
      Array([0., 2., 4.], dtype=float32)
    """
    if isinstance(bins, str):
        raise NotImplementedError("string values for bins are not implemented: pass a number or edges.")
    check_arraylike("histogram_bin_edges", a)
    from .creation import asarray

    edges = asarray(bins)
    if len(shape_of(edges)) == 1:
        return promote_dtypes_inexact(edges)[0]
    bounds = None if range is None else tuple(asarray(range)) if not isinstance(range, (tuple, list)) else tuple(range)
    return _edges(a, bounds, bins=operator.index(bins))


@composite(static_argnames=("density",))
def _histogram(a: Any, edges: Any, weights: Any, *, density: bool) -> Any:
    a, edges = promote_dtypes_inexact(a, edges)
    a, edges = as_array(a), as_array(edges)
    a = lax.reshape(a, (math.prod(shape_of(a)),))
    count = shape_of(edges)[0]
    weights = lax.full_like(a, 1) if weights is None else lax.reshape(as_array(weights), shape_of(a))
    place_ = searchsorted(edges, a, side="right")
    last = lax.index_in_dim(edges, count - 1, keepdims=False)
    place_ = bodies.where(lax.eq(a, last), const(place_, count - 1), place_)
    counts = _bincount(place_, weights, length=count + 1)
    counts = lax.slice_in_dim(counts, 1, count)
    if density:
        width = lax.sub(lax.slice_in_dim(edges, 1, count), lax.slice_in_dim(edges, 0, count - 1))
        counts, width = promote_dtypes_inexact(counts, width)
        counts = lax.div(lax.div(counts, width), lax.reduce_sum(counts, (0,)))
    return counts


def histogram(
    a: Any, bins: Any = 10, range: Any = None, weights: Any = None, density: bool | None = None
) -> tuple[Any, Any]:
    """How many elements fall into each bin, as `numpy.histogram`.

    Args:
      a: an array, flattened.
      bins: how many bins, or their edges.
      range: the outermost edges; a's least and greatest element by default.
      weights: what each element counts; 1 by default.
      density: whether to return the probability density instead.

    Returns:
      The counts, as floats, and the edges.

    Raises:
      ValueError: the weights have another shape than a.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.histogram(cnp.array([1.0, 2.0, 2.0]), bins=2)[0]
      Array([1., 2.], dtype=float32)
    """
    check_arraylike("histogram", a)
    if weights is not None and shape_of(weights) != shape_of(a):
        raise ValueError(f"weights should have the same shape as a: got {shape_of(weights)} and {shape_of(a)}.")
    edges = histogram_bin_edges(a, bins, range, weights)
    return _histogram(a, edges, weights, density=bool(density)), edges


def digitize(x: Any, bins: Any, right: bool = False, *, method: str | None = None) -> Any:
    """The bin of each element, as `numpy.digitize`.

    Args:
      x: an array.
      bins: edges, ascending or descending.
      right: whether bins hold their right edge, in place of the left.
      method: how to search, as in `searchsorted`.

    Returns:
      An array of integers.

    Raises:
      ValueError: the edges are not one-dimensional.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.digitize(cnp.array([0.5, 2.0]), cnp.array([0.0, 1.0]))
      Array([1, 2], dtype=int32)
    """
    check_arraylike("digitize", x, bins)
    if len(shape_of(bins)) != 1:
        raise ValueError(f"digitize: bins must be a 1-dimensional array, got shape {shape_of(bins)}.")
    return _digitize(x, bins, right=bool(right), method=method or "scan")


@composite(static_argnames=("right", "method"))
def _digitize(x: Any, bins: Any, *, right: bool, method: str) -> Any:
    bins = as_array(bins)
    count = shape_of(bins)[0]
    if count == 0:
        return lax.full(shape_of(x), 0, index_dtype())
    side, other = ("left", "right") if right else ("right", "left")
    up = searchsorted(bins, x, side=side, method=method)
    down = searchsorted(lax.rev(bins, (0,)), x, side=other, method=method)
    ends = (lax.index_in_dim(bins, i, keepdims=False) for i in (count - 1, 0))
    return bodies.where(lax.ge(*ends), up, lax.sub(const(down, count), down))


# --- covariance ---------------------------------------------------------------------------------


@composite(static_argnames=("rowvar", "ddof"))
def _cov(m: Any, y: Any, fweights: Any, aweights: Any, *, rowvar: bool, ddof: int) -> Any:
    def rows(x: Any) -> Any:
        x = as_array(x)
        if len(shape_of(x)) < 2:
            return lax.reshape(x, (1, math.prod(shape_of(x))))
        return x if rowvar else lax.transpose(x, (1, 0))

    (X,) = [rows(m)] if y is None else [lax.concatenate([rows(v) for v in promote_dtypes(m, y)], 0)]
    (X,) = promote_dtypes_inexact(X)
    dtype = dtype_of(X)
    count = shape_of(X)[1]
    weights = None
    for w in (fweights, aweights):
        if w is not None:
            w = convert(as_array(w), dtype)
            weights = w if weights is None else lax.mul(weights, w)
    if weights is None:
        total: Any = const(X, count)
        centre = lax.div(lax.reduce_sum(X, (1,)), total)
        factor: Any = const(X, count - ddof)
    else:
        total = lax.reduce_sum(weights, (0,))
        centre = lax.div(lax.reduce_sum(lax.mul(X, broadcast_to(weights, shape_of(X))), (1,)), total)
        if ddof == 0:
            factor = total
        elif aweights is None:
            factor = lax.sub(total, const(total, ddof))
        else:
            squares = lax.reduce_sum(lax.mul(weights, convert(as_array(aweights), dtype)), (0,))
            factor = lax.sub(total, lax.div(lax.mul(const(total, ddof), squares), total))
    X = lax.sub(X, lax.broadcast_in_dim(centre, shape_of(X), (0,)))
    scaled = X if weights is None else lax.mul(X, broadcast_to(weights, shape_of(X)))
    product = lax.dot_general(X, bodies.conjugate(scaled), (((1,), (1,)), ((), ())))
    out = lax.div(product, factor)
    return lax.squeeze(out, tuple(i for i in (0, 1) if shape_of(out)[i] == 1 and len(shape_of(m)) < 2))


def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
    dtype: Any = None,
) -> Any:
    """The covariance matrix of variables, as `numpy.cov`.

    Args:
      m: an array of at most two dimensions, a variable in each row.
      y: more variables.
      rowvar: False where variables are columns.
      bias: whether to divide by n in place of n - 1.
      ddof: subtracted from n; overrides bias.
      fweights: how often each observation counts.
      aweights: the weight of each observation.
      dtype: dtype of the result.

    Returns:
      An array.

    Raises:
      ValueError: m has more than two dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.cov(cnp.array([1.0, 2.0, 3.0]))
      Array(1., dtype=float32)
    """
    check_arraylike("cov", m)
    if len(shape_of(m)) > 2 or (y is not None and len(shape_of(y)) > 2):
        raise ValueError(f"m and y have more than 2 dimensions: {shape_of(m)}.")
    ddof = (0 if bias else 1) if ddof is None else operator.index(ddof)
    if dtype is not None:
        m = convert(as_array(m), dtypes.canonicalize_dtype(dtype))
    return _cov(m, y, fweights, aweights, rowvar=bool(rowvar), ddof=ddof)


def corrcoef(x: Any, y: Any = None, rowvar: bool = True, dtype: Any = None) -> Any:
    """The correlation matrix of variables, as `numpy.corrcoef`.

    Args:
      x: an array of at most two dimensions, a variable in each row.
      y: more variables.
      rowvar: False where variables are columns.
      dtype: dtype of the result.

    Returns:
      An array of numbers from -1 to 1.

    Raises:
      ValueError: x has more than two dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.corrcoef(cnp.array([[1.0, 2.0], [2.0, 4.0]])).shape
      (2, 2)
    """
    return _correlation(cov(x, y, rowvar, dtype=dtype))


@composite
def _correlation(c: Any) -> Any:
    shape = shape_of(c)
    if not shape:
        return lax.div(c, c)
    from .matrices import diagonal

    scale = lax.sqrt(lax.real(diagonal(c)) if dtype_rank(dtype_of(c)) == 3 else diagonal(c))
    scale = convert(scale, dtype_of(c))
    c = lax.div(lax.div(c, lax.broadcast_in_dim(scale, shape, (0,))), lax.broadcast_in_dim(scale, shape, (1,)))
    if dtype_rank(dtype_of(c)) == 3:
        parts = (lax.clamp(const(p, -1), p, const(p, 1)) for p in (lax.real(c), lax.imag(c)))
        return lax.complex(*parts)
    return lax.clamp(const(c, -1), c, const(c, 1))


# --- differences --------------------------------------------------------------------------------


@composite(static_argnames=("n", "axis"))
def _diff(a: Any, *, n: int, axis: int) -> Any:
    for _ in range(n):
        size = shape_of(a)[axis]
        if size == 0:
            break
        after, before = lax.slice_in_dim(a, 1, size, 1, axis), lax.slice_in_dim(a, 0, size - 1, 1, axis)
        a = lax.ne(after, before) if dtype_rank(dtype_of(a)) == 0 else lax.sub(after, before)
    return a


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """The differences of neighbours along an axis, as `numpy.diff`.

    Args:
      a: an array of at least one dimension.
      n: how often to take differences.
      axis: the axis.
      prepend, append: what to join at the ends first.

    Returns:
      An array.

    Raises:
      ValueError: n is negative, a has no dimension, or the axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.diff(cnp.array([1, 4, 9]))
      Array([3, 5], dtype=int32)
    """
    from .shaping import concatenate

    check_arraylike("diff", a)
    n = operator.index(n)
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n}.")
    shape = shape_of(a)
    if not shape:
        raise ValueError("diff requires input that is at least one dimensional; got a number.")
    if n == 0:
        return as_array(a)
    axis = canonical_axis(axis, len(shape))
    parts = []
    for part in (prepend, a, append):
        if part is None:
            continue
        if part is not a and not shape_of(part):
            part = broadcast_to(as_array(part), tuple(1 if i == axis else m for i, m in enumerate(shape)))
        parts.append(part)
    return _diff(concatenate(parts, axis) if len(parts) > 1 else as_array(a), n=n, axis=axis)


def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """The differences of neighbours in the flattened array, as `numpy.ediff1d`.

    Args:
      ary: an array.
      to_end, to_begin: what to join at the ends of the result.

    Returns:
      A one-dimensional array.

    Raises:
      TypeError: an argument is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.ediff1d(cnp.array([1, 4, 9]))
      Array([3, 5], dtype=int32)
    """
    from .shaping import concatenate, ravel

    flat = ravel(ary)
    parts = [_diff(flat, n=1, axis=0)]
    if to_begin is not None:
        parts.insert(0, convert(ravel(to_begin), dtype_of(flat)))
    if to_end is not None:
        parts.append(convert(ravel(to_end), dtype_of(flat)))
    return concatenate(parts) if len(parts) > 1 else parts[0]


def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int | None = None) -> Any:
    """Differences of second order inside, of first order at the edges, as `numpy.gradient`.

    Args:
      f: an array.
      *varargs: the distance of points, one for all axes or one per axis; or their coordinates per axis.
      axis: the axes; None for all.
      edge_order: must be None or 1.

    Returns:
      An array for one axis, else a list of them.

    Raises:
      ValueError: an axis has fewer than two points, or the distances do not fit.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.gradient(cnp.array([1.0, 2.0, 4.0]))
      Array([1. , 1.5, 2. ], dtype=float32)
    """
    if edge_order not in (None, 1):
        raise NotImplementedError("canter.numpy.gradient only supports edge_order=1.")
    check_arraylike("gradient", f, *varargs)
    axes = canonical_axes(axis, len(shape_of(f)))
    spacings = varargs or (1.0,)
    if len(spacings) == 1:
        spacings = spacings * len(axes)
    if len(spacings) != len(axes):
        raise ValueError(f"gradient: {len(varargs)} spacings for {len(axes)} axes; pass one, or one per axis.")
    for i in axes:
        if shape_of(f)[i] < 2:
            raise ValueError(f"Shape of array too small to calculate a gradient: axis {i} of {shape_of(f)}.")
    out = [_gradient(f, h, axis=i) for h, i in zip(spacings, axes, strict=True)]
    return out[0] if len(out) == 1 else out


@composite(static_argnames=("axis",))
def _gradient(f: Any, h: Any, *, axis: int) -> Any:
    (f,) = promote_dtypes_inexact(f)
    h = convert(as_array(h), dtype_of(f))
    size = shape_of(f)[axis]

    def cut(low: int, high: int) -> Any:
        return lax.slice_in_dim(f, low, high, 1, axis)

    steps = _diff(f, n=1, axis=axis)
    if not shape_of(h):
        first, last = (lax.div(lax.slice_in_dim(steps, i, i + 1, 1, axis), h) for i in (0, size - 2))
        middle = lax.div(lax.sub(cut(2, size), cut(0, size - 2)), lax.mul(h, const(h, 2)))
        return lax.concatenate([first, middle, last], axis)
    if shape_of(h) != (size,):
        raise ValueError(f"gradient: {shape_of(h)[0]} coordinates for {size} points along axis {axis}.")
    width = lax.broadcast_in_dim(_diff(h, n=1, axis=0), shape_of(steps), (axis,))
    slopes = lax.div(steps, width)
    before, after = (lax.slice_in_dim(width, i, size - 2 + i, 1, axis) for i in (0, 1))
    left, right = (lax.slice_in_dim(slopes, i, size - 2 + i, 1, axis) for i in (0, 1))
    middle = lax.div(lax.add(lax.mul(left, after), lax.mul(right, before)), lax.add(before, after))
    ends = (lax.slice_in_dim(slopes, i, i + 1, 1, axis) for i in (0, size - 2))
    first, last = ends
    return lax.concatenate([first, middle, last], axis)


@composite(static_argnames=("axis",))
def _trapezoid(y: Any, x: Any, dx: Any, *, axis: int) -> Any:
    y, dx = promote_dtypes_inexact(y, dx)
    y = as_array(y)
    size = shape_of(y)[axis]
    pairs = lax.add(lax.slice_in_dim(y, 1, size, 1, axis), lax.slice_in_dim(y, 0, size - 1, 1, axis))
    if x is not None:
        x = convert(as_array(x), dtype_of(y))
        if len(shape_of(x)) == 1:
            dx = lax.broadcast_in_dim(_diff(x, n=1, axis=0), shape_of(pairs), (axis,))
        else:
            dx = broadcast_to(_diff(x, n=1, axis=axis), shape_of(pairs))
    area = lax.mul(*promote_args_inexact("trapezoid", pairs, dx))
    return lax.mul(lax.reduce_sum(area, (axis,)), const(area, 0.5))


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral by the trapezoidal rule, as `numpy.trapezoid`.

    Args:
      y: values.
      x: their coordinates; spaced by dx where None.
      dx: their distance.
      axis: the axis.

    Returns:
      An array of floats without the axis.

    Raises:
      ValueError: the axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.trapezoid(cnp.array([0.0, 1.0, 2.0]))
      Array(2., dtype=float32)
    """
    check_arraylike("trapezoid", y, dx)
    return _trapezoid(y, x, dx, axis=canonical_axis(axis, len(shape_of(y))))


def unwrap(p: Any, discont: Any = None, axis: int = -1, period: Any = 2 * math.pi) -> Any:
    """Angles with jumps of more than half a period removed, as `numpy.unwrap`.

    Args:
      p: an array.
      discont: the least jump to remove; half a period by default.
      axis: the axis.
      period: the period.

    Returns:
      An array.

    Raises:
      ValueError: the axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.unwrap(cnp.array([0.0, 3.0, 7.0]), period=4)
      Array([ 0., -1., -1.], dtype=float32)
    """
    check_arraylike("unwrap", p, period)
    return _unwrap(p, discont, period, axis=canonical_axis(axis, len(shape_of(p))))


@composite(static_argnames=("axis",))
def _unwrap(p: Any, discont: Any, period: Any, *, axis: int) -> Any:
    if not is_inexact(dtype_of(p)) or dtype_rank(dtype_of(period)) > dtype_rank(dtype_of(p)):
        p, period = promote_dtypes_inexact(p, period)
    p = as_array(p)
    period = convert(as_array(period), dtype_of(p))
    half = lax.div(period, const(period, 2))
    steps = _diff(p, n=1, axis=axis)
    wide = broadcast_to(period, shape_of(steps))
    moved = lax.sub(bodies.remainder(lax.add(steps, broadcast_to(half, shape_of(steps))), wide), broadcast_to(half, shape_of(steps)))
    edge = lax.bitwise_and(lax.eq(moved, broadcast_to(lax.neg(half), shape_of(steps))), lax.gt(steps, lax.full_like(steps, 0)))
    moved = lax.select(edge, broadcast_to(half, shape_of(steps)), moved)
    limit = half if discont is None else convert(as_array(discont), dtype_of(p))
    small = lax.lt(lax.abs(steps), broadcast_to(limit, shape_of(steps)))
    change = lax.select(small, lax.full_like(steps, 0), lax.sub(moved, steps))
    total = lax.cumsum(change, axis)
    rest = lax.add(lax.slice_in_dim(p, 1, None, 1, axis), total)
    return lax.concatenate([lax.slice_in_dim(p, 0, 1, 1, axis), rest], axis)


# --- convolution --------------------------------------------------------------------------------


@composite(static_argnames=("mode", "flip", "precision", "preferred_element_type"))
def _convolve(a: Any, v: Any, *, mode: str, flip: bool, precision: Any, preferred_element_type: Any) -> Any:
    a, v = (as_array(x) for x in (promote_dtypes(a, v)))
    if dtype_rank(dtype_of(a)) == 0:
        raise TypeError("convolve and correlate do not take booleans: convert them to integers.")
    swapped = shape_of(a)[0] < shape_of(v)[0]
    if not flip:
        v = bodies.conjugate(v)
    if swapped:
        a, v = v, a
    if flip:
        v = lax.rev(v, (0,))
    size = shape_of(v)[0]
    padding = {"valid": (0, 0), "same": (size // 2, size - size // 2 - 1), "full": (size - 1, size - 1)}[mode]
    if mode == "same" and not flip:
        padding = padding if not swapped else (padding[1], padding[0])
    out = lax.conv_general_dilated(
        lax.reshape(a, (1, 1, shape_of(a)[0])),
        lax.reshape(v, (1, 1, size)),
        (1,),
        [padding],
        precision=precision,
        preferred_element_type=preferred_element_type,
    )
    out = lax.reshape(out, (shape_of(out)[2],))
    return lax.rev(out, (0,)) if swapped and not flip else out


def _convolution(name: str, flip: bool, default: str, what: str, printed: str) -> Callable[..., Any]:
    def convolve(a: Any, v: Any, mode: str = default, *, precision: Any = None, preferred_element_type: Any = None) -> Any:
        check_arraylike(name, a, v)
        if mode not in ("full", "same", "valid"):
            raise ValueError(f"mode must be one of 'full', 'same', 'valid', got {mode!r}.")
        if len(shape_of(a)) != 1 or len(shape_of(v)) != 1:
            raise ValueError(f"{name}() only supports 1-dimensional inputs, got shapes {shape_of(a)} and {shape_of(v)}.")
        if 0 in (*shape_of(a), *shape_of(v)):
            raise ValueError(f"{name}: inputs cannot be empty, got shapes {shape_of(a)} and {shape_of(v)}.")
        return _convolve(
            a, v, mode=mode, flip=flip, precision=precision, preferred_element_type=preferred_element_type
        )

    convolve.__name__ = convolve.__qualname__ = name
    convolve.__module__ = "canter.numpy"
    convolve.__doc__ = f"""The {what} of two one-dimensional arrays, as `numpy.{name}`.

Args:
  a, v: the arrays.
  mode: "full", "same" or "valid"; {default!r} by default.
  precision: None, a `lax.Precision`, its name, or a pair of them.
  preferred_element_type: the dtype of the result and of the accumulation.

Returns:
  A one-dimensional array.

Raises:
  ValueError: an array is not one-dimensional or empty, or the mode is unknown.

Example:
  >>> import canter.numpy as cnp
  >>> cnp.{name}(cnp.array([1.0, 2.0, 3.0]), cnp.array([1.0, 0.5]))
  Array({printed}, dtype=float32)
"""
    return convolve


convolve = _convolution("convolve", True, "full", "convolution", "[1. , 2.5, 4. , 1.5]")
correlate = _convolution("correlate", False, "valid", "cross-correlation", "[2. , 3.5]")
