"""Linear algebra under `numpy.linalg`'s names, on the decompositions of `canter.lax.linalg`.

All functions work on stacks of matrices in the last two axes and differentiate.
"""

from __future__ import annotations

import builtins
import functools
import math
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite
from canter.transforms.custom_rules import custom_jvp

from . import linear_algebra as products
from . import reductions
from . import ufunc_bodies as bodies
from .linear_algebra import cross as _cross
from .linear_algebra import matmul, matmul_body, outer, tensordot, vecdot
from .matrices import diagonal as _diagonal
from .matrices import trace as _trace
from .shaping import matrix_transpose, moveaxis
from .util import (
    broadcast_shape,
    broadcast_to,
    canonical_axes,
    canonical_axis,
    check_arraylike,
    convert,
    dtype_of,
    dtype_rank,
    promote_dtypes_inexact,
    shape_of,
    to_inexact,
)

__all__ = [
    "cholesky", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv", "lstsq", "matmul",
    "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose", "multi_dot", "norm", "outer", "pinv", "qr",
    "slogdet", "solve", "svd", "svdvals", "tensordot", "tensorinv", "tensorsolve", "trace", "vecdot", "vector_norm",
]  # fmt: skip


class EighResult(NamedTuple):
    """What `eigh` gives."""

    eigenvalues: Any
    eigenvectors: Any


class EigResult(NamedTuple):
    """What `eig` gives."""

    eigenvalues: Any
    eigenvectors: Any


class QRResult(NamedTuple):
    """What `qr` gives."""

    Q: Any
    R: Any


class SVDResult(NamedTuple):
    """What `svd` gives."""

    U: Any
    S: Any
    Vh: Any


class SlogdetResult(NamedTuple):
    """What `slogdet` gives."""

    sign: Any
    logabsdet: Any


def _matrices(name: str, a: Any, square: bool = False) -> Any:
    """A stack of matrices of floats or complex numbers."""
    a = as_array(to_inexact(name, a))
    shape = shape_of(a)
    if len(shape) < 2:
        raise ValueError(f"Argument to {name} must have at least two dimensions, got shape {shape}.")
    if square and shape[-1] != shape[-2]:
        raise ValueError(f"Argument to {name} must have shape [..., n, n], got {shape}.")
    return a


def _adjoint(x: Any) -> Any:
    rank = len(shape_of(x))
    return bodies.conjugate(lax.transpose(x, (*range(rank - 2), rank - 1, rank - 2)))


def _real_dtype(dtype: Any) -> Any:
    return np.dtype(f"float{4 * dtype.itemsize}") if dtype_rank(dtype) == 3 else dtype


# --- factorisations -----------------------------------------------------------------------------


def cholesky(a: Any, *, upper: bool = False, symmetrize_input: bool = True) -> Any:
    """The Cholesky factor of positive definite matrices, as `numpy.linalg.cholesky`.

    Args:
      a: an array of shape (..., n, n).
      upper: whether to return the upper factor.
      symmetrize_input: whether to take the mean of a and its adjoint first.

    Returns:
      The factor L with L @ L.conj().mT == a, or its adjoint; nan where a is not positive definite.

    Raises:
      ValueError: the matrices are not square.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.cholesky(cnp.array([[4.0, 2.0], [2.0, 2.0]]))
      Array([[2., 0.],
             [1., 1.]], dtype=float32)
    """
    return _cholesky(a, upper=bool(upper), symmetrize_input=bool(symmetrize_input))


@composite(static_argnames=("upper", "symmetrize_input"))
def _cholesky(a: Any, *, upper: bool, symmetrize_input: bool) -> Any:
    a = _matrices("cholesky", a, square=True)
    factor = lax.linalg.cholesky(_adjoint(a) if upper else a, symmetrize_input=symmetrize_input)
    return _adjoint(factor) if upper else factor


@composite(static_argnames=("full_matrices", "compute_uv", "subset_by_index"))
def _svd(a: Any, *, full_matrices: bool, compute_uv: bool, subset_by_index: Any) -> Any:
    a = _matrices("svd", a)
    out = lax.linalg.svd(
        a, full_matrices=full_matrices, compute_uv=compute_uv, subset_by_index=subset_by_index
    )
    return tuple(out) if compute_uv else out


@composite(static_argnames=("compute_uv",))
def _svd_hermitian(a: Any, *, compute_uv: bool) -> Any:
    a = _matrices("svd", a, square=True)
    vectors, values = lax.linalg.eigh(a)
    size = lax.abs(values)
    axis = len(shape_of(values)) - 1
    order = lax.rev(_argsort(size), (axis,))
    from .indexing import take_along_axis

    singular = take_along_axis(size, order, axis)
    if not compute_uv:
        return singular
    signs = bodies.where(lax.lt(values, const(values, 0)), const(values, -1), const(values, 1))
    columns = lax.broadcast_in_dim(order, (*shape_of(order)[:-1], 1, shape_of(order)[-1]), (*range(axis), axis + 1))
    u = take_along_axis(vectors, columns, axis + 1)
    signs = take_along_axis(signs, order, axis)
    v = lax.mul(u, convert(lax.broadcast_in_dim(signs, shape_of(u), (*range(axis), axis + 1)), dtype_of(u)))
    return u, singular, _adjoint(v)


def _argsort(x: Any) -> Any:
    from .sorting import argsort

    return argsort(x)


def svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    hermitian: bool = False,
    subset_by_index: tuple[int, int] | None = None,
) -> Any:
    """The singular value decomposition, as `numpy.linalg.svd`.

    Args:
      a: an array of shape (..., m, n).
      full_matrices: whether U and Vh are square.
      compute_uv: whether to return U and Vh.
      hermitian: whether a is Hermitian, which a faster method uses.
      subset_by_index: (start, stop) of the singular values wanted.

    Returns:
      The named tuple (U, S, Vh), or S alone.

    Raises:
      ValueError: a has fewer than two dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.svd(cnp.array([[3.0, 0.0], [0.0, 2.0]]), compute_uv=False)
      Array([3., 2.], dtype=float32)
    """
    check_arraylike("svd", a)
    if hermitian:
        if subset_by_index is not None:
            raise NotImplementedError("svd: subset_by_index is not supported for hermitian=True.")
        out = _svd_hermitian(a, compute_uv=bool(compute_uv))
    else:
        out = _svd(a, full_matrices=bool(full_matrices), compute_uv=bool(compute_uv), subset_by_index=subset_by_index)
    return SVDResult(*out) if compute_uv else out


def svdvals(x: Any, /) -> Any:
    """The singular values in descending order, as `numpy.linalg.svdvals`.

    Args:
      x: an array of shape (..., m, n).

    Returns:
      An array of shape (..., min(m, n)).

    Raises:
      ValueError: x has fewer than two dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.svdvals(cnp.array([[3.0, 0.0], [0.0, 2.0]]))
      Array([3., 2.], dtype=float32)
    """
    return svd(x, compute_uv=False)


@composite(static_argnames=("lower", "symmetrize_input"))
def _eigh(a: Any, *, lower: bool, symmetrize_input: bool) -> Any:
    a = _matrices("eigh", a, square=True)
    vectors, values = lax.linalg.eigh(a, lower=lower, symmetrize_input=symmetrize_input)
    return values, vectors


def eigh(a: Any, UPLO: str | None = None, symmetrize_input: bool = True) -> EighResult:
    """Eigenvalues and eigenvectors of Hermitian matrices, as `numpy.linalg.eigh`.

    Args:
      a: an array of shape (..., n, n).
      UPLO: "L" or "U": which triangle to read where the input is not symmetrized; "L" by default.
      symmetrize_input: whether to take the mean of a and its adjoint first.

    Returns:
      The named tuple (eigenvalues, eigenvectors), eigenvalues ascending, eigenvectors in columns.

    Raises:
      ValueError: the matrices are not square, or UPLO is unknown.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.eigh(cnp.array([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
      Array([1., 2.], dtype=float32)
    """
    check_arraylike("eigh", a)
    if UPLO not in (None, "L", "U"):
        raise ValueError(f"UPLO must be one of None, 'L', or 'U', got {UPLO!r}.")
    return EighResult(*_eigh(a, lower=UPLO != "U", symmetrize_input=bool(symmetrize_input)))


def eigvalsh(a: Any, UPLO: str | None = "L", *, symmetrize_input: bool = True) -> Any:
    """Eigenvalues of Hermitian matrices, ascending, as `numpy.linalg.eigvalsh`.

    Args:
      a: an array of shape (..., n, n).
      UPLO: "L" or "U": which triangle to read where the input is not symmetrized.
      symmetrize_input: whether to take the mean of a and its adjoint first.

    Returns:
      An array of shape (..., n).

    Raises:
      ValueError: the matrices are not square, or UPLO is unknown.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.eigvalsh(cnp.array([[2.0, 0.0], [0.0, 1.0]]))
      Array([1., 2.], dtype=float32)
    """
    return eigh(a, UPLO, symmetrize_input).eigenvalues


@composite
def _eig(a: Any) -> Any:
    values, vectors = lax.linalg.eig(_matrices("eig", a, square=True), compute_left_eigenvectors=False)
    return values, vectors


def eig(a: Any) -> EigResult:
    """Eigenvalues and right eigenvectors of square matrices, as `numpy.linalg.eig`.

    Args:
      a: an array of shape (..., n, n).

    Returns:
      The named tuple (eigenvalues, eigenvectors), complex.

    Raises:
      ValueError: the matrices are not square.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.eig(cnp.array([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
      Array([2.+0.j, 1.+0.j], dtype=complex64)
    """
    check_arraylike("eig", a)
    return EigResult(*_eig(a))


@composite
def eigvals(a: Any) -> Any:
    """Eigenvalues of square matrices, as `numpy.linalg.eigvals`.

    Args:
      a: an array of shape (..., n, n).

    Returns:
      A complex array of shape (..., n).

    Raises:
      ValueError: the matrices are not square.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.eigvals(cnp.array([[2.0, 0.0], [0.0, 1.0]]))
      Array([2.+0.j, 1.+0.j], dtype=complex64)
    """
    a = _matrices("eigvals", a, square=True)
    return lax.linalg.eig(a, compute_left_eigenvectors=False, compute_right_eigenvectors=False)[0]


@composite(static_argnames=("mode",))
def _qr(a: Any, *, mode: str) -> Any:
    return tuple(lax.linalg.qr(_matrices("qr", a), full_matrices=mode == "complete"))


def qr(a: Any, mode: str = "reduced") -> Any:
    """The QR decomposition, as `numpy.linalg.qr`.

    Args:
      a: an array of shape (..., m, n).
      mode: "reduced", "complete", or "r" for R alone.

    Returns:
      The named tuple (Q, R), or R alone.

    Raises:
      ValueError: the mode is unknown, or a has fewer than two dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.qr(cnp.ones((3, 2))).Q.shape
      (3, 2)
    """
    check_arraylike("qr", a)
    if mode == "raw":
        raise NotImplementedError("qr: mode='raw' is not implemented; use 'reduced', 'complete' or 'r'.")
    if mode not in ("reduced", "full", "complete", "r"):
        raise ValueError(f"Unsupported QR decomposition mode {mode!r}; use 'reduced', 'complete' or 'r'.")
    q, r = _qr(a, mode="reduced" if mode == "r" else "complete" if mode in ("full", "complete") else mode)
    return r if mode == "r" else QRResult(q, r)


# --- solving ------------------------------------------------------------------------------------


def _solve_factored(lu: Any, permutation: Any, b: Any) -> Any:
    """The solution for a matrix given by its LU decomposition; b is a stack of matrices."""
    from .indexing import take_along_axis

    rank = len(shape_of(b))
    rows = lax.broadcast_in_dim(permutation, (*shape_of(permutation), 1), tuple(range(rank - 1)))
    b = take_along_axis(b, rows, rank - 2, mode="promise_in_bounds")
    y = lax.linalg.triangular_solve(lu, b, left_side=True, lower=True, unit_diagonal=True)
    return lax.linalg.triangular_solve(lu, y, left_side=True, lower=False)


@custom_jvp
def _solve_matrix(a: Any, b: Any) -> Any:
    lu, _, permutation = lax.linalg.lu(a)
    return _solve_factored(lu, permutation, b)


@_solve_matrix.defjvp
def _solve_matrix_jvp(primals: Any, tangents: Any) -> Any:
    # a x = b gives a dx = db - da x: one factorisation serves both.
    (a, b), (da, db) = primals, tangents
    lu, _, permutation = lax.linalg.lu(a)
    x = _solve_factored(lu, permutation, b)
    return x, _solve_factored(lu, permutation, lax.sub(db, matmul_body(da, x)))


@composite(static_argnames=("vector",))
def _solve(a: Any, b: Any, *, vector: bool) -> Any:
    a, b = (as_array(x) for x in promote_dtypes_inexact(a, b))
    if vector:
        b = lax.reshape(b, (*shape_of(b), 1))
    batch = broadcast_shape(shape_of(a)[:-2], shape_of(b)[:-2])
    a, b = (broadcast_to(x, (*batch, *shape_of(x)[-2:])) for x in (a, b))
    out = _solve_matrix(a, b)
    return lax.squeeze(out, (len(shape_of(out)) - 1,)) if vector else out


def solve(a: Any, b: Any) -> Any:
    """The solution x of a @ x == b, as `numpy.linalg.solve`.

    Args:
      a: an array of shape (..., n, n).
      b: an array of shape (n,) or (..., n, m).

    Returns:
      An array of b's shape, with the leading dimensions broadcast.

    Raises:
      ValueError: the matrices are not square, or the sizes do not go together.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.solve(cnp.array([[2.0, 0.0], [0.0, 4.0]]), cnp.array([2.0, 2.0]))
      Array([1. , 0.5], dtype=float32)
    """
    check_arraylike("solve", a, b)
    shape, right = shape_of(a), shape_of(b)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ValueError(f"Argument to solve must have shape [..., n, n], got {shape}.")
    vector = len(right) == 1
    if not right or right[-1 if vector else -2] != shape[-1]:
        raise ValueError(
            f"solve: b of shape {right} does not go with a of shape {shape}: expected (n,) or (..., n, m) with n = "
            f"{shape[-1]}."
        )
    return _solve(a, b, vector=vector)


@composite
def inv(a: Any) -> Any:
    """The inverse of square matrices, as `numpy.linalg.inv`.

    Args:
      a: an array of shape (..., n, n).

    Returns:
      An array of a's shape.

    Raises:
      ValueError: the matrices are not square.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.inv(cnp.array([[2.0, 0.0], [0.0, 4.0]]))
      Array([[0.5 , 0.  ],
             [0.  , 0.25]], dtype=float32)
    """
    a = _matrices("inv", a, square=True)
    return _solve_matrix(a, _identity_like(a))


def _identity_like(a: Any) -> Any:
    shape = shape_of(a)
    rank = len(shape)
    i, j = (lax.broadcasted_iota(np.int32, shape, rank - 2 + k) for k in (0, 1))
    return convert(lax.eq(i, j), dtype_of(a))


def _entry(a: Any, i: int, j: int) -> Any:
    rank = len(shape_of(a))
    return lax.index_in_dim(lax.index_in_dim(a, i, rank - 2, False), j, rank - 2, False)


def _log_determinant(a: Any) -> tuple[Any, Any]:
    """The sign and the logarithm of the absolute value of determinants, from the LU decomposition."""
    lu, pivots, _ = lax.linalg.lu(a)
    entries = _diagonal(lu, 0, -2, -1)
    axis = len(shape_of(entries)) - 1
    size = lax.abs(entries)
    zero = lax.reduce_or(lax.eq(entries, const(entries, 0)), (axis,))
    swaps = lax.ne(pivots, lax.broadcasted_iota(np.int32, shape_of(pivots), axis))
    odd = lax.rem(lax.reduce_sum(convert(swaps, np.dtype(np.int32)), (axis,)), np.int32(2))
    real = dtype_rank(dtype_of(a)) < 3
    units = lax.sign(entries) if real else lax.div(entries, convert(size, dtype_of(entries)))
    sign = lax.reduce_prod(units, (axis,))
    sign = bodies.where(lax.eq(odd, np.int32(1)), lax.neg(sign), sign)
    sign = bodies.where(zero, const(sign, 0), sign)
    total = lax.reduce_sum(lax.log(size), (axis,))
    return lax.stop_gradient(sign) if real else sign, bodies.where(zero, const(total, -math.inf), total)


@composite
def _slogdet(a: Any) -> Any:
    return _log_determinant(_matrices("slogdet", a, square=True))


def slogdet(a: Any, *, method: str | None = None) -> SlogdetResult:
    """The sign and the logarithm of the determinant, as `numpy.linalg.slogdet`.

    Args:
      a: an array of shape (..., n, n).
      method: None or "lu".

    Returns:
      The named tuple (sign, logabsdet).

    Raises:
      ValueError: the matrices are not square, or the method is unknown.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.slogdet(cnp.eye(2)).logabsdet
      Array(0., dtype=float32)
    """
    check_arraylike("slogdet", a)
    if method not in (None, "lu"):
        raise ValueError(f"Unknown slogdet method {method!r}; there is 'lu'.")
    return SlogdetResult(*_slogdet(a))


@composite
def det(a: Any) -> Any:
    """The determinant of square matrices, as `numpy.linalg.det`.

    Args:
      a: an array of shape (..., n, n).

    Returns:
      An array of shape (...).

    Raises:
      ValueError: the matrices are not square.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.det(cnp.array([[1.0, 2.0], [3.0, 4.0]]))
      Array(-2., dtype=float32)
    """
    a = _matrices("det", a, square=True)
    size = shape_of(a)[-1]
    if size in (2, 3):  # written out, so that singular matrices have derivatives too
        at = functools.partial(_entry, a)

        def minor(i: int, j: int) -> Any:
            return lax.sub(lax.mul(at(size - 2, i), at(size - 1, j)), lax.mul(at(size - 2, j), at(size - 1, i)))

        if size == 2:
            return minor(0, 1)
        terms = (lax.mul(at(0, k), minor(*[j for j in range(3) if j != k])) for k in range(3))
        first, second, third = terms
        return lax.add(lax.sub(first, second), third)
    lu, pivots, _ = lax.linalg.lu(a)
    entries = _diagonal(lu, 0, -2, -1)
    axis = len(shape_of(entries)) - 1
    swaps = lax.ne(pivots, lax.broadcasted_iota(np.int32, shape_of(pivots), axis))
    odd = lax.rem(lax.reduce_sum(convert(swaps, np.dtype(np.int32)), (axis,)), np.int32(2))
    product = lax.reduce_prod(entries, (axis,))
    return bodies.where(lax.eq(odd, np.int32(1)), lax.neg(product), product)


def _tolerance(s: Any, shape: Sequence[int], tol: Any) -> Any:
    """The least singular value that counts, with a dimension of size 1 at the end."""
    largest = lax.reduce_max(s, (len(shape_of(s)) - 1,))
    if tol is None:
        tol = builtins.max(*shape[-2:]) * float(dtypes.finfo(dtype_of(s)).eps)
    limit = lax.mul(largest, broadcast_to(convert(as_array(tol), dtype_of(s)), shape_of(largest)))
    return lax.reshape(limit, (*shape_of(limit), 1))


@custom_jvp
def _pseudo_inverse(a: Any, tol: Any) -> Any:
    u, s, vh = lax.linalg.svd(a, full_matrices=False)
    keep = bodies.greater(*_pair(s, _tolerance(s, shape_of(a), tol)))
    weights = lax.div(lax.full_like(s, 1), bodies.where(keep, s, const(s, 1)))
    weights = convert(bodies.where(keep, weights, const(s, 0)), dtype_of(a))
    weights = lax.broadcast_in_dim(weights, shape_of(u), (*range(len(shape_of(u)) - 2), len(shape_of(u)) - 1))
    return matmul_body(_adjoint(vh), _adjoint(lax.mul(u, weights)))


def _pair(s: Any, limit: Any) -> tuple[Any, Any]:
    return s, broadcast_to(limit, shape_of(s))


@_pseudo_inverse.defjvp
def _pseudo_inverse_jvp(primals: Any, tangents: Any) -> Any:
    # Golub and Pereyra 1973: the derivative at constant rank.
    (a, tol), (da, _) = primals, tangents
    p = _pseudo_inverse(a, tol)
    ph, dah = _adjoint(p), _adjoint(da)
    left = lax.sub(_identity(shape_of(a)[:-2], shape_of(a)[-1], a), matmul_body(p, a))
    right = lax.sub(_identity(shape_of(a)[:-2], shape_of(a)[-2], a), matmul_body(a, p))
    out = lax.neg(matmul_body(matmul_body(p, da), p))
    out = lax.add(out, matmul_body(matmul_body(matmul_body(left, dah), ph), p))
    return p, lax.add(out, matmul_body(matmul_body(matmul_body(p, ph), dah), right))


def _identity(batch: Sequence[int], size: int, a: Any) -> Any:
    return _identity_like(lax.full((*batch, size, size), 0, dtype_of(a)))


@composite
def _pinv(a: Any, rtol: Any) -> Any:
    a = _matrices("pinv", a)
    if 0 in shape_of(a)[-2:]:
        return lax.full((*shape_of(a)[:-2], shape_of(a)[-1], shape_of(a)[-2]), 0, dtype_of(a))
    real = _real_dtype(dtype_of(a))
    if rtol is None:
        rtol = 10.0 * builtins.max(*shape_of(a)[-2:]) * float(dtypes.finfo(real).eps)
    return _pseudo_inverse(a, convert(as_array(rtol), real))


def pinv(a: Any, rtol: Any = None, hermitian: bool = False, *, rcond: Any = None) -> Any:
    """The pseudo-inverse, as `numpy.linalg.pinv`.

    Args:
      a: an array of shape (..., m, n).
      rtol: singular values below rtol times the largest count as 0; 10 * max(m, n) * eps by default.
      hermitian: whether a is Hermitian; the result is the same.
      rcond: the old name of rtol.

    Returns:
      An array of shape (..., n, m).

    Raises:
      ValueError: a has fewer than two dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.pinv(cnp.array([[2.0, 0.0]]))
      Array([[0.5],
             [0. ]], dtype=float32)
    """
    check_arraylike("pinv", a)
    return _pinv(a, rtol if rtol is not None else rcond)


@composite(static_argnames=("numpy_resid",))
def _lstsq(a: Any, b: Any, rcond: Any, *, numpy_resid: bool) -> Any:
    a, b = (as_array(x) for x in promote_dtypes_inexact(a, b))
    m, n = shape_of(a)
    vector = len(shape_of(b)) == 1
    right = lax.reshape(b, (m, 1)) if vector else b
    u, s, vh = lax.linalg.svd(a, full_matrices=False)
    keep = bodies.greater_equal(*_pair(s, _tolerance(s, (m, n), rcond)))
    keep = lax.bitwise_and(keep, lax.gt(s, const(s, 0)))
    rank = lax.reduce_sum(convert(keep, np.dtype(np.int32)), (0,))
    safe = bodies.where(keep, s, const(s, 1))
    weights = convert(bodies.where(keep, lax.div(const(s, 1), safe), const(s, 0)), dtype_of(a))
    projected = matmul_body(_adjoint(u), right)
    x = matmul_body(_adjoint(vh), lax.mul(lax.broadcast_in_dim(weights, shape_of(projected), (0,)), projected))
    gap = lax.sub(right, matmul_body(a, x))
    resid = lax.reduce_sum(lax.real(lax.mul(gap, lax.conj(gap))) if dtype_rank(dtype_of(a)) == 3 else lax.square(gap), (0,))
    return (lax.squeeze(x, (1,)) if vector else x), resid, rank, s


def lstsq(a: Any, b: Any, rcond: float | None = None, *, numpy_resid: bool = False) -> tuple[Any, Any, Any, Any]:
    """The least-squares solution of a @ x == b, as `numpy.linalg.lstsq`.

    Args:
      a: an array of shape (m, n).
      b: an array of shape (m,) or (m, k).
      rcond: singular values below rcond times the largest count as 0; max(m, n) * eps by default.
      numpy_resid: whether residuals are empty where NumPy has them so, for concrete arrays only.

    Returns:
      The solution, the sums of squared residuals, the rank of a, and its singular values.

    Raises:
      ValueError: the shapes do not go together.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.lstsq(cnp.array([[1.0], [1.0]]), cnp.array([1.0, 3.0]))[1]
      Array([2.], dtype=float32)
    """
    check_arraylike("lstsq", a, b)
    if len(shape_of(a)) != 2 or len(shape_of(b)) not in (1, 2):
        raise ValueError(f"lstsq needs a of two and b of one or two dimensions, got {shape_of(a)} and {shape_of(b)}.")
    if shape_of(a)[0] != shape_of(b)[0]:
        raise ValueError(f"lstsq: leading dimensions of a and b must match, got {shape_of(a)} and {shape_of(b)}.")
    x, resid, rank, s = _lstsq(a, b, rcond, numpy_resid=bool(numpy_resid))
    if numpy_resid and (int(rank) < shape_of(a)[1] or shape_of(a)[0] <= shape_of(a)[1]):
        resid = lax.full((0,), 0, dtype_of(resid))
    return x, resid, rank, s


# --- norms --------------------------------------------------------------------------------------


def _vector_norm(x: Any, ord: Any, axes: Any, keepdims: bool) -> Any:
    size = lax.abs(x)
    reduce_sum = functools.partial(reductions.sum, axis=axes, keepdims=keepdims)
    if ord is None or ord == 2:
        squares = lax.real(lax.mul(x, lax.conj(x))) if dtype_rank(dtype_of(x)) == 3 else lax.mul(x, x)
        return lax.sqrt(reduce_sum(squares))
    if ord == math.inf:
        return reductions.max(size, axis=axes, keepdims=keepdims, initial=0)
    if ord == -math.inf:
        return reductions.min(size, axis=axes, keepdims=keepdims, initial=math.inf)
    if ord == 0:
        return reduce_sum(convert(lax.ne(x, const(x, 0)), dtype_of(size)))
    if ord == 1:
        return reduce_sum(size)
    if isinstance(ord, str):
        raise ValueError(f"Invalid order {ord!r} for vector norm.")
    total = reduce_sum(lax.pow(size, const(size, ord)))
    return lax.pow(total, const(total, 1.0 / ord))


def _matrix_norm(x: Any, ord: Any, axes: tuple[int, int], keepdims: bool) -> Any:
    if ord in (None, "f", "fro"):
        return _vector_norm(x, 2, axes, keepdims)
    rows, columns = axes
    if ord in (1, -1, math.inf, -math.inf):
        inner, outer_ = (rows, columns) if ord in (1, -1) else (columns, rows)
        sums = reductions.sum(lax.abs(x), axis=inner, keepdims=True)
        reduce = reductions.max if ord > 0 else reductions.min
        out = reduce(sums, axis=outer_, keepdims=True)
        return out if keepdims else lax.squeeze(out, tuple(sorted(axes)))
    if ord in (2, -2, "nuc"):
        s = svd(moveaxis(x, axes, (-2, -1)), compute_uv=False)
        reduce = {2: reductions.max, -2: reductions.min, "nuc": reductions.sum}[ord]
        out = reduce(s, axis=-1)
        return lax.expand_dims(out, tuple(sorted(axes))) if keepdims else out
    raise ValueError(f"Invalid order {ord!r} for matrix norm: use None, 'fro', 'nuc', 1, -1, 2, -2, inf or -inf.")


@composite(static_argnames=("ord", "axis", "keepdims"))
def _norm(x: Any, *, ord: Any, axis: Any, keepdims: bool) -> Any:
    x = as_array(to_inexact("norm", x))
    rank = len(shape_of(x))
    if axis is None:
        axes = tuple(range(rank))
        if ord is None:
            return _vector_norm(x, 2, axes, keepdims)
    else:
        axes = canonical_axes(axis, rank)
    if len(axes) == 1:
        return _vector_norm(x, ord, axes, keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, ord, axes, keepdims)  # type: ignore[arg-type]
    raise ValueError(
        f"Improper number of axes for norm: axis={axis}. Pass one axis to compute a vector-norm, or two axes to "
        "compute a matrix-norm."
    )


def norm(x: Any, ord: int | str | None = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The norm of vectors or matrices, as `numpy.linalg.norm`.

    Args:
      x: an array.
      ord: for vectors any number or inf; for matrices None, "fro", "nuc", 1, -1, 2, -2, inf or -inf.
      axis: one axis for vector norms, two for matrix norms; None takes all of x.
      keepdims: whether reduced axes stay, of size 1.

    Returns:
      An array of floats.

    Raises:
      ValueError: the order is unknown, or the axes are out of bounds or too many.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.norm(cnp.array([3.0, 4.0]))
      Array(5., dtype=float32)
    """
    check_arraylike("norm", x)
    axis = tuple(axis) if isinstance(axis, list) else axis
    if axis is not None and isinstance(axis, tuple) and len(axis) not in (1, 2):
        raise ValueError(
            f"Improper number of axes for norm: axis={axis}. Pass one axis to compute a vector-norm, or two axes to "
            "compute a matrix-norm."
        )
    return _norm(x, ord=ord, axis=axis, keepdims=bool(keepdims))


def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: int | str = 2) -> Any:
    """The norm of x as vectors over axes, as `numpy.linalg.vector_norm`.

    Args:
      x: an array.
      axis: the axes; None for all.
      keepdims: whether reduced axes stay, of size 1.
      ord: any number or inf.

    Returns:
      An array of floats.

    Raises:
      ValueError: an axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.vector_norm(cnp.array([[3.0, 4.0]]))
      Array(5., dtype=float32)
    """
    check_arraylike("vector_norm", x)
    axes = canonical_axes(tuple(axis) if isinstance(axis, list) else axis, len(shape_of(x)))
    return _vector_norm_of(x, ord=ord, axes=axes, keepdims=bool(keepdims))


@composite(static_argnames=("ord", "axes", "keepdims"))
def _vector_norm_of(x: Any, *, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    return _vector_norm(as_array(to_inexact("vector_norm", x)), ord, axes, keepdims)


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: str | int = "fro") -> Any:
    """The norm of the matrices in the last two axes, as `numpy.linalg.matrix_norm`.

    Args:
      x: an array of shape (..., m, n).
      keepdims: whether reduced axes stay, of size 1.
      ord: "fro", "nuc", 1, -1, 2, -2, inf or -inf.

    Returns:
      An array of floats.

    Raises:
      ValueError: the order is unknown.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.matrix_norm(cnp.array([[3.0, 4.0]]))
      Array(5., dtype=float32)
    """
    return norm(x, ord, (-2, -1), keepdims)


def cond(x: Any, p: Any = None) -> Any:
    """The condition number of matrices, as `numpy.linalg.cond`.

    Args:
      x: an array of shape (..., m, n).
      p: the order of the norm; None and 2 take singular values.

    Returns:
      An array of floats.

    Raises:
      ValueError: the order is unknown, or the matrices are not square for p other than None, 2 and -2.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.cond(cnp.array([[2.0, 0.0], [0.0, 1.0]]))
      Array(2., dtype=float32)
    """
    check_arraylike("cond", x)
    if len(shape_of(x)) < 2:
        raise ValueError(f"cond needs an array of at least two dimensions, got shape {shape_of(x)}.")
    if p in (None, 2, -2):
        s = svd(x, compute_uv=False)
        first, last = s[..., 0], s[..., -1]
        return last / first if p == -2 else first / last
    return norm(x, p, (-2, -1)) * norm(inv(x), p, (-2, -1))


def matrix_rank(M: Any, rtol: Any = None, *, hermitian: bool = False, tol: Any = None) -> Any:
    """The number of singular values that count, as `numpy.linalg.matrix_rank`.

    Args:
      M: an array of shape (..., m, n).
      rtol: singular values below rtol times the largest do not count; max(m, n) * eps by default.
      hermitian: whether M is Hermitian.
      tol: singular values below it do not count.

    Returns:
      An array of integers.

    Raises:
      ValueError: rtol and tol are both given.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.matrix_rank(cnp.ones((2, 2)))
      Array(1, dtype=int32)
    """
    check_arraylike("matrix_rank", M)
    if rtol is not None and tol is not None:
        raise ValueError("matrix_rank: only one of tol and rtol may be given.")
    if len(shape_of(M)) < 2:
        return reductions.any(bodies.to_bool(as_array(M))).astype(np.int32)
    s = svd(M, compute_uv=False, hermitian=hermitian)
    limit = tol if tol is not None else _tolerance(s, shape_of(M), rtol)
    return reductions.sum(s > limit, axis=-1)


# --- products -----------------------------------------------------------------------------------


def matrix_power(a: Any, n: int) -> Any:
    """Square matrices multiplied by themselves, as `numpy.linalg.matrix_power`.

    Args:
      a: an array of shape (..., m, m).
      n: the power; negative ones invert first.

    Returns:
      An array of a's shape.

    Raises:
      TypeError: n is not an integer, or the matrices are not square.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.matrix_power(cnp.array([[1, 1], [0, 1]]), 3)
      Array([[1, 3],
             [0, 1]], dtype=int32)
    """
    check_arraylike("matrix_power", a)
    shape = shape_of(a)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise TypeError(f"matrix_power: the last two dimensions of the array must be square, got shape {shape}.")
    return _matrix_power(a, n=operator.index(n))


@composite(static_argnames=("n",))
def _matrix_power(a: Any, *, n: int) -> Any:
    a = as_array(a)
    if n == 0:
        return _identity_like(a)
    if n < 0:
        a, n = inv(a), -n
    out = None
    while n:
        if n & 1:
            out = a if out is None else matmul_body(out, a)
        n >>= 1
        if n:
            a = matmul_body(a, a)
    return out


def multi_dot(arrays: Sequence[Any], *, precision: Any = None) -> Any:
    """The product of several matrices in the best order, as `numpy.linalg.multi_dot`.

    Args:
      arrays: matrices; the first and last may be vectors.
      precision: None, a `lax.Precision`, its name, or a pair of them.

    Returns:
      An array.

    Raises:
      ValueError: there are fewer than two arrays, or their dimensions do not fit.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.multi_dot([cnp.ones((1, 2)), cnp.ones((2, 3)), cnp.ones((3, 1))])
      Array([[6.]], dtype=float32)
    """
    check_arraylike("multi_dot", *arrays)
    shapes = [shape_of(a) for a in arrays]
    if len(arrays) < 2:
        raise ValueError("multi_dot requires at least two arrays.")
    if any(len(s) != 2 for s in shapes[1:-1]) or any(len(s) not in (1, 2) for s in (shapes[0], shapes[-1])):
        raise ValueError(
            "multi_dot: input arrays must all be two-dimensional, except for the first and last array which may be 1 or "
            f"2 dimensional. Got array shapes {shapes}"
        )
    labels = [*range(len(arrays) + 1)]
    names = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    terms = [names[i] + names[j] for i, j in zip(labels, labels[1:])]
    if len(shapes[0]) == 1:
        terms[0] = terms[0][1]
    if len(shapes[-1]) == 1:
        terms[-1] = terms[-1][0]
    result = (terms[0][0] if len(shapes[0]) == 2 else "") + (terms[-1][1] if len(shapes[-1]) == 2 else "")
    return products.einsum(f"{','.join(terms)}->{result}", *arrays, optimize="auto", precision=precision)


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The cross product of vectors of size 3, as `numpy.linalg.cross`.

    Args:
      x1, x2: arrays that broadcast together.
      axis: the axis of the vectors.

    Returns:
      An array.

    Raises:
      ValueError: the vectors' size is not 3.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.cross(cnp.array([1, 0, 0]), cnp.array([0, 1, 0]))
      Array([0, 0, 1], dtype=int32)
    """
    check_arraylike("cross", x1, x2)
    if shape_of(x1)[axis] != 3 or shape_of(x2)[axis] != 3:
        raise ValueError(f"Both inputs must be of size 3 along axis {axis}, got {shape_of(x1)} and {shape_of(x2)}.")
    return _cross(x1, x2, axis=axis)


def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """The diagonals of the matrices in the last two axes, as `numpy.linalg.diagonal`.

    Args:
      x: an array of shape (..., m, n).
      offset: the diagonal: 0 the main one, positive above it.

    Returns:
      An array.

    Raises:
      ValueError: x has fewer than two dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.diagonal(cnp.array([[1, 2], [3, 4]]))
      Array([1, 4], dtype=int32)
    """
    return _diagonal(x, offset, -2, -1)


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The sums of diagonals of the matrices in the last two axes, as `numpy.linalg.trace`.

    Args:
      x: an array of shape (..., m, n).
      offset: the diagonal: 0 the main one, positive above it.
      dtype: dtype of the result.

    Returns:
      An array.

    Raises:
      ValueError: x has fewer than two dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.trace(cnp.array([[1, 2], [3, 4]]))
      Array(5, dtype=int32)
    """
    return _trace(x, offset, -2, -1, dtype)


def tensorinv(a: Any, ind: int = 2) -> Any:
    """The inverse with respect to `tensordot`, as `numpy.linalg.tensorinv`.

    Args:
      a: an array whose first `ind` sizes multiply to the product of the others.
      ind: how many axes belong to the inverse's last.

    Returns:
      An array of shape a.shape[ind:] + a.shape[:ind].

    Raises:
      ValueError: the sizes do not go together, or ind is not positive.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.tensorinv(cnp.eye(4).reshape(2, 2, 2, 2)).shape
      (2, 2, 2, 2)
    """
    check_arraylike("tensorinv", a)
    ind = operator.index(ind)
    if ind <= 0:
        raise ValueError(f"ind must be a positive integer; got ind={ind}")
    shape = shape_of(a)
    rows, columns = math.prod(shape[:ind]), math.prod(shape[ind:])
    if rows != columns:
        raise ValueError(f"product of dimensions must match for shape {shape} and ind={ind}: {rows} and {columns}.")
    return inv(as_array(a).reshape(rows, columns)).reshape(*shape[ind:], *shape[:ind])


def tensorsolve(a: Any, b: Any, axes: tuple[int, ...] | None = None) -> Any:
    """The solution x of tensordot(a, x, x.ndim) == b, as `numpy.linalg.tensorsolve`.

    Args:
      a: an array of shape b.shape + x.shape, of as many rows as columns.
      b: an array.
      axes: axes of a to move to its end first.

    Returns:
      An array.

    Raises:
      ValueError: the sizes do not go together.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.tensorsolve(cnp.eye(4).reshape(2, 2, 2, 2), cnp.ones((2, 2)))
      Array([[1., 1.],
             [1., 1.]], dtype=float32)
    """
    check_arraylike("tensorsolve", a, b)
    a, b = as_array(a), as_array(b)
    if axes is not None:
        axes = tuple(canonical_axis(i, len(shape_of(a))) for i in axes)
        a = moveaxis(a, axes, tuple(range(len(shape_of(a)) - len(axes), len(shape_of(a)))))
    rest = shape_of(a)[len(shape_of(b)) :]
    if math.prod(rest) != math.prod(shape_of(b)):
        raise ValueError(f"tensorsolve: a of shape {shape_of(a)} is not square for b of shape {shape_of(b)}.")
    return solve(a.reshape(math.prod(shape_of(b)), math.prod(rest)), b.reshape(-1)).reshape(rest)
