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
    )
    from .checker import check_jaxpr as check_jaxpr
    from .effects import Effect as Effect, Effects as Effects, no_effects as no_effects
    from .jaxpr import (
        Atom as Atom,
        ClosedJaxpr as ClosedJaxpr,
        DebugInfo as DebugInfo,
        DropVar as DropVar,
        Jaxpr as Jaxpr,
        JaxprEqn as JaxprEqn,
        Literal as Literal,
        Var as Var,
        eval_jaxpr as eval_jaxpr,
        jaxpr_as_fun as jaxpr_as_fun,
        jaxprs_in_params as jaxprs_in_params,
        subjaxprs as subjaxprs,
    )
    from .primitive import Primitive as Primitive
    from .trace import (
        Trace as Trace,
        Tracer as Tracer,
        concrete_or_error as concrete_or_error,
        trace_state_clean as trace_state_clean,
    )

_names = {
    public: module
    for module, publics in {
        "avals": "AbstractToken AbstractValue ShapedArray abstract_token get_aval",
        "checker": "check_jaxpr",
        "effects": "Effect Effects no_effects",
        "jaxpr": "Atom ClosedJaxpr DebugInfo DropVar Jaxpr JaxprEqn Literal Var eval_jaxpr jaxpr_as_fun "
        "jaxprs_in_params subjaxprs",
        "primitive": "Primitive",
        "trace": "Trace Tracer concrete_or_error trace_state_clean",
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
