"""Gather and scatter."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from canter.core import dtypes
from canter.core.avals import ShapedArray
from canter.core.dimensions import has_symbols, min_dim, surely_less

from ..mlir_door import stablehlo_attributes
from ..registry import register_table
from ..types import element_shape, physical_aval
from .reductions import combination, combine_block, highest, jaxpr_block, lowest, reduce_with

__all__: list[str] = []

_BOOL = np.dtype(bool)


def _mode(mode: Any) -> str:
    """CLIP, FILL_OR_DROP, PROMISE_IN_BOUNDS or ONE_HOT."""
    name = getattr(mode, "name", None)
    if name is None:
        raise TypeError(f"{mode!r} is not a lax.GatherScatterMode.")
    return str(name)


def _row(ctx: Any, values: Any, aval: Any) -> Any:
    """One number for each index component, repeated over all indices."""
    line = ShapedArray((len(values),), aval.dtype)
    if has_symbols(values):
        from ..dynamic import size_vector

        row = ctx.convert(size_vector(ctx.module_context, values, ctx.location), line)
    else:
        attributes = {"value": ctx.types.dense(np.asarray(values, aval.dtype))}
        row = ctx.op("stablehlo.constant", (), ctx.types.of(line), attributes)
    dims = {"broadcast_dimensions": ctx.types.ints((aval.ndim - 1,))}
    return ctx.op("stablehlo.broadcast_in_dim", (row,), aval, dims)


def _last_starts(operand: Any, index_map: Any, sizes: Any, dtype: Any) -> list[int]:
    """The last start in bounds of each index component, as far as the index dtype can say it."""
    limit = int(dtypes.iinfo(dtype).max)
    return [min_dim(operand.shape[dim] - sizes[dim], limit) for dim in index_map]


def _clipped(ctx: Any, indices: Any, aval: Any, last: list[int]) -> Any:
    zero = ctx.full(0, aval)
    return ctx.op("stablehlo.clamp", (zero, indices, _row(ctx, last, aval)), aval)


def _in_bounds(ctx: Any, indices: Any, aval: Any, last: list[int]) -> Any:
    """Whether all components of an index are in bounds: booleans, without the index dimension."""
    flags = ShapedArray(aval.shape, _BOOL)
    low = ctx.compare("GE", indices, ctx.full(0, aval), aval)
    high = ctx.compare("LE", indices, _row(ctx, last, aval), aval)
    both = ctx.op("stablehlo.and", (low, high), flags)
    out = ShapedArray(aval.shape[:-1], _BOOL)
    return reduce_with(ctx, "stablehlo.and", both, True, (aval.ndim - 1,), out)


# Gather


def _fill_value(fill_value: Any, dtype: Any) -> Any:
    """What an element out of bounds reads as: NaN, or the most extreme integer."""
    if fill_value is not None:
        return fill_value
    if dtypes.issubdtype(dtype, np.inexact):
        return np.nan
    if dtype == _BOOL:
        return True
    return highest(dtype) if dtype.name.startswith("uint") else lowest(dtype)


def _gather(
    ctx: Any,
    operand: Any,
    indices: Any,
    *,
    dimension_numbers: Any,
    slice_sizes: Any,
    indices_are_sorted: bool,
    unique_indices: bool,
    mode: Any,
    fill_value: Any,
) -> Any:
    aval, index_aval = ctx.avals_in
    numbers, out = dimension_numbers, ctx.avals_out[0]
    kind = _mode(mode)
    last = _last_starts(aval, numbers.start_index_map, slice_sizes, index_aval.dtype)
    flags = None
    if kind == "CLIP":
        pass  # StableHLO clamps starts by itself
    elif kind == "FILL_OR_DROP":
        flags = _in_bounds(ctx, indices, index_aval, last)
    elif kind != "PROMISE_IN_BOUNDS":
        raise NotImplementedError(f"gather has no lowering for mode {kind}; use 'clip' or 'fill'.")
    if kind == "CLIP" and index_aval.dtype.kind == "u":
        # Great unsigned starts would be taken for negative ones.
        indices = ctx.op("stablehlo.minimum", (indices, _row(ctx, last, index_aval)), index_aval)
    trailing = element_shape(aval.dtype)
    offset_dims = [*numbers.offset_dims, *range(out.ndim, out.ndim + len(trailing))]
    attributes = {
        "dimension_numbers": stablehlo_attributes.GatherDimensionNumbers.get(
            offset_dims=offset_dims,
            collapsed_slice_dims=list(numbers.collapsed_slice_dims),
            operand_batching_dims=list(numbers.operand_batching_dims),
            start_indices_batching_dims=list(numbers.start_indices_batching_dims),
            start_index_map=list(numbers.start_index_map),
            index_vector_dim=index_aval.ndim - 1,
        ),
        "slice_sizes": ctx.types.ints((*slice_sizes, *trailing)),
        "indices_are_sorted": ctx.types.boolean(indices_are_sorted),
    }
    result = ctx.op("stablehlo.gather", (operand, indices), out, attributes)
    if flags is None:
        return result
    full = physical_aval(out)
    batch_dims = [d for d in range(out.ndim) if d not in set(numbers.offset_dims)]
    dims = {"broadcast_dimensions": ctx.types.ints(batch_dims)}
    spread = ctx.op("stablehlo.broadcast_in_dim", (flags,), ShapedArray(full.shape, _BOOL), dims)
    filler = ctx.full(_fill_value(fill_value, full.dtype), full)
    return ctx.op("stablehlo.select", (spread, result, filler), out)


# Scatter


def _window_sizes(operand: Any, updates: Any, numbers: Any) -> list[int]:
    """The size of an update along each dimension of the operand."""
    missing = {*numbers.inserted_window_dims, *numbers.operand_batching_dims}
    sizes = iter(updates.shape[d] for d in numbers.update_window_dims)
    return [1 if d in missing else next(sizes) for d in range(operand.ndim)]


def _beyond(dtype: Any) -> int:
    """An index that is out of bounds in every array: such updates are dropped."""
    return int(dtypes.iinfo(dtype).max)


def _dropped(ctx: Any, indices: Any, aval: Any, last: list[int]) -> Any:
    """Indices of which those that are partly out of bounds become wholly so.

    StableHLO drops updates out of bounds element by element; a window is kept or dropped as one.
    """
    flags = _in_bounds(ctx, indices, aval, last)
    if aval.dtype.itemsize < 4:  # whose greatest value may be within the array
        aval = aval.update(dtype=np.dtype(np.int32))
        indices = ctx.convert(indices, aval)
    dims = {"broadcast_dimensions": ctx.types.ints(range(aval.ndim - 1))}
    spread = ctx.op("stablehlo.broadcast_in_dim", (flags,), ShapedArray(aval.shape, _BOOL), dims)
    return ctx.op("stablehlo.select", (spread, indices, ctx.full(_beyond(aval.dtype), aval)), aval)


def _scatter_indices(ctx: Any, indices: Any, mode: str, sizes: list[int], numbers: Any) -> Any:
    operand, aval = ctx.avals_in[0], ctx.avals_in[1]
    last = _last_starts(operand, numbers.scatter_dims_to_operand_dims, sizes, aval.dtype)
    if mode == "CLIP":
        return _clipped(ctx, indices, aval, last)
    if mode == "PROMISE_IN_BOUNDS":
        return indices
    if mode != "FILL_OR_DROP":
        raise NotImplementedError(f"{ctx.primitive} has no lowering for mode {mode}; use 'clip' or 'drop'.")
    if all(sizes[d] == 1 for d in numbers.scatter_dims_to_operand_dims) and aval.dtype.kind == "i":
        return indices  # the window is one element along the indexed dimensions: StableHLO does the same
    return _dropped(ctx, indices, aval, last)


def _scatter(operation_name: str | None, reduction: str | None = None) -> Any:
    """The rule of a scatter.

    Args:
      operation_name: what combines an element and its update; None: the primitive's jaxpr, if it
        has one, else the update replaces the element.
      reduction: instead, the name of the reduction that combines them.
    """

    def lower(
        ctx: Any,
        operand: Any,
        indices: Any,
        updates: Any,
        *,
        dimension_numbers: Any,
        indices_are_sorted: bool,
        unique_indices: bool,
        mode: Any,
        update_jaxpr: Any = None,
        update_consts: Any = (),
    ) -> Any:
        aval, index_aval, update_aval = ctx.avals_in
        numbers = dimension_numbers
        if surely_less(math.prod(update_aval.shape), 1):
            return operand
        sizes = _window_sizes(aval, update_aval, numbers)
        indices = _scatter_indices(ctx, indices, _mode(mode), sizes, numbers)
        trailing = element_shape(aval.dtype)
        windows = [*numbers.update_window_dims, *range(update_aval.ndim, update_aval.ndim + len(trailing))]
        attributes = {
            "scatter_dimension_numbers": stablehlo_attributes.ScatterDimensionNumbers.get(
                update_window_dims=windows,
                inserted_window_dims=list(numbers.inserted_window_dims),
                input_batching_dims=list(numbers.operand_batching_dims),
                scatter_indices_batching_dims=list(numbers.scatter_indices_batching_dims),
                scattered_dims_to_operand_dims=list(numbers.scatter_dims_to_operand_dims),
                index_vector_dim=index_aval.ndim - 1,
            ),
            "indices_are_sorted": ctx.types.boolean(indices_are_sorted),
            "unique_indices": ctx.types.boolean(unique_indices),
        }
        operation = ctx.build(
            "stablehlo.scatter", (operand, indices, updates), ctx.avals_out, attributes, regions=1
        )
        region, dtype = operation.regions[0], physical_aval(aval).dtype
        combine = operation_name if reduction is None else combination(reduction, dtype)
        if combine is None and update_jaxpr is not None and not trailing:
            jaxpr_block(ctx, region, update_jaxpr, update_consts)
        else:
            combine_block(ctx, region, dtype, combine or _replace)
        return operation.result

    return lower


def _replace(ctx: Any, old: Any, new: Any, aval: Any) -> Any:
    return new


register_table(
    {
        "gather": _gather,
        "scatter": _scatter(None),
        "scatter-add": _scatter("stablehlo.add"),
        "scatter-sub": _scatter("stablehlo.subtract"),
        "scatter-mul": _scatter("stablehlo.multiply"),
        "scatter-min": _scatter(None, "min"),
        "scatter-max": _scatter(None, "max"),
        "scatter_add": _scatter("stablehlo.add"),
        "scatter_sub": _scatter("stablehlo.subtract"),
        "scatter_mul": _scatter("stablehlo.multiply"),
        "scatter_min": _scatter(None, "min"),
        "scatter_max": _scatter(None, "max"),
    }
)
