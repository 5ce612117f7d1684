"""Source locations: which line of the user's program an operation comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from canter.core import source as user_source
from canter.core.config import traceback_in_locations_limit
from canter.core.metadata import scopes_alone

from .mlir_door import ir, location_cache

__all__ = ["Locations"]

_ALL_FRAMES = 1000


def _user_filename(code: Any) -> str | None:
    """The file of a frame, or None for the framework's own, which are of no interest to users."""
    filename: str = code.co_filename
    return filename if user_source.is_user_file(filename) else None


class Locations:
    """Locations of one module, each built once.

    Args:
      context: the MLIR context.
      tracebacks: False leaves the lines of the user's program out and keeps the names of
        operations and scopes only.
    """

    def __init__(self, context: Any, tracebacks: bool = True):
        self.unknown = ir.Location.unknown()
        limit = traceback_in_locations_limit.value
        frames = _ALL_FRAMES if limit < 0 else limit
        self._cache = location_cache(_user_filename, frames, context) if tracebacks and frames else None
        self._names: dict[Any, dict[Any, str]] = {}
        self._named: dict[str, Any] = {}

    def name(self, name: str) -> Any:
        """A location that is only a name."""
        found = self._named.get(name)
        if found is None:
            found = self._named[name] = ir.Location.name(name)
        return found

    def under(self, prefix: tuple[Any, ...]) -> Callable[[str, Any], Any]:
        """A function that gives the locations of the equations of one jaxpr.

        Args:
          prefix: names of the scopes around the jaxpr.

        Returns:
          A function of the name of a primitive, and the `SourceInfo` of the equation or None.
        """
        names = self._names.setdefault(prefix, {})
        get_lines = self._cache.get if self._cache is not None else None
        named, of_name = ir.Location.name, self.name

        def location_of(primitive_name: str, source: Any) -> Any:
            traceback, stack = (None, ()) if source is None else source
            key = primitive_name, stack
            name = names.get(key)
            if name is None:
                name = names[key] = "/".join(map(str, scopes_alone((*prefix, *stack, primitive_name))))
            if traceback is None or get_lines is None:
                return of_name(name)
            return named(name, get_lines(traceback))

        return location_of
