"""Exchange of arrays with other libraries by dlpack, without a copy where memory can be shared."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np

from canter_pjrt.jaxlib_door import (
    ArrayImpl,
    JaxRuntimeError,
    SingleDeviceSharding,
    array_to_dlpack,
    dlpack_to_array,
    host_value,
    make_array,
)

from ..core import dtypes
from ..core.avals import ShapedArray
from ..core.trace import Tracer
from .array import check_not_deleted, device_copy
from .backend import BackendError, local_devices
from .device_put import device_put, to_device
from .layouts import custom_layouts, layout_of
from .placement import sharding_of

__all__ = ["DLDeviceType", "dlpack_device", "from_dlpack", "to_dlpack"]


class DLDeviceType(enum.IntEnum):
    """Kinds of device, by the numbers of the dlpack standard."""

    kDLCPU = 1
    kDLCUDA = 2
    kDLROCM = 10


_DEVICE_TYPES = {"cpu": DLDeviceType.kDLCPU, "cuda": DLDeviceType.kDLCUDA, "rocm": DLDeviceType.kDLROCM}
_PLATFORMS: dict[int, str] = {kind: platform for platform, kind in _DEVICE_TYPES.items()}


def _single_device(array: Any, what: str) -> Any:
    check_not_deleted(array)
    sharding = array._sharding
    if type(sharding) is not SingleDeviceSharding and len(sharding.device_set) != 1:
        raise BufferError(
            f"{what}: the array of shape {array.shape} spans {len(sharding.device_set)} devices, and "
            "dlpack knows only arrays on one. Use x.addressable_shards, or bring it to one device with device_put."
        )
    return next(iter(sharding.device_set))


def dlpack_device(array: Any) -> tuple[DLDeviceType, int]:
    """The device of an array in dlpack's terms.

    Raises:
      BufferError: an array over several devices, or on a platform that dlpack has no number for.
    """
    device = _single_device(array, "__dlpack_device__")
    kind = _DEVICE_TYPES.get(device.platform)
    if kind is None:
        kind = _DEVICE_TYPES.get(device.client.platform)
    if kind is None:
        raise BufferError(f"Arrays on the platform {device.platform!r} cannot be exchanged by dlpack.")
    # Host memory is one device to other libraries, however many virtual devices share it.
    return kind, 0 if kind is DLDeviceType.kDLCPU else (device.local_hardware_id or 0)


def to_dlpack(
    array: Any, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
) -> Any:
    """A capsule over the memory of an array, for another library's `from_dlpack`.

    Args:
      array: an array on one device.
      stream: the consumer's stream, on which the data must be ready.
      max_version: newest (major, minor) version of capsules that the consumer takes.
      dl_device: where the consumer wants it: (device type, number).
      copy: True for memory of its own, False to fail rather than copy.

    Raises:
      BufferError: an array over several devices, or asked for on a device to which it would have to be
      copied.
    """
    own = dlpack_device(array)
    copied = False
    if dl_device is not None and tuple(dl_device) != tuple(own):
        if copy is False or dl_device[0] != DLDeviceType.kDLCPU:
            raise BufferError(
                f"__dlpack__: the array is on dlpack device {tuple(own)} and was asked for on "
                f"{tuple(dl_device)}. Bring it there with device_put first."
            )
        array, copied = device_put(array, local_devices(backend="cpu")[0]), True
    elif copy:
        array, copied = device_copy(array), True
    array.block_until_ready()
    try:
        # The clone keeps the memory if the array is deleted while the other library still uses it.
        return array_to_dlpack(array.clone(), stream, max_version, copied)
    except JaxRuntimeError as error:
        raise BufferError(
            f"An array of dtype {array.dtype.name} cannot be exported by dlpack: {error}"
        ) from None


def from_dlpack(external_array: Any, device: Any = None, copy: bool | None = None) -> Any:
    """An array with the data of another library's array.

    Args:
      external_array: an object with `__dlpack__` and `__dlpack_device__`.
      device: a device or sharding; None for the one where the data is.
      copy: True for memory of its own, False to fail rather than copy, None to share where possible. Shared
        memory must not be written to afterwards.

    Raises:
      TypeError: an object without the two methods, such as a bare capsule, or a tracer.
      ValueError: the data would have to be copied although `copy` is False.
      NotImplementedError: a device or dtype that cannot be taken in.

    Source: Python array API standard,
    https://data-apis.org/array-api/latest/design_topics/data_interchange.html

    >>> import numpy as np
    >>> from canter.runtime.dlpack import from_dlpack
    >>> from_dlpack(np.arange(3, dtype=np.int32))
    Array([0, 1, 2], dtype=int32)
    """
    if isinstance(external_array, Tracer):
        raise TypeError(
            f"from_dlpack takes another library's array; got the tracer {external_array}. It is an array already."
        )
    if not (hasattr(external_array, "__dlpack__") and hasattr(external_array, "__dlpack_device__")):
        raise TypeError(
            f"from_dlpack takes an object with the methods __dlpack__ and __dlpack_device__; got one of type "
            f"{type(external_array).__name__}. Give it the other library's array itself, not a capsule."
        )
    kind, number = external_array.__dlpack_device__()
    array = _adopt(external_array, _local_device(kind, number), kind, copy)
    if device is None:
        return array
    return _move(array, device, copy)


def _local_device(kind: int, number: int) -> Any:
    platform = _PLATFORMS.get(kind)
    if platform is None:
        raise NotImplementedError(f"from_dlpack: data on dlpack device type {int(kind)} cannot be taken in.")
    try:
        found = local_devices(backend=platform)
    except BackendError as error:
        raise NotImplementedError(
            f"from_dlpack: the data is on a device of platform {platform!r}: {error}"
        ) from None
    if kind == DLDeviceType.kDLCPU:
        return found[0]
    for device in found:
        if device.local_hardware_id == number:
            return device
    raise NotImplementedError(f"from_dlpack: there is no device {platform}:{number} in this process.")


def _adopt(external: Any, device: Any, kind: int, copy: bool | None) -> Any:
    options = {} if kind == DLDeviceType.kDLCPU else {"stream": device.get_stream_for_external_ready_events()}
    try:
        capsule = external.__dlpack__(**options)
        array = dlpack_to_array(capsule, device, None, False if copy is False else None)
    except (JaxRuntimeError, TypeError, ValueError, BufferError) as error:
        return _adopt_host_copy(external, kind, copy, error)
    custom_layouts.in_use |= layout_of(array) is not None  # strides of dimensions in another order stay
    # C++ knows shape and dtype of what it adopted, but leaves the aval to us. A view of host memory is free.
    host, _ = host_value(array)
    dtype = dtypes.canonicalize_dtype(host.dtype)
    if dtype != host.dtype:
        if copy is False:
            raise ValueError(
                f"from_dlpack with copy=False: {host.dtype.name} data becomes {dtype.name} while 64-bit types are off."
            )
        return to_device(host, sharding=sharding_of(device))
    array = make_array(ShapedArray(host.shape, dtype), sharding_of(device), [array], committed=True)
    return device_copy(array) if copy else array


def _adopt_host_copy(external: Any, kind: int, copy: bool | None, error: Exception) -> Any:
    # NumPy can still read strided or read-only host data, and dtypes that jaxlib does not take.
    if kind != DLDeviceType.kDLCPU or isinstance(external, ArrayImpl):
        raise BufferError(f"from_dlpack cannot take the data in: {error}") from None
    if copy is False:
        raise ValueError(f"from_dlpack with copy=False: the data cannot be shared ({error}).") from None
    host = external if isinstance(external, np.ndarray) else np.from_dlpack(external)
    dtypes.check_valid_dtype(host.dtype)
    return to_device(host)


def _move(array: Any, device: Any, copy: bool | None) -> Any:
    target = getattr(device, "device_set", {device})
    if copy is False and target != array.devices():
        raise ValueError(
            f"from_dlpack with copy=False: the data is on {array.device} and was asked for on {device}."
        )
    return device_put(array, device)
