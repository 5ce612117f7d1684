"""Derivatives of decompositions against central differences, where results have no gauge or it is divided out."""

import functools

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax

from .rule_checks import Case, check_derivatives

L = lax.linalg


def some(*shapes, complex_=False, shift=0.0, seed=0):
    """Normal matrices, the same for every generator: signs of LAPACK's vectors must not flip nearby."""

    def make(_):
        rng = np.random.default_rng(seed)
        arrays = []
        for shape in shapes:
            x = rng.normal(size=shape)
            x = x + 1j * rng.normal(size=shape) if complex_ else x
            arrays.append(x + shift * np.eye(*shape[-2:]) if shift else x)
        return tuple(arrays)

    return make


def hermitian(function):
    """The same function of the Hermitian part."""
    return lambda x: function(x + cnp.conj(cnp.swapaxes(x, -1, -2)))


def sizes(*arrays):
    return [cnp.abs(x) for x in arrays]


def eigenvectors(x):
    values, left, right = L.eig(x, enable_eigvec_derivs=True)
    return [values, *sizes(left, right, cnp.sum(cnp.conj(left) * right, 0))]


def full_svd(x):
    u, s, vt = L.svd(x)
    rank = s.shape[-1]
    rest_u, rest_v = u[:, rank:], vt[rank:]
    return [
        s,
        u[:, :rank] * s @ vt[:rank],
        rest_u @ cnp.conj(rest_u.T),
        cnp.conj(rest_v.T) @ rest_v,
    ]


def svd_subset(x):
    u, s, vt = L.svd(x, full_matrices=False, subset_by_index=(0, 2))
    return [s, u * s @ vt]


def eigh_subset(x):
    v, w = L.eigh(x, subset_by_index=(1, 3))
    return [v @ cnp.conj(v.T), w]


def pivoted(x):
    return list(L.qr(x, pivoting=True, full_matrices=False)[:2])


EITHER = [
    ("schur", lambda x: L.schur(x), some((4, 4))),
    ("schur form", lambda x: L.schur(x, compute_schur_vectors=False), some((4, 4), seed=3)),
    ("hessenberg", L.hessenberg, some((4, 4))),
    ("tridiagonal", hermitian(L.tridiagonal), some((4, 4))),
    ("tridiagonal upper", hermitian(functools.partial(L.tridiagonal, lower=False)), some((4, 4))),
    ("householder_product", L.householder_product, some((4, 3), (3,))),
    ("ormqr", functools.partial(L.ormqr, transpose=True), some((4, 3), (3,), (4, 2))),
    ("ormqr right", functools.partial(L.ormqr, left=False), some((4, 3), (3,), (2, 4))),
    ("geqrf", L.geqrf, some((4, 3))),
    ("qr pivoting", pivoted, some((4, 3))),
    ("qr pivoting wide", pivoted, some((3, 4))),
    ("eig", eigenvectors, some((4, 4))),
    ("svd full", full_svd, some((4, 2))),
    ("svd full wide", full_svd, some((2, 4))),
    ("svd subset", svd_subset, some((4, 3))),
    ("eigh subset", hermitian(eigh_subset), some((4, 4))),
    ("eigh of a triangle", lambda x: L.eigh(x, lower=False, symmetrize_input=False)[1], some((3, 3))),
    ("cholesky of a triangle", lambda x: L.cholesky(x, symmetrize_input=False), some((3, 3), shift=9.0)),
    ("qdwh", lambda x: L.qdwh(x)[:2], some((3, 3))),
    ("qdwh tall", lambda x: L.qdwh(x)[:2], some((4, 2))),
]


def phases_left_out(function):
    """Complex Schur vectors have arbitrary phases; so have the elements of the form above its diagonal."""
    return lambda x: sizes(*function(x))


def complex_case(name, function, make):
    shapes = [x.shape for x in make(None)]
    shift = 9.0 if "cholesky" in name else 0.0
    function = phases_left_out(function) if "schur" in name else function
    return Case(f"{name} complex", function, some(*shapes, complex_=True, shift=shift, seed=1))


# Their complex forms go the same ways as those of their neighbours.
REAL_IS_ENOUGH = {
    "schur form",
    "tridiagonal upper",
    "ormqr right",
    "qr pivoting wide",
    "svd full wide",
    "eigh subset",
    "svd subset",
    "qdwh",
}

CASES = [
    *(Case(*entry) for entry in EITHER),
    *(complex_case(*entry) for entry in EITHER if entry[0] not in REAL_IS_ENOUGH),
    Case("cholesky_update", L.cholesky_update, some((3, 3), (3,), seed=2)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_derivatives(case):
    check_derivatives(case)


def test_batches_are_loops():
    rng = np.random.default_rng(0)
    x, dx = rng.normal(size=(2, 2, 3, 3))
    taus = rng.normal(size=(2, 3))
    functions = {
        "schur": lambda x, t: L.schur(x)[0],
        "hessenberg": lambda x, t: L.hessenberg(x)[0],
        "householder_product": L.householder_product,
        "ormqr": lambda x, t: L.ormqr(x, t, x),
        "cholesky_update": L.cholesky_update,
    }

    def slopes(x, taus, dx):
        return [ct.jvp(lambda x, f=f: f(x, taus), (x,), (dx,)) for f in functions.values()]

    with ct.enable_x64(True):
        mapped, single = ct.jit(ct.vmap(slopes))(x, taus, dx), ct.jit(slopes)
        whole = single(x, taus, dx)
        for i in range(2):
            one = single(x[i], taus[i], dx[i])
            for name, a, b, c in zip(functions, mapped, whole, one, strict=True):
                for p, q, r in zip(a, b, c, strict=True):
                    np.testing.assert_allclose(p[i], r, atol=1e-10, err_msg=name)
                    np.testing.assert_allclose(q[i], r, atol=1e-10, err_msg=name)


def test_second_derivatives():
    rng = np.random.default_rng(0)
    x, v = rng.normal(size=(2, 3, 3))

    def third(x):
        return (L.ormqr(x, x[0], x) ** 2).sum() + cnp.diagonal(L.schur(x)[0])[0]

    with ct.enable_x64(True):
        gradient = ct.jit(ct.grad(third))
        _, change = ct.jit(lambda x, v: ct.jvp(ct.grad(third), (x,), (v,)))(x, v)
        numeric = (np.asarray(gradient(x + 1e-5 * v)) - np.asarray(gradient(x - 1e-5 * v))) / 2e-5
    np.testing.assert_allclose(change, numeric, rtol=1e-5, atol=1e-6)
