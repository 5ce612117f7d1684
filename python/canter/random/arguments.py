"""What every sampler does first: take the key apart, and settle the shape and the dtype."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from canter import numpy as cnp
from canter.core import dtypes
from canter.core.dimensions import size_of, sizes_of
from canter.core.trace import Tracer
from canter.numpy.creation import default_dtype
from canter.numpy.util import broadcast_shape, shape_of

from .keys import RawKey, raw_key

__all__ = ["STATIC", "as_number", "lays_out", "parameter_shape", "prepare", "sample_shape"]

#: The static parameters of a sampler's compiled body.
STATIC = ("impl", "shape", "dtype")

_KINDS: dict[str, tuple[type, tuple[type, ...], str]] = {
    "float": (float, (np.floating,), "a float dtype"),
    "float or complex": (float, (np.inexact,), "a float or complex dtype"),
    "integer": (int, (np.integer,), "an integer dtype"),
    "unsigned": (int, (np.unsignedinteger,), "an unsigned int dtype"),
    "number": (int, (np.number,), "an integer, float or complex dtype"),
    "number, float": (float, (np.integer, np.floating), "an integer or float dtype"),
}


def sample_shape(where: str, shape: Any) -> tuple[int, ...]:
    """A shape argument as a tuple of non-negative ints; an int n stands for (n,).

    Raises:
      TypeError: it is no int and no sequence of ints.
      ValueError: a dimension is negative.
    """
    if type(shape) is tuple and all(type(n) is int and n >= 0 for n in shape):
        return shape
    try:
        sizes = (size_of(shape),) if not hasattr(shape, "__iter__") else sizes_of(shape)
    except TypeError:
        parts = shape if isinstance(shape, (tuple, list)) else (shape,)
        traced = any(isinstance(n, Tracer) for n in parts)
        hint = " A traced value cannot be a shape: mark it static in jit." if traced else ""
        raise TypeError(f"random.{where}: shape must be a sequence of ints, got {shape!r}.{hint}") from None
    if any(n < 0 for n in sizes):
        raise ValueError(f"random.{where}: shape must not have negative dimensions, got {sizes}.")
    return sizes


def parameter_shape(where: str, shape: Any, *parameters: Any) -> tuple[int, ...]:
    """The shape of samples: the one asked for, to which the parameters must broadcast, or else theirs.

    Raises:
      ValueError: a parameter's shape does not fit.
    """
    needed = broadcast_shape(*map(shape_of, parameters))
    if shape is None:
        return needed
    asked = sample_shape(where, shape)
    if not needed:
        return asked
    try:
        fits = broadcast_shape(asked, needed) == asked
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"random.{where}: shape {asked} must be one to which the shape {needed} of the parameters broadcasts. "
            "Leave shape out to take theirs, or put further dimensions in front."
        )
    return asked


def as_number(where: str, name: str, value: Any) -> Any:
    """A parameter as an array, or as the number that it is.

    Raises:
      TypeError: it is neither.
    """
    if type(value) in (float, int, bool) or hasattr(value, "dtype"):
        return value
    if isinstance(value, (list, tuple)) or value is None:
        raise TypeError(
            f"random.{where}: {name} must be an array or a number, got {value!r:.60}. Convert it with numpy.array."
        )
    return cnp.asarray(value)


def sample_dtype(where: str, dtype: Any, kind: str) -> Any:
    """A dtype argument as the dtype of the samples.

    Raises:
      ValueError: samples cannot have it.
    """
    default, classes, words = _KINDS[kind]
    if dtype is None:
        return default_dtype(default)
    chosen = dtypes.check_user_dtype_supported(dtype, f"random.{where}")
    if not any(dtypes.issubdtype(chosen, cls) for cls in classes):
        raise ValueError(f"dtype argument to `{where}` must be {words}, got {chosen}.")
    return chosen


def prepare(where: str, key: Any, dtype: Any, kind: str, out_sharding: Any) -> tuple[RawKey, Any]:
    """The key taken apart and the samples' dtype.

    Args:
      where: the sampler, for messages.
      key: a single key.
      dtype: what the caller asked for, or None.
      kind: which dtypes the sampler gives: a name in the table above.
      out_sharding: what the caller asked for; samplers that can do it are wrapped by `lays_out`.
    """
    if out_sharding is not None:
        raise NotImplementedError(
            f"{where} takes no out_sharding, but {out_sharding!r} was given. Leave it out, and constrain the result: "
            "canter.lax.with_sharding_constraint(x, sharding)."
        )
    return raw_key(where, key), sample_dtype(where, dtype, kind)


def lays_out(sampler: Callable[..., Any]) -> Callable[..., Any]:
    """A sampler that takes `out_sharding`: how the result is laid out over devices. The numbers stay the same.

    Args:
      sampler: the function; it gets no `out_sharding`.
    """

    @functools.wraps(sampler)
    def sample(*args: Any, out_sharding: Any = None, **kwargs: Any) -> Any:
        if out_sharding is None:
            return sampler(*args, **kwargs)
        from canter.lax.common import laid_out

        return laid_out(lambda: sampler(*args, **kwargs), out_sharding, sampler.__name__)

    return sample
