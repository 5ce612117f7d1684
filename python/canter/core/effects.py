"""Effects: what an equation does besides giving its results."""

from __future__ import annotations

__all__ = ["Effect", "NamedAxisEffect", "no_effects"]


class Effect:
    """Base class of all effects. Equations that have one are never removed as dead code."""


class NamedAxisEffect(Effect):
    """The equation refers to a mapped axis by name."""

    __slots__ = ("name",)

    def __init__(self, name: object):
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NamedAxisEffect) and self.name == other.name

    def __hash__(self) -> int:
        return hash((NamedAxisEffect, self.name))

    def __repr__(self) -> str:
        return f"NamedAxis({self.name!r})"


no_effects: frozenset[Effect] = frozenset()
