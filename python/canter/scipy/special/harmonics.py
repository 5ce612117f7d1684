"""Spherical harmonics."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from canter import lax, numpy as cnp
from canter.core import dtypes
from canter.core.trace import Tracer
from canter.lax.common import const
from canter.numpy.ufunc_bodies import where
from canter.numpy.util import check_arraylike, convert, promote_dtypes_inexact
from canter.runtime.composite import composite

__all__ = ["sph_harm_y"]


def _normalized_legendre(n: Any, m: Any, theta: Any, n_max: int) -> Any:
    """The associated Legendre function of degree n and order 0 <= m <= n at cos(theta), so scaled that its
    product with exp(i m phi) has norm 1 on the sphere.
    """
    x, s = lax.cos(theta), lax.sin(theta)

    def to_order(k: Any, value: Any) -> Any:
        k = lax.convert_element_type(k + 1, x.dtype)
        return where(k <= m, -lax.sqrt((2 * k + 1) / (2 * k)) * s * value, value)

    start = lax.full_like(x, math.sqrt(1 / (4 * math.pi)))
    diagonal = lax.fori_loop(0, n_max, to_order, start)

    def to_degree(k: Any, state: Any) -> Any:
        below, here = state
        degree = lax.convert_element_type(k + 1, x.dtype)
        active = lax.bitwise_and(degree > m, degree <= n)
        gap = where(active, degree * degree - m * m, const(x, 1))
        last = where(active, (degree - 1) * (degree - 1) - m * m, const(x, 0))
        scale = lax.sqrt((4 * degree * degree - 1) / gap)
        # At the first step there is nothing below, and the root of 0 must not be differentiated.
        first = last <= 0
        factor = where(first, const(x, 0), lax.sqrt(where(first, const(x, 1), last)))
        damp = factor / lax.sqrt(4 * (degree - 1) * (degree - 1) - where(first, const(x, -9), const(x, 1)))
        above = scale * (x * here - damp * below)
        return where(active, here, below), where(active, above, here)

    return lax.fori_loop(0, n_max, to_degree, (lax.full_like(x, 0), diagonal))[1]


@composite(static_argnames=("n_max",))
def _sph_harm_y(n: Any, m: Any, theta: Any, phi: Any, *, n_max: int) -> Any:
    theta, phi = promote_dtypes_inexact(theta, phi)
    dtype = theta.dtype
    n, m = (convert(k, dtype) for k in (n, m))
    n, m, theta, phi = cnp.broadcast_arrays(n, m, theta, phi)
    n = lax.min(n, const(n, n_max))
    order = lax.abs(m)
    size = _normalized_legendre(n, order, theta, n_max)
    # Y_n^-m is the conjugate of Y_n^m, with the sign of m's parity.
    odd = lax.bitwise_and(m < 0, lax.rem(order, const(order, 2)) == 1)
    size = where(odd, -size, size)
    size = where(lax.bitwise_or(order > n, n < 0), const(size, 0), size)
    return lax.complex(size * lax.cos(m * phi), size * lax.sin(m * phi))


def sph_harm_y(
    n: Any, m: Any, theta: Any, phi: Any, diff_n: int | None = None, n_max: int | None = None
) -> Any:
    """Spherical harmonics.

    Args:
      n: the degrees, whole numbers.
      m: the orders, whole numbers with |m| <= n.
      theta: the polar angles, from 0 to pi.
      phi: the azimuthal angles; all four broadcast.
      diff_n: must be None.
      n_max: the highest degree; degrees above it are taken for it. Needed where `n` is traced.

    Returns:
      A complex array.

    Raises:
      NotImplementedError: `diff_n` is given.
      TypeError: `n` is traced, and `n_max` not given.

    Source: `scipy.special.sph_harm_y`; DLMF 14.30, with the recurrence of 14.10.3.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.special.sph_harm_y(0, 0, 0.5, 0.5).round(3))
      (0.282+0j)
    """
    if diff_n is not None:
        raise NotImplementedError(
            "scipy.special.sph_harm_y: diff_n is not supported; differentiate by theta and phi with canter.jacfwd."
        )
    check_arraylike("sph_harm_y", n, m, theta, phi)
    for name, value in (("n", n), ("m", m)):
        if not dtypes.issubdtype(dtypes.dtype(value), np.integer):
            raise TypeError(f"scipy.special.sph_harm_y: {name} must be of an integer dtype.")
    if n_max is None:
        if isinstance(n, Tracer):
            raise TypeError(
                "scipy.special.sph_harm_y: the degrees are traced, so the number of steps is not known. Give n_max."
            )
        n_max = int(np.max(np.asarray(n), initial=0))
    return _sph_harm_y(n, m, theta, phi, n_max=operator.index(n_max))
