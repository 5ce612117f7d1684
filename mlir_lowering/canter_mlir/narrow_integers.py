"""Operations that XLA's CPU compiler cannot do, or does wrongly, with integers of 2 and 4 bits.

It refuses them, gives wrong numbers, or even ends the process. They are done with bytes instead.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from .registry import Rule

__all__ = ["NOT_NARROW", "in_bytes"]

# Primitives by name. Found by trying every operation of `lax` on the four types.
NOT_NARROW = frozenset(("argmax", "argmin", "concatenate", "dot_general", "sort", "stack", "top_k"))

_BYTES: dict[Any, Any] = {
    np.dtype(ml_dtypes.int2): np.dtype(np.int8),
    np.dtype(ml_dtypes.int4): np.dtype(np.int8),
    np.dtype(ml_dtypes.uint2): np.dtype(np.uint8),
    np.dtype(ml_dtypes.uint4): np.dtype(np.uint8),
}


def in_bytes(rule: Rule) -> Rule:
    """A lowering rule that sees bytes where its equation has narrower integers."""

    def lowered(ctx: Any, *operands: Any, **params: Any) -> Any:
        if not any(aval.dtype in _BYTES for aval in ctx.avals_in):
            return rule(ctx, *operands, **params)
        ins, outs = [_wide(aval) for aval in ctx.avals_in], [_wide(aval) for aval in ctx.avals_out]
        wide = [_converted(ctx, *each) for each in zip(operands, ctx.avals_in, ins, strict=True)]
        results = rule(ctx.replace(avals_in=ins, avals_out=outs), *wide, **params)
        results = list(results) if isinstance(results, (list, tuple)) else [results]
        return [_converted(ctx, *each) for each in zip(results, outs, ctx.avals_out, strict=True)]

    return lowered


def _wide(aval: Any) -> Any:
    dtype = _BYTES.get(aval.dtype)
    return aval if dtype is None else aval.update(dtype=dtype)


def _converted(ctx: Any, value: Any, aval: Any, wanted: Any) -> Any:
    return value if aval.dtype == wanted.dtype else ctx.convert(value, wanted)
