"""When are two jaxprs the same program?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from .jaxpr import ClosedJaxpr, Jaxpr, JaxprEqn, Literal
from .number_keys import number_key, value_key

__all__ = ["parameters_key", "structure_key"]


def parameters_key(params: Mapping[str, Any]) -> tuple[Any, ...]:
    """A stand-in for an equation's parameters that tells 1 from True and 0.0 from -0.0; hashable if they are."""
    return tuple((name, *number_key(value)) for name, value in params.items())


def structure_key(
    closed: ClosedJaxpr, name: str = "", unread: Mapping[str, Collection[str]] = MappingProxyType({})
) -> Any:
    """A hashable value that is equal for jaxprs which differ only in their variables and source lines.

    Args:
      closed: the jaxpr. Its constants count as the objects they are.
      name: counts as part of the structure.
      unread: of primitives, by name: parameters that do not count.

    Returns:
      The key, or None where a parameter cannot be hashed. It holds ids of the constants: it is
      good as long as these live.

    Example:
      >>> import canter as ct
      >>> from canter.core.structure import structure_key
      >>> double, twice = (ct.make_jaxpr(lambda x: x + x)(1.0) for _ in range(2))
      >>> structure_key(double) == structure_key(twice)
      True
    """
    try:
        key = name, tuple(map(id, closed.consts)), _of_jaxpr(closed.jaxpr, unread)
        hash(key)
    except TypeError:
        return None
    return key


def _of_jaxpr(jaxpr: Jaxpr, unread: Mapping[str, Collection[str]]) -> Any:
    numbers: dict[Any, int] = {}

    def define(variables: Any) -> tuple[Any, ...]:
        for var in variables:
            numbers[var] = len(numbers)
        return tuple(var.aval for var in variables)

    def use(atoms: Any) -> tuple[Any, ...]:
        return tuple(
            (value_key(atom.val), atom.aval) if type(atom) is Literal else numbers[atom] for atom in atoms
        )

    head = define(jaxpr.constvars), define(jaxpr.invars)
    body = tuple(
        (eqn.primitive, use(eqn.invars), _of_params(eqn, unread), define(eqn.outvars)) for eqn in jaxpr.eqns
    )
    return head, body, use(jaxpr.outvars)


def _of_params(eqn: JaxprEqn, unread: Mapping[str, Collection[str]]) -> tuple[Any, ...]:
    if not eqn.params:
        return ()
    left_out = unread.get(eqn.primitive.name, ())
    return tuple(
        (name, _of_param(value, unread)) for name, value in eqn.params.items() if name not in left_out
    )


def _of_param(value: Any, unread: Mapping[str, Collection[str]]) -> Any:
    kind = type(value)
    if kind is ClosedJaxpr:
        return tuple(map(id, value.consts)), _of_jaxpr(value.jaxpr, unread)
    if kind is Jaxpr:
        return _of_jaxpr(value, unread)
    if kind in (tuple, list):
        return tuple(_of_param(part, unread) for part in value)
    return number_key(value)
