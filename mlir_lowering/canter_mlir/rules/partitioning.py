"""Functions that say themselves how they are divided: first an operation with a rule, then a manual region.

A program that has such calls is lowered twice. In the first module a call is one operation, and
Shardy finds the shardings around it. With these the user's function gives the program of one device.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from canter.core.partition_spec import PartitionSpec

from ..context import ModuleContext
from ..mlir_door import ir, sdy_attributes as sdy
from ..portable import with_propagated_shardings
from ..registry import register_table
from ..shardy import per_value, spec_attribute
from .collectives import _manual_computation, _region

__all__ = ["decisions"]

_NUMBER = "canter.number"


class _Pending(NamedTuple):
    """A call that was emitted as one operation."""

    division: Any
    in_avals: list[Any]
    out_avals: list[Any]


def _custom_partitioning(ctx: Any, *operands: Any, call: Any, division: Any) -> Any:
    module = ctx.module_context
    if module.device_places is None or len(module.device_places) == 1 or module.manual is not None:
        return ctx.inline(call, operands)
    number = len(module.partitioned)
    module.partitioned.append(_Pending(division, list(ctx.avals_in), list(ctx.avals_out)))
    if module.decisions is None:
        return _as_one_operation(ctx, operands, division, number)
    decision = module.decisions[number]
    if decision is None:
        return ctx.inline(call, operands)
    mesh, closed, in_specs, out_specs = decision
    region = _region(module, mesh, frozenset(mesh.axis_names))
    layouts = [
        per_value(
            [spec_attribute(module, mesh, spec, len(a.shape)) for spec, a in zip(specs, avals, strict=True)]
        )
        for specs, avals in ((in_specs, ctx.avals_in), (out_specs, ctx.avals_out))
    ]
    return _manual_computation(
        ctx, operands, layouts, mesh.axis_names, closed.in_avals, ctx.avals_out, region,
        lambda args: ctx.inline(closed, args),
    )  # fmt: skip


def _as_one_operation(ctx: Any, operands: Any, division: Any, number: int) -> Any:
    attributes = {
        "call_target_name": ctx.types.string("canter_custom_partitioning"),
        "api_version": ctx.types.integer(1, 32),
        _NUMBER: ctx.types.integer(number, 32),
    }
    factors = division.factors(_any_mesh(ctx.module_context), ctx.avals_in, ctx.avals_out)
    if factors is not None:
        attributes["sdy.sharding_rule"] = sdy.OpShardingRuleAttr.get(
            factors.sizes,
            [_tensor_mapping(dims) for dims in factors.operands],
            [_tensor_mapping(dims) for dims in factors.results],
            factors.reduction,
            factors.replication,
            factors.permutation,
            is_custom=True,
        )
    return list(ctx.build("stablehlo.custom_call", operands, ctx.avals_out, attributes).results)


def _tensor_mapping(dims: Any) -> Any:
    return sdy.TensorMappingAttr.get([sdy.DimMappingAttr.get(list(factors)) for factors in dims])


def _any_mesh(module: ModuleContext) -> Any:
    return next(iter(module.meshes.values()), None)


def decisions(builder: ModuleContext, module: Any) -> list[Any]:
    """For each call: the mesh, the program of one device, and the specs; None where nothing is divided."""
    propagated = with_propagated_shardings(module)
    found: list[Any] = [None] * len(builder.partitioned)
    if propagated is module:
        return found

    def visit(operation: Any) -> Any:
        if operation.name == "stablehlo.custom_call" and _NUMBER in operation.attributes:
            number = ir.IntegerAttr(operation.attributes[_NUMBER]).value
            found[number] = _decision(builder, builder.partitioned[number], operation)
        return ir.WalkResult.ADVANCE

    with propagated.context:
        propagated.operation.walk(visit)
    return found


def _decision(builder: ModuleContext, pending: _Pending, operation: Any) -> Any:
    layouts = [_layout_of(operand) for operand in operation.operands]
    layouts += [_layout_of(result) for result in operation.results]
    symbols = [symbol for symbol, _ in filter(None, layouts) if symbol in builder.meshes]
    if not symbols:
        return None
    mesh = builder.meshes[symbols[0]]
    specs = [
        PartitionSpec() if layout is None or layout[0] != symbols[0] else layout[1] for layout in layouts
    ]
    count = len(pending.in_avals)
    closed, in_specs, out_specs = pending.division.decide(
        mesh, pending.in_avals, pending.out_avals, specs[:count], specs[count:]
    )
    return mesh, closed, in_specs, out_specs


def _layout_of(value: Any) -> Any:
    """The mesh's symbol and the spec of a value, or None."""
    attribute = None
    if isinstance(value, ir.BlockArgument):
        owner = value.owner.owner.operation  # the `name` of a function's view is its own
        if owner.name == "func.func" and "arg_attrs" in owner.attributes:
            own = ir.DictAttr(ir.ArrayAttr(owner.attributes["arg_attrs"])[value.arg_number])
            attribute = own["sdy.sharding"] if "sdy.sharding" in own else None
    else:
        result = ir.OpResult(value)
        owner = result.owner
        if owner.name in ("sdy.reshard", "sdy.sharding_constraint"):
            attribute = owner.attributes["sharding"]
        elif "sdy.sharding" in owner.attributes:
            attribute = list(sdy.TensorShardingPerValueAttr(owner.attributes["sdy.sharding"]).shardings)[
                result.result_number
            ]
    if attribute is None:
        return None
    layout = sdy.TensorShardingAttr(attribute)
    entries = []
    for dim in layout.dimension_shardings:
        axes = [sdy.AxisRefAttr(axis) for axis in sdy.DimensionShardingAttr(dim).axes]
        whole = all(axis.sub_axis_info is None for axis in axes)
        entries.append(tuple(axis.name for axis in axes) if whole else None)
    return str(layout.mesh_or_ref).lstrip("@"), PartitionSpec(*entries)


register_table({"custom_partitioning": _custom_partitioning})
