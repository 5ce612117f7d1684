"""The Dirichlet distribution."""

from __future__ import annotations

from typing import Any

from canter import lax, numpy as cnp
from canter.core import dtypes
from canter.lax.common import const
from canter.numpy.ufunc_bodies import where
from canter.numpy.util import dtype_of, promote_dtypes_inexact, shape_of
from canter.scipy import special

from .common import density_outside, distribution

__all__ = ["logpdf", "pdf"]

_method = distribution(
    "the Dirichlet distribution",
    x="(K,) or (K, n): shares that add up to 1; the last of K may be left out",
    alpha="(K,): its parameters, positive",
)
_EXAMPLE = "ct.numpy.array([0.2, 0.3, 0.5]), ct.numpy.array([1.0, 2.0, 3.0])"


@_method(_EXAMPLE, 1.504)
def logpdf(x: Any, alpha: Any) -> Any:
    x, alpha = promote_dtypes_inexact(cnp.asarray(x), cnp.asarray(alpha))
    if len(shape_of(alpha)) != 1:
        raise ValueError(f"stats.dirichlet: alpha must be one-dimensional, got the shape {shape_of(alpha)}.")
    size = shape_of(alpha)[0]
    if len(shape_of(x)) == 0 or shape_of(x)[0] not in (size, size - 1):
        raise ValueError(
            f"stats.dirichlet: the first dimension of x must be that of alpha, {size}, or one less; "
            f"x has the shape {shape_of(x)}."
        )
    if shape_of(x)[0] == size - 1:
        x = cnp.concatenate([x, 1 - cnp.sum(x, axis=0, keepdims=True)])
    column = cnp.reshape(alpha, (size, *(1,) * (len(shape_of(x)) - 1)))
    negative = x < 0
    terms = special.xlogy(column - 1, where(negative, const(x, 1), x))
    normalizer = cnp.sum(lax.lgamma(alpha)) - lax.lgamma(cnp.sum(alpha))
    slack = 8 * size * float(dtypes.finfo(dtype_of(x)).eps)
    off = lax.abs(cnp.sum(x, axis=0) - 1) > slack
    outside = lax.bitwise_or(cnp.any(negative, axis=0), off)
    return density_outside(outside, cnp.sum(terms, axis=0) - normalizer)


@_method(_EXAMPLE, 4.5)
def pdf(x: Any, alpha: Any) -> Any:
    return lax.exp(logpdf(x, alpha))
