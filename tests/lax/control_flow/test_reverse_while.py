"""Reverse mode through loops of unknown length, against the same loop written in Python."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import debug, lax
from canter.core.jaxpr import subjaxprs
from canter.experimental import io_callback
from canter_mlir.driver import lower_jaxpr_to_module

LENGTHS = [0, 1, 2, 3, 5, 8, 9, 16, 33]


@pytest.fixture(autouse=True)
def double_precision():
    with ct.enable_x64(True):
        yield


def step(y, x):
    return cnp.sin(y) * 1.1 + x * 0.1


def iterate(x, n, **options):
    return lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, step(s[1], x)), (0, x), **options)[1]


def unrolled(x, n):
    y = x
    for _ in range(n):
        y = step(y, x)
    return y


def unrolled_gradients(order, xs, lengths):
    """For each point and length the derivative of the unrolled loop of some order."""
    fun = unrolled
    for _ in range(order):
        fun = ct.grad(fun)
    every = ct.jit(lambda xs: [fun(x, n) for x, n in zip(xs, lengths, strict=True)])
    return np.array(every(np.asarray(xs)))


@pytest.mark.parametrize("checkpoints", [1, 2, 3, 4, 7, None])
def test_gradient_is_that_of_the_unrolled_loop(checkpoints):
    gradient = ct.jit(ct.grad(lambda x, n: iterate(x, n, checkpoints=checkpoints)))
    got = [gradient(0.7, n) for n in LENGTHS]
    np.testing.assert_allclose(got, unrolled_gradients(1, [0.7] * len(LENGTHS), LENGTHS), rtol=1e-12)


def test_lanes_that_end_at_different_steps():
    xs, lengths = np.array([0.3, 0.7, 1.1, 0.2]), np.array([5, 0, 9, 1])
    fun = lambda x, n: iterate(x, n, checkpoints=3)
    over_lanes = ct.vmap(fun)

    def all_of_it(xs):
        one_by_one = ct.vmap(ct.grad(fun))(xs, lengths)
        together = ct.grad(lambda xs: over_lanes(xs, lengths).sum())(xs)
        twice = ct.vmap(ct.vmap(ct.grad(fun), (0, None)), (None, 0))(xs, lengths)
        return one_by_one, together, twice, ct.vmap(ct.grad(fun), (0, None))(xs, 5)

    one_by_one, together, twice, same = ct.jit(all_of_it)(xs)
    want = unrolled_gradients(1, xs, lengths.tolist())
    np.testing.assert_allclose(one_by_one, want, rtol=1e-12)
    np.testing.assert_allclose(together, want, rtol=1e-12)
    np.testing.assert_allclose(same, unrolled_gradients(1, xs, [5] * 4), rtol=1e-12)
    table = [unrolled_gradients(1, xs, [n] * 4) for n in lengths.tolist()]
    np.testing.assert_allclose(twice, table, rtol=1e-12)


def test_second_derivatives():
    xs, lengths = np.array([0.3, 0.7, 1.1]), np.array([5, 0, 8])
    fun = lambda x, n: iterate(x, n, checkpoints=3)

    def all_of_it(xs):
        forward_over_reverse = ct.jvp(lambda xs: ct.vmap(ct.grad(fun))(xs, lengths), (xs,), (cnp.ones(3),))[1]
        reverse_over_reverse = ct.vmap(ct.grad(ct.grad(fun)))(xs, lengths)
        reverse_over_forward = ct.grad(lambda x: ct.jvp(lambda x: fun(x, 8), (x,), (1.0,))[1])(xs[2])
        return forward_over_reverse, reverse_over_reverse, reverse_over_forward

    first, second, third = ct.jit(all_of_it)(xs)
    want = unrolled_gradients(2, xs, lengths.tolist())
    np.testing.assert_allclose(first, want, rtol=1e-11)
    np.testing.assert_allclose(second, want, rtol=1e-11)
    np.testing.assert_allclose(third, want[2], rtol=1e-11)


def test_inside_of_other_control_flow():
    def scanned(x, n):
        return lax.scan(lambda y, k: (iterate(y, n + k), None), x, cnp.arange(3))[0]

    def chosen(x, n):
        return lax.cond(n > 2, iterate, lambda x, n: x * x, x, n)

    def nested(x, n):
        return lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, iterate(s[1], s[0])), (0, x))[1]

    def counted(x, n):
        return lax.fori_loop(0, n, lambda i, y: step(y, x), x)

    def recomputed(x, n):
        return ct.checkpoint(iterate)(x, n)

    programs = [scanned, chosen, nested, counted, recomputed]
    got = ct.jit(lambda x, n: [ct.grad(f)(x, n) for f in programs])(0.7, 4)

    def in_python(lengths):
        def loop(x):
            for n in lengths:
                x = unrolled(x, n)
            return x

        return loop

    want = ct.jit(lambda x: [ct.grad(in_python(k))(x) for k in ([4, 5, 6], [4], [0, 1, 2, 3], [4], [4])])(0.7)
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_trees_integers_keys_and_constants():
    matrix = np.random.default_rng(0).normal(size=(3, 3)) / 3
    vector = np.array([0.3, -0.2, 0.5])

    def loss(parameters, start, n):
        def body(state):
            noise = ct.random.normal(ct.random.fold_in(state["key"], state["n"]), (3,))
            hidden = cnp.tanh(parameters["w"] @ state["x"] + parameters["b"] + 0.1 * noise)
            return {
                "key": state["key"],
                "n": state["n"] + 1,
                "seen": state["seen"].at[state["n"]].set(True),
                "total": state["total"] + cnp.sum(hidden**2),
                "x": hidden,
            }

        state = {
            "key": ct.random.key(0),
            "n": 0,
            "seen": cnp.zeros(8, bool),
            "total": 0.0,
            "x": start,
        }
        end = (lax.while_loop if n is None else python_loop)(
            lambda s: s["n"] < (5 if n is None else n), body, state
        )
        return end["total"]

    def python_loop(test, body, state):
        for _ in range(5):
            state = body(state)
        return state

    parameters = {"w": matrix, "b": vector}
    gradient = ct.jit(ct.value_and_grad(loss, argnums=(0, 1)), static_argnums=2)
    got, want = gradient(parameters, vector, None), gradient(parameters, vector, 5)
    ct.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-10), got, want)


def test_float0_results_and_integer_loops():
    def fun(x, n):
        return lax.while_loop(lambda s: s[0] < 10, lambda s: (s[0] + n, s[1] * x), (0, x))

    primal, pull = ct.vjp(fun, 2.0, 3)
    assert int(primal[0]) == 12 and float(primal[1]) == 32.0
    x_bar, n_bar = pull((np.zeros((), ct.dtypes.float0), 1.0))
    assert float(x_bar) == 80.0 and n_bar.dtype == ct.dtypes.float0


def test_finished_lanes_spoil_nothing():
    # Where a lane has finished its state is 0: one more step would divide by zero, or never end.
    def collatz_like(x, scale):
        def body(y):
            inner = lax.while_loop(lambda z: z > 1.0, lambda z: z * (1 - cnp.sign(y) * 0.5), y + 4)
            return cnp.where(y > 1.0, y - 1.0 + 0.0 * inner, 0.0) * cnp.sqrt(y / y) + 0.0 * scale / y

        return lax.while_loop(lambda y: y > 0.0, body, x)

    def roots(x, scale):  # the derivative of sqrt is infinite where a lane ends
        return (
            lax.while_loop(lambda y: y > 0.0, lambda y: cnp.sqrt(y) * cnp.where(y > 0.5, scale, 0.0), x) + x
        )

    xs = np.array([3.0, 1.5, 7.0])
    got = ct.jit(ct.vmap(collatz_like, (0, None)))(xs, 1.0)
    np.testing.assert_array_equal(got, 0.0)

    def gradients(xs, scale):
        each = ct.vmap(ct.grad(roots, argnums=(0, 1)), (0, None))(xs, scale)
        total = ct.grad(lambda xs, s: ct.vmap(roots, (0, None))(xs, s).sum(), argnums=(0, 1))(xs, scale)
        return each, total

    each, total = ct.jit(gradients)(xs, 0.6)
    alone = [ct.jit(ct.grad(roots, argnums=(0, 1)))(x, 0.6) for x in xs]
    np.testing.assert_allclose(each[0], [a[0] for a in alone], rtol=1e-12)
    np.testing.assert_allclose(each[1], [a[1] for a in alone], rtol=1e-12)
    np.testing.assert_allclose(total[0], each[0], rtol=1e-12)
    np.testing.assert_allclose(total[1], np.sum(each[1]), rtol=1e-12)


def test_max_steps():
    for n, limit, expected in ((3, 5, 3), (9, 5, 5), (4, 0, 0)):
        got = ct.jit(lambda x, n=n, limit=limit: ct.value_and_grad(iterate)(x, n, max_steps=limit))(0.7)
        want = ct.value_and_grad(unrolled)(0.7, expected)
        np.testing.assert_allclose(got, want, rtol=1e-12)
    with ct.disable_jit():
        np.testing.assert_allclose(iterate(0.7, 9, max_steps=5), unrolled(0.7, 5), rtol=1e-12)


def largest(jaxpr):
    sizes = [int(np.prod(v.aval.shape)) for eqn in jaxpr.eqns for v in eqn.outvars]
    return max([*sizes, *map(largest, subjaxprs(jaxpr))], default=0)


def test_memory_is_that_of_the_checkpoints():
    start = np.ones(100)

    def gradient(checkpoints):
        return ct.make_jaxpr(ct.grad(lambda x, n: iterate(x, n, checkpoints=checkpoints).sum()))(
            start, 7
        ).jaxpr

    assert largest(gradient(4)) == 5 * 100
    assert largest(gradient(20)) == 21 * 100
    assert largest(gradient(None)) == 65 * 100


def test_a_part_of_the_state_that_no_derivative_needs_is_not_kept():
    def history(x, n):
        def body(state):
            i, y, rows = state
            return i + 1, step(y, x), lax.dynamic_update_index_in_dim(rows, y, i, 0)

        return lax.while_loop(lambda s: s[0] < n, body, (0, x, cnp.zeros(1000)))[2].sum()

    jaxpr = ct.make_jaxpr(ct.grad(history))(0.7, 5).jaxpr
    assert largest(jaxpr) == 1000
    got = ct.jit(ct.grad(history))(0.7, 4)
    want = ct.grad(lambda x: sum(unrolled(x, n) for n in range(4)))(0.7)
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_many_steps():
    gradient = ct.jit(ct.value_and_grad(lambda x, n: iterate(x, n, checkpoints=16)))
    scanned = ct.jit(
        ct.value_and_grad(lambda x: lax.scan(lambda y, _: (step(y, x), None), x, None, length=100_000)[0])
    )
    np.testing.assert_allclose(gradient(0.7, 100_000), scanned(0.7), rtol=1e-9)


def test_the_program_does_not_depend_on_the_number_of_steps():
    def text(n):
        return str(lower_jaxpr_to_module(ct.make_jaxpr(ct.grad(iterate))(0.7, n)))

    assert text(3) == text(10**6)


def test_forward_programs_are_unchanged():
    jaxpr = ct.make_jaxpr(lambda x: lax.while_loop(lambda y: y < 9.0, lambda y: y * 2.0, x))(1.0)
    assert set(jaxpr.eqns[0].params) == {"body_jaxpr", "body_nconsts", "cond_jaxpr", "cond_nconsts"}


def test_linear_loops_transpose():
    def repeated(x):
        return lax.fori_loop(
            0, np.int32(4) + lax.convert_element_type(0.0, np.int32), lambda i, y: 3.0 * y, x
        )

    assert float(ct.linear_transpose(repeated, 1.0)(2.0)[0]) == 162.0
    with pytest.raises(ValueError, match="condition"):
        ct.linear_transpose(lambda x: lax.while_loop(lambda y: y < 9.0, lambda y: 3.0 * y, x), 1.0)(1.0)


def test_effects_happen_once(capfd):
    def printing(x, n):
        @ct.jit
        def body(state):
            debug.print("step {}", state[0], ordered=True)
            return state[0] + 1, cnp.sin(state[1])

        return lax.while_loop(lambda s: s[0] < n, body, (0, x))[1]

    got = ct.jit(ct.grad(printing))(1.0, 3)
    ct.effects_barrier()
    assert capfd.readouterr().out.split() == ["step", "0", "step", "1", "step", "2"]
    np.testing.assert_allclose(
        got, np.cos(1.0) * np.cos(np.sin(1.0)) * np.cos(np.sin(np.sin(1.0))), rtol=1e-12
    )


def test_an_effect_with_a_result_cannot_be_repeated():
    def reading(x):
        shape = ct.ShapeDtypeStruct((), np.float64)
        body = lambda s: (s[0] + 1, s[1] * io_callback(lambda: np.float64(2.0), shape))
        return lax.while_loop(lambda s: s[0] < 3, body, (0, x))[1]

    assert float(ct.jit(reading)(1.0)) == 8.0
    with pytest.raises(ValueError, match="io_callback"):
        ct.grad(reading)(1.0)
