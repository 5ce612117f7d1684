"""Operations about the program: composites, tokens, values to keep, values without meaning."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from canter.core.avals import abstract_token
from canter.core.jaxpr import ClosedJaxpr
from canter.lax.parameters import HashableArray
from canter.lax.scaled import decomposed

from ..body import private_function
from ..mlir_door import ir
from ..registry import register_table, traced
from ..types import physical_aval

__all__: list[str] = []


# --- composites -----------------------------------------------------------------------------------

_NAMESPACED = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*([.][a-zA-Z0-9_$]+)+")


def _composite(
    ctx: Any, *operands: Any, name: str, attributes: Any, version: int, jaxpr: ClosedJaxpr
) -> list[Any]:
    if not _NAMESPACED.fullmatch(name):
        raise ValueError(
            f"A composite operation needs a name with a namespace, such as 'my_namespace.my_op', but it is {name!r}."
        )
    values = {key: _attribute(ctx, treedef.unflatten(leaves)) for key, leaves, treedef in attributes}
    return _emit_composite(ctx, operands, name, values, version, jaxpr)


def _emit_composite(
    ctx: Any, operands: Sequence[Any], name: str, values: dict[str, Any], version: int, closed: ClosedJaxpr
) -> list[Any]:
    types = ctx.types
    described: dict[str, Any] = {
        "name": types.string(name),
        "decomposition": types.symbol(private_function(ctx.module_context, closed, name)),
    }
    if version:
        described["version"] = types.integer(version, 32)
    given = {key: value for key, value in values.items() if value is not None}
    if given:
        described["composite_attributes"] = ir.DictAttr.get(given)
    return list(ctx.build("stablehlo.composite", operands, ctx.avals_out, described).results)


def _attribute(ctx: Any, value: Any) -> Any:
    """A Python value as an MLIR attribute; None for None."""
    types = ctx.types
    if value is None:
        return None
    if isinstance(value, HashableArray):
        return types.dense(value.val)
    if isinstance(value, (bool, np.bool_)):
        return types.boolean(bool(value))
    if isinstance(value, str):
        return types.string(value)
    if isinstance(value, int):
        return types.integer(value, 64)
    if isinstance(value, float):
        return ir.FloatAttr.get(ir.F64Type.get(), value)
    if isinstance(value, np.dtype):
        return ir.TypeAttr.get(types.element(value))
    if isinstance(value, np.generic):
        kind = types.element(value.dtype)
        if np.issubdtype(value.dtype, np.integer):
            return ir.IntegerAttr.get(kind, int(value))
        return ir.FloatAttr.get(kind, float(value))
    if isinstance(value, (list, tuple)):
        return ir.ArrayAttr.get([_attribute(ctx, each) for each in value])
    if isinstance(value, dict):
        return ir.DictAttr.get({str(key): _attribute(ctx, each) for key, each in value.items()})
    raise TypeError(
        f"A composite operation cannot have an attribute of type {type(value).__name__}: {value!r:.80}. Numbers, "
        "strings, NumPy arrays and dtypes can be attributes, and lists, tuples and dicts of them."
    )


def _scaled_dot(ctx: Any, *operands: Any, dimension_numbers: Any, preferred_element_type: Any) -> list[Any]:
    params = {"dimension_numbers": dimension_numbers, "preferred_element_type": preferred_element_type}
    closed = traced(decomposed, tuple(ctx.avals_in), params, False)
    values = {key: _attribute(ctx, value) for key, value in params.items()}
    return _emit_composite(ctx, operands, "xla.scaled_dot", values, 0, closed)


# --- values to keep, values without meaning -------------------------------------------------------


def _dce_sink(ctx: Any, operand: Any, *, prevent_mlir_dce: bool) -> list[Any]:
    if prevent_mlir_dce:
        types = ctx.types
        attributes = {
            "call_target_name": types.string("dce_sink"),
            "has_side_effect": types.boolean(True),
            "backend_config": types.string(""),
        }
        ctx.build("stablehlo.custom_call", (operand,), (), attributes)
    return []


def _empty(ctx: Any, *, dtype: Any, out_sharding: Any, shape: Any) -> Any:
    return ctx.full(0, physical_aval(ctx.avals_out[0]))


def _value_of_struct(ctx: Any, *, struct: Any) -> Any:
    raise TypeError(
        f"A ShapeDtypeStruct has no value: the function returned one, of type {struct}, so that it can be traced, "
        "by eval_shape for example, and not run."
    )


# --- tokens and messages --------------------------------------------------------------------------


def _after_all(ctx: Any, *operands: Any) -> Any:
    return ctx.op("stablehlo.after_all", operands, abstract_token)


def _channel(ctx: Any, perm: Any) -> dict[str, Any]:
    return {
        "channel_handle": ctx.types.parsed("#stablehlo.channel_handle<handle = 1, type = 1>"),
        "source_target_pairs": ctx.types.matrix(perm),
    }


def _psend(ctx: Any, operand: Any, *, axis_name: Any, perm: Any) -> Any:
    token = ctx.op("stablehlo.create_token", (), abstract_token)
    return ctx.op("stablehlo.send", (operand, token), abstract_token, _channel(ctx, perm))


def _precv(ctx: Any, token: Any, *, out_shape: Any, axis_name: Any, perm: Any) -> Any:
    operation = ctx.build("stablehlo.recv", (token,), (out_shape, abstract_token), _channel(ctx, perm))
    return operation.results[0]


def _gpu_only(name: str) -> Any:
    def refuse(ctx: Any, *operands: Any, **params: Any) -> Any:
        raise NotImplementedError(
            f"{name} runs on GPUs only, not on platform '{ctx.platform}'. lax.ppermute runs everywhere."
        )

    return refuse


def _dim_as_value(ctx: Any, *, dim: Any) -> Any:
    """A symbolic dimension as an array; sizes are computed as i32."""
    from ..dynamic import dimension_value

    value = dimension_value(ctx.module_context, dim, ctx.location)
    out = ctx.avals_out[0]
    return value if out.dtype == np.dtype(np.int32) else ctx.convert(value, out)


register_table(
    {
        "composite": _composite,
        "dim_as_value": _dim_as_value,
        "scaled_dot": _scaled_dot,
        "value_of_struct": _value_of_struct,
        "stage": lambda ctx, x: x,
        "dce_sink": _dce_sink,
        "empty": _empty,
        "create_token": lambda ctx: ctx.op("stablehlo.create_token", (), abstract_token),
        "after_all": _after_all,
        "psend": _gpu_only("psend"),
        "precv": _gpu_only("precv"),
    }
)
for _platform in ("cuda", "rocm"):
    register_table({"psend": _psend, "precv": _precv}, _platform)
