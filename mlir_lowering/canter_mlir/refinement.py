"""Filling in the shapes of a module that was lowered for symbolic ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .mlir_door import ir
from .portable import module_to_bytecode, parse_module

__all__ = ["converted", "refined", "specialized"]


def converted(values: Sequence[Any], types: Sequence[Any], location: Any) -> list[Any]:
    """Values under types in which other dimensions are known."""
    create = ir.Operation.create
    return [
        x if x.type == kind else create("stablehlo.convert", (kind,), (x,), loc=location).result
        for x, kind in zip(values, types, strict=True)
    ]


def refined(module: Any, *, assertions: bool = True) -> Any:
    """A module of known shapes, from one whose `main` has known shapes and calls functions that have not.

    Args:
      module: an MLIR module, or its bytecode.
      assertions: whether assertions on shapes are checked; else they are dropped.

    Returns:
      The new module, in an MLIR context of its own.

    Raises:
      ValueError: an assertion on shapes fails, with its message; or shapes cannot be filled in.
    """
    from canter_pjrt.jaxlib_door import JaxRuntimeError, mlir_conversions

    source = module if isinstance(module, bytes) else module_to_bytecode(module)
    try:
        result = mlir_conversions.refine_polymorphic_shapes(
            source, enable_shape_assertions=assertions, validate_static_shapes=True, enable_shardy=True
        )
    except (JaxRuntimeError, ValueError) as error:
        raise ValueError(_readable(str(error))) from None
    return parse_module(result)


def _readable(text: str) -> str:
    """The message of a failed assertion without what the compiler puts around it."""
    start = text.find("Input shapes do not match")
    if start < 0:
        return f"The shapes of the program could not be filled in: {text}"
    lines = text[start:].splitlines()
    return lines[0].removesuffix(".") + "."


def specialized(module: Any, avals: Sequence[Any], *, assertions: bool = True) -> Any:
    """The module for arguments of known shapes: `refined`, after a `main` of these shapes was put before the given one.

    Args:
      module: an MLIR module whose `main` takes arrays of symbolic shapes. It is left as it is.
      avals: types of the arguments of `main`.
      assertions: as for `refined`.

    Raises:
      ValueError: as `refined` does.
    """
    from .types import TypeTable

    copy = parse_module(module_to_bytecode(module))
    with copy.context, ir.Location.unknown():
        types = TypeTable()
        main = ir.SymbolTable(copy.operation)["main"]
        # The new main returns what the old one does, under types that the refinement fills in as well.
        kind = ir.FunctionType(ir.TypeAttr(main.attributes["function_type"]).value)
        inner = "main_of_symbolic_shapes"
        for function in copy.body.operations:
            _rename_calls(function, "main", inner)
        main.attributes["sym_name"] = ir.StringAttr.get(inner)
        main.attributes["sym_visibility"] = ir.StringAttr.get("private")
        in_types = [types.of(aval) for aval in avals]
        attributes = {
            "sym_name": ir.StringAttr.get("main"),
            "function_type": ir.TypeAttr.get(ir.FunctionType.get(in_types, kind.results)),
            "sym_visibility": ir.StringAttr.get("public"),
        }
        with ir.InsertionPoint(copy.body):
            function = ir.Operation.create("func.func", attributes=attributes, regions=1)
        block = function.regions[0].blocks.append(*in_types)
        with ir.InsertionPoint(block):
            operands = converted(list(block.arguments), list(kind.inputs), None)
            callee = {"callee": ir.FlatSymbolRefAttr.get(inner)}
            call = ir.Operation.create("func.call", list(kind.results), operands, callee)
            ir.Operation.create("func.return", [], list(call.results))
    return refined(copy, assertions=assertions)


def _rename_calls(operation: Any, old: str, new: str) -> None:
    for region in operation.regions:
        for block in region:
            for inner in block:
                callee = inner.attributes.get("callee") if "callee" in inner.attributes else None
                if callee is not None and ir.FlatSymbolRefAttr(callee).value == old:
                    inner.attributes["callee"] = ir.FlatSymbolRefAttr.get(new)
                _rename_calls(inner, old, new)
