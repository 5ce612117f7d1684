"""Counting what is in a program: primitives by name, by type, by the user's line.

All functions look into inner programs (of calls, loops, branches) too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from ..core.jaxpr import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var, jaxprs_in_params
from ..core.source import summarize as _summarize

__all__ = [
    "all_eqns",
    "count_eqns",
    "eqns_using_var",
    "histogram",
    "primitives",
    "primitives_by_shape",
    "primitives_by_source",
    "print_histogram",
    "source_locations",
    "var_defs_and_refs",
]

Program = Jaxpr | ClosedJaxpr


def _programs(program: Program, again: bool) -> Iterator[Jaxpr]:
    """The program and those inside; one that stands in several places counts each time if `again`."""
    pending = [program.jaxpr if isinstance(program, ClosedJaxpr) else program]
    seen: set[int] = set()
    while pending:
        jaxpr = pending.pop(0)
        if not again:
            if id(jaxpr) in seen:
                continue
            seen.add(id(jaxpr))
        yield jaxpr
        pending += [inner for eqn in jaxpr.eqns for inner in jaxprs_in_params(eqn.params)]


def all_eqns(jaxpr: Program, revisit_inner_jaxprs: bool = True) -> Iterator[tuple[Jaxpr, JaxprEqn]]:
    """Every equation, with the program that it is in.

    Args:
      jaxpr: the program.
      revisit_inner_jaxprs: whether a program that stands in several places is gone through each time.
    """
    for program in _programs(jaxpr, revisit_inner_jaxprs):
        for eqn in program.eqns:
            yield program, eqn


def count_eqns(jaxpr: Program, revisit_inner_jaxprs: bool = True) -> int:
    """The number of equations.

    Example:
      >>> import canter as ct
      >>> from canter.extend import jaxpr_util
      >>> jaxpr_util.count_eqns(ct.make_jaxpr(lambda x: ct.jit(lambda y: y + y)(x))(1.0))
      2
    """
    return sum(1 for _ in all_eqns(jaxpr, revisit_inner_jaxprs))


def histogram(
    jaxpr: Program, key: Callable[[JaxprEqn], Any], key_fmt: Callable[[Any], Any] = lambda x: x
) -> dict[Any, int]:
    """How many equations there are of each kind.

    Args:
      jaxpr: the program.
      key: from an equation to its kind.
      key_fmt: from a kind to the key in the result.
    """
    counts = Counter(key(eqn) for _, eqn in all_eqns(jaxpr))
    return {key_fmt(kind): count for kind, count in counts.items()}


def primitives(jaxpr: Program) -> dict[str, int]:
    """How often each primitive is applied.

    Example:
      >>> import canter as ct
      >>> from canter import lax
      >>> from canter.extend import jaxpr_util
      >>> jaxpr_util.primitives(ct.make_jaxpr(lambda x: lax.sin(lax.sin(x)))(1.0))
      {'sin': 2}
    """
    return histogram(jaxpr, lambda eqn: eqn.primitive.name)


def primitives_by_source(jaxpr: Program) -> dict[str, int]:
    """How often each primitive is applied by each line of the user's: `sin @ file:line (function)`."""
    return histogram(jaxpr, lambda eqn: f"{eqn.primitive.name} @ {_summarize(eqn.source_info)}")


def primitives_by_shape(jaxpr: Program) -> dict[str, int]:
    """How often each primitive gives results of each type.

    Example:
      >>> import canter as ct
      >>> from canter import lax
      >>> from canter.extend import jaxpr_util
      >>> jaxpr_util.primitives_by_shape(ct.make_jaxpr(lax.sin)(1.0))
      {'sin :: float32[]': 1}
    """

    def key(eqn: JaxprEqn) -> str:
        types = " ".join(var.aval.str_short(short_dtypes=False) for var in eqn.outvars)
        return f"{eqn.primitive.name} :: {types}"

    return histogram(jaxpr, key)


def source_locations(jaxpr: Program) -> dict[str, int]:
    """How many equations come from each line of the user's."""
    return histogram(jaxpr, lambda eqn: _summarize(eqn.source_info))


def print_histogram(counts: dict[Any, int]) -> None:
    """Prints counts, the greatest first.

    Example:
      >>> from canter.extend import jaxpr_util
      >>> jaxpr_util.print_histogram({"sin": 2, "add": 11})
      11 add
       2 sin
    """
    width = len(str(max(counts.values(), default=0)))
    for kind, count in sorted(counts.items(), key=lambda item: -item[1]):
        print(f"{count:>{width}} {kind}")


def var_defs_and_refs(jaxpr: Program) -> list[tuple[Jaxpr, list[tuple[Var, JaxprEqn | None, list[Any]]]]]:
    """For each program, where its variables come from and go to.

    Returns:
      Pairs of a program and a list of (variable, the equation that gives it or None for an argument, the
      equations that use it, with None for the program's results).
    """
    return [(program, _defs_and_refs(program)) for program in _programs(jaxpr, again=False)]


def _defs_and_refs(jaxpr: Jaxpr) -> list[tuple[Var, JaxprEqn | None, list[Any]]]:
    origins: dict[Var, JaxprEqn | None] = dict.fromkeys([*jaxpr.constvars, *jaxpr.invars])
    uses: dict[Var, list[Any]] = {}
    for eqn in jaxpr.eqns:
        for var in eqn.outvars:
            origins[var] = eqn
        for var in dict.fromkeys(v for v in eqn.invars if not isinstance(v, Literal)):
            uses.setdefault(var, []).append(eqn)
    for var in jaxpr.outvars:
        if not isinstance(var, Literal):
            uses.setdefault(var, []).append(None)
    return [(var, eqn, uses.get(var, [])) for var, eqn in origins.items()]


def eqns_using_var(jaxpr: Program, invar: Var) -> Iterator[JaxprEqn]:
    """The equations of a program, not of those inside, that use a variable."""
    for eqn in (jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr).eqns:
        if any(v is invar for v in eqn.invars):
            yield eqn
