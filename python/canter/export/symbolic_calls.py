"""Types of the results of programs that were exported for symbolic shapes, for shapes of a call."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from ..core import dtypes
from ..core.avals import ShapedArray
from ..core.symbolic.expressions import DimExpr
from ..core.symbolic.solution import Plan, plan

__all__ = ["result_types"]

_plans: weakref.WeakKeyDictionary[Any, Plan] = weakref.WeakKeyDictionary()


def result_types(exported: Any, avals: Sequence[Any], names: Sequence[str]) -> list[ShapedArray]:
    """The types of the results of a call.

    Args:
      exported: the program.
      avals: types of the call's arguments: a shape may be symbolic, in a scope of the calling program.
      names: what to call the arguments in messages.

    Raises:
      ValueError: an argument has another rank or dtype than the program wants, or no values of its dimension
        variables give these shapes.
    """
    given = [i for i, aval in enumerate(exported.in_avals) if aval.dtype != dtypes.float0]
    wanted, own = [exported.in_avals[i] for i in given], [names[i] for i in given]
    _check_ranks_and_dtypes(exported.fun_name, avals, wanted, own)
    found = _plan_of(exported, wanted, own).solve([aval.shape for aval in avals])
    return [
        aval.update(shape=tuple(_size(size, found) for size in aval.shape)) for aval in exported.out_avals
    ]


def _plan_of(exported: Any, wanted: Sequence[Any], names: Sequence[str]) -> Plan:
    try:
        known = _plans.get(exported)
    except TypeError:  # an artifact that cannot be hashed
        return plan([aval.shape for aval in wanted], names)
    if known is None:
        known = _plans[exported] = plan([aval.shape for aval in wanted], names)
    return known


def _size(size: Any, found: dict[str, Any]) -> Any:
    return size.evaluate(found) if isinstance(size, DimExpr) else size


def _check_ranks_and_dtypes(
    fun_name: str, avals: Sequence[Any], expected: Sequence[Any], names: Sequence[str]
) -> None:
    for name, given, wanted in zip(names, avals, expected, strict=True):
        if len(given.shape) != len(wanted.shape):
            raise ValueError(
                f"Rank mismatch for {name} of '{fun_name}': expected {wanted.shape} and called with "
                f"{given.shape}."
            )
        if given.dtype != wanted.dtype:
            raise ValueError(
                f"Dtype mismatch for {name} of '{fun_name}': expected {wanted.dtype} and called with "
                f"{given.dtype}. Convert the argument, or export the function for this dtype."
            )
