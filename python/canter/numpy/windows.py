"""Window functions, as NumPy has them, and the Bessel function that one of them takes."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from canter import lax
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from .creation import asarray, requested_dtype
from .util import (
    broadcast_to,
    check_arraylike,
    dtype_of,
    dtype_rank,
    promote_dtypes_inexact,
    shape_of,
    to_inexact,
)

__all__ = ["bartlett", "blackman", "hamming", "hanning", "i0", "kaiser"]

_DOC = """The {which} window, as `numpy.{name}`.

Args:
  M: the number of points, an int; an empty window for less than 1.

Returns:
  An array of shape (M,), {formula}; 1 for M = 1.

Raises:
  TypeError: M is not an int.

Example:
  >>> import canter.numpy as cnp
  >>> cnp.{name}(5)
  Array({printed}, dtype=float32)
"""


def _cosines(*coefficients: float) -> Any:
    """A sum of cosines over one period."""

    def values(points: np.ndarray) -> Any:
        return sum(c * np.cos(k * points * math.pi) for k, c in enumerate(coefficients))

    return values


# name, whose window it is, its values over [-1, 1], the formula, printed result
_WINDOWS: tuple[tuple[str, str, Any, str, str], ...] = (
    ("bartlett", "triangular (Bartlett)", lambda points: 1 - np.abs(points), "from 0 up to 1 and back to 0",
     "[0. , 0.5, 1. , 0.5, 0. ]"),
    ("blackman", "Blackman", _cosines(0.42, 0.5, 0.08), "0.42 + 0.5 cos(pi t) + 0.08 cos(2 pi t) over [-1, 1]",
     "[-1.3877788e-17,  3.4000000e-01,  1.0000000e+00,  3.4000000e-01, -1.3877788e-17]"),
    ("hamming", "Hamming", _cosines(0.54, 0.46), "0.54 + 0.46 cos(pi t) over [-1, 1]",
     "[0.08, 0.54, 1.  , 0.54, 0.08]"),
    ("hanning", "Hann", _cosines(0.5, 0.5), "0.5 + 0.5 cos(pi t) over [-1, 1]", "[0. , 0.5, 1. , 0.5, 0. ]"),
)  # fmt: skip


def _points(name: str, M: Any) -> np.ndarray:
    """M equally spaced points from -1 to 1.

    A window depends on nothing but M, so it is computed on the host, in double precision.
    """
    try:
        count = operator.index(M)
    except TypeError:
        raise TypeError(f"{name} takes a number of points, an int that is not traced, got {M!r}.") from None
    return np.arange(1 - count, count, 2) / max(count - 1, 1)


def _window(name: str, which: str, values: Any, formula: str, printed: str) -> Any:
    def window(M: int) -> Any:
        points = _points(name, M)
        return asarray(np.asarray(values(points), np.float64).astype(requested_dtype(name, None)))

    window.__name__ = window.__qualname__ = name
    window.__module__ = "canter.numpy"
    window.__doc__ = _DOC.format(name=name, which=which, formula=formula, printed=printed)
    return window


bartlett, blackman, hamming, hanning = (_window(*row) for row in _WINDOWS)


@composite
def _kaiser(points: Any, beta: Any) -> Any:
    (beta,) = promote_dtypes_inexact(beta)
    shape = lax.broadcast_shapes(shape_of(points), shape_of(beta))
    beta = broadcast_to(as_array(beta), shape)
    points = broadcast_to(lax.convert_element_type(points, dtype_of(beta)), shape)
    inner = lax.mul(beta, points)
    # i0(x) = exp(|x|) i0e(x): the exponentials together cannot overflow.
    growth = lax.exp(lax.sub(lax.abs(inner), lax.abs(beta)))
    return lax.mul(growth, lax.div(lax.bessel_i0e(inner), lax.bessel_i0e(beta)))


def kaiser(M: int, beta: Any) -> Any:
    """The Kaiser window, as `numpy.kaiser`.

    Args:
      M: the number of points, an int; an empty window for less than 1.
      beta: the shape parameter, a number; greater ones give narrower windows.

    Returns:
      An array of shape (M,), i0(beta sqrt(1 - t^2)) / i0(beta) over [-1, 1].

    Raises:
      TypeError: M is not an int.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.kaiser(3, 0.0)
      Array([1., 1., 1.], dtype=float32)
    """
    points = _points("kaiser", M)
    check_arraylike("kaiser", beta)
    return _kaiser(asarray(np.sqrt(1 - points**2).astype(requested_dtype("kaiser", None))), beta)


@composite
def i0(x: Any) -> Any:
    """The modified Bessel function of the first kind, of order 0, element by element, as `numpy.i0`.

    Args:
      x: an array or number, not complex.

    Returns:
      An array of floats.

    Raises:
      ValueError: x is complex.

    Example:
      >>> import canter.numpy as cnp
      >>> print(cnp.i0(0.0), f"{cnp.i0(1.0):.4f}")
      1.0 1.2661
    """
    x = to_inexact("i0", x)
    if dtype_rank(dtype_of(x)) == 3:
        raise ValueError(f"i0 takes real numbers, got {dtype_of(x)}.")
    return lax.mul(lax.exp(lax.abs(x)), lax.bessel_i0e(x))
