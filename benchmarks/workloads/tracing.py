"""How long it takes to trace, transform and lower long chains of operations, per operation.

Every sample traces a new function object, so that no framework answers from a cache of finished traces.
"""

import statistics

import numpy as np

from benchmarks.frameworks import load
from benchmarks.timing import seconds

LENGTH = 1000
SIZES = (250, 1000, 2000, 8000)
SAMPLE_EQUATIONS = 4000
X = np.linspace(0.1, 1.0, 8, dtype=np.float32)


def lax_chain(api, length: int):
    """A function of `length` equations, alternating between four kinds."""
    lax = api.lax

    def chain(x):
        y = x
        for _ in range(length // 4):
            x = lax.sin(x)
            x = lax.mul(x, y)
            x = lax.add(x, y)
            x = lax.neg(x)
        return x

    return chain


def numpy_chain(api, length: int):
    """The same with numpy's functions, which promote and check, and with operators."""
    cnp = api.cnp

    def chain(x):
        y = x
        for _ in range(length // 5):
            x = cnp.sin(x)
            x = cnp.multiply(x, y)
            x = x + 0.5
            x = cnp.maximum(x, y)
            x = cnp.negative(x)
        return x

    return chain


def scalar_chain(api, length: int):
    chain = lax_chain(api, length)
    return lambda x: api.lax.reduce_sum(chain(x), (0,))


def trace(api, length: int) -> float:
    chain = lax_chain(api, length)
    return seconds(lambda: api.ct.make_jaxpr(chain)(X)) / length


def trace_through_numpy(api, length: int) -> float:
    chain = numpy_chain(api, length)
    return seconds(lambda: api.ct.make_jaxpr(chain)(X)) / length


def jvp(api, length: int) -> float:
    chain = lax_chain(api, length)
    return seconds(lambda: api.ct.make_jaxpr(lambda x: api.ct.jvp(chain, (x,), (x,)))(X)) / length


def vmap(api, length: int) -> float:
    chain, rows = lax_chain(api, length), np.stack([X] * 3)
    return seconds(lambda: api.ct.make_jaxpr(api.ct.vmap(chain))(rows)) / length


def grad(api, length: int) -> float:
    chain = scalar_chain(api, length)
    return seconds(lambda: api.ct.make_jaxpr(api.ct.grad(chain))(X)) / length


def lowering(api, length: int) -> float:
    traced = api.ct.jit(lax_chain(api, length)).trace(X)
    return seconds(traced.lower) / length


def _typical(sample, api, length: int) -> float:
    """The median of several short samples: each may have met a switch of processes."""
    return statistics.median(sample(api, length) for _ in range(max(1, SAMPLE_EQUATIONS // length)))


def _at_one_length(sample):
    def prepare(framework: str):
        api = load(framework)
        sample(api, LENGTH)  # the first has the framework's own caches to fill
        return lambda: {"value": _typical(sample, api, LENGTH)}

    return prepare


def _at_all_lengths(sample):
    def prepare(framework: str):
        api = load(framework)
        sample(api, SIZES[0])
        return lambda: {str(length): _typical(sample, api, length) for length in SIZES}

    return prepare


trace_lax = _at_one_length(trace)
trace_numpy = _at_one_length(trace_through_numpy)
trace_jvp = _at_one_length(jvp)
trace_vmap = _at_one_length(vmap)
trace_grad = _at_one_length(grad)
lower = _at_one_length(lowering)

grow_trace = _at_all_lengths(trace)
grow_grad = _at_all_lengths(grad)
grow_vmap = _at_all_lengths(vmap)
grow_lower = _at_all_lengths(lowering)
