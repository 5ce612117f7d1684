"""`x.at[...]`: functional updates of parts of an array.

An update of a box known to be inside the array (integers and slices) takes the box out, combines it
and puts it back; everything else is one scatter. A boolean mask with values that do not depend on the
position among its True elements is a selection, so it works on traced masks too.
"""

from __future__ import annotations

import builtins
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.core.avals import get_aval
from canter.core.partition_spec import PartitionSpec
from canter.core.trace import Tracer
from canter.lax.conversion import as_array
from canter.lax.sharding import resharded
from canter.runtime.composite import composite
from canter.transforms.rules import in_memory_of

from . import ufunc_bodies as bodies, ufuncs
from .index_plan import AT, FULL, Plan, has_operand, read_index, result_shape, with_new_axes
from .indexing import GatherPlan, _boxes, _take_advanced, _take_basic_in_bounds
from .util import PYTHON_RANK, broadcast_to, check_arraylike, convert, dtype_of, dtype_rank, shape_of

__all__ = ["IndexUpdateHelper", "IndexUpdateRef"]

#: How the elements and the values of an update combine.
_COMBINE: dict[str, Callable[[Any, Any], Any]] = {
    "set": lambda old, new: new,
    "add": bodies.add,
    "subtract": lax.sub,
    "multiply": bodies.multiply,
    "divide": lambda old, new: convert(lax.div(old, new), dtype_of(old)),
    "power": lax.pow,
    "min": lax.min,
    "max": lax.max,
}

_SCATTER: dict[str, Callable[..., Any]] = {
    "set": lax.scatter,
    "add": lax.scatter_add,
    "subtract": lax.scatter_sub,
    "multiply": lax.scatter_mul,
    "min": lax.scatter_min,
    "max": lax.scatter_max,
}

#: Updates that take the product of all values at a place, as an array of x's dtype, where that differs from theirs or
#: is no float: a quotient of integers is a float.
_BY_FACTORS: dict[str, Callable[[Any, Any], Any]] = {"divide": ufuncs.true_divide, "power": ufuncs.power}


def _restored(out: Any, x: Any) -> Any:
    """The result with the dtype and weakness of the array that was updated."""
    return convert(out, dtype_of(x), bool(getattr(x, "weak_type", False)))


def _as_values(values: Any, x: Any) -> Any:
    """Values in x's dtype and memory."""
    values = convert(values if type(values) in PYTHON_RANK else as_array(values), dtype_of(x))
    return in_memory_of(values, get_aval(x))


@composite(static_argnames=("plan", "kind"))
def _update_box(x: Any, values: Any, operands: Sequence[Any], *, plan: Plan, kind: str) -> Any:
    starts, sizes = _boxes(x, plan, operands)
    values = _as_values(values, x)
    if shape_of(values):
        new = broadcast_to(values, result_shape(shape_of(x), plan, list(operands)))
        new = lax.reshape(new, tuple(sizes))
    else:
        new = broadcast_to(values, tuple(sizes))
    whole = sizes == list(shape_of(x))
    if kind != "set":
        if whole:
            old = x
        elif builtins.all(type(start) is int for start in starts):
            old = lax.slice(x, starts, [start + size for start, size in zip(starts, sizes, strict=True)])
        else:
            old = lax.dynamic_slice(x, starts, sizes, allow_negative_indices=False)
        new = _COMBINE[kind](old, new)
    if whole:
        out = _split_as(new, x)
    else:
        out = lax.dynamic_update_slice(x, convert(new, dtype_of(x)), starts, allow_negative_indices=False)
    return _restored(out, x)


def _split_as(new: Any, x: Any) -> Any:
    """Values that take the place of all of x, over the mesh axes that split x."""
    own, wanted = get_aval(new).layout, get_aval(x).layout
    return new if own == wanted else resharded(new, wanted or PartitionSpec())


@composite(static_argnames=("kind",))
def _update_mask(x: Any, values: Any, mask: Any, *, kind: str) -> Any:
    shape = shape_of(x)
    values = _as_values(values, x)
    tail = shape[len(shape_of(mask)) :]
    values = broadcast_to(lax.reshape(values, shape_of(values)[len(shape_of(values)) - len(tail) :])
                          if len(shape_of(values)) > len(tail) else values, shape)  # fmt: skip
    new = _COMBINE[kind](x, values)
    mask = lax.broadcast_in_dim(as_array(mask), shape, tuple(range(len(shape_of(mask)))))
    return _restored(lax.select(mask, convert(new, dtype_of(x)), convert(x, dtype_of(x))), x)


def _row_update(kind: str) -> Callable[..., Any]:
    combine = _COMBINE[kind]

    def update_row(x: Any, values: Any, start: Any) -> Any:
        shape = shape_of(x)
        starts = [start, *[0] * (len(shape) - 1)]
        values = broadcast_to(_as_values(values, x), (1, *shape[1:]))
        if kind != "set":
            old = lax.dynamic_slice(x, starts, (1, *shape[1:]), allow_negative_indices=False)
            values = convert(combine(old, values), dtype_of(x))
        return _restored(lax.dynamic_update_slice(x, values, starts, allow_negative_indices=False), x)

    return composite(update_row)


#: `x.at[i].set(v)` and the like for a static integer i, the most frequent case.
_ROW_UPDATES = {kind: _row_update(kind) for kind in _COMBINE}


def _fits_row(x: Any, values: Any) -> bool:
    """Whether values are a number or an array that needs no more than conversion to be a row of x."""
    rank = PYTHON_RANK.get(type(values))
    if rank is not None:
        return rank <= dtype_rank(x.aval.dtype)
    aval = getattr(values, "aval", None)
    return aval is not None and aval.dtype == x.aval.dtype and aval.shape in ((), x.aval.shape[1:])


_SCATTER_STATIC = ("plan", "kind", "mode", "indices_are_sorted", "unique_indices", "wrap_negative_indices")


@composite(static_argnames=_SCATTER_STATIC)
def _update_scattered(
    x: Any,
    values: Any,
    operands: Sequence[Any],
    *,
    plan: Plan,
    kind: str,
    mode: Any,
    indices_are_sorted: bool,
    unique_indices: bool,
    wrap_negative_indices: bool,
) -> Any:
    values = _as_values(values, x)
    return _scattered(
        x, values, operands, plan, kind, mode, indices_are_sorted, unique_indices, wrap_negative_indices
    )


def _scattered(
    x: Any,
    values: Any,
    operands: Any,
    plan: Plan,
    kind: str,
    mode: Any,
    is_sorted: bool,
    unique: bool,
    wrap: bool,
) -> Any:
    if kind in ("divide", "power"):
        ones = lax.full_like(x, 1)
        factor = _scattered(ones, values, operands, plan, "multiply", mode, is_sorted, unique, wrap)
        return _restored(_COMBINE[kind](x, factor), x)
    full = result_shape(shape_of(x), plan, list(operands))
    values = broadcast_to(values, full)
    original = shape_of(x)
    out = convert(x, dtype_of(x))
    if plan.new_axes:
        out = lax.reshape(out, with_new_axes(original, plan.new_axes))
    numbers = GatherPlan(out, plan, operands, wrap)
    values = lax.reshape(values, numbers.window_shape)
    if math.prod(numbers.window_shape):
        out = _SCATTER[kind](
            out,
            numbers.indices,
            values,
            numbers.scatter_numbers(),
            indices_are_sorted=is_sorted or numbers.is_single,
            unique_indices=unique or numbers.is_single,
            mode=mode,
        )
    return _restored(lax.reshape(out, original) if plan.new_axes else out, x)


def _is_mask(index: Any) -> bool:
    dtype = getattr(index, "dtype", None)
    return dtype == np.bool_ and bool(shape_of(index))


def _joined_dtype(x: Any, values: Any) -> Any:
    """The dtype in which an array is updated; the result has that of the array."""
    have = dtype_of(x)
    if type(values) in PYTHON_RANK and PYTHON_RANK[type(values)] <= dtype_rank(have):
        return have
    return have if dtype_of(values) == have else dtypes.result_type(x, values)


def _warn_of_cast(x: Any, values: Any) -> None:
    """Warns that values do not fit the array's dtype, which the result keeps."""
    have, given = dtype_of(x), dtype_of(values)
    warnings.warn(
        f"scatter inputs have incompatible types: cannot safely cast value from dtype={given} to dtype={have}. "
        "Convert the values with astype, or the array before the update.",
        FutureWarning,
        stacklevel=4,
    )


def _is_safe_box(shape: tuple[int, ...], plan: Plan, operands: list[Any]) -> bool:
    """Whether an index takes a box of adjacent elements that is known to lie inside the array."""
    remaining = iter(operands)
    for entry, size in zip(plan.entries, shape, strict=True):
        operand = next(remaining) if has_operand(entry) else 0
        if type(operand) is not int:
            return False
        if entry == AT:
            if not 0 <= operand < size:
                return False
        elif entry != FULL and (entry[2] != 1 or entry[1] == 0):
            return False
    return True


class IndexUpdateHelper:
    """What `x.at` is: index it to name the part to update."""

    __slots__ = ("array",)

    def __init__(self, array: Any):
        self.array = array

    def __getitem__(self, index: Any) -> IndexUpdateRef:
        return IndexUpdateRef(self.array, index)

    def __repr__(self) -> str:
        return f"_IndexUpdateHelper({self.array!r})"


class IndexUpdateRef:
    """What `x.at[index]` is: a part of an array, with methods that return an updated copy.

    Each takes:
      values: an array or number that broadcasts to the shape of `x[index]`, converted to x's dtype.
      indices_are_sorted: a promise that the indices ascend.
      unique_indices: a promise that no index occurs twice; without it the order of updates is undefined.
      mode: what to do with indices out of bounds: None or "drop" ignores them, "clip" moves them inside,
        "promise_in_bounds" says that there are none.
      wrap_negative_indices: whether negative indices count from the end.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.zeros(3).at[1].set(5.0)
      Array([0., 5., 0.], dtype=float32)
    """

    __slots__ = ("array", "index")

    def __init__(self, array: Any, index: Any):
        self.array = array
        self.index = index

    def __repr__(self) -> str:
        return f"_IndexUpdateRef({self.array!r}, {self.index!r})"

    def _update(
        self,
        kind: str,
        values: Any,
        indices_are_sorted: bool,
        unique_indices: bool,
        mode: Any,
        wrap_negative_indices: bool,
    ) -> Any:
        x, index = self.array, self.index
        if kind in _BY_FACTORS and (
            dtype_rank(dtype_of(x)) < 2
            or (not isinstance(values, (list, tuple)) and _joined_dtype(x, values) != dtype_of(x))
        ):
            factors = IndexUpdateRef(lax.full_like(x, 1), index)._update(
                "multiply", values, indices_are_sorted, unique_indices, mode, wrap_negative_indices
            )
            return _BY_FACTORS[kind](x, factors)
        if type(index) is int and mode is None and wrap_negative_indices and x.aval.shape:
            size = x.aval.shape[0]
            if type(size) is int and -size <= index < size and _fits_row(x, values):
                return _ROW_UPDATES[kind](x, values, index + size if index < 0 else index)
        if isinstance(values, (list, tuple)):
            from .creation import asarray

            values = asarray(values)
        check_arraylike(f"x.at[...].{kind}", values)
        joined = _joined_dtype(x, values)
        if joined != dtype_of(x):  # the update happens in the dtype of both
            _warn_of_cast(x, values)
            out = IndexUpdateRef(convert(x, joined), index)._update(
                kind, convert(as_array(values), joined), indices_are_sorted, unique_indices, mode,
                wrap_negative_indices,
            )  # fmt: skip
            return _restored(lax.real(out) if dtypes.issubdtype(joined, np.complexfloating) else out, x)
        shape = shape_of(x)
        if _is_mask(index) and mode is None:
            mask_shape = shape_of(index)
            lead = shape_of(values)[: builtins.max(len(shape_of(values)) - len(shape) + len(mask_shape), 0)]
            if (
                mask_shape == shape[: len(mask_shape)]
                and builtins.all(n == 1 for n in lead)
                and len(lead) <= 1
            ):
                _check_values(values, (*(1,) * len(lead), *shape[len(mask_shape) :]), index)
                return _update_mask(x, values, index, kind=kind)
        plan, operands = read_index(shape, index, strict=False, wrap=bool(wrap_negative_indices))
        if type(values) not in PYTHON_RANK:
            _check_values(values, result_shape(shape, plan, operands), index)
        if mode is None and wrap_negative_indices and plan.is_basic and _is_safe_box(shape, plan, operands):
            return _update_box(x, values, operands, plan=plan, kind=kind)
        return _update_scattered(
            x,
            values,
            operands,
            plan=plan,
            kind=kind,
            mode=mode,
            indices_are_sorted=bool(indices_are_sorted),
            unique_indices=bool(unique_indices),
            wrap_negative_indices=bool(wrap_negative_indices),
        )

    def get(
        self,
        *,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        mode: Any = None,
        fill_value: Any = None,
        out_sharding: Any = None,
        wrap_negative_indices: bool = True,
    ) -> Any:
        """`x[index]`, with a choice of what happens out of bounds.

        Args:
          indices_are_sorted: a promise that the indices ascend.
          unique_indices: a promise that no index occurs twice.
          mode: None or "promise_in_bounds" for no check (the nearest element), "clip" for the nearest
            element, "fill" for `fill_value`.
          fill_value: for "fill"; by default nan, or the dtype's least (signed) or greatest (unsigned) number.
          out_sharding: a sharding to put the result on.
          wrap_negative_indices: whether negative indices count from the end.

        Returns:
          An array.

        Raises:
          IndexError: there are too many indices.
          TypeError: an index has a wrong type.

        Example:
          >>> import canter.numpy as cnp
          >>> cnp.arange(3.0).at[cnp.array([1, 7])].get(mode="fill")
          Array([ 1., nan], dtype=float32)
        """
        if out_sharding is not None:
            from .creation import placed

            options = {
                "indices_are_sorted": indices_are_sorted,
                "unique_indices": unique_indices,
                "mode": mode,
                "fill_value": fill_value,
                "wrap_negative_indices": wrap_negative_indices,
            }
            return placed(lambda: self.get(**options), out_sharding, ".get")
        x = self.array
        plan, operands = read_index(shape_of(x), self.index, strict=False, wrap=bool(wrap_negative_indices))
        if mode is None and plan.is_basic and _is_safe_box(shape_of(x), plan, operands):
            return _take_basic_in_bounds(x, operands, plan=plan)
        return _take_advanced(
            x,
            operands,
            plan=plan,
            mode=mode,
            fill_value=fill_value,
            indices_are_sorted=bool(indices_are_sorted),
            unique_indices=bool(unique_indices),
            wrap_negative_indices=bool(wrap_negative_indices),
        )

    def apply(
        self,
        func: Callable[[Any], Any],
        *,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        mode: Any = None,
        wrap_negative_indices: bool = True,
    ) -> Any:
        """Applies a function to the elements, as often as an index occurs.

        Args:
          func: a function of one scalar.
          indices_are_sorted: a promise that the indices ascend.
          unique_indices: a promise that no index occurs twice.
          mode: what to do with indices out of bounds, as in `set`.
          wrap_negative_indices: whether negative indices count from the end.

        Returns:
          An array of the shape and dtype of x.

        Raises:
          TypeError: the function changes the dtype or shape.

        Example:
          >>> import canter.numpy as cnp
          >>> cnp.arange(3.0).at[1:].apply(lambda v: v * 10)
          Array([ 0., 10., 20.], dtype=float32)
        """
        x = self.array
        plan, operands = read_index(shape_of(x), self.index, strict=False, wrap=bool(wrap_negative_indices))
        original = shape_of(x)
        out = lax.reshape(x, with_new_axes(original, plan.new_axes)) if plan.new_axes else x
        numbers = GatherPlan(out, plan, operands, wrap_negative_indices)
        if math.prod(numbers.window_shape):
            out = lax.scatter_apply(
                out,
                numbers.indices,
                func,
                numbers.scatter_numbers(),
                update_shape=numbers.window_shape,
                indices_are_sorted=indices_are_sorted or numbers.is_single,
                unique_indices=unique_indices or numbers.is_single,
                mode=mode,
            )
        return lax.reshape(out, original) if plan.new_axes else out


def _check_values(values: Any, shape: tuple[int, ...], index: Any) -> None:
    have = shape_of(values)
    tail = shape[builtins.max(len(shape) - len(have), 0) :]
    if len(have) > len(shape) or builtins.any(n not in (1, m) for n, m in zip(have, tail, strict=True)):
        shown = f"traced {type(index).__name__}" if isinstance(index, Tracer) else f"{index!r:.60}"
        raise ValueError(
            f"Incompatible types for broadcasting: values of shape {have} do not fit the indexed part, of shape "
            f"{shape} (index {shown})."
        )


_METHOD_DOC = """A copy of the array in which `x[index]` {what}.

Args:
  values: an array or number that broadcasts to the shape of `x[index]`.
  indices_are_sorted, unique_indices, mode, wrap_negative_indices: see `IndexUpdateRef`.

Returns:
  An array of the shape and dtype of x.

Raises:
  ValueError: the values do not broadcast to the indexed part.
  IndexError: there are too many indices.

Example:
  >>> import canter.numpy as cnp
  >>> cnp.array([1.0, 2.0]).at[0].{name}(3.0)
  Array({printed}, dtype=float32)
"""


def _method(name: str, kind: str, what: str, printed: str) -> Callable[..., Any]:
    def update(
        self: IndexUpdateRef,
        values: Any,
        *,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        mode: Any = None,
        wrap_negative_indices: bool = True,
        out_sharding: Any = None,
    ) -> Any:
        options = kind, values, indices_are_sorted, unique_indices, mode, wrap_negative_indices
        if out_sharding is None:
            return self._update(*options)
        from .creation import placed

        return placed(lambda: self._update(*options), out_sharding, f".{name}")

    update.__name__ = name
    update.__qualname__ = f"IndexUpdateRef.{name}"
    update.__doc__ = _METHOD_DOC.format(name=name, what=what, printed=printed)
    return update


_METHODS = (
    ("set", "set", "is replaced by values", "[3., 2.]"),
    ("add", "add", "has values added, as often as an index occurs", "[4., 2.]"),
    ("subtract", "subtract", "has values subtracted, as often as an index occurs", "[-2.,  2.]"),
    ("sub", "subtract", "has values subtracted, as often as an index occurs", "[-2.,  2.]"),
    ("multiply", "multiply", "is multiplied by values, as often as an index occurs", "[3., 2.]"),
    ("mul", "multiply", "is multiplied by values, as often as an index occurs", "[3., 2.]"),
    ("divide", "divide", "is divided by values, as often as an index occurs", "[0.33333334, 2.        ]"),
    ("div", "divide", "is divided by values, as often as an index occurs", "[0.33333334, 2.        ]"),
    ("power", "power", "is raised to the power of values, as often as an index occurs", "[1., 2.]"),
    ("min", "min", "is lowered to values", "[1., 2.]"),
    ("max", "max", "is raised to values", "[3., 2.]"),
)

for _row in _METHODS:
    setattr(IndexUpdateRef, _row[0], _method(*_row))
