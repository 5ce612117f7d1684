"""Running sums and products."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from . import ufunc_bodies as bodies
from .reductions import _sum_dtype
from .util import (
    canonical_axes,
    check_arraylike,
    convert,
    dtype_of,
    dtype_rank,
    hashable_axis,
    is_inexact,
    refuse_out,
    shape_of,
)

__all__ = ["cumprod", "cumsum", "cumulative_prod", "cumulative_sum", "nancumprod", "nancumsum"]


# --- cumulative ---------------------------------------------------------------------------------


def _running(
    scan: Callable[..., Any], unit: int, a: Any, axis: Any, dtype: Any, skip_nan: bool, name: str
) -> Any:
    a = as_array(a)
    if axis is None:
        a, axis = lax.reshape(a, (math.prod(shape_of(a)),)), 0
    (axis,) = canonical_axes(axis, len(shape_of(a)))
    if skip_nan and is_inexact(dtype_of(a)):
        a = bodies.where(bodies.isnan(a), const(a, unit), a)
    if dtype is not None:
        result = dtypes.canonicalize_dtype(dtype)
    else:
        result = dtypes.canonicalize_dtype(int) if dtype_rank(dtype_of(a)) == 0 else dtype_of(a)
    if result == np.bool_:  # a sum says whether there was one that is not 0, a product whether all were
        scan = lax.cummax if unit == 0 else lax.cummin
        return convert(scan(convert(convert(a, result), np.int8), axis=axis), result)
    return scan(convert(a, result), axis=axis, reverse=False)


_CUMULATIVE_DOC = """The running {what} along an axis{nan}, as `numpy.{name}`.

Args:
  a: an array or number.
  axis: the axis; None flattens a first.
  dtype: dtype of the result; a's by default, the default integer for booleans.
  out: must be None.

Returns:
  An array of a's shape, or one-dimensional.

Raises:
  ValueError: the axis is out of bounds.
  NotImplementedError: `out` is given.

Example:
  >>> import canter.numpy as cnp
  >>> cnp.{name}(cnp.array([1.0, 2.0, 3.0]))
  Array({printed}, dtype=float32)
"""


def _cumulative(
    name: str, scan: Callable[..., Any], unit: int, skip_nan: bool, what: str, printed: str
) -> Any:
    def cumulative(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Any:
        refuse_out(name, out)
        check_arraylike(name, a)
        return _running(scan, unit, a, hashable_axis(axis), dtype, skip_nan, name)

    cumulative.__name__ = cumulative.__qualname__ = name
    cumulative.__module__ = "canter.numpy"
    nan = f", nan counting as {unit}" if skip_nan else ""
    cumulative.__doc__ = _CUMULATIVE_DOC.format(name=name, what=what, nan=nan, printed=printed)
    return composite(static_argnames=("axis", "dtype"))(cumulative)


cumsum = _cumulative("cumsum", lax.cumsum, 0, False, "sum", "[1., 3., 6.]")
cumprod = _cumulative("cumprod", lax.cumprod, 1, False, "product", "[1., 2., 6.]")
nancumsum = _cumulative("nancumsum", lax.cumsum, 0, True, "sum", "[1., 3., 6.]")
nancumprod = _cumulative("nancumprod", lax.cumprod, 1, True, "product", "[1., 2., 6.]")


def _from_start(
    name: str, function: Any, unit: int, x: Any, axis: Any, dtype: Any, include_initial: bool
) -> Any:
    check_arraylike(name, x)
    ndim = len(shape_of(x))
    if ndim == 0:
        raise ValueError(f"{name} requires an array of at least one dimension.")
    if axis is None:
        if ndim > 1:
            raise ValueError(f"{name} needs an axis for an array of {ndim} dimensions.")
        axis = 0
    (axis,) = canonical_axes(operator.index(axis), ndim)
    out = function(x, axis=axis, dtype=_sum_dtype(dtype_of(x), True) if dtype is None else dtype)
    if not include_initial:
        return out
    head = tuple(1 if i == axis else n for i, n in enumerate(out.shape))
    return lax.concatenate([lax.full(head, unit, out.dtype), out], axis)


@composite(static_argnames=("axis", "dtype", "include_initial"))
def cumulative_sum(
    x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    """The running sum along an axis, as the array API's `cumulative_sum`.

    Args:
      x: an array of at least one dimension.
      axis: the axis; needed for more than one dimension.
      dtype: dtype of the result; x's by default, for narrow integers the default one.
      include_initial: whether the result starts with a 0 more.

    Returns:
      An array.

    Raises:
      ValueError: the axis is missing or out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.cumulative_sum(cnp.array([1, 2]), include_initial=True)
      Array([0, 1, 3], dtype=int32)
    """
    return _from_start("cumulative_sum", cumsum, 0, x, axis, dtype, include_initial)


@composite(static_argnames=("axis", "dtype", "include_initial"))
def cumulative_prod(
    x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    """The running product along an axis, as the array API's `cumulative_prod`.

    Args:
      x: an array of at least one dimension.
      axis: the axis; needed for more than one dimension.
      dtype: dtype of the result; x's by default, for narrow integers the default one.
      include_initial: whether the result starts with a 1 more.

    Returns:
      An array.

    Raises:
      ValueError: the axis is missing or out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.cumulative_prod(cnp.array([2, 3]), include_initial=True)
      Array([1, 2, 6], dtype=int32)
    """
    return _from_start("cumulative_prod", cumprod, 1, x, axis, dtype, include_initial)
