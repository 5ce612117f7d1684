"""Memory that a program frees is kept for the next one, where the CPU is what computes.

A step's temporary values are one large block. glibc returns such a block to the system when it is freed, and the next
step gets fresh pages, which the system clears and maps one by one: a quarter of the processor time of a training step.
So blocks of all sizes come from the heap, and the heap keeps what is freed at its end. docs/compile-time.md has the
figures.
"""

from __future__ import annotations

import os
from typing import Any

from ..core import config

__all__ = ["keep_freed_memory"]

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of `mallopt`, see malloc.h
_MOST = 2047  # MiB, of what `mallopt` takes


def keep_freed_memory() -> int:
    """Sets how much freed memory this process keeps, as the flag `cpu_kept_memory` says.

    Nothing is changed where another allocator than glibc's may be at work, or where the environment has settings of
    glibc's allocator: those are the user's.

    Returns:
      How many MiB are kept; 0 where nothing was changed.
    """
    asked = config.cpu_kept_memory.value
    if asked == 0 or _is_set_by_user():
        return 0
    allocator = _glibc()
    if allocator is None:
        return 0
    kept = min(_MOST, _an_eighth_of_memory() if asked is None else asked)
    if not allocator.mallopt(_M_TRIM_THRESHOLD, kept << 20):
        return 0
    return kept if allocator.mallopt(_M_MMAP_MAX, 0) else 0


def _is_set_by_user() -> bool:
    environment = os.environ
    return (
        any(name.startswith("MALLOC_") for name in environment)
        or "glibc.malloc" in environment.get("GLIBC_TUNABLES", "")
        or "malloc" in environment.get("LD_PRELOAD", "")
    )


def _glibc() -> Any:
    """The C library, where it is glibc."""
    try:
        if not (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"):
            return None
    except (AttributeError, ValueError, OSError):
        return None
    import ctypes

    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") else None


def _an_eighth_of_memory() -> int:
    return (os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20) // 8
