"""`cond` and `switch`: one of several functions, chosen by a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...core import config, pytree
from ...core.avals import get_aval
from ...core.effects import control_flow_allowed_effects, refuse_effects, refuse_io
from ...core.errors import api_boundary
from ...core.jaxpr import ClosedJaxpr, Var, eval_jaxpr
from ...core.primitive import Primitive
from ...core.trace import Tracer
from ...core.tracing import trace_to_jaxpr
from ...transforms.batching import batch_jaxpr
from ...transforms.jvp import jvp_jaxpr
from ...transforms.linearize import LinearizedJaxpr, linearize_jaxpr
from ...transforms.partial_evaluation import dce_jaxpr
from ...transforms.rules import bdim_at_front, zeros_like_aval
from ...transforms.transpose import transpose_jaxpr
from ...transforms.zeros import Zero, is_undefined_primal, tangents_by_flags
from ..comparison import clamp, ne, select_n
from ..conversion import convert_element_type
from ..manual import vary
from ..shapes import broadcast_in_dim
from .common import (
    check_callable,
    describe_mismatch,
    describe_structures,
    flatten_operands,
    joined_aval,
    scalar_predicate,
    strengthen_outputs,
    trace_function,
    with_common_consts,
)

__all__ = ["cond", "cond_p", "switch"]

cond_p = Primitive("cond", multiple_results=True)
cond_p.call_primitive = True


@api_boundary
def cond(
    pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any, **kwargs: Any
) -> Any:
    """Applies one of two functions, chosen by a scalar.

    Args:
      pred: a boolean or number, scalar; numbers other than zero count as true.
      true_fun: applied to the operands where `pred` is true.
      false_fun: applied where it is false; must give the same structure, shapes and dtypes.
      *operands: trees of arrays.
      **kwargs: `operand=` passes one operand by name; `linear=` says which operands are linear, as a
        tree of booleans or None, and changes nothing.

    An older form is understood as well: `cond(pred, true_operand, true_fun, false_operand, false_fun)`.

    Returns:
      The result of the function that was chosen. Only that one runs, except under `vmap` with a
      batched `pred`, where both run and the results are selected.

    Raises:
      TypeError: the predicate is no scalar, or the functions' results differ in type.

    Example:
      >>> from canter import lax
      >>> float(lax.cond(True, lambda x: x + 1.0, lambda x: x - 1.0, 3.0))
      4.0
    """
    if len(operands) == 2 and not callable(true_fun) and callable(false_fun) and callable(operands[1]):
        true_operand, on_true, false_operand, on_false = true_fun, false_fun, *operands
        return cond(
            pred, lambda a, b: on_true(a), lambda a, b: on_false(b), true_operand, false_operand, **kwargs
        )
    if "operand" in kwargs:
        if operands:
            raise TypeError("cond: give operands by position or by `operand=`, not both.")
        operands = (kwargs.pop("operand"),)
    linear = kwargs.pop("linear", None)
    if not all(type(flag) is bool for flag in pytree.tree_leaves(linear)):
        raise TypeError(f"cond: linear takes None or a tree of booleans, got {linear!r}.")
    if kwargs:
        raise TypeError(f"cond got unexpected keyword arguments: {', '.join(kwargs)}.")
    check_callable("cond", true_fun, false_fun)
    scalar_predicate("cond", pred)
    if config.config.disable_jit and not isinstance(pred, Tracer):
        return (true_fun if pred else false_fun)(*operands)
    dtype = get_aval(pred).dtype
    if dtype != np.bool_:
        pred = ne(pred, np.zeros((), dtype)[()])
    index = convert_element_type(pred, np.dtype(np.int32))
    return select_branch(
        "cond", index, (true_fun, false_fun), operands, ("true_fun", "false_fun"), backwards=True
    )


@api_boundary
def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any, operand: Any = None) -> Any:
    """Applies one of several functions, chosen by an index.

    Args:
      index: an integer scalar; clamped to the range of the branches.
      branches: the functions; all must give the same structure, shapes and dtypes.
      *operands: trees of arrays.
      operand: one operand by name, instead of by position.

    Returns:
      The result of the branch that was chosen.

    Raises:
      TypeError: the index is no integer scalar, or the branches' results differ in type.
      ValueError: there are no branches.

    Example:
      >>> from canter import lax
      >>> float(lax.switch(2, [lambda x: x, lambda x: -x, lambda x: 2.0 * x], 3.0))
      6.0
    """
    if operand is not None:
        if operands:
            raise TypeError("switch: give operands by position or by `operand=`, not both.")
        operands = (operand,)
    branches = tuple(branches)
    check_callable("switch", *branches)
    if not branches:
        raise ValueError("switch needs at least one branch.")
    aval = get_aval(index)
    if aval.shape or aval.dtype.kind not in "iu":
        raise TypeError(
            f"switch: the index must be an integer scalar, but it is {aval.str_short()}. "
            "Convert it with `.astype(int)`, or use `cond` for booleans."
        )
    if len(branches) == 1:
        return branches[0](*operands)
    if config.config.disable_jit and not isinstance(index, Tracer):
        return branches[min(max(int(index), 0), len(branches) - 1)](*operands)
    index = clamp(np.int32(0), convert_element_type(index, np.dtype(np.int32)), np.int32(len(branches) - 1))
    labels = tuple(f"branches[{i}]" for i in range(len(branches)))
    return select_branch("switch", index, branches, operands, labels)


def select_branch(
    where: str,
    index: Any,
    functions: Any,
    operands: Any,
    labels: Sequence[str],
    backwards: bool = False,
    **params: Any,
) -> Any:
    """Binds `cond`; the branches are traced in the order in which they are written, which index 0 may end."""
    leaves, in_tree, avals = flatten_operands(where, operands)
    varying = get_aval(index).vma  # where devices take different branches, operands and results differ
    if varying:
        leaves = [vary(leaf, tuple(varying)) for leaf in leaves]
        avals = [get_aval(leaf) for leaf in leaves]
    traced = [trace_function(fun, in_tree, avals, where) for fun in functions]
    programs = [program for program, _ in traced]
    if varying:
        programs = [_with_varying_constants(program, tuple(varying)) for program in programs]
    out_tree = traced[0][1]
    # The branch that is written first is the one to which the others are compared.
    for label, (program, tree) in zip(labels, traced, strict=True):
        _check_branches(where, labels[0], label, programs[0], out_tree, program, tree)
    targets = [joined_aval(avals) for avals in zip(*(p.out_avals for p in programs), strict=True)]
    targets = [t.update(vma=t.vma | varying) if varying else t for t in targets]
    programs = [strengthen_outputs(program, targets) for program in programs]
    branches, consts = with_common_consts(programs)
    ordered = tuple(branches[::-1] if backwards else branches)
    outs = cond_p.bind(index, *consts, *leaves, branches=ordered, **params)
    return out_tree.unflatten(outs)


def _with_varying_constants(program: ClosedJaxpr, axes: tuple[Any, ...]) -> ClosedJaxpr:
    """A branch that not all devices take, with what it captured cast to varying outside of it.

    The transpose of the cast is a sum over devices: inside the branch, the others would be missing.
    """
    consts = [vary(const, axes) for const in program.consts]
    if all(new is old for new, old in zip(consts, program.consts, strict=True)):
        return program
    count = len(consts)
    avals = [*map(get_aval, consts), *program.in_avals]
    traced = trace_to_jaxpr(
        lambda *xs: eval_jaxpr(program.jaxpr, xs[:count], *xs[count:]),
        avals,
        debug_info=program.jaxpr.debug_info,
    )
    jaxpr = traced.jaxpr
    variables = [*jaxpr.invars[:count], *jaxpr.constvars]
    opened = jaxpr.replace(constvars=variables, invars=jaxpr.invars[count:])
    return ClosedJaxpr(opened, [*consts, *traced.consts])


def _check_branches(where: str, first: str, second: str, a: Any, a_tree: Any, b: Any, b_tree: Any) -> None:
    if a_tree != b_tree:
        lines = describe_structures(a_tree, b_tree, a.out_avals, b.out_avals, "result")
        raise TypeError(
            f"{where} branch outputs must have the same pytree structure, but {first} returns {a_tree!s:.300} and "
            f"{second} returns {b_tree!s:.300}."
            + "".join([f"\nThey differ ({first}, and {second}):\n", *"\n".join(lines[:8])] if lines else [])
            + "\nMake both return the same tree of arrays."
        )
    lines = describe_mismatch(a.out_avals, b.out_avals, a_tree, "result")
    if lines:
        raise TypeError(
            f"{where} branches must have equal output types but they differ ({first}, and {second}):\n"
            + "\n".join(lines[:8])
            + "\nConvert one of them, for example with `.astype(...)` or `numpy.broadcast_to`; where only the split "
            "over mesh axes differs (`8@x`), with `canter.reshard`."
        )


# --- rules ----------------------------------------------------------------------------------------


def _abstract(index: Any, *avals: Any, branches: Any, **params: Any) -> Any:
    effects = branches[0].effects
    for branch in branches[1:]:
        effects = effects | branch.effects
    refuse_effects(effects, control_flow_allowed_effects, "`cond`")
    if not any(a.vma for branch in branches for a in branch.out_avals):
        return branches[0].out_avals, effects
    return [joined_aval(avals) for avals in zip(*(b.out_avals for b in branches), strict=True)], effects


def _jvp(primals: Any, tangents: Any, *, branches: Any, **params: Any) -> Any:
    nonzeros = [type(t) is not Zero for t in tangents[1:]]
    out_nonzeros = _union([jvp_jaxpr(b, nonzeros)[1] for b in branches])
    derived = [jvp_jaxpr(b, nonzeros, out_nonzeros)[0] for b in branches]
    derived, consts = with_common_consts(derived)
    given = [t for t in tangents[1:] if type(t) is not Zero]
    results = cond_p.bind(primals[0], *consts, *primals[1:], *given, branches=tuple(derived), **params)
    outs = results[: len(out_nonzeros)]
    return outs, tangents_by_flags(outs, out_nonzeros, results[len(out_nonzeros) :])


def _union(flags: Sequence[Sequence[bool]]) -> list[bool]:
    return [any(column) for column in zip(*flags, strict=True)]


def _linearize(primals: Any, tangents: Any, *, branches: Any, **params: Any) -> Any:
    nonzeros = [type(t) is not Zero for t in tangents[1:]]
    out_nonzeros = _union([linearize_jaxpr(b, nonzeros).out_nonzeros for b in branches])
    parts = [linearize_jaxpr(b, nonzeros, out_nonzeros) for b in branches]
    num_outs = len(out_nonzeros)
    slots, places = _shared_slots(parts, num_outs)
    known = [_fill_slots(p, place, slots, num_outs) for p, place in zip(parts, places, strict=True)]
    known, consts = with_common_consts(known)
    results = cond_p.bind(primals[0], *consts, *primals[1:], branches=tuple(known), **params)
    outs = results[:num_outs]
    if not any(out_nonzeros):
        return outs, tangents_by_flags(outs, out_nonzeros, [])
    sources = sorted({s for p in parts for s in p.residual_sources if s[0] != "new"})
    shared = [primals[1 + i] if kind == "in" else outs[i] for kind, i in sources]
    linear = [
        _common_linear(p, place, sources, shared, slots) for p, place in zip(parts, places, strict=True)
    ]
    given = [t for t in tangents[1:] if type(t) is not Zero]
    residuals = [*shared, *results[num_outs:]]
    found = cond_p.bind(primals[0], *residuals, *given, branches=tuple(linear), **params)
    return outs, tangents_by_flags(outs, out_nonzeros, found)


def _shared_slots(parts: Sequence[LinearizedJaxpr], num_outs: int) -> tuple[list[Any], list[list[int]]]:
    """Slots for the branches' residuals: those of equal type share one, since only one branch runs."""
    slots: list[Any] = []
    places = []
    for part in parts:
        free = list(range(len(slots)))
        place = []
        for aval in part.known.out_avals[num_outs:]:
            found = next((i for i in free if slots[i] == aval), None)
            if found is None:
                found = len(slots)
                slots.append(aval)
            else:
                free.remove(found)
            place.append(found)
        places.append(place)
    return slots, places


def _fill_slots(
    part: LinearizedJaxpr, place: Sequence[int], slots: Sequence[Any], num_outs: int
) -> ClosedJaxpr:
    """The known part of a branch, with zeros in the slots that it does not use."""
    key = ("slots", tuple(place), tuple(slots))
    known = part.known.memo.get(key)
    if known is None:

        def filled(*args: Any) -> list[Any]:
            results = eval_jaxpr(part.known.jaxpr, part.known.consts, *args)
            residuals = dict(zip(place, results[num_outs:], strict=True))
            return [
                *results[:num_outs],
                *(residuals[i] if i in residuals else zeros_like_aval(aval) for i, aval in enumerate(slots)),
            ]

        known = trace_to_jaxpr(filled, part.known.in_avals, debug_info=part.known.jaxpr.debug_info)
        part.known.memo[key] = known
    return known


def _common_linear(part: LinearizedJaxpr, place: Any, sources: Any, shared: Any, slots: Any) -> ClosedJaxpr:
    """The linear part of a branch as a function of all branches' residuals."""
    jaxpr = part.linear.jaxpr
    num_residuals = len(part.residual_sources)
    own = dict(zip(part.residual_sources, jaxpr.invars[:num_residuals], strict=True))
    by_slot = {slot: own.get(("new", i)) for i, slot in enumerate(place)}
    leading = [own.get(source) or Var(get_aval(x)) for source, x in zip(sources, shared, strict=True)]
    slot_vars = [by_slot.get(i) or Var(aval) for i, aval in enumerate(slots)]
    return ClosedJaxpr(jaxpr.replace(invars=[*leading, *slot_vars, *jaxpr.invars[num_residuals:]]), [])


def _transpose(cotangents: Any, index: Any, *args: Any, branches: Any, **params: Any) -> Any:
    linear = [is_undefined_primal(a) for a in args]
    nonzero_cotangents = [type(ct) is not Zero for ct in cotangents]
    transposed = [transpose_jaxpr(b, linear, nonzero_cotangents, instantiate=True)[0] for b in branches]
    transposed = _equal_outputs(transposed)
    transposed, consts = with_common_consts(transposed)
    known = [a for a, is_linear in zip(args, linear, strict=True) if not is_linear]
    given = [ct for ct in cotangents if type(ct) is not Zero]
    results = iter(cond_p.bind(index, *consts, *known, *given, branches=tuple(transposed), **params))
    return [None, *(next(results) if is_linear else None for is_linear in linear)]


def _equal_outputs(programs: Sequence[ClosedJaxpr]) -> list[ClosedJaxpr]:
    targets = [joined_aval(avals) for avals in zip(*(p.out_avals for p in programs), strict=True)]
    return [strengthen_outputs(p, targets) for p in programs]


def _batch(trace: Any, args: Any, dims: Any, *, branches: Any, **params: Any) -> Any:
    index, operands = args[0], args[1:]
    size, options = trace.size, {"name": trace.name, "spmd_name": trace.spmd_name}
    if dims[0] is not None:
        return _batch_by_selection(trace, index, dims[0], operands, dims[1:], branches, options)
    places = [batch_jaxpr(b, size, dims[1:], **options)[1] for b in branches]
    out_dims = [0 if any(d is not None for d in column) else None for column in zip(*places, strict=True)]
    batched = [batch_jaxpr(b, size, dims[1:], out_dims, **options)[0] for b in branches]
    batched, consts = with_common_consts(_equal_outputs(batched))
    return cond_p.bind(index, *consts, *operands, branches=tuple(batched), **params), out_dims


def _batch_by_selection(
    trace: Any, index: Any, index_dim: int, operands: Any, dims: Any, branches: Any, options: Any
) -> Any:
    index = bdim_at_front(index, index_dim, trace.size)
    results = []
    for branch in branches:
        refuse_io(branch.effects, "vmap-of-cond")
        batched, _ = batch_jaxpr(branch, trace.size, dims, True, **options)
        results.append(eval_jaxpr(batched.jaxpr, batched.consts, *operands))
    which = convert_element_type(index, np.dtype(np.bool_)) if len(branches) == 2 else index
    outs = [_select(which, cases) for cases in zip(*results, strict=True)]
    return outs, [0] * len(outs)


def _select(which: Any, cases: Sequence[Any]) -> Any:
    shape = get_aval(cases[0]).shape
    if len(shape) > 1:
        which = broadcast_in_dim(which, shape, (0,))
    return select_n(which, *cases)


def _dce(used: Any, eqn: Any) -> Any:
    if not any(used) and not eqn.effects:
        return [False] * len(eqn.invars), None
    branches = eqn.params["branches"]
    used_inputs = _union([dce_jaxpr(b.jaxpr, used)[1] for b in branches])
    shorter = tuple(ClosedJaxpr(dce_jaxpr(b.jaxpr, used, used_inputs)[0], b.consts) for b in branches)
    kept = [True, *used_inputs]
    return kept, eqn.replace(
        invars=[v for v, keep in zip(eqn.invars, kept, strict=True) if keep],
        outvars=[v for v, keep in zip(eqn.outvars, used, strict=True) if keep],
        params={**eqn.params, "branches": shorter},
    )


cond_p.def_effectful_abstract_eval(_abstract)
cond_p.jvp_rule = _jvp
cond_p.linearize_rule = _linearize
cond_p.transpose_rule = _transpose
cond_p.axis_batch_rule = _batch
cond_p.dce_rule = _dce
