"""Elementwise functions of two operands: arithmetic, powers, extrema, bits and shifts.

Operands have one shape, or are scalars; sizes of 1 go with every size. Promotion of dtypes and of
ranks is the business of canter.numpy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import dtypes
from ..core.avals import get_aval
from ..transforms.rules import Zero, add_tangents, defjvp, defjvp2, is_undefined_primal
from .common import (
    ANY,
    BOOL_OR_INTEGER,
    FLOATING,
    INEXACT,
    INTEGER,
    NUMBER,
    Array,
    ArrayLike,
    DTypeLike,
    check_same_dtypes,
    const,
    defzero,
    nary,
    nary_primitive,
    ops,
    spread,
    unbroadcast,
)
from .elementwise import integer_pow, neg, square

_REAL = (np.integer, np.floating)
_EXPONENT = (np.integer, np.floating, np.complexfloating)


def _complex_dtype(real_part: Any, imaginary_part: Any) -> Any:
    return dtypes.to_complex_dtype(real_part)


# --- operations -----------------------------------------------------------------------------------

add_p, add = nary("add", (NUMBER, NUMBER), "The sum: x + y.", "float(lax.add(1.0, 2.0))", "3.0")
sub_p, sub = nary("sub", (NUMBER, NUMBER), "The difference: x - y.", "float(lax.sub(1.0, 2.0))", "-1.0")
div_p, div = nary(
    "div",
    (NUMBER, NUMBER),
    "The quotient: x / y; of integers, rounded towards zero.",
    "float(lax.div(1.0, 2.0))",
    "0.5",
)
rem_p, rem = nary(
    "rem",
    (_REAL, _REAL),
    "The remainder of division, with the sign of x.",
    "float(lax.rem(-5.0, 3.0))",
    "-2.0",
)
max_p, max = nary(
    "max",
    (ANY, ANY),
    "The larger operand, NaN where one is NaN; complex numbers compare by real, then imaginary part.",
    "float(lax.max(1.0, 2.0))",
    "2.0",
)
min_p, min = nary(
    "min",
    (ANY, ANY),
    "The smaller operand, NaN where one is NaN; complex numbers compare by real, then imaginary part.",
    "float(lax.min(1.0, 2.0))",
    "1.0",
)
atan2_p, atan2 = nary(
    "atan2",
    (INEXACT, INEXACT),
    "The angle of the point (y, x): the inverse tangent of x / y in the right quadrant.",
    "round(float(lax.atan2(1.0, -1.0)), 4)",
    "2.3562",
)
complex_p, complex = nary(
    "complex",
    ((np.float32, np.float64), (np.float32, np.float64)),
    "The complex number with real part x and imaginary part y.",
    "complex(lax.complex(1.0, 2.0))",
    "(1+2j)",
    result=_complex_dtype,
)
and_p, bitwise_and = nary(
    "bitwise_and",
    (BOOL_OR_INTEGER, BOOL_OR_INTEGER),
    "The bits set in both operands.",
    "int(lax.bitwise_and(6, 3))",
    "2",
    primitive_name="and",
)
or_p, bitwise_or = nary(
    "bitwise_or",
    (BOOL_OR_INTEGER, BOOL_OR_INTEGER),
    "The bits set in either operand.",
    "int(lax.bitwise_or(6, 3))",
    "7",
    primitive_name="or",
)
xor_p, bitwise_xor = nary(
    "bitwise_xor",
    (BOOL_OR_INTEGER, BOOL_OR_INTEGER),
    "The bits set in exactly one operand.",
    "int(lax.bitwise_xor(6, 3))",
    "5",
    primitive_name="xor",
)
shift_left_p, shift_left = nary(
    "shift_left",
    (INTEGER, INTEGER),
    "x shifted left by y bits; 0 where y is not in [0, bits of x).",
    "int(lax.shift_left(1, 3))",
    "8",
)
shift_right_logical_p, shift_right_logical = nary(
    "shift_right_logical",
    (INTEGER, INTEGER),
    "x shifted right by y bits, zeros coming in.",
    "int(lax.shift_right_logical(-1, 31))",
    "1",
)
shift_right_arithmetic_p, shift_right_arithmetic = nary(
    "shift_right_arithmetic",
    (INTEGER, INTEGER),
    "x shifted right by y bits, copies of the sign bit coming in.",
    "int(lax.shift_right_arithmetic(-8, 1))",
    "-4",
)

nextafter_p = nary_primitive("nextafter", (FLOATING, FLOATING))
mulhi_p = nary_primitive("mulhi", (INTEGER, INTEGER))


def nextafter(x1: ArrayLike, x2: ArrayLike) -> Array:
    """The next representable number after x1 in the direction of x2.

    Args:
      x1: array, NumPy array or number of a floating dtype.
      x2: the same, of the same dtype.

    Returns:
      The elementwise result.

    Raises:
      TypeError: shapes or dtypes do not fit.

    Example:
      >>> from canter import lax
      >>> float(lax.nextafter(1.0, 2.0)) > 1.0
      True
    """
    return nextafter_p.bind(x1, x2)


def mulhi(x: ArrayLike, y: ArrayLike, /) -> Array:
    """The upper half of the bits of the double-width product of integers.

    Args:
      x: array, NumPy array or number of an integer dtype.
      y: the same, of the same dtype.

    Returns:
      The elementwise result, in the operands' dtype.

    Raises:
      TypeError: shapes or dtypes do not fit.

    Example:
      >>> import numpy as np
      >>> from canter import lax
      >>> int(lax.mulhi(np.uint32(2**31), np.uint32(4)))
      2
    """
    return mulhi_p.bind(x, y)


# `out_dtype` is always None here: the public function converts the operands. It stays a parameter of
# the primitive because programs that build equations pass it.
mul_p = nary_primitive("mul", (NUMBER, NUMBER))
_bind_mul = mul_p.bind


def mul(x: ArrayLike, y: ArrayLike, *, out_dtype: DTypeLike | None = None) -> Array:
    """The product: x * y. Operands have equal shapes and dtypes; scalars go with every shape.

    Args:
      x: array, NumPy array or number of integer, floating or complex dtype.
      y: the same.
      out_dtype: computes the product in this (wider) dtype; None means that of the operands.

    Returns:
      The elementwise result.

    Raises:
      TypeError: shapes or dtypes do not fit.

    Example:
      >>> from canter import lax
      >>> float(lax.mul(2.0, 3.0))
      6.0
    """
    if out_dtype is not None:
        check_same_dtypes("mul", get_aval(x), get_aval(y))
        x, y = ops.convert_element_type(x, out_dtype), ops.convert_element_type(y, out_dtype)
    return _bind_mul(x, y, out_dtype=None)


pow_p = nary_primitive("pow", (INEXACT, _EXPONENT), same_dtypes=False)
_pow_shape_rule = pow_p.abstract_rule


def _pow_rule(x: Any, y: Any) -> Any:
    inexact = dtypes.issubdtype(x.dtype, np.inexact)
    if not inexact or (dtypes.issubdtype(y.dtype, np.inexact) and x.dtype != y.dtype):
        raise TypeError(
            "the first argument to pow must have an inexact dtype (float or complex), and the second "
            "argument must have an inexact or integer dtype, and two inexact dtypes must match, but got "
            f"{x.dtype.name} and {y.dtype.name} respectively. canter.numpy.power promotes dtypes."
        )
    return _pow_shape_rule(x, y)  # type: ignore[misc]


pow_p.def_abstract_eval(_pow_rule)


def pow(x: ArrayLike, y: ArrayLike) -> Array:
    """The power: x ** y.

    Args:
      x: array, NumPy array or number of floating or complex dtype.
      y: the exponent: an integer, or of the dtype of `x`.

    Returns:
      The elementwise result, in the dtype of `x`.

    Raises:
      TypeError: shapes or dtypes do not fit.

    Example:
      >>> from canter import lax
      >>> float(lax.pow(2.0, 3.0))
      8.0
    """
    return pow_p.bind(x, y)


# --- derivatives ----------------------------------------------------------------------------------
# g is the tangent, x and y the operands, z the result.

for _primitive in (
    nextafter_p,
    mulhi_p,
    and_p,
    or_p,
    xor_p,
    shift_left_p,
    shift_right_logical_p,
    shift_right_arithmetic_p,
):
    defzero(_primitive)


def _add_jvp(primals: Any, tangents: Any) -> Any:
    out = add_p.bind(*primals)
    x_dot, y_dot = tangents
    if type(x_dot) is Zero or type(y_dot) is Zero:
        dot = add_tangents(x_dot, y_dot)
        return out, dot if type(dot) is Zero else spread(dot, get_aval(out).shape)
    return out, add_p.bind(x_dot, y_dot)


def _sub_jvp(primals: Any, tangents: Any) -> Any:
    out = sub_p.bind(*primals)
    x_dot, y_dot = tangents
    if type(y_dot) is Zero:
        return out, x_dot if type(x_dot) is Zero else spread(x_dot, get_aval(out).shape)
    if type(x_dot) is Zero:
        return out, spread(neg(y_dot), get_aval(out).shape)
    return out, sub_p.bind(x_dot, y_dot)


def _add_transpose(ct: Any, x: Any, y: Any) -> list[Any]:
    return [unbroadcast(ct, arg.aval) if is_undefined_primal(arg) else None for arg in (x, y)]


def _sub_transpose(ct: Any, x: Any, y: Any) -> list[Any]:
    return [
        unbroadcast(ct, x.aval) if is_undefined_primal(x) else None,
        unbroadcast(neg(ct), y.aval) if is_undefined_primal(y) else None,
    ]


add_p.def_jvp(_add_jvp)
add_p.def_transpose(_add_transpose)
sub_p.def_jvp(_sub_jvp)
sub_p.def_transpose(_sub_transpose)


def _mul_transpose(ct: Any, x: Any, y: Any, *, out_dtype: Any = None) -> list[Any]:
    if is_undefined_primal(x):
        return [unbroadcast(_bind_mul(ct, y, out_dtype=None), x.aval), None]
    return [None, unbroadcast(_bind_mul(x, ct, out_dtype=None), y.aval)]


defjvp(
    mul_p,
    lambda g, x, y, **params: _bind_mul(g, y, **params),
    lambda g, x, y, **params: _bind_mul(x, g, **params),
)
mul_p.def_transpose(_mul_transpose)


def _div_transpose(ct: Any, x: Any, y: Any) -> list[Any]:
    return [unbroadcast(div(ct, y), x.aval), None]


defjvp2(
    div_p,
    lambda g, z, x, y: div(g, y),
    lambda g, z, x, y: mul(g, div(neg(z), y)),
)
div_p.def_transpose(_div_transpose)

defjvp2(
    rem_p,
    lambda g, z, x, y: spread(g, get_aval(z).shape),
    # rem(x, y) = x - y * trunc(x / y), and the truncated quotient is (x - rem) / y but for rounding.
    lambda g, z, x, y: mul(g, neg(ops.round(div(sub(x, z), y)))),
)


def _share_of_extremum(x: Any, y: Any, z: Any) -> Any:
    """1 where x is the extremum z of x and y, 1/2 where both are, else 0."""
    dtype = get_aval(z).dtype
    is_x = ops.convert_element_type(ops.eq(x, z), dtype)
    is_y = ops.convert_element_type(ops.eq(y, z), dtype)
    return mul(is_x, sub(const(is_y, 1), mul(is_y, const(is_y, 0.5))))


for _primitive in (max_p, min_p):
    defjvp2(
        _primitive,
        lambda g, z, x, y: mul(g, _share_of_extremum(x, y, z)),
        lambda g, z, x, y: mul(g, _share_of_extremum(y, x, z)),
    )

defjvp(
    atan2_p,
    lambda g, x, y: mul(g, div(y, add(square(x), square(y)))),
    lambda g, x, y: mul(g, div(neg(x), add(square(x), square(y)))),
)


def _complex_transpose(ct: Any, x: Any, y: Any) -> list[Any]:
    return [
        unbroadcast(ops.real(ct), x.aval) if is_undefined_primal(x) else None,
        unbroadcast(neg(ops.imag(ct)), y.aval) if is_undefined_primal(y) else None,
    ]


defjvp2(
    complex_p,
    lambda g, z, x, y: complex(spread(g, get_aval(z).shape), const(g, 0)),
    lambda g, z, x, y: complex(const(g, 0), spread(g, get_aval(z).shape)),
)
complex_p.def_transpose(_complex_transpose)


def _pow_base_jvp(g: Any, x: Any, y: Any) -> Any:
    """d(x ** y) / dx = y * x ** (y - 1), and 0 where y is 0, also at x = 0."""
    if isinstance(y, (int, float, np.integer, np.floating)):
        exponent = float(y)
        if exponent == 0:
            return ops.full_like(g, 0)
        small = exponent.is_integer() and 1 <= exponent <= 16
        power = integer_pow(x, int(exponent) - 1) if small else pow(x, const(y, y - 1))
        return mul(g, mul(power, const(x, exponent)))
    is_zero = ops.eq(y, const(y, 0))
    one_less = sub(y, const(y, 1))
    power = pow(x, ops.select_n(is_zero, one_less, ops.full_like(one_less, 1)))
    dtype = get_aval(x).dtype
    return mul(g, mul(y if get_aval(y).dtype == dtype else ops.convert_element_type(y, dtype), power))


def _pow_exponent_jvp(g: Any, z: Any, x: Any, y: Any) -> Any:
    """d(x ** y) / dy = log(x) * x ** y, and 0 at x = 0 for y > 0."""
    log_x = ops.log(ops.select_n(ops.eq(x, const(x, 0)), x, ops.full_like(x, 1)))
    return mul(g, mul(log_x, z))


def _pow_jvp(primals: Any, tangents: Any) -> Any:
    x, y = primals
    x_dot, y_dot = tangents
    out = pow_p.bind(x, y)
    dot: Any = Zero.from_primal_value(out)
    if type(x_dot) is not Zero:
        dot = _pow_base_jvp(x_dot, x, y)
    if type(y_dot) is not Zero:
        dot = add_tangents(dot, _pow_exponent_jvp(y_dot, out, x, y))
    return out, dot


pow_p.def_jvp(_pow_jvp)
