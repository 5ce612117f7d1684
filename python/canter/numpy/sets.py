"""Arrays as sets: unique, isin, unions and differences.

Without `size` the results' shapes depend on values, so these run on concrete arrays only; with it they
can be traced.
"""

from __future__ import annotations

import math
import operator
from typing import Any, NamedTuple

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.core.avals import get_aval
from canter.core.dimensions import size_of
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from . import ufunc_bodies as bodies
from .creation import asarray
from .indexing import take
from .joining import concatenate
from .shaping import moveaxis, ravel, reshape
from .sorting import _concrete, index_dtype, nonzero, searchsorted
from .util import (
    canonical_axis,
    check_arraylike,
    convert,
    dtype_of,
    dtype_rank,
    is_inexact,
    promote_dtypes,
    shape_of,
)

__all__ = [
    "intersect1d", "isin", "setdiff1d", "setxor1d", "union1d", "unique", "unique_all", "unique_counts",
    "unique_inverse", "unique_values",
]  # fmt: skip


class UniqueAllResult(NamedTuple):
    """What `unique_all` gives."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCountsResult(NamedTuple):
    """What `unique_counts` gives."""

    values: Any
    counts: Any


class UniqueInverseResult(NamedTuple):
    """What `unique_inverse` gives."""

    values: Any
    inverse_indices: Any


def _same_weakness(out: Any, x: Any) -> Any:
    return convert(out, dtype_of(out), bool(get_aval(x).weak_type) and dtype_rank(dtype_of(out)) < 3)


def _concrete_unique(ar: Any, axis: int | None, equal_nan: bool) -> tuple[Any, ...]:
    found = np.unique(_concrete("unique", ar), True, True, True, axis, equal_nan=equal_nan)
    dtype = index_dtype()
    return (
        _same_weakness(asarray(found[0]), ar),
        *(asarray(part.astype(dtype)) for part in found[1:]),
    )


@composite(static_argnames=("size", "equal_nan"))
def _sized_unique(rows: Any, fill_value: Any, *, size: int, equal_nan: bool) -> tuple[Any, ...]:
    """unique of the rows of a matrix, padded or cut to a number of rows."""
    count, width = shape_of(rows)
    dtype = index_dtype()
    keys = [lax.squeeze(lax.slice_in_dim(rows, j, j + 1, 1, 1), (1,)) for j in range(width)]
    *_, order = lax.sort((*keys, lax.iota(dtype, count)), dimension=0, is_stable=True, num_keys=max(width, 1))
    ordered = take(rows, order, axis=0, mode="clip")
    after, before = lax.slice_in_dim(ordered, 1, count), lax.slice_in_dim(ordered, 0, count - 1)
    differs = lax.ne(after, before)
    if equal_nan and is_inexact(dtype_of(rows)):
        both_nan = lax.bitwise_and(bodies.isnan(after), bodies.isnan(before))
        differs = lax.bitwise_and(differs, lax.bitwise_not(both_nan))
    is_new = lax.concatenate([lax.full((1,), True, np.bool_), lax.reduce_or(differs, (1,))], 0)
    total = lax.reduce_sum(convert(is_new, dtype), (0,))
    starts = nonzero(is_new, size=size, fill_value=count)[0]
    values = take(ordered, starts, axis=0, mode="clip")
    first = (
        lax.slice_in_dim(ordered, 0, 1)
        if fill_value is None
        else convert(as_array(fill_value), dtype_of(rows))
    )
    missing = lax.ge(lax.iota(dtype, size), total)
    values = _same_weakness(bodies.where(lax.reshape(missing, (size, 1)), first, values), rows)
    ends = lax.concatenate([lax.slice_in_dim(starts, 1, size), lax.full((1,), count, dtype)], 0)
    counts = lax.sub(ends, starts)
    places = take(order, starts, axis=0, mode="clip")
    places = bodies.where(missing, lax.slice_in_dim(order, 0, 1), places)
    groups = lax.sub(lax.cumsum(convert(is_new, dtype), 0), const(total, 1))
    inverse = lax.full((count,), 0, dtype).at[order].set(groups)
    return values, places, inverse, counts


def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
    size: int | None = None,
    fill_value: Any = None,
    sorted: bool = True,
) -> Any:
    """The different elements in ascending order, as `numpy.unique`.

    Args:
      ar: an array.
      return_index: whether to return the index of the first occurrence of each.
      return_inverse: whether to return, for each element of ar, the index of its value.
      return_counts: whether to return how often each occurs.
      axis: compares whole slices along an axis; None compares elements.
      equal_nan: whether nan equals nan.
      size: the number of values to return, needed where ar is traced.
      fill_value: what fills up; the least value by default.
      sorted: the values are sorted in any case.

    Returns:
      An array, or a tuple that starts with it.

    Raises:
      ConcretizationTypeError: ar is traced and there is no size.
      ValueError: the axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.unique(cnp.array([3, 1, 1]))
      Array([1, 3], dtype=int32)
    """
    check_arraylike("unique", ar)
    shape = shape_of(ar)
    if axis is not None:
        axis = canonical_axis(axis, len(shape))
    if size is None:
        found = _concrete_unique(ar, axis, equal_nan)
    elif math.prod(shape) == 0:
        raise ValueError(f"unique of no elements, of shape {shape}, needs no size: leave it out.")
    else:
        found = _unique_of_size(as_array(ar), axis, size_of(size), fill_value, bool(equal_nan))
    wanted = (True, return_index, return_inverse, return_counts)
    chosen = tuple(part for part, keep in zip(found, wanted, strict=True) if keep)
    return chosen[0] if len(chosen) == 1 else chosen


def _unique_of_size(
    ar: Any, axis: int | None, size: int, fill_value: Any, equal_nan: bool
) -> tuple[Any, ...]:
    shape = shape_of(ar)
    if axis is None:
        rest: tuple[int, ...] = ()
        rows = reshape(ar, (-1, 1))
    else:
        moved = moveaxis(ar, axis, 0)
        rest = shape_of(moved)[1:]
        rows = reshape(moved, (shape[axis], math.prod(rest)))
    values, places, inverse, counts = _sized_unique(rows, fill_value, size=size, equal_nan=equal_nan)
    if axis is None:
        return reshape(values, (size,)), places, reshape(inverse, shape), counts
    return moveaxis(reshape(values, (size, *rest)), 0, axis), places, inverse, counts


def unique_all(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> UniqueAllResult:
    """The different elements, their first indices, the inverse and the counts.

    Args:
      x: an array.
      size, fill_value: as in `unique`.

    Returns:
      A named tuple (values, indices, inverse_indices, counts).

    Raises:
      ConcretizationTypeError: x is traced and there is no size.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.unique_all(cnp.array([3, 1, 1])).counts
      Array([2, 1], dtype=int32)
    """
    return UniqueAllResult(*unique(x, True, True, True, equal_nan=False, size=size, fill_value=fill_value))


def unique_counts(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> UniqueCountsResult:
    """The different elements and how often each occurs.

    Args:
      x: an array.
      size, fill_value: as in `unique`.

    Returns:
      A named tuple (values, counts).

    Raises:
      ConcretizationTypeError: x is traced and there is no size.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.unique_counts(cnp.array([3, 1, 1])).values
      Array([1, 3], dtype=int32)
    """
    return UniqueCountsResult(
        *unique(x, return_counts=True, equal_nan=False, size=size, fill_value=fill_value)
    )


def unique_inverse(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> UniqueInverseResult:
    """The different elements and, for each element of x, the index of its value.

    Args:
      x: an array.
      size, fill_value: as in `unique`.

    Returns:
      A named tuple (values, inverse_indices).

    Raises:
      ConcretizationTypeError: x is traced and there is no size.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.unique_inverse(cnp.array([3, 1, 1])).inverse_indices
      Array([1, 0, 0], dtype=int32)
    """
    return UniqueInverseResult(
        *unique(x, return_inverse=True, equal_nan=False, size=size, fill_value=fill_value)
    )


def unique_values(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The different elements.

    Args:
      x: an array.
      size, fill_value: as in `unique`.

    Returns:
      An array.

    Raises:
      ConcretizationTypeError: x is traced and there is no size.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.unique_values(cnp.array([3, 1, 1]))
      Array([1, 3], dtype=int32)
    """
    return unique(x, equal_nan=False, size=size, fill_value=fill_value)


@composite(static_argnames=("invert",))
def _isin(element: Any, ordered: Any, *, invert: bool) -> Any:
    element, ordered = promote_dtypes(element, ordered)
    element = as_array(element)
    if shape_of(ordered)[0] == 0:
        return bodies.filled_like(element, invert)
    at = searchsorted(ordered, element)
    found = lax.eq(take(ordered, at, axis=0, mode="clip"), element)
    return lax.bitwise_not(found) if invert else found


def isin(
    element: Any,
    test_elements: Any,
    assume_unique: bool = False,
    invert: bool = False,
    *,
    method: str = "auto",
) -> Any:
    """Whether elements occur in another array, as `numpy.isin`.

    Args:
      element: an array.
      test_elements: the other array.
      assume_unique: changes nothing: the search does not need it.
      invert: whether to tell which do not occur.
      method: "auto", "binary_search", "compare_all" or "sort"; the result is the same.

    Returns:
      A boolean array of element's shape.

    Raises:
      ValueError: the method is unknown.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.isin(cnp.arange(3), cnp.array([1]))
      Array([False,  True, False], dtype=bool)
    """
    from .sorting import sort

    check_arraylike("isin", element, test_elements)
    if method not in ("auto", "binary_search", "compare_all", "sort"):
        raise ValueError(
            f"isin: unknown method {method!r}; use 'auto', 'binary_search', 'compare_all' or 'sort'."
        )
    return _isin(element, sort(ravel(test_elements)), invert=bool(invert))


def union1d(ar1: Any, ar2: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The elements of either array, sorted, as `numpy.union1d`.

    Args:
      ar1, ar2: arrays, flattened.
      size, fill_value: as in `unique`.

    Returns:
      A one-dimensional array.

    Raises:
      ConcretizationTypeError: an array is traced and there is no size.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.union1d(cnp.array([1, 2]), cnp.array([2, 3]))
      Array([1, 2, 3], dtype=int32)
    """
    check_arraylike("union1d", ar1, ar2)
    return unique(concatenate([ravel(ar1), ravel(ar2)]), size=size, fill_value=fill_value)


def _common(ar1: Any, ar2: Any) -> tuple[np.ndarray, np.ndarray]:
    dtype = dtypes.result_type(ar1, ar2)
    return _concrete("set operation", ar1).astype(dtype), _concrete("set operation", ar2).astype(dtype)


def _first_of_runs(flat: Any) -> Any:
    """Which elements of a sorted array are the first of their value."""
    if shape_of(flat)[0] == 0:
        return lax.full((0,), True, np.bool_)
    repeated = lax.eq(lax.slice_in_dim(flat, 1, None), lax.slice_in_dim(flat, 0, -1))
    return lax.concatenate([lax.full((1,), True, np.bool_), lax.bitwise_not(repeated)], 0)


def _chosen(flat: Any, keep: Any, size: Any, fill_value: Any) -> tuple[Any, Any]:
    """The first `size` elements kept, filled up by a value, by default the first of them; and their positions."""
    count = shape_of(flat)[0]
    size = operator.index(size)
    if count == 0 or size == 0:
        fill = 0 if fill_value is None else fill_value
        return lax.full((size,), fill, dtype_of(flat)), lax.full((size,), 0, index_dtype())
    where = nonzero(keep, size=size, fill_value=count)[0]
    found = take(flat, where, axis=0, mode="fill", fill_value=0)
    fill = (
        lax.index_in_dim(found, 0, keepdims=False)
        if fill_value is None
        else convert(fill_value, dtype_of(flat))
    )
    return bodies.where(lax.lt(where, const(where, count)), found, fill), where


def setdiff1d(
    ar1: Any, ar2: Any, assume_unique: bool = False, *, size: int | None = None, fill_value: Any = None
) -> Any:
    """The elements of the first array that are not in the second, as `numpy.setdiff1d`.

    Args:
      ar1, ar2: arrays, flattened.
      assume_unique: a promise that elements occur once each.
      size: the number of values to return, needed where an array is traced.
      fill_value: what fills up; 0 by default.

    Returns:
      A one-dimensional array.

    Raises:
      ConcretizationTypeError: an array is traced and there is no size.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.setdiff1d(cnp.array([1, 2, 3]), cnp.array([2]))
      Array([1, 3], dtype=int32)
    """
    check_arraylike("setdiff1d", ar1, ar2)
    if size is None:
        left = np.setdiff1d(*_common(ar1, ar2), assume_unique=assume_unique)
        return asarray(left.astype(dtype_of(as_array(ar1))))
    from .sorting import sort

    flat = ravel(ar1) if assume_unique else sort(ravel(ar1))
    keep = isin(flat, ar2, invert=True)
    if not assume_unique:
        keep = lax.bitwise_and(keep, _first_of_runs(flat))
    return _chosen(flat, keep, size, 0 if fill_value is None else fill_value)[0]


def intersect1d(
    ar1: Any,
    ar2: Any,
    assume_unique: bool = False,
    return_indices: bool = False,
    *,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The elements of both arrays, sorted, as `numpy.intersect1d`.

    Args:
      ar1, ar2: arrays, flattened.
      assume_unique: a promise that elements occur once each.
      return_indices: whether to return the first indices in both arrays too.
      size: the number of values to return, needed where an array is traced.
      fill_value: what fills up; the least value by default.

    Returns:
      A one-dimensional array, or the triple (values, indices in ar1, indices in ar2).

    Raises:
      ConcretizationTypeError: an array is traced and there is no size.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.intersect1d(cnp.array([1, 2]), cnp.array([2, 3]))
      Array([2], dtype=int32)
    """
    check_arraylike("intersect1d", ar1, ar2)
    if size is None:
        common, *places = np.intersect1d(*_common(ar1, ar2), assume_unique, True)
        if not return_indices:
            return asarray(common)
        return (asarray(common), *(asarray(place.astype(index_dtype())) for place in places))
    ar1, ar2 = (ravel(x) for x in promote_dtypes(ar1, ar2))
    (flat, order), (other, other_order) = (_sorted_with_places(x) for x in (ar1, ar2))
    keep = lax.bitwise_and(_first_of_runs(flat), isin(flat, other))
    values, where = _chosen(flat, keep, size, fill_value)
    if not return_indices:
        return values
    count, other_count = shape_of(flat)[0], shape_of(other)[0]
    if 0 in (count, other_count):
        return values, lax.full_like(where, count), lax.full_like(where, other_count)
    there = take(other_order, searchsorted(other, values), axis=0, mode="clip")
    found = lax.lt(where, const(where, count))
    places = take(order, where, axis=0, mode="clip")
    return (
        values,
        bodies.where(found, places, const(places, count)),
        bodies.where(found, there, const(there, other_count)),
    )


def _sorted_with_places(x: Any) -> tuple[Any, Any]:
    return lax.sort((x, lax.iota(index_dtype(), shape_of(x)[0])), num_keys=1, is_stable=True)


def setxor1d(
    ar1: Any, ar2: Any, assume_unique: bool = False, *, size: int | None = None, fill_value: Any = None
) -> Any:
    """The elements of one array only, sorted, as `numpy.setxor1d`.

    Args:
      ar1, ar2: arrays, flattened.
      assume_unique: a promise that elements occur once each.
      size: the number of values to return, needed where an array is traced.
      fill_value: what fills up; the least value by default.

    Returns:
      A one-dimensional array.

    Raises:
      ConcretizationTypeError: an array is traced and there is no size.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.setxor1d(cnp.array([1, 2]), cnp.array([2, 3]))
      Array([1, 3], dtype=int32)
    """
    check_arraylike("setxor1d", ar1, ar2)
    if size is None:
        return asarray(np.setxor1d(*_common(ar1, ar2), assume_unique))
    from .sorting import sort

    ar1, ar2 = (ravel(x) for x in promote_dtypes(ar1, ar2))
    flat = sort(lax.concatenate([ar1, ar2], 0))
    keep = lax.bitwise_and(_first_of_runs(flat), lax.ne(isin(flat, ar1), isin(flat, ar2)))
    return _chosen(flat, keep, size, fill_value)[0]
