"""Python values as MLIR attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .mlir_door import ir
from .types import TypeTable

__all__ = ["ir_attribute"]


def ir_attribute(val: Any) -> Any:
    """A Python value as an MLIR attribute: numbers, strings, arrays, dtypes, and sequences and dicts of them.

    Raises:
      TypeError: there is no attribute for a value of its type.
    """
    types = TypeTable()
    if isinstance(val, ir.Attribute):
        return val
    if isinstance(val, (bool, np.bool_)):
        return ir.BoolAttr.get(bool(val))
    if isinstance(val, int):
        return types.integer(val)
    if isinstance(val, float):
        return ir.FloatAttr.get(ir.F64Type.get(), val)
    if isinstance(val, str):
        return ir.StringAttr.get(val)
    if isinstance(val, bytes):
        return ir.StringAttr.get(val)
    if isinstance(val, np.generic):
        kind = types.element(val.dtype)
        return (ir.IntegerAttr if val.dtype.kind in "iu" else ir.FloatAttr).get(kind, val.item())
    if isinstance(val, np.ndarray):
        return types.dense(val)
    if isinstance(val, np.dtype):
        return ir.TypeAttr.get(types.element(val))
    if isinstance(val, Mapping):
        return ir.DictAttr.get({name: ir_attribute(value) for name, value in val.items()})
    if isinstance(val, Sequence):
        return ir.ArrayAttr.get([ir_attribute(value) for value in val])
    raise TypeError(f"No MLIR attribute is made of a value of type {type(val).__name__}: {val!r:.80}.")
