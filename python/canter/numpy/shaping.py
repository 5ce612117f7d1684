"""Functions that rearrange one array: reshape, transpose, flip, broadcast."""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from canter import lax
from canter.core.dimensions import is_symbolic_dim, sizes_of
from canter.core.errors import InconclusiveDimensionOperation
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from .creation import asarray, place, placed
from .util import (
    aval_of,
    broadcast_to as broadcast_known,
    canonical_axes,
    canonical_axis,
    canonical_shape,
    check_arraylike,
    shape_of,
)

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "broadcast_arrays",
    "broadcast_shapes",
    "broadcast_to",
    "expand_dims",
    "flip",
    "fliplr",
    "flipud",
    "matrix_transpose",
    "moveaxis",
    "ndim",
    "permute_dims",
    "ravel",
    "reshape",
    "rollaxis",
    "rot90",
    "shape",
    "size",
    "squeeze",
    "swapaxes",
    "transpose",
]


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
    if isinstance(shape, (int, np.integer)) or is_symbolic_dim(shape):
        shape = (shape,)
    try:
        dims = list(sizes_of(shape))
    except TypeError:
        return canonical_shape(shape)  # raises with the reason
    total = math.prod(own)
    if dims.count(-1) > 1:
        raise TypeError(
            f"can only specify one unknown axis size with -1, got {tuple(dims)}: name the others."
        )
    known = math.prod(n for n in dims if n != -1)
    if -1 in dims:
        if is_symbolic_dim(total) or is_symbolic_dim(known):
            _check_divides(own, dims, total % known)
        elif known == 0 or total % known:
            raise TypeError(
                f"cannot reshape array of shape {own} (size {total}) into shape {tuple(dims)} because the "
                f"product of specified axis sizes ({known}) does not evenly divide {total}."
            )
        dims[dims.index(-1)] = total // known
    elif known != total:
        advice = "The sizes must agree; one dimension may be -1, which stands for what is left."
        if is_symbolic_dim(known) or is_symbolic_dim(total):
            advice = (
                "The sizes must agree for all values of the dimension variables: name the dimension so that they do "
                "(2*b instead of b), or add a constraint such as 'mod(b, 2) == 0'."
            )
        raise TypeError(
            f"cannot reshape array of shape {own} (size {total}) into shape {tuple(dims)} (size {known}). {advice}"
        )
    return tuple(dims)


def _check_divides(own: tuple[Any, ...], dims: list[Any], rest: Any) -> None:
    if rest != 0:
        raise InconclusiveDimensionOperation(
            f"Cannot divide evenly the sizes of shapes {own} and {tuple(dims)}: the remainder {rest} should be 0. Name "
            "the dimension so that it divides (2*b instead of b), or add a constraint such as 'mod(b, 2) == 0'."
        )


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
      copy: whether to copy; since arrays are immutable, no program can tell.
      out_sharding: a sharding to put the result on.

    Returns:
      An array.

    Raises:
      TypeError: the sizes do not agree.
      NotImplementedError: order "A".

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.reshape(cnp.arange(6), (2, -1)).shape
      (2, 3)
    """
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
    if out_sharding is not None:
        return placed(lambda: _reshape(a, shape=shape, order=order), out_sharding, "reshape")
    return _reshape(a, shape=shape, order=order)


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
    aval = aval_of(a)
    if aval is not None and len(aval.shape) == 1 and order in ("C", "F") and out_sharding is None:
        return a
    return _ravel(a, order, out_sharding=out_sharding)


@composite(static_argnames=("order",))
def _ravel(a: Any, order: str, *, out_sharding: Any) -> Any:
    if order == "K":
        raise NotImplementedError("canter.numpy.ravel not implemented for order='K'.")
    check_arraylike("ravel", a)
    return reshape(a, (math.prod(shape_of(a)),), order, out_sharding=out_sharding)


@composite(static_argnames=("permutation",))
def _transpose(a: Any, *, permutation: tuple[int, ...]) -> Any:
    return lax.transpose(a, permutation)


@composite(static_argnames=("axes",))
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


def permute_dims(a: Any, /, axes: Sequence[int]) -> Any:
    """The axes in another order, as `numpy.permute_dims`.

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
      >>> cnp.permute_dims(cnp.zeros((2, 3)), (1, 0)).shape
      (3, 2)
    """
    return transpose(a, axes)


@composite
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


@composite(static_argnames=("axis1", "axis2"))
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


@composite(static_argnames=("source", "destination"))
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


@composite(static_argnames=("axis", "start"))
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


@composite(static_argnames=("axis",))
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
    axes = tuple(axis) if isinstance(axis, (tuple, list, range)) else (axis,)
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


@composite(static_argnames=("axis",))
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


@composite
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


@composite
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


@composite(static_argnames=("k", "axes"))
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
        return place(array, None, out_sharding, "jnp.broadcast_to")
    tail = shape[len(shape) - len(own) :]
    if len(own) > len(shape) or builtins.any(n not in (1, m) for n, m in zip(own, tail, strict=True)):
        raise ValueError(
            f"Incompatible shapes for broadcasting: {own} and requested shape {shape}. Aligned at the last "
            "dimension, the array's sizes must be 1 or those requested."
        )
    return place(_broadcast_to(array, shape=shape), None, out_sharding, "jnp.broadcast_to")


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
