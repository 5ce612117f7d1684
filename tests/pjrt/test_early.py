"""Loading a program while it is traced: only what the lowered program is the key of is taken."""

import os

import pytest

import canter as ct
import canter.numpy as cnp
from canter.core import config
from canter.runtime import program
from canter_pjrt import cache, early


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache that keeps everything, whose programs are all worth a note."""
    monkeypatch.setattr(early, "_WORTH_SECONDS", 0.0)
    ct.devices()  # they are in use
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(cache, "statistics", cache.Statistics())
    before = {
        name: config.flags[name].value for name in ("enable_compilation_cache", "compilation_cache_dir")
    }
    ct.config.update("compilation_cache_dir", tmp_path)
    ct.config.update("enable_compilation_cache", True)
    with config.persistent_cache_min_compile_time_secs(0.0):
        yield tmp_path
    for name, value in before.items():
        ct.config.update(name, value)


@pytest.fixture
def taken(monkeypatch):
    """For each program that was asked for, whether it had been loaded early."""
    found = []
    take = early.take

    def recorded(*args):
        executable = take(*args)
        found.append(executable is not None)
        return executable

    monkeypatch.setattr(early, "take", recorded)
    return found


def run_anew(factor, x):
    """As in a new process: nothing of what was compiled is in memory."""

    def step(x):
        return cnp.sin(x) * factor

    program.forget_recent()
    return float(ct.jit(step)(x))


def notes(folder):
    return [name for name in os.listdir(folder) if name.endswith(".note")]


def test_a_program_that_is_known_is_loaded_while_it_is_traced(folder, taken):
    first = run_anew(2.0, 1.0)
    assert taken == [False] and len(notes(folder)) == 1
    assert run_anew(2.0, 1.0) == first
    assert taken == [False, True] and cache.statistics.hits == 1
    assert len(cache.entries(str(folder))) == 1  # notes are no entries


def test_a_program_that_has_changed_is_not_taken_for_the_old_one(folder, taken):
    first = run_anew(2.0, 1.0)
    assert run_anew(4.0, 1.0) == pytest.approx(2 * first)  # the note leads to another program
    assert run_anew(4.0, 1.0) == pytest.approx(2 * first)
    assert taken == [False, False, True] and len(notes(folder)) == 1


def test_types_of_arguments_have_notes_of_their_own(folder, taken):
    run_anew(2.0, 1.0)
    run_anew(2.0, cnp.ones((), "float16"))
    assert len(notes(folder)) == 2 and not any(taken)


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"[]",
        b'["key"]',
        b"[3, []]",
        b'["nothing", []]',
        b'{"a": 1}',
        b"\xff",
        b"[" * 99999,
        b'["nothing", [["a", []]]]',
    ],
)
def test_notes_that_lead_nowhere_do_no_harm(folder, taken, note):
    first = run_anew(2.0, 1.0)
    (name,) = notes(folder)
    (folder / name).write_bytes(note)
    assert run_anew(2.0, 1.0) == first
    assert taken == [False, False] and cache.statistics.hits == 1


def test_other_options_of_the_compiler_are_another_program(folder, taken):
    for options in ({}, {"xla_cpu_enable_fast_math": True}, {}):
        program.forget_recent()
        ct.jit(lambda x: cnp.sin(x) * 2, compiler_options=options)(1.0)
    assert taken == [False, False, False] and cache.statistics.hits == 1
    program.forget_recent()
    ct.jit(lambda x: cnp.sin(x) * 2)(1.0)
    assert len(taken) == 4


def test_tracing_alone_starts_no_device(folder):
    import subprocess
    import sys

    code = """
import canter as ct
from canter_pjrt import clients

def f(x):
    return x + 1

ct.jit(f).trace(ct.ShapeDtypeStruct((3,), "float32"))
print(clients.is_created())
"""
    env = {**os.environ, "CANTER_ENABLE_COMPILATION_CACHE": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    path = folder / "program.py"
    path.write_text(code)
    done = subprocess.run([sys.executable, str(path)], env=env, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr
