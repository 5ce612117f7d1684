"""Portable artifacts at chosen versions, and bundles, whole and damaged."""

from __future__ import annotations

import datetime
import json
import random
import shutil

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import export, lax

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)


@pytest.fixture(scope="module")
def lowered():
    return ct.jit(lambda x: cnp.tanh(x) + lax.erf(x)).lower(X)


@pytest.mark.parametrize(
    "wanted, version",
    [
        ({"compatible_for": "2y"}, None),
        ({"compatible_for": "100w"}, None),
        ({"target_version": "1.0.0", "mixed": False}, "1.0.0"),
        ({"target_version": "0.9.0", "mixed": False}, "0.9.0"),
        ({}, None),
    ],
)
def test_versions(lowered, wanted, version):
    artifact = export.to_portable(lowered, **wanted)
    version = version or export.version_for(wanted.get("compatible_for", "12w"))
    minor = version.rpartition(".")[0]  # patches change nothing that is written
    assert f"StableHLO_v{minor}.".encode() in artifact[:40]
    np.testing.assert_allclose(export.from_stablehlo(artifact)(X), lowered.compile()(X), rtol=1e-6, atol=1e-6)


def test_the_promise_counts_from_release_dates():
    def version(age, *day):
        return export.version_for(age, today=datetime.date(*day))

    assert version("1y", 2025, 5, 20) == "1.0.0"
    assert version("1y", 2025, 8, 2) == "1.5.0"
    assert version("2y", 2026, 7, 1) == "1.1.0"
    assert version("2y", 2027, 1, 1) == "1.8.0"
    assert version("2y", 2040, 1, 1) == "1.13.0"  # the newest whose date is known
    with pytest.raises(ValueError, match="knows no version"):
        version("2y", 2024, 1, 1)


@pytest.mark.parametrize(
    "wanted, message",
    [
        ({"compatible_for": "3y"}, "up to 2 years old"),
        ({"compatible_for": "soon"}, "takes an age such as"),
        ({"target_version": "99.0.0"}, "writes StableHLO from 0.9.0"),
        ({"target_version": "1"}, "written like"),
        ({"target_version": "0.9.0"}, "has no 'composite'.*mixed=False"),
        ({"target_version": "1.0.0", "compatible_for": "2y"}, "not both"),
    ],
)
def test_versions_that_cannot_be(lowered, wanted, message):
    with pytest.raises(ValueError, match=message):
        export.to_portable(lowered, **wanted)


def test_captured_arrays_are_not_lost():
    captured = cnp.arange(3.0)
    with pytest.raises(ValueError, match="captures 1 arrays"):
        export.to_portable(ct.jit(lambda x: x + captured).lower(1.0))
    exported = export.export(ct.jit(lambda x: x + captured))(1.0)
    assert export.from_stablehlo(export.to_portable(exported))(1.0).tolist() == [1.0, 2.0, 3.0]
    assert "stablehlo.add" in export.to_text(exported)


# --- bundles --------------------------------------------------------------------------------------

WEIGHTS = {
    "layers": [{"w": np.ones((3, 2), np.float32), "b": np.zeros(2, np.float32)}],
    "scale": np.float32(2),
}


def model(weights, x, number):
    (layer,) = weights["layers"]
    y = cnp.tanh(x @ layer["w"] + layer["b"]) * weights["scale"]
    return {"y": y, "others": (x.sum(), number + 1)}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    for name in ("model", "model.zip"):
        export.save_bundle(
            folder / name, model, X, np.int32(3), weights=WEIGHTS, input_names=["x", "n"], compatible_for="2y"
        )
    return folder


@pytest.mark.parametrize("name", ["model", "model.zip"])
def test_a_bundle_comes_back(saved, name):
    bundle = export.load_bundle(saved / name)
    assert bundle.input_names == ("x", "n")
    assert [each["name"] for each in bundle.manifest["weights"]] == ["layers.0.b", "layers.0.w", "scale"]
    assert bundle.manifest["stablehlo_version"] == export.version_for("2y")
    want = model(WEIGHTS, X, 3)
    got = bundle(X, 3)
    ct.tree_util.tree_map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), want, got)
    grads = ct.grad(lambda w: bundle(X, 3, weights=w)["y"].sum())(bundle.weights)
    wanted = ct.grad(lambda w: model(w, X, 3)["y"].sum())(WEIGHTS)
    ct.tree_util.tree_map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), wanted, grads)


def test_others_can_read_the_files(saved):
    safetensors = pytest.importorskip("safetensors.numpy")
    weights = safetensors.load_file(saved / "model" / "weights.safetensors")
    np.testing.assert_array_equal(weights["layers.0.w"], WEIGHTS["layers"][0]["w"])
    golden = safetensors.load_file(saved / "model" / "golden.safetensors")
    np.testing.assert_array_equal(golden["inputs/x"], X)
    assert "stablehlo" in (saved / "model" / "module.mlir").read_text()


def test_symbolic_dimensions(tmp_path):
    specs = export.symbolic_args_specs((X,), "b, _")
    export.save_bundle(
        tmp_path / "m",
        lambda w, x: x @ w,
        X,
        weights=np.ones((3, 2), "f"),
        specs=specs,
        constraints=["b >= 1"],
    )
    bundle = export.load_bundle(tmp_path / "m")
    assert bundle.inputs[0]["shape"] == ["b", 3] and bundle.constraints == ("b >= 1",)
    assert bundle(np.ones((9, 3), np.float32)).shape == (9, 2)


FILES = ["manifest.json", "module.mlirbc", "module.mlir", "weights.safetensors", "golden.safetensors"]


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_are_named(saved, tmp_path, name):
    shutil.copytree(saved / "model", tmp_path, dirs_exist_ok=True)
    data = bytearray((tmp_path / name).read_bytes())
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(export.DamagedFile, match=name):
        export.load_bundle(tmp_path)
    data[len(data) // 3] ^= 0x55
    (tmp_path / name).write_bytes(data)
    with pytest.raises(export.DamagedFile, match=name):
        export.load_bundle(tmp_path)
    if name != "module.mlir":
        (tmp_path / name).unlink()
        with pytest.raises(export.DamagedFile, match=f"lacks {name}"):
            export.load_bundle(tmp_path)


def test_damage_that_checksums_do_not_show(saved, tmp_path):
    """Whatever a manifest says, the error is that of a damaged file, or the bundle is whole."""
    shutil.copytree(saved / "model", tmp_path, dirs_exist_ok=True)
    text = (tmp_path / "manifest.json").read_text()
    generator = random.Random(0)
    for _ in range(150):
        data = bytearray(text.encode())
        for _ in range(generator.randint(1, 3)):
            data[generator.randrange(len(data))] = generator.randrange(32, 127)
        (tmp_path / "manifest.json").write_bytes(data)
        try:
            export.load_bundle(tmp_path, verify=False)
        except export.DamagedFile:
            pass
    for key in json.loads(text):
        for value in (None, 7, "x", [], {}, [[]], {"module.mlirbc": 1}):
            (tmp_path / "manifest.json").write_text(json.dumps(json.loads(text) | {key: value}))
            try:
                export.load_bundle(tmp_path)
            except export.DamagedFile:
                pass
    (tmp_path / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(export.DamagedFile, match="is not JSON"):
        export.load_bundle(tmp_path)


def test_damaged_tensors_are_refused():
    from canter.export.tensor_files import read_tensors, write_tensors

    whole = write_tensors({"w": np.ones((3, 2), "f"), "b": np.arange(4), "c": np.complex64(1)})
    generator = random.Random(0)
    for round_ in range(2000):
        data = bytearray(whole if round_ % 4 else whole[: generator.randrange(len(whole))])
        for _ in range(round_ % 4):
            data[generator.randrange(80)] ^= 1 << generator.randrange(8)
        try:
            arrays = read_tensors(bytes(data), "weights")
        except export.DamagedFile:
            continue
        assert sum(x.nbytes for x in arrays.values()) <= len(whole)


def test_a_wrong_result_is_told(saved, tmp_path):
    shutil.copytree(saved / "model", tmp_path, dirs_exist_ok=True)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    weights = {"layers.0.b": np.ones(2, "f"), "layers.0.w": np.ones((3, 2), "f"), "scale": np.float32(2)}
    from canter.export.tensor_files import write_tensors

    (tmp_path / "weights.safetensors").write_bytes(write_tensors(weights))
    del manifest["files"]["weights.safetensors"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(export.DamagedFile, match="output 'y'"):
        export.load_bundle(tmp_path)
    assert export.load_bundle(tmp_path, verify=False).weights["layers"][0]["b"].tolist() == [1, 1]


def test_a_truncated_zip_is_told(saved, tmp_path):
    data = (saved / "model.zip").read_bytes()
    for size in range(0, len(data), 500):
        (tmp_path / "t.zip").write_bytes(data[:size])
        with pytest.raises(export.DamagedFile, match=r"t\.zip"):
            export.load_bundle(tmp_path / "t.zip")
    with pytest.raises(FileNotFoundError, match="no bundle at"):
        export.load_bundle(tmp_path / "nothing")


def test_bundles_refuse_other_trees(tmp_path):
    with pytest.raises(TypeError, match="strings as keys"):
        export.save_bundle(tmp_path / "m", lambda w, x: x, X, weights={1: X})
