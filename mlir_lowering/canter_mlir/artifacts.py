"""Portable artifacts inside other modules: reading one, fixing its platform, and merging it into a module."""

from __future__ import annotations

from typing import Any

import numpy as np

from .mlir_door import ir, new_context, stablehlo_attributes
from .portable import module_to_bytecode

__all__ = ["for_platform", "merge", "read_artifact", "targets_of_custom_calls"]

_create = ir.Operation.create


def read_artifact(data: bytes, context: Any = None) -> Any:
    """The module in a portable artifact, in an MLIR context of its own or in a given one.

    Raises:
      ValueError: the bytes are not an artifact that this version reads.
    """
    context = context or new_context()
    said: list[str] = []

    def listen(diagnostic: Any) -> bool:
        try:
            said.append(diagnostic.message)
        except RuntimeError:  # damaged bytes were quoted, which are no text
            pass
        return True  # not printed as well

    handler = context.attach_diagnostic_handler(listen)
    try:
        return stablehlo_attributes.deserialize_portable_artifact(context, data)
    except (ir.MLIRError, ValueError) as error:
        reason = "; ".join(said) or str(error)
        raise ValueError(
            f"This is not a portable artifact of StableHLO, or a damaged one: {reason}"
        ) from None
    finally:
        handler.detach()


def targets_of_custom_calls(module: Any) -> dict[str, str]:
    """Each target that a module calls, with the first operation that does."""
    found: dict[str, str] = {}

    def look(operation: Any) -> Any:
        if operation.name == "stablehlo.custom_call":
            target = ir.StringAttr(operation.attributes["call_target_name"]).value
            if target not in found:
                found[target] = operation.get_asm(large_elements_limit=8)
        return ir.WalkResult.ADVANCE

    module.operation.walk(look)
    return found


def for_platform(data: bytes, platform_index: int) -> bytes:
    """The artifact for one of its platforms: bytecode of a module without the argument that chooses.

    Args:
      data: a portable artifact whose `main` takes the index of the platform before all else.
      platform_index: the index.

    Raises:
      ValueError: the module cannot be simplified.
    """
    from canter_pjrt.jaxlib_door import JaxRuntimeError, mlir_conversions

    module = read_artifact(data)
    with module.context, ir.Location.unknown():
        main = ir.SymbolTable(module.operation)["main"].operation
        types = _function_type(main)
        inputs, results = list(types.inputs)[1:], list(types.results)
        old = main.attributes
        given = {name: list(old[name]) for name in ("arg_attrs", "res_attrs") if name in old}
        _rename(module, main, "main", _free_name(module, "main_for_all_platforms"))
        old["sym_visibility"] = ir.StringAttr.get("private")
        attributes = {
            "sym_name": ir.StringAttr.get("main"),
            "sym_visibility": ir.StringAttr.get("public"),
            "function_type": ir.TypeAttr.get(ir.FunctionType.get(inputs, results)),
        }
        if "arg_attrs" in given:
            attributes["arg_attrs"] = ir.ArrayAttr.get(given["arg_attrs"][1:])
        if "res_attrs" in given:
            attributes["res_attrs"] = ir.ArrayAttr.get(given["res_attrs"])
        function = _create("func.func", attributes=attributes, regions=1, ip=ir.InsertionPoint(module.body))
        block = function.regions[0].blocks.append(*inputs)
        with ir.InsertionPoint(block):
            index = _create(
                "stablehlo.constant",
                [types.inputs[0]],
                attributes={"value": ir.DenseElementsAttr.get(np.array(platform_index, np.int32))},
            )
            callee = {"callee": ir.FlatSymbolRefAttr.get(ir.StringAttr(old["sym_name"]).value)}
            call = _create("func.call", results, [index.result, *block.arguments], callee)
            _create("func.return", [], list(call.results))
    try:
        return bytes(
            mlir_conversions.refine_polymorphic_shapes(
                module_to_bytecode(module),
                enable_shape_assertions=True,
                validate_static_shapes=True,
                enable_shardy=True,
            )
        )
    except (JaxRuntimeError, ValueError) as error:
        raise ValueError(
            f"The program for several platforms cannot be made one for one of them: {error}"
        ) from None


def merge(builder: Any, module: Any, name: str) -> str:
    """Moves the functions and meshes of a module into the one under construction.

    Args:
      builder: the `ModuleContext` of the latter.
      module: a module in the same MLIR context; what is left of it is of no use.
      name: what its `main` is to be called.

    Returns:
      The symbol of what was `main`, now a private function.
    """
    operations = _symbols(module)
    taken = {ir.StringAttr(operation.attributes["sym_name"]).value for operation in operations}
    meshes = {
        mesh.attributes["mesh"]: ir.StringAttr(mesh.attributes["sym_name"]).value
        for mesh in _symbols(builder.module)
        if mesh.name == "sdy.mesh"
    }
    known = [o for o in operations if o.name == "sdy.mesh" and o.attributes["mesh"] in meshes]
    moved = [operation for operation in operations if operation not in known]
    main = ""
    for operation in moved:
        attributes = operation.attributes
        symbol = ir.StringAttr(attributes["sym_name"]).value
        wanted = name if symbol == "main" else symbol
        free = builder.unique_symbol(wanted)
        while free != symbol and free in taken:
            free = builder.unique_symbol(wanted)
        if free != symbol:
            _rename(module, operation, symbol, free)
        if symbol == "main":
            main = free
            attributes["sym_visibility"] = ir.StringAttr.get("private")
            # They say what a whole program does with its arguments; this one is a part of another.
            for whole in ("arg_attrs", "res_attrs"):
                if whole in attributes:
                    del attributes[whole]
    for mesh in known:
        symbol, same = ir.StringAttr(mesh.attributes["sym_name"]).value, meshes[mesh.attributes["mesh"]]
        if same != symbol:
            ir.SymbolTable.replace_all_symbol_uses(symbol, same, module.operation)
        mesh.erase()
    # Only now: a new name reaches the uses in what is still in the module.
    present = _symbols(builder.module)
    for operation in moved:
        if operation.name == "sdy.mesh":
            operation.move_before(present[0])
        else:
            operation.move_after(present[-1])
            present.append(operation)
    return main


def _symbols(module: Any) -> list[Any]:
    """The functions and meshes of a module. To iterate over them would load Python classes of the dialects."""
    found: list[Any] = []

    def look(operation: Any) -> Any:
        if operation.name == "builtin.module":
            return ir.WalkResult.ADVANCE
        found.append(operation)
        return ir.WalkResult.SKIP

    module.operation.walk(look, ir.WalkOrder.PRE_ORDER)
    return found


def _rename(module: Any, operation: Any, old: str, new: str) -> None:
    ir.SymbolTable.replace_all_symbol_uses(old, new, module.operation)
    ir.SymbolTable.set_symbol_name(operation, new)


def _free_name(module: Any, name: str) -> str:
    taken = {ir.StringAttr(operation.attributes["sym_name"]).value for operation in _symbols(module)}
    while name in taken:
        name += "_"
    return name


def _function_type(function: Any) -> Any:
    return ir.FunctionType(ir.TypeAttr(function.attributes["function_type"]).value)
