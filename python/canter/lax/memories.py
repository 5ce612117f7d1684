"""The memories of results where operands are in another memory than the devices' own."""

from __future__ import annotations

from typing import Any

from ..core.avals import ShapedArray
from ..core.memory import Space
from ..core.primitive import Primitive
from .explicit import is_foreign

__all__ = ["with_memories"]

# Primitives whose rules say themselves where their results are, or whose results come from elsewhere.
_OWN_RULES = frozenset(
    "device_put call_exported custom_lin call_hi_primitive linear_call remat_opt new_ref empty_ref get swap addupdate "
    "freeze free_ref consume assert_consumed_value after_all psend precv dim_as_value platform_index pure_callback "
    "io_callback debug_callback debug_print ffi_call".split()
)
# A value goes through unchanged but for its shape, so that it stays where it is.
_MOVED = frozenset(
    "broadcast_in_dim copy copy_p layout_constraint name pvary reshape reshard sharding_constraint squeeze "
    "stop_gradient transpose".split()
)
_EACH = frozenset(("sort", "optimization_barrier"))


def with_memories(primitive: Primitive, avals: Any, out: Any) -> Any:
    """Types of results in the memory in which the operands are.

    Operands without dimensions may be anywhere; where all are such, results are in the devices' memory. An updated
    array stays where it is, and those that are sorted together each stay where they are.

    Args:
      primitive: what is applied.
      avals: types of the operands.
      out: the type of the result, or types of results, as the primitive's shape rule gives them.

    Raises:
      ValueError: operands are in different memories.
    """
    name = primitive.name
    if name in _OWN_RULES or is_foreign(primitive):
        return out
    outs = out if primitive.multiple_results else [out]
    if name in _EACH:
        spaces = [aval.memory_space for aval in avals]
    else:
        moved = name in _MOVED or name.startswith("scatter")
        spaces = [avals[0].memory_space if moved else _common_space(name, avals)] * len(outs)
    outs = [
        aval.update(memory_space=space) if isinstance(aval, ShapedArray) else aval
        for aval, space in zip(outs, spaces, strict=True)
    ]
    return outs if primitive.multiple_results else outs[0]


def _common_space(name: str, avals: Any) -> Space:
    first: Any = None
    for aval in avals:
        if not isinstance(aval, ShapedArray) or not aval.shape:
            continue
        if first is not None and aval.memory is not first.memory:
            raise ValueError(
                f"memory_space of all inputs passed to `{name}` must be the same. Got one operand with type: {first} "
                f"and another operand with type: {aval}. Bring them to one memory with canter.device_put(x, "
                "canter.memory.Space.Device)."
            )
        first = aval
    return Space.Device if first is None else first.memory_space
