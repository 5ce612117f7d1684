"""Tokens outside a compiled program."""

from __future__ import annotations

from .avals import abstract_token, register_aval

__all__ = ["Token"]


class Token:
    """Stands for a token where nothing is being traced: what it orders has happened already."""

    __slots__ = ("__weakref__",)

    def block_until_ready(self) -> Token:
        """Returns the token itself: there is nothing to wait for."""
        return self

    def __repr__(self) -> str:
        return "Token()"


register_aval(Token, lambda token: abstract_token)
