"""Functions that make arrays: from Python and NumPy data, and from shapes and ranges."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.core.avals import ShapedArray
from canter.core.config import mesh_context
from canter.core.mesh import Mesh, get_mesh
from canter.core.partition_spec import PartitionSpec
from canter.core.sharding import NamedSharding, is_over_nothing
from canter.core.trace import Tracer, is_eager
from canter.lax.common import const
from canter.lax.conversion import as_array, of_dtype, sharding_after
from canter.runtime.array import make_shaped_array
from canter.runtime.composite import composite
from canter.runtime.host_constants import full_on_host, host_first
from canter.runtime.jit import jit
from canter_pjrt.jaxlib_door import ArrayImpl

from .util import (
    PYTHON_RANK,
    broadcast_to,
    canonical_shape,
    check_arraylike,
    convert,
    dtype_of,
    dtype_rank,
    promote_dtypes,
    shape_of,
)

__all__ = [
    "array",
    "asarray",
    "astype",
    "copy",
    "empty",
    "empty_like",
    "from_dlpack",
    "frombuffer",
    "full",
    "full_like",
    "ones",
    "ones_like",
    "zeros",
    "zeros_like",
]


def place(x: Any, device: Any, out_sharding: Any = None, function: str | None = "out_sharding") -> Any:
    """x on a device or with a sharding, where a function was asked for one."""
    if out_sharding is not None:
        return placed(lambda: x, out_sharding, function)
    if device is None:
        return x
    from canter.runtime.device_put import device_put

    return device_put(x, device)


def placed(compute: Callable[[], Any], out_sharding: Any, function: str | None = "out_sharding") -> Any:
    """What a function computes, with a sharding; along explicit axes of a mesh it says what they leave open."""
    from canter.core.explicit import check_explicit
    from canter.lax.sharding import computed_as, concerns_explicit_axes
    from canter.runtime.device_put import device_put

    if is_over_nothing(out_sharding):
        return compute()
    if function is not None:
        check_explicit(function, out_sharding)
    if concerns_explicit_axes(out_sharding):
        return computed_as(compute, out_sharding)
    return device_put(compute(), out_sharding)


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
    host = np.ascontiguousarray(value).reshape(value.shape)
    if mesh_context.value is not None and is_eager():
        mesh = get_mesh()
        if not mesh.empty:  # as what is computed under it
            from canter.runtime.device_put import to_device

            return to_device(host, None, NamedSharding(mesh, PartitionSpec()))
    return make_shaped_array(host)


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
    if any(
        isinstance(item, (Tracer, ArrayImpl)) or hasattr(item, "aval") or hasattr(item, "__jax_array__")
        for item in leaves
    ):
        from .joining import stack

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
    if value.size and (value.max() > limits.max or value.min() < limits.min):
        advice = (
            "canter.config.update('enable_x64', True) turns 64-bit types on."
            if limits.bits >= 32
            else "Choose a wider dtype, or wrap on purpose with `.astype`."
        )
        raise OverflowError(f"An integer in {value!r:.80} is out of bounds for {dtype}. {advice}")


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
        if copy and out is object and not isinstance(object, Tracer):
            out = _materialize(out) if kind is ArrayImpl else out.copy()  # random keys
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
    return place(out, device, out_sharding, "jnp.array")


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


# --- of a shape ---------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def _constant(shape: tuple[int, ...], dtype: Any, value: int, sharding: Any = None) -> Callable[[], Any]:
    """A function of no arguments for each constant: finding it here is faster than C++ can compare static ones."""

    def constant() -> Any:
        return lax.full(shape, value, dtype)

    if sharding is not None:
        return jit(constant, out_shardings=sharding)
    like = ShapedArray((), dtype)
    return host_first(lambda: full_on_host(shape, value, like), shape, composite(constant))


def _filled(
    shape: tuple[int, ...], dtype: Any, value: int, device: Any, out_sharding: Any, function: str | None
) -> Any:
    """A constant array, each part of it made on the device that is to hold it."""
    target = device if out_sharding is None else out_sharding
    if target is None:
        return _constant(shape, dtype, value)()
    if (
        device is target
        and isinstance(target, NamedSharding)
        and is_eager()
        and isinstance(target.mesh, Mesh)
        and target.mesh.are_all_axes_auto
    ):
        try:
            target.shard_shape(shape)
        except ValueError:
            pass  # which `place` explains
        else:
            return _constant(shape, dtype, value, target)()
    return place(_constant(shape, dtype, value)(), device, out_sharding, function)


@composite(static_argnames=("shape", "dtype", "weak_type"))
def _full(value: Any, *, shape: tuple[int, ...], dtype: Any, weak_type: bool) -> Any:
    (value,) = promote_dtypes(value)
    if dtype_rank(dtype) == 0 and dtype_rank(dtype_of(value)) != 0:
        value = lax.ne(value, const(value, 0))
    return as_array(broadcast_to(convert(value, dtype, weak_type), shape))


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
        return _filled(
            canonical_shape(shape), requested_dtype(name, dtype), value, device, out_sharding, f"jnp.{name}"
        )

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
    weak_type = dtype is None and device is None and dtypes.is_weakly_typed(fill_value)
    if dtype is None:
        dtype = dtype_of(fill_value)
    else:
        dtype = requested_dtype("full", dtype)
        fill_value = of_dtype(fill_value, dtype, "canter.numpy.full")
    _check_broadcasts(shape_of(fill_value), shape)
    out = _full(fill_value, shape=shape, dtype=dtype, weak_type=weak_type)
    return place(out, device, out_sharding, "full")


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


def _layout_of(a: Any, shape: Any) -> Any:
    """Where an array is bound to be, or how explicit mesh axes split a tracer: so are others made after it."""
    if not isinstance(a, Tracer):
        return sharding_after(a, shape_of(a) if shape is None else canonical_shape(shape))
    return None if shape is not None else getattr(a.aval, "layout", None)


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
    function: str | None = "full_like"
    if device is None and out_sharding is None:
        out_sharding, function = _layout_of(a, shape), None
    shape, dtype, weak_type = _like(a, dtype, shape, "full_like")
    fill_value = of_dtype(fill_value, dtype, "canter.numpy.full_like")
    _check_broadcasts(shape_of(fill_value), shape)
    return place(
        _full(fill_value, shape=shape, dtype=dtype, weak_type=weak_type), device, out_sharding, function
    )


def _like_function(name: str, value: int, what: str, printed: str, first: str = "a") -> Callable[..., Any]:
    def build(a: Any, dtype: Any, shape: Any, device: Any, out_sharding: Any) -> Any:
        function: str | None = f"jnp.{name}"
        if device is None and out_sharding is None:
            out_sharding, function = _layout_of(a, shape), None
        shape, dtype, weak_type = _like(a, dtype, shape, name)
        if not weak_type:
            return _filled(shape, dtype, value, device, out_sharding, function)
        return place(_full(value, shape=shape, dtype=dtype, weak_type=True), device, out_sharding, function)

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
