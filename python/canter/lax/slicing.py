"""Slices with static and with dynamic starts, and the updates of dynamic slices."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.avals import get_aval
from ..core.dimensions import is_symbolic_dim, max_dim, size_of
from ..core.primitive import Primitive
from ..transforms.rules import Zero, bdim_at_front, deflinear, instantiate_zeros, is_undefined_primal
from .common import const, normalize_axis, ops
from .gathering import GatherDimensionNumbers, GatherScatterMode, gather_batch
from .joining import batch_size, pad
from .scattering import ScatterDimensionNumbers, scatter_batch, scatter_p
from .shapes import aval_of, expand_dims, int_tuple, shape_of, squeeze, with_shape

__all__ = [
    "dynamic_index_in_dim",
    "dynamic_slice",
    "dynamic_slice_in_dim",
    "dynamic_slice_p",
    "dynamic_update_index_in_dim",
    "dynamic_update_slice",
    "dynamic_update_slice_in_dim",
    "dynamic_update_slice_p",
    "index_in_dim",
    "slice",
    "slice_in_dim",
    "slice_p",
]

_INDEX_TYPES = (int, np.integer)
_INT32 = np.dtype(np.int32)
# The range of each dtype that counts positions.
_LIMITS = {
    np.dtype(kind): (0, 2**bits - 1) if kind[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for kind, bits in (("int32", 32), ("int64", 64), ("uint32", 32), ("uint64", 64))
}


# ----------------------------------------------------------------------------------------------
# static slices


def slice(
    operand: Any,
    start_indices: Sequence[int],
    limit_indices: Sequence[int],
    strides: Sequence[int] | None = None,
) -> Any:
    """Takes a box out of an array: `operand[start:limit:stride]` on every axis.

    Args:
      operand: array of any shape and dtype.
      start_indices: for each axis, the first position, counted from 0.
      limit_indices: for each axis, the position after the last one.
      strides: for each axis, the step, at least 1; None is 1 everywhere.

    Returns:
      An array of the same number of dimensions.

    Raises:
      TypeError: the box does not lie inside the array, or has not one entry for each axis.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.slice(cnp.arange(6), (1,), (6,), (2,)).tolist()
      [1, 3, 5]
    """
    return slice_p.bind(
        operand,
        start_indices=int_tuple(start_indices, "slice"),
        limit_indices=int_tuple(limit_indices, "slice"),
        strides=None if strides is None else int_tuple(strides, "slice"),
    )


def slice_in_dim(
    operand: Any, start_index: int | None, limit_index: int | None, stride: int = 1, axis: int = 0
) -> Any:
    """Slices one axis: `operand[start_index:limit_index:stride]` on that axis.

    Args:
      operand: array of at least one dimension.
      start_index: the first position; negative ones count from the end; None is the beginning.
      limit_index: the position after the last one; negative ones count from the end; None is the end.
      stride: the step, at least 1.
      axis: the axis to slice; negative ones count from the end.

    Returns:
      An array of the same number of dimensions.

    Raises:
      TypeError: the positions do not lie inside the axis.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.slice_in_dim(cnp.arange(5), 1, -1).tolist()
      [1, 2, 3]
    """
    shape = shape_of(operand)
    axis = normalize_axis("slice_in_dim", axis, len(shape))
    size = shape[axis]
    start = 0 if start_index is None else size_of(start_index)
    limit = size if limit_index is None else size_of(limit_index)
    starts, limits, strides = [0] * len(shape), list(shape), [1] * len(shape)
    starts[axis] = start + size if start < 0 else start
    limits[axis] = limit + size if limit < 0 else limit
    strides[axis] = operator.index(stride)
    return slice_p.bind(
        operand, start_indices=tuple(starts), limit_indices=tuple(limits), strides=tuple(strides)
    )


def index_in_dim(operand: Any, index: int, axis: int = 0, keepdims: bool = True) -> Any:
    """Takes the slice at one static position of an axis.

    Args:
      operand: array of at least one dimension.
      index: the position; negative ones count from the end.
      axis: the axis; negative ones count from the end.
      keepdims: whether the axis stays, with size 1.

    Returns:
      The slice.

    Raises:
      IndexError: the position is out of bounds.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> int(lax.index_in_dim(cnp.arange(5), -1, keepdims=False))
      4
    """
    shape = shape_of(operand)
    axis = normalize_axis("index_in_dim", axis, len(shape))
    size = shape[axis]
    position = size_of(index)
    if not -size <= position < size:
        raise IndexError(f"index_in_dim: index {position} is out of bounds for axis {axis} with size {size}.")
    position += size if position < 0 else 0
    result = slice_in_dim(operand, position, position + 1, 1, axis)
    return result if keepdims else squeeze(result, (axis,))


def _slice_shape_rule(
    operand: Any,
    *,
    start_indices: tuple[int, ...],
    limit_indices: tuple[int, ...],
    strides: tuple[int, ...] | None,
) -> Any:
    shape = operand.shape
    strides = (1,) * len(shape) if strides is None else strides
    if not len(start_indices) == len(limit_indices) == len(strides) == len(shape):
        raise TypeError(
            f"slice needs a start, a limit and a stride for each of the {len(shape)} axes of shape {shape}; "
            f"got start_indices={start_indices}, limit_indices={limit_indices}, strides={strides}."
        )
    sizes = []
    entries = zip(shape, start_indices, limit_indices, strides, strict=True)
    for axis, (size, start, limit, stride) in enumerate(entries):
        if not 0 <= start <= limit <= size or stride <= 0:
            raise TypeError(
                f"slice: on axis {axis} of shape {shape} the start {start}, the limit {limit} and the "
                f"stride {stride} must satisfy 0 <= start <= limit <= {size} and stride >= 1."
            )
        sizes.append(-(-(limit - start) // stride))
    return with_shape(operand, tuple(sizes))


def _slice_transpose(
    ct: Any, operand: Any, *, start_indices: Any, limit_indices: Any, strides: Any
) -> list[Any]:
    shape, out_shape = operand.aval.shape, shape_of(ct)
    config = []
    for axis, (size, taken, start) in enumerate(zip(shape, out_shape, start_indices, strict=True)):
        stride = 1 if strides is None else strides[axis]
        end = start + (taken if stride == 1 else max_dim((taken - 1) * stride + 1, 0))
        config.append((start, size - end, stride - 1))
    return [pad(ct, const(ct, 0), tuple(config))]


def _slice_batch(
    args: Any, dims: Any, *, start_indices: Any, limit_indices: Any, strides: Any
) -> tuple[Any, int]:
    operand, bdim = args[0], dims[0]

    def insert(values: tuple[int, ...], value: int) -> tuple[int, ...]:
        return (*values[:bdim], value, *values[bdim:])

    out = slice_p.bind(
        operand,
        start_indices=insert(start_indices, 0),
        limit_indices=insert(limit_indices, shape_of(operand)[bdim]),
        strides=None if strides is None else insert(strides, 1),
    )
    return out, bdim


slice_p = Primitive("slice")
slice_p.def_abstract_eval(_slice_shape_rule)
slice_p.def_batching(_slice_batch)
deflinear(slice_p, _slice_transpose)


# ----------------------------------------------------------------------------------------------
# start indices of dynamic slices


def _dynamic_starts(
    name: str, shape: tuple[int, ...], start_indices: Any, allow_negative_indices: Any
) -> list[Any]:
    """One scalar index per axis, all of one integer dtype, counted from the beginning of the axis."""
    if not isinstance(start_indices, (list, tuple)):
        aval = aval_of(start_indices)
        if len(aval.shape) != 1:
            raise TypeError(
                f"{name}: start_indices must be a vector or a sequence of scalars, got an array of shape "
                f"{aval.shape}."
            )
        if isinstance(start_indices, np.ndarray):
            start_indices = list(start_indices)
        else:
            start_indices = [index_in_dim(start_indices, i, 0, keepdims=False) for i in range(aval.shape[0])]
    if len(start_indices) != len(shape):
        raise ValueError(
            f"{name} needs a start index for each of the {len(shape)} axes of shape {shape}, "
            f"got {len(start_indices)}."
        )
    if isinstance(allow_negative_indices, (bool, np.bool_)):
        allowed: Sequence[Any] = (allow_negative_indices,) * len(shape)
    else:
        allowed = allow_negative_indices
        if len(allowed) != len(shape):
            raise ValueError(
                f"{name}: allow_negative_indices needs one entry for each of the {len(shape)} axes, got "
                f"{allowed}."
            )
    dtype = _index_dtype(name, start_indices)
    return [
        _from_beginning(index, size, dtype, bool(negative))
        for index, size, negative in zip(start_indices, shape, allowed, strict=True)
    ]


def _index_dtype(name: str, indices: Sequence[Any]) -> Any:
    """The common dtype of the dynamic indices, at least 32 bits wide so that it can count any axis."""
    found: Any = None
    for axis, index in enumerate(indices):
        if isinstance(index, _INDEX_TYPES):
            continue
        aval = aval_of(index)
        if aval.shape:
            raise TypeError(
                f"{name}: start index {axis} must be a scalar, got an array of shape {aval.shape}."
            )
        if not dtypes.issubdtype(aval.dtype, np.integer):
            raise TypeError(f"{name}: start index {axis} must be an integer, got dtype {aval.dtype.name}.")
        same = found is None or found == aval.dtype
        found = aval.dtype if same else dtypes.promote_types(found, aval.dtype)
    return _INT32 if found is None or found.itemsize < 4 else found


def _from_beginning(index: Any, size: int, dtype: Any, negative: bool) -> Any:
    if isinstance(index, _INDEX_TYPES):
        position = int(index)
        if negative and position < 0:
            position += size
            if is_symbolic_dim(position):
                return ops.convert_element_type(position, dtype)
        least, greatest = _LIMITS[dtype]
        return dtype.type(min(max(position, least), greatest))
    aval = get_aval(index)
    if aval.dtype != dtype or is_symbolic_dim(index):
        index = ops.convert_element_type(index, dtype)
        aval = get_aval(index)
    if not negative or dtype.kind == "u":
        return index
    negative_index = ops.lt(index, const(index, 0))
    counted = ops.convert_element_type(index, dtype) if aval.weak_type else index
    return ops.select_n(negative_index, index, ops.add(counted, const(counted, size)))


def _static_starts(axis: int, ndim: int, index: Any) -> list[Any]:
    starts: list[Any] = [0] * ndim
    starts[axis] = index
    return starts


# ----------------------------------------------------------------------------------------------
# dynamic_slice


def dynamic_slice(
    operand: Any,
    start_indices: Any,
    slice_sizes: Sequence[int],
    *,
    allow_negative_indices: bool | Sequence[bool] = True,
) -> Any:
    """Takes a box of static size at a position that may be known only at run time.

    A box that would stick out of the array is moved back inside: starts are clamped.

    Args:
      operand: array of any shape and dtype.
      start_indices: for each axis, an integer scalar; or a vector of them. Dtypes may be mixed.
      slice_sizes: for each axis, the size of the box.
      allow_negative_indices: whether negative starts count from the end of the axis; one answer, or
        one for each axis. False saves three operations for each dynamic index.

    Returns:
      An array of shape `slice_sizes`.

    Raises:
      TypeError: the box is larger than the array, or an index is not an integer scalar.
      ValueError: there is not one index for each axis.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.dynamic_slice(cnp.arange(5), (3,), (3,)).tolist()
      [2, 3, 4]
    """
    starts = _dynamic_starts("dynamic_slice", shape_of(operand), start_indices, allow_negative_indices)
    return dynamic_slice_p.bind(operand, *starts, slice_sizes=int_tuple(slice_sizes, "dynamic_slice"))


def dynamic_slice_in_dim(
    operand: Any, start_index: Any, slice_size: int, axis: int = 0, *, allow_negative_indices: bool = True
) -> Any:
    """`dynamic_slice` along one axis, whole along the others.

    Args:
      operand: array of at least one dimension.
      start_index: an integer scalar, which may be known only at run time; it is clamped.
      slice_size: how many positions to take.
      axis: the axis; negative ones count from the end.
      allow_negative_indices: whether a negative start counts from the end of the axis.

    Returns:
      An array of the same number of dimensions.

    Raises:
      TypeError: the slice is larger than the axis, or the index is not an integer scalar.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.dynamic_slice_in_dim(cnp.arange(5), 1, 2).tolist()
      [1, 2]
    """
    shape = shape_of(operand)
    axis = normalize_axis("dynamic_slice_in_dim", axis, len(shape))
    sizes = (*shape[:axis], size_of(slice_size), *shape[axis + 1 :])
    starts = _static_starts(axis, len(shape), start_index)
    return dynamic_slice(operand, starts, sizes, allow_negative_indices=allow_negative_indices)


def dynamic_index_in_dim(
    operand: Any, index: Any, axis: int = 0, keepdims: bool = True, *, allow_negative_indices: bool = True
) -> Any:
    """Takes the slice at one position of an axis, which may be known only at run time.

    Args:
      operand: array of at least one dimension.
      index: an integer scalar; it is clamped.
      axis: the axis; negative ones count from the end.
      keepdims: whether the axis stays, with size 1.
      allow_negative_indices: whether a negative index counts from the end of the axis.

    Returns:
      The slice.

    Raises:
      TypeError: the index is not an integer scalar.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.dynamic_index_in_dim(cnp.arange(6).reshape(3, 2), 1, keepdims=False).tolist()
      [2, 3]
    """
    result = dynamic_slice_in_dim(operand, index, 1, axis, allow_negative_indices=allow_negative_indices)
    return result if keepdims else squeeze(result, (axis,))


def _check_indices(name: str, ndim: int, indices: tuple[Any, ...]) -> None:
    if len(indices) != ndim:
        raise TypeError(f"{name} takes {ndim} start indices, got {len(indices)}.")
    for axis, index in enumerate(indices):
        if index.shape or not dtypes.issubdtype(index.dtype, np.integer) or index.dtype != indices[0].dtype:
            got = ", ".join(i.str_short() for i in indices)
            raise TypeError(
                f"{name}: start indices must be integer scalars of one dtype; got {got} (see index {axis})."
            )


def _dynamic_slice_shape_rule(operand: Any, *indices: Any, slice_sizes: tuple[int, ...]) -> Any:
    shape = operand.shape
    _check_indices("dynamic_slice", len(shape), indices)
    if len(slice_sizes) != len(shape):
        raise TypeError(
            f"dynamic_slice needs a slice size for each of the {len(shape)} axes of shape {shape}, "
            f"got slice_sizes={slice_sizes}."
        )
    for axis, (taken, size) in enumerate(zip(slice_sizes, shape, strict=True)):
        if not 0 <= taken <= size:
            raise TypeError(
                f"dynamic_slice: slice_sizes {slice_sizes} does not fit an operand of shape {shape}: on "
                f"axis {axis} it must be in [0, {size}], got {taken}."
            )
    return with_shape(operand, slice_sizes)


def _dynamic_slice_jvp(primals: Any, tangents: Any, *, slice_sizes: Any) -> tuple[Any, Any]:
    out = dynamic_slice_p.bind(*primals, slice_sizes=slice_sizes)
    tangent = tangents[0]
    if type(tangent) is Zero:
        return out, Zero.from_primal_value(out)
    return out, dynamic_slice_p.bind(tangent, *primals[1:], slice_sizes=slice_sizes)


def _dynamic_slice_transpose(ct: Any, operand: Any, *indices: Any, slice_sizes: Any) -> list[Any]:
    aval = operand.aval
    result = Zero(aval)
    if type(ct) is not Zero:
        result = dynamic_update_slice_p.bind(instantiate_zeros(result), ct, *indices)
    return [result] + [None] * len(indices)


def _stacked_indices(indices: Sequence[Any], dims: Sequence[int | None]) -> tuple[Any, int | None]:
    """Scalar start indices, some of them batched, as one index vector (per batch element)."""
    if all(dim is None for dim in dims):
        return ops.concatenate([expand_dims(index, (0,)) for index in indices], 0), None
    size = batch_size(indices, dims)
    columns = [
        expand_dims(bdim_at_front(index, dim, size), (1,)) for index, dim in zip(indices, dims, strict=True)
    ]
    return ops.concatenate(columns, 1), 0


def _dynamic_slice_batch(args: Any, dims: Any, *, slice_sizes: Any) -> tuple[Any, int]:
    operand, *indices = args
    operand_dim, *index_dims = dims
    if all(dim is None for dim in index_dims):
        # One box for the whole batch: still a dynamic slice, with the batch axis taken whole.
        starts = (
            [*indices[:operand_dim], const(indices[0], 0), *indices[operand_dim:]]
            if indices
            else [np.int32(0)]
        )
        sizes = (*slice_sizes[:operand_dim], shape_of(operand)[operand_dim], *slice_sizes[operand_dim:])
        return dynamic_slice_p.bind(operand, *starts, slice_sizes=sizes), operand_dim
    axes = tuple(range(len(slice_sizes)))
    numbers = GatherDimensionNumbers(offset_dims=axes, collapsed_slice_dims=(), start_index_map=axes)
    index, index_dim = _stacked_indices(indices, index_dims)
    return gather_batch(
        (operand, index),
        (operand_dim, index_dim),
        dimension_numbers=numbers,
        slice_sizes=slice_sizes,
        unique_indices=True,
        indices_are_sorted=True,
        mode=GatherScatterMode.CLIP,
        fill_value=None,
    )


dynamic_slice_p = Primitive("dynamic_slice")
dynamic_slice_p.def_abstract_eval(_dynamic_slice_shape_rule)
dynamic_slice_p.def_jvp(_dynamic_slice_jvp)
dynamic_slice_p.def_transpose(_dynamic_slice_transpose)
dynamic_slice_p.def_batching(_dynamic_slice_batch)


# ----------------------------------------------------------------------------------------------
# dynamic_update_slice


def dynamic_update_slice(
    operand: Any, update: Any, start_indices: Any, *, allow_negative_indices: bool | Sequence[bool] = True
) -> Any:
    """Replaces a box of an array, at a position that may be known only at run time.

    A box that would stick out of the array is moved back inside: starts are clamped.

    Args:
      operand: array of any shape and dtype.
      update: array of the same dtype and number of dimensions, nowhere larger than `operand`.
      start_indices: for each axis, an integer scalar; or a vector of them. Dtypes may be mixed.
      allow_negative_indices: whether negative starts count from the end of the axis; one answer, or
        one for each axis.

    Returns:
      `operand` with the box replaced by `update`.

    Raises:
      TypeError: dtypes differ, the update is larger than the operand, or an index is not an integer scalar.
      ValueError: there is not one index for each axis.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.dynamic_update_slice(cnp.arange(4), cnp.array([8, 9]), (1,)).tolist()
      [0, 8, 9, 3]
    """
    starts = _dynamic_starts("dynamic_update_slice", shape_of(operand), start_indices, allow_negative_indices)
    return dynamic_update_slice_p.bind(operand, update, *starts)


def dynamic_update_slice_in_dim(
    operand: Any, update: Any, start_index: Any, axis: int, *, allow_negative_indices: bool = True
) -> Any:
    """`dynamic_update_slice` with a start on one axis, 0 on the others.

    Args:
      operand: array of at least one dimension.
      update: array of the same dtype and number of dimensions, nowhere larger than `operand`.
      start_index: an integer scalar, which may be known only at run time; it is clamped.
      axis: the axis; negative ones count from the end.
      allow_negative_indices: whether a negative start counts from the end of the axis.

    Returns:
      `operand` with the slice replaced by `update`.

    Raises:
      TypeError: dtypes differ, the update is larger than the operand, or the index is not an integer scalar.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.dynamic_update_slice_in_dim(cnp.arange(4), cnp.array([8, 9]), 2, 0).tolist()
      [0, 1, 8, 9]
    """
    ndim = len(shape_of(operand))
    axis = normalize_axis("dynamic_update_slice_in_dim", axis, ndim)
    starts = _static_starts(axis, ndim, start_index)
    return dynamic_update_slice(operand, update, starts, allow_negative_indices=allow_negative_indices)


def dynamic_update_index_in_dim(
    operand: Any, update: Any, index: Any, axis: int, *, allow_negative_indices: bool = True
) -> Any:
    """Replaces the slice at one position of an axis, which may be known only at run time.

    Args:
      operand: array of at least one dimension.
      update: array of the same dtype; the axis may be missing, or of size 1.
      index: an integer scalar; it is clamped.
      axis: the axis; negative ones count from the end.
      allow_negative_indices: whether a negative index counts from the end of the axis.

    Returns:
      `operand` with the slice replaced by `update`.

    Raises:
      TypeError: dtypes or shapes do not fit, or the index is not an integer scalar.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.dynamic_update_index_in_dim(cnp.arange(4), 9, 1, 0).tolist()
      [0, 9, 2, 3]
    """
    ndim = len(shape_of(operand))
    axis = normalize_axis("dynamic_update_index_in_dim", axis, ndim)
    if len(shape_of(update)) != ndim:
        update = expand_dims(update, (axis,))
    return dynamic_update_slice_in_dim(
        operand, update, index, axis, allow_negative_indices=allow_negative_indices
    )


def _dynamic_update_slice_shape_rule(operand: Any, update: Any, *indices: Any) -> Any:
    shape, given = operand.shape, update.shape
    _check_indices("dynamic_update_slice", len(shape), indices)
    if operand.dtype != update.dtype:
        raise TypeError(
            f"lax.dynamic_update_slice requires arguments to have the same dtypes, got {operand.dtype.name}, "
            f"{update.dtype.name}. Convert the update with lax.convert_element_type."
        )
    if len(given) != len(shape) or any(new > size for new, size in zip(given, shape, strict=True)):
        raise TypeError(
            f"dynamic_update_slice: the update must have the operand's number of dimensions and be nowhere "
            f"larger; got update shape {given} for operand shape {shape}."
        )
    return operand.update(weak_type=operand.weak_type and update.weak_type)


def _dynamic_update_slice_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    out = dynamic_update_slice_p.bind(*primals)
    operand_tangent, update_tangent = tangents[:2]
    if type(operand_tangent) is Zero and type(update_tangent) is Zero:
        return out, Zero.from_primal_value(out)
    operand_tangent, update_tangent = instantiate_zeros(operand_tangent), instantiate_zeros(update_tangent)
    return out, dynamic_update_slice_p.bind(operand_tangent, update_tangent, *primals[2:])


def _dynamic_update_slice_transpose(ct: Any, operand: Any, update: Any, *indices: Any) -> list[Any]:
    update_aval = aval_of(update)
    nothing = [None] * len(indices)
    if type(ct) is Zero:
        return [Zero(x.aval) if is_undefined_primal(x) else None for x in (operand, update)] + nothing
    operand_ct = update_ct = None
    if is_undefined_primal(operand):
        operand_ct = dynamic_update_slice_p.bind(ct, instantiate_zeros(Zero(update_aval)), *indices)
    if is_undefined_primal(update):
        update_ct = dynamic_slice_p.bind(ct, *indices, slice_sizes=update_aval.shape)
    return [operand_ct, update_ct, *nothing]


def _dynamic_update_slice_batch(args: Any, dims: Any) -> tuple[Any, int]:
    operand, update, *indices = args
    operand_dim, update_dim, *index_dims = dims
    if all(dim is None for dim in index_dims):
        size = batch_size(args, dims)
        operand = bdim_at_front(operand, operand_dim, size)
        update = bdim_at_front(update, update_dim, size)
        first = const(indices[0], 0) if indices else np.int32(0)
        return dynamic_update_slice_p.bind(operand, update, first, *indices), 0
    axes = tuple(range(len(indices)))
    numbers = ScatterDimensionNumbers(
        update_window_dims=axes, inserted_window_dims=(), scatter_dims_to_operand_dims=axes
    )
    index, index_dim = _stacked_indices(indices, index_dims)
    return scatter_batch(
        scatter_p,
        (operand, index, update),
        (operand_dim, index_dim, update_dim),
        update_jaxpr=None,
        update_consts=(),
        dimension_numbers=numbers,
        indices_are_sorted=True,
        unique_indices=True,
        mode=GatherScatterMode.CLIP,
    )


dynamic_update_slice_p = Primitive("dynamic_update_slice")
dynamic_update_slice_p.def_abstract_eval(_dynamic_update_slice_shape_rule)
dynamic_update_slice_p.def_jvp(_dynamic_update_slice_jvp)
dynamic_update_slice_p.def_transpose(_dynamic_update_slice_transpose)
dynamic_update_slice_p.def_batching(_dynamic_update_slice_batch)
