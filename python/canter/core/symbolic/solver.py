"""Deciding comparisons of symbolic dimensions.

All questions come down to one: is `e >= 0` for all values of the variables? Interval arithmetic answers the easy
ones. For the others the negation `e <= -1` is refuted: facts about the expression's atoms, products of facts and
the negation are linear inequalities in the monomials, and if a non-negative combination of them gives `-1 >= 0`
(Farkas' lemma; found by an exact simplex method), no values satisfy them all. Where the linear relaxation has a
solution, the integers are taken into account by cases: which operand a maximum is, what the remainder of a division
is, whether a variable has its least value.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .expressions import Atom, Monomial, Terms
    from .scope import SymbolicScope

__all__ = ["Solver", "infeasible"]

_MOST_LINEAR_PROGRAMS = 80  # that one question may take
_MOST_PRODUCTS = 160
_MOST_RESIDUES = 12
_CASES_FIRST = ("floordiv", "max", "min", None, "mod")  # by what cases are told apart first
_INFINITY = math.inf


class Case(NamedTuple):
    """What holds in one branch of a distinction: each terms >= 0."""

    facts: tuple[Any, ...]


class Solver:
    """Answers questions about expressions of one scope, and remembers the answers."""

    def __init__(self, scope: SymbolicScope):
        self.scope = scope
        self._known: dict[Any, bool] = {}
        self._intervals: dict[Atom, tuple[float, float]] = {}
        self._samples_of: dict[frozenset[str], list[dict[str, int]]] = {}
        self._linear_programs = 0

    def proves(self, value: Any) -> bool:
        """Whether an expression is certain not to be negative."""
        found = self._known.get(value.terms)
        if found is None:
            self._known[value.terms] = False  # while it is being found out, so that nothing turns in a circle
            low, high = self.interval(value)
            found = low >= 0 or (
                high >= 0
                and not any(number < 0 for number in self._examples(value))
                and self._by_refutation([_minus_one_minus(value)])
            )
            self._known[value.terms] = found
        return found

    def is_zero(self, value: Any) -> bool:
        """Whether an expression is certain to be 0."""
        low, high = self.interval(value)
        if low > 0 or high < 0 or any(self._examples(value)):
            return False
        return self.proves(value) and self.proves(-value)

    def never_zero(self, value: Any) -> bool:
        """Whether an expression is certain not to be 0."""
        low, high = self.interval(value)
        if low > 0 or high < 0 or self.proves(value - 1) or self.proves(-value - 1):
            return True
        common = math.gcd(*(number for monomial, number in value.terms if monomial))
        if dict(value.terms).get((), 0) % common:
            return True
        if any(number == 0 for number in self._examples(value)):
            return False
        terms = dict(value.terms)
        return self._by_refutation([terms, {monomial: -number for monomial, number in terms.items()}])

    # Examples

    def _examples(self, value: Any) -> Iterator[int]:
        """What an expression is for some values of its variables; one of them refutes most of what is not true."""
        for sample in self._samples(value):
            try:
                yield value.evaluate(sample)
            except ZeroDivisionError:
                continue

    def _samples(self, value: Any) -> list[dict[str, int]]:
        """Values of the variables that satisfy the constraints."""
        names = frozenset(value.variables())
        found = self._samples_of.get(names)
        if found is None:
            constraints = [c for c in self.scope.constraints if not isinstance(c.difference, int)]
            every = sorted(names.union(*(c.difference.variables() for c in constraints)))
            found = self._samples_of[names] = [
                sample for sample in _assignments(every) if all(_satisfies(c, sample) for c in constraints)
            ]
        return found

    # Intervals

    def interval(self, value: Any) -> tuple[float, float]:
        """Bounds of an expression, from those of its atoms."""
        if isinstance(value, int):
            return value, value
        low: float = 0
        high: float = 0
        for monomial, number in value.terms:
            bounds: tuple[float, float] = (number, number)
            for atom, power in monomial:
                for _ in range(power):
                    bounds = _product(bounds, self._interval_of_atom(atom))
            low, high = low + bounds[0], high + bounds[1]
        return low, high

    def _interval_of_atom(self, atom: Atom) -> tuple[float, float]:
        found = self._intervals.get(atom)
        if found is None:
            self._intervals[atom] = (1 if atom.operation is None else -_INFINITY), _INFINITY
            found = self._intervals[atom] = self._find_interval(atom)
        return found

    def _find_interval(self, atom: Atom) -> tuple[float, float]:
        if atom.operation is None:
            low, high = 1.0, _INFINITY
            for constraint in self.scope.constraints:
                low, high = _tightened(constraint, atom, low, high)
            return low, high
        (low, high), (other_low, other_high) = map(self.interval, atom.operands)
        if atom.operation == "max":
            return max(low, other_low), max(high, other_high)
        if atom.operation == "min":
            return min(low, other_low), min(high, other_high)
        if atom.operation == "mod":
            if other_low > 0:
                return 0, other_high - 1
            return (other_low + 1, 0) if other_high < 0 else (-_INFINITY, _INFINITY)
        if other_low > 0:  # floordiv
            return _floor(low, other_low if low < 0 else other_high), _floor(
                high, other_high if high < 0 else other_low
            )
        return -_INFINITY, _INFINITY

    # Refutation

    def _by_refutation(self, goals: list[Terms]) -> bool:
        """Whether `goals`, each at least 0, contradict what is known."""
        outermost = self._linear_programs == 0
        try:
            return self._refuted([self._without_mod(goal) for goal in goals], self._atom_facts(goals), 4)
        finally:
            if outermost:
                self._linear_programs = 0

    def _without_mod(self, terms: Terms) -> Terms:
        """The same with `e - d * floordiv(e, d)` for every `mod(e, d)`."""
        from .expressions import Atom, DimExpr, expression, terms_of

        result: Terms = {}
        for monomial, number in terms.items():
            remainders = [atom for atom, _ in monomial if atom.operation == "mod"]
            if not remainders:
                result[monomial] = result.get(monomial, 0) + number
                continue
            product: Any = number
            for atom, power in monomial:
                value = expression(self.scope, {((atom, 1),): 1})
                if atom.operation == "mod":
                    e, d = atom.operands
                    quotient = DimExpr(self.scope, ((((Atom("floordiv", (e, d)), 1),), 1),))
                    value = e - d * quotient
                for _ in range(power):
                    product = product * value
            for own, count in self._without_mod(terms_of(product)).items():
                result[own] = result.get(own, 0) + count
        return {monomial: number for monomial, number in result.items() if number or not monomial}

    def _atom_facts(self, goals: list[Terms]) -> list[Terms]:
        """What is known of the atoms of some terms, and of the variables they have constraints in common with."""
        from .expressions import terms_of

        atoms: dict[Atom, None] = {}
        facts: list[Terms] = []
        waiting = [self._without_mod(goal) for goal in goals]
        for constraint in self.scope.constraints:
            if not isinstance(constraint.difference, int):
                waiting.append(self._without_mod(terms_of(constraint.difference)))
                facts.append(waiting[-1])
                if constraint.equality:
                    facts.append({monomial: -number for monomial, number in waiting[-1].items()})
        while waiting:
            for monomial in waiting.pop():
                for atom, _ in monomial:
                    if atom not in atoms:
                        atoms[atom] = None
                        own = [self._without_mod(fact) for fact in self._facts_of(atom)]
                        facts += own
                        waiting += own
        return facts

    def _facts_of(self, atom: Atom) -> Iterator[Terms]:
        from .expressions import expression, terms_of

        low, high = self._interval_of_atom(atom)
        own = ((atom, 1),)
        if low > -_INFINITY:
            yield {own: 1, (): -int(low)}
        if high < _INFINITY:
            yield {own: -1, (): int(high)}
        if atom.operation in ("max", "min"):
            sign = 1 if atom.operation == "max" else -1
            for operand in atom.operands:
                yield terms_of(sign * (expression(self.scope, {own: 1}) - operand))
        elif atom.operation == "floordiv":
            e, d = atom.operands
            rest = e - d * expression(self.scope, {own: 1})
            if self.scope.proves(d - 1):
                yield terms_of(rest)
                yield terms_of(d - 1 - rest)
            elif self.scope.proves(-d - 1):
                yield terms_of(-rest)
                yield terms_of(rest - d - 1)

    def _refuted(self, goals: list[Terms], facts: list[Terms], depth: int) -> bool:
        self._linear_programs += 1
        if self._linear_programs > _MOST_LINEAR_PROGRAMS:
            return False
        rows = _without_equalities([_tight(terms) for terms in (*goals, *facts)])
        if _contradicts_itself(rows) or infeasible(rows + _products(rows)):
            return True
        if depth == 0:
            return False
        for cases in self._distinctions(goals, facts):
            if all(self._refuted(goals, facts + list(case), depth - 1) for case in cases):
                return True
            if self._linear_programs > _MOST_LINEAR_PROGRAMS:
                return False
        return False

    def _distinctions(self, goals: list[Terms], facts: list[Terms]) -> Iterator[list[list[Terms]]]:
        """Ways to tell cases apart: for each a list of cases, of which one holds; each case is a list of facts."""
        from .expressions import expression, terms_of

        atoms = {atom for terms in (*goals, *facts) for monomial in terms for atom, _ in monomial}
        fixed = {tuple(sorted(map(str, terms.items()))) for terms in facts}
        for atom in sorted(atoms, key=lambda atom: (_CASES_FIRST.index(atom.operation), atom)):
            own = expression(self.scope, {((atom, 1),): 1})
            cases: list[list[Terms]] = []
            if atom.operation in ("max", "min"):
                first, second = atom.operands
                swapped = (second, first) if atom.operation == "max" else (first, second)
                cases = [
                    [terms_of(x) for x in (own - chosen, chosen - own, difference)]
                    for chosen, difference in (
                        (first, swapped[1] - swapped[0]),
                        (second, swapped[0] - swapped[1]),
                    )
                ]
            elif atom.operation == "floordiv" and isinstance(atom.operands[1], int):
                e, d = atom.operands
                if 0 < d <= _MOST_RESIDUES:
                    rests = [e - d * own - residue for residue in range(d)]
                    cases = [[terms_of(rest), terms_of(-rest)] for rest in rests]
            elif atom.operation is None:
                low = self._interval_of_atom(atom)[0]
                least, known = own - int(low), 0
                while tuple(sorted(map(str, terms_of(least - known - 1).items()))) in fixed and known < 3:
                    known += 1
                cases = [[terms_of(known - least)], [terms_of(least - known - 1)]]
            cases = [[self._without_mod(fact) for fact in case] for case in cases]
            if cases and not any(_already(case, fixed) for case in cases):
                yield cases


def _already(case: list[Terms], fixed: set[Any]) -> bool:
    return all(tuple(sorted(map(str, terms.items()))) in fixed for terms in case)


def _assignments(names: list[str]) -> list[dict[str, int]]:
    """Small, great and round numbers for variables, in some order."""
    choices = (1, 2, 3, 4, 5, 7, 8, 12, 24, 64, 1000)
    rng = random.Random(len(names))
    if len(names) <= 2:
        combinations = list(itertools.product(choices, repeat=len(names)))
        rng.shuffle(combinations)
    else:
        combinations = [tuple(rng.choice(choices) for _ in names) for _ in range(300)]
    return [dict(zip(names, values, strict=True)) for values in combinations]


def _satisfies(constraint: Any, sample: dict[str, int]) -> bool:
    try:
        value = constraint.difference.evaluate(sample)
    except ZeroDivisionError:
        return False
    return bool(value == 0 if constraint.equality else value >= 0)


def _minus_one_minus(value: Any) -> Terms:
    from .expressions import terms_of

    return terms_of(-value - 1)


def _product(x: tuple[float, float], y: tuple[float, float]) -> tuple[float, float]:
    ends = [0 if a == 0 or b == 0 else a * b for a in x for b in y]
    return min(ends), max(ends)


def _floor(x: float, y: float) -> float:
    if math.isinf(x):
        return x
    return (0 if x >= 0 else -1) if math.isinf(y) else x // y


def _tightened(constraint: Any, atom: Atom, low: float, high: float) -> tuple[float, float]:
    """Bounds of a variable with what a constraint on it alone says."""
    difference = constraint.difference
    if isinstance(difference, int):
        return low, high
    terms = dict(difference.terms)
    constant = terms.pop((), 0)
    own = ((atom, 1),)
    if set(terms) != {own}:
        return low, high
    number = terms[own]  # number * atom + constant >= 0
    bound = Fraction(-constant, number)
    if number > 0 or constraint.equality:
        low = max(low, math.ceil(bound))
    if number < 0 or constraint.equality:
        high = min(high, math.floor(bound))
    return low, high


def _contradicts_itself(rows: list[Terms]) -> bool:
    return any(terms.get((), 0) < 0 and not any(monomial for monomial in terms) for terms in rows)


def _without_equalities(rows: list[Terms]) -> list[Terms]:
    """Inequalities after atoms that equalities determine were replaced.

    Afterwards coefficients may have factors in common, of which the rounding of constants makes use: what is
    even cannot be 1.
    """
    for _ in range(8):
        known = {frozenset(terms.items()) for terms in rows}
        for terms in rows:
            if frozenset((monomial, -number) for monomial, number in terms.items()) in known:
                pivot = _pivot_of(terms)
                if pivot is not None:
                    break
        else:
            return rows
        atom, number = pivot
        value = {monomial: -count * number for monomial, count in terms.items() if monomial != ((atom, 1),)}
        substituted = [_tight(_substituted(row, atom, value)) for row in rows]
        rows = [row for row in substituted if any(row.values())]
    return rows


def _pivot_of(terms: Terms) -> tuple[Any, int] | None:
    """An atom that an equality determines, with its coefficient, 1 or -1."""
    for monomial, number in terms.items():
        if len(monomial) == 1 and monomial[0][1] == 1 and abs(number) == 1:
            atom = monomial[0][0]
            if sum(other == atom for m in terms for other, _ in m) == 1:
                return atom, number
    return None


def _substituted(terms: Terms, atom: Any, value: Terms) -> Terms:
    from .expressions import times

    result: Terms = {}
    for monomial, number in terms.items():
        products: Terms = {tuple(item for item in monomial if item[0] != atom): number}
        for _ in range(dict(monomial).get(atom, 0)):
            grown: Terms = {}
            for own, count in products.items():
                for other, factor in value.items():
                    product = times(own, other)
                    grown[product] = grown.get(product, 0) + count * factor
            products = grown
        for own, count in products.items():
            result[own] = result.get(own, 0) + count
    return {monomial: number for monomial, number in result.items() if number}


def _tight(terms: Terms) -> Terms:
    """An inequality of integers, divided by what its coefficients have in common; the constant rounds down."""
    common = math.gcd(*(number for monomial, number in terms.items() if monomial))
    if common <= 1:
        return terms
    return {monomial: number // common for monomial, number in terms.items()}


def _products(facts: list[Terms]) -> list[Terms]:
    """Products of pairs of facts, and squares, where these speak of products that are in question."""
    from .expressions import times

    within = {
        factor
        for terms in facts
        for monomial in terms
        if _degree(monomial) > 1
        for factor in _factors(monomial)
    }
    wanted = {monomial for monomial in within if _degree(monomial) > 1}
    if not wanted:
        return []
    found = _corners(wanted, facts)
    useful = [terms for terms in facts if any(monomial in within for monomial in terms if monomial)]
    degree = max(map(_degree, wanted))
    pairs: list[Terms] = [*useful]
    for _ in range(min(degree, 3) - 1):
        fresh = []
        for x, y in itertools.combinations_with_replacement([*useful, *pairs[len(useful) :]], 2):
            product: Terms = {}
            for own, number in x.items():
                for other, count in y.items():
                    monomial = times(own, other)
                    product[monomial] = product.get(monomial, 0) + number * count
            if max(map(_degree, product)) <= degree and any(monomial in wanted for monomial in product):
                fresh.append(product)
            if len(found) + len(fresh) >= _MOST_PRODUCTS:
                return found + fresh + _squares(wanted)
        found += fresh
        pairs += fresh
    return found + _squares(wanted)


def _corners(wanted: set[Monomial], facts: list[Terms]) -> list[Terms]:
    """For products of values with lower bounds that are not negative: `(x - 2) * (y - 3) * z >= 0`, in all ways."""
    lows: dict[Any, int] = {}
    for terms in facts:
        if not terms:
            continue
        (monomial, number), *rest = terms.items()
        alone = len(monomial) == 1 and monomial[0][1] == 1 and number == 1 and all(m == () for m, _ in rest)
        if alone and (low := -terms.get((), 0)) >= 0:
            lows[monomial[0][0]] = max(low, lows.get(monomial[0][0], 0))
    result = []
    for whole in sorted(wanted, key=str)[:12]:
        if _degree(whole) > 4 or any(atom not in lows for atom, _ in whole):
            continue
        result += _shifted_products([atom for atom, power in whole for _ in range(power)], lows)
    return result


def _shifted_products(atoms: list[Any], lows: dict[Any, int]) -> list[Terms]:
    from .expressions import times

    products: list[Terms] = [{(): 1}]
    for atom in atoms:
        own = ((atom, 1),)
        grown = []
        for product in products:
            plain = {times(monomial, own): number for monomial, number in product.items()}
            shifted = dict(plain)
            for monomial, number in product.items():
                shifted[monomial] = shifted.get(monomial, 0) - lows[atom] * number
            grown += [plain, shifted]
        products = grown
    return [product for product in products if product]


def _squares(wanted: set[Monomial]) -> list[Terms]:
    from .expressions import times

    atoms = sorted({atom for monomial in wanted for atom, _ in monomial})[:4]
    result = []
    for x, y in itertools.combinations(atoms, 2):
        p, q = ((x, 1),), ((y, 1),)
        result += [{times(p, p): 1, times(p, q): 2 * sign, times(q, q): 1} for sign in (-1, 1)]
    return result


def _degree(monomial: Monomial) -> int:
    return sum(power for _, power in monomial)


def _factors(monomial: Monomial) -> Iterator[Monomial]:
    for powers in itertools.product(*(range(power + 1) for _, power in monomial)):
        factor = tuple((atom, power) for (atom, _), power in zip(monomial, powers, strict=True) if power)
        if factor:
            yield factor


def infeasible(facts: list[Terms]) -> bool:
    """Whether no real values of the monomials make every sum of terms at least 0.

    Looks for non-negative multiples of the facts that add up to -1, by the first phase of the simplex method
    with Bland's rule, in exact arithmetic.
    """
    monomials = sorted({monomial for terms in facts for monomial in terms if monomial}, key=str)
    columns = [[terms.get(monomial, 0) for monomial in monomials] + [-terms.get((), 0)] for terms in facts]
    height, width = len(monomials) + 1, len(columns)
    # Each row: the equation of one monomial, then of the constant; artificial variables stand behind the columns.
    rows = [[Fraction(column[i]) for column in columns] + [Fraction(0)] for i in range(height)]
    rows[-1][-1] = Fraction(1)
    basis = [width + i for i in range(height)]
    cost = [-sum((row[j] for row in rows), Fraction(0)) for j in range(width + 1)]
    for _ in range(60 * height):
        if cost[-1] == 0:
            return True
        entering = next((j for j in range(width) if cost[j] < 0), None)
        if entering is None:
            return False
        leaving, best = None, None
        for i, row in enumerate(rows):
            if row[entering] > 0:
                ratio = row[-1] / row[entering]
                if best is None or ratio < best or (ratio == best and basis[i] < basis[leaving]):  # type: ignore[index]
                    leaving, best = i, ratio
        if leaving is None:
            return False
        _pivot(rows, cost, leaving, entering)
        basis[leaving] = entering
    return False


def _pivot(rows: list[list[Fraction]], cost: list[Fraction], leaving: int, entering: int) -> None:
    pivot = rows[leaving]
    scale = pivot[entering]
    pivot[:] = [x / scale if x else x for x in pivot]
    support = [j for j, x in enumerate(pivot) if x]
    for row in (*(row for i, row in enumerate(rows) if i != leaving), cost):
        factor = row[entering]
        if factor:
            for j in support:
                row[j] -= factor * pivot[j]
