"""Flags that absl's command line sets."""

import subprocess
import sys

import pytest

pytest.importorskip("absl")

PROGRAM = """
import canter as ct
ct.config.config_with_absl()
ct.config.config_with_absl()  # a library may ask for it as well
from absl import app, flags

def main(rest):
    c = ct.config
    print(rest[1:], c.jax_enable_x64, c.jax_debug_nans, c.jax_default_matmul_precision, c.jax_log_compiles)
    print(c.jax_persistent_cache_min_compile_time_secs, flags.FLAGS.jax_enable_x64, c.jax_numpy_rank_promotion)

ct.config.update("jax_log_compiles", True)
app.run(main)
"""


def run(*options):
    return subprocess.run([sys.executable, "-c", PROGRAM, *options], capture_output=True, text=True)


def test_the_command_line_sets_flags_and_leaves_others():
    options = ["--jax_enable_x64", "--nojax_debug_nans", "--jax_default_matmul_precision=float32"]
    ran = run(*options, "--jax_persistent_cache_min_compile_time_secs=2.5", "file")
    assert ran.stdout.splitlines() == ["['file'] True False float32 True", "2.5 True allow"], ran.stderr


def test_a_value_that_a_flag_does_not_take_is_refused():
    ran = run("--jax_numpy_rank_promotion=perhaps")
    assert ran.returncode and "numpy_rank_promotion" in ran.stderr and "allow" in ran.stderr
