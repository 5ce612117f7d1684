"""One process holds Canter or JAX, never both.

jaxlib's array class is one per process and carries the Python methods of whichever framework came
first. A second one would silently replace them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

__all__ = ["refuse_second_framework"]

_MESSAGE = (
    "{second} cannot be imported into a process that has imported {first}: both give jaxlib's array class its "
    "methods. Import one of them only, run the other in a process of its own, or run libraries written for jax on "
    "canter through its compatibility layer (canter.compat)."
)


class _JaxRefused:
    """An import finder that refuses the installed jax, and leaves every other name alone."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        if name == "jax" and PathFinder.find_spec(name, path) is not None:
            raise ImportError(_MESSAGE.format(first="canter", second="jax"), name="jax")
        return None


def refuse_second_framework() -> None:
    """Raises ImportError if jax is loaded already, and sees to it that it is not loaded later."""
    if hasattr(sys.modules.get("jax"), "_src"):
        raise ImportError(_MESSAGE.format(first="jax", second="canter"))
    if not any(isinstance(finder, type) and finder.__name__ == "_JaxRefused" for finder in sys.meta_path):
        sys.meta_path.insert(0, _JaxRefused)
