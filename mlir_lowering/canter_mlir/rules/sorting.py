"""Sorting and selecting the greatest."""

from __future__ import annotations

from typing import Any

import numpy as np

from canter.core.avals import ShapedArray

from ..registry import lower_fun, register_table
from ..types import compare_type_name
from .elementwise import _parts, _real_dtype
from .shapes import transpose

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


def _top_k(ctx: Any, x: Any, *, k: int, axis: int | None = None, **others: Any) -> list[Any]:
    if others:
        raise NotImplementedError(f"top_k does not know the parameters {sorted(others)}.")
    aval = ctx.avals_in[0]
    last = aval.ndim - 1
    axis = last if axis is None else axis % aval.ndim
    attributes = {"k": ctx.types.integer(k)}
    if axis == last:
        return list(ctx.build("chlo.top_k", (x,), ctx.avals_out, attributes).results)
    swap = list(range(aval.ndim))
    swap[axis], swap[last] = last, axis
    moved = [aval, *ctx.avals_out]
    moved = [each.update(shape=tuple(each.shape[d] for d in swap)) for each in moved]
    x = transpose(ctx, x, moved[0], swap)
    results = ctx.build("chlo.top_k", (x,), moved[1:], attributes).results
    return [transpose(ctx, y, out, swap) for y, out in zip(results, ctx.avals_out, strict=True)]


def _approx_top_k_program(x: Any, *, k: int, reduction_dimension: int, is_max_k: bool, **hints: Any) -> list[Any]:
    """The exact result: the approximation pays on TPUs only, and the hints are about it."""
    from canter import lax

    values, indices = lax.top_k(x if is_max_k else lax.neg(x), k, axis=reduction_dimension)
    return [values if is_max_k else lax.neg(values), indices]


register_table({"sort": _sort, "top_k": _top_k, "approx_top_k": lower_fun(_approx_top_k_program)})
