"""A function's forward and backward pass as two functions, each compiled once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..core.errors import derived_boundary
from ..transforms.calling import function_name, normalize_argnums, split_arguments
from ..transforms.derivatives import vjp
from .jit import jit

__all__ = ["fwd_and_bwd"]


def fwd_and_bwd(
    fun: Callable[..., Any], argnums: int | Sequence[int], has_aux: bool = False, jitted: bool = True
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The forward and the backward pass of a function.

    Where a training step cannot be one compiled function, `vjp` gives a new pull-back each step, which
    would be compiled each time; these two are compiled once.

    Args:
      fun: takes and returns trees of arrays.
      argnums: the positional argument or arguments to differentiate with respect to.
      has_aux: whether `fun` returns a pair (value, other data).
      jitted: whether to compile both.

    Returns:
      (fwd, bwd). `fwd(*args)` returns (value, residuals), and the other data as a third with `has_aux`.
      `bwd(residuals, cotangent)` returns the cotangents of the chosen arguments: a tuple of them where
      `argnums` is a sequence.

    Raises:
      TypeError, ValueError: `argnums` does not fit the call, or the cotangent does not fit the value.

    Example:
      >>> import canter as ct
      >>> fwd, bwd = ct.fwd_and_bwd(lambda x, y: x * y, argnums=(0, 1))
      >>> value, residuals = fwd(3.0, 4.0)
      >>> [float(g) for g in bwd(residuals, 1.0)]
      [4.0, 3.0]
    """
    single = not isinstance(argnums, (tuple, list))

    @derived_boundary(fun)
    def fwd(*args: Any, **kwargs: Any) -> Any:
        numbers = normalize_argnums(argnums, len(args), f"fwd_and_bwd of {function_name(fun)}")
        partial, chosen = split_arguments(fun, args, numbers, kwargs)
        return vjp(partial, *chosen, has_aux=has_aux)

    @derived_boundary(fun)
    def bwd(residuals: Any, cotangent: Any) -> Any:
        result = residuals(cotangent)
        return result[0] if single else result

    return (jit(fwd), jit(bwd)) if jitted else (fwd, bwd)
