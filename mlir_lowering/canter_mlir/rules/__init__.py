"""Lowering rules, one module per family of primitives, each ending in a table of them."""

from __future__ import annotations

import importlib

__all__ = ["load"]

_FAMILIES = (
    "elementwise",
    "special",
    "shapes",
    "reductions",
    "contractions",
    "indexed",
    "sorting",
    "calls",
    "callbacks",
    "foreign",
    "control_flow",
    "placement",
    "collectives",
    "partitioning",
    "program",
    "random",
    "keys",
    "linalg",
    "linalg_gpu",
    "linalg_tpu",
)
_loaded = False


def load() -> None:
    """Loads the modules of all families, once: importing one declares its rules."""
    global _loaded
    if not _loaded:
        for family in _FAMILIES:
            importlib.import_module(f"{__name__}.{family}")
        _loaded = True
