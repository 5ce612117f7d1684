"""Effects: what an equation does besides giving its results.

An effect is an object; equal effects are the same effect. What may be done with the effects of one
class is a matter of the sets below, to which a class is added by whoever defines it:

* `ordered_effects`: those that happen in the order of the program, one after the other. Lowering
  threads a token through the program for each.
* `lowerable_effects`: those that a compiled program may have.
* `control_flow_allowed_effects`: those that the bodies of loops and branches may have.
* `custom_derivatives_allowed_effects`: those that functions with a derivative rule may have.
* `remat_allowed_effects`: those that happen again when `checkpoint` computes a value again.
* `shardable_ordered_effects`: ordered ones that programs on several devices may have.
* `partial_eval_kept_effects`: those that stay with the values when a program is split in values and
  derivative.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "DebugEffect",
    "Effect",
    "EffectTypeSet",
    "Effects",
    "IOEffect",
    "JaxprInputEffect",
    "NamedAxisEffect",
    "OrderedDebugEffect",
    "OrderedIOEffect",
    "control_flow_allowed_effects",
    "custom_derivatives_allowed_effects",
    "debug_effect",
    "io_effect",
    "lowerable_effects",
    "no_effects",
    "ordered_debug_effect",
    "ordered_effects",
    "ordered_io_effect",
    "partial_eval_kept_effects",
    "refuse_effects",
    "refuse_io",
    "remat_allowed_effects",
    "shardable_ordered_effects",
]


class Effect:
    """Base class of all effects. Equations that have one are never removed as dead code."""

    __slots__ = ()


class NamedAxisEffect(Effect):
    """The equation refers to a mapped axis by name."""

    __slots__ = ("name",)

    def __init__(self, name: object):
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NamedAxisEffect) and self.name == other.name

    def __hash__(self) -> int:
        return hash((NamedAxisEffect, self.name))

    def __repr__(self) -> str:
        return f"NamedAxis({self.name!r})"


class JaxprInputEffect(Effect):
    """An effect on one of the arguments of a program, such as writing to a reference.

    Attributes:
      input_index: which argument; constants come first.
    """

    # No slots: subclasses outside may hold more.

    def __init__(self, input_index: int):
        self.input_index = input_index

    def replace(self, *, input_index: int | None = None) -> JaxprInputEffect:
        """The same effect on another argument."""
        return type(self)(self.input_index if input_index is None else input_index)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.input_index == other.input_index

    def __hash__(self) -> int:
        return hash((type(self), self.input_index))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.input_index})"


class _NamedEffect(Effect):
    """An effect of which there is one, printed by the name of its class."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __str__(self) -> str:
        return type(self).__name__.removesuffix("Effect")

    def __repr__(self) -> str:
        return str(self)


class DebugEffect(_NamedEffect):
    """Python is called to look at values: it may happen in any order, again or not at all."""

    __slots__ = ()


class OrderedDebugEffect(_NamedEffect):
    """As `DebugEffect`, in the order of the program."""

    __slots__ = ()


class IOEffect(_NamedEffect):
    """Python is called to do something, once for each time the program comes by."""

    __slots__ = ()


class OrderedIOEffect(_NamedEffect):
    """As `IOEffect`, in the order of the program."""

    __slots__ = ()


debug_effect, ordered_debug_effect = DebugEffect(), OrderedDebugEffect()
io_effect, ordered_io_effect = IOEffect(), OrderedIOEffect()


class EffectTypeSet:
    """A set of classes of effects.

    Example:
      >>> from canter.core.effects import Effect, EffectTypeSet
      >>> class Printing(Effect):
      ...     pass
      >>> allowed = EffectTypeSet()
      >>> allowed.add_type(Printing)
      >>> allowed.contains(Printing()), allowed.filter_not_in([Printing()])
      (True, [])
    """

    __slots__ = ("_types",)

    def __init__(self) -> None:
        self._types: tuple[type[Effect], ...] = ()

    def add_type(self, effect_type: type[Effect]) -> None:
        """Adds a class and with it its subclasses."""
        if effect_type not in self._types:
            self._types = (*self._types, effect_type)

    def contains(self, effect: Effect) -> bool:
        """True when the effect's class is in the set."""
        return isinstance(effect, self._types)

    def filter_in(self, effects: Iterable[Effect]) -> list[Effect]:
        """The effects whose class is in the set, in the order of their names."""
        return sorted((effect for effect in effects if isinstance(effect, self._types)), key=str)

    def filter_not_in(self, effects: Iterable[Effect]) -> list[Effect]:
        """The effects whose class is not in the set, in the order of their names."""
        return sorted((effect for effect in effects if not isinstance(effect, self._types)), key=str)

    def __repr__(self) -> str:
        return f"EffectTypeSet({', '.join(kind.__name__ for kind in self._types)})"


Effects = frozenset[Effect]
no_effects: Effects = frozenset()

ordered_effects = EffectTypeSet()
shardable_ordered_effects = EffectTypeSet()
lowerable_effects = EffectTypeSet()
control_flow_allowed_effects = EffectTypeSet()
custom_derivatives_allowed_effects = EffectTypeSet()
remat_allowed_effects = EffectTypeSet()
partial_eval_kept_effects = EffectTypeSet()

_DEBUG = (DebugEffect, OrderedDebugEffect)
_IO = (IOEffect, OrderedIOEffect)
for _types, _sets in {
    (NamedAxisEffect, *_DEBUG): (
        lowerable_effects,
        control_flow_allowed_effects,
        custom_derivatives_allowed_effects,
        remat_allowed_effects,
    ),
    _IO: (lowerable_effects, control_flow_allowed_effects, custom_derivatives_allowed_effects),
    _DEBUG: (partial_eval_kept_effects,),
    (OrderedDebugEffect, OrderedIOEffect): (ordered_effects,),
    (OrderedIOEffect,): (shardable_ordered_effects,),
}.items():
    for _set in _sets:
        for _type in _types:
            _set.add_type(_type)


def refuse_effects(effects: Iterable[Effect], allowed: EffectTypeSet, where: str) -> None:
    """Raises NotImplementedError if there are effects that are not allowed.

    Args:
      effects: those of a program.
      allowed: the set of those that it may have.
      where: what takes the program, for the message: "`scan`".
    """
    refused = effects and allowed.filter_not_in(effects)
    if refused:
        raise NotImplementedError(
            f"Effects not supported in {where}: {refused}. Move the operations that have them out of it, or let "
            "their class be added to the effects that are allowed there (see canter.core.effects)."
        )


def refuse_io(effects: Iterable[Effect], where: str) -> None:
    """Raises NotImplementedError for programs that do something, where it might happen once too often.

    Args:
      effects: those of a program.
      where: what would run it for elements of a batch that do not ask for it, for the message.
    """
    if effects and any(isinstance(effect, (IOEffect, OrderedIOEffect)) for effect in effects):
        raise NotImplementedError(
            f"IO effect not supported in {where}: with a predicate that differs from element to element the "
            "callback would run for elements that do not ask for it. Use `lax.map` instead of `vmap`, or pass the "
            "predicate to the callback."
        )
