"""Questions about dtypes: finfo, result_type, issubdtype and their kin."""

from __future__ import annotations

from typing import Any

import numpy as np

from canter.core import dtypes
from canter.core.dtypes import finfo, iinfo, promote_types

from .util import PYTHON_RANK, check_arraylike, is_arraylike, shape_of

__all__ = ["can_cast", "finfo", "iinfo", "isdtype", "isscalar", "issubdtype", "promote_types", "result_type"]


def result_type(*args: Any) -> Any:
    """The dtype of an operation on arrays, numbers and dtypes, as `numpy.result_type`.

    Args:
      *args: arrays, numbers or dtypes.

    Returns:
      A dtype.

    Raises:
      TypePromotionError: there is no common dtype.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.result_type(cnp.int32, cnp.float16)
      dtype('float16')
    """
    return dtypes.result_type(*args)


def issubdtype(arg1: Any, arg2: Any) -> bool:
    """Whether a dtype is another or of a kind, as `numpy.issubdtype`, for all types that arrays have.

    Args:
      arg1: a dtype, its name or a scalar type.
      arg2: likewise, or an abstract type such as `canter.numpy.floating`.

    Returns:
      A bool.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.issubdtype(cnp.bfloat16, cnp.floating)
      True
    """
    return dtypes.issubdtype(arg1, arg2)


def can_cast(from_: Any, to: Any, casting: str = "safe") -> bool:
    """Whether a dtype may be cast to another, as `numpy.can_cast`.

    Args:
      from_: a dtype.
      to: a dtype.
      casting: "no", "equiv", "safe", "same_kind" or "unsafe".

    Returns:
      A bool.

    Raises:
      TypeError: an argument is not a dtype.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.can_cast(cnp.int32, cnp.float64)
      True
    """
    return np.can_cast(np.dtype(from_), np.dtype(to), casting)  # type: ignore[arg-type]


_KINDS = {
    "bool": np.bool_,
    "signed integer": np.signedinteger,
    "unsigned integer": np.unsignedinteger,
    "integral": np.integer,
    "real floating": np.floating,
    "complex floating": np.complexfloating,
    "numeric": np.number,
}


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is of a kind, as `numpy.isdtype`.

    Args:
      dtype: a dtype.
      kind: "bool", "signed integer", "unsigned integer", "integral", "real floating", "complex floating",
        "numeric", a dtype, or a tuple of these.

    Returns:
      A bool.

    Raises:
      ValueError: the kind is unknown.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.isdtype(cnp.float32, "real floating")
      True
    """
    for one in kind if isinstance(kind, tuple) else (kind,):
        if isinstance(one, str) and one in _KINDS:
            if dtypes.issubdtype(dtype, _KINDS[one]):
                return True
            continue
        try:
            other = np.dtype(one)
        except TypeError:
            raise ValueError(
                f"Unrecognized kind {one!r}: use a dtype or one of {', '.join(_KINDS)}."
            ) from None
        if np.dtype(dtype) == other:
            return True
    return False


def isscalar(element: Any) -> bool:
    """Whether something is a number or an array without dimensions, as `numpy.isscalar`.

    Args:
      element: anything.

    Returns:
      A bool.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.isscalar(1.0)
      True
    """
    if type(element) in PYTHON_RANK or isinstance(element, np.generic):
        return True
    if not is_arraylike(element):
        return np.isscalar(element)
    check_arraylike("isscalar", element)
    return shape_of(element) == ()
