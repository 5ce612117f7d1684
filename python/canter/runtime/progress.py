"""A line in the terminal while a program compiles for long: what, for which line, since when.

Most compiles are over before anybody wonders. A timer is started for each where standard error is a terminal; the
line appears after `PATIENCE` seconds, is written anew each second, and is wiped when the program is there. Logs and
pipes get nothing: `config.log_compiles` is for those.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["PATIENCE", "compiling"]

PATIENCE = 5.0  # seconds
_INTERVAL = 1.0


@contextmanager
def compiling(name: str) -> Iterator[Callable[[str], None]]:
    """Shows what compiles while the block runs, if it runs for long and in a terminal.

    Gives a function that changes what is said of it, "compiling" at first.

    Args:
      name: of the function.
    """
    stream = sys.stderr
    if stream is None or not _is_terminal(stream):
        yield lambda doing: None
        return
    import threading

    from ..core.source import current_traceback

    done, doing = threading.Event(), ["compiling"]
    called, start = current_traceback(), time.perf_counter()
    watcher = threading.Thread(
        target=_watch, args=(stream, name, called, start, done, doing), name="canter-progress", daemon=True
    )
    watcher.start()
    try:
        yield lambda what: doing.__setitem__(0, what)
    finally:
        done.set()
        watcher.join()


def _is_terminal(stream: Any) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):  # closed, or no file
        return False


def _watch(stream: Any, name: str, called: Any, start: float, done: Any, doing: list[str]) -> None:
    if done.wait(PATIENCE):
        return
    from ..core.source import user_frame

    frame, shown = user_frame(called), 0
    where = "" if frame is None else f" for {frame.file_name}:{frame.line_number}"
    try:
        while True:
            text = _fitted(f"{doing[0]} {name}{where}, {time.perf_counter() - start:.0f} s", stream)
            stream.write("\r" + text.ljust(shown))
            stream.flush()
            shown = len(text)
            if done.wait(_INTERVAL):
                break
        stream.write("\r" + " " * shown + "\r")
        stream.flush()
    except (OSError, ValueError):  # the terminal is gone
        return


def _fitted(text: str, stream: Any) -> str:
    """The text in one line of the terminal: what is cut off is the beginning of a path."""
    import os

    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError, AttributeError):
        columns = 0
    width = max(20, (columns or 80) - 1)  # some terminals say 0: unknown
    if len(text) <= width:
        return text
    return text[: width // 3] + "…" + text[len(text) - width + width // 3 + 1 :]
