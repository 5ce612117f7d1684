"""Words for the compiler that go with equations: they stand among the names of the scopes around them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .config import make_user_context

__all__ = ["Metadata", "carries_metadata", "in_force", "in_names", "is_used", "scopes_alone", "use"]


class Metadata(tuple[tuple[str, str], ...]):
    """Pairs of a key and a text, as an element of a name stack."""

    __slots__ = ()

    def __str__(self) -> str:
        return ",".join(f"{key}={text}" for key, text in self)


# A function that is traced under other metadata is another program. None until metadata is used: no other call pays.
_context: list[Any] = []


def use() -> Any:
    """The context whose value, pairs or None, is the metadata in force; made when first asked for."""
    if not _context:
        _context.append(make_user_context())
    return _context[0]


def is_used() -> bool:
    """Whether this process has used metadata."""
    return bool(_context)


def in_force(names: tuple[Any, ...]) -> tuple[Any, ...]:
    """The metadata in a name stack: what a function that is traced by itself keeps of the scopes around it."""
    return tuple(name for name in names if type(name) is Metadata) if _context else ()


def scopes_alone(names: Iterable[Any]) -> Iterable[Any]:
    """A name stack without metadata."""
    return (name for name in names if type(name) is not Metadata)


def in_names(names: Iterable[Any]) -> dict[str, str]:
    """What the metadata in a name stack says: the innermost has the last word."""
    found: dict[str, str] = {}
    for name in names:
        if type(name) is Metadata:
            found.update(name)
    return found


def carries_metadata(jaxpr: Any) -> bool:
    """Whether one of a jaxpr's own equations has metadata."""
    return bool(_context) and any(
        type(name) is Metadata
        for eqn in jaxpr.eqns
        if eqn.source_info is not None
        for name in eqn.source_info.name_stack
    )
