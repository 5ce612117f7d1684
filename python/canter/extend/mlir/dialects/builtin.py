"""The operations of the dialect `builtin`, from the MLIR bindings inside jaxlib."""

from . import _forward

__getattr__, __dir__ = _forward("builtin")
