"""Uniform, normal and other numbers, each made from bits of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from canter.core import dtypes
from canter.core.avals import get_aval
from canter.runtime.composite import composite

from . import bodies
from .arguments import as_number, parameter_shape, prepare, sample_shape

__all__ = [
    "bernoulli", "bits", "cauchy", "exponential", "gumbel", "laplace", "logistic", "lognormal", "maxwell", "normal",
    "rademacher", "randint", "truncated_normal", "uniform",
]  # fmt: skip


_INT32_MAX = 2**31 - 1


@composite(static_argnames=("shape", "dtype"))
def bits(key: Any, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Uniformly random bits.

    Args:
      key: a random key.
      shape: of the result.
      dtype: uint8, uint16, uint32 or uint64; by default uint32, or uint64 under enable_x64.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      ValueError: the dtype is not an unsigned one, or the shape is negative.

    Example:
      >>> import canter as ct
      >>> ct.random.bits(ct.random.key(0), (2,)).tolist()
      [4070199207, 4202968722]
    """
    dtype = dtypes.canonicalize_dtype(np.uint64) if dtype is None else dtype
    raw, dtype = prepare("bits", key, dtype, "unsigned", out_sharding)
    return bodies.bits_body(raw.words, impl=raw.impl, shape=sample_shape("bits", shape), dtype=dtype)


@composite(static_argnames=("shape", "dtype"))
def uniform(
    key: Any,
    shape: Any = (),
    dtype: Any = None,
    minval: Any = 0.0,
    maxval: Any = 1.0,
    *,
    out_sharding: Any = None,
) -> Any:
    """Numbers uniformly distributed in [minval, maxval).

    Args:
      key: a random key.
      shape: of the result.
      dtype: a float dtype.
      minval: the lower bound, of a shape that broadcasts to `shape`.
      maxval: the upper bound, likewise.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      ValueError: the dtype is no float one, or a bound does not broadcast to the shape.

    Example:
      >>> import canter as ct
      >>> print(ct.random.uniform(ct.random.key(0), (2,)))
      [0.947667  0.9785799]
    """
    raw, dtype = prepare("uniform", key, dtype, "float", out_sharding)
    shape = sample_shape("uniform", shape)
    if type(minval) is float is type(maxval) and minval == 0.0 and maxval == 1.0:
        return bodies.unit_uniform_body(raw.words, impl=raw.impl, shape=shape, dtype=dtype)
    if type(minval) is not float or type(maxval) is not float:
        minval, maxval = as_number("uniform", "minval", minval), as_number("uniform", "maxval", maxval)
        shape = parameter_shape("uniform", shape, minval, maxval)
    return bodies.uniform_body(raw.words, minval, maxval, impl=raw.impl, shape=shape, dtype=dtype)


def randint(
    key: Any, shape: Any, minval: Any, maxval: Any, dtype: Any = None, *, out_sharding: Any = None
) -> Any:
    """Integers uniformly distributed in [minval, maxval).

    Args:
      key: a random key.
      shape: of the result.
      minval: the lower bound, of a shape that broadcasts to `shape`.
      maxval: the upper bound, excluded, likewise. Where it is not above `minval` the result is `minval`.
      dtype: an integer dtype; bounds outside its range are moved to its ends.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      TypeError: the dtype is no integer one.
      ValueError: a bound does not broadcast to the shape.

    Example:
      >>> import canter as ct
      >>> ct.random.randint(ct.random.key(0), (4,), 0, 10).tolist()
      [9, 0, 2, 3]
    """
    if dtype is not None and not dtypes.issubdtype(dtype, np.integer):
        raise TypeError(f"randint only accepts integer dtypes, got {np.dtype(dtype)}.")
    raw, dtype = prepare("randint", key, dtype, "integer", out_sharding)
    limits = dtypes.iinfo(dtype)
    open_end = False
    if isinstance(minval, int) and isinstance(maxval, int):
        # Plain numbers need no more than the dtype's own range, whatever is the width of ints here.
        minval = min(max(minval, limits.min), limits.max)
        open_end = maxval > limits.max
        maxval = min(max(maxval, limits.min), limits.max)
        if maxval > _INT32_MAX or minval < -_INT32_MAX:
            minval, maxval = dtype.type(minval), dtype.type(maxval)
        shape = sample_shape("randint", shape)
    else:
        minval, maxval = as_number("randint", "minval", minval), as_number("randint", "maxval", maxval)
        shape = parameter_shape("randint", sample_shape("randint", shape), minval, maxval)
    return bodies.randint_body(
        raw.words, minval, maxval, impl=raw.impl, shape=shape, dtype=dtype, open_end=open_end
    )


def bernoulli(
    key: Any, p: Any = 0.5, shape: Any = None, mode: str = "low", *, out_sharding: Any = None
) -> Any:
    """True with probability p.

    Args:
      key: a random key.
      p: the probability, of a float dtype.
      shape: of the result; by default that of `p`.
      mode: "low" draws as many bits as p's dtype has; "high" twice as many, so that small
        probabilities are exact.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      TypeError: `p` is not of a float dtype.
      ValueError: the mode is unknown, or `p` does not broadcast to the shape.

    Example:
      >>> import canter as ct
      >>> ct.random.bernoulli(ct.random.key(0), 0.3, (3,)).tolist()
      [False, False, False]
    """
    raw, _ = prepare("bernoulli", key, None, "float", out_sharding)
    p = as_number("bernoulli", "p", p)
    if not dtypes.issubdtype(get_aval(p).dtype, np.floating):
        raise TypeError(f"bernoulli probability `p` must have a floating dtype, got {get_aval(p).dtype}.")
    if mode not in ("low", "high"):
        raise ValueError(f"random.bernoulli: got mode={mode!r}, expected 'high' or 'low'.")
    return bodies.bernoulli_body(
        raw.words, p, impl=raw.impl, shape=parameter_shape("bernoulli", shape, p), mode=mode
    )


def truncated_normal(
    key: Any, lower: Any, upper: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None
) -> Any:
    """Numbers of the standard normal distribution, cut to (lower, upper).

    Args:
      key: a random key.
      lower: the lower bound.
      upper: the upper bound.
      shape: of the result; by default that of the bounds.
      dtype: a float dtype.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      ValueError: the dtype is no float one, or a bound does not broadcast to the shape.

    Example:
      >>> import canter as ct
      >>> x = ct.random.truncated_normal(ct.random.key(0), -2.0, 2.0, (1000,))
      >>> bool((x > -2).all() and (x < 2).all())
      True
    """
    raw, dtype = prepare("truncated_normal", key, dtype, "float", out_sharding)
    lower, upper = (
        as_number("truncated_normal", "lower", lower),
        as_number("truncated_normal", "upper", upper),
    )
    shape = parameter_shape("truncated_normal", shape, lower, upper)
    return bodies.truncated_normal_body(raw.words, lower, upper, impl=raw.impl, shape=shape, dtype=dtype)


@composite(static_argnames=("shape", "dtype", "mode"))
def gumbel(
    key: Any, shape: Any = (), dtype: Any = None, mode: str | None = None, *, out_sharding: Any = None
) -> Any:
    """Numbers of the standard Gumbel distribution.

    Args:
      key: a random key.
      shape: of the result.
      dtype: a float dtype.
      mode: "low" draws as many bits as the dtype has; "high" twice as many, which reaches farther
        into the tail. None is "low".
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      ValueError: the dtype is no float one, or the mode is unknown.

    Example:
      >>> import canter as ct
      >>> ct.random.gumbel(ct.random.key(0), (3,)).shape
      (3,)
    """
    raw, dtype = prepare("gumbel", key, dtype, "float", out_sharding)
    mode = gumbel_mode("gumbel", mode)
    return bodies.gumbel_body(
        raw.words, impl=raw.impl, shape=sample_shape("gumbel", shape), dtype=dtype, mode=mode
    )


def gumbel_mode(where: str, mode: str | None) -> str:
    """The mode of a Gumbel draw.

    Raises:
      ValueError: it is unknown.
    """
    if mode not in (None, "low", "high"):
        raise ValueError(f"random.{where}: got mode={mode!r}, expected 'high', 'low' or None.")
    return mode or "low"


# --- distributions without parameters -------------------------------------------------------------


def _standard(
    name: str, body: Any, what: str, kind: str = "float", allowed: str = "a float dtype"
) -> Callable[..., Any]:
    def sampler(key: Any, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Any:
        raw, chosen = prepare(name, key, dtype, kind, out_sharding)
        return body(raw.words, impl=raw.impl, shape=sample_shape(name, shape), dtype=chosen)

    sampler.__name__ = sampler.__qualname__ = name
    sampler.__doc__ = f"""{what}

    Args:
      key: a random key.
      shape: of the result.
      dtype: {allowed}.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      ValueError: the dtype is another, or the shape is negative.

    Example:
      >>> import canter as ct
      >>> ct.random.{name}(ct.random.key(0), (3, 2)).shape
      (3, 2)
    """
    return composite(static_argnames=("shape", "dtype"))(sampler)


normal = _standard(
    "normal",
    bodies.normal_body,
    "Numbers of the standard normal distribution; complex ones have variance 1 in both parts together.",
    "float or complex",
    "a float or complex dtype",
)
exponential = _standard(
    "exponential", bodies.exponential_body, "Numbers of the exponential distribution of rate 1."
)
laplace = _standard("laplace", bodies.laplace_body, "Numbers of the standard Laplace distribution.")
logistic = _standard("logistic", bodies.logistic_body, "Numbers of the standard logistic distribution.")
cauchy = _standard("cauchy", bodies.cauchy_body, "Numbers of the standard Cauchy distribution.")
maxwell = _standard(
    "maxwell",
    bodies.maxwell_body,
    "Numbers of the Maxwell distribution of scale 1: the lengths of standard normal vectors in space.",
)
rademacher = _standard(
    "rademacher",
    bodies.rademacher_body,
    "-1 or 1, each with probability 1/2.",
    "number",
    "an integer, float or complex dtype; by default the default integer",
)


def lognormal(
    key: Any,
    sigma: Any = np.float32(1.0),  # noqa: B008
    shape: Any = None,
    dtype: Any = None,
    *,
    out_sharding: Any = None,
) -> Any:
    """Numbers whose logarithm is normally distributed with mean 0.

    Args:
      key: a random key.
      sigma: the standard deviation of the logarithm.
      shape: of the result; by default that of `sigma`.
      dtype: a float or complex dtype.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      ValueError: the dtype is neither a float nor a complex one, or `sigma` does not broadcast to the shape.

    Example:
      >>> import canter as ct
      >>> ct.random.lognormal(ct.random.key(0), 0.5, (3,)).shape
      (3,)
    """
    raw, dtype = prepare("lognormal", key, dtype, "float or complex", out_sharding)
    sigma = as_number("lognormal", "sigma", sigma)
    shape = parameter_shape("lognormal", shape, sigma)
    return bodies.lognormal_body(raw.words, sigma, impl=raw.impl, shape=shape, dtype=dtype)
