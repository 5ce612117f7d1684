"""Special functions, as in `scipy.special`."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from canter import lax, numpy as cnp
from canter.lax.common import const
from canter.nn.normalization import log_softmax as _log_softmax, logsumexp as logsumexp, softmax as _softmax
from canter.numpy.ufunc_bodies import where
from canter.numpy.util import dtype_of, promote_args_inexact, to_inexact
from canter.runtime.composite import composite
from canter.transforms.custom_rules import custom_jvp

__all__ = [
    "beta", "betainc", "betaln", "boxcox", "boxcox1p", "comb", "digamma", "entr", "erf", "erfc", "erfinv", "expit",
    "factorial", "gamma", "gammainc", "gammaincc", "gammaln", "gammasgn", "i0", "i0e", "i1", "i1e", "kl_div",
    "log_ndtr", "log_softmax", "logit", "logsumexp", "multigammaln", "ndtr", "ndtri", "poch", "polygamma", "rel_entr",
    "softmax", "xlog1py", "xlogy", "zeta",
]  # fmt: skip

_DOC = """{what}

    Args:
      {arguments}: arrays or numbers that broadcast.

    Raises:
      TypeError: an argument is no array of numbers.

    Source: `scipy.special.{name}`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.special.{call})
      {printed}
    """


def _documented(name: str, what: str, call: str, printed: str, arguments: str = "x") -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        function.__name__ = function.__qualname__ = name
        function.__doc__ = _DOC.format(what=what, name=name, call=call, printed=printed, arguments=arguments)
        return function

    return decorate


def _unary(name: str, body: Callable[[Any], Any], what: str, call: str, printed: str) -> Any:
    def function(x: Any) -> Any:
        return body(to_inexact(name, x))

    return _documented(name, what, call, printed)(composite(function))


def _binary(
    name: str, body: Callable[[Any, Any], Any], what: str, call: str, printed: str, names: str
) -> Any:
    """A function of two operands. The parameters' names are those of SciPy."""
    parameters: dict[str, Callable[..., Any]] = {
        "a, b": lambda a, b: body(*promote_args_inexact(name, a, b)),
        "a, x": lambda a, x: body(*promote_args_inexact(name, a, x)),
        "x, y": lambda x, y: body(*promote_args_inexact(name, x, y)),
        "p, q": lambda p, q: body(*promote_args_inexact(name, p, q)),
        "x, lmbda": lambda x, lmbda: body(*promote_args_inexact(name, x, lmbda)),
        "z, m": lambda z, m: body(*promote_args_inexact(name, z, m)),
    }
    return _documented(name, what, call, printed, names)(composite(parameters[names]))


# --- the gamma function and its kin ---------------------------------------------------------------


def _gamma_sign(x: Any) -> Any:
    """The sign of gamma(x): negative between an odd negative integer and the even one above it."""
    floor = lax.floor(x)
    odd = lax.ne(lax.rem(floor, const(x, 2)), const(x, 0))
    sign = where(lax.bitwise_and(lax.lt(x, const(x, 0)), odd), const(x, -1), const(x, 1))
    pole = lax.bitwise_and(lax.lt(x, const(x, 0)), lax.eq(floor, x))
    return where(lax.bitwise_or(pole, lax.ne(x, x)), const(x, np.nan), sign)


def _log_gamma(x: Any) -> Any:
    return lax.lgamma(x)


def _gamma(x: Any) -> Any:
    value = _gamma_sign(x) * lax.exp(lax.lgamma(x))
    return where(lax.eq(x, const(x, 0)), 1 / x, value)


def _stirling_error(x: Any) -> Any:
    """lgamma(x) less Stirling's formula for it, for x of at least 10 (DLMF 5.11.1)."""
    inverse = 1 / x
    terms = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
    return inverse * _polynomial(inverse * inverse, terms)


def _polynomial(x: Any, coefficients: Sequence[float]) -> Any:
    """A polynomial, the constant term first."""
    value = const(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * x + const(x, coefficient)
    return value


def _log_beta(a: Any, b: Any) -> Any:
    """Differences of large logarithms of gamma functions cancel, so Stirling's formula is cancelled by hand."""
    a, b = _same_shape(a, b)
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
    gamma_p = lax.lgamma(where(both, const(a, 1), small))
    near = gamma_p + lax.lgamma(where(far, const(a, 1), large)) - lax.lgamma(where(far, const(a, 1), a + b))
    return where(far, where(both, from_stirling, gamma_p) + ratio, near)


gammaln = _unary(
    "gammaln", _log_gamma, "The logarithm of the size of the gamma function.", "gammaln(1.0) < 1e-6", "True"
)
gammasgn = _unary("gammasgn", _gamma_sign, "The sign of the gamma function.", "gammasgn(-0.5)", "-1.0")
gamma = _unary("gamma", _gamma, "The gamma function.", "gamma(1.0) < 1.001", "True")
digamma = _unary(
    "digamma", lambda x: lax.digamma(x), "The derivative of gammaln.", "digamma(ct.numpy.inf)", "inf"
)
betaln = _binary(
    "betaln",
    _log_beta,
    "The logarithm of the size of the beta function.",
    "betaln(1.0, 1.0) < 1e-5",
    "True",
    "a, b",
)
beta = _binary(
    "beta",
    lambda a, b: _gamma_sign(a) * _gamma_sign(b) * _gamma_sign(a + b) * lax.exp(_log_beta(a, b)),
    "The beta function.",
    "beta(1.0, 1.0) < 1.001",
    "True",
    "a, b",
)
gammainc = _binary(
    "gammainc",
    lambda a, x: lax.igamma(*_same_shape(a, x)),
    "The regularised lower incomplete gamma function.",
    "gammainc(1.0, 0.0)",
    "0.0",
    "a, x",
)
gammaincc = _binary(
    "gammaincc",
    lambda a, x: lax.igammac(*_same_shape(a, x)),
    "The regularised upper incomplete gamma function.",
    "gammaincc(1.0, 0.0)",
    "1.0",
    "a, x",
)
poch = _binary(
    "poch",
    lambda z, m: where(lax.eq(m, const(m, 0)), const(m, 1), lax.exp(lax.lgamma(z + m) - lax.lgamma(z))),
    "The rising factorial z (z + 1) … (z + m - 1), for positive z.",
    "poch(1.0, 0.0)",
    "1.0",
    "z, m",
)


def _same_shape(*args: Any) -> list[Any]:
    return list(cnp.broadcast_arrays(*args))


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
    return lax.betainc(*_same_shape(*promote_args_inexact("betainc", a, b, x)))


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
    return where(inside, lax.round(value), const(k, 0))


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
    return lax.polygamma(*_same_shape(*promote_args_inexact("polygamma", n, x)))


@composite
def _zeta(x: Any, q: Any) -> Any:
    return lax.zeta(*_same_shape(*promote_args_inexact("zeta", x, q)))


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
    return total + sum(lax.lgamma(a - i / 2) for i in range(d))


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


# --- the normal distribution ----------------------------------------------------------------------

erf = _unary("erf", lambda x: lax.erf(x), "The error function.", "erf(0.0)", "0.0")
erfc = _unary("erfc", lambda x: lax.erfc(x), "1 - erf(x), exact where that is small.", "erfc(0.0)", "1.0")
erfinv = _unary("erfinv", lambda x: lax.erf_inv(x), "The inverse of erf.", "erfinv(0.0)", "0.0")
ndtr = _unary(
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
    parts = []
    for polynomial in coefficients:
        value = const(x, polynomial[-1])
        for coefficient in polynomial[-2::-1]:
            value = value * x + const(x, coefficient)
        parts.append(value)
    return parts[0] / parts[1]


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


def _ndtri_body(p: Any) -> Any:
    return _ndtri(to_inexact("ndtri", p))


ndtri = _documented("ndtri", "The inverse of ndtr.", "ndtri(0.5)", "0.0", "p")(composite(_ndtri_body))


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


# --- logarithms and entropies ---------------------------------------------------------------------


@custom_jvp
def _xlogy(x: Any, y: Any) -> Any:
    used = lax.ne(x, const(x, 0))
    value = x * lax.log(where(used, y, const(y, 1)))
    return where(lax.bitwise_or(used, lax.ne(y, y)), where(lax.ne(y, y), y, value), const(x, 0))


@_xlogy.defjvp
def _(primals: Any, tangents: Any) -> Any:
    x, y = primals
    return _xlogy(x, y), tangents[0] * lax.log(y) + tangents[1] * (x / y)


@custom_jvp
def _xlog1py(x: Any, y: Any) -> Any:
    used = lax.ne(x, const(x, 0))
    value = x * lax.log1p(where(used, y, const(y, 0)))
    return where(lax.bitwise_or(used, lax.ne(y, y)), where(lax.ne(y, y), y, value), const(x, 0))


@_xlog1py.defjvp
def _(primals: Any, tangents: Any) -> Any:
    x, y = primals
    return _xlog1py(x, y), tangents[0] * lax.log1p(y) + tangents[1] * (x / (1 + y))


def _entr(x: Any) -> Any:
    return where(lax.lt(x, const(x, 0)), const(x, -np.inf), -_xlogy(x, x))


def _rel_entr(p: Any, q: Any) -> Any:
    p, q = _same_shape(p, q)
    both = lax.bitwise_and(lax.gt(p, const(p, 0)), lax.gt(q, const(q, 0)))
    none = lax.bitwise_and(lax.eq(p, const(p, 0)), lax.ge(q, const(q, 0)))
    safe_p, safe_q = where(both, p, const(p, 1)), where(both, q, const(q, 1))
    value = safe_p * (lax.log(safe_p) - lax.log(safe_q))
    invalid = lax.bitwise_or(lax.ne(p, p), lax.ne(q, q))
    outside = where(invalid, const(p, np.nan), where(none, const(p, 0), const(p, np.inf)))
    return where(both, value, outside)


def _boxcox(x: Any, power: Any) -> Any:
    return _boxcox_of_log(lax.log(x), power)


def _boxcox_of_log(log: Any, power: Any) -> Any:
    log, power = _same_shape(log, power)
    zero = lax.eq(power, const(power, 0))
    safe = where(zero, const(power, 1), power)
    return where(zero, log, lax.expm1(safe * log) / safe)


xlogy = _binary(
    "xlogy",
    lambda x, y: _xlogy(*_same_shape(x, y)),
    "x * log(y), which is 0 where x is.",
    "xlogy(0.0, 0.0)",
    "0.0",
    "x, y",
)
xlog1py = _binary(
    "xlog1py",
    lambda x, y: _xlog1py(*_same_shape(x, y)),
    "x * log(1 + y), which is 0 where x is.",
    "xlog1py(0.0, -1.0)",
    "0.0",
    "x, y",
)
entr = _unary("entr", _entr, "-x * log(x), which is 0 at 0 and -inf below.", "entr(1.0)", "-0.0")
rel_entr = _binary("rel_entr", _rel_entr, "p * log(p / q).", "rel_entr(1.0, 1.0)", "0.0", "p, q")
kl_div = _binary(
    "kl_div",
    lambda p, q: _rel_entr(p, q) - p + q,
    "p * log(p / q) - p + q.",
    "kl_div(1.0, 1.0)",
    "0.0",
    "p, q",
)
expit = _unary("expit", lambda x: lax.logistic(x), "The logistic function.", "expit(0.0)", "0.5")
logit = _unary(
    "logit", lambda x: lax.log(x / (1 - x)), "The inverse of expit: log(x / (1 - x)).", "logit(0.5)", "0.0"
)
boxcox = _binary(
    "boxcox",
    _boxcox,
    "(x**lmbda - 1) / lmbda, which is log(x) at lmbda = 0.",
    "boxcox(1.0, 2.0)",
    "0.0",
    "x, lmbda",
)
boxcox1p = _binary(
    "boxcox1p",
    lambda x, power: _boxcox_of_log(lax.log1p(x), power),
    "boxcox(1 + x, lmbda).",
    "boxcox1p(0.0, 2.0)",
    "0.0",
    "x, lmbda",
)


# --- Bessel functions -----------------------------------------------------------------------------

i0e = _unary("i0e", lambda x: lax.bessel_i0e(x), "exp(-|x|) * i0(x).", "i0e(0.0)", "1.0")
i1e = _unary("i1e", lambda x: lax.bessel_i1e(x), "exp(-|x|) * i1(x).", "i1e(0.0)", "0.0")
i0 = _unary(
    "i0",
    lambda x: lax.exp(lax.abs(x)) * lax.bessel_i0e(x),
    "The modified Bessel function of order 0.",
    "i0(0.0)",
    "1.0",
)
i1 = _unary(
    "i1",
    lambda x: lax.exp(lax.abs(x)) * lax.bessel_i1e(x),
    "The modified Bessel function of order 1.",
    "i1(0.0)",
    "0.0",
)


# --- softmax under SciPy's defaults ---------------------------------------------------------------


def softmax(x: Any, /, *, axis: Any = None) -> Any:
    """`nn.softmax`, by default over all axes.

    Args:
      x: array or number.
      axis: one axis, several, or None for all.

    Raises:
      ValueError: an axis is out of bounds.

    Source: `scipy.special.softmax`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.special.softmax(ct.numpy.zeros(2)))
      [0.5 0.5]
    """
    return _softmax(x, axis=axis)


def log_softmax(x: Any, /, *, axis: Any = None) -> Any:
    """`nn.log_softmax`, by default over all axes.

    Args:
      x: array or number.
      axis: one axis, several, or None for all.

    Raises:
      ValueError: an axis is out of bounds.

    Source: `scipy.special.log_softmax`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.special.log_softmax(ct.numpy.zeros(1)))
      [0.]
    """
    return _log_softmax(x, axis=axis)
