"""Gives the transformations the array operations that they need; they stand a floor below."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from ..core.memory import Space
from ..transforms.rules import array_ops
from .arithmetic import add
from .comparison import eq
from .conversion import _convert_element_type, as_array, broadcasted_iota, convert_element_type, full
from .reductions import reduce_sum
from .shapes import broadcast_in_dim, expand_dims, reshape, transpose
from .slicing import dynamic_slice_p, slice as slice_

__all__: list[str] = []


def _eye(rows: int, columns: int, offset: int, dtype: Any) -> Any:
    """A matrix of zeros with ones where column - row = offset."""
    row = broadcasted_iota(np.dtype(np.int32), (rows, columns), 0)
    column = broadcasted_iota(np.dtype(np.int32), (rows, columns), 1)
    return convert_element_type(eq(add(row, np.int32(offset)), column), dtype)


def _move_to_memory(x: Any, kind: Any) -> Any:
    """The array in a memory of its device, by the memory's kind."""
    spaces = {"device": Space.Device, "pinned_host": Space.Host}
    space = kind if isinstance(kind, Space) else spaces.get(kind)
    if space is None:
        raise ValueError(
            f"There is no memory of kind {kind!r} that values can be offloaded to; the kinds are "
            f"{', '.join(map(repr, spaces))}."
        )
    return import_module("canter.runtime.device_put").device_put(
        x, space, may_alias=False
    )  # which stands on a higher floor


def _resharded(x: Any, sharding: Any) -> Any:
    return import_module("canter.lax.sharding").resharded(x, sharding)  # few programs need it


array_ops.as_array = as_array
array_ops.broadcast_in_dim = broadcast_in_dim
array_ops.convert_element_type = convert_element_type
array_ops.dynamic_slice_p = dynamic_slice_p
array_ops.expand_dims = expand_dims
array_ops.eye = _eye
array_ops.full = full
array_ops.move_to_memory = _move_to_memory
array_ops.reduce_sum = reduce_sum
array_ops.reshape = reshape
array_ops.resharded = _resharded
array_ops.slice = slice_
array_ops.transpose = transpose
array_ops.weaken = partial(_convert_element_type, weak_type=True)
