"""The geometric distribution."""

from __future__ import annotations

from typing import Any

from canter import lax
from canter.lax.common import const
from canter.numpy.ufunc_bodies import where
from canter.numpy.util import promote_args_inexact
from canter.scipy import special

from .common import density_outside, distribution

__all__ = ["logpmf", "pmf"]

_method = distribution("the geometric distribution", k="in which trial", p="the probability of success")


@_method("2, 0.3", -1.561)
def logpmf(k: Any, p: Any, loc: Any = 0) -> Any:
    k, p, loc = promote_args_inexact("geom.logpmf", k, p, loc)
    x = k - loc
    failures = where(x < 1, const(x, 0), x - 1)
    return density_outside(x < 1, special.xlog1py(failures, -p) + lax.log(p))


@_method("2, 0.3", 0.21)
def pmf(k: Any, p: Any, loc: Any = 0) -> Any:
    return lax.exp(logpmf(k, p, loc))
