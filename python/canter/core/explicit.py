"""Layouts in types: how the explicit axes of a mesh split the arrays of a type.

Only axes of type `Explicit` stand in types. An array that none of them splits has a type without a layout, the
same as where no mesh is in force, so that programs which use none pay nothing.
"""

from __future__ import annotations

import functools
import math
from typing import Any

from .avals import ShapedArray
from .errors import ShardingTypeError
from .mesh import AbstractMesh, AxisType, current_context, explicit_mesh
from .partition_spec import PartitionSpec
from .sharding import NamedSharding, check_spec

__all__ = [
    "check_asked",
    "check_explicit",
    "check_layout",
    "check_sum_asked",
    "check_sums",
    "explicit_part",
    "global_layout",
    "layout_over",
    "local_layout",
    "refuse_sums",
    "sharding_asked",
    "typed",
    "with_dimension",
    "without_dimension",
]


@functools.lru_cache(maxsize=4096)
def layout_over(mesh: AbstractMesh, spec: PartitionSpec, ndim: int) -> NamedSharding | None:
    """The layout of a type: what a spec says of the explicit axes of a mesh; None if it says nothing.

    Raises:
      ValueError: the spec has entries beyond the dimensions.
    """
    explicit = frozenset(mesh.explicit_axes)
    axes = spec.axes()
    if any(axes[ndim:]):
        raise ValueError(f"{spec} has {len(axes)} entries, but the array has {ndim} dimensions.")
    entries = [tuple(name for name in own if name in explicit) for own in axes[:ndim]]
    unreduced, reduced = spec.unreduced & explicit, spec.reduced & explicit
    if not (any(entries) or unreduced or reduced):
        return None
    entries += [()] * (ndim - len(entries))
    return NamedSharding(mesh, PartitionSpec(*entries, unreduced=unreduced, reduced=reduced))


def explicit_part(sharding: Any, ndim: int) -> NamedSharding | None:
    """What the sharding of an array puts into its type."""
    if type(sharding) is not NamedSharding or AxisType.Explicit not in sharding.mesh.axis_types:
        return None
    return layout_over(sharding.mesh.abstract_mesh, sharding.spec, ndim)


def typed(aval: Any, sharding: Any) -> Any:
    """The type of an array with a sharding."""
    if type(aval) is not ShapedArray:
        return aval
    layout = explicit_part(sharding, len(aval.shape))
    return aval if layout is aval.layout or layout == aval.layout else aval.update(layout=layout)


def sharding_asked(given: Any, function: str) -> NamedSharding:
    """A sharding over the mesh in force for what a user gave as `out_sharding`.

    Raises:
      ValueError: there is no mesh, or it has no such axes.
      TypeError: neither a spec nor a `NamedSharding`.
    """
    if isinstance(given, NamedSharding):
        return given
    if not isinstance(given, PartitionSpec):
        raise TypeError(
            f"{function}: a PartitionSpec or a NamedSharding is needed; got {given!r:.80} of type "
            f"{type(given).__name__}."
        )
    mesh = current_context().abstract
    if mesh is None:
        raise ValueError(
            f"{function}: the spec {given} needs a mesh; set one with canter.set_mesh(mesh), or give "
            f"NamedSharding(mesh, {given})."
        )
    return NamedSharding(mesh, given)


def check_explicit(where: str, sharding: Any) -> None:
    """Checks that a sharding of types names explicit axes only.

    Args:
      where: the function that the sharding was given to.
      sharding: a spec over the mesh in force, or a `NamedSharding`; others are let through.

    Raises:
      ValueError: it names axes of type Auto or Manual.
    """
    spec = getattr(sharding, "spec", sharding)
    mesh = getattr(sharding, "mesh", None) or current_context().abstract
    if mesh is None or not isinstance(spec, PartitionSpec) or mesh.are_all_axes_explicit:
        return
    types = mesh._name_to_type
    for name in (name for axes in spec.axes() for name in axes):
        if types.get(name, AxisType.Explicit) is not AxisType.Explicit:
            raise ValueError(
                f"PartitionSpec passed to {where} cannot contain axis names that are of type Auto or Manual. Got "
                f"PartitionSpec: {spec} with axis name: {name} of type: AxisType.{types[name].name}. Use "
                "canter.lax.with_sharding_constraint along such axes."
            )


def without_dimension(layout: NamedSharding, dim: int) -> NamedSharding | None:
    """The layout of the elements along a dimension."""
    spec = layout.spec
    entries = [entry for position, entry in enumerate(spec) if position != dim]
    return layout_over(layout.mesh, spec.update(partitions=entries), len(entries))


def with_dimension(aval: Any, dim: int, axes: Any) -> NamedSharding | None:
    """The layout of values of a type stacked along a new dimension, which axes of the mesh split."""
    layout, mesh = aval.layout, explicit_mesh()
    entries = [None] * len(aval.shape) if layout is None else list(layout.spec)
    entries.insert(dim, axes or None)
    if layout is not None:
        return layout_over(layout.mesh, layout.spec.update(partitions=entries), len(entries))
    return None if mesh is None else layout_over(mesh, PartitionSpec(*entries), len(entries))


def local_layout(layout: NamedSharding | None, mesh: Any, axes: frozenset[Any]) -> NamedSharding | None:
    """What is left of a layout inside a region in which some axes of the mesh are manual."""
    if layout is None:
        return None
    inner = mesh.abstract_mesh.update_axis_types(dict.fromkeys(axes, AxisType.Manual))
    return layout_over(inner, layout.spec, len(layout.spec))


def global_layout(
    layout: NamedSharding | None, mesh: Any, spec: PartitionSpec, ndim: int
) -> NamedSharding | None:
    """The layout of a value, whose parts have a layout and are put together as a spec says."""
    inner = ((),) * ndim if layout is None else layout.spec.axes()
    outer = (*spec.axes(), *[()] * (ndim - len(spec)))
    entries = [(*own, *rest) for own, rest in zip(outer, inner, strict=True)]
    sets = {"unreduced": spec.unreduced, "reduced": spec.reduced}
    return layout_over(mesh.abstract_mesh, PartitionSpec(*entries, **sets), ndim)


def check_sums(own: Any, wanted: Any) -> None:
    """Checks that an array that is a sum yet to be made is not asked to become another such sum.

    Raises:
      ShardingTypeError: it is.
    """
    if own is not None and own._unreduced and wanted._unreduced and own._unreduced != wanted._unreduced:
        raise ShardingTypeError(
            f"An array that is a sum over {sorted(map(str, own._unreduced))} cannot become one over "
            f"{sorted(map(str, wanted._unreduced))}. Make the sum first, with canter.reshard(x, P())."
        )


def check_sum_asked(name: str, summed: Any, asked: Any) -> None:
    """Checks that a sum is left to be made along the axes that split the dimensions which it is over.

    Args:
      name: of the operation.
      summed: pairs of the type of an operand and its dimensions that are summed over.
      asked: what was given as `out_sharding`.

    Raises:
      ShardingTypeError: it is asked for along others.
    """
    wanted = getattr(getattr(asked, "spec", asked), "unreduced", None)
    split = [
        set() if aval.layout is None else {axis for dim in dims for axis in aval.layout.spec.axes()[dim]}
        for aval, dims in summed
    ]
    if wanted and any(axes != wanted for axes in split):
        types = ", ".join(aval.str_short(True) for aval, _ in summed)
        raise ShardingTypeError(
            f"{name} of {types}: out_sharding's unreduced axes should be equal to the axes that split what is summed. "
            f"Got unreduced axes {sorted(map(str, wanted))}, and sums over {[sorted(map(str, s)) for s in split]}."
        )


def refuse_sums(name: str, avals: Any) -> None:
    """Checks that no operand of a loop is a sum yet to be made: the compiler would make it in each round.

    Raises:
      ShardingTypeError: one is.
    """
    for aval in avals:
        if getattr(aval, "layout", None) is not None and aval.layout._unreduced:
            raise ShardingTypeError(
                f"{name} of an operand of type {aval.str_short(True)}, a sum over mesh axes that has yet to be made, "
                "which loops cannot take. Make the sum before the loop, with canter.reshard."
            )


def check_layout(name: str, aval: Any, mesh: Any, axes: Any, operands: str) -> None:
    """Checks the layout of a result.

    Raises:
      ShardingTypeError: a mesh axis splits two dimensions, or a dimension that it does not divide.
    """
    seen: set[Any] = set()
    for size, own in zip(aval.shape, axes, strict=True):
        parts = math.prod(mesh.shape[axis] for axis in own)
        if size % parts:
            raise ShardingTypeError(
                f"{name} with operands {operands} would split a dimension of size {size} over the mesh axes "
                f"{', '.join(map(str, own))} of size {parts}, which does not divide it. Bring the operand to another "
                "layout with canter.reshard first, or give out_sharding= where the function takes it."
            )
        for axis in own:
            if axis in seen:
                raise ShardingTypeError(
                    f"{name} operation with inputs: {operands} produces an illegally sharded result: two dimensions of "
                    f"{aval.str_short(True)} would be split over the mesh axis {axis!r}. Bring an operand to another "
                    "layout with canter.reshard first, or say with out_sharding= how the result is split."
                )
            seen.add(axis)


def check_asked(where: str, sharding: NamedSharding, shape: tuple[int, ...]) -> None:
    """Checks that an array can be laid out as asked.

    Raises:
      ValueError: the spec names unknown axes, or a dimension is not divisible.
    """
    check_spec(sharding.mesh, sharding.spec, f"{where}: ")
    if any(sharding.spec.axes()[len(shape) :]):
        raise ValueError(
            f"{where}: {sharding.spec} has {len(sharding.spec)} entries, but the array of shape {list(shape)} has "
            f"{len(shape)} dimensions. Leave out the last {len(sharding.spec) - len(shape)}."
        )
    sizes = sharding.mesh.shape
    for dim, own in enumerate(sharding.spec.axes()[: len(shape)]):
        parts = math.prod(sizes[axis] for axis in own)
        if shape[dim] % parts:
            raise ValueError(
                f"{where}: dimension {dim} of size {shape[dim]} of an array of shape {list(shape)} cannot be split "
                f"over the mesh axes {own} of {parts} devices by {sharding.spec}: the size should be divisible by "
                f"{parts}. Pad the array, or leave the dimension whole."
            )
