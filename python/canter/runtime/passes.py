"""Program passes: what happens to a jaxpr between tracing and lowering."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.jaxpr import ClosedJaxpr, Jaxpr, Var
from ..core.metadata import carries_metadata
from ..core.tracing import paused_garbage_collection
from ..transforms.outlining import outline_repetitions
from ..transforms.partial_evaluation import dce_jaxpr
from .effort import DEFAULT_EFFORT, Effort

if TYPE_CHECKING:
    from .parting import Parting

__all__ = ["constants_to_arguments", "embeds", "outline", "remove_dead_code", "split_up"]

MIN_RESULTS = 128  # programs with fewer are not looked at for parts
_EMBEDDED_SIZE = 16  # NumPy constants up to so many elements stay in the program, where XLA folds them


def remove_dead_code(jaxpr: Jaxpr, keep_unused: bool) -> tuple[Jaxpr, list[bool]]:
    """Drops equations that no result needs, and arguments that nothing reads.

    Args:
      jaxpr: the program.
      keep_unused: whether such arguments stay.

    Returns:
      The shorter program, and which arguments it has kept.
    """
    return dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars), keep_inputs=keep_unused)


def outline(jaxpr: Jaxpr, platforms: tuple[str, ...], effort: Effort = DEFAULT_EFFORT) -> Jaxpr:
    """Turns repeated layers into calls, on the platform where that makes compiling and running faster."""
    if platforms != ("cpu",) or effort.outline == "off" or carries_metadata(jaxpr):
        return jaxpr
    with paused_garbage_collection():
        outlined = outline_repetitions(jaxpr)
        if outlined is jaxpr:
            return jaxpr
        from .rolling import roll_calls

        return roll_calls(outlined, effort.roll, effort.levers.roll_bytes)


def split_up(jaxpr: Jaxpr, platforms: tuple[str, ...], effort: Effort) -> Parting | None:
    """How a program that falls into many equal parts is compiled as several, where that is sooner."""
    if (
        platforms != ("cpu",)
        or not effort.parts
        or len(jaxpr.outvars) < MIN_RESULTS
        or carries_metadata(jaxpr)
    ):
        return None
    from .parting import parted

    with paused_garbage_collection():
        return parted(jaxpr)


def embeds(constant: Any) -> bool:
    """True for a captured constant that is better part of the program than an argument of it."""
    return isinstance(constant, (np.ndarray, np.generic)) and constant.size <= _EMBEDDED_SIZE


def constants_to_arguments(closed: ClosedJaxpr) -> tuple[ClosedJaxpr, list[Any]]:
    """Turns captured arrays into leading arguments, so that they never enter the compiled program.

    Returns:
      The program with them as its first arguments, and their values. Small NumPy constants stay.
    """
    jaxpr = closed.jaxpr
    if not jaxpr.constvars:
        return closed, []
    hoisted: list[tuple[Var, Any]] = []
    embedded: list[tuple[Var, Any]] = []
    for var, value in zip(jaxpr.constvars, closed.consts, strict=True):
        (embedded if embeds(value) else hoisted).append((var, value))
    if not hoisted:
        return closed, []
    lifted = jaxpr.replace(
        constvars=[var for var, _ in embedded],
        invars=[var for var, _ in hoisted] + jaxpr.invars,
        debug_info=jaxpr.debug_info._replace(arg_names=None),
    )
    return ClosedJaxpr(lifted, [value for _, value in embedded]), [value for _, value in hoisted]
