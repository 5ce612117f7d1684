"""Operations on arrays of which some dimensions are symbolic.

Rules emit the operations that they emit for known shapes. In a module with dimension variables an operation whose
attributes name sizes becomes the variant of StableHLO that takes them as operands, here, in one table; XLA sees none of
these, because the shapes are filled in before it compiles (`refined` of `canter_mlir.refinement`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from canter.core.avals import ShapedArray
from canter.core.dimensions import has_symbols, is_symbolic_dim

from .mlir_door import ir
from .types import SymbolicInts, physical_aval

if TYPE_CHECKING:
    from .context import ModuleContext

__all__ = ["dimension_value", "emit", "size_vector"]

_create = ir.Operation.create
_SIZE = ShapedArray((), np.dtype(np.int32))  # what get_dimension_size gives


# Sizes as values


class _Sizes:
    """Arithmetic on sizes as MLIR values, for `DimExpr.evaluate`."""

    def __init__(self, module: ModuleContext, value: Any, location: Any):
        self.module, self.value, self.location = module, value, location

    def _other(self, other: Any) -> Any:
        if isinstance(other, _Sizes):
            return other.value
        return self.module.constant(int(other), _SIZE.dtype, self.location)

    def _binary(self, name: str, other: Any) -> _Sizes:
        kind = self.module.types.of(_SIZE)
        operands = (self.value, self._other(other))
        return _Sizes(self.module, _create(name, (kind,), operands, loc=self.location).result, self.location)

    def __add__(self, other: Any) -> _Sizes:
        return self._binary("stablehlo.add", other)

    def __mul__(self, other: Any) -> _Sizes:
        return self._binary("stablehlo.multiply", other)

    __radd__, __rmul__ = __add__, __mul__

    def remainder(self, other: Any) -> _Sizes:
        """The remainder that has the sign of the divisor."""
        rest = self._binary("stablehlo.remainder", other)
        shifted = rest + other
        return _Sizes(self.module, shifted._binary("stablehlo.remainder", other).value, self.location)

    def floordiv(self, other: Any) -> _Sizes:
        """The quotient, rounded down: what is left after the remainder divides without a rest."""
        rest = self.remainder(other)
        return self._binary("stablehlo.subtract", rest)._binary("stablehlo.divide", other)


def _lifted(operation: Callable[[_Sizes, Any], _Sizes]) -> Callable[[Any, Any], Any]:
    def apply(x: Any, y: Any) -> Any:
        sizes = x if isinstance(x, _Sizes) else y
        left = x if isinstance(x, _Sizes) else _Sizes(sizes.module, sizes._other(x), sizes.location)
        return operation(left, y)

    return apply


_OPERATIONS = {
    "floordiv": _lifted(_Sizes.floordiv),
    "mod": _lifted(_Sizes.remainder),
    "max": _lifted(lambda x, y: x._binary("stablehlo.maximum", y)),
    "min": _lifted(lambda x, y: x._binary("stablehlo.minimum", y)),
}


def dimension_value(module: ModuleContext, dimension: Any, location: Any) -> Any:
    """The value of a dimension, an i32, emitted once per block.

    Raises:
      ValueError: it has variables that no argument of the program has in its shape.
    """
    if not is_symbolic_dim(dimension):
        return module.constant(int(dimension), _SIZE.dtype, location)
    key = "dimension", str(dimension)
    found = module.block_constants.get(key)
    if found is None:
        missing = dimension.variables() - module.dimension_values.keys()
        if missing:
            raise ValueError(
                f"The dimension '{dimension}' has the variables {sorted(missing)}, which are in no shape of an "
                f"argument of the program (these have {sorted(module.dimension_values)}): their values cannot be known."
            )
        values = {name: _Sizes(module, value, location) for name, value in module.dimension_values.items()}
        found = module.block_constants[key] = dimension.evaluate(values, _OPERATIONS).value
    return found


def size_vector(module: ModuleContext, sizes: Sequence[Any], location: Any) -> Any:
    """Sizes as an array of i32."""
    kind = module.types.tensor((len(sizes),), _SIZE.dtype)
    if not has_symbols(sizes):
        attribute = module.types.dense(np.asarray(tuple(map(int, sizes)), np.int32))
        return _create("stablehlo.constant", (kind,), None, {"value": attribute}, loc=location).result
    one = module.types.tensor((1,), _SIZE.dtype)
    parts = [
        _create("stablehlo.reshape", (one,), (dimension_value(module, size, location),), loc=location).result
        for size in sizes
    ]
    if len(parts) == 1:
        return parts[0]
    attributes = {"dimension": module.types.integer(0)}
    return _create("stablehlo.concatenate", (kind,), parts, attributes, loc=location).result


# The variants


class _Operation:
    """An operation to be emitted for shapes that are not known."""

    def __init__(
        self, module: ModuleContext, name: str, operands: Any, avals: Any, attributes: Any, loc: Any
    ):
        self.module, self.name, self.location = module, name, loc
        self.reducer: Any = None  # the body of a function that takes the place of the operation's region
        self.operands, self.avals, self.attributes = list(operands), avals, dict(attributes or {})

    def sizes(self, values: Sequence[Any]) -> Any:
        return size_vector(self.module, values, self.location)

    def ints(self, name: str) -> tuple[Any, ...]:
        """The numbers of an attribute, which leaves the operation."""
        value = self.attributes.pop(name)
        return value.values if isinstance(value, SymbolicInts) else tuple(value)

    def ints_or_ones(self, name: str, rank: int, keep: bool = False) -> tuple[Any, ...]:
        """The same, where it may be missing; `keep` leaves it."""
        value = self.attributes.get(name)
        if value is None:
            return (1,) * rank
        return tuple(value.values if isinstance(value, SymbolicInts) else value) if keep else self.ints(name)

    def shape(self) -> tuple[Any, ...]:
        return tuple(physical_aval(self.avals[0]).shape)


def _reshape(op: _Operation) -> None:
    op.name = "stablehlo.dynamic_reshape"
    op.operands.append(op.sizes(op.shape()))


def _broadcast_in_dim(op: _Operation) -> None:
    op.name = "stablehlo.dynamic_broadcast_in_dim"
    op.operands.append(op.sizes(op.shape()))


def _iota(op: _Operation) -> None:
    op.name = "stablehlo.dynamic_iota"
    op.operands.append(op.sizes(op.shape()))


def _slice(op: _Operation) -> None:
    op.name = "stablehlo.real_dynamic_slice"
    op.operands += [op.sizes(op.ints(name)) for name in ("start_indices", "limit_indices", "strides")]


def _pad(op: _Operation) -> None:
    op.name = "stablehlo.dynamic_pad"
    names = ("edge_padding_low", "edge_padding_high", "interior_padding")
    op.operands += [op.sizes(op.ints(name)) for name in names]


def _dynamic_slice(op: _Operation) -> None:
    """A gather of one window: its start is moved into bounds likewise."""
    from .mlir_door import stablehlo_attributes

    sizes = op.ints("slice_sizes")
    if not has_symbols(sizes):
        op.attributes["slice_sizes"] = op.module.types.ints(sizes)
        return
    rank, x, *starts = len(sizes), *op.operands
    element = ir.RankedTensorType(starts[0].type).element_type
    one = ir.RankedTensorType.get([1], element)
    parts = [_create("stablehlo.reshape", (one,), (start,), loc=op.location).result for start in starts]
    whole = ir.RankedTensorType.get([rank], element)
    dimension = {"dimension": op.module.types.integer(0)}
    indices = _create("stablehlo.concatenate", (whole,), parts, dimension, loc=op.location).result
    op.name = "stablehlo.dynamic_gather"
    op.attributes = {
        "dimension_numbers": stablehlo_attributes.GatherDimensionNumbers.get(
            offset_dims=list(range(rank)),
            collapsed_slice_dims=[],
            operand_batching_dims=[],
            start_indices_batching_dims=[],
            start_index_map=list(range(rank)),
            index_vector_dim=0,
        ),
        "indices_are_sorted": op.module.types.boolean(True),
    }
    op.operands = [x, indices, op.sizes(sizes)]


def _gather(op: _Operation) -> None:
    sizes = op.ints("slice_sizes")
    if not has_symbols(sizes):
        op.attributes["slice_sizes"] = op.module.types.ints(sizes)
        return
    op.name = "stablehlo.dynamic_gather"
    op.operands.append(op.sizes(sizes))


def _convolution(op: _Operation) -> None:
    padding = op.attributes["padding"]
    if isinstance(padding, SymbolicInts):
        del op.attributes["padding"]
        op.name = "stablehlo.dynamic_conv"
        op.operands.append(_pairs(op, padding.values))


def _pairs(op: _Operation, rows: Sequence[Any]) -> Any:
    flat = op.sizes([size for row in rows for size in row])
    kind = op.module.types.tensor((len(rows), 2), _SIZE.dtype)
    return _create("stablehlo.reshape", (kind,), (flat,), loc=op.location).result


def _reduce_window(op: _Operation) -> None:
    """XLA's name for what StableHLO has no operation for; what it combines with is a function."""
    names = ("window_dimensions", "window_strides", "base_dilations", "window_dilations")
    if not any(isinstance(op.attributes.get(name), SymbolicInts) for name in (*names, "padding")):
        return
    module, types = op.module, op.module.types
    rank = len(op.ints_or_ones("window_dimensions", 1, keep=True))
    op.operands += [op.sizes(op.ints_or_ones(name, rank)) for name in names]
    padding = op.attributes.pop("padding")
    rows = (
        padding.values if isinstance(padding, SymbolicInts) else np.asarray(padding).reshape(-1, 2).tolist()
    )
    op.operands.append(_pairs(op, rows))
    scalar = types.tensor((), physical_aval(op.avals[0]).dtype)
    symbol, function = module.new_function("window_reducer", (scalar, scalar), (scalar,))
    op.reducer = function.regions[0]
    op.name = "stablehlo.custom_call"
    op.attributes = {
        "call_target_name": types.string("stablehlo.dynamic_reduce_window"),
        "api_version": types.integer(2, 32),
        "called_computations": ir.ArrayAttr.get([types.symbol(symbol)]),
    }


def _rng_bit_generator(op: _Operation) -> None:
    op.attributes |= {
        "call_target_name": op.module.types.string("stablehlo.dynamic_rng_bit_generator"),
        "api_version": op.module.types.integer(2, 32),
    }
    op.name = "stablehlo.custom_call"
    op.operands.append(op.sizes(tuple(physical_aval(op.avals[1]).shape)))


def _custom_call(op: _Operation) -> None:
    """The shapes of the results become operands, which are there only until they are filled in."""
    types = op.module.types
    own = len(op.operands)
    op.operands += [op.sizes(tuple(physical_aval(aval).shape)) for aval in op.avals]
    places = np.arange(own, len(op.operands), dtype=np.int64)
    op.attributes["indices_of_shape_operands"] = types.dense(places)
    layouts = op.attributes.get("operand_layouts")
    if layouts is not None:
        line = ir.DenseIntElementsAttr.get(
            np.zeros(1, np.int64), type=ir.RankedTensorType.get([1], ir.IndexType.get())
        )
        op.attributes["operand_layouts"] = ir.ArrayAttr.get([*layouts, *[line] * len(op.avals)])


_VARIANTS: dict[str, Callable[[_Operation], None]] = {
    "stablehlo.broadcast_in_dim": _broadcast_in_dim,
    "stablehlo.convolution": _convolution,
    "stablehlo.custom_call": _custom_call,
    "stablehlo.dynamic_slice": _dynamic_slice,
    "stablehlo.gather": _gather,
    "stablehlo.iota": _iota,
    "stablehlo.pad": _pad,
    "stablehlo.reduce_window": _reduce_window,
    "stablehlo.reshape": _reshape,
    "stablehlo.rng_bit_generator": _rng_bit_generator,
    "stablehlo.slice": _slice,
}


def emit(
    module: ModuleContext,
    name: str,
    operands: Sequence[Any],
    avals_out: Sequence[Any],
    attributes: Any,
    regions: int,
    location: Any,
) -> Any:
    """Emits an operation in a module with dimension variables, in the variant that its shapes need.

    Args:
      avals_out: avals of the results, or their MLIR types.

    Returns:
      The operation.
    """
    variant = _VARIANTS.get(name)
    if variant is not None and (
        any(has_symbols(getattr(aval, "shape", ())) for aval in avals_out)
        or any(map(_is_dynamic, operands))
        or any(isinstance(value, SymbolicInts) for value in (attributes or {}).values())
    ):
        operation = _Operation(module, name, operands, avals_out, attributes, location)
        variant(operation)
        name, operands, attributes = operation.name, operation.operands, operation.attributes
        if operation.reducer is not None:
            types = [module.types.of(aval) for aval in avals_out]
            made = _create(name, types, operands, attributes, loc=location)
            return _WithRegion(made, operation.reducer)
    symbolic = [key for key, value in (attributes or {}).items() if isinstance(value, SymbolicInts)]
    if symbolic:
        raise NotImplementedError(
            f"{name} cannot have symbolic sizes in {', '.join(symbolic)}: StableHLO has no variant of the operation "
            "that takes them. Export with numbers for these dimensions."
        )
    types = [module.types.of(aval) for aval in avals_out]
    return _create(name, types, operands, attributes, None, regions, location)


def dynamic_top_k(ctx: Any, x: Any, k: Any, avals: Sequence[Any]) -> list[Any]:
    """The greatest elements along the last dimension where their number is symbolic."""
    module, types = ctx.module_context, ctx.types
    attributes = {
        "call_target_name": types.string("stablehlo.dynamic_top_k"),
        "api_version": types.integer(2, 32),
    }
    kinds = [types.of(aval) for aval in avals]
    operands = (x, dimension_value(module, k, ctx.location))
    return list(_create("stablehlo.custom_call", kinds, operands, attributes, loc=ctx.location).results)


class _WithRegion:
    """An operation whose region is a function's body: the rule that fills the region need not know."""

    def __init__(self, operation: Any, region: Any):
        self.result, self.results, self.regions = operation.results[0], operation.results, [region]


def _is_dynamic(value: Any) -> bool:
    kind = value.type
    return isinstance(kind, ir.RankedTensorType) and not kind.has_static_shape
