"""What the methods of ufuncs do.

The known functions have reductions of their own (`add.reduce` is `sum`). All others are applied to one
element after the other in a compiled loop, in which the whole rest of the array goes along at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from . import cumulative, reductions, ufunc_bodies as bodies
from .util import (
    broadcast_to,
    canonical_axes,
    canonical_axis,
    convert,
    dtype_of,
    dtype_rank,
    hashable_axis,
    promote_dtypes_inexact,
    shape_of,
)

__all__ = ["accumulate", "at", "outer", "reduce", "reduceat"]


# --- reduce -------------------------------------------------------------------------------------


def reduce(ufunc: Any, a: Any, axis: Any, dtype: Any, keepdims: bool, initial: Any, where: Any) -> Any:
    """`ufunc.reduce`, its arguments checked."""
    method = ufunc.methods["reduce"]
    if method is not None:
        return method(a, axis=axis, dtype=dtype, keepdims=keepdims, initial=initial, where=where)
    axis = hashable_axis(axis)
    known = _REDUCTIONS.get(ufunc.__name__) if ufunc.__module__ == "canter.numpy" else None
    dtype = None if dtype is None else dtypes.check_user_dtype_supported(dtype, f"{ufunc.__name__}.reduce")
    if known is not None:
        canonical_axes(axis, len(shape_of(a)))
        return known(a, axis, dtype, bool(keepdims), initial, where)
    return _fold(a, initial, where, ufunc=ufunc, axis=axis, dtype=dtype, keepdims=bool(keepdims))


def _as_public(function: Callable[..., Any], takes_dtype: bool = False) -> Callable[..., Any]:
    """A public reduction with the parameters that stand in the table."""

    def reduction(a: Any, axis: Any, dtype: Any, keepdims: bool, initial: Any, where: Any) -> Any:
        if takes_dtype:
            return function(a, axis, dtype=dtype, keepdims=keepdims, initial=initial, where=where)
        a = a if dtype is None else convert(a, dtype)
        return function(a, axis, keepdims=keepdims, initial=initial, where=where)

    return reduction


@composite(static_argnames=("name", "axis", "dtype", "keepdims"))
def _logical(a: Any, initial: Any, where: Any, *, name: str, axis: Any, dtype: Any, keepdims: bool) -> Any:
    reducer, combine, unit = _BITS[name]
    a = as_array(a)
    if name.startswith("logical"):
        a = bodies.to_bool(a)
    elif dtype is not None:
        a = convert(a, dtype)
    if where is not None:
        where = bodies.to_bool(as_array(where))
        a = broadcast_to(a, lax.broadcast_shapes(shape_of(a), shape_of(where)))
        a = bodies.where(where, a, const(a, unit))
    shape = shape_of(a)
    axes = canonical_axes(axis, len(shape))
    out = reducer(a, axes)
    if initial is not None:
        initial = bodies.to_bool(as_array(initial)) if dtype_rank(dtype_of(a)) == 0 else initial
        out = combine(out, convert(initial, dtype_of(a)))
    return reductions._restore_axes(out, axes, shape) if keepdims else out


_BITS: dict[str, tuple[Callable[..., Any], Callable[..., Any], int]] = {
    "bitwise_and": (lax.reduce_and, lax.bitwise_and, -1),
    "bitwise_or": (lax.reduce_or, lax.bitwise_or, 0),
    "bitwise_xor": (lax.reduce_xor, lax.bitwise_xor, 0),
    "logical_and": (lax.reduce_and, lax.bitwise_and, 1),
    "logical_or": (lax.reduce_or, lax.bitwise_or, 0),
    "logical_xor": (lax.reduce_xor, lax.bitwise_xor, 0),
}


def _bits(name: str) -> Callable[..., Any]:
    def reduction(a: Any, axis: Any, dtype: Any, keepdims: bool, initial: Any, where: Any) -> Any:
        return _logical(a, initial, where, name=name, axis=axis, dtype=dtype, keepdims=keepdims)

    return reduction


def _log_of_sum(base: float) -> Callable[..., Any]:
    """logaddexp and logaddexp2: the greatest element is taken out, so that nothing overflows."""

    def reduction(a: Any, axis: Any, dtype: Any, keepdims: bool, initial: Any, where: Any) -> Any:
        from canter.nn import logsumexp

        (a,) = promote_dtypes_inexact(as_array(a) if dtype is None else convert(a, dtype))
        factor = const(a, math.log(base))
        if shape_of(a) and 0 in shape_of(a):
            out = reductions.sum(a, axis, keepdims=keepdims)
            out = lax.full_like(out, -math.inf)
        else:
            out = logsumexp(lax.mul(a, factor), axis=axis, keepdims=keepdims, where=where)
        out = lax.div(out, factor)
        if initial is None:
            return out
        combine = bodies.logaddexp if base == math.e else bodies.logaddexp2
        return combine(out, broadcast_to(convert(initial, dtype_of(a)), shape_of(out)))

    return reduction


#: How the known functions are reduced; the loop does for `subtract`.
_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "add": _as_public(reductions.sum, takes_dtype=True),
    "multiply": _as_public(reductions.prod, takes_dtype=True),
    "maximum": _as_public(reductions.max),
    "minimum": _as_public(reductions.min),
    "logaddexp": _log_of_sum(math.e),
    "logaddexp2": _log_of_sum(2.0),
    **{name: _bits(name) for name in _BITS},
}


# --- the loop -----------------------------------------------------------------------------------


def _result_dtype(ufunc: Any, dtype: Any) -> Any:
    """The dtype that the function gives for two operands of one dtype, and of its own results."""
    from canter.runtime.abstract import eval_shape
    from canter.runtime.shape_dtype import ShapeDtypeStruct

    element = ShapeDtypeStruct((), dtype)
    once = eval_shape(ufunc, element, element).dtype
    return once if once == dtype else eval_shape(ufunc, ShapeDtypeStruct((), once), element).dtype


def _rows(a: Any, axis: Any, ufunc: Any) -> tuple[Any, tuple[int, ...]]:
    """The axes to fold as the first one, and the axes."""
    rank = len(shape_of(a))
    axes = canonical_axes(axis, rank)
    if len(axes) > 1 and axis is not None and ufunc.identity is None:
        raise ValueError(
            f"reduction operation {ufunc.__name__!r} is not reorderable, so at most one axis may be specified; "
            f"got {axes}."
        )
    kept = [i for i in range(rank) if i not in axes]
    a = lax.transpose(a, (*axes, *kept))
    shape = shape_of(a)
    return lax.reshape(a, (math.prod(shape[: len(axes)]), *shape[len(axes) :])), axes


@composite(static_argnames=("ufunc", "axis", "dtype", "keepdims"))
def _fold(a: Any, initial: Any, where: Any, *, ufunc: Any, axis: Any, dtype: Any, keepdims: bool) -> Any:
    a = as_array(a) if dtype is None else convert(a, dtype)
    if where is not None:
        where = bodies.to_bool(as_array(where))
        shape = lax.broadcast_shapes(shape_of(a), shape_of(where))
        a, where = broadcast_to(a, shape), broadcast_to(where, shape)
    rows, axes = _rows(a, axis, ufunc)
    masks = None if where is None else _rows(where, axis, ufunc)[0]
    if initial is None and ufunc.identity is None:
        if not shape_of(rows)[0]:
            raise ValueError(
                f"zero-size array to reduction operation {ufunc.__name__} which has no identity: pass initial."
            )
        start, rows = lax.index_in_dim(rows, 0, keepdims=False), lax.slice_in_dim(rows, 1, None)
    else:
        start = convert(ufunc.identity if initial is None else initial, dtype_of(rows))
        start = broadcast_to(start, shape_of(rows)[1:])
    result = _result_dtype(ufunc, dtype_of(rows))

    def step(total: Any, row: Any) -> tuple[Any, None]:
        value, mask = row
        combined = convert(ufunc(total, value), result)
        return (combined if mask is None else lax.select(mask, combined, total)), None

    out, _ = lax.scan(step, convert(start, result), (rows, masks))
    return reductions._restore_axes(out, axes, shape_of(a)) if keepdims else out


# --- accumulate ---------------------------------------------------------------------------------

_RUNNING: dict[str, Callable[..., Any]] = {"add": cumulative.cumsum, "multiply": cumulative.cumprod}
_SCANS: dict[str, Callable[..., Any]] = {
    "maximum": lax.cummax, "minimum": lax.cummin, "logaddexp": lax.cumlogsumexp,
}  # fmt: skip


def accumulate(ufunc: Any, a: Any, axis: Any, dtype: Any) -> Any:
    """`ufunc.accumulate`, its arguments checked."""
    method = ufunc.methods["accumulate"]
    if method is not None:
        return method(a, axis=axis, dtype=dtype)
    if axis is not None:
        axis = canonical_axis(axis, len(shape_of(a)))
    dtype = (
        None if dtype is None else dtypes.check_user_dtype_supported(dtype, f"{ufunc.__name__}.accumulate")
    )
    known = _RUNNING.get(ufunc.__name__) if ufunc.__module__ == "canter.numpy" else None
    return known(a, axis, dtype) if known else _running(a, ufunc=ufunc, axis=axis, dtype=dtype)


@composite(static_argnames=("ufunc", "axis", "dtype"))
def _running(a: Any, *, ufunc: Any, axis: int | None, dtype: Any) -> Any:
    a = as_array(a) if dtype is None else convert(a, dtype)
    result = _result_dtype(ufunc, dtype_of(a))
    if axis is None:
        a, axis = lax.reshape(a, (math.prod(shape_of(a)),)), 0
    if 0 in shape_of(a):
        return convert(a, result)
    scan = _SCANS.get(ufunc.__name__) if ufunc.__module__ == "canter.numpy" else None
    if scan is not None:
        return scan(convert(a, result), axis=axis)
    rows = _axis_first(a, axis)
    if result == np.bool_ and dtype_of(a) != np.bool_:
        rows = bodies.to_bool(rows)
    first = convert(lax.index_in_dim(rows, 0, keepdims=False), result)

    def step(total: Any, row: Any) -> tuple[Any, Any]:
        total = convert(ufunc(total, row), result)
        return total, total

    _, rest = lax.scan(step, first, lax.slice_in_dim(rows, 1, None))
    return _axis_back(lax.concatenate([lax.expand_dims(first, (0,)), rest], 0), axis)


def _axis_first(a: Any, axis: int) -> Any:
    return lax.transpose(a, (axis, *(i for i in range(len(shape_of(a))) if i != axis)))


def _axis_back(a: Any, axis: int) -> Any:
    return lax.transpose(a, (*range(1, axis + 1), 0, *range(axis + 1, len(shape_of(a)))))


# --- at -----------------------------------------------------------------------------------------

#: The updates of `x.at[...]` that do the same as a known function's `at`.
_UPDATES = {"add": "add", "subtract": "subtract", "multiply": "multiply", "maximum": "max", "minimum": "min"}


def at(ufunc: Any, a: Any, indices: Any, b: Any) -> Any:
    """`ufunc.at`, its arguments checked."""
    method = ufunc.methods["at"]
    if method is not None:
        return method(a, indices) if b is None else method(a, indices, b)
    a = as_array(a)
    update = _UPDATES.get(ufunc.__name__) if ufunc.__module__ == "canter.numpy" else None
    if update is not None:
        return getattr(a.at[indices], update)(convert(b, dtype_of(a)))
    size = math.prod(shape_of(a))
    places = lax.reshape(lax.iota(dtypes.canonicalize_dtype(int), size), shape_of(a))
    places = places.at[indices].get(mode="fill", fill_value=size)
    return _one_by_one(a, places, b, ufunc=ufunc)


@composite(static_argnames=("ufunc",))
def _one_by_one(a: Any, places: Any, b: Any, *, ufunc: Any) -> Any:
    count = math.prod(shape_of(places))
    operands = None
    if b is not None:
        operands = lax.reshape(broadcast_to(as_array(b), shape_of(places)), (count,))

    def step(flat: Any, item: Any) -> tuple[Any, None]:
        place, operand = item
        old = flat.at[place].get(mode="clip")
        new = ufunc(old) if operand is None else ufunc(old, operand)
        return flat.at[place].set(convert(new, dtype_of(a)), mode="drop"), None

    flat = lax.reshape(a, (math.prod(shape_of(a)),))
    out, _ = lax.scan(step, flat, (lax.reshape(places, (count,)), operands))
    return lax.reshape(out, shape_of(a))


# --- reduceat -----------------------------------------------------------------------------------


def reduceat(ufunc: Any, a: Any, indices: Any, axis: int, dtype: Any) -> Any:
    """`ufunc.reduceat`, its arguments checked."""
    method = ufunc.methods["reduceat"]
    if method is not None:
        return method(a, indices, axis=axis, dtype=dtype)
    axis = canonical_axis(axis, len(shape_of(a)))
    if len(shape_of(indices)) != 1 or dtype_rank(dtype_of(indices)) != 1:
        raise TypeError(
            f"{ufunc.__name__}.reduceat takes a one-dimensional array of integers as indices, got "
            f"{dtype_of(indices)}{list(shape_of(indices))}."
        )
    length = shape_of(a)[axis]
    if (
        isinstance(indices, np.ndarray)
        and indices.size
        and not (0 <= indices.min() <= indices.max() < length)
    ):
        raise IndexError(
            f"{ufunc.__name__}.reduceat: indices go from {indices.min()} to {indices.max()}, and the axis has "
            f"{length} elements."
        )
    dtype = None if dtype is None else dtypes.check_user_dtype_supported(dtype, f"{ufunc.__name__}.reduceat")
    return _slices(a, indices, ufunc=ufunc, axis=axis, dtype=dtype)


@composite(static_argnames=("ufunc", "axis", "dtype"))
def _slices(a: Any, indices: Any, *, ufunc: Any, axis: int, dtype: Any) -> Any:
    a = as_array(a) if dtype is None else convert(a, dtype)
    rows, begin = _axis_first(a, axis), as_array(indices)
    result = _result_dtype(ufunc, dtype_of(a))
    (count,), length = shape_of(begin), shape_of(rows)[0]
    if not count:
        return _axis_back(lax.full((0, *shape_of(rows)[1:]), 0, result), axis)
    end = lax.concatenate([lax.slice_in_dim(begin, 1, None), lax.full((1,), length, dtype_of(begin))], 0)
    first = rows.at[begin].get(mode="fill")
    if result == np.bool_ and dtype_of(a) != np.bool_:
        first = bodies.to_bool(first)

    def step(totals: Any, item: Any) -> tuple[Any, None]:
        place, row = item
        inside = lax.bitwise_and(
            lax.lt(begin, broadcast_to(place, (count,))), lax.gt(end, broadcast_to(place, (count,)))
        )
        combined = convert(ufunc(totals, row), result)
        inside = lax.broadcast_in_dim(inside, shape_of(totals), (0,))
        return lax.select(inside, combined, totals), None

    places = lax.iota(dtype_of(begin), length)
    out, _ = lax.scan(step, convert(first, result), (places, rows))
    return _axis_back(out, axis)


# --- outer --------------------------------------------------------------------------------------


def outer(ufunc: Any, a: Any, b: Any) -> Any:
    """`ufunc.outer`, its arguments checked."""
    a = as_array(a)
    return ufunc(lax.expand_dims(a, tuple(range(len(shape_of(a)), len(shape_of(a)) + len(shape_of(b))))), b)
