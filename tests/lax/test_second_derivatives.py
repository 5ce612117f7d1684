"""Second derivatives, forward over reverse, against central differences of gradients."""

import numpy as np
import pytest

import canter as ct
from canter import lax
from canter.core.config import enable_x64

NUMBERS = lax.ScatterDimensionNumbers((), (0,), (0,))
INDICES = np.array([[1], [0], [1]], np.int32)


def total(x):
    return lax.reduce_sum(lax.mul(x, lax.sin(x)), tuple(range(x.ndim)))


def definite(x):
    return lax.add(lax.dot_general(x, x, (((1,), (1,)), ((), ()))), np.eye(3))


FUNCTIONS = {
    "dot": lambda x: total(lax.dot(x, lax.transpose(x, (1, 0)))),
    "conv": lambda x: total(
        lax.conv_general_dilated(
            lax.reshape(x, (1, 3, 3)), lax.reshape(x, (3, 3, 1)), (2,), ((1, 0),), None, (2,)
        )
    ),
    "gather": lambda x: total(
        lax.gather(x, INDICES, lax.GatherDimensionNumbers((1,), (0,), (0,)), (1, 3), mode="clip")
    ),
    "scatter": lambda x: total(lax.scatter(x[0], INDICES, lax.mul(x[1], x[1]), NUMBERS)),
    "scatter_mul": lambda x: total(
        lax.scatter_mul(x[0], INDICES[:2], x[1][:2], NUMBERS, unique_indices=True)
    ),
    "scatter_max": lambda x: total(lax.scatter_max(x[0], INDICES, lax.mul(x[1], x[2]), NUMBERS)),
    "dynamic_update_slice": lambda x: total(lax.dynamic_update_slice(x, lax.mul(x[:2], x[1:]), (1, 0))),
    "cholesky": lambda x: total(lax.linalg.cholesky(definite(x))),
    "eigh": lambda x: total(lax.linalg.eigh(definite(x))[1]),
    "lu": lambda x: total(lax.linalg.lu(x)[0]),
    "qr": lambda x: total(lax.linalg.qr(x)[1]),
    "svd": lambda x: total(lax.linalg.svd(x, compute_uv=False)),
    "triangular_solve": lambda x: total(lax.linalg.triangular_solve(definite(x), x, left_side=True)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_second_derivatives(name):
    rng = np.random.default_rng(3)
    x, v = rng.normal(size=(3, 3)) + 2 * np.eye(3), rng.normal(size=(3, 3))
    with enable_x64(True):
        gradient = ct.jit(ct.grad(FUNCTIONS[name]))
        numeric = (np.asarray(gradient(x + 1e-5 * v)) - np.asarray(gradient(x - 1e-5 * v))) / 2e-5
        _, product = ct.jit(lambda x, v: ct.jvp(ct.grad(FUNCTIONS[name]), (x,), (v,)))(x, v)
        np.testing.assert_allclose(product, numeric, rtol=1e-5, atol=1e-6)
