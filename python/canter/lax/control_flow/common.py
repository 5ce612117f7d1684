"""What the control-flow operations have in common: tracing the user's functions, and comparing types."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...core import config, pytree, source
from ...core.avals import ShapedArray, get_aval, typematch
from ...core.jaxpr import ClosedJaxpr, Jaxpr, Var, eval_jaxpr
from ...core.pytree_errors import mismatches
from ...core.trace import Tracer, references, state
from ...core.tracing import argument_aval, pvary_p, trace_to_jaxpr
from ...transforms.calling import FlatFunction, debug_info, function_name
from ...transforms.partial_evaluation import close_over_nothing

__all__ = [
    "check_callable",
    "check_like",
    "describe_mismatch",
    "describe_structures",
    "flatten_operands",
    "split_list",
    "strengthen_outputs",
    "trace_function",
    "with_common_consts",
    "with_weak_outputs",
]

_traced: weakref.WeakKeyDictionary[Any, dict[Any, Any]] = weakref.WeakKeyDictionary()


def check_callable(where: str, *functions: Any) -> None:
    """Raises TypeError unless all are functions."""
    for fun in functions:
        if not callable(fun):
            raise TypeError(
                f"{where} takes functions, but got a value of type {type(fun).__name__}: {fun!r:.60}."
            )


def flatten_operands(where: str, tree: Any) -> tuple[list[Any], Any, list[Any]]:
    """Leaves, structure, and avals of operands; a leaf that is no array is named by its path."""
    leaves, treedef = pytree.tree_flatten(tree)
    avals = []
    for i, leaf in enumerate(leaves):
        try:
            avals.append(argument_aval(leaf) if references.in_use else get_aval(leaf))
        except TypeError:
            path = pytree.keystr(pytree.tree_leaves_with_path(tree)[i][0])
            raise TypeError(
                f"{where}: the operand at {path or 'the root'} is a value of type {type(leaf).__name__}, which is not "
                "a valid array type. Pass arrays and numbers; bind other values with functools.partial or a closure."
            ) from None
    return leaves, treedef, avals


def trace_function(
    fun: Callable[..., Any], in_tree: Any, avals: Sequence[Any], where: str
) -> tuple[ClosedJaxpr, Any]:
    """Traces a function of trees; the result is kept as long as the function lives.

    Args:
      fun: the function.
      in_tree: structure of its positional arguments, a tuple.
      avals: of the leaves.
      where: the operation, for messages.

    Returns:
      The jaxpr, and the structure of the result.
    """
    axes = state.axes
    # Equations of the framework's own functions are at the line that passes them: one trace for each line.
    own = str(getattr(fun, "__module__", "")).startswith("canter.")
    line = source.user_frame() if own else None
    key = (in_tree, tuple(avals), config.trace_context(), tuple(axes.items()) if axes else None, line)
    try:
        memo = _traced.setdefault(fun, {})
    except TypeError:  # no weak references, or no hash
        memo = {}
    known = memo.get(key)
    if known is None:
        flat = FlatFunction(fun, in_tree)

        def checked(*args: Any) -> list[Any]:
            outs = flat(*args)
            for i, out in enumerate(outs):
                _check_result(fun, where, flat.out_tree, i, out)
            return outs

        closed = trace_to_jaxpr(checked, avals, debug_info=debug_info(fun, where))
        known = closed, flat.out_tree
        if not any(isinstance(c, Tracer) for c in closed.consts):
            memo[key] = known
    return known


def _check_result(fun: Any, where: str, tree: Any, index: int, value: Any) -> None:
    try:
        get_aval(value)
    except TypeError:
        path, _ = pytree.tree_leaves_with_path(tree.unflatten(range(tree.num_leaves)))[index]
        raise TypeError(
            f"{where}: {function_name(fun)} returned a value of type {type(value).__name__} at "
            f"result{pytree.keystr(path)}: {value!r:.60}. Return arrays and numbers only."
        ) from None


def with_common_consts(programs: Sequence[ClosedJaxpr]) -> tuple[list[ClosedJaxpr], list[Any]]:
    """Gives several programs the same leading arguments in place of their constants.

    Returns:
      The programs without constants, and the values of the common leading arguments.
    """
    if not any(program.consts for program in programs):
        return list(programs), []
    if len(programs) == 1:
        opened, consts = close_over_nothing(programs[0])
        return [opened], list(consts)
    order: dict[int, Any] = {}
    for program in programs:
        for const in program.consts:
            order.setdefault(id(const), const)
    result = []
    for program in programs:
        own = dict(zip(map(id, program.consts), program.jaxpr.constvars, strict=True))
        leading = [own.get(key) or Var(argument_aval(const)) for key, const in order.items()]
        jaxpr = program.jaxpr
        result.append(ClosedJaxpr(jaxpr.replace(constvars=[], invars=[*leading, *jaxpr.invars]), []))
    return result, list(order.values())


def strengthen_outputs(closed: ClosedJaxpr, targets: Sequence[Any]) -> ClosedJaxpr:
    """Converts the results that are weakly typed, or vary along fewer manual axes, where the target is not."""
    from ..conversion import _convert_element_type

    pairs = list(zip(closed.out_avals, targets, strict=True))
    if all(out.weak_type == target.weak_type and target.vma <= out.vma for out, target in pairs):
        return closed

    def fitted(x: Any, target: Any) -> Any:
        aval = get_aval(x)
        if aval.weak_type != target.weak_type:
            x = _convert_element_type(x, target.dtype, target.weak_type)
        missing = target.vma - aval.vma
        return pvary_p.bind(x, axes=tuple(sorted(missing, key=str))) if missing else x

    def strengthened(*args: Any) -> list[Any]:
        outs = eval_jaxpr(closed.jaxpr, closed.consts, *args)
        return [fitted(x, target) for x, target in zip(outs, targets, strict=True)]

    return trace_to_jaxpr(strengthened, closed.in_avals, debug_info=closed.jaxpr.debug_info)


def with_weak_outputs(closed: ClosedJaxpr, places: set[int]) -> ClosedJaxpr:
    """The program with weakly typed results at some places, without an equation that converts them."""
    jaxpr = closed.jaxpr
    others = {v for i, v in enumerate(jaxpr.outvars) if i not in places}
    made = {v for eqn in jaxpr.eqns for v in eqn.outvars} - others
    wanted = {jaxpr.outvars[i] for i in places} & made
    weak = {v: Var(v.aval.update(weak_type=True)) for v in wanted if not v.aval.weak_type}
    if not weak:
        return closed
    eqns = [
        eqn.replace(
            invars=[weak.get(v, v) for v in eqn.invars], outvars=[weak.get(v, v) for v in eqn.outvars]
        )
        for eqn in jaxpr.eqns
    ]
    outvars = [weak.get(v, v) for v in jaxpr.outvars]
    return ClosedJaxpr(jaxpr.replace(eqns=eqns, outvars=outvars), closed.consts)


def joined_aval(avals: Sequence[ShapedArray]) -> ShapedArray:
    """The aval without weak type if any has none; it varies along every manual axis that any does."""
    strong = [a for a in avals if not a.weak_type]
    chosen = strong[0] if strong else avals[0]
    union = frozenset().union(*(a.vma for a in avals))
    return chosen if chosen.vma == union else chosen.update(vma=union)


def describe_mismatch(first: Sequence[Any], second: Sequence[Any], tree: Any, prefix: str = "") -> list[str]:
    """One line for each pair of avals that differ by more than weak types."""
    paths = [
        pytree.keystr(path)
        for path, _ in pytree.tree_leaves_with_path(tree.unflatten(range(tree.num_leaves)))
    ]
    return [
        f"  {prefix}{path or ' (the whole)'}: {a.str_short()} and {b.str_short()}"
        for path, a, b in zip(paths, first, second, strict=True)
        if not typematch(a, b)
    ]


def describe_structures(
    first: Any, second: Any, first_avals: Sequence[Any], second_avals: Sequence[Any], prefix: str
) -> list[str]:
    """One line for each place at which two structures differ, with what the first and the second have there."""
    try:
        trees = first.unflatten(first_avals), second.unflatten(second_avals)
        found = list(mismatches(*trees, prefix=False))
    except Exception:  # a container that does not take types in place of arrays
        found = []
    lines = [f"  {prefix}{pytree.keystr(m.path)}: {m.left}, and {m.right}" for m in found]
    return [line.replace("a leaf of type ShapedArray", "an array") for line in lines]


def check_like(
    where: str,
    what: str,
    model: str,
    found_tree: Any,
    tree: Any,
    found: Sequence[Any],
    avals: Sequence[Any],
    has_aux: bool = False,
) -> None:
    """Checks that a function's result, or with `has_aux` the first part of it, is a tree like an argument.

    Raises:
      TypeError: its structure is another.
      ValueError: shapes differ, or with `has_aux` it is no pair.
    """
    if has_aux:
        node = found_tree.node_data()
        if node is None or node[0] not in (tuple, list) or len(found_tree.children()) != 2:
            raise ValueError(
                f"{where}: with has_aux=True {what} must return a pair (result, aux), but it returned {found_tree}."
            )
        found_tree = found_tree.children()[0]
        found = found[: found_tree.num_leaves]
    shapes = [a.shape for a in avals]
    if found_tree.num_leaves != len(avals) or (found_tree == tree and [a.shape for a in found] != shapes):
        raise ValueError(
            f"{where}: {what} must return arrays of the shapes of {model}, {[a.str_short() for a in avals]}, but it "
            f"returned {[a.str_short() for a in found]}."
        )
    if found_tree != tree:
        raise TypeError(
            f"{where}: {what} must return a tree of the structure of {model}, {tree}, but it returned {found_tree}."
        )


def split_list(values: Sequence[Any], *counts: int) -> list[list[Any]]:
    """Consecutive parts of the given lengths, and the rest."""
    parts, start = [], 0
    for count in counts:
        parts.append(list(values[start : start + count]))
        start += count
    parts.append(list(values[start:]))
    return parts


def reorder(closed: ClosedJaxpr, in_order: Sequence[int], out_order: Sequence[int]) -> ClosedJaxpr:
    """The program with its arguments and results permuted; memoised."""
    key = ("reorder", tuple(in_order), tuple(out_order))
    known = closed.memo.get(key)
    if known is None:
        jaxpr: Jaxpr = closed.jaxpr
        known = closed.memo[key] = ClosedJaxpr(
            jaxpr.replace(
                invars=[jaxpr.invars[i] for i in in_order], outvars=[jaxpr.outvars[i] for i in out_order]
            ),
            closed.consts,
        )
    return known


def scalar_predicate(where: str, pred: Any) -> Any:
    """Checks that a predicate is a scalar of a bool or number dtype.

    Raises:
      TypeError: it is not.
    """
    if callable(pred):
        raise TypeError(f"{where}: the predicate must be a boolean or number, got a function. Call it first.")
    try:
        aval = get_aval(pred)
    except TypeError:
        raise TypeError(
            f"{where}: the predicate must be a boolean scalar, got a {type(pred).__name__}."
        ) from None
    if aval.shape:
        raise TypeError(
            f"{where}: the predicate must be a scalar, but it is {aval.str_short()}. Reduce it with `.all()` or "
            "`.any()`, or use canter.numpy.where for an elementwise choice."
        )
    if aval.dtype.kind not in "biuf" and not np.issubdtype(aval.dtype, np.number):
        raise TypeError(
            f"{where}: the predicate must be a boolean or number, but it has dtype {aval.dtype.name}."
        )
    return pred
