"""Mutable high types, whose values change their structure, and attributes of tracers that their types declare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .high import AvalMutableQDD, AvalQDD, HiType
from .trace import Tracer
from .tracing import current_state

__all__ = ["AvalMutableQDD", "AvalQDD", "HiPspec", "MutableHiType", "aval_method", "aval_property", "cur_qdd"]


def cur_qdd(x: Any) -> Any:
    """The state that a value of a mutable high type has at this point of the program.

    Args:
      x: a value or tracer of a type derived from `canter.experimental.hijax.MutableHiType`.

    Returns:
      What the value's method `cur_qdd()` gives, or inside a traced function what it will give there; None for
      values of other types.

    Example:
      >>> import canter as ct
      >>> ct.experimental.cur_qdd(1.0) is None
      True
    """
    return current_state(x)


class MutableHiType(HiType):
    """A type of values that change in place, and with them the arrays they consist of: `lo_ty_qdd(state)`.

    Values have a method `cur_qdd()` that gives their state, a hashable description of their structure and types. A
    program that takes a value, or captures one, is traced for its state; primitives say in `abstract_eval` what the
    state is after them (`AvalMutableQDD.mutable_qdd`), and `canter.experimental.cur_qdd` asks for it. When the
    program has run, the values that it took have the states and arrays that it left them with. Loops must leave the
    state as it is, and all branches of a `cond` must leave the same; a value cannot be a result, a carry, or
    mapped over.
    """

    has_qdd = True

    def lo_ty(self) -> list[Any]:
        raise NotImplementedError(
            f"A value of the mutable high type {type(self).__name__} cannot be a result, a carry, or an operand here: "
            "let the function close over it, or return the arrays that it consists of."
        )

    def lo_ty_qdd(self, state: Any, /) -> list[Any]:
        """The types of the arrays that a value in a state consists of."""
        raise NotImplementedError(f"{type(self).__name__} does not define lo_ty_qdd.")

    def new_from_loval(self, state: Any, /, *vals: Any) -> Any:
        """A new value of a state and arrays."""
        raise NotImplementedError(f"{type(self).__name__} does not define new_from_loval.")

    def read_loval(self, state: Any, val: Any, /) -> list[Any]:
        """The arrays of a value in a state."""
        raise NotImplementedError(f"{type(self).__name__} does not define read_loval.")

    def update_from_loval(self, state: Any, val: Any, /, *lo_vals: Any) -> None:
        """Gives a value another state and other arrays."""
        raise NotImplementedError(f"{type(self).__name__} does not define update_from_loval.")


class HiPspec:
    """How a value of a high type is sharded. Subclass it and define `to_lo`, for the arrays it consists of."""

    def to_lo(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define to_lo.")

    def to_tangent_spec(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define to_tangent_spec.")

    def to_ct_spec(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define to_ct_spec.")


class aval_property(NamedTuple):
    """An attribute of a type that is a property of tracers of the type: `fget(tracer)`."""

    fget: Callable[..., Any]


class aval_method(NamedTuple):
    """An attribute of a type that is a method of tracers of the type: `fun(tracer, *args)`."""

    fun: Callable[..., Any]


def _attribute_of_type(tracer: Any, name: str) -> Any:
    """What a tracer lacks may be an attribute of its type."""
    found = None if name.startswith("__") else getattr(tracer.aval, name, None)
    if isinstance(found, aval_property):
        return found.fget(tracer)
    if isinstance(found, aval_method):
        return found.fun.__get__(tracer)
    if found is not None and isinstance(tracer.aval, HiType):
        return found
    raise AttributeError(f"{type(tracer).__name__!r} object has no attribute {name!r}")


Tracer.__getattr__ = _attribute_of_type  # type: ignore[attr-defined]

_BINARY = "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or"
_OPERATORS = (
    *_BINARY.split(),
    *(f"r{name}" for name in _BINARY.split()),
    *"getitem setitem len iter neg pos abs invert round bool int float complex index eq ne lt le gt ge".split(),
)


def _of_type(name: str, array_method: Callable[..., Any]) -> Callable[..., Any]:
    """An operator of tracers that is a matter of their type where the type is a high one that has it."""

    def method(self: Any, *args: Any) -> Any:
        aval = self.aval
        if isinstance(aval, HiType):
            own = getattr(type(aval), name, None)
            if own is not None:
                return own(aval, self, *args)
        return array_method(self, *args)

    method.__doc__ = array_method.__doc__
    return method


def install_operators() -> None:
    """Gives tracers the operators that their types declare; those of arrays must be there."""
    for name in _OPERATORS:
        dunder = f"__{name}__"
        found = Tracer.__dict__.get(dunder)
        if found is not None:
            setattr(Tracer, dunder, _of_type(f"_{name}", found))
