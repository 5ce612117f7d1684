"""Copies of arrays with some elements replaced: place, put, put_along_axis; and bits in bytes."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from canter import lax
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from . import ufunc_bodies as bodies
from .sorting import index_dtype
from .util import (
    broadcast_shape,
    broadcast_to,
    canonical_axis,
    check_arraylike,
    convert,
    dtype_of,
    dtype_rank,
    shape_of,
)

__all__ = ["packbits", "place", "put", "put_along_axis", "unpackbits"]


def _refuse_inplace(name: str, inplace: bool) -> None:
    if inplace:
        raise ValueError(
            f"canter.numpy.{name} cannot modify arrays in place, because arrays are immutable. Pass inplace=False "
            f"and use what it returns, or `x.at[...].set(...)`."
        )


@composite
def _place(arr: Any, mask: Any, vals: Any) -> Any:
    shape, size = shape_of(arr), math.prod(shape_of(arr))
    arr, mask = as_array(arr), lax.reshape(bodies.to_bool(as_array(mask)), (size,))
    vals = lax.reshape(as_array(vals), (math.prod(shape_of(vals)),))
    dtype = index_dtype()
    order = lax.sub(lax.cumsum(convert(mask, dtype), 0), const(lax.iota(dtype, size), 1))
    chosen = vals.at[bodies.remainder(order, np.full((), shape_of(vals)[0], dtype))].get(mode="clip")
    return bodies.where(lax.reshape(mask, shape), convert(lax.reshape(chosen, shape), dtype_of(arr)), arr)


def place(arr: Any, mask: Any, vals: Any, *, inplace: bool = True) -> Any:
    """A copy with the elements under a mask replaced in turn by values, as `numpy.place`.

    Args:
      arr: an array.
      mask: a boolean array of as many elements.
      vals: an array, flattened; it begins anew when it is used up.
      inplace: must be False: arrays are immutable, so the result is returned.

    Returns:
      An array of arr's shape and dtype.

    Raises:
      ValueError: inplace is true, the sizes differ, or there are no values.

    Example:
      >>> import canter.numpy as cnp
      >>> x = cnp.arange(5)
      >>> cnp.place(x, x > 1, cnp.array([10, 20]), inplace=False)
      Array([ 0,  1, 10, 20, 10], dtype=int32)
    """
    check_arraylike("place", arr, mask, vals)
    _refuse_inplace("place", inplace)
    if math.prod(shape_of(arr)) != math.prod(shape_of(mask)):
        raise ValueError(
            f"place: arr and mask must have the same size, got shapes {shape_of(arr)}, {shape_of(mask)}."
        )
    if not math.prod(shape_of(vals)):
        raise ValueError("place: cannot place values from an empty array.")
    return _place(arr, mask, vals) if math.prod(shape_of(arr)) else as_array(arr)


def put(a: Any, ind: Any, v: Any, mode: str | None = None, *, inplace: bool = True) -> Any:
    """A copy with the elements at flat indices replaced by values, as `numpy.put`.

    Args:
      a: an array.
      ind: an array of integers: indices into the flattened array.
      v: an array, flattened; it begins anew when it is used up.
      mode: what indices out of bounds mean: "clip" the nearest end, "wrap" going round. By default they are
        clipped, after those below 0 are counted from the end.
      inplace: must be False: arrays are immutable, so the result is returned.

    Returns:
      An array of a's shape and dtype.

    Raises:
      ValueError: inplace is true, or the mode is unknown.
      NotImplementedError: mode is "raise": a compiled program cannot.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.put(cnp.zeros(4), cnp.array([0, -1]), cnp.array([1.0, 2.0]), inplace=False)
      Array([1., 0., 0., 2.], dtype=float32)
    """
    check_arraylike("put", a, ind, v)
    _refuse_inplace("put", inplace)
    if mode == "raise":
        raise NotImplementedError(
            'put: mode="raise" is not supported, because compiled programs do not raise; use "clip" or "wrap".'
        )
    if mode not in (None, "clip", "wrap"):
        raise ValueError(f'put: mode should be one of "clip", "wrap" or None, got {mode!r}.')
    if dtype_rank(dtype_of(ind)) > 1:
        raise TypeError(f"put takes integers as indices, got {dtype_of(ind)}.")
    if 0 in (math.prod(shape_of(x)) for x in (a, ind, v)):
        return as_array(a)
    return _put(a, ind, v, mode=mode)


@composite(static_argnames=("mode",))
def _put(a: Any, ind: Any, v: Any, *, mode: str | None) -> Any:
    shape, size, count = shape_of(a), math.prod(shape_of(a)), math.prod(shape_of(ind))
    flat = lax.reshape(as_array(a), (size,))
    places = lax.reshape(convert(as_array(ind), index_dtype()), (count,))
    values = lax.reshape(as_array(v), (math.prod(shape_of(v)),))
    values = as_array(values).at[np.arange(count) % shape_of(values)[0]].get(mode="clip")
    if mode == "wrap":
        places = bodies.remainder(places, const(places, size))
    elif mode is None:
        places = bodies.where(lax.lt(places, const(places, 0)), lax.add(places, const(places, size)), places)
    places = lax.clamp(const(places, 0), places, const(places, size - 1))
    out = flat.at[places].set(convert(values, dtype_of(a)), mode="promise_in_bounds")
    return lax.reshape(out, shape)


def put_along_axis(
    arr: Any, indices: Any, values: Any, axis: int | None, inplace: bool = True, *, mode: Any = None
) -> Any:
    """A copy with elements along an axis replaced, each position with indices of its own, as `numpy.put_along_axis`.

    Args:
      arr: an array.
      indices: an array of integers with as many dimensions; the others broadcast.
      values: an array that broadcasts to the indices.
      axis: the axis; None flattens arr first.
      inplace: must be False: arrays are immutable, so the result is returned.
      mode: "drop" (the default) leaves indices out of bounds out, "clip" takes the nearest end.

    Returns:
      An array of arr's shape and dtype.

    Raises:
      ValueError: inplace is true, or the numbers of dimensions differ.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.put_along_axis(cnp.zeros((2, 2)), cnp.array([[1], [0]]), 5.0, 1, inplace=False)
      Array([[0., 5.],
             [5., 0.]], dtype=float32)
    """
    check_arraylike("put_along_axis", arr, indices, values)
    _refuse_inplace("put_along_axis", inplace)
    if dtype_rank(dtype_of(indices)) != 1:
        raise TypeError(f"put_along_axis takes integers as indices, got {dtype_of(indices)}.")
    shape = shape_of(arr)
    array = as_array(arr)
    if axis is None:
        array, axis = lax.reshape(array, (math.prod(shape),)), 0
    rank = len(shape_of(array))
    if rank != len(shape_of(indices)):
        raise ValueError(
            f"put_along_axis: arr and indices must have the same number of dimensions; got shapes "
            f"{shape_of(array)} and {shape_of(indices)}."
        )
    axis = canonical_axis(axis, rank)
    other = [1 if i == axis else n for i, n in enumerate(shape_of(array))]
    common = broadcast_shape(shape_of(indices), other)
    index: list[Any] = [lax.broadcasted_iota(np.int32, common, i) for i in range(rank)]
    index[axis] = broadcast_to(as_array(indices), common)
    if broadcast_shape(shape_of(values), common) != common:
        raise ValueError(f"put_along_axis: values of shape {shape_of(values)} do not broadcast to {common}.")
    out = array.at[tuple(index)].set(convert(values, dtype_of(array)), mode=mode)
    return lax.reshape(out, shape)


# --- bits ---------------------------------------------------------------------------------------


def _weights(bitorder: str) -> np.ndarray:
    if bitorder not in ("big", "little"):
        raise ValueError(f"bitorder must be either 'big' or 'little', got {bitorder!r}.")
    weights = np.uint8(1) << np.arange(8, dtype=np.uint8)
    return weights if bitorder == "little" else weights[::-1]


def _along_last(a: Any, axis: int | None) -> tuple[Any, int]:
    """a with the axis to work on at the end, and where it was."""
    if axis is None:
        return lax.reshape(a, (math.prod(shape_of(a)),)), 0
    rank = len(shape_of(a))
    axis = canonical_axis(axis, rank)
    return lax.transpose(a, (*(i for i in range(rank) if i != axis), axis)), axis


def _put_back(a: Any, axis: int) -> Any:
    last = len(shape_of(a)) - 1
    return lax.transpose(a, (*range(axis), last, *range(axis, last)))


@composite(static_argnames=("axis", "bitorder"))
def _packbits(a: Any, *, axis: int | None, bitorder: str) -> Any:
    bits, axis = _along_last(bodies.to_bool(as_array(a)), axis)
    bits = convert(bits, np.dtype(np.uint8))
    rank, count = len(shape_of(bits)), -(-shape_of(bits)[-1] // 8)
    padding = [(0, 0, 0)] * (rank - 1) + [(0, 8 * count - shape_of(bits)[-1], 0)]
    bits = lax.reshape(lax.pad(bits, np.uint8(0), padding), (*shape_of(bits)[:-1], count, 8))
    weights = lax.broadcast_in_dim(_weights(bitorder), shape_of(bits), (rank,))
    return _put_back(lax.reduce_sum(lax.mul(bits, weights), (rank,)), axis)


def packbits(a: Any, axis: int | None = None, bitorder: str = "big") -> Any:
    """Eight booleans a byte, as `numpy.packbits`.

    Args:
      a: an array of booleans or integers, which count as whether they are zero.
      axis: the axis; None flattens a first.
      bitorder: whether the first element is the highest bit ("big") or the lowest ("little").

    Returns:
      An array of uint8; zeros fill up the last byte.

    Raises:
      TypeError: a is not of booleans or integers.
      ValueError: bitorder is unknown, or the axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.packbits(cnp.array([1, 0, 1]))
      Array([160], dtype=uint8)
    """
    check_arraylike("packbits", a)
    if dtype_rank(dtype_of(a)) > 1:
        raise TypeError(f"packbits takes an array of integers or booleans, got {dtype_of(a)}.")
    _weights(bitorder)
    return _packbits(a, axis=axis if axis is None else operator.index(axis), bitorder=bitorder)


@composite(static_argnames=("axis", "count", "bitorder"))
def _unpackbits(a: Any, *, axis: int | None, count: int | None, bitorder: str) -> Any:
    packed, axis = _along_last(as_array(a), axis)
    shape = (*shape_of(packed), 8)
    rank = len(shape) - 1
    weights = lax.broadcast_in_dim(_weights(bitorder), shape, (rank,))
    spread = lax.broadcast_in_dim(packed, shape, tuple(range(rank)))
    bits = convert(lax.ne(lax.bitwise_and(spread, weights), const(spread, 0)), np.dtype(np.uint8))
    bits = lax.reshape(bits, (*shape[:-2], shape[-2] * 8))
    if count is not None:
        total = shape[-2] * 8
        change = count if count < 0 else count - total
        if total + change < 0:
            raise ValueError(f"unpackbits: count={count} takes off more than the {total} bits there are.")
        bits = lax.pad(bits, np.uint8(0), [(0, 0, 0)] * (rank - 1) + [(0, change, 0)])
    return _put_back(bits, axis)


def unpackbits(a: Any, axis: int | None = None, count: int | None = None, bitorder: str = "big") -> Any:
    """The bits of bytes, one an element, as `numpy.unpackbits`.

    Args:
      a: an array of uint8.
      axis: the axis; None flattens a first.
      count: how many bits to give: less are left off, more are zeros; if negative, how many to leave off.
      bitorder: whether the highest bit comes first ("big") or the lowest ("little").

    Returns:
      An array of uint8, zeros and ones.

    Raises:
      TypeError: a is not of uint8.
      ValueError: bitorder is unknown, or the axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.unpackbits(cnp.array([160], cnp.uint8), count=3)
      Array([1, 0, 1], dtype=uint8)
    """
    check_arraylike("unpackbits", a)
    if dtype_of(a) != np.uint8:
        raise TypeError(f"unpackbits takes an array of uint8, got {dtype_of(a)}.")
    _weights(bitorder)
    return _unpackbits(
        a,
        axis=axis if axis is None else operator.index(axis),
        count=count if count is None else operator.index(count),
        bitorder=bitorder,
    )
