"""Decompositions against NumPy and SciPy, and their defining equations."""

import numpy as np
import pytest
import scipy.linalg

from tests.mlir.harness import apply, aval

RNG = np.random.default_rng(4)


def matrices(*shape, dtype=np.float64):
    x = RNG.normal(size=shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * RNG.normal(size=shape)
    return x.astype(dtype)


def like(dtype):
    return lambda *shape: aval(*shape, dtype=dtype)


REAL_OR_COMPLEX = pytest.mark.parametrize("dtype", [np.float64, np.complex128])


def adjoint(x):
    return np.swapaxes(x, -1, -2).conj()


@REAL_OR_COMPLEX
def test_cholesky(dtype):
    a = matrices(2, 4, 4, dtype=dtype)
    a = a @ adjoint(a) + 4 * np.eye(4)
    np.testing.assert_allclose(
        apply("cholesky", a, out=like(dtype)(2, 4, 4)), np.linalg.cholesky(a), atol=1e-10
    )
    a[1] = -a[1]
    got = apply("cholesky", a, out=like(dtype)(2, 4, 4))
    assert np.isfinite(got[0]).all() and np.isnan(got[1]).any()


@REAL_OR_COMPLEX
@pytest.mark.parametrize("left_side", [True, False])
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("mode", ["plain", "transposed", "adjoint", "conjugated"])
def test_triangular_solve(dtype, left_side, lower, mode):
    a = matrices(2, 3, 3, dtype=dtype) + 3 * np.eye(3)
    b = matrices(2, 3, 3, dtype=dtype)
    x = apply(
        "triangular_solve",
        a,
        b,
        out=like(dtype)(2, 3, 3),
        left_side=left_side,
        lower=lower,
        transpose_a=mode in ("transposed", "adjoint"),
        conjugate_a=mode in ("adjoint", "conjugated"),
        unit_diagonal=False,
    )
    t = np.tril(a) if lower else np.triu(a)
    t = {"plain": t, "transposed": np.swapaxes(t, 1, 2), "adjoint": adjoint(t), "conjugated": t.conj()}[mode]
    np.testing.assert_allclose(t @ x if left_side else x @ t, b, atol=1e-8)


def test_lu():
    for shape in ((2, 4, 3), (3, 5), (4, 4)):
        a = matrices(*shape)
        *batch, m, n = shape
        k = min(m, n)
        outs = [aval(*shape, dtype=float), aval(*batch, k, dtype=np.int32), aval(*batch, m, dtype=np.int32)]
        lu, _, permutation = apply("lu", a, out=outs)
        lower = np.tril(lu[..., :, :k], -1) + np.eye(m, k)
        permuted = np.take_along_axis(a, permutation[..., None], -2)
        np.testing.assert_allclose(lower @ np.triu(lu[..., :k, :]), permuted, atol=1e-10)


@REAL_OR_COMPLEX
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (2, 3, 3)])
def test_qr(dtype, full, shape):
    a = matrices(*shape, dtype=dtype)
    *batch, m, n = shape
    k = m if full else min(m, n)
    outs = [like(dtype)(*batch, m, k), like(dtype)(*batch, k, n)]
    q, r = apply("qr", a, out=outs, pivoting=False, full_matrices=full, use_magma=None)
    np.testing.assert_allclose(q @ r, a, atol=1e-10)
    np.testing.assert_allclose(adjoint(q) @ q, np.broadcast_to(np.eye(k), (*batch, k, k)), atol=1e-10)
    np.testing.assert_array_equal(r, np.triu(r))
    outs.append(aval(*batch, n, dtype=np.int32))
    q, r, p = apply("qr", a, out=outs, pivoting=True, full_matrices=full, use_magma=None)
    np.testing.assert_allclose(q @ r, np.take_along_axis(a, p[..., None, :], -1), atol=1e-10)


@REAL_OR_COMPLEX
def test_eigh(dtype):
    a = matrices(2, 4, 4, dtype=dtype)
    a = a + adjoint(a)
    outs = [like(dtype)(2, 4, 4), aval(2, 4, dtype=float)]
    v, w = apply("eigh", a, out=outs, lower=True, sort_eigenvalues=True, subset_by_index=None, algorithm=None)
    np.testing.assert_allclose(w, np.linalg.eigvalsh(a), atol=1e-10)
    np.testing.assert_allclose(a @ v, v * w[..., None, :], atol=1e-9)


@REAL_OR_COMPLEX
@pytest.mark.parametrize("full", [True, False])
def test_svd(dtype, full):
    a = matrices(2, 4, 3, dtype=dtype)
    k = 4 if full else 3
    outs = [aval(2, 3, dtype=float), like(dtype)(2, 4, k), like(dtype)(2, 3, 3)]
    params = {"subset_by_index": None, "algorithm": None}
    s, u, vt = apply("svd", a, out=outs, full_matrices=full, compute_uv=True, **params)
    np.testing.assert_allclose(u[..., :3] * s[:, None] @ vt, a, atol=1e-10)
    (only,) = apply("svd", a, out=outs[:1], full_matrices=full, compute_uv=False, **params)
    np.testing.assert_allclose(only, np.linalg.svd(a, compute_uv=False), atol=1e-10)


@REAL_OR_COMPLEX
def test_eig(dtype):
    a = matrices(4, 4, dtype=dtype)
    z = like(np.complex128)
    params = {"implementation": None, "enable_eigvec_derivs": False}
    w, left, right = apply(
        "eig",
        a,
        out=[z(4), z(4, 4), z(4, 4)],
        compute_left_eigenvectors=True,
        compute_right_eigenvectors=True,
        **params,
    )
    np.testing.assert_allclose(a @ right, right * w, atol=1e-9)
    np.testing.assert_allclose(adjoint(left) @ a, w[:, None] * adjoint(left), atol=1e-9)


def test_schur_hessenberg_tridiagonal():
    a = matrices(4, 4)
    f = like(np.float64)
    t, z = apply(
        "schur", a, out=[f(4, 4)] * 2, compute_schur_vectors=True, sort_eig_vals=False, select_callable=None
    )
    np.testing.assert_allclose(z @ t @ z.T, a, atol=1e-10)
    packed, _ = apply("hessenberg", a, out=[f(4, 4), f(3)])
    np.testing.assert_allclose(np.triu(packed, -1), scipy.linalg.hessenberg(a), atol=1e-10)
    symmetric = a + a.T
    _, d, e, _ = apply("tridiagonal", symmetric, out=[f(4, 4), f(4), f(3), f(3)], lower=True)
    np.testing.assert_allclose(
        scipy.linalg.eigh_tridiagonal(d, e, eigvals_only=True), np.linalg.eigvalsh(symmetric), atol=1e-10
    )


@pytest.mark.parametrize("perturb", [False, True])
def test_tridiagonal_solve(perturb):
    low, middle, high = matrices(3, 5)
    middle = middle + 4
    b = matrices(5, 2)
    full = np.diag(middle) + np.diag(high[:-1], 1) + np.diag(low[1:], -1)
    x = apply(
        "tridiagonal_solve", low, middle, high, b, out=aval(5, 2, dtype=float), perturb_singular=perturb
    )
    np.testing.assert_allclose(full @ x, b, atol=1e-10)


def test_kernels_take_single_and_double_precision_only():
    with pytest.raises(NotImplementedError, match="no kernel for float16"):
        apply("cholesky", np.eye(2, dtype=np.float16), out=aval(2, 2, dtype=np.float16))


@pytest.mark.parametrize(
    "kind, reference", [(0, np.fft.fftn), (1, np.fft.ifftn), (2, np.fft.rfftn), (3, np.fft.irfftn)]
)
def test_fft(kind, reference):
    x = matrices(3, 4, 6, dtype=np.float64 if kind == 2 else np.complex128)
    lengths = (4, 6) if kind != 3 else (4, 10)
    expected = reference(x, lengths, axes=(1, 2))
    got = apply("fft", x, out=aval(*expected.shape, dtype=expected.dtype), fft_type=kind, fft_lengths=lengths)
    np.testing.assert_allclose(got, expected, atol=1e-10)
