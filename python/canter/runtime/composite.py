"""Composites: public functions made of several primitives.

On concrete arguments a composite is one compiled call through C++, like a jitted function. Inside a
trace its body is traced where it stands, so that traces stay flat and without extra equations.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar, overload

import numpy as np

from ..core.errors import KeyReuseError
from ..core.trace import Tracer, eval_trace, state
from .array import ArrayImpl
from .jit import Jitted, dispatcher
from .signature import argument_spec

__all__ = ["compiled_composite", "composite", "composite_operator", "refuse_sequences"]

_KNOWN = (Tracer, ArrayImpl, int, float, complex)

P = ParamSpec("P")
R = TypeVar("R")


class Composite(Jitted):
    """The Python side of a composite."""

    __slots__ = ()

    def cache_miss(self, *args: Any, **kwargs: Any) -> Any:
        if state.trace is not eval_trace:
            return self.function(*args, **kwargs), None, False
        return super().cache_miss(*args, **kwargs)


class OperatorComposite(Composite):
    """A composite that leaves operands it does not know to their own reflected method."""

    __slots__ = ()

    def cache_miss(self, *args: Any, **kwargs: Any) -> Any:
        for arg in args:
            if isinstance(arg, _KNOWN):
                continue
            if not _is_operand(arg):
                refuse_sequences(self.name, *args)
                return NotImplemented, None, False
            if hasattr(arg, "__jax_array__"):
                # Such an object may pass on every attribute of its array, `aval` too, and be none all the same.
                return self.cache_miss(*(_array_of(x) for x in args), **kwargs)
        return super().cache_miss(*args, **kwargs)


def refuse_sequences(operator: str, *operands: Any) -> None:
    """Raises TypeError where an operand is a list or another of Python's containers.

    Left to Python, `[1] + x` would ask the list, whose own error says nothing of arrays.
    """
    for operand in operands:
        if isinstance(operand, (list, tuple, set, dict)):
            kinds = " and ".join(repr(type(x).__name__) for x in operands)
            raise TypeError(
                f"unsupported operand type(s) for {operator}: {kinds}. "
                f"Make an array of the {type(operand).__name__} first, with canter.numpy.asarray."
            )


def _is_operand(value: Any) -> bool:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.dtype.kind not in "OSUMm"
    return (
        isinstance(value, (Tracer, int, float, complex))
        or hasattr(value, "aval")
        or hasattr(value, "__jax_array__")
    )


def _array_of(value: Any) -> Any:
    return value.__jax_array__() if hasattr(value, "__jax_array__") else value


def _is_negative_zero(value: Any) -> bool:
    """Whether C++, which compares static arguments as Python does, would take the program of another value."""
    return isinstance(value, (float, np.floating)) and value == 0 and bool(np.signbit(value))


@overload
def composite(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def composite(
    function: None = None, /, *, static_argnames: Sequence[str] = ()
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def composite(function: Any = None, /, *, static_argnames: Sequence[str] = ()) -> Any:
    """Declares a public function that consists of several primitives.

    Args:
      function: takes arrays, numbers and pytrees of them, and works on tracers.
      static_argnames: parameters that are Python values. They may be passed by position too. Of values
        without a hash nothing is compiled, and the body runs as it stands.

    Returns:
      The function as one compiled call on concrete arguments, or what the body returns or raises where that is
      not possible. `__wrapped__` is the body.

    Example:
      >>> from canter import lax
      >>> from canter.runtime.composite import composite
      >>> @composite
      ... def twice(x):
      ...     return lax.add(x, x)
      >>> print(twice(2.0))
      4.0
    """
    if function is None:
        return lambda body: composite(body, static_argnames=static_argnames)
    compiled: Any = None
    fills = "fill_value" in static_argnames

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal compiled
        # While tracing, the body runs as it stands: that spares the way through C++ and back.
        if state.trace is eval_trace and not (fills and _is_negative_zero(kwargs.get("fill_value"))):
            if compiled is None:
                compiled = compiled_composite(function, static_argnames)
            try:
                return compiled(*args, **kwargs)
            except (FloatingPointError, KeyReuseError):  # of what was computed, by a check that is on
                raise
            except Exception:
                pass
        # Or else the arguments cannot be compiled: a list for a static tuple, an array where the body needs its
        # value, a mistake. The body takes them, or says what is wrong with them.
        return function(*args, **kwargs)

    return call


def compiled_composite(function: Callable[P, R], static_argnames: Sequence[str] = ()) -> Callable[P, R]:
    """A composite's compiled side alone, for those who ask themselves whether there is a trace.

    Args:
      function: the body.
      static_argnames: parameters that are Python values.
    """
    return _dispatcher(Composite, function, static_argnames)


def composite_operator(function: Callable[P, R], /) -> Callable[P, R]:
    """A composite that can stand as an operator method of an array class.

    Foreign operands (strings, lists, None, objects of other libraries) give NotImplemented, so that
    Python tries their reflected method.

    Args:
      function: the body, of two operands (or one).
    """
    return _dispatcher(OperatorComposite, function, ())


def _dispatcher(kind: type[Composite], function: Any, static_argnames: Sequence[str]) -> Any:
    spec = argument_spec(function, None, tuple(static_argnames) or None, None, None)
    return dispatcher(kind(function, spec))
