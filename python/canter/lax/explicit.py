"""The types of results where explicit mesh axes split operands: shape rule first, then the rule of layouts.

A primitive's rule of layouts stands in a table of its family, in `explicit_rules`. It computes with entries: for
each dimension of an array the tuple of mesh axes that split it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..core.avals import ShapedArray
from ..core.errors import ShardingTypeError
from ..core.explicit import check_layout, layout_over
from ..core.mesh import current_context, explicit_mesh
from ..core.partition_spec import PartitionSpec
from ..core.primitive import Primitive
from ..core.sharding import NamedSharding

__all__ = ["Application", "infer", "is_foreign"]

Entries = tuple[tuple[Any, ...], ...]


class Application:
    """One application of a primitive, as its rule of layouts sees it.

    Attributes:
      name: of the primitive.
      avals: types of the operands.
      specs: entries of the operands.
      outs: types of the results, without layouts.
      params: parameters.
      sizes: of the mesh axes.
      lenient: whether to choose a layout where it is ambiguous.
    """

    __slots__ = ("avals", "lenient", "mesh", "name", "outs", "params", "sizes", "specs")

    def __init__(self, primitive: Primitive, avals: Any, outs: Any, params: dict[str, Any], mesh: Any):
        self.name = primitive.name
        self.avals = avals
        self.outs = outs
        self.params = params
        self.mesh = mesh
        self.sizes = mesh.shape
        self.lenient = current_context().lenient
        self.specs: list[Entries] = [entries_of(aval) for aval in avals]

    def operands(self) -> str:
        """The types of the operands, for messages."""
        return ", ".join(aval.str_short(True) for aval in self.avals)

    def parts(self, axes: Sequence[Any]) -> int:
        """Into how many parts axes split a dimension."""
        return math.prod(self.sizes[axis] for axis in axes)

    def refuse(self, problem: str) -> tuple[Any, ...]:
        """Raises ShardingTypeError; in lenient contexts the dimension is whole."""
        if self.lenient:
            return ()
        raise ShardingTypeError(f"{problem} Got {self.name} of {self.operands()}.")

    def fitting(self, axes: tuple[Any, ...], size: int, was: int, advice: str = "") -> tuple[Any, ...]:
        """The axes of a dimension that changes its size."""
        if size == was or not axes or size % self.parts(axes) == 0:
            return axes
        names = ", ".join(map(str, axes))
        return self.refuse(
            f"A dimension that is split over {names} would go from size {was} to {size}, which is not divisible by "
            f"{self.parts(axes)}. Bring the operand to another layout with canter.reshard first{advice}."
        )

    def merged(self, positions: Sequence[int], rank: int) -> Entries:
        """The layout on which operands of one rank agree; a dimension that is whole agrees with everything."""
        found: list[tuple[Any, ...]] = [()] * rank
        for position in positions:
            for dim, axes in enumerate(self.specs[position]):
                if axes and found[dim] and axes != found[dim] and not self.lenient:
                    raise ShardingTypeError(
                        f"{self.name} got incompatible shardings for broadcasting: dimension {dim} is split over "
                        f"{_named(found[dim])} in one operand and over {_named(axes)} in another: {self.operands()}. "
                        "Bring one of them to the layout of the other with canter.reshard."
                    )
                found[dim] = found[dim] or axes
        return self._without_repeats(found)

    def _without_repeats(self, entries: Sequence[tuple[Any, ...]]) -> Entries:
        if not self.lenient:
            return tuple(entries)
        seen: set[Any] = set()
        kept = []
        for axes in entries:
            kept.append(() if seen & set(axes) else axes)
            seen |= set(axes)
        return tuple(kept)

    def finish(self, aval: Any, entries: Sequence[Any], sets: dict[str, Any] | None = None) -> Any:
        """The type of a result with its layout."""
        if type(aval) is not ShapedArray:
            return aval
        entries = self._without_repeats(entries)
        if self.lenient:
            entries = tuple(
                axes if size % self.parts(axes) == 0 else ()
                for axes, size in zip(entries, aval.shape, strict=True)
            )
        kept = (sets or {}).get("reduced", frozenset())
        if kept & {axis for axes in entries for axis in axes}:
            if not self.lenient:
                raise ShardingTypeError(
                    f"{self.name} of {self.operands()}: operands cannot be split over a mesh axis along which another "
                    "one is reduced. Bring the reduced one to a layout that is split there with canter.reshard."
                )
            sets = None
        check_layout(self.name, aval, self.mesh, entries, self.operands())
        spec = PartitionSpec(*entries, **(sets or {}))
        return aval.update(layout=layout_over(self.mesh, spec, len(aval.shape)))


def _named(axes: tuple[Any, ...]) -> str:
    return repr(axes[0]) if len(axes) == 1 else repr(axes)


def entries_of(aval: Any) -> Entries:
    """For each dimension the mesh axes that split it."""
    layout = aval.layout
    if layout is not None:
        return layout.spec.axes()
    return ((),) * len(getattr(aval, "shape", ()))


def _mesh_of(primitive: Primitive, avals: Any) -> Any:
    meshes = {aval.layout.mesh: aval for aval in avals if aval.layout is not None}
    if len(meshes) > 1 and current_context().lenient and len({mesh.shape_tuple for mesh in meshes}) == 1:
        # A derivative of what was done along axes of another type: the mesh that knows the axes of all layouts.
        return max(meshes, key=lambda mesh: len(mesh.explicit_axes))
    if len(meshes) > 1:
        listed = "; ".join(f"{aval.str_short(True)} over {mesh}" for mesh, aval in meshes.items())
        raise ValueError(
            f"{primitive.name} of operands over different meshes: {listed}. Bring them to one mesh with "
            "canter.reshard or canter.device_put."
        )
    return next(iter(meshes), None) or explicit_mesh()


def infer(primitive: Primitive, avals: Any, params: dict[str, Any]) -> Any:
    """What the primitive's shape rule gives, with layouts.

    Raises:
      ShardingTypeError: the layouts of operands do not fit together, or that of a result is not clear.
    """
    from .explicit_rules import RULES

    if primitive.name in _OWN_RULES or (primitive.name not in RULES and is_foreign(primitive)):
        return primitive.abstract_rule(*avals, **params)  # type: ignore[misc]
    mesh = _mesh_of(primitive, avals)
    bare = [aval if aval.layout is None else aval.update(layout=None) for aval in avals]
    result = primitive.abstract_rule(*bare, **params)  # type: ignore[misc]
    out, effects = result if primitive.effectful else (result, None)
    outs = list(out) if primitive.multiple_results else [out]
    application = Application(primitive, avals, outs, params, mesh)
    asked = params.get("out_sharding") or params.get("sharding")
    sets = _sums(application)
    if isinstance(asked, NamedSharding):
        outs = [aval.update(layout=layout_over(mesh, asked.spec, len(aval.shape))) for aval in outs]
    else:
        rule = RULES.get(primitive.name)
        if rule is None:
            if not primitive.elementwise:
                _unknown(application)
            rule = RULES["elementwise"]
        found = rule(application)
        if type(found) is not list:
            found = [found] * len(outs)
        outs = [application.finish(aval, each, sets) for aval, each in zip(outs, found, strict=True)]
    out = outs if primitive.multiple_results else outs[0]
    return (out, effects) if primitive.effectful else out


# Primitives whose shape rules know of layouts: they bring values to one, call programs that know theirs, or access
# references; or their operands, tokens and keys that are marked, have none.
_OWN_RULES = frozenset(
    "call_exported custom_lin device_put reshard sharding_constraint call_hi_primitive linear_call remat_opt new_ref "
    "empty_ref get swap addupdate freeze free_ref consume assert_consumed_value after_all psend precv dim_as_value "
    "platform_index value_of_struct xla_metadata_value".split()
)

_SUM_OF_SUMS = frozenset(
    "add sub add_any reduce_sum transpose reshape squeeze broadcast_in_dim convert_element_type copy expand_dims "
    "dynamic_slice slice concatenate neg mul div optimization_barrier dot_general reshard sharding_constraint "
    "device_put".split()
)


def _sums(application: Application) -> dict[str, Any]:
    """Over which axes results are sums yet to be made, or have cotangents that are."""
    unreduced = {aval.layout.spec.unreduced for aval in application.avals if aval.layout is not None}
    reduced = {aval.layout.spec.reduced for aval in application.avals if aval.layout is not None}
    total, kept = frozenset().union(*unreduced), frozenset().union(*reduced)
    if not total:
        return {"reduced": kept} if kept and application.name != "dot_general" else {}
    name = application.name
    sums = [aval.layout is not None and bool(aval.layout.spec.unreduced) for aval in application.avals]
    if (name in ("mul", "dot_general") and all(sums)) or (name == "div" and sums[1]):
        raise ShardingTypeError(
            f"{name} of {application.operands()}: operands are sums over mesh axes that have yet to be made, and a "
            "product or quotient of sums is not the sum of them. Make one of them first with canter.reshard."
        )
    whole = [aval.layout is None or aval.layout.spec.unreduced != total for aval in application.avals]
    if name not in _SUM_OF_SUMS or (name in ("add", "sub", "add_any") and any(whole)):
        if application.lenient:
            return {"unreduced": total} if name in _SUM_OF_SUMS else {}
        raise ShardingTypeError(
            f"{name} of {application.operands()}: an operand is a sum over the mesh axes {sorted(map(str, total))} "
            "that has yet to be made, and the operation would change it. Make the sum first with canter.reshard."
        )
    return {"unreduced": total}


def is_foreign(primitive: Primitive) -> bool:
    """Whether a primitive was declared outside of Canter: its results are split as its own rule says."""
    module = getattr(primitive.abstract_rule, "__module__", None) or ""
    return module.partition(".")[0] != "canter" and not primitive.elementwise


def _unknown(application: Application) -> None:
    if not application.lenient:
        raise ShardingTypeError(
            f"The primitive {application.name!r} has no rule for operands that explicit mesh axes split: "
            f"{application.operands()}. Call it inside canter.sharding.auto_axes, or bring the operands to every "
            "device with canter.reshard(x, P())."
        )
