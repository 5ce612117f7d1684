"""Modules as text, as bytecode, and as portable artifacts that later and earlier versions read."""

from __future__ import annotations

import io
from typing import Any

from .mlir_door import ir, load_all_dialects, new_context, passmanager, stablehlo_attributes

__all__ = [
    "current_version",
    "minimum_version",
    "module_from_hlo",
    "module_to_bytecode",
    "module_to_portable_artifact",
    "module_to_text",
    "parse_module",
    "version_for_age",
    "with_propagated_shardings",
    "without_chlo",
]


def module_to_text(module: Any, *, debug_info: bool = False, large_elements_limit: int | None = None) -> str:
    """The MLIR text of a module.

    Args:
      debug_info: print locations: names of scopes, and the user's lines.
      large_elements_limit: leave out the elements of constants that have more than these.

    Example:
      >>> from canter_mlir import portable
      >>> module = portable.parse_module("module @empty {}")
      >>> print(portable.module_to_text(module))
      module @empty {
      }
      <BLANKLINE>
    """
    return str(
        module.operation.get_asm(enable_debug_info=debug_info, large_elements_limit=large_elements_limit)
    )


def module_to_bytecode(module: Any) -> bytes:
    """The MLIR bytecode of a module, which this version of jaxlib reads back quickly."""
    buffer = io.BytesIO()
    module.operation.write_bytecode(buffer)
    return buffer.getvalue()


def parse_module(source: str | bytes) -> Any:
    """A module from MLIR text or bytecode, in an MLIR context of its own.

    Raises:
      ValueError: the source is not a legal module.
    """
    with new_context() as context:
        try:
            return ir.Module.parse(source)
        except ir.MLIRError:
            pass
        load_all_dialects(context)  # other frameworks leave a little of arith, tensor or shape behind
        try:
            return ir.Module.parse(source)
        except ir.MLIRError as error:
            raise ValueError(f"This is not a module of StableHLO: {error}") from error


def module_from_hlo(source: str | bytes) -> Any:
    """The module of an HLO program: its text, or an `HloModuleProto`.

    Raises:
      ValueError: it is no HLO, or has no form in StableHLO.
    """
    from canter_pjrt.jaxlib_door import JaxRuntimeError, hlo_module_from_text, mlir_conversions

    try:
        if isinstance(source, str):
            source = hlo_module_from_text(source).as_serialized_hlo_module_proto()
        return parse_module(bytes(mlir_conversions.hlo_to_stablehlo(source)))
    except (JaxRuntimeError, RuntimeError) as error:
        raise ValueError(f"This is not a module of HLO: {error}") from error


def current_version() -> str:
    """The StableHLO version that this jaxlib writes."""
    return str(stablehlo_attributes.get_current_version())


def minimum_version() -> str:
    """The oldest StableHLO version that this jaxlib can write for."""
    return str(stablehlo_attributes.get_minimum_version())


def version_for_age(weeks: int) -> str:
    """The newest StableHLO version that compilers of that age read.

    Args:
      weeks: 0, 4 or 12: how old a compiler may be.

    Raises:
      ValueError: StableHLO makes no promise for that age.

    Example:
      >>> from canter_mlir import portable
      >>> portable.version_for_age(0) == portable.current_version()
      True
    """
    ages = stablehlo_attributes.StablehloCompatibilityRequirement
    known = {0: ages.NONE, 4: ages.WEEK_4, 12: ages.WEEK_12}
    if weeks not in known:
        raise ValueError(f"StableHLO promises compatibility with compilers of 0, 4 or 12 weeks, not {weeks}.")
    return str(stablehlo_attributes.get_version_from_compatibility_requirement(known[weeks]))


def module_to_portable_artifact(module: Any, version: str | None = None, *, mixed: bool = True) -> bytes:
    """A module as a portable artifact: bytes that StableHLO promises to read for years.

    The module is left as it is.

    Args:
      version: the StableHLO version that must be able to read it; None is the newest that
        compilers twelve weeks old read.
      mixed: keep operations of other dialects (sdy, chlo) as they are; they have no such promise.

    Raises:
      ValueError: the module uses what that version does not have.

    Example:
      >>> from canter_mlir import portable
      >>> module = portable.parse_module("module @empty {}")
      >>> portable.module_to_portable_artifact(module)[:2]
      b'ML'
    """
    from canter_pjrt.jaxlib_door import JaxRuntimeError, mlir_conversions

    target = version_for_age(12) if version is None else version
    try:
        return bytes(
            mlir_conversions.serialize_portable_artifact(
                module_to_bytecode(module), target, use_mixed_serialization=mixed
            )
        )
    except (JaxRuntimeError, ValueError) as error:
        raise ValueError(f"The module cannot be written for StableHLO {target}: {error}") from error


def without_chlo(module: Any) -> Any:
    """A copy of a module in which what chlo has is said in StableHLO.

    Example:
      >>> from canter_mlir import portable
      >>> module = portable.parse_module("module @empty {}")
      >>> print(portable.without_chlo(module))
      module @empty {
      }
      <BLANKLINE>
    """
    stablehlo_attributes.register_stablehlo_passes()
    return _after_passes(module, "func.func(chlo-legalize-to-stablehlo)")


def with_propagated_shardings(module: Any) -> Any:
    """A copy of a module in which every value has the sharding that Shardy derives for it.

    Example:
      >>> from canter_mlir import portable
      >>> module = portable.parse_module("module @empty {}")
      >>> print(portable.with_propagated_shardings(module))
      module @empty {
      }
      <BLANKLINE>
    """
    if not any(operation.operation.name == "sdy.mesh" for operation in module.body.operations):
        return module  # nothing to propagate
    return _after_passes(module, "sdy-propagation-pipeline")


def _after_passes(module: Any, passes: str) -> Any:
    """A copy of a module on which passes of MLIR have run."""
    copy = parse_module(module_to_bytecode(module))
    with copy.context:
        passmanager.PassManager.parse(f"builtin.module({passes})").run(copy.operation)
    return copy
