"""Programs and primitives, for libraries that write their own.

    from canter.extend import core
    double_p = core.Primitive("double")

See docs/writing-a-primitive.md.
"""

from typing import Any as _Any

from ...core.naming import lazy_names as _lazy_names

_load, _listed = _lazy_names(
    __name__,
    {
        "canter.core.avals": "AbstractToken valid_jaxtype",
        "canter.core.checker": "check_jaxpr",
        "canter.core.effects": "Effect Effects no_effects",
        "canter.core.errors": "InconclusiveDimensionOperation JaxprTypeError",
        "canter.core.jaxpr": "ClosedJaxpr DebugInfo DropVar Jaxpr JaxprEqn Literal Var gensym jaxpr_as_fun "
        "jaxprs_in_params new_jaxpr_eqn subjaxprs",
        "canter.core.opaque": "TraceTag find_top_trace get_opaque_trace_state nonempty_axis_env_DO_NOT_USE "
        "set_current_trace take_current_trace unsafe_am_i_under_a_jit_DO_NOT_USE "
        "unsafe_am_i_under_a_vmap_DO_NOT_USE unsafe_get_axis_names_DO_NOT_USE",
        "canter.core.primitive": "Primitive",
        "canter.core.trace": "concrete_or_error",
        "canter.extend.core.types": "Token array_types mapped_aval primal_dtype_to_tangent_dtype unmapped_aval",
        "canter.transforms.call_primitives": "CallPrimitive call_impl",
    },
)


def __getattr__(name: str) -> _Any:
    if name == "primitives":
        from importlib import import_module

        return import_module(f"{__name__}.primitives")
    return _load(name)


def __dir__() -> list[str]:
    return [*_listed(), "primitives"]
