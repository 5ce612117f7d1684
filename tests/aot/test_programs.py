"""Whole programs compile for 16 TPUs and 8 GPUs, alone and split, with the communication expected."""

import re

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from benchmarks.frameworks import load
from benchmarks.workloads.gpt import array_step, batch_of, initial_params, initial_state
from canter import lax, nn
from canter.experimental import topologies
from canter.export.compiled_bytes import CompiledFormatError, describe_bytes, from_bytes, to_bytes

NamedSharding, P = ct.sharding.NamedSharding, ct.P
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")


def collectives(compiled):
    """Which kinds of communication the compiled program has, started apart or not, or within a fusion."""
    text = compiled.as_text()
    return {kind for kind in COLLECTIVES if re.search(rf"\b{kind}(-start)?(\.\d+)?\(|= .*{kind}", text)}


def gpt():
    api = load("canter")
    params = initial_params(layers=2, width=64, context=32)
    arguments = params, initial_state(api, params), batch_of(16, 32)
    structs = ct.tree.map(lambda x: ct.ShapeDtypeStruct(np.shape(x), np.asarray(x).dtype), arguments)
    return array_step(api, heads=4), structs


def mesh_of(topology, *axes):
    return topologies.make_mesh(topology, tuple(size for _, size in axes), tuple(name for name, _ in axes))


def on(mesh, structs, spec):
    """The structs with a sharding each: `spec(shape)` says along which axes."""
    place = lambda s: ct.ShapeDtypeStruct(s.shape, s.dtype, sharding=NamedSharding(mesh, spec(s.shape)))
    return ct.tree.map(place, structs)


def test_train_step_on_one_device(topology):
    step, structs = gpt()
    compiled = ct.jit(step, donate_argnums=(0, 1)).lower(*structs).compile(topology=topology)
    assert collectives(compiled) == set()
    assert compiled.memory_analysis().alias_size_in_bytes > 1000  # donated memory is used again


def test_train_step_with_split_data(topology):
    step, (params, state, tokens) = gpt()
    mesh = mesh_of(topology, ("data", len(topology.devices)))
    everywhere = lambda shape: P()
    arguments = (
        on(mesh, params, everywhere),
        on(mesh, state, everywhere),
        on(mesh, tokens, lambda s: P("data")),
    )
    compiled = ct.jit(step, donate_argnums=(0, 1)).lower(*arguments).compile()
    assert "all-reduce" in collectives(compiled)  # of the gradients
    placed = ct.tree.leaves(compiled.input_shardings)
    assert {sharding.mesh for sharding in placed} == {mesh}


def test_train_step_with_split_parameters(topology):
    step, (params, state, tokens) = gpt()
    mesh = mesh_of(topology, ("data", 4), ("model", len(topology.devices) // 4))
    split = lambda shape: P("data") if len(shape) == 2 and shape[0] % 4 == 0 else P()
    arguments = on(mesh, params, split), on(mesh, state, split), on(mesh, tokens, lambda s: P("data"))
    outs = ct.tree.map(lambda s: s.sharding, (arguments[0], arguments[1])), NamedSharding(mesh, P())
    shardings = (*outs[0], outs[1])
    compiled = ct.jit(step, donate_argnums=(0, 1), out_shardings=shardings).lower(*arguments).compile()
    found = collectives(compiled)
    assert "all-gather" in found and found & {"reduce-scatter", "all-reduce"}, found
    assert compiled.output_shardings[0]["tokens"].spec == P("data")


def test_tensor_parallel_products(topology):
    mesh = mesh_of(topology, ("model", len(topology.devices)))

    def layer(x, up, down):
        return nn.relu(x @ up) @ down

    x, up, down = (ct.ShapeDtypeStruct(shape, np.float32) for shape in ((32, 64), (64, 256), (256, 64)))
    shardings = (
        NamedSharding(mesh, P()),
        NamedSharding(mesh, P(None, "model")),
        NamedSharding(mesh, P("model")),
    )
    lowered = ct.jit(layer, in_shardings=shardings, out_shardings=shardings[0]).lower(x, up, down)
    assert "all-reduce" in collectives(lowered.compile())


def test_collectives_of_shard_map(topology):
    mesh = mesh_of(topology, ("x", 4), ("y", len(topology.devices) // 4))  # of a TPU each along its torus

    def local(x):
        gathered = lax.all_gather(x, "x", tiled=True)
        scattered = lax.psum_scatter(gathered * x[0], "x", tiled=True)
        moved = lax.ppermute(scattered, "x", [(i, (i + 1) % 4) for i in range(4)])
        return lax.psum(moved, "x"), lax.all_to_all(gathered, "x", 0, 0, tiled=True)

    function = ct.shard_map(local, mesh=mesh, in_specs=P("x"), out_specs=(P(), P("x")), check_vma=False)
    x = ct.ShapeDtypeStruct((512, 512), np.float32, sharding=NamedSharding(mesh, P("x")))
    assert collectives(ct.jit(function).lower(x).compile()) == set(COLLECTIVES)


def test_mesh_of_cpus_moves_to_the_topology(topology):
    mesh = ct.sharding.Mesh(np.array(ct.devices()[:8]).reshape(4, 2), ("a", "b"))

    def function(x, w):
        hidden = lax.with_sharding_constraint(cnp.tanh(x @ w), NamedSharding(mesh, P("a", None)))
        return hidden.sum()

    shardings = NamedSharding(mesh, P("a", "b")), NamedSharding(mesh, P("b"))
    structs = (ct.ShapeDtypeStruct(shape, np.float32) for shape in ((64, 32), (32, 16)))
    lowered = ct.jit(function, in_shardings=shardings).lower(*structs)
    compiled = lowered.compile(topology=topology)
    assert "all-reduce" in collectives(compiled)
    assert compiled.input_shardings[0][0].mesh.devices.flat[0].platform != "cpu"


def conv_net(params, images, labels):
    x = images
    for kernel, bias in params["convs"]:
        x = lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = nn.relu(x + bias)
        x = lax.reduce_window(x, -cnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    logits = x.reshape(x.shape[0], -1) @ params["dense"]
    return -cnp.mean(cnp.take_along_axis(nn.log_softmax(logits), labels[:, None], -1))


@pytest.mark.parametrize("split", [False, True], ids=["alone", "split"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_conv_net(topology, split, dtype):
    shape = lambda *sizes: ct.ShapeDtypeStruct(
        sizes, np.dtype("float32") if dtype == "float32" else cnp.bfloat16
    )
    params = {
        "convs": [(shape(3, 3, 3, 16), shape(16)), (shape(3, 3, 16, 32), shape(32))],
        "dense": shape(4 * 4 * 32, 10),
    }
    data = shape(16, 16, 16, 3), ct.ShapeDtypeStruct((16,), np.int32)
    step = ct.jit(ct.value_and_grad(conv_net))
    if split:
        mesh = mesh_of(topology, ("data", len(topology.devices)))
        params, data = on(mesh, params, lambda s: P()), on(mesh, data, lambda s: P("data"))
        assert "all-reduce" in collectives(step.lower(params, *data).compile())
    else:
        text = step.lower(params, *data).compile(topology=topology).as_text()
        assert "conv" in text


def test_random_numbers(topology):
    def draw(key):
        keys = ct.random.split(key, 8)
        random = ct.random
        return (
            random.normal(keys[0], (64,)), random.randint(keys[1], (8,), 0, 100), random.gamma(keys[2], 2.0, (4,)),
            random.categorical(keys[3], cnp.zeros((4, 5))), random.permutation(keys[4], 16),
            random.bernoulli(keys[5], 0.3, (4,)), random.truncated_normal(keys[6], -1.0, 1.0, (4,)),
            random.choice(keys[7], 10, (3,)),
        )  # fmt: skip

    for impl in ("threefry2x32", "rbg"):
        key = ct.eval_shape(lambda impl=impl: ct.random.key(0, impl=impl))
        ct.jit(draw).lower(key).compile(topology=topology)


def test_saved_for_hardware_that_is_elsewhere(topology):
    count = len(topology.devices)
    mesh = mesh_of(topology, ("x", count))
    x = ct.ShapeDtypeStruct((count, 4), np.float32, sharding=NamedSharding(mesh, P("x")))
    compiled = ct.jit(lambda x: cnp.sin(x).sum()).lower(x).compile()
    with pytest.raises(RuntimeError, match=r"was compiled for .*cannot be called here"):
        compiled(np.ones((count, 4), np.float32))
    data = to_bytes(compiled)
    facts = describe_bytes(data)
    assert (facts["platform"], facts["devices"]) == (topology.platform, count)
    with pytest.raises(RuntimeError, match="cannot be started"):
        from_bytes(data)  # there is no such hardware here
    with pytest.raises(CompiledFormatError, match="cannot run on cpu"):
        from_bytes(data, "cpu")


def test_exported_program(topology):
    struct = ct.ShapeDtypeStruct((8,), np.float32)
    exported = ct.export.export(ct.jit(cnp.sin), platforms=["tpu", "cuda"])(struct)
    assert "sine" in ct.export.compile_for(exported, topology).as_text()


def test_bad_options_and_callbacks(topology):
    lowered = ct.jit(cnp.sin).lower(1.0)
    with pytest.raises(ValueError, match="no option 'xla_nonsense'"):
        lowered.compile({"xla_nonsense": True}, topology=topology)

    def chatty(x):
        ct.debug.print("{}", x)
        return x

    with pytest.raises((NotImplementedError, ValueError), match="allback"):
        ct.jit(chatty).lower(1.0).compile(topology=topology)
