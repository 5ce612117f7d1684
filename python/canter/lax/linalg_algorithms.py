"""Decompositions as programs of array operations, for where there is no library.

They serve twice: platforms without a kernel lower them, and derivatives of what Householder reflectors
hold (whose signs are a convention, not a property of the matrix) are theirs. Conventions are LAPACK's.
Each takes single matrices; `batched` applies one along leading axes.

Sources: Golub and Van Loan, Matrix Computations (2013); Schreiber and Van Loan, "A storage-efficient WY
representation for products of Householder transformations" (1989); Nakatsukasa, Bai and Gygi,
"Optimizing Halley's iteration for computing the matrix polar decomposition" (2010).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import dtypes
from ..transforms.vmap import vmap
from .common import ops
from .linalg_derivatives import adjoint, conj, is_complex, matmul, swap_last, triangle
from .shapes import aval_of, shape_of

__all__ = [
    "apply_reflectors",
    "batched",
    "hessenberg",
    "householder_qr",
    "leading_columns",
    "pivoted_qr",
    "plain_lu",
    "plain_qr",
    "polar_svd",
    "qdwh",
    "refined_eigh",
    "solve_tridiagonal",
    "tridiagonal",
    "update_cholesky",
]


def batched(program: Callable[..., Any], ndim: int, *operands: Any) -> Any:
    """Applies a program of single matrices along leading axes; `ndim` is that of its first operand there."""
    for _ in range(len(shape_of(operands[0])) - ndim):
        program = vmap(program)
    return program(*operands)


# --- vectors and loops ----------------------------------------------------------------------------


def _iota(size: int) -> Any:
    return ops.iota(np.int32, size)


def _row(x: Any, index: Any) -> Any:
    return ops.dynamic_index_in_dim(x, index, 0, keepdims=False)


def _column(x: Any, index: Any) -> Any:
    return ops.dynamic_index_in_dim(x, index, 1, keepdims=False)


def _with_column(x: Any, column: Any, index: Any) -> Any:
    return ops.dynamic_update_index_in_dim(x, column, index, 1)


def _with_element(x: Any, value: Any, index: Any) -> Any:
    return ops.dynamic_update_index_in_dim(x, _as(value, x), index, 0)


def _as(x: Any, like: Any) -> Any:
    return ops.convert_element_type(x, aval_of(like).dtype)


def _where(condition: Any, x: Any, y: Any) -> Any:
    """x where the condition holds, else y; y may be a number."""
    return ops.select(condition, x, y if hasattr(y, "dtype") else ops.full_like(x, y))


def _outer(x: Any, y: Any) -> Any:
    """The matrix x yᴴ."""
    return x[:, None] * conj(y)[None, :]


def _squares(x: Any) -> Any:
    return ops.real(x * ops.conj(x)) if is_complex(x) else x * x


def _taxicab(x: Any) -> Any:
    """The size by which LAPACK compares pivots."""
    return ops.abs(ops.real(x)) + ops.abs(ops.imag(x)) if is_complex(x) else ops.abs(x)


def _real(x: Any) -> Any:
    return ops.real(x) if is_complex(x) else x


def _times(x: Any, y: Any) -> Any:
    """A matrix times a vector."""
    return matmul(x, y[:, None])[:, 0]


def _for_each(count: int, step: Callable[..., Any], state: Any) -> Any:
    """Runs `step(index, *state)` for each index below `count`; static, so that it has a transpose."""
    if count <= 0:
        return state
    return ops.fori_loop(0, count, lambda i, s: step(i, *s), state)


# --- reflectors -----------------------------------------------------------------------------------


def reflector(x: Any, k: Any) -> tuple[Any, Any, Any]:
    """beta, tau and v with `(1 - conj(tau) v vᴴ) x = beta` at k and 0 behind it; v is 0 before k, 1 at k."""
    index = _iota(shape_of(x)[0])
    alpha = _row(x, k)
    tail = _where(index > k, x, 0)
    rest = ops.reduce_sum(_squares(tail), (0,))
    needed = rest != 0
    if is_complex(x):
        needed = needed | (ops.imag(alpha) != 0)
    norm = ops.sqrt(_where(needed, _squares(alpha) + rest, 1))
    beta = _where(_real(alpha) >= 0, -norm, norm)
    tau = _where(needed, (_as(beta, x) - alpha) / _as(beta, x), 0)
    scale = _where(needed, alpha - _as(beta, x), 1)
    v = tail / scale + _as(index == k, x)
    return _where(needed, beta, _real(alpha)), tau, v


def _packed(column: Any, k: Any, beta: Any, v: Any) -> Any:
    """A column as it is kept: beta at k, v behind it."""
    index = _iota(shape_of(column)[0])
    behind = _where(index > k, v, column)
    return _where(index == k, ops.broadcast_in_dim(_as(beta, column), shape_of(column), ()), behind)


def _reflect_columns(x: Any, tau: Any, v: Any, after: Any) -> Any:
    """Applies `1 - conj(tau) v vᴴ` from the left to the columns behind one."""
    later = _iota(shape_of(x)[1]) > after
    product = _where(later, _times(adjoint(x), v), 0)  # conjugated by the outer product
    return x - conj(tau) * _outer(v, product)


def householder_qr(a: Any) -> tuple[Any, Any]:
    """R above, the reflectors below the diagonal, and their coefficients, as LAPACK's geqrf."""
    rank = min(shape_of(a))

    def step(k: Any, a: Any, taus: Any) -> Any:
        beta, tau, v = reflector(_column(a, k), k)
        reflected = _reflect_columns(a, tau, v, k)
        return _with_column(reflected, _packed(_column(a, k), k, beta, v), k), _with_element(taus, tau, k)

    return _for_each(rank, step, (a, ops.full((rank,), 0, aval_of(a).dtype)))


def pivoted_qr(a: Any) -> tuple[Any, Any, Any]:
    """The same with the longest remaining column first, and the order of columns, as LAPACK's geqp3."""
    rows, columns = shape_of(a)
    rank = min(rows, columns)

    def step(k: Any, a: Any, taus: Any, order: Any) -> Any:
        ahead = _where((_iota(rows) >= k)[:, None] & (_iota(columns) >= k)[None, :], _squares(a), 0)
        length = _where(_iota(columns) >= k, ops.reduce_sum(ahead, (0,)), -1)
        best = ops.argmax(length, 0, np.int32)
        place = _iota(columns)
        swap = _where(place == k, ops.broadcast_in_dim(best, (columns,), ()), place)
        swap = _where(place == best, ops.broadcast_in_dim(_as(k, place), (columns,), ()), swap)
        a, order = a[:, swap], order[swap]
        beta, tau, v = reflector(_column(a, k), k)
        reflected = _reflect_columns(a, tau, v, k)
        a = _with_column(reflected, _packed(_column(a, k), k, beta, v), k)
        return a, _with_element(taus, tau, k), order

    return _for_each(rank, step, (a, ops.full((rank,), 0, aval_of(a).dtype), _iota(columns)))


def plain_qr(a: Any, *, pivoting: bool, full_matrices: bool, use_magma: Any = None) -> list[Any]:
    """QR decomposition; with pivoting also the order of the columns."""
    rows, columns = shape_of(a)
    inner = rows if full_matrices else min(rows, columns)
    packed, taus, *order = pivoted_qr(a) if pivoting else householder_qr(a)
    q = apply_reflectors(packed, taus, _eye(rows, inner, aval_of(a).dtype))
    return [q, triangle(packed[:inner], lower=False), *order]


def apply_reflectors(a: Any, taus: Any, c: Any, *, left: bool = True, transpose: bool = False) -> Any:
    """Multiplies c by the product Q of reflectors, or by its adjoint.

    Q = 1 - V T Vᴴ with T⁻¹ = D⁻¹ + S, where D holds the coefficients and S is what stands above the
    diagonal of Vᴴ V; (1 + D S)⁻¹ D is T even where coefficients vanish.
    """
    count = shape_of(taus)[0]
    size, dtype = shape_of(a)[0], aval_of(a).dtype
    v = triangle(a[:, :count], lower=True, offset=-1) + _eye(size, count, dtype)
    gram = triangle(matmul(adjoint(v), v), lower=False, offset=1)
    if not left:  # c Q = (Qᴴ cᴴ)ᴴ
        return adjoint(apply_reflectors(a, taus, adjoint(c), left=True, transpose=not transpose))
    weights = taus[:, None]
    middle = _eye(count, count, dtype) + weights * gram
    inner = matmul(adjoint(v), c)
    solve = functools.partial(ops.linalg.triangular_solve, middle, left_side=True, unit_diagonal=True)
    if transpose:
        inner = conj(weights) * solve(inner, transpose_a=True, conjugate_a=True)
    else:
        inner = solve(weights * inner)
    return c - matmul(v, inner)


def leading_columns(a: Any, taus: Any) -> Any:
    """The first columns of the product of reflectors, as many as there are, as LAPACK's orgqr."""
    rows, columns = shape_of(a)
    return apply_reflectors(a, taus, _eye(rows, columns, aval_of(a).dtype))


def _eye(rows: int, columns: int, dtype: Any) -> Any:
    return ops.convert_element_type(_iota(rows)[:, None] == _iota(columns)[None, :], dtype)


# --- similar matrices -----------------------------------------------------------------------------


def hessenberg(a: Any) -> tuple[Any, Any]:
    """A similar Hessenberg matrix, with the reflectors below it, as LAPACK's gehrd."""
    count = max(shape_of(a)[0] - 1, 0)

    def step(k: Any, a: Any, taus: Any) -> Any:
        column = _column(a, k)
        beta, tau, v = reflector(column, k + 1)
        a = a - tau * _outer(_times(a, v), v)
        a = _reflect_columns(a, tau, v, k)
        return _with_column(a, _packed(column, k + 1, beta, v), k), _with_element(taus, tau, k)

    return _for_each(count, step, (a, ops.full((count,), 0, aval_of(a).dtype)))


def tridiagonal(a: Any, *, lower: bool) -> tuple[Any, Any, Any, Any]:
    """A similar tridiagonal matrix of a Hermitian one, as LAPACK's sytrd and hetrd.

    The upper variant works from the last column: it is the lower one on the matrix turned around.
    """
    if not lower:
        packed, diagonal, beside, taus = tridiagonal(ops.rev(a, (0, 1)), lower=True)
        return ops.rev(packed, (0, 1)), *(ops.rev(x, (0,)) for x in (diagonal, beside, taus))
    size = shape_of(a)[0]
    count = max(size - 1, 0)
    strict = triangle(a, lower=True, offset=-1)
    on_diagonal = _real(_eye(size, size, aval_of(a).dtype) * a)
    full = strict + adjoint(strict) + _as(on_diagonal, a)

    def step(k: Any, full: Any, packed: Any, taus: Any) -> Any:
        column = _column(full, k)
        beta, tau, v = reflector(column, k + 1)
        full = full - tau * _outer(_times(full, v), v)
        full = full - conj(tau) * _outer(v, _times(adjoint(full), v))
        kept = _where(_iota(size) > k, _packed(column, k + 1, beta, v), _column(packed, k))
        return full, _with_column(packed, kept, k), _with_element(taus, tau, k)

    taus = ops.full((count,), 0, aval_of(a).dtype)
    full, packed, taus = _for_each(count, step, (full, a, taus))
    diagonal = _real(ops.reduce_sum(full * _eye(size, size, aval_of(a).dtype), (1,)))
    shifted = ops.convert_element_type(_iota(size)[:, None] == _iota(count)[None, :] + 1, aval_of(a).dtype)
    below = _real(ops.reduce_sum(packed[:, :count] * shifted, (0,)))
    on = _eye(size, size, np.dtype(bool))
    packed = _where(on, _as(ops.broadcast_in_dim(diagonal, (size, size), (1,)), packed), packed)
    return packed, diagonal, below, taus


# --- triangular factors ---------------------------------------------------------------------------


def plain_lu(a: Any) -> tuple[Any, Any, Any]:
    """LU decomposition with partial pivoting, as LAPACK's getrf: factors, exchanges, permutation."""
    rows, columns = shape_of(a)
    rank = min(rows, columns)
    place = _iota(rows)

    def step(k: Any, a: Any, pivots: Any, order: Any) -> Any:
        size = _taxicab(_column(a, k))
        best = ops.argmax(_where(place >= k, size, -1), 0, np.int32)
        swap = _where(place == k, ops.broadcast_in_dim(best, (rows,), ()), place)
        swap = _where(place == best, ops.broadcast_in_dim(_as(k, place), (rows,), ()), swap)
        a, order = a[swap], order[swap]
        pivot = _row(_row(a, k), k)
        column = _column(a, k)
        factor = _where((place > k) & (pivot != 0), column / pivot, 0)
        row = _where(_iota(columns) > k, _row(a, k), 0)
        a = a - factor[:, None] * row[None, :]
        a = _with_column(a, _where((place > k) & (pivot != 0), factor, column), k)
        return a, _with_element(pivots, best, k), order

    return _for_each(rank, step, (a, ops.full((rank,), 0, np.int32), place))


def update_cholesky(r: Any, w: Any) -> Any:
    """The upper triangular factor of `rᵀ r + w wᵀ`: plane rotations bring w into r row by row."""

    def step(k: Any, r: Any, w: Any) -> Any:
        row = _row(r, k)
        x, y = _row(row, k), _row(w, k)
        squares = x * x + y * y
        size = ops.sqrt(_where(squares != 0, squares, 1))
        cosine = _where(squares != 0, x / size, 1)
        sine = _where(squares != 0, y / size, 0)
        return ops.dynamic_update_index_in_dim(r, cosine * row + sine * w, k, 0), cosine * w - sine * row

    r = triangle(r, lower=False)
    return triangle(_for_each(shape_of(r)[0], step, (r, w))[0], lower=False)


def solve_tridiagonal(dl: Any, d: Any, du: Any, b: Any) -> Any:
    """Gaussian elimination with partial pivoting, as LAPACK's gtsv, then back substitution.

    Of the row that still has to eliminate, three elements may differ from zero: its own column's, and
    two to the right.
    """
    size = shape_of(d)[0]
    if size == 0:
        return b
    zero = ops.full((), 0, aval_of(d).dtype)

    def eliminate(pivot: Any, row: Any) -> Any:
        (p0, p1, p2, pb), (below, own, above, side) = pivot, row
        swap = ops.abs(below) > ops.abs(p0)
        first = [_where(swap, x, y) for x, y in ((below, p0), (own, p1), (above, p2))]
        second = [_where(swap, y, x) for x, y in ((below, p0), (own, p1), (above, p2))]
        wide = ops.broadcast_in_dim(swap, shape_of(pb), ())
        first_side, second_side = _where(wide, side, pb), _where(wide, pb, side)
        factor = second[0] / first[0]
        rest = second[1] - factor * first[1], second[2] - factor * first[2], zero
        return (*rest, second_side - factor * first_side), (*first, first_side)

    start = d[0], (du[0] if size > 1 else zero), zero, b[0]
    above = ops.concatenate([du[:-1], zero[None]], 0)
    last, done = ops.scan(eliminate, start, (dl[1:], d[1:], above[1:], b[1:]))
    rows = [ops.concatenate([x, y[None]], 0) for x, y in zip(done, last, strict=True)]

    def substitute(known: Any, row: Any) -> Any:
        (next_one, one_after), (p0, p1, p2, side) = known, row
        x = (side - p1 * next_one - p2 * one_after) / p0
        return (x, next_one), x

    nothing = ops.full_like(b[0], 0)
    return ops.scan(substitute, (nothing, nothing), tuple(rows), reverse=True)[1]


# --- polar decomposition --------------------------------------------------------------------------


def _halley_weights(eps: float, steps: int) -> list[tuple[float, float, float]]:
    """The weights (a, b, c) of each step of the dynamically weighted Halley iteration.

    They follow from a lower bound of the singular values alone, so they are known beforehand.
    """
    bound, weights = eps, list[tuple[float, float, float]]()
    while len(weights) < steps and abs(1 - bound) > 5 * eps:
        square = bound * bound
        d = (4 * (1 / square - 1) / square) ** (1 / 3)
        root = math.sqrt(1 + d)
        a = root + math.sqrt(2 - d + 2 * (2 - square) / (square * root))
        b = (a - 1) ** 2 / 4
        c = a + b - 1
        bound = min(bound * (a + b * square) / (1 + c * square), 1.0)
        weights.append((a, b, c))
    return weights


def _halley_step(u: Any, a: float, b: float, c: float) -> Any:
    columns = shape_of(u)[-1]
    eye = _eye(columns, columns, aval_of(u).dtype)
    if c > 100:  # early on the QR decomposition is needed for stability
        tall = ops.concatenate([u * math.sqrt(c), eye], 0)
        q, _ = ops.linalg.qr(tall, full_matrices=False)
        rows = shape_of(u)[0]
        turned = matmul(q[:rows], adjoint(q[rows:])) * ((a - b / c) / math.sqrt(c))
    else:
        factor = ops.linalg.cholesky(eye + matmul(adjoint(u), u) * c, symmetrize_input=False)
        solve = functools.partial(ops.linalg.triangular_solve, factor, lower=True)
        turned = solve(solve(u, transpose_a=True, conjugate_a=True)) * (a - b / c)
    return u * (b / c) + turned


def qdwh(x: Any, *, is_hermitian: bool, max_iterations: int, eps: float) -> tuple[Any, Any, Any, Any]:
    """Polar decomposition `x = u @ h` of a matrix with at least as many rows as columns.

    Returns:
      u, h, the number of steps, and whether the last one hardly changed u.
    """
    size = ops.abs(x)
    norm = ops.sqrt(
        ops.reduce_max(ops.reduce_sum(size, (0,)), (0,)) * ops.reduce_max(ops.reduce_sum(size, (1,)), (0,))
    )
    u = x / _as(_where(norm > 0, norm, 1), x)
    machine = float(dtypes.finfo(aval_of(norm).dtype).eps)
    weights = _halley_weights(machine, max_iterations)
    before = u
    for weight in weights:
        before, u = u, _halley_step(u, *weight)
        if is_hermitian:
            u = (u + adjoint(u)) / 2
    change = ops.reduce_sum(_squares(u - before), (0, 1))
    limit = ops.reduce_sum(_squares(u), (0, 1)) * (5 * eps) ** (2 / 3)
    u = u * 1.5 - matmul(u, matmul(adjoint(u), u)) * 0.5  # one step of Newton and Schulz mends rounding
    h = matmul(adjoint(u), x)
    return u, (h + adjoint(h)) / 2, ops.full((), len(weights), np.int32), change <= limit


def refined_eigh(x: Any, v: Any, *, lower: bool) -> list[Any]:
    """Eigenvectors that are right to half of the digits, and their eigenvalues, right to all of them.

    Source: Ogita and Aishima, "Iterative refinement for symmetric eigenvalue decomposition" (2018).
    """
    size = shape_of(x)[0]
    inner = triangle(x, lower, -1 if lower else 1)
    x = inner + adjoint(inner) + _real(x) * _eye(size, size, aval_of(x).dtype)
    error = _eye(size, size, aval_of(x).dtype) - matmul(adjoint(v), v)
    within = matmul(adjoint(v), matmul(x, v))
    w = ops.reduce_sum(_real(within) * _eye(size, size, aval_of(_real(x)).dtype), (0,))
    apart = w[None, :] - w[:, None]
    off = within - within * _eye(size, size, aval_of(x).dtype)
    # Eigenvectors of eigenvalues that cannot be told apart are kept as they are, but for their lengths.
    told = ops.abs(apart) > 2 * ops.sqrt(ops.reduce_sum(_squares(off), (0, 1)))
    turned = (off + error * w[None, :]) / ops.convert_element_type(_where(told, apart, 1), aval_of(x).dtype)
    v = v + matmul(v, ops.select(told, turned, error / 2))
    w = ops.reduce_sum(_real(conj(v) * matmul(x, v)), (0,))
    return [v, w]


def polar_svd(x: Any, *, full_matrices: bool, compute_uv: bool) -> list[Any]:
    """Singular values and vectors: of x = u h with the eigenvectors v of h they are u v and v."""
    rows, columns = shape_of(x)
    if rows < columns:
        s, *vectors = polar_svd(adjoint(x), full_matrices=full_matrices, compute_uv=compute_uv)
        return [s, adjoint(vectors[1]), adjoint(vectors[0])] if compute_uv else [s]
    if columns == 0:
        real = ops.full((0,), 0, aval_of(_real(x)).dtype)
        left = rows if full_matrices else 0
        return [real, _eye(rows, left, aval_of(x).dtype), x[:0, :]] if compute_uv else [real]
    outer = None
    if rows > columns:
        outer, r = ops.linalg.qr(x, full_matrices=full_matrices)
        x = r[:columns]
    u, h, *_ = qdwh(x, is_hermitian=False, max_iterations=10, eps=float(dtypes.finfo(aval_of(x).dtype).eps))
    v, w = ops.linalg.eigh(h, symmetrize_input=False)
    s = ops.abs(ops.rev(w, (0,)))
    if not compute_uv:
        return [s]
    v = ops.rev(v, (1,))
    # Where singular values vanish so do columns of u v: the QR decomposition fills them in.
    left, r = ops.linalg.qr(matmul(u, v), full_matrices=False)
    signs = ops.reduce_sum(r * _eye(columns, columns, aval_of(r).dtype), (0,))
    left = left * _where(signs != 0, ops.sign(signs), 1)
    if outer is not None:
        inside = matmul(outer[:, :columns], left)
        left = ops.concatenate([inside, outer[:, columns:]], 1) if full_matrices else inside
    return [s, left, swap_last(conj(v))]
