"""`PartitionSpec`: over which mesh axes each dimension of an array is split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["P", "PartitionSpec", "Unconstrained"]


class Unconstrained:
    """The entry of a dimension whose layout the compiler may choose."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNCONSTRAINED"

    def __reduce__(self) -> Any:
        return "_unconstrained"

    def __deepcopy__(self, memo: Any) -> Unconstrained:
        return self

    def __copy__(self) -> Unconstrained:
        return self


_unconstrained = Unconstrained()


def _entry(given: Any) -> Any:
    """One axis stands for itself, several as a tuple, none as None."""
    if isinstance(given, (tuple, list)):
        axes = tuple(given)
        return axes[0] if len(axes) == 1 else axes or None
    return given


class PartitionSpec:
    """Over which mesh axes each dimension of an array is split.

    Args:
      *partitions: for each dimension None (not split), the name of a mesh axis, a tuple of names
        (the first is the outermost), or `PartitionSpec.UNCONSTRAINED` (the compiler chooses).
        Dimensions without an entry are not split.
      unreduced: mesh axes over which the array is a sum yet to be made.
      reduced: mesh axes over which cotangents of the array stay such sums.

    Raises:
      TypeError: `unreduced` or `reduced` is not a set of names.
      ValueError: an axis splits a dimension and is unreduced as well.

    >>> import canter as ct
    >>> ct.P("data", None, ("x", "y"))
    P('data', None, ('x', 'y'))
    """

    __slots__ = ("_hash", "partitions", "reduced", "unreduced")

    UNCONSTRAINED = _unconstrained
    partitions: tuple[Any, ...]
    unreduced: frozenset[Any]
    reduced: frozenset[Any]

    def __init__(self, *partitions: Any, unreduced: Any = frozenset(), reduced: Any = frozenset()):
        for name, axes in (("unreduced", unreduced), ("reduced", reduced)):
            if not isinstance(axes, (set, frozenset)):
                raise TypeError(f"PartitionSpec: {name} takes a set of mesh axes; got {axes!r}.")
        self.partitions = tuple(map(_entry, partitions))
        self.unreduced, self.reduced = frozenset(unreduced), frozenset(reduced)
        if self.unreduced or self.reduced:
            named = {axis for axes in self.axes() for axis in axes}
            both = named & (self.unreduced | self.reduced) or self.unreduced & self.reduced
            if both:
                raise ValueError(
                    f"PartitionSpec: the axes {sorted(map(str, both))} have two roles in {self}."
                )
        self._hash = hash((self.axes_trimmed(), self.unreduced, self.reduced))

    def axes(self) -> tuple[tuple[Any, ...], ...]:
        """For each entry the mesh axes as a tuple; none where the entry is None or unconstrained."""
        return tuple(
            ()
            if entry is None or entry is _unconstrained
            else entry
            if isinstance(entry, tuple)
            else (entry,)
            for entry in self.partitions
        )

    def axes_trimmed(self) -> tuple[Any, ...]:
        """The entries without the Nones at the end."""
        entries = self.partitions
        count = len(entries)
        while count and entries[count - 1] is None:
            count -= 1
        return entries[:count]

    def update(self, *, partitions: Any = None, unreduced: Any = None, reduced: Any = None) -> PartitionSpec:
        """A copy with some fields changed."""
        return PartitionSpec(
            *(self.partitions if partitions is None else partitions),
            unreduced=self.unreduced if unreduced is None else unreduced,
            reduced=self.reduced if reduced is None else reduced,
        )

    def __iter__(self) -> Iterator[Any]:
        return iter(self.partitions)

    def __len__(self) -> int:
        return len(self.partitions)

    def __getitem__(self, index: Any) -> Any:
        return self.partitions[index]

    def index(self, value: Any) -> int:
        """The position of an entry."""
        return self.partitions.index(_entry(value))

    def count(self, value: Any) -> int:
        """How often an entry occurs."""
        return self.partitions.count(_entry(value))

    def __add__(self, other: Any) -> PartitionSpec:
        if isinstance(other, PartitionSpec):
            return PartitionSpec(
                *self.partitions, *other.partitions,
                unreduced=self.unreduced | other.unreduced, reduced=self.reduced | other.reduced,
            )  # fmt: skip
        return (
            self.update(partitions=(*self.partitions, *other)) if isinstance(other, tuple) else NotImplemented
        )

    def __radd__(self, other: Any) -> PartitionSpec:
        return (
            self.update(partitions=(*other, *self.partitions)) if isinstance(other, tuple) else NotImplemented
        )

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, PartitionSpec)
            and self.partitions == other.partitions
            and self.unreduced == other.unreduced
            and self.reduced == other.reduced
        )

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> Any:
        return _rebuild, (self.partitions, self.unreduced, self.reduced)

    def __repr__(self) -> str:
        entries = ", ".join(map(repr, self.partitions))
        sets = [f"{name}={set(axes)!r}" for name in ("unreduced", "reduced") if (axes := getattr(self, name))]
        if sets:
            return f"P({', '.join(filter(None, [entries, *sets]))})"
        return f"P({entries},)" if len(self.partitions) == 1 else f"P({entries})"


def _rebuild(partitions: Any, unreduced: Any, reduced: Any) -> PartitionSpec:
    return PartitionSpec(*partitions, unreduced=unreduced, reduced=reduced)


P = PartitionSpec
