"""Functions that rearrange arrays: reshape, transpose, join, split, repeat, pad, roll."""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.core.trace import Tracer
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from . import ufunc_bodies as bodies
from .creation import asarray, place
from .util import (
    aval_of,
    canonical_axes,
    canonical_axis,
    canonical_shape,
    check_arraylike,
    convert,
    dtype_of,
    promote_dtypes,
    refuse_out,
    shape_of,
)
from .util import (
    broadcast_to as broadcast_known,
)

__all__ = [
    "append", "array_split", "atleast_1d", "atleast_2d", "atleast_3d", "block", "broadcast_arrays",
    "broadcast_shapes", "broadcast_to", "column_stack", "concat", "concatenate",
    "dsplit", "dstack", "expand_dims", "flip", "fliplr", "flipud", "hsplit", "hstack",
    "matrix_transpose", "moveaxis", "ndim", "permute_dims", "ravel", "repeat", "reshape", "resize", "roll",
    "rollaxis", "rot90", "shape", "size", "split", "squeeze", "stack", "swapaxes", "tile", "transpose",
    "unstack", "vsplit", "vstack",
]  # fmt: skip


# --- asking -------------------------------------------------------------------------------------


def shape(a: Any) -> tuple[int, ...]:
    """The shape of an array, as `numpy.shape`.

    Args:
      a: an array, number, or nested sequence of them.

    Returns:
      A tuple of ints.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.shape(cnp.zeros((2, 3)))
      (2, 3)
    """
    own = getattr(a, "shape", None)
    return tuple(own) if own is not None and not callable(own) else np.shape(a)


def ndim(a: Any) -> int:
    """The number of dimensions of an array, as `numpy.ndim`.

    Args:
      a: an array, number, or nested sequence of them.

    Returns:
      An int.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.ndim(cnp.zeros((2, 3)))
      2
    """
    return len(shape(a))


def size(a: Any, axis: int | Sequence[int] | None = None) -> int:
    """The number of elements of an array, or along axes, as `numpy.size`.

    Args:
      a: an array, number, or nested sequence of them.
      axis: an axis or several; None for all.

    Returns:
      An int.

    Raises:
      ValueError: an axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.size(cnp.zeros((2, 3)), 1)
      3
    """
    own = shape(a)
    return math.prod(own[i] for i in canonical_axes(axis, len(own)))


# --- one array ----------------------------------------------------------------------------------


def _resolved_shape(own: tuple[int, ...], shape: Any) -> tuple[int, ...]:
    """A reshape's target, with -1 filled in.

    Raises:
      TypeError: the sizes do not agree.
    """
    if isinstance(shape, (int, np.integer)):
        shape = (shape,)
    try:
        dims = [operator.index(n) for n in shape]
    except TypeError:
        return canonical_shape(shape)  # raises with the reason
    total = math.prod(own)
    if dims.count(-1) > 1:
        raise ValueError("can only specify one unknown dimension: reshape takes -1 once.")
    known = math.prod(n for n in dims if n != -1)
    if -1 in dims:
        if known == 0 or total % known:
            raise TypeError(
                f"cannot reshape array of shape {own} (size {total}) into shape {tuple(dims)} because the "
                f"product of specified axis sizes ({known}) does not evenly divide {total}."
            )
        dims[dims.index(-1)] = total // known
    elif known != total:
        raise TypeError(
            f"cannot reshape array of shape {own} (size {total}) into shape {tuple(dims)} (size {known}). "
            "The sizes must agree; one dimension may be -1, which stands for what is left."
        )
    return tuple(dims)


@composite(static_argnames=("shape", "order"))
def _reshape(a: Any, *, shape: tuple[int, ...], order: str) -> Any:
    if order == "F":
        a = lax.transpose(a, tuple(reversed(range(len(shape_of(a))))))
        a = lax.reshape(a, tuple(reversed(shape)))
        return lax.transpose(a, tuple(reversed(range(len(shape)))))
    return lax.reshape(a, shape)


def reshape(
    a: Any, shape: Any, order: str = "C", *, copy: bool | None = None, out_sharding: Any = None
) -> Any:
    """The elements in another shape, as `numpy.reshape`.

    Args:
      a: an array or number.
      shape: an int or sequence of ints; one may be -1 and is then inferred.
      order: "C" (last axis fastest) or "F" (first axis fastest).
      copy: True or None; arrays are never views.
      out_sharding: a sharding to put the result on.

    Returns:
      An array.

    Raises:
      TypeError: the sizes do not agree.
      NotImplementedError: order "A", or copy=False.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.reshape(cnp.arange(6), (2, -1)).shape
      (2, 3)
    """
    if copy is False:
        raise NotImplementedError("canter.numpy.reshape always copies: copy=False is not supported.")
    if order not in ("C", "F"):
        if order == "A":
            raise NotImplementedError("canter.numpy.reshape order='A' is not implemented.")
        raise ValueError(f"Unexpected value for 'order' argument: {order!r}. Use 'C' or 'F'.")
    check_arraylike("reshape", a)
    a = as_array(a)
    own = shape_of(a)
    shape = _resolved_shape(own, shape)
    if shape == own and out_sharding is None and aval_of(a) is not None and order == "C":
        return a
    return place(_reshape(a, shape=shape, order=order), None, out_sharding)


def ravel(a: Any, order: str = "C", *, out_sharding: Any = None) -> Any:
    """The elements in one dimension, as `numpy.ravel`.

    Args:
      a: an array or number.
      order: "C" or "F".
      out_sharding: a sharding to put the result on.

    Returns:
      A one-dimensional array.

    Raises:
      NotImplementedError: order "K" or "A".

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.ravel(cnp.zeros((2, 3))).shape
      (6,)
    """
    if order == "K":
        raise NotImplementedError("canter.numpy.ravel not implemented for order='K'.")
    check_arraylike("ravel", a)
    return reshape(a, (math.prod(shape_of(a)),), order, out_sharding=out_sharding)


@composite(static_argnames=("permutation",))
def _transpose(a: Any, *, permutation: tuple[int, ...]) -> Any:
    return lax.transpose(a, permutation)


def transpose(a: Any, axes: Sequence[int] | None = None) -> Any:
    """The axes in another order, reversed by default, as `numpy.transpose`.

    Args:
      a: an array or number.
      axes: a permutation of the axes.

    Returns:
      An array.

    Raises:
      TypeError: `axes` is not a permutation of the axes.
      ValueError: an axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.transpose(cnp.zeros((2, 3))).shape
      (3, 2)
    """
    check_arraylike("transpose", a)
    count = len(shape_of(a))
    if axes is None:
        permutation = tuple(range(count - 1, -1, -1))
    else:
        permutation = tuple(canonical_axis(i, count) for i in axes)
        if sorted(permutation) != list(range(count)):
            raise TypeError(
                f"transpose permutation isn't a permutation of operand dimensions, got permutation {tuple(axes)} "
                f"for operand shape {shape_of(a)}."
            )
    return _transpose(as_array(a), permutation=permutation)


permute_dims = transpose


def matrix_transpose(x: Any, /) -> Any:
    """The last two axes exchanged, as `numpy.matrix_transpose`.

    Args:
      x: an array of at least two dimensions.

    Returns:
      An array.

    Raises:
      ValueError: x has fewer than two dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.matrix_transpose(cnp.zeros((5, 2, 3))).shape
      (5, 3, 2)
    """
    check_arraylike("matrix_transpose", x)
    count = len(shape_of(x))
    if count < 2:
        raise ValueError(f"x must be at least two-dimensional for matrix_transpose; got ndim={count}.")
    return _transpose(as_array(x), permutation=(*range(count - 2), count - 1, count - 2))


def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    """Two axes exchanged, as `numpy.swapaxes`.

    Args:
      a: an array.
      axis1, axis2: the axes.

    Returns:
      An array.

    Raises:
      ValueError: an axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.swapaxes(cnp.zeros((2, 3, 4)), 0, 2).shape
      (4, 3, 2)
    """
    check_arraylike("swapaxes", a)
    count = len(shape_of(a))
    one, two = canonical_axis(axis1, count), canonical_axis(axis2, count)
    order = list(range(count))
    order[one], order[two] = two, one
    return _transpose(as_array(a), permutation=tuple(order))


def moveaxis(a: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """Axes moved to other places, the others in order, as `numpy.moveaxis`.

    Args:
      a: an array.
      source: the axes to move.
      destination: where each goes.

    Returns:
      An array.

    Raises:
      ValueError: an axis is out of bounds or given twice, or the numbers of axes differ.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.moveaxis(cnp.zeros((2, 3, 4)), 0, -1).shape
      (3, 4, 2)
    """
    check_arraylike("moveaxis", a)
    count = len(shape_of(a))
    source = canonical_axes(source, count)
    destination = canonical_axes(destination, count)
    if len(source) != len(destination):
        raise ValueError(
            f"Inconsistent number of elements: source {source} and destination {destination} must have one length."
        )
    order = [i for i in range(count) if i not in source]
    for place_, axis in sorted(zip(destination, source, strict=True)):
        order.insert(place_, axis)
    return _transpose(as_array(a), permutation=tuple(order))


def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """An axis moved before another, as `numpy.rollaxis`.

    Args:
      a: an array.
      axis: the axis to move.
      start: the axis before which it goes.

    Returns:
      An array.

    Raises:
      ValueError: an axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.rollaxis(cnp.zeros((2, 3, 4)), 2).shape
      (4, 2, 3)
    """
    check_arraylike("rollaxis", a)
    count = len(shape_of(a))
    axis = canonical_axis(axis, count)
    if not -count <= start <= count:
        raise ValueError(
            f"start={start} must be between {-count} and {count} for an array of {count} dimensions."
        )
    start = start + count if start < 0 else start
    return moveaxis(a, axis, start - 1 if axis < start else start)


@composite(static_argnames=("axes",))
def _expand_dims(a: Any, *, axes: tuple[int, ...]) -> Any:
    return lax.expand_dims(a, axes)


def expand_dims(a: Any, axis: int | Sequence[int]) -> Any:
    """Dimensions of size 1 inserted, as `numpy.expand_dims`.

    Args:
      a: an array or number.
      axis: where, in the result.

    Returns:
      An array.

    Raises:
      ValueError: an axis is out of bounds or given twice.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.expand_dims(cnp.zeros(3), 0).shape
      (1, 3)
    """
    check_arraylike("expand_dims", a)
    axes = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    return _expand_dims(as_array(a), axes=canonical_axes(axes, len(shape_of(a)) + len(axes)))


@composite(static_argnames=("axes",))
def _squeeze(a: Any, *, axes: tuple[int, ...]) -> Any:
    return lax.squeeze(a, axes)


def squeeze(a: Any, axis: int | Sequence[int] | None = None) -> Any:
    """Dimensions of size 1 removed, as `numpy.squeeze`.

    Args:
      a: an array or number.
      axis: which; None for all of size 1.

    Returns:
      An array.

    Raises:
      ValueError: an axis is out of bounds or not of size 1.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.squeeze(cnp.zeros((1, 3, 1))).shape
      (3,)
    """
    check_arraylike("squeeze", a)
    own = shape_of(a)
    axes = tuple(i for i, n in enumerate(own) if n == 1) if axis is None else canonical_axes(axis, len(own))
    if builtins.any(own[i] != 1 for i in axes):
        raise ValueError(
            f"cannot select an axis to squeeze out which has size not equal to one, got shape={own} and axes={axes}."
        )
    a = as_array(a)
    return _squeeze(a, axes=axes) if axes else a


@composite(static_argnames=("axes",))
def _flip(m: Any, *, axes: tuple[int, ...]) -> Any:
    return lax.rev(m, axes)


def flip(m: Any, axis: int | Sequence[int] | None = None) -> Any:
    """The elements in reverse order along axes, as `numpy.flip`.

    Args:
      m: an array or number.
      axis: the axes; None for all.

    Returns:
      An array.

    Raises:
      ValueError: an axis is out of bounds or given twice.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.flip(cnp.arange(3))
      Array([2, 1, 0], dtype=int32)
    """
    check_arraylike("flip", m)
    return _flip(as_array(m), axes=canonical_axes(axis, len(shape_of(m))))


def flipud(m: Any) -> Any:
    """The first axis reversed, as `numpy.flipud`.

    Args:
      m: an array of at least one dimension.

    Returns:
      An array.

    Raises:
      ValueError: m has no dimension.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.flipud(cnp.arange(3))
      Array([2, 1, 0], dtype=int32)
    """
    return flip(m, 0)


def fliplr(m: Any) -> Any:
    """The second axis reversed, as `numpy.fliplr`.

    Args:
      m: an array of at least two dimensions.

    Returns:
      An array.

    Raises:
      ValueError: m has fewer than two dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.fliplr(cnp.array([[1, 2]]))
      Array([[2, 1]], dtype=int32)
    """
    return flip(m, 1)


def rot90(m: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Any:
    """A rotation by 90 degrees in the plane of two axes, as `numpy.rot90`.

    Args:
      m: an array of at least two dimensions.
      k: how many times.
      axes: the plane, turned from the first towards the second.

    Returns:
      An array.

    Raises:
      ValueError: the axes are equal or out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.rot90(cnp.array([[1, 2], [3, 4]]))
      Array([[2, 4],
             [1, 3]], dtype=int32)
    """
    check_arraylike("rot90", m)
    first, second = canonical_axes(tuple(axes), len(shape_of(m)))
    turns = operator.index(k) % 4
    if turns == 0:
        return asarray(m)
    if turns == 2:
        return flip(m, (first, second))
    if turns == 1:
        return swapaxes(flip(m, second), first, second)
    return flip(swapaxes(m, first, second), second)


def _at_least(count: int, widen: Callable[[tuple[int, ...]], tuple[int, ...]]) -> Callable[[Any], Any]:
    def one(a: Any) -> Any:
        check_arraylike(f"atleast_{count}d", a)
        a = as_array(a)
        own = shape_of(a)
        return a if len(own) >= count else reshape(a, widen(own))

    return one


_atleast = {
    1: _at_least(1, lambda s: (1,)),
    2: _at_least(2, lambda s: (1, *s) if s else (1, 1)),
    3: _at_least(3, lambda s: {0: (1, 1, 1), 1: (1, *s, 1), 2: (*s, 1)}[len(s)]),
}


def atleast_1d(*arys: Any) -> Any:
    """Arrays with at least one dimension, as `numpy.atleast_1d`.

    Args:
      *arys: arrays or numbers.

    Returns:
      An array, or a list of them.

    Raises:
      TypeError: an argument is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.atleast_1d(1.0).shape
      (1,)
    """
    out = [_atleast[1](a) for a in arys]
    return out[0] if len(out) == 1 else out


def atleast_2d(*arys: Any) -> Any:
    """Arrays with at least two dimensions, as `numpy.atleast_2d`.

    Args:
      *arys: arrays or numbers.

    Returns:
      An array, or a list of them.

    Raises:
      TypeError: an argument is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.atleast_2d(cnp.zeros(3)).shape
      (1, 3)
    """
    out = [_atleast[2](a) for a in arys]
    return out[0] if len(out) == 1 else out


def atleast_3d(*arys: Any) -> Any:
    """Arrays with at least three dimensions, as `numpy.atleast_3d`.

    Args:
      *arys: arrays or numbers.

    Returns:
      An array, or a list of them.

    Raises:
      TypeError: an argument is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.atleast_3d(cnp.zeros(3)).shape
      (1, 3, 1)
    """
    out = [_atleast[3](a) for a in arys]
    return out[0] if len(out) == 1 else out


# --- broadcasting -------------------------------------------------------------------------------


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape to which shapes broadcast, as `numpy.broadcast_shapes`.

    Args:
      *shapes: shapes.

    Returns:
      A tuple of ints.

    Raises:
      ValueError: they do not broadcast together.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.broadcast_shapes((2, 1), (3,))
      (2, 3)
    """
    from .util import broadcast_shape

    return broadcast_shape(*(canonical_shape(s) for s in shapes))


@composite(static_argnames=("shape",))
def _broadcast_to(array: Any, *, shape: tuple[int, ...]) -> Any:
    return broadcast_known(array, shape)


def broadcast_to(array: Any, shape: Any, *, out_sharding: Any = None) -> Any:
    """An array repeated to a shape by the rules of broadcasting, as `numpy.broadcast_to`.

    Args:
      array: an array or number.
      shape: the shape.
      out_sharding: a sharding to put the result on.

    Returns:
      An array.

    Raises:
      ValueError: the array's shape does not broadcast to the shape.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.broadcast_to(cnp.arange(2), (2, 2))
      Array([[0, 1],
             [0, 1]], dtype=int32)
    """
    check_arraylike("broadcast_to", array)
    shape = canonical_shape(shape)
    array = as_array(array)
    own = shape_of(array)
    if own == shape:
        return place(array, None, out_sharding)
    tail = shape[len(shape) - len(own) :]
    if len(own) > len(shape) or builtins.any(n not in (1, m) for n, m in zip(own, tail, strict=True)):
        raise ValueError(
            f"Incompatible shapes for broadcasting: {own} and requested shape {shape}. Aligned at the last "
            "dimension, the array's sizes must be 1 or those requested."
        )
    return place(_broadcast_to(array, shape=shape), None, out_sharding)


def broadcast_arrays(*args: Any) -> list[Any]:
    """Arrays broadcast to one shape, as `numpy.broadcast_arrays`.

    Args:
      *args: arrays or numbers.

    Returns:
      A list of arrays.

    Raises:
      ValueError: the shapes do not broadcast together.

    Example:
      >>> import canter.numpy as cnp
      >>> [x.shape for x in cnp.broadcast_arrays(cnp.zeros((2, 1)), cnp.zeros(3))]
      [(2, 3), (2, 3)]
    """
    check_arraylike("broadcast_arrays", *args)
    common = broadcast_shapes(*(shape_of(a) for a in args)) if args else ()
    return [broadcast_to(a, common) for a in args]


# --- joining ------------------------------------------------------------------------------------


def _sequence(name: str, arrays: Any) -> list[Any]:
    """The arrays of a sequence, or the parts of an array along its first axis."""
    if isinstance(arrays, (list, tuple)):
        if not arrays:
            raise ValueError(f"Need at least one array to {name}.")
        check_arraylike(name, *arrays)
        return list(arrays)
    if aval_of(arrays) is not None or isinstance(arrays, np.ndarray):
        return list(unstack(arrays))
    raise TypeError(f"{name} requires a sequence of arrays, got {type(arrays)}.")


@composite(static_argnames=("axis", "dtype"))
def _concatenate(arrays: list[Any], *, axis: int | None, dtype: Any) -> Any:
    arrays = promote_dtypes(*arrays) if dtype is None else [convert(as_array(a), dtype) for a in arrays]
    if axis is None:
        arrays, axis = [lax.reshape(a, (math.prod(shape_of(a)),)) for a in arrays], 0
    return lax.concatenate(arrays, axis)


def concatenate(arrays: Any, axis: int | None = 0, dtype: Any = None) -> Any:
    """Arrays joined along an axis, as `numpy.concatenate`.

    Args:
      arrays: a sequence of arrays, equal in shape but for the axis.
      axis: the axis; None flattens the arrays first.
      dtype: dtype of the result; the common one by default.

    Returns:
      An array.

    Raises:
      ValueError: there is no array, or one without dimensions.
      TypeError: the shapes do not agree.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.concatenate([cnp.arange(2), cnp.arange(3)])
      Array([0, 1, 0, 1, 2], dtype=int32)
    """
    arrays = _sequence("concatenate", arrays)
    if axis is not None:
        shapes = [shape_of(a) for a in arrays]
        if not shapes[0]:
            raise ValueError("Zero-dimensional arrays cannot be concatenated. Use canter.numpy.stack.")
        axis = canonical_axis(axis, len(shapes[0]))
        _check_joinable(shapes, axis)
    if dtype is not None:
        dtype = dtypes.check_user_dtype_supported(dtype, "concatenate")
    return _concatenate(arrays, axis=axis, dtype=dtype)


def _check_joinable(shapes: list[tuple[int, ...]], axis: int) -> None:
    first = shapes[0]
    for shape in shapes:
        if len(shape) != len(first) or shape[:axis] != first[:axis] or shape[axis + 1 :] != first[axis + 1 :]:
            raise TypeError(
                f"Cannot concatenate arrays with shapes that differ in dimensions other than the one being "
                f"concatenated: concatenating along dimension {axis} for shapes {', '.join(map(str, shapes))}."
            )


def concat(arrays: Sequence[Any], /, *, axis: int | None = 0) -> Any:
    """`concatenate` under the array API's name.

    Args:
      arrays: a sequence of arrays, equal in shape but for the axis.
      axis: the axis; None flattens the arrays first.

    Returns:
      An array.

    Raises:
      ValueError: there is no array, or one without dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.concat([cnp.arange(2), cnp.arange(1)])
      Array([0, 1, 0], dtype=int32)
    """
    return concatenate(arrays, axis)


@composite(static_argnames=("axis", "dtype"))
def _stack(arrays: list[Any], *, axis: int, dtype: Any) -> Any:
    arrays = promote_dtypes(*arrays) if dtype is None else [convert(as_array(a), dtype) for a in arrays]
    return lax.stack(arrays, axis)


def stack(arrays: Any, axis: int = 0, out: None = None, dtype: Any = None) -> Any:
    """Arrays of one shape joined along a new axis, as `numpy.stack`.

    Args:
      arrays: a sequence of arrays of one shape.
      axis: where the new axis goes, in the result.
      out: must be None.
      dtype: dtype of the result; the common one by default.

    Returns:
      An array.

    Raises:
      ValueError: there is no array, or the shapes differ.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.stack([cnp.arange(2), cnp.arange(2)], axis=1)
      Array([[0, 0],
             [1, 1]], dtype=int32)
    """
    refuse_out("stack", out)
    arrays = _sequence("stack", arrays)
    shapes = [shape_of(a) for a in arrays]
    if builtins.any(s != shapes[0] for s in shapes):
        raise ValueError(f"All input arrays must have the same shape, got {', '.join(map(str, shapes))}.")
    if dtype is not None:
        dtype = dtypes.check_user_dtype_supported(dtype, "stack")
    return _stack(arrays, axis=canonical_axis(axis, len(shapes[0]) + 1), dtype=dtype)


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """The parts of an array along an axis, as `numpy.unstack`.

    Args:
      x: an array of at least one dimension.
      axis: the axis, which the parts have no more.

    Returns:
      A tuple of arrays.

    Raises:
      ValueError: x has no dimension, or the axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.unstack(cnp.arange(2))
      (Array(0, dtype=int32), Array(1, dtype=int32))
    """
    check_arraylike("unstack", x)
    if not shape_of(x):
        raise ValueError("Unstack requires arrays with rank > 0, however a scalar array was passed.")
    return tuple(_unstack(as_array(x), axis=canonical_axis(axis, len(shape_of(x)))))


@composite(static_argnames=("axis",))
def _unstack(x: Any, *, axis: int) -> Any:
    return lax.unstack(x, axis)


def vstack(tup: Any, dtype: Any = None) -> Any:
    """Arrays joined along the first axis, vectors as rows, as `numpy.vstack`.

    Args:
      tup: a sequence of arrays.
      dtype: dtype of the result; the common one by default.

    Returns:
      An array.

    Raises:
      TypeError: the shapes do not agree.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.vstack([cnp.arange(2), cnp.arange(2)])
      Array([[0, 1],
             [0, 1]], dtype=int32)
    """
    return concatenate([_atleast[2](a) for a in _sequence("vstack", tup)], 0, dtype)


def hstack(tup: Any, dtype: Any = None) -> Any:
    """Arrays joined along the second axis, vectors along the first, as `numpy.hstack`.

    Args:
      tup: a sequence of arrays.
      dtype: dtype of the result; the common one by default.

    Returns:
      An array.

    Raises:
      TypeError: the shapes do not agree.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.hstack([cnp.arange(2), cnp.arange(1)])
      Array([0, 1, 0], dtype=int32)
    """
    arrays = [_atleast[1](a) for a in _sequence("hstack", tup)]
    return concatenate(arrays, 0 if len(shape_of(arrays[0])) == 1 else 1, dtype)


def dstack(tup: Any, dtype: Any = None) -> Any:
    """Arrays joined along the third axis, as `numpy.dstack`.

    Args:
      tup: a sequence of arrays.
      dtype: dtype of the result; the common one by default.

    Returns:
      An array.

    Raises:
      TypeError: the shapes do not agree.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.dstack([cnp.arange(2), cnp.arange(2)]).shape
      (1, 2, 2)
    """
    return concatenate([_atleast[3](a) for a in _sequence("dstack", tup)], 2, dtype)


def column_stack(tup: Any) -> Any:
    """Vectors as the columns of a matrix, as `numpy.column_stack`.

    Args:
      tup: a sequence of arrays of one or two dimensions.

    Returns:
      An array of two dimensions.

    Raises:
      TypeError: the shapes do not agree.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.column_stack([cnp.arange(2), cnp.arange(2)])
      Array([[0, 0],
             [1, 1]], dtype=int32)
    """
    arrays = [as_array(a) for a in _sequence("column_stack", tup)]
    columns = [reshape(a, (-1, 1)) if len(shape_of(a)) < 2 else a for a in arrays]
    return concatenate(columns, 1)


def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """Values joined at the end of an array, as `numpy.append`.

    Args:
      arr: an array.
      values: an array.
      axis: the axis; None flattens both first.

    Returns:
      An array.

    Raises:
      TypeError: the shapes do not agree.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.append(cnp.arange(2), 5)
      Array([0, 1, 5], dtype=int32)
    """
    if axis is None:
        return concatenate([ravel(arr), ravel(values)])
    return concatenate([arr, values], axis)


def block(arrays: Any) -> Any:
    """An array of nested lists of blocks, as `numpy.block`.

    Args:
      arrays: an array, or nested lists of arrays; the innermost are joined along the last axis.

    Returns:
      An array.

    Raises:
      ValueError: lists are nested unevenly or empty.
      TypeError: the shapes do not agree.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.block([[cnp.eye(1), cnp.zeros((1, 1))]])
      Array([[1., 0.]], dtype=float32)
    """
    depth = _list_depth(arrays)
    blocks, rank = [], 0

    def leaves(item: Any) -> None:
        nonlocal rank
        if isinstance(item, list):
            for each in item:
                leaves(each)
        else:
            check_arraylike("block", item)
            blocks.append(item)
            rank = builtins.max(rank, len(shape_of(item)))

    leaves(arrays)
    rank = builtins.max(rank, depth)

    def join(item: Any, level: int) -> Any:
        if not isinstance(item, list):
            item = as_array(item)
            own = shape_of(item)
            return reshape(item, (1,) * (rank - len(own)) + own)
        return concatenate([join(each, level + 1) for each in item], rank - depth + level)

    return join(arrays, 0)


def _list_depth(arrays: Any) -> int:
    if not isinstance(arrays, list):
        return 0
    if not arrays:
        raise ValueError("block: lists must not be empty.")
    depths = {_list_depth(each) for each in arrays}
    if len(depths) > 1:
        raise ValueError("block: lists must be nested to one depth everywhere.")
    return depths.pop() + 1


# --- splitting ----------------------------------------------------------------------------------


@composite(static_argnames=("sizes", "axis"))
def _split(x: Any, *, sizes: tuple[int, ...], axis: int) -> list[Any]:
    return list(lax.split(x, sizes, axis))


def _split_points(name: str, total: int, sections: Any, even: bool) -> list[int]:
    """The starts of all parts but the first."""
    try:
        count = operator.index(sections)
    except TypeError:
        points = [operator.index(p) for p in np.asarray(sections).tolist()]
        return [builtins.min(builtins.max(p + total if p < 0 else p, 0), total) for p in points]
    if count <= 0:
        raise ValueError(f"{name}: number of sections must be larger than 0, got {count}.")
    part, rest = divmod(total, count)
    if rest and even:
        raise ValueError(
            f"array split does not result in an equal division: rest is {rest}, of size {total} in {count} "
            "sections. canter.numpy.array_split makes uneven parts."
        )
    return [part * i + builtins.min(i, rest) for i in range(1, count)]


def _split_axis(name: str, ary: Any, sections: Any, axis: int, even: bool) -> list[Any]:
    check_arraylike(name, ary)
    ary = as_array(ary)
    own = shape_of(ary)
    axis = canonical_axis(axis, len(own))
    total = own[axis]
    if isinstance(sections, Tracer):
        raise TypeError(f"{name}: indices_or_sections sets shapes and must not be traced; make it static.")
    edges = [0, *_split_points(name, total, sections, even), total]
    sizes = tuple(b - a for a, b in zip(edges, edges[1:]))
    if builtins.all(n >= 0 for n in sizes):
        return _split(ary, sizes=sizes, axis=axis)
    parts = []
    for low, high in zip(edges, edges[1:]):
        parts.append(lax.slice_in_dim(ary, builtins.min(low, high), high, 1, axis))
    return parts


def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """An array cut along an axis, as `numpy.split`.

    Args:
      ary: an array.
      indices_or_sections: how many equal parts, or where the parts after the first start.
      axis: the axis.

    Returns:
      A list of arrays.

    Raises:
      ValueError: the parts would not be equal, or the axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.split(cnp.arange(4), 2)
      [Array([0, 1], dtype=int32), Array([2, 3], dtype=int32)]
    """
    return _split_axis("split", ary, indices_or_sections, axis, True)


def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """An array cut along an axis, in parts that may be uneven, as `numpy.array_split`.

    Args:
      ary: an array.
      indices_or_sections: how many parts, or where the parts after the first start.
      axis: the axis.

    Returns:
      A list of arrays.

    Raises:
      ValueError: the axis is out of bounds, or there are no sections.

    Example:
      >>> import canter.numpy as cnp
      >>> [x.size for x in cnp.array_split(cnp.arange(5), 2)]
      [3, 2]
    """
    return _split_axis("array_split", ary, indices_or_sections, axis, False)


def vsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """`split` along the first axis.

    Args:
      ary: an array of at least two dimensions.
      indices_or_sections: as in `split`.

    Returns:
      A list of arrays.

    Raises:
      ValueError: the parts would not be equal.

    Example:
      >>> import canter.numpy as cnp
      >>> len(cnp.vsplit(cnp.zeros((2, 2)), 2))
      2
    """
    return _split_axis("vsplit", ary, indices_or_sections, 0, True)


def hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """`split` along the second axis, or the only one.

    Args:
      ary: an array.
      indices_or_sections: as in `split`.

    Returns:
      A list of arrays.

    Raises:
      ValueError: the parts would not be equal.

    Example:
      >>> import canter.numpy as cnp
      >>> len(cnp.hsplit(cnp.zeros((2, 2)), 2))
      2
    """
    return _split_axis("hsplit", ary, indices_or_sections, 0 if len(shape(ary)) == 1 else 1, True)


def dsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """`split` along the third axis.

    Args:
      ary: an array of at least three dimensions.
      indices_or_sections: as in `split`.

    Returns:
      A list of arrays.

    Raises:
      ValueError: the parts would not be equal.

    Example:
      >>> import canter.numpy as cnp
      >>> len(cnp.dsplit(cnp.zeros((1, 1, 2)), 2))
      2
    """
    return _split_axis("dsplit", ary, indices_or_sections, 2, True)


# --- repeating ----------------------------------------------------------------------------------


@composite(static_argnames=("reps",))
def _tile(A: Any, *, reps: tuple[int, ...]) -> Any:
    rank = builtins.max(len(reps), len(shape_of(A)))
    reps = (1,) * (rank - len(reps)) + reps
    return lax.tile(lax.broadcast_to_rank(A, rank), reps)


def tile(A: Any, reps: Any) -> Any:
    """An array repeated as a whole, as `numpy.tile`.

    Args:
      A: an array or number.
      reps: how many times along each axis.

    Returns:
      An array.

    Raises:
      TypeError: a number of repeats is not a concrete integer.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.tile(cnp.arange(2), 2)
      Array([0, 1, 0, 1], dtype=int32)
    """
    check_arraylike("tile", A)
    return _tile(as_array(A), reps=canonical_shape(reps))


@composite(static_argnames=("count", "axis"))
def _repeat_evenly(a: Any, *, count: int, axis: int) -> Any:
    own = shape_of(a)
    wide = (*own[: axis + 1], count, *own[axis + 1 :])
    dims = tuple(i for i in range(len(wide)) if i != axis + 1)
    return lax.reshape(
        lax.broadcast_in_dim(a, wide, dims), (*own[:axis], own[axis] * count, *own[axis + 1 :])
    )


@composite(static_argnames=("axis", "total"))
def _repeat_each(a: Any, repeats: Any, *, axis: int, total: int) -> Any:
    # Position p of the result holds the first element whose repeats end after p.
    from .indexing import take
    from .sorting import searchsorted

    repeats = broadcast_known(as_array(repeats), (shape_of(a)[axis],))
    which = searchsorted(lax.cumsum(repeats, 0), lax.iota(dtype_of(repeats), total), side="right")
    return take(a, which, axis=axis, mode="clip")


def repeat(
    a: Any,
    repeats: Any,
    axis: int | None = None,
    *,
    total_repeat_length: int | None = None,
    out_sharding: Any = None,
) -> Any:
    """Elements repeated along an axis, as `numpy.repeat`.

    Args:
      a: an array or number.
      repeats: how often each element; a number, or one per element.
      axis: the axis; None flattens a first.
      total_repeat_length: the length of the result, needed where `repeats` is traced: what is beyond is
        cut off, what is missing is filled with the last element.
      out_sharding: a sharding to put the result on.

    Returns:
      An array.

    Raises:
      ValueError: `repeats` is negative or has another length than the axis.
      ConcretizationTypeError: `repeats` is traced and there is no `total_repeat_length`.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.repeat(cnp.array([1, 2]), 2)
      Array([1, 1, 2, 2], dtype=int32)
    """
    check_arraylike("repeat", a, *([] if isinstance(repeats, (list, tuple)) else [repeats]))
    a = ravel(a) if axis is None else as_array(a)
    axis = canonical_axis(0 if axis is None else axis, len(shape_of(a)))
    if isinstance(repeats, Tracer) and total_repeat_length is None:
        from canter.core.trace import concrete_or_error

        repeats = concrete_or_error(
            None,
            repeats,
            "It sets the shape of canter.numpy.repeat's result: pass total_repeat_length, or make it static.",
        )
    if total_repeat_length is None:
        counts = np.atleast_1d(np.asarray(repeats))
        _check_repeats(counts, shape_of(a)[axis])
        if counts.size == 1:
            return place(_repeat_evenly(a, count=int(counts[0]), axis=axis), None, out_sharding)
        total = int(counts.sum())
        if total == 0:
            return lax.slice_in_dim(a, 0, 0, 1, axis)
        from .indexing import take

        which = np.repeat(np.arange(counts.size, dtype=np.int32), counts)
        return place(take(a, which, axis=axis, mode="clip"), None, out_sharding)
    total = operator.index(total_repeat_length)
    return place(_repeat_each(a, asarray(repeats), axis=axis, total=total), None, out_sharding)


def _check_repeats(counts: np.ndarray, length: int) -> None:
    if counts.ndim != 1 or counts.dtype.kind not in "iub":
        raise TypeError(
            f"repeats must be integers in at most one dimension, got {counts.dtype} of shape {counts.shape}."
        )
    if counts.size not in (1, length):
        raise ValueError(f"repeats must have length 1 or that of the axis, {length}, got {counts.size}.")
    if (counts < 0).any():
        raise ValueError("repeats must not be negative.")


def resize(a: Any, new_shape: Any) -> Any:
    """An array of a new shape, its elements repeated or cut, as `numpy.resize`.

    Args:
      a: an array or number.
      new_shape: the shape.

    Returns:
      An array.

    Raises:
      ValueError: a dimension is negative.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.resize(cnp.arange(2), 3)
      Array([0, 1, 0], dtype=int32)
    """
    new_shape = canonical_shape(new_shape)
    flat = ravel(a)
    total = math.prod(new_shape)
    if total == 0 or flat.shape[0] == 0:
        from .creation import zeros_like

        return zeros_like(flat, shape=new_shape)
    copies = -(-total // flat.shape[0])
    return reshape(lax.slice_in_dim(tile(flat, copies), 0, total), new_shape)


@composite(static_argnames=("shifts", "axes"))
def _roll_static(a: Any, *, shifts: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    own = shape_of(a)
    for shift, axis in zip(shifts, axes, strict=True):
        total = own[axis]
        cut = -shift % total if total else 0
        if cut:
            head = lax.slice_in_dim(a, 0, cut, 1, axis)
            a = lax.concatenate([lax.slice_in_dim(a, cut, total, 1, axis), head], axis)
    return a


@composite(static_argnames=("axes",))
def _roll(a: Any, shifts: Any, *, axes: tuple[int, ...]) -> Any:
    own = shape_of(a)
    shifts = broadcast_known(as_array(shifts), (len(axes),))
    for i, axis in enumerate(axes):
        total = own[axis]
        if total:
            shift = lax.squeeze(lax.slice_in_dim(shifts, i, i + 1), (0,))
            start = bodies.remainder(lax.neg(shift), const(shift, total))
            a = lax.dynamic_slice_in_dim(lax.concatenate([a, a], axis), start, total, axis)
    return a


def roll(a: Any, shift: Any, axis: int | Sequence[int] | None = None) -> Any:
    """Elements moved along axes, those that leave at the end entering at the start, as `numpy.roll`.

    Args:
      a: an array.
      shift: how far, one number or one per axis; may be traced.
      axis: the axes; None rolls the flattened array.

    Returns:
      An array.

    Raises:
      ValueError: an axis is out of bounds, or shift and axis do not go together.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.roll(cnp.arange(4), 1)
      Array([3, 0, 1, 2], dtype=int32)
    """
    check_arraylike("roll", a)
    if axis is None:
        return reshape(roll(ravel(a), shift, 0), shape_of(a))
    a = as_array(a)
    axes = tuple(
        canonical_axis(i, len(shape_of(a))) for i in (axis if isinstance(axis, (tuple, list)) else (axis,))
    )
    if aval_of(shift) is None and not _has_arrays(shift):
        shifts = [operator.index(s) for s in np.atleast_1d(np.asarray(shift)).tolist()]
        shifts = shifts * len(axes) if len(shifts) == 1 else shifts
        axes = axes * len(shifts) if len(axes) == 1 else axes
        if len(shifts) != len(axes):
            raise ValueError(f"roll: shift {shift} and axis {axis} must broadcast together.")
        return _roll_static(a, shifts=tuple(shifts), axes=axes)
    shifts = asarray(shift)
    if len(shape_of(shifts)) > 1 or (shape_of(shifts) and shape_of(shifts) not in ((1,), (len(axes),))):
        raise ValueError(f"roll: shift of shape {shape_of(shifts)} and axis {axis} must broadcast together.")
    return _roll(a, shifts, axes=axes)


def _has_arrays(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and builtins.any(aval_of(item) is not None for item in value)
