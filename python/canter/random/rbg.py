"""Generators on the device's own random bits: quick, but not the same on every kind of device.

`rbg` splits keys as threefry does, on both halves of a key of four words; `unsafe_rbg` splits with the
device's bits too, of which nothing is known about independence.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from canter import lax
from canter.transforms.vmap import vmap

from . import threefry
from .keys import PRNGImpl, implementations

__all__ = ["register"]

#: Of the device's bits for new keys, only one in so many is taken.
_STRIDE = 10


def _halves(key: Any) -> Any:
    return lax.reshape(key, (2, 2))


def _seed(value: Any) -> Any:
    half = threefry.seed(value)
    return lax.concatenate([half, half], half.ndim - 1)


def _split(key: Any, shape: tuple[int, ...]) -> Any:
    size = math.prod(shape)
    halves = vmap(lambda half: threefry.split(half, (size,)), out_axes=1)(_halves(key))
    return lax.reshape(halves, (*shape, 4))


def _fold_in(key: Any, data: Any) -> Any:
    return lax.reshape(vmap(lambda half: threefry.fold_in(half, data))(_halves(key)), (4,))


def _random_bits(key: Any, bit_width: int, shape: tuple[int, ...]) -> Any:
    return lax.rng_bit_generator(key, shape, np.dtype(f"uint{bit_width}"))[1]


def _unsafe_split(key: Any, shape: tuple[int, ...]) -> Any:
    size = math.prod(shape)
    bits = _random_bits(key, 32, (_STRIDE * size, 4))
    return lax.reshape(lax.slice_in_dim(bits, 0, _STRIDE * size, _STRIDE), (*shape, 4))


def _unsafe_fold_in(key: Any, data: Any) -> Any:
    bits = _random_bits(_seed(data), 32, (_STRIDE, 4))
    return lax.bitwise_xor(key, lax.index_in_dim(bits, _STRIDE - 1, 0, keepdims=False))


def register() -> None:
    """Makes both generators known by name."""
    implementations["rbg"] = PRNGImpl((4,), _seed, _split, _random_bits, _fold_in, "rbg", "rbg")
    implementations["unsafe_rbg"] = PRNGImpl(
        (4,), _seed, _unsafe_split, _random_bits, _unsafe_fold_in, "unsafe_rbg", "urbg"
    )
