"""The `jit` primitive: a call of a compiled function, as one equation with a jaxpr of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.primitive import Primitive
from .batching import batch_jaxpr
from .jvp import call_jvp
from .linearize import linearize_jaxpr
from .partial_evaluation import close_over_nothing, dce_closed_call
from .transpose import call_transpose
from .zeros import Zero, is_undefined_primal, tangents_by_flags

__all__ = ["UNSPECIFIED", "UnspecifiedValue", "call", "fitted", "jit_p"]

jit_p = Primitive("jit", multiple_results=True)
jit_p.call_primitive = True


class UnspecifiedValue:
    """The sharding of an argument or result that the user has left to the compiler."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UnspecifiedValue"


UNSPECIFIED = UnspecifiedValue()

# Parameters that go with one argument or one result each. A transformation that changes the number
# of either gives them their defaults.
_PER_ARGUMENT = {"in_shardings": UNSPECIFIED, "in_layouts": None, "donated_invars": False}
_PER_RESULT = {"out_shardings": UNSPECIFIED, "out_layouts": None}


#: For each argument or result of a derived call that of the first which it is like: ("in", 0), ("out", 2), or None.
Likeness = Sequence[tuple[str, int] | None]


def call(
    closed: Any, args: Any, params: dict[str, Any], ins: Likeness | None = None, outs: Likeness | None = None
) -> list[Any]:
    """Binds the primitive to a program derived from another call's: see `fitted`.

    Args:
      closed: the derived program.
      args: its arguments.
      params: of the call it was derived from.
      ins, outs: what each argument and result is laid out like; None if they are those of the first call, unless
        their number differs.
    """
    changes: dict[str, Any] = {}
    if ins is not None:
        changes = {"donated_invars": (False,) * len(ins), **_alike(params, "in", ins)}
    if outs is not None:
        changes |= _alike(params, "out", outs)
    args, params = fitted(closed, args, {**params, **changes})
    return jit_p.bind(*args, **params)


def _alike(params: dict[str, Any], side: str, likeness: Likeness) -> dict[str, Any]:
    """The shardings and layouts of the arguments ("in") or results ("out") of a derived call."""
    found = {}
    for what, default in (("shardings", UNSPECIFIED), ("layouts", None)):
        given = {own: params.get(f"{own}_{what}", ()) for own in ("in", "out")}
        found[f"{side}_{what}"] = tuple(
            default if source is None or source[1] >= len(given[source[0]]) else given[source[0]][source[1]]
            for source in likeness
        )
    return found


def fitted(closed: Any, args: Any, params: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Operands and parameters of the call of a program derived from another call's.

    Args:
      closed: the derived program; its constants become leading arguments.
      args: its other arguments.
      params: of the call it was derived from.
    """
    opened, hoisted = close_over_nothing(closed)
    args = [*hoisted, *args]
    params = {**params, "jaxpr": opened}
    for names, count in ((_PER_ARGUMENT, len(args)), (_PER_RESULT, len(opened.jaxpr.outvars))):
        for name, default in names.items():
            if len(params.get(name, ())) != count:
                params[name] = (default,) * count
    return args, params


def _abstract(*avals: Any, jaxpr: Any, **params: Any) -> Any:
    return jaxpr.out_avals, jaxpr.effects


def _jvp(primals: Any, tangents: Any, *, jaxpr: Any, **params: Any) -> Any:
    ins = [("in", i) for i in range(len(primals))]
    ins += [("in", i) for i, tangent in enumerate(tangents) if type(tangent) is not Zero]
    count = len(jaxpr.jaxpr.outvars)

    def bind(derived: Any, operands: Any, params: Any) -> list[Any]:
        own = [("out", i) for i in range(count)]
        rest = len(derived.jaxpr.outvars) - count
        return call(derived, operands, params, ins, [*own, *(own if rest == count else [None] * rest)])

    return call_jvp(bind, jaxpr, primals, tangents, params)


def _linearize(primals: Any, tangents: Any, *, jaxpr: Any, **params: Any) -> Any:
    nonzeros = [type(t) is not Zero for t in tangents]
    parts = linearize_jaxpr(jaxpr, nonzeros)
    count = len(parts.out_nonzeros)
    own = [("out", i) for i in range(count)]
    more = len(parts.known.jaxpr.outvars) - count
    results = call(parts.known, primals, params, None, [*own, *[None] * more])
    outs = results[:count]
    if not any(parts.out_nonzeros):
        return outs, tangents_by_flags(outs, parts.out_nonzeros, ())
    residuals = parts.residuals(primals, results)
    moving = [("in", i) for i, nonzero in enumerate(nonzeros) if nonzero]
    operands = [*residuals, *(t for t in tangents if type(t) is not Zero)]
    results_like = [like for like, nonzero in zip(own, parts.out_nonzeros, strict=True) if nonzero]
    given = call(parts.linear, operands, params, [*[None] * len(residuals), *moving], results_like)
    return outs, tangents_by_flags(outs, parts.out_nonzeros, given)


def _transpose(cotangents: Any, *args: Any, jaxpr: Any, **params: Any) -> Any:
    linear = [is_undefined_primal(arg) for arg in args]
    ins = [("in", i) for i, is_linear in enumerate(linear) if not is_linear]
    ins += [("out", i) for i, ct in enumerate(cotangents) if type(ct) is not Zero]
    outs = [("in", i) for i, is_linear in enumerate(linear) if is_linear]

    def bind(derived: Any, operands: Any, params: Any) -> list[Any]:
        all_there = len(derived.jaxpr.outvars) == len(outs)
        return call(
            derived, operands, params, ins, outs if all_there else [None] * len(derived.jaxpr.outvars)
        )

    return call_transpose(bind, jaxpr, cotangents, args, params)


def _batch(trace: Any, args: Any, dims: Any, *, jaxpr: Any, **params: Any) -> Any:
    batched, out_dims = batch_jaxpr(jaxpr, trace.size, dims, name=trace.name, spmd_name=trace.spmd_name)
    params = {**params, **_stacked(params, "in", dims, trace), **_stacked(params, "out", out_dims, trace)}
    return call(batched, args, params), out_dims


def _stacked(params: dict[str, Any], side: str, dims: Any, trace: Any) -> dict[str, Any]:
    """The shardings and layouts of arguments or results with a new dimension, which `spmd_axis_name` splits."""
    found = {}
    for what in ("shardings", "layouts"):
        given = params.get(f"{side}_{what}", ())
        found[f"{side}_{what}"] = tuple(
            each
            if dim is None or not hasattr(each, "with_dimension")
            else each.with_dimension(dim, trace.spmd_name)
            for each, dim in zip(given, dims, strict=False)
        )
    return found


def _dce(used: Any, eqn: Any) -> Any:
    used_inputs, shorter = dce_closed_call(used, eqn)
    if shorter is None or shorter is eqn:
        return used_inputs, shorter
    params = dict(shorter.params)
    for names, flags in ((_PER_ARGUMENT, used_inputs), (_PER_RESULT, used)):
        for name in names:
            if name in params and len(params[name]) == len(flags):
                params[name] = tuple(v for v, keep in zip(params[name], flags, strict=True) if keep)
    return used_inputs, shorter.replace(params=params)


jit_p.def_effectful_abstract_eval(_abstract)
jit_p.jvp_rule = _jvp
jit_p.linearize_rule = _linearize
jit_p.transpose_rule = _transpose
jit_p.axis_batch_rule = _batch
jit_p.dce_rule = _dce
