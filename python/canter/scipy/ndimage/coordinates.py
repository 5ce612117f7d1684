"""Values of an array between its elements."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from canter import lax, numpy as cnp
from canter.core import dtypes
from canter.numpy.util import check_arraylike, dtype_of, promote_dtypes_inexact, shape_of
from canter.runtime.composite import composite

__all__ = ["map_coordinates"]


def _mirror(index: Any, size: int) -> Any:
    """Reflection about the centres of the first and of the last element."""
    last = size - 1
    return cnp.abs((index + last) % (2 * last) - last) if size > 1 else cnp.zeros_like(index)


#: How a place outside becomes one inside. "constant" has none: there the value is `cval`.
_FOLDS: dict[str, Callable[[Any, int], Any]] = {
    "constant": lambda index, size: index,
    "nearest": lambda index, size: cnp.clip(index, 0, size - 1),
    "wrap": lambda index, size: index % size,
    "mirror": _mirror,
    "reflect": lambda index, size: _mirror(2 * index + 1, 2 * size + 1) // 2,
}


def _rounded(x: Any) -> Any:
    return lax.round(x) if dtypes.issubdtype(dtype_of(x), np.inexact) else x


@composite(static_argnames=("order", "mode"))
def _map_coordinates(image: Any, coordinates: Any, cval: Any, *, order: int, mode: str) -> Any:
    coordinates = promote_dtypes_inexact(*coordinates)
    coordinates = cnp.broadcast_arrays(*coordinates)
    cval = cnp.asarray(cval, dtype_of(image))
    choices = []
    for x in coordinates:
        if order == 0:
            choices.append([(_rounded(x).astype(np.int32), None)])
        else:
            low = lax.floor(x)
            share = x - low
            place = low.astype(np.int32)
            choices.append([(place, 1 - share), (place + 1, share)])
    total: Any = 0
    for corner in itertools.product(*choices):
        places = [_FOLDS[mode](p, n) for (p, _), n in zip(corner, shape_of(image), strict=True)]
        value = image[tuple(places)]
        if mode == "constant":
            inside = [(p >= 0) & (p < n) for p, n in zip(places, shape_of(image), strict=True)]
            usable = inside[0]
            for other in inside[1:]:
                usable = usable & other
            value = cnp.where(usable, value, cval)
        for _, weight in corner:
            value = value if weight is None else value * weight
        total = total + value
    if not dtypes.issubdtype(dtype_of(image), np.inexact):
        total = _rounded(total)
    return total.astype(dtype_of(image))


def map_coordinates(
    input: Any, coordinates: Sequence[Any], order: int, mode: str = "constant", cval: Any = 0.0
) -> Any:
    """The values of an array at places given by coordinates.

    Args:
      input: array of n dimensions.
      coordinates: n arrays of coordinates, in units of elements; they broadcast.
      order: 0 for the nearest element, 1 for linear interpolation.
      mode: what lies outside: "constant", "nearest", "wrap", "mirror" or "reflect".
      cval: the value outside for "constant".

    Returns:
      An array of the coordinates' shape and the input's dtype.

    Raises:
      NotImplementedError: another order or mode.
      ValueError: there are not n coordinates.

    Source: `scipy.ndimage.map_coordinates`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.ndimage.map_coordinates(ct.numpy.array([0.0, 10.0]), [0.25], order=1))
      2.5
    """
    check_arraylike("map_coordinates", input)
    check_arraylike("map_coordinates", *coordinates)
    if len(coordinates) != len(shape_of(input)):
        raise ValueError(
            "map_coordinates: coordinates must be a sequence of length input.ndim, but "
            f"{len(coordinates)} != {len(shape_of(input))}."
        )
    if order not in (0, 1):
        raise NotImplementedError(f"map_coordinates requires order 0 or 1, got {order}.")
    if mode not in _FOLDS:
        raise NotImplementedError(
            f"map_coordinates does not support mode {mode!r}; supported are {', '.join(_FOLDS)}."
        )
    return _map_coordinates(cnp.asarray(input), tuple(coordinates), cval, order=int(order), mode=mode)
