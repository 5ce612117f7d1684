"""Functions that join arrays and cut them: concatenate, stack, split."""

from __future__ import annotations

import builtins
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.core.dimensions import size_of, sizes_of
from canter.core.trace import Tracer
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from .shaping import _atleast, ravel, reshape, shape
from .util import aval_of, canonical_axis, check_arraylike, convert, promote_dtypes, refuse_out, shape_of

__all__ = [
    "append",
    "array_split",
    "block",
    "column_stack",
    "concat",
    "concatenate",
    "dsplit",
    "dstack",
    "hsplit",
    "hstack",
    "split",
    "stack",
    "unstack",
    "vsplit",
    "vstack",
]


# --- joining ------------------------------------------------------------------------------------


def _sequence(name: str, arrays: Any) -> list[Any]:
    """The arrays of a sequence, or the parts of an array along its first axis."""
    if isinstance(arrays, (list, tuple)):
        if not arrays:
            raise ValueError(f"Need at least one array to {name}.")
        check_arraylike(name, *arrays)
        return list(arrays)
    if aval_of(arrays) is not None or isinstance(arrays, np.ndarray):
        return list(unstack(arrays))
    raise TypeError(f"{name} requires a sequence of arrays, got {type(arrays)}.")


@composite(static_argnames=("axis", "dtype"))
def _concatenate(arrays: list[Any], *, axis: int | None, dtype: Any) -> Any:
    arrays = promote_dtypes(*arrays) if dtype is None else [convert(as_array(a), dtype) for a in arrays]
    if axis is None:
        arrays, axis = [lax.reshape(a, (math.prod(shape_of(a)),)) for a in arrays], 0
    return lax.concatenate(arrays, axis)


@composite(static_argnames=("axis", "dtype"))
def concatenate(arrays: Any, axis: int | None = 0, dtype: Any = None) -> Any:
    """Arrays joined along an axis, as `numpy.concatenate`.

    Args:
      arrays: a sequence of arrays, equal in shape but for the axis.
      axis: the axis; None flattens the arrays first.
      dtype: dtype of the result; the common one by default.

    Returns:
      An array.

    Raises:
      ValueError: there is no array, or one without dimensions.
      TypeError: the shapes do not agree.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.concatenate([cnp.arange(2), cnp.arange(3)])
      Array([0, 1, 0, 1, 2], dtype=int32)
    """
    arrays = _sequence("concatenate", arrays)
    if axis is not None:
        shapes = [shape_of(a) for a in arrays]
        if not shapes[0]:
            raise ValueError("Zero-dimensional arrays cannot be concatenated. Use canter.numpy.stack.")
        axis = canonical_axis(axis, len(shapes[0]))
        _check_joinable(shapes, axis)
    if dtype is not None:
        dtype = dtypes.check_user_dtype_supported(dtype, "concatenate")
    return _concatenate(arrays, axis=axis, dtype=dtype)


def _check_joinable(shapes: list[tuple[int, ...]], axis: int) -> None:
    first = shapes[0]
    for each in shapes:
        if len(each) != len(first) or each[:axis] != first[:axis] or each[axis + 1 :] != first[axis + 1 :]:
            raise TypeError(
                f"Cannot concatenate arrays with shapes that differ in dimensions other than the one being "
                f"concatenated: concatenating along dimension {axis} for shapes {', '.join(map(str, shapes))}."
            )


@composite(static_argnames=("axis",))
def concat(arrays: Sequence[Any], /, *, axis: int | None = 0) -> Any:
    """`concatenate` under the array API's name.

    Args:
      arrays: a sequence of arrays, equal in shape but for the axis.
      axis: the axis; None flattens the arrays first.

    Returns:
      An array.

    Raises:
      ValueError: there is no array, or one without dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.concat([cnp.arange(2), cnp.arange(1)])
      Array([0, 1, 0], dtype=int32)
    """
    return concatenate(arrays, axis)


@composite(static_argnames=("axis", "dtype"))
def _stack(arrays: list[Any], *, axis: int, dtype: Any) -> Any:
    arrays = promote_dtypes(*arrays) if dtype is None else [convert(as_array(a), dtype) for a in arrays]
    return lax.stack(arrays, axis)


@composite(static_argnames=("axis", "dtype"))
def stack(arrays: Any, axis: int = 0, out: None = None, dtype: Any = None) -> Any:
    """Arrays of one shape joined along a new axis, as `numpy.stack`.

    Args:
      arrays: a sequence of arrays of one shape.
      axis: where the new axis goes, in the result.
      out: must be None.
      dtype: dtype of the result; the common one by default.

    Returns:
      An array.

    Raises:
      ValueError: there is no array, or the shapes differ.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.stack([cnp.arange(2), cnp.arange(2)], axis=1)
      Array([[0, 0],
             [1, 1]], dtype=int32)
    """
    refuse_out("stack", out)
    arrays = _sequence("stack", arrays)
    shapes = [shape_of(a) for a in arrays]
    if builtins.any(s != shapes[0] for s in shapes):
        raise ValueError(f"All input arrays must have the same shape, got {', '.join(map(str, shapes))}.")
    if dtype is not None:
        dtype = dtypes.check_user_dtype_supported(dtype, "stack")
    return _stack(arrays, axis=canonical_axis(axis, len(shapes[0]) + 1), dtype=dtype)


@composite(static_argnames=("axis",))
def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """The parts of an array along an axis, as `numpy.unstack`.

    Args:
      x: an array of at least one dimension.
      axis: the axis, which the parts have no more.

    Returns:
      A tuple of arrays.

    Raises:
      ValueError: x has no dimension, or the axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.unstack(cnp.arange(2))
      (Array(0, dtype=int32), Array(1, dtype=int32))
    """
    check_arraylike("unstack", x)
    if not shape_of(x):
        raise ValueError("Unstack requires arrays with rank > 0, however a scalar array was passed.")
    return tuple(_unstack(as_array(x), axis=canonical_axis(axis, len(shape_of(x)))))


@composite(static_argnames=("axis",))
def _unstack(x: Any, *, axis: int) -> Any:
    return lax.unstack(x, axis)


@composite(static_argnames=("dtype",))
def vstack(tup: Any, dtype: Any = None) -> Any:
    """Arrays joined along the first axis, vectors as rows, as `numpy.vstack`.

    Args:
      tup: a sequence of arrays.
      dtype: dtype of the result; the common one by default.

    Returns:
      An array.

    Raises:
      TypeError: the shapes do not agree.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.vstack([cnp.arange(2), cnp.arange(2)])
      Array([[0, 1],
             [0, 1]], dtype=int32)
    """
    return concatenate([_atleast[2](a) for a in _sequence("vstack", tup)], 0, dtype)


@composite(static_argnames=("dtype",))
def hstack(tup: Any, dtype: Any = None) -> Any:
    """Arrays joined along the second axis, vectors along the first, as `numpy.hstack`.

    Args:
      tup: a sequence of arrays.
      dtype: dtype of the result; the common one by default.

    Returns:
      An array.

    Raises:
      TypeError: the shapes do not agree.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.hstack([cnp.arange(2), cnp.arange(1)])
      Array([0, 1, 0], dtype=int32)
    """
    arrays = [_atleast[1](a) for a in _sequence("hstack", tup)]
    return concatenate(arrays, 0 if len(shape_of(arrays[0])) == 1 else 1, dtype)


@composite(static_argnames=("dtype",))
def dstack(tup: Any, dtype: Any = None) -> Any:
    """Arrays joined along the third axis, as `numpy.dstack`.

    Args:
      tup: a sequence of arrays.
      dtype: dtype of the result; the common one by default.

    Returns:
      An array.

    Raises:
      TypeError: the shapes do not agree.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.dstack([cnp.arange(2), cnp.arange(2)]).shape
      (1, 2, 2)
    """
    return concatenate([_atleast[3](a) for a in _sequence("dstack", tup)], 2, dtype)


@composite
def column_stack(tup: Any) -> Any:
    """Vectors as the columns of a matrix, as `numpy.column_stack`.

    Args:
      tup: a sequence of arrays of one or two dimensions.

    Returns:
      An array of two dimensions.

    Raises:
      TypeError: the shapes do not agree.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.column_stack([cnp.arange(2), cnp.arange(2)])
      Array([[0, 0],
             [1, 1]], dtype=int32)
    """
    arrays = [as_array(a) for a in _sequence("column_stack", tup)]
    columns = [reshape(a, (-1, 1)) if len(shape_of(a)) < 2 else a for a in arrays]
    return concatenate(columns, 1)


@composite(static_argnames=("axis",))
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """Values joined at the end of an array, as `numpy.append`.

    Args:
      arr: an array.
      values: an array.
      axis: the axis; None flattens both first.

    Returns:
      An array.

    Raises:
      TypeError: the shapes do not agree.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.append(cnp.arange(2), 5)
      Array([0, 1, 5], dtype=int32)
    """
    if axis is None:
        return concatenate([ravel(arr), ravel(values)])
    return concatenate([arr, values], axis)


@composite
def block(arrays: Any) -> Any:
    """An array of nested lists of blocks, as `numpy.block`.

    Args:
      arrays: an array, or nested lists of arrays; the innermost are joined along the last axis.

    Returns:
      An array.

    Raises:
      ValueError: lists are nested unevenly or empty.
      TypeError: the shapes do not agree.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.block([[cnp.eye(1), cnp.zeros((1, 1))]])
      Array([[1., 0.]], dtype=float32)
    """
    depth = _list_depth(arrays)
    blocks, rank = [], 0

    def leaves(item: Any) -> None:
        nonlocal rank
        if isinstance(item, list):
            for each in item:
                leaves(each)
        else:
            check_arraylike("block", item)
            blocks.append(item)
            rank = builtins.max(rank, len(shape_of(item)))

    leaves(arrays)
    rank = builtins.max(rank, depth)

    def join(item: Any, level: int) -> Any:
        if not isinstance(item, list):
            item = as_array(item)
            own = shape_of(item)
            return reshape(item, (1,) * (rank - len(own)) + own)
        return concatenate([join(each, level + 1) for each in item], rank - depth + level)

    return join(arrays, 0)


def _list_depth(arrays: Any) -> int:
    if not isinstance(arrays, list):
        return 0
    if not arrays:
        raise ValueError("block: lists must not be empty.")
    depths = {_list_depth(each) for each in arrays}
    if len(depths) > 1:
        raise ValueError("block: lists must be nested to one depth everywhere.")
    return depths.pop() + 1


# --- splitting ----------------------------------------------------------------------------------


@composite(static_argnames=("sizes", "axis"))
def _split(x: Any, *, sizes: tuple[int, ...], axis: int) -> list[Any]:
    return list(lax.split(x, sizes, axis))


def _split_points(name: str, total: int, sections: Any, even: bool) -> list[int]:
    """The starts of all parts but the first."""
    try:
        count = size_of(sections)
    except TypeError:
        points = list(sizes_of(np.asarray(sections).tolist()))
        return [builtins.min(builtins.max(p + total if p < 0 else p, 0), total) for p in points]
    if count <= 0:
        raise ValueError(f"{name}: number of sections must be larger than 0, got {count}.")
    part, rest = divmod(total, count)
    if rest and even:
        raise ValueError(
            f"array split does not result in an equal division: rest is {rest}, of size {total} in {count} "
            "sections. canter.numpy.array_split makes uneven parts."
        )
    return [part * i + builtins.min(i, rest) for i in range(1, count)]


def _split_axis(name: str, ary: Any, sections: Any, axis: int, even: bool) -> list[Any]:
    check_arraylike(name, ary)
    ary = as_array(ary)
    own = shape_of(ary)
    axis = canonical_axis(axis, len(own))
    total = own[axis]
    if isinstance(sections, Tracer):
        raise TypeError(f"{name}: indices_or_sections sets shapes and must not be traced; make it static.")
    edges = [0, *_split_points(name, total, sections, even), total]
    sizes = tuple(b - a for a, b in itertools.pairwise(edges))
    if builtins.all(n >= 0 for n in sizes):
        return _split(ary, sizes=sizes, axis=axis)
    parts = []
    for low, high in itertools.pairwise(edges):
        parts.append(lax.slice_in_dim(ary, builtins.min(low, high), high, 1, axis))
    return parts


@composite(static_argnames=("indices_or_sections", "axis"))
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """An array cut along an axis, as `numpy.split`.

    Args:
      ary: an array.
      indices_or_sections: how many equal parts, or where the parts after the first start.
      axis: the axis.

    Returns:
      A list of arrays.

    Raises:
      ValueError: the parts would not be equal, or the axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.split(cnp.arange(4), 2)
      [Array([0, 1], dtype=int32), Array([2, 3], dtype=int32)]
    """
    return _split_axis("split", ary, indices_or_sections, axis, True)


@composite(static_argnames=("indices_or_sections", "axis"))
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """An array cut along an axis, in parts that may be uneven, as `numpy.array_split`.

    Args:
      ary: an array.
      indices_or_sections: how many parts, or where the parts after the first start.
      axis: the axis.

    Returns:
      A list of arrays.

    Raises:
      ValueError: the axis is out of bounds, or there are no sections.

    Example:
      >>> import canter.numpy as cnp
      >>> [x.size for x in cnp.array_split(cnp.arange(5), 2)]
      [3, 2]
    """
    return _split_axis("array_split", ary, indices_or_sections, axis, False)


@composite(static_argnames=("indices_or_sections",))
def vsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """`split` along the first axis.

    Args:
      ary: an array of at least two dimensions.
      indices_or_sections: as in `split`.

    Returns:
      A list of arrays.

    Raises:
      ValueError: the parts would not be equal.

    Example:
      >>> import canter.numpy as cnp
      >>> len(cnp.vsplit(cnp.zeros((2, 2)), 2))
      2
    """
    return _split_axis("vsplit", ary, indices_or_sections, 0, True)


@composite(static_argnames=("indices_or_sections",))
def hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """`split` along the second axis, or the only one.

    Args:
      ary: an array.
      indices_or_sections: as in `split`.

    Returns:
      A list of arrays.

    Raises:
      ValueError: the parts would not be equal.

    Example:
      >>> import canter.numpy as cnp
      >>> len(cnp.hsplit(cnp.zeros((2, 2)), 2))
      2
    """
    return _split_axis("hsplit", ary, indices_or_sections, 0 if len(shape(ary)) == 1 else 1, True)


@composite(static_argnames=("indices_or_sections",))
def dsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """`split` along the third axis.

    Args:
      ary: an array of at least three dimensions.
      indices_or_sections: as in `split`.

    Returns:
      A list of arrays.

    Raises:
      ValueError: the parts would not be equal.

    Example:
      >>> import canter.numpy as cnp
      >>> len(cnp.dsplit(cnp.zeros((1, 1, 2)), 2))
      2
    """
    return _split_axis("dsplit", ary, indices_or_sections, 2, True)
