"""Calls, tuples, tokens, barriers, composites, and the few operations of other dialects that come along."""

from __future__ import annotations

from typing import Any

import numpy as np

from canter import lax
from canter_mlir.reading import Operation, TokenType

from .evaluation import Rule, UnsupportedOperation, rules

__all__ = ["RULES"]


def _call(run: Any, op: Operation, *operands: Any) -> Any:
    return run.call(op.attributes["callee"], operands)


def _composite(run: Any, op: Operation, *operands: Any) -> Any:
    """A composite that Canter knows by name is that operation; any other is its decomposition."""
    rule = rules().get(op.attributes["name"])
    if rule is not None and not op.attributes.get("composite_attributes"):
        return rule(run, op, *operands)
    return run.call(op.attributes["decomposition"], operands)


def _barrier(run: Any, op: Operation, *operands: Any) -> Any:
    return list(lax.optimization_barrier(tuple(operands)))


def _tuple(run: Any, op: Operation, *operands: Any) -> Any:
    return [tuple(operands)]


def _tuple_element(run: Any, op: Operation, values: Any) -> Any:
    return [values[op.attributes["index"]]]


def _token(run: Any, op: Operation, *tokens: Any) -> Any:
    """Tokens order effects; what is evaluated here has none, so they are nothing."""
    return [None]


def _host(run: Any, op: Operation, *operands: Any) -> Any:
    raise UnsupportedOperation(op, "talks to the host or another program, which a function cannot.")


def _same(run: Any, op: Operation, *operands: Any) -> Any:
    return list(operands)


def _shape_of(run: Any, op: Operation, x: Any) -> Any:
    return np.asarray(x.shape, op.results[0].type.dtype)


def _from_elements(run: Any, op: Operation, *values: Any) -> Any:
    kind = op.results[0].type
    if all(type(x) is np.ndarray for x in values):
        return np.asarray(values, kind.dtype).reshape(kind.shape)
    return lax.reshape(lax.concatenate([lax.reshape(x, (1,)) for x in values], 0), kind.shape)


def _async(run: Any, op: Operation, *operands: Any) -> Any:
    if op.name.endswith("done"):
        return list(operands)
    raise UnsupportedOperation(op, "starts work in the background; inline it first.")


def is_token(value: Any) -> bool:
    """Whether a value of a module is a token."""
    return isinstance(value.type, TokenType)


RULES: dict[str, Rule] = {
    "func.call": _call,
    "arith.constant": lambda run, op: np.asarray(op.attributes["value"], op.results[0].type.dtype),
    "arith.index_cast": lambda run, op, x: np.asarray(x).astype(op.results[0].type.dtype),
    "shape.shape_of": _shape_of,
    "tensor.cast": _same,
    "tensor.from_elements": _from_elements,
    "stablehlo.after_all": _token,
    "stablehlo.create_token": _token,
    "stablehlo.composite": _composite,
    "stablehlo.get_tuple_element": _tuple_element,
    "stablehlo.optimization_barrier": _barrier,
    "stablehlo.tuple": _tuple,
    "stablehlo.infeed": _host,
    "stablehlo.outfeed": _host,
    "stablehlo.send": _host,
    "stablehlo.recv": _host,
    "stablehlo.async_start": _async,
    "stablehlo.async_done": _async,
}
