"""Reductions: sums, products, extrema, logical reductions, argmax, and reduction by any function."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..core import config, dtypes, pytree
from ..core.avals import ShapedArray, get_aval
from ..core.dimensions import surely_less
from ..core.jaxpr import ClosedJaxpr, eval_jaxpr
from ..core.mesh import lenient_layouts
from ..core.primitive import Primitive
from ..core.tracing import trace_to_jaxpr
from ..transforms import rules
from ..transforms.rules import defjvp2, deflinear
from .common import (
    ANY,
    BOOL_OR_INTEGER,
    NUMBER,
    Array,
    ArrayLike,
    DTypeLike,
    check_axes,
    check_dtype,
    const,
    defzero,
    laid_out,
    ops,
    publish,
)

# --- one operand, one monoid ----------------------------------------------------------------------


def _document(what: str, kinds: str, example: str, printed: str, extra: str = "") -> str:
    return f"""{what} over some dimensions.

    Args:
      operand: array, NumPy array or number of {kinds} dtype.
      axes: dimensions that vanish, each in [0, operand.ndim).{extra}

    Returns:
      An array of the operand's dtype, without these dimensions.

    Raises:
      TypeError: the dtype is of another kind, or `axes` is not a sequence of integers.
      ValueError: an axis is out of bounds or given twice.

    Example:
      >>> import numpy as np
      >>> from canter import lax
      >>> {example}
      {printed}
    """


_HALVES = (dtypes.dtype("float16"), dtypes.dtype("bfloat16"))


def _reducer(
    name: str, kinds: tuple[Any, ...], what: str, kinds_text: str, example: str, printed: str
) -> tuple[Primitive, Callable[..., Array]]:
    """A primitive that reduces one operand over `axes`, and its public function."""
    primitive = Primitive(name)
    bind = primitive.bind

    def shape_rule(x: Any, *, axes: Any, **params: Any) -> Any:
        check_dtype(name, x.dtype, kinds)
        if name == "reduce_sum" and not config.allow_f16_reductions.value and x.dtype in _HALVES:
            raise ValueError(
                f"reduce_sum on operand {x.str_short()} is not allowed while allow_f16_reductions is False. Convert "
                "the operand to float32 first."
            )
        axes = check_axes(name, axes, x)
        shape = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
        return ShapedArray(shape, x.dtype, x.weak_type)

    def reduce_over(operand: ArrayLike, axes: Sequence[int]) -> Array:
        return bind(operand, axes=axes if type(axes) is tuple else tuple(axes))

    primitive.def_abstract_eval(shape_rule)
    rules.defreducer(primitive)
    return primitive, publish(reduce_over, name, _document(what, kinds_text, example, printed))


reduce_prod_p, reduce_prod = _reducer(
    "reduce_prod",
    NUMBER,
    "The product",
    "an integer, floating or complex",
    "float(lax.reduce_prod(np.float32([2, 3]), (0,)))",
    "6.0",
)
reduce_max_p, reduce_max = _reducer(
    "reduce_max",
    ANY,
    "The largest element, or the smallest number of the dtype where there is none,",
    "any",
    "float(lax.reduce_max(np.float32([2, 3]), (0,)))",
    "3.0",
)
reduce_min_p, reduce_min = _reducer(
    "reduce_min",
    ANY,
    "The smallest element, or the largest number of the dtype where there is none,",
    "any",
    "float(lax.reduce_min(np.float32([2, 3]), (0,)))",
    "2.0",
)
reduce_and_p, reduce_and = _reducer(
    "reduce_and",
    BOOL_OR_INTEGER,
    "The bitwise (of bools the logical) conjunction",
    "bool or an integer",
    "bool(lax.reduce_and(np.array([True, False]), (0,)))",
    "False",
)
reduce_or_p, reduce_or = _reducer(
    "reduce_or",
    BOOL_OR_INTEGER,
    "The bitwise (of bools the logical) disjunction",
    "bool or an integer",
    "bool(lax.reduce_or(np.array([True, False]), (0,)))",
    "True",
)
reduce_xor_p, reduce_xor = _reducer(
    "reduce_xor",
    BOOL_OR_INTEGER,
    "The bitwise (of bools the logical) exclusive or",
    "bool or an integer",
    "bool(lax.reduce_xor(np.array([True, True]), (0,)))",
    "False",
)
reduce_sum_p, _ = _reducer("reduce_sum", NUMBER, "The sum", "", "", "")
_bind_sum = reduce_sum_p.bind
# The types of results are remembered, and with them that a sum is allowed.
config.allow_f16_reductions.on_change = lambda *_: reduce_sum_p.abstract_cache.clear()


def reduce_sum(operand: ArrayLike, axes: Sequence[int], *, out_sharding: Any = None) -> Array:
    """The sum over some dimensions.

    Args:
      operand: array, NumPy array or number of an integer, floating or complex dtype.
      axes: dimensions that vanish, each in [0, operand.ndim).
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Returns:
      An array of the operand's dtype, without these dimensions.

    Raises:
      TypeError: the dtype is of another kind, or `axes` is not a sequence of integers.
      ValueError: an axis is out of bounds or given twice.

    Example:
      >>> import numpy as np
      >>> from canter import lax
      >>> float(lax.reduce_sum(np.float32([2, 3]), (0,)))
      5.0
    """
    if out_sharding is not None:
        from ..core.explicit import check_sum_asked

        check_sum_asked("reduce_sum", [(get_aval(operand), tuple(axes))], out_sharding)
        return laid_out(lambda: reduce_sum(operand, axes), out_sharding, "reduce_sum")
    return _bind_sum(operand, axes=axes if type(axes) is tuple else tuple(axes), out_sharding=None)


def broadcast_over(x: Any, axes: Sequence[int], shape: tuple[int, ...]) -> Any:
    """Repeats a reduced array along the axes that were reduced."""
    kept = tuple(axis for axis in range(len(shape)) if axis not in axes)
    return ops.broadcast_in_dim(x, shape, kept)


def _keeping_dims(x: Any, axes: Sequence[int], shape: tuple[int, ...]) -> Any:
    return ops.reshape(x, tuple(1 if axis in axes else size for axis, size in enumerate(shape)))


def _attains(extremum: Primitive) -> Primitive:
    """Which elements of its first operand attain the extremum, its second, whose reduced axes are of size 1.

    To a reader of programs it is the comparison `eq`. Yet inside a fused kernel a compiler may compute an
    element again, rounded otherwise (a product and a sum as one operation), so that none equals the extremum
    that another kernel has found: the lowering makes sure that the first place of it always counts.
    """
    primitive = Primitive("eq")
    primitive.def_abstract_eval(lambda x, y: ShapedArray(x.shape, np.bool_))
    defzero(primitive)

    def batch(args: Any, dims: Any) -> Any:
        size = next(get_aval(x).shape[dim] for x, dim in zip(args, dims, strict=True) if dim is not None)
        x, y = (rules.bdim_at_front(x, dim, size) for x, dim in zip(args, dims, strict=True))
        return primitive.bind(x, y), 0

    primitive.batch_rule = batch
    attains[extremum] = primitive
    return primitive


attains: dict[Primitive, Primitive] = {}  # reduce_max and reduce_min -> who attains it


def attains_program(argument: Callable[..., Any]) -> Callable[[Any, Any], list[Any]]:
    """What `attains` means; `argument` is argmax or argmin."""

    def program(x: Any, y: Any) -> list[Any]:
        with lenient_layouts():  # what lies between has no name that a user could say a layout of
            return places(x, y)

    def places(x: Any, y: Any) -> list[Any]:
        shape, reduced = get_aval(x).shape, get_aval(y).shape
        axes = [axis for axis, size in enumerate(reduced) if size == 1]
        kept = [axis for axis, size in enumerate(reduced) if size != 1]
        length = math.prod(shape[axis] for axis in axes)
        rows = ops.reshape(ops.transpose(x, (*kept, *axes)), (*(shape[axis] for axis in kept), length))
        first = ops.reshape(
            argument(rows, len(kept), np.int64 if surely_less(2**31 - 1, length) else np.int32), reduced
        )
        dtype = get_aval(first).dtype
        place = ops.reshape(
            ops.iota(dtype, length), [shape[i] if i in axes else 1 for i in range(len(shape))]
        )
        wide = partial(ops.broadcast_in_dim, shape=shape, broadcast_dimensions=range(len(shape)))
        one = ops.bitwise_and(ops.eq(wide(place), wide(first)), wide(ops.eq(y, y)))  # nowhere, if it is NaN
        return [ops.bitwise_or(ops.eq(x, wide(y)), one)]

    return program


def _extremum_jvp(primitive: Primitive) -> Any:
    attains_p = _attains(primitive)

    def jvp(g: Any, y: Any, x: Any, *, axes: Any) -> Any:
        """The mean of the tangents at the places that attain the extremum."""
        if not axes:
            return g
        shape = get_aval(x).shape
        compare = (
            ops.eq if get_aval(x).dtype.kind == "c" else attains_p.bind
        )  # complex numbers have no argmax
        places = compare(x, _keeping_dims(y, axes, shape))
        attained = ops.convert_element_type(places, get_aval(g).dtype)
        return ops.div(reduce_sum(ops.mul(g, attained), axes), reduce_sum(attained, axes))

    return jvp


def _product_jvp(primals: Any, tangents: Any, *, axes: Any) -> Any:
    (x,), (g,) = primals, tangents
    out = reduce_prod_p.bind(x, axes=axes)
    if type(g) is rules.Zero:
        return out, rules.Zero.from_primal_value(out)
    return out, reduce_sum(ops.mul(g, products_of_others(x, axes)), axes)


def products_of_others(x: Any, axes: Sequence[int]) -> Any:
    """For each element the product of all others along `axes`: exact also where elements are 0.

    It is the product of all before and of all after it, both of them cumulative products.
    """
    shape = get_aval(x).shape
    kept = tuple(axis for axis in range(len(shape)) if axis not in axes)
    length = math.prod(shape[axis] for axis in axes)
    order = (*axes, *kept)
    rows = ops.reshape(ops.transpose(x, order), (length, *(shape[axis] for axis in kept)))
    one = const(x, 1)

    def shifted(products: Any, low: int) -> Any:
        return ops.pad(products, one, [(low, -low, 0), *((0, 0, 0) for _ in kept)])

    before = shifted(ops.cumprod(rows, 0), 1)
    after = shifted(ops.cumprod(rows, 0, reverse=True), -1)
    products = ops.reshape(ops.mul(before, after), tuple(shape[axis] for axis in order))
    return ops.transpose(products, tuple(np.argsort(order).tolist()))


def _sum_transpose(ct: Any, x: Any, *, axes: Any, out_sharding: Any) -> list[Any]:
    return [broadcast_over(ct, axes, x.aval.shape)]


deflinear(reduce_sum_p, _sum_transpose)
reduce_prod_p.def_jvp(_product_jvp)
for _primitive in (reduce_max_p, reduce_min_p):
    defjvp2(_primitive, _extremum_jvp(_primitive))
for _primitive in (reduce_and_p, reduce_or_p, reduce_xor_p):
    defzero(_primitive)


# --- argmax ---------------------------------------------------------------------------------------

argmax_p = Primitive("argmax")
argmin_p = Primitive("argmin")


def argmax(operand: ArrayLike, axis: int, index_dtype: DTypeLike) -> Array:
    """The index of the largest element along a dimension, the first of equal ones; NaN is largest.

    Args:
      operand: array or NumPy array of a bool, integer or floating dtype.
      axis: the dimension, in [0, operand.ndim).
      index_dtype: an integer dtype, of the result.

    Returns:
      An array of indices, without the dimension.

    Raises:
      ValueError: there is no such dimension, or it is empty.
      TypeError: `index_dtype` is not an integer dtype, or the operand is complex.

    Example:
      >>> import numpy as np
      >>> from canter import lax
      >>> int(lax.argmax(np.array([1, 3, 2]), 0, np.int32))
      1
    """
    return _bind_arg_extremum(argmax_p, operand, axis, index_dtype)


def argmin(operand: ArrayLike, axis: int, index_dtype: DTypeLike) -> Array:
    """The index of the smallest element along a dimension, the first of equal ones; NaN is smallest.

    Args:
      operand: array or NumPy array of a bool, integer or floating dtype.
      axis: the dimension, in [0, operand.ndim).
      index_dtype: an integer dtype, of the result.

    Returns:
      An array of indices, without the dimension.

    Raises:
      ValueError: there is no such dimension, or it is empty.
      TypeError: `index_dtype` is not an integer dtype, or the operand is complex.

    Example:
      >>> import numpy as np
      >>> from canter import lax
      >>> int(lax.argmin(np.array([3, 1, 2]), 0, np.int32))
      1
    """
    return _bind_arg_extremum(argmin_p, operand, axis, index_dtype)


def _bind_arg_extremum(primitive: Primitive, operand: Any, axis: Any, index_dtype: Any) -> Any:
    index_dtype = dtypes.check_user_dtype_supported(index_dtype, primitive.name)
    return primitive.bind(operand, axes=(axis.__index__(),), index_dtype=index_dtype)


def _arg_extremum_rule(name: str) -> Any:
    def rule(x: Any, *, axes: Any, index_dtype: Any) -> Any:
        (axis,) = axes
        check_dtype(name, x.dtype, (*BOOL_OR_INTEGER, np.floating))
        if not 0 <= axis < x.ndim:
            raise ValueError(f"{name}: invalid axis {axis} for operand shape {x.shape}.")
        if not dtypes.issubdtype(index_dtype, np.integer):
            raise TypeError(f"{name}: index_dtype must be an integer type, but got {index_dtype.name}.")
        if x.shape[axis] < 1:
            raise ValueError(
                f"{name} requires a non-empty dimension, got operand.shape={x.shape}, axis={axis}."
            )
        return ShapedArray(x.shape[:axis] + x.shape[axis + 1 :], index_dtype)

    return rule


for _primitive in (argmax_p, argmin_p):
    _primitive.def_abstract_eval(_arg_extremum_rule(_primitive.name))
    rules.defreducer(_primitive)
    defzero(_primitive)


# --- reduction by any function --------------------------------------------------------------------

reduce_p = Primitive("reduce", multiple_results=True)


def reduce(
    operands: Any,
    init_values: Any,
    computation: Callable[[Any, Any], Any],
    dimensions: Sequence[int],
    out_sharding: Any = None,
) -> Any:
    """Combines the elements along some dimensions by a function.

    Args:
      operands: array, or a tree of arrays of one shape.
      init_values: a tree of the same structure of scalars, with which the reduction begins.
      computation: takes two trees of scalars and returns one. It must be associative, for the order
        in which elements are combined is not determined, and `init_values` its neutral element.
      dimensions: the dimensions that vanish.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Returns:
      A tree of the operands' structure, without these dimensions.

    Raises:
      TypeError: operands and initial values do not fit, or the function returns other types.
      ValueError: a dimension is out of bounds or given twice.

    Example:
      >>> import numpy as np
      >>> from canter import lax
      >>> float(lax.reduce(np.float32([1, 2, 3]), 0.0, lax.add, (0,)))
      6.0
    """
    if out_sharding is not None:
        return laid_out(
            lambda: reduce(operands, init_values, computation, dimensions), out_sharding, "reduce"
        )
    flat, treedef = pytree.tree_flatten(operands)
    flat_inits, init_treedef = pytree.tree_flatten(init_values)
    if treedef != init_treedef or not flat:
        raise ValueError(
            f"reduce: operands and init_values must be trees of one structure, got {treedef} "
            f"and {init_treedef}."
        )
    dimensions = tuple(axis.__index__() for axis in dimensions)
    avals = [get_aval(x) for x in flat]
    flat_inits = [init_like(x, aval) for x, aval in zip(flat_inits, avals, strict=True)]
    if len(flat) == 1 and treedef.num_nodes == 1:
        monoid = monoid_of(computation, flat_inits[0], avals[0])
        if monoid is not None:
            return getattr(ops, monoid)(flat[0], dimensions)
    jaxpr = scalar_jaxpr("reduce", computation, avals, treedef)
    outs = reduce_p.bind(*flat, *flat_inits, computation=computation, jaxpr=jaxpr, dimensions=dimensions)
    return pytree.tree_unflatten(treedef, outs)


def init_like(init: Any, aval: Any) -> Any:
    """An initial value; a Python number takes the dtype of the operand."""
    if type(init) in (bool, int, float, complex):
        kind = dtypes.scalar_type_of(aval.dtype)
        if isinstance(init, float) and kind is int and math.isinf(init):
            limits = dtypes.iinfo(aval.dtype)
            init = limits.max if init > 0 else limits.min
        return const(aval_example(aval), kind(init))
    return init


def aval_example(aval: Any) -> Any:
    """A scalar of an aval's dtype, strongly typed."""
    return aval.dtype.type(0)


def scalar_jaxpr(name: str, computation: Any, avals: Sequence[Any], treedef: Any) -> ClosedJaxpr:
    """The jaxpr of a function that combines two trees of scalars.

    Raises:
      TypeError: it returns a tree of another structure, or scalars of other dtypes.
    """
    scalars = [ShapedArray((), aval.dtype) for aval in avals]
    count = len(scalars)

    def flat_computation(*args: Any) -> list[Any]:
        left = pytree.tree_unflatten(treedef, args[:count])
        right = pytree.tree_unflatten(treedef, args[count:])
        outs, out_treedef = pytree.tree_flatten(computation(left, right))
        if out_treedef != treedef:
            raise TypeError(
                f"{name}: the computation must return a tree of the operands' structure {treedef}, "
                f"got {out_treedef}."
            )
        return outs

    jaxpr = trace_to_jaxpr(flat_computation, scalars * 2, name=getattr(computation, "__name__", name))
    for expected, got in zip(scalars, jaxpr.out_avals, strict=True):
        if expected.shape != got.shape or expected.dtype != got.dtype:
            raise TypeError(
                f"{name}: the computation must return scalars of the operands' dtypes "
                f"{[a.str_short() for a in scalars]}, got {[a.str_short() for a in jaxpr.out_avals]}."
            )
    if jaxpr.consts:
        raise NotImplementedError(
            f"{name}: the computation must not use arrays from outside of it. Make them further operands."
        )
    return jaxpr


def monoid_of(computation: Any, init: Any, aval: Any) -> str | None:
    """The name of the reduction that does the same, where the function and its neutral element are known."""
    if not isinstance(init, (np.generic, np.ndarray, bool, int, float, complex)) or np.ndim(init):
        return None
    value = init.item() if isinstance(init, (np.generic, np.ndarray)) else init
    dtype = aval.dtype
    if dtypes.issubdtype(dtype, dtypes.extended) or value != value:
        return None
    is_bool = dtype.kind == "b"
    if dtypes.issubdtype(dtype, np.integer):
        limits = dtypes.iinfo(dtype)
        lowest, highest, ones = limits.min, limits.max, -1 if limits.min < 0 else limits.max
    elif is_bool:
        lowest, highest, ones = False, True, True
    else:
        lowest, highest, ones = -math.inf, math.inf, None
    logical = is_bool or ones is not None
    table = (
        (ops.add, 0, "reduce_sum", not is_bool),
        (ops.mul, 1, "reduce_prod", not is_bool),
        (ops.max, lowest, "reduce_max", dtype.kind != "c"),
        (ops.min, highest, "reduce_min", dtype.kind != "c"),
        (ops.bitwise_and, ones, "reduce_and", logical),
        (ops.bitwise_or, 0, "reduce_or", logical),
        (ops.bitwise_xor, 0, "reduce_xor", logical),
    )
    for function, neutral, name, applies in table:
        if computation is function and applies and value == neutral:
            return name
    return None


def _split(args: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
    half = len(args) // 2
    return args[:half], args[half:]


def check_operands_and_inits(name: str, operands: Sequence[Any], inits: Sequence[Any]) -> None:
    """Raises TypeError unless operands have one shape and the initial values are scalars of their dtypes."""
    if any(x.shape != operands[0].shape for x in operands):
        raise TypeError(f"{name}: operands must have one shape, got {[x.str_short() for x in operands]}.")
    if any(init.shape for init in inits):
        raise TypeError(f"{name}: initial values must be scalars, got {[x.str_short() for x in inits]}.")
    if any(x.dtype != init.dtype for x, init in zip(operands, inits, strict=True)):
        raise TypeError(
            f"{name} operand dtypes should match corresponding initial value dtypes, got operands="
            f"{[x.str_short() for x in operands]} and initial values={[x.str_short() for x in inits]}."
        )


def _reduce_rule(*avals: Any, computation: Any, jaxpr: Any, dimensions: Any) -> list[Any]:
    operands, inits = _split(avals)
    check_operands_and_inits("reduce", operands, inits)
    dimensions = check_axes("reduce", dimensions, operands[0])
    shape = tuple(size for axis, size in enumerate(operands[0].shape) if axis not in dimensions)
    return [ShapedArray(shape, x.dtype, x.weak_type) for x in operands]


def _reduce_batch(args: Any, dims: Any, *, computation: Any, jaxpr: Any, dimensions: Any) -> Any:
    operands, inits = _split(args)
    operand_dims, init_dims = _split(dims)
    size = next(get_aval(x).shape[d] for x, d in zip(args, dims, strict=True) if d is not None)
    operands = [rules.bdim_at_front(x, d, size) for x, d in zip(operands, operand_dims, strict=True)]
    moved = tuple(axis + 1 for axis in dimensions)
    params = {"computation": computation, "jaxpr": jaxpr, "dimensions": moved}
    if any(d is not None for d in init_dims):
        raise NotImplementedError(
            "vmap over the initial values of lax.reduce is not supported: make them constants."
        )
    return reduce_p.bind(*operands, *inits, **params), [0] * len(operands)


def _reduce_jvp(primals: Any, tangents: Any, *, computation: Any, jaxpr: Any, dimensions: Any) -> Any:
    """Differentiates a reduction written as a tree of halvings, which is as deep as log2(size)."""
    from ..transforms.jvp import jvp_flat

    operands, inits = _split(primals)
    if any(type(dot) is not rules.Zero for dot in _split(tangents)[1]):
        raise NotImplementedError("The derivative of lax.reduce by its initial values is not supported.")
    count = len(operands)

    def by_halving(*args: Any) -> list[Any]:
        return halving_reduction(jaxpr, args[:count], inits, dimensions)

    return jvp_flat(by_halving, operands, tangents[:count])


def apply_scalar_jaxpr(jaxpr: ClosedJaxpr, left: Sequence[Any], right: Sequence[Any]) -> list[Any]:
    """Applies a function of scalars to each element of arrays of one shape."""
    from ..transforms.batching import batch_flat

    shape = get_aval(left[0]).shape
    size = math.prod(shape)
    flat = [ops.reshape(x, (size,)) for x in (*left, *right)]
    outs, dims = batch_flat(
        lambda *args: eval_jaxpr(jaxpr.jaxpr, jaxpr.consts, *args), flat, (0,) * len(flat), size
    )
    return [
        ops.reshape(rules.bdim_at_front(out, dim, size), shape) for out, dim in zip(outs, dims, strict=True)
    ]


def halving_reduction(
    jaxpr: ClosedJaxpr, operands: Sequence[Any], inits: Sequence[Any], axes: Any
) -> list[Any]:
    """A reduction as combinations of the halves of the operands."""
    values = list(operands)
    shape = list(get_aval(values[0]).shape)
    for axis in axes:
        while shape[axis] > 1:
            half = -(-shape[axis] // 2)
            left = [ops.slice_in_dim(x, 0, half, axis=axis) for x in values]
            right = [ops.slice_in_dim(x, half, shape[axis], axis=axis) for x in values]
            if shape[axis] % 2:
                config = [(0, int(i == axis), 0) for i in range(len(shape))]
                right = [ops.pad(x, init, config) for x, init in zip(right, inits, strict=True)]
            values = apply_scalar_jaxpr(jaxpr, left, right)
            shape[axis] = half
    if any(shape[axis] == 0 for axis in axes):
        kept = tuple(size for axis, size in enumerate(shape) if axis not in axes)
        return [ops.broadcast_in_dim(init, kept, ()) for init in inits]
    return [ops.squeeze(x, tuple(axes)) for x in values]


reduce_p.def_abstract_eval(_reduce_rule)
reduce_p.def_batching(_reduce_batch)
reduce_p.def_jvp(_reduce_jvp)
