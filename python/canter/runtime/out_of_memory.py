"""When memory is exhausted: which program asked for it, who has it, and what would take less."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..core.source import user_frame
from .backend import get_backend, live_arrays
from .jaxpr_liveness import jaxpr_liveness
from .memory_analysis import (
    MemoryAnalysis,
    bytes_text,
    donation_text,
    grouped,
    place_text,
    type_text,
    value_table,
)

__all__ = ["ArrayGroup", "arrays_by_line", "report_for"]

_ROWS = 5


def report_for(message: str, program: Any = None) -> str:
    """What to say after the message of an error of exhausted memory: lines of text, each after a line break.

    Args:
      message: of the runtime or the compiler.
      program: the `Executable` or `LoweredProgram` that failed, if known.
    """
    lines: list[str] = []
    for part in (_of_program, _of_arrays):
        try:
            lines += part(message, program)
        except Exception as error:  # the message must come through whatever happens to its explanation
            lines.append(f"(Nothing more is known: {type(error).__name__}: {error})")
    return "".join("\n" + line for line in lines)


def _of_program(message: str, program: Any) -> Iterator[str]:
    if getattr(program, "jaxpr", None) is not None:
        estimate = jaxpr_liveness(program.jaxpr, program.argument_names or ())
        yield (
            f"jit({program.options.name}) as written takes {bytes_text(estimate.peak_bytes)} = arguments "
            f"{bytes_text(estimate.argument_bytes)} + results {bytes_text(estimate.result_bytes)} + temporaries "
            f"{bytes_text(estimate.temporary_bytes)}, before fusion, on all devices. Largest at the peak:"
        )
        yield from value_table(grouped(estimate.values), _ROWS)
        return
    analysis = (
        _that_asked_for(message) if program is None else _analysis(program.loaded, f"jit({program.name})")
    )
    if analysis is None:
        return
    yield f"{analysis.name} takes {analysis.summary()}. Largest at the peak:"
    yield from analysis.table(_ROWS)
    if analysis.donatable:
        yield donation_text(analysis.donatable)


def _analysis(loaded: Any, name: str) -> MemoryAnalysis:
    from canter_pjrt.compile import memory_analysis

    return MemoryAnalysis(memory_analysis(loaded), loaded, name)


def _that_asked_for(message: str) -> MemoryAnalysis | None:
    """The program whose temporaries, or one of whose results, are exactly as large as what could not be had."""
    asked = re.search(r"allocat\w*\s+(\d+)\s*(?:bytes|B)?", message)
    if asked is None:
        return None
    size = int(asked[1])
    for loaded in get_backend().live_executables():
        analysis = _analysis(loaded, "")
        if size in (analysis.temp_size_in_bytes, *(v.nbytes for v in analysis.values if v.kind == "result")):
            analysis.name = (
                analysis.module.name.replace("jit_", "jit(", 1) + ")" if analysis.module else "a program"
            )
            return analysis
    return None


class ArrayGroup:
    """Arrays of one type that one line made.

    Attributes:
      shape, dtype: their type.
      file, line, function: where they were made; "", 0, "" where not known.
      times: how many there are.
      nbytes: their memory on one device.
    """

    def __init__(self, shape: tuple[int, ...], dtype: str, file: str, function: str, line: int):
        self.shape, self.dtype, self.file, self.function, self.line = shape, dtype, file, function, line
        self.times = self.nbytes = 0


def arrays_by_line(platform: str | None = None) -> list[ArrayGroup]:
    """The arrays that exist, by the line of the user's program that made them, those first that take most memory.

    The runtime notes for each array where it was made, so this costs nothing until it is asked for.

    Args:
      platform: its name; None for the preferred platform.

    Example:
      >>> import canter as ct, canter.numpy as cnp
      >>> from canter.runtime.out_of_memory import arrays_by_line
      >>> x = cnp.zeros((2, 3, 5, 7))
      >>> [group.times for group in arrays_by_line() if group.shape == (2, 3, 5, 7)]
      [1]
    """
    groups: dict[Any, ArrayGroup] = {}
    for array in live_arrays(platform):
        frame = user_frame(array.traceback) if array.traceback is not None else None
        key = (tuple(array.shape), str(array.dtype), *(frame or ("", "", 0)))
        group = groups.get(key)
        if group is None:
            group = groups[key] = ArrayGroup(*key)
        group.times += 1
        group.nbytes += _bytes_on_a_device(array)
    return sorted(groups.values(), key=lambda group: -group.nbytes)


def _bytes_on_a_device(array: Any) -> int:
    part, size = array.sharding.shard_shape(array.shape), 1
    for dimension in part:
        size *= dimension
    return size * array.dtype.itemsize


def _of_arrays(message: str, program: Any) -> Iterator[str]:
    del message, program
    groups = arrays_by_line()
    if not groups:
        return
    total, count = sum(group.nbytes for group in groups), sum(group.times for group in groups)
    yield f"Arrays alive, by the line that made them: {bytes_text(total)} in {count}"
    for group in groups[:_ROWS]:
        times = f"{group.times} x " if group.times > 1 else ""
        where = place_text(group.file, group.line, group.function) or "an unknown line"
        yield f"  {bytes_text(group.nbytes):>9}  {times}{type_text(group.shape, group.dtype)} made at {where}"
