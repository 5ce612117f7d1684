"""Forward rules of `custom_vjp` that are spared where only the value is wanted.

Under `checkpoint` the forward pass wants values and no residuals. Dead code elimination cannot take
the residuals out of an opaque operation that makes both; it can take the function instead of the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..core.avals import get_aval
from ..core.jaxpr import ClosedJaxpr, JaxprEqn, eval_jaxpr
from ..core.primitive import Primitive
from ..core.tracing import trace_to_jaxpr
from .batching import batch_jaxpr
from .jvp import call_jvp
from .partial_evaluation import close_over_nothing, dce_jaxpr
from .rules import matchaxis

__all__ = ["remat_opt_p", "value_and_residuals"]

remat_opt_p = Primitive("remat_opt", multiple_results=True)


def value_and_residuals(
    fun: Callable[..., list[Any]],
    fwd: Callable[..., tuple[list[Any], list[Any]]],
    args: Sequence[Any],
    name: str,
) -> tuple[list[Any], list[Any]]:
    """Applies a forward rule such that the function takes its place where the residuals are not used.

    Args:
      fun: from arrays to a list of arrays.
      fwd: from the same arrays to (results, residuals).
      args: the arrays.
      name: of the function, for messages.
    """
    avals = [get_aval(x) for x in args]
    counts: list[int] = []

    def flat_fwd(*xs: Any) -> list[Any]:
        outs, residuals = fwd(*xs)
        counts.append(len(residuals))
        return [*outs, *residuals]

    forward, captured = close_over_nothing(trace_to_jaxpr(flat_fwd, avals, name=name))
    value, more = close_over_nothing(trace_to_jaxpr(fun, avals, name=name))
    results = remat_opt_p.bind(
        *captured,
        *more,
        *args,
        num_consts=(len(captured), len(more)),
        num_res=counts[-1],
        fwd_jaxpr=forward,
        fun_jaxpr=value,
    )
    split = len(results) - counts[-1]
    return results[:split], results[split:]


def _operands_of_rule(args: Sequence[Any], num_consts: tuple[int, int]) -> list[Any]:
    first, second = num_consts
    return [*args[:first], *args[first + second :]]


def _evaluate(*args: Any, num_consts: Any, fwd_jaxpr: ClosedJaxpr, **_: Any) -> list[Any]:
    return eval_jaxpr(fwd_jaxpr.jaxpr, fwd_jaxpr.consts, *_operands_of_rule(args, num_consts))


def _jvp(primals: Any, tangents: Any, *, num_consts: Any, fwd_jaxpr: ClosedJaxpr, **_: Any) -> Any:
    def bind(closed: ClosedJaxpr, operands: Any, params: Any) -> list[Any]:
        return eval_jaxpr(closed.jaxpr, closed.consts, *operands)

    return call_jvp(
        bind, fwd_jaxpr, _operands_of_rule(primals, num_consts), _operands_of_rule(tangents, num_consts), {}
    )


def _batch(
    trace: Any,
    args: Any,
    dims: Any,
    *,
    num_consts: Any,
    num_res: int,
    fwd_jaxpr: ClosedJaxpr,
    fun_jaxpr: ClosedJaxpr,
) -> Any:
    first, _ = num_consts
    both = []
    for closed, own in ((fwd_jaxpr, _operands_of_rule(dims, num_consts)), (fun_jaxpr, dims[first:])):
        batched, places = batch_jaxpr(closed, trace.size, own, name=trace.name, spmd_name=trace.spmd_name)

        def in_front(*xs: Any, batched: Any = batched, places: Any = places) -> list[Any]:
            outs = eval_jaxpr(batched.jaxpr, batched.consts, *xs)
            return [matchaxis(trace.size, place, 0, x) for x, place in zip(outs, places, strict=True)]

        both.append(trace_to_jaxpr(in_front, batched.in_avals, debug_info=closed.jaxpr.debug_info))
    outs = remat_opt_p.bind(
        *args, num_consts=num_consts, num_res=num_res, fwd_jaxpr=both[0], fun_jaxpr=both[1]
    )
    return outs, [0] * len(outs)


def _dce(used: Sequence[bool], eqn: JaxprEqn) -> tuple[list[bool], JaxprEqn | None]:
    if not any(used) and not eqn.effects:
        return [False] * len(eqn.invars), None
    split = len(used) - eqn.params["num_res"]
    if any(used[split:]):
        return [True] * len(eqn.invars), eqn
    first, _ = eqn.params["num_consts"]
    value: ClosedJaxpr = eqn.params["fun_jaxpr"]
    jaxpr, kept = dce_jaxpr(value.jaxpr, used[:split])
    shorter = ClosedJaxpr(jaxpr, value.consts)
    used_inputs = [False] * first + kept
    return used_inputs, eqn.replace(
        invars=[v for v, use in zip(eqn.invars, used_inputs, strict=True) if use],
        outvars=[v for v, use in zip(eqn.outvars, used, strict=True) if use],
        params={"num_consts": (0, 0), "num_res": 0, "fwd_jaxpr": shorter, "fun_jaxpr": shorter},
        effects=jaxpr.effects,
    )


remat_opt_p.def_effectful_abstract_eval(
    lambda *avals, fwd_jaxpr, **_: (fwd_jaxpr.out_avals, fwd_jaxpr.effects)
)
remat_opt_p.impl = _evaluate
remat_opt_p.jvp_rule = _jvp
remat_opt_p.axis_batch_rule = _batch
remat_opt_p.dce_rule = _dce
