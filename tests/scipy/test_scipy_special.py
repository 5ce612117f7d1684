"""Special functions against SciPy."""

import numpy as np
import pytest
import scipy.special

import canter as ct
from canter.scipy import special

_LINE = np.array([-30.0, -12.0, -7.0, -2.5, -0.5, 0.3, 1.0, 2.5, 9.0, 40.0])
_POSITIVE = np.array([0.1, 0.7, 1.0, 2.5, 9.0])
_UNIT = np.array([1e-300, 1e-20, 1e-5, 0.01, 0.3, 0.5, 0.9, 1 - 1e-9, 0.0, 1.0, 2.0])

_CASES = {
    **dict.fromkeys("gammaln gammasgn erf erfc ndtr log_ndtr expit i0e i1e entr".split(), (_LINE,)),
    **{
        name: (_POSITIVE, _POSITIVE[::-1].copy())
        for name in "betaln beta gammainc gammaincc xlogy xlog1py rel_entr kl_div boxcox boxcox1p poch".split()
    },
    **dict.fromkeys("gamma digamma i0 i1 logsumexp softmax log_softmax".split(), (_POSITIVE,)),
    "erfinv": (np.array([-0.9, 0.0, 0.3, 0.999]),),
    "ndtri": (_UNIT,),
    "logit": (np.array([0.1, 0.5, 0.9]),),
    "betainc": (np.array([0.5, 2.0]), np.array([2.0, 3.0]), np.array([0.1, 0.9])),
    "factorial": (np.arange(5.0),),
    "comb": (5.0, np.arange(7.0)),
    "polygamma": (np.array([1.0, 2.0]), np.array([2.5, 3.5])),
    "zeta": (np.array([2.5, 3.0]), np.array([1.5, 1.0])),
}


@pytest.fixture(autouse=True)
def _double():
    with ct.enable_x64(True):
        yield


@pytest.mark.parametrize("name", sorted(_CASES))
def test_values(name):
    got = getattr(special, name)(*_CASES[name])
    np.testing.assert_allclose(got, getattr(scipy.special, name)(*_CASES[name]), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("xlogy", (np.array([0.0, 0.0, 1.0]), np.array([0.0, np.nan, 0.0]))),
        ("xlog1py", (np.array([0.0, 1.0]), np.array([-1.0, -1.0]))),
        ("rel_entr", (np.array([0.0, 1.0, -1.0]), np.array([0.0, 0.0, 1.0]))),
        ("entr", (np.array([0.0, -1.0]),)),
    ],
)
def test_edges(name, args):
    np.testing.assert_array_equal(getattr(special, name)(*args), getattr(scipy.special, name)(*args))


@pytest.mark.parametrize(
    ("name", "points"),
    [("log_ndtr", [-25.0, -15.0, -3.0, 0.5, 9.0]), ("ndtri", [1e-6, 0.05, 0.3, 0.99]), ("entr", [0.2, 3.0])],
)
def test_derivatives(name, points):
    oracle = getattr(scipy.special, name)
    for point in points:
        step = 1e-6 * max(abs(point), 1e-6)
        want = (oracle(point + step) - oracle(point - step)) / (2 * step)
        np.testing.assert_allclose(ct.grad(getattr(special, name))(point), want, rtol=1e-5, atol=1e-9)


def test_derivative_of_xlogy_at_zero():
    assert ct.grad(special.xlogy)(0.0, 2.0) == np.log(2.0)


def test_multigammaln():
    np.testing.assert_allclose(
        special.multigammaln(_POSITIVE + 3, 3), scipy.special.multigammaln(_POSITIVE + 3, 3)
    )


def test_what_is_not_supported():
    with pytest.raises(NotImplementedError, match="exact"):
        special.factorial(3, exact=True)
    with pytest.raises(ValueError, match="series_order"):
        special.log_ndtr(1.0, series_order=31)
