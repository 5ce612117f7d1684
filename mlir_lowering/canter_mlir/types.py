"""Avals as MLIR types, constants and parameters as MLIR attributes.

A `TypeTable` belongs to one MLIR context and builds each type and attribute once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from canter.core import dtypes
from canter.core.avals import AbstractToken, ShapedArray
from canter.core.dimensions import is_symbolic_dim
from canter.core.number_keys import value_key

from .mlir_door import ir, stablehlo_attributes
from .registry import ir_type_handlers

__all__ = [
    "SymbolicInts",
    "TypeTable",
    "compare_type_name",
    "element_shape",
    "physical_aval",
    "physical_dtype",
]


def _integer(width: int) -> Callable[[], Any]:
    return lambda: ir.IntegerType.get_signless(width)


def _unsigned(width: int) -> Callable[[], Any]:
    return lambda: ir.IntegerType.get_unsigned(width)


# Signed integers are signless in StableHLO, bool is i1. float0 has no values; it travels as bool.
_ELEMENT_TYPES: dict[Any, Callable[[], Any]] = {
    np.dtype(np.bool_): _integer(1),
    np.dtype(np.int8): _integer(8),
    np.dtype(np.int16): _integer(16),
    np.dtype(np.int32): _integer(32),
    np.dtype(np.int64): _integer(64),
    np.dtype(np.uint8): _unsigned(8),
    np.dtype(np.uint16): _unsigned(16),
    np.dtype(np.uint32): _unsigned(32),
    np.dtype(np.uint64): _unsigned(64),
    np.dtype(np.float16): lambda: ir.F16Type.get(),
    np.dtype(np.float32): lambda: ir.F32Type.get(),
    np.dtype(np.float64): lambda: ir.F64Type.get(),
    np.dtype(np.complex64): lambda: ir.ComplexType.get(ir.F32Type.get()),
    np.dtype(np.complex128): lambda: ir.ComplexType.get(ir.F64Type.get()),
    dtypes.float0: _integer(1),
}

# Types that only ml_dtypes has. Older releases of it and of jaxlib lack some.
_ML_ELEMENT_TYPES = {
    "bfloat16": lambda: ir.BF16Type.get(),
    "float4_e2m1fn": lambda: ir.Float4E2M1FNType.get(),
    "float6_e2m3fn": lambda: ir.Float6E2M3FNType.get(),
    "float6_e3m2fn": lambda: ir.Float6E3M2FNType.get(),
    "float8_e3m4": lambda: ir.Float8E3M4Type.get(),
    "float8_e4m3": lambda: ir.Float8E4M3Type.get(),
    "float8_e4m3b11fnuz": lambda: ir.Float8E4M3B11FNUZType.get(),
    "float8_e4m3fn": lambda: ir.Float8E4M3FNType.get(),
    "float8_e4m3fnuz": lambda: ir.Float8E4M3FNUZType.get(),
    "float8_e5m2": lambda: ir.Float8E5M2Type.get(),
    "float8_e5m2fnuz": lambda: ir.Float8E5M2FNUZType.get(),
    "float8_e8m0fnu": lambda: ir.Float8E8M0FNUType.get(),
    "int2": _integer(2),
    "int4": _integer(4),
    "uint2": _unsigned(2),
    "uint4": _unsigned(4),
}
for _name, _build in _ML_ELEMENT_TYPES.items():
    if hasattr(ml_dtypes, _name):
        _ELEMENT_TYPES[np.dtype(getattr(ml_dtypes, _name))] = _build


def physical_dtype(dtype: Any) -> np.dtype:
    """The NumPy dtype that holds values of a dtype on a device: that of keys is uint32."""
    if isinstance(dtype, dtypes.ExtendedDType):
        return np.dtype(dtype.physical_dtype)
    return dtype


def element_shape(dtype: Any) -> tuple[int, ...]:
    """The trailing dimensions that one element of an extended dtype takes; () for plain dtypes."""
    if isinstance(dtype, dtypes.ExtendedDType):
        return tuple(dtype.physical_element_shape)
    return ()


def physical_aval(aval: Any) -> Any:
    """The aval of the plain array that holds an array of an extended dtype.

    Example:
      >>> from canter.core.avals import ShapedArray
      >>> from canter_mlir.types import physical_aval
      >>> physical_aval(ShapedArray((2,), "float32"))
      ShapedArray(float32[2])
    """
    if type(aval) is ShapedArray and isinstance(aval.dtype, dtypes.ExtendedDType):
        return ShapedArray(aval.shape + element_shape(aval.dtype), physical_dtype(aval.dtype))
    return aval


def compare_type_name(dtype: Any) -> str:
    """How StableHLO compares elements of a dtype: FLOAT, SIGNED or UNSIGNED."""
    if dtype.kind in "bu" or dtype.name.startswith("uint"):
        return "UNSIGNED"
    return "SIGNED" if dtype.kind == "i" or dtype.name.startswith("int") else "FLOAT"


class SymbolicInts(NamedTuple):
    """Stands for an attribute of integers of which some are symbolic; `canter_mlir.dynamic` makes operands of it."""

    values: tuple[Any, ...]


class TypeTable:
    """Types and attributes of one MLIR context, each built once. Use inside `with context`.

    Example:
      >>> from canter.core.avals import ShapedArray
      >>> from canter_mlir import mlir_door
      >>> from canter_mlir.types import TypeTable
      >>> with mlir_door.new_context() as context, mlir_door.ir.Location.unknown():
      ...     print(TypeTable().of(ShapedArray((2, 3), "float32")))
      tensor<2x3xf32>
    """

    def __init__(self) -> None:
        # (shape, dtype) -> type. Avals themselves would be slower keys: their hash and equality are
        # methods in Python.
        self.known: dict[Any, Any] = {}
        self._elements: dict[Any, Any] = {}
        self._attributes: dict[Any, Any] = {}
        self._scalars: dict[Any, Any] = {}

    # Types

    def of(self, aval: Any) -> Any:
        """The MLIR type of values of an aval."""
        try:
            found = self.known.get((aval.shape, aval.dtype))
        except AttributeError:
            return self._of_other(aval)
        if found is None:
            dtype = aval.dtype
            found = self.tensor(tuple(aval.shape) + element_shape(dtype), physical_dtype(dtype))
            self.known[aval.shape, dtype] = found
        return found

    def _of_other(self, aval: Any) -> Any:
        if isinstance(aval, ir.Type):
            return aval
        if isinstance(aval, AbstractToken):
            return self.token()
        handler = ir_type_handlers.get(type(aval))
        if handler is not None:
            return handler(aval)
        raise TypeError(f"A value of type {aval} cannot be lowered: only arrays and tokens can.")

    def token(self) -> Any:
        """The type of tokens."""
        return self._memo("token", stablehlo_attributes.TokenType.get)

    def tensor(self, shape: Sequence[int], dtype: Any) -> Any:
        """The type of arrays of a shape and a plain dtype."""
        key = tuple(shape), dtype
        found = self.known.get(key)
        if found is None:
            try:
                found = ir.RankedTensorType.get(list(shape), self.element(dtype))
            except TypeError:
                if not any(map(is_symbolic_dim, shape)):
                    raise
                unknown = ir.ShapedType.get_dynamic_size()
                sizes = [unknown if is_symbolic_dim(size) else size for size in shape]
                found = ir.RankedTensorType.get(sizes, self.element(dtype))
            self.known[key] = found
        return found

    def element(self, dtype: Any) -> Any:
        """The element type of a plain dtype.

        Raises:
          TypeError: MLIR has no such type.
        """
        found = self._elements.get(dtype)
        if found is None:
            build = _ELEMENT_TYPES.get(dtype)
            if build is None:
                raise TypeError(f"Arrays of dtype {dtype} cannot be compiled: XLA has no such element type.")
            found = self._elements[dtype] = build()
        return found

    # Attributes

    def _memo(self, key: Any, build: Callable[[], Any]) -> Any:
        found = self._attributes.get(key)
        if found is None:
            found = self._attributes[key] = build()
        return found

    def ints(self, values: Sequence[int]) -> Any:
        """An array of 64-bit integers: `array<i64: 0, 1>`."""
        values = tuple(values)
        found = self._attributes.get(values)
        if found is None:
            if any(map(is_symbolic_dim, values)):
                return SymbolicInts(values)
            found = self._attributes[values] = ir.DenseI64ArrayAttr.get(list(map(int, values)))
        return found

    def named_ints(self, name: str, values: Sequence[int]) -> dict[str, Any]:
        """A dictionary of one attribute, an array of integers. It is shared: do not change it."""
        key = name, tuple(values)
        found = self._attributes.get(key)
        if found is None:
            found = self._attributes[key] = {name: self.ints(values)}
        return found

    def bools(self, values: Sequence[bool]) -> Any:
        """An array of booleans: `array<i1: true>`."""
        values = tuple(values)
        return self._memo(("bools", values), lambda: ir.DenseBoolArrayAttr.get(list(map(bool, values))))

    def boolean(self, value: bool) -> Any:
        """A boolean."""
        return self._memo(("bool", bool(value)), lambda: ir.BoolAttr.get(bool(value)))

    def integer(self, value: int, width: int = 64) -> Any:
        """A signless integer of a width in bits."""
        return self._memo(
            ("integer", value, width),
            lambda: ir.IntegerAttr.get(ir.IntegerType.get_signless(width), int(value)),
        )

    def unsigned(self, value: int, width: int = 8) -> Any:
        """An unsigned integer of a width in bits."""
        return self._memo(
            ("unsigned", value, width),
            lambda: ir.IntegerAttr.get(ir.IntegerType.get_unsigned(width), int(value)),
        )

    def string(self, value: str) -> Any:
        """A string."""
        return self._memo(("string", value), lambda: ir.StringAttr.get(value))

    def symbol(self, name: str) -> Any:
        """A reference to a function of the module."""
        return self._memo(("symbol", name), lambda: ir.FlatSymbolRefAttr.get(name))

    def parsed(self, text: str) -> Any:
        """The attribute that a piece of MLIR text denotes."""
        return self._memo(("parsed", text), lambda: ir.Attribute.parse(text))

    def matrix(self, rows: Sequence[Sequence[int]]) -> Any:
        """A dense attribute of 64-bit integers, such as the padding of a window."""
        rows = tuple(map(tuple, rows))
        if any(is_symbolic_dim(number) for row in rows for number in row):
            return SymbolicInts(rows)

        def build() -> Any:
            array = np.asarray(rows, np.int64).reshape(len(rows), -1 if rows else 2)
            kind = ir.RankedTensorType.get(list(array.shape), ir.IntegerType.get_signless(64))
            return ir.DenseIntElementsAttr.get(array, type=kind)

        return self._memo(("matrix", rows), build)

    def compare(self, direction: str, kind: str) -> dict[str, Any]:
        """The attributes of `stablehlo.compare`. The dictionary is shared: do not change it."""
        return self._memo(
            ("compare", direction, kind),
            lambda: {
                "comparison_direction": stablehlo_attributes.ComparisonDirectionAttr.get(direction),
                "compare_type": stablehlo_attributes.ComparisonTypeAttr.get(kind),
            },
        )

    def accuracy(self, value: Any) -> Any:
        """The attribute for a `lax.Tolerance` or a `lax.AccuracyMode`."""
        get = stablehlo_attributes.ResultAccuracyAttr.get
        mode = getattr(value, "name", None)
        if mode is not None:
            return get(0.0, 0.0, 0, mode)
        return get(float(value.atol), float(value.rtol), int(value.ulps), "TOLERANCE")

    # Constants

    def scalar(self, value: Any, dtype: Any) -> Any:
        """The attribute of one number, as an array without dimensions of a plain dtype."""
        key = value_key(value), dtype
        found = self._scalars.get(key)
        if found is None:
            found = self._scalars[key] = self.dense(np.asarray(value).astype(dtype))
        return found

    def dense(self, array: Any) -> Any:
        """The attribute that holds all elements of a NumPy array, or one if they are all the same bits."""
        array = np.asarray(array)
        if array.dtype == dtypes.float0:
            array = np.zeros(array.shape, np.bool_)
        kind = ir.RankedTensorType.get(list(array.shape), self.element(array.dtype))
        # The bindings know no uniform complex arrays.
        if (
            array.size > 1
            and array.dtype.kind != "c"
            and (array.strides == (0,) * array.ndim or _is_uniform(array))
        ):
            one = np.ascontiguousarray(array[(slice(0, 1),) * array.ndim]).reshape(())
            return ir.DenseElementsAttr.get_splat(kind, _element_attribute(self, one))
        return ir.DenseElementsAttr.get(_bits(np.ascontiguousarray(array).reshape(array.shape)), type=kind)


def _bits(array: np.ndarray) -> np.ndarray:
    """The array under a dtype that the buffer protocol knows."""
    if array.dtype.kind in "biufc" and array.dtype.isbuiltin == 1:
        return array
    return array.view({1: np.uint8, 2: np.uint16}[array.dtype.itemsize])


def _is_uniform(array: np.ndarray) -> bool:
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(array.size, -1)
    return bool((flat == flat[0]).all())


def _element_attribute(table: TypeTable, one: np.ndarray) -> Any:
    """The attribute of one element, taken out of a dense attribute of one element."""
    kind = ir.RankedTensorType.get([], table.element(one.dtype))
    return ir.DenseElementsAttr.get(_bits(one), type=kind).get_splat_value()
