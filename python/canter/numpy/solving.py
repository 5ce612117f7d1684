"""Linear systems: solve, inverses, determinants, least squares."""

from __future__ import annotations

import builtins
import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite
from canter.transforms.custom_rules import custom_jvp

from . import ufunc_bodies as bodies
from .factorizations import _adjoint, _matrices, _real_dtype
from .linear_algebra import matmul_body
from .matrices import diagonal as _diagonal
from .util import (
    broadcast_shape,
    broadcast_to,
    check_arraylike,
    convert,
    dtype_of,
    dtype_rank,
    promote_dtypes_inexact,
    shape_of,
)

__all__ = ["det", "inv", "lstsq", "pinv", "slogdet", "solve"]


class SlogdetResult(NamedTuple):
    """What `slogdet` gives."""

    sign: Any
    logabsdet: Any


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


@composite
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


@composite(static_argnames=("by_qr",))
def _slogdet(a: Any, *, by_qr: bool) -> Any:
    a = _matrices("slogdet", a, square=True)
    return _log_determinant_by_qr(a) if by_qr else _log_determinant(a)


def _log_determinant_by_qr(a: Any) -> tuple[Any, Any]:
    """The same from the QR decomposition, whose reflectors each have a determinant of their own."""
    packed, taus = lax.linalg.geqrf(a)
    entries = _diagonal(packed, 0, -2, -1)
    rank = len(shape_of(packed))
    strict = [lax.broadcasted_iota(np.int32, shape_of(packed), rank - 2 + k) for k in (0, 1)]
    below = bodies.where(lax.gt(*strict), packed, const(packed, 0))
    squares = lax.reduce_sum(
        lax.real(lax.mul(below, lax.conj(below))) if _is_complex(a) else below * below, (rank - 2,)
    )
    # A reflector 1 - tau v vᴴ has the determinant 1 - tau |v|², and v has a 1 on the diagonal.
    turns = lax.sub(
        const(taus, 1), lax.mul(taus, convert(lax.add(squares, const(squares, 1)), dtype_of(taus)))
    )
    size = lax.abs(entries)
    zero = lax.reduce_or(lax.eq(entries, const(entries, 0)), (rank - 2,))
    safe = bodies.where(lax.eq(entries, const(entries, 0)), const(entries, 1), entries)
    units = lax.mul(lax.div(safe, convert(lax.abs(safe), dtype_of(safe))), turns)
    sign = bodies.where(zero, const(units, 0), lax.reduce_prod(units, (rank - 2,)))
    total = lax.reduce_sum(lax.log(size), (rank - 2,))
    value = bodies.where(zero, const(total, -math.inf), total)
    return sign if _is_complex(a) else lax.stop_gradient(lax.sign(sign)), value


def _is_complex(a: Any) -> bool:
    return dtype_rank(dtype_of(a)) == 3


@composite(static_argnames=("method",))
def slogdet(a: Any, *, method: str | None = None) -> SlogdetResult:
    """The sign and the logarithm of the determinant, as `numpy.linalg.slogdet`.

    Args:
      a: an array of shape (..., n, n).
      method: "lu", as None is, or "qr": from which decomposition.

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
    if method not in (None, "lu", "qr"):
        raise ValueError(f"Unknown slogdet method {method!r}; there are 'lu' and 'qr'.")
    return SlogdetResult(*_slogdet(a, by_qr=method == "qr"))


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
            return lax.sub(
                lax.mul(at(size - 2, i), at(size - 1, j)), lax.mul(at(size - 2, j), at(size - 1, i))
            )

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


@composite(static_argnames=("hermitian",))
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
    x = matmul_body(
        _adjoint(vh), lax.mul(lax.broadcast_in_dim(weights, shape_of(projected), (0,)), projected)
    )
    gap = lax.sub(right, matmul_body(a, x))
    resid = lax.reduce_sum(
        lax.real(lax.mul(gap, lax.conj(gap))) if dtype_rank(dtype_of(a)) == 3 else lax.square(gap), (0,)
    )
    return (lax.squeeze(x, (1,)) if vector else x), resid, rank, s


@composite(static_argnames=("rcond", "numpy_resid"))
def lstsq(
    a: Any, b: Any, rcond: float | None = None, *, numpy_resid: bool = False
) -> tuple[Any, Any, Any, Any]:
    """The least-squares solution of a @ x == b, as `numpy.linalg.lstsq`.

    Args:
      a: an array of shape (m, n).
      b: an array of shape (m,) or (m, k).
      rcond: singular values below rcond times the largest count as 0; max(m, n) * eps by default.
      numpy_resid: whether residuals are empty where NumPy has them so, for concrete arrays only.

    Returns:
      The solution, the sums of squared residuals, the rank of a, and its singular values.

    Raises:
      TypeError: a is not of two dimensions, or b not of one or two.
      ValueError: the shapes do not go together.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.lstsq(cnp.array([[1.0], [1.0]]), cnp.array([1.0, 3.0]))[1]
      Array([2.], dtype=float32)
    """
    check_arraylike("lstsq", a, b)
    if len(shape_of(a)) != 2 or len(shape_of(b)) not in (1, 2):
        raise TypeError(
            f"lstsq needs a of two and b of one or two dimensions, got {shape_of(a)} and {shape_of(b)}."
        )
    if shape_of(a)[0] != shape_of(b)[0]:
        raise ValueError(
            f"lstsq: leading dimensions of a and b must match, got {shape_of(a)} and {shape_of(b)}."
        )
    x, resid, rank, s = _lstsq(a, b, rcond, numpy_resid=bool(numpy_resid))
    if numpy_resid and (int(rank) < shape_of(a)[1] or shape_of(a)[0] <= shape_of(a)[1]):
        resid = lax.full((0,), 0, dtype_of(resid))
    return x, resid, rank, s
