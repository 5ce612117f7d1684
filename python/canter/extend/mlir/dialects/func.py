"""The operations of the dialect `func`, from the MLIR bindings inside jaxlib."""

from . import _forward

__getattr__, __dir__ = _forward("func")
