"""The MLIR bindings inside jaxlib: contexts, modules, types, attributes, operations."""

from typing import Any

from canter_mlir.mlir_door import ir as _ir


def __getattr__(name: str) -> Any:
    return getattr(_ir, name)


def __dir__() -> list[str]:
    return dir(_ir)
