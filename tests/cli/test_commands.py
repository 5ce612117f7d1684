"""The command `canter`, as a person in a terminal meets it: help, mistakes, doctor, env and cache."""

import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

from canter.cli import doctor_checks, main
from canter.core import config
from canter_pjrt import cache

ROOT = pathlib.Path(__file__).parents[2]
COMMANDS = ["doctor", "export", "inspect", "run", "compile", "cache", "env"]


def run(capsys, *arguments):
    """Runs a command in this process: (exit code, what it printed, what it complained of)."""
    code = main(arguments)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def in_a_terminal(*arguments, **environment):
    """Runs a command as a process of its own."""
    command = [sys.executable, "-m", "canter", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, **environment}
    )


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS), ("cache", "clear")])
def test_help(capsys, command):
    code, printed, complaint = run(capsys, *command, "--help")
    assert (code, complaint) == (0, "")
    assert printed.startswith(" ".join(["usage: canter", *command]))
    assert all(re.search(rf"^    {name} ", printed, re.MULTILINE) for name in COMMANDS) or command


def test_help_does_not_load_the_framework():
    program = (
        "import sys; from canter.cli import main; main(['--help']); "
        "print([name for name in ('jaxlib', 'numpy', 'canter.core.config') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr


MISTAKES = {
    "no command": ((), "canter: the following arguments are required: COMMAND"),
    "unknown command": (("docter",), "canter: argument COMMAND: invalid choice: 'docter'"),
    "unknown option": (("env", "--jsn"), "canter: unrecognized arguments: --jsn"),
    "no action": (("cache",), "canter cache: the following arguments are required: ACTION"),
    "days that are none": (("cache", "clear", "--older-than", "3d"), "'3d' is not a number of days"),
    "unknown variable": (("env", "ENABLE_X46"), "did you mean CANTER_ENABLE_X64?"),
}


@pytest.mark.parametrize("arguments, message", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_answered_in_one_line(capsys, arguments, message):
    code, printed, complaint = run(capsys, *arguments)
    assert (code, printed) == (2, "")
    assert message in complaint
    assert complaint.count("\n") == 1


def test_the_version_and_the_installed_command(capsys):
    code, printed, _ = run(capsys, "--version")
    assert (code, printed.split()[0]) == (0, "canter")
    with open(ROOT / "pyproject.toml", "rb") as file:
        assert tomllib.load(file)["project"]["scripts"] == {"canter": "canter.cli:main"}


# --- env -----------------------------------------------------------------------------------------


def test_env_lists_every_flag(capsys):
    code, printed, _ = run(capsys, "env", "--json")
    listed = {one["name"]: one for one in json.loads(printed)}
    assert code == 0
    for name, flag in config.flags.items():
        one = listed["CANTER_" + name.upper()]
        assert (one["value"], one["default"], one["meaning"]) == (flag.value, flag.default, flag.help)
    assert listed["XLA_FLAGS"]["value"] == os.environ["XLA_FLAGS"]


def test_env_of_one_variable(capsys, monkeypatch):
    monkeypatch.delenv("CANTER_ENABLE_X64", raising=False)
    for spelling in ("CANTER_ENABLE_X64", "enable_x64", "jax_enable_x64"):
        _, printed, _ = run(capsys, "env", spelling)
        assert printed.splitlines()[0] == "CANTER_ENABLE_X64 = False  (default)"
    monkeypatch.setenv("CANTER_ENABLE_X64", "0")
    _, printed, _ = run(capsys, "env", "--set", "ENABLE_X64", "ENABLE_CHECKS")
    assert printed.splitlines()[0] == "CANTER_ENABLE_X64 = False  (environment; default False)"
    assert "ENABLE_CHECKS" not in printed


# --- cache ---------------------------------------------------------------------------------------


KEYS = [f"{number:064x}" for number in range(3)]


@pytest.fixture
def folder(tmp_path):
    """A cache with three entries, one of them damaged, one used ten days ago, and a file that is none."""
    for number, content in enumerate([b"one", b"two" * 1000, b"three"]):
        (tmp_path / f"{KEYS[number]}.xla").write_bytes(cache.pack(KEYS[number], content))
    (tmp_path / f"{KEYS[1]}.xla").write_bytes(b"nothing")
    before = (tmp_path / f"{KEYS[2]}.xla").stat().st_mtime - 10 * 86400
    os.utime(tmp_path / f"{KEYS[2]}.xla", (before, before))
    (tmp_path / "notes.txt").write_text("mine")
    return tmp_path


def test_cache(capsys, folder):
    at = ("--dir", str(folder))
    code, printed, _ = run(capsys, "cache", "ls", *at)
    assert code == 0 and "10 days ago" in printed.splitlines()[-1] and len(printed.splitlines()) == 3
    listed = json.loads(run(capsys, "cache", "ls", *at, "--json")[1])
    assert {one["key"] for one in listed} == set(KEYS) and listed[-1]["key"] == KEYS[2]
    stats = json.loads(run(capsys, "cache", "stats", *at, "--json")[1])
    assert (stats["entries"], stats["bytes"]) == (3, sum(one["bytes"] for one in listed))
    code, printed, _ = run(capsys, "cache", "stats", "--verify", *at)
    assert code == 1 and f"damaged    1\n           {KEYS[1]}" in printed

    assert "would remove 1 entry" in run(capsys, "cache", "clear", "--older-than", "3", "--dry-run", *at)[1]
    assert "removed 1 entry" in run(capsys, "cache", "clear", "--older-than", "3", *at)[1]
    assert sorted(path.name for path in folder.iterdir()) == [f"{KEYS[0]}.xla", f"{KEYS[1]}.xla", "notes.txt"]
    assert json.loads(run(capsys, "cache", "clear", "--json", *at)[1])["removed"] == 2
    assert run(capsys, "cache", "ls", *at)[1] == f"no entries in {folder}\n"
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_a_cache_that_is_not_there_or_no_folder(capsys, tmp_path):
    assert "entries    0" in run(capsys, "cache", "stats", "--dir", str(tmp_path / "nothing"))[1]
    (tmp_path / "file").write_text("")
    code, _, complaint = run(capsys, "cache", "ls", "--dir", str(tmp_path / "file"))
    assert (code, complaint) == (1, f"canter cache: {tmp_path / 'file'}: Not a directory\n")


# --- doctor --------------------------------------------------------------------------------------


@pytest.mark.smoke
def test_doctor_of_a_sound_installation(tmp_path):
    done = in_a_terminal("doctor", "--json", XDG_CACHE_HOME=str(tmp_path), CANTER_PLATFORMS="cpu")
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert report["wrong"] == 0
    said = {one["about"]: one["says"] for one in report["findings"]}
    assert said["platform cpu"].startswith("8 x cpu")
    assert said["program"].endswith("the result is right")


def test_doctor_says_what_is_wrong_and_what_mends_it(tmp_path):
    (tmp_path / "file").write_text("")
    done = in_a_terminal(
        "doctor",
        XLA_FLAGS="--xla_no_such_flag",
        CANTER_ENABLE_COMPILATION_CACHE="1",
        CANTER_COMPILATION_CACHE_DIR=str(tmp_path / "file" / "below"),
        CANTER_ENABLE_X46="1",
        JAX_ENABLE_X64="1",
        PJRT_NAMES_AND_LIBRARY_PATHS=f"mine:{tmp_path / 'file'}",
    )
    assert done.returncode == 1 and done.stderr == ""
    for line in (
        r"WRONG  devices: .*Unknown flag in XLA_FLAGS: --xla_no_such_flag\n +\$ unset XLA_FLAGS",
        r"WRONG  compilation cache: .*cannot be written\n +\$ export CANTER_COMPILATION_CACHE_DIR=",
        r"WRONG  CANTER_ENABLE_X46: .* did you mean CANTER_ENABLE_X64\?\n +\$ unset CANTER_ENABLE_X46",
        r" note  JAX_ENABLE_X64: is JAX's; Canter reads CANTER_ENABLE_X64",
        r"WRONG  plugin mine: .*\n +\$ unset PJRT_NAMES_AND_LIBRARY_PATHS",
        r"4 wrong\n$",
    ):
        assert re.search(line, done.stdout), (line, done.stdout)


def test_a_value_that_a_flag_does_not_take():
    done = in_a_terminal("doctor", "--no-devices", CANTER_ENABLE_X64="maybe")
    assert done.returncode == 1
    assert "WRONG  CANTER_ENABLE_X64: CANTER_ENABLE_X64 = 'maybe': expected True or False." in done.stdout


def test_a_missing_package_is_told_in_one_line(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "canter_pjrt.cache", None)
    monkeypatch.delattr("canter_pjrt.cache")
    code, _, complaint = run(capsys, "cache", "ls")
    assert code == 1 and complaint.endswith("; `canter doctor` says what is missing\n")


VERSIONS = {
    "none": (None, "is not installed"),
    "an old one": ("0.9.9", "is older than 0.10.2"),
    "a new one": ("0.13.0", "needs one before 0.13"),
    "a nightly": ("0.12.0.dev20260101", None),
}


@pytest.mark.parametrize("version, says", VERSIONS.values(), ids=VERSIONS)
def test_doctor_knows_which_versions_fit(monkeypatch, version, says):
    installed = doctor_checks._installed
    monkeypatch.setattr(
        doctor_checks, "_installed", lambda name: version if name == "jaxlib" else installed(name)
    )
    found = {one.about: one for one in doctor_checks.software()}["jaxlib"]
    if says is None:
        assert found.state == "ok"
    else:
        assert found.state == "wrong" and says in found.says
        assert found.mend.endswith("-m pip install 'jaxlib>=0.10.2,<0.13'")


def test_doctor_and_the_package_ask_for_the_same_versions():
    with open(ROOT / "pyproject.toml", "rb") as file:
        asked = tomllib.load(file)["project"]["dependencies"]
    known = {
        name: f"{name}>={oldest}" + (f",<{first_bad}" if first_bad else "")
        for name, (oldest, first_bad) in doctor_checks.REQUIRED.items()
    }
    assert sorted(asked) == sorted(known.values())


def test_letters_that_the_terminal_lacks_are_escaped(monkeypatch):
    for encoding, shown in (("ascii", r"fl\xfcssig"), ("utf-8", "flüssig")):
        written = io.BytesIO()
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(written, encoding, write_through=True))
        assert main(["env", "flüssig"]) == 2
        assert f"no variable {shown};" in written.getvalue().decode()
