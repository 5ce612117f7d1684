"""Making meshes: which device goes where in the grid."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.mesh import AxisType, Mesh
from .backend import devices as all_devices

__all__ = ["create_device_mesh", "create_hybrid_device_mesh", "make_mesh"]


def make_mesh(
    axis_shapes: Sequence[int],
    axis_names: Sequence[str],
    axis_types: Any = None,
    *,
    devices: Sequence[Any] | None = None,
) -> Mesh:
    """A mesh of the devices, in an order in which neighbours communicate fast.

    Args:
      axis_shapes: a size an axis.
      axis_names: a name an axis.
      axis_types: an `AxisType` an axis; None makes them `Explicit`.
      devices: the devices; None takes those of the default platform, as many as are needed.

    Raises:
      ValueError: there are too few devices, or as many sizes as names are not given.

    >>> import canter as ct
    >>> ct.make_mesh((1,), ("data",), devices=ct.devices()[:1]).shape_tuple
    (('data', 1),)
    """
    shape = tuple(axis_shapes)
    names = (axis_names,) if isinstance(axis_names, str) else tuple(axis_names)
    if len(shape) != len(names):
        raise ValueError(
            "Mesh requires the ndim of its first argument (`devices`) to equal the length of its second argument "
            f"(`axis_names`), but got axis_shapes={shape} and axis_names={names}."
        )
    available = list(all_devices() if devices is None else devices)
    needed = math.prod(shape)
    if len(available) < needed:
        raise ValueError(
            f"Number of devices {len(available)} must be >= the product of mesh_shape {shape}, {needed}. Set "
            "XLA_FLAGS=--xla_force_host_platform_device_count for virtual CPU devices."
        )
    types = (AxisType.Explicit,) * len(names) if axis_types is None else axis_types
    return Mesh(create_device_mesh(shape, available[:needed]), names, types)


def create_device_mesh(
    mesh_shape: Sequence[int],
    devices: Sequence[Any] | None = None,
    *,
    contiguous_submeshes: bool = False,
    allow_split_physical_axes: bool = False,
) -> np.ndarray:
    """Devices in a grid, for `Mesh`.

    On a TPU whose chips form a torus each mesh axis takes whole axes of it, so that the devices along
    it are neighbours; other devices are taken in order.

    Args:
      mesh_shape: the sizes of the axes, the one with the least communication first.
      devices: the devices; None takes all of the default platform.
      contiguous_submeshes: whether the devices of one process stay together.
      allow_split_physical_axes: whether one axis of the torus may become several mesh axes.

    Raises:
      ValueError: the number of devices is not the product of the sizes.
      NotImplementedError: the torus has no axes that fit the mesh, and none may be split.

    >>> import canter as ct
    >>> from canter.experimental import mesh_utils
    >>> mesh_utils.create_device_mesh((1, 1), ct.devices()[:1]).shape
    (1, 1)
    """
    available = list(all_devices() if devices is None else devices)
    shape = tuple(mesh_shape)
    if math.prod(shape) != len(available):
        raise ValueError(
            f"Number of devices {len(available)} must equal the product of mesh_shape {shape}, {math.prod(shape)}."
        )
    torus = None if contiguous_submeshes else _torus(available)
    grid = np.empty(len(available), object)
    if torus is None or len(available) == 1:
        ordered = sorted(available, key=lambda d: d.process_index) if contiguous_submeshes else available
        grid[:] = ordered
        return grid.reshape(shape)
    return _on_torus(shape, torus, allow_split_physical_axes)


def _torus(devices: Sequence[Any]) -> np.ndarray | None:
    """The devices by their coordinates; None where they have none or do not fill a box."""
    if any(getattr(d, "platform", None) == "gpu" for d in devices):
        return None  # theirs are those of hosts, not of a torus
    places = [
        (*coords, getattr(d, "core_on_chip", 0)) for d in devices if (coords := getattr(d, "coords", None))
    ]
    if len(places) != len(devices):
        return None
    low, high = np.min(places, 0), np.max(places, 0)
    box = tuple((high - low + 1).tolist())
    if math.prod(box) != len(devices):
        return None
    torus = np.empty(box, object)
    for device, place in zip(devices, places, strict=True):
        torus[tuple((np.array(place) - low).tolist())] = device
    return torus


def _on_torus(shape: tuple[int, ...], torus: np.ndarray, may_split: bool) -> np.ndarray:
    """Gives each mesh axis, the last one first, a set of axes of the torus whose sizes multiply to its own."""
    free = [axis for axis, size in enumerate(torus.shape) if size > 1]
    chosen: dict[int, tuple[int, ...]] = {}
    for position in reversed(range(len(shape))):
        wanted = shape[position]
        found = next(
            (
                axes
                for count in range(len(free) + 1)
                for axes in itertools.combinations(free, count)
                if math.prod(torus.shape[axis] for axis in axes) == wanted
            ),
            None,
        )
        if found is None:
            if may_split:
                return torus.reshape(shape)
            raise NotImplementedError(
                f"No axes of the device torus {torus.shape} multiply to mesh axis {position} of {shape}. Choose "
                "other sizes, or set allow_split_physical_axes=True."
            )
        chosen[position] = found
        free = [axis for axis in free if axis not in found]
    order = [axis for position in range(len(shape)) for axis in chosen[position]]
    order += [axis for axis in range(torus.ndim) if axis not in order]
    return torus.transpose(order).reshape(shape)


def create_hybrid_device_mesh(
    mesh_shape: Sequence[int],
    dcn_mesh_shape: Sequence[int],
    devices: Sequence[Any] | None = None,
    *,
    process_is_granule: bool = False,
    should_sort_granules_by_key: bool = True,
    allow_split_physical_axes: bool = False,
) -> np.ndarray:
    """Devices in a grid over two kinds of network: a fast one within granules, a slow one between them.

    Args:
      mesh_shape: the sizes of the axes within a granule.
      dcn_mesh_shape: the sizes of the same axes between granules.
      devices: the devices; None takes all of the default platform.
      process_is_granule: whether a granule is the devices of a process, or else of a slice.
      should_sort_granules_by_key: whether granules are ordered by their number.
      allow_split_physical_axes: see `create_device_mesh`.

    Returns:
      An array of devices whose sizes are the products of both.

    Raises:
      ValueError: there are not as many granules as `dcn_mesh_shape` needs, or the lengths differ.

    >>> import canter as ct
    >>> from canter.experimental import mesh_utils
    >>> one = ct.devices()[:1]
    >>> mesh_utils.create_hybrid_device_mesh((1, 1), (1, 1), one, process_is_granule=True).shape
    (1, 1)
    """
    available = list(all_devices() if devices is None else devices)
    within, between = tuple(mesh_shape), tuple(dcn_mesh_shape)
    if len(within) != len(between):
        raise ValueError(f"mesh_shape {within} and dcn_mesh_shape {between} must have the same length.")
    attribute = "process_index" if process_is_granule else "slice_index"
    granules: dict[int, list[Any]] = {}
    for device in available:
        granules.setdefault(getattr(device, attribute, 0), []).append(device)
    keys = sorted(granules) if should_sort_granules_by_key else list(granules)
    if len(keys) != math.prod(between):
        raise ValueError(
            f"Number of slices {len(keys)} must equal the product of dcn_mesh_shape {between}, {math.prod(between)}. "
            f"The slices are told apart by {attribute} of the devices."
        )
    parts = [
        create_device_mesh(within, granules[key], allow_split_physical_axes=allow_split_physical_axes)
        for key in keys
    ]
    stacked = np.array(parts, object).reshape(*between, *within)
    count = len(within)
    order = [axis for i in range(count) for axis in (i, count + i)]
    return stacked.transpose(order).reshape([a * b for a, b in zip(between, within, strict=True)])
