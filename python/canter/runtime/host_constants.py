"""Small constants outside of `jit` are written on the host the first few times that one of their shape is made.

The CPU's compiler takes some 30 ms for an array of zeros, which NumPy makes in a microsecond. A compiled call is
cheaper after that, so what is made again and again is compiled; and so are large constants, which would have to be
copied, and those for other devices.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from canter_pjrt.jaxlib_door import batched_device_put

from ..core import config, dtypes
from ..core.avals import ShapedArray, get_aval
from ..core.trace import is_eager
from .backend import current_default_device
from .nonfinite import checks_are_on
from .placement import sharding_of

__all__ = ["full_on_host", "host_first", "iota_on_host", "primitive_on_host"]

_MOST_ELEMENTS = 4096
_FEW = 16  # calls, which take some 10 us longer than compiled ones
_NUMBERS = (bool, int, float, complex, np.generic)


def host_first(
    make: Callable[..., Any], shape: tuple[int, ...], compiled: Callable[..., Any]
) -> Callable[..., Any]:
    """A function that makes a small constant on the host for the first few calls.

    Args:
      make: makes it there, or returns None where it has to be compiled.
      shape: of the constant; where that is large or symbolic, `compiled` is returned as it is.
      compiled: makes it by a compiled program, or in a trace.
    """
    if not all(type(size) is int for size in shape) or math.prod(shape) > _MOST_ELEMENTS:
        return compiled
    left = _FEW

    def function(*args: Any) -> Any:
        nonlocal left
        if left > 0 and is_eager():
            made = make(*args)
            if made is not None:
                left -= 1
                return made
        return compiled(*args)

    return function


def primitive_on_host(name: str, params: dict[str, Any]) -> Callable[..., Any] | None:
    """What makes the result of a primitive on the host, for `host_first`; None for one that makes no constants."""
    maker = _MAKERS.get(name)
    return None if maker is None or params["sharding"] is not None else functools.partial(maker, params)


def _broadcast(params: dict[str, Any], value: Any) -> Any:
    return full_on_host(params["shape"], value, get_aval(value)) if isinstance(value, _NUMBERS) else None


def full_on_host(shape: tuple[int, ...], value: Any, like: Any) -> Any:
    """A full array of the dtype, and the weak type, of another type; None where it has to be compiled."""
    return _on_device(lambda: np.full(shape, value, like.dtype), like.update(shape=shape))


def iota_on_host(shape: tuple[int, ...], dtype: Any, dimension: int = 0) -> Any:
    """An array that counts along a dimension; None where it has to be compiled."""
    if dtype == np.bool_ or not 0 <= dimension < len(shape):
        return None  # tracing says what is wrong
    others = [d for d in range(len(shape)) if d != dimension]

    def values() -> np.ndarray:
        along = np.arange(shape[dimension]).astype(dtype)
        return np.broadcast_to(np.expand_dims(along, others), shape)

    return _on_device(values, ShapedArray(shape, dtype))


def _iota(params: dict[str, Any]) -> Any:
    return iota_on_host(params["shape"], params["dtype"], params["dimension"])


def _on_device(values: Callable[[], np.ndarray], aval: Any) -> Any:
    """The values as an array on the default device; None where they have to be compiled."""
    if config.mesh_context.value is not None or config.no_execution.value or checks_are_on():
        return None
    if config.transfer_guard_host_to_device.value not in (None, "allow"):
        return None
    device, dtype = current_default_device(), aval.dtype
    if device.platform != "cpu" or not isinstance(dtype, np.dtype):
        return None
    if dtype.kind not in "biufc" and dtype != dtypes.bfloat16:
        return None
    host = np.array(values(), order="C")  # `ascontiguousarray` would give a number a dimension
    return batched_device_put(aval, sharding_of(device), [host], [device], committed=False, force_copy=True)


_MAKERS: dict[str, Callable[..., Any]] = {"broadcast_in_dim": _broadcast, "iota": _iota}
