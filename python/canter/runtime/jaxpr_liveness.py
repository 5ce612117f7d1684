"""Which values of a traced program are in memory at the same time, where there is no compiled program to ask.

The equations are taken to run one by one in their order, each with memory of its own for its results; the compiler
does better where it fuses. A value lives from its equation to its last reader.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from ..core.jaxpr import Jaxpr, JaxprEqn, Literal, jaxprs_in_params
from ..core.source import user_frame
from .liveness import Liveness, LiveValue

__all__ = ["jaxpr_liveness"]


def jaxpr_liveness(jaxpr: Jaxpr, names: Sequence[str] = ()) -> Liveness:
    """The values in memory when a program, run as it is written, uses most of it.

    Args:
      jaxpr: the program.
      names: of its arguments.

    Example:
      >>> import canter as ct
      >>> from canter.runtime.jaxpr_liveness import jaxpr_liveness
      >>> closed = ct.make_jaxpr(lambda x: (x * 2 + x).sum())(ct.ShapeDtypeStruct((8,), "float32"))
      >>> jaxpr_liveness(closed.jaxpr).temporary_bytes
      64
    """
    names = [*names, *[""] * (len(jaxpr.invars) - len(names))]
    arguments = [
        _value("argument", v.aval, name or f"argument {i}", None)
        for i, (v, name) in enumerate(zip(jaxpr.invars, names, strict=True))
    ]
    makers = {v: eqn for eqn in jaxpr.eqns for v in eqn.outvars}
    outs = {v: None for v in jaxpr.outvars if type(v) is not Literal and v in makers}
    results = [_value("result", v.aval, makers[v].primitive.name, makers[v]) for v in outs]
    most, temporaries = _peak(jaxpr)
    values = sorted([*arguments, *results, *temporaries], key=lambda value: -value.nbytes)
    total = lambda group: sum(value.nbytes for value in group)  # noqa: E731
    return Liveness(tuple(v for v in values if v.nbytes), total(arguments), total(results), most, 0)


def _peak(jaxpr: Jaxpr) -> tuple[int, list[LiveValue]]:
    """Bytes of temporaries at the peak, and the temporaries."""
    last: dict[Any, int] = {}
    for step, eqn in enumerate(jaxpr.eqns):
        for v in eqn.invars:
            if type(v) is not Literal:
                last[v] = step
    outs = {v for v in jaxpr.outvars if type(v) is not Literal}
    ending: defaultdict[int, int] = defaultdict(int)
    now, most, moment, within = 0, 0, 0, []
    for step, eqn in enumerate(jaxpr.eqns):
        for v in eqn.outvars:
            if v not in outs:
                now += _nbytes(v.aval)
                ending[last.setdefault(v, step)] += _nbytes(v.aval)
        inner: tuple[int, list[LiveValue]] = (0, [])
        for sub in jaxprs_in_params(eqn.params):
            inner = max(inner, _peak(sub), key=lambda peak: peak[0])
        if now + inner[0] > most:
            most, moment, within = now + inner[0], step, inner[1]
        now -= ending[step]
    alive = [
        _value("temporary", v.aval, eqn.primitive.name, eqn)
        for eqn in jaxpr.eqns[: moment + 1]
        for v in eqn.outvars
        if v not in outs and last[v] >= moment
    ]
    return most, alive + within


def _nbytes(aval: Any) -> int:
    shape, dtype = getattr(aval, "shape", None), getattr(aval, "dtype", None)
    if shape is None or dtype is None or not all(isinstance(size, int) for size in shape):
        return 0
    return math.prod(shape) * getattr(dtype, "itemsize", 1)


def _value(kind: str, aval: Any, primitive: str, eqn: JaxprEqn | None) -> LiveValue:
    frame = None if eqn is None or eqn.source_info is None else user_frame(eqn.source_info)
    file, function, line = frame or ("", "", 0)
    shape, dtype = getattr(aval, "shape", ()), str(getattr(aval, "dtype", ""))
    return LiveValue(kind, tuple(shape), dtype, _nbytes(aval), primitive, file, line, function, "")
