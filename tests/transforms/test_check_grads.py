"""Checks of derivatives: they pass what is right, and name what is wrong."""

from functools import partial

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter.test_util import check_grads, check_jvp, check_vjp

RIGHT = [
    (cnp.sin, (2.0,)),
    (lambda x, y: cnp.exp(x) @ y, (cnp.linspace(-1, 1, 12).reshape(3, 4), cnp.arange(4.0))),
    (lambda tree: {"a": tree["b"][0] ** 3 / tree["b"][1]}, ({"b": (3.0, cnp.full(2, 700.0))},)),
    (lambda z: z * z.conj() + 1j * z, (cnp.array([1 + 2j, -0.5j]),)),
    (lambda x: cnp.abs(1j * x + 2), (cnp.arange(1.0, 4),)),
    (lambda x, n: (x**n, n), (cnp.ones(3), 3)),
    (lambda x: cnp.tanh(x), (cnp.ones(3, cnp.bfloat16),)),
    (lambda x: cnp.cos(x), (cnp.arange(4, dtype=cnp.float16),)),
    (lambda x: x.sum(), (np.ones((0, 2), np.float32),)),
]


@ct.custom_jvp
def forward_wrong(x):
    return x**2


forward_wrong.defjvp(lambda primals, tangents: (primals[0] ** 2, 3 * primals[0] * tangents[0]))


@ct.custom_vjp
def backward_wrong(x):
    return x**2


backward_wrong.defvjp(lambda x: (x**2, x), lambda x, ct: (3 * x * ct,))


@ct.custom_jvp
def second_wrong(x):
    return x**3


@ct.custom_jvp
def three_squares(x):
    return 3 * x**2


second_wrong.defjvp(lambda primals, tangents: (primals[0] ** 3, three_squares(*primals) * tangents[0]))
three_squares.defjvp(lambda primals, tangents: (3 * primals[0] ** 2, 7 * primals[0] * tangents[0]))


@pytest.mark.parametrize("f, args", RIGHT)
def test_right_derivatives_pass(f, args):
    check_grads(f, args, order=2)
    check_jvp(f, partial(ct.jvp, f), args)
    check_vjp(f, partial(ct.vjp, f), args)


def test_double_precision_is_checked_as_such():
    def slightly_wrong(x):
        return x**2

    slightly_wrong = ct.custom_jvp(slightly_wrong)
    slightly_wrong.defjvp(lambda primals, tangents: (primals[0] ** 2, 2.0005 * primals[0] * tangents[0]))
    with ct.enable_x64(True):
        x = np.linspace(1, 2, 3)
        check_grads(cnp.log, (x,), order=3)
        with pytest.raises(AssertionError, match="fwd JVP tangent"):
            check_grads(slightly_wrong, (x,), order=1)
    check_grads(slightly_wrong, (x.astype(np.float32),), order=1)  # within what float32 can tell


@pytest.mark.parametrize(
    "f, order, modes, message",
    [
        (forward_wrong, 1, ("fwd",), "^\n.*\nfwd JVP tangent"),
        (forward_wrong, 1, "rev", "rev VJP cotangent projection"),
        (backward_wrong, 1, ["rev"], "rev VJP cotangent projection"),
        (second_wrong, 2, ("fwd", "rev"), "fwd fwd JVP tangent"),
        (second_wrong, 2, ("rev",), "rev rev VJP cotangent projection"),
    ],
)
def test_wrong_derivatives_fail(f, order, modes, message):
    check_grads(f, (np.full(2, 2.0, np.float32),), order - 1, modes)
    with pytest.raises(AssertionError, match=message):
        check_grads(f, (np.full(2, 2.0, np.float32),), order, modes)
    check_grads(f, (np.full(2, 2.0, np.float32),), order, modes, atol=1e3)


def test_what_the_derivative_computes_besides_is_checked():
    def doubled(*args):
        return ct.vjp(lambda x: 2 * cnp.sin(x), *args)

    with pytest.raises(AssertionError, match="mine VJP primal"):
        check_vjp(cnp.sin, doubled, (2.0,), err_msg="mine ")
    with pytest.raises(AssertionError, match="JVP primal: expected"):
        check_jvp(cnp.sin, lambda p, t: ([p[0]], [t[0]]), (2.0,))
    with pytest.raises(AssertionError, match=r"JVP primal\[1\]"):
        check_jvp(lambda x: (x, x), lambda p, t: ((p[0], 2 * p[0]), (t[0], t[0])), (2.0,))


def test_modes_have_two_names():
    with pytest.raises(ValueError, match="not 'forward'"):
        check_grads(cnp.sin, (1.0,), 1, modes="forward")
