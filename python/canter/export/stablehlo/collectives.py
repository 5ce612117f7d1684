"""Shardings, regions that each device runs by itself, and the communication inside them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from canter import lax
from canter_mlir.reading import Layout, MeshShape, Operation

from .evaluation import Rule, UnsupportedOperation
from .regions import combiner

__all__ = ["RULES", "spec_of"]


def spec_of(layout: Layout, names: Sequence[str] | None = None) -> Any:
    """The PartitionSpec of a layout; with names, of these axes only."""
    from canter.core.partition_spec import PartitionSpec

    entries: list[Any] = []
    for axes, free in zip(layout.dims, layout.open, strict=True):
        if axes is None:
            entries.append(PartitionSpec.UNCONSTRAINED if names is None else None)
            continue
        kept = axes if names is None else tuple(axis for axis in axes if axis in names)
        unsaid = free and names is None and not kept
        entries.append(PartitionSpec.UNCONSTRAINED if unsaid else kept[0] if len(kept) == 1 else kept or None)
    return PartitionSpec(*entries)


def _constraint(name: str) -> Rule:
    def rule(run: Any, op: Operation, x: Any) -> Any:
        """Shardings say where, not what: without a mesh, or where each device is by itself, nothing is done."""
        layout = op.attributes[name]
        if run.mesh is None or run.manual or not isinstance(layout, Layout):
            return x
        mesh = _declared(run, layout)
        if any(axis not in run.mesh.axis_names for axis, _ in mesh.axes):
            return x
        from canter.core.sharding import NamedSharding

        return lax.with_sharding_constraint(x, NamedSharding(run.mesh, spec_of(layout)))

    return rule


def _declared(run: Any, layout: Layout) -> MeshShape:
    return layout.mesh if isinstance(layout.mesh, MeshShape) else run.module.meshes[layout.mesh]


def _mesh_for(run: Any, op: Operation, shape: MeshShape) -> Any:
    """The mesh that was given, or one of this process's devices of the declared shape."""
    if run.mesh is not None:
        sizes = dict(run.mesh.shape)
        if any(sizes.get(name) != size for name, size in shape.axes):
            raise UnsupportedOperation(op, f"needs a mesh with the axes {dict(shape.axes)}, not {sizes}.")
        return run.mesh
    from canter.core.mesh import Mesh
    from canter.runtime.backend import devices

    count, found = math.prod(size for _, size in shape.axes), devices()
    if len(found) < count:
        raise UnsupportedOperation(op, f"runs on {count} devices, and there are {len(found)} here.")
    order = shape.device_ids or tuple(range(count))
    grid = np.array(found, dtype=object)[list(order)].reshape([size for _, size in shape.axes])
    return Mesh(grid, tuple(name for name, _ in shape.axes))


def _manual_computation(run: Any, op: Operation, *operands: Any) -> Any:
    from canter.parallel.shard_map import shard_map

    ins, outs = op.attributes["in_shardings"], op.attributes["out_shardings"]
    layouts = (*ins, *outs)
    if not layouts:
        raise UnsupportedOperation(op, "has no operand or result that names its mesh.")
    shape = _declared(run, layouts[0])
    if not shape.axes:
        return run.block(op.regions[0], operands)
    mesh, names = _mesh_for(run, op, shape), tuple(op.attributes["manual_axes"])
    closure = run.closure(op.regions[0])

    def body(*parts: Any) -> tuple[Any, ...]:
        outer = run.mesh, run.manual
        run.mesh, run.manual = mesh, (*run.manual, *names)
        try:
            return tuple(closure(*parts))
        finally:
            run.mesh, run.manual = outer

    specs = [tuple(spec_of(layout, names) for layout in side) for side in (ins, outs)]
    return list(
        shard_map(
            body,
            mesh=mesh,
            in_specs=specs[0],
            out_specs=specs[1],
            axis_names=frozenset(names),
            check_vma=False,
        )(*operands)
    )


# --- communication --------------------------------------------------------------------------------


def _places(run: Any, op: Operation) -> np.ndarray:
    """The numbers of the devices, in the shape of the mesh."""
    if not run.manual:
        raise UnsupportedOperation(op, "communicates outside of a region that each device runs by itself.")
    shape = tuple(run.mesh.shape.values())
    return np.arange(math.prod(shape)).reshape(shape)


def _along(places: np.ndarray, dims: Sequence[int]) -> np.ndarray:
    """The groups of devices that differ along some dimensions only, a row a group."""
    rest = [d for d in range(places.ndim) if d not in dims]
    count = math.prod(places.shape[d] for d in dims)
    return places.transpose(*rest, *dims).reshape(-1, count)


def _axes(run: Any, op: Operation) -> tuple[str, ...]:
    """The axes of the mesh along which the groups of an operation lie."""
    given, places = op.attributes.get("replica_groups"), _places(run, op)
    names = run.mesh.axis_names
    if not isinstance(given, np.ndarray):
        raise UnsupportedOperation(op, f"has groups of the form {given}.")
    wanted = {tuple(int(x) for x in row) for row in given}
    for count in range(len(names) + 1):
        for dims in itertools.permutations(range(len(names)), count):
            found = {tuple(int(x) for x in row) for row in _along(places, dims)}
            if found == wanted and all(names[d] in run.manual for d in dims):
                return tuple(names[d] for d in dims)
    raise UnsupportedOperation(op, f"has groups that are no axes of the mesh {dict(run.mesh.shape)}.")


_REDUCERS: dict[str, Callable[..., Any]] = {
    "add": lax.psum,
    "maximum": lax.pmax,
    "minimum": lax.pmin,
    "or": lax.pmax,
    "and": lax.pmin,
}


def _all_reduce(run: Any, op: Operation, *operands: Any) -> Any:
    axes, name = _axes(run, op), combiner(op.regions[0])
    kind = op.results[0].type.dtype
    if name not in _REDUCERS or (name in ("or", "and") and kind.kind != "b"):
        return [_gathered(run, op, x, axes) for x in operands]
    if not axes:
        return list(operands)
    return [_REDUCERS[name](x, axes) for x in operands]


def _gathered(run: Any, op: Operation, x: Any, axes: Any) -> Any:
    """A reduction by anything: all gather, and each device reduces for itself."""
    from .regions import elementwise, tree_reduce

    rows = lax.all_gather(x, axes) if axes else lax.broadcast(x, (1,))
    return tree_reduce(elementwise(run.closure(op.regions[0])), [rows], 0)[0]


def _all_gather(run: Any, op: Operation, *operands: Any) -> Any:
    axes, dim = _axes(run, op), op.attributes["all_gather_dim"]
    return [lax.all_gather(x, axes, axis=dim, tiled=True) if axes else x for x in operands]


def _reduce_scatter(run: Any, op: Operation, x: Any) -> Any:
    axes, dim = _axes(run, op), op.attributes["scatter_dimension"]
    if combiner(op.regions[0]) != "add":
        raise UnsupportedOperation(op, "reduces by something else than a sum.")
    return lax.psum_scatter(x, axes, scatter_dimension=dim, tiled=True) if axes else x


def _all_to_all(run: Any, op: Operation, *operands: Any) -> Any:
    axes = _axes(run, op)
    split, join = op.attributes["split_dimension"], op.attributes["concat_dimension"]
    return [lax.all_to_all(x, axes, split, join, tiled=True) if axes else x for x in operands]


def _collective_permute(run: Any, op: Operation, *operands: Any) -> Any:
    places, names = _places(run, op), run.mesh.axis_names
    wanted = {(int(a), int(b)) for a, b in np.reshape(op.attributes["source_target_pairs"], (-1, 2))}
    for count in range(1, len(names) + 1):
        for dims in itertools.combinations(range(len(names)), count):
            rows = _along(places, dims)
            where = {int(device): i for i, device in enumerate(rows[0])}
            perm = [(where[a], where[b]) for a, b in sorted(wanted) if a in where and b in where]
            if {(int(row[a]), int(row[b])) for row in rows for a, b in perm} == wanted:
                axes = tuple(names[d] for d in dims)
                return [lax.ppermute(x, axes if count > 1 else axes[0], perm) for x in operands]
    raise UnsupportedOperation(op, "sends between devices that no axes of the mesh lead to.")


def _collective_broadcast(run: Any, op: Operation, x: Any) -> Any:
    axes = _axes(run, op)
    return lax.pbroadcast(x, axes, 0) if axes else x


def _device_number(run: Any, op: Operation) -> Any:
    _places(run, op)
    number: Any = np.int32(0)
    for name, size in run.mesh.shape.items():
        number = lax.add(lax.mul(number, np.int32(size)), lax.axis_index(name))
    return lax.convert_element_type(number, op.results[0].type.dtype)


def _replica(run: Any, op: Operation) -> Any:
    return np.uint32(0)  # one program runs on all devices: they are its partitions


def _inline(run: Any, op: Operation, *operands: Any) -> Any:
    return run.block(op.regions[0], operands)


RULES: dict[str, Rule] = {
    "sdy.manual_computation": _manual_computation,
    "sdy.named_computation": _inline,
    "sdy.propagation_barrier": lambda run, op, x: x,
    "sdy.reshard": _constraint("sharding"),
    "sdy.sharding_constraint": _constraint("sharding"),
    "sdy.sharding_group": lambda run, op, x: [],
    **{
        f"sdy.{name}": _constraint("out_sharding")
        for name in ("all_gather", "all_reduce", "all_slice", "all_to_all", "collective_permute")
    },
    "stablehlo.all_gather": _all_gather,
    "stablehlo.all_reduce": _all_reduce,
    "stablehlo.all_to_all": _all_to_all,
    "stablehlo.collective_broadcast": _collective_broadcast,
    "stablehlo.collective_permute": _collective_permute,
    "stablehlo.cross-replica-sum": _all_reduce,
    "stablehlo.partition_id": _device_number,
    "stablehlo.reduce_scatter": _reduce_scatter,
    "stablehlo.replica_id": _replica,
}
