"""`Array`: the public type of arrays, and what it can do that is not NumPy's.

Every array is an instance of jaxlib's C++ class `ArrayImpl`, which cannot be subclassed; importing
this module sets Canter's properties and methods on it. Arithmetic, indexing and the other methods
of NumPy arrays are installed by `canter.numpy`. `Array` is a base class of `ArrayImpl` for which
`isinstance` also admits tracers.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

import numpy as np

from canter_pjrt import jaxlib_door
from canter_pjrt.jaxlib_door import Array, ArrayCopySemantics, ArrayImpl, JaxRuntimeError

from ..core.avals import ShapedArray, register_aval
from .array_text import array_repr
from .backend import current_default_device
from .layouts import copied_to
from .placement import part_sharding
from .shardings import SingleDeviceSharding, sharding_of

__all__ = [
    "Array",
    "ArrayImpl",
    "Shard",
    "check_not_deleted",
    "deleted_error",
    "device_copy",
    "make_shaped_array",
    "parts_by_device",
]

register_aval(ArrayImpl, attrgetter("aval"))

Array.__module__ = "canter"
Array.__doc__ = """An array, or a tracer that stands for one inside a transformation.

Use it for `isinstance` checks and annotations. Arrays are made by functions such as
`canter.numpy.array`; they are immutable, and have the attributes, methods and operators of NumPy
arrays as far as these do not write.

>>> import canter as ct, canter.numpy as cnp
>>> isinstance(cnp.arange(3), ct.Array)
True
>>> ct.jit(lambda x: cnp.sum(x) if isinstance(x, ct.Array) else 0)(cnp.arange(3))
Array(3, dtype=int32)
"""


# --- deleted arrays ----------------------------------------------------------------------------

_cpp_delete = ArrayImpl.delete
_cpp_block = ArrayImpl.block_until_ready
_cpp_is_ready = ArrayImpl.is_ready
_cpp_clone = ArrayImpl.clone
_cpp_platform = ArrayImpl.platform
_cpp_layout = ArrayImpl._pjrt_layout.fget
_cpp_size = ArrayImpl.on_device_size_in_bytes
_cpp_pointer = ArrayImpl.unsafe_buffer_pointer


def deleted_error(array: Any) -> RuntimeError:
    """The error for an array whose memory is gone, with what is known of where it went."""
    from . import donation

    aval = array.aval
    what = f"Array has been deleted with shape={aval.dtype.name}[{','.join(map(str, aval.shape))}]."
    caller = array.__dict__.get("_deleted_by")
    if caller is not None:
        return RuntimeError(
            f"{what} Its method delete() was called at {caller}. Use the array before that call."
        )
    takers = donation.donators_of(aval)
    if takers:
        others = f" (or another of {len(takers)} that donate such arrays)" if len(takers) > 1 else ""
        where = f"It was donated: most likely as {takers[0]}{others}."
    else:
        where = "It was donated: to a compiled function (donate_argnums, donate_argnames) or to device_put."
    return RuntimeError(
        f"{what} {where} Go on with what that call returned, or do not donate the array, or donate "
        "a copy: x.copy()."
    )


def check_not_deleted(array: Any) -> None:
    """Raises RuntimeError if the array was deleted or donated."""
    if array.is_deleted():
        raise deleted_error(array)


def _delete(self: Any) -> None:
    """Frees the memory now; every later use raises RuntimeError."""
    if self.is_deleted():
        return
    from ..core import source

    self._deleted_by = source.summarize(jaxlib_door.Traceback.get_traceback())
    _cpp_delete(self)


def _guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    """Some C++ methods end the process on a deleted array; this looks first."""

    def guarded(self: Any) -> Any:
        if self.is_deleted():
            raise deleted_error(self)
        return method(self)

    guarded.__name__ = method.__name__
    return guarded


def _block_until_ready(self: Any) -> Any:
    """Waits until the array is computed, and returns it; errors of the computation are raised here.

    >>> import canter.numpy as cnp
    >>> cnp.arange(3).block_until_ready()
    Array([0, 1, 2], dtype=int32)
    """
    try:
        return _cpp_block(self)
    except JaxRuntimeError:
        if self.is_deleted():
            raise deleted_error(self) from None
        raise


# --- values on the host ------------------------------------------------------------------------


def _value(self: Any) -> np.ndarray:
    """The value as a NumPy array that cannot be written to; shares memory where it can."""
    if self.is_deleted():
        raise deleted_error(self)
    known = self._npy_value
    if known is not None:
        return known
    sharding = self._sharding
    if type(sharding) is SingleDeviceSharding:
        try:  # the quick way, for memory of the host and dtypes that buffers know
            return np.asarray(memoryview(self))
        except (BufferError, ValueError):
            pass
    if type(sharding) is SingleDeviceSharding or sharding.is_fully_replicated:
        host, copied = jaxlib_door.host_value(self)
    else:
        host, copied = _assemble(self, sharding), True
    host.flags.writeable = False
    if copied:
        self._npy_value = host
    return host


def _assemble(array: Any, sharding: Any) -> np.ndarray:
    if not sharding.is_fully_addressable:
        raise RuntimeError(
            f"An array of shape {array.shape} spans devices of other processes ({sharding}), so that its value cannot "
            "be read here. In all processes, canter.experimental.multihost_utils.process_allgather(x, tiled=True) "
            "gives it as a NumPy array; the parts of this process are in x.addressable_shards."
        )
    aval = array.aval
    sharding.devices_indices_map(aval.shape)  # refuses sums that have yet to be made
    whole = np.empty(aval.shape, aval.dtype)
    for shard in _addressable_shards(array):
        if shard.replica_id == 0:
            whole[shard.index] = _value(shard.data)
    return whole


def _array(self: Any, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    """The value as a NumPy array; without `copy=True` it shares memory where it can and is read-only."""
    host = _value(self)
    if dtype is not None and np.dtype(dtype) != host.dtype:
        if copy is False:
            raise ValueError(
                f"An array of dtype {host.dtype.name} cannot become {np.dtype(dtype).name} without a copy."
            )
        return host.astype(dtype)
    return host.copy() if copy else host


def _copy_to_host_async(self: Any) -> None:
    """Starts the copy to the host, so that reading the value later does not wait for all of it."""
    if self.is_deleted():
        raise deleted_error(self)
    if self._npy_value is not None:
        return
    if type(self._sharding) is SingleDeviceSharding or self._sharding.is_fully_replicated:
        jaxlib_door.start_copy_to_host(self)
    else:
        for part in jaxlib_door.parts_of(self):
            jaxlib_door.start_copy_to_host(part)


def _bool(self: Any) -> bool:
    host = _value(self)
    if host.size == 1:
        return bool(host)
    if host.size == 0:
        raise ValueError(
            "The truth value of an empty array is ambiguous. Use `array.size > 0` to check that an array "
            "is not empty."
        )
    raise ValueError(
        f"The truth value of an array with more than one element is ambiguous (shape {host.shape}). "
        "Use a.any() or a.all()"
    )


def _scalar_conversion(kind: type) -> Callable[[Any], Any]:
    def convert(self: Any) -> Any:
        host = _value(self)
        if host.ndim:
            raise TypeError(
                f"Only scalar arrays can be converted to Python scalars; got arr.ndim={host.ndim}, "
                f"shape {host.shape}. Take one element first: {kind.__name__}(x[{', '.join('0' * host.ndim)}])."
            )
        return kind(host)

    convert.__name__ = f"__{kind.__name__}__"
    return convert


def _index(self: Any) -> int:
    if self.aval.shape or self.aval.dtype.kind not in "iu":
        raise TypeError(
            f"Only integer scalar arrays can be converted to a scalar index; got {self.aval.str_short()}. "
            "Convert it with .astype(int), and take one element of it."
        )
    return operator.index(_value(self)[()])


def _hash(self: Any) -> int:
    raise TypeError(
        "unhashable type: Array. Arrays compare element by element, so they cannot be dictionary keys, "
        "members of sets or static arguments. Use a tuple (x.tolist()) or id(x) as the key."
    )


def _len(self: Any) -> int:
    shape = self.aval.shape
    if not shape:
        raise TypeError("len() of unsized object: the array has no dimensions")
    return shape[0]


def _iter(self: Any) -> Iterator[Any]:
    aval = self.aval
    if not aval.shape:
        raise TypeError("iteration over a 0-d array")
    if self.is_deleted():
        raise deleted_error(self)
    # One copy to the host and small ones back are many times as fast as a program per row.
    row_aval = aval.update(shape=aval.shape[1:])
    sharding, committed = self._sharding, self._committed
    if type(sharding) is not SingleDeviceSharding:  # rows of an array over several devices may go anywhere
        sharding, committed = sharding_of(current_default_device()), False
    devices = [sharding._device]
    put = jaxlib_door.batched_device_put
    return (put(row_aval, sharding, [np.asarray(row)], devices, committed, True) for row in _value(self))


def _tolist(self: Any) -> Any:
    """The value as nested lists of Python numbers."""
    return _value(self).tolist()


def _item(self: Any, *args: Any) -> Any:
    """One element as a Python number: the only one, or that at the given flat or multi-index."""
    if not args and self.aval.size != 1:
        raise ValueError(
            f"can only convert an array of size 1 to a Python scalar; this one has shape {self.aval.shape}. "
            "Give an index, or use tolist()."
        )
    index = args[0] if len(args) == 1 and isinstance(args[0], tuple) else args
    return _value(self).item(*map(operator.index, index))


# --- text --------------------------------------------------------------------------------------


def _repr(self: Any) -> str:
    if self.is_deleted():
        return f"<deleted Array {self.aval.str_short()}>"
    if not _is_readable(self):
        unmade = getattr(self._sharding, "_unreduced", None)
        tail = f", sharding={self._sharding}" if unmade else ""
        return f"Array(shape={self.aval.shape}, dtype={self.aval.dtype.name}{tail})"
    return array_repr(_value(self), self.aval.weak_type)


def _str(self: Any) -> str:
    return _repr(self) if self.is_deleted() or not _is_readable(self) else str(_value(self))


def _is_readable(self: Any) -> bool:
    """Whether this process has all of the value."""
    sharding = self._sharding
    if getattr(sharding, "_unreduced", None):  # a sum that has yet to be made
        return False
    return sharding.is_fully_addressable or sharding.is_fully_replicated


def _format(self: Any, spec: str) -> str:
    host = _value(self)
    return format(host[()] if not host.ndim else host, spec)


# --- parts -------------------------------------------------------------------------------------


class Shard:
    """The part of an array that one device holds.

    Attributes:
      device: the device.
      data: the part as an array on that device; None where the device belongs to another process.
      index: the slices of the whole array that the part covers.
      replica_id: 0 for the first device that holds this part, 1 for the second, ...

    Args:
      device: the device.
      sharding: of the whole array.
      global_shape: the shape of the whole array.
      data: the part.
    """

    __slots__ = ("_global_shape", "_sharding", "data", "device")

    def __init__(self, device: Any, sharding: Any, global_shape: tuple[int, ...], data: Any = None):
        self.device = device
        self._sharding = sharding
        self._global_shape = global_shape
        self.data = data

    @property
    def index(self) -> tuple[slice, ...]:
        return self._sharding.devices_indices_map(self._global_shape)[self.device]

    @property
    def replica_id(self) -> int:
        if type(self._sharding) is SingleDeviceSharding:
            return 0
        before = self._sharding._replica_ids(len(self._global_shape))
        if self.device in before:
            return before[self.device]
        raise ValueError(f"{self.device} is none of the devices of {self._sharding}.")

    def __repr__(self) -> str:
        where = f"device={self.device!r}"
        if not getattr(self._sharding, "_unreduced", None):  # parts of sums have no place in the array
            where += f", index={self.index}, replica_id={self.replica_id}"
        return f"Shard({where}, data={self.data})"


def _shards(self: Any, parts: dict[Any, Any]) -> list[Shard]:
    sharding, shape = self._sharding, self.aval.shape
    return [
        Shard(device, sharding, shape, parts[device])
        for device in sharding._device_assignment
        if device in parts
    ]


def parts_by_device(self: Any) -> dict[Any, Any]:
    """The parts of an array on devices of this process."""
    if self.is_deleted():
        raise deleted_error(self)
    if type(self._sharding) is SingleDeviceSharding:
        return {self._sharding._device: self}
    return {part._sharding._device: part for part in _parts(self)}


def _parts(self: Any) -> list[Any]:
    """The parts on devices of this process, as arrays. Those that jaxlib cuts out do not know their type."""
    aval = self.aval
    shape = self._sharding.shard_shape(aval.shape)
    own = aval.update(shape=shape, layout=None)
    parts = jaxlib_door.parts_of(self)
    if self._sharding.num_devices == 1 and parts:
        # jaxlib gives the array itself, with its own sharding.
        (device,) = self._sharding._device_assignment
        return [self._rewrap_with_aval_and_sharding(own, part_sharding(device, self._sharding))]
    return [_with_type(part, own) for part in parts]


def _with_type(part: Any, aval: Any) -> Any:
    return part if part.aval is not None else part._rewrap_with_aval_and_sharding(aval, part._sharding)


def _addressable_shards(self: Any) -> list[Shard]:
    """The parts on devices of this process."""
    return _shards(self, parts_by_device(self))


def _global_shards(self: Any) -> list[Shard]:
    """The parts on all devices; `data` is None for those of other processes."""
    parts = dict.fromkeys(self._sharding._device_assignment)
    return _shards(self, parts | parts_by_device(self))


def _addressable_data(self: Any, index: int) -> Any:
    """The part on one device of this process, by number; the whole array if each has all of it."""
    if self.is_deleted():
        raise deleted_error(self)
    if type(self._sharding) is SingleDeviceSharding:
        return self
    if self._sharding.is_fully_replicated:
        return _with_type(self._fully_replicated_shard(), self.aval.update(layout=None))
    return _parts(self)[index]


def _device(self: Any) -> Any:
    """The device of the array, or its sharding if there are several."""
    sharding = self._sharding
    if type(sharding) is SingleDeviceSharding:
        return sharding._device
    return next(iter(sharding.device_set)) if len(sharding.device_set) == 1 else sharding


def _devices(self: Any) -> set[Any]:
    """The devices that hold the array."""
    return set(self._sharding.device_set)


def _format_of(self: Any) -> Any:
    from .layouts import format_of

    if self.is_deleted():
        raise deleted_error(self)
    return format_of(self)


# --- copies ------------------------------------------------------------------------------------


def device_copy(array: Any) -> Any:
    """A copy in memory of its own, on the same devices."""
    if array.is_deleted():
        raise deleted_error(array)
    copied = copied_to(array, array._sharding, ArrayCopySemantics.ALWAYS_COPY)
    if copied._committed == array._committed:
        return copied
    return jaxlib_door.make_array(array.aval, array._sharding, [copied], committed=array._committed)


def _deepcopy(self: Any, memo: Any) -> Any:
    copied = memo[id(self)] = device_copy(self)
    return copied


def make_shaped_array(host: np.ndarray, weak_type: bool = False) -> Any:
    """An array on the default device with the value of a NumPy array, which is copied."""
    device = current_default_device()
    aval = ShapedArray(host.shape, host.dtype, weak_type)
    # Without x64 the put would narrow 64-bit values that a pickle or checkpoint holds: say what they are.
    return jaxlib_door.batched_device_put(
        aval, sharding_of(device), [host], [device], committed=False, force_copy=True, enable_x64=True
    )


def _reduce(self: Any) -> Any:
    return make_shaped_array, (np.array(_value(self)), self.aval.weak_type)


# --- exchange ----------------------------------------------------------------------------------


def _dlpack(
    self: Any, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None
) -> Any:
    """A dlpack capsule over the array's memory, for other libraries' from_dlpack."""
    from .dlpack import to_dlpack

    return to_dlpack(self, stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)


def _dlpack_device(self: Any) -> tuple[Any, int]:
    """The device in dlpack's terms: its type's number, and its own."""
    from .dlpack import dlpack_device

    return dlpack_device(self)


def _gone(name: str, instead: str) -> property:
    """An attribute that arrays had once: asking for it says what to write."""

    def refuse(self: Any) -> Any:
        raise AttributeError(f"Arrays have no attribute {name!r} any more: use {instead}.")

    return property(refuse, doc=f"Not there any more: use `{instead}`.")


_aval_dtype = attrgetter("aval.dtype")

_ATTRIBUTES: dict[str, Any] = {
    "shape": property(attrgetter("aval.shape"), doc="The dimensions, a tuple of ints."),
    "dtype": property(_aval_dtype, doc="The type of the elements, a NumPy dtype."),
    "ndim": property(lambda self: len(self.aval.shape), doc="The number of dimensions."),
    "size": property(attrgetter("aval.size"), doc="The number of elements."),
    "itemsize": property(attrgetter("aval.dtype.itemsize"), doc="Bytes of one element."),
    "nbytes": property(lambda self: self.aval.size * self.aval.dtype.itemsize, doc="Bytes of all elements."),
    "weak_type": property(attrgetter("aval.weak_type"), doc="Whether the dtype yields in promotion."),
    "sharding": property(attrgetter("_sharding"), doc="How the array is laid out over devices."),
    "device": property(_device),
    "devices": _devices,
    "committed": property(attrgetter("_committed"), doc="Whether work on the array must run on its devices."),
    "is_fully_replicated": property(
        attrgetter("_sharding.is_fully_replicated"), doc="Each device has all of it."
    ),
    "is_fully_addressable": property(
        attrgetter("_sharding.is_fully_addressable"), doc="This process sees all of it."
    ),
    "addressable_shards": property(_addressable_shards),
    "global_shards": property(_global_shards),
    "addressable_data": _addressable_data,
    "block_until_ready": _block_until_ready,
    "copy_to_host_async": _copy_to_host_async,
    "device_buffer": _gone("device_buffer", "x.addressable_data(0)"),
    "device_buffers": _gone("device_buffers", "[shard.data for shard in x.addressable_shards]"),
    "delete": _delete,
    "is_ready": _guarded(_cpp_is_ready),
    "clone": _guarded(_cpp_clone),
    "platform": _guarded(_cpp_platform),
    "on_device_size_in_bytes": _guarded(_cpp_size),
    "unsafe_buffer_pointer": _guarded(_cpp_pointer),
    "_pjrt_layout": property(_guarded(_cpp_layout)),
    "_value": property(_value),
    "format": property(_format_of, doc="The layout in memory together with the sharding."),
    "tolist": _tolist,
    "item": _item,
    "__array__": _array,
    "__array_priority__": 100,
    "__bool__": _bool,
    "__int__": _scalar_conversion(int),
    "__float__": _scalar_conversion(float),
    "__complex__": _scalar_conversion(complex),
    "__index__": _index,
    "__hash__": _hash,
    "__len__": _len,
    "__iter__": _iter,
    "__repr__": _repr,
    "__str__": _str,
    "__format__": _format,
    "__copy__": device_copy,
    "__deepcopy__": _deepcopy,
    "__reduce__": _reduce,
    "__dlpack__": _dlpack,
    "__dlpack_device__": _dlpack_device,
}

for _name, _attribute in _ATTRIBUTES.items():
    setattr(ArrayImpl, _name, _attribute)
