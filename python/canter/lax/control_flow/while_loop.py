"""`while_loop` and `fori_loop`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core import config, dtypes, pytree
from ...core.avals import ShapedArray, get_aval
from ...core.dimensions import is_symbolic_dim
from ...core.effects import control_flow_allowed_effects, refuse_effects, refuse_io
from ...core.errors import api_boundary
from ...core.explicit import refuse_sums
from ...core.jaxpr import ClosedJaxpr, Jaxpr, Var, eval_jaxpr, jaxprs_in_params
from ...core.primitive import Primitive
from ...core.trace import concrete_or_error, is_concrete
from ...core.tracing import trace_to_jaxpr
from ...transforms.batching import batch_jaxpr
from ...transforms.calling import function_name
from ...transforms.jvp import jvp_jaxpr
from ...transforms.linearize import linearize_jaxpr
from ...transforms.partial_evaluation import dce_jaxpr
from ...transforms.rules import bdim_at_front, instantiate_zeros, moveaxis
from ...transforms.zeros import Zero, tangents_by_flags
from ..arithmetic import add, bitwise_and
from ..comparison import lt
from ..conversion import convert_element_type
from .common import (
    check_callable,
    flatten_operands,
    reorder,
    split_list,
    strengthen_outputs,
    trace_function,
    with_common_consts,
)
from .scan import check_carry, scan, settle_state
from .scan_rules import fixpoint

__all__ = ["fori_loop", "while_loop", "while_p"]

while_p = Primitive("while", multiple_results=True)
while_p.call_primitive = True


@api_boundary
def while_loop(
    cond_fun: Callable[[Any], Any],
    body_fun: Callable[[Any], Any],
    init_val: Any,
    *,
    max_steps: int | None = None,
    checkpoints: int | None = None,
) -> Any:
    """Repeats a function while a condition holds.

    Args:
      cond_fun: from the state to a boolean scalar.
      body_fun: from the state to the next one, of the same structure, shapes and dtypes.
      init_val: the first state, a tree of arrays.
      max_steps: stop after so many steps even if the condition still holds; None sets no bound.
      checkpoints: how many states reverse mode keeps at a time. With c of them a step is repeated about
        log(steps) / log(c) times, but not at all if there are no more steps than that. None keeps as many as fit
        into 64 MiB, at least 16 and at most 64.

    Returns:
      The first state for which the condition does not hold.

    Raises:
      TypeError: the condition is no boolean scalar, or the state changes its type.
      ValueError: `max_steps` is negative, or `checkpoints` not positive.

    Both modes of differentiation go through the loop, as often as one likes. The memory of reverse mode does not grow
    with the number of steps, which need not be known.

    Example:
      >>> import canter as ct
      >>> from canter import lax
      >>> int(lax.while_loop(lambda x: x < 100, lambda x: 2 * x, 1))
      128
      >>> float(ct.grad(lambda x: lax.while_loop(lambda y: y < 100.0, lambda y: x * y, x))(3.0))
      405.0
    """
    check_callable("while_loop", cond_fun, body_fun)
    max_steps = _count("max_steps", max_steps, 0)
    checkpoints = _count("checkpoints", checkpoints, 1)
    if config.config.disable_jit:
        return _python_loop(cond_fun, body_fun, init_val, max_steps)
    leaves, tree, avals = flatten_operands("while_loop: init_val", init_val)
    in_tree = pytree.treedef_tuple((tree,))
    body, body_tree = trace_function(body_fun, in_tree, avals, "while_loop")
    if body_tree == tree:
        leaves, avals, (body, body_tree) = settle_state(
            leaves,
            avals,
            (body, body_tree),
            lambda avals: trace_function(body_fun, in_tree, avals, "while_loop"),
        )
    check_carry("while_loop", body_fun, tree, body_tree, avals, body.out_avals, "state")
    body = strengthen_outputs(body, avals)
    condition, condition_tree = trace_function(cond_fun, in_tree, avals, "while_loop")
    _check_condition(cond_fun, condition, condition_tree)
    params: dict[str, Any] = {}
    if max_steps is not None:
        condition, body = _with_counter(condition, body, max_steps)
        leaves = [*leaves, np.int32(0)]
        checkpoints = checkpoints or max(1, min(max_steps, number_of_slots(avals)))
    if checkpoints is not None:
        params["checkpoints"] = checkpoints
    outs = _bind(condition, [], body, [], leaves, params)
    return tree.unflatten(outs[: len(avals)])


# How many states reverse mode keeps where the user does not say it: as many as fit, within bounds.
_MEMORY, _FEWEST, _MOST = 64 << 20, 16, 64


def number_of_slots(avals: Sequence[Any]) -> int:
    """How many states of these types to keep for reverse mode."""
    size = sum(math.prod(a.shape) * getattr(a.dtype, "itemsize", 8) for a in avals)
    return max(_FEWEST, min(_MEMORY // max(size, 1), _MOST))


def _count(name: str, value: Any, least: int) -> int | None:
    if value is None:
        return None
    value = concrete_or_error(None, value, f"while_loop: {name} must be known while tracing.")
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"while_loop: {name} must be an int or None, got {value!r}.")
    if value.__index__() < least:
        raise ValueError(f"while_loop: {name} must be at least {least}, got {value}.")
    return value.__index__()


def _with_counter(
    condition: ClosedJaxpr, body: ClosedJaxpr, max_steps: int
) -> tuple[ClosedJaxpr, ClosedJaxpr]:
    """A loop that also ends after a number of steps, which it counts in the last part of its state."""

    def test(*state: Any) -> list[Any]:
        (holds,) = eval_jaxpr(condition.jaxpr, condition.consts, *state[:-1])
        return [bitwise_and(holds, lt(state[-1], np.int32(max_steps)))]

    def step(*state: Any) -> list[Any]:
        return [*eval_jaxpr(body.jaxpr, body.consts, *state[:-1]), add(state[-1], np.int32(1))]

    avals = [*body.in_avals, ShapedArray((), np.dtype(np.int32))]
    return (
        trace_to_jaxpr(test, avals, debug_info=condition.jaxpr.debug_info),
        trace_to_jaxpr(step, avals, debug_info=body.jaxpr.debug_info),
    )


def _check_condition(cond_fun: Any, condition: ClosedJaxpr, tree: Any) -> None:
    if not pytree.treedef_is_leaf(tree) or len(condition.out_avals) != 1:
        raise TypeError(
            f"while_loop: the condition {function_name(cond_fun)} must return a boolean scalar, but it returned {tree}."
        )
    aval = condition.out_avals[0]
    if aval.shape or aval.dtype != np.bool_:
        raise TypeError(
            f"while_loop: the condition {function_name(cond_fun)} must return a boolean scalar, but it returned "
            f"{aval.str_short()}. Compare (`x > 0`), and reduce with `.any()` or `.all()`."
        )


def _python_loop(cond_fun: Any, body_fun: Any, state: Any, max_steps: int | None) -> Any:
    steps = 0
    try:
        while (max_steps is None or steps < max_steps) and cond_fun(state):
            state = body_fun(state)
            steps += 1
    except Exception as error:
        error.add_note("The loop runs in Python because of disable_jit.")
        raise
    return state


@api_boundary
def fori_loop(
    lower: Any,
    upper: Any,
    body_fun: Callable[[Any, Any], Any],
    init_val: Any,
    *,
    unroll: int | bool | None = None,
) -> Any:
    """Repeats a function for each integer of a range.

    Args:
      lower: the first index, an integer scalar.
      upper: the index after the last one.
      body_fun: `body_fun(i, state)` gives the next state, of the same structure, shapes and dtypes.
      init_val: the first state, a tree of arrays.
      unroll: how many steps to put into one iteration of the compiled loop; allowed only where the
        bounds are known while tracing.

    Returns:
      The last state. Where the bounds are known the loop is a `scan`, else it is a `while_loop`.

    Raises:
      TypeError: bounds are no integer scalars of one dtype, or the state changes its type.
      ValueError: `unroll` is given with bounds that are not known.

    Example:
      >>> from canter import lax
      >>> int(lax.fori_loop(0, 5, lambda i, total: total + i, 0))
      10
    """
    check_callable("fori_loop", body_fun)
    lower_aval, upper_aval = get_aval(lower), get_aval(upper)
    for name, aval in (("lower", lower_aval), ("upper", upper_aval)):
        if aval.shape or aval.dtype.kind not in "iu":
            raise TypeError(f"fori_loop: {name} must be an integer scalar, but it is {aval.str_short()}.")
    dtype = lower_aval.dtype
    if lower_aval.dtype != upper_aval.dtype:
        if lower_aval.weak_type:
            dtype = upper_aval.dtype
        elif not upper_aval.weak_type:
            raise TypeError(
                f"fori_loop: lower and upper must have one dtype, got {lower_aval.dtype.name} and "
                f"{upper_aval.dtype.name}. Convert one of them."
            )
    if is_concrete(lower) and is_concrete(upper) and not (is_symbolic_dim(lower) or is_symbolic_dim(upper)):
        first, last = int(lower), int(upper)
        if config.config.disable_jit:
            for i in range(first, last):
                init_val = body_fun(i, init_val)
            return init_val
        return _counted_loop(first, last, dtype, body_fun, init_val, unroll)
    if unroll is not None:
        raise ValueError("fori_loop: unroll needs bounds that are known while tracing; leave it out.")
    stop = convert_element_type(upper, dtype)
    weak = lower_aval.weak_type and lower_aval.dtype == dtype
    start, one = (lower, 1) if weak else (convert_element_type(lower, dtype), np.ones((), dtype)[()])
    _, _, result = while_loop(
        lambda state: lt(state[0], state[1]),
        lambda state: (add(state[0], one), state[1], body_fun(state[0], state[2])),
        (start, stop, init_val),
    )
    return result


def _counted_loop(first: int, last: int, dtype: Any, body_fun: Any, init_val: Any, unroll: Any) -> Any:
    steps = max(last - first, 0)
    start: Any = np.asarray(first, dtype)[()]
    one: Any = np.ones((), dtype)[()]
    if dtype == dtypes.dtype(0):  # known bounds count as Python numbers: the index takes the dtype it meets
        start, one = first, 1

    def body(carry: Any, _: Any) -> Any:
        i, state = carry
        following = add(i, one)
        new = body_fun(i, state)
        _check_value(body_fun, state, new)
        return (following, new), None

    (_, result), _ = scan(body, (start, init_val), None, length=steps, unroll=1 if unroll is None else unroll)
    return result


def _check_value(body_fun: Any, old: Any, new: Any) -> None:
    """Raises TypeError, in terms of fori_loop, unless the value keeps its type; a weak type may give way."""
    _, old_tree, old_avals = flatten_operands("fori_loop: init_val", old)
    _, new_tree, new_avals = flatten_operands("fori_loop: the result of the body", new)
    expected = [
        a.update(dtype=b.dtype) if a.weak_type else a for a, b in zip(old_avals, new_avals, strict=False)
    ]
    check_carry("fori_loop", body_fun, old_tree, new_tree, expected, new_avals, "value")


# --- rules ----------------------------------------------------------------------------------------


def _abstract(*avals: Any, body_jaxpr: Any, cond_jaxpr: Any, **params: Any) -> Any:
    effects = body_jaxpr.effects | cond_jaxpr.effects
    refuse_effects(effects, control_flow_allowed_effects, "`while`")
    refuse_sums("while", (*avals, *body_jaxpr.out_avals))
    return body_jaxpr.out_avals, effects


def _bind(
    condition: Any, condition_consts: Any, body: Any, body_consts: Any, carry: Any, params: dict[str, Any]
) -> list[Any]:
    """Binds a loop derived from another, whose other parameters it has."""
    (opened_condition,), more_condition = with_common_consts([condition])
    (opened_body,), more_body = with_common_consts([body])
    own = {name: value for name, value in params.items() if not name.startswith(("cond_", "body_"))}
    return while_p.bind(
        *more_condition,
        *condition_consts,
        *more_body,
        *body_consts,
        *carry,
        **own,
        cond_nconsts=len(more_condition) + len(condition_consts),
        cond_jaxpr=opened_condition,
        body_nconsts=len(more_body) + len(body_consts),
        body_jaxpr=opened_body,
    )


def _jvp(
    primals: Any,
    tangents: Any,
    *,
    cond_nconsts: int,
    cond_jaxpr: Any,
    body_nconsts: int,
    body_jaxpr: Any,
    derive: Any = jvp_jaxpr,
    **params: Any,
) -> Any:
    nonzeros = [type(t) is not Zero for t in tangents]
    _, consts_nz, carry_nz = split_list(nonzeros, cond_nconsts, body_nconsts)
    carry_nz = fixpoint(carry_nz, lambda flags: derive(body_jaxpr, [*consts_nz, *flags])[1])
    derived, _ = derive(body_jaxpr, [*consts_nz, *carry_nz], carry_nz)
    condition_consts, consts, carry = split_list(primals, cond_nconsts, body_nconsts)
    _, const_dots, carry_dots = split_list(tangents, cond_nconsts, body_nconsts)
    const_dots = [t for t in const_dots if type(t) is not Zero]
    carry_dots = [instantiate_zeros(t) for t, nz in zip(carry_dots, carry_nz, strict=True) if nz]
    num_carry = len(carry)
    starts = [0, body_nconsts, body_nconsts + num_carry, body_nconsts + num_carry + len(const_dots)]
    ends = [*starts[1:], starts[3] + len(carry_dots)]
    order = [i for part in (0, 2, 1, 3) for i in range(starts[part], ends[part])]
    derived = reorder(derived, order, range(len(derived.jaxpr.outvars)))
    condition = _ignoring(cond_jaxpr, [get_aval(t) for t in carry_dots], len(cond_jaxpr.in_avals))
    outs = _bind(condition, condition_consts, derived, [*consts, *const_dots], [*carry, *carry_dots], params)
    return outs[:num_carry], tangents_by_flags(outs[:num_carry], carry_nz, outs[num_carry:])


def _ignoring(closed: ClosedJaxpr, avals: Any, place: int) -> ClosedJaxpr:
    """The program with more arguments at a place, which it does not use."""
    jaxpr = closed.jaxpr
    invars = [*jaxpr.invars[:place], *(Var(a) for a in avals), *jaxpr.invars[place:]]
    return ClosedJaxpr(jaxpr.replace(invars=invars), closed.consts)


def _linearize(primals: Any, tangents: Any, **params: Any) -> Any:
    """The tangents' loop runs the values' one again beside itself: how many there will be is unknown.

    Its body is a known part, which gives residuals, and then a linear one, so that it can be transposed.
    """
    outs = while_p.bind(*primals, **params)
    _, out_tangents = _jvp(primals, tangents, **params, derive=_known_then_linear)
    return outs, out_tangents


def _known_then_linear(closed: ClosedJaxpr, nonzeros: Any, instantiate: Any = False) -> Any:
    """Like `jvp_jaxpr`; no equation of the result gives both values and tangents."""
    parts = linearize_jaxpr(closed, nonzeros, instantiate)
    key = ("known then linear", tuple(nonzeros), bool(instantiate) and tuple(instantiate))
    known = closed.memo.get(key)
    if known is None:
        num_args, num_outs = len(closed.in_avals), len(closed.out_avals)

        def program(*operands: Any) -> list[Any]:
            args, dots = operands[:num_args], operands[num_args:]
            results = eval_jaxpr(parts.known.jaxpr, parts.known.consts, *args)
            residuals = parts.residuals(args, results)
            linear = parts.linear
            return [*results[:num_outs], *eval_jaxpr(linear.jaxpr, linear.consts, *residuals, *dots)]

        dot_avals = [
            a.to_tangent_aval() for a, nonzero in zip(closed.in_avals, nonzeros, strict=True) if nonzero
        ]
        known = trace_to_jaxpr(program, [*closed.in_avals, *dot_avals], debug_info=closed.jaxpr.debug_info)
        closed.memo[key] = known
    return known, parts.out_nonzeros


def _batch(trace: Any, args: Any, dims: Any, **params: Any) -> Any:
    loop = batched_loop(trace, args, dims, **params)
    outs = _bind(loop.condition, loop.condition_consts, loop.body, loop.consts, loop.carry, params)
    return outs[len(loop.carry) - len(loop.carry_dims) :], loop.carry_dims


class BatchedLoop(NamedTuple):
    """A loop with a batch axis.

    Attributes:
      condition, condition_consts: the condition, one boolean or one for each lane.
      body, consts: the body.
      carry: the state, batch axes in front; parts that the batch has added stand before the others.
      carry_dims: batch axes of the parts that were there before.
    """

    condition: ClosedJaxpr
    condition_consts: list[Any]
    body: ClosedJaxpr
    consts: list[Any]
    carry: list[Any]
    carry_dims: list[int | None]


def batched_loop(
    trace: Any,
    args: Any,
    dims: Any,
    *,
    cond_nconsts: int,
    cond_jaxpr: Any,
    body_nconsts: int,
    body_jaxpr: Any,
    checkpoints: Any = None,
) -> BatchedLoop:
    """Adds a batch axis to a loop.

    Where some elements stop before others the condition gives one boolean for each of them, they are *lanes*,
    and all of the state has the axis. So have constants with a batch axis: they become parts of the state that
    no step changes, for which lanes that have finished can take those of others.
    """
    size, options = trace.size, {"name": trace.name, "spmd_name": trace.spmd_name}
    condition_dims, consts_dims, carry_dims = split_list(dims, cond_nconsts, body_nconsts)
    condition_consts, consts, carry = split_list(args, cond_nconsts, body_nconsts)
    has_lanes = bool(cond_jaxpr.out_avals[0].shape)
    place = lambda flags: [0 if flag else None for flag in flags]  # noqa: E731

    def out_flags(flags: list[bool]) -> list[bool]:
        _, found = batch_jaxpr(body_jaxpr, size, [*consts_dims, *place(flags)], **options)
        _, pred = batch_jaxpr(cond_jaxpr, size, [*condition_dims, *place(flags)], **options)
        return [has_lanes or pred[0] is not None or d is not None for d in found]

    flags = fixpoint([d is not None for d in carry_dims], out_flags)
    new_dims = place(flags)
    _, (pred_dim,) = batch_jaxpr(cond_jaxpr, size, [*condition_dims, *new_dims], **options)
    makes_lanes = has_lanes or pred_dim is not None
    if makes_lanes:
        refuse_io(body_jaxpr.effects | cond_jaxpr.effects, "vmap-of-while")
    condition, _ = batch_jaxpr(cond_jaxpr, size, [*condition_dims, *new_dims], makes_lanes or None, **options)
    moved = [i for i, d in enumerate(consts_dims) if d is not None and makes_lanes and not has_lanes]
    in_dims = [0 if i in moved else d for i, d in enumerate(consts_dims)]
    body, _ = batch_jaxpr(body_jaxpr, size, [*in_dims, *new_dims], new_dims, **options)
    carry = [bdim_at_front(x, d, size) if f else x for x, d, f in zip(carry, carry_dims, flags, strict=True)]
    body = strengthen_outputs(body, [get_aval(x) for x in carry])
    if moved:
        added = [moveaxis(consts[i], consts_dims[i], 0) for i in moved]
        carry = [*added, *carry]
        consts = [x for i, x in enumerate(consts) if i not in moved]
        body = _consts_in_carry(body, moved, body_nconsts)
        condition = _ignoring(condition, [get_aval(x) for x in added], cond_nconsts)
    if makes_lanes and _may_not_end(body.jaxpr):
        body, consts = _lending(condition, condition_consts, body, consts), [*condition_consts, *consts]
    return BatchedLoop(condition, condition_consts, body, consts, carry, new_dims)


def _consts_in_carry(closed: ClosedJaxpr, moved: list[int], num_consts: int) -> ClosedJaxpr:
    """Makes constants of a loop's body parts of its state."""
    jaxpr = closed.jaxpr
    added = [jaxpr.invars[i] for i in moved]
    kept = [v for i, v in enumerate(jaxpr.invars[:num_consts]) if i not in moved]
    invars = [*kept, *added, *jaxpr.invars[num_consts:]]
    return ClosedJaxpr(jaxpr.replace(invars=invars, outvars=[*added, *jaxpr.outvars]), closed.consts)


def _may_not_end(jaxpr: Jaxpr) -> bool:
    """True when a program has a loop in it that could run forever."""
    return any(
        eqn.primitive is while_p or any(map(_may_not_end, jaxprs_in_params(eqn.params))) for eqn in jaxpr.eqns
    )


def _lending(condition: ClosedJaxpr, condition_consts: Any, body: ClosedJaxpr, consts: Any) -> ClosedJaxpr:
    """The body, computing for lanes that have finished the same as for one that has not."""
    from .lanes import borrow

    num_condition, num_consts = len(condition_consts), len(consts)

    def step(*args: Any) -> list[Any]:
        condition_args, const_args, carry = split_list(args, num_condition, num_consts)
        (active,) = eval_jaxpr(condition.jaxpr, condition.consts, *condition_args, *carry)
        new = eval_jaxpr(body.jaxpr, body.consts, *const_args, *borrow(active, carry))
        same = zip(body.jaxpr.invars[num_consts:], body.jaxpr.outvars, strict=True)
        return [x if a is b else y for x, y, (a, b) in zip(carry, new, same, strict=True)]

    carry_avals = body.in_avals[num_consts:]
    in_avals = [*map(get_aval, condition_consts), *body.in_avals[:num_consts], *carry_avals]
    return trace_to_jaxpr(step, in_avals, debug_info=body.jaxpr.debug_info)


def _dce(used: Any, eqn: Any) -> Any:
    """Drops the parts of the state that neither the condition nor a wanted result depends on."""
    if not any(used) and not eqn.effects:
        return [False] * len(eqn.invars), None
    params = eqn.params
    condition, body = params["cond_jaxpr"], params["body_jaxpr"]
    num_condition, num_consts = params["cond_nconsts"], params["body_nconsts"]
    condition_used = dce_jaxpr(condition.jaxpr, [True])[1][num_condition:]
    start = [a or b for a, b in zip(used, condition_used, strict=True)]
    kept = fixpoint(start, lambda flags: dce_jaxpr(body.jaxpr, flags)[1][num_consts:])
    if all(kept):
        return [True] * len(eqn.invars), eqn
    shorter, body_used = dce_jaxpr(body.jaxpr, kept, [False] * num_consts + kept)
    test, _ = dce_jaxpr(condition.jaxpr, [True], [True] * num_condition + kept)
    used_inputs = [*[True] * num_condition, *body_used[:num_consts], *kept]
    return used_inputs, eqn.replace(
        invars=[v for v, u in zip(eqn.invars, used_inputs, strict=True) if u],
        outvars=[v for v, u in zip(eqn.outvars, kept, strict=True) if u],
        params={
            **params,
            "cond_jaxpr": ClosedJaxpr(test, condition.consts),
            "body_jaxpr": ClosedJaxpr(shorter, body.consts),
            "body_nconsts": sum(body_used[:num_consts]),
        },
    )


while_p.def_effectful_abstract_eval(_abstract)
while_p.jvp_rule = _jvp
while_p.linearize_rule = _linearize
while_p.axis_batch_rule = _batch
while_p.dce_rule = _dce
