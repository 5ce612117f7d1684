"""The beta distribution."""

from __future__ import annotations

from typing import Any

from canter import lax
from canter.lax.common import const
from canter.numpy.ufunc_bodies import where
from canter.scipy import special

from .common import density_outside, distribution, outside_unit, standardize

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "sf"]

_method = distribution(
    "the beta distribution", a="its first parameter, positive", b="its second parameter, positive"
)


@_method("0.5, 2.0, 3.0", 0.405)
def logpdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    z, a, b, scale = standardize("beta.logpdf", x, a, b, loc, scale)
    outside = outside_unit(z)
    inside = where(outside, const(z, 0.5), z)
    value = special.xlogy(a - 1, inside) + special.xlog1py(b - 1, -inside)
    return density_outside(outside, value - special.betaln(a, b) - lax.log(scale))


@_method("0.5, 2.0, 3.0", 1.5)
def pdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.exp(logpdf(x, a, b, loc, scale))


@_method("0.5, 2.0, 3.0", 0.688)
def cdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    z, a, b, _ = standardize("beta.cdf", x, a, b, loc, scale)
    return special.betainc(a, b, lax.clamp(const(z, 0), z, const(z, 1)))


@_method("0.5, 2.0, 3.0", -0.375)
def logcdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.log(cdf(x, a, b, loc, scale))


@_method("0.5, 2.0, 3.0", 0.312)
def sf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    z, a, b, _ = standardize("beta.sf", x, a, b, loc, scale)
    return special.betainc(b, a, 1 - lax.clamp(const(z, 0), z, const(z, 1)))


@_method("0.5, 2.0, 3.0", -1.163)
def logsf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.log(sf(x, a, b, loc, scale))
