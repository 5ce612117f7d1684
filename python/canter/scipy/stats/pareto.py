"""The Pareto distribution."""

from __future__ import annotations

from typing import Any

from canter import lax
from canter.lax.common import const
from canter.nn.activations import log1mexp
from canter.numpy.ufunc_bodies import where
from canter.numpy.util import promote_args_inexact

from .common import density_outside, distribution, invalid, outside_unit, standardize

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]

_method = distribution("the Pareto distribution", b="its exponent, positive", q="a probability")


def _log_above(name: str, x: Any, b: Any, loc: Any, scale: Any) -> Any:
    """The logarithm of the survival function, which is 0 below the support."""
    z, b, _ = standardize(name, x, b, loc, scale)
    return -b * lax.log(where(z < 1, const(z, 1), z))


@_method("1.5, 2.0", -0.523)
def logpdf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    z, b, scale = standardize("pareto.logpdf", x, b, loc, scale)
    inside = where(z < 1, const(z, 1), z)
    return density_outside(z < 1, lax.log(b) - lax.log(scale) - (b + 1) * lax.log(inside))


@_method("1.5, 2.0", 0.593)
def pdf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.exp(logpdf(x, b, loc, scale))


@_method("1.5, 2.0", 0.556)
def cdf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return -lax.expm1(_log_above("pareto.cdf", x, b, loc, scale))


@_method("1.5, 2.0", -0.588)
def logcdf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return log1mexp(-_log_above("pareto.logcdf", x, b, loc, scale))


@_method("1.5, 2.0", -0.811)
def logsf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return _log_above("pareto.logsf", x, b, loc, scale)


@_method("1.5, 2.0", 0.444)
def sf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.exp(logsf(x, b, loc, scale))


@_method("0.9, 2.0", 3.162)
def ppf(q: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    q, b, loc, scale = promote_args_inexact("pareto.ppf", q, b, loc, scale)
    return invalid(outside_unit(q), loc + scale * lax.exp(-lax.log1p(-q) / b))
