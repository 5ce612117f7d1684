"""Transposes and pull-backs given by the user."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter.custom_derivatives import (
    CustomVJPPrimal,
    SymbolicZero,
    custom_vjp_primal_tree_values,
    linear_call,
    zero_from_primal,
)
from canter.custom_transpose import custom_transpose

X = np.arange(1.0, 4.0, dtype=np.float32)


def divide(r, x):
    return x / r


def twice_transposed(r, ct):
    return 2 * ct / r


def call(r, x):
    return linear_call(divide, twice_transposed, r, x)


@pytest.mark.parametrize("wrap", [lambda f: f, ct.jit], ids=["eager", "jit"])
def test_reverse_mode_uses_the_given_transpose(wrap):
    np.testing.assert_allclose(wrap(call)(X, X * 3), [3, 3, 3], rtol=1e-6)
    np.testing.assert_allclose(wrap(ct.grad(lambda x: call(X, x).sum()))(X), 2 / X, rtol=1e-6)
    np.testing.assert_allclose(
        wrap(lambda t: ct.jvp(lambda x: call(X, x), (X,), (t,))[1])(X), np.ones(3), rtol=1e-6
    )
    np.testing.assert_allclose(wrap(ct.grad(lambda r: call(r, X).sum()))(X), -1 / X, rtol=1e-6)


def test_the_transpose_of_the_transpose_is_the_function():
    def transposed(f):
        return lambda y: ct.linear_transpose(f, X)(y)[0]

    once = transposed(lambda x: call(2.0, x))
    np.testing.assert_allclose(once(X), X)
    np.testing.assert_allclose(transposed(once)(X), X / 2)
    np.testing.assert_allclose(transposed(transposed(once))(X), X)


@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)])
def test_batching_is_a_loop(axes):
    r = X if axes[0] == 0 else np.float32(2)
    x = X if axes[1] == 0 else np.float32(5)

    def gradient(r, x):
        return ct.grad(lambda y: call(r, y) * y)(x)

    got = ct.vmap(gradient, in_axes=axes)(r, x)
    pairs = zip(np.broadcast_to(r, 3), np.broadcast_to(x, 3), strict=True)
    np.testing.assert_allclose(got, [float(gradient(a, b)) for a, b in pairs], rtol=1e-6)


def test_captured_values():
    def fun(x, scale):
        return linear_call(lambda r, y: y * scale, lambda r, c: 3 * c * scale, (), x)

    assert float(ct.grad(fun)(2.0, 5.0)) == 15.0
    assert float(ct.jit(ct.grad(lambda x: fun(x, 5.0) * x))(2.0)) == 10.0 + 30.0


def test_a_transpose_of_another_type_is_refused():
    with pytest.raises(TypeError, match="must be like the linear arguments"):
        ct.grad(lambda x: linear_call(divide, lambda r, c: (c, c), 2.0, x))(1.0)


def test_custom_transpose():
    @custom_transpose
    def scale(factor, x):
        return {"y": factor * x}

    with pytest.raises(AttributeError, match="no transpose yet"):
        scale({"y": X}, 1.0, X)
    scale.def_transpose(lambda factor, c: -factor * c["y"])
    np.testing.assert_allclose(scale({"y": X}, 2.0, X)["y"], 2 * X)
    np.testing.assert_allclose(ct.grad(lambda x: scale({"y": X}, 2.0, x)["y"].sum())(X), [-2, -2, -2])
    with pytest.raises(TypeError, match="the result of scale must be"):
        scale({"z": X}, 2.0, X)


def test_custom_gradient():
    @ct.custom_gradient
    def fun(x, n):
        wave = cnp.sin(x)
        return wave * n, lambda g: (g * wave * 10, None)

    np.testing.assert_allclose(fun(X, 3), np.sin(X) * 3, rtol=1e-6)
    for wrap in (lambda f: f, ct.jit):
        np.testing.assert_allclose(wrap(ct.grad(lambda x: fun(x, 3).sum()))(X), 10 * np.sin(X), rtol=1e-6)
        np.testing.assert_allclose(wrap(ct.vmap(ct.grad(lambda x: fun(x, 3))))(X), 10 * np.sin(X), rtol=1e-6)
    np.testing.assert_allclose(ct.vmap(ct.grad(ct.grad(lambda x: fun(x, 3))))(X), 10 * np.cos(X), rtol=1e-5)
    single = ct.custom_gradient(lambda d: (d["a"] * d["b"], lambda g: {"a": g, "b": 5 * g}))
    assert ct.grad(single)({"a": 2.0, "b": 3.0}) == {"a": 1.0, "b": 5.0}
    with pytest.raises(TypeError, match="must return a pair"):
        ct.custom_gradient(lambda x: x)(1.0)
    with pytest.raises(TypeError, match="tuple of 1 cotangents"):
        ct.grad(ct.custom_gradient(lambda x: (x, lambda g: (g, g))))(1.0)


def test_zeros_and_values_of_rules():
    assert zero_from_primal(X).tolist() == [0, 0, 0]
    assert isinstance(zero_from_primal(X, symbolic_zeros=True), SymbolicZero)
    assert zero_from_primal(np.arange(2)).dtype == ct.float0
    assert custom_vjp_primal_tree_values({"a": CustomVJPPrimal(1.0, True)}) == {"a": 1.0}
    with pytest.raises(TypeError, match="float"):
        custom_vjp_primal_tree_values([1.0])


def test_fwd_and_bwd_compile_once():
    traced = []

    def fun(x, w):
        traced.append(1)
        return x @ w, {"norm": (w * w).sum()}

    fwd, bwd = ct.fwd_and_bwd(fun, argnums=(0, 1), has_aux=True)
    x, w = np.ones((2, 3), np.float32), np.ones((3, 2), np.float32)
    for step in range(3):
        value, residuals, aux = fwd(x + step, w)
        np.testing.assert_allclose(value, (x + step) @ w)
        np.testing.assert_allclose(aux["norm"], 6)
        got = bwd(residuals, value)
        np.testing.assert_allclose(got[0], ((x + step) @ w) @ w.T)
        np.testing.assert_allclose(got[1], (x + step).T @ ((x + step) @ w))
    assert len(traced) == 1
    assert bwd._cache_size() == 1
    fwd, bwd = ct.fwd_and_bwd(lambda x: x * x, argnums=0, jitted=False)
    assert float(bwd(fwd(3.0)[1], 1.0)) == 6.0
