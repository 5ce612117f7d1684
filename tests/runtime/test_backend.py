"""Devices and the flags that decide on them."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from canter.core import config
from canter.runtime import backend
from canter.runtime.device_put import device_put, to_device
from canter.runtime.shardings import SingleDeviceSharding, sharding_of


@pytest.mark.smoke
def test_devices():
    devices = backend.devices()
    assert len(devices) == 8 == backend.device_count() == backend.local_device_count()
    assert devices == backend.local_devices() == backend.devices("cpu")
    assert backend.default_backend() == "cpu" and list(backend.backends()) == ["cpu"]
    assert (repr(devices[2]), str(devices[2])) == ("CpuDevice(id=2)", "cpu:2") or "2" in repr(devices[2])
    assert backend.get_backend(backend.get_backend()) is backend.get_backend("cpu")


def test_processes():
    assert (backend.process_index(), backend.process_count(), backend.process_indices()) == (0, 1, [0])
    assert (backend.host_id(), backend.host_count(), backend.host_ids()) == (0, 1, [0])
    assert backend.local_devices(process_index=0) == backend.local_devices()
    with pytest.raises(ValueError, match=r"no process 3.*\[0\]"):
        backend.local_devices(process_index=3)


@pytest.mark.parametrize(
    ("name", "message"), [("nope", "Unknown backend 'nope'"), ("gpu", "Unknown backend 'gpu'.*Present: cpu")]
)
def test_missing_platforms(name, message):
    with pytest.raises(RuntimeError, match=message):
        backend.devices(name)


def test_default_device_flag():
    device = backend.devices()[5]
    with config.default_device(device):
        assert backend.current_default_device() is device
        x = to_device(1.0)
        assert x.device is device and not x.committed
        assert device_put(np.ones(2)).device is device
    assert backend.current_default_device() is backend.devices()[0]
    with config.default_device("cpu"):
        assert backend.current_default_device() is backend.devices()[0]
    with config.default_device("nope"), pytest.raises(RuntimeError, match="Unknown backend 'nope'"):
        backend.current_default_device()


def test_asynchronous_dispatch_may_be_set_at_any_time():
    """As JAX takes it; a program that sets it late is told, and goes on."""
    code = (
        "import canter as ct, warnings; config = ct.config\n"
        "assert config.jax_cpu_enable_async_dispatch is None\n"
        "config.update('jax_cpu_enable_async_dispatch', False)\n"
        "assert config.jax_cpu_enable_async_dispatch is False\n"
        "assert float(ct.jit(lambda x: x + 1)(1.0)) == 2\n"
        "config.update('jax_cpu_enable_async_dispatch', False)\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    config.update('jax_cpu_enable_async_dispatch', True)\n"
        "assert 'cannot change once' in str(caught[0].message) and caught[0].filename == '<string>', caught[0]\n"
        "assert config.read('jax_cpu_enable_async_dispatch') and float(ct.jit(lambda x: x + 1)(1.0)) == 2\n"
    )
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=True, env={**os.environ, "CANTER_PLATFORMS": "cpu"}
    )


@pytest.mark.parametrize(("flag", "value"), [("num_cpu_devices", 2), ("platforms", "cuda,cpu")])
def test_device_flags_cannot_change_late(flag, value):
    backend.devices()
    with pytest.raises(RuntimeError, match=f"{flag} cannot change.*CANTER_{flag.upper()}"):
        config.config.update(flag, value)


def test_device_flags_from_the_environment():
    code = "from canter.runtime import backend; print(len(backend.devices()))"
    env = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    env |= {"CANTER_NUM_CPU_DEVICES": "3", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.stdout.strip() == "3", done.stderr
    env |= {"CANTER_PLATFORMS": "fancy"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert "Unknown backend 'fancy'" in done.stderr


def test_single_device_shardings():
    first, second = backend.devices()[:2]
    one = SingleDeviceSharding(first)
    assert one == SingleDeviceSharding(first) == sharding_of(first) and one != SingleDeviceSharding(second)
    assert hash(one) == hash(SingleDeviceSharding(first)) and one != 3
    assert one.device_set == one.addressable_devices == {first}
    assert one.memory_kind == "device" and one.with_memory_kind("pinned_host") != one
    assert one.is_fully_replicated and one.is_fully_addressable and one.num_devices == 1
    assert one.shard_shape((2, 3)) == (2, 3)
    assert one.devices_indices_map((2, 3)) == {first: (slice(None), slice(None))}
    assert one.addressable_devices_indices_map((2,)) == {first: (slice(None),)}
    assert one.is_equivalent_to(SingleDeviceSharding(first), 2)
    assert not one.is_equivalent_to(SingleDeviceSharding(second), 2)
    assert repr(one) == "SingleDeviceSharding(device=CpuDevice(id=0), memory_kind=device)"
    assert pickle.loads(pickle.dumps(one)) == one
