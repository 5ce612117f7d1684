"""Where a call runs: on the devices that its options, its arguments or its program name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from canter_pjrt.jaxlib_door import SingleDeviceSharding

from ..core import config
from ..core.jaxpr import ClosedJaxpr, Jaxpr, subjaxprs
from ..core.memory import Space, host_kinds
from ..core.mesh import AbstractMesh, Mesh
from ..core.partition_spec import PartitionSpec
from ..core.sharding import DeviceSharding, NamedSharding
from .backend import current_default_device
from .layouts import custom_layouts
from .placement import common_device, shared_sharding

if TYPE_CHECKING:
    from .program import Layout

__all__ = ["Place", "in_host_memory", "place_of_call", "program_shardings"]

_HOST = Space.Host.value
_SHARDING_PARAMETERS = {"sharding", "in_shardings", "out_shardings", "devices", "mesh", "dst_sharding"}


class Place(NamedTuple):
    """Where a call runs.

    Attributes:
      device: the device, or the first one of a layout.
      committed: whether the results are tied to it.
      layout: of a program over a mesh, else None.
    """

    device: Any
    committed: bool
    layout: Layout | None = None


def place_of_call(
    args: Sequence[Any],
    describe: Callable[[int], str],
    closed: ClosedJaxpr,
    chosen: Any = None,
    shardings: tuple[Sequence[Any], Sequence[Any]] | None = None,
    layouts: tuple[Sequence[Any], Sequence[Any]] | None = None,
    lowering: bool = False,
) -> Place:
    """Where a call runs: on the devices that its options, its arguments or its program name.

    Args:
      args: flat arguments.
      describe: names an argument, for messages.
      closed: the program, which may name devices as well.
      chosen: a device that overrides everything.
      shardings: those that the caller asks for, an argument each and a result each, None for no wish.
      layouts: the same for layouts in memory.
      lowering: whether no call is to follow at once, so that the compiler may choose layouts of arguments.

    Raises:
      ValueError: they name different devices, or a layout is not that of an argument.
    """
    found = _place_of_call(args, describe, closed, chosen, shardings)
    if layouts is None and not custom_layouts.in_use:
        return found
    from .call_layouts import laid_out

    return laid_out(found, args, describe, closed, layouts, lowering)


def _place_of_call(
    args: Sequence[Any],
    describe: Callable[[int], str],
    closed: ClosedJaxpr,
    chosen: Any,
    shardings: tuple[Sequence[Any], Sequence[Any]] | None,
) -> Place:
    if chosen is not None:
        return Place(chosen, True)
    if shardings is not None or _names_meshes(args, closed) or in_host_memory(closed):
        from .spmd import layout_of_call

        layout = layout_of_call(args, describe, closed, shardings)
        if layout is not None:
            return Place(layout.devices[0], True, layout)
    device = common_device(args, describe)
    return Place(current_default_device(), False) if device is None else Place(device, True)


def _names_meshes(args: Sequence[Any], closed: ClosedJaxpr) -> bool:
    """Whether a mesh may be in play: most calls are told here that none is."""
    if config.mesh_context.value is not None or program_shardings(closed):
        return True
    shared = shared_sharding(args)
    if shared is not None:
        return _on_several_or_host(shared)
    return any(_on_several_or_host(getattr(arg, "sharding", None)) for arg in args)


def _on_several_or_host(sharding: Any) -> bool:
    """Whether arrays of a sharding lie elsewhere than in the usual memory of one device."""
    if isinstance(sharding, SingleDeviceSharding):
        return sharding.memory_kind == _HOST
    return isinstance(sharding, DeviceSharding)


def program_shardings(closed: ClosedJaxpr) -> tuple[Any, ...]:
    """The shardings with devices that stand in the equations of a program, inner ones included."""
    found = closed.memo.get("shardings")
    if found is None:
        found = closed.memo["shardings"] = tuple(dict.fromkeys(_shardings_in(closed.jaxpr)))
    return found


def _shardings_in(jaxpr: Jaxpr) -> Iterator[Any]:
    for eqn in jaxpr.eqns:
        params = eqn.params
        for name in _SHARDING_PARAMETERS & params.keys() if params else ():
            value = params[name]
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, Mesh):
                    yield NamedSharding(item, PartitionSpec())
                elif isinstance(item, DeviceSharding) and not isinstance(
                    getattr(item, "mesh", None), AbstractMesh
                ):
                    yield item
    for inner in subjaxprs(jaxpr):
        yield from _shardings_in(inner)


def in_host_memory(closed: ClosedJaxpr) -> bool:
    """Whether arguments or results of a program are in the host's memory."""
    found = closed.memo.get("memories")
    if found is None:
        found = closed.memo["memories"] = any(host_kinds((*closed.in_avals, *closed.out_avals)))
    return found
