"""Operations that join arrays and take them apart: concatenate, pad, split, stack, unstack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.dimensions import max_dim
from ..core.primitive import Primitive
from ..transforms.rules import Zero, bdim_at_front, deflinear, instantiate_zeros, is_undefined_primal
from .common import const, normalize_axis, ops, shapes_text
from .shapes import aval_of, int_tuple, shape_of, with_shape

__all__ = [
    "concatenate",
    "concatenate_p",
    "pad",
    "pad_p",
    "split",
    "split_p",
    "stack",
    "stack_p",
    "unstack",
    "unstack_p",
]


def batch_size(args: Sequence[Any], dims: Sequence[int | None]) -> int:
    """The size of the batch axis of a batching rule's arguments."""
    for x, dim in zip(args, dims, strict=True):
        if dim is not None:
            return shape_of(x)[dim]
    raise AssertionError("a batching rule needs a mapped argument")


def _batched_join(args: Any, dims: Any) -> list[Any]:
    size = batch_size(args, dims)
    return [bdim_at_front(x, dim, size) for x, dim in zip(args, dims, strict=True)]


def _check_joinable(name: str, operands: tuple[Any, ...], axis: int | None) -> None:
    """Raises unless the operands agree in dtype and in every size, but for those along `axis`."""
    first = operands[0]
    shapes = [operand.shape for operand in operands]
    for operand in operands:
        if operand.dtype != first.dtype:
            got = ", ".join(aval.dtype.name for aval in operands)
            raise TypeError(
                f"lax.{name} requires arguments to have the same dtypes, got {got}. "
                f"canter.numpy.{name} promotes them."
            )
        if len(operand.shape) != len(first.shape):
            raise TypeError(
                f"{name}: all arrays need the same number of dimensions, got shapes {shapes_text(shapes)}. "
                "Add axes with lax.expand_dims."
            )
        for i, (size, wanted) in enumerate(zip(operand.shape, first.shape, strict=True)):
            if i != axis and size != wanted:
                raise TypeError(
                    f"{name}: the arrays differ in size on axis {i} ({wanted} and {size}), which is not the "
                    f"one they are joined along; got shapes {shapes_text(shapes)}, axis {axis}."
                )


# ----------------------------------------------------------------------------------------------
# concatenate


def concatenate(operands: Any, dimension: int) -> Any:
    """Joins arrays one after the other along an axis that they have.

    Args:
      operands: a non-empty sequence of arrays of one dtype, with equal shapes but for `dimension`;
        an array counts as the sequence of its rows.
      dimension: the axis, counted from 0.

    Returns:
      The joined array.

    Raises:
      ValueError: there are no operands.
      TypeError: dtypes or shapes do not agree, or the axis is out of range.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.concatenate([cnp.arange(2), cnp.arange(3)], 0).tolist()
      [0, 1, 0, 1, 2]
    """
    if not isinstance(operands, (list, tuple)):
        if hasattr(operands, "shape"):
            operands = [
                ops.index_in_dim(operands, i, 0, keepdims=False) for i in range(shape_of(operands)[0])
            ]
        else:
            operands = list(operands)
    if not operands:
        raise ValueError("concatenate needs at least one array, got an empty sequence.")
    if len(operands) == 1 and hasattr(operands[0], "aval"):
        _concatenate_shape_rule(operands[0].aval, dimension=dimension)
        return operands[0]
    return concatenate_p.bind(*operands, dimension=dimension.__index__())


def _concatenate_shape_rule(*operands: Any, dimension: int) -> Any:
    first = operands[0]
    if not 0 <= dimension < len(first.shape):
        shapes = shapes_text([operand.shape for operand in operands])
        raise TypeError(
            f"concatenate: dimension {dimension} is out of bounds for arrays of shapes {shapes}; "
            f"it must be in [0, {len(first.shape)})."
        )
    _check_joinable("concatenate", operands, dimension)
    shape = list(first.shape)
    shape[dimension] = sum(operand.shape[dimension] for operand in operands)
    weak = all(operand.weak_type for operand in operands)
    return first.update(shape=tuple(shape), weak_type=weak)


def _concatenate_transpose(ct: Any, *operands: Any, dimension: int) -> list[Any]:
    if type(ct) is Zero:
        return [Zero(x.aval) if is_undefined_primal(x) else None for x in operands]
    sizes = tuple(shape_of(x)[dimension] for x in operands)
    parts = split(ct, sizes, dimension)
    return [part if is_undefined_primal(x) else None for part, x in zip(parts, operands, strict=True)]


def _concatenate_batch(args: Any, dims: Any, *, dimension: int) -> tuple[Any, int]:
    return concatenate_p.bind(*_batched_join(args, dims), dimension=dimension + 1), 0


concatenate_p = Primitive("concatenate")
concatenate_p.def_abstract_eval(_concatenate_shape_rule)
concatenate_p.def_batching(_concatenate_batch)
deflinear(concatenate_p, _concatenate_transpose)


# ----------------------------------------------------------------------------------------------
# split


def split(operand: Any, sizes: Sequence[int], axis: int = 0) -> list[Any]:
    """Cuts an array into consecutive pieces along an axis.

    Args:
      operand: array of at least one dimension.
      sizes: the sizes of the pieces along the axis; they add up to its size.
      axis: the axis to cut; negative ones count from the end.

    Returns:
      The list of the pieces.

    Raises:
      ValueError: the sizes do not add up, one is negative, or the axis is out of range.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> [x.tolist() for x in lax.split(cnp.arange(3), (1, 2))]
      [[0], [1, 2]]
    """
    axis = normalize_axis("split", axis, len(shape_of(operand)))
    return split_p.bind(operand, sizes=int_tuple(sizes, "split"), axis=axis)


def _split_shape_rule(operand: Any, *, sizes: tuple[int, ...], axis: int) -> list[Any]:
    shape = operand.shape
    if any(size < 0 for size in sizes) or sum(sizes) != shape[axis]:
        raise ValueError(
            f"split: sizes {sizes} must be nonnegative and add up to {shape[axis]}, the size of axis {axis} "
            f"of an operand of shape {shape}; their sum is {sum(sizes)}."
        )
    return [with_shape(operand, (*shape[:axis], size, *shape[axis + 1 :])) for size in sizes]


def _split_transpose(cts: Any, operand: Any, *, sizes: Any, axis: int) -> list[Any]:
    if all(type(ct) is Zero for ct in cts):
        return [Zero(operand.aval)]
    return [concatenate(list(map(instantiate_zeros, cts)), axis)]


def _split_batch(args: Any, dims: Any, *, sizes: Any, axis: int) -> tuple[Any, Any]:
    bdim = dims[0]
    outs = split_p.bind(args[0], sizes=sizes, axis=axis + (axis >= bdim))
    return outs, [bdim] * len(outs)


split_p = Primitive("split", multiple_results=True)
split_p.def_abstract_eval(_split_shape_rule)
split_p.def_batching(_split_batch)
deflinear(split_p, _split_transpose)


# ----------------------------------------------------------------------------------------------
# stack and unstack


def stack(operands: Sequence[Any], axis: int = 0) -> Any:
    """Joins arrays of one shape along a new axis.

    Args:
      operands: a non-empty sequence of arrays of one shape and dtype.
      axis: where the new axis stands in the result; negative ones count from its end.

    Returns:
      An array with one dimension more.

    Raises:
      ValueError: there are no operands, or the axis is out of range.
      TypeError: shapes or dtypes differ.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.stack([cnp.arange(2), cnp.arange(2)], 1).tolist()
      [[0, 0], [1, 1]]
    """
    operands = list(operands)
    if not operands:
        raise ValueError("stack needs at least one array, got an empty sequence.")
    return stack_p.bind(*operands, axis=normalize_axis("stack", axis, len(shape_of(operands[0])) + 1))


def unstack(x: Any, axis: int = 0) -> tuple[Any, ...]:
    """Takes an array apart along an axis.

    Args:
      x: array of at least one dimension.
      axis: the axis to remove; negative ones count from the end.

    Returns:
      A tuple of `x.shape[axis]` arrays with one dimension less.

    Raises:
      ValueError: the axis is out of range.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> [int(v) for v in lax.unstack(cnp.arange(3))]
      [0, 1, 2]
    """
    return tuple(unstack_p.bind(x, axis=normalize_axis("unstack", axis, len(shape_of(x)))))


def _stack_shape_rule(*operands: Any, axis: int) -> Any:
    _check_joinable("stack", operands, None)
    shape = operands[0].shape
    weak = all(operand.weak_type for operand in operands)
    return operands[0].update(shape=(*shape[:axis], len(operands), *shape[axis:]), weak_type=weak)


def _stack_transpose(ct: Any, *operands: Any, axis: int) -> list[Any]:
    if type(ct) is Zero:
        return [Zero(x.aval) if is_undefined_primal(x) else None for x in operands]
    return [
        part if is_undefined_primal(x) else None for part, x in zip(unstack(ct, axis), operands, strict=True)
    ]


def _stack_batch(args: Any, dims: Any, *, axis: int) -> tuple[Any, int]:
    return stack_p.bind(*_batched_join(args, dims), axis=axis + 1), 0


def _unstack_shape_rule(x: Any, *, axis: int) -> list[Any]:
    shape = x.shape
    return [with_shape(x, (*shape[:axis], *shape[axis + 1 :]))] * shape[axis]


def _unstack_transpose(cts: Any, x: Any, *, axis: int) -> list[Any]:
    if all(type(ct) is Zero for ct in cts):
        return [Zero(x.aval)]
    return [stack(list(map(instantiate_zeros, cts)), axis)]


def _unstack_batch(args: Any, dims: Any, *, axis: int) -> tuple[Any, Any]:
    bdim = dims[0]
    moved = axis + (axis >= bdim)
    outs = unstack_p.bind(args[0], axis=moved)
    return outs, [bdim - (moved < bdim)] * len(outs)


stack_p = Primitive("stack")
stack_p.def_abstract_eval(_stack_shape_rule)
stack_p.def_batching(_stack_batch)
deflinear(stack_p, _stack_transpose)

unstack_p = Primitive("unstack", multiple_results=True)
unstack_p.def_abstract_eval(_unstack_shape_rule)
unstack_p.def_batching(_unstack_batch)
deflinear(unstack_p, _unstack_transpose)


# ----------------------------------------------------------------------------------------------
# pad


def pad(operand: Any, padding_value: Any, padding_config: Sequence[tuple[int, int, int]]) -> Any:
    """Adds elements around an array and between its elements.

    Args:
      operand: array of any shape and dtype.
      padding_value: a scalar of the same dtype.
      padding_config: for each axis `(low, high, interior)`: how many elements to put before and
        after, where negative numbers remove elements, and how many between two neighbours.

    Returns:
      The padded array.

    Raises:
      TypeError: dtypes differ, or `padding_value` is not a scalar.
      ValueError: the configuration does not fit the shape.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.pad(cnp.array([1, 2]), 0, ((1, 0, 1),)).tolist()
      [0, 1, 0, 2]
    """
    config = tuple(int_tuple(entry, "pad") for entry in padding_config)
    if type(padding_value) in (int, float, complex, bool):
        padding_value = _typed_scalar(operand, padding_value)
    return pad_p.bind(operand, padding_value, padding_config=config)


def _typed_scalar(operand: Any, value: Any) -> Any:
    """A Python scalar in the dtype of the operand, where that dtype can hold its kind of number."""
    dtype = aval_of(operand).dtype
    if isinstance(dtype, np.dtype) and dtypes.result_type(dtype, value) == dtype:
        return dtype.type(value)
    return value


def padded_size(size: int, low: int, high: int, interior: int) -> int:
    """The size of an axis after padding."""
    return low + high + size + (max_dim(interior * (size - 1), 0) if interior else 0)


def _pad_shape_rule(operand: Any, padding_value: Any, *, padding_config: Any) -> Any:
    shape = operand.shape
    if operand.dtype != padding_value.dtype:
        raise TypeError(
            f"pad: operand and padding_value must have the same dtype, got {operand.dtype.name} and "
            f"{padding_value.dtype.name}. Convert one with lax.convert_element_type."
        )
    if padding_value.shape:
        raise TypeError(f"pad: padding_value must be a scalar, got an array of shape {padding_value.shape}.")
    if len(padding_config) != len(shape):
        raise ValueError(
            f"pad: padding_config needs one (low, high, interior) for each of the {len(shape)} axes of shape "
            f"{shape}, got {padding_config}."
        )
    sizes = []
    for axis, (size, entry) in enumerate(zip(shape, padding_config, strict=True)):
        if len(entry) != 3 or entry[2] < 0:
            raise ValueError(
                f"pad: padding_config[{axis}]={entry} must be (low, high, interior) with interior >= 0; "
                f"operand shape {shape}."
            )
        sizes.append(padded_size(size, *entry))
        if sizes[-1] < 0:
            raise ValueError(
                f"pad: padding_config[{axis}]={entry} removes more than the {size} elements of axis {axis} "
                f"of shape {shape}."
            )
    return operand.update(shape=tuple(sizes), weak_type=operand.weak_type and padding_value.weak_type)


def _pad_transpose(ct: Any, operand: Any, padding_value: Any, *, padding_config: Any) -> list[Any]:
    operand_linear, value_linear = is_undefined_primal(operand), is_undefined_primal(padding_value)
    if type(ct) is Zero:
        return [Zero(x.aval) if is_undefined_primal(x) else None for x in (operand, padding_value)]
    # Undo the outer padding by padding with the negated amounts, then skip the interior elements.
    unpadded = pad(ct, const(ct, 0), tuple((-low, -high, 0) for low, high, _ in padding_config))
    strides = tuple(interior + 1 for _, _, interior in padding_config)
    inner = ops.slice(unpadded, (0,) * len(strides), shape_of(unpadded), strides)
    if not value_linear:
        return [inner, None]
    everywhere = tuple(range(len(strides)))
    value_ct = ops.sub(ops.reduce_sum(ct, everywhere), ops.reduce_sum(inner, everywhere))
    return [inner if operand_linear else None, value_ct]


def _pad_batch(args: Any, dims: Any, *, padding_config: Any) -> tuple[Any, int]:
    operand, padding_value = args
    operand_dim, value_dim = dims
    if value_dim is None:
        config = (*padding_config[:operand_dim], (0, 0, 0), *padding_config[operand_dim:])
        return pad(operand, padding_value, config), operand_dim
    # Padding values differ along the batch: pad with zero, then choose them where nothing of the operand is.
    operand = bdim_at_front(operand, operand_dim, batch_size(args, dims))
    config = ((0, 0, 0), *padding_config)
    padded = pad(operand, const(operand, 0), config)
    inside = pad(ops.full(shape_of(operand), True, np.bool_), np.False_, config)
    values = ops.broadcast_in_dim(padding_value, shape_of(padded), (0,))
    return ops.select_n(inside, values, padded), 0


pad_p = Primitive("pad")
pad_p.def_abstract_eval(_pad_shape_rule)
pad_p.def_batching(_pad_batch)
deflinear(pad_p, _pad_transpose)
