"""Discrete Fourier transforms over the last one to three axes."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.avals import ShapedArray
from ..core.primitive import Primitive
from ..transforms.rules import Zero, deflinear, moveaxis
from .common import const, ops
from .shapes import aval_of, int_tuple, shape_of

__all__ = ["FftType", "fft", "fft_p"]


class FftType(enum.IntEnum):
    """Kinds of Fourier transforms.

    FFT and IFFT go from complex to complex numbers, IFFT with a factor of one over the number of
    elements. RFFT goes from real numbers to the half of their spectrum that determines the other
    half, IRFFT back.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.fft(cnp.ones(4), lax.FftType.RFFT, (4,)).shape
      (3,)
    """

    FFT = 0
    IFFT = 1
    RFFT = 2
    IRFFT = 3


def fft(x: Any, fft_type: FftType | str, fft_lengths: Sequence[int]) -> Any:
    """Discrete Fourier transform over the last axes of an array.

    Args:
      x: array; real for RFFT, complex for the others (FFT and IFFT convert real numbers).
      fft_type: a `FftType` or its name.
      fft_lengths: the sizes, in real space, of the last one to three axes, over which to transform.

    Returns:
      The transform; along the last axis RFFT gives `n // 2 + 1` elements and IRFFT takes as many.

    Raises:
      ValueError: the kind is unknown, or sizes or dtypes do not fit.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.fft(cnp.array([1.0, 0.0, 0.0]), "RFFT", (3,)).shape
      (2,)
    """
    kind = _kind(fft_type)
    lengths = int_tuple(fft_lengths, "fft")
    aval = aval_of(x)
    is_complex = dtypes.issubdtype(aval.dtype, np.complexfloating)
    if kind is FftType.RFFT:
        if is_complex:
            raise ValueError(f"fft: RFFT transforms real numbers, got dtype {aval.dtype.name}; use FFT.")
        if dtypes.issubdtype(aval.dtype, np.floating):
            if aval.dtype.itemsize < 4:
                raise ValueError(
                    f"fft: RFFT transforms float32 or float64, got dtype {aval.dtype.name}; convert it with astype."
                )
        else:
            x = ops.convert_element_type(x, dtypes.to_inexact_dtype(aval.dtype))
    elif not is_complex:
        x = ops.convert_element_type(x, dtypes.to_complex_dtype(aval.dtype))
    if not lengths:
        return x
    return fft_p.bind(x, fft_type=kind, fft_lengths=lengths)


def _kind(fft_type: Any) -> FftType:
    if isinstance(fft_type, str):
        try:
            return FftType[fft_type.upper()]
        except KeyError:
            raise ValueError(f"fft: unknown kind {fft_type!r}; use FFT, IFFT, RFFT or IRFFT.") from None
    return FftType(fft_type)


def _fft_shape_rule(x: Any, *, fft_type: FftType, fft_lengths: tuple[int, ...]) -> Any:
    count = len(fft_lengths)
    if count > 3 or len(x.shape) < count:
        raise ValueError(
            f"fft transforms the last one to three axes; got fft_lengths={fft_lengths} for shape {x.shape}."
        )
    half = fft_lengths[-1] // 2 + 1
    wanted = (*fft_lengths[:-1], half) if fft_type is FftType.IRFFT else fft_lengths
    if x.shape[-count:] != wanted:
        raise ValueError(
            f"fft: the last axes must have sizes {wanted} for {fft_type.name} with fft_lengths={fft_lengths}; "
            f"got shape {x.shape}."
        )
    if fft_type is FftType.RFFT:
        return ShapedArray((*x.shape[:-1], half), dtypes.to_complex_dtype(x.dtype))
    if fft_type is FftType.IRFFT:
        return ShapedArray((*x.shape[:-1], fft_lengths[-1]), dtypes.finfo(x.dtype).dtype)
    return x


def _multiplicity(dtype: Any, length: int) -> np.ndarray:
    """How many elements of the whole spectrum each element of the half of it stands for: 1 or 2."""
    counts = np.full(length // 2 + 1, 2)
    counts[0] = 1
    if length % 2 == 0:
        counts[-1] = 1
    return counts.astype(dtype)


def _fft_transpose(ct: Any, x: Any, *, fft_type: FftType, fft_lengths: tuple[int, ...]) -> list[Any]:
    if type(ct) is Zero:
        return [Zero(x.aval)]
    if fft_type in (FftType.FFT, FftType.IFFT):
        return [fft(ct, fft_type, fft_lengths)]  # the matrix of the transform is symmetric
    size = math.prod(fft_lengths)
    if fft_type is FftType.RFFT:
        weighted = ops.div(ops.conj(ct), _spread(_multiplicity(aval_of(ct).dtype, fft_lengths[-1]), ct))
        result = fft(weighted, FftType.IRFFT, fft_lengths)
        return [ops.mul(result, const(result, size))]
    spectrum = ops.conj(fft(ct, FftType.RFFT, fft_lengths))
    weights = _multiplicity(aval_of(spectrum).dtype, fft_lengths[-1]) / size
    return [ops.mul(spectrum, _spread(weights.astype(aval_of(spectrum).dtype), spectrum))]


def _spread(weights: np.ndarray, like: Any) -> Any:
    shape = shape_of(like)
    return ops.broadcast_in_dim(weights, shape, (len(shape) - 1,))


def _fft_batch(args: Any, dims: Any, **params: Any) -> tuple[Any, int]:
    return fft_p.bind(moveaxis(args[0], dims[0], 0), **params), 0


fft_p = Primitive("fft")
fft_p.def_abstract_eval(_fft_shape_rule)
fft_p.def_batching(_fft_batch)
deflinear(fft_p, _fft_transpose)
