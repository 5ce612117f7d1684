"""The values of dimension variables, from the sizes of arguments.

`plan` says how they are computed and what must hold of them, once for the shapes that a program is exported for.
A plan is carried out by `Plan.solve` on sizes that are known (ints, or dimensions of another program), and by
`canter_mlir.dimension_arguments` in the program itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..dimensions import is_symbolic_dim
from .expressions import DimExpr, divided, expression

__all__ = ["Check", "Plan", "Step", "plan"]


class Step(NamedTuple):
    """One variable: `name = (size - rest) / number`, exactly.

    Attributes:
      name: the variable.
      place: which argument's which dimension gives it.
      number: an int or a dimension in variables that come before.
      rest: likewise.
      specification: the dimension as the user wrote it.
    """

    name: str
    place: tuple[int, int]
    number: Any
    rest: Any
    specification: Any


class Check(NamedTuple):
    """What must hold: `value` is 0, or with `equality` False at least 0.

    Attributes:
      place: the dimension whose size is taken off `value` first; None: of none.
      problem: the sentence for an error, with `{}` for the numbers of `shown`.
    """

    value: Any
    equality: bool
    place: tuple[int, int] | None
    problem: str
    shown: tuple[Any, ...]

    def text(self, shown: Sequence[Any]) -> str:
        """The problem, with numbers."""
        text = self.problem.format(*shown)
        return text if text.startswith(MISMATCH_OF_CONSTRAINT) else MISMATCH + text


class Plan(NamedTuple):
    """How to find the variables of some shapes, and what to check.

    Attributes:
      steps: a variable each, in the order in which they can be found.
      checks: what else must hold.
      names: paths of the arguments.
      shapes: their shapes.
    """

    steps: tuple[Step, ...]
    checks: tuple[Check, ...]
    names: tuple[str, ...]
    shapes: tuple[tuple[Any, ...], ...]

    def place_text(self, place: tuple[int, int]) -> str:
        """A dimension of an argument: `args[0].shape[1]`."""
        return f"{self.names[place[0]]}.shape[{place[1]}]"

    def explanation(self, found: Mapping[str, Any]) -> str:
        """The specifications, and the values found for the variables."""
        specifications = ", ".join(
            f"{name}.shape = {_shape_text(shape)}"
            for name, shape in zip(self.names, self.shapes, strict=True)
            if any(map(is_symbolic_dim, shape))
        )
        text = f" Using the following polymorphic shapes specifications: {specifications}."
        values = ", ".join(
            f"'{step.name}' = {found[step.name]} from specification '{step.specification}' for dimension "
            f"{self.place_text(step.place)}"
            for step in self.steps
            if step.name in found
        )
        return text + (f" Obtained dimension variables: {values}." if values else "")

    def solve(self, shapes: Sequence[Sequence[Any]]) -> dict[str, Any]:
        """The values of the variables for shapes of the arguments.

        Args:
          shapes: of the arguments, of the right ranks: ints, or dimensions of the calling program.

        Raises:
          ValueError: no values give these shapes, or a constraint does not hold for them.
        """
        found: dict[str, Any] = {}
        for argument, (shape, own) in enumerate(zip(shapes, self.shapes, strict=True)):
            for axis, (size, expected) in enumerate(zip(shape, own, strict=True)):
                if not is_symbolic_dim(expected) and size != expected:
                    raise ValueError(
                        f"{MISMATCH}Found inconsistency between dimension size {self.place_text((argument, axis))} "
                        f"(= {size}) and the specification '{expected}'.{self.explanation(found)}"
                    )
        for step in self.steps:
            size = shapes[step.place[0]][step.place[1]]
            number, rest = (_value(part, found) for part in (step.number, step.rest))
            remainder = (size - rest) % number if not _is_one(number) else 0
            if remainder != 0:
                raise ValueError(
                    f"{MISMATCH}Division had remainder {remainder} when computing the value of '{step.name}' from "
                    f"{self.place_text(step.place)} (= {size}), which is specified as '{step.specification}'."
                    f"{self.explanation(found)}"
                )
            found[step.name] = (size - rest) // number
        for check in self.checks:
            value = _value(check.value, found)
            if check.place is not None:
                value = value - shapes[check.place[0]][check.place[1]]
            if not _holds(value, check.equality):
                shown = [_value(part, found) for part in check.shown]
                if check.place is not None:
                    shown.insert(0, shapes[check.place[0]][check.place[1]])
                raise ValueError(f"{check.text(shown)}{self.explanation(found)}")
        return found


MISMATCH = "Input shapes do not match the polymorphic shapes specification. "
MISMATCH_OF_CONSTRAINT = "Input shapes do not match the symbolic shape constraint "


def _is_one(number: Any) -> bool:
    return isinstance(number, int) and number == 1


def _value(part: Any, found: Mapping[str, Any]) -> Any:
    return part.evaluate(found) if isinstance(part, DimExpr) else part


def _holds(value: Any, equality: bool) -> bool:
    if isinstance(value, DimExpr):  # of the calling program: it must be certain there
        return value.scope.is_zero(value) if equality else value.scope.proves(value)
    return bool(value == 0 if equality else value >= 0)


def _shape_text(shape: Sequence[Any]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def plan(shapes: Sequence[Sequence[Any]], names: Sequence[str]) -> Plan:
    """How the variables in some shapes are found from the sizes of arguments that have these shapes.

    Args:
      shapes: of the arguments.
      names: what to call the arguments in messages.

    Raises:
      ValueError: a variable is in no dimension from which it can be found.
    """
    places = [
        ((argument, axis), size)
        for argument, shape in enumerate(shapes)
        for axis, size in enumerate(shape)
        if is_symbolic_dim(size)
    ]
    for _, size in places:
        size.scope.check_same(places[0][1].scope, size)
    variables: set[str] = set().union(*(size.variables() for _, size in places)) if places else set()
    known: set[str] = set()
    steps: list[Step] = []
    used: set[tuple[int, int]] = set()
    progress = True
    while progress and known != variables:
        progress = False
        for place, size in places:
            step = _step(place, size, known) if place not in used else None
            if step is not None:
                steps.append(step)
                known.add(step.name)
                used.add(place)
                progress = True
    empty = Plan(tuple(steps), (), tuple(names), tuple(map(tuple, shapes)))
    if known != variables:
        _raise_unsolvable(empty, places, variables - known, used)
    return empty._replace(checks=tuple(_checks(empty, places, used)))


def _step(place: tuple[int, int], size: DimExpr, known: set[str]) -> Step | None:
    """How a dimension gives its only unknown variable, if it is linear in that."""
    unknown = size.variables() - known
    if len(unknown) != 1:
        return None
    (name,) = unknown
    number_terms, rest_terms = {}, {}
    for monomial, count in size.terms:
        if not any(atom.text == name or name in _names_in(atom) for atom, _ in monomial):
            rest_terms[monomial] = count
            continue
        own = next(((atom, power) for atom, power in monomial if atom.text == name), None)
        if own is None or own[1] != 1 or any(name in _names_in(atom) for atom, _ in monomial):
            return None
        factor = divided(monomial, (own,))
        assert factor is not None
        number_terms[factor] = count
    scope = size.scope
    number = expression(scope, number_terms)
    if isinstance(number, DimExpr) and not scope.proves(number - 1):
        return None  # it might be zero
    return Step(name, place, number, expression(scope, rest_terms), size)


def _names_in(atom: Any) -> set[str]:
    return {name for x in atom.operands if isinstance(x, DimExpr) for name in x.variables()}


def _raise_unsolvable(empty: Plan, places: Any, missing: set[str], used: set[Any]) -> None:
    left = ", ".join(
        f"'{size}' for dimension {empty.place_text(place)}"
        for place, size in places
        if place not in used and size.variables() & missing
    )
    raise ValueError(
        f"Cannot solve for values of dimension variables {{{', '.join(map(repr, sorted(missing)))}}}: a variable is "
        "found from a dimension that is linear in it and has no other unknown variable."
        f"{empty.explanation({})} Unprocessed specifications: {left}. Give one of the arguments a dimension "
        "that is the variable alone."
    )


def _checks(empty: Plan, places: Any, used: set[Any]) -> Iterator[Check]:
    for step in empty.steps:
        scope = step.specification.scope
        value = expression(scope, {((_variable_atom(step.name), 1),): 1})
        yield Check(
            value - 1 if not isinstance(value, int) else value,
            False,
            None,
            f"Expected value >= 1 for dimension variable '{step.name}', but found {{}}.",
            (value,),
        )
    for place, size in places:
        if place not in used:
            yield Check(
                size,
                True,
                place,
                f"Found inconsistency between dimension size {empty.place_text(place)} (= {{}}) and the specification "
                f"'{size}' (= {{}}).",
                (size,),
            )
    known = {step.name for step in empty.steps}
    scopes = {id(size.scope): size.scope for _, size in places}
    for scope in scopes.values():
        for constraint in scope.constraints:
            difference = constraint.difference
            if isinstance(difference, int) or not difference.variables() <= known:
                continue
            wanted = "equal to 0" if constraint.equality else "greater or equal to 0"
            yield Check(
                difference,
                constraint.equality,
                None,
                f"{MISMATCH_OF_CONSTRAINT}{constraint.text}. Expected "
                f"'{difference}' to be {wanted}, but found {{}}.",
                (difference,),
            )


def _variable_atom(name: str) -> Any:
    from .expressions import Atom

    return Atom(None, (), name)
