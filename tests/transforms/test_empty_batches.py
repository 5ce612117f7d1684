"""vmap over no elements: results are as those of one element, with an axis of size 0."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.experimental import checkify


def nested_loops(x):
    """The inner loop may not end, and elements leave the outer one at different times."""

    def step(state):
        i, y = state
        return i + 1, lax.while_loop(lambda z: z.sum() < i, lambda z: z + 1, y)

    return lax.while_loop(lambda state: state[0] < 3 + x[0], step, (0, x))[1]


def checked(x):
    checkify.check(x.sum() < 100, "{x}", x=x)
    return lax.while_loop(
        lambda y: y.sum() < 5, lambda y: (checkify.check(y[0] < 9, "{y}", y=y), y + 1)[1], x
    )


PROGRAMS = {
    "nested loops": nested_loops,
    "convolve": lambda x: cnp.convolve(x, cnp.ones(2)),
    "convolve both": lambda x: cnp.convolve(x, x),
    "kernels": lambda x: cnp.convolve(cnp.arange(5.0), x),
    "convolution": lambda x: lax.conv(x.reshape(1, 1, 3, 1), cnp.ones((2, 1, 2, 1)), (1, 1), "SAME"),
    "gradient": ct.grad(lambda x: cnp.convolve(x, x[:2]).sum()),
    "cond": lambda x: lax.cond(x.sum() > 0, cnp.sin, cnp.cos, x),
    "scan": lambda x: lax.scan(lambda c, y: (c + y, y * c), 0.0, x),
    "checks": lambda x: checkify.checkify(checked)(x)[1],
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_results_have_the_types_of_one_element(name):
    f = ct.vmap(PROGRAMS[name])
    one, none = f(np.ones((1, 3), np.float32)), f(np.ones((0, 3), np.float32))
    types = ct.tree.map(lambda x: ((0, *x.shape[1:]), x.dtype), one)
    assert ct.tree.map(lambda x: (x.shape, x.dtype), none) == types


def test_nothing_is_found_in_an_empty_batch():
    for f in (ct.vmap(checked), ct.jit(ct.vmap(checked))):
        error, out = checkify.checkify(f)(np.ones((0, 3), np.float32))
        assert error.get() is None and out.shape == (0, 3)


def test_elements_that_have_left_a_loop_are_not_checked():
    def f(x, most):
        def step(y):
            checkify.check(y[0] < most, "at {y}", y=y)
            return y + 1

        return lax.while_loop(lambda y: y.sum() < 5, step, x)

    starts = np.float32([[0, 0, 0], [1, 1, 1], [9, 9, 9]])
    for most in (1.5, 0.5):
        error, outs = checkify.checkify(ct.vmap(f, (0, None)))(starts, most)
        errors, each = ct.vmap(checkify.checkify(f), (0, None))(starts, most)
        expected = [x + max(0, -(-(5 - x.sum()) // 3)) for x in starts]
        np.testing.assert_array_equal(outs, expected)
        np.testing.assert_array_equal(each, expected)
        assert (error.get() is None) == (errors.get() is None) == (most == 1.5)
    assert error.get().startswith("at [1. 1. 1.]")
