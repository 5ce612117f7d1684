"""What the special functions share: declarers with documentation, and small arithmetic."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from canter import numpy as cnp
from canter.core import dtypes
from canter.lax.common import const
from canter.numpy.util import convert, dtype_of, promote_args_inexact, to_inexact
from canter.runtime.composite import composite

__all__ = ["binary", "documented", "in_single", "is_double", "polynomial", "real", "same_shape", "unary"]

_DOC = """{what}

    Args:
      {arguments}: arrays or numbers that broadcast.

    Raises:
      TypeError: an argument is no array of numbers.

    Source: `scipy.special.{name}`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.special.{call})
      {printed}
    """


def documented(name: str, what: str, call: str, printed: str, arguments: str = "x") -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        function.__name__ = function.__qualname__ = name
        function.__doc__ = _DOC.format(what=what, name=name, call=call, printed=printed, arguments=arguments)
        return composite(function)

    return decorate


def unary(name: str, body: Callable[[Any], Any], what: str, call: str, printed: str) -> Any:
    def function(x: Any) -> Any:
        return body(to_inexact(name, x))

    return documented(name, what, call, printed)(function)


def binary(name: str, body: Callable[[Any, Any], Any], what: str, call: str, printed: str, names: str) -> Any:
    """A function of two operands. The parameters' names are those of SciPy."""
    parameters: dict[str, Callable[..., Any]] = {
        "a, b": lambda a, b: body(*promote_args_inexact(name, a, b)),
        "a, x": lambda a, x: body(*promote_args_inexact(name, a, x)),
        "x, y": lambda x, y: body(*promote_args_inexact(name, x, y)),
        "p, q": lambda p, q: body(*promote_args_inexact(name, p, q)),
        "x, lmbda": lambda x, lmbda: body(*promote_args_inexact(name, x, lmbda)),
        "z, m": lambda z, m: body(*promote_args_inexact(name, z, m)),
    }
    return documented(name, what, call, printed, names)(parameters[names])


def is_double(x: Any) -> bool:
    """Whether a value has 64 bits a number."""
    return dtype_of(x) == np.float64


def real(name: str, *args: Any) -> list[Any]:
    """Operands brought to one real dtype and one shape.

    Raises:
      ValueError: one of them is complex.
    """
    operands = promote_args_inexact(name, *args)
    if dtypes.issubdtype(dtype_of(operands[0]), np.complexfloating):
        raise ValueError(f"scipy.special.{name} does not support complex-valued inputs.")
    return same_shape(*map(cnp.asarray, operands))


def in_single(body: Callable[..., Any]) -> Callable[..., Any]:
    """Lets a body of real operands of one dtype compute in float32 where theirs has fewer bits."""

    @functools.wraps(body)
    def wide(*operands: Any) -> Any:
        dtype = dtype_of(operands[0])
        if dtype.itemsize >= 4:
            return body(*operands)
        result = body(*(convert(x, np.dtype(np.float32)) for x in operands))
        return tuple(convert(x, dtype) for x in result) if type(result) is tuple else convert(result, dtype)

    return wide


def same_shape(*args: Any) -> list[Any]:
    """Operands broadcast to one shape."""
    return list(cnp.broadcast_arrays(*args))


def polynomial(x: Any, coefficients: Sequence[float]) -> Any:
    """A polynomial, the constant term first."""
    value = const(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * x + const(x, coefficient)
    return value
