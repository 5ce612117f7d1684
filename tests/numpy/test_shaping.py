"""Functions that rearrange, join, split and pad, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from tests.numpy.oracle import check, numbers

X = numbers((2, 3, 4), "float32")
M = numbers((3, 4), "float32", seed=1)
V = numbers((4,), "float32", seed=2)

# the same expression on both modules
SAME = """
np.reshape(X, (4, 6)) | np.reshape(X, -1) | np.reshape(X, (2, -1)) | np.reshape(X, (6, 4), order="F") | np.reshape(X, 24)
np.ravel(X) | np.ravel(M, order="F") | np.transpose(X) | np.transpose(X, (1, 0, 2)) | np.transpose(X, (-1, 0, 1))
np.swapaxes(X, 0, -1) | np.moveaxis(X, 0, -1) | np.moveaxis(X, (0, 1), (2, 0)) | np.rollaxis(X, 2) | np.rollaxis(X, 0, 3)
np.matrix_transpose(X) | np.expand_dims(M, 0) | np.expand_dims(M, (0, -1)) | np.squeeze(X[:, :1]) | np.squeeze(X[:1], 0)
np.flip(X) | np.flip(X, 1) | np.flip(X, (0, 2)) | np.flipud(M) | np.fliplr(M) | np.rot90(M) | np.rot90(M, 2) | np.rot90(M, -1)
np.rot90(X, 3, (0, 2)) | np.broadcast_to(V, (3, 4)) | np.broadcast_to(M[:, :1], (2, 3, 4)) | np.broadcast_arrays(V, M)
np.atleast_1d(V[0]) | np.atleast_2d(V) | np.atleast_3d(V) | np.atleast_3d(M) | np.atleast_2d(V, M)
np.concatenate([M, M]) | np.concatenate([M, M[:, :2]], 1) | np.concatenate([M, V], None) | np.concatenate([M, M], -2)
np.stack([M, M]) | np.stack([M, M], -1) | np.stack([V, V], 1) | np.vstack([V, V]) | np.vstack([M, V]) | np.hstack([V, V])
np.hstack([M, M]) | np.dstack([M, M]) | np.dstack([V, V]) | np.column_stack([V, V]) | np.append(M, V) | np.append(M, M, 0)
np.block([[M, M], [M, M]]) | np.block([V, V]) | np.split(V, 2) | np.split(X, [1, 3], 2) | np.split(V, [3, 1]) | np.split(V, [-1, 9])
np.array_split(V, 3) | np.array_split(X, 2, 1) | np.hsplit(M, 2) | np.vsplit(X, 2) | np.dsplit(X, 4) | np.hsplit(V, 2)
np.unstack(M, axis=1) | np.tile(V, 3) | np.tile(M, (2, 1)) | np.tile(V, (2, 1, 2)) | np.tile(X, (1, 2)) | np.tile(V, 0)
np.repeat(M, 2) | np.repeat(M, 3, 1) | np.repeat(V, [0, 2, 1, 3]) | np.repeat(M, np.array([2, 0, 1]), 0) | np.repeat(V, [0, 0, 0, 0])
np.resize(V, (2, 3)) | np.resize(M, 5) | np.resize(V, (0,)) | np.roll(V, 1) | np.roll(M, 1) | np.roll(M, -2, 1) | np.roll(X, (1, 2), (0, 2))
np.roll(M, 5, (0, 1)) | np.diag(V) | np.diag(V, 2) | np.diag(V, -1) | np.diag(M) | np.diag(M, 1) | np.diag(M, -2) | np.diagflat(M)
np.diagonal(X) | np.diagonal(X, 1, 1, 2) | np.diagonal(X, -1, 0, 2) | np.trace(X) | np.trace(M, 1) | np.trace(X, 0, 2, 1)
np.tril(M) | np.tril(X, 1) | np.triu(M) | np.triu(X, -1) | np.tril(M > 0) | np.tri(3, 4, 1) | np.eye(3) | np.eye(2, 4, -1) | np.identity(2)
np.tril_indices(3) | np.triu_indices(3, 1, 4) | np.diag_indices(3) | np.tril_indices_from(M, -1) | np.vander(V, 3) | np.vander(V, increasing=True)
np.delete(V, 1) | np.delete(M, [0, -1], 1) | np.delete(X, slice(0, 2), 2) | np.delete(V, []) | np.delete(M, V > 0, 1)
np.insert(V, 1, 9.0) | np.insert(V, [0, 2, 2], [7.0, 8.0, 9.0]) | np.insert(M, 1, V, 0) | np.insert(M, -1, 5.0, 1) | np.insert(M, [1, 3], V[:3, None], 1)
np.pad(V, 2) | np.pad(M, ((1, 2), (0, 3))) | np.pad(M, 1, constant_values=7.0) | np.pad(M, (1, 2), constant_values=((1, 2), (3, 4)))
np.pad(V, (2, 3), "edge") | np.pad(M, 2, "edge") | np.pad(V, (3, 2), "reflect") | np.pad(V, (9, 8), "reflect") | np.pad(M, 2, "symmetric")
np.pad(V, (7, 11), "symmetric") | np.pad(V, (2, 3), "wrap") | np.pad(V, (9, 10), "wrap") | np.pad(M, 3, "wrap") | np.pad(V[:1], 3, "reflect")
np.pad(V, (3, 3), "reflect", reflect_type="odd") | np.pad(V, (9, 7), "reflect", reflect_type="odd") | np.pad(V, (3, 6), "symmetric", reflect_type="odd")
np.pad(V, (2, 3), "linear_ramp", end_values=(5, -4)) | np.pad(M, 2, "maximum") | np.pad(M, 1, "mean", stat_length=2) | np.pad(M, 1, "median")
np.pad(V, 2, "minimum", stat_length=(1, 2)) | np.pad(M, ((0, 0), (1, 1)), "edge") | np.meshgrid(V, V[:3]) | np.meshgrid(V, V[:2], indexing="ij")
np.meshgrid(V, V[:2], V[:3], sparse=True) | np.indices((2, 3)) | np.ix_([0, 1], [True, False, True]) | np.mgrid[0:2, 0:3] | np.ogrid[0:2, 0:3]
np.mgrid[0:1:5j] | np.r_[V, 0.5, V] | np.c_[V, V] | np.kron(M, V) | np.unravel_index([5, 7], (2, 4)) | np.ravel_multi_index(([0, 1], [2, 3]), (2, 4))
np.cross(V[:3], V[1:]) | np.cross(M[:, :3], M[:, 1:])
"""  # noqa: E501
EXPRESSIONS = [e.strip() for line in SAME.strip().splitlines() for e in line.split(" | ")]


class Lists:
    """NumPy takes lists where Canter wants arrays: the functions with the lists of an expression converted."""

    def __getattr__(self, name):
        function = getattr(cnp, name)
        if name in ("unravel_index", "repeat", "insert", "ix_") and callable(function):
            return lambda *args, **kwargs: function(
                *(np.array(a) if isinstance(a, list) else a for a in args), **kwargs
            )
        return function


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_same_as_numpy(expression):
    names = {"X": X, "M": M, "V": V}
    wanted = eval(expression, {"np": np, **names})
    arrays = {k: cnp.asarray(v) for k, v in names.items()}
    check(eval(expression, {"np": Lists(), **arrays}), wanted, rtol=1e-5)


@pytest.mark.parametrize("expression", [e for e in EXPRESSIONS[::7] if "delete(M, V" not in e])
def test_same_under_jit(expression):
    wanted = eval(expression, {"np": np, "X": X, "M": M, "V": V})
    found = ct.jit(lambda X, M, V: eval(expression, {"np": Lists(), "X": X, "M": M, "V": V}))(X, M, V)
    check(found, wanted, rtol=1e-5)


def test_traced_roll_and_repeat():
    check(ct.jit(lambda x, s: cnp.roll(x, s, 1))(M, 3), np.roll(M, 3, 1))
    check(ct.jit(lambda x, s: cnp.roll(x, s, (0, 1)))(M, np.array([1, -5])), np.roll(M, (1, -5), (0, 1)))
    got = ct.jit(lambda v, r: cnp.repeat(v, r, total_repeat_length=5))(V, np.array([1, 0, 2, 1]))
    check(got, np.concatenate([np.repeat(V, [1, 0, 2, 1]), V[-1:]]))
    with pytest.raises(ct.errors.ConcretizationTypeError, match="total_repeat_length"):
        ct.jit(cnp.repeat)(V, np.array([1, 0, 2, 1]))


def test_fill_diagonal_and_dtypes():
    wanted = M.copy()
    np.fill_diagonal(wanted, 9)
    check(cnp.fill_diagonal(M, 9, inplace=False), wanted)
    assert cnp.concatenate([cnp.ones(2, "int8"), cnp.ones(2, "bfloat16")]).dtype == "bfloat16"
    assert (
        cnp.stack([1, 2]).weak_type
        and cnp.concatenate([np.ones(1), np.ones(1)], dtype="int32").dtype == "int32"
    )


MISTAKES = [
    (lambda x: x.reshape(5, 5), TypeError, r"shape \(3, 4\) \(size 12\) into shape \(5, 5\)"),
    (lambda x: x.reshape(-1, 5), TypeError, "evenly divide 12"),
    (lambda x: x.reshape(-1, -1), TypeError, "one unknown axis"),
    (lambda x: cnp.concatenate([]), ValueError, "at least one array"),
    (lambda x: cnp.concatenate([1, 2]), ValueError, "Zero-dimensional"),
    (lambda x: cnp.concatenate([x, cnp.ones((2, 3))]), TypeError, "shapes that differ"),
    (lambda x: cnp.stack([x, x.T]), ValueError, "same shape"),
    (lambda x: cnp.split(x, 3, 1), ValueError, "equal division"),
    (lambda x: cnp.transpose(x, (0, 0)), TypeError, "permutation"),
    (lambda x: cnp.squeeze(x, 0), ValueError, "not equal to one"),
    (lambda x: cnp.expand_dims(x, 5), ValueError, "out of bounds"),
    (lambda x: cnp.broadcast_to(x, (2, 2)), ValueError, "Incompatible shapes"),
    (lambda x: cnp.pad(x, 1, "foo"), NotImplementedError, "padding mode"),
    (lambda x: cnp.pad(x, -1), ValueError, "negative"),
    (lambda x: cnp.pad(x, 1, "edge", constant_values=1), ValueError, "keyword"),
    (lambda x: cnp.pad(x, {0: 1}), TypeError, "integral type"),
    (lambda x: ct.jit(lambda n: cnp.zeros(n))(3), TypeError, "static"),
    (lambda x: cnp.repeat(x, np.array([1, 2]), 0), ValueError, "length 1 or"),
]


@pytest.mark.parametrize(("call", "error", "message"), MISTAKES)
def test_mistakes(call, error, message):
    with pytest.raises(error, match=message):
        call(cnp.ones((3, 4)))


def test_gradients_through_rearrangements():
    w = numbers((8,), "float32", seed=9)
    f = lambda x: cnp.sum(w * cnp.pad(cnp.roll(cnp.concatenate([x[::-1], x * 2]), 1)[:6], (1, 1), "reflect"))
    with ct.enable_x64(True):
        x = np.array([0.5, -1.0, 2.0])
        numeric = [(f(x + h) - f(x - h)) / 2e-6 for h in np.eye(3) * 1e-6]
        np.testing.assert_allclose(ct.grad(f)(x), numeric, rtol=1e-6)


def test_axes_may_be_a_range():
    assert cnp.expand_dims(M, range(2)).shape == (1, 1, 3, 4)
    np.testing.assert_array_equal(cnp.squeeze(X[:1, :1], range(2)), X[0, 0])
    np.testing.assert_array_equal(cnp.max(X, axis=range(1, 3)), X.max((1, 2)))
    np.testing.assert_array_equal(cnp.flip(M, range(2)), M[::-1, ::-1])
    np.testing.assert_array_equal(cnp.roll(M, 1, range(2)), np.roll(M, 1, (0, 1)))
