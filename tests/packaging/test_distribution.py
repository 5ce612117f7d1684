"""The distribution as pip sees it, and what importing it costs."""

import json
import subprocess
import sys
from importlib import metadata

import pytest

import canter

EXTRAS = {"cuda12", "cuda13", "rocm7", "tpu", "test", "bench", "docs", "demo", "dev"}

REPORT_MODULES = """
import json, sys
import canter, canter.numpy, canter.lax, canter.nn, canter.random
from canter_pjrt import clients
loaded = [name for name in sys.modules if name.split(".")[0] in ("scipy", "matplotlib", "jax", "canter_mlir")]
loaded += [name for name in sys.modules if name.startswith("jaxlib.mlir")]
print(json.dumps({"loaded": sorted(loaded), "client": clients.is_created("cpu")}))
"""


@pytest.mark.smoke
def test_the_installed_version_is_the_one_in_the_source():
    assert metadata.version("canter") == canter.__version__


def test_extras_are_declared():
    assert set(metadata.metadata("canter").get_all("Provides-Extra")) >= EXTRAS


def test_no_part_depends_on_jax():
    required = [line for line in metadata.requires("canter") if "extra ==" not in line]
    assert not any(
        line.split(";")[0].strip().startswith("jax ") or line.startswith("jax>") for line in required
    )


@pytest.mark.smoke
def test_importing_loads_neither_mlir_nor_a_client():
    done = subprocess.run([sys.executable, "-c", REPORT_MODULES], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"loaded": [], "client": False}
