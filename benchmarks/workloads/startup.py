"""A fresh process: import, the first jitted result, and the memory that took."""

import importlib
import os
import resource
import sys
import time


def startup(framework: str):
    """The runner sets BENCH_SPAWNED to the time at which it started this process."""
    spawned = float(os.environ["BENCH_SPAWNED"])
    begin = time.perf_counter()
    package = importlib.import_module(framework)
    array_module = importlib.import_module(f"{framework}.numpy")
    imported = time.perf_counter() - begin

    result = package.jit(lambda x: array_module.sin(x) + 1)(1.0)
    result.block_until_ready()
    finished = time.time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_bytes = peak if sys.platform == "darwin" else peak * 1024
    figures = {"import": imported, "value": finished - spawned, "memory": peak_bytes / 1e6}
    return lambda: figures
