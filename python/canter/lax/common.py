"""What every family of primitives shares: operand checks, result shapes, declarers of tables.

Each family file declares its operations as lines of a table, with the functions of this module:
`unary` and `nary` make a primitive together with its public function. Families reach each other
through `ops`, which is resolved at the first use, so that their files can be imported in any order.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.avals import ShapedArray, get_aval, python_scalar_aval
from ..core.dimensions import is_symbolic_dim, sizes_of
from ..core.errors import InconclusiveDimensionOperation
from ..core.primitive import Primitive
from ..transforms import rules

__all__ = [
    "ANY",
    "BOOL_OR_INTEGER",
    "FLOATING",
    "INEXACT",
    "INTEGER",
    "NUMBER",
    "ORDERED",
    "Array",
    "ArrayLike",
    "DTypeLike",
    "Shape",
    "broadcast_operand_shapes",
    "check_axes",
    "check_dtype",
    "check_same_dtypes",
    "check_shape",
    "const",
    "defzero",
    "nary",
    "nary_primitive",
    "normalize_axis",
    "ops",
    "publish",
    "laid_out",
    "refuse_sharding",
    "shapes_text",
    "spread",
    "unary",
    "unary_primitive",
    "unbroadcast",
]

# Names for signatures. `ArrayLike`: an array, a tracer, a NumPy array or a Python number.
Array = Any
ArrayLike = Any
DTypeLike = Any
Shape = Sequence[int]

# Kinds of dtypes that an operand may have.
BOOL, INT, FLOAT, COMPLEX = np.bool_, np.integer, np.floating, np.complexfloating
FLOATING: tuple[type, ...] = (FLOAT,)
INEXACT: tuple[type, ...] = (FLOAT, COMPLEX)
INTEGER: tuple[type, ...] = (INT,)
BOOL_OR_INTEGER: tuple[type, ...] = (INT, BOOL)
ORDERED: tuple[type, ...] = (INT, FLOAT, BOOL)
NUMBER: tuple[type, ...] = (INT, FLOAT, COMPLEX)
ANY: tuple[type, ...] = (INT, FLOAT, COMPLEX, BOOL)

# canter.numpy functions that promote dtypes and broadcast, named in error messages.
_PROMOTING = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "div": "divide",
    "rem": "remainder",
    "max": "maximum",
    "min": "minimum",
    "pow": "power",
    "atan2": "arctan2",
    "select_n": "where",
    "clamp": "clip",
    "bitwise_and": "bitwise_and",
    "bitwise_or": "bitwise_or",
    "bitwise_xor": "bitwise_xor",
    "shift_left": "left_shift",
    "shift_right_arithmetic": "right_shift",
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "nextafter": "nextafter",
}


class _Operations:
    """The functions of `canter.lax` by name, looked up once each."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(sys.modules[__package__], name)
        setattr(self, name, value)
        return value


ops: Any = _Operations()


# Operands and their checks


# Python's scalar type for a dtype that Python's numbers have by default, else None: (dtype, x64) -> type.
_python_types: dict[Any, type | None] = {}


def const(example: Any, value: Any) -> Any:
    """The scalar `value` in the dtype of `example`, never strongly typed where `example` is weakly.

    Args:
      example: an array, tracer or number.
      value: a Python number that its dtype can hold.
    """
    dtype = get_aval(example).dtype
    key = dtype, dtypes.x64_enabled()
    try:
        scalar_type = _python_types[key]
    except KeyError:
        scalar_type = dtypes.scalar_type_of(dtype)
        if python_scalar_aval(scalar_type(0)).dtype != dtype:
            scalar_type = None
        _python_types[key] = scalar_type
    # Python's numbers are the cheapest operands to trace; being weak they take the dtype of the other.
    try:
        return dtype.type(value) if scalar_type is None else scalar_type(value)
    except (TypeError, InconclusiveDimensionOperation):
        if not is_symbolic_dim(value):
            raise
        return ops.convert_element_type(value, dtype)


def shapes_text(shapes: Sequence[Sequence[int]]) -> str:
    """Shapes for a message, as in `(3, 4), (2,)`."""
    return ", ".join(str(tuple(shape)) for shape in shapes)


def _kinds_text(kinds: tuple[Any, ...]) -> str:
    return ", ".join("bool" if kind is BOOL else kind.__name__ for kind in kinds)


def check_dtype(name: str, dtype: Any, kinds: tuple[Any, ...], position: int | None = None) -> None:
    """Raises TypeError unless the dtype is of one of the kinds."""
    for kind in kinds:
        if dtypes.issubdtype(dtype, kind):
            return
    where = "" if position is None else f" at position {position}"
    raise TypeError(
        f"{name} does not accept dtype {dtype.name}{where}. Accepted dtypes{where} are subtypes of "
        f"{_kinds_text(kinds)}. Convert the operand with lax.convert_element_type or its astype method."
    )


def check_same_dtypes(name: str, *avals: Any) -> None:
    """Raises TypeError unless all avals have one dtype."""
    dtype = avals[0].dtype
    for aval in avals[1:]:
        if aval.dtype is not dtype and aval.dtype != dtype:
            break
    else:
        return
    tip = _PROMOTING.get(name)
    fix = f"canter.numpy.{tip} promotes dtypes" if tip else "convert with lax.convert_element_type"
    got = ", ".join(aval.dtype.name for aval in avals)
    raise TypeError(f"lax.{name} requires arguments to have the same dtypes, got {got}. ({fix}.)")


def check_shape(name: str, shape: Any) -> tuple[int, ...]:
    """A shape as a tuple of ints; raises TypeError for other things and for negative sizes."""
    if isinstance(shape, int):
        shape = (shape,)
    try:
        sizes = tuple(int(size.__index__()) for size in shape)
    except (TypeError, AttributeError):
        if any(map(is_symbolic_dim, shape if isinstance(shape, Sequence) else ())):
            return sizes_of(shape)
        raise TypeError(
            f"{name}: a shape must be a sequence of integers, got {shape!r}. Sizes must be known when "
            "tracing: take them from x.shape, or make the argument static."
        ) from None
    if any(size < 0 for size in sizes):
        raise TypeError(f"{name} shape must have every element be nonnegative, got {sizes}.")
    return sizes


def normalize_axis(name: str, axis: Any, ndim: int) -> int:
    """An axis in [-ndim, ndim) as one in [0, ndim); raises ValueError for others."""
    axis = axis.__index__()
    if not -ndim <= axis < ndim:
        raise ValueError(
            f"{name}: axis {axis} is out of bounds for array of dimension {ndim}: axes go from {-ndim} to {ndim - 1}."
        )
    return axis % ndim


def laid_out(compute: Callable[[], Any], sharding: Any, function: str | None = None) -> Any:
    """A result laid out over devices as the caller of a function asked."""
    from .sharding import computed_as  # few programs need it

    return computed_as(compute, sharding, function)


def refuse_sharding(name: str, sharding: Any, parameter: str = "out_sharding") -> None:
    """Raises NotImplementedError where an operation is asked for a sharding of its result."""
    if sharding is not None:
        raise NotImplementedError(
            f"lax.{name} takes no sharding yet, but {parameter}={sharding!r} was given. Leave it out: a program "
            "runs on one device, which canter.device_put of its arguments chooses."
        )


def check_axes(name: str, axes: Any, aval: Any) -> tuple[int, ...]:
    """Distinct, nonnegative axes of an operand as a tuple of ints.

    Raises:
      TypeError: `axes` is not a sequence of integers.
      ValueError: an axis is negative, too large, or given twice.
    """
    try:
        axes = tuple(axis.__index__() for axis in axes)
    except (TypeError, AttributeError):
        raise TypeError(f"{name}: axes must be a sequence of integers, got {axes!r}.") from None
    if any(not 0 <= axis < aval.ndim for axis in axes):
        raise ValueError(
            f"{name}: axes {axes} contain out-of-bounds indices for {aval.dtype.name}{list(aval.shape)}; "
            f"each must be in [0, {aval.ndim})."
        )
    if len(set(axes)) != len(axes):
        raise ValueError(f"{name}: duplicate value in axes {axes}. Name each axis once.")
    return axes


def broadcast_operand_shapes(name: str, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The result shape of an elementwise operation.

    Scalars go with every shape; other operands must have one rank, and sizes that are equal or 1.
    """
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return first
    ranked = [shape for shape in shapes if shape]
    rank = len(ranked[0])
    if any(len(shape) != rank for shape in ranked):
        raise TypeError(
            f"{name}: arrays must have the same number of dimensions, got shapes {shapes_text(shapes)}. "
            f"{_broadcast_fix(name)}"
        )
    result = []
    for sizes in zip(*ranked, strict=True):
        size = next((size for size in sizes if size != 1), 1)
        if any(other not in (size, 1) for other in sizes):
            raise TypeError(
                f"{name} got incompatible shapes for broadcasting: {shapes_text(shapes)}. "
                f"{_broadcast_fix(name)}"
            )
        result.append(size)
    return tuple(result)


def _broadcast_fix(name: str) -> str:
    tip = _PROMOTING.get(name)
    other = f"; canter.numpy.{tip} broadcasts as NumPy does" if tip else ""
    return f"Reshape the operands to equal shapes with lax.broadcast_in_dim or reshape{other}."


# Declarers of tables


def unary_primitive(
    name: str, kinds: tuple[Any, ...], result: Callable[[Any], Any] | None = None, public: str | None = None
) -> Primitive:
    """An elementwise primitive of one operand.

    Args:
      name: the primitive's name.
      kinds: dtypes that it accepts.
      result: gives the result dtype for the operand's; None leaves it.
      public: name for messages, where it is not the primitive's.
    """
    primitive = Primitive(name)
    label = public or name

    def shape_rule(x: Any, **params: Any) -> Any:
        if not (kinds is ANY and dtypes.issubdtype(x.dtype, dtypes.extended)):
            check_dtype(label, x.dtype, kinds)
        return x if result is None else x.update(dtype=result(x.dtype))

    primitive.def_abstract_eval(shape_rule)
    rules.defvectorized(primitive)
    return primitive


def nary_primitive(
    name: str,
    kinds: Sequence[tuple[Any, ...]],
    result: Callable[..., Any] | None = None,
    *,
    public: str | None = None,
    same_dtypes: bool = True,
) -> Primitive:
    """An elementwise primitive of several operands, of equal shapes or scalars.

    Args:
      name: the primitive's name.
      kinds: for each operand, the dtypes that it accepts.
      result: gives the result dtype for the operands'; None takes the first operand's.
      public: name for messages, where it is not the primitive's.
      same_dtypes: whether the operands must have one dtype.
    """
    primitive = Primitive(name)
    label = public or name
    extended_too = kinds[0] is ANY

    def shape_rule(*avals: Any, **params: Any) -> Any:
        dtype = avals[0].dtype
        if not (extended_too and dtypes.issubdtype(dtype, dtypes.extended)):
            for position, (aval, accepted) in enumerate(zip(avals, kinds, strict=True)):
                check_dtype(label, aval.dtype, accepted, position)
        if same_dtypes:
            check_same_dtypes(label, *avals)
        shape = broadcast_operand_shapes(label, [aval.shape for aval in avals])
        if result is not None:
            dtype = result(*(aval.dtype for aval in avals), **params)
        return ShapedArray(shape, dtype, all(aval.weak_type for aval in avals))

    primitive.def_abstract_eval(shape_rule)
    rules.defbroadcasting(primitive)
    return primitive


def publish(function: Any, name: str, doc: str) -> Any:
    """Gives a generated function its public name and documentation."""
    function.__name__ = function.__qualname__ = name
    function.__module__ = __package__
    function.__doc__ = doc
    return function


_OPERANDS = {1: ("x",), 2: ("x", "y")}


def _document(
    names: tuple[str, ...],
    kinds: Sequence[tuple[Any, ...]],
    summary: str,
    example: str,
    printed: str,
    extra: str = "",
) -> str:
    operands = "\n".join(
        f"      {name}: array, NumPy array or number of dtype {_kinds_text(accepted)}."
        for name, accepted in zip(names, kinds, strict=True)
    )
    several = " Operands have equal shapes and dtypes; scalars go with every shape." if len(names) > 1 else ""
    problem = "an operand's dtype is not accepted" if len(names) == 1 else "shapes or dtypes do not fit"
    return f"""{summary}{several}

    Args:
{operands}{extra}

    Returns:
      The elementwise result.

    Raises:
      TypeError: {problem}.

    Example:
      >>> from canter import lax
      >>> {example}
      {printed}
    """


_ACCURACY_DOC = """
      accuracy: None for the backend's default, an `AccuracyMode` or a `Tolerance`."""


def unary(
    name: str,
    kinds: tuple[Any, ...],
    summary: str,
    example: str,
    printed: str,
    *,
    result: Callable[[Any], Any] | None = None,
    accuracy: bool = False,
    primitive_name: str | None = None,
) -> tuple[Primitive, Callable[..., Array]]:
    """An elementwise primitive of one operand, and its public function.

    Args:
      name: the public name.
      kinds: dtypes that it accepts.
      summary: first sentence of its documentation.
      example: an expression for its documentation.
      printed: what Python prints for it.
      result: gives the result dtype for the operand's; None leaves it.
      accuracy: whether it takes the keyword `accuracy`.
      primitive_name: where it is not the public name.
    """
    primitive = unary_primitive(primitive_name or name, kinds, result, name)
    bind = primitive.bind

    def plain(x: ArrayLike) -> Array:
        return bind(x)

    def with_accuracy(x: ArrayLike, *, accuracy: Any = None) -> Array:
        return bind(x, accuracy=accuracy)

    doc = _document(("x",), (kinds,), summary, example, printed, _ACCURACY_DOC if accuracy else "")
    return primitive, publish(with_accuracy if accuracy else plain, name, doc)


def nary(
    name: str,
    kinds: Sequence[tuple[Any, ...]],
    summary: str,
    example: str,
    printed: str,
    *,
    result: Callable[..., Any] | None = None,
    primitive_name: str | None = None,
) -> tuple[Primitive, Callable[..., Array]]:
    """An elementwise primitive of two operands, and its public function; arguments as for `unary`."""
    primitive = nary_primitive(primitive_name or name, kinds, result, public=name)
    bind = primitive.bind

    def binary(x: ArrayLike, y: ArrayLike) -> Array:
        return bind(x, y)

    return primitive, publish(binary, name, _document(("x", "y"), kinds, summary, example, printed))


# Derivatives


def defzero(primitive: Primitive) -> None:
    """Declares that the derivative is zero everywhere."""

    def jvp(primals: Any, tangents: Any, **params: Any) -> Any:
        out = primitive.bind(*primals, **params)
        return out, rules.Zero(get_aval(out).to_tangent_aval())

    primitive.def_jvp(jvp)


def spread(x: Any, shape: tuple[int, ...]) -> Any:
    """Broadcasts an operand of an elementwise operation to the shape of the result."""
    own = get_aval(x).shape
    if own == shape:
        return x
    return ops.broadcast_in_dim(x, shape, tuple(range(len(shape))) if own else ())


def unbroadcast(ct: Any, aval: Any) -> Any:
    """Sums a cotangent over the dimensions along which `spread` repeats an operand of this aval."""
    shape = get_aval(ct).shape
    own = aval.shape
    if shape == own:
        return ct
    if not own:
        return ops.reduce_sum(ct, tuple(range(len(shape))))
    axes = tuple(axis for axis, (size, wide) in enumerate(zip(own, shape, strict=True)) if size != wide)
    return ops.reshape(ops.reduce_sum(ct, axes), own)
