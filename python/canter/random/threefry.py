"""The Threefry-2x32 counter-based generator.

Everything here works on raw keys: arrays of two 32-bit words along the last axis.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import lax
from ..core import config
from ..core.avals import get_aval
from ..core.dimensions import surely_less
from ..lax.threefry import threefry2x32_p

__all__ = ["fold_in", "random_bits", "seed", "split"]

_UINT32 = np.dtype(np.uint32)


def _words(key: Any) -> tuple[Any, Any]:
    return lax.index_in_dim(key, 0, -1, keepdims=False), lax.index_in_dim(key, 1, -1, keepdims=False)


def _join(first: Any, second: Any) -> Any:
    ndim = get_aval(first).ndim
    return lax.concatenate([lax.expand_dims(first, (ndim,)), lax.expand_dims(second, (ndim,))], ndim)


def _counters(shape: tuple[int, ...]) -> tuple[Any, Any]:
    """High and low words of 0, 1, 2, … in row-major order."""
    size = math.prod(shape)
    if surely_less(1 << 32, size):
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
    if not config.threefry_partitionable.value:
        return lax.reshape(_two_halves(key, 2 * math.prod(shape)), (*shape, 2))
    return _join(*threefry2x32_p.bind(*_words(key), *_counters(shape)))


def fold_in(key: Any, data: Any) -> Any:
    """A new raw key from a raw key and a 32-bit word."""
    return _join(*threefry2x32_p.bind(*_words(key), np.uint32(0), data))


def random_bits(key: Any, bit_width: int, shape: tuple[int, ...]) -> Any:
    """Uniformly random unsigned integers of 8, 16, 32 or 64 bits."""
    if not config.threefry_partitionable.value:
        return _bits_of_halves(key, bit_width, shape)
    first, second = threefry2x32_p.bind(*_words(key), *_counters(shape))
    if bit_width == 64:
        return _wide(first, second)
    mixed = lax.bitwise_xor(first, second)
    return mixed if bit_width == 32 else lax.convert_element_type(mixed, np.dtype(f"uint{bit_width}"))


def _wide(high: Any, low: Any) -> Any:
    """Words of 64 bits from their halves."""
    high, low = (lax.convert_element_type(x, np.dtype(np.uint64)) for x in (high, low))
    return lax.bitwise_or(lax.shift_left(high, np.uint64(32)), low)


# --- the older scheme: counters in two halves, each of which gives one of the two words ------------


def _two_halves(key: Any, size: int) -> Any:
    """So many random words in a row."""
    half = (size + 1) // 2
    if surely_less(1 << 32, size):
        raise ValueError(
            f"random: {size} words are more than one key gives in a single call (2**32). Split the key and draw "
            "them in parts."
        )
    counters = lax.iota(_UINT32, size)
    if size % 2:
        counters = lax.concatenate([counters, np.zeros(1, _UINT32)], 0)
    ends = lax.slice_in_dim(counters, 0, half), lax.slice_in_dim(counters, half, 2 * half)
    words = lax.concatenate(threefry2x32_p.bind(*_words(key), *ends), 0)
    return lax.slice_in_dim(words, 0, size)


def _bits_of_halves(key: Any, bit_width: int, shape: tuple[int, ...]) -> Any:
    size = math.prod(shape)
    count = -(-bit_width * size // 32)
    words = _two_halves(key, count)
    if bit_width == 64:
        high, low = lax.slice_in_dim(words, 0, size), lax.slice_in_dim(words, size, count)
        return lax.reshape(_wide(high, low), shape)
    if bit_width == 32:
        return lax.reshape(words, shape)
    # A word gives several narrow integers, those of its lowest bits first.
    narrow = np.dtype(f"uint{bit_width}")
    parts = [
        lax.expand_dims(lax.convert_element_type(lax.shift_right_logical(words, np.uint32(at)), narrow), (1,))
        for at in range(0, 32, bit_width)
    ]
    together = lax.reshape(lax.concatenate(parts, 1), (count * (32 // bit_width),))
    return lax.reshape(lax.slice_in_dim(together, 0, size), shape)
