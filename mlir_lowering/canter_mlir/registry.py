"""The table of lowering rules. Light: it may be imported without loading MLIR.

A rule is `rule(ctx, *operands, **params)`. `ctx` is a `canter_mlir.context.LoweringRuleContext`,
the operands are MLIR values, the parameters are the equation's. It returns one MLIR value per
result: a list, or for one result the bare value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

__all__ = [
    "ElementwiseOp",
    "Rule",
    "cache_lowering",
    "find_rule",
    "has_own_rule",
    "ir_type_handlers",
    "lower_fun",
    "register_constant_handler",
    "register_lowering",
    "register_table",
    "registered_platforms",
    "traced",
]

Rule = Callable[..., Any]


class ElementwiseOp(NamedTuple):
    """A rule for primitives that are one elementwise operation; the driver emits it by itself.

    Operands without dimensions are broadcast to the shape of the result. With `takes_accuracy` the
    primitive's parameter of that name becomes the attribute `result_accuracy`. For complex operands
    `repair(ctx, operand, result)` emits what the operation alone does not do.
    """

    name: str
    attributes: Any = None
    takes_accuracy: bool = False
    repair: Callable[..., Any] | None = None


# Rules by platform (None: the default for all) and primitive. Canter's own rules are keyed by name,
# so that their modules need not import the primitives; a rule for the object itself comes first.
_rules: dict[str | None, dict[Any, Any]] = {None: {}}


# For values and avals from outside: type of the value -> function of (value, aval) to an MLIR value, and type of
# the aval -> function of it to an MLIR type.
constant_handlers: dict[type, Callable[..., Any]] = {}
ir_type_handlers: dict[type, Callable[[Any], Any]] = {}


def register_constant_handler(type_: type, handler_fun: Callable[..., Any]) -> None:
    """Declares how captured values of a type become constants of the module: `handler(value, aval)`."""
    constant_handlers[type_] = handler_fun


def register_lowering(primitive: Any, rule: Any, platform: str | None = None) -> Any:
    """Declares how a primitive is lowered, replacing an earlier rule.

    Args:
      primitive: a Primitive, or the name of one of Canter's own.
      rule: `rule(ctx, *operands, **params)`, see the module; or an `ElementwiseOp`.
      platform: "cpu", "cuda", "rocm", "tpu"; None for the default rule of all platforms.

    Returns:
      The rule.

    Example:
      >>> from canter.core.primitive import Primitive
      >>> from canter_mlir.registry import register_lowering
      >>> twice = Primitive("twice")
      >>> _ = register_lowering(twice, lambda ctx, x: ctx.op("stablehlo.add", (x, x), ctx.avals_out[0]))
    """
    _rules.setdefault(platform, {})[primitive] = rule
    return rule


def register_table(table: dict[str, Any], platform: str | None = None) -> None:
    """Declares many rules: primitive name -> rule, or the name of an elementwise operation."""
    own = _rules.setdefault(platform, {})
    for name, rule in table.items():
        own[name] = ElementwiseOp(rule) if isinstance(rule, str) else rule


def find_rule(primitive: Any, platform: str | None) -> Any:
    """The rule of a primitive on a platform, or None.

    A rule for the primitive itself comes before one for its name, a rule for the platform before a default one.
    """
    from . import rules

    while True:
        rule = _find_loaded(primitive, platform)
        if rule is not None or not rules.load_next():
            return rule


def _find_loaded(primitive: Any, platform: str | None) -> Any:
    tables = [table for table in (_rules.get(platform), _rules[None]) if table is not None]
    for table in tables:
        if primitive in table:
            rule = table[primitive]
            if isinstance(rule, ElementwiseOp) or getattr(rule, "sets_locations", False):
                return rule
            return _with_location(rule)
    # A primitive from outside that calls a program is lowered as such calls are, whatever its name.
    names = [primitive.name, "call"] if hasattr(primitive, "subfunctions") else [primitive.name]
    for name in names:
        for table in tables:
            if name in table:
                return table[name]
    return None


def has_own_rule(primitive: Any, platform: str) -> bool:
    """Whether a platform has a rule for a primitive that is not the default one."""
    table = _rules.get(platform, {})
    return primitive in table or primitive.name in table


def registered_platforms(primitive: Any) -> list[str]:
    """The platforms for which a primitive has a rule of its own; ["all"] when it has a default one."""
    from . import rules

    rules.load_all()
    found = [
        platform or "all"
        for platform, table in _rules.items()
        if primitive in table or primitive.name in table
    ]
    return sorted(found)


def _with_location(rule: Rule) -> Rule:
    """A rule from outside builds operations at MLIR's ambient location; Canter's own name theirs."""

    def lower(ctx: Any, *operands: Any, **params: Any) -> Any:
        with ctx.location:
            return _as_values(ctx, rule(ctx, *operands, **params))

    lower.from_outside = True  # type: ignore[attr-defined]
    return lower


def _as_values(ctx: Any, results: Any) -> list[Any]:
    """What a rule gave as one MLIR value a result."""
    from .mlir_door import ir

    if isinstance(results, ir.Value):
        values = [results]
    else:
        # Some rules give for each result a sequence of one value.
        found = () if results is None else getattr(results, "results", results)
        values = [x[0] if isinstance(x, (list, tuple)) and len(x) == 1 else x for x in found]
    if len(values) != len(ctx.avals_out) or not all(isinstance(x, ir.Value) for x in values):
        raise ValueError(
            f"The lowering rule of primitive '{ctx.primitive}' gave {results!r:.80}, which is not one MLIR value for "
            f"each of its {len(ctx.avals_out)} results."
        )
    return values


def traced(fun: Callable[..., Any], avals: tuple[Any, ...], params: dict[str, Any], multiple: bool) -> Any:
    """The program of a function of arrays, whose result is a list where `multiple`."""
    from canter.core.tracing import trace_to_jaxpr

    def flat(*args: Any) -> Any:
        out = fun(*args, **params)
        return list(out) if multiple else [out]

    return trace_to_jaxpr(flat, avals, name=getattr(fun, "__name__", "lower_fun"))


def lower_fun(fun: Callable[..., Any], multiple_results: bool = True) -> Rule:
    """A rule that traces a function of arrays and lowers what it did, in place.

    Args:
      fun: `fun(*arrays, **params)`, written with canter.lax.
      multiple_results: True when `fun` returns a sequence of results, False when one array.

    Example:
      >>> from canter import lax
      >>> from canter.core.primitive import Primitive
      >>> from canter_mlir.registry import lower_fun, register_lowering
      >>> cube = Primitive("cube")
      >>> _ = register_lowering(cube, lower_fun(lambda x: lax.mul(x, lax.mul(x, x)), multiple_results=False))
    """
    # The traces of one rule: (avals, parameters, configuration) -> closed jaxpr.
    known: dict[Any, Any] = {}

    def lower(ctx: Any, *operands: Any, **params: Any) -> Sequence[Any]:
        from canter.core.structure import parameters_key
        from canter_pjrt.jaxlib_door import trace_context

        avals = tuple(ctx.avals_in)
        closed = None
        try:
            key = avals, parameters_key(params), trace_context()
            closed = known.get(key)
        except TypeError:  # a parameter that cannot be hashed
            key = None
        if closed is None:
            closed = traced(fun, avals, params, multiple_results)
            if key is not None:
                if len(known) >= 256:
                    known.clear()
                known[key] = closed
        return ctx.inline(closed, operands)

    lower.sets_locations = True  # type: ignore[attr-defined]
    return lower


def cache_lowering(rule: Rule, differs: bool = True) -> Rule:
    """The same rule, lowered once into a private function that every equal application calls.

    Two applications are equal when primitive, operand and result avals, and parameters are.

    Args:
      rule: the rule.
      differs: whether it may emit something else on another platform; a module for several platforms
        then has a function for each.
    """

    def lower(ctx: Any, *operands: Any, **params: Any) -> Sequence[Any]:
        return ctx.call_rule(rule, operands, params, differs)

    lower.sets_locations = True  # type: ignore[attr-defined]
    return lower
