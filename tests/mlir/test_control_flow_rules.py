"""Branches, loops and scans against Python."""

import numpy as np
import pytest

from canter.core.jaxpr import ClosedJaxpr, Jaxpr, Var
from tests.mlir.harness import apply, aval, equation, literal

F = aval()
I = aval(dtype=np.int32)  # noqa: E741
ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)


def closed(inputs, eqns, outputs, consts=()):
    constvars = [] if not consts else consts
    return ClosedJaxpr(
        Jaxpr([var for var, _ in constvars], inputs, outputs, eqns), [value for _, value in constvars]
    )


def unary_branch(name):
    x = Var(aval(3))
    eqn = equation(name, [x], [aval(3)])
    return closed([x], [eqn], eqn.outvars)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_cond_chooses_a_branch(index):
    branches = tuple(map(unary_branch, ("neg", "sin", "exp")))
    x = ROWS[0]
    (got,) = apply("cond", np.int32(index), x, out=[aval(3)], branches=branches)
    np.testing.assert_allclose(got, [np.negative, np.sin, np.exp][index](x), rtol=1e-6)


def test_cond_of_a_boolean():
    branches = tuple(map(unary_branch, ("neg", "sin")))
    (got,) = apply("cond", np.bool_(True), ROWS[0], out=[aval(3)], branches=branches)
    np.testing.assert_allclose(got, np.sin(ROWS[0]), rtol=1e-6)


def test_while():
    """(i, x) -> (i + 1, x * factor) while i < limit; limit and factor are constants of the loop."""
    limit, i, x = Var(I), Var(I), Var(F)
    test = equation("lt", [i, limit], [aval(dtype=bool)])
    condition = closed([limit, i, x], [test], test.outvars)
    factor, i, x = Var(F), Var(I), Var(F)
    step, scale = equation("add", [i, literal(1, np.int32)], [I]), equation("mul", [x, factor], [F])
    body = closed([factor, i, x], [step, scale], [step.outvars[0], scale.outvars[0]])
    operands = (np.int32(5), np.float32(2), np.int32(0), np.float32(1))
    params = {"cond_jaxpr": condition, "body_jaxpr": body, "cond_nconsts": 1, "body_nconsts": 1}
    count, value = apply("while", *operands, out=[I, F], **params)
    assert count == 5 and value == 32


def test_while_with_a_predicate_for_each_lane():
    lanes = aval(3, dtype=np.int32)
    i, x = Var(lanes), Var(aval(3, 2))
    test = equation("lt", [i, literal(4, np.int32)], [aval(3, dtype=bool)])
    condition = closed([i, x], [test], test.outvars)
    i, x = Var(lanes), Var(aval(3, 2))
    step, double = equation("add", [i, literal(1, np.int32)], [lanes]), equation("add", [x, x], [aval(3, 2)])
    body = closed([i, x], [step, double], [step.outvars[0], double.outvars[0]])
    params = {"cond_jaxpr": condition, "body_jaxpr": body, "cond_nconsts": 0, "body_nconsts": 0}
    starts = np.array([0, 3, 9], np.int32)
    count, value = apply("while", starts, np.ones((3, 2), np.float32), out=[lanes, aval(3, 2)], **params)
    np.testing.assert_array_equal(count, [4, 4, 9])
    np.testing.assert_array_equal(value, np.repeat([[16.0], [2.0], [1.0]], 2, 1))


def scan_body():
    """(bias, carry, row) -> (carry + row, carry * row + bias)"""
    bias, carry, row = Var(aval(3)), Var(aval(3)), Var(aval(3))
    total, product = equation("add", [carry, row], [aval(3)]), equation("mul", [carry, row], [aval(3)])
    shifted = equation("add", [product.outvars[0], bias], [aval(3)])
    return closed([bias, carry, row], [total, product, shifted], [total.outvars[0], shifted.outvars[0]])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("unroll", [1, 2, 3, 4, 100])
def test_scan(reverse, unroll):
    bias, carry = np.full(3, 0.5, np.float32), np.ones(3, np.float32)
    expected, rows = carry.copy(), np.zeros((4, 3), np.float32)
    for i in reversed(range(4)) if reverse else range(4):
        rows[i] = expected * ROWS[i] + bias
        expected = expected + ROWS[i]
    got = apply(
        "scan",
        bias,
        carry,
        ROWS,
        out=[aval(3), aval(4, 3)],
        jaxpr=scan_body(),
        length=4,
        reverse=reverse,
        unroll=unroll,
        num_consts=1,
        num_carry=1,
        linear=None,
    )
    np.testing.assert_array_equal(got[0], expected)
    np.testing.assert_array_equal(got[1], rows)


def test_scan_of_length_zero():
    got = apply(
        "scan",
        np.zeros(3, np.float32),
        np.ones(3, np.float32),
        ROWS[:0],
        out=[aval(3), aval(0, 3)],
        jaxpr=scan_body(),
        length=0,
        reverse=False,
        unroll=1,
        num_consts=1,
        num_carry=1,
    )
    np.testing.assert_array_equal(got[0], np.ones(3))
    assert got[1].shape == (0, 3)
