"""Exchange of arrays with other libraries, `canter.dlpack`."""

from __future__ import annotations

from typing import Any

from .core import dtypes as _dtypes
from .runtime.dlpack import from_dlpack as from_dlpack

__all__ = ["from_dlpack", "is_supported_dtype"]

# What both jaxlib and the dlpack standard have a code for.
_SUPPORTED = frozenset(
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 "
    "float16 bfloat16 float32 float64 complex64 complex128".split()
)


def is_supported_dtype(dtype: Any) -> bool:
    """Whether arrays of a dtype can be exchanged by dlpack.

    Args:
      dtype: a dtype, its name, or a scalar class.

    Raises:
      TypeError: not a dtype.

    >>> import canter as ct
    >>> ct.dlpack.is_supported_dtype("float32"), ct.dlpack.is_supported_dtype("int4")
    (True, False)
    """
    if isinstance(dtype, _dtypes.ExtendedDType):
        return False
    return _dtypes.dtype(dtype).name in _SUPPORTED
