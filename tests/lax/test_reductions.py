"""Reductions, cumulative operations, windows: values, derivatives, batching, errors."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import canter as ct
from canter import lax
from canter.core.config import enable_x64

from .rule_checks import Case, rule_tests


def floats(*shapes):
    return lambda rng: tuple(rng.normal(size=shape) for shape in shapes)


def add(x, y):
    """A function that is not recognised as addition."""
    return lax.add(x, y)


def mul(x, y):
    return lax.mul(x, y)


def log_sum(x, axis):
    return np.logaddexp.accumulate(x, axis=axis)


def np_windows(x, window, fill, combine, padding, strides=(1, 1), base=(1, 1), dilation=(1, 1)):
    """A reduction over windows, by NumPy's view of all of them."""
    holes = np.full([base[d] * (n - 1) + 1 for d, n in enumerate(x.shape)], fill, x.dtype)
    holes[tuple(slice(None, None, step) for step in base)] = x
    padded = np.pad(holes, padding, constant_values=fill)
    spans = [dilation[d] * (n - 1) + 1 for d, n in enumerate(window)]
    views = sliding_window_view(padded, spans)[:: strides[0], :: strides[1], :: dilation[0], :: dilation[1]]
    return combine(views, (2, 3))


def reductions(x):
    return [
        lax.reduce_sum(x, (0,)),
        lax.reduce_prod(x, (2, 0)),
        lax.reduce_max(x, (1,)),
        lax.reduce_min(x, (0, 1, 2)),
        lax.reduce_sum(x, ()),
        lax.reduce(x, 0.0, add, (1,)),
        lax.reduce(x, 1.0, mul, (0, 2)),
    ]


def np_reductions(x):
    return [x.sum(0), x.prod((0, 2)), x.max(1), x.min(), x, x.sum(1), x.prod((0, 2))]


def reduce_pair(x, y):
    """Largest element, and the sum of the others: one reduction of two operands."""
    return lax.reduce((x, y), (-np.inf, 0.0), lambda a, b: (lax.max(a[0], b[0]), lax.add(a[1], b[1])), (1,))


CASES = [
    Case("reductions", reductions, floats((3, 2, 4)), np_reductions),
    Case("pair", reduce_pair, floats((2, 5), (2, 5)), lambda x, y: (x.max(1), y.sum(1))),
    Case(
        "cumulative",
        lambda x: [
            lax.cumsum(x, 0),
            lax.cumprod(x, 1),
            lax.cummax(x, 1),
            lax.cummin(x, 0),
            lax.cumlogsumexp(x, 1),
            lax.cumsum(x, 1, reverse=True),
            lax.cumprod(x, 1, reverse=True),
            lax.cummax(x, 1, reverse=True),
            lax.cumlogsumexp(x, 1, reverse=True),
        ],
        floats((2, 5)),
        lambda x: [
            x.cumsum(0),
            x.cumprod(1),
            np.maximum.accumulate(x, 1),
            np.minimum.accumulate(x, 0),
            log_sum(x, 1),
            x[:, ::-1].cumsum(1)[:, ::-1],
            x[:, ::-1].cumprod(1)[:, ::-1],
            np.maximum.accumulate(x[:, ::-1], 1)[:, ::-1],
            log_sum(x[:, ::-1], 1)[:, ::-1],
        ],
    ),
    Case(
        "windows",
        lambda x: [
            lax.reduce_window(x, 0.0, lax.add, (2, 3), (1, 1), "SAME"),
            lax.reduce_window(x, -np.inf, lax.max, (2, 2), (2, 2)),
            lax.reduce_window(x, np.inf, lax.min, (2, 2), (1, 2), "SAME"),
            lax.reduce_window(x, 0.0, lax.add, (2, 2), (2, 1), ((1, 0), (0, 2)), (2, 1), (1, 2)),
            lax.reduce_window(x, 1.0, mul, (2, 2), (1, 1), ((1, 0), (0, 1)), None, (2, 1)),
        ],
        floats((4, 5)),
        lambda x: [
            np_windows(x, (2, 3), 0.0, np.sum, ((0, 1), (1, 1))),
            np_windows(x, (2, 2), -np.inf, np.max, ((0, 0), (0, 0)), (2, 2)),
            np_windows(x, (2, 2), np.inf, np.min, ((0, 1), (0, 1)), (1, 2)),
            np_windows(x, (2, 2), 0.0, np.sum, ((1, 0), (0, 2)), (2, 1), (2, 1), (1, 2)),
            np_windows(x, (2, 2), 1.0, np.prod, ((1, 0), (0, 1)), (1, 1), (1, 1), (2, 1)),
        ],
    ),
]


test_values, test_derivatives, test_batching = rule_tests(CASES)


def test_logical_and_integer_reductions():
    bits = np.array([[5, 3], [6, 7]], np.int32)
    flags = bits > 4
    outs = ct.jit(
        lambda x, b: [
            lax.reduce_and(x, (0,)),
            lax.reduce_or(x, (0,)),
            lax.reduce_xor(x, (0,)),
            lax.reduce_and(b, (1,)),
            lax.reduce_or(b, (1,)),
            lax.reduce_xor(b, (1,)),
            lax.reduce_max(b, (1,)),
            lax.argmax(x, 1, np.int32),
            lax.argmin(x, 0, np.int8),
        ]
    )(bits, flags)
    wanted = [
        np.bitwise_and.reduce(bits, 0),
        np.bitwise_or.reduce(bits, 0),
        np.bitwise_xor.reduce(bits, 0),
        flags.all(1),
        flags.any(1),
        np.logical_xor.reduce(flags, 1),
        flags.any(1),
        bits.argmax(1).astype(np.int32),
        bits.argmin(0).astype(np.int8),
    ]
    for got, expected in zip(outs, wanted, strict=True):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(np.asarray(got), expected)


def test_empty_reductions_give_neutral_elements():
    x = np.ones((0, 2), np.float32)
    outs = [f(x, (0,)) for f in (lax.reduce_sum, lax.reduce_prod, lax.reduce_max, lax.reduce_min)]
    for out, wanted in zip(outs, (0, 1, -np.inf, np.inf), strict=True):
        np.testing.assert_array_equal(np.asarray(out), [wanted] * 2)
    assert int(lax.reduce_max(np.ones((0,), np.int32), (0,))) == -(2**31)
    assert lax.cumsum(x).shape == (0, 2)


def test_nan_is_the_extremum():
    x = np.float32([1, np.nan, 3, np.nan])
    assert np.isnan(float(lax.reduce_max(x, (0,)))) and np.isnan(float(lax.reduce_min(x, (0,))))
    assert int(lax.argmax(x, 0, np.int32)) == 1 and int(lax.argmin(x, 0, np.int32)) == 1


def test_gradient_of_ties_is_shared():
    x = np.float32([[1, 3, 3], [3, 0, 2]])
    gradient = ct.grad(lambda x: lax.reduce_max(x, (0, 1)))(x)
    np.testing.assert_allclose(np.asarray(gradient), (x == 3) / 3, rtol=1e-6)


def test_gradient_of_products_with_zeros():
    one_zero, two_zeros = np.float32([2, 0, 5]), np.float32([0, 0, 5])
    gradient = ct.jit(ct.grad(lambda x: lax.reduce_prod(x, (0,))))
    np.testing.assert_array_equal(np.asarray(gradient(one_zero)), [0, 10, 0])
    np.testing.assert_array_equal(np.asarray(gradient(two_zeros)), [0, 0, 0])
    cumulative = ct.jit(ct.jacfwd(lax.cumprod))
    np.testing.assert_array_equal(np.asarray(cumulative(one_zero)), [[1, 0, 0], [0, 2, 0], [0, 10, 0]])


def test_second_derivatives():
    with enable_x64(True):
        x = np.array([0.5, -1.5, 2.0])
        hessian = ct.jit(ct.hessian(lambda x: lax.reduce_prod(x, (0,))))(x)
        np.testing.assert_allclose(np.asarray(hessian), [[0, 2, -1.5], [2, 0, 0.5], [-1.5, 0.5, 0]])
        pooled = ct.jit(
            ct.hessian(
                lambda x: lax.reduce_sum(lax.square(lax.reduce_window(x, -np.inf, lax.max, (2,))), (0,))
            )
        )(x)
        np.testing.assert_allclose(np.asarray(pooled), np.diag([2.0, 0, 2]))


def test_minus_infinity_in_cumlogsumexp():
    x = np.float32([-np.inf, -np.inf, 0.0])
    out, dot = ct.jvp(lax.cumlogsumexp, (x,), (np.ones(3, np.float32),))
    np.testing.assert_array_equal(np.asarray(out), x)
    assert np.isfinite(np.asarray(dot)).all() and float(dot[2]) == 1.0


def test_known_functions_become_named_reductions():
    def names(fun, *args):
        return [eqn.primitive.name for eqn in ct.make_jaxpr(fun)(*args).eqns]

    x, i = np.ones((2, 3), np.float32), np.ones((2, 3), np.int32)
    assert names(lambda x: lax.reduce(x, -np.inf, lax.max, (0,)), x) == ["reduce_max"]
    assert names(lambda i: lax.reduce(i, np.iinfo(np.int32).max, lax.min, (0,)), i) == ["reduce_min"]
    assert names(lambda i: lax.reduce(i, -1, lax.bitwise_and, (0,)), i) == ["reduce_and"]
    assert names(lambda x: lax.reduce(x, 1.0, lax.add, (0,)), x) == ["reduce"]
    assert names(lambda x: lax.reduce_window(x, 1.0, lax.max, (1, 2)), x) == ["reduce_window"]


F, N = np.ones((3, 4), np.float32), np.ones((3, 4), np.int32)


@pytest.mark.parametrize(
    "error, message, call",
    [
        (
            ValueError,
            r"axes \(-1,\) contain out-of-bounds indices for float32\[3, 4\]",
            lambda: lax.reduce_sum(F, (-1,)),
        ),
        (ValueError, r"duplicate value in axes \(0, 0\)", lambda: lax.reduce_max(F, (0, 0))),
        (TypeError, r"not iterable", lambda: lax.reduce_sum(F, 0)),
        (TypeError, r"reduce_sum does not accept dtype bool", lambda: lax.reduce_sum(F > 0, (0,))),
        (TypeError, r"reduce_and does not accept dtype float32", lambda: lax.reduce_and(F, (0,))),
        (
            ValueError,
            r"argmax: invalid axis 2 for operand shape \(3, 4\)",
            lambda: lax.argmax(F, 2, np.int32),
        ),
        (
            TypeError,
            r"index_dtype must be an integer type, but got float32",
            lambda: lax.argmin(F, 0, np.float32),
        ),
        (ValueError, r"non-empty dimension", lambda: lax.argmax(F[:0], 0, np.int32)),
        (TypeError, r"argmax does not accept dtype complex64", lambda: lax.argmax(F + 0j, 0, np.int32)),
        (ValueError, r"cumsum: axis 2 is out of bounds", lambda: lax.cumsum(F, 2)),
        (
            TypeError,
            r"should match corresponding initial value dtypes",
            lambda: lax.reduce(F, N[0, 0], lax.add, (0,)),
        ),
        (TypeError, r"must return a tree", lambda: lax.reduce(F, 0.0, lambda a, b: (a, b), (0,))),
        (TypeError, r"must return scalars of the operands' dtypes", lambda: lax.reduce(F, 0.0, lax.gt, (0,))),
        (ValueError, r"out-of-bounds", lambda: lax.reduce(F, 0.0, add, (-1,))),
        (ValueError, r"trees of one structure", lambda: lax.reduce({"a": F}, 0.0, add, (0,))),
        (
            TypeError,
            r"window_dimensions must have one entry for each",
            lambda: lax.reduce_window(F, 0.0, lax.add, (2,)),
        ),
        (
            TypeError,
            r"strictly positive, got \(0, 1\)",
            lambda: lax.reduce_window(F, 0.0, lax.add, (2, 2), (0, 1)),
        ),
        (ValueError, r"FOO", lambda: lax.reduce_window(F, 0.0, lax.add, (2, 2), (1, 1), "FOO")),
        (
            TypeError,
            r"padding must be a name or a pair",
            lambda: lax.reduce_window(F, 0.0, lax.add, (2, 2), (1, 1), (1, 1)),
        ),
        (TypeError, r"sharding", lambda: lax.reduce_sum(F, (0,), out_sharding="x")),
    ],
)
def test_errors(error, message, call):
    with pytest.raises(error, match=message):
        call()


def test_an_extremum_that_no_element_equals_still_has_a_derivative():
    # A kernel may round an element otherwise than the one that found the extremum: the first place counts.
    from canter.lax.reductions import attains

    x = np.float32([[1, 3, 3], [5, 4, 2]])
    for extremum, places in (
        (lax.reduce_max_p, [[0, 1, 0], [1, 0, 0]]),
        (lax.reduce_min_p, [[1, 0, 0], [0, 0, 1]]),
    ):
        missed = np.float32([[2.9], [4.9]])
        found = ct.jit(attains[extremum].bind)(x, missed)
        np.testing.assert_array_equal(found, np.array(places, bool))
    np.testing.assert_array_equal(
        ct.grad(lambda x: lax.reduce_max(x, (1,)).sum())(x), [[0, 0.5, 0.5], [1, 0, 0]]
    )
    np.testing.assert_array_equal(ct.grad(lambda x: lax.reduce_max(x, (0, 1)))(x), [[0, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(
        ct.vmap(ct.grad(lambda x: lax.reduce_min(x, (0,))))(x), [[1, 0, 0], [0, 0, 1]]
    )
    assert np.isnan(ct.grad(lambda x: lax.reduce_max(x, (0,)))(np.float32([1, np.nan]))).all()
    assert " = eq " in str(ct.make_jaxpr(ct.grad(lambda x: lax.reduce_max(x, (0,))))(x[0]))
