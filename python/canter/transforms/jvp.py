"""Forward-mode differentiation.

`JVPTrace` pairs each value with its tangent and applies the primitives' jvp rules with its parent
as the current trace. With a tape as the parent (see `linearize`) the same trace records the
tangents' part of the program instead of computing it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..core import config, pytree
from ..core.avals import get_aval
from ..core.jaxpr import ClosedJaxpr, eval_jaxpr
from ..core.primitive import Primitive
from ..core.trace import Trace, Tracer, references, state, swap_trace
from ..core.tracing import trace_to_jaxpr
from .rules import instantiate_zeros
from .zeros import Zero, tangents_by_flags

__all__ = ["JVPTrace", "JVPTracer", "call_jvp", "jvp_flat", "jvp_jaxpr", "without_tangents"]


class JVPTracer(Tracer):
    """A value with its tangent."""

    __slots__ = ("primal", "tangent")

    def __init__(self, trace: JVPTrace, primal: Any, tangent: Any):
        self._trace = trace
        self.aval = get_aval(primal)
        self.primal = primal
        self.tangent = tangent

    def concrete_value(self) -> Any:
        primal = self.primal
        return primal.concrete_value() if isinstance(primal, Tracer) else primal

    def _describe(self) -> str:
        return f" with primal={self.primal!r} and tangent={self.tangent!r}"


class JVPTrace(Trace):
    """Propagates tangents.

    Args:
      parent: the trace in which rules run.
      linearizing: True when the parent is a tape: rules that can split a primitive in a known and
        a linear part (`linearize_rule`) are preferred to those that compute both at once.
      shortcut: what may do the work of a primitive's rule: tape, primitive, primals, tangents, params
        -> result and tangent as the rule gives them, or None.
    """

    __slots__ = ("alive", "linearizing", "parent", "shortcut")

    def __init__(self, parent: Any, linearizing: bool = False, shortcut: Any = None):
        self.parent = parent
        self.linearizing = linearizing
        self.shortcut = shortcut
        self.alive = True

    def is_alive(self) -> bool:
        return self.alive

    def unpack(self, args: Sequence[Any]) -> tuple[list[Any], list[Any], bool]:
        """Primals, tangents, and whether any tangent is not zero."""
        primals = []
        tangents: list[Any] = []
        active = False
        for arg in args:
            if type(arg) is JVPTracer and arg._trace is self:
                primals.append(arg.primal)
                tangent = arg.tangent
                active = active or type(tangent) is not Zero
            else:
                primals.append(arg)
                tangent = None
            tangents.append(tangent)
        if active:
            for i, tangent in enumerate(tangents):
                if tangent is None:
                    tangents[i] = Zero(get_aval(primals[i]).to_tangent_aval())
        return primals, tangents, active

    def pack(self, primal: Any, tangent: Any) -> Any:
        """The value and its tangent as one tracer; a value without a tangent stays as it is."""
        return primal if type(tangent) is Zero else JVPTracer(self, primal, tangent)

    def process(self, primitive: Primitive, args: Any, params: dict[str, Any]) -> Any:
        if references.in_use and primitive.call_primitive and references.concern(primitive, args, params):
            return references.apply(primitive, args, params)
        primals, tangents, active = self.unpack(args)
        parent = self.parent
        if not active and not primitive.ref_allocating:
            previous = swap_trace(parent)
            try:
                return parent.process(primitive, primals, params)
            finally:
                swap_trace(previous)
        rule = (self.linearizing and primitive.linearize_rule) or primitive.jvp_rule
        if rule is None:
            raise NotImplementedError(
                f"Primitive '{primitive.name}' has no derivative rule. "
                "Wrap the function in `custom_jvp` or `custom_vjp`, or use `stop_gradient` on its inputs."
            )
        split = self.linearizing and primitive.call_primitive
        if split:
            splits, parent.splits = parent.splits, primitive.linearize_rule is None
        previous = swap_trace(parent)
        try:
            shortcut = self.shortcut
            found = None if shortcut is None else shortcut(parent, primitive, primals, tangents, params)
            out, tangent = rule(primals, tangents, **params) if found is None else found
        finally:
            swap_trace(previous)
            if split:
                parent.splits = splits
        if primitive.multiple_results:
            return [
                o if type(t) is Zero else JVPTracer(self, o, t) for o, t in zip(out, tangent, strict=True)
            ]
        return out if type(tangent) is Zero else JVPTracer(self, out, tangent)

    def process_custom_jvp(self, primitive: Any, fun: Any, jvp: Any, args: Any, params: Any) -> Any:
        primals, tangents, active = self.unpack(args)
        previous = swap_trace(self.parent)
        try:
            if not active:
                return self.parent.process_custom_jvp(primitive, fun, jvp, primals, params)
            outs, out_tangents = primitive.apply_jvp(jvp, primals, tangents, params)
        finally:
            swap_trace(previous)
        return [self.pack(o, t) for o, t in zip(outs, out_tangents, strict=True)]

    def process_custom_vjp(self, primitive: Any, fun: Any, fwd: Any, bwd: Any, args: Any, params: Any) -> Any:
        primals, tangents, active = self.unpack(args)
        previous = swap_trace(self.parent)
        try:
            if not active:
                return self.parent.process_custom_vjp(primitive, fun, fwd, bwd, primals, params)
            outs, out_tangents = primitive.apply_fwd(fwd, bwd, primals, tangents, params)
        finally:
            swap_trace(previous)
        return [self.pack(o, t) for o, t in zip(outs, out_tangents, strict=True)]


def jvp_flat(
    fun: Callable[..., Sequence[Any]], primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """Values and tangents of a flat function, both as lists; tangents may be symbolic zeros."""
    # Onto a tape (from a custom rule, say) only tangents may go: there, too, calls are split in two.
    trace = JVPTrace(state.trace, linearizing=state.trace.is_tape)
    inputs = [trace.pack(primal, tangent) for primal, tangent in zip(primals, tangents, strict=True)]
    previous = swap_trace(trace)
    try:
        outs = list(fun(*inputs))
    finally:
        trace.alive = False
        swap_trace(previous)
    results = split_outputs(trace, outs)
    if config.check_tracer_leaks.value:
        from ..core.leaks import check_leaks

        del inputs, outs
        check_leaks(trace, "the function under jvp")
    return results


def split_outputs(trace: JVPTrace, outs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Primals and tangents of the results of a traced function."""
    primals, tangents = [], []
    for out in outs:
        if type(out) is JVPTracer and out._trace is trace:
            primals.append(out.primal)
            tangents.append(out.tangent)
        else:
            primals.append(out)
            tangents.append(Zero(get_aval(out).to_tangent_aval()))
    return primals, tangents


def without_tangents(tree: Any) -> Any:
    """A tree of auxiliary data in which tracers of traces that have ended give way to their values."""
    return pytree.tree_map(_primal_of_ended, tree)


def _primal_of_ended(leaf: Any) -> Any:
    while type(leaf) is JVPTracer and not leaf._trace.alive:
        leaf = leaf.primal
    return leaf


def jvp_jaxpr(
    closed: ClosedJaxpr, nonzeros: Sequence[bool], instantiate: Sequence[bool] | bool = False
) -> tuple[ClosedJaxpr, list[bool]]:
    """The jaxpr that computes values and tangents.

    Args:
      closed: the program.
      nonzeros: which arguments have a tangent.
      instantiate: which results are to have a tangent even if it is zero.

    Returns:
      A jaxpr from (arguments, tangents of those with one) to (results, tangents of those with one),
      and which results have a tangent.
    """
    if isinstance(instantiate, bool):
        instantiate = (instantiate,) * len(closed.jaxpr.outvars)
    key = ("jvp", tuple(nonzeros), tuple(instantiate))
    known = closed.memo.get(key)
    if known is not None:
        return known
    out_nonzeros: list[bool] = []

    def value_and_tangents(*args: Any) -> list[Any]:
        primals, given = args[: len(nonzeros)], iter(args[len(nonzeros) :])
        tangents = [
            next(given) if nonzero else Zero(get_aval(p).to_tangent_aval())
            for p, nonzero in zip(primals, nonzeros, strict=True)
        ]
        outs, out_tangents = jvp_flat(
            lambda *xs: eval_jaxpr(closed.jaxpr, closed.consts, *xs), primals, tangents
        )
        out_tangents = [
            instantiate_zeros(t) if wanted else t for t, wanted in zip(out_tangents, instantiate, strict=True)
        ]
        out_nonzeros.extend(type(t) is not Zero for t in out_tangents)
        return [*outs, *(t for t in out_tangents if type(t) is not Zero)]

    in_avals = closed.in_avals
    tangent_avals = [a.to_tangent_aval() for a, nonzero in zip(in_avals, nonzeros, strict=True) if nonzero]
    result = trace_to_jaxpr(
        value_and_tangents, [*in_avals, *tangent_avals], debug_info=closed.jaxpr.debug_info
    )
    closed.memo[key] = (result, out_nonzeros)
    return result, out_nonzeros


def call_jvp(
    bind: Callable[..., list[Any]], closed: ClosedJaxpr, primals: Any, tangents: Any, params: dict[str, Any]
) -> tuple[list[Any], list[Any]]:
    """The jvp rule of a primitive that calls a program: it calls the program of values and tangents.

    Args:
      bind: `bind(program, operands, params)` applies the primitive to a program derived from `closed`.
      closed: the program.
      primals, tangents: operands and their tangents, which may be symbolic zeros.
      params: the primitive's other parameters.
    """
    given = [t for t in tangents if type(t) is not Zero]
    derived, nonzeros = jvp_jaxpr(closed, [type(t) is not Zero for t in tangents])
    results = bind(derived, [*primals, *given], params)
    outs = results[: len(nonzeros)]
    return outs, tangents_by_flags(outs, nonzeros, results[len(nonzeros) :])
