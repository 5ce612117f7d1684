"""The Bernoulli distribution."""

from __future__ import annotations

from typing import Any

from canter import lax
from canter.lax.common import const
from canter.numpy.ufunc_bodies import where
from canter.numpy.util import promote_args_inexact
from canter.scipy import special

from .common import density_outside, distribution, invalid, outside_unit

__all__ = ["cdf", "logpmf", "pmf", "ppf"]

_method = distribution("the Bernoulli distribution", k="0 or 1", p="the probability of 1", q="a probability")


@_method("1, 0.3", -1.204)
def logpmf(k: Any, p: Any, loc: Any = 0) -> Any:
    k, p, loc = promote_args_inexact("bernoulli.logpmf", k, p, loc)
    x = k - loc
    return density_outside(outside_unit(x), special.xlogy(x, p) + special.xlog1py(1 - x, -p))


@_method("1, 0.3", 0.3)
def pmf(k: Any, p: Any, loc: Any = 0) -> Any:
    return lax.exp(logpmf(k, p, loc))


@_method("0, 0.3", 0.7)
def cdf(k: Any, p: Any) -> Any:
    k, p = promote_args_inexact("bernoulli.cdf", k, p)
    value = where(k < 0, const(p, 0), where(k < 1, 1 - p, const(p, 1)))
    unusable = lax.bitwise_or(lax.bitwise_or(k != k, p != p), outside_unit(p))
    return invalid(unusable, value)


@_method("0.8, 0.3", 1.0)
def ppf(q: Any, p: Any) -> Any:
    q, p = promote_args_inexact("bernoulli.ppf", q, p)
    unusable = lax.bitwise_or(
        lax.bitwise_or(q != q, p != p), lax.bitwise_or(outside_unit(q), outside_unit(p))
    )
    return invalid(unusable, where(q <= 1 - p, const(q, 0), const(q, 1)))
