"""Special functions against SciPy, and their derivatives against central differences of SciPy's."""

import numpy as np
import pytest
import scipy.special

import canter as ct
from canter import lax
from canter.core.config import enable_x64

from .rule_checks import Case, check_batching, check_derivatives


def gamma_arguments(rng, count=300):
    """Parameters from tiny to huge, with points where neither tail vanishes."""
    a = np.exp(rng.uniform(-6, 13, count))
    return a, rng.gamma(a) + 1e-12


def beta_arguments(rng, count=300):
    a, b = np.exp(rng.uniform(-4, 11, count)), np.exp(rng.uniform(-4, 11, count))
    return a, b, np.clip(rng.beta(a, b), 1e-6, 1 - 1e-6)


def errors(got, wanted):
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.max(np.where(np.abs(wanted) > 1e-30, np.abs(np.asarray(got, np.float64) / wanted - 1), 0))


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 2e-5), (np.float64, 1e-11)])
def test_incomplete_gamma(dtype, tolerance):
    with enable_x64(True):
        a, x = (v.astype(dtype) for v in gamma_arguments(np.random.default_rng(0)))
        lower, upper = ct.jit(lambda a, x: (lax.igamma(a, x), lax.igammac(a, x)))(a, x)
        assert lower.dtype == dtype
        exact = a.astype(float), x.astype(float)
        assert errors(lower, scipy.special.gammainc(*exact)) < tolerance
        assert errors(upper, scipy.special.gammaincc(*exact)) < tolerance


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-4), (np.float64, 1e-11)])
def test_incomplete_beta(dtype, tolerance):
    with enable_x64(True):
        a, b, x = (v.astype(dtype) for v in beta_arguments(np.random.default_rng(1)))
        got = lax.betainc(a, b, x)
        assert got.dtype == dtype
        assert (
            errors(got, scipy.special.betainc(a.astype(float), b.astype(float), x.astype(float))) < tolerance
        )


def test_derivative_by_the_parameter_of_gamma():
    rng = np.random.default_rng(2)
    with enable_x64(True):
        a, x = gamma_arguments(rng)
        step = 1e-3 * np.minimum(a, np.sqrt(a))
        f = scipy.special.gammainc
        # A central difference of fourth order.
        numeric = (8 * (f(a + step, x) - f(a - step, x)) - (f(a + 2 * step, x) - f(a - 2 * step, x))) / (
            12 * step
        )
        slope, moved = ct.jit(lambda a, x: (lax.igamma_grad_a(a, x), lax.random_gamma_grad(a, x)))(a, x)
        np.testing.assert_allclose(np.asarray(slope), numeric, rtol=1e-6, atol=1e-9)
        density = np.exp((a - 1) * np.log(x) - x - scipy.special.gammaln(a))
        sensible = np.abs(numeric) > 1e-6
        np.testing.assert_allclose(np.asarray(moved)[sensible], (-numeric / density)[sensible], rtol=1e-5)


def test_edges():
    inf, nan = np.inf, np.nan
    table = [
        (0, 1, 1.0),
        (1, 0, 0.0),
        (1, inf, 1.0),
        (inf, 1, 0.0),
        (-1, 1, nan),
        (1, -1, nan),
        (nan, 1, nan),
        (1, nan, nan),
    ]
    a, x, wanted = np.float32(table).T
    np.testing.assert_array_equal(np.asarray(lax.igamma(a, x)), wanted)
    np.testing.assert_array_equal(np.asarray(lax.igammac(a, x)), 1 - wanted)
    table = [
        (1, 1, 0, 0.0),
        (1, 1, 1, 1.0),
        (2, 3, -0.1, nan),
        (2, 3, 1.1, nan),
        (-1, 1, 0.5, nan),
        (1, nan, 0.5, nan),
    ]
    a, b, x, wanted = np.float32(table).T
    np.testing.assert_array_equal(np.asarray(lax.betainc(a, b, x)), wanted)


def test_bessel_zeta_polygamma():
    with enable_x64(True):
        x = np.concatenate([np.linspace(-40, 40, 81), [1e-8, 1e3, 1e5]])
        np.testing.assert_allclose(np.asarray(lax.bessel_i0e(x)), scipy.special.i0e(x), rtol=1e-14)
        np.testing.assert_allclose(np.asarray(lax.bessel_i1e(x)), scipy.special.i1e(x), rtol=1e-12)
        positive = np.linspace(0.3, 5, 7)
        np.testing.assert_allclose(
            np.asarray(lax.zeta(positive + 1, 2.0)), scipy.special.zeta(positive + 1, 2.0), rtol=1e-12
        )
        np.testing.assert_allclose(
            np.asarray(lax.polygamma(2.0, positive)), scipy.special.polygamma(2, positive), rtol=1e-12
        )


CASES = [
    Case("igamma", lax.igamma, lambda rng: (np.array([0.7, 3.0]), np.array([0.4, 5.0]))),
    Case(
        "igamma_grad_a", lax.igamma_grad_a, lambda rng: (np.array([0.7, 3.0]), np.array([0.4, 5.0])), wrt=(1,)
    ),
    Case("betainc", lambda x: lax.betainc(0.7, 2.0, x), lambda rng: (np.array([0.2, 0.6]),)),
    Case("polygamma", lambda x: lax.polygamma(1.0, x), lambda rng: (np.array([0.5, 2.0]),)),
    Case("zeta", lambda q: lax.zeta(2.5, q), lambda rng: (np.array([0.5, 2.0]),)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_derivatives(case):
    check_derivatives(case)


def test_batching():
    check_batching(Case("zeta", lax.zeta, lambda rng: (rng.uniform(1.5, 2), rng.uniform(0.5, 2, 2))))


@pytest.mark.parametrize(
    "fun", [lambda m: lax.polygamma(m, 1.0), lambda x: lax.zeta(x, 1.0), lambda a: lax.betainc(a, 1.0, 0.5)]
)
def test_derivatives_that_are_not_known(fun):
    with pytest.raises(ValueError, match="is not supported"):
        ct.grad(fun)(2.0)


def test_narrow_types_are_computed_in_float32():
    out = lax.igamma(np.float16(1.5), np.float16([0.5, 2.0]))
    assert out.dtype == np.float16
    np.testing.assert_allclose(np.asarray(out, float), scipy.special.gammainc(1.5, [0.5, 2.0]), rtol=1e-3)
