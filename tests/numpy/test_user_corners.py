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


# Updates of an array by values of a higher dtype happen in the dtype of both; results of JAX 0.10.2.
MIXED_UPDATES = {
    "i.at[[0, 1, 1]].add(0.5)": [0, 2, 2],
    "i.at[1].subtract(0.5)": [0, 0, 2],
    "i.at[[0, 1, 1]].multiply(1.5)": [0, 2, 2],
    "i.at[[0, 1, 1]].multiply(3j)": [0, -9, 2],
    "i.at[[0, 1, 1]].divide(1.5)": [0.0, 0.5, 2.0],
    "i.at[[0, 1, 1]].power(0.5)": [1, 1, 2],
    "i.at[2].power(3)": [0, 1, 8],
    "u.at[[0, 1, 1]].subtract(1.5)": [0, 0, 2],
    "u.at[1].min(np.int8(-3))": [0, 253, 2],
    "u.at[1].max(np.int8(-3))": [0, 1, 2],
    "b.at[1].min(-1)": [True, True, True],
    "b.at[1].max(-1)": [True, False, True],
    "b.at[1].set(3j)": [True, False, True],
    "f.at[1].divide(3j)": [0.0, np.inf, 2.0],
}


@pytest.mark.parametrize("call", MIXED_UPDATES)
@pytest.mark.filterwarnings("ignore:scatter inputs have incompatible types")
def test_update_by_a_higher_dtype(call):
    given = {
        "i": cnp.arange(3), "u": cnp.arange(3, dtype="uint8"), "b": cnp.arange(3) != 1, "f": cnp.arange(3.0),
    }  # fmt: skip
    where = call.replace("[[0, 1, 1]]", "[cnp.array([0, 1, 1])]")
    out = eval(where, {"np": np, "cnp": cnp, **given})
    assert out.dtype == (np.float32 if "divide" in call else given[call[0]].dtype)
    np.testing.assert_array_equal(out, MIXED_UPDATES[call])


def test_polynomials_as_columns():
    np.testing.assert_array_equal(cnp.polyadd(cnp.ones((2, 3)), cnp.ones((1, 3))), [[1] * 3, [2] * 3])
    np.testing.assert_array_equal(cnp.polysub(cnp.eye(2), cnp.ones(2)), [[0, -1], [-1, 0]])
    with pytest.raises(ValueError, match="one-dimensional"):
        cnp.polymul(cnp.eye(2), cnp.ones(2))


def test_reductions_in_dtypes_without_nan():
    x = np.array([1, np.nan, 0, 2], np.float32)
    np.testing.assert_array_equal(cnp.nancumsum(x, dtype=bool), [True] * 4)
    np.testing.assert_array_equal(cnp.nancumprod(x, dtype=bool), [True, True, False, False])
    np.testing.assert_array_equal(cnp.cumsum(cnp.array([0, 2, 0]), dtype=bool), [False, True, True])
    nothing = np.full(2, np.nan, np.float32)
    assert cnp.nanmean(nothing, dtype=int) == -1 and cnp.nanmean(nothing, dtype="uint8") == 255
    with pytest.raises(TypeError):
        cnp.mean(x, dtype=bool)
    with pytest.raises(ValueError, match="real"):
        cnp.var(x * 1j, dtype=np.float32)


def test_weakness_of_sets_and_poch():
    assert cnp.union1d(1, 2).weak_type and cnp.union1d(1, 2.0).dtype == np.float32
    assert cnp.unique(2.0).weak_type and cnp.unique(2.0, size=2).weak_type
    assert not cnp.union1d(cnp.arange(2.0), 1.0).weak_type
    assert not ct.scipy.special.poch(1.0, 2.0).weak_type


def test_slopes_of_gamma_at_zero():
    slopes = ct.lax.random_gamma_grad(cnp.array([0.0, 1.0, 2.0]), cnp.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(slopes, [np.nan, 0.0, 0.75077868], rtol=1e-6)


@pytest.mark.parametrize(
    "data, words",
    [
        (1.5, [928981903, 3453687069]),
        (True, [928981903, 3453687069]),
        (np.float32(3.7), [2467461003, 3840466878]),
    ],
)
def test_fold_in_of_other_numbers(data, words):
    for fold_in in (ct.random.fold_in, ct.jit(ct.random.fold_in)):
        assert ct.random.key_data(fold_in(ct.random.key(0), data)).tolist() == words


def test_fold_in_does_not_wrap():
    for data in (-1, 2**32, float("inf")):
        with pytest.raises(OverflowError):
            ct.random.fold_in(ct.random.key(0), data)


def test_factorizations_and_norms_at_their_edges():
    nothing = cnp.ones((0, 3))
    for ord in (2, np.inf, 1):
        assert cnp.linalg.norm(nothing, ord).shape == () and not np.any(cnp.linalg.norm(nothing, ord))
    with pytest.raises(ValueError):
        cnp.linalg.norm(nothing, -2)
    assert cnp.linalg.qr(cnp.ones((3, 2)), mode="full").Q.shape == (3, 2)  # NumPy's older name of "reduced"
    permutation, lower, upper = ct.scipy.linalg.lu(cnp.array([[0, 1j], [2, 1]]))
    assert permutation.dtype == np.float32
    np.testing.assert_allclose(permutation @ lower @ upper, [[0, 1j], [2, 1]], atol=1e-6)


def test_complex_results_of_failed_decompositions_are_nan_in_both_parts():
    indefinite = -cnp.eye(2, dtype=np.complex64)
    factor = np.asarray(cnp.linalg.cholesky(indefinite))
    assert np.isnan(factor[1, 1].real) and np.isnan(factor[1, 1].imag)
    values = np.asarray(cnp.linalg.eigvals(cnp.full((2, 2), np.nan)))
    assert np.isnan(values.real).all() and np.isnan(values.imag).all()


def test_scipy_decompositions_take_lists_and_oblong_matrices():
    factors, pivots = ct.scipy.linalg.lu_factor(np.float32([[1, 2], [3, 4], [5, 6]]))
    assert factors.shape == (3, 2) and pivots.shape == (2,)
    np.testing.assert_allclose(ct.scipy.linalg.eigh([[2, 0], [0, 1]], eigvals_only=True), [1, 2], rtol=1e-6)
    with pytest.raises(TypeError):
        ct.scipy.linalg.det("a")


def test_conditions_of_select_and_batches_of_matmul():
    choices = [cnp.arange(2.0), cnp.ones(2)]
    np.testing.assert_array_equal(cnp.select([cnp.array([0.5, 0.0]), 1], choices), [0, 1])
    with pytest.raises(ValueError, match="leading dimensions"):
        cnp.matmul(cnp.ones((2, 1, 3)), cnp.ones((4, 3, 2)))


def test_one_variable_and_nothing_to_take():
    x = np.arange(4, dtype=np.float32)
    for value in (cnp.cov(x[None]), cnp.cov(x[:, None], rowvar=False), cnp.corrcoef(x[None])):
        assert value.shape == ()
    with pytest.raises(IndexError, match="no elements"):
        cnp.take(cnp.ones(0), 0)
    assert cnp.take(cnp.ones(0), np.zeros(0, int)).shape == (0,)
