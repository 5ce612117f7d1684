"""Loops of which some elements of a batch (lanes) finish before others.

A step is computed for all lanes, and a finished lane keeps its old state. What the step computes for it
is thrown away, but it must neither hang nor spoil a derivative (0 * inf): so finished lanes work on the
values of a lane that has not finished. Which lanes are active is an array of booleans, its shape the
leading axes of all that has lanes. Without a batch both primitives pass on what they are given: they are
only asked about steps that are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.avals import get_aval
from ...core.primitive import Primitive
from ...transforms.rules import bdim_at_front, instantiate_zeros, zeros_like_aval
from ...transforms.zeros import Zero, is_undefined_primal
from ..comparison import select_n
from ..reductions import argmax
from ..shapes import broadcast_in_dim, reshape
from ..slicing import dynamic_index_in_dim

__all__ = ["borrow", "borrow_p", "choose", "choose_p"]

choose_p = Primitive("choose_active", multiple_results=True)
borrow_p = Primitive("borrow_active", multiple_results=True)


def choose(active: Any, new: Sequence[Any], old: Sequence[Any]) -> list[Any]:
    """The new values of active lanes, the old ones of the others."""
    if not new:
        return []
    if not get_aval(active).shape:
        return choose_p.bind(active, *new, *old)
    return [select_n(_over(active, x), y, x) for x, y in zip(new, old, strict=True)]


def borrow(active: Any, values: Sequence[Any]) -> list[Any]:
    """Values for each lane to work on: its own, or if it has finished those of an active one."""
    if not values:
        return []
    lanes = get_aval(active).shape
    if not lanes:
        return borrow_p.bind(active, *values)
    if not active.size:
        return list(values)
    donor = argmax(reshape(active, (active.size,)), 0, np.int32)
    results = []
    for x in values:
        shape = get_aval(x).shape[len(lanes) :]
        row = dynamic_index_in_dim(reshape(x, (active.size, *shape)), donor, 0, keepdims=False)
        spread = broadcast_in_dim(row, (*lanes, *shape), range(len(lanes), len(lanes) + len(shape)))
        results.append(select_n(_over(active, x), spread, x))
    return results


def _over(active: Any, x: Any) -> Any:
    """The flags of the lanes, repeated for all elements of a value."""
    shape, lanes = get_aval(x).shape, get_aval(active).shape
    return active if shape == lanes else broadcast_in_dim(active, shape, range(len(lanes)))


def _choose_jvp(primals: Any, tangents: Any) -> Any:
    active = primals[0]
    outs = choose_p.bind(*primals)
    dots, count = tangents[1:], len(outs)
    wanted = [i for i in range(count) if not (type(dots[i]) is Zero and type(dots[i + count]) is Zero)]
    new = [instantiate_zeros(dots[i]) for i in wanted]
    old = [instantiate_zeros(dots[i + count]) for i in wanted]
    found = dict(zip(wanted, choose(active, new, old), strict=True))
    return outs, [found.get(i, Zero.from_primal_value(out)) for i, out in enumerate(outs)]


def _choose_transpose(cotangents: Any, active: Any, *values: Any) -> Any:
    cts = [instantiate_zeros(ct) for ct in cotangents]
    zeros = [zeros_like_aval(get_aval(ct)) for ct in cts]
    found = [*choose(active, cts, zeros), *choose(active, zeros, cts)]
    return [None, *(ct if is_undefined_primal(x) else None for x, ct in zip(values, found, strict=True))]


def _choose_batch(trace: Any, args: Any, dims: Any) -> Any:
    active, *values = (bdim_at_front(x, d, trace.size) for x, d in zip(args, dims, strict=True))
    if dims[0] is None:
        active = args[0]
    half = len(values) // 2
    outs = choose(active, values[:half], values[half:])
    return outs, [0] * half


def _borrow_jvp(primals: Any, tangents: Any) -> Any:
    active = primals[0]
    dots = list(tangents[1:])
    moving = [i for i, dot in enumerate(dots) if type(dot) is not Zero]
    for i, dot in zip(moving, borrow(active, [dots[i] for i in moving]), strict=True):
        dots[i] = dot
    return borrow_p.bind(*primals), dots


def _borrow_transpose(cotangents: Any, active: Any, *values: Any) -> Any:
    # What is computed from borrowed values is thrown away: it has no cotangent but zero.
    cts = [instantiate_zeros(ct) for ct in cotangents]
    found = choose(active, cts, [zeros_like_aval(get_aval(ct)) for ct in cts])
    return [None, *(ct if is_undefined_primal(x) else None for x, ct in zip(values, found, strict=True))]


def _borrow_batch(trace: Any, args: Any, dims: Any) -> Any:
    active, *values = args
    if dims[0] is None:
        return borrow_p.bind(*args), dims[1:]
    mapped = [i for i, d in enumerate(dims[1:]) if d is not None]
    own = [bdim_at_front(values[i], dims[1 + i], trace.size) for i in mapped]
    for i, x in zip(mapped, borrow(active, own), strict=True):
        values[i] = x
    return values, [0 if d is not None else None for d in dims[1:]]


choose_p.def_abstract_eval(lambda active, *values: list(values[: len(values) // 2]))
choose_p.jvp_rule = _choose_jvp
choose_p.transpose_rule = _choose_transpose
choose_p.axis_batch_rule = _choose_batch
borrow_p.def_abstract_eval(lambda active, *values: list(values))
borrow_p.jvp_rule = _borrow_jvp
borrow_p.transpose_rule = _borrow_transpose
borrow_p.axis_batch_rule = _borrow_batch
