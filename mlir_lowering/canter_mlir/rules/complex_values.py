"""Functions of complex numbers at infinite and undefined arguments, as C99 (Annex G) and the array API have them.

XLA expands these functions into real arithmetic, in which an infinity next to a nan becomes a nan. Each
repair here takes the argument and the result by their parts, and puts what is defined in place. Derivatives
and programs do not see them: they are emitted behind the operation, for complex numbers only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from canter.core.avals import ShapedArray

__all__ = ["REPAIRS", "repaired"]


class _Parts:
    """Real arithmetic on one part, as the repairs are written in."""

    def __init__(self, ctx: Any, aval: Any):
        self.ctx, self.aval = ctx, aval
        self.truth = aval.update(dtype=np.dtype(bool))

    def value(self, x: Any) -> Any:
        return self.ctx.full(x, self.aval) if isinstance(x, (int, float)) else x

    def equal(self, x: Any, y: float) -> Any:
        return self.ctx.compare("EQ", x, self.value(y), self.aval)

    def is_nan(self, x: Any) -> Any:
        return self.ctx.compare("NE", x, x, self.aval)

    def is_infinite(self, x: Any) -> Any:
        return self.equal(self.ctx.op("stablehlo.abs", (x,), self.aval), math.inf)

    def not_finite(self, x: Any) -> Any:
        return self.ctx.op(
            "stablehlo.not", (self.ctx.op("stablehlo.is_finite", (x,), self.truth),), self.truth
        )

    def both(self, a: Any, b: Any) -> Any:
        return self.ctx.op("stablehlo.and", (a, b), self.truth)

    def either(self, a: Any, b: Any) -> Any:
        return self.ctx.op("stablehlo.or", (a, b), self.truth)

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        return self.ctx.op("stablehlo.select", (condition, self.value(x), self.value(y)), self.aval)

    def negative(self, x: Any) -> Any:
        return self.ctx.op("stablehlo.negate", (x,), self.aval)

    def with_sign(self, size: float, x: Any) -> Any:
        """±size, with the sign of x."""
        negative = self.ctx.compare(
            "LT", self.ctx.op("stablehlo.atan2", (x, self.value(-1)), self.aval), self.value(0), self.aval
        )
        return self.where(negative, -size, size)


# A repair: (arithmetic, real and imaginary part of the argument, those of the result) -> those of the result.
Repair = Callable[[_Parts, Any, Any, Any, Any], tuple[Any, Any]]


def _exp(limit: float) -> Repair:
    """e**(a + bj) with b infinite or nan has a size for infinite a, and no angle."""

    def repair(p: _Parts, a: Any, b: Any, re: Any, im: Any) -> tuple[Any, Any]:
        no_angle = p.not_finite(b)
        vanishing, growing = p.both(no_angle, p.equal(a, -math.inf)), p.both(no_angle, p.equal(a, math.inf))
        return p.where(vanishing, limit, p.where(growing, math.inf, re)), p.where(vanishing, 0.0, im)

    return repair


def _log(p: _Parts, a: Any, b: Any, re: Any, im: Any) -> tuple[Any, Any]:
    """The size of a number with an infinite part is infinite."""
    return p.where(p.either(p.is_infinite(a), p.is_infinite(b)), math.inf, re), im


def _sqrt(p: _Parts, a: Any, b: Any, re: Any, im: Any) -> tuple[Any, Any]:
    upright = p.is_infinite(b)
    no_angle = p.is_nan(b)
    left, right = p.both(no_angle, p.equal(a, -math.inf)), p.both(no_angle, p.equal(a, math.inf))
    re = p.where(p.either(upright, right), math.inf, re)
    return re, p.where(upright, b, p.where(left, math.inf, im))


def _cosh(p: _Parts, a: Any, b: Any, re: Any, im: Any) -> tuple[Any, Any]:
    no_angle = p.not_finite(b)
    re = p.where(p.both(no_angle, p.is_infinite(a)), math.inf, re)
    return re, p.where(p.both(no_angle, p.equal(a, 0)), 0.0, im)


def _sinh(p: _Parts, a: Any, b: Any, re: Any, im: Any) -> tuple[Any, Any]:
    """Also of tanh at 0: the real part has no angle, so it stays."""
    certain = p.both(p.not_finite(b), p.either(p.equal(a, 0), p.is_infinite(a)))
    return p.where(certain, a, re), im


def _tanh(p: _Parts, a: Any, b: Any, re: Any, im: Any) -> tuple[Any, Any]:
    return p.where(p.both(p.not_finite(b), p.equal(a, 0)), a, re), im


def _acos(p: _Parts, a: Any, b: Any, re: Any, im: Any) -> tuple[Any, Any]:
    return p.where(p.both(p.equal(a, 0), p.is_nan(b)), math.pi / 2, re), im


def _acosh(p: _Parts, a: Any, b: Any, re: Any, im: Any) -> tuple[Any, Any]:
    return re, p.where(p.both(p.equal(a, 0), p.is_nan(b)), math.pi / 2, im)


def _asinh(p: _Parts, a: Any, b: Any, re: Any, im: Any) -> tuple[Any, Any]:
    return re, p.where(p.both(p.is_nan(a), p.equal(b, 0)), b, im)


def _atanh(p: _Parts, a: Any, b: Any, re: Any, im: Any) -> tuple[Any, Any]:
    no_number = p.either(p.is_nan(a), p.is_nan(b))
    upright = p.is_infinite(b)
    vanishing = p.either(p.either(p.equal(a, 0), p.is_infinite(a)), upright)
    re = p.where(no_number, p.where(vanishing, 0.0, math.nan), re)
    return re, p.where(no_number, p.where(upright, p.with_sign(math.pi / 2, b), math.nan), im)


def _turned(repair: Repair, back: bool = True) -> Repair:
    """The repair of f(z) from that of g(jz), where f(z) = -j g(jz), or g(jz) if not turned back."""

    def turned(p: _Parts, a: Any, b: Any, re: Any, im: Any) -> tuple[Any, Any]:
        if not back:
            return repair(p, p.negative(b), a, re, im)
        re, im = repair(p, p.negative(b), a, p.negative(im), re)
        return im, p.negative(re)

    return turned


#: Primitive -> repair of its result.
REPAIRS: dict[str, Repair] = {
    "exp": _exp(0.0),
    "expm1": _exp(-1.0),
    "log": _log,
    "log1p": _log,
    "sqrt": _sqrt,
    "cosh": _cosh,
    "sinh": _sinh,
    "tanh": _tanh,
    "acos": _acos,
    "acosh": _acosh,
    "asinh": _asinh,
    "atanh": _atanh,
    "cos": _turned(_cosh, back=False),
    "sin": _turned(_sinh),
    "tan": _turned(_tanh),
    "asin": _turned(_asinh),
    "atan": _turned(_atanh),
}


def repaired(name: str, ctx: Any, x: Any, result: Any) -> Any:
    """The result of a function of complex numbers with its special values put in place.

    Args:
      name: the primitive's name.
      ctx: the context of the equation.
      x: the argument, an MLIR value.
      result: what the compiler's operation gives for it.
    """
    out = ctx.avals_out[0]
    part = ShapedArray(out.shape, np.dtype(f"float{4 * ctx.avals_in[0].dtype.itemsize}"))
    arithmetic = _Parts(ctx, part)
    a, b = (ctx.op(f"stablehlo.{which}", (x,), part) for which in ("real", "imag"))
    if name == "abs":
        infinite = arithmetic.either(arithmetic.is_infinite(a), arithmetic.is_infinite(b))
        return arithmetic.where(infinite, math.inf, result)
    re, im = (ctx.op(f"stablehlo.{which}", (result,), part) for which in ("real", "imag"))
    return ctx.op("stablehlo.complex", REPAIRS[name](arithmetic, a, b, re, im), out)
