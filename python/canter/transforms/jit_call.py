"""The `jit` primitive: a call of a compiled function, as one equation with a jaxpr of its own."""

from __future__ import annotations

from typing import Any

from ..core.primitive import Primitive
from .batching import batch_jaxpr
from .jvp import call_jvp
from .linearize import linearize_jaxpr
from .partial_evaluation import close_over_nothing, dce_closed_call
from .transpose import call_transpose
from .zeros import Zero, tangents_by_flags

__all__ = ["UNSPECIFIED", "UnspecifiedValue", "call", "fitted", "jit_p"]

jit_p = Primitive("jit", multiple_results=True)
jit_p.call_primitive = True


class UnspecifiedValue:
    """The sharding of an argument or result that the user has left to the compiler."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UnspecifiedValue"


UNSPECIFIED = UnspecifiedValue()

# Parameters that go with one argument or one result each. A transformation that changes the number
# of either gives them their defaults.
_PER_ARGUMENT = {"in_shardings": UNSPECIFIED, "in_layouts": None, "donated_invars": False}
_PER_RESULT = {"out_shardings": UNSPECIFIED, "out_layouts": None}


def call(closed: Any, args: Any, params: dict[str, Any]) -> list[Any]:
    """Binds the primitive to a program derived from another call's: see `fitted`."""
    args, params = fitted(closed, args, params)
    return jit_p.bind(*args, **params)


def fitted(closed: Any, args: Any, params: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Operands and parameters of the call of a program derived from another call's.

    Args:
      closed: the derived program; its constants become leading arguments.
      args: its other arguments.
      params: of the call it was derived from.
    """
    opened, hoisted = close_over_nothing(closed)
    args = [*hoisted, *args]
    params = {**params, "jaxpr": opened}
    for names, count in ((_PER_ARGUMENT, len(args)), (_PER_RESULT, len(opened.jaxpr.outvars))):
        for name, default in names.items():
            if len(params.get(name, ())) != count:
                params[name] = (default,) * count
    return args, params


def _abstract(*avals: Any, jaxpr: Any, **params: Any) -> Any:
    return jaxpr.out_avals, jaxpr.effects


def _jvp(primals: Any, tangents: Any, *, jaxpr: Any, **params: Any) -> Any:
    return call_jvp(call, jaxpr, primals, tangents, params)


def _linearize(primals: Any, tangents: Any, *, jaxpr: Any, **params: Any) -> Any:
    nonzeros = [type(t) is not Zero for t in tangents]
    parts = linearize_jaxpr(jaxpr, nonzeros)
    results = call(parts.known, primals, params)
    outs = results[: len(parts.out_nonzeros)]
    if not any(parts.out_nonzeros):
        return outs, tangents_by_flags(outs, parts.out_nonzeros, ())
    residuals = parts.residuals(primals, results)
    given = call(parts.linear, [*residuals, *(t for t in tangents if type(t) is not Zero)], params)
    return outs, tangents_by_flags(outs, parts.out_nonzeros, given)


def _transpose(cotangents: Any, *args: Any, jaxpr: Any, **params: Any) -> Any:
    return call_transpose(call, jaxpr, cotangents, args, params)


def _batch(trace: Any, args: Any, dims: Any, *, jaxpr: Any, **params: Any) -> Any:
    batched, out_dims = batch_jaxpr(jaxpr, trace.size, dims, name=trace.name, spmd_name=trace.spmd_name)
    return call(batched, args, params), out_dims


def _dce(used: Any, eqn: Any) -> Any:
    used_inputs, shorter = dce_closed_call(used, eqn)
    if shorter is None or shorter is eqn:
        return used_inputs, shorter
    params = dict(shorter.params)
    for names, flags in ((_PER_ARGUMENT, used_inputs), (_PER_RESULT, used)):
        for name in names:
            if name in params and len(params[name]) == len(flags):
                params[name] = tuple(v for v, keep in zip(params[name], flags, strict=True) if keep)
    return used_inputs, shorter.replace(params=params)


jit_p.def_effectful_abstract_eval(_abstract)
jit_p.jvp_rule = _jvp
jit_p.linearize_rule = _linearize
jit_p.transpose_rule = _transpose
jit_p.axis_batch_rule = _batch
jit_p.dce_rule = _dce
