"""Comparisons, and choosing between arrays by their results."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import dtypes
from ..core.avals import ShapedArray, get_aval
from ..core.primitive import Primitive
from ..transforms import rules
from ..transforms.rules import Zero, is_undefined_primal
from .common import (
    ANY,
    ORDERED,
    Array,
    ArrayLike,
    check_dtype,
    check_same_dtypes,
    defzero,
    nary,
    nary_primitive,
    ops,
    shapes_text,
)

_BOOL = np.dtype(np.bool_)


def _bool_dtype(*operands: Any) -> Any:
    return _BOOL


eq_p, eq = nary("eq", (ANY, ANY), "Equality: x == y.", "bool(lax.eq(1.0, 1.0))", "True", result=_bool_dtype)
ne_p, ne = nary(
    "ne", (ANY, ANY), "Inequality: x != y.", "bool(lax.ne(1.0, 1.0))", "False", result=_bool_dtype
)
lt_p, lt = nary("lt", (ORDERED, ORDERED), "x < y.", "bool(lax.lt(1.0, 2.0))", "True", result=_bool_dtype)
le_p, le = nary("le", (ORDERED, ORDERED), "x <= y.", "bool(lax.le(1.0, 2.0))", "True", result=_bool_dtype)
gt_p, gt = nary("gt", (ORDERED, ORDERED), "x > y.", "bool(lax.gt(1.0, 2.0))", "False", result=_bool_dtype)
ge_p, ge = nary("ge", (ORDERED, ORDERED), "x >= y.", "bool(lax.ge(1.0, 2.0))", "False", result=_bool_dtype)

# Total order of floating point numbers: -NaN < -inf < ... < -0 < 0 < ... < inf < NaN.
eq_to_p = nary_primitive("eq_to", (ANY, ANY), _bool_dtype)
lt_to_p = nary_primitive("lt_to", (ANY, ANY), _bool_dtype)
le_to_p = nary_primitive("le_to", (ANY, ANY), _bool_dtype)

for _primitive in (eq_p, ne_p, lt_p, le_p, gt_p, ge_p, eq_to_p, lt_to_p, le_to_p):
    defzero(_primitive)


# --- select ---------------------------------------------------------------------------------------

select_n_p = Primitive("select_n")


def select_n(which: ArrayLike, *cases: ArrayLike) -> Array:
    """Takes each element from one of several arrays.

    Args:
      which: bools (False takes from the first case, True from the second) or integers that number
        the cases; a scalar, or of the shape of the cases.
      *cases: arrays of one shape and dtype; at most two where `which` is bool.

    Returns:
      An array of the cases' shape and dtype. Numbers outside of the cases give any of them.

    Raises:
      ValueError: no case was given.
      TypeError: shapes or dtypes do not fit.

    Example:
      >>> import numpy as np
      >>> from canter import lax
      >>> np.asarray(lax.select_n(np.array([True, False]), np.array([1, 2]), np.array([3, 4]))).tolist()
      [3, 2]
    """
    if not cases:
        raise ValueError("select_n() must have at least one case, as in select_n(which, on_false, on_true).")
    return select_n_p.bind(which, *cases)


def select(pred: ArrayLike, on_true: ArrayLike, on_false: ArrayLike) -> Array:
    """Takes each element from `on_true` where `pred` is True, else from `on_false`.

    Args:
      pred: bools; a scalar, or of the shape of the other operands.
      on_true: array.
      on_false: array of the same shape and dtype.

    Returns:
      An array of the shape and dtype of `on_true`.

    Raises:
      TypeError: shapes or dtypes do not fit; `canter.numpy.where` promotes and broadcasts.

    Example:
      >>> import numpy as np
      >>> from canter import lax
      >>> np.asarray(lax.select(np.array([True, False]), np.array([1, 2]), np.array([3, 4]))).tolist()
      [1, 4]
    """
    return select_n_p.bind(pred, on_false, on_true)


def _select_n_rule(which: Any, *cases: Any) -> Any:
    if not (which.dtype == _BOOL or dtypes.issubdtype(which.dtype, np.integer)):
        raise TypeError(f"select `which` must be boolean or integer type, got {which.dtype.name}.")
    if which.dtype == _BOOL and len(cases) > 2:
        raise TypeError(
            "select with boolean `which` cannot have > 2 cases. Number the cases by an integer array."
        )
    shape = cases[0].shape
    if any(case.shape != shape for case in cases):
        raise TypeError(
            f"select cases must have the same shapes, got [{shapes_text([case.shape for case in cases])}]. "
            "canter.numpy.where broadcasts."
        )
    if which.shape and which.shape != shape:
        raise TypeError(
            "select `which` must be scalar or have the same shape as cases, got `which` shape "
            f"{which.shape} but case shape {shape}. canter.numpy.where broadcasts."
        )
    check_same_dtypes("select_n", *cases)
    return ShapedArray(shape, cases[0].dtype, all(case.weak_type for case in cases))


def _select_n_jvp(primals: Any, tangents: Any) -> Any:
    which, *cases = primals
    out = select_n_p.bind(which, *cases)
    dots = tangents[1:]
    if all(type(dot) is Zero for dot in dots):
        return out, Zero.from_primal_value(out)
    return out, select_n_p.bind(which, *map(rules.instantiate_zeros, dots))


def _select_n_transpose(ct: Any, which: Any, *cases: Any) -> list[Any]:
    zeros = ops.full_like(ct, 0)

    def share(index: int) -> Any:
        return select_n_p.bind(which, *(ct if i == index else zeros for i in range(len(cases))))

    return [None, *(share(i) if is_undefined_primal(case) else None for i, case in enumerate(cases))]


def _select_n_batch(args: Any, dims: Any) -> Any:
    which, *cases = args
    which_dim, *case_dims = dims
    size = next(get_aval(x).shape[d] for x, d in zip(args, dims, strict=True) if d is not None)
    if len(set(case_dims)) == 1:
        dim = case_dims[0]
        which_shape = get_aval(which).shape
        if which_dim == dim and get_aval(cases[0]).shape == which_shape:
            return select_n_p.bind(which, *cases), dim
        if which_dim is None and not which_shape:
            return select_n_p.bind(which, *cases), dim
    cases = [rules.bdim_at_front(case, dim, size) for case, dim in zip(cases, case_dims, strict=True)]
    if which_dim is not None or get_aval(which).shape:
        which = rules.bdim_at_front(which, which_dim, size)
        shape = get_aval(cases[0]).shape
        if get_aval(which).shape != shape:  # one scalar for each element of the batch
            which = ops.broadcast_in_dim(which, shape, (0,))
    return select_n_p.bind(which, *cases), 0


select_n_p.def_abstract_eval(_select_n_rule)
select_n_p.def_jvp(_select_n_jvp)
select_n_p.def_transpose(_select_n_transpose)
select_n_p.def_batching(_select_n_batch)


# --- clamp ----------------------------------------------------------------------------------------

clamp_p = Primitive("clamp")


def clamp(min: ArrayLike, x: ArrayLike, max: ArrayLike) -> Array:
    """Limits each element to an interval: `max(min, x)`, then the lesser of that and `max`.

    Args:
      min: lower limits, a scalar or of the shape of `x`.
      x: array of an integer or floating dtype.
      max: upper limits, a scalar or of the shape of `x`.

    Returns:
      An array of the shape and dtype of `x`.

    Raises:
      TypeError: shapes or dtypes do not fit; `canter.numpy.clip` promotes and broadcasts.

    Example:
      >>> from canter import lax
      >>> float(lax.clamp(0.0, 1.5, 1.0))
      1.0
    """
    return clamp_p.bind(min, x, max)


def _clamp_rule(low: Any, x: Any, high: Any) -> Any:
    for position, aval in enumerate((low, x, high)):
        check_dtype("clamp", aval.dtype, ORDERED, position)
    check_same_dtypes("clamp", low, x, high)
    for name, limit in (("min", low), ("max", high)):
        if limit.shape and limit.shape != x.shape:
            raise TypeError(
                f"clamp requires {name}.shape == operand.shape or {name}.shape == (), got "
                f"{name}.shape={limit.shape}, operand.shape={x.shape}. canter.numpy.clip broadcasts."
            )
    return x.update(weak_type=low.weak_type and x.weak_type and high.weak_type)


def _where_clamped(inside: Any, g: Any, shape: tuple[int, ...]) -> Any:
    """The tangent where a condition holds, elsewhere 0."""
    if get_aval(g).shape != shape:
        g = ops.broadcast_in_dim(g, shape, ())
    return ops.select_n(inside, ops.full_like(g, 0), g)


def _clamp_jvp(primals: Any, tangents: Any) -> Any:
    low, x, high = primals
    low_dot, x_dot, high_dot = tangents
    out = clamp_p.bind(low, x, high)
    shape = get_aval(x).shape
    dot: Any = Zero.from_primal_value(out)
    if type(low_dot) is not Zero:
        low_counts = ops.bitwise_and(gt(low, x), lt(low, high))
        dot = rules.add_tangents(dot, _where_clamped(low_counts, low_dot, shape))
    if type(x_dot) is not Zero:
        inside = ops.bitwise_and(gt(x, low), lt(x, high))
        dot = rules.add_tangents(dot, _where_clamped(inside, x_dot, shape))
    if type(high_dot) is not Zero:
        dot = rules.add_tangents(dot, _where_clamped(lt(high, x), high_dot, shape))
    return out, dot


def _clamp_batch(args: Any, dims: Any) -> Any:
    low, x, high = args
    low_dim, x_dim, high_dim = dims
    shape = get_aval(x).shape

    def fits(limit: Any, dim: int | None) -> bool:
        own = get_aval(limit).shape
        return dim == x_dim and own == shape if own else True

    if x_dim is not None and fits(low, low_dim) and fits(high, high_dim):
        return clamp_p.bind(low, x, high), x_dim
    size = next(get_aval(a).shape[d] for a, d in zip(args, dims, strict=True) if d is not None)
    x = rules.bdim_at_front(x, x_dim, size)
    shape = get_aval(x).shape

    def limit_like_x(limit: Any, dim: int | None) -> Any:
        if dim is None and not get_aval(limit).shape:
            return limit
        limit = rules.bdim_at_front(limit, dim, size)
        return limit if get_aval(limit).shape == shape else ops.broadcast_in_dim(limit, shape, (0,))

    return clamp_p.bind(limit_like_x(low, low_dim), x, limit_like_x(high, high_dim)), 0


clamp_p.def_abstract_eval(_clamp_rule)
clamp_p.def_jvp(_clamp_jvp)
clamp_p.def_batching(_clamp_batch)
