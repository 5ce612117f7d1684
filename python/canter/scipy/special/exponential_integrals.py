"""Exponential, sine and cosine integrals, and the dilogarithm."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from canter import lax
from canter.lax.common import const
from canter.numpy.ufunc_bodies import where
from canter.transforms.custom_rules import custom_jvp

from .common import documented, in_single, is_double, polynomial, real

__all__ = ["exp1", "expi", "expn", "sici", "spence"]

_EULER = 0.57721566490153286061


def _loop(steps: int, body: Callable[[Any, Any], Any], state: Any) -> Any:
    """A loop of so many steps over floats 1, 2, …; the derivatives of these functions are known without it."""
    return lax.fori_loop(0, steps, lambda i, carry: body(i + 1, carry), state)


def _sum_of_powers(x: Any, terms: int) -> Any:
    """The sum of x**k / (k k!) over k = 1, 2, …"""

    def step(k: Any, state: Any) -> Any:
        term, total = state
        k = lax.convert_element_type(k, term.dtype)
        term = term * x / k
        return term, total + term / k

    return _loop(terms, step, (lax.full_like(x, 1), lax.full_like(x, 0)))[1]


def _scaled_fraction(n: Any, x: Any, depth: int) -> Any:
    """exp(x) E_n(x) by its continued fraction, from the bottom up (DLMF 8.19.17)."""

    def step(i: Any, value: Any) -> Any:
        k = lax.convert_element_type(depth + 1 - i, x.dtype)
        return k * (n + k - 1) / (x + n + 2 * k - value)

    start = lax.full_like(x, 0)
    return 1 / (x + n - _loop(depth, step, start))


def _exp1_values(x: Any) -> Any:
    near = x <= 1
    small = where(near, x, const(x, 1))
    series = -_EULER - lax.log(small) - _sum_of_powers(-small, 20 if is_double(x) else 12)
    large = where(near, const(x, 1), x)
    depth = 90 if is_double(x) else 18
    far = lax.exp(-large) * _scaled_fraction(lax.full_like(x, 1), large, depth)
    return where(near, series, far)


@custom_jvp
def _exp1(x: Any) -> Any:
    return _exp1_values(x)


@_exp1.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    return _exp1(x), -dx * lax.exp(-x) / x


@documented("exp1", "The integral of exp(-t) / t from x to infinity; NaN below 0.", "exp1(0.0)", "inf")
def exp1(x: Any) -> Any:
    return in_single(_exp1)(*real("exp1", x))


def _expi_values(x: Any) -> Any:
    double = is_double(x)
    limit = 40 if double else 20
    size = lax.abs(x)
    small = where(size < limit, size, const(x, limit))
    series = _EULER + lax.log(small) + _sum_of_powers(small, 150 if double else 75)
    inverse = 1 / where(size < limit, const(x, limit), size)
    asymptotic = const(x, 1)
    for k in range(limit, 0, -1):
        asymptotic = 1 + k * inverse * asymptotic
    # exp(x) overflows a little before exp(x) / x does.
    half = lax.exp(0.5 * where(size < limit, const(x, limit), size))
    far = half * inverse * asymptotic * half
    positive = where(size < limit, series, far)
    return where(x > 0, where(x == np.inf, x, positive), -_exp1_values(-x))


@custom_jvp
def _expi(x: Any) -> Any:
    return _expi_values(x)


@_expi.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    return _expi(x), dx * lax.exp(x) / x


@documented("expi", "The integral of exp(t) / t from -infinity to x.", "expi(0.0)", "-inf")
def expi(x: Any) -> Any:
    return in_single(_expi)(*real("expi", x))


def _expn_series(n: Any, x: Any, terms: int) -> Any:
    """E_n for 0 < x <= 1 and n >= 1 (DLMF 8.19.8)."""

    def step(m: Any, state: Any) -> Any:
        power, total = state
        m = lax.convert_element_type(m - 1, x.dtype)
        power = where(m == 0, power, -power * x / where(m == 0, const(m, 1), m))
        gap = m - n + 1
        return power, total - where(gap == 0, const(x, 0), power / where(gap == 0, const(x, 1), gap))

    power, total = lax.full_like(x, 1), lax.full_like(x, 0)
    total = _loop(terms, step, (power, total))[1]
    logarithm = lax.log(x)
    sign = 1 - 2 * lax.rem(n - 1, const(n, 2))
    singular = sign * lax.exp((n - 1) * logarithm - lax.lgamma(n)) * (lax.digamma(n) - logarithm)
    return total + singular


def _expn_values(n: Any, x: Any) -> Any:
    double = is_double(x)
    order = where(n >= 1, n, const(n, 1))
    near = lax.bitwise_and(x > 0, x <= 1)
    series = _expn_series(order, where(near, x, const(x, 1)), 22 if double else 13)
    far = lax.bitwise_and(x > 1, x < np.inf)
    large = where(far, x, const(x, 2))
    fraction = lax.exp(-large) * _scaled_fraction(order, large, 90 if double else 18)
    value = where(near, series, where(far, fraction, const(x, 0)))
    at_zero = where(n == 1, const(x, np.inf), 1 / where(n == 1, const(n, 1), n - 1))
    value = where(x == 0, at_zero, value)
    value = where(n == 0, lax.exp(-x) / x, value)
    unusable = lax.bitwise_or(lax.bitwise_or(x < 0, x != x), lax.bitwise_or(n < 0, n != lax.floor(n)))
    return where(unusable, const(x, np.nan), value)


@custom_jvp
def _expn(n: Any, x: Any) -> Any:
    return _expn_values(n, x)


@_expn.defjvp
def _(primals: Any, tangents: Any) -> Any:
    n, x = primals
    slope = where(n == 0, -lax.exp(-x) * (1 + x) / (x * x), -_expn(lax.abs(n - 1), x))
    return _expn(n, x), tangents[1] * slope  # orders are whole numbers: no derivative by them


@documented(
    "expn",
    "The integral of exp(-x t) / t**n from 1 to infinity, for whole n >= 0 and x >= 0.",
    "expn(2, 0.0)",
    "1.0",
    "n, x",
)
def expn(n: Any, x: Any) -> Any:
    return in_single(_expn)(*real("expn", n, x))


# --- sine and cosine integrals --------------------------------------------------------------------


def _sici_values(x: Any) -> tuple[Any, Any]:
    double = is_double(x)
    size = lax.abs(x)
    near = size <= 4
    small = where(near, size, const(x, 4))
    square = -small * small
    terms = range(16 if double else 10)
    sine = small * polynomial(square, [1 / (math.factorial(2 * k + 1) * (2 * k + 1)) for k in terms])
    cosine = square * polynomial(square, [1 / (math.factorial(2 * k) * 2 * k) for k in terms if k])
    near_c = _EULER + lax.log(small) + cosine
    # E_1(i x) = -Ci(x) + i (Si(x) - pi / 2), by its continued fraction.
    finite = size < np.inf
    large = where(lax.bitwise_or(near, lax.bitwise_not(finite)), const(x, 4), size)
    z = lax.complex(lax.full_like(large, 0), large)
    depth = 50 if double else 16
    fraction = const(z, 0)
    for k in range(depth, 0, -1):
        fraction = k * k / (z + (2 * k + 1) - fraction)
    amplitude = 1 / (z + 1 - fraction)
    tail = lax.complex(lax.cos(large), -lax.sin(large)) * amplitude
    far_s = where(finite, math.pi / 2 + lax.imag(tail), const(x, math.pi / 2))
    far_c = where(finite, -lax.real(tail), const(x, 0))
    missing = x != x
    si = lax.sign(x) * where(near, sine, far_s)
    return where(missing, x, si), where(missing, x, where(near, near_c, far_c))


@custom_jvp
def _sici(x: Any) -> tuple[Any, Any]:
    return _sici_values(x)


@_sici.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    at_zero = x == 0
    slope = where(at_zero, const(x, 1), lax.sin(x) / where(at_zero, const(x, 1), x))
    return _sici(x), (dx * slope, dx * lax.cos(x) / x)


@documented(
    "sici",
    "The integral of sin(t) / t from 0 to x, and that of cos(t) / t from infinity to x; a pair.",
    "sici(0.0)[1]",
    "-inf",
)
def sici(x: Any) -> tuple[Any, Any]:
    return in_single(_sici)(*real("sici", x))


# --- the dilogarithm ------------------------------------------------------------------------------

# B_2k / (2k + 1)! for k = 1, 2, …: the dilogarithm as a series in the logarithm, quick within |u| < 1.
_BERNOULLI = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330,
)  # fmt: skip
_SERIES = tuple(b / math.factorial(2 * k + 3) for k, b in enumerate(_BERNOULLI))


def _spence(x: Any) -> Any:
    usable = lax.bitwise_and(x > 0, x < np.inf)
    high = lax.bitwise_and(usable, x > 2)
    # Above 2 the value at 1 / x, below 1/2 that at 1 - x.
    y = where(usable, where(high, 1 / where(high, x, const(x, 1)), x), const(x, 1))
    low = y < 0.5
    u = -lax.log(where(low, 1 - y, y))
    square = u * u
    value = u - 0.25 * square + u * square * polynomial(square, _SERIES)
    small = where(low, y, const(x, 0.25))
    value = where(low, math.pi**2 / 6 - lax.log(small) * lax.log1p(-small) - value, value)
    logarithm = lax.log(where(high, x, const(x, 1)))
    value = where(high, -0.5 * (logarithm * logarithm) - value, value)
    at_ends = where(x == 0, const(x, math.pi**2 / 6), where(x == np.inf, -x, const(x, np.nan)))
    return where(usable, value, at_ends)


@documented(
    "spence",
    "The dilogarithm at 1 - x: the integral of log(t) / (1 - t) from 1 to x; NaN below 0.",
    "spence(2.0).round(3)",
    "-0.822",
)
def spence(x: Any) -> Any:
    return in_single(_spence)(*real("spence", x))
