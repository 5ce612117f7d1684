"""Elementwise functions of one operand.

The first part is a table: one entry an operation makes its primitive and its public function. The
second part gives the derivatives, one line an operation. Where a derivative can be written with the
function's result instead of its operand, it is, for the result is there already.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import dtypes
from ..core.avals import get_aval
from ..transforms.rules import defjvp, defjvp2, deflinear
from .common import (
    BOOL_OR_INTEGER,
    FLOATING,
    INEXACT,
    INTEGER,
    NUMBER,
    Array,
    ArrayLike,
    check_dtype,
    const,
    defzero,
    ops,
    unary,
    unary_primitive,
)
from .enums import RoundingMethod

_REAL_PARTS = (np.float32, np.float64)
_SIGNED = (np.signedinteger, np.floating, np.complexfloating)


def _real_dtype(dtype: Any) -> Any:
    """float32 for complex64, float64 for complex128, itself for the others."""
    return np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype


def _bool_dtype(dtype: Any) -> Any:
    return np.dtype(np.bool_)


# --- operations -----------------------------------------------------------------------------------

neg_p, neg = unary("neg", NUMBER, "Negation: -x.", "float(lax.neg(2.0))", "-2.0")
sign_p, sign = unary(
    "sign",
    NUMBER,
    "The sign: -1, 0 or 1 for real numbers, x / abs(x) for complex ones, and NaN for NaN.",
    "float(lax.sign(-3.0))",
    "-1.0",
)
floor_p, floor = unary(
    "floor", FLOATING, "The largest integer that is not greater than x.", "float(lax.floor(-1.5))", "-2.0"
)
ceil_p, ceil = unary(
    "ceil", FLOATING, "The smallest integer that is not less than x.", "float(lax.ceil(-1.5))", "-1.0"
)
is_finite_p, is_finite = unary(
    "is_finite",
    FLOATING,
    "True where x is neither infinite nor NaN.",
    "bool(lax.is_finite(1.0))",
    "True",
    result=_bool_dtype,
)
exp_p, exp = unary(
    "exp", INEXACT, "The exponential: e ** x.", "round(float(lax.exp(1.0)), 4)", "2.7183", accuracy=True
)
exp2_p, exp2 = unary(
    "exp2", INEXACT, "The power of two: 2 ** x.", "float(lax.exp2(3.0))", "8.0", accuracy=True
)
expm1_p, expm1 = unary(
    "expm1",
    INEXACT,
    "exp(x) - 1, exact also for small x.",
    "round(float(lax.expm1(1.0)), 4)",
    "1.7183",
    accuracy=True,
)
log_p, log = unary("log", INEXACT, "The natural logarithm.", "float(lax.log(1.0))", "0.0", accuracy=True)
log1p_p, log1p = unary(
    "log1p",
    INEXACT,
    "log(1 + x), exact also for small x.",
    "round(float(lax.log1p(1.0)), 4)",
    "0.6931",
    accuracy=True,
)
tanh_p, tanh = unary(
    "tanh", INEXACT, "The hyperbolic tangent.", "round(float(lax.tanh(1.0)), 4)", "0.7616", accuracy=True
)
logistic_p, logistic = unary(
    "logistic",
    INEXACT,
    "The logistic sigmoid: 1 / (1 + exp(-x)).",
    "float(lax.logistic(0.0))",
    "0.5",
    accuracy=True,
)
sin_p, sin = unary("sin", INEXACT, "The sine.", "float(lax.sin(0.0))", "0.0", accuracy=True)
cos_p, cos = unary("cos", INEXACT, "The cosine.", "float(lax.cos(0.0))", "1.0", accuracy=True)
tan_p, tan = unary("tan", INEXACT, "The tangent.", "round(float(lax.tan(1.0)), 4)", "1.5574", accuracy=True)
asin_p, asin = unary("asin", INEXACT, "The inverse sine.", "round(float(lax.asin(1.0)), 4)", "1.5708")
acos_p, acos = unary("acos", INEXACT, "The inverse cosine.", "float(lax.acos(1.0))", "0.0")
atan_p, atan = unary("atan", INEXACT, "The inverse tangent.", "round(float(lax.atan(1.0)), 4)", "0.7854")
sinh_p, sinh = unary("sinh", INEXACT, "The hyperbolic sine.", "round(float(lax.sinh(1.0)), 4)", "1.1752")
cosh_p, cosh = unary("cosh", INEXACT, "The hyperbolic cosine.", "float(lax.cosh(0.0))", "1.0")
asinh_p, asinh = unary(
    "asinh", INEXACT, "The inverse hyperbolic sine.", "round(float(lax.asinh(1.0)), 4)", "0.8814"
)
acosh_p, acosh = unary("acosh", INEXACT, "The inverse hyperbolic cosine.", "float(lax.acosh(1.0))", "0.0")
atanh_p, atanh = unary(
    "atanh", INEXACT, "The inverse hyperbolic tangent.", "round(float(lax.atanh(0.5)), 4)", "0.5493"
)
sqrt_p, sqrt = unary("sqrt", INEXACT, "The square root.", "float(lax.sqrt(4.0))", "2.0", accuracy=True)
rsqrt_p, rsqrt = unary(
    "rsqrt",
    INEXACT,
    "The reciprocal square root: 1 / sqrt(x).",
    "float(lax.rsqrt(4.0))",
    "0.5",
    accuracy=True,
)
cbrt_p, cbrt = unary("cbrt", FLOATING, "The cube root.", "float(lax.cbrt(8.0))", "2.0", accuracy=True)
square_p, square = unary("square", NUMBER, "The square: x * x.", "float(lax.square(3.0))", "9.0")
abs_p, abs = unary(
    "abs",
    _SIGNED,
    "The absolute value; of complex numbers the modulus, a real number.",
    "float(lax.abs(-3.0))",
    "3.0",
    result=_real_dtype,
)
real_p, real = unary(
    "real", (np.complexfloating,), "The real part.", "float(lax.real(1 + 2j))", "1.0", result=_real_dtype
)
imag_p, imag = unary(
    "imag", (np.complexfloating,), "The imaginary part.", "float(lax.imag(1 + 2j))", "2.0", result=_real_dtype
)
not_p, bitwise_not = unary(
    "bitwise_not",
    BOOL_OR_INTEGER,
    "The bitwise complement; of bools the logical one.",
    "int(lax.bitwise_not(5))",
    "-6",
    primitive_name="not",
)
population_count_p, population_count = unary(
    "population_count", INTEGER, "The number of bits that are set.", "int(lax.population_count(7))", "3"
)
clz_p, clz = unary("clz", INTEGER, "The number of leading zero bits.", "int(lax.clz(1))", "31")

round_p = unary_primitive("round", FLOATING)
integer_pow_p = unary_primitive("integer_pow", NUMBER)
conj_p = unary_primitive("conj", (*_REAL_PARTS, np.complexfloating), dtypes.to_complex_dtype)


def round(x: ArrayLike, rounding_method: RoundingMethod = RoundingMethod.AWAY_FROM_ZERO) -> Array:
    """Rounds to the nearest integer.

    Args:
      x: array, NumPy array or number of a floating dtype.
      rounding_method: what to do with numbers halfway between two integers.

    Returns:
      An array of the shape and dtype of `x`.

    Raises:
      TypeError: `x` is not floating.
      ValueError: `rounding_method` is not a `RoundingMethod`.

    Example:
      >>> from canter import lax
      >>> float(lax.round(2.5)), float(lax.round(2.5, lax.RoundingMethod.TO_NEAREST_EVEN))
      (3.0, 2.0)
    """
    return round_p.bind(x, rounding_method=RoundingMethod(rounding_method))


def integer_pow(x: ArrayLike, y: int) -> Array:
    """Raises to a power that is a Python integer.

    Args:
      x: array, NumPy array or number of integer, floating or complex dtype.
      y: the exponent; not negative where `x` is an integer.

    Returns:
      An array of the shape and dtype of `x`; 1 everywhere where `y` is 0.

    Raises:
      TypeError: `y` is not an integer, or is negative for an integer `x`.

    Example:
      >>> from canter import lax
      >>> float(lax.integer_pow(2.0, -2))
      0.25
    """
    return integer_pow_p.bind(x, y=y)


def _integer_pow_rule(x: Any, *, y: Any) -> Any:
    check_dtype("integer_pow", x.dtype, NUMBER)
    if not isinstance(y, (int, np.integer)) or isinstance(y, bool):
        raise TypeError(
            f"integer_pow takes a Python int as exponent, got {y!r}. Use lax.pow for other exponents."
        )
    if y < 0 and dtypes.issubdtype(x.dtype, np.integer):
        raise TypeError(
            f"Integers cannot be raised to negative powers, got integer_pow({x.str_short()}, {y}). "
            "Convert the operand to a floating dtype."
        )
    return x


integer_pow_p.def_abstract_eval(_integer_pow_rule)


def reciprocal(x: ArrayLike) -> Array:
    """The reciprocal: 1 / x.

    Args:
      x: array, NumPy array or number of floating or complex dtype.

    Returns:
      An array of the shape and dtype of `x`.

    Raises:
      TypeError: `x` has an integer or bool dtype.

    Example:
      >>> from canter import lax
      >>> float(lax.reciprocal(4.0))
      0.25
    """
    return integer_pow_p.bind(x, y=-1)


def conj(x: ArrayLike) -> Array:
    """The complex conjugate; real numbers become complex ones.

    Args:
      x: array, NumPy array or number of dtype float32, float64, complex64 or complex128.

    Returns:
      A complex array of the shape of `x`.

    Raises:
      TypeError: `x` has another dtype.

    Example:
      >>> from canter import lax
      >>> complex(lax.conj(1 + 2j))
      (1-2j)
    """
    return conj_p.bind(x, input_dtype=get_aval(x).dtype)


# --- derivatives ----------------------------------------------------------------------------------
# g is the tangent, x the operand, y the result.


def _is_complex(x: Any) -> bool:
    return get_aval(x).dtype.kind == "c"


def _one_minus_square(x: Any) -> Any:
    """1 - x**2 without cancellation near 1."""
    one = const(x, 1)
    return ops.mul(ops.sub(one, x), ops.add(one, x))


def _scaled(g: Any, factor: Any) -> Any:
    return ops.mul(g, const(g, factor))


def _abs_jvp(g: Any, y: Any, x: Any) -> Any:
    if not _is_complex(x):
        positive = ops.convert_element_type(ops.ge(x, const(x, 0)), get_aval(x).dtype)
        return ops.mul(g, ops.sub(ops.mul(positive, const(positive, 2)), const(positive, 1)))
    # d|x| = Re(conj(x) dx) / |x|, and 0 at 0, where conj(x) is 0.
    nonzero = ops.select_n(ops.eq(y, const(y, 0)), y, ops.full_like(y, 1))
    return real(ops.mul(g, ops.div(conj(x), ops.complex(nonzero, const(nonzero, 0)))))


def _integer_pow_jvp(g: Any, x: Any, *, y: int) -> Any:
    if y == 0:
        return ops.full_like(g, 0)
    if y == 1:
        return g
    return ops.mul(g, ops.mul(const(x, y), x if y == 2 else integer_pow(x, y - 1)))


for _primitive in (sign_p, floor_p, ceil_p, round_p, is_finite_p, not_p, population_count_p, clz_p):
    defzero(_primitive)

deflinear(neg_p, lambda ct, x: [neg(ct)])
deflinear(real_p, lambda ct, x: [ops.complex(ct, const(ct, 0))])
deflinear(imag_p, lambda ct, x: [ops.complex(const(ct, 0), neg(ct))])


def _conj_transpose(ct: Any, x: Any, *, input_dtype: Any) -> list[Any]:
    return [conj(ct) if input_dtype.kind == "c" else real(ct)]


deflinear(conj_p, _conj_transpose)

defjvp2(exp_p, lambda g, y, x, **_: ops.mul(g, y))
defjvp2(exp2_p, lambda g, y, x, **_: ops.mul(g, _scaled(y, np.log(2))))
defjvp2(expm1_p, lambda g, y, x, **_: ops.mul(g, ops.add(y, const(y, 1))))
defjvp(log_p, lambda g, x, **_: ops.div(g, x))
defjvp(log1p_p, lambda g, x, **_: ops.div(g, ops.add(x, const(x, 1))))
defjvp2(tanh_p, lambda g, y, x, **_: ops.mul(g, _one_minus_square(y)))
defjvp2(logistic_p, lambda g, y, x, **_: ops.mul(g, ops.mul(y, ops.sub(const(y, 1), y))))
defjvp(sin_p, lambda g, x, **_: ops.mul(g, cos(x)))
defjvp(cos_p, lambda g, x, **_: ops.mul(g, neg(sin(x))))
defjvp2(tan_p, lambda g, y, x, **_: ops.mul(g, ops.add(square(y), const(y, 1))))
defjvp(asin_p, lambda g, x: ops.mul(g, rsqrt(_one_minus_square(x))))
defjvp(acos_p, lambda g, x: ops.mul(g, neg(rsqrt(_one_minus_square(x)))))
defjvp(atan_p, lambda g, x: ops.div(g, ops.add(square(x), const(x, 1))))
defjvp(sinh_p, lambda g, x: ops.mul(g, cosh(x)))
defjvp(cosh_p, lambda g, x: ops.mul(g, sinh(x)))
defjvp(asinh_p, lambda g, x: ops.mul(g, rsqrt(ops.add(square(x), const(x, 1)))))
defjvp(
    acosh_p,
    lambda g, x: ops.mul(g, ops.mul(rsqrt(ops.sub(x, const(x, 1))), rsqrt(ops.add(x, const(x, 1))))),
)
defjvp(atanh_p, lambda g, x: ops.div(g, _one_minus_square(x)))
defjvp2(sqrt_p, lambda g, y, x, **_: ops.mul(g, ops.div(const(y, 0.5), y)))
defjvp2(rsqrt_p, lambda g, y, x, **_: ops.mul(g, _scaled(ops.div(y, x), -0.5)))
defjvp2(cbrt_p, lambda g, y, x, **_: ops.mul(g, _scaled(integer_pow(y, -2), 1 / 3)))
defjvp(square_p, lambda g, x: ops.mul(g, _scaled(x, 2)))
defjvp(integer_pow_p, _integer_pow_jvp)
defjvp2(abs_p, _abs_jvp)
