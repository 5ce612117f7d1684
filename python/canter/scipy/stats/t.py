"""Student's t distribution."""

from __future__ import annotations

from typing import Any

from canter import lax
from canter.scipy import special

from .common import distribution, standardize

__all__ = ["logpdf", "pdf"]

_method = distribution("Student's t distribution", df="degrees of freedom, positive")


@_method("0.5, 3.0", -1.161)
def logpdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    z, df, scale = standardize("t.logpdf", x, df, loc, scale)
    # 1 / beta(df / 2, 1 / 2) is the ratio of gamma functions that makes the integral 1.
    normalizer = special.betaln(0.5 * df, 0.5) + 0.5 * lax.log(df) + lax.log(scale)
    return -normalizer - 0.5 * (df + 1) * lax.log1p(z * z / df)


@_method("0.5, 3.0", 0.313)
def pdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.exp(logpdf(x, df, loc, scale))
