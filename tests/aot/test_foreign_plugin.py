"""A CPU plugin from another package, `xla-cpu-pjrt`, is a platform like any other: found by its entry point, loaded
through the PJRT C API, and held against the same tests."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter_pjrt.accelerators import plugin_for

NAME = "xla_cpu_pjrt"
ROOT = Path(__file__).parents[2]

if plugin_for(NAME) is None:
    pytest.skip("needs the package xla-cpu-pjrt: run make test-aot", allow_module_level=True)


@pytest.fixture(scope="module")
def devices():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return ct.devices(NAME)


def test_it_waits_to_be_asked_for(devices):
    assert ct.default_backend() == "cpu" and ct.devices()[0] not in devices
    plugin = plugin_for(NAME)
    assert plugin.source == "entry point xla_plugins of xla-cpu-pjrt"
    assert Path(plugin.library).name == "xla_cpu_pjrt.so"
    assert ct.extend.backend.get_backend(NAME) is devices[0].client
    assert "PJRT C API" in devices[0].client.platform_version


def test_arrays_jit_and_derivatives(devices):
    x = ct.device_put(np.linspace(0, 1, 5, dtype=np.float32), devices[1])
    assert x.devices() == {devices[1]}
    function = ct.jit(lambda x: cnp.sum(cnp.sin(x) * x))
    np.testing.assert_allclose(function(x), np.sum(np.sin(x) * np.asarray(x)), rtol=1e-6)
    gradient = ct.grad(function)(x)
    np.testing.assert_allclose(gradient, np.cos(x) * np.asarray(x) + np.sin(x), rtol=1e-6)
    assert gradient.devices() == {devices[1]}
    np.testing.assert_array_equal(ct.vmap(lambda a: a * 2)(x), np.asarray(x) * 2)


def test_default_device(devices):
    with ct.default_device(devices[2]):
        assert cnp.ones(3).devices() == {devices[2]}
        drawn = ct.random.normal(ct.random.key(0), (4,))
    np.testing.assert_allclose(drawn, ct.random.normal(ct.random.key(0), (4,)), rtol=1e-5)


def test_decompositions_need_no_library(devices):
    x = np.random.default_rng(0).normal(size=(5, 5)).astype(np.float32)
    spd = x @ x.T + 5 * np.eye(5, dtype=np.float32)
    with ct.default_device(devices[0]):
        np.testing.assert_allclose(lax.linalg.cholesky(spd), np.linalg.cholesky(spd), atol=1e-5)
        np.testing.assert_allclose(lax.linalg.eigh(spd)[1], np.linalg.eigvalsh(spd), rtol=1e-4)
        np.testing.assert_allclose(cnp.linalg.svd(x)[1], np.linalg.svd(x)[1], rtol=1e-4)
        np.testing.assert_allclose(cnp.linalg.solve(spd, x), np.linalg.solve(spd, x), atol=1e-4)
        q, r = cnp.linalg.qr(x)
        np.testing.assert_allclose(q @ r, x, atol=1e-5)


def test_decompositions_of_64_bit_numbers_have_all_digits(devices):
    x = np.random.default_rng(0).normal(size=(8, 8))
    with ct.enable_x64(True), ct.default_device(devices[0]):
        v, w = lax.linalg.eigh(x + x.T)
        np.testing.assert_allclose((v * w) @ v.T, x + x.T, atol=1e-12)
        u, s, vt = cnp.linalg.svd(x)
        np.testing.assert_allclose((u * s) @ vt, x, atol=1e-12)


def test_compiled_programs_as_bytes(devices):
    from canter.export.compiled_bytes import from_bytes, to_bytes

    compiled = ct.jit(lambda x: x * 2, device=devices[0]).lower(np.ones(3, np.float32)).compile()
    loaded = from_bytes(to_bytes(compiled), NAME)
    assert loaded(np.ones(3, np.float32)).devices() == {devices[0]}


def test_a_part_of_the_suite():
    files = [
        "tests/lax/test_sorting.py",
        "tests/lax/test_linalg.py",
        "tests/nn/test_normalization.py",
        "tests/numpy/test_reductions.py",
    ]
    environment = dict(os.environ, CANTER_PLATFORMS=f"{NAME},cpu")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:]
