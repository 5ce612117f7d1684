"""custom_linear_solve and custom_root against dense linear algebra and closed forms."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax

RNG = np.random.default_rng(0)
MATRIX = (RNG.normal(size=(4, 4)) + 4 * np.eye(4)).astype(np.float32)
VECTOR = RNG.normal(size=4).astype(np.float32)


def matrix_of(matvec, like):
    return ct.vmap(matvec, out_axes=1)(cnp.eye(like.shape[0], dtype=like.dtype))


def dense(matvec, b):
    return cnp.linalg.solve(matrix_of(matvec, b), b)


def implicit(a, b):
    return lax.custom_linear_solve(lambda x: a @ x, b, dense, dense)


def explicit(a, b):
    return cnp.linalg.solve(a, b)


def close(got, want, tolerance=2e-5):
    for x, y in zip(ct.tree.leaves(got), ct.tree.leaves(want), strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def both_modes(solve):
    def loss(a, b):
        return cnp.sum(cnp.sin(solve(a, b)))

    tangents = (cnp.ones_like(MATRIX) * 0.1, cnp.cos(VECTOR))

    def all_of_it(a, b):
        value, dot = ct.jvp(solve, (a, b), tangents)
        grads = ct.grad(loss, argnums=(0, 1))(a, b)
        curvature = ct.jvp(ct.grad(loss, argnums=(0, 1)), (a, b), tangents)[1]
        second = ct.grad(lambda a, b: cnp.sum(ct.grad(loss)(a, b) ** 2), argnums=1)(a, b)
        return value, dot, grads, curvature, second

    return ct.jit(all_of_it)(MATRIX, VECTOR)


def test_linear_solve_has_the_derivatives_of_the_solution():
    close(both_modes(implicit), both_modes(explicit), 2e-4)


@pytest.mark.parametrize("axes", [(0, 0), (None, 0), (0, None)])
def test_linear_solve_batches(axes):
    a = cnp.stack([MATRIX, 2 * MATRIX]) if axes[0] == 0 else MATRIX
    b = cnp.stack([VECTOR, VECTOR + 1]) if axes[1] == 0 else VECTOR

    def gradient(solve):
        return ct.jit(ct.vmap(ct.grad(lambda a, b: solve(a, b).sum(), argnums=(0, 1)), axes))(a, b)

    close(gradient(implicit), gradient(explicit))


def test_linear_solve_on_trees_with_aux():
    def solve(scale, b):
        return lax.custom_linear_solve(
            lambda x: {"u": scale * x["u"], "v": 2.0 * x["v"] + x["u"]},
            b,
            lambda f, y: (
                {"u": y["u"] / scale, "v": (y["v"] - y["u"] / scale) / 2.0},
                {"steps": cnp.int32(3)},
            ),
            lambda f, y: ({"u": (y["u"] - y["v"] / 2.0) / scale, "v": y["v"] / 2.0}, {"steps": cnp.int32(5)}),
            has_aux=True,
        )

    b = {"u": cnp.float32(6.0), "v": cnp.float32(8.0)}
    x, aux = solve(3.0, b)
    assert (float(x["u"]), float(x["v"]), int(aux["steps"])) == (2.0, 3.0, 3)
    scale_bar, b_bar = ct.grad(lambda s, b: solve(s, b)[0]["v"], argnums=(0, 1))(3.0, b)
    close((scale_bar, b_bar), (1 / 3, {"u": -1 / 6, "v": 0.5}))


def test_symmetric_solve_needs_no_transpose():
    a = MATRIX @ MATRIX.T

    def symmetric(a, b):
        return lax.custom_linear_solve(lambda x: a @ x, b, dense, symmetric=True)

    close(
        ct.grad(lambda b: symmetric(a, b).sum())(VECTOR),
        ct.grad(lambda b: explicit(a, b).sum())(VECTOR),
        1e-4,
    )
    with pytest.raises(TypeError, match="transpose_solve"):
        ct.grad(lambda b: lax.custom_linear_solve(lambda x: a @ x, b, dense).sum())(VECTOR)


def test_the_solver_is_not_differentiated():
    # A while loop that counts: its derivative would be wrong, and it need not exist.
    def iterate(f, b):
        def step(state):
            x, i = state
            return x + 0.2 * (b - f(x)), i + 1

        return lax.while_loop(lambda s: s[1] < 200, step, (cnp.zeros_like(b), 0))[0]

    a = np.float32([[2.0, 0.5], [0.5, 1.0]])
    b = np.float32([1.0, 2.0])
    solve = lambda a, b: lax.custom_linear_solve(lambda x: a @ x, b, iterate, iterate)
    got = ct.jit(ct.grad(lambda a, b: solve(a, b)[0], argnums=(0, 1)))(a, b)
    close(got, ct.grad(lambda a, b: explicit(a, b)[0], argnums=(0, 1))(a, b))


def test_primitive_parameters_are_the_documented_ones():
    jaxpr = ct.make_jaxpr(implicit)(MATRIX, VECTOR)
    (eqn,) = [e for e in jaxpr.eqns if e.primitive is lax.linear_solve_p]
    assert eqn.params["const_lengths"]._fields == ("matvec", "vecmat", "solve", "transpose_solve")
    assert len(eqn.params["jaxprs"].matvec.jaxpr.invars) == eqn.params["const_lengths"].matvec + 1


def square_root(a, **options):
    def newton(f, x):
        step = lambda _, x: x - f(x) / ct.grad(lambda y: f(y).sum())(x)
        return lax.fori_loop(0, 20, step, x)

    return lax.custom_root(
        lambda x: x * x - a, cnp.ones_like(a), newton, lambda g, y: y / g(cnp.ones_like(y))
    )


def test_root_has_the_derivatives_of_the_implicit_function():
    def all_of_it(root):
        third = ct.grad(ct.grad(ct.grad(root)))(4.0)
        forward = ct.jvp(ct.grad(root), (4.0,), (1.0,))
        return root(4.0), ct.jvp(root, (4.0,), (2.0,)), ct.grad(root)(4.0), third, forward

    close(ct.jit(all_of_it, static_argnums=0)(square_root), all_of_it(cnp.sqrt))
    batch = cnp.arange(1.0, 5.0)
    close(ct.vmap(ct.grad(square_root))(batch), 0.5 / np.sqrt(batch))
    close(ct.grad(lambda a: square_root(a).sum())(batch), 0.5 / np.sqrt(batch))


def test_root_with_aux_and_trees():
    def root(a):
        return lax.custom_root(
            lambda x: {"x": x["x"] ** 3 - a},
            {"x": 1.0},
            lambda f, x: ({"x": cnp.cbrt(a)}, cnp.int32(7)),
            lambda g, y: {"x": y["x"] / g({"x": 1.0})["x"]},
            has_aux=True,
        )

    (value, steps), grad = ct.value_and_grad(lambda a: (lambda r: (r[0]["x"], r[1]))(root(a)), has_aux=True)(
        8.0
    )
    assert steps == 7
    close((value, grad), (2.0, 1 / 12))


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (TypeError, "functions", lambda: lax.custom_linear_solve(1, 1.0, dense)),
        (TypeError, "matvec", lambda: lax.custom_linear_solve(lambda x: [x[0]], (1.0,), lambda f, b: b)),
        (ValueError, "solve", lambda: lax.custom_linear_solve(lambda x: x, VECTOR, lambda f, b: b[:2])),
        (ValueError, "pair", lambda: lax.custom_linear_solve(lambda x: x, 1.0, lambda f, b: b, has_aux=True)),
        (ValueError, "f must", lambda: lax.custom_root(lambda x: (x, x), 1.0, dense, dense)),
        (TypeError, "f must", lambda: lax.custom_root(lambda x: (x,), 1.0, dense, dense)),
        (TypeError, "functions", lambda: lax.custom_root(3, 1.0, dense, dense)),
    ],
)
def test_what_does_not_fit_is_named(error, match, call):
    with pytest.raises(error, match=match):
        call()
