"""Medians, ratios and verdicts, as a table for people and as JSON for machines."""

import datetime
import itertools
import json
import math
import os
import pathlib
import platform
from dataclasses import asdict, dataclass

from benchmarks.rows import UNITS, Row
from benchmarks.runner import Samples, median

FRAMEWORKS = ("canter", "jax", "torch")


@dataclass(frozen=True)
class Call:
    """One of the calls of a row of many."""

    ratio: float  # of the shortest samples
    interval: tuple[float, float] | None  # as in `Figure`, of samples of the same round
    ceiling: float | None
    passed: bool


@dataclass(frozen=True)
class Against:
    """How one row came out against a further peer."""

    ratio: float
    interval: tuple[float, float] | None  # as in `Figure`
    ceiling: float | None
    passed: bool | None


@dataclass(frozen=True)
class Figure:
    """What one row came to.

    Values are in the row's unit. `ratio`, of medians, is what the ceiling bounds; `interval` is where the true one
    lies with 95 % confidence, and a ceiling counts as broken when all of it is above. `torch` is the same against
    PyTorch, in rows that are measured there too.
    """

    name: str
    title: str
    unit: str
    ceiling: float | None
    values: dict[str, float]
    ratio: float | None
    interval: tuple[float, float] | None  # None: too few rounds to tell
    passed: bool | None  # None: no ceiling, or nothing to compare with
    detail: dict[str, dict[str, float]]  # framework -> what was measured besides, as sizes or calls
    calls: dict[str, Call]  # by name, dearest first; of a row of many calls
    torch: Against | None  # None: not measured there


def figure_of(row: Row, samples: Samples) -> Figure:
    scale = UNITS[row.unit]
    # Calls of microseconds are timed in short loops: whatever else happens makes those longer, nothing shorter.
    typical = min if row.each else median
    medians = {
        name: {field: typical(taken) * scale for field, taken in samples[name].items()}
        for name in FRAMEWORKS
        if samples.get(name)
    }
    calls: dict[str, Call] = {}
    if row.each:
        calls = _calls(row, samples, medians)
        values = {name: median(list(fields.values())) for name, fields in medians.items()}
        ratio = median([call.ratio for call in calls.values()])  # None without a peer
    elif row.growth:
        values = {name: _growth(list(fields.values())) for name, fields in medians.items()}
        ratio = values.get("canter")
    else:
        values = {name: fields[row.field] for name, fields in medians.items()}
        complete = "canter" in values and "jax" in values
        ratio = values["canter"] / values["jax"] if complete else None
    interval = None if row.growth or row.each or ratio is None else _interval(row.field, samples)
    passed = _keeps(row.ceiling, ratio, interval)
    if passed:
        passed = all(call.passed for call in calls.values())
    torch = _against_torch(row, samples, values)
    if row.torch_ceiling is not None and passed is not False:
        passed = torch and torch.passed and passed
    detail = medians if row.growth or row.each else {}
    return Figure(
        row.name, row.title, row.unit, row.ceiling, values, ratio, interval, passed, detail, calls, torch
    )


def _against_torch(row: Row, samples: Samples, values: dict[str, float]) -> Against | None:
    if row.growth or row.each or not {"canter", "torch"} <= values.keys():
        return None
    ratio, interval = values["canter"] / values["torch"], _interval(row.field, samples, "torch")
    return Against(ratio, interval, row.torch_ceiling, _keeps(row.torch_ceiling, ratio, interval))


def _keeps(ceiling: float | None, ratio: float | None, interval: tuple[float, float] | None) -> bool | None:
    """Whether a ratio keeps its ceiling, as far as the noise lets one tell; None where there is nothing to keep."""
    if ceiling is None or ratio is None:
        return None
    return (ratio if interval is None else min(interval[0], ratio)) <= ceiling


def _calls(row: Row, samples: Samples, taken: dict[str, dict[str, float]]) -> dict[str, Call]:
    own, peer = taken.get("canter", {}), taken.get("jax", {})
    ratios = {name: own[name] / peer[name] for name in own if name in peer}
    dearest_first = sorted(ratios, key=ratios.__getitem__, reverse=True)
    calls = {}
    for name in dearest_first:
        ceiling, interval = row.ceiling_of(name), _interval(name, samples)
        calls[name] = Call(
            ratios[name], interval, ceiling, _keeps(ceiling, ratios[name], interval) is not False
        )
    return calls


def _interval(field: str, samples: Samples, peer: str = "jax") -> tuple[float, float] | None:
    """Bounds of the median ratio of samples of the same round, by the sign test."""
    ratios = sorted(a / b for a, b in zip(samples["canter"][field], samples[peer][field]))
    count = len(ratios)
    outside, tail = -1, 0.0  # how many of the extreme ratios on either side can be left out
    while (tail := tail + math.comb(count, outside + 1) / 2**count) <= 0.025:
        outside += 1
    return None if outside < 0 else (ratios[outside], ratios[-1 - outside])


def _growth(costs: list[float]) -> float:
    """How many times dearer a unit gets at most, from any size to any larger one; costs are by ascending size.

    What a first unit costs once (an empty module, say) makes small sizes dearer, and is no growth.
    """
    return max(later / earlier for earlier, later in itertools.combinations(costs, 2))


def table(figures: list[Figure]) -> str:
    """One line a row; a growth row shows how many times dearer an equation gets in a longer program."""
    header = ("row", "what", "canter", "jax", "torch", "ratio", "ceiling", "to torch", "ceiling", "")
    lines = [header]
    for f in figures:
        unit = "x" if f.detail and not f.calls else f.unit
        cells = [f"{_short(f.values[name])} {unit}" if name in f.values else "-" for name in FRAMEWORKS]
        ratio = "-" if f.ratio is None else f"{f.ratio:.2f}"
        ceiling = "" if f.ceiling is None else f"{f.ceiling:.2f}"
        verdict = {True: "ok", False: "OVER", None: "" if f.ceiling is None else "not measured"}[f.passed]
        even = [
            f"even: {low:.2f} to {high:.2f}"
            for one in (f, f.torch)
            if one and one.interval and one.passed and one.ratio > one.ceiling
            for low, high in [one.interval]
        ]
        if even and f.passed:
            verdict = ", ".join(even)
        torch = "" if f.torch is None else f"{f.torch.ratio:.2f}"
        torch_ceiling = "" if f.torch is None or f.torch.ceiling is None else f"{f.torch.ceiling:.2f}"
        lines.append((f.name, f.title, *cells, ratio, ceiling, torch, torch_ceiling, verdict))
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    left = (0, 1, len(header) - 1)
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    )


def dearest(figure: Figure, least: int = 10) -> str:
    """The calls of a row of many that are above their ceiling, and the next ones, at least so many in all."""
    over = sum(not call.passed for call in figure.calls.values())
    # Stable: by ratio among those above their ceiling, those that noise may have put there, and the others.
    ordered = sorted(
        figure.calls.items(), key=lambda item: ("OVER", "even", "ok").index(_verdict(item[1])[:4])
    )
    lines = [f"{figure.name}: {over} of {len(figure.calls)} calls are above their ceiling; the dearest:"]
    for name, call in ordered[: max(least, over)]:
        own, peer = (figure.detail[framework][name] for framework in ("canter", "jax"))
        lines.append(
            f"  {name:<28} {_short(own):>6} {figure.unit} {_short(peer):>6} {figure.unit}  {call.ratio:.2f}"
            f"  {'' if call.ceiling is None else f'{call.ceiling:.2f}'}  {_verdict(call)}".rstrip()
        )
    return "\n".join(lines)


def _verdict(call: Call) -> str:
    if not call.passed:
        return "OVER"
    if call.interval and call.ceiling is not None and call.ratio > call.ceiling:
        return f"even: {call.interval[0]:.2f} to {call.interval[1]:.2f}"
    return "ok"


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
