"""The standard Gumbel distribution of maxima, of which that of minima is the mirror image."""

from __future__ import annotations

from typing import Any

from canter import lax
from canter.lax.common import const
from canter.nn.activations import log1mexp
from canter.numpy.ufunc_bodies import where

__all__ = ["above", "log_above", "log_below", "log_density"]


def log_density(z: Any) -> Any:
    """The logarithm of the density."""
    return -z - lax.exp(-z)


def log_below(z: Any) -> Any:
    """The logarithm of the probability of being below."""
    return -lax.exp(-z)


def above(z: Any) -> Any:
    """The probability of being above."""
    return -lax.expm1(-lax.exp(-z))


def log_above(z: Any) -> Any:
    """The logarithm of the probability of being above, which is -z far above."""
    far = z > 40
    return where(far, -z, log1mexp(lax.exp(-where(far, const(z, 0), z))))
