"""Reductions over sliding windows, and the scatter that differentiates pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from canter import lax
from canter_mlir.reading import Block, Operation, Value

from .evaluation import Rule
from .reductions import COMBINE
from .regions import combiner, constant_of, differentiable, elementwise, is_identity, tree_reduce

__all__ = ["RULES", "Windows", "reduce_window"]


class Windows(NamedTuple):
    """Sizes of windows and how they lie."""

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    base_dilation: tuple[int, ...]
    dilation: tuple[int, ...]


def _windows(op: Operation) -> Windows:
    sizes = op.attributes["window_dimensions"]
    ones = (1,) * len(sizes)
    padding = op.attributes.get("padding")
    pairs = np.zeros((len(sizes), 2), int) if padding is None else np.reshape(padding, (-1, 2))
    return Windows(
        sizes,
        op.attributes.get("window_strides") or ones,
        tuple((int(low), int(high)) for low, high in pairs),
        op.attributes.get("base_dilations") or ones,
        op.attributes.get("window_dilations") or ones,
    )


_IN_WINDOWS = {"add": lax.add, "maximum": lax.max, "minimum": lax.min}


def _reduce_window(run: Any, op: Operation, *operands: Any) -> Any:
    count = len(op.results)
    block, starts = op.regions[0], op.operands[count:]
    return reduce_window(block, run.closure(block), operands[:count], operands[count:], starts, _windows(op))


def reduce_window(
    block: Block,
    combine: Callable[..., list[Any]],
    arrays: Sequence[Any],
    inits: Sequence[Any],
    starts: Sequence[Value],
    windows: Windows,
) -> Any:
    """Reduces each window of some arrays, by a region.

    Args:
      block, combine: the region, and the same as a function.
      inits, starts: the initial values, and what they are in the module.
    """
    name = combiner(block)
    if len(arrays) == 1 and name in _IN_WINDOWS and is_identity(name, starts[0]):
        # The initial value as a number is what tells lax that this is a sum, and so on.
        start = np.asarray(constant_of(starts[0]), arrays[0].dtype)
        return lax.reduce_window(arrays[0], start, _IN_WINDOWS[name], *windows)
    return _reduce_generally(combine, arrays, inits, windows)


def _reduce_generally(
    combine: Any, arrays: Sequence[Any], inits: Sequence[Any], windows: Windows
) -> list[Any]:
    count = len(arrays)

    def fast(*operands: Any) -> tuple[Any, ...]:
        def computation(left: Any, right: Any) -> Any:
            return tuple(combine(*left, *right))

        return tuple(lax.reduce_window(operands[:count], operands[count:], computation, *windows))

    def plain(*operands: Any) -> tuple[Any, ...]:
        together = elementwise(combine)
        rows = [
            _patches(x, start, windows) for x, start in zip(operands[:count], operands[count:], strict=True)
        ]
        shape = rows[0].shape[:-1]
        spread = [lax.broadcast_in_dim(start, shape, ()) for start in operands[count:]]
        return tuple(together(*spread, *tree_reduce(together, rows, len(shape))))

    return list(differentiable(fast, plain)(*arrays, *inits))


def _patches(x: Any, padding: Any, windows: Windows) -> Any:
    """The elements of each window along a new last dimension, in order."""
    amounts = [
        (low, high, base - 1)
        for (low, high), base in zip(windows.padding, windows.base_dilation, strict=True)
    ]
    x = lax.pad(x, padding, amounts)
    rank = x.ndim
    for dim, (size, stride, step) in enumerate(
        zip(windows.sizes, windows.strides, windows.dilation, strict=True)
    ):
        count = max(0, (x.shape[dim] - (size - 1) * step - 1) // stride + 1)
        places = np.arange(count)[:, None] * stride + np.arange(size)[None, :] * step
        numbers = lax.GatherDimensionNumbers(
            tuple(d for d in range(x.ndim + 1) if d not in (dim, x.ndim)), (dim,), (dim,)
        )
        sizes = tuple(1 if d == dim else n for d, n in enumerate(x.shape))
        # The new dimension of the window's elements comes last, behind those of the dimensions before.
        x = lax.gather(x, places[..., None].astype(np.int32), numbers, sizes, mode="clip")
    return lax.reshape(x, (*x.shape[:rank], int(np.prod(windows.sizes))))


def _select_and_scatter(run: Any, op: Operation, x: Any, source: Any, init: Any) -> Any:
    windows = _windows(op)
    choice, update = (combiner(block) for block in op.regions)
    direction = _direction(op.regions[0]) if choice == "compare" else None
    if direction in ("GE", "LE") and update == "add" and is_identity("add", op.operands[2]):
        return lax.select_and_scatter_add_p.bind(
            source,
            x,
            select_prim=lax.ge_p if direction == "GE" else lax.le_p,
            window_dimensions=windows.sizes,
            window_strides=windows.strides,
            padding=windows.padding,
        )
    return _scatter_chosen(run, op, x, source, init, windows)


def _direction(block: Block) -> str:
    return str(block.operations[0].attributes["comparison_direction"])


def _scatter_chosen(run: Any, op: Operation, x: Any, source: Any, init: Any, windows: Windows) -> Any:
    """Any choice and any way to combine: finds the chosen place of each window, then scatters there."""
    better, combine = elementwise(run.closure(op.regions[0])), run.closure(op.regions[1])
    places = lax.reshape(lax.iota(np.int32, int(np.prod(x.shape))), x.shape)
    values = _patches(x, lax.full((), 0, x.dtype), windows)
    found = _patches(places, np.int32(-1), windows)  # -1: padding, which is never chosen

    def choose(v: Any, p: Any, w: Any, q: Any) -> list[Any]:
        stay = better(v, w)[0]
        nothing = lax.full_like(p, 0)
        stay = lax.bitwise_or(lax.lt(q, nothing), lax.bitwise_and(lax.ge(p, nothing), stay))
        return [lax.select(stay, v, w), lax.select(stay, p, q)]

    _, chosen = tree_reduce(choose, [values, found], values.ndim - 1)
    flat = lax.broadcast_in_dim(init, (places.size,), ())
    count = int(np.prod(chosen.shape))
    name, rows = combiner(op.regions[1]), lax.reshape(source, (count,))
    chosen = lax.reshape(chosen, (count,))
    if name == "add":
        numbers = lax.ScatterDimensionNumbers((), (0,), (0,))
        indices = lax.reshape(lax.select(lax.lt(chosen, lax.full_like(chosen, 0)),
                                         lax.full_like(chosen, places.size), chosen), (count, 1))  # fmt: skip
        return lax.reshape(lax.scatter_add(flat, indices, rows, numbers, mode="drop"), x.shape)

    def step(state: Any, row: Any) -> tuple[Any, None]:
        place, value = row
        old = lax.dynamic_index_in_dim(state, place, keepdims=False)
        function = COMBINE.get(name or "")
        new = function(old, value) if function else combine(old, value)[0]
        new = lax.select(lax.ge(place, lax.full_like(place, 0)), new, old)
        return lax.dynamic_update_slice(state, lax.reshape(new, (1,)), (place,)), None

    return lax.reshape(lax.scan(step, flat, (chosen, rows))[0], x.shape)


RULES: dict[str, Rule] = {
    "stablehlo.reduce_window": _reduce_window,
    "stablehlo.select_and_scatter": _select_and_scatter,
}
