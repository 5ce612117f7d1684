"""Functions with a batching rule given by the user.

The call is an equation with the function's program in it. Differentiating it gives another such
call, of the differentiated program, whose batching rule is the differentiated rule.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Generic, ParamSpec, TypeVar

from ..core import pytree
from ..core.avals import get_aval
from ..core.jaxpr import ClosedJaxpr, JaxprEqn, eval_jaxpr
from ..core.primitive import Primitive
from ..core.trace import is_eager
from ..core.tracing import trace_to_jaxpr
from .calling import FlatFunction, debug_info, function_name, resolve_kwargs
from .jvp import jvp_flat, jvp_jaxpr
from .linearize import linearize_jaxpr
from .partial_evaluation import close_over_nothing, dce_closed_call
from .rules import bdim_at_front, instantiate_zeros, zeros_like_aval
from .transpose import backward_pass
from .zeros import Zero, is_undefined_primal, tangents_by_flags

__all__ = ["custom_vmap", "custom_vmap_call_p"]

P = ParamSpec("P")
R = TypeVar("R")

custom_vmap_call_p = Primitive("custom_vmap_call", multiple_results=True)
custom_vmap_call_p.call_primitive = True


class custom_vmap(Generic[P, R]):
    """A function whose batching rule is given by the user.

    Args:
      fun: the function; arguments and result are trees of arrays.

    Raises:
      AttributeError: the function is batched before a rule was given.
      ValueError: the rule's result does not fit the function's.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> @ct.custom_batching.custom_vmap
      ... def double(x):
      ...     return 2 * x
      >>> @double.def_vmap
      ... def rule(axis_size, in_batched, x):
      ...     return 2 * x + axis_size, in_batched[0]
      >>> ct.vmap(double)(cnp.zeros(3)).tolist()
      [3.0, 3.0, 3.0]
    """

    def __init__(self, fun: Callable[P, R]):
        functools.update_wrapper(self, fun)
        self.fun = fun
        self.vmap_rule: Callable[..., Any] | None = None

    def def_vmap(self, vmap_rule: Callable[..., Any]) -> Callable[..., Any]:
        """Gives the rule: `vmap_rule(axis_size, in_batched, *args) -> (result, out_batched)`.

        Args:
          vmap_rule: `in_batched` is a list with, for each argument, a tree of bools like it: whether
            that array has the batch as its first axis. `out_batched` says the same of the result.
        """
        self.vmap_rule = vmap_rule
        return vmap_rule

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self.__call__, instance)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if is_eager():
            return self.fun(*args, **kwargs)
        positional = resolve_kwargs(self.fun, args, kwargs)
        leaves, in_tree = pytree.tree_flatten(tuple(positional))
        flat = FlatFunction(self.fun, in_tree)
        traced = trace_to_jaxpr(
            flat, [get_aval(x) for x in leaves], debug_info=debug_info(self.fun, "custom_vmap")
        )
        call, consts = close_over_nothing(traced)
        full_tree = pytree.tree_structure((list(consts), in_tree.unflatten(leaves)))
        rule = self.vmap_rule or _Missing(function_name(self.fun))
        outs = custom_vmap_call_p.bind(
            *consts, *leaves, call=call, rule=rule, in_tree=full_tree, out_tree=flat.out_tree
        )
        return flat.out_tree.unflatten(outs)


class _Missing:
    """Stands for the rule that a function does not have."""

    def __init__(self, name: str):
        self.name = name

    def __call__(self, *args: Any) -> Any:
        raise AttributeError(
            f"No batching rule defined for custom_vmap function {self.name} using def_vmap. "
            f"Give it one with {self.name}.def_vmap(rule)."
        )


def _apply_rule(
    rule: Any, in_tree: Any, out_tree: Any, size: int, batched: Sequence[bool], values: Sequence[Any]
) -> tuple[list[Any], list[bool]]:
    """The rule on flat lists: results, and which of them have the batch as their first axis."""
    captured, flags = in_tree.unflatten(batched)
    if any(captured):
        raise ValueError(
            f"custom_vmap: a function with the batching rule {function_name(rule)} closes over a value that is "
            "being batched, for which the rule has no place. Make that value an argument of the function."
        )
    _, args = in_tree.unflatten(values)
    answer = rule(size, list(flags), *args)
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise ValueError(
            f"The batching rule {function_name(rule)} must return a pair (result, out_batched), but it returned a "
            f"value of type {type(answer).__name__}; the structure of its result must be {out_tree}."
        )
    outs, tree = pytree.tree_flatten(answer[0])
    out_batched, flags_tree = pytree.tree_flatten(answer[1])
    for what, found in (("result", tree), ("out_batched", flags_tree)):
        if found != out_tree:
            raise ValueError(
                f"The structure of the {what} of the batching rule {function_name(rule)} does not match that of the "
                f"function's result.\nFunction's result: {out_tree}\nRule's {what}: {found}"
            )
    return outs, [bool(flag) for flag in out_batched]


def _batch(trace: Any, args: Any, dims: Any, *, call: Any, rule: Any, in_tree: Any, out_tree: Any) -> Any:
    values = [
        x if dim is None else bdim_at_front(x, dim, trace.size) for x, dim in zip(args, dims, strict=True)
    ]
    outs, batched = _apply_rule(rule, in_tree, out_tree, trace.size, [d is not None for d in dims], values)
    for position, (out, flag, aval) in enumerate(zip(outs, batched, call.out_avals, strict=True)):
        expected = (trace.size, *aval.shape) if flag else aval.shape
        if get_aval(out).shape != expected:
            raise ValueError(
                f"The batching rule {function_name(rule)} returned for leaf {position} of the result an array of "
                f"shape {get_aval(out).shape}; since out_batched is {flag} there, it must be {expected}."
            )
    return outs, [0 if flag else None for flag in batched]


def _flat_tree(count: int) -> Any:
    return pytree.tree_structure(([], (0,) * count))


def _derived(call: ClosedJaxpr, rule: Any) -> dict[str, Any]:
    """The parameters of a call whose rule takes and gives flat sequences."""
    return {
        "call": call,
        "rule": rule,
        "in_tree": _flat_tree(len(call.in_avals)),
        "out_tree": pytree.tree_structure([0] * len(call.out_avals)),
    }


def _jvp(primals: Any, tangents: Any, *, call: Any, rule: Any, in_tree: Any, out_tree: Any) -> Any:
    nonzeros = [type(t) is not Zero for t in tangents]
    derivative, out_nonzeros = jvp_jaxpr(call, nonzeros)
    count = len(primals)

    def derived_rule(size: int, in_batched: Any, *values: Any) -> Any:
        given = iter(zip(values[count:], in_batched[count:], strict=True))
        points: list[Any] = []
        directions: list[Any] = []
        flags: list[bool] = []
        for x, x_batched, nonzero in zip(values, in_batched, nonzeros, strict=False):
            t, t_batched = next(given) if nonzero else (Zero.from_primal_value(x), x_batched)
            if x_batched != t_batched:  # the rule knows of one flag for both
                x = x if x_batched else bdim_at_front(x, None, size)
                t = t if t_batched else bdim_at_front(t, None, size)
            points.append(x)
            directions.append(t)
            flags.append(x_batched or t_batched)
        out_flags: list[bool] = []

        def values_of(*xs: Any) -> list[Any]:
            outs, out_flags[:] = _apply_rule(rule, in_tree, out_tree, size, flags, xs)
            return outs

        outs, out_tangents = jvp_flat(values_of, points, directions)
        wanted = [instantiate_zeros(t) for t, nz in zip(out_tangents, out_nonzeros, strict=True) if nz]
        wanted_flags = [flag for flag, nz in zip(out_flags, out_nonzeros, strict=True) if nz]
        return [*outs, *wanted], [*out_flags, *wanted_flags]

    operands = [*primals, *(t for t in tangents if type(t) is not Zero)]
    results = custom_vmap_call_p.bind(*operands, **_derived(derivative, derived_rule))
    outs = results[: len(out_nonzeros)]
    return outs, tangents_by_flags(outs, out_nonzeros, results[len(out_nonzeros) :])


def _dce(used: Sequence[bool], eqn: JaxprEqn) -> tuple[list[bool], JaxprEqn | None]:
    used_inputs, shorter = dce_closed_call(used, eqn, "call")
    if shorter is None or shorter is eqn:
        return used_inputs, shorter
    rule, in_tree, out_tree = (eqn.params[name] for name in ("rule", "in_tree", "out_tree"))
    avals = [v.aval for v in eqn.invars]

    def shorter_rule(size: int, in_batched: Any, *values: Any) -> Any:
        given = iter(zip(values, in_batched, strict=True))
        full = [
            next(given) if use else (zeros_like_aval(a), False)
            for use, a in zip(used_inputs, avals, strict=True)
        ]
        outs, flags = _apply_rule(rule, in_tree, out_tree, size, [f for _, f in full], [x for x, _ in full])
        kept = [i for i, use in enumerate(used) if use]
        return [outs[i] for i in kept], [flags[i] for i in kept]

    return used_inputs, shorter.replace(params=_derived(shorter.params["call"], shorter_rule))


def _evaluate(*args: Any, call: ClosedJaxpr, **_: Any) -> list[Any]:
    return eval_jaxpr(call.jaxpr, call.consts, *args)


def _transpose(cotangents: Any, *args: Any, call: ClosedJaxpr, **_: Any) -> list[Any]:
    # The rule has been applied to the values; what runs backwards is batched as any program is. Being
    # linear in them, the program is its own derivative in the operands that are missing, at zero.
    missing = [is_undefined_primal(x) for x in args]
    parts = linearize_jaxpr(call, missing)
    point = [zeros_like_aval(x.aval) if gone else x for x, gone in zip(args, missing, strict=True)]
    results = eval_jaxpr(parts.known.jaxpr, parts.known.consts, *point)
    operands = [
        *parts.residuals(point, results),
        *(x for x, gone in zip(args, missing, strict=True) if gone),
    ]
    given = [ct for ct, nonzero in zip(cotangents, parts.out_nonzeros, strict=True) if nonzero]
    pulled = backward_pass(parts.linear.jaxpr, parts.linear.consts, operands, given)
    found = iter(pulled[len(parts.residual_sources) :])
    return [next(found) if gone else None for gone in missing]


custom_vmap_call_p.def_effectful_abstract_eval(lambda *avals, call, **_: (call.out_avals, call.effects))
custom_vmap_call_p.impl = _evaluate
custom_vmap_call_p.jvp_rule = _jvp
custom_vmap_call_p.transpose_rule = _transpose
custom_vmap_call_p.axis_batch_rule = _batch
custom_vmap_call_p.dce_rule = _dce
