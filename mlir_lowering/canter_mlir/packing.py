"""Arrays laid side by side: a loop over many small arrays then reads, or writes, one row for all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from canter.core.avals import ShapedArray

from .rules.shapes import concatenate, reshape, slice_

__all__ = ["Packing"]


class Packing:
    """Which of several stacked arrays lie side by side: those of one dtype, if there are enough of them.

    Args:
      avals: of the stacked arrays; their leading axes have one length.
      least: how many arrays of a dtype are enough; None leaves all alone.

    Attributes:
      groups: positions of the arrays in each array that is made.
      avals: avals of the arrays that are made.
    """

    def __init__(self, avals: Sequence[Any], least: int | None = None):
        by_dtype: dict[Any, list[int]] = {}
        for i, aval in enumerate(avals):
            by_dtype.setdefault(aval.dtype, []).append(i)
        self._given = avals
        self.groups: list[list[int]] = []
        for dtype, found in by_dtype.items():
            packs = least is not None and len(found) >= least and isinstance(dtype, np.dtype)
            self.groups.extend([found] if packs else [[i] for i in found])
        self.avals = [
            avals[group[0]]
            if len(group) == 1
            else ShapedArray((avals[group[0]].shape[0], sum(map(self._width, group))), avals[group[0]].dtype)
            for group in self.groups
        ]

    def _width(self, i: int) -> int:
        return math.prod(self._given[i].shape[1:])

    def join(self, ctx: Any, values: Sequence[Any], leading: tuple[int, ...] = ()) -> list[Any]:
        """Lays whole arrays (`leading` is their length) or one row of each side by side."""
        made = []
        for group, aval in zip(self.groups, self.avals, strict=True):
            if len(group) == 1:
                made.append(values[group[0]])
                continue
            pieces = [
                reshape(ctx, values[i], ShapedArray((*leading, self._width(i)), aval.dtype)) for i in group
            ]
            whole = ShapedArray((*leading, aval.shape[1]), aval.dtype)
            made.append(concatenate(ctx, pieces, whole, len(leading)))
        return made

    def part(self, ctx: Any, values: Sequence[Any], leading: tuple[int, ...] = ()) -> list[Any]:
        """Takes apart what `join` has made."""
        found: list[Any] = [None] * len(self._given)
        for group, aval, value in zip(self.groups, self.avals, values, strict=True):
            if len(group) == 1:
                found[group[0]] = value
                continue
            whole, start = ShapedArray((*leading, aval.shape[1]), aval.dtype), 0
            for i in group:
                stop = start + self._width(i)
                starts, limits = [0] * len(leading) + [start], [*leading, stop]
                piece, _ = slice_(ctx, value, whole, starts, limits)
                shape = (*leading, *self._given[i].shape[1:])
                found[i] = reshape(ctx, piece, ShapedArray(shape, aval.dtype))
                start = stop
        return found
