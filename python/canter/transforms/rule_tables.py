"""The rules of all primitives seen as tables: primitive -> rule.

A rule is an attribute of its primitive; a table is a view of one attribute. Writing into it declares
the rule, reading gives what the primitive has, and iterating goes over the primitives that have one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from ..core.primitive import Primitive, known_primitives

__all__ = ["RuleTable"]


class RuleTable(MutableMapping[Primitive, Any]):
    """A view of one attribute of all primitives.

    Args:
      attribute: the attribute.
      adapt: from a rule as it is given to the rule as it is kept; None when they are the same.
      instead_of: another attribute that the new rule takes the place of.

    Example:
      >>> from canter.interpreters import ad
      >>> from canter.lax import sin_p
      >>> ad.primitive_jvps[sin_p] is sin_p.jvp_rule
      True
    """

    __slots__ = ("_adapt", "_attribute", "_instead_of")

    def __init__(
        self, attribute: str, adapt: Callable[[Any], Any] | None = None, instead_of: str | None = None
    ):
        self._attribute = attribute
        self._adapt = adapt
        self._instead_of = instead_of

    def _rule(self, primitive: Any) -> Any:
        rule = getattr(primitive, self._attribute, None)
        if rule is None or self._adapt is None:
            return rule
        return getattr(rule, f"given_as_{self._adapt.__name__}", None)

    def __getitem__(self, primitive: Primitive) -> Any:
        rule = self._rule(primitive)
        if rule is None:
            raise KeyError(primitive)
        return rule

    def __setitem__(self, primitive: Primitive, rule: Any) -> None:
        if not isinstance(primitive, Primitive):
            raise TypeError(f"A rule is declared for a Primitive, not for a {type(primitive).__name__}.")
        if self._adapt is not None:
            adapted = self._adapt(rule)
            setattr(adapted, f"given_as_{self._adapt.__name__}", rule)
            rule = adapted
        setattr(primitive, self._attribute, rule)
        if self._instead_of is not None:
            setattr(primitive, self._instead_of, None)
        primitive.eval_cache.clear()

    def __delitem__(self, primitive: Primitive) -> None:
        self[primitive]
        setattr(primitive, self._attribute, None)

    def __iter__(self) -> Iterator[Primitive]:
        return iter([p for p in list(known_primitives) if self._rule(p) is not None])

    def __contains__(self, primitive: object) -> bool:
        return self._rule(primitive) is not None

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"{{{', '.join(sorted(p.name for p in self))}}}"
