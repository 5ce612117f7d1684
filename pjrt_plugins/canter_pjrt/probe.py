"""Loading a plugin in a process of its own first: what ends that process does not end ours.

`python -m canter_pjrt.probe NAME LIBRARY [LIBRARIES TO LOAD BEFORE ...]` loads and initialises a plugin and
prints one line of JSON. That a file passed is remembered, by its size and time, beside the compilation cache.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["api_version", "problem_of"]

_TIMEOUT = 120.0
_passed: set[str] = set()


class _Version(ctypes.Structure):
    # PJRT_Api_Version of pjrt_c_api.h
    _fields_ = [
        ("size", ctypes.c_size_t), ("extension", ctypes.c_void_p), ("major", ctypes.c_int), ("minor", ctypes.c_int),
    ]  # fmt: skip


class _Api(ctypes.Structure):
    # The beginning of PJRT_Api
    _fields_ = [("size", ctypes.c_size_t), ("extension", ctypes.c_void_p), ("version", _Version)]


def api_version(library: str) -> tuple[int, int]:
    """The version of the PJRT C API that a library speaks; loads it.

    Args:
      library: path of a shared library that exports GetPjrtApi.

    Raises:
      OSError: it cannot be loaded, or exports no such function.
    """
    try:
        entry = ctypes.CDLL(library).GetPjrtApi
    except AttributeError as error:
        raise OSError(str(error)) from None
    entry.restype = ctypes.POINTER(_Api)
    api = entry()
    if not api:
        raise OSError("its GetPjrtApi returns nothing")
    version = api.contents.version
    return version.major, version.minor


def problem_of(name: str, library: str, before: Sequence[str] = ()) -> str | None:
    """What goes wrong when a plugin is loaded, in words that follow its name; None if nothing.

    Args:
      name: under which it is loaded.
      library: its path.
      before: libraries that are loaded before it.
    """
    token = _token(library, before)
    memo = os.path.join(_memo_folder(), token)
    if token in _passed or os.path.exists(memo):
        return None
    problem = _ask_a_process(name, library, before)
    if problem is None:
        _passed.add(token)
        try:
            os.makedirs(os.path.dirname(memo), exist_ok=True)
            open(memo, "w").close()
        except OSError:
            pass  # the next process asks again
    return problem


def _token(library: str, before: Sequence[str]) -> str:
    from .jaxlib_door import jaxlib_version

    facts: list[Any] = [jaxlib_version]
    for path in (library, *before):
        status = os.stat(path)
        facts.append((os.path.abspath(path), status.st_size, status.st_mtime_ns))
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]


def _memo_folder() -> str:
    from . import cache

    chosen = cache.settings()
    if not chosen.enabled:
        return os.devnull
    return os.path.join(chosen.directory or cache.default_directory(), "plugins")


def _ask_a_process(name: str, library: str, before: Sequence[str]) -> str | None:
    import subprocess

    python = sys.executable
    if not python or "python" not in os.path.basename(python).lower():
        return None  # Python within another program: there is nothing to start
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    command = [python, "-m", "canter_pjrt.probe", name, library, *before]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=_TIMEOUT, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return f"did not answer within {_TIMEOUT:.0f} seconds"
    except OSError:
        return None
    try:
        answer = json.loads(done.stdout.decode(errors="replace").splitlines()[-1])
    except (IndexError, ValueError):
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        return f"ends the process that loads it ({how})"
    return answer.get("problem")


def _main(name: str, library: str, before: Sequence[str]) -> None:
    from .jaxlib_door import quiet

    quiet()
    for path in before:
        try:
            ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
        except OSError:
            pass  # the plugin will tell what it misses
    try:
        version = api_version(library)
    except OSError as error:
        print(json.dumps({"problem": f"cannot be loaded: {error}"}))
        return
    if version[0] != 0:
        print(json.dumps({"problem": f"speaks version {version[0]}.{version[1]} of the PJRT C API, not 0.x"}))
        return
    from . import jaxlib_door

    try:
        jaxlib_door.load_pjrt_plugin_dynamically(name, library)
        jaxlib_door.initialize_pjrt_plugin(name)
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        print(json.dumps({"problem": f"refuses to start: {text}", "version": version}))
        return
    print(json.dumps({"problem": None, "version": version}))


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], sys.argv[3:])
    sys.stdout.flush()
    os._exit(0)  # some plugins do not like to be unloaded
