"""Types of values, and what vectorization and differentiation make of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import dtypes
from ...core.avals import ShapedArray, _aval_of_type
from ...transforms.batching import batched_aval, unbatched_aval

__all__ = ["Token", "array_types", "mapped_aval", "primal_dtype_to_tangent_dtype", "unmapped_aval"]


class Token:
    """A value without content, which orders what has effects: a buffer that is ready when the effect is done.

    Args:
      buf: an array.
    """

    __slots__ = ("_buf",)

    def __init__(self, buf: Any):
        self._buf = buf

    def block_until_ready(self) -> None:
        """Waits for the effect."""
        self._buf.block_until_ready()


array_types: set[type] = (
    {t for t in _aval_of_type if t not in (bool, int, float, complex)}
    | {np.dtype(d).type for d in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")}
    | {np.dtype(d).type for d in ("float16", "float32", "float64", "complex64", "complex128", "bool")}
)


def mapped_aval(size: int, axis: int | None, aval: Any) -> Any:
    """The type of one element along an axis.

    Args:
      size: the size of the axis.
      axis: where it is; None when there is none.
      aval: the type of the whole.

    Raises:
      ValueError: the axis has another size.

    Example:
      >>> from canter.core import ShapedArray
      >>> from canter.extend.core import mapped_aval
      >>> mapped_aval(3, 0, ShapedArray((3, 2), "float32"))
      ShapedArray(float32[2])
    """
    if axis is None or not isinstance(aval, ShapedArray):
        return aval
    axis %= aval.ndim
    if aval.shape[axis] != size:
        raise ValueError(
            f"The axis {axis} of {aval.str_short()} has the size {aval.shape[axis]}, not {size}."
        )
    return unbatched_aval(aval, axis)


def unmapped_aval(size: int, axis: int | None, aval: Any, explicit_mesh_axis: Any = None) -> Any:
    """The type of the whole, given that of one element along an axis.

    Args:
      size: the size of the axis.
      axis: where it is; None when there is none.
      aval: the type of an element.
      explicit_mesh_axis: the explicit mesh axes that split the axis: a name or a tuple of names; None for none.

    Example:
      >>> from canter.core import ShapedArray
      >>> from canter.extend.core import unmapped_aval
      >>> unmapped_aval(3, 0, ShapedArray((2,), "float32"))
      ShapedArray(float32[3,2])
    """
    if axis is None or not isinstance(aval, ShapedArray):
        return aval
    axes = explicit_mesh_axis or ()
    return batched_aval(aval, axis % (aval.ndim + 1), size, axes if isinstance(axes, tuple) else (axes,))


def primal_dtype_to_tangent_dtype(primal_dtype: Any) -> Any:
    """The dtype of tangents: the same for floats and complex numbers, float0 for all others.

    Example:
      >>> import numpy as np
      >>> from canter.extend.core import primal_dtype_to_tangent_dtype
      >>> primal_dtype_to_tangent_dtype(np.dtype("float32"))
      dtype('float32')
    """
    inexact = dtypes.issubdtype(primal_dtype, np.inexact)
    return np.dtype(primal_dtype) if inexact else dtypes.float0
