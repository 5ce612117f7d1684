"""Matrix decompositions and triangular systems, over any number of leading batch axes."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.avals import ShapedArray
from ..core.dimensions import min_dim
from . import linalg_derivatives as derivatives
from .common import check_dtype, ops
from .linalg_cholesky import cholesky, cholesky_p, cholesky_update, cholesky_update_p, symmetrize
from .linalg_forms import (
    hessenberg,
    hessenberg_p,
    symmetric_product,
    symmetric_product_p,
    tridiagonal,
    tridiagonal_p,
    tridiagonal_solve,
    tridiagonal_solve_p,
)
from .linalg_polar import qdwh
from .linalg_primitives import check_matrix, matrix_primitive, real_dtype, sized
from .linalg_reflectors import (
    geqrf as geqrf,
    geqrf_p as geqrf_p,
    householder_product,
    householder_product_p,
    ormqr,
    ormqr_p,
)
from .linalg_schur import schur, schur_p
from .shapes import aval_of, expand_dims, shape_of, squeeze

__all__ = [
    "EigImplementation",
    "EighImplementation",
    "SvdAlgorithm",
    "cholesky",
    "cholesky_p",
    "cholesky_update",
    "cholesky_update_p",
    "eig",
    "eig_p",
    "eigh",
    "eigh_p",
    "hessenberg",
    "hessenberg_p",
    "householder_product",
    "householder_product_p",
    "lu",
    "lu_p",
    "lu_pivots_to_permutation",
    "lu_pivots_to_permutation_p",
    "ormqr",
    "ormqr_p",
    "qdwh",
    "qr",
    "qr_p",
    "schur",
    "schur_p",
    "svd",
    "svd_p",
    "symmetric_product",
    "symmetric_product_p",
    "triangular_solve",
    "triangular_solve_p",
    "tridiagonal",
    "tridiagonal_p",
    "tridiagonal_solve",
    "tridiagonal_solve_p",
]


class EighImplementation(enum.Enum):
    """Algorithms of `eigh`; which of them there are depends on the backend.

    Example:
      >>> from canter import lax
      >>> lax.linalg.EighImplementation("qr").name
      'QR'
    """

    QR = "qr"
    JACOBI = "jacobi"
    QDWH = "qdwh"


class EigImplementation(enum.Enum):
    """Libraries behind `eig`; which of them there are depends on the backend.

    Example:
      >>> from canter import lax
      >>> lax.linalg.EigImplementation("lapack").name
      'LAPACK'
    """

    CUSOLVER = "cusolver"
    MAGMA = "magma"
    LAPACK = "lapack"


class SvdAlgorithm(enum.Enum):
    """Algorithms of `svd`; which of them there are depends on the backend.

    Example:
      >>> from canter import lax
      >>> lax.linalg.SvdAlgorithm("QR").name
      'QR'
    """

    DEFAULT = "default"
    QR = "QR"
    JACOBI = "Jacobi"
    POLAR = "polar"
    DIVIDE_AND_CONQUER = "divide_and_conquer"


# ----------------------------------------------------------------------------------------------
# triangular systems


def _triangular_solve_shapes(a: Any, b: Any, *, left_side: bool, **_: Any) -> Any:
    check_matrix("triangular_solve", a, square=True)
    check_matrix("triangular_solve", b)
    if a.dtype != b.dtype:
        raise TypeError(
            f"triangular_solve: a and b must have the same dtype, got {a.dtype.name} and {b.dtype.name}."
        )
    axis = -2 if left_side else -1
    if a.shape[:-2] != b.shape[:-2] or b.shape[axis] != a.shape[-1]:
        raise ValueError(
            f"triangular_solve: b must have the batch axes of a, and axis {axis} as long as a is; "
            f"got shapes {a.shape} and {b.shape}, left_side={left_side}."
        )
    return ShapedArray(b.shape, b.dtype)


triangular_solve_p = matrix_primitive(
    "triangular_solve",
    _triangular_solve_shapes,
    jvp=derivatives.triangular_solve_jvp,
    transpose=derivatives.triangular_solve_transpose,
)


def triangular_solve(
    a: Any,
    b: Any,
    *,
    left_side: bool = False,
    lower: bool = False,
    transpose_a: bool = False,
    conjugate_a: bool = False,
    unit_diagonal: bool = False,
) -> Any:
    """Solves `op(a) @ x = b`, or `x @ op(a) = b`, for triangular a.

    Args:
      a: triangular matrices, shape `(..., n, n)`; the other triangle is not read.
      b: right-hand sides, shape `(..., n, m)` if `left_side`, else `(..., m, n)`; with one axis less,
        a single vector.
      left_side: whether a stands to the left of x.
      lower: whether a is lower triangular.
      transpose_a: whether op transposes.
      conjugate_a: whether op takes complex conjugates.
      unit_diagonal: whether to take the diagonal of a for ones, without reading it.

    Returns:
      The solutions, of the shape of b.

    Raises:
      ValueError: shapes do not fit.
      TypeError: dtypes differ, or are not floating or complex.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> a = cnp.array([[2.0, 0.0], [1.0, 1.0]])
      >>> lax.linalg.triangular_solve(a, cnp.array([2.0, 3.0]), left_side=True, lower=True).tolist()
      [1.0, 2.0]
    """
    vector = len(shape_of(b)) == len(shape_of(a)) - 1
    if vector:
        b = expand_dims(b, (-1 if left_side else -2,))
    x = triangular_solve_p.bind(
        a,
        b,
        left_side=bool(left_side),
        lower=bool(lower),
        transpose_a=bool(transpose_a),
        conjugate_a=bool(conjugate_a) and dtypes.issubdtype(aval_of(a).dtype, np.complexfloating),
        unit_diagonal=bool(unit_diagonal),
    )
    return squeeze(x, (-1 if left_side else -2,)) if vector else x


# ----------------------------------------------------------------------------------------------
# LU


def _lu_shapes(x: Any) -> list[Any]:
    check_matrix("lu", x)
    rows, columns = x.shape[-2:]
    pivots = sized(x, min_dim(rows, columns), dtype=np.dtype(np.int32))
    return [sized(x, rows, columns), pivots, sized(x, rows, dtype=np.dtype(np.int32))]


lu_p = matrix_primitive("lu", _lu_shapes, multiple_results=True, jvp=derivatives.lu_jvp)


def lu(x: Any) -> tuple[Any, Any, Any]:
    """LU decomposition with partial pivoting: `x[permutation] = L @ U`.

    Args:
      x: matrices, shape `(..., m, n)`, floating or complex.

    Returns:
      The factors in one matrix of the shape of x (U above and on the diagonal, L below, its
      diagonal of ones left out); the pivots, shape `(..., min(m, n))`: row i was exchanged with row
      `pivots[i]`; and the permutation of rows, shape `(..., m)`.

    Raises:
      ValueError: x has fewer than two axes.
      TypeError: the dtype is not floating or complex.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.linalg.lu(cnp.array([[1.0, 2.0], [2.0, 2.0]]))[0].tolist()
      [[2.0, 2.0], [0.5, 1.0]]
    """
    factors, pivots, permutation = lu_p.bind(x)
    return factors, pivots, permutation


def _lu_pivots_shapes(pivots: Any, *, permutation_size: int) -> Any:
    name = "lu_pivots_to_permutation"
    if not pivots.shape or pivots.shape[-1] > permutation_size:
        raise ValueError(
            f"{name} takes vectors of at most permutation_size={permutation_size} pivots, got shape "
            f"{pivots.shape}."
        )
    check_dtype(name, pivots.dtype, (np.integer,))
    return ShapedArray((*pivots.shape[:-1], permutation_size), pivots.dtype)


lu_pivots_to_permutation_p = matrix_primitive("lu_pivots_to_permutation", _lu_pivots_shapes)


def lu_pivots_to_permutation(pivots: Any, permutation_size: int) -> Any:
    """The permutation that a sequence of exchanges of rows makes.

    Args:
      pivots: int32 array, shape `(..., k)`: element i is exchanged with element `pivots[i]`.
      permutation_size: the number of elements, at least k.

    Returns:
      int32 array, shape `(..., permutation_size)`.

    Raises:
      ValueError: there are more pivots than elements.
      TypeError: the pivots are not integers.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.linalg.lu_pivots_to_permutation(cnp.array([2, 1]), 3).tolist()
      [2, 1, 0]
    """
    return lu_pivots_to_permutation_p.bind(pivots, permutation_size=int(permutation_size))


# ----------------------------------------------------------------------------------------------
# QR


def _qr_shapes(x: Any, *, pivoting: bool, full_matrices: bool, use_magma: Any) -> list[Any]:
    check_matrix("qr", x)
    rows, columns = x.shape[-2:]
    inner = rows if full_matrices else min_dim(rows, columns)
    shapes = [sized(x, rows, inner), sized(x, inner, columns)]
    return [*shapes, sized(x, columns, dtype=np.dtype(np.int32))] if pivoting else shapes


qr_p = matrix_primitive("qr", _qr_shapes, multiple_results=True, jvp=derivatives.qr_jvp)


def qr(
    x: Any, *, pivoting: bool = False, full_matrices: bool = True, use_magma: bool | None = None
) -> tuple[Any, ...]:
    """QR decomposition: `x = Q @ R` with orthonormal columns of Q and upper triangular R.

    Args:
      x: matrices, shape `(..., m, n)`, floating or complex.
      pivoting: whether to permute the columns of x so that the diagonal of R decreases.
      full_matrices: whether Q is square, `(..., m, m)`, and not `(..., m, min(m, n))`.
      use_magma: whether a GPU uses the MAGMA library; None leaves it to the backend.

    Returns:
      Q, R, and with `pivoting` the permutation p with `x[:, p] = Q @ R`.

    Raises:
      ValueError: x has fewer than two axes.
      TypeError: the dtype is not floating or complex.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> q, r = lax.linalg.qr(cnp.ones((3, 2)), full_matrices=False)
      >>> q.shape, r.shape
      ((3, 2), (2, 2))
    """
    return tuple(
        qr_p.bind(x, pivoting=bool(pivoting), full_matrices=bool(full_matrices), use_magma=use_magma)
    )


# ----------------------------------------------------------------------------------------------
# eigenvalues and singular values


def _eigh_shapes(x: Any, **_: Any) -> list[Any]:
    check_matrix("eigh", x, square=True)
    size = x.shape[-1]
    return [sized(x, size, size), sized(x, size, dtype=real_dtype(x.dtype))]


eigh_p = matrix_primitive("eigh", _eigh_shapes, multiple_results=True, jvp=derivatives.eigh_jvp)


def eigh(
    x: Any,
    *,
    lower: bool = True,
    symmetrize_input: bool = True,
    sort_eigenvalues: bool = True,
    subset_by_index: tuple[int, int] | None = None,
    implementation: EighImplementation | None = None,
) -> tuple[Any, Any]:
    """Eigenvectors and eigenvalues of Hermitian matrices: `x @ v = v * w`.

    Args:
      x: Hermitian matrices, shape `(..., n, n)`, floating or complex.
      lower: which triangle is read if the input is not symmetrized.
      symmetrize_input: whether to replace x by `(x + x.conj().T) / 2` first.
      sort_eigenvalues: whether they come in ascending order.
      subset_by_index: (start, end): only these eigenvalues, in ascending order.
      implementation: the algorithm; None leaves it to the backend.

    Returns:
      The eigenvectors, columns of `(..., n, n)`, and the eigenvalues, `(..., n)`.

    Raises:
      ValueError: the matrices are not square, or the subset is not in range.
      TypeError: the dtype is not floating or complex.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.linalg.eigh(cnp.array([[2.0, 0.0], [0.0, 1.0]]))[1].tolist()
      [1.0, 2.0]
    """
    check_matrix("eigh", aval_of(x), square=True)
    if symmetrize_input:
        x = symmetrize(x)
    vectors, values = eigh_p.bind(
        x,
        lower=bool(lower),
        sort_eigenvalues=bool(sort_eigenvalues) or subset_by_index is not None,
        subset_by_index=None,
        algorithm=implementation,
    )
    if subset_by_index is not None:
        start, end = _subset("eigh", subset_by_index, shape_of(values)[-1])
        vectors = ops.slice_in_dim(vectors, start, end, axis=-1)
        values = ops.slice_in_dim(values, start, end, axis=-1)
    return vectors, values


def _subset(name: str, subset: Sequence[int], count: int) -> tuple[int, int]:
    start, end = subset
    if not 0 <= start < end <= count:
        raise ValueError(f"{name}: subset_by_index={tuple(subset)} must satisfy 0 <= start < end <= {count}.")
    return start, end


def _svd_shapes(x: Any, *, full_matrices: bool, compute_uv: bool, **_: Any) -> list[Any]:
    check_matrix("svd", x)
    rows, columns = x.shape[-2:]
    rank = min_dim(rows, columns)
    values = sized(x, rank, dtype=real_dtype(x.dtype))
    if not compute_uv:
        return [values]
    left, right = (rows, columns) if full_matrices else (rank, rank)
    return [values, sized(x, rows, left), sized(x, right, columns)]


svd_p = matrix_primitive("svd", _svd_shapes, multiple_results=True, jvp=derivatives.svd_jvp)


def svd(
    x: Any,
    *,
    full_matrices: bool = True,
    compute_uv: bool = True,
    subset_by_index: tuple[int, int] | None = None,
    algorithm: SvdAlgorithm | None = None,
) -> Any:
    """Singular value decomposition: `x = u * s @ vt`.

    Args:
      x: matrices, shape `(..., m, n)`, floating or complex.
      full_matrices: whether u and vt are square; derivatives need False, or square x.
      compute_uv: whether u and vt are wanted.
      subset_by_index: (start, end): only these singular values, in descending order; needs
        `full_matrices=False`.
      algorithm: None leaves it to the backend.

    Returns:
      u, s, vt; or only s, in descending order, shape `(..., min(m, n))`.

    Raises:
      ValueError: x has fewer than two axes, or the subset is not in range.
      TypeError: the dtype is not floating or complex.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.linalg.svd(cnp.array([[3.0, 0.0], [0.0, 4.0]]), compute_uv=False).tolist()
      [4.0, 3.0]
    """
    if subset_by_index is not None and compute_uv and full_matrices:
        raise ValueError("svd: subset_by_index needs full_matrices=False.")
    values, *vectors = svd_p.bind(
        x,
        full_matrices=bool(full_matrices),
        compute_uv=bool(compute_uv),
        subset_by_index=None,
        algorithm=algorithm,
    )
    if subset_by_index is not None:
        start, end = _subset("svd", subset_by_index, shape_of(values)[-1])
        values = ops.slice_in_dim(values, start, end, axis=-1)
        vectors = [
            ops.slice_in_dim(v, start, end, axis=axis) for v, axis in zip(vectors, (-1, -2), strict=False)
        ]
    return (vectors[0], values, vectors[1]) if compute_uv else values


def _eig_shapes(
    x: Any, *, compute_left_eigenvectors: bool, compute_right_eigenvectors: bool, **_: Any
) -> list[Any]:
    check_matrix("eig", x, square=True)
    size = x.shape[-1]
    dtype = dtypes.to_complex_dtype(x.dtype)
    vectors = [sized(x, size, size, dtype=dtype)] * (compute_left_eigenvectors + compute_right_eigenvectors)
    return [sized(x, size, dtype=dtype), *vectors]


eig_p = matrix_primitive("eig", _eig_shapes, multiple_results=True, jvp=derivatives.eig_jvp)


def eig(
    x: Any,
    *,
    compute_left_eigenvectors: bool = True,
    compute_right_eigenvectors: bool = True,
    enable_eigvec_derivs: bool = False,
    implementation: EigImplementation | None = None,
    use_magma: bool | None = None,
) -> list[Any]:
    """Eigenvalues and eigenvectors of any square matrices.

    Args:
      x: matrices, shape `(..., n, n)`, floating or complex.
      compute_left_eigenvectors: whether the left ones are wanted.
      compute_right_eigenvectors: whether the right ones are wanted.
      enable_eigvec_derivs: whether right eigenvectors may be differentiated, although their phase is
        arbitrary. Eigenvalues always may.
      implementation: the library; None leaves it to the backend.
      use_magma: True is `EigImplementation.MAGMA`, False is `EigImplementation.LAPACK`.

    Returns:
      A list of the eigenvalues, `(..., n)`, and the left and the right eigenvectors that are wanted,
      columns of `(..., n, n)`; all complex.

    Raises:
      ValueError: the matrices are not square, or both `implementation` and `use_magma` are given.
      TypeError: the dtype is not floating or complex.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> w, *_ = lax.linalg.eig(cnp.array([[0.0, 1.0], [-1.0, 0.0]]))
      >>> sorted(w.imag.tolist())
      [-1.0, 1.0]
    """
    if use_magma is not None:
        if implementation is not None:
            raise ValueError("eig: give implementation or use_magma, not both.")
        implementation = EigImplementation.MAGMA if use_magma else EigImplementation.LAPACK
    return eig_p.bind(
        x,
        compute_left_eigenvectors=bool(compute_left_eigenvectors),
        compute_right_eigenvectors=bool(compute_right_eigenvectors),
        enable_eigvec_derivs=bool(enable_eigvec_derivs),
        implementation=implementation,
    )
