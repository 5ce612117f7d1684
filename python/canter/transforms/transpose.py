"""Reverse-mode differentiation: running a linear program backwards.

The program may hold equations that do not depend on the linear arguments (a rematerialised forward
pass, for example). They are evaluated first, in order; then the linear ones are transposed in
reverse, cotangents adding up where a variable is used more than once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from ..core.jaxpr import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var, apply_eqn
from ..core.mesh import explicit_mesh, lenient_layouts
from ..core.trace import state
from ..core.tracing import trace_to_jaxpr
from .rules import add_tangents, cotangent_layout, instantiate_zeros
from .zeros import UndefinedPrimal, Zero, is_undefined_primal

__all__ = ["backward_pass", "call_transpose", "transpose_jaxpr"]


def backward_pass(
    jaxpr: Jaxpr,
    consts: Sequence[Any],
    args: Sequence[Any],
    cotangents: Sequence[Any],
    *,
    all_linear: bool = False,
) -> list[Any]:
    """Cotangents of the linear arguments of a program.

    Args:
      jaxpr: the program; its constants are never linear.
      consts: values of the constant variables.
      args: `UndefinedPrimal` for each linear argument, values for the others.
      cotangents: of the results; may be symbolic zeros.
      all_linear: whether every equation depends on a linear argument, as those of a tape do.

    Returns:
      One cotangent an argument: an array or `Zero` where it is linear, None elsewhere.
    """
    values: dict[Var, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    for var, arg in zip(jaxpr.invars, args, strict=True):
        if type(arg) is not UndefinedPrimal:
            values[var] = arg
    linear_eqns = jaxpr.eqns if all_linear else _evaluate_known(jaxpr, values)

    ends = (*jaxpr.invars, *jaxpr.outvars)
    typed = any(v.aval.layout is not None or v.aval.memory is not None for v in ends)
    if not typed and explicit_mesh() is not None:
        typed = True
    context = lenient_layouts() if typed else nullcontext()
    with context:
        return _backward_pass(jaxpr, linear_eqns, args, cotangents, values, typed)


def _backward_pass(
    jaxpr: Jaxpr,
    linear_eqns: Sequence[JaxprEqn],
    args: Sequence[Any],
    cotangents: Sequence[Any],
    values: dict[Var, Any],
    typed: bool,
) -> list[Any]:
    pending: dict[Var, Any] = {}
    for out, cotangent in zip(jaxpr.outvars, cotangents, strict=True):
        if type(cotangent) is not Zero and type(out) is not Literal and out not in values:
            if typed:
                cotangent = cotangent_layout(cotangent, out.aval)
            known = pending.get(out)
            pending[out] = cotangent if known is None else add_tangents(known, cotangent)
    outer_stack, outer_traceback = state.name_stack, state.traceback
    try:
        for eqn in reversed(linear_eqns):
            _transpose_eqn(eqn, values, pending, outer_stack, typed)
    finally:
        state.name_stack, state.traceback = outer_stack, outer_traceback
    return [
        (pending[var] if var in pending else Zero(var.aval)) if type(arg) is UndefinedPrimal else None
        for var, arg in zip(jaxpr.invars, args, strict=True)
    ]


def _evaluate_known(jaxpr: Jaxpr, values: dict[Var, Any]) -> list[JaxprEqn]:
    """Evaluates what does not depend on the linear arguments, those without a value; gives the equations that do."""
    linear_eqns = []
    for eqn in jaxpr.eqns:
        if all(type(v) is Literal or v in values for v in eqn.invars):
            operands = [v.val if type(v) is Literal else values[v] for v in eqn.invars]
            values.update(zip(eqn.outvars, apply_eqn(eqn, operands), strict=True))
        else:
            linear_eqns.append(eqn)
    return linear_eqns


def _transpose_eqn(
    eqn: JaxprEqn, values: dict[Var, Any], pending: dict[Var, Any], outer_stack: Any, typed: bool
) -> None:
    """Adds the cotangents of an equation's linear operands to those that are pending."""
    primitive = eqn.primitive
    outvars = eqn.outvars
    if primitive.multiple_results:
        found = [pending.pop(var, None) for var in outvars]
        if all(ct is None for ct in found):
            return
        cotangent: Any = [Zero(v.aval) if ct is None else ct for v, ct in zip(outvars, found, strict=True)]
    else:
        cotangent = pending.pop(outvars[0], None)
        if cotangent is None:
            return
    rule = primitive.transpose_rule
    if rule is None:
        raise NotImplementedError(
            f"Primitive '{primitive.name}' has no transpose rule, so reverse-mode differentiation "
            "cannot go through it. Use forward mode (`jvp`, `jacfwd`) or give the function a `custom_vjp`."
        )
    invars = eqn.invars
    operands = [
        v.val if type(v) is Literal else values[v] if v in values else UndefinedPrimal(v.aval) for v in invars
    ]
    source = eqn.source_info
    if source is None:
        state.name_stack = outer_stack
    else:  # what the rule does is of the line and the scope that it differentiates
        state.traceback = source.traceback
        state.name_stack = (*outer_stack, *source.name_stack) if source.name_stack else outer_stack
    results = rule(cotangent, *operands, **eqn.params)
    for var, operand, ct in zip(invars, operands, results, strict=True):
        if ct is not None and type(operand) is UndefinedPrimal and type(ct) is not Zero:
            if typed:
                ct = cotangent_layout(ct, operand.aval)
            known = pending.get(var)
            pending[var] = ct if known is None else add_tangents(known, ct)


def transpose_jaxpr(
    closed: ClosedJaxpr,
    linear: Sequence[bool],
    nonzero_cotangents: Sequence[bool],
    instantiate: bool | Sequence[bool] = False,
) -> tuple[ClosedJaxpr, list[bool]]:
    """The transposed program.

    Args:
      closed: the program.
      linear: which arguments are linear.
      nonzero_cotangents: which results have a cotangent.
      instantiate: which linear arguments (in their order) are to get a cotangent even if it is zero.

    Returns:
      A jaxpr from (the other arguments, cotangents of the results that have one) to the cotangents
      of the linear arguments that get one; and, per linear argument, whether it gets one.
    """
    key = (
        "transpose",
        tuple(linear),
        tuple(nonzero_cotangents),
        instantiate if isinstance(instantiate, bool) else tuple(instantiate),
    )
    known = closed.memo.get(key)
    if known is not None:
        return known
    jaxpr = closed.jaxpr
    others = [v.aval for v, is_linear in zip(jaxpr.invars, linear, strict=True) if not is_linear]
    cotangent_avals = [
        v.aval.to_tangent_aval()
        for v, nonzero in zip(jaxpr.outvars, nonzero_cotangents, strict=True)
        if nonzero
    ]
    nonzeros: list[bool] = []
    num_linear = sum(linear)
    wanted = (instantiate,) * num_linear if isinstance(instantiate, bool) else tuple(instantiate)

    def transposed(*args: Any) -> list[Any]:
        given, cotangents = iter(args[: len(others)]), iter(args[len(others) :])
        operands = [
            UndefinedPrimal(v.aval) if is_linear else next(given)
            for v, is_linear in zip(jaxpr.invars, linear, strict=True)
        ]
        cts = [
            next(cotangents) if nonzero else Zero(v.aval)
            for v, nonzero in zip(jaxpr.outvars, nonzero_cotangents, strict=True)
        ]
        results = backward_pass(jaxpr, closed.consts, operands, cts)
        results = [r for r, is_linear in zip(results, linear, strict=True) if is_linear]
        results = [instantiate_zeros(r) if want else r for r, want in zip(results, wanted, strict=True)]
        nonzeros.extend(type(r) is not Zero for r in results)
        return [r for r in results if type(r) is not Zero]

    result = trace_to_jaxpr(transposed, [*others, *cotangent_avals], debug_info=jaxpr.debug_info)
    closed.memo[key] = (result, nonzeros)
    return result, nonzeros


def call_transpose(
    bind: Callable[..., list[Any]], closed: ClosedJaxpr, cotangents: Any, args: Any, params: dict[str, Any]
) -> list[Any]:
    """The transpose rule of a primitive that calls a program: it calls the transposed program.

    Args:
      bind: `bind(program, operands, params)` applies the primitive to a program derived from `closed`.
      closed: the program.
      cotangents: of its results; may be symbolic zeros.
      args: its arguments, `UndefinedPrimal` where they are linear.
      params: the primitive's other parameters.
    """
    linear = [is_undefined_primal(arg) for arg in args]
    given = [ct for ct in cotangents if type(ct) is not Zero]
    transposed, nonzeros = transpose_jaxpr(closed, linear, [type(ct) is not Zero for ct in cotangents])
    known = [arg for arg, is_linear in zip(args, linear, strict=True) if not is_linear]
    results, flags = iter(bind(transposed, [*known, *given], params)), iter(nonzeros)
    return [
        (next(results) if next(flags) else Zero(arg.aval)) if is_linear else None
        for arg, is_linear in zip(args, linear, strict=True)
    ]
