"""Resampling by separable kernels: one small matrix product along each resized dimension."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from canter import lax, numpy as cnp
from canter.core import dtypes
from canter.core.dimensions import has_symbols
from canter.numpy.util import (
    canonical_axis,
    canonical_shape,
    check_arraylike,
    convert,
    dtype_of,
    is_inexact,
    shape_of,
)
from canter.runtime.composite import composite

__all__ = ["ResizeMethod", "resize", "scale_and_translate"]


class ResizeMethod(enum.Enum):
    """How values between the elements of an image are found.

    NEAREST takes the nearest element; LINEAR interpolates; CUBIC is Keys' kernel, CUBIC_PYTORCH that as PyTorch
    has it (steeper, with repeated edges, where antialias is off); LANCZOS3 and LANCZOS5 are windowed sinc
    functions; AREA takes the mean of what each new element covers.
    """

    NEAREST = 0
    LINEAR = 1
    LANCZOS3 = 2
    LANCZOS5 = 3
    CUBIC = 4
    CUBIC_PYTORCH = 5
    AREA = 6

    @staticmethod
    def from_string(s: str) -> ResizeMethod:
        """The method of a name.

        Raises:
          ValueError: there is none.
        """
        if s not in _NAMES:
            raise ValueError(f"Unknown resize method {s!r}; expected one of {sorted(_NAMES)}.")
        return _NAMES[s]


_NAMES = {
    "nearest": ResizeMethod.NEAREST,
    **dict.fromkeys(("linear", "bilinear", "trilinear", "triangle"), ResizeMethod.LINEAR),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), ResizeMethod.CUBIC),
    "area": ResizeMethod.AREA,
    "cubic-pytorch": ResizeMethod.CUBIC_PYTORCH,
    "lanczos3": ResizeMethod.LANCZOS3,
    "lanczos5": ResizeMethod.LANCZOS5,
}


def _triangle(x: Any) -> Any:
    return cnp.maximum(0, 1 - x)


def _keys(slope: float) -> Callable[[Any], Any]:
    """Keys, "Cubic convolution interpolation for digital image processing", 1981, with a slope at distance 1."""

    def kernel(x: Any) -> Any:
        near = (((slope + 2) * x - (slope + 3)) * x) * x + 1
        far = ((slope * x - 5 * slope) * x + 8 * slope) * x - 4 * slope
        return cnp.where(x >= 2, 0, cnp.where(x >= 1, far, near))

    return kernel


def _lanczos(radius: int) -> Callable[[Any], Any]:
    def kernel(x: Any) -> Any:
        product = radius * cnp.sin(np.pi * x) * cnp.sin(np.pi * x / radius)
        safe = cnp.where(x > 1e-3, np.pi**2 * x**2, 1)
        return cnp.where(x > radius, 0, cnp.where(x > 1e-3, product / safe, 1))

    return kernel


_KERNELS: dict[ResizeMethod, Callable[[Any], Any]] = {
    ResizeMethod.LINEAR: _triangle,
    ResizeMethod.CUBIC: _keys(-0.5),
    ResizeMethod.CUBIC_PYTORCH: _keys(-0.5),  # where antialias is on, and else _keys(-0.75)
    ResizeMethod.LANCZOS3: _lanczos(3),
    ResizeMethod.LANCZOS5: _lanczos(5),
}


def _weights(
    size: int, new: int, scale: Any, shift: Any, method: ResizeMethod, antialias: bool, dtype: Any
) -> Any:
    """The matrix (size, new) that resamples one dimension. Each column adds up to 1, or is 0 outside."""
    inverse = 1 / convert(scale, dtype)
    width = cnp.maximum(inverse, 1) if antialias else 1
    at = (cnp.arange(new, dtype=dtype) + 0.5) * inverse - convert(shift, dtype) * inverse - 0.5
    places = cnp.arange(size, dtype=dtype)[:, None]
    if method is ResizeMethod.AREA:
        low, high = at - inverse / 2, at + inverse / 2
        weights = cnp.maximum(0, cnp.minimum(high, places + 0.5) - cnp.maximum(low, places - 0.5))
    elif method is ResizeMethod.CUBIC_PYTORCH and not antialias:
        # The kernel reaches two elements beyond the edges, which repeat there.
        reach = cnp.arange(-2, size + 2, dtype=dtype)[:, None]
        spread = _keys(-0.75)(cnp.abs(at[None, :] - reach))
        weights = spread[2:-2].at[0].add(spread[0] + spread[1]).at[-1].add(spread[-2] + spread[-1])
    else:
        weights = _KERNELS[method](cnp.abs(at[None, :] - places) / width)
    total = cnp.sum(weights, axis=0, keepdims=True)
    usable = cnp.abs(total) > 1000 * float(np.finfo(np.float32).eps)
    weights = cnp.where(usable, weights / cnp.where(total != 0, total, 1), 0)
    return cnp.where((at >= -0.5) & (at <= size - 0.5), weights, 0)


@composite(static_argnames=("shape", "axes", "method", "antialias", "precision"))
def _resample(
    image: Any, scale: Any, shift: Any, *, shape: Any, axes: Any, method: Any, antialias: bool, precision: Any
) -> Any:
    dtype = np.dtype(np.float32) if dtype_of(image).itemsize < 4 else dtype_of(image)
    if dtypes.issubdtype(dtype, np.complexfloating):
        dtype = np.dtype(f"float{dtype.itemsize * 4}")
    for i, axis in enumerate(axes):
        weights = _weights(shape_of(image)[axis], shape[axis], scale[i], shift[i], method, antialias, dtype)
        product = cnp.tensordot(image, convert(weights, dtype_of(image)), axes=(axis, 0), precision=precision)
        image = cnp.moveaxis(product, -1, axis)
    return image


@composite(static_argnames=("shape",))
def _nearest(image: Any, *, shape: tuple[int, ...]) -> Any:
    for axis, (size, new) in enumerate(zip(shape_of(image), shape, strict=True)):
        if size != new:
            # With numbers it is a constant; open sizes are values of the program.
            xp: Any = cnp if has_symbols((size, new)) else np
            centres = xp.arange(new, dtype=np.float32) + np.float32(0.5)
            places = xp.floor(centres * xp.asarray(size, np.float32) / xp.asarray(new, np.float32))
            image = cnp.take(image, places.astype(np.int32), axis=axis)
    return image


def _checked(where: str, image: Any, shape: Any, method: Any) -> tuple[Any, tuple[int, ...], ResizeMethod]:
    check_arraylike(where, image)
    image = cnp.asarray(image)
    shape = canonical_shape(shape)
    if len(shape) != image.ndim:
        raise ValueError(
            f"image.{where}: shape {shape} must have as many dimensions as the image, {image.shape}."
        )
    method = ResizeMethod.from_string(method) if isinstance(method, str) else ResizeMethod(method)
    return image, shape, method


def _float_image(image: Any) -> Any:
    return image if is_inexact(dtype_of(image)) else convert(image, dtypes.to_inexact_dtype(dtype_of(image)))


@composite(static_argnames=("shape", "spatial_dims", "method", "antialias", "precision"))
def scale_and_translate(
    image: Any,
    shape: Any,
    spatial_dims: Sequence[int],
    scale: Any,
    translation: Any,
    method: Any,
    antialias: bool = True,
    precision: Any = lax.Precision.HIGHEST,
) -> Any:
    """An image stretched and moved, on a canvas of a given shape; what lies outside is 0.

    Args:
      image: array.
      shape: of the result.
      spatial_dims: the dimensions that change.
      scale: by how much each of them is stretched.
      translation: by how many new elements each is moved.
      method: a `ResizeMethod`, or its name; not "nearest".
      antialias: whether the kernel widens where the image shrinks.
      precision: of the products.

    Raises:
      ValueError: the shape or the method does not fit.

    Example:
      >>> import canter as ct
      >>> image = ct.numpy.arange(4.0)
      >>> print(ct.image.scale_and_translate(image, (4,), (0,), ct.numpy.ones(1), ct.numpy.ones(1), "linear"))
      [0. 0. 1. 2.]
    """
    image, shape, method = _checked("scale_and_translate", image, shape, method)
    if method is ResizeMethod.NEAREST:
        raise ValueError("image.scale_and_translate: method 'nearest' is not supported; use resize.")
    axes = tuple(canonical_axis(d, image.ndim) for d in spatial_dims)
    kept = [d for d in range(image.ndim) if d not in axes and shape[d] != image.shape[d]]
    if kept:
        raise ValueError(
            f"image.scale_and_translate: dimensions {kept} change but are not in spatial_dims {axes}."
        )
    return _resample(
        _float_image(image), cnp.asarray(scale), cnp.asarray(translation), shape=shape, axes=axes, method=method,
        antialias=bool(antialias), precision=precision,
    )  # fmt: skip


@composite(static_argnames=("shape", "method", "antialias", "precision"))
def resize(
    image: Any, shape: Any, method: Any, antialias: bool = True, precision: Any = lax.Precision.HIGHEST
) -> Any:
    """An image brought to another shape.

    Args:
      image: array.
      shape: of the result, with as many dimensions.
      method: a `ResizeMethod`, or its name: "nearest", "linear", "cubic", "lanczos3", "lanczos5".
      antialias: whether the kernel widens where the image shrinks.
      precision: of the products.

    Raises:
      ValueError: the shape or the method does not fit.

    Example:
      >>> import canter as ct
      >>> print(ct.image.resize(ct.numpy.array([0.0, 1.0]), (4,), "linear"))
      [0.   0.25 0.75 1.  ]
    """
    image, shape, method = _checked("resize", image, shape, method)
    if method is ResizeMethod.NEAREST:
        return _nearest(image, shape=shape)
    axes = tuple(d for d in range(image.ndim) if shape[d] != image.shape[d])
    ratios = [shape[d] / image.shape[d] if image.shape[d] else 1.0 for d in axes]
    scale = (
        cnp.asarray(ratios, np.float32)
        if has_symbols((*shape, *image.shape))
        else np.asarray(ratios, np.float32)
    )
    return _resample(
        _float_image(image), scale, np.zeros(len(axes), np.float32), shape=shape, axes=axes, method=method,
        antialias=bool(antialias), precision=precision,
    )  # fmt: skip
