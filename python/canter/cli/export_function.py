"""Exports a function, with the types of its arguments, as an artifact that runs without its source.

  canter export model.py:predict --args "f32[b,784]" -o model.canter
  canter export package.module:step --args "{w: f32[784,10]}, f32[32,784]" --platforms cpu,cuda -o step.canter

The suffix of OUTPUT says what is written: .canter an Exported, which Canter and JAX load; .bc portable bytecode of
StableHLO and .mlir its text, which other compilers and examples/run_artifact.c take; a folder (model/) or .zip a
bundle, which has the weights beside the program, and inputs with the results they gave, by which it can be verified.

With --weights FILE.npz the function's first argument is a dictionary of those arrays, which go into the artifact; a
name such as layer/w is an entry of an inner dictionary. --args has the types of the other arguments.
"""

from __future__ import annotations

import os
import traceback
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import artifact
from .report import CommandError, UsageError, add_json, show, size_text
from .signature import parse_arguments, parse_keywords, resolve
from .source import by_position, closed_over, example_sizes, find_function, random_values, read_weights

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
    parser.add_argument(
        "--compatible-for", metavar="AGE", help="instead: how old readers may be, as 12w or 2y"
    )
    parser.add_argument(
        "--weights", metavar="FILE.npz", help="arrays of the first argument, kept in the artifact"
    )
    parser.add_argument("-o", "--output", required=True, metavar="OUTPUT", help="file or folder to write")
    add_json(parser)


_SUFFIXES = (".canter", ".bc", ".mlir", ".zip")
_PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def run(options: Namespace) -> int:
    output = Path(options.output)
    _check(options, output)
    arguments = parse_arguments(options.args), parse_keywords(options.kwargs)
    function = find_function(options.function)
    args, kwargs = resolve(arguments, options.constraint)
    weights = None if options.weights is None else read_weights(options.weights)
    if _is_bundle(options.output):
        return _bundle(options, function, args, kwargs, weights)
    exported = _export(options, function if weights is None else closed_over(function, weights), args, kwargs)
    _write(options, output, exported)
    inputs, outputs = artifact.signature(exported)
    if output.suffix != ".canter":  # a module takes only what it uses
        inputs = tuple(inputs[position] for position in exported.module_kept_var_idx)
    _show(options, exported.fun_name, list(exported.platforms), inputs, outputs, output.stat().st_size)
    return 0


def _show(
    options: Namespace,
    name: str,
    platforms: list[str],
    inputs: Sequence[artifact.Tensor],
    outputs: Sequence[artifact.Tensor],
    size: int,
) -> None:
    data = {
        "path": options.output,
        "bytes": size,
        "function": name,
        "platforms": platforms,
        "inputs": [{"name": one.name, "type": one.type} for one in inputs],
        "outputs": [{"name": one.name, "type": one.type} for one in outputs],
    }
    taken = ", ".join(f"{one.name}: {one.type}" for one in inputs)
    given = ", ".join(one.type for one in outputs)
    written = f"wrote {options.output}, {size_text(size)}, for {', '.join(platforms)}"
    show(options, data, [written, f"{name}({taken}) -> {given}"])


def _check(options: Namespace, output: Path) -> None:
    """Raises UsageError for what can be seen to be wrong before the user's module is imported."""
    module = output.suffix in (".bc", ".mlir")
    bundle = _is_bundle(options.output)
    if output.suffix not in _SUFFIXES and not bundle:
        raise UsageError(f"{output} ends in none of {', '.join(_SUFFIXES)}, nor in / for a folder")
    if not output.parent.is_dir():
        raise UsageError(f"there is no folder {output.parent}")
    portable = options.target_version or options.compatible_for
    if portable and not (output.suffix == ".bc" or bundle):
        raise UsageError("--target-version and --compatible-for are for a .bc or a bundle")
    if bundle and options.platforms:
        raise UsageError("a bundle is for this platform; leave out --platforms")
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
    from .. import export

    if output.suffix == ".mlir":
        output.write_text(export.to_text(exported))
    else:
        age = options.compatible_for
        output.write_bytes(export.to_portable(exported, options.target_version, compatible_for=age))


def _is_bundle(output: str) -> bool:
    return output.endswith(("/", ".zip")) or os.path.isdir(output)


def _bundle(options: Namespace, function: Any, args: Any, kwargs: dict[str, Any], weights: Any) -> int:
    """Writes a bundle; its golden inputs are random numbers, the same each time."""
    from .. import export

    version, age = options.target_version, options.compatible_for
    specs = [*args, *kwargs.values()]
    try:
        sizes = example_sizes(specs)
        export.save_bundle(
            options.output,
            by_position(function, list(kwargs)) if kwargs else function,
            *(random_values(value, seed, sizes) for seed, value in enumerate(specs)),
            weights=weights,
            input_names=[*map(str, range(len(args))), *kwargs],
            specs=specs,
            constraints=options.constraint,
            target_version=version,
            compatible_for=age,
        )
    except CommandError:
        raise
    except Exception as error:  # the user's function fails on these types
        raise _failed(options, error) from error
    loaded = artifact.load(options.output)
    _show(options, loaded.name, loaded.facts["platforms"], loaded.inputs, loaded.outputs, loaded.size)
    return 0


def _export(options: Namespace, function: Any, args: Any, kwargs: Any) -> Any:
    import canter as ct

    from .. import export

    jitted = function if hasattr(function, "lower") else ct.jit(function)
    try:
        return export.export(jitted, platforms=_platforms(options))(*args, **kwargs)
    except Exception as error:  # the user's function fails on these types
        raise _failed(options, error) from error


def _failed(options: Namespace, error: Exception) -> CommandError:
    where = _user_line(error)
    return CommandError(f"{options.function} cannot be exported: {type(error).__name__}: {error}{where}")


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
