"""The values of dimension variables at the beginning of a program, from the shapes of its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from canter.core.dimensions import is_symbolic_dim

from .dynamic import dimension_value
from .mlir_door import ir

if TYPE_CHECKING:
    from canter.core.symbolic.solution import Check, Plan, Step

    from .context import ModuleContext

__all__ = ["bind_dimensions"]

_create = ir.Operation.create
_INT32, _BOOL = np.dtype(np.int32), np.dtype(np.bool_)


def bind_dimensions(
    module: ModuleContext,
    avals: Sequence[Any],
    args: Sequence[Any],
    names: Sequence[str],
    checks: bool = True,
) -> None:
    """Emits what finds the variables in the shapes of arguments, and assertions that the shapes are possible.

    Args:
      avals, args: types and MLIR values of the arguments.
      names: what to call them in messages.
      checks: whether to emit the assertions.
    """
    from canter.core.symbolic.solution import plan

    shapes = [tuple(getattr(aval, "shape", ())) for aval in avals]
    found = plan(shapes, names)
    values: dict[str, Any] = {}
    module.dimension_values = values
    binder = _Binder(module, found, args)
    for step in found.steps:
        values[step.name] = binder.variable(step, checks)
    module.dimension_values = {name: values[name] for name in sorted(values)}
    if checks:
        for check in found.checks:
            binder.check(check)


class _Binder:
    def __init__(self, module: ModuleContext, plan: Plan, args: Sequence[Any]):
        self.module, self.plan, self.args = module, plan, args
        self.location = module.locations.unknown
        self.size_type = module.types.tensor((), _INT32)

    def size(self, place: tuple[int, int]) -> Any:
        attributes = {"dimension": self.module.types.integer(place[1])}
        return _create(
            "stablehlo.get_dimension_size",
            (self.size_type,),
            (self.args[place[0]],),
            attributes,
            loc=self.location,
        ).result

    def value(self, dimension: Any) -> Any:
        return dimension_value(self.module, dimension, self.location)

    def binary(self, name: str, x: Any, y: Any) -> Any:
        return _create(f"stablehlo.{name}", (self.size_type,), (x, y), loc=self.location).result

    def variable(self, step: Step, checks: bool) -> Any:
        value = self.size(step.place)
        if is_symbolic_dim(step.rest) or step.rest:
            value = self.binary("subtract", value, self.value(step.rest))
        if not is_symbolic_dim(step.number) and step.number == 1:
            return value
        number = self.value(step.number)
        if checks:
            from canter.core.symbolic.solution import MISMATCH

            remainder = self.binary("remainder", value, number)
            problem = (
                f"{MISMATCH}Division had remainder {{0}} when computing the value of '{step.name}' from "
                f"{self.plan.place_text(step.place)}, which is specified as '{step.specification}'."
            )
            self.assertion(remainder, "EQ", problem, (remainder,), {})
        return self.binary("divide", value, number)

    def check(self, check: Check) -> None:
        value = self.value(check.value)
        shown = [self.value(part) for part in check.shown]
        if check.place is not None:
            size = self.size(check.place)
            value = self.binary("subtract", value, size)
            shown.insert(0, size)
        numbers = [f"{{{i}}}" for i in range(len(shown))]
        found = {}
        for name, variable in self.module.dimension_values.items():
            found[name] = f"{{{len(shown)}}}"
            shown.append(variable)
        self.assertion(value, "EQ" if check.equality else "GE", check.text(numbers), tuple(shown), found)

    def assertion(
        self, value: Any, direction: str, problem: str, shown: tuple[Any, ...], found: dict[str, str]
    ) -> None:
        """Fails the call, with the problem, unless a value compares so to 0."""
        types = self.module.types
        zero = self.value(0)
        holds = _create(
            "stablehlo.compare",
            (types.tensor((), _BOOL),),
            (value, zero),
            types.compare(direction, "SIGNED"),
            loc=self.location,
        ).result
        message = problem + self.plan.explanation(found)
        attributes = {
            "call_target_name": types.string("shape_assertion"),
            "api_version": types.integer(2, 32),
            "error_message": types.string(message),
            "has_side_effect": types.boolean(True),
        }
        _create("stablehlo.custom_call", (), (holds, *shown), attributes, loc=self.location)
