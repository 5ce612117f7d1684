"""Linear algebra against SciPy."""

import numpy as np
import pytest
import scipy.linalg

import canter as ct
from canter.scipy import linalg

_RNG = np.random.default_rng(0)
_A = _RNG.normal(size=(4, 4))
_P = _A @ _A.T + 4 * np.eye(4)
_B = _RNG.normal(size=(4, 2))
_b = _B[:, 0]


@pytest.fixture(autouse=True)
def _double():
    with ct.enable_x64(True):
        yield


def _same(got, want):
    if not isinstance(want, tuple):
        got, want = (got,), (want,)
    for x, y in zip(got, want, strict=True):
        np.testing.assert_allclose(x, y, atol=1e-10)


@pytest.mark.parametrize("lower", [False, True])
def test_cholesky(lower):
    triangle = np.tril(_P) if lower else np.triu(_P)
    _same(linalg.cholesky(triangle, lower=lower), scipy.linalg.cholesky(_P, lower=lower))
    factor = linalg.cho_factor(_P, lower)
    for b in (_b, _B):
        _same(linalg.cho_solve(factor, b), scipy.linalg.solve(_P, b))
    _same(linalg.solve(_P, _B, lower=lower, assume_a="pos"), scipy.linalg.solve(_P, _B))


@pytest.mark.parametrize("trans", [0, 1, 2, "N", "T", "C"])
def test_solve_triangular(trans):
    for lower in (False, True):
        want = scipy.linalg.solve_triangular(_P, _b, trans=trans, lower=lower)
        _same(linalg.solve_triangular(_P, _b, trans=trans, lower=lower), want)


def test_solve_triangular_of_unit_diagonal():
    want = scipy.linalg.solve_triangular(_A, _B, lower=True, unit_diagonal=True)
    _same(linalg.solve_triangular(_A, _B, lower=True, unit_diagonal=True), want)


@pytest.mark.parametrize("trans", [0, 1, 2])
def test_lu_solve(trans):
    z = _A + 1j * _P
    for b in (_b, _B):
        want = scipy.linalg.lu_solve(scipy.linalg.lu_factor(z), b, trans=trans)
        _same(linalg.lu_solve(linalg.lu_factor(z), b, trans=trans), want)


def test_others():
    _same(linalg.solve(_A, _B), scipy.linalg.solve(_A, _B))
    _same(linalg.inv(_A), scipy.linalg.inv(_A))
    _same(linalg.det(_A), scipy.linalg.det(_A))
    _same(linalg.lu(_A), scipy.linalg.lu(_A))
    _same(linalg.lu(_A[:2], permute_l=True), scipy.linalg.lu(_A[:2], permute_l=True))
    _same(linalg.eigh(_P, eigvals_only=True), scipy.linalg.eigh(_P, eigvals_only=True))
    _same(linalg.svd(_A, compute_uv=False), scipy.linalg.svd(_A, compute_uv=False))
    q, r = linalg.qr(_A[:, :2], mode="economic")
    _same(q @ r, _A[:, :2])
    _same(linalg.block_diag(_A, _b, 3.0), scipy.linalg.block_diag(_A, _b, 3.0))
    _same(linalg.toeplitz(_b, _A[0, :3]), scipy.linalg.toeplitz(_b, _A[0, :3]))


@pytest.mark.parametrize("scale", [0.01, 1.0, 20.0])
def test_expm(scale):
    want = scipy.linalg.expm(_A * scale)
    np.testing.assert_allclose(linalg.expm(_A * scale), want, rtol=1e-9, atol=1e-9 * abs(want).max())


def test_batches_and_derivatives():
    stack, sides = np.stack([_P, 2 * _P]), np.stack([_B, _B])
    _same(linalg.cho_solve(linalg.cho_factor(stack), sides), np.linalg.solve(stack, sides))
    slopes = ct.grad(lambda p: linalg.solve_triangular(p, _b, lower=True).sum())(_P)
    step = np.zeros_like(_P)
    step[2, 1] = 1e-6
    oracle = lambda p: scipy.linalg.solve_triangular(p, _b, lower=True).sum()
    np.testing.assert_allclose(slopes[2, 1], (oracle(_P + step) - oracle(_P - step)) / 2e-6, rtol=1e-6)


# --- matrices that a few numbers determine --------------------------------------------------------

_V, _W = _RNG.normal(size=5), _RNG.normal(size=3)
_OF_VECTORS = {
    "circulant": [(_V,), (_V[:1],)],
    "companion": [(_V,), (_V[:2],)],
    "convolution_matrix": [(_V, n, mode) for n in (2, 7) for mode in ("full", "same", "valid")],
    "fiedler": [(_V,)],
    "fiedler_companion": [(_V[:n],) for n in (2, 3, 4, 5)],
    "hankel": [(_V,), (_V, _W)],
    "leslie": [(_V, _V[1:])],
    "toeplitz": [(_V + 1j,), (_V, _W)],
}
_OF_SIZES = {
    "dft": [(5, scale) for scale in (None, "sqrtn", "n")],
    "hadamard": [(1,), (8,)],
    "helmert": [(4,), (4, True)],
    "hilbert": [(5,)],
    "invhilbert": [(1,), (6,)],
    "invpascal": [(6, kind) for kind in ("symmetric", "lower", "upper")],
    "pascal": [(6, kind) for kind in ("symmetric", "lower", "upper")],
}


@pytest.mark.parametrize("name", [*_OF_VECTORS, *_OF_SIZES])
def test_special_matrices(name):
    for args in (_OF_VECTORS | _OF_SIZES)[name]:
        got, want = getattr(linalg, name)(*args), getattr(scipy.linalg, name)(*args)
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "name", ["circulant", "companion", "fiedler", "fiedler_companion", "hankel", "toeplitz"]
)
def test_special_matrices_of_batches(name):
    stack = np.stack([_V, _V[::-1]])
    want = np.stack([getattr(scipy.linalg, name)(row) for row in stack])
    np.testing.assert_allclose(getattr(linalg, name)(stack), want, atol=1e-12)


def test_dtypes_of_special_matrices():
    assert linalg.circulant(np.arange(3, dtype=np.int8)).dtype == np.int8
    assert linalg.hadamard(4, np.float32).dtype == np.float32
    assert linalg.companion(np.arange(1, 4)).dtype == np.float64
    assert linalg.dft(4, dtype=np.complex64).dtype == np.complex64
    assert linalg.pascal(0).shape == linalg.hilbert(0).shape == linalg.dft(0).shape == (0, 0)


# --- forms and functions --------------------------------------------------------------------------

_Z = _A + 1j * _RNG.normal(size=(4, 4))


@pytest.mark.parametrize("a", [_A, _Z], ids=["real", "complex"])
def test_schur_and_hessenberg_forms(a):
    for output in ("real", "complex"):
        _same(linalg.schur(a, output), scipy.linalg.schur(a, output))
    _same(linalg.hessenberg(a, calc_q=True), scipy.linalg.hessenberg(a, calc_q=True))
    _same(linalg.hessenberg(a), scipy.linalg.hessenberg(a))
    form = scipy.linalg.schur(a)
    if a is _A:
        _same(linalg.rsf2csf(*form), scipy.linalg.rsf2csf(*form))


@pytest.mark.parametrize("a", [_A, _Z], ids=["real", "complex"])
def test_matrix_functions(a):
    _same(linalg.sqrtm(a), scipy.linalg.sqrtm(a))
    result, error = linalg.funm(a, ct.numpy.sin, disp=False)
    _same(result, scipy.linalg.sinm(a))
    assert 0 < error < 1e-10
    _same(linalg.expm_frechet(a, _P), scipy.linalg.expm_frechet(a, _P))
    _same(
        linalg.expm_frechet(a, _P, compute_expm=False), scipy.linalg.expm_frechet(a, _P, compute_expm=False)
    )
    for method in ("schur", "eigen"):
        _same(linalg.solve_sylvester(a, _P, _A, method=method), scipy.linalg.solve_sylvester(a, _P, _A))
    _same(linalg.sqrtm(np.zeros((2, 2))), np.zeros((2, 2)))
    assert np.isnan(linalg.solve_sylvester(a, -a, _A)).all()


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("shape", [(4, 4), (4, 2), (2, 4)])
def test_polar(side, shape):
    a = _Z[: shape[0], : shape[1]]
    want = scipy.linalg.polar(a, side)
    _same(linalg.polar(a, side, method="svd"), want)
    if (shape[0] >= shape[1]) if side == "right" else (shape[0] <= shape[1]):
        _same(linalg.polar(a, side), want)
    else:
        with pytest.raises(NotImplementedError, match="method='svd'"):
            linalg.polar(a, side)


@pytest.mark.parametrize("pivoting", [False, True])
@pytest.mark.parametrize("shape", [(4, 2), (2, 4)])
def test_qr_and_products_with_q(shape, pivoting):
    a = _Z[: shape[0], : shape[1]]
    for mode in ("full", "economic", "r"):
        _same(linalg.qr(a, mode=mode, pivoting=pivoting), scipy.linalg.qr(a, mode=mode, pivoting=pivoting))
    for mode, c in (
        ("left", _P[:2]),
        ("right", _P[:, : shape[0]]),
        ("left", _b[:2]),
        ("right", _b[: shape[0]]),
    ):
        for conjugate in (False, True):
            want = scipy.linalg.qr_multiply(a, c, mode, pivoting, conjugate)
            _same(linalg.qr_multiply(a, c, mode, pivoting, conjugate), want)


def test_tridiagonal_eigenvalues():
    values, vectors = linalg.eigh_tridiagonal(_V, _V[1:])
    want_values, want_vectors = scipy.linalg.eigh_tridiagonal(_V, _V[1:])
    _same(values, want_values)
    _same(abs(vectors), abs(want_vectors))
    only = linalg.eigh_tridiagonal(_V, _V[1:], eigvals_only=True, select="i", select_range=(1, 3))
    _same(only, want_values[1:4])


def test_empty_matrices():
    nothing = np.zeros((0, 0))
    results = [linalg.expm(nothing), linalg.sqrtm(nothing), linalg.solve_sylvester(nothing, nothing, nothing),
               linalg.hessenberg(nothing), linalg.funm(nothing, ct.numpy.exp), *linalg.schur(nothing),
               *linalg.rsf2csf(nothing, nothing), *linalg.polar(nothing)]  # fmt: skip
    assert all(x.shape == (0, 0) for x in results)


def _gradient(function, *args):
    """A derivative in a direction by jvp, by central differences, and by vjp."""
    rng = np.random.default_rng(1)
    directions = tuple(rng.normal(size=np.shape(x)) for x in args)
    total = ct.jit(lambda *xs: ct.numpy.abs(function(*xs)).sum())
    ahead, behind = (total(*(x + s * 1e-6 * d for x, d in zip(args, directions))) for s in (1, -1))
    forward = ct.jit(lambda xs, ds: ct.jvp(total, xs, ds)[1])(args, directions)
    slopes = ct.jit(ct.grad(total, tuple(range(len(args)))))(*args)
    backward = sum(np.real(np.sum(np.asarray(g) * d)) for g, d in zip(slopes, directions))
    return forward, (ahead - behind) / 2e-6, backward


@pytest.mark.parametrize(
    "function, args",
    [
        (linalg.sqrtm, (_A,)),
        (lambda a: linalg.funm(a, ct.numpy.sin), (_A,)),
        (linalg.solve_sylvester, (_A, _P, _A)),
        (lambda a, e: linalg.expm_frechet(a, e, compute_expm=False), (_A, _P)),
        (lambda a: linalg.polar(a)[0], (_A,)),
        (lambda a: linalg.hessenberg(a, calc_q=True)[1], (_A,)),
        (lambda a: linalg.rsf2csf(*linalg.schur(a))[0], (_A,)),
        (lambda d, e: linalg.eigh_tridiagonal(d, e)[1], (_V, _V[1:])),
        (lambda a, c: linalg.qr_multiply(a, c)[0], (_B, _A)),
    ],
    ids=[
        "sqrtm",
        "funm",
        "sylvester",
        "expm_frechet",
        "polar",
        "hessenberg",
        "rsf2csf",
        "tridiagonal",
        "multiply",
    ],
)
def test_derivatives(function, args):
    forward, numeric, backward = _gradient(function, *args)
    np.testing.assert_allclose(forward, numeric, rtol=1e-5)
    np.testing.assert_allclose(forward, backward, rtol=1e-9)


def test_more_mistakes():
    mistakes = [
        (lambda: linalg.circulant([1, 2]), TypeError, "circulant"),
        (lambda: linalg.companion(np.ones(1)), ValueError, "at least 2"),
        (lambda: linalg.convolution_matrix(np.ones(2), 0), ValueError, "positive"),
        (lambda: linalg.convolution_matrix(np.ones(2), 2, "half"), ValueError, "mode"),
        (lambda: linalg.dft(2, "m"), ValueError, "scale"),
        (lambda: linalg.dft(2, dtype=np.float32), ValueError, "complex"),
        (lambda: linalg.hadamard(3), ValueError, "power of 2"),
        (lambda: linalg.hankel(1.0), ValueError, "scalar"),
        (lambda: linalg.helmert(0), ValueError, "positive"),
        (lambda: linalg.leslie(_V, _V), ValueError, "one element less"),
        (lambda: linalg.pascal(2, "round"), ValueError, "kind"),
        (lambda: linalg.schur(_A, "round"), ValueError, "output"),
        (lambda: linalg.sqrtm(_A, 2), NotImplementedError, "blocksize"),
        (lambda: linalg.expm(_A.astype(np.float16)), TypeError, "float16"),
        (lambda: linalg.polar(_A, "up"), ValueError, "side"),
        (lambda: linalg.solve_sylvester(_A, _A, _B), ValueError, "as many"),
        (lambda: linalg.solve_sylvester(_A, _A, _A, method="x"), ValueError, "method"),
        (lambda: linalg.expm_frechet(_A, _A[:2, :2]), ValueError, "same shape"),
        (lambda: linalg.eigh_tridiagonal(_V, _V), ValueError, "n - 1"),
        (lambda: linalg.eigh_tridiagonal(_V, _V[1:], select="v"), NotImplementedError, "select='v'"),
        (lambda: linalg.eigh_tridiagonal(np.arange(3), np.arange(2)), TypeError, "float32"),
        (lambda: linalg.qr_multiply(_A, _B), ValueError, "axis -1"),
        (lambda: linalg.svd(_A, lapack_driver="best"), ValueError, "gesvd"),
    ]
    for call, error, words in mistakes:
        with pytest.raises(error, match=words):
            call()


def test_mistakes():
    with pytest.raises(ValueError, match="square"):
        linalg.inv(_B)
    with pytest.raises(ValueError, match="right side"):
        linalg.solve(_A, np.ones(3))
    with pytest.raises(ValueError, match="trans"):
        linalg.solve_triangular(_A, _b, trans=3)
    with pytest.raises(ValueError, match="assume_a"):
        linalg.solve(_A, _b, assume_a="banded")
