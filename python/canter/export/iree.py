"""Programs for IREE's runtime, compiled by the `iree-base-compiler` package where it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from .portable import to_portable

__all__ = ["run_iree", "to_iree"]


def _installed(module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"This needs the package {package}: pip install {package}") from error


def to_iree(
    program: Any,
    *,
    backends: Sequence[str] = ("llvm-cpu",),
    flags: Sequence[str] = (),
    compatible_for: str = "1y",
) -> bytes:
    """Compiles a program with IREE.

    Args:
      program: as `to_portable` takes it. Kernels of other libraries (LAPACK) are nothing that IREE knows.
      backends: IREE's target backends: "llvm-cpu", "vulkan-spirv", "cuda", "vmvx", …
      flags: further flags of `iree-compile`; without any, code for the CPU is for the machine it is compiled on.
      compatible_for: how old the StableHLO of the IREE compiler may be.

    Returns:
      The bytes of a `.vmfb` module, for IREE's runtime in any language.

    Raises:
      ImportError: iree-base-compiler is not installed.
      ValueError: IREE cannot compile the program.
    """
    tools = _installed("iree.compiler.tools", "iree-base-compiler")
    artifact = to_portable(program, compatible_for=compatible_for, mixed=False)
    options = list(flags) or (["--iree-llvmcpu-target-cpu=host"] if "llvm-cpu" in backends else [])
    try:
        compiled = tools.compile_str(
            artifact, input_type="stablehlo", target_backends=list(backends), extra_args=options
        )
    except tools.CompilerToolError as error:
        lines = [line for line in str(error).splitlines() if "error:" in line]
        raise ValueError(f"IREE cannot compile the program: {lines[0] if lines else error}") from error
    return bytes(compiled)


def run_iree(module: bytes, *inputs: Any, function: str = "main", driver: str = "local-task") -> Any:
    """Runs what `to_iree` compiled, with the `iree-base-runtime` package.

    Args:
      module: the bytes.
      inputs: an array for each argument.
      function: which function.
      driver: IREE's driver: "local-task" runs on the CPU's threads.

    Returns:
      The results as NumPy arrays: one, or a tuple.

    Raises:
      ImportError: iree-base-runtime is not installed.
    """
    runtime = _installed("iree.runtime", "iree-base-runtime")
    config = runtime.Config(driver)
    loaded = runtime.load_vm_module(runtime.VmModule.copy_buffer(config.vm_instance, module), config)
    results = loaded[function](*map(np.asarray, inputs))
    if isinstance(results, (list, tuple)):
        return tuple(each.to_host() for each in results)
    return results.to_host()
