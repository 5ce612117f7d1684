"""Declaring derivative and batching rules, one line a primitive.

The transformations stand on a lower floor than the array operations that their rules need, so
`canter.lax` fills the slots of `array_ops` when it is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import config, dtypes
from ..core.avals import get_aval
from ..core.config import trace_context
from ..core.primitive import Primitive
from ..core.trace import eval_trace, state
from .zeros import UndefinedPrimal, Zero, is_undefined_primal

__all__ = [
    "UndefinedPrimal",
    "Zero",
    "add_any_p",
    "add_tangents",
    "cotangent_layout",
    "array_ops",
    "as_result",
    "bdim_at_front",
    "broadcast",
    "defbilinear",
    "defbroadcasting",
    "defjvp",
    "defjvp2",
    "deflinear",
    "defreducer",
    "defvectorized",
    "forget_seeds",
    "in_memory_of",
    "instantiate_zeros",
    "is_undefined_primal",
    "matchaxis",
    "moveaxis",
    "not_mapped",
    "ones_like_aval",
    "seed_of",
    "with_layout",
    "zeros_like_aval",
]

not_mapped = None


class ArrayOps:
    """The array operations that transformations themselves need; filled by `canter.lax`.

    Attributes:
      as_array: (array or number) -> array of the current trace.
      broadcast_in_dim: (x, shape, broadcast_dimensions) -> array.
      convert_element_type: (x, dtype) -> array.
      dynamic_slice_p: the primitive of slices that begin where an argument says.
      expand_dims: (x, dimensions) -> array.
      eye: (rows, columns, offset, dtype) -> matrix with ones where column - row = offset.
      full: (shape, fill_value, dtype) -> array.
      move_to_memory: (x, memory kind) -> array in that memory of its device.
      reduce_sum: (x, axes) -> array.
      reshape: (x, shape) -> array.
      resharded: (x, sharding) -> array brought to a layout over explicit mesh axes.
      slice: (x, starts, limits) -> array.
      transpose: (x, permutation) -> array.
      weaken: (x) -> the same array, weakly typed.
    """

    as_array: Callable[..., Any]
    broadcast_in_dim: Callable[..., Any]
    convert_element_type: Callable[..., Any]
    dynamic_slice_p: Primitive
    expand_dims: Callable[..., Any]
    eye: Callable[..., Any]
    full: Callable[..., Any]
    move_to_memory: Callable[..., Any]
    reduce_sum: Callable[..., Any]
    reshape: Callable[..., Any]
    resharded: Callable[..., Any]
    slice: Callable[..., Any]
    transpose: Callable[..., Any]
    weaken: Callable[..., Any]


array_ops = ArrayOps()


_NUMBERS = (bool, int, float, complex, np.generic)


# --- zeros and sums -------------------------------------------------------------------------------

add_any_p = Primitive("add_any")
add_any_p.def_abstract_eval(lambda x, y: x if not x.weak_type else y)


def add_tangents(x: Any, y: Any) -> Any:
    """The sum of two tangents or cotangents, either of which may be symbolic."""
    if type(x) is Zero:
        return y
    if type(y) is Zero:
        return x
    return add_any_p.bind(x, y)


def zeros_like_aval(aval: Any) -> Any:
    """An array of zeros of an aval; float0 ones are NumPy arrays, for no device has them."""
    if aval.dtype == dtypes.float0:
        return np.zeros(aval.shape, dtypes.float0)
    zeros = array_ops.full(aval.shape, 0, aval.dtype)
    return zeros if aval.layout is aval.memory is None else with_layout(zeros, aval)


def in_memory_of(x: Any, aval: Any) -> Any:
    """An array in the memory that an aval names."""
    if get_aval(x).memory is aval.memory:
        return x
    return array_ops.move_to_memory(x, aval.memory_space)


def with_layout(x: Any, aval: Any) -> Any:
    """An array whose type has the layout and the memory that an aval has."""
    x = in_memory_of(x, aval)
    if get_aval(x).layout == aval.layout:
        return x
    layout = aval.sharding
    return array_ops.resharded(x, layout) if layout.mesh.explicit_axes else x


def cotangent_layout(ct: Any, aval: Any) -> Any:
    """A cotangent laid out as values of an aval have theirs.

    Where values are the same along an axis that is `reduced`, cotangents stay parts of a sum, and the other way round.
    """
    layout = aval.layout
    if layout is not None and (layout.spec.reduced or layout.spec.unreduced):
        spec = layout.spec
        turned = layout.update(spec=spec.update(unreduced=spec.reduced, reduced=spec.unreduced))
        aval = aval.update(layout=turned)
    return with_layout(ct, aval)


def ones_like_aval(aval: Any) -> Any:
    """An array of ones of an aval; where it has no dimensions a number, weakly typed as the aval is."""
    if aval.shape:
        return array_ops.full(aval.shape, 1, aval.dtype)
    one = _ones.get(aval)
    if one is None:
        weak = weak_number(1, aval) if aval.weak_type else None
        one = _ones[aval] = np.ones((), aval.dtype)[()] if weak is None else weak
    return one


_ones: dict[Any, Any] = {}  # of scalar avals, of which there are few
_arrays_of_one: dict[Any, Any] = {}


def seed_of(aval: Any) -> Any:
    """The cotangent with which the gradient of a scalar begins.

    Outside all traces it is an array that stays on the device: a number would be copied there by
    every operation that takes it.
    """
    if state.trace is not eval_trace:
        return ones_like_aval(aval)
    key = aval, config.default_device.value, trace_context()
    seed = _arrays_of_one.get(key)
    if seed is None or seed.is_deleted():  # it may have become a result, which its owner may give away
        seed = _arrays_of_one[key] = array_ops.as_array(ones_like_aval(aval))
    return seed


def forget_seeds() -> None:
    """Drops the arrays that `seed_of` keeps; their device may be gone."""
    _arrays_of_one.clear()


def weak_number(value: int, aval: Any) -> Any:
    """The Python number of a weakly typed scalar aval; None where no Python number has that dtype."""
    number = dtypes.scalar_type_of(aval.dtype)(value)
    return number if dtypes.dtype(number) == aval.dtype else None


def instantiate_zeros(tangent: Any) -> Any:
    """An array for a symbolic zero; any other tangent as it is."""
    return zeros_like_aval(tangent.aval) if type(tangent) is Zero else tangent


def as_result(tangent: Any, aval: Any = None) -> Any:
    """A tangent or cotangent as the array that users see: numbers and symbolic zeros become arrays.

    With an aval, that of the argument, a weakly typed one gives a weakly typed result.
    """
    if type(tangent) is Zero:
        aval = tangent.aval
        weak = weak_number(0, aval) if not aval.shape and aval.weak_type else None
        return zeros_like_aval(aval) if weak is None else array_ops.as_array(weak)
    if isinstance(tangent, _NUMBERS):
        tangent = array_ops.as_array(tangent)
    if aval is not None and aval.weak_type and not get_aval(tangent).weak_type:
        return array_ops.weaken(tangent)
    return tangent


# --- derivatives ----------------------------------------------------------------------------------

_Rule = Callable[..., Any] | None


def defjvp(primitive: Primitive, *rules: _Rule) -> None:
    """Declares tangents per operand: `rule(g, *operands, **params)`, or None where there is none."""

    def jvp(primals: Any, tangents: Any, **params: Any) -> Any:
        out = primitive.bind(*primals, **params)
        total = None
        for rule, tangent in zip(rules, tangents, strict=True):
            if rule is not None and type(tangent) is not Zero:
                term = rule(tangent, *primals, **params)
                total = term if total is None else add_tangents(total, term)
        return out, Zero.from_primal_value(out) if total is None else total

    primitive.jvp_rule = jvp


def defjvp2(primitive: Primitive, *rules: _Rule) -> None:
    """Like `defjvp`, for rules that use the result: `rule(g, result, *operands, **params)`."""

    def jvp(primals: Any, tangents: Any, **params: Any) -> Any:
        out = primitive.bind(*primals, **params)
        total = None
        for rule, tangent in zip(rules, tangents, strict=True):
            if rule is not None and type(tangent) is not Zero:
                term = rule(tangent, out, *primals, **params)
                total = term if total is None else add_tangents(total, term)
        return out, Zero.from_primal_value(out) if total is None else total

    primitive.jvp_rule = jvp


def _linear_jvp(primitive: Primitive, primals: Any, tangents: Any, params: Any) -> Any:
    out = primitive.bind(*primals, **params)
    if all(type(tangent) is Zero for tangent in tangents):
        if primitive.multiple_results:
            return out, [Zero.from_primal_value(o) for o in out]
        return out, Zero.from_primal_value(out)
    return out, primitive.bind(*map(instantiate_zeros, tangents), **params)


def deflinear(primitive: Primitive, transpose: Callable[..., Any]) -> None:
    """Declares a primitive linear in all its operands together.

    Args:
      primitive: the primitive.
      transpose: `transpose(cotangent, *operands, **params)` gives a list of cotangents.
    """

    def jvp(primals: Any, tangents: Any, **params: Any) -> Any:
        return _linear_jvp(primitive, primals, tangents, params)

    primitive.jvp_rule = jvp
    primitive.transpose_rule = transpose


def defbilinear(
    primitive: Primitive, lhs_transpose: Callable[..., Any], rhs_transpose: Callable[..., Any]
) -> None:
    """Declares a product: linear in either of its two operands.

    Args:
      primitive: the primitive.
      lhs_transpose: `(cotangent, x, y, **params)` gives the cotangent of x, which is undefined.
      rhs_transpose: `(cotangent, x, y, **params)` gives the cotangent of y, which is undefined.
    """
    defjvp(
        primitive,
        lambda g, x, y, **params: primitive.bind(g, y, **params),
        lambda g, x, y, **params: primitive.bind(x, g, **params),
    )

    def transpose(cotangent: Any, x: Any, y: Any, **params: Any) -> Any:
        if is_undefined_primal(x):
            if is_undefined_primal(y):
                raise TypeError(f"{primitive.name} of two linear operands is not linear.")
            return [
                Zero(x.aval) if type(cotangent) is Zero else lhs_transpose(cotangent, x, y, **params),
                None,
            ]
        return [None, Zero(y.aval) if type(cotangent) is Zero else rhs_transpose(cotangent, x, y, **params)]

    primitive.transpose_rule = transpose


# --- batching -------------------------------------------------------------------------------------


def moveaxis(x: Any, source: int | None, destination: int) -> Any:
    """Moves one axis; None as source means that there is none to move."""
    if source is None:
        return x
    ndim = len(get_aval(x).shape)
    source, destination = source % ndim, destination % ndim
    if source == destination:
        return x
    order = [axis for axis in range(ndim) if axis != source]
    order.insert(destination, source)
    return array_ops.transpose(x, tuple(order))


def broadcast(x: Any, size: int, axis: int) -> Any:
    """Repeats a value along a new axis."""
    shape = list(get_aval(x).shape)
    axis %= len(shape) + 1
    kept = tuple(d for d in range(len(shape) + 1) if d != axis)
    shape.insert(axis, size)
    return array_ops.broadcast_in_dim(x, tuple(shape), kept)


def bdim_at_front(x: Any, dim: int | None, size: int) -> Any:
    """The value with its batch axis first, repeated if it has none."""
    return broadcast(x, size, 0) if dim is None else moveaxis(x, dim, 0)


def matchaxis(size: int, source: int | None, destination: int | None, x: Any, sum_match: bool = False) -> Any:
    """Brings a batch axis from one place to another.

    Args:
      size: the batch size.
      source: where the axis is, or None.
      destination: where it is to be, or None.
      x: the value.
      sum_match: sum over the axis where it is to vanish.

    Raises:
      ValueError: the axis would have to vanish, and `sum_match` is False.
    """
    if source == destination:
        return x
    if destination is None:
        if sum_match:
            return array_ops.reduce_sum(x, (source,))
        raise ValueError("A batched value was given where the output is declared as not batched.")
    if source is None:
        return broadcast(x, size, destination)
    return moveaxis(x, source, destination)


def defvectorized(primitive: Primitive) -> None:
    """Batching for elementwise primitives of one operand."""

    def batch(args: Any, dims: Any, **params: Any) -> Any:
        return primitive.bind(args[0], **params), dims[0]

    primitive.batch_rule = batch
    primitive.elementwise = True


def defbroadcasting(primitive: Primitive) -> None:
    """Batching for elementwise primitives of several operands, some of which may be scalars."""

    def batch(args: Any, dims: Any, **params: Any) -> Any:
        return broadcast_batch(primitive, args, dims, params)

    primitive.batch_rule = batch
    primitive.elementwise = True


def broadcast_batch(
    primitive: Primitive, args: Sequence[Any], dims: Sequence[int | None], params: Any
) -> Any:
    """Applies an elementwise primitive to operands whose batch axes stand in different places."""
    place = _common_place(args, dims)
    if place is not None:
        return primitive.bind(*args, **params), place
    ranks = [len(get_aval(x).shape) - (dim is not None) for x, dim in zip(args, dims, strict=True)]
    rank = max(ranks)
    operands = []
    for x, dim, own_rank in zip(args, dims, ranks, strict=True):
        if dim is None:
            x = x if own_rank == 0 else array_ops.expand_dims(x, (0,))
        else:
            x = moveaxis(x, dim, 0)
            if own_rank == 0 and rank:
                x = array_ops.expand_dims(x, tuple(range(1, rank + 1)))
        operands.append(x)
    shapes = [get_aval(x).shape for x in operands if get_aval(x).shape]
    full = tuple(next((size for size in sizes if size != 1), 1) for sizes in zip(*shapes, strict=True))
    operands = [_expand_to(x, full) for x in operands]
    return primitive.bind(*operands, **params), 0


def _common_place(args: Sequence[Any], dims: Sequence[int | None]) -> int | None:
    """The batch axis, if it is the same for all operands and those without one are scalars."""
    found: tuple[int, int] | None = None
    for x, dim in zip(args, dims, strict=True):
        ndim = len(get_aval(x).shape)
        if dim is None:
            if ndim:
                return None
        elif found is None:
            found = dim, ndim
        elif found != (dim, ndim):
            return None
    return None if found is None else found[0]


def _expand_to(x: Any, shape: tuple[int, ...]) -> Any:
    own = get_aval(x).shape
    if own == shape or not own:
        return x
    kept = tuple(d for d in range(len(shape)) if own[d] == shape[d])
    squeezed = array_ops.reshape(x, tuple(own[d] for d in kept))
    return array_ops.broadcast_in_dim(squeezed, shape, kept)


def defreducer(primitive: Primitive) -> None:
    """Batching for reductions of one operand over `axes`."""

    def batch(args: Any, dims: Any, *, axes: Any, **params: Any) -> Any:
        dim = dims[0]
        moved = tuple(axis + (axis >= dim) for axis in axes)
        out_dim = dim - sum(axis < dim for axis in moved)
        return primitive.bind(args[0], axes=moved, **params), out_dim

    primitive.batch_rule = batch


# --- the sum's own rules --------------------------------------------------------------------------


def _add_any_jvp(primals: Any, tangents: Any) -> Any:
    return add_any_p.bind(*primals), add_tangents(*tangents)


def _add_any_transpose(cotangent: Any, x: Any, y: Any) -> Any:
    return [cotangent if is_undefined_primal(x) else None, cotangent if is_undefined_primal(y) else None]


add_any_p.jvp_rule = _add_any_jvp


def _add_any_batch(args: Any, dims: Any) -> Any:
    # Unlike other elementwise primitives it takes no scalar beside an array.
    x, y = args
    if dims[0] == dims[1]:
        return add_any_p.bind(x, y), dims[0]
    size = next(get_aval(z).shape[d] for z, d in zip(args, dims, strict=True) if d is not None)
    return add_any_p.bind(bdim_at_front(x, dims[0], size), bdim_at_front(y, dims[1], size)), 0


add_any_p.transpose_rule = _add_any_transpose
add_any_p.batch_rule = _add_any_batch
