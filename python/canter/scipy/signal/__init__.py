"""Signals, as in `scipy.signal`: convolution, trends, spectra."""

from .convolution import (
    convolve as convolve,
    convolve2d as convolve2d,
    correlate as correlate,
    correlate2d as correlate2d,
    fftconvolve as fftconvolve,
)
from .spectra import csd as csd, detrend as detrend, istft as istft, stft as stft, welch as welch

__all__ = [
    "convolve", "convolve2d", "correlate", "correlate2d", "csd", "detrend", "fftconvolve", "istft", "stft", "welch",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__
