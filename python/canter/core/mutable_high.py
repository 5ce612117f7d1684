"""Mutable high types, whose values change their structure, and attributes of tracers that their types declare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from .high import HiType
from .trace import Tracer

__all__ = ["AvalMutableQDD", "AvalQDD", "HiPspec", "MutableHiType", "aval_method", "aval_property"]


@dataclass(frozen=True)
class AvalQDD:
    """A type together with the state that a value of it has at a point of the program.

    Attributes:
      aval: the type.
      qdd: the state, or None for types that have none.
    """

    aval: Any
    qdd: Any

    @property
    def has_qdd(self) -> bool:
        return self.qdd is not None

    def to_tangent_aval(self) -> AvalQDD:
        """The tangent's type, with the tangent's state."""
        qdd = self.qdd.to_tangent_qdd() if hasattr(self.qdd, "to_tangent_qdd") else self.qdd
        return AvalQDD(self.aval.to_tangent_aval(), qdd)

    def lo_ty(self) -> list[Any]:
        """The types of the arrays that a value in this state consists of."""
        return self.aval.lo_ty() if self.qdd is None else self.aval.lo_ty_qdd(self.qdd)


@dataclass(frozen=True)
class AvalMutableQDD:
    """A type together with a place for the state, which changes as the program is traced."""

    aval: Any
    mutable_qdd: Any


class MutableHiType(HiType):
    """A type of values that change in place, and with them the arrays they consist of: `lo_ty_qdd(state)`.

    Primitives on such values can be evaluated; a value cannot go into a traced function, which raises
    NotImplementedError. Pass the arrays that it consists of, or a mutable reference (`canter.new_ref`).
    """

    has_qdd = True

    def lo_ty(self) -> list[Any]:
        raise NotImplementedError(
            f"A value of the mutable high type {type(self).__name__} cannot go into or out of a traced function. Pass "
            "the arrays that it consists of, or a mutable reference (canter.new_ref)."
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


if not hasattr(Tracer, "__getattr__"):
    Tracer.__getattr__ = _attribute_of_type  # type: ignore[attr-defined]
