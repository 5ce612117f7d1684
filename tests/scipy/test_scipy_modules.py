"""scipy.fft, signal, ndimage, interpolate, cluster, optimize and spatial against SciPy."""

import doctest
import importlib
import inspect
import itertools
import warnings

import numpy as np
import pytest
import scipy.cluster.vq
import scipy.fft
import scipy.integrate
import scipy.interpolate
import scipy.ndimage
import scipy.optimize
import scipy.signal
import scipy.spatial.transform

import canter as ct
import canter.numpy as cnp

_RNG = np.random.RandomState(0)
_CLOSE = {"rtol": 1e-4, "atol": 3e-5}


@pytest.mark.parametrize("norm", [None, "ortho"])
@pytest.mark.parametrize("name", ["dct", "idct", "dctn", "idctn"])
def test_cosine_transforms(name, norm):
    ours, theirs = getattr(ct.scipy.fft, name), getattr(scipy.fft, name)
    for size in (1, 5, 8):
        x = _RNG.randn(3, size).astype("f4")
        np.testing.assert_allclose(ours(x, norm=norm), theirs(x, norm=norm), **_CLOSE)
    options = {"s": (4, 4)} if name.endswith("n") else {"n": 4, "axis": 0}
    np.testing.assert_allclose(ours(x, norm=norm, **options), theirs(x, norm=norm, **options), **_CLOSE)
    with pytest.raises(NotImplementedError, match="type"):
        ours(x, type=1)
    with pytest.raises(ValueError, match="norm"):
        ours(x, norm="forward")


_PAIRS = [
    (_RNG.randn(7), _RNG.randn(3)),
    (_RNG.randn(3), _RNG.randn(6)),
    (_RNG.randn(5, 6), _RNG.randn(2, 3)),
    (_RNG.randn(5) + 1j * _RNG.randn(5), _RNG.randn(4) * 1j),
]


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_convolutions(mode):
    for (a, b), method in itertools.product(_PAIRS, ("direct", "fft")):
        for name in ("convolve", "correlate"):
            got = getattr(ct.scipy.signal, name)(a, b, mode, method)
            np.testing.assert_allclose(got, getattr(scipy.signal, name)(a, b, mode, method), **_CLOSE)
    for name in ("convolve2d", "correlate2d"):
        got = getattr(ct.scipy.signal, name)(*_PAIRS[2], mode)
        np.testing.assert_allclose(got, getattr(scipy.signal, name)(*_PAIRS[2], mode), **_CLOSE)
    a, b = _RNG.randn(2, 3, 2, 5), _RNG.randn(2, 2, 2, 2)
    got = ct.scipy.signal.fftconvolve(a, b, mode)
    np.testing.assert_allclose(got, scipy.signal.fftconvolve(a, b, mode), **_CLOSE)
    got = ct.scipy.signal.fftconvolve(a, b[:1], mode, axes=(1, 3))
    np.testing.assert_allclose(got, scipy.signal.fftconvolve(a, b[:1], mode, axes=(1, 3)), **_CLOSE)


_SIGNAL, _OTHER = _RNG.randn(2, 90).astype("f4"), _RNG.randn(2, 80).astype("f4")
_SPECTRA = [
    ("stft", (_SIGNAL,), {"nperseg": 32}),
    ("stft", (_SIGNAL,), {"fs": 10.0, "nperseg": 30, "noverlap": 20, "nfft": 40, "boundary": "even"}),
    ("stft", (_SIGNAL,), {"boundary": None, "padded": False, "nperseg": 25, "detrend": "constant"}),
    ("stft", (_SIGNAL.T,), {"axis": 0, "nperseg": 16, "boundary": "odd", "return_onesided": False}),
    ("stft", (_SIGNAL,), {"window": ("tukey", 0.25), "boundary": "constant", "nperseg": 32}),
    ("welch", (_SIGNAL,), {"nperseg": 25, "average": "median", "scaling": "spectrum"}),
    ("welch", (_SIGNAL + 1j * _SIGNAL,), {"nperseg": 16}),
    ("csd", (_SIGNAL, _OTHER), {"nperseg": 16, "fs": 5.0}),
    ("csd", (_SIGNAL, _OTHER), {"nperseg": 15, "detrend": "linear", "return_onesided": False}),
    ("csd", (_SIGNAL, _OTHER), {"nperseg": 16, "average": "median"}),
]


@pytest.mark.parametrize(("name", "args", "options"), _SPECTRA, ids=[str(i) for i in range(len(_SPECTRA))])
def test_spectra(name, args, options):
    got = getattr(ct.scipy.signal, name)(*args, **options)
    for one, other in zip(got, getattr(scipy.signal, name)(*args, **options), strict=True):
        np.testing.assert_allclose(one, other, **_CLOSE)


@pytest.mark.parametrize("options", [{}, {"noverlap": 20, "nfft": 40}, {"return_onesided": False}])
def test_inverse_of_the_short_time_transform(options):
    z = scipy.signal.stft(_SIGNAL, nperseg=32, **options)[2]
    back = {"input_onesided" if k == "return_onesided" else k: v for k, v in options.items()}
    got = ct.scipy.signal.istft(z, nperseg=32, **back)[1]
    np.testing.assert_allclose(got, scipy.signal.istft(z, nperseg=32, **back)[1], **_CLOSE)
    np.testing.assert_allclose(got.real[:, :90], _SIGNAL, **_CLOSE)


def test_trends():
    for options in ({}, {"type": "constant"}, {"axis": 0}, {"bp": [30, 50]}):
        got = ct.scipy.signal.detrend(_SIGNAL, **options)
        np.testing.assert_allclose(got, scipy.signal.detrend(_SIGNAL, **options), **_CLOSE)


def test_signal_refuses():
    signal = ct.scipy.signal
    for error, call in (
        (ValueError, lambda: signal.convolve(np.ones(3), np.ones(2), mode="foo")),
        (ValueError, lambda: signal.convolve(np.ones(3), np.ones(2), method="foo")),
        (ValueError, lambda: signal.convolve(np.ones(3), np.ones((2, 2)))),
        (ValueError, lambda: signal.convolve2d(np.ones((3, 2)), np.ones((2, 3)), mode="valid")),
        (NotImplementedError, lambda: signal.convolve2d(np.ones((3, 3)), np.ones((2, 2)), boundary="wrap")),
        (NotImplementedError, lambda: signal.detrend(_SIGNAL, overwrite_data=True)),
        (ValueError, lambda: signal.stft(_SIGNAL, boundary="foo")),
        (ValueError, lambda: signal.welch(_SIGNAL, scaling="foo")),
    ):
        with warnings.catch_warnings(), pytest.raises(error):
            warnings.simplefilter("ignore")
            call()
    with pytest.warns(UserWarning, match="nperseg"):
        signal.welch(np.arange(30.0), nperseg=40)


@pytest.mark.parametrize("mode", ["constant", "nearest", "wrap", "mirror", "reflect"])
def test_values_between_elements(mode):
    image = _RNG.randn(3, 4).astype("f4")
    # SciPy extends by splines beyond the last element; on whole coordinates both agree everywhere.
    whole = [_RNG.randint(-6, 9, 20).astype("f4") for _ in range(2)]
    inside = [_RNG.uniform(0, n - 1, 20).astype("f4") for n in image.shape]
    theirs = {"wrap": "grid-wrap"}.get(mode, mode)
    for places, order in itertools.product((whole, inside), (0, 1)):
        got = ct.scipy.ndimage.map_coordinates(image, places, order, mode, cval=2.0)
        want = scipy.ndimage.map_coordinates(image, places, order=order, mode=theirs, cval=2.0)
        np.testing.assert_allclose(got, want, **_CLOSE)
    counts = ct.scipy.ndimage.map_coordinates(
        np.arange(12).reshape(3, 4), [np.array([0.5]), np.array([0.5])], 1
    )
    assert counts.dtype == np.int32 and counts[0] == 3
    with pytest.raises(NotImplementedError, match="order"):
        ct.scipy.ndimage.map_coordinates(image, inside, 2)
    with pytest.raises(ValueError, match="length"):
        ct.scipy.ndimage.map_coordinates(image, inside[:1], 1)


@pytest.mark.parametrize("method", ["linear", "nearest"])
def test_interpolation_on_a_grid(method):
    points = (np.array([0.0, 1.0, 3.0]), np.array([0.0, 0.5, 2.0, 4.0]))
    values = _RNG.randn(3, 4, 2)
    where = _RNG.uniform(-1, 5, (30, 2))
    for fill in (np.nan, None):
        ours = ct.scipy.interpolate.RegularGridInterpolator(points, values, method, fill_value=fill)
        theirs = scipy.interpolate.RegularGridInterpolator(points, values, method, False, fill)
        np.testing.assert_allclose(ours(where), theirs(where), **_CLOSE)
    with pytest.raises(ValueError, match="method"):
        ct.scipy.interpolate.RegularGridInterpolator(points, values, "cubic")
    with pytest.raises(NotImplementedError, match="bounds_error"):
        ct.scipy.interpolate.RegularGridInterpolator(points, values, bounds_error=True)


def test_small_ones():
    for shape in ((), (2,)):
        points, book = _RNG.randn(5, *shape), _RNG.randn(3, *shape)
        for one, other in zip(
            ct.scipy.cluster.vq.vq(points, book), scipy.cluster.vq.vq(points, book), strict=True
        ):
            np.testing.assert_allclose(one, other, **_CLOSE)
    got = ct.scipy.integrate.trapezoid(_SIGNAL, dx=0.5, axis=0)
    np.testing.assert_allclose(got, scipy.integrate.trapezoid(_SIGNAL, dx=0.5, axis=0), **_CLOSE)


def _rosenbrock(x):
    return cnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


@pytest.mark.parametrize("method", ["BFGS", "l-bfgs-experimental-do-not-rely-on-this"])
def test_minimization(method):
    minimize = ct.scipy.optimize.minimize
    found = ct.jit(lambda x: minimize(_rosenbrock, x, method=method))(cnp.zeros(4))
    assert found.success and found.nit < 60
    np.testing.assert_allclose(found.x, 1, atol=1e-3)
    stopped = minimize(_rosenbrock, cnp.zeros(4), method=method, options={"maxiter": 1})
    assert not stopped.success and stopped.status == 1 and stopped.nit == 1
    shifted = lambda x, a: cnp.sum((x - a) ** 2)
    several = ct.vmap(lambda x: minimize(shifted, x, (3.0,), method=method).x)(cnp.ones((2, 2)))
    np.testing.assert_allclose(several, 3, atol=1e-4)
    for error, call in (
        (ValueError, lambda: minimize(shifted, cnp.ones(2), method="foo")),
        (ValueError, lambda: minimize(shifted, cnp.ones((2, 2)), method=method)),
        (TypeError, lambda: minimize(shifted, cnp.ones(2), args=3, method=method)),
        (TypeError, lambda: minimize(shifted, cnp.ones(2, int), method=method)),
        (TypeError, lambda: minimize(_rosenbrock, cnp.ones(2), method=method, options={"foo": 1})),
    ):
        with pytest.raises(error):
            call()


_SEQUENCES = [
    "".join(p) for p in itertools.product("xyz", repeat=3) if p[0] != p[1] and p[1] != p[2] and p[0] != "z"
]


def test_rotations():
    Rotation = ct.scipy.spatial.transform.Rotation
    vectors = _RNG.randn(6, 3)
    theirs, ours = scipy.spatial.transform.Rotation.from_rotvec(vectors), Rotation.from_rotvec(vectors)
    for name in ("as_matrix", "as_rotvec", "as_mrp", "magnitude"):
        np.testing.assert_allclose(getattr(ours, name)(), getattr(theirs, name)(), **_CLOSE)
    for seq in [*_SEQUENCES, *map(str.upper, _SEQUENCES)]:
        np.testing.assert_allclose(ours.as_euler(seq), theirs.as_euler(seq), **_CLOSE)
    for seq in ("xyz", "ZYX", "zxz"):
        again = scipy.spatial.transform.Rotation.from_euler(seq, vectors).as_matrix()
        np.testing.assert_allclose(Rotation.from_euler(seq, vectors).as_matrix(), again, **_CLOSE)
    matrix = theirs.as_matrix()
    np.testing.assert_allclose(Rotation.from_matrix(matrix).as_matrix(), matrix, **_CLOSE)
    np.testing.assert_allclose(Rotation.from_mrp(theirs.as_mrp()).as_matrix(), matrix, **_CLOSE)
    np.testing.assert_allclose(ours.mean().as_matrix(), theirs.mean().as_matrix(), **_CLOSE)
    np.testing.assert_allclose((ours[0] * ours).as_matrix(), (theirs[0] * theirs).as_matrix(), **_CLOSE)
    for inverse in (False, True):
        np.testing.assert_allclose(ours.apply(vectors, inverse), theirs.apply(vectors, inverse), **_CLOSE)
    np.testing.assert_allclose(ours.as_quat(canonical=True), theirs.as_quat(canonical=True), **_CLOSE)
    times, places = np.arange(6.0), np.array([0, 0.3, 1, 2.7, 5.0])
    got = ct.scipy.spatial.transform.Slerp.init(times, ours)(places).as_matrix()
    want = scipy.spatial.transform.Slerp(times, theirs)(places).as_matrix()
    np.testing.assert_allclose(got, want, **_CLOSE)
    assert Rotation.random(ct.random.key(0)).single and len(Rotation.identity(2)) == 2
    with pytest.raises(TypeError, match="len"):
        len(Rotation.identity())
    with pytest.raises(ValueError, match="axes"):
        Rotation.from_euler("xyA", np.ones(3))


def test_derivative_of_a_rotation_at_rest():
    length = lambda v: ct.scipy.spatial.transform.Rotation.from_rotvec(v).as_rotvec() @ cnp.arange(3.0)
    np.testing.assert_allclose(ct.grad(length)(cnp.zeros(3)), np.arange(3.0), atol=1e-6)


_MODULES = "fft signal ndimage integrate interpolate cluster.vq optimize spatial.transform".split()


@pytest.mark.parametrize("module", _MODULES)
def test_examples(module):
    loaded = importlib.import_module(f"canter.scipy.{module}")
    assert dir(loaded) == loaded.__all__
    for name in loaded.__all__:
        doc = getattr(loaded, name).__doc__
        assert ">>>" in doc, name
        output: list[str] = []
        test = doctest.DocTestParser().get_doctest(inspect.cleandoc(doc), {}, name, None, 0)
        doctest.DocTestRunner(verbose=False).run(test, out=output.append)
        assert not output, "".join(output)
