"""Branches and loops; a loop whose turns can be counted becomes a scan, which has a derivative in reverse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from canter import lax
from canter_mlir.reading import Block, Operation, Value

from .evaluation import Rule
from .folding import is_known

__all__ = ["RULES", "count_turns"]


def _if(run: Any, op: Operation, predicate: Any) -> Any:
    then, otherwise = op.regions
    if is_known(predicate):
        return run.block(then if predicate else otherwise)
    return lax.cond(predicate, lambda: run.block(then), lambda: run.block(otherwise))


def _case(run: Any, op: Operation, index: Any) -> Any:
    """Branch numbers out of range mean the last branch; where a clamp precludes them, nothing is checked."""
    count = len(op.regions)
    if is_known(index):
        return run.block(op.regions[int(index) if 0 <= int(index) < count else count - 1])
    if not _in_range(op.operands[0], count):
        inside = lax.bitwise_and(lax.ge(index, np.int32(0)), lax.lt(index, np.int32(count)))
        index = lax.select(inside, index, lax.full_like(index, count - 1))
    return lax.switch(index, [lambda region=region: run.block(region) for region in op.regions])


def _in_range(index: Value, count: int) -> bool:
    op = index.operation
    if op is None:
        return False
    if op.name == "stablehlo.convert":
        return count == 2 and op.operands[0].type.dtype == bool
    return op.name == "stablehlo.clamp"


class Counter(NamedTuple):
    """A loop's counter: its number in the state, and how many turns it makes."""

    place: int
    turns: int


def _while(run: Any, op: Operation, *init: Any) -> Any:
    condition, body = op.regions
    same = [new is old for new, old in zip(body.results, body.arguments, strict=True)]
    moving = [i for i, unchanged in enumerate(same) if not unchanged]

    def whole(state: Sequence[Any]) -> list[Any]:
        """The state with what no turn changes, which need not be carried."""
        every = list(init)
        for i, x in zip(moving, state, strict=True):
            every[i] = x
        return every

    def step(state: Sequence[Any]) -> list[Any]:
        new = run.block(body, whole(state))
        return [new[i] for i in moving]

    counter = count_turns(run, op, init)
    start = [init[i] for i in moving]
    if counter is None:
        return whole(lax.while_loop(lambda state: run.block(condition, whole(state))[0], step, start))
    return whole(lax.scan(lambda state, _: (step(state), None), start, None, length=counter.turns)[0])


def count_turns(run: Any, op: Operation, init: Sequence[Any]) -> Counter | None:
    """How often a loop runs that adds a number to a counter until it passes a bound; None: it is no such loop."""
    condition, body = op.regions
    test = condition.results[0].operation
    if test is None or test.name != "stablehlo.compare":
        return None
    direction = test.attributes["comparison_direction"]
    places = {value: i for i, value in enumerate(condition.arguments)}
    left, right = test.operands
    if left not in places or _is_invariant(body, places[left]):
        left, right, direction = right, left, _MIRRORED[direction]
    if left not in places:
        return None
    place = places[left]
    bound = _known(run, right, places, body, init)
    step = _step(body, place)
    if bound is None or step is None or not _is_number(init[place]):
        return None
    turns = _turns(int(init[place]), int(bound), step, direction)
    return None if turns is None else Counter(place, turns)


def _is_number(value: Any) -> bool:
    """Whether a value is a known integer."""
    return is_known(value) and not value.shape and value.dtype.kind in "iu"


_MIRRORED = {"LT": "GT", "GT": "LT", "LE": "GE", "GE": "LE", "EQ": "EQ", "NE": "NE"}


def _turns(start: int, bound: int, step: int, direction: str) -> int | None:
    if direction == "NE" and step and (bound - start) % step == 0 and (bound - start) // step >= 0:
        return (bound - start) // step
    if direction in ("LE", "GE"):
        bound += 1 if direction == "LE" else -1
    upwards = direction in ("LT", "LE")
    if direction not in ("LT", "LE", "GT", "GE") or (step > 0) != upwards or not step:
        return None
    return max(0, -((start - bound) // step))


def _is_invariant(body: Block, place: int) -> bool:
    return body.results[place] is body.arguments[place]


def _known(run: Any, value: Value, places: dict[Value, int], body: Block, init: Sequence[Any]) -> Any:
    """The number that a bound is in every turn, if it is known."""
    if value in places:
        number = init[places[value]] if _is_invariant(body, places[value]) else None
    elif value.operation is not None and value.operation.name == "stablehlo.constant":
        number = value.operation.attributes["value"]
    else:
        try:
            number = run.value(value)
        except KeyError:  # computed in the condition
            return None
    return number if _is_number(number) else None


def _step(body: Block, place: int) -> int | None:
    """What each turn adds to a state value, if that is a constant."""
    op = body.results[place].operation
    if op is None or op.name not in ("stablehlo.add", "stablehlo.subtract"):
        return None
    first, second = op.operands
    if op.name == "stablehlo.add" and second is body.arguments[place]:
        first, second = second, first
    constant = second.operation
    if first is not body.arguments[place] or constant is None or constant.name != "stablehlo.constant":
        return None
    amount = int(constant.attributes["value"])
    return amount if op.name == "stablehlo.add" else -amount


RULES: dict[str, Rule] = {"stablehlo.case": _case, "stablehlo.if": _if, "stablehlo.while": _while}
