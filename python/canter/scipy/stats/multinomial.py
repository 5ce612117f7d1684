"""The multinomial distribution."""

from __future__ import annotations

from typing import Any

from canter import lax, numpy as cnp
from canter.numpy.util import promote_args_inexact
from canter.scipy import special

from .common import density_outside, distribution

__all__ = ["logpmf", "pmf"]

_method = distribution(
    "the multinomial distribution",
    x="(..., K): the counts",
    n="(...): how many things are counted",
    p="(..., K): the probabilities of the kinds",
)
_EXAMPLE = "ct.numpy.array([1, 2, 3]), 6, ct.numpy.array([0.2, 0.3, 0.5])"


@_method(_EXAMPLE, -2.002)
def logpmf(x: Any, n: Any, p: Any) -> Any:
    p, x = promote_args_inexact("multinomial.logpmf", p, x)
    (n,) = promote_args_inexact("multinomial.logpmf", cnp.asarray(n, p.dtype))
    ways = lax.lgamma(n + 1) - cnp.sum(lax.lgamma(x + 1), axis=-1)
    return density_outside(cnp.sum(x, axis=-1) != n, ways + cnp.sum(special.xlogy(x, p), axis=-1))


@_method(_EXAMPLE, 0.135)
def pmf(x: Any, n: Any, p: Any) -> Any:
    return lax.exp(logpmf(x, n, p))
