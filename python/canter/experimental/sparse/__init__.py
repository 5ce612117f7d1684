"""Sparse linear algebra that may still change."""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import linalg as linalg

_submodules = frozenset(["linalg"])

__all__ = [*_submodules]


def __getattr__(name: str) -> Any:
    if name in _submodules:
        value = globals()[name] = _import_module(f"{__name__}.{name}")
        return value
    from ...core.errors import unknown_attribute

    raise unknown_attribute(__name__, name, __dir__())


def __dir__() -> list[str]:
    return sorted({*globals(), *_submodules})
