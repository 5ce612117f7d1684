"""What remains here of programs over several devices: options for the compiler, and the current mesh."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from ..core.mesh import current_context as _current_context, empty_mesh as _empty_mesh

__all__ = ["create_compile_options", "thread_resources"]

Index = int | slice | tuple[int | slice, ...]
MeshAxisName = Any
ArrayMapping = OrderedDict[Any, int]


class _ResourceEnv:
    """What `with mesh:` has put in force in this thread.

    Attributes:
      physical_mesh: the mesh, or an empty one.
    """

    @property
    def physical_mesh(self) -> Any:
        return _current_context().physical or _empty_mesh

    @property
    def resource_axes(self) -> set[Any]:
        return set(self.physical_mesh.axis_names)

    @property
    def shape(self) -> OrderedDict[Any, int]:
        return self.physical_mesh.shape

    def __repr__(self) -> str:
        return f"ResourceEnv(mesh={self.physical_mesh!r})"


class _ThreadResources:
    """Holds what is in force in this thread, as its attribute `env`."""

    env = _ResourceEnv()


thread_resources = _ThreadResources()


def create_compile_options(
    computation: Any,
    tuple_args: bool,
    allow_prop_to_inputs: Sequence[bool],
    allow_prop_to_outputs: Sequence[bool],
    backend: Any,
    np_dev: Any,
    compiler_options: dict[str, Any] | None,
) -> tuple[dict[str, Any], Any]:
    """Options for compiling a module over an array of devices.

    Args:
      computation: the module; options do not depend on it.
      tuple_args: whether arguments are passed as one tuple.
      allow_prop_to_inputs, allow_prop_to_outputs: where the compiler may choose shardings, one flag each or one for
        all.
      backend: the client.
      np_dev: the devices: an array of (replicas, partitions) or of partitions.
      compiler_options: compiler options by name.

    Returns:
      The compiler options as a dictionary, and the options as the client takes them.
    """
    import numpy as np

    from canter_pjrt.compile import compile_options

    devices = np.asarray(np_dev, object)
    replicas = devices.shape[0] if devices.ndim > 1 else 1
    options = compile_options(list(devices.ravel()), compiler_options, num_replicas=replicas)
    options.parameter_is_tupled_arguments = tuple_args
    build = options.executable_build_options
    build.allow_spmd_sharding_propagation_to_parameters = list(allow_prop_to_inputs)
    build.allow_spmd_sharding_propagation_to_output = list(allow_prop_to_outputs)
    return dict(compiler_options or {}), options
