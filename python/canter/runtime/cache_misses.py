"""`explain_cache_misses`: why a call of a jitted function is traced although the function was before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from canter_pjrt.jaxlib_door import trace_context_names

from ..core import source
from ..core.pytree import equality_errors
from .signature import ArgumentNames, describe_function

__all__ = ["log_cache_miss"]


def log_cache_miss(function: Any, key: Sequence[Any], known: Iterable[Sequence[Any]], positions: Any) -> None:
    """Logs, as a warning of the logger "canter.runtime", what is new about a call.

    Args:
      function: the user's function.
      key: of the call: method, structure of the arguments, avals, static arguments, flags, axes.
      known: the keys of earlier calls.
      positions: of static arguments.
    """
    import logging

    name, _, place = describe_function(function).partition(" at ")
    if place and not source.is_user_file(place.rpartition(":")[0]):
        return  # Canter's own functions are no business of the user's
    frame = source.user_frame()
    described = f"{name} at {place}" if place else name
    lines = [f"TRACING CACHE MISS at {frame or 'unknown location'}:"]
    known = list(known)
    if not known:
        lines.append(f"  never seen function: {described}")
    else:
        candidates = [_differences(function, key, old, positions) for old in known]
        lines.append(f"  for {described}")
        lines.append("  all previously seen calls differ. Compared with the closest one:")
        lines += [f"  * {line}" for line in min(candidates, key=len)]
    logging.getLogger("canter.runtime").warning("\n".join(lines))


def _differences(function: Any, key: Sequence[Any], old: Sequence[Any], positions: Any) -> list[str]:
    _, tree, avals, statics, flags, axes = key
    _, old_tree, old_avals, old_statics, old_flags, old_axes = old
    lines = []
    if tree != old_tree:
        before = old_tree.unflatten(old_avals)
        lines += [
            f"another structure of the arguments at {_path(path)}: now {now}, before {then}"
            for path, then, now, _ in equality_errors(before, tree.unflatten(avals))
        ]
    else:
        names = ArgumentNames(function, tree, positions)
        lines += [
            f"another type of {names[i]}: now {_shown(now)}, before {_shown(then)}"
            for i, (now, then) in enumerate(zip(avals, old_avals, strict=True))
            if now != then
        ]
    if statics != old_statics:
        before = {where: value for where, _, value in old_statics}
        lines += [
            f"another static argument {where!r}: now {value!r:.60}, before {before.get(where, 'none')!r:.60}"
            for where, _, value in statics
            if where not in before or before[where] != value
        ] or ["other static arguments"]
    lines += [
        f"another setting of {name}: now {now!r}, before {then!r}"
        for name, now, then in zip(trace_context_names(), flags, old_flags, strict=True)
        if now != then
    ]
    if axes != old_axes:
        lines.append(f"other named axes: now {dict(axes)}, before {dict(old_axes)}")
    return lines or ["another object, which the method is bound to"]


def _path(path: Any) -> str:
    from ..core.pytree import keystr

    return f"{'args' if path[:1] and path[0].idx == 0 else 'kwargs'}{keystr(path[1:])}" if path else "the top"


def _shown(aval: Any) -> str:
    return aval.str_short() + (" (weak type)" if getattr(aval, "weak_type", False) else "")
