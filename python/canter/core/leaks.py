"""Finds tracers that outlive their trace, for the flag `check_tracer_leaks`."""

from __future__ import annotations

import gc
import itertools
import types
from typing import Any

from . import errors
from .trace import Tracer

__all__ = ["check_leaks"]


def check_leaks(trace: Any, name: str) -> None:
    """Raises UnexpectedTracerError if a tracer of an ended trace is still alive.

    Looks at every object there is, which is slow.

    Args:
      trace: the trace; the caller must not hold any of its tracers.
      name: the function that was traced, for the message.
    """
    gc.collect()
    leaked = [x for x in gc.get_objects() if issubclass(type(x), Tracer) and x._trace is trace]
    if not leaked:
        return
    lines = [f"{len(leaked)} traced value{'s' * (len(leaked) > 1)} leaked out of {name}:"]
    for tracer in itertools.islice(leaked, 3):
        lines.append(
            f"  {tracer.aval.str_short()}, held by {_holder(tracer, leaked)}. {errors.origin(tracer)}"
        )
    if len(leaked) > 3:
        lines.append(f"  and {len(leaked) - 3} more")
    lines.append(
        "Return values from the function instead of keeping them in a global, an attribute, a list or a closure; "
        "and do not cache functions of arrays (functools.lru_cache) across transformations."
    )
    raise errors.UnexpectedTracerError("\n".join(lines))


def _holder(tracer: Any, leaked: list[Any]) -> str:
    """What keeps a tracer alive, in a few words."""
    for holder in gc.get_referrers(tracer):
        if holder is leaked or isinstance(holder, types.FrameType):
            continue
        if isinstance(holder, types.CellType):
            return "a closure"
        if isinstance(holder, dict) and "__name__" in holder and "__spec__" in holder:
            return f"the module {holder['__name__']}"
        names = _keys(holder, tracer) if isinstance(holder, dict) else []
        kind = type(holder).__name__
        article = "an" if kind[0] in "aeiouAEIOU" else "a"
        return f"{article} {kind}" + (f" under {names[0]!r}" if names else "")
    return "an object outside Python's sight"


def _keys(holder: dict[Any, Any], tracer: Any) -> list[str]:
    keys = []
    for key, value in holder.items():  # a comprehension would hold the tracer in a closure of its own
        if value is tracer:
            keys.append(str(key))
    return keys
