"""Which operation of a program made a NaN that has come out of it.

The program is run again, operation by operation, keeping every value. Then one element of a result is
followed backwards: if an operation has NaNs among its operands, it is applied once more with each of
them replaced by a number, to see which the element comes from. What a selection has not selected
thus never counts. The search ends at an operation that makes a NaN without having been given one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core import source
from ..core.effects import IOEffect, OrderedIOEffect
from ..core.jaxpr import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, eval_jaxpr
from .nonfinite import found, is_user_function

__all__ = ["Argument", "Made", "Unknown", "blame"]

_FINITE = (1.0, 0.5)  # what stands in for a NaN; two of them, since an operation may fail at either


class Unknown(Exception):
    """The operations one by one do not show what has happened."""


class Argument(NamedTuple):
    """It was in an argument already."""

    position: int
    element: int


class Made(NamedTuple):
    """An equation has made it."""

    eqn: JaxprEqn
    operands: tuple[Any, ...]
    element: int
    what: str
    source_info: Any  # of the equation, or of one outside that has a line

    def __str__(self) -> str:
        eqn = self.eqn
        types = ", ".join(var.aval.str_short() for var in eqn.invars)
        where = source.summarize(self.source_info, "")
        text = f"{eqn.primitive.name}({types})" + (f" at {where}" if where else "")
        shape = eqn.outvars[0].aval.shape
        if shape:
            index = tuple(map(int, np.unravel_index(self.element, shape)))
            text += f", in element {index if len(index) > 1 else index[0]} of its result"
        if self.what == "nan":
            infinite = [i for i, x in enumerate(self.operands) if found("inf", x) is not None]
            if infinite:
                text += f", whose operand {infinite[0]} has infinities"
        return text


Origin = Argument | Made


def blame(what: str, closed: ClosedJaxpr, args: Sequence[Any], position: int, element: int) -> Origin:
    """Where an element of a result comes from.

    Args:
      what: "nan" or "inf".
      closed: the program.
      args: its arguments.
      position: of the result.
      element: of it, counted along all axes.

    Raises:
      Unknown: run operation by operation, the program does not give this element, or it has effects
        that must not happen again.
    """
    return _Search(what).in_program(closed, args, position, element)


class _Search:
    def __init__(self, what: str):
        self.what = what

    def is_bad(self, value: Any, element: int) -> bool:
        elements = found(self.what, value)
        return elements is not None and bool(elements.reshape(-1)[element])

    def in_program(self, program: Any, args: Sequence[Any], position: int, element: int) -> Origin:
        """Follows an element of a result to an equation or an argument."""
        jaxpr: Jaxpr = getattr(program, "jaxpr", program)
        values = _all_values(jaxpr, getattr(program, "consts", ()), args)
        makers = {var: (eqn, k) for eqn in jaxpr.eqns for k, var in enumerate(eqn.outvars)}
        places = {var: i for i, var in enumerate(jaxpr.invars)}
        atom = jaxpr.outvars[position]
        if type(atom) is Literal or not self.is_bad(values[atom], element):
            raise Unknown
        while True:
            if atom in places:
                return Argument(places[atom], element)
            if type(atom) is Literal or atom not in makers:  # a constant has it
                raise Unknown
            eqn, k = makers[atom]
            operands = [v.val if type(v) is Literal else values[v] for v in eqn.invars]
            origin = self.through(eqn, operands, k, element)
            if isinstance(origin, Made):
                return origin
            atom, element = eqn.invars[origin.position], origin.element

    def through(self, eqn: JaxprEqn, operands: list[Any], k: int, element: int) -> Origin:
        """From an element of an equation's result to the operand it comes from, or the end."""
        inside = _CONTAINERS.get(eqn.primitive.name)
        if inside is not None:
            return inside(self, eqn, operands, k, element)
        wrong = [found(self.what, x) for x in operands]
        bad = {i: np.flatnonzero(elements) for i, elements in enumerate(wrong) if elements is not None}
        made = Made(eqn, tuple(operands), element, self.what, eqn.source_info)
        if not bad:
            return made

        def remains(kept: dict[int, np.ndarray], number: float) -> bool:
            """Whether the element is still bad if only these elements of operands are."""
            given = [
                _replaced(x, self.what, kept.get(i), number) if i in bad else x
                for i, x in enumerate(operands)
            ]
            results = _apply(eqn, given)
            return self.is_bad(results[k], element)

        if all(remains({}, number) for number in _FINITE):
            return made
        number = next(number for number in _FINITE if not remains({}, number))
        for i, elements in bad.items():
            if remains({i: elements}, number):
                while len(elements) > 1:  # which of them?
                    half = elements[: len(elements) // 2]
                    elements = half if remains({i: half}, number) else elements[len(half) :]
                return Argument(i, int(elements[0]))
        i, elements = next(iter(bad.items()))
        return Argument(i, int(elements[0]))


def _replaced(value: Any, what: str, kept: np.ndarray | None, number: float) -> Any:
    """The value with a number in place of what is bad in it, but for the elements to keep."""
    host = np.array(value)
    bad = found(what, value)
    assert bad is not None
    bad = bad.copy()
    if kept is not None:
        bad.reshape(-1)[kept] = False
    host[bad] = np.asarray(number).astype(host.dtype)
    return host


def _apply(eqn: JaxprEqn, operands: Sequence[Any]) -> list[Any]:
    results = eqn.primitive.bind(*operands, **eqn.params)
    return list(results) if eqn.primitive.multiple_results else [results]


def _all_values(jaxpr: Jaxpr, consts: Sequence[Any], args: Sequence[Any]) -> dict[Any, Any]:
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    values.update(zip(jaxpr.invars, args, strict=True))
    for eqn in jaxpr.eqns:
        if not eqn.outvars:  # it prints, or checks something
            continue
        if any(isinstance(effect, (IOEffect, OrderedIOEffect)) for effect in eqn.effects):
            raise Unknown
        operands = [v.val if type(v) is Literal else values[v] for v in eqn.invars]
        values.update(zip(eqn.outvars, _apply(eqn, operands), strict=True))
    return values


# --- programs inside equations --------------------------------------------------------------------

_Inside = Callable[[_Search, JaxprEqn, list[Any], int, int], Origin]


def _in_parameter(*names: str) -> _Inside:
    """The arguments of the program in one of these parameters are the operands."""

    def inside(search: _Search, eqn: JaxprEqn, operands: list[Any], k: int, element: int) -> Origin:
        program = next(eqn.params[name] for name in names if name in eqn.params)
        origin = search.in_program(program, operands, k, element)
        if isinstance(origin, Made) and not is_user_function(getattr(program, "jaxpr", program)):
            return origin._replace(source_info=eqn.source_info)
        return origin

    return inside


def _in_cond(search: _Search, eqn: JaxprEqn, operands: list[Any], k: int, element: int) -> Origin:
    branches = eqn.params["branches"]
    taken = branches[min(max(int(operands[0]), 0), len(branches) - 1)]
    origin = search.in_program(taken, operands[1:], k, element)
    return origin._replace(position=origin.position + 1) if isinstance(origin, Argument) else origin


def _compiled(closed: ClosedJaxpr) -> Callable[..., Any]:
    from .jit import jit

    known = closed.memo.get("compiled")
    if known is None:
        known = closed.memo["compiled"] = jit(lambda *args: eval_jaxpr(closed.jaxpr, closed.consts, *args))
    return known


def _in_scan(search: _Search, eqn: JaxprEqn, operands: list[Any], k: int, element: int) -> Origin:
    """Runs the loop step by step, and goes from the step that gave the element back through the others."""
    params = eqn.params
    body, length = params["jaxpr"], params["length"]
    first, second = params["num_consts"], params["num_consts"] + params["num_carry"]
    consts, carry, xs = operands[:first], operands[first:second], [np.asarray(x) for x in operands[second:]]
    rows = list(range(length))[:: -1 if params["reverse"] else 1]
    states = [list(carry)]
    for row in rows:
        results = _compiled(body)(*consts, *states[-1], *(x[row] for x in xs))
        states.append(results[: len(carry)])
    step, out = length - 1, k
    if k >= len(carry):
        size = max(1, int(np.prod(eqn.outvars[k].aval.shape[1:])))
        step, element = rows.index(element // size), element % size
    while step >= 0:
        given = [*consts, *states[step], *(x[rows[step]] for x in xs)]
        origin = search.in_program(body, given, out, element)
        if isinstance(origin, Made) or origin.position < first:
            return origin
        if origin.position >= second:
            x = xs[origin.position - second]
            return Argument(origin.position, rows[step] * (x.size // length) + origin.element)
        out, element = origin.position - first, origin.element
        step -= 1
    return Argument(first + out, element)


def _in_while(search: _Search, eqn: JaxprEqn, operands: list[Any], k: int, element: int) -> Origin:
    params = eqn.params
    condition, body = params["cond_jaxpr"], params["body_jaxpr"]
    first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    condition_consts, consts, carry = operands[:first], operands[first:second], operands[second:]
    lanes = max(1, int(np.prod(condition.out_avals[0].shape)))  # of a batch, each has its own end
    states, running = [list(carry)], []
    while True:
        active = np.asarray(_compiled(condition)(*condition_consts, *states[-1])[0])
        if not active.any():
            break
        following = _compiled(body)(*consts, *states[-1])
        if lanes > 1:
            following = [_where(active, new, old) for new, old in zip(following, states[-1], strict=True)]
        running.append(active.reshape(-1))
        states.append(following)
    out = k
    for step in range(len(states) - 2, -1, -1):
        lane = element // max(1, np.asarray(states[step][out]).size // lanes)
        if not running[step][lane]:
            continue
        origin = search.in_program(body, [*consts, *states[step]], out, element)
        if isinstance(origin, Made):
            return origin
        if origin.position < len(consts):
            return Argument(first + origin.position, origin.element)
        out, element = origin.position - len(consts), origin.element
    return Argument(second + out, element)


def _where(active: np.ndarray, new: Any, old: Any) -> np.ndarray:
    shape = active.shape + (1,) * (np.ndim(new) - active.ndim)
    return np.where(active.reshape(shape), np.asarray(new), np.asarray(old))


_CONTAINERS: dict[str, _Inside] = {
    "jit": _in_parameter("jaxpr"),
    "pjit": _in_parameter("jaxpr"),
    "closed_call": _in_parameter("call_jaxpr", "jaxpr"),
    "core_call": _in_parameter("call_jaxpr", "jaxpr"),
    "remat2": _in_parameter("jaxpr"),
    "composite": _in_parameter("jaxpr"),
    "custom_vmap_call": _in_parameter("call", "call_jaxpr", "jaxpr"),
    "custom_jvp_call": _in_parameter("call_jaxpr"),
    "custom_vjp_call": _in_parameter("call_jaxpr"),
    "cond": _in_cond,
    "scan": _in_scan,
    "while": _in_while,
}
