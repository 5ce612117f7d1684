"""Symbolic shapes: programs exported once for arrays of many sizes."""

from __future__ import annotations

from ..core.dimensions import is_symbolic_dim
from ..core.symbolic import SymbolicScope, symbolic_args_specs, symbolic_shape

__all__ = ["SymbolicScope", "is_symbolic_dim", "symbolic_args_specs", "symbolic_shape"]
