"""Functions that carry a stack of transformations, as libraries that write their own transformations use them.

Canter's transformations do not work this way: they take plain functions. This module is for code
written against `linear_util`.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Generator
from typing import Any

from ..core.jaxpr import DebugInfo
from .calling import function_name

__all__ = [
    "Store",
    "StoreException",
    "WrappedFun",
    "cache",
    "merge_linear_aux",
    "transformation",
    "transformation2",
    "transformation_with_aux",
    "transformation_with_aux2",
    "wrap_init",
]

_EMPTY = object()
_UNKNOWN = DebugInfo("missing_debug_info", "<missing_debug_info>")


class StoreException(Exception):
    """The auxiliary output of a transformation was read before it was there, or written twice."""


class Store:
    """A place for the auxiliary output of one run of a transformed function.

    Example:
      >>> from canter.transforms.linear_util import Store
      >>> place = Store()
      >>> place.store(3)
      >>> place.val
      3
    """

    __slots__ = ("_value",)

    def __init__(self) -> None:
        self._value: Any = _EMPTY

    def store(self, value: Any) -> None:
        """Writes the value.

        Raises:
          StoreException: there is another value already.
        """
        if self._value is not _EMPTY and not self._agrees(value):
            raise StoreException("Store occupied")
        self._value = value

    def _agrees(self, value: Any) -> bool:
        return False

    def reset(self) -> None:
        """Forgets the value."""
        self._value = _EMPTY

    @property
    def val(self) -> Any:
        if self._value is _EMPTY:
            raise StoreException("Store empty")
        return self._value

    def __bool__(self) -> bool:
        return self._value is not _EMPTY


class EqualStore(Store):
    """A store that may be written again with an equal value."""

    __slots__ = ()

    def _agrees(self, value: Any) -> bool:
        return bool(self._value == value)


class WrappedFun:
    """A function with the transformations that are to be applied to it, innermost first.

    Two are equal when function, transformations and their static arguments are: so results can be
    cached by it.

    Attributes:
      f: the function at the bottom.
      f_transformed: the function with all transformations applied.
      transforms: pairs of a transformation and its static arguments, outermost first.
      stores: one place for auxiliary output a transformation, or None.
      params: keyword arguments given to `f`.
      debug_info: names for messages.
    """

    __slots__ = (
        "__weakref__",
        "debug_info",
        "f",
        "f_transformed",
        "in_type",
        "params",
        "stores",
        "transforms",
    )

    def __init__(
        self,
        f: Callable[..., Any],
        f_transformed: Callable[..., Any],
        transforms: tuple[Any, ...] = (),
        stores: tuple[Store | None, ...] = (),
        params: tuple[tuple[str, Any], ...] = (),
        in_type: Any = None,
        debug_info: DebugInfo = _UNKNOWN,
    ):
        self.f = f
        self.f_transformed = f_transformed
        self.transforms = transforms
        self.stores = stores
        self.params = params
        self.in_type = in_type
        self.debug_info = debug_info

    @property
    def __name__(self) -> str:
        return function_name(self.f)

    def wrap(
        self, transformation: Callable[..., Any], static_args: tuple[Any, ...], store: Store | None
    ) -> WrappedFun:
        """The function with one more transformation around it.

        Args:
          transformation: `transformation(f, *static_args, *args, **kwargs)`; with a store
            `transformation(f, store, *static_args, *args, **kwargs)`.
          static_args: its static arguments.
          store: where it puts its auxiliary output, or None.
        """
        head = static_args if store is None else (store, *static_args)
        transformed = functools.partial(transformation, self.f_transformed, *head)
        return WrappedFun(
            self.f,
            transformed,
            ((transformation, static_args), *self.transforms),
            (store, *self.stores),
            self.params,
            None,
            self.debug_info,
        )

    def call_wrapped(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the transformed function."""
        return self.f_transformed(*args, **kwargs)

    __call__ = call_wrapped

    def populate_stores(self, stores: Any) -> None:
        """Fills the places for auxiliary output from those of an equal function that has run."""
        for own, other in zip(self.stores, stores, strict=True):
            if own is not None:
                own.store(other.val if isinstance(other, Store) else other)

    def replace_debug_info(self, debug_info: DebugInfo) -> WrappedFun:
        """The same function with other names for messages."""
        return WrappedFun(
            self.f, self.f_transformed, self.transforms, self.stores, self.params, self.in_type, debug_info
        )

    def with_unknown_names(self) -> WrappedFun:
        """The same function without names of arguments and results."""
        return self.replace_debug_info(self.debug_info._replace(arg_names=None, result_paths=None))

    def _key(self) -> Any:
        return self.f, self.transforms, self.params, self.in_type

    def __hash__(self) -> int:
        return hash(self._key())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WrappedFun) and self._key() == other._key()

    def __repr__(self) -> str:
        lines = [
            f"{i}   : {function_name(gen)}   {args}" if args else f"{i}   : {function_name(gen)}"
            for i, (gen, args) in enumerate(self.transforms)
        ]
        return "\n".join(["Wrapped function:", *lines, f"Core: {function_name(self.f)}"])


def wrap_init(
    f: Callable[..., Any], params: dict[str, Any] | None = None, *, debug_info: DebugInfo | None = None
) -> WrappedFun:
    """Wraps a function so that transformations can be stacked on it.

    Args:
      f: the function.
      params: keyword arguments for every call of it.
      debug_info: names for messages.

    Example:
      >>> from canter.extend import linear_util
      >>> linear_util.wrap_init(lambda x: x + 1).call_wrapped(2)
      3
    """
    items = tuple(sorted((params or {}).items()))
    called = functools.partial(f, **dict(items)) if items else f
    return WrappedFun(f, called, params=items, debug_info=debug_info or _UNKNOWN)


def transformation2(gen: Callable[..., Any], fun: WrappedFun | None = None, *static_args: Any) -> Any:
    """Makes a transformation of a function `gen(f, *static_args, *args, **kwargs)`; may be used as a decorator.

    Example:
      >>> from canter.extend import linear_util
      >>> @linear_util.transformation2
      ... def scaled(f, factor, *args):
      ...     return factor * f(*args)
      >>> scaled(linear_util.wrap_init(lambda x: x + 1), 10).call_wrapped(2)
      30
    """
    if fun is None:
        return functools.partial(transformation2, gen)
    return fun.wrap(gen, static_args, None)


def transformation_with_aux2(
    gen: Callable[..., Any],
    fun: WrappedFun | None = None,
    *static_args: Any,
    use_eq_store: bool = False,
    unk_names: bool = False,
) -> Any:
    """Makes a transformation with auxiliary output of `gen(f, store, *static_args, *args, **kwargs)`.

    Args:
      gen: the function; it puts its auxiliary output into `store`.
      fun: what to transform; without it the result is the transformation.
      *static_args: static arguments.
      use_eq_store: allow the output to be written again with an equal value.
      unk_names: forget the names of arguments and results.

    Returns:
      The transformed function, and a function that gives the auxiliary output.

    Example:
      >>> from canter.extend import linear_util
      >>> @linear_util.transformation_with_aux2
      ... def counted(f, store, *args):
      ...     store.store(len(args))
      ...     return f(*args)
      >>> fun, count = counted(linear_util.wrap_init(max))
      >>> fun.call_wrapped(2, 5), count()
      (5, 2)
    """
    if fun is None:
        return functools.partial(
            transformation_with_aux2, gen, use_eq_store=use_eq_store, unk_names=unk_names
        )
    store = EqualStore() if use_eq_store else Store()
    wrapped = fun.wrap(gen, static_args, store)
    return (wrapped.with_unknown_names() if unk_names else wrapped), lambda: store.val


def _run(steps: Generator[Any, Any, Any], f: Callable[..., Any]) -> Any:
    """Runs the two halves of a generator around a call; gives what it yields last."""
    try:
        args, kwargs = next(steps)
        return steps.send(f(*args, **kwargs))
    finally:
        steps.close()  # what it is inside of, such as another trace, must end also where the call fails


@functools.cache
def _around(gen: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(gen)
    def call(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return _run(gen(*args, **kwargs), f)

    return call


@functools.cache
def _around_with_aux(gen: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(gen)
    def call(f: Callable[..., Any], store: Store, *args: Any, **kwargs: Any) -> Any:
        result, aux = _run(gen(*args, **kwargs), f)
        store.store(aux)
        return result

    return call


def transformation(gen: Callable[..., Any], fun: WrappedFun | None = None, *static_args: Any) -> Any:
    """Makes a transformation of a generator: it yields arguments, is sent the result, and yields its own.

    Example:
      >>> from canter.extend import linear_util
      >>> @linear_util.transformation
      ... def negated(*args):
      ...     result = yield args, {}
      ...     yield -result
      >>> negated(linear_util.wrap_init(lambda x: x + 1)).call_wrapped(2)
      -3
    """
    return transformation2(_around(gen), fun, *static_args)


def transformation_with_aux(
    gen: Callable[..., Any], fun: WrappedFun | None = None, *static_args: Any, use_eq_store: bool = False
) -> Any:
    """Makes a transformation of a generator whose last yield is a pair (result, auxiliary output)."""
    return transformation_with_aux2(_around_with_aux(gen), fun, *static_args, use_eq_store=use_eq_store)


def merge_linear_aux(aux1: Callable[[], Any], aux2: Callable[[], Any]) -> tuple[bool, Any]:
    """Which of two auxiliary outputs is there, and it.

    Returns:
      (True, the first) or (False, the second).

    Raises:
      StoreException: neither is there, or both are.
    """
    try:
        first = aux1()
    except StoreException:
        try:
            return False, aux2()
        except StoreException:
            raise StoreException("neither store occupied") from None
    try:
        aux2()
    except StoreException:
        return True, first
    raise StoreException("both stores occupied")


def cache(call: Callable[..., Any], *, explain: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """Caches a function `call(fun, *args)` of a WrappedFun and hashable arguments.

    What belongs to a function is dropped with it. A hit fills the places for auxiliary output.

    Args:
      call: the function.
      explain: called on every miss, as `explain(fun, is_first, seen, args, seconds)`.

    Example:
      >>> from canter.extend import linear_util
      >>> length = linear_util.cache(lambda fun, n: n * 2)
      >>> length(linear_util.wrap_init(abs), 4)
      8
    """
    import time

    from canter_pjrt.jaxlib_door import trace_context

    caches: Any = weakref.WeakKeyDictionary()
    strong: dict[Any, dict[Any, Any]] = {}  # functions that cannot be referred to weakly

    def cached(fun: WrappedFun, *args: Any) -> Any:
        try:
            seen = caches.setdefault(fun.f, {})
        except TypeError:
            seen = strong.setdefault(fun.f, {})
        key = (fun.transforms, fun.params, fun.in_type, args, trace_context())
        found = seen.get(key)
        if found is not None:
            result, stores = found
            fun.populate_stores(stores)
            return result
        start = time.perf_counter()
        result = call(fun, *args)
        if explain is not None:
            explain(fun, not seen, seen, args, time.perf_counter() - start)
        seen[key] = result, fun.stores
        return result

    def cache_clear() -> None:
        caches.clear()
        strong.clear()

    cached.cache_clear = cache_clear  # type: ignore[attr-defined]
    cached.evict_function = lambda f: caches.pop(f, None)  # type: ignore[attr-defined]
    return functools.wraps(call)(cached)
