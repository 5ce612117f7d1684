"""Functional derivatives against the calculus of variations, and against small variations."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter.experimental import autofd as fd

POINTS = np.array([0.15, 0.4, 0.77])


@pytest.fixture(autouse=True)
def double_precision():
    with ct.enable_x64(True):
        yield


def wave(x):
    return cnp.sin(2 * x) + x


def value(x):
    return np.sin(2 * x) + x


def slope(x):
    return 2 * np.cos(2 * x) + 1


def bend(x):
    return -4 * np.sin(2 * x)


F = fd.function(wave)
GRID = fd.interval(0.0, 1.0, 8, panels=4)
NODES, WEIGHTS = GRID.points, GRID.weights
NORM = (value(NODES) * WEIGHTS).sum()
SQUARES = (value(NODES) ** 2 * WEIGHTS).sum()


def gauss(y, x):
    return cnp.exp(-((y - 2 * x) ** 2))


FUNCTIONALS = {
    "power": (lambda f: fd.integrate(f**3, GRID), lambda x: 3 * value(x) ** 2),
    "arithmetic": (
        lambda f: fd.integrate((2 * f - f / 4 + 1 - (3 - f)) * f - 1 / (f + 2) + -f, GRID),
        lambda x: 5.5 * value(x) - 2 + (value(x) + 2) ** -2.0 - 1,
    ),
    "Dirichlet": (lambda f: fd.integrate(fd.nabla(f) ** 2, GRID) / 2, lambda x: -bend(x)),
    "arc length": (
        lambda f: fd.integrate(fd.compose(cnp.sqrt, 1 + fd.nabla(f) ** 2), GRID),
        lambda x: -bend(x) / (1 + slope(x) ** 2) ** 1.5,
    ),
    "two slopes": (lambda f: fd.integrate(fd.laplacian(f) ** 2, GRID) / 2, lambda x: 16 * np.sin(2 * x)),
    "explicit point": (
        lambda f: fd.integrate(fd.compose(lambda x, y: x * cnp.exp(y), fd.identity, f), GRID),
        lambda x: x * np.exp(value(x)),
    ),
    "normalised": (
        lambda f: fd.integrate(f**2, GRID) / fd.integrate(f, GRID) ** 2,
        lambda x: 2 * value(x) / NORM**2 - 2 * SQUARES / NORM**3,
    ),
    "normalised inside": (
        lambda f: fd.integrate((f / fd.integrate(f, GRID)) ** 2, GRID),
        lambda x: 2 * value(x) / NORM**2 - 2 * SQUARES / NORM**3,
    ),
    "not local": (
        lambda f: fd.integrate(f * fd.integral_operator(gauss, f, GRID), GRID),
        lambda x: (
            (np.exp(-((x - 2 * NODES) ** 2)) + np.exp(-((NODES - 2 * x) ** 2))) * value(NODES) * WEIGHTS
        ).sum(),
    ),
    "changed variable": (
        lambda f: fd.integrate(fd.compose(f, lambda x: x**2, inverse=cnp.sqrt) ** 2, GRID),
        lambda x: value(x) / np.sqrt(x),
    ),
    "inner function": (
        lambda f: fd.integrate(fd.compose(fd.function(cnp.cos), f), GRID),
        lambda x: -np.sin(value(x)),
    ),
    "several integrals": (
        lambda f: fd.integrate(f, GRID) * cnp.log(fd.integrate(f**2, GRID)),
        lambda x: np.log(SQUARES) + NORM / SQUARES * 2 * value(x),
    ),
    "of the derivative": (  # half the squared length of the Dirichlet energy's derivative
        lambda f: fd.integrate(fd.grad(lambda g: fd.integrate(fd.nabla(g) ** 2, GRID) / 2)(f) ** 2, GRID) / 2,
        lambda x: 16 * np.sin(2 * x),
    ),
}


def bump(x):
    """A variation that vanishes at the ends, with its first two derivatives."""
    return (x * (1 - x)) ** 3 * cnp.cos(3 * x)


STEP = 1e-4


def facts(functional):
    """All that is asked of one functional, so that it is one compiled program."""
    derivative = fd.grad(functional)(F)
    return {
        "derivative": ct.vmap(derivative)(POINTS),
        "outside": derivative(2.0),
        "value": functional(F),
        "varied": [functional(F + step * fd.function(bump)) for step in (STEP, -STEP)],
        "by derivative": fd.integrate(derivative * fd.function(bump), GRID),
        "jvp": fd.jvp(functional, (F,), (bump,)),
    }


@pytest.mark.parametrize("name", FUNCTIONALS)
def test_derivatives_are_those_of_the_calculus_of_variations(name):
    functional, expected = FUNCTIONALS[name]
    found = ct.jit(lambda: facts(functional))()
    np.testing.assert_allclose(found["derivative"], [expected(x) for x in POINTS], rtol=1e-8)
    assert float(found["outside"]) == 0
    by_differences = (found["varied"][0] - found["varied"][1]) / (2 * STEP)
    np.testing.assert_allclose(found["by derivative"], by_differences, rtol=1e-5)
    np.testing.assert_allclose(found["jvp"][0], found["value"], rtol=1e-12)
    np.testing.assert_allclose(found["jvp"][1], by_differences, rtol=1e-5)


def test_exchange_energy_of_a_density_gives_its_potential():
    constant = -0.75 * (3 / np.pi) ** (1 / 3)
    density = fd.function(lambda r: cnp.exp(-2 * r) / np.pi)
    grid = fd.interval(0.0, 10.0, 8, panels=8)

    def energy(rho):
        return fd.integrate(constant * rho ** (4 / 3) * fd.function(lambda r: 4 * np.pi * r**2), grid)

    radius = np.array([0.5, 1.0, 2.0])
    potential = ct.vmap(fd.grad(energy)(density))(radius) / (4 * np.pi * radius**2)
    np.testing.assert_allclose(
        potential, 4 / 3 * constant * (np.exp(-2 * radius) / np.pi) ** (1 / 3), rtol=1e-10
    )


def test_functions_of_the_plane():
    grid = fd.product_grid(fd.interval(0.0, 1.0, 6), fd.interval(-1.0, 1.0, 6))
    f = fd.function(lambda p: p[0] ** 2 * p[1] + p[1] ** 3)

    def energy(f):
        return fd.integrate(fd.compose(lambda g: (g**2).sum() / 2, fd.nabla(f)), grid)

    at = np.array([[0.5, 0.5], [0.2, -0.7]])
    np.testing.assert_allclose(ct.vmap(fd.grad(energy)(f))(at), -8 * at[:, 1], rtol=1e-10)
    np.testing.assert_allclose(float(energy(f)), _energy_by_hand(), rtol=1e-10)
    rotate = np.array([[0.6, -0.8], [0.8, 0.6]])
    turned = fd.grad(
        lambda f: fd.integrate(
            fd.compose(f, lambda p: 2 * rotate @ p, inverse=lambda q: rotate.T @ q / 2) ** 2, grid
        )
    )(f)
    inside = 2 * rotate @ at[0]
    np.testing.assert_allclose(turned(inside), 2 * f(inside) / 4, rtol=1e-10)


def _energy_by_hand():
    nodes, weights = np.polynomial.legendre.leggauss(6)
    x, y = np.meshgrid((nodes + 1) / 2, nodes, indexing="ij")
    w = np.outer(weights / 2, weights)
    return (w * ((2 * x * y) ** 2 + (x**2 + 3 * y**2) ** 2) / 2).sum()


def test_descent_in_function_space_finds_the_minimum():
    def distance(f):
        return fd.integrate((f - fd.function(cnp.sin)) ** 2, GRID)

    f = fd.function(lambda x: 0 * x)
    for _ in range(6):
        f = f - 0.4 * fd.grad(distance)(f)
    np.testing.assert_allclose(ct.vmap(f)(POINTS), np.sin(POINTS), atol=1e-3)


def test_several_functions_and_other_arguments():
    def functional(f, weight, g):
        return weight * fd.integrate(f * g**2, GRID)

    g = fd.function(lambda x: x)
    total, (by_f, by_g) = fd.value_and_grad(functional, argnums=(0, -1))(F, 3.0, g)
    np.testing.assert_allclose(float(total), 3 * (value(NODES) * NODES**2 * WEIGHTS).sum(), rtol=1e-12)
    np.testing.assert_allclose(by_f(0.5), 0.75, rtol=1e-12)
    np.testing.assert_allclose(by_g(0.5), 3 * value(0.5), rtol=1e-12)
    np.testing.assert_allclose(fd.grad(lambda f, g: fd.integrate(f, GRID))(F, g)(0.5), 1.0)
    assert float(fd.grad(lambda f, g: fd.integrate(g, GRID))(F, g)(0.5)) == 0


def test_with_jit_grad_and_vmap_of_arrays():
    def potential(scale, x):
        f = fd.function(lambda p: scale * cnp.sin(p))
        return fd.grad(lambda f: fd.integrate(f**4, GRID))(f)(x)

    np.testing.assert_allclose(ct.jit(potential)(2.0, 0.5), 4 * 8 * np.sin(0.5) ** 3, rtol=1e-10)
    np.testing.assert_allclose(ct.grad(potential)(2.0, 0.5), 12 * 4 * np.sin(0.5) ** 3, rtol=1e-10)
    slopes = ct.vmap(ct.grad(potential, argnums=1), in_axes=(None, 0))(2.0, POINTS)
    np.testing.assert_allclose(slopes, 96 * np.sin(POINTS) ** 2 * np.cos(POINTS), rtol=1e-10)
    np.testing.assert_allclose(
        fd.hvp(lambda f: fd.integrate(f**3, GRID), F, bump)(0.5), 6 * value(0.5) * bump(0.5)
    )


def test_a_function_of_parameters_is_a_pytree():
    f = fd.function(ct.tree_util.Partial(lambda scale, x: scale * x, 2.0))
    gradient = ct.jit(ct.grad(lambda f: fd.integrate(f**2, GRID)))(f)
    np.testing.assert_allclose(gradient.fun.args[0], 4 / 3, rtol=1e-10)


def test_shared_parts_are_evaluated_once():
    count = []

    def counted(x):
        count.append(1)
        return x

    f = fd.function(counted)
    for _ in range(12):
        f = f * f
    f(0.9)
    assert len(count) == 1


def test_what_has_no_derivative_says_so():
    with pytest.raises(TypeError, match="Dirac"):
        fd.grad(lambda f: f(0.5) ** 2)(F)
    with pytest.raises(TypeError, match=r"Wrap it: function\(f\)"):
        fd.grad(lambda f: 0.0)(wave)
    with pytest.raises(TypeError, match="returns a real number"):
        fd.grad(lambda f: fd.integrate(f, GRID) * np.ones(2))(F)
    with pytest.raises(ValueError, match="inverse"):
        fd.grad(lambda f: fd.integrate(fd.compose(f, cnp.exp), GRID))(F)(0.5)
    with pytest.raises(TypeError, match="argnums=1 does not fit"):
        fd.grad(lambda f: fd.integrate(f, GRID), argnums=1)(F)
    with pytest.raises(TypeError, match="takes a callable"):
        fd.function(3.0)
    with pytest.raises(ValueError, match="must be positive"):
        fd.interval(0.0, 1.0, 0)
