"""Special functions: error functions, gamma functions, Bessel functions.

Those that StableHLO and CHLO lack are lowered from the programs in `special_programs`. Derivatives
follow the NIST Digital Library of Mathematical Functions (DLMF), https://dlmf.nist.gov.
"""

from __future__ import annotations

import math
from typing import Any

from ..core import dtypes
from ..core.avals import get_aval
from ..transforms.rules import defjvp, defjvp2
from .common import FLOATING, Array, ArrayLike, const, nary_primitive, ops, spread, unary

erf_p, erf = unary("erf", FLOATING, "The error function.", "round(float(lax.erf(1.0)), 4)", "0.8427")
erfc_p, erfc = unary(
    "erfc",
    FLOATING,
    "The complementary error function: 1 - erf(x).",
    "round(float(lax.erfc(1.0)), 4)",
    "0.1573",
)
erf_inv_p, erf_inv = unary(
    "erf_inv", FLOATING, "The inverse of the error function.", "round(float(lax.erf_inv(0.5)), 4)", "0.4769"
)
lgamma_p, lgamma = unary(
    "lgamma",
    FLOATING,
    "The logarithm of the absolute value of the gamma function.",
    "round(float(lax.lgamma(5.0)), 4)",
    "3.1781",
)
digamma_p, digamma = unary(
    "digamma",
    FLOATING,
    "The derivative of the logarithm of the gamma function.",
    "round(float(lax.digamma(1.0)), 4)",
    "-0.5772",
)
bessel_i0e_p, bessel_i0e = unary(
    "bessel_i0e",
    FLOATING,
    "The modified Bessel function of order 0, times exp(-abs(x)).",
    "float(lax.bessel_i0e(0.0))",
    "1.0",
)
bessel_i1e_p, bessel_i1e = unary(
    "bessel_i1e",
    FLOATING,
    "The modified Bessel function of order 1, times exp(-abs(x)).",
    "float(lax.bessel_i1e(0.0))",
    "0.0",
)

_TWO = (FLOATING, FLOATING)
polygamma_p = nary_primitive("polygamma", _TWO)
zeta_p = nary_primitive("zeta", _TWO)
igamma_p = nary_primitive("igamma", _TWO)
igammac_p = nary_primitive("igammac", _TWO)
igamma_grad_a_p = nary_primitive("igamma_grad_a", _TWO)
regularized_incomplete_beta_p = nary_primitive("regularized_incomplete_beta", (FLOATING, FLOATING, FLOATING))


def polygamma(m: ArrayLike, x: ArrayLike) -> Array:
    """The m-th derivative of the digamma function.

    Args:
      m: order of the derivative, a nonnegative whole number.
      x: where to evaluate.

    Operands have one floating dtype and one shape; scalars go with every shape.

    Raises:
      TypeError: shapes or dtypes do not fit.

    Example:
      >>> from canter import lax
      >>> round(float(lax.polygamma(1.0, 1.0)), 4)
      1.6449
    """
    return polygamma_p.bind(m, x)


def zeta(x: ArrayLike, q: ArrayLike) -> Array:
    """The Hurwitz zeta function: the sum of (q + k) ** -x over k = 0, 1, ...

    Args:
      x: the exponent, greater than 1.
      q: the first term's base.

    Operands have one floating dtype and one shape; scalars go with every shape.

    Raises:
      TypeError: shapes or dtypes do not fit.

    Example:
      >>> from canter import lax
      >>> round(float(lax.zeta(2.0, 1.0)), 4)
      1.6449
    """
    return zeta_p.bind(x, q)


def igamma(a: ArrayLike, x: ArrayLike) -> Array:
    """The regularized lower incomplete gamma function P(a, x).

    Args:
      a: the parameter, positive.
      x: where to evaluate, not negative.

    Operands have one floating dtype and one shape; scalars go with every shape.

    Raises:
      TypeError: shapes or dtypes do not fit.

    Example:
      >>> from canter import lax
      >>> round(float(lax.igamma(1.0, 1.0)), 4)
      0.6321
    """
    return igamma_p.bind(a, x)


def igammac(a: ArrayLike, x: ArrayLike) -> Array:
    """The regularized upper incomplete gamma function Q(a, x) = 1 - P(a, x).

    Args:
      a: the parameter, positive.
      x: where to evaluate, not negative.

    Operands have one floating dtype and one shape; scalars go with every shape.

    Raises:
      TypeError: shapes or dtypes do not fit.

    Example:
      >>> from canter import lax
      >>> round(float(lax.igammac(1.0, 1.0)), 4)
      0.3679
    """
    return igammac_p.bind(a, x)


def igamma_grad_a(a: ArrayLike, x: ArrayLike) -> Array:
    """The derivative of the regularized lower incomplete gamma function by its parameter.

    Args:
      a: the parameter, positive.
      x: where to evaluate, not negative.

    Operands have one floating dtype and one shape; scalars go with every shape.

    Raises:
      TypeError: shapes or dtypes do not fit.

    Example:
      >>> from canter import lax
      >>> round(float(lax.igamma_grad_a(1.0, 1.0)), 4)
      -0.4317
    """
    return igamma_grad_a_p.bind(a, x)


def random_gamma_grad(a: ArrayLike, x: ArrayLike) -> Array:
    """The derivative of a sample of the gamma distribution by its parameter (Figurnov et al. 2018).

    Args:
      a: the parameter, positive.
      x: the sample.

    Operands have one floating dtype and one shape; scalars go with every shape.

    Raises:
      TypeError: shapes or dtypes do not fit.

    Example:
      >>> from canter import lax
      >>> round(float(lax.random_gamma_grad(1.0, 1.0)), 4)
      1.1736
    """
    from .special_programs import random_gamma_grad_program

    aval = igamma_p.abstract_rule(get_aval(a), get_aval(x))  # type: ignore[misc]
    return random_gamma_grad_program(spread(a, aval.shape), spread(x, aval.shape))


def betainc(a: ArrayLike, b: ArrayLike, x: ArrayLike) -> Array:
    """The regularized incomplete beta function I_x(a, b).

    Args:
      a: first parameter, positive.
      b: second parameter, positive.
      x: where to evaluate, in [0, 1].

    Operands have one floating dtype and one shape; scalars go with every shape.

    Raises:
      TypeError: shapes or dtypes do not fit.

    Example:
      >>> from canter import lax
      >>> round(float(lax.betainc(1.0, 2.0, 0.5)), 4)
      0.75
    """
    return regularized_incomplete_beta_p.bind(a, b, x)


# --- derivatives ----------------------------------------------------------------------------------
# g is the tangent, y the result; the others are the operands.


def _gaussian(x: Any, factor: float) -> Any:
    return ops.mul(ops.exp(ops.neg(ops.square(x))), const(x, factor))


def _gamma_density(a: Any, x: Any) -> Any:
    """X ** (a - 1) * exp(-x) / gamma(a), DLMF 8.8.13."""
    return ops.exp(ops.sub(ops.sub(ops.mul(ops.sub(a, const(a, 1)), ops.log(x)), x), lgamma(a)))


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    """X ** (a - 1) * (1 - x) ** (b - 1) / B(a, b), DLMF 8.17.20."""
    log_beta = ops.sub(ops.add(lgamma(a), lgamma(b)), lgamma(ops.add(a, b)))
    one = const(x, 1)
    log_x = ops.mul(ops.sub(a, one), ops.log(x))
    log_rest = ops.mul(ops.sub(b, one), ops.log1p(ops.neg(x)))
    return ops.exp(ops.sub(ops.add(log_x, log_rest), log_beta))


def _bessel_i1e_slope(y: Any, x: Any) -> Any:
    """i0e(x) - i1e(x) * (sign(x) + 1 / x), and its limit 1/2 at 0."""
    epsilon = float(dtypes.finfo(get_aval(x).dtype).eps)
    safe = ops.gt(ops.abs(x), const(x, epsilon))
    x = ops.select_n(safe, ops.full_like(x, epsilon), x)
    slope = ops.sub(bessel_i0e(x), ops.mul(y, ops.add(ops.sign(x), ops.reciprocal(x))))
    return ops.select_n(safe, ops.full_like(x, 0.5), slope)


def _no_gradient(what: str) -> Any:
    def rule(g: Any, *operands: Any) -> Any:
        raise ValueError(
            f"{what} is not supported. Wrap that operand in lax.stop_gradient if its derivative is not wanted."
        )

    return rule


def _polygamma_jvp(g: Any, m: Any, x: Any) -> Any:
    return ops.mul(g, polygamma(ops.add(m, const(m, 1)), x))


def _zeta_jvp(g: Any, x: Any, q: Any) -> Any:
    """DLMF 25.11.17."""
    return ops.mul(g, ops.mul(ops.neg(x), zeta(ops.add(x, const(x, 1)), q)))


defjvp(erf_p, lambda g, x: ops.mul(g, _gaussian(x, 2 / math.sqrt(math.pi))))
defjvp(erfc_p, lambda g, x: ops.mul(g, _gaussian(x, -2 / math.sqrt(math.pi))))
defjvp2(
    erf_inv_p, lambda g, y, x: ops.mul(g, ops.mul(ops.exp(ops.square(y)), const(y, math.sqrt(math.pi) / 2)))
)
defjvp(lgamma_p, lambda g, x: ops.mul(g, digamma(x)))
defjvp(digamma_p, lambda g, x: ops.mul(g, polygamma(const(x, 1), x)))
defjvp2(bessel_i0e_p, lambda g, y, x: ops.mul(g, ops.sub(bessel_i1e(x), ops.mul(ops.sign(x), y))))
defjvp2(bessel_i1e_p, lambda g, y, x: ops.mul(g, _bessel_i1e_slope(y, x)))
defjvp(polygamma_p, _no_gradient("The derivative of polygamma by m"), _polygamma_jvp)
defjvp(zeta_p, _no_gradient("The derivative of zeta by x"), _zeta_jvp)
defjvp(
    igamma_p,
    lambda g, a, x: ops.mul(g, igamma_grad_a(a, x)),
    lambda g, a, x: ops.mul(g, _gamma_density(a, x)),
)
defjvp(
    igammac_p,
    lambda g, a, x: ops.mul(g, ops.neg(igamma_grad_a(a, x))),
    lambda g, a, x: ops.mul(g, ops.neg(_gamma_density(a, x))),
)
defjvp(
    igamma_grad_a_p,
    _no_gradient("The second derivative of igamma by a"),
    # d/da of the density: density * (log(x) - digamma(a)).
    lambda g, a, x: ops.mul(g, ops.mul(_gamma_density(a, x), ops.sub(ops.log(x), digamma(a)))),
)
defjvp(
    regularized_incomplete_beta_p,
    _no_gradient("The derivative of betainc by a"),
    _no_gradient("The derivative of betainc by b"),
    lambda g, a, b, x: ops.mul(g, _beta_density(a, b, x)),
)
