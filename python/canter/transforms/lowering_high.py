"""Programs with values of high types lowered: programs of the arrays that these consist of.

A value that cannot change is the arrays it consists of, as operands and results. A mutable one is given back changed:
its new arrays are further results. In loops they are mutable references instead, because there its state must stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..core.avals import get_aval
from ..core.high import MutableAval, high_effects, is_high
from ..core.jaxpr import ClosedJaxpr, Jaxpr, jaxprs_in_params
from ..core.primitive import Primitive
from ..core.state import AbstractRef, Ref, get_p, swap_p
from ..core.tracing import LoweringTrace, argument_aval, current_state, infer_avals, trace_to_jaxpr
from .jit_call import fitted

__all__ = ["apply_high", "change_states", "is_high_call", "lowered"]

Evaluate = Callable[[ClosedJaxpr, Sequence[Any]], list[Any]]


class Lowered(NamedTuple):
    """A program from the arrays of its arguments to those of its results and of its mutable arguments.

    Attributes:
      closed: the program.
      states: those that the mutable arguments have at its end.
    """

    closed: ClosedJaxpr
    states: tuple[Any, ...]


# --- values and arrays ----------------------------------------------------------------------------


def _types_of(avals: Sequence[Any]) -> list[Any]:
    return [low for aval in avals for low in (aval.lo_ty() if is_high(aval) else [aval])]


def _references_to(types: Sequence[Any]) -> list[Any]:
    return [AbstractRef(low.strip_weak_type()) for low in types]


def _arrays_of(values: Sequence[Any]) -> list[Any]:
    """The arrays that values consist of."""
    found = []
    for value in values:
        aval = get_aval(value)
        if getattr(aval, "has_qdd", False):
            found += aval.read_loval(current_state(value), value)
        else:
            found += list(aval.lower_val(value)) if is_high(aval) else [value]
    return found


def _values_of(avals: Sequence[Any], arrays: Sequence[Any]) -> list[Any]:
    """The values of some types made of their arrays."""
    given = iter(arrays)
    return [
        aval.raise_val(*(next(given) for _ in aval.lo_ty())) if is_high(aval) else next(given)
        for aval in avals
    ]


def _mutable(avals: Sequence[Any], values: Sequence[Any]) -> list[tuple[Any, Any]]:
    """The mutable ones of some values, each with its type."""
    return [
        (aval.aval, value) for aval, value in zip(avals, values, strict=True) if isinstance(aval, MutableAval)
    ]


def _update(mutable: Sequence[tuple[Any, Any]], states: Sequence[Any], arrays: Sequence[Any]) -> None:
    """Gives mutable values the states and arrays that a program left them with."""
    given = iter(arrays)
    for (aval, value), state in zip(mutable, states, strict=True):
        aval.update_from_loval(state, value, *(next(given) for _ in aval.lo_ty_qdd(state)))


# --- programs -------------------------------------------------------------------------------------


def lowered(closed: ClosedJaxpr, evaluate: Evaluate) -> Lowered:
    """The program of arrays; those of mutable arguments, as they are at the end, are its last results."""
    known = closed.memo.get("lowered")
    if known is None:
        states: list[Any] = []

        def low(*arrays: Any) -> list[Any]:
            values = _values_of(closed.in_avals, arrays)
            outs = _arrays_of(evaluate(closed, values))
            for aval, value in _mutable(closed.in_avals, values):
                states.append(current_state(value))
                outs += aval.read_loval(states[-1], value)
            return outs

        traced = _trace(low, _types_of(closed.in_avals), closed)
        known = closed.memo["lowered"] = Lowered(traced, tuple(states))
    return known


def _lowered_with_references(closed: ClosedJaxpr, evaluate: Evaluate, where: str) -> ClosedJaxpr:
    """The program of arrays, and of references to the arrays of mutable arguments, whose states must not change."""
    known = closed.memo.get("lowered with references")
    if known is None:

        def low(*operands: Any) -> list[Any]:
            given = [x if not isinstance(get_aval(x), AbstractRef) else _read(x) for x in operands]
            values = _values_of(closed.in_avals, given)
            outs = _arrays_of(evaluate(closed, values))
            refs = iter([(x, old) for x, old in zip(operands, given, strict=True) if x is not old])
            for aval, (kind, value) in zip(mutable_avals, _mutable(closed.in_avals, values), strict=True):
                before, after = aval.state.init_val, current_state(value)
                _check_unchanged(kind, before, after, where)
                for (ref, old), new in zip(refs, kind.read_loval(after, value), strict=False):
                    if new is not old:
                        swap_p.bind(ref, new, indices=_everything(ref))
            return outs

        mutable_avals = [aval for aval in closed.in_avals if isinstance(aval, MutableAval)]
        types = [
            low_type
            for aval in closed.in_avals
            for low_type in (
                _references_to(aval.lo_ty()) if isinstance(aval, MutableAval) else _types_of([aval])
            )
        ]
        known = closed.memo["lowered with references"] = _trace(low, types, closed)
    return known


def _trace(low: Callable[..., Any], avals: Sequence[Any], closed: ClosedJaxpr) -> ClosedJaxpr:
    return trace_to_jaxpr(low, avals, debug_info=closed.jaxpr.debug_info, trace_type=LoweringTrace)


def _everything(ref: Any) -> tuple[slice, ...]:
    return tuple(slice(0, size, 1) for size in ref.shape)


def _read(ref: Any) -> Any:
    return get_p.bind(ref, indices=_everything(ref))


def _normalized(state: Any) -> Any:
    return state.normalize() if hasattr(state, "normalize") else state


def _check_unchanged(kind: Any, before: Any, after: Any, where: str) -> None:
    if _normalized(before) != _normalized(after):
        raise TypeError(
            f"{where}: the body changes the structure or the types of a mutable value of type {kind.str_short()}, from "
            f"{before} to {after}. It must have the same ones in each step; give it these before the loop."
        )


# --- applications ---------------------------------------------------------------------------------

_LOOPS = ("scan", "while")
# Primitives that by now only hold a program: their rules for derivatives have had their turn.
_CONTAINERS = {
    "remat2": "jaxpr",
    "remat_opt": "fwd_jaxpr",
    "call": "call_jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vmap_call": "call",
}
# Parameters that count operands, with those that count the operands before.
_COUNTS: dict[str, tuple[str, ...]] = {
    "num_consts": (),
    "num_carry": ("num_consts",),
    "cond_nconsts": (),
    "body_nconsts": ("cond_nconsts",),
}


def is_high_call(args: Sequence[Any], params: dict[str, Any]) -> bool:
    """Whether a primitive with inner programs has values of high types, or high primitives, in or around them."""
    if any(is_high(get_aval(arg)) for arg in args):
        return True
    return any(
        any(map(is_high, jaxpr.out_avals)) or any(effect in high_effects for effect in jaxpr.effects or ())
        for jaxpr in jaxprs_in_params(params)
    )


def apply_high(
    primitive: Primitive,
    args: Sequence[Any],
    params: dict[str, Any],
    apply: Callable[..., Any],
    evaluate: Evaluate,
) -> Any:
    """Applies a primitive with inner programs to the arrays that values of high types consist of.

    Args:
      primitive: the primitive.
      args: its operands.
      params: its parameters.
      apply: `apply(primitive, args, params)` applies it to arrays and references.
      evaluate: `evaluate(closed, args)` evaluates a program on values of high types.
    """
    name = primitive.name
    if name in _CONTAINERS:
        program = params[_CONTAINERS[name]]
        return evaluate(ClosedJaxpr(program, []) if isinstance(program, Jaxpr) else program, args)
    avals = list(map(argument_aval, args))
    out_avals, _ = infer_avals(primitive, tuple(avals), params)
    if name in _LOOPS:
        return _apply_loop(primitive, args, avals, out_avals, params, apply, evaluate)
    mutable = _mutable(avals, args)
    if name == "jit":
        found = lowered(params["jaxpr"], evaluate)
        states = found.states
        outs = apply(primitive, *fitted(found.closed, _arrays_of(args), params))
    elif name == "cond":
        branches = [lowered(branch, evaluate) for branch in params["branches"]]
        states = _common_states(branches)
        programs = tuple(branch.closed for branch in branches)
        _refuse_constants(name, programs)
        outs = apply(primitive, _arrays_of(args), {**params, "branches": programs})
    else:
        raise NotImplementedError(
            f"Values of high types cannot go into '{name}'. Take them apart before it, or call it with their arrays."
        )
    count = len(_types_of(out_avals))
    _update(mutable, states, outs[count:])
    return _values_of(out_avals, outs[:count])


def _apply_loop(
    primitive: Primitive, args: Any, avals: Any, out_avals: Any, params: Any, apply: Any, evaluate: Evaluate
) -> Any:
    """A loop over arrays, and over references that hold the arrays of mutable values."""
    new = dict(params)
    programs = []
    for parameter, value in params.items():
        if isinstance(value, ClosedJaxpr):
            new[parameter] = _lowered_with_references(value, evaluate, primitive.name)
            programs.append(new[parameter])
    _refuse_constants(primitive.name, programs)
    for parameter, before in _COUNTS.items():
        if parameter in params:
            start = sum(params[other] for other in before)
            new[parameter] = len(_types_of(avals[start : start + params[parameter]]))
    cells: dict[int, list[Ref]] = {}  # of one value that is an operand twice there is one set
    operands: list[Any] = []
    for value, aval in zip(args, avals, strict=True):
        if not isinstance(aval, MutableAval):
            operands += _arrays_of([value])
            continue
        if id(value) not in cells:
            cells[id(value)] = [
                Ref(kind, array)
                for kind, array in zip(_references_to(aval.lo_ty()), _arrays_of([value]), strict=True)
            ]
        operands += cells[id(value)]
    outs = apply(primitive, operands, new)
    for aval, value in zip(avals, args, strict=True):
        held = cells.pop(id(value), None)
        if held is not None:
            aval.aval.update_from_loval(aval.state.cur_val, value, *(cell._held() for cell in held))
    return _values_of(out_avals, outs)


def _refuse_constants(name: str, programs: Sequence[ClosedJaxpr]) -> None:
    if any(program.consts for program in programs):
        raise NotImplementedError(
            f"A rule of a high primitive inside '{name}' captures an array: make it an operand."
        )


def _common_states(branches: Sequence[Lowered]) -> tuple[Any, ...]:
    states = branches[0].states
    for other in branches[1:]:
        if tuple(map(_normalized, other.states)) != tuple(map(_normalized, states)):
            raise TypeError(
                f"cond: the branches leave a mutable value in states that differ, {states} and {other.states}. All "
                "branches must leave it with the same structure and types."
            )
    return states


def change_states(primitive: Primitive, avals: Sequence[Any], params: Any, evaluate: Evaluate) -> None:
    """Says what states mutable operands of a primitive with inner programs have after it."""
    name = primitive.name
    if name in _LOOPS:
        for program in params.values():
            if isinstance(program, ClosedJaxpr):
                _lowered_with_references(program, evaluate, name)  # which raises where a state changes
        return
    if name == "cond":
        states = _common_states([lowered(branch, evaluate) for branch in params["branches"]])
    else:
        program = params.get(_CONTAINERS.get(name, "jaxpr"))
        if program is None:
            return
        closed = ClosedJaxpr(program, []) if isinstance(program, Jaxpr) else program
        states = lowered(closed, evaluate).states
    mutable = [aval for aval in avals if isinstance(aval, MutableAval)]
    for aval, state in zip(mutable, states, strict=True):
        aval.state.update(state)
