"""Compiled programs as bytes. Names and parameters are those of `jax.experimental.serialize_executable`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..export.compiled_bytes import from_bytes as _from_bytes, to_bytes as _to_bytes
from ..runtime.stages import Compiled as _Compiled

__all__ = ["deserialize_and_load", "serialize"]


def serialize(compiled: _Compiled) -> tuple[bytes, Any, Any]:
    """A compiled program as bytes, and the structures of its arguments and results.

    Args:
      compiled: from `jit(f).lower(...).compile()`, for hardware that is here or not.

    Returns:
      What `deserialize_and_load` takes. The bytes are Canter's own format.

    Raises:
      ValueError: the program calls back into Python, or the platform does not write its programs.

    Example:
      >>> import canter as ct
      >>> from canter.experimental import serialize_executable
      >>> compiled = ct.jit(lambda x: {"twice": x + x}).lower(1.0).compile()
      >>> loaded = serialize_executable.deserialize_and_load(*serialize_executable.serialize(compiled))
      >>> print(loaded(2.0)["twice"])
      4.0
    """
    return _to_bytes(compiled, with_structure=False), compiled.in_tree, compiled.out_tree


def deserialize_and_load(
    serialized: bytes,
    in_tree: Any,
    out_tree: Any,
    backend: Any = None,
    execution_devices: Sequence[Any] | None = None,
) -> _Compiled:
    """The program of `serialize`, ready to be called.

    Args:
      serialized: the bytes.
      in_tree, out_tree: structures of arguments and results.
      backend: name or client of the platform it is to run on; None for the one it was compiled for.
      execution_devices: where it is to run, as many as it was compiled for; None for the first ones.

    Raises:
      ValueError: the bytes are no compiled program, are damaged, or are for other hardware or another version.

    Example: see `serialize`.
    """
    return _from_bytes(serialized, backend, execution_devices, (in_tree, out_tree))
