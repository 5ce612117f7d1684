"""Numbers that stay on the device, for eager calls that take one as an operand.

A Python number is copied to the device by every call that takes it, which costs about half as much as the
call itself. Indices and constants of a program come again and again, so their arrays are kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from canter_pjrt.jaxlib_door import SingleDeviceSharding

from ..core import config
from ..core.trace import eval_trace, state
from .backend import on_clear
from .device_put import to_device

__all__ = ["constant", "operand", "operands"]

_MOST_KEPT = 4096
_NUMBERS = frozenset((bool, int, float, complex))
_arrays: dict[Any, Any] = {}
on_clear(_arrays.clear)


def operand(x: Any, value: Any) -> Any:
    """A static integer as an operand of an eager call with x, else the value as it is.

    Args:
      x: the array that the call works on.
      value: a Python int that int32 holds, or anything else.

    Returns:
      An int32 array that is not committed to its device, if x is on one device and nothing is being traced.
    """
    if type(value) is not int or state.trace is not eval_trace:
        return value
    if type(getattr(x, "_sharding", None)) is not SingleDeviceSharding:
        return value
    key = value, config.default_device.value
    array = _arrays.get(key)
    if array is None:
        if not -0x80000000 <= value <= 0x7FFFFFFF:
            return value
        if len(_arrays) >= _MOST_KEPT:
            _arrays.clear()
        array = _arrays[key] = to_device(np.int32(value))
    return array


def operands(x: Any, values: list[Any]) -> list[Any]:
    """Each of several values as `operand` gives it."""
    return [operand(x, value) for value in values]


def constant(x: Any, value: Any) -> Any:
    """A Python number as an operand of an eager call with x, else the value as it is.

    Args:
      x: the array that the call works on.
      value: a Python bool, int, float or complex number, or anything else.

    Returns:
      A weakly typed array that is not committed to its device, if x is on one device and nothing is being traced.
    """
    kind = type(value)
    if kind not in _NUMBERS or state.trace is not eval_trace:
        return value
    if type(getattr(x, "_sharding", None)) is not SingleDeviceSharding:
        return value
    # 0.0 and -0.0 are equal, but not the same.
    key = kind, value or repr(value), config.enable_x64.value, config.default_device.value
    array = _arrays.get(key)
    if array is None:
        if kind is int and not -0x80000000 <= value <= 0x7FFFFFFF:
            return value
        if len(_arrays) >= _MOST_KEPT:
            _arrays.clear()
        array = _arrays[key] = to_device(value)
    return array
