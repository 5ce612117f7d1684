"""Dimensions of shapes; all of them are constants."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

__all__ = ["is_constant_dim", "is_constant_shape", "max_dim", "min_dim"]


def is_constant_dim(d: Any) -> bool:
    """Whether a dimension is a number, not a symbol.

    Example:
      >>> from canter.core.dimensions import is_constant_dim
      >>> is_constant_dim(3)
      True
    """
    try:
        operator.index(d)
    except TypeError:
        return False
    return True


def is_constant_shape(s: Sequence[Any]) -> bool:
    """Whether all dimensions are numbers."""
    return all(map(is_constant_dim, s))


def max_dim(d1: Any, d2: Any) -> Any:
    """The greater of two dimensions."""
    return max(d1, d2)


def min_dim(d1: Any, d2: Any) -> Any:
    """The smaller of two dimensions."""
    return min(d1, d2)
