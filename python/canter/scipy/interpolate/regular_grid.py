"""Interpolation between the points of a rectangular grid."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from canter import numpy as cnp
from canter.numpy.util import check_arraylike, promote_dtypes_inexact

__all__ = ["RegularGridInterpolator"]

_METHODS = ("linear", "nearest")


class RegularGridInterpolator:
    """Interpolates values given on a rectangular grid.

    Args:
      points: for each dimension its coordinates, which rise.
      values: array whose first dimensions are those of the grid.
      method: "linear" or "nearest".
      bounds_error: must be False.
      fill_value: what lies outside; None extrapolates.

    Raises:
      NotImplementedError: `bounds_error` is True.
      ValueError: the method is unknown, or points and values do not fit.

    Source: `scipy.interpolate.RegularGridInterpolator`.

    Example:
      >>> import canter as ct
      >>> grid = ct.numpy.arange(3.0)
      >>> line = ct.scipy.interpolate.RegularGridInterpolator((grid,), grid**2)
      >>> print(line(ct.numpy.array([[1.5]])))
      [2.5]
    """

    def __init__(
        self,
        points: Any,
        values: Any,
        method: str = "linear",
        bounds_error: bool = False,
        fill_value: Any = np.nan,
    ):
        if method not in _METHODS:
            raise ValueError(f"RegularGridInterpolator: method {method!r} is not defined; use {_METHODS}.")
        if bounds_error:
            raise NotImplementedError(
                "RegularGridInterpolator: bounds_error would need the values while tracing; leave it False."
            )
        check_arraylike("RegularGridInterpolator", values, *points)
        (values,) = promote_dtypes_inexact(cnp.asarray(values))
        if len(points) > values.ndim:
            raise ValueError(
                f"RegularGridInterpolator: there are {len(points)} point arrays, but values has {values.ndim} "
                "dimensions."
            )
        self.grid = tuple(cnp.asarray(p) for p in points)
        for i, p in enumerate(self.grid):
            if p.ndim != 1 or p.shape[0] != values.shape[i]:
                raise ValueError(
                    f"RegularGridInterpolator: there are {values.shape[i]} values along dimension {i}, but its points "
                    f"have the shape {p.shape}."
                )
        self.method = method
        self.bounds_error = bounds_error
        self.fill_value = None if fill_value is None else cnp.asarray(fill_value, values.dtype)
        self.values = values

    def __call__(self, xi: Any, method: str | None = None) -> Any:
        """The values at points (..., n), or at a tuple of n arrays of coordinates that broadcast.

        Raises:
          ValueError: the method is unknown, or the points have another dimension.
        """
        method = self.method if method is None else method
        if method not in _METHODS:
            raise ValueError(f"RegularGridInterpolator: method {method!r} is not defined; use {_METHODS}.")
        ndim = len(self.grid)
        if isinstance(xi, tuple):
            xi = cnp.stack(cnp.broadcast_arrays(*xi), axis=-1)
        xi = cnp.asarray(xi)
        if xi.ndim == 1:
            xi = xi[:, None] if ndim == 1 else xi[None]
        if xi.shape[-1] != ndim:
            raise ValueError(
                f"RegularGridInterpolator: the sample points have dimension {xi.shape[-1]}, the grid {ndim}."
            )
        coordinates = [xi[..., i] for i in range(ndim)]
        cells = [cnp.clip(cnp.searchsorted(g, x, side="right") - 1, 0, g.size - 2)
                 for g, x in zip(self.grid, coordinates, strict=True)]  # fmt: skip
        shares = [
            (x - g[c]) / (g[c + 1] - g[c]) for g, x, c in zip(self.grid, coordinates, cells, strict=True)
        ]
        result = self._nearest(cells, shares) if method == "nearest" else self._linear(cells, shares)
        if self.fill_value is None:
            return result
        inside = cnp.ones(xi.shape[:-1], bool)
        for g, x in zip(self.grid, coordinates, strict=True):
            inside = inside & (x >= g[0]) & (x <= g[-1])
        inside = inside.reshape(*inside.shape, *(1,) * (result.ndim - inside.ndim))
        return cnp.where(inside, result, self.fill_value)

    def _nearest(self, cells: Any, shares: Any) -> Any:
        return self.values[tuple(cnp.where(s <= 0.5, c, c + 1) for c, s in zip(cells, shares, strict=True))]

    def _linear(self, cells: Any, shares: Any) -> Any:
        total: Any = 0
        extra = (1,) * (self.values.ndim - len(self.grid))
        for corner in itertools.product((0, 1), repeat=len(cells)):
            weight: Any = 1
            for side, share in zip(corner, shares, strict=True):
                weight = weight * (share if side else 1 - share)
            corner_values = self.values[tuple(c + side for c, side in zip(cells, corner, strict=True))]
            total = total + corner_values * cnp.reshape(weight, (*cnp.shape(weight), *extra))
        return total
