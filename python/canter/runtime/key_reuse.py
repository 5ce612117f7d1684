"""`debug_key_reuse`: a random key that is used a second time raises KeyReuseError.

Outside programs an array of keys has a `Uses`: which of its keys are used up, and where. Arrays that are views of one
another share it. Compiled programs are looked through before they run (`transforms.key_reuse`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import source
from ..core.errors import KeyReuseError
from ..core.jaxpr import ClosedJaxpr
from ..core.trace import Tracer
from ..transforms.key_reuse import Summary, advice, summary_of

__all__ = ["Uses", "check_call", "use", "uses_of"]


class Uses:
    """Which keys of an array are used up.

    Attributes:
      flags: for each key of the array that was made first.
      lines: where each was used; its index is that in `flags`.
      places: which of them the keys of this array are.
    """

    __slots__ = ("flags", "lines", "places")

    def __init__(self, flags: np.ndarray, lines: dict[int, Any], places: np.ndarray):
        self.flags, self.lines, self.places = flags, lines, places

    @staticmethod
    def new(shape: tuple[int, ...], used: Any = False) -> Uses:
        """For keys that nobody else holds."""
        flags = np.array(np.broadcast_to(used, shape)).ravel()
        return Uses(flags, {}, np.arange(flags.size).reshape(shape))

    def view(self, function: Callable[[np.ndarray], Any]) -> Uses:
        """For an array of the same keys, got from this one as `function` gets it."""
        return Uses(self.flags, self.lines, np.asarray(function(self.places)))

    @property
    def used(self) -> np.ndarray:
        """A flag for each key of the array."""
        return self.flags[self.places]

    def check(self, wanted: Any, name: str, position: int, where: Any) -> None:
        """Raises KeyReuseError where one of the keys that are wanted is used up."""
        again = self.places[self.used & wanted]
        if again.size:
            first = self.lines.get(int(again.flat[0]))
            raise KeyReuseError(
                f"Previously-consumed key passed to {name} at index {position}: a random key is used again at "
                f"{source.summarize(where)}; it was used first at {source.summarize(first)}. {advice}"
            )

    def mark(self, wanted: Any, where: Any) -> None:
        """Uses keys up."""
        places = self.places[np.broadcast_to(wanted, self.places.shape)]
        self.flags[places] = True
        self.lines.update(dict.fromkeys(places.ravel().tolist(), where))


def uses_of(keys: Any) -> Uses:
    """The uses of an array of keys."""
    found = keys._uses
    if found is None:
        found = keys._uses = Uses.new(keys.shape)
    return found


def use(keys: Any, name: str, wanted: Any = True) -> None:
    """Uses keys of an array up.

    Args:
      keys: an array of keys.
      name: of what uses them, for messages.
      wanted: a flag for each key; all by default.

    Raises:
      KeyReuseError: one of them is used up.
    """
    where, uses = source.current_traceback(), uses_of(keys)
    uses.check(wanted, name, 0, where)
    uses.mark(wanted, where)


def check_call(closed: ClosedJaxpr, args: Sequence[Any], name: str) -> Callable[[Sequence[Any]], None] | None:
    """Looks a program through before it runs on arguments.

    Args:
      closed: the program.
      args: the arguments.
      name: what is called, for messages.

    Returns:
      What is to be called with the results, when there are any: it notes what is used up. None where the program
      neither takes nor gives keys.

    Raises:
      KeyReuseError: the program uses a key twice, or an argument that is used up.
    """
    summary = summary_of(closed)
    keys = [
        (position, arg)
        for position, arg in enumerate(args)
        if summary.inputs[position] is not None and hasattr(arg, "_uses") and not isinstance(arg, Tracer)
    ]
    if not keys and not any(x is not None for x in summary.outputs):
        return None
    here = source.current_traceback()
    seen: dict[int, np.ndarray] = {}
    for position, arg in keys:
        uses, wanted = uses_of(arg), summary.used(position)
        uses.check(wanted, name, position, here)
        taken = uses.places[wanted]
        others = seen.setdefault(id(uses.flags), np.empty(0, int))
        if np.isin(taken, others).any():
            raise KeyReuseError(
                f"In {name}, argument {position} is already consumed: the same random key is passed twice, and used "
                f"twice, at {source.summarize(here)}. {advice}"
            )
        seen[id(uses.flags)] = np.concatenate([others, taken.ravel()])

    def note(results: Sequence[Any]) -> None:
        for position, arg in keys:
            uses_of(arg).mark(summary.used(position), summary.where(position, here))
        for places, result in zip(summary.outputs, results, strict=True):
            if places is not None and hasattr(result, "_uses"):
                result._uses = _of_result(summary, places, keys)

    return note


def _of_result(summary: Summary, places: np.ndarray, keys: Sequence[tuple[int, Any]]) -> Uses:
    """The uses of a result: those of the argument that it is, or new ones."""
    for position, arg in keys:
        given = summary.inputs[position]
        assert given is not None
        own = uses_of(arg)
        if given.size and np.isin(places, given).all():
            return Uses(own.flags, own.lines, own.places.ravel()[places - given.flat[0]])
        if given.size and np.isin(summary.identities.members(places), given).all():  # some of them
            return Uses.new(places.shape, own.used.any())
    return Uses.new(places.shape, summary.identities.is_used(places))
