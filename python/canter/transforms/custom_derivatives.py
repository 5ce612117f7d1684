"""Functions with derivative rules of their own: the primitives beneath `custom_jvp` and `custom_vjp`.

While a function is evaluated or transformed, its rule travels as Python functions of flat lists;
only when it is traced into a jaxpr does the call become an equation with `call_jaxpr` in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.avals import get_aval
from ..core.jaxpr import ClosedJaxpr, eval_jaxpr
from ..core.primitive import Primitive
from ..core.trace import state
from ..core.tracing import pvary_p, trace_to_jaxpr
from .batching import batch_flat
from .partial_evaluation import close_over_nothing
from .rules import array_ops, as_result, instantiate_zeros, matchaxis
from .transpose import backward_pass
from .zeros import UndefinedPrimal, Zero, is_undefined_primal

__all__ = ["custom_jvp_call_p", "custom_lin_p", "custom_vjp_call_p"]

_NUMBERS = frozenset((bool, int, float, complex))

Flat = Callable[..., list[Any]]


def _abstract(*avals: Any, call_jaxpr: Any, **params: Any) -> Any:
    return call_jaxpr.out_avals, call_jaxpr.effects


def _trace_call(fun: Flat, args: Sequence[Any], name: str) -> tuple[Any, list[Any]]:
    closed = trace_to_jaxpr(fun, [get_aval(x) for x in args], name=name)
    return close_over_nothing(closed)


def _closed_over_error(name: str) -> TypeError:
    return TypeError(
        f"{name} closes over a value that is being differentiated, for which its derivative rule has no place. "
        "Make that value an argument of the function."
    )


def _batched(trace: Any, fun: Flat, dims: Sequence[int | None]) -> Flat:
    """The function of whole batches; all its results have their batch axis in front."""

    def batched(*values: Any) -> list[Any]:
        outs, places = batch_flat(fun, values, dims, trace.size, trace.name, trace.spmd_name)
        return [matchaxis(trace.size, place, 0, x) for x, place in zip(outs, places, strict=True)]

    return batched


def _as_cotangent(ct: Any, aval: Any) -> Any:
    """A cotangent where a rule may have given None for zero."""
    return Zero(aval.to_tangent_aval()) if ct is None else ct


def _summed(ct: Any, aval: Any) -> Any:
    """A cotangent summed over the manual axes along which it varies and the argument does not."""
    extra = frozenset() if type(ct) is Zero else get_aval(ct).vma - aval.vma
    if not extra:
        return ct
    (total,) = pvary_p.transpose_rule(ct, UndefinedPrimal(aval), axes=tuple(sorted(extra, key=str)))  # type: ignore[misc]
    return total


def _with_own_lines(rule: Callable[..., Any], *args: Any) -> Any:
    """Calls a user's rule: its operations come from its lines, not from the one that is being differentiated."""
    outer, state.traceback = state.traceback, None
    try:
        return rule(*args)
    finally:
        state.traceback = outer


def _with_shapes(values: Sequence[Any]) -> list[Any]:
    """Values for a user's rule: what was a tracer when the function was traced may be a Python number now."""
    return [array_ops.as_array(x) if type(x) in _NUMBERS else x for x in values]


class CustomJVPCall(Primitive):
    """Applies a function with a forward-mode rule."""

    __slots__ = ()

    def bind(self, *args: Any, call_jaxpr: Any, jvp_jaxpr_fun: Any, num_consts: int, **params: Any) -> Any:
        def fun(*xs: Any) -> list[Any]:
            return eval_jaxpr(call_jaxpr.jaxpr, call_jaxpr.consts, *xs)

        def jvp(primals: Any, tangents: Any) -> Any:
            if any(type(t) is not Zero for t in tangents[:num_consts]):
                raise _closed_over_error(params["name"])
            return jvp_jaxpr_fun(_with_shapes(primals[num_consts:]), tangents[num_consts:])

        return state.trace.process_custom_jvp(self, fun, jvp, args, params)

    def bind_functions(self, fun: Flat, jvp: Any, args: Sequence[Any], **params: Any) -> list[Any]:
        """Applies the function in the current trace.

        Args:
          fun: from arrays to a list of arrays.
          jvp: `(primals, tangents) -> (results, tangents)`, all lists; tangents may be `Zero`.
          args: the arguments.
          **params: name, symbolic_zeros.
        """
        return state.trace.process_custom_jvp(self, fun, jvp, args, params)

    def record(self, trace: Any, fun: Flat, jvp: Any, args: Any, params: Any) -> Any:
        """The call as an equation of a jaxpr."""
        call_jaxpr, consts = _trace_call(fun, args, params["name"])
        operands = [*consts, *args]
        params = {**params, "call_jaxpr": call_jaxpr, "jvp_jaxpr_fun": jvp, "num_consts": len(consts)}
        return trace.process(self, operands, params)

    def apply_jvp(self, jvp: Any, primals: Any, tangents: Any, params: Any) -> Any:
        """Results and tangents by the rule."""
        outs, out_tangents = _with_own_lines(jvp, primals, tangents)
        return outs, [_drop_float0(t) for t in out_tangents]

    def apply_batched(self, trace: Any, fun: Flat, jvp: Any, values: Any, dims: Any, params: Any) -> Any:
        """The call on a batch, with the rule batched too."""

        def batched_jvp(primals: Any, tangents: Any) -> Any:
            nonzero = [type(t) is not Zero for t in tangents]
            count = len(primals)

            def flat(*xs: Any) -> list[Any]:
                given = iter(xs[count:])
                full = [
                    next(given) if nz else _unbatched_zero(x)
                    for x, nz in zip(xs[:count], nonzero, strict=True)
                ]
                outs, out_tangents = jvp(xs[:count], full)
                return [*outs, *map(instantiate_zeros, out_tangents)]

            tangent_dims = [d for d, nz in zip(dims, nonzero, strict=True) if nz]
            given = [t for t, nz in zip(tangents, nonzero, strict=True) if nz]
            results = _batched(trace, flat, [*dims, *tangent_dims])(*primals, *given)
            half = len(results) // 2
            return results[:half], results[half:]

        outs = self.bind_functions(_batched(trace, fun, dims), batched_jvp, values, **params)
        return outs, [0] * len(outs)


def _unbatched_zero(x: Any) -> Zero:
    return Zero(get_aval(x).to_tangent_aval())


def _drop_float0(tangent: Any) -> Any:
    if type(tangent) is not Zero and getattr(tangent, "dtype", None) == dtypes.float0:
        return Zero(get_aval(tangent))
    return tangent


class CustomVJPCall(Primitive):
    """Applies a function with a reverse-mode rule."""

    __slots__ = ()

    def bind(
        self, *args: Any, call_jaxpr: Any, fwd_jaxpr_thunk: Any, bwd: Any, num_consts: int, **params: Any
    ) -> Any:
        def fun(*xs: Any) -> list[Any]:
            return eval_jaxpr(call_jaxpr.jaxpr, call_jaxpr.consts, *xs)

        def fwd(perturbed: Sequence[bool], *xs: Any) -> Any:
            if any(perturbed[:num_consts]):
                raise _closed_over_error(params["name"])
            return fwd_jaxpr_thunk(perturbed[num_consts:], *_with_shapes(xs[num_consts:]))

        def full_bwd(residuals: Any, cotangents: Any) -> list[Any]:
            return [None] * num_consts + list(bwd(residuals, cotangents))

        return state.trace.process_custom_vjp(self, fun, fwd, full_bwd if num_consts else bwd, args, params)

    def bind_functions(self, fun: Flat, fwd: Any, bwd: Any, args: Sequence[Any], **params: Any) -> list[Any]:
        """Applies the function in the current trace.

        Args:
          fun: from arrays to a list of arrays.
          fwd: `(perturbed, *arrays) -> (results, residuals)`, lists; `perturbed` holds a bool an argument.
          bwd: `(residuals, cotangents) -> cotangents of the arguments`, None or `Zero` for zero ones.
          args: the arguments.
          **params: name, symbolic_zeros.
        """
        return state.trace.process_custom_vjp(self, fun, fwd, bwd, args, params)

    def record(self, trace: Any, fun: Flat, fwd: Any, bwd: Any, args: Any, params: Any) -> Any:
        """The call as an equation of a jaxpr."""
        call_jaxpr, consts = _trace_call(fun, args, params["name"])
        params = {
            **params,
            "call_jaxpr": call_jaxpr,
            "fwd_jaxpr_thunk": fwd,
            "bwd": bwd,
            "num_consts": len(consts),
        }
        return trace.process(self, [*consts, *args], params)

    def apply_fwd(self, fwd: Any, bwd: Any, primals: Any, tangents: Any, params: Any) -> Any:
        """Results by the forward rule; tangents as one linear equation that knows the backward rule."""
        perturbed = [type(t) is not Zero for t in tangents]
        outs, residuals = _with_own_lines(fwd, perturbed, *primals)
        out_avals = tuple(get_aval(o).to_tangent_aval() for o in outs)
        out_tangents = custom_lin_p.bind(
            *residuals,
            *(t for t in tangents if type(t) is not Zero),
            num_res=len(residuals),
            bwd=bwd,
            perturbed=tuple(perturbed),
            out_avals=out_avals,
            name=params["name"],
            symbolic_zeros=params["symbolic_zeros"],
        )
        return outs, [
            Zero(a) if a.dtype == dtypes.float0 else t for a, t in zip(out_avals, out_tangents, strict=True)
        ]

    def apply_batched(
        self, trace: Any, fun: Flat, fwd: Any, bwd: Any, values: Any, dims: Any, params: Any
    ) -> Any:
        """The call on a batch, with both rules batched."""
        counts: list[int] = []

        def batched_fwd(perturbed: Any, *xs: Any) -> Any:
            def flat(*elements: Any) -> list[Any]:
                outs, residuals = fwd(perturbed, *elements)
                counts.append(len(outs))
                return [*outs, *residuals]

            results = _batched(trace, flat, dims)(*xs)
            return results[: counts[-1]], results[counts[-1] :]

        def batched_bwd(residuals: Any, cotangents: Any) -> list[Any]:
            num_residuals = len(residuals)
            nonzero = [type(ct) is not Zero for ct in cotangents]
            zero: list[bool] = []

            def flat(*xs: Any) -> list[Any]:
                given = iter(xs[num_residuals:])
                full = [next(given) if nz else ct for ct, nz in zip(cotangents, nonzero, strict=True)]
                cts = bwd(list(xs[:num_residuals]), full)
                zero[:] = [ct is None or type(ct) is Zero for ct in cts]
                return [ct for ct, z in zip(cts, zero, strict=True) if not z]

            given = [ct for ct, nz in zip(cotangents, nonzero, strict=True) if nz]
            in_dims = [0] * (num_residuals + len(given))
            outs, places = batch_flat(
                flat, [*residuals, *given], in_dims, trace.size, trace.name, trace.spmd_name
            )
            found = iter(zip(outs, places, strict=True))
            return [
                None if z else _match_cotangent(trace.size, dim, *next(found))
                for z, dim in zip(zero, dims, strict=True)
            ]

        outs = self.bind_functions(_batched(trace, fun, dims), batched_fwd, batched_bwd, values, **params)
        return outs, [0] * len(outs)


def _match_cotangent(size: int, dim: int | None, ct: Any, place: int | None) -> Any:
    if dim is None and place is None:
        # Every element of the batch contributes the same cotangent to the one shared value.
        return matchaxis(size, 0, None, matchaxis(size, None, 0, ct), sum_match=True)
    return matchaxis(size, place, dim, ct, sum_match=True)


custom_jvp_call_p = CustomJVPCall("custom_jvp_call", multiple_results=True)
custom_jvp_call_p.call_primitive = True
custom_jvp_call_p.def_effectful_abstract_eval(_abstract)


def _transpose_call(cotangents: Any, *args: Any, call_jaxpr: ClosedJaxpr, **params: Any) -> Any:
    return backward_pass(call_jaxpr.jaxpr, call_jaxpr.consts, list(args), cotangents)


custom_jvp_call_p.transpose_rule = _transpose_call
custom_vjp_call_p = CustomVJPCall("custom_vjp_call", multiple_results=True)
custom_vjp_call_p.call_primitive = True
custom_vjp_call_p.def_effectful_abstract_eval(_abstract)


# --- the linear equation that a custom_vjp leaves on a tape ----------------------------------------

custom_lin_p = Primitive("custom_lin", multiple_results=True)
custom_lin_p.def_abstract_eval(lambda *avals, out_avals, **params: list(out_avals))
# Operands stay as they are: the user's rule gives cotangents of the arguments, and makes the sums that these need.
custom_lin_p.varying_rule = lambda own, **params: None


def _forward_mode_error(*args: Any, name: str, **params: Any) -> Any:
    raise TypeError(
        f"Forward-mode differentiation (jvp, jacfwd, hessian) cannot go through {name}, which has a custom_vjp "
        "rule: that rule gives reverse mode only. Use custom_jvp, or reverse mode (grad, vjp, jacrev)."
    )


def _transpose_custom_lin(
    cotangents: Any, *args: Any, num_res: int, bwd: Any, perturbed: Any, symbolic_zeros: bool, **params: Any
) -> Any:
    residuals, tangents = list(args[:num_res]), args[num_res:]
    cotangents = [ct if symbolic_zeros and type(ct) is Zero else as_result(ct) for ct in cotangents]
    results = list(_with_own_lines(bwd, residuals, cotangents))
    wanted = (ct for ct, is_perturbed in zip(results, perturbed, strict=True) if is_perturbed)
    found: list[Any] = []
    for tangent, ct in zip(tangents, wanted, strict=True):
        if not is_undefined_primal(tangent):
            found.append(None)
        else:
            ct = _summed(_as_cotangent(ct, tangent.aval), tangent.aval)
            found.append(
                Zero(tangent.aval) if isinstance(ct, np.ndarray) and ct.dtype == dtypes.float0 else ct
            )
    return [None] * num_res + found


def _forward_mode_error_in_batch(trace: Any, args: Any, dims: Any, *, name: str, **params: Any) -> Any:
    _forward_mode_error(name=name)


custom_lin_p.impl = _forward_mode_error
custom_lin_p.axis_batch_rule = _forward_mode_error_in_batch
custom_lin_p.transpose_rule = _transpose_custom_lin
