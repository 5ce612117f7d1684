"""Dimensions of shapes: ints, and symbolic ones in programs that are exported for many shapes.

The class of symbolic dimensions is loaded when one is made; as long as all dimensions are ints nothing here
looks for it.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = [
    "has_symbolic_shapes",
    "has_symbols",
    "dimension_as_value",
    "is_constant_dim",
    "is_constant_shape",
    "is_symbolic_dim",
    "max_dim",
    "min_dim",
    "size_of",
    "sizes_of",
    "surely_less",
]


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


def is_symbolic_dim(p: Any) -> bool:
    """Whether a value is a symbolic dimension.

    Example:
      >>> from canter.export import is_symbolic_dim, symbolic_shape
      >>> is_symbolic_dim(3), is_symbolic_dim(symbolic_shape("b")[0])
      (False, True)
    """
    return hasattr(type(p), "__jax_dimension__")


def has_symbols(shape: Iterable[Any]) -> bool:
    """Whether a shape has dimensions that are not ints."""
    return any(map(is_symbolic_dim, shape))


def has_symbolic_shapes(avals: Iterable[Any]) -> bool:
    """Whether any of some avals has a symbolic dimension."""
    return any(has_symbols(getattr(aval, "shape", ())) for aval in avals)


def size_of(value: Any) -> Any:
    """A size as an int, or the symbolic dimension itself.

    Raises:
      TypeError: the value is neither.
    """
    try:
        return operator.index(value)
    except TypeError:
        if is_symbolic_dim(value):
            return value
        raise


def sizes_of(values: Iterable[Any]) -> tuple[Any, ...]:
    """Sizes as a tuple of ints and symbolic dimensions.

    Raises:
      TypeError: a value is neither.
    """
    values = tuple(values)
    try:
        return tuple(map(operator.index, values))
    except TypeError:
        return tuple(map(size_of, values))


def max_dim(d1: Any, d2: Any) -> Any:
    """The greater of two dimensions.

    Example:
      >>> from canter.core.dimensions import max_dim
      >>> from canter.export import symbolic_shape
      >>> max_dim(symbolic_shape("b")[0], 4)
      max(b, 4)
    """
    if is_symbolic_dim(d1) or is_symbolic_dim(d2):
        from .symbolic.expressions import maximum

        return maximum(d1, d2)
    return max(d1, d2)


def min_dim(d1: Any, d2: Any) -> Any:
    """The smaller of two dimensions, as `max_dim`."""
    if is_symbolic_dim(d1) or is_symbolic_dim(d2):
        from .symbolic.expressions import minimum

        return minimum(d1, d2)
    return min(d1, d2)


def surely_less(d1: Any, d2: Any) -> bool:
    """Whether one dimension is less than another for all values of the dimension variables."""
    if is_symbolic_dim(d1) or is_symbolic_dim(d2):
        return bool((d1 if is_symbolic_dim(d1) else d2).scope.proves(d2 - d1 - 1))
    return bool(d1 < d2)


def dimension_as_value(d: Any) -> Any:
    """A dimension as a value that arrays can be computed from.

    Args:
      d: an int, which is returned as it is, or a symbolic dimension, which becomes an integer array without
        dimensions in the program being traced.

    Raises:
      NotImplementedError: the dimension is symbolic and no program is being traced.

    Example:
      >>> from canter.core.dimensions import dimension_as_value
      >>> dimension_as_value(3)
      3
    """
    return d.__jax_array__() if is_symbolic_dim(d) else d
