"""How a scan is differentiated, batched and shortened.

Operands and results come in parts: constants, carry and inputs; carry and stacked results. Which
parts of the carry have a tangent (a batch axis) is found by going round the loop until nothing
changes any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...core.avals import ShapedArray, get_aval
from ...core.effects import control_flow_allowed_effects, refuse_effects
from ...core.explicit import refuse_sums, with_dimension
from ...core.jaxpr import ClosedJaxpr, Literal, Var, eval_jaxpr
from ...core.tracing import trace_to_jaxpr
from ...transforms.batching import batch_jaxpr
from ...transforms.jvp import jvp_jaxpr
from ...transforms.linearize import LinearizedJaxpr, linearize_jaxpr
from ...transforms.partial_evaluation import dce_jaxpr, join_effects
from ...transforms.rules import add_tangents, bdim_at_front, instantiate_zeros, moveaxis, zeros_like_aval
from ...transforms.transpose import backward_pass
from ...transforms.zeros import UndefinedPrimal, Zero, is_undefined_primal, tangents_by_flags
from .common import reorder, split_list, strengthen_outputs, with_common_consts
from .scan import scan_p

__all__ = ["fixpoint", "linear_carry"]


def fixpoint(flags: Sequence[bool], step: Callable[[list[bool]], Sequence[bool]]) -> list[bool]:
    """Repeats `step` until no flag changes; a flag once true stays true."""
    current = list(flags)
    while True:
        following = [a or b for a, b in zip(current, step(current), strict=True)]
        if following == current:
            return current
        current = following


def stacked(aval: ShapedArray, length: int) -> ShapedArray:
    """The aval with the loop's axis in front."""
    made = aval.update(shape=(length, *aval.shape))
    return made if aval.layout is None else made.update(layout=with_dimension(aval, 0, ()))


def bind(
    jaxpr: ClosedJaxpr, consts: Sequence[Any], carry: Sequence[Any], xs: Sequence[Any], params: dict[str, Any]
) -> list[Any]:
    """Binds a scan derived from another; constants of its program become constants of the loop."""
    (opened,), captured = with_common_consts([jaxpr])
    return scan_p.bind(
        *captured,
        *consts,
        *carry,
        *xs,
        reverse=params["reverse"],
        length=params["length"],
        jaxpr=opened,
        num_consts=len(captured) + len(consts),
        num_carry=len(carry),
        unroll=params["unroll"],
        **({"_split_transpose": True} if params.get("_split_transpose") else {}),
    )


def _abstract(*avals: Any, jaxpr: Any, length: int, num_carry: int, **params: Any) -> Any:
    refuse_effects(jaxpr.effects, control_flow_allowed_effects, "`scan`")
    refuse_sums("scan", (*avals, *jaxpr.out_avals))
    carry, ys = split_list(jaxpr.out_avals, num_carry)
    return [*carry, *(stacked(a, length) for a in ys)], jaxpr.effects


def _carry_nonzeros(jaxpr: Any, nonzeros: Any, num_consts: int, num_carry: int, out_flags: Any) -> list[bool]:
    """Which parts of the carry have a tangent, at the start or after some steps."""
    consts, carry, xs = split_list(nonzeros, num_consts, num_carry)
    return fixpoint(carry, lambda flags: out_flags(jaxpr, [*consts, *flags, *xs])[:num_carry])


def _with_instantiated(tangents: Any, flags: Sequence[bool]) -> list[Any]:
    return [instantiate_zeros(t) if flag else t for t, flag in zip(tangents, flags, strict=True)]


def _nonzero(tangents: Sequence[Any]) -> list[Any]:
    return [t for t in tangents if type(t) is not Zero]


def _jvp(primals: Any, tangents: Any, *, jaxpr: Any, num_consts: int, num_carry: int, **params: Any) -> Any:
    nonzeros = [type(t) is not Zero for t in tangents]
    carry_nz = _carry_nonzeros(jaxpr, nonzeros, num_consts, num_carry, lambda j, nz: jvp_jaxpr(j, nz)[1])
    const_nz, _, xs_nz = split_list(nonzeros, num_consts, num_carry)
    num_ys = len(jaxpr.out_avals) - num_carry
    derived, out_nz = jvp_jaxpr(jaxpr, [*const_nz, *carry_nz, *xs_nz], [*carry_nz, *[False] * num_ys])

    consts, carry, xs = split_list(primals, num_consts, num_carry)
    const_dots, carry_dots, xs_dots = split_list(tangents, num_consts, num_carry)
    const_dots, xs_dots = _nonzero(const_dots), _nonzero(xs_dots)
    carry_dots = _nonzero(_with_instantiated(carry_dots, carry_nz))
    # The derived program takes all primals, then all tangents; the loop wants part by part.
    sizes = [len(consts), num_carry, len(xs), len(const_dots), len(carry_dots), len(xs_dots)]
    ins = _interleave(sizes)
    outs = _interleave([num_carry, num_ys, sum(carry_nz), sum(out_nz[num_carry:])])
    derived = reorder(derived, ins, outs)
    results = bind(derived, [*consts, *const_dots], [*carry, *carry_dots], [*xs, *xs_dots], params)
    carry_out, carry_dots, ys, ys_dots = split_list(results, num_carry, sum(carry_nz), num_ys)
    primals_out = [*carry_out, *ys]
    return primals_out, tangents_by_flags(primals_out, out_nz, [*carry_dots, *ys_dots])


def _interleave(sizes: Sequence[int]) -> list[int]:
    """Positions that bring parts a b c … a' b' c' … into the order a a' b b' c c' …"""
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    half = len(sizes) // 2
    order: list[int] = []
    for part in range(half):
        for i in (part, part + half):
            order.extend(range(starts[i], starts[i] + sizes[i]))
    return order


# --- linearization --------------------------------------------------------------------------------


def _linearize(
    primals: Any, tangents: Any, *, jaxpr: Any, num_consts: int, num_carry: int, **params: Any
) -> Any:
    nonzeros = [type(t) is not Zero for t in tangents]
    flags = lambda j, nz: linearize_jaxpr(j, nz).out_nonzeros  # noqa: E731
    carry_nz = _carry_nonzeros(jaxpr, nonzeros, num_consts, num_carry, flags)
    const_nz, _, xs_nz = split_list(nonzeros, num_consts, num_carry)
    num_outs = len(jaxpr.out_avals)
    wanted = (*carry_nz, *[False] * (num_outs - num_carry))
    parts = linearize_jaxpr(jaxpr, [*const_nz, *carry_nz, *xs_nz], wanted)
    plan = _residual_plan(parts, num_consts, num_carry, num_outs)

    consts, carry, xs = split_list(primals, num_consts, num_carry)
    invariant = eval_jaxpr(plan.hoisted.jaxpr, plan.hoisted.consts, *consts)
    results = bind(plan.known, [*consts, *invariant], carry, xs, params)
    outs, extra = results[:num_outs], results[num_outs:]
    if not any(parts.out_nonzeros):
        return outs, tangents_by_flags(outs, parts.out_nonzeros, [])

    fixed, moving = plan.collect(consts, invariant, xs, outs, extra)
    const_dots, carry_dots, xs_dots = split_list(tangents, num_consts, num_carry)
    given = bind(
        plan.linear(parts, sum(const_nz), sum(carry_nz)),
        [*fixed, *_nonzero(const_dots)],
        _nonzero(_with_instantiated(carry_dots, carry_nz)),
        [*moving, *_nonzero(xs_dots)],
        params,
    )
    return outs, tangents_by_flags(outs, parts.out_nonzeros, given)


class _ResidualPlan:
    """Where each residual of a loop's body is found once the known loop has run.

    Attributes:
      hoisted: from the loop's constants to those residuals, and other values, that no step changes.
      known: the loop's body; takes (constants, hoisted values, carry, inputs), and gives besides the
        results the residuals that must be stacked.
      places: for each residual "const" (a constant), "hoisted", "xs", "ys" (a stacked result), or
        "extra" (an additional stacked result), with its position there.
    """

    __slots__ = ("hoisted", "known", "num_carry", "places")

    def __init__(
        self, hoisted: ClosedJaxpr, known: ClosedJaxpr, places: list[tuple[str, int]], num_carry: int
    ):
        self.hoisted, self.known, self.places, self.num_carry = hoisted, known, places, num_carry

    def collect(
        self, consts: Any, invariant: Any, xs: Any, outs: Any, extra: Any
    ) -> tuple[list[Any], list[Any]]:
        """Residuals that stay the same, and stacked ones, each in the order of `places`."""
        found = {"const": consts, "hoisted": invariant, "xs": xs, "ys": outs, "extra": extra}
        fixed = [found[kind][i] for kind, i in self.places if kind in ("const", "hoisted")]
        moving = [found[kind][i] for kind, i in self.places if kind not in ("const", "hoisted")]
        return fixed, moving

    def linear(self, parts: LinearizedJaxpr, num_const_dots: int, num_carry_dots: int) -> ClosedJaxpr:
        """The linear body with its arguments in the order of a loop."""
        count = len(self.places)
        fixed = [i for i, (kind, _) in enumerate(self.places) if kind in ("const", "hoisted")]
        moving = [i for i, (kind, _) in enumerate(self.places) if kind not in ("const", "hoisted")]
        dots = list(range(count, len(parts.linear.jaxpr.invars)))
        const_dots, carry_dots, xs_dots = split_list(dots, num_const_dots, num_carry_dots)
        order = [*fixed, *const_dots, *carry_dots, *moving, *xs_dots]
        return reorder(parts.linear, order, range(len(parts.linear.jaxpr.outvars)))


def _residual_plan(parts: LinearizedJaxpr, num_consts: int, num_carry: int, num_outs: int) -> _ResidualPlan:
    key = ("scan residuals", num_consts, num_carry)
    plan = parts.known.memo.get(key)
    if plan is None:
        plan = parts.known.memo[key] = _make_residual_plan(parts, num_consts, num_carry, num_outs)
    return plan


def _make_residual_plan(
    parts: LinearizedJaxpr, num_consts: int, num_carry: int, num_outs: int
) -> _ResidualPlan:
    known = parts.known
    body = known.jaxpr
    const_vars, carry_vars, xs_vars = split_list(body.invars, num_consts, num_carry)
    same_each_step, moving_eqns, invariant_eqns = {*body.constvars, *const_vars}, [], []
    for eqn in body.eqns:
        if not eqn.effects and all(type(v) is Literal or v in same_each_step for v in eqn.invars):
            same_each_step.update(eqn.outvars)
            invariant_eqns.append(eqn)
        else:
            moving_eqns.append(eqn)

    places: list[tuple[str, int]] = []
    hoisted: list[Any] = []
    extra: list[Any] = []
    for kind, i in parts.residual_sources:
        var = body.invars[i] if kind == "in" else body.outvars[i + (num_outs if kind == "new" else 0)]
        if kind == "in" and i < num_consts:
            places.append(("const", i))
        elif kind == "in" and i >= num_consts + num_carry:
            places.append(("xs", i - num_consts - num_carry))
        elif kind == "out" and i >= num_carry:
            places.append(("ys", i))
        elif type(var) is Literal or var in same_each_step:
            places.append(("hoisted", len(hoisted)))
            hoisted.append(var)
        else:
            places.append(("extra", len(extra)))
            extra.append(var)
    # Values that the moving equations need from the invariant ones are computed once as well.
    computed = {v for eqn in invariant_eqns for v in eqn.outvars}
    needed = {v for eqn in moving_eqns for v in eqn.invars if type(v) is not Literal and v in computed}
    needed.update(v for v in [*body.outvars[:num_outs], *extra] if type(v) is not Literal and v in computed)
    num_residuals = len(hoisted)
    hoisted.extend(v for v in dict.fromkeys(v for e in invariant_eqns for v in e.outvars) if v in needed)

    before = body.replace(invars=const_vars, outvars=hoisted, eqns=invariant_eqns, effects=join_effects([]))
    before, _ = dce_jaxpr(before, [True] * len(hoisted), keep_inputs=True)
    arguments = [Var(v.aval) for v in hoisted[:num_residuals]] + hoisted[num_residuals:]
    loop = body.replace(
        invars=[*const_vars, *arguments, *carry_vars, *xs_vars],
        outvars=[*body.outvars[:num_outs], *extra],
        eqns=moving_eqns,
    )
    loop, _ = dce_jaxpr(loop, [True] * len(loop.outvars), keep_inputs=True)
    return _ResidualPlan(
        ClosedJaxpr(before, known.consts), ClosedJaxpr(loop, known.consts), places, num_carry
    )


# --- transposition --------------------------------------------------------------------------------


def _transpose(
    cotangents: Any, *args: Any, jaxpr: Any, num_consts: int, num_carry: int, **params: Any
) -> Any:
    linear = list(map(is_undefined_primal, args))
    carry_linear = linear_carry(jaxpr, linear, num_consts, num_carry)
    if not all(carry_linear):
        return _transpose_with_known_carry(cotangents, args, carry_linear, jaxpr, num_consts, params)
    consts, carry, xs = split_list(args, num_consts, num_carry)
    const_linear, _, xs_linear = split_list(linear, num_consts, num_carry)
    ct_carry, ct_ys = split_list(cotangents, num_carry)
    ys_nz = [type(ct) is not Zero for ct in ct_ys]
    backward = _transposed_body(jaxpr, const_linear, xs_linear, num_carry, ys_nz)

    known_consts = [c for c, is_linear in zip(consts, const_linear, strict=True) if not is_linear]
    ct_consts = [
        zeros_like_aval(c.aval) for c, is_linear in zip(consts, const_linear, strict=True) if is_linear
    ]
    known_xs = [x for x, is_linear in zip(xs, xs_linear, strict=True) if not is_linear]
    go_back = _bind_split if params.get("_split_transpose") else bind
    results = go_back(
        backward,
        known_consts,
        [*ct_consts, *map(instantiate_zeros, ct_carry)],
        [*_nonzero(ct_ys), *known_xs],
        {**params, "reverse": not params["reverse"], "num_carry": num_carry},
    )
    ct_consts, ct_carry, ct_xs = split_list(results, len(ct_consts), num_carry)
    found_consts, found_xs = iter(ct_consts), iter(ct_xs)
    return [
        *(next(found_consts) if is_linear else None for is_linear in const_linear),
        # A zero that stands for the tangent of a known value is no operand of the linear function.
        *(ct if is_undefined_primal(c) else None for c, ct in zip(carry, ct_carry, strict=True)),
        *(next(found_xs) if is_linear else None for is_linear in xs_linear),
    ]


def _bind_split(
    backward: ClosedJaxpr,
    consts: Sequence[Any],
    carry: Sequence[Any],
    xs: Sequence[Any],
    params: dict[str, Any],
) -> list[Any]:
    """Binds a transposed loop as two: one for the carry's cotangents, one for all others, given the carry's."""
    (opened,), captured = with_common_consts([backward])
    consts = [*captured, *consts]
    jaxpr, num_carry = opened.jaxpr, params["num_carry"]
    num_sums = len(carry) - num_carry
    const_vars, sum_vars, carry_vars, xs_vars = split_list(jaxpr.invars, len(consts), num_sums, num_carry)
    sums_out, carry_out, ys_out = split_list(jaxpr.outvars, num_sums, num_carry)
    derived = {name: value for name, value in params.items() if name != "_split_transpose"}

    first = jaxpr.replace(invars=[*const_vars, *carry_vars, *xs_vars], outvars=[*carry_out, *carry_vars])
    first, _ = dce_jaxpr(first, [True] * len(first.outvars), keep_inputs=True)
    results = bind(ClosedJaxpr(first, []), consts, carry[num_sums:], xs, derived)
    ct_carry, met = results[:num_carry], results[num_carry:]
    second = jaxpr.replace(
        invars=[*const_vars, *sum_vars, *carry_vars, *xs_vars], outvars=[*sums_out, *ys_out]
    )
    second, _ = dce_jaxpr(second, [True] * len(second.outvars), keep_inputs=True)
    results = bind(ClosedJaxpr(second, []), consts, carry[:num_sums], [*met, *xs], derived)
    return [*results[:num_sums], *ct_carry, *results[num_sums:]]


def linear_carry(closed: ClosedJaxpr, linear: Sequence[bool], num_consts: int, num_carry: int) -> list[bool]:
    """Which parts of the carry depend on linear operands, at the start or after some steps."""
    jaxpr = closed.jaxpr
    consts, carry, xs = split_list(linear, num_consts, num_carry)

    def depending(flags: list[bool]) -> list[bool]:
        found = {v for v, flag in zip(jaxpr.invars, [*consts, *flags, *xs], strict=True) if flag}
        for eqn in jaxpr.eqns:
            if any(type(v) is not Literal and v in found for v in eqn.invars):
                found.update(eqn.outvars)
        return [type(v) is not Literal and v in found for v in jaxpr.outvars[:num_carry]]

    return fixpoint(carry, depending)


def _transpose_with_known_carry(
    cotangents: Any,
    args: Any,
    carry_linear: Sequence[bool],
    closed: ClosedJaxpr,
    num_consts: int,
    params: Any,
) -> list[Any]:
    """Runs the known part of the carry (a counter, say) forward, then treats it as inputs of the loop."""
    jaxpr, num_carry = closed.jaxpr, len(carry_linear)
    consts, carry, xs = split_list(args, num_consts, num_carry)
    const_vars, carry_vars, xs_vars = split_list(jaxpr.invars, num_consts, num_carry)
    known = [i for i, is_linear in enumerate(carry_linear) if not is_linear]
    unknown = [i for i, is_linear in enumerate(carry_linear) if is_linear]

    def pick(values: Sequence[Any], places: Sequence[int]) -> list[Any]:
        return [values[i] for i in places]

    forward = jaxpr.replace(
        invars=[*const_vars, *pick(carry_vars, known), *xs_vars],
        outvars=[*pick(jaxpr.outvars, known), *pick(carry_vars, known)],
    )
    keep = [not is_undefined_primal(x) for x in (*consts, *pick(carry, known), *xs)]
    forward, used = dce_jaxpr(forward, [True] * len(forward.outvars), keep)
    assert used == keep, "a known carry depends on known operands only"
    known_consts = [c for c in consts if not is_undefined_primal(c)]
    known_xs = [x for x in xs if not is_undefined_primal(x)]
    results = bind(ClosedJaxpr(forward, closed.consts), known_consts, pick(carry, known), known_xs, params)
    trajectories = results[len(known) :]

    rest = jaxpr.replace(
        invars=[*const_vars, *pick(carry_vars, unknown), *pick(carry_vars, known), *xs_vars],
        outvars=[*pick(jaxpr.outvars, unknown), *jaxpr.outvars[num_carry:]],
    )
    ct_carry, ct_ys = split_list(cotangents, num_carry)
    found = _transpose(
        [*pick(ct_carry, unknown), *ct_ys],
        *consts,
        *pick(carry, unknown),
        *trajectories,
        *xs,
        jaxpr=ClosedJaxpr(rest, closed.consts),
        num_consts=num_consts,
        num_carry=len(unknown),
        **params,
    )
    ct_consts, ct_unknown, _, ct_xs = split_list(found, num_consts, len(unknown), len(known))
    places = dict(zip(unknown, ct_unknown, strict=True))
    return [*ct_consts, *(places.get(i) for i in range(num_carry)), *ct_xs]


def _transposed_body(
    closed: ClosedJaxpr,
    const_linear: Sequence[bool],
    xs_linear: Sequence[bool],
    num_carry: int,
    ys_nz: Sequence[bool],
) -> ClosedJaxpr:
    key = ("scan transpose", tuple(const_linear), tuple(xs_linear), tuple(ys_nz))
    known = closed.memo.get(key)
    if known is not None:
        return known
    jaxpr = closed.jaxpr
    const_vars, carry_vars, xs_vars = split_list(jaxpr.invars, len(const_linear), num_carry)
    known_consts = [v for v, linear in zip(const_vars, const_linear, strict=True) if not linear]
    linear_consts = [v for v, linear in zip(const_vars, const_linear, strict=True) if linear]
    known_xs = [v for v, linear in zip(xs_vars, xs_linear, strict=True) if not linear]
    ys_vars = jaxpr.outvars[num_carry:]
    avals = [
        *(v.aval for v in known_consts),
        *(v.aval.to_tangent_aval() for v in (*linear_consts, *carry_vars)),
        *(v.aval.to_tangent_aval() for v, nz in zip(ys_vars, ys_nz, strict=True) if nz),
        *(v.aval for v in known_xs),
    ]

    def backward(*args: Any) -> list[Any]:
        given_consts, ct_consts, ct_carry, ct_ys, given_xs = split_list(
            args, len(known_consts), len(linear_consts), num_carry, sum(ys_nz)
        )
        consts, xs, ys = iter(given_consts), iter(given_xs), iter(ct_ys)
        operands = [
            *(
                UndefinedPrimal(v.aval) if lin else next(consts)
                for v, lin in zip(const_vars, const_linear, strict=True)
            ),
            *(UndefinedPrimal(v.aval) for v in carry_vars),
            *(
                UndefinedPrimal(v.aval) if lin else next(xs)
                for v, lin in zip(xs_vars, xs_linear, strict=True)
            ),
        ]
        cts = [*ct_carry, *(next(ys) if nz else Zero(v.aval) for v, nz in zip(ys_vars, ys_nz, strict=True))]
        found = backward_pass(jaxpr, closed.consts, operands, cts)
        new_consts, new_carry, new_xs = split_list(found, len(const_vars), num_carry)
        own = [ct for ct, linear in zip(new_consts, const_linear, strict=True) if linear]
        return [
            *(instantiate_zeros(add_tangents(a, b)) for a, b in zip(ct_consts, own, strict=True)),
            *map(instantiate_zeros, new_carry),
            *(instantiate_zeros(ct) for ct, linear in zip(new_xs, xs_linear, strict=True) if linear),
        ]

    known = trace_to_jaxpr(backward, avals, debug_info=jaxpr.debug_info)
    carried = avals[len(known_consts) : len(known_consts) + len(linear_consts) + num_carry]
    known = strengthen_outputs(known, [*carried, *known.out_avals[len(carried) :]])
    closed.memo[key] = known
    return known


# --- batching and dead code -----------------------------------------------------------------------


def _batch(
    trace: Any, args: Any, dims: Any, *, jaxpr: Any, num_consts: int, num_carry: int, **params: Any
) -> Any:
    """Batch axes of constants, inputs and stacked results stay where they are; only the carry's is in front.

    So what one loop of a nest stacks for another is not moved about at each level.
    """
    size, options = trace.size, {"name": trace.name, "spmd_name": trace.spmd_name}
    consts_dims, carry_dims, xs_dims = split_list(dims, num_consts, num_carry)
    consts, carry, xs = split_list(args, num_consts, num_carry)
    xs = [moveaxis(x, 0, 1) if d == 0 else x for x, d in zip(xs, xs_dims, strict=True)]
    row_dims = [None if d is None else max(d - 1, 0) for d in xs_dims]  # behind the loop's axis
    place = lambda flags: [0 if flag else None for flag in flags]  # noqa: E731

    def out_flags(flags: list[bool]) -> list[bool]:
        _, found = batch_jaxpr(jaxpr, size, [*consts_dims, *place(flags), *row_dims], **options)
        return [d is not None for d in found[:num_carry]]

    batched_carry = fixpoint([d is not None for d in carry_dims], out_flags)
    in_dims = [*consts_dims, *place(batched_carry), *row_dims]
    wanted = [*place(batched_carry), *[None] * (len(jaxpr.out_avals) - num_carry)]
    batched, found = batch_jaxpr(jaxpr, size, in_dims, wanted, **options)

    carry = [
        bdim_at_front(x, d, size) if flag else x
        for x, d, flag in zip(carry, carry_dims, batched_carry, strict=True)
    ]
    carry_avals = [get_aval(x) for x in carry]
    batched = strengthen_outputs(batched, [*carry_avals, *batched.out_avals[num_carry:]])
    outs = bind(batched, consts, carry, xs, params)
    return outs, [*place(batched_carry), *(None if d is None else d + 1 for d in found[num_carry:])]


def _dce(used: Any, eqn: Any) -> Any:
    if not any(used) and not eqn.effects:
        return [False] * len(eqn.invars), None
    params = eqn.params
    closed, num_consts, num_carry = params["jaxpr"], params["num_consts"], params["num_carry"]
    used_carry, used_ys = split_list(used, num_carry)

    def needed(flags: list[bool]) -> list[bool]:
        used_inputs = dce_jaxpr(closed.jaxpr, [*flags, *used_ys])[1]
        return used_inputs[num_consts : num_consts + num_carry]

    used_carry = fixpoint(used_carry, needed)
    flags = [*used_carry, *used_ys]
    key = ("scan dce", tuple(flags), num_consts)
    known = closed.memo.get(key)
    if known is None:
        keep = (
            [False] * num_consts + used_carry + [False] * (len(closed.jaxpr.invars) - num_consts - num_carry)
        )
        shorter, used_inputs = dce_jaxpr(closed.jaxpr, flags, keep)
        known = closed.memo[key] = (ClosedJaxpr(shorter, closed.consts), used_inputs)
    shorter_closed, used_inputs = known
    if all(flags) and all(used_inputs) and len(shorter_closed.eqns) == len(closed.eqns):
        return [True] * len(eqn.invars), eqn
    return used_inputs, eqn.replace(
        invars=[v for v, u in zip(eqn.invars, used_inputs, strict=True) if u],
        outvars=[v for v, u in zip(eqn.outvars, flags, strict=True) if u],
        params={
            **params,
            "jaxpr": shorter_closed,
            "num_consts": sum(used_inputs[:num_consts]),
            "num_carry": sum(used_carry),
        },
    )


scan_p.def_effectful_abstract_eval(_abstract)
scan_p.jvp_rule = _jvp
scan_p.linearize_rule = _linearize
scan_p.transpose_rule = _transpose
scan_p.axis_batch_rule = _batch
scan_p.dce_rule = _dce
