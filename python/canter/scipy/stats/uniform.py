"""The uniform distribution on [loc, loc + scale]."""

from __future__ import annotations

from typing import Any

from canter import lax
from canter.lax.common import const
from canter.numpy.util import promote_args_inexact

from .common import density_outside, distribution, invalid, outside_unit, standardize

__all__ = ["cdf", "logpdf", "pdf", "ppf"]

_method = distribution("the uniform distribution", loc="its lower end", scale="its length", q="a probability")


@_method("0.5, 0, 2", -0.693)
def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    x, loc, scale = promote_args_inexact("uniform.logpdf", x, loc, scale)
    outside = lax.bitwise_or(x < loc, x > loc + scale)
    return density_outside(outside, -lax.log(scale) + 0 * x)


@_method("0.5, 0, 2", 0.5)
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.exp(logpdf(x, loc, scale))


@_method("0.5, 0, 2", 0.25)
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    z, _ = standardize("uniform.cdf", x, loc, scale)
    return lax.clamp(const(z, 0), z, const(z, 1))


@_method("0.25, 0, 2", 0.5)
def ppf(q: Any, loc: Any = 0, scale: Any = 1) -> Any:
    q, loc, scale = promote_args_inexact("uniform.ppf", q, loc, scale)
    return invalid(outside_unit(q), loc + q * scale)
