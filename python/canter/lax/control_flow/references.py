"""Loops and branches over mutable references: the references that they write become part of the loop's state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...core.jaxpr import ClosedJaxpr
from ...transforms.discharge import Discharged, discharge, discharge_rules
from .conditionals import cond_p
from .scan import scan_p
from .scan_rules import bind as bind_scan
from .while_loop import _bind as bind_while, while_p

__all__: list[str] = []


def _plain(args: Sequence[Any], slots: Sequence[int | None]) -> list[Any]:
    return [x for x, slot in zip(args, slots, strict=True) if slot is None]


def _refuse_in_state(what: str, slots: Sequence[int | None]) -> None:
    if any(slot is not None for slot in slots):
        raise NotImplementedError(
            f"A mutable reference cannot be {what}. Let the function close over it instead."
        )


def _chosen(items: Sequence[Any], flags: Sequence[bool], wanted: bool) -> list[Any]:
    return [item for item, flag in zip(items, flags, strict=True) if flag == wanted]


def _rearranged(
    found: Discharged,
    places: Sequence[int],
    num_outs: int,
    written: Sequence[bool],
    split: int,
    last: Sequence[bool] = (),
) -> Any:
    """The pure program with its arguments in another order, and the values of written references among the results.

    Args:
      found: the program.
      places: where each argument of the new program is among the old one's.
      num_outs: the number of results that are no values of references.
      written: which values of references are results.
      split: before which of the results they are put.
      last: which other values of references come after all results.
    """
    key = ("rearranged", tuple(places), num_outs, tuple(written), split, tuple(last))
    known = found.closed.memo.get(key)
    if known is None:
        jaxpr = found.closed.jaxpr
        outs, values = jaxpr.outvars[:num_outs], _chosen(jaxpr.outvars[num_outs:], written, True)
        rest = _chosen(jaxpr.outvars[num_outs:], last, True) if last else []
        new = jaxpr.replace(
            invars=[jaxpr.invars[i] for i in places], outvars=[*outs[:split], *values, *outs[split:], *rest]
        )
        known = found.closed.memo[key] = ClosedJaxpr(new, found.closed.consts)
    return known


def _scan(args: Any, slots: Any, values: Any, avals: Any, params: Any) -> Any:
    """References among the constants become part of the state if written; those among xs are xs, and ys if written."""
    num_consts, num_carry = params["num_consts"], params["num_carry"]
    split = num_consts + num_carry
    _refuse_in_state("carried by a scan", slots[num_consts:split])
    count = len(values)
    sliced = [i in slots[split:] for i in range(count)]
    if any(slot is not None and sliced[slot] for slot in slots[:num_consts]):
        raise ValueError(
            "scan: a mutable reference is both closed over and one of xs. Use only one of the two."
        )
    own = params["jaxpr"].in_avals
    found = discharge(params["jaxpr"], slots, [own[list(slots).index(i)] for i in range(count)])
    in_state = [w and not s for w, s in zip(found.written, sliced, strict=True)]
    stacked = [w and s for w, s in zip(found.written, sliced, strict=True)]
    fixed = [not w and not s for w, s in zip(found.written, sliced, strict=True)]
    consts = _plain(args[:num_consts], slots[:num_consts])
    carry, xs = args[num_consts:split], _plain(args[split:], slots[split:])
    first = len(consts) + num_carry
    plain = first + len(xs)
    refs = range(plain, plain + count)
    places = [*range(len(consts)), *_chosen(refs, fixed, True), *range(len(consts), first)]
    places += [*_chosen(refs, in_state, True), *range(first, plain), *_chosen(refs, sliced, True)]
    num_outs = len(params["jaxpr"].jaxpr.outvars)
    body = _rearranged(found, places, num_outs, in_state, num_carry, stacked)
    state = [*carry, *_chosen(values, in_state, True)]
    rows = [*xs, *_chosen(values, sliced, True)]
    outs = bind_scan(body, [*consts, *_chosen(values, fixed, True)], state, rows, params)
    numbers = [*_chosen(range(count), in_state, True), *_chosen(range(count), stacked, True)]
    end = num_outs + len(state) - num_carry
    new = [*outs[num_carry : len(state)], *outs[end:]]
    return [*outs[:num_carry], *outs[len(state) : end]], list(zip(numbers, new, strict=True))


def _while(args: Any, slots: Any, values: Any, avals: Any, params: Any) -> Any:
    c, b = params["cond_nconsts"], params["body_nconsts"]
    carry, count = list(args[c + b :]), len(values)
    _refuse_in_state("carried by a while_loop", slots[c + b :])
    rest = slots[c + b :]
    body = discharge(params["body_jaxpr"], [*slots[c : c + b], *rest], avals)
    condition = discharge(params["cond_jaxpr"], [*slots[:c], *rest], avals)
    if any(condition.written):
        raise NotImplementedError(
            "while_loop: the condition must not write to a mutable reference; the body may."
        )
    written = body.written

    def opened(found: Discharged, consts: Any, num_outs: int, outputs: Sequence[bool]) -> Any:
        plain = len(consts) + len(carry)
        refs = range(plain, plain + count)
        places = [*range(len(consts)), *_chosen(refs, written, False), *range(len(consts), plain)]
        places += _chosen(refs, written, True)
        return _rearranged(found, places, num_outs, outputs, num_outs)

    condition_consts = _plain(args[:c], slots[:c])
    body_consts = _plain(args[c : c + b], slots[c : c + b])
    fixed, state = _chosen(values, written, False), _chosen(values, written, True)
    outs = bind_while(
        opened(condition, condition_consts, 1, [False] * count),
        [*condition_consts, *fixed],
        opened(body, body_consts, len(carry), written),
        [*body_consts, *fixed],
        [*carry, *state],
        params,
    )
    new = zip(_chosen(range(count), written, True), outs[len(carry) :], strict=True)
    return outs[: len(carry)], list(new)


def _cond(args: Any, slots: Any, values: Any, avals: Any, params: Any) -> Any:
    _refuse_in_state("the index of a cond", slots[:1])
    branches = [discharge(branch, slots[1:], avals) for branch in params["branches"]]
    num_outs = len(params["branches"][0].jaxpr.outvars)
    written = [any(flags) for flags in zip(*(found.written for found in branches), strict=True)]
    plain = _plain(args[1:], slots[1:])
    places = list(range(len(plain) + len(values)))
    pure = [_rearranged(found, places, num_outs, written, num_outs) for found in branches]
    from .common import with_common_consts

    opened, consts = with_common_consts(pure)
    others = {name: value for name, value in params.items() if name != "branches"}
    outs = cond_p.bind(args[0], *consts, *plain, *values, branches=tuple(opened), **others)
    new = zip(_chosen(range(len(values)), written, True), outs[num_outs:], strict=True)
    return outs[:num_outs], list(new)


discharge_rules[scan_p] = _scan
discharge_rules[while_p] = _while
discharge_rules[cond_p] = _cond
