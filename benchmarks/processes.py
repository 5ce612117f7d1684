"""Worker processes as the runner sees them: started, asked for samples, ended."""

import json
import os
import re
import subprocess
import tempfile
import time

from benchmarks.environments import ROOT, python_of

ERROR_LINE = re.compile(r"[\w.]+(Error|Exception|Interrupt)\b")


class WorkerFailed(Exception):
    """The last line that a worker wrote before it ended."""


class Worker:
    """`with Worker("jax", "trace_lax") as worker: worker.sample()`."""

    def __init__(self, framework: str, workload: str, *, once: bool = False):
        self.name = f"{framework} {workload}"
        self._errors = tempfile.TemporaryFile("w+")
        command = [
            python_of(framework),
            "-m",
            "benchmarks.worker",
            framework,
            workload,
            *(["--once"] if once else []),
        ]
        # A process as users start it: packages are the installed ones, and come as bytecode.
        environment = {
            k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
        }
        environment |= {"BENCH_SPAWNED": repr(time.time()), "TF_CPP_MIN_LOG_LEVEL": "1"}
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._once = once
        self.version = ""

    def start(self) -> None:
        """Wait until the workload is prepared."""
        self.version = self._answer()["version"]

    def sample(self) -> dict[str, float]:
        if not self.version:
            self.start()
        if not self._once:
            try:
                self._process.stdin.write("\n")
                self._process.stdin.flush()
            except BrokenPipeError:
                pass  # the worker is gone: the answer says why
        return self._answer()

    def _answer(self) -> dict:
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            said = self._errors.read().strip().splitlines() or [f"exit {self._process.returncode}"]
            errors = [line for line in said if ERROR_LINE.match(line)]
            raise WorkerFailed(f"{self.name}: {(errors or said)[-1]}")
        return json.loads(line)

    def close(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_) -> None:
        self.close()
