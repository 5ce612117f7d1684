"""The cache on disk: a warm start of a process, and whether programs are found again."""

import json
import os
import subprocess
import sys
import tempfile
import time

from benchmarks.frameworks import load

from .gpt import array_step, batch_of, initial_params, initial_state

HITS_OF = 1000
PROCESSES, PROGRAMS = 8, 50


def cache_warm(framework: str):
    """From the start of a process to the end of its first step of a 12-layer GPT, whose program is in the cache."""
    folder = tempfile.TemporaryDirectory()

    def sample() -> float:
        command = [sys.executable, "-m", "benchmarks.workloads.caching", framework, folder.name]
        environment = os.environ | {"BENCH_SPAWNED": repr(time.time())}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return float(done.stdout.splitlines()[-1])

    sample()  # fills the cache
    return lambda: {"value": sample()}


def first_step(framework: str, folder: str) -> float:
    """Seconds since the runner started this process. Every framework keeps all programs, the small ones too."""
    api = load(framework)
    api.ct.config.update("jax_enable_compilation_cache", True)
    api.ct.config.update("jax_compilation_cache_dir", folder)
    api.ct.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    params = initial_params(layers=12, width=64, context=64)
    params = api.tree.tree_map(api.cnp.asarray, params)
    state, tokens = initial_state(api, params), api.cnp.asarray(batch_of(4, 64))
    step = api.ct.jit(array_step(api, heads=4), donate_argnums=(0, 1))
    step(params, state, tokens)[2].block_until_ready()
    return time.time() - float(os.environ["BENCH_SPAWNED"])


def cache_hits(framework: str):
    """The part of many random programs that a second process finds; its folder, lines and hashes are others."""
    from tests.fuzz.cached import twice

    return lambda: {"value": _found(twice(0, HITS_OF)[1])}


def cache_race(framework: str):
    """The part of some programs that is found after several processes have compiled all of them at once."""
    from tests.fuzz.cached import at_once

    return lambda: {"value": _found(at_once(PROCESSES, PROGRAMS))}


def _found(counts: dict) -> float:
    if counts["misses"]:
        raise RuntimeError(f"not every program was found: {json.dumps(counts)}")
    return counts["hits"] / (counts["hits"] + counts["misses"])


if __name__ == "__main__":
    print(first_step(sys.argv[1], sys.argv[2]))
