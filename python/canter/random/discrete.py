"""Distributions over counts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from canter import lax, numpy as cnp
from canter.core import dtypes
from canter.core.avals import get_aval
from canter.numpy.creation import default_dtype
from canter.numpy.util import broadcast_to, convert, promote_dtypes_inexact, shape_of
from canter.runtime.composite import composite
from canter.runtime.jit import jit

from .arguments import STATIC, as_number, parameter_shape, prepare
from .bodies import again, halves, uniform_body
from .keys import PRNGImpl

__all__ = ["binomial", "geometric", "multinomial", "poisson"]

Shape = tuple[int, ...]
_FLOAT32 = np.dtype(np.float32)


# --- geometric and Poisson ------------------------------------------------------------------------


@composite(static_argnames=STATIC)
def _geometric(words: Any, p: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    (p,) = promote_dtypes_inexact(p)
    draw = uniform_body(words, 0.0, 1.0, impl=impl, shape=shape, dtype=get_aval(p).dtype)
    draw = cnp.where(draw == 0, 1, draw)
    return convert(lax.floor(lax.log(draw) / lax.log1p(-broadcast_to(p, shape))) + 1, dtype)


def geometric(key: Any, p: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """How many trials it takes until the first success.

    Args:
      key: a random key.
      p: the probability of success.
      shape: of the result; by default that of `p`.
      dtype: an integer dtype.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      ValueError: the dtype is no integer one, or `p` does not broadcast to the shape.

    Example:
      >>> import canter as ct
      >>> ct.random.geometric(ct.random.key(0), 0.3, (3,)).shape
      (3,)
    """
    raw, dtype = prepare("geometric", key, dtype, "integer", out_sharding)
    p = as_number("geometric", "p", p)
    return _geometric(raw.words, p, impl=raw.impl, shape=parameter_shape("geometric", shape, p), dtype=dtype)


def _poisson_knuth(words: Any, rate: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any, rounds: int) -> Any:
    """Counts how many uniform numbers can be multiplied before their product falls below exp(-rate)."""

    def unfinished(state: Any) -> Any:
        i, _, _, log_product = state
        return cnp.any(log_product > -rate) & (i < rounds)

    def draw(state: Any) -> Any:
        i, count, words, log_product = state
        words, subkey = halves(words, impl)
        count = cnp.where(log_product > -rate, count + 1, count)
        factor = uniform_body(subkey, 0.0, 1.0, impl=impl, shape=shape, dtype=_FLOAT32)
        return i + 1, count, words, log_product + lax.log(factor)

    start = (np.int32(0), lax.full(shape, 0, dtype), words, lax.full(shape, 0, _FLOAT32))
    return lax.while_loop(unfinished, draw, start)[1] - dtype.type(1)


def _poisson_rejection(
    words: Any, rate: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any, rounds: int
) -> Any:
    """Hörmann, "The transformed rejection method for generating Poisson random variables", 1993."""
    log_rate = lax.log(rate)
    b = 0.931 + 2.53 * lax.sqrt(rate)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    v_r = 0.9277 - 3.6224 / (b - 2)

    def unfinished(state: Any) -> Any:
        i, _, accepted, _ = state
        return cnp.any(~accepted) & (i < rounds)

    def propose(state: Any) -> Any:
        i, samples, accepted, words = state
        words, first, second = halves(words, impl, 3)
        u = uniform_body(first, 0.0, 1.0, impl=impl, shape=shape, dtype=_FLOAT32) - 0.5
        v = uniform_body(second, 0.0, 1.0, impl=impl, shape=shape, dtype=_FLOAT32)
        margin = 0.5 - lax.abs(u)
        k = lax.floor((2 * a / margin + b) * u + rate + 0.43)
        log_v = lax.log(v * inverse_alpha / (a / (margin * margin) + b))
        bound = -rate + k * log_rate - lax.lgamma(k + 1)
        quick = (margin >= 0.07) & (v <= v_r)
        refused = (k < 0) | ((margin < 0.013) & (v > margin))
        accept = quick | (~refused & (log_v <= bound))
        return i + 1, cnp.where(accept, k, samples), accepted | accept, words

    start = (np.int32(0), lax.full(shape, -1, _FLOAT32), lax.full(shape, False, np.dtype(bool)), words)
    return convert(lax.while_loop(unfinished, propose, start)[1], dtype)


def _poisson(words: Any, rate: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    rate = broadcast_to(convert(rate, _FLOAT32), shape)
    rounds = np.iinfo(np.int32).max
    small = (rate != rate) | (rate < 10)
    # Each method runs on all elements; those that are the other's get a rate that is quickly done.
    few = _poisson_knuth(
        again(words, impl), cnp.where(small, rate, 0.0), impl=impl, shape=shape, dtype=dtype, rounds=rounds
    )
    many = _poisson_rejection(
        words, cnp.where(small, 1e5, rate), impl=impl, shape=shape, dtype=dtype, rounds=rounds
    )
    return cnp.where(rate == 0, dtype.type(0), cnp.where(small, few, many))


_jit_poisson = jit(_poisson, static_argnames=STATIC)


def poisson(key: Any, lam: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Numbers of the Poisson distribution.

    Args:
      key: a random key, of the threefry2x32 generator.
      lam: the mean, not negative.
      shape: of the result; by default that of `lam`.
      dtype: an integer dtype.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      ValueError: the dtype is no integer one, or `lam` does not broadcast to the shape.
      NotImplementedError: the key belongs to another generator.

    Source: Knuth's method below 10, Hörmann's transformed rejection (1993) above.

    Example:
      >>> import canter as ct
      >>> ct.random.poisson(ct.random.key(0), 3.0, (3,)).shape
      (3,)
    """
    raw, dtype = prepare("poisson", key, dtype, "integer", out_sharding)
    if raw.impl.name != "threefry2x32":
        raise NotImplementedError(
            f"`poisson` is only implemented for the threefry2x32 generator, not {raw.impl.name}."
        )
    lam = as_number("poisson", "lam", lam)
    return _jit_poisson(
        raw.words, lam, impl=raw.impl, shape=parameter_shape("poisson", shape, lam), dtype=dtype
    )


# --- binomial -------------------------------------------------------------------------------------

_STIRLING_TAILS = tuple(
    math.lgamma(k + 1) - (k + 0.5) * math.log(k + 1) + (k + 1) - 0.5 * math.log(2 * math.pi)
    for k in range(10)
)


def _stirling_tail(k: Any, dtype: Any) -> Any:
    """What Stirling's formula lacks of log(k!). Beyond the table it is taken to be that of 9, as JAX does:
    samples would differ otherwise.
    """
    clamped = lax.clamp(dtype.type(0), k, dtype.type(9))
    square = (clamped + 1) * (clamped + 1)
    series = (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (clamped + 1)
    table = cnp.asarray(np.asarray(_STIRLING_TAILS, dtype))
    exact = table.at[convert(lax.floor(clamped), np.dtype(np.int32))].get(mode="promise_in_bounds")
    return cnp.where(k <= 9, exact, series)


def _inversion(words: Any, count: Any, p: Any, *, impl: PRNGImpl, dtype: Any) -> Any:
    """Counts geometrically distributed waiting times; quick where count * p is small."""
    shape, log_failure = shape_of(count), lax.log1p(-p)

    def draw(state: Any) -> Any:
        successes, trials, words = state
        subkey, words = halves(words, impl)
        successes = cnp.where(trials <= count, successes + 1, successes)
        wait = uniform_body(subkey, 0.0, 1.0, impl=impl, shape=shape, dtype=dtype)
        return successes, trials + lax.ceil(lax.log(wait) / log_failure), words

    zero = lax.full(shape, 0, dtype)
    return lax.while_loop(lambda s: cnp.any(s[1] <= count), draw, (zero, zero, words))[0] - 1


def _transformed_rejection(words: Any, count: Any, p: Any, *, impl: PRNGImpl, dtype: Any) -> Any:
    """Hörmann, "The generation of binomial random variates", 1993: algorithm BTRS."""
    shape = shape_of(count)
    deviation = lax.sqrt(count * p * (1 - p))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    c = count * p + 0.5
    v_r = 0.92 - 4.2 / b
    odds = p / (1 - p)
    alpha = (2.83 + 5.1 / b) * deviation
    mode = lax.floor((count + 1) * p)

    def propose(state: Any) -> Any:
        samples, accepted, words = state
        words, first, second = halves(words, impl, 3)
        u = uniform_body(first, 0.0, 1.0, impl=impl, shape=shape, dtype=dtype) - 0.5
        v = uniform_body(second, 0.0, 1.0, impl=impl, shape=shape, dtype=dtype)
        margin = 0.5 - lax.abs(u)
        k = lax.floor((2 * a / margin + b) * u + c)
        log_v = lax.log(v * alpha / (a / (margin * margin) + b))
        bound = (mode + 0.5) * lax.log((mode + 1) / (odds * (count - mode + 1)))
        bound = bound + (count + 1) * lax.log((count - mode + 1) / (count - k + 1))
        bound = bound + (k + 0.5) * lax.log(odds * (count - k + 1) / (k + 1))
        bound = bound + _stirling_tail(mode, dtype) + _stirling_tail(count - mode, dtype)
        bound = bound - _stirling_tail(k, dtype) - _stirling_tail(count - k, dtype)
        quick = (margin >= 0.07) & (v <= v_r)
        accept = quick | (~((k < 0) | (k > count)) & (log_v <= bound))
        return cnp.where(accept, k, samples), accepted | accept, words

    start = (lax.full(shape, -1, dtype), lax.full(shape, False, np.dtype(bool)), words)
    return lax.while_loop(lambda s: cnp.any(~s[1]), propose, start)[0]


def _binomial_body(words: Any, count: Any, p: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    count, p = broadcast_to(convert(count, dtype), shape), broadcast_to(convert(p, dtype), shape)
    likely = p < 0.5
    rarer = cnp.where(likely, p, 1 - p)
    count_bad = (count != count) | (count < 0)
    p_bad = (rarer != rarer) | (rarer < 0)
    endless = lax.abs(count) == np.inf
    rarer_safe = cnp.where(p_bad, 0.01, rarer)
    few = count_bad | (count * rarer_safe <= 10)
    whole = lax.floor(count)
    by_inversion = _inversion(
        again(words, impl), cnp.where(few, whole, 0.0), rarer_safe, impl=impl, dtype=dtype
    )
    by_rejection = _transformed_rejection(
        words, cnp.where(few, 10000.0, whole), cnp.where(few, 0.5, rarer_safe), impl=impl, dtype=dtype
    )
    samples = cnp.where(few, by_inversion, by_rejection)
    invalid = p_bad | count_bad
    samples = cnp.where(invalid, np.nan, samples)
    samples = cnp.where(endless & ~invalid, np.inf, samples)
    return cnp.where(likely | count_bad | (rarer != rarer) | endless, samples, whole - samples)


_jit_binomial = jit(_binomial_body, static_argnames=STATIC)


def binomial(key: Any, n: Any, p: Any, shape: Any = None, dtype: Any = None) -> Any:
    """How many of n trials succeed.

    Args:
      key: a random key.
      n: the number of trials.
      p: the probability of success.
      shape: of the result; by default that of the parameters.
      dtype: a float dtype.

    Returns:
      Whole numbers of a float dtype; nan where a parameter is nan or negative.

    Raises:
      ValueError: the dtype is no float one, or a parameter does not broadcast to the shape.

    Example:
      >>> import canter as ct
      >>> ct.random.binomial(ct.random.key(0), 10, 0.3, (3,)).shape
      (3,)
    """
    raw, dtype = prepare("binomial", key, dtype, "float", None)
    n, p = as_number("binomial", "n", n), as_number("binomial", "p", p)
    shape = parameter_shape("binomial", shape, n, p)
    return _jit_binomial(raw.words, n, p, impl=raw.impl, shape=shape, dtype=dtype)


def _multinomial(
    words: Any, n: Any, p: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any, unroll: int | bool
) -> Any:
    """One category after the other: how many of the trials that are left fall into it."""
    p = cnp.moveaxis(broadcast_to(convert(p, dtype), shape), -1, 0)
    left = cnp.flip(cnp.cumsum(cnp.flip(p, 0), axis=0), 0)
    shares = p / cnp.where(left == 0, 1, left)
    keys = impl.split(words, (shape[-1],))

    def category(remaining: Any, inputs: Any) -> Any:
        share, words = inputs
        counts = _binomial_body(words, remaining, share, impl=impl, shape=shape[:-1], dtype=dtype)
        return remaining - counts, counts

    start = broadcast_to(convert(n, dtype), shape[:-1])
    return cnp.moveaxis(lax.scan(category, start, (shares, keys), unroll=unroll)[1], 0, -1)


_jit_multinomial = jit(_multinomial, static_argnames=(*STATIC, "unroll"))


def multinomial(
    key: Any, n: Any, p: Any, *, shape: Any = None, dtype: Any = None, unroll: int | bool = 1
) -> Any:
    """How many of n trials fall into each of several categories.

    Args:
      key: a random key.
      n: the number of trials.
      p: (..., k): the probabilities of the categories.
      shape: of the result, with k as its last dimension; by default that of the parameters.
      dtype: a float or integer dtype.
      unroll: as in `lax.scan`, over the categories.

    Raises:
      ValueError: the dtype is neither a float nor an integer one, `p` has no dimension, or the parameters do not
        fit the shape.

    Example:
      >>> import canter as ct
      >>> counts = ct.random.multinomial(ct.random.key(0), 10, ct.numpy.array([0.2, 0.8]))
      >>> print(counts.sum())
      10.0
    """
    raw, dtype = prepare("multinomial", key, dtype, "number, float", None)
    n, p = as_number("multinomial", "n", n), as_number("multinomial", "p", p)
    if not shape_of(p):
        raise ValueError(f"random.multinomial: p must be an array of at least one dimension, got {p!r}.")
    with_categories = np.broadcast_to(np.False_, (*shape_of(n), 1))
    shape = parameter_shape("multinomial", shape, p, with_categories)
    computing = dtype if dtypes.issubdtype(dtype, np.floating) else default_dtype(float)
    counts = _jit_multinomial(raw.words, n, p, impl=raw.impl, shape=shape, dtype=computing, unroll=unroll)
    return counts if computing == dtype else lax.convert_element_type(counts, dtype)
