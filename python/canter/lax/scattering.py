"""Scatter: puts, adds, multiplies, ... slices into an array at positions given by an index array.

The meaning of the dimension numbers is that of StableHLO's `scatter`, with the index vectors along
the last axis of the indices.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core import dtypes
from ..core.avals import ShapedArray, get_aval
from ..core.primitive import Primitive
from ..core.tracing import trace_to_jaxpr
from ..transforms.rules import Zero, bdim_at_front, instantiate_zeros, is_undefined_primal
from .common import ops, publish
from .gathering import (
    GatherDimensionNumbers,
    GatherScatterMode,
    check_index_maps,
    check_numbers,
    distinct_sorted,
    gather,
    shift,
)
from .joining import batch_size
from .shapes import aval_of, int_tuple, shape_of

__all__ = [
    "ScatterDimensionNumbers",
    "scatter",
    "scatter_add",
    "scatter_add_p",
    "scatter_apply",
    "scatter_max",
    "scatter_max_p",
    "scatter_min",
    "scatter_min_p",
    "scatter_mul",
    "scatter_mul_p",
    "scatter_p",
    "scatter_sub",
    "scatter_sub_p",
]


class ScatterDimensionNumbers(NamedTuple):
    """How the axes of a scatter's operand, indices and updates belong together.

    Attributes:
      update_window_dims: axes of the updates that run inside a slice.
      inserted_window_dims: axes of the operand, of slice size 1, that the updates do not have.
      scatter_dims_to_operand_dims: for each entry of an index vector, the axis of the operand that it counts.
      operand_batching_dims: axes of the operand, of slice size 1, that go along with axes of the indices.
      scatter_indices_batching_dims: those axes of the indices.

    Example:
      >>> from canter import lax
      >>> lax.ScatterDimensionNumbers((1,), (0,), (0,)).update_window_dims
      (1,)
    """

    update_window_dims: Sequence[int]
    inserted_window_dims: Sequence[int]
    scatter_dims_to_operand_dims: Sequence[int]
    operand_batching_dims: Sequence[int] = ()
    scatter_indices_batching_dims: Sequence[int] = ()


# ----------------------------------------------------------------------------------------------
# shapes


def _scatter_shape_rule(
    operand: Any, indices: Any, updates: Any, *, dimension_numbers: ScatterDimensionNumbers, **_: Any
) -> Any:
    numbers = dimension_numbers
    if not dtypes.issubdtype(indices.dtype, np.integer):
        raise ValueError(f"scatter: indices must have an integer type, got {indices.dtype.name}.")
    if operand.dtype != updates.dtype:
        raise TypeError(
            f"lax.scatter requires arguments to have the same dtypes, got {operand.dtype.name}, "
            f"{updates.dtype.name}. Convert the updates with lax.convert_element_type."
        )
    shapes = {"operand shape": operand.shape, "indices shape": indices.shape, "updates shape": updates.shape}
    check_index_maps(
        "scatter",
        numbers,
        shapes,
        operand.shape,
        indices.shape,
        (
            ("inserted_window_dims", numbers.inserted_window_dims),
            ("scatter_dims_to_operand_dims", numbers.scatter_dims_to_operand_dims),
            numbers.operand_batching_dims,
            numbers.scatter_indices_batching_dims,
        ),
    )
    _check_updates(numbers, shapes, operand.shape, indices.shape, updates.shape)
    return ShapedArray(
        operand.shape, operand.dtype, operand.weak_type and updates.weak_type and indices.weak_type
    )


def _check_updates(
    numbers: ScatterDimensionNumbers, shapes: Any, operand: Any, indices: Any, updates: Any
) -> None:
    """Checks the updates against the shapes of operand and indices; `shapes` is for messages."""

    def check(what: str, ok: bool) -> None:
        check_numbers("scatter", what, ok, numbers, shapes)

    window_dims = numbers.update_window_dims
    ndim = len(indices) - 1 + len(window_dims)
    check(
        f"the updates need {ndim} axes: {len(indices) - 1} batch axes of the indices and "
        f"{len(window_dims)} update_window_dims",
        len(updates) == ndim,
    )
    check(
        f"update_window_dims must be ascending axes in [0, {ndim}), none twice",
        distinct_sorted(window_dims) and all(0 <= d < ndim for d in window_dims),
    )
    removed = {*numbers.inserted_window_dims, *numbers.operand_batching_dims}
    window = [axis for axis in range(len(operand)) if axis not in removed]
    check(
        "every axis of the operand must be in a window (update_window_dims), inserted, or batching",
        len(window) == len(window_dims),
    )
    for axis, dim in zip(window, window_dims, strict=True):
        check(
            f"axis {dim} of the updates, {updates[dim]} long, does not fit axis {axis} of the operand, "
            f"{operand[axis]} long",
            updates[dim] <= operand[axis],
        )
    batch = tuple(size for dim, size in enumerate(updates) if dim not in window_dims)
    check(
        "the other axes of the updates must have the sizes of the indices' batch axes",
        batch == indices[:-1],
    )


def _window_sizes(
    operand_shape: Any, updates_shape: Any, numbers: ScatterDimensionNumbers
) -> tuple[int, ...]:
    """For each axis of the operand, the size of an update's window."""
    removed = {*numbers.inserted_window_dims, *numbers.operand_batching_dims}
    sizes = iter(updates_shape[dim] for dim in numbers.update_window_dims)
    return tuple(1 if axis in removed else next(sizes) for axis in range(len(operand_shape)))


def _gather_back(
    x: Any, indices: Any, updates_shape: Any, numbers: ScatterDimensionNumbers, **options: Any
) -> Any:
    """Reads, in the shape of the updates, the elements of `x` that the updates go to."""
    gather_numbers = GatherDimensionNumbers(
        offset_dims=tuple(numbers.update_window_dims),
        collapsed_slice_dims=tuple(numbers.inserted_window_dims),
        start_index_map=tuple(numbers.scatter_dims_to_operand_dims),
        operand_batching_dims=tuple(numbers.operand_batching_dims),
        start_indices_batching_dims=tuple(numbers.scatter_indices_batching_dims),
    )
    sizes = _window_sizes(shape_of(x), updates_shape, numbers)
    return gather(x, indices, gather_numbers, sizes, **options)


# ----------------------------------------------------------------------------------------------
# batching


def scatter_batch(
    primitive: Primitive, args: Any, dims: Any, *, dimension_numbers: ScatterDimensionNumbers, **params: Any
) -> tuple[Any, int]:
    """The batching rule of a scatter; updates of dynamic slices with batched starts use it too."""
    operand, indices, updates = args
    operand_dim, indices_dim, updates_dim = dims
    numbers = dimension_numbers
    size = batch_size(args, dims)
    operand = bdim_at_front(operand, operand_dim, size)
    updates = bdim_at_front(updates, updates_dim, size)
    window, indices_batching = shift(numbers.update_window_dims), tuple(numbers.scatter_indices_batching_dims)
    operand_batching = shift(numbers.operand_batching_dims)
    if indices_dim is None:
        # The same positions in each batch element: the batch axis is part of the windows.
        window = (0, *window)
    else:
        indices = bdim_at_front(indices, indices_dim, size)
        operand_batching = (0, *operand_batching)
        indices_batching = (0, *shift(indices_batching))
    batched = ScatterDimensionNumbers(
        update_window_dims=window,
        inserted_window_dims=shift(numbers.inserted_window_dims),
        scatter_dims_to_operand_dims=shift(numbers.scatter_dims_to_operand_dims),
        operand_batching_dims=operand_batching,
        scatter_indices_batching_dims=indices_batching,
    )
    return primitive.bind(operand, indices, updates, dimension_numbers=batched, **params), 0


# ----------------------------------------------------------------------------------------------
# the scatters


def _combine(name: str) -> Callable[[Any, Any], Any]:
    return lambda x, y: getattr(ops, name)(x, y)


@functools.cache
def _update_jaxpr(name: str, dtype: Any, weak_type: bool) -> tuple[Any, tuple[Any, ...]]:
    """The scalar function with which an update is combined, as a jaxpr; one object for each dtype."""
    aval = ShapedArray((), dtype, weak_type)
    closed = trace_to_jaxpr(lambda x, y: [_combine(name)(x, y)], [aval, aval], name=name)
    return closed.jaxpr, tuple(closed.consts)


def _scatter_primitive(name: str) -> Primitive:
    primitive = Primitive(name)
    primitive.def_abstract_eval(_scatter_shape_rule)
    primitive.def_batching(functools.partial(scatter_batch, primitive))
    return primitive


def _canonical_numbers(numbers: ScatterDimensionNumbers) -> ScatterDimensionNumbers:
    if not isinstance(numbers, ScatterDimensionNumbers):
        raise TypeError(f"scatter needs a lax.ScatterDimensionNumbers, got {type(numbers).__name__}.")
    return ScatterDimensionNumbers(*(int_tuple(field, "scatter") for field in numbers))


_DOC = """{summary}

    Most programs should write `{method}` instead, which does this. The order in which updates to
    the same element are applied is undefined.

    Args:
      operand: array that is updated.
      scatter_indices: integer array; its last axis holds index vectors, the others are batch axes.
      updates: array of the dtype of `operand`: a slice for each index vector.
      dimension_numbers: a `ScatterDimensionNumbers`.
      indices_are_sorted: the caller's promise that index vectors are in ascending order.
      unique_indices: the caller's promise that no element is updated twice.
      mode: what to do with slices out of bounds, a `GatherScatterMode` or its name; None drops them.

    Returns:
      An array of the shape and dtype of `operand`.

    Raises:
      TypeError: shapes, dtypes and dimension numbers do not fit.
      ValueError: the indices are not integers, or the mode is unknown.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> numbers = lax.ScatterDimensionNumbers((), (0,), (0,))
      >>> lax.{name}(cnp.ones(3), cnp.array([[1]]), cnp.full((1,), 2.0), numbers).tolist()
      {printed}
    """


def _scatter_function(
    name: str, primitive: Primitive, combine: str | None, summary: str, method: str, printed: str
) -> Callable[..., Any]:
    """The public function of a scatter; `combine` names the operation that joins old and new."""

    def scatter(
        operand: Any,
        scatter_indices: Any,
        updates: Any,
        dimension_numbers: ScatterDimensionNumbers,
        *,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        mode: str | GatherScatterMode | None = None,
    ) -> Any:
        parsed = GatherScatterMode.from_any(mode)
        if parsed is GatherScatterMode.ONE_HOT:
            raise ValueError(f"{name} has no mode 'one_hot'; use 'drop', 'clip' or 'promise_in_bounds'.")
        jaxpr, consts = None, ()
        if combine is not None:
            aval = get_aval(operand)
            jaxpr, consts = _update_jaxpr(combine, aval.dtype, aval.weak_type and get_aval(updates).weak_type)
        return primitive.bind(
            operand,
            scatter_indices,
            updates,
            update_jaxpr=jaxpr,
            update_consts=consts,
            dimension_numbers=_canonical_numbers(dimension_numbers),
            indices_are_sorted=bool(indices_are_sorted),
            unique_indices=bool(unique_indices),
            mode=parsed,
        )

    return publish(scatter, name, _DOC.format(summary=summary, name=name, method=method, printed=printed))


scatter_p = _scatter_primitive("scatter")
scatter_add_p = _scatter_primitive("scatter-add")
scatter_sub_p = _scatter_primitive("scatter-sub")
scatter_mul_p = _scatter_primitive("scatter-mul")
scatter_min_p = _scatter_primitive("scatter-min")
scatter_max_p = _scatter_primitive("scatter-max")

scatter = _scatter_function(
    "scatter",
    scatter_p,
    None,
    "Replaces slices of an array at many positions.",
    "x.at[i].set(y)",
    "[1.0, 2.0, 1.0]",
)
scatter_add = _scatter_function(
    "scatter_add",
    scatter_add_p,
    "add",
    "Adds to slices of an array at many positions.",
    "x.at[i].add(y)",
    "[1.0, 3.0, 1.0]",
)
scatter_sub = _scatter_function(
    "scatter_sub",
    scatter_sub_p,
    "sub",
    "Subtracts from slices of an array at many positions.",
    "x.at[i].subtract(y)",
    "[1.0, -1.0, 1.0]",
)
scatter_mul = _scatter_function(
    "scatter_mul",
    scatter_mul_p,
    "mul",
    "Multiplies slices of an array at many positions. Its derivative by the updates needs `unique_indices`.",
    "x.at[i].multiply(y)",
    "[1.0, 2.0, 1.0]",
)
scatter_min = _scatter_function(
    "scatter_min",
    scatter_min_p,
    "min",
    "Takes the minimum with slices of an array at many positions.",
    "x.at[i].min(y)",
    "[1.0, 1.0, 1.0]",
)
scatter_max = _scatter_function(
    "scatter_max",
    scatter_max_p,
    "max",
    "Takes the maximum with slices of an array at many positions.",
    "x.at[i].max(y)",
    "[1.0, 2.0, 1.0]",
)


def scatter_apply(
    operand: Any,
    scatter_indices: Any,
    func: Callable[[Any], Any],
    dimension_numbers: ScatterDimensionNumbers,
    *,
    update_shape: Sequence[int] = (),
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: str | GatherScatterMode | None = None,
) -> Any:
    """Applies a function to slices of an array at many positions.

    Most programs should write `x.at[i].apply(f)` instead, which does this. Where a position occurs
    several times, the function is applied as many times.

    Args:
      operand: array that is updated.
      scatter_indices: integer array; its last axis holds index vectors, the others are batch axes.
      func: a function from a scalar to a scalar of the same dtype.
      dimension_numbers: a `ScatterDimensionNumbers`.
      update_shape: the shape that updates would have.
      indices_are_sorted: the caller's promise that index vectors are in ascending order.
      unique_indices: the caller's promise that no element is updated twice; derivatives need it.
      mode: what to do with slices out of bounds, a `GatherScatterMode` or its name; None drops them.

    Returns:
      An array of the shape and dtype of `operand`.

    Raises:
      TypeError: shapes and dimension numbers do not fit, or `func` changes the dtype.
      ValueError: the indices are not integers, or the mode is unknown.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> numbers = lax.ScatterDimensionNumbers((), (0,), (0,))
      >>> lax.scatter_apply(cnp.ones(3), cnp.array([[1]]), lax.neg, numbers, update_shape=(1,)).tolist()
      [1.0, -1.0, 1.0]
    """
    aval = get_aval(operand)
    scalar = ShapedArray((), aval.dtype)
    closed = trace_to_jaxpr(lambda x, _: [func(x)], [scalar, scalar], name="scatter_apply")
    out = closed.out_avals[0]
    if out.shape or out.dtype != aval.dtype:
        raise TypeError(
            f"scatter_apply: func must map a scalar of dtype {aval.dtype.name} to another, "
            f"but its result is {out.str_short()}."
        )
    if any(get_aval(value).shape for value in closed.consts):
        shapes = [get_aval(value).shape for value in closed.consts]
        raise NotImplementedError(
            f"scatter_apply: func uses arrays of shapes {shapes} from outside; only scalars are possible."
        )
    parsed = GatherScatterMode.from_any(mode)
    if parsed is GatherScatterMode.ONE_HOT:
        raise ValueError("scatter_apply has no mode 'one_hot'; use 'drop', 'clip' or 'promise_in_bounds'.")
    return scatter_p.bind(
        operand,
        scatter_indices,
        ops.full(int_tuple(update_shape, "scatter_apply"), 0, aval.dtype),
        update_jaxpr=closed.jaxpr,
        update_consts=tuple(closed.consts),
        dimension_numbers=_canonical_numbers(dimension_numbers),
        indices_are_sorted=bool(indices_are_sorted),
        unique_indices=bool(unique_indices),
        mode=parsed,
    )


# ----------------------------------------------------------------------------------------------
# derivatives: sums, differences and products


def _linear_scatter_jvp(primitive: Primitive, primals: Any, tangents: Any, params: Any) -> tuple[Any, Any]:
    out = primitive.bind(*primals, **params)
    operand_tangent, _, update_tangent = tangents
    if type(operand_tangent) is Zero and type(update_tangent) is Zero:
        return out, Zero.from_primal_value(out)
    operand_tangent, update_tangent = instantiate_zeros(operand_tangent), instantiate_zeros(update_tangent)
    return out, primitive.bind(operand_tangent, primals[1], update_tangent, **params)


def _scatter_add_jvp(primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
    return _linear_scatter_jvp(scatter_add_p, primals, tangents, params)


def _scatter_sub_jvp(primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
    return _linear_scatter_jvp(scatter_sub_p, primals, tangents, params)


def _zeros_for(*operands: Any) -> list[Any]:
    return [Zero(x.aval) if is_undefined_primal(x) else None for x in operands]


def _scatter_add_transpose(
    ct: Any, operand: Any, indices: Any, updates: Any, *, dimension_numbers: Any, mode: Any, **params: Any
) -> list[Any]:
    if type(ct) is Zero:
        return _zeros_for(operand, indices, updates)
    updates_ct = None
    if is_undefined_primal(updates):
        updates_ct = _gather_back(ct, indices, updates.aval.shape, dimension_numbers, mode=mode, fill_value=0)
    return [ct if is_undefined_primal(operand) else None, None, updates_ct]


def _scatter_sub_transpose(ct: Any, operand: Any, indices: Any, updates: Any, **params: Any) -> list[Any]:
    operand_ct, _, updates_ct = _scatter_add_transpose(ct, operand, indices, updates, **params)
    if updates_ct is not None and type(updates_ct) is not Zero:
        updates_ct = ops.neg(updates_ct)
    return [operand_ct, None, updates_ct]


def _scatter_mul_jvp(primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
    operand, indices, updates = primals
    operand_tangent, _, update_tangent = tangents
    out = scatter_mul_p.bind(*primals, **params)
    tangent: Any = Zero.from_primal_value(out)
    if type(operand_tangent) is not Zero:
        tangent = scatter_mul_p.bind(operand_tangent, indices, updates, **params)
    if type(update_tangent) is not Zero:
        if not _is_unique(params, indices):
            raise NotImplementedError(
                "scatter_mul has a derivative by its updates only with unique_indices=True: with repeated "
                "indices, one update scales the others. Pass unique_indices=True if the indices are unique."
            )
        numbers, mode = params["dimension_numbers"], params["mode"]
        factor = _gather_back(operand, indices, shape_of(updates), numbers, mode=mode, fill_value=0)
        start = instantiate_zeros(Zero.from_primal_value(operand))
        term = _scatter_like(scatter_add, params)(start, indices, ops.mul(update_tangent, factor))
        tangent = term if type(tangent) is Zero else ops.add(tangent, term)
    return out, tangent


def _scatter_mul_transpose(ct: Any, operand: Any, indices: Any, updates: Any, **params: Any) -> list[Any]:
    if is_undefined_primal(updates):
        raise TypeError("scatter_mul is linear in its operand only, not in its updates.")
    if type(ct) is Zero:
        return _zeros_for(operand, indices, updates)
    return [scatter_mul_p.bind(ct, indices, updates, **params), None, None]


def _scatter_like(function: Callable[..., Any], params: Any) -> Callable[..., Any]:
    """Another scatter to the same places."""
    return functools.partial(
        function,
        dimension_numbers=params["dimension_numbers"],
        indices_are_sorted=params["indices_are_sorted"],
        unique_indices=params["unique_indices"],
        mode=params["mode"],
    )


def _is_unique(params: Any, indices: Any) -> bool:
    """True when no element is updated twice: promised, or there is only one update."""
    return params["unique_indices"] or math.prod(shape_of(indices)[:-1]) <= 1


# ----------------------------------------------------------------------------------------------
# derivatives: minimum and maximum


def _scatter_extremum_jvp(primitive: Primitive, primals: Any, tangents: Any, params: Any) -> tuple[Any, Any]:
    """Of the values that reach the extremum in one place, each has an equal share of the derivative."""
    operand, indices, updates = primals
    out = primitive.bind(*primals, **params)
    operand_tangent, _, update_tangent = tangents
    if type(operand_tangent) is Zero and type(update_tangent) is Zero:
        return out, Zero.from_primal_value(out)
    dtype = get_aval(out).dtype
    add_at = _scatter_like(scatter_add, params)
    reached = _gather_back(out, indices, shape_of(updates), params["dimension_numbers"], mode=params["mode"])
    operand_wins, update_wins = ops.eq(operand, out), ops.eq(updates, reached)
    winners = add_at(
        ops.convert_element_type(operand_wins, dtype), indices, ops.convert_element_type(update_wins, dtype)
    )
    # Where NaN is the extremum nothing is equal to it; the derivative is NaN there.
    total = add_at(
        _where(operand_wins, instantiate_zeros(operand_tangent)),
        indices,
        _where(update_wins, instantiate_zeros(update_tangent)),
    )
    return out, ops.div(total, winners)


def _where(condition: Any, x: Any) -> Any:
    return ops.select_n(condition, ops.full_like(x, 0), x)


def _scatter_min_jvp(primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
    return _scatter_extremum_jvp(scatter_min_p, primals, tangents, params)


def _scatter_max_jvp(primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
    return _scatter_extremum_jvp(scatter_max_p, primals, tangents, params)


# ----------------------------------------------------------------------------------------------
# derivatives: replacement


def _scatter_jvp(primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
    indices = primals[1]
    operand_tangent, _, update_tangent = tangents
    if type(operand_tangent) is Zero and type(update_tangent) is Zero:
        out = scatter_p.bind(*primals, **params)
        return out, Zero.from_primal_value(out)
    if params["update_jaxpr"] is not None:
        return _scatter_apply_jvp(primals, tangents, params)
    operand_tangent = instantiate_zeros(operand_tangent)
    if type(update_tangent) is Zero or _is_unique(params, indices):
        # Which of several updates wins does not matter where all tangents of updates are zero.
        out = scatter_p.bind(*primals, **params)
        update_tangent = instantiate_zeros(update_tangent)
        return out, scatter_p.bind(operand_tangent, indices, update_tangent, **params)
    return _scatter_winners_jvp(primals, operand_tangent, update_tangent, params)


def _scatter_winners_jvp(
    primals: Any, operand_tangent: Any, update_tangent: Any, params: Any
) -> tuple[Any, Any]:
    """Repeated indices: value and tangent in one place must come from the same update.

    The updates are numbered from 1 and the numbers are scattered first. What is found in a place
    afterwards says which update won there; 0 says that the operand stayed.
    """
    operand, indices, updates = primals
    numbers = params["dimension_numbers"]
    shape = shape_of(updates)
    window = set(numbers.update_window_dims)
    batch_axes = tuple(axis for axis in range(len(shape)) if axis not in window)
    batch_shape = tuple(shape[axis] for axis in batch_axes)
    count = ops.reshape(ops.iota(np.dtype(np.uint32), math.prod(batch_shape)), batch_shape)
    names = ops.add(ops.broadcast_in_dim(count, shape, batch_axes), ops.full(shape, 1, np.dtype(np.uint32)))
    nobody = ops.full(shape_of(operand), 0, np.dtype(np.uint32))
    winner = _scatter_like(scatter, params)(nobody, indices, names)
    update_wins = ops.eq(names, _gather_back(winner, indices, shape, numbers, mode=params["mode"]))
    operand_stays = ops.eq(winner, nobody)
    add_at = _scatter_like(scatter_add, params)
    out = add_at(_where(operand_stays, operand), indices, _where(update_wins, updates))
    tangent = add_at(_where(operand_stays, operand_tangent), indices, _where(update_wins, update_tangent))
    return out, tangent


def _scatter_apply_jvp(primals: Any, tangents: Any, params: Any) -> tuple[Any, Any]:
    operand, indices, updates = primals
    if not _is_unique(params, indices):
        raise NotImplementedError(
            "scatter_apply has a derivative only with unique_indices=True, because the function is applied "
            "once for each occurrence of an index. Pass unique_indices=True if the indices are unique."
        )
    from ..core.jaxpr import eval_jaxpr
    from ..transforms.jvp import jvp_flat

    numbers, mode = params["dimension_numbers"], params["mode"]
    options = {"mode": mode, "fill_value": 0}
    values = _gather_back(operand, indices, shape_of(updates), numbers, **options)
    rates = _gather_back(instantiate_zeros(tangents[0]), indices, shape_of(updates), numbers, **options)
    function = functools.partial(eval_jaxpr, params["update_jaxpr"], params["update_consts"])
    out = scatter_p.bind(*primals, **params)
    _, (new_rates,) = jvp_flat(lambda x: function(x, updates), [values], [rates])
    new_rates = instantiate_zeros(new_rates)
    return out, _scatter_like(scatter, params)(instantiate_zeros(tangents[0]), indices, new_rates)


def _scatter_transpose(
    ct: Any, operand: Any, indices: Any, updates: Any, *, dimension_numbers: Any, mode: Any, **params: Any
) -> list[Any]:
    if type(ct) is Zero:
        return _zeros_for(operand, indices, updates)
    operand_ct = updates_ct = None
    updates_aval = aval_of(updates)
    if is_undefined_primal(operand):
        nothing = instantiate_zeros(Zero(updates_aval))
        operand_ct = scatter_p.bind(
            ct, indices, nothing, dimension_numbers=dimension_numbers, mode=mode, **params
        )
    if is_undefined_primal(updates):
        updates_ct = _gather_back(ct, indices, updates_aval.shape, dimension_numbers, mode=mode, fill_value=0)
    return [operand_ct, None, updates_ct]


for _primitive, _jvp, _transpose in (
    (scatter_p, _scatter_jvp, _scatter_transpose),
    (scatter_add_p, _scatter_add_jvp, _scatter_add_transpose),
    (scatter_sub_p, _scatter_sub_jvp, _scatter_sub_transpose),
    (scatter_mul_p, _scatter_mul_jvp, _scatter_mul_transpose),
    (scatter_min_p, _scatter_min_jvp, None),
    (scatter_max_p, _scatter_max_jvp, None),
):
    _primitive.jvp_rule = _jvp
    _primitive.transpose_rule = _transpose
