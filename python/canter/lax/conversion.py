"""Making arrays, and changing how their elements are represented."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ..core import dtypes, pytree
from ..core.avals import ShapedArray, get_aval
from ..core.mesh import AbstractMesh, current_context
from ..core.primitive import Primitive
from ..core.trace import Tracer, is_eager, state, swap_trace
from ..core.tracing import JaxprTrace, JaxprTracer
from ..transforms import rules
from ..transforms.rules import Zero, array_ops, deflinear, in_memory_of, is_undefined_primal
from .common import (
    FLOATING,
    NUMBER,
    Array,
    ArrayLike,
    DTypeLike,
    Shape,
    check_dtype,
    check_shape,
    defzero,
    laid_out,
    ops,
    refuse_sharding,
)

_SCALARS = (bool, int, float, complex, np.generic)


def dtype(x: Any) -> Any:
    """The dtype that a value has as an array.

    Args:
      x: array, tracer, NumPy array or Python number.

    Raises:
      TypeError: `x` is none of these.

    Example:
      >>> from canter import lax
      >>> lax.dtype(1.0)
      dtype('float32')
    """
    return dtypes.dtype(x)


# --- values as arrays -----------------------------------------------------------------------------


def as_array(value: Any) -> Array:
    """A NumPy array or number as an array of the current trace; arrays and tracers as they are.

    While a jaxpr is being traced, numbers become literals and NumPy arrays constants of it: no
    equation is recorded.
    """
    if not isinstance(value, (*_SCALARS, np.ndarray)):
        if hasattr(value, "__jax_array__"):
            return value.__jax_array__()
        get_aval(value)  # raises for what is no array
        return value
    trace = state.trace
    while (parent := getattr(trace, "parent", None)) is not None:
        trace = parent
    aval = get_aval(value)
    if isinstance(trace, JaxprTrace):
        return JaxprTracer(trace, aval, trace.to_atom(value))
    previous = swap_trace(trace)
    try:
        return trace.process(copy_p, (value,), {})
    finally:
        swap_trace(previous)


copy_p = Primitive("copy")
copy_p.def_abstract_eval(lambda x: x)
deflinear(copy_p, lambda ct, x: [ct])
rules.defvectorized(copy_p)


# --- convert_element_type -------------------------------------------------------------------------

convert_element_type_p = Primitive("convert_element_type")


def convert_element_type(operand: ArrayLike, new_dtype: DTypeLike) -> Array:
    """Converts the elements to another dtype, as C++ `static_cast` does.

    Args:
      operand: array, NumPy array or number.
      new_dtype: the dtype to have; float64 and int64 are narrowed with a warning while 64-bit types
        are off. Conversion from complex to real keeps the real part, with a warning.

    Returns:
      An array of that dtype; the operand itself where it has the dtype already.

    Raises:
      TypeError: `new_dtype` is no dtype of arrays, or elements such as PRNG keys cannot be converted.

    Example:
      >>> from canter import lax
      >>> int(lax.convert_element_type(2.7, int))
      2
    """
    return _convert_element_type(
        operand, dtypes.check_user_dtype_supported(new_dtype, "convert_element_type")
    )


def _convert_element_type(
    operand: Any, new_dtype: Any = None, weak_type: bool = False, sharding: Any = None, warn: bool = True
) -> Array:
    """As `convert_element_type`, for canonical dtypes, with a weak result if wanted."""
    aval = get_aval(operand)
    if new_dtype is None:
        new_dtype = aval.dtype
    if aval.dtype == new_dtype and aval.weak_type == weak_type:
        return as_array(operand)
    if isinstance(operand, _SCALARS):
        folded = _fold(operand, new_dtype, weak_type)
        if folded is not None:
            return as_array(folded)
    if warn and aval.dtype.kind == "c" and new_dtype.kind in "fiu":
        warnings.warn(
            "Casting complex values to real discards the imaginary part; take lax.real first.",
            np.exceptions.ComplexWarning,
            stacklevel=3,
        )
    return convert_element_type_p.bind(operand, new_dtype=new_dtype, weak_type=weak_type, sharding=sharding)


# Python numbers already folded: (type, value, sign, dtype, weak type) -> number. The sign tells -0.0 from 0.0.
_folded: dict[Any, Any] = {}


def _fold(value: Any, new_dtype: Any, weak_type: bool = False) -> Any:
    """The number in another dtype, or None where the device's conversion may differ from NumPy's."""
    kind = type(value)
    if kind is not int and kind is not float and kind is not bool:
        return _compute_fold(value, new_dtype, weak_type)
    key = kind, value, kind is float and math.copysign(1.0, value), new_dtype, weak_type, dtypes.x64_enabled()
    known = _folded.get(key)
    if known is None:
        known = _compute_fold(value, new_dtype, weak_type)
        if len(_folded) < 4096:
            _folded[key] = known
    return known


def _compute_fold(value: Any, new_dtype: Any, weak_type: bool) -> Any:
    if isinstance(new_dtype, dtypes.ExtendedDType):
        return None
    source = get_aval(value).dtype
    to_integer, from_integer = (dtypes.issubdtype(d, np.integer) for d in (new_dtype, source))
    if to_integer and not from_integer and source.kind != "b":
        limits = dtypes.iinfo(new_dtype)
        if source.kind == "c" or not limits.min <= float(value) <= limits.max:
            return None
    elif source.kind == "c" and new_dtype.kind != "c":
        return None
    with np.errstate(all="ignore"):
        result = np.asarray(value, source).astype(new_dtype)[()]
    return dtypes.scalar_type_of(new_dtype)(result) if weak_type else result


def _convert_rule(x: Any, *, new_dtype: Any, weak_type: bool, sharding: Any) -> Any:
    if dtypes.issubdtype(x.dtype, dtypes.extended) or isinstance(new_dtype, dtypes.ExtendedDType):
        if x.dtype != new_dtype:
            raise TypeError(
                f"Cannot convert elements of dtype {x.dtype.name} to {new_dtype.name}. "
                "Use canter.random.key_data and canter.random.wrap_key_data for PRNG keys."
            )
    refuse_sharding("convert_element_type", sharding, "sharding")
    return ShapedArray(x.shape, new_dtype, weak_type)


def _convert_jvp(primals: Any, tangents: Any, *, new_dtype: Any, weak_type: bool, sharding: Any) -> Any:
    (x,), (g,) = primals, tangents
    out = convert_element_type_p.bind(x, new_dtype=new_dtype, weak_type=weak_type, sharding=sharding)
    if type(g) is Zero or not dtypes.issubdtype(new_dtype, np.inexact):
        return out, Zero.from_primal_value(out)
    return out, _convert_element_type(g, new_dtype, weak_type, warn=False)


def _convert_transpose(ct: Any, x: Any, *, new_dtype: Any, weak_type: bool, sharding: Any) -> list[Any]:
    return [_convert_element_type(ct, x.aval.dtype, x.aval.weak_type, warn=False)]


convert_element_type_p.def_abstract_eval(_convert_rule)
convert_element_type_p.def_jvp(_convert_jvp)
convert_element_type_p.def_transpose(_convert_transpose)
rules.defvectorized(convert_element_type_p)


# --- bitcast and precision ------------------------------------------------------------------------

bitcast_convert_type_p = Primitive("bitcast_convert_type")
reduce_precision_p = Primitive("reduce_precision")


def bitcast_convert_type(operand: ArrayLike, new_dtype: DTypeLike) -> Array:
    """Reads the bits of the elements as another dtype.

    Args:
      operand: array, NumPy array or number.
      new_dtype: the dtype to have. If it is narrower, a dimension that counts the parts of each
        element is added last; if it is wider, the last dimension must hold the parts of one element
        and vanishes.

    Returns:
      An array of that dtype.

    Raises:
      TypeError: bool and complex elements cannot be read as others.
      ValueError: the last dimension does not make up one element.

    Example:
      >>> import numpy as np
      >>> from canter import lax
      >>> hex(int(lax.bitcast_convert_type(np.float32(1.0), np.int32)))
      '0x3f800000'
    """
    new_dtype = dtypes.check_user_dtype_supported(new_dtype, "bitcast_convert_type")
    return bitcast_convert_type_p.bind(operand, new_dtype=new_dtype)


def _bitcast_rule(x: Any, *, new_dtype: Any) -> Any:
    old_dtype = x.dtype
    if old_dtype == new_dtype:
        return x.strip_weak_type()
    if any(d.kind in "bc" for d in (old_dtype, new_dtype)):
        raise TypeError(
            "bitcast_convert_type does not support bool or complex values unless the operand and destination "
            f"types match. Got operand dtype={old_dtype.name}, new_dtype={new_dtype.name}. "
            "Consider using the arr.view() method instead."
        )
    old_bits, new_bits = dtypes.itemsize_bits(old_dtype), dtypes.itemsize_bits(new_dtype)
    shape = x.shape
    if old_bits > new_bits:
        shape = (*shape, old_bits // new_bits)
    elif old_bits < new_bits:
        last = shape[-1] if shape else 1
        if last * old_bits != new_bits:
            raise ValueError(
                f"bitcast_convert_type: cannot read {old_dtype.name}{list(shape)} as {new_dtype.name}: the "
                f"last dimension must be {new_bits // old_bits}, so that its parts make {new_bits} bits."
            )
        shape = shape[:-1]
    return ShapedArray(shape, new_dtype)


def _bitcast_batch(args: Any, dims: Any, *, new_dtype: Any) -> Any:
    x = rules.moveaxis(args[0], dims[0], 0)
    return bitcast_convert_type_p.bind(x, new_dtype=new_dtype), 0


bitcast_convert_type_p.def_abstract_eval(_bitcast_rule)
bitcast_convert_type_p.def_batching(_bitcast_batch)
defzero(bitcast_convert_type_p)


def reduce_precision(operand: ArrayLike, exponent_bits: int, mantissa_bits: int) -> Array:
    """Rounds numbers to those that a narrower floating-point format can hold.

    Args:
      operand: array, NumPy array or number of a floating dtype.
      exponent_bits: bits of the format's exponent, at least 1.
      mantissa_bits: bits of the format's mantissa, at least 0.

    Returns:
      An array of the shape and dtype of the operand.

    Raises:
      TypeError: the operand is not floating.
      ValueError: a number of bits is out of range.

    Example:
      >>> from canter import lax
      >>> float(lax.reduce_precision(1.001, exponent_bits=5, mantissa_bits=2))
      1.0
    """
    return reduce_precision_p.bind(
        operand, exponent_bits=exponent_bits.__index__(), mantissa_bits=mantissa_bits.__index__()
    )


def _reduce_precision_rule(x: Any, *, exponent_bits: int, mantissa_bits: int) -> Any:
    check_dtype("reduce_precision", x.dtype, FLOATING)
    if exponent_bits < 1:
        raise ValueError(f"reduce_precision: exponent_bits must be positive; got {exponent_bits}.")
    if mantissa_bits < 0:
        raise ValueError(f"reduce_precision: mantissa_bits must be non-negative; got {mantissa_bits}.")
    return x


reduce_precision_p.def_abstract_eval(_reduce_precision_rule)
deflinear(reduce_precision_p, lambda ct, x, **params: [reduce_precision_p.bind(ct, **params)])
rules.defvectorized(reduce_precision_p)


# --- new arrays -----------------------------------------------------------------------------------

iota_p = Primitive("iota")


def iota(dtype: DTypeLike, size: int) -> Array:
    """The numbers 0, 1, ..., size - 1.

    Args:
      dtype: an integer, floating or complex dtype.
      size: how many numbers.

    Raises:
      TypeError: the dtype is of another kind, or the size is negative or not a known integer.
      ValueError: there is no dtype.

    Example:
      >>> import numpy as np
      >>> from canter import lax
      >>> np.asarray(lax.iota(np.int32, 3)).tolist()
      [0, 1, 2]
    """
    return broadcasted_iota(dtype, (size,), 0)


def broadcasted_iota(dtype: DTypeLike, shape: Shape, dimension: int, *, out_sharding: Any = None) -> Array:
    """An array whose elements count along one dimension.

    Args:
      dtype: an integer, floating or complex dtype.
      shape: of the result.
      dimension: along which the elements are 0, 1, ...; along the others they repeat.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      TypeError: the dtype is of another kind, or the shape is not made of known, nonnegative integers.
      ValueError: there is no such dimension, or no dtype.

    Example:
      >>> import numpy as np
      >>> from canter import lax
      >>> np.asarray(lax.broadcasted_iota(np.int32, (2, 2), 1)).tolist()
      [[0, 1], [0, 1]]
    """
    if dtype is None:
        raise ValueError("iota: dtype must be specified, such as 'int32'.")
    dtype = dtypes.check_user_dtype_supported(dtype, "iota")
    if out_sharding is not None:
        return laid_out(lambda: broadcasted_iota(dtype, shape, dimension), out_sharding, "broadcasted_iota")
    return iota_p.bind(
        dtype=dtype, shape=check_shape("iota", shape), dimension=dimension.__index__(), sharding=None
    )


def _iota_rule(*, dtype: Any, shape: tuple[int, ...], dimension: int, sharding: Any) -> Any:
    check_dtype("iota", dtype, NUMBER)
    if not 0 <= dimension < len(shape):
        raise ValueError(
            f"iota dimension must be between 0 and len(shape), got dimension={dimension} for shape={shape}."
        )
    return ShapedArray(shape, dtype)


iota_p.def_abstract_eval(_iota_rule)


def full(
    shape: Shape, fill_value: ArrayLike, dtype: DTypeLike | None = None, *, sharding: Any = None
) -> Array:
    """An array whose elements are all the same.

    Args:
      shape: of the result.
      fill_value: a number, or an array without dimensions.
      dtype: of the result; None means that of `fill_value`.
      sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      TypeError: `fill_value` has dimensions, or the shape is not made of known, nonnegative integers.

    Example:
      >>> import numpy as np
      >>> from canter import lax
      >>> np.asarray(lax.full((2,), 7)).tolist()
      [7, 7]
    """
    if sharding is not None:
        strong = get_aval(fill_value).dtype if dtype is None else dtype
        return laid_out(lambda: full(shape, fill_value, strong), sharding)
    if dtype is not None:
        dtype = dtypes.check_user_dtype_supported(dtype, "full")
        fill_value = of_dtype(fill_value, dtype, "full")
    aval = get_aval(fill_value)
    if aval.shape:
        raise TypeError(
            f"full must be called with scalar fill_value, got fill_value.shape {aval.shape}. "
            "Use canter.numpy.full, which broadcasts, or lax.broadcast_in_dim."
        )
    if dtype is None:
        return _fill(check_shape("full", shape), fill_value, aval.dtype, aval.weak_type)
    return _fill(check_shape("full", shape), fill_value, dtype, False)


def of_dtype(value: Any, dtype: Any, function: str) -> Any:
    """A number that is to become one of a dtype: an integer that the default types do not hold as one of that dtype.

    As in a conversion, integers of too many bits keep the lowest ones.

    Args:
      value: a number, or anything else, which is returned as it is.
      dtype: what was asked for.
      function: who asks, for the message.

    Raises:
      TypeError: a complex number for a real dtype.
      OverflowError: an integer of more than 64 bits for a dtype of integers.
    """
    kind = type(value)
    if kind is int:
        fits = -(2**31) <= value < 2**31
    elif isinstance(value, complex) and dtypes.issubdtype(dtype, np.number) and dtype.kind != "c":
        raise TypeError(f"{function}: the complex number {value} cannot fill an array of dtype {dtype}.")
    else:
        fits = kind is not np.int64 and kind is not np.uint64
    if fits or isinstance(dtype, dtypes.ExtendedDType):
        return value
    with np.errstate(over="ignore"):
        return np.asarray(value).astype(dtype)[()]


def _fill(shape: tuple[int, ...], value: Any, dtype: Any, weak_type: bool) -> Array:
    """A full array for a canonical shape and dtype; a number in the place of a key is each of its words."""
    if isinstance(dtype, dtypes.ExtendedDType) and isinstance(value, _SCALARS):
        words = _fill((*shape, *dtype.physical_element_shape), value, dtype.physical_dtype, False)
        return dtype.from_physical(words)
    scalar = _fold(value, dtype, weak_type) if isinstance(value, _SCALARS) else None
    if scalar is None:
        scalar = _convert_element_type(value, dtype, weak_type)
    return ops.broadcast_in_dim(scalar, shape, ()) if shape else as_array(scalar)


def full_like(
    x: Any,
    fill_value: ArrayLike,
    dtype: DTypeLike | None = None,
    shape: Shape | None = None,
    sharding: Any = None,
) -> Array:
    """An array like another one, whose elements are all the same.

    Args:
      x: array, or anything with a shape and a dtype.
      fill_value: a number, or an array without dimensions.
      dtype: of the result; None means that of `x`.
      shape: of the result; None means that of `x`.
      sharding: how the result is laid out over devices; None means as `x`, if that is bound to its devices.

    Raises:
      TypeError: `fill_value` has dimensions.

    Example:
      >>> import numpy as np
      >>> from canter import lax
      >>> np.asarray(lax.full_like(np.zeros((2,)), 7)).tolist()
      [7.0, 7.0]
    """
    if sharding is None:
        sharding = sharding_after(x, np.shape(x) if shape is None else tuple(shape))
    if sharding is not None:
        return laid_out(lambda: _filled_like(x, fill_value, dtype, shape), sharding)
    return _filled_like(x, fill_value, dtype, shape)


def sharding_after(x: Any, shape: tuple[int, ...]) -> Any:
    """Where an array that is bound to its devices has others made after it; None for what is not bound.

    Of another shape they are there if each device holds the whole array: how to divide them would be a guess.
    """
    is_struct = _is_struct(x)
    if not is_struct and not getattr(x, "_committed", False):
        return None
    sharding = x.sharding
    if is_struct and (not is_eager() or isinstance(getattr(sharding, "mesh", None), AbstractMesh)):
        return _in_types(sharding) if shape == x.shape else None
    if shape == x.shape:
        return sharding
    fits = len(getattr(sharding, "spec", ())) <= len(shape)
    return sharding if fits and getattr(sharding, "is_fully_replicated", False) else None


def _in_types(sharding: Any) -> Any:
    """A sharding if types of arrays in the mesh in force can have it, else None."""
    in_force = current_context().abstract
    mesh = getattr(sharding, "mesh", None)
    if mesh is None or in_force is None or mesh.abstract_mesh != in_force:
        return None
    return sharding if in_force.explicit_axes else None


def _is_struct(x: Any) -> bool:
    return type(x).__name__ == "ShapeDtypeStruct"  # which is of a later floor


def _filled_like(x: Any, fill_value: Any, dtype: Any, shape: Any) -> Any:
    weak_type = False
    if dtype is not None:
        new_dtype = dtypes.check_user_dtype_supported(dtype, "full_like")
    else:
        like = x if _is_struct(x) else get_aval(x)
        new_dtype, weak_type = like.dtype, bool(getattr(like, "weak_type", False))
    new_shape = np.shape(x) if shape is None else check_shape("full_like", shape)
    fill_value = of_dtype(fill_value, new_dtype, "full_like")
    if get_aval(fill_value).shape:
        raise TypeError(
            f"full_like must be called with scalar fill_value, got shape {get_aval(fill_value).shape}."
        )
    filled = _fill(new_shape, fill_value, new_dtype, weak_type)
    aval = getattr(x, "aval", None)
    if getattr(aval, "memory", None) is not None:
        filled = in_memory_of(filled, aval)
    layout = None if shape is not None else getattr(aval, "layout", None)
    if layout is None:
        return filled
    return array_ops.resharded(filled, layout if isinstance(x, Tracer) else x.sharding)


def zeros_like_array(x: ArrayLike) -> Array:
    """An array of zeros with the shape and dtype of another one.

    Args:
      x: array, NumPy array or number.

    Example:
      >>> from canter import lax
      >>> float(lax.zeros_like_array(3.0))
      0.0
    """
    return full_like(x, 0)


# --- barriers -------------------------------------------------------------------------------------

stop_gradient_p = Primitive("stop_gradient")
stop_gradient_p.def_abstract_eval(lambda x: x)
stop_gradient_p.def_impl(as_array)
rules.defvectorized(stop_gradient_p)
defzero(stop_gradient_p)


def stop_gradient(x: Any) -> Any:
    """The identity, with a derivative of zero.

    Args:
      x: array, number, or any tree of these.

    Returns:
      A tree of the same structure and values, which differentiation takes for constants.

    Raises:
      TypeError: a leaf is not an array.

    Example:
      >>> import canter as ct
      >>> from canter import lax
      >>> float(ct.grad(lambda x: x * lax.stop_gradient(x))(3.0))
      3.0
    """
    if hasattr(x, "aval"):
        return stop_gradient_p.bind(x)
    return pytree.tree_map(stop_gradient_p.bind, x)


optimization_barrier_p = Primitive("optimization_barrier", multiple_results=True)


def optimization_barrier(operand: Any, /) -> Any:
    """Keeps the compiler from moving or merging computations across this point.

    Args:
      operand: array, or any tree of arrays. All of them are computed before any result is used.

    Returns:
      A tree of the same structure and values.

    Raises:
      TypeError: a leaf is not an array.

    Example:
      >>> from canter import lax
      >>> float(lax.optimization_barrier(2.0))
      2.0
    """
    leaves, treedef = pytree.tree_flatten(operand)
    return pytree.tree_unflatten(treedef, optimization_barrier_p.bind(*leaves)) if leaves else operand


def _barrier_jvp(primals: Any, tangents: Any) -> Any:
    outs = optimization_barrier_p.bind(*primals)
    given = [i for i, dot in enumerate(tangents) if type(dot) is not Zero]
    out_dots: list[Any] = list(tangents)
    for i, dot in zip(given, optimization_barrier_p.bind(*(tangents[i] for i in given)), strict=True):
        out_dots[i] = dot
    return outs, out_dots


def _barrier_transpose(cts: Any, *operands: Any) -> list[Any]:
    given = [
        i
        for i, (ct, x) in enumerate(zip(cts, operands, strict=True))
        if is_undefined_primal(x) and type(ct) is not Zero
    ]
    result: list[Any] = [Zero(x.aval.to_tangent_aval()) if is_undefined_primal(x) else None for x in operands]
    for i, ct in zip(given, optimization_barrier_p.bind(*(cts[i] for i in given)), strict=True):
        result[i] = ct
    return result


# What has been computed is computed: alone, there is nothing to hold back.
optimization_barrier_p.def_impl(lambda *operands: [as_array(x) for x in operands])
optimization_barrier_p.def_abstract_eval(lambda *avals: list(avals))
optimization_barrier_p.def_jvp(_barrier_jvp)
optimization_barrier_p.def_transpose(_barrier_transpose)
optimization_barrier_p.def_batching(lambda args, dims: (optimization_barrier_p.bind(*args), list(dims)))
