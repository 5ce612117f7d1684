"""Lowering the equations of a jaxpr, in place or as functions of the module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from canter.core import metadata
from canter.core.avals import ShapedArray
from canter.core.effects import ordered_effects
from canter.core.jaxpr import ClosedJaxpr, Jaxpr, Literal
from canter.core.structure import parameters_key, structure_key

from .context import LoweringRuleContext, ModuleContext, PlatformNeeded
from .mlir_door import ir, load_all_dialects
from .narrow_integers import NOT_NARROW, in_bytes
from .registry import ElementwiseOp, find_rule, has_own_rule, registered_platforms

__all__ = [
    "call_jaxpr",
    "call_rule",
    "fill_function",
    "inline_jaxpr",
    "lower_equations",
    "private_function",
]

_create = ir.Operation.create


def lower_equations(
    module: ModuleContext, jaxpr: Jaxpr, consts: Sequence[Any], args: Sequence[Any], prefix: tuple[Any, ...]
) -> list[Any]:
    """Emits the equations of a jaxpr at the current insertion point.

    Args:
      module: the module under construction.
      jaxpr: the program.
      consts, args: MLIR values of its constant variables and arguments.
      prefix: names of the scopes around it.

    Returns:
      The MLIR values of its results.
    """
    env: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    env.update(zip(jaxpr.invars, args, strict=True))
    rules, known_types, type_of = module.rules, module.types.known, module.types.of
    location_of = module.locations.under(prefix)
    typed = module.typed
    left_open = _brought_elsewhere(jaxpr) if typed else frozenset()
    spread: dict[Any, Any] = {}  # (variable without dimensions, shape) -> its value at that shape
    for eqn in jaxpr.eqns:
        primitive = eqn.primitive
        rule = rules.get(primitive)
        if rule is None:
            rule = rules[primitive] = _rule_or_error(module, eqn)
        location = location_of(primitive.name, eqn.source_info)
        if type(rule) is ElementwiseOp:
            var = eqn.outvars[0]
            aval = var.aval
            shape = aval.shape
            operands = []
            for atom in eqn.invars:
                if type(atom) is Literal:
                    operands.append(module.full(atom.val, atom.aval.dtype, shape, location))
                elif atom.aval.shape == shape:
                    operands.append(env[atom])
                else:
                    wide = spread.get((atom, shape))
                    if wide is None:
                        wide = module.broadcast(env[atom], atom.aval, shape, location)
                        spread[atom, shape] = wide
                    operands.append(wide)
            attributes = rule.attributes
            if rule.takes_accuracy and eqn.params.get("accuracy") is not None:
                attributes = {"result_accuracy": module.types.accuracy(eqn.params["accuracy"])}
            kind = known_types.get((shape, aval.dtype)) or type_of(aval)
            result = _create(rule.name, (kind,), operands, attributes, None, 0, location).result
            if rule.repair is not None and eqn.invars[0].aval.dtype.kind == "c":
                result = rule.repair(_context(module, eqn, location, prefix), operands[0], result)
            if typed:
                (result,) = _laid_out(module, eqn, [result], location)
            env[var] = result
            continue
        operands = [
            module.constant(atom.val, atom.aval.dtype, location) if type(atom) is Literal else env[atom]
            for atom in eqn.invars
        ]
        results = rule(_context(module, eqn, location, prefix), *operands, **eqn.params)
        if typed and not (primitive.name in _SUMS and eqn.outvars[0] in left_open):
            several = primitive.multiple_results or isinstance(results, (list, tuple))
            listed = list(results) if several else [results]
            results = _laid_out(module, eqn, listed, location)
        if primitive.multiple_results:
            env.update(zip(eqn.outvars, results, strict=True))
        else:
            env[eqn.outvars[0]] = results[0] if isinstance(results, (list, tuple)) else results
    if metadata.is_used():
        from .rules.metadata import annotate

        annotate(jaxpr, env, prefix)
    return [_read(module, env, atom) for atom in jaxpr.outvars]


_SUMS = ("dot_general", "reduce_sum")


def _brought_elsewhere(jaxpr: Any) -> frozenset[Any]:
    """Values that are read once, by a `reshard`: a sum over devices need not be made before it says where."""
    reads = Counter(atom for eqn in jaxpr.eqns for atom in eqn.invars if type(atom) is not Literal)
    reads.update(atom for atom in jaxpr.outvars if type(atom) is not Literal)
    moved = (eqn.invars[0] for eqn in jaxpr.eqns if eqn.primitive.name == "reshard")
    return frozenset(atom for atom in moved if type(atom) is not Literal and reads[atom] == 1)


def _laid_out(module: ModuleContext, eqn: Any, results: list[Any], location: Any) -> list[Any]:
    """Results with the layouts that their types have, where explicit mesh axes split them or an operand."""
    layouts = [var.aval.layout for var in eqn.outvars]
    known = next((v.aval.layout for v in (*eqn.outvars, *eqn.invars) if v.aval.layout is not None), None)
    if known is None:
        return results
    from .shardy import typed_value

    return [
        typed_value(module, result, var.aval, layout, known.mesh, location)
        for result, var, layout in zip(results, eqn.outvars, layouts, strict=True)
    ]


def _context(module: ModuleContext, eqn: Any, location: Any, prefix: tuple[Any, ...]) -> LoweringRuleContext:
    return LoweringRuleContext(
        module,
        eqn.primitive,
        [atom.aval for atom in eqn.invars],
        [var.aval for var in eqn.outvars],
        location,
        prefix if eqn.source_info is None else prefix + eqn.source_info.name_stack,
        eqn,
    )


def _read(module: ModuleContext, env: dict[Any, Any], atom: Any) -> Any:
    if type(atom) is not Literal:
        return env[atom]
    return module.full(atom.val, atom.aval.dtype, atom.aval.shape, module.locations.unknown)


def _rule_or_error(module: ModuleContext, eqn: Any) -> Any:
    primitive = eqn.primitive
    if module.chosen is None:
        return _rule_for_several(module, eqn)
    rule = find_rule(primitive, module.platform)
    if rule is not None:
        if getattr(rule, "from_outside", False) and not module.has_outside_rules:
            module.has_outside_rules = True
            load_all_dialects(module.context)
        return in_bytes(rule) if module.platform == "cpu" and primitive.name in NOT_NARROW else rule
    others = registered_platforms(primitive)
    where = _user_line(eqn)
    message = (
        f"There is no lowering rule for primitive '{primitive.name}' on platform '{module.platform}'{where}."
    )
    if others:
        message += f" It has rules for: {', '.join(others)}."
    else:
        message += f" Declare one with `canter_mlir.registry.register_lowering({primitive.name}_p, rule)`."
    raise NotImplementedError(message)


def _rule_for_several(module: ModuleContext, eqn: Any) -> Any:
    """The rule that all platforms share, or one that lowers for each."""
    if any(has_own_rule(eqn.primitive, platform) for platform in module.platforms):
        return _for_each_platform
    with module.on_platform(module.platforms[0]):
        rule = _rule_or_error(module, eqn)
    if type(rule) is ElementwiseOp:
        return rule

    def shared(ctx: LoweringRuleContext, *operands: Any, **params: Any) -> Any:
        try:
            return rule(ctx, *operands, **params)
        except PlatformNeeded:
            return _for_each_platform(ctx, *operands, **params)

    return shared


def _for_each_platform(ctx: LoweringRuleContext, *operands: Any, **_: Any) -> list[Any]:
    """Lowers an equation once for each platform, and chooses when the program runs."""
    module, eqn = ctx.module_context, ctx.eqn
    if eqn.effects and ordered_effects.filter_in(eqn.effects):
        raise NotImplementedError(
            f"'{eqn.primitive}' has ordered effects and differs between platforms: lower it for one platform."
        )
    known = {atom: x for atom, x in zip(eqn.invars, operands, strict=True) if type(atom) is not Literal}
    alone = Jaxpr([], list(known), eqn.outvars, [eqn])
    stack = eqn.source_info.name_stack if eqn.source_info is not None else ()
    prefix = ctx.name_stack[: len(ctx.name_stack) - len(stack)]
    index = module.platform_index
    operation = ctx.build("stablehlo.case", (index,), ctx.avals_out, regions=len(module.platforms))
    for region, platform in zip(operation.regions, module.platforms, strict=True):
        with module.on_platform(platform), module.block(region, ()):
            ctx.return_(lower_equations(module, alone, (), list(known.values()), prefix))
    return list(operation.results)


PLATFORM_INDEX = ShapedArray((), "int32")


def global_operands(module: ModuleContext) -> list[Any]:
    """What every private function takes before its own arguments.

    That is the index of the platform, where there are several, and the values of the dimension variables.
    """
    index = [module.platform_index] if len(module.platforms) > 1 else []
    return [*index, *module.dimension_values.values()] if module.dimension_values else index


def _global_types(module: ModuleContext) -> list[Any]:
    return [value.type for value in global_operands(module)]


def _mark_globals(module: ModuleContext, function: Any, count: int, index: bool = True) -> None:
    """Says of a function's leading arguments which ones they are: shapes are filled in for each value of these."""
    if not module.dimension_values:
        return
    names = ["_platform_index"] if index and len(module.platforms) > 1 else []
    names += module.dimension_values
    attributes = [ir.DictAttr.get({"jax.global_constant": module.types.string(name)}) for name in names]
    rest = [ir.DictAttr.get({})] * (count - len(names))
    function.attributes["arg_attrs"] = ir.ArrayAttr.get(attributes + rest)


def _user_line(eqn: Any) -> str:
    from canter.core import source

    try:
        summary = source.summarize(eqn.source_info)
    except AttributeError:
        return ""
    return f" (used at {summary})" if summary else ""


def inline_jaxpr(ctx: LoweringRuleContext, closed: ClosedJaxpr, operands: Sequence[Any]) -> list[Any]:
    """Emits a closed jaxpr in place, with the scopes of the equation around it."""
    module = ctx.module_context
    module.identified.append(closed)
    consts = [module.array(const, ctx.location) for const in closed.consts]
    return lower_equations(module, closed.jaxpr, consts, operands, ctx.name_stack)


def fill_function(
    module: ModuleContext,
    function: Any,
    closed: ClosedJaxpr,
    arg_types: Sequence[Any],
    prefix: tuple[Any, ...],
    *,
    const_args: bool = False,
    arg_locations: Any = None,
    on_entry: Any = None,
) -> None:
    """Gives a new function its body: the equations of a jaxpr and the return.

    Args:
      arg_types: types of its arguments. In a module for several platforms the index of the one it runs on is
        the first. Then a token for each ordered effect of the jaxpr comes first, and
        so it does among the results.
      on_entry: called with the MLIR values of the jaxpr's arguments before its equations are lowered.
      const_args: the constants of the jaxpr are its next arguments, not constants of the module.
    """
    unknown = module.locations.unknown
    effects = closed.jaxpr.effects
    num_tokens = len(ordered_effects.filter_in(effects)) if effects else 0
    outer_index, outer_dimensions = module.platform_index, module.dimension_values
    with module.block(function.regions[0], arg_types, arg_locations) as args:
        if len(module.platforms) > 1:
            module.platform_index, *args = args
        if outer_dimensions:
            args = _enter_dimensions(module, args)
        tokens, args = args[:num_tokens], args[num_tokens:]
        if const_args:
            count = len(closed.consts)
            consts, args = args[:count], args[count:]
        else:
            consts = [module.array(const, unknown) for const in closed.consts]
        if on_entry is not None:
            on_entry(args)
        with module.inner_tokens(effects, tokens, isolated=True):
            results = lower_equations(module, closed.jaxpr, consts, args, prefix)
            if num_tokens:
                results = [*module.tokens_of(effects), *results]
        _create("func.return", (), results, loc=unknown)
    module.platform_index, module.dimension_values = outer_index, outer_dimensions


def _enter_dimensions(module: ModuleContext, args: Sequence[Any]) -> list[Any]:
    """Takes the dimension variables from the leading arguments of a function, and gives the others."""
    count = len(module.dimension_values)
    module.dimension_values = dict(zip(module.dimension_values, args[:count], strict=True))
    return list(args[count:])


def _call(ctx: LoweringRuleContext, symbol: str, out_types: list[Any], operands: Sequence[Any]) -> list[Any]:
    attributes = {"callee": ctx.types.symbol(symbol)}
    return list(_create("func.call", out_types, operands, attributes, loc=ctx.location).results)


def call_jaxpr(
    ctx: LoweringRuleContext, closed: ClosedJaxpr, operands: Sequence[Any], name: str
) -> list[Any]:
    """Calls a private function made of a closed jaxpr, see `private_function`."""
    module, types, effects = ctx.module_context, ctx.types, closed.jaxpr.effects
    if module.manual is not None and not module.manual.full:
        return inline_jaxpr(ctx, closed, operands)  # the partitioner sees no manual axes inside functions
    symbol = private_function(module, closed, name)
    out_types = [types.of(aval) for aval in closed.jaxpr.out_avals]
    tokens = module.tokens_of(effects) if effects else None
    operands = [*global_operands(module), *(tokens or ()), *operands]
    if not tokens:
        return _call(ctx, symbol, out_types, operands)
    results = _call(ctx, symbol, [types.token() for _ in tokens] + out_types, operands)
    module.set_tokens(effects, results[: len(tokens)])
    return results[len(tokens) :]


def private_function(module: ModuleContext, closed: ClosedJaxpr, name: str) -> str:
    """The symbol of a private function made of a closed jaxpr.

    The same jaxpr object, or one of the same name and structure, becomes one function. The constants
    of the jaxpr stand in the function: programs hoist big ones to arguments before lowering. Tokens of
    ordered effects come before the arguments and before the results.
    """
    jaxpr = closed.jaxpr
    # Under other manual axes the same collectives mean other devices.
    region = module.chosen, None if module.manual is None else module.manual.key()
    key = id(jaxpr), tuple(map(id, closed.consts)), region
    symbol = module.functions.get(key)
    if symbol is None:
        structure = None if metadata.carries_metadata(jaxpr) else structure_key(closed, name)
        if structure is not None:
            structure = structure, region
        symbol = module.functions.get(structure) if structure is not None else None
        if symbol is None:
            types = module.types
            ordered = ordered_effects.filter_in(jaxpr.effects) if jaxpr.effects else ()
            tokens = [types.token() for _ in ordered]
            in_types = _global_types(module) + tokens + [types.of(aval) for aval in jaxpr.in_avals]
            out_types = tokens + [types.of(aval) for aval in jaxpr.out_avals]
            symbol, function = module.new_function(name, in_types, out_types)
            _mark_globals(module, function, len(in_types))
            fill_function(module, function, closed, in_types, ())
            if structure is not None:
                module.functions[structure] = symbol
        module.functions[key] = symbol
        module.identified.append(closed)
    return symbol


def call_rule(
    ctx: LoweringRuleContext, rule: Any, operands: Sequence[Any], params: dict[str, Any], differs: bool
) -> list[Any]:
    """Calls a private function made of one application of a rule; equal applications share it."""
    module = ctx.module_context
    types = module.types
    out_types = [types.of(aval) for aval in ctx.avals_out]
    region = module.chosen, None if module.manual is None else module.manual.key()
    key: Any = rule, ctx.primitive, tuple(ctx.avals_in), tuple(ctx.avals_out), parameters_key(params), region
    try:
        symbol = module.functions.get(key)
    except TypeError:  # a parameter that cannot be hashed
        key = symbol = None
    if symbol is None:
        if differs:
            module.platform  # noqa: B018 (a function made for several platforms would have to know which)
        outer_dimensions = module.dimension_values
        sizes = [value.type for value in outer_dimensions.values()]
        in_types = sizes + [types.of(aval) for aval in ctx.avals_in]
        symbol, function = module.new_function(ctx.primitive.name, in_types, out_types)
        _mark_globals(module, function, len(in_types), index=False)
        inner = ctx.replace(location=module.locations.name(ctx.primitive.name), name_stack=())
        with module.block(function.regions[0], in_types) as args:
            if outer_dimensions:
                args = _enter_dimensions(module, args)
            results = rule(inner, *args, **params)
            results = list(results) if isinstance(results, (list, tuple)) else [results]
            _create("func.return", (), results, loc=module.locations.unknown)
        module.dimension_values = outer_dimensions
        if key is not None:
            module.functions[key] = symbol
            module.identified.append(key)
    return _call(ctx, symbol, out_types, [*module.dimension_values.values(), *operands])
