"""Layouts of arrays in memory: in which order the dimensions lie there."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any, ClassVar

from canter_pjrt.jaxlib_door import (
    ArrayCopySemantics,
    Sharding,
    batched_copy_array_to_devices_with_sharding,
)

from ..core.avals import aval_in
from ..core.explicit import typed

__all__ = ["Format", "Layout", "custom_layouts"]


class _InUse:
    """Whether there may be arrays in other than row-major order; as long as there are none, nobody asks."""

    in_use = False


custom_layouts = _InUse()


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

    def __post_init__(self) -> None:
        object.__setattr__(self, "major_to_minor", tuple(self.major_to_minor))

    def with_dimension(self, dim: int, spmd_name: Any = None) -> Layout:
        """The layout of values stacked along a new dimension, which is the outermost in memory.

        Raises:
          NotImplementedError: the layout has tiles.
        """
        if self.tiling:
            raise NotImplementedError(
                f"{self} has tiles, for which vmap has no rule. Leave them to the compiler."
            )
        return Layout((dim, *(own + (own >= dim) for own in self.major_to_minor)))

    def check_fits(self, name: str, shape: tuple[int, ...]) -> None:
        """Checks that an array can lie so.

        Raises:
          ValueError: the layout is not an order of the array's dimensions.
        """
        order = self.major_to_minor
        if sorted(order) == list(range(len(shape))):
            return
        problem = "Length of major_to_minor and the rank of the value should match"
        if len(order) == len(shape):
            problem = "major_to_minor has to name each dimension once"
        raise ValueError(
            f"{name} is incompatible with its layout annotation {self}: {problem}. Got major_to_minor={order} and "
            f"shape={tuple(shape)}"
        )


AUTO = Layout.AUTO


class Format:
    """A layout together with a sharding.

    Args:
      layout: a `Layout`; `Layout.AUTO` where the compiler is to choose; None for the platform's own.
      sharding: a sharding, or None.

    Raises:
      TypeError: something else.
      ValueError: a layout without a sharding.

    >>> import canter as ct, numpy as np
    >>> from canter.experimental.layout import Format, Layout
    >>> columns = Format(Layout((1, 0)), ct.numpy.ones(2).sharding)
    >>> ct.device_put(np.ones((2, 3)), columns).format.layout.major_to_minor
    (1, 0)
    """

    __slots__ = ("layout", "sharding")

    def __init__(self, layout: Any = None, sharding: Any = None):
        if layout is not None and not isinstance(layout, (Layout, _Auto)):
            raise TypeError(
                f"Format: layout takes a Layout, Layout.AUTO or None; got {layout!r} of type {type(layout).__name__}."
            )
        if sharding is not None and not isinstance(sharding, Sharding):
            raise TypeError(
                f"Format: sharding takes a sharding such as NamedSharding, or None; got {sharding!r} of type "
                f"{type(sharding).__name__}."
            )
        if isinstance(layout, Layout) and sharding is None:
            raise ValueError("Format: a concrete layout needs a sharding beside it.")
        self.layout = layout
        self.sharding = sharding

    def check_concrete(self, where: str, name: str, shape: tuple[int, ...]) -> None:
        """Checks that an array can be put so.

        Raises:
          ValueError: the layout or the sharding is left to a compiler, or is not one of such arrays.
        """
        if isinstance(self.layout, _Auto) or self.sharding is None:
            raise ValueError(
                f"{where}: the sharding and the layout must be concrete, for no compiler is there to choose; got "
                f"{self}. Give Format(Layout(...), sharding), or a sharding alone."
            )
        if self.layout is not None:
            self.layout.check_fits(f"{where}: {name}", shape)

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


# ---- layouts as the compiler writes them: {minor,...,major:T(tile)E(bits)} -------------------------


@functools.lru_cache(maxsize=1024)
def told(text: str) -> Layout:
    """The layout that the compiler writes so."""
    order, _, rest = text[text.find("{") + 1 : text.find("}")].partition(":")
    tiles = re.match(r"T((?:\([\d,]*\))+)", rest)
    bits = re.search(r"E\((\d+)\)", rest)
    numbers = tuple(int(number) for number in order.split(",") if number.strip())
    groups = re.findall(r"\(([\d,]*)\)", tiles[1]) if tiles else ()
    tiling = tuple(tuple(int(n) for n in group.split(",") if n) for group in groups)
    return Layout(numbers[::-1], tiling, int(bits[1]) if bits else 0)


def written(layout: Any) -> str:
    """A layout, or `Layout.AUTO`, as the compiler reads it."""
    if layout is AUTO:
        return "auto"
    tiles = "".join(f"({','.join(map(str, tile))})" for tile in layout.tiling or ())
    return f"{{{','.join(map(str, layout.major_to_minor[::-1]))}{':T' + tiles if tiles else ''}}}"


@functools.lru_cache(maxsize=1024)
def unusual(layout: Any) -> Any:
    """A layout in the one form in which they are compared; None for row-major order."""
    if layout is None or layout is AUTO:
        return layout
    if not layout.tiling and layout.major_to_minor == tuple(range(len(layout.major_to_minor))):
        return None
    return Layout(layout.major_to_minor, layout.tiling or ())


def layout_of(array: Any) -> Any:
    """How an array lies in memory; None for row-major order."""
    return unusual(told(str(array._pjrt_layout)))


def format_of(array: Any) -> Format:
    """The layout and the sharding of an array."""
    return Format(told(str(array._pjrt_layout)), array.sharding)


def format_of_aval(aval: Any, sharding: Any, layout: Any = None) -> Format:
    """How a program takes or gives an array of a type; None is row-major order."""
    return Format(layout or Layout(tuple(range(len(aval.shape))), ()), sharding)


def relaid(array: Any, layout: Any) -> Any:
    """An array with another layout; None is row-major order."""
    if array.is_deleted():
        from .array import deleted_error

        raise deleted_error(array)
    if layout_of(array) == layout:
        return array
    wanted = layout or Layout(tuple(range(len(array.aval.shape))))
    return _same_as(Format(wanted, array._sharding))(array)


def copied_to(array: Any, sharding: Any, semantics: Any = ArrayCopySemantics.REUSE_INPUT) -> Any:
    """An array whose parts are on the devices of a sharding, in their order, in the same layout.

    Args:
      array: an array with the same parts.
      sharding: where they go.
      semantics: whether memory may be shared where they are there already.
    """
    if custom_layouts.in_use:
        order = layout_of(array)
        if order is not None:
            # The runtime's copies of arrays in another order have their elements in wrong places.
            from .device_put import to_device

            return relaid(to_device(array._value, array.aval, sharding), order)
    devices = sharding._internal_device_list
    copied = batched_copy_array_to_devices_with_sharding([array], [devices], [sharding], [semantics])[0]
    aval = aval_in(typed(array.aval, sharding), sharding)
    return copied if aval is array.aval else copied._rewrap_with_aval_and_sharding(aval, sharding)


@functools.lru_cache(maxsize=256)
def _same_as(target: Format) -> Any:
    from .jit import jit

    return jit(_same, out_shardings=target)


def _same(x: Any) -> Any:
    return x
