"""What can be done with an artifact: run it, compile it, and tell what it takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from .artifact import Artifact, is_open
from .report import CommandError, size_text

__all__ = ["call", "compiled", "costs", "costs_text", "memory", "memory_text"]


def call(loaded: Artifact, values: Sequence[Any]) -> list[Any]:
    """The results of the program on arrays, one for each input.

    Raises:
      ValueError, TypeError, JaxRuntimeError: what the call says is wrong.
    """
    from ..tree_util import tree_leaves, tree_unflatten

    with _wide_types(loaded):
        if loaded.kind == "compiled":
            from .. import export

            program = export.load_compiled(loaded.path)
            args, kwargs = tree_unflatten(program.in_tree, list(values))
            return tree_leaves(program(*args, **kwargs))
        if loaded.exported is not None:
            args, kwargs = tree_unflatten(loaded.exported.in_tree, list(values))
            return tree_leaves(loaded.exported.call(*args, **kwargs))
        if loaded.bundle is not None:
            loaded.bundle.verify()
            results = _program_of_bundle(loaded.bundle)(*values)
            return list(results) if isinstance(results, tuple) else [results]
        return _execute(loaded, values)


def _program_of_bundle(bundle: Any) -> Callable[..., Any]:
    """The function of the inputs' leaves, with the weights in their places."""
    from ..tree_util import tree_leaves

    weights = tree_leaves(bundle.weights)

    return _named(lambda *inputs: bundle.function(*weights, *inputs), bundle.manifest["name"])


def _named(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The function under the name that is to stand in the compiled program."""

    def program(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    program.__name__ = program.__qualname__ = name
    return program


def _execute(loaded: Artifact, values: Sequence[Any]) -> list[Any]:
    """The results of a module, compiled as it is."""
    import canter as ct
    from canter_pjrt import compile
    from canter_pjrt.jaxlib_door import SingleDeviceSharding, make_array

    from ..core.avals import ShapedArray
    from ..runtime import compilation_cache  # noqa: F401 - tells the cache its flags

    if is_open(loaded):
        raise CommandError(f"{loaded.path} has open dimensions: a module with those runs as a .canter only")
    device = ct.local_devices()[0]
    executable = compile.compile_or_load(loaded.code, [device], name=loaded.name)
    results = executable.execute_sharded([ct.device_put(value, device) for value in values])
    where = SingleDeviceSharding(device)
    return [
        make_array(ShapedArray(one.aval.shape, one.aval.dtype), where, shards)
        for one, shards in zip(loaded.outputs, results.disassemble_into_single_device_arrays(), strict=True)
    ]


def compiled(loaded: Artifact, topology: Any = None, compiler_options: dict[str, Any] | None = None) -> Any:
    """The program, compiled for hardware, or for the default device of this machine: a `Compiled`.

    Raises:
      CommandError: a dimension is open.
      ValueError, RuntimeError: the hardware or an option is not known, or there is no plugin.
    """
    import canter as ct

    from .. import export
    from ..experimental import topologies
    from ..tree_util import tree_unflatten

    if is_open(loaded):
        raise CommandError(f"{loaded.path} has open dimensions; export it with numbers to compile it")
    where = topologies.get_attached_topology() if topology is None else topology
    with _wide_types(loaded):
        specs = [ct.ShapeDtypeStruct(one.aval.shape, one.aval.dtype) for one in loaded.inputs]
        if loaded.exported is not None:
            args, kwargs = tree_unflatten(loaded.exported.in_tree, specs)
            lowered = ct.jit(_named(loaded.exported.call, loaded.name)).lower(*args, **kwargs)
            return export.compile_for(lowered, where, compiler_options=compiler_options)
        function = (
            export.from_stablehlo(loaded.code) if loaded.bundle is None else _program_of_bundle(loaded.bundle)
        )
        return export.compile_for(function, where, *specs, compiler_options=compiler_options)


def memory(compiled: Any) -> dict[str, int] | None:
    """The memory that a compiled program takes, in bytes by use; None where the platform does not tell."""
    try:
        stats = compiled.memory_analysis()
    except NotImplementedError:
        return None
    kinds = {"arguments": "argument", "results": "output", "scratch": "temp", "code": "generated_code"}
    return {name: int(getattr(stats, f"{kind}_size_in_bytes")) for name, kind in kinds.items()}


_COSTS = {"flops": "flops", "bytes accessed": "bytes_accessed", "transcendentals": "transcendentals"}


def costs(found: dict[str, float]) -> dict[str, float]:
    """What matters of an estimate of the cost."""
    return {name: found[key] for key, name in _COSTS.items() if key in found}


def memory_text(memory: dict[str, int]) -> str:
    return ", ".join(f"{size_text(size)} {name}" for name, size in memory.items())


def costs_text(costs: dict[str, float]) -> str:
    return ", ".join(f"{value:,.0f} {name.replace('_', ' ')}" for name, value in costs.items())


def _wide_types(loaded: Artifact) -> Any:
    """A block in which 64-bit types are kept, if the program has any."""
    from ..core.config import enable_x64

    wide = any(
        re.search("64$|128$", str(one.aval.dtype)) and str(one.aval.dtype) != "complex64"
        for one in (*loaded.inputs, *loaded.outputs)
    )
    return enable_x64(wide or enable_x64.value)
