"""A hundred and twenty common calls without jit, each timed on its own.

The arrays are small, so that what is measured is the way to the compiled kernel and back.
"""

import itertools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.frameworks import load

LOOP_SECONDS = 0.0005  # of one loop: short enough to fall between interruptions
LOOPS = 12  # a sample is the least of so many

Calls = dict[str, Callable[[], Any]]


class Inputs(NamedTuple):
    """What the calls work on."""

    x: Any  # f32[16]
    y: Any
    m: Any  # f32[8,8]
    n: Any
    i: Any  # i32[16], a permutation
    b: Any  # bool[16]
    c: Any  # c64[16]
    s: Any  # f32[]
    definite: Any  # f32[8,8], symmetric and positive
    key: Any
    tree: Any
    host: np.ndarray
    at: Callable[[], int]  # a position in 0 ... 7, another one at each call


def inputs(api: Any) -> Inputs:
    random = np.random.default_rng(0)
    put = api.cnp.asarray
    square = random.normal(size=(8, 8)).astype(np.float32)
    x, y = (put(random.uniform(0.1, 0.9, 16).astype(np.float32)) for _ in range(2))
    return Inputs(
        x=x,
        y=y,
        m=put(square),
        n=put(random.normal(size=(8, 8)).astype(np.float32)),
        i=put(random.permutation(16).astype(np.int32)),
        b=put(random.uniform(size=16) < 0.5),
        c=put(random.normal(size=16).astype(np.complex64)),
        s=put(np.float32(0.5)),
        definite=put((square @ square.T + 8 * np.eye(8)).astype(np.float32)),
        key=api.random.key(0),
        tree={"a": x, "b": [x, y], "c": {"d": x}},
        host=random.normal(size=16).astype(np.float32),
        at=itertools.cycle(range(8)).__next__,
    )


def elementwise(api: Any, d: Inputs) -> Calls:
    cnp, x, y, i, b = api.cnp, d.x, d.y, d.i, d.b
    return {
        "x + y": lambda: x + y,
        "x - 1": lambda: x - 1,
        "2.0 * x": lambda: 2.0 * x,
        "x / y": lambda: x / y,
        "x ** 2": lambda: x**2,
        "x ** y": lambda: x**y,
        "x % y": lambda: x % y,
        "i // 3": lambda: i // 3,
        "-x": lambda: -x,
        "abs(x)": lambda: abs(x),
        "x < y": lambda: x < y,
        "x == 0": lambda: x == 0,
        "b & ~b": lambda: b & ~b,
        "scalar + 1": lambda: d.s + 1,
        "add of int and float": lambda: cnp.add(i, x),
        "add with broadcasting": lambda: cnp.add(d.m, d.s),
        "sin": lambda: cnp.sin(x),
        "exp": lambda: cnp.exp(x),
        "tanh": lambda: cnp.tanh(x),
        "maximum": lambda: cnp.maximum(x, 0.5),
        "clip": lambda: cnp.clip(x, 0.2, 0.8),
        "isnan": lambda: cnp.isnan(x),
        "logical_and": lambda: cnp.logical_and(b, b),
        "round": lambda: cnp.round(x, 2),
    }


def reductions(api: Any, d: Inputs) -> Calls:
    cnp, x, m, i = api.cnp, d.x, d.m, d.i
    return {
        "sum": lambda: cnp.sum(x),
        "sum over an axis": lambda: cnp.sum(m, axis=0),
        "sum, keepdims": lambda: m.sum(axis=-1, keepdims=True),
        "mean": lambda: cnp.mean(m, axis=1),
        "x.max()": lambda: x.max(),
        "prod": lambda: cnp.prod(x),
        "std": lambda: cnp.std(m, axis=0),
        "var": lambda: m.var(),
        "any": lambda: cnp.any(d.b),
        "all": lambda: d.b.all(),
        "argmax": lambda: cnp.argmax(m, axis=1),
        "median": lambda: cnp.median(x),
        "linalg.norm": lambda: cnp.linalg.norm(x),
        "cumsum": lambda: cnp.cumsum(x),
        "sort": lambda: cnp.sort(x),
        "argsort": lambda: cnp.argsort(x),
        "unique": lambda: cnp.unique(i),
        "allclose": lambda: cnp.allclose(x, x),
    }


def making(api: Any, d: Inputs) -> Calls:
    cnp, x, y, m = api.cnp, d.x, d.y, d.m
    return {
        "zeros: float": lambda: cnp.zeros((4, 4)),
        "zeros: int": lambda: cnp.zeros(16, dtype=cnp.int32),
        "full": lambda: cnp.full((4, 4), 2.5),
        "zeros_like": lambda: cnp.zeros_like(x),
        "arange: stop": lambda: cnp.arange(16),
        "arange: start and step": lambda: cnp.arange(0.0, 8.0, 0.5),
        "linspace": lambda: cnp.linspace(0.0, 1.0, 16),
        "eye": lambda: cnp.eye(4),
        "tril": lambda: cnp.tril(m),
        "array of a list": lambda: cnp.array([1.0, 2.0, 3.0]),
        "asarray of NumPy": lambda: cnp.asarray(d.host),
        "concatenate: vectors": lambda: cnp.concatenate([x, y]),
        "concatenate: axis 1": lambda: cnp.concatenate([m, m, m], axis=1),
        "stack: vectors": lambda: cnp.stack([x, y]),
        "stack: last axis": lambda: cnp.stack([x, y, x], axis=-1),
        "split: in four": lambda: cnp.split(x, 4),
        "where: arrays": lambda: cnp.where(d.b, x, y),
        "where: a number": lambda: cnp.where(d.b, x, 0.0),
        "pad": lambda: cnp.pad(x, 2),
        "repeat": lambda: cnp.repeat(x, 2),
        "tile": lambda: cnp.tile(x, 2),
        "roll": lambda: cnp.roll(x, 1),
        "take": lambda: cnp.take(x, d.i),
        "one_hot": lambda: api.nn.one_hot(d.i, 16),
    }


def shapes(api: Any, d: Inputs) -> Calls:
    cnp, x, m = api.cnp, d.x, d.m
    return {
        "reshape": lambda: x.reshape(4, 4),
        "ravel": lambda: m.ravel(),
        "m.T": lambda: m.T,
        "transpose": lambda: cnp.transpose(m, (1, 0)),
        "expand_dims": lambda: cnp.expand_dims(x, 1),
        "broadcast_to": lambda: cnp.broadcast_to(x, (2, 16)),
        "astype": lambda: x.astype(cnp.int32),
        "flip": lambda: cnp.flip(x),
    }


def indexing(api: Any, d: Inputs) -> Calls:
    x, m, i, at = d.x, d.m, d.i, d.at
    return {
        "index: x[3]": lambda: x[3],
        "index: x[k], k varies": lambda: x[at()],
        "index: x[-1]": lambda: x[-1],
        "index: x[2:5]": lambda: x[2:5],
        "index: x[::2]": lambda: x[::2],
        "index: x[None]": lambda: x[None],
        "index: m[1]": lambda: m[1],
        "index: m[1, 2]": lambda: m[1, 2],
        "index: m[:, 1]": lambda: m[:, 1],
        "index: m[1:3, ::2]": lambda: m[1:3, ::2],
        "index: m[..., None]": lambda: m[..., None],
        "index: x[i]": lambda: x[i],
        "index: x[b]": lambda: x[d.b],
        "at: x.at[k].set, k varies": lambda: x.at[at()].set(1.0),
        "at: x.at[2:5].add": lambda: x.at[2:5].add(1.0),
        "at: x.at[i].mul": lambda: x.at[i].mul(2.0),
        "at: m.at[1, 2].set": lambda: m.at[1, 2].set(0.0),
        "at: m.at[:, 0].set": lambda: m.at[:, 0].set(0.0),
    }


def algebra(api: Any, d: Inputs) -> Calls:
    cnp, x, y, m, n = api.cnp, d.x, d.y, d.m, d.n
    return {
        "m @ n": lambda: m @ n,
        "dot": lambda: cnp.dot(x, y),
        "einsum": lambda: cnp.einsum("ij,jk->ik", m, n),
        "linalg.solve": lambda: cnp.linalg.solve(d.definite, n),
        "linalg.cholesky": lambda: cnp.linalg.cholesky(d.definite),
        "fft": lambda: cnp.fft.fft(d.c),
    }


def sampling(api: Any, d: Inputs) -> Calls:
    random, key, x = api.random, d.key, d.x
    return {
        "key": lambda: random.key(0),
        "split: a key": lambda: random.split(key),
        "normal: vector": lambda: random.normal(key, (16,)),
        "uniform": lambda: random.uniform(key, (16,)),
        "randint": lambda: random.randint(key, (16,), 0, 10),
        "bits": lambda: random.bits(key, (16,)),
        "bernoulli": lambda: random.bernoulli(key, 0.5, (16,)),
        "fold_in": lambda: random.fold_in(key, 3),
        "permutation": lambda: random.permutation(key, x),
        "choice": lambda: random.choice(key, x),
    }


def the_rest(api: Any, d: Inputs) -> Calls:
    nn, tree, x = api.nn, api.tree, d.x
    return {
        "relu": lambda: nn.relu(x),
        "gelu": lambda: nn.gelu(x),
        "silu": lambda: nn.silu(x),
        "sigmoid": lambda: nn.sigmoid(x),
        "log_softmax": lambda: nn.log_softmax(d.m),
        "softmax": lambda: nn.softmax(d.m),
        "logsumexp": lambda: nn.logsumexp(x),
        "tree_map": lambda: tree.tree_map(lambda leaf: leaf + 1, d.tree),
        "device_put": lambda: api.ct.device_put(d.host),
        "np.asarray": lambda: np.asarray(x),
        "float": lambda: float(d.s),
        "int of an element": lambda: int(d.i[d.at()]),
    }


FAMILIES = (elementwise, reductions, making, shapes, indexing, algebra, sampling, the_rest)


def eager_calls(framework: str) -> Callable[[], dict[str, float]]:
    """Seconds that each call takes."""
    api = load(framework)
    data = inputs(api)
    loops = {}
    for family in FAMILIES:
        for name, call in family(api, data).items():
            loops[name] = (call, _count(call))

    def measure() -> dict[str, float]:
        return {
            name: min(_loop(call, count) for _ in range(LOOPS)) / count
            for name, (call, count) in loops.items()
        }

    return measure


def _loop(call: Callable[[], Any], count: int) -> float:
    repeat = itertools.repeat(None, count)
    begin = time.perf_counter()
    for _ in repeat:
        call()
    return time.perf_counter() - begin


def _count(call: Callable[[], Any]) -> int:
    """How many calls fill a loop; the first ones compile, for every position that is asked for."""
    _loop(call, 10)
    once = min(_loop(call, 5) for _ in range(3)) / 5
    return max(1, round(LOOP_SECONDS / once))
