"""Polar decomposition by the dynamically weighted Halley iteration."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..core import dtypes
from ..transforms.custom_rules import custom_jvp
from . import linalg_algorithms as algorithms
from .common import ops
from .linalg_derivatives import adjoint, as_rows, matmul
from .linalg_primitives import check_matrix
from .shapes import aval_of, shape_of

__all__ = ["polar_jvp", "qdwh"]


def polar_jvp(x: Any, u: Any, h: Any, tangent: Any) -> tuple[Any, Any]:
    """Tangents of `x = u h`: with Z = uᴴ dx, Ω h + h Ω = Z - Zᴴ gives dh = Z - Ω h and what turns u.

    They depend on sums of singular values only, so that repeated ones do no harm.
    """
    v, w = ops.linalg.eigh(h, symmetrize_input=False)
    values = as_rows(w, shape_of(h))
    z = matmul(adjoint(u), tangent)
    turned = matmul(adjoint(v), matmul(ops.sub(z, adjoint(z)), v))
    sums = ops.convert_element_type(ops.add(values, adjoint(values)), aval_of(x).dtype)
    turn = matmul(v, matmul(ops.div(turned, sums), adjoint(v)))
    du = matmul(u, turn)
    if shape_of(x)[-2] != shape_of(x)[-1]:
        outside = ops.sub(tangent, matmul(u, z))
        inverse = ops.div(
            matmul(outside, v), ops.convert_element_type(as_rows(w, shape_of(x)), aval_of(x).dtype)
        )
        du = ops.add(du, matmul(inverse, adjoint(v)))
    return du, ops.sub(z, matmul(turn, h))


@functools.partial(custom_jvp, nondiff_argnums=(1,))
def _polar(x: Any, options: tuple[tuple[str, Any], ...]) -> Any:
    return algorithms.batched(functools.partial(algorithms.qdwh, **dict(options)), 2, x)


@_polar.defjvp
def _polar_jvp(options: Any, primals: Any, tangents: Any) -> Any:
    u, h, steps, converged = _polar(primals[0], options)
    du, dh = polar_jvp(primals[0], u, h, tangents[0])
    nothing = [np.zeros(shape_of(x), dtypes.float0) for x in (steps, converged)]
    return (u, h, steps, converged), (du, dh, *nothing)


def qdwh(
    x: Any,
    *,
    is_hermitian: bool = False,
    max_iterations: int | None = None,
    eps: float | None = None,
    dynamic_shape: tuple[Any, Any] | None = None,
) -> tuple[Any, Any, Any, Any]:
    """Polar decomposition `x = u @ h`: u has orthonormal columns, h is positive semidefinite.

    Args:
      x: matrices, shape `(..., m, n)` with m >= n, floating or complex.
      is_hermitian: whether x is Hermitian; so is u then.
      max_iterations: at most so many steps; 10 by default, of which at most 6 are needed.
      eps: precision in which the iteration counts as converged; by default that of the dtype.
      dynamic_shape: (rows, columns), which may be traced: what is beyond them counts as zero.

    Returns:
      u, h, the number of steps, and whether they converged.

    Raises:
      ValueError: x is not of matrices, or m < n.
      TypeError: the dtype is not floating or complex.

    Source: Nakatsukasa, Bai and Gygi, "Optimizing Halley's iteration for computing the matrix polar
    decomposition", 2010.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> u, h, _, converged = lax.linalg.qdwh(cnp.array([[-2.0]]))
      >>> u.tolist(), h.tolist(), bool(converged)
      ([[-1.0]], [[2.0]], True)
    """
    aval = aval_of(x)
    check_matrix("qdwh", aval)
    rows, columns = aval.shape[-2:]
    if rows < columns:
        raise ValueError(
            f"qdwh takes matrices with at least as many rows as columns, got shape {aval.shape}; "
            "decompose the adjoint instead."
        )
    if dynamic_shape is not None:
        rank = len(aval.shape)
        row, column = (ops.broadcasted_iota(np.int32, aval.shape, rank - 2 + k) for k in (0, 1))
        height, width = (ops.convert_element_type(size, np.int32) for size in dynamic_shape)
        inside = ops.bitwise_and(ops.lt(row, height), ops.lt(column, width))
        x = ops.select(inside, x, ops.full_like(x, 0))
    options = {
        "is_hermitian": bool(is_hermitian),
        "max_iterations": 10 if max_iterations is None else int(max_iterations),
        "eps": float(dtypes.finfo(aval.dtype).eps if eps is None else eps),
    }
    return _polar(x, tuple(options.items()))
