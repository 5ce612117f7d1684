"""Rotations in three dimensions, as in `scipy.spatial.transform`."""

from .rotation import Rotation as Rotation
from .slerp import Slerp as Slerp

__all__ = ["Rotation", "Slerp"]


def __dir__() -> list[str]:
    return __all__
