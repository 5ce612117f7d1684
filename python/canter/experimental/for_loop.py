"""`for_loop`: a loop whose body changes its state in place, through mutable references."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from canter import lax
from canter.core import pytree
from canter.core.avals import get_aval
from canter.ref import freeze, new_ref

__all__ = ["for_loop"]

S = TypeVar("S")


def for_loop(
    nsteps: int | Sequence[int],
    body: Callable[..., Any],
    init_state: S,
    *,
    reverse: bool = False,
    unroll: int = 1,
) -> S:
    """Runs a body a fixed number of times, which reads and writes the state through references.

    Compiled as one `scan`, so time to trace and to compile does not depend on the number of steps, and reverse
    mode goes through.

    Args:
      nsteps: the number of steps; of several numbers, those of nested loops, the outermost first.
      body: `body(i, refs)`, for nested loops `body(i, j, ..., refs)`: the int32 counters, and the state with a
        `Ref` in the place of each array. What it returns must be None.
      init_state: a pytree of arrays and numbers.
      reverse: whether the counters run down.
      unroll: how many steps one iteration of the compiled loop has.

    Returns:
      The state after the last step, of the same structure.

    Raises:
      TypeError: the body returns something, or a number of steps is no integer.
      ValueError: a negative number of steps.

    Example:
      >>> import canter.numpy as cnp
      >>> from canter.experimental.for_loop import for_loop
      >>> def fibonacci(i, x):
      ...     x[i + 2] = x[i + 1] + x[i]
      >>> print(for_loop(5, fibonacci, cnp.ones(7, int)))
      [ 1  1  2  3  5  8 13]
    """
    sizes = [operator.index(n) for n in (nsteps if isinstance(nsteps, Sequence) else (nsteps,))]
    if any(n < 0 for n in sizes):
        raise ValueError(f"for_loop: the number of steps must not be negative; got {nsteps}.")
    leaves, tree = pytree.tree_flatten(init_state)
    start = [lax.convert_element_type(leaf, get_aval(leaf).dtype) for leaf in leaves]

    def step(state: list[Any], number: Any) -> tuple[list[Any], None]:
        refs = [new_ref(value) for value in state]
        result = body(*_counters(number, sizes), tree.unflatten(refs))
        if result is not None:
            raise TypeError(
                "for_loop: the body must return None, and change the state through its references; it returned a "
                f"value of type {type(result).__name__}."
            )
        return [freeze(ref) for ref in refs], None

    numbers = lax.iota("int32", math.prod(sizes))
    final, _ = lax.scan(step, start, numbers, reverse=reverse, unroll=unroll)
    return tree.unflatten(final)


def _counters(number: Any, sizes: Sequence[int]) -> list[Any]:
    """The counters of nested loops at a step of the flat one."""
    counters = []
    for size in reversed(sizes[1:]):
        counters.append(lax.rem(number, lax.full_like(number, size)))
        number = lax.div(number, lax.full_like(number, size))
    return [number, *reversed(counters)]
