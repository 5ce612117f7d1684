"""High types: values that users define in terms of arrays, and the primitives on them.

A program may have variables of high types. Before it runs it is lowered: a high value becomes the arrays that it
consists of, and a high primitive what it does with them (`canter.transforms.discharge`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .avals import AbstractValue, register_aval
from .effects import (
    Effect,
    control_flow_allowed_effects,
    custom_derivatives_allowed_effects,
    lowerable_effects,
    remat_allowed_effects,
)
from .primitive import NoMemory, Primitive
from .trace import references

__all__ = [
    "AvalMutableQDD",
    "AvalQDD",
    "HiPrimitive",
    "HiType",
    "HighEffect",
    "MutableAval",
    "is_high",
    "register_hitype",
]


class HighEffect(Effect):
    """A program has a high primitive inside, which is to be lowered before the program runs."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is HighEffect

    def __hash__(self) -> int:
        return hash(HighEffect)

    def __repr__(self) -> str:
        return "High"


for _allowed in (
    lowerable_effects,
    control_flow_allowed_effects,
    custom_derivatives_allowed_effects,
    remat_allowed_effects,
):
    _allowed.add_type(HighEffect)
high_effects = frozenset((HighEffect(),))


class HiType(AbstractValue):
    """A type of values that consist of arrays. Subclass it, with equality and a hash, and define:

    * `lo_ty()`: the types of the arrays,
    * `lower_val(value)`: the arrays of a value,
    * `raise_val(*arrays)`: the value made of arrays,
    * `to_tangent_aval()`: the type of tangents, where values can be differentiated by.
    """

    weak_type = False

    def lo_ty(self) -> list[Any]:
        raise NotImplementedError(f"{type(self).__name__} does not define lo_ty.")

    def lower_val(self, hi_val: Any) -> list[Any]:
        raise NotImplementedError(f"{type(self).__name__} does not define lower_val.")

    def raise_val(self, *lo_vals: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define raise_val.")

    def to_tangent_aval(self) -> Any:
        raise NotImplementedError(
            f"{type(self).__name__} does not define to_tangent_aval: it has no derivatives."
        )

    def to_ct_aval(self) -> Any:
        return self.to_tangent_aval()

    def vspace_zero(self) -> Any:
        """The zero of a type of tangents."""
        raise NotImplementedError(f"{type(self).__name__} does not define vspace_zero.")

    def vspace_add(self, x: Any, y: Any) -> Any:
        """The sum of two values of a type of tangents."""
        raise NotImplementedError(f"{type(self).__name__} does not define vspace_add.")

    def __eq__(self, other: object) -> bool:
        return NotImplemented if type(self).__hash__ is HiType.__hash__ else self is other

    def __hash__(self) -> int:
        return hash(type(self))


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


class MutableState:
    """The state of a mutable value as the program is traced.

    Attributes:
      init_val: at the beginning.
      cur_val: now.
    """

    __slots__ = ("cur_val", "init_val")

    def __init__(self, state: Any):
        self.init_val = self.cur_val = state

    def update(self, state: Any) -> None:
        """Says that the value has another state from here on."""
        self.cur_val = state


class MutableAval(AbstractValue):
    """What a variable of a program has for a type where its value is mutable: the type and the state.

    Two are equal if their types and first states are: that is what a program is traced for.
    """

    __slots__ = ("aval", "state")

    weak_type = False
    shape = ()  # there is no axis to map over

    def __init__(self, aval: Any, state: Any):
        self.aval = aval
        self.state = MutableState(state)

    def fresh(self) -> MutableAval:
        """The same for another variable, with a state of its own."""
        return MutableAval(self.aval, self.state.init_val)

    def lo_ty(self) -> list[Any]:
        return self.aval.lo_ty_qdd(self.state.init_val)

    def raise_val(self, *lo_vals: Any) -> Any:
        return self.aval.new_from_loval(self.state.init_val, *lo_vals)

    def to_tangent_aval(self) -> Any:
        return self.aval.to_tangent_aval()

    def str_short(self, short_dtypes: bool = True) -> str:
        return self.aval.str_short(short_dtypes)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, MutableAval)
            and self.aval == other.aval
            and self.state.init_val == other.state.init_val
        )

    def __hash__(self) -> int:
        return hash((MutableAval, self.aval, self.state.init_val))


def is_high(aval: Any) -> bool:
    """Whether an aval is a high type."""
    return isinstance(aval, (HiType, MutableAval))


def register_hitype(val_cls: type, typeof_fn: Callable[[Any], HiType]) -> None:
    """Declares the values of a high type.

    Args:
      val_cls: the class of the values.
      typeof_fn: from a value to its type.
    """
    references.in_use = True
    register_aval(val_cls, typeof_fn)


class HiPrimitive(Primitive):
    """A primitive that may take and give values of high types. Subclass it and define:

    * `abstract_eval(*types, **params)`: (type of the result, set of effects),
    * `to_lojax(*values, **params)`: the result, computed by array operations,
    * `jvp(primals, tangents, **params)` and `transpose(cotangent, *operands, **params)` for derivatives.
    """

    __slots__ = ()

    def __init__(self, name: str):
        super().__init__(name, multiple_results=_declared(type(self), "multiple_results"))
        references.in_use = True
        kind = type(self)
        self.effectful = True
        self.abstract_cache = NoMemory()
        self.abstract_rule = self._types
        self.impl = self.to_lojax
        if kind.jvp is not HiPrimitive.jvp:
            self.jvp_rule = self.jvp
        if kind.transpose is not HiPrimitive.transpose:
            self.transpose_rule = self.transpose

    def _types(self, *avals: Any, **params: Any) -> Any:
        given = [AvalMutableQDD(x.aval, x.state) if type(x) is MutableAval else x for x in avals]
        out, effects = self.abstract_eval(*given, **params)
        out = [_with_state(x) for x in out] if self.multiple_results else _with_state(out)
        return out, high_effects | frozenset(effects)

    def abstract_eval(self, *avals: Any, **params: Any) -> tuple[Any, Any]:
        raise NotImplementedError(f"{type(self).__name__} does not define abstract_eval.")

    def to_lojax(self, *values: Any, **params: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define to_lojax.")

    def jvp(self, primals: Any, tangents: Any, **params: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define jvp.")

    def transpose(self, *args: Any, **params: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define transpose.")

    def is_high(self, *avals: Any, **params: Any) -> bool:
        """Whether it is lowered before it runs: always."""
        return True


def _with_state(aval: Any) -> Any:
    """The type of a result, as a variable has it."""
    if not isinstance(aval, AvalQDD):
        return aval
    return MutableAval(aval.aval, aval.qdd) if aval.has_qdd else aval.aval


def _declared(kind: type, name: str) -> bool:
    value = getattr(kind, name, False)
    return value if isinstance(value, bool) else False
