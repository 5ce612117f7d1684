"""Reading an optimised program: its instructions in the order in which they run, and the user's lines.

Executables give their HLO modules as protocol buffers. The few fields that matter are read straight from the wire
format (see `wire`); their numbers are those of `hlo.proto` and `xla_data.proto` of OpenXLA, which keeps them for ever.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .wire import fields, numbers

__all__ = [
    "Address",
    "ArrayShape",
    "Computation",
    "Instruction",
    "Module",
    "SourceLine",
    "addresses",
    "read_module",
]


#: Element types by number: name, bits.
_TYPES = {
    1: ("bool", 8), 2: ("int8", 8), 3: ("int16", 16), 4: ("int32", 32), 5: ("int64", 64),
    6: ("uint8", 8), 7: ("uint16", 16), 8: ("uint32", 32), 9: ("uint64", 64),
    10: ("float16", 16), 11: ("float32", 32), 12: ("float64", 64), 15: ("complex64", 64), 16: ("bfloat16", 16),
    18: ("complex128", 128), 19: ("float8_e5m2", 8), 20: ("float8_e4m3fn", 8), 21: ("int4", 8), 22: ("uint4", 8),
    23: ("float8_e4m3b11fnuz", 8), 24: ("float8_e5m2fnuz", 8), 25: ("float8_e4m3fnuz", 8), 26: ("int2", 8),
    27: ("uint2", 8), 28: ("float8_e4m3", 8), 29: ("float8_e3m4", 8), 30: ("int1", 8), 31: ("uint1", 8),
    32: ("float4_e2m1fn", 8), 33: ("float8_e8m0fnu", 8),
}  # fmt: skip
_TUPLE = 13


@dataclass(slots=True)
class ArrayShape:
    """The type of one array, or of something without memory (a token), whose dtype is "".

    Attributes:
      shape, dtype: as of any array; the dtype is a name.
      nbytes: what it takes, with the padding of its layout.
      space: the kind of memory: 0 the device's main one, 5 the host's, others inside the chip.
    """

    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    space: int = 0


Shape = ArrayShape | tuple["Shape", ...]


@dataclass(slots=True)
class SourceLine:
    """A line of the user's program."""

    file: str
    line: int
    function: str


@dataclass(slots=True)
class Instruction:
    """One instruction of a computation.

    Attributes:
      shape: an `ArrayShape`, or a tuple of shapes.
      operands, called: ids of instructions and of computations.
      op_name: where it comes from: "jit(f)/dot_general"; for an argument, its name.
      frame: number of the user's line.
      index: which element a get-tuple-element takes; which argument a parameter is.
      fusion: kind of a fusion: "kLoop", ...
      aliases: (path in the result, operand, path in the operand) of what a custom call writes in place.
    """

    id: int = 0
    name: str = ""
    opcode: str = ""
    shape: Any = ()
    operands: list[int] = field(default_factory=list)
    called: list[int] = field(default_factory=list)
    op_name: str = ""
    frame: int = 0
    index: int = 0
    fusion: str = ""
    aliases: list[tuple[tuple[int, ...], int, tuple[int, ...]]] = field(default_factory=list)


class Address(NamedTuple):
    """A place in memory: which allocation, and from which byte on.

    Attributes:
      borrowed: whether the allocation is that of an argument or a result.
    """

    allocation: int
    offset: int
    borrowed: bool


@dataclass(slots=True)
class Computation:
    """Instructions in the order in which they run, and the id of the one whose value is the result."""

    id: int
    instructions: list[Instruction]
    root: int


@dataclass(slots=True)
class Module:
    """A compiled program.

    Attributes:
      computations: by id.
      entry: id of the one that is the program.
      donated: (path in the result, argument, path in the argument) of results that lie in arguments' memory.
      lines: the user's lines, by number: from the innermost one outwards.
    """

    name: str
    computations: dict[int, Computation]
    entry: int
    donated: list[tuple[tuple[int, ...], int, tuple[int, ...]]]
    lines: dict[int, list[SourceLine]]


def read_module(data: bytes) -> Module:
    """Reads an `HloModuleProto`.

    Args:
      data: what `executable.hlo_modules()[0].as_serialized_hlo_module_proto()` gives.
    """
    parts = _parts(data)
    order = _schedule(parts[7][0]) if parts[7] else {}
    computations = {}
    for part in parts[3]:
        computation = _computation(part)
        places = {number: place for place, number in enumerate(order.get(computation.id, ()))}
        if places:
            computation.instructions.sort(key=lambda one: places.get(one.id, -1))
        computations[computation.id] = computation
    return Module(
        name=parts[1][0].decode() if parts[1] else "",
        computations=computations,
        entry=parts[6][0] if parts[6] else next(reversed(computations)),
        donated=[_alias(entry, 1, 2, 3) for entry in _parts(parts[8][0])[1]] if parts[8] else [],
        lines=_lines(parts[17][0]) if parts[17] else {},
    )


def _parts(data: bytes) -> defaultdict[int, list[Any]]:
    found: defaultdict[int, list[Any]] = defaultdict(list)
    for number, value in fields(data):
        found[number].append(value)
    return found


def _schedule(data: bytes) -> dict[int, list[int]]:
    order = {}
    for entry in _parts(data)[1]:
        parts = _parts(entry)
        order[parts[1][0]] = [n for sequence in parts[2] for v in _parts(sequence)[1] for n in numbers(v)]
    return order


def _computation(data: bytes) -> Computation:
    number, root, instructions = 0, 0, []
    for key, value in fields(data):
        if key == 2:
            instructions.append(_instruction(value))
        elif key == 5:
            number = value
        elif key == 6:
            root = value
    return Computation(number, instructions, root)


#: What to do with the fields of an instruction.
_FIELDS: dict[int, Callable[[Instruction, Any], None]] = {
    1: lambda one, value: setattr(one, "name", value.decode()),
    2: lambda one, value: setattr(one, "opcode", value.decode()),
    3: lambda one, value: setattr(one, "shape", _shape(value)),
    7: lambda one, value: _set_metadata(one, value),
    9: lambda one, value: setattr(one, "index", value),
    11: lambda one, value: setattr(one, "fusion", value.decode()),
    13: lambda one, value: setattr(one, "index", value),
    35: lambda one, value: setattr(one, "id", value),
    36: lambda one, value: one.operands.extend(numbers(value)),
    38: lambda one, value: one.called.extend(numbers(value)),
    74: lambda one, value: one.aliases.append(_alias(value, 1, 2, 3)),
}


def _instruction(data: bytes) -> Instruction:
    one = Instruction()
    for number, value in fields(data):
        read = _FIELDS.get(number)
        if read is not None:
            read(one, value)
    return one


def _set_metadata(one: Instruction, data: bytes) -> None:
    for number, value in fields(data):
        if number == 2:
            one.op_name = value.decode()
        elif number == 15:
            one.frame = value


def _alias(data: bytes, path: int, number: int, inner: int) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
    parts = _parts(data)
    path_of = lambda key: tuple(n for value in parts[key] for n in numbers(value))  # noqa: E731
    return path_of(path), parts[number][0] if parts[number] else 0, path_of(inner)


_shapes: dict[bytes, Shape] = {}


def _shape(data: bytes) -> Shape:
    found = _shapes.get(data)
    if found is None:
        if len(_shapes) > 4096:
            _shapes.clear()
        found = _shapes[data] = _read_shape(data)
    return found


def _read_shape(data: bytes) -> Shape:
    parts = _parts(data)
    number = parts[2][0] if parts[2] else 0
    if number == _TUPLE:
        return tuple(map(_shape, parts[4]))
    name, bits = _TYPES.get(number, ("", 0))
    shape = tuple(n for value in parts[3] for n in numbers(value))
    physical, space = shape, 0
    if parts[5]:
        layout = _parts(parts[5][0])
        minor = [n for value in layout[1] for n in numbers(value)]
        space = layout[8][0] if layout[8] else 0
        bits = layout[7][0] if layout[7] else bits
        if layout[6] and len(minor) == len(shape):
            tile = [n for value in _parts(layout[6][0])[1] for n in numbers(value)]
            physical = _padded([shape[axis] for axis in reversed(minor)], tile)
    return ArrayShape(shape, name, -(-math.prod(physical) * bits // 8), space)


def _padded(sizes: list[int], tile: list[int]) -> tuple[int, ...]:
    """Sizes, major axis first, with the last ones rounded up to whole tiles."""
    sizes = [1] * (len(tile) - len(sizes)) + sizes
    outer = sizes[: len(sizes) - len(tile)]
    return (*outer, *(-(-size // unit) * unit for size, unit in zip(sizes[len(outer) :], tile, strict=True)))


def _lines(data: bytes) -> dict[int, list[SourceLine]]:
    parts = _parts(data)
    files, functions = ([name.decode() for name in parts[key]] for key in (1, 2))
    places = []
    for location in parts[3]:
        told = dict(fields(location))
        places.append(
            SourceLine(files[told[1] - 1], told.get(3, 0), functions[told[2] - 1] if 2 in told else "")
        )
    frames = [dict(fields(frame)) for frame in parts[4]]
    found: dict[int, list[SourceLine]] = {}
    for number, frame in enumerate(frames, 1):
        outer = frame.get(2, 0)
        found[number] = [places[frame[1] - 1], *found.get(outer, ())]
    return found


def addresses(assignment: bytes) -> dict[tuple[int, tuple[int, ...]], Address]:
    """Where the values of a program lie.

    Args:
      assignment: a `BufferAssignmentProto`.

    Returns:
      The address of the value of each instruction, by the instruction's id and the path in its result.
    """
    parts = _parts(assignment)
    defined = {}
    for value in parts[1]:
        logical = dict(fields(value))
        place = _parts(logical.get(3, b""))
        path = tuple(n for value in place[3] for n in numbers(value))
        defined[logical.get(1, 0)] = (place[4][0] if place[4] else 0, path)
    found = {}
    for value in parts[3]:
        allocation = _parts(value)
        number = allocation[1][0] if allocation[1] else 0
        borrowed = bool(allocation[5] or allocation[7])  # of an argument, or live at the end
        for assigned in map(dict, map(fields, allocation[9])):
            found[defined[assigned.get(1, 0)]] = Address(number, assigned.get(2, 0), borrowed)
    return found
