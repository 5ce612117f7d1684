"""Medians, ratios and verdicts, as a table for people and as JSON for machines."""

import datetime
import itertools
import json
import os
import pathlib
import platform
from dataclasses import asdict, dataclass

from benchmarks.rows import UNITS, Row
from benchmarks.runner import Samples, median

FRAMEWORKS = ("canter", "jax", "torch")


@dataclass(frozen=True)
class Figure:
    """What one row came to. Values are in the row's unit; `ratio` is what the ceiling bounds."""

    name: str
    title: str
    unit: str
    ceiling: float | None
    values: dict[str, float]
    ratio: float | None
    passed: bool | None  # None: no ceiling, or nothing to compare with
    detail: dict[str, dict[str, float]]


def figure_of(row: Row, samples: Samples) -> Figure:
    scale = UNITS[row.unit]
    medians = {
        name: {field: median(taken) * scale for field, taken in samples[name].items()}
        for name in FRAMEWORKS
        if samples.get(name)
    }
    if row.growth:
        values = {name: _growth(list(fields.values())) for name, fields in medians.items()}
        ratio = values.get("canter")
    else:
        values = {name: fields[row.field] for name, fields in medians.items()}
        complete = "canter" in values and "jax" in values
        ratio = values["canter"] / values["jax"] if complete else None
    passed = None if row.ceiling is None or ratio is None else ratio <= row.ceiling
    return Figure(
        row.name, row.title, row.unit, row.ceiling, values, ratio, passed, medians if row.growth else {}
    )


def _growth(costs: list[float]) -> float:
    """How many times dearer a unit gets at most, from any size to any larger one; costs are by ascending size.

    What a first unit costs once (an empty module, say) makes small sizes dearer, and is no growth.
    """
    return max(later / earlier for earlier, later in itertools.combinations(costs, 2))


def table(figures: list[Figure]) -> str:
    """One line a row; a growth row shows how many times dearer an equation gets in a longer program."""
    header = ("row", "what", "canter", "jax", "torch", "ratio", "ceiling", "")
    lines = [header]
    for f in figures:
        unit = "x" if f.detail else f.unit
        cells = [f"{_short(f.values[name])} {unit}" if name in f.values else "-" for name in FRAMEWORKS]
        ratio = "-" if f.ratio is None else f"{f.ratio:.2f}"
        ceiling = "" if f.ceiling is None else f"{f.ceiling:.2f}"
        verdict = {True: "ok", False: "OVER", None: "" if f.ceiling is None else "not measured"}[f.passed]
        lines.append((f.name, f.title, *cells, ratio, ceiling, verdict))
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    left = (0, 1, len(header) - 1)
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    )


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def write_json(
    path: pathlib.Path, figures: list[Figure], versions: dict[str, str], missing: dict[str, str]
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        "versions": versions,
        "not_measured": missing,
        "rows": [asdict(f) for f in figures],
    }
    path.write_text(json.dumps(document, indent=2) + "\n")
