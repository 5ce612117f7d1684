"""Iterative solvers: solutions, derivatives, batches and trees, against dense solves."""

import functools

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter.scipy.sparse import linalg

SIZE = 8
SOLVERS = {
    "cg": linalg.cg,
    "bicgstab": linalg.bicgstab,
    "gmres": linalg.gmres,
    "gmres incremental": functools.partial(linalg.gmres, solve_method="incremental", restart=4),
}


@pytest.fixture(autouse=True)
def _double():
    with ct.enable_x64(True):
        yield


def numbers(shape, complex_, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return x + 1j * rng.normal(size=shape) if complex_ else x


def system(name, complex_):
    a = numbers((SIZE, SIZE), complex_) + 6 * np.eye(SIZE)
    return a @ a.conj().T + np.eye(SIZE) if name == "cg" else a


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("name", SOLVERS)
def test_solutions_and_their_derivatives(name, complex_):
    a, b, db, weights = system(name, complex_), *(numbers(SIZE, complex_, seed) for seed in (1, 2, 3))
    da = numbers((SIZE, SIZE), complex_, 4)
    da = da + da.conj().T if name == "cg" else da
    precondition = np.diag(1 / np.diag(a))

    def solve(a, b):
        return SOLVERS[name](lambda x: cnp.matmul(a, x), b, b, tol=1e-13, M=precondition)[0]

    @ct.jit
    def everything(a, b, da, db, weights):
        return *ct.jvp(solve, (a, b), (da, db)), ct.vjp(solve, a, b)[1](weights)

    x, dx, (ga, gb) = everything(a, b, da, db, weights)
    wanted = np.linalg.solve(a, b)
    np.testing.assert_allclose(x, wanted, atol=1e-10)
    np.testing.assert_allclose(dx, np.linalg.solve(a, db - da @ wanted), atol=1e-9)
    forward, backward = (
        np.sum(weights * np.asarray(dx)),
        np.sum(np.asarray(ga) * da) + np.sum(np.asarray(gb) * db),
    )
    np.testing.assert_allclose(np.real(forward), np.real(backward), rtol=1e-7)


def test_trees_and_batches():
    tree = {"a": np.ones(3), "b": np.full((2, 2), 6.0)}
    x, info = linalg.cg(lambda t: {"a": 2 * t["a"], "b": 3 * t["b"]}, tree)
    assert info is None
    np.testing.assert_allclose(x["a"], 0.5 * np.ones(3))
    np.testing.assert_allclose(x["b"], np.full((2, 2), 2.0))
    a, b = system("cg", False), numbers((SIZE, 2), False)
    many = ct.vmap(lambda s, b: linalg.cg(lambda x: s * cnp.matmul(a, x), b, tol=1e-12)[0])(
        np.array([1.0, 2.0]), b.T
    )
    np.testing.assert_allclose(
        many, np.stack([np.linalg.solve(s * a, b[:, i]) for i, s in enumerate((1, 2))]), atol=1e-9
    )


def test_few_steps_and_special_cases():
    a, b = system("cg", False), numbers(SIZE, False)
    once, _ = linalg.cg(a, b, maxiter=1)
    np.testing.assert_allclose(once, b * (b @ b) / (b @ a @ b))
    np.testing.assert_allclose(linalg.gmres(np.zeros((2, 2)), np.zeros(2))[0], 0)
    np.testing.assert_allclose(linalg.cg(a, 0 * b)[0], 0)
    assert linalg.cg(np.eye(2, dtype=int), np.ones(2, int))[0].dtype == np.float64
    near, _ = linalg.gmres(a, b, tol=0.0, atol=1e-3)
    assert np.linalg.norm(a @ near - b) < 1e-2


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: linalg.cg(np.ones((2, 3)), np.ones(3)), ValueError, "square matrix"),
        (lambda: linalg.cg("a", np.ones(3)), TypeError, "function or an array"),
        (lambda: linalg.bicgstab(np.eye(2), np.ones(2), np.ones(3)), ValueError, "same shapes"),
        (lambda: linalg.cg(np.eye(2), np.ones(2), {"a": np.ones(2)}), ValueError, "same structure"),
        (lambda: linalg.gmres(np.eye(2), np.ones(2), solve_method="best"), ValueError, "solve_method"),
        (lambda: linalg.gmres(np.eye(2), np.ones(2), restart=0), ValueError, "restart"),
    ],
)
def test_mistakes(call, error, words):
    with pytest.raises(error, match=words):
        call()
