"""The compiler's flags as it has parsed them, in a form that is the same in every process.

The text of `XLA_FLAGS` does not tell them: it may name a file, the last of two values counts, and what is
written into the environment after the compiler has read it has no effect.
"""

from __future__ import annotations

import functools
from contextlib import suppress

from .jaxlib_door import CompileOptions
from .wire import fields

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
            with suppress(
                AttributeError, TypeError
            ):  # those that a version does not let one set are part of a name
                setattr(debug, name, type(getattr(debug, name))())
    message = options.SerializeAsString()
    for _ in range(2):
        message = b"".join(value for number, value in fields(message) if number == _DEBUG_OPTIONS)
    kept = [field for field in fields(message) if field[0] != _VIRTUAL_DEVICES]
    return repr(sorted(kept, key=repr)).encode()
