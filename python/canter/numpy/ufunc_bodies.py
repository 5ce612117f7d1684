"""The arithmetic behind the ufuncs that are not one lax operation.

Each body takes operands that `canter.numpy.ufuncs` has promoted to one dtype and rank; those of
rank 0 may be of rank 0 still, so results are formed before anything is selected.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.core.avals import get_aval
from canter.lax.common import const
from canter.transforms.rules import in_memory_of

from .util import broadcast_arrays_to_common, convert, dtype_rank, is_inexact, shape_of

_PI = math.pi


def where(condition: Any, x: Any, y: Any) -> Any:
    """select with operands of equal dtype broadcast to one shape."""
    given = condition, x, y
    broadcast = broadcast_arrays_to_common("where", *given)
    home = next((aval for aval in map(get_aval, given) if aval.memory is not None and aval.shape), None)
    if home is not None:
        broadcast = [
            b if shape_of(g) else in_memory_of(b, home) for b, g in zip(broadcast, given, strict=True)
        ]
    return lax.select(*broadcast)


def _kind(x: Any) -> int:
    return dtype_rank(get_aval(x).dtype)


def _is_unsigned(x: Any) -> bool:
    return dtypes.issubdtype(get_aval(x).dtype, np.unsignedinteger)


def to_bool(x: Any) -> Any:
    """Whether each element is non-zero."""
    return x if _kind(x) == 0 else lax.ne(x, const(x, 0))


def filled_like(x: Any, value: bool) -> Any:
    """A boolean array of x's shape."""
    return lax.broadcast(np.bool_(value), get_aval(x).shape)


# --- one operand --------------------------------------------------------------------------------


def identity(x: Any) -> Any:
    return x


def log2(x: Any) -> Any:
    # XLA turns a constant divisor into a factor, which it rounds twice.
    return convert(lax.mul(lax.log(x), const(x, 1 / math.log(2))), get_aval(x).dtype)


def log10(x: Any) -> Any:
    return convert(lax.mul(lax.log(x), const(x, 1 / math.log(10))), get_aval(x).dtype)


def square(x: Any) -> Any:
    return lax.square(x if _kind(x) else convert(x, dtypes.canonicalize_dtype(int)))


def reciprocal(x: Any) -> Any:
    return lax.div(const(x, 1), x)


def deg2rad(x: Any) -> Any:
    return lax.mul(x, const(x, _PI / 180))


def rad2deg(x: Any) -> Any:
    return lax.mul(x, const(x, 180 / _PI))


def sinc(x: Any) -> Any:
    # Near 0 a series, whose derivatives of every order are right there; the quotient has none.
    angle = lax.mul(x, const(x, _PI))
    square = lax.mul(angle, angle)
    small = lax.lt(lax.abs(x), const(lax.abs(x), 0.03))
    series = const(x, 0)
    for coefficient in (1 / 362880, -1 / 5040, 1 / 120, -1 / 6, 1):
        series = lax.add(lax.mul(series, square), const(x, coefficient))
    safe = where(small, const(x, 1), angle)
    return where(small, series, lax.div(lax.sin(safe), safe))


def rint(x: Any) -> Any:
    if _kind(x) == 3:
        return lax.complex(rint(lax.real(x)), rint(lax.imag(x)))
    return lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN)


def sign(x: Any) -> Any:
    return lax.sign(x)


def absolute(x: Any) -> Any:
    return x if _kind(x) == 0 or _is_unsigned(x) else lax.abs(x)


def conjugate(x: Any) -> Any:
    return lax.conj(x) if _kind(x) == 3 else x


def ceil(x: Any) -> Any:
    return lax.ceil(x) if is_inexact(get_aval(x).dtype) else x


def floor(x: Any) -> Any:
    return lax.floor(x) if is_inexact(get_aval(x).dtype) else x


def trunc(x: Any) -> Any:
    if not is_inexact(get_aval(x).dtype):
        return x
    return where(lax.lt(x, const(x, 0)), lax.ceil(x), lax.floor(x))


def fabs(x: Any) -> Any:
    if _kind(x) == 3:
        raise TypeError("fabs does not take complex numbers; canter.numpy.abs does.")
    return lax.abs(x)


def bitwise_count(x: Any) -> Any:
    magnitude = x if _is_unsigned(x) or _kind(x) == 0 else lax.abs(x)
    if _kind(x) == 0:
        magnitude = lax.convert_element_type(x, np.uint8)
    return lax.convert_element_type(lax.population_count(magnitude), np.uint8)


def logical_not(x: Any) -> Any:
    return lax.bitwise_not(x) if _kind(x) == 0 else lax.eq(x, const(x, 0))


def isnan(x: Any) -> Any:
    return lax.ne(x, x) if is_inexact(get_aval(x).dtype) else filled_like(x, False)


def isinf(x: Any) -> Any:
    kind = _kind(x)
    if kind < 2:
        return filled_like(x, False)
    if kind == 3:
        return lax.bitwise_or(isinf(lax.real(x)), isinf(lax.imag(x)))
    return lax.eq(lax.abs(x), const(x, math.inf))


def isfinite(x: Any) -> Any:
    kind = _kind(x)
    if kind < 2:
        return filled_like(x, True)
    if kind == 3:
        return lax.bitwise_and(lax.is_finite(lax.real(x)), lax.is_finite(lax.imag(x)))
    return lax.is_finite(x)


def _is_exactly(name: str, value: float) -> Any:
    def body(x: Any) -> Any:
        kind = _kind(x)
        if kind == 3:
            raise ValueError(f"{name} is not defined for complex numbers: take the real or imaginary part.")
        return lax.eq(x, const(x, value)) if kind == 2 else filled_like(x, False)

    return body


isposinf = _is_exactly("isposinf", math.inf)
isneginf = _is_exactly("isneginf", -math.inf)


def signbit(x: Any) -> Any:
    aval = get_aval(x)
    kind = dtype_rank(aval.dtype)
    if kind == 3:
        raise ValueError("signbit is not defined for complex numbers: take the real or imaginary part.")
    if kind == 0 or _is_unsigned(x):
        return filled_like(x, False)
    if kind == 1:
        return lax.lt(x, const(x, 0))
    bits = np.dtype(f"int{8 * aval.dtype.itemsize}")
    return lax.lt(lax.bitcast_convert_type(x, bits), bits.type(0))


def spacing(x: Any) -> Any:
    if _kind(x) == 3:
        raise ValueError("spacing is not defined for complex numbers: take the real or imaginary part.")
    # The distance is a power of two: nextafter's bits differ by one, the exponent's stay.
    dtype = get_aval(x).dtype
    size = lax.abs(x)
    bits = np.dtype(f"uint{8 * dtype.itemsize}")
    limits = dtypes.finfo(dtype)
    # Below the least normal number the distance is the least number, above it eps times the power of two.
    power = lax.bitwise_and(lax.bitcast_convert_type(size, bits), _exponent_mask(dtype))
    scaled = lax.mul(lax.bitcast_convert_type(power, dtype), const(x, float(limits.eps)))
    small = lax.bitwise_or(
        lax.lt(size, const(x, float(limits.tiny) / float(limits.eps))), lax.eq(scaled, const(x, 0))
    )
    distance = where(small, _small_spacing(size, dtype, bits), scaled)
    distance = where(lax.is_finite(x), distance, const(x, math.nan))
    return copysign(distance, x)


def _exponent_mask(dtype: Any) -> Any:
    bits = np.dtype(f"uint{8 * dtype.itemsize}")
    return np.array(math.inf, dtype).view(bits)[()]


def _small_spacing(size: Any, dtype: Any, bits: Any) -> Any:
    """The spacing where it is itself a denormal number: made of bits, since arithmetic may flush it to zero."""
    limits = dtypes.finfo(dtype)
    exponent = lax.shift_right_logical(lax.bitcast_convert_type(size, bits), bits.type(limits.nmant))
    shift = lax.sub(lax.max(exponent, bits.type(1)), bits.type(1))
    shift = lax.min(shift, bits.type(limits.nmant))
    return lax.bitcast_convert_type(lax.shift_left(lax.full_like(shift, 1), shift), dtype)


# --- two operands -------------------------------------------------------------------------------


def add(x: Any, y: Any) -> Any:
    return lax.bitwise_or(x, y) if _kind(x) == 0 else lax.add(x, y)


def multiply(x: Any, y: Any) -> Any:
    return lax.bitwise_and(x, y) if _kind(x) == 0 else lax.mul(x, y)


def _ordered(compare: Any, strict: Any) -> Any:
    """A comparison that orders complex numbers by real part, then by imaginary part."""

    def body(x: Any, y: Any) -> Any:
        if _kind(x) != 3:
            return compare(x, y)
        real_x, real_y = lax.real(x), lax.real(y)
        by_imag = lax.bitwise_and(lax.eq(real_x, real_y), compare(lax.imag(x), lax.imag(y)))
        return lax.bitwise_or(strict(real_x, real_y), by_imag)

    return body


less = _ordered(lax.lt, lax.lt)
less_equal = _ordered(lax.le, lax.lt)
greater = _ordered(lax.gt, lax.gt)
greater_equal = _ordered(lax.ge, lax.gt)


def arctan2(x: Any, y: Any) -> Any:
    return lax.atan2(x, y)


def logical_and(x: Any, y: Any) -> Any:
    return lax.bitwise_and(to_bool(x), to_bool(y))


def logical_or(x: Any, y: Any) -> Any:
    return lax.bitwise_or(to_bool(x), to_bool(y))


def logical_xor(x: Any, y: Any) -> Any:
    return lax.bitwise_xor(to_bool(x), to_bool(y))


def _whole(x: Any, y: Any) -> tuple[Any, Any]:
    """Booleans as integers."""
    if _kind(x) == 0:
        x, y = (convert(operand, dtypes.canonicalize_dtype(int)) for operand in (x, y))
    return x, y


def left_shift(x: Any, y: Any) -> Any:
    return lax.shift_left(*_whole(x, y))


def right_shift(x: Any, y: Any) -> Any:
    x, y = _whole(x, y)
    shift = lax.shift_right_logical if _is_unsigned(x) else lax.shift_right_arithmetic
    return shift(x, y)


def _refuse_complex(name: str, x: Any) -> None:
    if _kind(x) == 3:
        raise TypeError(f"{name} does not support complex numbers; they have no order.")


def floor_divide(x: Any, y: Any) -> Any:
    _refuse_complex("floor_divide", x)
    if _kind(x) == 0:
        x, y = (lax.convert_element_type(operand, int) for operand in (x, y))
    if _kind(x) < 2:
        quotient = lax.div(x, y)
        if _is_unsigned(x):
            return quotient
        opposite = lax.ne(lax.sign(x), lax.sign(y))
        below = lax.bitwise_and(opposite, lax.ne(lax.rem(x, y), const(x, 0)))
        return lax.select(below, lax.sub(quotient, const(x, 1)), quotient)
    rest = lax.rem(x, y)
    quotient = lax.div(lax.sub(x, rest), y)
    below = lax.bitwise_and(lax.ne(rest, const(x, 0)), lax.ne(lax.sign(y), lax.sign(rest)))
    quotient = lax.select(below, lax.sub(quotient, const(x, 1)), quotient)
    whole = lax.round(quotient, lax.RoundingMethod.AWAY_FROM_ZERO)
    exact = lax.div(x, y)  # for infinite quotients, and for the sign of those that are zero
    return copysign(where(lax.ne(rest, rest), lax.floor(exact), whole), exact)


def remainder(x: Any, y: Any) -> Any:
    _refuse_complex("remainder", x)
    x, y = _whole(x, y)
    zero = const(x, 0)
    if _kind(x) < 2:
        y = where(lax.eq(y, const(y, 0)), const(y, 1), y)  # x % 0 is 0 for integers
    rest = lax.rem(x, y)
    if _is_unsigned(x):
        return rest
    opposite = lax.ne(lax.lt(rest, zero), lax.lt(y, zero))
    below = lax.bitwise_and(opposite, lax.ne(rest, zero))
    return lax.select(below, lax.add(rest, y), rest)


def fmod(x: Any, y: Any) -> Any:
    _refuse_complex("fmod", x)
    x, y = _whole(x, y)
    if _kind(x) < 2:
        y = where(lax.eq(y, const(y, 0)), const(y, 1), y)
    return lax.rem(x, y)


def _log_sum(x: Any, y: Any, exp: Any, unit: float) -> Any:
    """unit * log(exp(x) + exp(y)), exp being of the base whose logarithms are unit times natural ones.

    Written with selections by order rather than max and abs, so that derivatives of every order are
    right also where x equals y; equal infinities would give nan as their difference.
    """
    complex_ = _kind(x) == 3
    order = lax.ge(lax.real(x), lax.real(y)) if complex_ else lax.ge(x, y)
    high, low = where(order, x, y), where(order, y, x)
    delta = lax.sub(low, high)
    if not complex_:
        delta = where(lax.bitwise_or(lax.ne(high, low), lax.is_finite(high)), delta, const(x, 0))
    rest = lax.log1p(exp(delta))
    return lax.add(high, rest if unit == 1 else lax.mul(rest, const(rest, unit)))


def logaddexp(x: Any, y: Any) -> Any:
    return _log_sum(x, y, lax.exp, 1)


def logaddexp2(x: Any, y: Any) -> Any:
    return _log_sum(x, y, lax.exp2, 1 / math.log(2))


def hypot(x: Any, y: Any) -> Any:
    _refuse_complex("hypot", x)
    x, y = lax.abs(x), lax.abs(y)
    high, low = lax.max(x, y), lax.min(x, y)
    some = lax.ne(high, const(x, 0))
    ratio = lax.div(where(some, low, const(x, 0)), where(some, high, const(x, 1)))
    length = lax.mul(high, lax.sqrt(lax.add(const(x, 1), lax.mul(ratio, ratio))))
    infinite = lax.bitwise_or(lax.eq(x, const(x, math.inf)), lax.eq(y, const(y, math.inf)))
    return where(infinite, const(x, math.inf), length)


def copysign(x: Any, y: Any) -> Any:
    return where(lax.ne(signbit(x), signbit(y)), lax.neg(x), x)


def heaviside(x: Any, y: Any) -> Any:
    zero, one = const(x, 0), const(x, 1)
    step = where(lax.lt(x, zero), zero, where(lax.gt(x, zero), one, x))
    return where(lax.eq(x, zero), y, step)


def fmax(x: Any, y: Any) -> Any:
    return where(lax.bitwise_or(greater(x, y), isnan(y)), x, y)


def fmin(x: Any, y: Any) -> Any:
    return where(lax.bitwise_or(less(x, y), isnan(y)), x, y)


def gcd(x: Any, y: Any) -> Any:
    _require_integers("gcd", x)
    x, y = broadcast_arrays_to_common("gcd", absolute(x), absolute(y))

    def unfinished(state: Any) -> Any:
        rest = lax.ne(state[1], const(state[1], 0))
        return lax.reduce_or(rest, tuple(range(get_aval(rest).ndim)))

    def step(state: Any) -> Any:
        a, b = state
        some = lax.ne(b, const(b, 0))
        rest = lax.rem(a, lax.select(some, b, lax.full_like(b, 1)))
        return lax.select(some, b, a), lax.select(some, rest, lax.full_like(b, 0))

    return lax.while_loop(unfinished, step, (x, y))[0]


def lcm(x: Any, y: Any) -> Any:
    _require_integers("lcm", x)
    x, y = broadcast_arrays_to_common("lcm", absolute(x), absolute(y))
    divisor = gcd(x, y)
    zero = lax.eq(divisor, const(divisor, 0))
    safe = lax.select(zero, lax.full_like(divisor, 1), divisor)
    return lax.mul(lax.div(x, safe), y)


def _require_integers(name: str, x: Any) -> None:
    if _kind(x) != 1:
        raise ValueError(f"Arguments to canter.numpy.{name} must be integers, got {get_aval(x).dtype}.")


def integer_power(x: Any, y: Any) -> Any:
    """x**y for integer arrays by repeated squaring; negative exponents give 1/x truncated."""
    x, y = broadcast_arrays_to_common("power", x, y)
    one = lax.full_like(x, 1)

    def unfinished(state: Any) -> Any:
        left = lax.gt(state[2], const(state[2], 0))
        return lax.reduce_or(left, tuple(range(get_aval(left).ndim)))

    def step(state: Any) -> Any:
        product, base, left = state
        odd = lax.ne(lax.bitwise_and(left, const(left, 1)), const(left, 0))
        product = lax.select(odd, lax.mul(product, base), product)
        return product, lax.mul(base, base), lax.shift_right_logical(left, const(left, 1))

    if _is_unsigned(y):
        return lax.while_loop(unfinished, step, (one, x, y))[0]
    power = lax.while_loop(unfinished, step, (one, x, lax.abs(y)))[0]
    unit = lax.bitwise_or(lax.eq(x, const(x, 1)), lax.eq(x, lax.neg(one)))
    lost = lax.bitwise_and(lax.lt(y, const(y, 0)), lax.bitwise_not(unit))
    return lax.select(lost, lax.full_like(x, 0), power)


def scale_by_power_of_two(x: Any, exponent: Any) -> Any:
    """x * 2**exponent for int32 exponents, exactly: the powers are made of bits, in parts that do not overflow."""
    dtype = get_aval(x).dtype
    limits = dtypes.finfo(dtype)
    integer = np.dtype(f"int{8 * dtype.itemsize}")
    greatest = int(limits.maxexp) - 1
    for _ in range(3):  # from the greatest number to the least takes two, and a denormal one one more
        part = lax.clamp(np.int32(-greatest + 1), exponent, np.int32(greatest))
        exponent = lax.sub(exponent, part)
        biased = lax.convert_element_type(lax.add(part, np.int32(greatest)), integer)
        power = lax.bitcast_convert_type(
            lax.shift_left(biased, lax.full_like(biased, int(limits.nmant))), dtype
        )
        x = lax.mul(x, power)
    return x


def frexp(x: Any) -> Any:
    _refuse_complex("frexp", x)
    dtype = get_aval(x).dtype
    limits = dtypes.finfo(dtype)
    mantissa_bits, bias = int(limits.nmant), int(limits.maxexp) - 1
    integer = np.dtype(f"int{8 * dtype.itemsize}")
    exponent_mask = integer.type(2 * bias + 1)
    tiny = lax.lt(lax.abs(x), const(x, float(limits.smallest_normal)))
    scaled = where(tiny, lax.mul(x, const(x, 2.0 ** (mantissa_bits + 1))), x)
    bits = lax.bitcast_convert_type(scaled, integer)
    width = integer.type(mantissa_bits)
    exponent = lax.bitwise_and(lax.shift_right_logical(bits, width), exponent_mask)
    exponent = lax.sub(lax.convert_element_type(exponent, np.int32), np.int32(bias - 1))
    fraction = scale_by_power_of_two(scaled, lax.neg(exponent))
    exponent = lax.sub(exponent, where(tiny, np.int32(mantissa_bits + 1), np.int32(0)))
    plain = lax.bitwise_or(lax.eq(x, const(x, 0)), lax.bitwise_not(isfinite(x)))
    return where(plain, x, fraction), where(plain, np.int32(0), exponent)
