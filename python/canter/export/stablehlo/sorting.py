"""Sorting by whatever a comparator says, and the greatest elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from canter import lax
from canter.transforms.vmap import vmap
from canter_mlir.reading import Block, Operation, Value

from .evaluation import Rule

__all__ = ["RULES", "top_k"]


class Key(NamedTuple):
    """What a comparator compares by.

    Attributes:
      operand: the number of the array.
      part: "" for the whole number, else "real" or "imag".
      descending: whether the greatest comes first.
      canonical: whether all zeros are equal, and all NaNs.
    """

    operand: int
    part: str
    descending: bool
    canonical: bool


def _keys(block: Block) -> list[Key] | None:
    """The keys by which a comparator orders, most important first; None where it is no such comparator."""
    places = {value: number for number, value in enumerate(block.arguments)}
    return _read_keys(block.results[0], places) if len(block.results) == 1 else None


def _read_keys(value: Value, places: dict[Value, int]) -> list[Key] | None:
    op = value.operation
    if op is None:
        return None
    if op.name == "stablehlo.compare":
        key = _read_key(op, places)
        return None if key is None or op.attributes["comparison_direction"] in ("EQ", "NE") else [key]
    if op.name == "stablehlo.or":
        for first, second in (op.operands, op.operands[::-1]):
            both = second.operation
            if both is not None and both.name == "stablehlo.and":
                for equal, rest in (both.operands, both.operands[::-1]):
                    found = _then(first, equal, rest, places)
                    if found:
                        return found
    if op.name == "stablehlo.select":
        equal, rest, first = op.operands
        return _then(first, equal, rest, places)
    return None


def _then(first: Value, equal: Value, rest: Value, places: dict[Value, int]) -> list[Key] | None:
    """The keys of `first or (equal and rest)`."""
    leading, following = _read_keys(first, places), _read_keys(rest, places)
    tie = equal.operation
    if not leading or not following or tie is None or tie.name != "stablehlo.compare":
        return None
    same = _read_key(tie, places)
    if tie.attributes["comparison_direction"] != "EQ" or same is None:
        return None
    return leading + following if same[:2] == leading[-1][:2] else None


def _read_key(op: Operation, places: dict[Value, int]) -> Key | None:
    left, right = (_root(value, places) for value in op.operands)
    if left is None or right is None or left[1:] != right[1:]:
        return None
    (x, part, cleaned), y = left, right[0]
    if x // 2 != y // 2 or x == y:
        return None
    total = op.attributes.get("compare_type") == "TOTALORDER"
    smaller_first = op.attributes["comparison_direction"] in ("LT", "LE")
    return Key(x // 2, part, smaller_first != (x < y), cleaned or not total)


def _root(value: Value, places: dict[Value, int]) -> tuple[int, str, bool] | None:
    """Which argument a compared value is, which part of it, and whether its zeros and NaNs were made equal."""
    part, cleaned = "", False
    while value not in places:
        op = value.operation
        if op is None:
            return None
        if op.name == "stablehlo.select" and _is_constant(op.operands[1]):
            value, cleaned = op.operands[2], True
        elif op.name in ("stablehlo.real", "stablehlo.imag") and not part:
            value, part = op.operands[0], op.name.removeprefix("stablehlo.")
        else:
            return None
    return places[value], part, cleaned


def _is_constant(value: Value) -> bool:
    return value.operation is not None and value.operation.name == "stablehlo.constant"


def _sort(run: Any, op: Operation, *operands: Any) -> Any:
    dim = op.attributes.get("dimension", -1) % max(1, operands[0].ndim)
    stable = op.attributes.get("is_stable", False)
    keys = _keys(op.regions[0])
    if keys is None:
        return _sort_by_any(run.closure(op.regions[0]), operands, dim)
    count = _leading(keys, operands)
    if count:
        results = lax.sort(tuple(operands), dimension=dim, is_stable=stable, num_keys=count)
        return list(results)
    made = [_ordered(operands[key.operand], key) for key in keys]
    results = lax.sort((*made, *operands), dimension=dim, is_stable=stable, num_keys=len(made))
    return list(results[len(made) :])


def _leading(keys: Sequence[Key], operands: Sequence[Any]) -> int:
    """How many operands the keys are, if these are the first ones in lax's own order; else 0."""
    wanted: list[tuple[int, str]] = []
    count = 0
    while len(wanted) < len(keys) and count < len(operands):
        parts = ("real", "imag") if operands[count].dtype.kind == "c" else ("",)
        wanted.extend((count, part) for part in parts)
        count += 1
    plain = all(key.canonical and not key.descending for key in keys)
    return count if plain and wanted == [key[:2] for key in keys] else 0


def _ordered(x: Any, key: Key) -> Any:
    """Integers in the order that a key asks for."""
    if key.part:
        x = (lax.real if key.part == "real" else lax.imag)(x)
    x = lax.stop_gradient(x)
    dtype = np.dtype(x.dtype)
    if dtype.kind == "b":
        x = lax.convert_element_type(x, np.int32)
    elif dtype.kind not in "iu" and not dtype.name.startswith(("int", "uint")):
        if key.canonical:
            x = lax.select(lax.eq(x, lax.full_like(x, 0)), lax.full_like(x, 0), x)
            x = lax.select(lax.ne(x, x), lax.full_like(x, np.nan), x)
        width = 8 * dtype.itemsize
        bits = lax.bitcast_convert_type(x, np.dtype(f"int{width}"))
        negative = lax.shift_right_arithmetic(bits, lax.full_like(bits, width - 1))
        x = lax.bitwise_xor(bits, lax.bitwise_and(negative, lax.full_like(bits, (1 << (width - 1)) - 1)))
    return lax.bitwise_not(x) if key.descending else x


def _sort_by_any(before: Any, operands: Sequence[Any], dim: int) -> list[Any]:
    """Sorts by any strict weak order: finds where each element goes, line by line."""
    size = operands[0].shape[dim]
    if size < 2:
        return list(operands)
    moved = [_last(x, dim) for x in operands]
    lines = [lax.reshape(x, (x.size // size, size)) for x in moved]

    def one(*line: Any) -> list[Any]:
        order = _bitonic(before, [lax.stop_gradient(x) for x in line], size)
        return [_take(x, order) for x in line]

    results = [lax.reshape(y, x.shape) for x, y in zip(moved, vmap(one)(*lines), strict=True)]
    return [_back(y, dim) for y in results]


def _take(x: Any, order: Any) -> Any:
    numbers = lax.GatherDimensionNumbers((), (0,), (0,))
    return lax.gather(x, lax.reshape(order, (*order.shape, 1)), numbers, (1,), mode="clip")


def _bitonic(before: Any, line: Sequence[Any], size: int) -> Any:
    """The order of a line, by Batcher's bitonic sorting network; ties stay as they are."""
    width = 1 << (size - 1).bit_length()
    places = np.arange(width, dtype=np.int32)
    order: Any = places
    compare = vmap(lambda *pairs: before(*pairs)[0])

    def precedes(a: Any, b: Any) -> Any:
        """Whether the element numbered b comes before that numbered a; those beyond the end come last."""
        pairs = [(_take(x, b), _take(x, a)) for x in line]
        forward = compare(*(x for pair in pairs for x in pair))
        backward = compare(*(x for pair in pairs for x in pair[::-1]))
        earlier = lax.bitwise_and(lax.bitwise_not(backward), lax.lt(b, a))
        first = lax.bitwise_or(forward, earlier)
        inside_a, inside_b = (lax.lt(i, lax.full_like(i, size)) for i in (a, b))
        both = lax.bitwise_and(inside_a, inside_b)
        return lax.select(both, first, lax.lt(b, a))

    block = 2
    while block <= width:
        step = block // 2
        while step:
            partner = _take(order, places ^ step)
            swap = precedes(order, partner)
            smaller_here = ((places & step) == 0) == ((places & block) == 0)
            order = lax.select(lax.eq(swap, smaller_here), partner, order)
            step //= 2
        block *= 2
    return lax.slice_in_dim(order, 0, size)


def _last(x: Any, dim: int) -> Any:
    return lax.transpose(x, [*(d for d in range(x.ndim) if d != dim), dim])


def _back(x: Any, dim: int) -> Any:
    order = list(range(x.ndim - 1))
    order.insert(dim, x.ndim - 1)
    return lax.transpose(x, order)


def top_k(run: Any, op: Operation, x: Any) -> Any:
    """The greatest elements along the last dimension, and where they are."""
    return list(lax.top_k(x, op.attributes["k"]))


RULES: dict[str, Rule] = {"stablehlo.sort": _sort, "chlo.top_k": top_k}
