"""Lowering rules: `register_lowering`, `lower_fun`, and what a rule needs to build MLIR.

    mlir.register_lowering(p, rule, platform="cpu")   # rule(ctx, *operands, **params) -> list of results

A rule runs inside the module's MLIR context, at the equation's location and insertion point, so that the
operation classes of jaxlib's dialects (`jaxlib.mlir.dialects.stablehlo.add(x, y)`) build in the right place.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from canter_mlir.registry import (
    ir_type_handlers as ir_type_handlers,
    lower_fun as lower_fun,
    register_constant_handler as register_constant_handler,
)

from ..core import dtypes as _dtypes
from ..core.primitive import Primitive as _Primitive

SEND_TO_HOST_TYPE, RECV_FROM_HOST_TYPE, DEVICE_TO_DEVICE_TYPE = 2, 3, 1
LoweringRule = Callable[..., Any]
MeshAxisName = Any

_PLATFORMS = ("cpu", "cuda", "gpu", "oneapi", "rocm", "tpu")
_LATE = {
    "emit_python_callback": ("canter_mlir.callbacks", "emit_python_callback"),
    "LoweringRuleContext": ("canter_mlir.context", "LoweringRuleContext"),
    "ModuleContext": ("canter_mlir.context", "ModuleContext"),
    "ir": ("canter_mlir.mlir_door", "ir"),
    "ir_attribute": ("canter_mlir.attributes", "ir_attribute"),
    "make_ir_context": ("canter_mlir.mlir_door", "new_context"),
}


def __getattr__(name: str) -> Any:
    # MLIR itself is loaded when somebody wants it.
    from importlib import import_module

    value: Any
    if name in _LATE:
        module, attribute = _LATE[name]
        value = getattr(import_module(module), attribute)
    elif name in ("Token", "Value"):
        value = _ir().Value
    elif name == "lowerable_effects":
        from ..core import effects

        value = getattr(effects, "lowerable_effects", frozenset())
    elif name == "Mesh":
        from ..sharding import Mesh as value
    elif name == "ir_tree_registry":
        from canter_pjrt.jaxlib_door import pytree

        value = pytree.PyTreeRegistry(
            enable_none=False, enable_tuple=True, enable_namedtuple=True, enable_list=True, enable_dict=True
        )
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def _ir() -> Any:
    from canter_mlir.mlir_door import ir

    return ir


def _types() -> Any:
    from canter_mlir.types import TypeTable

    return TypeTable()


# ---------------------------------------------------------------- rules


def register_lowering(
    prim: _Primitive,
    rule: LoweringRule,
    platform: str | None = None,
    inline: bool = True,
    cacheable: bool = True,
) -> None:
    """Declares how a primitive is lowered.

    Args:
      prim: the primitive.
      rule: `rule(ctx, *operands, **params)`, where the operands are MLIR values; gives one value a result.
      platform: "cpu", "cuda", "rocm", "tpu", "gpu" for both of cuda and rocm; None for all others.
      inline: whether the operations stand where the equation is; else they make a function of the module.
      cacheable: whether equal applications may share such a function.

    Raises:
      NotImplementedError: there is no such platform.

    Example:
      >>> import canter as ct
      >>> from canter.extend.core import Primitive
      >>> from canter.interpreters import mlir
      >>> from jaxlib.mlir.dialects import stablehlo
      >>> twice = Primitive("twice")
      >>> _ = twice.def_abstract_eval(lambda x: x)
      >>> mlir.register_lowering(twice, lambda ctx, x: [stablehlo.add(x, x)])
      >>> ct.jit(lambda x: twice.bind(x))(2.0).item()
      4.0
    """
    from canter_mlir.registry import cache_lowering, register_lowering

    if platform is not None and platform not in _PLATFORMS:
        raise NotImplementedError(
            f"Registering an MLIR lowering rule for primitive {prim} for an unknown platform {platform}. "
            f"Known platforms are: {', '.join(_PLATFORMS)}."
        )
    lowered = cache_lowering(rule) if not inline and cacheable else rule
    for name in ("cuda", "rocm") if platform == "gpu" else (platform,):
        register_lowering(prim, lowered, name)
    prim.eval_cache.clear()


def core_call_lowering(ctx: Any, *args: Any, name: str, backend: Any = None, call_jaxpr: Any) -> list[Any]:
    """The rule of a primitive that calls a program: a call of a private function of the module."""
    from ..core.jaxpr import ClosedJaxpr

    closed = call_jaxpr if isinstance(call_jaxpr, ClosedJaxpr) else ClosedJaxpr(call_jaxpr, [])
    return ctx.call(closed, args, name)


def jaxpr_subcomp(
    ctx: Any,
    jaxpr: Any,
    name_stack: Any,
    tokens: Any,
    consts_for_constvars: Sequence[Any],
    *args: Any,
    dim_var_values: Sequence[Any] = (),
    const_lowering: Any = None,
    outer_traceback: Any = None,
) -> tuple[list[Any], Any]:
    """Emits the equations of a jaxpr in place.

    Args:
      ctx: the module's context, `ctx.module_context` of a rule's.
      jaxpr: the program; it has no ordered effects.
      name_stack: the scopes around it.
      tokens: given back as they are.
      consts_for_constvars, *args: MLIR values of its constants and arguments.
      dim_var_values, const_lowering, outer_traceback: not needed: shapes are static, constants are emitted
        where they are used, and equations have locations of their own.

    Returns:
      The values of its results, and the tokens.
    """
    from canter_mlir.body import lower_equations

    return lower_equations(ctx, jaxpr, consts_for_constvars, args, tuple(name_stack)), tokens


def lower_jaxpr_to_fun(
    ctx: Any,
    name: str,
    jaxpr: Any,
    effects: Sequence[Any] = (),
    *,
    num_const_args: int = 0,
    in_avals: Sequence[Any] | None = None,
    main_function: bool = False,
    **options: Any,
) -> Any:
    """Appends a function made of a closed jaxpr to the module.

    Args:
      ctx: the module's context.
      name: the wanted name; it gets a suffix where it is taken.
      jaxpr: the closed jaxpr.
      effects: must be none that is ordered.
      num_const_args: must be 0: constants stand in the function.
      in_avals: types of the arguments, those of the jaxpr.
      main_function: whether it is public.
      **options: shardings, layouts and aliases; must be None or False.

    Returns:
      The operation `func.func`.
    """
    from canter_mlir.body import fill_function

    _refuse_options("lower_jaxpr_to_fun", {**options, "effects": effects, "num_const_args": num_const_args})
    in_types = [ctx.types.of(aval) for aval in in_avals or jaxpr.in_avals]
    out_types = [ctx.types.of(aval) for aval in jaxpr.out_avals]
    visibility = "public" if main_function else "private"
    _, function = ctx.new_function(name, in_types, out_types, visibility=visibility)
    fill_function(ctx, function, jaxpr, in_types, ())
    return function.opview


def _refuse_options(name: str, options: Mapping[str, Any]) -> None:
    for option, value in options.items():
        given = (
            value not in (None, False, True, 0)
            if not isinstance(value, (list, tuple, set, frozenset))
            else any(value)
        )
        if given:
            raise NotImplementedError(
                f"{name} does not take {option}={value!r}; lower with `jit(f).lower()`."
            )


class LoweringResult(NamedTuple):
    """A lowered program.

    Attributes:
      module: the `ir.Module`.
      keepalive: objects that must live as long as what is compiled from it.
      host_callbacks: Python functions that it calls.
      shape_poly_state: what symbolic dimensions it has.
    """

    module: Any
    keepalive: Any
    host_callbacks: list[Any]
    shape_poly_state: Any


@dataclass(frozen=True)
class LoweringParameters:
    """How a program is lowered; here only for code that passes it on."""

    override_lowering_rules: tuple[tuple[Any, LoweringRule], ...] | None = None
    global_constant_computation: bool = False
    for_export: bool = False
    export_ignore_forward_compatibility: bool = False
    hoist_constants_as_args: bool = False


class ShapePolyLoweringState:
    """The symbolic dimensions of a program; none, as all shapes are static.

    Attributes:
      dim_vars: their names.
      lowering_platforms: the platforms of a program for several.
    """

    def __init__(self, dim_vars: tuple[str, ...], lowering_platforms: tuple[str, ...] | None):
        self.dim_vars = dim_vars
        self.lowering_platforms = lowering_platforms
        self.uses_dim_vars = bool(dim_vars)
        self.has_platform_index_argument = lowering_platforms is not None and len(lowering_platforms) > 1


@dataclass(frozen=True)
class SPMDAxisContext:
    """Lowering for a mesh of devices, some axes of which the program handles itself."""

    mesh: Any
    manual_axes: frozenset[Any] = frozenset()


@dataclass(frozen=True)
class ShardingContext:
    """Lowering for a number of devices, over which the compiler partitions."""

    num_devices: int
    device_assignment: tuple[Any, ...] | None = None
    abstract_mesh: Any = None


AxisContext = SPMDAxisContext | ShardingContext


def lower_jaxpr_to_module(
    module_name: str,
    jaxpr: Any,
    *,
    num_const_args: int = 0,
    in_avals: Sequence[Any] | None = None,
    ordered_effects: Sequence[Any] = (),
    platforms: Sequence[str] = ("cpu",),
    backend: Any = None,
    axis_context: Any = None,
    donated_args: Sequence[bool] | None = None,
    arg_names: Sequence[str | None] | None = None,
    result_names: Sequence[str] | None = None,
    num_replicas: int = 1,
    num_partitions: int = 1,
    lowering_parameters: LoweringParameters | None = None,
    **options: Any,
) -> LoweringResult:
    """Lowers a closed jaxpr to a module with one public function, `main`.

    Args:
      module_name: name of the module.
      jaxpr: the program.
      num_const_args, in_avals: follow from the program.
      ordered_effects: follow from the program.
      platforms: "cpu", "cuda", "rocm" or "tpu"; rules are chosen for the first.
      backend, axis_context, lowering_parameters: what it will run on; it does not change the module.
      donated_args: one flag an argument.
      arg_names, result_names: names of arguments and paths of results.
      num_replicas, num_partitions: kept as attributes of the module.
      **options: shardings and layouts; must be None or False.

    Example:
      >>> import canter as ct
      >>> from canter.interpreters import mlir
      >>> result = mlir.lower_jaxpr_to_module("double", ct.make_jaxpr(lambda x: x + x)(1.0))
      >>> "stablehlo.add" in mlir.module_to_string(result.module)
      True
    """
    from canter_mlir.driver import lower_jaxpr_to_module

    _refuse_options("lower_jaxpr_to_module", options)
    keepalives: list[Any] = []
    module = lower_jaxpr_to_module(
        jaxpr,
        name=module_name,
        platforms=platforms,
        donated_invars=donated_args,
        arg_names=arg_names,
        result_names=result_names,
        num_replicas=num_replicas,
        num_partitions=num_partitions,
        keepalives=keepalives,
    )
    return LoweringResult(module, keepalives, [], ShapePolyLoweringState((), tuple(platforms)))


# ---------------------------------------------------------------- types and constants


def aval_to_ir_type(*ctx_and_aval: Any) -> Any:
    """The MLIR type of values of an aval; arguments are the module's context, which may be left out, and the aval."""
    *context, aval = ctx_and_aval
    return (context[0].types if context and hasattr(context[0], "types") else _types()).of(aval)


def aval_to_ir_types(*ctx_and_aval: Any) -> tuple[Any, ...]:
    """The MLIR types of values of an aval, which is always one."""
    return (aval_to_ir_type(*ctx_and_aval),)


def dtype_to_ir_type(dtype: Any) -> Any:
    """The MLIR element type of a dtype.

    Raises:
      TypeError: there is none.
    """
    return _types().element(np.dtype(dtype))


def token_type() -> Any:
    """The MLIR type of tokens."""
    from ..core.avals import abstract_token

    return _types().of(abstract_token)


def ir_constant(val: Any, *, const_lowering: Any = None, aval: Any = None) -> Any:
    """A NumPy array or number as a constant at the current insertion point.

    Args:
      val: the value.
      const_lowering: constants that are values already: (id, aval) -> value.
      aval: the type it is to have; None for its own under the present flags.
    """
    from ..core.avals import get_aval

    known = (const_lowering or {}).get((id(val), aval))
    if known is not None:
        return known
    aval = get_aval(val) if aval is None else aval
    types = _types()
    array = np.asarray(getattr(val, "_base_array", val))
    if not isinstance(aval.dtype, _dtypes.ExtendedDType):
        array = array.astype(aval.dtype)
    operation = _ir().Operation.create(
        "stablehlo.constant", [types.tensor(array.shape, array.dtype)], [], {"value": types.dense(array)}
    )
    return operation.result


def ir_constants(val: Any, *, const_lowering: Any = None, aval: Any = None) -> tuple[Any, ...]:
    """`ir_constant` as a tuple of one."""
    return (ir_constant(val, const_lowering=const_lowering, aval=aval),)


def i32_attr(i: int) -> Any:
    """A 32-bit integer attribute."""
    return _types().integer(i, 32)


def i64_attr(i: int) -> Any:
    """A 64-bit integer attribute."""
    return _types().integer(i, 64)


def dense_int_array(xs: Iterable[int]) -> Any:
    """An attribute of 64-bit integers: `array<i64: 1, 2>`."""
    return _types().ints(list(xs))


def dense_int_elements(xs: Iterable[int]) -> Any:
    """An attribute of 64-bit integers: `dense<[1, 2]> : tensor<2xi64>`."""
    return _ir().DenseIntElementsAttr.get(np.asarray(list(xs), np.int64))


def shape_tensor(ctx: Any, sizes: Sequence[Any]) -> Any:
    """Sizes as a one-dimensional tensor of 32-bit integers."""
    ir = _ir()
    kind = ir.RankedTensorType.get([1], ir.IntegerType.get_signless(32))
    if not sizes:
        return ir_constant(np.zeros(0, np.int32))
    rows = [
        ir_constant(np.array([size], np.int32))
        if isinstance(size, (int, np.integer))
        else ir.Operation.create("stablehlo.reshape", [kind], [size]).result
        for size in sizes
    ]
    if len(rows) == 1:
        return rows[0]
    whole = ir.RankedTensorType.get([len(rows)], ir.IntegerType.get_signless(32))
    return ir.Operation.create("stablehlo.concatenate", [whole], rows, {"dimension": i64_attr(0)}).result


def flatten_ir_values(xs: Iterable[Any]) -> list[Any]:
    """Values and sequences of values as one list."""
    return [value for x in xs for value in (x if isinstance(x, (tuple, list)) else (x,))]


flatten_ir_types = flatten_ir_values


def unflatten_ir_values_like_types(xs: Iterable[Any], ys: Sequence[Any]) -> list[Any]:
    """Values grouped as types are: one where there is one type, a tuple where there is a sequence of them."""
    values = iter(xs)
    return [tuple(next(values) for _ in y) if isinstance(y, (tuple, list)) else next(values) for y in ys]


class ConstantHandler(Protocol):
    """From a value and its aval to the MLIR value of a constant."""

    def __call__(self, val: Any, aval: Any) -> Any: ...


# ---------------------------------------------------------------- modules


def module_to_string(module: Any, enable_debug_info: bool | None = None) -> str:
    """The text of a module, with locations where `enable_debug_info` is True."""
    return module.operation.get_asm(enable_debug_info=bool(enable_debug_info))


def module_to_bytecode(module: Any) -> bytes:
    """A module as MLIR bytecode."""
    file = io.BytesIO()
    module.operation.write_bytecode(file)
    return file.getvalue()


def merge_mlir_modules(dst_module: Any, sym_name: str, src_module: Any, dst_symtab: Any = None) -> str:
    """Moves the functions of a module into another one.

    Args:
      dst_module: where they go.
      sym_name: the wanted name of the function `main` there.
      src_module: where they come from: a module of the same context.
      dst_symtab: the symbol table of `dst_module`, made anew where it is None.

    Returns:
      The name that `main` has there; it is private.
    """
    ir = _ir()
    symbols = ir.SymbolTable(dst_module.operation) if dst_symtab is None else dst_symtab
    source = src_module.operation
    for op in list(src_module.body.operations):
        name = op.name.value
        wanted = sym_name if name == "main" else name
        fresh, count = wanted, 0
        while fresh in symbols or (fresh != name and fresh in ir.SymbolTable(source)):
            fresh, count = f"{wanted}_{count}", count + 1
        if fresh != name:
            ir.SymbolTable.replace_all_symbol_uses(name, fresh, source)
            op.attributes["sym_name"] = ir.StringAttr.get(fresh)
        if name == "main":
            merged = fresh
            op.attributes["sym_visibility"] = ir.StringAttr.get("private")
    for op in list(src_module.body.operations):
        clone = op.operation.clone(ip=ir.InsertionPoint(dst_module.body))
        if dst_symtab is not None:
            dst_symtab.insert(clone)
    return merged


class TokenSet:
    """Tokens by the ordered effect they are for; never changed in place.

    Args:
      tokens: effect -> token.
    """

    __slots__ = ("_tokens",)

    def __init__(self, tokens: Mapping[Any, Any] | None = None):
        self._tokens = dict(tokens or {})

    @classmethod
    def create(cls, effects: Sequence[Any]) -> TokenSet:
        """New tokens for effects, at the current insertion point."""
        create = _ir().Operation.create
        return cls({e: create("stablehlo.create_token", [token_type()], []).result for e in effects})

    def get(self, effect: Any) -> Any:
        return self._tokens[effect]

    def items(self) -> Any:
        return self._tokens.items()

    def effects(self) -> set[Any]:
        return set(self._tokens)

    def subset(self, effects: Iterable[Any]) -> TokenSet:
        """The tokens of some of the effects."""
        return TokenSet({effect: self._tokens[effect] for effect in effects})

    def update_tokens(self, tokens: TokenSet) -> TokenSet:
        """The set with other tokens for some of its effects."""
        return TokenSet({**self._tokens, **dict(tokens.items())})

    def __contains__(self, effect: object) -> bool:
        return effect in self._tokens

    def __len__(self) -> int:
        return len(self._tokens)
