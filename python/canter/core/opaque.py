"""The state of tracing as libraries look at it: what is being traced, and which axes are mapped."""

from __future__ import annotations

import weakref
from typing import Any

from .trace import Trace, axis_environment, current_trace, eval_trace, state, swap_trace

__all__ = [
    "OpaqueTraceState",
    "TraceTag",
    "eval_context",
    "find_top_trace",
    "get_opaque_trace_state",
    "nonempty_axis_env_DO_NOT_USE",
    "set_current_trace",
    "take_current_trace",
    "unsafe_am_i_under_a_jit_DO_NOT_USE",
    "unsafe_am_i_under_a_vmap_DO_NOT_USE",
    "unsafe_get_axis_names_DO_NOT_USE",
]


class OpaqueTraceState:
    """Which trace is the current one. Two are equal when it is the same; it keeps no trace alive.

    Example:
      >>> from canter.extend.core import get_opaque_trace_state
      >>> get_opaque_trace_state() == get_opaque_trace_state()
      True
    """

    __slots__ = ("_trace",)

    def __init__(self, trace: Any):
        try:
            self._trace: Any = weakref.ref(trace)
        except TypeError:  # a trace that cannot be referred to weakly
            self._trace = lambda: trace

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OpaqueTraceState):
            return False
        trace = self._trace()
        return trace is not None and trace is other._trace()

    __hash__ = None  # type: ignore[assignment]


def get_opaque_trace_state(convention: str | None = None) -> OpaqueTraceState:
    """An object that tells whether code runs under the same transformations as when it was made.

    Args:
      convention: who asks: "flax", "nnx", "haiku" or None; all are told the same.
    """
    return OpaqueTraceState(current_trace())


class TraceTag:
    """Tells the tracers of one transformation from those of others, for traces written outside."""


class set_current_trace:
    """Makes a trace the current one within the context.

    Args:
      trace: the trace.
      check_leaks: whether its tracers must be gone when the context ends.

    Raises:
      TracerLeakError: a tracer outlives the context, and `check_leaks` is set.
    """

    def __init__(self, trace: Trace | None, check_leaks: bool = False):
        self.trace = trace
        self.check_leaks = check_leaks
        self.prev: Any = None

    def __enter__(self) -> None:
        self.prev = swap_trace(self.trace)

    def __exit__(self, *exc_info: Any) -> None:
        swap_trace(self.prev)
        if self.check_leaks and exc_info[0] is None:
            from .leaks import check_leaks

            trace, self.trace = self.trace, None
            check_leaks(trace, "the context of set_current_trace")


class take_current_trace:
    """Gives the current trace; within the context there is none, and nothing can be computed."""

    def __init__(self) -> None:
        self.prev: Any = None

    def __enter__(self) -> Any:
        self.prev = swap_trace(None)
        return self.prev

    def __exit__(self, *exc_info: Any) -> None:
        swap_trace(self.prev)


class eval_context(set_current_trace):
    """Within the context, primitives are evaluated at once, whatever is being traced."""

    def __init__(self) -> None:
        super().__init__(eval_trace)


def find_top_trace(values: Any) -> Any:
    """The trace that processes what is applied to values: the current one."""
    del values
    return current_trace()


def unsafe_get_axis_names_DO_NOT_USE() -> list[Any]:
    """The names of the mapped axes in scope."""
    return list(axis_environment())


def nonempty_axis_env_DO_NOT_USE() -> bool:
    """Whether a mapped axis is in scope."""
    return bool(state.axes)


def _traces() -> Any:
    """The current trace and those beneath it."""
    trace = state.trace
    while trace is not None:
        yield trace
        trace = getattr(trace, "parent", None)


def unsafe_am_i_under_a_jit_DO_NOT_USE() -> bool:
    """Whether a function is being traced into a program."""
    from .tracing import JaxprTrace

    return any(isinstance(trace, JaxprTrace) and not trace.is_tape for trace in _traces())


def unsafe_am_i_under_a_vmap_DO_NOT_USE() -> bool:
    """Whether a function is being vectorized."""
    return any(getattr(trace, "is_batch", False) for trace in _traces())
