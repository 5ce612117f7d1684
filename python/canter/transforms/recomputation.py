"""What an outlined call keeps for later calls: no more than it has to store anyway.

The backward half of a layer reads what its forward half computed. Inside one program the compiler stores
little of that: it repeats cheap arithmetic where it is used, fused into the operation that reads it. A call
is a wall for that choice, so it is made here. Of a call's results that only later equations read, those that
are cheap arithmetic over values which the call stores in any case (its arguments, results and operands of its
matrix products, reductions) are dropped, and the readers repeat the arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

from ..core.jaxpr import ClosedJaxpr, DropVar, Jaxpr, JaxprEqn, Literal, Var

__all__ = ["recompute_cheap_results"]

# What a compiler fuses into its readers at next to no cost. Transcendental functions are stored.
_CHEAP = frozenset(
    "abs add add_any and broadcast_in_dim ceil clamp convert_element_type copy div eq expand_dims floor ge gt "
    "imag integer_pow iota is_finite le lt max min mul ne neg not or real reduce_precision reshape round rsqrt "
    "select_n sign sqrt square squeeze stop_gradient sub xor".split()
)
# Their operands are stored whole before they run.
_STORING = frozenset(("dot_general", "conv_general_dilated", "ragged_dot_general"))


def recompute_cheap_results(jaxpr: Jaxpr, call: Any) -> Jaxpr:
    """The program with fewer results kept between its outlined calls.

    Args:
      jaxpr: a program with outlined calls, without dead code.
      call: the primitive of the calls; those of one function share the parameter `jaxpr`.
    """
    functions = len(_functions(_calls(jaxpr, call)))
    for n in range(functions):
        calls = _calls(jaxpr, call)
        jaxpr = _Rewriting(jaxpr, calls, _functions(calls)[n]).result()
    return jaxpr


def _calls(jaxpr: Jaxpr, call: Any) -> dict[int, JaxprEqn]:
    """The calls by their places in the program."""
    return {i: eqn for i, eqn in enumerate(jaxpr.eqns) if eqn.primitive is call}


def _functions(calls: dict[int, JaxprEqn]) -> list[int]:
    """Identities of the called functions, in the order of their first calls."""
    return list(dict.fromkeys(id(eqn.params["jaxpr"]) for eqn in calls.values()))


class Cone(NamedTuple):
    """The cheap equations that make one value, in order, and the stored values that they begin from."""

    eqns: tuple[JaxprEqn, ...]
    leaves: tuple[Var, ...]


class _Rewriting:
    """One function whose results are looked at, with its calls and those who read their results."""

    def __init__(self, jaxpr: Jaxpr, all_calls: dict[int, JaxprEqn], function: int):
        self.jaxpr, self.all_calls = jaxpr, all_calls
        self.calls = [eqn for eqn in all_calls.values() if id(eqn.params["jaxpr"]) == function]
        self.function = function
        self.body: Jaxpr = self.calls[0].params["jaxpr"].jaxpr
        self.cones = _cones(self.body)
        # Of each result: the call that gives it, and its place.
        self.origins = {v: (n, j) for n, eqn in enumerate(self.calls) for j, v in enumerate(eqn.outvars)}

    def result(self) -> Jaxpr:
        if not self.cones:
            return self.jaxpr
        readers = self._readers()
        kept = self._kept(readers)
        cones = {j: cone for j, cone in self.cones.items() if j not in kept}
        if not cones or not _is_smaller(self.body, cones):
            return self.jaxpr
        return _Rewritten(self, readers, cones).jaxpr()

    def _readers(self) -> dict[int, _Reader]:
        """The other functions whose calls can repeat the arithmetic themselves."""
        calls: dict[int, list[JaxprEqn]] = {}
        for eqn in self.all_calls.values():
            if id(eqn.params["jaxpr"]) != self.function:
                calls.setdefault(id(eqn.params["jaxpr"]), []).append(eqn)
        return {key: _Reader(group, self.origins, self.cones) for key, group in calls.items()}

    def _kept(self, readers: dict[int, _Reader]) -> set[int]:
        """Places of results that the program itself, the next call of the function, or another call needs."""
        kept = {self.origins[v][1] for v in self.jaxpr.outvars if v in self.origins}
        for eqn in self.all_calls.values():
            reader = readers.get(id(eqn.params["jaxpr"]))
            for i, v in enumerate(eqn.invars):
                if v in self.origins and (reader is None or i not in reader.places):
                    kept.add(self.origins[v][1])
        return kept


class _Reader:
    """A function whose n-th call reads results of one call of another function, at the same places each time.

    Attributes:
      places: of the arguments that can be recomputed: place of the argument -> place of the result.
      sources: of each call, by the identity of its equation: the call that it reads from.
    """

    def __init__(
        self, calls: Sequence[JaxprEqn], origins: dict[Var, tuple[int, int]], cones: dict[int, Cone]
    ):
        self.places: dict[int, int] = {}
        self.sources: dict[int, int] = {}
        for i in range(len(calls[0].invars)):
            found = [origins.get(eqn.invars[i]) for eqn in calls]
            if None in found:
                continue
            numbers, places = zip(*found, strict=True)
            if len(set(places)) > 1 or places[0] not in cones:
                continue
            sources = {id(eqn): n for eqn, n in zip(calls, numbers, strict=True)}
            if not self.places:
                self.sources = sources
            if sources == self.sources:
                self.places[i] = places[0]


def _cones(body: Jaxpr) -> dict[int, Cone]:
    """Of the results that are cheap arithmetic over stored values: how they are made."""
    made_by = {v: n for n, eqn in enumerate(body.eqns) for v in eqn.outvars}
    stored = {v for eqn in body.eqns if eqn.primitive.name in _STORING for v in eqn.invars}
    for eqn in body.eqns:
        if eqn.primitive.name not in _CHEAP:
            stored.update(eqn.outvars)
    cones = {}
    for j, v in enumerate(body.outvars):
        if v in made_by and v not in stored:
            cones[j] = _cone(body.eqns, v, made_by, stored)
    return cones


def _cone(eqns: Sequence[JaxprEqn], value: Var, made_by: dict[Var, int], stored: set[Any]) -> Cone:
    needed: set[int] = set()
    leaves: dict[Var, None] = {}
    pending = [value]
    while pending:
        v = pending.pop()
        if v in stored or v not in made_by:
            leaves[v] = None
        elif made_by[v] not in needed:
            needed.add(made_by[v])
            pending.extend(w for w in eqns[made_by[v]].invars if type(w) is not Literal)
    return Cone(tuple(eqns[n] for n in sorted(needed)), tuple(leaves))


def _is_smaller(body: Jaxpr, cones: dict[int, Cone]) -> bool:
    """Whether what is stored anew takes no more memory than what is dropped."""
    given = set(body.outvars) | set(body.invars)
    dropped = {body.outvars[j] for j in cones}
    added = {v for cone in cones.values() for v in cone.leaves} - given
    return sum(map(_bytes, added)) <= sum(map(_bytes, dropped))


def _bytes(v: Any) -> int:
    return v.aval.size * v.aval.dtype.itemsize


class _Rewritten:
    """The program in which the results with cones are gone."""

    def __init__(self, old: _Rewriting, readers: dict[int, _Reader], cones: dict[int, Cone]):
        self.old, self.readers, self.cones = old, readers, cones
        self.leaves = tuple(dict.fromkeys(v for cone in cones.values() for v in cone.leaves))
        self.bodies: dict[int, ClosedJaxpr] = {}
        arguments = set(old.body.invars)
        kept = [v for j, v in enumerate(old.body.outvars) if j not in cones]
        self.outvars = list(dict.fromkeys([*kept, *(v for v in self.leaves if v not in arguments)]))
        body = old.body.replace(outvars=self.outvars, eqns=_without_dead_code(old.body.eqns, self.outvars))
        self.body = ClosedJaxpr(body, ())
        # Of each call: the program's variable of each stored value of the body.
        self.values = [self._values(eqn) for eqn in old.calls]

    def _values(self, eqn: JaxprEqn) -> dict[Var, Any]:
        body, needed = self.old.body, set(self.leaves)
        values = dict(zip(body.invars, eqn.invars, strict=True))
        results = dict(zip(body.outvars, eqn.outvars, strict=True))
        for v in self.outvars:
            known = results.get(v)
            if known is None or (v in needed and type(known) is DropVar):
                known = Var(v.aval)
            values[v] = known
        return values

    def jaxpr(self) -> Jaxpr:
        old = self.old
        eqns, places = list(old.jaxpr.eqns), old.all_calls
        values = iter(self.values)
        for i, eqn in places.items():
            if id(eqn.params["jaxpr"]) == old.function:
                known = next(values)
                outvars = [known[v] for v in self.outvars]
                eqns[i] = eqn.replace(outvars=outvars, params={**eqn.params, "jaxpr": self.body})
            else:
                eqns[i] = self._reading_call(eqn)
        dropped = {v for v, (_, place) in old.origins.items() if place in self.cones}
        others = [eqn.invars for i, eqn in enumerate(eqns) if i not in places]
        read = set(chain.from_iterable(others))
        remade = self._remade(eqns, places, dropped & read)
        used = read.union(old.jaxpr.outvars, *[eqns[i].invars for i in places])
        used.update(v for new in remade.values() for eqn in new for v in eqn.invars)
        for i in places:
            eqns[i] = self._dropping(eqns[i], used)
        for i in sorted(remade, reverse=True):
            eqns[i:i] = remade[i]
        return old.jaxpr.replace(eqns=eqns)

    def _remade(
        self, eqns: Sequence[JaxprEqn], places: dict[int, JaxprEqn], wanted: set[Any]
    ) -> dict[int, list[JaxprEqn]]:
        """Of results that the program itself wants: the equations that make them, by where they go."""
        remade: dict[int, list[JaxprEqn]] = {}
        for i, eqn in enumerate(eqns):
            if not wanted:
                break
            if i not in places and not wanted.isdisjoint(eqn.invars):
                for v in dict.fromkeys(v for v in eqn.invars if v in wanted):
                    wanted.remove(v)
                    remade.setdefault(i, []).extend(self._in_place(v))
        return remade

    def _in_place(self, v: Var) -> list[JaxprEqn]:
        """The equations that make a dropped result in the program itself."""
        number, place = self.old.origins[v]
        values = self.values[number]
        names = {leaf: values[leaf] for leaf in self.cones[place].leaves} | {self.old.body.outvars[place]: v}
        return _copied(self.cones[place].eqns, names)

    def _reading_call(self, eqn: JaxprEqn) -> JaxprEqn:
        """A call that takes the stored values in the place of dropped ones."""
        reader = self.readers[id(eqn.params["jaxpr"])]
        dropped = {i: j for i, j in reader.places.items() if j in self.cones}
        if not dropped:
            return eqn
        leaves = tuple(dict.fromkeys(v for j in dropped.values() for v in self.cones[j].leaves))
        key = id(eqn.params["jaxpr"])
        if key not in self.bodies:
            self.bodies[key] = self._reading_body(eqn.params["jaxpr"].jaxpr, dropped, leaves)
        values = self.values[reader.sources[id(eqn)]]
        invars = [v for i, v in enumerate(eqn.invars) if i not in dropped]
        invars.extend(values[v] for v in leaves)
        return eqn.replace(invars=invars, params={**eqn.params, "jaxpr": self.bodies[key]})

    def _reading_body(self, body: Jaxpr, dropped: dict[int, int], leaves: Sequence[Var]) -> ClosedJaxpr:
        names: dict[Var, Any] = {v: Var(v.aval) for v in leaves}
        invars = [v for i, v in enumerate(body.invars) if i not in dropped] + list(names.values())
        for i, j in dropped.items():
            names.setdefault(self.old.body.outvars[j], body.invars[i])
        made = {eqn: None for j in dropped.values() for eqn in self.cones[j].eqns}
        order = {id(eqn): n for n, eqn in enumerate(self.old.body.eqns)}
        eqns = _copied(sorted(made, key=lambda eqn: order[id(eqn)]), names)
        return ClosedJaxpr(body.replace(invars=invars, eqns=[*eqns, *body.eqns]), ())

    def _dropping(self, eqn: JaxprEqn, used: set[Any]) -> JaxprEqn:
        outvars = [v if v in used or type(v) is DropVar else DropVar(v.aval) for v in eqn.outvars]
        return eqn.replace(outvars=outvars)


def _copied(eqns: Sequence[JaxprEqn], names: dict[Var, Any]) -> list[JaxprEqn]:
    """Equations with their variables named anew; `names` has those that are known."""
    names = dict(names)
    result = []
    for eqn in eqns:
        invars = [v if type(v) is Literal else names[v] for v in eqn.invars]
        for v in eqn.outvars:
            names.setdefault(v, Var(v.aval))
        result.append(eqn.replace(invars=invars, outvars=[names[v] for v in eqn.outvars]))
    return result


def _without_dead_code(eqns: Sequence[JaxprEqn], outvars: Sequence[Var]) -> list[JaxprEqn]:
    used = set(outvars)
    kept = []
    for eqn in reversed(eqns):
        if eqn.effects or not used.isdisjoint(eqn.outvars):
            used.update(v for v in eqn.invars if type(v) is not Literal)
            kept.append(eqn)
    return kept[::-1]
