"""What a lowering rule works with: the module being built, and the equation being lowered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from canter.core.avals import ShapedArray, get_aval
from canter.core.effects import Effect, ordered_effects
from canter.core.number_keys import value_key

from .mlir_door import ir, load_all_dialects
from .registry import constant_handlers
from .types import TypeTable, compare_type_name, element_shape, physical_aval, physical_dtype

__all__ = ["LoweringRuleContext", "ModuleContext"]

_create = ir.Operation.create


class PlatformNeeded(Exception):
    """A rule asks for the platform while a module for several is being made."""


class ModuleContext:
    """One module under construction.

    Attributes:
      context: its MLIR context.
      module: the `ir.Module`.
      platforms: names of the platforms it is for.
      types: builds types and attributes, each once.
      keepalives: Python objects that must live as long as the executable, such as callbacks.
      host_callbacks: Python functions that the program calls by their place in this list.
      tokens: the token of each ordered effect, as of the last operation emitted that has the effect.
      device_places: id of a device -> its place among the program's devices; None for one device.
      meshes: the meshes declared in the module, by symbol.
      manual: the region of manual axes around the operations being emitted, or None.
      chosen: the platform for which operations are being emitted; None where they are for several.
      dimension_values: the value of each dimension variable, in a module for arrays of symbolic shapes.
      platform_index: in a module for several platforms, the value that says on which one it runs.
    """

    def __init__(
        self,
        context: Any,
        module: Any,
        platforms: Sequence[str],
        locations: Any,
        device_places: dict[int, int] | None = None,
    ):
        self.context = context
        self.module = module
        self.platforms = tuple(platforms)
        self.chosen = self.platforms[0] if len(self.platforms) == 1 else None
        self.platform_index: Any = None
        self.dimension_values: dict[str, Any] = {}
        self.device_places = device_places
        self.manual: Any = None
        self.meshes: dict[str, Any] = {}
        # Calls of functions that divide themselves, in order; and what was decided for each, once it is.
        self.partitioned: list[Any] = []
        self.decisions: list[Any] | None = None
        self.types = TypeTable()
        self.locations = locations
        self.keepalives: list[Any] = []
        self.host_callbacks: list[Any] = []
        self.tokens: dict[Effect, Any] = {}
        self.rules: dict[Any, Any] = {}
        self._rules_of: dict[str, dict[Any, Any]] = {}
        self.has_outside_rules = False
        self.typed = False  # whether types may have layouts, which values are then to have
        self.has_outlined_calls = False
        self.small_loops = False  # whether the CPU is to run all loops as one piece of code each
        # Constants of the block under construction: (value, dtype, shape) -> MLIR value. A nested
        # block starts with none: what it emits is out of sight afterwards.
        self.block_constants: dict[Any, Any] = {}
        # What has become a private function: key -> name; and the objects whose ids are in the keys.
        self.functions: dict[Any, str] = {}
        self.identified: list[Any] = []
        self._symbols: set[str] = set()
        self._module_block = ir.InsertionPoint(module.body)

    @property
    def platform(self) -> str:
        """The platform for which rules are chosen.

        Raises:
          PlatformNeeded: operations are being emitted for several.
        """
        if self.chosen is None:
            raise PlatformNeeded
        return self.chosen

    @contextmanager
    def on_platform(self, platform: str) -> Iterator[None]:
        """For operations of a region that runs on one platform only."""
        outer, rules = self.chosen, self.rules
        self.chosen, self.rules = platform, self._rules_of.setdefault(platform, {})
        try:
            yield
        finally:
            self.chosen, self.rules = outer, rules

    @property
    def ip(self) -> Any:
        """Where functions are inserted."""
        return self._module_block

    @property
    def symbol_table(self) -> Any:
        """The symbols of the module as it stands."""
        return ir.SymbolTable(self.module.operation)

    def add_keepalive(self, value: Any) -> None:
        """Keeps a Python object alive as long as the executable."""
        self.keepalives.append(value)

    def unique_symbol(self, name: str) -> str:
        """A function name that is not taken yet: `name`, `name_0`, `name_1`, …"""
        name = _symbol_name(name)
        symbol, count = name, 0
        while symbol in self._symbols:
            symbol = f"{name}_{count}"
            count += 1
        self._symbols.add(symbol)
        return symbol

    def new_function(
        self, name: str, in_types: Sequence[Any], out_types: Sequence[Any], *, visibility: str = "private"
    ) -> tuple[str, Any]:
        """Appends a function to the module.

        Returns:
          Its symbol and its operation; the single region has no block yet.
        """
        symbol = self.unique_symbol(name)
        function_type = ir.FunctionType.get(list(in_types), list(out_types))
        attributes = {
            "sym_name": self.types.string(symbol),
            "function_type": ir.TypeAttr.get(function_type),
            "sym_visibility": self.types.string(visibility),
        }
        operation = _create(
            "func.func", attributes=attributes, regions=1, loc=self.locations.unknown, ip=self._module_block
        )
        return symbol, operation

    @contextmanager
    def block(self, region: Any, arg_types: Sequence[Any], arg_locations: Any = None) -> Iterator[Any]:
        """Appends a block to a region; within the context operations go into it.

        Yields:
          The list of its arguments.
        """
        arg_types = list(arg_types)
        locations = arg_locations or [self.locations.unknown] * len(arg_types)
        block = region.blocks.append(*arg_types, arg_locs=locations)
        outer, self.block_constants = self.block_constants, {}
        try:
            with ir.InsertionPoint(block):
                yield list(block.arguments)
        finally:
            self.block_constants = outer

    def tokens_of(self, effects: Iterable[Effect]) -> list[Any]:
        """The current tokens of the ordered ones among some effects."""
        return [self._token(effect) for effect in ordered_effects.filter_in(effects)]

    def _token(self, effect: Effect) -> Any:
        token = self.tokens.get(effect)
        if token is None:
            operation = _create(
                "stablehlo.create_token", (self.types.token(),), (), loc=self.locations.unknown
            )
            token = self.tokens[effect] = operation.result
        return token

    def set_tokens(self, effects: Iterable[Effect], tokens: Sequence[Any]) -> None:
        """Makes tokens the current ones of the ordered ones among some effects."""
        self.tokens.update(zip(ordered_effects.filter_in(effects), tokens, strict=True))

    @contextmanager
    def inner_tokens(
        self, effects: Iterable[Effect] = (), tokens: Sequence[Any] = (), isolated: bool = False
    ) -> Iterator[None]:
        """For operations of a region or a function: what they do to tokens is not seen outside.

        Args:
          effects: some effects.
          tokens: those with which the ordered ones among them begin; others begin as outside.
          isolated: whether values from outside are out of sight, as in a function.
        """
        outer = self.tokens
        self.tokens = {} if isolated else dict(outer)
        if tokens:
            self.set_tokens(effects, tokens)
        try:
            yield
        finally:
            self.tokens = outer

    def constant(self, value: Any, dtype: Any, location: Any) -> Any:
        """A number as a value without dimensions, emitted once per block."""
        key = value_key(value), dtype
        found = self.block_constants.get(key)
        if found is None:
            types = self.types
            attribute = types.scalar(value, dtype)
            found = _create(
                "stablehlo.constant", (types.tensor((), dtype),), None, {"value": attribute}, loc=location
            ).result
            self.block_constants[key] = found
        return found

    def full(self, value: Any, dtype: Any, shape: tuple[int, ...], location: Any) -> Any:
        """An array filled with a number, emitted once per block."""
        if not shape:
            return self.constant(value, dtype, location)
        key = value_key(value), dtype, shape
        found = self.block_constants.get(key)
        if found is None:
            types = self.types
            scalar = self.constant(value, dtype, location)
            if self.dimension_values:
                from .dynamic import emit

                attributes = types.named_ints("broadcast_dimensions", ())
                aval = ShapedArray(shape, dtype)
                operation = emit(
                    self, "stablehlo.broadcast_in_dim", (scalar,), (aval,), attributes, 0, location
                )
                found = self.block_constants[key] = operation.result
                return found
            found = _create(
                "stablehlo.broadcast_in_dim",
                (types.tensor(shape, dtype),),
                (scalar,),
                types.named_ints("broadcast_dimensions", ()),
                loc=location,
            ).result
            self.block_constants[key] = found
        return found

    def broadcast(self, value: Any, aval: Any, shape: tuple[int, ...], location: Any) -> Any:
        """An operand of an n-ary elementwise operation brought to the shape of the result.

        Operands have no dimensions, or those of the result with sizes that are equal or 1.
        """
        if aval.shape and len(aval.shape) != len(shape):
            raise TypeError(f"An operand of shape {aval.shape} cannot be broadcast to {shape}.")
        dims = [*range(len(aval.shape)), *range(len(shape), len(shape) + len(element_shape(aval.dtype)))]
        wide = ShapedArray(shape, aval.dtype)
        attributes = self.types.named_ints("broadcast_dimensions", dims)
        if self.dimension_values:
            from .dynamic import emit

            return emit(self, "stablehlo.broadcast_in_dim", (value,), (wide,), attributes, 0, location).result
        kind = self.types.of(wide)
        return _create("stablehlo.broadcast_in_dim", (kind,), (value,), attributes, loc=location).result

    def array(self, value: Any, location: Any) -> Any:
        """A captured array as a constant inside the module."""
        handler = constant_handlers.get(type(value)) if constant_handlers else None
        if handler is not None:
            with location:
                return handler(value, get_aval(value))
        value = getattr(value, "_base_array", value)  # a key array stands for its bits
        array = np.asarray(value)
        kind = self.types.tensor(array.shape, array.dtype)
        attributes = {"value": self.types.dense(array)}
        return _create("stablehlo.constant", (kind,), None, attributes, loc=location).result


def _symbol_name(name: str) -> str:
    """A name with nothing in it that MLIR would have to quote."""
    return "".join(char if char.isalnum() or char in "_.$-" else "_" for char in name) or "function"


class LoweringRuleContext:
    """The equation being lowered, with what a rule needs to emit operations.

    Attributes:
      module_context: the module under construction.
      primitive: the primitive of the equation.
      avals_in, avals_out: avals of its operands and results.
      types: builds types and attributes, each once.
      location: the MLIR location to give to operations.
      name_stack: names of the scopes around the equation.
      eqn: the equation itself; None for a rule that was called by another rule.
    """

    __slots__ = (
        "avals_in",
        "avals_out",
        "eqn",
        "location",
        "module_context",
        "name_stack",
        "primitive",
        "types",
    )

    def __init__(
        self,
        module_context: ModuleContext,
        primitive: Any,
        avals_in: Sequence[Any],
        avals_out: Sequence[Any],
        location: Any,
        name_stack: tuple[Any, ...] = (),
        eqn: Any = None,
    ):
        self.module_context = module_context
        self.types = module_context.types
        self.primitive = primitive
        self.avals_in = avals_in
        self.avals_out = avals_out
        self.location = location
        self.name_stack = name_stack
        self.eqn = eqn

    def replace(self, **changes: Any) -> LoweringRuleContext:
        """A copy with some fields changed."""
        fields = {name: getattr(self, name) for name in LoweringRuleContext.__slots__ if name != "types"}
        fields.update(changes)
        return LoweringRuleContext(**fields)

    @property
    def platform(self) -> str:
        """The platform for which rules are chosen."""
        return self.module_context.platform

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms that the module is for."""
        return self.module_context.platforms

    @property
    def traceback(self) -> Any:
        """Where the equation comes from, or None."""
        source = None if self.eqn is None else self.eqn.source_info
        return None if source is None else source.traceback

    @property
    def jaxpr_eqn_ctx(self) -> Any:
        return None if self.eqn is None else self.eqn.ctx

    @property
    def dim_var_values(self) -> tuple[Any, ...]:
        """The values of the dimension variables, in the order of their names."""
        return tuple(self.module_context.dimension_values.values())

    def is_forward_compat(self) -> bool:
        """Whether the module must run on older runtimes: never, as exports are downgraded as a whole."""
        return False

    def op(self, name: str, operands: Sequence[Any], aval_out: Any, attributes: Any = None) -> Any:
        """Emits an operation of one result.

        Args:
          name: the operation, such as "stablehlo.add".
          operands: MLIR values.
          aval_out: the aval of the result, or its MLIR type.
          attributes: dict of attribute name to MLIR attribute.

        Returns:
          The result.
        """
        module = self.module_context
        if module.dimension_values:
            from .dynamic import emit

            return emit(module, name, operands, (aval_out,), attributes, 0, self.location).result
        kind = self.types.of(aval_out)
        return _create(name, (kind,), operands, attributes, None, 0, self.location).result

    def build(
        self,
        name: str,
        operands: Sequence[Any],
        avals_out: Sequence[Any],
        attributes: Any = None,
        regions: int = 0,
    ) -> Any:
        """Emits an operation of any number of results and regions, and returns the operation."""
        module = self.module_context
        if module.dimension_values:
            from .dynamic import emit

            return emit(module, name, operands, avals_out, attributes, regions, self.location)
        types = [self.types.of(aval) for aval in avals_out]
        return _create(name, types, operands, attributes, None, regions, loc=self.location)

    def block(self, region: Any, arg_avals: Sequence[Any]) -> Any:
        """A context manager that appends a block to a region and gives its arguments."""
        types = [self.module_context.types.of(aval) for aval in arg_avals]
        return self.module_context.block(region, types)

    def return_(self, values: Sequence[Any]) -> None:
        """Ends a block of a region."""
        _create("stablehlo.return", (), values, loc=self.location)

    def constant(self, value: Any, dtype: Any) -> Any:
        """A number as a value without dimensions."""
        return self.module_context.constant(value, physical_dtype(dtype), self.location)

    def full(self, value: Any, aval: Any) -> Any:
        """An array filled with a number."""
        aval = physical_aval(aval)
        return self.module_context.full(value, aval.dtype, aval.shape, self.location)

    def convert(self, value: Any, aval_out: Any) -> Any:
        """The value converted to another element type of the same shape."""
        return self.op("stablehlo.convert", (value,), aval_out)

    def compare(self, direction: str, lhs: Any, rhs: Any, aval_in: Any, kind: str | None = None) -> Any:
        """An elementwise comparison: direction EQ, NE, LT, LE, GT, GE; gives booleans."""
        attributes = self.types.compare(direction, kind or compare_type_name(aval_in.dtype))
        return self.op("stablehlo.compare", (lhs, rhs), aval_in.update(dtype=np.dtype(bool)), attributes)

    def inline(self, closed: Any, operands: Sequence[Any]) -> list[Any]:
        """Lowers a closed jaxpr in place, applied to MLIR values."""
        from .body import inline_jaxpr

        return inline_jaxpr(self, closed, operands)

    def call(self, closed: Any, operands: Sequence[Any], name: str) -> list[Any]:
        """Calls a private function made of a closed jaxpr; equal ones share the function."""
        from .body import call_jaxpr

        return call_jaxpr(self, closed, operands, name)

    def call_rule(
        self, rule: Any, operands: Sequence[Any], params: dict[str, Any], differs: bool = True
    ) -> list[Any]:
        """Calls a private function made of one application of a rule."""
        from .body import call_rule

        return call_rule(self, rule, operands, params, differs)

    def load_all_dialects(self) -> None:
        """Makes operations of every dialect in jaxlib available to this module."""
        load_all_dialects(self.module_context.context)
