"""The Threefry-2x32 counter-based generator.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (20 rounds).
Everything here works on raw keys: arrays of two 32-bit words along the last axis.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import lax
from ..core.avals import ShapedArray, get_aval
from ..core.primitive import Primitive
from ..transforms.rules import broadcast_batch

__all__ = ["fold_in", "random_bits", "seed", "split", "threefry2x32_p", "threefry_rounds"]

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)
_UINT32 = np.dtype(np.uint32)

threefry2x32_p = Primitive("threefry2x32", multiple_results=True)


def _abstract(*avals: Any) -> Any:
    shape = next((a.shape for a in avals if a.shape), ())
    for aval in avals:
        if aval.dtype != _UINT32 or aval.shape not in ((), shape):
            raise TypeError(
                f"threefry2x32 takes uint32 arrays of one shape, got {[a.str_short() for a in avals]}."
            )
    return [ShapedArray(shape, _UINT32)] * 2


def _batch(args: Any, dims: Any) -> Any:
    outs, dim = broadcast_batch(threefry2x32_p, args, dims, {})
    return outs, [dim, dim]


threefry2x32_p.def_abstract_eval(_abstract)
threefry2x32_p.def_batching(_batch)


def threefry_rounds(key0: Any, key1: Any, x0: Any, x1: Any) -> list[Any]:
    """The 20 rounds on a block of two words, as array operations."""
    schedule = (key0, key1, lax.bitwise_xor(lax.bitwise_xor(key0, key1), _PARITY))
    x0, x1 = lax.add(x0, schedule[0]), lax.add(x1, schedule[1])
    for group in range(5):
        for distance in _ROTATIONS[group % 2]:
            x0 = lax.add(x0, x1)
            rotated = lax.bitwise_or(
                lax.shift_left(x1, np.uint32(distance)), lax.shift_right_logical(x1, np.uint32(32 - distance))
            )
            x1 = lax.bitwise_xor(rotated, x0)
        x0 = lax.add(x0, schedule[(group + 1) % 3])
        x1 = lax.add(lax.add(x1, schedule[(group + 2) % 3]), np.uint32(group + 1))
    return [x0, x1]


def _words(key: Any) -> tuple[Any, Any]:
    return lax.index_in_dim(key, 0, -1, keepdims=False), lax.index_in_dim(key, 1, -1, keepdims=False)


def _join(first: Any, second: Any) -> Any:
    ndim = get_aval(first).ndim
    return lax.concatenate([lax.expand_dims(first, (ndim,)), lax.expand_dims(second, (ndim,))], ndim)


def _counters(shape: tuple[int, ...]) -> tuple[Any, Any]:
    """High and low words of 0, 1, 2, … in row-major order."""
    size = math.prod(shape)
    if size > 1 << 32:
        raise ValueError(
            f"random: {size} numbers of shape {shape} are more than one key gives in a single call (2**32). "
            "Split the key and draw them in parts."
        )
    low = lax.reshape(lax.iota(_UINT32, size), shape)
    return np.uint32(0), low


def seed(value: Any) -> Any:
    """The raw key of an integer: its high and its low word."""
    aval = get_aval(value)
    if aval.dtype.itemsize == 8:
        high = lax.convert_element_type(
            lax.shift_right_logical(value, np.asarray(32, aval.dtype)[()]), _UINT32
        )
        low = lax.convert_element_type(
            lax.bitwise_and(value, np.asarray(0xFFFFFFFF, aval.dtype)[()]), _UINT32
        )
    else:
        low = lax.convert_element_type(value, _UINT32)
        high = lax.full(aval.shape, 0, _UINT32)
    return _join(high, low)


def split(key: Any, shape: tuple[int, ...]) -> Any:
    """New raw keys of the given shape from one raw key."""
    return _join(*threefry2x32_p.bind(*_words(key), *_counters(shape)))


def fold_in(key: Any, data: Any) -> Any:
    """A new raw key from a raw key and a 32-bit word."""
    return _join(*threefry2x32_p.bind(*_words(key), np.uint32(0), data))


def random_bits(key: Any, bit_width: int, shape: tuple[int, ...]) -> Any:
    """Uniformly random unsigned integers of 8, 16, 32 or 64 bits."""
    first, second = threefry2x32_p.bind(*_words(key), *_counters(shape))
    if bit_width == 64:
        wide = np.dtype(np.uint64)
        high, low = lax.convert_element_type(first, wide), lax.convert_element_type(second, wide)
        return lax.bitwise_or(lax.shift_left(high, np.uint64(32)), low)
    mixed = lax.bitwise_xor(first, second)
    return mixed if bit_width == 32 else lax.convert_element_type(mixed, np.dtype(f"uint{bit_width}"))
