"""Modules as plain Python data: what an interpreter walks without touching MLIR.

`read` turns an MLIR module into a `Module` of `Function`s, whose `Block`s hold `Operation`s over `Value`s.
Attributes become numbers, strings, tuples, dicts and NumPy arrays; enumerations become their names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import ml_dtypes
import numpy as np

from .mlir_door import ir, sdy_attributes as sdy, stablehlo_attributes as hlo

__all__ = [
    "Block",
    "Function",
    "Layout",
    "MeshShape",
    "Module",
    "Operation",
    "TensorType",
    "TokenType",
    "TupleType",
    "Value",
    "read",
]


# --- types ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TensorType:
    """An array type; a dimension of None is known at run time only, with its bound if it has one."""

    shape: tuple[int | None, ...]
    dtype: np.dtype
    bounds: tuple[int | None, ...] = ()

    @property
    def static(self) -> bool:
        return None not in self.shape

    def __str__(self) -> str:
        return f"{self.dtype.name}[{','.join('?' if d is None else str(d) for d in self.shape)}]"


@dataclass(frozen=True, slots=True)
class TokenType:
    """The type of what only orders effects."""


@dataclass(frozen=True, slots=True)
class TupleType:
    """A tuple of types."""

    elements: tuple[Any, ...]


def _integer_dtypes() -> dict[str, np.dtype]:
    found = {"i1": np.dtype(bool), "index": np.dtype(np.int64)}
    for width in (8, 16, 32, 64):
        found[f"i{width}"] = found[f"si{width}"] = np.dtype(f"int{width}")
        found[f"ui{width}"] = np.dtype(f"uint{width}")
    for width in (2, 4):
        for mlir, name in ((f"i{width}", f"int{width}"), (f"ui{width}", f"uint{width}")):
            if hasattr(ml_dtypes, name):
                found[mlir] = np.dtype(getattr(ml_dtypes, name))
    return found


def _float_dtypes() -> dict[str, np.dtype]:
    found = {f"f{width}": np.dtype(f"float{width}") for width in (16, 32, 64)}
    found["bf16"] = np.dtype(ml_dtypes.bfloat16)
    for name in dir(ml_dtypes):
        if match := re.fullmatch(r"float([468])_(e\d+m\d+\w*)", name):
            found[f"f{match[1]}{match[2].upper()}"] = np.dtype(getattr(ml_dtypes, name))
    return found


_DTYPES = {
    **_integer_dtypes(),
    **_float_dtypes(),
    "complex<f32>": np.dtype(np.complex64),
    "complex<f64>": np.dtype(np.complex128),
}


def _dtype(kind: Any) -> np.dtype:
    name = str(kind)
    if name not in _DTYPES:
        raise NotImplementedError(f"Canter has no arrays with elements of the type {name}.")
    return _DTYPES[name]


def _type(kind: Any) -> Any:
    text = str(kind)
    if text.startswith(("tensor<", "memref<")):
        shaped = ir.RankedTensorType(kind)
        shape = tuple(
            None if shaped.is_dynamic_dim(d) else shaped.get_dim_size(d) for d in range(shaped.rank)
        )
        bounds: tuple[int | None, ...] = ()
        if match := re.search(r"#stablehlo\.bounds<([^>]*)>", text):
            bounds = tuple(None if b.strip() == "?" else int(b) for b in match[1].split(","))
        return TensorType(shape, _dtype(shaped.element_type), bounds)
    if text.startswith("tuple<"):
        pair = ir.TupleType(kind)
        return TupleType(tuple(_type(pair.get_type(i)) for i in range(pair.num_types)))
    if text.endswith("token"):
        return TokenType()
    return TensorType((), _dtype(kind))  # a bare number, of arith or shape


# --- programs -------------------------------------------------------------------------------------


class Value:
    """What an operation gives, or an argument."""

    __slots__ = ("operation", "type")

    def __init__(self, kind: Any, operation: Operation | None = None):
        self.type = kind
        self.operation = operation


@dataclass(slots=True, eq=False)
class Block:
    """A straight line of operations with arguments and results: the body of a function or region."""

    arguments: tuple[Value, ...]
    operations: list[Operation] = field(default_factory=list)
    results: tuple[Value, ...] = ()

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations)


@dataclass(slots=True, eq=False)
class Operation:
    """One operation.

    Attributes:
      name: with the dialect: "stablehlo.add".
      attributes: by name, as plain values.
      number: its place in its function.
    """

    name: str
    operands: tuple[Value, ...]
    attributes: dict[str, Any]
    results: tuple[Value, ...] = ()
    regions: tuple[Block, ...] = ()
    function: str = ""
    number: int = 0
    location: Any = None

    def where(self) -> str:
        """Its place in the module, and in the user's source where the module says so."""
        place = f"operation {self.number} of @{self.function}"
        found = re.findall(r'"([^"]+)":(\d+)', str(self.location))
        return f"{place}, from {found[0][0]}:{found[0][1]}" if found else place


@dataclass(slots=True, eq=False)
class Function:
    """A function of a module."""

    name: str
    body: Block
    public: bool
    argument_names: tuple[str, ...]
    argument_attributes: tuple[dict[str, Any], ...]
    result_attributes: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class MeshShape:
    """A mesh as a module declares it: names and sizes of axes, and the order of the devices."""

    axes: tuple[tuple[str, int], ...]
    device_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """How a value is laid out: the axes of a mesh that split each dimension.

    Attributes:
      mesh: the symbol of the mesh, or the mesh.
      dims: the axes for each dimension; None where only a part of an axis is used.
      open: which dimensions may be split further.
    """

    mesh: str | MeshShape
    dims: tuple[tuple[str, ...] | None, ...]
    open: tuple[bool, ...]
    unreduced: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Module:
    """A module: its functions by name, and what else it declares."""

    name: str
    functions: dict[str, Function]
    meshes: dict[str, MeshShape]
    attributes: dict[str, Any]

    def operations(self) -> Iterator[Operation]:
        """All operations, those of regions after the one that holds them."""
        pending = [function.body for function in self.functions.values()]
        while pending:
            for operation in pending.pop():
                yield operation
                pending.extend(operation.regions)


# --- attributes -----------------------------------------------------------------------------------


def _mesh(attribute: Any) -> MeshShape:
    mesh = sdy.MeshAttr(attribute)
    axes = tuple((axis.name, axis.size) for axis in map(sdy.MeshAxisAttr, mesh.axes))
    return MeshShape(axes, tuple(mesh.device_ids))


def _layout(attribute: Any) -> Layout:
    layout = sdy.TensorShardingAttr(attribute)
    dims, free = [], []
    for dim in map(sdy.DimensionShardingAttr, layout.dimension_shardings):
        axes = [sdy.AxisRefAttr(axis) for axis in dim.axes]
        whole = all(axis.sub_axis_info is None for axis in axes)
        dims.append(tuple(axis.name for axis in axes) if whole else None)
        free.append(not dim.is_closed)
    name = str(layout.mesh_or_ref)
    mesh = name.removeprefix("@") if name.startswith("@") else _mesh(layout.mesh_or_ref)
    unreduced = tuple(sdy.AxisRefAttr(axis).name for axis in layout.unreduced_axes)
    return Layout(mesh, tuple(dims), tuple(free), unreduced)


def _layouts(attribute: Any) -> tuple[Layout, ...]:
    return tuple(map(_layout, sdy.TensorShardingPerValueAttr(attribute).shardings))


def _fields(build: Any, names: str) -> Callable[[Any], dict[str, Any]]:
    """A reader of an attribute's fields, into a dict."""

    def read_fields(attribute: Any) -> dict[str, Any]:
        typed = build(attribute)
        found = {name: getattr(typed, name) for name in names.split()}
        return {name: tuple(v) if isinstance(v, list) else v for name, v in found.items()}

    return read_fields


def _algorithm(attribute: Any) -> dict[str, Any]:
    """A dot algorithm, from its text: the bindings give MLIR types."""
    return dict(part.split(" = ") for part in re.split(r", (?=\w+ =)", str(attribute)[1:-1].split("<", 1)[1]))


# The dialects' own attributes by the start of their text, which is how the bindings tell them apart too.
_STRUCTURES: dict[str, Callable[[Any], Any]] = {
    "#stablehlo.dot": _fields(
        hlo.DotDimensionNumbers,
        "lhs_batching_dimensions rhs_batching_dimensions lhs_contracting_dimensions rhs_contracting_dimensions",
    ),
    "#stablehlo.dot_algorithm": lambda attribute: str(attribute),
    "#stablehlo.conv": _fields(
        hlo.ConvDimensionNumbers,
        "input_batch_dimension input_feature_dimension input_spatial_dimensions kernel_input_feature_dimension "
        "kernel_output_feature_dimension kernel_spatial_dimensions output_batch_dimension "
        "output_feature_dimension output_spatial_dimensions",
    ),
    "#stablehlo.gather": _fields(
        hlo.GatherDimensionNumbers,
        "offset_dims collapsed_slice_dims operand_batching_dims start_indices_batching_dims start_index_map "
        "index_vector_dim",
    ),
    "#stablehlo.scatter": _fields(
        hlo.ScatterDimensionNumbers,
        "update_window_dims inserted_window_dims input_batching_dims scatter_indices_batching_dims "
        "scattered_dims_to_operand_dims index_vector_dim",
    ),
    "#stablehlo.channel_handle": _fields(hlo.ChannelHandle, "handle channel_type"),
    "#sdy.sharding": _layout,
    "#sdy.sharding_per_value": _layouts,
    "#sdy.mesh": _mesh,
    "#sdy.manual_axes": lambda attribute: tuple(re.findall(r'"([^"]*)"', str(attribute))),
}

_BUILTIN: dict[str, Callable[[Any], Any]] = {
    "BoolAttr": lambda a: bool(a.value),
    "IntegerAttr": lambda a: int(a.value),
    "FloatAttr": lambda a: float(a.value),
    "StringAttr": lambda a: str(a.value),
    "FlatSymbolRefAttr": lambda a: str(a.value),
    "SymbolRefAttr": lambda a: ".".join(a.value),
    "UnitAttr": lambda a: True,
    "TypeAttr": lambda a: str(a.value),
    "ArrayAttr": lambda a: tuple(map(_attribute, a)),
    "DictAttr": lambda a: {name: _attribute(value) for name, value in _items(a)},
}


def _items(attributes: Any) -> Iterator[tuple[str, Any]]:
    """Names and attributes of a dictionary, which the versions of the bindings iterate differently."""
    for entry in attributes:
        name = entry if isinstance(entry, str) else entry.name
        try:
            yield name, attributes[name]
        except TypeError:  # an attribute that the bindings have no class for: complex elements
            yield name, None


def _attribute(attribute: Any) -> Any:
    kind = type(attribute).__name__
    if kind in _BUILTIN:
        return _BUILTIN[kind](attribute)
    if kind.endswith("ArrayAttr"):  # of i64, i32, bool, …
        return tuple(attribute)
    if kind.endswith("ElementsAttr"):
        return _elements(attribute)
    text = str(attribute)
    if text.startswith("dense"):
        return _printed_elements(text)
    if enumeration := re.fullmatch(r"#\w+<\w+ (\w+)>", text):
        return enumeration[1]
    head, _, rest = text.partition("<")
    if head.count(".") == 0:  # "#sdy<manual_axes{…}>" is the same as "#sdy.manual_axes<{…}>"
        head = f"{head}.{re.split(r'[^A-Za-z_]', rest, maxsplit=1)[0]}"
    structure = _STRUCTURES.get(head)
    return text if structure is None else structure(attribute)


def _elements(attribute: Any, text: str | None = None) -> np.ndarray:
    """The array of a dense attribute; one value repeated takes the memory of one."""
    if attribute is not None:
        kind = _type(attribute.type)
        text = str(attribute) if not hasattr(attribute, "is_splat") else None
        try:
            view = np.asarray(attribute)
        except (TypeError, ValueError, BufferError):
            text = str(attribute)
        if text is None:
            if attribute.is_splat and view.size:
                return np.broadcast_to(view.ravel()[0].astype(kind.dtype), kind.shape)
            return np.array(view, dtype=kind.dtype)
    assert text is not None
    return _printed_elements(text)


def _printed_elements(text: str) -> np.ndarray:
    """The array that MLIR prints as `dense<…> : tensor<…>`."""
    found = re.search(r"dense<(.*)>\s*:\s*tensor<((?:\d+x)*)(.*)>", text, re.DOTALL)
    if found is None:
        raise NotImplementedError(f"A constant whose elements are not in the module itself: {text[:80]}")
    shape, dtype = tuple(map(int, found[2].split("x")[:-1])), _DTYPES[found[3]]
    body = found[1].strip()
    if body.startswith('"0x'):
        flat = np.frombuffer(bytes.fromhex(body[3:-1]), dtype)
    elif dtype.kind == "c":
        part = np.dtype(f"float{dtype.itemsize * 4}")
        pairs = re.findall(r"\(([^,]+),([^)]+)\)", body)
        flat = np.array([[_number(x, part) for x in pair] for pair in pairs], part).view(dtype).reshape(-1)
    else:
        flat = np.array([_number(word, dtype) for word in re.findall(r"[^\s,\[\]]+", body)], dtype)
    return np.broadcast_to(flat[0], shape) if flat.size == 1 else flat.reshape(shape)


def _number(word: str, dtype: np.dtype) -> Any:
    word = word.strip()
    if word in ("true", "false"):
        return dtype.type(word == "true")
    if word.lower().startswith("0x"):  # the bits of a float that has no decimal form
        return np.array(int(word, 16), f"uint{8 * dtype.itemsize}").view(dtype)[()]
    return dtype.type(int(word) if dtype.name.lstrip("u").startswith("int") else float(word))


# --- reading --------------------------------------------------------------------------------------


def _resources(module: Any) -> dict[str, bytes]:
    """What `dense_resource` attributes refer to: the printed module has it at its end, after an alignment."""
    text = module.operation.get_asm()
    _, _, section = text.rpartition("dialect_resources:")
    pairs = re.findall(r'([\w.$-]+|"[^"]+"): "0x([0-9A-Fa-f]+)"', section)
    return {name.strip('"'): bytes.fromhex(digits)[4:] for name, digits in pairs}


class _Reader:
    """Reads one function."""

    def __init__(self, function: str, resources: Callable[[], dict[str, bytes]]):
        self.function = function
        self.resources = resources
        self.values: dict[Any, Value] = {}
        self.count = 0

    def block(self, region: Any) -> Block:
        blocks = list(region.blocks)
        if len(blocks) != 1:
            raise NotImplementedError(
                f"@{self.function} has a region of {len(blocks)} blocks; StableHLO's have one. Lower control flow "
                "of the cf dialect to stablehlo first."
            )
        arguments = tuple(self._define(argument) for argument in blocks[0].arguments)
        block = Block(arguments)
        for wrapped in blocks[0].operations:
            operation = wrapped.operation
            if operation.name.rsplit(".", 1)[1] in ("return", "yield"):
                block.results = tuple(self.values[value] for value in operation.operands)
            else:
                block.operations.append(self.operation(operation))
        return block

    def operation(self, raw: Any) -> Operation:
        name = raw.name
        attributes = dict(_items(raw.attributes))
        if name in ("stablehlo.constant", "arith.constant"):
            attributes = {"value": self.constant(attributes["value"], raw)}
        else:
            attributes = {key: _attribute(value) for key, value in attributes.items()}
        operands = tuple(self.values[value] for value in raw.operands)
        self.count += 1
        made = Operation(
            name, operands, attributes, function=self.function, number=self.count, location=raw.location
        )
        made.regions = tuple(map(self.block, raw.regions))
        made.results = tuple(self._define(result, made) for result in raw.results)
        return made

    def constant(self, value: Any, raw: Any) -> Any:
        """The array or number of a constant."""
        found = re.match(r'dense_resource<"?([^>"]+)"?>', str(value)) if value is not None else None
        if found is not None:
            kind, data = _type(raw.results[0].type), self.resources()
            if found[1] not in data:
                raise NotImplementedError(
                    f"The elements of the constant {found[1]} are not in the module itself."
                )
            return np.frombuffer(data[found[1]], kind.dtype).reshape(kind.shape)
        if value is not None and not str(value).startswith("dense"):
            return _attribute(value)
        return _elements(value, raw.get_asm() if value is None else None)

    def _define(self, value: Any, operation: Operation | None = None) -> Value:
        made = self.values[value] = Value(_type(value.type), operation)
        return made


def _argument_name(value: Any, number: int) -> str:
    """The name that the location of an argument gives it."""
    found = re.match(r'loc\("([^"]+)"[()]', str(value.location))
    return found[1] if found else f"arg{number}"


def _per_value(operation: Any, name: str, count: int) -> tuple[dict[str, Any], ...]:
    if name not in operation.attributes:
        return ({},) * count
    return tuple(_attribute(entry) for entry in operation.attributes[name])


def _function(operation: Any, resources: Callable[[], dict[str, bytes]]) -> Function:
    name = str(operation.attributes["sym_name"].value)
    body = _Reader(name, resources).block(operation.regions[0])
    arguments = operation.regions[0].blocks[0].arguments
    visibility = (
        operation.attributes["sym_visibility"].value if "sym_visibility" in operation.attributes else ""
    )
    return Function(
        name,
        body,
        visibility != "private",
        tuple(_argument_name(value, i) for i, value in enumerate(arguments)),
        _per_value(operation, "arg_attrs", len(body.arguments)),
        _per_value(operation, "res_attrs", len(body.results)),
    )


def read(module: Any) -> Module:
    """An MLIR module as plain data.

    Raises:
      NotImplementedError: it has types or control flow that StableHLO does not have.

    Example:
      >>> from canter_mlir import portable, reading
      >>> text = "func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> { return %x : tensor<2xf32> }"
      >>> print(reading.read(portable.parse_module(text)).functions["main"].body.arguments[0].type)
      float32[2]
    """
    functions, meshes = {}, {}
    resources = cache(lambda: _resources(module))
    with module.context:
        for wrapped in module.body.operations:
            operation = wrapped.operation
            if operation.name == "func.func":
                function = _function(operation, resources)
                functions[function.name] = function
            elif operation.name == "sdy.mesh":
                meshes[str(operation.attributes["sym_name"].value)] = _mesh(operation.attributes["mesh"])
            else:
                raise NotImplementedError(
                    f"A module with '{operation.name}' at its top is not StableHLO alone."
                )
        attributes = {name: _attribute(value) for name, value in _items(module.operation.attributes)}
    return Module(str(attributes.get("sym_name", "")), functions, meshes, attributes)
