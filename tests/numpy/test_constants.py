"""Ranges and filled arrays at the edges of their dtypes. What is expected was observed from JAX 0.10.2."""

import ml_dtypes
import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax

FRACTIONS = [np.float32, np.float16, ml_dtypes.bfloat16, np.float64]


@pytest.mark.parametrize("dtype", FRACTIONS)
@pytest.mark.parametrize("seed", range(12))
def test_ranges_of_fractions_round_products_and_sums(dtype, seed):
    """`start + i * step` in the result's dtype (float32 for halves), each step rounded, in and outside of jit."""
    rng = np.random.default_rng(seed)
    start, step = rng.normal(), rng.uniform(0.01, 3) * rng.choice([-1, 1])
    stop = start + step * rng.integers(2, 60)
    with ct.enable_x64(dtype is np.float64):
        exact = dtype if np.dtype(dtype).itemsize > 2 else np.float32
        count = int(np.ceil((stop - start) / step))
        expected = (exact(start) + np.arange(count).astype(exact) * exact(step)).astype(dtype)
        np.testing.assert_array_equal(cnp.arange(start, stop, step, dtype=dtype), expected)
        np.testing.assert_array_equal(ct.jit(lambda: cnp.arange(start, stop, step, dtype=dtype))(), expected)


def test_a_range_as_jax_has_it():
    found = np.asarray(cnp.arange(-1.1, 11.48735909043068, 0.4661984848307659))[:4].view(np.uint32)
    expected = np.array([-1.1, -0.6338016, -0.16760308, 0.29859543], np.float32).view(np.uint32)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("arguments", [(True,), (np.True_,), (False, True), (True, True, True)])
def test_there_is_no_range_of_bools(arguments):
    with pytest.raises(TypeError, match="range of bools"):
        cnp.arange(*arguments)
    assert cnp.arange(*arguments, dtype=np.int32).dtype == np.int32


def test_bools_beside_numbers_make_a_range():
    np.testing.assert_array_equal(cnp.arange(True, 3), [1, 2])
    np.testing.assert_array_equal(cnp.arange(0, 3, True), [0, 1, 2])
    with pytest.raises(TypeError, match="iota does not accept dtype bool"):
        cnp.arange(0, 2, True, dtype=bool)


def test_iota_needs_a_dtype():
    with pytest.raises(ValueError, match="dtype must be specified"):
        lax.iota(None, 3)
    with pytest.raises(ValueError, match="dtype must be specified"):
        lax.broadcasted_iota(None, (2, 3), 0)


FILLS = {
    "cnp.full": lambda value, dtype: cnp.full((2,), value, dtype),
    "cnp.full_like": lambda value, dtype: cnp.full_like(np.zeros(2, dtype), value),
    "lax.full": lambda value, dtype: lax.full((2,), value, dtype),
    "lax.full_like": lambda value, dtype: lax.full_like(np.zeros(2, dtype), value),
    "jit": lambda value, dtype: ct.jit(lambda: cnp.full((2,), value, dtype))(),
}
WIDE = [
    (2**31, np.uint32, 2**31), (2**31, np.int32, -(2**31)), (2**31, np.int8, 0), (2**31, np.float32, 2.0**31),
    (-(2**31) - 1, np.int32, 2**31 - 1), (-(2**31) - 1, np.uint32, 2**31 - 1), (2**32 + 5, np.uint8, 5),
    (2**63, np.uint32, 0), (2**64, np.float32, 2.0**64), (np.int64(2**40), np.bool_, True),
    (np.int64(2**40), np.float16, np.inf), (np.uint64(2**32 + 7), np.int16, 7), (-1, np.uint32, 2**32 - 1),
]  # fmt: skip


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize(("value", "dtype", "expected"), WIDE)
def test_numbers_that_int32_does_not_hold_fill_other_dtypes(fill, value, dtype, expected):
    found = FILLS[fill](value, dtype)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.full(2, expected, dtype))


@pytest.mark.parametrize("fill", FILLS)
def test_what_cannot_fill_is_refused(fill):
    with pytest.raises(OverflowError):
        FILLS[fill](2**64, np.int32)
    with pytest.raises(TypeError, match="complex number 1j cannot fill"):
        FILLS[fill](1j, np.int32)


def test_without_a_dtype_a_wide_number_is_an_error():
    for full in (cnp.full, lax.full):
        with pytest.raises(OverflowError, match="2147483648"):
            full((), 2**31)
