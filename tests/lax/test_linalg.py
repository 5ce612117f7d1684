"""Decompositions and triangular systems: values against NumPy and SciPy, derivatives, batching, errors."""

import numpy as np
import pytest
import scipy.linalg

import canter as ct
from canter import lax
from canter.core.config import enable_x64

from .rule_checks import Case, check_batching, check_derivatives, check_values

L = lax.linalg


def adjoint(x):
    return np.conj(np.swapaxes(x, -1, -2))


def matrices(*shapes, complex_=False, shift=0.0):
    """Normal matrices; `shift` times the identity makes them well conditioned."""

    def make(rng):
        result = []
        for shape in shapes:
            x = rng.normal(size=shape)
            x = x + 1j * rng.normal(size=shape) if complex_ else x
            result.append(x + shift * np.eye(*shape[-2:]) if len(shape) > 1 else x)
        return tuple(result)

    return make


def definite(n, complex_=False):
    def make(rng):
        (x,) = matrices((n, n), complex_=complex_)(rng)
        return (x @ adjoint(x) + n * np.eye(n),)

    return make


def hermitian(n, complex_=False):
    """Hermitian, with eigenvalues well apart."""

    def make(rng):
        (x,) = matrices((n, n), complex_=complex_)(rng)
        q, _ = np.linalg.qr(x)
        return ((q * (2.0 * np.arange(n) + 0.3 * rng.normal(size=n))) @ adjoint(q),)

    return make


def solved(a, b, left=True, lower=False, op=lambda a: a, unit=False):
    a = np.tril(a) if lower else np.triu(a)
    if unit:
        a = a - np.diag(np.diag(a)) + np.eye(len(a))
    return np.linalg.solve(op(a), b) if left else np.linalg.solve(op(a).T, b.T).T


def triangular_case(name, left, lower, transpose, conjugate, unit, complex_=False):
    op = {
        (False, False): lambda a: a,
        (True, False): lambda a: a.T,
        (False, True): np.conj,
        (True, True): adjoint,
    }[transpose, conjugate]
    options = {
        "left_side": left,
        "lower": lower,
        "transpose_a": transpose,
        "conjugate_a": conjugate,
        "unit_diagonal": unit,
    }
    return Case(
        f"triangular_solve {name}",
        lambda a, b: L.triangular_solve(a, b, **options),
        matrices((3, 3), (3, 2) if left else (2, 3), complex_=complex_, shift=3.0),
        lambda a, b: solved(a, b, left, lower, op, unit),
    )


def conj_transpose(x):
    x = lax.transpose(x, (1, 0))
    return lax.conj(x) if x.dtype.kind == "c" else x


def sine_of(x):
    """The sine of a Hermitian matrix, and its eigenvalues: they do not depend on phases of eigenvectors."""
    v, w = L.eigh(x)
    weights = lax.broadcast_in_dim(lax.convert_element_type(lax.sin(w), v.dtype), v.shape, (1,))
    return lax.dot(lax.mul(v, weights), conj_transpose(v)), w


def np_sine_of(x):
    w, v = np.linalg.eigh(x)
    return [v * np.sin(w) @ adjoint(v), w]


CASES = [
    Case("cholesky", L.cholesky, definite(3), np.linalg.cholesky),
    Case("cholesky complex", L.cholesky, definite(3, True), np.linalg.cholesky),
    triangular_case("upper", True, False, False, False, False),
    triangular_case("lower, right", False, True, False, False, False),
    triangular_case("transposed", True, True, True, False, False),
    triangular_case("transposed, right, unit", False, False, True, False, True),
    triangular_case("adjoint", True, False, True, True, False, True),
    triangular_case("conjugate, right", False, True, False, True, True, True),
    Case("lu", lambda x: L.lu(x)[0], matrices((3, 3), shift=4.0), lambda x: scipy.linalg.lu_factor(x)[0]),
    Case("lu tall", lambda x: L.lu(x)[0], matrices((4, 2), shift=4.0), None),
    Case("lu wide", lambda x: L.lu(x)[0], matrices((2, 4), shift=4.0, complex_=True), None),
    Case("qr", lambda x: L.qr(x), matrices((3, 3)), lambda x: list(np.linalg.qr(x))),
    Case(
        "qr reduced",
        lambda x: L.qr(x, full_matrices=False),
        matrices((4, 2), complex_=True),
        lambda x: list(np.linalg.qr(x)),
    ),
    Case("qr wide", lambda x: L.qr(x), matrices((2, 4)), lambda x: list(np.linalg.qr(x))),
    Case("eigh", sine_of, hermitian(3), np_sine_of),
    Case("eigh complex", sine_of, hermitian(3, True), np_sine_of),
    Case(
        "singular values",
        lambda x: L.svd(x, compute_uv=False),
        matrices((3, 2)),
        lambda x: np.linalg.svd(x, compute_uv=False),
    ),
    Case("eigenvalues", lambda x: L.eig(x, compute_left_eigenvectors=False, compute_right_eigenvectors=False)[0],
         lambda rng: (np.diag([1.0, 3.0, 6.0]) + 0.3 * rng.normal(size=(3, 3)),), None),
    Case(
        "tridiagonal_solve",
        lambda dl, d, du, b: L.tridiagonal_solve(dl, d, du, b),
        lambda rng: (
            np.r_[0, rng.normal(size=3)], 4 + rng.normal(size=4), np.r_[rng.normal(size=3), 0], rng.normal(size=(4, 2)),
        ),
        lambda dl, d, du, b: np.linalg.solve(np.diag(d) + np.diag(dl[1:], -1) + np.diag(du[:-1], 1), b),
    ),
    Case(
        "symmetric_product",
        lambda a, c: L.symmetric_product(a, lax.add(c, lax.transpose(c, (1, 0))), alpha=2.0, beta=3.0),
        matrices((3, 2), (3, 3)),
        lambda a, c: 2 * a @ a.T + 3 * (c + c.T),
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_values(case):
    check_values(case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_derivatives(case):
    check_derivatives(case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_batching(case):
    if case.name == "tridiagonal_solve":
        pytest.skip("81 choices of axes of one rule that only moves them; the others cover it")
    check_batching(case)


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4)])
@pytest.mark.parametrize("complex_", [False, True])
def test_svd_rebuilds_its_operand_and_so_do_its_tangents(shape, complex_):
    rng = np.random.default_rng(0)
    x, dx = (matrices(shape, complex_=complex_)(rng)[0] for _ in range(2))
    with enable_x64(True):
        (u, s, vt), (du, ds, dvt) = ct.jvp(lambda x: L.svd(x, full_matrices=False), (x,), (dx,))
    u, s, vt, du, ds, dvt = map(np.asarray, (u, s, vt, du, ds, dvt))
    np.testing.assert_allclose(s, np.linalg.svd(x, compute_uv=False))
    np.testing.assert_allclose(u * s @ vt, x, atol=1e-12)
    np.testing.assert_allclose(du * s @ vt + u * ds @ vt + u * s @ dvt, dx, atol=1e-10)
    for basis, change in ((u, du), (adjoint(vt), adjoint(dvt))):  # columns stay orthonormal
        skew = adjoint(basis) @ change
        np.testing.assert_allclose(skew + adjoint(skew), 0, atol=1e-10)


@pytest.mark.parametrize("shape", [(4, 2), (3, 3)])
@pytest.mark.parametrize("complex_", [False, True])
def test_full_qr_rebuilds_its_operand_and_so_do_its_tangents(shape, complex_):
    rng = np.random.default_rng(0)
    x, dx = (matrices(shape, complex_=complex_)(rng)[0] for _ in range(2))
    with enable_x64(True):
        (q, r), (dq, dr) = ct.jvp(L.qr, (x,), (dx,))
    q, r, dq, dr = map(np.asarray, (q, r, dq, dr))
    np.testing.assert_allclose(q @ r, x, atol=1e-12)
    np.testing.assert_allclose(dq @ r + q @ dr, dx, atol=1e-10)
    np.testing.assert_allclose(np.tril(dr, -1), 0, atol=1e-12)
    skew = adjoint(q) @ dq
    np.testing.assert_allclose(skew + adjoint(skew), 0, atol=1e-10)


def test_eigenvectors_of_any_matrix_and_their_derivatives():
    rng = np.random.default_rng(0)
    x, dx = np.diag([1.0, 3.0, 6.0]) + 0.3 * rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    right = lambda x: L.eig(x, compute_left_eigenvectors=False, enable_eigvec_derivs=True)
    with enable_x64(True):
        (w, v), (dw, dv) = ct.jvp(right, (x,), (dx,))
        _, left, _ = L.eig(x)
    w, v, dw, dv, left = map(np.asarray, (w, v, dw, dv, left))
    np.testing.assert_allclose(x @ v, v * w, atol=1e-12)
    np.testing.assert_allclose(dx @ v + x @ dv, dv * w + v * dw, atol=1e-10)
    np.testing.assert_allclose(np.real(np.sum(np.conj(v) * dv, 0)), 0, atol=1e-12)
    np.testing.assert_allclose(adjoint(left) @ x, w[:, None] * adjoint(left), atol=1e-12)


def test_lu_and_its_permutation():
    x = np.random.default_rng(0).normal(size=(2, 4, 3))
    with enable_x64(True):
        factors, pivots, permutation = map(np.asarray, L.lu(x))
        again = np.asarray(L.lu_pivots_to_permutation(pivots, 4))
    lower = np.tril(factors, -1) + np.eye(4, 3)
    product = lower @ np.triu(factors[:, :3])
    np.testing.assert_allclose(product, np.take_along_axis(x, permutation[..., None], 1), atol=1e-12)
    np.testing.assert_array_equal(permutation, again)
    assert pivots.dtype == permutation.dtype == np.int32


def test_householder_products():
    x = np.random.default_rng(0).normal(size=(4, 3))
    (packed, tau), _ = scipy.linalg.qr(x, mode="raw")
    q, _ = np.linalg.qr(x)
    with enable_x64(True):
        np.testing.assert_allclose(L.householder_product(packed, tau), q, atol=1e-12)
        full, _ = np.linalg.qr(x, mode="complete")
        c = np.ones((4, 2))
        np.testing.assert_allclose(L.ormqr(packed, tau, c), full @ c, atol=1e-12)
        np.testing.assert_allclose(L.ormqr(packed, tau, c, transpose=True), full.T @ c, atol=1e-12)


def test_other_forms():
    x = np.random.default_rng(0).normal(size=(4, 4))
    with enable_x64(True):
        t, vs = map(np.asarray, L.schur(x))
        np.testing.assert_allclose(vs @ t @ vs.T, x, atol=1e-12)
        h, _ = L.hessenberg(x)
        np.testing.assert_allclose(np.triu(h, -1), scipy.linalg.hessenberg(x), atol=1e-12)
        _, d, e, _ = map(np.asarray, L.tridiagonal(x + x.T))
        same = np.diag(d) + np.diag(e, 1) + np.diag(e, -1)
        np.testing.assert_allclose(np.linalg.eigvalsh(same), np.linalg.eigvalsh(x + x.T), atol=1e-12)
        q, r, p = map(np.asarray, L.qr(x, pivoting=True))
        np.testing.assert_allclose(q @ r, x[:, p], atol=1e-12)
        assert np.all(np.diff(np.abs(np.diag(r))) <= 0)


def test_subsets():
    (x,) = hermitian(4)(np.random.default_rng(0))
    with enable_x64(True):
        v, w = map(np.asarray, L.eigh(x, subset_by_index=(1, 3)))
        np.testing.assert_allclose(w, np.linalg.eigvalsh(x)[1:3])
        np.testing.assert_allclose(x @ v, v * w, atol=1e-12)
        u, s, vt = L.svd(x, full_matrices=False, subset_by_index=(0, 2))
        assert (u.shape, s.shape, vt.shape) == ((4, 2), (2,), (2, 4))


def test_a_vector_as_right_hand_side():
    a, b = np.array([[2.0, 1.0], [0.0, 4.0]], np.float32), np.array([4.0, 8.0], np.float32)
    np.testing.assert_allclose(L.triangular_solve(a, b, left_side=True), np.linalg.solve(a, b))
    np.testing.assert_allclose(L.triangular_solve(a, b), np.linalg.solve(a.T, b))


def test_failures_are_nan():
    assert np.isnan(L.cholesky(-np.eye(2, dtype=np.float32))).any()


x23, x33 = np.zeros((2, 3), np.float32), np.eye(3, dtype=np.float32)

ERRORS = [
    (lambda: L.cholesky(x23), ValueError, ["cholesky", "square", "(2, 3)"]),
    (lambda: L.cholesky(x33.astype(int)), TypeError, ["cholesky", "int32"]),
    (lambda: L.eigh(x23), ValueError, ["eigh", "square", "(2, 3)"]),
    (lambda: L.eig(x23), ValueError, ["eig", "(2, 3)"]),
    (lambda: L.lu(x33[0]), TypeError, ["lu", "(3,)"]),
    (lambda: L.qr(x33[0]), TypeError, ["qr", "(3,)"]),
    (lambda: L.triangular_solve(x23, x23), ValueError, ["triangular_solve", "square"]),
    (lambda: L.triangular_solve(x33, x23, left_side=True), ValueError, ["axis -2", "(3, 3)", "(2, 3)"]),
    (lambda: L.triangular_solve(x33, x33.astype(np.complex64)), TypeError, ["float32", "complex64"]),
    (lambda: L.lu_pivots_to_permutation(np.zeros(4, int), 3), ValueError, ["permutation_size=3"]),
    (lambda: L.eigh(x33, subset_by_index=(2, 5)), ValueError, ["subset_by_index=(2, 5)", "3"]),
    (lambda: L.svd(x33, subset_by_index=(0, 1)), ValueError, ["full_matrices=False"]),
    (lambda: L.schur(x33, sort_eig_vals=True), NotImplementedError, ["schur"]),
    (lambda: ct.jvp(L.eig, (x33,), (x33,)), NotImplementedError, ["eig", "enable_eigvec_derivs"]),
    (lambda: L.householder_product(x23, x23[0]), ValueError, ["householder_product", "m >= n"]),
]


@pytest.mark.parametrize("call, error, words", ERRORS)
def test_errors(call, error, words):
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert all(word in message for word in words), message
