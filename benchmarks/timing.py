"""Clocks for things that take a microsecond and for things that take a minute."""

import gc
import time
from collections.abc import Callable
from typing import Any

LEAST_SAMPLE = 0.05  # seconds; shorter samples measure the clock and the scheduler


def seconds(run: Callable[[], Any]) -> float:
    """Wall time of one call, begun with a clean heap."""
    gc.collect()
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def repeated(run: Callable[[], Any]) -> Callable[[], dict[str, float]]:
    """A measure of one call of `run`, averaged over as many as fill a sample."""

    def loop(count: int) -> float:
        def calls() -> None:
            for _ in range(count):
                run()

        return seconds(calls)

    loop(3)
    count = 1
    while (taken := loop(count)) < LEAST_SAMPLE:
        count = max(2 * count, int(1.2 * count * LEAST_SAMPLE / max(taken, 1e-9)))
    return lambda: {"value": loop(count) / count}
