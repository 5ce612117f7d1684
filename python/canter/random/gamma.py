"""The gamma distribution and those made of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from canter import lax, numpy as cnp
from canter.core import dtypes
from canter.core.avals import ShapedArray, get_aval
from canter.core.primitive import Primitive
from canter.lax.threefry import sampler_programs
from canter.numpy.util import broadcast_to, convert, shape_of
from canter.runtime.jit import jit
from canter.transforms.rules import Zero
from canter.transforms.vmap import vmap

from .arguments import STATIC, as_number, parameter_shape, prepare, sample_shape
from .bodies import exponential_body, halves, normal_body, rademacher_body, uniform_body
from .keys import PRNGImpl, random_wrap_p, raw_key

__all__ = [
    "ball",
    "beta",
    "chisquare",
    "dirichlet",
    "f",
    "gamma",
    "generalized_normal",
    "loggamma",
    "random_gamma_p",
    "t",
]

Shape = tuple[int, ...]


# --- one sample -----------------------------------------------------------------------------------


def _gamma_one(words: Any, alpha: Any, *, impl: PRNGImpl, dtype: Any, log_space: bool) -> Any:
    """One sample by rejection.

    Source: Marsaglia, Tsang, "A simple method for generating gamma variables", ACM TOMS 2000. For
    alpha below 1 a sample at alpha + 1 is scaled down.
    """
    number = dtype.type
    big = lax.ge(alpha, number(1))
    d = lax.select(big, alpha, alpha + number(1)) - number(1 / 3)
    c = number(1 / 3) / lax.sqrt(d)
    loop_words, boost_words = halves(words, impl)

    def positive_cube_root(state: Any) -> Any:
        def again(inner: Any) -> Any:
            key, draw_words = halves(inner[0], impl)
            x = normal_body(draw_words, impl=impl, shape=(), dtype=dtype)
            return key, x, number(1) + x * c

        return lax.while_loop(lambda inner: inner[2] <= number(0), again, (state, number(0), number(-1)))[1:]

    def rejected(state: Any) -> Any:
        _, square, cube, draw = state
        quick = draw >= number(1) - number(0.0331) * (square * square)
        exact = lax.log(draw) >= square * number(0.5) + d * ((number(1) - cube) + lax.log(cube))
        return quick & exact

    def propose(state: Any) -> Any:
        key, normal_words, uniform_words = halves(state[0], impl, 3)
        x, v = positive_cube_root(normal_words)
        draw = uniform_body(uniform_words, number(0), number(1), impl=impl, shape=(), dtype=dtype)
        return key, x * x, (v * v) * v, draw

    _, _, cube, _ = lax.while_loop(rejected, propose, (loop_words, number(0), number(1), number(2)))
    if log_space:
        log_draw = -exponential_body(boost_words, impl=impl, shape=(), dtype=dtype)
        boost = cnp.where(big | (log_draw == number(0)), number(0), log_draw * (number(1) / alpha))
        return (lax.log(d) + lax.log(cube)) + boost
    draw = number(1) - uniform_body(boost_words, number(0), number(1), impl=impl, shape=(), dtype=dtype)
    boost = cnp.where(big, number(1), lax.pow(draw, number(1) / alpha))
    return (d * cube) * boost


# --- samples as a primitive, which keeps its name in a program ------------------------------------

random_gamma_p = Primitive("random_gamma")


def _samples(keys: Any, alpha: Any, *, log_space: bool) -> Any:
    """Samples of the gamma distribution, or their logarithms; each from a key of its own."""
    raw = raw_key("gamma", keys)
    aval = get_aval(alpha)
    size = math.prod(aval.shape)

    def one(words: Any, alpha: Any) -> Any:
        return _gamma_one(words, alpha, impl=raw.impl, dtype=aval.dtype, log_space=log_space)

    if not size:
        return alpha
    each = raw.impl.split(raw.words, (size,))
    return lax.reshape(vmap(one)(each, lax.reshape(alpha, (size,))), aval.shape)


def _gamma_jvp(primals: Any, tangents: Any, *, log_space: bool) -> Any:
    """The path of equal quantiles."""
    keys, alpha = primals
    out = random_gamma_p.bind(keys, alpha, log_space=log_space)
    if type(tangents[1]) is Zero:
        return out, tangents[1]
    if not log_space:
        return out, tangents[1] * lax.random_gamma_grad(alpha, out)
    sample = lax.exp(out)
    tiny = sample.dtype.type(dtypes.finfo(sample.dtype).tiny)
    sample = cnp.where(sample == 0, tiny, sample)
    return out, tangents[1] * (lax.random_gamma_grad(alpha, sample) / sample)


def _gamma_batch(args: Any, dims: Any, *, log_space: bool) -> Any:
    sampler = vmap(lambda keys, alpha: _samples(keys, alpha, log_space=log_space), in_axes=tuple(dims))
    return sampler(*args), 0


random_gamma_p.def_abstract_eval(lambda keys, alpha, *, log_space: alpha.update(weak_type=False))
random_gamma_p.def_batching(_gamma_batch)
random_gamma_p.def_impl(jit(_samples, static_argnames=("log_space",)))
random_gamma_p.def_jvp(_gamma_jvp)
sampler_programs["random_gamma"] = _samples


def gamma_body(words: Any, alpha: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any, log_space: bool) -> Any:
    """Samples of the gamma distribution, or their logarithms, of a shape."""
    alpha = broadcast_to(convert(alpha, dtype), shape)
    key = random_wrap_p.bind(words, impl=impl) if impl.key_shape else words
    return random_gamma_p.bind(key, alpha, log_space=log_space)


# --- bodies: compiled on arrays, one call in a trace ----------------------------------------------


def _gamma(words: Any, a: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any, log_space: bool) -> Any:
    return gamma_body(words, a, impl=impl, shape=shape, dtype=dtype, log_space=log_space)


def _beta(words: Any, a: Any, b: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    first, second = (
        gamma_body(k, x, impl=impl, shape=shape, dtype=dtype, log_space=True)
        for k, x in zip(halves(words, impl), (a, b), strict=True)
    )
    top = cnp.maximum(first, second)
    first, second = lax.exp(first - top), lax.exp(second - top)
    return first / (first + second)


def _dirichlet(words: Any, alpha: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    size = (*shape, shape_of(alpha)[-1])
    logs = gamma_body(words, alpha, impl=impl, shape=size, dtype=dtype, log_space=True)
    weights = lax.exp(logs - lax.stop_gradient(cnp.max(logs, axis=-1, keepdims=True)))
    return weights / cnp.sum(weights, axis=-1, keepdims=True)


def _t(words: Any, df: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    normal_words, gamma_words = halves(words, impl)
    draws = normal_body(normal_words, impl=impl, shape=shape, dtype=dtype)
    half = convert(df, dtype) / dtype.type(2)
    return draws * lax.sqrt(
        half / gamma_body(gamma_words, half, impl=impl, shape=shape, dtype=dtype, log_space=False)
    )


def _chisquare(words: Any, df: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    half = convert(df, dtype) / dtype.type(2)
    logs = gamma_body(words, half, impl=impl, shape=shape, dtype=dtype, log_space=True)
    return lax.exp(logs) * dtype.type(2)


def _f(words: Any, dfnum: Any, dfden: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    dfnum, dfden = convert(dfnum, dtype), convert(dfden, dtype)
    den_words, num_words = halves(words, impl)
    num = _chisquare(num_words, dfnum, impl=impl, shape=shape, dtype=dtype) / dfnum
    return num / (_chisquare(den_words, dfden, impl=impl, shape=shape, dtype=dtype) / dfden)


def _generalized_normal(words: Any, p: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    gamma_words, sign_words = halves(words, impl)
    power = convert(1 / cnp.asarray(p, dtypes.canonicalize_dtype(np.float64)), dtype)
    sizes = gamma_body(gamma_words, power, impl=impl, shape=shape, dtype=dtype, log_space=False)
    signs = rademacher_body(sign_words, impl=impl, shape=shape, dtype=dtype)
    return signs * cnp.power(sizes, power)


def _ball(words: Any, p: Any, *, d: int, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    normal_words, radius_words = halves(words, impl)
    vectors = _generalized_normal(normal_words, p, impl=impl, shape=(*shape, d), dtype=dtype)
    extra = exponential_body(radius_words, impl=impl, shape=shape, dtype=dtype)
    total = cnp.sum(cnp.power(lax.abs(vectors), p), axis=-1) + extra
    power = convert(1 / cnp.asarray(p, dtypes.canonicalize_dtype(np.float64)), dtype)
    return vectors / cnp.power(total, power)[..., None]


_jit_gamma = jit(_gamma, static_argnames=(*STATIC, "log_space"))
_jit_beta, _jit_dirichlet, _jit_t, _jit_chisquare, _jit_f, _jit_generalized_normal = (
    jit(body, static_argnames=STATIC) for body in (_beta, _dirichlet, _t, _chisquare, _f, _generalized_normal)
)
_jit_ball = jit(_ball, static_argnames=(*STATIC, "d"))


# --- public functions -----------------------------------------------------------------------------


def _sampled(
    where: str, body: Any, key: Any, shape: Any, dtype: Any, out_sharding: Any, **parameters: Any
) -> Any:
    """Calls a body whose parameters broadcast with the shape."""
    raw, dtype = prepare(where, key, dtype, "float", out_sharding)
    values = [as_number(where, name, value) for name, value in parameters.items()]
    shape = parameter_shape(where, shape, *values)
    return body(raw.words, *values, impl=raw.impl, shape=shape, dtype=dtype)


def gamma(key: Any, a: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Numbers of the gamma distribution of shape parameter a and scale 1, differentiable by a.

    Args:
      key: a random key.
      a: the shape parameter, positive.
      shape: of the result; by default that of `a`.
      dtype: a float dtype.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      ValueError: the dtype is no float one, or `a` does not broadcast to the shape.

    Source: Marsaglia, Tsang 2000; derivatives by implicit reparameterisation (Figurnov, Mohamed, Mnih 2018).

    Example:
      >>> import canter as ct
      >>> ct.random.gamma(ct.random.key(0), 2.0, (3,)).shape
      (3,)
    """
    raw, dtype = prepare("gamma", key, dtype, "float", out_sharding)
    a = as_number("gamma", "a", a)
    shape = parameter_shape("gamma", shape, a)
    return _jit_gamma(raw.words, a, impl=raw.impl, shape=shape, dtype=dtype, log_space=False)


def loggamma(key: Any, a: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Logarithms of numbers of the gamma distribution, exact where these are too small for the dtype.

    Args, raised errors: as for `gamma`.

    Example:
      >>> import canter as ct
      >>> ct.random.loggamma(ct.random.key(0), 1e-3, (3,)).shape
      (3,)
    """
    raw, dtype = prepare("loggamma", key, dtype, "float", out_sharding)
    a = as_number("loggamma", "a", a)
    shape = parameter_shape("loggamma", shape, a)
    return _jit_gamma(raw.words, a, impl=raw.impl, shape=shape, dtype=dtype, log_space=True)


def beta(key: Any, a: Any, b: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Numbers of the beta distribution.

    Args:
      key: a random key.
      a: the first parameter, positive.
      b: the second parameter, positive.
      shape: of the result; by default that of the parameters.
      dtype: a float dtype.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      ValueError: the dtype is no float one, or a parameter does not broadcast to the shape.

    Example:
      >>> import canter as ct
      >>> ct.random.beta(ct.random.key(0), 2.0, 3.0, (3,)).shape
      (3,)
    """
    return _sampled("beta", _jit_beta, key, shape, dtype, out_sharding, a=a, b=b)


def dirichlet(key: Any, alpha: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Vectors of the Dirichlet distribution, whose entries add up to 1.

    Args:
      key: a random key.
      alpha: (..., n), positive.
      shape: of the result without the last dimension; by default that of alpha's batch.
      dtype: a float dtype.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      ValueError: `alpha` has no dimension, or its batch does not broadcast to the shape.

    Example:
      >>> import canter as ct
      >>> ct.random.dirichlet(ct.random.key(0), ct.numpy.ones(3), (5,)).shape
      (5, 3)
    """
    raw, dtype = prepare("dirichlet", key, dtype, "float", out_sharding)
    alpha = as_number("dirichlet", "alpha", alpha)
    if not shape_of(alpha):
        raise ValueError(f"dirichlet requires alpha.ndim >= 1, got {alpha!r}.")
    shape = parameter_shape("dirichlet", shape, ShapedArray(shape_of(alpha)[:-1], bool))
    return _jit_dirichlet(raw.words, alpha, impl=raw.impl, shape=shape, dtype=dtype)


def t(key: Any, df: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Numbers of Student's t distribution.

    Args:
      key: a random key.
      df: degrees of freedom, positive.
      shape: of the result; by default that of `df`.
      dtype: a float dtype.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      ValueError: the dtype is no float one, or `df` does not broadcast to the shape.

    Example:
      >>> import canter as ct
      >>> ct.random.t(ct.random.key(0), 3.0, (3,)).shape
      (3,)
    """
    return _sampled("t", _jit_t, key, shape, dtype, out_sharding, df=df)


def chisquare(key: Any, df: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Numbers of the chi-square distribution.

    Args, raised errors: as for `t`.

    Example:
      >>> import canter as ct
      >>> ct.random.chisquare(ct.random.key(0), 3.0, (3,)).shape
      (3,)
    """
    return _sampled("chisquare", _jit_chisquare, key, shape, dtype, out_sharding, df=df)


def f(
    key: Any, dfnum: Any, dfden: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None
) -> Any:
    """Numbers of the F distribution.

    Args:
      key: a random key.
      dfnum: degrees of freedom of the numerator, positive.
      dfden: those of the denominator.
      shape: of the result; by default that of the parameters.
      dtype: a float dtype.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      ValueError: the dtype is no float one, or a parameter does not broadcast to the shape.

    Example:
      >>> import canter as ct
      >>> ct.random.f(ct.random.key(0), 3.0, 5.0, (3,)).shape
      (3,)
    """
    return _sampled("f", _jit_f, key, shape, dtype, out_sharding, dfnum=dfnum, dfden=dfden)


def generalized_normal(
    key: Any, p: Any, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None
) -> Any:
    """Numbers with density proportional to exp(-|x|**p).

    Args:
      key: a random key.
      p: the exponent, a positive number.
      shape: of the result.
      dtype: a float dtype.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      ValueError: the dtype is no float one, or the shape is negative.

    Example:
      >>> import canter as ct
      >>> ct.random.generalized_normal(ct.random.key(0), 3.0, (3,)).shape
      (3,)
    """
    raw, dtype = prepare("generalized_normal", key, dtype, "float", out_sharding)
    shape = sample_shape("generalized_normal", shape)
    return _jit_generalized_normal(raw.words, p, impl=raw.impl, shape=shape, dtype=dtype)


def ball(
    key: Any, d: int, p: Any = 2, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None
) -> Any:
    """Vectors uniformly distributed in the unit ball of the p-norm.

    Args:
      key: a random key.
      d: the dimension.
      p: the exponent of the norm, positive.
      shape: of the result without the last dimension.
      dtype: a float dtype.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      ValueError: the dtype is no float one, or the shape or `d` is negative.

    Source: Barthe, Guédon, Mendelson, Naor, "A probabilistic approach to the geometry of the l_p^n-ball", 2005.

    Example:
      >>> import canter as ct
      >>> ct.random.ball(ct.random.key(0), 2, shape=(5,)).shape
      (5, 2)
    """
    raw, dtype = prepare("ball", key, dtype, "float", out_sharding)
    (d,) = sample_shape("ball", d)
    return _jit_ball(raw.words, p, d=d, impl=raw.impl, shape=sample_shape("ball", shape), dtype=dtype)
