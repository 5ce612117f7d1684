"""Functions that repeat elements or move them round: tile, repeat, resize, roll."""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from canter import lax
from canter.core.dimensions import is_symbolic_dim, size_of
from canter.core.trace import Tracer
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from . import ufunc_bodies as bodies
from .creation import asarray, place
from .shaping import ravel, reshape
from .util import (
    aval_of,
    broadcast_to as broadcast_known,
    canonical_axis,
    canonical_shape,
    check_arraylike,
    dtype_of,
    shape_of,
)

__all__ = ["repeat", "resize", "roll", "tile"]


# --- repeating ----------------------------------------------------------------------------------


@composite(static_argnames=("reps",))
def _tile(A: Any, *, reps: tuple[int, ...]) -> Any:
    rank = builtins.max(len(reps), len(shape_of(A)))
    reps = (1,) * (rank - len(reps)) + reps
    return lax.tile(lax.broadcast_to_rank(A, rank), reps)


@composite(static_argnames=("reps",))
def tile(A: Any, reps: Any) -> Any:
    """An array repeated as a whole, as `numpy.tile`.

    Args:
      A: an array or number.
      reps: how many times along each axis.

    Returns:
      An array.

    Raises:
      TypeError: a number of repeats is not a concrete integer.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.tile(cnp.arange(2), 2)
      Array([0, 1, 0, 1], dtype=int32)
    """
    check_arraylike("tile", A)
    return _tile(as_array(A), reps=canonical_shape(reps))


@composite(static_argnames=("count", "axis"))
def _repeat_evenly(a: Any, *, count: int, axis: int) -> Any:
    own = shape_of(a)
    wide = (*own[: axis + 1], count, *own[axis + 1 :])
    dims = tuple(i for i in range(len(wide)) if i != axis + 1)
    return lax.reshape(
        lax.broadcast_in_dim(a, wide, dims), (*own[:axis], own[axis] * count, *own[axis + 1 :])
    )


@composite(static_argnames=("axis", "total"))
def _repeat_each(a: Any, repeats: Any, *, axis: int, total: int) -> Any:
    # Position p of the result holds the first element whose repeats end after p.
    from .indexing import take
    from .sorting import searchsorted

    repeats = broadcast_known(as_array(repeats), (shape_of(a)[axis],))
    which = searchsorted(lax.cumsum(repeats, 0), lax.iota(dtype_of(repeats), total), side="right")
    return take(a, which, axis=axis, mode="clip")


def repeat(
    a: Any,
    repeats: Any,
    axis: int | None = None,
    *,
    total_repeat_length: int | None = None,
    out_sharding: Any = None,
) -> Any:
    """Elements repeated along an axis, as `numpy.repeat`.

    Args:
      a: an array or number.
      repeats: how often each element; a number, or one per element.
      axis: the axis; None flattens a first.
      total_repeat_length: the length of the result, needed where `repeats` is traced: what is beyond is
        cut off, what is missing is filled with the last element.
      out_sharding: a sharding to put the result on.

    Returns:
      An array.

    Raises:
      ValueError: `repeats` is negative or has another length than the axis.
      ConcretizationTypeError: `repeats` is traced and there is no `total_repeat_length`.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.repeat(cnp.array([1, 2]), 2)
      Array([1, 1, 2, 2], dtype=int32)
    """
    check_arraylike("repeat", a, *([] if isinstance(repeats, (list, tuple)) else [repeats]))
    a = ravel(a) if axis is None else as_array(a)
    axis = canonical_axis(0 if axis is None else axis, len(shape_of(a)))
    if isinstance(repeats, Tracer) and total_repeat_length is None:
        from canter.core.trace import concrete_or_error

        repeats = concrete_or_error(
            None,
            repeats,
            "It sets the shape of canter.numpy.repeat's result: pass total_repeat_length, or make it static.",
        )
    if total_repeat_length is None and is_symbolic_dim(repeats):
        return place(_repeat_evenly(a, count=repeats, axis=axis), None, out_sharding, "jnp.repeat")
    if total_repeat_length is None:
        counts = np.atleast_1d(np.asarray(repeats))
        _check_repeats(counts, shape_of(a)[axis])
        if counts.size == 1:
            return place(_repeat_evenly(a, count=int(counts[0]), axis=axis), None, out_sharding, "jnp.repeat")
        total = int(counts.sum())
        if total == 0:
            return lax.slice_in_dim(a, 0, 0, 1, axis)
        from .indexing import take

        which = np.repeat(np.arange(counts.size, dtype=np.int32), counts)
        return place(take(a, which, axis=axis, mode="clip"), None, out_sharding, "jnp.repeat")
    total = size_of(total_repeat_length)
    return place(_repeat_each(a, asarray(repeats), axis=axis, total=total), None, out_sharding, "jnp.repeat")


def _check_repeats(counts: np.ndarray, length: int) -> None:
    if counts.ndim != 1 or counts.dtype.kind not in "iub":
        raise TypeError(
            f"repeats must be integers in at most one dimension, got {counts.dtype} of shape {counts.shape}."
        )
    if counts.size not in (1, length):
        raise ValueError(f"repeats must have length 1 or that of the axis, {length}, got {counts.size}.")
    if (counts < 0).any():
        raise ValueError("repeats must not be negative.")


def resize(a: Any, new_shape: Any) -> Any:
    """An array of a new shape, its elements repeated or cut, as `numpy.resize`.

    Args:
      a: an array or number.
      new_shape: the shape.

    Returns:
      An array.

    Raises:
      ValueError: a dimension is negative.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.resize(cnp.arange(2), 3)
      Array([0, 1, 0], dtype=int32)
    """
    new_shape = canonical_shape(new_shape)
    flat = ravel(a)
    total = math.prod(new_shape)
    if total == 0 or flat.shape[0] == 0:
        from .creation import zeros_like

        return zeros_like(flat, shape=new_shape)
    copies = -(-total // flat.shape[0])
    return reshape(lax.slice_in_dim(tile(flat, copies), 0, total), new_shape)


@composite(static_argnames=("shifts", "axes"))
def _roll_static(a: Any, *, shifts: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    own = shape_of(a)
    for shift, axis in zip(shifts, axes, strict=True):
        total = own[axis]
        cut = -shift % total if total else 0
        if cut:
            head = lax.slice_in_dim(a, 0, cut, 1, axis)
            a = lax.concatenate([lax.slice_in_dim(a, cut, total, 1, axis), head], axis)
    return a


@composite(static_argnames=("axes",))
def _roll(a: Any, shifts: Any, *, axes: tuple[int, ...]) -> Any:
    own = shape_of(a)
    shifts = broadcast_known(as_array(shifts), (len(axes),))
    for i, axis in enumerate(axes):
        total = own[axis]
        if total:
            shift = lax.squeeze(lax.slice_in_dim(shifts, i, i + 1), (0,))
            start = bodies.remainder(lax.neg(shift), const(shift, total))
            a = lax.dynamic_slice_in_dim(lax.concatenate([a, a], axis), start, total, axis)
    return a


def roll(a: Any, shift: Any, axis: int | Sequence[int] | None = None) -> Any:
    """Elements moved along axes, those that leave at the end entering at the start, as `numpy.roll`.

    Args:
      a: an array.
      shift: how far, one number or one per axis; may be traced.
      axis: the axes; None rolls the flattened array.

    Returns:
      An array.

    Raises:
      ValueError: an axis is out of bounds, or shift and axis do not go together.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.roll(cnp.arange(4), 1)
      Array([3, 0, 1, 2], dtype=int32)
    """
    check_arraylike("roll", a)
    if axis is None:
        return reshape(roll(ravel(a), shift, 0), shape_of(a))
    a = as_array(a)
    axes = tuple(
        canonical_axis(i, len(shape_of(a)))
        for i in (axis if isinstance(axis, (tuple, list, range)) else (axis,))
    )
    if aval_of(shift) is None and not _has_arrays(shift):
        shifts = [operator.index(s) for s in np.atleast_1d(np.asarray(shift)).tolist()]
        shifts = shifts * len(axes) if len(shifts) == 1 else shifts
        axes = axes * len(shifts) if len(axes) == 1 else axes
        if len(shifts) != len(axes):
            raise ValueError(f"roll: shift {shift} and axis {axis} must broadcast together.")
        return _roll_static(a, shifts=tuple(shifts), axes=axes)
    shifts = asarray(shift)
    if len(shape_of(shifts)) > 1 or (shape_of(shifts) and shape_of(shifts) not in ((1,), (len(axes),))):
        raise ValueError(f"roll: shift of shape {shape_of(shifts)} and axis {axis} must broadcast together.")
    return _roll(a, shifts, axes=axes)


def _has_arrays(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and builtins.any(aval_of(item) is not None for item in value)
