"""Repeated layers become calls, and nothing else changes."""

import numpy as np
import pytest

import canter as ct
from canter import lax, nn
from canter.core.primitive import Primitive
from canter.transforms.outlining import outline_repetitions
from canter_mlir.registry import cache_lowering, lower_fun, register_lowering
from canter_pjrt.compile import _with_marked_options, compile_options

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


def test_the_compiler_is_asked_to_optimize_them_once():
    layers, x = params(5), RNG.normal(size=(3, WIDTH))
    outlined = ct.jit(model).lower(layers, x)
    assert "canter.outlined" in outlined.as_text()
    assert "canter.outlined" not in ct.jit(model, outline="off").lower(layers, x).as_text()
    plain = compile_options(ct.devices()[:1])
    made = _with_marked_options(outlined.compiler_ir(), plain).SerializeAsString()
    assert b"xla_cpu_flatten_after_fusion" in made and b"small_while_loop" not in made


def test_inner_programs_are_searched_too():
    f = ct.jit(lambda layers, x: ct.jit(model)(layers, x))
    assert 'inlineable = "false"' in f.lower(params(4), RNG.normal(size=(3, WIDTH))).as_text()


def _with_rules_of_its_own(x, w):
    @ct.custom_vjp
    def bent(y):
        return lax.tanh(y)

    bent.defvjp(lambda y: (bent(y), y), lambda y, g: (lax.mul(g, lax.cos(y)),))
    return bent(matmul(x, w))


# What each layer makes anew: functions, and with them jaxprs, that are equal in structure alone.
INNER = {
    "jit": lambda x, w: ct.jit(lambda x, w: nn.relu(matmul(x, w)))(x, w),
    "checkpoint": lambda x, w: ct.checkpoint(lambda x, w: nn.gelu(matmul(x, w)))(x, w),
    "custom_jvp": lambda x, w: nn.silu(nn.relu(matmul(x, w))),
    "custom_vjp": _with_rules_of_its_own,
    "scan": lambda x, w: lax.scan(lambda c, _: (lax.sin(matmul(c, w)), None), x, None, length=3)[0],
    "cond": lambda x, w: lax.cond(lax.gt(x[0, 0], 0.0), lambda: matmul(x, w), lambda: x),
}


@pytest.mark.parametrize("inner", INNER)
def test_layers_that_make_their_inner_programs_anew(inner):
    part = INNER[inner]

    def deep(weights, x):
        for w in weights:
            x = lax.tanh(lax.cos(part(part(lax.mul(lax.sin(x), 0.9), w), w))) + lax.mul(lax.neg(x), 0.1)
        return lax.reduce_sum(lax.mul(x, x), (0, 1))

    with ct.enable_x64(True):
        weights, x = list(RNG.normal(size=(6, WIDTH, WIDTH)) / 2), RNG.normal(size=(3, WIDTH))
        for f in (deep, ct.grad(deep)):
            count, functions = calls(f, weights, x)
            assert count >= 5 and functions <= 4
            outlined, plain = (ct.jit(f, outline=how, effort="fast")(weights, x) for how in ("auto", "off"))
            for a, b in zip(ct.tree.leaves(outlined), ct.tree.leaves(plain), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def test_inner_programs_with_other_numbers_are_not_taken_for_equal():
    def deep(ws, x):
        for i, w in enumerate(ws):
            factor = 1.0 + i % 3
            x = lax.tanh(ct.jit(lambda x, w, factor=factor: lax.mul(lax.sin(matmul(x, w)), factor))(x, w))
            x = lax.add(lax.mul(lax.cos(x), 0.5), lax.mul(lax.exp(lax.neg(x)), 0.1))
            x = lax.sub(lax.tanh(matmul(x, w)), lax.mul(x, 0.2))
        return x

    weights, x = list(RNG.normal(size=(9, WIDTH, WIDTH)) / 2), RNG.normal(size=(3, WIDTH))
    by_hand = x
    for i, w in enumerate(weights):
        by_hand = np.tanh(np.sin(by_hand @ w) * (1.0 + i % 3))
        by_hand = np.cos(by_hand) * 0.5 + np.exp(-by_hand) * 0.1
        by_hand = np.tanh(by_hand @ w) - by_hand * 0.2
    with ct.enable_x64(True):
        np.testing.assert_allclose(ct.jit(deep)(weights, x), by_hand, rtol=1e-11)


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


def test_layers_whose_parameters_only_look_alike_are_not_taken_for_equal():
    shift_p = Primitive("shift_for_test")
    shift_p.def_abstract_eval(lambda x, low, high: x)
    rule = lower_fun(lambda x, low, high: lax.add(lax.mul(x, low), high), multiple_results=False)
    register_lowering(shift_p, rule)

    def deep(weights, x):
        for i, w in enumerate(weights):
            x = lax.cos(lax.tanh(matmul(lax.sin(matmul(x, w)), w)))
            x = lax.mul(lax.exp(lax.neg(lax.mul(x, x))), 0.5)
            # The same numbers in the same order under other names; a zero and its negative.
            x = shift_p.bind(x, high=0.1, low=0.7) if i % 2 else shift_p.bind(x, low=0.1, high=0.7)
            zeros = x.at[np.full(3, 9)].get(mode="fill", fill_value=-0.0 if i % 2 else 0.0)
            x = lax.add(x, ct.numpy.copysign(0.1, zeros))
        return x

    weights, x = list(RNG.normal(size=(8, WIDTH, WIDTH)) / 2), RNG.normal(size=(3, WIDTH))
    by_hand = x
    for i, w in enumerate(weights):
        by_hand = np.cos(np.tanh(np.sin(by_hand @ w) @ w))
        by_hand = np.exp(-by_hand * by_hand) * 0.5
        by_hand = by_hand * 0.7 + 0.1 - 0.1 if i % 2 else by_hand * 0.1 + 0.7 + 0.1
    with ct.enable_x64(True):
        np.testing.assert_allclose(ct.jit(deep)(weights, x), by_hand, rtol=1e-11)


def test_lowered_functions_tell_parameters_that_are_equal_apart():
    choice_p = Primitive("choice_for_test")
    choice_p.def_abstract_eval(lambda x, k: x)
    rule = lower_fun(
        lambda x, k: lax.add(x, 1.0 if k is True else np.copysign(2.0, k)), multiple_results=False
    )
    for lowering in (rule, cache_lowering(rule)):
        register_lowering(choice_p, lowering)
        found = ct.jit(lambda x: [choice_p.bind(x, k=k) for k in (True, 1, 0.0, -0.0)])(3.0)
        assert list(map(float, found)) == [4, 5, 5, 1]
