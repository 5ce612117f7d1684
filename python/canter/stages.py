"""The stages of compilation: what `jit(f).trace`, `.lower` and `.compile` return."""

from typing import Any, Protocol, runtime_checkable

from canter.runtime.stages import ArgInfo, Compiled, Lowered, Traced

__all__ = ["ArgInfo", "Compiled", "CompilerOptions", "Lowered", "Traced", "Wrapped"]

CompilerOptions = dict[str, str | bool]


@runtime_checkable
class Wrapped(Protocol):
    """A function as `jit` returns it: it can be called, traced, and lowered.

    Example:
      >>> import canter as ct
      >>> isinstance(ct.jit(lambda x: x), ct.stages.Wrapped)
      True
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the function, compiled for the types of the arguments."""

    def trace(self, *args: Any, **kwargs: Any) -> Traced:
        """Traces the function for arguments of these types."""
        ...

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """Traces and lowers the function for arguments of these types."""
        ...
