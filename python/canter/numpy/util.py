"""What the functions of canter.numpy share: argument checks, promotion of dtypes and of shapes.

Every function begins with `promote_...`: it refuses what is not an array or a number, brings the
operands to one dtype by the lattice of `canter.core.dtypes` and, where asked, to one shape. Inside
a trace these run once an operation, so each has a first exit for the common case: operands that
agree already, or a Python number next to an array.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from canter import lax
from canter.core import config, dtypes
from canter.core.dimensions import size_of, sizes_of
from canter.core.trace import Tracer
from canter_pjrt.jaxlib_door import ArrayImpl

__all__ = [
    "aval_of",
    "broadcast_arrays_to_common",
    "broadcast_shape",
    "broadcast_to",
    "canonical_axes",
    "canonical_axis",
    "canonical_shape",
    "check_arraylike",
    "convert",
    "dtype_of",
    "dtype_rank",
    "hashable_axis",
    "is_arraylike",
    "is_inexact",
    "promote_args",
    "promote_args_inexact",
    "promote_dtypes",
    "promote_dtypes_complex",
    "promote_dtypes_inexact",
    "promote_pair",
    "promote_shapes",
    "refuse_out",
    "scalar_like",
    "shape_of",
    "to_inexact",
]

#: Python numbers in the order in which they yield: an int joins floats without changing their dtype.
PYTHON_RANK = {bool: 0, int: 1, float: 2, complex: 3}
_RANK_CLASSES = ((np.bool_, 0), (np.integer, 1), (np.floating, 2), (np.complexfloating, 3))
_rank_of_dtype: dict[Any, int] = {}
_ARRAY_TYPES = (ArrayImpl, Tracer, np.ndarray, np.generic, bool, int, float, complex)
_LARGEST_SAFE_FLOAT = (
    1e2  # below this every float dtype, however small, holds a Python float without overflow
)


def dtype_rank(dtype: Any) -> int:
    """0 for bool, 1 for integers, 2 for floats, 3 for complex numbers, 9 for anything else (keys)."""
    rank = _rank_of_dtype.get(dtype)
    if rank is None:
        rank = 9
        for cls, number in _RANK_CLASSES:
            if isinstance(dtype, np.dtype) and dtypes.issubdtype(dtype, cls):
                rank = number
        _rank_of_dtype[dtype] = rank
    return rank


def is_inexact(dtype: Any) -> bool:
    """True for float and complex dtypes."""
    return dtype_rank(dtype) in (2, 3)


def is_arraylike(x: Any) -> bool:
    """True for arrays, tracers, NumPy arrays and scalars, Python numbers and `__jax_array__` objects."""
    return isinstance(x, _ARRAY_TYPES) or hasattr(x, "aval") or hasattr(x, "__jax_array__")


def check_arraylike(name: str, *args: Any) -> None:
    """Refuses lists, None and whatever else is neither an array nor a number.

    Raises:
      TypeError: names the function, the type and the position.
    """
    for position, arg in enumerate(args):
        if not is_arraylike(arg):
            hint = " Wrap it in canter.numpy.asarray(...) first." if isinstance(arg, (list, tuple)) else ""
            raise TypeError(
                f"{name} requires ndarray or scalar arguments, got {type(arg)} at position {position}.{hint}"
            )


def refuse_out(name: str, out: Any) -> None:
    """Arrays cannot be written in place, so `out=` must stay None."""
    if out is not None:
        raise NotImplementedError(
            f"The 'out' argument to canter.numpy.{name} is not supported: arrays are immutable. "
            "Use the returned array instead."
        )


def aval_of(x: Any) -> Any:
    """The aval of an array or tracer, None for anything else."""
    return getattr(x, "aval", None)


def dtype_of(x: Any) -> Any:
    """The dtype that x has as an array."""
    aval = getattr(x, "aval", None)
    return aval.dtype if aval is not None else dtypes.dtype(x)


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of an array or number."""
    aval = getattr(x, "aval", None)
    return aval.shape if aval is not None else np.shape(x)


# --- axes and shapes ----------------------------------------------------------------------------


def canonical_axis(axis: Any, ndim: int) -> int:
    """A non-negative axis.

    Raises:
      AxisError: the axis is out of bounds. It is a ValueError and an IndexError, as in NumPy.
    """
    index = operator.index(axis)
    if not -ndim <= index < ndim:
        raise np.exceptions.AxisError(
            f"axis {index} is out of bounds for array of dimension {ndim}"
            + (f": axes go from {-ndim} to {ndim - 1}." if ndim else ", a scalar, which has no axes.")
        )
    return index + ndim if index < 0 else index


def canonical_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Non-negative axes, in the order given; None means all.

    Raises:
      ValueError: an axis is out of bounds or given twice.
    """
    if axis is None:
        return tuple(range(ndim))
    if isinstance(axis, (tuple, list, range)):
        axes = tuple(canonical_axis(a, ndim) for a in axis)
        if len(set(axes)) != len(axes):
            raise ValueError(f"duplicate value in 'axis': {tuple(axis)}. Name each axis once.")
        return axes
    return (canonical_axis(axis, ndim),)


def hashable_axis(axis: Any) -> Any:
    """An axis argument as None, an int or a tuple of ints, so that it can be a static argument."""
    if axis is None or type(axis) is int:
        return axis
    if isinstance(axis, (tuple, list, range)):
        return tuple(map(operator.index, axis))
    return operator.index(axis)


def canonical_shape(shape: Any) -> tuple[int, ...]:
    """A shape as a tuple of non-negative Python ints.

    Raises:
      TypeError: a dimension is not an integer (a tracer, a float).
      ValueError: a dimension is negative.
    """
    if type(shape) is int:
        dims: tuple[int, ...] = (shape,)
    else:
        try:
            dims = (size_of(shape),)
        except TypeError:
            try:
                dims = sizes_of(shape)
            except TypeError as error:
                raise TypeError(
                    f"Shapes must be 1D sequences of concrete values of integer type, got {shape}."
                    + (
                        "\nA dimension is traced: make it a static argument of the transformed function "
                        "(static_argnums), or compute it from `x.shape`."
                        if _has_tracer(shape)
                        else ""
                    )
                ) from error
    for dim in dims:
        if dim < 0:
            raise ValueError(f"Shapes must have non-negative dimensions, got {dims}.")
    return dims


def _has_tracer(shape: Any) -> bool:
    if isinstance(shape, Tracer):
        return True
    return isinstance(shape, (tuple, list)) and any(isinstance(dim, Tracer) for dim in shape)


def broadcast_shape(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape to which several shapes broadcast.

    Raises:
      ValueError: they do not.
    """
    first = tuple(shapes[0]) if shapes else ()
    if all(tuple(s) == first for s in shapes):
        return first
    rank = max(len(s) for s in shapes)
    result = [1] * rank
    for shape in shapes:
        for i, dim in enumerate(shape, rank - len(shape)):
            if dim != 1:
                if result[i] not in (1, dim):
                    listed = ", ".join(str(tuple(s)) for s in shapes)
                    raise ValueError(
                        f"Incompatible shapes for broadcasting: shapes={listed}. Aligned at the last dimension, "
                        "sizes must be equal or 1: reshape an operand or insert dimensions with x[:, None]."
                    )
                result[i] = dim
    return tuple(result)


def broadcast_to(x: Any, shape: tuple[int, ...]) -> Any:
    """x broadcast to a shape that its own shape is known to fit."""
    have = shape_of(x)
    if have == shape:
        return x
    lead = len(shape) - len(have)
    kept = [i for i, dim in enumerate(have) if dim == shape[i + lead]]
    if len(kept) < len(have):
        x = lax.reshape(x, tuple(have[i] for i in kept))
    return lax.broadcast_in_dim(x, shape, tuple(i + lead for i in kept))


class IncompatibleShapesError(TypeError, ValueError):
    """Operands' shapes do not broadcast: a ValueError for NumPy's users, a TypeError where ranks agree in JAX."""


def _check_rank_promotion(name: str, shapes: Sequence[tuple[int, ...]]) -> None:
    mode = config.numpy_rank_promotion.value
    if mode == "allow" or len({len(s) for s in shapes if s}) <= 1:
        return
    message = (
        f"Operands could not be broadcast together for {name} on shapes "
        f"{' '.join(map(str, shapes))} without raising their rank, and the config option "
        f"numpy_rank_promotion={mode!r} {'forbids' if mode == 'raise' else 'warns about'} that. "
        "Reshape them to one rank, or set the option to 'allow'."
    )
    if mode == "raise":
        raise ValueError(message)
    import warnings

    warnings.warn(message, stacklevel=3)


def promote_shapes(name: str, *args: Any) -> list[Any]:
    """The operands at one rank, as elementwise primitives take them: scalars may stay scalars, and
    dimensions of size 1 are left for the primitive to broadcast.

    Raises:
      TypeError: the shapes do not broadcast.
    """
    shapes = [shape_of(x) for x in args]
    wide = [s for s in shapes if s]
    if not wide:
        return list(args)
    first = wide[0]
    if all(s == first for s in wide):
        return list(args)
    _check_rank_promotion(name, shapes)
    try:
        rank = len(broadcast_shape(*wide))
    except ValueError:
        listed = ", ".join(map(str, shapes))
        same_rank = len({len(s) for s in wide}) == 1
        problem = f"{name} got incompatible shapes for broadcasting: {listed}."
        if not same_rank:
            problem = f"Incompatible shapes for broadcasting: shapes=[{listed}] of the operands of {name}."
        raise IncompatibleShapesError(
            f"{problem} Aligned at the last dimension, sizes must be equal or 1: reshape an operand or insert "
            "dimensions with x[:, None]."
        ) from None
    return [_with_rank(x, s, rank) if s else x for x, s in zip(args, shapes, strict=True)]


def _with_rank(x: Any, shape: tuple[int, ...], rank: int) -> Any:
    lead = rank - len(shape)
    return lax.broadcast_in_dim(x, (1,) * lead + shape, tuple(range(lead, rank))) if lead else x


def broadcast_arrays_to_common(name: str, *args: Any) -> list[Any]:
    """The operands broadcast to one shape, those of rank 0 too."""
    shapes = [shape_of(x) for x in args]
    _check_rank_promotion(name, shapes)
    common = broadcast_shape(*shapes)
    return [broadcast_to(x, common) for x in args]


# --- dtypes -------------------------------------------------------------------------------------


def convert(x: Any, dtype: Any, weak_type: bool = False) -> Any:
    """x as an array of a dtype; nothing happens where x has it already."""
    aval = getattr(x, "aval", None)
    if aval is not None:
        if aval.dtype == dtype and aval.weak_type == weak_type:
            return x
    elif hasattr(x, "__jax_array__"):
        return convert(x.__jax_array__(), dtype, weak_type)
    elif type(x) in PYTHON_RANK:
        if not weak_type:
            return scalar_of(x, dtype)
        number = dtypes.scalar_type_of(dtype)(x)
        if dtypes.dtype(number) == dtype:
            return number
    return lax.convert_element_type_p.bind(x, new_dtype=dtype, weak_type=weak_type, sharding=None)


def scalar_of(value: Any, dtype: Any) -> Any:
    """A Python number as a NumPy scalar, wrapping or overflowing as a conversion on device does."""
    if type(value) is float and -_LARGEST_SAFE_FLOAT < value < _LARGEST_SAFE_FLOAT:
        return dtype.type(value)
    if type(value) is int:
        dtypes.check_int_fits(value, np.dtype(np.int64 if dtypes.x64_enabled() else np.int32))
        value = np.asarray(value, np.int64)
    with np.errstate(all="ignore"):
        return np.asarray(value).astype(dtype)[()]


def scalar_like(value: Any, aval: Any) -> Any:
    """A Python number that does not outrank an aval's dtype, as an operand next to that aval."""
    if aval.weak_type:
        return (
            convert(value, aval.dtype, True) if dtype_rank(aval.dtype) != PYTHON_RANK[type(value)] else value
        )
    return scalar_of(value, aval.dtype)


def promote_dtypes(*args: Any) -> list[Any]:
    """The operands converted to their common dtype."""
    dtype, weak_type = dtypes.result_type(*args, return_weak_type_flag=True)
    return [convert(x, dtype, weak_type) for x in args]


def inexact_dtype(dtype: Any) -> Any:
    """The float dtype in which to compute on integers: the default one; inexact dtypes stay."""
    return dtype if is_inexact(dtype) else dtypes.to_inexact_dtype(dtype)


def promote_dtypes_inexact(*args: Any) -> list[Any]:
    """The operands converted to their common dtype, at least a float."""
    dtype, weak_type = dtypes.result_type(*args, return_weak_type_flag=True)
    dtype, weak_type = inexact_dtype(dtype), weak_type
    return [convert(x, dtype, weak_type) for x in args]


def promote_dtypes_complex(*args: Any) -> list[Any]:
    """The operands converted to their common complex dtype."""
    dtype, weak_type = dtypes.result_type(*args, return_weak_type_flag=True)
    dtype = dtypes.to_complex_dtype(inexact_dtype(dtype))
    return [convert(x, dtype, weak_type) for x in args]


def to_inexact(name: str, x: Any) -> Any:
    """One operand, converted to the default float dtype where it is not inexact already."""
    aval = getattr(x, "aval", None)
    if aval is not None and dtype_rank(aval.dtype) in (2, 3):
        return x
    check_arraylike(name, x)
    return promote_dtypes_inexact(x)[0]


def promote_pair(name: str, x: Any, y: Any) -> Any:
    """Two operands with one dtype and broadcast shapes.

    Raises:
      TypeError: an operand is neither an array nor a number, or the dtypes have no common one.
      ValueError: the shapes do not broadcast.
    """
    rank = PYTHON_RANK.get(type(y))
    if rank is not None:
        aval = getattr(x, "aval", None)
        if aval is not None and rank <= dtype_rank(aval.dtype) < 9:
            return x, scalar_like(y, aval)
        return promote_args(name, x, y)
    y_aval = getattr(y, "aval", None)
    if y_aval is None:
        return promote_args(name, x, y)
    x_aval = getattr(x, "aval", None)
    if x_aval is None:
        rank = PYTHON_RANK.get(type(x))
        if rank is not None and rank <= dtype_rank(y_aval.dtype) < 9:
            return scalar_like(x, y_aval), y
    elif x_aval.dtype == y_aval.dtype:
        if x_aval.shape == y_aval.shape or not x_aval.shape or not y_aval.shape:
            return x, y
        return promote_shapes(name, x, y)
    return promote_args(name, x, y)


def promote_args(name: str, *args: Any) -> list[Any]:
    """Checks the operands and brings them to one dtype and shape."""
    check_arraylike(name, *args)
    return promote_shapes(name, *promote_dtypes(*args))


def promote_args_inexact(name: str, *args: Any) -> list[Any]:
    """Checks the operands and brings them to one float or complex dtype and one shape."""
    if len(args) == 2:
        x_aval, y_aval = getattr(args[0], "aval", None), getattr(args[1], "aval", None)
        aval = x_aval if x_aval is not None else y_aval
        if aval is not None and is_inexact(aval.dtype):
            x, y = promote_pair(name, *args)
            return [x, y]
    check_arraylike(name, *args)
    return promote_shapes(name, *promote_dtypes_inexact(*args))
