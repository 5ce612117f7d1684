"""Linear functions whose transpose is given by the user."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..core import pytree
from ..core.avals import get_aval, typematch
from ..core.jaxpr import ClosedJaxpr, eval_jaxpr
from ..core.primitive import Primitive
from ..core.tracing import trace_to_jaxpr
from .batching import batch_flat, batch_jaxpr
from .calling import FlatFunction, debug_info, function_name
from .jvp import call_jvp
from .partial_evaluation import close_over_nothing
from .rules import add_tangents, instantiate_zeros, matchaxis
from .zeros import Zero, is_undefined_primal

__all__ = ["custom_transpose", "linear_call", "linear_call_p"]

linear_call_p = Primitive("linear_call", multiple_results=True)


def linear_call(
    fun: Callable[[Any, Any], Any],
    fun_transpose: Callable[[Any, Any], Any],
    residual_args: Any,
    linear_args: Any,
) -> Any:
    """Calls a linear function that has a transpose of its own.

    Args:
      fun: `fun(residuals, x)`, linear in `x`; arguments and result are trees of arrays.
      fun_transpose: `fun_transpose(residuals, cotangent)`, a tree like `x`; linear in the cotangent. Its
        own transpose is `fun`.
      residual_args: arguments in which neither need be linear.
      linear_args: the point.

    Returns:
      `fun(residual_args, linear_args)`.

    Raises:
      TypeError: when transposed, the result of `fun_transpose` is not of the structure, shapes and
        dtypes of `linear_args`.

    Example:
      >>> import canter as ct
      >>> from canter.custom_derivatives import linear_call
      >>> half = lambda x: linear_call(lambda r, x: x / r, lambda r, ct: ct / r, 2.0, x)
      >>> float(half(3.0)), float(ct.grad(half)(3.0))
      (1.5, 0.5)
    """
    residuals, residual_tree = pytree.tree_flatten(residual_args)
    operands, linear_tree = pytree.tree_flatten(linear_args)
    flat = FlatFunction(fun, pytree.tree_structure((residual_args, linear_args)))
    avals = [get_aval(x) for x in (*residuals, *operands)]
    callee, consts = close_over_nothing(
        trace_to_jaxpr(flat, avals, debug_info=debug_info(fun, "linear_call"))
    )
    num_res, linear_avals = len(residuals), avals[len(residuals) :]

    def transpose_thunk(*values: Any) -> list[Any]:
        cotangent = flat.out_tree.unflatten(values[num_res:])
        result = fun_transpose(residual_tree.unflatten(values[:num_res]), cotangent)
        leaves, tree = pytree.tree_flatten(result)
        found = [get_aval(x) for x in leaves]
        if tree != linear_tree or not all(
            typematch(a, b.to_tangent_aval()) for a, b in zip(found, linear_avals)
        ):
            raise TypeError(
                f"linear_call: the result of {function_name(fun_transpose)} must be like the linear arguments, "
                f"{linear_tree} of {_types(linear_avals)}; it is {tree} of {_types(found)}."
            )
        return leaves

    outs = linear_call_p.bind(
        *consts,
        *residuals,
        *operands,
        callee=callee,
        num_callee_consts=len(consts),
        num_res=num_res,
        transpose_thunk=transpose_thunk,
    )
    return flat.out_tree.unflatten(outs)


def _types(avals: Any) -> str:
    return f"({', '.join(a.str_short() for a in avals)})"


class custom_transpose:
    """A linear function to which a transpose is attached.

    Args:
      fun: `fun(residuals, x)`, linear in `x`; arguments and result are trees of arrays.

    Raises:
      AttributeError: called before a transpose was given.
      TypeError: the result is not of the types that the caller names.

    Example:
      >>> import canter as ct
      >>> from canter.custom_transpose import custom_transpose
      >>> @custom_transpose
      ... def scale(factor, x):
      ...     return factor * x
      >>> @scale.def_transpose
      ... def rule(factor, cotangent):
      ...     return -factor * cotangent
      >>> number = ct.ShapeDtypeStruct((), "float32")
      >>> float(ct.grad(lambda x: scale(number, ct.numpy.float32(3), x))(ct.numpy.float32(1)))
      -3.0
    """

    def __init__(self, fun: Callable[[Any, Any], Any]):
        functools.update_wrapper(self, fun)
        self.fun = fun
        self.transpose: Callable[[Any, Any], Any] | None = None

    def def_transpose(self, transpose: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """Gives the transpose: `transpose(residuals, cotangent)`, a tree like the linear argument."""
        self.transpose = transpose
        return transpose

    def __call__(self, out_types: Any, res_arg: Any, lin_arg: Any) -> Any:
        """Calls the function.

        Args:
          out_types: a tree of objects with `shape` and `dtype`, like the result.
          res_arg: the argument in which the function need not be linear.
          lin_arg: the argument in which it is linear.
        """
        name = function_name(self.fun)
        if self.transpose is None:
            raise AttributeError(
                f"custom_transpose function {name} has no transpose yet. Use {name}.def_transpose."
            )
        result = linear_call(self.fun, self.transpose, res_arg, lin_arg)
        expected, expected_tree = pytree.tree_flatten(out_types)
        leaves, tree = pytree.tree_flatten(result)
        found = [get_aval(x) for x in leaves]
        same = tree == expected_tree and all(
            tuple(e.shape) == a.shape and e.dtype == a.dtype for e, a in zip(expected, found, strict=True)
        )
        if not same:
            raise TypeError(
                f"custom_transpose: the result of {name} must be {out_types}, but it is {tree} of {_types(found)}."
            )
        return result


def _evaluate(*args: Any, callee: ClosedJaxpr, **_: Any) -> list[Any]:
    return eval_jaxpr(callee.jaxpr, callee.consts, *args)


def _jvp(primals: Any, tangents: Any, *, callee: ClosedJaxpr, **params: Any) -> Any:
    outs = linear_call_p.bind(*primals, callee=callee, **params)
    first = params["num_callee_consts"] + params["num_res"]
    fixed, moving = tangents[:first], tangents[first:]
    totals: list[Any] = [Zero.from_primal_value(o) for o in outs]
    if any(type(t) is not Zero for t in moving):
        totals = linear_call_p.bind(
            *primals[:first], *map(instantiate_zeros, moving), callee=callee, **params
        )
    if any(type(t) is not Zero for t in fixed):  # in these the function is an ordinary one
        still = [*fixed, *(Zero.from_primal_value(x) for x in primals[first:])]
        _, others = call_jvp(
            lambda closed, args, _: eval_jaxpr(closed.jaxpr, closed.consts, *args), callee, primals, still, {}
        )
        totals = [add_tangents(a, b) for a, b in zip(totals, others, strict=True)]
    return outs, totals


def _transpose(
    cotangents: Any,
    *args: Any,
    callee: ClosedJaxpr,
    num_callee_consts: int,
    num_res: int,
    transpose_thunk: Any,
) -> list[Any]:
    first = num_callee_consts + num_res
    consts, residuals, linear = args[:num_callee_consts], args[num_callee_consts:first], args[first:]
    cts = [instantiate_zeros(ct) for ct in cotangents]
    avals = [get_aval(x) for x in (*residuals, *cts)]
    transposed, captured = close_over_nothing(trace_to_jaxpr(transpose_thunk, avals, name="linear_call"))
    results = linear_call_p.bind(
        *captured,
        *residuals,
        *cts,
        callee=transposed,
        num_callee_consts=len(captured),
        num_res=num_res,
        transpose_thunk=lambda *xs: eval_jaxpr(callee.jaxpr, callee.consts, *consts, *xs),
    )
    return [None] * first + [
        ct if is_undefined_primal(x) else None for x, ct in zip(linear, results, strict=True)
    ]


def _batch(
    trace: Any,
    args: Any,
    dims: Any,
    *,
    callee: ClosedJaxpr,
    num_callee_consts: int,
    num_res: int,
    transpose_thunk: Any,
) -> Any:
    batched, out_dims = batch_jaxpr(callee, trace.size, dims, name=trace.name, spmd_name=trace.spmd_name)
    first = num_callee_consts + num_res

    def batched_thunk(*values: Any) -> list[Any]:
        in_dims = [*dims[num_callee_consts:first], *out_dims]
        outs, places = batch_flat(transpose_thunk, values, in_dims, trace.size, trace.name, trace.spmd_name)
        return [
            matchaxis(trace.size, 0, None, matchaxis(trace.size, None, 0, ct), sum_match=True)
            if dim is None and place is None
            else matchaxis(trace.size, place, dim, ct, sum_match=True)
            for ct, place, dim in zip(outs, places, dims[first:], strict=True)
        ]

    outs = linear_call_p.bind(
        *args,
        callee=batched,
        num_callee_consts=num_callee_consts,
        num_res=num_res,
        transpose_thunk=batched_thunk,
    )
    return outs, out_dims


linear_call_p.def_effectful_abstract_eval(lambda *avals, callee, **_: (callee.out_avals, callee.effects))
linear_call_p.impl = _evaluate
linear_call_p.jvp_rule = _jvp
linear_call_p.transpose_rule = _transpose
linear_call_p.axis_batch_rule = _batch
