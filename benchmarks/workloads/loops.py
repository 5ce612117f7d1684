"""Loops: what reverse mode costs, and that a longer loop is no bigger program."""

import numpy as np

from benchmarks.frameworks import load
from benchmarks.timing import repeated, seconds

STEPS, LEAVES = 600, 60
LENGTHS = (250, 1000, 2000, 8000)


def coupled(api, length: int):
    """A loop over many scalars, each of which depends on its neighbour."""
    lax, cnp = api.lax, api.cnp

    def run(leaves):
        def body(carry, _):
            neighbours = carry[1:] + carry[:1]
            return [cnp.sin(x) * a + 0.1 * y for x, a, y in zip(carry, leaves, neighbours, strict=True)], None

        return sum(lax.scan(body, list(leaves), None, length=length)[0])

    return run


def start() -> list[np.float32]:
    return [np.float32(0.01 * i) for i in range(LEAVES)]


def scan_grad(framework: str):
    """The run time of a loop's gradient, in run times of the loop."""
    api = load(framework)
    leaves = [api.cnp.asarray(x) for x in start()]
    run = coupled(api, STEPS)

    def measure_of(fun):
        compiled = api.ct.jit(fun)
        return repeated(lambda: api.ct.block_until_ready(compiled(leaves)))

    forward, backward = measure_of(run), measure_of(api.ct.grad(run))
    return lambda: {"value": backward()["value"] / forward()["value"]}


def scan_growth(framework: str):
    """How long it takes to trace and lower the gradient of a loop, whatever its length."""
    api = load(framework)

    def sample(length: int) -> float:
        jitted = api.ct.jit(api.ct.grad(coupled(api, length)))
        return seconds(lambda: jitted.trace(start()).lower())

    sample(LENGTHS[0])
    return lambda: {str(length): min(sample(length) for _ in range(3)) for length in LENGTHS}
