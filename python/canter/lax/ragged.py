"""Matrix products of groups of different sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core import dtypes
from .common import laid_out, ops
from .products import dot_general
from .shapes import aval_of, expand_dims, int_tuple, shape_of, transpose

__all__ = ["RaggedDotDimensionNumbers", "ragged_dot", "ragged_dot_general"]


class RaggedDotDimensionNumbers(NamedTuple):
    """Which axes of a ragged product mean what.

    Attributes:
      dot_dimension_numbers: contracting and batch axes, as for `dot_general`.
      lhs_ragged_dimensions: the axis of lhs, one, that the groups divide.
      rhs_group_dimensions: the axis of rhs, at most one, that counts groups.

    Example:
      >>> from canter import lax
      >>> lax.RaggedDotDimensionNumbers((((1,), (1,)), ((), ())), (0,), (0,)).lhs_ragged_dimensions
      (0,)
    """

    dot_dimension_numbers: Any
    lhs_ragged_dimensions: Sequence[int]
    rhs_group_dimensions: Sequence[int]


_ROWS = RaggedDotDimensionNumbers((((1,), (1,)), ((), ())), (0,), (0,))


def ragged_dot(
    lhs: Any,
    rhs: Any,
    group_sizes: Any,
    precision: Any = None,
    preferred_element_type: Any = None,
    group_offset: Any = None,
    out_sharding: Any = None,
) -> Any:
    """Multiplies consecutive groups of rows, each by a matrix of its own.

    Args:
      lhs: shape `(m, k)`.
      rhs: a matrix for each group, shape `(groups, k, n)`.
      group_sizes: integer array, shape `(groups,)`: how many rows each group has. Rows behind the
        last group give zeros.
      precision: as for `dot_general`.
      preferred_element_type: dtype of the result; None is the promoted dtype of the operands.
      group_offset: not supported, must be None.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Returns:
      The products, shape `(m, n)`.

    Raises:
      TypeError: shapes or dtypes do not fit.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> rhs = cnp.array([[[1.0]], [[10.0]]])
      >>> lax.ragged_dot(cnp.ones((3, 1)), rhs, cnp.array([1, 2])).tolist()
      [[1.0], [10.0], [10.0]]
    """
    return ragged_dot_general(
        lhs, rhs, group_sizes, _ROWS, precision, preferred_element_type, group_offset, out_sharding
    )


def ragged_dot_general(
    lhs: Any,
    rhs: Any,
    group_sizes: Any,
    ragged_dot_dimension_numbers: RaggedDotDimensionNumbers,
    precision: Any = None,
    preferred_element_type: Any = None,
    group_offset: Any = None,
    out_sharding: Any = None,
) -> Any:
    """A `dot_general` in which consecutive groups along one axis of lhs are kept apart.

    What the groups divide decides what happens. An axis that stays: each group is multiplied by its
    own slice of rhs, and positions behind the last group give zeros. A contracting axis: each group
    is summed for itself, and the result gets an axis of groups in front. A batch axis: the groups
    make no difference.

    Args:
      lhs: array.
      rhs: array.
      group_sizes: integer vector: the sizes of the groups.
      ragged_dot_dimension_numbers: a `RaggedDotDimensionNumbers`.
      precision: as for `dot_general`.
      preferred_element_type: dtype of the result; None is the promoted dtype of the operands.
      group_offset: not supported, must be None.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Returns:
      The product.

    Raises:
      TypeError: shapes, axes or dtypes do not fit.
      NotImplementedError: `group_offset` is given, or `group_sizes` has several axes.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> columns = lax.RaggedDotDimensionNumbers((((1,), (0,)), ((), ())), (1,), ())
      >>> x = cnp.ones((1, 3))
      >>> lax.ragged_dot_general(x, cnp.ones((3, 1)), cnp.array([1, 2]), columns).tolist()
      [[[1.0]], [[2.0]]]
    """
    if out_sharding is not None:
        return laid_out(
            lambda: ragged_dot_general(
                lhs,
                rhs,
                group_sizes,
                ragged_dot_dimension_numbers,
                precision,
                preferred_element_type,
                group_offset,
            ),
            out_sharding,
            "ragged_dot_general",
        )
    if group_offset is not None:
        raise NotImplementedError(
            "ragged_dot_general: group_offset is not supported; shift group_sizes instead."
        )
    numbers, ragged, group_axes = ragged_dot_dimension_numbers
    (lhs_contract, rhs_contract), (lhs_batch, rhs_batch) = (
        tuple(int_tuple(axes, "ragged_dot_general") for axes in pair) for pair in numbers
    )
    left, right, sizes = shape_of(lhs), shape_of(rhs), aval_of(group_sizes)
    axis = _ragged_axis(left, ragged, sizes)
    mask = _membership(group_sizes, left[axis])
    options = {"precision": precision, "preferred_element_type": preferred_element_type}
    dims = ((lhs_contract, rhs_contract), (lhs_batch, rhs_batch))
    if axis not in lhs_contract and axis not in lhs_batch:
        (group_axis,) = _group_axis(group_axes, right, sizes, 1)
        grouped = _masked(lhs, mask, axis)
        contract = ((0, *(a + 1 for a in lhs_contract)), (group_axis, *rhs_contract))
        return dot_general(grouped, rhs, (contract, (tuple(a + 1 for a in lhs_batch), rhs_batch)), **options)
    _group_axis(group_axes, right, sizes, 0)
    if axis in lhs_batch:
        return dot_general(lhs, rhs, dims, **options)
    grouped = _masked(lhs, mask, axis)
    moved = (tuple(a + 1 for a in lhs_contract), rhs_contract), (tuple(a + 1 for a in lhs_batch), rhs_batch)
    out = dot_general(grouped, rhs, moved, **options)
    place = len(lhs_batch)  # the axis of groups is the first of lhs that stays, behind the batch
    rest = [i for i in range(len(shape_of(out))) if i != place]
    return transpose(out, (place, *rest))


def _ragged_axis(left: tuple[int, ...], ragged: Sequence[int], sizes: Any) -> int:
    axes = int_tuple(ragged, "ragged_dot_general")
    if len(axes) != 1 or not 0 <= axes[0] < len(left):
        raise TypeError(
            f"ragged_dot_general: lhs_ragged_dimensions must be one axis in [0, {len(left)}) of lhs, got "
            f"{axes} for shape {left}."
        )
    if not dtypes.issubdtype(sizes.dtype, np.integer):
        raise TypeError(f"ragged_dot_general: group_sizes must be integers, got {sizes.dtype.name}.")
    if len(sizes.shape) != 1:
        raise NotImplementedError(
            f"ragged_dot_general: group_sizes must be a vector, got shape {sizes.shape}; use vmap over "
            f"other axes."
        )
    return axes[0]


def _group_axis(axes: Sequence[int], right: tuple[int, ...], sizes: Any, wanted: int) -> tuple[int, ...]:
    axes = int_tuple(axes, "ragged_dot_general")
    if len(axes) != wanted or any(not 0 <= a < len(right) or right[a] != sizes.shape[0] for a in axes):
        need = f"one axis of rhs, of the {sizes.shape[0]} groups" if wanted else "empty here"
        raise TypeError(
            f"ragged_dot_general: rhs_group_dimensions must be {need}; got {axes} for rhs shape {right}."
        )
    return axes


def _membership(group_sizes: Any, count: int) -> Any:
    """For each group and position, whether the position is in the group."""
    groups = shape_of(group_sizes)[0]
    sizes = ops.convert_element_type(group_sizes, np.int32)
    ends = ops.cumsum(sizes)
    starts = ops.sub(ends, sizes)
    shape = (groups, count)
    positions = ops.broadcasted_iota(np.int32, shape, 1)
    starts, ends = (ops.broadcast_in_dim(x, shape, (0,)) for x in (starts, ends))
    return ops.bitwise_and(ops.ge(positions, starts), ops.lt(positions, ends))


def _masked(x: Any, mask: Any, axis: int) -> Any:
    """x once for each group, with zeros outside of it, along a new axis in front."""
    shape = (shape_of(mask)[0], *shape_of(x))
    copies = ops.broadcast_in_dim(expand_dims(x, (0,)), shape, tuple(range(len(shape))))
    keep = ops.broadcast_in_dim(mask, shape, (0, axis + 1))
    return ops.select_n(keep, ops.full_like(copies, 0), copies)
