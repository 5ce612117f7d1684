"""What `canter doctor` looks at. Each check yields findings and raises nothing."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import Any, NamedTuple

from ..version import __version__
from .environment import OTHERS, PREFIX
from .report import one_line, size_text

__all__ = ["Finding", "compilation_cache", "devices", "environment", "plugins", "processor", "software"]


class Finding(NamedTuple):
    """One line of the report.

    Attributes:
      state: "ok", "note" or "wrong".
      about: what was looked at.
      says: what was found.
      mend: the command that mends it; empty where there is nothing to mend, or no command does.
    """

    state: str
    about: str
    says: str
    mend: str = ""


# --- Python and packages -----------------------------------------------------------------------

# Distribution -> the oldest version that works and the first that does not, as in pyproject.toml.
REQUIRED: dict[str, tuple[str, str | None]] = {
    "jaxlib": ("0.10.2", "0.13"),
    "numpy": ("2.0", None),
    "ml_dtypes": ("0.5", None),
    "scipy": ("1.14", None),
    "opt_einsum": ("3.3", None),
    "flatbuffers": ("24.3", None),
}
_OLDEST_PYTHON = (3, 11)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:4])


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def software() -> Iterator[Finding]:
    """Versions of Python, of Canter and of the packages that it stands on."""
    python = platform.python_version()
    if sys.version_info < _OLDEST_PYTHON:
        oldest = ".".join(map(str, _OLDEST_PYTHON))
        yield Finding("wrong", "Python", f"{python} is too old: Canter needs {oldest} or newer")
    else:
        yield Finding("ok", "Python", f"{python} ({sys.executable})")
    yield Finding("ok", "canter", __version__)
    for name, (oldest, first_bad) in REQUIRED.items():
        yield _requirement(name, oldest, first_bad)
    other = _installed("jax")
    if other is not None:
        yield Finding(
            "note", "jax", f"{other} is installed beside Canter; one process can import only one of the two"
        )


def _python() -> str:
    return os.path.basename(sys.executable) or "python"


def _requirement(name: str, oldest: str, first_bad: str | None) -> Finding:
    wanted = f"{name}>={oldest}" + (f",<{first_bad}" if first_bad else "")
    mend = f"{_python()} -m pip install '{wanted}'"
    version = _installed(name)
    if version is None:
        return Finding("wrong", name, "is not installed", mend)
    if _numbers(version) < _numbers(oldest):
        return Finding("wrong", name, f"{version} is older than {oldest}", mend)
    if first_bad is not None and _numbers(version) >= _numbers(first_bad):
        return Finding(
            "wrong", name, f"{version} is newer than this Canter knows: it needs one before {first_bad}", mend
        )
    return Finding("ok", name, version)


# --- hardware ----------------------------------------------------------------------------------

# Files that a driver makes -> the hardware, and the extra of the package that runs on it.
_HARDWARE = {
    "/proc/driver/nvidia/version": ("an NVIDIA GPU", "cuda"),
    "/dev/nvidiactl": ("an NVIDIA GPU", "cuda"),
    "/dev/kfd": ("an AMD GPU", "rocm"),
    "/dev/accel0": ("a TPU", "tpu"),
}
_EXTRAS = {"cuda": "cuda13", "rocm": "rocm7", "tpu": "tpu"}
_OLDEST_DRIVER_OF_CUDA_13 = 580


def plugins(try_them: bool = True) -> Iterator[Finding]:
    """Plugins that are installed, whether they fit, and hardware that has none.

    Args:
      try_them: whether to load each, in a process of its own.
    """
    try:
        from canter_pjrt.accelerators import report

        states, problems = report(try_them)
    except Exception as error:  # jaxlib is missing or of a wrong version: told already
        yield Finding("note", "plugins", f"not looked at: {one_line(str(error))}")
        return
    for state in states:
        yield _plugin(state)
    for problem in problems:
        yield Finding("wrong", "plugins", one_line(problem))
    present = {state.plugin.platform for state in states}
    found = {family: thing for path, (thing, family) in _HARDWARE.items() if os.path.exists(path)}
    for family, thing in found.items():
        if family not in present:
            mend = f"{_python()} -m pip install 'canter[{_extra(family)}]'"
            yield Finding("note", "hardware", f"{thing} is there, its plugin is not", mend)
    if not (states or problems):
        yield Finding("ok", "plugins", "none for accelerators; the CPU needs none")


def _plugin(state: Any) -> Finding:
    plugin = state.plugin
    about = f"plugin {plugin.name}"
    if state.problem is not None:
        says, _, mend = one_line(state.problem).partition(" To mend it: ")
        if not plugin.distribution:
            mend = "unset PJRT_NAMES_AND_LIBRARY_PATHS"
        return Finding("wrong", about, says, mend)
    says = f"{plugin.version or 'of no known version'}, platform {plugin.platform}, from {plugin.source}"
    if state.hardware is False:
        return Finding("note", about, f"{says}; there is no hardware for it")
    if plugin.priority < 0:
        says += f"; waits to be asked for: CANTER_PLATFORMS={plugin.platform}"
    return Finding("ok", about, says)


def _extra(family: str) -> str:
    if family == "cuda":
        try:
            with open("/proc/driver/nvidia/version") as file:
                driver = re.search(r"\s(\d{3})\.\d", file.read())
        except OSError:
            driver = None
        if driver is not None and int(driver[1]) < _OLDEST_DRIVER_OF_CUDA_13:
            return "cuda12"
    return _EXTRAS[family]


_VECTOR_FEATURES = (
    "avx",
    "avx2",
    "fma",
    "avx512f",
    "avx512_bf16",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "sve",
    "bf16",
)


def processor() -> Iterator[Finding]:
    """What the CPU can do that matters to compiled programs."""
    features: set[str] = set()
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith(("flags", "Features")):
                    features = set(line.split(":", 1)[1].split())
                    break
    except OSError:
        pass  # not Linux
    vectors = [name for name in _VECTOR_FEATURES if name in features]
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    says = f"{platform.machine()}, {count} cores for this process"
    if features and platform.machine() in ("x86_64", "AMD64") and "avx" not in features:
        yield Finding("wrong", "processor", f"{says}; it lacks AVX, without which jaxlib does not run")
    else:
        yield Finding("ok", "processor", says + (f", {' '.join(vectors)}" if vectors else ""))


# --- devices -----------------------------------------------------------------------------------


def devices(timeout: float) -> Iterator[Finding]:
    """The devices of every platform that starts, and a small program run on the default one."""
    command = [sys.executable, "-m", "canter.cli.probe"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        yield Finding(
            "wrong",
            "devices",
            f"did not start within {timeout:g} s; the CPU alone would with",
            "CANTER_PLATFORMS=cpu canter doctor",
        )
        return
    try:
        found = json.loads(done.stdout.rpartition("\n{")[2] if "\n{" in done.stdout else done.stdout)
    except ValueError:
        yield _failure_of_probe(done)
        return
    yield from _platforms(found)


def _failure_of_probe(done: subprocess.CompletedProcess[str]) -> Finding:
    reason = f"exit code {done.returncode}"
    if done.returncode < 0:
        reason = f"signal {signal.Signals(-done.returncode).name}"
    said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith((" ", "***"))]
    unknown = [line for line in said if "XLA_FLAGS" in line]
    last = one_line((unknown or said or ["it said nothing"])[-1])[:300]
    mend = "unset XLA_FLAGS" if unknown else ""
    return Finding("wrong", "devices", f"the process that started them ended with {reason}: {last}", mend)


def _platforms(found: dict[str, Any]) -> Iterator[Finding]:
    for one in found["platforms"]:
        if "error" in one:
            yield Finding(
                "wrong" if one["wanted"] else "note", f"platform {one['name']}", one_line(one["error"])
            )
        else:
            memory = f", {size_text(one['memory'])} each" if one.get("memory") else ""
            default = ", the default" if one["name"] == found["default"] else ""
            yield Finding("ok", f"platform {one['name']}", f"{one['count']} x {one['kind']}{memory}{default}")
    if found["error"] and any(one.get("wanted") and "error" in one for one in found["platforms"]):
        return  # told already
    if found["error"]:
        yield Finding("wrong", "devices", one_line(found["error"]))
    else:
        yield Finding("ok", "program", f"compiled and run in {found['seconds']:.2f} s, the result is right")


# --- files and environment -----------------------------------------------------------------------


def compilation_cache() -> Iterator[Finding]:
    """The folder of compiled programs: whether it can be used, and what is in it."""
    about = "compilation cache"
    try:
        from canter_pjrt import cache

        from ..runtime import compilation_cache  # noqa: F401 - tells the cache its flags
    except (
        Exception
    ) as error:  # jaxlib is missing or of a wrong version, or a flag has no value: told elsewhere
        yield Finding("note", about, f"not looked at: {one_line(str(error))}")
        return
    settings = cache.settings()
    if not settings.enabled:
        yield Finding("note", about, "switched off by CANTER_ENABLE_COMPILATION_CACHE")
        return
    folder = settings.directory or cache.default_directory()
    mend = "export CANTER_COMPILATION_CACHE_DIR=FOLDER_THAT_CAN_BE_WRITTEN"
    if "://" in folder:
        yield Finding("note", about, f"in {folder}: canter cache stats tells whether it answers")
        return
    if os.path.isdir(folder) and os.access(folder, os.R_OK | os.X_OK) and not os.access(folder, os.W_OK):
        yield Finding(
            "note", about, f"{folder} cannot be written: programs are found in it, and none is added"
        )
        return
    nearest = folder
    while not os.path.lexists(nearest):
        nearest = os.path.dirname(nearest) or "."
    if not (os.path.isdir(nearest) and os.access(nearest, os.W_OK | os.X_OK)):
        yield Finding("wrong", about, f"{folder} cannot be written", mend)
        return
    try:
        entries = cache.entries(folder)
    except OSError as error:
        yield Finding("wrong", about, f"{folder} cannot be read: {error.strerror}", mend)
        return
    size = sum(one.size for one in entries)
    yield Finding("ok", about, f"{len(entries)} programs, {size_text(size)}, in {folder}")


# Read by the repository's own commands, not by the package.
_REPOSITORYS = tuple(f"{PREFIX}{use}_" for use in ("BENCH", "FUZZ", "TEST"))


def environment() -> Iterator[Finding]:
    """Variables that are set: those that count, those that don't, and values that are none."""
    for name in sorted(os.environ):
        if name.startswith(_REPOSITORYS):
            yield Finding("ok", name, os.environ[name] or "(empty)")
        elif name.startswith(PREFIX):
            yield _variable(name, os.environ[name])
        elif name in OTHERS:
            yield Finding("ok", name, os.environ[name] or "(empty)")
        elif name.startswith("JAX_"):
            yield Finding("note", name, f"is JAX's; Canter reads {PREFIX}{name.removeprefix('JAX_')}")


def _variable(name: str, value: str) -> Finding:
    mend = f"unset {name}"
    try:
        from ..core import config
    except Exception as error:  # the value of a flag, of this one or another, is not one it takes
        text = one_line(str(error))
        return Finding("wrong", name, text, mend) if name in text else Finding("ok", name, value)
    if name.removeprefix(PREFIX).lower() in config.flags:
        return Finding("ok", name, value or "(empty)")
    import difflib

    near = difflib.get_close_matches(name, [PREFIX + flag.upper() for flag in config.flags], n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return Finding("wrong", name, f"is not a variable of Canter's{meant}", mend)
