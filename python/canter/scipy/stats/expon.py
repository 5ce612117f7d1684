"""The exponential distribution."""

from __future__ import annotations

from typing import Any

from canter import lax
from canter.lax.common import const
from canter.nn.activations import log1mexp
from canter.numpy.ufunc_bodies import where
from canter.numpy.util import promote_args_inexact

from .common import density_outside, distribution, invalid, outside_unit, standardize

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]

_method = distribution("the exponential distribution", q="a probability")


def _from_zero(name: str, x: Any, loc: Any, scale: Any) -> Any:
    """The standardized argument, 0 where it is below the support."""
    z, _ = standardize(name, x, loc, scale)
    return where(z < 0, const(z, 0), z)


@_method("0.5", -0.5)
def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    z, scale = standardize("expon.logpdf", x, loc, scale)
    return density_outside(z < 0, -z - lax.log(scale))


@_method("0.5", 0.607)
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.exp(logpdf(x, loc, scale))


@_method("0.5", 0.393)
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return -lax.expm1(-_from_zero("expon.cdf", x, loc, scale))


@_method("0.5", -0.933)
def logcdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return log1mexp(_from_zero("expon.logcdf", x, loc, scale))


@_method("0.5", 0.607)
def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.exp(-_from_zero("expon.sf", x, loc, scale))


@_method("0.5", -0.5)
def logsf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return -_from_zero("expon.logsf", x, loc, scale)


@_method("0.9", 2.303)
def ppf(q: Any, loc: Any = 0, scale: Any = 1) -> Any:
    q, loc, scale = promote_args_inexact("expon.ppf", q, loc, scale)
    return invalid(outside_unit(q), loc - scale * lax.log1p(-q))
