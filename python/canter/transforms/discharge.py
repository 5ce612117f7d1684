"""Programs with mutable references made pure: values of references go in, and new ones come out.

A program is evaluated with a cell for each of its references; what is traced meanwhile is the pure program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..core.avals import get_aval
from ..core.high import MutableAval, high_effects, is_high
from ..core.jaxpr import ClosedJaxpr, Literal, jaxprs_in_params
from ..core.primitive import Primitive
from ..core.source import summarize
from ..core.state import PRIMITIVES, AbstractRef, Ref, get_p, has_ref_effects, is_ref, swap_p
from ..core.trace import Tracer, references, state
from ..core.tracing import JaxprTrace, LoweringTrace, trace_to_jaxpr
from .call_primitives import call_p, closed_call_p
from .jit_call import call as call_jit, jit_p
from .lowering_high import apply_high, change_states, is_high_call, lowered
from .remat import remat_p

__all__ = [
    "Discharged",
    "discharge",
    "discharge_local",
    "discharge_rules",
    "evaluate_with_cells",
    "of_arrays",
    "split_references",
]

# Primitive -> rule(bind, slots, values, count, params): see `_apply`.
discharge_rules: dict[Primitive, Callable[..., Any]] = {}


class Discharged(NamedTuple):
    """A pure program from (arguments that are no references, values of references) to (results, values).

    Attributes:
      closed: the program.
      written: which references it writes.
    """

    closed: ClosedJaxpr
    written: tuple[bool, ...]


def split_references(args: Sequence[Any]) -> tuple[list[int | None], list[Any]]:
    """For each argument the number of the reference that it is, or None; and the references."""
    found: dict[int, int] = {}
    refs: list[Any] = []
    slots: list[int | None] = []
    for arg in args:
        if not is_ref(arg):
            slots.append(None)
            continue
        if id(arg) not in found:
            found[id(arg)] = len(refs)
            refs.append(arg)
        slots.append(found[id(arg)])
    return slots, refs


def discharge(closed: ClosedJaxpr, slots: Sequence[int | None], avals: Sequence[AbstractRef]) -> Discharged:
    """The pure form of a program.

    Args:
      closed: the program.
      slots: for each of its arguments the number of the reference that it is, or None.
      avals: the types of the references.
    """
    key = ("discharge", tuple(slots), tuple(avals))
    known = closed.memo.get(key)
    if known is not None:
        return known
    plain = [v.aval for v, slot in zip(closed.jaxpr.invars, slots, strict=True) if slot is None]

    def pure(*given: Any) -> list[Any]:
        values = iter(given[: len(plain)])
        cells = [Ref(aval, value) for aval, value in zip(avals, given[len(plain) :], strict=True)]
        args = [next(values) if slot is None else cells[slot] for slot in slots]
        outs = evaluate_with_cells(closed, args)
        return [*outs, *(cell._held() for cell in cells)]

    traced = trace_to_jaxpr(
        pure,
        [*plain, *(aval.inner_aval for aval in avals)],
        debug_info=closed.jaxpr.debug_info,
        trace_type=LoweringTrace if references.in_use else JaxprTrace,
    )
    invars, outvars = traced.jaxpr.invars, traced.jaxpr.outvars
    count = len(avals)
    pairs = zip(invars[len(invars) - count :], outvars[len(outvars) - count :], strict=True)
    result = closed.memo[key] = Discharged(traced, tuple(new is not old for old, new in pairs))
    return result


def discharge_local(closed: ClosedJaxpr) -> ClosedJaxpr:
    """The program without the references that it makes for itself."""
    return discharge(closed, [None] * len(closed.jaxpr.invars), ()).closed


def of_arrays(closed: ClosedJaxpr) -> ClosedJaxpr:
    """The program of arrays: of what references hold, and of what values of high types consist of."""
    if any(map(is_high, (*closed.in_avals, *closed.out_avals))):
        closed = lowered(closed, evaluate_with_cells).closed
    slots: list[int | None] = []
    refs: list[AbstractRef] = []
    for aval in closed.in_avals:
        slots.append(len(refs) if isinstance(aval, AbstractRef) else None)
        refs += [aval] if isinstance(aval, AbstractRef) else []
    return discharge(closed, slots, refs).closed if refs else closed


def evaluate_with_cells(closed: ClosedJaxpr, args: Sequence[Any]) -> list[Any]:
    """Evaluates a program in the current trace; its references are cells."""
    jaxpr = closed.jaxpr
    env: dict[Any, Any] = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    env.update(zip(jaxpr.invars, args, strict=True))
    outer = state.traceback
    try:
        for eqn in jaxpr.eqns:
            state.traceback = None if eqn.source_info is None else eqn.source_info.traceback
            primitive = eqn.primitive
            operands = [v.val if type(v) is Literal else env[v] for v in eqn.invars]
            if primitive in PRIMITIVES and not (operands and _is_traced_ref(operands[0])):
                assert primitive.impl is not None
                results = primitive.impl(*operands, **eqn.params)
            elif primitive.call_primitive and is_high_call(operands, eqn.params):
                results = apply_high(primitive, operands, eqn.params, _apply_to_cells, evaluate_with_cells)
            elif primitive.call_primitive and _concern(primitive, operands, eqn.params):
                results = _apply_to_cells(primitive, operands, eqn.params)
            elif hasattr(primitive, "to_lojax"):
                results = primitive.to_lojax(*operands, **eqn.params)
            elif any(type(x) is Ref for x in operands):
                raise TypeError(
                    f"{primitive.name} takes arrays, not mutable references: read the reference with `ref[...]`"
                    f" (at {summarize(eqn.source_info)})."
                )
            else:
                results = primitive.bind(*operands, **eqn.params)
            env.update(zip(eqn.outvars, results if primitive.multiple_results else (results,), strict=True))
    finally:
        state.traceback = outer
    return [v.val if type(v) is Literal else env[v] for v in jaxpr.outvars]


def _is_traced_ref(value: Any) -> bool:
    """Whether a reference stays one in the program that is being made."""
    return isinstance(value, Tracer) and is_ref(value)


def _apply_to_cells(primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
    if not _concern(primitive, args, params):
        return primitive.bind(*args, **params)
    return _apply(primitive, args, params, read=_read_cell, write=_write_cell)


def _read_cell(cell: Ref) -> Any:
    return cell._held()


def _write_cell(cell: Ref, value: Any) -> None:
    cell._value = value


def _everything(ref: Any) -> tuple[slice, ...]:
    return tuple(slice(0, size, 1) for size in ref.shape)


def _read_ref(ref: Any) -> Any:
    return get_p.bind(ref, indices=_everything(ref))


def _write_ref(ref: Any, value: Any) -> None:
    swap_p.bind(ref, value, indices=_everything(ref))


def _concern(primitive: Primitive, args: Any, params: dict[str, Any]) -> bool:
    """Whether a primitive with inner programs has references among its operands or inside."""
    return any(map(is_ref, args)) or any(has_ref_effects(j.effects) for j in jaxprs_in_params(params))


def _apply(
    primitive: Primitive,
    args: Sequence[Any],
    params: dict[str, Any],
    read: Callable[[Any], Any] = _read_ref,
    write: Callable[[Any, Any], None] = _write_ref,
) -> Any:
    """Applies a primitive with inner programs to references: reads them, applies it to values, writes them."""
    rule = discharge_rules.get(primitive)
    if rule is None:
        raise NotImplementedError(
            f"Mutable references cannot go into '{primitive.name}'. Read them before, and write them after it."
        )
    slots, refs = split_references(args)
    values = [read(ref) for ref in refs]
    outs, new = rule(args, slots, values, [ref.aval for ref in refs], params)
    for ref, value in new:
        write(refs[ref], value)
    return outs


def _discharge_local(closed: ClosedJaxpr) -> ClosedJaxpr:
    effects = closed.effects
    concerned = has_ref_effects(effects) or (effects and any(effect in high_effects for effect in effects))
    return discharge_local(closed) if concerned else closed


def _concern_when_run(primitive: Primitive, args: Any, params: dict[str, Any]) -> bool:
    return _concern(primitive, args, params) or is_high_call(args, params)


def _run(primitive: Primitive, args: Any, params: dict[str, Any]) -> Any:
    if is_high_call(args, params):
        return apply_high(
            primitive, args, params, lambda p, xs, given: p.bind(*xs, **given), evaluate_with_cells
        )
    return _apply(primitive, args, params)


def _check_arguments(leaves: Sequence[Any], names: Any, constants: Sequence[Any], where: str) -> None:
    """Two names for one reference would be two values in the pure program."""
    seen: dict[int, int] = {}
    for position, leaf in enumerate(leaves):
        if not is_ref(leaf) and not getattr(get_aval(leaf), "has_qdd", False):
            continue
        other = seen.setdefault(id(leaf), position)
        if other != position:
            raise ValueError(
                f"only one reference to a mutable array may be passed as an argument to a function, but when tracing "
                f"{where} for jit the mutable array reference of type {get_aval(leaf)} appeared at both "
                f"{names[other]} and {names[position]}."
            )
    for constant in constants:
        if id(constant) in seen:
            raise ValueError(
                f"when tracing {where} for jit, a mutable array reference of type {get_aval(constant)} was both closed "
                f"over and passed as the argument {names[seen[id(constant)]]}. Use only one of the two."
            )


def _check_results(trace: Any, outvars: Sequence[Any]) -> None:
    for place, var in enumerate(outvars):
        if not isinstance(var.aval, (AbstractRef, MutableAval)):
            continue
        origin = "It was made outside of the function and closed over."
        if var in trace.invars:
            origin = f"It is argument {trace.invars.index(var)} of the function."
        else:
            made = next((eqn for eqn in trace.eqns if var in eqn.outvars), None)
            if made is not None:
                origin = f"It was made at {summarize(made.source_info)}."
        raise ValueError(
            f"function {trace.debug_info.func_name} traced for {trace.debug_info.traced_for} returned a mutable array "
            f"reference of type {var.aval.str_short()} (result {place}), but mutable array references cannot be "
            f"returned. {origin} Return what it refers to, `ref[...]`, or the arrays that it consists of."
        )


references.check_arguments = _check_arguments
references.check_results = _check_results
references.concern = _concern
references.apply = _apply
references.concern_when_run = _concern_when_run
references.run = _run
references.change_states = lambda primitive, avals, params: change_states(
    primitive, avals, params, evaluate_with_cells
)
references.discharge_local = _discharge_local


def plain_args(args: Sequence[Any], slots: Sequence[int | None]) -> list[Any]:
    """The arguments that are no references."""
    return [x for x, slot in zip(args, slots, strict=True) if slot is None]


def pruned(found: Discharged, num_outs: int) -> ClosedJaxpr:
    """The pure program without the values of references that it does not write."""
    outvars = found.closed.jaxpr.outvars
    kept = [v for v, w in zip(outvars[num_outs:], found.written, strict=True) if w]
    key = "discharge pruned"
    known = found.closed.memo.get(key)
    if known is None:
        jaxpr = found.closed.jaxpr.replace(outvars=[*outvars[:num_outs], *kept])
        known = found.closed.memo[key] = ClosedJaxpr(jaxpr, found.closed.consts)
    return known


def _calling(parameter: str, bind: Callable[..., Any]) -> Callable[..., Any]:
    """The rule of a primitive that calls the program in one of its parameters, which may be open."""

    def rule(args: Any, slots: Any, values: Any, avals: Any, params: Any) -> Any:
        given = params[parameter]
        closed = given if isinstance(given, ClosedJaxpr) else ClosedJaxpr(given, [])
        found = discharge(closed, slots, avals)
        num_outs = len(closed.jaxpr.outvars)
        outs = bind(pruned(found, num_outs), [*plain_args(args, slots), *values], params)
        written = [i for i, w in enumerate(found.written) if w]
        return outs[:num_outs], zip(written, outs[num_outs:], strict=True)

    return rule


def _call(primitive: Primitive) -> Callable[..., Any]:
    def bind(closed: ClosedJaxpr, args: Any, params: Any) -> Any:
        return primitive.bind(*args, **{**params, "call_jaxpr": closed})

    return bind


def _call_remat(closed: ClosedJaxpr, args: Any, params: Any) -> Any:
    from ..core.jaxpr import Jaxpr
    from .partial_evaluation import close_over_nothing

    opened, consts = close_over_nothing(closed)
    inner = opened.jaxpr if isinstance(params["jaxpr"], Jaxpr) else opened
    return remat_p.bind(*consts, *args, **{**params, "jaxpr": inner})


discharge_rules[jit_p] = _calling("jaxpr", call_jit)
discharge_rules[remat_p] = _calling("jaxpr", _call_remat)
discharge_rules[call_p] = _calling("call_jaxpr", _call(call_p))
discharge_rules[closed_call_p] = _calling("call_jaxpr", _call(closed_call_p))
