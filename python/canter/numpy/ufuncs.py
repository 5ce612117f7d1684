"""The ufuncs: functions that work element by element, as NumPy's do.

Declared as two tables, one line a function: its name, what computes it, how its operands are
promoted, what it gives and an example. `bodies` is the arithmetic of those that are more than one
operation of canter.lax.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from canter import lax
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from . import ufunc_bodies as bodies
from .ufunc_class import ufunc
from .util import (
    broadcast_arrays_to_common,
    check_arraylike,
    convert,
    dtype_of,
    dtype_rank,
    is_inexact,
    promote_args,
    promote_args_inexact,
    promote_dtypes,
    promote_pair,
    promote_shapes,
    refuse_out,
    to_inexact,
)

__all__ = [
    "abs", "absolute", "acos", "acosh", "add", "arccos", "arccosh", "arcsin", "arcsinh", "arctan",
    "arctan2", "arctanh", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_and", "bitwise_count",
    "bitwise_invert", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift",
    "bitwise_xor", "cbrt", "ceil", "conj", "conjugate", "copysign", "cos", "cosh", "deg2rad", "degrees",
    "divide", "divmod", "equal", "exp", "exp2", "expm1", "fabs", "float_power", "floor", "floor_divide",
    "fmax", "fmin", "fmod", "frexp", "gcd", "greater", "greater_equal", "heaviside", "hypot", "inline",
    "invert", "isfinite", "isinf", "isnan", "isneginf", "isposinf", "lcm", "ldexp", "left_shift", "less",
    "less_equal", "log", "log10", "log1p", "log2", "logaddexp", "logaddexp2", "logical_and", "logical_not",
    "logical_or", "logical_xor", "maximum", "minimum", "mod", "modf", "multiply", "negative", "nextafter",
    "not_equal", "positive", "pow", "power", "rad2deg", "radians", "reciprocal", "remainder", "right_shift",
    "rint", "sign", "signbit", "sin", "sinc", "sinh", "spacing", "sqrt", "square", "subtract", "tan", "tanh",
    "true_divide", "trunc",
]  # fmt: skip

# How operands are promoted before the operation.
INEXACT = "inexact"  # to a float or complex dtype
NUMERIC = "numeric"  # one operand, as it is
PAIR = "pair"  # two operands, to their common dtype
LOGICAL = "logical"  # as they are: the result is boolean

# fmt: off
# name, operation, promotion, summary, example operand(s), printed result
_UNARY: tuple[tuple[Any, ...], ...] = (
    ("exp", lax.exp, INEXACT, "The exponential e**x",
     "[0.0, 1.0]", "Array([1.       , 2.7182817], dtype=float32)"),
    ("expm1", lax.expm1, INEXACT, "exp(x) - 1, exact near 0",
     "[0.0, 1e-6]", "Array([0.0000000e+00, 1.0000005e-06], dtype=float32)"),
    ("exp2", lax.exp2, INEXACT, "2**x", "[0.0, 3.0]", "Array([1., 8.], dtype=float32)"),
    ("log", lax.log, INEXACT, "The natural logarithm",
     "[1.0, 2.0]", "Array([0.       , 0.6931472], dtype=float32)"),
    ("log1p", lax.log1p, INEXACT, "log(1 + x), exact near 0",
     "[0.0, 1e-6]", "Array([0.000000e+00, 9.999995e-07], dtype=float32)"),
    ("log2", bodies.log2, INEXACT, "The logarithm to base 2", "[1.0, 8.0]", "Array([0., 3.], dtype=float32)"),
    ("log10", bodies.log10, INEXACT, "The logarithm to base 10",
     "[1.0, 100.0]", "Array([0., 2.], dtype=float32)"),
    ("sqrt", lax.sqrt, INEXACT, "The non-negative square root",
     "[4.0, 9.0]", "Array([2., 3.], dtype=float32)"),
    ("cbrt", lax.cbrt, INEXACT, "The cube root", "[8.0, -27.0]", "Array([ 2., -3.], dtype=float32)"),
    ("sin", lax.sin, INEXACT, "The sine of an angle in radians",
     "[0.0, 0.5]", "Array([0.        , 0.47942555], dtype=float32)"),
    ("cos", lax.cos, INEXACT, "The cosine of an angle in radians",
     "[0.0, 0.5]", "Array([1.        , 0.87758255], dtype=float32)"),
    ("tan", lax.tan, INEXACT, "The tangent of an angle in radians",
     "[0.0, 0.5]", "Array([0.       , 0.5463025], dtype=float32)"),
    ("arcsin", lax.asin, INEXACT, "The inverse sine, in radians",
     "[0.0, 1.0]", "Array([0.       , 1.5707964], dtype=float32)"),
    ("arccos", lax.acos, INEXACT, "The inverse cosine, in radians",
     "[1.0, 0.0]", "Array([0.       , 1.5707964], dtype=float32)"),
    ("arctan", lax.atan, INEXACT, "The inverse tangent, in radians",
     "[0.0, 1.0]", "Array([0.       , 0.7853981], dtype=float32)"),
    ("sinh", lax.sinh, INEXACT, "The hyperbolic sine",
     "[0.0, 1.0]", "Array([0.       , 1.1752012], dtype=float32)"),
    ("cosh", lax.cosh, INEXACT, "The hyperbolic cosine",
     "[0.0, 1.0]", "Array([1.       , 1.5430806], dtype=float32)"),
    ("tanh", lax.tanh, INEXACT, "The hyperbolic tangent",
     "[0.0, 1.0]", "Array([0.       , 0.7615942], dtype=float32)"),
    ("arcsinh", lax.asinh, INEXACT, "The inverse hyperbolic sine",
     "[0.0, 1.0]", "Array([0.        , 0.88137364], dtype=float32)"),
    ("arccosh", lax.acosh, INEXACT, "The inverse hyperbolic cosine",
     "[1.0, 2.0]", "Array([0.      , 1.316958], dtype=float32)"),
    ("arctanh", lax.atanh, INEXACT, "The inverse hyperbolic tangent",
     "[0.0, 0.5]", "Array([0.        , 0.54930615], dtype=float32)"),
    ("reciprocal", bodies.reciprocal, INEXACT, "1 / x", "[2.0, 4.0]", "Array([0.5 , 0.25], dtype=float32)"),
    ("deg2rad", bodies.deg2rad, INEXACT, "Degrees to radians",
     "[0.0, 180.0]", "Array([0.       , 3.1415927], dtype=float32)"),
    ("rad2deg", bodies.rad2deg, INEXACT, "Radians to degrees",
     "[0.0, 1.0]", "Array([ 0.     , 57.29578], dtype=float32)"),
    ("sinc", bodies.sinc, INEXACT, "The normalised sinc, sin(pi x) / (pi x), 1 at 0",
     "[0.0, 0.5]", "Array([1.        , 0.63661975], dtype=float32)"),
    ("rint", bodies.rint, INEXACT, "The nearest integer, halves to even, as a float",
     "[1.5, 2.5]", "Array([2., 2.], dtype=float32)"),
    ("square", bodies.square, NUMERIC, "x * x", "[2.0, -3.0]", "Array([4., 9.], dtype=float32)"),
    ("negative", lax.neg, NUMERIC, "-x", "[1.0, -2.0]", "Array([-1.,  2.], dtype=float32)"),
    ("positive", bodies.identity, NUMERIC, "+x: x itself", "[1.0, -2.0]", "Array([ 1., -2.], dtype=float32)"),
    ("sign", bodies.sign, NUMERIC, "-1, 0 or 1 by the sign; x / abs(x) for complex numbers",
     "[-2.0, 0.0, 5.0]", "Array([-1.,  0.,  1.], dtype=float32)"),
    ("conjugate", bodies.conjugate, NUMERIC, "The complex conjugate",
     "[1 + 2j]", "Array([1.-2.j], dtype=complex64)"),
    ("ceil", bodies.ceil, NUMERIC, "The least integer not below x; integers stay as they are",
     "[1.2, -1.2]", "Array([ 2., -1.], dtype=float32)"),
    ("floor", bodies.floor, NUMERIC, "The greatest integer not above x; integers stay as they are",
     "[1.2, -1.2]", "Array([ 1., -2.], dtype=float32)"),
    ("trunc", bodies.trunc, NUMERIC, "x without its fraction; integers stay as they are",
     "[1.7, -1.7]", "Array([ 1., -1.], dtype=float32)"),
    ("fabs", bodies.fabs, INEXACT, "The absolute value, as a float",
     "[-1.0, 2.0]", "Array([1., 2.], dtype=float32)"),
    ("invert", lax.bitwise_not, NUMERIC, "The bitwise complement; `not` for booleans",
     "[0, 5]", "Array([-1, -6], dtype=int32)"),
    ("bitwise_count", bodies.bitwise_count, NUMERIC, "The number of one bits of abs(x)",
     "[3, 255]", "Array([2, 8], dtype=uint8)"),
    ("logical_not", bodies.logical_not, LOGICAL, "Whether x is zero",
     "[0, 2]", "Array([ True, False], dtype=bool)"),
    ("isnan", bodies.isnan, LOGICAL, "Whether x is not a number",
     "[1.0, cnp.nan]", "Array([False,  True], dtype=bool)"),
    ("isinf", bodies.isinf, LOGICAL, "Whether x is infinite",
     "[1.0, -cnp.inf]", "Array([False,  True], dtype=bool)"),
    ("isfinite", bodies.isfinite, LOGICAL, "Whether x is neither infinite nor nan",
     "[1.0, cnp.inf]", "Array([ True, False], dtype=bool)"),
    ("spacing", bodies.spacing, INEXACT, "The distance to the next float away from zero, with the sign of x",
     "[1.0, -8.0]", "Array([ 1.1920929e-07, -9.5367432e-07], dtype=float32)"),
    ("signbit", bodies.signbit, LOGICAL, "Whether the sign bit is set, also that of -0.0",
     "[-0.0, 1.0]", "Array([ True, False], dtype=bool)"),
)

_BINARY: tuple[tuple[Any, ...], ...] = (
    ("add", bodies.add, PAIR, "x + y; `or` for booleans", "[1, 2]", "10", "Array([11, 12], dtype=int32)"),
    ("subtract", lax.sub, PAIR, "x - y", "[1, 2]", "10", "Array([-9, -8], dtype=int32)"),
    ("multiply", bodies.multiply, PAIR, "x * y; `and` for booleans",
     "[1, 2]", "10", "Array([10, 20], dtype=int32)"),
    ("divide", lax.div, INEXACT, "x / y, a float also for integers",
     "[1, 2]", "4", "Array([0.25, 0.5 ], dtype=float32)"),
    ("maximum", lax.max, PAIR, "The greater of x and y; nan where one is nan",
     "[1, 5]", "3", "Array([3, 5], dtype=int32)"),
    ("minimum", lax.min, PAIR, "The lesser of x and y; nan where one is nan",
     "[1, 5]", "3", "Array([1, 3], dtype=int32)"),
    ("arctan2", bodies.arctan2, INEXACT, "The angle of the point (y, x), in radians from -pi to pi",
     "[1.0, -1.0]", "1.0", "Array([ 0.7853982, -0.7853982], dtype=float32)"),
    ("equal", lax.eq, PAIR, "x == y", "[1, 2]", "2", "Array([False,  True], dtype=bool)"),
    ("not_equal", lax.ne, PAIR, "x != y", "[1, 2]", "2", "Array([ True, False], dtype=bool)"),
    ("less", bodies.less, PAIR, "x < y; complex numbers compare by real, then imaginary part",
     "[1, 2]", "2", "Array([ True, False], dtype=bool)"),
    ("less_equal", bodies.less_equal, PAIR, "x <= y; complex numbers compare by real, then imaginary part",
     "[1, 2]", "2", "Array([ True,  True], dtype=bool)"),
    ("greater", bodies.greater, PAIR, "x > y; complex numbers compare by real, then imaginary part",
     "[2, 3]", "2", "Array([False,  True], dtype=bool)"),
    ("greater_equal", bodies.greater_equal, PAIR, "x >= y; complex numbers compare by real, then imaginary part",
     "[2, 1]", "2", "Array([ True, False], dtype=bool)"),
    ("bitwise_and", lax.bitwise_and, PAIR, "The bits set in both",
     "[6, 3]", "3", "Array([2, 3], dtype=int32)"),
    ("bitwise_or", lax.bitwise_or, PAIR, "The bits set in either",
     "[6, 3]", "1", "Array([7, 3], dtype=int32)"),
    ("bitwise_xor", lax.bitwise_xor, PAIR, "The bits set in one only",
     "[6, 3]", "1", "Array([7, 2], dtype=int32)"),
    ("left_shift", bodies.left_shift, PAIR, "x with its bits shifted left by y",
     "[1, 3]", "2", "Array([ 4, 12], dtype=int32)"),
    ("right_shift", bodies.right_shift, PAIR, "x with its bits shifted right by y, keeping the sign",
     "[8, -8]", "1", "Array([ 4, -4], dtype=int32)"),
    ("logical_and", bodies.logical_and, LOGICAL, "Whether both are non-zero",
     "[0, 2]", "1", "Array([False,  True], dtype=bool)"),
    ("logical_or", bodies.logical_or, LOGICAL, "Whether either is non-zero",
     "[0, 2]", "0", "Array([False,  True], dtype=bool)"),
    ("logical_xor", bodies.logical_xor, LOGICAL, "Whether exactly one is non-zero",
     "[0, 2]", "1", "Array([ True, False], dtype=bool)"),
    ("floor_divide", bodies.floor_divide, PAIR, "x / y rounded towards minus infinity",
     "[7, -7]", "2", "Array([ 3, -4], dtype=int32)"),
    ("remainder", bodies.remainder, PAIR, "The remainder of floor division, with the sign of y",
     "[7, -7]", "3", "Array([1, 2], dtype=int32)"),
    ("fmod", bodies.fmod, PAIR, "The remainder of division towards zero, with the sign of x",
     "[7, -7]", "3", "Array([ 1, -1], dtype=int32)"),
    ("logaddexp", bodies.logaddexp, INEXACT, "log(exp(x) + exp(y)) without overflow",
     "[0.0, 1000.0]", "0.0", "Array([6.931472e-01, 1.000000e+03], dtype=float32)"),
    ("logaddexp2", bodies.logaddexp2, INEXACT, "log2(2**x + 2**y) without overflow",
     "[0.0, 1000.0]", "0.0", "Array([   1., 1000.], dtype=float32)"),
    ("hypot", bodies.hypot, INEXACT, "sqrt(x**2 + y**2) without overflow",
     "[3.0, 5.0]", "4.0", "Array([5.       , 6.4031243], dtype=float32)"),
    ("nextafter", lax.nextafter, INEXACT, "The next float after x in the direction of y",
     "[1.0]", "2.0", "Array([1.0000001], dtype=float32)"),
    ("copysign", bodies.copysign, INEXACT, "abs(x) with the sign of y",
     "[1.0, 2.0]", "-1.0", "Array([-1., -2.], dtype=float32)"),
    ("heaviside", bodies.heaviside, INEXACT, "0 for negative x, 1 for positive x, y at 0",
     "[-1.0, 0.0, 2.0]", "0.5", "Array([0. , 0.5, 1. ], dtype=float32)"),
    ("fmax", bodies.fmax, PAIR, "The greater of x and y; the other where one is nan",
     "[1.0, 5.0]", "3.0", "Array([3., 5.], dtype=float32)"),
    ("fmin", bodies.fmin, PAIR, "The lesser of x and y; the other where one is nan",
     "[1.0, 5.0]", "3.0", "Array([1., 3.], dtype=float32)"),
    ("gcd", bodies.gcd, PAIR, "The greatest common divisor of two integers",
     "[12, 7]", "18", "Array([6, 1], dtype=int32)"),
    ("lcm", bodies.lcm, PAIR, "The least common multiple of two integers",
     "[12, 7]", "18", "Array([ 36, 126], dtype=int32)"),
)

# fmt: on

# Second names of the same function.
_ALIASES = {
    "acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "asinh": "arcsinh", "atan": "arctan",
    "atan2": "arctan2", "atanh": "arctanh", "bitwise_invert": "invert", "bitwise_left_shift": "left_shift",
    "bitwise_not": "invert", "bitwise_right_shift": "right_shift", "conj": "conjugate", "degrees": "rad2deg",
    "mod": "remainder", "radians": "deg2rad", "true_divide": "divide",
}  # fmt: skip

# Those that have NumPy's methods (`add.reduce`), and what changes nothing when combined with them.
_IDENTITIES: dict[str, Any] = {
    "add": 0, "bitwise_and": -1, "bitwise_or": 0, "bitwise_xor": 0, "logaddexp": -math.inf, "logaddexp2": -math.inf,
    "logical_and": True, "logical_or": False, "logical_xor": False, "maximum": None, "minimum": None, "multiply": 1,
    "negative": None, "subtract": None,
}  # fmt: skip

_RESULTS = {
    INEXACT: "An array of floats or complex numbers; integers are converted first.",
    NUMERIC: "An array of the operand's shape.",
    PAIR: "An array of the operands' broadcast shape and common dtype (bool for comparisons).",
    LOGICAL: "A boolean array.",
}

_UNARY_DOC = """{summary}, element by element, as `numpy.{name}`.

Args:
  x: an array or number.

Returns:
  {result}

Raises:
  TypeError: x is not an array or number, or its dtype is not accepted.

Example:
  >>> import canter.numpy as cnp
  >>> cnp.{name}(cnp.array({example}))
  {printed}
"""

_BINARY_DOC = """{summary}, element by element, as `numpy.{name}`.

Args:
  x, y: arrays or numbers of shapes that broadcast together.

Returns:
  {result}

Raises:
  TypeError: an operand is not an array or number, or dtypes or shapes do not go together.

Example:
  >>> import canter.numpy as cnp
  >>> cnp.{name}(cnp.array({example}), {other})
  {printed}
"""


# Functions whose parameters are called x1 and x2 instead of x and y, and those that take names at all.
_NUMBERED = frozenset(
    "arctan2 copysign divide floor_divide fmax fmin fmod gcd heaviside hypot lcm remainder right_shift".split()
)
_NAMED = frozenset("fmax fmin gcd lcm trunc".split())


def _with_parameters_of(name: str, function: Any) -> None:
    """Gives a function that a table declares the parameters that NumPy's of this name has."""
    code = function.__code__
    names = code.co_varnames
    if name in _NUMBERED:
        names = ("x1", "x2", *names[2:])
    function.__code__ = code.replace(
        co_varnames=names, co_posonlyargcount=0 if name in _NAMED else code.co_argcount
    )


def _publish(function: Callable[..., Any], name: str, doc: str) -> Any:
    function.__name__ = function.__qualname__ = name
    function.__module__ = "canter.numpy"
    function.__doc__ = doc
    if name not in _IDENTITIES:
        return composite(function)
    nin = 1 if name == "negative" else 2
    made = ufunc(function, nin, 1, name=name, identity=_IDENTITIES[name], call=function)
    made.__module__ = "canter.numpy"
    return made


def _unary(name: str, operation: Callable[..., Any], promotion: str) -> Callable[..., Any]:
    if promotion is INEXACT:

        def inexact(x: Any, /) -> Any:
            aval = getattr(x, "aval", None)
            if aval is None or not is_inexact(aval.dtype):
                x = to_inexact(name, x)
            return operation(x)

        return inexact

    def plain(x: Any, /) -> Any:
        if getattr(x, "aval", None) is None:
            check_arraylike(name, x)
            x = as_array(x)
        return operation(x)

    return plain


def _binary(name: str, operation: Callable[..., Any], promotion: str) -> Callable[..., Any]:
    if promotion is INEXACT:

        def inexact(x: Any, y: Any, /) -> Any:
            x, y = promote_args_inexact(name, x, y)
            return operation(x, y)

        return inexact
    if promotion is LOGICAL:

        def logical(x: Any, y: Any, /) -> Any:
            check_arraylike(name, x, y)
            (x,), (y,) = promote_dtypes(x), promote_dtypes(y)
            return operation(*promote_shapes(name, x, y))

        return logical

    def pair(x: Any, y: Any, /) -> Any:
        x, y = promote_pair(name, x, y)
        return operation(x, y)

    return pair


#: The functions before they become composites, for operators and for other functions' bodies.
inline: dict[str, Callable[..., Any]] = {}


def _declare(namespace: dict[str, Any]) -> None:
    for make, template, table in ((_unary, _UNARY_DOC, _UNARY), (_binary, _BINARY_DOC, _BINARY)):
        for name, operation, promotion, summary, *examples, printed in table:
            other = examples[-1]
            doc = template.format(
                name=name,
                summary=summary,
                result=_RESULTS[promotion],
                example=examples[0],
                other=other,
                printed=printed,
            )
            inline[name] = make(name, operation, promotion)
            _with_parameters_of(name, inline[name])
            namespace[name] = _publish(inline[name], name, doc)
    for alias, name in _ALIASES.items():
        namespace[alias] = namespace[name]


_declare(globals())

if TYPE_CHECKING:  # the names that the tables declare
    acos: Callable[..., Any]
    acosh: Callable[..., Any]
    add: Callable[..., Any]
    arccos: Callable[..., Any]
    arccosh: Callable[..., Any]
    arcsin: Callable[..., Any]
    arcsinh: Callable[..., Any]
    arctan: Callable[..., Any]
    arctan2: Callable[..., Any]
    arctanh: Callable[..., Any]
    asin: Callable[..., Any]
    asinh: Callable[..., Any]
    atan: Callable[..., Any]
    atan2: Callable[..., Any]
    atanh: Callable[..., Any]
    bitwise_and: Callable[..., Any]
    bitwise_count: Callable[..., Any]
    bitwise_invert: Callable[..., Any]
    bitwise_left_shift: Callable[..., Any]
    bitwise_not: Callable[..., Any]
    bitwise_or: Callable[..., Any]
    bitwise_right_shift: Callable[..., Any]
    bitwise_xor: Callable[..., Any]
    cbrt: Callable[..., Any]
    ceil: Callable[..., Any]
    conj: Callable[..., Any]
    conjugate: Callable[..., Any]
    copysign: Callable[..., Any]
    cos: Callable[..., Any]
    cosh: Callable[..., Any]
    deg2rad: Callable[..., Any]
    degrees: Callable[..., Any]
    divide: Callable[..., Any]
    equal: Callable[..., Any]
    exp: Callable[..., Any]
    exp2: Callable[..., Any]
    expm1: Callable[..., Any]
    fabs: Callable[..., Any]
    floor: Callable[..., Any]
    floor_divide: Callable[..., Any]
    fmax: Callable[..., Any]
    fmin: Callable[..., Any]
    fmod: Callable[..., Any]
    gcd: Callable[..., Any]
    greater: Callable[..., Any]
    greater_equal: Callable[..., Any]
    heaviside: Callable[..., Any]
    hypot: Callable[..., Any]
    invert: Callable[..., Any]
    isfinite: Callable[..., Any]
    isinf: Callable[..., Any]
    isnan: Callable[..., Any]
    lcm: Callable[..., Any]
    left_shift: Callable[..., Any]
    less: Callable[..., Any]
    less_equal: Callable[..., Any]
    log: Callable[..., Any]
    log10: Callable[..., Any]
    log1p: Callable[..., Any]
    log2: Callable[..., Any]
    logaddexp: Callable[..., Any]
    logaddexp2: Callable[..., Any]
    logical_and: Callable[..., Any]
    logical_not: Callable[..., Any]
    logical_or: Callable[..., Any]
    logical_xor: Callable[..., Any]
    maximum: Callable[..., Any]
    minimum: Callable[..., Any]
    mod: Callable[..., Any]
    multiply: Callable[..., Any]
    negative: Callable[..., Any]
    nextafter: Callable[..., Any]
    not_equal: Callable[..., Any]
    positive: Callable[..., Any]
    rad2deg: Callable[..., Any]
    radians: Callable[..., Any]
    reciprocal: Callable[..., Any]
    remainder: Callable[..., Any]
    right_shift: Callable[..., Any]
    rint: Callable[..., Any]
    sign: Callable[..., Any]
    signbit: Callable[..., Any]
    sin: Callable[..., Any]
    sinc: Callable[..., Any]
    sinh: Callable[..., Any]
    spacing: Callable[..., Any]
    sqrt: Callable[..., Any]
    square: Callable[..., Any]
    subtract: Callable[..., Any]
    tan: Callable[..., Any]
    tanh: Callable[..., Any]
    true_divide: Callable[..., Any]
    trunc: Callable[..., Any]


@composite
def abs(x: Any, /) -> Any:
    """The absolute value, element by element, as `numpy.abs`; of complex numbers their length.

    Args:
      x: an array or number.

    Returns:
      An array of x's shape; floats for complex numbers.

    Raises:
      TypeError: x is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.abs(cnp.array([-1.0, 2.0]))
      Array([1., 2.], dtype=float32)
    """
    if getattr(x, "aval", None) is None:
        check_arraylike("abs", x)
        x = as_array(x)
    return bodies.absolute(x)


absolute = abs


@composite(static_argnames=("exponent",))
def _integer_pow(x: Any, exponent: int) -> Any:
    check_arraylike("power", x)
    rank = dtype_rank(dtype_of(x))
    if rank == 0:
        x = convert(x, dtype_of(0))
    elif rank == 1 and exponent < 0:
        raise TypeError(
            f"Integers cannot be raised to negative powers, got {dtype_of(x)} ** {exponent}. "
            "Convert the base to a float first: x.astype(float)."
        )
    return lax.integer_pow(x, exponent)


@composite
def _power(x1: Any, x2: Any) -> Any:
    check_arraylike("power", x1, x2)
    if is_inexact(dtype_of(x1)) and dtype_rank(dtype_of(x2)) == 1:
        (x1,), (x2,) = promote_dtypes(x1), promote_dtypes(x2)
        if getattr(x2, "aval", None) is not None and not getattr(x2, "weak_type", True):
            return lax.pow(*promote_shapes("power", x1, x2))
    x1, x2 = promote_args("power", x1, x2)
    rank = dtype_rank(dtype_of(x1))
    if rank == 0:
        x1, x2 = convert(x1, dtype_of(0)), convert(x2, dtype_of(0))
    return lax.pow(x1, x2) if rank >= 2 else bodies.integer_power(x1, x2)


def power(x1: Any, x2: Any, /) -> Any:
    """x1 raised to the power x2, element by element, as `numpy.power`.

    Args:
      x1: an array or number.
      x2: an array or number. A Python int gives repeated multiplication, for any dtype of x1.

    Returns:
      An array of the operands' broadcast shape and common dtype.

    Raises:
      TypeError: an operand is not an array or number, or an integer is raised to a negative Python int.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.power(cnp.array([2.0, 3.0]), 2)
      Array([4., 9.], dtype=float32)
    """
    if type(x2) is int:
        return _integer_pow(x1, exponent=x2)
    return _power(x1, x2)


pow = power


@composite
def float_power(x: Any, y: Any, /) -> Any:
    """x raised to the power y as floats, also for integers, as `numpy.float_power`.

    Args:
      x, y: arrays or numbers.

    Returns:
      An array of floats or complex numbers; the default float dtype for integers.

    Raises:
      TypeError: an operand is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.float_power(cnp.array([2, 3]), 2)
      Array([4., 9.], dtype=float32)
    """
    return lax.pow(*promote_args_inexact("float_power", x, y))


@composite
def ldexp(x1: Any, x2: Any, /) -> Any:
    """x1 * 2**x2, as `numpy.ldexp`, without overflow of the power alone.

    Args:
      x1: an array or number.
      x2: an array of integers.

    Returns:
      An array of floats.

    Raises:
      ValueError: x2 is not of an integer dtype.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.ldexp(cnp.array([1.0, 3.0]), 2)
      Array([ 4., 12.], dtype=float32)
    """
    check_arraylike("ldexp", x1, x2)
    if dtype_rank(dtype_of(x2)) > 1:
        raise ValueError(f"ldexp requires integer exponents, got {dtype_of(x2)}.")
    x1 = to_inexact("ldexp", x1)
    (x2,) = promote_dtypes(x2)
    if dtype_of(x2).itemsize > 2:  # beyond these bounds nothing changes
        x2 = lax.clamp(const(x2, 0 if dtype_of(x2).kind == "u" else -5000), x2, const(x2, 5000))
    x1, x2 = broadcast_arrays_to_common("ldexp", x1, convert(x2, np.dtype(np.int32)))
    return bodies.scale_by_power_of_two(x1, x2)


@composite
def divmod(x1: Any, x2: Any, /) -> tuple[Any, Any]:
    """Floor division and remainder together, as `numpy.divmod`.

    Args:
      x1, x2: arrays or numbers, not complex.

    Returns:
      The pair (x1 // x2, x1 % x2).

    Raises:
      TypeError: an operand is not an array or number, or complex.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.divmod(cnp.array([7, -7]), 2)
      (Array([ 3, -4], dtype=int32), Array([1, 1], dtype=int32))
    """
    x1, x2 = promote_pair("divmod", x1, x2)
    return bodies.floor_divide(x1, x2), bodies.remainder(x1, x2)


@composite
def isneginf(x: Any, /, out: None = None) -> Any:
    """Whether x is -inf, element by element, as `numpy.isneginf`.

    Args:
      x: an array or number, not complex.
      out: must be None.

    Returns:
      A boolean array.

    Raises:
      ValueError: x is complex.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.isneginf(cnp.array([cnp.inf, -cnp.inf]))
      Array([False,  True], dtype=bool)
    """
    refuse_out("isneginf", out)
    check_arraylike("isneginf", x)
    return bodies.isneginf(as_array(x))


@composite
def isposinf(x: Any, /, out: None = None) -> Any:
    """Whether x is +inf, element by element, as `numpy.isposinf`.

    Args:
      x: an array or number, not complex.
      out: must be None.

    Returns:
      A boolean array.

    Raises:
      ValueError: x is complex.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.isposinf(cnp.array([cnp.inf, -cnp.inf]))
      Array([ True, False], dtype=bool)
    """
    refuse_out("isposinf", out)
    check_arraylike("isposinf", x)
    return bodies.isposinf(as_array(x))


@composite
def modf(x: Any, /, out: None = None) -> tuple[Any, Any]:
    """The fractional and the integral part, both with the sign of x, as `numpy.modf`.

    Args:
      x: an array or number.
      out: must be None.

    Returns:
      The pair (fraction, whole) of floats.

    Raises:
      TypeError: x is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.modf(cnp.array([1.5, -2.25]))
      (Array([ 0.5 , -0.25], dtype=float32), Array([ 1., -2.], dtype=float32))
    """
    refuse_out("modf", out)
    x = to_inexact("modf", x)
    whole = bodies.trunc(x)
    return bodies.copysign(bodies.where(bodies.isinf(x), lax.full_like(x, 0), lax.sub(x, whole)), x), whole


@composite
def frexp(x: Any, /) -> tuple[Any, Any]:
    """Splits floats into a fraction of size 0.5 to 1 and a power of two, as `numpy.frexp`.

    Args:
      x: an array or number, not complex.

    Returns:
      The pair (fraction, exponent) with x == fraction * 2**exponent; exponent is int32.

    Raises:
      TypeError: x is not an array or number, or complex.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.frexp(cnp.array([8.0, 0.3]))
      (Array([0.5, 0.6], dtype=float32), Array([ 4, -1], dtype=int32))
    """
    return bodies.frexp(to_inexact("frexp", x))
