"""`pad` in all of NumPy's modes."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from canter import lax
from canter.core.dimensions import is_symbolic_dim, size_of, sizes_of
from canter.core.trace import Tracer
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from .util import (
    PYTHON_RANK,
    broadcast_to,
    canonical_axes,
    check_arraylike,
    convert,
    dtype_of,
    dtype_rank,
    shape_of,
)

__all__ = ["pad", "trim_zeros"]

_OPTIONS = {
    "constant": ("constant_values",),
    "edge": (),
    "empty": (),
    "linear_ramp": ("end_values",),
    "maximum": ("stat_length",),
    "mean": ("stat_length",),
    "median": ("stat_length",),
    "minimum": ("stat_length",),
    "reflect": ("reflect_type",),
    "symmetric": ("reflect_type",),
    "wrap": (),
}


def _pairs(value: Any, ndim: int, name: str) -> tuple[tuple[int, int], ...]:
    """Widths as NumPy takes them, as a pair for each axis.

    Raises:
      TypeError: a width is not an integer.
      ValueError: the widths do not fit the number of axes.
    """
    if isinstance(value, dict):
        raise TypeError(f"`{name}` must be of integral type, or pairs of integers; got a dict.")
    try:
        if isinstance(value, (tuple, list)):
            rows = [sizes_of(r) if isinstance(r, (tuple, list, np.ndarray)) else size_of(r) for r in value]
            array = np.asarray(rows)
        else:
            array = np.asarray(value)
        symbolic = array.dtype == object and all(map(_is_size, array.ravel().tolist()))
    except (TypeError, ValueError) as error:
        traced = " It is traced: make it static." if isinstance(value, Tracer) else ""
        raise TypeError(f"`{name}` must be of integral type, got {value!r:.80}.{traced}") from error
    if array.dtype.kind not in "iu" and not symbolic:
        raise TypeError(f"`{name}` must be of integral type, got dtype {array.dtype}.")
    try:
        wide = np.broadcast_to(array, (ndim, 2))
    except ValueError:
        raise ValueError(
            f"{name} of shape {array.shape} does not fit an array of {ndim} dimensions: pass one number, one pair, "
            "or a pair for each axis."
        ) from None
    return tuple((size_of(a), size_of(b)) for a, b in wide.tolist())


def _is_size(value: Any) -> bool:
    return isinstance(value, int) or is_symbolic_dim(value)


@composite(static_argnames=("widths",))
def _pad_constant(x: Any, values: Any, *, widths: tuple[tuple[int, int], ...]) -> Any:
    ndim = len(shape_of(x))
    values = convert(as_array(values), dtype_of(x))
    if not shape_of(values):
        return lax.pad(x, values, [(low, high, 0) for low, high in widths])
    values = broadcast_to(values, (ndim, 2))
    for axis, (low, high) in enumerate(widths):
        for side, width in enumerate((low, high)):
            value = lax.squeeze(lax.slice(values, (axis, side), (axis + 1, side + 1)), (0, 1))
            config = [(0, 0, 0)] * ndim
            config[axis] = (width, 0, 0) if side == 0 else (0, width, 0)
            x = lax.pad(x, value, config)
    return x


def _cut(x: Any, axis: int, low: int, high: int) -> Any:
    return lax.slice_in_dim(x, low, high, 1, axis)


def _repeat_edge(x: Any, axis: int, at: int, width: int) -> Any:
    edge = _cut(x, axis, at, at + 1)
    return broadcast_to(edge, tuple(width if i == axis else n for i, n in enumerate(shape_of(x))))


def _edge(x: Any, axis: int, low: int, high: int) -> Any:
    size = shape_of(x)[axis]
    return lax.concatenate([_repeat_edge(x, axis, 0, low), x, _repeat_edge(x, axis, size - 1, high)], axis)


def _wrap(x: Any, axis: int, low: int, high: int) -> Any:
    size = shape_of(x)[axis]
    before, after = -(-low // size), -(-high // size)
    tiled = lax.concatenate([x] * (before + 1 + after), axis)
    start = before * size - low
    return _cut(tiled, axis, start, start + low + size + high)


def _mirror(x: Any, axis: int, low: int, high: int, mode: str, kind: str) -> Any:
    """reflect and symmetric: the array and its mirror image by turns; for "odd", turned about its ends."""
    from .indexing import take

    size = shape_of(x)[axis]
    if size == 1 and mode == "reflect":
        return _edge(x, axis, low, high)
    period = 2 * size - (2 if mode == "reflect" else 0)
    turn, place = np.divmod(np.arange(-low, size + high), period)
    mirrored = place >= size
    index = np.where(mirrored, period - place - (0 if mode == "reflect" else 1), place)
    out = take(x, index.astype(np.int32), axis=axis, mode="clip")
    if kind == "even":
        return out
    shape = shape_of(out)
    first, last = (broadcast_to(_cut(x, axis, at, at + 1), shape) for at in (0, size - 1))
    flat = lax.broadcast_in_dim(mirrored, shape, (axis,))
    out = lax.select(flat, lax.sub(lax.mul(last, const(last, 2)), out), out)
    rise = lax.mul(lax.sub(last, first), const(last, 2))
    return lax.add(out, lax.mul(rise, lax.broadcast_in_dim(turn.astype(dtype_of(x)), shape, (axis,))))


def _statistic(x: Any, axis: int, part: Any, mode: str) -> Any:
    from .reductions import max as max_, mean, min as min_
    from .statistics import median

    reduce: Any = {"maximum": max_, "minimum": min_, "mean": mean, "median": median}[mode]
    found = reduce(part, axis=axis, keepdims=True)
    if dtype_rank(dtype_of(x)) < 2 and mode in ("mean", "median"):
        found = lax.round(found, lax.RoundingMethod.TO_NEAREST_EVEN)
    return convert(found, dtype_of(x))


def _ramp(x: Any, axis: int, at: int, width: int, end: Any, side: int) -> Any:
    edge = _cut(x, axis, at, at + 1)
    shape = tuple(width if i == axis else n for i, n in enumerate(shape_of(x)))
    floats = np.dtype(np.float32) if dtype_rank(dtype_of(x)) < 2 else dtype_of(x)
    ticks = lax.broadcasted_iota(np.int32, shape, axis)
    step = convert(ticks, floats) if side == 0 else convert(lax.sub(np.int32(width - 1), ticks), floats)
    fraction = lax.div(step, const(step, width))
    wide_edge, wide_end = (broadcast_to(convert(v, floats), shape) for v in (edge, end))
    out = lax.add(wide_end, lax.mul(lax.sub(wide_edge, wide_end), fraction))
    return convert(lax.floor(out) if dtype_rank(dtype_of(x)) < 2 else out, dtype_of(x))


@composite(static_argnames=("widths", "mode", "kind", "lengths"))
def _pad_mode(x: Any, ends: Any, *, widths: Any, mode: str, kind: str, lengths: Any) -> Any:
    for axis, (low, high) in enumerate(widths):
        size = shape_of(x)[axis]
        if low == 0 == high:
            continue
        if mode == "edge":
            x = _edge(x, axis, low, high)
        elif mode == "wrap":
            x = _wrap(x, axis, low, high)
        elif mode in ("reflect", "symmetric"):
            x = _mirror(x, axis, low, high, mode, kind)
        elif mode == "linear_ramp":
            values = broadcast_to(as_array(ends), (len(widths), 2))
            end = [lax.squeeze(lax.slice(values, (axis, i), (axis + 1, i + 1)), (0, 1)) for i in (0, 1)]
            parts = (_ramp(x, axis, 0, low, end[0], 0), x, _ramp(x, axis, size - 1, high, end[1], 1))
            x = lax.concatenate(list(parts), axis)
        else:
            before, after = (
                (size, size) if lengths is None else (builtins.min(n, size) for n in lengths[axis])
            )
            first = _statistic(x, axis, _cut(x, axis, 0, before), mode)
            last = _statistic(x, axis, _cut(x, axis, size - after, size), mode)
            shape = shape_of(x)
            x = lax.concatenate(
                [
                    broadcast_to(first, tuple(low if i == axis else n for i, n in enumerate(shape))),
                    x,
                    broadcast_to(last, tuple(high if i == axis else n for i, n in enumerate(shape))),
                ],
                axis,
            )
    return x


def _pad_function(x: Any, widths: Any, function: Callable[..., Any], kwargs: dict[str, Any]) -> Any:
    from .functional import apply_along_axis

    x = _pad_constant(x, 0, widths=widths)
    for axis, pair in enumerate(widths):
        x = apply_along_axis(function, axis, x, pair, axis, kwargs)
    return x


def _widths(pad_width: Any, ndim: int) -> Any:
    widths = _pairs(pad_width, ndim, "pad_width")
    if builtins.any(w < 0 for pair in widths for w in pair):
        raise ValueError(
            f"index can't contain negative values: pad_width is {widths}. Slice to make arrays smaller."
        )
    return widths


def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    """An array with elements added at the ends of its axes, as `numpy.pad`.

    Args:
      array: an array.
      pad_width: how many: one number, a pair (before, after), or a pair for each axis.
      mode: "constant", "edge", "empty", "linear_ramp", "maximum", "mean", "median", "minimum", "reflect",
        "symmetric", "wrap", or a function of (vector, pair, axis, kwargs) that returns the vector.
      **kwargs: the mode's option: constant_values, end_values, stat_length or reflect_type.

    Returns:
      An array of array's dtype.

    Raises:
      TypeError: a width is not an integer.
      ValueError: widths do not fit or are negative, an option does not belong to the mode, or an axis is empty.
      NotImplementedError: the mode is unknown.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.pad(cnp.array([1, 2]), (1, 2))
      Array([0, 1, 2, 0, 0], dtype=int32)
    """
    if callable(mode):
        x = as_array(array)
        return _pad_function(x, _widths(pad_width, len(shape_of(x))), mode, kwargs)
    return _pad(array, pad_width, mode, **kwargs)


@composite(static_argnames=("pad_width", "mode", "stat_length", "reflect_type"))
def _pad(array: Any, pad_width: Any, mode: str, **kwargs: Any) -> Any:
    check_arraylike("pad", array)
    x = as_array(array)
    ndim = len(shape_of(x))
    widths = _widths(pad_width, ndim)
    if mode not in _OPTIONS:
        raise NotImplementedError(
            f"Unimplemented padding mode {mode!r} for pad; there are {', '.join(_OPTIONS)}."
        )
    unknown = set(kwargs) - set(_OPTIONS[mode])
    if unknown:
        raise ValueError(f"unsupported keyword arguments for mode {mode!r}: {', '.join(sorted(unknown))}.")
    if mode in ("constant", "empty"):
        values = kwargs.get("constant_values", 0)
        if isinstance(values, (tuple, list)):
            from .creation import asarray

            values = asarray(values)
        check_arraylike("pad", values)
        if type(values) in PYTHON_RANK and PYTHON_RANK[type(values)] <= dtype_rank(dtype_of(x)):
            values = convert(
                values, dtype_of(x)
            )  # here, because a device has its own ways with a dtype without 0
        return _pad_constant(x, values, widths=widths)
    if builtins.any(n == 0 and (low or high) for n, (low, high) in zip(shape_of(x), widths, strict=True)):
        raise ValueError(
            f"can't extend an empty axis in modes other than 'constant' or 'empty': {shape_of(x)}."
        )
    kind = kwargs.get("reflect_type", "even")
    if kind not in ("even", "odd"):
        raise ValueError(f"reflect_type must be 'even' or 'odd', got {kind!r}.")
    lengths = kwargs.get("stat_length")
    if lengths is not None:
        lengths = _pairs(lengths, ndim, "stat_length")
        if builtins.any(n < 1 for pair in lengths for n in pair):
            raise ValueError(f"stat_length must be at least 1, got {lengths}.")
    ends = kwargs.get("end_values", 0)
    if isinstance(ends, (tuple, list)):
        from .creation import asarray

        ends = asarray(ends)
    return _pad_mode(x, ends, widths=widths, mode=mode, kind=kind, lengths=lengths)


def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    """An array without the zeros at its ends, as `numpy.trim_zeros`.

    Args:
      filt: an array; its values have to be known, since the result's shape depends on them.
      trim: "f" for the front, "b" for the back, "fb" for both.
      axis: an axis or several, along which to trim slices of nothing but zeros; all by default.

    Returns:
      An array.

    Raises:
      ConcretizationTypeError: filt is traced.
      ValueError: an axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.trim_zeros(cnp.array([0, 0, 1, 0, 2, 0]))
      Array([1, 0, 2], dtype=int32)
    """
    from .sorting import _concrete

    check_arraylike("trim_zeros", filt)
    values = _concrete("trim_zeros", filt)
    if not values.ndim:
        return as_array(filt)
    axes = canonical_axes(axis if axis is None or isinstance(axis, int) else tuple(axis), values.ndim)
    starts, limits = [0] * values.ndim, list(values.shape)
    for i, places in enumerate(np.nonzero(values)):
        if i not in axes:
            continue
        if "f" in trim.lower():
            starts[i] = int(places.min()) if len(places) else limits[i]
        if "b" in trim.lower():
            limits[i] = max(int(places.max()) + 1, starts[i]) if len(places) else starts[i]
    return lax.slice(as_array(filt), starts, limits)
