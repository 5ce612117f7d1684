"""Tracing a Python function into a jaxpr.

`JaxprTrace` records each primitive application as an equation. Shapes and dtypes of the results
come from the primitive's rule, memoised on the avals of the operands and the parameters.
"""

from __future__ import annotations

import gc
import importlib
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from canter_pjrt.jaxlib_door import Traceback

from . import config
from .avals import ShapedArray, get_aval, python_scalar_aval
from .effects import no_effects
from .high import MutableAval, high_effects
from .jaxpr import ClosedJaxpr, DebugInfo, Jaxpr, JaxprEqn, Literal, SourceInfo, Var
from .mesh import current_context, explicit_mesh
from .primitive import Primitive
from .trace import Trace, Tracer, escaped_tracer_error, references, state, swap_trace

__all__ = [
    "JaxprTrace",
    "JaxprTracer",
    "LoweringTrace",
    "MutableTracer",
    "argument_aval",
    "current_state",
    "infer_avals",
    "pvary_p",
    "paused_garbage_collection",
    "trace_to_jaxpr",
]

_ABSTRACT_CACHE_LIMIT = 8192
_PYTHON_SCALARS = frozenset((float, int, bool, complex))
_get_traceback = Traceback.get_traceback


def infer_avals(primitive: Primitive, avals: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
    """Result avals (one, or a list for several results) and effects of a primitive application.

    Raises:
      NotImplementedError: the primitive has no shape rule.
    """
    if primitive.call_primitive:  # inner programs differ from call to call, and know their own avals
        return _apply_abstract_rule(primitive, avals, params)
    key = (avals, *params.items()) if params else avals
    cache = primitive.abstract_cache
    try:
        known = cache.get(key)
    except TypeError:  # a parameter that cannot be hashed
        return _apply_abstract_rule(primitive, avals, params)
    if known is None:
        known = _apply_abstract_rule(primitive, avals, params)
        if any(map(_layout_of, avals)) and current_context().lenient:
            return known  # elsewhere it might be an error
        if len(cache) >= _ABSTRACT_CACHE_LIMIT:
            cache.clear()
        cache[key] = known
    return known


def _apply_abstract_rule(primitive: Primitive, avals: Any, params: dict[str, Any]) -> tuple[Any, Any]:
    rule = primitive.abstract_rule
    if rule is None:
        raise NotImplementedError(
            f"Primitive '{primitive.name}' has no shape rule, so it cannot be traced. "
            f"Declare one with `{primitive.name}.def_abstract_eval(rule)`."
        )
    if _asks_for_layout(avals, params) and not primitive.call_primitive:
        # The rules of layouts are many, and few programs need them.
        with_layouts = importlib.import_module("canter.lax.explicit").infer
        result = with_layouts(primitive, avals, params)
    else:
        result = rule(*avals, **params)
    out, effects = result if primitive.effectful else (result, no_effects)
    if not primitive.call_primitive and any(map(_memory_of, avals)):
        # Nearly all programs work in one memory.
        out = importlib.import_module("canter.lax.memories").with_memories(primitive, avals, out)
    if primitive.call_primitive or (primitive.varying_rule is None and not any(map(_vma_of, avals))):
        return out, effects
    return _with_varying(primitive, avals, params, out), effects


_vma_of = operator.attrgetter("vma")
_layout_of = operator.attrgetter("layout")
_memory_of = operator.attrgetter("memory")


def _asks_for_layout(avals: Any, params: dict[str, Any]) -> bool:
    """Whether explicit mesh axes split an operand, or are to split a result."""
    if any(map(_layout_of, avals)):
        return True
    asked = params.get("out_sharding") or params.get("sharding")
    return asked is not None and explicit_mesh() is not None


def _with_varying(primitive: Primitive, avals: Any, params: dict[str, Any], out: Any) -> Any:
    """Result avals that say along which manual axes they vary; None where the operands disagree."""
    # A reference takes and gives values of any kind: what varies is known once it is discharged.
    own = [aval.vma for aval in avals if isinstance(aval, ShapedArray)] or [frozenset()]
    rule = primitive.varying_rule
    if rule is None:
        if any(vma != own[0] for vma in own):
            return None
        vma = own[0]
    else:
        vma = rule(own, **params)
        if vma is None:  # the shape rule says it
            return out
    if primitive.multiple_results:
        return [aval.update(vma=vma) if isinstance(aval, ShapedArray) else aval for aval in out]
    return out.update(vma=vma) if isinstance(out, ShapedArray) else out


def current_source() -> SourceInfo:
    """Where the program being traced stands now."""
    return tuple.__new__(SourceInfo, (state.traceback or _get_traceback(), state.name_stack))


# Declares that a value varies along manual axes; its other rules are those of collectives, in canter.lax.
pvary_p = Primitive("pvary")
pvary_p.def_abstract_eval(lambda x, *, axes: x)
pvary_p.varying_rule = lambda own, *, axes: own[0] | frozenset(axes)


class JaxprTracer(Tracer):
    """The result of an equation being recorded, or an argument."""

    __slots__ = ("_var",)  # not `var`, which is a method of arrays

    def __init__(self, trace: JaxprTrace, aval: Any, var: Var):
        self._trace = trace
        self.aval = aval
        self._var = var

    def _describe(self) -> str:
        return f" while tracing {self._trace.debug_info.func_name}"


class JaxprTrace(Trace):
    """Records equations."""

    __slots__ = ("__weakref__", "alive", "constants", "debug_info", "effects", "eqns", "invars", "outer")

    def __init__(self, debug_info: DebugInfo | None = None):
        self.alive = True
        self.eqns: list[JaxprEqn] = []
        self.invars: list[Var] = []
        # id of a captured value -> (its variable, the value, which is kept alive so that the id stays its own)
        self.constants: dict[int, tuple[Var, Any]] = {}
        self.effects: Any = no_effects
        self.debug_info = debug_info or DebugInfo()
        self.outer: Any = None  # the trace outside, where there are mutable values whose states it may know

    def is_alive(self) -> bool:
        return self.alive

    def new_argument(self, aval: Any) -> JaxprTracer:
        """A tracer for a new argument of the jaxpr."""
        mutable = references.in_use and type(aval) is MutableAval
        var = Var(aval.fresh() if mutable else aval)
        self.invars.append(var)
        return MutableTracer(self, var) if mutable else JaxprTracer(self, aval, var)

    def process(self, primitive: Primitive, args: Any, params: dict[str, Any]) -> Any:
        if not self.alive:
            raise RuntimeError(f"The trace of {self.debug_info.func_name} has ended.")
        invars: list[Any] = []
        avals = []
        for arg in args:
            if type(arg) is JaxprTracer and arg._trace is self:
                invars.append(arg._var)
                avals.append(arg.aval)
            else:
                atom = self.to_atom(arg)
                invars.append(atom)
                avals.append(atom.aval)
        return self.record(primitive, invars, tuple(avals), params)

    def record(
        self, primitive: Primitive, invars: list[Any], avals: tuple[Any, ...], params: dict[str, Any]
    ) -> Any:
        """Appends one equation and returns the tracers of its results."""
        out, effects = infer_avals(primitive, avals, params)
        if out is None:
            invars, avals = self._made_varying(invars, avals)
            out, effects = infer_avals(primitive, avals, params)
        source = current_source()
        if effects:
            self.effects = self.effects | effects
            if references.in_use and not high_effects.isdisjoint(effects):
                return self._record_high(primitive, invars, avals, params, out, effects, source)
        if primitive.multiple_results:
            tracers = [JaxprTracer(self, aval, Var(aval)) for aval in out]
            outvars = [tracer._var for tracer in tracers]
            self.eqns.append(JaxprEqn(invars, outvars, primitive, params, effects, source))
            return tracers
        var = Var(out)
        self.eqns.append(JaxprEqn(invars, [var], primitive, params, effects, source))
        return JaxprTracer(self, out, var)

    def _record_high(
        self, primitive: Primitive, invars: Any, avals: Any, params: Any, out: Any, effects: Any, source: Any
    ) -> Any:
        """`record` where values of high types may be operands or results, whose states may change."""
        if primitive.call_primitive and any(type(aval) is MutableAval for aval in avals):
            references.change_states(primitive, avals, params)
        outs = out if primitive.multiple_results else [out]
        outvars = [Var(aval) for aval in outs]
        self.eqns.append(JaxprEqn(invars, outvars, primitive, params, effects, source))
        results = list(map(self.value_of, outvars))
        return results if primitive.multiple_results else results[0]

    def _made_varying(self, invars: list[Any], avals: tuple[Any, ...]) -> tuple[list[Any], tuple[Any, ...]]:
        """Operands that all vary along the manual axes along which any of them does.

        The cast is an equation, because it is the transpose of a sum over the axes. Literals need none.
        """
        union = frozenset().union(*(aval.vma for aval in avals))
        atoms = list(invars)
        for position, (atom, aval) in enumerate(zip(invars, avals, strict=True)):
            missing = union - aval.vma
            if missing and type(atom) is not Literal and isinstance(aval, ShapedArray):
                if not config.auto_pcast.value:
                    raise ValueError(
                        "Operands must vary along the same manual mesh axes, but they vary along "
                        f"{[sorted(map(str, aval.vma)) for aval in avals]}. Cast them with "
                        "canter.lax.pcast(x, axis_name, to='varying'), or set the flag auto_pcast."
                    )
                axes = tuple(sorted(missing, key=str))
                atoms[position] = self.cast_to_varying(atom, aval, axes)
        return atoms, tuple(
            aval.update(vma=union) if isinstance(aval, ShapedArray) else aval for aval in avals
        )

    def cast_to_varying(self, atom: Any, aval: Any, axes: tuple[Any, ...]) -> Any:
        """The variable of a value declared to vary along manual axes."""
        return self.record(pvary_p, [atom], (aval,), {"axes": axes})._var

    def to_atom(self, value: Any) -> Any:
        """The variable or literal by which an equation refers to a value."""
        kind = type(value)
        if kind in _PYTHON_SCALARS:
            return Literal(value, python_scalar_aval(value))
        if isinstance(value, Tracer):
            if value._trace is self:
                return value._var  # type: ignore[attr-defined]
            if not value._trace.is_alive():
                raise escaped_tracer_error(value)
        known = self.constants.get(id(value))
        if known is not None:
            return known[0]
        aval = get_aval(value)
        if isinstance(value, (np.generic, np.ndarray)):
            if value.dtype != aval.dtype:
                value = np.asarray(value, aval.dtype)
            if not aval.shape:
                return Literal(value, aval)
        elif hasattr(kind, "__jax_array__") and isinstance(aval, ShapedArray):
            return self.to_atom(value.__jax_array__())
        elif isinstance(value, (int, float, complex)):
            return Literal(value, aval)
        return self.capture(value, aval)

    def value_of(self, atom: Any) -> Any:
        """The tracer of a variable, or a literal's value: the inverse of `to_atom`."""
        if type(atom) is Literal:
            return atom.val
        return (
            MutableTracer(self, atom)
            if type(atom.aval) is MutableAval
            else JaxprTracer(self, atom.aval, atom)
        )

    def capture(self, value: Any, aval: Any) -> Var:
        """A constant variable for a value from outside."""
        var = Var(argument_aval(value) if references.in_use else aval)
        self.constants[id(value)] = (var, value)
        return var

    def process_custom_jvp(self, primitive: Any, fun: Any, jvp: Any, args: Any, params: Any) -> Any:
        return primitive.record(self, fun, jvp, args, params)

    def process_custom_vjp(self, primitive: Any, fun: Any, fwd: Any, bwd: Any, args: Any, params: Any) -> Any:
        return primitive.record(self, fun, fwd, bwd, args, params)

    def finish(self, outvars: list[Any]) -> ClosedJaxpr:
        """Ends the trace: the jaxpr of everything recorded, closed over what it captured."""
        self.alive = False
        constvars = [var for var, _ in self.constants.values()]
        constants = [value for _, value in self.constants.values()]
        jaxpr = Jaxpr(constvars, self.invars, outvars, self.eqns, self.effects, self.debug_info)
        closed = ClosedJaxpr(jaxpr, constants)
        if config.enable_checks.value:
            from .checker import check_jaxpr

            check_jaxpr(closed)
        return closed


class MutableTracer(JaxprTracer):
    """An argument, or the result of an equation, that is a value of a mutable high type."""

    __slots__ = ()

    def __init__(self, trace: JaxprTrace, var: Var):
        super().__init__(trace, var.aval.aval, var)


class LoweringTrace(JaxprTrace):
    """Records what primitives on values of high types do with the arrays these consist of."""

    __slots__ = ()

    def process(self, primitive: Primitive, args: Any, params: dict[str, Any]) -> Any:
        if primitive.call_primitive and references.concern_when_run(primitive, args, params):
            return references.run(primitive, args, params)
        to_lojax = getattr(primitive, "to_lojax", None)
        return super().process(primitive, args, params) if to_lojax is None else to_lojax(*args, **params)


def argument_aval(value: Any) -> Any:
    """The aval of a value that a program takes or captures: of a mutable one it includes the state it is in now."""
    aval = get_aval(value)
    if not getattr(aval, "has_qdd", False):
        return aval
    return MutableAval(aval, current_state(value))


def current_state(value: Any) -> Any:
    """The state that a value of a mutable high type has at this point of the program that is traced.

    Args:
      value: a value or tracer.

    Returns:
      Its state, or None if its type has none.
    """
    if not getattr(get_aval(value), "has_qdd", False):
        return None
    while isinstance(value, Tracer) and hasattr(
        type(value), "primal"
    ):  # the state is that of the value, whatever its tangent
        value = value.primal  # type: ignore[attr-defined]
    trace = state.trace
    while trace is not None and not isinstance(trace, LoweringTrace):
        if isinstance(trace, JaxprTrace):
            known = trace.constants.get(id(value))
            if known is not None:
                return known[0].aval.state.cur_val
            if isinstance(value, MutableTracer) and value._trace is trace:
                return value._var.aval.state.cur_val
        trace = getattr(trace, "parent", None) or getattr(trace, "outer", None)
    if isinstance(value, MutableTracer):
        return value._var.aval.state.cur_val
    if not hasattr(type(value), "cur_qdd"):
        raise NotImplementedError(
            f"{type(value).__name__} does not define cur_qdd: a value of the mutable high type "
            f"{get_aval(value).str_short()} must say what state it is in."
        )
    return value.cur_qdd()


def trace_to_jaxpr(
    fun: Callable[..., Sequence[Any]],
    in_avals: Sequence[ShapedArray],
    *,
    name: str = "<unknown>",
    debug_info: DebugInfo | None = None,
    may_keep_tracers: bool = False,
    trace_type: type[JaxprTrace] = JaxprTrace,
) -> ClosedJaxpr:
    """Traces a flat function into a jaxpr.

    Args:
      fun: takes one tracer an aval, returns a sequence of arrays.
      in_avals: avals of the arguments.
      name: the function's name, for messages.
      debug_info: instead of `name`, all that is known for messages.
      may_keep_tracers: whether `fun` may store tracers outside, so that they are no leak.
      trace_type: the class of the trace.

    Returns:
      The jaxpr, closed over every array that `fun` captured; among these constants are tracers of
      enclosing transformations, if it captured any.

    Example:
      >>> from canter.core.tracing import trace_to_jaxpr
      >>> from canter.core.avals import ShapedArray
      >>> from canter import lax
      >>> trace_to_jaxpr(lambda x: [lax.sin(x)], [ShapedArray((3,), "float32")])
      { lambda ; a:f32[3]. let b:f32[3] = sin a in (b,) }
    """
    trace = trace_type(debug_info or DebugInfo(func_src_info=name))
    if references.in_use:
        trace.outer = state.trace
    tracers = [trace.new_argument(aval) for aval in in_avals]
    previous = swap_trace(trace)
    try:
        with paused_garbage_collection():
            outvars = [trace.to_atom(out) for out in fun(*tracers)]
            if references.in_use:
                references.check_results(trace, outvars)
    finally:
        trace.alive = False
        trace.outer = None
        swap_trace(previous)
    if config.check_tracer_leaks.value and not may_keep_tracers:
        from .leaks import check_leaks

        del tracers
        check_leaks(trace, trace.debug_info.func_name)
    return trace.finish(outvars)


class paused_garbage_collection:
    """Keeps the cyclic garbage collector from running while many long-lived objects are made.

    Tracing and lowering make objects that live as long as the program; looking through them again
    and again would make the time per equation grow with the length of the program.
    """

    __slots__ = ("_resume",)

    def __enter__(self) -> None:
        self._resume = gc.isenabled()
        if self._resume:
            gc.disable()

    def __exit__(self, *exc_info: Any) -> None:
        if self._resume:
            gc.enable()
