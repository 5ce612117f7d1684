"""The multivariate normal distribution."""

from __future__ import annotations

import math
from typing import Any

from canter import lax, numpy as cnp
from canter.lax import linalg
from canter.numpy.util import promote_dtypes_inexact, shape_of

from . import norm
from .common import distribution

__all__ = ["logpdf", "pdf"]

_method = distribution(
    "the multivariate normal distribution",
    x="(..., n)",
    mean="(..., n) or a number",
    cov="(..., n, n): the covariance, positive definite; or a number",
    allow_singular="must be None",
)
_EXAMPLE = "ct.numpy.ones(2), ct.numpy.zeros(2), ct.numpy.eye(2)"


def _log_density(x: Any, mean: Any, cov: Any) -> Any:
    x, mean, cov = promote_dtypes_inexact(*map(cnp.asarray, (x, mean, cov)))
    if not shape_of(mean):
        # A number for the mean or the covariance means independent components.
        return norm.logpdf(x, mean, lax.sqrt(cov))
    size = shape_of(mean)[-1]
    if not shape_of(cov):
        if shape_of(x)[-1:] != (size,):
            raise ValueError(
                f"stats.multivariate_normal: x has the shape {shape_of(x)}, the mean {shape_of(mean)}."
            )
        return cnp.sum(norm.logpdf(x, mean, lax.sqrt(cov)), axis=-1)
    if shape_of(cov)[-2:] != (size, size):
        raise ValueError(
            f"stats.multivariate_normal: cov must have the shape (..., {size}, {size}) for a mean of shape "
            f"{shape_of(mean)}, got {shape_of(cov)}."
        )
    root = linalg.cholesky(cov)
    difference = x - mean
    batch = cnp.broadcast_shapes(shape_of(difference)[:-1], shape_of(cov)[:-2])
    whitened = linalg.triangular_solve(
        cnp.broadcast_to(root, (*batch, size, size)),
        cnp.broadcast_to(difference, (*batch, size))[..., None],
        left_side=True,
        lower=True,
    )[..., 0]
    log_determinant = cnp.sum(lax.log(cnp.diagonal(root, axis1=-2, axis2=-1)), axis=-1)
    return -0.5 * cnp.sum(whitened * whitened, axis=-1) - size / 2 * math.log(2 * math.pi) - log_determinant


@_method(_EXAMPLE, -2.838)
def logpdf(x: Any, mean: Any, cov: Any, allow_singular: None = None) -> Any:
    if allow_singular is not None:
        raise NotImplementedError(
            "stats.multivariate_normal.logpdf: allow_singular must be None; a singular covariance has no density. "
            "Add a small multiple of the identity to it."
        )
    return _log_density(x, mean, cov)


@_method(_EXAMPLE, 0.059)
def pdf(x: Any, mean: Any, cov: Any) -> Any:
    return lax.exp(_log_density(x, mean, cov))
