"""The binomial distribution."""

from __future__ import annotations

from typing import Any

from canter import lax
from canter.numpy.util import promote_args_inexact
from canter.scipy import special

from .common import density_outside, distribution

__all__ = ["logpmf", "pmf"]

_method = distribution(
    "the binomial distribution",
    k="the number of successes",
    n="of how many trials",
    p="the probability of each",
)


@_method("2, 5, 0.3", -1.175)
def logpmf(k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
    k, n, p, loc = promote_args_inexact("binom.logpmf", k, n, p, loc)
    x = k - loc
    # The binomial coefficient by way of the beta function, which does not cancel for large n.
    ways = -special.betaln(x + 1, n - x + 1) - lax.log1p(n)
    value = ways + special.xlogy(x, p) + special.xlog1py(n - x, -p)
    return density_outside(lax.bitwise_or(x < 0, x > n), value)


@_method("2, 5, 0.3", 0.309)
def pmf(k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
    return lax.exp(logpmf(k, n, p, loc))
