"""Geometry, as in `scipy.spatial`."""

from . import transform as transform

__all__ = ["transform"]


def __dir__() -> list[str]:
    return __all__
