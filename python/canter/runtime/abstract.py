"""Looking at a function without running it: `make_jaxpr` and `eval_shape`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from ..core.errors import api_boundary
from ..core.trace import extend_axis_environment
from .jit import Jitted
from .shape_dtype import abstract_aval, structs_of_results
from .signature import argument_spec, describe_function

__all__ = ["eval_shape", "make_jaxpr"]


def make_jaxpr(
    fun: Callable[..., Any],
    static_argnums: int | Sequence[int] = (),
    axis_env: Sequence[tuple[Any, int]] | None = None,
    return_shape: bool = False,
) -> Callable[..., Any]:
    """Makes a function that returns the jaxpr of `fun` for given arguments.

    Args:
      fun: a function of arrays and pytrees of them.
      static_argnums: positions of arguments that are Python values.
      axis_env: names and sizes of mapped axes that `fun` refers to.
      return_shape: whether to return the types of the results too.

    Returns:
      A function of the arguments of `fun` (or `ShapeDtypeStruct`s) that returns a `ClosedJaxpr`, or with
      `return_shape` a pair of it and the results' `ShapeDtypeStruct`s.

    Raises:
      TypeError: `fun` is not callable, or an argument is no array.

    >>> import canter as ct
    >>> ct.make_jaxpr(lambda x: x + x)(1.0)
    { lambda ; a:f32[]. let b:f32[] = add a a in (b,) }
    """
    if not callable(fun):
        raise TypeError(f"make_jaxpr takes a function; got {fun!r:.80} of type {type(fun).__name__}.")
    static = (static_argnums,) if isinstance(static_argnums, int) else tuple(static_argnums)
    jitted = Jitted(fun, argument_spec(fun, static or None, None, None, None))

    @functools.wraps(fun)
    @api_boundary
    def jaxpr_maker(*args: Any, **kwargs: Any) -> Any:
        call = jitted.flatten(args, kwargs, abstract_aval)
        with ExitStack() as scope:
            for name, size in axis_env or ():
                scope.enter_context(extend_axis_environment(name, size))
            program = jitted.trace_anew(call)
        if not return_shape:
            return program.closed
        return program.closed, program.out_tree.unflatten(structs_of_results(program.closed.out_avals))

    jaxpr_maker.__name__ = f"make_jaxpr({describe_function(fun).split(' at ')[0]})"
    return jaxpr_maker


@api_boundary
def eval_shape(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The shapes and dtypes of a function's results, without computing anything.

    Args:
      fun: a function of arrays and pytrees of them.
      *args, **kwargs: its arguments: arrays, numbers, `ShapeDtypeStruct`s, or pytrees of them.

    Returns:
      The results as `ShapeDtypeStruct`s, in their structure.

    Raises:
      TypeError: `fun` is not callable, or an argument is no array.

    >>> import canter as ct
    >>> ct.eval_shape(lambda x: x + x, ct.ShapeDtypeStruct((3,), "float32"))
    ShapeDtypeStruct(shape=(3,), dtype=float32)
    """
    if not callable(fun):
        raise TypeError(f"eval_shape takes a function; got {fun!r:.80} of type {type(fun).__name__}.")
    known = getattr(fun, "_jitted", None)  # a jitted function knows its static arguments
    return (known if isinstance(known, Jitted) else Jitted(fun)).eval_shape(*args, **kwargs)
