"""The normal distribution cut to an interval.

The bounds a and b are those of the standard distribution, before it is stretched by `scale` and moved
by `loc`.
"""

from __future__ import annotations

from typing import Any

from canter import lax
from canter.lax.common import const
from canter.nn.activations import log1mexp
from canter.numpy.ufunc_bodies import where
from canter.scipy import special

from . import norm
from .common import density_outside, distribution, invalid, standardize

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "sf"]

_method = distribution(
    "the truncated normal distribution", a="the standardized lower bound", b="the upper one"
)


def _log_mass(a: Any, b: Any) -> Any:
    """The logarithm of the normal distribution's mass between two bounds, exact in both tails."""
    # Where most of the interval is above 0, its mirror image below 0 has the mass as a small difference of
    # small numbers.
    mirrored = a > 0
    low, high = where(mirrored, -b, a), where(mirrored, -a, b)
    log_low, log_high = special.log_ndtr(low), special.log_ndtr(high)
    empty = low >= high
    ratio = where(empty, const(low, 1), log_high - log_low)
    tail = log_high + log1mexp(ratio)
    # An interval on both sides of 0 is what its two tails leave.
    outer = special.ndtr(low) + special.ndtr(-high)
    central = lax.log1p(-where(outer < 1, outer, const(low, 0)))
    return density_outside(empty, where(high <= 0, tail, central))


def _checked(name: str, x: Any, a: Any, b: Any, loc: Any, scale: Any) -> tuple[Any, Any, Any, Any]:
    z, a, b, scale = standardize(name, x, a, b, loc, scale)
    return invalid(a >= b, z), a, b, scale


@_method("0.5, -1.0, 2.0", -0.844)
def logpdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    z, a, b, scale = _checked("truncnorm.logpdf", x, a, b, loc, scale)
    outside = lax.bitwise_or(z < a, z > b)
    return density_outside(outside, norm.logpdf(z) - _log_mass(a, b) - lax.log(scale))


@_method("0.5, -1.0, 2.0", 0.43)
def pdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.exp(logpdf(x, a, b, loc, scale))


def _log_share(z: Any, low: Any, high: Any, a: Any, b: Any) -> Any:
    """The logarithm of the share of (a, b) between two points of it."""
    return where(z != z, z, _log_mass(low, high) - _log_mass(a, b))


@_method("0.5, -1.0, 2.0", -0.429)
def logcdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    z, a, b, _ = _checked("truncnorm.logcdf", x, a, b, loc, scale)
    return _log_share(z, a, lax.min(lax.max(z, a), b), a, b)


@_method("0.5, -1.0, 2.0", 0.651)
def cdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.exp(logcdf(x, a, b, loc, scale))


@_method("0.5, -1.0, 2.0", -1.052)
def logsf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    z, a, b, _ = _checked("truncnorm.logsf", x, a, b, loc, scale)
    return _log_share(z, lax.min(lax.max(z, a), b), b, a, b)


@_method("0.5, -1.0, 2.0", 0.349)
def sf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return lax.exp(logsf(x, a, b, loc, scale))
