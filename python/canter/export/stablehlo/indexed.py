"""Gather and scatter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from canter import lax
from canter_mlir.reading import Operation

from .evaluation import Rule, static
from .regions import combiner, elementwise

__all__ = ["RULES"]


def _index_vectors_last(indices: Any, dim: int) -> Any:
    """Indices with their components along the last dimension, as lax wants them."""
    if dim == indices.ndim:
        return lax.reshape(indices, (*indices.shape, 1))
    order = [d for d in range(indices.ndim) if d != dim]
    return indices if dim == indices.ndim - 1 else lax.transpose(indices, (*order, dim))


def _gather_with(op: Operation, x: Any, indices: Any, sizes: tuple[int, ...]) -> Any:
    numbers = op.attributes["dimension_numbers"]
    return lax.gather(
        x,
        _index_vectors_last(indices, numbers["index_vector_dim"]),
        lax.GatherDimensionNumbers(
            numbers["offset_dims"],
            numbers["collapsed_slice_dims"],
            numbers["start_index_map"],
            numbers["operand_batching_dims"],
            numbers["start_indices_batching_dims"],
        ),
        sizes,
        indices_are_sorted=op.attributes.get("indices_are_sorted", False),
        mode="clip",
    )


def _gather(run: Any, op: Operation, x: Any, indices: Any) -> Any:
    return _gather_with(op, x, indices, op.attributes["slice_sizes"])


def _dynamic_gather(run: Any, op: Operation, x: Any, indices: Any, sizes: Any) -> Any:
    return _gather_with(op, x, indices, static(op, sizes, "the sizes of its slices"))


def _torch_index_select(run: Any, op: Operation, x: Any, indices: Any) -> Any:
    dim, batch = op.attributes["dim"], op.attributes["batch_dims"]
    slice_sizes = [1 if d <= dim and (d < batch or d == dim) else size for d, size in enumerate(x.shape)]
    lines = tuple(range(batch))
    numbers = lax.GatherDimensionNumbers(
        (*range(batch, dim), *range(dim + indices.ndim - batch, x.ndim - 1 + indices.ndim - batch)),
        (dim,),
        (dim,),
        lines,
        lines,
    )
    return lax.gather(x, lax.reshape(indices, (*indices.shape, 1)), numbers, slice_sizes, mode="clip")


_SCATTERS: dict[str, Callable[..., Any]] = {
    "second": lax.scatter,
    "add": lax.scatter_add,
    "multiply": lax.scatter_mul,
    "minimum": lax.scatter_min,
    "maximum": lax.scatter_max,
    "or": lax.scatter_max,
    "and": lax.scatter_min,
    "subtract": lax.scatter_sub,
}


def _numbers(op: Operation) -> lax.ScatterDimensionNumbers:
    numbers = op.attributes["scatter_dimension_numbers"]
    return lax.ScatterDimensionNumbers(
        numbers["update_window_dims"],
        numbers["inserted_window_dims"],
        numbers["scattered_dims_to_operand_dims"],
        numbers["input_batching_dims"],
        numbers["scatter_indices_batching_dims"],
    )


def _scatter(run: Any, op: Operation, *operands: Any) -> Any:
    count = len(op.results)
    xs, indices, updates = list(operands[:count]), operands[count], list(operands[count + 1 :])
    indices = _index_vectors_last(indices, op.attributes["scatter_dimension_numbers"]["index_vector_dim"])
    numbers = _numbers(op)
    name = combiner(op.regions[0])
    of_bits = name in ("or", "and") and op.results[0].type.dtype != bool
    if count > 1 or name not in _SCATTERS or of_bits:
        return _one_by_one(run, op, xs, indices, updates, numbers)
    options = {key: op.attributes.get(key, False) for key in ("indices_are_sorted", "unique_indices")}
    exact = all(
        size == 1 for size in _window_sizes(numbers, xs[0], updates[0], numbers.scatter_dims_to_operand_dims)
    )
    if not exact:  # StableHLO drops single elements that are out of bounds; lax, whole windows
        xs, indices, updates, numbers = _by_elements(numbers, xs, indices, updates)
    return _SCATTERS[name](xs[0], indices, updates[0], numbers, mode="drop", **options)


def _window_sizes(numbers: Any, x: Any, update: Any, dims: Any) -> list[int]:
    """The size of an update along some dimensions of the operand."""
    missing = {*numbers.inserted_window_dims, *numbers.operand_batching_dims}
    sizes = iter(update.shape[d] for d in numbers.update_window_dims)
    every = [1 if d in missing else next(sizes) for d in range(x.ndim)]
    return [every[d] for d in dims]


def _by_elements(numbers: Any, xs: Any, indices: Any, updates: Any) -> Any:
    """The same scatter with windows of one element along the dimensions that have indices."""
    rank = xs[0].ndim
    missing = {*numbers.inserted_window_dims, *numbers.operand_batching_dims}
    window_of = dict(
        zip((d for d in range(rank) if d not in missing), numbers.update_window_dims, strict=True)
    )
    wide = [d for d in numbers.scatter_dims_to_operand_dims if d in window_of]
    # The wide dimensions of the updates become dimensions of the indices, behind those there are.
    batch = [d for d in range(updates[0].ndim) if d not in numbers.update_window_dims]
    kept = [window_of[d] for d in sorted(window_of) if d not in wide]
    order = [*batch, *(window_of[d] for d in wide), *kept]
    sizes = [updates[0].shape[window_of[d]] for d in wide]
    shape = (*indices.shape[:-1], *sizes, indices.shape[-1])
    indices = lax.broadcast_in_dim(indices, shape, (*range(indices.ndim - 1), len(shape) - 1))
    for place, dim in enumerate(wide):
        component = numbers.scatter_dims_to_operand_dims.index(dim)
        steps = lax.broadcasted_iota(indices.dtype, shape, len(batch) + place)
        mine = lax.eq(
            lax.broadcasted_iota(np.int32, shape, len(shape) - 1), lax.full(shape, component, np.int32)
        )
        indices = lax.select(mine, lax.add(indices, steps), indices)
    first = len(batch) + len(wide)
    new = lax.ScatterDimensionNumbers(
        tuple(range(first, first + len(kept))),
        tuple(sorted({*numbers.inserted_window_dims, *wide})),
        numbers.scatter_dims_to_operand_dims,
        numbers.operand_batching_dims,
        numbers.scatter_indices_batching_dims,
    )
    return xs, indices, [lax.transpose(update, order) for update in updates], new


def _one_by_one(run: Any, op: Operation, xs: Any, indices: Any, updates: Any, numbers: Any) -> Any:
    """A scatter whose region is any function: a loop over the elements of the updates."""
    combine = run.closure(op.regions[0])
    xs, indices, updates, numbers = _by_elements(numbers, xs, indices, updates)
    places = _element_places(numbers, xs[0], indices, updates[0])
    sizes = [int(np.prod(x.shape)) for x in xs]
    flat = [lax.reshape(x, (size,)) for x, size in zip(xs, sizes, strict=True)]
    rows = [lax.reshape(update, (int(np.prod(update.shape)),)) for update in updates]

    def step(state: list[Any], row: Any) -> tuple[list[Any], None]:
        place, values = row
        old = [lax.dynamic_index_in_dim(x, place, keepdims=False) for x in state]
        inside = lax.ge(place, lax.full_like(place, 0))
        new = combine(*old, *values)
        kept = [lax.select(inside, y, x) for x, y in zip(old, new, strict=True)]
        return [
            lax.dynamic_update_slice(x, lax.reshape(y, (1,)), (place,))
            for x, y in zip(state, kept, strict=True)
        ], None

    if rows[0].shape[0] and sizes[0]:
        flat, _ = lax.scan(step, flat, (places, rows))
    return [lax.reshape(y, x.shape) for x, y in zip(xs, flat, strict=True)]


def _element_places(numbers: Any, x: Any, indices: Any, update: Any) -> Any:
    """For each element of the updates its place in the flattened operand; -1 where it is out of bounds."""
    batch = [d for d in range(update.ndim) if d not in numbers.update_window_dims]
    strides = [int(np.prod(x.shape[d + 1 :])) for d in range(x.ndim)]
    missing = {*numbers.inserted_window_dims, *numbers.operand_batching_dims}
    window_of = dict(
        zip((d for d in range(x.ndim) if d not in missing), numbers.update_window_dims, strict=True)
    )
    batching = dict(zip(numbers.operand_batching_dims, numbers.scatter_indices_batching_dims, strict=True))
    place = lax.full(update.shape, 0, np.int32)
    inside = lax.full(update.shape, True, bool)
    for dim in range(x.ndim):
        at = lax.full(update.shape, 0, np.int32)
        if dim in numbers.scatter_dims_to_operand_dims:
            component = numbers.scatter_dims_to_operand_dims.index(dim)
            column = lax.convert_element_type(
                lax.index_in_dim(indices, component, -1, keepdims=False), np.int32
            )
            at = lax.add(at, lax.broadcast_in_dim(column, update.shape, batch))
        if dim in window_of:
            at = lax.add(at, lax.broadcasted_iota(np.int32, update.shape, window_of[dim]))
        if dim in batching:
            at = lax.add(at, lax.broadcasted_iota(np.int32, update.shape, batch[batching[dim]]))
        good = lax.bitwise_and(lax.ge(at, lax.full_like(at, 0)), lax.lt(at, lax.full_like(at, x.shape[dim])))
        inside = lax.bitwise_and(inside, good)
        place = lax.add(place, lax.mul(at, lax.full_like(at, strides[dim])))
    return lax.reshape(lax.select(inside, place, lax.full_like(place, -1)), (int(np.prod(update.shape)),))


def _map(run: Any, op: Operation, *operands: Any) -> Any:
    return elementwise(run.closure(op.regions[0]))(*operands)


RULES: dict[str, Rule] = {
    "stablehlo.gather": _gather,
    "stablehlo.dynamic_gather": _dynamic_gather,
    "stablehlo.torch_index_select": _torch_index_select,
    "stablehlo.scatter": _scatter,
    "stablehlo.map": _map,
}
