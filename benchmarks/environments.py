"""The Python that runs each framework: this one for Canter, environments of their own for the peers."""

import os
import pathlib
import subprocess
import sys
from importlib import metadata

ROOT = pathlib.Path(__file__).parents[1]


class Unavailable(Exception):
    """A peer that cannot be measured here, and why."""


def python_of(framework: str) -> str:
    """The interpreter for `framework`; a peer's environment is made on first use.

    CANTER_BENCH_JAX and CANTER_BENCH_TORCH name the interpreters of environments that exist already; the word none
    leaves a peer out.
    """
    if framework == "canter":
        return sys.executable
    variable = f"CANTER_BENCH_{framework.upper()}"
    if given := os.environ.get(variable):
        if given == "none":
            raise Unavailable(f"left out by {variable}=none")
        if not os.access(given, os.X_OK):
            raise Unavailable(f"{variable} names {given}, which is no program")
        return given
    environment = ROOT / f".venv-bench-{framework}"
    python = environment / "bin" / "python"
    ready = environment / "ready"
    if not ready.exists():
        print(f"making {environment.name} ...", file=sys.stderr, flush=True)
        _run([sys.executable, "-m", "venv", str(environment)])
        _run(
            [
                str(python),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                *_packages(framework),
            ]
        )
        ready.touch()
    return str(python)


def _packages(framework: str) -> list[str]:
    """JAX of the very jaxlib that Canter runs on, so that the compiler is the same on both sides."""
    if framework == "jax":
        release = metadata.version("jaxlib")
        return [f"jax=={release}", f"jaxlib=={release}", "flatbuffers"]
    return ["torch", "numpy"]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise Unavailable(f"{' '.join(command[:5])} ... failed: {last}")
