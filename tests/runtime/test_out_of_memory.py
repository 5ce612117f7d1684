"""Errors of exhausted memory tell which program asked, what is alive and what could be donated."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

import canter as ct
import canter.numpy as cnp
from canter.runtime import out_of_memory
from canter.runtime.jaxpr_liveness import jaxpr_liveness
from canter.runtime.program import Executable, LoweredProgram
from canter_pjrt.jaxlib_door import JaxRuntimeError

EXHAUSTED = "RESOURCE_EXHAUSTED: Out of memory allocating {} bytes."


def test_a_real_allocation_that_is_too_large():
    held = [cnp.ones((333, 77)) for _ in range(3)]

    def absurd(x):
        return cnp.zeros((1 << 45,)) + x

    with pytest.raises(JaxRuntimeError) as caught:
        ct.jit(absurd)(1.0)
    text = str(caught.value)
    assert text.startswith("RESOURCE_EXHAUSTED: ")
    assert "jit(absurd) takes 128 TiB" in text and "f32[35184372088832]" in text
    assert "test_out_of_memory.py" in text and "3 x f32[333,77] made at" in text
    assert len(text.splitlines()) <= 16 and str(caught.value) == text
    assert isinstance(caught.value, RuntimeError)
    assert str(pickle.loads(pickle.dumps(caught.value))).startswith("RESOURCE_EXHAUSTED: ")
    assert len(held) == 3


class Refusing:
    """An executable whose memory is never there."""

    def __init__(self, loaded):
        self.loaded = loaded

    def execute_sharded(self, operands):
        raise JaxRuntimeError(EXHAUSTED.format(123456))

    def __getattr__(self, name):
        return getattr(self.loaded, name)


def test_a_stubbed_failure_names_what_could_be_donated(monkeypatch):
    made = Executable.__init__

    def refusing(self, loaded, *rest):
        made(self, Refusing(loaded), *rest)

    def update(state, gradient):
        return state - 0.1 * gradient[0]

    state = cnp.ones((50, 3))
    monkeypatch.setattr(Executable, "__init__", refusing)
    with pytest.raises(JaxRuntimeError, match="123456") as caught:
        ct.jit(update)(state, [state])
    text = str(caught.value)
    assert "jit(update) takes" in text and "Could be donated" in text and "state (600 B)" in text
    assert "Arrays alive, by the line that made them" in text


def test_a_call_that_fails_in_the_runtime_is_found_by_its_size():
    ct.jit(lambda x: cnp.outer(x, x))(cnp.arange(1237.0)).block_until_ready()
    size = 1237 * 1237 * 4
    text = str(JaxRuntimeError(f"RESOURCE_EXHAUSTED: Out of memory while trying to allocate {size} bytes."))
    assert "f32[1237,1237]" in text and "jit(" in text


def test_a_compiler_that_refuses(monkeypatch):
    def refuse(*args, **options):
        raise JaxRuntimeError("RESOURCE_EXHAUSTED: Ran out of memory on HBM")

    lowered = ct.jit(lambda x: cnp.sin(x) @ cnp.cos(x).T).lower(ct.ShapeDtypeStruct((64, 4), "float32"))
    monkeypatch.setattr("canter_pjrt.compile.compile_or_load", refuse)
    with pytest.raises(JaxRuntimeError) as caught:
        lowered.compile()
    text = str(caught.value)
    assert "as written takes" in text and "f32[64,64]" in text and " x\n" in text
    assert LoweredProgram.__name__ in type(lowered._lowered).__name__


def test_other_errors_stay_as_they_are():
    assert str(JaxRuntimeError("INTERNAL: no")) == "INTERNAL: no"
    assert str(JaxRuntimeError()) == ""


def test_the_message_survives_a_failure_of_its_explanation(monkeypatch):
    def broken(*args):
        raise KeyError("lost")

    monkeypatch.setattr(out_of_memory, "arrays_by_line", broken)
    text = str(JaxRuntimeError("RESOURCE_EXHAUSTED: no memory"))
    assert text.startswith("RESOURCE_EXHAUSTED: no memory") and "KeyError" in text


def test_over_a_mesh_an_array_counts_with_the_part_on_a_device():
    mesh = ct.make_mesh((4,), ("x",))
    array = ct.device_put(cnp.zeros((4, 1009)), ct.NamedSharding(mesh, ct.P("x")))
    assert out_of_memory._bytes_on_a_device(array) == 1009 * 4
    (group,) = [group for group in out_of_memory.arrays_by_line() if group.shape == (4, 1009)]
    assert group.file == __file__ and group.line


def test_the_explanation_costs_nothing_before_it_is_asked_for():
    program = (
        "import sys, canter as ct, canter.numpy as cnp\n"
        "ct.jit(lambda x: x + 1)(1.0)\n"
        "names = 'out_of_memory', 'memory_analysis', 'liveness', 'jaxpr_liveness', 'plan'\n"
        "assert not {'canter.runtime.' + n for n in names} & set(sys.modules), sys.modules\n"
        "assert 'canter_pjrt.hlo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_values_of_a_traced_program():
    def f(x):
        y = cnp.sin(x)
        z = ct.lax.scan(lambda c, _: (cnp.cos(c) + y, None), y, None, length=3)[0]
        return z + 1

    closed = ct.make_jaxpr(f)(ct.ShapeDtypeStruct((100,), "float32"))
    found = jaxpr_liveness(closed.jaxpr, ["x"])
    # y, the carried value that the loop returns, and within the loop cos(c) are there at once
    assert found.argument_bytes == 400 and found.result_bytes == 400 and found.temporary_bytes == 1200
    assert [v.primitive for v in found.values if v.kind == "temporary"] == ["sin", "scan", "cos"]
    assert {v.primitive for v in found.values if v.kind == "argument"} == {"x"}
