"""The demo trains, writes its files, and answers mistakes with one line."""

import importlib.util
import itertools
import math
import pathlib
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / "examples" / "train_lm.py"
WRITER = SCRIPT.with_name("write_text.py")


@pytest.mark.smoke
def test_a_short_training_run(tmp_path):
    pytest.importorskip(
        "matplotlib", reason="the demo draws its curve with matplotlib: pip install 'canter[demo]'"
    )
    command = [sys.executable, SCRIPT, "--size", "tiny", "--steps", "25", "--output", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    losses = [float(value) for value in re.findall(r"validation loss (\d+\.\d+)  ", done.stdout)]
    assert losses[-1] < 0.8 * math.log(256)
    assert "step    25" in done.stdout
    assert re.search(r"bigram model, validation loss 2\.\d+", done.stdout)
    text = done.stdout.partition("--- a sample")[2].partition("\n")[2]
    assert text.startswith("The Python ") and len(text) > 300
    again = subprocess.run(
        [sys.executable, WRITER, tmp_path / "out" / "model.canter", "--seed", "0"],
        capture_output=True,
        timeout=300,
    )
    assert again.stdout.decode(errors="replace") + "\n" == text, again.stderr
    assert (tmp_path / "out" / "loss.png").read_bytes().startswith(b"\x89PNG")
    with np.load(tmp_path / "out" / "checkpoint.npz") as checkpoint:
        assert checkpoint["['layers']['qkv']"].shape == (2, 32, 96)


MISTAKES = {
    "unknown size": (["--size", "huge"], "argument --size: invalid choice: 'huge'"),
    "no steps": (["--steps", "0"], "argument --steps: '0' is not a number of steps"),
    "steps that are no number": (["--steps", "many"], "argument --steps: 'many' is not a number of steps"),
    "negative seed": (["--seed=-1"], "argument --seed: '-1' is not a seed"),
    "unknown option": (["--stepps", "3"], "unrecognized arguments: --stepps 3"),
    "unknown axis": (["--mesh", "rows=2"], "argument --mesh: 'rows=2' is none of data=N, fsdp=N, model=N"),
    "repeated axis": (["--mesh", "data=2,data=2"], "argument --mesh: 'data=2' is none of"),
    "empty axis": (["--mesh", "data=0"], "argument --mesh: 'data=0' is none of"),
    "heads that are fewer": (
        ["--mesh", "model=8"],
        "argument --mesh: 4 heads cannot be shared equally by model = 8",
    ),
    "a batch that is smaller": (
        ["--mesh", "data=8,fsdp=4"],
        "argument --mesh: 16 sequences in a batch cannot be shared equally by data*fsdp = 32 devices",
    ),
    "processes that do not share": (
        ["--mesh", "data=4", "--processes", "3"],
        "argument --processes: 3 cannot share the mesh's devices equally",
    ),
    "nothing to restore": (["--restore", "{folder}/none"], "cannot restore {folder}/none: [Errno 2]"),
    "empty prompt": (["--prompt", ""], "argument --prompt: must not be empty"),
    "no such file": (["--data", "{folder}/nothing.txt"], "cannot read {folder}/nothing.txt: No such file"),
    "a folder": (["--data", "{folder}"], "cannot read {folder}: Is a directory"),
    "too short": (
        ["--data", "{folder}/short.txt"],
        "{folder}/short.txt has 100 bytes; a context of 64 needs",
    ),
    "output in the way": (
        ["--output", "{folder}/short.txt"],
        "cannot write to {folder}/short.txt: File exists",
    ),
}


@pytest.mark.parametrize("arguments, message", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_answered_in_one_line(example, tmp_path, monkeypatch, arguments, message):
    (tmp_path / "short.txt").write_bytes(b"x" * 100)
    monkeypatch.setattr(sys, "argv", ["train_lm", *(text.format(folder=tmp_path) for text in arguments)])
    with pytest.raises(SystemExit) as stopped:
        example.main()
    said = str(stopped.value)
    assert said.startswith("train_lm: " + message.format(folder=tmp_path))
    assert "\n" not in said


@pytest.mark.parametrize(
    "content", [None, b"", b"no artifact at all"], ids=["missing", "empty", "another file"]
)
def test_the_writer_answers_a_bad_artifact_in_one_line(tmp_path, monkeypatch, content):
    path = tmp_path / "model.canter"
    if content is not None:
        path.write_bytes(content)
    spec = importlib.util.spec_from_file_location("write_text", WRITER)
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    monkeypatch.setattr(sys, "argv", ["write_text", str(path)])
    with pytest.raises(SystemExit) as stopped:
        writer.main()
    assert str(stopped.value).startswith(f"write_text: {path}: ")
    assert "\n" not in str(stopped.value)


def test_the_writer_knows_no_model():
    assert "train_lm" not in re.sub(r'""".*?"""|help=".*?"', "", WRITER.read_text(), flags=re.DOTALL)


def test_the_bigram_model_agrees_with_counting_by_hand(example):
    train = np.frombuffer(b"abracadabra" * 20, np.uint8).astype(np.int32)
    validation = np.frombuffer(b"abracadabrad", np.uint8).astype(np.int32)
    pairs, firsts = Counter(itertools.pairwise(train)), Counter(train[:-1])

    def cross_entropy(smoothing: float) -> float:
        steps = list(itertools.pairwise(validation))
        probability = [(pairs[s] + smoothing) / (firsts[s[0]] + 256 * smoothing) for s in steps]
        return -sum(math.log(p) for p in probability) / len(steps)

    expected = min(cross_entropy(smoothing) for smoothing in (1.0, 0.1, 0.01, 0.001))
    assert example.bigram_loss(train, validation) == pytest.approx(expected)


def test_the_validation_text_was_not_seen_in_training(example):
    text = bytes(example.read_text(None, 64).astype(np.uint8)).decode()
    paragraphs = text.split("\n\n")
    assert len(paragraphs) == len(set(paragraphs))
    assert len(text) > 200_000


def test_layers_attend_to_the_past_only(example):
    size = example.SIZES["tiny"]
    params = example.init_params(example.random.key(0), size)
    tokens = np.arange(16, dtype=np.int32)
    changed = tokens.copy()
    changed[10:] = 7
    before = np.asarray(example.predict(params, example.cnp.asarray(tokens), size.heads))
    after = np.asarray(example.predict(params, example.cnp.asarray(changed), size.heads))
    np.testing.assert_allclose(before[:10], after[:10], rtol=1e-4, atol=1e-5)
    assert not np.allclose(before[11], after[11], atol=1e-5)
