"""Which values of a compiled program are in memory at the same time, and when that is most.

The compiler has fixed the order of the instructions, so the life of a value is from its instruction to its last
reader. Some instructions make no memory of their own: they name parts of what is there, or write into an operand that
nobody reads any more. A loop's state has one place for all iterations.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from canter_pjrt.hlo import Address, ArrayShape, Computation, Instruction, Module, SourceLine

__all__ = ["LiveValue", "Liveness", "liveness"]


class LiveValue(NamedTuple):
    """A value that a program keeps in memory.

    Attributes:
      kind: "argument", "result" or "temporary".
      shape, dtype: its type; on a mesh, of the part on one device.
      nbytes: the memory, with padding.
      primitive: the operation that makes it; for an argument its name.
      file, line, function: of the user's program; "", 0, "" where not known.
      instruction: its name in the compiled program.
    """

    kind: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    primitive: str
    file: str
    line: int
    function: str
    instruction: str


class Liveness(NamedTuple):
    """The moment at which most memory is used.

    Attributes:
      values: what is in memory then, largest first.
      argument_bytes, result_bytes, temporary_bytes: the sum by kind; results that lie in the memory of donated
        arguments are counted as arguments.
      host_bytes: of values that the program keeps in the memory of the host.
    """

    values: tuple[LiveValue, ...]
    argument_bytes: int
    result_bytes: int
    temporary_bytes: int
    host_bytes: int

    @property
    def peak_bytes(self) -> int:
        """What has to fit on the device."""
        return self.argument_bytes + self.result_bytes + self.temporary_bytes


class _Buffer:
    """A place in memory, from one step of the program to another."""

    __slots__ = ("address", "end", "instruction", "kind", "merged", "nbytes", "reusable", "shape", "start")

    def __init__(
        self, instruction: Instruction, shape: ArrayShape, step: int, kind: str, address: Address | None
    ):
        self.instruction, self.shape, self.kind, self.address = instruction, shape, kind, address
        self.nbytes = shape.nbytes
        self.start = self.end = step
        self.merged: _Buffer | None = None  # the buffer whose memory this one has
        self.reusable: Sequence[_Buffer] = ()  # operands that may give it theirs

    def place(self) -> _Buffer:
        """The buffer whose memory this one has."""
        place = self
        while place.merged is not None:
            place = place.merged
        return place

    def merge(self, other: _Buffer) -> None:
        """Gives both the same memory."""
        mine, others = self.place(), other.place()
        if mine is others:
            return
        others.start, others.end = min(mine.start, others.start), max(mine.end, others.end)
        if others.kind in _LESSER:
            others.kind = mine.kind
        mine.merged = others


# A value is a buffer, or a tuple of values.
_Value = Any
_Addresses = Mapping[tuple[int, tuple[int, ...]], Address]

#: Kinds of buffer that become another one by sharing its memory.
_LESSER = ("temporary", "borrowed")

_NAMES_ONLY = {"bitcast", "opt-barrier", "domain", "add-dependency", "after-all", "get-dimension-size"}
#: Of the asynchronous pairs: which part of the first one's value is the second one's.
_DONE = {
    "copy-done": 0,
    "all-gather-done": 1,
    "collective-permute-done": 1,
    "async-done": 1,
    "async-update": None,
}
_OPERAND_IN_RESULT = {"copy-start": 1, "all-gather-start": 0, "collective-permute-start": 0, "async-start": 0}
_MAY_WRITE_INTO_OPERAND = frozenset(
    "abs add and atan2 cbrt ceil clamp compare complex convert copy cosine divide dynamic-update-slice erf "
    "exponential exponential-minus-one floor imag is-finite log log-plus-one logistic maximum minimum multiply negate "
    "not or popcnt power real reduce-precision remainder round-nearest-afz round-nearest-even rsqrt scatter select "
    "shift-left shift-right-arithmetic shift-right-logical sign sine sort sqrt subtract tan tanh xor all-reduce".split()
)


def liveness(module: Module, addresses: _Addresses | None = None) -> Liveness:
    """The values in memory when a program uses most of it.

    Args:
      module: the program.
      addresses: where its values lie, from `canter_pjrt.hlo.addresses`; None where the compiler does not tell. Then a
        value is taken to lie where an operand of its size was that ends there.
    """
    return _Run(module, addresses).result()


class _Run:
    """Goes through a program once, as the device would."""

    def __init__(self, module: Module, addresses: _Addresses | None):
        self.module = module
        self.addresses = addresses
        self.step = 0
        self.buffers: list[_Buffer] = []

    def result(self) -> Liveness:
        """Goes through the program and finds the moment."""
        entry = self.module.computations[self.module.entry]
        count = 1 + max((one.index for one in entry.instructions if one.opcode == "parameter"), default=-1)
        arguments: list[_Value] = [()] * count
        for one in sorted(entry.instructions, key=lambda one: one.index):
            if one.opcode == "parameter":
                arguments[one.index] = self.made(one, one.shape, "argument")
        results = self.run(entry, arguments)
        for path, number, inner in self.module.donated:
            _at(results, path).merge(_at(arguments[number], inner))
        for leaf in _leaves(results):
            if leaf.place().kind in _LESSER:
                leaf.place().kind = "result"
        self._reuse_operands()
        return self._at_the_peak()

    def made(
        self, one: Instruction, shape: Any, kind: str = "temporary", path: tuple[int, ...] = ()
    ) -> _Value:
        """The value of an instruction in memory of its own."""
        if isinstance(shape, tuple):
            return tuple(self.made(one, part, kind, (*path, i)) for i, part in enumerate(shape))
        address = self.addresses.get((one.id, path)) if self.addresses else None
        if kind == "temporary" and address is not None and address.borrowed:
            kind = "borrowed"
        buffer = _Buffer(one, shape, self.step, kind, address)
        self.buffers.append(buffer)
        return buffer

    def run(self, computation: Computation, arguments: Sequence[_Value]) -> _Value:
        """The value of a computation."""
        known: dict[int, _Value] = {}
        for one in computation.instructions:
            self.step += 1
            if one.opcode == "parameter":
                known[one.id] = arguments[one.index]
                continue
            operands = [known[number] for number in one.operands]
            if one.opcode not in ("tuple", "get-tuple-element", *_NAMES_ONLY):
                for leaf in _leaves(operands):
                    leaf.place().end = max(leaf.place().end, self.step)
            known[one.id] = self.value(one, operands)
        result = known[computation.root]
        for leaf in _leaves(result):
            leaf.place().end = max(leaf.place().end, self.step)
        return result

    def value(self, one: Instruction, operands: list[_Value]) -> _Value:
        """The value of an instruction."""
        opcode = one.opcode
        if opcode == "tuple":
            return tuple(operands)
        if opcode == "get-tuple-element":
            return operands[0][one.index]
        if opcode == "constant":
            return self.made(one, one.shape, "constant")
        if opcode in _NAMES_ONLY and operands:
            return operands[0]
        if opcode == "while":
            return self.loop(one, operands[0])
        if opcode == "conditional":
            return self.branches(one, operands)
        if opcode == "call":
            return self.run(self.module.computations[one.called[0]], operands)
        if opcode in _DONE:
            part = _DONE[opcode]
            return operands[0] if part is None else operands[0][part]
        if opcode.endswith("-done") and not isinstance(one.shape, tuple):
            return operands[0][0] if isinstance(operands[0], tuple) else operands[0]
        return self.computed(one, operands)

    def loop(self, one: Instruction, state: _Value) -> _Value:
        """A while loop: what the body makes goes to where the state is."""
        condition, body = sorted(
            (self.module.computations[number] for number in one.called), key=lambda c: not _is_test(c)
        )
        self.run(condition, [state])
        after = self.run(body, [state])
        for new, old in zip(_leaves(after), _leaves(state), strict=True):
            new.merge(old)
        for leaf in _leaves(state):
            leaf.place().end = self.step
        return state

    def branches(self, one: Instruction, operands: list[_Value]) -> _Value:
        """A conditional: what the branches make goes to one place."""
        outcomes = [
            self.run(self.module.computations[number], [operand])
            for number, operand in zip(one.called, operands[1:], strict=True)
        ]
        result = self.made(one, one.shape)
        for outcome in outcomes:
            for new, place in zip(_leaves(outcome), _leaves(result), strict=True):
                if new.place().kind in _LESSER:
                    new.merge(place)
        return result

    def computed(self, one: Instruction, operands: list[_Value]) -> _Value:
        """The value of an instruction that computes something."""
        if one.opcode in _OPERAND_IN_RESULT:
            given = tuple(operands) if one.opcode == "async-start" else operands[0]
            position = _OPERAND_IN_RESULT[one.opcode]
            return tuple(
                given if i == position else self.made(one, part, path=(i,))
                for i, part in enumerate(one.shape)
            )
        result = self.made(one, one.shape)
        for path, number, inner in one.aliases:
            _at(result, path).merge(_at(operands[number], inner))
        if self.addresses or one.opcode in _MAY_WRITE_INTO_OPERAND or one.fusion == "kLoop":
            candidates = list(_leaves(operands))
            for leaf in _leaves(result):
                leaf.reusable = [
                    c for c in candidates if c.nbytes == leaf.nbytes and c.shape.space == leaf.shape.space
                ]
        return result

    def _reuse_operands(self) -> None:
        told = self.addresses is not None
        for buffer in self.buffers:
            for operand in buffer.reusable:
                old, new = operand.place(), buffer.place()
                if old is new or old.kind != "temporary" or not old.end == buffer.start == new.start:
                    continue
                if told and operand.address != buffer.address:
                    continue
                if new.kind == "temporary":
                    old.end -= 1
                elif not told:
                    old.merge(new)
                break

    def _at_the_peak(self) -> Liveness:
        ours = [buffer for buffer in self.buffers if buffer.merged is None]
        places = [place for place in ours if place.kind not in ("constant", "borrowed")]
        changes: defaultdict[int, int] = defaultdict(int)
        for place in places:
            if place.kind == "temporary" and place.shape.space == 0:
                changes[place.start] += place.nbytes
                changes[place.end + 1] -= place.nbytes
        steps = sorted(changes)
        running = list(itertools.accumulate(changes[step] for step in steps))
        most = max(running, default=0)
        moment = steps[running.index(most)] if running else 0
        alive = [p for p in places if p.kind != "temporary" or p.start <= moment <= p.end]
        on_device = [place for place in alive if place.shape.space == 0 and place.nbytes]
        total: defaultdict[str, int] = defaultdict(int)
        for place in on_device:
            total[place.kind] += place.nbytes
        describe = _Descriptions(self.module)
        values = sorted(map(describe, on_device), key=lambda value: -value.nbytes)
        host = sum(place.nbytes for place in alive if place.shape.space == 5)
        return Liveness(tuple(values), total["argument"], total["result"], most, host)


def _is_test(computation: Computation) -> bool:
    """Whether a computation is the condition of a loop: it has one truth value."""
    for one in computation.instructions:
        if one.id == computation.root:
            return isinstance(one.shape, ArrayShape) and one.shape.dtype == "bool" and one.shape.shape == ()
    return False


def _leaves(value: _Value) -> Iterator[_Buffer]:
    if isinstance(value, _Buffer):
        yield value
    else:
        for part in value:
            yield from _leaves(part)


def _at(value: _Value, path: Sequence[int]) -> _Value:
    for index in path:
        value = value[index]
    return value


class _Descriptions:
    """Tells where buffers come from."""

    def __init__(self, module: Module):
        self.module, self.lines = module, module.lines
        self.instructions = {one.id: one for c in module.computations.values() for one in c.instructions}
        # Operations outside of jit have no names for their operands.
        named = any(one.opcode == "parameter" and one.op_name for one in self.instructions.values())
        self.unnamed = "captured array" if named else "array"

    def __call__(self, buffer: _Buffer) -> LiveValue:
        one = self.origin(buffer.instruction)
        line = next(iter(self.lines.get(one.frame, ())), SourceLine("", 0, ""))
        primitive = (one.op_name or self.unnamed) if one.opcode == "parameter" else _primitive(one.op_name)
        copies = buffer.instruction.opcode.startswith("copy") or one.opcode == "parameter"
        if one is not buffer.instruction and primitive and copies:
            primitive = f"copy of {primitive}"  # perhaps in another layout or type
        return LiveValue(
            buffer.kind, buffer.shape.shape, buffer.shape.dtype, buffer.nbytes,
            primitive or buffer.instruction.opcode, line.file, line.line, line.function, buffer.instruction.name,
        )  # fmt: skip

    def origin(self, one: Instruction) -> Instruction:
        """The instruction, or of one that the compiler added the first inside or before it that has a name."""
        for _ in range(16):
            if one.op_name:
                break
            inner = self.inside(one)
            if inner is not None or not one.operands:
                return inner or one
            one = self.instructions[one.operands[0]]
        return one

    def inside(self, one: Instruction, depth: int = 3) -> Instruction | None:
        """The last instruction with a line of what an instruction is fused from, or applies."""
        for number in one.called if depth and one.opcode not in ("while", "conditional") else ():
            for inner in reversed(self.module.computations[number].instructions):
                found = inner if inner.frame in self.lines else self.inside(inner, depth - 1)
                if found is not None:
                    return found
        return None


def _primitive(op_name: str) -> str:
    return op_name.split(";")[0].rsplit("/", 1)[-1]
