"""Mutable references: their type, their primitives, and the cells that hold their values outside programs.

A program may read and write references. It never runs like this: before it is differentiated through a loop,
or lowered, it is *discharged* into a pure program that takes the values of the references and gives
their new ones (`canter.transforms.discharge`). Outside all programs a `Ref` is a cell with a value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .avals import AbstractValue, ShapedArray, get_aval, register_aval
from .effects import (
    Effect,
    control_flow_allowed_effects,
    custom_derivatives_allowed_effects,
    lowerable_effects,
    remat_allowed_effects,
)
from .primitive import Primitive
from .trace import Tracer, escaped_tracer_error, references

__all__ = [
    "AbstractRef",
    "AccumEffect",
    "ReadEffect",
    "Ref",
    "RefEffect",
    "WriteEffect",
    "addupdate_p",
    "empty_ref_p",
    "free_ref_p",
    "freeze_p",
    "get_p",
    "has_ref_effects",
    "is_ref",
    "new_ref_p",
    "ref_ops",
    "swap_p",
]


# --- effects --------------------------------------------------------------------------------------


class RefEffect(Effect):
    """A program reads or writes references, its own or ones from outside."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return type(self).__name__.removesuffix("Effect")


class ReadEffect(RefEffect):
    """A reference is read."""

    __slots__ = ()


class WriteEffect(RefEffect):
    """A reference is made, written or freed."""

    __slots__ = ()


class AccumEffect(RefEffect):
    """Something is added to a reference."""

    __slots__ = ()


for _allowed in (
    lowerable_effects,
    control_flow_allowed_effects,
    custom_derivatives_allowed_effects,
    remat_allowed_effects,
):
    _allowed.add_type(RefEffect)
_READ, _WRITE = frozenset((ReadEffect(),)), frozenset((WriteEffect(),))
_ACCUM = frozenset((AccumEffect(),))


def has_ref_effects(effects: Any) -> bool:
    """Whether there is an effect on references among some effects."""
    return bool(effects) and any(isinstance(effect, RefEffect) for effect in effects)


# --- types ----------------------------------------------------------------------------------------


class AbstractRef(AbstractValue):
    """The type of a reference to an array.

    Args:
      inner_aval: the type of the array.
      memory_space: where it is kept; None leaves it to the compiler.
      kind: None.

    Example:
      >>> from canter.core import ShapedArray
      >>> from canter.core.state import AbstractRef
      >>> AbstractRef(ShapedArray((2,), "float32"))
      Ref{float32[2]}
    """

    __slots__ = ("inner_aval", "kind", "memory_space")

    weak_type = False

    def __init__(self, inner_aval: Any, memory_space: Any = None, kind: Any = None):
        self.inner_aval = inner_aval
        self.memory_space = memory_space
        self.kind = kind

    @property
    def shape(self) -> tuple[int, ...]:
        return self.inner_aval.shape

    @property
    def dtype(self) -> Any:
        return self.inner_aval.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return self.inner_aval.size

    def update(
        self, inner_aval: Any = None, memory_space: Any = None, kind: Any = None, **changes: Any
    ) -> AbstractRef:
        """A copy with some fields changed; fields of the array's type may be given by name."""
        inner = self.inner_aval if inner_aval is None else inner_aval
        return AbstractRef(
            inner.update(**changes) if changes else inner,
            self.memory_space if memory_space is None else memory_space,
            self.kind if kind is None else kind,
        )

    def to_tangent_aval(self) -> AbstractRef:
        return AbstractRef(self.inner_aval.to_tangent_aval(), self.memory_space, self.kind)

    def str_short(self, short_dtypes: bool = True) -> str:
        return f"Ref{{{self.inner_aval.str_short(short_dtypes)}}}"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, AbstractRef)
            and self.inner_aval == other.inner_aval
            and (self.memory_space, self.kind) == (other.memory_space, other.kind)
        )

    def __hash__(self) -> int:
        return hash((AbstractRef, self.inner_aval, self.memory_space, self.kind))

    def __repr__(self) -> str:
        return self.str_short(short_dtypes=False)

    __str__ = __repr__


class RefOps:
    """What `canter.ref` gives: reading and writing part of an array, and a copy of one.

    Attributes:
      read: (array, index) -> the part.
      write: (array, index, part) -> the array with the part in its place.
      add: (array, index, part) -> the array with the part added.
      copy: (array) -> an equal array of its own.
      empty: (aval) -> an array of any value.
    """

    read: Callable[..., Any]
    write: Callable[..., Any]
    add: Callable[..., Any]
    copy: Callable[..., Any]
    empty: Callable[..., Any]


ref_ops = RefOps()


class _RefMeta(type):
    """Lets `isinstance(x, Ref)` hold for references in programs too, which are tracers."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return is_ref(instance)


class Ref(metaclass=_RefMeta):
    """A reference to an array: `ref[...]` reads it, `ref[...] = x` writes it, `ref[i]` and `ref[i] = x` a part.

    Make one with `canter.new_ref`. Within traced functions references are tracers of the type `AbstractRef`,
    with the same methods; `isinstance(x, Ref)` is true of them as well.
    """

    __slots__ = ("__weakref__", "_aval", "_value")
    __hash__ = object.__hash__
    __iter__ = None  # an index past the end is an error, not the end

    def __init__(self, aval: AbstractRef, value: Any):
        self._aval = aval
        self._value = value
        references.in_use = True

    @property
    def aval(self) -> AbstractRef:
        return self._aval

    @property
    def shape(self) -> tuple[int, ...]:
        return self._aval.shape

    @property
    def dtype(self) -> Any:
        return self._aval.dtype

    @property
    def ndim(self) -> int:
        return self._aval.ndim

    @property
    def size(self) -> int:
        return self._aval.size

    @property
    def sharding(self) -> Any:
        return self._held().sharding

    @property
    def committed(self) -> bool:
        return self._held().committed

    @property
    def format(self) -> Any:
        return self._held().format

    def unsafe_buffer_pointer(self) -> int:
        """The address of the array in memory, until the reference is written."""
        return self._held().unsafe_buffer_pointer()

    def _held(self) -> Any:
        if self._value is None:
            raise ValueError("The reference was freed: it has no value any more.")
        return self._value

    def __len__(self) -> int:
        return len(self._aval.inner_aval)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("A reference is no array: read it with `ref[...]`.")

    def __repr__(self) -> str:
        return (
            "Ref(freed)" if self._value is None else f"Ref{str(self._value.__repr__()).removeprefix('Array')}"
        )


register_aval(Ref, lambda ref: ref._aval)


def is_ref(value: Any) -> bool:
    """Whether a value is a reference, in or out of a program."""
    return type(value) is Ref or (isinstance(value, Tracer) and isinstance(value.aval, AbstractRef))


# --- primitives -----------------------------------------------------------------------------------

# An index is a tuple with one entry a dimension: an int, a slice with all its fields, or `Operand`, which stands for
# the next of the operands: an array of integers, with `size` the start of so many elements.

new_ref_p = Primitive("new_ref")
empty_ref_p = Primitive("empty_ref")
get_p = Primitive("get")
swap_p = Primitive("swap")
addupdate_p = Primitive("addupdate", multiple_results=True)
freeze_p = Primitive("freeze")
free_ref_p = Primitive("free_ref", multiple_results=True)
for _primitive in (new_ref_p, empty_ref_p):
    _primitive.ref_allocating = True


class Operand:
    """An entry of an index that is an operand of the equation.

    Args:
      size: None for an index or array of indices, else the number of elements from it on.
    """

    __slots__ = ("size",)

    def __init__(self, size: int | None = None):
        self.size = size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Operand) and self.size == other.size

    def __hash__(self) -> int:
        return hash((Operand, self.size))


def part_aval(ref: AbstractRef, indices: tuple[Any, ...], operands: tuple[Any, ...]) -> ShapedArray:
    """The type of the part that an index refers to; arrays among indices are one behind another, or the only ones."""
    shape: list[int] = []
    axes: list[Any] = []
    own_axes = _axes_of(ref)
    given = iter(operands)
    advanced: tuple[int, ...] | None = None
    place = 0
    for entry, size, split in zip(indices, ref.shape, own_axes, strict=True):
        if isinstance(entry, slice):
            shape.append(len(range(*entry.indices(size))))
            axes.append(split)
            continue
        own = next(given).shape if isinstance(entry, Operand) else ()
        if isinstance(entry, Operand) and entry.size is not None:
            shape.append(entry.size)
            axes.append(split)
            continue
        if split:
            raise TypeError(
                f"A reference of type {ref} can only be indexed by slices along dimensions that mesh axes split, not "
                f"by integers: {', '.join(map(str, split))} split one of size {size}. Read all of it, ref[...], and "
                "bring that to another layout with canter.reshard."
            )
        if own:
            if advanced is None:
                place = len(shape)
            advanced = own if advanced is None or len(own) > len(advanced) else advanced
    if advanced is not None:
        shape[place:place] = advanced
        axes[place:place] = [()] * len(advanced)
    part = ShapedArray(tuple(shape), ref.dtype)
    return part if not any(own_axes) else _split_part(ref, part, axes)


def _axes_of(ref: AbstractRef) -> Any:
    layout = getattr(ref.inner_aval, "layout", None)
    return ((),) * len(ref.shape) if layout is None else layout.spec.axes()


def _split_part(ref: AbstractRef, part: ShapedArray, axes: list[Any]) -> ShapedArray:
    """The type of a part of a reference to an array that explicit mesh axes split."""
    from .explicit import check_layout, layout_over
    from .partition_spec import PartitionSpec

    mesh = ref.inner_aval.layout.mesh
    check_layout("reading or writing a reference", part, mesh, axes, str(ref))
    return part.update(layout=layout_over(mesh, PartitionSpec(*axes), len(axes)))


def _check_part(name: str, ref: AbstractRef, value: Any, indices: Any, operands: Any) -> ShapedArray:
    part = part_aval(ref, indices, operands)
    if value.shape != part.shape:
        raise ValueError(
            f"Invalid shape for `{name}`. Ref shape: {ref.shape}. Expected shape: {part.shape}. Value shape: "
            f"{value.shape}. Broadcast the value to the part of the reference that it is written to."
        )
    if value.dtype != ref.dtype:
        raise ValueError(
            f"Invalid dtype for `{name}`. Ref dtype: {ref.dtype}. Value dtype: {value.dtype}. Convert the value with "
            "`astype`."
        )
    return part


def _check_added(ref: AbstractRef, value: Any, indices: Any, operands: Any) -> None:
    part = _check_part("addupdate", ref, value, indices, operands)
    if part.layout != value.layout:
        raise ValueError(
            f"Invalid sharding for `addupdate`. The part of the reference is of type {part.str_short(True)}, the value "
            f"of type {value.str_short(True)}. Bring the value to that layout with canter.reshard."
        )


def _abstract(primitive: Primitive) -> Callable[..., Any]:
    return primitive.def_effectful_abstract_eval


@_abstract(new_ref_p)
def _(value: Any, *, kind: Any, memory_space: Any) -> Any:
    return AbstractRef(value.strip_weak_type(), memory_space, kind), _WRITE


@_abstract(empty_ref_p)
def _(*, ty: Any, memory_space: Any) -> Any:
    return AbstractRef(ty, memory_space), _WRITE


@_abstract(get_p)
def _(ref: Any, *operands: Any, indices: Any) -> Any:
    return part_aval(ref, indices, operands), _READ


@_abstract(swap_p)
def _(ref: Any, value: Any, *operands: Any, indices: Any) -> Any:
    return _check_part("swap", ref, value, indices, operands), _WRITE


@_abstract(addupdate_p)
def _(ref: Any, value: Any, *operands: Any, indices: Any) -> Any:
    _check_added(ref, value, indices, operands)
    return [], _ACCUM


@_abstract(freeze_p)
def _(ref: Any) -> Any:
    return ref.inner_aval, _READ | _WRITE


@_abstract(free_ref_p)
def _(ref: Any) -> Any:
    return [], _WRITE


# On cells. These are also what discharging does.


def _full_index(indices: Any, operands: Any) -> tuple[Any, ...]:
    """The index with its operands: ints, slices, arrays, and pairs (start, size)."""
    given = iter(operands)
    return tuple(
        entry
        if not isinstance(entry, Operand)
        else next(given)
        if entry.size is None
        else (next(given), entry.size)
        for entry in indices
    )


@new_ref_p.def_impl
def _(value: Any, *, kind: Any, memory_space: Any) -> Ref:
    aval = AbstractRef(get_aval(value).strip_weak_type(), memory_space, kind)
    return Ref(aval, ref_ops.copy(value))


@empty_ref_p.def_impl
def _(*, ty: Any, memory_space: Any) -> Ref:
    return Ref(AbstractRef(ty, memory_space), ref_ops.empty(ty))


def _cell(ref: Any) -> Ref:
    if type(ref) is not Ref:
        raise (
            escaped_tracer_error(ref)
            if isinstance(ref, Tracer)
            else TypeError(f"{ref!r:.80} is no reference.")
        )
    return ref


@get_p.def_impl
def _(ref: Ref, *operands: Any, indices: Any) -> Any:
    return ref_ops.read(_cell(ref)._held(), _full_index(indices, operands))


@swap_p.def_impl
def _(ref: Ref, value: Any, *operands: Any, indices: Any) -> Any:
    _check_part("swap", _cell(ref)._aval, get_aval(value), indices, operands)
    index = _full_index(indices, operands)
    old = ref_ops.read(ref._held(), index)
    ref._value = ref_ops.write(ref._value, index, value)
    return old


@addupdate_p.def_impl
def _(ref: Ref, value: Any, *operands: Any, indices: Any) -> list[Any]:
    _check_added(_cell(ref)._aval, get_aval(value), indices, operands)
    ref._value = ref_ops.add(ref._held(), _full_index(indices, operands), value)
    return []


@freeze_p.def_impl
def _(ref: Ref) -> Any:
    value, ref._value = _cell(ref)._held(), None
    return value


@free_ref_p.def_impl
def _(ref: Ref) -> list[Any]:
    _cell(ref)._held()
    ref._value = None
    return []


PRIMITIVES = frozenset((new_ref_p, empty_ref_p, get_p, swap_p, addupdate_p, freeze_p, free_ref_p))
