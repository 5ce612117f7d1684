"""Small programs that the tests of the transformations share."""

import numpy as np

import canter as ct
from canter import lax


def halves(x):
    """Nested jit with a branch on a traced value."""
    inner = ct.jit(lambda y: lax.cond(lax.gt(lax.reduce_sum(y, (0,)), 1.0), lax.sin, lax.tanh, y))
    return lax.mul(inner(x), x)


def loop(x):
    def step(carry, factor):
        carry = lax.mul(lax.sin(carry), lax.mul(x, factor))
        return carry, lax.mul(carry, carry)

    last, all_squares = lax.scan(step, lax.cos(x), np.linspace(0.5, 1.5, 4))
    return lax.add(last, lax.reduce_sum(all_squares, (0,)))


def counted(x):
    return lax.fori_loop(0, 3, lambda i, y: lax.mul(y, lax.sin(x)), x)


def rematerialized(x):
    return ct.checkpoint(lambda y: lax.mul(lax.sin(lax.exp(y)), y))(x)


def products(x):
    matrix = lax.dot_general(x, x, (((), ()), ((), ())))
    return lax.dot_general(lax.tanh(matrix), x, (((1,), (0,)), ((), ())))


def pieces(x):
    first, last = lax.slice(x, (0,), (1,)), lax.slice(x, (1,), (3,))
    return lax.concatenate([lax.mul(last, lax.broadcast_in_dim(first, (2,), (0,))), lax.exp(first)], 0)


def chosen(x):
    return lax.select(lax.gt(x, 0.5), lax.log(x), lax.integer_pow(x, 3))


@ct.custom_jvp
def cubed(x):
    return lax.integer_pow(x, 3)


@cubed.defjvp
def _cubed_jvp(primals, tangents):
    (x,), (t,) = primals, tangents
    return cubed(x), lax.mul(t, lax.mul(3.0, lax.mul(x, x)))


@ct.custom_vjp
def scaled(x, factor):
    return lax.mul(lax.sin(x), factor)


scaled.defvjp(
    lambda x, factor: (scaled(x, factor), (x, factor)),
    lambda saved, g: (
        lax.mul(g, lax.mul(lax.cos(saved[0]), saved[1])),
        lax.reduce_sum(lax.mul(g, lax.sin(saved[0])), tuple(range(g.ndim))),
    ),
)


def with_custom_vjp(x):
    return lax.mul(scaled(lax.mul(x, x), 2.0), x)


def with_custom_jvp(x):
    return lax.sin(cubed(x))


FORWARD = {
    "halves": halves,
    "loop": loop,
    "counted": counted,
    "rematerialized": rematerialized,
    "products": products,
    "pieces": pieces,
    "chosen": chosen,
    "custom_jvp": with_custom_jvp,
}
REVERSE = {**FORWARD, "custom_vjp": with_custom_vjp}

POINT = np.array([0.3, 0.7, 1.1])
DIRECTION = np.array([0.2, -0.5, 0.4])
COTANGENT = np.array([0.7, 0.1, -0.3])


def scalar(f):
    """A scalar function with the cotangent's weights."""
    return lambda x: lax.reduce_sum(lax.mul(f(x), COTANGENT), (0,))


def numeric_derivative(f, x, direction, step=1e-6):
    """Central difference in float64."""
    up, down = np.asarray(f(x + step * direction)), np.asarray(f(x - step * direction))
    return (up - down) / (2 * step)
