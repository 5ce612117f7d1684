"""Logarithms, entropies, and softmax under SciPy's defaults."""

from __future__ import annotations

from typing import Any

import numpy as np

from canter import lax
from canter.lax.common import const
from canter.nn.normalization import log_softmax as _log_softmax, softmax as _softmax
from canter.numpy.ufunc_bodies import where
from canter.transforms.custom_rules import custom_jvp

from .common import binary, same_shape, unary

__all__ = [
    "boxcox",
    "boxcox1p",
    "entr",
    "expit",
    "kl_div",
    "log_softmax",
    "logit",
    "rel_entr",
    "softmax",
    "xlog1py",
    "xlogy",
]


@custom_jvp
def _xlogy(x: Any, y: Any) -> Any:
    used = lax.ne(x, const(x, 0))
    value = x * lax.log(where(used, y, const(y, 1)))
    return where(lax.bitwise_or(used, lax.ne(y, y)), where(lax.ne(y, y), y, value), const(x, 0))


@_xlogy.defjvp
def _(primals: Any, tangents: Any) -> Any:
    x, y = primals
    return _xlogy(x, y), tangents[0] * lax.log(y) + tangents[1] * (x / y)


@custom_jvp
def _xlog1py(x: Any, y: Any) -> Any:
    used = lax.ne(x, const(x, 0))
    value = x * lax.log1p(where(used, y, const(y, 0)))
    return where(lax.bitwise_or(used, lax.ne(y, y)), where(lax.ne(y, y), y, value), const(x, 0))


@_xlog1py.defjvp
def _(primals: Any, tangents: Any) -> Any:
    x, y = primals
    return _xlog1py(x, y), tangents[0] * lax.log1p(y) + tangents[1] * (x / (1 + y))


def _entr(x: Any) -> Any:
    return where(lax.lt(x, const(x, 0)), const(x, -np.inf), -_xlogy(x, x))


def _rel_entr(p: Any, q: Any) -> Any:
    p, q = same_shape(p, q)
    both = lax.bitwise_and(lax.gt(p, const(p, 0)), lax.gt(q, const(q, 0)))
    none = lax.bitwise_and(lax.eq(p, const(p, 0)), lax.ge(q, const(q, 0)))
    safe_p, safe_q = where(both, p, const(p, 1)), where(both, q, const(q, 1))
    value = safe_p * (lax.log(safe_p) - lax.log(safe_q))
    invalid = lax.bitwise_or(lax.ne(p, p), lax.ne(q, q))
    outside = where(invalid, const(p, np.nan), where(none, const(p, 0), const(p, np.inf)))
    return where(both, value, outside)


def _boxcox(x: Any, power: Any) -> Any:
    return _boxcox_of_log(lax.log(x), power)


def _boxcox_of_log(log: Any, power: Any) -> Any:
    log, power = same_shape(log, power)
    zero = lax.eq(power, const(power, 0))
    safe = where(zero, const(power, 1), power)
    return where(zero, log, lax.expm1(safe * log) / safe)


xlogy = binary(
    "xlogy",
    lambda x, y: _xlogy(*same_shape(x, y)),
    "x * log(y), which is 0 where x is.",
    "xlogy(0.0, 0.0)",
    "0.0",
    "x, y",
)
xlog1py = binary(
    "xlog1py",
    lambda x, y: _xlog1py(*same_shape(x, y)),
    "x * log(1 + y), which is 0 where x is.",
    "xlog1py(0.0, -1.0)",
    "0.0",
    "x, y",
)
entr = unary("entr", _entr, "-x * log(x), which is 0 at 0 and -inf below.", "entr(1.0)", "-0.0")
rel_entr = binary("rel_entr", _rel_entr, "p * log(p / q).", "rel_entr(1.0, 1.0)", "0.0", "p, q")
kl_div = binary(
    "kl_div",
    lambda p, q: _rel_entr(p, q) - p + q,
    "p * log(p / q) - p + q.",
    "kl_div(1.0, 1.0)",
    "0.0",
    "p, q",
)
expit = unary("expit", lambda x: lax.logistic(x), "The logistic function.", "expit(0.0)", "0.5")
logit = unary(
    "logit", lambda x: lax.log(x / (1 - x)), "The inverse of expit: log(x / (1 - x)).", "logit(0.5)", "0.0"
)
boxcox = binary(
    "boxcox",
    _boxcox,
    "(x**lmbda - 1) / lmbda, which is log(x) at lmbda = 0.",
    "boxcox(1.0, 2.0)",
    "0.0",
    "x, lmbda",
)
boxcox1p = binary(
    "boxcox1p",
    lambda x, power: _boxcox_of_log(lax.log1p(x), power),
    "boxcox(1 + x, lmbda).",
    "boxcox1p(0.0, 2.0)",
    "0.0",
    "x, lmbda",
)


def softmax(x: Any, /, *, axis: Any = None) -> Any:
    """`nn.softmax`, by default over all axes.

    Args:
      x: array or number.
      axis: one axis, several, or None for all.

    Raises:
      ValueError: an axis is out of bounds.

    Source: `scipy.special.softmax`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.special.softmax(ct.numpy.zeros(2)))
      [0.5 0.5]
    """
    return _softmax(x, axis=axis)


def log_softmax(x: Any, /, *, axis: Any = None) -> Any:
    """`nn.log_softmax`, by default over all axes.

    Args:
      x: array or number.
      axis: one axis, several, or None for all.

    Raises:
      ValueError: an axis is out of bounds.

    Source: `scipy.special.log_softmax`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.special.log_softmax(ct.numpy.zeros(1)))
      [0.]
    """
    return _log_softmax(x, axis=axis)
