"""Rematerialization: computing the forward pass again in the backward pass instead of storing it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np

from ..core import pytree
from ..core.avals import get_aval
from ..core.effects import refuse_effects, remat_allowed_effects
from ..core.high import MutableAval
from ..core.jaxpr import ClosedJaxpr, Jaxpr, Literal, apply_eqn, eval_jaxpr
from ..core.primitive import Primitive
from ..core.tracing import argument_aval, trace_to_jaxpr
from .batching import batch_jaxpr
from .calling import FlatFunction, debug_info, function_name, normalize_argnums
from .checkpoint_policies import Offloadable, Recompute, Saveable
from .jvp import call_jvp
from .linearize import linearize_jaxpr
from .partial_evaluation import close_over_nothing, dce_jaxpr, prune_consts
from .rules import array_ops
from .transpose import call_transpose
from .zeros import Zero, is_undefined_primal, tangents_by_flags

__all__ = ["checkpoint", "remat", "remat_p"]

P = ParamSpec("P")
R = TypeVar("R")

remat_p = Primitive("remat2", multiple_results=True)
remat_p.call_primitive = True


def checkpoint(
    fun: Callable[P, R] | None = None,
    *,
    prevent_cse: bool | Sequence[Any] = True,
    policy: Callable[..., Any] | None = None,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Iterable[str] = (),
    concrete: bool = False,
) -> Any:
    """Makes reverse-mode differentiation of a function recompute its intermediate values.

    Args:
      fun: the function; None gives a decorator.
      prevent_cse: keep the compiler from merging the recomputation with the first computation. A
        sequence says it of each positional argument, by a bool or a tree of bools: what is computed
        from an argument without it may be merged.
      policy: says which intermediate values to keep after all, `policy(primitive, *avals, **params)`;
        see `checkpoint_policies`. It answers a bool, `Saveable`, `Recompute`, or `Offloadable` for
        values to keep in another memory. None keeps none.
      static_argnums: positional arguments that are not arrays; they must be hashable.
      static_argnames: parameters that are not arrays, by name.
      concrete: no longer supported, must be False.

    Returns:
      A function of the same signature and values.

    Raises:
      NotImplementedError: `concrete` is True.
      TypeError, ValueError: `static_argnums`, `static_argnames` or `prevent_cse` do not fit the call.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> f = ct.checkpoint(lambda x: cnp.sin(cnp.sin(x)))
      >>> round(float(ct.grad(f)(1.0)), 4)
      0.36
    """
    if concrete:
        raise NotImplementedError("checkpoint(concrete=True) is not supported; use static_argnums.")
    if fun is None:
        return functools.partial(
            checkpoint,
            prevent_cse=prevent_cse,
            policy=policy,
            static_argnums=static_argnums,
            static_argnames=static_argnames,
        )
    function: Callable[..., Any] = fun
    names = (static_argnames,) if isinstance(static_argnames, str) else tuple(static_argnames)

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        static = _static_positions(function, static_argnums, names, len(args))
        dynamic = tuple(x for i, x in enumerate(args) if i not in static)
        named = {k: x for k, x in kwargs.items() if k not in names}
        fixed = {k: x for k, x in kwargs.items() if k in names}

        def target(xs: Sequence[Any], given: dict[str, Any]) -> Any:
            full = list(xs)
            for i in static:
                full.insert(i, args[i])
            return function(*full, **given, **fixed)

        leaves, in_tree = pytree.tree_flatten((dynamic, named))
        flat = FlatFunction(target, in_tree)
        info = debug_info(function, "checkpoint")
        closed, consts = close_over_nothing(
            trace_to_jaxpr(flat, list(map(argument_aval, leaves)), debug_info=info)
        )
        hidden = prevent_cse
        if not isinstance(hidden, bool):
            hidden = (True,) * len(consts) + _hidden_leaves(hidden, args, static, named)
        outs = remat_p.bind(
            *consts, *leaves, jaxpr=closed.jaxpr, prevent_cse=hidden, differentiated=False, policy=policy
        )
        return flat.out_tree.unflatten(outs)

    return wrapped


remat = checkpoint


def _static_positions(fun: Any, argnums: Any, names: Sequence[str], num_args: int) -> list[int]:
    """The positional arguments that are static, by number or by name; in ascending order."""
    static = set(normalize_argnums(argnums, num_args, "checkpoint: static")) if argnums != () else set()
    if names:
        import inspect

        parameters = list(inspect.signature(fun).parameters)
        for name in names:
            if name not in parameters:
                raise ValueError(
                    f"checkpoint: static_argnames names {name!r}, but {function_name(fun)} has no such parameter; "
                    f"it has {', '.join(parameters)}."
                )
            position = parameters.index(name)
            if position < num_args:
                static.add(position)
    return sorted(static)


def _hidden_leaves(
    prevent_cse: Sequence[Any], args: Sequence[Any], static: Sequence[int], named: dict[str, Any]
) -> tuple[bool, ...]:
    """`prevent_cse`, given per argument, for each leaf."""
    if len(prevent_cse) != len(args):
        raise ValueError(
            f"checkpoint: prevent_cse has {len(prevent_cse)} entries, but the function was called with {len(args)} "
            "positional arguments. Give one entry an argument, or one bool for all."
        )
    flags: list[bool] = []
    for i, (flag, arg) in enumerate(zip(prevent_cse, args, strict=True)):
        if i not in static:
            flags.extend(map(bool, pytree.broadcast_prefix(flag, arg)))
    return (*flags, *[True] * len(pytree.tree_leaves(named)))


def _padded(params: dict[str, Any], count: int) -> dict[str, Any]:
    """The parameters of a call with more operands behind, all of them hidden from the compiler."""
    hidden = params["prevent_cse"]
    if isinstance(hidden, bool):
        return params
    return {**params, "prevent_cse": (*hidden, *[True] * (count - len(hidden)))}


def _selected(params: dict[str, Any], keep: Sequence[bool]) -> dict[str, Any]:
    """The parameters of a call with some of the operands only."""
    hidden = params["prevent_cse"]
    if isinstance(hidden, bool):
        return params
    return {**params, "prevent_cse": tuple(h for h, k in zip(hidden, keep, strict=True) if k)}


def _closed(jaxpr: Jaxpr) -> ClosedJaxpr:
    """The closed form of a jaxpr without constants, always the same object so that memos hold."""
    known = _closed_forms.get(id(jaxpr))
    if known is None or known.jaxpr is not jaxpr:
        if len(_closed_forms) > 1024:
            _closed_forms.clear()
        known = _closed_forms[id(jaxpr)] = ClosedJaxpr(jaxpr, [])
    return known


_closed_forms: dict[int, ClosedJaxpr] = {}


def _bind(closed: ClosedJaxpr, args: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    opened, consts = close_over_nothing(closed)
    params = _padded(params, len(args))
    if consts and not isinstance(params["prevent_cse"], bool):
        params = {**params, "prevent_cse": ((True,) * len(consts) + params["prevent_cse"])}
    return remat_p.bind(*consts, *args, **{**params, "jaxpr": opened.jaxpr})


def _jvp(primals: Any, tangents: Any, *, jaxpr: Jaxpr, **params: Any) -> Any:
    return call_jvp(_bind, _closed(jaxpr), primals, tangents, params)


def _linearize(primals: Any, tangents: Any, *, jaxpr: Jaxpr, policy: Any, **params: Any) -> Any:
    refuse_effects(jaxpr.effects, remat_allowed_effects, "partial-eval of `checkpoint`/`remat`")
    if any(isinstance(v.aval, MutableAval) for v in jaxpr.invars):
        raise NotImplementedError(
            "checkpoint: the backward pass would read a mutable value of a high type again, when it may have changed. "
            "Read it before, and pass the function what it holds."
        )
    nonzeros = [type(t) is not Zero for t in tangents]
    parts = linearize_jaxpr(_closed(jaxpr), nonzeros)
    num_outs = len(parts.out_nonzeros)
    forward = parts.known.jaxpr
    saved, moves = _saveable(forward, policy)
    with_saved = forward.replace(outvars=[*forward.outvars[:num_outs], *saved])
    with_saved, _ = dce_jaxpr(with_saved, [True] * len(with_saved.outvars), keep_inputs=True)
    results = eval_jaxpr(with_saved, parts.known.consts, *primals)
    outs = results[:num_outs]
    if not any(parts.out_nonzeros):
        return outs, tangents_by_flags(outs, parts.out_nonzeros, [])
    saved_values = [
        x if move is None else array_ops.move_to_memory(x, move.dst)
        for x, move in zip(results[num_outs:], moves, strict=True)
    ]
    given = [t for t in tangents if type(t) is not Zero]
    operands = [*primals, *saved_values, *given]
    avals = [get_aval(x) for x in operands]
    derived, used = _recompute_then_linear(parts, saved, moves, len(primals), avals)
    kept = [x for x, keep in zip(operands, used, strict=True) if keep]
    call = _selected(_padded({**params, "policy": policy, "differentiated": True}, len(operands)), used)
    tangents_out = _bind(derived, kept, call)
    return outs, tangents_by_flags(outs, parts.out_nonzeros, tangents_out)


def _saveable(jaxpr: Jaxpr, policy: Any) -> tuple[list[Any], list[Offloadable | None]]:
    """The variables whose values are kept, and for each where it is moved to meanwhile."""
    saved: list[Any] = []
    moves: list[Offloadable | None] = []
    for eqn in jaxpr.eqns if policy is not None else ():
        verdict = policy(eqn.primitive, *[v.aval for v in eqn.invars], **eqn.params)
        if isinstance(verdict, Offloadable):
            saved.extend(eqn.outvars)
            moves.extend([verdict] * len(eqn.outvars))
        elif verdict is Recompute:
            continue
        elif verdict is Saveable or _as_bool(verdict):
            saved.extend(eqn.outvars)
            moves.extend([None] * len(eqn.outvars))
    return saved, moves


def _as_bool(verdict: Any) -> bool:
    if verdict is None or isinstance(verdict, (bool, np.bool_)):
        return bool(verdict)
    raise TypeError(
        f"checkpoint: the policy answered {verdict!r} for an operation. A policy answers True or False, or one of "
        "Saveable, Recompute and Offloadable(src, dst) of canter.ad_checkpoint."
    )


def _recompute_then_linear(
    parts: Any, saved: Any, moves: Sequence[Offloadable | None], num_args: int, avals: Any
) -> tuple[ClosedJaxpr, list[bool]]:
    """The program that recomputes the residuals and applies the linear part; and what it needs."""
    forward = parts.known.jaxpr

    def program(*operands: Any) -> list[Any]:
        args, rest = operands[:num_args], operands[num_args:]
        back = [
            x if move is None else array_ops.move_to_memory(x, move.src)
            for x, move in zip(rest[: len(saved)], moves, strict=True)
        ]
        env = dict(zip(saved, back, strict=True))
        results = _eval_given(parts.known, args, env)
        residuals = parts.residuals(args, results)
        return eval_jaxpr(parts.linear.jaxpr, parts.linear.consts, *residuals, *rest[len(saved) :])

    closed = trace_to_jaxpr(program, avals, debug_info=forward.debug_info)
    jaxpr, used = dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))
    return prune_consts(ClosedJaxpr(jaxpr, closed.consts)), used


def _eval_given(closed: ClosedJaxpr, args: Sequence[Any], env: dict[Any, Any]) -> list[Any]:
    """Evaluates a program of which some intermediate values are given."""
    jaxpr = closed.jaxpr
    env = {
        **env,
        **dict(zip(jaxpr.constvars, closed.consts, strict=True)),
        **dict(zip(jaxpr.invars, args, strict=True)),
    }
    for eqn in jaxpr.eqns:
        if all(v in env for v in eqn.outvars):
            continue
        operands = [v.val if type(v) is Literal else env[v] for v in eqn.invars]
        for var, result in zip(eqn.outvars, apply_eqn(eqn, operands), strict=True):
            env.setdefault(var, result)
    return [v.val if type(v) is Literal else env[v] for v in jaxpr.outvars]


def _transpose(cotangents: Any, *args: Any, jaxpr: Jaxpr, **params: Any) -> Any:
    known = _selected(params, [not is_undefined_primal(x) for x in args])
    return call_transpose(_bind, _closed(jaxpr), cotangents, args, known)


def _batch(trace: Any, args: Any, dims: Any, *, jaxpr: Jaxpr, **params: Any) -> Any:
    batched, out_dims = batch_jaxpr(
        _closed(jaxpr), trace.size, dims, name=trace.name, spmd_name=trace.spmd_name
    )
    return _bind(batched, args, params), out_dims


def _dce(used: Any, eqn: Any) -> Any:
    if not any(used) and not eqn.effects:
        return [False] * len(eqn.invars), None
    jaxpr, used_inputs = dce_jaxpr(eqn.params["jaxpr"], used)
    return used_inputs, eqn.replace(
        invars=[v for v, u in zip(eqn.invars, used_inputs, strict=True) if u],
        outvars=[v for v, u in zip(eqn.outvars, used, strict=True) if u],
        params={**_selected(eqn.params, used_inputs), "jaxpr": jaxpr},
        effects=jaxpr.effects,
    )


remat_p.def_effectful_abstract_eval(lambda *avals, jaxpr, **params: (jaxpr.out_avals, jaxpr.effects))
remat_p.jvp_rule = _jvp
remat_p.linearize_rule = _linearize
remat_p.transpose_rule = _transpose
remat_p.axis_batch_rule = _batch
remat_p.dce_rule = _dce
