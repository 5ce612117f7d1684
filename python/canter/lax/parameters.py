"""Arrays and dictionaries as parameters of equations, which are compared and hashed by what they hold."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["FrozenDict", "HashableArray", "plain"]


class HashableArray:
    """A NumPy array that is a parameter of an equation: compared by its elements."""

    __slots__ = ("_key", "val")

    def __init__(self, val: np.ndarray):
        self.val = np.array(val)
        self.val.flags.writeable = False
        self._key = (self.val.dtype, self.val.shape, self.val.tobytes())

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HashableArray) and self._key == other._key

    def __repr__(self) -> str:
        return f"HashableArray({self.val!r})"


class FrozenDict:
    """A dictionary that is a parameter of an equation: compared by its items."""

    __slots__ = ("value",)

    def __init__(self, value: dict[str, Any]):
        self.value = dict(value)

    def __hash__(self) -> int:
        return hash(tuple(sorted(self.value.items())))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FrozenDict) and self.value == other.value

    def __repr__(self) -> str:
        return f"FrozenDict({self.value!r})"


def plain(value: Any) -> Any:
    """A parameter as the attribute that the user gave."""
    if isinstance(value, FrozenDict):
        return {key: plain(item) for key, item in value.value.items()}
    return value.val if isinstance(value, HashableArray) else value
