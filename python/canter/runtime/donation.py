"""Donated arguments: warnings where a buffer cannot be reused, and who took a buffer.

The C++ dispatcher donates without telling Python, so no call records what it took. What is known is
which compiled functions donate which kinds of array; that is enough to name the likely call when a
deleted array is used.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from ..core import source
from ..core.avals import ShapedArray

__all__ = ["aliased", "check_donated_once", "donators_of", "register", "warn_of_unusable"]

_REMEMBERED = 1024
# (shape, dtype) of a donated argument -> descriptions of the arguments, newest last.
_donated: OrderedDict[Any, dict[str, None]] = OrderedDict()


def _kind(aval: Any) -> Any:
    return (aval.shape, aval.dtype) if isinstance(aval, ShapedArray) else aval


def aliased(in_avals: Sequence[Any], out_avals: Sequence[Any], donated: Sequence[bool]) -> tuple[bool, ...]:
    """Which donated arguments give their memory to a result: those for which one of shape and dtype is left."""
    free = Counter(map(_kind, out_avals))
    found = []
    for aval, flag in zip(in_avals, donated or (False,) * len(in_avals), strict=True):
        kind = _kind(aval)
        found.append(bool(flag) and free[kind] > 0)
        free[kind] -= found[-1]
    return tuple(found)


def warn_of_unusable(
    name: str,
    in_avals: Sequence[Any],
    out_avals: Sequence[Any],
    donated: Sequence[bool],
    arg_names: Sequence[str] | None,
) -> None:
    """Warns of donated arguments for which no result of the same shape and dtype is left."""
    unusable = []
    usable = aliased(in_avals, out_avals, donated)
    for position, (aval, flag) in enumerate(zip(in_avals, donated, strict=True)):
        if flag and not usable[position]:
            label = "" if arg_names is None or not arg_names[position] else f"{arg_names[position]}: "
            unusable.append(f"{label}{aval.str_short()}")
    if unusable:
        shown = ", ".join(unusable[:8]) + (f" and {len(unusable) - 8} more" if len(unusable) > 8 else "")
        source.warn(
            f"Some donated buffers were not usable: {shown}. No result of {name} is left that has the same "
            "shape and dtype, so nothing can be written into them; do not donate them."
        )


def check_donated_once(args: Sequence[Any], donated: Sequence[bool], describe: Callable[[int], str]) -> None:
    """Checks that no array is donated and passed a second time in the same call.

    Args:
      args: flat arguments.
      donated: which of them are donated.
      describe: names an argument, for the message.

    Raises:
      ValueError: an array is.
    """
    first: dict[int, int] = {}
    for position, arg in enumerate(args):
        other = first.setdefault(id(arg), position)
        if other != position and (donated[position] or donated[other]) and hasattr(arg, "is_deleted"):
            taken, used = (other, position) if donated[other] else (position, other)
            raise ValueError(
                f"The same array is passed as {describe(taken)}, which is donated, and as {describe(used)}. "
                "Pass a copy as one of them (x.copy()), or do not donate it."
            )


def register(
    description: str, in_avals: Sequence[Any], donated: Sequence[bool], arg_names: Sequence[str] | None
) -> None:
    """Remembers that a function donates arguments of these types."""
    for position, (aval, flag) in enumerate(zip(in_avals, donated, strict=True)):
        if flag:
            argument = arg_names[position] if arg_names is not None else f"argument {position}"
            text = f"{argument!s} of {description}"
            _donated.setdefault(_kind(aval), {})[text] = None
            while len(_donated) > _REMEMBERED:
                _donated.popitem(last=False)


def donators_of(aval: Any) -> list[str]:
    """Which arguments of which functions, of those compiled so far, donate arrays like this one.

    Args:
      aval: the aval of an array that was found deleted.

    Returns:
      Descriptions such as `state['w'] of step at train.py:12`, newest first.
    """
    return list(_donated.get(_kind(aval), ()))[::-1]
