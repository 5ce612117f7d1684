"""`debug_nans` and `debug_infs`: which equation made the first value that is not finite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import config, dtypes, source
from ..core.avals import ShapedArray, get_aval
from ..core.jaxpr import ClosedJaxpr, Literal
from ..transforms.jit_call import jit_p

__all__ = ["check_finite", "checks_are_on", "explain"]

_CHECKS = ((config.debug_nans, np.isnan, "nan"), (config.debug_infs, np.isinf, "inf"))


def checks_are_on() -> bool:
    """Whether one of the two flags is set."""
    return config.debug_nans.value or config.debug_infs.value


def _what_is_wrong(value: Any) -> str | None:
    """`"nan"` or `"inf"` where a value has one that the flags forbid."""
    aval = get_aval(value)
    if not isinstance(aval, ShapedArray) or not dtypes.issubdtype(aval.dtype, np.inexact):
        return None
    host = np.asarray(value)
    if host.dtype.kind not in "fc":  # bfloat16 and its like
        host = host.astype(np.float32)
    return next((what for flag, test, what in _CHECKS if flag.value and test(host).any()), None)


def check_finite(name: str, outs: Sequence[Any]) -> None:
    """Looks at the results of a compiled function.

    Raises:
      FloatingPointError: one of them has a value that the flags forbid.
    """
    for out in outs:
        what = _what_is_wrong(out)
        if what is not None:
            raise FloatingPointError(
                f"invalid value ({what}) encountered in {name}, in a result of type {get_aval(out).str_short()}. "
                f"canter.config.debug_{what}s is set."
            )


def explain(closed: ClosedJaxpr, args: Sequence[Any]) -> None:
    """Runs a program equation by equation until one gives a value that is not finite.

    Args:
      closed: a program of which a result was found not to be finite.
      args: its arguments.

    Raises:
      FloatingPointError: names the primitive, the user's line and the types of its operands. Returns
        where no equation does it alone, which happens when the compiler reorders arithmetic.
    """
    jaxpr = closed.jaxpr
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    values.update(zip(jaxpr.invars, args, strict=True))
    for eqn in jaxpr.eqns:
        operands = [var.val if type(var) is Literal else values[var] for var in eqn.invars]
        try:
            results = eqn.primitive.bind(*operands, **eqn.params)
        except FloatingPointError as error:
            if eqn.primitive is jit_p:
                explain(eqn.params["jaxpr"], operands)
            raise _located(eqn, error) from None
        if not eqn.primitive.multiple_results:
            results = [results]
        values.update(zip(eqn.outvars, results, strict=True))


def _located(eqn: Any, error: FloatingPointError) -> FloatingPointError:
    where = source.summarize(eqn.source_info)
    types = ", ".join(var.aval.str_short() for var in eqn.invars)
    message = str(error).split(", in a result")[0]
    return FloatingPointError(
        f"{message}({types})"
        + (f" at {where}" if where else "")
        + ". canter.config.debug_nans or debug_infs is set."
    )
