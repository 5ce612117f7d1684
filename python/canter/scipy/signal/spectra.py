"""Spectra of signals, cut into windowed segments; and their trends."""

from __future__ import annotations

import itertools
import operator
import warnings
from typing import Any

import numpy as np

from canter import lax, numpy as cnp
from canter.core import dtypes
from canter.numpy.util import canonical_axis, check_arraylike, promote_dtypes_inexact, shape_of

__all__ = ["csd", "detrend", "istft", "stft", "welch"]


def _window(window: Any, nperseg: int) -> np.ndarray:
    """A window's values: by its name (and parameters) from SciPy, or as they are."""
    if isinstance(window, (str, tuple)):
        from scipy.signal import get_window

        return np.asarray(get_window(window, nperseg))
    values = np.asarray(window)
    if values.ndim != 1 or values.shape[0] != nperseg:
        raise ValueError(f"signal: the window must have the shape ({nperseg},), got {values.shape}.")
    return values


def detrend(data: Any, axis: int = -1, type: str = "linear", bp: Any = 0, overwrite_data: None = None) -> Any:
    """A signal less its trend.

    Args:
      data: array.
      axis: along which.
      type: "linear" for the line of least squares, "constant" for the mean.
      bp: where the pieces begin of which each has its own line.
      overwrite_data: must be None.

    Raises:
      NotImplementedError: `overwrite_data` is given.
      ValueError: another type, or a piece begins outside.

    Source: `scipy.signal.detrend`.

    Example:
      >>> import canter as ct
      >>> print(abs(ct.scipy.signal.detrend(ct.numpy.arange(3.0))).max() < 1e-5)
      True
    """
    if overwrite_data is not None:
        raise NotImplementedError("signal.detrend: overwrite_data is not implemented; arrays do not change.")
    check_arraylike("detrend", data)
    (x,) = promote_dtypes_inexact(cnp.asarray(data))
    if type not in ("constant", "linear"):
        raise ValueError(f"signal.detrend: the trend type must be 'linear' or 'constant', got {type!r}.")
    if type == "constant":
        return x - cnp.mean(x, axis=axis, keepdims=True)
    axis = canonical_axis(axis, x.ndim)
    size = x.shape[axis]
    starts = sorted({0, size, *np.atleast_1d(np.asarray(bp)).tolist()})
    if starts[0] < 0 or starts[-1] > size:
        raise ValueError(f"signal.detrend: breakpoints must be within 0 … {size}, got {bp}.")
    x = cnp.moveaxis(x, axis, -1)
    pieces = []
    for start, stop in itertools.pairwise(starts):
        piece = x[..., start:stop]
        place = np.arange(stop - start) - (stop - start - 1) / 2  # the line about the piece's middle
        square = float(place @ place) or 1.0  # a single element has no slope
        line = place.astype(dtypes.finfo(x.dtype).dtype)
        slope = cnp.sum(piece * line, axis=-1, keepdims=True) / square
        pieces.append(piece - cnp.mean(piece, axis=-1, keepdims=True) - slope * line)
    return cnp.moveaxis(cnp.concatenate(pieces, axis=-1), -1, axis)


def _segments(x: Any, nperseg: int, step: int) -> Any:
    """Rows cut into overlapping segments: (..., number, nperseg)."""
    count = (shape_of(x)[-1] - nperseg) // step + 1
    places = np.arange(count)[:, None] * step + np.arange(nperseg)
    return x[..., places]


def _extended(x: Any, boundary: str | None, width: int) -> Any:
    """Rows continued on both sides."""
    if boundary is None:
        return x
    if boundary == "zeros":
        return cnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(width, width)])
    if x.shape[-1] <= width and boundary != "constant":
        raise ValueError(f"signal: a signal of {x.shape[-1]} samples cannot be continued by {width}.")
    left, right = x[..., :1], x[..., -1:]
    if boundary == "constant":
        repeat = (*x.shape[:-1], width)
        before, after = cnp.broadcast_to(left, repeat), cnp.broadcast_to(right, repeat)
    else:
        before, after = x[..., width:0:-1], x[..., -2 : -width - 2 : -1]
        if boundary == "odd":
            before, after = 2 * left - before, 2 * right - after
    return cnp.concatenate([before, x, after], axis=-1)


_BOUNDARIES = ("even", "odd", "constant", "zeros", None)


def _sizes(
    where: str, length: int, window: Any, nperseg: Any, noverlap: Any, nfft: Any
) -> tuple[int, int, int]:
    if nperseg is None:
        nperseg = 256 if isinstance(window, (str, tuple)) else len(window)
    nperseg = operator.index(nperseg)
    if nperseg < 1:
        raise ValueError(f"signal.{where}: nperseg must be a positive integer, got {nperseg}.")
    if nperseg > length:
        if not isinstance(window, (str, tuple)):
            raise ValueError(f"signal.{where}: the window is longer than the input.")
        warnings.warn(
            f"nperseg={nperseg} is greater than the input length {length}, using nperseg={length}",
            stacklevel=4,
        )
        nperseg = length
    nfft = nperseg if nfft is None else operator.index(nfft)
    noverlap = nperseg // 2 if noverlap is None else operator.index(noverlap)
    if nfft < nperseg:
        raise ValueError(f"signal.{where}: nfft must be at least nperseg, got {nfft} < {nperseg}.")
    if noverlap >= nperseg:
        raise ValueError(f"signal.{where}: noverlap must be less than nperseg, got {noverlap} >= {nperseg}.")
    return nperseg, noverlap, nfft


def _fourier(x: Any, nfft: int, onesided: bool) -> Any:
    x = cnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, nfft - x.shape[-1])])
    if onesided:
        return lax.fft(x, lax.FftType.RFFT, (nfft,))
    return lax.fft(x.astype(dtypes.to_complex_dtype(x.dtype)), lax.FftType.FFT, (nfft,))


def _spectra(
    where: str,
    signals: list[Any],
    fs: Any,
    window: Any,
    nperseg: Any,
    noverlap: Any,
    nfft: Any,
    detrend_type: Any,
    onesided: bool,
    scaling: str,
    axis: int,
    mode: str,
    boundary: str | None,
    padded: bool,
) -> tuple[Any, Any, Any]:
    """Frequencies, times and the spectra (or, of two signals, the cross spectra) of all segments."""
    if boundary not in _BOUNDARIES:
        raise ValueError(
            f"signal.{where}: unknown boundary option {boundary!r}, must be one of {list(_BOUNDARIES)}."
        )
    if scaling not in ("density", "spectrum"):
        raise ValueError(f"signal.{where}: unknown scaling {scaling!r}, must be 'density' or 'spectrum'.")
    axis = canonical_axis(axis, signals[0].ndim)
    rows = [cnp.moveaxis(x, axis, -1) for x in signals]
    length = max(x.shape[-1] for x in rows)
    rows = [cnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, length - x.shape[-1])]) for x in rows]
    nperseg, noverlap, nfft = _sizes(where, length, window, nperseg, noverlap, nfft)
    step = nperseg - noverlap
    real_dtype = dtypes.finfo(rows[0].dtype).dtype
    weights = _window(window, nperseg)
    is_complex = any(dtypes.issubdtype(x.dtype, np.complexfloating) for x in rows)
    onesided = onesided and not is_complex
    rows = [_extended(x, boundary, nperseg // 2) for x in rows]
    if padded:
        missing = -(rows[0].shape[-1] - nperseg) % step % nperseg
        rows = [cnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)]) for x in rows]
    spectra = []
    for x in rows:
        pieces = _segments(x, nperseg, step)
        if detrend_type:
            pieces = detrend_type(pieces) if callable(detrend_type) else detrend(pieces, type=detrend_type)
        spectra.append(_fourier(pieces * weights.astype(real_dtype), nfft, onesided))
    if mode == "stft":
        scale = 1 / (weights.sum() if scaling == "spectrum" else np.sqrt((weights**2).sum()))
        result = spectra[0] * np.asarray(scale, real_dtype)
    else:
        square = (weights**2).sum() if scaling == "density" else weights.sum() ** 2
        result = cnp.conj(spectra[0]) * spectra[-1] / np.asarray(square, real_dtype)
        if scaling == "density":
            result = result / fs
        if onesided:
            # Each of the others stands for a negative frequency too.
            double = np.full(result.shape[-1], 2, real_dtype)
            double[0] = 1
            double[-1] = 1 if nfft % 2 == 0 else 2
            result = result * double
    count = result.shape[-2]
    start = 0 if boundary is not None else nperseg / 2
    frequencies = (np.fft.rfftfreq if onesided else np.fft.fftfreq)(nfft)
    times = (start + step * np.arange(count)) / fs
    result = cnp.moveaxis(result, (-1, -2), (axis, -1))
    return cnp.asarray(frequencies.astype(real_dtype)) * fs, cnp.asarray(times).astype(real_dtype), result


def stft(
    x: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int = 256,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = False,
    return_onesided: bool = True,
    boundary: str | None = "zeros",
    padded: bool = True,
    axis: int = -1,
) -> tuple[Any, Any, Any]:
    """The Fourier transforms of overlapping segments of a signal.

    Args:
      x: array.
      fs: the sampling frequency.
      window: the name of a window of SciPy's, a tuple of it and its parameters, or the values.
      nperseg: how long a segment is.
      noverlap: by how much segments overlap; by default half.
      nfft: the length of the transforms; by default that of the segments.
      detrend: which trend is taken from each segment, or False.
      return_onesided: whether real signals have no negative frequencies.
      boundary: how the signal continues: "zeros", "even", "odd", "constant", or None.
      padded: whether zeros fill the last segment.
      axis: along which.

    Returns:
      The frequencies, the segments' times, and the transforms, whose last axis is time.

    Raises:
      ValueError: sizes or names do not fit.

    Source: `scipy.signal.stft`.

    Example:
      >>> import canter as ct
      >>> ct.scipy.signal.stft(ct.numpy.ones(16), nperseg=8)[2].shape
      (5, 5)
    """
    check_arraylike("stft", x)
    (x,) = promote_dtypes_inexact(cnp.asarray(x))
    return _spectra(
        "stft", [x], fs, window, nperseg, noverlap, nfft, detrend, return_onesided, "spectrum", axis, "stft",
        boundary, padded,
    )  # fmt: skip


def csd(
    x: Any,
    y: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
    average: str = "mean",
) -> tuple[Any, Any]:
    """The cross power spectral density of two signals, by Welch's method.

    Args:
      x: array.
      y: array, the shorter one is filled with zeros; None for `x` itself.
      fs: the sampling frequency.
      window: the name of a window of SciPy's, a tuple of it and its parameters, or the values.
      nperseg: how long a segment is, by default 256 or the window's length.
      noverlap: by how much segments overlap; by default half.
      nfft: the length of the transforms; by default that of the segments.
      detrend: which trend is taken from each segment, or False.
      return_onesided: whether real signals have no negative frequencies.
      scaling: "density" or "spectrum".
      axis: along which.
      average: "mean" or "median" over the segments.

    Returns:
      The frequencies and the density.

    Raises:
      ValueError: sizes or names do not fit.

    Source: `scipy.signal.csd`; Welch, "The use of the fast Fourier transform for the estimation of power spectra",
    1967.

    Example:
      >>> import canter as ct
      >>> ct.scipy.signal.csd(ct.numpy.ones(16), ct.numpy.ones(16), nperseg=8)[1].shape
      (5,)
    """
    check_arraylike("csd", x, *(() if y is None else (y,)))
    signals = list(promote_dtypes_inexact(*(cnp.asarray(s) for s in ((x,) if y is None else (x, y)))))
    if average not in ("mean", "median"):
        raise ValueError(f"signal.csd: average must be 'median' or 'mean', got {average!r}.")
    frequencies, _, result = _spectra(
        "csd", signals, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis, "psd", None,
        False,
    )  # fmt: skip
    if average == "mean":
        result = cnp.mean(result, axis=-1)
    else:
        # The median of squares is below their mean by this factor (Allen et al., 2012, appendix B).
        even = 2 * np.arange(1, (result.shape[-1] - 1) // 2 + 1)
        bias = 1 + np.sum(1 / (even + 1) - 1 / even)
        if dtypes.issubdtype(result.dtype, np.complexfloating):
            middle = lax.complex(cnp.median(lax.real(result), axis=-1), cnp.median(lax.imag(result), axis=-1))
        else:
            middle = cnp.median(result, axis=-1)
        result = middle / np.asarray(bias, dtypes.finfo(result.dtype).dtype)
    return frequencies, lax.real(result) if y is None else result


def welch(
    x: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
    average: str = "mean",
) -> tuple[Any, Any]:
    """The power spectral density of a signal, by Welch's method.

    Args, raised errors: as for `csd`.

    Returns:
      The frequencies and the density, real.

    Source: `scipy.signal.welch`.

    Example:
      >>> import canter as ct
      >>> ct.scipy.signal.welch(ct.numpy.ones(16), nperseg=8)[1].shape
      (5,)
    """
    return csd(x, None, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis, average)


def istft(
    Zxx: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    input_onesided: bool = True,
    boundary: bool = True,
    time_axis: int = -1,
    freq_axis: int = -2,
) -> tuple[Any, Any]:
    """The inverse of `stft`: a signal whose segments have the given transforms, in the sense of least squares.

    Args:
      Zxx: the transforms.
      fs: the sampling frequency.
      window: as for `stft`.
      nperseg: how long a segment is; by default what the number of frequencies implies.
      noverlap: by how much segments overlap; by default half.
      nfft: the length of the transforms.
      input_onesided: whether there are no negative frequencies.
      boundary: whether the signal was continued at its ends.
      time_axis: which axis is time.
      freq_axis: which axis is frequency.

    Returns:
      The times and the signal.

    Raises:
      ValueError: sizes do not fit.

    Source: `scipy.signal.istft`; Griffin, Lim, "Signal estimation from modified short-time Fourier transform", 1984.

    Example:
      >>> import canter as ct
      >>> _, _, z = ct.scipy.signal.stft(ct.numpy.ones(16), nperseg=8)
      >>> print(ct.scipy.signal.istft(z)[1][:3].round(3))
      [1. 1. 1.]
    """
    check_arraylike("istft", Zxx)
    z = cnp.asarray(Zxx)
    z = z.astype(dtypes.to_complex_dtype(z.dtype))
    if z.ndim < 2:
        raise ValueError("signal.istft: the input must have at least two dimensions.")
    time_axis, freq_axis = canonical_axis(time_axis, z.ndim), canonical_axis(freq_axis, z.ndim)
    if time_axis == freq_axis:
        raise ValueError("signal.istft: time and frequency must be different axes.")
    z = cnp.moveaxis(z, (time_axis, freq_axis), (-2, -1))
    count, bins = z.shape[-2:]
    implied = 2 * (bins - 1) if input_onesided else bins
    nperseg = implied if nperseg is None else operator.index(nperseg)
    if nfft is None:
        nfft = nperseg if input_onesided and nperseg == implied + 1 else implied
    if nfft < nperseg:
        raise ValueError(f"signal.istft: nfft must be at least nperseg, got {nfft} < {nperseg}.")
    noverlap = nperseg // 2 if noverlap is None else operator.index(noverlap)
    if noverlap >= nperseg:
        raise ValueError(f"signal.istft: noverlap must be less than nperseg, got {noverlap} >= {nperseg}.")
    step = nperseg - noverlap
    weights = _window(window, nperseg)
    real_dtype = dtypes.finfo(z.dtype).dtype
    kind = lax.FftType.IRFFT if input_onesided else lax.FftType.IFFT
    needed = nfft // 2 + 1 if input_onesided else nfft
    if needed > bins:
        z = cnp.pad(z, [(0, 0)] * (z.ndim - 1) + [(0, needed - bins)])
    pieces = lax.fft(z[..., :needed], kind, (nfft,))[..., :nperseg]
    pieces = pieces * (weights * weights.sum()).astype(real_dtype)
    length = nperseg + (count - 1) * step
    places = np.arange(count)[:, None] * step + np.arange(nperseg)
    signal = cnp.zeros((*z.shape[:-2], length), pieces.dtype).at[..., places].add(pieces)
    norm = np.bincount(places.ravel(), np.tile(weights**2, count), length)
    if boundary:
        half = nperseg // 2
        signal, norm = signal[..., half : length - half], norm[half : length - half]
    signal = signal / np.where(norm > 1e-10, norm, 1).astype(real_dtype)
    times = cnp.arange(signal.shape[-1], dtype=real_dtype) / fs
    if signal.ndim > 1:
        rest = time_axis - 1 if freq_axis < time_axis else time_axis
        signal = cnp.moveaxis(signal, -1, rest)
    return times, signal
