"""Discrete Fourier transforms, `canter.numpy.fft`, under NumPy's names.

All transforms go through one function. It pads or crops the axes to the wanted sizes, moves them to
the end, transforms up to three at a time (which is what the compiler's operation takes), and scales.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from canter import lax
from canter.core.dimensions import has_symbols, is_symbolic_dim, size_of, sizes_of
from canter.lax import FftType
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from .creation import place, requested_dtype
from .repeating import roll
from .util import (
    canonical_axes,
    canonical_axis,
    check_arraylike,
    convert,
    dtype_of,
    dtype_rank,
    promote_dtypes_inexact,
    scalar_like,
    shape_of,
)

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft", "irfft",
    "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip

FORWARD, INVERSE, REAL, REAL_INVERSE = FftType.FFT, FftType.IFFT, FftType.RFFT, FftType.IRFFT

#: What scaling a transform in the other direction would take: the Hermitian transforms go backwards.
_SWAPPED = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


# --- the transform ------------------------------------------------------------------------------


def _norm(norm: str | None) -> str:
    chosen = "backward" if norm is None else norm
    if chosen not in _SWAPPED:
        raise ValueError(f'Invalid norm value {norm!r}; should be "backward", "ortho" or "forward".')
    return chosen


def _sizes(name: str, kind: FftType, shape: tuple[int, ...], axes: Sequence[int], s: Any) -> tuple[int, ...]:
    """The sizes of the transformed axes, in real space."""
    if s is None:
        sizes = [shape[axis] for axis in axes]
        if kind is REAL_INVERSE and axes:
            sizes[-1] = max(0, 2 * (sizes[-1] - 1))
        return tuple(sizes)
    sizes = list(sizes_of(s))
    if len(sizes) != len(axes):
        raise ValueError(f"{name}: s={tuple(sizes)} and axes={tuple(axes)} have different lengths.")
    if any(n < 1 for n in sizes):
        raise ValueError(f"{name}: sizes of transforms should be positive, got {tuple(sizes)}.")
    return tuple(sizes)


def _operand(name: str, kind: FftType, a: Any) -> Any:
    check_arraylike(name, a)
    if kind is REAL and dtype_rank(dtype_of(a)) == 3:
        raise ValueError(f"{name} takes real numbers, got {dtype_of(a)}: use the complex transform.")
    return as_array(a)


@composite(static_argnames=("kind", "sizes", "axes", "norm"))
def _transform(a: Any, *, kind: FftType, sizes: tuple[int, ...], axes: tuple[int, ...], norm: str) -> Any:
    (a,) = promote_dtypes_inexact(a)
    if dtype_rank(dtype_of(a)) == 2 and dtype_of(a).itemsize < 4:
        a = convert(a, np.dtype(np.float32))
    if not axes:
        return a
    a = _with_sizes(a, [*sizes[:-1], sizes[-1] // 2 + 1] if kind is REAL_INVERSE else list(sizes), axes)
    rank = len(shape_of(a))
    order = [i for i in range(rank) if i not in axes] + list(axes)
    out = _by_threes(_ordered(a, order), kind, sizes)
    return _ordered(_scaled(out, kind, math.prod(sizes), norm), [order.index(i) for i in range(rank)])


def _ordered(a: Any, order: Sequence[int]) -> Any:
    return a if list(order) == sorted(order) else lax.transpose(a, order)


def _with_sizes(a: Any, sizes: Sequence[int], axes: Sequence[int]) -> Any:
    """a cropped, or padded with zeros at the end, to sizes along axes."""
    shape = shape_of(a)
    change = [0] * len(shape)
    for size, axis in zip(sizes, axes, strict=True):
        change[axis] = size - shape[axis]
    return lax.pad(a, const(a, 0), [(0, n, 0) for n in change]) if any(change) else a


def _by_threes(a: Any, kind: FftType, sizes: tuple[int, ...]) -> Any:
    """The transform over the last axes.

    The real transforms halve the last one: they take it first on the way to the spectrum, last on the way back.
    """
    if 0 in shape_of(a) or 0 in sizes:
        return _empty_spectrum(a, kind, sizes)
    last, rest = sizes[-3:], sizes[:-3]
    others = INVERSE if kind in (INVERSE, REAL_INVERSE) else FORWARD
    if kind is REAL_INVERSE:
        return lax.fft(_leading(a, others, rest, len(last)), kind, last)
    return _leading(lax.fft(a, kind, last), others, rest, len(last))


def _leading(a: Any, kind: FftType, sizes: tuple[int, ...], done: int) -> Any:
    """The transform over the axes before the last `done` ones."""
    while sizes:
        part = sizes[-3:]
        rank = len(shape_of(a))
        first = rank - done - len(part)
        order = (*range(first), *range(rank - done, rank), *range(first, rank - done))
        a = _ordered(lax.fft(_ordered(a, order), kind, part), [order.index(i) for i in range(rank)])
        sizes, done = sizes[:-3], done + len(part)
    return a


def _empty_spectrum(a: Any, kind: FftType, sizes: tuple[int, ...]) -> Any:
    shape = shape_of(a)[: len(shape_of(a)) - len(sizes)] + sizes
    if kind is REAL:
        shape = (*shape[:-1], shape[-1] // 2 + 1 if shape[-1] else 0)
    complex_dtype = np.result_type(dtype_of(a), np.complex64)
    return lax.full(shape, 0, np.finfo(complex_dtype).dtype if kind is REAL_INVERSE else complex_dtype)


def _scaled(spectrum: Any, kind: FftType, size: int, norm: str) -> Any:
    forward = kind in (FORWARD, REAL)
    power = {"backward": 0.0, "ortho": -0.5 if forward else 0.5, "forward": -1.0 if forward else 1.0}[norm]
    return lax.mul(spectrum, const(spectrum, float(size) ** power)) if power and size else spectrum


def _hermitian(a: Any, kind: FftType, sizes: tuple[int, ...], axes: tuple[int, ...], norm: str) -> Any:
    norm = _SWAPPED[norm]
    if kind is REAL_INVERSE:
        return _transform(_conjugate(a), kind=kind, sizes=sizes, axes=axes, norm=norm)
    return _conjugate(_transform(a, kind=kind, sizes=sizes, axes=axes, norm=norm))


def _conjugate(a: Any) -> Any:
    return lax.conj(a) if dtype_rank(dtype_of(a)) == 3 else a


# --- the public functions -----------------------------------------------------------------------

# fmt: off
# name, kind, what it does, example operand, printed result
_TRANSFORMS: tuple[tuple[str, FftType, str, str, str], ...] = (
    ("fft", FORWARD, "The spectrum of an array along one axis", "[1.0, 0.0, 0.0]",
     "Array([1.+0.j, 1.+0.j, 1.+0.j], dtype=complex64)"),
    ("ifft", INVERSE, "The array of a spectrum along one axis, the inverse of fft", "[3.0, 0.0, 0.0]",
     "Array([1.+0.j, 1.+0.j, 1.+0.j], dtype=complex64)"),
    ("rfft", REAL, "The non-negative half of a real array's spectrum along one axis", "[1.0, 0.0, 0.0, 0.0]",
     "Array([1.+0.j, 1.+0.j, 1.+0.j], dtype=complex64)"),
    ("irfft", REAL_INVERSE, "The real array of the non-negative half of a spectrum along one axis",
     "[4.0, 0.0, 0.0]", "Array([1., 1., 1., 1.], dtype=float32)"),
    ("hfft", REAL_INVERSE, "The real spectrum of a signal that is Hermitian in time, along one axis",
     "[1.0, 0.0, 0.0]", "Array([1., 1., 1., 1.], dtype=float32)"),
    ("ihfft", REAL, "The signal, Hermitian in time, of a real spectrum along one axis, the inverse of hfft",
     "[4.0, 0.0, 0.0, 0.0]", "Array([1.-0.j, 1.-0.j, 1.-0.j], dtype=complex64)"),
    ("fftn", FORWARD, "The spectrum of an array over several axes", "[[1.0, 0.0]]",
     "Array([[1.+0.j, 1.+0.j]], dtype=complex64)"),
    ("ifftn", INVERSE, "The array of a spectrum over several axes, the inverse of fftn", "[[2.0, 0.0]]",
     "Array([[1.+0.j, 1.+0.j]], dtype=complex64)"),
    ("rfftn", REAL, "The half of a real array's spectrum over several axes", "[[1.0, 0.0]]",
     "Array([[1.+0.j, 1.+0.j]], dtype=complex64)"),
    ("irfftn", REAL_INVERSE, "The real array of half a spectrum over several axes, the inverse of rfftn",
     "[[2.0, 0.0]]", "Array([[1., 1.]], dtype=float32)"),
    ("fft2", FORWARD, "The spectrum of an array over two axes", "[[1.0, 0.0]]",
     "Array([[1.+0.j, 1.+0.j]], dtype=complex64)"),
    ("ifft2", INVERSE, "The array of a spectrum over two axes, the inverse of fft2", "[[2.0, 0.0]]",
     "Array([[1.+0.j, 1.+0.j]], dtype=complex64)"),
    ("rfft2", REAL, "The half of a real array's spectrum over two axes", "[[1.0, 0.0]]",
     "Array([[1.+0.j, 1.+0.j]], dtype=complex64)"),
    ("irfft2", REAL_INVERSE, "The real array of half a spectrum over two axes, the inverse of rfft2",
     "[[2.0, 0.0]]", "Array([[1., 1.]], dtype=float32)"),
)
# fmt: on

_ONE_AXIS = """  n: the axis' size, in real space: the array is cropped or padded with zeros to it.
  axis: the axis."""
_MANY_AXES = """  s: the axes' sizes, in real space: the array is cropped or padded with zeros to them.
  axes: the axes{default}."""

_DOC = """{summary}, as `numpy.fft.{name}`.

Args:
  a: an array or number{domain}.
{size}
  norm: "backward" (also None) divides in the inverse transform by the number of elements, "forward" in the
    forward one, and "ortho" by its root in both.

Returns:
  An array of {result} numbers{length}.

Raises:
  ValueError: an axis is out of bounds or there twice, a size is not positive, or norm is unknown{real}.

Example:
  >>> import canter.numpy as cnp
  >>> cnp.fft.{name}(cnp.array({example}))
  {printed}
"""


def _document(function: Callable[..., Any], row: tuple[str, FftType, str, str, str], size: str) -> Any:
    name, kind, summary, example, printed = row
    lengths = {
        REAL: "; the last transformed axis has n // 2 + 1 elements",
        REAL_INVERSE: "; the last transformed axis has 2 (m - 1) elements for m unless its size is given",
    }
    function.__name__ = function.__qualname__ = name
    function.__module__ = __name__
    function.__doc__ = _DOC.format(
        name=name,
        summary=summary,
        size=size,
        example=example,
        printed=printed,
        domain=" of real numbers" if kind is REAL else "",
        real=", or a is complex" if kind is REAL else "",
        result="real" if kind is REAL_INVERSE else "complex",
        length=lengths.get(kind, ""),
    )
    return function


def _one_axis(row: tuple[str, FftType, str, str, str]) -> Callable[..., Any]:
    name, kind = row[:2]
    body = _hermitian if name in ("hfft", "ihfft") else _transform

    def transform(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
        a = _operand(name, kind, a)
        try:
            axis = operator.index(axis)
        except TypeError:
            raise ValueError(
                f"{name} transforms one axis, got axis={axis!r}; the functions whose names end in n take several."
            ) from None
        axes = (canonical_axis(axis, len(shape_of(a))),)
        sizes = _sizes(name, kind, shape_of(a), axes, None if n is None else (n,))
        return body(a, kind=kind, sizes=sizes, axes=axes, norm=_norm(norm))

    return _document(transform, row, _ONE_AXIS)


def _over(name: str, kind: FftType, a: Any, s: Any, axes: Any, norm: str | None) -> Any:
    a = _operand(name, kind, a)
    rank = len(shape_of(a))
    if axes is None:
        chosen = tuple(range(rank)) if s is None else tuple(range(rank - len(s), rank))
    else:
        chosen = tuple(canonical_axis(operator.index(axis), rank) for axis in axes)
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"{name} does not support repeated axes, got axes={tuple(axes)}.")
    if chosen and chosen[0] < 0:
        raise ValueError(
            f"{name}: s={tuple(s)} has more sizes than the array of shape {shape_of(a)} has axes."
        )
    return _transform(
        a, kind=kind, sizes=_sizes(name, kind, shape_of(a), chosen, s), axes=chosen, norm=_norm(norm)
    )


def _many_axes(row: tuple[str, FftType, str, str, str]) -> Callable[..., Any]:
    name, kind = row[:2]

    def transform(
        a: Any, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str | None = None
    ) -> Any:
        return _over(name, kind, a, s, axes, norm)

    return _document(transform, row, _MANY_AXES.format(default="; all, or the last ones if s is given"))


def _two_axes(row: tuple[str, FftType, str, str, str]) -> Callable[..., Any]:
    name, kind = row[:2]

    def transform(
        a: Any, s: Sequence[int] | None = None, axes: Sequence[int] = (-2, -1), norm: str | None = None
    ) -> Any:
        if len(axes) != 2:
            raise ValueError(f"{name} transforms 2 axes, got axes={tuple(axes)}.")
        return _over(name, kind, a, s, axes, norm)

    return _document(transform, row, _MANY_AXES.format(default="; the last two by default"))


_by_name = {
    row[0]: (_two_axes if row[0].endswith("2") else _many_axes if row[0].endswith("n") else _one_axis)(row)
    for row in _TRANSFORMS
}
fft, ifft, rfft, irfft = (_by_name[name] for name in ("fft", "ifft", "rfft", "irfft"))
hfft, ihfft = _by_name["hfft"], _by_name["ihfft"]
fftn, ifftn, rfftn, irfftn = (_by_name[name] for name in ("fftn", "ifftn", "rfftn", "irfftn"))
fft2, ifft2, rfft2, irfft2 = (_by_name[name] for name in ("fft2", "ifft2", "rfft2", "irfft2"))


# --- frequencies --------------------------------------------------------------------------------


def _frequencies(
    name: str, counts: Callable[[Any, Any], Any], n: Any, d: Any, dtype: Any, device: Any
) -> Any:
    try:
        size = size_of(n)
    except TypeError:
        raise ValueError(f"The n argument of {name} takes an int, got n={n!r}.") from None
    check_arraylike(name, d)
    target = requested_dtype(name, dtype)
    computing = target if dtype_rank(target) >= 2 else requested_dtype(name, None)
    if is_symbolic_dim(size):
        numbers = convert(counts(partial(lax.iota, np.int32), size), computing)
    else:
        size = max(size, 0)
        numbers = as_array(counts(np.arange, size).astype(computing))
    spacing = convert(d, computing) if not isinstance(d, (int, float)) else scalar_like(d, numbers.aval)
    if shape_of(spacing):
        raise TypeError(f"{name} takes one spacing d, got shape {shape_of(spacing)}.")
    out = numbers if size == 0 else lax.div(numbers, lax.mul(spacing, const(numbers, size)))
    return place(convert(out, target), device)


def fftfreq(n: int, d: Any = 1.0, *, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of the elements that `fft` gives, as `numpy.fft.fftfreq`.

    Args:
      n: the number of elements, an int.
      d: the time between samples, a number.
      dtype: dtype of the result; the default float dtype by default.
      device: a device or sharding to put it on.

    Returns:
      An array of shape (n,): 0, 1, ... and then the negative ones up to -1, over n d.

    Raises:
      ValueError: n is not an int.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.fft.fftfreq(4)
      Array([ 0.  ,  0.25, -0.5 , -0.25], dtype=float32)
    """

    def counts(arange: Callable[[Any], Any], size: Any) -> Any:
        return (arange(size) + size // 2) % size - size // 2 if size else arange(0)

    return _frequencies("fftfreq", counts, n, d, dtype, device)


def rfftfreq(n: int, d: Any = 1.0, *, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of the elements that `rfft` gives, as `numpy.fft.rfftfreq`.

    Args:
      n: the number of elements of the real array, an int.
      d: the time between samples, a number.
      dtype: dtype of the result; the default float dtype by default.
      device: a device or sharding to put it on.

    Returns:
      An array of shape (n // 2 + 1,): 0, 1, ... over n d.

    Raises:
      ValueError: n is not an int.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.fft.rfftfreq(4)
      Array([0.  , 0.25, 0.5 ], dtype=float32)
    """
    return _frequencies("rfftfreq", lambda arange, size: arange(size // 2 + 1), n, d, dtype, device)


def _shifted(name: str, x: Any, axes: Any, inverse: bool) -> Any:
    check_arraylike(name, x)
    shape = shape_of(x)
    if axes is not None and not isinstance(axes, int):
        axes = tuple(axes)
    chosen = canonical_axes(axes, len(shape))
    if has_symbols(shape):
        for axis in chosen:
            cut = shape[axis] // 2 if inverse else shape[axis] - shape[axis] // 2
            parts = ((cut, shape[axis]), (0, cut))
            x = lax.concatenate([lax.slice_in_dim(as_array(x), *part, axis=axis) for part in parts], axis)
        return x
    return roll(x, tuple(-(shape[i] // 2) if inverse else shape[i] // 2 for i in chosen), chosen)


@composite(static_argnames=("axes",))
def fftshift(x: Any, axes: Any = None) -> Any:
    """The elements of a spectrum shifted so that frequency 0 stands in the middle, as `numpy.fft.fftshift`.

    Args:
      x: an array.
      axes: an axis or several; all by default.

    Returns:
      An array of x's shape.

    Raises:
      ValueError: an axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.fft.fftshift(cnp.array([0, 1, 2, -2, -1]))
      Array([-2, -1,  0,  1,  2], dtype=int32)
    """
    return _shifted("fftshift", x, axes, False)


@composite(static_argnames=("axes",))
def ifftshift(x: Any, axes: Any = None) -> Any:
    """The inverse of `fftshift`, as `numpy.fft.ifftshift`.

    Args:
      x: an array.
      axes: an axis or several; all by default.

    Returns:
      An array of x's shape.

    Raises:
      ValueError: an axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.fft.ifftshift(cnp.array([-2, -1, 0, 1, 2]))
      Array([ 0,  1,  2, -2, -1], dtype=int32)
    """
    return _shifted("ifftshift", x, axes, True)
