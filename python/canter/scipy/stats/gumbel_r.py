"""The Gumbel distribution of maxima."""

from __future__ import annotations

from typing import Any

from canter import lax
from canter.numpy.util import promote_args_inexact

from . import gumbel
from .common import distribution, invalid, outside_unit, standardize

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]

_method = distribution("the Gumbel distribution of maxima", loc="its mode", p="a probability")


@_method("0.5", -1.107)
def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    z, scale = standardize("gumbel_r.logpdf", x, loc, scale)
    return gumbel.log_density(z) - lax.log(scale)


@_method("0.5", 0.331)
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.exp(logpdf(x, loc, scale))


@_method("0.5", -0.607)
def logcdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return gumbel.log_below(standardize("gumbel_r.logcdf", x, loc, scale)[0])


@_method("0.5", 0.545)
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.exp(logcdf(x, loc, scale))


@_method("0.5", 0.455)
def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return gumbel.above(standardize("gumbel_r.sf", x, loc, scale)[0])


@_method("0.5", -0.788)
def logsf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return gumbel.log_above(standardize("gumbel_r.logsf", x, loc, scale)[0])


@_method("0.9", 2.25)
def ppf(p: Any, loc: Any = 0, scale: Any = 1) -> Any:
    p, loc, scale = promote_args_inexact("gumbel_r.ppf", p, loc, scale)
    return invalid(outside_unit(p), loc - scale * lax.log(-lax.log(p)))
