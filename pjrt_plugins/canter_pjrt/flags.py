"""The compiler's flags as it has parsed them, in a form that is the same in every process.

The text of `XLA_FLAGS` does not tell them: it may name a file, the last of two values counts, and what is
written into the environment after the compiler has read it has no effect.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from .jaxlib_door import CompileOptions

__all__ = ["flags_in_force"]

_DEBUG_OPTIONS = 3  # the field of that number in the build options, which are field 3 of the compile options
_VIRTUAL_DEVICES = 102  # how many devices there are is told by the devices of a program


@functools.cache
def flags_in_force() -> bytes:
    """What changes the code that is produced, as sorted fields of a message; flags that only dump are left out."""
    options = CompileOptions()
    build = options.executable_build_options  # `debug` lives no longer than this
    debug = build.debug_options
    for name in dir(debug):
        if name.startswith("xla_dump"):
            setattr(debug, name, type(getattr(debug, name))())
    message = options.SerializeAsString()
    for _ in range(2):
        message = b"".join(value for number, value in _fields(message) if number == _DEBUG_OPTIONS)
    kept = [field for field in _fields(message) if field[0] != _VIRTUAL_DEVICES]
    return repr(sorted(kept)).encode()


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a message in the wire format of protocol buffers: numbers and contents."""
    position = 0
    while position < len(message):
        tag, start = _varint(message, position)
        kind = tag & 7
        if kind == 0:
            _, position = _varint(message, start)
        elif kind == 2:
            length, start = _varint(message, start)
            position = start + length
        else:
            position = start + {1: 8, 5: 4}[kind]
        yield tag >> 3, message[start:position]


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, position
