"""Sorting and selecting the greatest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from canter.core.avals import ShapedArray
from canter.core.dimensions import is_symbolic_dim, surely_less

from ..mlir_door import stablehlo_attributes
from ..registry import lower_fun, register_lowering, register_table
from ..types import compare_type_name, element_shape
from .elementwise import _parts, _real_dtype
from .shapes import iota, transpose

__all__: list[str] = []

_BOOL = np.dtype(bool)


def _sort_keys(ctx: Any, x: Any, aval: Any) -> list[tuple[Any, Any]]:
    """What a scalar is compared by: itself, or the two parts of a complex number.

    Floats are compared in the total order, in which -0.0 comes before 0.0 and negative NaNs before
    all: both zeros become one, and all NaNs, so that NaNs come last and equal values stay in place.
    """
    if aval.dtype.kind == "c":
        part = ShapedArray((), _real_dtype(aval.dtype))
        return [key for y in _parts(ctx, x, aval) for key in _sort_keys(ctx, y, part)]
    if compare_type_name(aval.dtype) != "FLOAT":
        return [(x, aval)]
    zero = ctx.constant(0.0, aval.dtype)
    is_zero = ctx.compare("EQ", x, zero, aval)
    x_or_zero = ctx.op("stablehlo.select", (is_zero, zero, x), aval)
    is_nan = ctx.compare("NE", x, x, aval)
    key = ctx.op("stablehlo.select", (is_nan, ctx.constant(np.nan, aval.dtype), x_or_zero), aval)
    return [(key, aval)]


def _order(kind: str) -> str:
    return "TOTALORDER" if kind == "FLOAT" else kind


def _comparator(ctx: Any, region: Any, avals: list[Any], num_keys: int) -> None:
    """Fills a region with: is the first tuple of scalars less than the second, by its keys?"""
    scalars = [ShapedArray((), aval.dtype) for aval in avals]
    flag = ShapedArray((), _BOOL)
    with ctx.block(region, [aval for aval in scalars for _ in range(2)]) as args:
        pairs: list[tuple[Any, Any, Any]] = []
        for index in range(num_keys):
            left = _sort_keys(ctx, args[2 * index], scalars[index])
            right = _sort_keys(ctx, args[2 * index + 1], scalars[index])
            pairs.extend((x, y, aval) for (x, aval), (y, _) in zip(left, right, strict=True))
        result = None
        for x, y, aval in reversed(pairs):
            kind = _order(compare_type_name(aval.dtype))
            less = ctx.compare("LT", x, y, aval, kind)
            if result is not None:
                equal = ctx.compare("EQ", x, y, aval, kind)
                result = ctx.op("stablehlo.or", (less, ctx.op("stablehlo.and", (equal, result), flag)), flag)
            else:
                result = less
        ctx.return_((result,))


def sort(ctx: Any, operands: Any, avals: Any, dimension: int, is_stable: bool, num_keys: int) -> list[Any]:
    """Sorts arrays together by the first `num_keys` of them."""
    attributes = {
        "dimension": ctx.types.integer(dimension),
        "is_stable": ctx.types.boolean(is_stable),
    }
    operation = ctx.build("stablehlo.sort", operands, avals, attributes, regions=1)
    _comparator(ctx, operation.regions[0], list(avals), num_keys)
    return list(operation.results)


def _sort(ctx: Any, *operands: Any, dimension: int, is_stable: bool, num_keys: int) -> list[Any]:
    return sort(ctx, operands, ctx.avals_out, dimension, is_stable, num_keys)


# On the CPU XLA sorts one array of integers by itself 5 to 8 times faster than with any other
# comparison or with arrays in tow (measured with 10**6 elements). So floats are sorted as integers of
# the same order, and keys of up to 32 bits that take other arrays along are packed with their
# positions into 64 bits; the positions then say where everything goes. It costs about 0.1 s more to
# compile, so small arrays are sorted with the comparison above.

_SMALL = 1 << 15  # elements
_INT32, _INT64 = np.dtype(np.int32), np.dtype(np.int64)
_SIGNED = {2: np.dtype(np.int16), 4: _INT32, 8: _INT64}


def _flip_negatives(ctx: Any, bits: Any, aval: Any) -> Any:
    """Between the bits of floats and integers of the same order; its own inverse."""
    width = 8 * aval.dtype.itemsize
    shifted = ctx.op("stablehlo.shift_right_arithmetic", (bits, ctx.full(width - 1, aval)), aval)
    mask = ctx.op("stablehlo.and", (shifted, ctx.full((1 << (width - 1)) - 1, aval)), aval)
    return ctx.op("stablehlo.xor", (bits, mask), aval)


def _ordered_integers(ctx: Any, x: Any, aval: Any, one_zero: bool) -> tuple[Any, Any]:
    """Integers in the order of floats: NaNs last and equal; with `one_zero`, -0.0 equals 0.0.

    Returns:
      The integers and their aval.
    """
    if one_zero:
        zero = ctx.full(0.0, aval)
        x = ctx.op("stablehlo.select", (ctx.compare("EQ", x, zero, aval), zero, x), aval)
    x = ctx.op("stablehlo.select", (ctx.compare("NE", x, x, aval), ctx.full(np.nan, aval), x), aval)
    integers = aval.update(dtype=_SIGNED[aval.dtype.itemsize])
    return _flip_negatives(ctx, ctx.op("stablehlo.bitcast_convert", (x,), integers), integers), integers


def _sort_floats(ctx: Any, x: Any, aval: Any, dimension: int) -> Any:
    keys, integers = _ordered_integers(ctx, x, aval, one_zero=False)
    (keys,) = sort(ctx, (keys,), (integers,), dimension, True, 1)
    return ctx.op("stablehlo.bitcast_convert", (_flip_negatives(ctx, keys, integers),), aval)


def _pick(ctx: Any, x: Any, aval: Any, positions: Any, dimension: int) -> Any:
    """The elements at positions along a dimension, each line for itself."""
    trailing = element_shape(aval.dtype)
    lines = [d for d in range(aval.ndim) if d != dimension]
    column = ShapedArray((*aval.shape, 1), _INT32)
    attributes = {
        "dimension_numbers": stablehlo_attributes.GatherDimensionNumbers.get(
            offset_dims=list(range(aval.ndim, aval.ndim + len(trailing))),
            collapsed_slice_dims=[dimension],
            operand_batching_dims=lines,
            start_indices_batching_dims=lines,
            start_index_map=[dimension],
            index_vector_dim=aval.ndim,
        ),
        "slice_sizes": ctx.types.ints((*(1 for _ in aval.shape), *trailing)),
        "indices_are_sorted": ctx.types.boolean(False),
    }
    return ctx.op(
        "stablehlo.gather", (x, ctx.op("stablehlo.reshape", (positions,), column)), aval, attributes
    )


def _sort_packed(ctx: Any, operands: Any, avals: Any, dimension: int) -> list[Any]:
    aval = avals[0]
    key, wide = operands[0], aval.update(dtype=_INT64)
    if _is_float(aval):
        key, aval = _ordered_integers(ctx, key, aval, one_zero=True)
    half = ctx.full(32, wide)
    high = ctx.op("stablehlo.shift_left", (ctx.convert(key, wide), half), wide)
    packed = ctx.op("stablehlo.or", (high, iota(ctx, wide, dimension)), wide)
    (packed,) = sort(ctx, (packed,), (wide,), dimension, True, 1)
    low = ctx.op("stablehlo.and", (packed, ctx.full(0xFFFFFFFF, wide)), wide)
    positions = ctx.convert(low, aval.update(dtype=_INT32))
    return [_pick(ctx, x, each, positions, dimension) for x, each in zip(operands, avals, strict=True)]


def _is_float(aval: Any) -> bool:
    return compare_type_name(aval.dtype) == "FLOAT" and aval.dtype.kind != "c"


def _sort_cpu(ctx: Any, *operands: Any, dimension: int, is_stable: bool, num_keys: int) -> list[Any]:
    avals = ctx.avals_out
    key = avals[0]
    length = key.shape[dimension]
    if num_keys == 1 and surely_less(_SMALL - 1, key.size):
        known = key.dtype.kind in "biu" or (_is_float(key) and key.dtype.itemsize in _SIGNED)
        if len(operands) == 1 and _is_float(key) and known:
            return [_sort_floats(ctx, operands[0], key, dimension)]
        if len(operands) > 1 and known and key.dtype.itemsize <= 4 and surely_less(length, 1 << 31):
            return _sort_packed(ctx, operands, avals, dimension)
    return sort(ctx, operands, avals, dimension, is_stable, num_keys)


def _top_k(ctx: Any, x: Any, *, k: int, axis: int | None = None, **others: Any) -> list[Any]:
    if others:
        raise NotImplementedError(f"top_k does not know the parameters {sorted(others)}.")
    aval = ctx.avals_in[0]
    last = aval.ndim - 1
    axis = last if axis is None else axis % aval.ndim
    if axis == last:
        return _top_k_last(ctx, x, k, ctx.avals_out)
    swap = list(range(aval.ndim))
    swap[axis], swap[last] = last, axis
    moved = [aval, *ctx.avals_out]
    moved = [each.update(shape=tuple(each.shape[d] for d in swap)) for each in moved]
    x = transpose(ctx, x, moved[0], swap)
    results = _top_k_last(ctx, x, k, moved[1:])
    return [transpose(ctx, y, out, swap) for y, out in zip(results, ctx.avals_out, strict=True)]


def _top_k_last(ctx: Any, x: Any, k: Any, avals: Sequence[Any]) -> list[Any]:
    if not is_symbolic_dim(k):
        return list(ctx.build("chlo.top_k", (x,), avals, {"k": ctx.types.integer(k)}).results)
    from ..dynamic import dynamic_top_k

    return dynamic_top_k(ctx, x, k, avals)


def _approx_top_k_program(
    x: Any, *, k: int, reduction_dimension: int, is_max_k: bool, **hints: Any
) -> list[Any]:
    """The exact result: the approximation pays on TPUs only, and the hints are about it."""
    from canter import lax

    values, indices = lax.top_k(x if is_max_k else lax.neg(x), k, axis=reduction_dimension)
    return [values if is_max_k else lax.neg(values), indices]


register_table({"sort": _sort, "top_k": _top_k, "approx_top_k": lower_fun(_approx_top_k_program)})
register_lowering("sort", _sort_cpu, platform="cpu")
