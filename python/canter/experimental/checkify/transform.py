"""`checkify`: from a function with checks to one that returns which of them was the first to fail.

The program is interpreted, in whatever trace is the current one, with its checks next to it. Programs
inside (loops, branches, calls) become programs that return their findings along with their results;
the caller adds them to its own. Nothing but the findings goes in or comes out, so the pieces compose.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ... import lax
from ...core import pytree
from ...core.avals import get_aval
from ...core.errors import api_boundary
from ...core.jaxpr import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, apply_eqn, eval_jaxpr, jaxprs_in_params
from ...core.partition_spec import PartitionSpec
from ...core.tracing import trace_to_jaxpr
from ...lax.control_flow.common import with_common_consts
from ...lax.control_flow.lanes import borrow, choose
from ...transforms.calling import FlatFunction, debug_info
from ...transforms.jit_call import call as call_program
from ...transforms.partial_evaluation import close_over_nothing
from .checks import CheckEffect, check_p, grouped
from .errors import Error, ErrorCategory, FailedCheckError, Site, Types, user_checks
from .rules import RULE_CATEGORIES, automatic_rules

__all__ = ["checkify"]

Out = TypeVar("Out")


class Findings:
    """Which check has failed first, so far.

    Attributes:
      code: 0, or the place of the site, counted from 1; None as long as there is no site.
      sites: all that may have failed.
      values: for each tuple of types the values that the message of the failed site takes.
    """

    def __init__(self) -> None:
        self.code: Any = None
        self.sites: list[Site] = []
        self.values: dict[Types, list[Any]] = {}

    def add(self, code: Any, sites: Sequence[Site], values: Sequence[tuple[Types, Sequence[Any]]]) -> None:
        """Adds findings, which count only if there is no failure yet.

        Args:
          code: 0, or the place among `sites`.
          sites: what it refers to.
          values: for messages, by their types.
        """
        code = lax.stop_gradient(code)
        offset = len(self.sites)
        self.sites.extend(sites)
        if self.code is None:
            self.code = code
            self.values = {types: [lax.stop_gradient(v) for v in group] for types, group in values}
            return
        failed = lax.ne(code, np.int32(0))
        shifted = lax.select(failed, lax.add(code, np.int32(offset)), lax.full_like(code, 0))
        clean = lax.eq(self.code, np.int32(0))
        self.code = lax.select(clean, shifted, self.code)
        for types, group in values:
            group = [lax.stop_gradient(v) for v in group]
            known = self.values.get(types)
            self.values[types] = (
                group
                if known is None
                else [lax.select_n(clean, old, new) for old, new in zip(known, group, strict=True)]
            )

    def add_arrays(self, program: Checked, arrays: Sequence[Any]) -> list[Any]:
        """Adds what a checked program has given; returns its own results."""
        count = program.num_findings
        self.add(arrays[0], program.sites, grouped(arrays[1:count], program.types))
        return list(arrays[count:])

    def as_arrays(self, types: Sequence[Types]) -> list[Any]:
        """The code, and the values of these types; zeros where there are none."""
        arrays = [np.int32(0) if self.code is None else self.code]
        for kind in types:
            arrays.extend(self.values.get(kind) or [np.zeros(shape, dtype) for shape, dtype in kind])
        return arrays

    def as_error(self) -> Error:
        """What the user gets."""
        code = lax.full((), 0, np.int32) if self.code is None else self.code
        return Error(code, tuple(self.values.items()), tuple(self.sites))


class Checked(NamedTuple):
    """A program that gives its findings before its results.

    Attributes:
      closed: the program.
      sites: to which the code refers.
      types: those of the values that come after the code.
    """

    closed: ClosedJaxpr
    sites: tuple[Site, ...]
    types: tuple[Types, ...]

    @property
    def num_findings(self) -> int:
        """How many results are findings."""
        return 1 + sum(map(len, self.types))


@api_boundary
def checkify(
    f: Callable[..., Out], errors: frozenset[ErrorCategory] = user_checks
) -> Callable[..., tuple[Error, Out]]:
    """Makes of a function with checks one that returns an error as a value, and has none of these effects.

    Args:
      f: the function; it may contain `check`s, also inside of loops, branches and compiled functions.
      errors: what is checked: `user_checks` are the `check`s in the function, `nan_checks` operations that
        make a NaN, `div_checks` divisions by zero, `index_checks` indices out of bounds; `float_checks`,
        `automatic_checks` and `all_checks` are unions of these. Sets of your own are made with `|`.

    Returns:
      A function of the same arguments that returns `(error, result)`. `error.get()` is the message of
      the first check that has failed, or None; `error.throw()` raises it. It can be compiled,
      differentiated and mapped.

    Raises:
      NotImplementedError: a check inside an operation that this does not look into.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> from canter.experimental import checkify
      >>> f = ct.jit(checkify.checkify(cnp.log, errors=checkify.nan_checks))
      >>> error, y = f(-1.0)
      >>> error.get().startswith("nan generated by primitive: log.")
      True
      >>> f(1.0)[0].get() is None
      True
    """
    if not callable(f):
        raise TypeError(f"checkify takes a function, got {f!r:.60} of type {type(f).__name__}.")
    wanted = frozenset(errors)

    @functools.wraps(f)
    @api_boundary
    def checked(*args: Any, **kwargs: Any) -> tuple[Error, Out]:
        leaves, in_tree = pytree.tree_flatten((args, kwargs))
        flat = FlatFunction(lambda args, kwargs: f(*args, **kwargs), in_tree)
        closed = trace_to_jaxpr(flat, [get_aval(x) for x in leaves], debug_info=debug_info(f, "checkify"))
        findings = Findings()
        outs = _evaluate(closed.jaxpr, closed.consts, leaves, wanted, findings)
        return findings.as_error(), flat.out_tree.unflatten(outs)

    return checked


def _evaluate(
    jaxpr: Jaxpr, consts: Sequence[Any], args: Sequence[Any], errors: frozenset[Any], findings: Findings
) -> list[Any]:
    """Applies the equations of a program, and checks them."""
    env: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    env.update(zip(jaxpr.invars, args, strict=True))
    for eqn in jaxpr.eqns:
        operands = [v.val if type(v) is Literal else env[v] for v in eqn.invars]
        results = _apply(eqn, operands, errors, findings)
        env.update(zip(eqn.outvars, results, strict=True))
    return [v.val if type(v) is Literal else env[v] for v in jaxpr.outvars]


def _apply(eqn: JaxprEqn, operands: list[Any], errors: frozenset[Any], findings: Findings) -> list[Any]:
    primitive = eqn.primitive
    if primitive is check_p:
        if FailedCheckError in errors:
            _user_check(operands, findings, **eqn.params)
        return []
    rule = _CONTAINERS.get(primitive.name)
    if rule is not None:
        return rule(eqn, operands, errors, findings)
    if any(map(_has_checks, jaxprs_in_params(eqn.params))):
        raise NotImplementedError(
            f"checkify does not look into '{primitive.name}', but there is something to check in it. Apply checkify "
            "to the function in it instead, and return the error from there."
        )
    listed = list(apply_eqn(eqn, operands))
    for find in automatic_rules.get(primitive.name, ()):
        if RULE_CATEGORIES[find] not in errors:
            continue
        for category, failed, describe, values in find(primitive.name, operands, listed, eqn.params):
            types = tuple((get_aval(v).shape, get_aval(v).dtype) for v in values)
            site = Site(category, describe, types, eqn.source_info)
            findings.add(lax.convert_element_type(failed, np.int32), [site], [(types, values)])
    return listed


def _user_check(
    operands: Sequence[Any], findings: Findings, *, sites: Any, value_types: Any, debug: bool
) -> None:
    code, *values = operands
    if not get_aval(code).size:  # a batch without elements
        return
    if get_aval(code).ndim:  # of a batch the first one that has failed
        flat = (get_aval(code).size,)
        row = lax.reshape(code, flat)
        first = lax.argmax(lax.ne(row, lax.full_like(row, 0)), 0, np.int32)
        count = get_aval(code).ndim

        def chosen(x: Any) -> Any:
            rows = lax.reshape(x, flat + get_aval(x).shape[count:])
            return lax.dynamic_index_in_dim(rows, first, 0, keepdims=False)

        code, values = chosen(code), [chosen(v) for v in values]
    findings.add(code, sites, grouped(values, value_types))


def _checked(closed: ClosedJaxpr, errors: frozenset[Any]) -> Checked | None:
    """The program with its findings; None if there is nothing to check in it."""
    key = ("checkify", errors)
    if key in closed.memo:
        return closed.memo[key]
    collected: list[tuple[bool, tuple[Site, ...], tuple[Types, ...]]] = []

    def with_findings(*args: Any) -> list[Any]:
        findings = Findings()
        outs = _evaluate(closed.jaxpr, closed.consts, args, errors, findings)
        # Not the findings themselves, whose values must not outlive the trace.
        types = tuple(findings.values)
        collected.append((findings.code is not None, tuple(findings.sites), types))
        return [*findings.as_arrays(types), *outs]

    program = trace_to_jaxpr(with_findings, closed.in_avals, debug_info=closed.jaxpr.debug_info)
    ((found, sites, types),) = collected
    result = Checked(program, sites, types) if found or _has_checks(closed) else None
    closed.memo[key] = result
    return result


def _has_checks(program: ClosedJaxpr | Jaxpr) -> bool:
    return any(isinstance(effect, CheckEffect) for effect in program.effects)


def _closed(jaxpr: Any) -> ClosedJaxpr:
    return jaxpr if isinstance(jaxpr, ClosedJaxpr) else ClosedJaxpr(jaxpr, [])


def _without_checks(closed: ClosedJaxpr) -> ClosedJaxpr:
    """The same program, in which nothing is checked."""
    known = closed.memo.get("without checks")
    if known is None:
        if not _has_checks(closed):
            known = closed
        else:
            known = trace_to_jaxpr(
                lambda *args: _evaluate(closed.jaxpr, closed.consts, args, frozenset(), Findings()),
                closed.in_avals,
                debug_info=closed.jaxpr.debug_info,
            )
        closed.memo["without checks"] = known
    return known


# --- programs inside equations --------------------------------------------------------------------


def _plain(eqn: JaxprEqn, operands: Sequence[Any]) -> list[Any]:
    return list(eqn.primitive.bind(*operands, **eqn.params))


def _in_jit(eqn: JaxprEqn, operands: list[Any], errors: frozenset[Any], findings: Findings) -> list[Any]:
    program = _checked(eqn.params["jaxpr"], errors)
    if program is None:
        return _plain(eqn, operands)
    return findings.add_arrays(program, call_program(program.closed, operands, eqn.params))


def _in_place(name: str) -> Callable[..., list[Any]]:
    def rule(eqn: JaxprEqn, operands: list[Any], errors: frozenset[Any], findings: Findings) -> list[Any]:
        inner = _closed(eqn.params[name])
        return _evaluate(inner.jaxpr, inner.consts, operands, errors, findings)

    return rule


def _in_remat(eqn: JaxprEqn, operands: list[Any], errors: frozenset[Any], findings: Findings) -> list[Any]:
    program = _checked(ClosedJaxpr(eqn.params["jaxpr"], []), errors)
    if program is None:
        return _plain(eqn, operands)
    opened, consts = close_over_nothing(program.closed)
    params = {**eqn.params, "jaxpr": opened.jaxpr}
    if isinstance(params.get("prevent_cse"), tuple):
        params["prevent_cse"] = (True,) * len(consts) + params["prevent_cse"]
    return findings.add_arrays(program, eqn.primitive.bind(*consts, *operands, **params))


def _with_second_look(name: str) -> Callable[..., list[Any]]:
    """The results come from the equation, which has a rule of its own, the findings from a look at its program.

    The compiler sees that both compute the same.
    """

    def rule(eqn: JaxprEqn, operands: list[Any], errors: frozenset[Any], findings: Findings) -> list[Any]:
        inner = _closed(eqn.params[name])
        program = _checked(inner, errors)
        if program is None:
            return _plain(eqn, operands)
        still = [lax.stop_gradient(x) for x in operands]
        findings.add_arrays(program, eval_jaxpr(program.closed.jaxpr, program.closed.consts, *still))
        opened, consts = close_over_nothing(_without_checks(inner))
        assert not consts, "tracing a program without constants makes none"
        return list(eqn.primitive.bind(*operands, **{**eqn.params, name: opened}))

    return rule


def _in_cond(eqn: JaxprEqn, operands: list[Any], errors: frozenset[Any], findings: Findings) -> list[Any]:
    branches = eqn.params["branches"]
    programs = [_checked(branch, errors) for branch in branches]
    if all(program is None for program in programs):
        return _plain(eqn, operands)
    types = tuple(dict.fromkeys(kind for program in programs if program for kind in program.types))
    sites: list[Site] = []
    aligned = []
    for branch, program in zip(branches, programs, strict=True):
        aligned.append(_with_types(branch, program, types, len(sites)))
        sites.extend(program.sites if program else ())
    opened, consts = with_common_consts(aligned)
    index, *rest = operands
    results = eqn.primitive.bind(index, *consts, *rest, **{**eqn.params, "branches": tuple(opened)})
    return findings.add_arrays(Checked(aligned[0], tuple(sites), types), results)


def _with_types(
    branch: ClosedJaxpr, program: Checked | None, types: tuple[Types, ...], offset: int
) -> ClosedJaxpr:
    """A branch that gives findings of all these types; its codes begin after `offset`."""

    def run(*args: Any) -> list[Any]:
        found = Findings()
        if program is None:
            outs = eval_jaxpr(branch.jaxpr, branch.consts, *args)
        else:
            results = eval_jaxpr(program.closed.jaxpr, program.closed.consts, *args)
            outs = found.add_arrays(program, results)
        arrays = [
            lax.full((), 0, np.int32) if found.code is None else found.code,
            *found.as_arrays(types)[1:],
        ]
        failed = lax.ne(arrays[0], np.int32(0))
        arrays[0] = lax.select(failed, lax.add(arrays[0], np.int32(offset)), lax.full_like(arrays[0], 0))
        return [*arrays, *outs]

    return trace_to_jaxpr(run, branch.in_avals, debug_info=branch.jaxpr.debug_info)


def _in_scan(eqn: JaxprEqn, operands: list[Any], errors: frozenset[Any], findings: Findings) -> list[Any]:
    params = eqn.params
    program = _checked(params["jaxpr"], errors)
    if program is None:
        return _plain(eqn, operands)
    first, second = params["num_consts"], params["num_consts"] + params["num_carry"]
    consts, carry, xs = operands[:first], operands[first:second], operands[second:]

    def step(state: Any, row: Any) -> Any:
        found, carry = state
        results = eval_jaxpr(program.closed.jaxpr, program.closed.consts, *consts, *carry, *row)
        found, outs = _joined(program, found, results)
        return (found, outs[: len(carry)]), outs[len(carry) :]

    (found, carry), ys = lax.scan(
        step,
        (_nothing_found(program), list(carry)),
        xs,
        length=params["length"],
        reverse=params["reverse"],
        unroll=params["unroll"],
    )
    findings.add_arrays(program, found)
    return [*carry, *ys]


def _nothing_found(program: Checked) -> list[Any]:
    return [
        lax.full((), 0, np.int32),
        *(lax.full(shape, 0, dtype) for kind in program.types for shape, dtype in kind),
    ]


def _joined(program: Checked, before: Sequence[Any], results: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Findings of a loop after one more run of its program, and that run's results.

    The sites are the same in each run, so the codes are too.
    """
    count = program.num_findings
    clean = lax.eq(before[0], np.int32(0))
    joined = [
        lax.select_n(clean, old, lax.stop_gradient(new))
        for old, new in zip(before, results[:count], strict=True)
    ]
    return joined, list(results[count:])


def _in_while(eqn: JaxprEqn, operands: list[Any], errors: frozenset[Any], findings: Findings) -> list[Any]:
    params = eqn.params
    condition = _checked(params["cond_jaxpr"], errors)
    body = _checked(params["body_jaxpr"], errors)
    if condition is None and body is None:
        return _plain(eqn, operands)
    first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    condition_consts, body_consts, init = operands[:first], operands[first:second], operands[second:]
    plain_condition = _without_checks(params["cond_jaxpr"])
    lanes = tuple(range(plain_condition.out_avals[0].ndim))

    def active(carry: Any) -> Any:
        return eval_jaxpr(plain_condition.jaxpr, plain_condition.consts, *condition_consts, *carry)[0]

    def holds(state: Any) -> Any:
        return lax.reduce_or(active(state[-1]), lanes)

    def look_at_condition(found: Any, carry: Any) -> Any:
        if condition is None:
            return found
        closed = condition.closed
        return _joined(condition, found, eval_jaxpr(closed.jaxpr, closed.consts, *condition_consts, *carry))[
            0
        ]

    def step(state: Any) -> Any:
        of_condition, of_body, carry = state
        of_condition = look_at_condition(of_condition, carry)
        closed = params["body_jaxpr"] if body is None else body.closed
        # Elements of a batch that have finished look at the state of another, and so find nothing of their own.
        flags = active(carry) if lanes else None
        before = borrow(flags, carry) if lanes else carry
        outs = eval_jaxpr(closed.jaxpr, closed.consts, *body_consts, *before)
        if body is not None:
            of_body, outs = _joined(body, of_body, outs)
        return of_condition, of_body, choose(flags, outs, carry) if lanes else outs

    start = (
        None if condition is None else _nothing_found(condition),
        None if body is None else _nothing_found(body),
        list(init),
    )
    kept = params.get("checkpoints")  # states for reverse mode
    of_condition, of_body, carry = lax.while_loop(holds, step, start, checkpoints=kept)
    if body is not None:
        findings.add_arrays(body, of_body)
    if condition is not None:
        findings.add_arrays(condition, look_at_condition(of_condition, carry))
    return list(carry)


def _in_linear_solve(
    eqn: JaxprEqn, operands: list[Any], errors: frozenset[Any], findings: Findings
) -> list[Any]:
    """What is found is found in the function that solves; the others are for derivatives."""
    jaxprs, lengths = eqn.params["jaxprs"], eqn.params["const_lengths"]
    program = _checked(jaxprs.solve, errors)
    before = lengths.matvec + lengths.vecmat
    rest = operands[sum(lengths) :]
    if program is not None:
        given = [*operands[before : before + lengths.solve], *rest]
        still = [lax.stop_gradient(x) for x in given]
        findings.add_arrays(program, eval_jaxpr(program.closed.jaxpr, program.closed.consts, *still))
    plain = jaxprs._replace(
        **{
            name: None if closed is None else _without_checks(closed)
            for name, closed in jaxprs._asdict().items()
        }
    )
    return list(eqn.primitive.bind(*operands, **{**eqn.params, "jaxprs": plain}))


def _in_shard_map(
    eqn: JaxprEqn, operands: list[Any], errors: frozenset[Any], findings: Findings
) -> list[Any]:
    """Each device finds something or nothing; what the first one has found counts."""
    from ...parallel.shard_map_rules import Region

    params = dict(eqn.params)
    region = Region(params.pop("jaxpr"), params)
    with region.region():
        program = _checked(region.closed, errors)
        if program is None:
            return _plain(eqn, operands)
        stacked = _with_stacked_findings(program)
    count = program.num_findings
    everywhere = PartitionSpec(tuple(name for name in region.mesh.axis_names if name in region.axes))
    out_specs = ((everywhere,) * count, region.out_specs)
    results = region.bind(stacked, operands, region.in_specs, sum(out_specs, ()))
    codes = lax.stop_gradient(results[0])
    first = lax.argmax(lax.ne(codes, lax.full_like(codes, 0)), 0, np.int32)
    found = [
        lax.dynamic_index_in_dim(lax.stop_gradient(x), first, 0, keepdims=False) for x in results[:count]
    ]
    return findings.add_arrays(program, [*found, *results[count:]])


def _with_stacked_findings(program: Checked) -> ClosedJaxpr:
    """The program whose findings have a first dimension of size one, along which devices can be stacked."""
    closed, count = program.closed, program.num_findings
    known = closed.memo.get("stacked findings")
    if known is None:

        def stacked(*args: Any) -> list[Any]:
            results = eval_jaxpr(closed.jaxpr, closed.consts, *args)
            return [*(lax.expand_dims(x, (0,)) for x in results[:count]), *results[count:]]

        known = closed.memo["stacked findings"] = trace_to_jaxpr(
            stacked, closed.in_avals, debug_info=closed.jaxpr.debug_info
        )
    return known


_CONTAINERS: dict[str, Callable[..., list[Any]]] = {
    "custom_linear_solve": _in_linear_solve,
    "shard_map": _in_shard_map,
    "jit": _in_jit,
    "pjit": _in_jit,
    "closed_call": _in_place("call_jaxpr"),
    "core_call": _in_place("call_jaxpr"),
    "remat2": _in_remat,
    "remat": _in_remat,
    "checkpoint": _in_remat,
    "custom_jvp_call": _with_second_look("call_jaxpr"),
    "custom_vjp_call": _with_second_look("call_jaxpr"),
    "custom_vmap_call": _with_second_look("call"),
    "composite": _with_second_look("jaxpr"),
    "cond": _in_cond,
    "scan": _in_scan,
    "while": _in_while,
}
