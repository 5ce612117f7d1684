"""softmax, logsumexp and their kin against SciPy."""

import numpy as np
import pytest
import scipy.special

import canter as ct
from canter import nn

_RNG = np.random.default_rng(0)
_X = _RNG.normal(size=(3, 4)) * 5
_MASK = np.array([[1, 1, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]], bool)


@pytest.fixture(autouse=True)
def _double():
    with ct.enable_x64(True):
        yield


@pytest.mark.parametrize("axis", [-1, 0, None, (0, 1)])
def test_softmax(axis):
    np.testing.assert_allclose(nn.softmax(_X, axis), scipy.special.softmax(_X, axis))
    np.testing.assert_allclose(nn.log_softmax(_X, axis), scipy.special.log_softmax(_X, axis))
    np.testing.assert_allclose(nn.logsumexp(_X, axis), scipy.special.logsumexp(_X, axis))
    assert nn.logsumexp(_X, axis, keepdims=True).ndim == 2


def test_softmax_masked():
    got = np.asarray(nn.softmax(_X, where=_MASK))
    for row, mask, probabilities in zip(_X, _MASK, got, strict=True):
        assert (probabilities[~mask] == 0).all()
        if mask.any():
            np.testing.assert_allclose(probabilities[mask], scipy.special.softmax(row[mask]))
    logs = np.asarray(nn.log_softmax(_X, where=_MASK))
    np.testing.assert_allclose(np.exp(logs), got)


def test_gradient_of_masked_softmax_is_finite():
    weights = _RNG.normal(size=_X.shape)
    for x in (_X, np.where(_MASK, _X, np.inf), np.where(_MASK, _X, np.nan)):
        slopes = ct.grad(lambda x: (nn.softmax(x, where=_MASK) * weights).sum())(x)
        assert np.isfinite(np.asarray(slopes)).all()


def test_derivatives():
    weights = _RNG.normal(size=_X.shape)
    for function in (nn.softmax, nn.log_softmax):
        slopes = np.asarray(ct.grad(lambda x: (function(x) * weights).sum())(_X))
        step = 1e-6
        for index in ((0, 1), (2, 3)):
            moved = [_X.copy(), _X.copy()]
            moved[0][index] += step
            moved[1][index] -= step
            up, down = ((np.asarray(function(x)) * weights).sum() for x in moved)
            np.testing.assert_allclose(slopes[index], (up - down) / (2 * step), rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(ct.grad(nn.logsumexp)(_X), scipy.special.softmax(_X))


def test_logsumexp_of_weights():
    b = _RNG.normal(size=(3, 4))
    with np.errstate(all="ignore"):
        want, sign = scipy.special.logsumexp(_X, axis=1, b=b, return_sign=True)
        unsigned = scipy.special.logsumexp(_X, axis=1, b=b)
    got, got_sign = nn.logsumexp(_X, axis=1, b=b, return_sign=True)
    np.testing.assert_allclose(got, want)
    np.testing.assert_allclose(got_sign, sign)
    np.testing.assert_allclose(nn.logsumexp(_X, axis=1, b=b), unsigned)
    np.testing.assert_allclose(nn.logsumexp(_X, where=_MASK), scipy.special.logsumexp(_X[_MASK]))


@pytest.mark.parametrize(
    ("values", "want"),
    [
        ([-np.inf, -np.inf], -np.inf),
        ([np.inf, 1.0], np.inf),
        ([-np.inf, 1.0], 1.0),
        ([], -np.inf),
        ([np.nan, 1.0], np.nan),
    ],
)
def test_logsumexp_of_infinities(values, want):
    np.testing.assert_equal(float(nn.logsumexp(np.array(values))), want)


def test_logsumexp_slope_beside_infinity():
    assert ct.grad(nn.logsumexp)(np.array([-np.inf, 1.0])).tolist() == [0.0, 1.0]


def test_logsumexp_of_complex_numbers():
    z = _X[0] + 1j * _X[1]
    np.testing.assert_allclose(nn.logsumexp(z), scipy.special.logsumexp(z))


def test_logmeanexp():
    np.testing.assert_allclose(nn.logmeanexp(_X, axis=1), np.log(np.exp(_X).mean(1)))
    np.testing.assert_allclose(nn.logmeanexp(_X, where=_MASK), np.log(np.exp(_X[_MASK]).mean()))


@pytest.mark.parametrize("algorithm", ["fast", "stable"])
def test_standardize(algorithm):
    want = (_X - _X.mean(-1, keepdims=True)) / np.sqrt(_X.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(nn.standardize(_X, algorithm=algorithm), want, rtol=1e-6)
    np.testing.assert_allclose(nn.standardize(_X, mean=0.0, variance=1.0, epsilon=0.0), _X)
    with pytest.raises(ValueError, match="algorithm"):
        nn.standardize(_X, algorithm="other")


def test_one_hot():
    assert nn.one_hot(np.array([0, 3, -1, 2]), 3).tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert nn.one_hot(np.array([1, 0]), 3, axis=0).tolist() == [[0, 1], [1, 0], [0, 0]]
    assert nn.one_hot(2, 3, dtype=np.int32).dtype == np.int32
    spread = ct.vmap(lambda i: nn.one_hot(1, 3, axis="i"), axis_name="i", axis_size=3, in_axes=None)(0)
    assert spread.tolist() == [0.0, 1.0, 0.0]


def test_one_hot_mistakes():
    with pytest.raises(TypeError, match="num_classes"):
        ct.jit(lambda n: nn.one_hot(1, n))(3)
    with pytest.raises(ValueError, match="negative"):
        nn.one_hot(1, -1)
    with pytest.raises(TypeError, match="integers"):
        nn.one_hot(np.array([True]), 2)


def test_half_precision_sums_in_single():
    x = np.zeros(4096, np.float16)
    np.testing.assert_allclose(float(nn.softmax(x).astype(np.float32).sum()), 1.0, rtol=1e-3)


def test_where_must_be_boolean():
    with pytest.raises(TypeError, match="booleans"):
        nn.softmax(_X, where=np.ones(4))
    with pytest.raises(ValueError, match="broadcast"):
        nn.softmax(_X, where=np.ones((2, 3, 4), bool))
