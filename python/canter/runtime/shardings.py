"""The sharding of arrays on one device: jaxlib's class, completed with the methods all shardings have."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from canter_pjrt.jaxlib_door import Sharding, SingleDeviceSharding

from .placement import sharding_of

__all__ = ["Sharding", "SingleDeviceSharding", "make_single_device_sharding", "sharding_of"]


def make_single_device_sharding(device: Any, *, memory_kind: str | None = None) -> Any:
    """The sharding of arrays on one device.

    Args:
      device: the device.
      memory_kind: the kind of memory, such as "pinned_host"; None is the device's default.

    >>> import canter as ct
    >>> ct.sharding.make_single_device_sharding(ct.devices()[0]).device_set == {ct.devices()[0]}
    True
    """
    return (
        sharding_of(device) if memory_kind is None else SingleDeviceSharding(device, memory_kind=memory_kind)
    )


def _with_memory_kind(self: Any, kind: str) -> Any:
    """The same placement in another memory of the device; ValueError lists the kinds it has."""
    return SingleDeviceSharding(self._device, memory_kind=kind)


def _whole(shape: Any) -> tuple[slice, ...]:
    return (slice(None),) * len(shape)


def _devices_indices_map(self: Any, global_shape: Any) -> dict[Any, tuple[slice, ...]]:
    """Which part of an array each device holds: here one device, and all of it."""
    return {self._device: _whole(global_shape)}


def _addressable_devices_indices_map(self: Any, global_shape: Any) -> dict[Any, tuple[slice, ...]]:
    """`devices_indices_map` for the devices of this process."""
    return {device: _whole(global_shape) for device in _addressable_devices(self)}


def _shard_shape(self: Any, global_shape: Any) -> tuple[int, ...]:
    """The shape of the part on one device, given the array's shape: here the same."""
    return tuple(global_shape)


def _is_equivalent_to(self: Any, other: Any, ndim: int) -> bool:
    """Whether arrays of `ndim` dimensions are placed the same way under both shardings."""
    if self is other:
        return True
    if len(other._device_assignment) != 1:
        return False
    return other.device_set == {self._device} and other.memory_kind == self._memory_kind


def _addressable_devices(self: Any) -> set[Any]:
    device = self._device
    return {device} if device.process_index == device.client.process_index() else set()


def _equal(self: Any, other: Any) -> bool:
    if self is other:
        return True
    if type(other) is not SingleDeviceSharding:
        return NotImplemented
    return self._device is other._device and self._memory_kind == other._memory_kind


def _hash(self: Any) -> int:
    return hash((self._device, self._memory_kind))


def _repr(self: Any) -> str:
    return f"SingleDeviceSharding(device={self._device!r}, memory_kind={self._memory_kind})"


def _rebuild(platform: str, device_id: int, memory_kind: str) -> Any:
    from .backend import devices

    device = next((device for device in devices(platform) if device.id == device_id), None)
    if device is None:
        raise ValueError(
            f"The pickled sharding is on device {platform}:{device_id}, which does not exist here."
        )
    return SingleDeviceSharding(device, memory_kind=memory_kind)


def _reduce(self: Any) -> Any:
    return _rebuild, (self._device.platform, self._device.id, self._memory_kind)


_METHODS: dict[str, Any] = {
    "device_set": property(lambda self: {self._device}),
    "addressable_devices": property(_addressable_devices),
    "memory_kind": property(attrgetter("_memory_kind")),
    "is_fully_replicated": property(lambda self: True),
    "is_fully_addressable": property(lambda self: bool(_addressable_devices(self))),
    "with_memory_kind": _with_memory_kind,
    "devices_indices_map": _devices_indices_map,
    "addressable_devices_indices_map": _addressable_devices_indices_map,
    "shard_shape": _shard_shape,
    "is_equivalent_to": _is_equivalent_to,
    "has_addressable_devices": property(lambda self: bool(_addressable_devices(self))),
    "_device_assignment": property(lambda self: (self._device,)),
    "__eq__": _equal,
    "__hash__": _hash,
    "__repr__": _repr,
    "__str__": _repr,
    "__reduce__": _reduce,
}

for _name, _method in _METHODS.items():
    setattr(SingleDeviceSharding, _name, _method)
