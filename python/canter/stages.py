"""The stages of compilation: what `jit(f).trace`, `.lower` and `.compile` return."""

from canter.runtime.stages import ArgInfo, Compiled, Lowered, Traced

__all__ = ["ArgInfo", "Compiled", "Lowered", "Traced"]
