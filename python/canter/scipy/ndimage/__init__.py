"""Images of any number of dimensions, as in `scipy.ndimage`."""

from .coordinates import map_coordinates as map_coordinates

__all__ = ["map_coordinates"]


def __dir__() -> list[str]:
    return __all__
