"""Further continuous distributions, by formulas on uniform or normal numbers."""

from __future__ import annotations

from typing import Any

from canter import lax, numpy as cnp
from canter.numpy.util import broadcast_to, convert
from canter.runtime.composite import composite

from .arguments import STATIC, as_number, parameter_shape, prepare
from .bodies import exponential_body, halves, maxwell_body, normal_body, rademacher_body, uniform_body
from .keys import PRNGImpl

__all__ = ["double_sided_maxwell", "pareto", "rayleigh", "triangular", "wald", "weibull_min"]

Shape = tuple[int, ...]


@composite(static_argnames=STATIC)
def _double_sided_maxwell(
    words: Any, loc: Any, scale: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any
) -> Any:
    size_words, sign_words = halves(words, impl)
    sizes = maxwell_body(size_words, impl=impl, shape=shape, dtype=dtype)
    signs = rademacher_body(sign_words, impl=impl, shape=shape, dtype=dtype)
    return signs * sizes * convert(scale, dtype) + convert(loc, dtype)


@composite(static_argnames=STATIC)
def _weibull_min(
    words: Any, scale: Any, concentration: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any
) -> Any:
    draw = uniform_body(words, 0.0, 1.0, impl=impl, shape=shape, dtype=dtype)
    power = convert(1.0 / cnp.asarray(concentration), dtype)
    return cnp.power(-lax.log1p(-draw), power) * convert(scale, dtype)


@composite(static_argnames=STATIC)
def _pareto(words: Any, b: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    return lax.exp(exponential_body(words, impl=impl, shape=shape, dtype=dtype) / convert(b, dtype))


@composite(static_argnames=STATIC)
def _rayleigh(words: Any, scale: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    draw = uniform_body(words, 0.0, 1.0, impl=impl, shape=shape, dtype=dtype)
    return convert(scale, dtype) * lax.sqrt(lax.log(draw) * dtype.type(-2))


@composite(static_argnames=STATIC)
def _triangular(
    words: Any, left: Any, mode: Any, right: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any
) -> Any:
    left, mode, right = (broadcast_to(convert(x, dtype), shape) for x in (left, mode, right))
    draw = uniform_body(words, 0.0, 1.0, impl=impl, shape=shape, dtype=dtype)
    rising = left + lax.sqrt(draw * (right - left) * (mode - left))
    falling = right - lax.sqrt((1 - draw) * (right - left) * (right - mode))
    return lax.select(draw < (mode - left) / (right - left), rising, falling)


@composite(static_argnames=STATIC)
def _wald(words: Any, mean: Any, *, impl: PRNGImpl, shape: Shape, dtype: Any) -> Any:
    """Michael, Schucany, Haas, "Generating random variates using transformations with multiple roots", 1976."""
    normal_words, uniform_words = halves(words, impl)
    mean = broadcast_to(convert(mean, dtype), shape)
    normal = normal_body(normal_words, impl=impl, shape=shape, dtype=dtype)
    draw = uniform_body(uniform_words, 0.0, 1.0, impl=impl, shape=shape, dtype=dtype)
    square = lax.integer_pow(normal, 2)
    mean_square = lax.integer_pow(mean, 2)
    root = lax.sqrt(4 * mean * square + mean_square * lax.integer_pow(square, 2))
    smaller = mean + mean_square * square / 2 - mean / 2 * root
    return lax.select(draw <= mean / (mean + smaller), smaller, mean_square / smaller)


def _sampled(
    where: str, body: Any, key: Any, shape: Any, dtype: Any, out_sharding: Any, **parameters: Any
) -> Any:
    raw, dtype = prepare(where, key, dtype, "float", out_sharding)
    values = [as_number(where, name, value) for name, value in parameters.items()]
    shape = parameter_shape(where, shape, *values)
    return body(raw.words, *values, impl=raw.impl, shape=shape, dtype=dtype)


def double_sided_maxwell(key: Any, loc: Any, scale: Any, shape: Any = (), dtype: Any = None) -> Any:
    """Numbers of the Maxwell distribution with a random sign, scaled and shifted.

    Args:
      key: a random key.
      loc: what is added.
      scale: what is multiplied by.
      shape: of the result.
      dtype: a float dtype.

    Raises:
      ValueError: the dtype is no float one, or a parameter does not broadcast to the shape.

    Example:
      >>> import canter as ct
      >>> ct.random.double_sided_maxwell(ct.random.key(0), 0.0, 1.0, (3,)).shape
      (3,)
    """
    return _sampled(
        "double_sided_maxwell", _double_sided_maxwell, key, shape, dtype, None, loc=loc, scale=scale
    )


def weibull_min(key: Any, scale: Any, concentration: Any, shape: Any = (), dtype: Any = None) -> Any:
    """Numbers of the Weibull distribution.

    Args:
      key: a random key.
      scale: the scale.
      concentration: the exponent.
      shape: of the result.
      dtype: a float dtype.

    Raises:
      ValueError: the dtype is no float one, or a parameter does not broadcast to the shape.

    Example:
      >>> import canter as ct
      >>> ct.random.weibull_min(ct.random.key(0), 1.0, 2.0, (3,)).shape
      (3,)
    """
    return _sampled(
        "weibull_min", _weibull_min, key, shape, dtype, None, scale=scale, concentration=concentration
    )


def pareto(key: Any, b: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Numbers of the Pareto distribution with minimum 1.

    Args:
      key: a random key.
      b: the exponent, positive.
      shape: of the result; by default that of `b`.
      dtype: a float dtype.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      ValueError: the dtype is no float one, or `b` does not broadcast to the shape.

    Example:
      >>> import canter as ct
      >>> ct.random.pareto(ct.random.key(0), 2.0, (3,)).shape
      (3,)
    """
    return _sampled("pareto", _pareto, key, shape, dtype, out_sharding, b=b)


def rayleigh(key: Any, scale: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Numbers of the Rayleigh distribution.

    Args:
      key: a random key.
      scale: the scale.
      shape: of the result; by default that of `scale`.
      dtype: a float dtype.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      ValueError: the dtype is no float one, or `scale` does not broadcast to the shape.

    Example:
      >>> import canter as ct
      >>> ct.random.rayleigh(ct.random.key(0), 2.0, (3,)).shape
      (3,)
    """
    return _sampled("rayleigh", _rayleigh, key, shape, dtype, out_sharding, scale=scale)


def triangular(
    key: Any,
    left: Any,
    mode: Any,
    right: Any,
    shape: Any = None,
    dtype: Any = None,
    *,
    out_sharding: Any = None,
) -> Any:
    """Numbers whose density rises linearly from `left` to `mode` and falls to `right`.

    Args:
      key: a random key.
      left: the lower end.
      mode: where the density is largest.
      right: the upper end.
      shape: of the result; by default that of the parameters.
      dtype: a float dtype.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      ValueError: the dtype is no float one, or a parameter does not broadcast to the shape.

    Example:
      >>> import canter as ct
      >>> ct.random.triangular(ct.random.key(0), 0.0, 1.0, 2.0, (3,)).shape
      (3,)
    """
    return _sampled(
        "triangular", _triangular, key, shape, dtype, out_sharding, left=left, mode=mode, right=right
    )


def wald(key: Any, mean: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Numbers of the Wald distribution, the inverse Gaussian one of scale 1.

    Args:
      key: a random key.
      mean: the mean, positive.
      shape: of the result; by default that of `mean`.
      dtype: a float dtype.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      ValueError: the dtype is no float one, or `mean` does not broadcast to the shape.

    Example:
      >>> import canter as ct
      >>> ct.random.wald(ct.random.key(0), 2.0, (3,)).shape
      (3,)
    """
    return _sampled("wald", _wald, key, shape, dtype, out_sharding, mean=mean)
