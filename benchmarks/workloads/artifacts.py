"""Exported programs: the time to make one, its size, and the time from a file to the first result."""

import importlib
import os
import pathlib
import time

import numpy as np

from benchmarks.frameworks import load
from benchmarks.timing import seconds

from .gpt import array_step, batch_of, initial_params, initial_state

CORPUS = pathlib.Path(__file__).parents[2] / "tests" / "data" / "artifacts"


def export_gpt(framework: str):
    """The training step of 12 layers, from the function to the bytes."""
    api = load(framework)
    export = importlib.import_module(f"{framework}.export")
    params = initial_params(layers=12, width=64, context=64)
    state, tokens = initial_state(api, params), batch_of(4, 64)

    def measure() -> dict[str, float]:
        made = []

        def run() -> None:
            step = api.ct.jit(array_step(api, heads=4))
            made.append(export.export(step)(params, state, tokens).serialize())

        return {"value": seconds(run), "size": len(made[0]) / 1e6}

    measure()  # the first has the framework's own caches to fill
    return measure


def load_artifact(framework: str):
    """A fresh process that reads an artifact of the framework's own and runs it."""
    spawned = float(os.environ["BENCH_SPAWNED"])
    export = importlib.import_module(f"{framework}.export")
    (path,) = CORPUS.glob(f"attention.{framework}-*.bin")
    exported = export.deserialize(bytearray(path.read_bytes()))
    with np.load(CORPUS / "attention.npz") as arrays:
        leaves = [arrays[name] for name in sorted(arrays.files) if name.startswith("in")]
    args, kwargs = exported.in_tree.unflatten(leaves)
    np.asarray(exported.call(*args, **kwargs))
    figures = {"value": time.time() - spawned}
    return lambda: figures
