"""Batching rules given by the user: when they run, on what, and how they are differentiated."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter.custom_batching import custom_vmap, sequential_vmap

X = np.arange(1.0, 4.0, dtype=np.float32)


def with_rule(calls):
    """x + sin(y), which notes each use of its rule."""

    @custom_vmap
    def fun(x, y):
        return x + cnp.sin(y)

    @fun.def_vmap
    def rule(axis_size, in_batched, x, y):
        calls.append((axis_size, tuple(in_batched)))
        return x + cnp.sin(y), any(in_batched)

    return fun


@pytest.mark.parametrize("wrap", [lambda f: f, ct.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)])
def test_the_rule_takes_the_place_of_batching(wrap, axes):
    calls = []
    fun = with_rule(calls)
    args = [X if axis == 0 else np.float32(2) for axis in axes]
    np.testing.assert_allclose(wrap(ct.vmap(fun, in_axes=axes))(*args), args[0] + np.sin(args[1]), rtol=1e-6)
    assert calls == [(3, tuple(axis == 0 for axis in axes))]
    assert float(fun(1.0, y=2.0)) == pytest.approx(1 + np.sin(2))
    assert len(calls) == 1


COTANGENT = np.array([0.5, -2.0, 3.0], np.float32)
DERIVED = {
    "jvp of vmap": lambda f: lambda x: ct.jvp(lambda y: ct.vmap(f)(y, y), (x,), (COTANGENT,))[1],
    "vmap of jvp": lambda f: (
        lambda x: ct.vmap(lambda y, t: ct.jvp(lambda z: f(z, z), (y,), (t,))[1])(x, COTANGENT)
    ),
    "grad of vmap": lambda f: ct.grad(lambda x: (ct.vmap(f)(x, x) * COTANGENT).sum()),
    "vmap of grad": lambda f: lambda x: ct.vmap(lambda y, c: ct.grad(lambda z: c * f(z, z))(y))(x, COTANGENT),
    "vmap of jit of grad": lambda f: (
        lambda x: ct.vmap(ct.jit(lambda y, c: ct.grad(lambda z: c * f(z, z))(y)))(x, COTANGENT)
    ),
}


@pytest.mark.parametrize("wrap", [lambda f: f, ct.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("name", DERIVED)
def test_derivatives_use_the_rule(name, wrap):
    calls = []
    got = wrap(DERIVED[name](with_rule(calls)))(X)
    np.testing.assert_allclose(got, COTANGENT * (1 + np.cos(X)), rtol=1e-5)
    assert calls


def test_second_derivatives():
    fun = with_rule([])
    got = ct.vmap(ct.grad(ct.grad(lambda y: fun(1.0, y))))(X)
    np.testing.assert_allclose(got, -np.sin(X), rtol=1e-5)


def test_only_the_tangent_is_batched():
    fun = with_rule([])
    got = ct.vmap(lambda t: ct.jvp(lambda y: fun(1.0, y), (2.0,), (t,))[1])(X)
    np.testing.assert_allclose(got, X * np.cos(2.0), rtol=1e-6)


def test_unbatched_results_and_trees():
    @custom_vmap
    def fun(d):
        return {"sum": d["x"] + d["y"], "y": d["y"]}

    @fun.def_vmap
    def rule(axis_size, in_batched, d):
        assert in_batched == [{"x": True, "y": False}]
        return {"sum": d["x"] + d["y"] + 100, "y": d["y"]}, {"sum": True, "y": False}

    got = ct.vmap(fun, in_axes=({"x": 0, "y": None},))({"x": X, "y": np.float32(1)})
    np.testing.assert_allclose(got["sum"], X + 101)
    np.testing.assert_allclose(got["y"], np.ones(3))
    inner = ct.vmap(ct.vmap(fun, in_axes=({"x": 0, "y": None},)), in_axes=({"x": 0, "y": None},))
    np.testing.assert_allclose(inner({"x": X[None], "y": np.float32(1)})["sum"], X[None] + 101)


MISTAKES = {
    "no rule": (None, AttributeError, "No batching rule defined for custom_vmap function identity"),
    "no pair": (lambda n, b, x: x, ValueError, "must return a pair"),
    "other tree": (lambda n, b, x: ((x, x), (True, True)), ValueError, "structure of the result"),
    "other flags": (lambda n, b, x: (x, (True, True)), ValueError, "structure of the out_batched"),
    "not batched": (lambda n, b, x: (x.sum(), True), ValueError, r"it must be \(3,\)"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_in_the_rule(name):
    rule, error, message = MISTAKES[name]

    @custom_vmap
    def identity(x):
        return x

    if rule is not None:
        identity.def_vmap(rule)
    with pytest.raises(error, match=message):
        ct.vmap(identity)(X)


def test_closing_over_a_batched_value_is_refused():
    def outer(x):
        @custom_vmap
        def inner(y):
            return x * y

        inner.def_vmap(lambda n, b, y: (y, b[0]))
        return inner(2.0 * x)

    with pytest.raises(ValueError, match="closes over a value that is being batched"):
        ct.vmap(outer)(X)


def test_sequential_vmap_takes_one_element_at_a_time():
    shapes = []

    @sequential_vmap
    def fun(x, scale):
        shapes.append(x.shape)
        return {"total": cnp.cumsum(x) * scale}

    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_allclose(ct.vmap(fun, in_axes=(0, None))(x, 2.0)["total"], np.cumsum(x, 1) * 2)
    assert set(shapes) == {(3,)}
    text = str(ct.make_jaxpr(ct.vmap(fun, in_axes=(0, None)))(x, 2.0))
    assert "scan[" in text
    got = ct.grad(lambda x: ct.vmap(fun, in_axes=(0, None))(x, 2.0)["total"].sum())(x)
    np.testing.assert_allclose(got, np.tile([6.0, 4.0, 2.0], (2, 1)))
