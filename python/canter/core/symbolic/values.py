"""Symbolic dimensions as arrays: the primitive that turns the size into a value of the program."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..avals import ShapedArray
from ..primitive import Primitive

__all__ = ["dim_as_value_p", "dim_aval", "dimension_as_value"]


def dim_aval() -> ShapedArray:
    """The aval of a dimension as an array: that of a Python int."""
    return ShapedArray((), np.dtype(np.int64 if dtypes.x64_enabled() else np.int32), weak_type=True)


def _no_value(*, dim: Any) -> Any:
    raise NotImplementedError(
        f"The symbolic dimension '{dim}' has no value outside of a program that is being traced for export. Use it "
        "inside the function given to canter.export.export, where it is taken from an argument's shape."
    )


dim_as_value_p = Primitive("dim_as_value")
dim_as_value_p.def_abstract_eval(lambda *, dim: dim_aval())
dim_as_value_p.def_impl(_no_value)


def dimension_as_value(dim: Any) -> Any:
    """See `canter.core.dimensions.dimension_as_value`."""
    return dim if isinstance(dim, int) else dim_as_value_p.bind(dim=dim)
