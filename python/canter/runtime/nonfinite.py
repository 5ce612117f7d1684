"""`debug_nans` and `debug_infs`: results that are not finite raise, with the operation that made them so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import config, dtypes, source
from ..core.avals import ShapedArray, get_aval
from ..core.jaxpr import ClosedJaxpr
from ..core.trace import state

__all__ = ["check_finite", "checks_are_on", "explain", "found", "is_user_function"]

_CHECKS = {"nan": (config.debug_nans, np.isnan), "inf": (config.debug_infs, np.isinf)}


def checks_are_on() -> bool:
    """Whether one of the two flags is set."""
    return config.debug_nans.value or config.debug_infs.value


def found(what: str, value: Any) -> np.ndarray | None:
    """Which elements of a value are NaN (or infinite); None if there are none.

    Args:
      what: "nan" or "inf".
      value: an array or a number.
    """
    aval = get_aval(value)
    if not isinstance(aval, ShapedArray) or not dtypes.issubdtype(aval.dtype, np.inexact):
        return None
    host = np.asarray(value)
    if host.dtype.kind not in "fc":  # bfloat16 and its like
        host = host.astype(np.float32)
    elements = _CHECKS[what][1](host)
    return elements if elements.any() else None


def _first_wrong(values: Sequence[Any]) -> tuple[str, int, int] | None:
    """What is wrong, in which of the values, and in which of its elements, counted along all axes."""
    for position, value in enumerate(values):
        for what, (flag, _) in _CHECKS.items():
            elements = found(what, value) if flag.value else None
            if elements is not None:
                return what, position, int(np.argmax(elements))
    return None


def check_finite(name: str, outs: Sequence[Any]) -> None:
    """Looks at the results of a compiled function.

    Raises:
      FloatingPointError: one of them has a value that the flags forbid.
    """
    wrong = _first_wrong(outs)
    if wrong is not None:
        what, position, _ = wrong
        line = source.summarize(state.traceback or source.current_traceback(), "")
        raise NonFiniteResult(
            f"invalid value ({what}) encountered in {name}{f' at {line}' if line else ''}, in a result of type "
            f"{get_aval(outs[position]).str_short()}. canter.config.debug_{what}s is set.",
            outs,
        )


class NonFiniteResult(FloatingPointError):
    """A compiled function has given what the flags forbid.

    Attributes:
      outs: its results.
    """

    def __init__(self, message: str, outs: Sequence[Any]):
        super().__init__(message)
        self.outs = outs

    def __reduce__(self) -> Any:
        return FloatingPointError, self.args


def is_user_function(jaxpr: Any) -> bool:
    """Whether a program was traced from a function of the user's.

    Functions of Canter's own are traced once, wherever they are called first: that line says nothing.
    """
    file = jaxpr.debug_info.func_filename
    return file is None or source.is_user_file(file)


def explain(
    error: FloatingPointError, name: str, closed: ClosedJaxpr, args: Sequence[Any], describe: Any
) -> None:
    """Runs a program operation by operation to find the one that made a forbidden value.

    Args:
      error: what `check_finite` has raised; nothing is done for others.
      name: of the function.
      closed: its program.
      args: its arguments.
      describe: tells what a message calls an argument, by its position.

    Raises:
      FloatingPointError: names the operation, the user's line and the types of its operands. Returns
        where the operations, one by one, do not make such a value, as when the compiler has reordered
        arithmetic.
    """
    wrong = _first_wrong(error.outs) if isinstance(error, NonFiniteResult) else None
    if wrong is None:
        return
    from .blame import Argument, Unknown, blame

    what, position, element = wrong
    try:
        with config.debug_nans(False), config.debug_infs(False):
            origin = blame(what, closed, args, position, element)
    except Unknown:
        return
    if isinstance(origin, Argument):
        aval = get_aval(args[origin.position])
        message = f"{name}: {describe(origin.position)}, {aval.str_short()}, has it already"
    else:
        message = f"{origin}, while running {name}"
    raise FloatingPointError(
        f"invalid value ({what}) encountered in {message}. canter.config.debug_{what}s is set."
    ) from None
