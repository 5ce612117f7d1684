"""Traces and tracers: who interprets a primitive application.

A trace is an object that processes one primitive application. The current one is thread-local and
every `bind` goes to it. A trace that transforms (jvp, vmap) runs a primitive's rule with its parent
as the current trace, so that rules are ordinary functions of array code.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from canter_pjrt.jaxlib_door import set_tracer_class

from . import config
from .avals import ShapedArray, get_aval, register_aval

if TYPE_CHECKING:
    from .primitive import Primitive

__all__ = [
    "EvalTrace",
    "Trace",
    "Tracer",
    "axis_environment",
    "concrete_or_error",
    "current_trace",
    "ensure_compile_time_eval",
    "escaped_tracer_error",
    "eval_trace",
    "extend_axis_environment",
    "references",
    "is_concrete",
    "is_eager",
    "set_current_trace",
    "state",
    "swap_trace",
    "trace_state_clean",
]


class References:
    """Whether there are mutable references; `canter.transforms.discharge` fills in what is done about them.

    Attributes:
      in_use: False as long as nobody has made one, so that nothing has to look for them.
      concern: (primitive, args, params) -> whether a primitive with inner programs handles references.
      apply: (primitive, args, params) -> its results, by a program that handles values instead.
      change_states: (primitive, avals, params): says what states mutable operands of a primitive with inner programs
        have after it.
      concern_when_run, run: the same for evaluation, which also lowers values of high types.
      check_results: (trace, variables of its results) raises where one is a reference.
      check_arguments: (leaves, names, captured constants, where) raises where one reference comes twice.
      discharge_local: closed jaxpr -> the same without the references that it makes for itself.
    """

    in_use = False
    concern: Callable[..., bool]
    apply: Callable[..., Any]
    change_states: Callable[..., None]
    concern_when_run: Callable[..., bool]
    run: Callable[..., Any]
    check_arguments: Callable[..., None]
    check_results: Callable[..., None]
    discharge_local: Callable[..., Any]


references = References()


class Trace:
    """Base class: interprets primitive applications."""

    __slots__ = ()

    is_tape = False  # whether it records tangents only: transforms.linearize
    is_batch = False  # whether it vectorizes: transforms.batching

    @property
    def main(self) -> Any:
        """What tells levels of tracing apart: the trace itself, as there is one for each."""
        return self

    def process(self, primitive: Primitive, args: Any, params: dict[str, Any]) -> Any:
        """Applies one primitive to arguments, which may be values or tracers of any trace."""
        return self.process_primitive(primitive, args, params)

    def process_primitive(self, primitive: Primitive, args: Any, params: dict[str, Any]) -> Any:
        """The method that traces from outside define; the same as `process`."""
        if type(self).process is Trace.process:
            raise NotImplementedError(f"{type(self).__name__} must define process_primitive.")
        return self.process(primitive, args, params)

    def process_custom_jvp(self, primitive: Any, fun: Any, jvp: Any, args: Any, params: Any) -> Any:
        """Applies a function that has a forward-mode rule of its own; a trace from outside forgets the rule."""
        return fun(*args)

    def process_custom_vjp(self, primitive: Any, fun: Any, fwd: Any, bwd: Any, args: Any, params: Any) -> Any:
        """Applies a function that has a reverse-mode rule of its own; a trace from outside forgets the rule."""
        return fun(*args)

    def is_alive(self) -> bool:
        """False once the function that was being traced has returned."""
        return True


class EvalTrace(Trace):
    """Evaluates primitives on concrete values.

    Attributes:
      evaluate: primitive, args, params -> result; installed by the runtime.
      compiled: closed jaxpr, name -> function of its arguments that gives its results; likewise.
    """

    __slots__ = ("compiled", "evaluate")

    compiled: Callable[..., Any]
    evaluate: Callable[..., Any]

    def process(self, primitive: Primitive, args: Any, params: dict[str, Any]) -> Any:
        if (
            references.in_use
            and primitive.call_primitive
            and references.concern_when_run(primitive, args, params)
        ):
            return references.run(primitive, args, params)
        impl = primitive.impl
        if impl is not None:
            return impl(*args, **params)
        return self.evaluate(primitive, args, params)

    def process_custom_jvp(self, primitive: Any, fun: Any, jvp: Any, args: Any, params: Any) -> Any:
        return fun(*args)

    def process_custom_vjp(self, primitive: Any, fun: Any, fwd: Any, bwd: Any, args: Any, params: Any) -> Any:
        return fun(*args)


def _no_evaluator(primitive: Primitive, args: Any, params: dict[str, Any]) -> Any:
    # The runtime stands on a higher floor and installs itself here when first imported.
    import importlib

    importlib.import_module("canter.runtime.dispatch")
    return eval_trace.evaluate(primitive, args, params)


def _no_compiler(closed: Any, name: str) -> Any:
    import importlib

    importlib.import_module("canter.runtime.dispatch")
    return eval_trace.compiled(closed, name)


eval_trace = EvalTrace()
eval_trace.evaluate = _no_evaluator
eval_trace.compiled = _no_compiler


class _State(threading.local):
    """What tracing keeps per thread."""

    trace: Any = eval_trace
    name_stack: tuple[Any, ...] = ()
    traceback: Any = None  # where equations come from, if not from the present stack
    axes: Any = None  # dict of axis name -> size, replaced as a whole, never changed in place


state = _State()


def current_trace() -> Any:
    """The trace that `bind` goes to."""
    return state.trace


def is_eager() -> bool:
    """True when no transformation is active: primitives are evaluated at once."""
    return state.trace is eval_trace


def trace_state_clean() -> bool:
    """True when no transformation is active in this thread."""
    return state.trace is eval_trace


def swap_trace(trace: Any, _set_tracing: Any = config.tracing_state.set_local) -> Any:
    """Makes a trace the current one and returns the previous one; the caller must swap it back."""
    previous = state.trace
    if previous is not trace:
        state.trace = trace
        # C++ dispatch must take its slow path while a trace is active: its key has this flag.
        if previous is eval_trace:
            _set_tracing(True)
        elif trace is eval_trace:
            _set_tracing(False)
    return previous


@contextmanager
def set_current_trace(trace: Any) -> Iterator[None]:
    """`swap_trace` as a context manager, for code where speed does not matter."""
    previous = swap_trace(trace)
    try:
        yield
    finally:
        swap_trace(previous)


class FoldingTrace(Trace):
    """Evaluates what depends on no tracer; the rest is for the trace that is active outside."""

    __slots__ = ("outer",)

    def __init__(self, outer: Any):
        self.outer = outer

    def _pass_on(self, method: str, args: Sequence[Any], *call: Any) -> Any:
        trace = self.outer if any(isinstance(x, Tracer) for x in args) else eval_trace
        previous = swap_trace(trace)
        try:
            return getattr(trace, method)(*call)
        finally:
            swap_trace(previous)

    def process(self, primitive: Primitive, args: Any, params: dict[str, Any]) -> Any:
        return self._pass_on("process", args, primitive, args, params)

    def process_custom_jvp(self, primitive: Any, fun: Any, jvp: Any, args: Any, params: Any) -> Any:
        return self._pass_on("process_custom_jvp", args, primitive, fun, jvp, args, params)

    def process_custom_vjp(self, primitive: Any, fun: Any, fwd: Any, bwd: Any, args: Any, params: Any) -> Any:
        return self._pass_on("process_custom_vjp", args, primitive, fun, fwd, bwd, args, params)

    def is_alive(self) -> bool:
        return bool(self.outer.is_alive())


@contextmanager
def ensure_compile_time_eval() -> Iterator[None]:
    """Evaluates what is computed inside at once, even while a function is being traced.

    Operations on traced values cannot be evaluated and are traced as outside: their results are tracers, of which
    Python cannot ask the value.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> @ct.jit
      ... def f(x):
      ...     with ct.ensure_compile_time_eval():
      ...         steps = int(cnp.sum(cnp.arange(4)))
      ...     return x * steps
      >>> float(f(2.0))
      12.0
    """
    if state.trace is eval_trace:
        yield
        return
    previous = swap_trace(FoldingTrace(state.trace))
    try:
        yield
    finally:
        swap_trace(previous)


def axis_environment() -> dict[Any, int]:
    """Sizes of the mapped axes in scope, by name."""
    return state.axes or {}


@contextmanager
def extend_axis_environment(name: Any, size: int) -> Iterator[None]:
    """Brings a named axis into scope."""
    previous = state.axes
    state.axes = {**(previous or {}), name: size}
    try:
        yield
    finally:
        state.axes = previous


class Tracer:
    """Stands for an array inside a transformation.

    A tracer has a shape and a dtype but, in general, no value: Python code that needs the value
    (`if x > 0`, `float(x)`, `np.asarray(x)`) raises an error that says what to use instead.
    Operators and array methods are installed by `canter.numpy`.
    """

    __slots__ = ("__weakref__", "_trace", "aval")
    __array_priority__ = 1000

    def __init__(self, trace: Any, aval: Any):
        self._trace = trace
        self.aval = aval

    def __init_subclass__(cls) -> None:
        register_aval(cls, attrgetter("aval"))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.aval.shape

    @property
    def dtype(self) -> Any:
        return self.aval.dtype

    @property
    def ndim(self) -> int:
        return len(self.aval.shape)

    @property
    def size(self) -> int:
        return self.aval.size

    @property
    def weak_type(self) -> bool:
        return self.aval.weak_type

    def _is_traced_array(self) -> bool:
        # Asked by the C++ class behind `isinstance(x, canter.Array)`.
        return isinstance(self.aval, ShapedArray)

    def full_lower(self) -> Any:
        """The tracer itself: traces lower as they go."""
        return self

    def concrete_value(self) -> Any:
        """The value where it is known in spite of the transformation, else None."""
        return None

    def to_concrete_value(self) -> Any:
        """The value where it is known in spite of the transformation, else None."""
        return self.concrete_value()

    def _concrete_or(self, error: str) -> Any:
        value = self.concrete_value()
        if value is not None:
            return value
        from . import errors

        if not self._trace.is_alive():
            raise escaped_tracer_error(self)
        raise getattr(errors, error)(self)

    def __hash__(self) -> int:
        raise TypeError(
            f"An array cannot be a key of a dict or an element of a set: a traced value of type "
            f"{self.aval.str_short()} has no hash. Use id(x) as the key to tell objects apart, or a static value."
        )

    def __bool__(self) -> bool:
        return bool(self._concrete_or("TracerBoolConversionError"))

    def __int__(self) -> int:
        return int(self._concrete_or("ConcretizationTypeError"))

    def __float__(self) -> float:
        return float(self._concrete_or("ConcretizationTypeError"))

    def __complex__(self) -> complex:
        return complex(self._concrete_or("ConcretizationTypeError"))

    def __index__(self) -> int:
        return self._concrete_or("TracerIntegerConversionError").__index__()

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return np.asarray(self._concrete_or("TracerArrayConversionError"), *args, **kwargs)

    def item(self, *args: Any) -> Any:
        """The value as a Python scalar; only where it is known."""
        return self._concrete_or("ConcretizationTypeError").item(*args)

    def tolist(self) -> Any:
        """The value as nested lists; only where it is known."""
        return self._concrete_or("ConcretizationTypeError").tolist()

    def block_until_ready(self) -> Tracer:
        """Returns the tracer itself: there is nothing to wait for."""
        return self

    def copy_to_host_async(self) -> None:
        """Does nothing: there is nothing to copy yet."""

    def __deepcopy__(self, memo: Any) -> Tracer:
        return self

    def __copy__(self) -> Tracer:
        return self

    def __reduce__(self) -> Any:
        return self._concrete_or("ConcretizationTypeError").__reduce__()

    def _describe(self) -> str:
        return ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}<{self.aval.str_short()}>{self._describe()}"

    def __format__(self, spec: str) -> str:
        return (
            format(repr(self), spec)
            if not spec
            else format(self._concrete_or("ConcretizationTypeError"), spec)
        )


register_aval(Tracer, attrgetter("aval"))
set_tracer_class(Tracer)


def is_concrete(value: Any) -> bool:
    """True when a value is known now, although it may be inside a transformation."""
    return not isinstance(value, Tracer) or value.concrete_value() is not None


def concrete_or_error(convert: Callable[[Any], Any] | None, value: Any, context: str = "") -> Any:
    """The concrete value, converted; or ConcretizationTypeError where a tracer has none.

    Args:
      convert: applied to the value, e.g. `int`; None leaves it.
      value: a value or tracer.
      context: a sentence for the error that says what the value was needed for.
    """
    if isinstance(value, Tracer):
        concrete = value.concrete_value()
        if concrete is None:
            from . import errors

            raise errors.ConcretizationTypeError(value, context)
        value = concrete
    return value if convert is None else convert(value)


def escaped_tracer_error(tracer: Tracer) -> Exception:
    """The error for a tracer that is used outside the function it belongs to."""
    from . import errors

    return errors.UnexpectedTracerError(tracer)


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of an array, tracer, or number."""
    return get_aval(value).shape
