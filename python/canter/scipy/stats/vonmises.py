"""The von Mises distribution on the circle."""

from __future__ import annotations

import math
from typing import Any

from canter import lax
from canter.numpy.util import promote_args_inexact

from .common import distribution, invalid

__all__ = ["logpdf", "pdf"]

_method = distribution("the von Mises distribution", kappa="its concentration, positive")


@_method("0.5, 2.0", -0.907)
def logpdf(x: Any, kappa: Any) -> Any:
    x, kappa = promote_args_inexact("vonmises.logpdf", x, kappa)
    # cos(x) - 1 without cancellation near 0.
    half = lax.sin(0.5 * x)
    value = -2 * kappa * (half * half) - math.log(2 * math.pi) - lax.log(lax.bessel_i0e(kappa))
    return invalid(kappa <= 0, value)


@_method("0.5, 2.0", 0.404)
def pdf(x: Any, kappa: Any) -> Any:
    return lax.exp(logpdf(x, kappa))
