"""What programs with control flow look like after transformations: nothing dead, nothing computed too often."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.core.checker import check_jaxpr
from canter.runtime.passes import remove_dead_code

POINT = np.float32([0.3, 0.7, 1.1])


def jaxpr_of(fun, *args):
    closed = ct.make_jaxpr(fun)(*args)
    check_jaxpr(closed)
    return remove_dead_code(closed.jaxpr, True)[0]


def loops(jaxpr, name):
    return [eqn for eqn in jaxpr.eqns if eqn.primitive.name == name]


def names(closed):
    return [eqn.primitive.name for eqn in closed.jaxpr.eqns]


def test_dead_parts_of_a_scan_vanish():
    def fun(x):
        def body(carry, y):
            alive, dead, counter = carry
            return (cnp.sin(alive) * y, cnp.cos(dead) + alive, counter + 1), (alive, cnp.exp(dead))

        (alive, _, _), (ys, _) = lax.scan(body, (x, x, 0), POINT)
        return alive, ys

    (eqn,) = loops(jaxpr_of(fun, 1.0), "scan")
    assert eqn.params["num_carry"] == 1 and len(eqn.outvars) == 2
    assert "exp" not in names(eqn.params["jaxpr"]) and "cos" not in names(eqn.params["jaxpr"])


def test_dead_parts_of_a_while_loop_vanish():
    def fun(x, n, unused):
        def body(state):
            i, alive, dead = state
            return i + 1, cnp.sin(alive), cnp.cos(dead) * unused

        return lax.while_loop(lambda s: s[0] < n, body, (0, x, x))[1]

    (eqn,) = loops(jaxpr_of(fun, 1.0, 3, 2.0), "while")
    assert len(eqn.outvars) == 2 and eqn.params["body_nconsts"] == 0
    assert "cos" not in names(eqn.params["body_jaxpr"])


def test_dead_results_and_operands_of_branches_vanish():
    def fun(p, x, y):
        return lax.cond(p, lambda x, y: (cnp.sin(x), cnp.exp(y)), lambda x, y: (cnp.cos(x), y), x, y)[0]

    (eqn,) = loops(jaxpr_of(fun, True, 1.0, 2.0), "cond")
    assert len(eqn.outvars) == 1 and len(eqn.invars) == 2
    assert [names(branch) for branch in eqn.params["branches"]] == [["cos"], ["sin"]]


def test_what_no_step_changes_is_computed_once_and_not_stacked():
    matrix = np.ones((3, 3), np.float32)

    def fun(w):
        body = lambda c, x: (cnp.tanh(cnp.exp(w) @ c + x), None)
        return lax.scan(body, POINT, np.ones((5, 3), np.float32))[0].sum()

    jaxpr = jaxpr_of(ct.grad(fun), matrix)
    forward, backward = loops(jaxpr, "scan")
    assert "exp" in [e.primitive.name for e in jaxpr.eqns]
    assert "exp" not in names(forward.params["jaxpr"]) + names(backward.params["jaxpr"])
    assert all(v.aval.shape != (5, 3, 3) for v in forward.outvars)


def test_residuals_that_are_inputs_are_not_stacked_again():
    xs = np.ones((5, 3), np.float32)
    jaxpr = jaxpr_of(ct.grad(lambda c: lax.scan(lambda c, x: (c * x, None), c, xs)[0].sum()), POINT)
    assert [v.aval.shape for e in loops(jaxpr, "scan") for v in e.outvars] == [(3,)]


def test_branches_that_keep_different_residuals():
    def fun(x, index):
        def long(x):
            return cnp.sum(cnp.sin(cnp.concatenate([x, x])) ** 2)

        branches = [lambda x: cnp.sum(x), lambda x: cnp.prod(cnp.exp(x)), long, lambda x: 0.0]
        return lax.switch(index, branches, x)

    both = lambda x, i: (ct.grad(fun)(x, i), ct.jvp(lambda x: ct.grad(fun)(x, i), (x,), (x,))[1])
    every = ct.jit(lambda x: [both(x, np.int32(i)) for i in range(4)])(POINT)
    product = np.exp(POINT.sum())
    want = [np.ones(3), product * np.ones(3), 4 * np.sin(POINT) * np.cos(POINT), np.zeros(3)]
    second = [np.zeros(3), product * POINT.sum() * np.ones(3), 4 * np.cos(2 * POINT) * POINT, np.zeros(3)]
    for (first, curvature), a, b in zip(every, want, second, strict=True):
        np.testing.assert_allclose(first, a, rtol=1e-5)
        np.testing.assert_allclose(curvature, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("transform", [lambda f: f, lambda f: ct.grad(lambda x, p: f(x, p).sum())])
def test_a_predicate_without_batch_axis_stays_a_branch(transform):
    fun = transform(lambda x, p: lax.cond(p, cnp.sin, cnp.cos, x))
    assert loops(jaxpr_of(ct.vmap(fun, (0, None)), POINT, True), "cond")
    assert not loops(jaxpr_of(ct.vmap(fun), POINT, POINT > 1), "cond")


def test_the_older_form_of_cond_and_operands_by_name():
    assert float(lax.cond(True, 3.0, lambda x: x + 1, (4.0, 5), lambda pair: -pair[0])) == 4.0
    assert float(lax.cond(False, 3.0, lambda x: x + 1, (4.0, 5), lambda pair: -pair[0])) == -4.0
    assert lax.cond(True, lambda x: 1.0, lambda x: 2.0, operand=None) == 1.0


def test_weak_initial_values_give_way():
    result = lax.while_loop(lambda x: x < 10, lambda x: x + 1.5, 0)
    assert result.dtype == np.float32 and not result.weak_type
    carry, _ = lax.scan(lambda c, x: (c + x, None), 0, np.float16([1, 2]))
    assert carry.dtype == np.float16 and not carry.weak_type


@pytest.mark.parametrize("unroll", [0, 1, 2, 4, 7, True, False])
@pytest.mark.parametrize("reverse", [False, True])
def test_unrolled_scans(unroll, reverse):
    xs = np.arange(7, dtype=np.float32)
    body = lambda c, x: (0.5 * c + x, c * x)
    got = lax.scan(body, 1.0, xs, unroll=unroll, reverse=reverse)
    carry, ys = 1.0, []
    for x in xs[::-1] if reverse else xs:
        carry, y = body(carry, x)
        ys.append(y)
    np.testing.assert_allclose(got[0], carry, rtol=1e-6)
    np.testing.assert_allclose(got[1], ys[::-1] if reverse else ys, rtol=1e-6)


def test_programs_do_not_grow_with_the_number_of_steps():
    def count(length):
        body = lambda c, _: (cnp.sin(c) * c, c)
        return ct.make_jaxpr(ct.grad(lambda x: lax.scan(body, x, None, length=length)[0]))(1.0).jaxpr

    small, large = count(10), count(100_000)
    assert len(small.eqns) == len(large.eqns)


def by_loop(operand, init, function, window):
    rows, columns = operand.shape
    out = np.empty((rows - window[0] + 1, columns - window[1] + 1), operand.dtype)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            total = init
            for x in operand[i : i + window[0], j : j + window[1]].ravel():
                total = function(total, x)
            out[i, j] = total
    return out


def test_windows_reduced_by_any_function():
    x = np.random.default_rng(0).normal(size=(4, 5))
    hypot = lambda a, b: cnp.sqrt(a * a + b * b)
    both = lambda a, b: (hypot(a[0], b[0]), a[1] + b[1])
    with ct.enable_x64(True):

        def pair(x):
            return lax.reduce_window((x, 2 * x), (0.0, 0.0), both, (2, 3), (1, 1), "VALID")

        (first, second), (dot, _) = ct.jit(lambda x: ct.jvp(pair, (x,), (cnp.cos(x),)))(x)
        reduced = lax.reduce(x, 0.0, hypot, (0,))
    np.testing.assert_allclose(first, by_loop(x, 0.0, np.hypot, (2, 3)), rtol=1e-12)
    np.testing.assert_allclose(second, by_loop(2 * x, 0.0, np.add, (2, 3)), rtol=1e-12)
    np.testing.assert_allclose(reduced, np.sqrt((x**2).sum(0)), rtol=1e-12)
    step = 1e-6
    ends = [by_loop(x + s * step * np.cos(x), 0.0, np.hypot, (2, 3)) for s in (1, -1)]
    np.testing.assert_allclose(dot, (ends[0] - ends[1]) / (2 * step), rtol=1e-6)
