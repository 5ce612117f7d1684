"""`make bench-gpu`: a GPT's training step on a GPU, Canter beside JAX, in f32, and in bf16 with f32 weights.

Each framework runs in a process of its own, turn and turn about; the figures are the medians. `--platform cpu
--size tiny` tries the command where there is no GPU: its figures mean nothing and are written nowhere.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
from typing import Any

from benchmarks.environments import ROOT, Unavailable, python_of
from benchmarks.frameworks import load, version
from benchmarks.timing import seconds
from benchmarks.workloads.gpt import array_step, batch_of, initial_params, initial_state

#: layers, width, heads, context, batch
SIZES = {"tiny": (2, 32, 2, 16, 2), "small": (12, 768, 12, 512, 8)}
TYPES = ("float32", "bfloat16")
RESULTS = ROOT / "benchmarks" / "results"


def measure(framework: str, platform: str, size: str, dtype: str, steps: int = 20) -> dict[str, Any]:
    """Times of one framework in this process, in seconds."""
    api = load(framework)
    layers, width, heads, context, batch = SIZES[size]
    device = api.ct.devices(platform)[0]
    tree = api.tree
    with api.ct.default_device(device):
        params = tree.tree_map(lambda x: api.cnp.asarray(x), initial_params(layers, width, context))
        state, tokens = initial_state(api, params), api.cnp.asarray(batch_of(batch, context))
        tree.tree_map(lambda x: x.block_until_ready(), (params, state, tokens))
        one_step = array_step(api, heads, None if dtype == "float32" else dtype)
        lowered = api.ct.jit(one_step, donate_argnums=(0, 1)).lower(params, state, tokens)
        found: dict[str, Any] = {}
        found["compile"] = seconds(lambda: found.update(step=lowered.compile()))
        step = found.pop("step")

        def run() -> None:
            nonlocal params, state
            params, state, loss = step(params, state, tokens)
            loss.block_until_ready()
            found["loss"] = float(loss)

        run()
        found["step"] = statistics.median(seconds(run) for _ in range(steps))
    return found | {"device": device.device_kind, "version": version(framework), "jaxlib": version("jaxlib")}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--platform", default="cuda", choices=("cuda", "rocm", "cpu"))
    parser.add_argument("--size", default="small", choices=SIZES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", nargs=2, metavar=("FRAMEWORK", "DTYPE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measure(options.worker[0], options.platform, options.size, options.worker[1])))
        return 0
    rows = [row(options, dtype) for dtype in TYPES]
    print(table(rows))
    if options.platform != "cpu":
        write(rows, options)
    return 0


def row(options: argparse.Namespace, dtype: str) -> dict[str, Any]:
    """Medians of both frameworks for one dtype."""
    samples: dict[str, list[dict[str, Any]]] = {"canter": [], "jax": []}
    missing: dict[str, str] = {}
    for _ in range(options.rounds):
        for framework, own in samples.items():
            if framework in missing:
                continue
            try:
                own.append(_in_a_process(framework, options, dtype))
            except (Unavailable, subprocess.SubprocessError, OSError) as error:
                missing[framework] = str(error)[:300]
    for framework, reason in missing.items():
        print(f"not measured: {framework} {dtype}: {reason}", file=sys.stderr)
    medians = {
        framework: {key: statistics.median(one[key] for one in own) for key in ("step", "compile", "loss")}
        | {key: own[0][key] for key in ("device", "version", "jaxlib")}
        for framework, own in samples.items()
        if own
    }
    return {"dtype": dtype, "size": options.size, **medians}


def _in_a_process(framework: str, options: argparse.Namespace, dtype: str) -> dict[str, Any]:
    command = [
        python_of(framework),
        "-m",
        "benchmarks.gpu",
        "--platform",
        options.platform,
        "--size",
        options.size,
    ]
    command += ["--worker", framework, dtype]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)
    if done.returncode:
        raise subprocess.SubprocessError(done.stderr.strip()[-300:])
    return json.loads(done.stdout.splitlines()[-1])


def table(rows: list[dict[str, Any]]) -> str:
    """The figures as Markdown."""
    lines = ["| dtype | | Canter | JAX | ratio |", "|---|---|---|---|---|"]
    for one in rows:
        for key in ("step", "compile"):
            ours, theirs = (one.get(name, {}).get(key) for name in ("canter", "jax"))
            ratio = f"{ours / theirs:.2f}" if ours and theirs else ""
            times = [f"{value * 1000:.2f} ms" if value else "not measured" for value in (ours, theirs)]
            lines.append(f"| {one['dtype']} | {key} | {times[0]} | {times[1]} | {ratio} |")
    return "\n".join(lines)


def write(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """The figures, and how they were made, as benchmarks/results/gpu.json and gpu.md."""
    RESULTS.mkdir(exist_ok=True)
    layers, width, heads, context, batch = SIZES[options.size]
    device = next(
        (one[name]["device"] for one in rows for name in ("canter", "jax") if name in one), "unknown"
    )
    how = (
        f"A GPT's AdamW step: {layers} layers, width {width}, {heads} heads, context {context}, batch {batch}, on "
        f"{device}; medians of {options.rounds} processes of 20 steps each, made by `make bench-gpu`."
    )
    pathlib.Path(RESULTS / "gpu.json").write_text(json.dumps({"how": how, "rows": rows}, indent=1) + "\n")
    pathlib.Path(RESULTS / "gpu.md").write_text(f"{how}\n\n{table(rows)}\n")


if __name__ == "__main__":
    sys.exit(main())
