"""Arithmetic on what is known while a module is traced: shapes, counters, branch numbers.

Small arrays of integers and booleans, and single floats, whose elements are known stay NumPy arrays as long as only
operations of the table here touch them. So a shape that a module computes is a shape, and a loop's bound is a number.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["fold", "is_known"]

_MOST_ELEMENTS = 64

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "EQ": operator.eq,
    "NE": operator.ne,
    "LT": operator.lt,
    "LE": operator.le,
    "GT": operator.gt,
    "GE": operator.ge,
}


def is_known(value: Any) -> bool:
    """Whether a value is a NumPy array of a few integers or booleans, or of one float."""
    return type(value) is np.ndarray and _is_small(value.dtype, value.size)


def _is_small(dtype: Any, size: int) -> bool:
    return size <= _MOST_ELEMENTS if dtype.kind in "biu" else dtype.kind == "f" and size == 1


def _quotient(op: Any, x: Any, y: Any) -> Any:
    """Of integers rounded towards zero, as StableHLO does."""
    if x.dtype.kind == "f":
        return x / y
    return np.where(y == 0, -1, np.sign(x) * np.sign(y) * (abs(x) // np.where(y == 0, 1, abs(y))))


def _remainder(op: Any, x: Any, y: Any) -> Any:
    if x.dtype.kind == "f":
        return np.fmod(x, y)
    return np.where(y == 0, x, np.sign(x) * (abs(x) % np.where(y == 0, 1, abs(y))))


def _broadcast(op: Any, x: Any) -> Any:
    shape = op.results[0].type.shape
    spread = [1] * len(shape)
    for dim, size in zip(op.attributes["broadcast_dimensions"], x.shape, strict=True):
        spread[dim] = size
    return np.broadcast_to(x.reshape(spread), shape)


def _slice(op: Any, x: Any) -> Any:
    names = ("start_indices", "limit_indices", "strides")
    bounds = zip(*(op.attributes[name] for name in names), strict=True)
    return x[tuple(slice(*each) for each in bounds)]


def _iota(op: Any) -> Any:
    kind, dim = op.results[0].type, op.attributes["iota_dimension"]
    return np.indices(kind.shape)[dim]


_FOLDS: dict[str, Callable[..., Any]] = {
    "add": lambda op, x, y: x + y,
    "and": lambda op, x, y: x & y,
    "broadcast_in_dim": _broadcast,
    "ceil": lambda op, x: np.ceil(x),
    "clamp": lambda op, low, x, high: np.minimum(np.maximum(x, low), high),
    "compare": lambda op, x, y: _COMPARISONS[op.attributes["comparison_direction"]](x, y),
    "concatenate": lambda op, *xs: np.concatenate(xs, op.attributes["dimension"]),
    "constant": lambda op: op.attributes["value"],
    "convert": lambda op, x: x,
    "divide": _quotient,
    "floor": lambda op, x: np.floor(x),
    "iota": _iota,
    "maximum": lambda op, x, y: np.maximum(x, y),
    "minimum": lambda op, x, y: np.minimum(x, y),
    "multiply": lambda op, x, y: x * y,
    "negate": lambda op, x: -x,
    "not": lambda op, x: ~x,
    "or": lambda op, x, y: x | y,
    "remainder": _remainder,
    "reshape": lambda op, x: x.reshape(op.results[0].type.shape),
    "select": lambda op, which, x, y: np.where(which, x, y),
    "slice": _slice,
    "subtract": lambda op, x, y: x - y,
    "transpose": lambda op, x: x.transpose(op.attributes["permutation"]),
}


def fold(op: Any, operands: Any) -> np.ndarray | None:
    """The result of an operation on known values, or None where it is not for here."""
    rule = _FOLDS.get(op.name.removeprefix("stablehlo."))
    if rule is None or len(op.results) != 1:
        return None
    kind = op.results[0].type
    if not kind.static or not _is_small(kind.dtype, int(np.prod(kind.shape, dtype=int))):
        return None
    if not all(map(is_known, operands)):
        return None
    if kind.dtype == bool and op.name in ("stablehlo.add", "stablehlo.subtract", "stablehlo.multiply"):
        return None  # which are logical there
    with np.errstate(all="ignore"):
        return np.asarray(rule(op, *operands)).astype(kind.dtype)
