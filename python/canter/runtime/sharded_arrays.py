"""Arrays over several devices made from their parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from canter_pjrt.jaxlib_door import ArrayImpl, Sharding, SingleDeviceSharding, make_array

from ..core import dtypes, pytree
from ..core.avals import ShapedArray, get_aval
from ..core.sharding import DeviceSharding, NamedSharding
from .device_put import put, put_pieces, put_type, to_device

__all__ = [
    "local_view",
    "make_array_from_callback",
    "make_array_from_process_local_data",
    "make_array_from_single_device_arrays",
]


def _sharding(given: Any, function: str) -> Any:
    sharding = given if isinstance(given, Sharding) else getattr(given, "sharding", given)
    if not isinstance(sharding, Sharding):
        raise TypeError(f"{function}: sharding takes a sharding such as NamedSharding; got {given!r:.120}.")
    return sharding


def make_array_from_callback(
    shape: Sequence[int], sharding: Any, data_callback: Callable[[Any], Any], dtype: Any = None
) -> Any:
    """An array whose parts a function gives, one call a part that this process holds.

    Args:
      shape: the shape of the whole array.
      sharding: how it is laid out.
      data_callback: takes a tuple of slices of the whole array and returns what stands there, an array.
      dtype: of the array; None takes that of what the function returns.

    Raises:
      ValueError: the shape does not fit the sharding, or a part has another shape than its slices.

    >>> import canter as ct, numpy as np
    >>> mesh = ct.sharding.Mesh(ct.devices()[:1], "x")
    >>> whole = np.arange(6)
    >>> ct.make_array_from_callback((6,), ct.NamedSharding(mesh, ct.P("x")), lambda index: whole[index]).tolist()
    [0, 1, 2, 3, 4, 5]
    """
    sharding = _sharding(sharding, "make_array_from_callback")
    shape = tuple(shape)
    part_shape = sharding.shard_shape(shape)
    known: dict[Any, Any] = {}  # devices that hold the same part share one call
    parts: list[Any] = []
    indices = sharding.addressable_devices_indices_map(shape)
    for index in indices.values():
        key = tuple((cut.start, cut.stop) for cut in index)
        if key not in known:
            known[key] = data_callback(index)
        part = known[key]
        if np.shape(part) != part_shape:
            raise ValueError(
                f"make_array_from_callback: the callback gave an array of shape {np.shape(part)} for {index}; expected "
                f"shard shape {part_shape}. Shape of Array is {shape} with sharding {sharding}."
            )
        parts.append(part)
    if dtype is not None:
        dtype = dtypes.canonicalize_dtype(dtype)
        parts = [part if isinstance(part, ArrayImpl) else np.asarray(part, dtype) for part in parts]
    if isinstance(sharding, DeviceSharding) and parts and all(type(part) is np.ndarray for part in parts):
        aval = ShapedArray(shape, _dtype_of(parts, dtype))
        return put_pieces(
            put_type(aval, sharding), sharding, [np.asarray(part, aval.dtype) for part in parts]
        )
    parts = [
        put(part, SingleDeviceSharding(device, memory_kind=sharding.memory_kind))
        for part, device in zip(parts, indices, strict=True)
    ]
    return _joined(ShapedArray(shape, _dtype_of(parts, dtype)), sharding, parts)


def _dtype_of(parts: Sequence[Any], dtype: Any) -> Any:
    if parts:
        return get_aval(parts[0]).dtype
    if dtype is None:
        raise ValueError("No device of this process holds a part of the array, so its dtype must be given.")
    return dtypes.canonicalize_dtype(dtype)


def _joined(aval: ShapedArray, sharding: Any, parts: Sequence[Any]) -> Any:
    if isinstance(aval.dtype, dtypes.ExtendedDType):
        rows = [aval.dtype.to_physical(part) for part in parts]
        physical = ShapedArray((*aval.shape, *aval.dtype.physical_element_shape), aval.dtype.physical_dtype)
        return aval.dtype.from_physical(make_array(physical, sharding, rows, committed=True))
    if isinstance(sharding, SingleDeviceSharding):
        (part,) = parts
        return part
    return make_array(put_type(aval, sharding), sharding, list(parts), committed=True)


def make_array_from_single_device_arrays(
    shape: Sequence[int], sharding: Any, arrays: Sequence[Any], *, dtype: Any = None
) -> Any:
    """An array from its parts, which are on their devices already; nothing is copied.

    Args:
      shape: the shape of the whole array.
      sharding: how it is laid out.
      arrays: one array for each device of this process.
      dtype: needed only where this process holds no part.

    Raises:
      TypeError: a part is not an array on a device.
      ValueError: there are not as many parts as devices, or one has another shape, dtype or device.

    >>> import canter as ct, canter.numpy as cnp
    >>> mesh = ct.sharding.Mesh(ct.devices()[:1], "x")
    >>> part = ct.device_put(cnp.arange(3), ct.devices()[0])
    >>> ct.make_array_from_single_device_arrays((3,), ct.NamedSharding(mesh, ct.P("x")), [part]).shape
    (3,)
    """
    function = "make_array_from_single_device_arrays"
    sharding = _sharding(sharding, function)
    shape = tuple(shape)
    if isinstance(arrays, ArrayImpl) or not isinstance(arrays, Sequence):
        raise TypeError(f"{function}: arrays takes a sequence of arrays; got {type(arrays).__name__}.")
    wanted = list(sharding.addressable_devices_indices_map(shape))
    if len(arrays) != len(wanted):
        raise ValueError(
            f"{function}: Expected {len(wanted)} per-device arrays (this is how many devices are addressable by the "
            f"sharding), but got {len(arrays)}. Give one array a device, of shape {sharding.shard_shape(shape)}, as "
            f"{sharding} cuts {shape}."
        )
    part_shape = sharding.shard_shape(shape)
    by_device = {}
    for position, part in enumerate(arrays):
        if not hasattr(part, "devices"):
            raise TypeError(
                f"{function}: arrays[{position}] is of type {type(part).__name__}, not an array on a device. "
                "Put it there with canter.device_put."
            )
        if tuple(part.shape) != part_shape:
            raise ValueError(
                f"{function}: Expected shard shape {part_shape} doesn't match the single device array shape "
                f"{tuple(part.shape)} of arrays[{position}]. Shape of Array is {shape} with sharding {sharding}"
            )
        if part.dtype != arrays[0].dtype or (dtype is not None and part.dtype != np.dtype(dtype)):
            raise ValueError(
                f"{function}: the parts must have one dtype, but arrays[{position}] has {part.dtype.name} and "
                f"{(arrays[0].dtype if dtype is None else np.dtype(dtype)).name} was expected."
            )
        devices = part.devices()
        if len(devices) != 1:
            raise ValueError(f"{function}: arrays[{position}] is on {len(devices)} devices instead of one.")
        by_device[next(iter(devices))] = part
    if set(by_device) != set(wanted):
        raise ValueError(
            f"{function}: the arrays are on devices {sorted(d.id for d in by_device)}, but the sharding has devices "
            f"{sorted(d.id for d in wanted)}. Give one array a device."
        )
    aval = ShapedArray(shape, _dtype_of(arrays, dtype))
    return _joined(aval, sharding, [by_device[device] for device in wanted])


def make_array_from_process_local_data(
    sharding: Any, local_data: Any, global_shape: Sequence[int] | None = None
) -> Any:
    """An array from the data that each process has.

    Args:
      sharding: how the whole array is laid out.
      local_data: what this process holds of it: the parts of its devices put together; or a tree of
        such arrays, `sharding` and `global_shape` then being a prefix of it.
      global_shape: the shape of the whole array; None infers it: a dimension that is split over processes is
        as many times as long as there are different parts of it.

    Raises:
      ValueError: the data are neither what this process holds nor the whole array.

    >>> import canter as ct, numpy as np
    >>> mesh = ct.sharding.Mesh(ct.devices()[:1], "x")
    >>> ct.make_array_from_process_local_data(ct.NamedSharding(mesh, ct.P("x")), np.arange(4)).shape
    (4,)
    """
    leaves, treedef = pytree.tree_flatten(local_data)
    if len(leaves) == 1 and leaves[0] is local_data:
        return _from_local(sharding, np.asarray(local_data), global_shape)
    shardings = pytree.flatten_axes("make_array_from_process_local_data sharding", treedef, sharding)
    shapes: list[Any] = [global_shape] * len(leaves)
    if global_shape is not None and not all(isinstance(n, int) for n in global_shape):
        given, _ = pytree.tree_flatten(global_shape, is_leaf=lambda x: x is None or isinstance(x, tuple))
        shapes = given
    arrays = [_from_local(s, np.asarray(x), n) for s, x, n in zip(shardings, leaves, shapes, strict=True)]
    return treedef.unflatten(arrays)


def _from_local(sharding: Any, data: np.ndarray, shape: Sequence[int] | None) -> Any:
    sharding = _sharding(sharding, "make_array_from_process_local_data")
    if sharding.is_fully_addressable and (shape is None or tuple(shape) == data.shape):
        return to_device(data, None, sharding)
    whole = tuple(shape) if shape is not None else _inferred_shape(sharding, data.shape)
    boxes = sharding.addressable_devices_indices_map(whole)
    low = [
        min((cut.indices(n)[0] for cut in cuts), default=0) for cuts, n in zip(zip(*boxes.values()), whole)
    ]
    high = [
        max((cut.indices(n)[1] for cut in cuts), default=0) for cuts, n in zip(zip(*boxes.values()), whole)
    ]
    held = tuple(b - a for a, b in zip(low, high, strict=True))
    offset = [0] * len(whole) if data.shape == whole else low
    if data.shape not in (whole, held):
        raise ValueError(
            f"make_array_from_process_local_data: the data of this process have shape {data.shape}, but it holds a "
            f"part of shape {held} of the whole array of shape {whole}, sharded as {sharding}. Give that part, or all."
        )

    def part(index: Any) -> np.ndarray:
        cuts = zip(index, whole, offset, strict=True)
        spans = [(cut.indices(n), start) for cut, n, start in cuts]
        return data[tuple(slice(span[0] - start, span[1] - start) for span, start in spans)]

    return make_array_from_callback(whole, sharding, part)


def local_view(x: Any) -> Any:
    """What this process holds of an array over a mesh, as an array over its own devices; nothing is copied."""
    sharding = x.sharding
    local = NamedSharding(sharding.mesh.local_mesh, sharding.spec, sharding.memory_kind)
    parts, _ = local._tiling(x.ndim)
    shape = tuple(size * count for size, count in zip(sharding.shard_shape(x.shape), parts, strict=True))
    return make_array_from_single_device_arrays(shape, local, [shard.data for shard in x.addressable_shards])


def _inferred_shape(sharding: Any, local: tuple[int, ...]) -> tuple[int, ...]:
    """Each dimension times the number of its different parts over those of this process."""
    parts, numbers = sharding._tiling(len(local))
    mine = [
        position
        for position, d in enumerate(sharding._device_assignment)
        if d in sharding.addressable_devices
    ]
    own = [len(set(numbers[mine, dim].tolist())) for dim in range(len(local))]
    return tuple(size * count // have for size, count, have in zip(local, parts, own, strict=True))
