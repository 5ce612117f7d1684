"""Parting: a program that falls into many equal pieces becomes several programs, each compiled once.

An optimizer's step over a thousand leaves is a thousand small programs that have little in common. As one program it
costs the compiler by the leaf; this pass finds the pieces, puts some that are equal into one program, and calls that
as often as needed. Small values that several pieces read (a step count, a global norm) are made on their way by
programs of their own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from canter_mlir.registry import ElementwiseOp, find_rule

from ..core import dtypes
from ..core.avals import ShapedArray
from ..core.effects import no_effects
from ..core.jaxpr import Atom, ClosedJaxpr, DropVar, Jaxpr, JaxprEqn, Literal, Var
from ..core.primitive import Primitive
from ..core.structure import structure_key

__all__ = ["Part", "Parting", "parted"]

# Seconds, from measurements (docs/compile-time.md): what compiling costs by the equation and by the program, and what a
# program in parts costs more each time it is called, by the part and by the argument.
EQUATION, PROGRAM = 2.5e-4, 0.04
CALL, ARGUMENT = 2e-5, 7e-7
LEAST = 1.0  # seconds; what is spared in compiling has to be more than that, and
CALLS = 500  # more than so many calls cost

MIN_EQUAL = 8  # pieces that are seldomer go into one program with the other odd ones
FEWEST, MOST = 6, 28  # pieces to one program
SMALL = 16  # elements of a value that may be handed from one piece to others
MANY = 16  # equations that read a value; it does not connect them

#: What programs are made of that can be parted, beside elementwise operations.
_LIGHT = frozenset(
    "argmax argmin bitcast_convert_type broadcast_in_dim clamp concatenate convert_element_type copy copy_p cumsum "
    "dynamic_slice dynamic_update_slice eq exp2 expand_dims gather ge gt integer_pow iota le lt max min ne pad pow "
    "reduce_and reduce_max reduce_min reduce_or reduce_precision reduce_prod reduce_sum rem reshape rev round "
    "select_n sign slice split square squeeze stack stop_gradient transpose unstack".split()
)
_SHARED = -1  # the owner of equations whose results several pieces read


class Part(NamedTuple):
    """One call.

    Attributes:
      program: what is called; the same object in equal calls.
      reads: the variables that are its arguments.
      makes: the variables that its results define.
    """

    program: Jaxpr
    reads: tuple[Var, ...]
    makes: tuple[Var, ...]


class Parting(NamedTuple):
    """A program as calls, in the order in which they run, and the variables that are its results."""

    parts: tuple[Part, ...]
    results: tuple[Var, ...]


class _Piece(NamedTuple):
    eqns: list[JaxprEqn]
    reads: tuple[Var, ...]
    makes: tuple[Var, ...]


def parted(jaxpr: Jaxpr) -> Parting | None:
    """The program as calls of few different programs; None where it has not many equal pieces.

    Args:
      jaxpr: the program, without dead code. Its constants are read like arguments.

    Example:
      >>> import canter as ct
      >>> from canter.runtime.parting import parted
      >>> import canter.numpy as cnp
      >>> def step(leaves):
      ...     return [cnp.sin(leaf * 0.9 + 1.0) * cnp.cos(leaf) - leaf**3 for leaf in leaves]
      >>> parting = parted(ct.make_jaxpr(step)([1.0] * 2000).jaxpr)
      >>> len(parting.parts), len({id(part.program) for part in parting.parts})
      (80, 1)
    """
    if len(jaxpr.eqns) * EQUATION < LEAST or not _is_plain(jaxpr):
        return None
    parts = [part for stage in _stages(jaxpr) for part in _parts_of(stage)]
    if not _pays(jaxpr, parts):
        return None
    copies, results = _results(jaxpr)
    return Parting((*parts, *copies), results)


def _pays(jaxpr: Jaxpr, parts: Sequence[Part]) -> bool:
    """Whether the parts are compiled so much sooner than the program that they are worth what calls of them cost."""
    distinct = {id(part.program): len(part.program.eqns) for part in parts}
    spared = (len(jaxpr.eqns) - sum(distinct.values())) * EQUATION - len(distinct) * PROGRAM
    return spared > max(LEAST, CALLS * (len(parts) * CALL + len(jaxpr.invars) * ARGUMENT))


def _is_plain(jaxpr: Jaxpr) -> bool:
    """Whether the program is made of light operations on ordinary arrays, without effects."""
    if jaxpr.effects or not all(map(_is_light, {eqn.primitive for eqn in jaxpr.eqns})):
        return False
    variables = (*jaxpr.constvars, *jaxpr.invars, *(v for eqn in jaxpr.eqns for v in eqn.outvars))
    return all(map(_is_ordinary, variables))


def _is_light(primitive: Primitive) -> bool:
    return primitive.name in _LIGHT or type(find_rule(primitive, "cpu")) is ElementwiseOp


def _is_ordinary(variable: Var) -> bool:
    aval = variable.aval
    return type(aval) is ShapedArray and isinstance(aval.dtype, np.dtype) and aval.dtype != dtypes.float0


# --- which equations belong together ---------------------------------------------------------------


def _stages(jaxpr: Jaxpr) -> Iterator[list[_Piece]]:
    """Pieces that can run one after another, those of a stage in any order.

    Equations are connected by the values that they hand on and by those that they both read, if these are neither
    small nor read by many. What makes small values of small values is shared: it stands in a stage of its own, before
    its readers.
    """
    eqns = jaxpr.eqns
    small = [all(_size(atom) <= SMALL for atom in (*eqn.invars, *eqn.outvars)) for eqn in eqns]
    level = _levels(eqns, small)
    owner = _connected(eqns, small, level)
    _hand_over(jaxpr, small, level, owner)
    grouped: dict[tuple[int, bool], dict[int, list[JaxprEqn]]] = defaultdict(dict)
    for i, eqn in enumerate(eqns):
        grouped[level[i], owner[i] != _SHARED].setdefault(owner[i], []).append(eqn)
    stages = [list(grouped[key].values()) for key in sorted(grouped)]
    yield from _with_interfaces(stages, jaxpr)


def _size(atom: Atom) -> int:
    return atom.aval.size


def _levels(eqns: Sequence[JaxprEqn], small: Sequence[bool]) -> list[int]:
    """How often, on the way to an equation, a large one is followed by a small one.

    Large equations wait for the first that reads them, so that they are in a stage with it.
    """
    found: list[int] = []
    makers: dict[Var, int] = {}
    for i, eqn in enumerate(eqns):
        before = [makers[v] for v in eqn.invars if type(v) is not Literal and v in makers]
        found.append(max((found[p] + (small[i] and not small[p]) for p in before), default=0))
        for v in eqn.outvars:
            makers[v] = i
    latest: dict[Var, int] = {}
    for i in range(len(eqns) - 1, -1, -1):
        eqn = eqns[i]
        if not small[i]:
            found[i] = min((latest[v] for v in eqn.outvars if v in latest), default=found[i])
        for v in eqn.invars:
            if type(v) is not Literal:
                level = found[i] - small[i]
                latest[v] = min(latest.get(v, level), level)
    return found


def _connected(eqns: Sequence[JaxprEqn], small: Sequence[bool], level: Sequence[int]) -> list[int]:
    """For each equation the first of those that it is connected with; small ones are not connected yet."""
    parent = list(range(len(eqns)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    readers = Counter(v for i, eqn in enumerate(eqns) if not small[i] for v in eqn.invars if type(v) is Var)
    seen: dict[tuple[Var, int], int] = {}  # an equation of a level that has to do with a variable
    for i, eqn in enumerate(eqns):
        if small[i]:
            continue
        for v in eqn.invars:
            if type(v) is not Literal:
                other = seen.get((v, level[i]))
                if other is not None:
                    parent[root(i)] = root(other)
                elif _size(v) > SMALL and readers[v] <= MANY:
                    seen[v, level[i]] = i
        for v in eqn.outvars:
            seen[v, level[i]] = i
    return [root(i) for i in range(len(eqns))]


def _hand_over(jaxpr: Jaxpr, small: Sequence[bool], level: list[int], owner: list[int]) -> None:
    """Gives small equations that only one piece needs to that piece, and marks those that several need."""
    readers: dict[Var, set[int]] = defaultdict(set)
    eqns = jaxpr.eqns
    for i in range(len(eqns) - 1, -1, -1):
        eqn = eqns[i]
        if small[i]:
            needed = set[int]().union(*(readers[v] for v in eqn.outvars if v in readers))
            if len(needed) > 1:
                owner[i] = _SHARED
            elif needed:
                owner[i] = needed.pop()
                if owner[i] != _SHARED:
                    level[i] = level[owner[i]]
        for v in eqn.invars:
            if type(v) is not Literal:
                readers[v].add(owner[i])


def _with_interfaces(stages: list[list[list[JaxprEqn]]], jaxpr: Jaxpr) -> list[list[_Piece]]:
    """The pieces with what they read of others, and what others or the program's results read of them."""
    needed = {v for v in jaxpr.outvars if type(v) is not Literal}
    reads: dict[int, tuple[Var, ...]] = {}
    for stage in stages:
        for eqns in stage:
            own = {v for eqn in eqns for v in eqn.outvars}
            found = dict.fromkeys(
                v for eqn in eqns for v in eqn.invars if type(v) is not Literal and v not in own
            )
            reads[id(eqns)] = tuple(found)
            needed.update(found)
    return [
        [
            _Piece(eqns, reads[id(eqns)], tuple(v for eqn in eqns for v in eqn.outvars if v in needed))
            for eqns in stage
        ]
        for stage in stages
    ]


# --- equal pieces ----------------------------------------------------------------------------------


def _parts_of(stage: list[_Piece]) -> list[Part]:
    """The calls for the pieces of a stage: equal ones together, the odd ones in one program."""
    classes: dict[Any, list[_Piece]] = defaultdict(list)
    for piece in stage:
        classes[_key(piece)].append(piece)
    odd = [
        piece for key, pieces in classes.items() if key is None or len(pieces) < MIN_EQUAL for piece in pieces
    ]
    parts = [_single(odd)] if odd else []
    for key, pieces in classes.items():
        if key is not None and len(pieces) >= MIN_EQUAL:
            parts += _repeated(pieces)
    return parts


def _key(piece: _Piece) -> Any:
    """Equal for pieces that differ in their variables only; None if it cannot be told."""
    return structure_key(ClosedJaxpr(_program(piece.eqns, piece.reads, piece.makes), ()))


def _program(eqns: Sequence[JaxprEqn], reads: Sequence[Var], makes: Sequence[Atom]) -> Jaxpr:
    return Jaxpr((), reads, makes, eqns, no_effects)


def _single(pieces: Iterable[_Piece]) -> Part:
    """One call for pieces that have nothing to do with each other."""
    pieces = list(pieces)
    eqns = [eqn for piece in pieces for eqn in piece.eqns]
    reads = tuple(dict.fromkeys(v for piece in pieces for v in piece.reads))
    makes = tuple(v for piece in pieces for v in piece.makes)
    return Part(_program(eqns, reads, makes), reads, makes)


def _repeated(pieces: list[_Piece]) -> list[Part]:
    """Calls of one program for some of the equal pieces at a time, or of two if they do not divide evenly."""
    first = pieces[0]
    common = [
        position for position, v in enumerate(first.reads) if all(p.reads[position] is v for p in pieces)
    ]
    programs: dict[int, Jaxpr] = {}
    parts = []
    for chunk in _chunks(pieces):
        if len(chunk) not in programs:
            programs[len(chunk)] = _copies_of(first, len(chunk), common)
        own = [v for piece in chunk for position, v in enumerate(piece.reads) if position not in common]
        reads = (*(first.reads[position] for position in common), *own)
        makes = tuple(v for piece in chunk for v in piece.makes)
        parts.append(Part(programs[len(chunk)], reads, makes))
    return parts


def _chunks(pieces: list[_Piece]) -> Iterator[list[_Piece]]:
    """The pieces in groups of one size where that is possible, else of two sizes."""
    total = len(pieces)
    most = max(FEWEST, min(MOST, total // 4))
    even = [size for size in range(FEWEST, most + 1) if total % size == 0]
    count = total // (even[-1] if even else most)
    start = 0
    for i in range(count):
        end = start + total // count + (i < total % count)
        yield pieces[start:end]
        start = end


def _copies_of(piece: _Piece, count: int, common: Sequence[int]) -> Jaxpr:
    """A program that is a piece so many times, with arguments of its own each time but for the common ones."""
    shared = [piece.reads[position] for position in common]
    eqns: list[JaxprEqn] = []
    reads, makes = list(shared), []
    for _ in range(count):
        new: dict[Any, Any] = {v: v for v in shared}
        for v in piece.reads:
            if v not in new:
                new[v] = Var(v.aval)
                reads.append(new[v])
        for eqn in piece.eqns:
            for v in eqn.outvars:
                new[v] = v if type(v) is DropVar else Var(v.aval)
            inputs = [v if type(v) is Literal else new[v] for v in eqn.invars]
            eqns.append(eqn.replace(invars=inputs, outvars=[new[v] for v in eqn.outvars]))
        makes += [new[v] for v in piece.makes]
    return _program(eqns, reads, makes)


# --- results ---------------------------------------------------------------------------------------


def _results(jaxpr: Jaxpr) -> tuple[list[Part], tuple[Var, ...]]:
    """The variables that are the program's results, and a part that copies what is no result of an equation.

    Such are arguments, literals, and what is a result twice: each result has memory of its own.
    """
    made = {v for eqn in jaxpr.eqns for v in eqn.outvars}
    results: list[Var] = []
    sources: list[Atom] = []
    copies: list[Var] = []
    for atom in jaxpr.outvars:
        if type(atom) is not Literal and atom in made:
            made.remove(atom)
            results.append(atom)
        else:
            sources.append(atom)
            copies.append(Var(atom.aval))
            results.append(copies[-1])
    if not copies:
        return [], tuple(results)
    reads = tuple(dict.fromkeys(v for v in sources if isinstance(v, Var)))
    return [Part(_program((), reads, sources), reads, tuple(copies))], tuple(results)
