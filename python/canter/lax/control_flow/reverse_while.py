"""Reverse mode through loops whose number of steps is unknown until they have run.

The transposed loop goes backwards through states that the loop came through. They are found by running
the loop once more, keeping the states of some steps (checkpoints), and from there running parts of it
again. While the number of steps is unknown, every step is kept until the slots for checkpoints are full;
then every second, every fourth and so on, each new state taking the slot of one that is no longer
wanted. Going backwards, the slots that have become free take states in between, at the places that make
the number of repeated steps smallest. So the memory is that of the slots, however long the loop, and a
step is repeated about log(steps) / log(slots) times.

Sources: Stumm and Walther, "New algorithms for optimal online checkpointing", SIAM J. Sci. Comput. 32
(2010), for the first run; Griewank and Walther, "Revolve", ACM Trans. Math. Softw. 26 (2000), for the places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...core.avals import ShapedArray, get_aval
from ...core.effects import no_effects
from ...core.jaxpr import ClosedJaxpr, Jaxpr, eval_jaxpr, jaxprs_in_params
from ...core.primitive import Primitive
from ...core.tracing import trace_to_jaxpr
from ...transforms.jvp import jvp_flat, jvp_jaxpr
from ...transforms.partial_evaluation import dce_jaxpr
from ...transforms.rules import add_tangents, broadcast, instantiate_zeros, zeros_like_aval
from ...transforms.transpose import backward_pass
from ...transforms.zeros import UndefinedPrimal, Zero, is_undefined_primal
from ..arithmetic import add, bitwise_and, div, max, min, mul, sub
from ..comparison import eq, ge, lt, ne, select_n
from ..conversion import convert_element_type, full, iota
from ..elementwise import ceil
from ..reductions import argmax, argmin, reduce_and, reduce_or, reduce_sum
from ..slicing import dynamic_index_in_dim, dynamic_update_index_in_dim
from .common import split_list, with_common_consts
from .lanes import borrow, choose
from .scan_rules import fixpoint, linear_carry
from .while_loop import batched_loop, number_of_slots, while_loop, while_p

__all__ = ["record_p", "record_program"]

_INT = np.dtype(np.int32)
_NEVER = np.int32(np.iinfo(_INT).max)  # the step of an empty slot; it is odd, and behind all others
_ZERO, _ONE = np.int32(0), np.int32(1)


# --- the first run --------------------------------------------------------------------------------

record_p = Primitive("record_while", multiple_results=True)
record_p.call_primitive = True


def moving_carry(body: Jaxpr, num_consts: int) -> list[int]:
    """Which parts of the state some step changes."""
    carry = body.invars[num_consts:]
    return [i for i, (old, new) in enumerate(zip(carry, body.outvars, strict=True)) if old is not new]


def run_and_record(
    *args: Any, cond_nconsts: int, cond_jaxpr: Any, body_nconsts: int, body_jaxpr: Any, slots: int
) -> list[Any]:
    """What `record_while` computes.

    Returns:
      The number of steps, the number of steps of each lane, the steps before which states were kept, one a
      slot, and these states, one array for each part of the state that moves; its last row is scratch.
    """
    cond_consts, body_consts, init = split_list(args, cond_nconsts, body_nconsts)
    moving = moving_carry(body_jaxpr.jaxpr, body_nconsts)

    def whole(state: Sequence[Any]) -> list[Any]:
        found = list(init)
        for i, x in zip(moving, state, strict=True):
            found[i] = x
        return found

    def test(state: Sequence[Any]) -> Any:
        return eval_jaxpr(cond_jaxpr.jaxpr, cond_jaxpr.consts, *cond_consts, *whole(state))[0]

    def step(loop: dict[str, Any]) -> dict[str, Any]:
        turn, steps, active, state = loop["turn"], loop["steps"], loop["active"], loop["state"]
        stride, place = _slot_for(turn, loop["stride"], steps, slots)
        new = eval_jaxpr(body_jaxpr.jaxpr, body_jaxpr.consts, *body_consts, *whole(state))
        new = choose(active, [new[i] for i in moving], state)
        return {
            "turn": add(turn, _ONE),
            "stride": stride,
            "steps": _put(steps, turn, place),
            "slots": [_write(rows, x, place) for rows, x in zip(loop["slots"], state, strict=True)],
            "active": test(new),
            "count": add(loop["count"], convert_element_type(active, _INT)),
            "state": new,
        }

    state = [init[i] for i in moving]
    loop = while_loop(
        lambda loop: reduce_or(loop["active"], range(len(get_aval(loop["active"]).shape))),
        step,
        {
            "turn": _ZERO,
            "stride": _ONE,
            "steps": full((slots,), _NEVER, _INT),
            "slots": [broadcast(x, slots + 1, 0) for x in state],
            "active": test(state),
            "count": full(cond_jaxpr.out_avals[0].shape, 0, _INT),
            "state": state,
        },
    )
    return [loop["turn"], loop["count"], loop["steps"], *loop["slots"]]


def _slot_for(turn: Any, stride: Any, steps: Any, slots: int) -> tuple[Any, Any]:
    """The new distance of checkpoints, and the slot for the state before a step: the last one is scratch.

    Distances are powers of two. Once all kept steps are multiples of the distance, it is doubled; from then
    on each new state takes the slot of an odd multiple of the old distance, the smallest there is.
    """
    mask = sub(stride, _ONE)
    is_full = ge(turn, np.int32(slots))
    due = eq(bitwise_and(turn, mask), _ZERO)
    none_to_replace = reduce_and(eq(bitwise_and(steps, mask), _ZERO), (0,))
    double = bitwise_and(bitwise_and(is_full, due), none_to_replace)
    stride = select_n(double, stride, add(stride, stride))
    mask = sub(stride, _ONE)
    replaceable = ne(bitwise_and(steps, mask), _ZERO)
    victim = argmin(select_n(replaceable, full((slots,), _NEVER, _INT), steps), 0, _INT)
    place = select_n(is_full, turn, victim)
    return stride, select_n(eq(bitwise_and(turn, mask), _ZERO), np.int32(slots), place)


def _put(steps: Any, step: Any, place: Any) -> Any:
    """Notes for which step a slot is used."""
    size = get_aval(steps).shape[0]
    return select_n(eq(iota(_INT, size), place), steps, full((size,), step, _INT))


def _write(rows: Any, x: Any, place: Any) -> Any:
    return dynamic_update_index_in_dim(rows, x, place, 0, allow_negative_indices=False)


def _read(rows: Any, place: Any) -> Any:
    return dynamic_index_in_dim(rows, place, 0, keepdims=False, allow_negative_indices=False)


# --- the way back ---------------------------------------------------------------------------------


def go_back(
    record: Sequence[Any],
    advance: Callable[..., list[Any]],
    pull: Callable[..., tuple[list[Any], list[Any]]],
    ct_state: Sequence[Any],
    ct_consts: Sequence[Any],
    slots: int,
) -> tuple[list[Any], list[Any]]:
    """Pulls cotangents back through all steps.

    Args:
      record: the results of `record_while`.
      advance: `advance(state, start, stop)` runs the loop from one step to another.
      pull: `pull(step, state, ct_state)` gives the cotangents of the constants that this step adds, and those of
        the state before it.
      ct_state: cotangents of the last state.
      ct_consts: zeros for the constants' cotangents.
      slots: the number of checkpoints.

    Returns:
      Cotangents of the first state, and of the constants.
    """
    turns, _, steps, *rows = record

    def one_step(loop: dict[str, Any]) -> dict[str, Any]:
        last = sub(loop["turn"], _ONE)
        near = argmax(
            select_n(lt(loop["steps"], loop["turn"]), full((slots,), -1, _INT), loop["steps"]), 0, _INT
        )

        def approach(found: dict[str, Any]) -> dict[str, Any]:
            free = ge(found["steps"], loop["turn"])
            some = reduce_or(free, (0,))
            stop = add(found["at"], _next_checkpoint(sub(loop["turn"], found["at"]), free))
            state = advance(found["state"], found["at"], stop)
            place = select_n(some, np.int32(slots), argmax(free, 0, _INT))
            return {
                "at": stop,
                "state": state,
                "steps": _put(found["steps"], stop, place),
                "rows": [_write(r, x, place) for r, x in zip(found["rows"], state, strict=True)],
            }

        found = while_loop(
            lambda found: lt(found["at"], last),
            approach,
            {
                "at": _read(loop["steps"], near),
                "state": [_read(r, near) for r in loop["rows"]],
                "steps": loop["steps"],
                "rows": loop["rows"],
            },
        )
        more, ct = pull(last, found["state"], loop["ct"])
        return {
            "turn": last,
            "steps": found["steps"],
            "rows": found["rows"],
            "ct": ct,
            "consts": [add_tangents(x, y) for x, y in zip(loop["consts"], more, strict=True)],
        }

    start = {"turn": turns, "steps": steps, "rows": rows, "ct": list(ct_state), "consts": list(ct_consts)}
    end = while_loop(lambda loop: lt(_ZERO, loop["turn"]), one_step, start)
    return end["ct"], end["consts"]


def _next_checkpoint(length: Any, free: Any) -> Any:
    """How many steps to run from a checkpoint until the next one is kept.

    With s slots, C(s + r, s) steps can be reversed if none is run more than r times. The part r / (s + r) of
    them belongs before the next checkpoint. Without a free slot the run goes on to the last step.
    """
    slots = add(
        convert_element_type(reduce_sum(convert_element_type(free, _INT), (0,)), np.float32), np.float32(1)
    )
    wanted = convert_element_type(length, np.float32)
    one = np.float32(1)

    def repeat_more(found: tuple[Any, Any]) -> tuple[Any, Any]:
        repeats, reach = found
        repeats = add(repeats, one)
        return repeats, div(mul(reach, add(slots, repeats)), repeats)

    repeats, _ = while_loop(lambda found: lt(found[1], wanted), repeat_more, (one, add(slots, one)))
    part = ceil(div(mul(wanted, repeats), add(slots, repeats)))
    before_last = sub(length, _ONE)
    part = max(_ONE, min(convert_element_type(part, _INT), before_last))
    return select_n(reduce_or(free, (0,)), before_last, part)


# --- rules ----------------------------------------------------------------------------------------


def _transpose(
    cotangents: Any,
    *args: Any,
    cond_nconsts: int,
    cond_jaxpr: Any,
    body_nconsts: int,
    body_jaxpr: Any,
    checkpoints: int | None = None,
) -> Any:
    linear = [is_undefined_primal(arg) for arg in args]
    cond_linear, consts_linear, given_linear = split_list(linear, cond_nconsts, body_nconsts)
    carry_linear = linear_carry(body_jaxpr, [*consts_linear, *given_linear], body_nconsts, len(given_linear))
    cond_consts, consts, carry = split_list(args, cond_nconsts, body_nconsts)
    unknown = [i for i, flag in enumerate(carry_linear) if flag]
    condition, body = _pure(cond_jaxpr.jaxpr), _pure(body_jaxpr.jaxpr)
    _check_condition(condition, cond_linear, carry_linear, cond_nconsts)
    known = _needed(condition, body, cond_nconsts, body_nconsts, carry_linear)
    const_vars, carry_vars = body.invars[:body_nconsts], body.invars[body_nconsts:]
    known_consts = [x for x, flag in zip(consts, consts_linear, strict=True) if not flag]
    known_carry = [carry[i] for i in known]

    forward = body.replace(
        invars=[v for v, flag in zip(const_vars, consts_linear, strict=True) if not flag]
        + [carry_vars[i] for i in known],
        outvars=[body.outvars[i] for i in known],
    )
    forward, _ = dce_jaxpr(forward, [True] * len(known), keep_inputs=True)
    test = condition.replace(
        invars=[*condition.invars[:cond_nconsts], *(condition.invars[cond_nconsts + i] for i in known)]
    )
    moving = moving_carry(forward, len(known_consts))
    slots = checkpoints or number_of_slots([get_aval(known_carry[i]) for i in moving])
    program = ClosedJaxpr(forward, body_jaxpr.consts)
    record = record_p.bind(
        *cond_consts,
        *known_consts,
        *known_carry,
        cond_nconsts=cond_nconsts,
        cond_jaxpr=ClosedJaxpr(test, cond_jaxpr.consts),
        body_nconsts=len(known_consts),
        body_jaxpr=program,
        slots=slots,
    )
    count = record[1]

    def lent(active: Any, state: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Constants and the known part of the state, as lanes that have finished may see them."""
        whole = list(known_carry)
        for i, x in zip(moving, state, strict=True):
            whole[i] = x
        if get_aval(active).shape:
            return known_consts, borrow(active, whole)
        both = borrow(active, [*known_consts, *whole])
        return both[: len(known_consts)], both[len(known_consts) :]

    def advance(state: list[Any], start: Any, stop: Any) -> list[Any]:
        def step(loop: Any) -> Any:
            at, state = loop
            active = lt(at, count)
            seen_consts, seen = lent(active, state)
            new = eval_jaxpr(program.jaxpr, program.consts, *seen_consts, *seen)
            return add(at, _ONE), choose(active, [new[i] for i in moving], state)

        return while_loop(lambda loop: lt(loop[0], stop), step, (start, state))[1]

    in_backward = [*[True] * body_nconsts, *(flag or i in known for i, flag in enumerate(carry_linear))]
    backward = body.replace(outvars=[body.outvars[i] for i in unknown])
    backward, _ = dce_jaxpr(backward, [True] * len(unknown), in_backward)
    order = [i for i, flag in enumerate(carry_linear) if flag or i in known]

    def pull(step: Any, state: list[Any], cts: list[Any]) -> tuple[list[Any], list[Any]]:
        active = lt(step, count)
        seen_consts, seen = map(iter, lent(active, state))
        operands = [
            UndefinedPrimal(v.aval) if flag else next(seen_consts)
            for v, flag in zip(const_vars, consts_linear, strict=True)
        ] + [UndefinedPrimal(carry_vars[i].aval) if carry_linear[i] else next(seen) for i in order]
        masked = choose(active, cts, [zeros_like_aval(get_aval(ct)) for ct in cts])
        found = backward_pass(backward, body_jaxpr.consts, operands, masked)
        ct_consts, ct_carry = found[:body_nconsts], found[body_nconsts:]
        pulled = [instantiate_zeros(ct) for i, ct in zip(order, ct_carry, strict=True) if carry_linear[i]]
        return [ct for ct, flag in zip(ct_consts, consts_linear, strict=True) if flag], choose(
            active, pulled, cts
        )

    zeros = [zeros_like_aval(x.aval.to_tangent_aval()) for x in consts if is_undefined_primal(x)]
    ct_last = [instantiate_zeros(cotangents[i]) for i in unknown]
    ct_carry, ct_consts = go_back(record, advance, pull, ct_last, zeros, slots)
    found_consts, found_carry = iter(ct_consts), dict(zip(unknown, ct_carry, strict=True))
    return [
        *[None] * cond_nconsts,
        *(next(found_consts) if flag else None for flag in consts_linear),
        # A zero that stands for the tangent of a known value is no operand of the linear function.
        *(found_carry[i] if flag else None for i, flag in enumerate(given_linear)),
    ]


def _pure(jaxpr: Jaxpr) -> Jaxpr:
    """The program without what is only there for its effect: the first run had it already.

    Raises:
      ValueError: an operation has an effect and a result.
    """
    if not jaxpr.effects:
        return jaxpr
    eqns = []
    for eqn in jaxpr.eqns:
        if eqn.effects and not eqn.outvars:
            continue
        if eqn.effects:
            params = {name: _pure_parameter(value) for name, value in eqn.params.items()}
            if not any(jaxprs_in_params(params)):
                raise ValueError(
                    f"while_loop: reverse mode runs steps again, but '{eqn.primitive.name}' has an "
                    "effect. Use `pure_callback` for functions without side effects, or `scan`."
                )
            eqn = eqn.replace(params=params, effects=no_effects)
        eqns.append(eqn)
    return jaxpr.replace(eqns=eqns, effects=no_effects)


def _pure_parameter(value: Any) -> Any:
    if isinstance(value, ClosedJaxpr):
        return value.map_jaxpr(_pure)
    if isinstance(value, Jaxpr):
        return _pure(value)
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(map(_pure_parameter, value))
    return value


def _needed(
    condition: Jaxpr, body: Jaxpr, cond_nconsts: int, body_nconsts: int, carry_linear: Sequence[bool]
) -> list[int]:
    """The known parts of the state on which the condition or the linear parts depend."""
    tested = dce_jaxpr(condition, [True])[1][cond_nconsts:]

    def used_by(flags: Sequence[bool]) -> list[bool]:
        return dce_jaxpr(body, flags)[1][body_nconsts:]

    start = [a or b for a, b in zip(tested, used_by(carry_linear), strict=True)]
    flags = fixpoint([need and not lin for need, lin in zip(start, carry_linear, strict=True)], used_by)
    return [i for i, flag in enumerate(flags) if flag]


def _check_condition(
    condition: Jaxpr, cond_linear: Sequence[bool], carry_linear: Sequence[bool], num_consts: int
) -> None:
    flags = [*cond_linear, *carry_linear]
    needed = dce_jaxpr(condition, [True])[1]
    if any(flag and need for flag, need in zip(flags, needed, strict=True)):
        raise ValueError(
            "while_loop: this loop cannot be transposed, because its condition depends on what the loop is linear in. "
            "Decide by other values when to stop."
        )


def _record_abstract(
    *avals: Any, cond_nconsts: int, cond_jaxpr: Any, body_nconsts: int, body_jaxpr: Any, slots: int
) -> list[Any]:
    carry = body_jaxpr.jaxpr.outvars
    moving = moving_carry(body_jaxpr.jaxpr, body_nconsts)
    return [
        ShapedArray((), _INT),
        ShapedArray(cond_jaxpr.out_avals[0].shape, _INT),
        ShapedArray((slots,), _INT),
        *(ShapedArray((slots + 1, *carry[i].aval.shape), carry[i].aval.dtype) for i in moving),
    ]


def record_program(in_avals: Sequence[Any], params: dict[str, Any]) -> ClosedJaxpr:
    """The program that `record_while` stands for."""
    body: ClosedJaxpr = params["body_jaxpr"]
    key = ("record", tuple(in_avals), id(params["cond_jaxpr"]), params["cond_nconsts"], params["slots"])
    known = body.memo.get(key)
    if known is None:
        program = trace_to_jaxpr(lambda *args: run_and_record(*args, **params), in_avals)
        known = body.memo[key] = (program, params["cond_jaxpr"])  # the id is that of an object that lives
    return known[0]


def _record_jvp(primals: Any, tangents: Any, **params: Any) -> Any:
    """Records the loop of values and tangents."""
    cond_nconsts, body_nconsts, body = params["cond_nconsts"], params["body_nconsts"], params["body_jaxpr"]
    nonzeros = [type(t) is not Zero for t in tangents]
    _, consts_nz, carry_nz = split_list(nonzeros, cond_nconsts, body_nconsts)
    carry_nz = fixpoint(carry_nz, lambda flags: jvp_jaxpr(body, [*consts_nz, *flags])[1])
    if not any(carry_nz):
        outs = record_p.bind(*primals, **params)
        return outs, [Zero.from_primal_value(out) for out in outs]
    return jvp_flat(lambda *args: run_and_record(*args, **params), primals, tangents)


def _record_batch(trace: Any, args: Any, dims: Any, *, slots: int, **params: Any) -> Any:
    loop = batched_loop(trace, args, dims, **params)
    before = moving_carry(params["body_jaxpr"].jaxpr, params["body_nconsts"])
    (condition,), more_condition = with_common_consts([loop.condition])
    (body,), more_body = with_common_consts([loop.body])
    num_consts = len(more_body) + len(loop.consts)
    outs = record_p.bind(
        *more_condition,
        *loop.condition_consts,
        *more_body,
        *loop.consts,
        *loop.carry,
        cond_nconsts=len(more_condition) + len(loop.condition_consts),
        cond_jaxpr=condition,
        body_nconsts=num_consts,
        body_jaxpr=body,
        slots=slots,
    )
    # Parts of the state that were added for the batch do not move; one that no longer moves is the same in all slots.
    after = moving_carry(body.jaxpr, num_consts)
    rows = dict(zip(after, outs[3:], strict=True))
    states, first = [], len(loop.carry) - len(loop.carry_dims)
    for i in before:
        same = rows.get(first + i)
        states.append(broadcast(loop.carry[first + i], slots + 1, 0) if same is None else same)
    count_dim = 0 if get_aval(outs[1]).shape != params["cond_jaxpr"].out_avals[0].shape else None
    state_dims = [None if loop.carry_dims[i] is None else 1 for i in before]
    return [*outs[:3], *states], [None, count_dim, None, *state_dims]


record_p.def_abstract_eval(_record_abstract)
record_p.jvp_rule = _record_jvp
record_p.axis_batch_rule = _record_batch
while_p.transpose_rule = _transpose
