"""What commands are given: a function in a module, weights in a file, an artifact."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import itertools
import os
import sys
import zipfile
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from . import artifact
from .report import CommandError, UsageError, one_line

__all__ = [
    "add_artifact",
    "by_position",
    "closed_over",
    "example_sizes",
    "find_function",
    "load_artifact",
    "random_values",
    "read_weights",
]


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


def add_artifact(parser: ArgumentParser) -> None:
    """Gives a command its artifact, and modules to import before it is read."""
    parser.add_argument("artifact", metavar="ARTIFACT")
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="or FILE.py, which registers types of containers in the artifact; may be repeated",
    )


def load_artifact(options: Namespace) -> artifact.Artifact:
    """The artifact that the command was given, read after the modules were imported."""
    for place in options.imports:
        _import(place)
    return artifact.load(options.artifact)


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


def closed_over(function: Any, weights: Any) -> Any:
    """The function of the arguments that follow the weights."""

    @functools.wraps(function)
    def closed(*args: Any, **kwargs: Any) -> Any:
        return function(weights, *args, **kwargs)

    return closed


def by_position(function: Any, names: list[str]) -> Any:
    """The function with its keyword arguments behind the others, in the order of their names."""

    @functools.wraps(function)
    def positional(*args: Any) -> Any:
        first = len(args) - len(names)
        return function(*args[:first], **dict(zip(names, args[first:], strict=True)))

    return positional


def read_weights(path: str) -> dict[str, Any]:
    """The arrays of an .npz as a dictionary, of dictionaries where names have slashes."""
    import numpy as np

    tree: dict[str, Any] = {}
    try:
        with np.load(path, allow_pickle=False) as file:
            for name in file.files:
                *folders, last = name.split("/")
                place = tree
                for folder in folders:
                    place = place.setdefault(folder, {})
                place[last] = file[name]
    except (ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise CommandError(f"{path} is not a file of numpy.savez: {one_line(str(error))}") from error
    return tree


def random_values(specs: Any, seed: int, sizes: dict[str, int]) -> Any:
    """Arrays of the types of a tree: small random numbers, the same ones for the same seed.

    Args:
      specs: the types.
      seed: of the numbers.
      sizes: of open dimensions, from `example_sizes`.

    Raises:
      UsageError: a type is that of a random key.
    """
    import numpy as np

    from ..tree_util import tree_map

    source = np.random.default_rng(seed)

    def one(spec: Any) -> Any:
        if str(spec.dtype).startswith("key<"):
            raise UsageError("a bundle's inputs are numbers; a random key is none")
        shape = [size if isinstance(size, int) else size.evaluate(sizes) for size in spec.shape]
        kind = np.dtype(spec.dtype).kind
        if kind in "iub":
            return source.integers(0, 2, shape).astype(spec.dtype)
        values = source.normal(size=shape)
        return (values + 1j * source.normal(size=shape) if kind == "c" else values).astype(spec.dtype)

    return tree_map(one, specs)


def example_sizes(specs: Any) -> dict[str, int]:
    """Small sizes for the open dimensions of some types that keep to their constraints.

    Raises:
      UsageError: none of those tried do.
    """
    from ..tree_util import tree_leaves

    dims = [size for spec in tree_leaves(specs) for size in spec.shape if not isinstance(size, int)]
    if not dims:
        return {}
    constraints = dims[0].scope.constraints
    expressions = [*dims, *(one.difference for one in constraints if not isinstance(one.difference, int))]
    names = sorted(set().union(*(one.variables() for one in expressions)))
    for chosen in itertools.islice(
        itertools.product((3, 4, 2, 6, 8, 1, 5, 7, 16), repeat=len(names)), 10_000
    ):
        sizes = dict(zip(names, chosen, strict=True))
        left = [
            (
                one.equality,
                one.difference if isinstance(one.difference, int) else one.difference.evaluate(sizes),
            )
            for one in constraints
        ]
        if all(size == 0 if equality else size >= 0 for equality, size in left) and all(
            dim.evaluate(sizes) >= 0 for dim in dims
        ):
            return sizes
    raise UsageError(
        f"no small sizes of {', '.join(names)} keep to the constraints, and a bundle needs an example to verify it by"
    )
