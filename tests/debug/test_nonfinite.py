"""debug_nans and debug_infs: the line that made the value is named, and no other; dead lanes raise nothing."""

import inspect
import re

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax

X = np.float32([1, -2, 3])


def line_of(function, mark="# <-"):
    lines, first = inspect.getsourcelines(function)
    (number,) = [first + i for i, line in enumerate(lines) if mark in line]
    return number


def forward(x):
    y = cnp.exp(x) * 2
    z = cnp.log(x) + y  # <-
    return cnp.sum(z * y)


def backward_infinite(x):
    y = x * 0.0  # <-
    root = cnp.sqrt(y)
    return cnp.sum(root * x)


def dead_lane_of_another(x):
    safe = cnp.where(x > 5, cnp.log(x - 5), 0.0)
    root = cnp.sqrt(x)  # <-
    return cnp.sum(safe + root)


def both_sides(x):
    a = cnp.arccosh(x)  # one lane of it counts  # <-
    b = cnp.log(x)
    return cnp.where(cnp.arange(3) < 2, a, b)[:1] + a[1:2]


def through_matmul(x):
    m = cnp.outer(x, x)
    bad = m / cnp.where(m == 4, 0.0, m) * cnp.where(m == 4, 0.0, 1.0)  # <-
    return bad @ m + x.sum()


def inf_minus_inf(x):
    big = cnp.exp(cnp.abs(x) * 100)
    return (big * 2 - cnp.roll(big, 1)).sum()  # <-


def inner_jit(x):
    @ct.jit
    def helper(y):
        return lax.log1p(y - 1)  # <-

    return helper(cnp.sin(x)).sum()


def scanned(x):
    def step(carry, row):
        carry = carry - row
        root = cnp.sqrt(carry)  # <-
        return carry, cnp.where(row > 0, root, row)

    return lax.scan(step, cnp.float32(0.5), cnp.abs(x))[1]


def scanned_carry(x):
    def step(carry, row):
        carry = lax.log(carry + row)  # <-
        return carry, carry * 2

    carry, rows = lax.scan(step, cnp.float32(0.5), x * 0, reverse=True)
    return carry + rows.sum()


def looped(x):
    def body(state):
        i, y = state
        return i + 1, cnp.log(y)  # <-

    return lax.while_loop(lambda state: state[0] < 6, body, (0, cnp.abs(x) + 1))[1].sum()


def branching(x):
    def taken(y):
        return cnp.arcsin(y * 7)  # <-

    return lax.cond(x[0] > 0, taken, cnp.cos, x).sum()


def rematerialised(x):
    @ct.checkpoint
    def block(y):
        return cnp.log(y)  # <-

    return block(x).sum()


def rooted_remat(x):
    @ct.checkpoint
    def block(y):
        return cnp.sin(cnp.sqrt(y))  # <-

    return block(x).sum()


def custom_forward(x):
    @ct.custom_jvp
    def f(y):
        return cnp.log(y)  # <-

    f.defjvp(lambda p, t: (f(*p), t[0]))
    return f(x).sum()


def custom_backward(x):
    @ct.custom_vjp
    def f(y):
        return y * 2

    def bwd(residual, cotangent):
        return (cotangent * cnp.sqrt(residual),)  # <-

    f.defvjp(lambda y: (f(y), y), bwd)
    return f(x).sum()


def power_of_zero(x):
    return ((x - x) ** (x * 0 - 0.5) * 0).sum()  # <-


def norm_at_zero(x):
    return cnp.sqrt(cnp.sum((x - x) ** 2))  # <-


def where_gradient(x):
    safe = x > 0
    return cnp.where(safe, cnp.sqrt(x), 0.0).sum()  # <-


def mapped(x):
    def one(y):
        return cnp.log(y) * 2  # <-

    return ct.vmap(one)(x).sum()


def mapped_loop(x):
    def body(state):
        i, y = state
        return i + 1, cnp.sqrt(y - 1)  # <-

    loop = lambda y: lax.while_loop(lambda s: s[0] < y, body, (0.0, y))[1]  # noqa: E731, RUF100
    return ct.vmap(loop)(cnp.abs(x)).sum()


def scanned_backward(x):
    def step(carry, row):
        carry = cnp.sqrt(carry * row)  # <-
        return carry, None

    return lax.scan(step, cnp.float32(1), cnp.maximum(x, 0.0))[0]


VALUES = [
    forward, dead_lane_of_another, both_sides, through_matmul, inf_minus_inf, inner_jit, scanned, scanned_carry, looped,
    branching, rematerialised, custom_forward, power_of_zero, mapped, mapped_loop,
]  # fmt: skip
GRADIENTS = [
    forward, backward_infinite, norm_at_zero, where_gradient, custom_backward, scanned_backward, rooted_remat,
]  # fmt: skip


def blamed(call, *args):
    with ct.debug_nans(True), pytest.raises(FloatingPointError, match=r"invalid value \(nan\)") as caught:
        call(*args)
    message = str(caught.value)
    assert "debug_nans is set" in message and len(message.splitlines()) == 1
    (line,) = re.findall(re.escape(__file__) + r":(\d+)", message)
    return int(line)


@pytest.mark.smoke
@pytest.mark.parametrize("function", VALUES, ids=lambda f: f.__name__)
def test_values(function):
    assert blamed(ct.jit(function), X) == line_of(function)


@pytest.mark.parametrize("function", GRADIENTS, ids=lambda f: f.__name__)
def test_gradients(function):
    assert blamed(ct.jit(ct.grad(function)), X) == line_of(function)
    assert blamed(ct.grad(ct.jit(function)), X) == line_of(function)


@pytest.mark.parametrize(
    "function", [forward, where_gradient, scanned, custom_backward], ids=lambda f: f.__name__
)
def test_outside_of_jit(function):
    call = function if function in VALUES else ct.grad(function)
    assert blamed(call, X) == line_of(function)


def test_batches_of_compiled_functions():
    assert blamed(ct.vmap(ct.jit(forward)), np.stack([abs(X), X])) == line_of(forward)
    assert blamed(ct.jit(ct.vmap(ct.grad(norm_at_zero))), np.stack([X, X])) == line_of(norm_at_zero)
    assert blamed(ct.jit(lambda x: ct.jvp(forward, (x,), (x,))[1]), X) == line_of(forward)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: cnp.where(x > 0, cnp.log(x), 0.0),
        lambda x: cnp.log(x)[cnp.array([0, 2])],
        lambda x: lax.cond(x[0] > 0, lambda x: cnp.abs(x), cnp.log, x),
        lambda x: lax.scan(lambda c, y: (c, cnp.where(y > 0, cnp.sqrt(y), y)), 0.0, x)[1],
        lambda x: ct.vmap(lambda y: cnp.where(y > 0, cnp.log(y), -1.0))(x).sum(),
        lambda x: ct.grad(lambda x: cnp.where(x > 0, cnp.log(cnp.where(x > 0, x, 1)), 0).sum())(x),
        lambda x: cnp.nan_to_num(cnp.log(x)),
        lambda x: cnp.isnan(cnp.log(x)),
    ],
)
def test_dead_lanes_raise_nothing(function):
    expected = ct.jit(function)(X)
    with ct.debug_nans(True):
        np.testing.assert_array_equal(ct.jit(function)(X), expected)


def test_infinities():
    @ct.jit
    def f(x):
        y = 1 / (x - 1)  # <-
        return cnp.sum(y * 2)

    with ct.debug_infs(True):
        with pytest.raises(FloatingPointError, match=r"invalid value \(inf\) encountered in div\(") as caught:
            f(X)
        assert ct.jit(lambda x: cnp.where(x == 1, 0.0, 1 / (x - 1)))(X)[0] == 0
    assert f":{line_of(f.__wrapped__)} " in str(caught.value)


def test_message_tells_operand_types_elements_and_arguments():
    with ct.debug_nans(True):
        with pytest.raises(
            FloatingPointError, match=r"in log\(f32\[2,3\]\) at .* in element \(1, 1\) of its result"
        ):
            ct.jit(lambda x: cnp.log(x) * 2)(np.stack([abs(X), X]))
        with pytest.raises(
            FloatingPointError, match=r"in sub\(f32\[\], f32\[\]\) at .* operand 0 has infinities"
        ):
            ct.jit(lambda x: cnp.exp(x) - cnp.exp(2 * x))(1e5)
        with pytest.raises(FloatingPointError, match=r"argument x of <lambda>, f32\[\], has it already"):
            ct.jit(lambda x: x + 1)(np.float32(np.nan))
        with pytest.raises(FloatingPointError, match=r"encountered in log at .*test_nonfinite"):
            cnp.log(cnp.float32(-1))


def test_donated_arguments_are_still_there_to_look_at():
    f = ct.jit(lambda x: cnp.log(x) * 2, donate_argnums=0)
    with ct.debug_nans(True), pytest.raises(FloatingPointError, match=r"in log\(f32\[3\]\)"):
        f(cnp.asarray(X))


def test_callbacks_that_raise_are_not_mistaken():
    def bad(x):
        raise FloatingPointError("mine")

    with ct.debug_nans(True), pytest.raises(FloatingPointError, match="mine"):
        ct.jit(lambda x: ct.pure_callback(bad, x, x))(np.float32(1))
    seen = []
    noisy = ct.jit(lambda x: (ct.debug.callback(lambda y: seen.append(1), x), cnp.log(x))[1])
    with ct.debug_nans(True), pytest.raises(FloatingPointError, match=r"in log\("):
        noisy(np.float32(-1))
    assert seen == [1]  # looking for the reason calls nothing again
