"""Bessel functions."""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import numpy as np

from canter import lax, numpy as cnp
from canter.lax.common import const
from canter.numpy.ufunc_bodies import where
from canter.runtime.composite import composite
from canter.transforms.custom_rules import custom_jvp

from .common import in_single, real, unary

__all__ = ["bessel_jn", "i0", "i0e", "i1", "i1e"]

i0e = unary("i0e", lambda x: lax.bessel_i0e(x), "exp(-|x|) * i0(x).", "i0e(0.0)", "1.0")
i1e = unary("i1e", lambda x: lax.bessel_i1e(x), "exp(-|x|) * i1(x).", "i1e(0.0)", "0.0")
i0 = unary(
    "i0",
    lambda x: lax.exp(lax.abs(x)) * lax.bessel_i0e(x),
    "The modified Bessel function of order 0.",
    "i0(0.0)",
    "1.0",
)
i1 = unary(
    "i1",
    lambda x: lax.exp(lax.abs(x)) * lax.bessel_i1e(x),
    "The modified Bessel function of order 1.",
    "i1(0.0)",
    "0.0",
)


# --- Bessel functions of the first kind -----------------------------------------------------------

_BIG_BITS = 30  # a power of 2, so that scaling is exact


def _backward(z: Any, orders: int, start: int) -> Any:
    """J_0 … J_{orders - 1} at 0.1 < z < start - 40, by Miller's recurrence from a high order down.

    The values grow on the way, so they are scaled down from time to time; how often is counted.
    """
    big, small = 2.0**_BIG_BITS, 2.0**-_BIG_BITS

    def step(carry: Any, order: Any) -> Any:
        above, here, total, scaled = carry
        order = lax.convert_element_type(order, z.dtype)
        below = 2 * (order + 1) / z * here - above
        # J_0 + 2 J_2 + 2 J_4 + … = 1
        weight = where(order == 0, const(order, 1), 2 * (1 - lax.rem(order, const(order, 2))))
        total = total + weight * below
        large = lax.abs(below) > big
        factor = where(large, const(z, small), const(z, 1))
        scaled = scaled + where(large, const(z, 1), const(z, 0))
        below = below * factor
        return (here * factor, below, total * factor, scaled), (below, scaled)

    zero = lax.full_like(z, 0)
    initial = (zero, lax.full_like(z, 1e-20), zero, zero)
    orders_down = np.arange(start, -1, -1, dtype=np.int32)
    (_, _, total, scaled), (values, at) = lax.scan(step, initial, orders_down)
    values, at = values[-orders:][::-1], at[-orders:][::-1]
    # In two factors, each of which is in range.
    shift = lax.exp2(0.5 * _BIG_BITS * (at - scaled))
    return values * shift * shift / total


def _hankel(z: Any, order: int) -> Any:
    """J_0 or J_1 at z > 20, by Hankel's expansion (DLMF 10.17.3)."""
    p, q, term = const(z, 0), const(z, 0), lax.full_like(z, 1)
    for k in range(25):
        sign = 1 if k % 4 < 2 else -1
        if k % 2 == 0:
            p = p + sign * term
        else:
            q = q + sign * term
        term = term * ((4 * order**2 - (2 * k + 1) ** 2) / (8 * (k + 1))) / z
    # cos and sin of z - pi / 4 (and z - 3 pi / 4) without rounding the difference.
    cosine, sine = lax.cos(z), lax.sin(z)
    first, second = (cosine + sine, sine - cosine) if order == 0 else (sine - cosine, -(cosine + sine))
    return (p * first - q * second) / lax.sqrt(math.pi * z)


def _forward(z: Any, orders: int) -> Any:
    """J_0 … J_{orders - 1} at large z above the order, where the recurrence upwards is stable."""

    def step(carry: Any, order: Any) -> Any:
        below, here = carry
        above = 2 * lax.convert_element_type(order, z.dtype) / z * here - below
        return (here, above), below

    first = (_hankel(z, 0), _hankel(z, 1))
    return lax.scan(step, first, np.arange(1, orders + 1, dtype=np.int32))[1]


def _powers(z: Any, orders: int) -> Any:
    """J_0 … J_{orders - 1} at z <= 0.1, by the power series."""

    def step(power: Any, order: Any) -> Any:
        order = lax.convert_element_type(order, z.dtype)
        series = const(z, 1)
        for j in range(6, 0, -1):
            series = 1 - 0.25 * z * z / (j * (order + j)) * series
        return power * (0.5 * z) / (order + 1), power * series

    return lax.scan(step, lax.full_like(z, 1), np.arange(orders, dtype=np.int32))[1]


def _bessel_orders(z: Any, orders: int, iterations: int) -> Any:
    start = max(iterations, orders + 60)
    size = lax.abs(z)
    tiny, far = size <= 0.1, size > start - 40
    middle = _backward(where(lax.bitwise_or(tiny, far), const(z, 1), size), orders, start)
    large = _forward(where(far, size, const(z, 100)), orders)
    small = _powers(where(tiny, size, const(z, 0)), orders)
    value = where(tiny[None], small, where(far[None], large, middle))
    parity = cnp.reshape(np.arange(orders) % 2 == 1, (orders, *(1,) * len(z.shape)))
    value = where(lax.bitwise_and(parity, z[None] < 0), -value, value)
    return where(z[None] != z[None], const(z, np.nan), value)


@functools.partial(custom_jvp, nondiff_argnums=(1, 2))
def _bessel_jn(z: Any, orders: int, iterations: int) -> Any:
    return _bessel_orders(z, orders, iterations)


@_bessel_jn.defjvp
def _(orders: int, iterations: int, primals: Any, tangents: Any) -> Any:
    values = _bessel_jn(cnp.asarray(primals[0]), orders + 1, iterations)
    # J_n' = (J_{n-1} - J_{n+1}) / 2, and J_{-1} = -J_1.
    below = cnp.concatenate([-values[1:2], values[: orders - 1]])
    return values[:orders], 0.5 * (below - values[1:]) * cnp.asarray(tangents[0])[None]


@composite(static_argnames=("v", "n_iter"))
def _bessel_jn_call(z: Any, *, v: int, n_iter: int) -> Any:
    (z,) = real("bessel_jn", z)
    return in_single(lambda x: _bessel_jn(x, v + 1, n_iter))(z)


def bessel_jn(z: Any, *, v: int, n_iter: int = 50) -> Any:
    """Bessel functions of the first kind, of all orders up to one.

    Args:
      z: array or number, real.
      v: the highest order, not negative.
      n_iter: at least from which order the recurrence goes down; more orders for a greater `z`.

    Returns:
      An array of shape (v + 1, *z.shape).

    Raises:
      ValueError: `v` is negative, or `z` complex.

    Source: Miller's algorithm, DLMF 3.6(v); Hankel's expansion, DLMF 10.17.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.special.bessel_jn(0.0, v=2))
      [1. 0. 0.]
    """
    v, n_iter = operator.index(v), operator.index(n_iter)
    if v < 0:
        raise ValueError(f"scipy.special.bessel_jn: the order v must not be negative, got {v}.")
    return _bessel_jn_call(z, v=v, n_iter=n_iter)
