"""The core: avals, jaxprs, primitives, traces, pytrees, flags, errors.

The names that libraries look for in `jax.core` are found here; each is loaded when first used.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .avals import (
        AbstractToken as AbstractToken,
        AbstractValue as AbstractValue,
        ShapedArray as ShapedArray,
        abstract_token as abstract_token,
        get_aval as get_aval,
        valid_jaxtype as valid_jaxtype,
    )
    from .checker import check_jaxpr as check_jaxpr
    from .dimensions import (
        is_constant_dim as is_constant_dim,
        is_constant_shape as is_constant_shape,
        max_dim as max_dim,
        min_dim as min_dim,
    )
    from .effects import Effect as Effect, Effects as Effects, no_effects as no_effects
    from .errors import (
        InconclusiveDimensionOperation as InconclusiveDimensionOperation,
        JaxprTypeError as JaxprTypeError,
    )
    from .jaxpr import (
        Atom as Atom,
        ClosedJaxpr as ClosedJaxpr,
        DebugInfo as DebugInfo,
        DropVar as DropVar,
        Jaxpr as Jaxpr,
        JaxprEqn as JaxprEqn,
        Literal as Literal,
        ParamDict as ParamDict,
        Value as Value,
        Var as Var,
        eval_jaxpr as eval_jaxpr,
        gensym as gensym,
        jaxpr_as_fun as jaxpr_as_fun,
        jaxprs_in_params as jaxprs_in_params,
        new_jaxpr_eqn as new_jaxpr_eqn,
        subjaxprs as subjaxprs,
    )
    from .opaque import (
        eval_context as eval_context,
        find_top_trace as find_top_trace,
        get_opaque_trace_state as get_opaque_trace_state,
        nonempty_axis_env_DO_NOT_USE as nonempty_axis_env_DO_NOT_USE,
        unsafe_am_i_under_a_jit_DO_NOT_USE as unsafe_am_i_under_a_jit_DO_NOT_USE,
        unsafe_am_i_under_a_vmap_DO_NOT_USE as unsafe_am_i_under_a_vmap_DO_NOT_USE,
        unsafe_get_axis_names_DO_NOT_USE as unsafe_get_axis_names_DO_NOT_USE,
    )
    from .primitive import Primitive as Primitive
    from .printer import JaxprPpContext as JaxprPpContext, JaxprPpSettings as JaxprPpSettings
    from .trace import (
        Trace as Trace,
        Tracer as Tracer,
        concrete_or_error as concrete_or_error,
        ensure_compile_time_eval as ensure_compile_time_eval,
        is_concrete as is_concrete,
        trace_state_clean as trace_state_clean,
    )

_names = {
    public: module
    for module, publics in {
        "avals": "AbstractToken AbstractValue ShapedArray abstract_token get_aval valid_jaxtype",
        "checker": "check_jaxpr",
        "dimensions": "is_constant_dim is_constant_shape max_dim min_dim",
        "effects": "Effect Effects no_effects",
        "errors": "InconclusiveDimensionOperation JaxprTypeError",
        "jaxpr": "Atom ClosedJaxpr DebugInfo DropVar Jaxpr JaxprEqn Literal ParamDict Value Var eval_jaxpr gensym "
        "jaxpr_as_fun jaxprs_in_params new_jaxpr_eqn subjaxprs",
        "opaque": "eval_context find_top_trace get_opaque_trace_state nonempty_axis_env_DO_NOT_USE "
        "unsafe_am_i_under_a_jit_DO_NOT_USE unsafe_am_i_under_a_vmap_DO_NOT_USE unsafe_get_axis_names_DO_NOT_USE",
        "primitive": "Primitive",
        "printer": "JaxprPpContext JaxprPpSettings",
        "trace": "Trace Tracer concrete_or_error ensure_compile_time_eval is_concrete trace_state_clean",
    }.items()
    for public in publics.split()
}


def __getattr__(name: str) -> Any:
    module = _names.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_names})
