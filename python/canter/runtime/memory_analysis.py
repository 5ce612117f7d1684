"""The memory that a compiled program needs, and which lines of the user's program it is for."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from canter_pjrt.hlo import ArrayShape, Module, addresses, read_module

from ..core import dtypes
from ..core.jaxpr import Jaxpr, subjaxprs
from ..core.source import user_frames
from .liveness import Liveness, LiveValue, liveness

__all__ = ["Donatable", "MemoryAnalysis", "ValueGroup", "bytes_text", "lines_of", "place_text", "value_table"]

_ROWS = 10


class Donatable(NamedTuple):
    """An argument whose memory a result could take.

    Attributes:
      argument: its name.
      shape, dtype, nbytes: of the argument and of the result.
    """

    argument: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int


class ValueGroup(NamedTuple):
    """Values of one type that one line makes.

    Attributes:
      value: one of them.
      times: how many there are.
      nbytes: the memory of all.
    """

    value: LiveValue
    times: int
    nbytes: int


class MemoryAnalysis:
    """What a call of a compiled program takes of the device's memory, by kind and by line of the user's program.

    The figures of the compiler are here under their own names: `argument_size_in_bytes`, `output_size_in_bytes`,
    `temp_size_in_bytes`, `alias_size_in_bytes`, `generated_code_size_in_bytes`, `peak_memory_in_bytes`, the same with
    `host_` in front, and `serialized_buffer_assignment_proto`. Over a mesh, all are of one device.

    Printed, it is a table of the largest values at the moment of the peak.

    Attributes:
      name: of the program.

    Example:
      >>> import canter as ct, canter.numpy as cnp
      >>> memory = ct.jit(lambda x: (x @ x.T).sum()).lower(cnp.ones((8, 4))).compile().memory_analysis()
      >>> memory.argument_size_in_bytes, memory.peak_bytes >= 128
      (128, True)
      >>> memory.values[0].shape
      (8, 8)
    """

    def __init__(
        self, stats: Any, executable: Any, name: str, lines: Callable[[], set[tuple[str, int]]] | None = None
    ):
        """Args:
        stats: the compiler's figures.
        executable: the PJRT executable; read when the table is asked for.
        name: of the program.
        lines: gives the (file, line) pairs of the program as it is now, if the executable may be of an earlier one.
        """
        self.name = name
        self._stats = stats
        self._executable = executable
        self._lines = lines

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._stats, name)

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *dir(self._stats)})

    @property
    def peak_bytes(self) -> int:
        """What has to be free on the device for a call: arguments, results and temporaries; donated memory once."""
        stats = self._stats
        return int(
            stats.argument_size_in_bytes
            + stats.output_size_in_bytes
            - stats.alias_size_in_bytes
            + stats.temp_size_in_bytes
        )

    @functools.cached_property
    def module(self) -> Module | None:
        """The compiled program; None where the platform does not show it, or where it is compiled as several."""
        try:
            modules = self._executable.hlo_modules()
        except RuntimeError:
            return None
        return read_module(modules[0].as_serialized_hlo_module_proto()) if len(modules) == 1 else None

    @functools.cached_property
    def liveness(self) -> Liveness | None:
        """The values in memory at the peak, derived from the order of the instructions.

        Of a program that is compiled as several, derived from the program as it is written; else None without `module`.
        """
        if self.module is None:
            parted = getattr(self._executable, "liveness", None)
            return None if parted is None else parted()
        assignment = getattr(self._stats, "serialized_buffer_assignment_proto", b"")
        return liveness(self.module, addresses(assignment) if assignment else None)

    @property
    def values(self) -> tuple[LiveValue, ...]:
        """The values in memory at the peak, largest first; empty where the platform does not show the program."""
        return () if self.liveness is None else self.liveness.values

    @functools.cached_property
    def groups(self) -> tuple[ValueGroup, ...]:
        """`values` by the line that makes them, arguments by type; those first that take most memory together."""
        return grouped(self.values)

    @property
    def donatable(self) -> tuple[Donatable, ...]:
        """Arguments that are not donated and whose memory a result could take, largest first."""
        return () if self.module is None else tuple(_donatable(self.module))

    @property
    def lines_are_current(self) -> bool:
        """False if the executable was compiled from a program with other lines, and kept since."""
        if self._lines is None:
            return True
        now = self._lines()
        return all((value.file, value.line) in now for value in self.values if value.file)

    def summary(self) -> str:
        """The figures in one line."""
        stats = self._stats
        text = (
            f"{bytes_text(self.peak_bytes)} = arguments {bytes_text(stats.argument_size_in_bytes)} + results "
            f"{bytes_text(stats.output_size_in_bytes)} + temporaries {bytes_text(stats.temp_size_in_bytes)}"
        )
        if stats.alias_size_in_bytes:
            text += f" - donated {bytes_text(stats.alias_size_in_bytes)}"
        return text

    def table(self, rows: int = _ROWS) -> list[str]:
        """Lines of text with the largest values at the peak.

        Args:
          rows: how many groups of values are shown.
        """
        if not self.groups:
            if self.module is None:
                return ["The platform does not show the compiled program, so the values are not known."]
            return ["  no value takes memory"]
        lines = value_table(self.groups, rows)
        if not self.lines_are_current:
            lines.append(
                "(The program comes from the compilation cache: the lines are those it was compiled from.)"
            )
        return lines

    def __str__(self) -> str:
        lines = [f"Memory of {self.name}: {self.summary()}", "At the peak, largest first:", *self.table()]
        if self.donatable:
            lines.append(donation_text(self.donatable))
        return "\n".join(lines)

    __repr__ = __str__


def grouped(values: Iterable[LiveValue]) -> tuple[ValueGroup, ...]:
    """Values of one type that one line makes put together, and arguments of one type; the largest groups first."""
    found: dict[Any, list[LiveValue]] = {}
    for value in values:
        made_by = value.primitive if value.kind != "argument" or value.primitive == "captured array" else ""
        found.setdefault(value._replace(instruction="", primitive=made_by), []).append(value)
    groups = [ValueGroup(same[0], len(same), sum(one.nbytes for one in same)) for same in found.values()]
    return tuple(sorted(groups, key=lambda group: -group.nbytes))


def value_table(groups: Sequence[ValueGroup], rows: int) -> list[str]:
    """A line of text for each of the first groups, and one for the rest."""
    shown, rest = groups[:rows], groups[rows:]
    cells = [
        (
            bytes_text(group.nbytes),
            f"{group.times} x " if group.times > 1 else "",
            type_text(group.value.shape, group.value.dtype),
            group.value.kind,
            _origin(group),
        )
        for group in shown
    ]
    size, count, kind, word = (max((len(cell[i]) for cell in cells), default=0) for i in range(4))
    lines = [
        f"  {cell[0]:>{size}}  {cell[1]:>{count}}{cell[2]:<{kind}}  {cell[3]:<{word}}  {cell[4]}".rstrip()
        for cell in cells
    ]
    if rest:
        total = sum(group.nbytes for group in rest)
        lines.append(f"  {bytes_text(total):>{size}}  in {sum(group.times for group in rest)} others")
    return lines


def _origin(group: ValueGroup) -> str:
    value = group.value
    if value.kind == "argument" and group.times > 1 and value.primitive != "captured array":
        return f"{value.primitive} and {group.times - 1} more"
    where = place_text(value.file, value.line, value.function)
    return f"{value.primitive} at {where}" if where else value.primitive


def place_text(file: str, line: int, function: str) -> str:
    """`train.py:12 (step)`, below the current folder without its path."""
    if not file:
        return ""
    shown = file
    if os.path.isabs(file):
        try:
            relative = os.path.relpath(file)
        except (ValueError, OSError):  # another drive, or the current folder is gone
            relative = file
        shown = file if relative.startswith("..") else relative
    return f"{shown}:{line}" + (f" ({function})" if function else "")


def type_text(shape: Iterable[int], dtype: str) -> str:
    """`f32[8,4]`."""
    try:
        name = dtypes.short_name(_dtype(dtype))
    except (TypeError, ValueError):
        name = dtype
    return f"{name}[{','.join(map(str, shape))}]"


@functools.cache
def _dtype(name: str) -> Any:
    import ml_dtypes
    import numpy as np

    return np.dtype(getattr(ml_dtypes, name, name))


def bytes_text(size: float) -> str:
    """A number of bytes in binary units.

    Example:
      >>> from canter.runtime.memory_analysis import bytes_text
      >>> bytes_text(512), bytes_text(3 << 20)
      ('512 B', '3.0 MiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(size) < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" or abs(size) >= 100 else f"{size:.1f} {unit}"


def donation_text(donatable: Sequence[Donatable], most: int = 4) -> str:
    """A line of text that names arguments that could be donated."""
    shown = ", ".join(f"{one.argument} ({bytes_text(one.nbytes)})" for one in donatable[:most])
    total = sum(one.nbytes for one in donatable)
    more = f" and {len(donatable) - most} more, {bytes_text(total)} in all" if len(donatable) > most else ""
    return f"Could be donated, a result has the same type: {shown}{more}. See jit(donate_argnums=...)."


def _donatable(module: Module) -> Iterator[Donatable]:
    entry = module.computations[module.entry]
    root = next(one for one in entry.instructions if one.id == entry.root)
    results = root.shape if isinstance(root.shape, tuple) else (root.shape,)
    taken = {path[:1] if isinstance(root.shape, tuple) else (0,) for path, _, _ in module.donated}
    given = {number for _, number, _ in module.donated}
    free = Counter(_kind(shape) for i, shape in enumerate(results) if (i,) not in taken)
    arguments = [
        one
        for one in entry.instructions
        if one.opcode == "parameter"
        and one.index not in given
        and one.op_name
        and isinstance(one.shape, ArrayShape)
    ]
    for one in sorted(arguments, key=lambda one: (-one.shape.nbytes, one.index)):
        kind = _kind(one.shape)
        if kind is not None and free[kind] > 0:
            free[kind] -= 1
            yield Donatable(one.op_name, one.shape.shape, one.shape.dtype, one.shape.nbytes)


def lines_of(jaxpr: Jaxpr) -> set[tuple[str, int]]:
    """The (file, line) pairs of the user's program from which a jaxpr was traced, inner ones included."""
    found: set[tuple[str, int]] = set()
    tracebacks: set[Any] = set()
    waiting = [jaxpr]
    while waiting:
        inner = waiting.pop()
        tracebacks.update(eqn.source_info.traceback for eqn in inner.eqns if eqn.source_info is not None)
        waiting += subjaxprs(inner)
    for traceback in tracebacks - {None}:
        found.update((frame.file_name, frame.line_number) for frame in user_frames(traceback))
    return found


def _kind(shape: Any) -> Any:
    if not isinstance(shape, ArrayShape) or not shape.nbytes or not shape.shape:
        return None
    return shape.shape, shape.dtype
