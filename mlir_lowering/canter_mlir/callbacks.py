"""Calls of Python from a compiled program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from canter.core.avals import abstract_token

from .mlir_door import ir
from .shardy import everywhere
from .types import physical_aval

__all__ = ["HostCall", "ShardingInspection", "emit_inspection", "emit_python_callback"]

# Platform -> the part of the target's name by which its runtime finds the Python function.
_TARGETS = {"cpu": "cpu", "cuda": "gpu", "rocm": "gpu"}
_FIRST_DEVICE = "maximal_mesh_0"


class HostCall(NamedTuple):
    """A Python function that a program calls: what the runtime has to know to make it callable.

    Attributes:
      callback: takes one array an operand, gives a sequence of one array a result.
      operand_avals: types of the operands; a token is given as None.
      result_avals: types of the results, tokens among them.
    """

    callback: Callable[..., Any]
    operand_avals: tuple[Any, ...]
    result_avals: tuple[Any, ...]


class ShardingInspection:
    """Wants to know where a value of the program is.

    Attributes:
      callback: takes the sharding.
      ndim: number of dimensions of the value.
      mesh: in whose terms the compiler's shardings are told; set before the program is compiled.
    """

    def __init__(self, callback: Callable[[Any], None], ndim: int):
        self.callback = callback
        self.ndim = ndim
        self.mesh: Any = None
        self.handler = self.partitioned  # the module has its address, so it must be one object and stay

    def compiled_for(self, sharding: Any) -> None:
        """Hears that the program has been compiled for one device."""
        self.callback(sharding)

    def partitioned(self, tiles: Any) -> None:
        """Hears from the compiler how it has divided the value among the devices of the mesh."""
        from canter.core.sharding import sharding_of_tiles

        self.callback(tiles if self.mesh is None else sharding_of_tiles(self.mesh, tiles, self.ndim))


def emit_inspection(ctx: Any, operand: Any, inspection: ShardingInspection) -> None:
    """Emits an operation whose sharding the compiler reports, in a program over several devices."""
    from canter_pjrt.jaxlib_door import encode_inspect_sharding_callback

    config = encode_inspect_sharding_callback(inspection.handler)
    attributes = {
        "call_target_name": ctx.types.string("InspectSharding"),
        "backend_config": ir.StringAttr.get(config),
        "has_side_effect": ctx.types.boolean(True),
    }
    ctx.op("stablehlo.custom_call", (operand,), ctx.avals_in[0], attributes)


def emit_python_callback(
    ctx: Any,
    callback: Callable[..., Any],
    token: Any,
    operands: Sequence[Any],
    operand_avals: Sequence[Any],
    result_avals: Sequence[Any],
    *,
    has_side_effect: bool,
    returns_token: bool = True,
    partitioned: bool = False,
    sharding: Any = None,
) -> tuple[list[Any], Any, Any]:
    """Emits a call of a Python function.

    The module refers to the function by its place among the functions it calls, so that it is the same
    text in every process.

    Args:
      ctx: the rule's context.
      callback: takes arrays, gives a sequence of arrays.
      token: a token that orders the call, or None.
      operands, operand_avals: what it is called with.
      result_avals: types of what it gives.
      has_side_effect: whether the call must happen even if nobody needs its results, and only once.
      returns_token: whether a call with a token gives one.
      partitioned: whether each device calls it with its own part of the operands.
      sharding: "first" for a call on the first device only; None leaves it to the compiler.

    Returns:
      The values of the results, the new token or None, and what keeps the callback alive.

    Raises:
      NotImplementedError: the platform cannot call Python.
    """
    module, types = ctx.module_context, ctx.types
    where = _TARGETS.get(ctx.platform)
    if where is None:
        raise NotImplementedError(
            f"Python callbacks ({ctx.primitive}) are not supported on platform {ctx.platform}: take them out of "
            "the program, or run this part of it on the CPU."
        )
    if token is not None:
        operands, operand_avals = [token, *operands], [abstract_token, *operand_avals]
        if returns_token:
            result_avals = [abstract_token, *result_avals]
    call = HostCall(callback, tuple(operand_avals), tuple(result_avals))
    attributes = {
        "call_target_name": types.string(
            f"xla_ffi_{'partitioned_' if partitioned else ''}python_{where}_callback"
        ),
        "backend_config": types.string(""),
        "mhlo.backend_config": ir.DictAttr.get({"index": types.unsigned(len(module.host_callbacks), 64)}),
        "operand_layouts": _layouts(types, operand_avals),
        "result_layouts": _layouts(types, result_avals),
    }
    if has_side_effect:
        attributes["has_side_effect"] = types.boolean(True)
    first_only = sharding == "first" and module.manual is None
    if first_only:
        _declare_first_device(module)
        places = [f"<@{_FIRST_DEVICE}, []>"] * max(1, len(result_avals))
    elif module.manual is not None:  # inside of shard_map each device calls
        places = [f"<mesh<[]>, [{', '.join(['{}'] * _rank(aval))}]>" for aval in result_avals]
        places = places or ["<mesh<[]>, []>"]
    if first_only or module.manual is not None:
        attributes["sdy.sharding"] = types.parsed(f"#sdy.sharding_per_value<[{', '.join(places)}]>")
    module.host_callbacks.append(call)
    results = list(ctx.build("stablehlo.custom_call", operands, result_avals, attributes).results)
    if first_only and len(module.device_places or ()) > 1:
        results = [
            x if aval is abstract_token else everywhere(ctx, x, _rank(aval))
            for x, aval in zip(results, result_avals, strict=True)
        ]
    if token is not None and returns_token:
        return results[1:], results[0], call
    return results, None, call


def _rank(aval: Any) -> int:
    return 0 if aval is abstract_token else physical_aval(aval).ndim


def _layouts(types: Any, avals: Sequence[Any]) -> Any:
    """Row-major layouts of all values."""
    layouts = []
    for aval in avals:
        ndim = _rank(aval)
        order = list(range(ndim))[::-1]
        shown = "" if not ndim else str(order[0]) if ndim == 1 else str(order)
        layouts.append(types.parsed(f"dense<{shown}> : tensor<{ndim}xindex>"))
    return ir.ArrayAttr.get(layouts)


def _declare_first_device(module: Any) -> None:
    """The mesh of the first device alone, once a module."""
    if "first device" in module.functions:
        return
    module.functions["first device"] = _FIRST_DEVICE
    types = module.types
    axes = types.parsed("{axes = [], device_ids = dense<0> : tensor<1xi64>}")
    ir.Operation.create(
        "sdy.mesh",
        attributes={
            "sym_name": types.string(_FIRST_DEVICE),
            "mesh": types.parsed("#sdy.mesh<[], device_ids=[0]>"),
            "stablehlo.mesh": axes,
        },
        loc=module.locations.unknown,
        ip=ir.InsertionPoint.at_block_begin(module.module.body),
    )
