"""The pipeline and the mixture of experts: over devices they are what they are on one."""

import importlib
import re

import numpy as np
import pytest

import canter as ct


def mesh_of(axis: str) -> ct.sharding.Mesh:
    automatic = (ct.sharding.AxisType.Auto,)
    return ct.make_mesh((4,), (axis,), axis_types=automatic, devices=ct.devices()[:4])


@pytest.mark.parametrize(
    "name, axis, says",
    [
        ("pipeline_parallel", "stage", r"waits 27% of the ticks"),
        ("expert_parallel", "expert", r"\b0 of 256 tokens"),
    ],
)
def test_losses_and_gradients_are_those_of_one_device(name, axis, says, capsys):
    assert importlib.import_module(name).compare(mesh_of(axis)) < 1e-5
    assert re.search(says, capsys.readouterr().out)


def test_devices_hand_on_once_a_tick():
    pipeline = importlib.import_module("pipeline_parallel")
    params = pipeline.init_params(ct.random.key(0))
    batch = np.ones((pipeline.BATCH, pipeline.WIDTH), np.float32)
    program = str(ct.make_jaxpr(pipeline.make_pipelined(mesh_of("stage")))(params, batch))
    assert program.count("ppermute[") == 1
    assert f"length={pipeline.MICROBATCHES + 3}" in program


def test_tokens_beyond_the_capacity_are_passed_by():
    experts = importlib.import_module("expert_parallel")
    params = experts.init_params(ct.random.key(0))
    x = np.random.default_rng(0).normal(size=(32, experts.WIDTH)).astype(np.float32)
    got = np.asarray(ct.jit(experts.make_mixture(mesh_of("expert"), 1))(params, x))
    expected, (chosen, _) = np.asarray(experts.dense(params, x)), experts.route(params, x)
    for number, row in enumerate(got):
        before = chosen[number // 8 * 8 : number]  # of the same device
        late = int(chosen[number]) in np.asarray(before)
        np.testing.assert_allclose(row, 0 if late else expected[number], atol=1e-5)
