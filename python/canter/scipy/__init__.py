"""Functions of SciPy on Canter's arrays, under SciPy's names."""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any as _Any

if TYPE_CHECKING:
    from . import (
        cluster as cluster,
        fft as fft,
        integrate as integrate,
        interpolate as interpolate,
        linalg as linalg,
        ndimage as ndimage,
        optimize as optimize,
        signal as signal,
        sparse as sparse,
        spatial as spatial,
        special as special,
        stats as stats,
    )

_submodules = frozenset(
    "cluster fft integrate interpolate linalg ndimage optimize signal sparse spatial special stats".split()
)

__all__ = [*_submodules]


def __getattr__(name: str) -> _Any:
    if name in _submodules:
        return _import_module(f"{__name__}.{name}")
    from ..core.errors import unknown_attribute

    raise unknown_attribute(__name__, name, __dir__())


def __dir__() -> list[str]:
    return sorted(_submodules)
