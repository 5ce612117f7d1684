"""Compiles an artifact for hardware, which need not be in this machine, and says what it takes there.

  canter compile model.canter --for tpu:v5e:2x2 -o model.tpu
  canter compile model.canter --for cuda:h100:8
  canter compile model.canter --for cpu -o model.compiled

The hardware is a TPU slice, a number of GPUs, "cpu" for this machine's processor, or the file of a GpuTargetConfig. Its
plugin must be installed; the file is run by `canter run` or canter.export.load_compiled on such a machine.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from typing import Any

from . import program
from .report import UsageError, add_json, show, size_text
from .source import add_artifact, load_artifact

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "compile an artifact for hardware that may be elsewhere"


def add_arguments(parser: ArgumentParser) -> None:
    add_artifact(parser)
    parser.add_argument(
        "--for", dest="target", required=True, metavar="HARDWARE", help="tpu:v5e:2x2, cuda:h100:8, cpu"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="where to write the compiled program")
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="of the compiler; may be repeated"
    )
    add_json(parser)


def run(options: Namespace) -> int:
    compiler_options = dict(map(_option, options.option))
    if options.output and not os.path.isdir(os.path.dirname(options.output) or "."):
        raise UsageError(f"there is no folder {os.path.dirname(options.output)}")
    loaded = load_artifact(options)
    if loaded.kind == "compiled":
        raise UsageError(
            f"{options.artifact} is compiled already; compile the artifact that it was made from"
        )
    from .. import export

    compiled = program.compiled(loaded, _topology(options.target), compiler_options)
    if options.output:
        export.save_compiled(compiled, options.output)
    data = _describe(compiled, options)
    show(options, data, _lines(data))
    return 0


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UsageError(f"--option {text} is not NAME=VALUE")
    for parse in (int, float):
        try:
            return name, parse(value)
        except ValueError:
            continue
    return name, {"true": True, "false": False}.get(value.lower(), value)


def _topology(target: str) -> Any:
    from ..experimental import topologies

    if target == "cpu":
        return topologies.get_attached_topology("cpu")
    return topologies.get_topology_desc(target)


def _describe(compiled: Any, options: Namespace) -> dict[str, Any]:
    try:
        cost = program.costs(compiled.cost_analysis())
    except NotImplementedError:
        cost = None
    return {
        "artifact": options.artifact,
        "for": options.target,
        "path": options.output,
        "bytes": os.path.getsize(options.output) if options.output else None,
        "memory": program.memory(compiled),
        "cost": cost,
    }


def _lines(data: dict[str, Any]) -> list[str]:
    where = f", wrote {data['path']}, {size_text(data['bytes'])}" if data["path"] else ""
    lines = [f"compiled {data['artifact']} for {data['for']}{where}"]
    if data["memory"]:
        lines.append("memory  " + program.memory_text(data["memory"]))
    if data["cost"]:
        lines.append("cost    " + program.costs_text(data["cost"]))
    return lines
