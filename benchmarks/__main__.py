"""`make bench`, or `python -m benchmarks --row import,gpt`."""

import argparse
import pathlib
import sys

from benchmarks.report import dearest, figure_of, table, write_json
from benchmarks.rows import select
from benchmarks.runner import Bench


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Canter beside JAX and PyTorch."
    )
    parser.add_argument(
        "--row", default="all", help="names or beginnings of names, comma-separated (default: all)"
    )
    parser.add_argument(
        "--rounds", type=int, help="samples of each framework (default: each row's own number)"
    )
    parser.add_argument("--json", default="bench-output/results.json", help="where the figures are written")
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 1:
        parser.error("argument --rounds: must be 1 or more")
    try:
        rows = select(options.row)
    except ValueError as error:
        parser.error(str(error))

    bench = Bench(options.rounds)
    results = bench.measure(rows)
    figures = [figure_of(row, results[row.workload]) for row in rows]
    print(", ".join(f"{name} {version}" for name, version in bench.versions.items()))
    print(table(figures))
    for figure in figures:
        if figure.calls:
            print(dearest(figure))
    for what, reason in bench.missing.items():
        print(f"not measured: {what}: {reason}", file=sys.stderr)
    write_json(pathlib.Path(options.json), figures, bench.versions, bench.missing)
    over = [f.name for f in figures if f.passed is False]
    unmeasured = [f.name for f in figures if f.ceiling is not None and f.passed is None]
    if over:
        print(f"over the ceiling: {', '.join(over)}")
    return 1 if over or unmeasured else 0


if __name__ == "__main__":
    sys.exit(main())
