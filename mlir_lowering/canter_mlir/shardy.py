"""Shardings as Shardy attributes: meshes of a module, layouts of values, constraints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from canter.core.mesh import Mesh
from canter.core.partition_spec import PartitionSpec, Unconstrained
from canter.core.sharding import NamedSharding, TileSharding

from .context import ModuleContext
from .mlir_door import ir, sdy_attributes as sdy

__all__ = [
    "constrain",
    "everywhere",
    "layout_attribute",
    "mesh_symbol",
    "per_value",
    "result_layouts",
    "spec_attribute",
    "typed_value",
]

_create = ir.Operation.create


def mesh_symbol(module: ModuleContext, mesh: Any) -> str:
    """The name of a mesh in the module, which declares each mesh once.

    Devices are known by their place in the order in which the program numbers them.
    """
    order: tuple[int, ...] = ()
    if isinstance(mesh, Mesh) and module.device_places is not None:
        order = tuple(module.device_places[device.id] for device in mesh._flat_devices_tuple)
        if order == tuple(range(len(order))):
            order = ()
    symbol = _declared(module, mesh.shape_tuple, order)
    module.meshes.setdefault(symbol, mesh)
    return symbol


def _declared(module: ModuleContext, axes: tuple[tuple[Any, int], ...], order: tuple[int, ...]) -> str:
    key = "mesh", axes, order
    symbol = module.functions.get(key)
    if symbol is None:
        symbol = module.functions[key] = module.unique_symbol("mesh")
        attribute = sdy.MeshAttr.get(
            [sdy.MeshAxisAttr.get(str(name), size) for name, size in axes], list(order)
        )
        attributes = {"sym_name": module.types.string(symbol), "mesh": attribute}
        at = ir.InsertionPoint.at_block_begin(module.module.body)
        _create("sdy.mesh", attributes=attributes, loc=module.locations.unknown, ip=at)
    return symbol


def spec_attribute(
    module: ModuleContext, mesh: Any, spec: PartitionSpec, ndim: int, *, open_dims: bool = False
) -> Any:
    """A layout over a mesh as an attribute; `open_dims` lets the compiler split further."""
    return _attribute(mesh_symbol(module, mesh), spec, ndim, open_dims)


def _attribute(
    symbol: str, spec: PartitionSpec, ndim: int, open_dims: bool, whole: Sequence[Any] = ()
) -> Any:
    dims = []
    for entry, axes in zip(spec, spec.axes(), strict=True):
        free = open_dims or isinstance(entry, Unconstrained)
        references = [sdy.AxisRefAttr.get(str(axis)) for axis in axes]
        dims.append(sdy.DimensionShardingAttr.get(references, not free))
    dims += [sdy.DimensionShardingAttr.get([], not open_dims)] * (ndim - len(dims))
    unreduced = [sdy.AxisRefAttr.get(str(axis)) for axis in sorted(spec.unreduced, key=str)]
    replicated = [sdy.AxisRefAttr.get(str(axis)) for axis in whole]
    return sdy.TensorShardingAttr.get(symbol, dims[:ndim], replicated, unreduced)


def layout_attribute(module: ModuleContext, sharding: Any, ndim: int) -> Any:
    """The attribute of a sharding; None where it says nothing (one device, or left to the compiler)."""
    if isinstance(sharding, NamedSharding):
        return spec_attribute(module, sharding.mesh, sharding.spec, ndim)
    if isinstance(sharding, TileSharding):
        parts, numbers = sharding._tiling(ndim)
        # Tiles are a mesh of their own: an axis a dimension, and one along which copies lie.
        count = len(numbers)
        tiles = 1
        for part in parts:
            tiles *= part
        keys = numbers.tolist()
        order = tuple(sorted(range(count), key=lambda i: (keys[i], i)))
        names = tuple(f"tiles_{dim}" for dim in range(ndim))
        axes = (*zip(names, parts, strict=True), ("copies", count // tiles))
        straight = () if order == tuple(range(count)) else order
        return _attribute(_declared(module, axes, straight), PartitionSpec(*names), ndim, False)
    return None


def per_value(attributes: Sequence[Any]) -> Any:
    """The attribute of several values' layouts."""
    return sdy.TensorShardingPerValueAttr.get(list(attributes))


def constrain(ctx: Any, value: Any, attribute: Any) -> Any:
    """The value with a layout that the compiler has to give it."""
    return _create(
        "sdy.sharding_constraint", (value.type,), (value,), {"sharding": attribute}, loc=ctx.location
    ).result


def typed_value(module: ModuleContext, value: Any, aval: Any, layout: Any, mesh: Any, location: Any) -> Any:
    """A value with the layout that its type has; along axes that are not explicit the compiler chooses."""
    if not isinstance(value, ir.Value) or not (getattr(aval, "shape", ()) or layout is not None):
        return value
    spec = PartitionSpec() if layout is None else layout.spec
    rank = ir.RankedTensorType(value.type).rank
    attribute = _attribute(
        mesh_symbol(module, mesh), spec, rank, not mesh.are_all_axes_explicit, _whole_along(mesh, spec)
    )
    operands = {"sharding": attribute}
    return _create("sdy.sharding_constraint", (value.type,), (value,), operands, loc=location).result


def _whole_along(mesh: Any, spec: PartitionSpec) -> tuple[Any, ...]:
    """The explicit axes which, so the type says, do not split a value, though others may that the compiler chooses."""
    if mesh.are_all_axes_explicit:
        return ()
    named = {axis for axes in spec.axes() for axis in axes} | spec.unreduced
    return tuple(axis for axis in mesh.explicit_axes if axis not in named)


def everywhere(ctx: Any, value: Any, ndim: int) -> Any:
    """The value with a copy on each device of the program."""
    module = ctx.module_context
    symbol = _declared(module, (("devices", len(module.device_places)),), ())
    return constrain(ctx, value, _attribute(symbol, PartitionSpec(), ndim, False))


def result_layouts(module: ModuleContext, shardings: Sequence[Any], ranks: Sequence[int]) -> list[Any]:
    """Attributes of several shardings."""
    return [layout_attribute(module, s, rank) for s, rank in zip(shardings, ranks, strict=True)]
