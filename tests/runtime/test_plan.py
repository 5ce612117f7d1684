"""`canter.plan`: what a function would take, here and on hardware that is not here."""

from __future__ import annotations

from functools import partial

import pytest

import canter as ct
import canter.numpy as cnp
from canter.core.mesh import AxisType
from canter.runtime import plan as plan_module
from canter_pjrt import topologies
from canter_pjrt.jaxlib_door import JaxRuntimeError


def spec(*shape):
    return ct.ShapeDtypeStruct(shape, "float32")


def scaled(w, x, power):
    return w + (cnp.sin(x @ w) ** power).sum()


def test_plan_for_the_device_here():
    made = ct.plan(scaled, spec(8, 8), spec(128, 8), spec())
    assert made.argument_bytes == (64 + 1024 + 1) * 4 and made.result_bytes == 256
    assert made.peak_bytes == made.argument_bytes + made.result_bytes + made.temporary_bytes
    assert made.device_kind == "cpu" and made.device_count == 1
    assert made.device_memory > made.peak_bytes and made.fits
    assert made.costs["flops"] >= 2 * 128 * 8 * 8
    assert [one.argument for one in made.donatable] == ["w"]
    assert made.values[0].primitive == "x" and made.values[0].kind == "argument"
    assert ct.plan(scaled, spec(8, 8), spec(128, 8), spec(), device="cpu").values == made.values
    text = str(made)
    assert text.startswith("jit(scaled) on cpu") and "fits" in text and "test_plan.py" in text
    assert len(text.splitlines()) <= 20


def test_jitted_with_static_and_donated_arguments():
    jitted = ct.jit(scaled, static_argnames="power", donate_argnums=0)
    made = ct.plan(jitted, spec(8, 8), spec(128, 8), power=2)
    assert made.argument_bytes == (64 + 1024) * 4 and made.result_bytes == 0 and made.donatable == ()


def test_over_a_mesh_the_figures_are_of_one_device():
    mesh = ct.make_mesh((4,), ("x",), axis_types=(AxisType.Auto,))
    rows = ct.NamedSharding(mesh, ct.P("x"))
    made = ct.plan(ct.jit(lambda x: cnp.sin(x), in_shardings=rows, out_shardings=rows), spec(64, 32))
    assert made.device_count == 4 and made.argument_bytes == 16 * 32 * 4
    assert "on 4 x cpu, a device each" in str(made)


def test_what_does_not_fit(monkeypatch):
    monkeypatch.setattr(topologies, "memory_of", lambda device: 100)
    made = ct.plan(lambda x: x * 2, spec(64))
    assert made.fits is False and "does not fit" in str(made)
    monkeypatch.setattr(topologies, "memory_of", lambda device: None)
    made = ct.plan(lambda x: x * 2, spec(64))
    assert made.fits is None and "not known" in str(made)


def test_a_program_that_the_compiler_refuses(monkeypatch):
    from canter.runtime.program import LoweredProgram

    def refuse(self, *args):
        raise JaxRuntimeError("RESOURCE_EXHAUSTED: Ran out of memory on HBM (20G)\nSee https://x for more")

    monkeypatch.setattr(LoweredProgram, "compile", refuse)
    made = ct.plan(lambda x: (cnp.sin(x) @ cnp.cos(x).T).sum(), spec(64, 4))
    assert made.fits is False and "Ran out of memory on HBM" in made.refused and "See" not in made.refused
    assert made.values[0].shape == (64, 64) and made.values[0].file == __file__
    assert made.argument_bytes == 1024 and made.result_bytes == 4

    def fail(self, *args):
        raise JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(LoweredProgram, "compile", fail)
    with pytest.raises(JaxRuntimeError, match="something else"):
        ct.plan(lambda x: x, spec(2))


def test_hardware_that_is_not_installed_or_not_known():
    with pytest.raises(ValueError, match="describes no hardware"):
        ct.plan(scaled, spec(8, 8), spec(8, 8), spec(), device="abacus")
    if topologies.plugin_for("tpu") is None:
        with pytest.raises(RuntimeError, match=r"pip install 'canter\[tpu\]'"):
            ct.plan(scaled, spec(8, 8), spec(8, 8), spec(), device="tpu:v5e")
    if topologies.plugin_for("cuda") is None:
        with pytest.raises(RuntimeError, match=r"pip install 'canter\[cuda13\]'"):
            ct.plan(scaled, spec(8, 8), spec(8, 8), spec(), device="h100")


def test_names_of_hardware_and_its_memory():
    assert topologies.parse("h100:8")[2]["topology"] == "1x1x8"
    assert topologies.parse("h100")[0] == "cuda"
    assert topologies.with_devices("tpu:v4", 8) == "tpu:v4:2x2x2"
    assert topologies.with_devices("v5e", 3) == "v5e:2x2"
    assert topologies.with_devices("tpu:v5e:4x4", 2) == "tpu:v5e:4x4"
    assert topologies.with_devices("tpu:v5e", 100_000) == "tpu:v5e"

    class Device:
        platform = "tpu"
        device_kind = "TPU v5 lite"
        client = None
        stats = None

        def memory_stats(self):
            return self.stats

    device = Device()
    assert topologies.memory_of(device) == 16 << 30
    device.stats = {"bytes_limit": 5}
    assert topologies.memory_of(device) == 5
    device.stats, device.device_kind = {}, "NVIDIA H100 80GB HBM3"
    assert topologies.memory_of(device) == topologies.GPUS["h100"].memory
    device.device_kind = "another"
    assert topologies.memory_of(device) is None


def test_plans_are_made_where_the_wheels_are(monkeypatch):
    """The topology's devices are asked for as many as the program needs."""
    asked = []

    def lower_for(lowered, device):
        asked.append(device)
        return lowered

    monkeypatch.setattr("canter.runtime.ahead_of_time.lower_for", lower_for)
    mesh = ct.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    sharded = partial(ct.jit, in_shardings=ct.NamedSharding(mesh, ct.P("x")))
    ct.plan(sharded(cnp.sin), spec(64), device="tpu:v5e")
    assert asked == ["tpu:v5e:2x4"] and plan_module.Plan.__name__ == "Plan"
