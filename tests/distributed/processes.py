"""Programs as several processes on this machine, with a port of their own; none outlives its test."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

PROGRAMS = Path(__file__).parent / "programs"


class Ended(NamedTuple):
    """How a process ended: its exit status, negative for a signal, and what it wrote."""

    status: int
    output: str


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(
    program: str, count: int, devices: int, *more: str, timeout: float = 100.0, **environment: str
) -> list[Ended]:
    """Runs a program of the folder `programs` as so many processes, and waits for all.

    Each gets its number, how many there are, the address of process 0, and `more` as arguments. When one of them
    takes longer than `timeout` seconds, or the test is broken off, all are killed.
    """
    address = f"127.0.0.1:{free_port()}"
    variables = {name: value for name, value in os.environ.items() if not name.startswith("CANTER_")}
    variables |= {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONFAULTHANDLER": "1",
        **environment,
    }
    with tempfile.TemporaryDirectory() as folder:
        variables.setdefault("CANTER_COMPILATION_CACHE_DIR", folder)
        logs = [open(Path(folder, f"{number}.log"), "w+") for number in range(count)]
        processes = []
        try:
            for number in range(count):
                command = [sys.executable, str(PROGRAMS / program), str(number), str(count), address, *more]
                processes.append(
                    subprocess.Popen(command, stdout=logs[number], stderr=subprocess.STDOUT, env=variables)
                )
            until = time.monotonic() + timeout
            for process in processes:
                try:
                    process.wait(max(0.1, until - time.monotonic()))
                except subprocess.TimeoutExpired:
                    break
        finally:
            for process in processes:
                if process.poll() is None:
                    process.kill()
                process.wait()
            texts = [Path(log.name).read_text() for log in logs]
            for log in logs:
                log.close()
        return [Ended(process.returncode, text) for process, text in zip(processes, texts, strict=True)]


def told(ended: list[Ended]) -> str:
    """All that the processes wrote, for the message of an assertion."""
    return "\n".join(f"--- process {n}: status {e.status}\n{e.output[-6000:]}" for n, e in enumerate(ended))
