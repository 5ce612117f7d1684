"""Scopes: which dimension variables belong together, and what is known of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .solver import Solver

if TYPE_CHECKING:
    from .expressions import DimExpr, Monomial, Terms

__all__ = ["Constraint", "SymbolicScope"]


class Constraint(NamedTuple):
    """What a scope assumes: `difference` is 0, or with `equality` False at least 0."""

    text: str
    equality: bool
    difference: Any


class SymbolicScope:
    """The dimension variables that may meet in one program, with the constraints on them.

    Args:
      constraints_str: constraints, such as `("a >= 2*b", "mod(a, 8) == 0")`. Every variable is at least 1 in
        any case.

    Attributes:
      constraints: them, parsed, in their order.

    Raises:
      ValueError: a constraint cannot be parsed, or contradicts itself.

    Example:
      >>> from canter.export import SymbolicScope, symbolic_shape
      >>> scope = SymbolicScope(["a >= 2*b"])
      >>> a, b = symbolic_shape("a, b", scope=scope)
      >>> a > b
      True
    """

    def __init__(self, constraints_str: Sequence[str] = ()):
        if isinstance(constraints_str, str):
            raise ValueError(
                f"The constraints of a symbolic scope are a sequence of strings; got the string {constraints_str!r}. "
                f"Write [{constraints_str!r}]."
            )
        self.constraints: list[Constraint] = []
        self.rewrites: dict[Monomial, Any] = {}
        self._created_at = _caller()
        self.solver = Solver(self)
        for text in constraints_str:
            self._add(text)

    def __repr__(self) -> str:
        return f"{id(self)} created at {self._created_at}"

    def __reduce__(self) -> Any:
        return SymbolicScope, (tuple(constraint.text for constraint in self.constraints),)

    def __deepcopy__(self, memo: Any) -> SymbolicScope:
        return self

    def _add(self, text: str) -> None:
        from .parser import parse_constraint

        symbol, left, right = parse_constraint(text, self)
        difference = left - right if symbol != "<=" else right - left
        constraint = Constraint(text, symbol == "==", difference)
        if isinstance(difference, int) and (difference != 0 if constraint.equality else difference < 0):
            raise ValueError(f"Unsatisfiable constraint: {text}: the sides differ by {difference}.")
        if symbol == "==" and not isinstance(difference, int):
            self._rewrite(left, right, difference)
        self.constraints.append(constraint)
        self.solver = Solver(self)  # what it had found out holds still, but there is more to find now

    # Equalities replace one side by the other, in every expression built later.

    def _rewrite(self, left: Any, right: Any, difference: DimExpr) -> None:
        from .expressions import expression

        for side, other in ((left, right), (right, left)):
            if isinstance(side, int) or len(side.terms) != 1 or side.terms[0][1] != 1:
                continue
            monomial = side.terms[0][0]
            if not _occurs(monomial, other):
                self.rewrites[monomial] = other
                return
        for monomial, number in difference.terms:
            rest = expression(self, {m: -n * number for m, n in difference.terms if m != monomial})
            if abs(number) == 1 and monomial and not _occurs(monomial, rest):
                self.rewrites[monomial] = rest
                return

    def rewritten(self, terms: Terms) -> Terms:
        """Terms with what equalities replace replaced."""
        from .expressions import divided, expression, terms_of

        result: Terms = {}
        for monomial, number in terms.items():
            for known, other in self.rewrites.items():
                factor = divided(monomial, known) if monomial else None
                if factor is not None:
                    replaced = other * expression(self, {factor: number})
                    break
            else:
                result[monomial] = result.get(monomial, 0) + number
                continue
            for own, count in terms_of(replaced).items():
                result[own] = result.get(own, 0) + count
        return result

    # Questions to the solver

    def proves(self, value: Any) -> bool:
        """Whether a dimension is certain not to be negative."""
        return value >= 0 if isinstance(value, int) else self.solver.proves(value)

    def sign_known(self, value: Any) -> bool | None:
        """Whether a dimension is not negative: True, False, or None where that depends on the variables."""
        if isinstance(value, int):
            return value >= 0
        return True if self.proves(value) else (False if self.proves(-value - 1) else None)

    def is_zero(self, value: Any) -> bool:
        """Whether a dimension is certain to be 0."""
        if isinstance(value, int):
            return value == 0
        return self.solver.is_zero(value)

    def compare(self, left: Any, symbol: str, right: Any) -> bool | None:
        """The truth of a comparison for all values of the variables.

        Args:
          left, right: dimensions.
          symbol: one of `== != < <= > >=`.

        Returns:
          True or False where it holds for all or for none, None where it depends on the values.
        """
        difference = left - right
        if symbol in ("==", "!="):
            zero = self.is_zero(difference)
            answer = True if zero else (False if self._never_zero(difference) else None)
            return answer if symbol == "==" or answer is None else not answer
        shifted = {">=": difference, "<=": -difference, ">": difference - 1, "<": -difference - 1}[symbol]
        return self.sign_known(shifted)

    def _never_zero(self, value: Any) -> bool:
        return value != 0 if isinstance(value, int) else self.solver.never_zero(value)

    def check_same(self, other: SymbolicScope, value: Any) -> None:
        """Raises ValueError unless the other scope is this one."""
        if self is not other:
            raise ValueError(
                f"Invalid mixing of symbolic scopes: '{value}' belongs to scope {self}, but it meets dimensions of "
                f"scope {other}. Make all shapes of one program in one scope: symbolic_shape(..., scope=...)."
            )

    def explanation(self) -> str:
        """The constraints, for an error."""
        if not self.constraints:
            return ""
        return f" Known: {', '.join(constraint.text for constraint in self.constraints)}."


def _occurs(monomial: Monomial, value: Any) -> bool:
    """Whether a replacement would bring back what it replaces."""
    if isinstance(value, int):
        return False
    names = {atom.text for atom, _ in monomial}
    inside = {atom.text for other, _ in value.terms for atom, _ in other} | value.variables()
    return names <= inside or any(
        atom.operation and names & _names(atom) for o, _ in value.terms for atom, _ in o
    )


def _names(atom: Any) -> set[str]:
    return {name for operand in atom.operands if not isinstance(operand, int) for name in operand.variables()}


def _caller() -> str:
    """The line outside of Canter that made the scope."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("canter."):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_name})"
