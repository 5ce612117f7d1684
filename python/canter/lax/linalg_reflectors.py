"""Products of Householder reflectors, as LAPACK's QR decomposition keeps them."""

from __future__ import annotations

from typing import Any

from ..core.avals import ShapedArray
from ..transforms.rules import Zero, is_undefined_primal
from . import linalg_algorithms as algorithms
from .linalg_derivatives import conj
from .linalg_primitives import check_matrix, matrix_primitive, sized, through_program

__all__ = ["geqrf", "geqrf_p", "householder_product", "householder_product_p", "ormqr", "ormqr_p"]


def _geqrf_shapes(a: Any, *, use_magma: Any = None) -> list[Any]:
    check_matrix("geqrf", a)
    return [sized(a, *a.shape[-2:]), sized(a, min(a.shape[-2:]))]


geqrf_p = matrix_primitive(
    "geqrf",
    _geqrf_shapes,
    multiple_results=True,
    jvp=through_program(lambda a, use_magma=None: algorithms.householder_qr(a)),
)


def geqrf(a: Any) -> tuple[Any, Any]:
    """QR decomposition with Q left as reflectors, as LAPACK's geqrf.

    Args:
      a: matrices, shape `(..., m, n)`, floating or complex.

    Returns:
      R with the reflectors below its diagonal, and their coefficients, shape `(..., min(m, n))`.

    Raises:
      ValueError: a has fewer than two axes.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.linalg.geqrf(cnp.eye(2))[1].tolist()
      [0.0, 0.0]
    """
    packed, taus = geqrf_p.bind(a, use_magma=None)
    return packed, taus


def _householder_shapes(a: Any, taus: Any) -> Any:
    check_matrix("householder_product", a)
    rows, columns = a.shape[-2:]
    if columns > rows or taus.shape[:-1] != a.shape[:-2] or taus.shape[-1] > columns or taus.dtype != a.dtype:
        raise ValueError(
            "householder_product takes reflectors (..., m, n) with m >= n and at most n taus of the same "
            f"dtype; got {a.str_short()} and {taus.str_short()}."
        )
    return sized(a, rows, columns)


householder_product_p = matrix_primitive(
    "householder_product", _householder_shapes, jvp=through_program(algorithms.leading_columns)
)


def householder_product(a: Any, taus: Any) -> Any:
    """The product of elementary Householder reflectors, as LAPACK's orgqr and ungqr.

    Args:
      a: the reflectors below the diagonal of its columns, shape `(..., m, n)`, m >= n.
      taus: their coefficients, shape `(..., k)`, k <= n.

    Returns:
      The first n columns of the product, shape `(..., m, n)`.

    Raises:
      ValueError: shapes or dtypes do not fit.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.linalg.householder_product(cnp.eye(3, 2), cnp.zeros(2)).shape
      (3, 2)
    """
    return householder_product_p.bind(a, taus)


def _ormqr_shapes(a: Any, taus: Any, c: Any, *, left: bool, transpose: bool) -> Any:
    check_matrix("ormqr", a)
    check_matrix("ormqr", c)
    if a.shape[:-2] != c.shape[:-2] or c.shape[-2 if left else -1] != a.shape[-2]:
        raise ValueError(
            f"ormqr: c must have the batch axes of a and, on the side of the product, its rows; "
            f"got shapes {a.shape} and {c.shape}, left={left}."
        )
    if taus.shape[:-1] != a.shape[:-2] or taus.shape[-1] > min(a.shape[-2:]):
        raise ValueError(
            f"ormqr: taus must be of shape (..., k) with k at most {min(a.shape[-2:])}, the number of "
            f"reflectors; got {taus.shape}."
        )
    if not a.dtype == taus.dtype == c.dtype:
        got = ", ".join(x.str_short() for x in (a, taus, c))
        raise TypeError(f"ormqr takes operands of one dtype; got {got}.")
    return ShapedArray(c.shape, c.dtype)


def _ormqr_transpose(ct: Any, a: Any, taus: Any, c: Any, *, left: bool, transpose: bool) -> list[Any]:
    """A product with Q is linear in the other factor; the transpose of Q is the conjugate of its adjoint."""
    if is_undefined_primal(a) or is_undefined_primal(taus):
        raise TypeError("ormqr is linear in c only.")
    if type(ct) is Zero:
        return [None, None, Zero(c.aval)]
    out = ormqr_p.bind(a, taus, conj(ct), left=left, transpose=not transpose)
    return [None, None, conj(out)]


ormqr_p = matrix_primitive(
    "ormqr", _ormqr_shapes, jvp=through_program(algorithms.apply_reflectors), transpose=_ormqr_transpose
)


def ormqr(a: Any, taus: Any, c: Any, *, left: bool = True, transpose: bool = False) -> Any:
    """Multiplies a matrix by the Q of a QR decomposition that is given as Householder reflectors.

    Args:
      a: the reflectors, shape `(..., m, k)`.
      taus: their coefficients, shape `(..., k)`.
      c: the matrices to multiply.
      left: whether Q stands to the left of c.
      transpose: whether Q is (conjugate) transposed.

    Returns:
      The product, of the shape of c.

    Raises:
      ValueError: shapes do not fit.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.linalg.ormqr(cnp.eye(2), cnp.zeros(2), cnp.ones((2, 1))).tolist()
      [[1.0], [1.0]]
    """
    return ormqr_p.bind(a, taus, c, left=bool(left), transpose=bool(transpose))
