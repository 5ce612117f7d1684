"""Loops over few numbers, which the CPU runs as one piece of machine code.

Otherwise XLA's CPU backend starts a kernel for each group of operations in a loop's body, which costs more than
what it does to a scalar. By itself it compiles a loop as a whole if a step touches less than 1 KB. Where all
loops of a module are of simple operations on few numbers, a mark on the module asks for a higher bound
(`canter_pjrt.compile`): the derivative of a scan over 60 scalars then runs 20 times faster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from canter.core.jaxpr import Jaxpr, jaxprs_in_params

from .registry import ElementwiseOp, find_rule

__all__ = ["only_small_loops", "small_loop_bytes", "small_loops_attribute"]

# The attribute of the module, and its value: the bytes a step may touch.
small_loops_attribute, small_loop_bytes = "canter.small_loops", 1 << 16

# Larger values are worth kernels of their own: vector units, threads, tuned products.
_MOST_ELEMENTS, _MOST_EQUATIONS = 64, 1000

# Besides elementwise operations: what the backend can emit inside of such a function.
_PLAIN = frozenset(
    "add_any and borrow_active broadcast_in_dim choose_active clamp concatenate convert_element_type copy copy_p "
    "dynamic_slice dynamic_update_slice eq expand_dims ge gt integer_pow iota le logistic lt max min name ne not "
    "or pad pow reduce_and reduce_max reduce_min reduce_or reduce_prod reduce_sum reduce_xor rem reshape rev round "
    "select_n sign slice split square squeeze stack stop_gradient transpose unstack xor".split()
)
_LOOPS = frozenset(["scan", "while"])
_CALLS = frozenset("closed_call cond core_call custom_jvp_call custom_vjp_call jit pjit scan while".split())


def only_small_loops(jaxpr: Jaxpr) -> bool:
    """True when a program has loops, and all of them are of few, small and simple operations."""
    found = [_are_small(programs) for programs in _loops(jaxpr, set())]
    return bool(found) and all(found)


def _loops(jaxpr: Jaxpr, seen: set[int]) -> Iterator[list[Jaxpr]]:
    """The programs of each outermost loop."""
    for eqn in jaxpr.eqns:
        if not eqn.primitive.multiple_results:
            continue  # whatever has an inner program gives a list of results
        inner = list(jaxprs_in_params(eqn.params))
        is_unrolled = eqn.params.get("unroll", 1) >= eqn.params.get("length", 2)
        if eqn.primitive.name in _LOOPS and not is_unrolled:
            yield inner
            continue
        for program in inner:
            if id(program) not in seen:
                seen.add(id(program))
                yield from _loops(program, seen)


def _are_small(programs: Sequence[Jaxpr]) -> bool:
    left = _MOST_EQUATIONS
    for program in programs:
        left = -1 if left < 0 or program.effects else _budget_after(program, left)
    return left >= 0


def _budget_after(jaxpr: Jaxpr, left: int) -> int:
    """What is left of a number of equations; -1 if there are more, or one that is not small."""
    if any(_size(v) > _MOST_ELEMENTS for v in jaxpr.outvars):
        return -1
    for eqn in jaxpr.eqns:
        name = eqn.primitive.name
        if name in _CALLS:
            for inner in jaxprs_in_params(eqn.params):
                left = _budget_after(inner, left) if left >= 0 else -1
        elif name not in _PLAIN and type(find_rule(eqn.primitive, "cpu")) is not ElementwiseOp:
            return -1
        left -= 1
        if left < 0 or any(_size(v) > _MOST_ELEMENTS for v in eqn.outvars):
            return -1
        if name.startswith("reduce_") and any(_size(v) > _MOST_ELEMENTS for v in eqn.invars):
            return -1
    return left


def _size(atom: Any) -> int:
    return getattr(atom.aval, "size", 1)
