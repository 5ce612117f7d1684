"""Options of operations, as enumerations that print and compare as users of the field expect."""

from __future__ import annotations

import enum

__all__ = ["AccuracyMode", "RandomAlgorithm", "RoundingMethod", "Tolerance"]


class RoundingMethod(enum.IntEnum):
    """How `lax.round` rounds numbers halfway between two integers.

    AWAY_FROM_ZERO rounds 0.5 to 1 and -0.5 to -1; TO_NEAREST_EVEN rounds 0.5 to 0 and 1.5 to 2.

    Example:
      >>> from canter import lax
      >>> float(lax.round(1.5, lax.RoundingMethod.AWAY_FROM_ZERO))
      2.0
    """

    AWAY_FROM_ZERO = 0
    TO_NEAREST_EVEN = 1


class RandomAlgorithm(enum.IntEnum):
    """The generator that `lax.rng_bit_generator` runs; RNG_DEFAULT lets the backend choose.

    Example:
      >>> from canter import lax
      >>> print(lax.RandomAlgorithm(2))
      RNG_PHILOX
    """

    RNG_DEFAULT = 0
    RNG_THREE_FRY = 1
    RNG_PHILOX = 2

    def __str__(self) -> str:
        return self.name


class AccuracyMode(enum.Enum):
    """A named accuracy of an elementwise function: HIGHEST, or the backend's DEFAULT.

    Example:
      >>> from canter import lax
      >>> float(lax.exp(0.0, accuracy=lax.AccuracyMode.HIGHEST))
      1.0
    """

    HIGHEST = 1
    DEFAULT = 2


class Tolerance:
    """A numeric accuracy of an elementwise function, any of which the backend may use.

    Args:
      atol: absolute tolerance, not negative.
      rtol: relative tolerance, not negative.
      ulps: tolerance in units in the last place, a nonnegative int.

    Raises:
      ValueError: a tolerance is negative, or all are zero.

    Example:
      >>> from canter import lax
      >>> lax.Tolerance(rtol=1e-3)
      Tolerance(atol=0.0, rtol=0.001, ulps=0)
    """

    __slots__ = ("atol", "rtol", "ulps")

    def __init__(self, atol: float = 0.0, rtol: float = 0.0, ulps: int = 0):
        if atol < 0 or rtol < 0 or ulps < 0:
            raise ValueError(f"Tolerances must not be negative, got atol={atol}, rtol={rtol}, ulps={ulps}.")
        if not (atol or rtol or ulps):
            raise ValueError("At least one of atol, rtol and ulps must be greater than zero.")
        self.atol, self.rtol, self.ulps = atol, rtol, ulps

    def _fields(self) -> tuple[float, float, int]:
        return self.atol, self.rtol, self.ulps

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tolerance) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self._fields())

    def __repr__(self) -> str:
        return f"Tolerance(atol={self.atol}, rtol={self.rtol}, ulps={self.ulps})"
