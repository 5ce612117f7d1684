"""The Faddeeva function w(z) = exp(-z**2) erfc(-i z) and its kin: erfcx, Dawson's and Fresnel's integrals."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.lax.common import const
from canter.numpy.ufunc_bodies import where
from canter.numpy.util import dtype_of, promote_dtypes_complex, to_inexact
from canter.transforms.custom_rules import custom_jvp

from .common import documented, in_single, is_double, polynomial, real

__all__ = ["dawsn", "erfcx", "fresnel", "scaled_complement", "wofz"]

_ROOT_PI = math.sqrt(math.pi)


@functools.cache
def _weideman(terms: int) -> tuple[tuple[float, ...], float]:
    """Coefficients, constant term first, and width of Weideman's series of w in the upper half plane.

    Source: Weideman, "Computation of the complex error function", 1994.
    """
    width = math.sqrt(terms / math.sqrt(2))
    angles = np.arange(1 - 2 * terms, 2 * terms) * np.pi / (2 * terms)
    t = width * np.tan(angles / 2)
    samples = np.concatenate([[0.0], np.exp(-(t**2)) * (width**2 + t**2)])
    coefficients = np.fft.fft(np.fft.fftshift(samples)).real / (4 * terms)
    return tuple(coefficients[1 : terms + 1].tolist()), width


def _odd_factorials(u: Any, terms: int) -> Any:
    """1 + 1 u + 1·3 u**2 + 1·3·5 u**3 + …, the asymptotic series behind all of these functions."""
    value = const(u, 1)
    for k in range(terms, 0, -1):
        value = 1 + (2 * k - 1) * u * value
    return value


def _upper(z: Any) -> Any:
    """w in the upper half plane."""
    double = dtype_of(z) == np.complex128
    coefficients, width = _weideman(40 if double else 20)
    far = lax.abs(z) > 7
    near_z = where(far, const(z, 1j), z)
    down = 1 / (width - 1j * near_z)
    ratio = (width + 1j * near_z) * down
    near = 2 * polynomial(ratio, coefficients) * (down * down) + down / _ROOT_PI
    far_z = where(far, z, const(z, 7j))
    inverse = 1 / far_z
    asymptotic = (1j / _ROOT_PI) * inverse * _odd_factorials(0.5 * inverse * inverse, 20 if double else 8)
    return where(far, asymptotic, near)


def _w(z: Any) -> Any:
    below = lax.imag(z) < 0
    value = _upper(where(below, -z, z))
    square = where(below, z * z, const(z, 0))
    reflected = where(below, 2 * lax.exp(-square) - value, value)
    # On the real line the real part may be far smaller than the imaginary one.
    x = lax.real(z)
    exact = lax.complex(lax.exp(-x * x), lax.imag(reflected))
    return where(lax.imag(z) == 0, exact, reflected)


@custom_jvp
def _wofz(z: Any) -> Any:
    return _w(z)


@_wofz.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (z,), (dz,) = primals, tangents
    value = _wofz(z)
    return value, dz * (2j / _ROOT_PI - 2 * z * value)


@documented("wofz", "The Faddeeva function exp(-z**2) erfc(-i z), complex.", "wofz(0.0)", "(1+0j)", "z")
def wofz(z: Any) -> Any:
    (z,) = promote_dtypes_complex(to_inexact("wofz", z))
    return _wofz(z)


def _exp_square(x: Any) -> Any:
    """exp(x**2) without the error that rounding the square would bring."""
    bits = 26 if is_double(x) else 12
    scaled = x * (2.0**bits + 1)
    high = lax.stop_gradient(scaled - (scaled - x))
    high = where(lax.is_finite(high), high, x)
    return lax.exp(high * high) * lax.exp((x - high) * (x + high))


def scaled_complement(x: Any) -> Any:
    """erfcx of a real number."""
    far = x > 8
    near_x = where(far, const(x, 0), x)
    near = _exp_square(near_x) * lax.erfc(near_x)
    far_x = where(far, x, const(x, 8))
    inverse = 1 / far_x
    asymptotic = inverse / _ROOT_PI * _odd_factorials(-0.5 * inverse * inverse, 16)
    return where(far, asymptotic, near)


@custom_jvp
def _erfcx(x: Any) -> Any:
    return scaled_complement(x)


@_erfcx.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    value = _erfcx(x)
    far = x > 8
    # 2 x erfcx(x) - 2 / sqrt(pi) cancels far out, where its series does not.
    inverse = 1 / where(far, x, const(x, 8))
    u = -0.5 * inverse * inverse
    series = 2 / _ROOT_PI * u * _odd_factorials_shifted(u)
    return value, dx * where(far, series, 2 * x * value - 2 / _ROOT_PI)


def _odd_factorials_shifted(u: Any) -> Any:
    """(the series of `_odd_factorials` less 1) / u."""
    value = const(u, 0)
    for k in range(16, 0, -1):
        value = (2 * k - 1) * (1 + u * value) if k > 1 else 1 + u * value
    return value


@documented("erfcx", "exp(x**2) erfc(x), which stays in range far out.", "erfcx(0.0)", "1.0")
def erfcx(x: Any) -> Any:
    x = to_inexact("erfcx", x)
    if dtypes.issubdtype(dtype_of(x), np.complexfloating):
        return _wofz(1j * x)
    return in_single(_erfcx)(x)


# Dawson's integral as a sum of Gaussians at the odd multiples of a step; the error is exp(-(pi / (2 step))**2).
# Source: Rybicki, "Dawson's integral and the sampling theorem", 1989.
_STEP = 0.25
_ODD = np.arange(1, 55, 2, dtype=np.float64)


def _dawson(x: Any) -> Any:
    negative = x < 0
    size = where(negative, -x, x)  # unlike abs it has a derivative at 0
    far = size > 7
    near_x = where(far, const(x, 1), size)
    total = const(x, 0)
    for n in _ODD.tolist():
        # Both Gaussians of a pair, as a difference that does not cancel near 0.
        difference = near_x - n * _STEP
        total = total - lax.exp(-difference * difference) * lax.expm1(-4 * n * _STEP * near_x) / n
    far_x = where(far, size, const(x, 7))
    inverse = 1 / far_x
    asymptotic = 0.5 * inverse * _odd_factorials(0.5 * inverse * inverse, 20 if is_double(x) else 10)
    value = where(far, asymptotic, total / _ROOT_PI)
    return where(negative, -value, value)


@documented("dawsn", "Dawson's integral exp(-x**2) times that of exp(t**2) from 0 to x.", "dawsn(0.0)", "0.0")
def dawsn(x: Any) -> Any:
    return in_single(_dawson)(*real("dawsn", x))


# --- Fresnel's integrals --------------------------------------------------------------------------


def _fresnel_values(x: Any) -> tuple[Any, Any]:
    size = lax.abs(x)
    near = size < 1.6
    small = where(near, size, const(x, 0))
    fourth = -lax.integer_pow(small, 4)
    half_pi = math.pi / 2
    terms = range(14 if is_double(x) else 9)
    series_s = [half_pi ** (2 * k + 1) / (math.factorial(2 * k + 1) * (4 * k + 3)) for k in terms]
    series_c = [half_pi ** (2 * k) / (math.factorial(2 * k) * (4 * k + 1)) for k in terms]
    near_s = lax.integer_pow(small, 3) * polynomial(fourth, series_s)
    near_c = small * polynomial(fourth, series_c)
    # Far out both are 1/2 less an oscillation, whose amplitude is w on the diagonal.
    large = where(lax.bitwise_or(near, lax.bitwise_not(lax.is_finite(size))), const(x, 2), size)
    diagonal = large * (_ROOT_PI / 2)
    amplitude = _upper(lax.complex(diagonal, diagonal))
    # The phase pi x**2 / 2 has the period 2 in x**2 / 2.
    phase = math.pi * lax.rem(0.5 * large * large, const(x, 2))
    rotated = lax.complex(lax.cos(phase), lax.sin(phase)) * amplitude
    # (1 + i) / 2 times 1 - rotated
    re, im = 1 - lax.real(rotated), -lax.imag(rotated)
    far_c, far_s = 0.5 * (re - im), 0.5 * (re + im)
    infinite = lax.abs(x) == np.inf
    far_c, far_s = (where(infinite, const(x, 0.5), value) for value in (far_c, far_s))
    sign = lax.sign(x)
    missing = x != x
    values = (where(near, near_s, far_s), where(near, near_c, far_c))
    return tuple(where(missing, x, sign * value) for value in values)


@custom_jvp
def _fresnel(x: Any) -> tuple[Any, Any]:
    return _fresnel_values(x)


@_fresnel.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    phase = 0.5 * math.pi * (x * x)
    return _fresnel(x), (dx * lax.sin(phase), dx * lax.cos(phase))


@documented(
    "fresnel",
    "Fresnel's integrals of sin(pi t**2 / 2) and of cos(pi t**2 / 2) from 0 to x, a pair.",
    "fresnel(0.0)[0]",
    "0.0",
)
def fresnel(x: Any) -> tuple[Any, Any]:
    x = to_inexact("fresnel", x)
    if dtypes.issubdtype(dtype_of(x), np.complexfloating):
        raise NotImplementedError("scipy.special.fresnel: complex-valued inputs are not supported.")
    return in_single(_fresnel)(x)
