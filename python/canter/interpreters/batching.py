"""Rules of vectorization: `primitive_batchers` and helpers that declare them.

    batching.primitive_batchers[p] = rule        # rule(operands, dims, **params) -> (result, dim)
    batching.fancy_primitive_batchers[p] = rule  # rule(axis, operands, dims, **params) -> (result, dim)

A dim is the position of the batch axis, or None. `axis` has the attributes size, name and spmd_name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..transforms.rule_tables import RuleTable as _RuleTable
from ..transforms.rules import (
    bdim_at_front as _bdim_at_front,
    broadcast as _broadcast,
    defbroadcasting as defbroadcasting,
    defreducer as defreducer,
    defvectorized as defvectorized,
    not_mapped as not_mapped,
)
from ..transforms.vmappables import (
    register_vmappable as register_vmappable,
    unregister_vmappable as unregister_vmappable,
)

__all__ = [
    "axis_primitive_batchers",
    "bdim_at_front",
    "broadcast",
    "defbroadcasting",
    "defreducer",
    "defvectorized",
    "fancy_primitive_batchers",
    "primitive_batchers",
    "register_vmappable",
    "unregister_vmappable",
]


def _by_axis(rule: Callable[..., Any]) -> Callable[..., Any]:
    """From `rule(size, name, main type, operands, dims)`: the second argument of old is always None."""

    def batch(trace: Any, operands: Any, dims: Any, **params: Any) -> Any:
        return rule(trace.size, trace.name, None, operands, dims, **params)

    return batch


primitive_batchers = _RuleTable("batch_rule", instead_of="axis_batch_rule")
fancy_primitive_batchers = _RuleTable("axis_batch_rule", instead_of="batch_rule")
axis_primitive_batchers = _RuleTable("axis_batch_rule", adapt=_by_axis, instead_of="batch_rule")


def bdim_at_front(x: Any, bdim: int | None, size: int, mesh_axis: Any = None) -> Any:
    """The value with its batch axis first, repeated along a new one if it has none.

    Args:
      x: the value.
      bdim: its batch axis, or None.
      size: the size of the batch axis.
      mesh_axis: must be None: the sharding of a new axis is left to the compiler.

    Example:
      >>> import canter.numpy as cnp
      >>> from canter.interpreters import batching
      >>> batching.bdim_at_front(cnp.ones((2, 3)), 1, 3).shape
      (3, 2)
    """
    _refuse_mesh_axis(mesh_axis)
    return _bdim_at_front(x, bdim, size)


def broadcast(x: Any, sz: int, axis: int, mesh_axis: Any = None) -> Any:
    """Repeats a value along a new axis.

    Args:
      x: the value.
      sz: the size of the new axis.
      axis: where it is.
      mesh_axis: must be None: the sharding of a new axis is left to the compiler.

    Example:
      >>> import canter.numpy as cnp
      >>> from canter.interpreters import batching
      >>> batching.broadcast(cnp.ones(2), 3, 0).shape
      (3, 2)
    """
    _refuse_mesh_axis(mesh_axis)
    return _broadcast(x, sz, axis)


def _refuse_mesh_axis(mesh_axis: Any) -> None:
    if mesh_axis is not None:
        raise NotImplementedError(f"A batch axis over the mesh axis {mesh_axis!r}: pass mesh_axis=None.")
