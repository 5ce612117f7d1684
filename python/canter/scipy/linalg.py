"""Linear algebra, as in `scipy.linalg`; leading dimensions are batches.

Parameters `overwrite_…`, `check_finite` and `lwork` are SciPy's permissions and hints: arrays here are
never overwritten, and values are not inspected, so nothing depends on them.
"""

from __future__ import annotations

import functools
from typing import Any

from canter import lax, numpy as cnp
from canter.core import dtypes
from canter.lax import linalg as lax_linalg
from canter.numpy import linalg as numpy_linalg
from canter.numpy.util import check_arraylike, dtype_of, promote_dtypes_inexact, shape_of
from canter.runtime.composite import composite

from .arguments import matrix
from .matrix_functions import expm, expm_frechet, funm, polar, solve_sylvester, sqrtm
from .similarity import eigh_tridiagonal, hessenberg, rsf2csf, schur
from .special_matrices import (
    block_diag,
    circulant,
    companion,
    convolution_matrix,
    dft,
    fiedler,
    fiedler_companion,
    hadamard,
    hankel,
    helmert,
    hilbert,
    invhilbert,
    invpascal,
    leslie,
    pascal,
    toeplitz,
)  # fmt: skip

__all__ = [
    "block_diag", "cho_factor", "cho_solve", "cholesky", "circulant", "companion", "convolution_matrix",
    "det", "dft", "eigh", "eigh_tridiagonal", "expm", "expm_frechet", "fiedler", "fiedler_companion",
    "funm", "hadamard", "hankel", "helmert", "hessenberg", "hilbert", "inv", "invhilbert", "invpascal",
    "leslie", "lu", "lu_factor", "lu_solve", "pascal", "polar", "qr", "qr_multiply", "rsf2csf", "schur",
    "solve", "solve_sylvester", "solve_triangular", "sqrtm", "svd", "toeplitz",
]  # fmt: skip


def _right_side(name: str, a: Any, b: Any) -> tuple[Any, Any]:
    """A square matrix and a right side of the same dtype, whose sizes fit."""
    check_arraylike(name, a, b)
    a, b = promote_dtypes_inexact(cnp.asarray(a), cnp.asarray(b))
    a = matrix(name, a)
    shape = shape_of(b)
    rows = shape[-1] if len(shape) == 1 else shape[-2] if shape else None
    if rows != shape_of(a)[-1]:
        raise ValueError(
            f"scipy.linalg.{name}: the right side of shape {shape} does not fit the matrix of shape {shape_of(a)}; "
            "it must be of shape (n,) or (..., n, k)."
        )
    return a, b


def _as_columns(solve: Any, a: Any, b: Any) -> Any:
    """Solves for a right side that may be one vector, and may have fewer or more batch dimensions."""
    vector = len(shape_of(b)) == 1
    columns = b[:, None] if vector else b
    batch = lax.broadcast_shapes(shape_of(a)[:-2], shape_of(columns)[:-2])
    a = cnp.broadcast_to(a, (*batch, *shape_of(a)[-2:]))
    columns = cnp.broadcast_to(columns, (*batch, *shape_of(columns)[-2:]))
    x = solve(a, columns)
    return x[..., 0] if vector else x


# --- Cholesky -------------------------------------------------------------------------------------


@composite(static_argnames=("lower", "clean"))
def _cholesky(a: Any, *, lower: bool, clean: bool) -> Any:
    adjoint = cnp.conj(cnp.swapaxes(a, -1, -2))
    # SciPy reads one triangle only; the other is made from it.
    source = a if lower else adjoint
    factor = lax_linalg.cholesky(_hermitian(source), symmetrize_input=False)
    factor = cnp.tril(factor) if clean else factor
    return factor if lower else cnp.conj(cnp.swapaxes(factor, -1, -2))


def _hermitian(lower_part: Any) -> Any:
    """The Hermitian matrix with a given lower triangle."""
    strict = cnp.tril(lower_part, -1)
    return cnp.tril(lower_part) + cnp.conj(cnp.swapaxes(strict, -1, -2))


def cholesky(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The Cholesky factor of a positive definite matrix, upper by default.

    Args:
      a: (..., n, n); only the triangle named by `lower` is read.
      lower: whether the factor is the lower one.
      overwrite_a, check_finite: without effect, see the module.

    Returns:
      The factor; nan where the matrix is not positive definite.

    Raises:
      ValueError: `a` is no square matrix.

    Source: `scipy.linalg.cholesky`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.cholesky(ct.numpy.array([[4.0]])))
      [[2.]]
    """
    return _cholesky(matrix("cholesky", a), lower=bool(lower), clean=True)


def cho_factor(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> tuple[Any, bool]:
    """A Cholesky factor as `cho_solve` takes it.

    Args, raised errors: as for `cholesky`.

    Returns:
      The factor, and `lower`.

    Example:
      >>> import canter as ct
      >>> factor, lower = ct.scipy.linalg.cho_factor(ct.numpy.array([[4.0]]))
      >>> print(factor, lower)
      [[2.]] False
    """
    return cholesky(a, lower), lower


@composite(static_argnames=("lower",))
def _cho_solve(factor: Any, b: Any, *, lower: bool) -> Any:
    def solve(factor: Any, b: Any) -> Any:
        step = functools.partial(lax_linalg.triangular_solve, factor, left_side=True, lower=lower)
        first = step(b, transpose_a=not lower, conjugate_a=not lower)
        return step(first, transpose_a=lower, conjugate_a=lower)

    return _as_columns(solve, factor, b)


def cho_solve(
    c_and_lower: tuple[Any, bool], b: Any, overwrite_b: bool = False, check_finite: bool = True
) -> Any:
    """Solves a x = b, given the Cholesky factor of a.

    Args:
      c_and_lower: what `cho_factor` returns.
      b: (n,) or (..., n, k).
      overwrite_b, check_finite: without effect, see the module.

    Raises:
      ValueError: the shapes do not fit.

    Source: `scipy.linalg.cho_solve`.

    Example:
      >>> import canter as ct
      >>> factor = ct.scipy.linalg.cho_factor(ct.numpy.array([[4.0]]))
      >>> print(ct.scipy.linalg.cho_solve(factor, ct.numpy.array([8.0])))
      [2.]
    """
    factor, lower = c_and_lower
    factor, b = _right_side("cho_solve", factor, b)
    return _cho_solve(factor, b, lower=bool(lower))


# --- systems of equations -------------------------------------------------------------------------

_TRANSPOSES = {
    0: (False, False),
    "N": (False, False),
    1: (True, False),
    "T": (True, False),
    2: (True, True),
    "C": (True, True),
}


@composite(static_argnames=("lower", "transpose", "conjugate", "unit_diagonal"))
def _solve_triangular(
    a: Any, b: Any, *, lower: bool, transpose: bool, conjugate: bool, unit_diagonal: bool
) -> Any:
    solve = functools.partial(
        lax_linalg.triangular_solve,
        left_side=True,
        lower=lower,
        transpose_a=transpose,
        conjugate_a=conjugate,
        unit_diagonal=unit_diagonal,
    )
    return _as_columns(solve, a, b)


def solve_triangular(
    a: Any,
    b: Any,
    trans: int | str = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    debug: Any = None,
    check_finite: bool = True,
) -> Any:
    """Solves a x = b for a triangular matrix.

    Args:
      a: (..., n, n); only the triangle named by `lower` is read.
      b: (n,) or (..., n, k).
      trans: 0 or 'N' solves with a, 1 or 'T' with its transpose, 2 or 'C' with its adjoint.
      lower: whether `a` is lower triangular.
      unit_diagonal: whether the diagonal is taken to be 1.
      overwrite_b, debug, check_finite: without effect, see the module.

    Raises:
      ValueError: the shapes do not fit, or `trans` is unknown.

    Source: `scipy.linalg.solve_triangular`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.solve_triangular(ct.numpy.array([[4.0]]), ct.numpy.array([8.0])))
      [2.]
    """
    if trans not in _TRANSPOSES:
        raise ValueError(
            f"scipy.linalg.solve_triangular: trans must be 0, 1, 2, 'N', 'T' or 'C', got {trans!r}."
        )
    transpose, conjugate = _TRANSPOSES[trans]
    a, b = _right_side("solve_triangular", a, b)
    return _solve_triangular(
        a, b, lower=bool(lower), transpose=transpose, conjugate=conjugate, unit_diagonal=bool(unit_diagonal)
    )


@composite
def _solve(a: Any, b: Any) -> Any:
    return _as_columns(numpy_linalg.solve, a, b)


def solve(
    a: Any,
    b: Any,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    debug: bool = False,
    check_finite: bool = True,
    assume_a: str = "gen",
) -> Any:
    """Solves a x = b.

    Args:
      a: (..., n, n).
      b: (n,) or (..., n, k).
      lower: which triangle of `a` is read, where it is assumed symmetric.
      overwrite_a, overwrite_b, debug, check_finite: without effect, see the module.
      assume_a: what is known of `a`: "gen" nothing, "sym" symmetric, "her" Hermitian, "pos" positive definite.

    Raises:
      ValueError: the shapes do not fit, or `assume_a` is unknown.

    Source: `scipy.linalg.solve`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.solve(ct.numpy.array([[4.0]]), ct.numpy.array([8.0])))
      [2.]
    """
    if assume_a not in ("gen", "sym", "her", "pos"):
        raise ValueError(
            f"scipy.linalg.solve: assume_a must be 'gen', 'sym', 'her' or 'pos', got {assume_a!r}."
        )
    a, b = _right_side("solve", a, b)
    if assume_a == "pos":
        return cho_solve(cho_factor(a, lower), b)
    return _solve(a, b)


def inv(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The inverse of a matrix.

    Args:
      a: (..., n, n).
      overwrite_a, check_finite: without effect, see the module.

    Raises:
      ValueError: `a` is no square matrix.

    Source: `scipy.linalg.inv`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.inv(ct.numpy.array([[4.0]])))
      [[0.25]]
    """
    return numpy_linalg.inv(matrix("inv", a))


def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The determinant of a matrix.

    Args:
      a: (..., n, n).
      overwrite_a, check_finite: without effect, see the module.

    Raises:
      ValueError: `a` is no square matrix.

    Source: `scipy.linalg.det`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.det(ct.numpy.array([[4.0]])))
      4.0
    """
    return numpy_linalg.det(matrix("det", a))


# --- other decompositions -------------------------------------------------------------------------


def lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, Any]:
    """The LU decomposition as `lu_solve` takes it: both triangles in one matrix, and the row exchanges.

    Args:
      a: (..., m, n).
      overwrite_a, check_finite: without effect, see the module.

    Raises:
      ValueError: `a` is no matrix.

    Source: `scipy.linalg.lu_factor`.

    Example:
      >>> import canter as ct
      >>> factors, pivots = ct.scipy.linalg.lu_factor(ct.numpy.array([[4.0]]))
      >>> print(factors, pivots)
      [[4.]] [0]
    """
    factors, pivots, _ = _lu_parts(matrix("lu_factor", a, square=False))
    return factors, pivots


@composite
def _lu_parts(a: Any) -> Any:
    return tuple(lax_linalg.lu(a))


@composite(static_argnames=("trans",))
def _lu_solve(factors: Any, pivots: Any, b: Any, *, trans: int) -> Any:
    permutation = lax_linalg.lu_pivots_to_permutation(pivots, shape_of(factors)[-1])

    def solve(factors: Any, b: Any) -> Any:
        order = cnp.broadcast_to(permutation, shape_of(factors)[:-1])[..., None]
        step = functools.partial(lax_linalg.triangular_solve, factors, left_side=True)
        if not trans:
            b = cnp.take_along_axis(b, order, axis=-2)
            return step(step(b, lower=True, unit_diagonal=True), lower=False)
        conjugate = trans == 2
        b = step(b, lower=False, transpose_a=True, conjugate_a=conjugate)
        b = step(b, lower=True, unit_diagonal=True, transpose_a=True, conjugate_a=conjugate)
        return cnp.take_along_axis(b, cnp.argsort(order, axis=-2), axis=-2)

    return _as_columns(solve, factors, b)


def lu_solve(
    lu_and_piv: tuple[Any, Any], b: Any, trans: int = 0, overwrite_b: bool = False, check_finite: bool = True
) -> Any:
    """Solves a x = b, given the LU decomposition of a.

    Args:
      lu_and_piv: what `lu_factor` returns.
      b: (n,) or (..., n, k).
      trans: 0 solves with a, 1 with its transpose, 2 with its adjoint.
      overwrite_b, check_finite: without effect, see the module.

    Raises:
      ValueError: the shapes do not fit, or `trans` is unknown.

    Source: `scipy.linalg.lu_solve`.

    Example:
      >>> import canter as ct
      >>> factors = ct.scipy.linalg.lu_factor(ct.numpy.array([[4.0]]))
      >>> print(ct.scipy.linalg.lu_solve(factors, ct.numpy.array([8.0])))
      [2.]
    """
    if trans not in (0, 1, 2):
        raise ValueError(f"scipy.linalg.lu_solve: trans must be 0, 1 or 2, got {trans!r}.")
    factors, pivots = lu_and_piv
    factors, b = _right_side("lu_solve", factors, b)
    return _lu_solve(factors, cnp.asarray(pivots), b, trans=int(trans))


@composite(static_argnames=("permute_l",))
def _lu(a: Any, *, permute_l: bool) -> Any:
    factors, _, permutation = lax_linalg.lu(a)
    rows, columns = shape_of(a)[-2:]
    size = min(rows, columns)
    dtype = dtype_of(a)
    p = cnp.swapaxes(cnp.eye(rows, dtype=dtypes.finfo(dtype).dtype)[permutation], -1, -2)
    lower = cnp.tril(factors[..., :, :size], -1) + cnp.eye(rows, size, dtype=dtype)
    upper = cnp.triu(factors[..., :size, :])
    return (cnp.matmul(p, lower), upper) if permute_l else (p, lower, upper)


def lu(
    a: Any, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> tuple[Any, ...]:
    """The LU decomposition a = p l u.

    Args:
      a: (..., m, n).
      permute_l: whether to return p l in one.
      overwrite_a, check_finite: without effect, see the module.

    Returns:
      (p, l, u), or (p l, u).

    Raises:
      ValueError: `a` is no matrix.

    Source: `scipy.linalg.lu`.

    Example:
      >>> import canter as ct
      >>> p, l, u = ct.scipy.linalg.lu(ct.numpy.array([[4.0]]))
      >>> print(p, l, u)
      [[1.]] [[1.]] [[4.]]
    """
    return tuple(_lu(matrix("lu", a, square=False), permute_l=bool(permute_l)))


def qr(
    a: Any,
    overwrite_a: bool = False,
    lwork: Any = None,
    mode: str = "full",
    pivoting: bool = False,
    check_finite: bool = True,
) -> tuple[Any, ...]:
    """The QR decomposition.

    Args:
      a: (..., m, n).
      mode: "full" gives a square q, "economic" the smaller one, "r" only r.
      pivoting: whether to permute columns so that the diagonal of r decreases.
      overwrite_a, lwork, check_finite: without effect, see the module.

    Returns:
      (q, r), or (r,); with `pivoting` also the permutation p with a[:, p] = q r.

    Raises:
      ValueError: `a` is no matrix, or the mode is unknown.

    Source: `scipy.linalg.qr`.

    Example:
      >>> import canter as ct
      >>> q, r = ct.scipy.linalg.qr(ct.numpy.ones((3, 2)), mode="economic")
      >>> q.shape, r.shape
      ((3, 2), (2, 2))
    """
    if mode not in ("full", "economic", "r"):
        raise ValueError(f"scipy.linalg.qr: mode must be 'full', 'economic' or 'r', got {mode!r}.")
    a = matrix("qr", a, square=False)
    q, *rest = _qr(a, pivoting=bool(pivoting), full_matrices=mode != "economic")
    return tuple(rest) if mode == "r" else (q, *rest)


@composite(static_argnames=("pivoting", "full_matrices"))
def _qr(a: Any, *, pivoting: bool, full_matrices: bool) -> Any:
    return tuple(lax_linalg.qr(a, pivoting=pivoting, full_matrices=full_matrices))


@composite(static_argnames=("left", "pivoting", "conjugate"))
def _qr_multiply(a: Any, c: Any, *, left: bool, pivoting: bool, conjugate: bool) -> Any:
    rows, columns = shape_of(a)[-2:]
    rank = min(rows, columns)
    factor = cnp.conj(c) if conjugate else c
    if pivoting:
        q, r, order = lax_linalg.qr(a, pivoting=True, full_matrices=False)
        product = cnp.matmul(q, factor) if left else cnp.matmul(factor, q)
    else:
        packed, taus = lax_linalg.geqrf(a)
        r, order = cnp.triu(packed[..., :rank, :]), None
        if left:
            widths = [(0, 0)] * (len(shape_of(factor)) - 2) + [(0, rows - rank), (0, 0)]
            factor = cnp.pad(factor, widths)
        product = lax_linalg.ormqr(packed[..., :rank], taus, factor, left=left)
        product = product if left else product[..., :rank]
    product = cnp.conj(product) if conjugate else product
    return (product, r) if order is None else (product, r, order)


def qr_multiply(
    a: Any,
    c: Any,
    mode: str = "right",
    pivoting: bool = False,
    conjugate: bool = False,
    overwrite_a: bool = False,
    overwrite_c: bool = False,
) -> tuple[Any, ...]:
    """The QR decomposition of a matrix, and the product of its q, the smaller one, with another matrix.

    Without pivoting q itself is not formed.

    Args:
      a: (..., m, n), whose q is (..., m, k) with k = min(m, n).
      c: for "left" (..., k, p), for "right" (..., p, m); or one vector.
      mode: "left" for q c, "right" for c q.
      pivoting: whether to permute the columns of `a`.
      conjugate: whether to take the conjugate of q.
      overwrite_a, overwrite_c: without effect, see the module.

    Returns:
      The product and r; with `pivoting` also the permutation.

    Raises:
      ValueError: the mode is unknown or the shapes do not fit.

    Source: `scipy.linalg.qr_multiply`.

    Example:
      >>> import canter as ct
      >>> cq, r = ct.scipy.linalg.qr_multiply(ct.numpy.ones((3, 2)), ct.numpy.ones((4, 3)))
      >>> cq.shape, r.shape
      ((4, 2), (2, 2))
    """
    if mode not in ("left", "right"):
        raise ValueError(f"scipy.linalg.qr_multiply: mode must be 'left' or 'right', got {mode!r}.")
    check_arraylike("qr_multiply", a, c)
    a, c = promote_dtypes_inexact(cnp.asarray(a), cnp.asarray(c))
    a, left = matrix("qr_multiply", a, square=False), mode == "left"
    rows, columns = shape_of(a)[-2:]
    size = min(rows, columns) if left else rows
    vector = len(shape_of(c)) == 1
    factor = c[..., :, None] if vector and left else c[..., None, :] if vector else c
    axis = -2 if left else -1
    if len(shape_of(factor)) < 2 or shape_of(factor)[axis] != size:
        raise ValueError(
            f"scipy.linalg.qr_multiply: for mode {mode!r} and `a` of shape {shape_of(a)}, axis {axis} of `c` must "
            f"have size {size}; got shape {shape_of(c)}."
        )
    batch = lax.broadcast_shapes(shape_of(a)[:-2], shape_of(factor)[:-2])
    a, factor = (cnp.broadcast_to(x, (*batch, *shape_of(x)[-2:])) for x in (a, factor))
    product, *rest = _qr_multiply(a, factor, left=left, pivoting=bool(pivoting), conjugate=bool(conjugate))
    if vector:
        product = product[..., 0] if left else product[..., 0, :]
    return (product, *rest)


def svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    overwrite_a: bool = False,
    check_finite: bool = True,
    lapack_driver: str = "gesdd",
) -> Any:
    """The singular value decomposition.

    Args:
      a: (..., m, n).
      full_matrices: whether u and vh are square.
      compute_uv: whether to compute them.
      overwrite_a, check_finite: without effect, see the module.
      lapack_driver: "gesdd", which divides and conquers, or "gesvd", the QR iteration.

    Returns:
      (u, s, vh), or s.

    Raises:
      ValueError: `a` is no matrix, or the driver is another.

    Source: `scipy.linalg.svd`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.svd(ct.numpy.array([[4.0]]), compute_uv=False))
      [4.]
    """
    if lapack_driver not in _SVD_DRIVERS:
        raise ValueError(
            f"scipy.linalg.svd: lapack_driver must be 'gesdd' or 'gesvd', got {lapack_driver!r}."
        )
    a = matrix("svd", a, square=False)
    options = {"full_matrices": bool(full_matrices), "compute_uv": bool(compute_uv)}
    return _svd(a, **options, algorithm=_SVD_DRIVERS[lapack_driver])


_SVD_DRIVERS = {"gesdd": lax_linalg.SvdAlgorithm.DEFAULT, "gesvd": lax_linalg.SvdAlgorithm.QR}


@composite(static_argnames=("full_matrices", "compute_uv", "algorithm"))
def _svd(a: Any, *, full_matrices: bool, compute_uv: bool, algorithm: Any) -> Any:
    out = lax_linalg.svd(a, full_matrices=full_matrices, compute_uv=compute_uv, algorithm=algorithm)
    return tuple(out) if compute_uv else out


def eigh(
    a: Any,
    b: Any = None,
    lower: bool = True,
    eigvals_only: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    turbo: bool = True,
    eigvals: None = None,
    type: int = 1,
    check_finite: bool = True,
) -> Any:
    """Eigenvalues, in ascending order, and eigenvectors of a Hermitian matrix.

    Args:
      a: (..., n, n); only the triangle named by `lower` is read.
      b: must be None: the generalised problem is not supported.
      lower: which triangle is read.
      eigvals_only: whether to leave the eigenvectors out.
      eigvals: must be None.
      type: must be 1.
      overwrite_a, overwrite_b, turbo, check_finite: without effect, see the module.

    Raises:
      ValueError: `a` is no square matrix.
      NotImplementedError: `b`, `eigvals` or `type` is given.

    Source: `scipy.linalg.eigh`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.eigh(ct.numpy.array([[4.0]]), eigvals_only=True))
      [4.]
    """
    if b is not None or eigvals is not None or type != 1:
        raise NotImplementedError("scipy.linalg.eigh: only b=None, eigvals=None and type=1 are supported.")
    values, vectors = numpy_linalg.eigh(matrix("eigh", a), UPLO="L" if lower else "U", symmetrize_input=False)
    return values if eigvals_only else (values, vectors)
