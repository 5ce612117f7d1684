"""Random number generators of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..lax.threefry import threefry2x32_p as threefry2x32_p
from ..random.keys import (
    PRNGImpl as _PRNGImpl,
    find_impl as _find_impl,
    key as _key,
    threefry_impl as threefry_prng_impl,
)

__all__ = [
    "define_prng_impl",
    "random_seed",
    "rbg_prng_impl",
    "seed_with_impl",
    "threefry2x32_p",
    "threefry_2x32",
    "threefry_prng_impl",
    "unsafe_rbg_prng_impl",
]

rbg_prng_impl = _find_impl("rbg")
unsafe_rbg_prng_impl = _find_impl("unsafe_rbg")


def define_prng_impl(
    *,
    key_shape: tuple[int, ...],
    seed: Callable[[Any], Any],
    split: Callable[[Any, tuple[int, ...]], Any],
    random_bits: Callable[[Any, int, tuple[int, ...]], Any],
    fold_in: Callable[[Any, Any], Any],
    name: str = "<unnamed>",
    tag: str = "?",
) -> Any:
    """Declares a generator, which may then be the `impl` of keys.

    Args:
      key_shape: the shape of the uint32 array that a key is.
      seed: from an integer to such an array.
      split: from it and a shape to an array of that shape of them.
      random_bits: from it, 8, 16, 32 or 64, and a shape to an array of unsigned integers of so many bits.
      fold_in: from it and an integer to another one.
      name: the generator's name.
      tag: its short name in the dtype of its keys.

    Returns:
      The generator; it is hashable.

    Example:
      >>> import canter as ct, canter.numpy as cnp
      >>> from canter.extend import random
      >>> counter = random.define_prng_impl(
      ...     key_shape=(1,), name="counter", tag="ctr",
      ...     seed=lambda s: cnp.asarray(s, cnp.uint32).reshape(1),
      ...     split=lambda k, shape: (k + cnp.arange(np_size(shape), dtype=cnp.uint32)[:, None]).reshape(*shape, 1),
      ...     random_bits=lambda k, width, shape: cnp.full(shape, k[0]).astype(f"uint{width}"),
      ...     fold_in=lambda k, data: k + cnp.uint32(data))
      >>> np_size = lambda shape: __import__("math").prod(shape)
      >>> ct.random.bits(ct.random.key(7, impl=counter), (2,)).tolist()
      [7, 7]
    """
    return _PRNGImpl(tuple(key_shape), seed, split, random_bits, fold_in, name, tag)


def seed_with_impl(impl: Any, seed: Any) -> Any:
    """The key of a generator for a seed.

    Example:
      >>> from canter.extend import random
      >>> random.seed_with_impl(random.threefry_prng_impl, 0).shape
      ()
    """
    return _key(seed, impl=impl)


def random_seed(seeds: Any, impl: Any) -> Any:
    """The keys of a generator for an array of seeds, in its shape.

    Example:
      >>> import canter.numpy as cnp
      >>> from canter.extend import random
      >>> random.random_seed(cnp.arange(3), random.threefry_prng_impl).shape
      (3,)
    """
    from ..core.avals import get_aval
    from ..transforms.vmap import vmap

    make = _key
    seed: Callable[[Any], Any] = lambda s: make(s, impl=impl)  # noqa: E731
    for _ in get_aval(seeds).shape:
        seed = vmap(seed)
    return seed(seeds)


def threefry_2x32(keypair: Any, count: Any) -> Any:
    """The Threefry-2x32 hash of Salmon et al. (2011).

    Args:
      keypair: an array or pair of two uint32 words.
      count: an array of uint32.

    Returns:
      An array of the shape of `count`: the hashes of its first and second half, taken as pairs.

    Raises:
      TypeError: an argument is not of dtype uint32.

    Example:
      >>> import canter.numpy as cnp
      >>> from canter.extend import random
      >>> random.threefry_2x32(cnp.zeros(2, cnp.uint32), cnp.zeros(2, cnp.uint32)).tolist()
      [1797259609, 2579123966]
    """
    from .. import numpy as cnp
    from ..core.avals import get_aval

    first, second = keypair
    for value in (first, second, count):
        if get_aval(value).dtype != "uint32":
            raise TypeError(f"threefry_2x32 takes arrays of uint32, got {get_aval(value).str_short()}.")
    flat = cnp.ravel(cnp.asarray(count))
    odd = flat.size % 2
    padded = cnp.concatenate([flat, cnp.zeros(odd, cnp.uint32)])
    halves = cnp.split(padded, 2)
    shape = halves[0].shape
    out = threefry2x32_p.bind(cnp.broadcast_to(first, shape), cnp.broadcast_to(second, shape), *halves)
    hashed = cnp.concatenate(list(out))
    return cnp.reshape(hashed[: flat.size], get_aval(count).shape)
