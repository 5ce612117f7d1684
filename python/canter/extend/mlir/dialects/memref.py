"""The operations of the dialect `memref`, from the MLIR bindings inside jaxlib."""

from . import _forward

__getattr__, __dir__ = _forward("memref")
