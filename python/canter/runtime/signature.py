"""What `jit` has to know of a function's parameters: names, static and donated ones, argument paths.

Nothing here runs on a call that hits the C++ cache. `inspect.signature` is slow, so the names of a
plain function are read from its code object, and only where a name is needed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from operator import index
from types import FunctionType
from typing import Any, NamedTuple

from ..core import pytree
from ..transforms import calling

__all__ = [
    "ArgumentNames",
    "ArgumentSpec",
    "argument_spec",
    "describe_function",
    "function_name",
    "parameters_of",
    "positional_names",
]

_UNNAMED = "<unnamed function>"
_VARARGS, _VARKEYWORDS = 0x04, 0x08  # flags of a code object


class Parameters(NamedTuple):
    """The parameters of a function, by kind."""

    positional_only: tuple[str, ...]
    positional: tuple[str, ...]  # may also be passed by keyword
    keyword_only: tuple[str, ...]
    varargs: str | None
    varkeywords: str | None

    @property
    def by_position(self) -> tuple[str, ...]:
        return self.positional_only + self.positional

    @property
    def by_keyword(self) -> tuple[str, ...]:
        return self.positional + self.keyword_only


def parameters_of(function: Callable[..., Any]) -> Parameters | None:
    """The parameters of a function; None where Python does not know them (some builtins)."""
    if type(function) is FunctionType and not hasattr(function, "__wrapped__"):
        return _parameters_of_code(function.__code__)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    names: dict[Any, list[str]] = {kind: [] for kind in inspect._ParameterKind}
    for name, parameter in signature.parameters.items():
        names[parameter.kind].append(name)
    kinds = inspect.Parameter
    return Parameters(
        tuple(names[kinds.POSITIONAL_ONLY]),
        tuple(names[kinds.POSITIONAL_OR_KEYWORD]),
        tuple(names[kinds.KEYWORD_ONLY]),
        next(iter(names[kinds.VAR_POSITIONAL]), None),
        next(iter(names[kinds.VAR_KEYWORD]), None),
    )


def _parameters_of_code(code: Any) -> Parameters:
    names = code.co_varnames
    count, only = code.co_argcount, code.co_posonlyargcount
    end = count + code.co_kwonlyargcount
    varargs = names[end] if code.co_flags & _VARARGS else None
    keywords_at = end + (varargs is not None)
    varkeywords = names[keywords_at] if code.co_flags & _VARKEYWORDS else None
    return Parameters(names[:only], names[only:count], names[count:end], varargs, varkeywords)


def function_name(function: Any) -> str:
    """The name that a compiled function has in jaxprs, modules and messages."""
    return calling.function_name(function, _UNNAMED)


def describe_function(function: Any) -> str:
    """A function's name with the file and line where it stands, as far as they are known."""
    inner = inspect.unwrap(function) if callable(function) else function
    while not hasattr(inner, "__code__") and hasattr(inner, "func"):
        inner = inner.func
    inner = getattr(inner, "__func__", inner)
    name = function_name(function)
    if not hasattr(inner, "__code__") and isinstance(getattr(type(inner), "__call__", None), FunctionType):  # noqa: B004
        name = type(inner).__name__ if name == _UNNAMED else name
        inner = type(inner).__call__
    code = getattr(inner, "__code__", None)
    return name + (f" at {code.co_filename}:{code.co_firstlineno}" if code is not None else "")


class ArgumentSpec(NamedTuple):
    """Which arguments are static and which are donated, by position and by name."""

    static_argnums: tuple[int, ...] = ()
    static_argnames: tuple[str, ...] = ()
    donate_argnums: tuple[int, ...] = ()
    donate_argnames: tuple[str, ...] = ()


def argument_spec(
    function: Callable[..., Any],
    static_argnums: int | Sequence[int] | None,
    static_argnames: str | Iterable[str] | None,
    donate_argnums: int | Sequence[int] | None,
    donate_argnames: str | Iterable[str] | None,
) -> ArgumentSpec:
    """Completes numbers with names and names with numbers, and checks both against the signature.

    Raises:
      TypeError: something that is not a number or a name.
      ValueError: numbers or names that the function does not have, or that are static and donated.
    """
    parameters = parameters_of(function)
    static = _numbers_and_names(function, parameters, "static", static_argnums, static_argnames)
    donated = _numbers_and_names(function, parameters, "donate", donate_argnums, donate_argnames)
    both: set[Any] = {*static[1]} & {*donated[1]} or {*static[0]} & {*donated[0]}
    if both:
        raise ValueError(
            f"jit of {describe_function(function)}: {_list(sorted(both))} cannot be both static and donated. "
            "A static argument is a Python value and has no buffer to give away."
        )
    return ArgumentSpec(*static, *donated)


def _numbers_and_names(
    function: Any, parameters: Parameters | None, kind: str, numbers: Any, names: Any
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    if numbers is None and names is None:
        return (), ()
    positions = _as_positions(function, kind, numbers)
    words = _as_names(function, kind, names)
    if parameters is None:
        return positions, words
    positions = _checked_positions(function, parameters, kind, positions)
    _check_names(function, parameters, kind, words)
    by_position = parameters.by_position
    if names is None:
        first = len(parameters.positional_only)
        words = tuple(by_position[i] for i in positions if first <= i < len(by_position))
    elif numbers is None:
        positions = tuple(i for i, name in enumerate(by_position) if name in words)
    return positions, words


def _as_positions(function: Any, kind: str, numbers: Any) -> tuple[int, ...]:
    if numbers is None:
        return ()
    try:
        return tuple(map(index, numbers)) if isinstance(numbers, Iterable) else (index(numbers),)
    except TypeError:
        raise TypeError(
            f"jit of {describe_function(function)}: {kind}_argnums takes an int or a sequence of ints; "
            f"got {numbers!r}. Names go into {kind}_argnames."
        ) from None


def _as_names(function: Any, kind: str, names: Any) -> tuple[str, ...]:
    if names is None:
        return ()
    words = (names,) if isinstance(names, str) else tuple(names) if isinstance(names, Iterable) else None
    if words is None or not all(isinstance(word, str) for word in words):
        raise TypeError(
            f"jit of {describe_function(function)}: {kind}_argnames takes a name or a sequence of names; "
            f"got {names!r}. Numbers go into {kind}_argnums."
        )
    return words


def _checked_positions(
    function: Any, parameters: Parameters, kind: str, positions: tuple[int, ...]
) -> tuple[int, ...]:
    if parameters.varargs is not None:
        return positions
    count = len(parameters.by_position)
    wrong = [i for i in positions if not -count <= i < count]
    if wrong:
        raise ValueError(
            f"jit of {describe_function(function)}: {kind}_argnums={_list(wrong)}, but the function takes "
            f"{count} positional arguments: ({', '.join(parameters.by_position)})."
        )
    return tuple(i % count for i in positions)


def _check_names(function: Any, parameters: Parameters, kind: str, names: tuple[str, ...]) -> None:
    if parameters.varkeywords is not None:
        return
    known = parameters.by_keyword
    wrong = [name for name in names if name not in known]
    if wrong:
        only = [name for name in wrong if name in parameters.positional_only]
        hint = f" {_list(only)} is positional-only: use {kind}_argnums." if only else ""
        raise ValueError(
            f"jit of {describe_function(function)}: {kind}_argnames={_list(map(repr, wrong))}, but the function's "
            f"parameters are ({', '.join(parameters.by_position + parameters.keyword_only)}).{hint}"
        )


def _list(items: Iterable[Any]) -> str:
    return ", ".join(map(str, items))


class ArgumentNames:
    """Names of the leaves of a call's arguments, as users write them: `params['w'][0]`.

    Args:
      function: the function that is called.
      in_tree: structure of `(args, kwargs)` without the static arguments.
      static_argnums: positions that were taken out of `args`.
    """

    def __init__(self, function: Any, in_tree: Any, static_argnums: Sequence[int] = ()):
        self.function = function
        self.in_tree = in_tree
        self.static_argnums = static_argnums

    def __getitem__(self, leaf: int) -> str:
        return self.names[leaf]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """One name a leaf."""
        tree = self.in_tree.unflatten(range(self.in_tree.num_leaves))
        paths, _ = pytree.tree_flatten_with_path(tree)
        positional = positional_names(self.function, len(tree[0]), self.static_argnums)
        return tuple(self._name(path, positional) for path, _ in paths)

    def _name(self, path: Any, positional: list[str]) -> str:
        kind, first, *rest = path
        if kind.idx == 0:
            return positional[first.idx] + pytree.keystr(tuple(rest))
        return str(first.key) + pytree.keystr(tuple(rest))


def positional_names(function: Any, count: int, static_argnums: Sequence[int] = ()) -> list[str]:
    """Names of the first `count` positional arguments that are not static."""
    total = count + len(static_argnums)
    dynamic = [i for i in range(total) if i not in static_argnums]
    parameters = parameters_of(function)
    names = () if parameters is None else parameters.by_position
    rest = "args" if parameters is None or parameters.varargs is None else parameters.varargs
    base = len(names)
    return [names[i] if i < base else f"{rest}[{i - base}]" for i in dynamic[:count]]
