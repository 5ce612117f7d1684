"""Devices to compile for, whether or not they are here; names are those of `jax.experimental.topologies`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.mesh import Mesh
from ..runtime.ahead_of_time import TopologyDescription as TopologyDescription
from ..runtime.backend import devices as _devices
from ..runtime.mesh_utils import create_device_mesh as _create_device_mesh

__all__ = ["TopologyDescription", "get_attached_topology", "get_topology_desc", "make_mesh"]


def get_attached_topology(platform: str | None = None) -> TopologyDescription:
    """The devices that are here.

    Args:
      platform: its name; None for the preferred platform.

    Raises:
      RuntimeError: no such platform.

    Example:
      >>> from canter.experimental import topologies
      >>> topologies.get_attached_topology("cpu").devices[0].platform
      'cpu'
    """
    return TopologyDescription(_devices(platform), platform or "")


def get_topology_desc(
    topology_name: str = "", platform: str | None = None, **kwargs: Any
) -> TopologyDescription:
    """Hardware that is not here, to compile for.

    Args:
      topology_name: "v5e:4x4", "tpu:v5e:4x4", "cuda:h100:8", the text or the path of a GpuTargetConfig; or the
        plugin's own name, where `kwargs` has the plugin's options.
      platform: "tpu", "cuda", "rocm", or one given to `extend.backend.register_backend_factory`; None takes it from
        the name.
      kwargs: options for the plugin, such as `target_config` and `topology` of GPUs.

    Raises:
      ValueError: the hardware is not known.
      RuntimeError: the platform's plugin is not installed, or does not work.
      NotImplementedError: the platform describes no hardware that is elsewhere.

    Example:
      >>> from canter.experimental import topologies
      >>> topologies.get_topology_desc("mars:4")
      Traceback (most recent call last):
      ...
      canter_pjrt.topologies.TopologyError: 'mars:4' describes no hardware to compile for. ...
    """
    from canter_pjrt.topologies import describe

    from ..extend.backend import platform_extras

    make, _ = platform_extras.get(platform or "", (None, None))
    if make is not None:
        made = make(topology_name, **kwargs)
        return TopologyDescription(made._make_compile_only_devices(), topology_name)
    if platform == "cpu":
        raise NotImplementedError(
            "topology not implemented for cpu: a CPU is compiled for where it is. get_attached_topology('cpu') has the "
            "devices of this one."
        )
    if platform is None or not kwargs:
        text = topology_name
        if platform is not None and not text.lower().startswith((f"{platform}:", "gpu:")):
            text = topology_name if "gpu_device_info" in topology_name else f"{platform}:{topology_name}"
        found = describe(text)
    else:
        found = describe(topology_name, platform, **kwargs)
    return TopologyDescription(found.devices, found.name)


def make_mesh(
    topo: TopologyDescription,
    mesh_shape: Sequence[int],
    axis_names: tuple[str, ...],
    *,
    contiguous_submeshes: bool = False,
) -> Mesh:
    """A mesh of all devices of a topology.

    Args:
      topo: the topology.
      mesh_shape: a size an axis.
      axis_names: a name an axis.
      contiguous_submeshes: whether the devices of one process stay together.

    Raises:
      ValueError: the number of devices is not the product of the sizes.

    Example:
      >>> from canter.experimental import topologies
      >>> topology = topologies.get_attached_topology("cpu")
      >>> topologies.make_mesh(topology, (len(topology.devices),), ("x",)).axis_names
      ('x',)
    """
    grid = _create_device_mesh(mesh_shape, topo.devices, contiguous_submeshes=contiguous_submeshes)
    return Mesh(grid, tuple(axis_names))
