"""Calls of foreign functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from canter.lax.parameters import plain

from ..attributes import ir_attribute
from ..mlir_door import ir, stablehlo_attributes
from ..registry import register_table

__all__ = ["emit_custom_call"]


def _layouts(layouts: Sequence[Any]) -> Any:
    return ir.ArrayAttr.get(
        [
            ir.DenseIntElementsAttr.get(
                np.asarray(layout, np.int64).reshape(len(layout)),
                type=ir.RankedTensorType.get([len(layout)], ir.IndexType.get()),
            )
            for layout in layouts
        ]
    )


def emit_custom_call(
    ctx: Any,
    target: str,
    operands: Sequence[Any],
    result_types: Sequence[Any],
    *,
    config: Mapping[str, Any] | str | None = None,
    api_version: int = 4,
    has_side_effect: bool = False,
    operand_layouts: Sequence[Any] | None = None,
    result_layouts: Sequence[Any] | None = None,
    aliases: Mapping[int, int] | None = None,
    extra_attributes: Mapping[str, Any] | None = None,
) -> Any:
    """Emits `stablehlo.custom_call`.

    Args:
      ctx: the rule's context.
      target: the name under which the function is registered.
      operands: MLIR values.
      result_types: MLIR types, or avals.
      config: attributes by name, or the string of an older interface.
      api_version: of the interface; 4 is the typed one.
      has_side_effect: whether it is called even if nobody needs its results.
      operand_layouts, result_layouts: orders of dimensions, minor to major.
      aliases: operand -> the result that takes over its memory.
      extra_attributes: further attributes of the operation.

    Returns:
      The operation.
    """
    types = ctx.types
    alias = stablehlo_attributes.OutputOperandAlias.get
    several = len(result_types) > 1
    attributes = {
        "call_target_name": types.string(target),
        "api_version": types.integer(api_version, 32),
        "has_side_effect": types.boolean(has_side_effect),
        "backend_config": types.string(config or "")
        if not isinstance(config, Mapping)
        else ir_attribute(config),
        "output_operand_aliases": ir.ArrayAttr.get(
            [alias([out] if several else [], operand, []) for operand, out in (aliases or {}).items()]
        ),
        **(extra_attributes or {}),
    }
    if operand_layouts is not None and result_layouts is not None:
        attributes["operand_layouts"] = _layouts(operand_layouts)
        attributes["result_layouts"] = _layouts(result_layouts)
    return ctx.build("stablehlo.custom_call", operands, result_types, attributes)


def _ffi_call(
    ctx: Any,
    *operands: Any,
    target_name: str,
    has_side_effect: bool,
    input_layouts: Any,
    output_layouts: Any,
    input_output_aliases: Any,
    custom_call_api_version: int,
    legacy_backend_config: str | None,
    attributes: Any,
    **_: Any,
) -> Any:
    typed = custom_call_api_version >= 4
    values = {name: plain(value) for name, value in attributes}
    return emit_custom_call(
        ctx,
        target_name,
        operands,
        ctx.avals_out,
        config=values if typed else legacy_backend_config,
        api_version=custom_call_api_version,
        has_side_effect=has_side_effect,
        operand_layouts=input_layouts,
        result_layouts=output_layouts,
        aliases=dict(input_output_aliases),
    ).results


register_table({"ffi_call": _ffi_call})
