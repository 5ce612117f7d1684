"""Compiling and running modules given as text: options, errors, serialization, analyses."""

import numpy as np
import pytest

import canter.runtime.array  # noqa: F401  (arrays need their Python methods)
from canter.core.avals import ShapedArray
from canter_pjrt import clients, compile
from canter_pjrt.compile import CompilerOptionError
from canter_pjrt.jaxlib_door import (
    JaxRuntimeError,
    SingleDeviceSharding,
    array_result_handler as result_handler,
    batched_device_put,
)

DOUBLE = """
func.func public @main(%a: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.add %a, %a : tensor<4xf32>
  return %0 : tensor<4xf32>
}
"""

# Each of four devices holds a quarter; the result is the sum of all, on all devices.
SHARDED_SUM = """
module attributes {mhlo.num_partitions = 4 : i32, mhlo.num_replicas = 1 : i32} {
  sdy.mesh @mesh = <["x"=4]>
  func.func public @main(
      %a: tensor<8xf32> {sdy.sharding = #sdy.sharding<@mesh, [{"x"}]>}
  ) -> (tensor<f32> {sdy.sharding = #sdy.sharding<@mesh, []>}) {
    %zero = stablehlo.constant dense<0.0> : tensor<f32>
    %0 = stablehlo.reduce(%a init: %zero) applies stablehlo.add across dimensions = [0]
      : (tensor<8xf32>, tensor<f32>) -> tensor<f32>
    return %0 : tensor<f32>
  }
}
"""


@pytest.fixture
def device():
    return clients.client("cpu").devices()[0]


def run(executable, value, device):
    sharding = SingleDeviceSharding(device)
    aval = ShapedArray(value.shape, value.dtype)
    operand = batched_device_put(aval, sharding, [value], [device], True, True)
    results = executable.execute_sharded([operand])
    (out,) = results.consume_with_handlers([result_handler(aval, sharding, True)])
    return np.asarray(out)


@pytest.mark.smoke
def test_compile_and_execute(device):
    executable = compile.compile_or_load(DOUBLE, [device])
    value = np.arange(4, dtype=np.float32)
    np.testing.assert_array_equal(run(executable, value, device), 2 * value)


def test_compile_for_another_device():
    device = clients.client("cpu").devices()[5]
    executable = compile.compile_or_load(DOUBLE.encode(), [device])
    np.testing.assert_array_equal(run(executable, np.ones(4, np.float32), device), np.full(4, 2))
    assert executable.local_devices() == [device]


def test_compile_for_four_devices():
    devices = clients.client("cpu").devices()[2:6]
    executable = compile.compile_or_load(SHARDED_SUM, devices)
    assert executable.local_devices() == devices
    assert "all-reduce" in executable.hlo_modules()[0].to_string()


def test_devices_must_divide_among_replicas():
    devices = clients.client("cpu").devices()[:3]
    with pytest.raises(ValueError, match="3 devices cannot be divided among 2 replicas"):
        compile.compile_options(devices, num_replicas=2)


@pytest.mark.smoke
def test_options_reach_the_compiler(device):
    made = compile.compile_options(
        [device], {"xla_cpu_enable_fast_math": True, "xla_cpu_prefer_vector_width": 128}
    )
    assert dict(made.env_option_overrides) == {
        "xla_cpu_enable_fast_math": True,
        "xla_cpu_prefer_vector_width": 128,
    }
    compile.compile_module(DOUBLE, [device], made)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"xla_nope": 1}, r"no option 'xla_nope'"),
        ({"xla_cpu_enable_fast_mat": True}, r"no option.*Did you mean 'xla_cpu_enable_fast_math'"),
        (
            {"xla_cpu_enable_fast_math": "maybe"},
            r"'xla_cpu_enable_fast_math' does not take the value 'maybe'",
        ),
        ({"xla_cpu_prefer_vector_width": 3.5}, r"'xla_cpu_prefer_vector_width' does not take the value 3.5"),
        ({"xla_cpu_enable_fast_math": None}, r"takes a bool, an int, a float or a str; got None"),
        ({3: 4}, r"named by strings.*got 3"),
    ],
)
def test_bad_options(device, options, message):
    with pytest.raises(CompilerOptionError, match=message) as caught:
        compile.compile_or_load(DOUBLE, [device], options=options)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, JaxRuntimeError)


def test_bad_module_is_a_compiler_error(device):
    with pytest.raises(JaxRuntimeError, match="custom op 'junk' is unknown"):
        compile.compile_or_load("junk", [device])


@pytest.mark.smoke
def test_serialized_executable_runs(device):
    data = compile.serialize(compile.compile_or_load(DOUBLE, [device]))
    assert isinstance(data, bytes)
    executable = compile.deserialize(data, [device])
    np.testing.assert_array_equal(run(executable, np.ones(4, np.float32), device), np.full(4, 2))


def test_cost_and_memory_analysis(device):
    executable = compile.compile_or_load(DOUBLE, [device])
    cost = compile.cost_analysis(executable)
    assert cost["flops"] == 4 and cost["bytes accessed"] == 32
    memory = compile.memory_analysis(executable)
    assert (memory.argument_size_in_bytes, memory.output_size_in_bytes) == (16, 16)
