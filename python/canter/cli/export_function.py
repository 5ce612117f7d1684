"""Exports a function, with the types of its arguments, as an artifact that runs without its source.

  canter export model.py:predict --args "f32[b,784]" -o model.canter
  canter export package.module:step --args "{w: f32[784,10]}, f32[32,784]" --platforms cpu,cuda -o step.canter

The suffix of OUTPUT says what is written: .canter an Exported, which Canter and JAX load; .bc portable bytecode of
StableHLO and .mlir its text, which other compilers and examples/run_artifact.c take.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from . import artifact
from .report import CommandError, UsageError, add_json, one_line, show, size_text
from .signature import parse_arguments, parse_keywords, resolve

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "write a function of a module as an artifact"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("function", metavar="MODULE:FUNCTION", help="or FILE.py:FUNCTION")
    parser.add_argument(
        "--args", default="", metavar="TYPES", help='of its arguments: "f32[b,784], {x: i32[4]}"'
    )
    parser.add_argument("--kwargs", default="", metavar="TYPES", help='of keyword arguments: "scale: f32"')
    parser.add_argument(
        "--constraint",
        action="append",
        default=[],
        metavar="TEXT",
        help='on open dimensions, "b >= 2"; may be repeated',
    )
    parser.add_argument(
        "--platforms", metavar="NAMES", help="cpu, cuda, rocm, tpu, with commas (default: this one)"
    )
    parser.add_argument(
        "--vjp-order", type=int, default=0, metavar="N", help="how often it can be differentiated"
    )
    parser.add_argument(
        "--target-version", metavar="X.Y.Z", help="StableHLO version of a .bc that must be read"
    )
    parser.add_argument("-o", "--output", required=True, metavar="OUTPUT", help="file to write")
    add_json(parser)


_SUFFIXES = (".canter", ".bc", ".mlir")
_PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def run(options: Namespace) -> int:
    output = Path(options.output)
    _check(options, output)
    arguments = parse_arguments(options.args), parse_keywords(options.kwargs)
    function = find_function(options.function)
    args, kwargs = resolve(arguments, options.constraint)
    exported = _export(options, function, args, kwargs)
    _write(options, output, exported)
    inputs, outputs = artifact.signature(exported)
    if output.suffix != ".canter":  # a module takes only what it uses
        inputs = tuple(inputs[position] for position in exported.module_kept_var_idx)
    data = {
        "path": options.output,
        "bytes": output.stat().st_size,
        "function": exported.fun_name,
        "platforms": list(exported.platforms),
        "inputs": [{"name": one.name, "type": one.type} for one in inputs],
        "outputs": [{"name": one.name, "type": one.type} for one in outputs],
    }
    taken = ", ".join(f"{one.name}: {one.type}" for one in inputs)
    given = ", ".join(one.type for one in outputs)
    lines = [
        f"wrote {options.output}, {size_text(data['bytes'])}, for {', '.join(exported.platforms)}",
        f"{exported.fun_name}({taken}) -> {given}",
    ]
    show(options, data, lines)
    return 0


def _check(options: Namespace, output: Path) -> None:
    """Raises UsageError for what can be seen to be wrong before the user's module is imported."""
    module = output.suffix in (".bc", ".mlir")
    if output.suffix not in _SUFFIXES:
        raise UsageError(f"{output} ends in none of {', '.join(_SUFFIXES)}")
    if not output.parent.is_dir():
        raise UsageError(f"there is no folder {output.parent}")
    if options.target_version and output.suffix != ".bc":
        raise UsageError("--target-version is for portable bytecode, a file that ends in .bc")
    if options.vjp_order and output.suffix != ".canter":
        raise UsageError("--vjp-order is for a file that ends in .canter")
    unknown = [name for name in _platforms(options) or () if name not in _PLATFORMS]
    if unknown:
        raise UsageError(f"there is no platform {unknown[0]}; known are {', '.join(_PLATFORMS)}")
    if module and options.platforms and "," in options.platforms:
        raise UsageError(
            f"a module for several platforms is kept in a .canter; export one {output.suffix} for each"
        )


def _write(options: Namespace, output: Path, exported: Any) -> None:
    if output.suffix == ".canter":
        output.write_bytes(exported.serialize(vjp_order=options.vjp_order))
        return
    from canter_mlir import artifacts, portable

    module = artifacts.read_artifact(exported.mlir_module_serialized)
    if output.suffix == ".mlir":
        output.write_text(portable.module_to_text(module))
    else:
        output.write_bytes(portable.module_to_portable_artifact(module, options.target_version))


def _export(options: Namespace, function: Any, args: Any, kwargs: Any) -> Any:
    import canter as ct

    from .. import export

    jitted = function if hasattr(function, "lower") else ct.jit(function)
    try:
        return export.export(jitted, platforms=_platforms(options))(*args, **kwargs)
    except Exception as error:  # the user's function fails on these types
        where = _user_line(error)
        raise CommandError(
            f"{options.function} cannot be exported: {type(error).__name__}: {error}{where}"
        ) from error


def _platforms(options: Namespace) -> list[str] | None:
    return None if options.platforms is None else [name.strip() for name in options.platforms.split(",")]


def _user_line(error: BaseException) -> str:
    """Where in the user's code an error came from: the innermost line outside the framework and Python."""
    own = str(Path(__file__).parents[1])
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((own, "<")) and "site-packages" not in frame.filename
    ]
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""


def find_function(text: str) -> Any:
    """The function that `module:name` or `file.py:name` names.

    Raises:
      UsageError: there is no such module, function or file.
      CommandError: the module fails when it is imported.
    """
    place, colon, name = text.rpartition(":")
    if not (place and colon and name):
        raise UsageError(f"{text} is not MODULE:FUNCTION")
    module = _import(place)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{place} has no {name}{_near(part, found)}")
        found = getattr(found, part)
    if not callable(found):
        raise UsageError(f"{text} is a {type(found).__name__}, not a function")
    return found


def _near(name: str, holder: Any) -> str:
    import difflib

    near = difflib.get_close_matches(
        name, [one for one in dir(holder) if callable(getattr(holder, one, None))], n=2
    )
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _import(place: str) -> Any:
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        if not os.path.isfile(place):
            raise UsageError(f"there is no file {place}")
        path = Path(place)
        sys.path.insert(0, str(path.parent))
        name = f"_exported_{path.stem}"  # not its own: a file may be called as a module of Python's is
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    except UsageError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (place == error.name or place.startswith(error.name + ".")):
            raise UsageError(f"there is no module {place} here") from error
        raise CommandError(f"{place} cannot be imported: {one_line(str(error))}") from error
    except Exception as error:  # whatever the user's module does
        raise CommandError(f"{place} cannot be imported: {type(error).__name__}: {error}") from error
