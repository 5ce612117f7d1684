"""Clients: made lazily, once, quietly, with the devices asked for."""

import os
import subprocess
import sys

import pytest

from canter_pjrt import clients
from canter_pjrt.clients import BackendError, ClientOptions


def run_python(code, **environment):
    env = {
        key: value
        for key, value in os.environ.items()
        if key not in ("XLA_FLAGS", "TF_CPP_MIN_LOG_LEVEL") and not key.startswith("CANTER_")
    }
    env["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return subprocess.run(
        [sys.executable, "-c", code], env=env | environment, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def platforms():
    """The table of platforms, restored afterwards; no client is dropped."""
    saved = dict(clients._platforms), dict(clients._clients), dict(clients._failures)
    yield
    for table, content in zip((clients._platforms, clients._clients, clients._failures), saved, strict=True):
        table.clear()
        table.update(content)


@pytest.mark.smoke
def test_cpu_client_is_made_once_and_has_the_virtual_devices():
    client = clients.client("cpu")
    assert clients.client("cpu") is client
    assert client.platform == "cpu"
    assert client.device_count() == 8  # tests/conftest.py sets XLA_FLAGS


def test_devices_and_their_memories():
    device = clients.client("cpu").devices()[3]
    assert (device.id, device.platform, device.process_index) == (3, "cpu", 0)
    assert "device" in {memory.kind for memory in device.addressable_memories()}
    assert device.default_memory().kind == "device"


def test_unknown_platform_names_the_known_ones():
    with pytest.raises(BackendError, match=r"Unknown backend 'nope'.*'cpu'"):
        clients.client("nope")
    if "tpu" not in clients.known_platforms():
        with pytest.raises(BackendError, match=r"pip install 'canter\[tpu\]'"):
            clients.client("tpu")


def test_platform_that_fails_says_why_and_is_tried_once(platforms):
    attempts = []

    def fail(options):
        attempts.append(options)
        raise RuntimeError("no such hardware")

    clients.register_platform("fancy", fail, priority=900)
    for _ in range(2):
        with pytest.raises(BackendError, match=r"fancy.*cannot be started.*no such hardware"):
            clients.client("fancy")
    assert len(attempts) == 1
    assert clients.known_platforms()[0] == "fancy"
    assert clients.default_platform() == "cpu"
    assert list(clients.clients()) == ["cpu"]


def test_platform_asked_for_by_name_is_not_passed_over(platforms):
    clients.register_platform("fancy", lambda options: 1 / 0)
    with pytest.raises(BackendError, match="fancy"):
        clients.default_platform(ClientOptions(platforms=("fancy", "cpu")))


def test_platform_that_the_flag_excludes(platforms):
    clients.register_platform("other", lambda options: object())
    with pytest.raises(BackendError, match="not among those that the flag `platforms` admits: cpu"):
        clients.client("other", ClientOptions(platforms=("cpu",)))


def test_platform_in_use_cannot_be_registered_again(platforms):
    clients.client("cpu")
    with pytest.raises(ValueError, match="in use"):
        clients.register_platform("cpu", lambda options: None)


def test_nothing_is_made_at_import_and_nothing_is_said():
    code = (
        "from canter_pjrt import clients\n"
        "assert not clients.is_created()\n"
        "print(len(clients.client('cpu', clients.ClientOptions(num_cpu_devices=5)).devices()))\n"
        "assert clients.is_created() and clients.is_created('cpu') and not clients.is_created('tpu')\n"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "5"
    assert done.stderr == ""


@pytest.mark.parametrize("flags", ["--xla_force_host_platform_device_count=3"])
def test_xla_flags_give_virtual_devices(flags):
    done = run_python(
        "from canter_pjrt import clients; print(clients.client('cpu').device_count())", XLA_FLAGS=flags
    )
    assert done.stdout.strip() == "3", done.stderr
