"""Where the arguments of a call are, where they have to be, and which device decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from canter_pjrt.jaxlib_door import (
    ArrayImpl,
    SingleDeviceSharding,
    batched_device_put,
)

from ..core import dtypes
from ..core.avals import ShapedArray, get_aval
from ..transforms.rules import forget_seeds
from .backend import on_clear
from .layouts import copied_to
from .shape_dtype import ShapeDtypeStruct

__all__ = [
    "common_device",
    "part_sharding",
    "place",
    "place_all",
    "shared_sharding",
    "sharding_of",
    "single_device",
]

_ONLY_ARRAYS = {ArrayImpl}
_own_sharding, _is_committed = attrgetter("_sharding"), attrgetter("_committed")
_shardings: dict[Any, Any] = {}
on_clear(_shardings.clear)
on_clear(forget_seeds)


def sharding_of(device: Any) -> Any:
    """The sharding of arrays on one device, the same object each time."""
    sharding = _shardings.get(device)
    if sharding is None:
        sharding = _shardings[device] = SingleDeviceSharding(device)
    return sharding


def part_sharding(device: Any, sharding: Any) -> Any:
    """The sharding of that part of an array of a sharding which one device holds."""
    usual = sharding_of(device)
    kind = sharding.memory_kind
    return usual if kind in (None, usual.memory_kind) else SingleDeviceSharding(device, memory_kind=kind)


def single_device(sharding: Any) -> Any:
    """The device of a sharding on one device, None for any other."""
    if type(sharding) is SingleDeviceSharding:
        return sharding._device
    devices = getattr(sharding, "device_set", None)
    return next(iter(devices)) if devices is not None and len(devices) == 1 else None


def shared_sharding(args: Sequence[Any]) -> Any:
    """The sharding of arguments that are all C++ arrays of one; else None. Programs can have thousands."""
    if set(map(type, args)) != _ONLY_ARRAYS:
        return None
    return args[0]._sharding if len(set(map(id, map(_own_sharding, args)))) == 1 else None


def place_all(args: Sequence[Any], device: Any) -> list[Any]:
    """`place` of each argument."""
    if shared_sharding(args) is sharding_of(device) and not any(map(ArrayImpl.is_deleted, args)):
        return list(args)
    return [place(arg, device) for arg in args]


def place(value: Any, device: Any) -> Any:
    """An argument as a C++ array on a device; what is there already is returned as it is.

    NumPy arrays are copied, so that the caller may change them afterwards.
    """
    if type(value) is ArrayImpl:
        if value.is_deleted():
            from .array import deleted_error

            raise deleted_error(value)
        sharding = value._sharding
        if type(sharding) is SingleDeviceSharding and sharding._device is device:
            return value
        return _copy_to(value, device)
    aval = get_aval(value)
    if type(value) is np.ndarray and value.dtype is aval.dtype:
        return batched_device_put(aval, sharding_of(device), [value], [device], False, True)
    if isinstance(aval.dtype, dtypes.ExtendedDType):
        return place(aval.dtype.to_physical(value), device)
    if aval.dtype.kind == "V" and aval.dtype == dtypes.float0:
        value, aval = np.zeros(aval.shape, np.bool_), ShapedArray(aval.shape, np.bool_)
    elif hasattr(value, "__jax_array__"):
        return place(value.__jax_array__(), device)
    host = np.asarray(value, aval.dtype)
    return batched_device_put(aval, sharding_of(device), [host], [device], committed=False, force_copy=True)


def _copy_to(array: Any, device: Any) -> Any:
    own = single_device(array._sharding)
    if own is None:  # a captured or uncommitted one
        from .device_put import put

        return put(array, device)
    if own is device:
        return array
    return copied_to(array, sharding_of(device))


def common_device(args: Sequence[Any], describe: Callable[[int], str]) -> Any:
    """The device to which arguments are committed; None if none is committed.

    Args:
      args: flat arguments.
      describe: names an argument, for the message.

    Raises:
      ValueError: two arguments are committed to different devices.
    """
    shared = shared_sharding(args)
    if shared is not None:
        return single_device(shared) if any(map(_is_committed, args)) else None
    device: Any = None
    where = -1
    for position, arg in enumerate(args):
        if not getattr(arg, "_committed", False) and not isinstance(arg, ShapeDtypeStruct):
            continue
        own = single_device(arg.sharding if type(arg) is not ArrayImpl else arg._sharding)
        if own is None or own is device:
            continue
        if device is not None:
            raise ValueError(
                f"Arguments are on different devices: {_located(args, where, device, describe)}, and "
                f"{_located(args, position, own, describe)}. Bring them to one with canter.device_put(x, device)."
            )
        device, where = own, position
    return device


def _located(args: Sequence[Any], position: int, device: Any, describe: Callable[[int], str]) -> str:
    return f"{describe(position)}, {get_aval(args[position]).str_short()}, is on {device}"
