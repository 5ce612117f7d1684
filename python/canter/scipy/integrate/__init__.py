"""Integrals, as in `scipy.integrate`."""

from __future__ import annotations

from typing import Any as _Any

from ...numpy import trapezoid as _trapezoid

__all__ = ["trapezoid"]


def trapezoid(y: _Any, x: _Any = None, dx: _Any = 1.0, axis: int = -1) -> _Any:
    """The integral of samples along an axis, by the trapezoidal rule.

    Args:
      y: the samples.
      x: where they were taken; by default at distances of `dx`.
      dx: the distance.
      axis: along which.

    Raises:
      ValueError: the axis is out of bounds.

    Source: `scipy.integrate.trapezoid`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.integrate.trapezoid(ct.numpy.array([1.0, 2.0, 3.0])))
      4.0
    """
    return _trapezoid(y, x, dx, axis)


def __dir__() -> list[str]:
    return __all__
