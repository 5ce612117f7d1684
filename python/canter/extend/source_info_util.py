"""Where equations come from: the user's lines, and the names of the scopes around them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ..core.jaxpr import SourceInfo as SourceInfo
from ..core.source import (
    current_traceback as _current_traceback,
    register_exclusion as register_exclusion,
    user_frames as _user_frames,
)
from ..core.trace import state as _state

__all__ = [
    "NameStack",
    "SourceInfo",
    "current",
    "current_name_stack",
    "extend_name_stack",
    "new_name_stack",
    "new_source_info",
    "register_exclusion",
    "reset_name_stack",
    "set_name_stack",
    "summarize",
    "transform_name_stack",
    "user_context",
]


class NameStack(tuple[str, ...]):
    """The names of scopes, outermost first: a tuple that adds and prints as such.

    Example:
      >>> from canter.extend.source_info_util import new_name_stack
      >>> str(new_name_stack("model").extend("layer").transform("jvp"))
      'model/layer/jvp()'
    """

    __slots__ = ()

    @property
    def stack(self) -> tuple[str, ...]:
        return tuple(self)

    def extend(self, name: str | Iterable[str]) -> NameStack:
        """The stack with a scope, or several, inside."""
        return NameStack((*self, name) if isinstance(name, str) else (*self, *name))

    def transform(self, name: str) -> NameStack:
        """The stack with a transformation inside."""
        return NameStack((*self, f"{name}()"))

    def __add__(self, other: Any) -> NameStack:
        return NameStack((*self, *other))

    def __radd__(self, other: Any) -> NameStack:
        return NameStack((*other, *self))

    def __str__(self) -> str:
        return "/".join(map(str, self))


def new_name_stack(name: str = "") -> NameStack:
    """A stack of one scope, or of none."""
    return NameStack((name,) if name else ())


def current_name_stack() -> NameStack:
    """The scopes around the code that is running."""
    return NameStack(_state.name_stack)


def current() -> SourceInfo:
    """The present line and scopes."""
    return SourceInfo(_state.traceback or _current_traceback(), current_name_stack())


def new_source_info() -> SourceInfo:
    """A source of which nothing is known."""
    return SourceInfo(None, NameStack())


def summarize(source_info: SourceInfo, num_frames: int = 1) -> str:
    """The user's innermost lines, `file:line (function)`, one a line.

    Example:
      >>> import canter as ct
      >>> from canter.extend import source_info_util
      >>> eqn = ct.make_jaxpr(ct.lax.sin)(1.0).eqns[0]
      >>> ":" in source_info_util.summarize(eqn.source_info)
      True
    """
    if source_info.traceback is None:
        return "unknown"
    return "\n".join(map(str, _user_frames(source_info, num_frames))) or "unknown"


class set_name_stack:
    """Within the context, the scopes are those of a name stack."""

    def __init__(self, name_stack: Iterable[str]):
        self.name_stack = name_stack
        self.prev: Any = None

    def __enter__(self) -> None:
        self.prev = _state.name_stack
        _state.name_stack = tuple(self.name_stack)

    def __exit__(self, *exc_info: Any) -> None:
        _state.name_stack = self.prev


@contextmanager
def reset_name_stack() -> Iterator[None]:
    """Within the context there are no scopes."""
    with set_name_stack(()):
        yield


class extend_name_stack:
    """Within the context there is one more scope; the context gives the whole stack."""

    def __init__(self, name: str):
        self.name = name
        self.prev: Any = None

    def __enter__(self) -> NameStack:
        self.prev = _state.name_stack
        stack = current_name_stack().extend(self.name)
        _state.name_stack = tuple(stack)
        return stack

    def __exit__(self, *exc_info: Any) -> None:
        _state.name_stack = self.prev


class transform_name_stack(extend_name_stack):
    """Within the context there is one more transformation; the context gives the whole stack."""

    def __init__(self, name: str):
        super().__init__(f"{name}()")


class user_context:
    """Within the context, equations come from a given place: for code that evaluates the equations of a program.

    Args:
      traceback: the place; None for the present lines.
      name_stack: the scopes; None for the present ones.

    Example:
      >>> import canter as ct
      >>> from canter.extend import source_info_util
      >>> eqn = ct.make_jaxpr(ct.lax.sin)(1.0).eqns[0]
      >>> def evaluate(x):
      ...     with source_info_util.user_context(eqn.source_info.traceback, name_stack=("scope",)):
      ...         return eqn.primitive.bind(x, **eqn.params)
      >>> copy = ct.make_jaxpr(evaluate)(1.0).eqns[0]
      >>> copy.source_info.traceback is eqn.source_info.traceback, copy.source_info.name_stack
      (True, ('scope',))
    """

    def __init__(self, traceback: Any, *, name_stack: Iterable[str] | None = None):
        self.traceback = traceback
        self.name_stack = name_stack
        self.prev: Any = None

    def __enter__(self) -> None:
        self.prev = _state.traceback, _state.name_stack
        _state.traceback = self.traceback
        if self.name_stack is not None:
            _state.name_stack = tuple(self.name_stack)

    def __exit__(self, *exc_info: Any) -> None:
        _state.traceback, _state.name_stack = self.prev
