"""Abstract values: what the tracer knows of an array before it exists.

An aval is what shape rules compute with and what every variable of a jaxpr carries. Avals are
immutable, hash once and compare by identity first, because they key the memo of the shape rules.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import dtypes
from .memory import Space

__all__ = [
    "AbstractToken",
    "AbstractValue",
    "ShapedArray",
    "abstract_token",
    "get_aval",
    "get_avals",
    "aval_in",
    "python_scalar_aval",
    "register_aval",
    "typematch",
    "typeof",
    "valid_jaxtype",
]


class AbstractValue:
    """Base class of all avals."""

    __slots__ = ()

    vma: frozenset[Any] = frozenset()  # the manual mesh axes along which values vary
    layout: Any = None  # how explicit mesh axes split the values
    memory: Any = None  # where the values are, if not in the devices' own memory

    def to_tangent_aval(self) -> AbstractValue:
        """The aval of a tangent of a value of this aval."""
        raise NotImplementedError(f"{type(self).__name__} has no tangent space.")

    def str_short(self, short_dtypes: bool = True) -> str:
        """The notation of this aval in a printed jaxpr."""
        return type(self).__name__

    def strip_weak_type(self) -> AbstractValue:
        return self

    def normalize(self) -> AbstractValue:
        """The type as it is compared with that of another value: without its weak type."""
        return self.strip_weak_type()

    def lo_ty(self) -> list[Any]:
        """The types of the arrays that a value consists of: an array is one, itself."""
        return [self]

    def lower_val(self, hi_val: Any) -> list[Any]:
        """The arrays of a value."""
        return [hi_val]

    def raise_val(self, *lo_vals: Any) -> Any:
        """The value made of arrays."""
        (value,) = lo_vals
        return value


_nowhere: frozenset[Any] = frozenset()


def _vma_text(vma: frozenset[Any]) -> str:
    return "{V:" + _axes_text(sorted(map(str, vma))) + "}"


def _axes_text(names: Any) -> str:
    return str(names[0]) if len(names) == 1 else f"({','.join(map(str, names))})"


def _split_text(size: Any, axes: tuple[Any, ...]) -> str:
    """A dimension, and the mesh axes that split it: `8@x`, or `8@(x,y)`."""
    return f"{size}@{_axes_text(axes)}" if axes else str(size)


def _rebuild_aval(
    shape: Any, dtype: Any, weak_type: bool, vma: frozenset[Any], layout: Any = None, memory: Any = None
) -> ShapedArray:
    return ShapedArray(shape, dtype, weak_type, vma=vma, layout=layout, memory_space=memory)


_KEEP: Any = object()
_DEVICE = Space.Device


def _layout_of(sharding: Any, ndim: int) -> Any:
    from .explicit import layout_over
    from .sharding import NamedSharding

    if not isinstance(sharding, NamedSharding):
        raise TypeError(f"The sharding of a type is a NamedSharding over an abstract mesh, not {sharding!r}.")
    return layout_over(sharding.mesh.abstract_mesh, sharding.spec, ndim)


class ShapedArray(AbstractValue):
    """An array of which shape and dtype are known.

    Args:
      shape: the dimensions, a sequence of ints.
      dtype: a NumPy dtype or an extended dtype (such as that of PRNG keys).
      weak_type: True when the dtype came from a Python scalar and yields in promotion.
      vma: the manual mesh axes along which the devices' values may differ (see `shard_map`).
      layout: how the explicit axes of a mesh split the array, a `NamedSharding` over an abstract mesh; None where
        none splits it, so that types are the same objects whether or not a mesh is in force.
      sharding: instead of the layout, a `NamedSharding` over any mesh, of which the explicit axes count.
      memory_space: the memory that values are in, a `canter.memory.Space`; None is the devices' own. `memory` is None
        for that one too.

    Example:
      >>> from canter.core.avals import ShapedArray
      >>> ShapedArray((2, 3), "float32").str_short()
      'f32[2,3]'
    """

    __slots__ = ("_hash", "_rest", "_tangent", "dtype", "layout", "memory", "shape", "vma", "weak_type")

    shape: tuple[int, ...]
    dtype: Any
    weak_type: bool

    def __init__(
        self,
        shape: Any,
        dtype: Any,
        weak_type: bool = False,
        *,
        vma: frozenset[Any] = _nowhere,
        layout: Any = None,
        sharding: Any = None,
        memory_space: Space | None = None,
    ):
        self.shape = shape if type(shape) is tuple else tuple(shape)
        if not isinstance(dtype, (np.dtype, dtypes.ExtendedDType)):
            dtype = np.dtype(dtype)
        self.dtype = dtype
        self.weak_type = weak_type
        self.vma = vma
        if sharding is not None:
            layout = _layout_of(sharding, len(self.shape))
        self.layout = layout
        if memory_space is _DEVICE:
            memory_space = None
        self.memory = memory_space
        if vma or layout is not None or memory_space is not None:
            self._rest: Any = (vma, layout, memory_space)
            self._hash = hash((self.shape, dtype, weak_type, self._rest))
        else:
            self._rest = None  # most types: compared at once
            self._hash = hash((self.shape, dtype, weak_type))
        self._tangent: ShapedArray | None = None

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (
            type(other) is ShapedArray
            and self._hash == other._hash
            and self.shape == other.shape
            and self.dtype == other.dtype
            and self.weak_type == other.weak_type
            and self._rest == other._rest
        )

    def __reduce__(self) -> Any:
        return _rebuild_aval, (self.shape, self.dtype, self.weak_type, self.vma, self.layout, self.memory)

    @property
    def sharding(self) -> Any:
        """How the type says that arrays are laid out over the explicit axes of a mesh."""
        if self.layout is not None:
            return self.layout
        from .mesh import current_context, empty_abstract_mesh
        from .partition_spec import PartitionSpec
        from .sharding import NamedSharding

        mesh = current_context().abstract or empty_abstract_mesh
        return NamedSharding(mesh, PartitionSpec(*[None] * len(self.shape)))

    @property
    def memory_space(self) -> Space:
        """The memory that values of this type are in."""
        return self.memory or _DEVICE

    @property
    def manual_axis_type(self) -> Any:
        """How values vary along manual mesh axes, a `sharding.ManualAxisType`."""
        from .mesh import ManualAxisType

        return ManualAxisType(varying=self.vma)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without dimensions")
        return self.shape[0]

    def update(
        self,
        shape: Any = None,
        dtype: Any = None,
        weak_type: bool | None = None,
        vma: frozenset[Any] | None = None,
        layout: Any = _KEEP,
        memory_space: Space | None = None,
    ) -> ShapedArray:
        """A copy with some fields changed; another shape has no layout, unless it is given."""
        if layout is _KEEP:
            layout = self.layout if shape is None else None
        return ShapedArray(
            self.shape if shape is None else shape,
            self.dtype if dtype is None else dtype,
            self.weak_type if weak_type is None else weak_type,
            vma=self.vma if vma is None else vma,
            layout=layout,
            memory_space=self.memory if memory_space is None else memory_space,
        )

    def strip_weak_type(self) -> ShapedArray:
        return self.update(weak_type=False) if self.weak_type else self

    def to_tangent_aval(self) -> ShapedArray:
        """The same aval for inexact dtypes, float0 for the others."""
        tangent = self._tangent
        if tangent is None:
            inexact = dtypes.issubdtype(self.dtype, np.inexact)
            tangent = self if inexact else self.update(dtype=dtypes.float0, weak_type=False)
            self._tangent = tangent
        return tangent

    def str_short(self, short_dtypes: bool = True) -> str:
        name = dtypes.short_name(self.dtype) if short_dtypes else self.dtype.name
        return name + self._memory_text() + self._shape_text()

    def _memory_text(self) -> str:
        return "" if self.memory is None else f"<{self.memory.name.lower()}>"

    def _shape_text(self) -> str:
        layout = self.layout
        if layout is None:
            return f"[{','.join(map(str, self.shape))}]{_vma_text(self.vma) if self.vma else ''}"
        spec = layout.spec
        sizes = [_split_text(size, axes) for size, axes in zip(self.shape, spec.axes(), strict=True)]
        sets = [(kind, axes) for kind, axes in zip("VUR", (self.vma, spec.unreduced, spec.reduced)) if axes]
        inside = ", ".join(f"{kind}:{_axes_text(sorted(axes, key=str))}" for kind, axes in sets)
        return f"[{','.join(sizes)}]" + (f"{{{inside}}}" if sets else "")

    def __repr__(self) -> str:
        weak = ", weak_type=True" if self.weak_type else ""
        return f"ShapedArray({self.dtype.name}{self._memory_text()}{self._shape_text()}{weak})"

    def __str__(self) -> str:
        return f"{'~' if self.weak_type else ''}{self.str_short(short_dtypes=False)}"


def aval_in(aval: Any, target: Any) -> Any:
    """The type of an array that is put to a sharding, or to a `Space`."""
    space = Space.of(target)
    if space is None or not isinstance(aval, ShapedArray) or aval.memory_space is space:
        return aval
    return aval.update(memory_space=space)


class AbstractToken(AbstractValue):
    """The aval of a token, which orders effects."""

    __slots__ = ()

    def str_short(self, short_dtypes: bool = True) -> str:
        return "Tok"

    def to_tangent_aval(self) -> AbstractValue:
        return self


abstract_token = AbstractToken()

# Concrete types to functions that give their avals. Looked up by exact type first, then along the
# method resolution order, so that subclasses of NumPy scalars and ints work.
_aval_of_type: dict[type, Any] = {}


def register_aval(cls: type, aval_of: Any) -> None:
    """Declares how to find the aval of the values of a Python type."""
    _aval_of_type[cls] = aval_of


_scalar_avals: dict[tuple[type, bool], ShapedArray] = {}


def python_scalar_aval(value: Any) -> ShapedArray:
    """The aval of a bool, int, float or complex: weakly typed, but for bool.

    An int that fits the default integer type in neither width raises OverflowError.
    """
    kind = type(value)
    x64 = dtypes.x64_enabled()
    aval = _scalar_avals.get((kind, x64))
    if aval is None:
        dtype = dtypes.canonicalize_dtype(dtypes.scalar_dtype(value))
        aval = ShapedArray((), dtype, weak_type=not isinstance(value, bool))
        _scalar_avals[(kind, x64)] = aval
    if kind is int and not (-0x80000000 <= value <= 0x7FFFFFFF):
        dtypes.check_int_fits(value, aval.dtype)
    return aval


def _numpy_aval(value: Any) -> ShapedArray:
    dtype = value.dtype
    if dtype.kind == "V" and dtype == dtypes.float0:
        return ShapedArray(value.shape, dtype)
    dtypes.check_valid_dtype(dtype)
    return ShapedArray(value.shape, dtypes.canonicalize_dtype(dtype))


for _cls in (bool, int, float, complex):
    _aval_of_type[_cls] = python_scalar_aval
_aval_of_type[np.ndarray] = _numpy_aval
_aval_of_type[np.generic] = _numpy_aval


def get_aval(value: Any) -> Any:
    """The aval of a concrete value or tracer.

    Raises:
      TypeError: the value is not an array, a tracer, or a number.
      ValueError: a masked array of NumPy's.
    """
    kind = type(value)
    aval_of = _aval_of_type.get(kind)
    if aval_of is not None:
        return aval_of(value)
    if any(base.__name__ == "MaskedArray" for base in kind.__mro__):  # without an import of numpy.ma
        raise ValueError(
            "numpy masked arrays are not supported as inputs, for their masks would be lost. Call filled() on the "
            "array, or pass its data and its mask."
        )
    for base in kind.__mro__[1:]:
        aval_of = _aval_of_type.get(base)
        if aval_of is not None:
            _aval_of_type[kind] = aval_of
            return aval_of(value)
    if hasattr(value, "__jax_array__"):
        return get_aval(value.__jax_array__())
    raise TypeError(
        f"A value of type {kind.__module__}.{kind.__qualname__} is not a valid array type: {value!r:.80}. "
        "Pass an array, a NumPy array or a Python number."
    )


def get_avals(values: Sequence[Any]) -> tuple[Any, ...]:
    """`get_aval` of each value; sooner where all are of one type."""
    kinds = set(map(type, values))
    aval_of = _aval_of_type.get(kinds.pop(), get_aval) if len(kinds) == 1 else get_aval
    return tuple(map(aval_of, values))


def valid_jaxtype(value: Any) -> bool:
    """Whether a value is an array, a tracer or a number, and so may be an operand of a primitive.

    Example:
      >>> from canter.core.avals import valid_jaxtype
      >>> valid_jaxtype(1.0), valid_jaxtype("one")
      (True, False)
    """
    try:
        get_aval(value)
    except TypeError:
        return False
    return True


def typeof(x: Any) -> Any:
    """The type of a value as the tracer sees it: its aval.

    Args:
      x: an array, a tracer, a NumPy array, a number, or a `ShapeDtypeStruct` in the place of one.

    Raises:
      TypeError: the value is none of these.

    Example:
      >>> import canter as ct
      >>> ct.typeof(1.0)
      ShapedArray(float32[], weak_type=True)
    """
    of_struct = getattr(type(x), "_typeof", None)
    return get_aval(x) if of_struct is None else of_struct(x)


def typematch(a: AbstractValue, b: AbstractValue) -> bool:
    """True when two avals are equal but for weak types, and for the manual axes along which they vary."""
    if isinstance(a, ShapedArray) and isinstance(b, ShapedArray):
        return a is b or (
            a.shape == b.shape and a.dtype == b.dtype and a.layout == b.layout and a.memory is b.memory
        )
    return a is b or a == b
