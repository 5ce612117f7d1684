"""The pass manager of the MLIR bindings inside jaxlib."""

from typing import Any

from canter_mlir.mlir_door import passmanager as _passmanager


def __getattr__(name: str) -> Any:
    return getattr(_passmanager, name)


def __dir__() -> list[str]:
    return dir(_passmanager)
