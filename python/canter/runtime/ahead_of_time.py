"""Compiling for hardware that is not here: devices by description, and programs that move to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from canter_pjrt.jaxlib_door import default_memory_of, platform_of

from ..core.mesh import AbstractMesh, Mesh, current_context
from ..core.sharding import NamedSharding, TileSharding
from .absent_devices import layout_without_devices
from .program import Layout, lower
from .stages import Lowered

__all__ = ["TopologyDescription", "devices_of", "lower_for", "moved"]


class TopologyDescription:
    """Devices to compile for, which need not be here.

    Attributes:
      devices: the devices.

    Example:
      >>> import canter as ct
      >>> from canter.experimental import topologies
      >>> topologies.TopologyDescription(ct.devices()).platform
      'cpu'
    """

    def __init__(self, devices: Sequence[Any], name: str = ""):
        self.devices = list(devices)
        self.name = name

    @property
    def platform(self) -> str:
        """For which platform programs for these devices are lowered."""
        return platform_of(self.devices[0])

    def __repr__(self) -> str:
        kind = self.devices[0].device_kind if self.devices else "none"
        name = f"{self.name!r}, " if self.name else ""
        return f"TopologyDescription({name}{len(self.devices)} x {kind})"


def lower_for(stage: Any, topology: Any) -> Lowered:
    """A traced or lowered program, lowered for other hardware.

    Args:
      stage: a `Traced` or a `Lowered`.
      topology: see `Lowered.compile`.

    Raises:
      TypeError, ValueError: see `devices_of`.
    """
    stage._check_reusable()
    jitted, program, call = stage._jitted, stage._program, stage._call
    layout = _without_devices(stage)
    if layout is None:
        layout = jitted.place(program, call, [*program.constants, *call.leaves]).layout
    devices = devices_of(topology, 1 if layout is None else len(layout.devices))
    # The module knows devices by their places in the mesh, so that another platform's can take them.
    arg_names, result_names = jitted.names_for(program, call)
    options, platforms = jitted.options_for(program, call), (platform_of(devices[0]),)
    lowered = lower(program.lifted, options, platforms, arg_names, result_names, layout)
    if layout is not None:
        lowered.layout = moved(layout, devices)
    return Lowered(jitted, program, call, lowered, devices[0])


def _without_devices(stage: Any) -> Layout | None:
    """The layout of a program over an `AbstractMesh`, whose places the topology's devices take; else None."""
    if isinstance(stage, Lowered):
        return stage._lowered.layout if stage._device is None else None
    if current_context().concrete is not None:
        return None
    return layout_without_devices(stage._jitted, stage._program, stage._call)


def devices_of(topology: Any, count: int) -> list[Any]:
    """The first devices of a topology.

    Args:
      topology: a description as text, or anything with `devices`.
      count: how many are needed.

    Raises:
      TypeError: something else.
      ValueError: it has fewer.
    """
    if isinstance(topology, str):
        from canter_pjrt.topologies import describe

        topology = describe(topology)
    devices = getattr(topology, "devices", None)
    if devices is None:
        raise TypeError(
            f"topology takes text such as 'tpu:v5e:4x4' or 'cuda:h100:8', or what topologies.get_topology_desc "
            f"returns; got {topology!r} of type {type(topology).__name__}."
        )
    devices = list(devices)
    if len(devices) < count:
        raise ValueError(
            f"The program runs on {count} devices and the topology has {len(devices)}. Compile for a larger one, or "
            "lower the program over a smaller mesh."
        )
    return devices[:count]


def moved(layout: Layout, devices: Sequence[Any]) -> Layout:
    """A layout with other devices in the places of its own, in the same order.

    Kinds of memory are kept where they are not the usual one.
    """
    places = dict(zip(layout.devices, devices, strict=True))
    return layout._replace(
        devices=tuple(devices),
        mesh=None if layout.mesh is None else _moved_mesh(layout.mesh, places),
        in_shardings=tuple(_moved_sharding(sharding, places) for sharding in layout.in_shardings),
        out_shardings=tuple(_moved_sharding(sharding, places) for sharding in layout.out_shardings),
    )


def _moved_mesh(mesh: Mesh | AbstractMesh, places: dict[Any, Any]) -> Mesh:
    grid = np.empty(mesh.size, object)
    # The places of a mesh without devices are those of the layout, in order.
    grid[:] = (
        list(places.values()) if isinstance(mesh, AbstractMesh) else [places[d] for d in mesh.devices.flat]
    )
    return Mesh(grid.reshape(mesh.axis_sizes), mesh.axis_names, mesh.axis_types)


def _moved_sharding(sharding: Any, places: dict[Any, Any]) -> Any:
    if sharding is None:
        return None
    if isinstance(getattr(sharding, "mesh", None), AbstractMesh):
        return sharding.update(mesh=_moved_mesh(sharding.mesh, places))
    own = tuple(sharding._device_assignment)
    kind = _unusual_kind(sharding, own[0])
    if isinstance(sharding, NamedSharding):
        return NamedSharding(_moved_mesh(sharding.mesh, places), sharding.spec, memory_kind=kind)
    there = tuple(places[device] for device in own)
    if isinstance(sharding, TileSharding):
        return TileSharding(there, sharding._tiles, kind)
    return type(sharding)(there[0], memory_kind=kind)


def _unusual_kind(sharding: Any, device: Any) -> str | None:
    kind = sharding.memory_kind
    return None if kind == default_memory_of(device) else kind
