"""Layouts of arrays in memory: in which order the dimensions lie there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..core import pytree
from ..core.avals import get_aval

__all__ = ["Format", "Layout", "with_layout_constraint"]


class _Auto:
    """In place of a layout: the compiler chooses."""

    def __repr__(self) -> str:
        return "AUTO"


@dataclass(frozen=True)
class Layout:
    """The order of an array's dimensions in memory.

    Args:
      major_to_minor: the dimensions, the one with the largest step first.
      tiling: how elements are grouped in tiles, on platforms that do.
      sub_byte_element_size_in_bits: the size of elements smaller than a byte, else 0.

    >>> from canter.experimental.layout import Layout
    >>> Layout((0, 1))
    Layout(major_to_minor=(0, 1), tiling=None, sub_byte_element_size_in_bits=0)
    """

    major_to_minor: tuple[int, ...]
    tiling: tuple[tuple[int, ...], ...] | None = None
    sub_byte_element_size_in_bits: int = 0

    AUTO: ClassVar[Any] = _Auto()


class Format:
    """A layout together with a sharding.

    Args:
      layout: a `Layout`, or None for the platform's own.
      sharding: a sharding, or None.

    >>> import canter as ct
    >>> from canter.experimental.layout import Format
    >>> ct.device_put(ct.numpy.ones(2), ct.numpy.ones(2).format).shape
    (2,)
    """

    __slots__ = ("layout", "sharding")

    def __init__(self, layout: Any = None, sharding: Any = None):
        if layout is not None and not isinstance(layout, (Layout, _Auto)):
            raise TypeError(f"Format: layout takes a Layout or None; got {layout!r}.")
        if isinstance(layout, Layout) and sharding is None:
            raise ValueError("Format: a concrete layout needs a sharding beside it.")
        self.layout = layout
        self.sharding = sharding

    def check_supported(self, where: str, ndim: int | None = None) -> None:
        """Checks that arrays can be kept so: in row-major order, or as the compiler likes.

        Raises:
          NotImplementedError: another order of dimensions, or tiles.
          ValueError: a layout of another number of dimensions than the array has.
        """
        check_row_major(self.layout, where, ndim)

    def check_concrete(self, where: str, ndim: int) -> None:
        """Checks that an array can be put so.

        Raises:
          ValueError: the layout or the sharding is left to a compiler.
          NotImplementedError: another order of dimensions than row-major, or tiles.
        """
        if isinstance(self.layout, _Auto) or self.sharding is None:
            raise ValueError(
                f"{where}: the sharding and the layout must be concrete, for no compiler is there to choose; got "
                f"{self}. Give Format(Layout(...), sharding), or a sharding alone."
            )
        self.check_supported(where, ndim)

    @property
    def device_local_layout(self) -> Any:
        """The layout."""
        return self.layout

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Format) and (self.layout, self.sharding) == (other.layout, other.sharding)

    def __hash__(self) -> int:
        return hash((self.layout, self.sharding))

    def __repr__(self) -> str:
        return f"Format(layout={self.layout}, sharding={self.sharding})"


def format_of(array: Any) -> Format:
    """The layout and the sharding of an array."""
    order = tuple(range(len(array.aval.shape)))
    text = str(array._pjrt_layout)
    inside = text[text.find("{") + 1 : text.find("}")].split(":")[0]
    if inside.strip():
        order = tuple(int(number) for number in inside.split(","))[::-1]
    return Format(Layout(order, (), 0), array.sharding)


def format_of_aval(aval: Any, sharding: Any) -> Format:
    """How programs take and give arrays of a type: in row-major order."""
    return Format(Layout(tuple(range(len(aval.shape))), (), 0), sharding)


def check_row_major(layout: Any, where: str, ndim: int | None = None) -> None:
    """Refuses layouts other than the one in which all arrays are kept.

    Raises:
      NotImplementedError: such a layout.
      ValueError: a layout of another number of dimensions.
    """
    if not isinstance(layout, Layout):
        return
    if ndim is not None and len(layout.major_to_minor) != ndim:
        raise ValueError(
            f"{where}: the length of major_to_minor and the rank of the value should match, but {layout} is for "
            f"{len(layout.major_to_minor)} dimensions and the array has {ndim}."
        )
    if tuple(layout.major_to_minor) != tuple(range(len(layout.major_to_minor))) or layout.tiling:
        raise NotImplementedError(
            f"{where}: arrays are kept in row-major order; {layout} is not supported. Transpose the array instead."
        )


def with_layout_constraint(x: Any, layouts: Any) -> Any:
    """Fixes the layout of values inside a program. Arrays are row-major; other layouts are refused.

    Args:
      x: a tree of arrays.
      layouts: a `Layout`, or a tree of them like `x`.

    Raises:
      NotImplementedError: a layout that is not row-major.
      ValueError: a layout of another number of dimensions.

    >>> import canter as ct
    >>> from canter.experimental.layout import Layout, with_layout_constraint
    >>> with_layout_constraint(ct.numpy.ones((2, 2)), Layout((0, 1))).shape
    (2, 2)
    """
    leaves = pytree.tree_leaves(x)
    if isinstance(layouts, Layout):
        given = [layouts] * len(leaves)
    else:
        given, _ = pytree.tree_flatten(layouts, is_leaf=lambda y: isinstance(y, Layout))
    for leaf, layout in zip(leaves, given, strict=True):
        ndim = len(get_aval(leaf).shape)
        if len(layout.major_to_minor) != ndim:
            raise ValueError(
                f"{layout} has {len(layout.major_to_minor)} dimensions, but the array has {ndim}."
            )
        check_row_major(layout, "with_layout_constraint")
    return x
