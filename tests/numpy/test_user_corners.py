"""Corners that user programs meet: out-of-range numbers, lists as indices, quotients in place, errors' classes."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp


@pytest.mark.parametrize(
    "data, dtype", [(300, "int8"), ([300], "int8"), ([[1, -1]], "uint8"), ([2**40], "int32")]
)
def test_integers_out_of_bounds_are_refused_as_numpy_does(data, dtype):
    with pytest.raises(OverflowError):
        np.array(data, dtype)
    with pytest.raises(OverflowError, match="out of bounds"):
        cnp.array(data, dtype)


def test_lists_among_several_indices_are_arrays():
    x = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    y = cnp.asarray(x)
    np.testing.assert_array_equal(y[[0, 1], [1, 2]], x[[0, 1], [1, 2]])
    np.testing.assert_array_equal(y[[], 0], x[[], 0])
    np.testing.assert_array_equal(y[[True, False, True], 1:], x[[True, False, True], 1:])
    expected = x.copy()
    expected[[0, 1], [1, 2]] = 5
    np.testing.assert_array_equal(y.at[[0, 1], [1, 2]].set(5), expected)


def test_dividing_integers_at_an_index_gives_floats():
    x = cnp.arange(4)
    expected = np.array([0.0, 0.5, 2.0, 0.75], np.float32)
    np.testing.assert_array_equal(x.at[cnp.array([1, 3, 3])].divide(2), expected)
    np.testing.assert_array_equal(x.at[1].divide(2), np.array([0.0, 0.5, 2.0, 3.0], np.float32))


def test_scalar_types_read_strings():
    assert np.isnan(cnp.float32("nan")) and cnp.float32("inf") == np.inf


def test_floor_division_of_booleans():
    x, y = np.array([True, False]), np.array([True, True])
    np.testing.assert_array_equal(cnp.asarray(x) // cnp.asarray(y), x.astype(int) // y)


def test_keys_stack_and_join():
    keys = [ct.random.key(0), ct.random.key(1)]
    stacked = cnp.stack(keys)
    np.testing.assert_array_equal(ct.random.key_data(cnp.array(keys)), ct.random.key_data(stacked))
    assert stacked.shape == (2,) and stacked.dtype == keys[0].dtype
    np.testing.assert_array_equal(ct.random.key_data(stacked[1]), ct.random.key_data(keys[1]))


def test_classes_of_errors():
    x = cnp.arange(3.0)
    with pytest.raises(IndexError):
        x[{}]
    with pytest.raises(TypeError):
        x[1.5]
    with pytest.raises(TypeError, match="-1"):
        x.reshape(-1, -1)
    for call in (lambda: x.swapaxes(0, 1), lambda: cnp.argmax(x, axis=1)):
        with pytest.raises(np.exceptions.AxisError):  # a ValueError and an IndexError, as NumPy's
            call()
    assert cnp.ones((2, 3)).item((1, 2)) == 1.0


def test_numbers_beside_weakly_typed_tracers_record_no_conversion():
    jaxpr = ct.make_jaxpr(lambda x: (x > 0, x + 1))(1.0)
    assert [eqn.primitive.name for eqn in jaxpr.eqns] == ["gt", "add"]


@pytest.mark.parametrize("number", [0.0, -0.0, 1, True, 2.5, np.nan, 1j, -(2**31)])
def test_numbers_in_where_are_the_same_eagerly_and_jitted(number):
    condition, x = cnp.array([True, False]), cnp.ones(2)
    eager = cnp.where(condition, x, number)
    jitted = ct.jit(lambda c, x: cnp.where(c, x, number))(condition, x)
    assert (eager.dtype, eager.weak_type) == (jitted.dtype, jitted.weak_type)
    assert np.asarray(eager).tobytes() == np.asarray(jitted).tobytes()
    assert cnp.where(condition, 1, number).weak_type


def test_what_a_comparison_with_jax_found():
    x = cnp.arange(6.0).reshape(2, 3)
    last = np.array([[-1], [-2]])
    np.testing.assert_array_equal(cnp.take_along_axis(x, last, 1, mode="clip"), [[2], [4]])
    np.testing.assert_array_equal(x[([0],)], x[:1])
    assert not cnp.array_equal(0, 7).weak_type
    np.testing.assert_allclose(ct.scipy.special.comb(3, np.float32([0.5, 2.0])), [2.0371832, 3.0], rtol=1e-5)
    for name in ("relu6", "selu", "hard_sigmoid", "hard_silu", "sparse_plus", "sparse_sigmoid"):
        assert getattr(ct.nn, name)(cnp.arange(3)).weak_type, name
    for name in ("softplus", "mish", "soft_sign"):
        activation = getattr(ct.nn, name)
        assert activation(cnp.ones(2, bool)).weak_type and not activation(cnp.arange(3)).weak_type, name
    assert not ct.nn.gelu(1.0).weak_type
