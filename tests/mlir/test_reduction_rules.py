"""Reductions, windows and cumulative operations against NumPy."""

import itertools

import ml_dtypes
import numpy as np
import pytest

from canter.core.avals import ShapedArray
from tests.mlir.harness import apply, aval, primitive, scalar_jaxpr

RNG = np.random.default_rng(1)
X = RNG.normal(size=(3, 4, 5)).astype(np.float32)
INTS = RNG.integers(-50, 50, size=(3, 4)).astype(np.int32)
FLAGS = RNG.random((3, 4)) > 0.4

REDUCTIONS = {
    "reduce_sum": np.sum,
    "reduce_prod": np.prod,
    "reduce_max": np.max,
    "reduce_min": np.min,
}


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 1, 2), ()])
def test_reduce_floats(name, axes):
    expected = REDUCTIONS[name](X, axis=axes)
    got = apply(name, X, out=aval(*expected.shape), axes=axes, out_sharding=None)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize(
    "dtype", [np.int32, np.uint8, np.complex64, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn]
)
def test_reduce_other_dtypes(name, dtype):
    x = np.array([[1, 2, 1], [2, 1, 1]]).astype(dtype)
    expected = REDUCTIONS[name](x.astype(np.complex64).real, axis=1)
    got = apply(name, x, out=aval(2, dtype=dtype), axes=(1,), out_sharding=None)
    np.testing.assert_array_equal(got.astype(np.complex64), expected)


def test_empty_reductions_give_the_identity():
    empty = np.zeros((0, 2), np.int32)
    out = aval(2, dtype=np.int32)
    limits = np.iinfo(np.int32)
    assert apply("reduce_max", empty, out=out, axes=(0,), out_sharding=None).tolist() == [limits.min] * 2
    assert apply("reduce_min", empty, out=out, axes=(0,), out_sharding=None).tolist() == [limits.max] * 2


def test_reduce_bits_and_booleans():
    out = aval(4, dtype=np.int32)
    np.testing.assert_array_equal(
        apply("reduce_and", INTS, out=out, axes=(0,)), np.bitwise_and.reduce(INTS, 0)
    )
    np.testing.assert_array_equal(apply("reduce_or", INTS, out=out, axes=(0,)), np.bitwise_or.reduce(INTS, 0))
    np.testing.assert_array_equal(
        apply("reduce_xor", INTS, out=out, axes=(0,)), np.bitwise_xor.reduce(INTS, 0)
    )
    out = aval(4, dtype=bool)
    np.testing.assert_array_equal(apply("reduce_and", FLAGS, out=out, axes=(0,)), FLAGS.all(0))
    np.testing.assert_array_equal(apply("reduce_or", FLAGS, out=out, axes=(0,)), FLAGS.any(0))


def test_reduce_with_a_jaxpr():
    params = {"jaxpr": scalar_jaxpr(["mul"]), "dimensions": (0,), "computation": None}
    (got,) = apply("reduce", X, np.float32(2), out=[aval(4, 5)], **params)
    np.testing.assert_allclose(got, 2 * X.prod(0), rtol=1e-5)


@pytest.mark.parametrize("name, reference", [("argmax", np.argmax), ("argmin", np.argmin)])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.bool_, np.uint8])
def test_arg_extrema_take_the_first(name, reference, axis, dtype):
    x = RNG.integers(0, 3, size=(6, 7)).astype(dtype)
    expected = reference(x, axis)
    got = apply(
        name, x, out=aval(*expected.shape, dtype=np.int32), axes=(axis,), index_dtype=np.dtype(np.int32)
    )
    np.testing.assert_array_equal(got, expected)


def test_arg_extrema_find_the_first_nan():
    x = np.array([[1, np.nan, 3, np.nan], [np.nan] * 4, [-np.inf] * 4, [np.inf] * 4], np.float32)
    for name, reference in (("argmax", np.argmax), ("argmin", np.argmin)):
        got = apply(name, x, out=aval(4, dtype=np.int32), axes=(1,), index_dtype=np.dtype(np.int32))
        np.testing.assert_array_equal(got, reference(x, 1))


def windows(x, dims, strides, padding, fill):
    """All windows of a two-dimensional array: (rows, columns, *dims)."""
    x = np.pad(x, padding, constant_values=fill)
    counts = [(n - d) // s + 1 for n, d, s in zip(x.shape, dims, strides, strict=True)]
    out = np.empty((*counts, *dims), x.dtype)
    for i, j in itertools.product(*map(range, counts)):
        a, b = i * strides[0], j * strides[1]
        out[i, j] = x[a : a + dims[0], b : b + dims[1]]
    return out


WINDOW = {"window_dimensions": (2, 3), "window_strides": (1, 2), "padding": ((1, 0), (1, 1))}
DILATION = {"base_dilation": (1, 1), "window_dilation": (1, 1)}
Y = X[:, :, 0]


@pytest.mark.parametrize(
    "name, reference, fill",
    [
        ("reduce_window_sum", np.sum, 0),
        ("reduce_window_max", np.max, -np.inf),
        ("reduce_window_min", np.min, np.inf),
    ],
)
def test_named_windows(name, reference, fill):
    expected = reference(windows(Y, (2, 3), (1, 2), ((1, 0), (1, 1)), fill), axis=(2, 3))
    got = apply(name, Y, out=aval(*expected.shape), **WINDOW, **DILATION)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)


def test_window_with_a_jaxpr():
    expected = np.prod(windows(Y, (2, 3), (1, 2), ((1, 0), (1, 1)), 1), axis=(2, 3))
    closed = scalar_jaxpr(["mul"])
    got = apply(
        "reduce_window",
        Y,
        np.float32(1),
        out=[aval(*expected.shape)],
        jaxpr=closed,
        consts=(),
        **WINDOW,
        **DILATION,
    )
    np.testing.assert_allclose(got[0], expected, rtol=1e-5)


def test_select_and_scatter_add_sends_sources_to_the_greatest():
    padding = ((1, 0), (1, 1))
    found = windows(Y, (2, 3), (1, 2), padding, -np.inf)
    source = RNG.normal(size=found.shape[:2]).astype(np.float32)
    expected = np.zeros((Y.shape[0] + 1, Y.shape[1] + 2), np.float32)
    for i, j in itertools.product(*map(range, found.shape[:2])):
        a, b = np.unravel_index(np.argmax(found[i, j]), (2, 3))
        expected[i + a, 2 * j + b] += source[i, j]
    got = apply(
        "select_and_scatter_add", source, Y, out=aval(*Y.shape), select_prim=primitive("ge"), **WINDOW
    )
    np.testing.assert_allclose(got, expected[1:, 1:-1], rtol=1e-6)


def test_select_and_gather_add_takes_tangents_of_the_greatest():
    tangents = RNG.normal(size=Y.shape).astype(np.float32)
    window = {"window_dimensions": (2, 2), "window_strides": (1, 1), "padding": ((0, 0), (0, 0))}
    found, moved = (
        windows(Y, (2, 2), (1, 1), ((0, 0), (0, 0)), 0),
        windows(tangents, (2, 2), (1, 1), ((0, 0), (0, 0)), 0),
    )
    flat = found.reshape(*found.shape[:2], 4).argmax(-1)[..., None]
    expected = np.take_along_axis(moved.reshape(*found.shape[:2], 4), flat, -1)[..., 0]
    got = apply(
        "select_and_gather_add",
        tangents,
        Y,
        out=aval(*expected.shape),
        select_prim=primitive("ge"),
        **window,
        **DILATION,
    )
    np.testing.assert_array_equal(got, expected)


CUMULATIVE = {
    "cumsum": np.cumsum,
    "cumprod": np.cumprod,
    "cummax": np.maximum.accumulate,
    "cummin": np.minimum.accumulate,
    "cumlogsumexp": np.logaddexp.accumulate,
}


@pytest.mark.parametrize("name", CUMULATIVE)
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("reverse", [False, True])
def test_cumulative(name, axis, reverse):
    turn = (lambda x: np.flip(x, axis)) if reverse else (lambda x: x)
    expected = turn(CUMULATIVE[name](turn(X), axis=axis))
    got = apply(name, X, out=aval(*X.shape), axis=axis, reverse=reverse)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_long_cumulative_sum_is_accurate():
    x = RNG.random(100_003).astype(np.float32)
    got = apply("cumsum", x, out=aval(*x.shape), axis=0, reverse=False)
    np.testing.assert_allclose(got, np.cumsum(x.astype(np.float64)), rtol=2e-6)


def test_cumulative_of_integers_and_of_nothing():
    got = apply("cumsum", INTS, out=ShapedArray(INTS.shape, INTS.dtype), axis=1, reverse=False)
    np.testing.assert_array_equal(got, INTS.cumsum(1))
    assert apply("cummax", np.zeros((0, 3), np.float32), out=aval(0, 3), axis=0, reverse=False).shape == (
        0,
        3,
    )
