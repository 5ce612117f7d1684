"""examples/run_artifact.c: an exported program runs without Python, through the PJRT C API of a plugin."""

import importlib.util
import pathlib
import shutil
import subprocess

import ml_dtypes
import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import nn
from canter_mlir import portable

SOURCE = pathlib.Path(__file__).parents[2] / "examples" / "run_artifact.c"
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def plugin_folder() -> pathlib.Path | None:
    """Where the wheel xla-cpu-pjrt is: its package is found, not imported."""
    try:
        spec = importlib.util.find_spec("xla_plugins.xla_cpu_pjrt")
    except ModuleNotFoundError:
        return None
    return pathlib.Path(spec.origin).parent if spec and spec.origin else None


FOLDER = plugin_folder()
pytestmark = [
    pytest.mark.skipif(COMPILER is None, reason="no C compiler on this machine"),
    pytest.mark.skipif(FOLDER is None, reason="no plugin to run on: pip install xla-cpu-pjrt"),
]


def model(x, params, count):
    hidden = nn.gelu(x @ params["w"] + params["b"])
    return {
        "class": cnp.argmax(hidden, axis=1),
        "count": count + 1,
        "hidden": hidden,
        "positive": hidden > 0,
        "short": hidden.astype(cnp.bfloat16),
        "sum": hidden.sum(),
        "turned": cnp.exp(1j * x[:, :1]),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The program, built; the model as text and as portable bytecode; its inputs."""
    folder = tmp_path_factory.mktemp("artifact")
    command = [COMPILER, "-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-I", FOLDER / "include", SOURCE]
    subprocess.run([*command, "-ldl", "-o", folder / "run_artifact"], check=True, timeout=60)
    source = np.random.default_rng(0)
    x, w = (source.normal(size=shape).astype(np.float32) for shape in [(2, 3), (3, 5)])
    b, count = np.linspace(-1, 1, 5).astype(ml_dtypes.bfloat16), np.int32(41)
    lowered = ct.jit(model).lower(x, {"w": w, "b": b}, count)
    (folder / "model.mlir").write_text(lowered.as_text())
    artifact = portable.module_to_portable_artifact(lowered.compiler_ir())
    (folder / "model.bc").write_bytes(artifact)
    for name, value in {"x": x, "w": w, "b": b, "count": count}.items():
        np.save(folder / f"{name}.npy", value)
    (folder / "not-a-plugin.so").write_bytes(b"nothing")
    np.save(folder / "text.npy", np.array(["words"]))
    np.save(folder / "column.npy", np.asfortranarray(x))
    (folder / "short.npy").write_bytes((folder / "x.npy").read_bytes()[:-4])
    return folder


def run(folder, *arguments, plugin=None, program="model.bc"):
    plugin = plugin or FOLDER / "xla_cpu_pjrt.so"
    command = [folder / "run_artifact", plugin, program, "out", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


INPUTS = ("x.npy", "b.npy", "w.npy", "count.npy")  # leaves of a dictionary come in the order of their keys


@pytest.mark.parametrize("program", ["model.bc", "model.mlir"])
def test_results_are_those_of_the_model(folder, program):
    done = run(folder, *INPUTS, program=program)
    assert (done.returncode, done.stderr) == (0, "")
    x, b, weights, count = (np.load(folder / name) for name in INPUTS)
    expected = model(x, {"w": weights, "b": b.view(ml_dtypes.bfloat16)}, count)
    assert done.stdout.split() == [f"out{index}.npy" for index in range(len(expected))]
    for index, (name, value) in enumerate(sorted(expected.items())):
        value, got = np.asarray(value), np.load(folder / f"out{index}.npy")
        if value.dtype == ml_dtypes.bfloat16:
            got, value = got.view(value.dtype).astype(np.float32), value.astype(np.float32)
        assert (got.dtype, got.shape) == (value.dtype, value.shape), name
        np.testing.assert_allclose(
            got, value, rtol=1e-2 if name == "short" else 1e-5, atol=1e-6, err_msg=name
        )


MISTAKES = {
    "too few inputs": (["x.npy"], {}, "supplied 1 buffers but compiled program expected 4"),
    "a wrong size": (["w.npy", *INPUTS[1:]], {}, "expected parameter 0 of size 24"),
    "no such input": (["y.npy", *INPUTS[1:]], {}, "cannot read y.npy"),
    "a cut input": (["short.npy", *INPUTS[1:]], {}, "short.npy: 20 bytes where its shape needs 24"),
    "Fortran's order": (["column.npy", *INPUTS[1:]], {}, "column.npy is in Fortran's order"),
    "an unknown type": (["text.npy"], {}, "text.npy: its dtype is not one of XLA's"),
    "no file of numpy.save": (["model.mlir"], {}, "model.mlir is not a file of numpy.save"),
    "no such program": ([], {"program": "nothing.bc"}, "cannot read nothing.bc"),
    "no program": ([], {"program": "x.npy"}, "PJRT_Client_Compile: "),
    "no such plugin": ([], {"plugin": "nothing.so"}, "nothing.so"),
    "no plugin": ([], {"plugin": "./not-a-plugin.so"}, "not-a-plugin.so"),
}


@pytest.mark.parametrize("inputs, options, message", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_end_with_a_message(folder, inputs, options, message):
    done = run(folder, *inputs, **options)
    assert done.returncode == 1
    assert done.stderr.startswith("run_artifact: ")
    assert message in done.stderr
