"""The primitive that calls a function of the XLA foreign-function interface; the public face is `canter.ffi`."""

from __future__ import annotations

from typing import Any

from ..core.effects import Effect, control_flow_allowed_effects, lowerable_effects, no_effects
from ..core.primitive import Primitive
from .callbacks import batch_by_method, grown_avals

__all__ = ["FfiEffect", "ffi_call_p"]


class FfiEffect(Effect):
    """A foreign function does more than give its results."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is FfiEffect

    def __hash__(self) -> int:
        return hash(FfiEffect)

    def __repr__(self) -> str:
        return "FfiEffect()"


lowerable_effects.add_type(FfiEffect)
control_flow_allowed_effects.add_type(FfiEffect)
_effects = frozenset((FfiEffect(),))


ffi_call_p = Primitive("ffi_call", multiple_results=True)
ffi_call_p.def_effectful_abstract_eval(
    lambda *avals, result_avals, has_side_effect, **params: (
        list(result_avals),
        _effects if has_side_effect else no_effects,
    )
)


def _jvp(primals: Any, tangents: Any, *, target_name: str, **params: Any) -> Any:
    raise ValueError(
        f"The FFI call to `{target_name}` cannot be differentiated. You can use `custom_jvp` or `custom_vjp` to add "
        "support."
    )


def _grown(
    size: int, axes: Any, *, result_avals: Any, input_layouts: Any, output_layouts: Any, **params: Any
) -> Any:
    """Layouts are minor to major: a batch axis in front is the last of them."""

    def behind(layout: tuple[int, ...]) -> tuple[int, ...]:
        return (*(d + 1 for d in layout), 0)

    return {
        **params,
        "result_avals": grown_avals(size, result_avals),
        "input_layouts": tuple(
            behind(layout) if axis else layout for layout, axis in zip(input_layouts, axes, strict=True)
        ),
        "output_layouts": tuple(map(behind, output_layouts)),
    }


def _batch(args: Any, dims: Any, *, vmap_method: str | None, **params: Any) -> Any:
    return batch_by_method(ffi_call_p, args, dims, vmap_method, _grown, params)


ffi_call_p.jvp_rule = _jvp
ffi_call_p.batch_rule = _batch
