"""What a program frees is kept for its next call: counted in pages that the system makes anew."""

import os
import platform
import subprocess
import sys

import pytest

import canter as ct
from canter.runtime import host_memory

PROGRAM = """
import resource, statistics
import canter as ct, canter.numpy as cnp

x = cnp.ones((3200, 3200), cnp.float32)
f = ct.jit(lambda x: x + 1)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    f(x).block_until_ready()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

# A block that is freed late makes the heap grow once more.
print(statistics.median_low(faults() for _ in range(15)))
"""


def pages(**environment):
    unset = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD", "XLA_FLAGS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told what to keep")
def test_a_step_needs_no_fresh_pages():
    least = 3200 * 3200 * 4 // os.sysconf("SC_PAGE_SIZE") // 2
    assert pages() < least // 20
    assert pages(CANTER_CPU_KEPT_MEMORY="0") > least
    assert pages(MALLOC_ARENA_TEST="8") > least, "the user's own settings of the allocator are left alone"


def test_what_stays_untouched(monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", "/usr/lib/libjemalloc.so.2")
    assert host_memory.keep_freed_memory() == 0
    monkeypatch.delenv("LD_PRELOAD")
    monkeypatch.setattr(os, "confstr", lambda name: None)
    assert host_memory.keep_freed_memory() == 0


def test_the_flag_is_set_before_the_cpu_is_used():
    ct.devices()
    with pytest.raises(RuntimeError, match="CANTER_CPU_KEPT_MEMORY"):
        ct.config.update("jax_cpu_kept_memory", 5)
