"""`associative_scan`: all prefixes of an associative operation, in logarithmic depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...core import pytree
from ...core.avals import get_aval, typematch
from ...core.dimensions import is_symbolic_dim, surely_less
from ...core.errors import api_boundary
from ...transforms.rules import moveaxis
from ..common import ops
from ..joining import concatenate, stack
from ..shapes import reshape, rev
from ..slicing import slice_in_dim
from .common import flatten_operands

__all__ = ["associative_scan"]


@api_boundary
def associative_scan(fn: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """Combines along an axis each element with all before it, in parallel.

    Args:
      fn: an associative function of two trees like `elems`, in which the axis may have any length;
        it works elementwise along the axis.
      elems: a tree of arrays whose `axis` has one length.
      reverse: combine each element with all after it instead.
      axis: the axis; a negative one counts from the end.

    Returns:
      A tree like `elems`, in which entry i along the axis is `fn(… fn(fn(e0, e1), e2) …, ei)`. The number of
      sequential steps grows with the logarithm of the length, the work with the length.

    Raises:
      TypeError: `fn` is no function, or gives a tree of another structure.
      ValueError: the lengths differ, or there is no such axis.

    Source:
      Blelloch, "Prefix sums and their applications", 1990.

    Example:
      >>> import canter.numpy as cnp
      >>> from canter import lax
      >>> lax.associative_scan(cnp.multiply, cnp.arange(1, 6)).tolist()
      [1, 2, 6, 24, 120]
    """
    if not callable(fn):
        raise TypeError(f"associative_scan: fn must be a function, got {fn!r:.60}.")
    leaves, tree, avals = flatten_operands("associative_scan: elems", elems)
    axes = []
    for aval in avals:
        if not -aval.ndim <= axis < aval.ndim:
            raise ValueError(f"associative_scan: axis {axis} is out of bounds for {aval.str_short()}.")
        axes.append(axis % aval.ndim)
    lengths = [aval.shape[i] for aval, i in zip(avals, axes, strict=True)]
    if len(set(lengths)) > 1:
        shapes = [aval.str_short() for aval in avals]
        raise ValueError(f"associative_scan: elems must have one length along axis {axis}, got {shapes}.")
    if not leaves or surely_less(lengths[0], 2):
        return elems
    if reverse:
        leaves = [rev(x, (i,)) for x, i in zip(leaves, axes, strict=True)]

    def combine(before: list[Any], after: list[Any]) -> list[Any]:
        found, found_tree = pytree.tree_flatten(fn(tree.unflatten(before), tree.unflatten(after)))
        if found_tree != tree:
            raise TypeError(
                f"associative_scan: fn must return a tree of the structure of elems, {tree}, but it returned "
                f"{found_tree}."
            )
        for x, y in zip(before, found, strict=True):
            if not typematch(get_aval(x), get_aval(y)):
                raise TypeError(
                    f"associative_scan: fn must return arrays of the types it was given, but given "
                    f"{get_aval(x).str_short()} it returned {get_aval(y).str_short()}."
                )
        return found

    scan = _doubled if is_symbolic_dim(lengths[0]) else _prefixes
    results = scan(combine, leaves, axes)
    if reverse:
        results = [rev(x, (i,)) for x, i in zip(results, axes, strict=True)]
    return tree.unflatten(results)


def _prefixes(combine: Callable[..., list[Any]], leaves: list[Any], axes: list[int]) -> list[Any]:
    """Prefixes of pairs of neighbours are every second prefix; one more step gives the others."""
    length = get_aval(leaves[0]).shape[axes[0]]
    if length < 2:
        return leaves

    def part(arrays: list[Any], start: int, stop: int, stride: int = 1) -> list[Any]:
        return [slice_in_dim(x, start, stop, stride, i) for x, i in zip(arrays, axes, strict=True)]

    pairs = combine(part(leaves, 0, length - 1, 2), part(leaves, 1, length, 2))
    odd = _prefixes(combine, pairs, axes)
    count = (length - 1) // 2
    even = part(leaves, 0, 1)
    if count:
        later = combine(part(odd, 0, count), part(leaves, 2, length, 2))
        even = [concatenate([x, y], i) for x, y, i in zip(even, later, axes, strict=True)]
    return [_interleave(x, y, i) for x, y, i in zip(even, odd, axes, strict=True)]


def _doubled(combine: Callable[..., list[Any]], leaves: list[Any], axes: list[int]) -> list[Any]:
    """Prefixes of a length that is not known: each turn combines with what stands twice as far before."""
    length = get_aval(leaves[0]).shape[axes[0]]
    places = ops.iota(np.int32, length)

    def turn(state: Any) -> Any:
        distance, arrays = state
        before = ops.max(ops.sub(places, distance), 0)
        earlier = [
            ops.index_take(moveaxis(x, i, 0), [before], (0,)) for x, i in zip(arrays, axes, strict=True)
        ]
        earlier = [moveaxis(x, 0, i) for x, i in zip(earlier, axes, strict=True)]
        joined = combine(earlier, arrays)
        return ops.mul(distance, 2), [
            ops.select(_along(ops.ge(places, distance), x, i), new, x)
            for x, new, i in zip(arrays, joined, axes, strict=True)
        ]

    start = (ops.convert_element_type(1, np.int32), leaves)
    return ops.while_loop(lambda state: ops.lt(state[0], length), turn, start)[1]


def _along(flags: Any, x: Any, axis: int) -> Any:
    return ops.broadcast_in_dim(flags, get_aval(x).shape, (axis,))


def _interleave(even: Any, odd: Any, axis: int) -> Any:
    """Takes entries from both arrays by turns along an axis; the first may have one more."""
    shape = get_aval(odd).shape
    count = shape[axis]
    surplus = get_aval(even).shape[axis] - count
    paired = stack([slice_in_dim(even, 0, count, 1, axis) if surplus else even, odd], axis + 1)
    merged = reshape(paired, (*shape[:axis], 2 * count, *shape[axis + 1 :]))
    if surplus:
        merged = concatenate([merged, slice_in_dim(even, count, count + 1, 1, axis)], axis)
    return merged
