"""Elementwise operations: values against NumPy and SciPy, derivatives, batching, dtypes, errors."""

import ml_dtypes
import numpy as np
import pytest
import scipy.special

import canter as ct
from canter import lax
from canter.core.config import enable_x64

from .rule_checks import Case, check_batching, check_derivatives, check_values


def bit_count(x):
    return np.vectorize(lambda v: bin(int(v) & 0xFFFFFFFF).count("1"))(x).astype(x.dtype)


def leading_zeros(x):
    return np.vectorize(lambda v: 32 - (int(v) & 0xFFFFFFFF).bit_length())(x).astype(x.dtype)


def np_rem(x, y):
    return np.fmod(x, y)


# Functions of one operand: NumPy's function, by the numbers on which they are smooth.
AROUND_ZERO = {
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "erf_inv": scipy.special.erfinv,
    "neg": np.negative,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "logistic": scipy.special.expit,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "asinh": np.arcsinh,
    "square": np.square,
    "abs": np.abs,
    "erf": scipy.special.erf,
    "erfc": scipy.special.erfc,
    "bessel_i0e": scipy.special.i0e,
    "bessel_i1e": scipy.special.i1e,
}
POSITIVE = {
    "log": np.log,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "cbrt": np.cbrt,
    "reciprocal": lambda x: 1 / x,
    "lgamma": scipy.special.gammaln,
    "digamma": scipy.special.digamma,
}
STEPS = {
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "is_finite": np.isfinite,
    "round": lambda x: np.trunc(x + np.copysign(0.5, x)),
}
COMPLEX = {
    "neg": np.negative,
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "sin": np.sin,
    "cos": np.cos,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "asin": np.arcsin,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "square": np.square,
    "reciprocal": lambda x: 1 / x,
    "conj": np.conj,
    "real": np.real,
    "imag": np.imag,
    "abs": np.abs,
}
BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "rem": np_rem,
    "max": np.maximum,
    "min": np.minimum,
    "atan2": np.arctan2,
    "pow": np.power,
}
COMPLEX_BINARY = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power}
COMPARISONS = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
INTEGERS = {
    "add": np.add,
    "mul": np.multiply,
    "div": lambda x, y: np.trunc(x / y).astype(x.dtype),
    "rem": np_rem,
    "max": np.maximum,
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "shift_left": np.left_shift,
    "shift_right_arithmetic": np.right_shift,
    "shift_right_logical": lambda x, y: (x.astype(np.uint32) >> y.astype(np.uint32)).astype(x.dtype),
    **COMPARISONS,
}


# Operations of a table share their batching rule, so a few of them stand for all.
SHARED_BATCHING = {"sin", "cos", "conj", "abs", "add", "pow", "lt", "shift_left", "is_finite", "lgamma"}


def together(table):
    """One function that applies all of a table, and its oracle: one compilation instead of many."""

    def fun(*args):
        return [getattr(lax, name)(*args) for name in table]

    def oracle(*args):
        return [function(*args) for function in table.values()]

    return fun, oracle


TABLES = {
    "around zero": AROUND_ZERO,
    "positive": POSITIVE,
    "complex": COMPLEX,
    "binary": BINARY,
    "binary scalar first": BINARY,
    "binary scalar second": BINARY,
    "binary complex": COMPLEX_BINARY,
    "steps": STEPS,
    "comparisons": COMPARISONS,
    "integers": INTEGERS,
}


def uniform(low, high, *shapes):
    return lambda rng: tuple(rng.uniform(low, high, size=shape) for shape in shapes)


def complex_numbers(*shapes):
    return lambda rng: tuple(rng.normal(size=shape) + 1j * rng.normal(size=shape) for shape in shapes)


def distinct(*shapes):
    """Positive numbers, no quotient of which is near an integer."""
    return lambda rng: tuple(
        rng.choice([1.3, 1.9, 3.1, 0.7], size=shape) + 0.1 * i for i, shape in enumerate(shapes)
    )


SMOOTH = [
    Case("around zero", together(AROUND_ZERO)[0], uniform(-0.9, 0.9, (2, 3)), together(AROUND_ZERO)[1]),
    Case("positive", together(POSITIVE)[0], uniform(0.3, 3, (3,)), together(POSITIVE)[1]),
    Case("acosh", lax.acosh, uniform(1.2, 4, (3,)), np.arccosh),
    Case("complex", together(COMPLEX)[0], complex_numbers((3,)), together(COMPLEX)[1]),
    Case("binary", together(BINARY)[0], distinct((2, 2), (2, 2)), together(BINARY)[1]),
    Case("binary scalar first", together(BINARY)[0], distinct((), (2, 2)), together(BINARY)[1]),
    Case("binary scalar second", together(BINARY)[0], distinct((2, 2), ()), together(BINARY)[1]),
    Case(
        "binary sizes of 1", together(BINARY)[0], distinct((2, 1), (1, 3)), together(BINARY)[1], batched=False
    ),
    Case(
        "binary complex",
        together(COMPLEX_BINARY)[0],
        complex_numbers((3,), (3,)),
        together(COMPLEX_BINARY)[1],
    ),
    Case("complex from parts", lax.complex, distinct((2,), ()), lambda x, y: x + 1j * y),
    Case("conj of real", lax.conj, uniform(-1, 1, (3,)), lambda x: x.astype(np.complex128)),
    Case(
        "integer_pow",
        lambda x: [lax.integer_pow(x, n) for n in (-3, -1, 0, 1, 2, 3, 5)],
        uniform(0.5, 2, (3,)),
        lambda x: [x**n for n in (-3, -1, 0, 1, 2, 3, 5)],
    ),
    Case(
        "pow by numbers",
        lambda x: [lax.pow(x, y) for y in (2, 3.0, 0.5, -1.5, 0.0)],
        uniform(0.5, 2, (3,)),
        lambda x: [x**y for y in (2, 3.0, 0.5, -1.5, 0.0)],
    ),
    Case(
        "pow by integers",
        lambda x, y: lax.pow(x, y),
        lambda rng: (rng.uniform(-2, 2, 4), np.array([0, 1, 2, 3])),
        lambda x, y: x**y,
    ),
    Case(
        "clamp",
        lax.clamp,
        lambda rng: (np.array([0.1, 0.2]), np.array([0.0, 0.5]), np.array([1.0, 0.4])),
        None,
    ),
    Case(
        "clamp scalars",
        lambda x: lax.clamp(-0.5, x, 0.5),
        uniform(-1, 1, (7,)),
        lambda x: np.clip(x, -0.5, 0.5),
    ),
    Case(
        "select_n",
        lambda which, *cases: lax.select_n(which, *cases),
        lambda rng: (np.array([True, False, True]), *rng.normal(size=(2, 3))),
        lambda which, x, y: np.where(which, y, x),
    ),
    Case(
        "select_n scalar",
        lambda which, *cases: lax.select_n(which, *cases),
        lambda rng: (np.array(2), *rng.normal(size=(3, 3))),
        lambda which, *cases: cases[2],
    ),
    Case(
        "select_n integers",
        lambda which, *cases: lax.select_n(which, *cases),
        lambda rng: (np.array([2, 0, 1]), *rng.normal(size=(3, 3))),
        lambda which, *cases: np.choose(which, cases),
    ),
    Case(
        "convert",
        lambda x: [lax.convert_element_type(x, np.float32), lax.convert_element_type(x, np.complex128)],
        uniform(-1, 1, (3,)),
        lambda x: [x.astype(np.float32), x.astype(np.complex128)],
        wrt=(),
    ),
    Case(
        "optimization_barrier",
        lambda x, y: lax.optimization_barrier((x, y)),
        uniform(-1, 1, (3,), (2,)),
        lambda x, y: (x, y),
    ),
]
STEPPED = [
    Case(
        "steps", together(STEPS)[0], lambda rng: (np.array([-1.5, -0.4, 0.0, 0.6, 2.5]),), together(STEPS)[1]
    ),
    Case("comparisons", together(COMPARISONS)[0], distinct((3,), (3,)), together(COMPARISONS)[1]),
    Case(
        "integers",
        together(INTEGERS)[0],
        lambda rng: (np.array([7, -8, 123], np.int32), np.array([2, 3, 5], np.int32)),
        together(INTEGERS)[1],
    ),
    Case(
        "bits",
        lambda x: [lax.bitwise_not(x), lax.population_count(x), lax.clz(x)],
        lambda rng: (np.array([0, 1, -1, 77], np.int32),),
        lambda x: [~x, bit_count(x), leading_zeros(x)],
    ),
    Case(
        "bitcast",
        lambda x: [lax.bitcast_convert_type(x, np.int32), lax.bitcast_convert_type(x, np.uint8)],
        lambda rng: (rng.normal(size=(2, 3)).astype(np.float32),),
        lambda x: [x.view(np.int32), x.view(np.uint8).reshape(2, 3, 4)],
    ),
    Case(
        "bitcast to wider",
        lambda x: lax.bitcast_convert_type(x, np.float32),
        lambda rng: (rng.integers(0, 100, (2, 4)).astype(np.uint8),),
        lambda x: x.view(np.float32).reshape(2),
    ),
    Case("nextafter", lax.nextafter, distinct((3,), (3,)), np.nextafter),
]


@pytest.mark.parametrize("case", SMOOTH + STEPPED, ids=lambda case: case.name)
def test_values(case):
    check_values(case, rtol=1e-9 if case.name != "around zero" else 1e-7)


@pytest.mark.parametrize("case", [c for c in SMOOTH if c.wrt != ()], ids=lambda case: case.name)
def test_derivatives(case):
    check_derivatives(case)


@pytest.mark.parametrize("case", [c for c in SMOOTH + STEPPED if c.batched], ids=lambda case: case.name)
def test_batching(case):
    table = TABLES.get(case.name)
    if table is not None:
        case = case._replace(fun=together([name for name in table if name in SHARED_BATCHING])[0])
    check_batching(case, rtol=1e-9)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1,)])
def test_shapes_without_many_elements(shape):
    x = np.full(shape, 0.5, np.float32)
    outs = ct.jit(
        lambda x, y: [getattr(lax, n)(x) for n in AROUND_ZERO] + [getattr(lax, n)(x, y) for n in BINARY]
    )(x, x)
    assert {out.shape for out in outs} == {shape} and {out.dtype for out in outs} == {np.dtype(np.float32)}


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e5m2])
def test_narrow_floats(dtype):
    names = ["neg", "abs", "square"] if dtype is ml_dtypes.float8_e5m2 else list(AROUND_ZERO)
    x = np.array([-0.5, 0.25, 0.75], dtype)
    outs = ct.jit(lambda x: [getattr(lax, name)(x) for name in names])(x)
    for name, out in zip(names, outs, strict=True):
        assert out.dtype == dtype, name
        wanted = AROUND_ZERO[name](x.astype(np.float64))
        np.testing.assert_allclose(
            np.asarray(out, np.float64), wanted, rtol=4 * float(ml_dtypes.finfo(dtype).eps), err_msg=name
        )


def test_second_derivatives():
    names = list(AROUND_ZERO)
    with enable_x64(True):
        x = np.array(0.4)
        slopes = ct.jit(lambda x: [ct.grad(getattr(lax, name))(x) for name in names])
        curvatures = ct.jit(lambda x: [ct.grad(ct.grad(getattr(lax, name)))(x) for name in names])(x)
        for name, ahead, behind, got in zip(
            names, slopes(x + 1e-5), slopes(x - 1e-5), curvatures, strict=True
        ):
            np.testing.assert_allclose(
                float(got), (float(ahead) - float(behind)) / 2e-5, rtol=1e-6, atol=1e-8, err_msg=name
            )


@pytest.mark.parametrize(
    "fun, x, wanted",
    [
        (lax.abs, 0.0, 1.0),
        (lax.sign, 0.0, 0.0),
        (lambda x: lax.max(x, 1.0), 1.0, 0.5),
        (lambda x: lax.min(1.0, x), 1.0, 0.5),
        (lambda x: lax.max(x, x), 1.0, 1.0),
        (lambda x: lax.pow(x, 2.0), 0.0, 0.0),
        (lambda x: lax.pow(x, 0.0), 0.0, 0.0),
        (lambda x: lax.pow(0.0, x), 1.0, 0.0),
        (lambda x: lax.integer_pow(x, 0), 0.0, 0.0),
        (lambda x: lax.floor(x), 0.5, 0.0),
        (lambda x: lax.convert_element_type(lax.convert_element_type(x, np.int32), np.float32), 0.5, 0.0),
        (lambda x: lax.mul(x, lax.stop_gradient(x)), 3.0, 3.0),
        (lambda x: lax.abs(lax.complex(x, 0.0)), 0.0, 0.0),
        (lambda x: lax.reduce_precision(x, 5, 2), 1.1, 1.0),
        (lambda x: lax.bessel_i1e(x), 0.0, 0.5),
    ],
)
def test_conventions_at_kinks(fun, x, wanted):
    assert float(ct.grad(fun)(x)) == wanted


def test_extremes_of_complex_numbers_compare_real_parts_first():
    x, y = np.complex64([1 + 2j, 1 + 2j, 3]), np.complex64([2, 1 + 3j, np.nan])
    np.testing.assert_array_equal(np.asarray(lax.max(x, y))[:2], [2, 1 + 3j])
    np.testing.assert_array_equal(np.asarray(lax.min(x, y))[:2], [1 + 2j, 1 + 2j])


def test_python_numbers_stay_weak():
    x = np.float16([1.0])
    weak = lax.add(1.0, 2.0)
    assert weak.weak_type and not lax.add(np.float32(1), 2.0).weak_type
    assert lax.full((2,), 1.0).weak_type and not lax.full((2,), 1.0, float).weak_type
    assert lax.full_like(weak, 1).weak_type
    assert lax.mul(x, x, out_dtype=np.float32).dtype == np.float32


def test_conversion_of_numbers():
    assert lax.convert_element_type(2.7, int).dtype == np.int32
    assert int(lax.convert_element_type(-1, np.uint8)) == 255
    assert int(lax.convert_element_type(float("nan"), np.int32)) == 0
    assert int(lax.convert_element_type(1e20, np.int32)) == 2**31 - 1
    assert bool(lax.convert_element_type(0.5, bool)) is True
    with pytest.warns(np.exceptions.ComplexWarning):
        assert float(lax.convert_element_type(np.complex64(1 + 2j), np.float32)) == 1.0


def test_numbers_become_tracers_without_equations():
    def program(x):
        values = (
            lax.convert_element_type(2.0, np.float32),
            lax.full((), 1.0),
            lax.convert_element_type(np.ones(2), float),
        )
        assert all(hasattr(value, "aval") for value in values)
        return values

    assert not ct.make_jaxpr(program)(1.0).eqns
    assert not ct.make_jaxpr(ct.vmap(program, out_axes=None))(np.ones(2)).eqns


def test_stop_gradient_of_trees():
    tree = lax.stop_gradient({"a": np.ones(2), "b": 1, "c": None})
    assert tree["c"] is None and int(tree["b"]) == 1 and tree["a"].shape == (2,)


def test_reduce_precision_and_iota():
    x = np.float32([1.001, 3.3, 60000.0])
    np.testing.assert_array_equal(
        np.asarray(lax.reduce_precision(x, 5, 10)), x.astype(np.float16).astype(np.float32)
    )
    np.testing.assert_array_equal(np.asarray(lax.broadcasted_iota(np.int8, (2, 3), 0)), [[0] * 3, [1] * 3])
    assert lax.iota(np.float32, 0).shape == (0,)


def test_total_order_comparisons():
    x = np.float32([-np.nan, -np.inf, -0.0, 0.0, 1.0, np.nan])
    less = ct.jit(lambda a, b: lax.lt_to_p.bind(a, b))(x[:-1], x[1:])
    assert np.asarray(less).all()
    assert not bool(lax.eq_to_p.bind(np.float32(0.0), np.float32(-0.0)))


F, N, B = np.ones((3, 4), np.float32), np.ones((3, 4), np.int32), np.ones((3, 4), bool)


@pytest.mark.parametrize(
    "error, message, call",
    [
        (
            TypeError,
            r"lax.add requires arguments to have the same dtypes, got float32, int32",
            lambda: lax.add(F, N),
        ),
        (TypeError, r"canter.numpy.add promotes", lambda: lax.add(F, 1)),
        (TypeError, r"same number of dimensions, got shapes \(3, 4\), \(4,\)", lambda: lax.add(F, F[0])),
        (TypeError, r"incompatible shapes for broadcasting: \(3, 4\), \(2, 4\)", lambda: lax.add(F, F[:2])),
        (TypeError, r"exp does not accept dtype int32", lambda: lax.exp(1)),
        (TypeError, r"position 0", lambda: lax.add(B, B)),
        (TypeError, r"first argument to pow must have an inexact dtype", lambda: lax.pow(N, N)),
        (TypeError, r"negative powers, got integer_pow\(i32\[3,4\], -1\)", lambda: lax.integer_pow(N, -1)),
        (TypeError, r"Python int as exponent", lambda: lax.integer_pow(F, 1.5)),
        (ValueError, r"at least one case", lambda: lax.select_n(B)),
        (TypeError, r"boolean or integer type, got float32", lambda: lax.select_n(F, F, F)),
        (TypeError, r"cannot have > 2 cases", lambda: lax.select_n(B, F, F, F)),
        (TypeError, r"cases must have the same shapes", lambda: lax.select_n(B, F, F[0])),
        (TypeError, r"scalar or have the same shape as cases", lambda: lax.select_n(B[0], F, F)),
        (TypeError, r"min.shape=\(4,\), operand.shape=\(3, 4\)", lambda: lax.clamp(F[0], F, F)),
        (TypeError, r"same dtypes", lambda: lax.clamp(0, F, 1)),
        (TypeError, r"foo", lambda: lax.convert_element_type(F, "foo")),
        (TypeError, r"does not support bool or complex", lambda: lax.bitcast_convert_type(F, bool)),
        (
            ValueError,
            r"last dimension must be 4",
            lambda: lax.bitcast_convert_type(np.ones((3, 3), np.int8), np.float32),
        ),
        (ValueError, r"exponent_bits must be positive; got 0", lambda: lax.reduce_precision(F, 0, 1)),
        (ValueError, r"mantissa_bits must be non-negative; got -1", lambda: lax.reduce_precision(F, 5, -1)),
        (TypeError, r"iota does not accept dtype bool", lambda: lax.iota(bool, 3)),
        (TypeError, r"nonnegative, got \(-3,\)", lambda: lax.iota(int, -3)),
        (ValueError, r"dimension=2 for shape=\(3, 4\)", lambda: lax.broadcasted_iota(int, (3, 4), 2)),
        (TypeError, r"scalar fill_value, got fill_value.shape \(3, 4\)", lambda: lax.full((3,), F)),
        (TypeError, r"takes a sharding", lambda: lax.full((3,), 1.0, sharding="x")),
        (TypeError, r"list", lambda: lax.add(F, [1.0])),
        (TypeError, r"not a valid array type", lambda: lax.exp(None)),
        (ValueError, r"AWAY|RoundingMethod", lambda: lax.round(F, 7)),
        (ValueError, r"must not be negative", lambda: lax.Tolerance(atol=-1.0)),
    ],
)
def test_errors(error, message, call):
    with pytest.raises(error, match=message):
        call()


def test_shapes_must_be_known_when_tracing():
    with pytest.raises((TypeError, ct.errors.ConcretizationTypeError)):
        ct.jit(lambda n: lax.full((n,), 1.0))(3)
