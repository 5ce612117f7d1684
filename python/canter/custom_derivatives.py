"""Functions with derivative rules of their own, and what such rules need."""

from .core.naming import lazy_names as _lazy_names

__getattr__, __dir__ = _lazy_names(
    __name__,
    {
        "canter.transforms.custom_derivatives": "custom_jvp_call_p custom_vjp_call_p",
        "canter.transforms.custom_gradient": "custom_gradient custom_vjp_primal_tree_values zero_from_primal",
        "canter.transforms.custom_rules": "CustomVJPPrimal SymbolicZero custom_jvp custom_vjp",
        "canter.transforms.linear_call": "linear_call",
        "canter.transforms.remat_opt": "remat_opt_p",
        "canter.transforms.scopes": "closure_convert",
    },
)
