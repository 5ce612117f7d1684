"""Outlining: the repeated layers of a program become calls of one function.

A model written as a Python loop over its layers is traced into one long program, in which the compiler
fuses across layers again and again: its time grows with the square of the depth. This pass finds
sub-programs that repeat one after the other, and turns each repetition into a call that the compiler
keeps as it is. Repetitions are sought among the few heavy equations (matrix products, convolutions,
inner programs), then extended to all equations around them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.jaxpr import ClosedJaxpr, DropVar, Jaxpr, JaxprEqn, Literal, Var
from ..core.number_keys import value_key
from ..core.primitive import Primitive
from ..core.structure import structure_key
from .partial_evaluation import convert_constvars
from .recomputation import recompute_cheap_results
from .rules import array_ops

__all__ = ["outline_repetitions", "outlined_call_p"]

MIN_REPETITIONS = 4
MIN_HEAVY = 2  # in one repetition; lighter ones are better fused than called
MIN_EQUATIONS = 8
_HEAVY = frozenset(("dot_general", "conv_general_dilated", "ragged_dot_general"))

# What lowering does not read: rules for derivatives and batching, of which each call has new ones.
_UNREAD = {
    "custom_jvp_call": frozenset(("jvp_jaxpr_fun",)),
    "custom_vjp_call": frozenset(("fwd_jaxpr_thunk", "bwd")),
    "remat2": frozenset(("policy",)),
}
_RULES_ONLY = frozenset(("custom_jvp_call", "custom_vjp_call"))  # as light as their bodies

# Types of parameters that have two zeros, which are equal.
_SIGNED = frozenset((float, complex, *(np.dtype(code).type for code in "efdFD")))
# Types whose values are equal to ones of other types, or arrays.
_NUMBERS = _SIGNED | {bool, int, list, np.ndarray, *(np.dtype(code).type for code in "?bBhHiIqQ")}

outlined_call_p = Primitive("outlined_call", multiple_results=True)
outlined_call_p.call_primitive = True
outlined_call_p.def_effectful_abstract_eval(lambda *avals, jaxpr, name: (jaxpr.out_avals, jaxpr.effects))


class Repetition(NamedTuple):
    """Equations `start` to `start + period * repeats`: the same ones `repeats` times."""

    start: int
    period: int
    repeats: int


def outline_repetitions(jaxpr: Jaxpr) -> Jaxpr:
    """The program with its repeated parts as calls; the same object where nothing repeats.

    Args:
      jaxpr: the program, without dead code. It is only lowered afterwards: the calls have no
        derivative or batching rules.
    """
    eqns = jaxpr.eqns
    light = {primitive for primitive in {eqn.primitive for eqn in eqns} if _is_light(primitive)}
    heavy = [i for i, eqn in enumerate(eqns) if eqn.primitive not in light and _is_heavy(eqn)]
    inner = {i: _outline_inside(eqns[i]) for i in heavy if eqns[i].primitive.call_primitive}
    if any(new is not eqns[i] for i, new in inner.items()):
        eqns = [inner.get(i, eqn) for i, eqn in enumerate(eqns)]
        jaxpr = jaxpr.replace(eqns=eqns)
    if len(heavy) < MIN_REPETITIONS * MIN_HEAVY:
        return jaxpr
    tokens = _Tokens(eqns)
    found = _repetitions(tokens, heavy)
    if not found:
        return jaxpr
    last_use = _last_uses(jaxpr)
    new_eqns: list[JaxprEqn] = []
    position = 0
    for repetition in found:
        repetition = _best_cut(eqns, repetition, last_use)
        new_eqns.extend(eqns[position : repetition.start])
        new_eqns.extend(_outlined(eqns, repetition, last_use))
        position = repetition.start + repetition.period * repetition.repeats
    new_eqns.extend(eqns[position:])
    return recompute_cheap_results(jaxpr.replace(eqns=new_eqns), outlined_call_p)


def _is_light(primitive: Primitive) -> bool:
    return not primitive.call_primitive and primitive.name not in _HEAVY


def _is_heavy(eqn: JaxprEqn) -> bool:
    primitive = eqn.primitive
    if not primitive.call_primitive:
        return primitive.name in _HEAVY
    if primitive.name in _RULES_ONLY:
        return any(map(_is_heavy, eqn.params["call_jaxpr"].jaxpr.eqns))
    return True


def _outline_inside(eqn: JaxprEqn) -> JaxprEqn:
    """The equation with its inner programs outlined."""
    changed = {}
    for name, value in eqn.params.items():
        new = _outline_value(value)
        if new is not value:
            changed[name] = new
    return eqn.replace(params={**eqn.params, **changed}) if changed else eqn


def _outline_value(value: Any) -> Any:
    if type(value) is ClosedJaxpr:
        known = value.memo.get("outlined")
        if known is None:
            inner = outline_repetitions(value.jaxpr)
            known = value if inner is value.jaxpr else ClosedJaxpr(inner, value.consts)
            value.memo["outlined"] = known
        return known
    if type(value) is Jaxpr:
        return outline_repetitions(value)
    if type(value) is tuple and value and type(value[0]) is ClosedJaxpr:
        new = tuple(map(_outline_value, value))
        return value if all(a is b for a, b in zip(new, value, strict=True)) else new
    return value


# --- finding repetitions --------------------------------------------------------------------------


class _Tokens:
    """Numbers that are equal for equations that differ only in their variables.

    To find a number takes longer than to compare two equations, so that whole repetitions are compared by
    their fields (`repeat`).
    """

    def __init__(self, eqns: Sequence[JaxprEqn]):
        self.eqns = eqns
        self.numbers: dict[Any, int] = {}
        self.known: list[int] = [-1] * len(eqns)
        self.types: dict[int, int] = {}  # of types, by their identity; from 1, negative for literals
        self.programs: dict[int, int] = {}  # of inner programs, by their identity
        self.plain: set[Primitive] = set()  # those seen without inner programs

    def repeat(self, start: int, stop: int, period: int) -> bool:
        """Whether equations have the same numbers as those a period before them, from the second period on."""
        eqns = self.eqns[start:stop]
        operands = [v for eqn in eqns for v in eqn.invars]
        results = [v.aval for eqn in eqns for v in eqn.outvars]
        first = eqns[:period]
        taken = sum(len(eqn.invars) for eqn in first)
        given = sum(len(eqn.outvars) for eqn in first)
        try:
            return (
                _is_periodic([eqn.primitive for eqn in eqns], period)
                and _is_periodic([len(eqn.invars) for eqn in eqns], period)
                and _is_periodic(list(map(type, operands)), taken)
                and _is_periodic([v.aval for v in operands], taken)
                and _is_periodic(results, given)
                and _is_periodic(self._comparable(eqns, start), period)
            )
        except ValueError:  # of arrays inside of parameters
            return False

    def _comparable(self, eqns: Sequence[JaxprEqn], start: int) -> list[Any]:
        """What is equal for equal parameters: they themselves, or a number where that is not so."""
        found: list[Any] = []
        for i, eqn in enumerate(eqns, start):
            params, number = eqn.params, None
            if eqn.effects or (params and not _NUMBERS.isdisjoint(map(type, params.values()))):
                number = self[i]
            elif params and eqn.primitive not in self.plain:
                number = self[i]  # by which the primitive becomes known
                number = None if eqn.primitive in self.plain else number
            found.append(params if number is None else number)
        return found

    def __getitem__(self, index: int) -> int:
        token = self.known[index]
        if token < 0:
            token = self.known[index] = self._number(self.eqns[index])
        return token

    def _number(self, eqn: JaxprEqn) -> int:
        if eqn.effects:
            return self.numbers.setdefault(id(eqn), len(self.numbers))  # an equation like no other
        types = self.types
        key: list[Any] = [eqn.primitive]
        for v in eqn.invars:
            number = types.get(id(v.aval)) or self._type(v.aval)
            # A literal whatever its value: one that differs becomes an argument.
            key.append(-number if type(v) is Literal else number)
        for v in eqn.outvars:
            key.append(types.get(id(v.aval)) or self._type(v.aval))
        if eqn.params:
            key.extend(self._parameters(eqn.primitive, eqn.params))
        try:
            return self.numbers.setdefault(tuple(key), len(self.numbers))
        except TypeError:  # a parameter that cannot be hashed
            return self.numbers.setdefault(id(eqn), len(self.numbers))

    def _type(self, aval: Any) -> int:
        number = self.types[id(aval)] = self.numbers.setdefault(("type", aval), len(self.numbers)) + 1
        return number

    def _parameters(self, primitive: Primitive, params: dict[str, Any]) -> Iterable[Any]:
        # Equal numbers of other types (1 and True) and the same numbers under other names are not the same.
        kinds = tuple(map(type, params.values()))
        if not _SIGNED.isdisjoint(kinds):
            params = {
                name: value_key(value) if type(value) in _SIGNED else value for name, value in params.items()
            }
        if primitive in self.plain:
            return *params, *kinds, *params.values()
        if primitive.name == "slice":
            if params["strides"] is None:
                return _slice_sizes(params)  # wherever it starts
        elif not any(map(_holds_programs, params.values())):
            self.plain.add(primitive)
        unread = _UNREAD.get(primitive.name, ())
        read = {name: value for name, value in params.items() if name not in unread}
        return *read, *map(type, read.values()), *map(self._value, read.values())

    def _value(self, value: Any) -> Any:
        """A parameter, with a number that is equal for inner programs of equal structure in their places."""
        kind = type(value)
        if kind is tuple:
            return tuple(map(self._value, value)) if _holds_programs(value) else value
        if not _is_program(value):
            return value
        number = self.programs.get(id(value))
        if number is None:
            closed = value if kind is ClosedJaxpr else ClosedJaxpr(convert_constvars(value), ())
            key = structure_key(closed, unread=_UNREAD)
            key = id(value) if key is None else (kind, key)
            number = self.programs[id(value)] = self.numbers.setdefault(key, len(self.numbers))
        return "program", number


def _is_periodic(values: list[Any], period: int) -> bool:
    return values[period:] == values[: len(values) - period]


def _is_program(value: Any) -> bool:
    return type(value) is ClosedJaxpr or type(value) is Jaxpr


def _holds_programs(value: Any) -> bool:
    return any(map(_is_program, value)) if type(value) is tuple else _is_program(value)


def _repetitions(tokens: _Tokens, heavy: Sequence[int]) -> list[Repetition]:
    """Repetitions that do not overlap, in their order; longer stretches are preferred."""
    words = np.array([tokens[i] for i in heavy], np.int32)
    candidates = []
    for step in range(MIN_HEAVY, len(heavy) // MIN_REPETITIONS + 1):
        equal = words[:-step] == words[step:]
        least = (MIN_REPETITIONS - 1) * step
        if np.count_nonzero(equal) < least:
            continue
        for first, length in _runs(equal, least):
            candidates.append((-(length + step), step, first, length))
    places = np.array(heavy)
    taken = np.zeros(len(tokens.eqns), bool)
    found = []
    for _, step, first, length in sorted(candidates):
        repetition = _extended(tokens, places, step, first, length, taken)
        if repetition is not None:
            start, period, repeats = repetition
            taken[start : start + period * repeats] = True
            found.append(repetition)
    return sorted(found)


def _runs(flags: np.ndarray, least: int) -> list[tuple[int, int]]:
    """Start and length of each stretch of true flags that is not shorter than `least`."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    long = lengths >= least
    return list(zip(starts[long].tolist(), lengths[long].tolist(), strict=True))


def _extended(
    tokens: _Tokens, heavy: np.ndarray, step: int, first: int, length: int, taken: np.ndarray
) -> Repetition | None:
    """The repetition of all equations around one of the heavy equations, if there is one."""
    here = heavy[first : first + length]
    if taken[here].mean() > 0.5:  # as for the multiples of a step that has been found
        return None
    periods = heavy[first + step : first + step + length] - here
    period = int(np.bincount(periods).argmax())
    first, length = _runs(periods == period, 1)[0]
    start, stop = int(here[first]), int(here[first + length - 1]) + 1
    if period < MIN_EQUATIONS or taken[start]:
        return None
    if taken[start : stop + period].any() or not tokens.repeat(start, stop + period, period):
        stop = start
    total = len(tokens.eqns)
    while start > 0 and not taken[start - 1] and tokens[start - 1] == tokens[start - 1 + period]:
        start -= 1
    while stop + period < total and not taken[stop + period] and tokens[stop] == tokens[stop + period]:
        stop += 1
    repeats = (stop + period - start) // period
    if repeats < MIN_REPETITIONS or taken[start : stop + period].any():
        return None
    return Repetition(start, period, repeats)


# --- cutting --------------------------------------------------------------------------------------


def _last_uses(jaxpr: Jaxpr) -> dict[Var, int]:
    """The place of the last equation that reads a variable; the end for results of the program."""
    last: dict[Any, int] = {}  # literals have entries too, which nobody asks for
    for i, eqn in enumerate(jaxpr.eqns):
        for v in eqn.invars:
            last[v] = i
    last.update(dict.fromkeys(jaxpr.outvars, len(jaxpr.eqns)))
    return last


def _best_cut(eqns: Sequence[JaxprEqn], repetition: Repetition, last_use: dict[Var, int]) -> Repetition:
    """Moves the boundaries to where the fewest values pass from one repetition to the next.

    Values that are used much later, as residuals are, pass every boundary and do not count.
    """
    start, period, repeats = repetition
    stop = start + period * repeats
    results = [v for eqn in eqns[start:stop] for v in eqn.outvars]
    defined = np.repeat(np.arange(start, stop), [len(eqn.outvars) for eqn in eqns[start:stop]])
    last = np.fromiter((last_use.get(v, -1) for v in results), np.int64, len(results))
    near = last - defined <= 2 * period  # unused ones too
    size = stop - start + 1
    crossing = np.bincount(defined[near] - start + 1, minlength=size)
    ends = np.minimum(np.maximum(last, defined)[near] + 1, stop) - start
    crossing -= np.bincount(ends, minlength=size)
    passing = np.cumsum(crossing)[:-1].reshape(repeats, period).sum(0)
    offset = int(np.argmin(passing[1:])) + 1 if period > 1 else 0
    if passing[0] <= passing[offset]:
        offset = 0
    return Repetition(start + offset, period, repeats - (offset > 0))


class _Segment:
    """One repetition: its equations, what they read and what they give, one after the other."""

    def __init__(self, eqns: Sequence[JaxprEqn]):
        self.eqns = eqns
        self.operands: list[Any] = [v for eqn in eqns for v in eqn.invars]
        self.results: list[Var] = [v for eqn in eqns for v in eqn.outvars]


class _Wiring:
    """Which operands of a repetition are results of its own, and which are the same value from outside."""

    def __init__(self, model: _Segment):
        inside = {v: j for j, v in enumerate(model.results)}
        slots: dict[Any, int] = {}
        self.inner: list[tuple[int, int]] = []  # place of an operand, place of the result that it is
        self.first: list[int] = []  # places of the first operands to read each value from outside
        self.again: list[tuple[int, int]] = []  # place of an operand, place in `first` of the value
        for k, v in enumerate(model.operands):
            if type(v) is Literal:
                continue
            if v in inside:
                self.inner.append((k, inside[v]))
            elif v in slots:
                self.again.append((k, slots[v]))
            else:
                slots[v] = len(self.first)
                self.first.append(k)

    def inputs(self, segment: _Segment) -> list[Var]:
        """The values that a repetition takes from outside."""
        operands = segment.operands
        return [operands[k] for k in self.first]

    def fits(self, segment: _Segment) -> bool:
        """Whether a repetition is wired in this way."""
        operands, results, inputs = segment.operands, segment.results, self.inputs(segment)
        return (
            all(operands[k] is results[j] for k, j in self.inner)
            and all(operands[k] is inputs[i] for k, i in self.again)
            and set(inputs).isdisjoint(results)
        )


def _largest_group(segments: list[_Segment]) -> tuple[_Wiring | None, list[_Segment]]:
    """The most repetitions that are wired alike, and how."""
    best: tuple[_Wiring | None, list[_Segment]] = (None, [])
    while len(segments) > len(best[1]):
        wiring = _Wiring(segments[0])
        group = [segment for segment in segments if wiring.fits(segment)]
        if len(group) > len(best[1]):
            best = wiring, group
        segments = [segment for segment in segments if segment not in group]
    return best


def _outlined(eqns: Sequence[JaxprEqn], repetition: Repetition, last_use: dict[Var, int]) -> list[JaxprEqn]:
    """The equations of a repetition as calls; repetitions that are wired differently stay as they are."""
    start, period, repeats = repetition
    stops = [start + (t + 1) * period for t in range(repeats)]
    segments = [_Segment(eqns[stop - period : stop]) for stop in stops]
    wiring, alike = _largest_group(segments)
    if wiring is None or len(alike) < MIN_REPETITIONS:
        return list(eqns[start : start + period * repeats])
    # Of each repetition: the places of results that are used outside of it.
    used = {
        segment: [j for j, v in enumerate(segment.results) if last_use.get(v, -1) >= stop]
        for segment, stop in zip(segments, stops, strict=True)
    }
    given = sorted(set().union(*(used[segment] for segment in alike)))
    model = alike[0]
    lifted = _Lifted(alike)
    body = Jaxpr(
        (),
        [*wiring.inputs(model), *lifted.variables],
        [model.results[i] for i in given],
        lifted.equations(model.eqns),
    )
    params = {"jaxpr": ClosedJaxpr(body, ()), "name": "block"}
    called = set(alike)
    result: list[JaxprEqn] = []
    for segment in segments:
        if segment not in called:
            result.extend(segment.eqns)
            continue
        kept = set(used[segment])
        outvars = [segment.results[i] if i in kept else DropVar(segment.results[i].aval) for i in given]
        invars = [*wiring.inputs(segment), *lifted.values(segment.eqns)]
        result.append(JaxprEqn(invars, outvars, outlined_call_p, dict(params)))
    return result


class _Lifted:
    """Numbers that differ between repetitions, and so become arguments: literals, and where slices start."""

    def __init__(self, alike: Sequence[_Segment]):
        first = alike[0].eqns
        self.places: list[tuple[int, int]] = []  # equation, and operand or dimension of a slice
        for k, eqn in enumerate(first):
            if eqn.primitive.name == "slice":
                starts = [segment.eqns[k].params["start_indices"] for segment in alike]
                self.places.extend((k, d) for d, column in enumerate(zip(*starts)) if len(set(column)) > 1)
                continue
            for i, v in enumerate(eqn.invars):
                if type(v) is Literal and len({repr(segment.eqns[k].invars[i].val) for segment in alike}) > 1:
                    self.places.append((k, i))
        self.variables = [Var(value.aval) for value in self.values(first)]

    def values(self, eqns: Sequence[JaxprEqn]) -> list[Literal]:
        """The numbers in one repetition."""
        return [
            Literal(np.int32(eqns[k].params["start_indices"][i]))
            if eqns[k].primitive.name == "slice"
            else eqns[k].invars[i]
            for k, i in self.places
        ]

    def equations(self, eqns: Sequence[JaxprEqn]) -> list[JaxprEqn]:
        """The equations of one repetition with variables in the place of the numbers."""
        changed = list(eqns)
        for (k, i), v in zip(self.places, self.variables, strict=True):
            eqn = changed[k]
            if eqns[k].primitive.name == "slice":
                eqn = _dynamic_slice(eqn) if eqn is eqns[k] else eqn
                i += 1
            invars = list(eqn.invars)
            invars[i] = v
            changed[k] = eqn.replace(invars=invars)
        return changed


def _slice_sizes(params: dict[str, Any]) -> tuple[int, ...]:
    starts, limits = params["start_indices"], params["limit_indices"]
    return tuple(limit - start for start, limit in zip(starts, limits, strict=True))


def _dynamic_slice(eqn: JaxprEqn) -> JaxprEqn:
    starts = [Literal(np.int32(start)) for start in eqn.params["start_indices"]]
    params = {"slice_sizes": _slice_sizes(eqn.params)}
    return eqn.replace(primitive=array_ops.dynamic_slice_p, invars=[*eqn.invars, *starts], params=params)
