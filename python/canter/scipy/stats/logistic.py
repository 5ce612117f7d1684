"""The logistic distribution."""

from __future__ import annotations

from typing import Any

from canter import lax
from canter.numpy.util import promote_args_inexact
from canter.scipy import special

from .common import distribution, standardize

__all__ = ["cdf", "isf", "logpdf", "pdf", "ppf", "sf"]

_method = distribution("the logistic distribution", loc="its mean")


@_method("0.5", -1.448)
def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    z, scale = standardize("logistic.logpdf", x, loc, scale)
    size = lax.abs(z)
    return -size - 2 * lax.log1p(lax.exp(-size)) - lax.log(scale)


@_method("0.5", 0.235)
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.exp(logpdf(x, loc, scale))


@_method("0.5", 0.622)
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.logistic(standardize("logistic.cdf", x, loc, scale)[0])


@_method("0.5", 0.378)
def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.logistic(-standardize("logistic.sf", x, loc, scale)[0])


@_method("0.9", 2.197)
def ppf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    x, loc, scale = promote_args_inexact("logistic.ppf", x, loc, scale)
    return loc + scale * special.logit(x)


@_method("0.9", -2.197)
def isf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    x, loc, scale = promote_args_inexact("logistic.isf", x, loc, scale)
    return loc - scale * special.logit(x)
