"""Takes the samples: every round asks each framework in turn, so that whatever else the machine does hits all alike."""

import os
import statistics
import sys
from collections import defaultdict
from contextlib import ExitStack

from benchmarks.environments import Unavailable, python_of
from benchmarks.processes import Worker, WorkerFailed
from benchmarks.rows import Row

Samples = dict[str, dict[str, list[float]]]  # framework -> field -> samples


class Bench:
    """Measures rows, and remembers versions and what could not be measured."""

    def __init__(self, rounds: int | None = None):
        self.rounds = rounds
        self.versions: dict[str, str] = {}
        self.missing: dict[str, str] = {}  # framework or "framework workload" -> reason

    def measure(self, rows: list[Row]) -> dict[str, Samples]:
        """All samples by workload; rows that share a workload share its runs."""
        by_workload: dict[str, Row] = {}
        for row in rows:
            by_workload.setdefault(row.workload, row)
        results = {}
        for position, row in enumerate(by_workload.values(), start=1):
            results[row.workload] = self._measure_workload(
                row, f"{position}/{len(by_workload)} {row.workload}"
            )
        _progress("")
        return results

    def _measure_workload(self, row: Row, label: str) -> Samples:
        samples: Samples = defaultdict(lambda: defaultdict(list))
        rounds = self.rounds or row.rounds
        frameworks = [name for name in ("canter", *row.peers) if self._available(name)]
        with ExitStack() as stack:
            workers: dict[str, Worker] = {}
            for number in range(rounds):
                for name in list(frameworks):
                    _progress(f"{label}: {name}, round {number + 1} of {rounds}")
                    try:
                        sample = self._sample(row, name, workers, stack)
                    except WorkerFailed as failure:
                        self.missing[f"{name} {row.workload}"] = str(failure)
                        frameworks.remove(name)
                        continue
                    for field, value in sample.items():
                        samples[name][field].append(value)
        return samples

    def _sample(self, row: Row, name: str, workers: dict[str, Worker], stack: ExitStack) -> dict[str, float]:
        if row.fresh:
            if name not in self.versions:  # the first process of all may have bytecode to write
                with Worker(name, "startup", once=True) as worker:
                    worker.sample()
            with Worker(name, row.workload, once=True) as worker:
                sample = worker.sample()
        else:
            if name not in workers:
                workers[name] = stack.enter_context(Worker(name, row.workload))
            worker = workers[name]
            sample = worker.sample()
        self.versions[name] = worker.version
        return sample

    def _available(self, framework: str) -> bool:
        if framework in self.missing:
            return False
        try:
            python_of(framework)
        except Unavailable as reason:
            self.missing[framework] = str(reason)
            return False
        return True


def median(samples: list[float]) -> float | None:
    return statistics.median(samples) if samples else None


def _progress(text: str) -> None:
    """One line that is overwritten; nothing at all in a log."""
    if sys.stderr.isatty():
        width = max(20, os.get_terminal_size(sys.stderr.fileno()).columns - 1)
        print(f"\r{text[:width]:<{width}}\r", end="", file=sys.stderr, flush=True)
