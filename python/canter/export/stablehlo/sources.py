"""From whatever holds a StableHLO module to the module as plain data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from canter_mlir import portable
from canter_mlir.reading import Module, read

__all__ = ["Source", "load"]

_MLIR_BYTECODE = b"ML\xefR"
_PORTABLE = b"StableHLO_v"


class Source(NamedTuple):
    """A module, with what is known of how to call it.

    Attributes:
      in_tree, out_tree: the structure of arguments and results, or None.
      kept: which leaves of the arguments the module takes, or None for all.
      platforms: those that a platform index counts, if the module takes one.
      constants: arrays for the first arguments of the module, which the caller does not give.
    """

    module: Module
    text_of: Any
    in_tree: Any = None
    out_tree: Any = None
    kept: tuple[int, ...] | None = None
    platforms: tuple[str, ...] = ()
    constants: tuple[Any, ...] = ()


def load(source: Any, function: str | None) -> Source:
    """The module of a source.

    Args:
      source: as `from_stablehlo` takes it.
      function: the function that is wanted, which for a SavedModel is one of its signatures.

    Raises:
      TypeError: it is nothing that could hold a module.
      ValueError: it is damaged, or not StableHLO.
      FileNotFoundError: it is the path of nothing.
    """
    if isinstance(source, str) and not _is_path(source):
        return _of_module(_parsed_text(source))
    if isinstance(source, (str, os.PathLike)):
        return _of_path(Path(source))
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _of_bytes(bytes(source), "the bytes given")
    if hasattr(source, "mlir_module_serialized"):
        return _of_exported(source)
    if hasattr(source, "lower") and hasattr(source, "jaxpr"):  # Traced
        source = source.lower()
    if hasattr(source, "compiler_ir"):
        return _of_lowered(source)
    if hasattr(source, "operation") and hasattr(source, "body"):
        return _of_module(source)
    raise TypeError(
        "from_stablehlo takes a module as MLIR text or bytecode, a portable artifact, a path, an Exported or a "
        f"Lowered; got {type(source).__name__}."
    )


def _is_path(text: str) -> bool:
    return "\n" not in text and "{" not in text and "(" not in text


def _of_module(module: Any, in_tree: Any = None, out_tree: Any = None, kept: Any = None) -> Source:
    return Source(read(module), lambda: portable.module_to_text(module), in_tree, out_tree, kept)


def _of_lowered(lowered: Any) -> Source:
    """What the program captured are arguments of its module, before those that the caller gives."""
    found = _of_module(lowered.compiler_ir("stablehlo"), lowered.in_tree, lowered.out_tree)
    return found._replace(constants=tuple(lowered._program.constants))


def _of_exported(exported: Any) -> Source:
    module = portable.module_from_portable_artifact(exported.mlir_module_serialized)
    found = _of_module(module, exported.in_tree, exported.out_tree, tuple(exported.module_kept_var_idx))
    return found._replace(platforms=tuple(exported.platforms))


def _of_path(path: Path) -> Source:
    if path.is_dir():
        raise ValueError(f"{path} is a directory; from_stablehlo takes a file.")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"from_stablehlo: no file {str(path)!r}. (Text of a module would have a brace in it.)"
        ) from None
    return _of_bytes(data, str(path))


def _of_bytes(data: bytes, where: str) -> Source:
    try:
        if data.startswith(_MLIR_BYTECODE):
            if _PORTABLE in data[:64]:
                return _of_module(portable.module_from_portable_artifact(data))
            return _of_module(portable.parse_module(data))
        text = _as_text(data)
        if text is not None:
            return _of_module(_parsed_text(text))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return _of_binary(data, where)


def _as_text(data: bytes) -> str | None:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() or "{" in text else None


def _parsed_text(text: str) -> Any:
    if text.lstrip().startswith("HloModule"):
        return portable.module_from_hlo(text)
    return portable.parse_module(text)


def _of_binary(data: bytes, where: str) -> Source:
    """An Exported as `jax.export` writes it, or a module of HLO."""
    from ..serialization import deserialize

    tried = []
    try:
        return _of_exported(deserialize(bytearray(data)))
    except Exception as error:  # damaged bytes fail in many ways
        tried.append(f"as an Exported: {error}")
    try:
        return _of_module(portable.module_from_hlo(data))
    except ValueError as error:
        tried.append(f"as HLO: {error}")
    reasons = "; ".join(each.splitlines()[0] for each in tried)
    raise ValueError(f"{where}: neither MLIR, an Exported, nor HLO ({reasons}).")
