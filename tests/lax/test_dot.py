"""Matrix products: values, derivatives, batching, precision arguments, errors."""

import numpy as np
import pytest

import canter as ct
from canter import lax
from canter.core.config import default_matmul_precision
from canter.lax.products import canonicalize_precision

from .rule_checks import Case, rule_tests


def floats(*shapes):
    return lambda rng: tuple(rng.normal(size=shape) for shape in shapes)


def complexes(*shapes):
    return lambda rng: tuple(rng.normal(size=s) + 1j * rng.normal(size=s) for s in shapes)


def dot_case(name, numbers, subscripts, *shapes, make=floats):
    return Case(
        name,
        lambda x, y: lax.dot_general(x, y, numbers),
        make(*shapes),
        lambda x, y: np.einsum(subscripts, x, y),
    )


CASES = [
    dot_case("matrices", (((1,), (0,)), ((), ())), "ij,jk->ik", (2, 3), (3, 4)),
    dot_case("transposed", (((0,), (1,)), ((), ())), "ji,kj->ik", (3, 2), (4, 3)),
    dot_case("vectors", (((0,), (0,)), ((), ())), "i,i->", (3,), (3,)),
    dot_case("outer", (((), ()), ((), ())), "i,j->ij", (2,), (3,)),
    dot_case("batch", (((2,), (1,)), ((0,), (0,))), "bij,bjk->bik", (2, 2, 3), (2, 3, 4)),
    dot_case("batch inside", (((0,), (2,)), ((2,), (1,))), "jib,kbj->bik", (3, 2, 2), (4, 2, 3)),
    dot_case("two sums", (((1, 3), (2, 0)), ((), ())), "iakb,bjac->ikjc", (2, 3, 2, 4), (4, 2, 3, 2)),
    dot_case(
        "sums and batches",
        (((3, 1), (0, 2)), ((0, 2), (3, 1))),
        "uavbi,bvaux->uvix",
        (2, 3, 2, 4, 2),
        (4, 2, 3, 2, 2),
    ),
    dot_case("all batch", (((), ()), ((0, 1), (0, 1))), "ij,ij->ij", (2, 3), (2, 3)),
    dot_case("complex", (((1,), (0,)), ((), ())), "ij,jk->ik", (2, 3), (3, 2), make=complexes),
    Case("dot", lax.dot, floats((2, 3), (3,)), lambda x, y: x @ y),
    Case("batch_matmul", lax.batch_matmul, floats((2, 2, 3), (2, 3, 2)), lambda x, y: x @ y),
    Case(
        "precision",
        lambda x, y: lax.dot(x, y, precision=("high", "highest")),
        floats((2, 3), (3, 2)),
        lambda x, y: x @ y,
    ),
]


def np_groups(sizes, count):
    """For each group, the slice of its positions."""
    ends = np.minimum(np.cumsum(sizes), count)
    return [slice(max(end - size, 0), end) for size, end in zip(sizes, ends, strict=True)]


def np_ragged_rows(x, y, sizes):
    out = np.zeros((len(x), y.shape[-1]))
    for group, matrix in zip(np_groups(sizes, len(x)), y, strict=True):
        out[group] = x[group] @ matrix
    return out


SUMMED = lax.RaggedDotDimensionNumbers((((2,), (1,)), ((0,), (0,))), (2,), ())
BATCH = lax.RaggedDotDimensionNumbers((((1,), (1,)), ((0,), (0,))), (0,), ())


def grouped(sizes, *shapes):
    return lambda rng: (
        *(rng.normal(size=shape) for shape in shapes),
        rng.permutation(sizes).astype(np.int32),
    )


CASES += [
    Case("ragged_dot", lax.ragged_dot, grouped((2, 0, 1), (5, 3), (3, 3, 2)), np_ragged_rows),
    Case(
        "ragged sums",
        lambda x, y, sizes: lax.ragged_dot_general(x, y, sizes, SUMMED),
        grouped((1, 3), (2, 3, 5), (2, 5, 2)),
        lambda x, y, sizes: np.stack([x[..., g] @ y[:, g] for g in np_groups(sizes, 5)]),
    ),
    Case(
        "ragged batch",
        lambda x, y, sizes: lax.ragged_dot_general(x, y, sizes, BATCH),
        grouped((1, 2), (4, 2), (4, 2, 3)),
        lambda x, y, sizes: np.einsum("bi,bij->bj", x, y),
    ),
]


test_values, test_derivatives, test_batching = rule_tests(CASES)


@pytest.mark.parametrize(
    "lhs, rhs, preferred, result",
    [
        ("float32", "float32", None, "float32"),
        ("float32", "bfloat16", None, "float32"),
        ("bfloat16", "bfloat16", "float32", "float32"),
        ("float32", "float32", "bfloat16", "bfloat16"),
        ("int8", "int8", None, "int8"),
        ("int8", "int8", "int32", "int32"),
        ("int8", "int8", "float32", "float32"),
        ("bool", "bool", None, "bool"),
        ("float32", "int32", None, "float32"),
        ("float32", "float32", "complex64", "complex64"),
    ],
)
def test_result_dtypes(lhs, rhs, preferred, result):
    x = lax.convert_element_type(np.ones((2, 2)), lhs)
    y = lax.convert_element_type(np.ones((2, 2)), rhs)
    out = lax.dot(x, y, preferred_element_type=preferred)
    assert out.dtype.name == result
    assert np.asarray(out).astype(np.complex64)[0, 0] == (1 if result == "bool" else 2)


def test_gradients_have_the_operands_dtypes():
    x = lax.convert_element_type(np.ones((2, 2)), "bfloat16")
    product = lambda x, y: lax.reduce_sum(lax.dot(x, y, preferred_element_type="float32"), (0, 1))
    for gradient in ct.grad(product, (0, 1))(x, x):
        assert gradient.dtype == x.dtype
        np.testing.assert_array_equal(np.asarray(gradient).astype(np.float32), np.full((2, 2), 2.0))


def test_precision_arguments():
    P, A = lax.Precision, lax.DotAlgorithmPreset
    assert canonicalize_precision(None) is None
    for name, wanted in {
        "highest": P.HIGHEST, "float32": P.HIGHEST, "high": P.HIGH, "bfloat16_3x": P.HIGH,
        "tensorfloat32": P.HIGH, "default": P.DEFAULT, "bfloat16": P.DEFAULT, "fastest": P.DEFAULT,
    }.items():  # fmt: skip
        assert canonicalize_precision(name) == (wanted, wanted)
        assert P(name) is wanted
    assert canonicalize_precision(P.HIGH) == (P.HIGH, P.HIGH)
    assert canonicalize_precision(("high", P.DEFAULT)) == (P.HIGH, P.DEFAULT)
    assert canonicalize_precision("BF16_BF16_F32") is A.BF16_BF16_F32
    algorithm = lax.DotAlgorithm(np.float32, np.float32, np.float32)
    assert canonicalize_precision(algorithm) is algorithm
    assert repr((P.HIGH, A.F32_F32_F32)) == "(Precision.HIGH, DotAlgorithmPreset.F32_F32_F32)"
    assert str(P.HIGH) == "HIGH" and str(A.F32_F32_F32) == "F32_F32_F32"
    assert len(A) == 16 and A.DEFAULT.accumulation_type is None
    assert A.BF16_BF16_F32.accumulation_type == np.float32


def test_the_default_precision_is_configured():
    x = np.ones((2, 2), np.float32)
    with default_matmul_precision("highest"):
        (eqn,) = ct.make_jaxpr(lax.dot)(x, x).eqns
    assert eqn.params["precision"] == (lax.Precision.HIGHEST, lax.Precision.HIGHEST)


def test_parameters_are_those_of_the_field():
    x = np.ones((2, 2), np.float32)
    (eqn,) = ct.make_jaxpr(
        lambda x: lax.dot_general(x, x, [[[1], [0]], [[], []]], preferred_element_type=float)
    )(x).eqns
    assert eqn.params == {
        "dimension_numbers": (((1,), (0,)), ((), ())),
        "precision": None,
        "preferred_element_type": np.dtype("float32"),
        "out_sharding": None,
    }


x23 = np.zeros((2, 3), np.float32)
mm = (((1,), (0,)), ((), ()))


def dot(x, y, numbers=mm, **options):
    return lambda: lax.dot_general(x, y, numbers, **options)


ERRORS = [
    (dot(x23, x23), TypeError, ["contracting", "axis 1 of lhs has 3", "axis 0 of rhs has 2", "(2, 3)"]),
    (dot(x23, x23.T, (((1,), (0,)), ((0,), (1,)))), None, []),
    (dot(x23, x23, (((1,), (1,)), ((0,), ()))), TypeError, ["equally many batch"]),
    (dot(x23, x23, (((-1,), (1,)), ((), ()))), TypeError, ["lhs", "[0, 2)", "(-1,)"]),
    (dot(x23, x23, (((1, 1), (1, 1)), ((), ()))), TypeError, ["distinct", "(1, 1)"]),
    (dot(x23, x23.T, ((1,), (0,))), TypeError, ["dimension_numbers", "((1,), (0,))"]),
    (dot(x23, x23.T, out_sharding=3), TypeError, ["sharding"]),
    (dot(x23, x23.T, precision="bogus"), ValueError, ["'bogus'", "'highest'"]),
    (dot(x23.astype(int), x23.T.astype(int), preferred_element_type="int8"), TypeError, ["narrower", "int8"]),
    (dot(x23 * 1j, x23.T * 1j, preferred_element_type="float32"), TypeError, ["float32", "complex64"]),
    (lambda: lax.dot(x23, x23), ValueError, ["(2, 3) and (2, 3)", "dimension_numbers"]),
    (lambda: lax.ragged_dot(x23, np.zeros((2, 3, 1), np.float32), [1.0]), TypeError, ["list"]),
    (
        lambda: lax.ragged_dot(x23, np.zeros((2, 3, 1), np.float32), np.ones(3, int)),
        TypeError,
        ["3 groups", "(2, 3, 1)"],
    ),
    (
        lambda: lax.ragged_dot(x23, x23, np.ones(2, int), group_offset=1),
        NotImplementedError,
        ["group_offset"],
    ),
    (lambda: lax.batch_matmul(x23, x23[0]), ValueError, ["batch_matmul", "(2, 3)", "(3,)"]),
]


@pytest.mark.parametrize("call, error, words", ERRORS)
def test_errors(call, error, words):
    if error is None:
        call()
        return
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert all(word in message for word in words), message
