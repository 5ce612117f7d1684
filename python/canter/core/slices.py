"""Slices of a fixed size that start anywhere, also at a traced number."""

from __future__ import annotations

import operator
from typing import Any

from .pytree_registry import register_pytree_node
from .trace import Tracer

__all__ = ["Slice", "ds"]


class Slice:
    """Every `stride`th element from `start` on, `size` of them. `ds` makes it; arrays and references are indexed by it.

    Attributes:
      start: an integer or an integer scalar array.
      size: how many elements.
      stride: the distance between two of them.

    Raises:
      ValueError: `stride` is negative.
    """

    __slots__ = ("size", "start", "stride")

    def __init__(self, start: Any, size: Any, stride: int = 1):
        if stride < 0:
            raise ValueError(f"The stride of a slice must not be negative, got {stride}.")
        self.start, self.size, self.stride = start, size, stride

    @classmethod
    def from_slice(cls, slc: slice, size: int) -> Slice:
        """A built-in slice of a dimension of the given size."""
        start, stop, step = slc.indices(size)
        return cls(start, len(range(start, stop, step)), step)

    @property
    def is_dynamic_start(self) -> bool:
        """Whether the start is an array."""
        return not isinstance(self.start, int)

    @property
    def is_dynamic_size(self) -> bool:
        """Whether the size is an array; such a slice indexes nothing here."""
        return not isinstance(self.size, int)

    def static_size(self, dimension: int) -> int:
        """The size, checked against that of the dimension it is taken from.

        Raises:
          TypeError: it is traced.
          ValueError: it is negative or too large.
        """
        if isinstance(self.size, Tracer):
            raise TypeError(
                "The size of a slice must be an integer: the result's shape would depend on a value."
            )
        size = operator.index(self.size)
        if not 0 <= size or (size - 1) * self.stride >= dimension:
            raise ValueError(f"{self!r} does not fit a dimension of size {dimension}.")
        return size

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Slice):
            return NotImplemented
        return (self.start, self.size, self.stride) == (other.start, other.size, other.stride)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Slice(start={self.start!r}, size={self.size!r}, stride={self.stride!r})"


register_pytree_node(
    Slice,
    lambda s: ((s.start,), (s.size, s.stride)) if s.is_dynamic_start else ((), (s.start, s.size, s.stride)),
    lambda fixed, start: Slice(*start, *fixed),
)


def ds(start: Any, size: Any = None, stride: int | None = None) -> slice | Slice:
    """A slice for indexing arrays and references, given by its start and its size.

    Args:
      start: where it starts: an integer or a (possibly traced) integer scalar array; None for all of the dimension.
        Without `size`, the size, and the start is 0.
      size: how many elements, an integer.
      stride: the distance between two elements, 1 if None.

    Raises:
      ValueError: `stride` is negative.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> ct.jit(lambda x, i: x[ct.ds(i, 2)])(cnp.arange(10), 4).tolist()
      [4, 5]
    """
    if start is None:
        return slice(None)
    if size is None:
        start, size = 0, start
    return Slice(start, size, 1 if stride is None else stride)
