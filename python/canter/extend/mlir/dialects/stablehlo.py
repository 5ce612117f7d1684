"""The operations of the dialect `stablehlo`, from the MLIR bindings inside jaxlib."""

from . import _forward

__getattr__, __dir__ = _forward("stablehlo")
