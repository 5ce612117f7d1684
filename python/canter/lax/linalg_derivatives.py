"""Derivatives of the matrix decompositions.

Each follows from differentiating the equation that defines the decomposition; see Giles (2008), "An
extended collection of matrix derivative results", and Murray (2016), "Differentiation of the
Cholesky decomposition". Matrices stand along the last two axes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import dtypes
from ..core.dimensions import min_dim
from ..core.primitive import Primitive
from ..transforms.rules import Zero, add_tangents, instantiate_zeros, is_undefined_primal
from .common import const, ops
from .gathering import GatherDimensionNumbers, gather
from .products import Precision, batch_matmul
from .shapes import aval_of, expand_dims, shape_of, transpose

# ----------------------------------------------------------------------------------------------
# small matrix algebra


def swap_last(x: Any) -> Any:
    """Transposes matrices."""
    ndim = len(shape_of(x))
    return transpose(x, (*range(ndim - 2), ndim - 1, ndim - 2))


def is_complex(x: Any) -> bool:
    """True when the dtype is complex."""
    return dtypes.issubdtype(aval_of(x).dtype, np.complexfloating)


def conj(x: Any) -> Any:
    """The complex conjugate; x itself where it is real."""
    return ops.conj(x) if is_complex(x) else x


def adjoint(x: Any) -> Any:
    """Transposes and conjugates matrices."""
    return conj(swap_last(x))


def matmul(x: Any, y: Any) -> Any:
    """Product of matrices in full precision."""
    return batch_matmul(x, y, Precision.HIGHEST)


def _index_grids(shape: tuple[int, ...]) -> tuple[Any, Any]:
    """For matrices of a shape, the number of the row and of the column of each element."""
    ndim = len(shape)
    return ops.broadcasted_iota(np.int32, shape, ndim - 2), ops.broadcasted_iota(np.int32, shape, ndim - 1)


def triangle(x: Any, lower: bool, offset: int = 0) -> Any:
    """Zeros outside of one triangle; `offset` moves its diagonal (-1 with lower: the strict one)."""
    rows, columns = _index_grids(shape_of(x))
    if offset:
        rows = ops.add(rows, const(rows, offset))
    keep = ops.ge(rows, columns) if lower else ops.le(rows, columns)
    return ops.select_n(keep, ops.full_like(x, 0), x)


def _hermitian(x: Any, lower: bool) -> Any:
    """The Hermitian matrix of which one triangle is given: the other one is not read."""
    diagonal = _only_diagonal(x)
    if is_complex(x):
        diagonal = ops.complex(ops.real(diagonal), ops.full_like(ops.real(diagonal), 0))
    strict = triangle(x, lower, -1 if lower else 1)
    return ops.add(ops.add(strict, adjoint(strict)), diagonal)


def _scale_diagonal(x: Any, factor: float) -> Any:
    rows, columns = _index_grids(shape_of(x))
    return ops.select_n(ops.eq(rows, columns), x, ops.mul(x, const(x, factor)))


def _eye(like: Any, rows: int, columns: int) -> Any:
    shape = (*shape_of(like)[:-2], rows, columns)
    return ops.convert_element_type(ops.eq(*_index_grids(shape)), aval_of(like).dtype)


def _diagonal(x: Any) -> Any:
    """The diagonals of square matrices, as vectors."""
    return ops.reduce_sum(_only_diagonal(x), (len(shape_of(x)) - 1,))


def _only_diagonal(x: Any) -> Any:
    rows, columns = _index_grids(shape_of(x))
    return ops.select_n(ops.eq(rows, columns), ops.full_like(x, 0), x)


def as_rows(v: Any, shape: tuple[int, ...]) -> Any:
    """A vector repeated as each row of matrices."""
    return ops.broadcast_in_dim(v, shape, (*range(len(shape) - 2), len(shape) - 1))


def as_columns(v: Any, shape: tuple[int, ...]) -> Any:
    """A vector repeated as each column of matrices."""
    return ops.broadcast_in_dim(v, shape, tuple(range(len(shape) - 1)))


def _cast(x: Any, like: Any) -> Any:
    return ops.convert_element_type(x, aval_of(like).dtype)


def _solve_triangular(a: Any, b: Any, **options: Any) -> Any:
    return ops.linalg.triangular_solve(a, b, **options)


def solve(a: Any, b: Any) -> Any:
    """Solves `a @ x = b` for square matrices a."""
    factors, _, permutation = ops.linalg.lu(a)
    b = _permute_rows(b, permutation)
    b = _solve_triangular(factors, b, left_side=True, lower=True, unit_diagonal=True)
    return _solve_triangular(factors, b, left_side=True)


def _permute_rows(x: Any, permutation: Any) -> Any:
    """Row i of the result is row `permutation[i]` of x."""
    shape = shape_of(x)
    batch = tuple(range(len(shape) - 2))
    row = len(batch)
    numbers = GatherDimensionNumbers(
        offset_dims=(row + 1,),
        collapsed_slice_dims=(row,),
        start_index_map=(row,),
        operand_batching_dims=batch,
        start_indices_batching_dims=batch,
    )
    sizes = (*(min(1, n) for n in shape[:-1]), shape[-1])
    return gather(x, expand_dims(permutation, (-1,)), numbers, sizes)


def _no_tangents(outs: Any) -> list[Any]:
    return [Zero.from_primal_value(out) for out in outs]


# ----------------------------------------------------------------------------------------------
# Cholesky and triangular systems


def cholesky_jvp(primitive: Primitive, primals: Any, tangents: Any, params: Any) -> tuple[Any, Any]:
    """dL = L Φ(L⁻¹ dA L⁻ᴴ), where Φ takes the lower triangle and halves the diagonal."""
    factor = triangle(primitive.bind(*primals), lower=True)
    right = _solve_triangular(
        factor, _hermitian(tangents[0], lower=True), lower=True, transpose_a=True, conjugate_a=True
    )
    middle = _solve_triangular(factor, right, left_side=True, lower=True)
    return factor, matmul(factor, _scale_diagonal(triangle(middle, lower=True), 0.5))


def cholesky_update_jvp(primitive: Primitive, primals: Any, tangents: Any, params: Any) -> tuple[Any, Any]:
    """dR = Φ(R⁻ᵀ d(RᵀR) R⁻¹) R, where Φ takes the upper triangle and halves the diagonal."""
    r, w = primals
    dr, dw = map(instantiate_zeros, tangents)
    factor = primitive.bind(r, w)
    outer = ops.mul(as_columns(w, shape_of(r)), as_rows(dw, shape_of(r)))
    half = ops.add(matmul(swap_last(triangle(r, lower=False)), triangle(dr, lower=False)), outer)
    change = ops.add(half, swap_last(half))
    left = _solve_triangular(factor, change, left_side=True, transpose_a=True)
    middle = _solve_triangular(factor, left)
    return factor, matmul(_scale_diagonal(triangle(middle, lower=False), 0.5), factor)


def triangular_solve_jvp(primitive: Primitive, primals: Any, tangents: Any, params: Any) -> tuple[Any, Any]:
    """op(a) dx = db - op(da) x, and likewise from the right."""
    a, b = primals
    a_tangent, b_tangent = tangents
    x = primitive.bind(a, b, **params)
    side = b_tangent
    if type(a_tangent) is not Zero:
        change = triangle(a_tangent, params["lower"], _strict(params))
        if params["transpose_a"]:
            change = swap_last(change)
        if params["conjugate_a"]:
            change = conj(change)
        term = ops.neg(matmul(change, x) if params["left_side"] else matmul(x, change))
        side = term if type(side) is Zero else add_tangents(side, term)
    if type(side) is Zero:
        return x, Zero.from_primal_value(x)
    return x, primitive.bind(a, side, **params)


def _strict(params: Any) -> int:
    if not params["unit_diagonal"]:
        return 0
    return -1 if params["lower"] else 1


def triangular_solve_transpose(ct: Any, a: Any, b: Any, *, transpose_a: bool, **params: Any) -> list[Any]:
    """The transpose of the inverse is the inverse of the transpose."""
    if is_undefined_primal(a):
        raise TypeError("triangular_solve is linear in b only.")
    if type(ct) is Zero:
        return [None, Zero(b.aval)]
    return [None, ops.linalg.triangular_solve_p.bind(a, ct, transpose_a=not transpose_a, **params)]


def tridiagonal_solve_jvp(primitive: Primitive, primals: Any, tangents: Any, params: Any) -> tuple[Any, Any]:
    """T dx = db - dT x."""
    diagonals, b = primals[:3], primals[3]
    x = primitive.bind(*diagonals, b, **params)
    side = tangents[3]
    for tangent, by in zip(tangents[:3], (1, 0, -1), strict=True):
        if type(tangent) is not Zero:
            term = ops.neg(ops.mul(as_columns(tangent, shape_of(x)), _shift_rows(x, by)))
            side = term if type(side) is Zero else add_tangents(side, term)
    if type(side) is Zero:
        return x, Zero.from_primal_value(x)
    return x, primitive.bind(*diagonals, side, **params)


def _shift_rows(x: Any, by: int, axis: int = -2) -> Any:
    """Moves elements along an axis, with zeros behind them."""
    if by == 0:
        return x
    ndim = len(shape_of(x))
    config = [(0, 0, 0)] * ndim
    config[axis] = (by, -by, 0)
    return ops.pad(x, aval_of(x).dtype.type(0), config)


def tridiagonal_solve_transpose(ct: Any, dl: Any, d: Any, du: Any, b: Any, **params: Any) -> list[Any]:
    """Transposing exchanges the diagonals below and above, each a place further."""
    if any(map(is_undefined_primal, (dl, d, du))):
        raise TypeError("tridiagonal_solve is linear in b only.")
    if type(ct) is Zero:
        return [None, None, None, Zero(b.aval)]
    below, above = _shift_rows(du, 1, -1), _shift_rows(dl, -1, -1)
    return [None, None, None, ops.linalg.tridiagonal_solve_p.bind(below, d, above, ct, **params)]


def symmetric_product_jvp(primitive: Primitive, primals: Any, tangents: Any, params: Any) -> tuple[Any, Any]:
    """alpha (da aᵀ + a daᵀ) + beta dc"""
    a, c = primals
    out = primitive.bind(a, c, **params)
    a_tangent, c_tangent = map(instantiate_zeros, tangents)
    half = matmul(a_tangent, swap_last(a))
    change = ops.mul(ops.add(half, swap_last(half)), const(half, params["alpha"]))
    return out, ops.add(change, ops.mul(c_tangent, const(c_tangent, params["beta"])))


# ----------------------------------------------------------------------------------------------
# LU and QR


def lu_jvp(primitive: Primitive, primals: Any, tangents: Any, params: Any) -> tuple[Any, Any]:
    """With F = L⁻¹ P dA U⁻¹: dL = L tril(F, -1), dU = triu(F) U.

    A factor that is not square is completed by rows and columns of the identity.
    """
    factors, pivots, permutation = primitive.bind(*primals)
    rows, columns = shape_of(factors)[-2:]
    rank = min_dim(rows, columns)
    left = triangle(_resize(factors, rows, rows), lower=True, offset=-1)
    left = ops.add(left, _eye(left, rows, rows))
    upper = triangle(_resize(factors, columns, columns), lower=False)
    if columns > rank:
        upper = ops.select_n(_beyond(upper, rank), upper, _eye(upper, columns, columns))
    change = _permute_rows(tangents[0], permutation)
    change = _solve_triangular(left, change, left_side=True, lower=True, unit_diagonal=True)
    change = _solve_triangular(upper, change)
    lower_part = matmul(left, triangle(change, lower=True, offset=-1))
    upper_part = matmul(triangle(change, lower=False), upper)
    tangent = ops.add(lower_part, upper_part)
    return [factors, pivots, permutation], [tangent, *_no_tangents([pivots, permutation])]


def _resize(x: Any, rows: int, columns: int) -> Any:
    """Brings matrices to a size: cuts rows and columns off at the end, or adds zeros there."""
    shape = shape_of(x)
    have_rows, have_columns = shape[-2:]
    config = [(0, 0, 0)] * (len(shape) - 2)
    config += [(0, rows - have_rows, 0), (0, columns - have_columns, 0)]
    return ops.pad(x, aval_of(x).dtype.type(0), config)


def _beyond(x: Any, rank: int) -> Any:
    """Where the row is beyond the rank."""
    rows, _ = _index_grids(shape_of(x))
    return ops.ge(rows, const(rows, rank))


def qr_jvp(primitive: Primitive, primals: Any, tangents: Any, params: Any) -> tuple[Any, Any]:
    """dQ = Q Ω + (1 - Q Qᴴ) dA R⁻¹ with skew Ω, and dR = Qᴴ (dA - dQ R).

    Ω is what makes Qᴴ dA R⁻¹ - Ω upper triangular. Of a wide matrix the first columns determine Q.
    With full matrices the columns of Q that A does not determine turn as little as possible. With
    pivoting A's columns are permuted, and the permutation is locally constant.
    """
    q, r, *order = primitive.bind(*primals, **params)
    change = tangents[0]
    if order:
        change = swap_last(_permute_rows(swap_last(change), order[0]))
    rows, columns = shape_of(change)[-2:]
    inner, rank = shape_of(q)[-1], min_dim(rows, columns)
    corner = _leading(r, rank, rank)
    scaled = _solve_triangular(corner, _leading(change, rows, rank))  # dA R⁻¹
    projected = matmul(adjoint(q), scaled)
    square = _resize(projected, inner, inner)
    strict = triangle(square, lower=True, offset=-1)
    turn = ops.sub(strict, adjoint(strict))
    if is_complex(turn):
        imaginary = ops.imag(_only_diagonal(square))
        turn = ops.add(turn, ops.complex(ops.full_like(imaginary, 0), imaginary))
    q_tangent = matmul(q, turn)
    if rows > inner:
        q_tangent = ops.add(q_tangent, ops.sub(scaled, matmul(q, projected)))
    r_tangent = matmul(adjoint(q), ops.sub(change, matmul(q_tangent, r)))
    return [q, r, *order], [q_tangent, triangle(r_tangent, lower=False), *_no_tangents(order)]


def _leading(x: Any, rows: int, columns: int) -> Any:
    """The first rows and columns of matrices."""
    return ops.slice_in_dim(ops.slice_in_dim(x, 0, rows, axis=-2), 0, columns, axis=-1)


# ----------------------------------------------------------------------------------------------
# eigenvalues and singular values


def _inverse_differences(values: Any) -> Any:
    """1 / (v[j] - v[i]) in row i and column j; 0 on the diagonal."""
    shape = (*shape_of(values), shape_of(values)[-1])
    difference = ops.sub(as_rows(values, shape), as_columns(values, shape))
    rows, columns = _index_grids(shape)
    same = ops.eq(rows, columns)
    safe = ops.select_n(same, difference, ops.full_like(difference, 1))
    return ops.select_n(same, ops.div(const(safe, 1), safe), ops.full_like(safe, 0))


def eigh_jvp(primitive: Primitive, primals: Any, tangents: Any, params: Any) -> tuple[Any, Any]:
    """With M = Vᴴ dA V: dw = diag M, dV = V (F ∘ M), F[i, j] = 1 / (w[j] - w[i])."""
    vectors, values = primitive.bind(*primals, **params)
    change = _hermitian(tangents[0], params["lower"])
    rotated = matmul(adjoint(vectors), matmul(change, vectors))
    diagonal = _diagonal(rotated)
    values_tangent = ops.real(diagonal) if is_complex(diagonal) else diagonal
    weights = _cast(_inverse_differences(values), vectors)
    return [vectors, values], [matmul(vectors, ops.mul(weights, rotated)), values_tangent]


def eig_jvp(primitive: Primitive, primals: Any, tangents: Any, params: Any) -> tuple[Any, Any]:
    """With M = V⁻¹ dA V: dw = diag M; dV as `_turned` has it. Left vectors are right ones of Aᴴ."""
    left, right = params["compute_left_eigenvectors"], params["compute_right_eigenvectors"]
    if (left or right) and not params["enable_eigvec_derivs"]:
        raise NotImplementedError(
            "eig: eigenvectors have derivatives only up to their arbitrary phase, and where eigenvalues are "
            "distinct. Pass enable_eigvec_derivs=True to vouch for that, or compute eigenvalues only."
        )
    values, *vectors = primitive.bind(*primals, **{**params, "compute_right_eigenvectors": True})
    change = _cast(tangents[0], vectors[-1])
    rotated = solve(vectors[-1], matmul(change, vectors[-1]))
    turned = []
    if left:
        other = solve(vectors[0], matmul(adjoint(change), vectors[0]))
        turned.append(_turned(vectors[0], conj(values), other))
    if right:
        turned.append(_turned(vectors[-1], values, rotated))
    return [values, *vectors[: left + right]], [_diagonal(rotated), *turned]


def _turned(vectors: Any, values: Any, rotated: Any) -> Any:
    """V (F ∘ M), F[i, j] = 1 / (w[j] - w[i]), less what would change the norm of the columns."""
    turned = matmul(vectors, ops.mul(_inverse_differences(values), rotated))
    shape = shape_of(vectors)
    along = ops.reduce_sum(ops.mul(conj(vectors), turned), (len(shape) - 2,))
    real = ops.complex(ops.real(along), ops.full_like(ops.real(along), 0))
    return ops.sub(turned, ops.mul(vectors, as_rows(real, shape)))


def svd_jvp(primitive: Primitive, primals: Any, tangents: Any, params: Any) -> tuple[Any, Any]:
    """With P = Uᴴ dA V: ds = Re diag P; dU = U (F ∘ (P S + S Pᴴ)) + (1 - U Uᴴ) dA V S⁻¹, and so V.

    F[i, j] = 1 / (s[j]² - s[i]²). What is imaginary in diag P turns the phases of U. Of full matrices the
    columns that A does not determine turn as little as those that it does allow.
    """
    change = tangents[0]
    rows, columns = shape_of(change)[-2:]
    rank = min_dim(rows, columns)
    full = params["compute_uv"] and params["full_matrices"]
    wanted = {**params, "compute_uv": True, "full_matrices": full}
    s, all_u, all_vt = primitive.bind(*primals, **wanted)
    all_v = adjoint(all_vt)
    u, v = (ops.slice_in_dim(basis, 0, rank, axis=-1) for basis in (all_u, all_v))
    projected = matmul(adjoint(u), matmul(change, v))
    diagonal = _diagonal(projected)
    s_tangent = ops.real(diagonal) if is_complex(diagonal) else diagonal
    if not params["compute_uv"]:
        return [s], [s_tangent]
    shape = shape_of(projected)
    s_rows, s_columns = (_cast(spread(s, shape), u) for spread in (as_rows, as_columns))
    weights = _cast(_inverse_differences(ops.mul(s, s)), u)
    backwards = adjoint(projected)
    u_turn = ops.mul(weights, ops.add(ops.mul(projected, s_rows), ops.mul(s_columns, backwards)))
    v_turn = ops.mul(weights, ops.add(ops.mul(s_columns, projected), ops.mul(backwards, s_rows)))
    if is_complex(u):
        twice = ops.sub(_only_diagonal(projected), _only_diagonal(backwards))
        u_turn = ops.add(u_turn, ops.div(twice, ops.mul(s_rows, const(s_rows, 2))))
    u_tangent, v_tangent = matmul(u, u_turn), matmul(v, v_turn)
    if rows > columns:
        outside = _outside(u, matmul(change, v), s)
        u_tangent = _with_rest(all_u, rank, ops.add(u_tangent, outside), outside)
    if columns > rows:
        outside = _outside(v, matmul(adjoint(change), u), s)
        v_tangent = _with_rest(all_v, rank, ops.add(v_tangent, outside), outside)
    return [s, all_u, all_vt], [s_tangent, u_tangent, adjoint(v_tangent)]


def _outside(basis: Any, x: Any, s: Any) -> Any:
    """The part of x S⁻¹ that is orthogonal to the columns of the basis."""
    scaled = ops.div(x, _cast(as_rows(s, shape_of(x)), x))
    return ops.sub(scaled, matmul(basis, matmul(adjoint(basis), scaled)))


def _with_rest(basis: Any, rank: int, tangent: Any, outside: Any) -> Any:
    """The tangent of a full basis: its last columns stay orthogonal to the first ones that turn outside."""
    columns = shape_of(basis)[-1]
    if columns == rank:
        return tangent
    first = ops.slice_in_dim(basis, 0, rank, axis=-1)
    rest = ops.slice_in_dim(basis, rank, columns, axis=-1)
    turned = ops.neg(matmul(first, matmul(adjoint(outside), rest)))
    return ops.concatenate([tangent, turned], len(shape_of(basis)) - 1)
