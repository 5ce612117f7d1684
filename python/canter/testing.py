"""What tests of programs ask for: that nothing is traced or compiled a second time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .core.errors import RetracingError
from .runtime.retracing import History, report, watching
from .runtime.signature import describe_function

__all__ = ["assert_no_retrace"]


@contextmanager
def assert_no_retrace(*functions: Any, first: bool = True) -> Iterator[None]:
    """Fails if a jitted function is traced or compiled again while the context is open.

    A function is traced again for arguments of new types, new static values or settings, and where `jit` is given
    a new function object of code that it had before. Canter's own functions do not count.

    Args:
      functions: jitted functions to watch; none for all.
      first: whether the first trace of a function is allowed.

    Raises:
      RetracingError: when the context closes, with what changed, for each time.

    Example:
      >>> import canter as ct
      >>> from canter.testing import assert_no_retrace
      >>> f = ct.jit(lambda x: x + 1)
      >>> with assert_no_retrace():
      ...     _ = f(1), f(2)
    """
    wanted = {id(getattr(f, "__wrapped__", f)) for f in functions}
    found: list[str] = []

    def watch(function: Any, history: History) -> None:
        if wanted and id(function) not in wanted:
            return
        made = history.prepared[-1]
        reasons = history.reasons(function)
        if not reasons and not first and made.place is None:
            reasons = ["its first trace, which is not allowed here"]
        if reasons:
            found.append(f"{describe_function(function)} was {report(made, reasons)}")

    with watching(watch):
        yield
    if found:
        raise RetracingError(_first_lines(found))


def _first_lines(reports: list[str], most: int = 12) -> str:
    """The first reports, as many as fit, and how many more there are."""
    shown: list[str] = []
    lines = 0
    for text in reports:
        lines += text.count("\n") + 1
        if shown and lines > most:
            return "\n".join([*shown, f"... and {len(reports) - len(shown)} times more."])
        shown.append(text)
    return "\n".join(shown)
