"""Elementwise functions against NumPy: values, dtypes, broadcasting, special numbers, derivatives."""

from __future__ import annotations

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from tests.numpy.oracle import check, check_all_ways, numbers

FLOATS = ("exp expm1 exp2 log log1p log2 log10 sqrt cbrt sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh "
          "arccosh arctanh reciprocal deg2rad rad2deg sinc rint square negative sign ceil floor trunc fabs absolute "
          "isnan isinf isfinite isposinf isneginf signbit logical_not conjugate positive").split()  # fmt: skip
INTEGERS = "square negative sign absolute invert logical_not isnan isfinite bitwise_count".split()
COMPLEX = (
    "exp log sqrt sin cos tan sinh cosh tanh arctan square negative absolute conjugate isnan isfinite".split()
)
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1.5, np.inf, -np.inf, np.nan, 1e-30, 80.0], np.float32)


@pytest.mark.parametrize("name", FLOATS)
def test_unary_on_floats(name):
    with np.errstate(all="ignore"):
        check_all_ways(getattr(cnp, name), getattr(np, name), SPECIAL)
        check(getattr(cnp, name)(numbers((2, 3), "float32")), getattr(np, name)(numbers((2, 3), "float32")))
    assert getattr(cnp, name)(np.zeros((0, 2), np.float32)).shape == (0, 2)


@pytest.mark.parametrize("name", FLOATS)
def test_unary_on_half_precision_and_integers(name):
    if name in ("signbit", "isposinf", "isneginf"):
        return
    x = numbers((5,), "float16")
    with np.errstate(all="ignore"):
        wanted = getattr(np, name)(x.astype(np.float32))
        found = getattr(cnp, name)(x)
        assert found.dtype in (x.dtype, np.dtype(bool))
        np.testing.assert_allclose(np.asarray(found, np.float32), wanted, rtol=2e-2, atol=2e-2)
        whole = numbers((5,), "int8", low=0, high=2)
        if name not in ("fabs", "invert"):
            found = getattr(cnp, name)(whole)
            wanted = getattr(np, name)(whole.astype(np.float32))
            np.testing.assert_allclose(np.asarray(found, np.float64), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("dtype", ["int32", "uint8", "int16"])
def test_unary_on_integers(name, dtype):
    x = numbers((7,), dtype)
    check_all_ways(getattr(cnp, name), getattr(np, name), x)
    if name not in ("isnan", "isfinite", "logical_not", "bitwise_count"):
        assert getattr(cnp, name)(x).dtype == dtype


@pytest.mark.parametrize("name", COMPLEX)
def test_unary_on_complex(name):
    check_all_ways(
        getattr(cnp, name), getattr(np, name), numbers((6,), "complex64", low=-2, high=2), rtol=1e-4
    )


ARITHMETIC = ("add subtract multiply divide maximum minimum power floor_divide remainder fmod logaddexp logaddexp2 "
              "hypot arctan2 copysign heaviside fmax fmin nextafter float_power equal not_equal less less_equal "
              "greater greater_equal logical_and logical_or logical_xor").split()  # fmt: skip
PAIRS = [(x, y) for x in SPECIAL[:11] for y in SPECIAL[:11]]


@pytest.mark.parametrize("name", ARITHMETIC)
def test_binary_on_floats(name):
    x, y = (np.array(side, np.float32) for side in zip(*PAIRS, strict=True))
    with np.errstate(all="ignore"):
        if name == "floor_divide":  # NumPy has nan where JAX's definition gives an infinity
            keep = np.isfinite(x) & np.isfinite(y) & (y != 0)
            x, y = x[keep], y[keep]
        if name == "float_power":  # in double precision there
            keep = np.abs(np.float_power(x, y)) < 1e30
            x, y = x[keep], y[keep]
        check_all_ways(getattr(cnp, name), getattr(np, name), x, y, rtol=1e-5)


@pytest.mark.parametrize(
    "name", ["add", "subtract", "multiply", "divide", "maximum", "arctan2", "equal", "power"]
)
@pytest.mark.parametrize(
    "shapes", [((), (3,)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((1,), (0,)), ((4, 1, 2), (3, 1))]
)
def test_binary_broadcasts(name, shapes):
    x, y = (np.abs(numbers(s, "float32", seed=i)) + 0.5 for i, s in enumerate(shapes))
    check_all_ways(getattr(cnp, name), getattr(np, name), x, y)


INTEGER_PAIRS = ("add subtract multiply floor_divide remainder fmod maximum minimum bitwise_and bitwise_or "
                 "bitwise_xor left_shift right_shift gcd lcm power").split()  # fmt: skip


@pytest.mark.parametrize("name", INTEGER_PAIRS)
@pytest.mark.parametrize("dtype", ["int32", "uint8"])
def test_binary_on_integers(name, dtype):
    x = numbers((40,), dtype, seed=1, low=-9, high=9)
    y = numbers((40,), dtype, seed=2, low=-3, high=4)
    if name in ("floor_divide", "remainder", "fmod"):
        y = np.where(y == 0, 1, y).astype(dtype)
    if name in ("power", "left_shift", "right_shift"):
        y = np.abs(y)
    check_all_ways(getattr(cnp, name), getattr(np, name), x, y)
    assert getattr(cnp, name)(x, y).dtype == dtype


def test_integer_division_by_zero():
    assert cnp.remainder(7, 0) == 0 and cnp.fmod(7, 0) == 0


def test_integer_powers():
    x = np.array([-2, -1, 0, 1, 3], np.int32)
    np.testing.assert_array_equal(cnp.power(x, np.array([65, 65, 65, 65, 3], np.int32)), [0, -1, 0, 1, 27])
    np.testing.assert_array_equal(
        x.astype(np.float32)[:, None] ** 2, cnp.asarray(x)[:, None].astype(float) ** 2
    )
    check(cnp.asarray(x) ** 3, x**3)
    with pytest.raises(TypeError, match="negative powers"):
        cnp.asarray(x) ** -1
    check(cnp.array([2.0, 4.0]) ** -2, np.array([2.0, 4.0], np.float32) ** -2)
    check(2 ** cnp.arange(4), 2 ** np.arange(4))
    check(cnp.array([2.0]) ** cnp.array([3]), np.array([8.0], np.float32))


@pytest.mark.parametrize("name", ["divmod", "modf", "frexp"])
def test_pairs_of_results(name):
    x = np.array([1.5, -2.25, 8.0, 1e-30, 0.0, 1e30, -7.0], np.float32)
    args = (x, np.float32(2.0)) if name == "divmod" else (x,)
    check_all_ways(getattr(cnp, name), getattr(np, name), *args)


def test_ldexp_reaches_both_ends():
    x, n = np.array([1.0, 3.0, 1e-30], np.float32), np.array([-100, 100, 120], np.int32)
    check_all_ways(cnp.ldexp, np.ldexp, x, n)


# --- promotion ----------------------------------------------------------------------------------

# operands, dtype and weak type of their sum, as JAX documents its lattice
PROMOTION = [
    ("int8", "uint8", "int16", False),
    ("int32", "float16", "float16", False),
    ("bfloat16", "float16", "float32", False),
    ("bool", "int8", "int8", False),
    ("uint32", "int32", "int32", False),  # 64 bits are off
    ("float32", "complex64", "complex64", False),
    ("int8", 1, "int8", False),
    ("int8", 1.0, "float32", True),
    ("bfloat16", 2.0, "bfloat16", False),
    ("bool", 1, "int32", True),
    ("float16", 1j, "complex64", False),
    ("uint8", -1, "uint8", False),
    ("int8", 300, "int8", False),
]


@pytest.mark.parametrize(("left", "right", "dtype", "weak"), PROMOTION)
def test_promotion(left, right, dtype, weak):
    x = cnp.ones(2, left)
    y = right if not isinstance(right, str) else cnp.ones(2, right)
    for out in (x + y, y + x, ct.jit(lambda a: a + y)(x), cnp.add(x, y)):
        assert (out.dtype.name, out.weak_type) == (dtype, weak)


def test_python_numbers_wrap_as_conversions_do():
    assert (cnp.uint8(1) + -1) == 0 and (cnp.int8(1) + 300) == 45
    assert cnp.isinf(ct.jit(lambda x: x + 1e300)(cnp.ones(1)))[0]
    with pytest.raises(OverflowError):
        cnp.arange(3) + 2**40


def test_rank_promotion_is_configurable():
    with ct.numpy_rank_promotion("raise"), pytest.raises(ValueError, match="numpy_rank_promotion"):
        cnp.add(np.ones((2, 3), np.float32), np.ones(3, np.float32))
    with ct.numpy_rank_promotion("warn"), pytest.warns(UserWarning, match="numpy_rank_promotion"):
        ct.make_jaxpr(cnp.add)(np.ones((2, 5), np.float32), np.ones(5, np.float32))


def test_strict_promotion_refuses_mixed_dtypes():
    with ct.numpy_dtype_promotion("strict"):
        with pytest.raises(Exception, match="promotion"):
            cnp.add(cnp.ones(2, "int32"), cnp.ones(2, "float32"))
        assert cnp.add(cnp.ones(2, "float32"), 1.0).dtype == "float32"


# --- derivatives --------------------------------------------------------------------------------

SMOOTH = ("exp expm1 log1p sqrt cbrt sin cos tan arctan sinh cosh tanh arcsinh sinc reciprocal log2 log10 exp2 "
          "square deg2rad").split()  # fmt: skip


@pytest.mark.parametrize("name", SMOOTH)
def test_first_and_second_derivatives(name):
    with ct.enable_x64(True):
        f, x, h = getattr(cnp, name), 0.3, 1e-4
        value = getattr(np, name)
        first = (value(x + h) - value(x - h)) / (2 * h)
        second = (value(x + h) - 2 * value(x) + value(x - h)) / h**2
        np.testing.assert_allclose(ct.grad(f)(x), first, rtol=1e-6)
        np.testing.assert_allclose(ct.grad(ct.grad(f))(x), second, rtol=1e-4, atol=1e-5)


def test_derivatives_at_difficult_points():
    np.testing.assert_allclose(ct.hessian(cnp.logaddexp)(1.0, 1.0), 0.25)
    np.testing.assert_allclose(ct.grad(cnp.logaddexp)(-cnp.inf, 0.0), 0.0)
    np.testing.assert_allclose(ct.grad(cnp.logaddexp)(-cnp.inf, -cnp.inf), 1.0)
    np.testing.assert_allclose(ct.grad(ct.grad(cnp.sinc))(0.0), -(np.pi**2) / 3, rtol=1e-5)
    np.testing.assert_allclose(ct.grad(cnp.maximum)(1.0, 1.0), 0.5)
    np.testing.assert_allclose(ct.grad(lambda x: x**2)(0.0), 0.0)


def test_jaxprs_stay_flat():
    def program(x):
        x = cnp.where(x > 0, cnp.logaddexp(x, 1.0), cnp.floor_divide(x, 2.0))
        return cnp.clip(cnp.remainder(x, 3), 0, 1).sum(axis=-1) + cnp.var(x)

    names = {eqn.primitive.name for eqn in ct.make_jaxpr(program)(np.ones((2, 3), np.float32)).eqns}
    assert not names & {"jit", "pjit", "custom_jvp_call"}
