"""The operations with inner programs: calls, branches, loops, and transformations inside a program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.ad_checkpoint import checkpoint_name

from .programs import INDEX

LENGTH = 3  # of loops and inner maps


@dataclass(frozen=True)
class Nest:
    """One operation with inner programs.

    Attributes:
      plan: `(builder) -> Step or None`, see generate.py.
      apply: `(functions, operands, **params) -> list of results`.
      needs: what the inner program must allow besides what the outer one does: "forward", "reverse".
      spoils: the modes of differentiation that it does not support itself.
    """

    plan: Callable[..., Any]
    apply: Callable[..., Any]
    needs: frozenset[str] = frozenset()
    spoils: frozenset[str] = frozenset()


POLICIES = {
    "none": None,
    "everything": ct.checkpoint_policies.everything_saveable,
    "nothing": ct.checkpoint_policies.nothing_saveable,
    "dots": ct.checkpoint_policies.dots_saveable,
    "names": ct.checkpoint_policies.save_only_these_names("kept"),
    "but_names": ct.checkpoint_policies.save_anything_except_these_names("kept"),
    "sines": lambda primitive, *_, **__: primitive.name in ("sin", "cos", "mul"),
}


def scalar_of(results: Any) -> Any:
    """One number that depends on all the float results."""
    return sum((cnp.sum(lax.sin(x)) for x in results if x.dtype == np.float64), cnp.zeros((), np.float64))


def _call(wrap: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda functions, xs, **params: wrap(functions[0])(*xs)


def _checkpoint(functions: Any, xs: Any, policy: str) -> Any:
    def named(*args: Any) -> Any:
        return checkpoint_name(functions[0](*checkpoint_name(args, "arguments")), "kept")

    return ct.checkpoint(named, policy=POLICIES[policy])(*xs)


def _cond(functions: Any, xs: Any, by: str) -> Any:
    pred, *xs = xs
    pred = cnp.sum(pred) > 0.2 if by == "float" else pred > 0
    return lax.cond(pred, *functions, *xs)


def _switch(functions: Any, xs: Any) -> Any:
    return lax.switch(xs[0], functions, *xs[1:])


def _scan(functions: Any, operands: Any, num_carry: int, reverse: bool, unroll: int, weak: bool) -> Any:
    carry, xs = operands[:num_carry], operands[num_carry:]

    def step(state: Any, x: Any) -> Any:
        i, total, values = state
        outs = functions[0](i, *values, *x)
        following, ys = outs[:num_carry], outs[num_carry:]
        return (lax.rem(i + 1, np.int32(3)), total + 0.1 * cnp.sum(following[0]), following), ys

    start = 0.0 if weak else cnp.zeros((), np.float64)
    (_, total, values), ys = lax.scan(
        step, (np.int32(0), start, list(carry)), tuple(xs), length=LENGTH, reverse=reverse, unroll=unroll
    )
    return [*values, *ys, total]


def _fori(functions: Any, carry: Any) -> Any:
    return lax.fori_loop(
        0, LENGTH, lambda i, values: functions[0](i.astype(np.int32) % 3, *values), list(carry)
    )


def _fori_traced(functions: Any, operands: Any) -> Any:
    stop, *carry = operands
    body = lambda i, values: functions[0](i % 3, *values)
    return lax.fori_loop(np.int32(0), stop + np.int32(1), body, list(carry))


def _while(functions: Any, operands: Any) -> Any:
    limit, *carry = operands

    def holds(state: Any) -> Any:
        i, values = state
        return cnp.logical_and(i < 1 + limit, cnp.sum(values[0]) < 5.0)

    return lax.while_loop(
        holds, lambda state: (state[0] + 1, functions[0](state[0] % 3, *state[1])), (np.int32(0), list(carry))
    )[1]


def _index_while(functions: Any, operands: Any) -> Any:
    """An integer loop beside the derivatives, which both modes may meet."""
    (x, start) = operands
    limit = lax.floor(lax.sin(cnp.sum(x)) * 3.0) + 3.0
    return [lax.while_loop(lambda i: i * i < limit, lambda i: i + 1, start) % 3]


def _vmap(functions: Any, xs: Any, in_axes: Any, out_axis: int) -> Any:
    return ct.vmap(functions[0], in_axes=in_axes, out_axes=out_axis)(*xs)


def _named_vmap(functions: Any, xs: Any, in_axes: Any, out_axis: int) -> Any:
    """Elements that know of each other: each result less the mean, and its neighbour's."""

    def centered(*args: Any) -> Any:
        place = lax.axis_index("others") - 1.0
        outs = functions[0](*args)
        return [x - lax.pmean(x, "others") + 0.1 * lax.psum(place * lax.sin(x), "others") for x in outs]

    return ct.vmap(centered, in_axes=in_axes, out_axes=out_axis, axis_name="others")(*xs)


def _grad(functions: Any, xs: Any) -> Any:
    return [ct.grad(lambda x: scalar_of(functions[0](x, *xs[1:])))(xs[0])]


def _value_and_grad(functions: Any, xs: Any) -> Any:
    value, gradient = ct.jit(ct.value_and_grad(lambda *args: scalar_of(functions[0](*args))))(*xs)
    return [value, gradient]


def _jvp(functions: Any, xs: Any) -> Any:
    outs, tangents = ct.jvp(functions[0], tuple(xs), tuple(lax.sin(x) for x in xs))
    return [o + 0.5 * t for o, t in zip(outs, tangents, strict=True)]


def _linearize(functions: Any, xs: Any) -> Any:
    outs, push = ct.linearize(functions[0], *xs)
    first, second = push(*xs), push(*(lax.cos(x) for x in xs))
    return [o + a * 0.3 + b * 0.2 for o, a, b in zip(outs, first, second, strict=True)]


def _vjp(functions: Any, xs: Any) -> Any:
    outs, pull = ct.vjp(functions[0], *xs)
    return list(pull([lax.cos(o) for o in outs]))


def _linear_transpose(functions: Any, xs: Any) -> Any:
    outs, push = ct.linearize(functions[0], *xs)
    return list(ct.linear_transpose(push, *xs)([lax.cos(o) for o in outs]))


def _jacobian(functions: Any, xs: Any, mode: str) -> Any:
    jacobian = {"forward": ct.jacfwd, "reverse": ct.jacrev}[mode](functions[0])(*xs)
    return [sum(cnp.sum(lax.sin(j), tuple(range(j.ndim - xs[0].ndim))) for j in jacobian)]


def _auxiliary(functions: Any, xs: Any) -> Any:
    def with_auxiliary(x: Any) -> Any:
        outs = functions[0](x, *xs[1:])
        return scalar_of(outs), cnp.tanh(x) + scalar_of(outs)

    (value, auxiliary), gradient = ct.value_and_grad(with_auxiliary, has_aux=True)(xs[0])
    return [value, gradient * auxiliary]


def _custom_jvp(functions: Any, xs: Any) -> Any:
    wrapped = ct.custom_jvp(lambda *args: functions[0](*args))
    wrapped.defjvp(lambda primals, tangents: ct.jvp(functions[0], primals, tangents))
    return wrapped(*xs)


def _custom_vjp(functions: Any, xs: Any) -> Any:
    wrapped = ct.custom_vjp(lambda *args: functions[0](*args))
    wrapped.defvjp(
        lambda *args: (functions[0](*args), args),
        lambda saved, cotangents: ct.vjp(functions[0], *saved)[1](cotangents),
    )
    return wrapped(*xs)


# --- plans ----------------------------------------------------------------------------------------


def _plan_call(builder: Any, **params: Any) -> Any:
    operands = builder.pick_some(1, 3, indices=True)
    body = builder.body(builder.types_of(operands))
    return builder.step(operands, body.result_types(), [body], params)


def _plan_floats(builder: Any, capture: bool = True) -> Any:
    operands = builder.pick_some(1, 2)
    body = builder.body(builder.types_of(operands), capture=capture, index_results=False)
    return builder.step(operands, body.result_types(), [body])


def _plan_same(builder: Any) -> Any:
    """The results are of the arguments' types."""
    operands = builder.pick_some(1, 2)
    types = builder.types_of(operands)
    body = builder.body(types, index_results=False)
    return builder.step(operands, types, [body])


def _plan_first(builder: Any) -> Any:
    operands = builder.pick_some(1, 2)
    types = builder.types_of(operands)
    return builder.step(operands, types[:1], [builder.body(types, index_results=False)])


def _plan_scalar_and_first(builder: Any) -> Any:
    step = _plan_first(builder)
    return builder.step(step.operands, [(), *step.types], step.bodies)


def _plan_branches(builder: Any, number: int, chooser: str, **params: Any) -> Any:
    choice = builder.pick(chooser)
    operands = builder.pick_some(1, 2, indices=True)
    types = builder.types_of(operands)
    results = [builder.random_shape() for _ in range(builder.random.randint(1, 2))]
    bodies = [builder.body(types, results=results) for _ in range(number)]
    return builder.step([choice, *operands], results, bodies, params)


def _plan_cond(builder: Any) -> Any:
    by = builder.random.choice(["float", "index"])
    return _plan_branches(builder, 2, "f" if by == "float" else "i", by=by)


def _plan_scan(builder: Any) -> Any:
    random = builder.random
    carry = builder.pick_some(1, 2)
    xs = builder.stacked_operands(LENGTH, random.randint(0, 2))
    carry_types = builder.types_of(carry)
    x_types = [t[1:] for t in builder.types_of(xs)]
    y_types = [builder.random_shape(1) for _ in range(random.randint(0, 2))]
    body = builder.body([INDEX, *carry_types, *x_types], results=[*carry_types, *y_types])
    params = {
        "num_carry": len(carry),
        "reverse": random.random() < 0.4,
        "unroll": random.choice([1, 1, 2, 3]),
        "weak": random.random() < 0.5,
    }
    return builder.step([*carry, *xs], [*carry_types, *((LENGTH, *t) for t in y_types), ()], [body], params)


def _plan_loop(builder: Any, with_limit: bool) -> Any:
    carry = builder.pick_some(1, 2)
    types = builder.types_of(carry)
    body = builder.body([INDEX, *types], results=types)
    limit = [builder.pick("i")] if with_limit else []
    return builder.step([*limit, *carry], types, [body])


def _plan_index_while(builder: Any) -> Any:
    return builder.step([builder.pick("f"), builder.pick("i")], [INDEX], [])


def _plan_map(builder: Any) -> Any:
    xs = builder.stacked_operands(LENGTH, builder.random.randint(1, 2))
    body = builder.body([t[1:] for t in builder.types_of(xs)], index_results=False)
    return builder.step(xs, [(LENGTH, *t) for t in body.result_types()], [body])


def _plan_vmap(builder: Any) -> Any:
    random = builder.random
    mapped = builder.stacked_operands(LENGTH, random.randint(1, 2))
    fixed = builder.pick_some(0, 1, indices=True)
    axes = tuple([0] * len(mapped) + [None] * len(fixed))
    inner = [t[1:] for t in builder.types_of(mapped)] + builder.types_of(fixed)
    body = builder.body(inner, index_results=False)
    out_axis = random.choice([0, -1])
    types = [(LENGTH, *t) if out_axis == 0 else (*t, LENGTH) for t in body.result_types()]
    return builder.step([*mapped, *fixed], types, [body], {"in_axes": axes, "out_axis": out_axis})


_forward, _reverse = frozenset(["forward"]), frozenset(["reverse"])

NESTS: dict[str, Nest] = {
    "jit": Nest(_plan_call, _call(ct.jit)),
    "jit_inline": Nest(_plan_call, _call(lambda f: ct.jit(f, inline=True))),
    "named_call": Nest(_plan_call, _call(lambda f: ct.named_call(f, name="inner"))),
    "checkpoint": Nest(lambda b: _plan_call(b, policy=b.random.choice(sorted(POLICIES))), _checkpoint),
    "cond": Nest(_plan_cond, _cond),
    "switch": Nest(lambda b: _plan_branches(b, 3, "i"), _switch),
    "scan": Nest(_plan_scan, _scan),
    "fori": Nest(lambda b: _plan_loop(b, False), _fori),
    "fori_traced": Nest(lambda b: _plan_loop(b, True), _fori_traced, spoils=_reverse),
    "while": Nest(lambda b: _plan_loop(b, True), _while, spoils=_reverse),
    "index_while": Nest(_plan_index_while, _index_while),
    "map": Nest(_plan_map, lambda functions, xs: lax.map(lambda x: functions[0](*x), tuple(xs))),
    "vmap": Nest(_plan_vmap, _vmap),
    "grad": Nest(_plan_first, _grad, needs=_reverse),
    "value_and_grad": Nest(_plan_scalar_and_first, _value_and_grad, needs=_reverse),
    "auxiliary": Nest(_plan_scalar_and_first, _auxiliary, needs=_reverse),
    "named_vmap": Nest(_plan_vmap, _named_vmap),
    "linear_transpose": Nest(_plan_same, _linear_transpose, needs=_forward | _reverse),
    "jacfwd": Nest(_plan_first, lambda functions, xs: _jacobian(functions, xs, "forward"), needs=_forward),
    "jacrev": Nest(_plan_first, lambda functions, xs: _jacobian(functions, xs, "reverse"), needs=_reverse),
    "jvp": Nest(_plan_floats, _jvp, needs=_forward),
    "linearize": Nest(_plan_floats, _linearize, needs=_forward),
    "vjp": Nest(_plan_same, _vjp, needs=_reverse),
    "custom_jvp": Nest(lambda b: _plan_floats(b, capture=False), _custom_jvp, needs=_forward),
    "custom_vjp": Nest(
        lambda b: _plan_floats(b, capture=False), _custom_vjp, needs=_reverse, spoils=_forward
    ),
}
