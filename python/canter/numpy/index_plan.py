"""How an index expression is read: `x[1, :, i]` as a plan and its operands.

The plan is a hashable description that depends on shapes only; the operands are the numbers: starts
of slices, integers, index arrays. Eager indexing compiles once per plan and passes the operands, so
that `x[3]` and `x[4]` share an executable; inside a trace, operands that are Python ints are static
and give plain slices.
"""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.core.dimensions import is_symbolic_dim, max_dim, min_dim, size_of
from canter.core.errors import InconclusiveDimensionOperation, NonConcreteBooleanIndexError
from canter.core.slices import Slice
from canter.core.trace import Tracer

from .util import broadcast_shape, shape_of

__all__ = ["Entry", "Plan", "read_index"]

FULL = ("full",)
AT = ("at",)
ARRAY = ("array",)
Entry = tuple[Any, ...]  # FULL, AT, ARRAY, ("slice", span, step, has an operand)


class Plan(NamedTuple):
    """An index expression without its numbers.

    Attributes:
      entries: one per dimension of the array. FULL takes all of it; ("slice", span, step, has_start) takes every
        step-th of `span` elements from a start, backwards for a negative step; AT takes one element; ARRAY takes
        those of an index array. The operands are those of the entries that have one, in order.
      result: the dimensions of the result in order: a dimension of the array, "new", or "array" for all those
        of the index arrays' common shape.
      ones: for arrays where a boolean scalar index adds a dimension first: how many are put in front.
    """

    entries: tuple[Entry, ...]
    result: tuple[Any, ...]
    new_axes: tuple[int, ...] = ()

    @property
    def is_basic(self) -> bool:
        return ARRAY not in self.entries


def slice_length(span: int, step: int) -> int:
    """How many elements a slice over `span` elements takes."""
    return -(-span // abs(step)) if span else 0


def _symbolic_slice(item: slice, size: Any) -> tuple[Any, int, Any]:
    """Start, step and number of elements of a slice where not all numbers are known."""
    step = 1 if item.step is None else operator.index(item.step)
    if step == 0:
        raise ValueError("slice step cannot be zero")

    def bound(value: Any, default: Any) -> Any:
        if value is None:
            return default
        try:
            value = size_of(value)
        except TypeError as error:
            raise _slice_error(item) from error
        if value < 0:
            return max_dim(value + size, low)
        return min_dim(value, high)

    low, high = (0, size) if step > 0 else (-1, size - 1)
    start, stop = bound(item.start, low if step > 0 else high), bound(item.stop, high if step > 0 else low)
    length = stop - start if step > 0 else start - stop
    return start, step, max_dim(-(-length // abs(step)), 0)


def _symbolic_position(item: Any, size: Any) -> Any:
    """An integer index where it, or the size, is symbolic; out of bounds it is clamped when the program runs."""
    if type(item) is not int and not is_symbolic_dim(item):
        return item
    try:
        negative = item < 0
        if negative:
            item = item + size
        if 0 <= item < size:
            return item
    except InconclusiveDimensionOperation:
        pass
    return lax.convert_element_type(item, np.int32)  # no static index: it may be out of bounds


_plans: dict[Plan, Plan] = {}  # one object per plan: C++ compares static arguments by identity first


def read_index(shape: tuple[int, ...], index: Any, strict: bool, wrap: bool = True) -> tuple[Plan, list[Any]]:
    """Reads an index expression for an array of a shape.

    Args:
      shape: the array's shape.
      index: what stood between the brackets.
      strict: whether static integers out of bounds raise; else they become operands as they are.
      wrap: whether negative integers count from the end; else they are out of bounds.

    Returns:
      The plan and its operands.

    Raises:
      IndexError: too many indices, a static one out of bounds, a slice of traced numbers, a mask of another shape.
      TypeError: an index of a wrong type.
      NonConcreteBooleanIndexError: a traced mask.
    """
    items = index if type(index) is tuple else (index,)
    plan, operands = _Reader(shape, _expanded(shape, items, type(index) is tuple), strict, wrap).read()
    if len(_plans) > 4096:
        _plans.clear()
    return _plans.setdefault(plan, plan), operands


def _expanded(shape: tuple[int, ...], items: tuple[Any, ...], in_tuple: bool) -> list[Any]:
    """The items with masks as index arrays and the ellipsis as full slices."""
    flat: list[Any] = []
    consumed, ellipsis = 0, None
    for item in items:
        if item is Ellipsis:
            if ellipsis is not None:
                raise IndexError("an index can only have a single ellipsis ('...')")
            ellipsis = len(flat)
            continue
        if item is None or type(item) in _BASIC:
            consumed += item is not None
            flat.append(item)
            continue
        if type(item) is tuple or (type(item) is list and in_tuple):
            item = _array_of(item)
        for part in _typed(item):
            consumed += part is not None and not isinstance(part, _MaskBit)
            flat.append(part)
    if consumed > len(shape):
        raise IndexError(
            f"Too many indices: array is {len(shape)}-dimensional, but {consumed} were indexed. "
            f"Its shape is {shape}."
        )
    missing = [slice(None)] * (len(shape) - consumed)
    where = len(flat) if ellipsis is None else ellipsis
    flat[where:where] = missing
    _check_masks(shape, flat)
    return flat


def _array_in_symbolic(item: np.ndarray, size: Any, wrap: bool) -> Any:
    """A static index array along a dimension of symbolic size, counted from the start."""
    item = np.clip(item, -0x80000000, 0x7FFFFFFF).astype(np.int32)
    if not wrap or not (item < 0).any():
        return item
    return lax.add(item, lax.mul((item < 0).astype(np.int32), lax.convert_element_type(size, np.int32)))


def _index_shape(item: Any) -> tuple[int, ...]:
    return () if is_symbolic_dim(item) else shape_of(item)


_BASIC = (slice, int, Slice)  # types of indices that need no look inside


class _MaskBit:
    """A boolean scalar as an index: a new dimension of size 1 or 0."""

    def __init__(self, value: bool):
        self.value = value


class _MaskPart:
    """One dimension of a boolean mask: the positions of its True elements along it."""

    def __init__(self, positions: np.ndarray, size: int, mask_shape: tuple[int, ...]):
        self.positions, self.size, self.mask_shape = positions, size, mask_shape


def _check_masks(shape: tuple[int, ...], items: list[Any]) -> None:
    axis = 0
    for item in items:
        if isinstance(item, _MaskPart) and item.size != shape[axis]:
            raise IndexError(
                f"boolean index did not match the shape of the indexed array: the mask has shape {item.mask_shape}, "
                f"of size {item.size} where dimension {axis} of shape {shape} has size {shape[axis]}."
            )
        axis += item is not None and not isinstance(item, _MaskBit)


def _array_of(item: Any) -> Any:
    """A list or tuple of numbers among several indices, as the array that NumPy makes of it."""
    array = np.asarray(item) if item else np.zeros(0, np.int32)
    return item if array.dtype == object else array


def _typed(item: Any) -> list[Any]:
    """One index of no simple type, checked, as one or several integer indices."""
    if isinstance(item, (bool, np.bool_)):
        return [_MaskBit(bool(item))]
    if isinstance(item, (int, np.integer)):
        return [int(item)]
    if isinstance(item, str):
        raise TypeError(
            f"Arrays cannot be indexed with strings; got index {item!r}. "
            "Use integers, slices, None, ... or arrays of integers or booleans."
        )
    if isinstance(item, (list, tuple)):
        raise TypeError(
            "Using a non-tuple sequence for multidimensional indexing is not allowed; use `x[array(seq)]` instead "
            f"of `x[seq]`. Got index {item!r:.60}."
        )
    dtype = getattr(item, "dtype", None)
    if dtype is None or not hasattr(item, "shape"):
        if is_symbolic_dim(item):
            return [item]
        if hasattr(item, "__jax_array__"):
            return _typed(item.__jax_array__())
        try:
            return [operator.index(item)]
        except TypeError:
            kind = TypeError if isinstance(item, (float, complex)) else IndexError
            raise kind(
                f"Indexer must have integer or boolean type, got indexer with type {type(item).__name__}: "
                f"{item!r:.60}. Use integers, slices, None, ... or arrays of integers or booleans."
            ) from None
    if dtypes.issubdtype(dtype, np.bool_):
        return _positions(item)
    if not dtypes.issubdtype(dtype, np.integer):
        raise TypeError(
            f"Indexer must have integer or boolean type, got indexer with type {dtype}. Convert it with astype(int)."
        )
    if isinstance(item, np.ndarray) and item.ndim == 0:
        return [int(item)]
    return [item]


def _positions(mask: Any) -> list[Any]:
    if isinstance(mask, Tracer):
        value = mask.concrete_value()
        if value is None:
            raise NonConcreteBooleanIndexError(mask)
        mask = value
    mask = np.asarray(mask)
    if mask.ndim == 0:
        return [_MaskBit(bool(mask))]
    return [_MaskPart(p, n, mask.shape) for p, n in zip(np.nonzero(mask), mask.shape, strict=True)]


class _Reader:
    """Goes once over the items."""

    def __init__(self, shape: tuple[int, ...], items: list[Any], strict: bool, wrap: bool):
        self.shape, self.items, self.strict, self.wrap = shape, items, strict, wrap
        self.entries: list[Entry] = []
        self.operands: list[Any] = []
        self.result: list[Any] = []
        self.new_axes: list[int] = []  # dimensions of size 1 to give the array, for boolean scalars
        self.array_places: list[int] = []  # where in `result` an advanced index stood
        self.apart = False  # whether advanced indices are separated by others
        self.last_was_advanced = False

    def read(self) -> tuple[Plan, list[Any]]:
        advanced = any(self._is_array(item) for item in self.items)
        axis = 0
        for item in self.items:
            if isinstance(item, _MaskBit):
                self._mask_bit(item)
                continue
            if item is None:
                self._basic("new")
                continue
            size = self.shape[axis]
            if type(item) is slice:
                self._slice(item, size)
                self._basic(len(self.entries) - 1)
            elif type(item) is Slice:
                self._window(item, size)
                self._basic(len(self.entries) - 1)
            elif type(item) is int or (not isinstance(item, _MaskPart) and not _index_shape(item)):
                self._scalar(item, axis, size)
                if advanced:
                    self._mark_advanced()
            else:
                self._array(item, axis, size)
            axis += 1
        if advanced:
            place = 0 if self.apart else self.array_places[0]
            self.result.insert(place, "array")
        return Plan(tuple(self.entries), tuple(self.result), tuple(self.new_axes)), self.operands

    @staticmethod
    def _is_array(item: Any) -> bool:
        if isinstance(item, (_MaskBit, _MaskPart)):
            return True
        return item is not None and type(item) not in _BASIC and bool(_index_shape(item))

    def _basic(self, label: Any) -> None:
        self.result.append(label)
        self.last_was_advanced = False

    def _mark_advanced(self) -> None:
        if self.array_places and not self.last_was_advanced:
            self.apart = True
        self.array_places.append(len(self.result))
        self.last_was_advanced = True

    def _mask_bit(self, item: _MaskBit) -> None:
        self.new_axes.append(len(self.entries))
        self.entries.append(ARRAY)
        self.operands.append(np.zeros(int(item.value), np.int32))
        self._mark_advanced()

    def _slice(self, item: slice, size: int) -> None:
        if item.start is None and item.stop is None and item.step is None:
            self.entries.append(FULL)
            return
        try:
            start, stop, step = item.indices(size)
            count = len(range(start, stop, step))
        except TypeError as error:
            if not any(map(is_symbolic_dim, (size, item.start, item.stop, item.step))):
                raise _slice_error(item) from error
            start, step, count = _symbolic_slice(item, size)
        if count == size and step == 1:
            self.entries.append(FULL)
            return
        span = (count - 1) * abs(step) + 1 if count else 0
        if abs(step) > 1 and count == 1:
            step = 1
        lowest = 0 if not count else (start if step > 0 else start + (count - 1) * step)
        has_start = span != size
        self.entries.append(("slice", span, step, has_start))
        if has_start:
            self.operands.append(lowest)

    def _window(self, item: Slice, size: int) -> None:
        """A slice whose start may be traced; reading moves one out of bounds inside."""
        count = item.static_size(size)
        span = (count - 1) * item.stride + 1 if count else 0
        self.entries.append(("slice", span, item.stride if count > 1 else 1, True))
        start = item.start
        if isinstance(start, int):
            start = start + size if start < 0 and self.wrap else start
            start = max(0, min(start, size - span)) if self.strict else start
        elif self.wrap:
            start = lax.select(lax.lt(start, 0 * start), start + size, start)
        self.operands.append(start)

    def _scalar(self, item: Any, axis: int, size: int) -> None:
        self.entries.append(AT)
        if is_symbolic_dim(size) or is_symbolic_dim(item):
            item = _symbolic_position(item, size)
        elif type(item) is int:
            if -size <= item < size:
                item = item + size if item < 0 and self.wrap else item
            elif self.strict:
                raise _out_of_bounds(item, axis, size, self.shape)
        self.operands.append(item)

    def _array(self, item: Any, axis: int, size: int) -> None:
        self.entries.append(ARRAY)
        self._mark_advanced()
        if isinstance(item, _MaskPart):
            self.operands.append(item.positions.astype(np.int32))
            return
        if isinstance(item, np.ndarray) and is_symbolic_dim(size):
            item = _array_in_symbolic(item, size, self.wrap)
        elif isinstance(item, np.ndarray):
            if self.strict and item.size:
                low, high = int(item.min()), int(item.max())
                if low < -size or high >= size:
                    raise _out_of_bounds(high if high >= size else low, axis, size, self.shape)
            if item.size and size <= 0x7FFFFFFF:
                if self.wrap:
                    item = np.where(item < 0, item.astype(np.int64) + size, item)
                item = np.clip(item, -0x80000000, 0x7FFFFFFF).astype(np.int32)
        self.operands.append(item)


def _out_of_bounds(item: int, axis: int, size: int, shape: tuple[int, ...]) -> IndexError:
    return IndexError(
        f"index {item} is out of bounds for axis {axis} with size {size}, of an array of shape {shape}. "
        "Use x.at[...].get(mode='fill' or 'clip') to choose what happens out of bounds."
    )


def _slice_error(item: slice) -> Exception:
    traced = any(isinstance(part, Tracer) for part in (item.start, item.stop, item.step))
    if not traced:
        return TypeError(f"Slice entries must be integers or None, got {item!r}.")
    return IndexError(
        f"Slice entries must be static integers, got {item!r}: the result's shape would depend on values. Use "
        "lax.dynamic_slice_in_dim(x, start, size) for a slice of fixed size, or mask with canter.numpy.where."
    )


def result_shape(shape: tuple[int, ...], plan: Plan, operands: list[Any]) -> tuple[int, ...]:
    """The shape of what an index expression takes."""
    arrays = [shape_of(op) for op in array_operands(plan, operands)]
    common = _common_shape(arrays) if arrays else ()
    shape = with_new_axes(shape, plan.new_axes)
    dims: list[int] = []
    for label in plan.result:
        if label == "new":
            dims.append(1)
        elif label == "array":
            dims.extend(common)
        else:
            entry = plan.entries[label]
            dims.append(shape[label] if entry is FULL or entry == FULL else slice_length(entry[1], entry[2]))
    return tuple(dims)


def _common_shape(shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    try:
        return broadcast_shape(*shapes)
    except ValueError:
        listed = " ".join(map(str, shapes))
        raise IndexError(
            f"shape mismatch: indexing arrays could not be broadcast together with shapes {listed}"
        ) from None


def with_new_axes(shape: tuple[int, ...], new_axes: tuple[int, ...]) -> tuple[int, ...]:
    """A shape with dimensions of size 1 inserted."""
    dims = list(shape)
    for axis in new_axes:
        dims.insert(axis, 1)
    return tuple(dims)


def has_operand(entry: Entry) -> bool:
    """Whether an entry of a plan has an operand."""
    return entry == AT or entry == ARRAY or (entry[0] == "slice" and entry[3])


def array_operands(plan: Plan, operands: list[Any]) -> list[Any]:
    """The index arrays among the operands."""
    entries = [entry for entry in plan.entries if has_operand(entry)]
    return [op for entry, op in zip(entries, operands, strict=True) if entry == ARRAY]
