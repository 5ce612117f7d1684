"""Checks of arguments that the functions of linear algebra share."""

from __future__ import annotations

from typing import Any

from canter import numpy as cnp
from canter.numpy.util import check_arraylike, promote_dtypes_inexact, shape_of

__all__ = ["matrix"]


def matrix(name: str, a: Any, square: bool = True) -> Any:
    """An operand that must be a matrix, of an inexact dtype."""
    if not isinstance(a, (list, tuple)):  # which SciPy takes too
        check_arraylike(name, a)
    (a,) = promote_dtypes_inexact(cnp.asarray(a))
    shape = shape_of(a)
    if len(shape) < 2 or (square and shape[-1] != shape[-2]):
        kind = "a square matrix" if square else "a matrix"
        raise ValueError(
            f"scipy.linalg.{name}: the argument must be {kind} or a batch of them, got shape {shape}."
        )
    return a
