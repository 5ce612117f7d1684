"""Programs with values of high types lowered: programs of the arrays that these consist of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.avals import get_aval
from ..core.high import is_high
from ..core.jaxpr import ClosedJaxpr
from ..core.tracing import trace_to_jaxpr

__all__ = ["arrays_of", "lowered_program", "types_of", "values_of"]


def types_of(avals: Sequence[Any]) -> list[Any]:
    """The types of the arrays that values of some types consist of."""
    return [low for aval in avals for low in (aval.lo_ty() if is_high(aval) else [aval])]


def arrays_of(values: Sequence[Any]) -> list[Any]:
    """The arrays that values consist of."""
    found = []
    for value in values:
        aval = get_aval(value)
        found += list(aval.lower_val(value)) if is_high(aval) else [value]
    return found


def values_of(avals: Sequence[Any], arrays: Sequence[Any]) -> list[Any]:
    """The values of some types made of their arrays."""
    given = iter(arrays)
    return [
        aval.raise_val(*(next(given) for _ in aval.lo_ty())) if is_high(aval) else next(given)
        for aval in avals
    ]


def lowered_program(closed: ClosedJaxpr, evaluate: Any) -> ClosedJaxpr:
    """The program from the arrays of its arguments to those of its results.

    Args:
      closed: the program.
      evaluate: `evaluate(closed, args)` evaluates it on values of high types.
    """
    key = "lowered"
    known = closed.memo.get(key)
    if known is None:

        def low(*arrays: Any) -> list[Any]:
            return arrays_of(evaluate(closed, values_of(closed.in_avals, arrays)))

        known = closed.memo[key] = trace_to_jaxpr(
            low, types_of(closed.in_avals), debug_info=closed.jaxpr.debug_info
        )
    return known
