"""Sorting, and the largest elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.avals import ShapedArray, get_aval
from ..core.dimensions import size_of
from ..core.primitive import Primitive
from ..transforms import rules
from ..transforms.rules import Zero
from .common import ANY, ORDERED, Array, ArrayLike, check_dtype, normalize_axis, ops
from .cumulative import take_along

sort_p = Primitive("sort", multiple_results=True)
top_k_p = Primitive("top_k", multiple_results=True)
approx_top_k_p = Primitive("approx_top_k", multiple_results=True)


# --- sort -----------------------------------------------------------------------------------------


def sort(
    operand: Array | Sequence[Array], dimension: int = -1, is_stable: bool = True, num_keys: int = 1
) -> Array | tuple[Array, ...]:
    """Sorts along a dimension; several operands are sorted together by the first ones.

    Args:
      operand: array, or a sequence of arrays of one shape.
      dimension: along which to sort; negative ones count from the last.
      is_stable: whether equal elements keep their order.
      num_keys: how many of the operands are compared, the first one first.

    Returns:
      An array, or a tuple of arrays for a sequence. NaNs come last, and complex numbers are ordered
      by their real, then their imaginary parts.

    Raises:
      TypeError: there is no operand, or shapes differ.
      ValueError: `dimension` or `num_keys` is out of range.

    Example:
      >>> import numpy as np
      >>> from canter import lax
      >>> np.asarray(lax.sort(np.array([3, 1, 2]))).tolist()
      [1, 2, 3]
    """
    several = isinstance(operand, (tuple, list))
    operands = tuple(operand) if several else (operand,)
    if not operands:
        raise TypeError("sort requires at least one operand.")
    if not 1 <= num_keys <= len(operands):
        raise ValueError(
            f"sort: num_keys={num_keys} must be between 1 and the number of operands, {len(operands)}."
        )
    dimension = normalize_axis("sort", dimension, len(get_aval(operands[0]).shape))
    outs = sort_p.bind(*operands, dimension=dimension, is_stable=bool(is_stable), num_keys=int(num_keys))
    return tuple(outs) if several else outs[0]


def sort_key_val(
    keys: Array, values: ArrayLike, dimension: int = -1, is_stable: bool = True
) -> tuple[Array, Array]:
    """Sorts keys along a dimension, and moves values in the same way.

    Args:
      keys: array.
      values: array of the same shape.
      dimension: along which to sort; negative ones count from the last.
      is_stable: whether values of equal keys keep their order.

    Returns:
      The sorted keys, and the values in their order.

    Raises:
      TypeError: shapes differ.
      ValueError: `dimension` is out of range.

    Example:
      >>> import numpy as np
      >>> from canter import lax
      >>> keys, values = lax.sort_key_val(np.array([3, 1, 2]), np.array([10, 20, 30]))
      >>> np.asarray(values).tolist()
      [20, 30, 10]
    """
    dimension = normalize_axis("sort_key_val", dimension, len(get_aval(keys).shape))
    sorted_keys, sorted_values = sort_p.bind(
        keys, values, dimension=dimension, is_stable=bool(is_stable), num_keys=1
    )
    return sorted_keys, sorted_values


def _sort_rule(*operands: Any, dimension: int, is_stable: bool, num_keys: int) -> list[Any]:
    shape = operands[0].shape
    if any(x.shape != shape for x in operands):
        raise TypeError(
            f"sort: operands must have equal shapes, got {', '.join(str(x.shape) for x in operands)}."
        )
    for position in range(num_keys):
        check_dtype("sort", operands[position].dtype, ANY, position)
    return list(operands)


def _sort_jvp(primals: Any, tangents: Any, *, dimension: int, is_stable: bool, num_keys: int) -> Any:
    shape = get_aval(primals[0]).shape
    places = ops.broadcasted_iota(np.int32, shape, dimension)
    *outs, order = sort_p.bind(*primals, places, dimension=dimension, is_stable=is_stable, num_keys=num_keys)
    dots = [
        Zero.from_primal_value(out) if type(dot) is Zero else take_along(dot, order, dimension)
        for out, dot in zip(outs, tangents, strict=True)
    ]
    return outs, dots


def _sort_batch(args: Any, dims: Any, *, dimension: int, is_stable: bool, num_keys: int) -> Any:
    size = next(get_aval(x).shape[d] for x, d in zip(args, dims, strict=True) if d is not None)
    dim = next(d for d in dims if d is not None)
    args = [rules.matchaxis(size, d, dim, x) for x, d in zip(args, dims, strict=True)]
    dimension += dimension >= dim
    outs = sort_p.bind(*args, dimension=dimension, is_stable=is_stable, num_keys=num_keys)
    return outs, [dim] * len(outs)


sort_p.def_abstract_eval(_sort_rule)
sort_p.def_jvp(_sort_jvp)
sort_p.def_batching(_sort_batch)


# --- top_k ----------------------------------------------------------------------------------------


def top_k(operand: ArrayLike, k: int, *, axis: int = -1) -> tuple[Array, Array]:
    """The k largest elements along a dimension, in descending order, and their indices.

    Args:
      operand: array of a bool, integer or floating dtype. NaNs are larger than all numbers.
      k: how many elements; at most the dimension's size.
      axis: the dimension; negative ones count from the last.

    Returns:
      The elements, and their indices as int32. Of equal elements the first ones are taken.

    Raises:
      TypeError: the operand is complex.
      ValueError: `k` or `axis` is out of range.

    Example:
      >>> import numpy as np
      >>> from canter import lax
      >>> values, indices = lax.top_k(np.array([3, 1, 2]), 2)
      >>> np.asarray(values).tolist(), np.asarray(indices).tolist()
      ([3, 2], [0, 2])
    """
    axis = normalize_axis("top_k", axis, len(get_aval(operand).shape))
    values, indices = top_k_p.bind(operand, k=size_of(k), axis=axis)
    return values, indices


def _check_k(name: str, x: Any, k: int, axis: int) -> None:
    if k < 0:
        raise ValueError(f"k argument to {name} must be nonnegative, got {k}.")
    if x.shape[axis] < k:
        raise ValueError(
            f"k argument to {name} must be no larger than size along axis; got k={k} with "
            f"shape={x.shape} and axis={axis}."
        )


def _top_k_rule(x: Any, *, k: int, axis: int) -> list[Any]:
    check_dtype("top_k", x.dtype, ORDERED)
    _check_k("top_k", x, k, axis)
    shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    return [x.update(shape=shape), ShapedArray(shape, np.dtype(np.int32))]


def _top_k_jvp(primals: Any, tangents: Any, *, k: int, axis: int) -> Any:
    (x,), (g,) = primals, tangents
    values, indices = top_k_p.bind(x, k=k, axis=axis)
    dot = Zero.from_primal_value(values) if type(g) is Zero else take_along(g, indices, axis)
    return [values, indices], [dot, Zero.from_primal_value(indices)]


def _top_k_batch(args: Any, dims: Any, *, k: int, axis: int) -> Any:
    (x,), (dim,) = args, dims
    return top_k_p.bind(x, k=k, axis=axis + (axis >= dim)), [dim, dim]


top_k_p.def_abstract_eval(_top_k_rule)
top_k_p.def_jvp(_top_k_jvp)
top_k_p.def_batching(_top_k_batch)


# --- approximate top_k ----------------------------------------------------------------------------


def approx_max_k(
    operand: Array,
    k: int,
    reduction_dimension: int = -1,
    recall_target: float = 0.95,
    reduction_input_size_override: int = -1,
    aggregate_to_topk: bool = True,
) -> tuple[Array, Array]:
    """The k largest elements along a dimension, approximately where the device is faster that way.

    Args:
      operand: array of a floating dtype.
      k: how many elements.
      reduction_dimension: the dimension; negative ones count from the last.
      recall_target: the share of the exact result that is to be found, in (0, 1].
      reduction_input_size_override: the size to compute the approximation for, where the operand is
        one part of many; -1 means its own.
      aggregate_to_topk: whether to return just k elements; must be True.

    Returns:
      The elements, in descending order, and their indices as int32.

    Raises:
      TypeError: the operand is not floating.
      ValueError: `k`, `recall_target` or the dimension is out of range.
      NotImplementedError: `aggregate_to_topk` is False.

    Example:
      >>> import numpy as np
      >>> from canter import lax
      >>> np.asarray(lax.approx_max_k(np.float32([3, 1, 2]), 2)[0]).tolist()
      [3.0, 2.0]
    """
    return _approx_top_k(
        operand, k, reduction_dimension, recall_target, True, reduction_input_size_override, aggregate_to_topk
    )


def approx_min_k(
    operand: Array,
    k: int,
    reduction_dimension: int = -1,
    recall_target: float = 0.95,
    reduction_input_size_override: int = -1,
    aggregate_to_topk: bool = True,
) -> tuple[Array, Array]:
    """The k smallest elements along a dimension, approximately where the device is faster that way.

    Args:
      operand: array of a floating dtype.
      k: how many elements.
      reduction_dimension: the dimension; negative ones count from the last.
      recall_target: the share of the exact result that is to be found, in (0, 1].
      reduction_input_size_override: the size to compute the approximation for, where the operand is
        one part of many; -1 means its own.
      aggregate_to_topk: whether to return just k elements; must be True.

    Returns:
      The elements, in ascending order, and their indices as int32.

    Raises:
      TypeError: the operand is not floating.
      ValueError: `k`, `recall_target` or the dimension is out of range.
      NotImplementedError: `aggregate_to_topk` is False.

    Example:
      >>> import numpy as np
      >>> from canter import lax
      >>> np.asarray(lax.approx_min_k(np.float32([3, 1, 2]), 2)[0]).tolist()
      [1.0, 2.0]
    """
    return _approx_top_k(
        operand,
        k,
        reduction_dimension,
        recall_target,
        False,
        reduction_input_size_override,
        aggregate_to_topk,
    )


def _approx_top_k(
    operand: Any,
    k: int,
    dimension: int,
    recall_target: float,
    is_max_k: bool,
    size_override: int,
    aggregate: bool,
) -> tuple[Array, Array]:
    if not aggregate:
        raise NotImplementedError(
            "approx_max_k and approx_min_k with aggregate_to_topk=False are not supported."
        )
    if not 0.0 < recall_target <= 1.0:
        raise ValueError(f"recall_target must be in (0, 1], got {recall_target}.")
    values, indices = approx_top_k_p.bind(
        operand,
        k=k.__index__(),
        reduction_dimension=normalize_axis("approx_top_k", dimension, len(get_aval(operand).shape)),
        recall_target=float(recall_target),
        is_max_k=is_max_k,
        reduction_input_size_override=size_override.__index__(),
        aggregate_to_topk=True,
    )
    return values, indices


def _approx_rule(x: Any, *, k: int, reduction_dimension: int, **params: Any) -> list[Any]:
    if not dtypes.issubdtype(x.dtype, np.floating):
        raise TypeError(f"approx_max_k and approx_min_k take a floating operand, got {x.dtype.name}.")
    _check_k("approx_top_k", x, k, reduction_dimension)
    shape = (*x.shape[:reduction_dimension], k, *x.shape[reduction_dimension + 1 :])
    return [x.update(shape=shape), ShapedArray(shape, np.dtype(np.int32))]


def _approx_jvp(primals: Any, tangents: Any, *, reduction_dimension: int, **params: Any) -> Any:
    (x,), (g,) = primals, tangents
    values, indices = approx_top_k_p.bind(x, reduction_dimension=reduction_dimension, **params)
    dot = Zero.from_primal_value(values) if type(g) is Zero else take_along(g, indices, reduction_dimension)
    return [values, indices], [dot, Zero.from_primal_value(indices)]


def _approx_batch(args: Any, dims: Any, *, reduction_dimension: int, **params: Any) -> Any:
    (x,), (dim,) = args, dims
    moved = reduction_dimension + (reduction_dimension >= dim)
    return approx_top_k_p.bind(x, reduction_dimension=moved, **params), [dim, dim]


approx_top_k_p.def_abstract_eval(_approx_rule)
approx_top_k_p.def_jvp(_approx_jvp)
approx_top_k_p.def_batching(_approx_batch)
