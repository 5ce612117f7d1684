"""Equations that have a jaxpr of their own: calls, custom derivatives, rematerialisation."""

from __future__ import annotations

from typing import Any

from canter.core.jaxpr import ClosedJaxpr

from ..mlir_door import ir
from ..registry import register_table
from .placement import constrained, in_order

__all__: list[str] = []


def _closed(jaxpr: Any) -> ClosedJaxpr:
    return jaxpr if isinstance(jaxpr, ClosedJaxpr) else ClosedJaxpr(jaxpr, ())


def _jit(
    ctx: Any, *operands: Any, jaxpr: Any, name: str = "function", inline: bool = False, **params: Any
) -> Any:
    """A function of the module, or its body in place. The shardings that an inner call asks for are
    constraints on its operands and results, and so are layouts in memory.
    """
    closed = _closed(jaxpr)
    inner = ctx.replace(name_stack=(*ctx.name_stack, f"jit({name})"))
    operands = _with_shardings(ctx, operands, params.get("in_shardings"))
    operands = _with_layouts(ctx, operands, params.get("in_layouts"))
    results = inner.inline(closed, operands) if inline else inner.call(closed, operands, name)
    results = _with_shardings(ctx, results, params.get("out_shardings"))
    return _with_layouts(ctx, results, params.get("out_layouts"))


def _with_layouts(ctx: Any, values: Any, layouts: Any) -> Any:
    if not layouts or not any(layouts):
        return values
    return [in_order(ctx, value, layout) for value, layout in zip(values, layouts, strict=True)]


def _with_shardings(ctx: Any, values: Any, shardings: Any) -> Any:
    if not shardings or all(type(sharding).__name__ == "UnspecifiedValue" for sharding in shardings):
        return values
    return [constrained(ctx, value, sharding) for value, sharding in zip(values, shardings, strict=True)]


def _inlined(*names: str) -> Any:
    """The rule of an equation whose jaxpr, the parameter of one of these names, is emitted in place."""

    def lower(ctx: Any, *operands: Any, **params: Any) -> Any:
        for name in names:
            if name in params:
                return ctx.inline(_closed(params[name]), operands)
        raise TypeError(f"An equation of '{ctx.primitive}' has none of the parameters {', '.join(names)}.")

    return lower


def _remat(
    ctx: Any, *operands: Any, jaxpr: Any, prevent_cse: Any, differentiated: bool, policy: Any = None
) -> Any:
    """Behind a barrier the compiler cannot see that forward and backward pass compute the same."""
    if not differentiated or not operands:
        return ctx.inline(_closed(jaxpr), operands)
    hidden = prevent_cse if isinstance(prevent_cse, tuple) else (bool(prevent_cse),) * len(operands)
    held = [x for x, hide in zip(operands, hidden, strict=True) if hide]
    if held:
        avals = [aval for aval, hide in zip(ctx.avals_in, hidden, strict=True) if hide]
        results = iter(ctx.build("stablehlo.optimization_barrier", held, avals).results)
        operands = tuple(next(results) if hide else x for x, hide in zip(operands, hidden, strict=True))
    return ctx.inline(_closed(jaxpr), operands)


def _remat_opt(ctx: Any, *operands: Any, num_consts: tuple[int, int], fwd_jaxpr: Any, **_: Any) -> Any:
    first, second = num_consts
    return ctx.inline(fwd_jaxpr, (*operands[:first], *operands[first + second :]))


def _outlined(ctx: Any, *operands: Any, jaxpr: Any, name: str) -> Any:
    """A call that the compiler keeps: it is the wall across which nothing is fused."""
    return keep_call(ctx, ctx.call(jaxpr, operands, name))


def keep_call(ctx: Any, results: Any) -> Any:
    """Marks the call that gave these results as one which the compiler is not to put in its place."""
    ctx.module_context.has_outlined_calls = True
    if results:
        kept = ir.DictAttr.get({"inlineable": ir.StringAttr.get("false")})
        results[0].owner.attributes["mhlo.frontend_attributes"] = kept
    return results


register_table(
    {
        "outlined_call": _outlined,
        "jit": _jit,
        "pjit": _jit,
        "closed_call": _inlined("call_jaxpr", "jaxpr"),
        "core_call": _inlined("call_jaxpr", "jaxpr"),
        "call": _inlined("call_jaxpr", "jaxpr"),
        "custom_jvp_call": _inlined("call_jaxpr", "fun_jaxpr", "jaxpr"),
        "custom_vjp_call": _inlined("call_jaxpr", "fun_jaxpr", "jaxpr"),
        "custom_vjp_call_jaxpr": _inlined("call_jaxpr", "fun_jaxpr", "jaxpr"),
        "custom_lin": _inlined("call_jaxpr", "jaxpr"),
        "custom_vmap_call": _inlined("call", "call_jaxpr", "jaxpr"),
        "linear_call": _inlined("callee"),
        "remat_opt": _remat_opt,
        "remat2": _remat,
        "remat": _remat,
        "checkpoint": _remat,
    }
)
