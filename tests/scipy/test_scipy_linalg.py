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


def test_mistakes():
    with pytest.raises(ValueError, match="square"):
        linalg.inv(_B)
    with pytest.raises(ValueError, match="right side"):
        linalg.solve(_A, np.ones(3))
    with pytest.raises(ValueError, match="trans"):
        linalg.solve_triangular(_A, _b, trans=3)
    with pytest.raises(ValueError, match="assume_a"):
        linalg.solve(_A, _b, assume_a="banded")
