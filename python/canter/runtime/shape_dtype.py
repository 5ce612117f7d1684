"""`ShapeDtypeStruct`: a shape and a dtype without an array."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.avals import ShapedArray, get_aval
from ..core.mesh import ManualAxisType, current_context
from ..core.partition_spec import PartitionSpec
from ..core.primitive import Primitive
from ..core.sharding import NamedSharding
from ..core.trace import references
from ..core.tracing import argument_aval
from .layouts import Format, Layout

__all__ = ["ShapeDtypeStruct", "abstract_aval", "struct_of", "structs_of_results", "value_of_struct"]

_FIELDS = ("shape", "dtype", "sharding", "weak_type", "manual_axis_type", "is_ref")


class ShapeDtypeStruct:
    """The type of an array: what `eval_shape` takes and returns, and what `lower` can be called with.

    Args:
      shape: a sequence of ints.
      dtype: a dtype, its name, or a scalar type.
      sharding: where the array would be, or None; a `PartitionSpec` is over the mesh in force; a `layout.Format`
        says how it would lie in memory as well.
      weak_type: whether the dtype yields in promotion, as that of Python numbers does.
      manual_axis_type: a `sharding.ManualAxisType`, which names the manual mesh axes along which the array varies.
      is_ref: whether it is a mutable reference to an array.

    Raises:
      ValueError: if `dtype` is None.
      TypeError: if `shape` is no sequence, `manual_axis_type` of another type, or `sharding` a spec without a mesh.

    >>> import canter as ct
    >>> ct.ShapeDtypeStruct((2, 3), "float32")
    ShapeDtypeStruct(shape=(2, 3), dtype=float32)
    """

    __slots__ = (
        "__weakref__",
        "_layout",
        "dtype",
        "is_ref",
        "manual_axis_type",
        "shape",
        "sharding",
        "weak_type",
    )

    def __init__(
        self,
        shape: Any,
        dtype: Any,
        *,
        sharding: Any = None,
        weak_type: bool = False,
        manual_axis_type: Any = None,
        is_ref: bool = False,
    ):
        if dtype is None:
            raise ValueError("ShapeDtypeStruct needs a dtype; got None.")
        try:
            self.shape = tuple(shape)
        except TypeError:
            raise TypeError(
                f"ShapeDtypeStruct takes a sequence as shape; got {shape!r}. Write ({shape!r},)."
            ) from None
        self.dtype = dtype if isinstance(dtype, dtypes.ExtendedDType) else np.dtype(dtype)
        self._layout = None
        if isinstance(sharding, Format):
            sharding, self._layout = sharding.sharding, sharding.layout
            if isinstance(self._layout, Layout):
                self._layout.check_fits("ShapeDtypeStruct: its sharding", self.shape)
        if isinstance(sharding, PartitionSpec):
            sharding = _over_mesh_in_force(sharding)
        self.sharding = sharding
        self.weak_type = weak_type
        if not (manual_axis_type is None or isinstance(manual_axis_type, ManualAxisType)):
            raise TypeError(
                "ShapeDtypeStruct: manual_axis_type must be a canter.sharding.ManualAxisType, got a "
                f"{type(manual_axis_type).__name__}."
            )
        self.manual_axis_type = manual_axis_type
        self.is_ref = is_ref

    @property
    def format(self) -> Format | None:
        """The layout in memory together with the sharding; None if there is neither."""
        return None if self.sharding is None else Format(self._layout, self.sharding)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a ShapeDtypeStruct without dimensions")
        return self.shape[0]

    def update(self, **changes: Any) -> ShapeDtypeStruct:
        """A copy with some fields changed: shape, dtype, sharding, weak_type, manual_axis_type, is_ref."""
        return _rebuild(**dict(zip(_FIELDS, self._fields(), strict=True)) | changes)

    def _typeof(self) -> Any:
        return abstract_aval(self)

    def _fields(self) -> tuple[Any, ...]:
        where = self.sharding if self._layout is None else Format(self._layout, self.sharding)
        return self.shape, self.dtype, where, self.weak_type, self.manual_axis_type, self.is_ref

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ShapeDtypeStruct) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self._fields())

    def __reduce__(self) -> Any:
        return _rebuild, self._fields()

    def __repr__(self) -> str:
        sharding = "" if self.sharding is None else f", sharding={self.sharding}"
        sharding += "" if self._layout is None else f", format={self._layout}"
        weak = ", weak_type=True" if self.weak_type else ""
        manual = "" if self.manual_axis_type is None else f", manual_axis_type={self.manual_axis_type}"
        ref = ", is_ref=True" if self.is_ref else ""
        return f"ShapeDtypeStruct(shape={self.shape}, dtype={self.dtype.name}{sharding}{weak}{manual}{ref})"


def _rebuild(
    shape: Any, dtype: Any, sharding: Any, weak_type: bool, manual_axis_type: Any, is_ref: bool
) -> Any:
    return ShapeDtypeStruct(
        shape, dtype, sharding=sharding, weak_type=weak_type, manual_axis_type=manual_axis_type, is_ref=is_ref
    )


def _over_mesh_in_force(spec: PartitionSpec) -> NamedSharding:
    mesh = current_context().concrete or current_context().abstract
    if mesh is None:
        raise TypeError(
            f"ShapeDtypeStruct: the spec {spec} needs a mesh, and none is in force. Set one with "
            f"canter.set_mesh(mesh), or give NamedSharding(mesh, {spec})."
        )
    return NamedSharding(mesh, spec)


def struct_of(aval: Any, sharding: Any = None) -> Any:
    """The ShapeDtypeStruct of an aval; avals that are no arrays are returned as they are."""
    if not isinstance(aval, ShapedArray):
        return aval
    return ShapeDtypeStruct(aval.shape, aval.dtype, sharding=sharding, weak_type=aval.weak_type)


def structs_of_results(avals: Sequence[Any], asked: Sequence[Any] | None = None) -> list[Any]:
    """The ShapeDtypeStruct of each result: with the sharding that was asked for, else the one of its type."""
    chosen = (None,) * len(avals) if asked is None else asked
    pairs = zip(avals, chosen, strict=True)
    return [
        struct_of(aval, getattr(aval, "layout", None) if where is None else where) for aval, where in pairs
    ]


def abstract_aval(value: Any) -> Any:
    """The aval of an array, number or tracer, or of anything that has a shape and a dtype.

    Raises:
      TypeError: the value has no shape and dtype, or not those of an array.
    """
    if not isinstance(value, ShapeDtypeStruct):
        try:
            return argument_aval(value) if references.in_use else get_aval(value)
        except TypeError:
            if isinstance(value, (np.ndarray, np.generic)):
                raise
            if not (hasattr(value, "shape") and hasattr(value, "dtype")):
                raise
    dtype = value.dtype
    if not isinstance(dtype, dtypes.ExtendedDType):
        dtype = dtypes.canonicalize_dtype(dtype)
    aval = ShapedArray(tuple(value.shape), dtype, bool(getattr(value, "weak_type", False)))
    sharding = getattr(value, "sharding", None)
    if isinstance(sharding, NamedSharding):
        from ..core.explicit import typed

        aval = typed(aval, sharding)
    if isinstance(value, ShapeDtypeStruct):
        if value.manual_axis_type is not None:
            aval = aval.update(vma=frozenset(value.manual_axis_type.varying))
        if value.is_ref:
            from ..core.state import AbstractRef

            return AbstractRef(aval)
    return aval


# A value that is only known by its type: programs with one can be traced, as by `eval_shape`, and not lowered.
_value_of_struct_p = Primitive("value_of_struct")
_value_of_struct_p.def_abstract_eval(lambda *, struct: struct)


def value_of_struct(struct: ShapeDtypeStruct) -> Any:
    """What stands for an array of which there is only the type, in a function that is traced."""
    return _value_of_struct_p.bind(struct=abstract_aval(struct))
