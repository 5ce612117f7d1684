"""What remains here of programs over several devices: options for the compiler, and the current mesh."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["create_compile_options"]


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
