"""Expert parallelism: a mixture of experts whose experts live on different devices.

A router sends each token to one of several small networks, as in the Switch Transformer (Fedus et al. 2021). Every
device has some of the tokens and some of the experts. So tokens travel: `all_to_all` brings each to the device of its
expert, and a second one brings the results back. `shard_map` writes this from one device's point of view; its
derivative sends the gradients the same ways.

An expert takes a fixed number of tokens from each device, its capacity, because arrays have fixed shapes. Tokens beyond
it are passed by: their result is zero.

    python examples/expert_parallel.py
"""

import functools
import math
from typing import Any

import canter as ct
import canter.numpy as cnp
from canter import P, lax, nn, random

DEVICES, EXPERTS, WIDTH, TOKENS = 4, 8, 32, 256
Params = dict[str, Any]
PARTITIONS: Params = {"router": P(), "inner": P("expert"), "outer": P("expert")}


def init_params(key: ct.Array) -> Params:
    router, inner, outer = random.split(key, 3)
    return {
        "router": random.normal(router, (WIDTH, EXPERTS)) / WIDTH**0.5,
        "inner": random.normal(inner, (EXPERTS, WIDTH, 2 * WIDTH)) / WIDTH**0.5,
        "outer": random.normal(outer, (EXPERTS, 2 * WIDTH, WIDTH)) / (2 * WIDTH) ** 0.5,
    }


def expert(inner: ct.Array, outer: ct.Array, x: ct.Array) -> ct.Array:
    return nn.gelu(x @ inner) @ outer


def route(params: Params, x: ct.Array) -> tuple[ct.Array, ct.Array]:
    """The expert of each token, and the weight of its result."""
    probabilities = nn.softmax(x @ params["router"])
    return cnp.argmax(probabilities, axis=-1), cnp.max(probabilities, axis=-1)


def dense(params: Params, x: ct.Array) -> ct.Array:
    """The mixture on one device, by a loop over the experts: each computes all tokens, mostly in vain."""
    chosen, weight = route(params, x)
    out = cnp.zeros_like(x)
    for number in range(EXPERTS):
        result = expert(params["inner"][number], params["outer"][number], x)
        out = cnp.where((chosen == number)[:, None], result * weight[:, None], out)
    return out


def mixture(params: Params, x: ct.Array, capacity: int) -> ct.Array:
    """The mixture from one device's point of view: its tokens, and the weights of its experts only."""
    chosen, weight = route(params, x)
    is_for = nn.one_hot(chosen, EXPERTS, dtype=cnp.int32)
    place = cnp.sum((cnp.cumsum(is_for, axis=0) - 1) * is_for, axis=-1)  # among the tokens of the same expert
    # [experts, capacity, width]: a box for each expert, filled with tokens. What is out of bounds is dropped.
    boxes = cnp.zeros((EXPERTS, capacity, WIDTH), x.dtype).at[chosen, place].set(x, mode="drop")
    # Boxes go to their experts: [experts here, devices * capacity, width].
    here = lax.all_to_all(boxes, "expert", split_axis=0, concat_axis=1, tiled=True)
    done = ct.vmap(expert)(params["inner"], params["outer"], here)
    back = lax.all_to_all(done, "expert", split_axis=1, concat_axis=0, tiled=True)
    return back.at[chosen, place].get(mode="fill", fill_value=0.0) * weight[:, None]


def make_mixture(mesh: ct.sharding.Mesh, capacity: int) -> Any:
    """The mixture over the devices of a mesh: (params, tokens) -> results."""
    run = functools.partial(mixture, capacity=capacity)
    return ct.shard_map(run, mesh=mesh, in_specs=(PARTITIONS, P("expert")), out_specs=P("expert"))


def compare(mesh: ct.sharding.Mesh) -> float:
    """Says how one device and all of a mesh compare: the largest difference of losses and gradients."""
    keys = random.split(random.key(0), 3)
    params, x = init_params(keys[0]), random.normal(keys[1], (TOKENS, WIDTH))
    target = random.normal(keys[2], x.shape)

    def value_and_grad(run: Any, params: Params, x: ct.Array) -> Any:
        return ct.jit(ct.value_and_grad(lambda p, x: cnp.mean((run(p, x) - target) ** 2)))(params, x)

    value, grads = value_and_grad(dense, params, x)
    here = TOKENS // DEVICES
    divided = ct.tree.map(lambda p, spec: ct.device_put(p, ct.NamedSharding(mesh, spec)), params, PARTITIONS)
    tokens = ct.device_put(x, ct.NamedSharding(mesh, P("expert")))
    value_e, grads_e = value_and_grad(make_mixture(mesh, capacity=here), divided, tokens)
    apart = max(
        float(cnp.abs(a - b).max()) for a, b in zip(*map(ct.tree.leaves, (grads, grads_e)), strict=True)
    )
    print(f"loss {float(value):.6f} by a loop over all experts, {float(value_e):.6f} over {DEVICES} devices")
    print(f"gradients differ by {apart:.1e} at most")
    for factor in (1.0, 2.0, 4.0):
        capacity = math.ceil(factor * here / EXPERTS)
        out = ct.jit(make_mixture(mesh, capacity))(divided, tokens)
        passed = int(cnp.sum(cnp.all(out == 0, axis=-1)))
        print(f"capacity {capacity:2d}, {factor} times a fair share: {passed} of {TOKENS} tokens passed by")
    return max(apart, abs(float(value) - float(value_e)))


def main() -> None:
    ct.config.update("num_cpu_devices", DEVICES)
    assert compare(ct.make_mesh((DEVICES,), ("expert",), axis_types=(ct.sharding.AxisType.Auto,))) < 1e-5


if __name__ == "__main__":
    main()
