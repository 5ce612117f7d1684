"""Samples against those that JAX draws from the same keys."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.random.cases import label, programs

_HERE = pathlib.Path(__file__).parent
_GOLDEN = json.loads((_HERE / "data" / "samples.json").read_text())


@pytest.fixture(scope="module")
def drawn():
    """All samples, drawn in a process with the compiler's default options: the suite's own spare
    optimisations that change the last bits of floats."""
    env = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=1"}
    out = subprocess.run(
        [sys.executable, str(_HERE / "cases.py"), "canter"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert out.returncode == 0, out.stderr
    return json.loads(out.stdout)


@pytest.mark.parametrize(("line", "exact", "mode"), programs(), ids=lambda value: str(value))
def test_samples_are_those_of_jax(line, exact, mode, drawn):
    name = label(line, mode)
    for got, want in zip(drawn[name], _GOLDEN[name], strict=True):
        assert got["dtype"] == want["dtype"]
        if exact:
            assert np.array_equal(got["values"], want["values"], equal_nan=True), (
                got["values"],
                want["values"],
            )
        else:
            np.testing.assert_allclose(got["values"], want["values"], rtol=2e-5, atol=2e-6)


def test_golden_samples_are_those_recorded_first():
    lines = (_HERE / "data" / "recorded.txt").read_text().splitlines()
    recorded = {name: digest for digest, name in (line.split(" ", 1) for line in lines)}
    digests = {
        name: hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16] for name, values in _GOLDEN.items()
    }
    assert digests == recorded
