"""Keys that tell numbers apart which Python takes for equal: 1 and True and 1.0, 0.0 and -0.0.

A program is made for a parameter's value and type. As the key of a dictionary 0.0 would find the program of -0.0, and
a nan nothing at all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["ExactMemory", "number_key", "value_key"]


def value_key(value: Any) -> Any:
    """A hashable stand-in for a scalar that tells 0.0 from -0.0 and equals itself for NaN."""
    kind = type(value)
    if kind is float:
        return value.hex()
    if kind is int or kind is bool:
        return value
    array = np.asarray(value)
    return array.tobytes(), array.dtype


def number_key(value: Any) -> tuple[Any, type]:
    """A stand-in for a parameter that tells numbers apart, also those in tuples; hashable if the parameter is."""
    kind = type(value)
    if isinstance(value, tuple):
        return tuple(map(number_key, value)), kind
    is_inexact = kind is float or kind is complex or isinstance(value, np.inexact)
    return value_key(value) if is_inexact else value, kind


class ExactMemory(dict[Any, Any]):
    """A cache whose keys are compared by `number_key`: for primitives in whose parameters the type or sign counts.

    Args:
      only: the one parameter of which they count, which spares the time for the others; None: of all.

    Example:
      >>> from canter.core.number_keys import ExactMemory
      >>> known = ExactMemory()
      >>> known["k", True] = "a switch"
      >>> known.get(("k", 1)), known.get(("k", True))
      (None, 'a switch')
    """

    __slots__ = ("only",)

    def __init__(self, only: str | None = None):
        self.only = only

    def _exact(self, key: Any) -> Any:
        return number_key(key) if self.only is None else (key, number_key(dict(key)[self.only]))

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(self._exact(key), default)

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(self._exact(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(self._exact(key), value)
