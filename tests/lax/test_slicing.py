"""Static and dynamic slices and updates: values, derivatives, batching, clamping, errors."""

import numpy as np
import pytest

import canter as ct
from canter import lax

from .rule_checks import Case, rule_tests


def floats(*shapes):
    return lambda rng: tuple(rng.normal(size=shape) for shape in shapes)


def with_index(*shapes, low=-1, high=3, dtype=np.int32):
    """Float arrays, then one integer scalar."""
    return lambda rng: (*(rng.normal(size=shape) for shape in shapes), dtype(rng.integers(low, high)))


def with_indices(*shapes):
    return lambda rng: (*(rng.normal(size=s) for s in shapes), rng.integers(-2, 4, size=2).astype(np.int32))


def start(i, size, taken):
    return int(np.clip(i + size if i < 0 else i, 0, size - taken))


def np_update(x, u, i, j):
    i, j = start(i, x.shape[0], u.shape[0]), start(j, x.shape[1], u.shape[1])
    x = x.copy()
    x[i : i + u.shape[0], j : j + u.shape[1]] = u
    return x


def np_slice(x, i, j, m, n):
    i, j = start(i, x.shape[0], m), start(j, x.shape[1], n)
    return x[i : i + m, j : j + n]


CASES = [
    Case("slice", lambda x: lax.slice(x, (1, 0), (4, 3), (2, 1)), floats((5, 3)), lambda x: x[1:4:2]),
    Case("slice plain", lambda x: lax.slice(x, (1, 1), (4, 3)), floats((5, 3)), lambda x: x[1:4, 1:3]),
    Case("slice empty", lambda x: lax.slice(x, (2, 0), (2, 3), (3, 1)), floats((5, 3)), lambda x: x[2:2]),
    Case("slice_in_dim", lambda x: lax.slice_in_dim(x, -4, -1, 2, 1), floats((2, 5)), lambda x: x[:, 1:4:2]),
    Case("index_in_dim", lambda x: lax.index_in_dim(x, -1, 1, False), floats((2, 5)), lambda x: x[:, -1]),
    Case(
        "dynamic_slice",
        lambda x, i: lax.dynamic_slice(x, (i, 1), (2, 2)),
        with_index((4, 3)),
        lambda x, i: np_slice(x, i, 1, 2, 2),
    ),
    Case(
        "dynamic_slice vector",
        lambda x, i: lax.dynamic_slice(x, i, (2, 2)),
        with_indices((4, 3)),
        lambda x, i: np_slice(x, *i, 2, 2),
    ),
    Case(
        "dynamic_slice small index",
        lambda x, i: lax.dynamic_slice(x, (i, np.int64(0)), (2, 2)),
        with_index((200, 2), dtype=np.int8),
        lambda x, i: np_slice(x, i, 0, 2, 2),
    ),
    Case(
        "dynamic_slice unsigned",
        lambda x, i: lax.dynamic_slice(x, (i, -2), (2, 2)),
        with_index((4, 5), low=0, dtype=np.uint32),
        lambda x, i: np_slice(x, i, 3, 2, 2),
    ),
    Case(
        "dynamic_slice_in_dim",
        lambda x, i: lax.dynamic_slice_in_dim(x, i, 2, 1),
        with_index((2, 5)),
        lambda x, i: np_slice(x, 0, i, 2, 2),
    ),
    Case(
        "dynamic_index_in_dim",
        lambda x, i: lax.dynamic_index_in_dim(x, i, 1, keepdims=False),
        with_index((2, 5)),
        lambda x, i: np_slice(x, 0, i, 2, 1)[:, 0],
    ),
    Case(
        "dynamic_update_slice",
        lambda x, u, i: lax.dynamic_update_slice(x, u, (i, 1)),
        with_index((4, 3), (2, 1)),
        lambda x, u, i: np_update(x, u, i, 1),
    ),
    Case(
        "dynamic_update_slice vector",
        lambda x, u, i: lax.dynamic_update_slice(x, u, i),
        with_indices((4, 3), (2, 1)),
        lambda x, u, i: np_update(x, u, *i),
    ),
    Case(
        "dynamic_update_slice_in_dim",
        lambda x, u, i: lax.dynamic_update_slice_in_dim(x, u, i, -1),
        with_index((2, 4), (2, 2)),
        lambda x, u, i: np_update(x, u, 0, i),
    ),
    Case(
        "dynamic_update_index_in_dim",
        lambda x, u, i: lax.dynamic_update_index_in_dim(x, u, i, 1),
        with_index((2, 4), (2,)),
        lambda x, u, i: np_update(x, u[:, None], 0, i),
    ),
]


test_values, test_derivatives, test_batching = rule_tests(CASES)


@pytest.mark.parametrize("index", [-9, -1, 0, 4, 9])
def test_static_and_traced_indices_agree(index):
    x = np.arange(5, dtype=np.float32)
    wanted = [x[start(index, 5, 2) : start(index, 5, 2) + 2]]
    np.testing.assert_array_equal([lax.dynamic_slice(x, (index,), (2,))], wanted)
    np.testing.assert_array_equal([ct.jit(lambda i: lax.dynamic_slice(x, (i,), (2,)))(index)], wanted)


def test_negative_starts_can_be_refused():
    x = np.arange(5, dtype=np.float32)
    np.testing.assert_array_equal(lax.dynamic_slice(x, (-1,), (2,), allow_negative_indices=False), x[:2])
    jaxpr = ct.make_jaxpr(lambda i: lax.dynamic_slice(x, (i,), (2,), allow_negative_indices=False))(
        np.int32(1)
    )
    assert [eqn.primitive.name for eqn in jaxpr.eqns] == ["dynamic_slice"]


def test_scalars_have_no_axes_to_slice():
    assert float(lax.dynamic_slice(np.float32(3), (), ())) == 3
    assert float(lax.dynamic_update_slice(np.float32(3), np.float32(4), ())) == 4
    out = ct.vmap(lambda x, u: lax.dynamic_update_slice(x, u, ()))(
        np.zeros(2, np.float32), np.ones(2, np.float32)
    )
    np.testing.assert_array_equal(out, np.ones(2))


def test_an_unbatched_index_stays_a_slice_under_vmap():
    x = np.zeros((3, 4, 5), np.float32)
    jaxpr = ct.make_jaxpr(ct.vmap(lambda x, i: lax.dynamic_index_in_dim(x, i, 1), (0, None)))(x, np.uint32(1))
    assert [eqn.primitive.name for eqn in jaxpr.eqns] == ["dynamic_slice"]


x32 = np.zeros((3, 2), np.float32)

ERRORS = [
    (lambda: lax.slice(x32, (0,), (2,)), TypeError, ["slice", "(3, 2)", "(0,)"]),
    (lambda: lax.slice(x32, (0, -1), (2, 2)), TypeError, ["axis 1", "-1"]),
    (lambda: lax.slice(x32, (2, 0), (1, 2)), TypeError, ["axis 0", "start 2", "limit 1"]),
    (lambda: lax.slice(x32, (0, 0), (4, 2)), TypeError, ["axis 0", "limit 4", "3"]),
    (lambda: lax.slice(x32, (0, 0), (3, 2), (0, 1)), TypeError, ["stride 0"]),
    (lambda: lax.slice_in_dim(x32, 0, 100), TypeError, ["limit 100", "(3, 2)"]),
    (lambda: lax.slice_in_dim(x32, 0, 1, axis=2), ValueError, ["axis 2"]),
    (lambda: lax.index_in_dim(x32, 3), IndexError, ["index 3", "size 3"]),
    (lambda: lax.dynamic_slice(x32, (0,), (1, 1)), ValueError, ["start index", "(3, 2)", "1"]),
    (lambda: lax.dynamic_slice(x32, (0, 0), (1,)), TypeError, ["slice size", "(1,)"]),
    (lambda: lax.dynamic_slice(x32, (0, 0), (4, 1)), TypeError, ["(4, 1)", "(3, 2)", "axis 0"]),
    (lambda: lax.dynamic_slice(x32, (0.0, 0), (1, 1)), TypeError, ["start index 0", "float"]),
    (lambda: lax.dynamic_slice(x32, (np.zeros(2, int), 0), (1, 1)), TypeError, ["scalar", "(2,)"]),
    (lambda: lax.dynamic_slice(x32, np.zeros((2, 2), int), (1, 1)), TypeError, ["(2, 2)"]),
    (
        lambda: lax.dynamic_update_slice(x32, np.ones((4, 1), np.float32), (0, 0)),
        TypeError,
        ["(4, 1)", "(3, 2)"],
    ),
    (lambda: lax.dynamic_update_slice(x32, np.ones(3, np.float32), (0, 0)), TypeError, ["(3,)", "(3, 2)"]),
    (lambda: lax.dynamic_update_slice(x32, np.ones((1, 1), int), (0, 0)), TypeError, ["float32, int32"]),
]


@pytest.mark.parametrize("call, error, words", ERRORS)
def test_errors(call, error, words):
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert all(word in message for word in words), message
