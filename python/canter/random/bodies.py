"""The bodies of the samplers that turn the bits of each number on its own into a sample.

A body takes a key's raw words and works on tracers too; on arrays it is one compiled call. The
public functions of samplers.py check arguments and call them. The samples of a key are those that
JAX 0.10.2 draws with it, to the last bit: the order of operations here is part of that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from canter import lax, numpy as cnp
from canter.core import dtypes
from canter.core.avals import get_aval
from canter.numpy.util import convert
from canter.runtime.composite import composite

from .arguments import STATIC
from .keys import PRNGImpl
from .primitives import random_clone_p

__all__ = [
    "again", "bernoulli_body", "bits_body", "cauchy_body", "exponential_body", "gumbel_body", "halves",
    "laplace_body", "logistic_body", "lognormal_body", "maxwell_body", "normal_body", "rademacher_body",
    "randint_body", "truncated_normal_body", "uniform_body", "unit_uniform_body",
]  # fmt: skip

Shape = tuple[int, ...]
_HALF_INT = np.dtype(np.int32)


def halves(words: Any, impl: PRNGImpl, count: int = 2) -> list[Any]:
    """The raw keys that a raw key splits into."""
    keys = impl.split(words, (count,))
    return [lax.index_in_dim(keys, i, 0, keepdims=False) for i in range(count)]


def again(words: Any, impl: PRNGImpl) -> Any:
    """The raw key for a second use: two ways to draw, of which one is taken for each sample, share it."""
    return words if impl.key_shape else random_clone_p.bind(words)


# --- bodies ---------------------------------------------------------------------------------------


@composite(static_argnames=STATIC)
def bits_body(words: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    """Uniformly random bits."""
    return impl.random_bits(words, np.dtype(dtype).itemsize * 8, shape)


@composite(static_argnames=STATIC)
def uniform_body(words: Any, low: Any, high: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    """Random bits as the mantissa of a number in [1, 2), moved to [low, high)."""
    low, high = convert(low, dtype), convert(high, dtype)
    mantissa, width = dtypes.finfo(dtype).nmant, dtype.itemsize * 8
    # Types with few bits draw no more of them than they can use.
    drawn = 8 if mantissa < 8 else width
    unsigned = np.dtype(f"uint{width}")
    random = convert(impl.random_bits(words, drawn, shape), unsigned)
    one = np.ones((), dtype).view(unsigned)[()]
    random = lax.bitwise_or(lax.shift_right_logical(random, unsigned.type(drawn - mantissa)), one)
    floats = lax.bitcast_convert_type(random, dtype) - np.ones((), dtype)[()]
    # Rounding may fall below the lower bound, never on the upper one.
    return cnp.maximum(low, floats * (high - low) + low)


@composite(static_argnames=STATIC)
def unit_uniform_body(words: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    """Numbers in [0, 1): without bounds among the arguments the call is quicker."""
    return uniform_body(words, 0.0, 1.0, impl=impl, shape=shape, dtype=dtype)


@composite(static_argnames=STATIC)
def normal_body(words: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    """The inverse distribution function at uniform numbers in (-1, 1)."""
    if dtypes.issubdtype(dtype, np.complexfloating):
        part = np.dtype(f"float{dtype.itemsize * 4}")
        re, im = (normal_body(k, impl=impl, shape=shape, dtype=part) for k in halves(words, impl))
        return (convert(re, dtype) + dtype.type(1j) * convert(im, dtype)) / np.asarray(np.sqrt(2), dtype)[()]
    one = np.ones((), dtype)
    above_minus_one = np.nextafter(-one, 0 * one, dtype=dtype)[()]
    draw = uniform_body(words, above_minus_one, one[()], impl=impl, shape=shape, dtype=dtype)
    return np.asarray(np.sqrt(2), dtype)[()] * lax.erf_inv(draw)


@composite(static_argnames=(*STATIC, "open_end"))
def randint_body(
    words: Any, low: Any, high: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any, open_end: bool
) -> Any:
    """Integers in [low, high): two draws make the remainder by the span nearly unbiased."""
    limits = dtypes.iinfo(dtype)
    work = dtype if dtype.itemsize >= 4 else _HALF_INT
    unsigned = np.dtype(f"uint{work.itemsize * 8}")
    low, _ = _clamped(low, limits.min, limits.max, work)
    high, beyond = _clamped(high, limits.min, limits.max + (work != dtype), work)
    beyond = True if open_end else beyond & (work == dtype)
    higher, lower = (impl.random_bits(k, work.itemsize * 8, shape) for k in halves(words, impl))
    span = cnp.where(high <= low, unsigned.type(1), convert(high - low, unsigned))
    span = cnp.where(beyond & (high > low), span + unsigned.type(1), span)
    multiplier = lax.rem(unsigned.type(1 << (work.itemsize * 4)), span)
    multiplier = lax.rem(multiplier * multiplier, span)
    remainder = _remainder_by(span, shape)
    offset = remainder(remainder(higher) * multiplier + remainder(lower))
    return convert(low + convert(offset, work), dtype)


def _remainder_by(span: Any, shape: Shape) -> Callable[[Any], Any]:
    """The remainder of unsigned integers by a span, without a division for each; by 0 they stay as they are.

    The upper half of x times floor((2^n - 1) / span) is the quotient or one less. Processors divide one
    integer at a time, but multiply many. Source: Barrett, "Implementing the Rivest Shamir and Adleman public key
    encryption algorithm on a standard digital signal processor", CRYPTO 1986.
    """
    unsigned = span.dtype
    bits = unsigned.itemsize * 8
    half, low_half = unsigned.type(bits // 2), unsigned.type((1 << bits // 2) - 1)
    inverse = lax.div(unsigned.type((1 << bits) - 1), lax.max(span, unsigned.type(1)))
    span, inverse = cnp.broadcast_to(span, shape), cnp.broadcast_to(inverse, shape)

    def parts(x: Any) -> tuple[Any, Any]:
        return lax.shift_right_logical(x, half), lax.bitwise_and(x, low_half)

    def upper_half_of_product(x: Any, y: Any) -> Any:
        (x1, x0), (y1, y0) = parts(x), parts(y)
        middle = x1 * y0 + lax.shift_right_logical(x0 * y0, half)
        carried, rest = parts(middle)
        return x1 * y1 + carried + lax.shift_right_logical(x0 * y1 + rest, half)

    def remainder(x: Any) -> Any:
        rest = x - upper_half_of_product(x, inverse) * span
        return lax.min(rest, rest - span)  # below the span, the difference wraps around

    return remainder


def _clamped(bound: Any, low: int, high: int, work: Any) -> tuple[Any, Any]:
    """A bound inside the range of a dtype, and whether it lay above it."""
    aval = get_aval(bound)
    if not dtypes.issubdtype(aval.dtype, np.integer):
        bound, aval = convert(bound, work), aval.update(dtype=work)
    own = dtypes.iinfo(aval.dtype)
    least, most = (aval.dtype.type(min(max(n, own.min), own.max)) for n in (low, high))
    above = bound > most if high < own.max else np.False_
    return convert(cnp.minimum(most, cnp.maximum(least, convert(bound, aval.dtype))), work), above


@composite(static_argnames=("impl", "shape", "mode"))
def bernoulli_body(words: Any, p: Any, *, impl: PRNGImpl, shape: Shape, mode: str) -> Any:
    """Whether uniform numbers lie below p; in the high mode with twice the bits."""
    dtype = get_aval(p).dtype
    if mode == "low":
        return uniform_body(words, 0.0, 1.0, impl=impl, shape=shape, dtype=dtype) < convert(p, dtype)
    draws = uniform_body(words, 0.0, 1.0, impl=impl, shape=(2, *shape), dtype=dtype)
    coarse, fine = (lax.index_in_dim(draws, i, 0, keepdims=False) for i in range(2))
    return fine * dtypes.finfo(dtype).eps < convert(p, dtype) - coarse


@composite(static_argnames=(*STATIC, "mode"))
def gumbel_body(words: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any, mode: str) -> Any:
    """The inverse distribution function at uniform numbers."""
    info = dtypes.finfo(dtype)
    if mode == "low":
        draw = uniform_body(words, info.tiny, 1.0, impl=impl, shape=shape, dtype=dtype)
        return -lax.log(-lax.log(draw))
    # A second draw refines the low end of the first, where one draw is too coarse for the tail.
    draws = uniform_body(words, 0.0, 1.0, impl=impl, shape=(2, *shape), dtype=dtype)
    coarse, fine = (lax.index_in_dim(draws, i, 0, keepdims=False) for i in range(2))
    refined = coarse + info.eps * fine + info.tiny
    return -lax.log(-lax.log1p(-cnp.where(coarse >= 0.5, coarse, refined)))


@composite(static_argnames=STATIC)
def truncated_normal_body(
    words: Any, lower: Any, upper: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any
) -> Any:
    """The inverse distribution function at uniform numbers between its values at the bounds."""
    root = np.asarray(np.sqrt(2), dtype)[()]
    lower, upper = convert(lower, dtype), convert(upper, dtype)
    draw = uniform_body(
        words, lax.erf(lower / root), lax.erf(upper / root), impl=impl, shape=shape, dtype=dtype
    )
    samples = root * lax.erf_inv(draw)
    inner = lax.nextafter(lax.stop_gradient(lower), lax.full_like(lower, np.inf))
    outer = lax.nextafter(lax.stop_gradient(upper), lax.full_like(upper, -np.inf))
    return cnp.minimum(outer, cnp.maximum(inner, samples))


@composite(static_argnames=STATIC)
def exponential_body(words: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    """The inverse distribution function at uniform numbers."""
    return -lax.log1p(-uniform_body(words, 0.0, 1.0, impl=impl, shape=shape, dtype=dtype))


@composite(static_argnames=STATIC)
def laplace_body(words: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    """A uniform number in (-1, 1) gives the sign and, by its logarithm, the size."""
    low = np.asarray(-1 + dtypes.finfo(dtype).epsneg, dtype)[()]
    draw = uniform_body(words, low, 1.0, impl=impl, shape=shape, dtype=dtype)
    return lax.sign(draw) * lax.log1p(-lax.abs(draw))


@composite(static_argnames=STATIC)
def logistic_body(words: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    """The inverse distribution function at uniform numbers."""
    draw = uniform_body(words, dtypes.finfo(dtype).tiny, 1.0, impl=impl, shape=shape, dtype=dtype)
    return lax.log(draw) - lax.log1p(-draw)


@composite(static_argnames=STATIC)
def cauchy_body(words: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    """The inverse distribution function at uniform numbers."""
    draw = uniform_body(words, dtypes.finfo(dtype).eps, 1.0, impl=impl, shape=shape, dtype=dtype)
    return lax.tan(np.asarray(np.pi, dtype)[()] * (draw - np.asarray(0.5, dtype)[()]))


@composite(static_argnames=STATIC)
def rademacher_body(words: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    """-1 or 1."""
    real = dtypes.canonicalize_dtype(np.float64)
    positive = bernoulli_body(words, real.type(0.5), impl=impl, shape=shape, mode="low")
    return dtype.type(2) * convert(positive, dtype) - dtype.type(1)


@composite(static_argnames=STATIC)
def maxwell_body(words: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    """Lengths of normal vectors in space."""
    vectors = normal_body(words, impl=impl, shape=(*shape, 3), dtype=dtype)
    return lax.sqrt(cnp.sum(vectors * vectors, axis=-1))


@composite(static_argnames=STATIC)
def lognormal_body(words: Any, sigma: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    """Exponentials of normal numbers."""
    return lax.exp(normal_body(words, impl=impl, shape=shape, dtype=dtype) * convert(sigma, dtype))
