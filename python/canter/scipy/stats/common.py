"""What the distributions share: bringing arguments to one dtype, and documentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from canter import lax
from canter.lax.common import const
from canter.numpy.ufunc_bodies import where
from canter.numpy.util import promote_args_inexact
from canter.runtime.composite import composite

__all__ = ["density_outside", "distribution", "invalid", "outside_unit", "standardize"]

F = TypeVar("F", bound=Callable[..., Any])

_METHODS = {
    "pdf": "The density",
    "logpdf": "The logarithm of the density",
    "pmf": "The probability",
    "logpmf": "The logarithm of the probability",
    "cdf": "The distribution function, the probability of being below,",
    "logcdf": "The logarithm of the distribution function",
    "sf": "The survival function, the probability of being above,",
    "logsf": "The logarithm of the survival function",
    "ppf": "The quantile, the inverse of cdf,",
    "isf": "The inverse of sf",
    "entropy": "The entropy",
}
_PARAMETERS = {"loc": "by how much it is shifted", "scale": "by how much it is stretched, positive"}


def distribution(title: str, **parameters: str) -> Callable[[str, float], Callable[[F], F]]:
    """A decorator for the methods of a distribution: each becomes one compiled call, with documentation.

    Args:
      title: the distribution's name in a sentence.
      **parameters: what its own parameters mean.

    Returns:
      `method(arguments, value)`, to which an example's arguments and rounded value are given.
    """
    meanings = _PARAMETERS | parameters

    def method(arguments: str, value: float) -> Callable[[F], F]:
        def decorate(function: F) -> F:
            name = function.__name__
            where_from = f"{function.__module__.rsplit('.', 1)[1]}.{name}"
            names = function.__code__.co_varnames[: function.__code__.co_argcount]
            lines = [f"{n}: {meanings.get(n, 'where it is asked for')}." for n in names]
            function.__doc__ = f"""{_METHODS[name]} of {title}.

    Args (arrays or numbers that broadcast):
      {chr(10).join(lines).replace(chr(10), chr(10) + "      ")}

    Returns:
      An array of their common float dtype.

    Raises:
      TypeError: an argument is no array of numbers.

    Source: `scipy.stats.{where_from}`.

    Example:
      >>> import canter as ct
      >>> print(round(float(ct.scipy.stats.{where_from}({arguments})), 3))
      {value}
    """
            return cast(F, composite(function))

        return decorate

    return method


def standardize(name: str, x: Any, *parameters: Any) -> tuple[Any, ...]:
    """(x - loc) / scale, the shape parameters, and the scale; the last two parameters are loc and scale."""
    x, *shapes, loc, scale = promote_args_inexact(name, x, *parameters)
    return ((x - loc) / scale, *shapes, scale)


def density_outside(outside: Any, value: Any) -> Any:
    """-inf outside of the support."""
    return where(outside, const(value, -np.inf), value)


def invalid(condition: Any, value: Any) -> Any:
    """NaN where a parameter is none."""
    return where(condition, const(value, np.nan), value)


def outside_unit(q: Any) -> Any:
    """Whether a number is no probability."""
    return lax.bitwise_or(q < 0, q > 1)
