"""`while_loop` and `fori_loop`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...core import config, dtypes, pytree
from ...core.avals import get_aval
from ...core.effects import control_flow_allowed_effects, refuse_effects
from ...core.errors import api_boundary
from ...core.jaxpr import ClosedJaxpr, eval_jaxpr
from ...core.primitive import Primitive
from ...core.trace import is_concrete
from ...core.tracing import trace_to_jaxpr
from ...transforms.batching import batch_jaxpr
from ...transforms.calling import function_name
from ...transforms.jvp import jvp_jaxpr
from ...transforms.partial_evaluation import dce_jaxpr
from ...transforms.rules import bdim_at_front, instantiate_zeros, moveaxis
from ...transforms.zeros import Zero, tangents_by_flags
from ..arithmetic import add
from ..comparison import lt, select_n
from ..conversion import convert_element_type
from ..reductions import reduce_or
from ..shapes import broadcast_in_dim
from .common import (
    check_callable,
    flatten_operands,
    reorder,
    split_list,
    strengthen_outputs,
    trace_function,
    with_common_consts,
)
from .scan import check_carry, promote_weak, scan
from .scan_rules import fixpoint

__all__ = ["fori_loop", "while_loop", "while_p"]

while_p = Primitive("while", multiple_results=True)
while_p.call_primitive = True


@api_boundary
def while_loop(cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init_val: Any) -> Any:
    """Repeats a function while a condition holds.

    Args:
      cond_fun: from the state to a boolean scalar.
      body_fun: from the state to the next one, of the same structure, shapes and dtypes.
      init_val: the first state, a tree of arrays.

    Returns:
      The first state for which the condition does not hold.

    Raises:
      TypeError: the condition is no boolean scalar, or the state changes its type.
      ValueError: on reverse-mode differentiation, which needs a known number of steps.

    Example:
      >>> from canter import lax
      >>> int(lax.while_loop(lambda x: x < 100, lambda x: 2 * x, 1))
      128
    """
    check_callable("while_loop", cond_fun, body_fun)
    if config.config.disable_jit:
        return _python_loop(cond_fun, body_fun, init_val)
    leaves, tree, avals = flatten_operands("while_loop: init_val", init_val)
    in_tree = pytree.treedef_tuple((tree,))
    body, body_tree = trace_function(body_fun, in_tree, avals, "while_loop")
    if body_tree == tree:
        leaves, new_avals = promote_weak(leaves, avals, body.out_avals)
        if new_avals != avals:
            avals = new_avals
            body, body_tree = trace_function(body_fun, in_tree, avals, "while_loop")
    check_carry("while_loop", body_fun, tree, body_tree, avals, body.out_avals, "state")
    body = strengthen_outputs(body, avals)
    condition, condition_tree = trace_function(cond_fun, in_tree, avals, "while_loop")
    _check_condition(cond_fun, condition, condition_tree)
    (opened_condition,), condition_consts = with_common_consts([condition])
    (opened_body,), body_consts = with_common_consts([body])
    outs = while_p.bind(
        *condition_consts,
        *body_consts,
        *leaves,
        cond_nconsts=len(condition_consts),
        cond_jaxpr=opened_condition,
        body_nconsts=len(body_consts),
        body_jaxpr=opened_body,
    )
    return tree.unflatten(outs)


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


def _python_loop(cond_fun: Any, body_fun: Any, state: Any) -> Any:
    try:
        while cond_fun(state):
            state = body_fun(state)
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
      The last state. Where the bounds are known the loop is a `scan` and can be differentiated in
      reverse mode; else it is a `while_loop`.

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
    if is_concrete(lower) and is_concrete(upper):
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
    return body_jaxpr.out_avals, effects


def _bind(condition: Any, condition_consts: Any, body: Any, body_consts: Any, carry: Any) -> list[Any]:
    (opened_condition,), more_condition = with_common_consts([condition])
    (opened_body,), more_body = with_common_consts([body])
    return while_p.bind(
        *more_condition,
        *condition_consts,
        *more_body,
        *body_consts,
        *carry,
        cond_nconsts=len(more_condition) + len(condition_consts),
        cond_jaxpr=opened_condition,
        body_nconsts=len(more_body) + len(body_consts),
        body_jaxpr=opened_body,
    )


def _jvp(
    primals: Any, tangents: Any, *, cond_nconsts: int, cond_jaxpr: Any, body_nconsts: int, body_jaxpr: Any
) -> Any:
    nonzeros = [type(t) is not Zero for t in tangents]
    _, consts_nz, carry_nz = split_list(nonzeros, cond_nconsts, body_nconsts)
    carry_nz = fixpoint(carry_nz, lambda flags: jvp_jaxpr(body_jaxpr, [*consts_nz, *flags])[1])
    derived, _ = jvp_jaxpr(body_jaxpr, [*consts_nz, *carry_nz], carry_nz)
    condition_consts, consts, carry = split_list(primals, cond_nconsts, body_nconsts)
    _, const_dots, carry_dots = split_list(tangents, cond_nconsts, body_nconsts)
    const_dots = [t for t in const_dots if type(t) is not Zero]
    carry_dots = [instantiate_zeros(t) for t, nz in zip(carry_dots, carry_nz, strict=True) if nz]
    num_carry = len(carry)
    starts = [0, body_nconsts, body_nconsts + num_carry, body_nconsts + num_carry + len(const_dots)]
    ends = [*starts[1:], starts[3] + len(carry_dots)]
    order = [i for part in (0, 2, 1, 3) for i in range(starts[part], ends[part])]
    derived = reorder(derived, order, range(len(derived.jaxpr.outvars)))
    condition = _ignoring(cond_jaxpr, [get_aval(t) for t in carry_dots])
    outs = _bind(condition, condition_consts, derived, [*consts, *const_dots], [*carry, *carry_dots])
    return outs[:num_carry], tangents_by_flags(outs[:num_carry], carry_nz, outs[num_carry:])


def _ignoring(closed: ClosedJaxpr, avals: Any) -> ClosedJaxpr:
    """The program with more arguments, which it does not use."""
    from ...core.jaxpr import Var

    jaxpr = closed.jaxpr
    return ClosedJaxpr(jaxpr.replace(invars=[*jaxpr.invars, *(Var(a) for a in avals)]), closed.consts)


def _linearize(primals: Any, tangents: Any, **params: Any) -> Any:
    # The number of steps is unknown, so residuals cannot be stored: the tangents' loop runs the
    # primal one again beside itself.
    outs = while_p.bind(*primals, **params)
    _, out_tangents = _jvp(primals, tangents, **params)
    return outs, out_tangents


def _transpose(cotangents: Any, *args: Any, **params: Any) -> Any:
    raise ValueError(
        "Reverse-mode differentiation cannot go through while_loop, nor through fori_loop with bounds that are not "
        "known while tracing, because the number of steps is unknown. Use `scan` or `fori_loop` with known bounds, "
        "or forward mode (`jvp`, `jacfwd`)."
    )


def _batch(
    trace: Any,
    args: Any,
    dims: Any,
    *,
    cond_nconsts: int,
    cond_jaxpr: Any,
    body_nconsts: int,
    body_jaxpr: Any,
) -> Any:
    size, options = trace.size, {"name": trace.name, "spmd_name": trace.spmd_name}
    in_front = [None if d is None else 0 for d in dims]
    condition_dims, consts_dims, carry_dims = split_list(in_front, cond_nconsts, body_nconsts)
    place = lambda flags: [0 if flag else None for flag in flags]  # noqa: E731

    def out_flags(flags: list[bool]) -> list[bool]:
        _, found = batch_jaxpr(body_jaxpr, size, [*consts_dims, *place(flags)], **options)
        _, pred = batch_jaxpr(cond_jaxpr, size, [*condition_dims, *place(flags)], **options)
        # With a batched predicate some elements stop before others, so the whole state is batched.
        return [pred[0] is not None or d is not None for d in found]

    flags = fixpoint([d is not None for d in carry_dims], out_flags)
    carry_dims = place(flags)
    condition, pred_dims = batch_jaxpr(cond_jaxpr, size, [*condition_dims, *carry_dims], **options)
    body, _ = batch_jaxpr(body_jaxpr, size, [*consts_dims, *carry_dims], carry_dims, **options)
    pairs = list(zip(args, dims, strict=True))
    condition_args, const_args, carry_args = split_list(pairs, cond_nconsts, body_nconsts)
    condition_consts = [moveaxis(x, d, 0) for x, d in condition_args]
    consts = [moveaxis(x, d, 0) for x, d in const_args]
    carry = [bdim_at_front(x, d, size) if flag else x for (x, d), flag in zip(carry_args, flags, strict=True)]
    avals = [get_aval(x) for x in carry]
    if pred_dims[0] is not None:
        body, consts = (
            _keep_finished(condition, condition_consts, body, consts, avals),
            [*condition_consts, *consts],
        )
        condition = _any(condition)
    body = strengthen_outputs(body, avals)
    return _bind(condition, condition_consts, body, consts, carry), carry_dims


def _any(condition: ClosedJaxpr) -> ClosedJaxpr:
    """True while the condition holds for some element."""

    def some(*args: Any) -> list[Any]:
        (pred,) = eval_jaxpr(condition.jaxpr, condition.consts, *args)
        return [reduce_or(pred, (0,))]

    return trace_to_jaxpr(some, condition.in_avals, debug_info=condition.jaxpr.debug_info)


def _keep_finished(
    condition: ClosedJaxpr, condition_consts: Any, body: ClosedJaxpr, consts: Any, avals: Any
) -> Any:
    """The body that leaves the elements alone for which the condition no longer holds."""
    num_condition, num_consts = len(condition_consts), len(consts)

    def step(*args: Any) -> list[Any]:
        condition_args, const_args, carry = split_list(args, num_condition, num_consts)
        (pred,) = eval_jaxpr(condition.jaxpr, condition.consts, *condition_args, *carry)
        following = eval_jaxpr(body.jaxpr, body.consts, *const_args, *carry)
        return [_choose(pred, old, new) for old, new in zip(carry, following, strict=True)]

    in_avals = [*map(get_aval, condition_consts), *map(get_aval, consts), *avals]
    return trace_to_jaxpr(step, in_avals, debug_info=body.jaxpr.debug_info)


def _choose(pred: Any, old: Any, new: Any) -> Any:
    shape = get_aval(new).shape
    if len(shape) > 1:
        pred = broadcast_in_dim(pred, shape, (0,))
    return select_n(pred, old, new)


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
while_p.transpose_rule = _transpose
while_p.axis_batch_rule = _batch
while_p.dce_rule = _dce
