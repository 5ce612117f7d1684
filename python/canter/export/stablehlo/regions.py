"""What the regions of reductions, scatters and sorts compute, and how to differentiate what lax cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from canter import lax
from canter.transforms.custom_rules import custom_jvp
from canter.transforms.derivatives import jvp
from canter.transforms.vmap import vmap
from canter_mlir.reading import Block, Value

__all__ = ["constant_of", "combiner", "differentiable", "elementwise", "is_identity", "tree_reduce"]

_COMMUTATIVE = ("add", "multiply", "minimum", "maximum", "and", "or", "xor")
_OF_BOOLEANS = {"add": "or", "maximum": "or", "multiply": "and", "minimum": "and"}


def combiner(block: Block) -> str | None:
    """The one operation that a region of two scalars applies to them, such as "add".

    "first" and "second" are regions that return an argument; None is anything else.
    """
    first, second = block.arguments if len(block.arguments) == 2 else (None, None)
    if first is None or len(block.results) != 1:
        return None
    (result,) = block.results
    if not block.operations:
        return "first" if result is first else "second" if result is second else None
    op = block.operations[0]
    name = op.name.removeprefix("stablehlo.")
    if len(block.operations) != 1 or result is not op.results[0]:
        return None
    if op.operands == (first, second) or (name in _COMMUTATIVE and op.operands == (second, first)):
        return _OF_BOOLEANS.get(name, name) if result.type.dtype == bool else name
    return None


def constant_of(value: Value) -> Any:
    """The number that a value is, if it is one that the module knows; else None."""
    op = value.operation
    while op is not None and op.name != "stablehlo.constant":
        if op.name not in ("stablehlo.broadcast_in_dim", "stablehlo.reshape", "stablehlo.convert"):
            return None
        op = op.operands[0].operation
    array = None if op is None else op.attributes["value"]
    return array.ravel()[0] if array is not None and array.size and not any(array.strides) else None


def is_identity(name: str, value: Value) -> bool:
    """Whether an initial value changes nothing."""
    number, dtype = constant_of(value), value.type.dtype
    if number is None:
        return False
    if name in ("add", "or", "xor"):
        return bool(number == 0)
    if name == "multiply":
        return bool(number == 1)
    if name == "and":
        return bool(
            number == (True if dtype.kind == "b" else -1 if dtype.kind == "i" else np.iinfo(dtype).max)
        )
    if dtype.kind in "iu":
        return bool(number == (np.iinfo(dtype).min if name == "maximum" else np.iinfo(dtype).max))
    return bool(number == (-np.inf if name == "maximum" else np.inf))


def elementwise(call: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """A function of scalars as one of arrays of one shape, element by element."""

    def apply(*arrays: Any) -> list[Any]:
        shape = arrays[0].shape
        flat = [lax.reshape(x, (int(np.prod(shape)),)) for x in arrays]
        return [lax.reshape(y, shape) for y in vmap(lambda *xs: call(*xs))(*flat)]

    return apply


def tree_reduce(combine: Callable[..., list[Any]], arrays: Sequence[Any], axis: int) -> list[Any]:
    """Combines arrays along an axis, halves with halves, in order; what the axis had is gone.

    Args:
      combine: takes two lists of arrays, one after the other.
    """
    arrays = list(arrays)
    while (size := arrays[0].shape[axis]) > 1:
        half = size // 2
        even = [lax.slice_in_dim(x, 0, 2 * half, 2, axis) for x in arrays]
        odd = [lax.slice_in_dim(x, 1, 2 * half, 2, axis) for x in arrays]
        joined = combine(*even, *odd)
        if size % 2:
            rest = [lax.slice_in_dim(x, 2 * half, size, 1, axis) for x in arrays]
            joined = [lax.concatenate(pair, axis) for pair in zip(joined, rest, strict=True)]
        arrays = list(joined)
    return [lax.squeeze(x, (axis,)) for x in arrays]


def differentiable(fast: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    """`fast`, with the derivatives of `plain`: two functions of the same values.

    `fast` is a kernel without a derivative, `plain` the same in operations that have one.
    """
    function = custom_jvp(fast)

    def rule(primals: Any, tangents: Any) -> Any:
        return function(*primals), jvp(plain, primals, tangents)[1]

    function.defjvp(rule)
    return function
