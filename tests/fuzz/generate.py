"""Random programs from a seed: the same seed gives the same program on every machine."""

from __future__ import annotations

import random as python_random
from typing import Any

from .nesting import NESTS
from .operations import LEAVES
from .programs import INDEX, Program, Step

SHAPES = [(), (2,), (3,), (3,), (4,), (2, 3), (3, 3), (3, 2), (3, 4)]
LIMIT = 40  # elements of an array


def make_program(seed: int, modes: frozenset[str], num_steps: int = 7, depth: int = 2) -> Program:
    """A program of two or three arrays and an index.

    Args:
      seed: chooses it.
      modes: "forward" and "reverse", the modes of differentiation that it must support.
      num_steps: how many operations on the outermost level.
      depth: how deep programs nest.
    """
    random = python_random.Random(seed)
    types = [random.choice(SHAPES[1:]) for _ in range(random.randint(2, 3))]
    builder = Builder(random, [*types, INDEX], modes, depth)
    for _ in range(num_steps):
        builder.grow()
    return builder.finish(results=None, index_results=False, least=2)


class Builder:
    """A program in the making."""

    def __init__(self, random: python_random.Random, types: list[Any], modes: frozenset[str], depth: int):
        self.random = random
        self.arguments = tuple(types)
        self.types = list(types)
        self.steps: list[Step] = []
        self.modes = modes
        self.depth = depth
        self.op = ""
        self.captured: tuple[int, ...] = ()

    # --- used by plans

    def pick(self, letter: str) -> int:
        """A random value, rather a late one: "f" for a float array, "i" for an index."""
        found = [i for i, t in enumerate(self.types) if (t == INDEX) == (letter == "i")]
        if not found:
            if letter == "f":
                raise Unsuitable
            self.append(self.leaf_step("index_of_max", [self.pick_array()]))
            return len(self.types) - 1
        return found[max(self.random.randrange(len(found)), self.random.randrange(len(found)))]

    def pick_array(self) -> int:
        found = [i for i, t in enumerate(self.types) if t != INDEX and t]
        if not found:
            raise Unsuitable
        return self.random.choice(found)

    def pick_some(self, least: int, most: int, indices: bool = False) -> list[int]:
        found = [self.pick("f") for _ in range(self.random.randint(least, most))]
        if indices and INDEX in self.types and self.random.random() < 0.4:
            found.append(self.pick("i"))
        return found

    def types_of(self, numbers: list[int]) -> list[Any]:
        return [self.types[i] for i in numbers]

    def random_shape(self, most: int = 2) -> Any:
        return self.random.choice([s for s in SHAPES if len(s) <= most])

    def stacked_operands(self, length: int, number: int) -> list[int]:
        """Values with a leading axis of a given length."""
        found = []
        for _ in range(number):
            fitting = [i for i, t in enumerate(self.types) if t != INDEX and t[:1] == (length,)]
            if not fitting or self.random.random() < 0.2:
                self.append(self.fit_step(self.pick("f"), (length, *self.random_shape(1))))
                fitting = [len(self.types) - 1]
            found.append(self.random.choice(fitting))
        return found

    def body(
        self,
        types: list[Any],
        results: list[Any] | None = None,
        capture: bool = True,
        index_results: bool = True,
    ) -> Program:
        """An inner program."""
        nest = NESTS[self.op]
        inner = Builder(
            self.random,
            [*types, *((self.types[i] for i in self.captured) if capture else ())],
            self.modes | nest.needs,
            self.depth - 1,
        )
        for _ in range(self.random.randint(2, 4)):
            inner.grow()
        return inner.finish(results, index_results)

    def step(self, operands: list[int], types: list[Any], bodies: Any, params: Any = None) -> Step:
        bodies = tuple(bodies)
        captured = self.captured
        if bodies and len(bodies[0].types) == 0:
            captured = ()
        return Step(self.op, tuple(operands), tuple(types), params or {}, bodies, captured)

    # --- growth

    def grow(self) -> None:
        """Appends one random operation."""
        for _ in range(50):
            size = len(self.steps)
            try:
                step = (
                    self.random_nest() if self.depth and self.random.random() < 0.45 else self.random_leaf()
                )
            except Unsuitable:
                step = None
            if step is not None and all(t == INDEX or _size(t) <= LIMIT for t in step.types):
                self.append(step)
                return
            del self.types[len(self.arguments) + sum(len(s.types) for s in self.steps[:size]) :]
            del self.steps[size:]
        raise RuntimeError("No operation fits.")

    def random_leaf(self) -> Step | None:
        """An operation that takes some of the values; one that is hard to suit is tried with several."""
        name = self.random.choice(sorted(LEAVES))
        for _ in range(8):
            step = self.leaf_step(name, [self.pick(letter) for letter in LEAVES[name].takes])
            if step is not None:
                return step
        return None

    def leaf_step(self, name: str, operands: list[int]) -> Step | None:
        plan = LEAVES[name].plan(self.random, *self.types_of(operands))
        return plan and Step(name, tuple(operands), tuple(plan[1]), plan[0])

    def random_nest(self) -> Step | None:
        self.op = self.random.choice(sorted(NESTS))
        nest = NESTS[self.op]
        if nest.spoils & self.modes:
            return None
        self.captured = ()
        if not self.op.startswith("custom") and self.random.random() < 0.6:
            self.captured = (self.random.randrange(len(self.types)),)
        return nest.plan(self)

    def fit_step(self, operand: int, shape: Any) -> Step:
        return Step("fit", (operand,), (shape,), {"shape": shape})

    def append(self, step: Step | None) -> None:
        if step is None:
            raise Unsuitable
        self.steps.append(step)
        self.types.extend(step.types)

    def finish(self, results: list[Any] | None, index_results: bool, least: int = 1) -> Program:
        """The program, with results of the given types, or of random ones."""
        if results is None:
            last = self.steps[-1].types if self.steps else ()
            floats = [i for i, t in enumerate(self.types) if t != INDEX]
            if not floats:
                raise Unsuitable
            numbers = [i for i in range(len(self.types) - len(last), len(self.types)) if i in floats]
            numbers = (numbers or floats[-1:])[:2]
            while len(numbers) < least:
                numbers.append(self.random.choice(floats))
            if index_results and self.random.random() < 0.15:
                numbers.extend([i for i, t in enumerate(self.types) if t == INDEX][-1:])
        else:
            numbers = [self.of_type(t) for t in results]
        return Program(self.arguments, tuple(self.steps), tuple(numbers))

    def of_type(self, shape: Any) -> int:
        found = [i for i, t in enumerate(self.types) if t == shape]
        if found and self.random.random() < 0.8:
            return found[max(self.random.randrange(len(found)), self.random.randrange(len(found)))]
        self.append(self.fit_step(self.pick("f"), shape))
        return len(self.types) - 1


class Unsuitable(Exception):
    """A plan does not fit the values there are."""


def _size(shape: Any) -> int:
    size = 1
    for n in shape:
        size *= n
    return size
