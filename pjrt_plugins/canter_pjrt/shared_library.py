"""Looking at a shared library without loading it: is it whole, for this machine, and a PJRT plugin?

To load a file that is cut short, or made for another processor, can end the process; to read its headers
cannot. Only ELF (Linux) is read in detail; of other formats, only how they begin. ELF: the System V ABI,
chapters 4 and 5.
"""

from __future__ import annotations

import platform
import struct
import sys
from typing import BinaryIO

__all__ = ["ENTRY_POINT", "problem_of"]

#: What a plugin of the PJRT C API exports.
ENTRY_POINT = "GetPjrtApi"

_MACHINES = {62: ("x86_64", "amd64"), 183: ("aarch64", "arm64"), 243: ("riscv64",), 21: ("ppc64le",)}
_OTHER_FORMATS = {
    "darwin": (b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xfe\xed\xfa\xcf"),
    "win32": (b"MZ",),
}
_LOADED, _DYNAMIC = 1, 2  # types of segments
_STRINGS, _STRINGS_SIZE = 5, 10  # tags of the dynamic section


class _Broken(Exception):
    """What is wrong with the file, in words that follow its name."""


def problem_of(path: str) -> str | None:
    """What keeps a file from being a plugin of the PJRT C API, in words that follow its name; None if nothing.

    Args:
      path: of the file.

    Example:
      >>> from canter_pjrt.shared_library import problem_of
      >>> problem_of("nowhere/plugin.so")
      'is not there'
    """
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            _check(file, size)
    except (FileNotFoundError, NotADirectoryError):
        return "is not there"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    except _Broken as broken:
        return str(broken)
    except (struct.error, ValueError, OverflowError):
        return "is damaged: its headers do not hold together"
    return None


def _check(file: BinaryIO, size: int) -> None:
    start = file.read(64)
    if sys.platform in _OTHER_FORMATS:
        if not start.startswith(_OTHER_FORMATS[sys.platform]):
            raise _Broken("is no shared library")
        return
    if not start.startswith(b"\x7fELF") or len(start) < 64 or start[4:6] != b"\x02\x01":
        raise _Broken("is no shared library" + (" (it is empty)" if not size else ""))
    machine, _, _, segments_at, sections_at = struct.unpack_from("<HIQQQ", start, 18)
    segment_size, segments, section_size, sections = struct.unpack_from("<HHHH", start, 54)
    own = platform.machine().lower()
    if own not in _MACHINES.get(machine, (own,)):
        raise _Broken(f"is made for another processor, {_MACHINES[machine][0]}; this one is {own}")
    table = [
        struct.unpack("<IIQQQQQQ", _read(file, segments_at + i * segment_size, 56)) for i in range(segments)
    ]
    end = max([sections_at + sections * section_size, *(row[2] + row[5] for row in table)])
    if end > size:
        raise _Broken(f"is cut short: it has {size:,} bytes of {end:,}")
    if ENTRY_POINT.encode() not in _dynamic_names(file, table).split(b"\0"):
        raise _Broken(f"is a shared library without {ENTRY_POINT}, so no plugin of the PJRT C API")


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    if at + count > file.seek(0, 2):
        raise _Broken("is cut short: it ends within its headers")
    file.seek(at)
    return file.read(count)


def _dynamic_names(file: BinaryIO, segments: list[tuple[int, ...]]) -> bytes:
    """The table of names of what a library exports and needs."""
    for kind, _, offset, _, _, length, *_ in segments:
        if kind == _DYNAMIC:
            entries = dict(struct.iter_unpack("<QQ", _read(file, offset, length // 16 * 16)))
            break
    else:
        raise _Broken("is no shared library that can be loaded")
    address, count = entries[_STRINGS] if _STRINGS in entries else -1, entries.get(_STRINGS_SIZE, 0)
    for kind, _, offset, start, _, length, *_ in segments:
        if kind == _LOADED and start <= address < start + length:
            return _read(file, offset + address - start, count)
    raise _Broken("is damaged: it has no names")
