"""When are two jaxprs the same program?"""

from __future__ import annotations

from typing import Any

from canter.core.jaxpr import ClosedJaxpr, Jaxpr, Literal

from .types import value_key

__all__ = ["structure_key"]


def structure_key(closed: ClosedJaxpr, name: str = "") -> Any:
    """A hashable value that is equal for jaxprs which differ only in their variables and source lines.

    Args:
      closed: the jaxpr. Its constants count as the objects they are.
      name: counts as part of the structure.

    Returns:
      The key, or None where a parameter cannot be hashed. It holds ids of the constants: it is
      good as long as these live.

    Example:
      >>> import canter as ct
      >>> from canter_mlir.structure import structure_key
      >>> double, twice = (ct.make_jaxpr(lambda x: x + x)(1.0) for _ in range(2))
      >>> structure_key(double) == structure_key(twice)
      True
    """
    try:
        key = name, tuple(map(id, closed.consts)), _of_jaxpr(closed.jaxpr)
        hash(key)
    except TypeError:
        return None
    return key


def _of_jaxpr(jaxpr: Jaxpr) -> Any:
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
        (eqn.primitive, use(eqn.invars), _of_params(eqn.params), define(eqn.outvars)) for eqn in jaxpr.eqns
    )
    return head, body, use(jaxpr.outvars)


def _of_params(params: dict[str, Any]) -> tuple[Any, ...]:
    return tuple((name, _of_param(value)) for name, value in params.items()) if params else ()


def _of_param(value: Any) -> Any:
    kind = type(value)
    if kind is ClosedJaxpr:
        return tuple(map(id, value.consts)), _of_jaxpr(value.jaxpr)
    if kind is Jaxpr:
        return _of_jaxpr(value)
    if kind in (tuple, list):
        return tuple(map(_of_param, value))
    return value, kind
