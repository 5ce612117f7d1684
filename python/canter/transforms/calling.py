"""From the user's functions of trees to flat functions of arrays, and back."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ..core import pytree
from ..core.jaxpr import DebugInfo

__all__ = [
    "FlatFunction",
    "debug_info",
    "function_name",
    "normalize_argnums",
    "resolve_kwargs",
    "split_arguments",
]


def function_name(fun: Any, unnamed: str | None = None) -> str:
    """The name under which a callable appears in jaxprs, modules and messages.

    Args:
      fun: the callable; a functools.partial has the name of its function.
      unnamed: what an object without a name is called; None is the name of its class.
    """
    while True:
        name = getattr(fun, "__name__", None)
        if isinstance(name, str):
            return name
        inner = getattr(fun, "func", None)
        if inner is None:
            return type(fun).__name__ if unnamed is None else unnamed
        fun = inner


def debug_info(fun: Any, traced_for: str) -> DebugInfo:
    """What messages can say about a function."""
    return DebugInfo(traced_for, function_name(fun))


class FlatFunction:
    """A function of leaves that calls a function of trees.

    Attributes:
      out_tree: the structure of the last result, once called.
      aux: the auxiliary output of the last call where `has_aux`.
    """

    __slots__ = ("aux", "fun", "has_aux", "in_tree", "out_tree")

    def __init__(self, fun: Callable[..., Any], in_tree: Any, has_aux: bool = False):
        self.fun = fun
        self.in_tree = in_tree
        self.has_aux = has_aux
        self.out_tree: Any = None
        self.aux: Any = None

    def __call__(self, *leaves: Any) -> list[Any]:
        args = self.in_tree.unflatten(leaves)
        out = self.fun(*args)
        if self.has_aux:
            if not isinstance(out, tuple) or len(out) != 2:
                raise TypeError(
                    f"With has_aux=True, {function_name(self.fun)} must return a pair (value, auxiliary data), "
                    f"but it returned {_describe(out)}."
                )
            out, self.aux = out
        flat, self.out_tree = pytree.tree_flatten(out)
        return flat


def _describe(out: Any) -> str:
    if isinstance(out, tuple):
        return f"a tuple of {len(out)} elements"
    return f"a value of type {type(out).__name__}"


def normalize_argnums(argnums: Any, num_args: int, what: str) -> tuple[int, ...]:
    """Argument numbers as a tuple of non-negative ints.

    Raises:
      TypeError: a number is not an int, or out of range.
      ValueError: a number stands there twice.
    """
    numbers = tuple(argnums) if isinstance(argnums, (tuple, list)) else (argnums,)
    result = []
    for number in numbers:
        if isinstance(number, bool) or not hasattr(number, "__index__"):
            raise TypeError(f"{what}: argnums must be an int or a sequence of ints, got {argnums!r}.")
        index = number.__index__()
        if not -num_args <= index < num_args:
            raise TypeError(
                f"{what}: argnums={argnums!r} refers to positional argument {index}, but the function was called "
                f"with {num_args} positional argument{'s' * (num_args != 1)}. Pass the argument by position, or "
                "choose another argnums."
            )
        result.append(index % num_args)
    if len(set(result)) != len(result):
        raise ValueError(f"{what}: argnums={argnums!r} names an argument twice.")
    return tuple(result)


def split_arguments(
    fun: Callable[..., Any], args: Sequence[Any], argnums: Sequence[int], kwargs: dict[str, Any]
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A function of the chosen positional arguments only, and those arguments."""
    if len(argnums) == len(args) and all(i == n for i, n in enumerate(argnums)):
        return (functools.partial(fun, **kwargs) if kwargs else fun), tuple(args)

    @functools.wraps(fun, assigned=("__name__", "__module__"), updated=())
    def partial(*chosen: Any) -> Any:
        full = list(args)
        for index, value in zip(argnums, chosen, strict=True):
            full[index] = value
        return fun(*full, **kwargs)

    return partial, tuple(args[i] for i in argnums)


def resolve_kwargs(fun: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """All arguments by position, defaults filled in.

    Raises:
      TypeError: the function has keyword-only arguments, or the arguments do not fit it.
    """
    if isinstance(fun, functools.partial):
        fun = functools.partial(fun.func, *fun.args, **fun.keywords)
    try:
        bound = inspect.signature(fun).bind(*args, **kwargs)
    except ValueError:  # builtins have no signature
        if kwargs:
            raise TypeError(f"Pass the arguments of {function_name(fun)} by position.") from None
        return tuple(args)
    bound.apply_defaults()
    if bound.kwargs:
        names = ", ".join(bound.kwargs)
        raise TypeError(
            f"{function_name(fun)} takes keyword-only arguments ({names}), which a function with its own "
            "derivative rule cannot have. Make them positional, or bind them with functools.partial."
        )
    return bound.args
