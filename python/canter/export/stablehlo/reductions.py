"""Reductions along dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from canter import lax
from canter_mlir.reading import Operation

from .evaluation import Rule
from .regions import combiner, differentiable, elementwise, is_identity, tree_reduce

__all__ = ["COMBINE", "RULES", "reduce_generally"]

_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "add": lax.reduce_sum,
    "multiply": lax.reduce_prod,
    "maximum": lax.reduce_max,
    "minimum": lax.reduce_min,
    "and": lax.reduce_and,
    "or": lax.reduce_or,
    "xor": lax.reduce_xor,
}
COMBINE: dict[str, Callable[..., Any]] = {
    "add": lax.add,
    "multiply": lax.mul,
    "maximum": lax.max,
    "minimum": lax.min,
    "and": lax.bitwise_and,
    "or": lax.bitwise_or,
    "xor": lax.bitwise_xor,
}


def _reduce(run: Any, op: Operation, *operands: Any) -> Any:
    count = len(op.results)
    arrays, inits = operands[:count], operands[count:]
    dims, name = op.attributes["dimensions"], combiner(op.regions[0])
    if count == 1 and name in _REDUCTIONS:
        result = _REDUCTIONS[name](arrays[0], dims)
        if is_identity(name, op.operands[1]):
            return result
        return COMBINE[name](lax.broadcast_in_dim(inits[0], result.shape, ()), result)
    return reduce_generally(run.closure(op.regions[0]), arrays, inits, dims)


def reduce_generally(
    combine: Any, arrays: Sequence[Any], inits: Sequence[Any], dims: Sequence[int]
) -> list[Any]:
    """A reduction by any function of two tuples of scalars; differentiable if the function is."""
    count = len(arrays)

    def fast(*operands: Any) -> tuple[Any, ...]:
        def computation(left: Any, right: Any) -> Any:
            return tuple(combine(*left, *right))

        return tuple(lax.reduce(operands[:count], operands[count:], computation, dims))

    def plain(*operands: Any) -> tuple[Any, ...]:
        xs, starts = list(operands[:count]), operands[count:]
        together = elementwise(combine)
        order = [*(d for d in range(xs[0].ndim) if d not in dims), *dims]
        kept = tuple(xs[0].shape[d] for d in order[: xs[0].ndim - len(dims)])
        size = 1
        for d in dims:
            size *= xs[0].shape[d]
        spread = [lax.broadcast_in_dim(start, kept, ()) for start in starts]
        if not size:
            return tuple(spread)
        rows = [lax.reshape(lax.transpose(x, order), (*kept, size)) for x in xs]
        return tuple(together(*spread, *tree_reduce(together, rows, len(kept))))

    return list(differentiable(fast, plain)(*arrays, *inits))


RULES: dict[str, Rule] = {"stablehlo.reduce": _reduce}
