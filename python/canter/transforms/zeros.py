"""Symbolic zeros, and the stand-ins for linear operands in transposition."""

from __future__ import annotations

from typing import Any

from ..core import dtypes
from ..core.avals import get_aval

__all__ = ["UndefinedPrimal", "Zero", "has_tangents", "is_undefined_primal"]


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
    return aval.to_tangent_aval().dtype != dtypes.float0
