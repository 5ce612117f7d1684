"""The operations of the dialect `sdy`, from the MLIR bindings inside jaxlib."""

from . import _forward

__getattr__, __dir__ = _forward("sdy")
