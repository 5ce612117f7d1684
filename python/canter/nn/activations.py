"""Activation functions, elementwise.

Kinks are written as selections, so that the derivative at a kink is one-sided and plain (relu has 0 at
0), and so that neither value nor derivative of a branch not taken can spoil the result.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from canter import lax, numpy as cnp
from canter.core import dtypes
from canter.lax.common import const
from canter.numpy.ufunc_bodies import where
from canter.numpy.util import check_arraylike, convert, dtype_of, promote_args_inexact, shape_of, to_inexact
from canter.runtime.composite import composite
from canter.transforms.custom_rules import custom_jvp

__all__ = [
    "celu", "elu", "gelu", "glu", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "identity", "leaky_relu",
    "log1mexp", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_sign", "softplus",
    "sparse_plus", "sparse_sigmoid", "squareplus", "swish", "tanh",
]  # fmt: skip

_ARGS = """

    Args:
      x: array or number{more}.

    Raises:
      TypeError: `x` is no array of numbers.

    Example:
      >>> import canter as ct
      >>> print(ct.nn.{call})
      {printed}
    """


def _elementwise(body: Any, what: str, call: str, printed: str, more: str = "") -> Any:
    """The public function of a body of one argument, with the docstring that all of them share."""
    body.__name__ = body.__qualname__ = body.__name__[1:].removesuffix("_body")
    body.__doc__ = what + _ARGS.format(call=call, printed=printed, more=more)
    return composite(body)


def _yielding(name: str, x: Any, kind: Any = np.generic) -> Any:
    """A floating operand. What was none, and of the kind, yields in promotion as Python's numbers do."""
    out = to_inexact(name, x)
    was_exact = not dtypes.issubdtype(dtype_of(x), np.inexact) and dtypes.issubdtype(dtype_of(x), kind)
    return convert(out, dtype_of(out), True) if was_exact else out


def _any_number(name: str, x: Any) -> Any:
    """An operand of any dtype but bool, which becomes an integer."""
    check_arraylike(name, x)
    dtype = dtype_of(x)
    return (
        convert(x, dtypes.canonicalize_dtype(int), True)
        if dtype == np.bool_
        else convert(x, dtype, dtypes.is_weakly_typed(x))
    )


# --- rectifiers -----------------------------------------------------------------------------------


def _relu_body(x: Any) -> Any:
    x = _any_number("relu", x)
    if dtypes.issubdtype(dtype_of(x), np.complexfloating):
        return cnp.maximum(x, 0)
    return where(lax.le(x, const(x, 0)), const(x, 0), x)


relu = _elementwise(
    _relu_body,
    "Rectified linear unit: max(x, 0), with derivative 0 at 0.",
    "relu(-1.0), ct.nn.relu(2.0)",
    "0.0 2.0",
)


def _relu6_body(x: Any) -> Any:
    x = _yielding("relu6", x)
    return where(lax.le(x, const(x, 0)), const(x, 0), where(lax.ge(x, const(x, 6)), const(x, 6), x))


relu6 = _elementwise(_relu6_body, "min(max(x, 0), 6), with derivative 0 at 0 and 6.", "relu6(7.0)", "6.0")


@composite
def leaky_relu(x: Any, negative_slope: Any = 0.01) -> Any:
    """x where it is not negative, a fraction of it elsewhere.

    Args:
      x: array or number.
      negative_slope: the fraction, a number or an array that broadcasts.

    Raises:
      TypeError: an argument is no array of numbers.

    Example:
      >>> import canter as ct
      >>> print(ct.nn.leaky_relu(-1.0, 0.5))
      -0.5
    """
    x, slope = promote_args_inexact("leaky_relu", x, negative_slope)
    return where(lax.ge(x, const(x, 0)), x, slope * x)


def _expm1_below(x: Any, alpha: Any, scale: Any = None) -> Any:
    """x above 0, alpha * expm1(x / scale) below, where expm1 never sees what would overflow."""
    above = lax.gt(x, const(x, 0))
    below = where(above, const(x, 0), x)
    return where(above, x, alpha * lax.expm1(below if scale is None else below / scale))


@composite
def elu(x: Any, alpha: Any = 1.0) -> Any:
    """Exponential linear unit: x above 0, alpha * (exp(x) - 1) below.

    Args:
      x: array or number.
      alpha: a number or an array that broadcasts.

    Raises:
      TypeError: an argument is no array of numbers.

    Source: Clevert, Unterthiner, Hochreiter, "Fast and accurate deep network learning by exponential
    linear units", ICLR 2016.

    Example:
      >>> import canter as ct
      >>> print(ct.nn.elu(2.0))
      2.0
    """
    x, alpha = promote_args_inexact("elu", x, alpha)
    return _expm1_below(x, alpha)


def _selu_body(x: Any) -> Any:
    x = _yielding("selu", x)
    return const(x, 1.0507009873554804934193349852946) * _expm1_below(
        x, const(x, 1.6732632423543772848170429916717)
    )


selu = _elementwise(
    _selu_body,
    "Scaled exponential linear unit, which keeps mean 0 and variance 1 through a deep network of\n    "
    'lecun_normal weights.\n\n    Source: Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017.',
    "selu(0.0)",
    "0.0",
)


@composite
def celu(x: Any, alpha: Any = 1.0) -> Any:
    """Continuously differentiable exponential linear unit: x above 0, alpha * (exp(x / alpha) - 1) below.

    Args:
      x: array or number.
      alpha: a number or an array that broadcasts.

    Raises:
      TypeError: an argument is no array of numbers.

    Source: Barron, "Continuously differentiable exponential linear units", 2017.

    Example:
      >>> import canter as ct
      >>> print(ct.nn.celu(2.0))
      2.0
    """
    x, alpha = promote_args_inexact("celu", x, alpha)
    return _expm1_below(x, alpha, alpha)


def _hard_tanh_body(x: Any) -> Any:
    x = _any_number("hard_tanh", x)
    return where(lax.gt(x, const(x, 1)), const(x, 1), where(lax.lt(x, const(x, -1)), const(x, -1), x))


hard_tanh = _elementwise(_hard_tanh_body, "-1 below -1, 1 above 1, x between.", "hard_tanh(3.0)", "1.0")


def _hard_sigmoid_body(x: Any) -> Any:
    x = _yielding("hard_sigmoid", x)
    return relu6(x + 3.0) / 6.0


hard_sigmoid = _elementwise(
    _hard_sigmoid_body,
    "Piecewise linear stand-in for the logistic function: relu6(x + 3) / 6.",
    "hard_sigmoid(0.0)",
    "0.5",
)


def _hard_silu_body(x: Any) -> Any:
    x = _yielding("hard_silu", x)
    return x * hard_sigmoid(x)


hard_silu = _elementwise(
    _hard_silu_body,
    "Piecewise stand-in for silu: x * hard_sigmoid(x). Also called hard_swish.",
    "hard_silu(3.0)",
    "3.0",
)


hard_swish = hard_silu


# --- smooth ---------------------------------------------------------------------------------------


def _sigmoid_body(x: Any) -> Any:
    return lax.logistic(to_inexact("sigmoid", x))


sigmoid = _elementwise(_sigmoid_body, "The logistic function, 1 / (1 + exp(-x)).", "sigmoid(0.0)", "0.5")


def _softplus(x: Any) -> Any:
    if dtypes.issubdtype(dtype_of(x), np.complexfloating):
        return cnp.logaddexp(x, 0)
    above = lax.gt(x, const(x, 0))
    return where(above, x, const(x, 0)) + lax.log1p(lax.exp(where(above, -x, x)))


def _softplus_body(x: Any) -> Any:
    return _softplus(_yielding("softplus", x, np.bool_))


softplus = _elementwise(_softplus_body, "log(1 + exp(x)), without overflow.", "softplus(100.0)", "100.0")


def _log_sigmoid_body(x: Any) -> Any:
    return -_softplus(-to_inexact("log_sigmoid", x))


log_sigmoid = _elementwise(
    _log_sigmoid_body, "log(sigmoid(x)), without underflow.", "log_sigmoid(-100.0)", "-100.0"
)


def _silu_body(x: Any) -> Any:
    x = to_inexact("silu", x)
    return x * lax.logistic(x)


silu = _elementwise(_silu_body, "x * sigmoid(x). Also called swish.", "silu(0.0)", "0.0")


swish = silu


def _mish_body(x: Any) -> Any:
    x = _yielding("mish", x, np.bool_)
    return x * lax.tanh(_softplus(x))


mish = _elementwise(
    _mish_body,
    'x * tanh(softplus(x)).\n\n    Source: Misra, "Mish: a self regularized non-monotonic activation function", 2019.',
    "mish(0.0)",
    "0.0",
)


def _tanh_body(x: Any, /) -> Any:
    return lax.tanh(to_inexact("tanh", x))


tanh = _elementwise(_tanh_body, "Hyperbolic tangent.", "tanh(0.0)", "0.0")


@composite(static_argnames=("approximate",))
def _gelu(x: Any, *, approximate: bool) -> Any:
    if approximate:
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * lax.integer_pow(x, 3))
        return x * (0.5 * (1.0 + lax.tanh(inner)))
    return 0.5 * x * lax.erfc(-x * math.sqrt(0.5))


def gelu(x: Any, approximate: bool = True) -> Any:
    """Gaussian error linear unit: x times the normal distribution function at x.

    Args:
      x: array or number.
      approximate: whether to take the formula with tanh, or the exact one with erfc.

    Raises:
      TypeError: `x` is no array of numbers.

    Source: Hendrycks, Gimpel, "Gaussian error linear units", 2016.

    Example:
      >>> import canter as ct
      >>> print(ct.nn.gelu(1.0))
      0.841192
    """
    x = to_inexact("gelu", x)
    return _gelu(convert(x, dtype_of(x)), approximate=bool(approximate))


@composite(static_argnames=("axis",))
def _glu(x: Any, *, axis: int) -> Any:
    first, second = cnp.split(x, 2, axis)
    return first * lax.logistic(second)


def glu(x: Any, axis: int = -1) -> Any:
    """Gated linear unit: the first half of an axis, times the logistic function of the second.

    Args:
      x: array of at least one dimension.
      axis: the axis that is halved.

    Raises:
      ValueError: the axis has an odd size, or is out of bounds.

    Source: Dauphin et al., "Language modeling with gated convolutional networks", ICML 2017.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> print(ct.nn.glu(cnp.array([2.0, 0.0])))
      [1.]
    """
    x = to_inexact("glu", x)
    shape = shape_of(x)
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f"nn.glu: axis {axis} is out of bounds for an array of shape {shape}.")
    if shape[axis] % 2:
        raise ValueError(
            f"nn.glu: axis {axis} of an array of shape {shape} has an odd size and cannot be halved."
        )
    return _glu(x, axis=axis)


def _soft_sign_body(x: Any) -> Any:
    x = _yielding("soft_sign", x, np.bool_)
    return x / (lax.abs(x) + 1.0)


soft_sign = _elementwise(_soft_sign_body, "x / (1 + |x|).", "soft_sign(1.0)", "0.5")


def _sparse_plus_body(x: Any) -> Any:
    x = _yielding("sparse_plus", x)
    middle = lax.integer_pow(x + 1.0, 2) / 4.0
    return where(lax.le(x, const(x, -1)), const(x, 0), where(lax.ge(x, const(x, 1)), x, middle))


sparse_plus = _elementwise(
    _sparse_plus_body,
    "0 below -1, (x + 1)**2 / 4 up to 1, x above: the antiderivative of sparse_sigmoid.",
    "sparse_plus(1.0)",
    "1.0",
)


def _sparse_sigmoid_body(x: Any) -> Any:
    return 0.5 * cnp.clip(_yielding("sparse_sigmoid", x) + 1.0, 0.0, 2.0)


sparse_sigmoid = _elementwise(
    _sparse_sigmoid_body, "0 below -1, (x + 1) / 2 up to 1, 1 above.", "sparse_sigmoid(0.0)", "0.5"
)


@composite
def squareplus(x: Any, b: Any = 4) -> Any:
    """(x + sqrt(x**2 + b)) / 2, a smooth rectifier without exponentials.

    Args:
      x: array or number.
      b: how smooth it is, a number or an array that broadcasts.

    Raises:
      TypeError: an argument is no array of numbers.

    Source: Barron, "Squareplus: a softplus-like algebraic rectifier", 2021.

    Example:
      >>> import canter as ct
      >>> print(ct.nn.squareplus(0.0))
      1.0
    """
    x, b = promote_args_inexact("squareplus", x, b)
    return (x + lax.sqrt(lax.square(x) + b)) / 2


@custom_jvp
def _log1mexp(x: Any) -> Any:
    # Which form is exact depends on the side of log 2 (Mächler, "Accurately computing log(1 - exp(-|a|))", 2012).
    return where(lax.lt(x, const(x, math.log(2))), lax.log(-lax.expm1(-x)), lax.log1p(-lax.exp(-x)))


@_log1mexp.defjvp
def _(primals: Any, tangents: Any) -> Any:
    return _log1mexp(*primals), tangents[0] / lax.expm1(primals[0])


def _log1mexp_body(x: Any) -> Any:
    return _log1mexp(to_inexact("log1mexp", x))


log1mexp = _elementwise(
    _log1mexp_body, "log(1 - exp(-x)) for positive x.", "log1mexp(50.0)", "-1.9287499e-22", ", positive"
)


def _identity_body(x: Any) -> Any:
    return _any_number("identity", x) if dtype_of(x) != np.bool_ else convert(x, dtype_of(x))


identity = _elementwise(_identity_body, "x itself.", "identity(3.0)", "3.0")
