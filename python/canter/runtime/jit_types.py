"""The types of `jit`: the function that it returns, and its keyword arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypedDict, TypeVar, overload

if TYPE_CHECKING:
    from .retracing import CacheInfo, Retraces
    from .stages import Lowered, Traced

__all__ = ["JitFunction", "JitOptions"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R_co = TypeVar("R_co", covariant=True)


class JitFunction(Protocol[P, R_co]):
    """A function compiled at its first call with arguments of new types."""

    __name__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    @overload
    def __get__(self, instance: None, owner: Any = None, /) -> JitFunction[P, R_co]: ...
    @overload
    def __get__(
        self: JitFunction[Concatenate[Any, Q], R_co], instance: object, owner: Any = None, /
    ) -> JitFunction[Q, R_co]: ...

    def trace(self, *args: P.args, **kwargs: P.kwargs) -> Traced:
        """Traces for these arguments, which may be `ShapeDtypeStruct`s."""
        ...

    def lower(self, *args: P.args, **kwargs: P.kwargs) -> Lowered:
        """Traces and lowers for these arguments."""
        ...

    def eval_shape(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Shapes and dtypes of the results, without computing anything."""
        ...

    def clear_cache(self) -> None:
        """Drops all traces and executables of this function."""
        ...

    def cache_info(self) -> CacheInfo:
        """How often this function was traced and compiled."""
        ...

    def why_retraced(self) -> Retraces:
        """Why this function was traced or compiled again, a text for each time."""
        ...

    @property
    def __wrapped__(self) -> Callable[P, R_co]:
        """The function that was jitted."""
        ...


class JitOptions(TypedDict, total=False):
    """The keyword arguments of `jit`."""

    in_shardings: Any
    out_shardings: Any
    static_argnums: int | Sequence[int] | None
    static_argnames: str | Iterable[str] | None
    donate_argnums: int | Sequence[int] | None
    donate_argnames: str | Iterable[str] | None
    keep_unused: bool
    device: Any
    backend: str | None
    inline: bool
    compiler_options: dict[str, Any] | None
    abstracted_axes: Any
    max_traces: int | None
    effort: str | None
    outline: str | None
