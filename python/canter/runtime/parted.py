"""Running a program that is compiled as several, see `parting`."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from canter_pjrt.jaxlib_door import array_result_handler

from ..core.jaxpr import ClosedJaxpr, Var
from .donation import aliased
from .jaxpr_liveness import jaxpr_liveness
from .liveness import Liveness
from .placement import place
from .program import Executable, LoweredProgram, lower

__all__ = ["PartedExecutable", "PartedProgram", "compile_parts"]


class _Step(NamedTuple):
    """A call while the program runs; values are numbered, arguments first.

    Attributes:
      loaded: what is called.
      reads: gives the tuple of its arguments.
      avals: of its results, which get the next numbers.
      done: numbers of values that nothing reads any more.
    """

    loaded: Any
    reads: Callable[[list[Any]], Sequence[Any]]
    avals: tuple[Any, ...]
    done: tuple[int, ...]


class MemoryStats(NamedTuple):
    """The compiler's figures for a program in parts, under the names that it has for them."""

    argument_size_in_bytes: int
    output_size_in_bytes: int
    alias_size_in_bytes: int
    temp_size_in_bytes: int
    generated_code_size_in_bytes: int
    peak_memory_in_bytes: int
    host_argument_size_in_bytes: int = 0
    host_output_size_in_bytes: int = 0
    host_alias_size_in_bytes: int = 0
    host_temp_size_in_bytes: int = 0
    host_generated_code_size_in_bytes: int = 0
    serialized_buffer_assignment_proto: bytes = b""


class PartedProgram:
    """Several PJRT executables that do the work of one.

    It has the methods of an executable by which a compiled program is looked into. To be written to a file, the
    program is compiled as one.

    Attributes:
      parts: the executables, each with how often it is called.
    """

    def __init__(self, steps: Sequence[_Step], lowered: LoweredProgram, device: Any):
        counts = Counter(id(step.loaded) for step in steps)
        distinct = {id(step.loaded): step.loaded for step in steps}
        self.parts = [(loaded, counts[key]) for key, loaded in distinct.items()]
        self._steps = steps
        self._lowered = lowered
        self._device = device

    def hlo_modules(self) -> list[Any]:
        """The optimized modules of all executables."""
        return [module for loaded, _ in self.parts for module in loaded.hlo_modules()]

    def local_devices(self) -> list[Any]:
        """The device."""
        return [self._device]

    def cost_analysis(self) -> dict[str, float]:
        """The compiler's estimates, added up over the calls."""
        total: Counter[str] = Counter()
        for loaded, count in self.parts:
            for name, value in loaded.cost_analysis().items():
                total[name] += count * value
        return dict(total)

    def get_compiled_memory_stats(self) -> MemoryStats:
        """Figures of a whole call: temporaries are values between the parts and those inside of one at a time."""
        lowered = self._lowered
        sizes = [_nbytes(aval) for aval in lowered.in_avals]
        arguments, results = sum(sizes), sum(map(_nbytes, lowered.out_avals))
        shared = sum(itertools.compress(sizes, _aliased(lowered)))
        stats = {id(loaded): loaded.get_compiled_memory_stats() for loaded, _ in self.parts}
        inside = max(one.temp_size_in_bytes for one in stats.values())
        temporary = inside + self._between()
        code = sum(one.generated_code_size_in_bytes for one in stats.values())
        peak = arguments + results - shared + temporary
        return MemoryStats(arguments, results, shared, temporary, code, peak)

    def _between(self) -> int:
        """Bytes of the values that parts hand to each other, at the most."""
        results = set(self._lowered.parting.results)
        made = [v for part in self._lowered.parting.parts for v in part.makes]
        sizes = [0 if v in results else _nbytes(v.aval) for v in made]
        first = len(self._lowered.in_avals) + len(self._lowered.jaxpr.constvars)
        now = most = number = 0
        for step in self._steps:
            now += sum(sizes[number : number + len(step.avals)])
            number += len(step.avals)
            most = max(most, now)
            now -= sum(sizes[i - first] for i in step.done if i >= first)
        return most

    def liveness(self) -> Liveness:
        """The values in memory at the peak if the program ran as it is written."""
        return jaxpr_liveness(self._lowered.jaxpr, self._lowered.argument_names or ())

    def serialize(self) -> bytes:
        """The program, compiled as one, in the form that PJRT loads."""
        return self._lowered.compile(self._device, whole=True).loaded.serialize()


def _aliased(lowered: LoweredProgram) -> tuple[bool, ...]:
    """Which arguments give their memory to a result, as they would if the program were compiled as one."""
    return aliased(lowered.in_avals, lowered.out_avals, lowered.donated)


def _nbytes(aval: Any) -> int:
    return aval.size * aval.dtype.itemsize


class PartedExecutable(Executable):
    """A program on one device that is compiled as several."""

    __slots__ = ("_constants", "_results", "_steps", "_to_delete")

    def __init__(self, steps: Sequence[_Step], lowered: LoweredProgram, device: Any, taken: Collection[int]):
        """Args:
        steps: the calls.
        lowered: the program.
        device: where it runs.
        taken: numbers of the donated arguments whose memory a part reuses.
        """
        super().__init__(PartedProgram(steps, lowered, device), lowered, device)
        numbers = _numbers(lowered)
        self._constants = [place(value, device) for value in lowered.constants]
        self._results = [numbers[v] for v in lowered.parting.results]
        self._steps = steps
        self._to_delete = [i for i, flag in enumerate(_aliased(lowered)) if flag and i not in taken]

    def execute(self, operands: list[Any], committed: bool) -> list[Any]:
        values = operands + self._constants
        for loaded, reads, handlers, done in self._with_handlers(committed):
            values += loaded.execute_sharded(reads(values)).consume_with_handlers(handlers)
            for i in done:
                values[i] = None
        for i in self._to_delete:
            operands[i].delete()
        return [values[i] for i in self._results]

    def _with_handlers(self, committed: bool) -> Any:
        known = self._committed_handlers if committed else self._handlers
        if known is None:
            handler = functools.cache(lambda aval: array_result_handler(aval, self.sharding, committed))
            known = [
                (step.loaded, step.reads, list(map(handler, step.avals)), step.done) for step in self._steps
            ]
            if committed:
                self._committed_handlers = known
            else:
                self._handlers = known
        return known

    def fast_path(self, *_: Any) -> None:
        """None: the C++ dispatcher calls one executable."""
        return None


def _numbers(lowered: LoweredProgram) -> dict[Var, int]:
    """Numbers of all values: arguments, constants, and results of the parts in their order."""
    jaxpr = lowered.jaxpr
    made = (v for part in lowered.parting.parts for v in part.makes)
    return {v: i for i, v in enumerate((*jaxpr.invars, *jaxpr.constvars, *made))}


def compile_parts(
    lowered: LoweredProgram, device: Any, flags: tuple[tuple[str, Any], ...] = ()
) -> Executable:
    """Compiles each different part of a program."""
    parts, numbers = lowered.parting.parts, _numbers(lowered)
    results = {numbers[v] for v in lowered.parting.results}
    last_reader = {numbers[v]: part for part in parts for v in part.reads}
    times_read = Counter(numbers[v] for part in parts for v in part.reads)
    # What several parts read is given up by none of them, so that their code stays the same.
    given = {i for i, flag in enumerate(_aliased(lowered)) if flag and times_read[i] == 1}
    taken: set[int] = set()
    compiled: dict[Any, Any] = {}
    steps = []
    for part in parts:
        reads = [numbers[v] for v in part.reads]
        program = part.program
        donated = aliased(program.in_avals, program.out_avals, [i in given for i in reads])
        taken.update(itertools.compress(reads, donated))
        key = (id(program), donated)
        if key not in compiled:
            options = lowered.options._replace(donated=donated, keep_unused=True)
            module = lower(ClosedJaxpr(program, ()), options, lowered.platforms, part=True)
            compiled[key] = module.compile(device, flags, part=True).loaded
        done = tuple(i for i in reads if last_reader[i] is part and i not in results)
        steps.append(_Step(compiled[key], _getter(reads), tuple(v.aval for v in part.makes), done))
    return PartedExecutable(steps, lowered, device, taken)


def _getter(numbers: Sequence[int]) -> Callable[[list[Any]], Sequence[Any]]:
    if len(numbers) > 1:
        return itemgetter(*numbers)
    return lambda values: [values[i] for i in numbers]
