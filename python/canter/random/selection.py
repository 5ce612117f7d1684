"""Choosing among categories and elements, and shuffling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from canter import lax, numpy as cnp
from canter.core import dtypes
from canter.core.avals import ShapedArray, get_aval
from canter.core.dimensions import is_symbolic_dim, max_dim, size_of
from canter.core.trace import Tracer
from canter.numpy.creation import default_dtype
from canter.numpy.util import canonical_axis, promote_dtypes_inexact, shape_of
from canter.runtime.composite import composite

from .arguments import parameter_shape, prepare, sample_shape
from .bodies import gumbel_body, halves, randint_body, uniform_body
from .keys import PRNGImpl, is_key
from .samplers import gumbel_mode

__all__ = ["categorical", "choice", "permutation"]

Shape = tuple[int, ...]


# --- categories -----------------------------------------------------------------------------------


@composite(static_argnames=("impl", "shape", "axis", "mode"))
def _categorical(words: Any, logits: Any, *, impl: PRNGImpl, shape: Shape, axis: int, mode: str) -> Any:
    """The Gumbel-max trick: the largest of the logits plus Gumbel noise. `axis` counts from the end."""
    aval = get_aval(logits)
    lead = len(shape) - (aval.ndim - 1)
    noisy = list(shape[lead:])
    noisy.insert(axis + aval.ndim, aval.shape[axis])
    noise = gumbel_body(words, impl=impl, shape=(*shape[:lead], *noisy), dtype=aval.dtype, mode=mode)
    return cnp.argmax(noise + lax.expand_dims(logits, tuple(range(lead))), axis=axis)


@composite(static_argnames=("impl", "shape", "axis", "mode"))
def _categorical_distinct(
    words: Any, logits: Any, *, impl: PRNGImpl, shape: Shape, axis: int, mode: str
) -> Any:
    aval = get_aval(logits)
    count = math.prod(shape[: len(shape) - (aval.ndim - 1)])
    noise = gumbel_body(words, impl=impl, shape=aval.shape, dtype=aval.dtype, mode=mode)
    _, indices = lax.top_k(logits + noise, count, axis=axis + aval.ndim)
    return lax.reshape(cnp.moveaxis(indices, axis, 0), shape)


def categorical(
    key: Any,
    logits: Any,
    axis: int = -1,
    shape: Any = None,
    replace: bool = True,
    mode: str | None = None,
    *,
    out_sharding: Any = None,
) -> Any:
    """Categories, drawn with probabilities proportional to exp(logits).

    Args:
      key: a random key.
      logits: unnormalised log-probabilities, an array of a float dtype with at least one dimension.
      axis: the dimension of `logits` that numbers the categories.
      shape: of the result; the other dimensions of `logits` must broadcast to its last ones. By
        default it is theirs.
      replace: whether the samples of one distribution (the leading dimensions of `shape`) may be equal.
      mode: how fine the Gumbel noise is: "low", "high" or None, see `gumbel`.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Returns:
      Indices of categories.

    Raises:
      TypeError: `logits` is no array of floats.
      ValueError: the shape does not fit, or there are fewer categories than distinct samples asked for.

    Source: the Gumbel-max trick, and the Gumbel-top-k trick without replacement.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> print(ct.random.categorical(ct.random.key(0), cnp.array([0.0, 0.0, 50.0])))
      2
    """
    raw, _ = prepare("categorical", key, None, "float", out_sharding)
    mode = gumbel_mode("categorical", mode)
    if not hasattr(logits, "dtype") or not shape_of(logits):
        raise TypeError(
            f"random.categorical: logits must be an array of at least one dimension, got {logits!r:.60}."
        )
    aval = get_aval(logits)
    if not dtypes.issubdtype(aval.dtype, np.floating):
        raise ValueError(
            f"random.categorical: logits must have a float dtype, got {aval.str_short()}. Convert them with "
            "logits.astype(float), and probabilities with numpy.log."
        )
    axis = canonical_axis(axis, aval.ndim) - aval.ndim
    batch = tuple(n for i, n in enumerate(aval.shape) if i != axis + aval.ndim)
    size = parameter_shape("categorical", shape, ShapedArray(batch, np.bool_))
    if aval.shape[axis] == 0 and math.prod(size):
        raise ValueError(
            f"random.categorical: there are no categories along axis {axis} of {aval.str_short()}."
        )
    if replace:
        return _categorical(raw.words, logits, impl=raw.impl, shape=size, axis=axis, mode=mode)
    lead = size[: len(size) - len(batch)]
    if size[len(lead) :] != batch:
        raise ValueError(
            f"random.categorical: without replacement the last dimensions of shape must be {batch}, got {size}."
        )
    if math.prod(lead) > aval.shape[axis]:
        raise ValueError(
            f"Number of samples without replacement ({math.prod(lead)}) cannot exceed number of categories "
            f"({aval.shape[axis]})."
        )
    return _categorical_distinct(raw.words, logits, impl=raw.impl, shape=size, axis=axis, mode=mode)


# --- shuffling ------------------------------------------------------------------------------------


def _shuffled(words: Any, x: Any, axis: int, impl: PRNGImpl) -> Any:
    """Sorts by random numbers, often enough that equal ones leave no trace of the old order."""
    aval = get_aval(x)
    size = max_dim(1, math.prod(aval.shape))
    if is_symbolic_dim(size):
        return _shuffled_symbolic(words, x, axis, impl, size)
    for _ in range(math.ceil(3 * math.log(size) / math.log(np.iinfo(np.uint32).max))):
        words, subkey = halves(words, impl)
        _, x = lax.sort_key_val(impl.random_bits(subkey, 32, aval.shape), x, axis)
    return x


def _shuffled_symbolic(words: Any, x: Any, axis: int, impl: PRNGImpl, size: Any) -> Any:
    """The same where the number of rounds is known only when the program runs."""
    bits = math.log(np.iinfo(np.uint32).max)
    last = [
        math.floor(math.exp(rounds * bits / 3)) for rounds in range(3)
    ]  # the greatest sizes for 0, 1, 2 rounds

    def sort_once(_: Any, state: Any) -> Any:
        words, subkey = halves(state[0], impl)
        shape = get_aval(state[1]).shape
        return words, lax.sort_key_val(impl.random_bits(subkey, 32, shape), state[1], axis)[1]

    rounds = lax.convert_element_type(cnp.asarray(size) > np.asarray(last, np.int32), np.int32).sum()
    return lax.fori_loop(0, rounds, sort_once, (words, x))[1]


@composite(static_argnames=("impl", "axis"))
def _shuffle(words: Any, x: Any, *, impl: PRNGImpl, axis: int) -> Any:
    return _shuffled(words, x, axis, impl)


@composite(static_argnames=("impl", "size", "dtype"))
def _shuffled_range(words: Any, *, impl: PRNGImpl, size: int, dtype: Any) -> Any:
    return _shuffled(words, lax.iota(dtype, size), 0, impl)


@composite(static_argnames=("impl", "axis"))
def _shuffle_slices(words: Any, x: Any, *, impl: PRNGImpl, axis: int) -> Any:
    order = _shuffled(words, lax.iota(default_dtype(int), get_aval(x).shape[axis]), 0, impl)
    return cnp.take(x, order, axis=axis, unique_indices=True)


def _as_count(where: str, name: str, x: Any) -> int | None:
    """An integer argument's value; None for an array of at least one dimension.

    Raises:
      TypeError: it is neither.
    """
    if hasattr(x, "dtype") and shape_of(x):
        return None
    if isinstance(x, Tracer):
        raise TypeError(
            f"random.{where}: {name} is the traced scalar {x.aval.str_short()}, but the result's shape depends on it. "
            "Mark it static in jit, or pass an array."
        )
    try:
        return size_of(x)
    except TypeError:
        raise TypeError(
            f"random.{where}: {name} must be an integer or an array of at least one dimension, got {x!r:.60}."
        ) from None


def permutation(
    key: Any, x: Any, axis: int = 0, independent: bool = False, *, out_sharding: Any = None
) -> Any:
    """The elements of an array, or the integers below a number, in random order.

    Args:
      key: a random key.
      x: an array, or an integer n for the integers 0 … n-1.
      axis: the dimension along which the array is shuffled.
      independent: whether each line along `axis` gets an order of its own, instead of all the same.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      TypeError: `x` is no integer and no array of at least one dimension.
      ValueError: the axis is out of bounds, or `x` is negative.

    Example:
      >>> import canter as ct
      >>> ct.random.permutation(ct.random.key(0), 4).tolist()
      [0, 1, 3, 2]
    """
    raw, _ = prepare("permutation", key, None, "float", out_sharding)
    count = _as_count("permutation", "x", x)
    if count is not None:
        if count < 0:
            raise ValueError(f"random.permutation: x must not be negative, got {count}.")
        canonical_axis(axis, 1)
        return _shuffled_range(raw.words, impl=raw.impl, size=count, dtype=default_dtype(int))
    shape = shape_of(x)
    axis = canonical_axis(axis, len(shape))
    if is_key(x):
        order = _shuffled_range(raw.words, impl=raw.impl, size=shape[axis], dtype=default_dtype(int))
        if independent and len(shape) > 1:
            raise ValueError(
                "random.permutation: arrays of keys have no independent order; leave independent out."
            )
        return x[(slice(None),) * axis + (order,)]
    body = _shuffle if independent or len(shape) == 1 else _shuffle_slices
    return body(raw.words, x, impl=raw.impl, axis=axis)


# --- choice ---------------------------------------------------------------------------------------


@composite(static_argnames=("impl", "shape", "size"))
def _pick_any(words: Any, *, impl: PRNGImpl, shape: Shape, size: int) -> Any:
    dtype = default_dtype(int)
    end = lax.convert_element_type(size, dtype) if is_symbolic_dim(size) else dtype.type(size)
    return randint_body(words, 0, end, impl=impl, shape=shape, dtype=dtype, open_end=False)


@composite(static_argnames=("impl", "shape", "size"))
def _pick_distinct(words: Any, *, impl: PRNGImpl, shape: Shape, size: int) -> Any:
    order = _shuffled(words, lax.iota(default_dtype(int), size), 0, impl)
    return lax.reshape(lax.slice_in_dim(order, 0, math.prod(shape)), shape)


@composite(static_argnames=("impl", "shape"))
def _pick_weighted(words: Any, p: Any, *, impl: PRNGImpl, shape: Shape) -> Any:
    """Inverts the distribution function. p need not add up to 1 exactly."""
    cumulative = cnp.cumsum(p)
    draw = uniform_body(words, 0.0, 1.0, impl=impl, shape=shape, dtype=cumulative.dtype)
    return cnp.searchsorted(cumulative, cumulative[-1] * (1 - draw))


@composite(static_argnames=("impl", "shape", "mode"))
def _pick_weighted_distinct(words: Any, p: Any, *, impl: PRNGImpl, shape: Shape, mode: str) -> Any:
    aval = get_aval(p)
    noise = gumbel_body(words, impl=impl, shape=aval.shape, dtype=aval.dtype, mode=mode)
    return lax.reshape(lax.top_k(noise + lax.log(p), math.prod(shape))[1], shape)


def choice(
    key: Any,
    a: Any,
    shape: Any = (),
    replace: bool = True,
    p: Any = None,
    axis: int = 0,
    mode: str | None = None,
) -> Any:
    """Random elements of an array, or integers below a number.

    Args:
      key: a random key.
      a: an array, or an integer n for the integers 0 … n-1.
      shape: how many elements, and how they are arranged: these dimensions replace `axis` of `a`.
      replace: whether an element may be chosen more than once.
      p: the probabilities of the elements, of shape (n,); by default all are equally likely.
      axis: the dimension of `a` along which elements are chosen.
      mode: how fine the Gumbel noise is where p is given and replace is False: see `gumbel`.

    Raises:
      TypeError: `a` is no integer and no array, or `p` no array.
      ValueError: there is nothing to choose from, more distinct elements are wanted than there are,
        or `p` is of another shape.

    Example:
      >>> import canter as ct
      >>> ct.random.choice(ct.random.key(0), 5, (2, 2), replace=False).tolist()
      [[0, 1], [4, 3]]
    """
    raw, _ = prepare("choice", key, None, "float", None)
    shape, mode = sample_shape("choice", shape), gumbel_mode("choice", mode)
    size = count = _as_count("choice", "a", a)
    if count is None:
        axis = canonical_axis(axis, len(shape_of(a)))
        size = shape_of(a)[axis]
    assert size is not None
    draws = math.prod(shape)
    if size <= 0 and draws:
        raise ValueError(
            f"random.choice: a must be greater than 0 unless no samples are taken, got size {size}."
        )
    if not replace and draws > size:
        raise ValueError(
            f"Cannot take a larger sample (size {draws}) than population (size {size}) when 'replace=False'."
        )
    if p is None:
        pick = _pick_any if replace else _pick_distinct
        chosen = pick(raw.words, impl=raw.impl, shape=shape, size=size)
    else:
        chosen = _weighted(raw, p, shape, size, replace, mode)
    if count is not None:
        return chosen
    if is_key(a):
        return a[(slice(None),) * axis + (chosen,)]
    return cnp.take(a, chosen, axis=axis)


def _weighted(raw: Any, p: Any, shape: Shape, size: int, replace: bool, mode: str) -> Any:
    if not hasattr(p, "dtype"):
        raise TypeError(f"random.choice: p must be an array, got {p!r:.60}. Convert it with numpy.array.")
    if shape_of(p) != (size,):
        raise ValueError(
            f"p must be None or a 1D vector with the same size as a.shape[axis]. p has shape {shape_of(p)} and "
            f"a.shape[axis] is {size}."
        )
    if not math.prod(shape):
        return lax.full(shape, 0, np.dtype(np.int32))
    (p,) = promote_dtypes_inexact(p)
    if replace:
        return _pick_weighted(raw.words, p, impl=raw.impl, shape=shape)
    return _pick_weighted_distinct(raw.words, p, impl=raw.impl, shape=shape, mode=mode)
