"""Shapes, slices, joining. Arrays of extended dtypes are their physical arrays, whose trailing
dimensions take part in nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from canter.core.avals import ShapedArray
from canter.core.dimensions import max_dim

from ..registry import register_table
from ..types import element_shape
from .elementwise import reject_sharding

__all__: list[str] = []


def _trailing(aval: Any) -> range:
    """The physical dimensions behind those of an array: none but for extended dtypes."""
    ndim = len(aval.shape)
    return range(ndim, ndim + len(element_shape(aval.dtype)))


def reshape(ctx: Any, x: Any, aval_out: Any) -> Any:
    """The same elements, in row-major order, under another shape."""
    return ctx.op("stablehlo.reshape", (x,), aval_out)


def broadcast_in_dim(ctx: Any, x: Any, aval_out: Any, dims: Sequence[int]) -> Any:
    """The operand's dimensions become the given ones of the result; it repeats along the others."""
    dims = (*dims, *_trailing(aval_out))
    attributes = ctx.types.named_ints("broadcast_dimensions", dims)
    return ctx.op("stablehlo.broadcast_in_dim", (x,), aval_out, attributes)


def transpose(ctx: Any, x: Any, aval_out: Any, permutation: Sequence[int]) -> Any:
    """Dimensions in another order."""
    permutation = (*permutation, *_trailing(aval_out))
    return ctx.op("stablehlo.transpose", (x,), aval_out, ctx.types.named_ints("permutation", permutation))


def permuted(ctx: Any, x: Any, aval: Any, order: Sequence[int]) -> tuple[Any, Any]:
    """The dimensions in another order, and the aval of that; what has the order already is left alone."""
    if list(order) == list(range(len(aval.shape))):
        return x, aval
    turned = ShapedArray(tuple(aval.shape[d] for d in order), aval.dtype)
    return transpose(ctx, x, turned, order), turned


def pad_with_zeros(
    ctx: Any, x: Any, aval: Any, around: Sequence[tuple[int, int]], between: Sequence[int] | None = None
) -> tuple[Any, Any]:
    """Zeros before, after and between the elements of each dimension, and the aval of that.

    Numbers below zero take elements off the edges.
    """
    between = between if between is not None else (0,) * len(around)
    if not any(map(any, around)) and not any(between):
        return x, aval
    shape = tuple(
        size + low + high + max(size - 1, 0) * inside
        for size, (low, high), inside in zip(aval.shape, around, between, strict=True)
    )
    out = ShapedArray(shape, aval.dtype)
    lows, highs = zip(*around, strict=True)
    return _padded(ctx, x, ctx.constant(0, aval.dtype), out, (lows, highs, between)), out


def _padded(ctx: Any, x: Any, value: Any, out: Any, columns: Sequence[Sequence[int]]) -> Any:
    names = ("edge_padding_low", "edge_padding_high", "interior_padding")
    attributes = {name: ctx.types.ints(tuple(column)) for name, column in zip(names, columns, strict=True)}
    return ctx.op("stablehlo.pad", (x, value), out, attributes)


def slice_(
    ctx: Any, x: Any, aval_in: Any, starts: Sequence[int], limits: Sequence[int], strides: Any = None
) -> tuple[Any, Any]:
    """A rectangle of an array.

    Returns:
      The value and its aval.
    """
    strides = tuple(strides) if strides is not None else (1,) * len(starts)
    shape = tuple(
        max_dim(-(-(limit - start) // stride), 0)
        for start, limit, stride in zip(starts, limits, strides, strict=True)
    )
    aval_out = ShapedArray(shape, aval_in.dtype)
    trailing = element_shape(aval_in.dtype)
    types = ctx.types
    attributes = {
        "start_indices": types.ints((*starts, *(0 for _ in trailing))),
        "limit_indices": types.ints((*limits, *trailing)),
        "strides": types.ints((*strides, *(1 for _ in trailing))),
    }
    return ctx.op("stablehlo.slice", (x,), aval_out, attributes), aval_out


def concatenate(ctx: Any, operands: Sequence[Any], aval_out: Any, dimension: int) -> Any:
    """Arrays one after another along a dimension."""
    if len(operands) == 1:
        return operands[0]
    return ctx.op("stablehlo.concatenate", operands, aval_out, {"dimension": ctx.types.integer(dimension)})


def dynamic_slice(ctx: Any, x: Any, indices: Sequence[Any], index_dtype: Any, aval_out: Any) -> Any:
    """A rectangle that starts at indices known at run time."""
    trailing = element_shape(aval_out.dtype)
    zeros = [ctx.constant(0, index_dtype) for _ in trailing]
    sizes = {"slice_sizes": ctx.types.ints(aval_out.shape + trailing)}
    return ctx.op("stablehlo.dynamic_slice", (x, *indices, *zeros), aval_out, sizes)


def dynamic_update_slice(
    ctx: Any, x: Any, update: Any, indices: Sequence[Any], index_dtype: Any, aval_out: Any
) -> Any:
    """The operand with a rectangle replaced that starts at indices known at run time."""
    zeros = [ctx.constant(0, index_dtype) for _ in element_shape(aval_out.dtype)]
    return ctx.op("stablehlo.dynamic_update_slice", (x, update, *indices, *zeros), aval_out)


def iota(ctx: Any, aval_out: Any, dimension: int) -> Any:
    """Indices along one dimension."""
    return ctx.op("stablehlo.iota", (), aval_out, {"iota_dimension": ctx.types.integer(dimension)})


def one_index_dtype(ctx: Any, indices: Sequence[Any], avals: Sequence[Any]) -> tuple[list[Any], Any]:
    """Start indices brought to one dtype, as StableHLO demands: the widest among them."""
    kinds = {aval.dtype for aval in avals}
    if len(kinds) <= 1:
        return list(indices), next(iter(kinds), np.dtype(np.int32))
    wide = max(kinds, key=lambda kind: (kind.itemsize, kind.kind == "i"))
    target = ShapedArray((), wide)
    return [
        x if aval.dtype == wide else ctx.convert(x, target) for x, aval in zip(indices, avals, strict=True)
    ], wide


# The rules


def _reshape(ctx: Any, x: Any, *, new_sizes: Any = None, dimensions: Any = None, sharding: Any = None) -> Any:
    reject_sharding(ctx, sharding)
    aval = ctx.avals_in[0]
    if dimensions is not None and tuple(dimensions) != tuple(range(aval.ndim)):
        x = transpose(ctx, x, aval.update(shape=tuple(aval.shape[d] for d in dimensions)), dimensions)
    return reshape(ctx, x, ctx.avals_out[0])


def _squeeze(ctx: Any, x: Any, *, dimensions: Any) -> Any:
    return reshape(ctx, x, ctx.avals_out[0])


def _expand_dims(ctx: Any, x: Any, *, dimensions: Any) -> Any:
    return reshape(ctx, x, ctx.avals_out[0])


def _broadcast_in_dim(
    ctx: Any, x: Any, *, shape: Any, broadcast_dimensions: Any, sharding: Any = None
) -> Any:
    reject_sharding(ctx, sharding)
    return broadcast_in_dim(ctx, x, ctx.avals_out[0], broadcast_dimensions)


def _transpose(ctx: Any, x: Any, *, permutation: Any) -> Any:
    return transpose(ctx, x, ctx.avals_out[0], permutation)


def _rev(ctx: Any, x: Any, *, dimensions: Any) -> Any:
    return ctx.op("stablehlo.reverse", (x,), ctx.avals_out[0], {"dimensions": ctx.types.ints(dimensions)})


def _concatenate(ctx: Any, *operands: Any, dimension: int) -> Any:
    return concatenate(ctx, operands, ctx.avals_out[0], dimension)


def _stack(ctx: Any, *operands: Any, axis: int) -> Any:
    out = ctx.avals_out[0]
    piece = ShapedArray((*out.shape[:axis], 1, *out.shape[axis + 1 :]), out.dtype)
    return concatenate(ctx, [reshape(ctx, x, piece) for x in operands], out, axis)


def _pieces(ctx: Any, x: Any, axis: int, sizes: Sequence[int]) -> list[Any]:
    aval = ctx.avals_in[0]
    starts, limits = [0] * aval.ndim, list(aval.shape)
    results, start = [], 0
    for size in sizes:
        starts[axis], limits[axis] = start, start + size
        results.append(slice_(ctx, x, aval, starts, limits)[0])
        start += size
    return results


def _unstack(ctx: Any, x: Any, *, axis: int) -> list[Any]:
    pieces = _pieces(ctx, x, axis, [1] * ctx.avals_in[0].shape[axis])
    return [reshape(ctx, piece, out) for piece, out in zip(pieces, ctx.avals_out, strict=True)]


def _split(ctx: Any, x: Any, *, sizes: Any, axis: int) -> list[Any]:
    return _pieces(ctx, x, axis, sizes)


def _tile(ctx: Any, x: Any, *, reps: Any) -> Any:
    """Each dimension becomes a pair: one to repeat along and one to run along."""
    aval, out = ctx.avals_in[0], ctx.avals_out[0]
    shape = (1,) * (out.ndim - aval.ndim) + aval.shape
    reps = (1,) * (out.ndim - len(reps)) + tuple(reps)
    pairs = tuple(size for pair in zip(reps, shape, strict=True) for size in pair)
    x = reshape(ctx, x, ShapedArray(shape, aval.dtype)) if shape != aval.shape else x
    x = broadcast_in_dim(ctx, x, ShapedArray(pairs, aval.dtype), range(1, len(pairs), 2))
    return reshape(ctx, x, out)


def _pad(ctx: Any, x: Any, value: Any, *, padding_config: Any) -> Any:
    out = ctx.avals_out[0]
    if element_shape(out.dtype):
        raise NotImplementedError(f"pad cannot pad arrays of dtype {out.dtype}; use concatenate.")
    columns = list(zip(*padding_config, strict=True)) or [(), (), ()]
    return _padded(ctx, x, value, out, columns)


def _slice(ctx: Any, x: Any, *, start_indices: Any, limit_indices: Any, strides: Any) -> Any:
    return slice_(ctx, x, ctx.avals_in[0], start_indices, limit_indices, strides)[0]


def _dynamic_slice(ctx: Any, x: Any, *indices: Any, slice_sizes: Any) -> Any:
    count = ctx.avals_in[0].ndim
    if len(indices) != count:
        raise NotImplementedError("dynamic_slice with dynamic slice sizes is not supported.")
    starts, dtype = one_index_dtype(ctx, indices, ctx.avals_in[1:])
    return dynamic_slice(ctx, x, starts, dtype, ctx.avals_out[0])


def _dynamic_update_slice(ctx: Any, x: Any, update: Any, *indices: Any) -> Any:
    starts, dtype = one_index_dtype(ctx, indices, ctx.avals_in[2:])
    return dynamic_update_slice(ctx, x, update, starts, dtype, ctx.avals_out[0])


def _iota(ctx: Any, *, dtype: Any, shape: Any, dimension: int, sharding: Any = None) -> Any:
    reject_sharding(ctx, sharding)
    return iota(ctx, ctx.avals_out[0], dimension)


register_table(
    {
        "reshape": _reshape,
        "squeeze": _squeeze,
        "expand_dims": _expand_dims,
        "broadcast_in_dim": _broadcast_in_dim,
        "transpose": _transpose,
        "rev": _rev,
        "concatenate": _concatenate,
        "stack": _stack,
        "unstack": _unstack,
        "split": _split,
        "tile": _tile,
        "pad": _pad,
        "slice": _slice,
        "dynamic_slice": _dynamic_slice,
        "dynamic_update_slice": _dynamic_update_slice,
        "iota": _iota,
    }
)
