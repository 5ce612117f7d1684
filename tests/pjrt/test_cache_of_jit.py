"""The cache on disk as users meet it: flags of the environment, jitted functions, two processes."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import numpy as np
from canter import lax
from canter.runtime.jit import jit
from canter_pjrt import cache
{padding}
def step(x):
    return lax.sin(lax.mul(x, 2.0))

print(float(jit(step)(np.ones(3, np.float32)).item(0)), cache.statistics.hits, cache.statistics.writes)
"""


def run(tmp_path, padding="", **flags):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.format(padding=padding))
    env = {key: value for key, value in os.environ.items() if not key.startswith("CANTER_")}
    env["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    env |= {"CANTER_COMPILATION_CACHE_DIR": str(tmp_path / "cache")} | flags
    done = subprocess.run([sys.executable, str(path)], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    value, hits, writes = done.stdout.split()
    return float(value), int(hits), int(writes)


@pytest.mark.smoke
def test_second_process_finds_the_program_even_if_the_function_moved_in_its_file(tmp_path):
    always = {"CANTER_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    first = run(tmp_path, **always)
    assert first[1:] == (0, 1)
    assert run(tmp_path, padding="# one\n# two\n", **always) == (first[0], 1, 0)


def test_quick_programs_are_not_kept_and_the_switch_works(tmp_path):
    assert run(tmp_path)[1:] == (0, 0)
    off = {"CANTER_ENABLE_COMPILATION_CACHE": "0", "CANTER_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    assert run(tmp_path, **off)[1:] == (0, 0)
    assert not (tmp_path / "cache").exists()
