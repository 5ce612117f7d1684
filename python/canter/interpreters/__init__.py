"""The transformations' tables of rules, under the names that libraries use; each is loaded when first used."""

from importlib import import_module as _import_module
from typing import Any

_submodules = frozenset("ad batching mlir partial_eval pxla xla".split())


def __getattr__(name: str) -> Any:
    if name not in _submodules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_submodules})
