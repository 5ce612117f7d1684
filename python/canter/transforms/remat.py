"""Rematerialization: computing the forward pass again in the backward pass instead of storing it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from ..core import pytree
from ..core.avals import get_aval
from ..core.effects import refuse_effects, remat_allowed_effects
from ..core.jaxpr import ClosedJaxpr, Jaxpr, Literal, eval_jaxpr
from ..core.primitive import Primitive
from ..core.tracing import trace_to_jaxpr
from .batching import batch_jaxpr
from .calling import FlatFunction, debug_info, normalize_argnums
from .jvp import call_jvp
from .linearize import linearize_jaxpr
from .partial_evaluation import close_over_nothing, dce_jaxpr, prune_consts
from .rules import deflinear, defvectorized
from .transpose import call_transpose
from .zeros import Zero, tangents_by_flags

__all__ = ["checkpoint", "checkpoint_name", "checkpoint_policies", "name_p", "remat", "remat_p"]

P = ParamSpec("P")
R = TypeVar("R")

remat_p = Primitive("remat2", multiple_results=True)
remat_p.call_primitive = True


def checkpoint(
    fun: Callable[P, R] | None = None,
    *,
    prevent_cse: bool = True,
    policy: Callable[..., Any] | None = None,
    static_argnums: int | Sequence[int] = (),
    concrete: bool = False,
) -> Any:
    """Makes reverse-mode differentiation of a function recompute its intermediate values.

    Args:
      fun: the function; None gives a decorator.
      prevent_cse: keep the compiler from merging the recomputation with the first computation.
      policy: says which intermediate values to keep after all, `policy(primitive, *avals, **params)`;
        see `checkpoint_policies`. None keeps none.
      static_argnums: positional arguments that are not arrays; they must be hashable.
      concrete: no longer supported, must be False.

    Returns:
      A function of the same signature and values.

    Raises:
      NotImplementedError: `concrete` is True.

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
            checkpoint, prevent_cse=prevent_cse, policy=policy, static_argnums=static_argnums
        )
    function: Callable[..., Any] = fun

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        target: Callable[..., Any] = function
        dynamic: tuple[Any, ...] = args
        if static_argnums != ():
            static = normalize_argnums(static_argnums, len(args), "checkpoint: static")
            target = _bind_static(function, args, static)
            dynamic = tuple(x for i, x in enumerate(args) if i not in static)
        leaves, in_tree = pytree.tree_flatten((dynamic, kwargs))
        flat = FlatFunction(lambda xs, named: target(*xs, **named), in_tree)
        info = debug_info(function, "checkpoint")
        closed, consts = close_over_nothing(
            trace_to_jaxpr(flat, [get_aval(x) for x in leaves], debug_info=info)
        )
        outs = remat_p.bind(
            *consts, *leaves, jaxpr=closed.jaxpr, prevent_cse=prevent_cse, differentiated=False, policy=policy
        )
        return flat.out_tree.unflatten(outs)

    return wrapped


remat = checkpoint


def _bind_static(fun: Callable[..., Any], args: Sequence[Any], static: Sequence[int]) -> Callable[..., Any]:
    def bound(*dynamic: Any, **kwargs: Any) -> Any:
        full = list(dynamic)
        for i in sorted(static):
            full.insert(i, args[i])
        return fun(*full, **kwargs)

    return bound


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
    return remat_p.bind(*consts, *args, **{**params, "jaxpr": opened.jaxpr})


def _jvp(primals: Any, tangents: Any, *, jaxpr: Jaxpr, **params: Any) -> Any:
    return call_jvp(_bind, _closed(jaxpr), primals, tangents, params)


def _linearize(primals: Any, tangents: Any, *, jaxpr: Jaxpr, policy: Any, **params: Any) -> Any:
    refuse_effects(jaxpr.effects, remat_allowed_effects, "partial-eval of `checkpoint`/`remat`")
    nonzeros = [type(t) is not Zero for t in tangents]
    parts = linearize_jaxpr(_closed(jaxpr), nonzeros)
    num_outs = len(parts.out_nonzeros)
    forward = parts.known.jaxpr
    saved = _saveable(forward, policy)
    with_saved = forward.replace(outvars=[*forward.outvars[:num_outs], *saved])
    with_saved, _ = dce_jaxpr(with_saved, [True] * len(with_saved.outvars), keep_inputs=True)
    results = eval_jaxpr(with_saved, parts.known.consts, *primals)
    outs, saved_values = results[:num_outs], results[num_outs:]
    if not any(parts.out_nonzeros):
        return outs, tangents_by_flags(outs, parts.out_nonzeros, [])
    given = [t for t in tangents if type(t) is not Zero]
    operands = [*primals, *saved_values, *given]
    derived, used = _recompute_then_linear(parts, saved, len(primals), [get_aval(x) for x in operands])
    kept = [x for x, keep in zip(operands, used, strict=True) if keep]
    tangents_out = _bind(derived, kept, {**params, "policy": policy, "differentiated": True})
    return outs, tangents_by_flags(outs, parts.out_nonzeros, tangents_out)


def _saveable(jaxpr: Jaxpr, policy: Any) -> list[Any]:
    if policy is None:
        return []
    saved = []
    for eqn in jaxpr.eqns:
        verdict = policy(eqn.primitive, *[v.aval for v in eqn.invars], **eqn.params)
        if not isinstance(verdict, (bool, type(None))) and not hasattr(verdict, "__bool__"):
            raise NotImplementedError(
                f"checkpoint: the policy answered {verdict!r}; policies that offload to other memories are not "
                "supported yet. Use a policy that answers True or False."
            )
        if verdict:
            saved.extend(eqn.outvars)
    return saved


def _recompute_then_linear(
    parts: Any, saved: Any, num_args: int, avals: Any
) -> tuple[ClosedJaxpr, list[bool]]:
    """The program that recomputes the residuals and applies the linear part; and what it needs."""
    forward = parts.known.jaxpr

    def program(*operands: Any) -> list[Any]:
        args, rest = operands[:num_args], operands[num_args:]
        env = dict(zip(saved, rest[: len(saved)], strict=True))
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
        results = eqn.primitive.bind(*operands, **eqn.params)
        for var, result in zip(
            eqn.outvars, results if eqn.primitive.multiple_results else (results,), strict=True
        ):
            env.setdefault(var, result)
    return [v.val if type(v) is Literal else env[v] for v in jaxpr.outvars]


def _transpose(cotangents: Any, *args: Any, jaxpr: Jaxpr, **params: Any) -> Any:
    return call_transpose(_bind, _closed(jaxpr), cotangents, args, params)


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
        params={**eqn.params, "jaxpr": jaxpr},
        effects=jaxpr.effects,
    )


remat_p.def_effectful_abstract_eval(lambda *avals, jaxpr, **params: (jaxpr.out_avals, jaxpr.effects))
remat_p.jvp_rule = _jvp
remat_p.linearize_rule = _linearize
remat_p.transpose_rule = _transpose
remat_p.axis_batch_rule = _batch
remat_p.dce_rule = _dce


# --- names and policies ---------------------------------------------------------------------------

name_p = Primitive("name")
name_p.def_abstract_eval(lambda x, *, name: x)
deflinear(name_p, lambda ct, x, *, name: [ct])
defvectorized(name_p)


def checkpoint_name(x: Any, name: str) -> Any:
    """Names an intermediate value, for checkpoint policies to refer to.

    Args:
      x: a tree of arrays.
      name: the name.

    Returns:
      The same values.

    Example:
      >>> import canter as ct
      >>> from canter.ad_checkpoint import checkpoint_name
      >>> float(checkpoint_name(ct.numpy.sin(0.0), "angle"))
      0.0
    """
    return pytree.tree_map(lambda leaf: name_p.bind(leaf, name=name), x)


def _names_policy(decide: Callable[[str], bool]) -> Callable[..., bool]:
    def policy(primitive: Primitive, *avals: Any, **params: Any) -> bool:
        return primitive is name_p and decide(params["name"])

    return policy


class CheckpointPolicies:
    """Policies for `checkpoint`: which intermediate values to keep instead of computing them again.

    Each is a function `(primitive, *avals, **params) -> bool`, or makes one.
    """

    @staticmethod
    def everything_saveable(*_: Any, **__: Any) -> bool:
        """Keeps every value: no recomputation."""
        return True

    @staticmethod
    def nothing_saveable(*_: Any, **__: Any) -> bool:
        """Keeps no value: computes everything again."""
        return False

    @staticmethod
    def dots_saveable(primitive: Primitive, *_: Any, **__: Any) -> bool:
        """Keeps the results of matrix products and convolutions."""
        return primitive.name in ("dot_general", "conv_general_dilated", "ragged_dot_general")

    checkpoint_dots = dots_saveable

    @staticmethod
    def dots_with_no_batch_dims_saveable(primitive: Primitive, *_: Any, **params: Any) -> bool:
        """Keeps the results of matrix products without batch dimensions."""
        if primitive.name != "dot_general":
            return False
        _, (lhs_batch, rhs_batch) = params["dimension_numbers"]
        return not lhs_batch and not rhs_batch

    checkpoint_dots_with_no_batch_dims = dots_with_no_batch_dims_saveable

    @staticmethod
    def save_only_these_names(*names: str) -> Callable[..., bool]:
        """Keeps the values named by `checkpoint_name` that are listed."""
        return _names_policy(frozenset(names).__contains__)

    @staticmethod
    def save_any_names_but_these(*names: str) -> Callable[..., bool]:
        """Keeps the values named by `checkpoint_name` that are not listed."""
        return _names_policy(lambda name: name not in names)

    @staticmethod
    def save_anything_except_these_names(*names: str) -> Callable[..., bool]:
        """Keeps every value but those named by `checkpoint_name` that are listed."""

        def policy(primitive: Primitive, *avals: Any, **params: Any) -> bool:
            return not (primitive is name_p and params["name"] in names)

        return policy

    @staticmethod
    def save_from_both_policies(first: Callable[..., Any], second: Callable[..., Any]) -> Callable[..., bool]:
        """Keeps what either policy keeps."""
        return lambda *args, **params: bool(first(*args, **params) or second(*args, **params))


checkpoint_policies = CheckpointPolicies()
