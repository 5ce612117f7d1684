"""Artifacts written by JAX run in Canter, and Canter's in JAX."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import canter as ct
from canter import export
from canter.core.config import check_untrusted_artifacts
from tests.parity import artifacts

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests" / "data" / "artifacts"
MANIFEST = json.loads((CORPUS / "manifest.json").read_text())
FILES = sorted(name for name in MANIFEST if name.endswith(".bin"))
PROGRAMS = artifacts.programs(artifacts.load("canter"))


def test_the_corpus_only_grows():
    assert len(FILES) >= 28
    for name, digest in MANIFEST.items():
        assert hashlib.sha256((CORPUS / name).read_bytes()).hexdigest() == digest, name
    unlisted = {file.name for file in CORPUS.glob("*.bin")} - set(MANIFEST)
    assert not unlisted, "list them: python -m tests.parity.artifacts write canter tests/data/artifacts"
    for framework in ("canter-", "jax-0.10.2"):
        assert {name.partition(".")[0] for name in FILES if framework in name} >= set(PROGRAMS)


@pytest.mark.parametrize("file", FILES)
def test_artifact_gives_its_golden_results(file):
    """Values, and derivatives through as many orders as were written."""
    # One file of JAX's is tried out in another process first; for all it would take long.
    with check_untrusted_artifacts(file.startswith("mlp.")):
        name = file.partition(".")[0]
        problem = artifacts.run(ct, PROGRAMS[name], (CORPUS / file).read_bytes(), CORPUS / f"{name}.npz")
    assert problem is None


def test_an_artifact_of_jax_says_what_it_is():
    exported = export.deserialize((CORPUS / "containers.jax-0.10.2.bin").read_bytes())
    assert exported.fun_name == "containers"
    assert exported.platforms == ("cpu",)
    assert exported.nr_devices == 1
    assert exported.calling_convention_version == 10
    assert exported.in_avals[0].shape == (2,)
    assert "tests.Point" not in str(exported.in_tree) and "Point" in str(exported.in_tree)
    assert exported.has_vjp() and not exported.vjp().has_vjp()
    point = artifacts.Point(np.ones(2, np.float32), [np.ones(2, np.float32)])
    assert isinstance(ct.tree.unflatten(exported.out_tree, range(3))[0], artifacts.Point)
    assert ct.tree.structure(point) == exported.in_tree.children()[0].children()[0]


def test_no_artifact_is_larger_than_that_of_jax_by_much():
    for name in PROGRAMS:
        own, theirs = (next(CORPUS.glob(f"{name}.{who}-*.bin")).stat().st_size for who in ("canter", "jax"))
        assert own <= 1.15 * theirs, name


def test_artifacts_run_in_jax(tmp_path):
    python = os.environ.get("CANTER_TEST_JAX")
    if not python:
        pytest.skip("set CANTER_TEST_JAX to an interpreter that has jax 0.10 and flatbuffers")
    for name, program in PROGRAMS.items():
        (tmp_path / f"{name}.bin").write_bytes(artifacts.blob_of(ct, program))
        (tmp_path / f"{name}.npz").write_bytes((CORPUS / f"{name}.npz").read_bytes())
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "XLA_FLAGS")}
    environment["PYTHONPATH"] = os.environ.get("CANTER_TEST_JAX_PATH", "")
    for folder in (tmp_path, CORPUS):
        command = [python, "-m", "tests.parity.artifacts", "check", "jax", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=600)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
