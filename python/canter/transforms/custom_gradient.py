"""Reverse-mode rules given by the function itself, and helpers for rules with symbolic zeros."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..core import pytree
from ..core.avals import get_aval
from ..core.jaxpr import eval_jaxpr
from ..core.tracing import trace_to_jaxpr
from .calling import FlatFunction, debug_info, function_name
from .custom_rules import CustomVJPPrimal, SymbolicZero, custom_vjp
from .rules import zeros_like_aval

__all__ = ["custom_gradient", "custom_vjp_primal_tree_values", "zero_from_primal"]


def custom_gradient(fun: Callable[..., tuple[Any, Callable[..., Any]]]) -> custom_vjp[..., Any]:
    """A function that gives its own pull-back together with its value.

    Args:
      fun: `fun(*args) -> (value, pull_back)`. `pull_back(cotangent)` returns a tuple of cotangents, one an
        argument (for a single argument it may be the cotangent itself). It may use values that
        `fun` has computed.

    Returns:
      A function of the same arguments that returns the value alone.

    Raises:
      TypeError: `fun` does not return such a pair, or cotangents do not fit the arguments.

    Example:
      >>> import canter as ct
      >>> @ct.custom_gradient
      ... def square(x):
      ...     return x * x, lambda g: (g * x,)
      >>> float(square(3.0)), float(ct.grad(square)(3.0))
      (9.0, 3.0)
    """
    name = function_name(fun)

    def both(args: Any) -> tuple[Any, Any]:
        result = fun(*args)
        if not isinstance(result, (tuple, list)) or len(result) != 2 or not callable(result[1]):
            raise TypeError(
                f"custom_gradient: {name} must return a pair (value, function of its cotangent), but it returned a "
                f"value of type {type(result).__name__}."
            )
        return result[0], result[1]

    @functools.wraps(fun)
    def value(*args: Any) -> Any:
        return both(args)[0]

    def forward(*args: Any) -> tuple[Any, Any]:
        result, pull_back = both(args)
        leaves, tree = pytree.tree_flatten(result)
        flat = FlatFunction(pull_back, pytree.tree_structure((tree.unflatten(leaves),)))
        avals = [get_aval(x).to_tangent_aval() for x in leaves]
        closed = trace_to_jaxpr(flat, avals, debug_info=debug_info(pull_back, "custom_gradient"))
        return result, pytree.Partial(_PullBack(closed.jaxpr, flat.out_tree, len(args)), closed.consts)

    def backward(pull_back: Any, cotangent: Any) -> Any:
        return pull_back(cotangent)

    wrapped = custom_vjp(value)
    wrapped.defvjp(forward, backward)
    return wrapped


class _PullBack:
    """All of a traced pull-back but the values that it uses."""

    __slots__ = ("jaxpr", "num_args", "out_tree")

    def __init__(self, jaxpr: Any, out_tree: Any, num_args: int):
        self.jaxpr, self.out_tree, self.num_args = jaxpr, out_tree, num_args

    def __call__(self, used: Any, cotangent: Any) -> Any:
        result = self.out_tree.unflatten(eval_jaxpr(self.jaxpr, used, *pytree.tree_leaves(cotangent)))
        single = self.num_args == 1 and not (isinstance(result, (tuple, list)) and len(result) == 1)
        return (result,) if single and not isinstance(result, (tuple, list)) else result


def custom_vjp_primal_tree_values(tree: Any) -> Any:
    """The values in a tree of arguments that a forward rule with `symbolic_zeros=True` is given.

    Args:
      tree: a tree whose leaves are `CustomVJPPrimal`.

    Raises:
      TypeError: a leaf is something else.

    Example:
      >>> from canter.custom_derivatives import CustomVJPPrimal, custom_vjp_primal_tree_values
      >>> custom_vjp_primal_tree_values({"x": CustomVJPPrimal(1.0, True)})
      {'x': 1.0}
    """

    def value(leaf: Any) -> Any:
        if type(leaf) is not CustomVJPPrimal:
            raise TypeError(
                f"custom_vjp_primal_tree_values takes a tree of CustomVJPPrimal, but a leaf is of type "
                f"{type(leaf).__name__}."
            )
        return leaf.value

    return pytree.tree_map(value, tree)


def zero_from_primal(val: Any, symbolic_zeros: bool = False) -> Any:
    """The zero tangent of a value.

    Args:
      val: an array or number, or a tree of them.
      symbolic_zeros: whether to give a `SymbolicZero` rather than an array.

    Example:
      >>> import canter as ct
      >>> from canter.custom_derivatives import zero_from_primal
      >>> zero_from_primal(ct.numpy.ones(2)).tolist()
      [0.0, 0.0]
    """
    make = SymbolicZero if symbolic_zeros else zeros_like_aval
    return pytree.tree_map(lambda leaf: make(get_aval(leaf).to_tangent_aval()), val)
