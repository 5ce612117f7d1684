"""Source locations: which line of the user's program an operation comes from."""

from __future__ import annotations

import os
from typing import Any

from .mlir_door import ir, location_cache

__all__ = ["Locations"]

_FRAMES = 10
_packages: tuple[str, ...] | None = None


def _own_packages() -> tuple[str, ...]:
    """The folders of Canter's packages, whose frames are of no interest to users."""
    global _packages
    if _packages is None:
        import canter
        import canter_pjrt

        files = [__file__, canter.__file__, canter_pjrt.__file__]
        _packages = tuple(os.path.dirname(os.path.abspath(str(file))) + os.sep for file in files)
    return _packages


def _user_filename(code: Any) -> str | None:
    filename: str = code.co_filename
    return None if filename.startswith(_own_packages()) else filename


class Locations:
    """Locations of one module, each built once.

    Args:
      context: the MLIR context.
      tracebacks: False leaves the lines of the user's program out and keeps the names of
        operations and scopes only.
    """

    def __init__(self, context: Any, tracebacks: bool = True):
        self.unknown = ir.Location.unknown()
        self._cache = location_cache(_user_filename, _FRAMES, context) if tracebacks else None
        self._names: dict[Any, str] = {}
        self._named: dict[str, Any] = {}

    def name(self, name: str) -> Any:
        """A location that is only a name."""
        found = self._named.get(name)
        if found is None:
            found = self._named[name] = ir.Location.name(name)
        return found

    def of(self, primitive_name: str, source: Any, prefix: tuple[Any, ...]) -> Any:
        """The location of an equation.

        Args:
          primitive_name: what its name ends with.
          source: its `SourceInfo`, or None.
          prefix: names of the scopes around the jaxpr it stands in.
        """
        if source is None:
            traceback, stack = None, ()
        else:
            traceback, stack = source
        key = primitive_name, stack, prefix
        name = self._names.get(key)
        if name is None:
            name = self._names[key] = "/".join(map(str, (*prefix, *stack, primitive_name)))
        if traceback is None or self._cache is None:
            return self.name(name)
        return ir.Location.name(name, self._cache.get(traceback))
