"""Placement of values on devices: constraints on layouts, and copies to other memories."""

from __future__ import annotations

from typing import Any

import numpy as np

from canter.core.memory import Space
from canter.core.sharding import DeviceSharding

from ..mlir_door import ir
from ..registry import register_table
from ..shardy import constrain, layout_attribute, spec_attribute

__all__ = ["constrained", "in_order"]


def constrained(ctx: Any, value: Any, sharding: Any) -> Any:
    """The value with the layout of a sharding; one that says nothing leaves it as it is."""
    if not isinstance(sharding, DeviceSharding):
        return value
    attribute = layout_attribute(ctx.module_context, sharding, ir.RankedTensorType(value.type).rank)
    return constrain(ctx, value, attribute)


def _sharding_constraint(ctx: Any, x: Any, *, sharding: Any, **params: Any) -> Any:
    return constrained(ctx, x, sharding)


def _device_put(ctx: Any, *operands: Any, devices: Any, srcs: Any, copy_semantics: Any) -> list[Any]:
    results = []
    for operand, target, aval in zip(operands, devices, ctx.avals_out, strict=True):
        kind = _memory_kind(target)
        if kind is not None:
            operand = _in_memory(ctx, operand, aval, kind)
        results.append(constrained(ctx, operand, target))
    return results


def _memory_kind(target: Any) -> str | None:
    """The memory that a target names; None where it is the one in which work is done."""
    if isinstance(target, Space):
        return "device" if target is Space.Device else target.value
    return getattr(target, "memory_kind", None)


def _in_memory(ctx: Any, value: Any, aval: Any, kind: str) -> Any:
    placed = ir.DictAttr.get({"_xla_buffer_placement": ctx.types.string(kind)})
    attributes = {
        "call_target_name": ctx.types.string("annotate_device_placement"),
        "has_side_effect": ctx.types.boolean(True),
        "api_version": ctx.types.integer(1, 32),
        "mhlo.frontend_attributes": placed,
    }
    return ctx.op("stablehlo.custom_call", (value,), aval, attributes)


def _reshard(ctx: Any, x: Any, *, dst_sharding: Any, **params: Any) -> Any:
    rank = ir.RankedTensorType(x.type).rank
    return constrain(ctx, x, spec_attribute(ctx.module_context, dst_sharding.mesh, dst_sharding.spec, rank))


def in_order(ctx: Any, value: Any, layout: Any) -> Any:
    """The value, lying in memory as a layout says; None and one that is the compiler's leave it as it is."""
    if layout is None or not hasattr(layout, "major_to_minor"):
        return value
    order = np.array(layout.major_to_minor[::-1], np.int64)
    kind = ir.RankedTensorType.get([len(order)], ir.IndexType.get())
    orders = ir.ArrayAttr.get([ir.DenseIntElementsAttr.get(order, type=kind)])
    attributes = {
        "call_target_name": ctx.types.string("LayoutConstraint"),
        "operand_layouts": orders,
        "result_layouts": orders,
    }
    return ctx.op("stablehlo.custom_call", (value,), value.type, attributes)


def _layout_constraint(ctx: Any, x: Any, *, layout: Any) -> Any:
    return in_order(ctx, x, layout)


register_table({"layout_constraint": _layout_constraint})
register_table({"device_put": _device_put, "reshard": _reshard, "sharding_constraint": _sharding_constraint})
