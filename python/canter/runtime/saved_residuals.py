"""Which values a function keeps between its forward and its backward pass, and where they come from."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..core import pytree, source
from ..core.avals import get_aval
from ..core.jaxpr import Jaxpr, Literal
from ..core.tracing import trace_to_jaxpr
from ..transforms.calling import FlatFunction, function_name
from ..transforms.checkpoint_policies import name_p
from ..transforms.linearize import linearize_flat
from ..transforms.zeros import has_tangents

__all__ = ["print_saved_residuals", "saved_residuals"]


def saved_residuals(f: Callable[..., Any], *args: Any, **kwargs: Any) -> list[tuple[Any, str]]:
    """The values that reverse-mode differentiation of a function keeps.

    Args:
      f: takes and returns trees of arrays.
      *args, **kwargs: its arguments, or objects with their shapes and dtypes.

    Returns:
      For each value its aval, and a text that says where it comes from.

    Example:
      >>> import canter as ct
      >>> from canter.ad_checkpoint import saved_residuals
      >>> saved_residuals(lambda x: x * x, 2.0)
      [(ShapedArray(float32[], weak_type=True), 'from the argument x')]
    """
    leaves, in_tree = pytree.tree_flatten((args, kwargs))
    flat = FlatFunction(lambda xs, named: f(*xs, **named), in_tree)
    avals = [get_aval(x) for x in leaves]

    def residuals(*values: Any) -> list[Any]:
        linearized = linearize_flat(flat, values, [has_tangents(a) for a in avals])
        return list(linearized.tape.consts)

    jaxpr = trace_to_jaxpr(residuals, avals, name=function_name(f), may_keep_tracers=True).jaxpr
    return _described(jaxpr, _argument_names(f, args, kwargs))


def print_saved_residuals(f: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Prints the values that reverse-mode differentiation of a function keeps, one a line.

    Args:
      f: takes and returns trees of arrays.
      *args, **kwargs: its arguments, or objects with their shapes and dtypes.

    Example:
      >>> import canter as ct
      >>> from canter.ad_checkpoint import print_saved_residuals
      >>> print_saved_residuals(lambda x: x * x, 2.0)
      f32[] from the argument x
    """
    for aval, origin in saved_residuals(f, *args, **kwargs):
        print(aval.str_short(), origin)


def _described(jaxpr: Jaxpr, names: list[str]) -> list[tuple[Any, str]]:
    arguments = {var: f"from the argument {name}" for var, name in zip(jaxpr.invars, names, strict=True)}
    made_by = {var: eqn for eqn in jaxpr.eqns for var in eqn.outvars}
    result, seen = [], set()
    for var in jaxpr.outvars:
        if type(var) is Literal or var in seen:
            continue
        seen.add(var)
        eqn = made_by.get(var)
        if eqn is None:
            origin = arguments.get(var, "from a constant")
        elif eqn.primitive is name_p:
            origin = f"named {eqn.params['name']!r} from {source.summarize(eqn.source_info)}"
        elif eqn.primitive.name == "jit":
            called = eqn.params["name"]
            origin = f"output of jitted function {called!r} from {source.summarize(eqn.source_info)}"
        else:
            origin = f"output of {eqn.primitive.name} from {source.summarize(eqn.source_info)}"
        result.append((var.aval, origin))
    return result


def _argument_names(f: Callable[..., Any], args: Any, kwargs: Any) -> list[str]:
    """A name for each leaf of the arguments, by the function's own parameters where they are known."""
    try:
        bound = inspect.signature(f).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        bound = {}
    parameters = list(bound)
    names = []
    for path, _ in pytree.tree_leaves_with_path((args, kwargs)):
        place, key, *rest = path
        if place.idx == 0:
            name = parameters[key.idx] if key.idx < len(parameters) else f"args[{key.idx}]"
        else:
            name = key.key
        names.append(name + pytree.keystr(tuple(rest)))
    return names
