"""The operations of chlo that broadcast their operands first, and its constants."""

from __future__ import annotations

from typing import Any

import numpy as np

from canter import lax
from canter_mlir.reading import Operation

from .elementwise import RULES as ELEMENTWISE, compare
from .evaluation import Rule

__all__ = ["RULES"]


def _spread(op: Operation, operands: Any) -> list[Any]:
    """Operands of one shape, by NumPy's rules or by the dimensions that the operation names."""
    dims = op.attributes.get("broadcast_dimensions")
    shape = np.broadcast_shapes(*(x.shape for x in operands)) if dims is None else max(
        (x.shape for x in operands), key=len
    )  # fmt: skip
    spread = []
    for x in operands:
        own = range(len(shape) - x.ndim, len(shape))
        if dims is not None and x.ndim < len(shape):
            own = dims
        spread.append(lax.broadcast_in_dim(x, shape, tuple(own)) if x.shape != shape else x)
    return spread


def _broadcasting(rule: Rule) -> Rule:
    return lambda run, op, *operands: rule(run, op, *_spread(op, operands))


def _constant_like(run: Any, op: Operation, x: Any) -> Any:
    return lax.full(x.shape, op.attributes["value"], op.results[0].type.dtype)


def _constant(run: Any, op: Operation) -> Any:
    return np.asarray(op.attributes["value"])


_BROADCASTING = {
    "add": "stablehlo.add",
    "and": "stablehlo.and",
    "atan2": "stablehlo.atan2",
    "complex": "stablehlo.complex",
    "divide": "stablehlo.divide",
    "maximum": "stablehlo.maximum",
    "minimum": "stablehlo.minimum",
    "multiply": "stablehlo.multiply",
    "next_after": "chlo.next_after",
    "or": "stablehlo.or",
    "polygamma": "chlo.polygamma",
    "power": "stablehlo.power",
    "remainder": "stablehlo.remainder",
    "select": "stablehlo.select",
    "shift_left": "stablehlo.shift_left",
    "shift_right_arithmetic": "stablehlo.shift_right_arithmetic",
    "shift_right_logical": "stablehlo.shift_right_logical",
    "subtract": "stablehlo.subtract",
    "xor": "stablehlo.xor",
    "zeta": "chlo.zeta",
}

RULES: dict[str, Rule] = {
    **{f"chlo.broadcast_{name}": _broadcasting(ELEMENTWISE[full]) for name, full in _BROADCASTING.items()},
    "chlo.broadcast_compare": _broadcasting(compare),
    "chlo.constant": _constant,
    "chlo.constant_like": _constant_like,
}
