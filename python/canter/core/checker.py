"""What a legal jaxpr is, as a function that checks it.

Tests run it after every transformation and pass; with `enable_checks` it runs on every jaxpr built.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import source
from .avals import AbstractValue, ShapedArray, typematch
from .errors import JaxprTypeError
from .jaxpr import ClosedJaxpr, DropVar, Jaxpr, JaxprEqn, Literal, Var, jaxprs_in_params
from .mesh import lenient_layouts
from .tracing import infer_avals

__all__ = ["check_jaxpr"]


def check_jaxpr(jaxpr: Jaxpr | ClosedJaxpr) -> None:
    """Raises JaxprTypeError unless a jaxpr obeys the rules of its language.

    The rules: each variable is bound once, before it is used, and by this jaxpr; each equation has
    as many results as its primitive gives, of the avals that the primitive's shape rule computes;
    literals are scalars of their aval; effects are those of the equations; inner jaxprs obey too.

    Args:
      jaxpr: an open or closed jaxpr.

    Raises:
      JaxprTypeError: a rule is broken; the message shows the equation and the user's line.

    >>> import canter as ct
    >>> from canter.core.checker import check_jaxpr
    >>> check_jaxpr(ct.make_jaxpr(lambda x: ct.lax.sin(x))(1.0))
    """
    checked: set[int] = set()
    pending = [jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr]
    if isinstance(jaxpr, ClosedJaxpr):
        _check_constants(jaxpr)
    while pending:
        current = pending.pop()
        if id(current) not in checked:
            checked.add(id(current))
            _check_one(current)
            pending += [inner for eqn in current.eqns for inner in jaxprs_in_params(eqn.params)]


def _check_constants(closed: ClosedJaxpr) -> None:
    if len(closed.consts) != len(closed.jaxpr.constvars):
        raise JaxprTypeError(
            f"A closed jaxpr has {len(closed.jaxpr.constvars)} constant variables, "
            f"but {len(closed.consts)} values."
        )
    for var, value in zip(closed.jaxpr.constvars, closed.consts, strict=True):
        shape = getattr(value, "shape", ())
        if isinstance(var.aval, ShapedArray) and tuple(shape) != var.aval.shape:
            raise JaxprTypeError(
                f"A constant variable has the type {var.aval.str_short()}, "
                f"but its value has the shape {shape}."
            )


def _check_one(jaxpr: Jaxpr) -> None:
    bound: set[Any] = set()
    for kind, variables in (("constant", jaxpr.constvars), ("argument", jaxpr.invars)):
        for var in variables:
            if type(var) is DropVar or not isinstance(var, Var):
                raise JaxprTypeError(f"A {kind} of a jaxpr must be a variable, not {var!r}.")
            _bind(var, bound, f"as {kind}", None)
    effects: set[Any] = set()
    for eqn in jaxpr.eqns:
        _check_eqn(eqn, bound)
        effects.update(eqn.effects)
    for position, atom in enumerate(jaxpr.outvars):
        _check_use(atom, bound, f"result {position}", None)
    missing = effects - set(jaxpr.effects)
    if missing:
        raise JaxprTypeError(
            f"The effects {sorted(map(str, missing))} of equations are not among the jaxpr's own effects."
        )


def _fail(message: str, eqn: JaxprEqn | None) -> JaxprTypeError:
    if eqn is None:
        return JaxprTypeError(message)
    text = str(eqn).splitlines()
    shown = "\n  ".join(text if len(text) <= 8 else [*text[:7], "..."])
    where = source.summarize(eqn.source_info, "")
    return JaxprTypeError(
        f"{message}\nThe equation is\n  {shown}" + (f"\nwritten at {where}." if where else "")
    )


def _bind(var: Any, bound: set[Any], place: str, eqn: JaxprEqn | None) -> None:
    if not isinstance(var.aval, AbstractValue):
        raise _fail(f"The variable bound {place} has no aval: {var.aval!r}.", eqn)
    if var in bound:
        raise _fail(
            f"A variable of type {var.aval.str_short()} is bound twice, the second time {place}.", eqn
        )
    bound.add(var)


def _check_use(atom: Any, bound: set[Any], place: str, eqn: JaxprEqn | None) -> None:
    if isinstance(atom, Literal):
        _check_literal(atom, place, eqn)
    elif not isinstance(atom, Var):
        raise _fail(f"The {place} must be a variable or a literal, not {atom!r}.", eqn)
    elif type(atom) is DropVar:
        raise _fail(f"The {place} is a dropped variable, which has no value.", eqn)
    elif atom not in bound:
        raise _fail(
            f"The {place}, of type {atom.aval.str_short()}, is used before it is bound, or bound elsewhere.",
            eqn,
        )


def _check_literal(literal: Literal, place: str, eqn: JaxprEqn | None) -> None:
    aval, shape = literal.aval, tuple(getattr(literal.val, "shape", ()))
    if isinstance(aval, ShapedArray) and (aval.shape or shape):
        raise _fail(
            f"The {place} is a literal of shape {shape} and aval {aval.str_short()}; it must be a scalar.",
            eqn,
        )
    dtype = getattr(literal.val, "dtype", None)
    if dtype is not None and isinstance(aval, ShapedArray) and dtype != aval.dtype:
        raise _fail(f"The {place} is a literal of dtype {dtype}, but its aval says {aval.str_short()}.", eqn)


def _check_eqn(eqn: JaxprEqn, bound: set[Any]) -> None:
    for position, atom in enumerate(eqn.invars):
        _check_use(atom, bound, f"operand {position}", eqn)
    avals = tuple(atom.aval for atom in eqn.invars)
    typed = any(aval.layout is not None for aval in avals)
    try:
        if typed:  # what was ambiguous may have been settled by whoever asked for the result
            with lenient_layouts():
                out, effects = infer_avals(eqn.primitive, avals, eqn.params)
        else:
            out, effects = infer_avals(eqn.primitive, avals, eqn.params)
        if out is None:  # literals vary along no axis, but may stand beside operands that do
            union = frozenset().union(*(aval.vma for aval in avals))
            avals = tuple(aval.update(vma=union) for aval in avals)
            out, effects = infer_avals(eqn.primitive, avals, eqn.params)
    except Exception as error:
        raise _fail(f"The shape rule of {eqn.primitive.name} refuses its operands: {error}", eqn) from error
    expected = list(out) if eqn.primitive.multiple_results else [out]
    if len(expected) != len(eqn.outvars):
        raise _fail(
            f"{eqn.primitive.name} gives {len(expected)} results, but the equation binds {len(eqn.outvars)}.",
            eqn,
        )
    for position, (var, aval) in enumerate(zip(eqn.outvars, expected, strict=True)):
        if not typematch(var.aval, aval):
            raise _fail(
                f"Result {position} of {eqn.primitive.name} is a variable of type {var.aval.str_short()}, "
                f"but the shape rule gives {aval.str_short()}.",
                eqn,
            )
        if type(var) is not DropVar:
            _bind(var, bound, f"as result {position} of {eqn.primitive.name}", eqn)
    _check_effects(effects, eqn)


def _check_effects(expected: Iterable[Any], eqn: JaxprEqn) -> None:
    missing = set(expected) - set(eqn.effects)
    if missing:
        raise _fail(f"The equation lacks the effects {sorted(map(str, missing))} of its primitive.", eqn)
