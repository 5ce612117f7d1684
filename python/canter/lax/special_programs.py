"""Programs of array operations for special functions that StableHLO and CHLO lack.

They are written for float32 and float64; narrower types are computed in float32. Sources: the NIST
Digital Library of Mathematical Functions (DLMF), https://dlmf.nist.gov; C. Loader, Fast and Accurate
Computation of Binomial Probabilities (2000), for densities without cancellation; W. Lentz, Applied
Optics 15 (1976), for continued fractions; N. Temme, SIAM J. Math. Anal. 10 (1979), for large
parameters; M. Figurnov, S. Mohamed, A. Mnih, Implicit Reparameterization Gradients (2018).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.avals import get_aval
from ..transforms.jvp import jvp_flat
from ..transforms.rules import instantiate_zeros
from .common import broadcast_operand_shapes, const, ops, spread

# --- helpers --------------------------------------------------------------------------------------


def _in_float32_or_wider(program: Callable[..., Any]) -> Callable[..., Any]:
    """Brings operands to one shape, and to float32 where they are narrower."""

    def wide_program(*operands: Any) -> Any:
        avals = [get_aval(x) for x in operands]
        shape = broadcast_operand_shapes(program.__name__, [aval.shape for aval in avals])
        dtype = avals[0].dtype
        wide = dtype if dtype == np.float64 else np.dtype(np.float32)
        result = program(*(spread(ops.convert_element_type(x, wide), shape) for x in operands))
        return ops.convert_element_type(result, dtype)

    wide_program.__doc__ = program.__doc__
    return wide_program


def _epsilon(x: Any) -> float:
    return float(dtypes.finfo(get_aval(x).dtype).eps)


def _where(condition: Any, x: Any, y: Any) -> Any:
    """`x` where the condition holds, else `y`; either may be a number."""
    example = x if hasattr(x, "dtype") else y
    cases = [case if hasattr(case, "dtype") else ops.full_like(example, case) for case in (x, y)]
    return ops.select(condition, *cases)


def _horner(x: Any, coefficients: Sequence[float]) -> Any:
    """A polynomial, the constant term first."""
    result = ops.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = ops.add(ops.mul(result, x), const(x, coefficient))
    return result


def _deviance(x: Any, mean: Any, difference: Any = None) -> Any:
    """log(x / mean) - (x - mean) / mean without cancellation near the mean.

    `difference` is x - mean where it is known better than from these. With d = (x - mean) / mean and
    r = d / (2 + d), the logarithm is twice the series r + r**3 / 3 + r**5 / 5 + ... (DLMF 4.6.4).
    """
    d = ops.div(ops.sub(x, mean) if difference is None else difference, mean)
    near = ops.lt(ops.abs(d), const(x, 0.25))
    safe = _where(near, d, 0.0)
    r = ops.div(safe, ops.add(safe, const(x, 2)))
    square = ops.square(r)
    series = _horner(square, [2 / k for k in range(3, 25, 2)])
    close = ops.sub(ops.mul(ops.mul(r, square), series), ops.mul(r, safe))
    return _where(near, close, ops.sub(ops.log(ops.div(x, mean)), d))


def zeta_minus_one(k: int) -> float:
    """The Riemann zeta function less 1 at an integer above 1, by Euler's and Maclaurin's formula."""
    n = 50
    tail = n ** (1 - k) / (k - 1) - n**-k / 2 + k * n ** (-k - 1) / 12
    tail -= k * (k + 1) * (k + 2) * n ** (-k - 3) / 720
    tail += k * (k + 1) * (k + 2) * (k + 3) * (k + 4) * n ** (-k - 5) / 30240
    return sum(float(m) ** -k for m in range(n, 1, -1)) + tail


def _lgamma1p(a: Any) -> Any:
    """The logarithm of gamma(1 + a), exact also for small a >= 0, DLMF 5.7.3."""
    small = ops.lt(a, const(a, 0.5))
    safe = _where(small, a, 0.0)
    coefficients = [1 - _EULER, *((-1) ** k * zeta_minus_one(k) / k for k in range(2, 28))]
    near = ops.sub(ops.mul(safe, _horner(safe, coefficients)), ops.log1p(safe))
    return _where(small, near, ops.lgamma(ops.add(_where(small, 1.0, a), const(a, 1))))


def _stirling_error(a: Any) -> Any:
    """The logarithm of gamma(a + 1) / (sqrt(2 pi a) (a / e) ** a), DLMF 5.11.1."""
    large = ops.gt(a, const(a, 10))
    safe = _where(large, a, 11.0)
    inverse = ops.reciprocal(safe)
    terms = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360]
    asymptotic = ops.mul(inverse, _horner(ops.square(inverse), terms))
    a = _where(large, 1.0, a)
    logs = ops.mul(ops.add(a, const(a, 0.5)), ops.log(a))
    exact = ops.sub(ops.add(ops.sub(_lgamma1p(a), logs), a), const(a, _HALF_LOG_2PI))
    return _where(large, asymptotic, exact)


_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_EULER = 0.5772156649015329

State = tuple[Any, ...]

# No loop is longer. The incomplete gamma function needs less than 1000 steps, the incomplete beta
# function about the square root of its larger parameter.
_LONGEST = 20000


def _iterate(
    step: Callable[[State, Any, Any], State], state: State, a: Any, derivative: bool, tolerance: float
) -> State:
    """Repeats `state = step(state, n, a)`, n = 1, 2, ..., until the last element of the state is stable.

    With `derivative` the state is followed by its derivative by `a`, whose last element must be
    stable, too. The tolerance is relative, in units of the dtype's precision.
    """
    size = len(state)
    if derivative:
        state = (*state, *(ops.full_like(x, 0) for x in state))

    def advance(current: State, n: Any) -> State:
        if not derivative:
            return step(current, n, a)
        primals = [a, *current[:size]]
        tangents = [ops.full_like(a, 1), *current[size:]]
        outs, dots = jvp_flat(lambda a, *xs: step(xs, n, a), primals, tangents)
        return (*outs, *map(instantiate_zeros, dots))

    watched = (size - 1, 2 * size - 1) if derivative else (size - 1,)
    relative = const(a, tolerance * _epsilon(a))
    axes = tuple(range(len(get_aval(a).shape)))

    def body(carry: Any) -> Any:
        n, active, current = carry
        new = advance(current, n)
        new = tuple(ops.select(active, x, old) for x, old in zip(new, current, strict=True))
        moving = ops.full_like(active, False)
        for i in watched:
            change = ops.abs(ops.sub(new[i], current[i]))
            moving = ops.bitwise_or(moving, ops.gt(change, ops.mul(ops.abs(new[i]), relative)))
        return ops.add(n, const(n, 1)), ops.bitwise_and(active, moving), new

    def condition(carry: Any) -> Any:
        n, active, _ = carry
        return ops.bitwise_and(ops.reduce_or(active, axes), ops.le(n, const(n, _LONGEST)))

    active = ops.eq(a, a)
    return ops.while_loop(condition, body, (ops.full((), 1, get_aval(a).dtype), active, state))[2]


# --- incomplete gamma functions -------------------------------------------------------------------

# From this parameter on Temme's expansion is exact to the last bits, and the loops would be long.
_LARGE = 1e4
_TEMME = (
    (
        -1 / 3,
        1 / 12,
        -2 / 135,
        1 / 864,
        1 / 2835,
        -139 / 777600,
        1 / 25515,
        -571 / 261273600,
    ),
    (-1 / 540, -1 / 288, 1 / 378, -77 / 77760, 1 / 4860),
    (25 / 6048, -139 / 51840, 1 / 1296),
)


def _log_term(a: Any, x: Any) -> Any:
    """The logarithm of x ** a * exp(-x) / gamma(a + 1), after Loader."""
    large = ops.gt(a, const(a, 10))
    many = _where(large, a, 11.0)
    scale = ops.add(ops.mul(const(a, 0.5), ops.log(many)), const(a, _HALF_LOG_2PI))
    loader = ops.sub(ops.sub(ops.mul(many, _deviance(x, many)), _stirling_error(many)), scale)
    few = _where(large, 1.0, a)
    direct = ops.sub(ops.sub(ops.mul(few, ops.log(x)), x), _lgamma1p(few))
    return ops.select(large, loader, direct)


def _series_step(x: Any) -> Callable[[State, Any, Any], State]:
    def step(state: State, n: Any, a: Any) -> State:
        term, total = state
        term = ops.mul(term, ops.div(x, ops.add(a, n)))
        return term, ops.add(total, term)

    return step


def _fraction_step(x: Any) -> Callable[[State, Any, Any], State]:
    def step(state: State, n: Any, a: Any) -> State:
        c, d, value = state
        numerator = ops.mul(n, ops.sub(a, n))
        denominator = ops.add(ops.sub(x, a), ops.add(ops.mul(n, const(n, 2)), const(n, 1)))
        d = ops.reciprocal(ops.add(ops.mul(numerator, d), denominator))
        c = ops.add(denominator, ops.div(numerator, c))
        return c, d, ops.mul(value, ops.mul(c, d))

    return step


def _gamma_series(a: Any, x: Any, derivative: bool) -> tuple[Any, Any]:
    """P(a, x) / term(a, x) - 1 by DLMF 8.7.1, for x <= a or small; and its derivative by a."""
    state = _iterate(_series_step(x), (ops.full_like(a, 1), ops.full_like(a, 0)), a, derivative, 0.25)
    return state[1], state[-1]


def _gamma_fraction(a: Any, x: Any, derivative: bool) -> tuple[Any, Any]:
    """Q(a, x) / (a term(a, x)) by DLMF 8.9.2, for x > a and x > 1; and its derivative by a."""

    def first(a: Any) -> State:
        b = ops.add(ops.sub(x, a), const(a, 1))
        d = ops.reciprocal(b)
        return ops.full_like(a, 1 / _tiny(a)), d, d

    def step(state: State, n: Any, a: Any) -> State:
        return _fraction_step(x)(state, n, a)

    if not derivative:
        state = _iterate(step, first(a), a, False, 2.0)
        return state[2], state[2]
    # The first state depends on `a`, too: it is the first step from a state that does not.
    zero = ops.full_like(a, 0)

    def step_from_nothing(state: State, n: Any, a: Any) -> State:
        begun = first(a)
        following = step(state, ops.sub(n, const(n, 1)), a)
        at_first = ops.broadcast_in_dim(ops.eq(n, const(n, 1)), get_aval(a).shape, ())
        return tuple(ops.select(at_first, x0, x1) for x0, x1 in zip(begun, following, strict=True))

    state = _iterate(step_from_nothing, (ops.full_like(a, 1), zero, zero), a, True, 16.0)
    return state[2], state[5]


def _tiny(x: Any) -> float:
    """What Lentz's method starts from instead of zero."""
    return 1e-30 if get_aval(x).dtype == np.float32 else 1e-200


def _temme(a: Any, x: Any, upper: bool) -> Any:
    """P(a, x) or Q(a, x) for large a, DLMF 8.12.3 and 8.12.7-10."""
    deviation = ops.div(ops.sub(x, a), a)
    half_square = ops.max(ops.neg(_deviance(x, a)), const(a, 0))
    eta = ops.mul(ops.sign(deviation), ops.sqrt(ops.mul(half_square, const(a, 2))))
    close = ops.clamp(const(a, -0.5), eta, const(a, 0.5))
    inverse = ops.reciprocal(a)
    sums = [_horner(close, coefficients) for coefficients in _TEMME]
    correction = ops.add(sums[0], ops.mul(inverse, ops.add(sums[1], ops.mul(inverse, sums[2]))))
    density = ops.div(ops.exp(ops.neg(ops.mul(a, half_square))), ops.sqrt(ops.mul(a, const(a, 2 * math.pi))))
    correction = ops.mul(density, correction)
    argument = ops.mul(eta, ops.sqrt(ops.mul(a, const(a, 0.5))))
    if not upper:
        argument, correction = ops.neg(argument), ops.neg(correction)
    return ops.add(ops.mul(ops.erfc(argument), const(a, 0.5)), correction)


def _temme_slope(a: Any, x: Any, implicit: bool) -> Any:
    """The derivative of P(a, x) by a for large a, or what `_gamma_slope` makes of it.

    P(s + 1/2, x) - P(s - 1/2, x) is -term(s - 1/2, x), DLMF 8.8.5, so the derivative is this central
    difference less its error terms, which follow from d/ds log(term) = log(x / s) and -1 / s beyond.
    """
    inverse = ops.reciprocal(a)
    first = ops.square(ops.log1p(ops.div(ops.sub(x, a), a)))
    second = ops.add(
        ops.square(first),
        ops.mul(inverse, ops.sub(ops.mul(inverse, const(a, 3)), ops.mul(first, const(a, 6)))),
    )
    error = ops.mul(ops.sub(first, inverse), const(a, 1 / 24))
    correction = ops.sub(const(a, 1), ops.sub(error, ops.mul(second, const(a, 7 / 5760))))
    if not implicit:
        term = ops.exp(_log_term(ops.sub(a, const(a, 0.5)), x))
        return ops.neg(ops.mul(term, correction))
    # term(a - 1/2) / term(a - 1) is sqrt(x) gamma(a) / gamma(a + 1/2), DLMF 5.11.13.
    ratio = ops.div(ops.sqrt(ops.div(x, a)), _horner(inverse, [1, -1 / 8, 1 / 128]))
    return ops.mul(ratio, correction)


class _Regions:
    """Where each method applies, and operands that are harmless elsewhere."""

    def __init__(self, a: Any, x: Any):
        self.invalid = ops.bitwise_or(
            ops.bitwise_or(ops.ne(a, a), ops.ne(x, x)),
            ops.bitwise_or(ops.lt(x, const(x, 0)), ops.lt(a, const(a, 0))),
        )
        ordinary = ops.bitwise_and(ops.gt(x, const(x, 0)), ops.is_finite(x))
        ordinary = ops.bitwise_and(ordinary, ops.bitwise_and(ops.gt(a, const(a, 0)), ops.is_finite(a)))
        self.large = ops.bitwise_and(ordinary, ops.gt(a, const(a, _LARGE)))
        small = ops.bitwise_and(ordinary, ops.bitwise_not(self.large))
        far = ops.bitwise_and(ops.gt(x, const(x, 1)), ops.gt(x, a))
        self.fraction = ops.bitwise_and(small, far)
        self.series = ops.bitwise_and(small, ops.bitwise_not(far))
        self.a, self.x = a, x

    def operands(self, where: Any, a: float, x: float) -> tuple[Any, Any]:
        return _where(where, self.a, a), _where(where, self.x, x)


def _incomplete_gamma(a: Any, x: Any, upper: bool) -> Any:
    regions = _Regions(a, x)
    # At the edges P is 0 for x = 0 or infinite a, and 1 for a = 0 or infinite x.
    zero_x = ops.bitwise_or(ops.eq(x, const(x, 0)), ops.eq(a, const(a, math.inf)))
    result = _where(zero_x, ops.full_like(a, 1.0 if upper else 0.0), 0.0 if upper else 1.0)

    low_a, low_x = regions.operands(regions.series, 1.0, 0.5)
    log_low = ops.add(_log_term(low_a, low_x), ops.log1p(_gamma_series(low_a, low_x, False)[0]))
    result = _where(regions.series, ops.neg(ops.expm1(log_low)) if upper else ops.exp(log_low), result)

    high_a, high_x = regions.operands(regions.fraction, 1.0, 2.0)
    fraction = ops.mul(_gamma_fraction(high_a, high_x, False)[0], high_a)
    high = ops.mul(fraction, ops.exp(_log_term(high_a, high_x)))
    result = _where(regions.fraction, high if upper else ops.sub(const(a, 1), high), result)

    large_a, large_x = regions.operands(regions.large, 2 * _LARGE, 2 * _LARGE)
    result = _where(regions.large, _temme(large_a, large_x, upper), result)
    return _where(regions.invalid, math.nan, result)


def _gamma_slope(a: Any, x: Any, implicit: bool) -> Any:
    """dP/da, or with `implicit` -dP/da / (dP/dx): how a sample moves with the parameter."""
    regions = _Regions(a, x)
    result = ops.full_like(a, 0.0)

    def log_slope(a: Any, x: Any) -> Any:
        _, (dot,) = jvp_flat(lambda a: [_log_term(a, x)], [a], [ops.full_like(a, 1)])
        return dot

    def finish(slope_over_term: Any, a: Any, x: Any) -> Any:
        # dP/dx is a / x times the term.
        if implicit:
            return ops.neg(ops.mul(slope_over_term, ops.div(x, a)))
        return ops.mul(slope_over_term, ops.exp(_log_term(a, x)))

    low_a, low_x = regions.operands(regions.series, 1.0, 0.5)
    total, dot = _gamma_series(low_a, low_x, True)
    slope = ops.add(ops.mul(ops.add(total, const(a, 1)), log_slope(low_a, low_x)), dot)
    result = _where(regions.series, finish(slope, low_a, low_x), result)

    high_a, high_x = regions.operands(regions.fraction, 1.0, 2.0)
    value, dot = _gamma_fraction(high_a, high_x, True)
    slope = ops.add(value, ops.mul(high_a, ops.add(dot, ops.mul(value, log_slope(high_a, high_x)))))
    result = _where(regions.fraction, finish(ops.neg(slope), high_a, high_x), result)

    large_a, large_x = regions.operands(regions.large, 2 * _LARGE, 2 * _LARGE)
    result = _where(regions.large, _temme_slope(large_a, large_x, implicit), result)
    undefined = ops.bitwise_or(regions.invalid, ops.eq(a, const(a, 0)))
    return _where(undefined, math.nan, result)


@_in_float32_or_wider
def igamma_program(a: Any, x: Any) -> Any:
    """The regularized lower incomplete gamma function P(a, x)."""
    return _incomplete_gamma(a, x, upper=False)


@_in_float32_or_wider
def igammac_program(a: Any, x: Any) -> Any:
    """The regularized upper incomplete gamma function Q(a, x)."""
    return _incomplete_gamma(a, x, upper=True)


@_in_float32_or_wider
def igamma_grad_a_program(a: Any, x: Any) -> Any:
    """The derivative of P(a, x) by a."""
    return _gamma_slope(a, x, implicit=False)


@_in_float32_or_wider
def random_gamma_grad_program(a: Any, x: Any) -> Any:
    """The derivative of a gamma sample x by its parameter a."""
    return _gamma_slope(a, x, implicit=True)


# --- incomplete beta function ---------------------------------------------------------------------


def _log_beta_term(a: Any, b: Any, x: Any, y: Any, excess: Any) -> Any:
    """The logarithm of x ** a * y ** b / B(a, b), for y = 1 - x, after Loader.

    `excess` is x - a / (a + b).
    """
    total = ops.add(a, b)
    deviance = ops.add(
        ops.mul(a, _deviance(x, ops.div(a, total), excess)),
        ops.mul(b, _deviance(y, ops.div(b, total), ops.neg(excess))),
    )
    errors = ops.sub(_stirling_error(total), ops.add(_stirling_error(a), _stirling_error(b)))
    logs = ops.sub(ops.add(ops.log(a), ops.log(b)), ops.log(total))
    return ops.add(ops.add(deviance, errors), ops.sub(ops.mul(logs, const(a, 0.5)), const(a, _HALF_LOG_2PI)))


def _beta_fraction(a: Any, b: Any, x: Any, excess: Any) -> Any:
    """The continued fraction of Didonato and Morris, ACM TOMS 18 (1992), by Lentz's method.

    I_x(a, b) is x ** a * (1 - x) ** b / B(a, b) times its value.
    """
    one, two = const(a, 1), const(a, 2)
    total = ops.add(a, b)
    # a y - b x + 1, where a y - b x = -(a + b) excess has no cancellation.
    start = ops.sub(one, ops.mul(total, excess))

    def denominator(n: Any) -> Any:
        twice = ops.add(a, ops.mul(n, two))
        first = ops.div(ops.mul(ops.mul(n, ops.sub(b, n)), x), ops.sub(twice, one))
        second = ops.mul(ops.add(a, n), ops.add(start, ops.mul(n, ops.sub(two, x))))
        return ops.add(ops.add(n, first), ops.div(second, ops.add(twice, one)))

    def step(state: State, n: Any, a: Any) -> State:
        c, d, value = state
        before = ops.sub(n, one)
        ratio = ops.div(x, ops.sub(ops.add(a, ops.mul(n, two)), one))
        numerator = ops.mul(ops.mul(ops.add(a, before), ratio), ops.mul(ops.add(total, before), ratio))
        numerator = ops.mul(numerator, ops.mul(n, ops.sub(b, n)))
        d = ops.reciprocal(ops.add(ops.mul(numerator, d), denominator(n)))
        c = ops.add(denominator(n), ops.div(numerator, c))
        return c, d, ops.mul(value, ops.mul(c, d))

    d = ops.reciprocal(ops.div(ops.mul(a, start), ops.add(a, one)))
    return _iterate(step, (ops.full_like(a, 1 / _tiny(a)), d, d), a, False, 2.0)[2]


@_in_float32_or_wider
def betainc_program(a: Any, b: Any, x: Any) -> Any:
    """The regularized incomplete beta function I_x(a, b)."""
    zero, one = const(a, 0), const(a, 1)
    positive = ops.bitwise_and(ops.gt(a, zero), ops.gt(b, zero))
    valid = ops.bitwise_and(positive, ops.bitwise_and(ops.ge(x, zero), ops.le(x, one)))
    inside = ops.bitwise_and(positive, ops.bitwise_and(ops.gt(x, zero), ops.lt(x, one)))
    edge = ops.convert_element_type(ops.ge(x, one), get_aval(x).dtype)
    a, b, inner = _where(inside, a, 1.0), _where(inside, b, 1.0), _where(inside, x, 0.5)
    y = ops.sub(one, inner)
    # x - a / (a + b) and b / (a + b) - y are the same; the smaller numbers know it better.
    total = ops.add(a, b)
    from_x, from_y = ops.sub(inner, ops.div(a, total)), ops.sub(ops.div(b, total), y)
    excess = ops.select(ops.lt(inner, y), from_x, from_y)
    # The fraction converges fast below the mean; above it, I_x(a, b) = 1 - I_{1-x}(b, a).
    swap = ops.gt(excess, zero)
    p, q = ops.select(swap, b, a), ops.select(swap, a, b)
    u, v = ops.select(swap, y, inner), ops.select(swap, inner, y)
    excess = ops.neg(ops.abs(excess))
    value = ops.mul(ops.exp(_log_beta_term(p, q, u, v, excess)), _beta_fraction(p, q, u, excess))
    value = ops.select(swap, ops.sub(one, value), value)
    return _where(valid, ops.select(inside, value, edge), math.nan)


# --- Bessel functions -----------------------------------------------------------------------------


@_in_float32_or_wider
def bessel_i0e_program(x: Any) -> Any:
    """exp(-abs(x)) times the modified Bessel function of order 0.

    The power series DLMF 10.25.2 has positive terms only, so it is exact up to where the asymptotic
    expansion DLMF 10.40.1 begins to be.
    """
    single = get_aval(x).dtype == np.float32
    border, terms, tail_terms = (9.0, 26, 10) if single else (20.0, 60, 30)
    x = ops.abs(x)
    near = ops.le(x, const(x, border))
    quarter = ops.mul(ops.square(_where(near, x, 0.0)), const(x, 0.25))
    one = const(x, 1)
    series = ops.full_like(x, 1)
    for k in range(terms, 0, -1):
        series = ops.add(ops.mul(ops.mul(quarter, series), const(x, 1 / k**2)), one)
    far = _where(near, border, x)
    inverse = ops.reciprocal(ops.mul(far, const(x, 8)))
    tail = ops.full_like(x, 1)
    for k in range(tail_terms, 0, -1):
        tail = ops.add(ops.mul(ops.mul(inverse, tail), const(x, (2 * k - 1) ** 2 / k)), one)
    tail = ops.mul(tail, ops.rsqrt(ops.mul(far, const(x, 2 * math.pi))))
    return _where(near, ops.mul(series, ops.exp(ops.neg(x))), tail)
