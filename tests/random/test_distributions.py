"""Samples against the distributions they are drawn from, and what samplers refuse."""

import numpy as np
import pytest
import scipy.stats

import canter as ct
from canter import random

_N = 4000
_KEY = random.key(7)
_STATS = scipy.stats
_CONTINUOUS = {
    "uniform": (lambda: random.uniform(_KEY, (_N,), minval=-1.0, maxval=3.0), _STATS.uniform(-1, 4)),
    "normal": (lambda: random.normal(_KEY, (_N,)), _STATS.norm()),
    "truncated_normal": (lambda: random.truncated_normal(_KEY, -1.0, 2.0, (_N,)), _STATS.truncnorm(-1, 2)),
    "gumbel": (lambda: random.gumbel(_KEY, (_N,)), _STATS.gumbel_r()),
    "gumbel high": (lambda: random.gumbel(_KEY, (_N,), mode="high"), _STATS.gumbel_r()),
    "exponential": (lambda: random.exponential(_KEY, (_N,)), _STATS.expon()),
    "laplace": (lambda: random.laplace(_KEY, (_N,)), _STATS.laplace()),
    "logistic": (lambda: random.logistic(_KEY, (_N,)), _STATS.logistic()),
    "cauchy": (lambda: random.cauchy(_KEY, (_N,)), _STATS.cauchy()),
    "maxwell": (lambda: random.maxwell(_KEY, (_N,)), _STATS.maxwell()),
    "weibull_min": (lambda: random.weibull_min(_KEY, 2.0, 1.5, (_N,)), _STATS.weibull_min(1.5, scale=2)),
    "pareto": (lambda: random.pareto(_KEY, 2.0, (_N,)), _STATS.pareto(2)),
    "rayleigh": (lambda: random.rayleigh(_KEY, 2.0, (_N,)), _STATS.rayleigh(scale=2)),
    "triangular": (lambda: random.triangular(_KEY, 0.0, 1.0, 4.0, (_N,)), _STATS.triang(0.25, scale=4)),
    "wald": (lambda: random.wald(_KEY, 2.0, (_N,)), _STATS.invgauss(2.0)),
    "lognormal": (lambda: random.lognormal(_KEY, 0.5, (_N,)), _STATS.lognorm(0.5)),
    "gamma": (lambda: random.gamma(_KEY, 0.6, (_N,)), _STATS.gamma(0.6)),
    "loggamma": (lambda: random.loggamma(_KEY, 0.6, (_N,)), _STATS.loggamma(0.6)),
    "beta": (lambda: random.beta(_KEY, 0.6, 2.0, (_N,)), _STATS.beta(0.6, 2)),
    "t": (lambda: random.t(_KEY, 3.0, (_N,)), _STATS.t(3)),
    "chisquare": (lambda: random.chisquare(_KEY, 3.0, (_N,)), _STATS.chi2(3)),
    "f": (lambda: random.f(_KEY, 3.0, 5.0, (_N,)), _STATS.f(3, 5)),
}
_DISCRETE = {
    "poisson": (lambda: random.poisson(_KEY, 3.0, (_N,)), _STATS.poisson(3)),
    "poisson of many": (lambda: random.poisson(_KEY, 60.0, (_N,)), _STATS.poisson(60)),
    "binomial": (lambda: random.binomial(_KEY, 20, 0.3, (_N,)), _STATS.binom(20, 0.3)),
    "binomial of many": (lambda: random.binomial(_KEY, 200, 0.7, (_N,)), _STATS.binom(200, 0.7)),
    "geometric": (lambda: random.geometric(_KEY, 0.3, (_N,)), _STATS.geom(0.3)),
    "randint": (lambda: random.randint(_KEY, (_N,), 3, 17), _STATS.randint(3, 17)),
}


@pytest.mark.parametrize("name", sorted(_CONTINUOUS))
def test_continuous(name):
    draw, distribution = _CONTINUOUS[name]
    assert scipy.stats.kstest(np.asarray(draw(), np.float64), distribution.cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", sorted(_DISCRETE))
def test_discrete(name):
    draw, distribution = _DISCRETE[name]
    samples = np.asarray(draw())
    low, high = int(distribution.ppf(0.01)), int(distribution.ppf(0.99))
    edges = np.unique(np.linspace(low, high, 9).astype(int))
    counts = np.histogram(samples, [-np.inf, *(edges + 0.5), np.inf])[0]
    expected = _N * np.diff([0.0, *distribution.cdf(edges), 1.0])
    kept = expected > 5
    statistic = ((counts - expected) ** 2 / np.maximum(expected, 1e-9))[kept].sum()
    assert scipy.stats.chi2.sf(statistic, kept.sum() - 1) > 1e-3


def test_categorical_frequencies():
    logits = np.log(np.array([0.1, 0.2, 0.7]))
    for replace in (True, False):
        shape = (_N,) if replace else (1,)
        keys = _KEY if replace else random.split(_KEY, _N)
        draw = lambda k: random.categorical(k, logits, shape=shape, replace=replace)
        samples = np.asarray(draw(keys) if replace else ct.vmap(draw)(keys)).ravel()
        assert (
            scipy.stats.chisquare(np.bincount(samples, minlength=3), [0.1 * _N, 0.2 * _N, 0.7 * _N]).pvalue
            > 1e-3
        )


def test_orthogonal_and_ball():
    q = np.asarray(random.orthogonal(_KEY, 4, (2,)))
    np.testing.assert_allclose(q @ q.swapaxes(-1, -2), np.broadcast_to(np.eye(4), (2, 4, 4)), atol=1e-5)
    assert np.linalg.norm(np.asarray(random.ball(_KEY, 3, shape=(100,))), axis=-1).max() <= 1


def test_multivariate_normal_moments():
    cov = np.array([[2.0, 0.5], [0.5, 1.0]], np.float32)
    x = np.asarray(random.multivariate_normal(_KEY, np.array([1.0, -1.0], np.float32), cov, (_N,)))
    np.testing.assert_allclose(np.cov(x.T), cov, atol=0.15)
    np.testing.assert_allclose(x.mean(0), [1, -1], atol=0.1)


def test_jit_and_vmap_draw_the_same():
    keys = random.split(_KEY, 3)
    for draw in (
        lambda k: random.normal(k, (4,)),
        lambda k: random.permutation(k, 7),
        lambda k: random.randint(k, (3,), 0, 9),
        lambda k: random.gamma(k, 0.7, (3,)),
    ):
        want = np.stack([np.asarray(draw(k)) for k in keys])
        np.testing.assert_allclose(ct.jit(ct.vmap(draw))(keys), want, rtol=1e-6)


def test_gradient_of_gamma():
    """The derivative of a quantile at a fixed probability, by differences."""
    for a in (0.3, 2.0, 20.0):
        sample = float(random.gamma(_KEY, a))
        probability, step = scipy.stats.gamma(a).cdf(sample), 1e-5 * a
        want = (
            scipy.stats.gamma(a + step).ppf(probability) - scipy.stats.gamma(a - step).ppf(probability)
        ) / (2 * step)
        np.testing.assert_allclose(ct.grad(lambda a: random.gamma(_KEY, a))(a), want, rtol=1e-3)


def test_raw_keys_draw_the_same():
    assert random.normal(random.PRNGKey(3), (2,)).tolist() == random.normal(random.key(3), (2,)).tolist()


_MISTAKES = {
    "no key": (TypeError, lambda: random.uniform(1, (2,)), "random key"),
    "many keys": (ValueError, lambda: random.uniform(random.split(_KEY), (2,)), "single key"),
    "dtype": (ValueError, lambda: random.uniform(_KEY, (2,), int), "float dtype"),
    "complex": (ValueError, lambda: random.gumbel(_KEY, (2,), "complex64"), "float dtype"),
    "integer dtype": (TypeError, lambda: random.randint(_KEY, (2,), 0, 3, float), "integer dtypes"),
    "negative": (ValueError, lambda: random.normal(_KEY, (-1,)), "negative"),
    "shape": (TypeError, lambda: random.normal(_KEY, (1.5,)), "sequence of ints"),
    "traced shape": (TypeError, lambda: ct.jit(lambda n: random.normal(_KEY, (n,)))(3), "static"),
    "bounds": (ValueError, lambda: random.uniform(_KEY, (2,), minval=np.zeros(3)), "broadcast"),
    "probability": (TypeError, lambda: random.bernoulli(_KEY, 1), "floating"),
    "mode": (ValueError, lambda: random.bernoulli(_KEY, 0.5, (), "middle"), "mode"),
    "logits": (TypeError, lambda: random.categorical(_KEY, [1.0, 2.0]), "logits"),
    "integer logits": (ValueError, lambda: random.categorical(_KEY, np.arange(3)), "float dtype"),
    "too many": (ValueError, lambda: random.choice(_KEY, 3, (4,), replace=False), "larger sample"),
    "nothing": (ValueError, lambda: random.choice(_KEY, 0), "greater than 0"),
    "weights": (ValueError, lambda: random.choice(_KEY, 3, p=np.ones(2)), "same size"),
    "population": (TypeError, lambda: random.permutation(_KEY, 2.5), "integer"),
    "axis": (ValueError, lambda: random.permutation(_KEY, np.ones((2, 3)), axis=2), "axis"),
    "sharding": (TypeError, lambda: random.normal(_KEY, (2,), out_sharding=1), "sharding"),
    "covariance": (ValueError, lambda: random.multivariate_normal(_KEY, np.ones(2), np.eye(3)), "cov.shape"),
}


@pytest.mark.parametrize("name", sorted(_MISTAKES))
def test_mistakes(name):
    error, call, words = _MISTAKES[name]
    with pytest.raises(error, match=words):
        call()


def test_dtypes_of_samples_are_those_of_jax():
    """Values of JAX 0.10.2."""
    key, third = random.key(0), np.full(3, 1 / 3, np.float32)
    assert random.multinomial(key, 5, third, dtype="int32").tolist() == [1, 3, 1]
    assert random.multinomial(key, 5, third, dtype="uint8").dtype == np.uint8
    sample = random.lognormal(key, 1.0, shape=(3,), dtype="complex64")
    np.testing.assert_allclose(sample.real, [-0.31656384, 0.06900182, 0.58295977], rtol=1e-5)
    for sampler in (random.geometric, random.poisson):
        with pytest.raises(ValueError, match="integer"):
            sampler(key, 0.5, dtype="float32")
