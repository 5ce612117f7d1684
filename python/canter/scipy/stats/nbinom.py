"""The negative binomial distribution."""

from __future__ import annotations

from typing import Any

from canter import lax
from canter.lax.common import const
from canter.numpy.ufunc_bodies import where
from canter.numpy.util import promote_args_inexact
from canter.scipy import special

from .common import density_outside, distribution

__all__ = ["logpmf", "pmf"]

_method = distribution(
    "the negative binomial distribution",
    k="the number of failures",
    n="before how many successes",
    p="the probability of success",
)


@_method("2, 5, 0.3", -4.025)
def logpmf(k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
    k, n, p, loc = promote_args_inexact("nbinom.logpmf", k, n, p, loc)
    x = k - loc
    outside = x < 0
    x = where(outside, const(x, 0), x)
    ways = -special.betaln(n, x + 1) - lax.log(n + x)
    return density_outside(outside, ways + special.xlogy(n, p) + special.xlog1py(x, -p))


@_method("2, 5, 0.3", 0.018)
def pmf(k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
    return lax.exp(logpmf(k, n, p, loc))
