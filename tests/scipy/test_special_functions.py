"""Special functions of the exponential, gamma, Bessel and hypergeometric families against SciPy."""

import doctest
import fractions
import inspect
import math
import warnings

import numpy as np
import pytest
import scipy.special

import canter as ct
import canter.numpy as cnp
from canter.scipy import special

_SIZES = np.logspace(-8, 2.4, 27)
_LINE = np.concatenate([-_SIZES[::-1], [0.0], _SIZES])
_POSITIVE = np.concatenate([[0.0], _SIZES])
_X, _Y = np.meshgrid(np.linspace(-9.3, 9.1, 12), np.linspace(-3, 9.7, 12))
_PLANE = (_X + 1j * _Y).ravel()

_CASES = {
    "gammaln": [(_LINE[_LINE != 0],), (np.linspace(0.3, 3, 28),)],
    "loggamma": [(_POSITIVE,), (_PLANE,)],
    "gamma": [(_LINE[abs(_LINE) < 20],), (_PLANE[abs(_PLANE) < 8],)],
    "betaln": [(_SIZES[:, None], np.array([0.3, 4.0, 30.0]))],
    "poch": [(np.array([-1.5, 2.0, 0.3]), 2.0)],
    "wofz": [(_PLANE,), (_LINE,)],
    "erfcx": [(_LINE,), (_PLANE,)],
    "dawsn": [(_LINE,)],
    "fresnel": [(_LINE,)],
    "exp1": [(_POSITIVE,)],
    "expi": [(_LINE,)],
    "expn": [(np.arange(5)[:, None], _POSITIVE)],
    "sici": [(_LINE,)],
    "spence": [(_LINE,)],
    "hyp1f1": [
        (1.0, 2.0, _LINE[abs(_LINE) < 60]),
        (2.3, 0.7, np.linspace(-60, 60, 21)),
        (-2.0, 1.5, np.linspace(-9, 9, 7)),
        (0.5, 1.5, np.array([-300.0, 85.0])),
    ],
    "hyp2f1": [
        (0.5, 1.5, 2.2, np.linspace(-20, 1, 22)),
        (1.0, 2.0, 3.0, np.linspace(-3, 0.98, 8)),
        (-2.0, 1.5, 2.2, np.linspace(-5, 5, 8)),
        (2.5, 1.2, 1.7, np.linspace(-5, 0.99, 8)),
    ],
    "owens_t": [
        (np.linspace(-10, 10, 11)[:, None], np.array([-30.0, -1.0, -0.3, 0.0, 1e-3, 1.0, 2.5, 1e3, np.inf]))
    ],
    "sph_harm_y": [
        (
            np.array([0, 1, 2, 3, 5, 5, 9, 2]),
            np.array([0, 1, -2, 0, -5, 4, 3, 3]),
            np.linspace(0, 3.1, 8),
            1.5,
        )
    ],
}


def _in(dtype, value):
    value = np.asarray(value)
    if value.dtype.kind == "i":
        return value
    return value.astype(np.result_type(dtype, np.complex64) if value.dtype.kind == "c" else dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(_CASES))
def test_values(name, dtype):
    double = dtype == "float64"
    calls = [tuple(_in(dtype, x) for x in call) for call in _CASES[name]]
    with ct.enable_x64(double):
        if name == "sph_harm_y":
            results = [special.sph_harm_y(*calls[0])]
        else:
            results = ct.jit(lambda calls: [getattr(special, name)(*call) for call in calls])(calls)
    limits = np.finfo(dtype)
    for call, got in zip(calls, results, strict=True):
        wide = [x if x.dtype.kind == "i" else _in("float64", x) for x in call]
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            want = getattr(scipy.special, name)(*wide)
        pairs = zip(got, want, strict=True) if isinstance(got, tuple) else [(got, want)]
        for one, other in pairs:
            assert np.finfo(one.dtype).dtype == dtype
            # What the dtype cannot hold needs no digits.
            out_of_range = (abs(other) > limits.max / 4) | (abs(other) < limits.tiny * 4)
            one, other = np.where(out_of_range, 0, one), np.where(out_of_range, 0, other)
            np.testing.assert_allclose(one, other, rtol=1e-11 if double else 7e-5, err_msg=name)


def test_bessel_functions_of_the_first_kind():
    z = np.array([0, 1e-5, 0.05, 0.11, 0.5, 3, 10, 24.5, 31, 50, 90, 100, 300, -3.0, -40])
    with ct.enable_x64(True):
        for v in (0, 1, 40):
            got = special.bessel_jn(z, v=v)
            assert got.shape == (v + 1, z.size)
            np.testing.assert_allclose(got, scipy.special.jv(np.arange(v + 1)[:, None], z), atol=2e-14)
        assert special.bessel_jn(2.0, v=1).shape == (2,)
        slope = ct.grad(lambda x: special.bessel_jn(x, v=3)[2])
        np.testing.assert_allclose(slope(2.0), scipy.special.jvp(2, 2.0))
        np.testing.assert_allclose(ct.grad(slope)(0.05), scipy.special.jvp(2, 0.05, 2))
    single = special.bessel_jn(z.astype(np.float32), v=20, n_iter=70)
    np.testing.assert_allclose(single, scipy.special.jv(np.arange(21)[:, None], z), atol=3e-6)
    with pytest.raises(ValueError, match="negative"):
        special.bessel_jn(1.0, v=-1)


def test_bernoulli_numbers():
    exact = [fractions.Fraction(1)]
    for n in range(1, 61):
        exact.append(-sum(math.comb(n + 1, k) * exact[k] for k in range(n)) / (n + 1))
    with ct.enable_x64(True):
        np.testing.assert_allclose(special.bernoulli(60), np.array(exact, float), rtol=1e-14)
    assert special.bernoulli(0).shape == (1,)
    with pytest.raises(ValueError, match="non-negative"):
        special.bernoulli(-1)


_POINTS = {
    "gammaln": [(0.6,), (1.2,), (2.4,), (-0.5,)],
    "betaln": [(0.6, 12.0), (20.0, 30.0), (1.0, 2.0)],
    "erfcx": [(-1.0,), (7.0,), (12.0,)],
    "dawsn": [(0.5,), (12.0,), (0.0,)],
    "exp1": [(0.5,), (3.0,)],
    "expi": [(0.5,), (-2.0,), (50.0,)],
    "spence": [(0.2,), (1.0,), (5.0,)],
    "hyp1f1": [(1.2, 2.0, 0.5), (1.2, 2.3, -3.0), (0.4, 1.2, -95.0)],
    "hyp2f1": [(1.2, 2.0, 3.5, 0.5), (1.2, 2.0, 2.9, -3.0)],
    "owens_t": [(0.5, 0.6), (0.5, -3.0), (-2.0, 1.5)],
    "fresnel": [(0.5,), (3.1,)],
    "sici": [(0.5,), (6.0,)],
}


@pytest.mark.parametrize("name", sorted(_POINTS))
def test_derivatives(name):
    points = np.array(_POINTS[name]).T
    function = getattr(special, name)
    if name in ("fresnel", "sici"):
        function = lambda x: cnp.stack(getattr(special, name)(x)).T @ np.array([0.3, 0.7])
    with ct.enable_x64(True):
        total = ct.jit(lambda points: cnp.sum(function(*points)))
        values = ct.jit(lambda points: function(*points))
        got = ct.jit(ct.grad(total))(points)
        for i in range(len(points)):
            step = np.zeros_like(points)
            step[i] = 1e-5
            want = (np.asarray(values(points + step)) - values(points - step)) / 2e-5
            np.testing.assert_allclose(got[i], want, rtol=2e-7, atol=1e-9)


def test_derivatives_in_every_mode():
    with ct.enable_x64(True):
        # Orders are whole numbers; E_n' = -E_{n-1}.
        np.testing.assert_allclose(ct.grad(special.expn, 1)(3.0, 0.5), -scipy.special.expn(2, 0.5))
        assert ct.grad(special.expn, 0)(3.0, 0.5) == 0
        z = 0.3 + 0.4j
        want = 2j / np.sqrt(np.pi) - 2 * z * scipy.special.wofz(z)
        np.testing.assert_allclose(ct.grad(special.wofz, holomorphic=True)(z), want)
        np.testing.assert_allclose(
            ct.grad(special.loggamma, holomorphic=True)(z), scipy.special.digamma(z), rtol=1e-12
        )
        second = ct.jit(ct.vmap(ct.grad(ct.grad(special.hyp1f1, 2), 2), (None, None, 0)))(
            1.2, 2.0, cnp.arange(3.0)
        )
        np.testing.assert_allclose(second, 1.2 * 2.2 / 6 * scipy.special.hyp1f1(3.2, 4.0, np.arange(3.0)))
        angle = lambda t: special.sph_harm_y(cnp.array([3]), cnp.array([1]), t[None], cnp.ones(1))[0].real
        step = 1e-6
        want = (angle(cnp.array(0.4 + step)) - angle(cnp.array(0.4 - step))) / (2 * step)
        np.testing.assert_allclose(ct.grad(angle)(cnp.array(0.4)), want, rtol=1e-8)


def test_narrow_dtypes_compute_in_float32():
    for dtype in ("float16", "bfloat16"):
        for name in "dawsn erfcx exp1 expi spence gammaln loggamma".split():
            got = getattr(special, name)(cnp.asarray(1.25, dtype))
            assert got.dtype == dtype
            np.testing.assert_allclose(
                got.astype("float32"), getattr(scipy.special, name)(1.25), rtol=4e-3, atol=1e-3
            )


def test_refusals():
    for call in (
        lambda: special.exp1(1j),
        lambda: special.hyp1f1(1, 2, 1j),
        lambda: special.bessel_jn(1j, v=1),
        lambda: special.sici(1j),
    ):
        with pytest.raises(ValueError, match="complex"):
            call()
    with pytest.raises(NotImplementedError, match="complex"):
        special.fresnel(1j)
    with pytest.raises(NotImplementedError, match="diff_n"):
        special.sph_harm_y(np.array([1]), np.array([1]), 0.5, 0.5, diff_n=1)
    with pytest.raises(TypeError, match="n_max"):
        ct.jit(lambda n: special.sph_harm_y(n, np.array([1]), 0.5, 0.5))(cnp.array([1]))


def test_examples():
    runner = doctest.DocTestRunner(verbose=False)
    for name in dir(special):
        doc = getattr(special, name).__doc__
        assert ">>>" in doc, name
        output: list[str] = []
        runner.run(
            doctest.DocTestParser().get_doctest(inspect.cleandoc(doc), {}, name, None, 0), out=output.append
        )
        assert not output, "".join(output)
