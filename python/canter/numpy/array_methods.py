"""The operators and methods of arrays, installed on `ArrayImpl` and on tracers.

An operator of a concrete array is a C++ function object standing in the class itself, so that
`x + y` runs no Python at all. An operator of a tracer is a short Python method around the same body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.core.trace import Tracer
from canter.runtime.composite import composite, composite_operator, refuse_sequences
from canter_pjrt.jaxlib_door import ArrayImpl

from . import (
    creation,
    cumulative,
    indexing,
    linear_algebra,
    matrices,
    reductions,
    repeating,
    selection,
    shaping,
    sorting,
    ufunc_bodies as bodies,
    ufuncs,
)
from .updates import IndexUpdateHelper
from .util import dtype_of, dtype_rank, shape_of

__all__: list[str] = []

_OPERANDS = (Tracer, ArrayImpl, float, int, np.ndarray, np.generic, complex)

#: Operator method -> body; the reflected method exchanges the operands.
_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": ufuncs.inline["add"],
    "sub": ufuncs.inline["subtract"],
    "mul": ufuncs.inline["multiply"],
    "truediv": ufuncs.inline["divide"],
    "floordiv": ufuncs.inline["floor_divide"],
    "mod": ufuncs.inline["remainder"],
    "divmod": ufuncs.divmod,
    "matmul": lambda x, y: linear_algebra.matmul_body(x, y),
    "and": ufuncs.inline["bitwise_and"],
    "or": ufuncs.inline["bitwise_or"],
    "xor": ufuncs.inline["bitwise_xor"],
    "lshift": ufuncs.inline["left_shift"],
    "rshift": ufuncs.inline["right_shift"],
}

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": ufuncs.inline["equal"],
    "ne": ufuncs.inline["not_equal"],
    "lt": ufuncs.inline["less"],
    "le": ufuncs.inline["less_equal"],
    "gt": ufuncs.inline["greater"],
    "ge": ufuncs.inline["greater_equal"],
}

_UNARY: dict[str, Callable[[Any], Any]] = {
    "neg": ufuncs.inline["negative"],
    "pos": ufuncs.inline["positive"],
    "abs": bodies.absolute,
    "invert": ufuncs.inline["invert"],
}


def _reflected(body: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def reflected(self: Any, other: Any) -> Any:
        return body(other, self)

    return reflected


def _named(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = name
    return function


def _tracer_operator(body: Callable[[Any, Any], Any], name: str) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        if isinstance(other, _OPERANDS):
            return body(self, other)
        if hasattr(other, "__jax_array__"):
            return body(self, other.__jax_array__())
        if hasattr(other, "aval"):
            return body(self, other)
        refuse_sequences(name, self, other)
        return NotImplemented

    return _named(method, name)


def _array_operator(body: Callable[[Any, Any], Any], name: str) -> Any:
    def operation(x: Any, y: Any) -> Any:
        return body(x, y)

    return composite_operator(_named(operation, name))


# --- powers: an int exponent is static, so it cannot go through a compiled operator ---------------


def _pow(self: Any, other: Any, modulo: Any = None) -> Any:
    if modulo is not None or not (isinstance(other, _OPERANDS) or hasattr(other, "aval")):
        if not hasattr(other, "__jax_array__"):
            refuse_sequences("__pow__", self, other)
            return NotImplemented
        other = other.__jax_array__()
    return ufuncs.power(self, other)


def _rpow(self: Any, other: Any, modulo: Any = None) -> Any:
    if modulo is not None or not (isinstance(other, _OPERANDS) or hasattr(other, "aval")):
        refuse_sequences("__rpow__", self, other)
        return NotImplemented
    return ufuncs._power(other, self)


# --- methods that are not a function under their own name -----------------------------------------


def _reshape(
    self: Any, *args: Any, order: str = "C", copy: bool | None = None, out_sharding: Any = None
) -> Any:
    """The elements in another shape, given as one sequence or as several ints; see `canter.numpy.reshape`."""
    shape = args[0] if len(args) == 1 else args
    return shaping.reshape(self, shape, order, copy=copy, out_sharding=out_sharding)


def _transpose(self: Any, *args: Any) -> Any:
    """The axes in another order, given as one sequence or as several ints; see `canter.numpy.transpose`."""
    if not args or args == (None,):
        return shaping.transpose(self)
    return shaping.transpose(self, args[0] if len(args) == 1 and not isinstance(args[0], int) else args)


def _astype(self: Any, dtype: Any, copy: bool = False, device: Any = None) -> Any:
    """The array converted to a dtype; see `canter.numpy.astype`."""
    return creation.astype(self, dtype, copy=copy, device=device)


def _flatten(self: Any, order: str = "C", *, out_sharding: Any = None) -> Any:
    """The elements in one dimension; see `canter.numpy.ravel`."""
    return shaping.ravel(self, order, out_sharding=out_sharding)


def _clip(self: Any, min: Any = None, max: Any = None) -> Any:
    """The elements limited to an interval; see `canter.numpy.clip`."""
    return selection.clip(self, min, max)


def _dot(self: Any, b: Any, *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """The product with another array; see `canter.numpy.dot`."""
    return linear_algebra.dot(self, b, precision=precision, preferred_element_type=preferred_element_type)


def _compress(
    self: Any, condition: Any, axis: Any = None, *, out: None = None, size: Any = None, fill_value: Any = 0
) -> Any:
    """The slices whose condition holds; see `canter.numpy.compress`."""
    return sorting.compress(condition, self, axis, size=size, fill_value=fill_value, out=out)


def _view(self: Any, dtype: Any = None, type: None = None) -> Any:
    """The memory read as another dtype; where sizes differ, the last axis grows or shrinks.

    Args:
      dtype: the dtype.
      type: must be None.

    Raises:
      TypeError: the last axis does not hold a whole number of elements.
    """
    if type is not None:
        raise NotImplementedError("The 'type' argument of view() is not supported: there is one array type.")
    if dtype is None:
        return self
    target = dtypes.check_user_dtype_supported(dtype, "view")
    source = dtype_of(self)
    if dtype_rank(source) == 0:
        return _view(lax.convert_element_type(self, np.uint8), target)
    if dtype_rank(target) == 0:
        return lax.ne(_view(self, np.uint8), np.uint8(0))
    return _bitcast(self, target=target)


@composite(static_argnames=("target",))
def _bitcast(x: Any, *, target: Any) -> Any:
    source, shape = dtype_of(x), shape_of(x)
    if dtype_rank(source) == 3 and dtype_rank(target) != 3:
        parts = lax.stack([lax.real(x), lax.imag(x)], len(shape))
        return _bitcast(lax.reshape(parts, (*shape[:-1], shape[-1] * 2)), target=target)
    if dtype_rank(target) == 3 and dtype_rank(source) != 3:
        real = np.dtype(f"float{4 * target.itemsize}")
        if not shape or (shape[-1] * dtypes.itemsize_bits(source)) % dtypes.itemsize_bits(target):
            raise ValueError(
                f"view: the last axis of shape {shape} of {source} is not a multiple of {target}'s size."
            )
        flat = _bitcast(x, target=real)
        pairs = lax.reshape(flat, (*shape[:-1], shape_of(flat)[-1] // 2, 2))
        last = len(shape)
        return lax.complex(*(lax.index_in_dim(pairs, i, last, keepdims=False) for i in (0, 1)))
    have, want = dtypes.itemsize_bits(source), dtypes.itemsize_bits(target)
    if have == want:
        return lax.bitcast_convert_type(x, target)
    if not shape:
        raise ValueError(f"view: a 0-d array of {source} cannot be read as {target} of another size.")
    if want > have:
        ratio = want // have
        if shape[-1] % ratio:  # a partial element would be left over
            raise ValueError(
                f"view: the last axis, of size {shape[-1]}, is not a multiple of {ratio}, as reading {source} as "
                f"{target} needs."
            )
        x = lax.reshape(x, (*shape[:-1], shape[-1] // ratio, ratio))
        return lax.bitcast_convert_type(x, target)
    out = lax.bitcast_convert_type(x, target)
    return lax.reshape(out, (*shape[:-1], shape[-1] * (have // want)))


def _byteswap(self: Any) -> Any:
    """The elements with their bytes in reverse order."""
    size = dtype_of(self).itemsize
    if size == 1:
        return self
    wide = _view(shaping.expand_dims(self, -1), np.uint8)
    return shaping.reshape(_view(shaping.flip(wide, -1), dtype_of(self)), shape_of(self))


def _setitem(self: Any, index: Any, value: Any) -> None:
    raise TypeError(
        "Arrays are immutable and do not support in-place item assignment. Instead of x[idx] = y, use "
        "x = x.at[idx].set(y) or another .at[] method (add, multiply, min, max, ...)."
    )


def _delitem(self: Any, index: Any) -> None:
    raise TypeError("Arrays are immutable: instead of del x[idx], use canter.numpy.delete(x, idx).")


def _contains(self: Any, item: Any) -> Any:
    return reductions.any(ufuncs.equal(self, item)).__bool__()


def _round(self: Any, ndigits: int | None = None) -> Any:
    out = selection.round(self, ndigits or 0)
    return creation.astype(out, int) if ndigits is None else out


def _len(self: Any) -> int:
    shape = self.aval.shape
    if not shape:
        raise TypeError("len() of unsized object: the array has no dimension.")
    return shape[0]


def _iter(self: Any) -> Iterator[Any]:
    if not self.aval.shape:
        raise TypeError("iteration over a 0-d array")
    return iter(lax.unstack(self, 0))


def _namespace(self: Any, *, api_version: str | None = None) -> Any:
    """The module of array functions, for the array API."""
    if api_version not in (None, "2021.12", "2022.12", "2023.12", "2024.12"):
        raise ValueError(f"canter.numpy does not know the array API's version {api_version!r}.")
    import canter.numpy

    return canter.numpy


def _to_device(self: Any, device: Any, *, stream: Any = None) -> Any:
    """The array on a device or with a sharding."""
    if stream is not None:
        raise NotImplementedError("to_device: the stream argument is not supported.")
    return creation.place(self, device)


def _of_the_value(name: str) -> Any:
    """A method of tracers that only values have: it raises unless the tracer's value is known."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._concrete_or("ConcretizationTypeError"), name)(*args, **kwargs)

    return _named(method, name)


def _property_of_the_value(name: str) -> property:
    def read(self: Any) -> Any:
        return getattr(self._concrete_or("ConcretizationTypeError"), name)

    return property(read, doc=f"`{name}` of the value, where it is known.")


def _tobytes(self: Any, order: Any = "C") -> bytes:
    """The elements' bytes."""
    return np.asarray(self).tobytes(order)


_METHODS: dict[str, Any] = {
    "__getitem__": indexing.getitem,
    "__setitem__": _setitem,
    "__delitem__": _delitem,
    "__contains__": _contains,
    "__round__": _round,
    "__array_namespace__": _namespace,
    "all": reductions.all, "any": reductions.any, "argmax": sorting.argmax, "argmin": sorting.argmin,
    "argpartition": sorting.argpartition, "argsort": sorting.argsort, "astype": _astype, "byteswap": _byteswap,
    "choose": selection.choose, "clip": _clip, "compress": _compress, "conj": ufuncs.conjugate,
    "conjugate": ufuncs.conjugate, "copy": creation.copy, "cumprod": cumulative.cumprod,
    "cumsum": cumulative.cumsum, "diagonal": matrices.diagonal, "dot": _dot, "flatten": _flatten,
    "max": reductions.max, "mean": reductions.mean, "min": reductions.min, "nonzero": sorting.nonzero,
    "prod": reductions.prod, "ptp": reductions.ptp, "ravel": shaping.ravel, "repeat": repeating.repeat,
    "reshape": _reshape, "round": selection.round, "searchsorted": sorting.searchsorted, "sort": sorting.sort,
    "squeeze": shaping.squeeze, "std": reductions.std, "sum": reductions.sum, "swapaxes": shaping.swapaxes,
    "take": indexing.take, "to_device": _to_device, "trace": matrices.trace, "transpose": _transpose,
    "var": reductions.var, "view": _view,
}  # fmt: skip

_PROPERTIES: dict[str, property] = {
    "flat": property(
        lambda self: shaping.ravel(self), doc="The elements in one dimension, as `numpy.ravel`."
    ),
    "T": property(shaping.transpose, doc="The array with its axes reversed."),
    "mT": property(shaping.matrix_transpose, doc="The array with its last two axes exchanged."),
    "real": property(selection.real, doc="The real part."),
    "imag": property(selection.imag, doc="The imaginary part."),
    "at": property(IndexUpdateHelper, doc="Functional updates: `x.at[index].set(y)`, see `IndexUpdateRef`."),
}

_VALUE_METHODS = (
    "__dlpack__", "__dlpack_device__", "addressable_data", "delete", "devices", "is_deleted", "is_ready",
    "on_device_size_in_bytes", "tobytes", "unsafe_buffer_pointer",
)  # fmt: skip
_VALUE_ATTRIBUTES = (
    "addressable_shards", "committed", "global_shards", "is_fully_addressable", "is_fully_replicated",
)  # fmt: skip

#: What tracers need besides; arrays have their own.
_TRACER_ONLY: dict[str, Any] = {
    "__len__": _len,
    "__iter__": _iter,
    "device": property(
        lambda self: None, doc="None, which stands for the default device: it is known at run time."
    ),
    **{name: _of_the_value(name) for name in _VALUE_METHODS},
    **{name: _property_of_the_value(name) for name in _VALUE_ATTRIBUTES},
    "nbytes": property(lambda self: self.aval.size * self.aval.dtype.itemsize, doc="Bytes of all elements."),
    "itemsize": property(lambda self: self.aval.dtype.itemsize, doc="Bytes of one element."),
}


def _install_operators() -> None:
    for name, body in {**_BINARY, **_COMPARISONS}.items():
        setattr(Tracer, f"__{name}__", _tracer_operator(body, f"__{name}__"))
        setattr(ArrayImpl, f"__{name}__", _array_operator(body, f"__{name}__"))
        if name in _BINARY:
            reflected = _reflected(body)
            setattr(Tracer, f"__r{name}__", _tracer_operator(reflected, f"__r{name}__"))
            setattr(ArrayImpl, f"__r{name}__", _array_operator(reflected, f"__r{name}__"))
    for name, unary in _UNARY.items():
        setattr(Tracer, f"__{name}__", _named(_closed(unary), f"__{name}__"))
        setattr(ArrayImpl, f"__{name}__", composite_operator(_named(_closed(unary), f"__{name}__")))


def _closed(body: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def operation(x: Any) -> Any:
        return body(x)

    return operation


def _install() -> None:
    _install_operators()
    for cls in (Tracer, ArrayImpl):
        for name, attribute in {"__pow__": _pow, "__rpow__": _rpow, **_METHODS, **_PROPERTIES}.items():
            setattr(cls, name, attribute)
    for name, attribute in _TRACER_ONLY.items():
        setattr(Tracer, name, attribute)
    if not hasattr(ArrayImpl, "tobytes"):
        ArrayImpl.tobytes = _tobytes


_install()
