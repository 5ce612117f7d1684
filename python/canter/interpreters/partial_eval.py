"""Tracing into jaxprs, taking what is known from what is not, and removing dead code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..core.avals import get_aval as _get_aval
from ..core.jaxpr import (
    ClosedJaxpr as _ClosedJaxpr,
    Jaxpr as _Jaxpr,
    JaxprEqn as _JaxprEqn,
    Literal as _Literal,
)
from ..core.trace import state as _state, swap_trace as _swap_trace
from ..core.tracing import (
    JaxprTracer as DynamicJaxprTracer,
    JaxprTracer as JaxprTracer,
    trace_to_jaxpr as _trace_to_jaxpr,
)
from ..transforms.linearize import Tape as _Tape
from ..transforms.partial_evaluation import dce_closed_call as _dce_closed_call, dce_jaxpr as _dce_jaxpr
from ..transforms.rule_tables import RuleTable as _RuleTable

__all__ = [
    "DynamicJaxprTracer",
    "JaxprTracer",
    "PartialVal",
    "Val",
    "custom_partial_eval_rules",
    "dce_jaxpr",
    "dce_jaxpr_call_rule",
    "dce_jaxpr_closed_call_rule",
    "dce_jaxpr_consts",
    "dce_rules",
    "partial_eval_jaxpr_custom_rules",
    "trace_to_jaxpr_dynamic",
    "trace_to_jaxpr_nounits",
]

Val = Any

# dce_rules[p] = rule: rule(used results, equation) -> (used operands, the shorter equation or None)
dce_rules = _RuleTable("dce_rule")


class _NeverAsked(_RuleTable):
    """A table that stays empty: to take a rule and never ask for it would be worse."""

    __slots__ = ()

    def __setitem__(self, primitive: Any, rule: Any) -> None:
        raise NotImplementedError(
            f"A rule that splits '{primitive}' in what is known and what is not has no place here: derivatives run the "
            "jvp rule of a primitive once, and what depends on no tangent is known by that. Declare the jvp rule (in "
            "canter.interpreters.ad.primitive_jvps), and for a primitive with inner programs a rule in dce_rules."
        )


# Rules for taking a program apart in what is known and what is not.
custom_partial_eval_rules = _NeverAsked("partial_eval_rule")
partial_eval_jaxpr_custom_rules = _NeverAsked("partial_eval_jaxpr_rule")


class PartialVal(tuple[Any, Any]):
    """A value that is known, or the aval of one that is not: a pair of which one is None.

    Example:
      >>> from canter.interpreters.partial_eval import PartialVal
      >>> PartialVal.known(2.0).get_known()
      2.0
    """

    __slots__ = ()

    @classmethod
    def known(cls, value: Any) -> PartialVal:
        """A known value."""
        return cls((None, value))

    @classmethod
    def unknown(cls, aval: Any) -> PartialVal:
        """A value of which only the aval is known."""
        return cls((aval, None))

    def is_known(self) -> bool:
        return self[0] is None

    def get_known(self) -> Any:
        """The value, or None where it is not known."""
        return self[1] if self[0] is None else None

    def get_aval(self) -> Any:
        return _get_aval(self[1]) if self[0] is None else self[0]


def _called(fun: Any) -> Callable[..., Any]:
    return getattr(fun, "call_wrapped", fun)


def trace_to_jaxpr_dynamic(
    fun: Any,
    in_avals: Sequence[Any],
    *,
    keep_inputs: Sequence[bool] | None = None,
    lower: bool = False,
    auto_dce: bool = False,
) -> tuple[_Jaxpr, list[Any], list[Any]]:
    """Traces a flat function.

    Args:
      fun: a `WrappedFun` or function of arrays that returns a sequence of them.
      in_avals: the types of its arguments.
      keep_inputs: which arguments stay arguments of the jaxpr; None for all. The others must be unused.
      lower: accepted either way: what is traced has array types only.
      auto_dce: whether to remove dead equations.

    Returns:
      The jaxpr, the types of its results, and the values of its constants.

    Raises:
      ValueError: an argument that is not to be kept is used.

    Example:
      >>> from canter import lax
      >>> from canter.core import ShapedArray
      >>> from canter.interpreters import partial_eval
      >>> partial_eval.trace_to_jaxpr_dynamic(lambda x: [lax.sin(x)], [ShapedArray((3,), "float32")])[0]
      { lambda ; a:f32[3]. let b:f32[3] = sin a in (b,) }
    """
    debug_info = getattr(fun, "debug_info", None)
    closed = _trace_to_jaxpr(_called(fun), in_avals, debug_info=debug_info)
    jaxpr = closed.jaxpr
    if auto_dce:
        jaxpr, _ = _dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars), keep_inputs=True)
    if keep_inputs is not None:
        dropped = {v for v, keep in zip(jaxpr.invars, keep_inputs, strict=True) if not keep}
        if dropped & {v for eqn in jaxpr.eqns for v in eqn.invars if type(v) is not _Literal}:
            raise ValueError("An argument that keep_inputs drops is used.")
        jaxpr = jaxpr.replace(invars=[v for v in jaxpr.invars if v not in dropped])
    return jaxpr, jaxpr.out_avals, closed.consts


def trace_to_jaxpr_nounits(
    fun: Any, pvals: Sequence[PartialVal], instantiate: bool | Sequence[bool] = False
) -> tuple[_Jaxpr, list[PartialVal], list[Any]]:
    """Evaluates what can be known of a function, and traces the rest.

    Args:
      fun: a `WrappedFun` or function of arrays that returns a sequence of them.
      pvals: the arguments, known or not.
      instantiate: which results are results of the jaxpr even if they are known.

    Returns:
      A jaxpr from the unknown arguments to the unknown results, the results as `PartialVal`s, and the
      values of the jaxpr's constants.

    Example:
      >>> from canter import lax
      >>> from canter.core import ShapedArray
      >>> from canter.interpreters import partial_eval as pe
      >>> x = pe.PartialVal.unknown(ShapedArray((), "float32"))
      >>> jaxpr, outs, consts = pe.trace_to_jaxpr_nounits(lambda x, y: [lax.sin(x), y + 1], [x, pe.PartialVal.known(2)])
      >>> jaxpr
      { lambda ; a:f32[]. let b:f32[] = sin a in (b,) }
      >>> outs[1].get_known()
      3
    """
    tape = _Tape(_state.trace, getattr(fun, "debug_info", None))
    args = [pv.get_known() if pv.is_known() else tape.new_argument(pv.get_aval()) for pv in pvals]
    previous = _swap_trace(tape)
    try:
        outs = list(_called(fun)(*args))
    finally:
        tape.alive = False
        _swap_trace(previous)
    wanted = [instantiate] * len(outs) if isinstance(instantiate, bool) else list(instantiate)
    results, outvars = [], []
    for out, want in zip(outs, wanted, strict=True):
        if want or tape.touches([out]):
            outvars.append(tape.to_atom(out))
            results.append(PartialVal.unknown(_get_aval(out)))
        else:
            results.append(PartialVal.known(out))
    closed = tape.finish(outvars)
    return closed.jaxpr, results, closed.consts


def dce_jaxpr(
    jaxpr: _Jaxpr, used_outputs: bool | Sequence[bool], instantiate: bool | Sequence[bool] = False
) -> tuple[_Jaxpr, list[bool]]:
    """Removes the equations that no wanted result needs; those with effects stay.

    Args:
      jaxpr: the program.
      used_outputs: which results are wanted, for all or one flag a result; the others vanish.
      instantiate: which arguments stay even if unused.

    Returns:
      The shorter jaxpr, and which arguments it has kept.

    Example:
      >>> import canter as ct
      >>> from canter import lax
      >>> from canter.interpreters import partial_eval
      >>> jaxpr = ct.make_jaxpr(lambda x, y: (lax.sin(x), lax.cos(y)))(1.0, 2.0).jaxpr
      >>> partial_eval.dce_jaxpr(jaxpr, [True, False])
      ({ lambda ; a:f32[]. let b:f32[] = sin a in (b,) }, [True, False])
    """
    used = [used_outputs] * len(jaxpr.outvars) if isinstance(used_outputs, bool) else used_outputs
    return _dce_jaxpr(jaxpr, used, keep_inputs=instantiate)


def dce_jaxpr_consts(
    jaxpr: _Jaxpr, used_outputs: bool | Sequence[bool], instantiate: bool | Sequence[bool] = False
) -> tuple[_Jaxpr, list[bool], list[bool]]:
    """Like `dce_jaxpr`, for unused constants too.

    Returns:
      The shorter jaxpr, which constants it has kept, and which arguments.
    """
    shorter, used_inputs = dce_jaxpr(jaxpr, used_outputs, instantiate)
    live = {v for eqn in shorter.eqns for v in eqn.invars if type(v) is not _Literal}
    live.update(v for v in shorter.outvars if type(v) is not _Literal)
    used_consts = [v in live for v in shorter.constvars]
    kept = [v for v, used in zip(shorter.constvars, used_consts, strict=True) if used]
    return shorter.replace(constvars=kept), used_consts, used_inputs


def dce_jaxpr_closed_call_rule(
    used_outputs: list[bool], eqn: _JaxprEqn
) -> tuple[list[bool], _JaxprEqn | None]:
    """A `dce_rule` for primitives that call the closed jaxpr in their parameter `call_jaxpr`."""
    return _dce_closed_call(used_outputs, eqn, "call_jaxpr")


def dce_jaxpr_call_rule(used_outputs: list[bool], eqn: _JaxprEqn) -> tuple[list[bool], _JaxprEqn | None]:
    """A `dce_rule` for primitives that call the open or closed jaxpr in their parameter `call_jaxpr`."""
    called = eqn.params["call_jaxpr"]
    if not isinstance(called, _Jaxpr):
        return _dce_closed_call(used_outputs, eqn, "call_jaxpr")
    closed = eqn.replace(params={**eqn.params, "call_jaxpr": _ClosedJaxpr(called, [])})
    used_inputs, shorter = _dce_closed_call(used_outputs, closed, "call_jaxpr")
    if shorter is None:
        return used_inputs, None
    return used_inputs, shorter.replace(
        params={**shorter.params, "call_jaxpr": shorter.params["call_jaxpr"].jaxpr}
    )
