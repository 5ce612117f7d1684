"""Taking elements out of arrays: `x[...]`, `take`, `take_along_axis`."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.core.dimensions import is_symbolic_dim
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite
from canter.runtime.numbers import operand, operands

from . import ufunc_bodies as bodies
from .index_plan import (
    ARRAY,
    AT,
    FULL,
    Plan,
    _common_shape as common_shape,
    array_operands,
    has_operand,
    read_index,
    slice_length,
    with_new_axes,
)
from .util import (
    canonical_axis,
    check_arraylike,
    convert,
    dtype_of,
    dtype_rank,
    refuse_out,
    shape_of,
)

__all__ = ["getitem", "take", "take_along_axis"]


# --- basic: integers and slices -----------------------------------------------------------------


def _boxes(x: Any, plan: Plan, operands: Sequence[Any]) -> tuple[list[Any], list[int]]:
    """For each dimension, where the box that a basic index takes starts, and its size."""
    starts: list[Any] = []
    sizes: list[int] = []
    remaining = iter(operands)
    for entry, size in zip(plan.entries, shape_of(x), strict=True):
        starts.append(next(remaining) if has_operand(entry) else 0)
        sizes.append(size if entry == FULL else 1 if entry == AT else entry[1])
    return starts, sizes


def take_basic(x: Any, operands: Sequence[Any], plan: Plan, static: bool, negative: bool) -> Any:
    """x indexed by integers and slices."""
    starts, sizes = _boxes(x, plan, operands)
    steps = [entry[2] if entry[0] == "slice" else 1 for entry in plan.entries]
    shape = shape_of(x)
    if static:
        if sizes != list(shape) or builtins.any(abs(step) > 1 for step in steps):
            strides = [abs(step) for step in steps]
            limits = [start + size for start, size in zip(starts, sizes, strict=True)]
            x = lax.slice(x, starts, limits, None if set(strides) <= {1} else strides)
    else:
        if sizes != list(shape):
            signed = [negative and entry == AT for entry in plan.entries]
            x = lax.dynamic_slice(x, starts, sizes, allow_negative_indices=signed)
        if builtins.any(abs(step) > 1 for step in steps):
            x = lax.slice(x, [0] * len(sizes), sizes, [abs(step) for step in steps])
    backwards = tuple(i for i, step in enumerate(steps) if step < 0)
    if backwards:
        x = lax.rev(x, backwards)
    return _with_result_axes(x, plan)


def _with_result_axes(x: Any, plan: Plan) -> Any:
    """Drops the dimensions that integers index and adds the new ones."""
    dropped = tuple(i for i, entry in enumerate(plan.entries) if entry == AT)
    if dropped:
        x = lax.squeeze(x, dropped)
    return _with_new(x, plan)


def _with_new(x: Any, plan: Plan) -> Any:
    if "new" not in plan.result:
        return x
    extra = len(shape_of(x)) - sum(1 for label in plan.result if label not in ("new", "array"))
    places, position = [], 0
    for label in plan.result:
        if label == "new":
            places.append(position)
        position += extra if label == "array" else 1
    return lax.expand_dims(x, tuple(places))


@composite(static_argnames=("plan",))
def _take_basic(x: Any, operands: Sequence[Any], *, plan: Plan) -> Any:
    static = builtins.all(type(op) is int or is_symbolic_dim(op) for op in operands)
    return take_basic(x, operands, plan, static, negative=True)


@composite(static_argnames=("plan",))
def _take_basic_in_bounds(x: Any, operands: Sequence[Any], *, plan: Plan) -> Any:
    # All operands were Python ints in bounds: as arguments of a compiled call they are traced here.
    static = builtins.all(type(op) is int or is_symbolic_dim(op) for op in operands)
    return take_basic(x, operands, plan, static, negative=False)


@composite
def _row(x: Any, index: Any) -> Any:
    if type(index) is int:
        shape = shape_of(x)
        rest = (0,) * (len(shape) - 1)
        x = lax.slice(x, (index, *rest), (index + 1, *shape[1:]))
    else:
        x = lax.dynamic_index_in_dim(x, index, 0, True, allow_negative_indices=False)
    return lax.squeeze(x, (0,))


# --- advanced: index arrays ---------------------------------------------------------------------


class GatherPlan:
    """The dimension numbers and index vectors of an index expression that has index arrays.

    Gathers and scatters read the same plan: a gather's result and a scatter's updates have the shape
    `window_shape`, in the order of the expression's result but without new dimensions.
    """

    def __init__(self, x: Any, plan: Plan, operands: Sequence[Any], wrap: bool):
        self.plan = plan
        shape = shape_of(x)
        arrays = array_operands(plan, list(operands))
        self.common = common_shape([shape_of(op) for op in arrays]) if arrays else ()
        self._lay_out(shape)
        columns = self._columns(shape, operands, wrap)
        self.start_index_map = tuple(axis for axis, _ in columns)
        self.indices = self._join([column for _, column in columns])
        self.sizes = tuple(self._window(i, entry, shape[i]) for i, entry in enumerate(plan.entries))
        self.collapsed = tuple(i for i, entry in enumerate(plan.entries) if self._is_collapsed(entry))

    @staticmethod
    def _is_collapsed(entry: Any) -> bool:
        return entry in (AT, ARRAY) or (entry[0] == "slice" and entry[2] != 1)

    def _window(self, axis: int, entry: Any, size: int) -> int:
        if self._is_collapsed(entry):
            return 1
        return size if entry == FULL else entry[1]

    def _lay_out(self, shape: tuple[int, ...]) -> None:
        """Which dimensions of the result are windows, and which run over index vectors."""
        self.batch_shape: tuple[int, ...] = ()
        self.batch_place: dict[Any, int] = {}
        offsets: list[int] = []
        dims: list[int] = []
        for label in self.plan.result:
            if label == "new":
                continue
            if label == "array":
                self.batch_place["array"] = len(self.batch_shape)
                self.batch_shape += self.common
                dims.extend(self.common)
                continue
            entry = self.plan.entries[label]
            if entry == FULL or (entry[0] == "slice" and entry[2] == 1):
                offsets.append(len(dims))
                dims.append(shape[label] if entry == FULL else entry[1])
            else:
                self.batch_place[label] = len(self.batch_shape)
                length = slice_length(entry[1], entry[2])
                self.batch_shape += (length,)
                dims.append(length)
        self.offset_dims = tuple(offsets)
        self.window_shape = tuple(dims)

    def _columns(self, shape: tuple[int, ...], operands: Sequence[Any], wrap: bool) -> list[tuple[int, Any]]:
        """For each dimension that is not taken from its start, the index along it, in the batch shape."""
        remaining = iter(operands)
        columns = []
        for axis, entry in enumerate(self.plan.entries):
            operand = next(remaining) if has_operand(entry) else 0
            if entry == ARRAY:
                index = _counted_from_start(operand, shape[axis], wrap)
                columns.append((axis, self._spread(index, "array")))
            elif entry == AT:
                columns.append((axis, _counted_from_start(operand, shape[axis], wrap)))
            elif entry[0] == "slice" and entry[2] != 1:
                columns.append((axis, self._spread(_strided(operand, entry[1], entry[2]), axis)))
            elif entry[0] == "slice" and entry[3]:
                columns.append((axis, operand))
        return columns

    def _spread(self, index: Any, label: Any) -> Any:
        """An index array at its place among the batch dimensions."""
        own = shape_of(index)
        place = self.batch_place[label]
        if label == "array":
            place += len(self.common) - len(own)
        kept = [i for i, n in enumerate(own) if n == self.batch_shape[place + i]]
        if len(kept) < len(own):
            index = lax.reshape(index, tuple(own[i] for i in kept))
        if len(kept) == len(self.batch_shape):
            return index
        return lax.broadcast_in_dim(index, self.batch_shape, tuple(place + i for i in kept))

    def _join(self, columns: list[Any]) -> Any:
        dtype = _index_dtype(columns)
        vectors = []
        for column in columns:
            column = convert(column, dtype)
            own = shape_of(column)
            dims = tuple(range(len(own)))
            vectors.append(lax.broadcast_in_dim(column, (*self.batch_shape, 1), dims))
        if not vectors:
            return lax.full((*self.batch_shape, 0), 0, dtype)
        return vectors[0] if len(vectors) == 1 else lax.concatenate(vectors, len(self.batch_shape))

    def gather_numbers(self) -> lax.GatherDimensionNumbers:
        return lax.GatherDimensionNumbers(self.offset_dims, self.collapsed, self.start_index_map)

    def scatter_numbers(self) -> lax.ScatterDimensionNumbers:
        return lax.ScatterDimensionNumbers(self.offset_dims, self.collapsed, self.start_index_map)

    @property
    def is_single(self) -> bool:
        """Whether there is one index vector only, which is then sorted and unique."""
        return self.batch_shape == ()


def _index_dtype(columns: list[Any]) -> Any:
    wide = [dtype_of(c) for c in columns if getattr(c, "aval", None) is not None or isinstance(c, np.ndarray)]
    if builtins.any(d.itemsize == 8 for d in wide):
        return np.dtype(np.int64)
    return np.dtype(np.uint32) if wide and builtins.all(d == np.uint32 for d in wide) else np.dtype(np.int32)


def _counted_from_start(index: Any, size: int, wrap: bool) -> Any:
    """An index with negative numbers counted from the end."""
    if type(index) is int:
        return index + size if index < 0 and wrap else index
    if isinstance(index, np.ndarray) or is_symbolic_dim(index):
        return index  # done where it was read
    dtype = dtype_of(index)
    if dtypes.issubdtype(dtype, np.unsignedinteger):
        return index if dtype.itemsize >= 4 else convert(index, np.dtype(np.int32))
    if dtype.itemsize < 4 or getattr(index, "weak_type", False):
        index = convert(index, dtype if dtype.itemsize >= 4 else np.dtype(np.int32))
    if not wrap:
        return index
    return bodies.where(lax.lt(index, const(index, 0)), lax.add(index, const(index, size)), index)


def _strided(start: Any, span: int, step: int) -> Any:
    count = slice_length(span, step)
    if type(start) is int and not is_symbolic_dim(count):
        first = start if step > 0 else start + (count - 1) * -step
        return first + step * np.arange(count, dtype=np.int32)
    ticks = lax.iota(np.int32, count)
    if step < 0:
        ticks = lax.rev(ticks, (0,))
    return lax.add(lax.mul(ticks, np.int32(abs(step))), lax.convert_element_type(start, np.int32))


def take_advanced(
    x: Any,
    operands: Sequence[Any],
    plan: Plan,
    *,
    mode: Any = None,
    fill_value: Any = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    wrap_negative_indices: bool = True,
) -> Any:
    """x indexed by anything, in one gather."""
    if plan.new_axes:
        x = lax.reshape(x, with_new_axes(shape_of(x), plan.new_axes))
    numbers = GatherPlan(x, plan, operands, wrap_negative_indices)
    if 0 in numbers.window_shape:
        out = lax.full(numbers.window_shape, 0, dtype_of(x))
    else:
        out = lax.gather(
            x,
            numbers.indices,
            numbers.gather_numbers(),
            numbers.sizes,
            unique_indices=unique_indices or numbers.is_single,
            indices_are_sorted=indices_are_sorted or numbers.is_single,
            mode=mode,
            fill_value=fill_value,
        )
    return _with_new(out, plan)


_GATHER_STATIC = (
    "plan",
    "mode",
    "fill_value",
    "indices_are_sorted",
    "unique_indices",
    "wrap_negative_indices",
)


@composite(static_argnames=_GATHER_STATIC)
def _take_advanced(
    x: Any,
    operands: Sequence[Any],
    *,
    plan: Plan,
    mode: Any = None,
    fill_value: Any = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    wrap_negative_indices: bool = True,
) -> Any:
    return take_advanced(
        as_array(x),
        operands,
        plan,
        mode=mode,
        fill_value=fill_value,
        indices_are_sorted=indices_are_sorted,
        unique_indices=unique_indices,
        wrap_negative_indices=wrap_negative_indices,
    )


# --- x[...] -------------------------------------------------------------------------------------


def getitem(x: Any, index: Any) -> Any:
    """`x[index]` for an array or tracer.

    Args:
      x: an array.
      index: integers, slices, None, Ellipsis, boolean masks, integer arrays, or a tuple of them.

    Returns:
      An array.

    Raises:
      IndexError: a static index is out of bounds, or there are too many.
      TypeError: an index has a wrong type.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.arange(6).reshape(2, 3)[1, ::-1]
      Array([5, 4, 3], dtype=int32)
    """
    shape = x.aval.shape
    if type(index) is int and shape:
        size = shape[0]
        if type(size) is int and -size <= index < size:
            return _row(x, operand(x, index + size if index < 0 else index))
    plan, numbers = read_index(shape, index, strict=True)
    if not plan.is_basic:
        return _take_advanced(x, numbers, plan=plan)
    for number in numbers:
        if type(number) is not int:
            return _take_basic(x, numbers, plan=plan)
    if not numbers and builtins.all(entry == FULL for entry in plan.entries) and "new" not in plan.result:
        return x
    return _take_basic_in_bounds(x, operands(x, numbers), plan=plan)


# --- take ---------------------------------------------------------------------------------------

_TAKE_MODES = ("fill", "clip", "wrap", "promise_in_bounds", None)


@composite(static_argnames=("axis", "mode", "unique_indices", "indices_are_sorted", "fill_value"))
def _take(
    a: Any,
    indices: Any,
    *,
    axis: int,
    mode: Any,
    unique_indices: bool,
    indices_are_sorted: bool,
    fill_value: Any,
) -> Any:
    a, indices = as_array(a), as_array(indices)
    size = shape_of(a)[axis]
    wrap = True
    if mode == "wrap":
        indices = bodies.remainder(indices, const(indices, size))
        mode, wrap = "promise_in_bounds", False
    elif mode == "clip":
        wrap = False
    entries = tuple(ARRAY if i == axis else FULL for i in range(len(shape_of(a))))
    result = tuple("array" if i == axis else i for i in range(len(entries)))
    return take_advanced(
        a,
        [indices],
        Plan(entries, result),
        mode="fill" if mode is None else mode,
        fill_value=fill_value,
        indices_are_sorted=indices_are_sorted,
        unique_indices=unique_indices,
        wrap_negative_indices=wrap,
    )


@composite(static_argnames=("axis", "mode", "unique_indices", "indices_are_sorted", "fill_value"))
def take(
    a: Any,
    indices: Any,
    axis: int | None = None,
    out: None = None,
    mode: str | None = None,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
    fill_value: Any = None,
) -> Any:
    """Elements at indices along an axis, as `numpy.take`.

    Args:
      a: an array.
      indices: an array of integers, or one.
      axis: the axis; None flattens a first.
      out: must be None.
      mode: what out-of-bounds indices give: "fill" (the default) nan or `fill_value`; "clip" the nearest
        element; "wrap" that modulo the size. Negative indices count from the end, but for "clip".
      unique_indices: a promise that no index occurs twice.
      indices_are_sorted: a promise that indices ascend.
      fill_value: what "fill" gives; by default nan, or the dtype's least (signed) or greatest (unsigned) number.

    Returns:
      An array with the axis replaced by the indices' dimensions.

    Raises:
      TypeError: the indices are not integers.
      ValueError: the axis is out of bounds, or the mode is unknown.
      NotImplementedError: mode "raise".

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.take(cnp.array([10, 20, 30]), cnp.array([0, 2]))
      Array([10, 30], dtype=int32)
    """
    refuse_out("take", out)
    check_arraylike("take", a, indices)
    if mode == "raise":
        raise NotImplementedError("The 'raise' mode to canter.numpy.take is not supported.")
    if mode not in _TAKE_MODES:
        raise ValueError(f"take: unknown mode {mode!r}; use 'fill', 'clip' or 'wrap'.")
    if dtype_rank(dtype_of(indices)) == 0:
        indices = convert(as_array(indices), np.dtype(np.int32))
    if dtype_rank(dtype_of(indices)) != 1:
        raise TypeError(
            f"take requires integer indices, got dtype {dtype_of(indices)}. Convert them with astype(int)."
        )
    if axis is None:
        from .shaping import ravel

        a, axis = ravel(a), 0
    axis = canonical_axis(operator.index(axis), len(shape_of(a)))
    if shape_of(a)[axis] == 0 and 0 not in shape_of(indices):
        raise IndexError(f"take: axis {axis} of shape {shape_of(a)} has no elements to take.")
    return _take(
        a,
        indices,
        axis=axis,
        mode=mode,
        unique_indices=bool(unique_indices),
        indices_are_sorted=bool(indices_are_sorted),
        fill_value=fill_value,
    )


@composite(static_argnames=("axis", "mode", "fill_value", "wrap_negative_indices"))
def _take_along_axis(
    arr: Any, indices: Any, *, axis: int, mode: Any, fill_value: Any, wrap_negative_indices: bool
) -> Any:
    arr, indices = as_array(arr), as_array(indices)
    shape, index_shape = shape_of(arr), shape_of(indices)
    indices = _counted_from_start(indices, shape[axis], wrap_negative_indices)
    rank = len(shape)
    thin = [i for i in range(rank) if i != axis and shape[i] == 1 and index_shape[i] != 1]
    windows = [i for i in range(rank) if i != axis and index_shape[i] == 1 and shape[i] != 1]
    shared = [i for i in range(rank) if i != axis and i not in thin and i not in windows]
    # Dimensions that only the indices have are batch dimensions of the gather; arr gives its own up.
    arr = lax.squeeze(arr, tuple(thin))
    operand_axes = [i for i in range(rank) if i not in thin]
    index_axes = [i for i in range(rank) if i not in windows]
    vectors = lax.reshape(indices, (*(index_shape[i] for i in index_axes), 1))
    numbers = lax.GatherDimensionNumbers(
        offset_dims=tuple(windows),
        collapsed_slice_dims=(operand_axes.index(axis),),
        start_index_map=(operand_axes.index(axis),),
        operand_batching_dims=tuple(operand_axes.index(i) for i in shared),
        start_indices_batching_dims=tuple(index_axes.index(i) for i in shared),
    )
    sizes = tuple(shape[i] if i in windows else 1 for i in operand_axes)
    if 0 in index_shape or 0 in sizes:
        return lax.full(
            tuple(shape[i] if i in windows else n for i, n in enumerate(index_shape)), 0, dtype_of(arr)
        )
    return lax.gather(arr, vectors, numbers, sizes, mode=mode, fill_value=fill_value)


@composite(static_argnames=("axis", "mode", "fill_value", "wrap_negative_indices"))
def take_along_axis(
    arr: Any,
    indices: Any,
    axis: int | None = -1,
    mode: Any = None,
    fill_value: Any = None,
    *,
    wrap_negative_indices: bool | None = None,
) -> Any:
    """Elements at indices along an axis, each position with indices of its own, as `numpy.take_along_axis`.

    Args:
      arr: an array.
      indices: an array of integers with as many dimensions; the others broadcast.
      axis: the axis; None flattens arr first.
      mode: "fill" (the default), "clip" or "promise_in_bounds".
      fill_value: what "fill" gives; by default nan, or the dtype's least (signed) or greatest (unsigned) number.
      wrap_negative_indices: whether negative indices count from the end; True by default.

    Returns:
      An array.

    Raises:
      TypeError: the indices are not integers.
      ValueError: the numbers of dimensions differ, or the other dimensions do not broadcast.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.take_along_axis(cnp.array([[1, 2], [3, 4]]), cnp.array([[1], [0]]), axis=1)
      Array([[2],
             [3]], dtype=int32)
    """
    check_arraylike("take_along_axis", arr, indices)
    if dtype_rank(dtype_of(indices)) != 1:
        raise TypeError(f"take_along_axis indices must be of integer type, got {dtype_of(indices)}.")
    if axis is None:
        from .shaping import ravel

        if len(shape_of(indices)) != 1:
            raise ValueError(
                f"take_along_axis indices must be 1D if axis=None, got shape {shape_of(indices)}."
            )
        arr, axis = ravel(arr), 0
    shape, index_shape = shape_of(arr), shape_of(indices)
    if len(shape) != len(index_shape):
        raise ValueError(
            f"indices and arr must have the same number of dimensions; got shapes {index_shape} and {shape}."
        )
    axis = canonical_axis(axis, len(shape))
    for i, (m, n) in enumerate(zip(shape, index_shape, strict=True)):
        if i != axis and m != n and 1 not in (m, n):
            raise ValueError(
                f"take_along_axis: dimension {i} of arr (shape {shape}) and indices (shape {index_shape}) "
                "must be equal or 1."
            )
    if wrap_negative_indices is None:
        wrap_negative_indices = True
    return _take_along_axis(
        arr,
        indices,
        axis=axis,
        mode="fill" if mode is None else mode,
        fill_value=fill_value,
        wrap_negative_indices=bool(wrap_negative_indices),
    )
