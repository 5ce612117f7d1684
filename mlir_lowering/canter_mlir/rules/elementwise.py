"""Elementwise arithmetic, comparisons, bits, conversions, selection."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from canter.core import dtypes
from canter.core.avals import ShapedArray

from ..registry import ElementwiseOp, register_table
from ..types import compare_type_name, element_shape, physical_aval, physical_dtype
from . import complex_values

__all__: list[str] = []

_BOOL = np.dtype(bool)


def _uniform(ctx: Any, operands: Any) -> list[Any]:
    """The operands brought to the shape of the first result."""
    shape = ctx.avals_out[0].shape
    return [
        x if aval.shape == shape else ctx.module_context.broadcast(x, aval, shape, ctx.location)
        for x, aval in zip(operands, ctx.avals_in, strict=True)
    ]


def _is_complex(aval: Any) -> bool:
    return aval.dtype.kind == "c"


def _real_dtype(dtype: Any) -> Any:
    return np.dtype(np.float32) if dtype == np.dtype(np.complex64) else np.dtype(np.float64)


def _parts(ctx: Any, x: Any, aval: Any) -> tuple[Any, Any]:
    """Real and imaginary part."""
    part = ShapedArray(aval.shape, _real_dtype(aval.dtype))
    return ctx.op("stablehlo.real", (x,), part), ctx.op("stablehlo.imag", (x,), part)


def complex_compare(ctx: Any, direction: str, x: Any, y: Any, aval: Any) -> Any:
    """An ordering of complex numbers by real part, then imaginary part, as NumPy's."""
    (xr, xi), (yr, yi) = _parts(ctx, x, aval), _parts(ctx, y, aval)
    part = ShapedArray(aval.shape, _real_dtype(aval.dtype))
    tie = ctx.compare("EQ", xr, yr, part)
    by_real = ctx.compare(direction[:1] + "T", xr, yr, part)
    by_imag = ctx.compare(direction, xi, yi, part)
    return ctx.op("stablehlo.select", (tie, by_imag, by_real), ShapedArray(aval.shape, _BOOL))


def extremum(name: str, direction: str) -> Any:
    """The rule of `max` or `min`."""

    def lower(ctx: Any, x: Any, y: Any) -> Any:
        aval = ctx.avals_out[0]
        x, y = _uniform(ctx, (x, y))
        if not _is_complex(aval):
            return ctx.op(name, (x, y), aval)
        return ctx.op("stablehlo.select", (complex_compare(ctx, direction, x, y, aval), x, y), aval)

    return lower


def _comparison(direction: str, total: bool = False) -> Any:
    """The rule of a comparison; with `total`, floats are ordered by IEEE's total order."""

    def lower(ctx: Any, x: Any, y: Any) -> Any:
        out = ctx.avals_out[0]
        aval = ctx.avals_in[0].update(shape=out.shape)
        x, y = _uniform(ctx, (x, y))
        if isinstance(aval.dtype, dtypes.ExtendedDType):
            return _compare_extended(ctx, direction, x, y, aval)
        if _is_complex(aval) and direction not in ("EQ", "NE"):
            return complex_compare(ctx, direction, x, y, aval)
        kind = compare_type_name(aval.dtype)
        if total and kind == "FLOAT":
            kind = "TOTALORDER"
        return ctx.op("stablehlo.compare", (x, y), out, ctx.types.compare(direction, kind))

    return lower


def _compare_extended(ctx: Any, direction: str, x: Any, y: Any, aval: Any) -> Any:
    """Equality of keys: all of their bits are equal."""
    from .reductions import reduce_with

    if direction not in ("EQ", "NE"):
        raise TypeError(f"Values of dtype {aval.dtype} have no order; '{ctx.primitive}' needs one.")
    physical = physical_aval(aval)
    bits = ctx.compare(direction, x, y, physical)
    axes = range(aval.ndim, physical.ndim)
    combine = "stablehlo.and" if direction == "EQ" else "stablehlo.or"
    out = ShapedArray(aval.shape, _BOOL)
    return reduce_with(ctx, combine, bits, direction == "EQ", axes, out)


def _sign(ctx: Any, x: Any) -> Any:
    aval = ctx.avals_out[0]
    if compare_type_name(aval.dtype) == "UNSIGNED":
        return ctx.op("stablehlo.minimum", (x, ctx.full(1, aval)), aval)
    return ctx.op("stablehlo.sign", (x,), aval)


# Values of lax.RoundingMethod.
_ROUNDINGS = {0: "stablehlo.round_nearest_afz", 1: "stablehlo.round_nearest_even"}


def _round(ctx: Any, x: Any, *, rounding_method: Any) -> Any:
    return ctx.op(_ROUNDINGS[int(getattr(rounding_method, "value", rounding_method))], (x,), ctx.avals_out[0])


def _exp2(ctx: Any, x: Any, *, accuracy: Any = None) -> Any:
    aval = ctx.avals_out[0]
    attributes = None if accuracy is None else {"result_accuracy": ctx.types.accuracy(accuracy)}
    scaled = ctx.op("stablehlo.multiply", (x, ctx.full(np.log(2.0), aval)), aval)
    return ctx.op("stablehlo.exponential", (scaled,), aval, attributes)


def _square(ctx: Any, x: Any) -> Any:
    aval = ctx.avals_out[0]
    return (
        ctx.op("chlo.square", (x,), aval) if _is_complex(aval) else ctx.op("stablehlo.multiply", (x, x), aval)
    )


def _integer_pow(ctx: Any, x: Any, *, y: int) -> Any:
    """Powers by repeated squaring: the bits of the exponent choose the squares to multiply."""
    aval = ctx.avals_out[0]
    if y == 0:
        return ctx.full(1, aval)
    power, result, exponent = x, None, abs(int(y))
    while True:
        if exponent & 1:
            result = power if result is None else ctx.op("stablehlo.multiply", (result, power), aval)
        exponent >>= 1
        if not exponent:
            break
        power = ctx.op("stablehlo.multiply", (power, power), aval)
    return ctx.op("stablehlo.divide", (ctx.full(1, aval), result), aval) if y < 0 else result


def _pow(ctx: Any, x: Any, y: Any) -> Any:
    aval = ctx.avals_out[0]
    x, y = _uniform(ctx, (x, y))
    if ctx.avals_in[1].dtype != aval.dtype:
        y = ctx.convert(y, aval)
    return ctx.op("stablehlo.power", (x, y), aval)


def _conj(ctx: Any, x: Any, *, input_dtype: Any = None) -> Any:
    aval = ctx.avals_in[0]
    out = ctx.avals_out[0]
    if not _is_complex(aval):
        return ctx.op("stablehlo.complex", (x, ctx.full(0, aval)), out)
    real, imaginary = _parts(ctx, x, aval)
    part = ShapedArray(aval.shape, _real_dtype(aval.dtype))
    return ctx.op("stablehlo.complex", (real, ctx.op("stablehlo.negate", (imaginary,), part)), out)


def _mulhi(ctx: Any, x: Any, y: Any) -> Any:
    x, y = _uniform(ctx, (x, y))
    out = ctx.avals_out[0]
    bits = 8 * out.dtype.itemsize
    if len(ctx.module_context.device_places or ()) > 1 and bits < 64:
        # The partitioner's way back to StableHLO knows no such operation: a product of twice the width does it.
        wide = out.update(dtype=np.dtype(f"{'uint' if out.dtype.kind == 'u' else 'int'}{2 * bits}"))
        product = ctx.op("stablehlo.multiply", (ctx.convert(x, wide), ctx.convert(y, wide)), wide)
        high = ctx.op("stablehlo.shift_right_logical", (product, ctx.full(bits, wide)), wide)
        return ctx.convert(high, out)
    return ctx.op("chlo.mulhi", (x, y), out)


def _identity(ctx: Any, x: Any, **params: Any) -> Any:
    return x


def _select_n(ctx: Any, which: Any, *cases: Any) -> Any:
    """Chooses among the cases by a boolean or an integer, halving the range with each comparison."""
    which_aval, out = ctx.avals_in[0], ctx.avals_out[0]
    if len(cases) == 1:
        return cases[0]
    extra = element_shape(out.dtype)
    shape = physical_aval(out).shape

    def spread(predicate: Any) -> Any:
        if not extra or not which_aval.shape:
            return predicate
        dims = ctx.types.ints(range(out.ndim))
        attributes = {"broadcast_dimensions": dims}
        return ctx.op("stablehlo.broadcast_in_dim", (predicate,), ShapedArray(shape, _BOOL), attributes)

    def choose(first: int, count: int) -> Any:
        if count == 1:
            return cases[first]
        half = count // 2
        limit = ctx.full(first + half, which_aval)
        low = ctx.compare("LT", which, limit, which_aval)
        return ctx.op(
            "stablehlo.select", (spread(low), choose(first, half), choose(first + half, count - half)), out
        )

    if which_aval.dtype == _BOOL:
        return ctx.op("stablehlo.select", (spread(which), cases[1], cases[0]), out)
    return choose(0, len(cases))


def _clamp(ctx: Any, low: Any, x: Any, high: Any) -> Any:
    return ctx.op("stablehlo.clamp", (low, x, high), ctx.avals_out[0])


def convert_dtype(ctx: Any, x: Any, aval_in: Any, aval_out: Any) -> Any:
    """NumPy's conversion: to bool is "not zero", complex to real drops the imaginary part."""
    old, new = aval_in.dtype, aval_out.dtype
    if old == new:
        return x
    if isinstance(old, dtypes.ExtendedDType) or isinstance(new, dtypes.ExtendedDType):
        raise TypeError(f"convert_element_type cannot convert {old} to {new}: keys and numbers do not mix.")
    if new == _BOOL:
        return ctx.compare("NE", x, ctx.full(0, aval_in), aval_in)
    if _is_complex(aval_in) and not _is_complex(aval_out):
        aval_in = ShapedArray(aval_in.shape, _real_dtype(old))
        x = ctx.op("stablehlo.real", (x,), aval_in)
        if aval_in.dtype == new:
            return x
    return ctx.convert(x, aval_out)


def _convert_element_type(
    ctx: Any, x: Any, *, new_dtype: Any, weak_type: bool = False, sharding: Any = None
) -> Any:
    reject_sharding(ctx, sharding)
    return convert_dtype(ctx, x, ctx.avals_in[0], ctx.avals_out[0])


def reject_sharding(ctx: Any, sharding: Any) -> None:
    """Refuses a parameter that asks for a sharding of the result, which is not lowered yet."""
    if sharding is not None:
        raise NotImplementedError(
            f"'{ctx.primitive}' was asked for the sharding {sharding} of its result, which has no lowering: "
            "a program runs on one device. Leave the sharding out."
        )


def _bitcast_convert_type(ctx: Any, x: Any, *, new_dtype: Any) -> Any:
    """The same bits as another type. Booleans have a byte each, where XLA's have a bit."""
    aval, out = ctx.avals_in[0], ctx.avals_out[0]
    if aval.dtype == out.dtype:
        return x
    if aval.dtype == _BOOL:
        aval = aval.update(dtype=np.dtype(np.uint8))
        x = ctx.convert(x, aval)
        if out.dtype == aval.dtype:
            return x
    if out.dtype == _BOOL:
        return ctx.convert(
            ctx.op("stablehlo.bitcast_convert", (x,), out.update(dtype=np.dtype(np.uint8))), out
        )
    return ctx.op("stablehlo.bitcast_convert", (x,), out)


def _reduce_precision(ctx: Any, x: Any, *, exponent_bits: int, mantissa_bits: int) -> Any:
    attributes = {
        "exponent_bits": ctx.types.integer(exponent_bits, 32),
        "mantissa_bits": ctx.types.integer(mantissa_bits, 32),
    }
    return ctx.op("stablehlo.reduce_precision", (x,), ctx.avals_out[0], attributes)


def _optimization_barrier(ctx: Any, *operands: Any) -> Any:
    return (
        list(ctx.build("stablehlo.optimization_barrier", operands, ctx.avals_out).results) if operands else []
    )


def _extended_wrap(ctx: Any, x: Any, **params: Any) -> Any:
    """Between an extended dtype and its physical form nothing changes on the device."""
    if physical_dtype(ctx.avals_out[0].dtype) != physical_dtype(ctx.avals_in[0].dtype):
        raise TypeError(f"'{ctx.primitive}' cannot turn {ctx.avals_in[0]} into {ctx.avals_out[0]}.")
    return x


def _accurate(name: str) -> ElementwiseOp:
    return ElementwiseOp(name, takes_accuracy=True)


def _repaired(primitive: str, operation: str, takes_accuracy: bool = False) -> ElementwiseOp:
    repair = functools.partial(complex_values.repaired, primitive)
    return ElementwiseOp(operation, takes_accuracy=takes_accuracy, repair=repair)


register_table(
    {
        # Arithmetic
        "neg": "stablehlo.negate",
        "sign": _sign,
        "floor": "stablehlo.floor",
        "ceil": "stablehlo.ceil",
        "round": _round,
        "is_finite": "stablehlo.is_finite",
        "abs": _repaired("abs", "stablehlo.abs"),
        "add": "stablehlo.add",
        "add_any": "stablehlo.add",
        "sub": "stablehlo.subtract",
        "mul": "stablehlo.multiply",
        "div": "stablehlo.divide",
        "rem": "stablehlo.remainder",
        "max": extremum("stablehlo.maximum", "GT"),
        "min": extremum("stablehlo.minimum", "LT"),
        "mulhi": _mulhi,
        "nextafter": "chlo.next_after",
        # Powers, exponentials, logarithms
        "exp": _repaired("exp", "stablehlo.exponential", takes_accuracy=True),
        "exp2": _exp2,
        "expm1": _repaired("expm1", "stablehlo.exponential_minus_one", takes_accuracy=True),
        "log": _repaired("log", "stablehlo.log", takes_accuracy=True),
        "log1p": _repaired("log1p", "stablehlo.log_plus_one", takes_accuracy=True),
        "logistic": _accurate("stablehlo.logistic"),
        "sqrt": _repaired("sqrt", "stablehlo.sqrt", takes_accuracy=True),
        "rsqrt": _accurate("stablehlo.rsqrt"),
        "cbrt": _accurate("stablehlo.cbrt"),
        "square": _square,
        "integer_pow": _integer_pow,
        "pow": _pow,
        # Angles
        "sin": _repaired("sin", "stablehlo.sine", takes_accuracy=True),
        "cos": _repaired("cos", "stablehlo.cosine", takes_accuracy=True),
        "tan": _repaired("tan", "stablehlo.tan", takes_accuracy=True),
        "asin": _repaired("asin", "chlo.asin"),
        "acos": _repaired("acos", "chlo.acos"),
        "atan": _repaired("atan", "chlo.atan"),
        "atan2": "stablehlo.atan2",
        "sinh": _repaired("sinh", "chlo.sinh"),
        "cosh": _repaired("cosh", "chlo.cosh"),
        "tanh": _repaired("tanh", "stablehlo.tanh", takes_accuracy=True),
        "asinh": _repaired("asinh", "chlo.asinh"),
        "acosh": _repaired("acosh", "chlo.acosh"),
        "atanh": _repaired("atanh", "chlo.atanh"),
        # Complex numbers
        "real": "stablehlo.real",
        "imag": "stablehlo.imag",
        "complex": "stablehlo.complex",
        "conj": _conj,
        # Bits
        "and": "stablehlo.and",
        "or": "stablehlo.or",
        "xor": "stablehlo.xor",
        "not": "stablehlo.not",
        "shift_left": "stablehlo.shift_left",
        "shift_right_arithmetic": "stablehlo.shift_right_arithmetic",
        "shift_right_logical": "stablehlo.shift_right_logical",
        "population_count": "stablehlo.popcnt",
        "clz": "stablehlo.count_leading_zeros",
        # Comparisons
        "eq": _comparison("EQ"),
        "ne": _comparison("NE"),
        "lt": _comparison("LT"),
        "le": _comparison("LE"),
        "gt": _comparison("GT"),
        "ge": _comparison("GE"),
        "eq_to": _comparison("EQ", total=True),
        "lt_to": _comparison("LT", total=True),
        "le_to": _comparison("LE", total=True),
        # Choice
        "select_n": _select_n,
        "clamp": _clamp,
        # Conversions
        "convert_element_type": _convert_element_type,
        "bitcast_convert_type": _bitcast_convert_type,
        "reduce_precision": _reduce_precision,
        "to_edtype": _extended_wrap,
        "from_edtype": _extended_wrap,
        # Nothing on the device
        "copy": _identity,
        "copy_p": _identity,
        "stop_gradient": _identity,
        "name": _identity,
        "optimization_barrier": _optimization_barrier,
    }
)
