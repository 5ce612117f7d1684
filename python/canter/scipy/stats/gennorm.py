"""The generalized normal distribution, whose density falls as exp(-abs(x)**beta)."""

from __future__ import annotations

import math
from typing import Any

from canter import lax, numpy as cnp
from canter.numpy.util import promote_args_inexact
from canter.scipy import special

from .common import distribution

__all__ = ["cdf", "logpdf", "pdf"]

_method = distribution("the generalized normal distribution", beta="the exponent, positive")


@_method("0.5, 3.0", -0.705)
def logpdf(x: Any, beta: Any) -> Any:
    x, beta = promote_args_inexact("gennorm.logpdf", x, beta)
    return lax.log(beta) - math.log(2) - lax.lgamma(1 / beta) - cnp.power(lax.abs(x), beta)


@_method("0.5, 3.0", 0.494)
def pdf(x: Any, beta: Any) -> Any:
    return lax.exp(logpdf(x, beta))


@_method("0.5, 3.0", 0.772)
def cdf(x: Any, beta: Any) -> Any:
    x, beta = promote_args_inexact("gennorm.cdf", x, beta)
    return 0.5 * (1 + lax.sign(x) * special.gammainc(1 / beta, cnp.power(lax.abs(x), beta)))
