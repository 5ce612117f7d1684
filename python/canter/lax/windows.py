"""Reductions over sliding windows, and the operations that differentiate pooling."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import dtypes, pytree
from ..core.avals import ShapedArray, get_aval
from ..core.dimensions import is_symbolic_dim, max_dim, size_of, sizes_of
from ..core.jaxpr import ClosedJaxpr, Jaxpr
from ..core.primitive import Primitive
from ..transforms import rules
from ..transforms.rules import Zero, is_undefined_primal
from .common import NUMBER, ORDERED, check_dtype, const, ops
from .comparison import ge_p, le_p
from .reductions import apply_scalar_jaxpr, check_operands_and_inits, init_like, monoid_of, scalar_jaxpr

reduce_window_p = Primitive("reduce_window", multiple_results=True)
reduce_window_sum_p = Primitive("reduce_window_sum")
reduce_window_max_p = Primitive("reduce_window_max")
reduce_window_min_p = Primitive("reduce_window_min")
select_and_scatter_p = Primitive("select_and_scatter")
select_and_scatter_add_p = Primitive("select_and_scatter_add")
select_and_gather_add_p = Primitive("select_and_gather_add")

_MONOIDS = {
    "reduce_sum": reduce_window_sum_p,
    "reduce_max": reduce_window_max_p,
    "reduce_min": reduce_window_min_p,
}


# --- windows --------------------------------------------------------------------------------------


def _dilated(size: int, dilation: int) -> int:
    return 0 if size == 0 else 1 + dilation * (size - 1)


def reduce_window_shape_tuple(
    operand_shape: Sequence[int],
    window_dimensions: Sequence[int],
    window_strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    base_dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> tuple[int, ...]:
    """The shape of the result of a reduction over windows.

    Args:
      operand_shape, window_dimensions, window_strides: one size for each dimension.
      padding: pairs (before, after).
      base_dilation, window_dilation: steps between elements; None means 1.

    Example:
      >>> from canter import lax
      >>> lax.reduce_window_shape_tuple((4, 4), (2, 2), (2, 2), ((0, 0), (0, 0)))
      (2, 2)
    """
    ones = (1,) * len(tuple(operand_shape))
    result = []
    for size, window, stride, (low, high), base, step in zip(
        operand_shape,
        window_dimensions,
        window_strides,
        padding,
        base_dilation or ones,
        window_dilation or ones,
        strict=True,
    ):
        span = _dilated(size, base) + low + high - _dilated(window, step)
        if is_symbolic_dim(span):
            result.append(max_dim(span // stride + 1, 0))
        else:
            result.append(span // stride + 1 if span >= 0 else 0)
    return tuple(result)


def _ints(name: str, what: str, values: Any, ndim: int, least: int) -> tuple[int, ...]:
    """One integer for each dimension; None means ones."""
    if values is None:
        return (1,) * ndim
    try:
        values = sizes_of(values)
    except (TypeError, AttributeError):
        raise TypeError(f"{name}: {what} must be a sequence of integers, got {values!r}.") from None
    if len(values) != ndim:
        raise TypeError(
            f"{name}: {what} must have one entry for each of the operand's {ndim} dimensions, got {values}."
        )
    if any(value < least for value in values):
        raise TypeError(f"{name} {what} must have every element be strictly positive, got {values}.")
    return values


def _window_params(
    name: str,
    shape: tuple[int, ...],
    window_dimensions: Any,
    window_strides: Any,
    padding: Any,
    base_dilation: Any = None,
    window_dilation: Any = None,
) -> dict[str, Any]:
    """Checked parameters of a window, as the primitives take them."""
    ndim = len(shape)
    dimensions = _ints(name, "window_dimensions", window_dimensions, ndim, 1)
    strides = _ints(name, "window_strides", window_strides, ndim, 1)
    base = _ints(name, "base_dilation", base_dilation, ndim, 1)
    dilation = _ints(name, "window_dilation", window_dilation, ndim, 1)
    if isinstance(padding, str):
        spans = [_dilated(window, step) for window, step in zip(dimensions, dilation, strict=True)]
        sizes = [_dilated(size, step) for size, step in zip(shape, base, strict=True)]
        padding = ops.padtype_to_pads(sizes, spans, strides, padding)
    try:
        pads = tuple((size_of(low), size_of(high)) for low, high in padding)
    except (TypeError, ValueError, AttributeError):
        raise TypeError(
            f"{name}: padding must be a name or a pair (before, after) each dimension, got {padding!r}."
        ) from None
    if len(pads) != ndim:
        raise TypeError(
            f"{name}: padding must have one pair for each of the operand's {ndim} dimensions, got {pads}."
        )
    return {
        "window_dimensions": dimensions,
        "window_strides": strides,
        "padding": pads,
        "base_dilation": base,
        "window_dilation": dilation,
    }


def reduce_window(
    operand: Any,
    init_value: Any,
    computation: Callable[[Any, Any], Any],
    window_dimensions: Sequence[int],
    window_strides: Sequence[int] | None = None,
    padding: str | Sequence[tuple[int, int]] = "VALID",
    base_dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> Any:
    """Combines the elements in each place of a sliding window by a function.

    Args:
      operand: array, or a tree of arrays of one shape.
      init_value: a tree of the same structure of scalars, the neutral element of the function; the
        padding consists of it.
      computation: takes two trees of scalars and returns one. It must be associative.
      window_dimensions: sizes of the window, one for each dimension of the operand.
      window_strides: steps between places of the window; None means 1.
      padding: "VALID", "SAME", "SAME_LOWER", or a pair (before, after) for each dimension.
      base_dilation: steps between the operand's elements, holes being filled with `init_value`.
      window_dilation: steps between the window's elements.

    Returns:
      A tree of the operand's structure.

    Raises:
      TypeError: parameters do not fit the operand's rank, or dtypes do not fit.
      ValueError: the name of the padding is unknown.

    Example:
      >>> import numpy as np
      >>> from canter import lax
      >>> np.asarray(lax.reduce_window(np.float32([1, 3, 2]), 0.0, lax.add, (2,))).tolist()
      [4.0, 5.0]
    """
    flat, treedef = pytree.tree_flatten(operand)
    inits, init_treedef = pytree.tree_flatten(init_value)
    if treedef != init_treedef or not flat:
        raise ValueError(
            f"reduce_window: operand and init_value must be trees of one structure, got "
            f"{treedef} and {init_treedef}."
        )
    avals = [get_aval(x) for x in flat]
    inits = [init_like(x, aval) for x, aval in zip(inits, avals, strict=True)]
    params = _window_params(
        "reduce_window",
        avals[0].shape,
        window_dimensions,
        window_strides,
        padding,
        base_dilation,
        window_dilation,
    )
    if len(flat) == 1 and treedef.num_nodes == 1:
        monoid = _MONOIDS.get(monoid_of(computation, inits[0], avals[0]) or "")
        if monoid is not None:
            return monoid.bind(flat[0], **params)
    closed = scalar_jaxpr("reduce_window", computation, avals, treedef)
    outs = reduce_window_p.bind(*flat, *inits, jaxpr=closed.jaxpr, consts=tuple(closed.consts), **params)
    return pytree.tree_unflatten(treedef, outs)


def _window_shape(name: str, x: Any, params: dict[str, Any]) -> tuple[int, ...]:
    for key in ("window_dimensions", "window_strides", "padding", "base_dilation", "window_dilation"):
        if len(params[key]) != x.ndim:
            raise TypeError(f"{name}: {key} {params[key]} does not fit the operand's shape {x.shape}.")
    return reduce_window_shape_tuple(x.shape, **params)


# --- batching -------------------------------------------------------------------------------------

_NEUTRAL = {
    "window_dimensions": 1,
    "window_strides": 1,
    "padding": (0, 0),
    "base_dilation": 1,
    "window_dilation": 1,
}


def _with_batch(params: dict[str, Any], dim: int) -> dict[str, Any]:
    """Parameters for an operand with one more dimension, of which every place is a window of its own."""
    return {
        name: (*value[:dim], _NEUTRAL[name], *value[dim:]) if name in _NEUTRAL else value
        for name, value in params.items()
    }


def _window_batch(primitive: Primitive) -> Any:
    """Batching for primitives all of whose operands have the batch axis at one place."""

    def batch(args: Any, dims: Any, **params: Any) -> Any:
        size = next(get_aval(x).shape[d] for x, d in zip(args, dims, strict=True) if d is not None)
        if len(set(dims)) == 1:
            dim = dims[0]
        else:
            dim = 0
            args = [rules.bdim_at_front(x, d, size) for x, d in zip(args, dims, strict=True)]
        return primitive.bind(*args, **_with_batch(params, dim)), dim

    return batch


# --- sum, max, min --------------------------------------------------------------------------------


def _declare_monoid(primitive: Primitive, kinds: tuple[Any, ...]) -> None:
    def shape_rule(x: Any, **params: Any) -> Any:
        check_dtype(primitive.name, x.dtype, kinds)
        return x.update(shape=_window_shape(primitive.name, x, params))

    primitive.def_abstract_eval(shape_rule)
    primitive.def_batching(_window_batch(primitive))


_declare_monoid(reduce_window_sum_p, NUMBER)
_declare_monoid(reduce_window_max_p, ORDERED)
_declare_monoid(reduce_window_min_p, ORDERED)


def _sum_transpose(
    ct: Any,
    x: Any,
    *,
    window_dimensions: Any,
    window_strides: Any,
    padding: Any,
    base_dilation: Any,
    window_dilation: Any,
) -> list[Any]:
    """Each element gets the sum of the cotangents of the windows that it was in."""
    shape = x.aval.shape
    config = []
    for size, out, window, stride, (low, _), base, step in zip(
        shape,
        get_aval(ct).shape,
        window_dimensions,
        window_strides,
        padding,
        base_dilation,
        window_dilation,
        strict=True,
    ):
        before = _dilated(window, step) - 1 - low
        after = _dilated(size, base) + low - _dilated(out, stride)
        config.append((before, after, stride - 1))
    ones = (1,) * len(shape)
    result = reduce_window_sum_p.bind(
        ops.pad(ct, const(ct, 0), config),
        window_dimensions=window_dimensions,
        window_strides=base_dilation,
        padding=((0, 0),) * len(shape),
        base_dilation=ones,
        window_dilation=window_dilation,
    )
    return [result]


rules.deflinear(reduce_window_sum_p, _sum_transpose)


def _extremum_window_jvp(primitive: Primitive, select_prim: Primitive) -> Any:
    def jvp(primals: Any, tangents: Any, **params: Any) -> Any:
        (x,), (g,) = primals, tangents
        out = primitive.bind(x, **params)
        if type(g) is Zero:
            return out, Zero.from_primal_value(out)
        return out, select_and_gather_add_p.bind(g, x, select_prim=select_prim, **params)

    return jvp


reduce_window_max_p.def_jvp(_extremum_window_jvp(reduce_window_max_p, ge_p))
reduce_window_min_p.def_jvp(_extremum_window_jvp(reduce_window_min_p, le_p))


# --- derivatives of pooling -----------------------------------------------------------------------


def _gather_add_rule(tangents: Any, operand: Any, *, select_prim: Any, **params: Any) -> Any:
    if tangents.shape != operand.shape or tangents.dtype != operand.dtype:
        raise TypeError(
            "select_and_gather_add tangents and operand must have one shape and dtype, got "
            f"{tangents.str_short()} and {operand.str_short()}."
        )
    return ShapedArray(_window_shape("select_and_gather_add", operand, params), tangents.dtype)


def _gather_add_jvp(primals: Any, tangents: Any, **params: Any) -> Any:
    """Linear in the tangents; piecewise constant in the operand."""
    out = select_and_gather_add_p.bind(*primals, **params)
    if type(tangents[0]) is Zero:
        return out, Zero.from_primal_value(out)
    return out, select_and_gather_add_p.bind(tangents[0], primals[1], **params)


def _gather_add_transpose(
    ct: Any,
    tangents: Any,
    operand: Any,
    *,
    select_prim: Any,
    window_dimensions: Any,
    window_strides: Any,
    padding: Any,
    base_dilation: Any,
    window_dilation: Any,
) -> list[Any]:
    if is_undefined_primal(operand):
        raise TypeError("select_and_gather_add is not linear in its operand.")
    if any(step != 1 for step in window_dilation):
        raise NotImplementedError(
            "The gradient of lax.reduce_window with max or min is not supported for window_dilation "
            "other than 1."
        )
    fill = _lowest(operand) if select_prim is ge_p else _highest(operand)
    dilated = any(step != 1 for step in base_dilation)
    if dilated:
        operand = ops.pad(operand, fill, [(0, 0, step - 1) for step in base_dilation])
    result = select_and_scatter_add_p.bind(
        ct,
        operand,
        select_prim=select_prim,
        window_dimensions=window_dimensions,
        window_strides=window_strides,
        padding=padding,
    )
    if dilated:
        shape = get_aval(result).shape
        result = ops.slice(result, (0,) * len(shape), shape, base_dilation)
    return [result, None]


def _lowest(x: Any) -> Any:
    dtype = get_aval(x).dtype
    return const(x, -np.inf if dtypes.issubdtype(dtype, np.inexact) else dtypes.iinfo(dtype).min)


def _highest(x: Any) -> Any:
    dtype = get_aval(x).dtype
    return const(x, np.inf if dtypes.issubdtype(dtype, np.inexact) else dtypes.iinfo(dtype).max)


select_and_gather_add_p.def_abstract_eval(_gather_add_rule)
select_and_gather_add_p.def_jvp(_gather_add_jvp)
select_and_gather_add_p.def_transpose(_gather_add_transpose)
select_and_gather_add_p.def_batching(_window_batch(select_and_gather_add_p))


def _scatter_add_rule(
    source: Any, operand: Any, *, select_prim: Any, window_dimensions: Any, window_strides: Any, padding: Any
) -> Any:
    expected = reduce_window_shape_tuple(operand.shape, window_dimensions, window_strides, padding)
    if source.shape != expected:
        raise TypeError(
            f"select_and_scatter_add: the source must have the shape of the windows {expected}, "
            f"got {source.shape}."
        )
    return ShapedArray(operand.shape, source.dtype)


def _scatter_rule(
    operand: Any,
    source: Any,
    init_value: Any,
    *,
    window_dimensions: Any,
    window_strides: Any,
    padding: Any,
    **_: Any,
) -> Any:
    expected = reduce_window_shape_tuple(operand.shape, window_dimensions, window_strides, padding)
    if source.shape != expected or init_value.shape:
        raise TypeError(
            f"select_and_scatter: the source must have the shape of the windows {expected} and the initial value "
            f"none, got {source.shape} and {init_value.shape}."
        )
    return operand.strip_weak_type()


select_and_scatter_p.def_abstract_eval(_scatter_rule)


def _scatter_add_jvp(primals: Any, tangents: Any, **params: Any) -> Any:
    """Linear in the source; piecewise constant in the operand."""
    out = select_and_scatter_add_p.bind(*primals, **params)
    if type(tangents[0]) is Zero:
        return out, Zero.from_primal_value(out)
    return out, select_and_scatter_add_p.bind(tangents[0], primals[1], **params)


def _scatter_add_transpose(ct: Any, source: Any, operand: Any, **params: Any) -> list[Any]:
    ones = (1,) * len(get_aval(ct).shape)
    return [
        select_and_gather_add_p.bind(ct, operand, base_dilation=ones, window_dilation=ones, **params),
        None,
    ]


select_and_scatter_add_p.def_abstract_eval(_scatter_add_rule)
select_and_scatter_add_p.def_jvp(_scatter_add_jvp)
select_and_scatter_add_p.def_transpose(_scatter_add_transpose)
select_and_scatter_add_p.def_batching(_window_batch(select_and_scatter_add_p))


# --- any function ---------------------------------------------------------------------------------


def _reduce_window_rule(*avals: Any, jaxpr: Jaxpr, consts: Any, **params: Any) -> list[Any]:
    half = len(avals) // 2
    operands, inits = avals[:half], avals[half:]
    check_operands_and_inits("reduce_window", operands, inits)
    shape = _window_shape("reduce_window", operands[0], params)
    return [ShapedArray(shape, x.dtype, x.weak_type) for x in operands]


def _reduce_window_batch(args: Any, dims: Any, *, jaxpr: Jaxpr, consts: Any, **params: Any) -> Any:
    half = len(args) // 2
    if any(dim is not None for dim in dims[half:]):
        raise NotImplementedError(
            "vmap over the initial values of lax.reduce_window is not supported: make them constants."
        )
    size = next(get_aval(x).shape[d] for x, d in zip(args, dims, strict=True) if d is not None)
    operands = [rules.bdim_at_front(x, d, size) for x, d in zip(args[:half], dims[:half], strict=True)]
    params = _with_batch(params, 0)
    return reduce_window_p.bind(*operands, *args[half:], jaxpr=jaxpr, consts=consts, **params), [0] * half


def _reduce_window_jvp(primals: Any, tangents: Any, *, jaxpr: Jaxpr, consts: Any, **params: Any) -> Any:
    """Differentiates the reduction written as combinations of shifted slices."""
    from ..transforms.jvp import jvp_flat

    half = len(primals) // 2
    operands, inits = primals[:half], primals[half:]
    if any(type(dot) is not Zero for dot in tangents[half:]):
        raise NotImplementedError(
            "The derivative of lax.reduce_window by its initial values is not supported."
        )
    closed = ClosedJaxpr(jaxpr, consts)
    return jvp_flat(lambda *xs: _by_slices(closed, xs, inits, params), operands, tangents[:half])


def _by_slices(
    closed: ClosedJaxpr, operands: Sequence[Any], inits: Sequence[Any], params: dict[str, Any]
) -> list[Any]:
    """A reduction over windows as combinations of one strided slice for each place in the window."""
    shape = _window_shape("reduce_window", get_aval(operands[0]), params)
    if 0 in shape:
        return [ops.broadcast_in_dim(init, shape, ()) for init in inits]
    config = [
        (low, high, step - 1)
        for (low, high), step in zip(params["padding"], params["base_dilation"], strict=True)
    ]
    padded = [ops.pad(x, init, config) for x, init in zip(operands, inits, strict=True)]
    strides = params["window_strides"]
    pieces = []
    for place in itertools.product(*map(range, params["window_dimensions"])):
        start = tuple(i * step for i, step in zip(place, params["window_dilation"], strict=True))
        limit = tuple(s + (n - 1) * stride + 1 for s, n, stride in zip(start, shape, strides, strict=True))
        pieces.append([ops.slice(x, start, limit, strides) for x in padded])
    while len(pieces) > 1:
        pairs = zip(pieces[::2], pieces[1::2], strict=False)
        rest = [pieces[-1]] if len(pieces) % 2 else []
        pieces = [apply_scalar_jaxpr(closed, left, right) for left, right in pairs] + rest
    return pieces[0]


reduce_window_p.def_abstract_eval(_reduce_window_rule)
reduce_window_p.def_batching(_reduce_window_batch)
reduce_window_p.def_jvp(_reduce_window_jvp)
