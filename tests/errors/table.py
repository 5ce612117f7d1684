"""The form of the table of mistakes.

Each mistake is a function that makes it; the line at which the user is to be shown carries `# <-`.
"""

from collections.abc import Callable
from typing import NamedTuple


class Mistake(NamedTuple):
    """A mistake, and what its error must tell.

    `kind` is the exception's class, `shows` are words that the message must contain (names, paths, shapes,
    dtypes), `fix` is a part of the advice it must give.
    """

    make: Callable[[], object]
    kind: type[BaseException]
    shows: tuple[str, ...]
    fix: str


def table() -> tuple[list[Mistake], Callable[..., Callable]]:
    """An empty table, and the decorator that adds a mistake to it."""
    mistakes: list[Mistake] = []

    def mistake(kind: type[BaseException], *shows: str, fix: str) -> Callable:
        def add(make: Callable[[], object]) -> Callable[[], object]:
            mistakes.append(Mistake(make, kind, shows, fix))
            return make

        return add

    return mistakes, mistake
