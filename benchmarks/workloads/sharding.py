"""What eight devices cost: calls with arrays over them, bringing an array there, and functions of one device's part."""

import os

# Eight devices on the CPU: a flag that has to be set before the framework starts.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"

import numpy as np

from benchmarks.frameworks import load
from benchmarks.timing import repeated, seconds
from benchmarks.workloads import gpt

LAYERS = 24
MEGABYTES_64 = (4096, 4096)


def _row_sharding(api):
    sharding = api.ct.sharding
    mesh = api.ct.make_mesh((8,), ("x",), axis_types=(sharding.AxisType.Auto,))
    return mesh, sharding.NamedSharding(mesh, sharding.PartitionSpec("x"))


def sharded_call(framework: str):
    """One array of eight parts in, one out."""
    api = load(framework)
    _, rows = _row_sharding(api)
    x = api.ct.device_put(np.ones((8, 4), np.float32), rows)
    increment = api.ct.jit(lambda x: x + 1)
    return repeated(lambda: increment(x).block_until_ready())


def sharded_call20(framework: str):
    """Twenty arrays of eight parts each in and out."""
    api = load(framework)
    _, rows = _row_sharding(api)
    xs = [api.ct.device_put(np.ones((8, 4), np.float32), rows) for _ in range(20)]
    increment = api.ct.jit(lambda xs: [x + 1 for x in xs])
    return repeated(lambda: api.ct.block_until_ready(increment(xs)))


def sharded_put(framework: str):
    """64 MB of the host's memory, an eighth to each device."""
    api = load(framework)
    _, rows = _row_sharding(api)
    x = np.ones(MEGABYTES_64, np.float32)
    return repeated(lambda: api.ct.device_put(x, rows).block_until_ready())


def sharded_map(framework: str):
    """Layers whose weights are divided over the devices: products, sums over devices, and a ring."""
    api = load(framework)
    mesh, _ = _row_sharding(api)
    spec = api.ct.sharding.PartitionSpec
    ring = [(i, (i + 1) % 8) for i in range(8)]
    x, w = np.ones((8, 16), np.float32), np.ones((16, 128), np.float32)

    def trace_and_lower() -> None:
        def layers(x, w):
            for _ in range(LAYERS):
                hidden = api.cnp.tanh(x @ w)
                x = api.lax.psum(hidden @ w.T, "x") / 8.0
                x = x + api.lax.ppermute(x, "x", ring) * 0.5
            return x

        mapped = api.ct.shard_map(layers, mesh=mesh, in_specs=(spec(), spec(None, "x")), out_specs=spec("x"))
        api.ct.jit(mapped).trace(x, w).lower()

    trace_and_lower()
    return lambda: {"value": seconds(trace_and_lower)}


def sharded_step(framework: str):
    """A GPT's training step: four ways of examples by two of weights, as in examples/train_lm.py."""
    api = load(framework)
    sharding = api.ct.sharding
    spec, named = sharding.PartitionSpec, sharding.NamedSharding
    mesh = api.ct.make_mesh((4, 2), ("data", "model"), axis_types=(sharding.AxisType.Auto,) * 2)
    rows, columns = spec("model"), spec(None, "model")
    divided = {
        "tokens": rows,
        "qkv": columns,
        "out": rows,
        "mlp_in": columns,
        "bias_in": rows,
        "mlp_out": rows,
    }

    def layout(path, leaf):
        return named(mesh, divided.get(path[-1].key, spec()))

    initial = gpt.initial_params(layers=4, width=128, context=64)
    layouts = api.tree.tree_map_with_path(layout, initial)
    whole = named(mesh, spec())
    params = api.ct.device_put(initial, layouts)
    zeros = api.tree.tree_map(np.zeros_like, initial)
    moments = {"count": whole, "mean": layouts, "square": layouts}
    state = api.ct.device_put({"count": np.zeros((), np.float32), "mean": zeros, "square": zeros}, moments)
    tokens = api.ct.device_put(gpt.batch_of(16, 64), named(mesh, spec("data")))
    step = api.ct.jit(
        gpt.array_step(api, heads=4), donate_argnums=(0, 1), out_shardings=(layouts, moments, whole)
    )

    def run() -> None:
        nonlocal params, state
        params, state, value = step(params, state, tokens)
        value.block_until_ready()

    for _ in range(3):
        run()
    return lambda: {"value": seconds(lambda: [run() for _ in range(5)]) / 5}
