"""Convolutions that are matrix products: the CPU has much faster code for these, which runs on all cores.

Two kinds are: a kernel that reads one element of each channel (1 x 1), and a kernel as large as its input, which is
what the derivative by the kernel of the first kind becomes. docs/compile-time.md has what that brings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from canter.core.avals import ShapedArray

from .shapes import pad_with_zeros, permuted, slice_

__all__ = ["as_product", "is_product"]


def is_product(window: dict[str, Any], avals: Sequence[Any], out: Any) -> bool:
    """Whether a convolution without groups reads each element of the input for one place of the kernel."""
    if window["feature_group_count"] != 1 or window["batch_group_count"] != 1:
        return False
    if not all(type(size) is int and size > 0 for aval in (*avals, out) for size in aval.shape):
        return False
    numbers = window["dimension_numbers"]
    if _all_ones(avals[1], numbers.rhs_spec[2:]):
        return _only_drops(window) or all(stride == 1 for stride in window["window_strides"])
    return _only_drops(window) and _all_ones(out, numbers.out_spec[2:])


def _only_drops(window: dict[str, Any]) -> bool:
    """Whether nothing is put around or between the elements of the input; padding below zero drops some."""
    return all(low <= 0 and high <= 0 for low, high in window["padding"]) and all(
        d == 1 for d in window["lhs_dilation"]
    )


def _all_ones(aval: Any, dimensions: Sequence[int]) -> bool:
    return all(aval.shape[d] == 1 for d in dimensions)


def as_product(ctx: Any, operands: Any, avals: Sequence[Any], out: Any, window: dict[str, Any]) -> Any:
    """The result of a convolution that `is_product`."""
    lhs, aval = operands[0], avals[0]
    spread = not _only_drops(window)
    if not spread:
        lhs, aval = _read_part(ctx, lhs, avals, window)
    if not _all_ones(avals[1], window["dimension_numbers"].rhs_spec[2:]):
        return _with_whole_kernel(ctx, lhs, aval, operands[1], out, window)
    result, aval = _with_small_kernel(ctx, lhs, aval, operands[1], avals[1], out, window)
    return _spread_out(ctx, result, aval, window) if spread else result


def _read_part(ctx: Any, lhs: Any, avals: Sequence[Any], window: dict[str, Any]) -> tuple[Any, Any]:
    """Those elements of the input that a kernel reads."""
    aval, kernel = avals
    numbers = window["dimension_numbers"]
    starts, limits, strides = [0] * len(aval.shape), list(aval.shape), [1] * len(aval.shape)
    small = _all_ones(kernel, numbers.rhs_spec[2:])
    for i, (d, k) in enumerate(zip(numbers.lhs_spec[2:], numbers.rhs_spec[2:], strict=True)):
        low, high = window["padding"][i]
        starts[d], limits[d] = -low, aval.shape[d] + high
        if small:
            strides[d] = window["window_strides"][i]
        else:
            strides[d] = window["rhs_dilation"][i]
            limits[d] = starts[d] + (kernel.shape[k] - 1) * strides[d] + 1
    if tuple(limits) == aval.shape and not any(starts) and set(strides) <= {1}:
        return lhs, aval
    return slice_(ctx, lhs, aval, starts, limits, strides)


def _spread_out(ctx: Any, x: Any, aval: Any, window: dict[str, Any]) -> Any:
    """The result with zeros where the input would have been padded and dilated: they stay zeros."""
    around, between = [(0, 0)] * len(aval.shape), [0] * len(aval.shape)
    places = window["dimension_numbers"].out_spec[2:]
    for d, pads, dilation in zip(places, window["padding"], window["lhs_dilation"], strict=True):
        around[d], between[d] = pads, dilation - 1
    return pad_with_zeros(ctx, x, aval, around, between)[0]


def _with_small_kernel(
    ctx: Any, lhs: Any, aval: Any, rhs: Any, kernel: Any, out: Any, window: dict[str, Any]
) -> tuple[Any, Any]:
    numbers = window["dimension_numbers"]
    (batch, feature, *spatial), (to, of, *_) = numbers.lhs_spec, numbers.rhs_spec
    matrix = ShapedArray(tuple(kernel.shape[d] for d in sorted((to, of))), kernel.dtype)
    rhs = ctx.op("stablehlo.reshape", (rhs,), matrix)
    kept = [d for d in range(len(aval.shape)) if d != feature]
    product = ShapedArray((*(aval.shape[d] for d in kept), kernel.shape[to]), out.dtype)
    result = _dot(ctx, lhs, rhs, product, [feature], [int(of > to)], window["precision"])
    # Where each dimension of the result is in the product.
    places = {kept_dim: n for n, kept_dim in enumerate(kept)}
    sources = (places[batch], len(kept), *(places[d] for d in spatial))
    order = [0] * len(sources)
    for d, source in zip(numbers.out_spec, sources, strict=True):
        order[d] = source
    return permuted(ctx, result, product, order)


def _with_whole_kernel(ctx: Any, lhs: Any, aval: Any, rhs: Any, out: Any, window: dict[str, Any]) -> Any:
    numbers = window["dimension_numbers"]
    (_, feature, *spatial), (_, of, *window_dims) = numbers.lhs_spec, numbers.rhs_spec
    sizes = out.shape[numbers.out_spec[0]], out.shape[numbers.out_spec[1]]
    product = ShapedArray(sizes, out.dtype)
    # In the order in which the input lies in memory, as the kernel often does too: so neither is copied.
    pairs = sorted(zip((feature, *spatial), (of, *window_dims), strict=True))
    left, right = ([pair[i] for pair in pairs] for i in range(2))
    result = _dot(ctx, lhs, rhs, product, left, right, window["precision"])
    if numbers.out_spec[0] > numbers.out_spec[1]:
        result, _ = permuted(ctx, result, product, [1, 0])
    return ctx.op("stablehlo.reshape", (result,), out)


def _dot(
    ctx: Any, lhs: Any, rhs: Any, product: Any, left: Sequence[int], right: Sequence[int], precision: Any
) -> Any:
    from .contractions import dot_attributes

    attributes = dot_attributes(ctx, ((), (), tuple(left), tuple(right)), precision)
    return ctx.op("stablehlo.dot_general", (lhs, rhs), product, attributes)
