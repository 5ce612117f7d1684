"""The dtypes of results where arguments have others, and integers of four bits; dtypes as observed in JAX."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import ops

VALUES = np.array([1, 4, 7, 9])
JUMPS = np.array([0, 1, 5, 0, 9, -9, 2, 4])


@pytest.mark.parametrize("name", ["quantile", "nanquantile"])
@pytest.mark.parametrize(
    "dtype, kept", [("bfloat16", "bfloat16"), ("float16", "float16"), ("int8", "float32")]
)
@pytest.mark.parametrize("q_dtype", ["float32", "float16"])
def test_the_fractions_have_no_part_in_the_dtype_of_a_quantile(name, dtype, kept, q_dtype):
    q = np.array([0.25, 0.75])
    found = getattr(cnp, name)(cnp.asarray(VALUES).astype(dtype), cnp.asarray(q, dtype=q_dtype))
    assert found.dtype == kept
    np.testing.assert_allclose(found.astype("float32"), np.quantile(VALUES, q), rtol=4e-3)


@pytest.mark.parametrize("period", [3, 4, 7])
@pytest.mark.parametrize("dtype", ["int32", "int8"])
@pytest.mark.parametrize("discont", [None, 3, 3.5])
def test_unwrapped_integers_are_integers(period, dtype, discont):
    found = cnp.unwrap(cnp.asarray(JUMPS, dtype=dtype), period=period, discont=discont)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.unwrap(JUMPS, period=period, discont=discont))


@pytest.mark.parametrize("dtype, wanted", [("int4", [0, 1, 3, 5]), ("uint4", [0, 1, 3, 5])])
def test_ranges_of_four_bits(dtype, wanted):
    found = cnp.linspace(0, 5, 4, dtype=dtype)
    assert found.dtype == dtype
    assert found.astype(int).tolist() == wanted
    assert cnp.geomspace(1, 4, 3, dtype=dtype).astype(int).tolist() == [1, 2, 4]


@pytest.mark.parametrize("name", ["median", "nanmedian"])
def test_the_median_of_four_bits(name):
    found = getattr(cnp, name)(cnp.array([3, -2, 1, 7]).astype("int4"))
    assert found.dtype == np.float32 and float(found) == 2.0


def test_segments_of_four_bits():
    data, ids = cnp.array([3, -2, 1, 7]).astype("int4"), cnp.array([0, 2, 0, 2])
    assert ops.segment_max(data, ids, num_segments=4).astype(int).tolist() == [3, -8, 7, -8]
    assert ops.segment_min(data, ids, num_segments=4).astype(int).tolist() == [1, 7, -2, 7]


@pytest.mark.parametrize(
    "dtype, low, high, wanted",  # as JAX draws them from the same key
    [
        ("int4", -5, 100, [5, 4, 4, 3, -3, -3, 1, -5]),
        ("int4", -3, 3, [0, -2, -2, -1, 1, -1, 2, 1]),
        ("uint4", -5, 100, [11, 3, 13, 10, 12, 8, 15, 12]),
        ("uint4", 0, 15, [0, 4, 10, 14, 1, 2, 8, 4]),
    ],
)
def test_random_integers_of_four_bits(dtype, low, high, wanted):
    found = ct.random.randint(ct.random.key(3), (8,), low, high, dtype)
    assert found.dtype == dtype and found.astype(int).tolist() == wanted


@pytest.mark.parametrize("method", ["cholesky", "svd", "eigh"])
def test_the_dtype_of_normal_vectors_is_joined_with_the_parameters(method):
    key = ct.random.key(3)

    def draw(dtype, of_parameters):
        cov = 2 * cnp.eye(2, dtype=of_parameters)
        return ct.random.multivariate_normal(key, cnp.zeros(2, of_parameters), cov, (2,), dtype, method)

    # JAX has these values of "cholesky" and "svd" for draws of bfloat16.
    wanted = [[-0.02074974, 1.0311399], [1.5857681, -1.2420548]]
    found = draw("bfloat16", "float32")
    assert found.dtype == np.float32
    np.testing.assert_allclose(
        found if method != "eigh" else abs(found), wanted if method != "eigh" else np.abs(wanted), rtol=1e-5
    )
    narrow = draw("bfloat16", "bfloat16")
    assert narrow.dtype == cnp.bfloat16
    np.testing.assert_allclose(abs(narrow.astype("float32")), np.abs(wanted), rtol=2e-2)
