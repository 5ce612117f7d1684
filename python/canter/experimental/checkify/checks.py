"""The user's checks: `check`, `debug_check`, `check_error`, and their primitive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from canter_mlir.registry import register_lowering

from ...core import pytree, source
from ...core.avals import get_aval
from ...core.effects import (
    Effect,
    control_flow_allowed_effects,
    custom_derivatives_allowed_effects,
    lowerable_effects,
    partial_eval_kept_effects,
    remat_allowed_effects,
)
from ...core.errors import api_boundary
from ...core.primitive import Primitive
from ...core.source import current_traceback
from ...debug.printing import FormatChecker
from ...lax.comparison import eq
from ...lax.conversion import as_array, convert_element_type
from ...transforms.rules import bdim_at_front
from .errors import Error, FailedCheckError, Site, Types

__all__ = ["check", "check_error", "check_p", "debug_check"]


class CheckEffect(Effect):
    """A check that nobody has made a value of yet."""

    __slots__ = ()

    def __str__(self) -> str:
        return "Check"

    __repr__ = __str__


_effect = CheckEffect()
for _allowed in (
    control_flow_allowed_effects,
    custom_derivatives_allowed_effects,
    lowerable_effects,  # so that the primitive's own rule can say what is wrong
    partial_eval_kept_effects,
    remat_allowed_effects,
):
    _allowed.add_type(CheckEffect)

# Operands: the code (0, or the place of a site from 1), then the values for messages, type by type.
check_p = Primitive("check", multiple_results=True)
check_p.def_effectful_abstract_eval(
    lambda code, *values, sites, value_types, debug: ([], frozenset((_effect,)))
)


@check_p.def_impl
def _check_now(code: Any, *values: Any, sites: Any, value_types: Any, debug: bool) -> list[Any]:
    if not debug:
        Error(code, grouped(values, value_types), sites).throw()
    return []


@check_p.def_jvp
def _jvp(primals: Any, tangents: Any, **params: Any) -> Any:
    check_p.bind(*primals, **params)
    return [], []


check_p.transpose_rule = lambda cotangents, *args, **params: [None] * len(args)


@check_p.def_batching
def _batch(args: Any, dims: Any, **params: Any) -> Any:
    size = next(get_aval(x).shape[d] for x, d in zip(args, dims, strict=True) if d is not None)
    check_p.bind(*(bdim_at_front(x, d, size) for x, d in zip(args, dims, strict=True)), **params)
    return [], []


def grouped(values: Sequence[Any], value_types: Sequence[Types]) -> tuple[tuple[Types, list[Any]], ...]:
    """Values in a row as pairs of their types and themselves."""
    rest = iter(values)
    return tuple((types, [next(rest) for _ in types]) for types in value_types)


def unhandled(sites: Sequence[Site], traceback: Any) -> ValueError:
    """The error for a check in a compiled program that nobody looks at."""
    where = source.summarize(traceback, "")
    return ValueError(
        "Cannot abstractly evaluate a checkify.check which was not functionalized"
        + (f", at {where}" if where else "")
        + ". This probably means you tried to stage (jit/scan/pmap/...) a `check` without functionalizing it through "
        "`checkify.checkify`: call jit(checkify.checkify(f)), and then the `throw()` of the error it returns."
    )


@api_boundary
def check(pred: Any, msg: str, *fmt_args: Any, debug: bool = False, **fmt_kwargs: Any) -> None:
    """Checks a condition; if it is false, that is an error with a message.

    Outside of compiled functions the error is raised at once. A function with checks can be compiled after
    `checkify` has made it return the error.

    Args:
      pred: a boolean without dimensions.
      msg: the message, a format as for `str.format`.
      *fmt_args, **fmt_kwargs: trees of arrays to fill in; their values are those of the run.
      debug: whether the check vanishes where no `checkify` asks for it, see `debug_check`.

    Raises:
      checkify.JaxRuntimeError: a ValueError; the condition is known, and false.
      TypeError: `pred` is no boolean without dimensions, or something to fill in is no array.

    Example:
      >>> import canter as ct
      >>> from canter.experimental import checkify
      >>> def f(x):
      ...     checkify.check(x > 0, "x is {}", x)
      ...     return 1 / x
      >>> error, _ = ct.jit(checkify.checkify(f))(-1.0)
      >>> error.get().split(" [")[0]
      'x is -1.0 (`check` failed)'
    """
    aval = _aval_of_predicate(pred)
    if aval is None or aval.shape or aval.dtype != np.bool_:
        raise TypeError(f"check takes a scalar pred as argument, got {pred}")
    leaves, tree = pytree.tree_flatten((fmt_args, fmt_kwargs))
    for leaf in leaves:
        try:
            get_aval(leaf)
        except TypeError:
            raise TypeError(
                f"Formatting arguments to checkify.check need to be PyTrees of arrays, but got {leaf!r} of type "
                f"{type(leaf)}. Write other values into the message."
            ) from None
    if not isinstance(msg, str):
        raise TypeError(f"check takes the message as a string, got {msg!r} of type {type(msg).__name__}.")
    FormatChecker(unused="allowed").vformat(msg, fmt_args, fmt_kwargs)
    values = [as_array(leaf) for leaf in leaves]

    def describe(*values: Any) -> str:
        args, kwargs = tree.unflatten(values)
        return f"{msg.format(*args, **kwargs)} (`check` failed)"

    types = tuple((get_aval(v).shape, get_aval(v).dtype) for v in values)
    site = Site(FailedCheckError, describe, types, current_traceback())
    code = convert_element_type(eq(as_array(pred), np.False_), np.int32)
    check_p.bind(code, *values, sites=(site,), value_types=(types,), debug=bool(debug))


def _aval_of_predicate(pred: Any) -> Any:
    try:
        return get_aval(pred)
    except TypeError:
        return None


@api_boundary
def debug_check(pred: Any, msg: str, *fmt_args: Any, **fmt_kwargs: Any) -> None:
    """Checks a condition under `checkify`, and does nothing elsewhere.

    Args:
      pred, msg, *fmt_args, **fmt_kwargs: as for `check`.

    Example:
      >>> from canter.experimental import checkify
      >>> checkify.debug_check(False, "never seen")
    """
    check(pred, msg, *fmt_args, debug=True, **fmt_kwargs)


@api_boundary
def check_error(error: Error) -> None:
    """Raises the error that an `Error` tells of; under `checkify`, it becomes an error of the function.

    Args:
      error: from a function made by `checkify`.

    Raises:
      checkify.JaxRuntimeError: a ValueError; a check has failed.

    Example:
      >>> import canter as ct
      >>> from canter.experimental import checkify
      >>> def f(x):
      ...     checkify.check(x > 0, "must be positive!")
      ...     return x
      >>> def g(x):
      ...     error, y = ct.jit(checkify.checkify(f))(x)
      ...     checkify.check_error(error)
      ...     return y
      >>> print(g(1.0))
      1.0
    """
    if not isinstance(error, Error):
        raise ValueError(f"check_error takes an Error as argument, got type {type(error)} instead.")
    if not error._sites:
        return
    values = [value for _, group in error._values for value in group]
    types = tuple(types for types, _ in error._values)
    check_p.bind(error._code, *values, sites=error._sites, value_types=types, debug=False)


def _lower(ctx: Any, *operands: Any, sites: Any, value_types: Any, debug: bool) -> list[Any]:
    if not debug:
        raise unhandled(sites, getattr(ctx.eqn, "source_info", None))
    return []


register_lowering("check", _lower)
