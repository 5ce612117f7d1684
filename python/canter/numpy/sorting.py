"""Sorting, searching, and finding elements: sort, argsort, argmax, nonzero, searchsorted."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.core.dimensions import is_symbolic_dim, size_of
from canter.core.trace import Tracer, concrete_or_error
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from . import ufunc_bodies as bodies
from .util import (
    canonical_axis,
    check_arraylike,
    convert,
    dtype_of,
    dtype_rank,
    hashable_axis,
    is_inexact,
    promote_dtypes,
    refuse_out,
    shape_of,
)

__all__ = [
    "argmax", "argmin", "argpartition", "argsort", "argwhere", "compress", "extract", "flatnonzero", "lexsort",
    "nanargmax", "nanargmin", "nonzero", "partition", "searchsorted", "sort", "sort_complex",
]  # fmt: skip


def index_dtype() -> Any:
    """The dtype of indices: the default integer."""
    return dtypes.canonicalize_dtype(int)


# --- extrema's places ---------------------------------------------------------------------------


def _find(name: str, search: Callable[..., Any], a: Any, axis: Any, keepdims: bool, skip_nan: bool) -> Any:
    a = as_array(a)
    shape = shape_of(a)
    if axis is None:
        a, dimension = lax.reshape(a, (math.prod(shape),)), 0
    else:
        dimension = canonical_axis(axis, len(shape))
    if shape_of(a)[dimension] == 0:
        raise ValueError(f"attempt to get {name} of an empty sequence: shape {shape}, axis {axis}.")
    nothing = None
    if skip_nan and is_inexact(dtype_of(a)):
        nan = bodies.isnan(a)
        nothing = lax.reduce_and(nan, (dimension,))
        a = bodies.where(nan, const(a, math.inf if name == "nanargmin" else -math.inf), a)
    out = search(a, dimension, index_dtype())
    if nothing is not None:
        out = bodies.where(nothing, const(out, -1), out)
    if not keepdims:
        return out
    return lax.reshape(
        out,
        (1,) * len(shape) if axis is None else tuple(1 if i == dimension else n for i, n in enumerate(shape)),
    )


_FIND_DOC = """The index of the {which} element along an axis{nan}, as `numpy.{name}`.

Args:
  a: an array or number.
  axis: the axis; None takes the flattened array.
  out: must be None.
  keepdims: whether the axis stays, of size 1.

Returns:
  An array of integers: of the first such element, {rule}.

Raises:
  ValueError: the axis is out of bounds or empty.

Example:
  >>> import canter.numpy as cnp
  >>> cnp.{name}(cnp.array([1.0, 3.0, 2.0]))
  Array({printed}, dtype=int32)
"""


def _finder(
    name: str, search: Callable[..., Any], skip_nan: bool, which: str, printed: str
) -> Callable[..., Any]:
    def find(a: Any, axis: int | None = None, out: None = None, keepdims: bool | None = None) -> Any:
        refuse_out(name, out)
        check_arraylike(name, a)
        return _find(name, search, a, hashable_axis(axis), bool(keepdims), skip_nan)

    find.__name__ = find.__qualname__ = name
    find.__module__ = "canter.numpy"
    find.__doc__ = _FIND_DOC.format(
        name=name,
        which=which,
        nan=", leaving nan out" if skip_nan else "",
        rule="-1 where all are nan" if skip_nan else "or of the first nan",
        printed=printed,
    )
    return composite(static_argnames=("axis", "keepdims"))(find)


argmax = _finder("argmax", lax.argmax, False, "greatest", "1")
argmin = _finder("argmin", lax.argmin, False, "least", "0")
nanargmax = _finder("nanargmax", lax.argmax, True, "greatest", "1")
nanargmin = _finder("nanargmin", lax.argmin, True, "least", "0")


# --- sorting ------------------------------------------------------------------------------------


def _refuse(name: str, **options: Any) -> None:
    for option, value in options.items():
        if value is not None:
            raise TypeError(f"'{option}' argument to {name} is not supported; see 'stable'.")


def _flattened(a: Any, axis: Any) -> tuple[Any, int]:
    a = as_array(a)
    if axis is None:
        return lax.reshape(a, (math.prod(shape_of(a)),)), 0
    return a, canonical_axis(axis, len(shape_of(a)))


@composite(static_argnames=("axis", "stable", "descending"))
def _sort(a: Any, *, axis: Any, stable: bool, descending: bool) -> Any:
    a, dimension = _flattened(a, axis)
    out = lax.sort(a, dimension=dimension, is_stable=stable)
    return lax.rev(out, (dimension,)) if descending else out


@composite(static_argnames=("axis", "kind", "order", "stable", "descending"))
def sort(
    a: Any,
    axis: int | None = -1,
    *,
    kind: None = None,
    order: None = None,
    stable: bool = True,
    descending: bool = False,
) -> Any:
    """The elements in ascending order along an axis, as `numpy.sort`; nan last.

    Args:
      a: an array.
      axis: the axis; None flattens a first.
      kind, order: must be None.
      stable: whether equal elements keep their order.
      descending: whether to sort in descending order.

    Returns:
      An array.

    Raises:
      ValueError: the axis is out of bounds, or kind or order is given.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.sort(cnp.array([3, 1, 2]))
      Array([1, 2, 3], dtype=int32)
    """
    _refuse("sort", kind=kind, order=order)
    check_arraylike("sort", a)
    return _sort(a, axis=hashable_axis(axis), stable=bool(stable), descending=bool(descending))


@composite(static_argnames=("axis", "stable", "descending", "dtype"))
def _argsort(a: Any, *, axis: Any, stable: bool, descending: bool, dtype: Any) -> Any:
    a, dimension = _flattened(a, axis)
    places = lax.broadcasted_iota(dtype, shape_of(a), dimension)
    if descending:  # turned round twice, so that equal elements keep their order
        a, places = lax.rev(a, (dimension,)), lax.rev(places, (dimension,))
    _, out = lax.sort((a, places), dimension=dimension, is_stable=stable, num_keys=1)
    return lax.rev(out, (dimension,)) if descending else out


@composite(static_argnames=("axis", "kind", "order", "stable", "descending", "dtype"))
def argsort(
    a: Any,
    axis: int | None = -1,
    *,
    kind: None = None,
    order: None = None,
    stable: bool = True,
    descending: bool = False,
    dtype: Any = None,
) -> Any:
    """The indices that sort an array along an axis, as `numpy.argsort`; nan last.

    Args:
      a: an array.
      axis: the axis; None flattens a first.
      kind, order: must be None.
      stable: whether equal elements keep their order.
      descending: whether to sort in descending order.
      dtype: dtype of the indices; the default integer.

    Returns:
      An array of integers.

    Raises:
      ValueError: the axis is out of bounds, or kind or order is given.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.argsort(cnp.array([3, 1, 2]))
      Array([1, 2, 0], dtype=int32)
    """
    _refuse("argsort", kind=kind, order=order)
    check_arraylike("argsort", a)
    return _argsort(
        a,
        axis=hashable_axis(axis),
        stable=bool(stable),
        descending=bool(descending),
        dtype=index_dtype() if dtype is None else dtypes.canonicalize_dtype(dtype),
    )


@composite
def sort_complex(a: Any) -> Any:
    """The elements sorted by real, then by imaginary part, as `numpy.sort_complex`.

    Args:
      a: an array.

    Returns:
      An array of complex numbers.

    Raises:
      TypeError: a is not an array.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.sort_complex(cnp.array([2.0, 1.0]))
      Array([1.+0.j, 2.+0.j], dtype=complex64)
    """
    check_arraylike("sort_complex", a)
    a = lax.sort(as_array(a), dimension=-1)
    return convert(a, dtypes.to_complex_dtype(dtype_of(a)))


@composite(static_argnames=("axis",))
def lexsort(keys: Any, axis: int = -1) -> Any:
    """The indices that sort by several keys, the last one first, as `numpy.lexsort`.

    Args:
      keys: a sequence of arrays of one shape.
      axis: the axis.

    Returns:
      An array of integers.

    Raises:
      TypeError: there is no key.
      ValueError: the shapes differ, or the axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.lexsort([cnp.array([1, 0]), cnp.array([0, 0])])
      Array([1, 0], dtype=int32)
    """
    keys = [as_array(k) for k in keys]
    if not keys:
        raise TypeError("need sequence of keys with len > 0 in lexsort")
    check_arraylike("lexsort", *keys)
    shape = shape_of(keys[0])
    if builtins.any(shape_of(k) != shape for k in keys):
        raise ValueError(f"all keys need to be the same shape, got {[shape_of(k) for k in keys]}.")
    if not shape:
        return as_array(np.zeros((), index_dtype()))
    return _lexsort(keys, axis=canonical_axis(axis, len(shape)))


@composite(static_argnames=("axis",))
def _lexsort(keys: Sequence[Any], *, axis: int) -> Any:
    places = lax.broadcasted_iota(index_dtype(), shape_of(keys[0]), axis)
    return lax.sort((*reversed(keys), places), dimension=axis, is_stable=True, num_keys=len(keys))[-1]


@composite(static_argnames=("kth", "axis"))
def partition(a: Any, kth: int, axis: int = -1) -> Any:
    """The elements with the k-th in its sorted place, smaller before and greater after, as `numpy.partition`.

    Args:
      a: an array, not complex.
      kth: the place.
      axis: the axis.

    Returns:
      An array; here fully sorted.

    Raises:
      ValueError: kth or the axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.partition(cnp.array([3, 1, 2]), 1)
      Array([1, 2, 3], dtype=int32)
    """
    _check_kth("partition", a, kth, axis)
    return sort(a, axis)


@composite(static_argnames=("kth", "axis"))
def argpartition(a: Any, kth: int, axis: int = -1) -> Any:
    """The indices that `partition` an array, as `numpy.argpartition`.

    Args:
      a: an array, not complex.
      kth: the place.
      axis: the axis.

    Returns:
      An array of integers.

    Raises:
      ValueError: kth or the axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.argpartition(cnp.array([3, 1, 2]), 1)
      Array([1, 2, 0], dtype=int32)
    """
    _check_kth("argpartition", a, kth, axis)
    return argsort(a, axis)


def _check_kth(name: str, a: Any, kth: int, axis: int) -> None:
    check_arraylike(name, a)
    if dtype_rank(dtype_of(a)) == 3:
        raise NotImplementedError(f"{name} for complex dtype is not implemented.")
    axis = canonical_axis(axis, len(shape_of(a)))
    canonical_axis(kth, shape_of(a)[axis])


# --- non-zero elements --------------------------------------------------------------------------


def _concrete(name: str, a: Any) -> np.ndarray:
    reason = (
        f"The size argument of canter.numpy.{name} must be specified statically to use it inside a transformation: "
        "its result's shape depends on values."
    )
    return np.asarray(concrete_or_error(None, a, reason) if isinstance(a, Tracer) else a)


@composite(static_argnames=("size",))
def _nonzero(a: Any, fill: Any, *, size: int) -> tuple[Any, ...]:
    a = bodies.to_bool(as_array(a))
    shape = shape_of(a)
    dtype = index_dtype()
    total = math.prod(shape)
    if total == 0 or size == 0:
        flat = lax.full((size,), 0, dtype)
        found = lax.full((), 0, dtype)
    else:
        running = lax.cumsum(convert(lax.reshape(a, (total,)), dtype), 0)
        found = lax.index_in_dim(running, total - 1, keepdims=False)
        # The k-th non-zero element is where the running count first reaches k.
        wanted = lax.add(lax.iota(dtype, size), dtype.type(1))
        flat = searchsorted(running, wanted, side="left")
    missing = lax.ge(lax.iota(dtype, size), found)
    places = _unravel(flat, shape)
    return tuple(
        bodies.where(missing, convert(as_array(f), dtype), place)
        for f, place in zip(fill, places, strict=True)
    )


def _unravel(flat: Any, shape: tuple[int, ...]) -> list[Any]:
    places: list[Any] = []
    for size in reversed(shape):
        step = const(flat, builtins.max(size, 1))
        places.insert(0, lax.rem(flat, step))
        flat = lax.div(flat, step)
    return places


def nonzero(a: Any, *, size: int | None = None, fill_value: Any = None) -> tuple[Any, ...]:
    """The indices of non-zero elements, as `numpy.nonzero`.

    Args:
      a: an array.
      size: how many indices to return, needed where `a` is traced: more are cut off, fewer are filled up.
      fill_value: what fills up; a number, or one per dimension; 0 by default.

    Returns:
      A tuple of one-dimensional arrays of integers, one per dimension.

    Raises:
      ConcretizationTypeError: a is traced and there is no size.
      ValueError: a has no dimension, or fill_value does not fit.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.nonzero(cnp.array([0, 3, 0, 4]))
      (Array([1, 3], dtype=int32),)
    """
    check_arraylike("nonzero", a)
    rank = len(shape_of(a))
    if rank == 0:
        raise ValueError("Calling nonzero on 0d arrays is not allowed. Use canter.numpy.atleast_1d(scalar).nonzero() "
                         "if the context allows.")  # fmt: skip
    if size is None:
        from .creation import asarray

        return tuple(asarray(i.astype(index_dtype())) for i in np.nonzero(_concrete("nonzero", a)))
    if fill_value is None:
        fill: tuple[Any, ...] = (0,) * rank
    elif isinstance(fill_value, tuple):
        if len(fill_value) != rank:
            raise ValueError(f"nonzero: fill_value has {len(fill_value)} entries for {rank} dimensions.")
        fill = fill_value
    else:
        fill = (fill_value,) * rank
    return tuple(_nonzero(a, fill, size=size_of(size)))


def flatnonzero(a: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The indices of non-zero elements of the flattened array, as `numpy.flatnonzero`.

    Args:
      a: an array.
      size, fill_value: as in `nonzero`.

    Returns:
      A one-dimensional array of integers.

    Raises:
      ConcretizationTypeError: a is traced and there is no size.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.flatnonzero(cnp.array([[0, 3], [0, 4]]))
      Array([1, 3], dtype=int32)
    """
    from .shaping import ravel

    return nonzero(ravel(a), size=size, fill_value=fill_value)[0]


def argwhere(a: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The indices of non-zero elements as the rows of a matrix, as `numpy.argwhere`.

    Args:
      a: an array.
      size, fill_value: as in `nonzero`.

    Returns:
      An array of shape (number of elements, a.ndim).

    Raises:
      ConcretizationTypeError: a is traced and there is no size.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.argwhere(cnp.array([[0, 3], [0, 4]]))
      Array([[0, 1],
             [1, 1]], dtype=int32)
    """
    from .creation import zeros
    from .joining import stack
    from .shaping import atleast_1d

    check_arraylike("argwhere", a)
    rank = len(shape_of(a))
    if rank == 0:
        count = int(_concrete("argwhere", a) != 0) if size is None else size_of(size)
        return zeros((count, 0), int)
    places = nonzero(atleast_1d(a), size=size, fill_value=fill_value)
    return stack(list(places), axis=-1)


def compress(
    condition: Any,
    a: Any,
    axis: int | None = None,
    *,
    size: int | None = None,
    fill_value: Any = 0,
    out: None = None,
) -> Any:
    """The slices whose condition holds, along an axis, as `numpy.compress`.

    Args:
      condition: a one-dimensional array of booleans.
      a: an array.
      axis: the axis; None flattens a first.
      size: how many slices to return, needed where the condition is traced.
      fill_value: the elements of slices that fill up.
      out: must be None.

    Returns:
      An array.

    Raises:
      ValueError: the condition is not one-dimensional.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.compress(cnp.array([True, False, True]), cnp.arange(3))
      Array([0, 2], dtype=int32)
    """
    from .indexing import take
    from .shaping import ravel

    refuse_out("compress", out)
    check_arraylike("compress", condition, a)
    if len(shape_of(condition)) != 1:
        raise ValueError(f"condition must be a 1D array, got shape {shape_of(condition)}.")
    if axis is None:
        a, axis = ravel(a), 0
    axis = canonical_axis(axis, len(shape_of(a)))
    length = shape_of(a)[axis]
    if shape_of(condition)[0] > length:
        if bool(np.any(_concrete("compress", condition)[length:])):
            raise ValueError("condition contains entries that are out of bounds.")
        condition = condition[:length]
    where = nonzero(condition, size=size, fill_value=length)[0]
    return take(a, where, axis=axis, mode="fill", fill_value=fill_value)


def extract(condition: Any, arr: Any, *, size: int | None = None, fill_value: Any = 0) -> Any:
    """The elements whose condition holds, as `numpy.extract`.

    Args:
      condition: an array of booleans.
      arr: an array of as many elements.
      size: how many elements to return, needed where the condition is traced.
      fill_value: what fills up.

    Returns:
      A one-dimensional array.

    Raises:
      ConcretizationTypeError: the condition is traced and there is no size.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.extract(cnp.array([True, False]), cnp.array([5, 6]))
      Array([5], dtype=int32)
    """
    from .shaping import ravel

    return compress(ravel(condition), ravel(arr), size=size, fill_value=fill_value)


# --- searching ----------------------------------------------------------------------------------

_METHODS = ("default", "scan", "scan_unrolled", "sort", "compare_all")


def _is_before(a: Any, v: Any, side: str) -> Any:
    """Whether elements of a go before v; nan goes last."""
    before = bodies.less(a, v) if side == "left" else bodies.less_equal(a, v)
    if is_inexact(dtype_of(a)):
        nan_v = bodies.isnan(v)
        last = lax.bitwise_and(nan_v, lax.bitwise_not(bodies.isnan(a))) if side == "left" else nan_v
        before = lax.bitwise_or(before, last)
    return before


@composite(static_argnames=("side", "method"))
def _searchsorted(a: Any, v: Any, sorter: Any, *, side: str, method: str) -> Any:
    from .indexing import take

    a, v = (as_array(x) for x in promote_dtypes(a, v))
    if sorter is not None:
        a = take(a, sorter, axis=0, mode="clip")
    count = shape_of(a)[0]
    dtype = index_dtype()
    if count == 0:
        return lax.full(shape_of(v), 0, dtype)
    if method == "compare_all":
        full = (*shape_of(v), count)
        wide = lax.broadcast_in_dim(v, full, tuple(range(len(full) - 1)))
        before = _is_before(lax.broadcast_in_dim(a, full, (len(full) - 1,)), wide, side)
        return lax.reduce_sum(convert(before, dtype), (len(full) - 1,))
    # Halve the interval that holds the answer; the last step finds it.
    low, high = lax.full(shape_of(v), 0, dtype), lax.full(shape_of(v), count, dtype)

    def step(_: Any, interval: tuple[Any, Any]) -> tuple[Any, Any]:
        low, high = interval
        middle = lax.shift_right_logical(lax.add(low, high), lax.full_like(low, 1))
        before = _is_before(take(a, middle, axis=0, mode="clip"), v, side)
        unfinished = lax.lt(low, high)
        go_right = lax.bitwise_and(before, unfinished)
        go_left = lax.bitwise_and(lax.bitwise_not(before), unfinished)
        low = lax.select(go_right, lax.add(middle, lax.full_like(middle, 1)), low)
        return low, lax.select(go_left, middle, high)

    # Steps too many do nothing.
    steps = 31 if is_symbolic_dim(count) else count.bit_length()
    if method == "scan_unrolled" or steps <= 4:
        interval = (low, high)
        for i in range(steps):
            interval = step(i, interval)
        return interval[0]
    return lax.fori_loop(0, steps, step, (low, high))[0]


@composite(static_argnames=("side", "method"))
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None, *, method: str = "scan") -> Any:
    """Where values would go in a sorted array, as `numpy.searchsorted`.

    Args:
      a: a one-dimensional array in ascending order.
      v: an array of values.
      side: "left" to go before equal elements, "right" to go after them.
      sorter: indices that sort a, if it is not sorted.
      method: "scan" (bisection in a loop), "scan_unrolled", "compare_all" (every pair); "sort" is taken as
        "scan". All give the same result.

    Returns:
      An array of integers of v's shape.

    Raises:
      ValueError: side or method is unknown, or a is not one-dimensional.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.searchsorted(cnp.array([1, 3, 5]), cnp.array([0, 3, 9]))
      Array([0, 1, 3], dtype=int32)
    """
    check_arraylike("searchsorted", a, v)
    if side not in ("left", "right"):
        raise ValueError(f"{side!r} is an invalid value for keyword 'side'; use 'left' or 'right'.")
    if method not in _METHODS:
        raise ValueError(f"{method!r} is an invalid value for keyword 'method'; use one of {_METHODS}.")
    if len(shape_of(a)) != 1:
        raise ValueError(f"a should be 1-dimensional, got shape {shape_of(a)}.")
    return _searchsorted(a, v, sorter, side=side, method=method)
