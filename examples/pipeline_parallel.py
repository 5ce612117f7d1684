"""Pipeline parallelism: each device has some of the layers, and batches flow through the devices in small pieces.

Four devices hold two layers each. A batch is cut into microbatches, as in GPipe (Huang et al. 2019). At every tick each
device computes its layers for one microbatch and hands the result to the next device, so that after a few ticks all
of them work at once:

    tick      0  1  2  3  4  5  6
    device 0  a  b  c  d
    device 1     a  b  c  d
    device 2        a  b  c  d
    device 3           a  b  c  d

`shard_map` writes this from one device's point of view, and `ppermute` hands on. Nothing is said of the way back: the
derivative of `ppermute` is `ppermute` the other way, so `grad` gives the pipeline that runs backwards.

    python examples/pipeline_parallel.py
"""

from typing import Any

import canter as ct
import canter.numpy as cnp
from canter import P, lax, random

STAGES, LAYERS, WIDTH = 4, 8, 32
BATCH, MICROBATCHES = 64, 8
Params = dict[str, Any]


def init_params(key: ct.Array) -> Params:
    """Layers stacked on a leading axis: it is the one that is divided over the devices."""
    inner, outer = random.split(key)
    return {
        "inner": random.normal(inner, (LAYERS, WIDTH, 2 * WIDTH)) / WIDTH**0.5,
        "outer": random.normal(outer, (LAYERS, 2 * WIDTH, WIDTH)) / (2 * WIDTH) ** 0.5,
    }


def run_layers(params: Params, x: ct.Array) -> ct.Array:
    """The layers in `params`, one after the other: [rows, width] -> [rows, width]."""

    def layer(x: ct.Array, p: Params) -> tuple[ct.Array, None]:
        return x + 0.5 * cnp.tanh(x @ p["inner"]) @ p["outer"], None

    return lax.scan(layer, x, params)[0]


def pipeline(params: Params, batch: ct.Array) -> ct.Array:
    """What `run_layers` gives, from one device's point of view: `params` are those of its layers only."""
    stage, stages = lax.axis_index("stage"), lax.axis_size("stage")
    pieces = batch.reshape(MICROBATCHES, -1, batch.shape[-1])
    forward = [(i, i + 1) for i in range(stages - 1)]

    def tick(received: ct.Array, time: ct.Array) -> tuple[ct.Array, ct.Array]:
        fresh = pieces[cnp.minimum(time, MICROBATCHES - 1)]
        done = run_layers(params, cnp.where(stage == 0, fresh, received))
        return lax.ppermute(done, "stage", forward), done

    nothing = lax.pcast(cnp.zeros_like(pieces[0]), "stage", to="varying")
    _, done = lax.scan(tick, nothing, cnp.arange(MICROBATCHES + stages - 1))
    # What the last device computed since the first microbatch reached it is the result.
    results = cnp.where(stage == stages - 1, done[stages - 1 :], 0.0)
    return lax.psum(results, "stage").reshape(batch.shape)


def make_pipelined(mesh: ct.sharding.Mesh) -> Any:
    """`run_layers` over the devices of a mesh: (params, batch) -> batch."""
    return ct.shard_map(pipeline, mesh=mesh, in_specs=(P("stage"), P()), out_specs=P())


def loss(run: Any, params: Params, batch: ct.Array, targets: ct.Array) -> ct.Array:
    return cnp.mean((run(params, batch) - targets) ** 2)


def compare(mesh: ct.sharding.Mesh) -> float:
    """Says how one device and all of a mesh compare: the largest difference of losses and gradients."""
    keys = random.split(random.key(0), 3)
    params = init_params(keys[0])
    batch, targets = random.normal(keys[1], (BATCH, WIDTH)), random.normal(keys[2], (BATCH, WIDTH))

    def value_and_grad(run: Any, params: Params) -> Any:
        return ct.jit(ct.value_and_grad(lambda p: loss(run, p, batch, targets)))(params)

    value, grads = value_and_grad(run_layers, params)
    divided = ct.device_put(params, ct.NamedSharding(mesh, P("stage")))
    print("the layers' weights, by device:")
    ct.debug.visualize_sharding(divided["inner"].shape[:2], divided["inner"].sharding)
    value_p, grads_p = value_and_grad(make_pipelined(mesh), divided)
    apart = max(
        float(cnp.abs(a - b).max()) for a, b in zip(*map(ct.tree.leaves, (grads, grads_p)), strict=True)
    )
    print(f"loss {float(value):.6f} on one device, {float(value_p):.6f} in the pipeline")
    print(f"gradients differ by {apart:.1e} at most")
    idle = (STAGES - 1) / (MICROBATCHES + STAGES - 1)
    print(f"each device waits {idle:.0%} of the ticks; more microbatches make that less")
    return max(apart, abs(float(value) - float(value_p)))


def main() -> None:
    ct.config.update("num_cpu_devices", STAGES)
    assert compare(ct.make_mesh((STAGES,), ("stage",), axis_types=(ct.sharding.AxisType.Auto,))) < 1e-5


if __name__ == "__main__":
    main()
