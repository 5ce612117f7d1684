"""Compiled programs as bytes and files, and descriptions of hardware to compile for."""

import random

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter.experimental import serialize_executable, topologies
from canter.export.compiled_bytes import CompiledFormatError, describe_bytes, from_bytes, to_bytes
from canter_pjrt.plugins import Found
from canter_pjrt.topologies import GPUS, TopologyError, parse, target_config

Mesh, NamedSharding, P = ct.sharding.Mesh, ct.sharding.NamedSharding, ct.P


@pytest.fixture(scope="module")
def program():
    captured = np.arange(3, dtype=np.float32)

    def function(tree, key, *, scale):
        return {"sum": tree["x"] * scale + cnp.asarray(captured)}, ct.random.bits(key, (2,))

    arguments = ({"x": cnp.ones(3)}, ct.random.key(3)), {"scale": 2.0}
    compiled = ct.jit(function, donate_argnums=0).lower(*arguments[0], **arguments[1]).compile()
    return compiled, to_bytes(compiled), function


def test_program_runs_after_a_round_trip(program):
    compiled, data, function = program
    loaded = from_bytes(data)
    call = lambda f: f({"x": cnp.ones(3)}, ct.random.key(3), scale=5.0)
    (got, bits), (wanted, wanted_bits) = call(loaded), call(function)
    np.testing.assert_array_equal(got["sum"], wanted["sum"])
    np.testing.assert_array_equal(bits, wanted_bits)
    assert (loaded.in_tree, loaded.out_tree) == (compiled.in_tree, compiled.out_tree)
    assert loaded.in_avals == compiled.in_avals and loaded.fun_name == "function"
    assert str(loaded.args_info) == str(compiled.args_info)
    assert describe_bytes(data)["device_kind"] == "cpu"
    with pytest.raises(TypeError, match=r"compiled for f32\[3\], called with f32\[4\]"):
        loaded({"x": cnp.ones(4)}, ct.random.key(3), scale=5.0)


def test_program_runs_on_another_device(program):
    device = ct.devices()[5]
    result, _ = from_bytes(program[1], devices=[device])(
        {"x": np.ones(3, "float32")}, ct.random.key(0), scale=1.0
    )
    assert result["sum"].devices() == {device}


def test_structure_apart_as_in_jax(program):
    compiled, _, _ = program
    data, in_tree, out_tree = serialize_executable.serialize(compiled)
    with pytest.raises(CompiledFormatError, match="no structure"):
        from_bytes(data)
    loaded = serialize_executable.deserialize_and_load(data, in_tree, out_tree)
    assert loaded({"x": cnp.zeros(3)}, ct.random.key(3), scale=1.0)[0]["sum"].tolist() == [0, 1, 2]


def test_program_over_a_mesh():
    mesh = Mesh(np.array(ct.devices()).reshape(4, 2), ("x", "y"))
    shardings = NamedSharding(mesh, P("x", "y")), NamedSharding(mesh, P("y"))
    x, w = np.arange(32, dtype="float32").reshape(8, 4), np.ones((4, 6), "float32")
    compiled = ct.jit(cnp.matmul, in_shardings=shardings).lower(x, w).compile()
    data = to_bytes(compiled)
    for devices in (None, ct.devices()[::-1]):
        loaded = from_bytes(data, devices=devices)
        result = loaded(x, w)
        np.testing.assert_array_equal(result, x @ w)
        assert list(result.sharding.mesh.devices.flat) == list(devices or ct.devices())
    assert loaded.output_shardings.spec == compiled.output_shardings.spec
    with pytest.raises(CompiledFormatError, match="compiled for 8 devices; 4 are given"):
        from_bytes(data, devices=ct.devices()[:4])


def test_bad_bytes_are_told_from_good_ones(program):
    data = program[1]
    generator = random.Random(0)
    for _ in range(2000):
        damaged = bytearray(data)
        for _ in range(generator.randint(1, 3)):
            damaged[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        if generator.random() < 0.3:
            damaged = damaged[: generator.randrange(len(data))]
        if bytes(damaged) != data:
            with pytest.raises(CompiledFormatError, match=r"damaged|no program that Canter"):
                from_bytes(bytes(damaged))


def test_bytes_for_something_else(program, monkeypatch):
    from canter.export import compiled_bytes

    monkeypatch.setattr(compiled_bytes, "_machine", lambda device: "another")
    with pytest.raises(CompiledFormatError, match="Another version"):
        from_bytes(program[1])
    monkeypatch.setattr(compiled_bytes, "platform_of", lambda device: "tpu")
    with pytest.raises(CompiledFormatError, match=r"compiled for cpu \(cpu\) and cannot run on cpu \(tpu\)"):
        from_bytes(program[1])


def test_program_with_callbacks_is_refused():
    def function(x):
        ct.debug.print("{}", x)
        return x

    with pytest.raises(ValueError, match="calls back into this Python process"):
        to_bytes(ct.jit(function).lower(1.0).compile())


def test_file(program, tmp_path):
    path = tmp_path / "program.compiled"
    ct.export.save_compiled(program[0], path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["program.compiled"]
    assert ct.export.load_compiled(path)({"x": cnp.zeros(3)}, ct.random.key(3), scale=1.0)[0]["sum"][2] == 2


def test_compile_for_devices_that_are_here():
    here = topologies.get_attached_topology("cpu")
    struct = ct.ShapeDtypeStruct((3,), np.float32)
    exported = ct.export.export(ct.jit(cnp.sin))(struct)
    for compiled in (
        ct.export.compile_for(cnp.sin, here, struct),
        ct.export.compile_for(ct.jit(cnp.sin).trace(struct), here),
        ct.export.compile_for(exported, here),
    ):
        np.testing.assert_allclose(compiled(cnp.ones(3)), np.sin(np.ones(3)), rtol=1e-6)
    with pytest.raises(TypeError, match="has the types of its arguments already"):
        ct.export.compile_for(exported, here, struct)


def test_mesh_moves_to_other_devices():
    devices = ct.devices()
    mesh = Mesh(np.array(devices[:2]), ("x",))
    lowered = ct.jit(lambda x: x * 2, in_shardings=NamedSharding(mesh, P("x"))).lower(np.ones(4, "float32"))
    compiled = lowered.compile(topology=topologies.TopologyDescription(devices[4:]))
    assert compiled(np.ones(4, "float32")).devices() == set(devices[4:6])
    with pytest.raises(ValueError, match="runs on 2 devices and the topology has 1"):
        lowered.compile(topology=topologies.TopologyDescription(devices[:1]))
    with pytest.raises(TypeError, match="topology takes text"):
        lowered.compile(topology=3)
    with pytest.raises(ValueError, match="not both"):
        lowered.compile(topology="tpu:v5e:1x1", device_assignment=devices[:2])


@pytest.mark.parametrize(
    "text, parsed",
    [
        ("tpu:v5e:4x4", ("tpu", "v5e:4x4", {})),
        ("v4:2x2", ("tpu", "v4:2x2x1", {})),
        ("tpu:v7x:2x2x1", ("tpu", "tpu7x:2x2x1", {})),
        ("TPU:V6e", ("tpu", "v6e:1x1", {})),
    ],
)
def test_descriptions_of_tpus(text, parsed):
    assert parse(text) == parsed


@pytest.mark.parametrize(
    "text, shape", [("cuda:h100:8", "1x1x8"), ("gpu:A100", "1x1x1"), ("cuda:l4:2x8", "1x2x8")]
)
def test_descriptions_of_gpus(text, shape, tmp_path):
    platform, name, options = parse(text)
    assert (platform, name, options["topology"]) == ("cuda", "", shape)
    path = tmp_path / "own.txtpb"
    path.write_text(target_config(GPUS["h100"]))
    assert parse(f"cuda:{path}:{shape}")[2] == {"target_config": path.read_text(), "topology": shape}
    assert parse(path.read_text())[2]["topology"] == "1x1x1"


@pytest.mark.parametrize(
    "text", ["", "mars:4", "tpu:v9:2x2", "tpu:v5e:4by4", "cuda:h900:8", "cuda:h100:x", "cuda"]
)
def test_descriptions_of_nothing(text):
    with pytest.raises(TopologyError):
        parse(text)


def test_platform_without_its_plugin_names_the_command(monkeypatch):
    from canter_pjrt import accelerators

    monkeypatch.setattr(accelerators, "find", lambda: Found(()))
    lowered = ct.jit(cnp.sin).lower(1.0)
    with pytest.raises(RuntimeError, match=r"pip install 'canter\[tpu\]'"):
        lowered.compile(topology="tpu:v5e:2x2")
    with pytest.raises(RuntimeError, match=r"pip install 'canter\[cuda13\]'"):
        topologies.get_topology_desc("h100:8", "cuda")
    with pytest.raises(NotImplementedError, match="not implemented for cpu"):
        topologies.get_topology_desc("", "cpu")
