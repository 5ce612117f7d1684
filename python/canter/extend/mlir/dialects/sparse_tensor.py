"""The operations of the dialect `sparse_tensor`, from the MLIR bindings inside jaxlib."""

from . import _forward

__getattr__, __dir__ = _forward("sparse_tensor")
