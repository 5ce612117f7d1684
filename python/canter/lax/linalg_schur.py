"""Schur decompositions, their complex form, and their derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.primitive import Primitive
from .common import ops
from .linalg_algorithms import batched
from .linalg_derivatives import adjoint, is_complex, matmul, triangle
from .linalg_primitives import check_matrix, matrix_primitive, sized
from .shapes import aval_of, shape_of

__all__ = ["schur", "schur_p", "to_complex_schur", "triangular_eigenvectors"]


def _schur_shapes(x: Any, *, compute_schur_vectors: bool, **_: Any) -> list[Any]:
    check_matrix("schur", x, square=True)
    return [sized(x, *x.shape[-2:])] * (2 if compute_schur_vectors else 1)


def _schur_jvp(primitive: Primitive, primals: Any, tangents: Any, params: Any) -> tuple[Any, Any]:
    t, z = primitive.bind(*primals, **{**params, "compute_schur_vectors": True})
    rotated = matmul(adjoint(z), matmul(tangents[0], z))
    change, turn = batched(schur_tangents, 2, t, rotated)
    if not params["compute_schur_vectors"]:
        return [t], [change]
    return [t, z], [change, matmul(z, turn)]


schur_p = matrix_primitive("schur", _schur_shapes, multiple_results=True, jvp=_schur_jvp)


def schur(
    x: Any,
    *,
    compute_schur_vectors: bool = True,
    sort_eig_vals: bool = False,
    select_callable: Callable[..., Any] | None = None,
) -> tuple[Any, ...]:
    """Schur decomposition: `x = vs @ t @ vs.conj().T` with (quasi) triangular t.

    Args:
      x: matrices, shape `(..., n, n)`, floating or complex.
      compute_schur_vectors: whether vs is wanted.
      sort_eig_vals: not supported, must be False.
      select_callable: not supported, must be None.

    Returns:
      t, and vs if wanted.

    Raises:
      ValueError: the matrices are not square.
      NotImplementedError: an order of eigenvalues is asked for.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.linalg.schur(cnp.eye(2))[0].tolist()
      [[1.0, 0.0], [0.0, 1.0]]
    """
    if sort_eig_vals or select_callable is not None:
        raise NotImplementedError(
            "schur cannot order the eigenvalues; leave out sort_eig_vals and select_callable."
        )
    return tuple(
        schur_p.bind(
            x, compute_schur_vectors=bool(compute_schur_vectors), sort_eig_vals=False, select_callable=None
        )
    )


# --- quasi-triangular matrices --------------------------------------------------------------------
#
# The real form has blocks of two rows for pairs of complex eigenvalues. Blocks do not overlap, so that all
# of them are treated at once. Single matrices from here on.


def beside(x: Any, offset: int) -> Any:
    """The diagonal next to the main one: below for -1, above for 1."""
    size = shape_of(x)[0]
    index = np.arange(max(size - 1, 0))
    return x[index + 1, index] if offset < 0 else x[index, index + 1]


def diagonal(x: Any) -> Any:
    index = np.arange(shape_of(x)[0])
    return x[index, index]


def tridiagonal_matrix(below: Any, middle: Any, above: Any) -> Any:
    size = shape_of(middle)[0]
    index = np.arange(max(size - 1, 0))
    matrix = ops.full((size, size), 0, aval_of(middle).dtype)
    matrix = matrix.at[np.arange(size), np.arange(size)].set(middle)
    return matrix.at[index + 1, index].set(below).at[index, index + 1].set(above)


def has_pair(t: Any) -> Any:
    """For each diagonal element but the last, whether it begins a block of two rows."""
    size = ops.abs(diagonal(t))
    eps = float(dtypes.finfo(aval_of(t).dtype).eps)
    return ops.abs(beside(t, -1)) > eps * (size[:-1] + size[1:])


def _where(condition: Any, x: Any, number: float) -> Any:
    return ops.select(condition, x, ops.full_like(x, number))


def _rotation(t: Any) -> Any:
    """The unitary matrix, of blocks, that makes a quasi-triangular matrix triangular."""
    pair = has_pair(t)
    complex_dtype = dtypes.to_complex_dtype(aval_of(t).dtype)
    t = ops.convert_element_type(t, complex_dtype)
    middle, below, above = diagonal(t), beside(t, -1), beside(t, 1)
    # Elsewhere numbers stand in with which all derivatives are finite.
    half, below, above = (_where(pair, x, 1) for x in ((middle[:-1] - middle[1:]) / 2, below, above))
    mu = half + ops.sqrt(half * half + below * above)  # the first eigenvalue less the second element
    squares = ops.real(mu * ops.conj(mu)) + ops.real(below * ops.conj(below))
    length = ops.convert_element_type(ops.sqrt(squares), complex_dtype)
    cosine, sine = _where(pair, mu / length, 1), _where(pair, below / length, 0)
    end = ops.full((1,), 1, complex_dtype)
    around = ops.concatenate([cosine, end], 0) * ops.concatenate([end, ops.conj(cosine)], 0)
    return tridiagonal_matrix(sine, around, -ops.conj(sine))


def to_complex_schur(t: Any, z: Any) -> tuple[Any, Any]:
    """The complex Schur form of what a real one decomposes.

    Args:
      t: quasi-triangular, shape (n, n).
      z: the vectors that belong to it.
    """
    if shape_of(t)[0] == 0:
        dtype = dtypes.to_complex_dtype(aval_of(t).dtype)
        return ops.convert_element_type(t, dtype), ops.convert_element_type(z, dtype)
    rotation = _rotation(t)
    t, z = (ops.convert_element_type(x, aval_of(rotation).dtype) for x in (t, z))
    return triangle(matmul(adjoint(rotation), matmul(t, rotation)), lower=False), matmul(z, rotation)


def triangular_eigenvectors(t: Any) -> Any:
    """The eigenvectors of an upper triangular matrix in the order of its diagonal, with ones on theirs.

    Eigenvalues that coincide are taken to differ by rounding, as LAPACK does.
    """
    size = shape_of(t)[0]
    if size == 0:
        return t
    index = ops.iota(np.int32, size)
    on = index[:, None] == index[None, :]
    eye = ops.convert_element_type(on, aval_of(t).dtype)
    magnitude = ops.reduce_max(ops.abs(t), (0, 1)) * float(dtypes.finfo(aval_of(t).dtype).eps)
    least = ops.convert_element_type(magnitude + float(dtypes.finfo(aval_of(t).dtype).tiny), aval_of(t).dtype)

    def vector(j: Any) -> Any:
        before = index < j
        column = ops.dynamic_index_in_dim(t, j, 1, keepdims=False)
        shifted = t - ops.dynamic_index_in_dim(column, j, 0, keepdims=False) * eye
        shifted = ops.select(on & (ops.abs(shifted) < ops.abs(least)), least * eye, shifted)
        system = ops.select(before[:, None] & before[None, :], shifted, eye)
        side = ops.select(before, -column, ops.convert_element_type(index == j, aval_of(t).dtype))
        return ops.linalg.triangular_solve(system, side[:, None], left_side=True)[:, 0]

    return ops.transpose(ops.map(vector, index), (1, 0))


def schur_tangents(t: Any, x: Any) -> tuple[Any, Any]:
    """With X = Zᴴ dA Z: the dT, of the form of T, and the skew Ω with X = Ω T + dT - T Ω; dZ = Z Ω.

    What is below the diagonal of X determines what is there of Ω. The eigenvectors S of T turn that
    equation into a division: both sides of S⁻¹ (·) S differ above the diagonal only. Phases of complex
    vectors do not turn. In a real block of two rows the diagonal elements stay equal.
    """
    size = shape_of(t)[0]
    if size == 0:
        return x, x
    real = not is_complex(t)
    index = ops.iota(np.int32, size)
    below = index[:, None] > index[None, :]
    pair = has_pair(t) if real else ops.full((size - 1,), False, np.bool_)
    if real:
        inside = tridiagonal_matrix(pair, ops.full((size,), False, np.bool_), ops.full_like(pair, False))
        below = below & ~inside
    rotation = _rotation(t) if real else None
    triangular = t
    if rotation is not None:
        wide = ops.convert_element_type(t, aval_of(rotation).dtype)
        triangular = triangle(matmul(adjoint(rotation), matmul(wide, rotation)), lower=False)
    vectors = triangular_eigenvectors(triangular)
    values = diagonal(triangular)
    turned = ops.convert_element_type(x, aval_of(vectors).dtype)
    if rotation is not None:
        turned = matmul(adjoint(rotation), matmul(turned, rotation))
    solve = ops.linalg.triangular_solve
    turned = matmul(solve(vectors, turned, left_side=True, unit_diagonal=True), vectors)
    gaps = values[None, :] - values[:, None]
    lower = ops.convert_element_type(below, aval_of(turned).dtype)
    turned = turned * lower / ops.select(below, gaps, ops.full_like(gaps, 1))
    strict = solve(vectors, matmul(vectors, turned), unit_diagonal=True)
    if rotation is not None:
        strict = ops.real(matmul(rotation, matmul(strict, adjoint(rotation))))
    strict = ops.select(below, strict, ops.full_like(strict, 0))
    turn = strict - adjoint(strict)
    change = x - matmul(turn, t) + matmul(t, turn)
    if real:
        both = beside(t, -1) + beside(t, 1)
        uneven = pair & (both != 0)
        gap = diagonal(change)[1:] - diagonal(change)[:-1]
        angle = ops.select(
            uneven, gap / ops.select(uneven, 2 * both, ops.full_like(both, 1)), ops.full_like(gap, 0)
        )
        turn = turn + tridiagonal_matrix(angle, ops.full((size,), 0, aval_of(t).dtype), -angle)
        change = x - matmul(turn, t) + matmul(t, turn)
    return ops.select(below, ops.full_like(change, 0), change), turn
