"""Activation functions against their formulas, and their derivatives against differences."""

import math

import numpy as np
import pytest
import scipy.special

import canter as ct
from canter import nn

_POINTS = np.array([-30.0, -7.5, -3.0, -1.0, -0.4, 0.3, 1.0, 2.5, 5.0, 30.0])
_SMOOTH = np.array([-6.3, -2.2, -0.7, 0.2, 0.9, 2.3, 4.4])


def _sigmoid(x):
    return scipy.special.expit(x)


def _softplus(x):
    return np.logaddexp(x, 0)


_FORMULAS = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "silu": lambda x: x * _sigmoid(x),
    "swish": lambda x: x * _sigmoid(x),
    "log_sigmoid": lambda x: -_softplus(-x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    "celu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "leaky_relu": lambda x: np.where(x >= 0, x, 0.01 * x),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "hard_silu": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "gelu": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "soft_sign": lambda x: x / (1 + abs(x)),
    "sparse_plus": lambda x: np.where(x <= -1, 0, np.where(x >= 1, x, (x + 1) ** 2 / 4)),
    "sparse_sigmoid": lambda x: np.clip((x + 1) / 2, 0, 1),
    "squareplus": lambda x: (x + np.sqrt(x * x + 4)) / 2,
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "tanh": np.tanh,
    "identity": lambda x: x,
}


@pytest.fixture(autouse=True)
def _double():
    with ct.enable_x64(True):
        yield


@pytest.mark.parametrize("name", sorted(_FORMULAS))
def test_values_and_derivatives(name):
    function = getattr(nn, name)
    values, tangents = ct.jvp(function, (_POINTS,), (np.ones_like(_POINTS),))
    np.testing.assert_allclose(values, _FORMULAS[name](_POINTS), rtol=1e-12, atol=1e-14)
    step = 1e-6
    inner = (np.abs(np.abs(_POINTS) - 1) > 0.1) & (np.abs(np.abs(_POINTS) - 3) > 0.1)
    differences = (_FORMULAS[name](_POINTS + step) - _FORMULAS[name](_POINTS - step)) / (2 * step)
    np.testing.assert_allclose(tangents[inner], differences[inner], rtol=1e-6, atol=1e-8)


def test_gelu_exact():
    want = _POINTS * scipy.special.ndtr(_POINTS)
    np.testing.assert_allclose(nn.gelu(_POINTS, approximate=False), want, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("name", ["relu", "relu6"])
def test_derivative_at_the_kink_is_zero(name):
    assert ct.grad(getattr(nn, name))(0.0) == 0.0


@pytest.mark.parametrize(("name", "slope"), [("softplus", 0.5), ("elu", 1.0), ("celu", 1.0), ("silu", 0.5)])
def test_derivative_at_zero(name, slope):
    assert ct.grad(getattr(nn, name))(0.0) == slope


def test_second_derivative_of_softplus_at_zero():
    np.testing.assert_allclose(ct.grad(ct.grad(nn.softplus))(0.0), 0.25)


@pytest.mark.parametrize("name", ["relu", "softplus", "elu", "selu", "celu", "log_sigmoid", "mish", "gelu"])
def test_derivatives_far_out_are_finite(name):
    slopes = ct.vmap(ct.grad(getattr(nn, name)))(np.array([-1e4, -800.0, 800.0, 1e4]))
    assert np.isfinite(np.asarray(slopes)).all()


def test_nan_passes():
    for name in sorted(_FORMULAS):
        assert np.isnan(np.asarray(getattr(nn, name)(np.float64("nan")))), name


def test_integers():
    assert nn.relu(np.arange(-2, 3)).tolist() == [0, 0, 0, 1, 2]
    assert nn.hard_tanh(np.arange(-2, 3)).tolist() == [-1, -1, 0, 1, 1]
    assert nn.leaky_relu(np.arange(-2, 1), 0.5).tolist() == [-1.0, -0.5, 0.0]


def test_parameters():
    x = np.array([-2.0, 3.0])
    np.testing.assert_allclose(nn.elu(x, 2.0), np.where(x > 0, x, 2 * np.expm1(x)))
    np.testing.assert_allclose(nn.celu(x, 2.0), np.where(x > 0, x, 2 * np.expm1(x / 2)))
    np.testing.assert_allclose(nn.squareplus(x, 1), (x + np.sqrt(x * x + 1)) / 2)


def test_log1mexp():
    x = np.array([1e-8, 0.3, 0.7, 5.0, 40.0])
    values, slopes = ct.jvp(nn.log1mexp, (x,), (np.ones_like(x),))
    want = np.where(x < 1, np.log(-np.expm1(-x)), np.log1p(-np.exp(-x)))
    np.testing.assert_allclose(values, want, rtol=1e-12)
    np.testing.assert_allclose(slopes, 1 / np.expm1(x), rtol=1e-12)


def test_glu():
    x = np.arange(12.0).reshape(2, 6)
    np.testing.assert_allclose(nn.glu(x), x[:, :3] * _sigmoid(x[:, 3:]))
    np.testing.assert_allclose(nn.glu(x, axis=0), x[:1] * _sigmoid(x[1:]))
    with pytest.raises(ValueError, match="odd size"):
        nn.glu(np.ones(3))
    with pytest.raises(ValueError, match="out of bounds"):
        nn.glu(np.ones(4), axis=1)


def test_not_an_array():
    with pytest.raises(TypeError, match="relu"):
        nn.relu("x")
