"""Between the forms of a module."""

from __future__ import annotations

from typing import Any

from canter_pjrt.jaxlib_door import mlir_conversions as _conversions

__all__ = [
    "deserialize_portable_artifact",
    "hlo_to_stablehlo",
    "lower_with_sharding_in_types",
    "refine_polymorphic_shapes",
    "serialize_portable_artifact",
]

deserialize_portable_artifact = _conversions.deserialize_portable_artifact
hlo_to_stablehlo = _conversions.hlo_to_stablehlo
refine_polymorphic_shapes = _conversions.refine_polymorphic_shapes
serialize_portable_artifact = _conversions.serialize_portable_artifact


def lower_with_sharding_in_types(ctx: Any, op: Any, aval: Any) -> Any:
    """Has a value keep the sharding of its type, where the type has one.

    Args:
      ctx: the context of the lowering rule.
      op: an MLIR value.
      aval: its type.
    """
    sharding = getattr(aval, "sharding", None)
    mesh = getattr(sharding, "mesh", None)
    if sharding is None or mesh is None or getattr(mesh, "empty", True):
        return op
    raise NotImplementedError(
        f"A sharding in a type is not lowered here: {aval}. Constrain the sharding instead."
    )
