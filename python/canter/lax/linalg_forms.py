"""Hessenberg and tridiagonal forms, tridiagonal systems and symmetric products."""

from __future__ import annotations

from typing import Any

from ..core.avals import ShapedArray
from ..core.dimensions import max_dim
from . import linalg_algorithms as algorithms, linalg_derivatives as derivatives
from .common import ops
from .linalg_derivatives import triangle
from .linalg_primitives import check_matrix, matrix_primitive, real_dtype, sized, through_program

__all__ = [
    "hessenberg",
    "hessenberg_p",
    "symmetric_product",
    "symmetric_product_p",
    "tridiagonal",
    "tridiagonal_p",
    "tridiagonal_solve",
    "tridiagonal_solve_p",
]


def _hessenberg_shapes(a: Any) -> list[Any]:
    check_matrix("hessenberg", a, square=True)
    size = a.shape[-1]
    return [sized(a, size, size), sized(a, max_dim(size - 1, 0))]


hessenberg_p = matrix_primitive(
    "hessenberg", _hessenberg_shapes, multiple_results=True, jvp=through_program(algorithms.hessenberg)
)


def hessenberg(a: Any) -> tuple[Any, Any]:
    """Reduces matrices to Hessenberg form by Householder reflectors, as LAPACK's gehrd.

    Args:
      a: matrices, shape `(..., n, n)`, floating or complex.

    Returns:
      The Hessenberg matrix with the reflectors below its first subdiagonal, and their coefficients.

    Raises:
      ValueError: the matrices are not square.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.linalg.hessenberg(cnp.eye(3))[1].tolist()
      [0.0, 0.0]
    """
    reduced, taus = hessenberg_p.bind(a)
    return reduced, taus


def _tridiagonal_shapes(a: Any, *, lower: bool) -> list[Any]:
    check_matrix("tridiagonal", a, square=True)
    size, real = a.shape[-1], real_dtype(a.dtype)
    return [
        sized(a, size, size),
        sized(a, size, dtype=real),
        sized(a, max_dim(size - 1, 0), dtype=real),
        sized(a, max_dim(size - 1, 0)),
    ]


tridiagonal_p = matrix_primitive(
    "tridiagonal", _tridiagonal_shapes, multiple_results=True, jvp=through_program(algorithms.tridiagonal)
)


def tridiagonal(a: Any, *, lower: bool = True) -> tuple[Any, Any, Any, Any]:
    """Reduces Hermitian matrices to tridiagonal form by Householder reflectors, as LAPACK's sytrd.

    Args:
      a: Hermitian matrices, shape `(..., n, n)`, floating or complex.
      lower: which triangle is read.

    Returns:
      The reflectors in a matrix, the diagonal, the subdiagonal, and the reflectors' coefficients.

    Raises:
      ValueError: the matrices are not square.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.linalg.tridiagonal(cnp.eye(3))[1].tolist()
      [1.0, 1.0, 1.0]
    """
    reflectors, diagonal, below, taus = tridiagonal_p.bind(a, lower=bool(lower))
    return reflectors, diagonal, below, taus


def _tridiagonal_solve_shapes(dl: Any, d: Any, du: Any, b: Any, **_: Any) -> Any:
    check_matrix("tridiagonal_solve", b)
    if not (dl.shape == d.shape == du.shape == b.shape[:-1] and dl.dtype == d.dtype == du.dtype == b.dtype):
        got = ", ".join(x.str_short() for x in (dl, d, du, b))
        raise ValueError(
            "tridiagonal_solve takes three diagonals (..., n) and right-hand sides (..., n, m) of one dtype; "
            f"got {got}."
        )
    return ShapedArray(b.shape, b.dtype)


tridiagonal_solve_p = matrix_primitive(
    "tridiagonal_solve",
    _tridiagonal_solve_shapes,
    jvp=derivatives.tridiagonal_solve_jvp,
    transpose=derivatives.tridiagonal_solve_transpose,
)


def tridiagonal_solve(dl: Any, d: Any, du: Any, b: Any, *, perturb_singular: bool = False) -> Any:
    """Solves systems with tridiagonal matrices.

    Args:
      dl: the diagonal below, shape `(..., n)`; its first element is not read.
      d: the diagonal, shape `(..., n)`.
      du: the diagonal above, shape `(..., n)`; its last element is not read.
      b: right-hand sides, shape `(..., n, m)`.
      perturb_singular: whether to replace pivots that vanish by small numbers.

    Returns:
      The solutions, of the shape of b.

    Raises:
      ValueError: shapes or dtypes do not fit.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> zero, two = cnp.zeros(3), cnp.full((3,), 2.0)
      >>> lax.linalg.tridiagonal_solve(zero, two, zero, cnp.ones((3, 1))).tolist()
      [[0.5], [0.5], [0.5]]
    """
    return tridiagonal_solve_p.bind(dl, d, du, b, perturb_singular=bool(perturb_singular))


def _symmetric_product_shapes(a: Any, c: Any, *, alpha: float, beta: float) -> Any:
    check_matrix("symmetric_product", a)
    check_matrix("symmetric_product", c, square=True)
    if a.shape[:-1] != c.shape[:-1] or a.dtype != c.dtype:
        raise ValueError(
            "symmetric_product takes a (..., n, k) and c (..., n, n) of one dtype; got "
            f"{a.str_short()} and {c.str_short()}."
        )
    return ShapedArray(c.shape, c.dtype)


symmetric_product_p = matrix_primitive(
    "symmetric_product", _symmetric_product_shapes, jvp=derivatives.symmetric_product_jvp
)


def symmetric_product(
    a_matrix: Any, c_matrix: Any, *, alpha: float = 1.0, beta: float = 0.0, symmetrize_output: bool = False
) -> Any:
    """`alpha * a @ a.T + beta * c` for symmetric c.

    Args:
      a_matrix: shape `(..., n, k)`.
      c_matrix: symmetric matrices, shape `(..., n, n)`.
      alpha: a number.
      beta: a number.
      symmetrize_output: whether the upper triangle is copied from the lower one.

    Returns:
      The product, shape `(..., n, n)`.

    Raises:
      ValueError: shapes or dtypes do not fit.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.linalg.symmetric_product(cnp.ones((2, 3)), cnp.zeros((2, 2))).tolist()
      [[3.0, 3.0], [3.0, 3.0]]
    """
    result = symmetric_product_p.bind(a_matrix, c_matrix, alpha=float(alpha), beta=float(beta))
    if symmetrize_output:
        upper = derivatives.swap_last(triangle(result, lower=True, offset=-1))
        result = ops.add(triangle(result, lower=True), upper)
    return result
