"""Convolutions and correlations of arrays of any rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from canter import lax, numpy as cnp
from canter.core import dtypes
from canter.core.dimensions import is_symbolic_dim
from canter.numpy.util import canonical_axes, check_arraylike, dtype_of, promote_dtypes_inexact, shape_of
from canter.runtime.composite import composite

__all__ = ["convolve", "convolve2d", "correlate", "correlate2d", "fftconvolve", "transformed"]

_MODES = ("full", "same", "valid")


def _contains(outer: tuple[int, ...], inner: tuple[int, ...]) -> bool:
    return all(n >= m for n, m in zip(outer, inner, strict=True))


def _checked(where: str, in1: Any, in2: Any, mode: str) -> tuple[Any, Any]:
    check_arraylike(where, in1, in2)
    if mode not in _MODES:
        raise ValueError(f"signal.{where}: mode must be one of {list(_MODES)}, got {mode!r}.")
    first, second = shape_of(in1), shape_of(in2)
    if len(first) != len(second):
        raise ValueError(
            f"signal.{where}: in1 and in2 must have the same number of dimensions, got {first} and {second}."
        )
    if 0 in first or 0 in second:
        raise ValueError(
            f"signal.{where}: zero-size arrays are not supported, got shapes {first} and {second}."
        )
    if mode == "valid" and not _contains(first, second) and not _contains(second, first):
        raise ValueError(
            f"signal.{where}: with mode 'valid' one input must be at least as large as the other in every dimension, "
            f"got {first} and {second}."
        )
    one, other = promote_dtypes_inexact(cnp.asarray(in1), cnp.asarray(in2))
    return one, other


@composite(static_argnames=("mode", "precision"))
def _direct(in1: Any, in2: Any, *, mode: str, precision: Any) -> Any:
    """A convolution by XLA's; its window is the mirror image of the second input."""
    if mode == "valid" and not _contains(shape_of(in1), shape_of(in2)):
        in1, in2 = in2, in1
    sizes = shape_of(in2)
    padding = {
        "full": [(n - 1, n - 1) for n in sizes],
        "same": [(n // 2, n - 1 - n // 2) for n in sizes],
        "valid": [(0, 0)] * len(sizes),
    }[mode]
    window = lax.rev(in2, tuple(range(len(sizes))))
    result = lax.conv_general_dilated(
        in1[None, None], window[None, None], (1,) * len(sizes), padding, precision=precision
    )
    return result[0, 0]


def _quick_length(size: int) -> int:
    """The next length whose only prime factors are 2, 3 and 5; a symbolic one as it is."""
    while not is_symbolic_dim(size):
        rest = size
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            break
        size += 1
    return size


def transformed(x: Any, sizes: tuple[int, ...], kind: Any) -> Any:
    """The Fourier transform of the last axes, at most three at a time."""
    if len(sizes) <= 3:
        return lax.fft(x, kind, sizes)
    # Real transforms keep their own axis last.
    inner, outer = sizes[-3:], sizes[:-3]
    real_in, real_out = kind == lax.FftType.RFFT, kind == lax.FftType.IRFFT
    forward = kind in (lax.FftType.FFT, lax.FftType.RFFT)
    plain = lax.FftType.FFT if forward else lax.FftType.IFFT
    first = len(shape_of(x)) - len(sizes)
    if not real_out:
        x = lax.fft(x, kind, inner)
    for i, size in enumerate(outer):
        moved = cnp.moveaxis(x, first + i, -1)
        x = cnp.moveaxis(lax.fft(moved, plain, (size,)), -1, first + i)
    assert not (real_in and real_out)
    return lax.fft(x, kind, inner) if real_out else x


@composite(static_argnames=("mode", "axes"))
def _by_fft(in1: Any, in2: Any, *, mode: str, axes: tuple[int, ...]) -> Any:
    if mode == "valid" and not _contains(
        tuple(shape_of(in1)[a] for a in axes), tuple(shape_of(in2)[a] for a in axes)
    ):
        in1, in2 = in2, in1
    last = tuple(range(-len(axes), 0))
    dtype = dtype_of(in1)
    in1, in2 = (cnp.moveaxis(x, axes, last) for x in (in1, in2))
    first, second = (shape_of(x)[len(shape_of(x)) - len(axes) :] for x in (in1, in2))
    full = tuple(n + m - 1 for n, m in zip(first, second, strict=True))
    sizes = tuple(map(_quick_length, full))
    is_complex = dtypes.issubdtype(dtype, np.complexfloating)
    narrow = dtype.itemsize < 4
    kinds = (lax.FftType.FFT, lax.FftType.IFFT) if is_complex else (lax.FftType.RFFT, lax.FftType.IRFFT)
    spectra = []
    for x, own in ((in1, first), (in2, second)):
        x = x.astype(np.float32) if narrow else x
        missing = [(0, n - m) for n, m in zip(sizes, own, strict=True)]
        x = cnp.pad(x, [(0, 0)] * (len(shape_of(x)) - len(axes)) + missing)
        spectra.append(transformed(x, sizes, kinds[0]))
    result = transformed(spectra[0] * spectra[1], sizes, kinds[1])
    wanted = {
        "full": full,
        "same": first,
        "valid": tuple(n - m + 1 for n, m in zip(first, second, strict=True)),
    }[mode]
    cut = tuple(slice((f - w) // 2, (f - w) // 2 + w) for f, w in zip(full, wanted, strict=True))
    return cnp.moveaxis(result[(..., *cut)], last, axes).astype(dtype)


def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: Sequence[int] | None = None) -> Any:
    """The convolution of two arrays, by Fourier transforms.

    Args:
      in1: array.
      in2: array of the same rank.
      mode: "full", "same" (the part in the middle, of the first's shape) or "valid" (without edges).
      axes: along which; by default all. The other dimensions broadcast.

    Raises:
      ValueError: the mode is unknown, or the shapes do not fit.

    Source: `scipy.signal.fftconvolve`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.signal.fftconvolve(ct.numpy.ones(2), ct.numpy.ones(2)).round(3))
      [1. 2. 1.]
    """
    check_arraylike("fftconvolve", in1, in2)
    ndim = len(shape_of(in1))
    if axes is None:
        along = tuple(range(ndim))
        in1, in2 = _checked("fftconvolve", in1, in2, mode)
    else:
        along = canonical_axes((axes,) if np.ndim(axes) == 0 else tuple(axes), ndim)
        for d, (n, m) in enumerate(zip(shape_of(in1), shape_of(in2), strict=True)):
            if d not in along and n != m and 1 not in (n, m):
                raise ValueError(
                    f"signal.fftconvolve: dimension {d} is none of the axes; its sizes {n} and {m} do not broadcast."
                )
        in1, in2 = promote_dtypes_inexact(cnp.asarray(in1), cnp.asarray(in2))
        if mode not in _MODES:
            raise ValueError(f"signal.fftconvolve: mode must be one of {list(_MODES)}, got {mode!r}.")
    if ndim == 0:
        return in1 * in2
    return _by_fft(in1, in2, mode=mode, axes=along)


def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto", precision: Any = None) -> Any:
    """The convolution of two arrays of the same rank.

    Args:
      in1: array.
      in2: array.
      mode: "full", "same" (the part in the middle, of the first's shape) or "valid" (without edges).
      method: "fft", or "direct", which "auto" is too.
      precision: of the products.

    Raises:
      ValueError: the mode or the method is unknown, or the shapes do not fit.

    Source: `scipy.signal.convolve`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.signal.convolve(ct.numpy.arange(3), ct.numpy.ones(2)))
      [0. 1. 3. 2.]
    """
    if method not in ("auto", "direct", "fft"):
        raise ValueError(f"signal.convolve: got method={method!r}; expected 'auto', 'fft', or 'direct'.")
    if method == "fft":
        return fftconvolve(in1, in2, mode)
    in1, in2 = _checked("convolve", in1, in2, mode)
    return _direct(in1, in2, mode=mode, precision=precision)


def _mirrored(x: Any) -> Any:
    return lax.rev(cnp.conj(x), tuple(range(cnp.ndim(x))))


def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto", precision: Any = None) -> Any:
    """The correlation of two arrays of the same rank: the convolution with the second one's mirror image.

    Args, raised errors: as for `convolve`.

    Source: `scipy.signal.correlate`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.signal.correlate(ct.numpy.arange(3), ct.numpy.array([1.0, 0.0])))
      [0. 0. 1. 2.]
    """
    if method not in ("auto", "direct", "fft"):
        raise ValueError(f"signal.correlate: got method={method!r}; expected 'auto', 'fft', or 'direct'.")
    in1, in2 = _checked("correlate", in1, in2, mode)
    if mode == "valid" and not _contains(in1.shape, in2.shape):
        # A correlation with its operands exchanged is its own mirror image.
        return _mirrored(convolve(in2, _mirrored(in1), mode, method, precision))
    return convolve(in1, _mirrored(in2), mode, method, precision)


def _two_dimensions(where: str, in1: Any, in2: Any, boundary: str, fillvalue: Any) -> None:
    if boundary != "fill" or fillvalue != 0:
        raise NotImplementedError(f"signal.{where}() only supports boundary='fill', fillvalue=0.")
    if np.ndim(in1) != 2 or np.ndim(in2) != 2:
        raise ValueError(f"signal.{where}() only supports inputs of two dimensions.")


def convolve2d(
    in1: Any,
    in2: Any,
    mode: str = "full",
    boundary: str = "fill",
    fillvalue: float = 0,
    precision: Any = None,
) -> Any:
    """The convolution of two matrices.

    Args:
      in1: array.
      in2: array.
      mode: "full", "same" (the part in the middle, of the first's shape) or "valid" (without edges).
      boundary: must be "fill".
      fillvalue: must be 0.
      precision: of the products.

    Raises:
      NotImplementedError: another boundary or fill value.
      ValueError: the mode is unknown, or the shapes do not fit.

    Source: `scipy.signal.convolve2d`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.signal.convolve2d(ct.numpy.ones((2, 2)), ct.numpy.ones((1, 2))))
      [[1. 2. 1.]
       [1. 2. 1.]]
    """
    _two_dimensions("convolve2d", in1, in2, boundary, fillvalue)
    return convolve(in1, in2, mode, "direct", precision)


def correlate2d(
    in1: Any,
    in2: Any,
    mode: str = "full",
    boundary: str = "fill",
    fillvalue: float = 0,
    precision: Any = None,
) -> Any:
    """The correlation of two matrices.

    Args, raised errors: as for `convolve2d`.

    Source: `scipy.signal.correlate2d`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.signal.correlate2d(ct.numpy.ones((1, 2)), ct.numpy.array([[1.0, 2.0]])))
      [[2. 3. 1.]]
    """
    _two_dimensions("correlate2d", in1, in2, boundary, fillvalue)
    if mode != "same":
        return correlate(in1, in2, mode, "direct", precision)
    # Of windows of even size SciPy takes the other middle here.
    full = correlate(in1, in2, "full", "direct", precision)
    starts = [m // 2 for m in shape_of(in2)]
    return lax.slice(full, starts, [start + n for start, n in zip(starts, shape_of(in1), strict=True)])
