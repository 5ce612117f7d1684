"""Flags: names, checks, scopes, threads, the environment."""

import os
import subprocess
import sys
import threading

import pytest

import canter as ct
from canter.core import config as flags
from canter.core.config import config


@pytest.fixture(autouse=True)
def _restore():
    before = {name: flag.get_global() for name, flag in flags.flags.items()}
    yield
    for name, flag in flags.flags.items():
        if flag.get_global() != before[name]:
            flag.set(before[name])


def test_names_with_and_without_prefix():
    for name in ("jax_debug_nans", "canter_debug_nans", "debug_nans"):
        config.update(name, True)
        assert config.debug_nans and config.jax_debug_nans and config.canter_debug_nans
        assert config.read(name) is True and config.values["jax_debug_nans"] is True
        config.update(name, False)
    assert "jax_debug_nans" in dir(config)


def test_unknown_names_propose_near_ones():
    with pytest.raises(AttributeError, match="did you mean 'enable_x64'"):
        config.update("jax_enable_x46", True)
    with pytest.raises(AttributeError, match="no flag 'jax_enable_x46'"):
        _ = config.jax_enable_x46
    with pytest.raises(AttributeError, match=r"dir\(canter.config\)"):
        config.read("qqqq")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("enable_x64", "perhaps", "expected True or False"),
        ("enable_x64", None, "expected True or False"),
        ("enable_x64", 2, "expected True or False"),
        ("numpy_rank_promotion", "sometimes", "one of 'allow', 'warn', 'raise'"),
        ("default_matmul_precision", "exact", "'highest'"),
        ("num_cpu_devices", 2.5, "an integer of at least -1"),
        ("num_cpu_devices", True, "an integer"),
        ("default_device", 3, "a device such as canter.devices"),
        ("persistent_cache_min_compile_time_secs", -1, "a number of at least 0"),
        ("compilation_cache_dir", 7, "a string, or None"),
        ("default_prng_impl", "md5", "threefry2x32"),
        ("transfer_guard", "maybe", "'disallow'"),
    ],
)
def test_bad_values(name, value, words):
    before = config.values
    with pytest.raises(ValueError, match=words) as error:
        config.update(name, value)
    assert repr(value) in str(error.value)
    assert config.values == before


def test_assignment_is_refused():
    with pytest.raises(AttributeError, match=r"config.update\('enable_x64', True\)"):
        config.enable_x64 = True


def test_scopes_nest_and_restore():
    assert not config.enable_x64
    with ct.enable_x64(True):
        assert config.enable_x64
        with ct.enable_x64(False):
            assert not config.enable_x64
        assert config.enable_x64
    assert not config.enable_x64
    with pytest.raises(KeyError), ct.enable_x64(True):
        raise KeyError
    assert not config.enable_x64


def test_scope_spellings():
    with ct.debug_nans():
        assert config.debug_nans
    with ct.debug_nans(new_val=True):
        assert config.debug_nans
    with ct.disable_jit(disable=True):
        assert config.disable_jit
    with pytest.raises(TypeError, match="needs a value"):
        ct.default_matmul_precision()
    with pytest.raises(TypeError, match="unexpected keyword"):
        ct.debug_nans(value=True)
    with pytest.raises(ValueError, match="expected True or False"):
        ct.debug_nans("x")
    with pytest.raises(TypeError, match="no truth value"):
        bool(ct.debug_nans)


def test_as_decorator():
    @ct.default_matmul_precision("highest")
    def precision():
        return config.default_matmul_precision

    assert precision() == "highest"
    assert config.default_matmul_precision is None


def test_values_belong_to_threads():
    seen = {}

    def look(key):
        seen[key] = config.enable_x64

    with ct.enable_x64(True):
        for key, prepare in (("local", None), ("global", lambda: config.update("debug_infs", True))):
            if prepare:
                prepare()
            thread = threading.Thread(target=look, args=(key,))
            thread.start()
            thread.join()
    assert seen == {"local": False, "global": False}


def test_trace_context_has_what_compiled_programs_depend_on():
    before = config.trace_context()
    with ct.enable_x64(True):
        assert config.trace_context() != before
    with ct.log_compiles(True):
        assert config.trace_context() == before


def test_transfer_guards():
    with ct.transfer_guard("disallow"):
        assert config.transfer_guard_host_to_device == "disallow"
        assert config.transfer_guard_device_to_host == "disallow"
    assert config.transfer_guard_host_to_device is None


def _run(code, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CANTER_")}
    return subprocess.run(
        [sys.executable, "-c", code], env={**clean, **environment}, text=True, capture_output=True
    )


def test_environment():
    code = "from canter import config as c; print(c.debug_nans, c.num_cpu_devices, c.compilation_cache_dir)"
    run = _run(
        code, CANTER_DEBUG_NANS="true", CANTER_NUM_CPU_DEVICES="3", CANTER_COMPILATION_CACHE_DIR="/tmp/x"
    )
    assert run.stdout.split() == ["True", "3", "/tmp/x"], run.stderr


def test_bad_environment():
    run = _run("import canter.core.config", CANTER_DEBUG_NANS="perhaps")
    assert run.returncode == 1
    assert "CANTER_DEBUG_NANS = 'perhaps': expected True or False" in run.stderr
