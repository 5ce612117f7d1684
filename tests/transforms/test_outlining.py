"""Repeated layers become calls, and nothing else changes."""

import numpy as np
import pytest

import canter as ct
from canter import lax
from canter.transforms.outlining import outline_repetitions

RNG = np.random.default_rng(0)
WIDTH = 4


def matmul(x, w):
    return lax.dot_general(x, w, (((1,), (0,)), ((), ())))


def layer(x, p):
    """Two matrix products and some elementwise work, 18 equations."""
    y = matmul(x, p["in"])
    for _ in range(6):
        y = lax.mul(lax.tanh(y), 0.9)
    y = lax.add(lax.sin(y), lax.exp(lax.neg(y)))
    return lax.add(x, lax.tanh(matmul(y, p["out"])))


def params(depth):
    weights = lambda: RNG.normal(size=(WIDTH, WIDTH)) / 2
    return [{"in": weights(), "out": weights()} for _ in range(depth)]


def model(layers, x):
    for p in layers:
        x = layer(x, p)
    return lax.reduce_sum(lax.sin(x), (0, 1))


def calls(f, *args):
    """How many calls there are in the outlined program, and of how many functions."""
    jaxpr = outline_repetitions(ct.make_jaxpr(f)(*args).jaxpr)
    found = [e.params["jaxpr"] for e in jaxpr.eqns if e.primitive.name == "outlined_call"]
    return len(found), len(set(map(id, found)))


@pytest.mark.parametrize("depth", [5, 7])
def test_forward_and_backward_layers_are_calls_with_the_same_results(depth):
    layers, x = params(depth), RNG.normal(size=(3, WIDTH))
    count, functions = calls(ct.grad(model), layers, x)
    assert functions == 2 and count >= 2 * (depth - 1)
    with ct.enable_x64(True):
        outlined = ct.jit(ct.value_and_grad(model))(layers, x)
        ct.config.update("outline", "off")
        try:
            ct.clear_caches()
            plain = ct.jit(ct.value_and_grad(model))(layers, x)
        finally:
            ct.config.update("outline", "auto")
    for a, b in zip(ct.tree_util.tree_leaves(outlined), ct.tree_util.tree_leaves(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_calls_are_kept_apart_by_the_compiler():
    text = ct.jit(model).lower(params(5), RNG.normal(size=(3, WIDTH))).as_text()
    assert text.count('inlineable = "false"') == 5 and text.count("func.func private") == 1


def test_inner_programs_are_searched_too():
    f = ct.jit(lambda layers, x: ct.jit(model)(layers, x))
    assert 'inlineable = "false"' in f.lower(params(4), RNG.normal(size=(3, WIDTH))).as_text()


def test_short_light_and_irregular_programs_stay_as_they_are():
    x = RNG.normal(size=(3, WIDTH))
    assert calls(model, params(3), x) == (0, 0)

    def elementwise(x):
        for _ in range(100):
            x = lax.mul(lax.sin(x), x)
        return x

    assert calls(elementwise, x) == (0, 0)

    def growing(layers, x):
        for i, p in enumerate(layers):
            x = lax.mul(layer(x, p), 1.0 + i)  # a constant of its own in each layer
        return x

    jaxpr = ct.make_jaxpr(growing)(params(6), x).jaxpr
    assert outline_repetitions(jaxpr) is not None
    np.testing.assert_allclose(ct.jit(growing)(layers := params(6), x), _by_hand(layers, x), rtol=2e-5)


def _by_hand(layers, x):
    for i, p in enumerate(layers):
        y = x @ p["in"]
        for _ in range(6):
            y = np.tanh(y) * 0.9
        y = np.sin(y) + np.exp(-y)
        x = (x + np.tanh(y @ p["out"])) * (1.0 + i)
    return x


def test_layers_that_are_wired_differently_are_not_confused():
    layers, x = params(8), RNG.normal(size=(3, WIDTH))

    def crossed(layers, x):
        previous = x
        for i, p in enumerate(layers):
            x, previous = layer(previous if i == 4 else x, p), x
        return x

    expected, before = x, x
    for i, p in enumerate(layers):
        start = before if i == 4 else expected
        y = start @ p["in"]
        for _ in range(6):
            y = np.tanh(y) * 0.9
        y = np.sin(y) + np.exp(-y)
        expected, before = start + np.tanh(y @ p["out"]), expected
    np.testing.assert_allclose(ct.jit(crossed)(layers, x), expected, rtol=2e-5)
