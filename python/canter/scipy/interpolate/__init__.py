"""Interpolation, as in `scipy.interpolate`."""

from .regular_grid import RegularGridInterpolator as RegularGridInterpolator

__all__ = ["RegularGridInterpolator"]


def __dir__() -> list[str]:
    return __all__
