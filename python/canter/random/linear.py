"""Random vectors and matrices: normal with a covariance, orthogonal."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from canter import lax, numpy as cnp
from canter.core import dtypes
from canter.lax import linalg
from canter.numpy.util import broadcast_shape, convert, dtype_of, promote_dtypes_inexact, shape_of
from canter.runtime.composite import composite

from .arguments import STATIC, as_number, parameter_shape, prepare, sample_shape
from .bodies import normal_body
from .keys import PRNGImpl

__all__ = ["multivariate_normal", "orthogonal"]

Shape = tuple[int, ...]


def _root(cov: Any, method: str) -> Any:
    """A matrix whose product with its own transpose is the covariance."""
    symmetric = (cov + cnp.swapaxes(cov, -1, -2)) / 2
    if method == "cholesky":
        return cnp.tril(linalg.cholesky(symmetric, symmetrize_input=False))
    if method == "eigh":
        vectors, values = linalg.eigh(symmetric, symmetrize_input=False)
        return vectors * lax.sqrt(values)[..., None, :]
    vectors, values, _ = linalg.svd(cov)
    return vectors * lax.sqrt(values)[..., None, :]


@composite(static_argnames=(*STATIC, "method"))
def _multivariate_normal(
    words: Any, mean: Any, cov: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any, method: str
) -> Any:
    mean, cov = promote_dtypes_inexact(mean, cov)
    draws = normal_body(words, impl=impl, shape=(*shape, shape_of(mean)[-1]), dtype=dtype)
    common = dtypes.promote_types(dtype_of(mean), dtype)
    factored = (
        common if common.itemsize >= 4 else np.dtype(np.float32)
    )  # decompositions have no narrower kernels
    root = convert(_root(convert(cov, factored), method), common)
    return convert(mean, common) + cnp.einsum("...ij,...j->...i", root, convert(draws, common))


def multivariate_normal(
    key: Any,
    mean: Any,
    cov: Any,
    shape: Any = None,
    dtype: Any = None,
    method: str = "cholesky",
    *,
    out_sharding: Any = None,
) -> Any:
    """Normally distributed vectors with a given mean and covariance.

    Args:
      key: a random key.
      mean: (..., n).
      cov: (..., n, n), symmetric and positive definite; with "eigh" and "svd" semidefinite.
      shape: of the result without the last dimension; by default that of the parameters' batches.
      dtype: a float dtype.
      method: how the root of `cov` is taken: "cholesky" is the fastest, "svd" the most robust, "eigh" between.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      ValueError: the shapes do not fit, or the method is unknown.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> ct.random.multivariate_normal(ct.random.key(0), cnp.zeros(2), cnp.eye(2), (5,)).shape
      (5, 2)
    """
    raw, dtype = prepare("multivariate_normal", key, dtype, "float", out_sharding)
    if method not in ("svd", "eigh", "cholesky"):
        raise ValueError("method must be one of {'svd', 'eigh', 'cholesky'}" + f", got {method!r}.")
    mean, cov = as_number("multivariate_normal", "mean", mean), as_number("multivariate_normal", "cov", cov)
    mean_shape, cov_shape = shape_of(mean), shape_of(cov)
    if len(mean_shape) < 1:
        raise ValueError(f"multivariate_normal requires mean.ndim >= 1, got {mean_shape}.")
    if len(cov_shape) < 2 or cov_shape[-2:] != (mean_shape[-1],) * 2:
        raise ValueError(
            f"multivariate_normal requires cov.shape == (..., n, n) for n={mean_shape[-1]}, but got {cov_shape}."
        )
    batch = broadcast_shape(mean_shape[:-1], cov_shape[:-2])
    shape = parameter_shape("multivariate_normal", shape, np.broadcast_to(np.False_, batch))
    return _multivariate_normal(raw.words, mean, cov, impl=raw.impl, shape=shape, dtype=dtype, method=method)


@composite(static_argnames=(*STATIC, "n", "m"))
def _orthogonal(words: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any, n: int, m: int) -> Any:
    draws = normal_body(words, impl=impl, shape=(*shape, max(n, m), min(n, m)), dtype=dtype)
    q, r = linalg.qr(draws, full_matrices=False)
    # The signs of r's diagonal are the factorisation's choice; without them q is uniformly distributed.
    q = q * lax.sign(cnp.diagonal(r, axis1=-2, axis2=-1))[..., None, :]
    return cnp.swapaxes(q, -1, -2) if n < m else q


def orthogonal(
    key: Any, n: int, shape: Any = (), dtype: Any = None, m: int | None = None, *, out_sharding: Any = None
) -> Any:
    """Uniformly distributed orthogonal matrices (unitary ones for complex dtypes).

    Args:
      key: a random key.
      n: the number of rows.
      shape: how many matrices.
      dtype: a float or complex dtype.
      m: the number of columns, by default n. Of the larger of both dimensions the vectors are orthonormal.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Returns:
      An array of shape (*shape, n, m).

    Raises:
      TypeError: `n` or `m` is no integer.

    Source: Mezzadri, "How to generate random matrices from the classical compact groups", 2007.

    Example:
      >>> import canter as ct
      >>> q = ct.random.orthogonal(ct.random.key(0), 3)
      >>> bool(abs(q @ q.T - ct.numpy.eye(3)).max() < 1e-5)
      True
    """
    raw, dtype = prepare("orthogonal", key, dtype, "float or complex", out_sharding)
    rows = operator.index(n)
    return _orthogonal(
        raw.words,
        impl=raw.impl,
        shape=sample_shape("orthogonal", shape),
        dtype=dtype,
        n=rows,
        m=rows if m is None else operator.index(m),
    )
