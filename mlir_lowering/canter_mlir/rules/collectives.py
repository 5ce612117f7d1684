"""`shard_map` as a manual computation, and collectives inside it as communication between devices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np

from canter.core.avals import ShapedArray, abstract_token
from canter.core.jaxpr import ClosedJaxpr
from canter.core.mesh import Mesh
from canter.core.partition_spec import PartitionSpec
from canter.core.trace import extend_axis_environment
from canter.core.tracing import trace_to_jaxpr

from ..mlir_door import ir, sdy_attributes as sdy, stablehlo_attributes as hlo
from ..registry import register_table
from ..shardy import per_value, spec_attribute

__all__: list[str] = []

_INT = ShapedArray((), np.dtype(np.int32))
_UINT = ShapedArray((), np.dtype(np.uint32))
_FLAG = np.dtype(bool)


class ManualRegion(NamedTuple):
    """The manual axes around the operations being emitted.

    Attributes:
      mesh: the mesh.
      axes: those of its axes that are manual, of enclosing regions too.
      places: the place of each device among those of the program, in the shape of the mesh.
      attributes: those that collectives of the region have had so far.
    """

    mesh: Any
    axes: frozenset[Any]
    places: np.ndarray
    attributes: dict[Any, Any]

    @property
    def full(self) -> bool:
        """Whether all axes are manual: then each operation runs once a device."""
        return len(self.axes) == len(self.mesh.axis_names)

    def key(self) -> Any:
        """What tells regions apart in which one program is lowered differently."""
        return self.mesh.shape_tuple, self.axes, self.places.tobytes()

    def groups(self, names: Sequence[Any], subgroups: Any = None) -> np.ndarray:
        """The devices that exchange along axes, a row a group; -1 fills the rows of smaller groups."""
        order = [self.mesh.axis_names.index(name) for name in names]
        rest = [axis for axis in range(self.places.ndim) if axis not in order]
        count = math.prod(self.places.shape[axis] for axis in order)
        rows = self.places.transpose(*rest, *order).reshape(-1, count)
        if subgroups is None:
            return rows
        largest = max(map(len, subgroups))
        return np.concatenate(
            [
                np.pad(rows[:, list(group)], ((0, 0), (0, largest - len(group))), constant_values=-1)
                for group in subgroups
            ]
        )


def _region(module: Any, mesh: Any, axes: frozenset[Any]) -> ManualRegion:
    shape = mesh.axis_sizes
    if isinstance(mesh, Mesh) and module.device_places is not None:
        flat = [module.device_places[device.id] for device in mesh._flat_devices_tuple]
    else:
        flat = list(range(math.prod(shape)))
    outer = frozenset() if module.manual is None else module.manual.axes
    return ManualRegion(mesh, frozenset(axes) | outer, np.array(flat, np.int64).reshape(shape), {})


# --- the region -----------------------------------------------------------------------------------


def _shard_map(
    ctx: Any,
    *operands: Any,
    jaxpr: Any,
    mesh: Any,
    in_specs: Any,
    out_specs: Any,
    newly_manual_axes: frozenset[Any],
    check_vma: bool,
) -> list[Any]:
    module = ctx.module_context
    region = _region(module, mesh, newly_manual_axes)
    if (
        region.places.size == 1
    ):  # the partitioner, which would take the region apart, does not run on one device
        outer, module.manual = module.manual, region
        try:
            return ctx.inline(ClosedJaxpr(jaxpr, ()), operands)
        finally:
            module.manual = outer
    free = not region.full
    ranks = [
        [ir.RankedTensorType(ctx.types.of(a)).rank for a in avals] for avals in (ctx.avals_in, ctx.avals_out)
    ]
    tokens = module.tokens_of(jaxpr.effects)
    count = len(tokens)
    layouts = [
        per_value(
            [
                spec_attribute(module, mesh, spec, rank, open_dims=free)
                for spec, rank in (*[(PartitionSpec(), 0)] * count, *zip(*pair, strict=True))
            ]
        )
        for pair in ((in_specs, ranks[0]), (out_specs, ranks[1]))
    ]
    names = [name for name in mesh.axis_names if name in newly_manual_axes]
    leading = [abstract_token] * count

    def body(args: Sequence[Any]) -> list[Any]:
        with module.inner_tokens(jaxpr.effects, args[:count]):
            results = ctx.inline(ClosedJaxpr(jaxpr, ()), args[count:])
            return [*module.tokens_of(jaxpr.effects), *results]

    results = _manual_computation(
        ctx, [*tokens, *operands], layouts, names, [*leading, *jaxpr.in_avals], [*leading, *ctx.avals_out],
        region, body,
    )  # fmt: skip
    module.set_tokens(jaxpr.effects, results[:count])
    return results[count:]


def _manual_computation(
    ctx: Any,
    operands: Sequence[Any],
    layouts: Sequence[Any],
    names: Sequence[Any],
    avals_in: Sequence[Any],
    avals_out: Sequence[Any],
    region: ManualRegion,
    body: Any,
) -> list[Any]:
    module = ctx.module_context
    attributes = {
        "in_shardings": layouts[0],
        "out_shardings": layouts[1],
        "manual_axes": sdy.ManualAxesAttr.get([ir.StringAttr.get(str(name)) for name in names]),
    }
    operation = ctx.build("sdy.manual_computation", operands, avals_out, attributes, regions=1)
    outer, module.manual = module.manual, region
    try:
        with ctx.block(operation.regions[0], avals_in) as args:
            ir.Operation.create("sdy.return", (), body(args), loc=ctx.location)
    finally:
        module.manual = outer
    return list(operation.results)


def _here(ctx: Any, names: Sequence[Any]) -> ManualRegion:
    region = ctx.module_context.manual
    if region is None or not set(names) <= region.axes:
        raise NameError(
            f"{ctx.primitive} along {names}, which is no manual axis here: call the function under a `vmap` or a "
            "`shard_map` with that axis."
        )
    return region


# --- positions ------------------------------------------------------------------------------------


def _axis_index(ctx: Any, *, axis_name: Any) -> Any:
    region = _here(ctx, (axis_name,))
    if region.mesh.shape[axis_name] == 1:
        return ctx.constant(0, _INT.dtype)
    if region.full:
        known = ctx.module_context.block_constants
        key = "position", axis_name
        if key not in known:
            known[key] = _position(ctx, region, axis_name)
        return known[key]
    # Where other axes are not manual, a program does not know its device: a region of its own does.
    module, mesh = ctx.module_context, region.mesh
    rest = [name for name in mesh.axis_names if name not in region.axes]
    layouts = [per_value([]), per_value([spec_attribute(module, mesh, PartitionSpec(), 0)])]
    whole = region._replace(axes=frozenset(mesh.axis_names))
    return _manual_computation(
        ctx, (), layouts, rest, (), (_INT,), whole, lambda args: [_position(ctx, whole, axis_name)]
    )[0]


def _position(ctx: Any, region: ManualRegion, name: Any) -> Any:
    """The position of the device that runs this along an axis, from the device's number."""
    axis = region.mesh.axis_names.index(name)
    shape = region.places.shape
    number = ctx.op("stablehlo.partition_id", (), _UINT)
    if np.array_equal(region.places.ravel(), np.arange(region.places.size)):
        step = math.prod(shape[axis + 1 :])
        if step > 1:
            number = ctx.op("stablehlo.divide", (number, ctx.constant(step, _UINT.dtype)), _UINT)
        if axis:
            number = ctx.op("stablehlo.remainder", (number, ctx.constant(shape[axis], _UINT.dtype)), _UINT)
        return ctx.convert(number, _INT)
    table = np.empty(region.places.size, np.int32)
    table[region.places.ravel()] = np.unravel_index(np.arange(region.places.size), shape)[axis]
    values = ctx.module_context.array(table, ctx.location)
    row = ctx.op(
        "stablehlo.dynamic_slice",
        (values, ctx.convert(number, _INT)),
        ShapedArray((1,), table.dtype),
        {"slice_sizes": ctx.types.ints([1])},
    )
    return ctx.op("stablehlo.reshape", (row,), _INT)


# --- communication --------------------------------------------------------------------------------


def _exchange(
    region: ManualRegion, names: Any, subgroups: Any = None, *, global_ids: bool = True
) -> dict[str, Any]:
    """The attributes of a collective along axes: which devices exchange."""
    key = names, subgroups, global_ids
    known = region.attributes.get(key)
    if known is None:
        known = _attributes(region.groups(names, subgroups), global_ids=global_ids)
        region.attributes[key] = known
    return dict(known)


def _attributes(rows: np.ndarray, *, global_ids: bool = True) -> dict[str, Any]:
    attributes = {
        "replica_groups": ir.DenseElementsAttr.get(np.ascontiguousarray(rows, np.int64)),
        "channel_handle": hlo.ChannelHandle.get(1, 1),
    }
    if global_ids:
        attributes["use_global_device_ids"] = ir.UnitAttr.get()
    return attributes


def _combine(ctx: Any, name: str, x: Any, aval: Any, attributes: Any, operation: str) -> Any:
    """A collective with a region that joins two elements."""
    made = ctx.build(name, (x,), (aval,), attributes, regions=1)
    scalar = ShapedArray((), ctx.avals_in[0].dtype)
    with ctx.block(made.regions[0], (scalar, scalar)) as pair:
        ctx.return_((ctx.op(operation, pair, scalar),))
    return made.results[0]


def _reduction(operation: str) -> Any:
    def lower(ctx: Any, x: Any, *, axes: Any, axis_index_groups: Any = None) -> Any:
        region = _here(ctx, axes)
        chosen = operation
        if ctx.avals_in[0].dtype == _FLAG:
            chosen = {"stablehlo.maximum": "stablehlo.or", "stablehlo.minimum": "stablehlo.and"}[operation]
        attributes = _exchange(region, axes, axis_index_groups)
        return _combine(ctx, "stablehlo.all_reduce", x, ctx.avals_out[0], attributes, chosen)

    return lower


def _all_gather(
    ctx: Any,
    x: Any,
    *,
    all_gather_dimension: int,
    axis_name: Any,
    axis_index_groups: Any,
    axis_size: int,
    tiled: bool,
) -> Any:
    region = _here(ctx, axis_name)
    aval = ctx.avals_in[0]
    if not tiled:
        shape = (*aval.shape[:all_gather_dimension], 1, *aval.shape[all_gather_dimension:])
        x = ctx.op("stablehlo.reshape", (x,), aval.update(shape=shape))
    attributes = _exchange(region, axis_name, axis_index_groups)
    attributes["all_gather_dim"] = ctx.types.integer(all_gather_dimension, 64)
    return ctx.op("stablehlo.all_gather", (x,), ctx.avals_out[0], attributes)


def _reduce_scatter(
    ctx: Any,
    x: Any,
    *,
    scatter_dimension: int,
    axis_name: Any,
    axis_index_groups: Any,
    axis_size: int,
    tiled: bool,
) -> Any:
    region = _here(ctx, axis_name)
    out = ctx.avals_out[0]
    shape = list(ctx.avals_in[0].shape)
    shape[scatter_dimension] //= axis_size
    attributes = _exchange(region, axis_name, axis_index_groups)
    attributes["scatter_dimension"] = ctx.types.integer(scatter_dimension, 64)
    part = out.update(shape=tuple(shape))
    result = _combine(ctx, "stablehlo.reduce_scatter", x, part, attributes, "stablehlo.add")
    return result if tiled else ctx.op("stablehlo.reshape", (result,), out)


def _ppermute(ctx: Any, x: Any, *, axis_name: Any, perm: Any) -> Any:
    region = _here(ctx, axis_name)
    key = "pairs", axis_name, perm
    attributes = region.attributes.get(key)
    if attributes is None:
        rows = region.groups(axis_name)
        pairs = [[row[source], row[destination]] for row in rows for source, destination in perm]
        attributes = region.attributes[key] = {
            "source_target_pairs": ir.DenseElementsAttr.get(np.array(pairs, np.int64).reshape(-1, 2)),
            "channel_handle": hlo.ChannelHandle.get(1, 1),
        }
    return ctx.op("stablehlo.collective_permute", (x,), ctx.avals_out[0], attributes)


def _all_to_all(
    ctx: Any,
    x: Any,
    *,
    axis_name: Any,
    split_axis: int,
    concat_axis: int,
    axis_index_groups: Any,
    tiled: bool,
) -> Any:
    names = axis_name if isinstance(axis_name, tuple) else (axis_name,)
    region = _here(ctx, names)
    rows = region.groups(names, axis_index_groups)
    attributes = _exchange(region, names, axis_index_groups, global_ids=False)
    attributes |= {
        "split_dimension": ctx.types.integer(split_axis, 64),
        "concat_dimension": ctx.types.integer(concat_axis, 64),
        "split_count": ctx.types.integer(rows.shape[1], 64),
    }
    return ctx.build("stablehlo.all_to_all", (x,), (ctx.avals_out[0],), attributes).results[0]


def _pbroadcast(ctx: Any, x: Any, *, axis_name: Any, source: int) -> Any:
    """The sum of the source's value and of zeros."""
    names = axis_name if isinstance(axis_name, tuple) else (axis_name,)
    region = _here(ctx, names)
    aval = ctx.avals_in[0]
    index = ctx.constant(0, _INT.dtype)
    for name in names:
        size = ctx.constant(region.mesh.shape[name], _INT.dtype)
        index = ctx.op("stablehlo.multiply", (index, size), _INT)
        index = ctx.op("stablehlo.add", (index, _axis_index(ctx, axis_name=name)), _INT)
    mine = ctx.compare("EQ", index, ctx.constant(source, _INT.dtype), _INT)
    value = ctx.op("stablehlo.select", (mine, x, ctx.full(0, aval)), aval)
    kind = "stablehlo.or" if aval.dtype == _FLAG else "stablehlo.add"
    return _combine(ctx, "stablehlo.all_reduce", value, aval, _exchange(region, names), kind)


def _ragged_all_to_all(ctx: Any, *operands: Any, axis_name: Any, axis_index_groups: Any) -> Any:
    """Every device gathers all rows, and takes its own of the exchange that follows."""
    from canter.lax.transfers import exchange_of_gathered  # a family that few programs need

    if axis_index_groups is not None:
        raise NotImplementedError(
            "ragged_all_to_all between devices takes no axis_index_groups; leave it out."
        )
    region = _here(ctx, axis_name)
    names = list(region.axes)

    def exchange(*args: Any) -> Any:
        return [exchange_of_gathered(*args, axis_name=axis_name)]

    with ExitStack() as stack:
        for name in names:
            stack.enter_context(extend_axis_environment(name, region.mesh.shape[name]))
        closed = trace_to_jaxpr(exchange, [aval.update(vma=frozenset()) for aval in ctx.avals_in])
    return ctx.inline(closed, operands)


register_table(
    {
        "ragged_all_to_all": _ragged_all_to_all,
        "all_gather": _all_gather,
        "all_gather_invariant": _all_gather,
        "all_to_all": _all_to_all,
        "axis_index": _axis_index,
        "pbroadcast": _pbroadcast,
        "pmax": _reduction("stablehlo.maximum"),
        "pmin": _reduction("stablehlo.minimum"),
        "ppermute": _ppermute,
        "psum": _reduction("stablehlo.add"),
        "psum_invariant": _reduction("stablehlo.add"),
        "pvary": lambda ctx, x, *, axes: x,
        "reduce_scatter": _reduce_scatter,
        "shard_map": _shard_map,
    }
)
