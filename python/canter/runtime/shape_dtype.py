"""`ShapeDtypeStruct`: a shape and a dtype without an array."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.avals import ShapedArray, get_aval
from ..core.trace import references
from ..core.tracing import argument_aval

__all__ = ["ShapeDtypeStruct", "abstract_aval", "struct_of"]

_KEEP: Any = object()


class ShapeDtypeStruct:
    """The type of an array: what `eval_shape` takes and returns, and what `lower` can be called with.

    Args:
      shape: a sequence of ints.
      dtype: a dtype, its name, or a scalar type.
      sharding: where the array would be, or None.
      weak_type: whether the dtype yields in promotion, as that of Python numbers does.

    Raises:
      ValueError: if `dtype` is None.

    >>> import canter as ct
    >>> ct.ShapeDtypeStruct((2, 3), "float32")
    ShapeDtypeStruct(shape=(2, 3), dtype=float32)
    """

    __slots__ = ("__weakref__", "dtype", "shape", "sharding", "weak_type")

    def __init__(self, shape: Any, dtype: Any, *, sharding: Any = None, weak_type: bool = False):
        if dtype is None:
            raise ValueError("ShapeDtypeStruct needs a dtype; got None.")
        try:
            self.shape = tuple(shape)
        except TypeError:
            raise TypeError(
                f"ShapeDtypeStruct takes a sequence as shape; got {shape!r}. Write ({shape!r},)."
            ) from None
        self.dtype = dtype if isinstance(dtype, dtypes.ExtendedDType) else np.dtype(dtype)
        self.sharding = sharding
        self.weak_type = weak_type

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

    def update(
        self, shape: Any = _KEEP, dtype: Any = _KEEP, sharding: Any = _KEEP, weak_type: Any = _KEEP
    ) -> ShapeDtypeStruct:
        """A copy with some fields changed."""
        return ShapeDtypeStruct(
            self.shape if shape is _KEEP else shape,
            self.dtype if dtype is _KEEP else dtype,
            sharding=self.sharding if sharding is _KEEP else sharding,
            weak_type=self.weak_type if weak_type is _KEEP else weak_type,
        )

    def _fields(self) -> tuple[Any, ...]:
        return self.shape, self.dtype, self.sharding, self.weak_type

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ShapeDtypeStruct) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self._fields())

    def __reduce__(self) -> Any:
        return _rebuild, self._fields()

    def __repr__(self) -> str:
        sharding = "" if self.sharding is None else f", sharding={self.sharding}"
        weak = ", weak_type=True" if self.weak_type else ""
        return f"ShapeDtypeStruct(shape={self.shape}, dtype={self.dtype.name}{sharding}{weak})"


def _rebuild(shape: Any, dtype: Any, sharding: Any, weak_type: bool) -> ShapeDtypeStruct:
    return ShapeDtypeStruct(shape, dtype, sharding=sharding, weak_type=weak_type)


def struct_of(aval: Any, sharding: Any = None) -> Any:
    """The ShapeDtypeStruct of an aval; avals that are no arrays are returned as they are."""
    if not isinstance(aval, ShapedArray):
        return aval
    return ShapeDtypeStruct(aval.shape, aval.dtype, sharding=sharding, weak_type=aval.weak_type)


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
    return ShapedArray(tuple(value.shape), dtype, bool(getattr(value, "weak_type", False)))
