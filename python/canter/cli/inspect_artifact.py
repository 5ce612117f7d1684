"""Shows what an artifact is: its signature, platforms, versions, size, operations, constraints and cost."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import Counter
from typing import Any

from . import artifact, program
from .report import UsageError, add_json, one_line, show, size_text, table
from .source import add_artifact, load_artifact

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "show signature, platforms, versions, operations and cost of an artifact"


def add_arguments(parser: ArgumentParser) -> None:
    add_artifact(parser)
    parser.add_argument(
        "--compile", action="store_true", help="compile it for this machine, to tell the memory too"
    )
    parser.add_argument(
        "--text", action="store_true", help="print the whole module as MLIR text and nothing else"
    )
    parser.add_argument(
        "--verify", action="store_true", help="of a bundle: run its golden inputs and compare"
    )
    add_json(parser)


def run(options: Namespace) -> int:
    loaded = load_artifact(options)
    if options.verify:
        _verify(loaded)
    if options.text:
        if loaded.module is None:
            raise UsageError(f"{options.artifact} is compiled and has no text")
        from canter_mlir import portable

        text = portable.module_to_text(loaded.module)
        show(options, {"text": text}, [text])
        return 0
    data = _describe(loaded)
    data["cost"] = _cost(loaded)
    if options.verify:
        data["verified"] = True  # or an error has said what differs
    if options.compile and loaded.module is not None:
        data["memory"] = program.memory(program.compiled(loaded))
    show(options, data, _lines(data))
    return 0


def _verify(loaded: artifact.Artifact) -> None:
    if loaded.bundle is None:
        raise UsageError(f"{loaded.path} is no bundle: it has no golden inputs to verify it by")
    loaded.bundle.verify()


def _describe(loaded: artifact.Artifact) -> dict[str, Any]:
    data: dict[str, Any] = {
        "path": loaded.path,
        "kind": loaded.kind,
        "bytes": loaded.size,
        "function": loaded.name,
        "inputs": [{"name": one.name, "type": one.type} for one in loaded.inputs],
        "outputs": [{"name": one.name, "type": one.type} for one in loaded.outputs],
        "operations": {}
        if loaded.module is None
        else dict(Counter(_operations(loaded.module)).most_common()),
    }
    if loaded.exported is not None:
        data |= _of_exported(loaded.exported)
        data["constraints"] = artifact.constraints(loaded.module)
    data |= artifact.versions(loaded)
    return data | loaded.facts


def _of_exported(exported: Any) -> dict[str, Any]:
    kept = set(exported.module_kept_var_idx)
    return {
        "platforms": list(exported.platforms),
        "devices": exported.nr_devices,
        "calling_convention": exported.calling_convention_version,
        "differentiable": exported.has_vjp(),
        "effects": [str(effect) for effect in (*exported.ordered_effects, *exported.unordered_effects)],
        "disabled_checks": [str(check) for check in exported.disabled_safety_checks],
        "unused_inputs": [index for index in range(len(exported.in_avals)) if index not in kept],
    }


def _operations(module: Any) -> list[str]:
    """Names of all operations of a module, those of inner regions included, without what only frames them."""
    frames = {"builtin.module", "func.func", "func.return", "stablehlo.return"}
    names: list[str] = []
    artifact.each_operation(module, lambda operation: names.append(operation.name))
    return [name for name in names if name not in frames]


def _cost(loaded: artifact.Artifact) -> dict[str, float] | None:
    """The compiler's estimate before it optimises; None where a dimension is open or it gives none."""
    if artifact.is_open(loaded) or loaded.module is None:
        return None
    from canter_mlir import portable
    from canter_pjrt import jaxlib_door
    from canter_pjrt.clients import client

    try:
        computation = jaxlib_door.mlir_conversions.mlir_module_to_xla_computation(
            portable.module_to_bytecode(loaded.module), use_tuple_args=False, return_tuple=False
        )
        costs = jaxlib_door.hlo_module_cost_analysis(client("cpu"), computation.get_hlo_module())
    except (jaxlib_door.JaxRuntimeError, ValueError):
        return None  # calls of another platform
    return program.costs(costs)


# Facts in the order in which they are shown.
_FACTS = (
    "platforms", "hardware", "devices", "constraints", "effects", "disabled_checks", "unused_inputs",
    "calling_convention", "stablehlo", "jaxlib", "differentiable",
)  # fmt: skip


def _lines(data: dict[str, Any]) -> list[str]:
    path = f"{data['path']} ({size_text(data['bytes'])})"
    rows = [("path", path), ("kind", data["kind"]), ("function", data["function"])]
    for side in ("inputs", "outputs", "weights"):
        for position, one in enumerate(data.get(side, ())):
            rows.append(("" if position else side, f"{one['name']}: {one['type']}"))
    rows += [
        (name.replace("_", " "), _said(data[name])) for name in _FACTS if data.get(name) not in (None, [])
    ]
    if data["operations"]:
        unknown = "depends on dimensions that are open, or is not known here"
        rows.append(("cost", program.costs_text(data["cost"]) if data["cost"] else unknown))
    if data.get("memory"):
        rows.append(("memory", program.memory_text(data["memory"])))
    if data["operations"]:
        rows.append(("operations", str(sum(data["operations"].values()))))
    lines = table([(name, one_line(text)) for name, text in rows])
    indent = " " * (max(len(name) for name, _ in rows) + 2)
    return lines + [f"{indent}{count:6d}  {name}" for name, count in data["operations"].items()]


def _said(fact: Any) -> str:
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    return ", ".join(map(str, fact)) if isinstance(fact, list) else str(fact)
