"""Runs many seeds and shows the shortest form of each program that fails: `python -m tests.fuzz 100 200`."""

from __future__ import annotations

import sys
import time
import traceback

from .generate import make_program
from .modes import modes_of
from .programs import Program, shortened
from .properties import check_program


def failure(program: Program, seed: int, only: str | None = None) -> str | None:
    try:
        check_program(program, modes_of(seed), seed, only)
    except Exception:
        return traceback.format_exc()
    return None


def main(first: int, last: int, only: str | None, seconds: float) -> None:
    start = time.time()
    for seed in range(first, last):
        if time.time() - start > seconds:
            print("stopped before seed", seed)
            break
        program = make_program(seed, modes_of(seed))
        found = failure(program, seed, only)
        if found is None:
            continue
        for count in range(1, len(program.steps)):
            less = failure(shortened(program, count), seed, only)
            if less is not None:
                program, found = shortened(program, count), less
                break
        print(f"=== seed {seed}\n{program}\n{found[-1800:]}", flush=True)
    print(f"{seed - first + 1} seeds in {time.time() - start:.0f} s")


arguments = sys.argv[1:]
main(
    int(arguments[0]),
    int(arguments[1]),
    arguments[2] if len(arguments) > 2 else None,
    float(arguments[3]) if len(arguments) > 3 else 110.0,
)
