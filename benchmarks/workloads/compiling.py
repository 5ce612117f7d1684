"""Compile times of programs whose parts repeat: what the compiler is busy with, in seconds of all threads.

Machines are shared, so that the processor's time is counted and not the clock's. Lowering belongs to it, since
that is where Canter looks for repetitions.
"""

import gc
import time

import numpy as np

from benchmarks.frameworks import load
from benchmarks.workloads import gpt


def _normal(generator: np.random.Generator, *shape: int) -> np.ndarray:
    return (0.1 * generator.standard_normal(shape)).astype(np.float32)


def _rnn(api, generator):
    """The gradient of a recurrent network, 200 steps."""
    cnp = api.cnp

    def loss(p, xs):
        h = cnp.zeros((8, 32))
        for t in range(200):
            h = cnp.tanh(h @ p["w"] + xs[t] @ p["u"] + p["b"])
        return cnp.mean(h**2)

    p = {"w": _normal(generator, 32, 32), "u": _normal(generator, 32, 32), "b": _normal(generator, 32)}
    return api.ct.grad(loss), (p, _normal(generator, 200, 8, 32))


def _ode(api, generator):
    """The gradient of a Runge-Kutta solver, 50 steps."""
    cnp = api.cnp

    def slope(y, t, a):
        return cnp.tanh(a @ y) - 0.1 * y + cnp.sin(t)

    def solve(y, a, h=0.01):
        for i in range(50):
            t = i * h
            k1 = slope(y, t, a)
            k2 = slope(y + h / 2 * k1, t + h / 2, a)
            k3 = slope(y + h / 2 * k2, t + h / 2, a)
            y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + slope(y + h * k3, t + h, a))
        return cnp.sum(y**2)

    return api.ct.grad(solve), (_normal(generator, 16), _normal(generator, 16, 16))


def _resnet(api, generator):
    """The gradient of a residual network, 50 blocks."""
    cnp, lax, nn = api.cnp, api.lax, api.nn

    def conv(x, w):
        return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def norm(x, scale, shift):
        mean, variance = cnp.mean(x, (0, 1, 2)), cnp.var(x, (0, 1, 2))
        return (x - mean) / cnp.sqrt(variance + 1e-5) * scale + shift

    def loss(blocks, x):
        for p in blocks:
            x = x + conv(nn.relu(norm(conv(nn.relu(x), p["a"]), p["scale"], p["shift"])), p["b"])
        return cnp.mean(x**2)

    def block():
        weights = {name: _normal(generator, 3, 3, 16, 16) for name in "ab"}
        return weights | {"scale": np.ones(16, np.float32), "shift": _normal(generator, 16)}

    return api.ct.grad(loss), ([block() for _ in range(50)], _normal(generator, 2, 8, 8, 16))


def _adam(api, generator):
    """Adam over 1,000 leaves of four shapes."""
    cnp, tree_map = api.cnp, api.tree.tree_map

    def step(params, means, squares, grads, count):
        count = count + 1
        means = tree_map(lambda m, g: 0.9 * m + 0.1 * g, means, grads)
        squares = tree_map(lambda s, g: 0.99 * s + 0.01 * g * g, squares, grads)

        def move(p, m, s):
            return p - 1e-3 * (m / (1 - 0.9**count)) / (cnp.sqrt(s / (1 - 0.99**count)) + 1e-8)

        return tree_map(move, params, means, squares), means, squares, count

    leaves = [_normal(generator, 8, 8 + i % 4) for i in range(1000)]
    squares = [leaf**2 for leaf in leaves]
    return step, (leaves, leaves, squares, leaves, np.float32(0))


def _gpt(layers: int, width: int = 64, scanned: bool = False):
    def program(api, generator):
        params = gpt.initial_params(layers=layers, width=width, context=64)
        if scanned:
            params = gpt.stacked(api, params)
        step = gpt.array_step(api, heads=4, scanned=scanned)
        return step, (params, gpt.initial_state(api, params), gpt.batch_of(4, 64))

    return program


def _measured(program, effort: str | None = None):
    def workload(framework: str):
        api = load(framework)
        api.ct.config.update("jax_enable_compilation_cache", False)
        fun, args = program(api, np.random.default_rng(0))
        options = {"effort": effort} if effort is not None and framework == "canter" else {}

        def measure() -> dict[str, float]:
            traced = api.ct.jit(fun, **options).trace(*args)
            gc.collect()
            begin = time.process_time()
            traced.lower().compile()
            return {"value": time.process_time() - begin}

        return measure

    return workload


def _side_by_side(**programs):
    """Of several programs, one field each: the row says by how much the later is dearer than the earlier."""

    def workload(framework: str):
        measures = {name: _measured(program)(framework) for name, program in programs.items()}
        return lambda: {name: measure()["value"] for name, measure in measures.items()}

    return workload


def compile_outlining(framework: str):
    """What the search for repetitions in a GPT's step takes beside its trace, the least of several."""
    from canter.runtime.passes import outline, remove_dead_code

    api = load(framework)
    fun, args = _gpt(12)(api, np.random.default_rng(0))

    def taken(work):
        gc.collect()
        begin = time.process_time()
        result = work()
        return time.process_time() - begin, result

    def measure() -> dict[str, float]:
        traces, searches = [], []
        for _ in range(5):
            seconds, traced = taken(lambda: api.ct.jit(lambda *args: fun(*args)).trace(*args))
            traces.append(seconds)
            jaxpr, _ = remove_dead_code(traced.jaxpr.jaxpr, keep_unused=False)
            searches.append(taken(lambda jaxpr=jaxpr: outline(jaxpr, ("cpu",)))[0])
        return {"trace": min(traces), "search": min(searches)}

    return measure


compile_gpt12 = _measured(_gpt(12))
compile_gpt24 = _measured(_gpt(24))
compile_wide12 = _measured(_gpt(12, width=256))
compile_growth = _side_by_side(layers12=_gpt(12), layers24=_gpt(24))
compile_scan24 = _side_by_side(scan=_gpt(24, scanned=True), loop=_gpt(24))
compile_fast = _measured(_gpt(12), "fast")
compile_rnn = _measured(_rnn)
compile_ode = _measured(_ode)
compile_resnet = _measured(_resnet)
compile_adam = _measured(_adam)
