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
    "lower_fun",
    "register_lowering",
    "register_table",
    "registered_platforms",
    "traced",
]

Rule = Callable[..., Any]


class ElementwiseOp(NamedTuple):
    """A rule for primitives that are one elementwise operation; the driver emits it by itself.

    Operands without dimensions are broadcast to the shape of the result. With `takes_accuracy` the
    primitive's parameter of that name becomes the attribute `result_accuracy`.
    """

    name: str
    attributes: Any = None
    takes_accuracy: bool = False


# Rules by platform (None: the default for all) and primitive. Canter's own rules are keyed by name,
# so that their modules need not import the primitives; a rule for the object itself comes first.
_rules: dict[str | None, dict[Any, Any]] = {None: {}}


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

    A rule for the platform comes before a default one, a rule for the primitive itself before one
    for its name.
    """
    for table in (_rules.get(platform), _rules[None]):
        if table is None:
            continue
        if primitive in table:
            rule = table[primitive]
            if isinstance(rule, ElementwiseOp) or getattr(rule, "sets_locations", False):
                return rule
            return _with_location(rule)
        if primitive.name in table:
            return table[primitive.name]
    return None


def registered_platforms(primitive: Any) -> list[str]:
    """The platforms for which a primitive has a rule of its own; ["all"] when it has a default one."""
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
            return rule(ctx, *operands, **params)

    lower.from_outside = True  # type: ignore[attr-defined]
    return lower


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
        from canter_pjrt.jaxlib_door import trace_context

        avals = tuple(ctx.avals_in)
        closed = None
        try:
            key = avals, tuple(params.items()), trace_context()
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


def cache_lowering(rule: Rule) -> Rule:
    """The same rule, lowered once into a private function that every equal application calls.

    Two applications are equal when primitive, operand and result avals, and parameters are.
    """

    def lower(ctx: Any, *operands: Any, **params: Any) -> Sequence[Any]:
        return ctx.call_rule(rule, operands, params)

    lower.sets_locations = True  # type: ignore[attr-defined]
    return lower
