"""Products and decompositions against NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from tests.numpy.oracle import check, check_all_ways, numbers

SHAPES = [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((5, 2, 3), (5, 3, 4)),
    ((2, 3), (5, 3, 4)), ((1, 2, 3), (5, 3, 4)), ((5, 1, 2, 3), (6, 3, 4)), ((3,), (5, 3, 4)), ((5, 2, 3), (3,)),
    ((7, 1, 2, 3), (1, 5, 3, 4)), ((0, 3), (3, 2)), ((2, 0), (0, 2)), ((1, 1, 3), (1, 3, 1)),
]  # fmt: skip


@pytest.mark.parametrize("shapes", SHAPES)
def test_matmul(shapes):
    a, b = (numbers(s, "float32", seed=i) for i, s in enumerate(shapes))
    check(cnp.matmul(a, b), np.matmul(a, b), rtol=1e-4)
    check(ct.jit(lambda x, y: x @ y)(a, b), np.matmul(a, b), rtol=1e-4)


@pytest.mark.parametrize(
    "shapes",
    [((), (3,)), ((3,), (3,)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((5, 2, 3), (6, 3, 4)), ((3,), (5, 3, 2))],
)
def test_dot_and_inner(shapes):
    a, b = (numbers(s, "float32", seed=i) for i, s in enumerate(shapes))
    check_all_ways(cnp.dot, np.dot, a, b, rtol=1e-4)
    if len(shapes[1]) == 1:
        check(cnp.inner(a, b), np.inner(a, b), rtol=1e-4)


@pytest.mark.parametrize("axes", [0, 1, 2, ([1, 2], [0, 1]), (2, 1), ([-1, 0], [1, 2])])
def test_tensordot(axes):
    a, b = numbers((4, 3, 4), "float32"), numbers((3, 4, 4), "float32", seed=1)
    if axes == 2:
        b = numbers((3, 4, 2), "float32", seed=1)
    if axes == 1:
        b = numbers((4, 2), "float32", seed=1)
    check_all_ways(
        lambda x, y: cnp.tensordot(x, y, axes), lambda x, y: np.tensordot(x, y, axes), a, b, rtol=1e-4
    )


def test_small_products():
    a, b = numbers((2, 3), "float32"), numbers((2, 3), "float32", seed=1)
    check(cnp.outer(a, b), np.outer(a, b))
    check(cnp.vdot(a, b), np.vdot(a, b), rtol=1e-4)
    z, w = numbers((3,), "complex64"), numbers((3,), "complex64", seed=1)
    check(cnp.vdot(z, w), np.vdot(z, w), rtol=1e-4)
    check(cnp.vecdot(a, b), np.sum(a * b, -1), rtol=1e-4)
    check(cnp.vecdot(z, w), np.vdot(z, w), rtol=1e-4)
    check(cnp.matvec(np.stack([a, b]), a), np.einsum("bij,bj->bi", np.stack([a, b]), a), rtol=1e-4)
    check(cnp.vecmat(a[:, :2], b), a[:, :2] @ b, rtol=1e-4)
    for size in ((3, 3), (2, 3), (3, 2)):
        x, y = (numbers((4, n), "float32", seed=i) for i, n in enumerate(size))
        wide = [np.pad(v, ((0, 0), (0, 3 - v.shape[1]))) for v in (x, y)]
        check(cnp.cross(x, y), np.cross(*wide), rtol=1e-4)
    assert cnp.cross(a[:, :2], b[:, :2]).shape == (2,)
    assert cnp.matmul(cnp.ones((2, 2), "int8"), cnp.ones((2, 2), "int8")).dtype == "int8"
    assert (
        cnp.matmul(cnp.ones((2, 2), "bfloat16"), cnp.ones((2, 2)), preferred_element_type="float32").dtype
        == "float32"
    )


EINSUMS = [
    ("ij,jk->ik", (2, 3), (3, 4)), ("ij,kj->ik", (2, 3), (4, 3)), ("ij,jk", (2, 3), (3, 4)), ("ij->ji", (2, 3)),
    ("ij->", (2, 3)), ("ij->i", (2, 3)), ("ii->i", (3, 3)), ("ii", (3, 3)), ("iij->j", (3, 3, 2)),
    ("i,j->ij", (2,), (3,)),
    ("i,j->ji", (2,), (3,)), ("bij,bjk->bik", (5, 2, 3), (5, 3, 4)), ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("bhqk,bkhd->bqhd", (2, 3, 4, 6), (2, 6, 3, 5)), ("ij,ij->ij", (2, 3), (2, 3)), ("ij,j->ij", (2, 3), (3,)),
    ("ij,ij->", (2, 3), (2, 3)), ("...ij,...jk->...ik", (5, 2, 3), (5, 3, 4)), ("...ij,jk->...ik", (5, 2, 3), (3, 4)),
    ("...,...->...", (2, 3), (3,)), ("i...,i...->...", (3, 2), (3, 2)), ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)),
    ("a,ab,abc->abc", (2,), (2, 3), (2, 3, 4)), ("ijk,k->", (2, 3, 4), (4,)), ("ij,ik->ijk", (2, 3), (2, 4)),
    ("iij,jkk->ik", (2, 2, 3), (3, 4, 4)), ("i,i,i->i", (3,), (3,), (3,)), ("bi,bo->bio", (1, 3), (5, 2)),
    ("i->", (0,)),
]  # fmt: skip


@pytest.mark.parametrize("case", EINSUMS)
def test_einsum(case):
    subscripts, *shapes = case
    arrays = [numbers(s, "float32", seed=i) for i, s in enumerate(shapes)]
    check(cnp.einsum(subscripts, *arrays), np.einsum(subscripts, *arrays), rtol=1e-4)
    check(ct.jit(lambda *a: cnp.einsum(subscripts, *a))(*arrays), np.einsum(subscripts, *arrays), rtol=1e-4)


def test_einsum_forms():
    a, b = numbers((2, 3), "float32"), numbers((3, 4), "float32")
    check(cnp.einsum(a, [0, 1], b, [1, 2], [0, 2]), a @ b, rtol=1e-4)
    check(cnp.einsum("ij , jk -> ik", a, b, optimize=False, precision="highest"), a @ b, rtol=1e-4)
    assert cnp.einsum_path("ij,jk,kl->il", a, b, np.ones((4, 2)))[0]
    check(cnp.einsum("ij,jk->ik", a.astype(int), b), a.astype(int) @ b, rtol=1e-4)
    with_int = cnp.einsum("ij->i", np.ones((2, 3), np.int8), preferred_element_type="int32")
    assert with_int.dtype == "int32"
    jaxpr = ct.make_jaxpr(lambda x, y: cnp.einsum("ij,kj->ik", x, y))(a, a)
    assert [e.primitive.name for e in jaxpr.eqns] == ["dot_general"]


@pytest.mark.parametrize(
    ("subscripts", "message"),
    [
        ("ij,jk->iz", "label 'z'"),
        ("ij->ik", "2 operands"),
        ("ijk,jk->i", "'ijk'"),
        ("ij,ik->jk", "sizes"),
        ("i1,jk->i", "'1'"),
    ],
)
def test_einsum_mistakes(subscripts, message):
    with pytest.raises(ValueError, match=message):
        cnp.einsum(subscripts, np.ones((2, 3)), np.ones((3, 4)))


def test_products_of_wrong_shapes():
    x = cnp.ones((3, 4))
    with pytest.raises(TypeError, match=r"\(3, 4\)"):
        x @ x
    with pytest.raises(ValueError, match="ndim at least 1"):
        cnp.matmul(2.0, x)
    with pytest.raises(ValueError, match="broadcast"):
        cnp.matmul(np.ones((2, 3, 4)), np.ones((5, 4, 3)))


@pytest.mark.parametrize("subscripts", ["ij,jk->ik", "bij,bjk->bki", "ij,kj,kl->il"])
def test_gradients_of_einsum(subscripts):
    shapes = dict(zip("bijkl", (2, 2, 3, 2, 2), strict=True))
    terms = subscripts.partition("->")[0].split(",")
    with ct.enable_x64(True):
        arrays = [numbers(tuple(shapes[c] for c in t), "float64", seed=i) for i, t in enumerate(terms)]
        f = lambda *a: cnp.sum(cnp.einsum(subscripts, *a) ** 2)
        for n in range(len(arrays)):
            found = ct.grad(f, n)(*arrays)
            for index in itertools.islice(np.ndindex(*arrays[n].shape), 4):
                step = np.zeros_like(arrays[n])
                step[index] = 1e-6
                moved = [[a + s * step if i == n else a for i, a in enumerate(arrays)] for s in (1, -1)]
                np.testing.assert_allclose(found[index], (f(*moved[0]) - f(*moved[1])) / 2e-6, rtol=1e-5)


# --- linalg -------------------------------------------------------------------------------------

A = numbers((2, 4, 4), "float32", seed=5)
S = A @ A.transpose(0, 2, 1) + 4 * np.eye(4, dtype=np.float32)
B = numbers((2, 4, 3), "float32", seed=6)
L, N = cnp.linalg, np.linalg

SAME = {
    "cholesky": lambda m: m.cholesky(S), "inv": lambda m: m.inv(S), "solve": lambda m: m.solve(S, B),
    "solve a vector": lambda m: m.solve(S[0], B[0, :, 0]), "det": lambda m: m.det(A),
    "det 3": lambda m: m.det(A[:, :3, :3]),
    "det 2": lambda m: m.det(A[:, :2, :2]), "slogdet": lambda m: m.slogdet(A), "eigh": lambda m: m.eigh(S)[0],
    "eigvalsh": lambda m: m.eigvalsh(S), "svd": lambda m: m.svd(A)[1], "svdvals": lambda m: m.svdvals(B),
    "pinv": lambda m: m.pinv(B), "power": lambda m: m.matrix_power(A, 3), "power 0": lambda m: m.matrix_power(A, 0),
    "power -2": lambda m: m.matrix_power(S, -2), "multi_dot": lambda m: m.multi_dot([A[0], A[1], B[0], B[1].T]),
    "cond": lambda m: m.cond(S), "cond 1": lambda m: m.cond(S, 1),
    "rank": lambda m: m.matrix_rank(B @ B.transpose(0, 2, 1)),
    "trace": lambda m: m.trace(A), "diagonal": lambda m: m.diagonal(A, offset=1),
    "lstsq": lambda m: m.lstsq(B[0], A[0])[:3]
    if m is L else m.lstsq(B[0], A[0], rcond=None)[:3], "tensorinv": lambda m: m.tensorinv(S[0].reshape(2, 2, 4), 2),
    "tensorsolve": lambda m: m.tensorsolve(S[0].reshape(2, 2, 4), A[0, :2, :2]),
    "cross": lambda m: m.cross(A[0, :, :3], B[0]),
    "hermitian svd": lambda m: m.svd(S, hermitian=True)[1],
    "singular det": lambda m: m.det(np.ones((3, 3), np.float32)),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_linalg(name):
    wanted = SAME[name](N)
    check(SAME[name](L), tuple(wanted) if isinstance(wanted, tuple) else wanted, rtol=3e-3)


@pytest.mark.parametrize("order", [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
def test_matrix_norms(order):
    check(L.norm(A[0], order), N.norm(A[0], order), rtol=1e-4)
    check(L.norm(A, order, (0, 2), True), N.norm(A, order, (0, 2), True), rtol=1e-4)


@pytest.mark.parametrize("order", [None, 0, 1, -1, 2, -2, 3, 0.5, np.inf, -np.inf])
def test_vector_norms(order):
    check(L.norm(A, order, 1), N.norm(A, order, 1), rtol=1e-4)
    check(L.norm(A[0, 0], order, keepdims=True), N.norm(A[0, 0], order, keepdims=True), rtol=1e-4)


def test_decompositions_multiply_back():
    u, s, vh = L.svd(B, full_matrices=False)
    check((u * s[:, None]) @ vh, B, rtol=1e-4)
    u, s, vh = L.svd(S, hermitian=True)
    check((u * s[:, None]) @ vh, S, rtol=1e-3)
    w, v = L.eigh(S)
    check((v * w[:, None]) @ v.mT, S, rtol=1e-3)
    q, r = L.qr(B)
    check(q @ r, B, rtol=1e-4)
    assert L.qr(B, "complete").Q.shape == (2, 4, 4) and L.qr(B, "r").shape == (2, 3, 3)
    values, vectors = L.eig(A[0])
    check(A[0] @ vectors, np.asarray(vectors * values), rtol=1e-3)
    lower = L.cholesky(S, upper=True)
    check(lower.mT @ lower, S, rtol=1e-3)


MISTAKES = [
    (lambda: L.inv(B), "Argument to inv must have shape"),
    (lambda: L.det(B), "Argument to det must have shape"),
    (lambda: L.cholesky(B), "Argument to cholesky must have shape"),
    (lambda: L.solve(S[0], np.ones(3, np.float32)), r"\(3,\)"),
    (lambda: L.norm(A, 3, (0, 1)), "Invalid order"),
    (lambda: L.norm(A, None, (0, 1, 2)), "Improper number of axes"),
    (lambda: L.qr(B, "foo"), "mode"),
    (lambda: L.multi_dot([A[0]]), "at least two"),
    (lambda: L.eigh(S, "X"), "UPLO"),
]


@pytest.mark.parametrize(("call", "message"), MISTAKES)
def test_mistakes(call, message):
    with pytest.raises(ValueError, match=message):
        call()


DIFFERENTIABLE = {
    "solve": lambda m: (L.solve(m, B[0]) ** 2).sum(), "inv": lambda m: (L.inv(m) ** 2).sum(), "det": L.det,
    "slogdet": lambda m: L.slogdet(m)[1], "cholesky": lambda m: (L.cholesky(m) ** 3).sum(),
    "pinv": lambda m: (L.pinv(m[:, :2]) ** 2).sum(), "eigvalsh": lambda m: (L.eigvalsh(m) ** 3).sum(), "norm": L.norm,
    "nuclear": lambda m: L.norm(m, "nuc"), "lstsq": lambda m: (L.lstsq(m[:, :2], B[0])[0] ** 2).sum(),
    "power": lambda m: L.matrix_power(m, 3).sum(), "qr": lambda m: (L.qr(m)[1] ** 3).sum(),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_of_linalg(name):
    f = DIFFERENTIABLE[name]
    with ct.enable_x64(True):
        x = S[0].astype(np.float64)
        g = ct.jit(f)
        found = np.asarray(ct.grad(f)(x))
        for index in [(0, 0), (1, 0), (2, 3), (3, 3)]:
            step = np.zeros_like(x)
            step[index] = 1e-5
            numeric = (float(g(x + step)) - float(g(x - step))) / 2e-5
            np.testing.assert_allclose(found[index], numeric, rtol=1e-5, atol=1e-6 * np.abs(found).max())
