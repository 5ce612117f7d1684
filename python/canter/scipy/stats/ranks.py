"""Statistics of samples: the mode, ranks, the standard error of the mean."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np

from canter import lax, numpy as cnp
from canter.core import dtypes
from canter.numpy.util import canonical_axis, check_arraylike, convert, dtype_of, shape_of, to_inexact
from canter.runtime.composite import composite

__all__ = ["ModeResult", "mode", "rankdata", "sem"]


class ModeResult(NamedTuple):
    """What `mode` returns.

    Attributes:
      mode: the most common value.
      count: how often it occurs.
    """

    mode: Any
    count: Any


def _check_nan_policy(where: str, policy: str) -> None:
    if policy == "propagate":
        return
    if policy not in ("omit", "raise"):
        raise ValueError(
            f"stats.{where}: illegal nan_policy value {policy!r}; expected one of 'propagate', 'omit', 'raise'."
        )
    raise NotImplementedError(
        f"stats.{where}: nan_policy={policy!r} would need the values while tracing. Take the NaNs out before, and "
        "leave nan_policy='propagate'."
    )


def _line(a: Any, axis: Any) -> tuple[Any, int]:
    """An array and the axis along which a statistic goes; None stands for all elements."""
    a = cnp.asarray(a)
    if axis is None:
        return a.ravel(), 0
    if a.ndim == 0:
        a = a[None]
    return a, canonical_axis(axis, a.ndim)


def _runs(ordered: Any) -> tuple[Any, Any]:
    """Where runs of equal values begin in sorted rows, and the number of the run that each element is in."""
    first = cnp.ones((*shape_of(ordered)[:-1], 1), bool)
    new = ordered[..., 1:] != ordered[..., :-1]
    if dtypes.issubdtype(dtype_of(ordered), np.inexact):
        new = new & ~cnp.isnan(ordered[..., :-1])  # sorted, all after a NaN is NaN: one run
    starts = cnp.concatenate([first, new], axis=-1)
    return starts, cnp.cumsum(starts, axis=-1)


def _first_and_last(starts: Any) -> tuple[Any, Any]:
    """For each element of sorted rows the places where its run begins and ends."""
    size = shape_of(starts)[-1]
    place = lax.broadcasted_iota(np.dtype(np.int32), shape_of(starts), len(shape_of(starts)) - 1)
    first = lax.cummax(cnp.where(starts, place, 0), axis=len(shape_of(starts)) - 1)
    ends = cnp.concatenate([starts[..., 1:], cnp.ones_like(starts[..., :1])], axis=-1)
    last = lax.cummin(cnp.where(ends, place, size), axis=len(shape_of(starts)) - 1, reverse=True)
    return first, last


@composite(static_argnames=("axis",))
def _mode(a: Any, *, axis: int) -> tuple[Any, Any]:
    ordered = cnp.sort(cnp.moveaxis(a, axis, -1), axis=-1)
    starts, _ = _runs(ordered)
    first, last = _first_and_last(starts)
    lengths = last - first + 1
    # The first of the longest runs has the smallest value.
    at = cnp.argmax(lengths, axis=-1, keepdims=True)
    value = cnp.take_along_axis(ordered, at, axis=-1)[..., 0]
    count = cnp.take_along_axis(lengths, at, axis=-1)[..., 0]
    return value, convert(count, dtypes.canonicalize_dtype(int))


def mode(a: Any, axis: int | None = 0, nan_policy: str = "propagate", keepdims: bool = False) -> ModeResult:
    """The most common value along an axis, the smallest one of several.

    Args:
      a: array.
      axis: along which; None for all elements.
      nan_policy: must be "propagate": NaN is a value like others.
      keepdims: whether the axis stays, with size 1.

    Raises:
      NotImplementedError: another nan_policy of SciPy's.
      ValueError: the nan_policy is unknown, or the axis out of bounds.

    Source: `scipy.stats.mode`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.stats.mode(ct.numpy.array([2, 7, 1, 7])).mode)
      7
    """
    check_arraylike("mode", a)
    _check_nan_policy("mode", nan_policy)
    line, along = _line(a, axis)
    if line.size == 0:
        float_dtype = dtypes.to_inexact_dtype(line.dtype)
        shape = tuple(n for d, n in enumerate(line.shape) if d != along)
        result = ModeResult(cnp.full(shape, np.nan, float_dtype), cnp.zeros(shape, float_dtype))
    else:
        result = ModeResult(*_mode(line, axis=along))
    if not keepdims:
        return result
    ndim = len(shape_of(a)) if axis is None else line.ndim
    places = tuple(range(ndim)) if axis is None else along
    return ModeResult(*(cnp.expand_dims(x, places) for x in result))


_METHODS = ("average", "min", "max", "dense", "ordinal")


@composite(static_argnames=("method", "axis"))
def _rankdata(a: Any, *, method: str, axis: int) -> Any:
    rows = cnp.moveaxis(a, axis, -1)
    order = cnp.argsort(rows, axis=-1, stable=True)
    ordered = cnp.take_along_axis(rows, order, axis=-1)
    starts, number = _runs(ordered)
    first, last = _first_and_last(starts)
    place = lax.broadcasted_iota(np.dtype(np.int32), shape_of(rows), len(shape_of(rows)) - 1)
    float_dtype = dtypes.canonicalize_dtype(float)
    ranks = {
        "average": lambda: (convert(first, float_dtype) + convert(last, float_dtype)) / 2 + 1,
        "min": lambda: first + 1,
        "max": lambda: last + 1,
        "dense": lambda: number,
        "ordinal": lambda: place + 1,
    }[method]()
    ranks = cnp.take_along_axis(convert(ranks, float_dtype), cnp.argsort(order, axis=-1), axis=-1)
    if dtypes.issubdtype(dtype_of(a), np.inexact):
        ranks = cnp.where(cnp.any(cnp.isnan(rows), axis=-1, keepdims=True), np.nan, ranks)
    return cnp.moveaxis(ranks, -1, axis)


def rankdata(
    a: Any, method: str = "average", *, axis: int | None = None, nan_policy: str = "propagate"
) -> Any:
    """The ranks of elements, from 1.

    Args:
      a: array.
      method: which rank equal elements get: "average", "min" or "max" of theirs, "dense" (min, without
        gaps after them) or "ordinal" (in the order in which they stand).
      axis: along which; None for all elements, in one row.
      nan_policy: must be "propagate": where there are NaNs all ranks are NaN.

    Returns:
      An array of floats.

    Raises:
      NotImplementedError: another nan_policy of SciPy's.
      ValueError: the method or the nan_policy is unknown.

    Source: `scipy.stats.rankdata`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.stats.rankdata(ct.numpy.array([3, 1, 1, 2])))
      [4.  1.5 1.5 3. ]
    """
    check_arraylike("rankdata", a)
    _check_nan_policy("rankdata", nan_policy)
    if method not in _METHODS:
        raise ValueError(f"stats.rankdata: unknown method {method!r}; expected one of {', '.join(_METHODS)}.")
    line, along = _line(a, axis)
    return _rankdata(line, method=method, axis=along)


@composite(static_argnames=("axis", "ddof", "omit", "keepdims"))
def _sem(a: Any, *, axis: int, ddof: int, omit: bool, keepdims: bool) -> Any:
    a = to_inexact("sem", a)
    if omit:
        count = cnp.sum(~cnp.isnan(a), axis=axis, keepdims=keepdims)
        return cnp.nanstd(a, axis=axis, ddof=ddof, keepdims=keepdims) / cnp.sqrt(convert(count, dtype_of(a)))
    spread = cnp.std(a, axis=axis, ddof=ddof, keepdims=keepdims)
    return spread / np.sqrt(np.float64(shape_of(a)[axis])).astype(spread.dtype)


def sem(
    a: Any, axis: int | None = 0, ddof: int = 1, nan_policy: str = "propagate", *, keepdims: bool = False
) -> Any:
    """The standard error of the mean.

    Args:
      a: array.
      axis: along which; None for all elements.
      ddof: what is subtracted from the number of elements in the variance.
      nan_policy: "propagate" or "omit".
      keepdims: whether the axis stays, with size 1.

    Raises:
      ValueError: another nan_policy, or the axis is out of bounds.

    Source: `scipy.stats.sem`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.stats.sem(ct.numpy.array([1.0, 3.0])).round(3))
      1.0
    """
    check_arraylike("sem", a)
    if nan_policy not in ("propagate", "omit"):
        raise ValueError(
            f"stats.sem: nan_policy {nan_policy!r} is not supported; expected 'propagate' or 'omit'."
        )
    line, along = _line(a, axis)
    result = _sem(
        line, axis=along, ddof=operator.index(ddof), omit=nan_policy == "omit", keepdims=bool(keepdims)
    )
    if keepdims and axis is None:
        return cnp.reshape(result, (1,) * len(shape_of(a)))
    return result
