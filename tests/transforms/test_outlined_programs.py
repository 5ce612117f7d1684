"""Random programs whose parts repeat have the results and gradients of the programs as they are written."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp

WIDTH, LAYERS = 3, 6


@ct.custom_jvp
def cube(x):
    return x * x * x


cube.defjvp(lambda primals, tangents: (cube(*primals), 3 * primals[0] ** 2 * tangents[0]))


@ct.jit
def damped(x):
    return cnp.tanh(x) * 0.9


# Each takes the stream, a weight, the stream one layer before, and the number of the layer.
STEPS = {
    "product": lambda x, w, before, i: x @ w,
    "sine": lambda x, w, before, i: cnp.sin(x),
    "literal": lambda x, w, before, i: x * (1 + 0.1 * i),
    "slice": lambda x, w, before, i: x + w[i % WIDTH],
    "earlier": lambda x, w, before, i: x + 0.5 * before,
    "inner": lambda x, w, before, i: damped(x),
    "custom": lambda x, w, before, i: cube(0.5 * x),
    "irregular": lambda x, w, before, i: x - before if i == 3 else x,
}


def model(names, weights, x):
    before = x
    for i, w in enumerate(weights):
        start = x
        x = cnp.tanh(cnp.sin(x @ w) @ w)
        for name in names:
            x = STEPS[name](x, w, before, i)
        x, before = cnp.cos(x) + 0.1 * start, start
    return cnp.mean(x**2), before


def check(names, donate):
    rng = np.random.default_rng(len(names))
    weights, x = list(rng.normal(size=(LAYERS, WIDTH, WIDTH)) / 2), rng.normal(size=(2, WIDTH))
    f = ct.value_and_grad(lambda weights, x: model(names, weights, x), argnums=(0, 1), has_aux=True)
    results = []
    for outline in ("auto", "off"):
        arguments = [cnp.array(w) for w in weights], cnp.array(x)
        lowered = ct.jit(f, outline=outline, donate_argnums=(1,) if donate else ()).lower(*arguments)
        assert outline == "auto" or "inlineable" not in lowered.as_text()
        results.append((lowered, lowered.compile(effort="fast")(*arguments)))
    leaves = [ct.tree_util.tree_leaves(result) for _, result in results]
    for a, b in zip(*leaves, strict=True):
        assert a.dtype == b.dtype == np.float64
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)
    return results[0][0].as_text()


@pytest.mark.parametrize("seed", range(4))
def test_random_layers_have_the_results_they_are_written_with(seed):
    rng = np.random.default_rng(seed)
    names = [str(name) for name in rng.choice(sorted(STEPS), size=rng.integers(1, 5))]
    with ct.enable_x64(True):
        check(names, donate=bool(seed % 2))


def test_all_regular_steps_in_one_layer_are_found_and_have_the_same_results():
    with ct.enable_x64(True):
        assert "inlineable" in check(sorted(set(STEPS) - {"irregular", "custom"}), donate=True)
