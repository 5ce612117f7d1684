"""Names in programs, and functions taken apart for hand-written derivative rules."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from ..core import pytree
from ..core.avals import get_aval
from ..core.jaxpr import eval_jaxpr
from ..core.trace import Tracer, ensure_compile_time_eval, state
from ..core.tracing import trace_to_jaxpr
from .calling import FlatFunction, debug_info, function_name
from .zeros import has_tangents

__all__ = ["closure_convert", "ensure_compile_time_eval", "named_call", "named_scope"]

P = ParamSpec("P")
R = TypeVar("R")


class named_scope:
    """Adds a name to all operations traced inside, seen in lowered modules and profiles.

    Use it as a context manager or a decorator.

    Args:
      name: the name.

    Raises:
      TypeError: the name is not a string.

    Example:
      >>> import canter as ct
      >>> with ct.named_scope("attention"):
      ...     y = ct.numpy.exp(0.0)
    """

    def __init__(self, name: str):
        if not isinstance(name, str):
            raise TypeError(f"named_scope takes a string, got a value of type {type(name).__name__}.")
        self.name = name
        self._previous: list[tuple[Any, ...]] = []

    def __enter__(self) -> None:
        self._previous.append(state.name_stack)
        state.name_stack = (*state.name_stack, self.name)

    def __exit__(self, *exc_info: Any) -> None:
        state.name_stack = self._previous.pop()

    def __call__(self, fun: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(fun)
        def scoped(*args: P.args, **kwargs: P.kwargs) -> R:
            with named_scope(self.name):
                return fun(*args, **kwargs)

        return scoped


def named_call(fun: Callable[P, R], *, name: str | None = None) -> Callable[P, R]:
    """Gives all operations of a function a name in lowered modules and profiles.

    Args:
      fun: the function.
      name: the name; None takes the function's.

    Raises:
      TypeError: the name is not a string.

    Example:
      >>> import canter as ct
      >>> float(ct.named_call(lambda x: x + 1.0, name="increment")(1.0))
      2.0
    """
    return named_scope(function_name(fun) if name is None else name)(fun)


def closure_convert(fun: Callable[..., Any], *example_args: Any) -> tuple[Callable[..., Any], list[Any]]:
    """Turns values that a function closes over, and that may be differentiated, into arguments.

    Args:
      fun: the function.
      *example_args: arguments that give the shapes and dtypes.

    Returns:
      A function that takes the arguments and then the captured values, and the list of these.

    Raises:
      TypeError: an example argument is no array, or the new function gets arguments of another structure.

    Example:
      >>> import canter as ct
      >>> converted, captured = ct.closure_convert(lambda x: 2.0 * x, 1.0)
      >>> float(converted(3.0, *captured))
      6.0
    """
    leaves, in_tree = pytree.tree_flatten(example_args)
    flat = FlatFunction(fun, in_tree)
    closed = trace_to_jaxpr(
        flat, [get_aval(x) for x in leaves], debug_info=debug_info(fun, "closure_convert")
    )
    hoisted = [isinstance(c, Tracer) and has_tangents(get_aval(c)) for c in closed.consts]
    out_tree = flat.out_tree

    def converted(*args: Any) -> Any:
        num_captured = sum(hoisted)
        split = len(args) - num_captured
        given, captured = args[:split], iter(args[split:])
        flat_args, tree = pytree.tree_flatten(given)
        if tree != in_tree:
            raise TypeError(f"The converted function takes arguments of the structure {in_tree}, not {tree}.")
        consts = [next(captured) if h else c for c, h in zip(closed.consts, hoisted, strict=True)]
        return out_tree.unflatten(eval_jaxpr(closed.jaxpr, consts, *flat_args))

    return converted, [c for c, h in zip(closed.consts, hoisted, strict=True) if h]
