"""Printed jaxprs and values against JAX itself, in a process and an environment of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).with_name("programs.py")


def jax_python():
    """The interpreter of an environment that has JAX: made by `make bench`, or named by a variable."""
    for candidate in (os.environ.get("CANTER_BENCH_JAX"), ROOT / ".venv-bench-jax" / "bin" / "python"):
        if candidate and Path(candidate).exists():
            return str(candidate)
    return None


def run(python, framework):
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "XLA_FLAGS")}
    done = subprocess.run(
        [python, str(PROGRAMS), framework], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def results():
    python = jax_python()
    if python is None:
        pytest.skip("no environment with JAX: run `make bench` once, or set CANTER_BENCH_JAX")
    return run(sys.executable, "canter"), run(python, "jax")


def test_printed_jaxprs_are_the_same(results):
    ours, theirs = results
    for name, text in theirs.items():
        if name.startswith("printed "):
            assert ours[name] == text, name


def test_values_are_the_same(results):
    ours, theirs = results
    for name, leaves in theirs.items():
        if name.startswith("value "):
            for own, other in zip(ours[name], leaves, strict=True):
                np.testing.assert_allclose(own, other, rtol=2e-5, atol=1e-6, err_msg=name)
