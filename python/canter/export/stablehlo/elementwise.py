"""Elementwise operations of stablehlo and chlo, by tables."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from canter import lax
from canter.transforms.custom_rules import custom_jvp
from canter_mlir.reading import Operation, Value

from .evaluation import Rule, UnsupportedOperation
from .regions import constant_of

__all__ = ["RULES", "compare"]

# Operations with the meaning of one function of lax. Those of the second table can be told how exact to be.
_PLAIN: dict[str, Callable[..., Any]] = {
    "stablehlo.abs": lax.abs,
    "stablehlo.atan2": lax.atan2,
    "stablehlo.ceil": lax.ceil,
    "stablehlo.clamp": lax.clamp,
    "stablehlo.complex": lax.complex,
    "stablehlo.count_leading_zeros": lax.clz,
    "stablehlo.divide": lax.div,
    "stablehlo.floor": lax.floor,
    "stablehlo.is_finite": lax.is_finite,
    "stablehlo.maximum": lax.max,
    "stablehlo.minimum": lax.min,
    "stablehlo.negate": lax.neg,
    "stablehlo.not": lax.bitwise_not,
    "stablehlo.or": lax.bitwise_or,
    "stablehlo.and": lax.bitwise_and,
    "stablehlo.xor": lax.bitwise_xor,
    "stablehlo.popcnt": lax.population_count,
    "stablehlo.remainder": lax.rem,
    "stablehlo.shift_left": lax.shift_left,
    "stablehlo.shift_right_arithmetic": lax.shift_right_arithmetic,
    "stablehlo.shift_right_logical": lax.shift_right_logical,
    "stablehlo.sign": lax.sign,
    "stablehlo.subtract": lax.sub,
    "chlo.acos": lax.acos,
    "chlo.acosh": lax.acosh,
    "chlo.asin": lax.asin,
    "chlo.asinh": lax.asinh,
    "chlo.atan": lax.atan,
    "chlo.atanh": lax.atanh,
    "chlo.bessel_i0e": lax.bessel_i0e,
    "chlo.bessel_i1e": lax.bessel_i1e,
    "chlo.conj": lax.conj,
    "chlo.cosh": lax.cosh,
    "chlo.digamma": lax.digamma,
    "chlo.erf": lax.erf,
    "chlo.erf_inv": lax.erf_inv,
    "chlo.erfc": lax.erfc,
    "chlo.lgamma": lax.lgamma,
    "chlo.mulhi": lax.mulhi,
    "chlo.next_after": lax.nextafter,
    "chlo.polygamma": lax.polygamma,
    "chlo.sinh": lax.sinh,
    "chlo.square": lax.square,
    "chlo.tan": lax.tan,
    "chlo.zeta": lax.zeta,
}
_WITH_ACCURACY: dict[str, Callable[..., Any]] = {
    "stablehlo.cbrt": lax.cbrt,
    "stablehlo.cosine": lax.cos,
    "stablehlo.exponential": lax.exp,
    "stablehlo.exponential_minus_one": lax.expm1,
    "stablehlo.log": lax.log,
    "stablehlo.log_plus_one": lax.log1p,
    "stablehlo.logistic": lax.logistic,
    "stablehlo.rsqrt": lax.rsqrt,
    "stablehlo.sine": lax.sin,
    "stablehlo.sqrt": lax.sqrt,
    "stablehlo.tan": lax.tan,
    "stablehlo.tanh": lax.tanh,
}


def _plain(function: Callable[..., Any]) -> Rule:
    return lambda run, op, *operands: function(*operands)


def _with_accuracy(function: Callable[..., Any]) -> Rule:
    def rule(run: Any, op: Operation, x: Any) -> Any:
        accuracy = _accuracy(op)
        return function(x) if accuracy is None else function(x, accuracy=accuracy)

    return rule


def _accuracy(op: Operation) -> Any:
    text = op.attributes.get("result_accuracy")
    if text is None or "DEFAULT" in text:
        return None
    if "HIGHEST" in text:
        return lax.AccuracyMode.HIGHEST
    found = dict(re.findall(r"(atol|rtol|ulps) = ([-+.\deE]+)", text))
    return lax.Tolerance(
        float(found.get("atol", 0)), float(found.get("rtol", 0)), int(float(found.get("ulps", 0)))
    )


def _logical(of_numbers: Callable[..., Any], of_booleans: Callable[..., Any]) -> Rule:
    """Sums and products, which are disjunctions and conjunctions of booleans."""

    def rule(run: Any, op: Operation, x: Any, y: Any) -> Any:
        return of_booleans(x, y) if op.results[0].type.dtype == bool else of_numbers(x, y)

    return rule


def _power(run: Any, op: Operation, x: Any, y: Any) -> Any:
    if op.results[0].type.dtype.kind not in "iu":
        return lax.pow(x, y)
    # By squaring; a negative power of anything but 1 and -1 is 0.
    one = lax.full_like(x, 1)
    bits = 8 * x.dtype.itemsize

    def step(i: Any, state: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        total, base, rest = state
        odd = lax.ne(lax.bitwise_and(rest, one), lax.full_like(rest, 0))
        return (
            lax.select(odd, lax.mul(total, base), total),
            lax.mul(base, base),
            lax.shift_right_logical(rest, one),
        )

    total = lax.fori_loop(0, bits, step, (one, x, y))[0]
    if x.dtype.kind == "u":
        return total
    inverse = lax.select(lax.eq(lax.abs(x), one), total, lax.full_like(x, 0))
    return lax.select(lax.lt(y, lax.full_like(y, 0)), inverse, total)


_DIRECTIONS = {"EQ": lax.eq, "NE": lax.ne, "LT": lax.lt, "LE": lax.le, "GT": lax.gt, "GE": lax.ge}
_TOTAL_ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "EQ": lambda x, y: lax.eq_to_p.bind(x, y),
    "NE": lambda x, y: lax.bitwise_not(lax.eq_to_p.bind(x, y)),
    "LT": lambda x, y: lax.lt_to_p.bind(x, y),
    "LE": lambda x, y: lax.le_to_p.bind(x, y),
    "GT": lambda x, y: lax.lt_to_p.bind(y, x),
    "GE": lambda x, y: lax.le_to_p.bind(y, x),
}


def compare(run: Any, op: Operation, x: Any, y: Any) -> Any:
    """A comparison by the direction and kind that the operation has."""
    total = op.attributes.get("compare_type") == "TOTALORDER"
    return (_TOTAL_ORDER if total else _DIRECTIONS)[op.attributes["comparison_direction"]](x, y)


def convert(x: Any, dtype: np.dtype) -> Any:
    """Another element type: complex numbers lose their imaginary part, booleans are what is not zero."""
    if x.dtype == dtype:
        return x
    if x.dtype.kind == "c" and dtype.kind not in "cb":
        x = lax.real(x)
    return lax.convert_element_type(x, dtype)


def _convert(run: Any, op: Operation, x: Any) -> Any:
    return convert(x, op.results[0].type.dtype)


def _select(run: Any, op: Operation, which: Any, yes: Any, no: Any) -> Any:
    chosen = lax.select(which, yes, no)
    argument = _argument_of_erf_inv(op)
    return chosen if argument is None else _erf_inv(run.value(argument), lax.stop_gradient(chosen))


def _argument_of_erf_inv(op: Operation) -> Value | None:
    """x, if this is `select(|x| == 1, x * inf, polynomials)`: the end of what chlo makes of erf_inv(x).

    Differentiated as it stands it is nan for every x, as nothing times the infinity that was not chosen.
    """
    test, product = (value.operation for value in op.operands[:2])
    if test is None or test.name != "stablehlo.compare" or test.attributes["comparison_direction"] != "EQ":
        return None
    if product is None or product.name != "stablehlo.multiply":
        return None
    size = test.operands[0].operation
    if size is None or size.name != "stablehlo.abs" or size.operands[0] is not product.operands[0]:
        return None
    one, infinity = constant_of(test.operands[1]), constant_of(product.operands[1])
    return product.operands[0] if one == 1 and infinity == np.inf else None


@custom_jvp
def _erf_inv(x: Any, known: Any) -> Any:
    """`known`, which is the inverse error function of x, with the derivative of that."""
    return known


@_erf_inv.defjvp
def _erf_inv_jvp(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
    y = _erf_inv(*primals)
    slope = lax.mul(lax.full_like(y, math.sqrt(math.pi) / 2), lax.exp(lax.square(y)))
    return y, lax.mul(tangents[0], slope)


def _round(method: Any) -> Rule:
    return lambda run, op, x: lax.round(x, method)


def _reduce_precision(run: Any, op: Operation, x: Any) -> Any:
    return lax.reduce_precision(x, op.attributes["exponent_bits"], op.attributes["mantissa_bits"])


def _part(of_complex: Callable[[Any], Any], of_real: Callable[[Any], Any]) -> Rule:
    return lambda run, op, x: of_complex(x) if x.dtype.kind == "c" else of_real(x)


def _infinite(low: bool, high: bool) -> Rule:
    def rule(run: Any, op: Operation, x: Any) -> Any:
        infinity = lax.full_like(x, np.inf)
        if low and high:
            return lax.eq(lax.abs(x), infinity)
        return lax.eq(x, lax.neg(infinity) if low else infinity)

    return rule


def _quantized(run: Any, op: Operation, *operands: Any) -> Any:
    raise UnsupportedOperation(op, "works on quantized types, which Canter's arrays do not have.")


RULES: dict[str, Rule] = {
    **{name: _plain(function) for name, function in _PLAIN.items()},
    **{name: _with_accuracy(function) for name, function in _WITH_ACCURACY.items()},
    "stablehlo.add": _logical(lax.add, lax.bitwise_or),
    "stablehlo.multiply": _logical(lax.mul, lax.bitwise_and),
    "stablehlo.power": _power,
    "stablehlo.select": _select,
    "stablehlo.compare": compare,
    "stablehlo.convert": _convert,
    "stablehlo.real": _part(lax.real, lambda x: x),
    "stablehlo.imag": _part(lax.imag, lambda x: lax.full_like(x, 0)),
    "stablehlo.reduce_precision": _reduce_precision,
    "stablehlo.round_nearest_afz": _round(lax.RoundingMethod.AWAY_FROM_ZERO),
    "stablehlo.round_nearest_even": _round(lax.RoundingMethod.TO_NEAREST_EVEN),
    "stablehlo.uniform_quantize": _quantized,
    "stablehlo.uniform_dequantize": _quantized,
    "chlo.is_inf": _infinite(True, True),
    "chlo.is_pos_inf": _infinite(False, True),
    "chlo.is_neg_inf": _infinite(True, False),
}
