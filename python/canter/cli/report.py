"""How commands say things: for people, and as JSON for programs."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["CommandError", "UsageError", "add_json", "one_line", "show", "size_text", "table"]


class CommandError(Exception):
    """Something is wrong: its message is one line for the user, and the command ends with `code`."""

    code = 1


class UsageError(CommandError):
    """What the user asked for is not understood."""

    code = 2


def add_json(parser: ArgumentParser) -> None:
    """Gives a command the option `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def show(options: Namespace, data: Any, lines: Iterable[str]) -> None:
    """Prints `data` as JSON where the user asked for that, else the lines."""
    if options.json:
        print(json.dumps(data, indent=2))
    else:
        for line in lines:
            print(line)


def one_line(text: str) -> str:
    """A message without line breaks and runs of spaces."""
    return " ".join(text.split())


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines whose columns begin below each other."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def size_text(size: float) -> str:
    """A number of bytes as a person says it.

    Example:
      >>> from canter.cli.report import size_text
      >>> size_text(512), size_text(3_500_000)
      ('512 B', '3.5 MB')
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
