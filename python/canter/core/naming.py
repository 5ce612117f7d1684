"""Modules whose names come from others: each is loaded when first used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(
    module: str, places: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a module whose names are those of other modules.

    Args:
      module: the module's name.
      places: module -> the names that come from it, with spaces between; `new=old` gives a name a new one. A place
        that begins with a dot is a submodule.

    Example:
      >>> from canter.core.naming import lazy_names
      >>> load, names = lazy_names("canter.core.naming", {"math": "tau square_root=sqrt"})
      >>> names()
      ['square_root', 'tau']
      >>> load("square_root")(4.0)
      2.0
    """
    where = {}
    for place, publics in places.items():
        for public in publics.split():
            name, _, old = public.partition("=")
            where[name] = module + place if place.startswith(".") else place, old or name

    def load(name: str) -> Any:
        if name not in where:
            from .errors import unknown_attribute

            raise unknown_attribute(module, name, list(where))
        place, old = where[name]
        value = getattr(import_module(place), old)
        setattr(sys.modules[module], name, value)
        return value

    return load, lambda: sorted(where)
