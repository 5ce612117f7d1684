"""Named events of a running program, and the listeners that are told of them.

Four kinds of event, told apart by what comes with the name: nothing, a duration, a span of time, a number. Listeners
are called in the order in which they were registered, in the thread in which the event happens.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

__all__ = [
    "clear_event_listeners",
    "record_event",
    "record_event_duration_secs",
    "record_event_time_span",
    "record_scalar",
    "register_event_duration_secs_listener",
    "register_event_listener",
    "register_event_time_span_listener",
    "register_scalar_listener",
    "unregister_event_duration_listener",
    "unregister_event_listener",
    "unregister_event_time_span_listener",
    "unregister_scalar_listener",
]

Listener = Callable[..., None]

_events: list[Listener] = []
_durations: list[Listener] = []
_spans: list[Listener] = []
_scalars: list[Listener] = []
_KINDS = {"event": _events, "duration": _durations, "time span": _spans, "scalar": _scalars}


def record_event(event: str, **kwargs: str | int) -> None:
    """Tells the listeners that something happened.

    Args:
      event: its name, by custom a path such as '/my_library/checkpoint/saved'.
      **kwargs: whatever else they should know.

    Example:
      >>> import canter as ct
      >>> ct.monitoring.register_event_listener(lambda event, **kwargs: print(event, kwargs))
      >>> ct.monitoring.record_event("/app/saved", step=3)
      /app/saved {'step': 3}
      >>> ct.monitoring.clear_event_listeners()
    """
    for listener in tuple(_events):
        listener(event, **kwargs)


def record_event_duration_secs(event: str, duration: float, **kwargs: str | int) -> None:
    """Tells the listeners how many seconds something took.

    Args:
      event: its name.
      duration: seconds.
      **kwargs: whatever else they should know.

    Example:
      >>> import canter as ct
      >>> ct.monitoring.record_event_duration_secs("/app/load", 0.25)
    """
    for listener in tuple(_durations):
        listener(event, duration, **kwargs)


def record_event_time_span(event: str, start_time: float, end_time: float, **kwargs: str | int) -> None:
    """Tells the listeners when something began and ended.

    Args:
      event: its name.
      start_time: seconds since the epoch, as `time.time()` gives them.
      end_time: likewise.
      **kwargs: whatever else they should know.

    Example:
      >>> import canter as ct
      >>> ct.monitoring.record_event_time_span("/app/load", 10.0, 10.25)
    """
    for listener in tuple(_spans):
        listener(event, start_time, end_time, **kwargs)


def record_scalar(event: str, value: float | int, **kwargs: str | int) -> None:
    """Tells the listeners a number.

    Args:
      event: its name.
      value: the number.
      **kwargs: whatever else they should know.

    Example:
      >>> import canter as ct
      >>> ct.monitoring.record_scalar("/app/queue_length", 12)
    """
    for listener in tuple(_scalars):
        listener(event, value, **kwargs)


def register_event_listener(callback: Listener) -> None:
    """Has `callback(event, **kwargs)` called by each `record_event`.

    Example:
      >>> import canter as ct
      >>> seen = []
      >>> listener = lambda event, **kwargs: seen.append(event)
      >>> ct.monitoring.register_event_listener(listener)
      >>> ct.monitoring.record_event("/app/saved")
      >>> ct.monitoring.unregister_event_listener(listener)
      >>> seen
      ['/app/saved']
    """
    _events.append(callback)


def register_event_duration_secs_listener(callback: Listener) -> None:
    """Has `callback(event, duration, **kwargs)` called by each `record_event_duration_secs`.

    Tracing, lowering and compiling are recorded under '/jax/core/compile/jaxpr_trace_duration',
    '…/jaxpr_to_mlir_module_duration' and '…/backend_compile_duration', the names that monitoring systems know.

    Example:
      >>> import canter as ct
      >>> steps = []
      >>> listener = lambda event, duration, **kwargs: steps.append(event.split("/")[-1])
      >>> ct.monitoring.register_event_duration_secs_listener(listener)
      >>> _ = ct.jit(lambda x: x - 7)(1.0)
      >>> ct.monitoring.unregister_event_duration_listener(listener)
      >>> steps
      ['jaxpr_trace_duration', 'jaxpr_to_mlir_module_duration', 'backend_compile_duration']
    """
    _durations.append(callback)


def register_event_time_span_listener(callback: Listener) -> None:
    """Has `callback(event, start_time, end_time, **kwargs)` called by each `record_event_time_span`.

    Example:
      >>> import canter as ct
      >>> ct.monitoring.register_event_time_span_listener(lambda event, start, end, **kwargs: print(end - start))
      >>> ct.monitoring.record_event_time_span("/app/load", 10.0, 10.25)
      0.25
      >>> ct.monitoring.clear_event_listeners()
    """
    _spans.append(callback)


def register_scalar_listener(callback: Listener) -> None:
    """Has `callback(event, value, **kwargs)` called by each `record_scalar`.

    Example:
      >>> import canter as ct
      >>> ct.monitoring.register_scalar_listener(lambda event, value, **kwargs: print(event, value))
      >>> ct.monitoring.record_scalar("/app/queue_length", 12)
      /app/queue_length 12
      >>> ct.monitoring.clear_event_listeners()
    """
    _scalars.append(callback)


def _unregister(kind: str, callback: Listener) -> None:
    """AssertionError, which callers of this interface expect, where there is no such listener."""
    if callback not in _KINDS[kind]:
        raise AssertionError(f"{callback!r} is not registered as a listener to events of the kind {kind!r}.")
    _KINDS[kind].remove(callback)


def unregister_event_listener(callback: Listener) -> None:
    """Ends what `register_event_listener` began; AssertionError if it was not registered."""
    _unregister("event", callback)


def unregister_event_duration_listener(callback: Listener) -> None:
    """Ends what `register_event_duration_secs_listener` began; AssertionError if it was not registered."""
    _unregister("duration", callback)


def unregister_event_time_span_listener(callback: Listener) -> None:
    """Ends what `register_event_time_span_listener` began; AssertionError if it was not registered."""
    _unregister("time span", callback)


def unregister_scalar_listener(callback: Listener) -> None:
    """Ends what `register_scalar_listener` began; AssertionError if it was not registered."""
    _unregister("scalar", callback)


def clear_event_listeners() -> None:
    """Forgets all listeners of all kinds.

    Example:
      >>> import canter as ct
      >>> ct.monitoring.clear_event_listeners()
    """
    for listeners in _KINDS.values():
        listeners.clear()


def record_step(event: str, seconds: float, **kwargs: Any) -> None:
    """Records a step that just ended under the three kinds that carry a time."""
    if _durations or _spans or _scalars:
        end = time.time()
        record_scalar(event, end - seconds, **kwargs)
        record_event_duration_secs(event, seconds, **kwargs)
        record_event_time_span(event, end - seconds, end, **kwargs)


def listens_to_events() -> bool:
    """Whether anybody wants to know of plain events."""
    return bool(_events)
