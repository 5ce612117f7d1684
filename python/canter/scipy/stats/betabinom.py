"""The beta-binomial distribution."""

from __future__ import annotations

from typing import Any

from canter import lax
from canter.lax.common import const
from canter.numpy.ufunc_bodies import where
from canter.numpy.util import promote_args_inexact
from canter.scipy import special

from .common import density_outside, distribution, invalid

__all__ = ["logpmf", "pmf"]

_method = distribution(
    "the beta-binomial distribution",
    k="the number of successes",
    n="of how many trials",
    a="the first parameter of the beta distribution of their probability",
    b="the second",
)


@_method("2, 5, 1.5, 2.0", -1.546)
def logpmf(k: Any, n: Any, a: Any, b: Any, loc: Any = 0) -> Any:
    k, n, a, b, loc = promote_args_inexact("betabinom.logpmf", k, n, a, b, loc)
    x = k - loc
    outside = lax.bitwise_or(x < 0, x > n)
    x = where(outside, const(x, 0), x)
    ways = -special.betaln(x + 1, n - x + 1) - lax.log1p(n)
    value = ways + special.betaln(x + a, n - x + b) - special.betaln(a, b)
    unusable = lax.bitwise_or(n < 0, lax.bitwise_or(a <= 0, b <= 0))
    return invalid(unusable, density_outside(outside, value))


@_method("2, 5, 1.5, 2.0", 0.213)
def pmf(k: Any, n: Any, a: Any, b: Any, loc: Any = 0) -> Any:
    return lax.exp(logpmf(k, n, a, b, loc))
