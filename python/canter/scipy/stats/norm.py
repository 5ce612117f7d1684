"""The normal distribution."""

from __future__ import annotations

import math
from typing import Any

from canter import lax
from canter.numpy.util import promote_args_inexact
from canter.scipy import special

from .common import distribution, standardize

__all__ = ["cdf", "isf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]

_method = distribution(
    "the normal distribution", loc="its mean", scale="its standard deviation", q="a probability"
)
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@_method("0.5", -1.044)
def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    z, scale = standardize("norm.logpdf", x, loc, scale)
    return -0.5 * (z * z) - _HALF_LOG_2PI - lax.log(scale)


@_method("0.5", 0.352)
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.exp(logpdf(x, loc, scale))


@_method("0.5", 0.691)
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return special.ndtr(standardize("norm.cdf", x, loc, scale)[0])


@_method("0.5", -0.369)
def logcdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return special.log_ndtr(standardize("norm.logcdf", x, loc, scale)[0])


@_method("0.5", 0.309)
def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return special.ndtr(-standardize("norm.sf", x, loc, scale)[0])


@_method("0.5", -1.176)
def logsf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return special.log_ndtr(-standardize("norm.logsf", x, loc, scale)[0])


@_method("0.9", 1.282)
def ppf(q: Any, loc: Any = 0, scale: Any = 1) -> Any:
    q, loc, scale = promote_args_inexact("norm.ppf", q, loc, scale)
    return special.ndtri(q) * scale + loc


@_method("0.9", -1.282)
def isf(q: Any, loc: Any = 0, scale: Any = 1) -> Any:
    q, loc, scale = promote_args_inexact("norm.isf", q, loc, scale)
    return loc - special.ndtri(q) * scale
