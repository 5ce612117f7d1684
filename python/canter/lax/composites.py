"""Composite operations: a function with a name that a compiler may know and replace."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from ..core import config, pytree
from ..core.errors import UnexpectedTracerError
from ..core.primitive import Primitive
from ..core.trace import Tracer, axis_environment
from ..core.tracing import trace_to_jaxpr
from ..transforms.calling import FlatFunction, debug_info
from ..transforms.jit_call import jit_p
from ..transforms.partial_evaluation import close_over_nothing
from .control_flow.common import check_callable, flatten_operands
from .parameters import HashableArray

__all__ = ["composite"]

composite_p = Primitive("composite", multiple_results=True)
composite_p.call_primitive = True


def composite(decomposition: Callable[..., Any], name: str, version: int = 0) -> Callable[..., Any]:
    """Makes an operation of a function: one that is compiled as `stablehlo.composite`.

    A compiler that knows the name may use an implementation of its own; all others compile the function.

    Args:
      decomposition: what the operation means. Positional arguments are its operands, trees of arrays.
        Keyword arguments are its attributes: numbers, strings, NumPy arrays, dtypes, and lists, tuples
        and dicts of them; those that are None are left out of the compiled operation.
      name: with a namespace, such as "my.softmax".
      version: counts the changes of the meaning.

    Returns:
      The operation, a function like `decomposition`. It has no derivative (`custom_jvp` gives it one) and
      no batching rule.

    Raises:
      TypeError: `decomposition` is not a function; at a call, an operand is no array.
      UnexpectedTracerError: at a call, when the function captures a traced value, or an attribute is one.
      ValueError: when compiling, where the name has no namespace.

    Source: the composite operation of the StableHLO specification.

    Example:
      >>> from canter import lax
      >>> tangent = lax.composite(lambda x: lax.sin(x) / lax.cos(x), name="my.tangent")
      >>> round(float(tangent(1.0)), 4)
      1.5574
    """
    check_callable("composite", decomposition)
    label = f"composite '{name}'"

    traced: dict[Any, tuple[Any, Any]] = {}

    def program(in_tree: Any, avals: Any, attributes: dict[str, Any]) -> tuple[Any, Any]:
        flat = FlatFunction(lambda *operands: decomposition(*operands, **attributes), in_tree)
        closed = trace_to_jaxpr(flat, avals, debug_info=debug_info(decomposition, label))
        if any(isinstance(const, Tracer) for const in closed.consts):
            raise _captured(name, "a constant")
        return closed, flat.out_tree

    @wraps(decomposition)
    def operation(*args: Any, **attributes: Any) -> Any:
        leaves, in_tree, avals = flatten_operands(label, args)
        kept = tuple(_attribute(name, key, value) for key, value in attributes.items())
        key = in_tree, tuple(avals), kept, config.trace_context(), tuple(axis_environment().items())
        try:
            known = traced.get(key)
        except TypeError:  # an attribute without a hash
            known = program(in_tree, avals, attributes)
        if known is None:
            known = traced[key] = program(in_tree, avals, attributes)
        closed, consts = close_over_nothing(known[0])
        outs = composite_p.bind(*consts, *leaves, name=name, attributes=kept, version=version, jaxpr=closed)
        return pytree.tree_unflatten(known[1], outs)

    return operation


def _attribute(name: str, key: str, value: Any) -> tuple[str, tuple[Any, ...], Any]:
    leaves, treedef = pytree.tree_flatten(value)
    if any(isinstance(leaf, Tracer) for leaf in leaves):
        raise _captured(name, f"the attribute {key!r}")
    return key, tuple(HashableArray(x) if isinstance(x, np.ndarray) else x for x in leaves), treedef


def _captured(name: str, what: str) -> UnexpectedTracerError:
    return UnexpectedTracerError(
        f"The composite operation '{name}' has a traced value as {what}. Its decomposition may use values "
        "that are known when it is called; pass all others as positional arguments, and arrays that are "
        "attributes as NumPy arrays."
    )


def _jvp(primals: Any, tangents: Any, *, name: str, **params: Any) -> Any:
    raise ValueError(
        f"The composite operation '{name}' has no JVP rule, as no compiler that replaces it could know the "
        "derivative. Give it one with canter.custom_jvp, or differentiate the decomposition."
    )


def _evaluate(*args: Any, jaxpr: Any, name: str, **params: Any) -> list[Any]:
    """One compiled call, of the function itself: alone, an operation gives a compiler nothing to replace."""
    return jit_p.bind(
        *args, jaxpr=jaxpr, name=name, donated_invars=(), keep_unused=False, compiler_options_kvs=()
    )


composite_p.def_effectful_abstract_eval(lambda *avals, jaxpr, **params: (jaxpr.out_avals, jaxpr.effects))
composite_p.def_impl(_evaluate)
composite_p.jvp_rule = _jvp
