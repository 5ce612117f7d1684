"""Pictures of shardings for the terminal: which device holds which block of an array."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ..core.trace import Tracer
from .layouts import Format

__all__ = ["sharding_picture", "visualize_array_sharding", "visualize_sharding"]

ColorMap = Callable[[float], tuple[float, float, float, float]]

# Background colours of xterm's 256 on which black or white text can be read.
_COLORS = (25, 130, 28, 124, 91, 94, 30, 162, 238, 66, 100, 57, 23, 88, 58, 60)


def visualize_array_sharding(arr: Any, **kwargs: Any) -> None:
    """Prints a picture of which device holds which part of an array.

    Args:
      arr: an array of one or two dimensions.
      **kwargs: see `visualize_sharding`.

    Raises:
      ValueError: an array of another number of dimensions.

    >>> import canter as ct, canter.numpy as cnp
    >>> ct.debug.visualize_array_sharding(ct.device_put(cnp.arange(4), ct.devices()[0]), use_color=False)
    ┌───────┐
    │ CPU 0 │
    └───────┘
    """
    if isinstance(arr, Tracer):
        from .sharding_inspection import inspect_array_sharding

        shape = arr.shape  # not the tracer: the callback may outlive it
        inspect_array_sharding(arr, callback=lambda sharding: visualize_sharding(shape, sharding, **kwargs))
        return
    visualize_sharding(arr.shape, arr.sharding, **kwargs)


def visualize_sharding(
    shape: Sequence[int],
    sharding: Any,
    *,
    use_color: bool = True,
    scale: float = 1.0,
    min_width: int = 9,
    max_width: int = 80,
    color_map: ColorMap | None = None,
) -> None:
    """Prints a picture of which device holds which part of an array of a shape.

    Args:
      shape: one or two dimensions.
      sharding: the sharding.
      use_color: whether blocks are coloured, where the output is a terminal.
      scale: stretches the picture.
      min_width: the least width of a block, in characters.
      max_width: the greatest width of the picture.
      color_map: from a number between 0 and 1 to red, green, blue, alpha, each between 0 and 1.

    Raises:
      ValueError: a shape of another number of dimensions, or one that does not fit the sharding.
    """
    colored = use_color and sys.stdout.isatty() and "NO_COLOR" not in os.environ
    print(
        sharding_picture(
            shape,
            sharding,
            use_color=colored,
            scale=scale,
            min_width=min_width,
            max_width=max_width,
            color_map=color_map,
        )
    )


def sharding_picture(
    shape: Sequence[int],
    sharding: Any,
    *,
    use_color: bool = False,
    scale: float = 1.0,
    min_width: int = 9,
    max_width: int = 80,
    color_map: ColorMap | None = None,
) -> str:
    """The picture as text; see `visualize_sharding`."""
    if isinstance(sharding, Format):
        sharding = sharding.sharding
    shape = tuple(shape)
    if len(shape) not in (1, 2):
        raise ValueError(
            f"visualize_sharding draws arrays of one or two dimensions; this one has shape {shape}. Show "
            "two of its dimensions, with x.reshape(...)."
        )
    rows, columns, owners = _blocks(shape, sharding)
    names = [[_name(owners.get((row, column), [])) for column in range(columns)] for row in range(rows)]
    widest = max(len(name) for line in names for name in line)
    width = max(min_width - 2, widest + 2, round(scale * (widest + 2)))
    width = max(widest, min(width, max_width // columns - 1))
    height = max(1, round(scale)) if len(shape) == 2 else 1
    paint = _painter(rows * columns, color_map) if use_color else None
    return _drawn(names, width, height, paint)


def _blocks(shape: tuple[int, ...], sharding: Any) -> tuple[int, int, dict[tuple[int, int], list[Any]]]:
    """The number of rows and columns of blocks, and the devices of each block."""
    places = {}
    for device, index in sharding.devices_indices_map(shape).items():
        cuts = [cut.indices(size)[0] for cut, size in zip(index, shape, strict=True)]
        places[device] = (0, *cuts)[-2:]
    starts = [sorted({place[axis] for place in places.values()}) for axis in (0, 1)]
    owners: dict[tuple[int, int], list[Any]] = {}
    for device, (row, column) in places.items():
        owners.setdefault((starts[0].index(row), starts[1].index(column)), []).append(device)
    return len(starts[0]), len(starts[1]), owners


def _name(devices: list[Any]) -> str:
    platform = devices[0].platform.upper()
    return f"{platform} {','.join(str(number) for number in sorted(d.id for d in devices))}"


def _painter(count: int, color_map: ColorMap | None) -> Callable[[int, str], str]:
    def paint(number: int, text: str) -> str:
        if color_map is None:
            return f"\x1b[38;5;231;48;5;{_COLORS[number % len(_COLORS)]}m{text}\x1b[0m"
        red, green, blue = (round(255 * part) for part in color_map(number / max(1, count - 1))[:3])
        ink = 16 if red * 3 + green * 6 + blue > 1280 else 231
        return f"\x1b[38;5;{ink};48;2;{red};{green};{blue}m{text}\x1b[0m"

    return paint


def _drawn(names: list[list[str]], width: int, height: int, paint: Any) -> str:
    columns = len(names[0])

    def rule(left: str, middle: str, right: str) -> str:
        return left + middle.join(["─" * width] * columns) + right

    lines = [rule("┌", "┬", "┐")]
    for row, line in enumerate(names):
        if row:
            lines.append(rule("├", "┼", "┤"))
        for part in range(height):
            cells = [name.center(width) if part == height // 2 else " " * width for name in line]
            if paint is not None:
                cells = [paint(row * columns + column, cell) for column, cell in enumerate(cells)]
            lines.append("│" + "│".join(cells) + "│")
    lines.append(rule("└", "┴", "┘"))
    return "\n".join(lines)
