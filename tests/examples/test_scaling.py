"""The example on many devices: the same losses, and checkpoints that go from mesh to mesh."""

import importlib
import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

import canter as ct

MESHES = ["data=1", "data=4,model=2", "fsdp=8", "data=2,fsdp=2,model=2"]
SIZE = importlib.import_module("train_lm").Size(layers=1, width=16, heads=2, context=16, batch=8)
TEXT = np.random.default_rng(0).integers(0, 8, 2000).astype(np.uint8)
CLOSE = {"rtol": 0, "atol": 1e-4}


@pytest.fixture(scope="module")
def learn(example, tmp_path_factory):
    """A function that trains a very small model on a mesh: what `learn` of the example gives, and its folder."""
    size, text = SIZE, TEXT.astype(np.int32)

    def run(mesh: str, *more: str):
        folder = tmp_path_factory.mktemp("out")
        options = example.parse_options(["--steps", "20", "--mesh", mesh, *more])
        with ct.set_mesh(example.devices.make_mesh(options.mesh)):
            return *example.learn(options, size, text, folder), folder

    return run


@pytest.fixture(scope="module")
def on_one(learn):
    return learn("data=1")


@pytest.fixture(scope="module")
def on_eight(learn):
    return learn("data=4,model=2", "--save-every", "10")


def test_the_losses_do_not_depend_on_the_mesh(on_one, on_eight):
    for losses, expected in zip(on_eight[1:3], on_one[1:3], strict=True):
        assert list(losses) == list(expected)
        np.testing.assert_allclose(list(losses.values()), list(expected.values()), **CLOSE)
    assert on_one[2][20] < on_one[2][0] - 0.5  # it learns
    qkv = on_eight[0]["layers"]["qkv"]
    assert qkv.sharding.spec == ct.P(None, "fsdp", "model")
    assert {shard.data.shape for shard in qkv.addressable_shards} == {(1, 16, 24)}


@pytest.mark.parametrize("mesh", ["fsdp=8", "data=1"])
def test_a_checkpoint_is_restored_on_another_mesh(learn, on_eight, mesh):
    params, train, validation, _ = learn(mesh, "--restore", str(on_eight[3] / "step-10"))
    assert list(validation) == [10, *[step for step in on_eight[2] if step > 10]]
    for losses, expected in ((train, on_eight[1]), (validation, on_eight[2])):
        for step, value in losses.items():
            assert value == pytest.approx(expected[step], abs=1e-4)
    ct.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-3), params, on_eight[0])


def tree_on(mesh, *specs):
    values = {
        "a": np.arange(64, dtype=np.float32).reshape(8, 8),
        "b": {"c": np.arange(8, dtype=np.int32)},
        "d": np.float32(3),
    }
    values["b"]["e"] = values["a"].astype(ct.numpy.bfloat16)
    specs = dict(zip("ace", specs, strict=True))
    named = {"a": specs["a"], "b": {"c": specs["c"], "e": specs["e"]}, "d": ct.P()}
    return ct.device_put(values, ct.tree.map(lambda spec: ct.NamedSharding(mesh, spec), named))


def test_every_layout_leads_to_every_other(example, tmp_path):
    checkpoint, P = example.checkpoint, ct.P
    layouts = [
        tree_on(example.devices.make_mesh(example.devices.parse_mesh(mesh)), *specs)
        for mesh, specs in zip(
            MESHES,
            [
                (P(), P(), P()),
                (P("data", "model"), P("model"), P(("model", "data"))),
                (P(None, "fsdp"), P("fsdp"), P("fsdp")),
                (P(("fsdp", "data"), "model"), P(("data", "model")), P(None, "data")),
            ],
            strict=True,
        )
    ]
    for number, saved in enumerate(layouts):
        checkpoint.save(tmp_path / "c", saved, number)  # each in place of the one before
        assert checkpoint.step_of(tmp_path / "c") == number
        for like in layouts:
            loaded = checkpoint.load(tmp_path / "c", like)
            for got, wanted in zip(ct.tree.leaves(loaded), ct.tree.leaves(like), strict=True):
                assert got.sharding == wanted.sharding and got.dtype == wanted.dtype
                np.testing.assert_array_equal(got, wanted)
    files = {path.name for path in (tmp_path / "c").iterdir()}
    assert len(files) == 1 + 8 + 4 + 2 + 1, "the files of the checkpoints before are gone"


def test_a_save_that_dies_leaves_what_was_there(example, tmp_path, monkeypatch):
    checkpoint = example.checkpoint
    old, new = {"x": ct.numpy.arange(4)}, {"x": ct.numpy.arange(4) + 1}
    checkpoint.save(tmp_path / "c", old, 1)

    def die(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.os, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(tmp_path / "c", new, 2)
    assert checkpoint.step_of(tmp_path / "c") == 1
    np.testing.assert_array_equal(checkpoint.load(tmp_path / "c", old)["x"], old["x"])
    checkpoint.save(tmp_path / "c", new, 3)
    np.testing.assert_array_equal(checkpoint.load(tmp_path / "c", old)["x"], new["x"])
    assert len(list((tmp_path / "c").iterdir())) == 2


def test_checkpoints_that_do_not_fit(example, tmp_path):
    checkpoint = example.checkpoint
    checkpoint.save(tmp_path, {"x": ct.numpy.arange(4)}, 1)
    with pytest.raises(ValueError, match="other arrays: y"):
        checkpoint.load(tmp_path, {"x": ct.numpy.arange(4), "y": ct.numpy.arange(4)})
    with pytest.raises(ValueError, match=r"x as int32\[4\], not int32\[5\]"):
        checkpoint.load(tmp_path, {"x": ct.numpy.arange(5)})
    index = json.loads((tmp_path / "index.json").read_text())
    index["arrays"]["x"]["blocks"] = []
    (tmp_path / "index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="lacks parts of an array"):
        checkpoint.load(tmp_path, {"x": ct.numpy.arange(4)})


def test_two_processes_train_as_one_does(example, on_eight, tmp_path):
    pytest.importorskip("matplotlib", reason="the demo draws with matplotlib: pip install 'canter[demo]'")
    (tmp_path / "text").write_bytes(TEXT.tobytes())
    options = ["--size", "tiny", "--steps", "20", "--save-every", "10", "--data", tmp_path / "text"]
    devices = ["--processes", "2", "--mesh", "data=2,model=2", "--output", tmp_path / "out"]
    program = pathlib.Path(__file__).with_name("smaller.py")
    done = subprocess.run(
        [sys.executable, program, *options, *devices], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    said = dict(re.findall(r"step +(\d+) .*validation loss (\d+\.\d+)", done.stdout))
    assert {int(step): float(value) for step, value in said.items()} == pytest.approx(on_eight[2], abs=1e-3)
    start = example.make_starter(SIZE, example.AdamW(total_steps=20))
    with ct.set_mesh(example.devices.make_mesh(example.devices.parse_mesh("data=1"))):
        shapes = ct.eval_shape(start, ct.random.key(0))
        like = example.laid_out(shapes, (example.PARTITIONS, example.MOMENTS))
        for step in ("step-10", "step-20"):
            expected = example.checkpoint.load(on_eight[3] / step, like)
            got = example.checkpoint.load(tmp_path / "out" / step, like)
            ct.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **CLOSE), got, expected)
