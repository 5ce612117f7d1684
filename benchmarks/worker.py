"""One framework in one process: `python -m benchmarks.worker FRAMEWORK WORKLOAD`.

Prepares the workload, prints a line of JSON with the framework's version, then one more for every line it reads: the
figures of one sample, in seconds and megabytes. With `--once` it takes one sample and leaves.
"""

import argparse
import importlib
import json
import sys

MODULES = {
    "startup": "startup",
    "gpt12": "gpt",
    "gpt4_step": "gpt",
    "nested_gpt": "gpt",
    "export_gpt": "artifacts",
    "load_artifact": "artifacts",
    "cache": "caching",
    "scan": "loops",
    "eager_calls": "calls",
    "jit": "dispatch",
    "eager": "dispatch",
    "sharded": "sharding",
    "compile": "compiling",
    "step": "training",
}


def workload_named(name: str):
    """The function that prepares the workload; modules are imported on demand, so that start-up is not disturbed."""
    module = MODULES.get(name) or MODULES.get(name.split("_")[0]) or "tracing"
    return getattr(importlib.import_module(f"benchmarks.workloads.{module}"), name)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.worker")
    parser.add_argument("framework", choices=["canter", "jax", "torch"])
    parser.add_argument("workload")
    parser.add_argument("--once", action="store_true")
    options = parser.parse_args()

    answers, sys.stdout = sys.stdout, sys.stderr  # what a library prints must not get between the answers
    measure = workload_named(options.workload)(options.framework)
    from benchmarks.frameworks import version

    print(json.dumps({"version": version(options.framework)}), file=answers, flush=True)
    for _ in [None] if options.once else sys.stdin:
        print(json.dumps(measure()), file=answers, flush=True)


if __name__ == "__main__":
    main()
