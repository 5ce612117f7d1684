"""Mutable references to arrays.

    ref = ct.new_ref(cnp.zeros(3))
    ref[0] = 1.0                     # writes
    ref[1:] += 2.0                   # reads and writes
    x = ref[...]                     # reads

A reference may be closed over by traced functions and passed to them; it cannot be returned from them.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from .core.avals import get_aval as _get_aval
from .core.printer import pp as _pp, register_eqn_rule as _register_eqn_rule
from .core.slices import Slice as _Slice
from .core.state import (
    AbstractRef as AbstractRef,
    Operand as _Operand,
    Ref as Ref,
    addupdate_p as _addupdate_p,
    empty_ref_p as _empty_ref_p,
    free_ref_p as _free_ref_p,
    freeze_p as _freeze_p,
    get_p as _get_p,
    is_ref as _is_ref,
    new_ref_p as _new_ref_p,
    part_aval as _part_aval,
    ref_ops as _ref_ops,
    swap_p as _swap_p,
)
from .core.trace import Tracer as _Tracer, references as _references
from .lax.control_flow import references as _control_flow  # noqa: F401  (declares its rules)
from .transforms import state_rules as _state_rules  # noqa: F401  (declares its rules)

__all__ = [
    "AbstractRef",
    "Ref",
    "addupdate",
    "empty_ref",
    "free_ref",
    "freeze",
    "get",
    "new_ref",
    "set",
    "swap",
]

_Index = Any


# --- reading and writing values -------------------------------------------------------------------


def _split_dynamic(index: tuple[Any, ...]) -> tuple[list[tuple[int, Any, int]], tuple[Any, ...]]:
    """The dynamic slices in an index, as (dimension, start, size), and the index of what they leave."""
    dynamic = [(d, *entry) for d, entry in enumerate(index) if type(entry) is tuple]
    rest = tuple(slice(None) if type(entry) is tuple else entry for entry in index)
    return dynamic, rest


def _is_whole(index: tuple[Any, ...], shape: tuple[int, ...]) -> bool:
    return all(
        isinstance(entry, slice) and entry.indices(size) == (0, size, 1)
        for entry, size in zip(index, shape, strict=True)
    )


def _read(value: Any, index: tuple[Any, ...]) -> Any:
    from . import lax

    dynamic, rest = _split_dynamic(index)
    for dimension, start, size in dynamic:
        value = lax.dynamic_slice_in_dim(value, start, size, dimension)
    if _is_whole(rest, _get_aval(value).shape):
        return value
    from .numpy.indexing import getitem

    return getitem(value, rest)


def _updated(method: str) -> Any:
    def update(value: Any, index: tuple[Any, ...], part: Any) -> Any:
        from . import lax
        from .numpy.updates import IndexUpdateHelper

        dynamic, rest = _split_dynamic(index)
        window = value
        for dimension, start, size in dynamic:
            window = lax.dynamic_slice_in_dim(window, start, size, dimension)
        if not _is_whole(rest, _get_aval(window).shape):
            window = getattr(IndexUpdateHelper(window)[rest], method)(part)
        elif method == "set":
            window = _in_place_of(window, part)
        else:
            window = lax.add(window, part)
        if not dynamic:
            return window
        starts: list[Any] = [0] * len(index)
        for dimension, start, _ in dynamic:
            starts[dimension] = start
        return lax.dynamic_update_slice(value, window, starts)

    return update


def _in_place_of(value: Any, new: Any) -> Any:
    """A new value of the same type: a number becomes an array, and explicit mesh axes split it alike."""
    from . import lax

    aval = _get_aval(value)
    new = lax.convert_element_type(new, aval.dtype)
    if aval.layout == _get_aval(new).layout:
        return new
    from .lax.sharding import resharded

    return resharded(new, aval.sharding)


def _copy(value: Any) -> Any:
    from .numpy.creation import array

    aval = _get_aval(value)
    return array(value, dtype=aval.dtype, copy=not isinstance(value, _Tracer))


def _empty(aval: Any) -> Any:
    from .numpy.creation import empty

    return empty(aval.shape, aval.dtype, out_sharding=aval.layout)


_ref_ops.read, _ref_ops.write, _ref_ops.add = _read, _updated("set"), _updated("add")
_ref_ops.copy, _ref_ops.empty = _copy, _empty


# --- indices --------------------------------------------------------------------------------------


def _normalized(ref: Any, index: _Index) -> tuple[tuple[Any, ...], list[Any]]:
    """An index as the parameter of an equation, and its operands."""
    shape = ref.shape
    entries = list(index) if isinstance(index, tuple) else [index]
    entries = _without_ellipsis(
        [slice(None) if e is None and len(entries) == 1 else e for e in entries], shape
    )
    indices: list[Any] = []
    operands: list[Any] = []
    for dimension, (entry, size) in enumerate(zip(entries, shape, strict=True)):
        indices.append(_entry(entry, size, dimension, operands))
    return tuple(indices), operands


def _without_ellipsis(entries: list[Any], shape: tuple[int, ...]) -> list[Any]:
    places = [i for i, entry in enumerate(entries) if entry is Ellipsis]
    if len(places) > 1:
        raise ValueError("An index of a reference can have one ellipsis (...).")
    given = len(entries) - len(places)
    if given > len(shape):
        raise ValueError(
            f"`indices` must not be longer than `shape`: the index has {given} entries, and the reference the shape "
            f"{shape}."
        )
    missing = [slice(None)] * (len(shape) - given)
    place = places[0] if places else len(entries)
    return [*entries[:place], *missing, *entries[place + 1 :]]


def _entry(entry: Any, size: int, dimension: int, operands: list[Any]) -> Any:
    if isinstance(entry, slice):
        return _slice_entry(entry, size)
    if isinstance(entry, _Slice):
        start, length, stride = entry.start, entry.static_size(size), entry.stride
        if isinstance(start, (int, np.integer)):
            return _slice_entry(slice(int(start), int(start) + (length - 1) * stride + 1, stride), size)
        if stride != 1:
            operands.append(start + stride * np.arange(length, dtype=np.int32))
            return _Operand()
        operands.append(start)
        return _Operand(length)
    if entry is None or isinstance(entry, (bool, np.bool_, str, float)):
        raise ValueError(
            f"A reference is indexed by integers, slices and arrays of integers, not by {entry!r}."
        )
    if not isinstance(entry, _Tracer) and not getattr(entry, "shape", ()):
        try:
            number = operator.index(entry)
        except TypeError:
            pass
        else:
            if not -size <= number < size:
                raise ValueError(f"Out of bound indexer: idx={number}, dim={size} (dimension {dimension}).")
            return number % size
    array = entry if hasattr(entry, "dtype") else np.asarray(entry)
    if array.dtype == bool:
        if isinstance(entry, _Tracer):
            from .errors import NonConcreteBooleanIndexError

            raise NonConcreteBooleanIndexError(entry)
        array = np.nonzero(np.asarray(array))[0]
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"A reference is indexed by integers, not by an array of {array.dtype}.")
    operands.append(array)
    return _Operand()


def _slice_entry(entry: slice, size: int) -> slice:
    start, stop, step = entry.indices(size)
    if step < 1:
        raise ValueError(f"slice must have a step >= 1 (found: {step})")
    count = len(range(start, stop, step))
    return slice(start, start + count * step if step > 1 else start + count, step)


def _checked(ref: Any, where: str) -> None:
    if not _is_ref(ref):
        raise TypeError(
            f"{where} takes a mutable reference (canter.new_ref), got a value of type {type(ref).__name__}."
        )


def _part(ref: Any, value: Any, indices: Any, operands: Any) -> Any:
    """A value as it is written: numbers take the reference's dtype."""
    aval = _get_aval(value)
    if not aval.weak_type or aval.dtype == ref.dtype:
        return value
    part = _part_aval(ref.aval, indices, tuple(_get_aval(x) for x in operands))
    if aval.shape != part.shape or not np.can_cast(aval.dtype, ref.dtype, "same_kind"):
        return value  # which the primitive refuses
    from . import lax

    return lax.convert_element_type(value, ref.dtype)


# --- what users call ------------------------------------------------------------------------------


def new_ref(init_val: Any, *, memory_space: Any = None, kind: str | None = None) -> Any:
    """Makes a mutable reference to an array.

    Args:
      init_val: its first value: an array or number.
      memory_space: where it is kept; None leaves it to the compiler.
      kind: must be None.

    Returns:
      A `Ref`.

    Raises:
      TypeError: the value is no array.
      NotImplementedError: a kind or memory space is given.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> total = ct.new_ref(0.0)
      >>> @ct.jit
      ... def add(x):
      ...     total[...] += x
      >>> add(2.0); add(3.0)
      >>> total
      Ref(5., dtype=float32)
    """
    if memory_space is not None or kind is not None:
        raise NotImplementedError(
            "new_ref: references of a memory space or kind of their own are not supported."
        )
    if _is_ref(init_val):
        raise TypeError(
            "new_ref takes an array, got a mutable reference. Read it first: `new_ref(ref[...])`."
        )
    _references.in_use = True
    return _new_ref_p.bind(init_val, kind=None, memory_space=None)


def empty_ref(ty: Any, memory_space: Any = None) -> Any:
    """Makes a reference to an array of any value, to be written before it is read.

    Args:
      ty: an object with `shape` and `dtype`.
      memory_space: must be None.

    Example:
      >>> import canter as ct
      >>> ct.ref.empty_ref(ct.ShapeDtypeStruct((2, 3), "float32")).shape
      (2, 3)
    """
    from .runtime.shape_dtype import abstract_aval

    if memory_space is not None:
        raise NotImplementedError("empty_ref: references of a memory space of their own are not supported.")
    _references.in_use = True
    return _empty_ref_p.bind(ty=abstract_aval(ty).strip_weak_type(), memory_space=None)


def get(ref: Any, idx: _Index = None) -> Any:
    """Reads a reference, or part of it; `ref[idx]`.

    Args:
      ref: the reference.
      idx: integers, slices with a positive step, arrays of integers, an ellipsis; None for all of it.

    Raises:
      ValueError: the index is out of bounds or has too many entries.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> ct.ref.get(ct.new_ref(cnp.arange(4)), slice(1, 3)).tolist()
      [1, 2]
    """
    _checked(ref, "get")
    indices, operands = _normalized(ref, Ellipsis if idx is None else idx)
    return _get_p.bind(ref, *operands, indices=indices)


def swap(ref: Any, idx: _Index, value: Any, _function_name: str = "ref_swap") -> Any:
    """Writes a reference, or part of it, and returns what was there.

    Args:
      ref: the reference.
      idx: as of `get`.
      value: an array of the shape of the part and the dtype of the reference.

    Raises:
      ValueError: the index, the shape or the dtype does not fit.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> ref = ct.new_ref(cnp.arange(3))
      >>> ct.ref.swap(ref, 0, 7).item(), ref[...].tolist()
      (0, [7, 1, 2])
    """
    _checked(ref, _function_name)
    indices, operands = _normalized(ref, Ellipsis if idx is None else idx)
    return _swap_p.bind(ref, _part(ref, value, indices, operands), *operands, indices=indices)


def set(ref: Any, idx: _Index, value: Any) -> None:
    """Writes a reference, or part of it; `ref[idx] = value`.

    Args:
      ref: the reference.
      idx: as of `get`.
      value: an array of the shape of the part and the dtype of the reference.

    Raises:
      ValueError: the index, the shape or the dtype does not fit.

    Example:
      >>> import canter as ct
      >>> ref = ct.new_ref(1.0)
      >>> ct.ref.set(ref, None, 2.0)
      >>> ref[...].item()
      2.0
    """
    swap(ref, idx, value, "ref_set")


def addupdate(ref: Any, idx: _Index, x: Any) -> None:
    """Adds to a reference, or to part of it.

    Args:
      ref: the reference.
      idx: as of `get`.
      x: an array of the shape of the part and the dtype of the reference.

    Raises:
      ValueError: the index, the shape or the dtype does not fit.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> ref = ct.new_ref(cnp.zeros(3))
      >>> ct.ref.addupdate(ref, 1, 2.0)
      >>> ref[...].tolist()
      [0.0, 2.0, 0.0]
    """
    _checked(ref, "addupdate")
    indices, operands = _normalized(ref, Ellipsis if idx is None else idx)
    _addupdate_p.bind(ref, _part(ref, x, indices, operands), *operands, indices=indices)


def freeze(ref: Any) -> Any:
    """The last value of a reference, which cannot be used afterwards.

    Example:
      >>> import canter as ct
      >>> ct.freeze(ct.new_ref(2.0)).item()
      2.0
    """
    _checked(ref, "freeze")
    return _freeze_p.bind(ref)


def free_ref(ref: Any) -> None:
    """Gives up a reference: it cannot be used afterwards.

    Example:
      >>> import canter as ct
      >>> ct.ref.free_ref(ct.new_ref(2.0))
    """
    _checked(ref, "free_ref")
    _free_ref_p.bind(ref)


# --- views, and the methods of references ---------------------------------------------------------


class TransformedRef:
    """Part of a reference, as `ref.at[1:3]` gives it: it is read and written as a reference is.

    Attributes:
      ref: the reference.
      index: which part.
    """

    __slots__ = ("index", "ref")

    def __init__(self, ref: Any, index: tuple[Any, ...]):
        self.ref = ref
        self.index = index

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(range(e.start, e.stop, e.step)) for e in self.index if isinstance(e, slice))

    @property
    def dtype(self) -> Any:
        return self.ref.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def at(self) -> _At:
        return _At(self)

    def __getitem__(self, index: _Index) -> Any:
        return get(self.ref, self.within(index))

    def __setitem__(self, index: _Index, value: Any) -> None:
        set(self.ref, self.within(index), value)

    def within(self, index: _Index) -> tuple[Any, ...]:
        """The index of a part of this part in the whole reference."""
        entries = list(index) if isinstance(index, tuple) else [index]
        inner = iter(_without_ellipsis([slice(None) if e is None else e for e in entries], self.shape))
        whole = []
        for entry in self.index:
            if not isinstance(entry, slice):
                whole.append(entry)
                continue
            part = next(inner)
            size = len(range(entry.start, entry.stop, entry.step))
            if isinstance(part, slice):
                chosen = range(entry.start, entry.stop, entry.step)[_slice_entry(part, size)]
                whole.append(slice(chosen.start, chosen.stop, chosen.step))
            elif isinstance(part, (int, np.integer)):
                if not -size <= part < size:
                    raise ValueError(f"Out of bound indexer: idx={part}, dim={size}.")
                whole.append(entry.start + int(part) % size * entry.step)
            else:
                whole.append(part * entry.step + entry.start)
        return tuple(whole)

    def __repr__(self) -> str:
        return f"TransformedRef({self.ref!r}, {_index_text(self.index, iter(()), self.ref.shape)})"


class _At:
    """`ref.at`, to be indexed."""

    __slots__ = ("_ref",)

    def __init__(self, ref: Any):
        self._ref = ref

    def __getitem__(self, index: _Index) -> TransformedRef:
        if isinstance(self._ref, TransformedRef):
            return TransformedRef(self._ref.ref, self._ref.within(index))
        entries = _without_ellipsis(list(index) if isinstance(index, tuple) else [index], self._ref.shape)
        return TransformedRef(
            self._ref,
            tuple(
                _slice_entry(e, size) if isinstance(e, slice) else e
                for e, size in zip(entries, self._ref.shape, strict=True)
            ),
        )


def _method_addupdate(self: Any, x: Any, idx: _Index = ()) -> None:
    """Adds to the reference, or to part of it."""
    addupdate(self, idx, x)


for _name, _method in {
    "__getitem__": lambda self, index: get(self, index),
    "__setitem__": lambda self, index, value: set(self, index, value),
    "addupdate": _method_addupdate,
    "at": property(_At),
}.items():
    setattr(Ref, _name, _method)


def _for_references(name: str, own: Any) -> Any:
    """A method of tracers that does another thing for those that are references."""
    array_method = _Tracer.__dict__[name]

    def method(self: Any, *args: Any) -> Any:
        if type(self.aval) is AbstractRef:
            return own(self, *args)
        return array_method(self, *args)

    method.__name__ = name
    method.__doc__ = array_method.__doc__
    return method


def _install_on_tracers() -> None:
    from .numpy import array_methods  # noqa: F401  (gives tracers the methods of arrays)

    plain_at = _Tracer.__dict__["at"]
    own_at = property(
        lambda self: _At(self) if type(self.aval) is AbstractRef else plain_at.fget(self),
        doc=plain_at.__doc__,
    )
    for name, method in {
        "__getitem__": _for_references("__getitem__", get),
        "__setitem__": _for_references("__setitem__", set),
        "addupdate": _method_addupdate,
        "at": own_at,
    }.items():
        setattr(_Tracer, name, method)


_install_on_tracers()


# --- printing -------------------------------------------------------------------------------------


def _index_text(indices: tuple[Any, ...], names: Any, shape: tuple[int, ...]) -> str:
    if _is_whole(indices, shape):
        return "[...]"
    return f"[{','.join(_entry_text(e, names, size) for e, size in zip(indices, shape, strict=True))}]"


def _entry_text(entry: Any, names: Any, size: int) -> str:
    if isinstance(entry, _Operand):
        name = next(names)
        return name if entry.size is None else f"{name}:{name}+{entry.size}"
    if not isinstance(entry, slice):
        return str(entry)
    start = entry.start or ""
    stop = "" if entry.stop >= size else entry.stop
    return f"{start}:{stop}" + (f":{entry.step}" if entry.step != 1 else "")


def _print_access(printer: Any, eqn: Any) -> Any:
    ref, *others = eqn.invars
    name = eqn.primitive.name
    value = None if name == "get" else others.pop(0)
    operands = iter([printer.atom_text(v) for v in others])
    place = printer.atom_text(ref) + _index_text(eqn.params["indices"], operands, ref.aval.shape)
    if name == "addupdate":
        return _pp.text(f"{place} += {printer.atom_text(value)}")
    out = printer.vars(eqn.outvars)
    if name == "get":
        return _pp.concat([out, _pp.text(f" <- {place}")])
    if printer.name_of(eqn.outvars[0]) == "_":
        return _pp.text(f"{place} <- {printer.atom_text(value)}")
    return _pp.concat([out, _pp.text(f", {place} <- {place}, {printer.atom_text(value)}")])


for _primitive in (_get_p, _swap_p, _addupdate_p):
    _register_eqn_rule(_primitive.name, _print_access)
