"""Reshape, broadcast, transpose, concatenate, pad, split, ...: values, derivatives, batching, errors."""

import numpy as np
import pytest

import canter as ct
from canter import lax

from .rule_checks import Case, rule_tests


def floats(*shapes):
    return lambda rng: tuple(rng.normal(size=shape) for shape in shapes)


def np_pad(x, value, config):
    """Padding written out element by element."""
    for axis, (low, high, interior) in enumerate(config):
        x = np.moveaxis(x, axis, 0)
        rows = []
        for i, row in enumerate(x):
            rows += [row] + [np.full_like(row, value)] * (interior if i < len(x) - 1 else 0)
        blank = [np.full(x.shape[1:], value, x.dtype)]
        rows = blank * max(low, 0) + rows + blank * max(high, 0)
        rows = rows[max(-low, 0) : len(rows) - max(-high, 0)]
        x = np.moveaxis(np.array(rows).reshape(len(rows), *x.shape[1:]), 0, axis)
    return x


PADS = (((1, 2, 0), (0, 0, 1)), ((-1, 1, 2), (2, -2, 0)), ((0, -1, 1), (-1, -1, 1)))

CASES = [
    Case("reshape", lambda x: lax.reshape(x, (3, 4)), floats((2, 6)), lambda x: x.reshape(3, 4)),
    Case("reshape order", lambda x: lax.reshape(x, (6,), (1, 0)), floats((2, 3)), lambda x: x.T.reshape(6)),
    Case("reshape scalar", lambda x: lax.reshape(x, ()), floats((1, 1)), lambda x: x.reshape(())),
    Case("collapse", lambda x: lax.collapse(x, 1, 3), floats((2, 3, 2, 2)), lambda x: x.reshape(2, 6, 2)),
    Case(
        "broadcast_in_dim",
        lambda x: lax.broadcast_in_dim(x, (2, 3, 4), (0, 2)),
        floats((2, 4)),
        lambda x: np.broadcast_to(x[:, None], (2, 3, 4)),
    ),
    Case(
        "broadcast_in_dim ones",
        lambda x: lax.broadcast_in_dim(x, (2, 3, 4), (1, 2)),
        floats((3, 1)),
        lambda x: np.broadcast_to(x[None], (2, 3, 4)),
    ),
    Case(
        "broadcast_in_dim permuted",
        lambda x: lax.broadcast_in_dim(x, (2, 3, 4), (2, 0)),
        floats((4, 2)),
        lambda x: np.broadcast_to(x.T[:, None], (2, 3, 4)),
    ),
    Case("broadcast scalar", lambda x: lax.broadcast(x, (2, 3)), floats(()), lambda x: np.full((2, 3), x)),
    Case("broadcast_to_rank", lambda x: lax.broadcast_to_rank(x, 3), floats((2,)), lambda x: x[None, None]),
    Case("expand_dims", lambda x: lax.expand_dims(x, (0, -1)), floats((2, 3)), lambda x: x[None, ..., None]),
    Case("squeeze", lambda x: lax.squeeze(x, (0, -1)), floats((1, 3, 1)), lambda x: x[0, :, 0]),
    Case(
        "transpose", lambda x: lax.transpose(x, (2, 0, 1)), floats((2, 3, 4)), lambda x: x.transpose(2, 0, 1)
    ),
    Case("rev", lambda x: lax.rev(x, (0, 2)), floats((2, 3, 4)), lambda x: x[::-1, :, ::-1]),
    Case("tile", lambda x: lax.tile(x, (2, 3)), floats((2, 3)), lambda x: np.tile(x, (2, 3))),
    Case(
        "concatenate",
        lambda x, y: lax.concatenate([x, y, x], 1),
        floats((2, 3), (2, 1)),
        lambda x, y: np.concatenate([x, y, x], 1),
    ),
    Case("concatenate rows", lambda x: lax.concatenate(x, 0), floats((2, 3)), lambda x: x.reshape(6)),
    Case(
        "stack", lambda x, y: lax.stack([x, y], -1), floats((2, 3), (2, 3)), lambda x, y: np.stack([x, y], -1)
    ),
    Case("unstack", lambda x: lax.unstack(x, -1), floats((2, 3)), lambda x: list(x.T)),
    Case("split", lambda x: lax.split(x, (1, 0, 2), -1), floats((2, 3)), lambda x: np.split(x, (1, 1), 1)),
    *(
        Case(
            f"pad {i}",
            lambda x, v, c=c: lax.pad(x, v, c),
            floats((2, 3), ()),
            lambda x, v, c=c: np_pad(x, v, c),
        )
        for i, c in enumerate(PADS)
    ),
]


test_values, test_derivatives, test_batching = rule_tests(CASES)


def test_nothing_to_do_returns_the_operand():
    x = lax.full((2, 3), 1.0)
    for same in (
        lax.reshape(x, (2, 3)),
        lax.reshape(x, (2, 3), (0, 1)),
        lax.broadcast_in_dim(x, (2, 3), (0, 1)),
        lax.broadcast(x, ()),
        lax.transpose(x, (0, 1)),
        lax.squeeze(x, ()),
        lax.expand_dims(x, ()),
        lax.concatenate([x], 0),
    ):
        assert same is x


def test_gradient_of_one_operand_of_several():
    gradient = ct.grad(lambda x: lax.reduce_sum(lax.concatenate([x, np.ones(2, np.float32)], 0), (0,)))
    np.testing.assert_array_equal(gradient(np.zeros(3, np.float32)), np.ones(3))
    stacked = ct.grad(lambda x: lax.reduce_sum(lax.stack([np.ones(2, np.float32), x]), (0, 1)))
    np.testing.assert_array_equal(stacked(np.zeros(2, np.float32)), np.ones(2))
    pad = ct.grad(lambda v: lax.reduce_sum(lax.pad(np.ones(2, np.float32), v, ((1, 2, 1),)), (0,)))
    assert float(pad(np.float32(0))) == 4


@pytest.mark.parametrize(
    "shapes, result",
    [
        ((), ()),
        (((2, 3),), (2, 3)),
        (((2, 3), (2, 3)), (2, 3)),
        (((2, 1), (3,)), (2, 3)),
        (((), (4, 1), (1, 5)), (4, 5)),
        (((0, 1), (1, 2)), (0, 2)),
        ((3, (2, 3)), (2, 3)),
    ],
)
def test_broadcast_shapes(shapes, result):
    assert lax.broadcast_shapes(*shapes) == result


def test_other_dtypes_and_weak_types():
    keys = np.arange(6, dtype=np.int8).reshape(2, 3)
    np.testing.assert_array_equal(lax.transpose(keys, (1, 0)), keys.T)
    assert lax.pad(keys, 0, ((1, 0, 0), (0, 0, 0))).dtype == np.int8
    assert lax.broadcast(1.0, (2,)).weak_type
    assert lax.reshape(True, (1,)).dtype == np.bool_


x23 = np.zeros((2, 3), np.float32)

ERRORS = [
    (lambda: lax.reshape(x23, (5,)), TypeError, ["reshape", "(2, 3)", "(5,)", "6", "5"]),
    (lambda: lax.reshape(x23, (-1,)), TypeError, ["reshape", "(-1,)", "(2, 3)"]),
    (lambda: lax.reshape(x23, (6,), (0, 0)), TypeError, ["reshape", "permutation", "(0, 0)"]),
    (lambda: lax.reshape(x23, (2.5,)), TypeError, ["reshape", "2.5"]),
    (lambda: lax.reshape(x23, (6,), out_sharding="x"), TypeError, ["sharding"]),
    (lambda: lax.collapse(x23, 1, 0), ValueError, ["collapse", "1:0", "(2, 3)"]),
    (lambda: lax.broadcast_shapes((2, 3), (4, 3)), ValueError, ["(2, 3)", "(4, 3)", "axis -2"]),
    (lambda: lax.broadcast_in_dim(x23, (2, 4), (0, 1)), TypeError, ["axis 1", "(2, 3)", "(2, 4)"]),
    (lambda: lax.broadcast_in_dim(x23, (2, 3), (0,)), TypeError, ["broadcast_dimensions", "(0,)"]),
    (lambda: lax.broadcast_in_dim(x23, (2, 3), (0, 2)), TypeError, ["not an axis of the result"]),
    (lambda: lax.broadcast_in_dim(x23, (2, 3, 3), (1, 1)), TypeError, ["(1, 1)"]),
    (lambda: lax.broadcast_to_rank(x23, 1), ValueError, ["rank=1", "(2, 3)"]),
    (lambda: lax.expand_dims(x23, (0, 0)), ValueError, ["expand_dims", "repeated"]),
    (lambda: lax.expand_dims(x23, (7,)), ValueError, ["expand_dims", "7"]),
    (lambda: lax.squeeze(x23, (1,)), ValueError, ["squeeze", "axis 1", "(2, 3)", "size 3"]),
    (lambda: lax.squeeze(x23, (5,)), ValueError, ["squeeze", "5"]),
    (lambda: lax.transpose(x23, (0, 0)), TypeError, ["transpose", "(0, 0)", "(2, 3)"]),
    (lambda: lax.transpose(x23, (0,)), TypeError, ["transpose", "(0,)"]),
    (lambda: lax.rev(x23, (-1,)), TypeError, ["rev", "(-1,)"]),
    (lambda: lax.tile(x23, (2,)), TypeError, ["tile", "(2,)", "(2, 3)"]),
    (lambda: lax.concatenate([], 0), ValueError, ["concatenate", "empty"]),
    (lambda: lax.concatenate([x23, x23[0]], 0), TypeError, ["concatenate", "(2, 3)", "(3,)"]),
    (lambda: lax.concatenate([x23, x23[:, :1]], 0), TypeError, ["axis 1", "3 and 1"]),
    (lambda: lax.concatenate([x23, x23.astype(np.int32)], 0), TypeError, ["float32, int32"]),
    (lambda: lax.concatenate([x23, x23], 2), TypeError, ["dimension 2"]),
    (lambda: lax.stack([]), ValueError, ["stack"]),
    (lambda: lax.stack([x23, x23[0]]), TypeError, ["stack", "(2, 3)", "(3,)"]),
    (lambda: lax.split(x23, (1, 1), 1), ValueError, ["split", "(1, 1)", "3", "axis 1"]),
    (lambda: lax.pad(x23, 0.0, ((0, 0, 0),)), ValueError, ["padding_config", "(2, 3)"]),
    (lambda: lax.pad(x23, 0.0, ((0, 0, -1), (0, 0, 0))), ValueError, ["interior"]),
    (lambda: lax.pad(x23, 0.0, ((-2, -2, 0), (0, 0, 0))), ValueError, ["axis 0", "removes"]),
    (lambda: lax.pad(x23, np.int32(0), ((0, 0, 0),) * 2), TypeError, ["float32", "int32"]),
    (lambda: lax.pad(x23, x23, ((0, 0, 0),) * 2), TypeError, ["scalar", "(2, 3)"]),
]


@pytest.mark.parametrize("call, error, words", ERRORS)
def test_errors(call, error, words):
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert message.count("\n") < 15
