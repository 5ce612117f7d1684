"""The Poisson distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from canter import lax
from canter.lax.common import const
from canter.numpy.ufunc_bodies import where
from canter.numpy.util import promote_args_inexact, shape_of
from canter.scipy import special

from .common import density_outside, distribution, invalid

__all__ = ["cdf", "entropy", "logpmf", "pmf"]

_method = distribution("the Poisson distribution", k="how many events", mu="its mean")


@_method("2, 1.5", -1.382)
def logpmf(k: Any, mu: Any, loc: Any = 0) -> Any:
    k, mu, loc = promote_args_inexact("poisson.logpmf", k, mu, loc)
    x = k - loc
    outside = lax.bitwise_or(x < 0, x != lax.floor(x))
    x = where(outside, const(x, 0), x)
    return density_outside(outside, special.xlogy(x, mu) - lax.lgamma(x + 1) - mu)


@_method("2, 1.5", 0.251)
def pmf(k: Any, mu: Any, loc: Any = 0) -> Any:
    return lax.exp(logpmf(k, mu, loc))


@_method("2, 1.5", 0.809)
def cdf(k: Any, mu: Any, loc: Any = 0) -> Any:
    k, mu, loc = promote_args_inexact("poisson.cdf", k, mu, loc)
    x = lax.floor(k - loc)
    return where(x < 0, const(x, 0), special.gammaincc(where(x < 0, const(x, 1), x + 1), mu))


#: From this mean on, the asymptotic series of the entropy is exact to the precision of float64.
_LARGE_MEAN = 100.0
#: So many terms of the sum hold all of the mass below that mean.
_TERMS = 240


@_method("1.5", 1.539)
def entropy(mu: Any, loc: Any = 0) -> Any:
    mu, _ = promote_args_inexact("poisson.entropy", mu, loc)
    large = mu > _LARGE_MEAN
    # Evans, Boersma, "The entropy of a Poisson distribution", 1988.
    far = where(large, mu, const(mu, _LARGE_MEAN))
    series = 1 / 12 + (1 / 24 + (19 / 360) / far) / far
    asymptotic = 0.5 * (math.log(2 * math.pi) + 1 + lax.log(far)) - series / far
    near = where(large, const(mu, 1), mu)
    k = lax.broadcast_in_dim(
        np.arange(_TERMS).astype(mu.dtype), (_TERMS, *shape_of(mu)), (0,)
    )  # the terms along a new first axis
    weights = lax.exp(special.xlogy(k, near) - lax.lgamma(k + 1) - near)
    total = lax.reduce_sum(weights * lax.lgamma(k + 1), axes=(0,))
    exact = near - special.xlogy(near, near) + total
    return invalid(mu < 0, where(large, asymptotic, exact))
