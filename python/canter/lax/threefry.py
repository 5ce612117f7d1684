"""The Threefry-2x32 block function as a primitive.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (20 rounds).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.avals import ShapedArray
from ..core.primitive import Primitive
from ..transforms.rules import broadcast_batch
from .arithmetic import add, bitwise_and, bitwise_or, bitwise_xor, mul, shift_left, shift_right_logical

__all__ = ["sampler_programs", "threefry2x32_p", "threefry_rounds", "threefry_rounds_cpu"]

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)
_UINT32 = np.dtype(np.uint32)

#: Primitives that are programs of canter.random, by name: filled there, used by the lowering.
sampler_programs: dict[str, Callable[..., Any]] = {}

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


def threefry_rounds_cpu(key0: Any, key1: Any, x0: Any, x1: Any) -> list[Any]:
    """The same words by a program that the CPU's compiler is done with several times sooner.

    Where it sees that x1 counts, it tries to strengthen each of the sums that follow. The product of two numbers
    in a row is even, but it does not know that.
    """
    zero = bitwise_and(mul(key0, add(key0, np.uint32(1))), np.uint32(1))
    return threefry_rounds(key0, key1, x0, bitwise_xor(x1, zero))


def threefry_rounds(key0: Any, key1: Any, x0: Any, x1: Any) -> list[Any]:
    """The 20 rounds on a block of two words, as array operations."""
    schedule = (key0, key1, bitwise_xor(bitwise_xor(key0, key1), _PARITY))
    x0, x1 = add(x0, schedule[0]), add(x1, schedule[1])
    for group in range(5):
        for distance in _ROTATIONS[group % 2]:
            x0 = add(x0, x1)
            rotated = bitwise_or(
                shift_left(x1, np.uint32(distance)), shift_right_logical(x1, np.uint32(32 - distance))
            )
            x1 = bitwise_xor(rotated, x0)
        x0 = add(x0, schedule[(group + 1) % 3])
        x1 = add(add(x1, schedule[(group + 2) % 3]), np.uint32(group + 1))
    return [x0, x1]
