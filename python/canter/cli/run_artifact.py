"""Runs an artifact on arrays from files and writes or prints its results.

  canter run model.canter --input x.npy -o y.npy
  canter run step.canter --input 0=images.npy --input scale=0.5 --input key=0 -o results.npz

An input without a name goes to the first that has none yet; `canter inspect` lists the names. Values are files of
numpy.save, the arrays of an .npz by their names, or numbers; a random key is given by its seed.
"""

from __future__ import annotations

import ast
import os
from argparse import ArgumentParser, Namespace
from typing import Any

from . import artifact, program
from .report import CommandError, UsageError, add_json, one_line, show
from .signature import dtype_name
from .source import add_artifact, load_artifact

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "run an artifact on arrays from files"


def add_arguments(parser: ArgumentParser) -> None:
    add_artifact(parser)
    parser.add_argument(
        "-i",
        "--input",
        action="append",
        default=[],
        metavar="[NAME=]VALUE",
        help="an .npy or .npz file, or a number; may be repeated",
    )
    parser.add_argument(
        "-o",
        "--output",
        action="append",
        default=[],
        metavar="FILE",
        help="an .npy for each result, in order, or one .npz for all (default: print them)",
    )
    parser.add_argument(
        "--cast", action="store_true", help="convert inputs to the dtypes that the program takes"
    )
    add_json(parser)


def run(options: Namespace) -> int:
    _check_outputs(options.output)
    loaded = load_artifact(options)
    given = _assign(loaded, options.input)
    values = [_fit(one, given[one.name], options.cast) for one in loaded.inputs]
    results = _host(program.call(loaded, values))
    _write(loaded, results, options.output)
    listed = [_summary(one, value) for one, value in zip(loaded.outputs, results, strict=True)]
    lines = [f"{one['name']}: {one['type']} {_text(value)}" for one, value in zip(listed, results)]
    show(
        options,
        {"results": listed, "written": options.output},
        lines if not options.output else options.output,
    )
    return 0


# --- inputs --------------------------------------------------------------------------------------


def _assign(loaded: artifact.Artifact, inputs: list[str]) -> dict[str, Any]:
    """A value for each of the program's inputs, by name."""
    names = [one.name for one in loaded.inputs]
    given: dict[str, Any] = {}
    unnamed = []
    for text in inputs:
        name, equals, value = _split(text, names)
        if equals:
            given[name] = _read(value)
        elif text.endswith(".npz"):
            given |= _read_all(text, names)
        else:
            unnamed.append(text)
    free = [name for name in names if name not in given]
    if len(unnamed) > len(free):
        raise UsageError(f"{unnamed[len(free)]} is one input too many: the program takes {_listed(loaded)}")
    given |= {name: _read(text) for name, text in zip(free, unnamed)}
    missing = [name for name in names if name not in given]
    if missing:
        raise UsageError(f"no --input for {', '.join(missing)}: the program takes {_listed(loaded)}")
    return given


def _split(text: str, names: list[str]) -> tuple[str, str, str]:
    """`name=value`; a text whose beginning is no name of an input is a value, for file names may have a = too."""
    for name in names:
        if text.startswith(name + "="):
            return name, "=", text[len(name) + 1 :]
    if "=" in text and not os.path.exists(text):
        name = text.partition("=")[0]
        raise UsageError(f"the program has no input {name}; its inputs are {', '.join(names) or 'none'}")
    return "", "", text


def _listed(loaded: artifact.Artifact) -> str:
    return ", ".join(f"{one.name}: {one.type}" for one in loaded.inputs) or "no inputs"


def _read(text: str) -> Any:
    import numpy as np

    if text.endswith(".npz"):
        raise UsageError(f"{text} holds several arrays; give it without a name")
    if not os.path.exists(text):
        try:
            return ast.literal_eval(text)  # a number, or a list of numbers
        except (ValueError, SyntaxError):
            pass
    try:
        return np.load(text, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise CommandError(f"{text} is not a file of numpy.save: {one_line(str(error))}") from error


def _read_all(path: str, names: list[str]) -> dict[str, Any]:
    import zipfile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            unknown = [name for name in file.files if name not in names]
            if unknown:
                raise UsageError(f"{path} has {', '.join(unknown)}, which the program has no input for")
            return {name: file[name] for name in file.files}
    except (ValueError, zipfile.BadZipFile) as error:
        raise CommandError(f"{path} is not a file of numpy.savez: {one_line(str(error))}") from error


def _fit(one: artifact.Tensor, value: Any, cast: bool) -> Any:
    """A value as the array that an input takes.

    Raises:
      CommandError: its dtype or its shape is another one.
    """
    import numpy as np

    import canter as ct

    if ct.dtypes.issubdtype(one.aval.dtype, ct.dtypes.prng_key):
        return _key(one, value)
    wanted = np.dtype(one.aval.dtype)
    from_file = isinstance(value, np.ndarray)
    array = np.asarray(value)
    if array.dtype.kind == "V" and array.dtype.itemsize == wanted.itemsize:
        array = array.view(wanted)  # numpy.save has no names for ml_dtypes' types
    if array.dtype == object or array.dtype.kind in "USV":
        raise CommandError(f"input {one.name} is not made of numbers")
    if array.dtype != wanted:
        harmless = not from_file and np.can_cast(array.dtype, wanted, "same_kind")
        if not (cast or harmless or (not from_file and wanted.kind not in "biu")):
            raise CommandError(
                f"input {one.name} is {dtype_name(array.dtype)}, the program takes {one.type}; --cast converts it"
            )
        array = array.astype(wanted)
    fixed = [size == have for size, have in zip(one.aval.shape, array.shape) if isinstance(size, int)]
    if len(array.shape) != len(one.aval.shape) or not all(fixed):
        raise CommandError(f"input {one.name} has shape {list(array.shape)}, the program takes {one.type}")
    return array


def _key(one: artifact.Tensor, value: Any) -> Any:
    import numpy as np

    from canter import random

    array = np.asarray(value)
    if array.dtype == np.uint32 and array.ndim == len(one.aval.shape) + 1:
        return random.wrap_key_data(array)
    if array.ndim == 0 and array.dtype.kind in "iu" and not one.aval.shape:
        return random.key(int(array))
    raise CommandError(f"input {one.name} is a random key: give its seed, or its words as u32[...,2]")


# --- results -------------------------------------------------------------------------------------


def _host(results: list[Any]) -> list[Any]:
    import numpy as np

    import canter as ct
    from canter import random

    keys = ct.dtypes.prng_key
    return [np.asarray(random.key_data(x) if ct.dtypes.issubdtype(x.dtype, keys) else x) for x in results]


def _check_outputs(paths: list[str]) -> None:
    """Raises UsageError for names that nothing can be written to, before anything runs."""
    for path in paths:
        if not path.endswith((".npy", ".npz")):
            raise UsageError(f"{path} ends neither in .npy nor in .npz")
        if path.endswith(".npz") and len(paths) > 1:
            raise UsageError(f"{path} takes all results, so it is the only --output")
        folder = os.path.dirname(path)
        if folder and not os.path.isdir(folder):
            raise UsageError(f"there is no folder {folder}")


def _write(loaded: artifact.Artifact, results: list[Any], paths: list[str]) -> None:
    import numpy as np

    if paths and paths[0].endswith(".npz"):
        named = {one.name: value for one, value in zip(loaded.outputs, results, strict=True)}
        np.savez(paths[0], **named)
        return
    if paths and len(paths) != len(results):
        raise UsageError(
            f"the program has {len(results)} results, and --output names {len(paths)} files; or use an .npz"
        )
    for path, value in zip(paths, results):
        np.save(path, value)


_LISTED = 1000  # larger results belong in files


def _summary(one: artifact.Tensor, value: Any) -> dict[str, Any]:
    """A result as data: with its values, if they are few and of a type that JSON has."""
    dims = ",".join(map(str, value.shape))
    plain = value.astype("float64") if dtype_name(value.dtype) in ("bf16", "f16") else value
    values = plain.tolist() if value.size <= _LISTED and plain.dtype.kind in "biuf" else None
    return {
        "name": one.name,
        "type": dtype_name(value.dtype) + (f"[{dims}]" if dims else ""),
        "values": values,
    }


def _text(value: Any) -> str:
    import numpy as np

    return one_line(np.array2string(value, threshold=12, edgeitems=3, precision=6, separator=", "))
