"""Cumulative operations along one dimension: sum, product, extrema, log-sum-exp."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.avals import get_aval
from ..core.primitive import Primitive
from ..transforms.rules import Zero, defjvp2, deflinear
from .common import FLOATING, NUMBER, Array, check_dtype, const, ops, publish


def _cumulative(
    name: str, kinds: tuple[Any, ...], what: str, kinds_text: str, example: str, printed: str
) -> tuple[Primitive, Callable[..., Array]]:
    """A cumulative primitive, and its public function."""
    primitive = Primitive(name)

    def shape_rule(x: Any, *, axis: int, reverse: bool) -> Any:
        check_dtype(name, x.dtype, kinds)
        if not 0 <= axis < x.ndim:
            raise ValueError(
                f"{name}: axis {axis} is out of bounds for array of shape {x.shape}; it must be in "
                f"[0, {x.ndim})."
            )
        return x

    def batch(args: Any, dims: Any, *, axis: int, reverse: bool) -> Any:
        (x,), (dim,) = args, dims
        return primitive.bind(x, axis=axis + (axis >= dim), reverse=reverse), dim

    def accumulate(operand: Array, axis: int = 0, reverse: bool = False) -> Array:
        return primitive.bind(operand, axis=axis.__index__(), reverse=bool(reverse))

    primitive.def_abstract_eval(shape_rule)
    primitive.def_batching(batch)
    doc = f"""{what} of all elements up to each one, along a dimension.

    Args:
      operand: array of {kinds_text} dtype.
      axis: the dimension, in [0, operand.ndim).
      reverse: whether to begin at the end.

    Returns:
      An array of the operand's shape and dtype.

    Raises:
      TypeError: the dtype is of another kind.
      ValueError: there is no such dimension.

    Example:
      >>> import numpy as np
      >>> from canter import lax
      >>> {example}
      {printed}
    """
    return primitive, publish(accumulate, name, doc)


cumsum_p, cumsum = _cumulative(
    "cumsum",
    NUMBER,
    "The sum",
    "an integer, floating or complex",
    "np.asarray(lax.cumsum(np.array([1, 2, 3]))).tolist()",
    "[1, 3, 6]",
)
cumprod_p, cumprod = _cumulative(
    "cumprod",
    NUMBER,
    "The product",
    "an integer, floating or complex",
    "np.asarray(lax.cumprod(np.array([1, 2, 3]), reverse=True)).tolist()",
    "[6, 6, 3]",
)
cummax_p, cummax = _cumulative(
    "cummax",
    NUMBER,
    "The largest",
    "an integer, floating or complex",
    "np.asarray(lax.cummax(np.array([1, 3, 2]))).tolist()",
    "[1, 3, 3]",
)
cummin_p, cummin = _cumulative(
    "cummin",
    NUMBER,
    "The smallest",
    "an integer, floating or complex",
    "np.asarray(lax.cummin(np.array([2, 3, 1]))).tolist()",
    "[2, 2, 1]",
)
cumlogsumexp_p, cumlogsumexp = _cumulative(
    "cumlogsumexp",
    FLOATING,
    "The logarithm of the sum of the exponentials",
    "a floating",
    "[round(y, 4) for y in np.asarray(lax.cumlogsumexp(np.zeros(3))).tolist()]",
    "[0.0, 0.6931, 1.0986]",
)


# --- derivatives ----------------------------------------------------------------------------------


def _shifted(x: Any, fill: Any, steps: int, axis: int, reverse: bool) -> Any:
    """The elements `steps` places before, with `fill` where there are none."""
    config = [(0, 0, 0)] * len(get_aval(x).shape)
    config[axis] = (-steps, steps, 0) if reverse else (steps, -steps, 0)
    return ops.pad(x, const(x, fill), config)


def _doublings(size: int) -> list[int]:
    """Shifts 1, 2, 4, ... of a prefix scan by recursive doubling (Hillis and Steele 1986)."""
    return [1 << k for k in range(max(size - 1, 0).bit_length())]


def _define_doubling_jvp(primitive: Primitive, unit: float, extend: Callable[..., tuple[Any, Any]]) -> None:
    """Declares the jvp of a prefix operation: values and tangents of parts that double in length.

    Args:
      primitive: the operation.
      unit: what an empty part has as its value.
      extend: `(value, tangent, value before, tangent before)` gives those of the joined parts.
    """

    def jvp(primals: Any, tangents: Any, *, axis: int, reverse: bool) -> Any:
        (x,), (g,) = primals, tangents
        out = primitive.bind(x, axis=axis, reverse=reverse)
        if type(g) is Zero:
            return out, Zero.from_primal_value(out)
        value, dot = x, g
        for steps in _doublings(get_aval(x).shape[axis]):
            before = _shifted(value, unit, steps, axis, reverse)
            dot_before = _shifted(dot, 0, steps, axis, reverse)
            value, dot = extend(value, dot, before, dot_before)
        return out, dot

    primitive.def_jvp(jvp)


def _extend_product(product: Any, dot: Any, before: Any, dot_before: Any) -> tuple[Any, Any]:
    dot = ops.add(ops.mul(dot, before), ops.mul(dot_before, product))
    return ops.mul(before, product), dot


def _extend_log_sum(total: Any, dot: Any, before: Any, dot_before: Any) -> tuple[Any, Any]:
    share = ops.logistic(_difference(before, total))
    dot = ops.add(ops.mul(dot, ops.sub(const(share, 1), share)), ops.mul(dot_before, share))
    return _log_add(before, total), dot


def _difference(x: Any, y: Any) -> Any:
    """`x - y`, and 0 where both are the same infinity."""
    return ops.select_n(ops.eq(x, y), ops.sub(x, y), ops.full_like(x, 0))


def _log_add(x: Any, y: Any) -> Any:
    """log(exp(x) + exp(y)) for the part before and the part from an element on."""
    larger = ops.max(x, y)
    return ops.add(larger, ops.log1p(ops.exp(ops.neg(ops.abs(_difference(x, y))))))


def _cumulative_extremum_jvp(g: Any, y: Any, x: Any, *, axis: int, reverse: bool) -> Any:
    """The tangent of the element that attains the extremum so far, of equal ones the last."""
    shape = get_aval(x).shape
    places = ops.broadcasted_iota(np.int32, shape, axis)
    attains = ops.eq(x, y)
    size = shape[axis]
    if reverse:
        place = cummin(
            ops.select_n(attains, ops.full_like(places, max(size - 1, 0)), places), axis, reverse=True
        )
    else:
        place = cummax(ops.select_n(attains, ops.full_like(places, 0), places), axis)
    return take_along(g, place, axis)


def take_along(x: Any, places: Any, axis: int) -> Any:
    """Elements of `x` at places along one axis; `places` has the rank of `x` and its other sizes."""
    shape = get_aval(places).shape
    others = tuple(d for d in range(len(shape)) if d != axis)
    numbers = ops.GatherDimensionNumbers(
        offset_dims=(),
        collapsed_slice_dims=(axis,),
        start_index_map=(axis,),
        operand_batching_dims=others,
        start_indices_batching_dims=others,
    )
    return ops.gather(
        x,
        ops.reshape(places, (*shape, 1)),
        dimension_numbers=numbers,
        slice_sizes=(1,) * len(shape),
        mode=ops.GatherScatterMode.PROMISE_IN_BOUNDS,
    )


deflinear(cumsum_p, lambda ct, x, *, axis, reverse: [cumsum_p.bind(ct, axis=axis, reverse=not reverse)])
_define_doubling_jvp(cumprod_p, 1, _extend_product)
_define_doubling_jvp(cumlogsumexp_p, -math.inf, _extend_log_sum)
defjvp2(cummax_p, _cumulative_extremum_jvp)
defjvp2(cummin_p, _cumulative_extremum_jvp)
