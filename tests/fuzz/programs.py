"""Random array programs as data, and how to run them.

A value has a type: the shape of a float64 array, or INDEX, a small int32 scalar that chooses
elements and branches. A program is a list of steps over numbered values: first the arguments, then
the results of the steps in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

INDEX = "index"


@dataclass(frozen=True)
class Step:
    """One operation.

    Attributes:
      op: a name in the table of leaves (operations.py) or of nests (nesting.py).
      operands: numbers of the values it takes.
      types: of its results.
      params: what else it needs.
      bodies: the inner programs of a nest; each takes its own arguments, then the captured values.
      captured: numbers of the values that the bodies close over.
    """

    op: str
    operands: tuple[int, ...]
    types: tuple[Any, ...]
    params: dict[str, Any] = field(default_factory=dict)
    bodies: tuple[Program, ...] = ()
    captured: tuple[int, ...] = ()


@dataclass(frozen=True)
class Program:
    """A function of arrays: types of the arguments, the steps, and the numbers of the results."""

    types: tuple[Any, ...]
    steps: tuple[Step, ...]
    results: tuple[int, ...]

    def all_types(self) -> list[Any]:
        types = list(self.types)
        for step in self.steps:
            types.extend(step.types)
        return types

    def result_types(self) -> list[Any]:
        types = self.all_types()
        return [types[i] for i in self.results]

    def operations(self) -> set[str]:
        found = set()
        for step in self.steps:
            found.add(step.op)
            found.update(*(body.operations() for body in step.bodies))
        return found

    def __str__(self) -> str:
        return "\n".join(_lines(self, ""))


def run(program: Program, args: Any) -> list[Any]:
    """The results of a program on arrays or tracers."""
    from .nesting import NESTS
    from .operations import LEAVES

    values = list(args)
    for step in program.steps:
        operands = [values[i] for i in step.operands]
        if step.op in LEAVES:
            found = LEAVES[step.op].apply(*operands, **step.params)
        else:
            captured = [values[i] for i in step.captured]
            functions = [_function(body, captured) for body in step.bodies]
            found = NESTS[step.op].apply(functions, operands, **step.params)
        values.extend(found if isinstance(found, (list, tuple)) else [found])
    return [values[i] for i in program.results]


def _function(body: Program, captured: list[Any]) -> Any:
    return lambda *xs: run(body, [*xs, *captured])


def shortened(program: Program, count: int) -> Program:
    """The first steps of a program, with their last float result as the result."""
    steps = program.steps[:count]
    types = replace(program, steps=steps).all_types()
    return Program(program.types, steps, (max(i for i, t in enumerate(types) if t != INDEX),))


def _lines(program: Program, indent: str) -> list[str]:
    types = program.all_types()
    lines = [f"{indent}arguments {', '.join(f'v{i}:{t}' for i, t in enumerate(program.types))}"]
    number = len(program.types)
    for step in program.steps:
        outs = ", ".join(f"v{number + i}:{t}" for i, t in enumerate(step.types))
        params = f" {step.params}" if step.params else ""
        closed = f" closing over {step.captured}" if step.captured else ""
        lines.append(
            f"{indent}{outs} = {step.op}({', '.join(f'v{i}' for i in step.operands)}){params}{closed}"
        )
        for body in step.bodies:
            lines.extend(_lines(body, indent + "    "))
        number += len(step.types)
    lines.append(f"{indent}results {', '.join(f'v{i}:{types[i]}' for i in program.results)}")
    return lines
