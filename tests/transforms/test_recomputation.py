"""Outlined calls keep few results for later, and the program computes what it did."""

import numpy as np
import pytest

import canter as ct
from canter import lax
from canter.core.jaxpr import DropVar, Literal
from canter.transforms import outlining
from canter.transforms.recomputation import recompute_cheap_results

RNG = np.random.default_rng(0)
ROWS, WIDTH = 3, 4


def matmul(x, w):
    return lax.dot_general(x, w, (((1,), (0,)), ((), ())))


def cheap_layer(x, p):
    """Products and cheap arithmetic: of ten values that the backward pass reads, few have to be kept."""
    y = matmul(x, p["in"])
    for k in range(5):
        y = lax.mul(lax.add(y, lax.square(y)), lax.div(1.0 + k, lax.add(2.0, lax.abs(y))))
    return lax.add(x, matmul(lax.mul(y, lax.exp(lax.neg(lax.square(y)))), p["out"]))


def costly_layer(x, p):
    y = matmul(x, p["in"])
    for _ in range(6):
        y = lax.mul(lax.sin(y), 0.9)
    return lax.add(x, matmul(lax.exp(y), p["out"]))


def model(layer):
    def loss(layers, x):
        for p in layers:
            x = layer(x, p)
        return lax.reduce_sum(lax.sin(x), (0, 1))

    return loss


def params(depth):
    return [{k: RNG.normal(size=(WIDTH, WIDTH)) / 2 for k in ("in", "out")} for _ in range(depth)]


def programs(f, *args, monkeypatch):
    """The program without outlining, with it, and with fewer results kept besides."""
    plain = ct.make_jaxpr(f)(*args).jaxpr
    with monkeypatch.context() as m:
        m.setattr(outlining, "recompute_cheap_results", lambda jaxpr, call: jaxpr)
        outlined = outlining.outline_repetitions(plain)
    return plain, outlined, recompute_cheap_results(outlined, outlining.outlined_call_p)


def run(jaxpr, args):
    """Evaluates a program, calls and all, one equation at a time."""
    values = dict(zip(jaxpr.invars, args, strict=True))
    read = lambda v: v.val if type(v) is Literal else values[v]
    for eqn in jaxpr.eqns:
        operands = [read(v) for v in eqn.invars]
        if eqn.primitive is outlining.outlined_call_p:
            outs = run(eqn.params["jaxpr"].jaxpr, operands)
        else:
            outs = eqn.primitive.bind(*operands, **eqn.params)
            outs = outs if eqn.primitive.multiple_results else [outs]
        values.update((v, out) for v, out in zip(eqn.outvars, outs, strict=True) if type(v) is not DropVar)
    return [read(v) for v in jaxpr.outvars]


def kept(jaxpr):
    """How many results each called function gives, in the order of the first calls."""
    bodies = {
        id(e.params["jaxpr"]): e.params["jaxpr"] for e in jaxpr.eqns if e.primitive.name == "outlined_call"
    }
    return [len(body.jaxpr.outvars) for body in bodies.values()]


@pytest.mark.parametrize("layer, before, after", [(cheap_layer, 20, 5), (costly_layer, 8, 8)])
def test_what_is_cheap_to_repeat_is_not_kept(layer, before, after, monkeypatch):
    layers, x = params(5), RNG.normal(size=(ROWS, WIDTH))
    f = lambda layers, x: ct.value_and_grad(model(layer), argnums=(0, 1))(layers, x)
    with ct.enable_x64(True):
        plain, outlined, fewer = programs(f, layers, x, monkeypatch=monkeypatch)
        assert kept(outlined)[0] >= before and kept(fewer)[0] <= after
        leaves = ct.tree.leaves((layers, x))
        expected = run(plain, leaves)
        for program in (outlined, fewer):
            for a, b in zip(run(program, leaves), expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
        compiled = ct.tree.leaves(ct.jit(f)(layers, x))
        for a, b in zip(compiled, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


def test_results_that_the_program_returns_are_kept(monkeypatch):
    layers, x = params(5), RNG.normal(size=(ROWS, WIDTH))

    def f(layers, x):
        scaled = []
        for p in layers:
            x = cheap_layer(x, p)
            scaled.append(lax.mul(x, 2.0))
        return scaled

    plain, _, fewer = programs(f, layers, x, monkeypatch=monkeypatch)
    leaves = ct.tree.leaves((layers, x))
    for a, b in zip(run(fewer, leaves), run(plain, leaves), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_memory_does_not_grow(monkeypatch):
    """Sums of wide intermediate values are narrow: to keep the wide ones instead would be no gain."""

    def layer(x, p):
        y = matmul(x, p["in"])
        for _ in range(8):
            y = lax.sin(y)
        wide = lax.mul(lax.broadcast_in_dim(y, (16, ROWS, WIDTH), (1, 2)), 2.0)
        return lax.add(x, matmul(lax.reduce_sum(lax.exp(wide), (0,)), p["out"]))

    layers, x = params(5), RNG.normal(size=(ROWS, WIDTH))
    f = lambda layers, x: ct.grad(model(layer))(layers, x)
    _, outlined, fewer = programs(f, layers, x, monkeypatch=monkeypatch)
    size = lambda jaxpr: sum(
        v.aval.size
        for e in jaxpr.eqns
        if e.primitive.name == "outlined_call"
        for v in e.outvars
        if type(v) is not DropVar
    )
    assert size(fewer) <= size(outlined)
