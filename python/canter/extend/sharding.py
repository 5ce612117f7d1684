"""Shardings as the compiler has them, and their serialized form."""

from __future__ import annotations

from typing import Any

from canter_pjrt.jaxlib_door import (
    GSPMDSharding as GSPMDSharding,
    HloSharding as _HloSharding,
    OpSharding as _OpSharding,
)

__all__ = [
    "GSPMDSharding",
    "get_hlo_sharding_from_serialized_proto",
    "get_op_sharding_from_serialized_proto",
    "get_serialized_proto_from_hlo_sharding",
]


def get_op_sharding_from_serialized_proto(sharding: bytes) -> Any:
    """The `OpSharding` of a serialized one."""
    found = _OpSharding()
    found.ParseFromString(sharding)
    return found


def get_hlo_sharding_from_serialized_proto(sharding: bytes) -> Any:
    """The `HloSharding` of a serialized `OpSharding`."""
    return _HloSharding.from_proto(get_op_sharding_from_serialized_proto(sharding))


def get_serialized_proto_from_hlo_sharding(sharding: Any) -> bytes:
    """An `HloSharding` in its serialized form.

    Example:
      >>> from canter.extend import sharding
      >>> from canter_pjrt.jaxlib_door import HloSharding
      >>> data = sharding.get_serialized_proto_from_hlo_sharding(HloSharding.replicate())
      >>> sharding.get_hlo_sharding_from_serialized_proto(data)
      {replicated}
    """
    return sharding.to_proto().SerializeToString()
