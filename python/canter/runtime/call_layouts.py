"""Which layouts in memory the arguments and results of a call have. Only programs that use layouts come here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from canter_pjrt.jaxlib_door import ArrayImpl

from ..core.avals import get_aval
from ..core.jaxpr import ClosedJaxpr, Literal
from .layouts import AUTO, layout_of, unusual
from .places import Place
from .program import Layout
from .shape_dtype import ShapeDtypeStruct

__all__ = ["laid_out"]


def laid_out(
    place: Place,
    args: Sequence[Any],
    describe: Callable[[int], str],
    closed: ClosedJaxpr,
    asked: tuple[Sequence[Any], Sequence[Any]] | None,
    lowering: bool,
) -> Place:
    """The place of a call with the layouts of its arguments and results.

    Args:
      place: where it runs.
      args: flat arguments.
      describe: names an argument, for messages.
      closed: the program.
      asked: layouts that the caller asks for, an argument each and a result each.
      lowering: whether the compiler may still choose; a call takes arrays as they are.

    Raises:
      ValueError: an argument that is committed to another layout than the one asked for.
    """
    results = closed.jaxpr.outvars
    ins, outs = asked or ((None,) * len(args), (None,) * len(results))
    wanted = [
        _of_argument(arg, ask, describe, position, lowering)
        for position, (arg, ask) in enumerate(zip(args, ins, strict=True))
    ]
    fixed = {v for eqn in closed.jaxpr.eqns if eqn.primitive.name == "layout_constraint" for v in eqn.outvars}
    given = [
        AUTO if ask is None and type(v) is not Literal and v in fixed else unusual(ask)
        for v, ask in zip(results, outs, strict=True)
    ]
    if not (any(wanted) or any(given)):
        return place
    layout = place.layout
    if layout is None:
        layout = Layout((place.device,), None, (None,) * len(args), (None,) * len(results))
    return place._replace(layout=layout._replace(in_layouts=tuple(wanted), out_layouts=tuple(given)))


def _of_argument(arg: Any, ask: Any, describe: Callable[[int], str], position: int, lowering: bool) -> Any:
    own = None
    if type(arg) is ArrayImpl:
        own = layout_of(arg)
    elif type(arg) is ShapeDtypeStruct and arg.format is not None:
        own = unusual(arg.format.layout)
    if ask is None or (ask is AUTO and not lowering):
        return own
    if ask is AUTO:
        return AUTO
    wanted = unusual(ask)
    if own != wanted and type(arg) is ArrayImpl and arg._committed:
        raise ValueError(
            f"Layout passed to jit does not match the layout on the respective arg. Got jit layout: {ask},\n"
            f"arg layout: {arg.format.layout} for {describe(position)}, of type {get_aval(arg).str_short(True)}. Bring "
            "it there first, with canter.device_put and a Format, or leave its layout to Layout.AUTO."
        )
    return wanted
