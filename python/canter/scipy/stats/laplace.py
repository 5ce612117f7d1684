"""The Laplace distribution."""

from __future__ import annotations

import math
from typing import Any

from canter import lax
from canter.numpy.ufunc_bodies import where

from .common import distribution, standardize

__all__ = ["cdf", "logpdf", "pdf"]

_method = distribution("the Laplace distribution", loc="its mean")


@_method("0.5", -1.193)
def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    z, scale = standardize("laplace.logpdf", x, loc, scale)
    return -lax.abs(z) - math.log(2) - lax.log(scale)


@_method("0.5", 0.303)
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.exp(logpdf(x, loc, scale))


@_method("0.5", 0.697)
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    z, _ = standardize("laplace.cdf", x, loc, scale)
    tail = 0.5 * lax.exp(-lax.abs(z))
    return where(z > 0, 1 - tail, tail)
