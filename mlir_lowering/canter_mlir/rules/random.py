"""Bits and numbers from XLA's own generators."""

from __future__ import annotations

from typing import Any

import numpy as np

from canter.core.avals import ShapedArray

from ..mlir_door import stablehlo_attributes
from ..registry import register_table
from .elementwise import reject_sharding

__all__: list[str] = []

# Values of lax.RandomAlgorithm.
_GENERATORS = {0: "DEFAULT", 1: "THREE_FRY", 2: "PHILOX"}
_UINT32, _UINT64 = np.dtype(np.uint32), np.dtype(np.uint64)


def _as_words(ctx: Any, key: Any, aval: Any) -> tuple[Any, Any]:
    """A key of 32-bit words as one of 64-bit words, which XLA's generators take."""
    pairs = ShapedArray((*aval.shape[:-1], aval.shape[-1] // 2, 2), _UINT32)
    words = ShapedArray(pairs.shape[:-1], _UINT64)
    return ctx.op("stablehlo.bitcast_convert", (ctx.op("stablehlo.reshape", (key,), pairs),), words), words


def _from_words(ctx: Any, key: Any, aval: Any) -> Any:
    pairs = ShapedArray((*aval.shape[:-1], aval.shape[-1] // 2, 2), _UINT32)
    return ctx.op("stablehlo.reshape", (ctx.op("stablehlo.bitcast_convert", (key,), pairs),), aval)


def _rng_bit_generator(
    ctx: Any, key: Any, *, shape: Any, dtype: Any, algorithm: Any, out_sharding: Any = None
) -> list[Any]:
    reject_sharding(ctx, out_sharding)
    aval, (key_out, bits) = ctx.avals_in[0], ctx.avals_out
    narrow = aval.dtype == _UINT32
    state_aval = aval
    if narrow:
        key, state_aval = _as_words(ctx, key, aval)
    name = _GENERATORS[int(getattr(algorithm, "value", algorithm))]
    attributes = {"rng_algorithm": stablehlo_attributes.RngAlgorithmAttr.get(name)}
    outs = (state_aval, bits)
    state, values = ctx.build("stablehlo.rng_bit_generator", (key,), outs, attributes).results
    return [_from_words(ctx, state, key_out) if narrow else state, values]


def _rng_uniform(ctx: Any, low: Any, high: Any, *, shape: Any) -> Any:
    types = ctx.types
    sizes = ctx.op(
        "stablehlo.constant",
        (),
        types.tensor((len(shape),), np.dtype(np.int64)),
        {"value": types.dense(np.asarray(shape, np.int64))},
    )
    distribution = {"rng_distribution": stablehlo_attributes.RngDistributionAttr.get("UNIFORM")}
    return ctx.op("stablehlo.rng", (low, high, sizes), ctx.avals_out[0], distribution)


register_table({"rng_bit_generator": _rng_bit_generator, "rng_uniform": _rng_uniform})
