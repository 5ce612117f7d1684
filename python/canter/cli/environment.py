"""Lists the environment variables that Canter reads: their values, defaults and meanings.

A flag of the same name, without the prefix and in lower case, is set in a program by canter.config.update.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from typing import Any

from .report import UsageError, add_json, show

__all__ = ["OTHERS", "PREFIX", "SUMMARY", "add_arguments", "run"]

SUMMARY = "list the environment variables: value, default, meaning"
PREFIX = "CANTER_"
# Variables of those that Canter stands on.
OTHERS = {
    "XLA_FLAGS": "Options of the compiler, such as --xla_dump_to=FOLDER; --xla_force_host_platform_device_count=N "
    "gives N virtual CPU devices.",
    "XDG_CACHE_HOME": "Folder under which the compilation cache is kept, unless CANTER_COMPILATION_CACHE_DIR says.",
    "TF_CPP_MIN_LOG_LEVEL": "What XLA logs: 0 everything, 1 warnings, 2 errors, 3 only what is fatal.",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "Whether a GPU's memory is reserved at the start.",
    "XLA_PYTHON_CLIENT_MEM_FRACTION": "Which part of a GPU's memory is reserved.",
    "XLA_PYTHON_CLIENT_ALLOCATOR": "How memory of a GPU is managed: default, platform, bfc, cuda_async or vmm.",
    "CUDA_VISIBLE_DEVICES": "The NVIDIA GPUs that processes see.",
    "ROCR_VISIBLE_DEVICES": "The AMD GPUs that processes see.",
    "LD_LIBRARY_PATH": "Where shared libraries are looked for first, those of CUDA among them.",
    "TPU_LIBRARY_PATH": "The TPU's plugin, in place of that of the package libtpu.",
    "PJRT_NAMES_AND_LIBRARY_PATHS": "Further plugins: name:path, with commas between them.",
}


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these, in any spelling (default: all)")
    parser.add_argument("--set", action="store_true", help="only those that the environment sets")
    parser.add_argument("--names", dest="only_names", action="store_true", help="print names only")
    add_json(parser)


def run(options: Namespace) -> int:
    listed = _select(_variables(), options)
    if options.only_names:
        show(options, [one["name"] for one in listed], [one["name"] for one in listed])
        return 0
    lines = []
    for one in listed:
        origin = "environment" if one["set"] else "default"
        default = "" if one["default"] is None else f"; default {one['default']}"
        value = "not set" if one["value"] is None else one["value"]
        lines += [
            f"{one['name']} = {value}  ({origin}{default if one['set'] else ''})",
            f"    {one['meaning']}",
        ]
    show(options, listed, lines)
    return 0


def _variables() -> list[dict[str, Any]]:
    from ..core import config

    flags = [
        {
            "name": PREFIX + name.upper(),
            "value": flag.value,
            "default": flag.default,
            "set": PREFIX + name.upper() in os.environ,
            "meaning": flag.help,
        }
        for name, flag in config.flags.items()
    ]
    others = [
        {
            "name": name,
            "value": os.environ.get(name),
            "default": None,
            "set": name in os.environ,
            "meaning": meaning,
        }
        for name, meaning in OTHERS.items()
    ]
    return flags + others


def _select(variables: list[dict[str, Any]], options: Namespace) -> list[dict[str, Any]]:
    known = {one["name"]: one for one in variables}
    wanted = list(known)
    if options.names:
        wanted = [_spelled(name, known) for name in options.names]
    return [known[name] for name in wanted if known[name]["set"] or not options.set]


def _spelled(name: str, known: dict[str, Any]) -> str:
    """The variable that a user means by its name, by a flag's, or by JAX's name of the flag."""
    upper = name.upper()
    for candidate in (upper, PREFIX + upper, PREFIX + upper.removeprefix("JAX_")):
        if candidate in known:
            return candidate
    import difflib

    near = difflib.get_close_matches(upper, known, n=2)
    proposal = f"; did you mean {' or '.join(near)}?" if near else "; `canter env` lists all"
    raise UsageError(f"there is no variable {name}{proposal}")
