"""Metadata of equations and values as XLA's frontend attributes."""

from __future__ import annotations

from typing import Any

from canter.core.jaxpr import Literal
from canter.core.metadata import in_names

from ..mlir_door import ir
from ..registry import register_table

__all__ = ["annotate"]

_NAME = "mhlo.frontend_attributes"


def annotate(jaxpr: Any, env: dict[Any, Any], prefix: tuple[Any, ...]) -> None:
    """Gives the operations of a jaxpr's equations what the scopes around them say.

    Args:
      jaxpr: its equations.
      env: variable -> MLIR value.
      prefix: the name stack around the jaxpr.
    """
    for eqn in jaxpr.eqns:
        stack = prefix if eqn.source_info is None else (*prefix, *eqn.source_info.name_stack)
        pairs = in_names(stack)
        if not pairs:
            continue
        given = [env[atom] for atom in eqn.invars if type(atom) is not Literal]
        for var in eqn.outvars:
            value = env[var]
            if not any(value == other for other in given):  # an equation that gives its operand back
                _add(value, pairs)


def _add(value: Any, pairs: dict[str, str]) -> None:
    """Adds attributes to the operation that makes a value; those it has stay."""
    owner = value.owner
    if isinstance(owner, ir.Block):
        return
    attributes = owner.attributes
    known = {entry.name: entry.attr for entry in attributes[_NAME]} if _NAME in attributes else {}
    texts = {key: ir.StringAttr.get(text) for key, text in pairs.items()}
    attributes[_NAME] = ir.DictAttr.get({**texts, **known})


def _value(ctx: Any, x: Any, *, xla_metadata_kvs: Any) -> Any:
    owner = x.owner
    if not isinstance(owner, ir.Block):
        attributes = owner.attributes
        known = {entry.name: entry.attr for entry in attributes[_NAME]} if _NAME in attributes else {}
        known.update((key, ir.StringAttr.get(text)) for key, text in xla_metadata_kvs)
        attributes[_NAME] = ir.DictAttr.get(known)
    return x


register_table({"xla_metadata_value": _value})
