"""Long chains of equal steps become loops, and nothing else changes."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.core import config

RNG = np.random.default_rng(0)
STEPS = 40


def rnn(p, xs, start):
    h = start
    for t in range(STEPS):
        h = cnp.tanh(h @ p["w"] + xs[t] @ p["u"] + p["b"])
    return cnp.mean(h**2)


def ode(y, a):
    for i in range(STEPS):
        slope = cnp.tanh(a @ y) - 0.1 * y + cnp.sin(0.01 * i)  # a number of its own in each step
        y = y + 0.01 * slope + 0.005 * (a @ slope)
    return cnp.sum(y**2)


def deep(layers, x):
    kept = []
    for p in layers:
        x = x + cnp.tanh(cnp.tanh(x @ p["in"]) @ p["out"]) * 0.5
        kept.append(x)
    return cnp.mean(x**2) + sum(cnp.sum(kept[i]) for i in range(0, len(layers), 7))  # looks into the chain


def normal(*shape):
    return RNG.normal(size=shape) / 2


PROGRAMS = {
    "rnn": (rnn, ({"w": normal(3, 3), "u": normal(3, 3), "b": normal(3)}, normal(STEPS, 2, 3), normal(2, 3))),
    "ode": (ode, (normal(4), normal(4, 4))),
    "deep": (deep, ([{"in": normal(3, 5), "out": normal(5, 3)} for _ in range(STEPS)], normal(2, 3))),
}


def loops_in(text):
    return text.count("stablehlo.while")


# The backward pass of rnn pads the cotangent of each slice in a way of its own, that of deep adds more here and
# there: no loop.
@pytest.mark.parametrize(("name", "loops"), [("rnn", 1), ("ode", 2), ("deep", 1)])
def test_values_and_gradients_are_those_of_the_unrolled_program(name, loops):
    f, args = PROGRAMS[name]
    with ct.enable_x64(True):
        f = ct.value_and_grad(f, argnums=tuple(range(len(args))))
        rolled = ct.jit(f).lower(*args)
        plain = ct.jit(f, outline="off").lower(*args)
        assert loops_in(rolled.as_text()) == loops and loops_in(plain.as_text()) == 0
        assert len(rolled.as_text()) < len(plain.as_text())
        results = [ct.tree_util.tree_leaves(low.compile(effort="fast")(*args)) for low in (rolled, plain)]
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


def test_shorter_chains_and_large_stacks_stay_calls():
    layers, x = PROGRAMS["deep"][1]
    text = ct.jit(deep).lower(layers[:8], x).as_text()
    assert loops_in(text) == 0
    wide = [{"in": np.zeros((200, 300)), "out": np.zeros((300, 200))} for _ in range(STEPS)]
    text = ct.jit(deep).lower(wide, np.zeros((2, 200))).as_text()
    assert loops_in(text) == 0 and 'inlineable = "false"' in text


def test_effects_between_the_steps_keep_their_places():
    def f(x, w):
        for i in range(STEPS):
            x = cnp.tanh(cnp.sin(x @ w) @ w) * 0.9 + cnp.cos(x) + 0.1 * cnp.sin(x)
            if i % 20 == 3:
                ct.debug.print("{}", x[0, 0], ordered=True)
        return x

    text = ct.jit(f).lower(normal(2, 3), normal(3, 3)).as_text()
    assert text.count("stablehlo.custom_call") == 2


def test_slices_of_other_strides_and_sizes_are_told_apart():
    xs = normal(4 * STEPS, 3)

    def f(w, xs):
        h = cnp.ones(3)
        for t in range(STEPS):
            rows = lax.slice(xs, (t, 0), (t + 4 * (1 + t % 2), 3), (1 + t % 2, 1))
            h = cnp.tanh(rows @ w @ h + cnp.sum(rows, 1))[:3] + cnp.sin(h) * cnp.cos(h)
        return h

    w = normal(3, 3)
    np.testing.assert_allclose(ct.jit(f)(w, xs), ct.jit(f, outline="off")(w, xs), rtol=2e-5)


def test_off_is_also_a_setting():
    f, args = PROGRAMS["ode"]
    with config.outline("off"):
        assert loops_in(ct.jit(f).lower(*args).as_text()) == 0
    assert loops_in(ct.jit(f).lower(*args).as_text()) == 1
