"""Gather, scatter, sort and top_k against NumPy."""

import enum
from collections import namedtuple

import ml_dtypes
import numpy as np
import pytest

from tests.mlir.harness import apply, aval, scalar_jaxpr

RNG = np.random.default_rng(3)
X = RNG.normal(size=(5, 4)).astype(np.float32)


class Mode(enum.Enum):
    CLIP = 1
    FILL_OR_DROP = 2
    PROMISE_IN_BOUNDS = 3
    ONE_HOT = 4


Gather = namedtuple(
    "Gather",
    [
        "offset_dims",
        "collapsed_slice_dims",
        "start_index_map",
        "operand_batching_dims",
        "start_indices_batching_dims",
    ],
    defaults=[(), ()],
)
Scatter = namedtuple(
    "Scatter",
    [
        "update_window_dims",
        "inserted_window_dims",
        "scatter_dims_to_operand_dims",
        "operand_batching_dims",
        "scatter_indices_batching_dims",
    ],
    defaults=[(), ()],
)
ROWS = Gather((1,), (0,), (0,))


def gather(x, indices, out, numbers=ROWS, sizes=(1, 4), mode=Mode.CLIP, fill_value=None):
    return apply(
        "gather",
        x,
        np.asarray(indices),
        out=out,
        dimension_numbers=numbers,
        slice_sizes=sizes,
        indices_are_sorted=False,
        unique_indices=False,
        mode=mode,
        fill_value=fill_value,
    )


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.int64])
def test_gather_rows(dtype):
    indices = np.array([[0], [4], [2]], dtype)
    np.testing.assert_array_equal(gather(X, indices, aval(3, 4)), X[[0, 4, 2]])
    np.testing.assert_array_equal(gather(X, indices, aval(3, 4), mode=Mode.PROMISE_IN_BOUNDS), X[[0, 4, 2]])


def test_gather_out_of_bounds():
    indices = np.array([[-1], [5], [2]], np.int32)
    np.testing.assert_array_equal(gather(X, indices, aval(3, 4)), X[[0, 4, 2]])
    np.testing.assert_array_equal(gather(X, indices.astype(np.uint32), aval(3, 4)), X[[4, 4, 2]])
    filled = gather(X, indices, aval(3, 4), mode=Mode.FILL_OR_DROP)
    assert np.isnan(filled[:2]).all()
    np.testing.assert_array_equal(filled[2], X[2])
    filled = gather(X, indices, aval(3, 4), mode=Mode.FILL_OR_DROP, fill_value=7.0)
    np.testing.assert_array_equal(filled[:2], np.full((2, 4), 7))


@pytest.mark.parametrize(
    "dtype, filler", [(np.int32, np.iinfo(np.int32).min), (np.uint8, 255), (np.bool_, True)]
)
def test_fill_values_of_other_dtypes(dtype, filler):
    x = np.ones((5, 4), dtype)
    got = gather(x, np.array([[9]], np.int32), aval(1, 4, dtype=dtype), mode=Mode.FILL_OR_DROP)
    assert (got == filler).all()


def test_gather_windows_and_batches():
    got = gather(X, np.array([[1, 2], [3, 0]], np.int32), aval(2, 2, 2), Gather((1, 2), (), (0, 1)), (2, 2))
    np.testing.assert_array_equal(got, [X[1:3, 2:4], X[3:5, 0:2]])
    got = gather(
        X, np.array([[3], [0], [1], [2], [3]], np.int32), aval(5), Gather((), (1,), (1,), (0,), (0,)), (1, 1)
    )
    np.testing.assert_array_equal(got, X[np.arange(5), [3, 0, 1, 2, 3]])


def test_modes_without_a_lowering_are_refused():
    with pytest.raises(NotImplementedError, match="ONE_HOT"):
        gather(X, np.array([[0]], np.int32), aval(1, 4), mode=Mode.ONE_HOT)
    with pytest.raises(TypeError, match="GatherScatterMode"):
        gather(X, np.array([[0]], np.int32), aval(1, 4), mode=17)


ROW_UPDATES = Scatter((1,), (0,), (0,))


def scatter(name, x, indices, updates, numbers=ROW_UPDATES, mode=Mode.FILL_OR_DROP, **params):
    return apply(
        name,
        x,
        np.asarray(indices),
        updates,
        out=aval(*x.shape, dtype=x.dtype),
        dimension_numbers=numbers,
        indices_are_sorted=False,
        unique_indices=False,
        mode=mode,
        **params,
    )


UFUNCS = {
    "scatter-add": np.add,
    "scatter-sub": np.subtract,
    "scatter-mul": np.multiply,
    "scatter-min": np.minimum,
    "scatter-max": np.maximum,
}


@pytest.mark.parametrize("name", UFUNCS)
def test_scatter_combines_repeated_indices(name):
    updates = RNG.normal(size=(4, 4)).astype(np.float32)
    expected = X.copy()
    UFUNCS[name].at(expected, [1, 3, 1, 0], updates)
    got = scatter(
        name, X, np.array([[1], [3], [1], [0]], np.int32), updates, update_jaxpr=None, update_consts=()
    )
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_scatter_replaces_and_applies():
    updates = RNG.normal(size=(2, 4)).astype(np.float32)
    indices = np.array([[1], [3]], np.int32)
    expected = X.copy()
    expected[[1, 3]] = updates
    np.testing.assert_array_equal(scatter("scatter", X, indices, updates), expected)
    applied = scatter(
        "scatter", X, indices, updates, update_jaxpr=scalar_jaxpr(["mul", "add"]), update_consts=()
    )
    expected[[1, 3]] = X[[1, 3]] * updates + updates
    np.testing.assert_allclose(applied, expected, rtol=1e-6)


def test_scatter_out_of_bounds():
    updates = np.ones((3, 4), np.float32)
    indices = np.array([[-1], [7], [2]], np.int32)
    dropped = X.copy()
    dropped[2] += 1
    np.testing.assert_array_equal(scatter("scatter-add", X, indices, updates), dropped)
    clipped = X.copy()
    clipped[[0, 4, 2]] += 1
    np.testing.assert_array_equal(scatter("scatter-add", X, indices, updates, mode=Mode.CLIP), clipped)


@pytest.mark.parametrize("dtype", [np.int32, np.uint8])
def test_windows_partly_out_of_bounds_are_dropped_as_a_whole(dtype):
    updates = np.ones((2, 2, 2), np.float32)
    indices = np.array([[4, 1], [0, 0]], dtype)
    expected = X.copy()
    expected[:2, :2] += 1
    got = scatter("scatter-add", X, indices, updates, Scatter((1, 2), (), (0, 1)))
    np.testing.assert_array_equal(got, expected)


# Sorting


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8, np.bool_])
def test_sort(dtype):
    x = RNG.integers(0, 9, size=(3, 8)).astype(dtype)
    got = apply("sort", x, out=[aval(3, 8, dtype=dtype)], dimension=1, is_stable=True, num_keys=1)
    np.testing.assert_array_equal(got[0], np.sort(x, 1))


def test_sort_puts_nans_last_and_keeps_equal_zeros_in_place():
    x = np.array([np.nan, 0.0, -np.inf, -0.0, -np.nan, 1.0], np.float32)
    places = np.arange(6, dtype=np.int32)
    got, order = apply(
        "sort", x, places, out=[aval(6), aval(6, dtype=np.int32)], dimension=0, is_stable=True, num_keys=1
    )
    np.testing.assert_array_equal(order, [2, 1, 3, 5, 0, 4])
    np.testing.assert_array_equal(got[:4], [-np.inf, 0, 0, 1])


def test_sort_by_two_keys_and_complex():
    a, b = RNG.integers(0, 3, 20).astype(np.int32), RNG.integers(0, 3, 20).astype(np.float32)
    c = np.arange(20, dtype=np.int32)
    outs = [aval(20, dtype=np.int32), aval(20), aval(20, dtype=np.int32)]
    got = apply("sort", a, b, c, out=outs, dimension=0, is_stable=True, num_keys=2)
    np.testing.assert_array_equal(got[2], np.lexsort((c, b, a)))
    z = (a + 1j * b).astype(np.complex64)
    got = apply("sort", z, out=[aval(20, dtype=np.complex64)], dimension=0, is_stable=True, num_keys=1)
    np.testing.assert_array_equal(got[0], np.sort(z))


@pytest.mark.parametrize(
    "dtype, rows, axis",
    [
        (np.float32, 40, 0),
        (np.float32, 400, 1),
        (ml_dtypes.bfloat16, 400, 0),
        (np.float64, 400, 1),
        (np.uint8, 400, 0),
    ],
)
def test_sort_of_small_and_big_arrays_is_stable(dtype, rows, axis):
    """Big arrays take another path on the CPU."""
    x = RNG.integers(0, 50, size=(rows, 100)).astype(dtype)
    if np.dtype(dtype).kind not in "iu":
        x[::3, 5] = np.nan
        x[1::4, ::7] = -x[1::4, ::7]  # among them negative zeros
        x[::5, 3] = -np.inf
    places = np.indices(x.shape, np.int32)[axis]
    outs = [aval(*x.shape, dtype=dtype), aval(*x.shape, dtype=np.int32)]
    got, order = apply("sort", x, places, out=outs, dimension=axis, is_stable=True, num_keys=1)
    expected = np.argsort(x.astype(np.float64), axis, kind="stable")
    np.testing.assert_array_equal(order, expected)
    bits = np.dtype(f"u{x.itemsize}")
    np.testing.assert_array_equal(got.view(bits), np.take_along_axis(x, expected, axis).view(bits))
    (alone,) = apply("sort", x, out=outs[:1], dimension=axis, is_stable=True, num_keys=1)
    np.testing.assert_array_equal(alone.astype(np.float64), np.sort(x.astype(np.float64), axis))


@pytest.mark.parametrize("axis", [0, 1])
def test_top_k(axis):
    shape = tuple(2 if d == axis else n for d, n in enumerate(X.shape))
    values, indices = apply("top_k", X, out=[aval(*shape), aval(*shape, dtype=np.int32)], k=2, axis=axis)
    order = np.take(np.argsort(-X, axis, kind="stable"), range(2), axis)
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_array_equal(values, np.take_along_axis(X, order, axis))


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64, np.uint8])
def test_generator_draws_and_advances(dtype):
    key = np.array([1, 2, 3, 4], np.uint32)
    params = {"shape": (1000,), "dtype": np.dtype(dtype), "algorithm": 0, "out_sharding": None}
    state, bits = apply(
        "rng_bit_generator", key, out=[aval(4, dtype=np.uint32), aval(1000, dtype=dtype)], **params
    )
    assert not np.array_equal(state, key)
    mean = bits.astype(np.float64).mean() / np.iinfo(dtype).max
    assert 0.45 < mean < 0.55


def test_rng_uniform():
    x = apply("rng_uniform", np.float32(2), np.float32(3), out=aval(100), shape=(100,))
    assert x.min() >= 2 and x.max() < 3 and x.std() > 0.1
