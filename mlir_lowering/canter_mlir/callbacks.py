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
      sharding: the device that calls, as a sharding on it alone, or "first" for the first of the program;
        None leaves it to the compiler.

    Returns:
      The values of the results, the new token or None, and what keeps the callback alive.

    Raises:
      NotImplementedError: the platform cannot call Python.
      ValueError: the program does not run on the device that is to call.
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
    one_calls = sharding is not None and module.manual is None
    if one_calls:
        places = [f"<@{_device_symbol(module, sharding)}, []>"] * max(1, len(result_avals))
    elif module.manual is not None:  # inside of shard_map each device calls
        places = [f"<mesh<[]>, [{', '.join(['{}'] * _rank(aval))}]>" for aval in result_avals]
        places = places or ["<mesh<[]>, []>"]
    if one_calls or module.manual is not None:
        attributes["sdy.sharding"] = types.parsed(f"#sdy.sharding_per_value<[{', '.join(places)}]>")
    module.host_callbacks.append(call)
    results = list(ctx.build("stablehlo.custom_call", operands, result_avals, attributes).results)
    if one_calls and len(module.device_places or ()) > 1:
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


def _device_symbol(module: Any, sharding: Any) -> str:
    """The name of the mesh of one device alone, which the module declares once."""
    place = 0
    if sharding != "first" and len(module.device_places or ()) > 1:
        (device,) = sharding.device_set
        if device.id not in module.device_places:
            raise ValueError(
                f"A callback is to be called by {device} (sharding={sharding}), but the program runs on the devices "
                f"{sorted(module.device_places)}."
            )
        place = module.device_places[device.id]
    symbol = f"maximal_mesh_{place}"
    if ("one device", place) not in module.functions:
        module.functions["one device", place] = symbol
        types = module.types
        ir.Operation.create(
            "sdy.mesh",
            attributes={
                "sym_name": types.string(symbol),
                "mesh": types.parsed(f"#sdy.mesh<[], device_ids=[{place}]>"),
                "stablehlo.mesh": types.parsed(f"{{axes = [], device_ids = dense<{place}> : tensor<1xi64>}}"),
            },
            loc=module.locations.unknown,
            ip=ir.InsertionPoint.at_block_begin(module.module.body),
        )
    return symbol
