"""What `jit` keeps of a function that it traced: a program for each signature, for as long as the function lives."""

from __future__ import annotations

import functools
import weakref
from types import MethodType
from typing import Any, NamedTuple

from ..core.high import is_high
from ..core.jaxpr import ClosedJaxpr
from ..core.state import is_ref
from ..core.trace import Tracer
from .passes import constants_to_arguments
from .retracing import History

__all__ = ["Call", "TracedProgram", "Traces", "forget_traces", "traces_of"]


class Call(NamedTuple):
    """The arguments of one call, flat, without the static ones."""

    leaves: list[Any]
    in_tree: Any
    avals: tuple[Any, ...]
    statics: tuple[Any, ...]  # (position or name, type, value)
    static_positions: tuple[int, ...] = ()


class TracedProgram:
    """A traced function.

    Attributes:
      closed: the jaxpr, closed over what the function captured.
      lifted: the same with captured arrays as its first arguments.
      constants: values of these arguments.
      out_tree: structure of the results.
      reusable: False if a tracer was captured, so that the program dies with that tracer's trace.
    """

    __slots__ = ("__weakref__", "closed", "constants", "equation_params", "lifted", "out_tree", "reusable")

    def __init__(self, closed: ClosedJaxpr, out_tree: Any):
        self.closed = closed
        self.lifted, self.constants = constants_to_arguments(closed)
        self.out_tree = out_tree
        self.reusable = not any(isinstance(constant, Tracer) for constant in closed.consts)
        self.equation_params: dict[Any, dict[str, Any]] = {}

    def takes_references(self, call: Call) -> bool:
        """Whether an argument or a constant is a mutable reference, or a value is of a high type."""
        closed = self.lifted
        if any(map(is_high, closed.in_avals)) or any(map(is_high, closed.out_avals)):
            return True
        return any(map(is_ref, call.leaves)) or any(map(is_ref, self.constants))


class Traces(dict[Any, TracedProgram]):
    """The traces of a function by signature, with the history of each method where it is an object's."""

    __slots__ = ("_histories",)

    def __init__(self) -> None:
        super().__init__()
        self._histories: dict[Any, History] = {}

    def history(self, method: Any = None) -> History:
        found = self._histories.get(method)
        if found is None:
            found = self._histories[method] = History()
        return found

    def forget(self) -> None:
        """Drops all traces and what is known of them."""
        self.clear()
        self._histories.clear()


# id of a function -> (weak reference to it, its traces)
_traces: dict[int, tuple[Any, Traces]] = {}


def _forget(traces: dict[int, Any], key: int, reference: Any) -> None:
    traces.pop(key, None)  # not the module's variable, which is None when the interpreter ends


def traces_of(function: Any) -> Traces:
    """The traces of a function, shared by everything that was jitted from it, for as long as it lives."""
    owner = function
    if type(function) is MethodType:  # a bound method is a new object at each access
        owner = function.__self__
    key = id(owner)
    found = _traces.get(key)
    if found is None:
        try:
            reference = weakref.ref(owner, functools.partial(_forget, _traces, key))
        except TypeError:
            return Traces()
        found = _traces[key] = (reference, Traces())
    return found[1]


def forget_traces() -> None:
    """Drops the traces of all functions."""
    for _, traces in list(_traces.values()):
        traces.forget()
