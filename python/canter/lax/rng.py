"""Random bits and numbers of the device's own generators; canter.random is what most programs want."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import dtypes
from ..core.avals import ShapedArray, get_aval
from ..core.primitive import Primitive
from ..transforms import rules
from .common import Array, ArrayLike, DTypeLike, Shape, check_same_dtypes, check_shape, ops, refuse_sharding
from .enums import RandomAlgorithm

rng_bit_generator_p = Primitive("rng_bit_generator", multiple_results=True)
rng_uniform_p = Primitive("rng_uniform")

_BITS_DTYPES = tuple(np.dtype(name) for name in ("uint8", "uint16", "uint32", "uint64"))
_ALGORITHMS = {"default": 0, "three_fry": 1, "threefry": 1, "philox": 2}


def rng_bit_generator(
    key: ArrayLike,
    shape: Shape,
    dtype: DTypeLike = np.uint32,
    algorithm: RandomAlgorithm = RandomAlgorithm.RNG_DEFAULT,
    *,
    out_sharding: Any = None,
) -> tuple[Array, Array]:
    """Random bits of the device's generator. The same key may give other bits on another device.

    Args:
      key: the generator's state, a uint32 array of shape (4,) or a uint64 array of shape (2,).
      shape: of the result.
      dtype: uint8, uint16, uint32 or uint64.
      algorithm: a `RandomAlgorithm`, or its name: "default", "three_fry", "philox".
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Returns:
      The next state, and the bits.

    Raises:
      TypeError: the dtype of the result or of the key is another.

    Example:
      >>> import numpy as np
      >>> from canter import lax
      >>> state, bits = lax.rng_bit_generator(np.zeros(4, np.uint32), (3,))
      >>> bits.shape
      (3,)
    """
    refuse_sharding("rng_bit_generator", out_sharding)
    if isinstance(algorithm, str):
        if algorithm.lower() not in _ALGORITHMS:
            raise ValueError(
                f"rng_bit_generator: unknown algorithm {algorithm!r}; known are {sorted(_ALGORITHMS)}."
            )
        algorithm = RandomAlgorithm(_ALGORITHMS[algorithm.lower()])
    state, bits = rng_bit_generator_p.bind(
        key,
        shape=check_shape("rng_bit_generator", shape),
        dtype=dtypes.check_user_dtype_supported(dtype, "rng_bit_generator"),
        algorithm=RandomAlgorithm(algorithm),
        out_sharding=None,
    )
    return state, bits


def _bits_rule(key: Any, *, shape: Any, dtype: Any, algorithm: Any, out_sharding: Any) -> list[Any]:
    if dtype not in _BITS_DTYPES:
        raise TypeError(
            f"rng_bit_generator: unsupported dtype {dtype.name}; use uint8, uint16, uint32 or uint64."
        )
    if (key.dtype.name, key.shape) not in (("uint32", (4,)), ("uint64", (2,))):
        raise TypeError(
            "rng_bit_generator: the key must be a uint32 array of shape (4,) or a uint64 array of shape (2,), got "
            f"{key.str_short()}."
        )
    return [key, ShapedArray(shape, dtype)]


def _bits_batch(args: Any, dims: Any, *, shape: Any, **params: Any) -> Any:
    """One call for the whole batch from its first key; the states of the others stay as they are."""
    (keys,), (dim,) = args, dims
    keys = rules.moveaxis(keys, dim, 0)
    size = get_aval(keys).shape[0]
    if size == 0:
        bits = ops.full((0, *shape), 0, params["dtype"])
        return [keys, bits], [0, 0]
    first = ops.squeeze(ops.slice_in_dim(keys, 0, 1, axis=0), (0,))
    state, bits = rng_bit_generator_p.bind(first, shape=(size, *shape), **params)
    rest = ops.slice_in_dim(keys, 1, size, axis=0)
    return [ops.concatenate([ops.expand_dims(state, (0,)), rest], 0), bits], [0, 0]


def _bits_jvp(primals: Any, tangents: Any, **params: Any) -> Any:
    outs = rng_bit_generator_p.bind(*primals, **params)
    return outs, [rules.Zero.from_primal_value(out) for out in outs]


rng_bit_generator_p.def_abstract_eval(_bits_rule)
rng_bit_generator_p.def_batching(_bits_batch)
rng_bit_generator_p.def_jvp(_bits_jvp)


def rng_uniform(a: ArrayLike, b: ArrayLike, shape: Shape) -> Array:
    """Numbers of a uniform distribution in [a, b), from the device's hidden state.

    The numbers differ from call to call: use `canter.random.uniform` for reproducible ones.

    Args:
      a: least number, a scalar.
      b: upper bound, a scalar of the same dtype, which is the result's.
      shape: of the result.

    Raises:
      TypeError: dtypes differ, or a bound is not a scalar.

    Example:
      >>> import numpy as np
      >>> from canter import lax
      >>> 0.0 <= float(lax.rng_uniform(0.0, 1.0, ())) < 1.0
      True
    """
    return rng_uniform_p.bind(a, b, shape=check_shape("rng_uniform", shape))


def _uniform_rule(a: Any, b: Any, *, shape: Any) -> Any:
    check_same_dtypes("rng_uniform", a, b)
    if a.shape or b.shape:
        raise TypeError(f"rng_uniform: the bounds must be scalars, got shapes {a.shape} and {b.shape}.")
    return ShapedArray(shape, a.dtype)


rng_uniform_p.def_abstract_eval(_uniform_rule)
