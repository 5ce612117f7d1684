"""Types for annotations of functions on arrays."""

from typing import Any, Protocol, runtime_checkable

import numpy as np

from canter_pjrt.jaxlib_door import Array

__all__ = ["ArrayLike", "DTypeLike"]


@runtime_checkable
class SupportsDType(Protocol):
    """Anything with an attribute `dtype`."""

    @property
    def dtype(self) -> Any:
        """The NumPy dtype."""


# What functions of canter.numpy accept as an array: arrays, tracers, NumPy's and Python's numbers.
ArrayLike = Array | np.ndarray | np.bool_ | np.number | bool | int | float | complex

# What parameters named `dtype` accept.
DTypeLike = str | type[Any] | np.dtype | SupportsDType
