"""Derivatives against central differences in float64, and against each other."""

import numpy as np
import pytest

import canter as ct
from canter import lax

from .programs import COTANGENT, DIRECTION, FORWARD, POINT, REVERSE, numeric_derivative, scalar


@pytest.fixture(autouse=True)
def _double_precision():
    with ct.enable_x64(True):
        yield


@pytest.mark.parametrize("name", FORWARD)
def test_jvp_is_the_directional_derivative(name):
    f = FORWARD[name]
    value, tangent = ct.jvp(f, (POINT,), (DIRECTION,))
    np.testing.assert_allclose(value, f(POINT), rtol=1e-12)
    np.testing.assert_allclose(tangent, numeric_derivative(f, POINT, DIRECTION), rtol=1e-6, atol=1e-9)
    compiled = ct.jit(lambda x, t: ct.jvp(f, (x,), (t,)))(POINT, DIRECTION)
    np.testing.assert_allclose(compiled[1], tangent, rtol=1e-12)


@pytest.mark.parametrize("name", REVERSE)
def test_vjp_is_the_transposed_jvp(name):
    f = REVERSE[name]
    expected = [COTANGENT @ numeric_derivative(f, POINT, direction) for direction in np.eye(len(POINT))]
    value, pull_back = ct.vjp(f, POINT)
    np.testing.assert_allclose(value, f(POINT), rtol=1e-12)
    np.testing.assert_allclose(pull_back(COTANGENT)[0], expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ct.jit(ct.grad(scalar(f)))(POINT), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", FORWARD)
def test_linearize_agrees_with_jvp(name):
    f = FORWARD[name]
    value, push = ct.linearize(f, POINT)
    np.testing.assert_allclose(value, f(POINT), rtol=1e-12)
    np.testing.assert_allclose(push(DIRECTION), ct.jvp(f, (POINT,), (DIRECTION,))[1], rtol=1e-12)


@pytest.mark.parametrize("name", REVERSE)
def test_second_derivatives(name):
    gradient = ct.grad(scalar(REVERSE[name]))
    expected = numeric_derivative(gradient, POINT, DIRECTION)
    reverse_twice = ct.jit(ct.grad(lambda x: lax.reduce_sum(lax.mul(gradient(x), DIRECTION), (0,))))(POINT)
    np.testing.assert_allclose(reverse_twice, expected, rtol=1e-5, atol=1e-8)
    if name in FORWARD:
        np.testing.assert_allclose(
            ct.jvp(gradient, (POINT,), (DIRECTION,))[1], expected, rtol=1e-5, atol=1e-8
        )


@pytest.mark.parametrize("name", REVERSE)
def test_vmap_of_grad_is_a_loop(name):
    points = np.stack([POINT, POINT + 0.1, 0.5 * POINT])
    gradient = ct.grad(scalar(REVERSE[name]))
    batched = ct.jit(ct.vmap(gradient))(points)
    np.testing.assert_allclose(batched, np.stack([gradient(p) for p in points]), rtol=1e-10)
    of_sum = ct.grad(lambda xs: lax.reduce_sum(ct.vmap(scalar(REVERSE[name]))(xs), (0,)))(points)
    np.testing.assert_allclose(of_sum, batched, rtol=1e-10)


def test_jacobians_and_hessian():
    f = REVERSE["pieces"]
    columns = [numeric_derivative(f, POINT, e) for e in np.eye(3)]
    np.testing.assert_allclose(ct.jacfwd(f)(POINT), np.stack(columns, -1), rtol=1e-6)
    np.testing.assert_allclose(ct.jacrev(f)(POINT), np.stack(columns, -1), rtol=1e-6)
    gradient = ct.grad(scalar(f))
    rows = [numeric_derivative(gradient, POINT, e) for e in np.eye(3)]
    np.testing.assert_allclose(ct.hessian(scalar(f))(POINT), np.stack(rows, -1), rtol=1e-6, atol=1e-8)


def test_jacobian_of_trees_has_both_structures():
    def f(tree, y):
        return {"sum": lax.add(tree["a"], y), "product": lax.mul(tree["b"], lax.reduce_sum(y, (0,)))}

    tree, y = {"a": np.arange(2.0), "b": np.array([2.0, 3.0, 4.0])}, np.array([1.0, 5.0])
    for jacobian in (ct.jacfwd, ct.jacrev):
        by_tree, by_y = jacobian(f, argnums=(0, 1))(tree, y)["product"]
        assert by_tree["a"].shape == (3, 2) and not np.any(by_tree["a"])
        np.testing.assert_allclose(by_tree["b"], 6.0 * np.eye(3))
        np.testing.assert_allclose(by_y, np.outer(tree["b"], np.ones(2)))


def test_grad_argnums_and_auxiliary_data():
    def f(x, scale, label):
        return lax.mul(lax.mul(x, x), scale), {"label": label, "double": lax.mul(x, 2.0)}

    (gx, gs), aux = ct.grad(f, argnums=(0, 1), has_aux=True)(3.0, 2.0, "name")
    assert (float(gx), float(gs)) == (12.0, 9.0)
    assert aux["label"] == "name" and float(aux["double"]) == 6.0
    (value, aux), slope = ct.value_and_grad(f, argnums=-2, has_aux=True)(3.0, 2.0, "name")
    assert (float(value), float(aux["double"]), float(slope)) == (18.0, 6.0, 9.0)


def test_integers_have_float0_gradients():
    gradient = ct.grad(
        lambda n, x: lax.mul(x, lax.convert_element_type(n, np.float64)), (0, 1), allow_int=True
    )(3, 2.0)
    assert gradient[0].dtype == ct.float0 and float(gradient[1]) == 3.0


def test_holomorphic_and_complex():
    z = np.complex128(0.3 + 0.4j)
    derivative = ct.grad(lambda z: lax.mul(z, lax.sin(z)), holomorphic=True)(z)
    np.testing.assert_allclose(derivative, np.sin(z) + z * np.cos(z), rtol=1e-12)
    # For a real function of a complex argument, grad is the conjugate of the steepest ascent (JAX's convention).
    gradient = ct.grad(lambda z: lax.real(lax.mul(z, lax.conj(z))))(z)
    np.testing.assert_allclose(gradient, 2 * np.conj(z), rtol=1e-12)


def test_linear_transpose_is_the_adjoint():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(3, 4))

    def linear(x):
        y = lax.dot_general(matrix, x, (((1,), (0,)), ((), ())))
        return lax.fori_loop(
            0, 2, lambda i, y: lax.mul(y, lax.convert_element_type(lax.add(i, 2), np.float64)), y
        )

    (pulled,) = ct.linear_transpose(linear, ct.ShapeDtypeStruct((4,), np.float64))(rng.normal(size=3))
    assert pulled.shape == (4,)
    x, ct_y = rng.normal(size=4), rng.normal(size=3)
    (pulled,) = ct.linear_transpose(linear, x)(ct_y)
    np.testing.assert_allclose(np.asarray(pulled) @ x, ct_y @ np.asarray(linear(x)), rtol=1e-12)


def test_pull_back_passes_through_jit():
    pull_back = ct.jit(lambda x: ct.vjp(lax.sin, x)[1])(0.5)
    np.testing.assert_allclose(ct.jit(lambda f, g: f(g))(pull_back, 2.0)[0], 2 * np.cos(0.5), rtol=1e-12)


def test_values_of_python_branches_are_known_in_eager_gradients():
    f = lambda x: lax.sin(x) if x > 0 else lax.cos(x)
    np.testing.assert_allclose(ct.grad(f)(0.5), np.cos(0.5))
    np.testing.assert_allclose(ct.grad(f)(-0.5), np.sin(0.5))


def test_perturbations_are_not_confused():
    # d/dx [x * d/dy (x + y)] = 1 at every point; mixing the two derivatives would give 2.
    inner = lambda x: ct.grad(lambda y: lax.add(x, y))(1.0)
    assert float(ct.grad(lambda x: lax.mul(x, inner(x)))(3.0)) == 1.0
    assert (
        float(
            ct.jvp(lambda x: lax.mul(x, ct.jvp(lambda y: lax.add(x, y), (1.0,), (1.0,))[1]), (3.0,), (1.0,))[
                1
            ]
        )
        == 1.0
    )


def test_stopped_gradients_are_zero():
    assert float(ct.grad(lambda x: lax.mul(x, lax.stop_gradient(x)))(3.0)) == 3.0


def test_eager_gradients_do_not_compile_again():
    gradient = ct.grad(lambda x: lax.mul(lax.sin(x), x))
    gradient(1.0)
    with ct.log_compiles(True):
        np.testing.assert_allclose(gradient(2.0), np.cos(2.0) * 2 + np.sin(2.0))


@pytest.mark.parametrize("name", ["grad", "value_and_grad", "jacfwd", "jacrev"])
def test_operators_refuse_what_is_no_function(name):
    with pytest.raises(TypeError, match=f"{name} takes a function"):
        getattr(ct, name)(3)
