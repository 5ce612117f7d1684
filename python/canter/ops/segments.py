"""Reductions of the elements of an array that belong together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from canter import lax, numpy as cnp
from canter.core import dtypes
from canter.core.dimensions import size_of
from canter.core.trace import Tracer
from canter.lax.common import laid_out
from canter.numpy.util import check_arraylike, dtype_of, shape_of
from canter.runtime.composite import composite

__all__ = ["segment_max", "segment_min", "segment_prod", "segment_sum"]


def _unit(kind: str, dtype: Any) -> Any:
    """What an empty segment has: nothing is larger than the minimum of none."""
    if kind in ("add", "multiply"):
        return dtype.type(kind == "multiply")
    lowest = kind == "max"
    if dtype == np.bool_:
        return np.bool_(not lowest)
    if dtypes.issubdtype(dtype, np.integer):
        info = dtypes.iinfo(dtype)
        return dtype.type(info.min if lowest else info.max)
    return dtype.type(-np.inf if lowest else np.inf)


def _combine(out: Any, ids: Any, data: Any, kind: str, sorted_: bool, unique: bool, mode: Any) -> Any:
    update = getattr(out.at[ids], kind)
    return update(data, indices_are_sorted=sorted_, unique_indices=unique, mode=mode)


@composite(static_argnames=("kind", "count", "sorted_", "unique", "bucket", "mode"))
def _segment(
    data: Any, ids: Any, *, kind: str, count: int, sorted_: bool, unique: bool, bucket: int | None, mode: Any
) -> Any:
    data = cnp.asarray(data)
    shape, dtype = shape_of(data), dtype_of(data)
    rest = shape[len(shape_of(ids)) :]
    if mode is lax.GatherScatterMode.FILL_OR_DROP:
        # Scatters count negative indices from the end; here they belong to no segment.
        ids = cnp.where(ids < 0, count, ids)
    if bucket is None:
        return _combine(
            lax.full((count, *rest), _unit(kind, dtype), dtype), ids, data, kind, sorted_, unique, mode
        )
    # Sums of sums: less is lost to rounding, and the parts do not wait for each other.
    buckets = -(-shape[0] // bucket)
    out = lax.full((count, buckets, *rest), _unit(kind, dtype), dtype)
    number = lax.div(lax.iota(np.dtype(np.int32), shape[0]), np.int32(bucket))
    update = getattr(out.at[ids, number], kind)
    parts = update(data, indices_are_sorted=sorted_, unique_indices=unique, mode=mode)
    reductions: dict[str, Callable[..., Any]] = {
        "add": cnp.sum, "multiply": cnp.prod, "max": cnp.max, "min": cnp.min
    }  # fmt: skip
    return lax.convert_element_type(reductions[kind](parts, axis=1), dtype)


def _count(name: str, ids: Any, num_segments: Any) -> int:
    if num_segments is not None:
        count = size_of(num_segments)
        if count < 0:
            raise ValueError(f"ops.{name}: num_segments must not be negative, got {count}.")
        return count
    if isinstance(ids, Tracer):
        raise TypeError(
            f"ops.{name}: the shape of the result depends on segment_ids, which are traced. Pass num_segments."
        )
    return int(np.max(np.asarray(ids), initial=-1)) + 1


def _function(name: str, kind: str, what: str, printed: str) -> Callable[..., Any]:
    def segment(
        data: Any,
        segment_ids: Any,
        num_segments: int | None = None,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        bucket_size: int | None = None,
        mode: Any = None,
        out_sharding: Any = None,
    ) -> Any:
        check_arraylike(name, data, segment_ids)
        shape, ids_shape = shape_of(data), shape_of(segment_ids)
        if not dtypes.issubdtype(dtype_of(segment_ids), np.integer):
            raise TypeError(f"ops.{name}: segment_ids must be integers, got dtype {dtype_of(segment_ids)}.")
        if shape[: len(ids_shape)] != ids_shape:
            raise ValueError(
                f"ops.{name}: segment_ids of shape {ids_shape} must match the first dimensions of data, {shape}."
            )
        if bucket_size is not None and (bucket_size <= 0 or len(ids_shape) != 1):
            raise ValueError(f"ops.{name}: bucket_size must be positive, with segment_ids of one dimension.")
        options: dict[str, Any] = {
            "kind": kind,
            "count": _count(name, segment_ids, num_segments),
            "sorted_": bool(indices_are_sorted),
            "unique": bool(unique_indices),
            "bucket": None if bucket_size is None else int(bucket_size),
            "mode": lax.GatherScatterMode.FILL_OR_DROP
            if mode is None
            else lax.GatherScatterMode.from_any(mode),
        }
        if out_sharding is not None:
            return laid_out(
                lambda: _segment(data, segment_ids, **options), out_sharding, "segment operations"
            )
        return _segment(data, segment_ids, **options)

    segment.__name__ = segment.__qualname__ = name
    segment.__doc__ = f"""{what} of the elements of each segment.

    Args:
      data: array.
      segment_ids: integers, of the shape of data's first dimensions: the segment of each element. Those
        out of bounds, negative ones too, are left out unless `mode` says otherwise.
      num_segments: how many segments the result has; by default one more than the largest id.
      indices_are_sorted: the caller's word that ids ascend.
      unique_indices: the caller's word that no two are equal.
      bucket_size: reduce this many elements at a time, then the results of these; for exacter sums.
      mode: what is done with ids out of bounds, as in scatters: "drop", "clip" or "promise_in_bounds".
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Returns:
      An array with one element for each segment, of data's dtype.

    Raises:
      TypeError: ids are no integers, or are traced while `num_segments` is missing.
      ValueError: shapes do not fit.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> ct.ops.{name}(cnp.array([1, 2, 3]), cnp.array([0, 0, 1])).tolist()
      {printed}
    """
    return segment


segment_sum = _function("segment_sum", "add", "The sum", "[3, 3]")
segment_prod = _function("segment_prod", "multiply", "The product", "[2, 3]")
segment_max = _function("segment_max", "max", "The maximum", "[2, 3]")
segment_min = _function("segment_min", "min", "The minimum", "[1, 3]")
