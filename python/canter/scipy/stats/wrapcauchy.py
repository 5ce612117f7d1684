"""The wrapped Cauchy distribution on the circle."""

from __future__ import annotations

import math
from typing import Any

from canter import lax
from canter.numpy.util import promote_args_inexact

from .common import density_outside, distribution, invalid

__all__ = ["logpdf", "pdf"]

_method = distribution("the wrapped Cauchy distribution on [0, 2 pi]", c="its concentration, between 0 and 1")


@_method("0.5, 0.5", -1.138)
def logpdf(x: Any, c: Any) -> Any:
    x, c = promote_args_inexact("wrapcauchy.logpdf", x, c)
    half = lax.sin(0.5 * x)
    # 1 + c**2 - 2 c cos(x), as a sum of two squares.
    distance = (1 - c) * (1 - c) + 4 * c * (half * half)
    value = lax.log1p(-c * c) - math.log(2 * math.pi) - lax.log(distance)
    outside = lax.bitwise_or(x < 0, x > 2 * math.pi)
    return invalid(lax.bitwise_or(c <= 0, c >= 1), density_outside(outside, value))


@_method("0.5, 0.5", 0.321)
def pdf(x: Any, c: Any) -> Any:
    return lax.exp(logpdf(x, c))
