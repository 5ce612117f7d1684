"""Where things come from: the user's files and lines, for messages.

Recording a location must be cheap, because every equation of a jaxpr has one: `current_traceback`
is jaxlib's C++ snapshot of the stack (about 0.1 µs), and nobody looks at it until an error, a
printed module or a profile needs a file and a line.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from canter_pjrt.jaxlib_door import Traceback

__all__ = [
    "Frame",
    "current_traceback",
    "is_user_file",
    "register_exclusion",
    "summarize",
    "user_frame",
    "user_frames",
    "warn",
]

current_traceback: Callable[[], Any] = Traceback.get_traceback


class Frame(NamedTuple):
    """One line of a user's program."""

    file_name: str
    function_name: str
    line_number: int

    def __str__(self) -> str:
        return f"{self.file_name}:{self.line_number} ({self.function_name})"


# ---------------------------------------------------------------- which files are the user's


def _framework_folders() -> tuple[str, ...]:
    """The folders of Canter's packages and of jaxlib; a user's file lies in none of them."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    folders = [here]
    for package in ("canter_mlir", "canter_pjrt", "jaxlib"):
        module = sys.modules.get(package)
        if module is not None and module.__file__:
            folders.append(os.path.dirname(os.path.abspath(module.__file__)))
    return tuple(folder + os.sep for folder in folders)


_excluded: list[str] = []
_standard_library = os.path.dirname(os.__file__) + os.sep
_site_packages = os.path.join(os.path.dirname(os.__file__), "site-packages") + os.sep


def register_exclusion(path: str) -> None:
    """Counts the files whose path starts with `path` as framework: their frames are hidden from messages.

    Args:
      path: a folder or file, for example a library's `__file__`.

    >>> from canter.core import source
    >>> source.register_exclusion("site-packages/mylibrary/")
    """
    _excluded.append(path)
    is_user_file.cache_clear()


@functools.lru_cache(maxsize=4096)
def is_user_file(file_name: str) -> bool:
    """Whether a file belongs to the user, not to Canter, jaxlib or the plumbing of the standard library."""
    if file_name.startswith("<frozen "):
        return False
    path = os.path.abspath(file_name) if not file_name.startswith("<") else file_name
    if path.startswith((*_framework_folders(), *_excluded)):
        return False
    if path.startswith(_standard_library) and not path.startswith(_site_packages):
        return os.path.basename(path) not in ("contextlib.py", "functools.py", "threading.py")
    return True


def user_frames(traceback: Any = None, limit: int = -1) -> Iterator[Frame]:
    """The user's frames, innermost first.

    Args:
      traceback: a jaxlib Traceback, an equation's SourceInfo, or None for the current stack.
      limit: at most so many; -1 for all.
    """
    for frame in _all_frames(traceback):
        if limit == 0:
            return
        if is_user_file(frame.file_name):
            limit -= 1
            yield frame


def _all_frames(traceback: Any) -> Iterator[Frame]:
    traceback = getattr(traceback, "traceback", traceback)
    if traceback is not None:
        codes, instructions = traceback.raw_frames()
        for code, instruction in zip(codes, instructions, strict=True):
            yield Frame(code.co_filename, code.co_qualname, Traceback.code_addr2line(code, instruction))
        return
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        yield Frame(code.co_filename, code.co_qualname, frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]


def user_frame(traceback: Any = None) -> Frame | None:
    """The innermost frame of the user, or None where there is none.

    Args:
      traceback: a jaxlib Traceback, an equation's SourceInfo, or None for the current stack.
    """
    return next(user_frames(traceback, 1), None)


def summarize(traceback: Any, unknown: str = "unknown location") -> str:
    """`file:line (function)` of the user's innermost frame in a traceback or SourceInfo."""
    if traceback is None or getattr(traceback, "traceback", traceback) is None:
        return unknown
    return str(user_frame(traceback) or unknown)


_registries: dict[str, dict[Any, Any]] = {}


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warns at the user's line, wherever in the framework the warning arises."""
    import warnings

    frame = user_frame()
    if frame is None:
        warnings.warn(message, category, stacklevel=2)
    else:
        registry = _registries.setdefault(frame.file_name, {})  # so that each line warns once
        warnings.warn_explicit(message, category, frame.file_name, frame.line_number, registry=registry)
