"""Functions that make arrays: from Python and NumPy data, and from shapes and ranges."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.core.trace import Tracer, concrete_or_error, is_eager
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.array import make_shaped_array
from canter.runtime.composite import composite
from canter_pjrt.jaxlib_door import ArrayImpl

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
    promote_dtypes,
    promote_dtypes_inexact,
    shape_of,
)

__all__ = [
    "arange", "array", "asarray", "astype", "copy", "empty", "empty_like", "eye", "from_dlpack", "frombuffer",
    "fromfunction", "full", "full_like", "geomspace", "identity", "indices", "linspace", "logspace", "meshgrid",
    "ones", "ones_like", "tri", "zeros", "zeros_like",
]  # fmt: skip


def place(x: Any, device: Any, out_sharding: Any = None) -> Any:
    """x on a device or with a sharding, where one is asked for."""
    if out_sharding is not None:
        device = out_sharding
    if device is None:
        return x
    from canter.runtime.device_put import device_put

    return device_put(x, device)


def default_dtype(kind: type) -> Any:
    """The dtype that Python numbers of a kind become: 32 bits wide, or 64 under enable_x64."""
    return dtypes.canonicalize_dtype(dtypes.python_scalar_dtypes[kind])


def requested_dtype(name: str, dtype: Any, default: type = float) -> Any:
    """A dtype argument as a dtype that arrays have."""
    return default_dtype(default) if dtype is None else dtypes.check_user_dtype_supported(dtype, name)


# --- from data ----------------------------------------------------------------------------------


@composite
def _materialize(x: Any) -> Any:
    """A number or array as an array of its own."""
    return lax.copy_p.bind(x)


def _from_numpy(value: np.ndarray, dtype: Any) -> Any:
    if value.dtype.kind in "OSUmM":
        raise TypeError(
            f"Value {value!r:.80} with dtype {value.dtype} is not a valid array type. "
            "Only arrays of numbers and booleans are supported."
        )
    target = dtypes.canonicalize_dtype(value.dtype) if dtype is None else dtype
    if value.dtype != target:
        if value.dtype.kind == "c" and dtype_rank(target) < 3:
            value = value.real
        with np.errstate(all="ignore"):
            value = value.astype(target)
    return make_shaped_array(np.ascontiguousarray(value).reshape(value.shape))


def _leaves(nested: Any) -> Any:
    for item in nested:
        if isinstance(item, (list, tuple)):
            yield from _leaves(item)
        else:
            yield item


def _from_sequence(nested: Any, dtype: Any) -> Any:
    leaves = list(_leaves(nested))
    if any(item is None for item in leaves):
        raise ValueError("None is not a valid value for canter.numpy.array.")
    if any(isinstance(item, (Tracer, ArrayImpl)) or hasattr(item, "__jax_array__") for item in leaves):
        from .shaping import stack

        items = [asarray(item, dtype=dtype) for item in nested]
        return stack(items)
    value = np.array(nested)
    if dtype is None and leaves and value.dtype.kind not in "OSUmM":
        dtype = dtypes.result_type(*leaves) if len(leaves) < 1000 else _common_dtype(leaves, value)
    if value.dtype.kind in "iu" and dtype is not None and dtype_rank(dtype) == 1:
        _check_ints_fit(value, dtype)
    return _from_numpy(value, default_dtype(float) if not leaves and dtype is None else dtype)


def _common_dtype(leaves: list[Any], value: np.ndarray) -> Any:
    examples = {type(item) if type(item) in PYTHON_RANK else dtypes.dtype(item): item for item in leaves}
    return dtypes.result_type(*examples.values())


def _check_ints_fit(value: np.ndarray, dtype: Any) -> None:
    limits = dtypes.iinfo(dtype)
    if value.size and (value.max() > limits.max or value.min() < limits.min) and limits.bits >= 32:
        raise OverflowError(
            f"An integer in {value!r:.80} is too large to convert to {dtype}. "
            "canter.config.update('enable_x64', True) turns 64-bit types on."
        )


def array(
    object: Any,
    dtype: Any = None,
    copy: bool = True,
    order: str | None = "K",
    ndmin: int = 0,
    *,
    device: Any = None,
    out_sharding: Any = None,
) -> Any:
    """An array of numbers, nested sequences of numbers, arrays, or objects that NumPy can read.

    Args:
      object: the data. Sequences may hold arrays and tracers.
      dtype: element type; by default that of the data, 64-bit types narrowed unless enable_x64 is set.
      copy: whether the result must not share memory with `object`.
      order: None, "K", "A" or "C": all give C order.
      ndmin: leading dimensions of size 1 are added up to this number of dimensions.
      device: a device or sharding to put the array on.
      out_sharding: a sharding to put the array on.

    Returns:
      An array; a Python number without `dtype` gives a weakly typed one.

    Raises:
      TypeError: the data is not numeric.
      ValueError: nested sequences are ragged or hold None.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.array([[1, 2], [3, 4]])
      Array([[1, 2],
             [3, 4]], dtype=int32)
    """
    if order not in (None, "K", "A", "C"):
        raise NotImplementedError(f"canter.numpy.array only supports order 'K', 'A' and 'C', got {order!r}.")
    if dtype is not None:
        dtype = dtypes.check_user_dtype_supported(dtype, "array")
    kind = type(object)
    if getattr(object, "aval", None) is not None:
        out = object if dtype is None else _convert(object, dtype)
        if copy and out is object and kind is ArrayImpl:
            out = _materialize(out)
    elif kind in PYTHON_RANK and dtype is None:
        out = _materialize(object) if is_eager() else as_array(object)
    elif isinstance(object, (np.ndarray, np.generic, *PYTHON_RANK)):
        if type(object) is int and dtype is not None and dtype_rank(dtype) == 1:
            _check_ints_fit(np.asarray(object), dtype)
        out = _from_numpy(np.asarray(object), dtype)
    elif isinstance(object, (list, tuple)):
        out = _from_sequence(object, dtype)
    elif hasattr(object, "__jax_array__"):
        return array(
            object.__jax_array__(), dtype, copy, order, ndmin, device=device, out_sharding=out_sharding
        )
    elif object is None:
        raise ValueError("None is not a valid value for canter.numpy.array.")
    else:
        out = _from_numpy(_read(object), dtype)
    if ndmin > len(out.shape):
        out = lax.broadcast_in_dim(
            out,
            (1,) * (ndmin - len(out.shape)) + tuple(out.shape),
            tuple(range(ndmin - len(out.shape), ndmin)),
        )
    return place(out, device, out_sharding)


def _read(object: Any) -> np.ndarray:
    if hasattr(object, "__array__"):
        return np.asarray(object)
    try:
        return np.asarray(memoryview(object))
    except TypeError:
        pass
    value = np.asarray(object)
    if value.dtype.kind == "O":
        raise TypeError(
            f"Unexpected input type for array: {type(object)}. Pass an array, a number or a list of them."
        )
    return value


def asarray(
    a: Any,
    dtype: Any = None,
    order: str | None = None,
    *,
    copy: bool | None = None,
    device: Any = None,
    out_sharding: Any = None,
) -> Any:
    """`array`, without a copy of what is an array already.

    Args:
      a: the data.
      dtype: element type; by default that of the data.
      order: None, "K", "A" or "C": all give C order.
      copy: True to copy; False to refuse where a copy is needed; None to copy where needed.
      device: a device or sharding to put the array on.
      out_sharding: a sharding to put the array on.

    Returns:
      An array.

    Raises:
      TypeError: the data is not numeric.
      ValueError: a copy is needed and `copy` is False.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.asarray([1.0, 2.0])
      Array([1., 2.], dtype=float32)
    """
    if copy is False and getattr(a, "aval", None) is None:
        raise ValueError(
            f"canter.numpy.asarray cannot make an array of a {type(a).__name__} without a copy: "
            "leave `copy` at None."
        )
    if dtype is None and device is None and order is None and not copy and out_sharding is None:
        if getattr(a, "aval", None) is not None:
            return a
    return array(a, dtype, bool(copy), order, device=device, out_sharding=out_sharding)


@composite
def copy(a: Any, order: str | None = None) -> Any:
    """A copy of an array.

    Args:
      a: an array or number.
      order: ignored by layout: arrays are in C order; only None, "K", "A" and "C" are taken.

    Returns:
      An array with memory of its own.

    Raises:
      TypeError: a is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.copy(cnp.array([1, 2]))
      Array([1, 2], dtype=int32)
    """
    check_arraylike("copy", a)
    return lax.copy_p.bind(a)


def _convert(x: Any, dtype: Any) -> Any:
    return _astype(x, dtype=dtype)


@composite(static_argnames=("dtype",))
def _astype(x: Any, *, dtype: Any) -> Any:
    x = as_array(x)
    source = dtype_of(x)
    if dtype_rank(source) == 3 and dtype_rank(dtype) < 3 and dtype_rank(dtype) != 0:
        x = lax.real(x)
    if dtype_rank(dtype) == 0 and dtype_rank(source) != 0:
        return lax.ne(x, const(x, 0))
    return convert(x, dtype)


def astype(x: Any, dtype: Any, /, *, copy: bool = False, device: Any = None) -> Any:
    """x converted to a dtype, as `numpy.astype`.

    Args:
      x: an array or number.
      dtype: the dtype; None is the default float.
      copy: whether the result must be a new array even where nothing changes.
      device: a device or sharding to put the array on.

    Returns:
      An array. Floats become integers by dropping the fraction, complex numbers lose the imaginary part.

    Raises:
      TypeError: x is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.astype(cnp.array([1.5, 2.5]), cnp.int32)
      Array([1, 2], dtype=int32)
    """
    check_arraylike("astype", x)
    dtype = requested_dtype("astype", dtype)
    if dtype_rank(dtype_of(x)) == 3 and dtype_rank(dtype) in (1, 2):
        import warnings

        warnings.warn(
            "Casting complex values to real discards the imaginary part; take x.real to say so.",
            np.exceptions.ComplexWarning,
            stacklevel=2,
        )
    aval = getattr(x, "aval", None)
    if aval is not None and aval.dtype == dtype and not aval.weak_type:
        out = _materialize(x) if copy and type(x) is ArrayImpl else x
    else:
        out = _astype(x, dtype=dtype)
    return place(out, device)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Any:
    """An array that shares the memory of another library's array, through DLPack.

    Args:
      x: an object with `__dlpack__`.
      device: a device or sharding to put the array on.
      copy: True to copy the memory.

    Returns:
      An array.

    Raises:
      TypeError: x has no `__dlpack__` method.

    Example:
      >>> import numpy as np, canter.numpy as cnp
      >>> cnp.from_dlpack(np.arange(3, dtype=np.float32))
      Array([0., 1., 2.], dtype=float32)
    """
    from canter.runtime.dlpack import from_dlpack as read

    return read(x, device, copy)


def frombuffer(buffer: Any, dtype: Any = float, count: int = -1, offset: int = 0) -> Any:
    """A one-dimensional array of a buffer's bytes, as `numpy.frombuffer`.

    Args:
      buffer: an object with the buffer interface.
      dtype: element type.
      count: number of elements; -1 for all.
      offset: first byte.

    Returns:
      An array.

    Raises:
      ValueError: the buffer's size does not fit.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.frombuffer(bytes([1, 2, 3]), cnp.uint8)
      Array([1, 2, 3], dtype=uint8)
    """
    return asarray(np.frombuffer(buffer, np.dtype(dtype), count, offset))


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


# --- of a shape ---------------------------------------------------------------------------------


@composite(static_argnames=("shape", "dtype", "value"))
def _constant(*, shape: tuple[int, ...], dtype: Any, value: int) -> Any:
    return lax.full(shape, value, dtype)


@composite(static_argnames=("shape", "dtype", "weak_type"))
def _full(value: Any, *, shape: tuple[int, ...], dtype: Any, weak_type: bool) -> Any:
    (value,) = promote_dtypes(value)
    if dtype_rank(dtype) == 0 and dtype_rank(dtype_of(value)) != 0:
        value = lax.ne(value, const(value, 0))
    return broadcast_to(convert(value, dtype, weak_type), shape)


_LIKE_DOC = """An array of {what} of another array's shape and dtype, as `numpy.{name}`.

Args:
  {a}: an array, number, or anything with shape and dtype.
  dtype: element type, instead of that of `{a}`.
  shape: shape, instead of that of `{a}`.
  device: a device or sharding to put the array on.
  out_sharding: a sharding to put the array on.

Returns:
  An array.

Raises:
  TypeError: `{a}` has no shape or dtype.

Example:
  >>> import canter.numpy as cnp
  >>> cnp.{name}(cnp.array([1, 2]))
  Array({printed}, dtype=int32)
"""

_OF_SHAPE_DOC = """An array of {what}, as `numpy.{name}`.

Args:
  shape: an int or a sequence of ints.
  dtype: element type; the default float.
  device: a device or sharding to put the array on.
  out_sharding: a sharding to put the array on.

Returns:
  An array.

Raises:
  TypeError: a dimension is not a concrete integer.
  ValueError: a dimension is negative.

Example:
  >>> import canter.numpy as cnp
  >>> cnp.{name}(2)
  Array({printed}, dtype=float32)
"""


def _of_shape(name: str, value: int, what: str, printed: str) -> Callable[..., Any]:
    def make(shape: Any, dtype: Any = None, *, device: Any = None, out_sharding: Any = None) -> Any:
        out = _constant(shape=canonical_shape(shape), dtype=requested_dtype(name, dtype), value=value)
        return out if device is None and out_sharding is None else place(out, device, out_sharding)

    make.__name__ = make.__qualname__ = name
    make.__module__ = "canter.numpy"
    make.__doc__ = _OF_SHAPE_DOC.format(name=name, what=what, printed=printed)
    return make


zeros = _of_shape("zeros", 0, "zeros", "[0., 0.]")
ones = _of_shape("ones", 1, "ones", "[1., 1.]")
empty = _of_shape("empty", 0, "unspecified values (zeros)", "[0., 0.]")


def full(
    shape: Any, fill_value: Any, dtype: Any = None, *, device: Any = None, out_sharding: Any = None
) -> Any:
    """An array filled with a value, as `numpy.full`.

    Args:
      shape: an int or a sequence of ints.
      fill_value: a number, or an array that broadcasts to the shape.
      dtype: element type; that of the value by default.
      device: a device or sharding to put the array on.
      out_sharding: a sharding to put the array on.

    Returns:
      An array.

    Raises:
      TypeError: a dimension is not a concrete integer, or the value is not an array or number.
      ValueError: a dimension is negative, or the value does not broadcast.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.full((2,), 7.0)
      Array([7., 7.], dtype=float32, weak_type=True)
    """
    check_arraylike("full", fill_value)
    shape = canonical_shape(shape)
    weak_type = dtype is None and dtypes.is_weakly_typed(fill_value)
    dtype = dtype_of(fill_value) if dtype is None else requested_dtype("full", dtype)
    _check_broadcasts(shape_of(fill_value), shape)
    out = _full(fill_value, shape=shape, dtype=dtype, weak_type=weak_type)
    return place(out, device, out_sharding)


def _check_broadcasts(have: tuple[int, ...], want: tuple[int, ...]) -> None:
    if len(have) > len(want) or any(
        a not in (1, b) for a, b in zip(have, want[len(want) - len(have) :], strict=True)
    ):
        raise ValueError(f"Incompatible shapes for broadcasting: {have} and requested shape {want}.")


def _like(a: Any, dtype: Any, shape: Any, name: str) -> tuple[tuple[int, ...], Any, bool]:
    """Shape, dtype and weak type of an array made after another."""
    if not (hasattr(a, "shape") and hasattr(a, "dtype")):
        check_arraylike(name, a)
    weak_type = dtype is None and dtypes.is_weakly_typed(a)
    found = requested_dtype(name, dtype) if dtype is not None else dtypes.canonicalize_dtype(dtype_of(a))
    return tuple(shape_of(a)) if shape is None else canonical_shape(shape), found, weak_type


def full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    shape: Any = None,
    *,
    device: Any = None,
    out_sharding: Any = None,
) -> Any:
    """An array filled with a value, of another array's shape and dtype, as `numpy.full_like`.

    Args:
      a: an array, number, or anything with shape and dtype.
      fill_value: a number, or an array that broadcasts to the shape.
      dtype: element type, instead of that of `a`.
      shape: shape, instead of that of `a`.
      device: a device or sharding to put the array on.
      out_sharding: a sharding to put the array on.

    Returns:
      An array.

    Raises:
      TypeError: a has no shape or dtype.
      ValueError: the value does not broadcast to the shape.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.full_like(cnp.array([1, 2]), 7)
      Array([7, 7], dtype=int32)
    """
    check_arraylike("full_like", fill_value)
    shape, dtype, weak_type = _like(a, dtype, shape, "full_like")
    _check_broadcasts(shape_of(fill_value), shape)
    return place(_full(fill_value, shape=shape, dtype=dtype, weak_type=weak_type), device, out_sharding)


def _like_function(name: str, value: int, what: str, printed: str, first: str = "a") -> Callable[..., Any]:
    def build(a: Any, dtype: Any, shape: Any, device: Any, out_sharding: Any) -> Any:
        shape, dtype, weak_type = _like(a, dtype, shape, name)
        if weak_type:
            out = _full(value, shape=shape, dtype=dtype, weak_type=True)
        else:
            out = _constant(shape=shape, dtype=dtype, value=value)
        return out if device is None and out_sharding is None else place(out, device, out_sharding)

    if first == "a":

        def make(
            a: Any, dtype: Any = None, shape: Any = None, *, device: Any = None, out_sharding: Any = None
        ) -> Any:
            return build(a, dtype, shape, device, out_sharding)

    else:

        def make(prototype: Any, dtype: Any = None, shape: Any = None, *, device: Any = None) -> Any:  # type: ignore[misc]
            return build(prototype, dtype, shape, device, None)

    make.__name__ = make.__qualname__ = name
    make.__module__ = "canter.numpy"
    make.__doc__ = _LIKE_DOC.format(name=name, what=what, printed=printed, a=first)
    return make


zeros_like = _like_function("zeros_like", 0, "zeros", "[0, 0]")
ones_like = _like_function("ones_like", 1, "ones", "[1, 1]")
empty_like = _like_function("empty_like", 0, "unspecified values (zeros)", "[0, 0]", "prototype")


# --- ranges -------------------------------------------------------------------------------------


@composite(static_argnames=("size", "dtype"))
def _iota(*, size: int, dtype: Any) -> Any:
    return lax.iota(dtype, size)


@composite(static_argnames=("size", "dtype"))
def _steps(start: Any, step: Any, *, size: int, dtype: Any) -> Any:
    ticks = lax.iota(dtype, size)
    if not (type(step) is int and step == 1):
        ticks = lax.mul(ticks, convert(step, dtype))
    return lax.add(convert(start, dtype), ticks)


def _concrete_number(x: Any, which: str) -> Any:
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
      TypeError: an argument is traced or not a number.
      ZeroDivisionError: the step is 0.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.arange(0, 10, 3)
      Array([0, 3, 6, 9], dtype=int32)
    """
    if start is None and stop is None:
        raise TypeError("canter.numpy.arange needs a start or a stop.")
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
    size = max(0, math.ceil((stop - start) / step))
    if type(start) is int and start == 0 and type(step) is int and step == 1 and dtype_rank(dtype) != 3:
        out = _iota(size=operator.index(size), dtype=dtype)
    elif dtype_rank(dtype) == 0:
        return place(asarray(np.arange(start, stop, step).astype(bool)), device, out_sharding)
    else:
        out = _steps(start, step, size=operator.index(size), dtype=dtype)
    return place(out, device, out_sharding)


@composite(static_argnames=("num", "endpoint", "retstep", "dtype", "axis"))
def _linspace(
    start: Any, stop: Any, *, num: int, endpoint: bool, retstep: bool, dtype: Any, axis: int
) -> Any:
    start, stop = promote_dtypes_inexact(start, stop)
    common = inexact_dtype(dtype_of(start) if dtype is None else dtypes.result_type(start, stop, dtype))
    shape = lax.broadcast_shapes(shape_of(start), shape_of(stop))
    start, stop = (lax.expand_dims(broadcast_to(convert(x, common), shape), (0,)) for x in (start, stop))
    intervals = num - 1 if endpoint else num
    real = lax.real(lax.full((), 0, common)).dtype if dtype_rank(common) == 3 else common
    ticks = lax.iota(real, num)
    fraction = convert(lax.div(ticks, const(ticks, max(intervals, 1))), common)
    fraction = lax.expand_dims(fraction, tuple(range(1, len(shape) + 1)))
    rest = lax.sub(const(fraction, 1), fraction)
    out = lax.add(lax.mul(start, rest), lax.mul(stop, fraction))
    if endpoint and num > 1:
        last = lax.eq(lax.broadcasted_iota(np.int32, out.shape, 0), np.int32(num - 1))
        out = lax.select(last, broadcast_to(stop, out.shape), out)
    result_dtype = common if dtype is None else dtype
    if dtype_rank(result_dtype) == 1:
        out = lax.floor(out)
    out = _moved(convert(out, result_dtype), axis)
    if not retstep:
        return out
    width = lax.squeeze(lax.sub(stop, start), (0,))
    if intervals < 1:
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
    num = operator.index(concrete_or_error(None, num, f"It arose in the num argument of {name}."))
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
    check_arraylike("linspace", start, stop)
    out = _linspace(
        start,
        stop,
        num=_count(num, "linspace"),
        endpoint=bool(endpoint),
        retstep=bool(retstep),
        dtype=None if dtype is None else requested_dtype("linspace", dtype),
        axis=operator.index(axis),
    )
    return place(out, device)


@composite(static_argnames=("num", "endpoint", "dtype", "axis"))
def _logspace(start: Any, stop: Any, base: Any, *, num: int, endpoint: bool, dtype: Any, axis: int) -> Any:
    start, stop, base = promote_dtypes_inexact(start, stop, base)
    exponents = _linspace(start, stop, num=num, endpoint=endpoint, retstep=False, dtype=None, axis=axis)
    out = lax.pow(broadcast_to(convert(base, dtype_of(exponents)), exponents.shape), exponents)
    return convert(out, dtype_of(out) if dtype is None else dtype)


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
def _eye(k: Any, *, shape: tuple[int, int], dtype: Any) -> Any:
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
def _tri(*, shape: tuple[int, int], k: int, dtype: Any) -> Any:
    rows, columns = (lax.broadcasted_iota(np.int32, shape, i) for i in (0, 1))
    return convert(lax.ge(lax.add(rows, np.int32(k)), columns), dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """A matrix with ones at and below a diagonal and zeros above, as `numpy.tri`.

    Args:
      N: number of rows.
      M: number of columns; N by default.
      k: the diagonal: 0 the main one, positive above it.
      dtype: element type; the default float.

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
    return _tri(shape=shape, k=operator.index(k), dtype=requested_dtype("tri", dtype))


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
    from .shaping import stack

    shape = canonical_shape(dimensions)
    dtype = requested_dtype("indices", dtype, int)
    grids = meshgrid(*(arange(n, dtype=dtype) for n in shape), sparse=sparse, indexing="ij")
    if sparse:
        return tuple(grids)
    return stack(grids) if grids else zeros((0,), dtype)
