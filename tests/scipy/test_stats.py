"""Distributions and statistics against SciPy: values in both precisions, derivatives, documentation."""

import doctest
import inspect
import warnings

import numpy as np
import pytest
import scipy.stats

import canter as ct
import canter.numpy as cnp
from canter.scipy import stats

_LINE = np.array([-7.0, -1.5, 0.0, 0.3, 1.0, 4.0, 30.0])
_UNIT = np.array([-0.5, 0.0, 0.1, 0.5, 0.75, 1.0, 1.5])
_COUNTS = np.array([-1, 0, 1, 2, 3, 5, 6, 40])
_PLACED = ((), (0.5, 2.0))
_UNIFORM = ((), (-1.0, 3.0))

# Distribution -> where, and lists of parameters (loc and scale last where the distribution has them).
_CASES = {
    **dict.fromkeys("norm expon laplace logistic cauchy gumbel_r gumbel_l".split(), (_LINE, _PLACED)),
    "uniform": (_LINE, _UNIFORM),
    "gamma": (_LINE, ((0.5,), (2.0, 0.5, 2.0), (30.0,))),
    "chi2": (_LINE, ((1.0,), (3.0, 0.5, 2.0), (7.0,))),
    "beta": (_UNIT, ((2.0, 3.0), (0.5, 1.0, -0.5, 2.0), (30.0, 4.0))),
    "pareto": (_LINE, ((2.0,), (0.7, -1.0, 2.0))),
    "t": (_LINE, ((3.0,), (0.7, -1.0, 2.0), (1e4,))),
    "gennorm": (_LINE, ((1.0,), (3.0,), (0.6,))),
    "vonmises": (_LINE, ((0.3,), (8.0,))),
    "wrapcauchy": (np.array([0.0, 0.3, 2.0, 6.2, 6.3, -0.1]), ((0.3,), (0.9,))),
    "truncnorm": (_LINE, ((-1.0, 2.0), (3.0, 5.0), (-6.0, -4.0, 1.0, 2.0), (-1.0, np.inf))),
    "bernoulli": (_COUNTS, ((0.3,), (1.0,))),
    "binom": (_COUNTS, ((5, 0.3), (100, 0.4, 1), (5, 1.0))),
    "betabinom": (_COUNTS, ((5, 1.5, 2.0), (100, 0.4, 3.0, 1))),
    "geom": (_COUNTS, ((0.3, 0), (0.9, 1))),
    "nbinom": (_COUNTS, ((5, 0.3), (0.5, 0.4, 1))),
    "poisson": (_COUNTS, ((1.5,), (30.0, 1), (0.0,))),
}
_QUANTILES = {"ppf", "isf"}


def _methods(name):
    return [m for m in getattr(stats, name).__all__ if m != "entropy"]


def _arguments(name, method, dtype):
    """All points with all parameters, as arrays that broadcast."""
    where, parameters = _CASES[name]
    points = np.array([-0.1, 0.0, 0.02, 0.5, 0.9, 1.0, 1.5]) if method in _QUANTILES else where
    known = len(inspect.signature(getattr(getattr(stats, name), method)).parameters) - 1
    placed = [(*p, *(0.0, 1.0)[len(p) - known :]) if len(p) < known else p for p in parameters]
    return [np.asarray(x, dtype) for x in (points, *np.array(placed).T[:known, :, None])]


def _oracle(name, method, arguments):
    exact = [np.asarray(x, np.float64) for x in arguments]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        want = np.asarray(getattr(getattr(scipy.stats, name), method)(*exact))
    # SciPy's quantiles of the Bernoulli distribution at 0 and 1 are ends of its support, and -1.
    return want if (name, method) != ("bernoulli", "ppf") else np.where(exact[0] == 0, 0, want)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(_CASES))
def test_values(name, dtype):
    module, methods = getattr(stats, name), _methods(name)
    with ct.enable_x64(dtype == "float64"):
        arguments = {m: _arguments(name, m, dtype) for m in methods}
        results = ct.jit(lambda given: {m: getattr(module, m)(*given[m]) for m in methods})(arguments)
    for method, got in results.items():
        want = _oracle(name, method, arguments[method])
        assert got.dtype == dtype
        # The logarithm of a tail below the smallest number of the dtype is -inf.
        lost = (
            np.isinf(got) & (want < (-700 if dtype == "float64" else -85)) & (method in ("logcdf", "logsf"))
        )
        rtol, atol = (1e-9, 1e-11) if dtype == "float64" else (4e-5, 2e-6)
        np.testing.assert_allclose(
            np.where(lost, 0, got), np.where(lost, 0, want), rtol, atol, err_msg=f"{name}.{method}"
        )


_SMOOTH = {
    "norm": (0.7, 0.2, 1.3),
    "expon": (0.7, 0.2, 1.3),
    "laplace": (0.7, 0.2, 1.3),
    "logistic": (0.7, 0.2, 1.3),
    "cauchy": (0.7, 0.2, 1.3),
    "gumbel_r": (0.7, 0.2, 1.3),
    "gumbel_l": (0.7, 0.2, 1.3),
    "gamma": (1.7, 2.0, 0.2, 1.3),
    "chi2": (1.7, 2.0, 0.2, 1.3),
    "beta": (0.7, 2.0, 1.5, 0.2, 1.3),
    "pareto": (1.9, 2.0, 0.2, 1.3),
    "t": (0.7, 3.0, 0.2, 1.3),
    "gennorm": (0.7, 3.0),
    "vonmises": (0.7, 3.0),
    "wrapcauchy": (0.7, 0.3),
    "truncnorm": (0.7, -1.0, 2.0, 0.2, 1.3),
}


@pytest.mark.parametrize("name", sorted(_SMOOTH))
def test_derivatives(name):
    point = np.array(_SMOOTH[name])
    module = getattr(stats, name)
    methods = [m for m in module.__all__ if m not in _QUANTILES]
    if name == "beta":  # of its other methods there are derivatives by x only
        methods = ["pdf", "logpdf"]

    def values(x):
        return cnp.stack([getattr(module, m)(*x) for m in methods])

    weights = np.random.RandomState(0).rand(len(methods))
    with ct.enable_x64(True):
        total = ct.jit(lambda x: weights @ values(x))
        got = ct.jit(ct.grad(total))(point)
        steps = 1e-6 * np.eye(point.size)
        want = [(total(point + step) - total(point - step)) / 2e-6 for step in steps]
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=2e-8)


def test_derivatives_outside_of_the_support_are_zero():
    for name, parameters in (("expon", ()), ("gamma", (2.0,)), ("pareto", (2.0,)), ("beta", (2.0, 3.0))):
        assert ct.grad(getattr(stats, name).pdf)(-3.0, *parameters) == 0


def test_vectors():
    x, alpha = np.array([[0.2, 0.1], [0.3, 0.5], [0.5, 0.4]]), np.array([1.0, 2.5, 3.0])
    with ct.enable_x64(True):
        for method in ("pdf", "logpdf"):
            got = getattr(stats.dirichlet, method)
            want = getattr(scipy.stats.dirichlet, method)
            np.testing.assert_allclose(got(x, alpha), want(x, alpha))
            np.testing.assert_allclose(got(x[:-1, 0], alpha), want(x[:-1, 0], alpha))
        counts, p = np.array([[1, 2, 3], [2, 2, 1]]), np.array([0.2, 0.3, 0.5])
        np.testing.assert_allclose(
            stats.multinomial.pmf(counts, 6, p), scipy.stats.multinomial.pmf(counts, 6, p)
        )
        cov = np.array([[2.0, 0.3, 0.1], [0.3, 1.0, 0.2], [0.1, 0.2, 0.7]])
        points, mean = np.random.RandomState(0).randn(2, 4, 3), np.array([0.1, -0.3, 1.0])
        for method in ("pdf", "logpdf"):
            got = getattr(stats.multivariate_normal, method)(points, mean, cov)
            np.testing.assert_allclose(
                got, getattr(scipy.stats.multivariate_normal, method)(points, mean, cov)
            )
        np.testing.assert_allclose(
            stats.multivariate_normal.logpdf(points, mean, 2.0),
            scipy.stats.multivariate_normal.logpdf(points, mean, 2.0),
        )
        np.testing.assert_allclose(
            stats.multivariate_normal.logpdf(points[0, 0], 0.0, 2.0),
            scipy.stats.norm.logpdf(points[0, 0], 0.0, np.sqrt(2.0)),
        )
        batch = np.stack([cov, 2 * cov])[:, None]
        got = stats.multivariate_normal.logpdf(points, mean, batch)
        want = [
            scipy.stats.multivariate_normal.logpdf(x, mean, c[0]) for x, c in zip(points, batch, strict=True)
        ]
        np.testing.assert_allclose(got, want)
    assert stats.dirichlet.logpdf(np.array([0.2, 0.3, 0.6]), alpha) == -np.inf
    with pytest.raises(ValueError, match="one-dimensional"):
        stats.dirichlet.logpdf(x, np.ones((2, 2)))
    with pytest.raises(NotImplementedError, match="allow_singular"):
        stats.multivariate_normal.logpdf(1.0, 0.0, 1.0, allow_singular=True)


def test_entropy_of_poisson():
    mean = np.array([0.0, 0.1, 2.0, 50.0, 99.0, 101.0, 1000.0, -1.0])
    with ct.enable_x64(True):
        np.testing.assert_allclose(stats.poisson.entropy(mean), scipy.stats.poisson.entropy(mean), rtol=1e-6)


@pytest.mark.parametrize(("d", "bw_method"), [(1, None), (2, "silverman"), (2, 0.4)])
def test_density_estimate(d, bw_method):
    rng = np.random.RandomState(0)
    sample, points, weights = rng.randn(d, 12), rng.randn(d, 5), rng.rand(12)
    with ct.enable_x64(True):
        got = stats.gaussian_kde(cnp.asarray(sample), bw_method, weights)
        want = scipy.stats.gaussian_kde(sample, bw_method, weights)
        np.testing.assert_allclose(got(points), want(points))
        np.testing.assert_allclose(got.logpdf(points), want.logpdf(points))
        np.testing.assert_allclose(got.covariance, want.covariance)
        np.testing.assert_allclose(got.inv_cov, want.inv_cov)
        np.testing.assert_allclose(got.neff, want.neff)
        mean, cov = np.ones(d), np.eye(d)
        np.testing.assert_allclose(got.integrate_gaussian(mean, cov), want.integrate_gaussian(mean, cov))
        np.testing.assert_allclose(got.integrate_kde(got), want.integrate_kde(want))
        if d == 1:
            np.testing.assert_allclose(got.integrate_box_1d(-1, 2), want.integrate_box_1d(-1, 2))
        assert got.resample(ct.random.key(0), (3, 2)).shape == (d, 3, 2)
        inside = ct.jit(lambda kde, x: kde(x))(got, points)
        np.testing.assert_allclose(inside, want(points))
    with pytest.raises(NotImplementedError, match="1D"):
        got.integrate_box(0, 1)
    with pytest.raises(AttributeError):
        got.neff = 3


def test_density_estimate_refuses():
    with pytest.raises(ValueError, match="several"):
        stats.gaussian_kde(cnp.ones(1))
    with pytest.raises(ValueError, match="bw_method"):
        stats.gaussian_kde(cnp.arange(3.0), "foo")
    with pytest.raises(ValueError, match="length n"):
        stats.gaussian_kde(cnp.arange(3.0), weights=cnp.ones(2))
    with pytest.raises(ValueError, match="dimension"):
        stats.gaussian_kde(cnp.arange(3.0))(cnp.ones((2, 3)))


_TABLE = np.array([[3.0, 1.0, 1.0, 2.0], [5.0, 5.0, 2.0, 5.0], [np.nan, 1.0, 2.0, np.nan]])


@pytest.mark.parametrize("axis", [-1, None])
def test_statistics_of_samples(axis):
    with ct.enable_x64(True):
        for keepdims in (axis is None, False):
            got = stats.mode(_TABLE, axis=axis, keepdims=keepdims)
            want = scipy.stats.mode(_TABLE, axis=axis, keepdims=keepdims)
            np.testing.assert_array_equal(got.mode, want.mode)
            np.testing.assert_array_equal(got.count, want.count)
            for policy in ("propagate", "omit"):
                got = stats.sem(_TABLE, axis=axis, nan_policy=policy, keepdims=keepdims)
                want = scipy.stats.sem(_TABLE, axis=axis, nan_policy=policy, keepdims=keepdims)
                np.testing.assert_allclose(got, want)
        for method in ("average", "min", "max", "dense", "ordinal"):
            for table in (_TABLE, np.array([[3, 1, 1], [2, 2, 7]])):
                got = stats.rankdata(table, method, axis=axis)
                np.testing.assert_array_equal(got, scipy.stats.rankdata(table, method, axis=axis))


def test_statistics_refuse():
    with pytest.raises(NotImplementedError, match="omit"):
        stats.mode(_TABLE, nan_policy="omit")
    with pytest.raises(ValueError, match="foo"):
        stats.rankdata(_TABLE, "foo")
    with pytest.raises(ValueError, match="nan_policy"):
        stats.sem(_TABLE, nan_policy="raise")
    assert np.isnan(stats.mode(cnp.zeros(0)).mode)


def _documented():
    for name in dir(stats):
        value = getattr(stats, name)
        if inspect.ismodule(value):
            yield from ((f"{name}.{method}", getattr(value, method)) for method in value.__all__)
        else:
            yield name, value


def test_examples():
    runner = doctest.DocTestRunner(verbose=False)
    for name, function in _documented():
        assert ">>>" in function.__doc__, name
        output: list[str] = []
        test = doctest.DocTestParser().get_doctest(inspect.cleandoc(function.__doc__), {}, name, None, 0)
        runner.run(test, out=output.append)
        assert not output, "".join(output)
