"""Lowering rules, one module per family of primitives, each ending in a table of them.

A process that compiles for the CPU loads the families of the commonest primitives, and the others in the
order below when a primitive is met that those have no rule for.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

__all__ = ["load", "load_all", "load_next"]

_COMMON = ("elementwise", "shapes", "reductions", "contractions", "indexed", "calls")
_OTHERS = (
    "control_flow",
    "random",
    "keys",
    "special",
    "sorting",
    "placement",
    "program",
    "callbacks",
    "foreign",
    "exported",
    "collectives",
    "partitioning",
    "metadata",
    "linalg",
    "linalg_gpu",
    "linalg_tpu",
)
_waiting = [*_COMMON, *_OTHERS]


def load_next() -> bool:
    """Loads one more family: importing its module declares its rules. False when all are there."""
    if not _waiting:
        return False
    importlib.import_module(f"{__name__}.{_waiting[0]}")
    del _waiting[:1]
    return True


def load_all() -> None:
    """Loads all families."""
    while load_next():
        pass


def load(platforms: Sequence[str]) -> None:
    """Loads what compiling for some platforms begins with: all but the CPU have rules of their own in late families."""
    if any(platform != "cpu" for platform in platforms):
        load_all()
    while len(_waiting) > len(_OTHERS):
        load_next()
