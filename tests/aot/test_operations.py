"""Every operation of canter.lax compiles for a TPU and for a GPU."""

import pytest

import canter as ct
import canter.numpy as cnp
from canter.experimental import topologies
from tests.aot.operations import CALLS, LINALG, UNARY, Struct, _unary

GROUPS = 8


def _together(cases, topology):
    """One module for many operations: the compiler takes as long for one as for a dozen."""
    functions = [function for function, _ in cases]
    arguments = [args for _, args in cases]

    def everything(arguments):
        return [function(*args) for function, args in zip(functions, arguments, strict=True)]

    return ct.jit(everything).lower(arguments).compile(topology=topology)


@pytest.mark.parametrize("group", range(GROUPS))
def test_operations(topology, group):
    names = sorted(CALLS)[group::GROUPS]
    compiled = _together([CALLS[name] for name in names], topology)
    assert compiled.as_text().startswith("HloModule")


@pytest.mark.parametrize("group", range(4))
def test_decompositions(topology, group):
    names = sorted(LINALG)[group::4]
    text = _together([LINALG[name] for name in names], topology).as_text()
    assert "lapack" not in text
    if topology.platform == "cuda":
        assert "cusolver_" in text
    else:
        assert "cusolver" not in text


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_elementwise_functions_of_other_types(topology, dtype):
    with ct.enable_x64(True):
        x = Struct((4, 8), dtype)
        compiled = ct.jit(lambda x: [_unary(name)(x) for name in UNARY]).lower(x).compile(topology=topology)
        assert all(aval.dtype == x.dtype for aval in compiled.out_avals[:10])


@pytest.mark.parametrize("dtype", ["complex64"])
def test_complex_decompositions(topology, dtype):
    x = Struct((2, 5, 5), dtype)

    def everything(x):
        linalg = cnp.linalg
        return ct.lax.linalg.lu(x), linalg.qr(x), linalg.cholesky(x), linalg.eigh(x), linalg.svd(x)

    ct.jit(everything).lower(x).compile(topology=topology)


@pytest.mark.parametrize("name", ["cuda:t4:1", "cuda:a100:1", "cuda:l4:2x2", "cuda:h200:4", "cuda:b200:8"])
def test_gpus(name):
    topology = topologies.get_topology_desc(name)
    x = Struct((64, 64), "bfloat16")
    compiled = ct.jit(lambda x: cnp.tanh(x @ x)).lower(x).compile(topology=topology)
    assert compiled.memory_analysis().output_size_in_bytes == 64 * 64 * 2


@pytest.mark.parametrize(
    "name", ["tpu:v3:2x2", "tpu:v4:2x2x1", "tpu:v5p:2x2x1", "tpu:v6e:2x2", "tpu:tpu7x:2x2x1"]
)
def test_tpus(name):
    topology = topologies.get_topology_desc(name)
    x = Struct((64, 64), "bfloat16")
    compiled = ct.jit(lambda x: cnp.tanh(x @ x)).lower(x).compile(topology=topology)
    assert compiled.cost_analysis()["flops"] >= 2 * 64**3  # of the product; some count more
