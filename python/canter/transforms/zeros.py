"""Symbolic zeros, and the stand-ins for linear operands in transposition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..core.avals import get_aval
from ..core.high import is_high

__all__ = ["UndefinedPrimal", "Zero", "has_tangents", "is_undefined_primal", "tangents_by_flags"]


class Zero:
    """A tangent or cotangent that is known to be zero.

    Attributes:
      aval: what it would be as an array.
    """

    __slots__ = ("aval",)

    def __init__(self, aval: Any):
        self.aval = aval

    def __repr__(self) -> str:
        return f"Zero({self.aval.str_short()})"

    def instantiate(self) -> Any:
        """The zeros as an array."""
        from .rules import zeros_like_aval

        return zeros_like_aval(self.aval)

    @staticmethod
    def from_primal_value(value: Any) -> Zero:
        """The zero tangent of a value."""
        return Zero(get_aval(value).to_tangent_aval())


class UndefinedPrimal:
    """A linear operand, whose cotangent a transpose rule is to give.

    Attributes:
      aval: the aval of the operand.
    """

    __slots__ = ("aval",)

    def __init__(self, aval: Any):
        self.aval = aval

    def __repr__(self) -> str:
        return f"UndefinedPrimal({self.aval.str_short()})"


def is_undefined_primal(value: Any) -> bool:
    """True when a value stands for a linear operand."""
    return type(value) is UndefinedPrimal


def has_tangents(aval: Any) -> bool:
    """True when values of an aval can be differentiated by: those of floats and complex numbers."""
    tangent = aval.to_tangent_aval()
    if tangent is aval or not is_high(aval):  # of arrays it is itself for these alone
        return tangent is aval
    return tangent == aval or has_tangents(tangent)


def tangents_by_flags(outs: Sequence[Any], nonzeros: Sequence[bool], given: Iterable[Any]) -> list[Any]:
    """One tangent a result: the next given one where there is one, else a symbolic zero."""
    found = iter(given)
    return [
        next(found) if nonzero else Zero.from_primal_value(out)
        for out, nonzero in zip(outs, nonzeros, strict=True)
    ]
