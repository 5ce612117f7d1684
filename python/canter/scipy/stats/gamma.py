"""The gamma distribution."""

from __future__ import annotations

from typing import Any

from canter import lax
from canter.lax.common import const
from canter.numpy.ufunc_bodies import where
from canter.scipy import special

from .common import density_outside, distribution, standardize

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "sf"]

_method = distribution("the gamma distribution", a="its shape parameter, positive")


@_method("0.5, 2.0", -1.193)
def logpdf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    z, a, scale = standardize("gamma.logpdf", x, a, loc, scale)
    inside = where(z < 0, const(z, 1), z)
    value = special.xlogy(a - 1, inside) - inside - lax.lgamma(a) - lax.log(scale)
    return density_outside(z < 0, value)


@_method("0.5, 2.0", 0.303)
def pdf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.exp(logpdf(x, a, loc, scale))


def _from_zero(name: str, x: Any, a: Any, loc: Any, scale: Any) -> tuple[Any, Any]:
    z, a, _ = standardize(name, x, a, loc, scale)
    return a, where(z < 0, const(z, 0), z)


@_method("0.5, 2.0", 0.09)
def cdf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return special.gammainc(*_from_zero("gamma.cdf", x, a, loc, scale))


@_method("0.5, 2.0", -2.406)
def logcdf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.log(cdf(x, a, loc, scale))


@_method("0.5, 2.0", 0.91)
def sf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return special.gammaincc(*_from_zero("gamma.sf", x, a, loc, scale))


@_method("0.5, 2.0", -0.095)
def logsf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.log(sf(x, a, loc, scale))
