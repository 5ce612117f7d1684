"""`pjit`: the former name of `jit` for functions with shardings."""

from ..runtime.jit import jit as pjit

__all__ = ["pjit"]
