"""Taking jaxprs apart: dead code, and what is known before the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.effects import no_effects, partial_eval_kept_effects
from ..core.jaxpr import ClosedJaxpr, DropVar, Jaxpr, JaxprEqn, Literal, Var
from ..core.primitive import Primitive
from ..core.tracing import infer_avals

__all__ = [
    "call_equation",
    "close_over_nothing",
    "convert_constvars",
    "dce_jaxpr",
    "join_effects",
    "known_results",
    "prune_consts",
    "without_debugging",
]


def join_effects(eqns: Sequence[JaxprEqn]) -> Any:
    """The union of the effects of equations."""
    effects = no_effects
    for eqn in eqns:
        if eqn.effects:
            effects = effects | eqn.effects
    return effects


def dce_jaxpr(
    jaxpr: Jaxpr, used_outputs: Sequence[bool], keep_inputs: bool | Sequence[bool] = False
) -> tuple[Jaxpr, list[bool]]:
    """Removes the equations that no wanted result needs.

    Equations with effects stay. A primitive's `dce_rule(used, eqn) -> (used_inputs, new_eqn)` can
    also shorten an equation of which only some results are used.

    Args:
      jaxpr: the program.
      used_outputs: which results are wanted; the others vanish.
      keep_inputs: which arguments stay even if unused.

    Returns:
      The shorter jaxpr, and which arguments it has kept. Constant variables all stay.
    """
    if isinstance(keep_inputs, bool):
        keep_inputs = [keep_inputs] * len(jaxpr.invars)
    outvars = [v for v, used in zip(jaxpr.outvars, used_outputs, strict=True) if used]
    live = {v for v in outvars if type(v) is not Literal}
    kept: list[JaxprEqn] = []
    for eqn in reversed(jaxpr.eqns):
        if len(eqn.outvars) == 1 and eqn.primitive.dce_rule is None and not eqn.effects:
            # Most equations; the general way below does the same in twice the time.
            if eqn.outvars[0] in live:
                kept.append(eqn)
                for v in eqn.invars:
                    if type(v) is not Literal:
                        live.add(v)
            continue
        used = [v in live for v in eqn.outvars]
        if not any(used) and not eqn.effects:
            continue
        rule = eqn.primitive.dce_rule
        if rule is not None:
            used_inputs, eqn = rule(used, eqn)
            if eqn is None:
                continue
        elif not all(used):
            eqn = eqn.replace(
                outvars=[
                    v if u or type(v) is DropVar else DropVar(v.aval)
                    for v, u in zip(eqn.outvars, used, strict=True)
                ]
            )
        kept.append(eqn)
        live.update(v for v in eqn.invars if type(v) is not Literal)
    kept.reverse()
    used_inputs = [v in live or keep for v, keep in zip(jaxpr.invars, keep_inputs, strict=True)]
    invars = [v for v, used in zip(jaxpr.invars, used_inputs, strict=True) if used]
    effects = join_effects(kept) if jaxpr.effects else no_effects
    return jaxpr.replace(invars=invars, outvars=outvars, eqns=kept, effects=effects), used_inputs


def prune_consts(closed: ClosedJaxpr) -> ClosedJaxpr:
    """The same program without the constants that it does not use."""
    jaxpr = closed.jaxpr
    live = {v for eqn in jaxpr.eqns for v in eqn.invars if type(v) is not Literal}
    live.update(v for v in jaxpr.outvars if type(v) is not Literal)
    pairs = [(v, c) for v, c in zip(jaxpr.constvars, closed.consts, strict=True) if v in live]
    if len(pairs) == len(closed.consts):
        return closed
    return ClosedJaxpr(jaxpr.replace(constvars=[v for v, _ in pairs]), [c for _, c in pairs])


def convert_constvars(jaxpr: Jaxpr) -> Jaxpr:
    """The jaxpr with its constants as leading arguments."""
    if not jaxpr.constvars:
        return jaxpr
    return jaxpr.replace(constvars=[], invars=[*jaxpr.constvars, *jaxpr.invars])


def close_over_nothing(closed: ClosedJaxpr) -> tuple[ClosedJaxpr, list[Any]]:
    """The program with its constants as leading arguments, and the constants.

    The form is memoised, so that equal programs stay the same object.
    """
    if not closed.consts:
        return closed, []
    known = closed.memo.get("open")
    if known is None:
        known = closed.memo["open"] = ClosedJaxpr(convert_constvars(closed.jaxpr), [])
    return known, closed.consts


def dce_closed_call(
    used: Sequence[bool], eqn: JaxprEqn, name: str = "jaxpr"
) -> tuple[list[bool], JaxprEqn | None]:
    """A `dce_rule` for primitives that call the closed jaxpr in one of their parameters."""
    if not any(used) and not eqn.effects:
        return [False] * len(eqn.invars), None
    closed: ClosedJaxpr = eqn.params[name]
    key = ("dce", tuple(used))
    found = closed.memo.get(key)
    if found is None:
        shorter, used_inputs = dce_jaxpr(closed.jaxpr, used)
        found = closed.memo[key] = (ClosedJaxpr(shorter, closed.consts), used_inputs)
    shorter_closed, used_inputs = found
    if all(used) and all(used_inputs) and len(shorter_closed.eqns) == len(closed.eqns):
        return [True] * len(eqn.invars), eqn
    return used_inputs, eqn.replace(
        invars=[v for v, u in zip(eqn.invars, used_inputs, strict=True) if u],
        outvars=[v for v, u in zip(eqn.outvars, used, strict=True) if u],
        params={**eqn.params, name: shorter_closed},
        effects=shorter_closed.effects,
    )


def call_equation(primitive: Primitive, params: dict[str, Any], avals: Sequence[Any]) -> JaxprEqn:
    """The equation that a call of a primitive with inner programs would be, on variables of its own."""
    out, effects = infer_avals(primitive, tuple(avals), params)
    return JaxprEqn([Var(a) for a in avals], [Var(a) for a in out], primitive, params, effects)


def without_debugging(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a call, whose inner programs no longer print values or check them."""
    return {name: _without_debugging(value) for name, value in params.items()}


def _without_debugging(value: Any) -> Any:
    if isinstance(value, ClosedJaxpr):
        if not value.effects:
            return value
        known = value.memo.get("without debugging")
        if known is None:
            known = ClosedJaxpr(_without_debugging(value.jaxpr), value.consts)
            value.memo["without debugging"] = known
        return known
    if isinstance(value, Jaxpr):
        if not value.effects:
            return value
        kept = []
        for eqn in value.eqns:
            if eqn.effects and not eqn.outvars and not partial_eval_kept_effects.filter_not_in(eqn.effects):
                continue
            if eqn.effects:
                params = without_debugging(eqn.params)
                effects = infer_avals(eqn.primitive, tuple(v.aval for v in eqn.invars), params)[1]
                eqn = eqn.replace(params=params, effects=effects)
            kept.append(eqn)
        return value.replace(eqns=kept, effects=join_effects(kept))
    if type(value) in (tuple, list) and value and isinstance(value[0], (ClosedJaxpr, Jaxpr)):
        return type(value)(map(_without_debugging, value))
    return value


def known_results(
    primitive: Primitive, params: dict[str, Any], avals: Sequence[Any], unknown: Sequence[bool]
) -> list[bool]:
    """Which results of a call of inner programs depend on none of the unknown operands."""
    assert primitive.dce_rule is not None
    eqn = call_equation(primitive, without_debugging(params), avals)
    if eqn.effects:
        return [False] * len(eqn.outvars)
    blocked = {v for v, flag in zip(eqn.invars, unknown, strict=True) if flag}
    known = []
    for i in range(len(eqn.outvars)):
        _, shorter = primitive.dce_rule([i == k for k in range(len(eqn.outvars))], eqn)
        known.append(shorter is not None and not any(v in blocked for v in shorter.invars))
    return known
