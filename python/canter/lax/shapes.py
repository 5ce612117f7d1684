"""Operations that move or repeat elements: reshape, broadcast, transpose, squeeze, reverse, tile.

They never look at an element's value, so every rule here is about axes. Public functions return
their operand unchanged where there is nothing to do: they are called very often while tracing.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.avals import ShapedArray, get_aval
from ..core.dimensions import is_symbolic_dim, sizes_of
from ..core.primitive import Primitive
from ..transforms.rules import deflinear, moveaxis
from .common import laid_out, normalize_axis, ops

__all__ = [
    "broadcast",
    "broadcast_in_dim",
    "broadcast_in_dim_p",
    "broadcast_shapes",
    "broadcast_like",
    "broadcast_to_rank",
    "collapse",
    "expand_dims",
    "reshape",
    "reshape_p",
    "rev",
    "rev_p",
    "squeeze",
    "squeeze_p",
    "tile",
    "tile_p",
    "transpose",
    "transpose_p",
]


# ----------------------------------------------------------------------------------------------
# Helpers shared with the other shape families


def aval_of(x: Any) -> Any:
    """The aval of a tracer, array, NumPy value or Python number."""
    aval = getattr(x, "aval", None)
    return get_aval(x) if aval is None else aval


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of a tracer, array, NumPy value or Python number."""
    aval = getattr(x, "aval", None)
    return get_aval(x).shape if aval is None else aval.shape


def int_tuple(values: Any, name: str) -> tuple[int, ...]:
    """Sizes or axes as a tuple of ints; `name` is the operation that asks."""
    try:
        return tuple(map(operator.index, values))
    except TypeError:
        pass
    try:
        return (operator.index(values),)
    except TypeError:
        if is_symbolic_dim(values):
            return (values,)
        if any(map(is_symbolic_dim, values if isinstance(values, Sequence) else ())):
            return sizes_of(values)
        raise TypeError(
            f"{name} needs concrete integers for sizes and axes, got {values!r}. They must be known while "
            "tracing: take sizes from x.shape, or mark the argument as static."
        ) from None


def distinct_axes(axes: Any, ndim: int, name: str) -> tuple[int, ...]:
    """Distinct axes in [0, ndim), in the given order; negative ones count from the end."""
    result = tuple(normalize_axis(name, axis, ndim) for axis in int_tuple(axes, name))
    if len(set(result)) != len(result):
        raise ValueError(f"{name}: repeated axis in {tuple(axes)}; name every axis once.")
    return result


def with_shape(aval: Any, shape: tuple[int, ...]) -> ShapedArray:
    """The aval of the same elements in another shape."""
    return ShapedArray(shape, aval.dtype, aval.weak_type)


# ----------------------------------------------------------------------------------------------
# reshape


def reshape(
    operand: Any, new_sizes: Any, dimensions: Sequence[int] | None = None, *, out_sharding: Any = None
) -> Any:
    """Gives an array another shape with the same number of elements, in row-major order.

    Args:
      operand: array of any shape and dtype.
      new_sizes: the new shape; every size is given (there is no -1 here).
      dimensions: the order in which the axes of `operand` are read, as if it were first transposed
        by this permutation. None is the natural order.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Returns:
      An array of shape `new_sizes`.

    Raises:
      TypeError: the numbers of elements differ, a size is negative, or `dimensions` is not a
        permutation of the axes.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.reshape(cnp.arange(6), (2, 3)).shape
      (2, 3)
    """
    shape = new_sizes if type(new_sizes) is tuple else int_tuple(new_sizes, "reshape")
    aval = getattr(operand, "aval", None)
    if aval is None:
        aval = get_aval(operand)
    elif dimensions is None and aval.shape == shape and out_sharding is None:
        return operand
    shape = int_tuple(shape, "reshape")
    if out_sharding is not None:
        return laid_out(lambda: reshape(operand, new_sizes, dimensions), out_sharding, "reshape")
    if dimensions is not None:
        dimensions = int_tuple(dimensions, "reshape")
        if dimensions == tuple(range(len(aval.shape))):
            dimensions = None
            if aval.shape == shape and hasattr(operand, "aval"):
                return operand
    return reshape_p.bind(operand, new_sizes=shape, dimensions=dimensions, sharding=None)


def _reshape_shape_rule(
    operand: Any, *, new_sizes: tuple[int, ...], dimensions: tuple[int, ...] | None, sharding: Any
) -> Any:
    shape = operand.shape
    if any(size < 0 for size in new_sizes):
        raise TypeError(
            f"reshape sizes must be nonnegative, got new_sizes={new_sizes} for an operand of shape {shape}. "
            "Only numpy.reshape infers a size from -1."
        )
    if math.prod(shape) != math.prod(new_sizes):
        raise TypeError(
            f"reshape must keep the number of elements: shape {shape} has {math.prod(shape)}, "
            f"new_sizes={new_sizes} has {math.prod(new_sizes)}."
        )
    if dimensions is not None and sorted(dimensions) != list(range(len(shape))):
        raise TypeError(
            f"reshape dimensions must be a permutation of the operand's axes, got {dimensions} "
            f"for shape {shape}."
        )
    return with_shape(operand, new_sizes)


def _reshape_transpose(ct: Any, operand: Any, *, new_sizes: Any, dimensions: Any, sharding: Any) -> list[Any]:
    shape = operand.aval.shape
    if dimensions is None:
        return [reshape(ct, shape)]
    permuted = reshape(ct, tuple(shape[d] for d in dimensions))
    return [transpose(permuted, _inverse_permutation(dimensions))]


def _reshape_batch(
    args: Any, dims: Any, *, new_sizes: Any, dimensions: Any, sharding: Any
) -> tuple[Any, int]:
    operand = moveaxis(args[0], dims[0], 0)
    if dimensions is not None:
        dimensions = (0, *(d + 1 for d in dimensions))
    return reshape(operand, (shape_of(operand)[0], *new_sizes), dimensions), 0


reshape_p = Primitive("reshape")
reshape_p.def_abstract_eval(_reshape_shape_rule)
reshape_p.def_batching(_reshape_batch)
deflinear(reshape_p, _reshape_transpose)


def collapse(operand: Any, start_dimension: int, stop_dimension: int | None = None) -> Any:
    """Merges the axes `start_dimension:stop_dimension`, as of a slice, into one.

    Args:
      operand: array of any shape.
      start_dimension: the first axis to merge.
      stop_dimension: the axis after the last one to merge; None merges to the end.

    Returns:
      The same elements with the given axes as one.

    Raises:
      ValueError: the range of axes is not in order.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.collapse(cnp.ones((2, 3, 4)), 1).shape
      (2, 12)
    """
    shape = shape_of(operand)
    lo, hi, _ = slice(start_dimension, stop_dimension).indices(len(shape))
    if hi < lo:
        raise ValueError(
            f"collapse: axes {start_dimension}:{stop_dimension} of shape {shape} are not a range; "
            "give start_dimension <= stop_dimension."
        )
    return reshape(operand, (*shape[:lo], math.prod(shape[lo:hi]), *shape[hi:]))


# ----------------------------------------------------------------------------------------------
# broadcasting


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape that arrays of the given shapes broadcast to, by NumPy's rule.

    Args:
      *shapes: shapes (sequences of ints, or ints for one dimension).

    Returns:
      The common shape.

    Raises:
      ValueError: two sizes on one axis differ and neither is 1.

    Example:
      >>> from canter import lax
      >>> lax.broadcast_shapes((3, 1), (4,))
      (3, 4)
    """
    if not shapes:
        return ()
    first = shapes[0]
    if type(first) is tuple and all(shape == first for shape in shapes):
        return first
    tuples = [int_tuple(shape, "broadcast_shapes") for shape in shapes]
    ndim = max(map(len, tuples))
    result = [1] * ndim
    for shape in tuples:
        for axis, size in enumerate(shape, ndim - len(shape)):
            if result[axis] == 1:
                result[axis] = size
            elif size not in (1, result[axis]):
                raise ValueError(
                    f"Incompatible shapes for broadcasting: {', '.join(map(str, tuples))}; on axis "
                    f"{axis - ndim} the sizes {result[axis]} and {size} differ and neither is 1."
                )
    return tuple(result)


def broadcast_in_dim(
    operand: Any, shape: Any, broadcast_dimensions: Sequence[int], *, out_sharding: Any = None
) -> Any:
    """Places the axes of an array among those of a larger shape and repeats it along the others.

    Args:
      operand: array of any shape and dtype.
      shape: the shape of the result.
      broadcast_dimensions: for each axis of `operand`, the axis of the result it becomes. Its size
        must be 1 or the size there.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Returns:
      An array of shape `shape`.

    Raises:
      TypeError: sizes do not agree, or axes are repeated or out of range.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.broadcast_in_dim(cnp.arange(2), (2, 3), (0,)).tolist()
      [[0, 0, 0], [1, 1, 1]]
    """
    if out_sharding is not None:
        return laid_out(
            lambda: broadcast_in_dim(operand, shape, broadcast_dimensions), out_sharding, "broadcast_in_dim"
        )
    shape = int_tuple(shape, "broadcast_in_dim")
    dims = int_tuple(broadcast_dimensions, "broadcast_in_dim")
    aval = getattr(operand, "aval", None)
    if aval is not None and aval.shape == shape and dims == tuple(range(len(shape))):
        return operand
    return broadcast_in_dim_p.bind(operand, shape=shape, broadcast_dimensions=dims, sharding=None)


def broadcast(operand: Any, sizes: Sequence[int], *, out_sharding: Any = None) -> Any:
    """Repeats an array along new leading axes.

    Args:
      operand: array of any shape and dtype.
      sizes: the sizes of the new axes.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Returns:
      An array of shape `(*sizes, *operand.shape)`.

    Raises:
      TypeError: a size is not an integer or negative.

    Example:
      >>> from canter import lax
      >>> lax.broadcast(1.0, (2, 3)).shape
      (2, 3)
    """
    sizes = int_tuple(sizes, "broadcast")
    if not sizes and hasattr(operand, "aval"):
        return operand
    shape = shape_of(operand)
    dims = range(len(sizes), len(sizes) + len(shape))
    return broadcast_in_dim(operand, (*sizes, *shape), tuple(dims), out_sharding=out_sharding)


def broadcast_like(arr: Any, like_arr: Any) -> Any:
    """Broadcasts an array to the shape of another one, by NumPy's rule.

    Args:
      arr: array of any shape and dtype.
      like_arr: the array whose shape to take.

    Raises:
      ValueError: the shapes do not fit.

    Example:
      >>> import canter.numpy as cnp
      >>> from canter import lax
      >>> lax.broadcast_like(cnp.arange(2), cnp.zeros((2, 2))).tolist()
      [[0, 1], [0, 1]]
    """
    own, shape = shape_of(arr), shape_of(like_arr)
    if own == shape:
        return arr
    behind = len(shape) - len(own)
    if behind < 0 or any(size not in (1, wanted) for size, wanted in zip(own, shape[behind:])):
        raise ValueError(
            f"Incompatible types for broadcasting: {aval_of(arr).str_short()} does not broadcast to the shape {shape}."
        )
    return broadcast_in_dim(arr, shape, tuple(range(behind, len(shape))))


def broadcast_to_rank(x: Any, rank: int) -> Any:
    """Adds leading axes of size 1 until an array has `rank` dimensions.

    Args:
      x: array of at most `rank` dimensions.
      rank: the number of dimensions wanted.

    Returns:
      The same elements in a shape of length `rank`.

    Raises:
      ValueError: `x` has more dimensions than `rank`.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.broadcast_to_rank(cnp.ones(3), 3).shape
      (1, 1, 3)
    """
    ndim = len(shape_of(x))
    if ndim > rank:
        raise ValueError(
            f"broadcast_to_rank: an array of shape {shape_of(x)} has more than rank={rank} axes."
        )
    return expand_dims(x, tuple(range(rank - ndim)))


def _broadcast_in_dim_shape_rule(
    operand: Any, *, shape: tuple[int, ...], broadcast_dimensions: tuple[int, ...], sharding: Any
) -> Any:
    given = operand.shape
    what = f"operand shape {given}, shape={shape}, broadcast_dimensions={broadcast_dimensions}"
    if len(broadcast_dimensions) != len(given):
        raise TypeError(
            f"broadcast_in_dim needs one entry of broadcast_dimensions for each axis of the operand; got "
            f"{what}."
        )
    if any(size < 0 for size in shape):
        raise TypeError(f"broadcast_in_dim sizes must be nonnegative; got {what}.")
    for axis, dim in enumerate(broadcast_dimensions):
        if not 0 <= dim < len(shape):
            raise TypeError(
                f"broadcast_in_dim: broadcast_dimensions[{axis}]={dim} is not an axis of the result; got "
                f"{what}."
            )
        if given[axis] not in (1, shape[dim]):
            raise TypeError(
                f"broadcast_in_dim: axis {axis} of the operand has size {given[axis]}, which is neither 1 nor "
                f"{shape[dim]}, the size of axis {dim} of the result; got {what}."
            )
    if len(set(broadcast_dimensions)) != len(broadcast_dimensions):
        raise TypeError(f"broadcast_in_dim: broadcast_dimensions must be distinct; got {what}.")
    return with_shape(operand, shape)


def _broadcast_in_dim_transpose(
    ct: Any, operand: Any, *, shape: Any, broadcast_dimensions: Any, sharding: Any
) -> list[Any]:
    given = operand.aval.shape
    kept = {dim for axis, dim in enumerate(broadcast_dimensions) if given[axis] == shape[dim]}
    summed = tuple(axis for axis in range(len(shape)) if axis not in kept)
    if summed:
        ct = ops.reduce_sum(ct, summed)
    axes = [axis for axis, dim in enumerate(broadcast_dimensions) if dim in kept]
    order = sorted(axes, key=lambda axis: broadcast_dimensions[axis])
    return [broadcast_in_dim(ct, given, order)]


def _broadcast_in_dim_batch(
    args: Any, dims: Any, *, shape: Any, broadcast_dimensions: Any, sharding: Any
) -> tuple[Any, int]:
    operand = moveaxis(args[0], dims[0], 0)
    new_dims = (0, *(dim + 1 for dim in broadcast_dimensions))
    return broadcast_in_dim(operand, (shape_of(operand)[0], *shape), new_dims), 0


broadcast_in_dim_p = Primitive("broadcast_in_dim")
broadcast_in_dim_p.def_abstract_eval(_broadcast_in_dim_shape_rule)
broadcast_in_dim_p.def_batching(_broadcast_in_dim_batch)
deflinear(broadcast_in_dim_p, _broadcast_in_dim_transpose)


def expand_dims(array: Any, dimensions: Sequence[int]) -> Any:
    """Inserts axes of size 1.

    Args:
      array: array of any shape and dtype.
      dimensions: where the new axes stand in the result; negative ones count from its end.

    Returns:
      The same elements, with `len(dimensions)` more axes.

    Raises:
      ValueError: an axis is repeated or out of range.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.expand_dims(cnp.ones(3), (0, 2)).shape
      (1, 3, 1)
    """
    if len(dimensions) == 0 and hasattr(array, "aval"):
        return array
    shape = shape_of(array)
    ndim = len(shape) + len(dimensions)
    new_axes = set(distinct_axes(dimensions, ndim, "expand_dims"))
    kept = tuple(axis for axis in range(ndim) if axis not in new_axes)
    sizes = iter(shape)
    new_shape = tuple(1 if axis in new_axes else next(sizes) for axis in range(ndim))
    return broadcast_in_dim(array, new_shape, kept)


# ----------------------------------------------------------------------------------------------
# squeeze


def squeeze(array: Any, dimensions: Sequence[int]) -> Any:
    """Removes axes of size 1.

    Args:
      array: array of any dtype.
      dimensions: the axes to remove; negative ones count from the end.

    Returns:
      The same elements without those axes.

    Raises:
      ValueError: an axis is not of size 1, is repeated or out of range.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.squeeze(cnp.ones((1, 3, 1)), (0, -1)).shape
      (3,)
    """
    dims = tuple(sorted(distinct_axes(dimensions, len(shape_of(array)), "squeeze")))
    if not dims and hasattr(array, "aval"):
        return array
    return squeeze_p.bind(array, dimensions=dims)


def _squeeze_shape_rule(array: Any, *, dimensions: tuple[int, ...]) -> Any:
    shape = array.shape
    for axis in dimensions:
        if shape[axis] != 1:
            raise ValueError(
                f"squeeze: axis {axis} of shape {shape} has size {shape[axis]}, only axes of size 1 can be "
                f"removed."
            )
    return with_shape(array, tuple(size for axis, size in enumerate(shape) if axis not in dimensions))


def _squeeze_transpose(ct: Any, array: Any, *, dimensions: Any) -> list[Any]:
    return [reshape(ct, array.aval.shape)]


def _squeeze_batch(args: Any, dims: Any, *, dimensions: Any) -> tuple[Any, int]:
    bdim = dims[0]
    shifted = tuple(axis + (axis >= bdim) for axis in dimensions)
    return squeeze_p.bind(args[0], dimensions=shifted), bdim - sum(axis < bdim for axis in shifted)


squeeze_p = Primitive("squeeze")
squeeze_p.def_abstract_eval(_squeeze_shape_rule)
squeeze_p.def_batching(_squeeze_batch)
deflinear(squeeze_p, _squeeze_transpose)


# ----------------------------------------------------------------------------------------------
# transpose


def transpose(operand: Any, permutation: Sequence[int] | np.ndarray) -> Any:
    """Permutes the axes of an array.

    Args:
      operand: array of any shape and dtype.
      permutation: axis `i` of the result is axis `permutation[i]` of `operand`.

    Returns:
      The array with its axes permuted.

    Raises:
      TypeError: `permutation` does not name every axis once.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.transpose(cnp.ones((2, 3)), (1, 0)).shape
      (3, 2)
    """
    perm = tuple(map(operator.index, permutation))
    if perm == tuple(range(len(perm))):
        aval = getattr(operand, "aval", None)
        if aval is not None and len(aval.shape) == len(perm):
            return operand
    return transpose_p.bind(operand, permutation=perm)


def _inverse_permutation(permutation: Sequence[int]) -> tuple[int, ...]:
    inverse = [0] * len(permutation)
    for position, axis in enumerate(permutation):
        inverse[axis] = position
    return tuple(inverse)


def _transpose_shape_rule(operand: Any, *, permutation: tuple[int, ...]) -> Any:
    shape = operand.shape
    if sorted(permutation) != list(range(len(shape))):
        raise TypeError(
            f"transpose: permutation {permutation} must name each of the {len(shape)} axes of an operand "
            f"of shape {shape} exactly once, counted from 0."
        )
    return with_shape(operand, tuple(shape[axis] for axis in permutation))


def _transpose_batch(args: Any, dims: Any, *, permutation: Any) -> tuple[Any, int]:
    bdim = dims[0]
    return transpose(args[0], (bdim, *(axis + (axis >= bdim) for axis in permutation))), 0


transpose_p = Primitive("transpose")
transpose_p.def_abstract_eval(_transpose_shape_rule)
transpose_p.def_batching(_transpose_batch)
deflinear(transpose_p, lambda ct, operand, *, permutation: [transpose(ct, _inverse_permutation(permutation))])


# ----------------------------------------------------------------------------------------------
# rev


def rev(operand: Any, dimensions: Sequence[int]) -> Any:
    """Reverses the order of elements along some axes.

    Args:
      operand: array of any shape and dtype.
      dimensions: the axes to reverse, counted from 0.

    Returns:
      An array of the same shape.

    Raises:
      TypeError: an axis is repeated, negative or out of range.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.rev(cnp.arange(3), (0,)).tolist()
      [2, 1, 0]
    """
    return rev_p.bind(operand, dimensions=int_tuple(dimensions, "rev"))


def _rev_shape_rule(operand: Any, *, dimensions: tuple[int, ...]) -> Any:
    ndim = len(operand.shape)
    if len(set(dimensions)) != len(dimensions) or not all(0 <= axis < ndim for axis in dimensions):
        raise TypeError(
            f"rev: dimensions {dimensions} must be distinct axes in [0, {ndim}) of an operand of shape "
            f"{operand.shape}."
        )
    return operand


def _rev_batch(args: Any, dims: Any, *, dimensions: Any) -> tuple[Any, int]:
    bdim = dims[0]
    return rev(args[0], tuple(axis + (axis >= bdim) for axis in dimensions)), bdim


rev_p = Primitive("rev")
rev_p.def_abstract_eval(_rev_shape_rule)
rev_p.def_batching(_rev_batch)
deflinear(rev_p, lambda ct, operand, *, dimensions: [rev(ct, dimensions)])


# ----------------------------------------------------------------------------------------------
# tile


def tile(operand: Any, reps: Sequence[int]) -> Any:
    """Repeats an array along its axes.

    Args:
      operand: array of any shape and dtype.
      reps: for each axis, how many times it is repeated.

    Returns:
      An array of shape `operand.shape * reps`, axis by axis.

    Raises:
      TypeError: `reps` has not one entry per axis, or a negative one.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.tile(cnp.arange(2), (3,)).tolist()
      [0, 1, 0, 1, 0, 1]
    """
    return tile_p.bind(operand, reps=int_tuple(reps, "tile"))


def _tile_shape_rule(operand: Any, *, reps: tuple[int, ...]) -> Any:
    shape = operand.shape
    if len(reps) != len(shape) or any(rep < 0 for rep in reps):
        raise TypeError(
            f"tile needs one nonnegative repetition for each axis, got reps={reps} for an operand of shape "
            f"{shape}."
        )
    return with_shape(operand, tuple(size * rep for size, rep in zip(shape, reps, strict=True)))


def _tile_transpose(ct: Any, operand: Any, *, reps: Any) -> list[Any]:
    shape = operand.aval.shape
    split_shape = tuple(n for pair in zip(reps, shape, strict=True) for n in pair)
    return [ops.reduce_sum(reshape(ct, split_shape), tuple(range(0, 2 * len(shape), 2)))]


def _tile_batch(args: Any, dims: Any, *, reps: Any) -> tuple[Any, int]:
    bdim = dims[0]
    return tile(args[0], (*reps[:bdim], 1, *reps[bdim:])), bdim


tile_p = Primitive("tile")
tile_p.def_abstract_eval(_tile_shape_rule)
tile_p.def_batching(_tile_batch)
deflinear(tile_p, _tile_transpose)
