"""Iterative solvers of linear systems, as in `scipy.sparse.linalg`, of trees of arrays.

The matrix is a function of a tree like the right side, or a two-dimensional array. Inside, trees are single
vectors. Solutions are differentiated as such (`canter.lax.custom_linear_solve`): the derivative solves
another system with the same method, however many steps this one took.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from canter import lax, numpy as cnp
from canter.core import dtypes, pytree
from canter.flatten_util import ravel_pytree
from canter.numpy.util import dtype_of, is_arraylike, promote_dtypes_inexact, shape_of

__all__ = ["bicgstab", "cg", "gmres"]

_dot = functools.partial(cnp.vdot, precision=lax.Precision.HIGHEST)
_Operator = Callable[[Any], Any]


def _norm_squared(x: Any) -> Any:
    return cnp.real(_dot(x, x))


def _norm(x: Any) -> Any:
    return cnp.sqrt(_norm_squared(x))


def _operator(name: str, what: str, matrix: Any) -> _Operator:
    """A linear function of trees, from a function or an array."""
    if callable(matrix):
        return matrix
    if is_arraylike(matrix):
        shape = shape_of(matrix)
        if len(shape) != 2 or shape[0] != shape[1]:
            raise ValueError(f"{name}: {what} must be a square matrix, got shape {shape}.")
        return functools.partial(cnp.matmul, matrix, precision=lax.Precision.HIGHEST)
    raise TypeError(f"{name}: {what} must be a function or an array, got {type(matrix)}.")


def _arguments(name: str, b: Any, x0: Any) -> tuple[Any, Any]:
    """The right side and the starting point as trees of arrays of the same inexact dtypes."""
    b = pytree.tree_map(cnp.asarray, b)
    x0 = pytree.tree_map(cnp.zeros_like, b) if x0 is None else pytree.tree_map(cnp.asarray, x0)
    leaves, structure = pytree.tree_flatten(b)
    starts, other = pytree.tree_flatten(x0)
    if structure != other:
        raise ValueError(f"{name}: x0 and b must have the same structure, got {other} and {structure}.")
    if [shape_of(x) for x in leaves] != [shape_of(x) for x in starts]:
        raise ValueError(
            f"{name}: arrays of x0 and b must have the same shapes, got {[shape_of(x) for x in starts]} and "
            f"{[shape_of(x) for x in leaves]}."
        )
    pairs = [promote_dtypes_inexact(x, y) for x, y in zip(leaves, starts, strict=True)]
    return tuple(pytree.tree_unflatten(structure, [pair[i] for pair in pairs]) for i in (0, 1))


def _solution(
    name: str,
    method: Callable[..., Any],
    A: Any,
    b: Any,
    x0: Any,
    M: Any,
    maxiter: int | None,
    symmetric: bool,
) -> tuple[Any, None]:
    """Solves with a method of vectors: `method(matvec, b, x0, preconditioner, maxiter)`."""
    operator = _operator(name, "A", A)
    precondition = _operator(name, "M", M) if M is not None else None
    b, x0 = _arguments(name, b, x0)
    size = sum(int(np.prod(shape_of(leaf))) for leaf in pytree.tree_leaves(b))
    limit = 10 * size if maxiter is None else maxiter
    start, unravel = ravel_pytree(x0)
    complex_ = dtypes.issubdtype(dtype_of(start), np.complexfloating)

    def flat(function: _Operator) -> _Operator:
        return lambda x: ravel_pytree(function(unravel(x)))[0].astype(dtype_of(x))

    inverse = (lambda x: x) if precondition is None else flat(precondition)

    def solve(matvec: _Operator, right: Any) -> Any:
        vector, _ = ravel_pytree(right)
        return unravel(method(flat(matvec), vector, start, inverse, limit))

    if size == 0:
        return b, None
    # A Hermitian matrix of complex numbers is not its own transpose, but solved alike.
    return lax.custom_linear_solve(operator, b, solve, solve, symmetric=symmetric and not complex_), None


def _threshold(b: Any, tol: Any, atol: Any) -> Any:
    """The residual's norm at which a solution is good enough."""
    norm = _norm(b)
    return cnp.maximum(tol * norm, atol).astype(dtype_of(norm))


# --- conjugate gradients --------------------------------------------------------------------------


def _conjugate_gradients(
    matvec: _Operator, b: Any, x: Any, inverse: _Operator, maxiter: int, *, tol: Any, atol: Any
) -> Any:
    limit = _threshold(b, tol, atol) ** 2

    def unfinished(state: Any) -> Any:
        _, r, _, _, count = state
        return (_norm_squared(r) > limit) & (count < maxiter)

    def step(state: Any) -> Any:
        x, r, gamma, p, count = state
        image = matvec(p)
        alpha = gamma / _dot(p, image)
        x, r = x + alpha * p, r - alpha * image
        z = inverse(r)
        following = _dot(r, z)
        return x, r, following, z + following / gamma * p, count + 1

    r = b - matvec(x)
    p = inverse(r)
    return lax.while_loop(unfinished, step, (x, r, _dot(r, p), p, 0))[0]


def cg(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: Any = 1e-5,
    atol: Any = 0.0,
    maxiter: int | None = None,
    M: Any = None,
) -> tuple[Any, None]:
    """Solves A x = b by conjugate gradients, for a Hermitian positive definite A.

    Args:
      A: a linear function of a tree like `b`, or a matrix.
      b: the right side, a tree of arrays.
      x0: where to start; by default at zero.
      tol, atol: the residual's norm is to be at most max(tol * norm(b), atol).
      maxiter: how many steps at most; by default 10 times the number of unknowns.
      M: preconditioner: approximates the inverse of A; a function or a matrix.

    Returns:
      The solution, a tree like `b`, and None. No sign is given where it has not converged.

    Raises:
      TypeError: A or M is neither a function nor an array.
      ValueError: shapes or structures do not fit.

    Source: `scipy.sparse.linalg.cg`; Hestenes and Stiefel, 1952.

    Example:
      >>> import canter as ct
      >>> x, _ = ct.scipy.sparse.linalg.cg(lambda x: 2 * x, ct.numpy.array([2.0, 4.0]))
      >>> print(x)
      [1. 2.]
    """
    method = functools.partial(_conjugate_gradients, tol=tol, atol=atol)
    return _solution("cg", method, A, b, x0, M, maxiter, symmetric=True)


# --- stabilized biconjugate gradients -------------------------------------------------------------


def _stabilized(
    matvec: _Operator, b: Any, x: Any, inverse: _Operator, maxiter: int, *, tol: Any, atol: Any
) -> Any:
    limit = _threshold(b, tol, atol) ** 2

    def unfinished(state: Any) -> Any:
        _, r, *_, broken, count = state
        return (_norm_squared(r) > limit) & (count < maxiter) & ~broken

    def step(state: Any) -> Any:
        x, r, shadow, p, q, alpha, omega, rho, _, count = state
        following = _dot(shadow, r)
        beta = following / rho * alpha / omega
        p = r + beta * (p - omega * q)
        p_hat = inverse(p)
        q = matvec(p_hat)
        alpha = following / _dot(shadow, q)
        s = r - alpha * q
        early = _norm_squared(s) < limit
        s_hat = inverse(s)
        t = matvec(s_hat)
        omega = _dot(t, s) / _dot(t, t)
        omega = cnp.where(early, cnp.zeros_like(omega), omega)
        x = x + alpha * p_hat + cnp.where(early, 0, omega * s_hat)
        r = cnp.where(early, s, s - omega * t)
        broken = ~early & ((omega == 0) | (alpha == 0) | (following == 0))
        return x, r, shadow, p, q, alpha, omega, following, broken, count + 1

    r = b - matvec(x)
    one = cnp.ones((), dtype_of(b))
    state = (x, r, r, cnp.zeros_like(r), cnp.zeros_like(r), one, one, one, cnp.asarray(False), 0)
    return lax.while_loop(unfinished, step, state)[0]


def bicgstab(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: Any = 1e-5,
    atol: Any = 0.0,
    maxiter: int | None = None,
    M: Any = None,
) -> tuple[Any, None]:
    """Solves A x = b by stabilized biconjugate gradients, for any square A.

    Args, result and errors: as for `cg`.

    Source: `scipy.sparse.linalg.bicgstab`; van der Vorst, 1992.

    Example:
      >>> import canter as ct
      >>> x, _ = ct.scipy.sparse.linalg.bicgstab(lambda x: 2 * x, ct.numpy.array([2.0, 4.0]))
      >>> print(x)
      [1. 2.]
    """
    method = functools.partial(_stabilized, tol=tol, atol=atol)
    return _solution("bicgstab", method, A, b, x0, M, maxiter, symmetric=False)


# --- generalized minimal residuals ----------------------------------------------------------------


def _arnoldi(operator: _Operator, basis: Any, k: Any) -> tuple[Any, Any]:
    """The next vector of an orthonormal basis of the Krylov space, and its column of coefficients.

    Orthogonalized twice: once leaves too much of what rounding left.
    """
    x = operator(lax.dynamic_index_in_dim(basis, k, 0, keepdims=False))
    before = _norm(x)
    total = cnp.zeros(shape_of(basis)[0], dtype_of(x))
    for _ in range(2):
        weights = cnp.matmul(cnp.conj(basis), x, precision=lax.Precision.HIGHEST)
        x, total = x - cnp.matmul(weights, basis, precision=lax.Precision.HIGHEST), total + weights
    length = _norm(x)
    # What is left of a vector inside the space is rounding: there the space is complete.
    complete = length <= before * float(dtypes.finfo(dtype_of(x)).eps)
    x = cnp.where(complete, 0, x / cnp.where(complete, 1, length).astype(dtype_of(x)))
    total = total.at[k + 1].set(cnp.where(complete, 0, length).astype(dtype_of(total)))
    return lax.dynamic_update_index_in_dim(basis, x, k + 1, 0), total


def _start(residual: Any, norm: Any, restart: int) -> Any:
    first = residual / cnp.where(norm > 0, norm, 1).astype(dtype_of(residual))
    return cnp.zeros((restart + 1, shape_of(residual)[0]), dtype_of(residual)).at[0].set(first)


def _whole_cycle(operator: _Operator, residual: Any, norm: Any, restart: int, threshold: Any) -> Any:
    """The correction after as many steps as there are: one least-squares problem at the end."""

    def step(k: Any, state: Any) -> Any:
        basis, columns = state
        basis, column = _arnoldi(operator, basis, k)
        return basis, lax.dynamic_update_index_in_dim(columns, column, k, 0)

    dtype = dtype_of(residual)
    state = _start(residual, norm, restart), cnp.zeros((restart, restart + 1), dtype)
    basis, columns = lax.fori_loop(0, restart, step, state)
    right = cnp.zeros(restart + 1, dtype).at[0].set(norm.astype(dtype))
    weights = cnp.linalg.lstsq(columns.T, right)[0]
    return cnp.matmul(weights, basis[:-1], precision=lax.Precision.HIGHEST)


def _stepwise_cycle(operator: _Operator, residual: Any, norm: Any, restart: int, threshold: Any) -> Any:
    """The correction after as many steps as are needed: plane rotations tell the residual after each."""
    dtype = dtype_of(residual)
    index = lax.iota(np.int32, restart + 1)

    def rotate(j: Any, column: Any, rotations: Any) -> Any:
        (c, s), (x, y) = rotations[j], (column[j], column[j + 1])
        return column.at[j].set(cnp.conj(c) * x + cnp.conj(s) * y).at[j + 1].set(c * y - s * x)

    def unfinished(state: Any) -> Any:
        _, _, _, _, error, k = state
        return (k < restart) & (error > threshold)

    def step(state: Any) -> Any:
        basis, columns, rotations, right, _, k = state
        basis, column = _arnoldi(operator, basis, k)
        column = lax.fori_loop(0, k, lambda j, column: rotate(j, column, rotations), column)
        x, y = column[k], column[k + 1]
        length = cnp.sqrt(cnp.abs(x) ** 2 + cnp.abs(y) ** 2)
        safe = cnp.where(length > 0, length, 1).astype(dtype)
        pair = cnp.where(length > 0, cnp.stack([x, y]) / safe, cnp.array([1, 0], dtype))
        rotations = lax.dynamic_update_index_in_dim(rotations, pair, k, 0)
        column, right = rotate(k, column, rotations), rotate(k, right, rotations)
        columns = lax.dynamic_update_index_in_dim(columns, cnp.where(index <= k, column, 0), k, 0)
        return basis, columns, rotations, right, cnp.abs(right[k + 1]), k + 1

    columns = cnp.eye(restart, restart + 1, dtype=dtype)
    right = cnp.zeros(restart + 1, dtype).at[0].set(norm.astype(dtype))
    state = (_start(residual, norm, restart), columns, cnp.zeros((restart, 2), dtype), right, norm, 0)
    basis, columns, _, right, _, count = lax.while_loop(unfinished, step, state)
    triangle = columns[:, :-1].T
    blank = cnp.diagonal(triangle) == 0
    triangle = triangle + cnp.diag(blank.astype(dtype))
    right = cnp.where((index[:-1] < count) & ~blank, right[:-1], 0)
    weights = lax.linalg.triangular_solve(triangle, right[:, None], left_side=True)[:, 0]
    return cnp.matmul(weights, basis[:-1], precision=lax.Precision.HIGHEST)


_CYCLES = {"batched": _whole_cycle, "incremental": _stepwise_cycle}


def _minimal_residuals(
    matvec: _Operator,
    b: Any,
    x: Any,
    inverse: _Operator,
    maxiter: int,
    *,
    tol: Any,
    atol: Any,
    restart: int,
    cycle: Callable[..., Any],
) -> Any:
    restart = min(restart, shape_of(b)[0])
    goal, norm_of_b = _threshold(b, tol, atol), _norm(b)
    # The residual is seen through the preconditioner, and so is what it is compared with.
    threshold = _norm(inverse(b)) * goal / cnp.where(norm_of_b > 0, norm_of_b, 1)

    def residual_of(x: Any) -> tuple[Any, Any]:
        r = inverse(b - matvec(x))
        return r, _norm(r)

    def unfinished(state: Any) -> Any:
        _, _, norm, count = state
        return (count < maxiter) & (norm > threshold)

    def step(state: Any) -> Any:
        x, r, norm, count = state
        x = x + cycle(lambda v: inverse(matvec(v)), r, norm, restart, threshold)
        return (x, *residual_of(x), count + 1)

    return lax.while_loop(unfinished, step, (x, *residual_of(x), 0))[0]


def gmres(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: Any = 1e-5,
    atol: Any = 0.0,
    restart: int = 20,
    maxiter: int | None = None,
    M: Any = None,
    solve_method: str = "batched",
) -> tuple[Any, None]:
    """Solves A x = b by generalized minimal residuals with restarts, for any square A.

    Args:
      A, b, x0, tol, atol, M: as for `cg`.
      restart: after how many steps the iteration starts anew from where it has come.
      maxiter: how many such cycles at most.
      solve_method: "batched" goes through whole cycles, "incremental" leaves one when it has converged.

    Returns, raises: as `cg`; ValueError where the method is unknown.

    Source: `scipy.sparse.linalg.gmres`; Saad and Schultz, 1986.

    Example:
      >>> import canter as ct
      >>> x, _ = ct.scipy.sparse.linalg.gmres(lambda x: 2 * x, ct.numpy.array([2.0, 4.0]))
      >>> print(x.round(4))
      [1. 2.]
    """
    if solve_method not in _CYCLES:
        raise ValueError(f"gmres: solve_method must be 'incremental' or 'batched', got {solve_method!r}.")
    if restart < 1:
        raise ValueError(f"gmres: restart must be positive, got {restart}.")
    method = functools.partial(
        _minimal_residuals, tol=tol, atol=atol, restart=int(restart), cycle=_CYCLES[solve_method]
    )
    return _solution("gmres", method, A, b, x0, M, maxiter, symmetric=False)
