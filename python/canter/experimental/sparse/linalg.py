"""Eigenvalues of big matrices that are known by what they do to vectors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from canter import lax, numpy as cnp
from canter.core import dtypes
from canter.lax import linalg as lax_linalg
from canter.numpy.util import check_arraylike, dtype_of, is_inexact, shape_of

__all__ = ["lobpcg_standard"]

_matmul = functools.partial(cnp.matmul, precision=lax.Precision.HIGHEST)


def lobpcg_standard(
    A: Any | Callable[[Any], Any], X: Any, m: Any = 100, tol: Any = None
) -> tuple[Any, Any, Any]:
    """The largest eigenvalues of a Hermitian matrix, and their eigenvectors.

    Each step looks for the best vectors in the space of the last ones, their residuals, and the last
    change (locally optimal block conjugate gradients, without preconditioner).

    Args:
      A: the matrix, (n, n), or a function that multiplies it with matrices of n rows.
      X: (n, k): where to start, with 5 k < n; columns that depend on others are replaced.
      m: how many steps at most.
      tol: a pair has converged when the norm of its residual is below 10 n tol times the sum of the eigenvalue's
        size and the norm of A u; by default the precision of the dtype.

    Returns:
      The k eigenvalues, in descending order, the eigenvectors, (n, k), and the number of steps taken.

    Raises:
      ValueError: the shapes do not fit, or A and X have different dtypes.
      TypeError: X is neither floating nor complex.

    Source: Knyazev, "Toward the optimal preconditioned eigensolver", 2001; Hetmaniuk and Lehoucq, 2006, for
    the orthogonal basis.

    Example:
      >>> import canter.numpy as cnp
      >>> from canter.experimental.sparse.linalg import lobpcg_standard
      >>> values, _, _ = lobpcg_standard(cnp.diag(cnp.arange(20.0)), cnp.ones((20, 1)))
      >>> print(values.round(3))
      [19.]
    """
    check_arraylike("lobpcg_standard", X)
    X = cnp.asarray(X)
    if not is_inexact(dtype_of(X)):
        raise TypeError(f"lobpcg_standard: X must be floating or complex, got {dtype_of(X)}.")
    if len(shape_of(X)) != 2 or not 0 < 5 * shape_of(X)[1] < shape_of(X)[0]:
        raise ValueError(
            f"lobpcg_standard: X must be of shape (n, k) with 0 < 5 k < n, got shape {shape_of(X)}. "
            "For so many eigenvalues use numpy.linalg.eigh."
        )
    multiply = A if callable(A) else functools.partial(_matmul, A)
    _check_operator(multiply, X)
    eps = float(dtypes.finfo(dtype_of(X)).eps)
    return _search(multiply, X, m, eps if tol is None else tol)


def _check_operator(multiply: Callable[[Any], Any], x: Any) -> None:
    column = x[:, :1]
    image = multiply(column)
    if shape_of(image) != shape_of(column):
        size = shape_of(x)[0]
        raise ValueError(
            f"lobpcg_standard: A must be a ({size}, {size}) matrix; a column of shape {shape_of(column)} became one "
            f"of shape {shape_of(image)}."
        )
    if dtype_of(image) != dtype_of(x):
        raise ValueError(
            f"lobpcg_standard: A must give the dtype of X, {dtype_of(x)}, and gives {dtype_of(image)}."
        )


def _best(multiply: Callable[[Any], Any], basis: Any, count: int) -> tuple[Any, Any]:
    """The largest eigenvalues within a space, by Rayleigh and Ritz, and the coefficients of their vectors."""
    inside = _matmul(cnp.conj(basis.T), multiply(basis))
    vectors, values = lax_linalg.eigh(inside)
    return values[::-1][:count], vectors[:, ::-1][:, :count]


def _search(multiply: Callable[[Any], Any], x: Any, m: Any, tol: Any) -> tuple[Any, Any, Any]:
    size, count = shape_of(x)

    def residual_of(x: Any, values: Any) -> tuple[Any, Any]:
        image = multiply(x)
        residual = image - x * values.astype(dtype_of(x))
        scale = cnp.abs(values) + cnp.linalg.norm(image, axis=0)
        return residual, cnp.all(cnp.linalg.norm(residual, axis=0) <= 10 * size * tol * scale)

    def unfinished(state: Any) -> Any:
        *_, done, steps = state
        return ~done & (steps < m)

    def step(state: Any) -> Any:
        x, _, residual, change, _, steps = state
        # Reflectors make the basis orthonormal even where columns vanish or depend on others.
        basis, _ = lax_linalg.qr(cnp.concatenate([x, residual, change], axis=1), full_matrices=False)
        values, weights = _best(multiply, basis, count)
        change = _matmul(basis[:, count:], weights[count:])
        x = _matmul(basis, weights)
        residual, done = residual_of(x, values)
        return x, values, residual, change, done, steps + 1

    x, _ = lax_linalg.qr(x, full_matrices=False)
    values, weights = _best(multiply, x, count)
    x = _matmul(x, weights)
    residual, done = residual_of(x, values)
    state = (x, values, residual, cnp.zeros_like(x), done, 0)
    x, values, *_, steps = lax.while_loop(unfinished, step, state)
    return values, x, cnp.asarray(steps)
