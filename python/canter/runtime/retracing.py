"""Why a jitted function was traced or compiled again.

Every trace and every compilation of a jitted function leaves a `Preparation` in the function's history: what
it was made for, and where. The reasons are worked out when somebody asks: `f.why_retraced()`, the log of
`explain_cache_misses`, the error of `jit(max_traces=...)`, or `canter.testing.assert_no_retrace`.
"""

from __future__ import annotations

import functools
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FunctionType, MethodType
from typing import Any, NamedTuple

from ..core import source
from ..core.errors import RetracingError
from .changes import brief, changed_place, changed_signature, distance
from .signature import describe_function, function_name

__all__ = ["CacheInfo", "History", "Preparation", "Retraces", "watching"]

_MOST_KEPT = 256
_MOST_CODES = 4096
_MOST_LINES = 10  # of one report
_MOST_COMPARED = 64  # earlier traces, of which the closest is told


class CacheInfo(NamedTuple):
    """How often a jitted function was prepared.

    Attributes:
      traces: how often it was traced.
      compilations: how often a program of it was compiled, or fetched from the disk cache.
      entries: how many kinds of call the dispatcher knows; each is run without any Python.
      max_traces: the limit given to `jit`, or None.
    """

    traces: int
    compilations: int
    entries: int
    max_traces: int | None


class Signature(NamedTuple):
    """What a trace is for."""

    method: Any
    tree: Any
    avals: tuple[Any, ...]
    statics: tuple[Any, ...]
    flags: tuple[Any, ...]
    axes: tuple[Any, ...]


class Preparation(NamedTuple):
    """One trace of a function, or one compilation of a traced program.

    Attributes:
      signature: what was traced.
      positions: of its static arguments.
      place: None for a trace; else what decided on the executable: name -> value.
      traceback: where the call stands.
    """

    signature: Signature
    positions: Any
    place: dict[str, Any] | None
    traceback: Any


class _Identity(NamedTuple):
    """What tells two functions of the same code apart: what they captured, what a partial has bound.

    Attributes:
      layers: the code of the function, and before it of what is wrapped around it.
      captured: short texts of values by name.
      objects: how many functions were traced so far.
      latest: a weak reference to the last one, or None.
    """

    layers: tuple[Any, ...]
    captured: dict[str, str]
    objects: int
    latest: Any


# By the identities of the layers: equal code of two places is not the same function, nor is jit(vmap(f)) jit(f).
_identities: OrderedDict[tuple[int, ...], _Identity] = OrderedDict()
_watchers: list[Callable[[Any, History], None]] = []


class History:
    """The traces and compilations of one function object.

    Attributes:
      traces, compilations: how many there were.
      prepared: the last ones of both kinds.
      origin: why the function itself is new, where another one of the same code was traced before.
    """

    __slots__ = ("compilations", "origin", "prepared", "traces")

    def __init__(self) -> None:
        self.traces = self.compilations = 0
        self.prepared: list[Preparation] = []
        self.origin: tuple[str, ...] = ()

    def add_trace(self, function: Any, key: Any, positions: Any) -> None:
        """Records that the function is about to be traced."""
        if not self.traces:
            self.origin = _origin(function)
        self.traces += 1
        self._add(function, Preparation(Signature(*key), positions, None, source.current_traceback()))

    def add_compilation(self, function: Any, key: Any, positions: Any, place: dict[str, Any]) -> None:
        """Records that a traced program is about to be compiled."""
        self.compilations += 1
        self._add(function, Preparation(Signature(*key), positions, place, source.current_traceback()))

    def _add(self, function: Any, preparation: Preparation) -> None:
        if len(self.prepared) >= _MOST_KEPT:
            del self.prepared[: _MOST_KEPT // 2]
        self.prepared.append(preparation)
        for watcher in _watchers:
            watcher(function, self)

    def reasons(self, function: Any, index: int = -1, prepared: Sequence[Preparation] = ()) -> list[str]:
        """What was new about a preparation, compared with the closest one before it; empty for a first one."""
        prepared = prepared or list(self.prepared)  # another thread may add to it, and drop what is old
        made, before = prepared[index], prepared[:index]
        if made.place is None:
            earlier = [p for p in before if p.place is None]
            if not earlier:
                return list(self.origin)
            return _new_in_trace(function, made, earlier)
        same = [p for p in before if p.place is not None and p.signature == made.signature]
        if not same:
            return []  # the first compilation of a trace needs no reason of its own
        found = min((changed_place(made.place, p.place or {}) for p in reversed(same)), key=len)
        return found or ["the compiled program was dropped"]

    def check_limit(self, function: Any, limit: int, key: Any, positions: Any) -> None:
        """Raises RetracingError where one more trace would be more than the limit."""
        if self.traces < limit:
            return
        made = Preparation(Signature(*key), positions, None, None)
        earlier = [p for p in self.prepared if p.place is None]
        lines = _new_in_trace(function, made, earlier) if earlier else []
        raise RetracingError(
            f"{describe_function(function)} would be traced for the {_ordinal(self.traces + 1)} time, and "
            f"jit(max_traces={limit}) allows {limit}. Compared with the closest earlier trace:\n{_listed(lines)}\n"
            "Give it arguments of the types that it knows, or raise the limit. `why_retraced()` tells of the others."
        )


class Retraces(list[str]):
    """Why a function was prepared again, a text for each time; prints as a report."""

    def __init__(self, function: Any, history: History):
        super().__init__(_reports(function, history))
        self._title = (
            f"{describe_function(function)}: {history.traces} traces, {history.compilations} compilations"
        )

    def __str__(self) -> str:
        return "\n".join([self._title, *self]) if self else f"{self._title}; nothing was prepared twice."

    __repr__ = __str__


def _reports(function: Any, history: History) -> Iterator[str]:
    prepared = list(history.prepared)
    for index, made in enumerate(prepared):
        lines = history.reasons(function, index, prepared)
        if lines:
            yield report(made, lines)


def report(made: Preparation, lines: Sequence[str]) -> str:
    """Where something was prepared again, and why."""
    what = "traced" if made.place is None else "compiled"
    return f"{what} again at {source.summarize(made.traceback)}:\n{_listed(lines)}"


def _listed(lines: Sequence[str]) -> str:
    """The first reasons, a line each, and how many more there are."""
    shown = [f"  * {line if len(line) <= 300 else line[:296] + ' ...'}" for line in lines[:_MOST_LINES]]
    more = len(lines) - _MOST_LINES
    return "\n".join([*shown, f"  * and {more} more"] if more > 0 else shown)


def log_cache_miss(function: Any, history: History) -> None:
    """Logs why the last trace was needed, as a warning of the logger "canter.runtime"."""
    import logging

    if not _is_users(function):
        return  # Canter's own functions are no business of the user's
    name, _, place = describe_function(function).partition(" at ")
    described = f"{name} at {place}" if place else name
    lines = [f"TRACING CACHE MISS at {source.summarize(history.prepared[-1].traceback)}:"]
    reasons = history.reasons(function)
    if history.traces == 1:
        lines.append(f"  never seen function: {described}")
    else:
        lines.append(f"  for {described}")
        lines.append("  all previously seen calls differ. Compared with the closest one:")
    lines += [_listed(reasons)] if reasons else []
    logging.getLogger("canter.runtime").warning("\n".join(lines))


@contextmanager
def watching(watcher: Callable[[Any, History], None]) -> Iterator[None]:
    """Calls a function after each trace and compilation of a user's function, with it and its history."""

    def of_users(function: Any, history: History) -> None:
        if _is_users(function):
            watcher(function, history)

    _watchers.append(of_users)
    try:
        yield
    finally:
        _watchers.remove(of_users)


def _is_users(function: Any) -> bool:
    place = describe_function(function).partition(" at ")[2]
    return not place or source.is_user_file(place.rpartition(":")[0])


def _new_in_trace(function: Any, made: Preparation, earlier: Sequence[Preparation]) -> list[str]:
    """What is new about a trace, compared with the closest one before it."""
    now, positions = made.signature, made.positions
    recent = earlier[: -_MOST_COMPARED - 1 : -1]
    distances = [distance(now, old.signature) for old in recent]
    nearest = [old for old, far in zip(recent, distances, strict=True) if far == min(distances)][:3]
    told = [changed_signature(function, now, positions, old.signature, old.positions) for old in nearest]
    return min(told, key=len) or ["another object, which the method is bound to, or the traces were cleared"]


def _ordinal(n: int) -> str:
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


# --- new functions of old code --------------------------------------------------------------------


def _origin(function: Any) -> tuple[str, ...]:
    """Why a function is new although its code was traced before."""
    layers, name, captured = _captured(function)
    code = layers[-1]
    if not hasattr(code, "co_filename"):
        return ()
    key = tuple(map(id, layers))
    known = _identities.pop(key, None)
    if len(_identities) >= _MOST_CODES:
        _identities.popitem(last=False)
    owner = function.__self__ if type(function) is MethodType else function
    before = 0 if known is None else known.objects
    if known is not None and known.latest is not None and known.latest() is owner:
        _identities[key] = known
        return ()  # its traces were cleared
    try:
        latest = weakref.ref(owner)
    except TypeError:
        latest = None
    _identities[key] = _Identity(layers, captured, before + 1, latest)
    if known is None:
        return ()
    lines = [
        f"a new function object: {name}, defined at {code.co_filename}:{code.co_firstlineno}, was traced before as "
        f"{before} other object{'s' * (before > 1)}; jit it once and keep the result"
    ]
    lines += [
        f"{what}: {known.captured.get(what, 'none')} -> {value}"
        for what, value in captured.items()
        if known.captured.get(what) != value
    ]
    return tuple(lines)


def _captured(function: Any) -> tuple[tuple[Any, ...], str, dict[str, str]]:
    """The code of all layers of a function, its name, and short texts of what it has bound and captured."""
    found: dict[str, str] = {}
    layers = []
    while True:
        if isinstance(function, functools.partial):
            found |= {f"argument {i} of the partial": _brief(v) for i, v in enumerate(function.args)}
            found |= {f"argument {k!r} of the partial": _brief(v) for k, v in function.keywords.items()}
            layer, function = function, function.func
        elif hasattr(function, "__wrapped__"):
            layer, function = function, function.__wrapped__
        else:
            break
        layers.append(getattr(layer, "__code__", type(layer)))
    name = function_name(function)
    if not hasattr(function, "__code__") and isinstance(type(function).__call__, FunctionType):
        found["object that is called"] = _brief(function)
        name, function = type(function).__name__, type(function).__call__
    if hasattr(function, "__func__"):
        found["object that the method is bound to"] = _brief(function.__self__)
        function = function.__func__
    code = getattr(function, "__code__", type(function))
    for variable, cell in zip(
        getattr(code, "co_freevars", ()), getattr(function, "__closure__", None) or (), strict=False
    ):
        try:
            found[f"captured variable {variable!r}"] = _brief(cell.cell_contents)
        except ValueError:  # not assigned yet
            continue
    return (*layers, code), name, found


def _brief(value: Any) -> str:
    """A short text of a value, which does not wait for a device."""
    if isinstance(value, (bool, int, float, complex, str, bytes, type(None))):
        return brief(value)
    aval = getattr(value, "aval", None)
    if aval is not None:
        return f"an array {aval}"
    named = callable(value) and hasattr(value, "__name__")
    return f"{function_name(value) if named else type(value).__name__} (object {id(value):#x})"
