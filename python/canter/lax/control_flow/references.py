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
    found: Discharged, places: Sequence[int], num_outs: int, written: Sequence[bool], split: int
) -> Any:
    """The pure program with its arguments in another order, and the values of written references among the results.

    Args:
      found: the program.
      places: where each argument of the new program is among the old one's.
      num_outs: the number of results that are no values of references.
      written: which values of references are results.
      split: before which of the results they are put.
    """
    key = ("rearranged", tuple(places), num_outs, tuple(written), split)
    known = found.closed.memo.get(key)
    if known is None:
        jaxpr = found.closed.jaxpr
        outs, values = jaxpr.outvars[:num_outs], _chosen(jaxpr.outvars[num_outs:], written, True)
        new = jaxpr.replace(
            invars=[jaxpr.invars[i] for i in places], outvars=[*outs[:split], *values, *outs[split:]]
        )
        known = found.closed.memo[key] = ClosedJaxpr(new, found.closed.consts)
    return known


def _scan(args: Any, slots: Any, values: Any, avals: Any, params: Any) -> Any:
    num_consts, num_carry = params["num_consts"], params["num_carry"]
    _refuse_in_state("carried or scanned over", slots[num_consts:])
    found = discharge(params["jaxpr"], slots, avals)
    consts = _plain(args[:num_consts], slots[:num_consts])
    carry, xs = args[num_consts : num_consts + num_carry], args[num_consts + num_carry :]
    plain, count = len(consts) + num_carry + len(xs), len(values)
    refs = range(plain, plain + count)
    first = len(consts) + num_carry
    places = [*range(len(consts)), *_chosen(refs, found.written, False), *range(len(consts), first)]
    places += [*_chosen(refs, found.written, True), *range(first, plain)]
    num_outs = len(params["jaxpr"].jaxpr.outvars)
    body = _rearranged(found, places, num_outs, found.written, num_carry)
    state = [*carry, *_chosen(values, found.written, True)]
    outs = bind_scan(body, [*consts, *_chosen(values, found.written, False)], state, xs, params)
    written = _chosen(range(count), found.written, True)
    new = outs[num_carry : num_carry + len(written)]
    return [*outs[:num_carry], *outs[len(state) :]], list(zip(written, new, strict=True))


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
