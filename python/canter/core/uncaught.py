"""Uncaught exceptions are shown without Canter's own frames, as `traceback_filtering` says."""

from __future__ import annotations

import sys
from types import TracebackType

__all__ = ["filter_uncaught"]


def filter_uncaught() -> None:
    """Puts a filter in front of `sys.excepthook`; the hook that was there does the showing."""
    show = sys.excepthook
    if getattr(show, "__module__", None) == __name__:
        return

    def filtered(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        from . import errors

        if isinstance(error, Exception):
            error.__traceback__ = traceback
            errors.filter_traceback(error)
            traceback = error.__traceback__
        show(kind, error, traceback)

    sys.excepthook = filtered
