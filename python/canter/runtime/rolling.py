"""Rolling: calls of one outlined function that follow each other become a loop.

A call that the compiler keeps is a wall for fusion, but each is still compiled; the body of a loop is compiled
once. What the calls take and give is sorted by how it changes from one to the next: the same value each time
(a constant of the loop), a result of the call before (carried), anything else (stacked, and read one by one).
The results of a forward pass that a backward pass reads stay stacked between their two loops.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.avals import ShapedArray
from ..core.jaxpr import ClosedJaxpr, DropVar, Jaxpr, JaxprEqn, Literal, Var
from ..transforms.outlining import outlined_call_p

__all__ = ["roll_calls"]


def roll_calls(jaxpr: Jaxpr, at_least: int, most_bytes: float) -> Jaxpr:
    """The program with loops in the place of calls; the same object where none are rolled.

    Args:
      jaxpr: a program with outlined calls, without dead code.
      at_least: how many calls in a row make a loop.
      most_bytes: how much a loop may stack, of arguments and of results.
    """
    calls = Counter(id(eqn.params["jaxpr"]) for eqn in jaxpr.eqns if eqn.primitive is outlined_call_p)
    stacks = _Stacks()
    eqns = jaxpr.eqns
    for function, count in calls.items():
        if count < at_least:
            continue
        chain = _longest_chain(eqns, function)
        if chain is None or len(chain.calls) < at_least:
            continue
        loop = _Loop(chain, eqns, jaxpr.outvars, stacks)
        if loop.stacked_bytes() <= most_bytes:
            eqns = loop.replaced()
    return jaxpr if eqns is jaxpr.eqns else jaxpr.replace(eqns=_live(eqns, jaxpr.outvars))


class Chain(NamedTuple):
    """Calls of a function in a row: their places, and for each argument the result of the call before, or -1."""

    calls: list[int]
    carried: tuple[int, ...]


def _longest_chain(eqns: Sequence[JaxprEqn], function: int) -> Chain | None:
    """The most calls each of which depends on the earlier ones only through carried values."""
    best: Chain | None = None
    calls: list[int] = []
    pattern: tuple[int, ...] | None = None
    given: dict[Any, int] = {}  # what the last call of the chain gives -> place among its results
    dependent: set[Any] = set()  # what depends on any call of the chain
    effect = -1  # place of the last equation with effects
    for i, eqn in enumerate(eqns):
        if not _is_call(eqn, function):
            if calls and not dependent.isdisjoint(eqn.invars):
                dependent.update(eqn.outvars)
            effect = i if eqn.effects else effect
            continue
        found = tuple([given.get(v, -1) for v in eqn.invars])
        waits = any(place < 0 and v in dependent for v, place in zip(eqn.invars, found, strict=True))
        if calls and (waits or (pattern is not None and found != pattern)):
            # The call before may begin a chain with this one.
            calls = calls[-1:] if not waits and len(calls) > 1 else []
            pattern = None
            dependent = set(eqns[calls[0]].outvars) if calls else set()
            if not calls:
                found = ()
        pattern = found if calls else None
        calls.append(i)
        given = {v: j for j, v in enumerate(eqn.outvars)}
        dependent.update(eqn.outvars)
        if pattern is not None and (best is None or len(calls) > len(best.calls)):
            if effect < calls[0]:
                best = Chain(list(calls), pattern)
        effect = i if eqn.effects else effect
    return best


def _is_call(eqn: JaxprEqn, function: int) -> bool:
    return eqn.primitive is outlined_call_p and id(eqn.params["jaxpr"]) == function


def _stacked_aval(count: int, aval: Any) -> ShapedArray:
    return ShapedArray((count, *aval.shape), aval.dtype)


def _row_aval(aval: Any) -> ShapedArray:
    return ShapedArray(aval.shape[1:], aval.dtype)


class _Stacks:
    """Which variables stand side by side in which array."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, ...], Var] = {}
        self.places: dict[Var, tuple[Var, int]] = {}
        self.rows: dict[Any, ClosedJaxpr] = {}
        self.kept: list[Any] = []  # whose ids are in `known`

    def step(self, values: Sequence[Any]) -> int:
        """How far two values in the middle are apart in an array that both are in; 0 if there is none."""
        middle = len(values) // 2
        a, b = self._place(values[middle - 1]), self._place(values[middle])
        return b[1] - a[1] if a is not None and b is not None and a[0] is b[0] else 0

    def new_rows(self, values: Sequence[Any]) -> int:
        """How many of the values have to be stored anew to stand in one array."""
        return sum(stop - start for start, stop, run in self._runs(values) if run is None)

    def _place(self, v: Any) -> tuple[Var, int] | None:
        return self.places.get(v) if type(v) is Var else None

    def _runs(self, values: Sequence[Any]) -> Iterator[tuple[int, int, tuple[Var, int, int] | None]]:
        """The values cut into stretches that stand evenly in one array (which one, from where, by which step)."""
        start, count = 0, len(values)
        while start < count:
            stop, here, run = start + 1, self._place(values[start]), None
            while here is not None and stop < count:
                there = self._place(values[stop])
                if there is None or there[0] is not here[0]:
                    break
                step = there[1] - here[1] if run is None else run[2]
                if step == 0 or there[1] != here[1] + step * (stop - start):
                    break
                run, stop = (*here, step), stop + 1
            yield start, stop, run
            start = stop

    def stacked(self, values: Sequence[Any], eqns: list[JaxprEqn]) -> Any:
        """One array of the values; the equations that make it are added to `eqns`."""
        from ..lax import concatenate_p, reshape_p

        key = tuple(map(id, values))
        array = self.known.get(key)
        if array is not None:
            return array
        parts: list[Any] = []
        for start, stop, run in self._runs(values):
            if run is not None:
                parts.append(self._rows_of(*run, stop - start, eqns))
                continue
            row = Var(_stacked_aval(1, values[start].aval))
            params = {"new_sizes": row.aval.shape, "dimensions": None, "sharding": None}
            eqns.append(JaxprEqn([values[start]], [row], reshape_p, params))
            parts.append(row)
        array = parts[0]
        if len(parts) > 1:
            array = Var(_stacked_aval(len(values), values[0].aval))
            eqns.append(JaxprEqn(parts, [array], concatenate_p, {"dimension": 0}))
        self.known[key] = array
        self.kept.append(values)
        return array

    def _rows_of(self, array: Var, first: int, step: int, count: int, eqns: list[JaxprEqn]) -> Var:
        """Every so many rows of an array, from the first one on, backwards if the step is negative."""
        from ..lax import rev_p, slice_p

        aval, stride = array.aval, abs(step)
        start = first if step > 0 else first + (count - 1) * step
        if count != aval.shape[0]:
            rest = aval.shape[1:]
            part = Var(ShapedArray((count, *rest), aval.dtype))
            params = {
                "start_indices": (start, *(0 for _ in rest)),
                "limit_indices": (start + (count - 1) * stride + 1, *rest),
                "strides": None if stride == 1 else (stride, *(1 for _ in rest)),
            }
            eqns.append(JaxprEqn([array], [part], slice_p, params))
            array = part
        if step < 0:
            part = Var(array.aval)
            eqns.append(JaxprEqn([array], [part], rev_p, {"dimensions": (0,)}))
            array = part
        return array

    def row(self, aval: Any) -> ClosedJaxpr:
        """A function of such an array and a number: that row. One kernel serves all rows."""
        known = self.rows.get(aval)
        if known is None:
            from ..lax import dynamic_slice_p, reshape_p

            array, index = Var(aval), Var(ShapedArray((), np.dtype(np.int32)))
            shape = aval.shape[1:]
            part, row = Var(_stacked_aval(1, _row_aval(aval))), Var(_row_aval(aval))
            starts = [index, *(Literal(np.int32(0)) for _ in shape)]
            sliced = JaxprEqn([array, *starts], [part], dynamic_slice_p, {"slice_sizes": (1, *shape)})
            params = {"new_sizes": shape, "dimensions": None, "sharding": None}
            body = Jaxpr((), [array, index], [row], [sliced, JaxprEqn([part], [row], reshape_p, params)])
            known = self.rows[aval] = ClosedJaxpr(body, ())
        return known


class _Loop:
    """A chain of calls as one `scan` equation."""

    def __init__(self, chain: Chain, eqns: Sequence[JaxprEqn], results: Sequence[Any], stacks: _Stacks):
        self.chain, self.eqns, self.stacks = chain, eqns, stacks
        self.calls = [eqns[i] for i in chain.calls]
        self.body: Jaxpr = self.calls[0].params["jaxpr"].jaxpr
        columns = list(zip(*(eqn.invars for eqn in self.calls), strict=True))
        self.constants = [p for p, column in enumerate(columns) if _is_constant(column)]
        self.carries = [p for p, q in enumerate(chain.carried) if q >= 0 and p not in self.constants]
        fixed = {*self.constants, *self.carries}
        self.columns = {p: column for p, column in enumerate(columns) if p not in fixed}
        self.reverse = sum(np.sign(stacks.step(column)) for column in self.columns.values()) < 0
        self.outputs = self._outputs_used(results)

    def _outputs_used(self, results: Sequence[Any]) -> list[int]:
        """Places of results that are used elsewhere than in the next call, or as the last value carried."""
        own = {id(eqn) for eqn in self.calls}
        needed = {v for v in results if type(v) is Var}
        for eqn in self.eqns:
            if id(eqn) not in own:
                needed.update(v for v in eqn.invars if type(v) is Var)
        carried = {self.chain.carried[p] for p in self.carries}
        constants = set(self.constants)
        used: set[int] = set()
        for k, eqn in enumerate(self.calls):
            last = k == len(self.calls) - 1
            used.update(j for j, v in enumerate(eqn.outvars) if v in needed and not (last and j in carried))
            if k:  # a result that is an argument of the next call at a place that is a constant of the loop
                own_results = {id(v): j for j, v in enumerate(self.calls[k - 1].outvars)}
                used.update(
                    own_results[id(eqn.invars[p])] for p in constants if id(eqn.invars[p]) in own_results
                )
        return sorted(used)

    def stacked_bytes(self) -> float:
        """What is to be stored side by side and is not yet."""
        count, total = len(self.calls), 0
        for column in self.columns.values():
            total += self.stacks.new_rows(column) * _bytes(column[0].aval)
        return total + count * sum(_bytes(self.body.outvars[q].aval) for q in self.outputs)

    def replaced(self) -> list[JaxprEqn]:
        """The equations with the loop in the place of the calls."""
        first, last = self.chain.calls[0], self.chain.calls[-1]
        calls = set(map(id, self.calls))
        dependent = {v for eqn in self.calls for v in eqn.outvars}
        before, after = [], []
        for eqn in self.eqns[first : last + 1]:
            if id(eqn) in calls:
                continue
            if dependent.isdisjoint(v for v in eqn.invars if type(v) is not Literal):
                before.append(eqn)
            else:
                dependent.update(eqn.outvars)
                after.append(eqn)
        return [*self.eqns[:first], *before, *self._loop(), *after, *self.eqns[last + 1 :]]

    def _loop(self) -> Iterator[JaxprEqn]:
        from ..lax import scan_p

        count, body, calls = len(self.calls), self.body, self.calls
        made: list[JaxprEqn] = []
        arrays = [
            self.stacks.stacked(column[::-1] if self.reverse else column, made)
            for column in self.columns.values()
        ]
        yield from made
        invars = [*self.constants, *self.carries, *self.columns]
        carried = [self.chain.carried[p] for p in self.carries]
        inner = body.replace(
            invars=[body.invars[p] for p in invars],
            outvars=[body.outvars[q] for q in (*carried, *self.outputs)],
        )
        finals = [Var(body.outvars[q].aval) for q in carried]
        # What is carried last is a result of the last call.
        rest = set(self.outputs)
        for j, q in enumerate(carried):
            if q not in rest and type(calls[-1].outvars[q]) is not DropVar:
                finals[j] = calls[-1].outvars[q]
                rest.add(q)
        stacked = [Var(_stacked_aval(count, body.outvars[q].aval)) for q in self.outputs]
        params = {
            "reverse": bool(self.reverse),
            "length": count,
            "jaxpr": ClosedJaxpr(inner, ()),
            "num_consts": len(self.constants),
            "num_carry": len(carried),
            "unroll": 1,
        }
        operands = [calls[0].invars[p] for p in (*self.constants, *self.carries)] + arrays
        yield JaxprEqn(operands, [*finals, *stacked], scan_p, params)
        for q, array in zip(self.outputs, stacked, strict=True):
            yield from self._rows(q, array)

    def _rows(self, place: int, array: Var) -> Iterator[JaxprEqn]:
        """Each call's result out of the array of all; unused ones are dropped at the end."""
        count, one_row = len(self.calls), self.stacks.row(array.aval)
        for k, eqn in enumerate(self.calls):
            v = eqn.outvars[place]
            if type(v) is DropVar:
                continue
            row = count - 1 - k if self.reverse else k
            self.stacks.places[v] = array, row
            operands = [array, Literal(np.int32(row))]
            yield JaxprEqn(operands, [v], outlined_call_p, {"jaxpr": one_row, "name": "row"})


def _is_constant(column: Sequence[Any]) -> bool:
    first = column[0]
    if type(first) is Literal:
        return all(type(v) is Literal and _same(v.val, first.val) for v in column)
    return all(v is first for v in column)


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and repr(a) == repr(b)


def _bytes(aval: Any) -> int:
    return aval.size * aval.dtype.itemsize


def _live(eqns: Sequence[JaxprEqn], outvars: Sequence[Any]) -> list[JaxprEqn]:
    """The equations whose results are read."""
    used = {v for v in outvars if type(v) is Var}
    kept = []
    for eqn in reversed(eqns):
        if eqn.effects or not used.isdisjoint(eqn.outvars):
            used.update(v for v in eqn.invars if type(v) is Var)
            kept.append(eqn)
    return kept[::-1]
