"""The error function and the normal distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from canter import lax
from canter.lax.common import const
from canter.numpy.ufunc_bodies import where
from canter.numpy.util import dtype_of, to_inexact
from canter.runtime.composite import composite
from canter.transforms.custom_rules import custom_jvp

from .common import documented, polynomial, unary

__all__ = ["erf", "erfc", "erfinv", "log_ndtr", "ndtr", "ndtri"]

erf = unary("erf", lambda x: lax.erf(x), "The error function.", "erf(0.0)", "0.0")
erfc = unary("erfc", lambda x: lax.erfc(x), "1 - erf(x), exact where that is small.", "erfc(0.0)", "1.0")
erfinv = unary("erfinv", lambda x: lax.erf_inv(x), "The inverse of erf.", "erfinv(0.0)", "0.0")
ndtr = unary(
    "ndtr",
    lambda x: 0.5 * lax.erfc(-x * math.sqrt(0.5)),
    "The distribution function of the standard normal distribution.",
    "ndtr(0.0)",
    "0.5",
)

# Wichura, "Algorithm AS 241: the percentage points of the normal distribution", 1988: ratios of
# polynomials, lowest power first, for the middle and for the nearer and the farther tail.
_MIDDLE = (
    (3.3871328727963666080, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
     4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
)  # fmt: skip
_NEAR_TAIL = (
    (1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
     1.27045825245236838258, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187, 1.67638483018380384940, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)  # fmt: skip
_FAR_TAIL = (
    (6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 2.96560571828504891230e-1,
     2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
     7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15),
)  # fmt: skip


def _ratio(x: Any, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> Any:
    above, below = coefficients
    return polynomial(x, above) / polynomial(x, below)


@custom_jvp
def _ndtri(p: Any) -> Any:
    q = p - 0.5
    middle = lax.le(lax.abs(q), const(q, 0.425))
    tail = lax.min(p, 1 - p)
    r = lax.sqrt(-lax.log(where(middle, const(p, 0.25), tail)))
    far = lax.gt(r, const(r, 5))
    near_value = _ratio(where(far, const(r, 0), r - 1.6), _NEAR_TAIL)
    # Beyond the smallest number there is infinity: the ratio must not see it.
    finite = lax.is_finite(r)
    far_value = _ratio(where(lax.bitwise_and(far, finite), r - 5.0, const(r, 0)), _FAR_TAIL)
    outside = where(finite, where(far, far_value, near_value), const(r, np.inf))
    signed = where(lax.lt(q, const(q, 0)), -outside, outside)
    value = where(middle, q * _ratio(0.180625 - q * q, _MIDDLE), signed)
    valid = lax.bitwise_and(lax.ge(p, const(p, 0)), lax.le(p, const(p, 1)))
    return where(valid, value, const(p, np.nan))


@_ndtri.defjvp
def _(primals: Any, tangents: Any) -> Any:
    out = _ndtri(*primals)
    return out, tangents[0] * (math.sqrt(2 * math.pi) * lax.exp(out * out / 2))


@documented("ndtri", "The inverse of ndtr.", "ndtri(0.5)", "0.0", "p")
def ndtri(p: Any) -> Any:
    return _ndtri(to_inexact("ndtri", p))


@custom_jvp
def _log_ndtr_3(x: Any) -> Any:
    return _log_ndtr_values(x, 3)


@_log_ndtr_3.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (x,), out = primals, _log_ndtr_3(*primals)
    return out, tangents[0] * lax.exp(-x * x / 2 - 0.5 * math.log(2 * math.pi) - out)


def _log_ndtr_values(x: Any, order: int) -> Any:
    """log1p where nearly all lies below, the logarithm in the middle, an asymptotic series far below."""
    double = dtype_of(x) == np.float64
    low, high = const(x, -20.0 if double else -10.0), const(x, 8.0 if double else 5.0)
    above, below = lax.gt(x, high), lax.lt(x, low)
    tail = where(below, x, low)
    square = tail * tail
    series, term = const(x, 1), const(x, 1)
    for k in range(1, order + 1):
        term = -term * (2 * k - 1) / square
        series = series + term
    asymptotic = -square / 2 - lax.log(-tail) - 0.5 * math.log(2 * math.pi) + lax.log(series)
    upper = lax.log1p(-0.5 * lax.erfc(where(above, x, high) * math.sqrt(0.5)))
    middle = lax.log(0.5 * lax.erfc(-where(lax.bitwise_or(above, below), const(x, 0), x) * math.sqrt(0.5)))
    return where(above, upper, where(below, asymptotic, middle))


@composite(static_argnames=("series_order",))
def _log_ndtr(x: Any, *, series_order: int) -> Any:
    x = to_inexact("log_ndtr", x)
    if series_order == 3:
        return _log_ndtr_3(x)
    return _log_ndtr_values(x, series_order)


def log_ndtr(x: Any, series_order: int = 3) -> Any:
    """The logarithm of ndtr, exact far below 0.

    Args:
      x: array or number.
      series_order: how many terms the asymptotic series far below 0 has.

    Raises:
      ValueError: `series_order` is negative or above 30.

    Source: `scipy.special.log_ndtr`; Abramowitz, Stegun, 26.2.12.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.special.log_ndtr(100.0))
      -0.0
    """
    if not 0 <= series_order <= 30:
        raise ValueError(f"scipy.special.log_ndtr: series_order must be in 0 … 30, got {series_order}.")
    return _log_ndtr(x, series_order=int(series_order))
