"""Shows what an artifact is: its signature, platforms, versions, size, operations, constraints and cost."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import Counter
from typing import Any

from . import artifact
from .report import add_json, one_line, show, size_text, table

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "show signature, platforms, versions, operations and cost of an artifact"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("artifact", metavar="ARTIFACT")
    parser.add_argument(
        "--compile", action="store_true", help="compile it for this machine, to tell the memory too"
    )
    parser.add_argument(
        "--text", action="store_true", help="print the whole module as MLIR text and nothing else"
    )
    add_json(parser)


def run(options: Namespace) -> int:
    loaded = artifact.load(options.artifact)
    if options.text:
        from canter_mlir import portable

        print(portable.module_to_text(loaded.module))
        return 0
    data = _describe(loaded)
    data["cost"] = _cost(loaded)
    if options.compile:
        data["memory"] = _memory(loaded)
    show(options, data, _lines(data))
    return 0


def _describe(loaded: artifact.Artifact) -> dict[str, Any]:
    data: dict[str, Any] = {
        "path": loaded.path,
        "kind": loaded.kind,
        "bytes": loaded.size,
        "function": loaded.name,
        "inputs": [{"name": one.name, "type": one.type} for one in loaded.inputs],
        "outputs": [{"name": one.name, "type": one.type} for one in loaded.outputs],
        "operations": dict(Counter(_operations(loaded.module)).most_common()),
    }
    if loaded.exported is not None:
        data |= _of_exported(loaded.exported)
        data["constraints"] = artifact.constraints(loaded.module)
    data |= artifact.versions(loaded)
    return data


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
    if artifact.is_open(loaded):
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
    names = {"flops": "flops", "bytes accessed": "bytes_accessed", "transcendentals": "transcendentals"}
    return {short: costs[name] for name, short in names.items() if name in costs}


def _memory(loaded: artifact.Artifact) -> dict[str, int] | None:
    from canter_pjrt import compile

    stats = compile.memory_analysis(artifact.compiled(loaded))
    kinds = ("argument", "output", "temp", "generated_code")
    return {kind: int(getattr(stats, f"{kind}_size_in_bytes")) for kind in kinds}


def _lines(data: dict[str, Any]) -> list[str]:
    rows = [
        ("path", f"{data['path']} ({size_text(data['bytes'])})"),
        ("kind", data["kind"]),
        ("function", data["function"]),
    ]
    for which in ("inputs", "outputs"):
        for position, one in enumerate(data[which]):
            rows.append((which if position == 0 else "", f"{one['name']}: {one['type']}"))
    for name in ("platforms", "devices", "constraints", "effects", "disabled_checks", "unused_inputs"):
        value = data.get(name)
        if value not in (None, []):
            rows.append(
                (
                    name.replace("_", " "),
                    ", ".join(map(str, value)) if isinstance(value, list) else str(value),
                )
            )
    for name in ("calling_convention", "stablehlo", "differentiable"):
        if data.get(name) is not None:
            value = (
                {True: "yes", False: "no"}.get(data[name], data[name])
                if isinstance(data[name], bool)
                else data[name]
            )
            rows.append((name.replace("_", " "), str(value)))
    if data["cost"]:
        rows.append(
            (
                "cost",
                ", ".join(f"{value:,.0f} {name.replace('_', ' ')}" for name, value in data["cost"].items()),
            )
        )
    else:
        rows.append(("cost", "depends on dimensions that are open, or is not known here"))
    if data.get("memory"):
        rows.append(
            ("memory", ", ".join(f"{size_text(size)} {kind}" for kind, size in data["memory"].items()))
        )
    total = sum(data["operations"].values())
    rows.append(("operations", f"{total}"))
    lines = table([(name, one_line(text)) for name, text in rows])
    width = max(len(name) for name, _ in rows)
    return lines + [" " * (width + 2) + f"{count:6d}  {name}" for name, count in data["operations"].items()]
