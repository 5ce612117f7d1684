"""Constants, shapes, slices and joins, with shapes that are computed while tracing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from canter import lax
from canter_mlir.reading import Operation

from .evaluation import Rule, UnsupportedOperation, static

__all__ = ["RULES", "dynamic_shape"]


def _constant(run: Any, op: Operation) -> Any:
    value = op.attributes["value"]
    if value.size > 1 and not any(value.strides):
        return lax.full(value.shape, value.ravel()[0], value.dtype)
    return value


def _iota(run: Any, op: Operation) -> Any:
    kind = op.results[0].type
    return lax.broadcasted_iota(kind.dtype, kind.shape, op.attributes["iota_dimension"])


def _dynamic_iota(run: Any, op: Operation, shape: Any) -> Any:
    sizes = static(op, shape, "its shape")
    return lax.broadcasted_iota(op.results[0].type.dtype, sizes, op.attributes["iota_dimension"])


def dynamic_shape(run: Any, op: Operation, x: Any) -> Any:
    """The shape that an operation's result has, where the module says it in full."""
    kind = op.results[0].type
    if not kind.static:
        raise UnsupportedOperation(op, f"has the type {kind}, whose shape nothing says.")
    return kind.shape


def _broadcast_in_dim(run: Any, op: Operation, x: Any) -> Any:
    return lax.broadcast_in_dim(x, dynamic_shape(run, op, x), op.attributes["broadcast_dimensions"])


def _dynamic_broadcast_in_dim(run: Any, op: Operation, x: Any, shape: Any) -> Any:
    return lax.broadcast_in_dim(x, static(op, shape, "its shape"), op.attributes["broadcast_dimensions"])


def _broadcast(run: Any, op: Operation, x: Any) -> Any:
    return lax.broadcast(x, op.attributes["broadcast_sizes"])


def _reshape(run: Any, op: Operation, x: Any) -> Any:
    return lax.reshape(x, dynamic_shape(run, op, x))


def _dynamic_reshape(run: Any, op: Operation, x: Any, shape: Any) -> Any:
    return lax.reshape(x, static(op, shape, "its shape"))


def _dimension_size(run: Any, op: Operation, x: Any) -> Any:
    return np.asarray(x.shape[op.attributes["dimension"]], np.int32)


def _set_dimension_size(run: Any, op: Operation, x: Any, size: Any) -> Any:
    """Where the size is the one that the dimension has, nothing changes."""
    dim = op.attributes["dimension"]
    (wanted,) = static(op, size, "a size")
    return x if wanted == x.shape[dim] else lax.slice_in_dim(x, 0, wanted, axis=dim)


def _transpose(run: Any, op: Operation, x: Any) -> Any:
    return lax.transpose(x, op.attributes["permutation"])


def _reverse(run: Any, op: Operation, x: Any) -> Any:
    return lax.rev(x, op.attributes["dimensions"])


def _concatenate(run: Any, op: Operation, *xs: Any) -> Any:
    return xs[0] if len(xs) == 1 else lax.concatenate(xs, op.attributes["dimension"])


def _pad(run: Any, op: Operation, x: Any, value: Any) -> Any:
    names = ("edge_padding_low", "edge_padding_high", "interior_padding")
    return _padded(x, value, *(op.attributes[name] for name in names))


def _padded(x: Any, value: Any, low: Sequence[int], high: Sequence[int], interior: Sequence[int]) -> Any:
    return lax.pad(x, value, list(zip(low, high, interior, strict=True)))


def _dynamic_pad(run: Any, op: Operation, x: Any, value: Any, *amounts: Any) -> Any:
    return _padded(x, value, *(static(op, amount, "an amount of padding") for amount in amounts))


def _slice(run: Any, op: Operation, x: Any) -> Any:
    return lax.slice(
        x, op.attributes["start_indices"], op.attributes["limit_indices"], op.attributes["strides"]
    )


def _real_dynamic_slice(run: Any, op: Operation, x: Any, start: Any, limit: Any, strides: Any) -> Any:
    named = ((start, "its start"), (limit, "its limit"), (strides, "its strides"))
    return lax.slice(x, *(static(op, value, what) for value, what in named))


def _dynamic_slice(run: Any, op: Operation, x: Any, *starts: Any) -> Any:
    if not starts:
        return x
    return lax.dynamic_slice(x, starts, op.attributes["slice_sizes"], allow_negative_indices=False)


def _dynamic_update_slice(run: Any, op: Operation, x: Any, update: Any, *starts: Any) -> Any:
    if not starts:
        return update
    return lax.dynamic_update_slice(x, update, starts, allow_negative_indices=False)


def _bitcast_convert(run: Any, op: Operation, x: Any) -> Any:
    return lax.bitcast_convert_type(x, op.results[0].type.dtype)


RULES: dict[str, Rule] = {
    "stablehlo.bitcast_convert": _bitcast_convert,
    "stablehlo.broadcast": _broadcast,
    "stablehlo.broadcast_in_dim": _broadcast_in_dim,
    "stablehlo.concatenate": _concatenate,
    "stablehlo.constant": _constant,
    "stablehlo.dynamic_broadcast_in_dim": _dynamic_broadcast_in_dim,
    "stablehlo.dynamic_iota": _dynamic_iota,
    "stablehlo.dynamic_pad": _dynamic_pad,
    "stablehlo.dynamic_reshape": _dynamic_reshape,
    "stablehlo.dynamic_slice": _dynamic_slice,
    "stablehlo.dynamic_update_slice": _dynamic_update_slice,
    "stablehlo.get_dimension_size": _dimension_size,
    "stablehlo.iota": _iota,
    "stablehlo.pad": _pad,
    "stablehlo.real_dynamic_slice": _real_dynamic_slice,
    "stablehlo.reshape": _reshape,
    "stablehlo.reverse": _reverse,
    "stablehlo.set_dimension_size": _set_dimension_size,
    "stablehlo.slice": _slice,
    "stablehlo.transpose": _transpose,
}
