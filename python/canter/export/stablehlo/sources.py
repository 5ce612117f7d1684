"""From whatever holds a StableHLO module to the module as plain data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from canter_mlir import portable
from canter_mlir.artifacts import read_artifact
from canter_mlir.reading import Module, read

from ..untrusted import read_untrusted

__all__ = ["Program", "Source", "find", "load", "module_of"]

_MLIR_BYTECODE = b"ML\xefR"


class Program(NamedTuple):
    """An MLIR module, with what is known of how to call it.

    Attributes:
      in_tree, out_tree: the structure of arguments and results, or None.
      kept: which leaves of the arguments the module takes, or None for all.
      platforms: those that a platform index counts, if the module takes one.
      constants: arrays for the first arguments of the module, which the caller does not give.
    """

    module: Any
    in_tree: Any = None
    out_tree: Any = None
    kept: tuple[int, ...] | None = None
    platforms: tuple[str, ...] = ()
    constants: tuple[Any, ...] = ()


class Source(NamedTuple):
    """A program, and its module as plain data."""

    module: Module
    program: Program


def load(source: Any) -> Source:
    """The program of a source, as `from_stablehlo` takes it, read.

    Raises:
      TypeError: it is nothing that could hold a module.
      ValueError: it is damaged, or not StableHLO.
      FileNotFoundError: it is the path of nothing.
    """
    program = find(source)
    try:
        return Source(read(program.module), program)
    except (RuntimeError, UnicodeDecodeError, KeyError) as error:
        if isinstance(error, NotImplementedError):
            raise
        raise ValueError(f"The module is damaged: {error}") from error


def module_of(source: Any) -> Any:
    """The MLIR module of a source.

    Raises:
      ValueError: the module takes arrays that a function captured, which are not in it.
    """
    program = find(source)
    if program.constants:
        raise ValueError(
            f"The function captures {len(program.constants)} arrays, which are not in the module of a Lowered. "
            "Export it (canter.export.export), which puts them in, or pass them as arguments."
        )
    return program.module


def find(source: Any) -> Program:
    """The MLIR module of a source, and how to call it."""
    if isinstance(source, str) and not _is_path(source):
        return Program(_parsed_text(source))
    if isinstance(source, (str, os.PathLike)):
        return _of_path(Path(source))
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _of_bytes(bytes(source), "the bytes given")
    if hasattr(source, "mlir_module_serialized"):
        return _of_exported(source)
    if hasattr(source, "_source") and isinstance(source._source, Source):  # what from_stablehlo gave
        return source._source.program
    if hasattr(source, "lower") and hasattr(source, "jaxpr"):  # Traced
        source = source.lower()
    if hasattr(source, "compiler_ir"):
        return _of_lowered(source)
    if hasattr(source, "operation") and hasattr(source, "body"):
        return Program(source)
    raise TypeError(
        "A StableHLO program is a module as MLIR text or bytecode, a portable artifact, a path, an Exported or a "
        f"Lowered; got {type(source).__name__}."
    )


def _is_path(text: str) -> bool:
    return "\n" not in text and "{" not in text and "(" not in text


def _of_lowered(lowered: Any) -> Program:
    """What the program captured are arguments of its module, before those that the caller gives."""
    module = lowered.compiler_ir("stablehlo")
    return Program(module, lowered.in_tree, lowered.out_tree, constants=tuple(lowered._program.constants))


def _of_exported(exported: Any) -> Program:
    module = read_artifact(exported.safe_module())
    kept = tuple(exported.module_kept_var_idx)
    return Program(module, exported.in_tree, exported.out_tree, kept, tuple(exported.platforms))


def _of_path(path: Path) -> Program:
    if path.is_dir():
        raise ValueError(f"{path} is a directory; from_stablehlo takes a file.")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"from_stablehlo: no file {str(path)!r}. (Text of a module would have a brace in it.)"
        ) from None
    return _of_bytes(data, str(path))


def _of_bytes(data: bytes, where: str) -> Program:
    try:
        if data.startswith(_MLIR_BYTECODE):
            return Program(read_untrusted(data))
        text = _as_text(data)
        if text is not None:
            return Program(_parsed_text(text))
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


def _of_binary(data: bytes, where: str) -> Program:
    """An Exported as `jax.export` writes it, or a module of HLO."""
    from ..serialization import deserialize

    tried = []
    try:
        return _of_exported(deserialize(bytearray(data)))
    except Exception as error:  # damaged bytes fail in many ways
        tried.append(f"as an Exported: {error}")
    try:
        return Program(portable.module_from_hlo(data))
    except ValueError as error:
        tried.append(f"as HLO: {error}")
    reasons = "; ".join(each.splitlines()[0] for each in tried)
    raise ValueError(f"{where}: neither MLIR, an Exported, nor HLO ({reasons}).")
