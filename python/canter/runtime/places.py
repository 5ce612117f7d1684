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
from .placement import common_device, sharding_of, shared_sharding

if TYPE_CHECKING:
    from .program import Layout

__all__ = ["Place", "in_host_memory", "place_of_call", "program_devices", "program_shardings"]

_HOST = Space.Host.value
_PLACING = {"device_put", "sharding_constraint"}  # callbacks name the device that makes the call
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
        _check_inside(closed, chosen, lambda: "the device that jit was given")
        _check_on_one(args, describe, chosen)
        return Place(chosen, True)
    if shardings is not None or _names_meshes(args, closed) or in_host_memory(closed):
        from .spmd import layout_of_call

        layout = layout_of_call(args, describe, closed, shardings)
        if layout is not None:
            return Place(layout.devices[0], True, layout)
    device = common_device(args, describe)
    if device is not None:
        _check_inside(closed, device, lambda: "arguments")
        return Place(device, True)
    inside = program_devices(closed)
    if not inside:
        return Place(current_default_device(), False)
    _check_inside(closed, inside[0], lambda: "another sharding inside the function")
    return Place(inside[0], True)


def _check_on_one(args: Sequence[Any], describe: Callable[[int], str], device: Any) -> None:
    """Checks that no argument of a program for one device is over several."""
    if shared_sharding(args) is sharding_of(device):
        return
    for position, arg in enumerate(args):
        sharding = getattr(arg, "sharding", None)
        if isinstance(sharding, DeviceSharding) and len(sharding.device_set) > 1:
            raise ValueError(
                f"Received incompatible devices for jitted computation. Got {describe(position)} with shape "
                f"{arg.aval.str_short(True)} over {len(sharding.device_set)} devices, {sharding}, and jit was given "
                f"one device, {device}. Bring it there first, with canter.device_put."
            )


def _check_inside(closed: ClosedJaxpr, device: Any, what: Callable[[], str]) -> None:
    """Checks that shardings on one device inside a program are on a device."""
    for other in program_devices(closed):
        if other is not device:
            raise ValueError(
                "Received incompatible devices for jitted computation. Got a sharding inside the function with device "
                f"ids [{other.id}] on platform {other.platform.upper()}, and {what()} with device ids [{device.id}] on "
                f"platform {device.platform.upper()}. A compiled program runs on one device: move arrays before or "
                "after it, with canter.device_put."
            )


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
    """The shardings over devices of a mesh that stand in the equations of a program, inner ones included."""
    return _named(closed)[0]


def program_devices(closed: ClosedJaxpr) -> tuple[Any, ...]:
    """The devices of the shardings on one device that stand in the equations of a program."""
    return _named(closed)[1]


def _named(closed: ClosedJaxpr) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    found = closed.memo.get("shardings")
    if found is None:
        single = dict[Any, None]()
        several = dict[Any, None]()
        for sharding in _shardings_in(closed.jaxpr):
            if isinstance(sharding, SingleDeviceSharding):
                single[sharding._device] = None
            else:
                several[sharding] = None
        found = closed.memo["shardings"] = tuple(several), tuple(single)
    return found


def _shardings_in(jaxpr: Jaxpr) -> Iterator[Any]:
    for eqn in jaxpr.eqns:
        params = eqn.params
        for name in _SHARDING_PARAMETERS & params.keys() if params else ():
            value = params[name]
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, Mesh):
                    yield NamedSharding(item, PartitionSpec())
                elif isinstance(item, SingleDeviceSharding):
                    if eqn.primitive.name in _PLACING:
                        yield item
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
