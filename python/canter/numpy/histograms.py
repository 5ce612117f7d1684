"""Counting and covariance: bincount, histogram, digitize, cov."""

from __future__ import annotations

import builtins
import math
import operator
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.core.dimensions import size_of
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from . import ufunc_bodies as bodies
from .creation import place
from .sorting import _concrete, index_dtype, searchsorted
from .util import (
    broadcast_to,
    check_arraylike,
    convert,
    dtype_of,
    dtype_rank,
    promote_dtypes,
    promote_dtypes_inexact,
    shape_of,
)

__all__ = [
    "bincount", "corrcoef", "cov", "digitize", "histogram", "histogram2d", "histogram_bin_edges", "histogramdd",
]  # fmt: skip


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
        raise ValueError(
            f"shape of weights must match shape of x, got {shape_of(weights)} and {shape_of(x)}."
        )
    if length is None:
        values = _concrete("bincount (there called length)", x)
        length = builtins.max(operator.index(minlength), int(values.max()) + 1 if values.size else 0)
    if dtype_rank(dtype_of(x)) == 0:
        x = convert(as_array(x), index_dtype())
    return place(_bincount(x, weights, length=size_of(length)), None, out_sharding, "jnp.bincount")


@composite(static_argnames=("bins",))
def _edges(a: Any, bounds: Any, *, bins: int) -> Any:
    from .ranges import _linspace

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
    bounds = (
        None
        if range is None
        else tuple(asarray(range))
        if not isinstance(range, (tuple, list))
        else tuple(range)
    )
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
        raise ValueError(
            f"weights should have the same shape as a: got {shape_of(weights)} and {shape_of(a)}."
        )
    edges = histogram_bin_edges(a, bins, range, weights)
    return _histogram(a, edges, weights, density=bool(density)), edges


@composite(static_argnames=("density",))
def _histogramdd(sample: Any, edges: tuple[Any, ...], weights: Any, *, density: bool) -> Any:
    sample = as_array(sample)
    shape = tuple(shape_of(e)[0] - 1 for e in edges)
    inside = lax.full((shape_of(sample)[0],), True, np.bool_)
    flat = lax.full((shape_of(sample)[0],), 0, index_dtype())
    for d, (edge, size) in enumerate(zip(edges, shape, strict=True)):
        column, edge = promote_dtypes_inexact(lax.index_in_dim(sample, d, 1, keepdims=False), edge)
        place_ = lax.sub(searchsorted(edge, column, side="right"), const(flat, 1))
        last = lax.index_in_dim(as_array(edge), size, keepdims=False)
        place_ = bodies.where(
            lax.eq(column, broadcast_to(last, shape_of(column))), const(place_, size - 1), place_
        )
        inside = lax.bitwise_and(
            inside, lax.bitwise_and(lax.ge(place_, const(flat, 0)), lax.lt(place_, const(flat, size)))
        )
        flat = lax.add(lax.mul(flat, const(flat, size)), place_)
    total = math.prod(shape)
    flat = bodies.where(inside, flat, const(flat, total))
    counts = _bincount(flat, weights, length=total + 1)
    counts = lax.reshape(lax.slice_in_dim(counts, 0, total), shape)
    if not density:
        return counts
    counts = promote_dtypes_inexact(counts)[0]
    counts = lax.div(counts, broadcast_to(lax.reduce_sum(counts, tuple(range(len(shape)))), shape))
    for d, edge in enumerate(edges):
        width = lax.sub(lax.slice_in_dim(edge, 1, None), lax.slice_in_dim(edge, 0, shape[d]))
        counts = lax.div(*promote_dtypes_inexact(counts, lax.broadcast_in_dim(width, shape, (d,))))
    return counts


def histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, weights: Any = None, density: bool | None = None
) -> tuple[Any, list[Any]]:
    """How many points fall into each box of a grid, as `numpy.histogramdd`.

    Args:
      sample: the points, an array of shape (n, d); (n,) counts as (n, 1).
      bins: how many bins along all axes; or for each axis how many, or their edges.
      range: for each axis the outermost edges, or None; the least and greatest coordinate by default.
      weights: what each point counts, an array of shape (n,); 1 by default.
      density: whether to return the probability density instead.

    Returns:
      The counts, an array of d dimensions, and a list of the edges along each. Points outside are left out.

    Raises:
      ValueError: there are not as many bins or ranges as axes, or the weights have another shape.

    Example:
      >>> import canter.numpy as cnp
      >>> counts, edges = cnp.histogramdd(cnp.array([[0.0, 0.0], [1.0, 1.0], [1.0, 0.9]]), bins=2)
      >>> counts
      Array([[1, 0],
             [0, 2]], dtype=int32)
    """
    check_arraylike("histogramdd", sample)
    if len(shape_of(sample)) == 1:
        sample = lax.reshape(as_array(sample), (*shape_of(sample), 1))
    if len(shape_of(sample)) != 2:
        raise ValueError(
            f"histogramdd takes points as an array of shape (n, d), got shape {shape_of(sample)}."
        )
    count, rank = shape_of(sample)
    if weights is not None and shape_of(weights) != (count,):
        raise ValueError(f"histogramdd: weights should have shape ({count},), got {shape_of(weights)}.")
    several = isinstance(bins, (list, tuple)) or (hasattr(bins, "shape") and len(bins.shape) > 0)
    all_bins = list(bins) if several else [bins] * rank
    ranges = [None] * rank if range is None else list(range)
    for what, given in (("bins", all_bins), ("range", ranges)):
        if len(given) != rank:
            raise ValueError(
                f"histogramdd: {what} must have one entry for each of {rank} axes, got {len(given)}."
            )
    columns = [lax.index_in_dim(as_array(sample), d, 1, keepdims=False) for d in builtins.range(rank)]
    edges = [histogram_bin_edges(c, b, r) for c, b, r in zip(columns, all_bins, ranges, strict=True)]
    weights = None if weights is None else promote_dtypes_inexact(weights)[0]
    return _histogramdd(sample, tuple(edges), weights, density=bool(density)), edges


def histogram2d(
    x: Any, y: Any, bins: Any = 10, range: Any = None, weights: Any = None, density: bool | None = None
) -> tuple[Any, Any, Any]:
    """How many points fall into each rectangle of a grid, as `numpy.histogram2d`.

    Args:
      x, y: the points' coordinates, arrays of shape (n,).
      bins: how many bins along both axes, or their edges; or a pair of these.
      range: for each axis the outermost edges; the least and greatest coordinate by default.
      weights: what each point counts, an array of shape (n,); 1 by default.
      density: whether to return the probability density instead.

    Returns:
      The counts, an array of two dimensions, and the edges along each.

    Raises:
      ValueError: x, y or the weights have different shapes.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.histogram2d(cnp.array([0.0, 1.0, 1.0]), cnp.array([0.0, 1.0, 0.9]), bins=2)[0]
      Array([[1, 0],
             [0, 2]], dtype=int32)
    """
    check_arraylike("histogram2d", x, y)
    if len(shape_of(x)) != 1 or shape_of(x) != shape_of(y):
        raise ValueError(
            f"histogram2d takes coordinates of equal length, got shapes {shape_of(x)} and {shape_of(y)}."
        )
    pair = isinstance(bins, (list, tuple)) and len(bins) == 2
    edges_for_both = not pair and (
        isinstance(bins, (list, tuple)) or (hasattr(bins, "shape") and len(bins.shape) > 0)
    )
    sample = lax.stack([as_array(a) for a in promote_dtypes_inexact(x, y)], 1)
    counts, (x_edges, y_edges) = histogramdd(
        sample, [bins, bins] if edges_for_both else bins, range, weights, density
    )
    return counts, x_edges, y_edges


@composite(static_argnames=("right", "method"))
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
    side = "left" if right else "right"
    up = searchsorted(bins, x, side=side, method=method)
    down = searchsorted(lax.rev(bins, (0,)), x, side=side, method=method)
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
    out = convert(out, dtype_of(out))
    return lax.reshape(out, ()) if shape_of(out) == (1, 1) else out


@composite(static_argnames=("rowvar", "bias", "ddof", "dtype"))
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


@composite(static_argnames=("rowvar", "dtype"))
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
    c = lax.div(
        lax.div(c, lax.broadcast_in_dim(scale, shape, (0,))), lax.broadcast_in_dim(scale, shape, (1,))
    )
    if dtype_rank(dtype_of(c)) == 3:
        parts = (lax.clamp(const(p, -1), p, const(p, 1)) for p in (lax.real(c), lax.imag(c)))
        return lax.complex(*parts)
    return lax.clamp(const(c, -1), c, const(c, 1))
