"""Names for code that builds MLIR modules of its own."""

from ..core.naming import lazy_names as _lazy_names

__getattr__, __dir__ = _lazy_names(
    __name__,
    {
        "canter_mlir.context": "LoweringRuleContext",
        "canter_mlir.mlir_door": "JaxIrContext=new_context upstream_dialects",
    },
)
