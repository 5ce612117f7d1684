"""Bundles: a program, its weights and a proof that it works, in one directory or zip file that others read too.

A bundle holds `manifest.json` (what there is, with checksums), `module.mlirbc` (a portable artifact of StableHLO
whose arguments are the weights, then the inputs), `module.mlir` (the same as text), `weights.safetensors` and
`golden.safetensors` (inputs, and the outputs they gave).
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from canter.core import pytree
from canter_mlir import portable
from canter_mlir.artifacts import read_artifact

from ..runtime.jit import jit
from ..runtime.shape_dtype import ShapeDtypeStruct
from .exporting import export
from .portable import to_portable
from .tensor_files import DamagedFile, read_tensors, write_tensors
from .untrusted import trust

__all__ = ["Bundle", "exported_with_weights", "leaf_names", "load_bundle", "save_bundle"]

_FORMAT = "canter-bundle"
_VERSION = 1
_MANIFEST = "manifest.json"
_MODULE, _TEXT, _WEIGHTS, _GOLDEN = (
    "module.mlirbc",
    "module.mlir",
    "weights.safetensors",
    "golden.safetensors",
)


# --- names and structures ---------------------------------------------------------------------------


def _structure(tree: Any, names: list[str], path: str = "") -> Any:
    """The structure of a tree as JSON, with the number of each leaf; the leaves' names are appended."""
    if isinstance(tree, Mapping):
        items = sorted(tree.items())
        if not all(isinstance(key, str) for key, _ in items):
            raise TypeError(f"A bundle's dictionaries have strings as keys; {path or 'the tree'} has others.")
        return {key: _structure(value, names, f"{path}.{key}" if path else key) for key, value in items}
    if isinstance(tree, (list, tuple)) and not hasattr(tree, "_fields"):
        parts = [_structure(value, names, f"{path}.{i}" if path else str(i)) for i, value in enumerate(tree)]
        return parts if isinstance(tree, list) else {"()": parts}
    if tree is None:
        return None
    if not hasattr(tree, "dtype") and not isinstance(tree, (bool, int, float, complex)):
        raise TypeError(
            f"A bundle holds arrays in dicts, lists and tuples; {path or 'the value'} is a {type(tree).__name__}."
        )
    names.append(path or "value")
    return len(names) - 1


def leaf_names(tree: Any, root: str = "") -> list[str]:
    """The names of a tree's leaves, in order: the keys on the way to them, joined by dots."""
    names: list[str] = []
    _structure(tree, names, root)
    return names


def _rebuild(structure: Any, leaves: Sequence[Any]) -> Any:
    if isinstance(structure, dict):
        if set(structure) == {"()"}:
            return tuple(_rebuild(part, leaves) for part in structure["()"])
        return {key: _rebuild(part, leaves) for key, part in structure.items()}
    if isinstance(structure, list):
        return [_rebuild(part, leaves) for part in structure]
    return None if structure is None else leaves[structure]


def _types(names: Sequence[str], avals: Sequence[Any]) -> list[dict[str, Any]]:
    """What JSON says of some arrays; a symbolic dimension is its text."""
    return [
        {
            "name": name,
            "dtype": np.dtype(aval.dtype).name,
            "shape": [d if isinstance(d, int) else str(d) for d in aval.shape],
        }
        for name, aval in zip(names, avals, strict=True)
    ]


# --- writing --------------------------------------------------------------------------------------


def save_bundle(
    path: Any,
    function: Any,
    *inputs: Any,
    weights: Any = None,
    input_names: Sequence[str] | None = None,
    specs: Sequence[Any] | None = None,
    constraints: Sequence[str] = (),
    target_version: str | None = None,
    compatible_for: str | None = None,
    tolerance: float = 1e-5,
) -> None:
    """Writes a function, its weights and golden results as a bundle.

    Args:
      path: a directory, or a file that ends in ".zip".
      function: called as `function(weights, *inputs)`, or `function(*inputs)` without weights. Arguments and
        results are arrays in dicts, lists and tuples.
      inputs: example arguments: they are saved with their results, which `load_bundle` checks.
      weights: a tree of arrays that are saved beside the program.
      input_names: a name for each input; None takes "0", "1", …
      specs: `ShapeDtypeStruct`s in place of the inputs' own types, with symbolic dimensions for example.
      constraints: what holds of symbolic dimensions, as text ("b >= 1"), written down for readers.
      target_version, compatible_for: of the artifact, as `to_portable` takes them.
      tolerance: how close results must come when the bundle is loaded, relative and absolute.

    Raises:
      TypeError: a tree has nodes that a bundle cannot hold.
      ValueError: the program cannot be exported, or not for that version.

    Example:
      >>> import tempfile
      >>> import canter.numpy as cnp
      >>> from canter import export
      >>> weights = {"w": cnp.ones((3, 2)), "b": cnp.zeros(2)}
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = f"{folder}/model.zip"
      ...     export.save_bundle(path, lambda p, x: x @ p["w"] + p["b"], cnp.ones((4, 3)), weights=weights,
      ...                        input_names=["x"])
      ...     bundle = export.load_bundle(path)
      >>> bundle.input_names, bundle(cnp.ones((4, 3))).shape
      (('x',), (4, 2))
    """
    named = dict(zip(input_names or map(str, range(len(inputs))), inputs, strict=True))
    exported = exported_with_weights(function, inputs, weights, specs)
    results = jit(function)(*inputs) if weights is None else jit(function)(weights, *inputs)
    weight_names: list[str] = []
    input_leaves: list[str] = []
    output_names: list[str] = []
    structures = {
        "weights": None if weights is None else _structure(weights, weight_names),
        "inputs": [_structure(value, input_leaves, name) for name, value in named.items()],
        "outputs": _structure(results, output_names),
    }
    count = len(weight_names)
    leaves = pytree.tree_leaves(inputs)
    golden = {f"inputs/{name}": x for name, x in zip(input_leaves, leaves, strict=True)}
    outputs = pytree.tree_leaves(results)
    golden |= {f"outputs/{name}": x for name, x in zip(output_names, outputs, strict=True)}
    module = read_artifact(exported.safe_module())
    files = {
        _MODULE: to_portable(module, target_version, compatible_for=compatible_for),
        _TEXT: portable.module_to_text(module).encode(),
        _WEIGHTS: write_tensors(dict(zip(weight_names, pytree.tree_leaves(weights), strict=True))),
        _GOLDEN: write_tensors(golden),
    }
    manifest = {
        "format": _FORMAT,
        "format_version": _VERSION,
        "name": exported.fun_name,
        "platforms": list(exported.platforms),
        "stablehlo_version": _version_of(files[_MODULE]),
        "weights": _types(weight_names, exported.in_avals[:count]),
        "inputs": _types(input_leaves, exported.in_avals[count:]),
        "outputs": _types(output_names, exported.out_avals),
        "input_names": list(named),
        "structures": structures,
        "constraints": list(constraints),
        "tolerance": tolerance,
        "files": {
            name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
        },
    }
    files[_MANIFEST] = json.dumps(manifest, indent=1).encode()
    _write(Path(path), files)


def exported_with_weights(function: Any, inputs: Any, weights: Any, specs: Any) -> Any:
    """A function of weights and inputs exported; its module takes every leaf of them, used or not."""
    given = [] if weights is None else [_as_specs(weights)]
    return export(jit(function, keep_unused=True))(*given, *map(_as_specs, specs or inputs))


def _as_specs(tree: Any) -> Any:
    def spec(x: Any) -> Any:
        return x if isinstance(x, ShapeDtypeStruct) else ShapeDtypeStruct(np.shape(x), _dtype(x))

    return pytree.tree_map(spec, tree)


def _dtype(x: Any) -> Any:
    from ..core.avals import typeof

    return typeof(x).dtype


def _version_of(artifact: bytes) -> str:
    return artifact[4:40].split(b"StableHLO_v", 1)[1].split(b"\0", 1)[0].decode()


def _write(path: Path, files: Mapping[str, bytes]) -> None:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in sorted(files):
                entry = zipfile.ZipInfo(name)  # of a fixed date: the same bundle is the same bytes
                archive.writestr(entry, files[name])
        return
    path.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (path / name).write_bytes(data)


# --- reading --------------------------------------------------------------------------------------


class Bundle:
    """A bundle that `load_bundle` read: call it with the inputs.

    Attributes:
      path: where it was read from.
      manifest: what it says of itself.
      weights: the tree of weights, as NumPy arrays; None if there are none.
      function: the program, a `StablehloFunction` of the weights' leaves and then the inputs'.
      input_names: names of the inputs.
      inputs, outputs, constraints: types of all arrays that go in and come out, and what holds of their dimensions.
    """

    def __init__(self, path: Path, manifest: dict[str, Any], files: Mapping[str, bytes]):
        from .stablehlo.function import from_stablehlo

        self.path, self.manifest = path, manifest
        self.module_bytes = files[_MODULE]
        where = f"{path}/{_MODULE}"
        try:
            if _MODULE in manifest["files"]:  # the checksum says that it is what was written
                trust(self.module_bytes)
            self.function = from_stablehlo(self.module_bytes)
        except (ValueError, NotImplementedError) as error:
            raise DamagedFile(f"{where} is not a program: {error}") from error
        arrays = read_tensors(files[_WEIGHTS], f"{path}/{_WEIGHTS}")
        self._leaves = [_entry(arrays, each["name"], f"{path}/{_WEIGHTS}") for each in manifest["weights"]]
        structures = manifest["structures"]
        self.weights = (
            None if structures["weights"] is None else _rebuild(structures["weights"], self._leaves)
        )
        self.input_names = tuple(manifest["input_names"])
        self.inputs, self.outputs = manifest["inputs"], manifest["outputs"]
        self.constraints = tuple(manifest["constraints"])
        self._golden = read_tensors(files[_GOLDEN], f"{path}/{_GOLDEN}")

    def __repr__(self) -> str:
        inputs = ", ".join(f"{each['name']}: {each['dtype']}{each['shape']}" for each in self.inputs)
        return f"<Bundle {self.manifest['name']}({inputs}), {len(self._leaves)} weights>"

    def __call__(self, *inputs: Any, weights: Any = None) -> Any:
        """The results for some inputs; other weights of the same structure may be given.

        Raises:
          TypeError: the number of inputs is wrong.
          ValueError: a shape is.
        """
        if len(inputs) != len(self.input_names):
            raise TypeError(
                f"{self.manifest['name']} takes {', '.join(self.input_names)}; got {len(inputs)} inputs."
            )
        leaves = self._leaves if weights is None else pytree.tree_leaves(weights)
        return self._results(self.function(*leaves, *pytree.tree_leaves(inputs)))

    def _results(self, flat: Any) -> Any:
        outputs = flat if isinstance(flat, tuple) else (flat,)
        return _rebuild(self.manifest["structures"]["outputs"], outputs)

    def verify(self) -> None:
        """Runs the golden inputs.

        Raises:
          DamagedFile: a result is not what it was when the bundle was saved.
        """
        where = f"{self.path}/{_GOLDEN}"
        inputs = [_entry(self._golden, f"inputs/{each['name']}", where) for each in self.inputs]
        flat = self.function(*self._leaves, *inputs)
        tolerance = self.manifest["tolerance"]
        for each, got in zip(self.outputs, flat if isinstance(flat, tuple) else (flat,), strict=True):
            want = _entry(self._golden, f"outputs/{each['name']}", where)
            wide = np.complex128 if want.dtype.kind == "c" else np.float64
            a, b = np.asarray(got).astype(wide), want.astype(wide)
            if a.shape != b.shape or not np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True):
                worst = float(np.max(np.abs(a - b))) if a.shape == b.shape and a.size else float("inf")
                raise DamagedFile(
                    f"The output '{each['name']}' of {self.path} differs by {worst:.3g} from that in {_GOLDEN} "
                    f"(tolerance {tolerance:g}): the program, its weights or this machine is not what it was."
                )


def _entry(arrays: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in arrays:
        raise DamagedFile(f"{where} has no array '{name}', which {_MANIFEST} lists.")
    return arrays[name]


def load_bundle(path: Any, *, verify: bool = True) -> Bundle:
    """Reads a bundle.

    Args:
      path: what `save_bundle` wrote.
      verify: run the golden inputs and compare. Checksums are compared always.

    Raises:
      FileNotFoundError: there is no such path.
      DamagedFile: a file is missing, damaged or of a newer format, or a result is wrong: the message says which.
    """
    path = Path(path)
    files = _read(path)
    manifest = _checked_manifest(path, files)
    try:
        bundle = Bundle(path, manifest, files)
        if verify:
            bundle.verify()
    except DamagedFile:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DamagedFile(f"{path}/{_MANIFEST} does not fit the files beside it: {error!r}") from error
    return bundle


def _read(path: Path) -> dict[str, bytes]:
    needed = (_MANIFEST, _MODULE, _WEIGHTS, _GOLDEN)
    names = (*needed, _TEXT)
    if path.is_dir():
        found = {name: (path / name).read_bytes() for name in names if (path / name).is_file()}
    elif not path.exists():
        raise FileNotFoundError(f"There is no bundle at {str(path)!r}.")
    else:
        try:
            with zipfile.ZipFile(path) as archive:
                listed = set(archive.namelist())
                found = {name: archive.read(name) for name in names if name in listed}
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise DamagedFile(f"{path} is not a bundle, or a damaged one: {error}") from error
    missing = [name for name in needed if name not in found]
    if missing:
        raise DamagedFile(f"{path} lacks {', '.join(missing)}.")
    return found


_KEYS = (
    "name",
    "weights",
    "inputs",
    "outputs",
    "input_names",
    "structures",
    "constraints",
    "tolerance",
    "files",
)


def _checked_manifest(path: Path, files: Mapping[str, bytes]) -> dict[str, Any]:
    where = f"{path}/{_MANIFEST}"
    try:
        manifest = json.loads(files[_MANIFEST])
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{where} is not JSON: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        raise DamagedFile(f"{where} does not describe a bundle of Canter.")
    if manifest.get("format_version") != _VERSION:
        raise DamagedFile(
            f"{where} has the format version {manifest.get('format_version')}; this Canter reads {_VERSION}."
        )
    absent = [key for key in _KEYS if key not in manifest]
    if absent:
        raise DamagedFile(f"{where} says nothing of {', '.join(absent)}.")
    sums = manifest["files"]
    if not isinstance(sums, dict) or not all(isinstance(said, dict) for said in sums.values()):
        raise DamagedFile(f"{where} has no checksums where its files are listed.")
    for name, said in sums.items():
        data = files.get(name)
        if data is not None and hashlib.sha256(data).hexdigest() != said.get("sha256"):
            raise DamagedFile(
                f"{path}/{name} is damaged: its {len(data)} bytes do not have the checksum in {_MANIFEST}."
            )
    return manifest
