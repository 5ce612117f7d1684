"""Every elementwise rule against NumPy and SciPy."""

import ml_dtypes
import numpy as np
import pytest
import scipy.special

from tests.mlir.harness import nary, unary

RNG = np.random.default_rng(0)
FLOATS = np.array([-2.5, -1.5, -0.5, -0.0, 0.0, 0.5, 1.5, 2.5, 1e3], np.float32)
POSITIVE = np.array([0.1, 0.5, 1.0, 2.0, 7.5, 100.0], np.float32)
UNIT = np.linspace(-0.95, 0.95, 9).astype(np.float32)
INTS = np.array([-7, -1, 0, 1, 2, 123456], np.int32)
COMPLEX = (RNG.normal(size=6) + 1j * RNG.normal(size=6)).astype(np.complex64)

UNARY = {
    "neg": (np.negative, FLOATS),
    "sign": (np.sign, FLOATS),
    "floor": (np.floor, FLOATS),
    "ceil": (np.ceil, FLOATS),
    "abs": (np.abs, FLOATS),
    "exp": (np.exp, UNIT),
    "exp2": (np.exp2, UNIT),
    "expm1": (np.expm1, UNIT),
    "log": (np.log, POSITIVE),
    "log1p": (np.log1p, POSITIVE),
    "logistic": (scipy.special.expit, FLOATS),
    "sqrt": (np.sqrt, POSITIVE),
    "rsqrt": (lambda x: 1 / np.sqrt(x), POSITIVE),
    "cbrt": (np.cbrt, FLOATS),
    "square": (np.square, FLOATS),
    "sin": (np.sin, UNIT),
    "cos": (np.cos, UNIT),
    "tan": (np.tan, UNIT),
    "asin": (np.arcsin, UNIT),
    "acos": (np.arccos, UNIT),
    "atan": (np.arctan, UNIT),
    "sinh": (np.sinh, UNIT),
    "cosh": (np.cosh, UNIT),
    "tanh": (np.tanh, UNIT),
    "asinh": (np.arcsinh, UNIT),
    "acosh": (np.arccosh, POSITIVE + 1),
    "atanh": (np.arctanh, UNIT),
    "erf": (scipy.special.erf, UNIT),
    "erfc": (scipy.special.erfc, UNIT),
    "erf_inv": (scipy.special.erfinv, UNIT),
    "lgamma": (scipy.special.gammaln, POSITIVE),
    "digamma": (scipy.special.digamma, POSITIVE),
    "bessel_i1e": (scipy.special.i1e, UNIT),
}


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    reference, x = UNARY[name]
    np.testing.assert_allclose(unary(name, x), reference(x), rtol=3e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["neg", "exp", "log", "sin", "tan", "tanh", "sqrt", "square", "asin"])
def test_unary_of_complex(name):
    reference = UNARY[name][0]
    np.testing.assert_allclose(unary(name, COMPLEX), reference(COMPLEX.astype(np.complex128)), rtol=1e-4)


def test_logistic_of_complex():
    x = COMPLEX.astype(np.complex128)
    np.testing.assert_allclose(unary("logistic", COMPLEX), 1 / (1 + np.exp(-x)), rtol=1e-4)


def test_parts_of_complex():
    np.testing.assert_array_equal(unary("real", COMPLEX, np.float32), COMPLEX.real)
    np.testing.assert_array_equal(unary("imag", COMPLEX, np.float32), COMPLEX.imag)
    np.testing.assert_allclose(unary("abs", COMPLEX, np.float32), np.abs(COMPLEX), rtol=1e-6)
    np.testing.assert_array_equal(unary("conj", COMPLEX), COMPLEX.conj())
    np.testing.assert_array_equal(unary("conj", FLOATS, np.complex64), FLOATS.astype(np.complex64))
    np.testing.assert_array_equal(nary("complex", UNIT, UNIT, dtype=np.complex64), UNIT + 1j * UNIT)


def test_sign_of_unsigned_is_zero_or_one():
    np.testing.assert_array_equal(unary("sign", np.array([0, 1, 200], np.uint8)), [0, 1, 1])


@pytest.mark.parametrize("method, expected", [(0, [-3, -2, 2, 3]), (1, [-2, -2, 2, 2])])
def test_round(method, expected):
    x = np.array([-2.5, -1.5, 1.5, 2.5], np.float32)
    np.testing.assert_array_equal(unary("round", x, rounding_method=method), expected)


@pytest.mark.parametrize("y", [-3, -1, 0, 1, 2, 3, 7, 10])
def test_integer_pow(y):
    np.testing.assert_allclose(unary("integer_pow", POSITIVE, y=y), POSITIVE.astype(float) ** y, rtol=1e-5)


BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "rem": np.fmod,
    "max": np.maximum,
    "min": np.minimum,
    "atan2": np.arctan2,
    "nextafter": np.nextafter,
}


@pytest.mark.parametrize("name", BINARY)
def test_binary(name):
    x, y = FLOATS, FLOATS[::-1] + np.float32(0.25)
    np.testing.assert_allclose(nary(name, x, y), BINARY[name](x, y), rtol=1e-6)


@pytest.mark.parametrize("name", ["add", "max", "div"])
def test_operands_without_dimensions_are_broadcast(name):
    three, reference = np.float32(3), BINARY[name]
    np.testing.assert_allclose(nary(name, POSITIVE, three), reference(POSITIVE, three), rtol=1e-6)
    np.testing.assert_allclose(nary(name, three, POSITIVE), reference(three, POSITIVE), rtol=1e-6)


def test_max_propagates_nan():
    x = np.array([np.nan, 1.0], np.float32)
    np.testing.assert_array_equal(nary("max", x, np.zeros(2, np.float32)), [np.nan, 1.0])


def test_extrema_of_complex_numbers_are_lexicographic():
    x = np.array([1 + 2j, 1 + 1j, 3 - 1j], np.complex64)
    y = np.array([1 + 1j, 2 + 0j, 3 - 2j], np.complex64)
    np.testing.assert_array_equal(nary("max", x, y), np.maximum(x, y))
    np.testing.assert_array_equal(nary("min", x, y), np.minimum(x, y))


def test_pow():
    np.testing.assert_allclose(nary("pow", POSITIVE, POSITIVE / 8), POSITIVE ** (POSITIVE / 8), rtol=1e-5)
    np.testing.assert_allclose(nary("pow", POSITIVE, np.int32(3), dtype=np.float32), POSITIVE**3, rtol=1e-5)


COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


@pytest.mark.parametrize("name", COMPARISONS)
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8, np.bool_])
def test_comparisons(name, dtype):
    x, y = np.array([0, 1, 1, 0], dtype), np.array([0, 1, 0, 1], dtype)
    expected = eval(f"x {COMPARISONS[name]} y", {"x": x, "y": y})
    np.testing.assert_array_equal(nary(name, x, y, dtype=bool), expected)


def test_comparisons_of_complex_numbers_are_lexicographic():
    x, y = COMPLEX, np.roll(COMPLEX, 1)
    y[0] = x[0].real + 10j
    np.testing.assert_array_equal(nary("lt", x, y, dtype=bool), x < y)
    np.testing.assert_array_equal(nary("ge", x, y, dtype=bool), x >= y)


def test_total_order_tells_zeros_apart_and_equals_nans():
    x, y = np.array([-0.0, np.nan, 1.0], np.float32), np.array([0.0, np.nan, np.nan], np.float32)
    np.testing.assert_array_equal(nary("lt_to", x, y, dtype=bool), [True, False, True])
    np.testing.assert_array_equal(nary("eq_to", x, y, dtype=bool), [False, True, False])
    np.testing.assert_array_equal(nary("le_to", x, y, dtype=bool), [True, True, True])


def test_bits():
    x, y = INTS, INTS[::-1].copy()
    np.testing.assert_array_equal(nary("and", x, y), x & y)
    np.testing.assert_array_equal(nary("or", x, y), x | y)
    np.testing.assert_array_equal(nary("xor", x, y), x ^ y)
    np.testing.assert_array_equal(unary("not", x), ~x)
    np.testing.assert_array_equal(nary("shift_left", x, np.int32(3)), x << 3)
    np.testing.assert_array_equal(nary("shift_right_arithmetic", x, np.int32(2)), x >> 2)
    logical = (x.view(np.uint32) >> 2).view(np.int32)
    np.testing.assert_array_equal(nary("shift_right_logical", x, np.int32(2)), logical)
    np.testing.assert_array_equal(
        unary("population_count", x), [bin(int(v) & 0xFFFFFFFF).count("1") for v in x]
    )
    np.testing.assert_array_equal(unary("clz", np.array([0, 1, 255], np.uint8)), [8, 7, 0])
    wide = x.astype(np.int64) * y.astype(np.int64)
    np.testing.assert_array_equal(nary("mulhi", x, y), (wide >> 32).astype(np.int32))


def test_select_of_two_by_a_boolean():
    which = np.array([True, False, True])
    x, y = np.arange(3.0, dtype=np.float32), -np.ones(3, np.float32)
    np.testing.assert_array_equal(nary("select_n", which, x, y), np.where(which, y, x))
    np.testing.assert_array_equal(nary("select_n", np.bool_(True), x, y), y)


def test_select_of_many_by_an_integer():
    which = np.array([0, 1, 2, 3, 4], np.int32)
    cases = [np.full(5, float(n), np.float32) for n in range(5)]
    np.testing.assert_array_equal(nary("select_n", which, *cases), [0, 1, 2, 3, 4])


def test_clamp_with_scalar_limits():
    np.testing.assert_array_equal(
        nary("clamp", np.float32(-1), FLOATS, np.float32(1), dtype=np.float32), np.clip(FLOATS, -1, 1)
    )


CONVERSIONS = [
    (np.float32, np.int32),
    (np.int32, np.float32),
    (np.float32, np.bool_),
    (np.int32, np.bool_),
    (np.bool_, np.float32),
    (np.float32, ml_dtypes.bfloat16),
    (np.float32, np.complex64),
    (np.int32, np.uint8),
    (np.float32, ml_dtypes.float8_e4m3fn),
    (np.int32, np.float64),
]


@pytest.mark.parametrize("old, new", CONVERSIONS)
def test_convert_element_type(old, new):
    x = np.array([0, 1, 2, 3]).astype(old)
    got = unary("convert_element_type", x, new, new_dtype=np.dtype(new), weak_type=False)
    np.testing.assert_array_equal(got.astype(np.complex64), x.astype(new).astype(np.complex64))


def test_complex_is_true_where_either_part_is_not_zero():
    x = np.array([0, 1j, 1, 1 + 1j], np.complex64)
    got = unary("convert_element_type", x, bool, new_dtype=np.dtype(bool), weak_type=False)
    np.testing.assert_array_equal(got, [False, True, True, True])
    got = unary("convert_element_type", x, np.float64, new_dtype=np.dtype(np.float64), weak_type=False)
    np.testing.assert_array_equal(got, x.real)


def test_bitcast_and_precision():
    got = unary("bitcast_convert_type", FLOATS, np.uint32, new_dtype=np.dtype(np.uint32))
    np.testing.assert_array_equal(got, FLOATS.view(np.uint32))
    got = unary("reduce_precision", FLOATS, exponent_bits=8, mantissa_bits=7)
    np.testing.assert_array_equal(got, FLOATS.astype(ml_dtypes.bfloat16).astype(np.float32))


def test_two_argument_special_functions():
    n, x = np.array([1, 2, 3], np.float32), np.array([0.5, 1.5, 2.5], np.float32)
    np.testing.assert_allclose(nary("polygamma", n, x), scipy.special.polygamma(n.astype(int), x), rtol=1e-4)
    np.testing.assert_allclose(nary("zeta", n + 1, x), scipy.special.zeta(n + 1, x), rtol=1e-4)


@pytest.mark.parametrize("name", ["copy", "stop_gradient", "name"])
def test_identities(name):
    np.testing.assert_array_equal(unary(name, FLOATS), FLOATS)
