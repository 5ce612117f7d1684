"""Reductions, windows, cumulative operations."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from canter.core import dtypes
from canter.core.avals import ShapedArray
from canter.core.jaxpr import ClosedJaxpr
from canter.lax import argmax, argmin, reduce_max_p, reduce_min_p
from canter.lax.reductions import attains, attains_program

from ..mlir_door import ir
from ..registry import lower_fun, register_lowering, register_table
from .elementwise import complex_compare, reject_sharding
from .shapes import iota

__all__: list[str] = []

_create = ir.Operation.create


def lowest(dtype: Any) -> Any:
    """The identity of `max`: minus infinity, or the least value a dtype has."""
    if dtype.kind == "b":
        return False
    if dtype.kind == "c":
        return complex(-np.inf, 0.0)
    if dtypes.issubdtype(dtype, np.integer):
        return int(dtypes.iinfo(dtype).min)
    return _infinite(dtype, -1)


def highest(dtype: Any) -> Any:
    """The identity of `min`: infinity, or the greatest value a dtype has."""
    if dtype.kind == "b":
        return True
    if dtype.kind == "c":
        return complex(np.inf, 0.0)
    if dtypes.issubdtype(dtype, np.integer):
        return int(dtypes.iinfo(dtype).max)
    return _infinite(dtype, 1)


def _infinite(dtype: Any, sign: int) -> Any:
    value = np.asarray(sign * np.inf).astype(dtype)
    if np.isinf(value.astype(np.float32)):
        return value[()]
    limits = dtypes.finfo(dtype)
    return np.asarray(limits.max if sign > 0 else limits.min, dtype)[()]


def _ones(dtype: Any) -> Any:
    """The identity of `and`."""
    if dtype.kind == "b":
        return True
    limits = dtypes.iinfo(dtype)
    return -1 if limits.min < 0 else int(limits.max)


def _zero(dtype: Any) -> Any:
    return False if dtype.kind == "b" else 0


def _one(dtype: Any) -> Any:
    return True if dtype.kind == "b" else 1


# How two elements are combined: an operation, or a function that emits several.
Combine = str | Callable[[Any, Any, Any, Any], Any]


def _complex_extremum(direction: str) -> Combine:
    def combine(ctx: Any, x: Any, y: Any, aval: Any) -> Any:
        return ctx.op("stablehlo.select", (complex_compare(ctx, direction, x, y, aval), x, y), aval)

    return combine


_COMPLEX: dict[str, Combine] = {"max": _complex_extremum("GT"), "min": _complex_extremum("LT")}


def _logaddexp(ctx: Any, x: Any, y: Any, aval: Any) -> Any:
    """log(exp(x) + exp(y)) without overflow; where x - y is NaN (equal infinities), x + y is right."""
    larger = ctx.op("stablehlo.maximum", (x, y), aval)
    difference = ctx.op("stablehlo.subtract", (x, y), aval)
    undefined = ctx.compare("NE", difference, difference, aval)
    distance = ctx.op("stablehlo.negate", (ctx.op("stablehlo.abs", (difference,), aval),), aval)
    rest = ctx.op("stablehlo.log_plus_one", (ctx.op("stablehlo.exponential", (distance,), aval),), aval)
    total = ctx.op("stablehlo.add", (larger, rest), aval)
    return ctx.op("stablehlo.select", (undefined, ctx.op("stablehlo.add", (x, y), aval), total), aval)


def combine_block(ctx: Any, region: Any, dtype: Any, combine: Combine) -> None:
    """Fills a region with the combination of two scalars."""
    if isinstance(combine, str):
        # By far the most frequent, so without the general way's costs.
        kind, location = ctx.types.tensor((), dtype), ctx.location
        block = region.blocks.append(kind, kind, arg_locs=(location, location))
        end = ir.InsertionPoint(block)
        out = _create(combine, (kind,), block.arguments, None, None, 0, location, end).result
        _create(end_of(ctx, region), (), (out,), None, None, 0, location, end)
        return
    scalar = ShapedArray((), dtype)
    with ctx.block(region, (scalar, scalar)) as (x, y):
        _create(end_of(ctx, region), (), (combine(ctx, x, y, scalar),), loc=ctx.location)


def _combined(ctx: Any, combine: Combine, aval: Any, x: Any, y: Any) -> Any:
    return ctx.op(combine, (x, y), aval) if isinstance(combine, str) else combine(ctx, x, y, aval)


# What devices can combine their parts with; of anything else the compiler makes an all-reduce that none can run.
_ALL_REDUCED = frozenset(f"stablehlo.{name}" for name in "add multiply maximum minimum and or".split())


def _is_divided(ctx: Any) -> bool:
    """Whether the compiler divides arrays among devices."""
    module = ctx.module_context
    return len(module.device_places or ()) > 1 and module.manual is None


def _reduce_gathered(
    ctx: Any, x: Any, start: Any, axes: Sequence[int], aval_out: Any, combine: Callable[[Any, Any], Any]
) -> Any:
    """Reduces an array together with a mask: operands of a reduction of several the compiler gathers before."""
    flag = ShapedArray((), np.dtype(bool))
    mask = ctx.full(True, ShapedArray(ctx.avals_in[0].shape, flag.dtype))
    out_avals = aval_out, ShapedArray(aval_out.shape, flag.dtype)
    attributes = {"dimensions": ctx.types.ints(axes)}
    operands = x, mask, start, ctx.constant(True, flag.dtype)
    operation = ctx.build("stablehlo.reduce", operands, out_avals, attributes, regions=1)
    region, scalar = operation.regions[0], ShapedArray((), aval_out.dtype)
    with ctx.block(region, (scalar, flag, scalar, flag)) as (total, counts, x, holds):
        both = ctx.op("stablehlo.and", (counts, holds), flag)
        chosen = ctx.op("stablehlo.select", (both, combine(total, x), total), scalar)
        _create(end_of(ctx, region), (), (chosen, both), loc=ctx.location)
    return operation.results[0]


def end_of(ctx: Any, region: Any) -> str:
    """What ends the block of a region: with symbolic shapes the region of a window is a function's body."""
    symbolic = ctx.module_context.dimension_values
    return "func.return" if symbolic and region.owner.name == "func.func" else "stablehlo.return"


def jaxpr_block(ctx: Any, region: Any, jaxpr: Any, consts: Sequence[Any] = ()) -> None:
    """Fills a region with the equations of a jaxpr of scalars, closed or with its constants beside it."""
    closed = jaxpr if isinstance(jaxpr, ClosedJaxpr) else ClosedJaxpr(jaxpr, consts)
    with ctx.block(region, closed.in_avals) as args:
        _create(end_of(ctx, region), (), ctx.inline(closed, args), loc=ctx.location)


def reduce_with(ctx: Any, combine: Combine, x: Any, init: Any, axes: Sequence[int], aval_out: Any) -> Any:
    """Reduces dimensions of one array, from the number `init`."""
    start = ctx.constant(init, aval_out.dtype)
    if combine not in _ALL_REDUCED and _is_divided(ctx):
        combine_scalars = functools.partial(_combined, ctx, combine, ShapedArray((), aval_out.dtype))
        return _reduce_gathered(ctx, x, start, axes, aval_out, combine_scalars)
    attributes = ctx.types.named_ints("dimensions", axes)
    operation = ctx.build("stablehlo.reduce", (x, start), (aval_out,), attributes, regions=1)
    combine_block(ctx, operation.regions[0], aval_out.dtype, combine)
    return operation.result


# What the named reductions combine with, and from which number they start.
_REDUCTIONS: dict[str, tuple[Combine, Callable[[Any], Any]]] = {
    "sum": ("stablehlo.add", _zero),
    "prod": ("stablehlo.multiply", _one),
    "max": ("stablehlo.maximum", lowest),
    "min": ("stablehlo.minimum", highest),
    "and": ("stablehlo.and", _ones),
    "or": ("stablehlo.or", _zero),
    "xor": ("stablehlo.xor", _zero),
    "logsumexp": (_logaddexp, lowest),
}


def combination(name: str, dtype: Any) -> Combine:
    """What a named reduction combines elements of a dtype with."""
    general = _REDUCTIONS[name][0]
    return _COMPLEX.get(name, general) if dtype.kind == "c" else general


def _named_reduction(name: str) -> Any:
    identity = _REDUCTIONS[name][1]

    def lower(ctx: Any, x: Any, *, axes: Any, out_sharding: Any = None) -> Any:
        if out_sharding is not None:
            reject_sharding(ctx, out_sharding)
        out = ctx.avals_out[0]
        return reduce_with(ctx, combination(name, out.dtype), x, identity(out.dtype), axes, out)

    return lower


def _reduce(
    ctx: Any, *operands: Any, jaxpr: Any, dimensions: Any, computation: Any = None, consts: Any = ()
) -> Any:
    if len(operands) == 2 and _is_divided(ctx):
        closed = jaxpr if isinstance(jaxpr, ClosedJaxpr) else ClosedJaxpr(jaxpr, consts)
        return [
            _reduce_gathered(
                ctx, *operands, dimensions, ctx.avals_out[0], lambda x, y: ctx.inline(closed, (x, y))[0]
            )
        ]
    attributes = {"dimensions": ctx.types.ints(dimensions)}
    operation = ctx.build("stablehlo.reduce", operands, ctx.avals_out, attributes, regions=1)
    jaxpr_block(ctx, operation.regions[0], jaxpr, consts)
    return list(operation.results)


def _arg_extremum(direction: str, start: Callable[[Any], Any]) -> Any:
    """The rule of argmax and argmin: the first best element, or the first NaN."""

    def lower(ctx: Any, x: Any, *, axes: Any, index_dtype: Any) -> Any:
        (axis,) = axes
        aval, out = ctx.avals_in[0], ctx.avals_out[0]
        indices = iota(ctx, ShapedArray(aval.shape, out.dtype), axis)
        inits = ctx.constant(start(aval.dtype), aval.dtype), ctx.constant(0, out.dtype)
        best = ShapedArray(out.shape, aval.dtype)
        attributes = {"dimensions": ctx.types.ints(axes)}
        operation = ctx.build("stablehlo.reduce", (x, indices, *inits), (best, out), attributes, regions=1)
        _arg_block(
            ctx, operation.regions[0], ShapedArray((), aval.dtype), ShapedArray((), out.dtype), direction
        )
        return operation.results[1]

    return lower


def _arg_block(ctx: Any, region: Any, value: Any, index: Any, direction: str) -> None:
    flag = ShapedArray((), np.dtype(bool))
    with ctx.block(region, (value, index, value, index)) as (x, i, y, j):
        better = ctx.compare(direction, x, y, value)
        if value.dtype.kind not in "biu" and not dtypes.issubdtype(value.dtype, np.integer):
            better = ctx.op("stablehlo.or", (better, ctx.compare("NE", x, x, value)), flag)
        tie = ctx.op("stablehlo.and", (ctx.compare("EQ", x, y, value), ctx.compare("LT", i, j, index)), flag)
        earlier = ctx.op("stablehlo.or", (better, tie), flag)
        best = ctx.op("stablehlo.select", (better, x, y), value)
        where = ctx.op("stablehlo.select", (earlier, i, j), index)
        ctx.return_((best, where))


# Windows


def _window_attributes(
    ctx: Any,
    dimensions: Any,
    strides: Any,
    padding: Any,
    base_dilation: Any = None,
    window_dilation: Any = None,
) -> dict[str, Any]:
    types = ctx.types
    attributes = {
        "window_dimensions": types.ints(dimensions),
        "window_strides": types.ints(strides),
        "padding": types.matrix(padding),
    }
    if base_dilation is not None:
        attributes["base_dilations"] = types.ints(base_dilation)
    if window_dilation is not None:
        attributes["window_dilations"] = types.ints(window_dilation)
    return attributes


def window_reduction(ctx: Any, combine: Combine, x: Any, init: Any, aval_out: Any, **window: Any) -> Any:
    """Reduces each window of one array, from the number `init`."""
    start = ctx.constant(init, aval_out.dtype)
    attributes = _window_attributes(ctx, **window)
    operation = ctx.build("stablehlo.reduce_window", (x, start), (aval_out,), attributes, regions=1)
    combine_block(ctx, operation.regions[0], aval_out.dtype, combine)
    return operation.result


def _named_window(name: str) -> Any:
    identity = _REDUCTIONS[name][1]

    def lower(
        ctx: Any,
        x: Any,
        *,
        window_dimensions: Any,
        window_strides: Any,
        padding: Any,
        base_dilation: Any,
        window_dilation: Any,
    ) -> Any:
        out = ctx.avals_out[0]
        return window_reduction(
            ctx,
            combination(name, out.dtype),
            x,
            identity(out.dtype),
            out,
            dimensions=window_dimensions,
            strides=window_strides,
            padding=padding,
            base_dilation=base_dilation,
            window_dilation=window_dilation,
        )

    return lower


def _reduce_window(
    ctx: Any,
    *operands: Any,
    jaxpr: Any,
    consts: Any = (),
    window_dimensions: Any,
    window_strides: Any,
    padding: Any,
    base_dilation: Any,
    window_dilation: Any,
) -> Any:
    attributes = _window_attributes(
        ctx, window_dimensions, window_strides, padding, base_dilation, window_dilation
    )
    operation = ctx.build("stablehlo.reduce_window", operands, ctx.avals_out, attributes, regions=1)
    jaxpr_block(ctx, operation.regions[0], jaxpr, consts)
    return list(operation.results)


def _direction(select_prim: Any) -> str:
    """GE or LE, from the primitive that says which of two elements a window selects."""
    return str(select_prim.name).upper()


def _limit(select_prim: Any, dtype: Any) -> Any:
    return lowest(dtype) if _direction(select_prim) == "GE" else highest(dtype)


def _select_and_scatter_add(
    ctx: Any,
    source: Any,
    operand: Any,
    *,
    select_prim: Any,
    window_dimensions: Any,
    window_strides: Any,
    padding: Any,
) -> Any:
    """Adds each source to the element its window selects.

    XLA's padding would be selected where a window holds nothing better, so the operand is padded
    with the worst value first and the result cut back.
    """
    out = ctx.avals_out[0]
    lows, highs = zip(*padding, strict=True)
    padded = out.update(shape=tuple(n + lo + hi for n, (lo, hi) in zip(out.shape, padding, strict=True)))
    types = ctx.types
    edges = {
        "edge_padding_low": types.ints(lows),
        "edge_padding_high": types.ints(highs),
        "interior_padding": types.ints((0,) * out.ndim),
    }
    worst = ctx.constant(_limit(select_prim, out.dtype), out.dtype)
    operand = ctx.op("stablehlo.pad", (operand, worst), padded, edges)
    zero = ctx.constant(0, out.dtype)
    attributes = _window_attributes(ctx, window_dimensions, window_strides, ((0, 0),) * out.ndim)
    operation = ctx.build(
        "stablehlo.select_and_scatter", (operand, source, zero), (padded,), attributes, regions=2
    )
    scalar = ShapedArray((), out.dtype)
    with ctx.block(operation.regions[0], (scalar, scalar)) as (x, y):
        ctx.return_((ctx.compare(_direction(select_prim), x, y, scalar),))
    combine_block(ctx, operation.regions[1], out.dtype, "stablehlo.add")
    cut = {
        "start_indices": types.ints(lows),
        "limit_indices": types.ints([lo + n for lo, n in zip(lows, out.shape, strict=True)]),
        "strides": types.ints((1,) * out.ndim),
    }
    return ctx.op("stablehlo.slice", (operation.result,), out, cut)


def _select_and_scatter(
    ctx: Any,
    operand: Any,
    source: Any,
    init: Any,
    *,
    select_jaxpr: Any,
    select_consts: Any,
    scatter_jaxpr: Any,
    scatter_consts: Any,
    window_dimensions: Any,
    window_strides: Any,
    padding: Any,
) -> Any:
    attributes = _window_attributes(ctx, window_dimensions, window_strides, padding)
    operation = ctx.build(
        "stablehlo.select_and_scatter", (operand, source, init), ctx.avals_out, attributes, regions=2
    )
    pairs = ((select_jaxpr, select_consts), (scatter_jaxpr, scatter_consts))
    for region, (jaxpr, consts) in zip(operation.regions, pairs, strict=True):
        jaxpr_block(ctx, region, jaxpr, consts)
    return operation.result


def _select_and_gather_add(
    ctx: Any,
    tangents: Any,
    operand: Any,
    *,
    select_prim: Any,
    window_dimensions: Any,
    window_strides: Any,
    padding: Any,
    base_dilation: Any,
    window_dilation: Any,
) -> Any:
    """For each window the tangent at the element it selects: a reduction of pairs."""
    out = ctx.avals_out[0]
    values = out.update(dtype=ctx.avals_in[1].dtype)
    inits = ctx.constant(_limit(select_prim, values.dtype), values.dtype), ctx.constant(0, out.dtype)
    attributes = _window_attributes(
        ctx, window_dimensions, window_strides, padding, base_dilation, window_dilation
    )
    operation = ctx.build(
        "stablehlo.reduce_window", (operand, tangents, *inits), (values, out), attributes, regions=1
    )
    value, tangent = ShapedArray((), values.dtype), ShapedArray((), out.dtype)
    with ctx.block(operation.regions[0], (value, tangent, value, tangent)) as (x, s, y, t):
        first = ctx.compare(_direction(select_prim), x, y, value)
        best = ctx.op("stablehlo.select", (first, x, y), value)
        ctx.return_((best, ctx.op("stablehlo.select", (first, s, t), tangent)))
    return operation.results[1]


# Cumulative operations


def _cumulative(name: str) -> Any:
    """A window that grows from one end of the axis; XLA turns it into a tree of short windows."""
    identity = _REDUCTIONS[name][1]

    def lower(ctx: Any, x: Any, *, axis: int, reverse: bool) -> Any:
        aval = ctx.avals_out[0]
        size = aval.shape[axis]
        if aval.size == 0:
            return x
        edges = (0, size - 1) if reverse else (size - 1, 0)
        ones = (1,) * aval.ndim
        return window_reduction(
            ctx,
            combination(name, aval.dtype),
            x,
            identity(aval.dtype),
            aval,
            dimensions=tuple(size if d == axis else 1 for d in range(aval.ndim)),
            strides=ones,
            padding=tuple(edges if d == axis else (0, 0) for d in range(aval.ndim)),
            base_dilation=ones,
            window_dilation=ones,
        )

    return lower


register_table(
    {
        **{
            f"reduce_{name}": _named_reduction(name)
            for name in ("sum", "prod", "max", "min", "and", "or", "xor")
        },
        "reduce": _reduce,
        "argmax": _arg_extremum("GT", lowest),
        "argmin": _arg_extremum("LT", highest),
        "reduce_window_sum": _named_window("sum"),
        "reduce_window_max": _named_window("max"),
        "reduce_window_min": _named_window("min"),
        "reduce_window": _reduce_window,
        "select_and_scatter_add": _select_and_scatter_add,
        "select_and_scatter": _select_and_scatter,
        "select_and_gather_add": _select_and_gather_add,
        **{f"cum{name}": _cumulative(name) for name in ("sum", "prod", "max", "min", "logsumexp")},
    }
)
for _extremum_p, _argument in ((reduce_max_p, argmax), (reduce_min_p, argmin)):
    register_lowering(attains[_extremum_p], lower_fun(attains_program(_argument)))
