"""Random stacks of transformations over random programs, and the same computed in another way.

A program becomes a function of one vector to one of the same size, so that any transformation of it is
such a function again. The other way takes loops for batches, forward mode where the stack has reverse
mode and the other way round, and leaves out what must change nothing.
"""

from __future__ import annotations

import random as python_random
from collections.abc import Callable
from typing import Any

import numpy as np

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.custom_batching import custom_vmap, sequential_vmap

from .generate import make_program
from .programs import INDEX, run

Vector = Callable[[Any], Any]
MODES = frozenset({"forward", "reverse"})


def base(seed: int) -> tuple[Vector, int]:
    """A random program as a function of a vector, and the vector's size."""
    program = make_program(seed, MODES, num_steps=1, depth=1)
    numbers = np.random.default_rng(seed)
    shapes = [t for t in program.types if t != INDEX]
    sizes = [int(np.prod(shape)) for shape in shapes]
    size = sum(sizes)
    index = np.int32(seed % 3)
    results = [t for t in program.result_types() if t != INDEX]
    weights = [numbers.uniform(-1, 1, (size, int(np.prod(t)))) / (1 + np.prod(t)) for t in results]

    def function(v: Any) -> Any:
        parts = cnp.split(v, np.cumsum(sizes)[:-1])
        args = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
        chosen = index + (0 * v[0]).astype(np.int32)  # not static: it may be out of bounds
        outs = [x for x in run(program, [*args, chosen]) if x.dtype == np.float64]
        # Bounded, so that a tower of derivatives stays within what float64 can compare.
        return sum(w @ cnp.tanh(x / 4).ravel() for w, x in zip(weights, outs, strict=True))

    return function, size


def _shifted(v: Any) -> list[Any]:
    return [v, v + 0.1, 0.9 * v]


def _push(f: Vector, v: Any, t: Any) -> Any:
    return ct.jvp(f, (v,), (t,))[1]


def _pull(f: Vector, v: Any, w: Any) -> Any:
    return ct.vjp(f, v)[1](w)[0]


def _push_by_reverse(f: Vector, v: Any, t: Any) -> Any:
    return _pull(lambda w: _pull(f, v, w), cnp.zeros_like(t), t)


def _pull_by_forward(f: Vector, v: Any, w: Any) -> Any:
    return ct.vmap(lambda e: _push(f, v, e) @ w)(cnp.eye(len(w)))


def _with_jvp(f: Vector) -> Vector:
    wrapped = ct.custom_jvp(lambda v: f(v))
    wrapped.defjvp(lambda primals, tangents: ct.jvp(f, primals, tangents))
    return wrapped


def _with_vmap(f: Vector) -> Vector:
    wrapped = custom_vmap(lambda v: f(v))
    wrapped.def_vmap(lambda size, batched, v: (ct.vmap(f)(v), True))
    return wrapped


def _loop(f: Vector, v: Any) -> Any:
    for _ in range(3):
        v = cnp.sin(f(v)) + 0.5 * v
    return v


def _scan(f: Vector, v: Any, **options: Any) -> Any:
    return lax.scan(lambda c, _: (cnp.sin(f(c)) + 0.5 * c, None), v, None, length=3, **options)[0]


class Layer:
    """A transformation of functions of a vector, and the same in another way.

    `w` is a fixed vector, a direction or weights.
    """

    def __init__(self, stack: Callable[[Vector, Any, Any], Any], other: Callable[[Vector, Any, Any], Any]):
        self.stack, self.other = stack, other


def _same(transformation: Callable[[Vector], Vector]) -> Layer:
    return Layer(lambda f, v, w: transformation(f)(v), lambda f, v, w: f(v))


LAYERS = {
    "jit": _same(ct.jit),
    "checkpoint": _same(ct.checkpoint),
    "saving checkpoint": _same(lambda f: ct.checkpoint(f, policy=ct.checkpoint_policies.dots_saveable)),
    "custom_jvp": _same(_with_jvp),
    "custom_vmap": _same(_with_vmap),
    "sequential_vmap": _same(sequential_vmap),
    "jvp": Layer(_push, _push_by_reverse),
    "linearize": Layer(lambda f, v, w: ct.linearize(f, v)[1](w), _push_by_reverse),
    "vjp": Layer(_pull, _pull_by_forward),
    "grad": Layer(lambda f, v, w: ct.grad(lambda x: f(x) @ w)(v), _pull_by_forward),
    "vmap": Layer(
        lambda f, v, w: ct.vmap(f)(cnp.stack(_shifted(v))).sum(0), lambda f, v, w: sum(map(f, _shifted(v)))
    ),
    "vmap of columns": Layer(
        lambda f, v, w: ct.vmap(f, in_axes=1, out_axes=1)(cnp.stack(_shifted(v), 1)) @ np.ones(3),
        lambda f, v, w: sum(map(f, _shifted(v))),
    ),
    "scan": Layer(lambda f, v, w: _scan(f, v), lambda f, v, w: _loop(f, v)),
    "unrolled scan": Layer(lambda f, v, w: _scan(f, v, unroll=2), lambda f, v, w: _loop(f, v)),
    "map": Layer(
        lambda f, v, w: lax.map(f, cnp.stack(_shifted(v))).sum(0), lambda f, v, w: sum(map(f, _shifted(v)))
    ),
    "cond": Layer(
        lambda f, v, w: lax.cond(v[0] > 0, f, lambda x: f(-x), v),
        lambda f, v, w: cnp.where(v[0] > 0, f(v), f(-v)),
    ),
    "switch": Layer(
        lambda f, v, w: lax.switch((v > 0).sum() % 3, [f, lambda x: 2 * f(x), lambda x: x * w], v),
        lambda f, v, w: cnp.stack([f(v), 2 * f(v), v * w])[(v > 0).sum() % 3],
    ),
}


def random_stack(seed: int, most: int) -> list[str]:
    """Names of transformations, the innermost first."""
    random = python_random.Random(seed)
    return [random.choice(sorted(LAYERS)) for _ in range(random.randint(1, most))]


def _applied(transformation: Callable[[Vector, Any, Any], Any], f: Vector, w: Any) -> Vector:
    return lambda v: transformation(f, v, w)


def both_ways(seed: int, most: int = 3) -> tuple[Callable[[], tuple[Any, Any]], list[str]]:
    """A function that computes a random stack over a random program in both ways, and the stack."""
    function, size = base(seed)
    names = random_stack(seed, most)
    numbers = np.random.default_rng(seed + 1)
    point = numbers.uniform(-0.8, 0.8, size)
    stack, other = function, function
    for name in names:
        w = numbers.uniform(-1, 1, size)
        stack = _applied(LAYERS[name].stack, stack, w)
        other = _applied(LAYERS[name].other, other, w)
    return lambda: (stack(cnp.asarray(point)), other(cnp.asarray(point))), names
