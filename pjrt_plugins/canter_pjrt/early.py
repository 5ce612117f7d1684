"""Loading a program from the cache while it is still being traced.

What a function was compiled to the last time is noted beside the entries, under a description of the function
and its arguments. When it is traced in another process, that entry is loaded in a thread of its own meanwhile.
The note decides nothing: the program is traced and lowered all the same, and what was loaded is taken only if
the key of the lowered program is the key of that entry. A wrong note costs the work of the thread.
"""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from . import cache
from .cache_folders import LocalFolder

__all__ = ["expect", "note", "take"]

_KEPT = 8  # expectations at once; most programs have one
_WORTH_SECONDS = 0.05  # quicker ones need no note


class Expected(NamedTuple):
    """A program that is being loaded: the name of its note, its key, the thread, and where that puts the executable."""

    note: str
    key: str
    device: Any
    thread: threading.Thread | None
    result: list[Any]


_expected: OrderedDict[str, Expected] = OrderedDict()  # by the name of the function


def expect(function: str, description: bytes, device: Any, options_of: Callable[..., Any]) -> None:
    """Begins to load what the function was compiled to the last time, if that is known.

    Args:
      function: its name, as `compile_or_load` will have it.
      description: what tells it and the types of its arguments from others.
      device: where it will run, probably.
      options_of: `compile.compile_options`.
    """
    settings = cache.settings()
    folder = settings.folder()
    if not isinstance(folder, LocalFolder) or settings.check_contents or (os.cpu_count() or 1) < 2:
        return
    note = cache.digest(description)
    noted = _noted(folder, note)
    expected = Expected(note, "", device, None, [])
    if noted is not None:
        key, flags = noted
        result: list[Any] = []

        def load() -> None:
            options = options_of([device], flags)
            result.append(cache.executable_of(key, folder.read(key), [device], options))

        thread = threading.Thread(target=_quietly, args=(load,), name="compilation cache")
        thread.start()
        expected = Expected(note, key, device, thread, result)
    _expected[function] = expected
    while len(_expected) > _KEPT:
        _expected.popitem(last=False)


def _quietly(load: Callable[[], None]) -> None:
    try:
        load()
    except Exception:
        pass  # whoever needs the program loads it once more, and reports what is wrong


def _noted(folder: LocalFolder, note: str) -> tuple[str, dict[str, Any]] | None:
    try:
        key, flags = json.loads(folder.read_note(note))
        return (key, dict(flags)) if isinstance(key, str) else None
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def take(function: str, key: str, devices: Sequence[Any]) -> Any:
    """The executable of an entry, if it was expected and could be loaded; else None."""
    expected = _expected.get(function)
    if expected is None or expected.thread is None or expected.key != key or devices != [expected.device]:
        return None
    expected.thread.join()
    try:
        return expected.result.pop()
    except IndexError:  # it could not be loaded, or another thread has taken it
        return None


def note(function: str, key: str, seconds: float, flags: Sequence[tuple[str, Any]]) -> None:
    """Notes what a function was compiled to, for the next process.

    Args:
      function: its name.
      key: of the entry.
      seconds: how long it took to come by the executable.
      flags: the options of the compiler.
    """
    expected = _expected.pop(function, None)
    folder = cache.settings().folder()
    if (
        expected is None
        or expected.key == key
        or seconds < _WORTH_SECONDS
        or not isinstance(folder, LocalFolder)
    ):
        return
    try:
        folder.write_note(expected.note, json.dumps([key, list(flags)]).encode())
    except (OSError, TypeError):
        pass  # a folder that cannot be written has been reported with the entry
