"""The Cauchy distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from canter import lax
from canter.lax.common import const
from canter.numpy.ufunc_bodies import where
from canter.numpy.util import promote_args_inexact

from .common import distribution, invalid, outside_unit, standardize

__all__ = ["cdf", "isf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]

_method = distribution("the Cauchy distribution", loc="its median", q="a probability")


@_method("0.5", -1.368)
def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    z, scale = standardize("cauchy.logpdf", x, loc, scale)
    return -math.log(math.pi) - lax.log(scale) - lax.log1p(z * z)


@_method("0.5", 0.255)
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.exp(logpdf(x, loc, scale))


def _below(z: Any) -> Any:
    # The angle of (-z, 1): exact far below, where 1/2 + arctan(z) / pi would cancel.
    return lax.atan2(lax.full_like(z, 1), -z) / math.pi


@_method("0.5", 0.648)
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return _below(standardize("cauchy.cdf", x, loc, scale)[0])


@_method("0.5", -0.435)
def logcdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.log(cdf(x, loc, scale))


@_method("0.5", 0.352)
def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return _below(-standardize("cauchy.sf", x, loc, scale)[0])


@_method("0.5", -1.043)
def logsf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.log(sf(x, loc, scale))


def _quantile(q: Any) -> Any:
    """-cot(pi q), and the ends of the line at 0 and 1."""
    q = invalid(outside_unit(q), q)
    value = -1 / lax.tan(math.pi * where(lax.bitwise_or(q == 0, q == 1), const(q, 0.5), q))
    return where(q == 0, const(q, -np.inf), where(q == 1, const(q, np.inf), value))


@_method("0.9", 3.078)
def ppf(q: Any, loc: Any = 0, scale: Any = 1) -> Any:
    q, loc, scale = promote_args_inexact("cauchy.ppf", q, loc, scale)
    return loc + scale * _quantile(q)


@_method("0.9", -3.078)
def isf(q: Any, loc: Any = 0, scale: Any = 1) -> Any:
    q, loc, scale = promote_args_inexact("cauchy.isf", q, loc, scale)
    return loc - scale * _quantile(q)
