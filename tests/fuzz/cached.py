"""Random programs as users write them, for the cache on disk: does another process find them all?

python -m tests.fuzz.cached --count 60 --cache FOLDER        compiles and runs programs, tells the hits
python -m tests.fuzz.cached --count 60 --twice               the same in two processes that differ in everything
                                                             that must not matter: folder, lines, hashes of strings

A program is one of those of generate.py, with what these do not have: dicts of arguments, static sets, arrays that
it closes over, calls of Python, random keys, layers in a Python loop, shardings.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import random as python_random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import canter as ct
import canter.numpy as cnp

from .generate import make_program
from .modes import modes_of
from .nesting import scalar_of
from .programs import INDEX, Program, run

NAMES = ["weights", "bias", "scale", "shift", "embedding", "query", "gamma", "x", "Ω"]
OPTIONS = ["centred", "doubled", "squashed", "reversed"]


class Features(NamedTuple):
    """What a program has besides its operations; chosen by its seed."""

    closure: bool
    printing: bool
    calling: bool
    key: bool
    layers: int
    mode: str
    sharded: bool

    @staticmethod
    def of(seed: int, modes: frozenset[str]) -> Features:
        random = python_random.Random(f"features {seed}")
        chance = lambda p: random.random() < p
        mode = random.choice(["value", "value", "vmap", "reverse" if "reverse" in modes else "forward"])
        calls = mode == "value"
        layers = random.choice([0, 0, 3, 5])
        return Features(
            chance(0.5), calls and chance(0.4), calls and chance(0.4), chance(0.3), layers, mode, chance(0.15)
        )


def _call_of_python(x: Any) -> Any:
    return np.sin(np.asarray(x))


def _layer(x: Any, weights: Any) -> Any:
    return cnp.tanh(x @ weights["w"] + weights["b"]) * weights["s"]


def function_of(program: Program, features: Features, seed: int) -> Callable[..., Any]:
    """(a dict of arrays, key, index, options=a set of words) -> a dict of results."""
    captured = np.random.default_rng(seed).uniform(-1, 1, 3).astype(np.float64)
    table = {"first": captured, "second": cnp.asarray(captured[::-1])}

    def compute(params: Any, key: Any, index: Any, *, options: frozenset[str]) -> dict[str, Any]:
        xs = [params[name] for name in sorted(params) if name != "layers"]
        if features.closure:
            xs[0] = xs[0] + cnp.sum(table["first"] * table["second"])
        if features.key:
            first, second = ct.random.split(key)
            xs[0] = xs[0] * ct.random.normal(first, xs[0].shape, np.float64)
            xs[-1] = xs[-1] + ct.random.uniform(second, (), np.float64)
        results = run(program, [*xs, index])
        total = scalar_of(results)
        if "doubled" in options:
            total = 2 * total
        if "squashed" in options:
            total = cnp.tanh(total)
        if features.layers:
            x = cnp.broadcast_to(total, (2, 4))
            for weights in params["layers"]:
                x = _layer(x, weights)
            total = total + cnp.sum(x)
        if features.calling:
            total = ct.pure_callback(_call_of_python, ct.ShapeDtypeStruct((), np.float64), total)
        if features.printing:
            ct.debug.print("total {}", total)
        return {"total": total, "results": results}

    return compute


def transformed(function: Callable[..., Any], features: Features) -> Callable[..., Any]:
    """The function under `vmap`, or with its derivative."""

    def total(params: Any, key: Any, index: Any, **options: Any) -> Any:
        return function(params, key, index, **options)["total"]

    def batched(params: Any, key: Any, index: Any, **options: Any) -> Any:
        several = ct.tree.map(lambda x: cnp.stack([x, x + 0.1]), params)
        return ct.vmap(lambda p: total(p, key, index, **options))(several)

    def pushed(params: Any, key: Any, index: Any, **options: Any) -> Any:
        return ct.jvp(lambda p: total(p, key, index, **options), (params,), (params,))

    return {
        "value": function,
        "vmap": batched,
        "reverse": ct.value_and_grad(total),
        "forward": pushed,
    }[features.mode]


def arguments_of(program: Program, features: Features, seed: int) -> tuple[tuple[Any, ...], frozenset[str]]:
    """The arguments of a call, and the static options."""
    random, numbers = python_random.Random(f"arguments {seed}"), np.random.default_rng(seed)
    shapes = [t for t in program.types if t != INDEX]
    names = sorted(random.sample(NAMES, len(shapes)))
    params: dict[str, Any] = {
        name: numbers.uniform(-1, 1, shape) for name, shape in zip(names, shapes, strict=True)
    }
    if features.layers:
        draw = lambda *shape: numbers.uniform(-1, 1, shape)
        params["layers"] = [{"w": draw(4, 4), "b": draw(4), "s": draw()} for _ in range(features.layers)]
    if features.sharded:
        mesh = ct.make_mesh((2,), ("devices",), devices=ct.devices()[:2])
        everywhere = ct.sharding.NamedSharding(mesh, ct.sharding.PartitionSpec())
        params = ct.device_put(params, everywhere)
    options = frozenset(random.sample(OPTIONS, random.randint(0, 3)))
    return (params, ct.random.key(seed), np.int32(seed % 3)), options


def run_programs(first: int, count: int) -> None:
    """Compiles and runs the programs of these seeds."""
    ct.config.update("enable_x64", True)
    for seed in range(first, first + count):
        modes = modes_of(seed)
        program = make_program(seed, modes, num_steps=3, depth=1)
        features = Features.of(seed, modes)
        arguments, options = arguments_of(program, features, seed)
        function = transformed(function_of(program, features, seed), features)
        jitted = ct.jit(function, static_argnames="options")
        ct.block_until_ready(jitted.lower(*arguments, options=options).compile()(*arguments))
    ct.effects_barrier()


def counts(first: int, count: int) -> dict[str, Any]:
    """What the cache says after the programs have run: its counts, and in how many programs it failed."""
    from canter_pjrt import cache

    run_programs(first, count)
    statistics = cache.statistics
    names = ("hits", "misses", "writes", "damaged")
    return {name: getattr(statistics, name) for name in names}


def in_another_process(
    folder: pathlib.Path, cache: pathlib.Path, first: int, count: int, lines: int
) -> dict[str, Any]:
    """Runs programs from a copy of these modules in another folder, with all lines moved."""
    package = folder / "moved"
    package.mkdir(parents=True)
    for path in pathlib.Path(__file__).parent.glob("*.py"):
        (package / path.name).write_text("\n" * lines + path.read_text())
    paths = [path for path in sys.path if os.path.isdir(path)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CANTER_")}
    flags = environment.get("XLA_FLAGS", "")
    if "device_count" not in flags:
        flags += " --xla_force_host_platform_device_count=2"
    environment |= {
        "CANTER_COMPILATION_CACHE_DIR": str(cache),
        "CANTER_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "PYTHONHASHSEED": str(lines + 1),
        "PYTHONPATH": os.pathsep.join(paths),
        "TF_CPP_MIN_LOG_LEVEL": "1",
        "XLA_FLAGS": " ".join(sorted(flags.split(), reverse=bool(lines % 2))),
    }
    command = [sys.executable, "-m", "moved.cached", "--first", str(first), "--count", str(count)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


def twice(first: int, count: int) -> list[dict[str, Any]]:
    """The counts of two processes, the second of which should find all that the first has left."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        return [
            in_another_process(folder / name, folder / "cache", first, count, lines)
            for name, lines in (("here", 0), ("elsewhere", 7))
        ]


def at_once(processes: int, count: int) -> dict[str, Any]:
    """The counts of one more process after several have compiled the same programs at the same time."""
    from concurrent.futures import ThreadPoolExecutor

    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        run_one = lambda i: in_another_process(folder / str(i), folder / "cache", 0, count, i)
        with ThreadPoolExecutor(processes) as pool:
            found = list(pool.map(run_one, range(processes)))
        if any(one["damaged"] for one in found):
            raise RuntimeError(f"a process found a damaged entry: {found}")
        return run_one(processes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--twice", action="store_true")
    options = parser.parse_args()
    print(json.dumps((twice if options.twice else counts)(options.first, options.count)))


if __name__ == "__main__":
    main()
