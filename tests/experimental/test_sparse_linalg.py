"""The largest eigenvalues of matrices, against those of the dense matrix."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter.experimental.sparse.linalg import lobpcg_standard

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_largest_eigenvalues(dtype):
    with ct.enable_x64(True):
        a = RNG.normal(size=(40, 40)) + (1j * RNG.normal(size=(40, 40)) if dtype == np.complex128 else 0)
        a = ((a + a.conj().T) / 2 + np.diag(np.r_[np.zeros(35), 9.0 * np.arange(1, 6)])).astype(dtype)
        start = RNG.normal(size=(40, 3)).astype(dtype)
        loose = 1e-3 if dtype == np.float32 else 1e-9
        for operator in (a, lambda x: cnp.matmul(a, x)):
            values, vectors, steps = lobpcg_standard(operator, start)
            np.testing.assert_allclose(values, np.linalg.eigvalsh(a)[::-1][:3], rtol=loose)
            np.testing.assert_allclose(a @ vectors, vectors * values, atol=50 * loose)
            np.testing.assert_allclose(np.conj(vectors.T) @ vectors, np.eye(3), atol=loose)
            assert vectors.dtype == dtype and 0 < steps < 100


def test_steps_and_starts():
    with ct.enable_x64(True):
        a = np.diag(np.arange(30.0))
        assert lobpcg_standard(a, np.ones((30, 2)), m=2)[2] == 2
        assert lobpcg_standard(a, RNG.normal(size=(30, 2)), tol=1.0)[2] == 0
        values, _, _ = lobpcg_standard(a, np.ones((30, 2)))  # dependent columns
        np.testing.assert_allclose(values, [29, 28])
        values, _, _ = ct.jit(lobpcg_standard)(-a, np.zeros((30, 2)))
        np.testing.assert_allclose(values, [0, -1], atol=1e-9)


@pytest.mark.parametrize(
    "a, x, error, words",
    [
        (np.eye(30), np.ones((30, 6)), ValueError, "5 k < n"),
        (np.eye(30), np.ones(30), ValueError, "shape"),
        (np.eye(30), np.ones((30, 1), int), TypeError, "floating"),
        (np.ones((5, 30), np.float32), np.ones((30, 1), np.float32), ValueError, r"\(30, 30\)"),
        (lambda x: x.astype(np.float16), np.ones((30, 1), np.float32), ValueError, "dtype"),
    ],
)
def test_mistakes(a, x, error, words):
    with pytest.raises(error, match=words):
        lobpcg_standard(a, x)
