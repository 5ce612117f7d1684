"""Functions of matrices and equations between them, as in `scipy.linalg`: exponential, roots, Sylvester.

Source: Higham, Functions of Matrices (2008).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from canter import lax, numpy as cnp
from canter.core import dtypes
from canter.lax import linalg as lax_linalg
from canter.lax.linalg_algorithms import batched
from canter.numpy import linalg as numpy_linalg
from canter.numpy.util import dtype_of, promote_dtypes_inexact, shape_of
from canter.runtime.composite import composite
from canter.transforms.custom_rules import custom_jvp
from canter.transforms.derivatives import jvp

from .arguments import matrix
from .similarity import rsf2csf, schur

__all__ = ["expm", "expm_frechet", "funm", "polar", "solve_sylvester", "sqrtm"]


def _adjoint(x: Any) -> Any:
    return cnp.conj(cnp.swapaxes(x, -1, -2))


def _complex(x: Any) -> Any:
    return x.astype(dtypes.to_complex_dtype(dtype_of(x)))


# --- the exponential ------------------------------------------------------------------------------

# Degree of the Padé approximant, and up to which norm it is exact, in double and in single precision.
_DOUBLE, _SINGLE = (13, 5.371920351148152), (7, 3.925724783138660)


def _pade(a: Any, degree: int) -> Any:
    """The diagonal Padé approximant of exp(a)."""
    coefficients = [
        math.factorial(2 * degree - k)
        * math.factorial(degree)
        // (math.factorial(k) * math.factorial(degree - k))
        for k in range(degree + 1)
    ]
    scale = float(coefficients[0])
    size, dtype = shape_of(a)[-1], dtype_of(a)
    power, square = cnp.eye(size, dtype=dtype), cnp.matmul(a, a)
    even, odd = 0, 0
    for k in range(0, degree + 1, 2):
        even = even + power * (coefficients[k] / scale)
        if k + 1 <= degree:
            odd = odd + power * (coefficients[k + 1] / scale)
        power = cnp.matmul(power, square)
    odd = cnp.matmul(a, odd)
    return numpy_linalg.solve(even - odd, even + odd)


@composite(static_argnames=("max_squarings",))
def _expm(a: Any, *, max_squarings: int) -> Any:
    double = dtype_of(a) in (np.float64, np.complex128)
    degree, limit = _DOUBLE if double else _SINGLE
    norm = cnp.max(cnp.sum(cnp.abs(a), axis=-2), axis=-1, initial=0)
    squarings = cnp.ceil(cnp.log2(cnp.maximum(norm / limit, 1)))
    scaled = a * cnp.exp2(-squarings)[..., None, None].astype(dtype_of(a))
    too_large = squarings > max_squarings
    result = _pade(scaled, degree)

    def step(i: Any, x: Any) -> Any:
        return cnp.where((i < squarings)[..., None, None], cnp.matmul(x, x), x)

    result = lax.fori_loop(0, max_squarings, step, result)
    return cnp.where(too_large[..., None, None], np.nan, result)


def expm(A: Any, *, upper_triangular: bool = False, max_squarings: int = 16) -> Any:
    """The matrix exponential.

    Args:
      A: (..., n, n).
      upper_triangular: whether the matrix is upper triangular; the lower triangle is then not read.
      max_squarings: a matrix so large that more squarings would be needed gives nan.

    Raises:
      ValueError: `A` is no square matrix.
      TypeError: the dtype is narrower than float32.

    Source: Higham, "The scaling and squaring method for the matrix exponential revisited", 2005.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.expm(ct.numpy.zeros((1, 1))))
      [[1.]]
    """
    A = matrix("expm", A)
    if dtypes.finfo(dtype_of(A)).bits < 32:
        raise TypeError(f"scipy.linalg.expm: dtype {dtype_of(A)} is not supported; convert to float32.")
    return _expm(cnp.triu(A) if upper_triangular else A, max_squarings=int(max_squarings))


@composite(static_argnames=("max_squarings",))
def _expm_frechet(a: Any, e: Any, *, max_squarings: int) -> Any:
    return jvp(functools.partial(_expm, max_squarings=max_squarings), (a,), (e,))


def expm_frechet(A: Any, E: Any, *, method: str | None = None, compute_expm: bool = True) -> Any:
    """The derivative of the matrix exponential in a direction.

    Args:
      A: (..., n, n): where.
      E: (..., n, n): in which direction.
      method: None, "SPS" or "blockEnlarge", which ask for the same: the derivative of `expm` as it is.
      compute_expm: whether to return the exponential too.

    Returns:
      The exponential and its derivative, or the derivative.

    Raises:
      ValueError: the matrices are not square, their shapes differ or the method is unknown.

    Source: `scipy.linalg.expm_frechet`.

    Example:
      >>> import canter as ct
      >>> zero, one = ct.numpy.zeros((1, 1)), ct.numpy.ones((1, 1))
      >>> print(ct.scipy.linalg.expm_frechet(zero, one, compute_expm=False))
      [[1.]]
    """
    if method not in (None, "SPS", "blockEnlarge"):
        raise ValueError(
            f"scipy.linalg.expm_frechet: method must be 'SPS' or 'blockEnlarge', got {method!r}."
        )
    A, E = promote_dtypes_inexact(matrix("expm_frechet", A), matrix("expm_frechet", E))
    if shape_of(A) != shape_of(E):
        raise ValueError(
            f"scipy.linalg.expm_frechet: A and E must have the same shape, got {shape_of(A)} and {shape_of(E)}."
        )
    value, change = _expm_frechet(A, E, max_squarings=16)
    return (value, change) if compute_expm else change


# --- functions of triangular matrices -------------------------------------------------------------


def _by_columns(t: Any, diagonal: Any, system: Callable[..., Any], side: Callable[..., Any]) -> Any:
    """An upper triangular matrix with a given diagonal, whose columns follow from those before.

    Above the diagonal column j solves `system(x, j) @ x[:, j] = side(x, j)`, with an upper triangular
    matrix of which the part before j counts.
    """
    size, dtype = shape_of(t)[0], dtype_of(t)
    if not size:
        return t
    index = lax.iota(np.int32, size)
    eye = cnp.eye(size, dtype=dtype)

    def step(j: Any, x: Any) -> Any:
        before = index < j
        inside = before[:, None] & before[None, :]
        matrix = cnp.where(inside, system(x, j), eye)
        right = cnp.where(before, side(x, j), cnp.where(index == j, diagonal, 0))
        column = lax_linalg.triangular_solve(matrix, right[:, None], left_side=True)[:, 0]
        return lax.dynamic_update_index_in_dim(x, column, j, 1)

    return lax.fori_loop(0, size, step, cnp.zeros_like(t))


def _column(x: Any, j: Any) -> Any:
    return lax.dynamic_index_in_dim(x, j, 1, keepdims=False)


def _replace_zeros(x: Any, number: Any) -> Any:
    """The matrix with another number where its diagonal vanishes."""
    eye = cnp.eye(shape_of(x)[0], dtype=bool)
    return cnp.where(eye & (x == 0), number, x)


def _triangular_root(t: Any) -> Any:
    """The square root of an upper triangular matrix (Bjorck and Hammarling 1983)."""
    roots = cnp.sqrt(cnp.diagonal(t))
    eye = cnp.eye(shape_of(t)[0], dtype=dtype_of(t))
    tiny = float(dtypes.finfo(dtype_of(t)).tiny)
    return _by_columns(
        t,
        roots,
        lambda x, j: _replace_zeros(x + roots[j] * eye, tiny),  # 0 / 0 is 0 here, as in SciPy
        lambda x, j: _column(t, j),
    )


@custom_jvp
def _root(a: Any) -> Any:
    # By way of the real form negative eigenvalues stay real, and their roots are on the positive imaginary axis.
    t, z = rsf2csf(*schur(a))
    return cnp.matmul(z, cnp.matmul(batched(_triangular_root, 2, t), _adjoint(z)))


@_root.defjvp
def _root_jvp(primals: Any, tangents: Any) -> Any:
    # x x = a gives x dx + dx x = da
    x = _root(primals[0])
    return x, _sylvester(x, x, tangents[0], method="schur", tol=0.0)


_sqrtm = composite(_root)


def sqrtm(A: Any, blocksize: int = 1) -> Any:
    """The square root of a matrix: the one whose eigenvalues have positive real parts.

    Args:
      A: (..., n, n).
      blocksize: must be 1.

    Returns:
      A complex array; not finite where there is no square root.

    Raises:
      ValueError: `A` is no square matrix.
      NotImplementedError: `blocksize` is another.

    Source: Bjorck and Hammarling, "A Schur method for the square root of a matrix", 1983.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.sqrtm(ct.numpy.array([[4.0]])))
      [[2.+0.j]]
    """
    if blocksize != 1:
        raise NotImplementedError("scipy.linalg.sqrtm: only blocksize=1 is supported, leave it out.")
    A = matrix("sqrtm", A)
    return _sqrtm(A.astype(np.float32) if dtypes.finfo(dtype_of(A)).bits < 32 else A)


def _triangular_function(t: Any, values: Any) -> Any:
    """A function of an upper triangular matrix, given that of its diagonal (Parlett 1976)."""
    eye = cnp.eye(shape_of(t)[0], dtype=dtype_of(t))
    diagonal = cnp.diagonal(t)
    return _by_columns(
        t,
        values,
        lambda x, j: _replace_zeros(t - diagonal[j] * eye, 1),
        lambda x, j: cnp.matmul(x, _above(t, j)) - _above(t, j) * values[j],
    )


def _above(t: Any, j: Any) -> Any:
    """A column without what is not above the diagonal."""
    return cnp.where(lax.iota(np.int32, shape_of(t)[0]) < j, _column(t, j), 0)


def funm(A: Any, func: Callable[[Any], Any], disp: bool = True) -> Any:
    """A function of a matrix, given as a function of its eigenvalues.

    Args:
      A: (n, n), with distinct eigenvalues.
      func: takes an array of complex numbers, and works elementwise.
      disp: whether to leave the estimate of the error out. Nothing is printed.

    Returns:
      A complex array; without `disp` also an estimate of its relative error in the 1-norm.

    Raises:
      ValueError: `A` is no square matrix.

    Source: Golub and Van Loan, Matrix Computations, algorithm 9.1.1; `scipy.linalg.funm`.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> print(ct.scipy.linalg.funm(cnp.zeros((1, 1)), cnp.exp))
      [[1.+0.j]]
    """
    A = matrix("funm", A)
    if len(shape_of(A)) != 2:
        raise ValueError(
            f"scipy.linalg.funm: A must be one square matrix, got shape {shape_of(A)}; use vmap."
        )
    t, z = rsf2csf(*schur(A))
    values = func(cnp.diagonal(t)).astype(dtype_of(t))
    result = cnp.matmul(z, cnp.matmul(_triangular_function(t, values), _adjoint(z)))
    return result if disp else (result, _error_of_funm(t, result))


def _error_of_funm(t: Any, result: Any) -> Any:
    diagonal = cnp.diagonal(t)
    real = dtypes.finfo(dtype_of(t)).dtype
    if shape_of(t)[0] == 0:
        return cnp.zeros((), real)
    gaps = cnp.abs(diagonal[:, None] - diagonal[None, :])
    apart = cnp.triu(cnp.ones(shape_of(t), bool), 1)
    least = cnp.minimum(cnp.min(cnp.where(apart, gaps, cnp.inf)), cnp.abs(diagonal[0]))
    tol = float(dtypes.finfo(dtype_of(t)).eps)
    least = cnp.where(least == 0, tol, least)
    above = cnp.max(cnp.sum(cnp.abs(cnp.triu(t, 1)), axis=0))
    error = cnp.minimum(1, cnp.maximum(tol, tol / least * above))
    return cnp.where(cnp.all(cnp.isfinite(result)), error, cnp.inf).astype(real)


# --- polar decomposition --------------------------------------------------------------------------


@composite(static_argnames=("right",))
def _polar_svd(a: Any, *, right: bool) -> Any:
    u, s, vh = lax_linalg.svd(a, full_matrices=False)
    weights = s.astype(dtype_of(a))[..., None, :]
    basis = _adjoint(vh) if right else u
    return cnp.matmul(u, vh), cnp.matmul(basis * weights, _adjoint(basis))


@composite(static_argnames=("right", "max_iterations", "eps"))
def _polar_qdwh(a: Any, *, right: bool, max_iterations: int | None, eps: float | None) -> Any:
    x = a if right else _adjoint(a)
    u, p, *_ = lax_linalg.qdwh(x, max_iterations=max_iterations, eps=eps)
    return (u, p) if right else (_adjoint(u), p)


def polar(
    a: Any,
    side: str = "right",
    *,
    method: str = "qdwh",
    eps: float | None = None,
    max_iterations: int | None = None,
) -> tuple[Any, Any]:
    """The polar decomposition a = u p, or a = p u for the left side.

    Args:
      a: (..., m, n).
      side: "right" or "left": where the positive semidefinite p stands.
      method: "qdwh", for m >= n on the right and m <= n on the left, or "svd".
      eps, max_iterations: for "qdwh": when the iteration has converged, and when to give up.

    Returns:
      u, (..., m, n), with orthonormal columns or rows, and p.

    Raises:
      ValueError: `a` is no matrix, or side or method is unknown.
      NotImplementedError: the shape is not for "qdwh".

    Source: `scipy.linalg.polar`; for "qdwh" see `canter.lax.linalg.qdwh`.

    Example:
      >>> import canter as ct
      >>> u, p = ct.scipy.linalg.polar(ct.numpy.array([[-2.0]]))
      >>> print(u, p)
      [[-1.]] [[2.]]
    """
    a = matrix("polar", a, square=False)
    if side not in ("right", "left"):
        raise ValueError(f"scipy.linalg.polar: side must be 'right' or 'left', got {side!r}.")
    if method not in ("qdwh", "svd"):
        raise ValueError(f"scipy.linalg.polar: method must be 'qdwh' or 'svd', got {method!r}.")
    right = side == "right"
    if method == "svd":
        return _polar_svd(a, right=right)
    rows, columns = shape_of(a)[-2:]
    if (rows < columns) if right else (rows > columns):
        raise NotImplementedError(
            f"scipy.linalg.polar: method 'qdwh' has no side {side!r} for shape {shape_of(a)}; use method='svd'."
        )
    return _polar_qdwh(a, right=right, max_iterations=max_iterations, eps=eps)


# --- Sylvester's equation -------------------------------------------------------------------------


def _solve_triangular_sylvester(t: Any, s: Any, f: Any) -> Any:
    """t y + y s = f for upper triangular t and s, column by column."""
    if not all(shape_of(f)):
        return f
    eye = cnp.eye(shape_of(t)[0], dtype=dtype_of(t))

    def step(j: Any, y: Any) -> Any:
        weights = _column(s, j)
        side = _column(f, j) - cnp.matmul(y, weights)  # columns from j on are still zero
        system = t + lax.dynamic_index_in_dim(weights, j, 0, keepdims=False) * eye
        column = lax_linalg.triangular_solve(system, side[:, None], left_side=True)[:, 0]
        return lax.dynamic_update_index_in_dim(y, column, j, 1)

    return lax.fori_loop(0, shape_of(s)[0], step, cnp.zeros_like(f))


@functools.partial(custom_jvp, nondiff_argnums=(3, 4))
def _sylvester_solution(a: Any, b: Any, c: Any, method: str, tol: float) -> Any:
    real = not any(dtypes.issubdtype(dtype_of(x), np.complexfloating) for x in (a, b, c))
    a, b, c = map(_complex, (a, b, c))
    if method == "schur":
        (t, u), (s, v) = lax_linalg.schur(a), lax_linalg.schur(b)
        y = batched(_solve_triangular_sylvester, 2, t, s, cnp.matmul(_adjoint(u), cnp.matmul(c, v)))
        x = cnp.matmul(u, cnp.matmul(y, _adjoint(v)))
        left, right = (cnp.diagonal(m, axis1=-2, axis2=-1) for m in (t, s))
        sums = left[..., :, None] + right[..., None, :]
    else:
        (left, u), (right, v) = (numpy_linalg.eig(m) for m in (a, b))
        sums = left[..., :, None] + right[..., None, :]
        y = numpy_linalg.solve(u, cnp.matmul(c, v)) / sums
        x = cnp.matmul(
            u, cnp.swapaxes(numpy_linalg.solve(cnp.swapaxes(v, -1, -2), cnp.swapaxes(y, -1, -2)), -1, -2)
        )
    if tol:
        singular = cnp.any(cnp.abs(sums) <= tol, axis=(-2, -1), keepdims=True)
        x = cnp.where(singular, cnp.nan, x)
    return cnp.real(x) if real else x


@_sylvester_solution.defjvp
def _sylvester_jvp(method: str, tol: float, primals: Any, tangents: Any) -> Any:
    (a, b, c), (da, db, dc) = primals, tangents
    x = _sylvester_solution(a, b, c, method, tol)
    side = dc - cnp.matmul(da, x) - cnp.matmul(x, db)
    return x, _sylvester_solution(a, b, side, method, tol)


@composite(static_argnames=("method", "tol"))
def _sylvester(a: Any, b: Any, c: Any, *, method: str, tol: float) -> Any:
    return _sylvester_solution(a, b, c, method, tol)


def solve_sylvester(A: Any, B: Any, C: Any, *, method: str = "schur", tol: float = 1e-8) -> Any:
    """Solves A x + x B = C.

    Args:
      A: (..., m, m).
      B: (..., n, n).
      C: (..., m, n).
      method: "schur", or "eigen" for matrices that have a basis of eigenvectors.
      tol: where an eigenvalue of A and one of -B are nearer than that, the solution is nan.

    Returns:
      (..., m, n).

    Raises:
      ValueError: the shapes do not fit or the method is unknown.

    Source: Bartels and Stewart, "Solution of the matrix equation AX + XB = C", 1972.

    Example:
      >>> import canter as ct
      >>> one = ct.numpy.ones((1, 1))
      >>> print(ct.scipy.linalg.solve_sylvester(one, one, one))
      [[0.5]]
    """
    if method not in ("schur", "eigen"):
        raise ValueError(f"scipy.linalg.solve_sylvester: method must be 'schur' or 'eigen', got {method!r}.")
    A, B = matrix("solve_sylvester", A), matrix("solve_sylvester", B)
    C = matrix("solve_sylvester", C, square=False)
    if shape_of(C)[-2:] != (shape_of(A)[-1], shape_of(B)[-1]):
        raise ValueError(
            "scipy.linalg.solve_sylvester: C must have as many rows as A and as many columns as B, got shapes "
            f"{shape_of(A)}, {shape_of(B)} and {shape_of(C)}."
        )
    A, B, C = promote_dtypes_inexact(A, B, C)
    batch = lax.broadcast_shapes(*(shape_of(x)[:-2] for x in (A, B, C)))
    A, B, C = (cnp.broadcast_to(x, (*batch, *shape_of(x)[-2:])) for x in (A, B, C))
    return _sylvester(A, B, C, method=method, tol=float(tol))
