"""Discrete cosine transforms of type II and their inverses, by one Fourier transform of the same length.

Source: Makhoul, "A fast cosine transform in one and two dimensions", 1980.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from canter import lax, numpy as cnp
from canter.core import dtypes
from canter.numpy.util import canonical_axes, canonical_axis, check_arraylike, dtype_of, shape_of, to_inexact
from canter.runtime.composite import composite

__all__ = ["dct", "dctn", "idct", "idctn"]


def _rotation(size: int, dtype: Any) -> Any:
    """exp(-i pi k / 2n) for k < n."""
    return np.exp(-0.5j * np.pi * np.arange(size) / size).astype(dtypes.to_complex_dtype(dtype))


def _complex(x: Any) -> Any:
    return lax.complex(x, cnp.zeros_like(x))


def _forward(x: Any, ortho: bool) -> Any:
    """The transform of real rows."""
    size = shape_of(x)[-1]
    shuffled = cnp.concatenate([x[..., ::2], x[..., 1::2][..., ::-1]], axis=-1)
    value = 2 * lax.real(lax.fft(_complex(shuffled), lax.FftType.FFT, (size,)) * _rotation(size, dtype_of(x)))
    return value * _ortho_scale(size, dtype_of(x)) if ortho else value


def _ortho_scale(size: int, dtype: Any) -> Any:
    scale = np.full(size, math.sqrt(1 / (2 * size)))
    scale[0] = math.sqrt(1 / (4 * size))
    return scale.astype(dtype)


def _inverse(x: Any, ortho: bool) -> Any:
    size = shape_of(x)[-1]
    if ortho:
        x = x / _ortho_scale(size, dtype_of(x))
    mirrored = cnp.concatenate([cnp.zeros_like(x[..., :1]), x[..., 1:][..., ::-1]], axis=-1)
    spectrum = 0.5 * lax.complex(x, -mirrored) / _rotation(size, dtype_of(x))
    shuffled = lax.real(lax.fft(spectrum, lax.FftType.IFFT, (size,)))
    half = (size + 1) // 2
    places = np.empty(size, np.int32)
    places[::2], places[1::2] = np.arange(half), np.arange(size - 1, half - 1, -1)
    return shuffled[..., places]


@composite(static_argnames=("sizes", "axes", "inverse", "ortho"))
def _transform(x: Any, *, sizes: Any, axes: tuple[int, ...], inverse: bool, ortho: bool) -> Any:
    x = to_inexact("dct", x)
    narrow = dtype_of(x) if dtype_of(x).itemsize < 4 else None
    x = x.astype(np.float32) if narrow is not None else x
    body: Callable[[Any, bool], Any] = _inverse if inverse else _forward
    for axis, size in zip(axes, sizes, strict=True):
        x = _resized(cnp.moveaxis(x, axis, -1), size)
        if dtypes.issubdtype(dtype_of(x), np.complexfloating):
            x = lax.complex(body(lax.real(x), ortho), body(lax.imag(x), ortho))
        else:
            x = body(x, ortho)
        x = cnp.moveaxis(x, -1, axis)
    return x if narrow is None else x.astype(narrow)


def _resized(x: Any, size: int) -> Any:
    """Rows cut or filled with zeros to a length."""
    missing = size - shape_of(x)[-1]
    if missing <= 0:
        return x[..., :size]
    return cnp.pad(x, [(0, 0)] * (len(shape_of(x)) - 1) + [(0, missing)])


def _checked(where: str, type: int, norm: str | None) -> bool:
    if type != 2:
        raise NotImplementedError(f"scipy.fft.{where}: only DCT type 2 is implemented, got type={type}.")
    if norm not in (None, "backward", "ortho"):
        raise ValueError(
            f"scipy.fft.{where}: norm={norm!r} is not implemented; use None, 'backward' or 'ortho'."
        )
    return norm == "ortho"


def _one(where: str, x: Any, type: int, n: Any, axis: int, norm: Any, inverse: bool) -> Any:
    check_arraylike(where, x)
    ortho = _checked(where, type, norm)
    axis = canonical_axis(axis, len(shape_of(x)))
    size = shape_of(x)[axis] if n is None else operator.index(n)
    if size < 1:
        raise ValueError(f"scipy.fft.{where}: the number of data points must be positive, got {size}.")
    return _transform(x, sizes=(size,), axes=(axis,), inverse=inverse, ortho=ortho)


def _several(where: str, x: Any, type: int, s: Any, axes: Any, norm: Any, inverse: bool) -> Any:
    check_arraylike(where, x)
    ortho = _checked(where, type, norm)
    ndim = len(shape_of(x))
    if axes is None:
        places = tuple(range(ndim)) if s is None else tuple(range(ndim - len(s), ndim))
    else:
        places = canonical_axes(axes, ndim)
    sizes = tuple(shape_of(x)[a] for a in places) if s is None else tuple(map(operator.index, s))
    if len(sizes) != len(places):
        raise ValueError(
            f"scipy.fft.{where}: s has {len(sizes)} elements, but {len(places)} axes are transformed."
        )
    return _transform(x, sizes=sizes, axes=places, inverse=inverse, ortho=ortho)


def dct(x: Any, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    """The discrete cosine transform along an axis.

    Args:
      x: array.
      type: must be 2.
      n: the length, to which the axis is cut or filled with zeros.
      axis: along which.
      norm: None, "backward", or "ortho" for an orthogonal transform.

    Raises:
      NotImplementedError: another type.
      ValueError: another norm, or the axis is out of bounds.

    Source: `scipy.fft.dct`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.fft.dct(ct.numpy.ones(2)).round(3))
      [4. 0.]
    """
    return _one("dct", x, type, n, axis, norm, False)


def idct(x: Any, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    """The inverse of `dct`.

    Args, raised errors: as for `dct`.

    Source: `scipy.fft.idct`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.fft.idct(ct.numpy.array([4.0, 0.0])).round(3))
      [1. 1.]
    """
    return _one("idct", x, type, n, axis, norm, True)


def dctn(
    x: Any,
    type: int = 2,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str | None = None,
) -> Any:
    """The discrete cosine transform along several axes.

    Args:
      x: array.
      type: must be 2.
      s: the lengths of these axes.
      axes: along which; by default all, or as many of the last as `s` has lengths.
      norm: None, "backward", or "ortho" for an orthogonal transform.

    Raises:
      NotImplementedError: another type.
      ValueError: another norm, or `s` and `axes` do not fit.

    Source: `scipy.fft.dctn`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.fft.dctn(ct.numpy.ones((2, 2)))[0, 0].round(3))
      16.0
    """
    return _several("dctn", x, type, s, axes, norm, False)


def idctn(
    x: Any,
    type: int = 2,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str | None = None,
) -> Any:
    """The inverse of `dctn`.

    Args, raised errors: as for `dctn`.

    Source: `scipy.fft.idctn`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.fft.idctn(ct.scipy.fft.dctn(ct.numpy.ones((2, 2)))).round(3)[0])
      [1. 1.]
    """
    return _several("idctn", x, type, s, axes, norm, True)
