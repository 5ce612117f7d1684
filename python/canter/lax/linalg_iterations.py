"""Schur decompositions and eigenvalues by Francis' QR iteration, where there is no library.

A step of the iteration is a reflector that begins a bulge, and a reduction to Hessenberg form that chases
it away. That costs more than chasing it alone does, but the reduction is a program that there is already.

Source: Golub and Van Loan, Matrix Computations (2013), section 7.5. Single matrices throughout.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .common import ops
from .linalg_algorithms import apply_reflectors, hessenberg, reflector
from .linalg_derivatives import adjoint, conj, is_complex, matmul, triangle
from .linalg_schur import (
    beside,
    diagonal,
    has_pair,
    to_complex_schur,
    triangular_eigenvectors,
    tridiagonal_matrix,
)
from .shapes import aval_of, shape_of

__all__ = ["plain_eig", "plain_schur"]

_STEPS_FOR_EACH = 30  # after as many steps for each eigenvalue the iteration gives up, as LAPACK's does


def plain_schur(
    x: Any, *, compute_schur_vectors: bool, sort_eig_vals: bool = False, select_callable: Any = None
) -> list[Any]:
    """The Schur form, real for a real matrix, and its vectors."""
    size = shape_of(x)[0]
    z = _eye(size, x)
    if size > 1:
        x, z = _reduced(x, z)
        x, z, left = ops.while_loop(_unfinished, _step, (x, z, ops.full((), 0, np.int32)))
        failed = left >= _STEPS_FOR_EACH * size
        if not is_complex(x):
            x, z = _standardized(x, z)
        x, z = (
            ops.select(ops.broadcast_in_dim(failed, shape_of(x), ()), ops.full_like(x, np.nan), v)
            for v in (x, z)
        )
    return [x, z] if compute_schur_vectors else [x]


def plain_eig(
    x: Any, *, compute_left_eigenvectors: bool, compute_right_eigenvectors: bool, **_: Any
) -> list[Any]:
    """Eigenvalues, and the left and right eigenvectors that are wanted, of unit length."""
    t, z = to_complex_schur(*plain_schur(x, compute_schur_vectors=True))
    results = [diagonal(t)]
    if not (compute_left_eigenvectors or compute_right_eigenvectors):
        return results
    vectors = triangular_eigenvectors(t)
    if compute_left_eigenvectors:
        solve = ops.linalg.triangular_solve
        inverse = solve(vectors, _eye(shape_of(t)[0], t), left_side=True, unit_diagonal=True)
        results.append(_normalized(matmul(z, adjoint(inverse))))
    if compute_right_eigenvectors:
        results.append(_normalized(matmul(z, vectors)))
    return results


def _normalized(vectors: Any) -> Any:
    """Columns of unit length."""
    length = ops.sqrt(ops.reduce_sum(ops.real(vectors * conj(vectors)), (0,)))
    return vectors / ops.convert_element_type(length, aval_of(vectors).dtype)


def _eye(size: int, like: Any) -> Any:
    index = ops.iota(np.int32, size)
    return ops.convert_element_type(index[:, None] == index[None, :], aval_of(like).dtype)


def _reduced(x: Any, z: Any) -> tuple[Any, Any]:
    """The Hessenberg form of x, and z times what leads to it."""
    packed, taus = hessenberg(x)
    turned = apply_reflectors(packed[1:, :-1], taus, z[:, 1:], left=False)
    return triangle(packed, lower=False, offset=-1), ops.concatenate([z[:, :1], turned], 1)


def _joined_rows(x: Any) -> Any:
    """For each row, whether it is tied to the one before it by an element that does not vanish."""
    return ops.concatenate([ops.full((1,), False, np.bool_), has_pair(x)], 0)


def _last_active(x: Any) -> Any:
    """The last row of the last block that has to be taken apart; 0 where there is none.

    Of real matrices blocks of two rows may stay.
    """
    tied = _joined_rows(x)
    if not is_complex(x):
        tied = tied & ops.concatenate([ops.full((1,), False, np.bool_), tied[:-1]], 0)
    index = ops.iota(np.int32, shape_of(x)[0])
    return ops.reduce_max(ops.select(tied, index, ops.full_like(index, 0)), (0,))


def _unfinished(state: Any) -> Any:
    x, _, count = state
    return (_last_active(x) > 0) & (count < _STEPS_FOR_EACH * shape_of(x)[0])


def _step(state: Any) -> Any:
    x, z, count = state
    size = shape_of(x)[0]
    index = ops.iota(np.int32, size)
    below = index[:, None] == index[None, :] + 1
    x = ops.select(below & ~_joined_rows(x)[:, None], ops.full_like(x, 0), x)
    last = _last_active(x)
    starts = ~_joined_rows(x) & (index <= last)
    first = ops.reduce_max(ops.select(starts, index, ops.full_like(index, 0)), (0,))
    inside = (index >= first) & (index <= last)
    window = ops.select(inside[:, None] & inside[None, :], x, ops.full_like(x, 0))
    column = ops.dynamic_index_in_dim(window, first, 1, keepdims=False)
    unit = ops.convert_element_type(index == first, aval_of(x).dtype)
    corner = ops.dynamic_slice(x, (last - 1, last - 1), (2, 2))
    strange = (count % 10) == 9  # now and then another shift, lest the iteration run in circles
    if is_complex(x):
        shift = _nearer_eigenvalue(corner)
        odd = corner[1, 1] + ops.convert_element_type(ops.abs(corner[1, 0]), aval_of(x).dtype)
        begin = column - ops.select(strange, odd, shift) * unit
    else:
        trace, product = (
            corner[0, 0] + corner[1, 1],
            corner[0, 0] * corner[1, 1] - corner[0, 1] * corner[1, 0],
        )
        far = ops.abs(corner[1, 0]) + ops.abs(corner[0, 0])
        trace, product = ops.select(strange, 1.5 * far, trace), ops.select(strange, far * far, product)
        begin = matmul(window, column[:, None])[:, 0] - trace * column + product * unit
    _, tau, v = reflector(begin, first)
    row = conj(v)[None, :]
    x = x - conj(tau) * v[:, None] * matmul(row, x)
    x = x - tau * matmul(x, v[:, None]) * row
    z = z - tau * matmul(z, v[:, None]) * row
    return (*_reduced(x, z), count + 1)


def _nearer_eigenvalue(corner: Any) -> Any:
    """The eigenvalue of a matrix of two rows that is nearer to its last element."""
    half = (corner[0, 0] - corner[1, 1]) / 2
    root = ops.sqrt(half * half + corner[0, 1] * corner[1, 0])
    farther = ops.abs(half + root) > ops.abs(half - root)
    return corner[1, 1] + ops.select(farther, half - root, half + root)


def _standardized(t: Any, z: Any) -> tuple[Any, Any]:
    """Brings blocks of two rows to LAPACK's form: triangular, or with equal elements on the diagonal."""
    pair = has_pair(t)
    middle, under, over = diagonal(t), beside(t, -1), beside(t, 1)
    half = (middle[:-1] - middle[1:]) / 2
    inner = half * half + under * over
    root = ops.sqrt(ops.max(inner, ops.full_like(inner, 0)))
    mu = half + ops.select(half < 0, -root, root)
    angle = ops.select(inner >= 0, ops.atan2(under, mu), ops.atan2(-2 * half, under + over) / 2)
    angle = ops.select(pair, angle, ops.full_like(angle, 0))
    one = ops.full((1,), 1, aval_of(t).dtype)
    cosine, sine = ops.cos(angle), ops.sin(angle)
    around = ops.concatenate([cosine, one], 0) * ops.concatenate([one, cosine], 0)
    rotation = tridiagonal_matrix(sine, around, -sine)
    t, z = matmul(adjoint(rotation), matmul(t, rotation)), matmul(z, rotation)
    keep = tridiagonal_matrix(
        pair & (inner < 0), ops.full_like(middle, True, np.bool_), ops.full_like(pair, True)
    )
    return ops.select(keep, t, triangle(t, lower=False)), z
