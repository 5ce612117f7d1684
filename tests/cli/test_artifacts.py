"""`canter export`, `inspect`, `run`: from a function in a file to its results, and what users get wrong on the way."""

import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

from canter.cli import artifact, main, signature
from canter.cli.signature import ArraySpec

MODEL = """
import canter as ct
import canter.numpy as cnp

FACTOR = 2.0

def predict(params, x, *, scale):
    return {"rows": x.shape[0], "y": cnp.tanh(x @ params["w"]) * scale}

def halves(x):
    return x.astype(cnp.bfloat16) / 2, x > 1

@ct.jit
def noise(key, size):
    return ct.random.normal(key, (3,)) * size

def wrong(x):
    return x @ cnp.ones(7)

def layer(params, x):
    return cnp.tanh(x @ params["w"] + params["inner"]["b"])

class Net:
    @staticmethod
    def double(x):
        return x * FACTOR
"""


def run(capsys, *arguments):
    """Runs a command in this process: (exit code, what it printed, what it complained of)."""
    code = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def wrote(capsys, *arguments):
    """What a command that succeeds prints, as the data of its JSON."""
    code, printed, complaint = run(capsys, *arguments, "--json")
    assert (code, complaint) == (0, "")
    return json.loads(printed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a module of functions, arrays, and artifacts of every kind."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "model.py").write_text(MODEL)
    (folder / "fails.py").write_text("import no_such_module_anywhere\n")
    np.save(folder / "w.npy", np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4))
    np.save(folder / "x.npy", np.arange(6, dtype=np.float32).reshape(2, 3))
    np.save(folder / "one.npy", np.ones((1, 3), np.float32))
    np.save(folder / "wide.npy", np.ones((2, 3)))
    np.savez(
        folder / "weights.npz", **{"w": np.load(folder / "w.npy"), "inner/b": np.arange(4, dtype=np.float32)}
    )
    types = ("--args", "{w: f32[3,4]}, f32[2,3]", "--kwargs", "scale: f32")
    source = f"{folder / 'model.py'}"
    for suffix in ("canter", "bc", "mlir"):
        assert main(["export", f"{source}:predict", *types, "-o", str(folder / f"model.{suffix}")]) == 0
    opened = ("--args", "{w: f32[k,4]}, f32[b,k]", "--kwargs", "scale: f32", "--constraint", "b >= 2")
    assert main(["export", f"{source}:predict", *opened, "-o", str(folder / "open.canter")]) == 0
    for name, arguments in {"halves": "f32[3]", "noise": "key, f32"}.items():
        platforms = ("--platforms", "cpu,tpu") if name == "noise" else ()
        command = ["export", f"{source}:{name}", "--args", arguments, *platforms]
        assert main([*command, "-o", str(folder / f"{name}.canter")]) == 0
    return folder


def expected(x, w, scale):
    return np.tanh(x @ w) * np.float32(scale)


# --- export and run ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["canter", "bc", "mlir", "open"])
def test_an_artifact_gives_what_the_function_gives(capsys, folder, tmp_path, kind):
    path = folder / ("open.canter" if kind == "open" else f"model.{kind}")
    arguments = ("--input", folder / "w.npy", "--input", f"1={folder / 'x.npy'}", "--input", "1.5")
    code, _, complaint = run(capsys, "run", path, *arguments, "-o", tmp_path / "out.npz")
    assert (code, complaint) == (0, "")
    with np.load(tmp_path / "out.npz") as results:
        found = {name: results[name] for name in results.files}
    assert set(found) == {"result['rows']", "result['y']"}
    y = expected(np.load(folder / "x.npy"), np.load(folder / "w.npy"), 1.5)
    np.testing.assert_allclose(found["result['y']"], y, rtol=1e-5)
    assert found["result['rows']"] == 2


def test_results_of_several_files_and_of_other_dtypes(capsys, folder, tmp_path):
    command = ("run", folder / "halves.canter", "-i", "[1, 2, 3]")
    assert run(capsys, *command, "-o", tmp_path / "a.npy", "-o", tmp_path / "b.npy")[0] == 0
    halves = np.load(tmp_path / "a.npy").view(ml_dtypes.bfloat16)  # the file knows them as two bytes
    np.testing.assert_array_equal(halves.astype(np.float32), [0.5, 1, 1.5])
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), [False, True, True])
    _, printed, _ = run(capsys, *command)
    assert printed == "result[0]: bf16[3] [0.5, 1, 1.5]\nresult[1]: bool[3] [False, True, True]\n"


def test_a_random_key_is_given_by_its_seed(capsys, folder):
    import canter as ct

    found = wrote(capsys, "run", folder / "noise.canter", "-i", "7", "-i", "2")["results"][0]
    values = np.array(found["values"])
    np.testing.assert_allclose(values, ct.random.normal(ct.random.key(7), (3,)) * 2, rtol=1e-4)


def test_inputs_from_an_npz_and_cast(capsys, folder, tmp_path):
    names = {"0['w']": np.load(folder / "w.npy"), "scale": np.float32(1), "1": np.load(folder / "wide.npy")}
    np.savez(tmp_path / "inputs.npz", **names)
    code, _, complaint = run(capsys, "run", folder / "model.canter", "-i", tmp_path / "inputs.npz")
    assert code == 1 and "input 1 is f64, the program takes f32[2,3]; --cast converts it" in complaint
    code, printed, _ = run(capsys, "run", folder / "model.canter", "-i", tmp_path / "inputs.npz", "--cast")
    assert code == 0 and printed.startswith("result['rows']: i32 2")


@pytest.mark.smoke
def test_as_processes_in_a_folder(folder):
    """A module found in the current folder, through the shell's eyes."""
    command = [sys.executable, "-m", "canter"]
    export = [*command, "export", "model:Net.double", "--args", "f32[b]", "-o", "double.canter"]
    done = subprocess.run(export, cwd=folder, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1] == "double(0: f32[b]) -> f32[b]"
    (folder / "elsewhere").mkdir()
    running = [*command, "run", "../double.canter", "-i", "[1, 2.5]"]
    done = subprocess.run(running, cwd=folder / "elsewhere", capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "result: f32[2] [2., 5.]\n", "")


# --- weights, bundles, compiled programs -----------------------------------------------------------


@pytest.fixture(scope="module")
def layers(folder):
    """The function `layer` with its weights, as a bundle in a folder and in a file, and compiled."""
    command = ["export", f"{folder / 'model.py'}:layer", "--weights", str(folder / "weights.npz")]
    closed = [*command, "--args", "f32[2,3]", "--compatible-for", "2y"]
    assert main([*closed, "-o", f"{folder / 'layer'}/"]) == 0
    assert main([*closed, "-o", str(folder / "layer.zip")]) == 0
    assert main([*command, "--args", "f32[b,3]", "-o", str(folder / "layer.canter")]) == 0
    compiling = ["compile", str(folder / "layer.zip"), "--for", "cpu", "-o", str(folder / "layer.compiled")]
    assert main(compiling) == 0
    return folder


@pytest.mark.parametrize("name", ["layer", "layer.zip", "layer.canter", "layer.compiled"])
def test_weights_go_with_the_program(capsys, layers, name):
    (found,) = wrote(capsys, "run", layers / name, "-i", layers / "x.npy")["results"]
    x, w = np.load(layers / "x.npy"), np.load(layers / "w.npy")
    values = np.array(found["values"])
    np.testing.assert_allclose(values, np.tanh(x @ w + np.arange(4)), atol=1e-5)


def test_a_bundle_is_inspected_and_verified(capsys, layers, tmp_path):
    assert wrote(capsys, "inspect", layers / "layer", "--text")["text"].startswith("module @")
    data = wrote(capsys, "inspect", layers / "layer", "--verify")
    assert data["verified"] is True
    assert (data["kind"], data["function"], data["inputs"]) == (
        "bundle",
        "layer",
        [{"name": "0", "type": "f32[2,3]"}],
    )
    assert data["weights"] == [{"name": "inner.b", "type": "f32[4]"}, {"name": "w", "type": "f32[3,4]"}]
    assert data["bytes"] == sum(path.stat().st_size for path in (layers / "layer").iterdir())
    shutil.copytree(layers / "layer", tmp_path / "changed")
    with open(tmp_path / "changed" / "weights.safetensors", "ab") as file:
        file.write(b"x")
    code, _, complaint = run(capsys, "inspect", tmp_path / "changed")
    assert code == 1 and "weights.safetensors is damaged" in complaint


def test_bundles_of_keywords_and_open_sizes(capsys, folder):
    (folder / "scaled.py").write_text(
        "def scaled(tree, *, scale, shift=0.0):\n    return {'y': (tree['x'] * scale + shift, tree['x'].sum(0))}\n"
    )
    command = ["export", folder / "scaled.py:scaled", "--args", "{x: f32[2*b,3]}", "--constraint", "b >= 4"]
    at = folder / "scaled.zip"
    wrote(capsys, *command, "--kwargs", "scale: f32, shift: f32[3]", "-o", at)
    data = wrote(capsys, "inspect", at, "--verify")
    assert [one["name"] for one in data["inputs"]] == ["0.x", "scale", "shift"]
    assert [one["type"] for one in data["outputs"]] == ["f32[2*b,3]", "f32[3]"]
    assert data["constraints"] == ["b >= 4"]
    np.save(folder / "rows.npy", np.ones((10, 3), np.float32))
    np.save(folder / "shift.npy", np.arange(3, dtype=np.float32))
    given = ["-i", folder / "rows.npy", "-i", "scale=2", "-i", f"shift={folder / 'shift.npy'}"]
    first, second = wrote(capsys, "run", at, *given)["results"]
    np.testing.assert_allclose(first["values"], np.tile([2.0, 3, 4], (10, 1)))
    np.testing.assert_allclose(second["values"], [10, 10, 10])


def test_compile_tells_memory_and_cost(capsys, layers, tmp_path):
    at = tmp_path / "model.compiled"
    data = wrote(capsys, "compile", layers / "model.canter", "--for", "cpu", "-o", at)
    assert data["memory"]["arguments"] >= 4 * (12 + 6 + 1) and data["cost"]["flops"] > 0
    assert data["bytes"] == at.stat().st_size
    assert wrote(capsys, "inspect", at)["inputs"][1] == {"name": "1", "type": "f32[2,3]"}
    code, printed, _ = run(
        capsys, "compile", layers / "model.bc", "--for", "cpu", "--option", "xla_cpu_enable_fast_math=true"
    )
    assert code == 0 and printed.splitlines()[1].startswith("memory  76 B arguments, ")


# --- inspect -------------------------------------------------------------------------------------


def test_inspect(capsys, folder):
    data = wrote(capsys, "inspect", folder / "model.canter", "--compile")
    assert data["inputs"] == [
        {"name": "0['w']", "type": "f32[3,4]"},
        {"name": "1", "type": "f32[2,3]"},
        {"name": "scale", "type": "f32"},
    ]
    assert data["outputs"][1] == {"name": "result['y']", "type": "f32[2,4]"}
    assert (data["kind"], data["function"], data["platforms"]) == ("exported", "predict", ["cpu"])
    assert data["bytes"] == (folder / "model.canter").stat().st_size
    assert data["operations"]["stablehlo.tanh"] == data["operations"]["stablehlo.dot_general"] == 1
    assert data["cost"]["flops"] >= 2 * 2 * 3 * 4
    assert data["memory"]["arguments"] >= 4 * (12 + 6 + 1)


def test_inspect_shows_what_is_open(capsys, folder):
    data = wrote(capsys, "inspect", folder / "open.canter")
    assert [one["type"] for one in data["inputs"]] == ["f32[k,4]", "f32[b,k]", "f32"]
    assert (data["constraints"], data["cost"]) == (["b >= 2"], None)
    assert wrote(capsys, "inspect", folder / "noise.canter")["platforms"] == ["cpu", "tpu"]
    _, printed, _ = run(capsys, "inspect", folder / "open.canter")
    assert "constraints         b >= 2\n" in printed


@pytest.mark.parametrize("kind, suffix", [("portable", "bc"), ("text", "mlir")])
def test_inspect_modules(capsys, folder, kind, suffix):
    data = wrote(capsys, "inspect", folder / f"model.{suffix}")
    assert data["kind"] == kind
    assert [one["type"] for one in data["inputs"]] == ["f32[3,4]", "f32[2,3]", "f32"]
    _, printed, _ = run(capsys, "inspect", folder / f"model.{suffix}", "--text")
    assert "func.func public @main" in printed


PAIR = """
import collections
from canter import export

Pair = collections.namedtuple("Pair", "x y")
export.register_namedtuple_serialization(Pair, serialized_name="tests.cli.Pair")

def swapped(x):
    return Pair(x + 1, x)
"""


def test_types_of_containers_are_registered_by_a_module(capsys, tmp_path):
    (tmp_path / "pair.py").write_text(PAIR)
    command = [
        sys.executable,
        "-m",
        "canter",
        "export",
        "pair.py:swapped",
        "--args",
        "f32",
        "-o",
        "pair.canter",
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    code, _, complaint = run(capsys, "inspect", tmp_path / "pair.canter")
    assert code == 1 and "tests.cli.Pair" in complaint
    data = wrote(capsys, "inspect", tmp_path / "pair.canter", "--import", tmp_path / "pair.py")
    assert [one["name"] for one in data["outputs"]] == ["result.x", "result.y"]


# --- the page of the documents -------------------------------------------------------------------

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "command-line.md"
DOCUMENTED = """
import canter as ct
import canter.numpy as cnp

def predict(x):
    return cnp.tanh(x)

def step(params, x, *, scale, key):
    return x @ params["w"] * scale + ct.random.normal(key, (10,))

def layer(params, x):
    return x @ params["w"]
"""


def test_the_commands_of_the_page(capfd, tmp_path, monkeypatch):
    """Those that need no plugin and no compiler, in the order of the page."""
    monkeypatch.chdir(tmp_path)
    pathlib.Path("package").mkdir()
    for path in ("model.py", "package/module.py"):
        pathlib.Path(path).write_text(DOCUMENTED)
    images, w = np.ones((32, 784), np.float32), np.ones((784, 10), np.float32)
    for name, value in {"x": images, "images": images, "w": w}.items():
        np.save(f"{name}.npy", value)
    np.savez("weights.npz", w=w)
    commands = re.findall(r"^    \$ canter (.*)$", DOCUMENT.read_text(), re.MULTILINE)
    assert len(commands) >= 15
    for command in commands:
        if not command.startswith(("doctor", "cache")) and "tpu" not in command:
            assert main(shlex.split(command)) == 0, (command, capfd.readouterr())
    np.testing.assert_allclose(np.load("y.npy"), np.tanh(images), rtol=1e-5)
    assert {path.name for path in pathlib.Path().iterdir()} >= {"model.bc", "layer.compiled", "results.npz"}


# --- mistakes ------------------------------------------------------------------------------------

PREDICT = ("export", "model.py:predict")
HALVES = ("export", "model.py:halves", "--args", "f32[b]")
OUT = ("-o", "new.canter")
MISTAKES = {
    "no colon": (2, ("export", "model", *OUT), "model is not MODULE:FUNCTION"),
    "no such module": (2, ("export", "modle:predict", *OUT), "there is no module modle here"),
    "no such file": (2, ("export", "modle.py:predict", *OUT), "there is no file modle.py"),
    "a module that fails": (1, ("export", "fails.py:f", *OUT), "fails.py cannot be imported: No module named"),
    "no such function": (2, ("export", "model.py:predikt", *OUT), "did you mean predict?"),
    "not a function": (2, ("export", "model.py:FACTOR", *OUT), "model.py:FACTOR is a float, not a function"),
    "no such dtype": (2, (*PREDICT, "--args", "f33[2]", *OUT), "there is no dtype f33"),
    "half a type": (2, (*PREDICT, "--args", "{w: f32[3,4]}, f32[2", *OUT), "expected a closing ]"),
    "a bad dimension": (2, (*PREDICT, "--args", "f32[b,-]", *OUT), "the dimensions [b,-] are not understood"),
    "64 bits": (2, (*PREDICT, "--args", "f64[2]", *OUT), "f64 needs 64-bit types: set CANTER_ENABLE_X64=1"),
    "a bad constraint": (2, (*PREDICT, "--args", "f32[b]", "--constraint", "b >", *OUT), "--constraint: "),
    "a tracing error": (1, ("export", "model.py:wrong", "--args", "f32[2]", *OUT), "model.py:18)"),
    "a missing argument": (1, (*PREDICT, "--args", "f32[2]", *OUT), "cannot be exported: TypeError: "),
    "an unknown suffix": (2, (*PREDICT, "-o", "new.onnx"), "new.onnx ends in none of .canter, .bc, .mlir"),
    "no folder": (2, (*PREDICT, "-o", "no/new.canter"), "there is no folder no"),
    "no such platform": (2, (*PREDICT, "--platforms", "cpuu", *OUT), "there is no platform cpuu; known are cpu, "),
    "a module for two": (2, (*PREDICT, "--platforms", "cpu,tpu", "-o", "a.bc"), "export one .bc for each"),
    "no such artifact": (1, ("inspect", "new.canter"), "new.canter: No such file or directory"),
    "an array as artifact": (1, ("run", "x.npy"), "x.npy is not an artifact that this Canter reads: "),
    "a cut artifact": (1, ("inspect", "cut.canter"), "The artifact is damaged or incomplete"),
    "a cut module": (1, ("inspect", "cut.bc"), "cut.bc is not an artifact that this Canter reads: "),
    "a cut text": (1, ("inspect", "cut.mlir"), "This is not a module of StableHLO"),
    "an empty file": (1, ("inspect", "empty"), "empty is empty"),
    "no inputs": (2, ("run", "model.canter"), "no --input for 0['w'], 1, scale: the program takes 0['w']: f32["),
    "an unknown input": (2, ("run", "model.canter", "-i", "bias=2"), "has no input bias; its inputs are 0['w'], 1"),
    "too many inputs": (2, ("run", "halves.canter", "-i", "1", "-i", "2"), "2 is one input too many"),
    "no such array": (1, ("run", "halves.canter", "-i", "y.npy"), "y.npy: No such file or directory"),
    "no array": (1, ("run", "halves.canter", "-i", "model.py"), "model.py is not a file of numpy.save"),
    "a wrong shape": (1, ("run", "halves.canter", "-i", "[1, 2]"), "input 0 has shape [2], the program takes f32[3]"),
    "a word": (1, ("run", "halves.canter", "-i", "'word'"), "input 0 is not made of numbers"),
    "a constraint not kept": (
        1, ("run", "open.canter", "-i", "w.npy", "-i", "one.npy", "-i", "1"), "shape constraint b >= 2"
    ),
    "a folder": (1, ("inspect", "."), ". is a folder without manifest.json, not a bundle"),
    "weights that are none": (1, (*PREDICT, "--weights", "model.py", *OUT), "model.py is not a file of numpy.savez"),
    "a bundle for others": (2, (*PREDICT, "--platforms", "tpu", "-o", "new.zip"), "a bundle is for this platform"),
    "a bundle of no sizes": (2, (*HALVES, "--constraint", "b >= 999", "-o", "new.zip"), "no small sizes of b keep"),
    "a promise too long": (1, (*PREDICT, "--args", "{w: f32[3,4]}, f32[2,3]", "--kwargs", "scale: f32",
                               "--compatible-for", "9y", "-o", "new.bc"), "up to 2 years"),
    "nothing to verify": (2, ("inspect", "model.canter", "--verify"), "model.canter is no bundle"),
    "unknown hardware": (1, ("compile", "model.canter", "--for", "mars:1"), "'mars:1' describes no hardware"),
    "open sizes": (1, ("compile", "open.canter", "--for", "cpu"), "open.canter has open dimensions"),
    "an unknown option": (1, ("compile", "model.canter", "--for", "cpu", "--option", "xla_no=1"), "no option 'xla_no'"),
    "half an option": (2, ("compile", "model.canter", "--for", "cpu", "--option", "xla_no"), "is not NAME=VALUE"),
    "too few outputs": (2, ("run", "halves.canter", "-i", "[1,2,3]", "-o", "a.npy"), "the program has 2 results"),
    "an output of no kind": (2, ("run", "halves.canter", "-o", "a.txt"), "a.txt ends neither in .npy nor in .npz"),
}  # fmt: skip


@pytest.mark.parametrize("code, arguments, message", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_answered_in_one_line(capfd, folder, monkeypatch, code, arguments, message):
    monkeypatch.chdir(folder)
    for name in ("model.canter", "model.bc", "model.mlir"):
        pathlib.Path(name.replace("model", "cut")).write_bytes(pathlib.Path(name).read_bytes()[:600])
    pathlib.Path("empty").write_bytes(b"")
    assert main(arguments) == code
    printed = capfd.readouterr()
    assert message in printed.err
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert not pathlib.Path("new.canter").exists()


# --- types as text -------------------------------------------------------------------------------


def test_types_as_text():
    f32 = ArraySpec("float32", "")
    assert signature.parse_arguments("") == ()
    assert signature.parse_arguments("(f32,), [i8[2], None], {}") == (
        (f32,),
        [ArraySpec("int8", "2"), None],
        {},
    )
    nested = signature.parse_arguments("{x: {'a b': bool[]}, y.z: (float32, u4[3])},")
    assert nested == ({"x": {"a b": ArraySpec("bool", "")}, "y.z": (f32, ArraySpec("uint4", "3"))},)
    assert signature.parse_keywords("a: f8_e4m3fn[2*b+1, c], k: key") == {
        "a": ArraySpec("float8_e4m3fn", "2*b+1, c"),
        "k": ArraySpec("key", ""),
    }


@pytest.mark.parametrize("name", ["bool", "i4", "u8", "i64", "f16", "bf16", "f32", "f8_e5m2", "c64", "c128"])
def test_short_names_of_dtypes_are_read_back(name):
    (spec,) = signature.parse_arguments(name)
    assert signature.dtype_name(np.dtype(getattr(ml_dtypes, spec.dtype, spec.dtype))) == name


def test_names_of_inputs_and_results():
    import canter as ct

    tree = ct.tree.structure((([1, {"w": 2, "b": 3}], 4), {"scale": 5, "state": (6,)}))
    assert artifact.input_names(tree) == ["0[0]", "0[1]['b']", "0[1]['w']", "1", "scale", "state[0]"]
    assert artifact.output_names(ct.tree.structure({"y": 1, "z": (2, 3)})) == [
        "result['y']",
        "result['z'][0]",
        "result['z'][1]",
    ]
