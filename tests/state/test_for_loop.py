"""for_loop against a loop of NumPy's, its derivatives against those of the unrolled function."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter.experimental.for_loop import for_loop

RNG = np.random.default_rng(0)


def matmul(a, b):
    def body(i, j, k, refs):
        a, b, c = refs
        c[i, j] += a[i, k] * b[k, j]

    (n, m), p = a.shape, b.shape[1]
    return for_loop((n, p, m), body, (a, b, cnp.zeros((n, p))))[2]


@pytest.mark.parametrize("wrap", [lambda f: f, ct.jit])
def test_nested_loops(wrap):
    a, b = RNG.normal(size=(3, 4)).astype(np.float32), RNG.normal(size=(4, 2)).astype(np.float32)
    np.testing.assert_allclose(wrap(matmul)(a, b), a @ b, rtol=1e-5)


def test_derivatives():
    a, b = RNG.normal(size=(3, 4)).astype(np.float32), RNG.normal(size=(4, 2)).astype(np.float32)
    grads = ct.jit(ct.grad(lambda a, b: (matmul(a, b) ** 2).sum(), argnums=(0, 1)))(a, b)
    np.testing.assert_allclose(grads[0], 2 * (a @ b) @ b.T, rtol=1e-4)
    np.testing.assert_allclose(grads[1], 2 * a.T @ (a @ b), rtol=1e-4)


@pytest.mark.parametrize("reverse", [False, True])
def test_order_and_structure(reverse):
    def body(i, state):
        state["log"][state["count"][...]] = i
        state["count"][...] += 1

    start = {"log": cnp.zeros(5, int), "count": 0}
    final = ct.jit(lambda s: for_loop(5, body, s, reverse=reverse, unroll=2))(start)
    np.testing.assert_array_equal(final["log"], np.arange(5)[::-1] if reverse else np.arange(5))
    assert final["count"] == 5 and for_loop(0, body, start)["count"] == 0
    batch = ct.vmap(lambda x: for_loop(3, lambda i, r: r.__setitem__(..., r[...] * x), 1.0))(cnp.arange(4.0))
    np.testing.assert_allclose(batch, np.arange(4.0) ** 3)


def test_mistakes():
    with pytest.raises(TypeError, match="must return None"):
        for_loop(2, lambda i, r: r[...], 1.0)
    with pytest.raises(ValueError, match="negative"):
        for_loop(-1, lambda i, r: None, 1.0)
    with pytest.raises(TypeError):
        for_loop(1.5, lambda i, r: None, 1.0)
