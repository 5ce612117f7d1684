"""Minimization of smooth functions by quasi-Newton methods, as one compiled loop."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from canter import lax, numpy as cnp
from canter.transforms.derivatives import value_and_grad

from .line_search import line_search

__all__ = ["OptimizeResults", "minimize"]


class OptimizeResults(NamedTuple):
    """What a minimization found.

    Attributes:
      x: where.
      success: whether it is a minimum, to the tolerance.
      status: 0, or why it ended: 1 too many steps, 2 or 3 too many evaluations of the function or of its
        gradient, 4 no more progress, 5 the line search failed.
      fun: the function there.
      jac: its gradient.
      hess_inv: an estimate of the inverse of its Hessian, or None.
      nfev: how often the function was evaluated.
      njev: how often its gradient.
      nit: how many steps were made.

    Example:
      >>> import canter as ct
      >>> ct.scipy.optimize.OptimizeResults._fields[:2]
      ('x', 'success')
    """

    x: Any
    success: Any
    status: Any
    fun: Any
    jac: Any
    hess_inv: Any
    nfev: Any
    njev: Any
    nit: Any


class _Descent(NamedTuple):
    x: Any
    value: Any
    gradient: Any
    memory: Any
    evaluations: Any
    steps: Any
    status: Any
    converged: Any


# --- two memories of the curvature ----------------------------------------------------------------


def _full_update(inverse: Any, s: Any, y: Any) -> Any:
    """The BFGS formula for the inverse of the Hessian (Nocedal, Wright, 6.17)."""
    curvature = cnp.dot(s, y)
    rho = 1 / cnp.where(curvature == 0, 1, curvature)
    left = cnp.eye(s.shape[0], dtype=s.dtype) - rho * cnp.outer(s, y)
    updated = left @ inverse @ left.T + rho * cnp.outer(s, s)
    return cnp.where(curvature > 0, updated, inverse)


class _Pairs(NamedTuple):
    steps: Any
    changes: Any
    rho: Any
    scale: Any


def _limited_update(pairs: _Pairs, s: Any, y: Any) -> _Pairs:
    curvature = cnp.dot(s, y)
    usable = curvature > 0
    safe = cnp.where(usable, curvature, 1)
    new = _Pairs(
        cnp.concatenate([pairs.steps[1:], s[None]]),
        cnp.concatenate([pairs.changes[1:], y[None]]),
        cnp.concatenate([pairs.rho[1:], (1 / safe)[None]]),
        curvature / cnp.where(usable, cnp.dot(y, y), 1),
    )
    return _Pairs(*(cnp.where(usable, a, b) for a, b in zip(new, pairs, strict=True)))


def _limited_product(pairs: _Pairs, gradient: Any) -> Any:
    """The inverse of the Hessian times a vector, by the two-loop recursion (Nocedal, Wright, 7.4)."""

    def down(q: Any, pair: Any) -> Any:
        s, y, rho = pair
        alpha = rho * cnp.dot(s, q)
        return q - alpha * y, alpha

    def up(r: Any, pair: Any) -> Any:
        s, y, rho, alpha = pair
        return r + (alpha - rho * cnp.dot(y, r)) * s, None

    history = pairs[:3]
    q, alphas = lax.scan(down, gradient, history, reverse=True)
    return lax.scan(up, pairs.scale * q, (*history, alphas))[0]


# --- the descent ----------------------------------------------------------------------------------


def _descend(
    fun: Callable[[Any], Any],
    x: Any,
    memory: Any,
    product: Callable[[Any, Any], Any],
    update: Callable[[Any, Any, Any], Any],
    options: Mapping[str, Any],
) -> _Descent:
    evaluate = value_and_grad(fun)
    value, gradient = evaluate(x)
    if cnp.ndim(value):
        raise TypeError(
            f"optimize.minimize: the function must return a scalar, got the shape {cnp.shape(value)}."
        )

    def norm(v: Any) -> Any:
        return cnp.linalg.norm(v, ord=options["norm"])

    def unfinished(state: _Descent) -> Any:
        return ~state.converged & (state.status == 0)

    def step(state: _Descent) -> _Descent:
        direction = -product(state.memory, state.gradient)
        # The memory can be spoiled by rounding: then it starts anew, downhill.
        downhill = cnp.dot(direction, state.gradient) < 0
        direction = cnp.where(downhill, direction, -state.gradient)
        size = cnp.linalg.norm(direction)
        first = cnp.where(state.steps == 0, cnp.minimum(1.0, 1 / cnp.where(size > 0, size, 1)), 1.0)
        found = line_search(
            evaluate, state.x, direction, state.value, state.gradient, options["maxls"], first.astype(x.dtype)
        )
        moved = found.length * direction
        gradient = cnp.where(found.failed, state.gradient, found.gradient)
        memory = update(state.memory, moved, gradient - state.gradient)
        steps = state.steps + 1
        evaluations = state.evaluations + found.evaluations
        flat = norm(gradient) < options["gtol"]
        change = cnp.abs(state.value - found.value) / cnp.maximum(
            1, cnp.maximum(cnp.abs(found.value), cnp.abs(state.value))
        )
        still = ~found.failed & (change <= options["ftol"])
        codes = (
            (found.failed, 5),
            (still, 4),
            (evaluations >= options["maxgrad"], 3),
            (evaluations >= options["maxfun"], 2),
            (steps >= options["maxiter"], 1),
        )
        status = cnp.asarray(0)
        for reason, code in codes:
            status = cnp.where(reason, code, status)
        return _Descent(
            state.x + moved,
            found.value,
            gradient,
            memory,
            evaluations,
            steps,
            cnp.where(flat, 0, status),
            flat,
        )

    start = _Descent(
        x,
        value,
        gradient,
        memory,
        cnp.asarray(1),
        cnp.asarray(0),
        cnp.asarray(0),
        norm(gradient) < options["gtol"],
    )
    return lax.while_loop(unfinished, step, start)


_DEFAULTS: dict[str, dict[str, Any]] = {
    "bfgs": {"maxiter": None, "norm": np.inf, "gtol": 1e-5, "line_search_maxiter": 10},
    "l-bfgs-experimental-do-not-rely-on-this": {
        "maxiter": None, "norm": np.inf, "maxcor": 10, "ftol": 2.220446049250313e-09, "gtol": 1e-5, "maxfun": None,
        "maxgrad": None, "maxls": 20,
    },
}  # fmt: skip


def _settings(method: str, size: int, tol: float | None, options: Mapping[str, Any] | None) -> dict[str, Any]:
    known = _DEFAULTS[method]
    unknown = sorted(set(options or {}) - set(known))
    if unknown:
        raise TypeError(
            f"optimize.minimize: unknown options {unknown} for method {method!r}; there are {sorted(known)}."
        )
    chosen = {"ftol": -1.0, "maxfun": None, "maxgrad": None, **known}
    if tol is not None:
        chosen["gtol"] = tol
        if method != "bfgs":
            chosen["ftol"] = tol
    chosen |= options or {}
    for name in ("maxiter", "maxfun", "maxgrad"):
        if chosen[name] is None:
            chosen[name] = size * 200 if name == "maxiter" else np.iinfo(np.int32).max
    chosen["maxls"] = operator.index(chosen["line_search_maxiter" if method == "bfgs" else "maxls"])
    return chosen


def minimize(
    fun: Callable[..., Any],
    x0: Any,
    args: tuple[Any, ...] = (),
    *,
    method: str,
    tol: float | None = None,
    options: Mapping[str, Any] | None = None,
) -> OptimizeResults:
    """Finds a local minimum of a smooth function. It can be compiled and mapped, not differentiated in reverse.

    Args:
      fun: `fun(x, *args)` returns a scalar and is differentiable.
      x0: (n,), floats: where the search begins.
      args: further arguments, a tuple.
      method: "BFGS", or "l-bfgs-experimental-do-not-rely-on-this" with little memory for large n.
      tol: the tolerance of the gradient (and, for the second method, of the value).
      options: for both "maxiter", "norm", "gtol"; for BFGS "line_search_maxiter"; for the other "maxcor" (how
        many steps are remembered), "ftol", "maxfun", "maxgrad", "maxls".

    Returns:
      An `OptimizeResults`.

    Raises:
      TypeError: `args` is no tuple, `x0` has no float dtype, or an option is unknown.
      ValueError: the method is unknown, or `x0` no vector.

    Source: `scipy.optimize.minimize`; Nocedal, Wright, "Numerical optimization", 2nd edition, 6.1 and 7.2.

    Example:
      >>> import canter as ct, canter.numpy as cnp
      >>> found = ct.scipy.optimize.minimize(lambda x: cnp.sum((x - 2) ** 2), cnp.zeros(2), method="BFGS")
      >>> print(found.x.round(3))
      [2. 2.]
    """
    if not isinstance(args, tuple):
        raise TypeError(f"optimize.minimize: args must be a tuple, got {args!r:.60}.")
    name = method.lower()
    if name not in _DEFAULTS:
        raise ValueError(
            f"optimize.minimize: method {method!r} is not recognized; use one of 'BFGS', {list(_DEFAULTS)[1]!r}."
        )
    x0 = cnp.asarray(x0)
    if x0.ndim != 1:
        raise ValueError(
            f"optimize.minimize: x0 must have one dimension, got {x0.shape}; use canter.flatten_util.ravel_pytree."
        )
    if not cnp.issubdtype(x0.dtype, np.floating):
        raise TypeError(f"optimize.minimize: x0 must be of a float dtype, got {x0.dtype}.")
    size = x0.shape[0]
    chosen = _settings(name, size, tol, options)

    def objective(x: Any) -> Any:
        return fun(x, *args)

    if name == "bfgs":
        start = cnp.eye(size, dtype=x0.dtype)
        end = _descend(objective, x0, start, lambda h, g: h @ g, _full_update, chosen)
        inverse = end.memory
    else:
        rows = cnp.zeros((chosen["maxcor"], size), x0.dtype)
        empty = _Pairs(rows, rows, cnp.zeros(chosen["maxcor"], x0.dtype), cnp.ones((), x0.dtype))
        end = _descend(objective, x0, empty, _limited_product, _limited_update, chosen)
        inverse = None
    return OptimizeResults(
        x=end.x, success=end.converged | (end.status == 4), status=end.status, fun=end.value, jac=end.gradient,
        hess_inv=inverse, nfev=end.evaluations, njev=end.evaluations, nit=end.steps,
    )  # fmt: skip
