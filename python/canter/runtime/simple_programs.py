"""Programs of a few simple operations, such as almost all that run outside of `jit`: the CPU compiles them sooner.

XLA's fusion emitters take some 25 ms for the first kernel of a program. The emitters that they have replaced take
half of that for the operations here, and give kernels that are as fast and numbers that are the same to the last bit.
What they do worse is left out: transposing, and functions that they compute in other ways (docs/compile-time.md has
figures).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from canter_mlir.registry import ElementwiseOp, find_rule

from ..core import dtypes
from ..core.jaxpr import Jaxpr, jaxprs_in_params

__all__ = ["is_simple"]

#: More make kernels that are alike, which the fusion emitters generate once.
_MOST_EQUATIONS = 24
#: Those that are no more than a part of the program: what they contain counts.
_CALLS = frozenset("closed_call custom_jvp_call custom_vjp_call jit pjit".split())
#: Besides those that are one elementwise operation.
_SIMPLE = frozenset(
    "argmax argmin bitcast_convert_type broadcast_in_dim clamp concatenate convert_element_type copy copy_p "
    "dynamic_slice dynamic_update_slice eq erf_inv expand_dims gather ge gt integer_pow iota le lt ne pad "
    "random_bits random_unwrap random_wrap reduce_max reduce_min reduce_sum rem reshape rev select_n slice sort "
    "split square squeeze stack stop_gradient threefry2x32 unstack".split()
)
_NOT_SIMPLE = frozenset("atan cbrt tan".split())
#: Of one program they are computed in one go, which the fusion emitters do better.
_NOT_TOGETHER = (frozenset(["exp"]), frozenset(["reduce_max", "reduce_min", "reduce_sum"]))
#: Of these types some operations are rounded in other places.
_ROUNDED_OTHERWISE = frozenset([np.dtype(np.float16)])


def is_simple(jaxpr: Jaxpr) -> bool:
    """Whether a program is one of those that this module is about."""
    names: set[str] = set()
    return _left_after(jaxpr, _MOST_EQUATIONS, names) >= 0 and any(map(names.isdisjoint, _NOT_TOGETHER))


def _left_after(jaxpr: Jaxpr, left: int, names: set[str]) -> int:
    """What is left of a number of equations; -1 if there are more, or one that is not simple."""
    if len(jaxpr.eqns) > left or not all(map(_has_plain_type, (*jaxpr.invars, *jaxpr.constvars))):
        return -1
    for eqn in jaxpr.eqns:
        if eqn.effects or not all(map(_has_plain_type, eqn.outvars)):
            return -1
        names.add(eqn.primitive.name)
        if eqn.primitive.name in _CALLS:
            for inner in jaxprs_in_params(eqn.params):
                left = _left_after(inner, left, names) if left >= 0 else -1
        elif not _is_simple_operation(eqn.primitive):
            return -1
        left -= 1
        if left < 0:
            return -1
    return left


def _is_simple_operation(primitive: Any) -> bool:
    if primitive.name in _SIMPLE:
        return True
    return primitive.name not in _NOT_SIMPLE and type(find_rule(primitive, "cpu")) is ElementwiseOp


def _has_plain_type(v: Any) -> bool:
    """Whole bytes: for some smaller numbers, jaxlib 0.10 ends the process without the fusion emitters."""
    dtype = getattr(v.aval, "dtype", None)
    if isinstance(dtype, dtypes.ExtendedDType):
        dtype = dtype.physical_dtype
    if not isinstance(dtype, np.dtype):
        return False
    return (dtype.kind in "biufc" and dtype not in _ROUNDED_OTHERWISE) or dtype == dtypes.bfloat16
