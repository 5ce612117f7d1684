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
    "call",
    "compiled",
    "constraints",
    "each_operation",
    "load",
    "signature",
    "versions",
]

_BYTECODE = b"ML\xefR"
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
      kind: "exported", "portable", "bytecode" or "text".
      size: in bytes.
      name: of the function.
      inputs: what it takes, in order.
      outputs: what it gives.
      module: its MLIR module.
      code: the module's bytes or text, as compilers take it.
      exported: the `Exported`; None for kinds that are only a module.
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


def load(path: str) -> Artifact:
    """Reads an artifact.

    Raises:
      CommandError: the file is no artifact, or a damaged one.
      OSError: it cannot be read.
    """
    if os.path.isdir(path):
        raise CommandError(f"{path} is a folder, not an artifact")
    with open(path, "rb") as file:
        data = file.read()
    if not data:
        raise CommandError(f"{path} is empty")
    try:
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

    shape: tuple[int | None, ...]
    dtype: Any


def _tensor(name: str, kind: Any) -> Tensor:
    import ml_dtypes
    import numpy as np

    text = str(kind)
    found = re.fullmatch(r"tensor<((?:[\d?]+x)*)(.+?)(?:, .*)?>", text)
    if found is None:
        raise NotImplementedError(f"{name} has the type {text}, which is no array")
    shape = tuple(None if size == "?" else int(size) for size in found[1].split("x")[:-1])
    element = found[2]
    full = _ELEMENTS.get(element) or full_dtype_name(element.lower().replace("ui", "u"))
    return Tensor(name, _Type(shape, np.dtype(getattr(ml_dtypes, full, full))))


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


def call(artifact: Artifact, values: Sequence[Any]) -> list[Any]:
    """The results of the program on arrays, one for each input.

    Raises:
      ValueError, TypeError, JaxRuntimeError: what the call says is wrong.
    """
    from ..tree_util import tree_leaves, tree_unflatten

    with _wide_types(artifact):
        if artifact.kind == "compiled":
            from .. import export

            program = export.load_compiled(artifact.path)
            args, kwargs = tree_unflatten(program.in_tree, list(values))
            return tree_leaves(program(*args, **kwargs))
        if artifact.exported is not None:
            args, kwargs = tree_unflatten(artifact.exported.in_tree, list(values))
            return tree_leaves(artifact.exported.call(*args, **kwargs))
        return _execute(artifact, values)


def _execute(artifact: Artifact, values: Sequence[Any]) -> list[Any]:
    """The results of a module, compiled as it is."""
    import canter as ct
    from canter_pjrt import compile
    from canter_pjrt.jaxlib_door import SingleDeviceSharding, make_array

    from ..core.avals import ShapedArray
    from ..runtime import compilation_cache  # noqa: F401 - tells the cache its flags

    if is_open(artifact):
        raise CommandError(f"{artifact.path} has open dimensions: a module with those runs as a .canter only")
    device = ct.local_devices()[0]
    executable = compile.compile_or_load(artifact.code, [device], name=artifact.name)
    results = executable.execute_sharded([ct.device_put(value, device) for value in values])
    where = SingleDeviceSharding(device)
    return [
        make_array(ShapedArray(one.aval.shape, one.aval.dtype), where, shards)
        for one, shards in zip(artifact.outputs, results.disassemble_into_single_device_arrays(), strict=True)
    ]


def compiled(artifact: Artifact, topology: Any = None, compiler_options: dict[str, Any] | None = None) -> Any:
    """The program, compiled for hardware, or for the default device of this machine: a `Compiled`.

    Raises:
      CommandError: a dimension is open.
      ValueError, RuntimeError: the hardware or an option is not known, or there is no plugin.
    """
    import canter as ct

    from .. import export
    from ..experimental import topologies
    from ..tree_util import tree_unflatten

    if is_open(artifact):
        raise CommandError(f"{artifact.path} has open dimensions; export it with numbers to compile it")
    where = topologies.get_attached_topology() if topology is None else topology
    with _wide_types(artifact):
        specs = [ct.ShapeDtypeStruct(one.aval.shape, one.aval.dtype) for one in artifact.inputs]
        if artifact.exported is not None:
            return export.compile_for(artifact.exported, where, compiler_options=compiler_options)
        function = export.from_stablehlo(artifact.code)
        return export.compile_for(function, where, *specs, compiler_options=compiler_options)


def _wide_types(artifact: Artifact) -> Any:
    """A block in which 64-bit types are kept, if the program has any."""
    from ..core.config import enable_x64

    wide = any(
        re.search("64$|128$", str(one.aval.dtype)) and str(one.aval.dtype) != "complex64"
        for one in (*artifact.inputs, *artifact.outputs)
    )
    return enable_x64(wide or enable_x64.value)


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
