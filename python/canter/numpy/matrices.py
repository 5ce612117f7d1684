"""Diagonals, triangles and edits of arrays: diag, tril, trace, delete, insert, pad's neighbours."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.core.dimensions import is_symbolic_dim, max_dim, min_dim, surely_less
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from . import ufunc_bodies as bodies
from .creation import asarray
from .joining import concatenate
from .shaping import moveaxis, ravel
from .util import (
    aval_of,
    broadcast_to,
    canonical_axes,
    canonical_axis,
    check_arraylike,
    convert,
    dtype_of,
    refuse_out,
    shape_of,
)

__all__ = [
    "delete", "diag", "diag_indices", "diag_indices_from", "diagflat", "diagonal", "fill_diagonal", "insert",
    "mask_indices", "trace",
    "tril", "tril_indices", "tril_indices_from", "triu", "triu_indices", "triu_indices_from", "vander",
]  # fmt: skip


def _positions(shape: tuple[int, ...], axis1: int, axis2: int, k: Any) -> tuple[Any, Any]:
    rows = lax.broadcasted_iota(np.int32, shape, axis1)
    columns = lax.broadcasted_iota(np.int32, shape, axis2)
    if not (type(k) is int and k == 0):
        rows = lax.add(rows, convert(as_array(k), np.dtype(np.int32)))
    return rows, columns


@composite(static_argnames=("k",))
def _triangle_lower(m: Any, *, k: int) -> Any:
    shape = shape_of(m)
    rows, columns = _positions(shape[-2:], 0, 1, k)
    keep = lax.ge(rows, columns)
    return lax.select(broadcast_to(keep, shape), m, lax.full_like(m, 0))


@composite(static_argnames=("k",))
def _triangle_upper(m: Any, *, k: int) -> Any:
    shape = shape_of(m)
    rows, columns = _positions(shape[-2:], 0, 1, k - 1)
    below = lax.ge(rows, columns)
    return lax.select(broadcast_to(below, shape), lax.full_like(m, 0), m)


def _matrix(name: str, m: Any) -> Any:
    check_arraylike(name, m)
    if len(shape_of(m)) < 2:
        raise ValueError(f"Argument to canter.numpy.{name} must be at least 2D, got shape {shape_of(m)}.")
    return as_array(m)


@composite(static_argnames=("k",))
def tril(m: Any, k: int = 0) -> Any:
    """The elements at and below a diagonal, zeros above, as `numpy.tril`.

    Args:
      m: an array of at least two dimensions.
      k: the diagonal: 0 the main one, positive above it.

    Returns:
      An array of m's shape.

    Raises:
      ValueError: m has fewer than two dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.tril(cnp.ones((2, 2)))
      Array([[1., 0.],
             [1., 1.]], dtype=float32)
    """
    return _triangle_lower(_matrix("tril", m), k=operator.index(k))


@composite(static_argnames=("k",))
def triu(m: Any, k: int = 0) -> Any:
    """The elements at and above a diagonal, zeros below, as `numpy.triu`.

    Args:
      m: an array of at least two dimensions.
      k: the diagonal: 0 the main one, positive above it.

    Returns:
      An array of m's shape.

    Raises:
      ValueError: m has fewer than two dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.triu(cnp.ones((2, 2)))
      Array([[1., 1.],
             [0., 1.]], dtype=float32)
    """
    return _triangle_upper(_matrix("triu", m), k=operator.index(k))


@composite(static_argnames=("k", "axes"))
def _diagonal(a: Any, *, k: int, axes: tuple[int, ...]) -> Any:
    # The diagonal of a slice that starts at it: mask the rest and sum over rows.
    a = moveaxis(a, axes, (-2, -1))
    *lead, rows, columns = shape_of(a)
    length = builtins.max(0, builtins.min(rows + builtins.min(k, 0), columns - builtins.max(k, 0)))
    top, left = builtins.max(-k, 0), builtins.max(k, 0)
    rank = len(lead)
    if length == 0:
        return lax.full((*lead, 0), 0, dtype_of(a))
    a = lax.slice(a, [0] * rank + [top, left], [*lead, top + length, left + length])
    i = lax.broadcasted_iota(np.int32, (length, length), 0)
    j = lax.broadcasted_iota(np.int32, (length, length), 1)
    mask = broadcast_to(lax.eq(i, j), shape_of(a))
    if dtypes.issubdtype(dtype_of(a), np.bool_):
        return lax.reduce_or(lax.bitwise_and(mask, a), (rank,))
    return lax.reduce_sum(lax.select(mask, a, lax.full_like(a, 0)), (rank,))


@composite(static_argnames=("offset", "axis1", "axis2"))
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The diagonals of the matrices in two axes, as `numpy.diagonal`.

    Args:
      a: an array of at least two dimensions.
      offset: the diagonal: 0 the main one, positive above it.
      axis1, axis2: the axes of the matrices.

    Returns:
      An array with the diagonals in the last axis.

    Raises:
      ValueError: an axis is out of bounds, or both are the same.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.diagonal(cnp.array([[1, 2], [3, 4]]))
      Array([1, 4], dtype=int32)
    """
    check_arraylike("diagonal", a)
    rank = len(shape_of(a))
    if rank < 2:
        raise ValueError("diagonal requires an array of at least two dimensions.")
    axes = canonical_axes((axis1, axis2), rank)
    return _diagonal(as_array(a), k=operator.index(offset), axes=axes)


@composite(static_argnames=("k",))
def _diag_matrix(v: Any, *, k: int) -> Any:
    (size,) = shape_of(v)
    n = size + builtins.abs(k)
    zero = const(v, 0) if dtypes.issubdtype(dtype_of(v), np.number) else np.bool_(False)
    padded = lax.pad(v, zero, [(builtins.max(0, k), builtins.max(0, -k), 0)])
    i, j = _positions((n, n), 0, 1, k)
    columns = lax.broadcast_in_dim(padded, (n, n), (1,))
    return lax.select(lax.eq(i, j), columns, lax.full_like(columns, 0))


@composite(static_argnames=("k",))
def diag(v: Any, k: int = 0) -> Any:
    """The diagonal of a matrix, or the matrix with a diagonal, as `numpy.diag`.

    Args:
      v: an array of one or two dimensions.
      k: the diagonal: 0 the main one, positive above it.

    Returns:
      An array of two or one dimensions.

    Raises:
      ValueError: v has another number of dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.diag(cnp.array([1, 2]))
      Array([[1, 0],
             [0, 2]], dtype=int32)
    """
    check_arraylike("diag", v)
    rank = len(shape_of(v))
    if rank == 1:
        return _diag_matrix(as_array(v), k=operator.index(k))
    if rank == 2:
        return diagonal(v, k)
    raise ValueError(f"diag input must be 1d or 2d, got shape {shape_of(v)}.")


@composite(static_argnames=("k",))
def diagflat(v: Any, k: int = 0) -> Any:
    """The matrix with the flattened array as a diagonal, as `numpy.diagflat`.

    Args:
      v: an array.
      k: the diagonal: 0 the main one, positive above it.

    Returns:
      An array of two dimensions.

    Raises:
      TypeError: v is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.diagflat(cnp.array([1, 2]))
      Array([[1, 0],
             [0, 2]], dtype=int32)
    """
    return diag(ravel(v), k)


@composite(static_argnames=("k", "axes", "dtype"))
def _trace(a: Any, *, k: int, axes: tuple[int, ...], dtype: Any) -> Any:
    from .reductions import sum as sum_

    return sum_(_diagonal(a, k=k, axes=axes), -1, dtype)


@composite(static_argnames=("offset", "axis1", "axis2", "dtype"))
def trace(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: None = None
) -> Any:
    """The sum of a diagonal, as `numpy.trace`.

    Args:
      a: an array of at least two dimensions.
      offset: the diagonal: 0 the main one, positive above it.
      axis1, axis2: the axes of the matrices.
      dtype: dtype of the result.
      out: must be None.

    Returns:
      An array without the two axes.

    Raises:
      ValueError: an axis is out of bounds, or both are the same.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.trace(cnp.array([[1, 2], [3, 4]]))
      Array(5, dtype=int32)
    """
    refuse_out("trace", out)
    check_arraylike("trace", a)
    rank = len(shape_of(a))
    if rank < 2:
        raise ValueError("trace requires an array of at least two dimensions.")
    return _trace(
        as_array(a), k=operator.index(offset), axes=canonical_axes((axis1, axis2), rank), dtype=dtype
    )


@composite
def _fill_diagonal(a: Any, values: Any) -> Any:
    shape = shape_of(a)
    mask = None
    for axis in range(1, len(shape)):
        i, j = _positions(shape, 0, axis, 0)
        same = lax.eq(i, j)
        mask = same if mask is None else lax.bitwise_and(mask, same)
    values = convert(as_array(values), dtype_of(a))
    return lax.select(mask, lax.broadcast_in_dim(values, shape, (0,) if shape_of(values) else ()), a)


def fill_diagonal(a: Any, val: Any, wrap: bool = False, *, inplace: bool = True) -> Any:
    """A copy with the main diagonal replaced, as `numpy.fill_diagonal`.

    Args:
      a: an array of at least two dimensions.
      val: a number, or an array that is repeated or cut to the diagonal's length.
      wrap: must be False.
      inplace: must be False: arrays are not changed in place.

    Returns:
      An array.

    Raises:
      ValueError: `inplace` is True, or a has fewer than two dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.fill_diagonal(cnp.zeros((2, 2)), 1.0, inplace=False)
      Array([[1., 0.],
             [0., 1.]], dtype=float32)
    """
    if inplace:
        raise NotImplementedError("fill_diagonal cannot change an array in place: pass inplace=False.")
    if wrap:
        raise NotImplementedError("fill_diagonal: wrap=True is not implemented.")
    from .repeating import resize

    a = _matrix("fill_diagonal", a)
    check_arraylike("fill_diagonal", val)
    shape = shape_of(a)
    if len(shape) > 2 and len(set(shape)) > 1:
        raise ValueError(f"fill_diagonal: all dimensions must be equal for more than two, got shape {shape}.")
    if shape_of(val):
        val = resize(val, (shape[0],))
    return _fill_diagonal(a, val)


def _index_arrays(*arrays: np.ndarray) -> tuple[Any, ...]:
    dtype = dtypes.canonicalize_dtype(int)
    return tuple(asarray(a.astype(dtype)) for a in arrays)


def diag_indices(n: int, ndim: int = 2) -> tuple[Any, ...]:
    """The indices of the main diagonal, as `numpy.diag_indices`.

    Args:
      n: the size of each dimension.
      ndim: how many dimensions.

    Returns:
      A tuple of arrays of integers.

    Raises:
      ValueError: n or ndim is negative.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.diag_indices(2)
      (Array([0, 1], dtype=int32), Array([0, 1], dtype=int32))
    """
    n, ndim = operator.index(n), operator.index(ndim)
    if n < 0 or ndim < 0:
        raise ValueError(f"Arguments to diag_indices must be nonnegative, got n={n} and ndim={ndim}.")
    return _index_arrays(*[np.arange(n)] * ndim)


def diag_indices_from(arr: Any) -> tuple[Any, ...]:
    """The indices of the main diagonal of an array, as `numpy.diag_indices_from`.

    Args:
      arr: an array of at least two dimensions of equal sizes.

    Returns:
      A tuple of arrays of integers.

    Raises:
      ValueError: arr has fewer than two dimensions, or unequal ones.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.diag_indices_from(cnp.zeros((2, 2)))
      (Array([0, 1], dtype=int32), Array([0, 1], dtype=int32))
    """
    shape = shape_of(arr)
    if len(shape) < 2 or len(set(shape)) != 1:
        raise ValueError(
            f"input array must have at least two dimensions, all of one size, got shape {shape}."
        )
    return diag_indices(shape[0], len(shape))


def tril_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Any, Any]:
    """The indices of the lower triangle, as `numpy.tril_indices`.

    Args:
      n: number of rows.
      k: the diagonal: 0 the main one, positive above it.
      m: number of columns; n by default.

    Returns:
      Two arrays of integers.

    Raises:
      TypeError: an argument is not a concrete integer.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.tril_indices(2)
      (Array([0, 1, 1], dtype=int32), Array([0, 0, 1], dtype=int32))
    """
    n, k, m = operator.index(n), operator.index(k), operator.index(n if m is None else m)
    return _index_arrays(*np.tril_indices(n, k, m))


def triu_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Any, Any]:
    """The indices of the upper triangle, as `numpy.triu_indices`.

    Args:
      n: number of rows.
      k: the diagonal: 0 the main one, positive above it.
      m: number of columns; n by default.

    Returns:
      Two arrays of integers.

    Raises:
      TypeError: an argument is not a concrete integer.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.triu_indices(2)
      (Array([0, 0, 1], dtype=int32), Array([0, 1, 1], dtype=int32))
    """
    n, k, m = operator.index(n), operator.index(k), operator.index(n if m is None else m)
    return _index_arrays(*np.triu_indices(n, k, m))


def mask_indices(
    n: int, mask_func: Callable[..., Any], k: Any = 0, *, size: int | None = None
) -> tuple[Any, Any]:
    """The indices of the elements of a square matrix that a function like `triu` keeps, as `numpy.mask_indices`.

    Args:
      n: rows and columns of the matrix.
      mask_func: a function of a matrix and k that puts zeros where the mask is False.
      k: passed to mask_func.
      size: how many indices to return; needed where mask_func's result is traced. Index 0 fills up.

    Returns:
      The rows and the columns.

    Raises:
      ConcretizationTypeError: the mask is traced and there is no size.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.mask_indices(2, cnp.triu)
      (Array([0, 0, 1], dtype=int32), Array([0, 1, 1], dtype=int32))
    """
    from .creation import ones
    from .sorting import nonzero

    return nonzero(mask_func(ones((n, n)), k), size=size)


def tril_indices_from(arr: Any, k: int = 0) -> tuple[Any, Any]:
    """The indices of the lower triangle of a matrix, as `numpy.tril_indices_from`.

    Args:
      arr: an array of two dimensions.
      k: the diagonal: 0 the main one, positive above it.

    Returns:
      Two arrays of integers.

    Raises:
      ValueError: arr is not of two dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.tril_indices_from(cnp.zeros((1, 2)))
      (Array([0], dtype=int32), Array([0], dtype=int32))
    """
    return tril_indices(*_two_dimensions("tril_indices_from", arr, k))


def triu_indices_from(arr: Any, k: int = 0) -> tuple[Any, Any]:
    """The indices of the upper triangle of a matrix, as `numpy.triu_indices_from`.

    Args:
      arr: an array of two dimensions.
      k: the diagonal: 0 the main one, positive above it.

    Returns:
      Two arrays of integers.

    Raises:
      ValueError: arr is not of two dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.triu_indices_from(cnp.zeros((2, 1)))
      (Array([0], dtype=int32), Array([0], dtype=int32))
    """
    return triu_indices(*_two_dimensions("triu_indices_from", arr, k))


def _two_dimensions(name: str, arr: Any, k: int) -> tuple[int, int, int]:
    shape = shape_of(arr)
    if len(shape) != 2:
        raise ValueError(f"Only 2-D inputs are accepted by {name}, got shape {shape}.")
    return shape[0], k, shape[1]


@composite(static_argnames=("N", "increasing"))
def _vander(x: Any, *, N: int, increasing: bool) -> Any:
    powers = lax.iota(dtype_of(x), N)
    if not increasing:
        powers = lax.rev(powers, (0,))
    full = (shape_of(x)[0], N)
    base, exponent = lax.broadcast_in_dim(x, full, (0,)), lax.broadcast_in_dim(powers, full, (1,))
    return (
        bodies.integer_power(base, exponent)
        if dtypes.issubdtype(dtype_of(x), np.integer)
        else lax.pow(base, exponent)
    )


@composite(static_argnames=("N", "increasing"))
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The Vandermonde matrix, powers of x as columns, as `numpy.vander`.

    Args:
      x: a one-dimensional array.
      N: number of columns; x.size by default.
      increasing: whether the powers ascend.

    Returns:
      An array of shape (x.size, N).

    Raises:
      ValueError: x is not one-dimensional, or N is negative.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.vander(cnp.array([1.0, 2.0]), 2)
      Array([[1., 1.],
             [2., 1.]], dtype=float32)
    """
    check_arraylike("vander", x)
    if len(shape_of(x)) != 1:
        raise ValueError(f"x must be a one-dimensional array, got shape {shape_of(x)}.")
    N = shape_of(x)[0] if N is None else operator.index(N)
    if N < 0:
        raise ValueError(f"N must be nonnegative, got {N}.")
    return _vander(as_array(x), N=N, increasing=bool(increasing))


# --- taking out and putting in ------------------------------------------------------------------


def delete(arr: Any, obj: Any, axis: int | None = None, *, assume_unique_indices: bool = False) -> Any:
    """An array without some of its slices, as `numpy.delete`.

    Args:
      arr: an array.
      obj: an index, a slice, or concrete indices or mask of what to leave out.
      axis: the axis; None flattens arr first.
      assume_unique_indices: with traced indices: a promise that none occurs twice.

    Returns:
      An array.

    Raises:
      IndexError: an index is out of bounds.
      ConcretizationTypeError: indices are traced without the promise.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.delete(cnp.arange(4), 1)
      Array([0, 2, 3], dtype=int32)
    """
    from .indexing import take

    check_arraylike("delete", arr)
    arr = ravel(arr) if axis is None else as_array(arr)
    axis = canonical_axis(0 if axis is None else axis, len(shape_of(arr)))
    size = shape_of(arr)[axis]
    if is_symbolic_dim(size):
        starts = sorted(set(_known_places("delete", obj, size)))
        edges = [0, *(edge for start in starts for edge in (start, start + 1)), size]
        pieces = zip(edges[::2], edges[1::2], strict=True)
        return concatenate([lax.slice_in_dim(arr, low, high, axis=axis) for low, high in pieces], axis)
    if assume_unique_indices and not isinstance(obj, (int, slice)):
        removed = bodies.where(
            lax.lt(as_array(obj), const(obj, 0)), lax.add(as_array(obj), const(obj, size)), as_array(obj)
        )
        flat = ravel(removed)
        left = size - shape_of(flat)[0]
        gone = lax.reduce_or(lax.eq(*_grid(size, flat)), (1,))
        from .sorting import nonzero

        kept = nonzero(lax.bitwise_not(gone), size=left)[0]
        return take(arr, kept, axis=axis, mode="clip")
    if not isinstance(obj, slice):
        from canter.core.trace import Tracer, concrete_or_error

        if isinstance(obj, Tracer):
            obj = concrete_or_error(None, obj, "delete needs concrete indices; see assume_unique_indices.")
        obj = obj if isinstance(obj, int) else np.asarray(obj)
        if isinstance(obj, np.ndarray) and obj.size == 0:
            obj = obj.astype(int)
    kept = np.delete(np.arange(size), obj)
    return take(arr, kept.astype(np.int32), axis=axis, mode="clip")


def _known_places(name: str, obj: Any, size: Any) -> list[Any]:
    """The places that indices name in a symbolic dimension, in their order.

    Raises:
      TypeError: they are no ints, or some count from the start and some from the end.
      IndexError: `delete`, and it is not certain that they are within the dimension.
    """
    indices = None if isinstance(obj, slice) or aval_of(obj) is not None else np.asarray(obj)
    if indices is None or indices.dtype.kind not in "iu" or (np.any(indices < 0) and np.any(indices >= 0)):
        raise TypeError(
            f"{name}: a dimension of the symbolic size {size} takes ints that all count from its start, or all from "
            f"its end; got {obj!r}. Give the indices as ints, or export for a known size."
        )
    places = [i + size if i < 0 else i for i in indices.ravel().tolist()]
    if name == "insert":  # what is beyond an end is put there, as indices that are arrays are
        return [max_dim(min_dim(place, size), 0) for place in places]
    if not all(surely_less(-1, place) and surely_less(place, size) for place in places):
        raise IndexError(
            f"{name}: whether the index {obj!r} is within a dimension of the symbolic size {size} depends on that "
            "size. Say what holds of it: symbolic_shape(..., constraints=[...])."
        )
    return places


def _grid(size: int, indices: Any) -> tuple[Any, Any]:
    full = (size, shape_of(indices)[0])
    places = convert(lax.iota(np.int32, size), dtype_of(indices))
    return lax.broadcast_in_dim(places, full, (0,)), lax.broadcast_in_dim(indices, full, (1,))


def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """An array with values put in before indices, as `numpy.insert`.

    Args:
      arr: an array.
      obj: an index, a slice, or concrete indices, in arr's own numbering.
      values: an array that broadcasts to what is put in.
      axis: the axis; None flattens arr first.

    Returns:
      An array.

    Raises:
      IndexError: an index is out of bounds, as in NumPy.
      ConcretizationTypeError: the indices are traced.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.insert(cnp.arange(3), 1, 9)
      Array([0, 9, 1, 2], dtype=int32)
    """
    from .indexing import take

    check_arraylike("insert", arr, 0 if isinstance(obj, slice) else obj, values)
    arr = ravel(arr) if axis is None else as_array(arr)
    values = ravel(values) if axis is None else as_array(values)
    axis = canonical_axis(0 if axis is None else axis, len(shape_of(arr)))
    size = shape_of(arr)[axis]
    symbolic = is_symbolic_dim(size)
    places = _known_places("insert", obj, size) if symbolic else []
    where = np.arange(size)[obj] if isinstance(obj, slice) and not symbolic else np.asarray(obj)
    rank = len(shape_of(arr))
    if where.ndim == 0:
        # A single place takes several slices, as NumPy has it.
        if len(shape_of(values)) == 0:
            values = lax.broadcast(values, (1,) * rank)
        values = lax.broadcast_in_dim(values, (1,) * (rank - len(shape_of(values))) + shape_of(values),
                                      tuple(range(rank - len(shape_of(values)), rank)))  # fmt: skip
        if axis is not None and len(shape_of(values)) == rank and rank > 1:
            values = (
                moveaxis(values, 0, axis)
                if shape_of(values)[axis] != 1 and shape_of(values)[0] == 1
                else values
            )
        count = shape_of(values)[axis]
        where = np.full((count,), int(where))
    else:
        where = where.ravel()
        count = where.size
    if symbolic:
        places = places * (count // len(places)) if places else []
    else:
        where = np.where(where < 0, where + size, where)
        if where.size and (where.min() < 0 or where.max() > size):
            raise IndexError(
                f"insert: index out of bounds for axis {axis} with size {size}: {where.tolist()}."
            )
    target = tuple(count if i == axis else n for i, n in enumerate(shape_of(arr)))
    values = convert(broadcast_to(values, target), dtype_of(arr))
    order = np.argsort(where, kind="stable")
    if symbolic:
        starts = [0, *(places[i] for i in order), size]
        pieces = [lax.slice_in_dim(arr, low, high, axis=axis) for low, high in pairwise(starts)]
        rows = [lax.slice_in_dim(values, i, i + 1, axis=axis) for i in order.tolist()]
        return concatenate([piece for pair in zip(pieces, rows) for piece in pair] + pieces[-1:], axis)
    final = np.empty(size + count, np.int32)
    mine = np.zeros(size + count, bool)
    mine[where[order] + np.arange(count)] = True
    final[mine] = size + order
    final[~mine] = np.arange(size)
    return take(concatenate([arr, values], axis), final, axis=axis, mode="clip")
