"""The gamma and beta functions and what is made of them."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from canter import lax, numpy as cnp
from canter.core import dtypes
from canter.lax.common import const
from canter.lax.special_programs import zeta_minus_one
from canter.numpy.ufunc_bodies import where
from canter.numpy.util import convert, dtype_of, promote_args_inexact, to_inexact
from canter.runtime.composite import composite

from .common import binary, in_single, polynomial, same_shape, unary

__all__ = [
    "beta",
    "betainc",
    "betaln",
    "bernoulli",
    "comb",
    "digamma",
    "factorial",
    "gamma",
    "gammainc",
    "gammaincc",
    "gammaln",
    "gammasgn",
    "gamma_sign",
    "log_gamma",
    "loggamma",
    "multigammaln",
    "poch",
    "polygamma",
    "zeta",
]


def gamma_sign(x: Any) -> Any:
    """The sign of gamma(x): negative between an odd negative integer and the even one above it."""
    floor = lax.floor(x)
    odd = lax.ne(lax.rem(floor, const(x, 2)), const(x, 0))
    sign = where(lax.bitwise_and(lax.lt(x, const(x, 0)), odd), const(x, -1), const(x, 1))
    pole = lax.bitwise_and(lax.lt(x, const(x, 0)), lax.eq(floor, x))
    return where(lax.bitwise_or(pole, lax.ne(x, x)), const(x, np.nan), sign)


# lgamma(1 + z) + log(1 + z) = z times this polynomial, for |z| <= 1/2 (DLMF 5.7.3).
_ABOUT_ONE = (1 - 0.57721566490153286061, *((-1) ** k * zeta_minus_one(k) / k for k in range(2, 28)))


def log_gamma(x: Any) -> Any:
    """log |gamma(x)| of a real number, exact also near its zeros at 1 and 2."""
    above = x > 1.5
    near = lax.bitwise_and(x > 0.5, x < 2.5)
    z = where(near, where(above, x - 2, x - 1), const(x, 0))
    series = z * polynomial(z, _ABOUT_ONE)
    series = where(above, series, series - lax.log1p(z))
    return where(near, series, lax.lgamma(where(near, const(x, 3), x)))


_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)


def _complex_log_gamma(z: Any) -> Any:
    """The branch that is real on the positive axis, cut along the negative one."""
    left = lax.real(z) < 0.5
    right = where(left, 1 - z, z)
    shift = 10
    far = right + shift
    inverse = 1 / far
    value = (far - 0.5) * lax.log(far) - far + 0.5 * math.log(2 * math.pi)
    value = value + inverse * polynomial(inverse * inverse, _STIRLING)
    for k in range(shift):
        value = value - lax.log(right + k)
    return where(left, _reflected(where(left, z, const(z, 0.25))) - value, value)


def _reflected(z: Any) -> Any:
    """log(pi / sin(pi z)) on the branch that continues it through the upper and the lower half plane."""
    upper = lax.imag(z) >= 0
    z = where(upper, z, lax.conj(z))
    # sin(pi z) = i/2 exp(-i pi z) (1 - exp(2 i pi z)), whose last factor is near 1 far up.
    turned = lax.complex(lax.rem(lax.real(z), const(lax.real(z), 1)), lax.imag(z))
    factor = 1 - lax.exp(2j * math.pi * turned)
    value = math.log(2 * math.pi) - 0.5j * math.pi + 1j * math.pi * z - lax.log(factor)
    return where(upper, value, lax.conj(value))


def _stirling_error(x: Any) -> Any:
    """lgamma(x) less Stirling's formula for it, for x of at least 10 (DLMF 5.11.1)."""
    inverse = 1 / x
    return inverse * polynomial(inverse * inverse, _STIRLING)


def _log_beta(a: Any, b: Any) -> Any:
    """Differences of large logarithms of gamma functions cancel, so Stirling's formula is cancelled by hand."""
    a, b = same_shape(a, b)
    small, large = lax.min(a, b), lax.max(a, b)
    far = lax.ge(large, const(a, 10))
    both = lax.ge(small, const(a, 10))
    q = where(far, large, const(a, 10))
    p = where(far, small, const(a, 1))
    share = p / (p + q)
    # log gamma(q) - log gamma(p + q)
    ratio = (
        _stirling_error(q) - _stirling_error(p + q) + p - p * lax.log(p + q) + (q - 0.5) * lax.log1p(-share)
    )
    big = where(both, p, const(a, 10))
    from_stirling = (big - 0.5) * lax.log(big) - big + 0.5 * math.log(2 * math.pi) + _stirling_error(big)
    gamma_p = log_gamma(where(both, const(a, 1), small))
    near = gamma_p + log_gamma(where(far, const(a, 1), large)) - log_gamma(where(far, const(a, 1), a + b))
    return where(far, where(both, from_stirling, gamma_p) + ratio, near)


def _is_complex(x: Any) -> bool:
    return dtypes.issubdtype(dtype_of(x), np.complexfloating)


def _gamma(x: Any) -> Any:
    if _is_complex(x):
        return lax.exp(_complex_log_gamma(x))
    value = gamma_sign(x) * lax.exp(lax.lgamma(x))
    return where(lax.eq(x, const(x, 0)), 1 / x, value)


gammaln = unary(
    "gammaln", in_single(log_gamma), "The logarithm of the size of the gamma function.", "gammaln(1.0)", "0.0"
)
gammasgn = unary("gammasgn", gamma_sign, "The sign of the gamma function.", "gammasgn(-0.5)", "-1.0")
gamma = unary("gamma", _gamma, "The gamma function.", "gamma(1.0) < 1.001", "True")


def _log_gamma_branch(x: Any) -> Any:
    if _is_complex(x):
        return _complex_log_gamma(x)
    value = in_single(log_gamma)(where(x > 0, x, const(x, 1)))
    return where(x > 0, value, where(x == 0, const(x, np.inf), const(x, np.nan)))


loggamma = unary(
    "loggamma",
    _log_gamma_branch,
    "The logarithm of the gamma function: of complex numbers its principal branch, NaN for real ones below 0.",
    "loggamma(1.0)",
    "0.0",
)
digamma = unary(
    "digamma", lambda x: lax.digamma(x), "The derivative of gammaln.", "digamma(ct.numpy.inf)", "inf"
)
betaln = binary(
    "betaln",
    in_single(_log_beta),
    "The logarithm of the size of the beta function.",
    "betaln(1.0, 1.0) < 1e-5",
    "True",
    "a, b",
)
beta = binary(
    "beta",
    lambda a, b: gamma_sign(a) * gamma_sign(b) * gamma_sign(a + b) * lax.exp(in_single(_log_beta)(a, b)),
    "The beta function.",
    "beta(1.0, 1.0) < 1.001",
    "True",
    "a, b",
)
gammainc = binary(
    "gammainc",
    lambda a, x: lax.igamma(*same_shape(a, x)),
    "The regularised lower incomplete gamma function.",
    "gammainc(1.0, 0.0)",
    "0.0",
    "a, x",
)
gammaincc = binary(
    "gammaincc",
    lambda a, x: lax.igammac(*same_shape(a, x)),
    "The regularised upper incomplete gamma function.",
    "gammaincc(1.0, 0.0)",
    "1.0",
    "a, x",
)


def _rising(z: Any, m: Any) -> Any:
    sign = gamma_sign(z + m) * gamma_sign(z)
    value = sign * lax.exp(lax.lgamma(z + m) - lax.lgamma(z))
    return convert(where(lax.eq(m, const(m, 0)), const(m, 1), value), value.dtype)


poch = binary(
    "poch", _rising, "The rising factorial z (z + 1) … (z + m - 1).", "poch(1.0, 0.0)", "1.0", "z, m"
)


def bernoulli(n: int) -> Any:
    """Bernoulli's numbers B_0 to B_n, with B_1 = -1/2.

    Args:
      n: how far, an int that is not negative.

    Returns:
      An array of n + 1 floats.

    Raises:
      ValueError: `n` is negative.
      TypeError: `n` is no integer.

    Source: `scipy.special.bernoulli`; DLMF 24.8.1.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.special.bernoulli(4)[1])
      -0.5
    """
    n = operator.index(n)
    if n < 0:
        raise ValueError(f"scipy.special.bernoulli: n must be a non-negative integer, got {n}.")
    numbers = np.zeros(n + 1)
    numbers[:3] = [1.0, -0.5, 1 / 6][: n + 1]
    factor = -2.0  # 2 (2k)! / (2 pi)**2k with alternating sign
    for k in range(1, n // 2 + 1):
        factor *= -(2 * k) * (2 * k - 1) / (2 * math.pi) ** 2
        if k > 1:
            with np.errstate(over="ignore"):
                numbers[2 * k] = factor * (1 + zeta_minus_one(2 * k))
    return cnp.asarray(numbers, float)


@composite
def betainc(a: Any, b: Any, x: Any) -> Any:
    """The regularised incomplete beta function.

    Args:
      a, b: positive parameters.
      x: where, in [0, 1].

    Raises:
      TypeError: an argument is no array of numbers.

    Source: `scipy.special.betainc`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.special.betainc(1.0, 1.0, 1.0))
      1.0
    """
    return lax.betainc(*same_shape(*promote_args_inexact("betainc", a, b, x)))


@composite
def _factorial(n: Any) -> Any:
    n = to_inexact("factorial", n)
    return where(lax.lt(n, const(n, 0)), const(n, 0), lax.exp(lax.lgamma(n + 1)))


def factorial(n: Any, exact: bool = False) -> Any:
    """n!, by the gamma function.

    Args:
      n: array or number; negative ones give 0.
      exact: must be False.

    Raises:
      NotImplementedError: `exact` is True.

    Source: `scipy.special.factorial`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.special.factorial(3).round())
      6.0
    """
    if exact:
        raise NotImplementedError(
            "scipy.special.factorial: exact=True needs integers of any size; use math.factorial."
        )
    return _factorial(n)


@composite
def _comb(N: Any, k: Any) -> Any:
    N, k = promote_args_inexact("comb", N, k)
    inside = lax.bitwise_and(lax.ge(k, const(k, 0)), lax.ge(N - k, const(k, 0)))
    value = lax.exp(lax.lgamma(N + 1) - lax.lgamma(k + 1) - lax.lgamma(N - k + 1))
    whole = lax.bitwise_and(lax.eq(N, lax.round(N)), lax.eq(k, lax.round(k)))
    return where(inside, where(whole, lax.round(value), value), const(k, 0))


def comb(N: Any, k: Any, *, repetition: bool = False) -> Any:
    """How many ways there are to choose k of N things.

    Args:
      N: array or number.
      k: array or number that broadcasts with it.
      repetition: whether a thing may be chosen more than once.

    Raises:
      TypeError: an argument is no array of numbers.

    Source: `scipy.special.comb`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.special.comb(5, 2))
      10.0
    """
    return _comb(N + k - 1, k) if repetition else _comb(N, k)


@composite
def polygamma(n: Any, x: Any) -> Any:
    """The n-th derivative of digamma.

    Args:
      n: whole numbers, not negative.
      x: arrays or numbers that broadcast.

    Raises:
      TypeError: an argument is no array of numbers.

    Source: `scipy.special.polygamma`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.special.polygamma(1, 1.0) > 1.644)
      True
    """
    return lax.polygamma(*same_shape(*promote_args_inexact("polygamma", n, x)))


@composite
def _zeta(x: Any, q: Any) -> Any:
    return lax.zeta(*same_shape(*promote_args_inexact("zeta", x, q)))


def zeta(x: Any, q: Any = None) -> Any:
    """The Hurwitz zeta function.

    Args:
      x: array or number above 1.
      q: the shift; must be given (1 for Riemann's zeta function above 1).

    Raises:
      NotImplementedError: `q` is None.

    Source: `scipy.special.zeta`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.special.zeta(2.0, 1.0) > 1.644)
      True
    """
    if q is None:
        raise NotImplementedError(
            "scipy.special.zeta: Riemann's zeta function (q=None) is not supported; give q=1."
        )
    return _zeta(x, q)


@composite(static_argnames=("d",))
def _multigammaln(a: Any, *, d: int) -> Any:
    a = to_inexact("multigammaln", a)
    total = const(a, d * (d - 1) / 4 * math.log(math.pi))
    return total + sum(log_gamma(a - i / 2) for i in range(d))


def multigammaln(a: Any, d: Any) -> Any:
    """The logarithm of the gamma function of d dimensions.

    Args:
      a: array or number above (d - 1) / 2.
      d: the dimension, an int.

    Raises:
      TypeError: `d` is no concrete integer.

    Source: `scipy.special.multigammaln`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.special.multigammaln(1.0, 1) < 1e-5)
      True
    """
    return _multigammaln(a, d=operator.index(d))
