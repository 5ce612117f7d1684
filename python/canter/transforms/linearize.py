"""Linearization: one run of a function leaves its values and a tape of its tangents' program.

Primitives' jvp rules run once, with the tape as the current trace. An operation that touches a
tangent is recorded on the tape; any other goes to the parent trace. So the values are computed (or
traced) exactly once, and what the tape captures from outside are the residuals.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ..core import config
from ..core.avals import get_aval
from ..core.jaxpr import ClosedJaxpr, DebugInfo, eval_jaxpr
from ..core.primitive import Primitive
from ..core.trace import eval_trace, references, state, swap_trace
from ..core.tracing import JaxprTrace, JaxprTracer, pvary_p, trace_to_jaxpr
from .batching import axes_of_batches
from .jvp import JVPTrace, JVPTracer, split_outputs
from .partial_evaluation import call_equation, dce_jaxpr, known_results, without_debugging
from .rules import instantiate_zeros
from .zeros import Zero

__all__ = ["Linearized", "LinearizedJaxpr", "Tape", "linearize_flat", "linearize_jaxpr"]


class Tape(JaxprTrace):
    """Records operations on tangents; hands all others to its parent.

    Attributes:
      parent: the trace of the values.
      splits: False while a rule is running that has itself split a call in a known and a linear one.
    """

    __slots__ = ("parent", "splits")
    is_tape = True
    linearize_eagerly: ClassVar[Any]  # filled by the module of that name

    def __init__(self, parent: Any, debug_info: DebugInfo | None = None):
        super().__init__(debug_info)
        self.parent = parent
        self.splits = True

    def touches(self, args: Sequence[Any]) -> bool:
        """True when one of the values is on this tape."""
        return any(type(arg) is JaxprTracer and arg._trace is self for arg in args)

    def process(self, primitive: Primitive, args: Any, params: dict[str, Any]) -> Any:
        for arg in args:
            if type(arg) is JaxprTracer and arg._trace is self:
                if primitive.call_primitive and self.splits and primitive.dce_rule is not None:
                    return self.process_call(primitive, args, params)
                return JaxprTrace.process(self, primitive, args, params)
        parent = self.parent
        previous = swap_trace(parent)
        try:
            return parent.process(primitive, args, params)
        finally:
            swap_trace(previous)

    def cast_to_varying(self, atom: Any, aval: Any, axes: tuple[Any, ...]) -> Any:
        # A value from outside is cast there: whatever is on the tape is linear.
        for var, value in self.constants.values():
            if var is atom:
                return self.to_atom(self.process(pvary_p, [value], {"axes": axes}))
        return super().cast_to_varying(atom, aval, axes)

    def process_call(self, primitive: Primitive, args: Any, params: dict[str, Any]) -> Any:
        """Applies a primitive with inner programs; results that depend on no tangent stay off the tape.

        A rule may call a compiled function, or a loop, on primals and tangents together. If its values
        were recorded with its tangents, what follows would not be linear.
        """
        assert primitive.dce_rule is not None
        touched = [type(arg) is JaxprTracer and arg._trace is self for arg in args]
        known = known_results(primitive, params, [get_aval(arg) for arg in args], touched)
        if not any(known):
            return JaxprTrace.process(self, primitive, args, params)
        results: list[Any] = [None] * len(known)
        record = functools.partial(JaxprTrace.process, self)
        avals = [get_aval(arg) for arg in args]
        quiet = without_debugging(params)
        # Values are printed with the known part, if they are known: the tape may run never, or often.
        needed, _ = primitive.dce_rule(known, call_equation(primitive, params, avals))
        loud = not any(need and touch for need, touch in zip(needed, touched, strict=True))
        parts = ((known, self.process, params if loud else quiet), ([not k for k in known], record, quiet))
        for wanted, process, params in parts:
            eqn = call_equation(primitive, params, avals)
            values = dict(zip(eqn.invars, args, strict=True))
            places = {var: i for i, var in enumerate(eqn.outvars)}
            _, shorter = primitive.dce_rule(wanted, eqn)
            if shorter is None:
                continue
            outs = process(primitive, [values[v] for v in shorter.invars], shorter.params)
            for var, out in zip(shorter.outvars, outs, strict=True):
                if wanted[places[var]]:
                    results[places[var]] = out
        return results

    def process_custom_jvp(self, primitive: Any, fun: Any, jvp: Any, args: Any, params: Any) -> Any:
        if self.touches(args):
            return fun(*args)
        previous = swap_trace(self.parent)
        try:
            return self.parent.process_custom_jvp(primitive, fun, jvp, args, params)
        finally:
            swap_trace(previous)

    def process_custom_vjp(self, primitive: Any, fun: Any, fwd: Any, bwd: Any, args: Any, params: Any) -> Any:
        if self.touches(args):
            return fun(*args)
        previous = swap_trace(self.parent)
        try:
            return self.parent.process_custom_vjp(primitive, fun, fwd, bwd, args, params)
        finally:
            swap_trace(previous)


class Linearized:
    """Values of a function at a point, and its derivative there as a linear program.

    Attributes:
      primals_out: the values.
      out_nonzeros: which of them have a tangent.
      tape: from the tangents of the arguments that have one to those of the results that have one;
        its constants are the residuals.
    """

    __slots__ = ("out_nonzeros", "out_tangent_avals", "primals_out", "tape")

    def __init__(
        self, primals_out: list[Any], out_nonzeros: list[bool], out_tangent_avals: Any, tape: ClosedJaxpr
    ):
        self.primals_out = primals_out
        self.out_nonzeros = out_nonzeros
        self.out_tangent_avals = out_tangent_avals
        self.tape = tape


def linearize_flat(
    fun: Callable[..., Sequence[Any]],
    primals: Sequence[Any],
    nonzeros: Sequence[bool] | None = None,
    *,
    instantiate: Sequence[bool] | bool = False,
    debug_info: DebugInfo | None = None,
    avals: Sequence[Any] | None = None,
) -> Linearized:
    """Linearizes a flat function at a point.

    Args:
      fun: from arrays to a sequence of arrays.
      primals: the point.
      nonzeros: which arguments have a tangent; None means all whose dtype is inexact.
      instantiate: which results are to have a tangent even if it is zero.
      debug_info: names for messages.
      avals: of the point, where they are known.
    """
    parent = state.trace
    tape = Tape(parent, debug_info)
    shortcut = Tape.linearize_eagerly if parent is eval_trace else None
    trace = JVPTrace(tape, linearizing=True, shortcut=shortcut)
    inputs = []
    for i, primal in enumerate(primals):
        if nonzeros is None or nonzeros[i]:
            aval = get_aval(primal) if avals is None else avals[i]
            inputs.append(JVPTracer(trace, primal, tape.new_argument(aval.to_tangent_aval())))
        else:
            inputs.append(primal)
    previous = swap_trace(trace)
    try:
        outs = list(fun(*inputs))
        primals_out, tangents_out = split_outputs(trace, outs)
        if instantiate is not False:
            wanted = (True,) * len(outs) if instantiate is True else instantiate
            swap_trace(tape)
            tangents_out = [
                instantiate_zeros(t) if w else t for t, w in zip(tangents_out, wanted, strict=True)
            ]
    finally:
        trace.alive = False
        tape.alive = False
        swap_trace(previous)
    out_nonzeros = [type(t) is not Zero for t in tangents_out]
    out_avals = [t.aval if type(t) is Zero else get_aval(t) for t in tangents_out]
    outvars = [tape.to_atom(t) for t in tangents_out if type(t) is not Zero]
    if config.check_tracer_leaks.value:
        from ..core.leaks import check_leaks

        del inputs, outs
        check_leaks(
            trace, "the function being differentiated" if debug_info is None else debug_info.func_name
        )
    program = tape.finish(outvars)
    if references.in_use and program.effects:
        program = references.discharge_local(program)
    return Linearized(primals_out, out_nonzeros, out_avals, program)


class LinearizedJaxpr:
    """A jaxpr split in a known and a linear part.

    Attributes:
      known: from the arguments to (results, residuals).
      linear: from (residuals, tangents of the arguments that have one) to the tangents of the
        results that have one.
      residual_sources: for each residual ("in", i) when it is the i-th argument, ("out", i) when it
        is the i-th result, else ("new", i), the i-th extra result of `known`.
      out_nonzeros: which results have a tangent.
    """

    __slots__ = ("known", "linear", "num_new", "out_nonzeros", "residual_sources")

    def __init__(self, known: Any, linear: Any, residual_sources: Any, out_nonzeros: Any, num_new: int):
        self.known = known
        self.linear = linear
        self.residual_sources = residual_sources
        self.out_nonzeros = out_nonzeros
        self.num_new = num_new

    def residuals(self, args: Sequence[Any], known_results: Sequence[Any]) -> list[Any]:
        """The residuals' values, from the arguments and the results of `known`."""
        num_outs = len(known_results) - self.num_new
        offsets = {"in": (args, 0), "out": (known_results, 0), "new": (known_results, num_outs)}
        return [offsets[kind][0][offsets[kind][1] + i] for kind, i in self.residual_sources]


def linearize_jaxpr(
    closed: ClosedJaxpr, nonzeros: Sequence[bool], instantiate: Sequence[bool] | bool = False
) -> LinearizedJaxpr:
    """Splits a jaxpr in a part that computes values and residuals, and a linear part.

    Args:
      closed: the program.
      nonzeros: which arguments have a tangent.
      instantiate: which results are to have a tangent even if it is zero.
    """
    wanted = instantiate if isinstance(instantiate, bool) else tuple(instantiate)
    key = ("linearize", tuple(nonzeros), wanted, axes_of_batches())
    known = closed.memo.get(key)
    if known is None:
        known = closed.memo[key] = _linearize_jaxpr(closed, nonzeros, instantiate)
    return known


def _linearize_jaxpr(closed: ClosedJaxpr, nonzeros: Any, instantiate: Any) -> LinearizedJaxpr:
    found: list[Any] = []

    def values_and_residuals(*args: Any) -> list[Any]:
        linearized = linearize_flat(
            lambda *xs: eval_jaxpr(closed.jaxpr, closed.consts, *xs),
            args,
            nonzeros,
            instantiate=instantiate,
            debug_info=closed.jaxpr.debug_info,
        )
        places: dict[int, tuple[str, int]] = {}
        for i, out in enumerate(linearized.primals_out):
            places.setdefault(id(out), ("out", i))
        for i, arg in enumerate(args):
            places[id(arg)] = ("in", i)
        sources: list[tuple[str, int]] = []
        new: list[Any] = []
        for residual in linearized.tape.consts:
            place = places.get(id(residual))
            if place is None:
                place = places[id(residual)] = ("new", len(new))
                new.append(residual)
            sources.append(place)
        found.append((linearized, sources, len(new)))
        return [*linearized.primals_out, *new]

    known = trace_to_jaxpr(
        values_and_residuals, closed.in_avals, debug_info=closed.jaxpr.debug_info, may_keep_tracers=True
    )
    linearized, sources, num_new = found[0]
    known = ClosedJaxpr(
        dce_jaxpr(known.jaxpr, [True] * len(known.jaxpr.outvars), keep_inputs=True)[0], known.consts
    )
    tape = linearized.tape.jaxpr
    linear = ClosedJaxpr(tape.replace(constvars=[], invars=[*tape.constvars, *tape.invars]), [])
    return LinearizedJaxpr(known, linear, sources, linearized.out_nonzeros, num_new)
