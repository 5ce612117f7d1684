"""Hypergeometric functions and Owen's T function."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.lax.common import const
from canter.numpy.ufunc_bodies import where
from canter.numpy.util import dtype_of, shape_of
from canter.transforms.custom_rules import SymbolicZero, custom_jvp
from canter.transforms.derivatives import jvp

from .common import documented, in_single, is_double, real
from .gamma_functions import gamma_sign

__all__ = ["hyp1f1", "hyp2f1", "owens_t"]

#: No series is longer: close to the edge of its circle, that of 2F1 converges as slowly as a geometric one.
_LONGEST = 20000


def _series(ratio: Callable[[Any], Any], x: Any) -> Any:
    """1 + t_1 + t_2 + … with t_{k+1} = ratio(k) t_k, until no term counts. `x` gives the shape."""
    tolerance = float(dtypes.finfo(dtype_of(x)).eps) / 4

    def unsettled(state: Any) -> Any:
        k, term, total = state
        counts = lax.abs(term) > tolerance * lax.abs(total)
        return lax.bitwise_and(k < _LONGEST, lax.reduce_or(lax.bitwise_or(k < 2, counts), _all_axes(x)))

    def step(state: Any) -> Any:
        k, term, total = state
        term = term * ratio(lax.convert_element_type(k, term.dtype))
        return k + 1, term, total + term

    one = lax.full_like(x, 1)
    return lax.while_loop(unsettled, step, (np.int32(0), one, one))[2]


def _all_axes(x: Any) -> tuple[int, ...]:
    return tuple(range(len(shape_of(x))))


def _with_parameter_derivatives(program: Callable[..., Any]) -> Callable[..., Any]:
    """A function of real operands whose derivatives are those of its program, also in reverse mode.

    The loops in the program can be differentiated forwards only, but the derivative by each operand
    is one number a point: what flows back through it is a product. It is a function of this kind itself,
    so that it has derivatives in turn.
    """

    @custom_jvp
    def function(*operands: Any) -> Any:
        return program(*operands)

    @functools.cache
    def derivative(place: int) -> Callable[..., Any]:
        def slope(*operands: Any) -> Any:
            units = [lax.full_like(x, 1 if n == place else 0) for n, x in enumerate(operands)]
            return jvp(program, operands, tuple(units))[1]

        return _with_parameter_derivatives(slope)

    def rule(primals: Any, tangents: Any) -> Any:
        value = function(*primals)
        total = lax.full_like(value, 0)
        for place, tangent in enumerate(tangents):
            if type(tangent) is not SymbolicZero:
                total = total + derivative(place)(*primals) * tangent
        return value, total

    function.defjvp(rule, symbolic_zeros=True)
    return function


# --- Kummer's function ----------------------------------------------------------------------------


def _kummer_asymptotic(a: Any, b: Any, x: Any) -> Any:
    """exp(-x) M(a, b, x) for large positive x, less what falls as exp(-x) next to it (DLMF 13.7.2)."""

    def step(k: Any, state: Any) -> Any:
        term, total, smallest = state
        k = lax.convert_element_type(k, x.dtype)
        following = term * (b - a + k) * (1 - a + k) / ((k + 1) * x)
        # From its smallest term on the series no longer helps.
        term = where(lax.abs(following) <= smallest, following, const(x, 0))
        return term, total + term, lax.min(smallest, lax.stop_gradient(lax.abs(term)))

    one = lax.full_like(x, 1)
    total = lax.fori_loop(0, 40 if is_double(x) else 20, step, (one, one, one))[1]
    sign = gamma_sign(b) * gamma_sign(a)
    return sign * lax.exp((a - b) * lax.log(x) + lax.lgamma(b) - lax.lgamma(a)) * total


@in_single
@_with_parameter_derivatives
def _hyp1f1(a: Any, b: Any, x: Any) -> Any:
    # For negative x Kummer's transformation: there the series would cancel.
    flipped = lax.bitwise_and(x < 0, lax.bitwise_not(_ends(a)))
    first, size = where(flipped, b - a, a), where(flipped, -x, x)
    far = lax.bitwise_and(size > 80, lax.bitwise_not(_ends(first)))
    near_x = where(far, const(x, 0), size)
    poles = lax.bitwise_and(b <= 0, b == lax.floor(b))
    near_b = where(poles, const(b, 1), b)
    series = _series(lambda k: (first + k) * near_x / ((near_b + k) * (1 + k)), x)
    asymptotic = _kummer_asymptotic(where(far, first, const(a, 1)), near_b, where(far, size, const(x, 81)))
    # Of the two exponentials, that of the transformation and that of the asymptotic form, one can cancel the other.
    exponent = where(far, where(flipped, const(x, 0), size), where(flipped, x, const(x, 0)))
    root = lax.exp(0.5 * exponent)  # which overflows later
    value = root * where(far, asymptotic, series) * root
    return where(poles, const(x, np.inf), value)


def _ends(a: Any) -> Any:
    """Whether a series with this upper parameter ends."""
    return lax.bitwise_and(a <= 0, a == lax.floor(a))


@documented(
    "hyp1f1", "Kummer's confluent hypergeometric function.", "hyp1f1(1.0, 2.0, 0.0)", "1.0", "a, b, x"
)
def hyp1f1(a: Any, b: Any, x: Any) -> Any:
    return _hyp1f1(*real("hyp1f1", a, b, x))


# --- Gauss's function -----------------------------------------------------------------------------


def _gauss_series(a: Any, b: Any, c: Any, x: Any) -> Any:
    return _series(lambda k: (a + k) * (b + k) * x / ((c + k) * (1 + k)), x)


def _gamma_ratio(above: tuple[Any, Any], below: tuple[Any, Any]) -> Any:
    """gamma(p) gamma(q) / (gamma(r) gamma(s)), 0 where r or s is a pole."""
    pole = lax.bitwise_or(*map(_ends, below))
    below = tuple(where(_ends(x), const(x, 1), x) for x in below)
    size = sum(map(lax.lgamma, above)) - sum(map(lax.lgamma, below))
    sign = 1.0
    for x in (*above, *below):
        sign = sign * gamma_sign(x)
    return where(pole, const(above[0], 0), sign * lax.exp(size))


def _near_one(a: Any, b: Any, c: Any, x: Any) -> Any:
    """0.75 < x < 1, by both series about 1 (DLMF 15.8.4), for c - a - b not too near a whole number."""
    excess = c - a - b
    y = 1 - x
    regular = _gamma_ratio((c, excess), (c - a, c - b)) * _gauss_series(a, b, 1 - excess, y)
    singular = _gamma_ratio((c, -excess), (a, b)) * _gauss_series(c - a, c - b, 1 + excess, y)
    return regular + lax.exp(excess * lax.log(y)) * singular


def _inside(a: Any, b: Any, c: Any, x: Any) -> Any:
    """0 <= x <= 1 and no poles."""
    excess = c - a - b
    # Euler's transformation (DLMF 15.8.1): the terms of the better series fall faster.
    euler = lax.bitwise_and(excess < 0, lax.bitwise_not(lax.bitwise_or(_ends(a), _ends(b))))
    whole = lax.abs(excess - lax.round(excess)) < 0.01
    ends = lax.bitwise_or(_ends(a), _ends(b))
    about_one = lax.bitwise_and(x > 0.75, lax.bitwise_not(lax.bitwise_or(whole, ends)))
    at_one = x == 1
    inner = where(lax.bitwise_or(about_one, at_one), const(x, 0), x)
    # A series that ends is summed wherever it is asked for.
    inner = where(ends, x, inner)
    factor = where(euler, lax.exp(excess * lax.log1p(-where(euler, inner, const(x, 0)))), const(x, 1))
    series = factor * _gauss_series(where(euler, c - a, a), where(euler, c - b, b), c, inner)
    safe = [where(about_one, p, const(x, q)) for p, q in ((a, 0.5), (b, 0.25), (c, 1.25), (x, 0.9))]
    value = where(about_one, where(at_one, const(x, 0), _near_one(*_off_one(safe))), series)
    sum_at_one = _gamma_ratio((c, where(excess > 0, excess, const(x, 1))), (c - a, c - b))
    limit = where(excess > 0, sum_at_one, const(x, np.inf))
    return where(lax.bitwise_and(at_one, lax.bitwise_not(ends)), limit, value)


def _off_one(operands: list[Any]) -> list[Any]:
    *parameters, x = operands
    return [*parameters, where(x == 1, const(x, 0.9), x)]


@in_single
@_with_parameter_derivatives
def _hyp2f1(a: Any, b: Any, c: Any, x: Any) -> Any:
    ends = lax.bitwise_or(_ends(a), _ends(b))
    # Pfaff's transformation (DLMF 15.8.1) takes negative x into [0, 1).
    pfaff = lax.bitwise_and(x < 0, lax.bitwise_not(ends))
    negative = where(pfaff, x, const(x, 0))
    inner = where(pfaff, negative / (negative - 1), x)
    beyond = lax.bitwise_and(x > 1, lax.bitwise_not(ends))
    poles = _ends(c)
    inner = where(lax.bitwise_or(beyond, x != x), const(x, 0), inner)
    value = _inside(a, where(pfaff, c - b, b), where(poles, const(c, 1), c), inner)
    value = lax.exp(-where(pfaff, a, const(a, 0)) * lax.log1p(-negative)) * value
    value = where(lax.bitwise_or(beyond, poles), const(x, np.inf), value)
    return where(x != x, x, value)


@documented(
    "hyp2f1",
    "Gauss's hypergeometric function, for x up to 1.",
    "hyp2f1(1.0, 2.0, 3.0, 0.0)",
    "1.0",
    "a, b, c, x",
)
def hyp2f1(a: Any, b: Any, c: Any, x: Any) -> Any:
    return _hyp2f1(*real("hyp2f1", a, b, c, x))


# --- Owen's T function ----------------------------------------------------------------------------

_NODES, _WEIGHTS = (values.tolist() for values in np.polynomial.legendre.leggauss(32))


def _owens_integral(h: Any, a: Any) -> Any:
    """The integral for h >= 0 and 0 <= a <= 1: beyond 8.7 / h the integrand is nothing."""
    end = lax.min(a, 8.7 / lax.max(h, const(h, 1e-6)))
    total = const(h, 0)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        t = 0.5 * (1 + node) * end
        square = t * t
        total = total + weight * lax.exp(-0.5 * (h * h) * square) / (1 + square)
    return total * end * lax.exp(-0.5 * h * h) / (4 * math.pi)


def _owens_t_values(h: Any, a: Any) -> Any:
    size, slope = lax.abs(h), lax.abs(a)
    steep = slope > 1
    inner = where(steep, 1 / slope, slope)
    # Where a is infinite only half of the normal tail remains.
    product = where(size == 0, const(h, 0), size * slope)
    first = where(steep, product, size)
    usable = first < np.inf
    part = where(usable, _owens_integral(where(usable, first, const(h, 0)), inner), const(h, 0))
    root = math.sqrt(0.5)
    one, other = 0.5 * lax.erfc(size * root), 0.5 * lax.erfc(product * root)
    value = where(steep, 0.5 * (one + other) - one * other - part, part)
    return lax.sign(a) * value


@custom_jvp
def _owens_t(h: Any, a: Any) -> Any:
    return _owens_t_values(h, a)


@_owens_t.defjvp
def _(primals: Any, tangents: Any) -> Any:
    h, a = primals
    by_h = -lax.exp(-0.5 * h * h) * lax.erf(a * h * math.sqrt(0.5)) / (2 * math.sqrt(2 * math.pi))
    by_a = lax.exp(-0.5 * h * h * (1 + a * a)) / (2 * math.pi * (1 + a * a))
    return _owens_t(h, a), by_h * tangents[0] + by_a * tangents[1]


@documented(
    "owens_t",
    "Owen's T function: the probability of X > h and 0 < Y < a X for independent normal X and Y.",
    "owens_t(0.0, 1.0).round(3)",
    "0.125",
    "h, a",
)
def owens_t(h: Any, a: Any) -> Any:
    return in_single(_owens_t)(*real("owens_t", h, a))
