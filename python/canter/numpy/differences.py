"""Differences of neighbours, integrals and convolutions."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from canter import lax
from canter.core import dtypes
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from . import ufunc_bodies as bodies
from .util import (
    broadcast_to,
    canonical_axes,
    canonical_axis,
    check_arraylike,
    convert,
    dtype_of,
    dtype_rank,
    is_inexact,
    promote_args_inexact,
    promote_dtypes,
    promote_dtypes_inexact,
    shape_of,
)

__all__ = ["convolve", "correlate", "diff", "ediff1d", "gradient", "trapezoid", "unwrap"]


# --- differences --------------------------------------------------------------------------------


@composite(static_argnames=("n", "axis"))
def _diff(a: Any, *, n: int, axis: int) -> Any:
    for _ in range(n):
        size = shape_of(a)[axis]
        if size == 0:
            break
        after, before = lax.slice_in_dim(a, 1, size, 1, axis), lax.slice_in_dim(a, 0, size - 1, 1, axis)
        a = lax.ne(after, before) if dtype_rank(dtype_of(a)) == 0 else lax.sub(after, before)
    return a


@composite(static_argnames=("n", "axis"))
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """The differences of neighbours along an axis, as `numpy.diff`.

    Args:
      a: an array of at least one dimension.
      n: how often to take differences.
      axis: the axis.
      prepend, append: what to join at the ends first.

    Returns:
      An array.

    Raises:
      ValueError: n is negative, a has no dimension, or the axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.diff(cnp.array([1, 4, 9]))
      Array([3, 5], dtype=int32)
    """
    from .joining import concatenate

    check_arraylike("diff", a)
    n = operator.index(n)
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n}.")
    shape = shape_of(a)
    if not shape:
        raise ValueError("diff requires input that is at least one dimensional; got a number.")
    if n == 0:
        return as_array(a)
    axis = canonical_axis(axis, len(shape))
    parts = []
    for part in (prepend, a, append):
        if part is None:
            continue
        if part is not a and not shape_of(part):
            part = broadcast_to(as_array(part), tuple(1 if i == axis else m for i, m in enumerate(shape)))
        parts.append(part)
    return _diff(concatenate(parts, axis) if len(parts) > 1 else as_array(a), n=n, axis=axis)


@composite
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """The differences of neighbours in the flattened array, as `numpy.ediff1d`.

    Args:
      ary: an array.
      to_end, to_begin: what to join at the ends of the result.

    Returns:
      A one-dimensional array.

    Raises:
      TypeError: an argument is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.ediff1d(cnp.array([1, 4, 9]))
      Array([3, 5], dtype=int32)
    """
    from .joining import concatenate
    from .shaping import ravel

    flat = ravel(ary)
    if dtype_rank(dtype_of(flat)) == 0:
        raise TypeError(
            "ediff1d takes numbers, got booleans, which have no differences; canter.numpy.diff compares."
        )
    parts = [_diff(flat, n=1, axis=0)]
    if to_begin is not None:
        parts.insert(0, convert(ravel(to_begin), dtype_of(flat)))
    if to_end is not None:
        parts.append(convert(ravel(to_end), dtype_of(flat)))
    return concatenate(parts) if len(parts) > 1 else parts[0]


def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int | None = None) -> Any:
    """Differences of second order inside, of first order at the edges, as `numpy.gradient`.

    Args:
      f: an array.
      *varargs: the distance of points, one for all axes or one per axis; or their coordinates per axis.
      axis: the axes; None for all.
      edge_order: must be None or 1.

    Returns:
      An array for one axis, else a list of them.

    Raises:
      ValueError: an axis has fewer than two points, or the distances do not fit.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.gradient(cnp.array([1.0, 2.0, 4.0]))
      Array([1. , 1.5, 2. ], dtype=float32)
    """
    if edge_order not in (None, 1):
        raise NotImplementedError("canter.numpy.gradient only supports edge_order=1.")
    check_arraylike("gradient", f, *varargs)
    axes = canonical_axes(axis, len(shape_of(f)))
    spacings = varargs or (1.0,)
    if len(spacings) == 1:
        spacings = spacings * len(axes)
    if len(spacings) != len(axes):
        raise ValueError(
            f"gradient: {len(varargs)} spacings for {len(axes)} axes; pass one, or one per axis."
        )
    for i in axes:
        if shape_of(f)[i] < 2:
            raise ValueError(f"Shape of array too small to calculate a gradient: axis {i} of {shape_of(f)}.")
    out = [_gradient(f, h, axis=i) for h, i in zip(spacings, axes, strict=True)]
    return out[0] if len(out) == 1 else out


@composite(static_argnames=("axis",))
def _gradient(f: Any, h: Any, *, axis: int) -> Any:
    (f,) = promote_dtypes_inexact(f)
    h = convert(as_array(h), dtype_of(f))
    size = shape_of(f)[axis]

    def cut(low: int, high: int) -> Any:
        return lax.slice_in_dim(f, low, high, 1, axis)

    steps = _diff(f, n=1, axis=axis)
    if not shape_of(h):
        first, last = (lax.div(lax.slice_in_dim(steps, i, i + 1, 1, axis), h) for i in (0, size - 2))
        middle = lax.div(lax.sub(cut(2, size), cut(0, size - 2)), lax.mul(h, const(h, 2)))
        return lax.concatenate([first, middle, last], axis)
    if shape_of(h) != (size,):
        raise ValueError(f"gradient: {shape_of(h)[0]} coordinates for {size} points along axis {axis}.")
    width = lax.broadcast_in_dim(_diff(h, n=1, axis=0), shape_of(steps), (axis,))
    slopes = lax.div(steps, width)
    before, after = (lax.slice_in_dim(width, i, size - 2 + i, 1, axis) for i in (0, 1))
    left, right = (lax.slice_in_dim(slopes, i, size - 2 + i, 1, axis) for i in (0, 1))
    middle = lax.div(lax.add(lax.mul(left, after), lax.mul(right, before)), lax.add(before, after))
    ends = (lax.slice_in_dim(slopes, i, i + 1, 1, axis) for i in (0, size - 2))
    first, last = ends
    return lax.concatenate([first, middle, last], axis)


@composite(static_argnames=("axis",))
def _trapezoid(y: Any, x: Any, dx: Any, *, axis: int) -> Any:
    (y,) = promote_dtypes_inexact(y)
    y, dx = promote_dtypes_inexact(as_array(y), dx)
    size = shape_of(y)[axis]
    pairs = lax.add(lax.slice_in_dim(y, 1, size, 1, axis), lax.slice_in_dim(y, 0, size - 1, 1, axis))
    if x is not None:
        x = convert(as_array(x), dtype_of(y))
        if len(shape_of(x)) == 1:
            dx = lax.broadcast_in_dim(_diff(x, n=1, axis=0), shape_of(pairs), (axis,))
        else:
            dx = broadcast_to(_diff(x, n=1, axis=axis), shape_of(pairs))
    area = lax.mul(*promote_args_inexact("trapezoid", pairs, dx))
    return lax.mul(lax.reduce_sum(area, (axis,)), const(area, 0.5))


@composite(static_argnames=("axis",))
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral by the trapezoidal rule, as `numpy.trapezoid`.

    Args:
      y: values.
      x: their coordinates; spaced by dx where None.
      dx: their distance.
      axis: the axis.

    Returns:
      An array of floats without the axis.

    Raises:
      ValueError: the axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.trapezoid(cnp.array([0.0, 1.0, 2.0]))
      Array(2., dtype=float32)
    """
    check_arraylike("trapezoid", y, dx)
    return _trapezoid(y, x, dx, axis=canonical_axis(axis, len(shape_of(y))))


@composite(static_argnames=("axis",))
def unwrap(p: Any, discont: Any = None, axis: int = -1, period: Any = 2 * math.pi) -> Any:
    """Angles with jumps of more than half a period removed, as `numpy.unwrap`.

    Args:
      p: an array.
      discont: the least jump to remove; half a period by default.
      axis: the axis.
      period: the period.

    Returns:
      An array.

    Raises:
      ValueError: the axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.unwrap(cnp.array([0.0, 3.0, 7.0]), period=4)
      Array([ 0., -1., -1.], dtype=float32)
    """
    check_arraylike("unwrap", p, period)
    return _unwrap(p, discont, period, axis=canonical_axis(axis, len(shape_of(p))))


@composite(static_argnames=("axis",))
def _unwrap(p: Any, discont: Any, period: Any, *, axis: int) -> Any:
    # Integers stay what they are, where their differences can be negative.
    whole = dtype_of(p).kind == "i" and dtype_rank(dtype_of(period)) == 1
    if not whole and (not is_inexact(dtype_of(p)) or dtype_rank(dtype_of(period)) > dtype_rank(dtype_of(p))):
        p, period = promote_dtypes_inexact(p, period)
    p = as_array(p)
    period = convert(as_array(period), dtype_of(p))
    half = lax.div(period, const(period, 2))
    steps = _diff(p, n=1, axis=axis)
    wide = broadcast_to(period, shape_of(steps))
    moved = lax.sub(
        bodies.remainder(lax.add(steps, broadcast_to(half, shape_of(steps))), wide),
        broadcast_to(half, shape_of(steps)),
    )
    edge = lax.bitwise_and(
        lax.eq(moved, broadcast_to(lax.neg(half), shape_of(steps))), lax.gt(steps, lax.full_like(steps, 0))
    )
    if whole:  # half of an odd period is between two integers, and no step is just as long
        even = lax.eq(lax.rem(period, const(period, 2)), const(period, 0))
        edge = lax.bitwise_and(edge, broadcast_to(even, shape_of(steps)))
    moved = lax.select(edge, broadcast_to(half, shape_of(steps)), moved)
    limit = half if discont is None else as_array(discont)
    limit = convert(lax.ceil(limit) if whole and is_inexact(dtype_of(limit)) else limit, dtype_of(p))
    small = lax.lt(lax.abs(steps), broadcast_to(limit, shape_of(steps)))
    change = lax.select(small, lax.full_like(steps, 0), lax.sub(moved, steps))
    total = lax.cumsum(change, axis)
    rest = lax.add(lax.slice_in_dim(p, 1, None, 1, axis), total)
    return lax.concatenate([lax.slice_in_dim(p, 0, 1, 1, axis), rest], axis)


# --- convolution --------------------------------------------------------------------------------


@composite(static_argnames=("mode", "flip", "precision", "preferred_element_type"))
def _convolve(a: Any, v: Any, *, mode: str, flip: bool, precision: Any, preferred_element_type: Any) -> Any:
    whole = preferred_element_type is not None and not is_inexact(dtypes.dtype(preferred_element_type))
    a, v = (as_array(x) for x in (promote_dtypes if whole else promote_dtypes_inexact)(a, v))
    swapped = shape_of(a)[0] < shape_of(v)[0]
    if not flip:
        v = bodies.conjugate(v)
    if swapped:
        a, v = v, a
    if flip:
        v = lax.rev(v, (0,))
    size = shape_of(v)[0]
    padding = {"valid": (0, 0), "same": (size // 2, size - size // 2 - 1), "full": (size - 1, size - 1)}[mode]
    if mode == "same" and not flip:
        padding = padding if not swapped else (padding[1], padding[0])
    out = lax.conv_general_dilated(
        lax.reshape(a, (1, 1, shape_of(a)[0])),
        lax.reshape(v, (1, 1, size)),
        (1,),
        [padding],
        precision=precision,
        preferred_element_type=preferred_element_type,
    )
    out = lax.reshape(out, (shape_of(out)[2],))
    return lax.rev(out, (0,)) if swapped and not flip else out


def _convolution(name: str, flip: bool, default: str, what: str, printed: str) -> Callable[..., Any]:
    def convolve(
        a: Any, v: Any, mode: str = default, *, precision: Any = None, preferred_element_type: Any = None
    ) -> Any:
        check_arraylike(name, a, v)
        if mode not in ("full", "same", "valid"):
            raise ValueError(f"mode must be one of 'full', 'same', 'valid', got {mode!r}.")
        if len(shape_of(a)) != 1 or len(shape_of(v)) != 1:
            raise ValueError(
                f"{name}() only supports 1-dimensional inputs, got {shape_of(a)} and {shape_of(v)}."
            )
        if 0 in (*shape_of(a), *shape_of(v)):
            raise ValueError(f"{name}: inputs cannot be empty, got shapes {shape_of(a)} and {shape_of(v)}.")
        return _convolve(
            a, v, mode=mode, flip=flip, precision=precision, preferred_element_type=preferred_element_type
        )

    convolve.__name__ = convolve.__qualname__ = name
    convolve.__module__ = "canter.numpy"
    convolve.__doc__ = f"""The {what} of two one-dimensional arrays, as `numpy.{name}`.

Args:
  a, v: the arrays.
  mode: "full", "same" or "valid"; {default!r} by default.
  precision: None, a `lax.Precision`, its name, or a pair of them.
  preferred_element_type: the dtype of the result and of the accumulation.

Returns:
  A one-dimensional array.

Raises:
  ValueError: an array is not one-dimensional or empty, or the mode is unknown.

Example:
  >>> import canter.numpy as cnp
  >>> cnp.{name}(cnp.array([1.0, 2.0, 3.0]), cnp.array([1.0, 0.5]))
  Array({printed}, dtype=float32)
"""
    return convolve


convolve = _convolution("convolve", True, "full", "convolution", "[1. , 2.5, 4. , 1.5]")
correlate = _convolution("correlate", False, "valid", "cross-correlation", "[2. , 3.5]")
