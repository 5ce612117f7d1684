"""Discrete cosine transforms, as in `scipy.fft`."""

from .cosine import dct as dct, dctn as dctn, idct as idct, idctn as idctn

__all__ = ["dct", "dctn", "idct", "idctn"]


def __dir__() -> list[str]:
    return __all__
