"""Compiling for named hardware, here or not, and keeping what was compiled in a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.mesh import Mesh
from ..core.partition_spec import P
from ..core.sharding import NamedSharding
from ..runtime.ahead_of_time import devices_of, lower_for
from ..runtime.jit import jit
from ..runtime.shape_dtype import struct_of
from ..runtime.stages import Compiled, Lowered, Traced
from .compiled_bytes import from_bytes, to_bytes
from .exported import Exported

__all__ = ["compile_for", "load_compiled", "save_compiled"]


def compile_for(
    program: Any, topology: Any, *args: Any, compiler_options: dict[str, Any] | None = None, **kwargs: Any
) -> Compiled:
    """Compiles a program for hardware that need not be here.

    Args:
      program: a function, jitted or not; or what was traced, lowered or exported already, which takes no further
        arguments.
      topology: "tpu:v5e:4x4", "cuda:h100:8", a GpuTargetConfig as text, or what
        `experimental.topologies.get_topology_desc` or `get_attached_topology` returns.
      *args: arguments, or their `ShapeDtypeStruct`s; shardings over a mesh decide how it is split.
      compiler_options: options of the compiler, by name.
      **kwargs: arguments by name.

    Returns:
      The compiled program: its text, cost and memory can be looked at, and `save_compiled` writes it to a file.

    Raises:
      ValueError: the compiler knows no such hardware, or it has fewer devices than the program's mesh.
      RuntimeError: the platform's plugin is not installed, or does not work.
      TypeError: arguments for a program that has them already.

    Example:
      >>> import canter as ct
      >>> from canter.experimental import topologies
      >>> here = topologies.get_attached_topology("cpu")
      >>> compiled = ct.export.compile_for(lambda x: x + x, here, ct.ShapeDtypeStruct((3,), "float32"))
      >>> compiled.memory_analysis().argument_size_in_bytes
      12
    """
    if isinstance(program, (Lowered, Traced, Exported)):
        if args or kwargs:
            raise TypeError(
                f"A {type(program).__name__} has the types of its arguments already; compile_for takes none beside it."
            )
        stage = _traced(program, topology) if isinstance(program, Exported) else program
    else:
        function = program if hasattr(program, "trace") else jit(program)
        stage = function.trace(*args, **kwargs)
    return lower_for(stage, topology).compile(compiler_options)


def _traced(exported: Exported, topology: Any) -> Traced:
    structs = [struct_of(aval) for aval in exported.in_avals]
    if exported.nr_devices > 1:
        mesh = _mesh_of(exported, devices_of(topology, exported.nr_devices))
        shardings = (one or NamedSharding(mesh, P()) for one in exported.in_shardings_jax(mesh))
        structs = [struct.update(sharding=one) for struct, one in zip(structs, shardings, strict=True)]
    args, kwargs = exported.in_tree.unflatten(structs)
    function = exported._function  # of its own name, unlike the method `call`
    return (function if hasattr(function, "trace") else jit(function)).trace(*args, **kwargs)


def _mesh_of(exported: Exported, devices: Sequence[Any]) -> Mesh:
    """The mesh for which a program was exported, of other devices."""
    named = (*exported._in_named_shardings, *exported._out_named_shardings)
    meshes = [one.mesh for one in named if one is not None and one.mesh.size == len(devices)]
    if not meshes:
        return Mesh(np.array(devices, object), ("devices",))
    return Mesh(
        np.array(devices, object).reshape(meshes[0].axis_sizes), meshes[0].axis_names, meshes[0].axis_types
    )


def save_compiled(compiled: Compiled, path: str | os.PathLike[str]) -> None:
    """Writes a compiled program to a file.

    Args:
      compiled: from `jit(f).lower(...).compile()` or `compile_for`.
      path: of the file.

    Raises:
      ValueError: the program calls back into Python, or takes nodes of classes that cannot be written.
      OSError: the file cannot be written.

    Example:
      >>> import canter as ct, tempfile, os
      >>> compiled = ct.jit(lambda x: x + x).lower(1.0).compile()
      >>> path = os.path.join(tempfile.mkdtemp(), "double.compiled")
      >>> ct.export.save_compiled(compiled, path)
      >>> print(ct.export.load_compiled(path)(2.0))
      4.0
    """
    data = to_bytes(compiled)
    temporary = f"{os.fspath(path)}.writing"
    with open(temporary, "wb") as file:
        file.write(data)
    os.replace(temporary, path)


def load_compiled(
    path: str | os.PathLike[str], *, backend: Any = None, devices: Sequence[Any] | None = None
) -> Compiled:
    """The compiled program of a file, ready to be called.

    Args:
      path: of a file that `save_compiled` wrote.
      backend: name of the platform it is to run on; None for the one it was compiled for.
      devices: where it is to run, as many as it was compiled for; None for the first ones.

    Raises:
      ValueError: the file has no compiled program, is damaged, or is for other hardware or another version.
      OSError: the file cannot be read.
      RuntimeError: the platform cannot be started here.

    Example: see `save_compiled`.
    """
    with open(path, "rb") as file:
        data = file.read()
    return from_bytes(data, backend, devices)
