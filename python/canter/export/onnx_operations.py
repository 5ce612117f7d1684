"""What each operation is in ONNX: a table of writers, which add nodes to a graph and give the names of the results."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..lax import GatherScatterMode

__all__ = ["INLINED", "WRITERS", "Unwritable"]

Writer = Callable[..., Any]


class Unwritable(Exception):
    """Why a use of an operation has no form in ONNX."""


# Operations that are programs of others, and which parameter has the program.
INLINED = {
    "jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr", "checkpoint": "jaxpr",
    "remat2": "jaxpr", "custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr",
}  # fmt: skip

# Operations with one node that takes the same operands.
_SAME = {
    "abs": "Abs", "acos": "Acos", "acosh": "Acosh", "add": "Add", "add_any": "Add", "asin": "Asin", "asinh": "Asinh",
    "atan": "Atan", "atanh": "Atanh", "ceil": "Ceil", "copy": "Identity", "copy_p": "Identity", "cos": "Cos",
    "cosh": "Cosh", "div": "Div", "eq": "Equal", "erf": "Erf", "exp": "Exp", "floor": "Floor", "ge": "GreaterOrEqual",
    "gt": "Greater", "le": "LessOrEqual", "log": "Log", "logistic": "Sigmoid", "lt": "Less", "max": "Max",
    "min": "Min", "mul": "Mul", "neg": "Neg", "pow": "Pow", "sharding_constraint": "Identity", "sign": "Sign",
    "sin": "Sin", "sinh": "Sinh", "sqrt": "Sqrt", "stop_gradient": "Identity", "sub": "Sub", "tan": "Tan",
    "tanh": "Tanh",
}  # fmt: skip


def _same(kind: str) -> Writer:
    return lambda graph, eqn, *operands: graph.op(kind, *operands)


def _dtype(eqn: Any, operand: int = 0) -> Any:
    return eqn.invars[operand].aval.dtype


def _is_bool(eqn: Any) -> bool:
    return bool(_dtype(eqn).kind == "b")


def _shape(eqn: Any, operand: int = 0) -> tuple[int, ...]:
    return tuple(eqn.invars[operand].aval.shape)


def _like(graph: Any, eqn: Any, value: float) -> str:
    return str(graph.constant(value, _dtype(eqn)))


def _reshaped(graph: Any, x: str, shape: Sequence[int]) -> str:
    return str(graph.op("Reshape", x, graph.ints(*shape), allowzero=1))


def _cast(graph: Any, x: str, dtype: Any) -> str:
    return str(graph.op("Cast", x, to=graph.type_of(dtype)))


# --- elementwise ----------------------------------------------------------------------------------


def _not_equal(graph: Any, eqn: Any, x: str, y: str) -> str:
    return str(graph.op("Not", graph.op("Equal", x, y)))


def _logical(of_bools: str, of_ints: str) -> Writer:
    return lambda graph, eqn, *operands: graph.op(of_bools if _is_bool(eqn) else of_ints, *operands)


def _rsqrt(graph: Any, eqn: Any, x: str) -> str:
    return str(graph.op("Reciprocal", graph.op("Sqrt", x)))


def _log1p(graph: Any, eqn: Any, x: str) -> str:
    """x log(u) / (u - 1) with u = 1 + x, which is right for small x too; x itself where u is 1."""
    one = _like(graph, eqn, 1)
    u = graph.op("Add", x, one)
    rest = graph.op("Sub", u, one)
    zero = graph.op("Equal", rest, _like(graph, eqn, 0))
    ratio = graph.op("Div", graph.op("Mul", x, graph.op("Log", u)), graph.op("Where", zero, one, rest))
    endless = graph.op("IsInf", u)
    return str(graph.op("Where", endless, u, graph.op("Where", zero, x, ratio)))


def _expm1(graph: Any, eqn: Any, x: str) -> str:
    """tanh(x / 2) (eˣ + 1), which is right for small x too."""
    half = graph.op("Tanh", graph.op("Mul", x, _like(graph, eqn, 0.5)))
    return str(graph.op("Mul", half, graph.op("Add", graph.op("Exp", x), _like(graph, eqn, 1))))


def _erfc(graph: Any, eqn: Any, x: str) -> str:
    return str(graph.op("Sub", _like(graph, eqn, 1), graph.op("Erf", x)))


def _integer_pow(graph: Any, eqn: Any, x: str) -> str:
    return str(graph.op("Pow", x, _like(graph, eqn, eqn.params["y"])))


def _round(graph: Any, eqn: Any, x: str) -> str:
    if int(eqn.params["rounding_method"]) == 1:  # to even
        return str(graph.op("Round", x))
    away = graph.op("Floor", graph.op("Add", graph.op("Abs", x), _like(graph, eqn, 0.5)))
    return str(graph.op("Mul", graph.op("Sign", x), away))


def _rem(graph: Any, eqn: Any, x: str, y: str) -> str:
    return str(graph.op("Mod", x, y, fmod=1))


def _is_finite(graph: Any, eqn: Any, x: str) -> str:
    return str(graph.op("Not", graph.op("Or", graph.op("IsInf", x), graph.op("IsNaN", x))))


def _select_n(graph: Any, eqn: Any, which: str, *cases: str) -> str:
    if not _is_bool(eqn) or len(cases) != 2:
        raise Unwritable("only a choice between two by booleans is written")
    return str(graph.op("Where", which, cases[1], cases[0]))


def _clamp(graph: Any, eqn: Any, low: str, x: str, high: str) -> str:
    return str(graph.op("Min", graph.op("Max", x, low), high))


def _convert(graph: Any, eqn: Any, x: str) -> str:
    return _cast(graph, x, eqn.params["new_dtype"])


# --- shapes ---------------------------------------------------------------------------------------


def _to_shape_of_result(graph: Any, eqn: Any, x: str) -> str:
    return _reshaped(graph, x, eqn.outvars[0].aval.shape)


def _reshape(graph: Any, eqn: Any, x: str) -> str:
    order = eqn.params["dimensions"]
    return _to_shape_of_result(graph, eqn, x if order is None else graph.op("Transpose", x, perm=list(order)))


def _stack(graph: Any, eqn: Any, *operands: str) -> str:
    axis = eqn.params["axis"]
    rows = [graph.op("Unsqueeze", x, graph.ints(axis)) for x in operands]
    return str(graph.op("Concat", *rows, axis=axis))


def _broadcast_in_dim(graph: Any, eqn: Any, x: str, *rest: str) -> str:
    shape, places = eqn.params["shape"], eqn.params["broadcast_dimensions"]
    with_ones = [1] * len(shape)
    for place, size in zip(places, _shape(eqn), strict=True):
        with_ones[place] = size
    return str(graph.op("Expand", _reshaped(graph, x, with_ones), graph.ints(*shape)))


def _transpose(graph: Any, eqn: Any, x: str) -> str:
    return str(graph.op("Transpose", x, perm=list(eqn.params["permutation"])))


def _concatenate(graph: Any, eqn: Any, *operands: str) -> str:
    return str(graph.op("Concat", *operands, axis=eqn.params["dimension"]))


def _cut(graph: Any, x: str, starts: Any, ends: Any, steps: Any = None) -> str:
    axes = graph.ints(*range(len(starts)))
    return str(
        graph.op(
            "Slice",
            x,
            graph.ints(*starts),
            graph.ints(*ends),
            axes,
            graph.ints(*(steps or [1] * len(starts))),
        )
    )


def _slice(graph: Any, eqn: Any, x: str) -> str:
    return _cut(graph, x, eqn.params["start_indices"], eqn.params["limit_indices"], eqn.params["strides"])


def _dynamic_slice(graph: Any, eqn: Any, x: str, *starts: str) -> str:
    sizes = eqn.params["slice_sizes"]
    first = [_reshaped(graph, _cast(graph, start, np.int64), (1,)) for start in starts]
    last = graph.ints(*(size - n for size, n in zip(_shape(eqn), sizes, strict=True)))
    begin = graph.op("Min", graph.op("Max", graph.op("Concat", *first, axis=0), graph.ints(0)), last)
    return str(
        graph.op(
            "Slice", x, begin, graph.op("Add", begin, graph.ints(*sizes)), graph.ints(*range(len(sizes)))
        )
    )


def _split(graph: Any, eqn: Any, x: str) -> list[str]:
    return list(
        graph.ops("Split", len(eqn.outvars), x, graph.ints(*eqn.params["sizes"]), axis=eqn.params["axis"])
    )


def _rev(graph: Any, eqn: Any, x: str) -> str:
    axes = eqn.params["dimensions"]
    ends, back = (graph.ints(*[step] * len(axes)) for step in (np.iinfo(np.int64).min, -1))
    return str(graph.op("Slice", x, back, ends, graph.ints(*axes), back))


def _pad(graph: Any, eqn: Any, x: str, value: str) -> str:
    low, high, inner = zip(*eqn.params["padding_config"], strict=True)
    if any(inner):
        raise Unwritable("it puts numbers between the elements")
    return str(graph.op("Pad", x, graph.ints(*low, *high), value))


def _iota(graph: Any, eqn: Any, *sizes: str) -> str:
    shape, dimension = eqn.params["shape"], eqn.params["dimension"]
    places = np.arange(shape[dimension]).reshape([-1 if i == dimension else 1 for i in range(len(shape))])
    return str(graph.op("Expand", graph.constant(places, eqn.params["dtype"]), graph.ints(*shape)))


def _gather(graph: Any, eqn: Any, x: str, indices: str) -> str:
    """Rows along one axis at an array of places."""
    numbers, shape, sizes = eqn.params["dimension_numbers"], _shape(eqn), eqn.params["slice_sizes"]
    axes = numbers.start_index_map
    whole = all(size == n for i, (size, n) in enumerate(zip(sizes, shape, strict=True)) if i not in axes)
    if (
        len(axes) != 1
        or tuple(numbers.collapsed_slice_dims) != tuple(axes)
        or not whole
        or numbers.operand_batching_dims
    ):
        raise Unwritable("only whole rows along one axis, at the places of one array, are written")
    (axis,) = axes
    places = _shape(eqn, 1)[:-1]
    indices = _reshaped(graph, _cast(graph, indices, np.int64), places)
    within = graph.op("Clip", indices, graph.constant(0, np.int64), graph.constant(shape[axis] - 1, np.int64))
    rows = graph.op("Gather", x, within, axis=axis)
    rank = len(shape) - 1 + len(places)
    # Gather puts the dimensions of the places where the axis was.
    offset = list(numbers.offset_dims)
    places_left, rows_left = (
        iter(range(axis, axis + len(places))),
        iter((*range(axis), *range(axis + len(places), rank))),
    )
    order = [next(rows_left if i in offset else places_left) for i in range(rank)]
    if order != list(range(rank)):
        rows = graph.op("Transpose", rows, perm=order)
    if GatherScatterMode.from_any(eqn.params["mode"]) is not GatherScatterMode.FILL_OR_DROP:
        return str(rows)
    fill = eqn.params["fill_value"]
    dtype = _dtype(eqn)
    if fill is None:
        kind = dtype.kind
        fill = (
            np.iinfo(dtype).min
            if kind == "i"
            else np.iinfo(dtype).max
            if kind == "u"
            else kind == "b" or np.nan
        )
    shape_of_places = [1 if i in offset else eqn.outvars[0].aval.shape[i] for i in range(rank)]
    valid = _reshaped(graph, graph.op("Equal", within, indices), shape_of_places)
    return str(graph.op("Where", valid, rows, graph.constant(fill, dtype)))


# --- reductions and products ----------------------------------------------------------------------


def _reduction(kind: str) -> Writer:
    def write(graph: Any, eqn: Any, x: str) -> str:
        return str(graph.op(kind, x, graph.ints(*eqn.params["axes"]), keepdims=0, noop_with_empty_axes=1))

    return write


def _of_bools(kind: str) -> Writer:
    def write(graph: Any, eqn: Any, x: str) -> str:
        if not _is_bool(eqn):
            raise Unwritable("only that of booleans is written")
        found = _reduction(kind)(graph, eqn, _cast(graph, x, np.int32))
        return _cast(graph, found, bool)

    return write


def _place_of(kind: str) -> Writer:
    def write(graph: Any, eqn: Any, x: str) -> str:
        (axis,) = eqn.params["axes"]
        return _cast(graph, graph.op(kind, x, axis=axis, keepdims=0), eqn.params["index_dtype"])

    return write


def _cumsum(graph: Any, eqn: Any, x: str) -> str:
    return str(
        graph.op(
            "CumSum", x, graph.constant(eqn.params["axis"], np.int64), reverse=int(eqn.params["reverse"])
        )
    )


def _top_k(graph: Any, eqn: Any, x: str) -> list[str]:
    axis = eqn.params.get("axis", -1)
    values, places = graph.ops("TopK", 2, x, graph.ints(eqn.params["k"]), axis=-1 if axis is None else axis)
    return [values, _cast(graph, places, eqn.outvars[1].aval.dtype)]


def _dot_general(graph: Any, eqn: Any, x: str, y: str) -> str:
    ((contract_x, contract_y), (batch_x, batch_y)) = eqn.params["dimension_numbers"]
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    left, right = ([""] * len(_shape(eqn, i)) for i in (0, 1))
    for i, j in zip((*batch_x, *contract_x), (*batch_y, *contract_y), strict=True):
        left[i] = right[j] = next(letters)
    left, right = ([own or next(letters) for own in side] for side in (left, right))
    out = [left[i] for i in batch_x]
    for side, used in ((left, (*batch_x, *contract_x)), (right, (*batch_y, *contract_y))):
        out += [letter for i, letter in enumerate(side) if i not in used]
    wanted = eqn.outvars[0].aval.dtype
    x, y = (v if _dtype(eqn, i) == wanted else _cast(graph, v, wanted) for i, v in enumerate((x, y)))
    plain = (
        not batch_x
        and len(left) == len(right) == 2
        and tuple(contract_x) == (1,)
        and tuple(contract_y) == (0,)
    )
    if plain:
        return str(graph.op("MatMul", x, y))
    if sorted(left) == sorted(right) and list(batch_x) == sorted(batch_x):  # sums of products of elements
        x = graph.op("Mul", x, graph.op("Transpose", y, perm=[right.index(letter) for letter in left]))
        return str(graph.op("ReduceSum", x, graph.ints(*contract_x), keepdims=0, noop_with_empty_axes=1))
    return str(graph.op("Einsum", x, y, equation=f"{''.join(left)},{''.join(right)}->{''.join(out)}"))


def _convolution(graph: Any, eqn: Any, x: str, kernel: str) -> str:
    params = eqn.params
    numbers = params["dimension_numbers"]
    if any(step != 1 for step in params["lhs_dilation"]) or params["batch_group_count"] != 1:
        raise Unwritable("it is a transposed convolution, or one in groups of the batch")
    low, high = zip(*params["padding"], strict=True) if params["padding"] else ((), ())
    if min((*low, *high), default=0) < 0:
        raise Unwritable("its padding is negative")
    x = graph.op("Transpose", x, perm=list(numbers.lhs_spec))
    kernel = graph.op("Transpose", kernel, perm=list(numbers.rhs_spec))
    result = graph.op(
        "Conv", x, kernel, strides=list(params["window_strides"]), pads=[*low, *high],
        dilations=list(params["rhs_dilation"]), group=params["feature_group_count"],
    )  # fmt: skip
    back = [numbers.out_spec.index(i) for i in range(len(numbers.out_spec))]
    result = graph.op("Transpose", result, perm=back)
    return (
        str(result)
        if _dtype(eqn) == eqn.outvars[0].aval.dtype
        else _cast(graph, result, eqn.outvars[0].aval.dtype)
    )


def _pooling(graph: Any, eqn: Any, x: str, total: bool) -> str:
    """Windows over some dimensions; the others become the batch."""
    params, rank = eqn.params, len(_shape(eqn))
    if any(step != 1 for step in params["base_dilation"]):
        raise Unwritable("it puts numbers between the elements")
    if total and any(step != 1 for step in params["window_dilation"]):
        raise Unwritable("its windows have holes")
    neutral = (1, 1, (0, 0))
    each = list(
        zip(params["window_dimensions"], params["window_strides"], map(tuple, params["padding"]), strict=True)
    )
    along = [i for i in range(rank) if each[i] != neutral] or [rank - 1]
    order = [i for i in range(rank) if i not in along] + along
    sizes = [_shape(eqn)[i] for i in order]
    outs = [eqn.outvars[0].aval.shape[i] for i in order]
    split = rank - len(along)
    x = graph.op("Transpose", x, perm=order)
    x = _reshaped(graph, x, (1, math.prod(sizes[:split]), *sizes[split:]))
    windows, strides, pads = zip(*(each[i] for i in along), strict=True)
    low, high = zip(*pads, strict=True)
    options: dict[str, Any] = {"kernel_shape": list(windows), "strides": list(strides)}
    if total:
        # Padding by itself, as averages are over what is there only.
        x = graph.op("Pad", x, graph.ints(0, 0, *low, 0, 0, *high))
        mean = graph.op("AveragePool", x, **options)
        x = graph.op("Mul", mean, _like(graph, eqn, math.prod(windows)))
    else:
        options["dilations"] = [params["window_dilation"][i] for i in along]
        lowest = graph.constant(-np.inf, _dtype(eqn))
        x = graph.op("Pad", x, graph.ints(0, 0, *low, 0, 0, *high), lowest) if any((*low, *high)) else x
        x = graph.op("MaxPool", x, **options)
    x = _reshaped(graph, x, outs)
    return str(graph.op("Transpose", x, perm=[order.index(i) for i in range(rank)]))


WRITERS: dict[str, Writer] = {
    **{name: _same(kind) for name, kind in _SAME.items()},
    "and": _logical("And", "BitwiseAnd"),
    "argmax": _place_of("ArgMax"),
    "argmin": _place_of("ArgMin"),
    "broadcast_in_dim": _broadcast_in_dim,
    "clamp": _clamp,
    "concatenate": _concatenate,
    "conv_general_dilated": _convolution,
    "convert_element_type": _convert,
    "cumsum": _cumsum,
    "dot_general": _dot_general,
    "dynamic_slice": _dynamic_slice,
    "erfc": _erfc,
    "expand_dims": _to_shape_of_result,
    "expm1": _expm1,
    "gather": _gather,
    "integer_pow": _integer_pow,
    "iota": _iota,
    "is_finite": _is_finite,
    "log1p": _log1p,
    "ne": _not_equal,
    "not": _logical("Not", "BitwiseNot"),
    "optimization_barrier": lambda graph, eqn, *operands: list(operands),
    "or": _logical("Or", "BitwiseOr"),
    "pad": _pad,
    "reduce_and": _of_bools("ReduceMin"),
    "reduce_max": _reduction("ReduceMax"),
    "reduce_min": _reduction("ReduceMin"),
    "reduce_or": _of_bools("ReduceMax"),
    "reduce_prod": _reduction("ReduceProd"),
    "reduce_sum": _reduction("ReduceSum"),
    "reduce_window_max": lambda graph, eqn, x: _pooling(graph, eqn, x, False),
    "reduce_window_sum": lambda graph, eqn, x: _pooling(graph, eqn, x, True),
    "rem": _rem,
    "reshape": _reshape,
    "rev": _rev,
    "round": _round,
    "rsqrt": _rsqrt,
    "select_n": _select_n,
    "slice": _slice,
    "split": _split,
    "square": lambda graph, eqn, x: graph.op("Mul", x, x),
    "stack": _stack,
    "squeeze": _to_shape_of_result,
    "top_k": _top_k,
    "transpose": _transpose,
    "xor": _logical("Xor", "BitwiseXor"),
}
