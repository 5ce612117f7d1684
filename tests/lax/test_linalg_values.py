"""Decompositions over dtypes, shapes and options: their defining equations, empty and strange inputs.

The programs that serve where there is no library are held against LAPACK here.
"""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.lax import linalg_algorithms as algorithms, linalg_iterations as iterations
from canter.sharding import Mesh, NamedSharding, PartitionSpec

L = lax.linalg
DTYPES = [np.float32, np.float64, np.complex64, np.complex128]


def numbers(*shape, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def adjoint(x):
    return np.conj(np.swapaxes(x, -1, -2))


def close(got, want, dtype=np.float64):
    single = np.dtype(dtype) in (np.float32, np.complex64)
    np.testing.assert_allclose(np.asarray(got), want, atol=2e-4 if single else 1e-10, rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_defining_equations(dtype):
    x, tall = numbers(2, 4, 4, dtype=dtype), numbers(2, 4, 3, dtype=dtype)
    definite = x @ adjoint(x) + 4 * np.eye(4, dtype=dtype)

    @ct.jit
    def everything(x, tall, definite):
        return {
            "cholesky": L.cholesky(definite),
            "lu": L.lu(tall),
            "qr": L.qr(tall),
            "pivoted": L.qr(tall, pivoting=True, full_matrices=False),
            "eigh": L.eigh(definite),
            "upper": L.eigh(cnp.triu(definite), lower=False, symmetrize_input=False),
            "eig": L.eig(x),
            "schur": L.schur(x),
            **{
                f"svd {name}": L.svd(tall, algorithm=L.SvdAlgorithm[name])
                for name in ("DEFAULT", "QR", "DIVIDE_AND_CONQUER")
            },
        }

    with ct.enable_x64(True):
        found = ct.tree_util.tree_map(np.asarray, everything(x, tall, definite))
    close(found["cholesky"] @ adjoint(found["cholesky"]), definite, dtype)
    factors, _, order = found["lu"]
    lower = np.tril(factors, -1) + np.eye(4, 3)
    close(lower @ np.triu(factors[:, :3]), np.take_along_axis(tall, order[..., None], 1), dtype)
    close(found["qr"][0] @ found["qr"][1], tall, dtype)
    q, r, p = found["pivoted"]
    close(q @ r, np.take_along_axis(tall, p[:, None, :], 2), dtype)
    for name in ("eigh", "upper"):
        v, w = found[name]
        close(definite @ v, v * w[:, None, :], dtype)
        assert w.dtype == np.dtype(dtype).type(0).real.dtype
    w, left, right = found["eig"]
    close(x @ right, right * w[:, None, :], dtype)
    close(adjoint(left) @ x, w[..., None] * adjoint(left), dtype)
    t, z = found["schur"]
    close(z @ t @ adjoint(z), x, dtype)
    for name in ("DEFAULT", "QR", "DIVIDE_AND_CONQUER"):
        u, s, vt = found[f"svd {name}"]
        close(u[..., :3] * s[:, None, :] @ vt, tall, dtype)
        close(adjoint(u) @ u, np.broadcast_to(np.eye(4), (2, 4, 4)), dtype)


@pytest.mark.parametrize("dtype, shape", [(np.float64, (3, 4)), (np.complex128, (4, 3))])
def test_programs_without_a_library(dtype, shape):
    x, square, c = numbers(*shape, dtype=dtype), numbers(4, 4, dtype=dtype), numbers(shape[0], 2, dtype=dtype)

    @ct.jit
    def both(x, square, c):
        packed, taus = L.geqrf(x)
        reflectors = packed[:, : taus.shape[0]]
        hermitian = square + cnp.conj(square.T)
        ours = (
            algorithms.householder_qr(x),
            algorithms.plain_qr(x, pivoting=True, full_matrices=True),
            algorithms.plain_lu(x),
            algorithms.leading_columns(reflectors, taus),
            algorithms.apply_reflectors(reflectors, taus, c, transpose=True),
            algorithms.hessenberg(square),
            algorithms.tridiagonal(hermitian, lower=False),
            algorithms.polar_svd(x, full_matrices=True, compute_uv=False),
            algorithms.solve_tridiagonal(square[0], square[1], square[2], square),
        )
        theirs = (
            (packed, taus),
            L.qr(x, pivoting=True),
            L.lu(x),
            L.householder_product(reflectors, taus),
            L.ormqr(reflectors, taus, c, transpose=True),
            L.hessenberg(square),
            L.tridiagonal(hermitian, lower=False),
            [L.svd(x, compute_uv=False)],
            L.tridiagonal_solve(square[0], square[1], square[2], square),
        )
        return ours, theirs

    with ct.enable_x64(True):
        ours, theirs = both(x, square, c)
    for got, want in zip(*map(ct.tree_util.tree_leaves, (ours, theirs)), strict=True):
        close(got, np.asarray(want))


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_qr_iteration(dtype):
    x = np.stack([numbers(5, 5, dtype=dtype), np.roll(np.eye(5), 1, 0), np.ones((5, 5))]).astype(dtype)

    @ct.jit
    @ct.vmap
    def forms(x):
        return (
            iterations.plain_schur(x, compute_schur_vectors=True),
            iterations.plain_eig(x, compute_left_eigenvectors=True, compute_right_eigenvectors=True),
        )

    with ct.enable_x64(True):
        (t, z), (w, left, right) = ct.tree_util.tree_map(np.asarray, forms(x))
    close(z @ t @ adjoint(z), x)
    close(adjoint(z) @ z, np.broadcast_to(np.eye(5), x.shape))
    close(np.tril(t, -2), np.zeros_like(t))
    close(x @ right, right * w[:, None, :])
    close(adjoint(left) @ x, w[..., None] * adjoint(left))
    if dtype == np.float64:  # a block of two rows has equal elements on its diagonal
        blocks = np.diagonal(t, -1, 1, 2) != 0
        assert np.sum(blocks[0]) == np.sum(np.linalg.eigvals(x[0]).imag > 0)
        diagonal = np.diagonal(t, 0, 1, 2)
        close(diagonal[:, 1:][blocks], diagonal[:, :-1][blocks])


EMPTY = [(0, 3), (3, 0), (2, 0, 3), (0, 2, 3)]


@pytest.mark.parametrize("shape", EMPTY)
def test_empty_matrices(shape):
    x = np.zeros(shape, np.float32)
    *batch, rows, columns = shape
    rank = min(rows, columns)
    factors, pivots, order = L.lu(x)
    assert (factors.shape, pivots.shape, order.shape) == (shape, (*batch, rank), (*batch, rows))
    for pivoting in (False, True):
        q, r, *_ = L.qr(x, pivoting=pivoting)
        assert (q.shape, r.shape) == ((*batch, rows, rows), (*batch, rows, columns))
    u, s, vt = L.svd(x)
    assert (u.shape, s.shape, vt.shape) == ((*batch, rows, rows), (*batch, rank), (*batch, columns, columns))
    np.testing.assert_array_equal(u, np.broadcast_to(np.eye(rows), u.shape))
    assert cnp.linalg.pinv(x).shape == (*batch, columns, rows)


def test_empty_square_matrices():
    for shape in ((0, 0), (2, 0, 0), (0, 3, 3)):
        x = np.zeros(shape, np.float32)
        for function in (L.cholesky, L.eigh, L.eig, L.schur, L.hessenberg, L.tridiagonal, L.qdwh):
            assert ct.tree_util.tree_leaves(function(x))[0].shape[: len(shape) - 2] == shape[:-2]
    assert L.tridiagonal_solve(*np.zeros((3, 0)), np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_is_not_a_number_does_no_harm(number):
    x = np.eye(3, dtype=np.float32)
    x[0, 0] = number
    for function in (L.eigh, L.eig, L.schur, L.svd, L.qdwh):
        results = [np.asarray(r) for r in ct.tree_util.tree_leaves(function(x))]
        assert any(not np.isfinite(r).all() for r in results), function
    assert np.isnan(L.svd(x, algorithm=L.SvdAlgorithm.QR)[1]).all()
    mixed = np.stack([x, 2 * np.eye(3, dtype=np.float32)])
    np.testing.assert_allclose(L.svd(mixed)[1][1], 2)  # its neighbours come out unharmed


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype):
    x = cnp.eye(3, dtype=dtype) * 2
    assert L.triangular_solve(x, x).dtype == x.dtype
    assert L.cholesky_update(x, x[0]).dtype == L.symmetric_product(x, x).dtype == x.dtype
    assert float(cnp.linalg.det(x)) == 8
    for function in (L.cholesky, L.lu, L.qr, L.svd, L.eigh, L.eig, L.schur, L.hessenberg, cnp.linalg.inv):
        with pytest.raises(NotImplementedError, match=f"no kernel for {dtype}"):
            function(x)


def test_cholesky_update():
    r = np.triu(numbers(2, 3, 3)) + 4 * np.eye(3)
    w = numbers(2, 3, seed=1)
    with ct.enable_x64(True):
        updated = np.asarray(L.cholesky_update(r, w))
        close(np.swapaxes(updated, 1, 2) @ updated, np.swapaxes(r, 1, 2) @ r + w[:, :, None] * w[:, None, :])
        close(L.cholesky_update(r[0] + np.tril(np.ones((3, 3)), -1), w[0]), updated[0])
    with pytest.raises(ValueError, match="cholesky_update"):
        L.cholesky_update(r[0], w[0, :2])
    with pytest.raises(TypeError, match="f32"):
        L.cholesky_update(np.eye(2, dtype=np.float32), np.ones(2, np.float64).astype(np.float16))
    with pytest.raises(TypeError, match="complex"):
        L.cholesky_update(np.eye(2, dtype=np.complex64), np.ones(2, np.complex64))


def test_qdwh_and_its_options():
    x = numbers(5, 3)
    with ct.enable_x64(True):
        u, h, steps, converged = map(np.asarray, L.qdwh(x))
        close(u @ h, x)
        close(u.T @ u, np.eye(3))
        assert steps <= 6 and converged and np.linalg.eigvalsh(h).min() > 0
        assert int(L.qdwh(x, max_iterations=1)[2]) == 1
        hermitian = x[:3] + x[:3].T
        turned = np.asarray(L.qdwh(hermitian, is_hermitian=True)[0])
        close(turned, turned.T)
        part, _, _, _ = map(np.asarray, ct.jit(lambda n: L.qdwh(x, dynamic_shape=(4, n)))(2))
        close(part[:4, :2], np.asarray(L.qdwh(x[:4, :2])[0]))
        close(part[:, 2], np.zeros(5))
    with pytest.raises(ValueError, match="as many rows"):
        L.qdwh(x.T)


def test_batches_over_devices_stay_there():
    mesh = Mesh(np.array(ct.devices()[:4]), ("x",))
    x = numbers(8, 3, 3, dtype=np.float32)
    spread = ct.device_put(x, NamedSharding(mesh, PartitionSpec("x")))

    def everything(x):
        return L.cholesky(x @ x.mT), L.svd(x)[1], L.eigh(x)[1], L.lu(x)[0], L.qr(x)[0], L.schur(x)[0]

    compiled = ct.jit(everything).lower(spread).compile()
    assert "all-gather" not in compiled.as_text()
    for got, want in zip(compiled(spread), ct.jit(everything)(x), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
        assert got.sharding.spec[0] == "x"


def test_tridiagonal_systems_need_pivots():
    lower, middle, upper = np.array([0.0, 1, 2]), np.array([0.0, 1, 1]), np.array([3.0, 1, 0])
    matrix = np.diag(middle) + np.diag(lower[1:], -1) + np.diag(upper[:-1], 1)
    b = numbers(3, 2)
    with ct.enable_x64(True):
        for solve in (L.tridiagonal_solve, algorithms.solve_tridiagonal):
            close(solve(lower, middle, upper, b), np.linalg.solve(matrix, b))
