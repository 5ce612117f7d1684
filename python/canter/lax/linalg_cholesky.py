"""Cholesky factors, and what becomes of them when a matrix of rank one is added."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import linalg_derivatives as derivatives
from .common import check_dtype, const, ops
from .linalg_derivatives import adjoint, triangle
from .linalg_primitives import check_matrix, matrix_primitive, sized
from .shapes import aval_of

__all__ = ["cholesky", "cholesky_p", "cholesky_update", "cholesky_update_p", "symmetrize"]


def _cholesky_shapes(x: Any) -> Any:
    check_matrix("cholesky", x, square=True)
    return sized(x, *x.shape[-2:])


cholesky_p = matrix_primitive("cholesky", _cholesky_shapes, jvp=derivatives.cholesky_jvp)


def cholesky(x: Any, *, symmetrize_input: bool = True) -> Any:
    """The Cholesky factor: the lower triangular L with `x = L @ L.conj().T`.

    Args:
      x: Hermitian positive definite matrices, shape `(..., n, n)`, floating or complex.
      symmetrize_input: whether to replace x by `(x + x.conj().T) / 2` first; otherwise only its
        lower triangle is read.

    Returns:
      The factors, of the shape of x; NaN where a matrix is not positive definite.

    Raises:
      ValueError: the matrices are not square.
      TypeError: the dtype is not floating or complex.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.linalg.cholesky(cnp.array([[4.0, 2.0], [2.0, 5.0]])).tolist()
      [[2.0, 0.0], [1.0, 2.0]]
    """
    check_matrix("cholesky", aval_of(x), square=True)
    if symmetrize_input:
        x = symmetrize(x)
    return triangle(cholesky_p.bind(x), lower=True)


def symmetrize(x: Any) -> Any:
    """The Hermitian part of square matrices."""
    return ops.div(ops.add(x, adjoint(x)), const(x, 2))


def _cholesky_update_shapes(r: Any, w: Any) -> Any:
    check_matrix("cholesky_update", r, square=True)
    check_dtype("cholesky_update", r.dtype, (np.floating,))
    if w.shape != r.shape[:-1] or w.dtype != r.dtype:
        raise (TypeError if w.dtype != r.dtype else ValueError)(
            "cholesky_update takes factors (..., n, n) and vectors (..., n) of one dtype; got "
            f"{r.str_short()} and {w.str_short()}."
        )
    return sized(r, *r.shape[-2:])


cholesky_update_p = matrix_primitive(
    "cholesky_update", _cholesky_update_shapes, jvp=derivatives.cholesky_update_jvp
)


def cholesky_update(r_matrix: Any, w_vector: Any) -> Any:
    """The Cholesky factor of a matrix to which one of rank one is added: of `r.T @ r + outer(w, w)`.

    Args:
      r_matrix: upper triangular factors, shape `(..., n, n)`, floating; below the diagonal it is not read.
      w_vector: vectors, shape `(..., n)`, of the same dtype.

    Returns:
      The upper triangular factors, shape `(..., n, n)`.

    Raises:
      TypeError: the dtypes differ or are not floating.
      ValueError: the shapes do not fit.

    Source: Gill, Golub, Murray and Saunders, "Methods for modifying matrix factorizations", 1974.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.linalg.cholesky_update(cnp.array([[3.0]]), cnp.array([4.0])).tolist()
      [[5.0]]
    """
    return cholesky_update_p.bind(r_matrix, w_vector)
