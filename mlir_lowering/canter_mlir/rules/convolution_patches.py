"""Convolutions with few places in the result, as the derivative by a small kernel is: products with patches.

For each place of the result, the elements that the kernel meets there are gathered. The CPU computes the products on
all cores, but convolutions with large kernels on one, and some of them very slowly. docs/compile-time.md has figures.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from canter.core.avals import ShapedArray

from .shapes import concatenate, pad_with_zeros, permuted, reshape, slice_

__all__ = ["as_patches", "has_few_places"]

_MOST_PLACES = 64
# Places whose patches are gathered together, which then take that many times the memory of the input. Code that
# gathers more is slow to compile.
_MOST_TOGETHER = 4
# How often patches are gathered anew: that takes less time than to copy parts of what was gathered once, but each is
# code to compile.
_MOST_TIMES = 4


def has_few_places(window: dict[str, Any], avals: Sequence[Any], out: Any) -> bool:
    """Whether patches are the better form: a kernel of many elements, which meets the input at few places."""
    if window["feature_group_count"] != 1 or window["batch_group_count"] != 1:
        return False
    if not all(type(size) is int and size > 0 for aval in (*avals, out) for size in aval.shape):
        return False
    if any(dilation != 1 for dilation in window["lhs_dilation"]):
        return False
    numbers = window["dimension_numbers"]
    places = prod(out.shape[d] for d in numbers.out_spec[2:])
    return 1 < places <= _MOST_PLACES and 2 * places <= prod(avals[1].shape[d] for d in numbers.rhs_spec[2:])


def as_patches(ctx: Any, operands: Any, avals: Sequence[Any], out: Any, window: dict[str, Any]) -> Any:
    """The result of a convolution that `has_few_places`.

    The input's dimensions are put in the order batch, features, spatial. Patches are gathered for places along the
    last spatial dimension, and of these a product takes what belongs to one place along the others.
    """
    numbers = window["dimension_numbers"]
    lhs, aval = permuted(ctx, operands[0], avals[0], numbers.lhs_spec)
    lhs, aval = _kept(ctx, *pad_with_zeros(ctx, lhs, aval, [(0, 0), (0, 0), *window["padding"]]))
    sizes = [avals[1].shape[d] for d in numbers.rhs_spec[2:]]
    batch, features, *others, last = (out.shape[d] for d in numbers.out_spec)
    rows = list(map(dict, map(enumerate, itertools.product(*map(range, others)))))

    def gathered(group: range, row: Mapping[int, int]) -> tuple[Any, Any]:
        places = [{**row, len(others): place} for place in group]
        return _joined(ctx, [_met(ctx, lhs, aval, window, sizes, place) for place in places])

    if len(rows) <= _MOST_TIMES:
        patches = [gathered(group, row) for row in rows for group in _groups(last)]
    else:
        groups = [_kept(ctx, *gathered(group, {})) for group in _groups(last)]
        patches = [_met(ctx, *group, window, sizes, row) for row in rows for group in groups]
    products = [_product(ctx, *patch, operands[1], features, out.dtype, window) for patch in patches]
    result, _ = _joined(ctx, products)
    placed = ShapedArray((*others, last, batch, features), out.dtype)
    sources = (len(others) + 1, len(others) + 2, *range(len(others) + 1))
    order = [sources[numbers.out_spec.index(d)] for d in range(len(sources))]
    return permuted(ctx, reshape(ctx, result, placed), placed, order)[0]


def _groups(count: int) -> list[range]:
    """Numbers up to a count, in groups of nearly equal size."""
    groups = -(-count // _MOST_TOGETHER)
    return [range(count * i // groups, count * (i + 1) // groups) for i in range(groups)]


def _met(
    ctx: Any, x: Any, aval: Any, window: dict[str, Any], sizes: Sequence[int], at: Mapping[int, int]
) -> tuple[Any, Any]:
    """What a kernel of these sizes meets at a place along some of the spatial dimensions."""
    starts, limits, strides = [0] * len(aval.shape), list(aval.shape), [1] * len(aval.shape)
    for i, place in at.items():
        d, step = 2 + i, window["rhs_dilation"][i]
        starts[d] = place * window["window_strides"][i]
        limits[d], strides[d] = starts[d] + (sizes[i] - 1) * step + 1, step
    return slice_(ctx, x, aval, starts, limits, strides)


def _joined(ctx: Any, pieces: Sequence[tuple[Any, Any]]) -> tuple[Any, Any]:
    values, avals = zip(*pieces, strict=True)
    whole = ShapedArray((sum(aval.shape[0] for aval in avals), *avals[0].shape[1:]), avals[0].dtype)
    return concatenate(ctx, values, whole, 0), whole


def _kept(ctx: Any, x: Any, aval: Any) -> tuple[Any, Any]:
    """Computed once, and not in each that reads a part of it."""
    return ctx.op("stablehlo.optimization_barrier", (x,), aval), aval


def _product(
    ctx: Any, x: Any, aval: Any, kernel: Any, features: int, dtype: Any, window: dict[str, Any]
) -> tuple[Any, Any]:
    """Patches in rows, by the kernel."""
    from .contractions import dot_attributes

    _, *met = window["dimension_numbers"].rhs_spec
    numbers = ((), (), tuple(range(1, len(aval.shape))), tuple(met))
    out = ShapedArray((aval.shape[0], features), dtype)
    attributes = dot_attributes(ctx, numbers, window["precision"])
    return ctx.op("stablehlo.dot_general", (x, kernel), out, attributes), out
