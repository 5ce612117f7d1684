"""Decompositions lowered for GPUs and TPUs: the same library calls as JAX's, and no missing rule."""

import json

import numpy as np
import pytest

import canter as ct
from canter import lax
from tests.mlir.linalg_calls import DATA, cases, library_calls

FACTS = json.loads(DATA.read_text())
GROUPS = sorted({tuple(key.split(" ")[:2]) for key in FACTS})


def lowered(function, args, platform):
    return ct.jit(function).trace(*args).lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize("platform, group", GROUPS)
def test_calls_are_those_that_the_plugins_know(platform, group):
    with ct.enable_x64(True):
        known = cases(lax, ct.ShapeDtypeStruct)
        for key, wanted in FACTS.items():
            place, name = key.split(" ", 1)
            if place == platform and name.split(" ")[0] == group:
                function, args = known[name]
                got = json.loads(json.dumps(library_calls(lowered(function, args, platform))))
                assert got == wanted, key


L = lax.linalg
EVERYTHING = {
    "cholesky_update": lambda x: L.cholesky_update(x, x[0]),
    "cholesky_update of a batch": lambda x: ct.vmap(L.cholesky_update)(x[None], x[:1]),
    "eig": L.eig,
    "eigh": L.eigh,
    "geqrf": L.geqrf,
    "hessenberg": L.hessenberg,
    "householder_product": lambda x: L.householder_product(x, x[0]),
    "lu": L.lu,
    "ormqr": lambda x: L.ormqr(x, x[0], x),
    "qr": L.qr,
    "qr pivoting": lambda x: L.qr(x, pivoting=True),
    "schur": L.schur,
    "svd": L.svd,
    "svd values": lambda x: L.svd(x, compute_uv=False),
    "symmetric_product": lambda x: L.symmetric_product(x, x),
    "triangular_solve": lambda x: L.triangular_solve(x, x),
    "tridiagonal": L.tridiagonal,
    "tridiagonal_solve": lambda x: L.tridiagonal_solve(x[0], x[0], x[0], x),
    "qdwh": L.qdwh,
}


@pytest.mark.parametrize("platform", ["cuda", "rocm", "tpu"])
def test_everything_has_a_rule(platform):
    for name, function in EVERYTHING.items():
        text = lowered(function, [ct.ShapeDtypeStruct((3, 3), np.float32)], platform)
        assert "lapack" not in text, name


def test_half_precision_has_no_kernel_on_a_gpu():
    with pytest.raises(NotImplementedError, match="no kernel for float16 on GPUs"):
        lowered(L.qr, [ct.ShapeDtypeStruct((3, 3), np.float16)], "cuda")


@pytest.mark.parametrize(
    "platform, function",
    [
        ("cpu", lambda x: L.svd(x, algorithm=L.SvdAlgorithm.JACOBI)),
        ("cpu", lambda x: L.eigh(x, implementation=L.EighImplementation.QDWH)),
        ("cuda", lambda x: L.eigh(x, implementation=L.EighImplementation.QDWH)),
        ("cuda", lambda x: L.svd(x, algorithm=L.SvdAlgorithm.DIVIDE_AND_CONQUER)),
        ("cuda", lambda x: L.eig(x, implementation=L.EigImplementation.CUSOLVER)),
        ("tpu", lambda x: L.svd(x, algorithm=L.SvdAlgorithm.QR)),
        ("tpu", lambda x: L.eigh(x, implementation=L.EighImplementation.QR)),
    ],
)
def test_algorithms_that_a_platform_lacks(platform, function):
    with pytest.raises(NotImplementedError, match="has no algorithm"):
        lowered(function, [ct.ShapeDtypeStruct((3, 3), np.float32)], platform)
