"""Choosing between values: where, select, clip, round, nan_to_num, comparisons within a tolerance."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite
from canter.runtime.numbers import constant

from . import ufunc_bodies as bodies
from .util import (
    broadcast_arrays_to_common,
    check_arraylike,
    convert,
    dtype_of,
    dtype_rank,
    is_arraylike,
    is_inexact,
    promote_args,
    promote_dtypes,
    promote_dtypes_inexact,
    refuse_out,
    shape_of,
    to_inexact,
)

__all__ = [
    "allclose", "angle", "around", "array_equal", "array_equiv", "choose", "clip", "imag", "interp",
    "iscomplex", "iscomplexobj", "isclose", "isreal", "isrealobj", "nan_to_num", "piecewise", "real",
    "round", "select", "where",
]  # fmt: skip


@composite
def _where(condition: Any, x: Any, y: Any) -> Any:
    check_arraylike("where", condition, x, y)
    aval, other = getattr(x, "aval", None), getattr(y, "aval", None)
    if aval is None or other is None or aval.dtype != other.dtype or aval.weak_type != other.weak_type:
        x, y = promote_dtypes(x, y)
    condition = bodies.to_bool(as_array(condition))
    if not shape_of(condition) and shape_of(x) == shape_of(y):
        return lax.select(condition, as_array(x), as_array(y))
    condition, x, y = broadcast_arrays_to_common("where", condition, x, y)
    return lax.select(condition, x, y)


def where(
    condition: Any, x: Any = None, y: Any = None, /, *, size: int | None = None, fill_value: Any = None
) -> Any:
    """Elements of x where a condition holds, of y elsewhere, as `numpy.where`.

    Args:
      condition: an array of booleans; other dtypes count as true where not zero.
      x, y: arrays or numbers that broadcast with the condition. Without them, `nonzero(condition)`.
      size: with the condition alone, the size of the result, as in `nonzero`.
      fill_value: with the condition alone, as in `nonzero`.

    Returns:
      An array of the common dtype and shape, or a tuple of index arrays.

    Raises:
      ValueError: one of x and y is missing, or size or fill_value is given with them.
      TypeError: an argument is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.where(cnp.array([True, False]), 1.0, 2.0)
      Array([1., 2.], dtype=float32, weak_type=True)
    """
    if x is None and y is None:
        from .sorting import nonzero

        return nonzero(condition, size=size, fill_value=fill_value)
    if x is None or y is None:
        raise ValueError(
            "Either both or neither of the x and y arguments should be provided to canter.numpy.where."
        )
    if size is not None or fill_value is not None:
        raise ValueError("size and fill_value arguments cannot be used in the three-term where function.")
    return _where(condition, constant(condition, x), constant(condition, y))


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """Elements of the first choice whose condition holds, as `numpy.select`.

    Args:
      condlist: arrays, of which every element other than 0 holds.
      choicelist: as many arrays or numbers.
      default: where no condition holds.

    Returns:
      An array of the common dtype and shape.

    Raises:
      ValueError: the lists are empty or of different lengths.

    Example:
      >>> import canter.numpy as cnp
      >>> x = cnp.arange(3)
      >>> cnp.select([x < 1, x > 1], [10, 20], 5)
      Array([10,  5, 20], dtype=int32, weak_type=True)
    """
    if len(condlist) != len(choicelist) or not condlist:
        raise ValueError(
            f"condlist must have length equal to choicelist ({len(condlist)} vs {len(choicelist)}) and not be empty."
        )
    return _select(list(condlist), list(choicelist), default)


@composite
def _select(conditions: list[Any], choices: list[Any], default: Any) -> Any:
    check_arraylike("select", *conditions, *choices, default)
    *choices, out = promote_dtypes(*choices, default)
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        out = bodies.where(bodies.to_bool(as_array(condition)), choice, out)
    return out


def choose(a: Any, choices: Any, out: None = None, mode: str = "raise") -> Any:
    """Elements of the choice that an index array names, as `numpy.choose`.

    Args:
      a: an array of integers.
      choices: a sequence of arrays that broadcast together, or an array.
      out: must be None.
      mode: "clip" or "wrap"; "raise" only for concrete indices.

    Returns:
      An array.

    Raises:
      ValueError: an index is out of bounds in mode "raise", or the mode is unknown.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.choose(cnp.array([1, 0]), [cnp.array([1, 2]), cnp.array([3, 4])])
      Array([3, 2], dtype=int32)
    """
    from .indexing import take_along_axis
    from .joining import stack
    from .shaping import broadcast_arrays, expand_dims

    refuse_out("choose", out)
    check_arraylike("choose", a)
    if dtype_rank(dtype_of(a)) != 1:
        raise ValueError(f"`a` array must be integer typed, got {dtype_of(a)}.")
    index, *arrays = broadcast_arrays(a, *choices)
    count = len(arrays)
    if mode == "raise":
        values = np.asarray(index)
        if values.size and (values.min() < 0 or values.max() >= count):
            raise ValueError(f"choose: index out of bounds for {count} choices. Pass mode='clip' or 'wrap'.")
    elif mode == "clip":
        index = clip(index, 0, count - 1)
    elif mode == "wrap":
        index = bodies.remainder(index, const(index, count))
    else:
        raise ValueError(f"choose: mode={mode!r} not understood. Must be 'raise', 'wrap' or 'clip'.")
    return take_along_axis(stack(arrays), expand_dims(index, 0), 0)[0]


def piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Any:
    """A function given by pieces, each where its condition holds, as `numpy.piecewise`.

    Args:
      x: an array.
      condlist: boolean arrays, or one.
      funclist: a number or function of x per condition, and one more for elsewhere.
      *args, **kw: passed to the functions.

    Returns:
      An array of x's shape and dtype.

    Raises:
      ValueError: there are neither as many functions as conditions nor one more.

    Example:
      >>> import canter.numpy as cnp
      >>> x = cnp.array([-1.0, 2.0])
      >>> cnp.piecewise(x, [x < 0], [lambda v: -v, 10.0])
      Array([ 1., 10.], dtype=float32)
    """
    check_arraylike("piecewise", x)
    x = as_array(x)
    conditions = list(condlist) if isinstance(condlist, (list, tuple)) else [condlist]
    pieces = list(funclist)
    if len(pieces) == len(conditions):
        pieces.append(0)
    elif len(pieces) != len(conditions) + 1:
        raise ValueError(
            f"with {len(conditions)} condition(s), either {len(conditions)} or {len(conditions) + 1} functions are "
            f"expected; got {len(pieces)}."
        )
    values = [convert(as_array(p(x, *args, **kw) if callable(p) else p), dtype_of(x)) for p in pieces]
    *values, default = [broadcast_arrays_to_common("piecewise", x, v)[1] for v in values]
    truths = [bodies.to_bool(as_array(c)) for c in conditions]
    return select(truths[::-1], values[::-1], default)  # the last condition that holds decides


@composite
def _clip(x: Any, low: Any, high: Any) -> Any:
    check_arraylike("clip", x)
    if low is not None:
        x, low = promote_args("clip", x, low)
        x = lax.max(low, x)
    if high is not None:
        x, high = promote_args("clip", x, high)
        x = lax.min(high, x)
    return as_array(x)


@composite
def clip(arr: Any = None, /, min: Any = None, max: Any = None) -> Any:
    """Elements limited to an interval, as `numpy.clip`.

    Args:
      arr: an array or number, not complex.
      min, max: bounds that broadcast with it; None for no bound. Where min > max the result is max.

    Returns:
      An array of the common dtype and shape.

    Raises:
      ValueError: arr is complex.
      TypeError: an argument is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.clip(cnp.array([-1.0, 0.5, 9.0]), 0.0, 1.0)
      Array([0. , 0.5, 1. ], dtype=float32)
    """
    if arr is None:
        raise TypeError("clip() needs an array.")
    check_arraylike("clip", arr, *(b for b in (min, max) if b is not None))
    if builtins.any(dtype_rank(dtype_of(v)) == 3 for v in (arr, min, max) if v is not None):
        raise ValueError("Clip received a complex value either through the input or the min/max keywords; "
                         "complex numbers have no order.")  # fmt: skip
    return _clip(arr, min, max)


@composite(static_argnames=("decimals",))
def _round(a: Any, *, decimals: int) -> Any:
    a = as_array(a)
    rank = dtype_rank(dtype_of(a))
    if rank < 2:
        if decimals < 0:
            raise NotImplementedError("Integer canter.numpy.round is not implemented for decimals < 0.")
        return a
    if rank == 3:
        return lax.complex(*(_round(p, decimals=decimals) for p in (lax.real(a), lax.imag(a))))
    if decimals == 0:
        return bodies.rint(a)
    dtype = dtype_of(a)
    half = dtype.itemsize < 4
    wide = convert(a, np.dtype(np.float32)) if half else a
    scale = const(wide, 10.0 ** builtins.abs(decimals))
    if decimals > 0:
        out = lax.div(bodies.rint(lax.mul(wide, scale)), scale)
    else:
        out = lax.mul(bodies.rint(lax.div(wide, scale)), scale)
    return convert(out, dtype) if half else out


@composite(static_argnames=("decimals",))
def round(a: Any, decimals: int = 0, out: None = None) -> Any:
    """Elements rounded to a number of decimals, halves to even, as `numpy.round`.

    Args:
      a: an array or number.
      decimals: how many decimals; negative rounds before the point.
      out: must be None.

    Returns:
      An array of a's shape and dtype.

    Raises:
      NotImplementedError: integers with negative decimals, or `out` is given.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.round(cnp.array([1.5, 2.25]), 1)
      Array([1.5, 2.2], dtype=float32)
    """
    refuse_out("round", out)
    check_arraylike("round", a)
    return _round(a, decimals=operator.index(decimals))


around = round


@composite
def _nan_to_num(x: Any, nan: Any, posinf: Any, neginf: Any) -> Any:
    x = as_array(x)
    dtype = dtype_of(x)
    if not is_inexact(dtype):
        return x
    if dtype_rank(dtype) == 3:
        parts = (_nan_to_num(p, nan, posinf, neginf) for p in (lax.real(x), lax.imag(x)))
        return lax.complex(*parts)
    limits = dtypes.finfo(dtype)
    posinf = limits.max if posinf is None else posinf
    neginf = limits.min if neginf is None else neginf
    for test, value in ((bodies.isnan, nan), (bodies.isposinf, posinf), (bodies.isneginf, neginf)):
        x = bodies.where(test(x), convert(as_array(value), dtype), x)
    return x


@composite(static_argnames=("copy",))
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """nan and infinities replaced by numbers, as `numpy.nan_to_num`.

    Args:
      x: an array or number.
      copy: arrays are never changed in place, so both values mean the same.
      nan: replaces nan.
      posinf, neginf: replace infinities; the dtype's greatest and least number by default.

    Returns:
      An array of x's shape and dtype.

    Raises:
      TypeError: x is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.nan_to_num(cnp.array([cnp.nan, 1.0]))
      Array([0., 1.], dtype=float32)
    """
    check_arraylike("nan_to_num", x)
    return _nan_to_num(x, nan, posinf, neginf)


# --- parts of complex numbers -------------------------------------------------------------------


@composite
def real(val: Any, /) -> Any:
    """The real part, as `numpy.real`.

    Args:
      val: an array or number.

    Returns:
      An array of real numbers.

    Raises:
      TypeError: val is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.real(cnp.array([1 + 2j]))
      Array([1.], dtype=float32)
    """
    check_arraylike("real", val)
    val = as_array(val)
    return lax.real(val) if dtype_rank(dtype_of(val)) == 3 else val


@composite
def imag(val: Any, /) -> Any:
    """The imaginary part, as `numpy.imag`.

    Args:
      val: an array or number.

    Returns:
      An array of real numbers.

    Raises:
      TypeError: val is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.imag(cnp.array([1 + 2j]))
      Array([2.], dtype=float32)
    """
    check_arraylike("imag", val)
    val = as_array(val)
    return lax.imag(val) if dtype_rank(dtype_of(val)) == 3 else lax.full_like(val, 0)


@composite(static_argnames=("deg",))
def angle(z: Any, deg: bool = False) -> Any:
    """The angle of complex numbers, as `numpy.angle`.

    Args:
      z: an array or number.
      deg: whether to give degrees, not radians.

    Returns:
      An array of floats.

    Raises:
      TypeError: z is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.angle(cnp.array([1j]), deg=True)
      Array([90.], dtype=float32)
    """
    z = to_inexact("angle", z)
    z = as_array(z)
    parts = (lax.imag(z), lax.real(z)) if dtype_rank(dtype_of(z)) == 3 else (lax.full_like(z, 0), z)
    out = lax.atan2(*parts)
    return convert(bodies.rad2deg(out) if deg else out, dtype_of(out))


@composite
def iscomplex(x: Any) -> Any:
    """Whether elements have an imaginary part that is not zero, as `numpy.iscomplex`.

    Args:
      x: an array or number.

    Returns:
      A boolean array.

    Raises:
      TypeError: x is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.iscomplex(cnp.array([1 + 1j, 2 + 0j]))
      Array([ True, False], dtype=bool)
    """
    check_arraylike("iscomplex", x)
    x = as_array(x)
    if dtype_rank(dtype_of(x)) < 3:
        return bodies.filled_like(x, False)
    return bodies.to_bool(lax.imag(x))


@composite
def isreal(x: Any) -> Any:
    """Whether elements have no imaginary part, as `numpy.isreal`.

    Args:
      x: an array or number.

    Returns:
      A boolean array.

    Raises:
      TypeError: x is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.isreal(cnp.array([1 + 1j, 2 + 0j]))
      Array([False,  True], dtype=bool)
    """
    check_arraylike("isreal", x)
    x = as_array(x)
    if dtype_rank(dtype_of(x)) < 3:
        return bodies.filled_like(x, True)
    return bodies.logical_not(lax.imag(x))


def iscomplexobj(x: Any) -> bool:
    """Whether the dtype is complex, as `numpy.iscomplexobj`.

    Args:
      x: anything; what is not an array or number is not complex.

    Returns:
      A bool.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.iscomplexobj(1j)
      True
    """
    if x is None:
        return False
    return dtype_rank(dtype_of(x if is_arraylike(x) else np.asarray(x))) == 3


def isrealobj(x: Any) -> bool:
    """Whether the dtype is not complex, as `numpy.isrealobj`.

    Args:
      x: an array or number.

    Returns:
      A bool.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.isrealobj(1.0)
      True
    """
    return not iscomplexobj(x)


# --- equality -----------------------------------------------------------------------------------


@composite(static_argnames=("equal_nan",))
def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    """Whether elements are equal within a tolerance, as `numpy.isclose`.

    Args:
      a, b: arrays or numbers that broadcast together.
      rtol: tolerance relative to abs(b).
      atol: absolute tolerance.
      equal_nan: whether nan equals nan.

    Returns:
      A boolean array: abs(a - b) <= atol + rtol * abs(b), and equality for infinities.

    Raises:
      TypeError: an argument is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.isclose(cnp.array([1.0, 2.0]), cnp.array([1.0, 2.1]))
      Array([ True, False], dtype=bool)
    """
    check_arraylike("isclose", a, b, rtol, atol)
    a, b = promote_dtypes(a, b)
    if not is_inexact(dtype_of(a)):
        a, b = promote_dtypes_inexact(a, b)
    a, b = broadcast_arrays_to_common("isclose", a, b)
    distance = lax.abs(lax.sub(a, b))
    bound = lax.abs(b)
    limit = lax.add(
        convert(as_array(atol), dtype_of(bound)), lax.mul(convert(as_array(rtol), dtype_of(bound)), bound)
    )
    finite = lax.bitwise_and(bodies.isfinite(a), bodies.isfinite(b))
    out = lax.bitwise_or(lax.bitwise_and(finite, lax.le(distance, limit)), lax.eq(a, b))
    if equal_nan:
        out = lax.bitwise_or(out, lax.bitwise_and(bodies.isnan(a), bodies.isnan(b)))
    return out


@composite(static_argnames=("equal_nan",))
def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    """Whether all elements are equal within a tolerance, as `numpy.allclose`.

    Args:
      a, b: arrays or numbers that broadcast together.
      rtol: tolerance relative to abs(b).
      atol: absolute tolerance.
      equal_nan: whether nan equals nan.

    Returns:
      A boolean array without dimensions.

    Raises:
      TypeError: an argument is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.allclose(cnp.ones(2), 1.0)
      Array(True, dtype=bool)
    """
    from .reductions import all as all_

    return all_(isclose(a, b, rtol, atol, equal_nan=equal_nan))


@composite(static_argnames=("equal_nan",))
def _same(a: Any, b: Any, *, equal_nan: bool) -> Any:
    a, b = promote_args("array_equal", a, b)
    same = lax.eq(a, b)
    if equal_nan:
        both = lax.bitwise_and(bodies.isnan(a), bodies.isnan(b))
        same = lax.bitwise_or(same, both)
    return convert(lax.reduce_and(same, tuple(range(len(shape_of(same))))), np.dtype(np.bool_))


@composite(static_argnames=("equal_nan",))
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """Whether two arrays have one shape and equal elements, as `numpy.array_equal`.

    Args:
      a1, a2: arrays or numbers.
      equal_nan: whether nan equals nan.

    Returns:
      A boolean array without dimensions.

    Raises:
      TypeError: an argument is not numeric.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.array_equal(cnp.ones(2), cnp.ones(3))
      Array(False, dtype=bool)
    """
    from .creation import asarray

    a1, a2 = asarray(a1), asarray(a2)
    if shape_of(a1) != shape_of(a2):
        return asarray(False)
    return _same(a1, a2, equal_nan=bool(equal_nan))


@composite
def array_equiv(a1: Any, a2: Any) -> Any:
    """Whether two arrays broadcast to one shape and are equal there, as `numpy.array_equiv`.

    Args:
      a1, a2: arrays or numbers.

    Returns:
      A boolean array without dimensions.

    Raises:
      TypeError: an argument is not numeric.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.array_equiv(cnp.ones(2), cnp.ones((3, 2)))
      Array(True, dtype=bool)
    """
    from .creation import asarray
    from .util import broadcast_shape

    a1, a2 = asarray(a1), asarray(a2)
    try:
        broadcast_shape(shape_of(a1), shape_of(a2))
    except ValueError:
        return asarray(False)
    return _same(a1, a2, equal_nan=False)


@composite
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Linear interpolation of points, as `numpy.interp`.

    Args:
      x: where to evaluate.
      xp: the points' coordinates, ascending.
      fp: the points' values.
      left, right: values outside the points; those of the outermost by default, or "extrapolate".
      period: the period of x, which then lifts the demand that xp ascend.

    Returns:
      An array of x's shape.

    Raises:
      ValueError: xp and fp are not one-dimensional of one size.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.interp(cnp.array([0.5]), cnp.array([0.0, 1.0]), cnp.array([0.0, 10.0]))
      Array([5.], dtype=float32)
    """
    check_arraylike("interp", x, xp, fp)
    if len(shape_of(xp)) != 1 or shape_of(xp) != shape_of(fp):
        raise ValueError(
            f"xp and fp must be one-dimensional of one size, got {shape_of(xp)} and {shape_of(fp)}."
        )
    modes = tuple(v if isinstance(v, str) else None for v in (left, right))
    for mode in modes:
        if mode not in (None, "extrapolate"):
            raise ValueError(f"interp: the only string for left and right is 'extrapolate', got {mode!r}.")
    low, high = (None if isinstance(v, str) else v for v in (left, right))
    return _interp(x, xp, fp, low, high, period, modes=modes)


def _real_dtype(dtype: Any) -> Any:
    """The dtype of the parts of complex numbers; real dtypes stay."""
    return dtypes.finfo(dtype).dtype if dtype_rank(dtype) == 3 else dtype


@composite(static_argnames=("modes",))
def _interp(x: Any, xp: Any, fp: Any, left: Any, right: Any, period: Any, *, modes: tuple[Any, ...]) -> Any:
    from .indexing import take
    from .sorting import argsort, searchsorted

    common = dtype_of(promote_dtypes_inexact(x, xp, fp)[2])
    x, xp = (convert(a, _real_dtype(common)) for a in (x, xp))
    fp = convert(fp, common)
    if period is not None:
        period = lax.abs(convert(as_array(period), dtype_of(x)))
        x, xp = bodies.remainder(x, period), bodies.remainder(xp, period)
        order = argsort(xp)
        xp, fp = take(xp, order, axis=0), take(fp, order, axis=0)
        last, first = (lax.slice_in_dim(xp, -1, None), lax.slice_in_dim(xp, 0, 1))
        ends = [lax.sub(last, lax.reshape(period, (1,))), xp, lax.add(first, lax.reshape(period, (1,)))]
        xp = lax.concatenate(ends, 0)
        fp = lax.concatenate([lax.slice_in_dim(fp, -1, None), fp, lax.slice_in_dim(fp, 0, 1)], 0)
    count = shape_of(xp)[0]
    at = searchsorted(xp, x, side="right")
    at = lax.clamp(const(at, 1), at, const(at, builtins.max(count - 1, 1)))
    below = lax.sub(at, const(at, 1))
    x0, x1 = take(xp, below, axis=0, mode="clip"), take(xp, at, axis=0, mode="clip")
    f0, f1 = take(fp, below, axis=0, mode="clip"), take(fp, at, axis=0, mode="clip")
    width = lax.sub(x1, x0)
    flat = lax.eq(width, const(width, 0))
    slope = lax.div(lax.sub(f1, f0), convert(bodies.where(flat, const(width, 1), width), dtype_of(f0)))
    rise = lax.mul(convert(lax.sub(x, x0), dtype_of(f0)), slope)
    out = bodies.where(flat, f0, lax.add(f0, rise))
    if period is None:
        edges = ((lax.lt, 0, left, modes[0]), (lax.gt, count - 1, right, modes[1]))
        for compare, i, value, mode in edges:
            if mode is None:
                edge = lax.index_in_dim(xp, i, keepdims=False)
                beyond = (
                    lax.index_in_dim(fp, i, keepdims=False)
                    if value is None
                    else convert(as_array(value), dtype_of(fp))
                )
                out = bodies.where(compare(x, edge), beyond, out)
    return out
