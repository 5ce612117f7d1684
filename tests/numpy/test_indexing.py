"""Indexing against NumPy: a table of index expressions, eagerly, jitted, traced indices, gradients."""

from __future__ import annotations

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from tests.numpy.oracle import check

X = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
I1, I2 = np.array([0, 1, 1]), np.array([2, 0, -1])
M2 = np.array([[0, 1], [1, 0]])

EXPRESSIONS = [
    "0", "-1", "1, 2", "1, 2, 3", "-2, -3, -4", "...", "()", "None", "0, ...", "..., 0", "..., 0, :", "0, ..., 1",
    ":", "1:", ":1", "::-1", "0:2:2", "::2, ::-2", ":, 1:3, ::-1", ":, ::2, 1::2", "1:1", "2:0", "-1:", ":-1", "5:9",
    ":, :, -3:-1", "::-1, ::-1, ::-1", "1, :, 2", ":, 1, 1:3", "None, 0, None, 1:", ":, None", "..., None",
    "None, ..., None", "0, None", "True", "False", "True, 0", "None, True",
    "I1", "I1, I2", "I1, I2, I1", ":, I2", ":, :, I1", "..., I1", "I1, :, I2", "I1, ..., I2", ":, I1, I2", "0, I2",
    "0, :, I2", "I1, 1", "I1, :, 1", ":, I1, 1", ":, 1, I1", "M2", "M2, M2", "M2, :, M2", ":, M2", "I1[:, None], I2",
    "I1[:, None], :, I2", "1:, I2", ":, I2, 1:3", ":, I2, ::2", ":, I2, ::-1", "::-1, I2", "::-1, :, I1", "I1, None",
    "None, I1", "I1, None, I2", "I1, 1:, None", "I1, ::-1, None, I2", "np.array(1)", "np.array(1), :, np.array(2)",
    "np.int8(1)", "np.array([1], np.uint8)", "np.array([], np.int32)", ":, np.array([], np.int32), 0",
    "X > 5", "X[:, 0, 0] > 5", "X[:, :, 0] > 5", ":, X[0, :, 0] > 2", "X > 100",
    "X[:, 0, 0] > 5, 1", "X[:, 0, 0] > -1, I1[:2]", "np.array(True)", "slice(0, 2), slice(None, None, 3)",
    "0:1, I1, 0:2", "I1[0], I2", "np.ix_([0, 1], [2, 0])", "np.s_[1:, ..., ::2]", "..., np.array([[1], [2]])",
]  # fmt: skip


def take(x, expression):
    return eval(f"x[{expression}]", {"x": x, "np": np, "X": X, "I1": I1, "I2": I2, "M2": M2})


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_index_expressions(expression):
    wanted = take(X, expression)
    check(take(cnp.asarray(X), expression), wanted)
    check(ct.jit(lambda x: take(x, expression))(X), wanted)


@pytest.mark.parametrize("expression", EXPRESSIONS[::3])
def test_gradient_counts_how_often_an_element_is_taken(expression):
    counts = np.zeros_like(X)
    places = take(np.arange(X.size).reshape(X.shape), expression)
    np.add.at(counts.reshape(-1), np.ravel(places), 1)
    check(ct.grad(lambda x: cnp.sum(take(x, expression)))(X), counts)


def test_traced_and_device_indices():
    x = cnp.asarray(X)
    for f, args in [
        (lambda a, i: a[i], (1,)),
        (lambda a, i: a[i], (-1,)),
        (lambda a, i, j: a[i, j], (1, -2)),
        (lambda a, i: a[:, i, 1:3], (2,)),
        (lambda a, i: a[i, ::-1], (0,)),
        (lambda a, i: a[..., i], (-4,)),
        (lambda a, i: a[i, 0, i], (1,)),
        (lambda a, i: a[i], (I1,)),
        (lambda a, i, j: a[i, :, j], (I1, I2)),
        (lambda a, i, j: a[i, j, ::2], (I1, -1)),
        (lambda a, i: a[:, i, None], (I2,)),
    ]:
        wanted = f(X, *args)
        check(ct.jit(f)(x, *args), wanted)
        check(f(x, *(cnp.asarray(i) for i in args)), wanted)
    check(ct.vmap(lambda i: x[i, 0])(np.array([0, 1])), X[[0, 1], 0])
    check(ct.vmap(lambda a, i: a[i], in_axes=(0, 0))(x, np.array([2, 0])), X[[0, 1], [2, 0]])


def test_every_position_uses_one_executable():
    x = cnp.arange(100.0)
    x[0], x[1:11], x[::2]
    from canter.numpy import indexing

    compiled = indexing._row.__closure__
    assert compiled is not None
    for i in range(-100, 100, 7):
        assert float(x[i]) == float(np.arange(100.0)[i])
    for i in range(0, 80, 9):
        check(x[i : i + 10], np.arange(100, dtype=np.float32)[i : i + 10])


OUT_OF_BOUNDS = ["2", "-3", "0, 3", "0, 0, -5", ":, 3", "..., 4", "np.array([0, 2])", ":, np.array([-4])"]


@pytest.mark.parametrize("expression", OUT_OF_BOUNDS)
def test_static_indices_out_of_bounds_raise(expression):
    with pytest.raises(IndexError, match="out of bounds for axis"):
        take(cnp.asarray(X), expression)
    with pytest.raises(IndexError, match="out of bounds for axis"):
        ct.jit(lambda x: take(x, expression))(X)


def test_traced_indices_out_of_bounds_take_the_nearest():
    x = cnp.arange(5.0)
    assert ct.jit(lambda x, i: x[i])(x, 10) == 4
    assert ct.jit(lambda x, i: x[i])(x, -10) == 0
    assert x[cnp.array([10])][0] == 4


MISTAKES = [
    ("1.0", TypeError, "integer or boolean type"),
    ("np.array([1.0])", TypeError, "integer or boolean type"),
    ("'a'", TypeError, "strings"),
    ("[0, 1]", TypeError, r"x\[array\(seq\)\]"),
    ("0, 0, 0, 0", IndexError, "Too many indices"),
    ("..., ..., 0", IndexError, "single ellipsis"),
    ("np.ones(3, bool)", IndexError, "boolean index did not match"),
    ("I1, np.array([0, 1])", IndexError, "could not be broadcast"),
    ("slice(0.5, None)", TypeError, "Slice entries"),
]


@pytest.mark.parametrize(("expression", "error", "message"), MISTAKES)
def test_mistakes(expression, error, message):
    with pytest.raises(error, match=message):
        take(cnp.asarray(X), expression)


def test_traced_masks_and_slices_name_the_way_out():
    with pytest.raises(ct.errors.NonConcreteBooleanIndexError, match="where"):
        ct.jit(lambda x: x[x > 3])(X)
    with pytest.raises(IndexError, match="dynamic_slice"):
        ct.jit(lambda x, i: x[i:])(X, 1)
    with pytest.raises(TypeError, match=r"\.at\[idx\]"):
        cnp.zeros(3)[0] = 1.0


def test_static_indices_are_slices_in_the_jaxpr():
    def primitives(f):
        return [eqn.primitive.name for eqn in ct.make_jaxpr(f)(X).eqns]

    assert primitives(lambda x: x[1]) == ["slice", "squeeze"]
    assert primitives(lambda x: x[:, ::2]) == ["slice"]
    assert primitives(lambda x: x[...]) == []
    assert primitives(lambda x: x[::-1]) == ["rev"]


# --- take and its kin ---------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("indices", [1, [0, 1, 0], [[0], [-1]]])
def test_take(axis, indices):
    indices = np.array(indices)
    check(cnp.take(X, indices, axis=axis), np.take(X, indices, axis=axis))
    check(ct.jit(lambda x, i: cnp.take(x, i, axis=axis))(X, indices), np.take(X, indices, axis=axis))


def test_take_modes():
    x, i = np.arange(5.0, dtype=np.float32), np.array([-1, 7, -9])
    check(cnp.take(x, i), np.array([4, np.nan, np.nan], np.float32))
    check(cnp.take(x, i, mode="clip"), np.take(x, i, mode="clip"))
    check(cnp.take(x, i, mode="wrap"), np.take(x, i, mode="wrap"))
    check(cnp.take(x, i, fill_value=-1.0), np.array([4, -1, -1], np.float32))
    assert cnp.take(np.arange(5), np.array([9]))[0] == np.iinfo(np.int32).min
    assert cnp.take(np.arange(5, dtype=np.uint8), np.array([9]))[0] == 255
    with pytest.raises(NotImplementedError):
        cnp.take(x, i, mode="raise")
    with pytest.raises(TypeError, match="integer indices"):
        cnp.take(x, np.array([1.0]))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_take_along_axis(axis):
    order = np.argsort(-X, axis)
    check(cnp.take_along_axis(X, order, axis), np.take_along_axis(X, order, axis))
    thin = np.argmax(X, axis, keepdims=True)
    check(cnp.take_along_axis(X, thin, axis), np.take_along_axis(X, thin, axis))
    grad = ct.grad(lambda x: cnp.sum(cnp.take_along_axis(x, thin, axis)))(X)
    wanted = np.zeros_like(X)
    np.put_along_axis(wanted, thin, 1, axis)
    check(grad, wanted)


def test_take_along_axis_broadcasts():
    check(cnp.take_along_axis(X, np.array([[[1]]]), 2), X[:, :, 1:2])
    check(cnp.take_along_axis(X[:1], np.array([[[0, 1]], [[2, 3]]]), 2), np.stack([X[0][:, :2], X[0][:, 2:]]))
    check(cnp.take_along_axis(X[0, 0], np.array([7, -1]), None), np.array([np.nan, 3.0], np.float32))
