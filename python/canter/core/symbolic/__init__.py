"""Symbolic dimensions: sizes that are known when an exported program is called, not before."""

from __future__ import annotations

from .expressions import DimExpr
from .parser import symbolic_args_specs, symbolic_shape
from .scope import SymbolicScope
from .values import dim_as_value_p, dimension_as_value

__all__ = [
    "DimExpr",
    "SymbolicScope",
    "dim_as_value_p",
    "dimension_as_value",
    "symbolic_args_specs",
    "symbolic_shape",
]
