"""Initial weights against those of JAX, and their mistakes."""

import json
import pathlib

import numpy as np
import pytest

import canter as ct
from canter.nn import initializers
from tests.nn.initializer_cases import results

_GOLDEN = json.loads((pathlib.Path(__file__).parent / "data" / "initializers.json").read_text())
_KEY = ct.random.key(0)


@pytest.fixture(scope="module")
def weights():
    return results("canter")


@pytest.mark.parametrize("name", sorted(_GOLDEN))
def test_weights_are_those_of_jax(name, weights):
    assert weights[name]["dtype"] == _GOLDEN[name]["dtype"]
    np.testing.assert_allclose(weights[name]["values"], _GOLDEN[name]["values"], rtol=3e-5, atol=2e-6)


def test_variance():
    for name in ("he_normal", "he_uniform"):
        x = np.asarray(getattr(initializers, name)()(_KEY, (200, 300)))
        np.testing.assert_allclose(x.var(), 2 / 200, rtol=0.05)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: initializers.variance_scaling(1.0, "fan", "normal"), "invalid mode"),
        (lambda: initializers.variance_scaling(1.0, "fan_in", "other"), "invalid distribution"),
        (lambda: initializers.he_normal()(_KEY, (3,)), "at least 2D"),
        (lambda: initializers.he_normal(5)(_KEY, (3, 3)), "dimensions of the weights"),
        (lambda: initializers.normal()(_KEY, (3,), int), "float or complex"),
        (lambda: initializers.orthogonal()(_KEY, (3,)), "at least a 2D shape"),
        (lambda: initializers.delta_orthogonal()(_KEY, (3, 3, 4, 2)), "fan_in"),
    ],
)
def test_mistakes(make, words):
    with pytest.raises(ValueError, match=words):
        make()
