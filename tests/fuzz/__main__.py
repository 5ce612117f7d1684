"""Runs many seeds and shows the shortest form of each program that fails.

python -m tests.fuzz 100 200            all properties of these seeds
python -m tests.fuzz 100 900 --trace    only traces and checks jaxprs, which is much faster
"""

from __future__ import annotations

import argparse
import time
import traceback
from typing import Any

from .generate import make_program
from .modes import modes_of
from .programs import Program, shortened
from .properties import check_program, check_trace


def failure(check: Any, program: Program, seed: int) -> str | None:
    try:
        check(program, modes_of(seed), seed)
    except Exception:
        return traceback.format_exc()
    return None


def shortest(check: Any, program: Program, seed: int) -> tuple[Program, str | None]:
    """The fewest leading steps that fail."""
    for count in range(1, len(program.steps)):
        less = shortened(program, count)
        found = failure(check, less, seed)
        if found is not None:
            return less, found
    return program, None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--trace", action="store_true", help="trace and check jaxprs, run nothing")
    parser.add_argument("--seconds", type=float, default=110.0, help="when to stop")
    options = parser.parse_args()
    check = check_trace if options.trace else check_program
    start = time.time()
    seed = options.first
    while seed < options.last and time.time() - start < options.seconds:
        program = make_program(seed, modes_of(seed))
        found = failure(check, program, seed)
        if found is not None:
            program, less = shortest(check, program, seed)
            print(f"=== seed {seed}\n{program}\n{(less or found)[-2500:]}", flush=True)
        seed += 1
    print(f"{seed - options.first} seeds up to {seed} in {time.time() - start:.0f} s")


main()
