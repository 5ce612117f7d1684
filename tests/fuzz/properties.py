"""What must hold of every program, on float64.

All that is to be computed of a program is one function, `derived`; it is traced once, its jaxpr is
checked, cut in two by dead-code elimination, checked again, and both parts are compiled from their
jaxprs. The oracles are outside of it: the program run eagerly, differences and loops.
"""

from __future__ import annotations

import random as python_random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import canter as ct
import canter.numpy as cnp
from canter.core.checker import check_jaxpr
from canter.core.dtypes import float0
from canter.core.jaxpr import ClosedJaxpr, jaxpr_as_fun
from canter.transforms.partial_evaluation import dce_jaxpr

from .programs import INDEX, Program, run

BATCH = 5  # no other axis has this size
NO_TANGENT = np.zeros((), float0)
FAST_COMPILE = {"xla_backend_optimization_level": 0}


class Case:
    """A program with a point, directions, weights and a batch of points, all from one seed."""

    def __init__(self, program: Program, seed: int):
        numbers = np.random.default_rng(seed)
        random = python_random.Random(seed)
        shapes = [t for t in program.types if t != INDEX]
        self.program = program
        self.eagerly = seed % 8 == 4  # each operation is a compilation of its own
        self.point = [numbers.uniform(-1.2, 1.2, shape) for shape in shapes]
        self.direction = [numbers.uniform(-1.0, 1.0, shape) for shape in shapes]
        self.index = np.int32(seed % 3)
        self.weights = [numbers.uniform(-1.0, 1.0, t) for t in program.result_types() if t != INDEX]
        self.axes: list[int | None] = [random.choice([0, 0, -1, None]) for _ in shapes]
        self.axes[random.randrange(len(shapes))] = 0
        self.index_axis = random.choice([0, None])
        elements = [[numbers.uniform(-1.2, 1.2, shape) for _ in range(BATCH)] for shape in shapes]
        self.batch = [xs[0] if axis is None else np.stack(xs, axis) for xs, axis in zip(elements, self.axes)]
        self.indices = np.arange(BATCH, dtype=np.int32) % 3 if self.index_axis == 0 else self.index

    def function(self, *args: Any) -> list[Any]:
        """The program; its float results."""
        return [x for x in run(self.program, args) if x.dtype == np.float64]

    def scalar(self, xs: Any, index: Any) -> Any:
        """One number: the results weighed."""
        outs = self.function(*xs, index)
        return sum(cnp.sum(w * x) for w, x in zip(self.weights, outs, strict=True))

    def element(self, k: int) -> list[Any]:
        """One point of the batch, and its index."""
        xs = [x if axis is None else np.take(x, k, axis) for x, axis in zip(self.batch, self.axes)]
        return [*xs, self.indices[k] if self.index_axis == 0 else self.index]


def derived(case: Case, modes: frozenset[str]) -> Callable[..., dict[str, Any]]:
    """The function that computes a program's derivatives and batches in every way."""
    f = case.function
    axes = (*case.axes, case.index_axis)

    def gradient(xs: Any, i: Any) -> Any:
        return ct.grad(case.scalar)(xs, i)

    def slope(xs: Any, i: Any, ts: Any) -> Any:
        return sum(cnp.sum(g * t) for g, t in zip(gradient(xs, i), ts, strict=True))

    def compute(xs: Any, i: Any, ts: Any, batch: Any, indices: Any) -> dict[str, Any]:
        xs, ts, found = list(xs), list(ts), {}
        along = ((*xs, i), (*ts, NO_TANGENT))
        found["value"] = f(*xs, i)
        found["jit"] = ct.jit(f)(*xs, i)
        found["vmap"] = ct.vmap(f, in_axes=axes)(*batch, indices)
        found["vmap of jit"] = ct.vmap(ct.jit(f), in_axes=axes)(*batch, indices)
        if "forward" in modes:
            found["jvp"] = ct.jvp(f, *along)[1]
            found["jvp of jit"] = ct.jvp(ct.jit(f), *along)[1]
            found["jvp of vmap"] = ct.jvp(
                lambda *xs: ct.vmap(f, in_axes=(*[0] * len(xs), None))(*xs, i),
                [cnp.stack([x, x + 0.1]) for x in xs],
                [cnp.stack([t, t]) for t in ts],
            )[1]
            found["vmap of jvp"] = ct.vmap(lambda *xs: ct.jvp(lambda *ys: f(*ys, i), xs, tuple(ts))[1])(
                *(cnp.stack([x, x + 0.1]) for x in xs)
            )
        if "reverse" in modes:
            found["vjp"] = ct.vjp(lambda *ys: f(*ys, i), *xs)[1](case.weights)
            found["grad"] = gradient(xs, i)
            found["grad of jit"] = ct.grad(ct.jit(case.scalar))(xs, i)
            found["grad of checkpoint"] = ct.grad(ct.checkpoint(case.scalar))(xs, i)
            found["vmap of grad"] = ct.vmap(gradient, in_axes=(list(axes[:-1]), axes[-1]))(batch, indices)
            found["grad of grad"] = ct.grad(slope)(xs, i, ts)
        if modes >= {"forward", "reverse"}:
            found["linearize"] = ct.linearize(lambda *ys: f(*ys, i), *xs)[1](*ts)
            found["jvp of grad"] = ct.jvp(gradient, (xs, i), (ts, NO_TANGENT))[1]
            found["jvp of checkpoint"] = ct.jvp(ct.checkpoint(f), *along)[1]
        return found

    return compute


def check_program(program: Program, modes: frozenset[str], seed: int) -> None:
    """Raises AssertionError, or what Canter raises, unless all properties hold."""
    with ct.enable_x64(True):
        case = Case(program, seed)
        closed, shape, flat = trace_derived(case, modes)
        chosen = random_half(closed)
        first = iter(evaluate(*part_of(closed, chosen), flat))
        second = iter(evaluate(*part_of(closed, [not c for c in chosen]), flat))
        leaves = [np.asarray(next(first) if c else next(second)) for c in chosen]
        found = ct.tree.unflatten(ct.tree.structure(shape), leaves)
        for name, expected in expectations(case, modes, found):
            compare(name, found[name], expected)


def check_trace(program: Program, modes: frozenset[str], seed: int) -> None:
    """Only traces everything and checks the jaxprs."""
    with ct.enable_x64(True):
        closed, _, _ = trace_derived(Case(program, seed), modes)
        chosen = random_half(closed)
        part_of(closed, chosen)
        part_of(closed, [not c for c in chosen])


def trace_derived(case: Case, modes: frozenset[str]) -> tuple[ClosedJaxpr, Any, list[Any]]:
    """The jaxpr of all derived values, checked; the tree of its results; its flat arguments."""
    args = (case.point, case.index, case.direction, case.batch, case.indices)
    closed, shape = ct.make_jaxpr(derived(case, modes), return_shape=True)(*args)
    check_jaxpr(closed)
    return closed, shape, ct.tree.leaves(args)


def random_half(closed: ClosedJaxpr) -> list[bool]:
    random = python_random.Random(len(closed.eqns))
    return [random.random() < 0.5 for _ in closed.jaxpr.outvars]


def part_of(closed: ClosedJaxpr, wanted: list[bool]) -> tuple[ClosedJaxpr, list[bool]]:
    """The jaxpr shortened to some results, checked; and which arguments it has kept."""
    shorter, used = dce_jaxpr(closed.jaxpr, wanted)
    part = ClosedJaxpr(shorter, closed.consts)
    check_jaxpr(part)
    return part, used


def evaluate(part: ClosedJaxpr, used: list[bool], flat: list[Any]) -> list[Any]:
    """Runs a jaxpr on those of the arguments that it has kept."""
    inputs = [x for x, u in zip(flat, used, strict=True) if u]
    return ct.jit(jaxpr_as_fun(part), compiler_options=FAST_COMPILE)(*inputs)


def expectations(case: Case, modes: frozenset[str], found: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What each derived value must be, from runs, loops and differences."""
    plain = ct.jit(case.function, compiler_options=FAST_COMPILE)
    value = [np.asarray(x) for x in plain(*case.point, case.index)]
    yield "value", value
    yield "jit", value
    if case.eagerly:
        compare("eager", case.function(*map(cnp.asarray, case.point), cnp.asarray(case.index)), value)
    loop = [plain(*case.element(k)) for k in range(BATCH)]
    stacked = [np.stack([np.asarray(x) for x in xs]) for xs in zip(*loop, strict=True)]
    yield "vmap", stacked
    yield "vmap of jit", stacked
    along = differences(lambda *xs: plain(*xs, case.index), case.point, case.direction)
    if "forward" in modes:
        yield "jvp", along
        yield "jvp of jit", found["jvp"]
        shifted = [x + 0.1 for x in case.point]
        there = differences(lambda *xs: plain(*xs, case.index), shifted, case.direction)
        both = [np.stack(pair) for pair in zip(along, there, strict=True)]
        yield "jvp of vmap", both
        yield "vmap of jvp", both
    if "reverse" in modes:
        compiled = ct.jit(ct.grad(case.scalar), compiler_options=FAST_COMPILE)
        yield "grad", compiled(case.point, case.index)
        if case.eagerly:
            eager = ct.grad(case.scalar)([cnp.asarray(x) for x in case.point], case.index)
            compare("eager grad", eager, found["grad"])
        yield "vjp", found["grad"]
        yield "grad of jit", found["grad"]
        yield "grad of checkpoint", found["grad"]
        slope = sum((g * t).sum() for g, t in zip(found["grad"], case.direction, strict=True))
        weighed = sum((w * t).sum() for w, t in zip(case.weights, along, strict=True))
        compare("grad along the direction", [slope], [weighed])
        each = [compiled(xs, i) for *xs, i in map(case.element, range(BATCH))]
        yield "vmap of grad", [np.stack([np.asarray(x) for x in xs]) for xs in zip(*each, strict=True)]
        second = differences(lambda *xs: compiled(list(xs), case.index), case.point, case.direction)
        yield "grad of grad", second
    if modes >= {"forward", "reverse"}:
        yield "linearize", found["jvp"]
        yield "jvp of checkpoint", found["jvp"]
        yield "jvp of grad", found["grad of grad"]


def differences(f: Callable[..., Any], point: list[Any], direction: list[Any]) -> list[np.ndarray]:
    """Central differences along a direction; not-a-number where two step sizes disagree.

    They do at kinks and jumps, which a random program may put near a random point.
    """

    def at(step: float) -> list[np.ndarray]:
        up = f(*(x + step * t for x, t in zip(point, direction, strict=True)))
        down = f(*(x - step * t for x, t in zip(point, direction, strict=True)))
        return [(np.asarray(a) - np.asarray(b)) / (2 * step) for a, b in zip(up, down, strict=True)]

    fine, coarse = at(2e-6), at(2e-5)
    return [
        np.where(np.abs(a - b) < 1e-5 * (1 + np.abs(a)), a, np.nan) for a, b in zip(fine, coarse, strict=True)
    ]


def compare(name: str, found: Any, expected: Any) -> None:
    """Raises AssertionError unless lists of arrays agree where the expected ones are numbers."""
    assert len(found) == len(expected), f"{name}: {len(found)} results for {len(expected)}"
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape, f"{name}: result {i} is of shape {a.shape}, not {b.shape}"
        known = ~np.isnan(b)
        assert np.isfinite(a[known]).all(), f"{name}: result {i} is not finite: {a}"
        scale = 1 + np.abs(b[known]).max(initial=0.0)
        np.testing.assert_allclose(
            a[known], b[known], rtol=1e-5, atol=2e-6 * scale, err_msg=f"{name}, result {i}"
        )
