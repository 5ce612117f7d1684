"""Artifacts in files: what kind each is, and its signature in one form for all kinds."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .report import CommandError
from .signature import dtype_name, full_dtype_name

__all__ = [
    "Artifact",
    "Tensor",
    "constraints",
    "each_operation",
    "input_names",
    "is_open",
    "load",
    "output_names",
    "signature",
    "versions",
]

_BYTECODE = b"ML\xefR"
_ZIP = b"PK\x03\x04"
_COMPILED = b"canter-compiled-"
_PORTABLE = b"StableHLO_v"


class Tensor(NamedTuple):
    """An input or a result: its name, dtype and dimensions, of which some may be names."""

    name: str
    aval: Any

    @property
    def dims(self) -> list[int | str]:
        """The dimensions; one that is open is its name, or "?"."""
        return [
            size if isinstance(size, int) else "?" if size is None else str(size) for size in self.aval.shape
        ]

    @property
    def type(self) -> str:
        """The type as `--args` takes it: f32[2,b]."""
        dims = ",".join(map(str, self.dims))
        return dtype_name(self.aval.dtype) + (f"[{dims}]" if dims else "")


class Artifact(NamedTuple):
    """An exported program, read from a file.

    Attributes:
      path: where it is.
      kind: "exported", "portable", "bytecode", "text", "bundle" or "compiled".
      size: in bytes.
      name: of the function.
      inputs: what it takes, in order.
      outputs: what it gives.
      module: its MLIR module; None for what is compiled.
      code: the module's bytes or text, as compilers take it.
      exported: the `Exported`; None for other kinds.
      bundle: the `Bundle`; None for other kinds.
      facts: more that the file says of itself.
    """

    path: str
    kind: str
    size: int
    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    module: Any
    code: Any
    exported: Any = None
    bundle: Any = None
    facts: dict[str, Any] = {}


def load(path: str) -> Artifact:
    """Reads an artifact.

    Raises:
      CommandError: the file is no artifact, or a damaged one.
      OSError: it cannot be read.
    """
    if os.path.isdir(path):
        if not os.path.exists(os.path.join(path, "manifest.json")):
            raise CommandError(f"{path} is a folder without manifest.json, not a bundle")
        data = _ZIP
    else:
        with open(path, "rb") as file:
            data = file.read()
    if not data:
        raise CommandError(f"{path} is empty")
    try:
        if data.startswith(_ZIP):
            return _of_bundle(path)
        if data.startswith(_COMPILED):
            return _of_compiled(path, data)
        text = None if data.startswith(_BYTECODE) else _text(data)
        if data.startswith(_BYTECODE) or text is not None:
            kind = "text" if text is not None else "portable" if _PORTABLE in data[:64] else "bytecode"
            return _of_module(path, kind, data if text is None else text, len(data))
        return _of_exported(path, data)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise CommandError(f"{path} is not an artifact that this Canter reads: {error}") from error


def _text(data: bytes) -> str | None:
    """The text of an MLIR module, or None for other bytes."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if "module" in text or "func" in text else None


def _of_exported(path: str, data: bytes) -> Artifact:
    from canter_mlir.artifacts import read_artifact

    from .. import export
    from ..export.untrusted import checked

    exported = export.deserialize(bytearray(data))
    inputs, outputs = signature(exported)
    return Artifact(
        path,
        "exported",
        len(data),
        exported.fun_name,
        inputs,
        outputs,
        read_artifact(checked(exported.mlir_module_serialized)),
        exported.mlir_module_serialized,
        exported,
    )


def _of_bundle(path: str) -> Artifact:
    from .. import export

    bundle = export.load_bundle(path, verify=False)
    name, module = bundle.manifest["name"], _read(bundle.module_bytes)
    inputs, outputs = (tuple(map(_of_manifest, side)) for side in (bundle.inputs, bundle.outputs))
    size = os.path.getsize(path)
    if os.path.isdir(path):
        size = sum(entry.stat().st_size for entry in os.scandir(path) if entry.is_file())
    facts = {
        "platforms": bundle.manifest["platforms"],
        "constraints": list(bundle.constraints),
        "weights": [
            {"name": one.name, "type": one.type} for one in map(_of_manifest, bundle.manifest["weights"])
        ],
    }
    return Artifact(
        path, "bundle", size, name, inputs, outputs, module, bundle.module_bytes, None, bundle, facts
    )


def _of_manifest(entry: dict[str, Any]) -> Tensor:
    return Tensor(entry["name"], _Type(tuple(entry["shape"]), _dtype(entry["dtype"])))


def _of_compiled(path: str, data: bytes) -> Artifact:
    from ..export.compiled_bytes import describe_bytes

    said = describe_bytes(data)
    inputs, outputs = (
        tuple(
            Tensor(name + str(i), _Type(tuple(shape), _dtype(dtype)))
            for i, (shape, dtype, *_) in enumerate(side)
        )
        for name, side in (("", said["in_avals"]), ("result", said["out_avals"]))
    )
    facts = {"platforms": [said["platform"]], "devices": said["devices"], "hardware": said["device_kind"]}
    facts["jaxlib"] = ".".join(map(str, said["jaxlib"]))
    return Artifact(path, "compiled", len(data), said["name"], inputs, outputs, None, data, facts=facts)


def signature(exported: Any) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """What an exported program takes, and what it gives."""
    return (
        _tensors(input_names(exported.in_tree), exported.in_avals),
        _tensors(output_names(exported.out_tree), exported.out_avals),
    )


def _of_module(path: str, kind: str, code: str | bytes, size: int) -> Artifact:
    module = _read(code)
    main = _main(module)
    types = main.attributes["function_type"].value
    inputs = tuple(_tensor(str(position), kind) for position, kind in enumerate(types.inputs))
    outputs = tuple(map(_tensor, _result_names(main, len(types.results)), types.results))
    attributes = module.operation.attributes
    name = attributes["sym_name"].value if "sym_name" in attributes else "main"
    return Artifact(path, kind, size, name, inputs, outputs, module, code)


def _result_names(main: Any, count: int) -> list[str]:
    """What results are called: by the framework that wrote the module, or by their numbers."""
    names = [f"result{position}" for position in range(count)]
    if "res_attrs" in main.attributes:
        for position, one in enumerate(main.attributes["res_attrs"]):
            if "jax.result_info" in one and one["jax.result_info"].value:
                names[position] = one["jax.result_info"].value
    return names


def _read(code: str | bytes) -> Any:
    """The MLIR module of text or bytecode; damaged bytecode is found out in another process."""
    from canter_mlir import artifacts, portable

    from ..export.untrusted import UntrustedModule, checked

    if isinstance(code, str):
        return portable.parse_module(code)
    return artifacts.read_artifact(checked(UntrustedModule(code)))


def _main(module: Any) -> Any:
    """The function that a module runs: `main`."""
    for operation in module.body.operations:
        if operation.operation.name == "func.func" and operation.attributes["sym_name"].value == "main":
            return operation
    raise CommandError("the module has no function main")


# Element types of MLIR that are not written as dtypes are here.
_ELEMENTS = {"i1": "bool", "complex<f32>": "complex64", "complex<f64>": "complex128"}


class _Type(NamedTuple):
    """What an array is in a module: sizes that are open are None."""

    shape: tuple[int | str | None, ...]
    dtype: Any


def _dtype(name: str) -> Any:
    """The dtype of NumPy's or ml_dtypes' name; that of a random key stays a name."""
    import ml_dtypes
    import numpy as np

    return name if name.startswith("key<") else np.dtype(getattr(ml_dtypes, name, name))


def _tensor(name: str, kind: Any) -> Tensor:
    text = str(kind)
    found = re.fullmatch(r"tensor<((?:[\d?]+x)*)(.+?)(?:, .*)?>", text)
    if found is None:
        raise NotImplementedError(f"{name} has the type {text}, which is no array")
    shape = tuple(None if size == "?" else int(size) for size in found[1].split("x")[:-1])
    element = found[2]
    full = _ELEMENTS.get(element) or full_dtype_name(element.lower().replace("ui", "u"))
    return Tensor(name, _Type(shape, _dtype(full)))


def constraints(module: Any) -> list[str]:
    """What the open dimensions of an exported program must keep to, from the checks that the program makes."""
    found: list[str] = []

    def look(operation: Any) -> None:
        if operation.name == "stablehlo.custom_call" and "error_message" in operation.attributes:
            message = operation.attributes["error_message"].value
            found.extend(re.findall(r"symbolic shape constraint (.+?)\. Expected", message))

    each_operation(module, look)
    return found


def each_operation(module: Any, look: Callable[[Any], None]) -> None:
    """Calls `look` with each operation of a module, those of inner regions included."""

    def visit(operation: Any) -> None:
        look(operation)
        for region in operation.regions:
            for block in region.blocks:
                for inner in block.operations:
                    visit(inner.operation)

    visit(module.operation)


def versions(artifact: Artifact) -> dict[str, str]:
    """The StableHLO version that a portable artifact is written for."""
    head = artifact.code[:64] if isinstance(artifact.code, bytes) else b""
    found = re.search(rb"StableHLO_v([\d.]+)", head)
    return {"stablehlo": found[1].decode()} if found else {}


def is_open(artifact: Artifact) -> bool:
    """Whether a dimension of an input is not a number."""
    return any(not isinstance(size, int) for one in artifact.inputs for size in one.dims)


def _tensors(names: Sequence[str], avals: Sequence[Any]) -> tuple[Tensor, ...]:
    return tuple(Tensor(name, aval) for name, aval in zip(names, avals, strict=True))


def input_names(in_tree: Any) -> list[str]:
    """A name for each leaf of `(args, kwargs)`: `0`, `1['w']`, and keywords by their own names."""
    names = []
    for place, *rest in _paths(in_tree):
        is_keyword, (first, *inner) = place.idx == 1, rest
        from ..tree_util import keystr

        names.append((str(first.key) if is_keyword else str(first.idx)) + keystr(tuple(inner)))
    return names


def output_names(out_tree: Any) -> list[str]:
    """A name for each leaf of the results: `result` and its place in it."""
    from ..tree_util import keystr

    return ["result" + keystr(path) for path in _paths(out_tree)]


def _paths(tree: Any) -> list[tuple[Any, ...]]:
    from ..tree_util import tree_flatten_with_path, tree_unflatten

    leaves, _ = tree_flatten_with_path(tree_unflatten(tree, list(range(tree.num_leaves))))
    return [path for path, _ in sorted(leaves, key=lambda leaf: leaf[1])]
