"""Modules from elsewhere are tried out in another process first.

jaxlib reads MLIR bytecode that a computer has written; of bytes that are damaged it says so most of the time, and
ends the process or never comes back the rest of the time. What Canter has written carries a digest that tells. The
modules of other artifacts are read by a child process once before this one reads them.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import Any

from ..core import config

__all__ = ["UntrustedModule", "checked", "read_untrusted", "trust"]

_SECONDS = 120
_UNREADABLE = 3
_PROGRAM = f"""
import sys
sys.path[:] = eval(sys.argv[1])
from canter_mlir.artifacts import read_artifact
try:
    read_artifact(sys.stdin.buffer.read()).operation.verify()
except Exception as error:
    print(str(error)[:600], file=sys.stderr)
    sys.exit({_UNREADABLE})
"""


class UntrustedModule(bytes):
    """The bytes of a module that came without a digest.

    Attributes:
      good: whether they are known to be readable.
    """

    good: bool = False


def checked(module: bytes) -> bytes:
    """The bytes of a module, once they are known to be readable.

    Raises:
      ValueError: they are not, or reading them ended the child process or took too long.
    """
    if not isinstance(module, UntrustedModule) or module.good:
        return module
    if not sys.executable or not config.check_untrusted_artifacts.value:
        return module  # no Python to start, as in a program that embeds one; or not wanted
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", _PROGRAM, repr(sys.path)]
    try:
        child = subprocess.run(
            command, input=bytes(module), capture_output=True, timeout=_SECONDS, env=environment
        )
    except subprocess.TimeoutExpired:
        raise _refused("reading it does not come to an end") from None
    if child.returncode == _UNREADABLE:
        raise _refused(child.stderr.decode(errors="replace").strip().partition("\n")[0])
    if child.returncode != 0:
        raise _refused(f"reading it ends the process (exit status {child.returncode})")
    module.good = True
    return module


_trusted: set[bytes] = set()


def trust(module: bytes) -> bytes:
    """The bytes of a module that this process wrote, which it may read again without ado."""
    _trusted.add(hashlib.sha256(module).digest())
    return module


def read_untrusted(module: bytes) -> Any:
    """The module in bytes from anywhere: a portable artifact, or bytecode.

    Raises:
      ValueError: the bytes are damaged.
    """
    from canter_mlir.artifacts import read_artifact

    if hashlib.sha256(module).digest() not in _trusted:
        checked(UntrustedModule(module))
        trust(module)
    return read_artifact(module)


def _refused(why: str) -> ValueError:
    return ValueError(f"The StableHLO module of the artifact is damaged: {why}. Copy the artifact again.")
