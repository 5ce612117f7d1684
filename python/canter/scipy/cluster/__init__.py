"""Clusters, as in `scipy.cluster`."""

from . import vq as vq

__all__ = ["vq"]


def __dir__() -> list[str]:
    return __all__
