"""Polynomials as arrays of their coefficients, the highest power first, as in `numpy.poly1d`."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from . import ufunc_bodies as bodies, ufuncs
from .differences import convolve
from .sorting import _concrete
from .util import (
    broadcast_to,
    check_arraylike,
    convert,
    dtype_of,
    dtype_rank,
    promote_dtypes,
    promote_dtypes_complex,
    promote_dtypes_inexact,
    shape_of,
)

__all__ = [
    "poly", "polyadd", "polyder", "polydiv", "polyfit", "polyint", "polymul", "polysub", "polyval", "roots",
]  # fmt: skip


def _coefficients(name: str, *polynomials: Any) -> list[Any]:
    """One-dimensional arrays of one dtype; a number counts as a constant."""
    check_arraylike(name, *polynomials)
    for p in polynomials:
        if len(shape_of(p)) > (2 if name in ("polyadd", "polysub") else 1):
            raise ValueError(f"{name} takes one-dimensional arrays of coefficients, got shape {shape_of(p)}.")
    return [x if shape_of(x) else lax.reshape(as_array(x), (1,)) for x in promote_dtypes(*polynomials)]


def _length(p: Any) -> int:
    return shape_of(p)[0]


def _trimmed(p: Any, name: str) -> Any:
    """Without leading zeros, for which the values have to be known."""
    values = _concrete(f"{name} (there called trim_leading_zeros=False)", p)
    nonzero = np.nonzero(values)[0]
    return lax.slice_in_dim(as_array(p), int(nonzero[0]) if len(nonzero) else _length(p), None)


# --- arithmetic ---------------------------------------------------------------------------------


def _padded(p: Any, length: int) -> Any:
    missing = length - _length(p)
    if not missing:
        return as_array(p)
    return lax.pad(as_array(p), const(p, 0), [(missing, 0, 0), *[(0, 0, 0)] * (len(shape_of(p)) - 1)])


@composite
def polyadd(a1: Any, a2: Any) -> Any:
    """The sum of two polynomials, as `numpy.polyadd`.

    Args:
      a1, a2: arrays of coefficients, the highest power first; of two dimensions, a column is a polynomial.

    Returns:
      The coefficients of the sum, as many as the longer one has.

    Raises:
      ValueError: an array has more dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.polyadd(cnp.array([1, 2]), cnp.array([9, 5, 4]))
      Array([9, 6, 6], dtype=int32)
    """
    a1, a2 = _coefficients("polyadd", a1, a2)
    length = max(_length(a1), _length(a2))
    return ufuncs.add(_padded(a1, length), _padded(a2, length))


@composite
def polysub(a1: Any, a2: Any) -> Any:
    """The difference of two polynomials, as `numpy.polysub`.

    Args:
      a1, a2: arrays of coefficients, the highest power first; of two dimensions, a column is a polynomial.

    Returns:
      The coefficients of a1 - a2, as many as the longer one has.

    Raises:
      ValueError: an array has more dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.polysub(cnp.array([9, 5, 4]), cnp.array([1, 2]))
      Array([9, 4, 2], dtype=int32)
    """
    a1, a2 = _coefficients("polysub", a1, a2)
    length = max(_length(a1), _length(a2))
    return ufuncs.subtract(_padded(a1, length), _padded(a2, length))


def polymul(a1: Any, a2: Any, *, trim_leading_zeros: bool = False) -> Any:
    """The product of two polynomials, as `numpy.polymul`.

    Args:
      a1, a2: one-dimensional arrays of coefficients, the highest power first.
      trim_leading_zeros: whether to leave leading zeros of the operands out, as NumPy does; for this their
        values have to be known.

    Returns:
      The coefficients of the product, floats.

    Raises:
      ValueError: an array has more dimensions.
      ConcretizationTypeError: zeros are to be trimmed from a traced array.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.polymul(cnp.array([1, 1]), cnp.array([1, -1]))
      Array([ 1.,  0., -1.], dtype=float32)
    """
    a1, a2 = promote_dtypes_inexact(*_coefficients("polymul", a1, a2))
    if trim_leading_zeros:
        a1, a2 = _trimmed(a1, "polymul"), _trimmed(a2, "polymul")
    a1, a2 = (x if _length(x) else lax.full((1,), 0, dtype_of(x)) for x in (a1, a2))
    return convolve(a1, a2, mode="full")


@composite
def _divide(u: Any, v: Any) -> tuple[Any, Any]:
    """Long division: each step takes one multiple of v off the remainder."""
    count, width = _length(u) - _length(v) + 1, _length(v)

    def step(remainder: Any, place: Any) -> tuple[Any, Any]:
        part = lax.dynamic_slice_in_dim(remainder, place, width)
        factor = lax.div(lax.index_in_dim(part, 0, keepdims=False), lax.index_in_dim(v, 0, keepdims=False))
        part = lax.sub(part, lax.mul(v, broadcast_to(factor, (width,))))
        return lax.dynamic_update_slice_in_dim(remainder, part, place, 0), factor

    remainder, quotient = lax.scan(step, u, lax.iota(np.int32, count))
    done = lax.lt(lax.iota(np.int32, _length(u)), np.int32(count))  # what division took off is exactly zero
    return quotient, bodies.where(done, const(u, 0), remainder)


def polydiv(u: Any, v: Any, *, trim_leading_zeros: bool = False) -> tuple[Any, Any]:
    """The quotient and the remainder of two polynomials, as `numpy.polydiv`.

    Args:
      u: the dividend, a one-dimensional array of coefficients, the highest power first.
      v: the divisor, likewise; its first coefficient must not be zero.
      trim_leading_zeros: whether to leave leading zeros of the remainder out, as NumPy does; for this its
        values have to be known.

    Returns:
      The coefficients of the quotient, and those of the remainder, as many as u has.

    Raises:
      ValueError: an array has more dimensions, or v is empty.
      ConcretizationTypeError: zeros are to be trimmed from a traced array.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.polydiv(cnp.array([1.0, 5.0, 7.0]), cnp.array([1.0, 2.0]))
      (Array([1., 3.], dtype=float32), Array([0., 0., 1.], dtype=float32))
    """
    u, v = (as_array(x) for x in promote_dtypes_inexact(*_coefficients("polydiv", u, v)))
    if not _length(v):
        raise ValueError("polydiv: the divisor has no coefficients.")
    if _length(u) < _length(v):
        quotient, remainder = lax.full((1,), 0, dtype_of(u)), u
    else:
        quotient, remainder = _divide(u, v)
    return quotient, _trimmed(remainder, "polydiv") if trim_leading_zeros else remainder


# --- calculus -----------------------------------------------------------------------------------


def _order(name: str, m: Any) -> int:
    m = operator.index(m)
    if m < 0:
        raise ValueError(f"{name}: the order m must not be negative, got {m}.")
    return m


def polyder(p: Any, m: int = 1) -> Any:
    """The coefficients of a polynomial's derivative, as `numpy.polyder`.

    Args:
      p: a one-dimensional array of coefficients, the highest power first.
      m: how often to differentiate.

    Returns:
      An array of m coefficients less, floats.

    Raises:
      ValueError: m is negative, or p has more dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.polyder(cnp.array([1.0, 2.0, 3.0]))
      Array([2., 2.], dtype=float32)
    """
    m = _order("polyder", m)
    (p,) = promote_dtypes_inexact(*_coefficients("polyder", p))
    left = max(_length(p) - m, 0)
    powers = np.arange(_length(p) - 1, m - 1, -1, dtype=np.float64)
    factors = math.prod((powers - i for i in range(m)), start=np.ones(left))
    return ufuncs.multiply(lax.slice_in_dim(as_array(p), 0, left), factors.astype(dtype_of(p)))


@composite(static_argnames=("m",))
def _integral(p: Any, k: Any, *, m: int) -> Any:
    p, k = promote_dtypes_inexact(p, k)
    length = _length(p)
    constants = broadcast_to(as_array(k), (m,))
    p = lax.concatenate([as_array(p), constants], 0)
    # The j-th coefficient of the result has been divided by its power once for each integration since it came.
    divisors = np.ones(length + m)
    for i in range(1, m + 1):
        powers = np.arange(length + i - 1, 0, -1)
        divisors[: len(powers)] *= powers
    return lax.div(p, divisors.astype(dtype_of(p)))


def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """The coefficients of a polynomial's antiderivative, as `numpy.polyint`.

    Args:
      p: a one-dimensional array of coefficients, the highest power first.
      m: how often to integrate.
      k: the constants of integration, a number or an array of length 1 or m, in the order of the integrations;
        0 by default.

    Returns:
      An array of m coefficients more, floats.

    Raises:
      ValueError: m is negative, or k has another length.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.polyint(cnp.array([2.0, 2.0]), k=3.0)
      Array([1., 2., 3.], dtype=float32)
    """
    m = _order("polyint", m)
    (p,) = _coefficients("polyint", p)
    k = 0 if k is None else k
    check_arraylike("polyint", k)
    if len(shape_of(k)) > 1 or (shape_of(k) and shape_of(k)[0] not in (1, m)):
        raise ValueError(
            f"polyint: k must be a number or an array of length 1 or m={m}, got shape {shape_of(k)}."
        )
    return promote_dtypes_inexact(p)[0] if m == 0 else _integral(p, k, m=m)


# --- values, roots, fits ------------------------------------------------------------------------


@composite(static_argnames=("unroll",))
def _horner(p: Any, x: Any, *, unroll: int) -> Any:
    p, x = (as_array(a) for a in promote_dtypes(p, x))
    shape = lax.broadcast_shapes(shape_of(p)[1:], shape_of(x))
    x = broadcast_to(x, shape)

    def step(value: Any, coefficient: Any) -> tuple[Any, None]:
        return bodies.add(bodies.multiply(value, x), broadcast_to(coefficient, shape)), None

    value, _ = lax.scan(step, lax.full_like(x, 0), p, unroll=unroll)
    return value


def polyval(p: Any, x: Any, *, unroll: int = 16) -> Any:
    """The value of a polynomial by Horner's rule, as `numpy.polyval`.

    Args:
      p: an array of coefficients, the highest power first along the first axis.
      x: an array or number.
      unroll: how many steps of the loop to write out, as in `canter.lax.scan`.

    Returns:
      An array of x's shape, broadcast against p's further dimensions.

    Raises:
      ValueError: p has no dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.polyval(cnp.array([1, 2, 3]), cnp.array([0, 1, 2]))
      Array([ 3,  6, 11], dtype=int32)
    """
    check_arraylike("polyval", p, x)
    if not shape_of(p):
        raise ValueError("polyval takes an array of coefficients, got a number.")
    return _horner(p, x, unroll=operator.index(unroll))


@composite
def _from_roots(zeros: Any) -> Any:
    (zeros,) = promote_dtypes_inexact(zeros)
    zeros = as_array(zeros)
    count = _length(zeros)
    start = lax.concatenate([lax.full((1,), 1, dtype_of(zeros)), lax.full((count,), 0, dtype_of(zeros))], 0)

    def step(p: Any, zero: Any) -> tuple[Any, None]:
        shifted = lax.pad(lax.slice_in_dim(p, 0, count), const(p, 0), [(1, 0, 0)])
        return lax.sub(p, lax.mul(shifted, broadcast_to(zero, shape_of(p)))), None

    return lax.scan(step, start, zeros)[0]


def poly(seq_of_zeros: Any) -> Any:
    """The coefficients of the polynomial with given roots, as `numpy.poly`.

    Args:
      seq_of_zeros: a one-dimensional array of roots; or a square matrix, whose characteristic polynomial is given.

    Returns:
      The coefficients, the highest power first, whose own is 1. Complex numbers for a matrix.

    Raises:
      ValueError: an array of two dimensions is not square, or there are more.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.poly(cnp.array([1.0, 2.0]))
      Array([ 1., -3.,  2.], dtype=float32)
    """
    check_arraylike("poly", seq_of_zeros)
    shape = shape_of(seq_of_zeros)
    if len(shape) == 2 and shape[0] == shape[1] and shape[0] > 0:
        from .linalg import eigvals

        seq_of_zeros = eigvals(seq_of_zeros)
    elif len(shape) > 1:
        raise ValueError(f"poly takes a one-dimensional array or a square matrix, got shape {shape}.")
    if shape == (0,):
        return lax.full((), 1, promote_dtypes_inexact(seq_of_zeros)[0].dtype)
    return _from_roots(seq_of_zeros if shape else lax.reshape(as_array(seq_of_zeros), (1,)))


@composite
def _companion_roots(p: Any) -> Any:
    """The eigenvalues of the matrix whose characteristic polynomial p is."""
    from .linalg import eigvals

    p = as_array(p)
    size = _length(p) - 1
    first = lax.neg(lax.div(lax.slice_in_dim(p, 1, None), broadcast_to(lax.slice_in_dim(p, 0, 1), (size,))))
    below = np.eye(size - 1, size, dtype=np.float32).astype(dtype_of(p))
    return eigvals(lax.concatenate([lax.reshape(first, (1, size)), below], 0))


@composite
def _roots_of_any(p: Any) -> Any:
    """The roots of a polynomial that may begin with zeros, each of which leaves a nan at the end.

    Moved to the back, such a zero gives a root 0, and there is no root below it.
    """
    p = as_array(p)
    count = _length(p)
    zeros = lax.reduce_sum(lax.cumprod(convert(lax.eq(p, const(p, 0)), np.dtype(np.int32)), 0), (0,))
    places = lax.iota(np.int32, count)
    p = p[bodies.remainder(lax.add(places, broadcast_to(zeros, (count,))), np.int32(count))]
    found = _companion_roots(p)
    _, number = lax.sort_key_val(lax.neg(lax.abs(found)), lax.iota(np.int32, count - 1))
    kept = lax.lt(lax.iota(np.int32, count - 1), lax.sub(np.int32(count - 1), zeros))
    return bodies.where(kept, found[number], const(found, math.nan))


def roots(p: Any, *, strip_zeros: bool = True) -> Any:
    """The roots of a polynomial, as `numpy.roots`.

    Args:
      p: a one-dimensional array of coefficients, the highest power first.
      strip_zeros: whether to take leading and trailing zeros out first, for which p's values have to be known.
        Without it (under `jit`) each leading zero gives a nan at the end.

    Returns:
      A one-dimensional array of complex numbers.

    Raises:
      ValueError: p has another number of dimensions.
      ConcretizationTypeError: zeros are to be taken out of a traced array.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.roots(cnp.array([1.0, -3.0, 2.0])).real
      Array([2., 1.], dtype=float32)
    """
    check_arraylike("roots", p)
    if len(shape_of(p)) != 1:
        raise ValueError(f"roots takes a one-dimensional array of coefficients, got shape {shape_of(p)}.")
    (p,) = promote_dtypes_inexact(p)
    complex_dtype = dtypes.to_complex_dtype(dtype_of(p))
    trailing = 0
    if strip_zeros:
        values = _concrete("roots (there called strip_zeros=False)", p)
        nonzero = np.nonzero(values)[0]
        first, last = (int(nonzero[0]), int(nonzero[-1]) + 1) if len(nonzero) else (len(values), len(values))
        trailing = len(values) - last if len(nonzero) else 0
        p = lax.slice_in_dim(as_array(p), first, last)
    if _length(p) < 2:
        return lax.full((trailing,), 0, complex_dtype)
    if not strip_zeros:
        return _roots_of_any(p)
    found = _companion_roots(p)
    return lax.concatenate([found, lax.full((trailing,), 0, complex_dtype)], 0) if trailing else found


@composite(static_argnames=("deg", "rcond", "full", "cov"))
def _fit(x: Any, y: Any, w: Any, *, deg: int, rcond: Any, full: bool, cov: Any) -> Any:
    from .linalg import inv, lstsq
    from .matrices import vander

    left = vander(x, deg + 1)
    right = as_array(y)
    if w is not None:
        weights = as_array(w)
        left = ufuncs.multiply(left, weights[:, None])
        right = ufuncs.multiply(right, weights[:, None] if len(shape_of(right)) == 2 else weights)
    scale = lax.sqrt(lax.reduce_sum(lax.square(lax.abs(left)), (0,)))
    scaled = ufuncs.divide(left, scale)
    found, residuals, rank, singular = lstsq(scaled, right, rcond)
    columns = len(shape_of(right)) == 2
    found = ufuncs.divide(found, scale[:, None] if columns else scale)
    if full:
        return found, residuals, rank, singular, rcond
    if not cov:
        return found
    covariance = ufuncs.divide(inv(ufuncs.inline["conjugate"](scaled).T @ scaled), scale[:, None] * scale)
    if cov == "unscaled":
        factor = const(covariance, 1)
    else:
        factor = ufuncs.divide(residuals, _length(x) - deg - 1)
        factor = factor if columns else factor[0]
    return found, covariance[:, :, None] * factor if columns and cov != "unscaled" else covariance * factor


def polyfit(
    x: Any,
    y: Any,
    deg: int,
    rcond: float | None = None,
    full: bool = False,
    w: Any = None,
    cov: bool | str = False,
) -> Any:
    """The polynomial of a degree that fits points best, by least squares, as `numpy.polyfit`.

    Args:
      x: an array of shape (m,).
      y: an array of shape (m,), or (m, k) for k fits.
      deg: the degree.
      rcond: singular values below this part of the greatest count as zero; m times the dtype's precision by
        default.
      full: whether to return what `numpy.linalg.lstsq` does, too.
      w: weights of the residuals, of shape (m,).
      cov: whether to return the covariance of the coefficients, too: scaled such that the residuals' variance is
        explained, or as it is for "unscaled".

    Returns:
      The coefficients, of shape (deg + 1,) or (deg + 1, k), the highest power first. With `full` a tuple of them,
      the residuals, the rank, the singular values and rcond; with `cov` a pair of them and the covariance.

    Raises:
      TypeError: x is not one-dimensional, or empty, or the lengths differ.
      ValueError: deg is negative, or there are too few points to scale the covariance.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.polyfit(cnp.arange(4.0), cnp.array([1.0, 3.0, 5.0, 7.0]), 1).round(3)
      Array([2., 1.], dtype=float32)
    """
    check_arraylike("polyfit", x, y, *(() if w is None else (w,)))
    degree = operator.index(deg if not isinstance(deg, float) or deg % 1 else int(deg))
    if degree < 0:
        raise ValueError(f"polyfit: expected deg >= 0, got {degree}.")
    if len(shape_of(x)) != 1 or not shape_of(x)[0]:
        raise TypeError(f"polyfit: expected a non-empty one-dimensional x, got shape {shape_of(x)}.")
    if len(shape_of(y)) not in (1, 2) or shape_of(y)[0] != shape_of(x)[0]:
        raise TypeError(
            f"polyfit: expected y of shape (m,) or (m, k) with the m={shape_of(x)[0]} of x, got {shape_of(y)}."
        )
    if w is not None and shape_of(w) != shape_of(x):
        raise TypeError(f"polyfit: expected weights of x's shape {shape_of(x)}, got {shape_of(w)}.")
    if cov and cov != "unscaled" and not full and shape_of(x)[0] <= degree + 1:
        raise ValueError(
            f"polyfit: to scale the covariance there must be more than deg + 1 = {degree + 1} points, got "
            f'{shape_of(x)[0]}; or pass cov="unscaled".'
        )
    x, y = promote_dtypes_inexact(x, y)
    if dtype_rank(dtype_of(x)) == 3:
        x, y = promote_dtypes_complex(x, y)
    if w is not None:
        w = convert(w, dtype_of(x))
    if rcond is None:
        rcond = float(shape_of(x)[0] * dtypes.finfo(dtype_of(x)).eps)
    return _fit(x, y, w, deg=degree, rcond=rcond, full=bool(full), cov=cov)
