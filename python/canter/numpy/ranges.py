"""Ranges and grids: arange, linspace, eye, meshgrid and their kin."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.core.dimensions import is_symbolic_dim, max_dim, size_of, surely_less
from canter.core.trace import Tracer, concrete_or_error
from canter.lax.common import const
from canter.runtime.composite import composite
from canter.runtime.host_constants import host_first, iota_on_host

from .creation import asarray, place, requested_dtype, zeros
from .util import (
    PYTHON_RANK,
    broadcast_to,
    canonical_axis,
    canonical_shape,
    check_arraylike,
    convert,
    dtype_of,
    dtype_rank,
    inexact_dtype,
    promote_dtypes_inexact,
    shape_of,
)

__all__ = [
    "arange",
    "eye",
    "fromfunction",
    "geomspace",
    "identity",
    "indices",
    "linspace",
    "logspace",
    "meshgrid",
    "tri",
]


def fromfunction(function: Callable[..., Any], shape: Any, *, dtype: Any = float, **kwargs: Any) -> Any:
    """The array of a function's values at every index, as `numpy.fromfunction`, by `vmap`.

    Args:
      function: takes one scalar per dimension.
      shape: the shape of the result.
      dtype: dtype of the indices.
      **kwargs: passed to the function.

    Returns:
      What the function returns, with `shape` leading.

    Raises:
      TypeError: the shape is not a sequence of integers.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.fromfunction(lambda i, j: i + j, (2, 3), dtype=int)
      Array([[0, 1, 2],
             [1, 2, 3]], dtype=int32)
    """
    from canter.transforms.vmap import vmap

    shape = canonical_shape(shape)
    if kwargs:
        function = functools.partial(function, **kwargs)
    for mapped in reversed(range(len(shape))):  # the outermost vmap makes the leading dimension
        function = vmap(function, in_axes=tuple(0 if axis == mapped else None for axis in range(len(shape))))
    return function(*(arange(n, dtype=dtype) for n in shape))


# --- ranges -------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def _iota(size: int, dtype: Any) -> Callable[[], Any]:
    """A function of no arguments for each range from 0, which is the fastest to call."""

    def iota() -> Any:
        return lax.iota(dtype, size)

    return host_first(lambda: iota_on_host((size,), dtype), (size,), composite(iota))


def _steps(start: Any, step: Any, size: int, dtype: Any) -> Any:
    """`start + i * step`: two compiled calls for fractions, which in one would not be rounded in between."""
    # In halves of a number's bits, products and sums would be rounded before the result is.
    exact = np.dtype(np.float32) if dtype_rank(dtype) == 2 and dtype.itemsize < 4 else dtype
    one = type(step) is int and step == 1
    if one or dtype_rank(dtype) < 2:
        return _shifted_multiples(start, step, one=one, size=size, exact=exact, dtype=dtype)
    return _shifted(start, _multiples(step, size=size, dtype=exact), dtype=dtype)


@composite(static_argnames=("size", "dtype"))
def _multiples(step: Any, *, size: int, dtype: Any) -> Any:
    return lax.mul(convert(step, dtype), lax.iota(dtype, size))


@composite(static_argnames=("dtype",))
def _shifted(start: Any, ticks: Any, *, dtype: Any) -> Any:
    return convert(lax.add(convert(start, dtype_of(ticks)), ticks), dtype)


@composite(static_argnames=("one", "size", "exact", "dtype"))
def _shifted_multiples(start: Any, step: Any, *, one: bool, size: int, exact: Any, dtype: Any) -> Any:
    ticks = lax.iota(exact, size)
    if not one:
        ticks = lax.mul(convert(step, exact), ticks)
    return convert(lax.add(convert(start, exact), ticks), dtype)


def _concrete_number(x: Any, which: str) -> Any:
    if is_symbolic_dim(x):
        return x
    if isinstance(x, Tracer):
        x = concrete_or_error(
            None, x, f"It arose in the {which} argument of canter.numpy.arange, which sets a shape."
        )
    if type(x) in PYTHON_RANK or isinstance(x, np.generic):
        return x
    value = np.asarray(x)
    if value.shape != ():
        raise TypeError(f"canter.numpy.arange needs scalars, got {which} of shape {value.shape}.")
    return value[()]


def arange(
    start: Any,
    stop: Any = None,
    step: Any = None,
    dtype: Any = None,
    *,
    device: Any = None,
    out_sharding: Any = None,
) -> Any:
    """Evenly spaced numbers from `start` up to, without, `stop`, as `numpy.arange`.

    Args:
      start: first number, or, alone, the stop of a range from 0.
      stop: the end, not included.
      step: the distance; 1 by default.
      dtype: element type; the arguments' common dtype by default.
      device: a device or sharding to put the array on.
      out_sharding: a sharding to put the array on.

    Returns:
      A one-dimensional array of ceil((stop - start) / step) numbers.

    Raises:
      TypeError: an argument is traced or not a number, or all are bools and no dtype is given.
      ZeroDivisionError: the step is 0.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.arange(0, 10, 3)
      Array([0, 3, 6, 9], dtype=int32)
    """
    if start is None and stop is None:
        raise TypeError("canter.numpy.arange needs a start or a stop.")
    if dtype is None and all(isinstance(x, (bool, np.bool_)) for x in (start, stop, step) if x is not None):
        raise TypeError(
            "canter.numpy.arange makes no range of bools. Convert them to integers, or name a dtype."
        )
    start = 0 if start is None else _concrete_number(start, "start")
    if stop is None:
        start, stop = 0, start
    else:
        stop = _concrete_number(stop, "stop")
    step = 1 if step is None else _concrete_number(step, "step")
    if dtype is None:
        dtype = dtypes.result_type(start, stop, step)
    else:
        dtype = requested_dtype("arange", dtype)
    if step == 0:
        raise ZeroDivisionError("canter.numpy.arange: the step is 0.")
    size = _arange_size(start, stop, step)
    plain = type(start) is int and start == 0 and type(step) in (int, bool) and step == 1
    if plain and dtype_rank(dtype) != 3:
        out = _iota(size_of(size), dtype)()
    elif dtype_rank(dtype) == 0:
        return place(asarray(np.arange(start, stop, step).astype(bool)), device, out_sharding, "jnp.arange")
    else:
        out = _steps(start, step, size_of(size), dtype)
    return place(out, device, out_sharding, "jnp.arange")


def _arange_size(start: Any, stop: Any, step: Any) -> Any:
    if is_symbolic_dim(start) or is_symbolic_dim(stop) or is_symbolic_dim(step):
        return max_dim(-((start - stop) // step), 0)
    return max(0, math.ceil((stop - start) / step))


_FOUR_BITS = tuple(np.dtype(name) for name in ("int2", "uint2", "int4", "uint4"))


@composite(static_argnames=("num", "endpoint", "retstep", "dtype", "axis"))
def _linspace(start: Any, stop: Any, num: int, endpoint: bool, retstep: bool, dtype: Any, axis: int) -> Any:
    check_arraylike("linspace", start, stop)
    num, axis = _count(num, "linspace"), operator.index(axis)
    if dtype is not None:
        dtype = requested_dtype("linspace", dtype)
    start, stop = promote_dtypes_inexact(start, stop)
    wide = np.dtype(np.int32) if dtype in _FOUR_BITS else dtype  # no other dtype is joined with those
    common = inexact_dtype(dtype_of(start) if dtype is None else dtypes.result_type(start, stop, wide))
    shape = lax.broadcast_shapes(shape_of(start), shape_of(stop))
    start, stop = (lax.expand_dims(broadcast_to(convert(x, common), shape), (0,)) for x in (start, stop))
    intervals = num - 1 if endpoint else num
    real = lax.real(lax.full((), 0, common)).dtype if dtype_rank(common) == 3 else common
    ticks = lax.iota(real, num)
    fraction = convert(lax.div(ticks, const(ticks, max_dim(intervals, 1))), common)
    fraction = lax.expand_dims(fraction, tuple(range(1, len(shape) + 1)))
    rest = lax.sub(const(fraction, 1), fraction)
    out = lax.add(lax.mul(start, rest), lax.mul(stop, fraction))
    if endpoint and not surely_less(num, 2):
        last = lax.eq(
            lax.broadcasted_iota(np.int32, out.shape, 0), lax.convert_element_type(num - 1, np.int32)
        )
        out = lax.select(last, broadcast_to(stop, out.shape), out)
    result_dtype = common if dtype is None else dtype
    if dtype_rank(result_dtype) == 1:
        out = lax.floor(out)
    out = _moved(convert(out, result_dtype), axis)
    if not retstep:
        return out
    width = lax.squeeze(lax.sub(stop, start), (0,))
    if surely_less(intervals, 1):
        return out, lax.full(shape, math.nan, common)
    return out, lax.div(width, const(width, intervals))


def _moved(x: Any, axis: int) -> Any:
    """x with its first axis moved to another place."""
    ndim = len(shape_of(x))
    axis = canonical_axis(axis, ndim)
    if axis == 0:
        return x
    order = [*range(1, ndim)]
    order.insert(axis, 0)
    return lax.transpose(x, tuple(order))


def _count(num: Any, name: str) -> int:
    num = size_of(concrete_or_error(None, num, f"It arose in the num argument of {name}."))
    if num < 0:
        raise ValueError(f"Number of samples, {num}, must be non-negative.")
    return num


def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    """`num` evenly spaced numbers between two, as `numpy.linspace`.

    Args:
      start, stop: arrays or numbers that broadcast together.
      num: how many numbers.
      endpoint: whether `stop` is the last.
      retstep: whether to return the distance too.
      dtype: element type; a float by default. Integers are rounded down.
      axis: the axis of the result along which the numbers run.
      device: a device or sharding to put the array on.

    Returns:
      An array, or the pair (array, distance).

    Raises:
      ValueError: num is negative.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linspace(0, 1, 5)
      Array([0.  , 0.25, 0.5 , 0.75, 1.  ], dtype=float32)
    """
    out = _linspace(start, stop, num, endpoint, retstep, dtype, axis)
    return out if device is None else place(out, device)


@composite(static_argnames=("num", "endpoint", "dtype", "axis"))
def _logspace(start: Any, stop: Any, base: Any, *, num: int, endpoint: bool, dtype: Any, axis: int) -> Any:
    start, stop, base = promote_dtypes_inexact(start, stop, base)
    exponents = _linspace(start, stop, num=num, endpoint=endpoint, retstep=False, dtype=None, axis=axis)
    out = lax.pow(broadcast_to(convert(base, dtype_of(exponents)), exponents.shape), exponents)
    return convert(out, dtype_of(out) if dtype is None else dtype)


@composite(static_argnames=("num", "endpoint", "dtype", "axis"))
def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """Numbers evenly spaced on a logarithmic scale, base**start to base**stop, as `numpy.logspace`.

    Args:
      start, stop: exponents of the ends.
      num: how many numbers.
      endpoint: whether base**stop is the last.
      base: the base.
      dtype: element type; a float by default.
      axis: the axis of the result along which the numbers run.

    Returns:
      An array.

    Raises:
      ValueError: num is negative.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.logspace(0, 2, 3)
      Array([  1.,  10., 100.], dtype=float32)
    """
    check_arraylike("logspace", start, stop, base)
    dtype = None if dtype is None else requested_dtype("logspace", dtype)
    return _logspace(
        start,
        stop,
        base,
        num=_count(num, "logspace"),
        endpoint=bool(endpoint),
        dtype=dtype,
        axis=operator.index(axis),
    )


@composite(static_argnames=("num", "endpoint", "dtype", "axis"))
def _geomspace(start: Any, stop: Any, *, num: int, endpoint: bool, dtype: Any, axis: int) -> Any:
    start, stop = promote_dtypes_inexact(start, stop)
    sign = lax.sign(start)
    ends = (lax.log(lax.div(start, sign)), lax.log(lax.div(stop, sign)))
    logs = _linspace(*ends, num=num, endpoint=endpoint, retstep=False, dtype=None, axis=0)
    out = lax.mul(lax.exp(logs), broadcast_to(convert(sign, dtype_of(logs)), logs.shape))
    position = lax.broadcasted_iota(np.int32, out.shape, 0)
    exact = [(0, start)] + ([(num - 1, stop)] if endpoint and num > 1 else [])
    for index, value in exact:
        value = broadcast_to(convert(value, dtype_of(out)), out.shape)
        out = lax.select(lax.eq(position, np.int32(index)), value, out)
    return _moved(convert(out, dtype_of(out) if dtype is None else dtype), axis)


@composite(static_argnames=("num", "endpoint", "dtype", "axis"))
def geomspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Any:
    """Numbers in geometric progression between two, as `numpy.geomspace`.

    Args:
      start, stop: first and last number, not 0 and of one sign.
      num: how many numbers.
      endpoint: whether `stop` is the last.
      dtype: element type; a float by default.
      axis: the axis of the result along which the numbers run.

    Returns:
      An array.

    Raises:
      ValueError: num is negative.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.geomspace(1, 100, 3)
      Array([  1.,  10., 100.], dtype=float32)
    """
    check_arraylike("geomspace", start, stop)
    dtype = None if dtype is None else requested_dtype("geomspace", dtype)
    return _geomspace(
        start,
        stop,
        num=_count(num, "geomspace"),
        endpoint=bool(endpoint),
        dtype=dtype,
        axis=operator.index(axis),
    )


# --- matrices and grids -------------------------------------------------------------------------


@composite(static_argnames=("shape", "dtype"))
def _eye(k: Any, *, shape: tuple[int, ...], dtype: Any) -> Any:
    rows, columns = (lax.broadcasted_iota(np.int32, shape, i) for i in (0, 1))
    return convert(lax.eq(lax.add(rows, convert(k, np.dtype(np.int32))), columns), dtype)


def eye(N: int, M: int | None = None, k: Any = 0, dtype: Any = None, *, device: Any = None) -> Any:
    """A matrix with ones on a diagonal and zeros elsewhere, as `numpy.eye`.

    Args:
      N: number of rows.
      M: number of columns; N by default.
      k: the diagonal: 0 the main one, positive above it.
      dtype: element type; the default float.
      device: a device or sharding to put the array on.

    Returns:
      An array of shape (N, M).

    Raises:
      TypeError: N or M is not a concrete integer.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.eye(2)
      Array([[1., 0.],
             [0., 1.]], dtype=float32)
    """
    shape = canonical_shape((N, N if M is None else M))
    return place(_eye(k, shape=shape, dtype=requested_dtype("eye", dtype)), device)


def identity(n: int, dtype: Any = None) -> Any:
    """The identity matrix, as `numpy.identity`.

    Args:
      n: number of rows and columns.
      dtype: element type; the default float.

    Returns:
      An array of shape (n, n).

    Raises:
      TypeError: n is not a concrete integer.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.identity(1)
      Array([[1.]], dtype=float32)
    """
    return eye(n, dtype=dtype)


@composite(static_argnames=("shape", "k", "dtype"))
def _tri(*, shape: tuple[int, ...], k: int, dtype: Any) -> Any:
    rows, columns = (lax.broadcasted_iota(np.int32, shape, i) for i in (0, 1))
    return convert(lax.ge(lax.add(rows, np.int32(k)), columns), dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """A matrix with ones at and below a diagonal and zeros above, as `numpy.tri`.

    Args:
      N: number of rows.
      M: number of columns; N by default.
      k: the diagonal: 0 the main one, positive above it.
      dtype: element type; float32 unless given.

    Returns:
      An array of shape (N, M).

    Raises:
      TypeError: N, M or k is not a concrete integer.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.tri(2)
      Array([[1., 0.],
             [1., 1.]], dtype=float32)
    """
    shape = canonical_shape((N, N if M is None else M))
    return _tri(
        shape=shape, k=operator.index(k), dtype=requested_dtype("tri", np.float32 if dtype is None else dtype)
    )


@composite(static_argnames=("sparse", "indexing"))
def _meshgrid(xi: Sequence[Any], *, sparse: bool, indexing: str) -> list[Any]:
    sizes = [shape_of(x)[0] for x in xi]
    order = list(range(len(xi)))
    if indexing == "xy" and len(xi) >= 2:
        order[:2] = [1, 0]
    shape = tuple(sizes[order[i]] for i in range(len(xi)))
    out = []
    for i, x in enumerate(xi):
        axis = order.index(i)
        own = tuple(sizes[i] if j == axis else 1 for j in range(len(xi)))
        out.append(lax.broadcast_in_dim(x, own if sparse else shape, (axis,)))
    return out


def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> list[Any]:
    """Coordinate grids of coordinate vectors, as `numpy.meshgrid`.

    Args:
      *xi: one-dimensional arrays or numbers.
      copy: True; arrays are always copies.
      sparse: whether to leave dimensions of size 1 unbroadcast.
      indexing: "xy" (the first two axes swapped) or "ij".

    Returns:
      A list of arrays, one per argument.

    Raises:
      ValueError: `indexing` is neither, an argument has more than one dimension, or copy is False.

    Example:
      >>> import canter.numpy as cnp
      >>> x, y = cnp.meshgrid(cnp.arange(2), cnp.arange(3))
      >>> x
      Array([[0, 1],
             [0, 1],
             [0, 1]], dtype=int32)
    """
    check_arraylike("meshgrid", *xi)
    if indexing not in ("xy", "ij"):
        raise ValueError(f"Valid values for indexing are 'xy' and 'ij', got {indexing!r}.")
    if not copy:
        raise ValueError("canter.numpy.meshgrid only supports copy=True.")
    if any(len(shape_of(x)) > 1 for x in xi):
        raise ValueError(f"Arguments to meshgrid must be 0D or 1D, got shapes {[shape_of(x) for x in xi]}.")
    arrays = [asarray(x) for x in xi]
    vectors = [x if len(x.shape) else lax.broadcast(x, (1,)) for x in arrays]
    return list(_meshgrid(vectors, sparse=bool(sparse), indexing=indexing))


def indices(dimensions: Sequence[int], dtype: Any = None, sparse: bool = False) -> Any:
    """The indices of a grid, as `numpy.indices`.

    Args:
      dimensions: the shape of the grid.
      dtype: element type; the default integer.
      sparse: whether to return a tuple of arrays that broadcast, in place of one array.

    Returns:
      An array of shape (len(dimensions), *dimensions), or a tuple.

    Raises:
      TypeError: a dimension is not a concrete integer.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.indices((2, 2))[0]
      Array([[0, 0],
             [1, 1]], dtype=int32)
    """
    from .joining import stack

    shape = canonical_shape(dimensions)
    dtype = requested_dtype("indices", dtype, int)
    grids = meshgrid(*(arange(n, dtype=dtype) for n in shape), sparse=sparse, indexing="ij")
    if sparse:
        return tuple(grids)
    return stack(grids) if grids else zeros((0,), dtype)
