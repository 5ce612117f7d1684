"""Random bits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from canter import lax
from canter_mlir.reading import Operation

from .evaluation import Rule, UnsupportedOperation, static

__all__ = ["ALGORITHMS", "RULES"]

ALGORITHMS = {
    "DEFAULT": lax.RandomAlgorithm.RNG_DEFAULT,
    "THREE_FRY": lax.RandomAlgorithm.RNG_THREE_FRY,
    "PHILOX": lax.RandomAlgorithm.RNG_PHILOX,
}


def _rng_bit_generator(run: Any, op: Operation, state: Any) -> Any:
    kind, dtype = op.results[1].type, np.dtype(op.results[1].type.dtype)
    # lax makes unsigned bits only; signed ones are the same bits.
    unsigned = np.dtype(f"uint{8 * dtype.itemsize}")
    words, whole = state, state.dtype
    if whole == np.uint64:  # the state as words of 32 bits
        words = lax.reshape(lax.bitcast_convert_type(state, np.uint32), (2 * state.shape[0],))
    new, bits = lax.rng_bit_generator(words, kind.shape, unsigned, ALGORITHMS[op.attributes["rng_algorithm"]])
    if whole == np.uint64:
        new = lax.bitcast_convert_type(lax.reshape(new, (state.shape[0], 2)), np.uint64)
    return [new, bits if dtype == unsigned else lax.bitcast_convert_type(bits, dtype)]


def _rng(run: Any, op: Operation, a: Any, b: Any, shape: Any) -> Any:
    """Numbers from a state that the device keeps: uniform between a and b, or normal with mean a and deviation b."""
    sizes = static(op, shape, "its shape")
    if op.attributes["rng_distribution"] == "UNIFORM":
        return lax.rng_uniform(a, b, sizes)
    if op.results[0].type.dtype.kind != "f":
        raise UnsupportedOperation(op, "makes normal numbers that are not floats.")
    low = np.nextafter(a.dtype.type(-1), a.dtype.type(0))
    uniform = lax.rng_uniform(low, a.dtype.type(1), sizes)
    scale, shift = (lax.broadcast_in_dim(x, sizes, ()) for x in (b, a))
    normal = lax.mul(lax.erf_inv(uniform), lax.full_like(uniform, math.sqrt(2)))
    return lax.add(lax.mul(normal, scale), shift)


RULES: dict[str, Rule] = {"stablehlo.rng_bit_generator": _rng_bit_generator, "stablehlo.rng": _rng}
