"""Gather: many slices of an array at positions given by an index array.

The meaning of the dimension numbers is that of StableHLO's `gather`, with the index vectors along
the last axis of the indices.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core import dtypes
from ..core.avals import ShapedArray
from ..core.dimensions import max_dim
from ..core.number_keys import ExactMemory
from ..core.primitive import Primitive
from ..transforms.rules import Zero, instantiate_zeros, moveaxis
from .common import const, normalize_axis, ops
from .joining import batch_size
from .shapes import aval_of, expand_dims, int_tuple, shape_of

__all__ = ["GatherDimensionNumbers", "GatherScatterMode", "gather", "gather_p", "index_take"]


class GatherScatterMode(enum.Enum):
    """What gather and scatter do with indices that are out of bounds.

    CLIP moves them to the nearest position in bounds. FILL_OR_DROP gives the fill value (gather) or
    leaves the update out (scatter). PROMISE_IN_BOUNDS is the caller's word that there are none; if
    there are, the result is undefined, but nothing outside the array is touched. ONE_HOT belongs to
    indexing of arrays, not to `gather`.

    Example:
      >>> from canter import lax
      >>> lax.GatherScatterMode.from_any("clip")
      <GatherScatterMode.CLIP: 1>
    """

    CLIP = enum.auto()
    FILL_OR_DROP = enum.auto()
    PROMISE_IN_BOUNDS = enum.auto()
    ONE_HOT = enum.auto()

    @staticmethod
    def from_any(mode: str | GatherScatterMode | None) -> GatherScatterMode:
        """The mode of a name; None is FILL_OR_DROP.

        Raises:
          ValueError: the name is unknown.
        """
        if isinstance(mode, GatherScatterMode):
            return mode
        known = _MODES.get(mode)
        if known is None:
            names = ", ".join(repr(name) for name in _MODES if name)
            raise ValueError(f"Unknown gather or scatter mode {mode!r}; use one of {names}.")
        return known


_MODES = {
    None: GatherScatterMode.FILL_OR_DROP,
    "fill": GatherScatterMode.FILL_OR_DROP,
    "drop": GatherScatterMode.FILL_OR_DROP,
    "clip": GatherScatterMode.CLIP,
    "promise_in_bounds": GatherScatterMode.PROMISE_IN_BOUNDS,
    "one_hot": GatherScatterMode.ONE_HOT,
}


class GatherDimensionNumbers(NamedTuple):
    """How the axes of a gather's operand, indices and result belong together.

    Attributes:
      offset_dims: axes of the result that run inside a slice.
      collapsed_slice_dims: axes of the operand, of slice size 1, that the result does not have.
      start_index_map: for each entry of an index vector, the axis of the operand that it counts.
      operand_batching_dims: axes of the operand, of slice size 1, that go along with axes of the indices.
      start_indices_batching_dims: those axes of the indices.

    Example:
      >>> from canter import lax
      >>> lax.GatherDimensionNumbers(offset_dims=(1,), collapsed_slice_dims=(0,), start_index_map=(0,)).offset_dims
      (1,)
    """

    offset_dims: tuple[int, ...]
    collapsed_slice_dims: tuple[int, ...]
    start_index_map: tuple[int, ...]
    operand_batching_dims: tuple[int, ...] = ()
    start_indices_batching_dims: tuple[int, ...] = ()


def gather(
    operand: Any,
    start_indices: Any,
    dimension_numbers: GatherDimensionNumbers,
    slice_sizes: Sequence[int],
    *,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
    mode: str | GatherScatterMode | None = None,
    fill_value: Any = None,
) -> Any:
    """Takes slices of one size at many positions.

    Most programs should index instead (`x[i]`), which does this.

    Args:
      operand: array of any dtype, from which slices are taken.
      start_indices: integer array; its last axis holds index vectors, the others are batch axes.
      dimension_numbers: a `GatherDimensionNumbers`.
      slice_sizes: for each axis of `operand`, the size of a slice.
      unique_indices: the caller's promise that no element is taken twice.
      indices_are_sorted: the caller's promise that index vectors are in ascending order.
      mode: what to do out of bounds, a `GatherScatterMode` or its name; None promises in bounds.
      fill_value: the value out of bounds in mode "fill"; None is NaN, the least integer, the
        largest unsigned integer, or True.

    Returns:
      An array of the batch axes of `start_indices` and the axes of a slice that are not collapsed.

    Raises:
      TypeError: shapes and dimension numbers do not fit.
      ValueError: the indices are not integers, or the mode is unknown.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> numbers = lax.GatherDimensionNumbers((1,), (0,), (0,))
      >>> lax.gather(cnp.arange(6).reshape(3, 2), cnp.array([[2], [0]]), numbers, (1, 2)).tolist()
      [[4, 5], [0, 1]]
    """
    parsed = GatherScatterMode.PROMISE_IN_BOUNDS if mode is None else GatherScatterMode.from_any(mode)
    if parsed is GatherScatterMode.ONE_HOT:
        raise ValueError("gather has no mode 'one_hot': multiply by nn.one_hot(indices) instead.")
    if parsed is not GatherScatterMode.FILL_OR_DROP:
        fill_value = None
    elif fill_value is None:
        fill_value = default_fill_value(aval_of(operand).dtype)
    return gather_p.bind(
        operand,
        start_indices,
        dimension_numbers=_canonical_numbers(dimension_numbers),
        slice_sizes=int_tuple(slice_sizes, "gather"),
        unique_indices=bool(unique_indices),
        indices_are_sorted=bool(indices_are_sorted),
        mode=parsed,
        fill_value=fill_value,
    )


def _canonical_numbers(numbers: GatherDimensionNumbers) -> GatherDimensionNumbers:
    if not isinstance(numbers, GatherDimensionNumbers):
        raise TypeError(f"gather needs a lax.GatherDimensionNumbers, got {type(numbers).__name__}.")
    return GatherDimensionNumbers(*(int_tuple(field, "gather") for field in numbers))


def default_fill_value(dtype: Any) -> Any:
    """What a gather in mode "fill" gives out of bounds if nothing else is said."""
    if dtypes.issubdtype(dtype, np.inexact):
        return np.nan
    if dtypes.issubdtype(dtype, np.signedinteger):
        return int(dtypes.iinfo(dtype).min)
    if dtypes.issubdtype(dtype, np.unsignedinteger):
        return int(dtypes.iinfo(dtype).max)
    if dtypes.issubdtype(dtype, dtypes.extended):
        return 0xFFFFFFFF
    return True


# ----------------------------------------------------------------------------------------------
# shapes


def check_numbers(name: str, what: str, ok: bool, numbers: Any, shapes: Any) -> None:
    """Raises TypeError, with all that belongs to it, if a condition on dimension numbers fails."""
    if not ok:
        given = ", ".join(f"{key} {value}" for key, value in shapes.items())
        raise TypeError(f"{name}: {what}; got {given} and {numbers}.")


def distinct_sorted(dims: Iterable[int]) -> bool:
    """True when axes are in ascending order, none twice."""
    dims = tuple(dims)
    return all(a < b for a, b in itertools.pairwise(dims))


def check_index_maps(name: str, numbers: Any, shapes: Any, operand: Any, indices: Any, maps: Any) -> None:
    """Checks what gather and scatter numbers have in common.

    Args:
      name: the operation.
      numbers: the dimension numbers.
      shapes: shapes by name, for messages.
      operand: shape of the operand.
      indices: shape of the indices.
      maps: (removed window axes, index map, operand batching axes, indices batching axes), with
        their names in `numbers`.
    """
    (removed_name, removed), (map_name, index_map), operand_batching, indices_batching = maps
    ndim = len(operand)

    def check(what: str, ok: bool) -> None:
        check_numbers(name, what, ok, numbers, shapes)

    check("indices need at least one axis, the last one holds index vectors", len(indices) > 0)
    check(
        f"{map_name} needs one entry for each of the {indices[-1]} entries of an index vector "
        "(the last axis of the indices)",
        len(index_map) == indices[-1],
    )
    for field, dims in ((removed_name, removed), ("operand_batching_dims", operand_batching)):
        check(f"{field} must be ascending axes of the operand, none twice", distinct_sorted(dims))
    for field, dims in (
        (removed_name, removed),
        (map_name, index_map),
        ("operand_batching_dims", operand_batching),
    ):
        check(f"{field} must be axes in [0, {ndim}) of the operand", all(0 <= dim < ndim for dim in dims))
    check(f"{map_name} must not repeat an axis", len(set(index_map)) == len(index_map))
    overlap = set(operand_batching) & (set(removed) | set(index_map))
    check(f"operand_batching_dims must not share axes with {removed_name} or {map_name}", not overlap)
    bounds = len(indices) - 1
    check(
        f"the batching axes of the indices must be distinct and in [0, {bounds})",
        len(set(indices_batching)) == len(indices_batching)
        and all(0 <= d < bounds for d in indices_batching),
    )
    check(
        "the batching axes of operand and indices must be as many and of the same sizes",
        [operand[d] for d in operand_batching] == [indices[d] for d in indices_batching],
    )


def _gather_shape_rule(
    operand: Any,
    indices: Any,
    *,
    dimension_numbers: GatherDimensionNumbers,
    slice_sizes: tuple[int, ...],
    **_: Any,
) -> Any:
    numbers = dimension_numbers
    if not dtypes.issubdtype(indices.dtype, np.integer):
        raise ValueError(f"gather: indices must have an integer type, got {indices.dtype.name}.")
    shapes = {"operand shape": operand.shape, "indices shape": indices.shape, "slice_sizes": slice_sizes}

    def check(what: str, ok: bool) -> None:
        check_numbers("gather", what, ok, numbers, shapes)

    check_index_maps(
        "gather",
        numbers,
        shapes,
        operand.shape,
        indices.shape,
        (
            ("collapsed_slice_dims", numbers.collapsed_slice_dims),
            ("start_index_map", numbers.start_index_map),
            numbers.operand_batching_dims,
            numbers.start_indices_batching_dims,
        ),
    )
    removed = {*numbers.collapsed_slice_dims, *numbers.operand_batching_dims}
    check("slice_sizes needs one entry for each axis of the operand", len(slice_sizes) == len(operand.shape))
    for axis, (taken, size) in enumerate(zip(slice_sizes, operand.shape, strict=True)):
        check(f"the slice size on axis {axis} must be in [0, {size}]", 0 <= taken <= size)
        check(
            f"axis {axis} is collapsed or batching, so its slice size must be 1",
            axis not in removed or taken <= 1,
        )
    window = [size for axis, size in enumerate(slice_sizes) if axis not in removed]
    ndim = len(indices.shape) - 1 + len(numbers.offset_dims)
    check(
        f"offset_dims must name the {len(window)} axes of the result that run inside a slice",
        len(numbers.offset_dims) == len(window),
    )
    check(
        f"offset_dims must be ascending axes in [0, {ndim}), none twice",
        distinct_sorted(numbers.offset_dims) and all(0 <= d < ndim for d in numbers.offset_dims),
    )
    window_sizes, batch_sizes = iter(window), iter(indices.shape[:-1])
    offset_dims = set(numbers.offset_dims)
    shape = tuple(next(window_sizes if axis in offset_dims else batch_sizes) for axis in range(ndim))
    return ShapedArray(shape, operand.dtype, operand.weak_type and indices.weak_type)


# ----------------------------------------------------------------------------------------------
# derivatives and batching


def _gather_jvp(primals: Any, tangents: Any, *, fill_value: Any, **params: Any) -> tuple[Any, Any]:
    out = gather_p.bind(*primals, fill_value=fill_value, **params)
    if type(tangents[0]) is Zero:
        return out, Zero.from_primal_value(out)
    fill = 0 if params["mode"] is GatherScatterMode.FILL_OR_DROP else None
    return out, gather_p.bind(tangents[0], primals[1], fill_value=fill, **params)


def _gather_transpose(
    ct: Any,
    operand: Any,
    indices: Any,
    *,
    dimension_numbers: GatherDimensionNumbers,
    slice_sizes: Any,
    unique_indices: bool,
    indices_are_sorted: bool,
    mode: GatherScatterMode,
    fill_value: Any,
) -> list[Any]:
    result = Zero(operand.aval)
    if type(ct) is not Zero:
        numbers = ops.ScatterDimensionNumbers(
            update_window_dims=dimension_numbers.offset_dims,
            inserted_window_dims=dimension_numbers.collapsed_slice_dims,
            scatter_dims_to_operand_dims=dimension_numbers.start_index_map,
            operand_batching_dims=dimension_numbers.operand_batching_dims,
            scatter_indices_batching_dims=dimension_numbers.start_indices_batching_dims,
        )
        result = ops.scatter_add(
            instantiate_zeros(result),
            indices,
            ct,
            numbers,
            indices_are_sorted=indices_are_sorted,
            unique_indices=unique_indices,
            mode=mode,
        )
    return [result, None]


def shift(dims: Iterable[int], by: int = 1) -> tuple[int, ...]:
    """Axes moved to make room for a batch axis in front."""
    return tuple(dim + by for dim in dims)


def gather_batch(
    args: Any,
    dims: Any,
    *,
    dimension_numbers: GatherDimensionNumbers,
    slice_sizes: Any,
    unique_indices: bool,
    indices_are_sorted: bool,
    mode: GatherScatterMode,
    fill_value: Any,
) -> tuple[Any, int]:
    """The batching rule of gather; dynamic slices with batched starts use it too."""
    operand, indices = args
    operand_dim, indices_dim = dims
    numbers = dimension_numbers
    if operand_dim is not None:
        operand = moveaxis(operand, operand_dim, 0)
    if indices_dim is not None:
        indices = moveaxis(indices, indices_dim, 0)
    collapsed, index_map = numbers.collapsed_slice_dims, numbers.start_index_map
    operand_batching: tuple[int, ...] = ()
    indices_batching: tuple[int, ...] = ()
    offset_dims = shift(numbers.offset_dims)
    batched_numbers = (numbers.operand_batching_dims, numbers.start_indices_batching_dims)
    if operand_dim is None:
        # Each batch element has its own indices into the same array.
        operand_batching, indices_batching = batched_numbers[0], shift(batched_numbers[1])
        unique_indices = indices_are_sorted = False
    else:
        collapsed, index_map = shift(collapsed), shift(index_map)
        operand_batching = shift(batched_numbers[0])
        if indices_dim is None:
            # The same positions in each batch element: the batch axis is part of the slices.
            offset_dims = (0, *offset_dims)
            indices_batching = batched_numbers[1]
            slice_sizes = (shape_of(operand)[0], *slice_sizes)
        else:
            operand_batching = (0, *operand_batching)
            indices_batching = (0, *shift(batched_numbers[1]))
            slice_sizes = (min(1, batch_size(args, dims)), *slice_sizes)
    out = gather_p.bind(
        operand,
        indices,
        dimension_numbers=GatherDimensionNumbers(
            offset_dims, collapsed, index_map, operand_batching, indices_batching
        ),
        slice_sizes=slice_sizes,
        unique_indices=unique_indices,
        indices_are_sorted=indices_are_sorted,
        mode=mode,
        fill_value=fill_value,
    )
    return out, 0


gather_p = Primitive("gather")
gather_p.eval_cache = ExactMemory("fill_value")  # which may be 0.0 or -0.0
gather_p.def_abstract_eval(_gather_shape_rule)
gather_p.def_jvp(_gather_jvp)
gather_p.def_transpose(_gather_transpose)
gather_p.def_batching(gather_batch)


# ----------------------------------------------------------------------------------------------
# index_take


def index_take(src: Any, idxs: Sequence[Any], axes: Sequence[int]) -> Any:
    """Takes the elements of an array at a list of positions along some of its axes.

    Args:
      src: array of any dtype.
      idxs: for each of `axes`, a vector of integers, all of one length. Indices wrap around.
      axes: distinct axes of `src`, counted from 0.

    Returns:
      An array whose first axis runs along the positions, followed by the other axes of `src`.

    Raises:
      ValueError: an axis is out of range, or there is not one index vector for each axis.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.index_take(cnp.arange(6).reshape(3, 2), [cnp.array([2, 0])], (0,)).tolist()
      [[4, 5], [0, 1]]
    """
    shape = shape_of(src)
    axes = tuple(normalize_axis("index_take", axis, len(shape)) for axis in axes)
    if len(idxs) != len(axes):
        raise ValueError(f"index_take needs one index vector for each of the axes {axes}, got {len(idxs)}.")
    columns = [
        expand_dims(_wrapped(index, shape[axis]), (1,)) for index, axis in zip(idxs, axes, strict=True)
    ]
    numbers = GatherDimensionNumbers(
        offset_dims=tuple(range(1, 1 + len(shape) - len(axes))),
        collapsed_slice_dims=tuple(sorted(axes)),
        start_index_map=axes,
    )
    sizes = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return gather(src, ops.concatenate(columns, 1), numbers, sizes)


def _wrapped(index: Any, size: int) -> Any:
    """Indices modulo the size of their axis, with the sign of the divisor."""
    divisor = const(index, max_dim(size, 1))
    remainder = ops.rem(index, divisor)
    return ops.select_n(ops.lt(remainder, const(index, 0)), remainder, ops.add(remainder, divisor))
