"""QR decompositions as LAPACK packs them, in operations that have derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from canter import lax, numpy as cnp
from canter.lax import linalg
from canter.transforms.vmap import vmap

from .regions import differentiable

__all__ = ["geqrf", "householder_product"]


def _batched(function: Callable[..., Any], ndims: int) -> Any:
    for _ in range(ndims):
        function = vmap(function)
    return function


def _column(packed: Any, j: Any) -> Any:
    """The j-th vector of reflection below a diagonal: zeros, a one, what is stored."""
    rows = cnp.arange(packed.shape[0])
    stored = lax.dynamic_index_in_dim(packed, j, 1, keepdims=False)
    return cnp.where(rows > j, stored, cnp.where(rows == j, 1, 0).astype(packed.dtype))


def _decompose(a: Any) -> tuple[Any, Any]:
    """LAPACK's geqrf, column by column: R above the diagonal, the reflectors below it, and their factors."""
    rows, columns = (cnp.arange(size) for size in a.shape)

    def step(j: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        packed, taus = state
        column = lax.dynamic_index_in_dim(packed, j, 1, keepdims=False)
        alpha = lax.dynamic_index_in_dim(column, j, keepdims=False)
        below = cnp.where(rows > j, column, 0)
        trivial = (cnp.sum(cnp.abs(below) ** 2) == 0) & (cnp.imag(alpha) == 0)
        below = cnp.where(trivial, 1, below)  # so that nothing divides by zero
        norm = cnp.sqrt(cnp.sum(cnp.real(below * cnp.conj(below))) + cnp.real(alpha * cnp.conj(alpha)))
        beta = cnp.where(cnp.real(alpha) >= 0, -norm, norm).astype(a.dtype)
        tau = cnp.where(trivial, 0, (beta - alpha) / beta).astype(a.dtype)
        scaled = cnp.where(trivial, 0, below / (alpha - beta))
        v = cnp.where(rows > j, scaled, cnp.where(rows == j, 1, 0)).astype(a.dtype)
        beta = cnp.where(trivial, alpha, beta)
        reflected = packed - cnp.conj(tau) * cnp.outer(v, cnp.conj(v) @ packed)
        here = cnp.where(rows > j, v, cnp.where(rows == j, beta, column))
        packed = cnp.where(columns > j, reflected, cnp.where(columns == j, here[:, None], packed))
        return packed, cnp.where(cnp.arange(taus.shape[0]) == j, tau, taus)

    rank = min(a.shape)
    return lax.fori_loop(0, rank, step, (a, cnp.zeros(rank, a.dtype)))


def _multiply(packed: Any, taus: Any) -> Any:
    """LAPACK's orgqr: the product of the reflections, applied to the first columns of the identity."""
    count = taus.shape[0]

    def step(i: Any, q: Any) -> Any:
        j = count - 1 - i
        v = _column(packed, j)
        return q - taus[j] * cnp.outer(v, cnp.conj(v) @ q)

    return lax.fori_loop(0, count, step, cnp.eye(packed.shape[0], packed.shape[1], dtype=packed.dtype))


def geqrf(a: Any) -> tuple[Any, Any]:
    """The packed QR decomposition, with a derivative."""
    return differentiable(linalg.geqrf, _batched(_decompose, np.ndim(a) - 2))(a)


def householder_product(a: Any, taus: Any) -> Any:
    """The product of packed reflections, with a derivative."""
    return differentiable(linalg.householder_product, _batched(_multiply, np.ndim(a) - 2))(a, taus)
