"""What `canter.numpy` says about itself to code that is written for the array API."""

from __future__ import annotations

from typing import Any

import numpy as np

from canter.core import dtypes

from .dtype_functions import isdtype

__all__ = ["ArrayNamespaceInfo", "__array_namespace_info__"]

_DEFAULTS = {"real floating": float, "complex floating": complex, "integral": int, "indexing": int}
_DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64",
    "complex64", "complex128",
)  # fmt: skip


class ArrayNamespaceInfo:
    """Capabilities, devices and dtypes of `canter.numpy`, as the array API's inspection functions give them.

    Example:
      >>> import canter.numpy as cnp
      >>> sorted(cnp.__array_namespace_info__().capabilities())
      ['boolean indexing', 'data-dependent shapes', 'max dimensions']
    """

    def capabilities(self) -> dict[str, Any]:
        """What arrays can do under every transformation: under `jit` shapes cannot depend on values."""
        return {"boolean indexing": False, "data-dependent shapes": False, "max dimensions": 64}

    def default_device(self) -> None:
        """The device of new arrays; None stands for the default one, to which they are not bound."""
        return None

    def devices(self) -> list[Any]:
        """The devices that arrays can be made on; None first, the default one."""
        from canter.runtime.backend import devices

        return [None, *devices()]

    def default_dtypes(self, *, device: Any = None) -> dict[str, np.dtype]:
        """The dtypes of arrays that are made without one.

        Args:
          device: a device; they are the same for all.
        """
        return {
            kind: dtypes.canonicalize_dtype(dtypes.python_scalar_dtypes[scalar])
            for kind, scalar in _DEFAULTS.items()
        }

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, np.dtype]:
        """The standard's dtypes that arrays can have: those of 64 bits only under `enable_x64`.

        Args:
          device: a device; they are the same for all.
          kind: a kind as `isdtype` takes it, or a tuple of kinds; all by default.

        Raises:
          ValueError: the kind is unknown.
        """
        known = (np.dtype(name) for name in _DTYPES)
        return {
            dtype.name: dtype
            for dtype in known
            if dtypes.canonicalize_dtype(dtype) == dtype and (kind is None or isdtype(dtype, kind))
        }


def __array_namespace_info__() -> ArrayNamespaceInfo:
    """What `canter.numpy` is able to do, as the array API asks it.

    Returns:
      An `ArrayNamespaceInfo`.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.__array_namespace_info__().default_dtypes()["real floating"]
      dtype('float32')
    """
    return ArrayNamespaceInfo()
