"""Modules as text, bytecode and portable artifacts."""

import numpy as np
import pytest

from canter_mlir import portable
from canter_mlir.driver import lower_jaxpr_to_module
from canter_pjrt import clients
from canter_pjrt.compile import compile_or_load
from canter_pjrt.jaxlib_door import SingleDeviceSharding, batched_device_put
from tests.mlir.harness import aval, aval_of, program


@pytest.fixture
def module():
    return lower_jaxpr_to_module(program("sin", [aval(3)], aval(3), accuracy=None), name="jit_sin")


def test_text_and_bytecode_read_back(module):
    text = portable.module_to_text(module)
    assert "stablehlo.sine" in text and "loc(" not in text
    assert "loc(" in portable.module_to_text(module, debug_info=True)
    assert portable.module_to_text(portable.parse_module(text)) == text
    assert portable.module_to_text(portable.parse_module(portable.module_to_bytecode(module))) == text


def test_versions_are_ordered():
    def numbers(version):
        return tuple(map(int, version.split(".")))

    ages = [portable.version_for_age(weeks) for weeks in (12, 4, 0)]
    versions = [portable.minimum_version(), *ages, portable.current_version()]
    assert sorted(versions, key=numbers) == versions
    with pytest.raises(ValueError, match="not 5"):
        portable.version_for_age(5)


@pytest.mark.parametrize("version", [None, "minimum"])
def test_artifacts_compile_and_leave_the_module_alone(module, version):
    before = portable.module_to_text(module)
    artifact = portable.module_to_portable_artifact(module, version and portable.minimum_version())
    assert portable.module_to_text(module) == before
    device = clients.client("cpu").local_devices()[0]
    x = np.linspace(0, 1, 3, dtype=np.float32)
    executable = compile_or_load(artifact, [device])
    operand = batched_device_put(aval_of(x), SingleDeviceSharding(device), [x], [device], force_copy=True)
    ((result,),) = executable.execute_sharded([operand]).disassemble_into_single_device_arrays()
    np.testing.assert_allclose(result._single_device_array_to_np_array_did_copy()[0], np.sin(x), rtol=1e-6)


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="not a module"):
        portable.parse_module("module {")
