"""`x.at[...]` against NumPy's assignment and `ufunc.at`, eagerly and jitted."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from tests.numpy.oracle import check

X = np.arange(1.0, 13.0, dtype=np.float32).reshape(3, 4)
I1, I2 = np.array([0, 2, 2]), np.array([1, -1, -1])
UNIQUE = np.array([0, 2, 1])  # gradients of repeated assignments are not defined
PLACES = {
    "0": 0, "-1": -1, "1, 2": (1, 2), "1:": slice(1, None), ":, 1:3": (slice(None), slice(1, 3)), "all": slice(None),
    "ellipsis": ..., "::-1": slice(None, None, -1), "::2": slice(None, None, 2), "0, ::2": (0, slice(None, None, 2)),
    "I1": I1, "I1, I2": (I1, I2), ":, I2": (slice(None), I2), "I1, 1:3": (I1, slice(1, 3)), "0, I2": (0, I2),
    "I1, ::2": (I1, slice(None, None, 2)), "None, 0": (None, 0), "mask": X > 5, "rows": X[:, 0] > 1,
    "empty": slice(2, 1),
    "True": True, "no indices": np.array([], int),
}  # fmt: skip
UFUNCS = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "min": np.minimum, "max": np.maximum,
    "divide": np.divide,
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("method", ["set", *UFUNCS])
def test_updates(place, method):
    index = PLACES[place]
    for values in (np.float32(2.5), np.full(X[index].shape[-1:], 2.0, np.float32)):
        wanted = X.copy()
        if method == "set":
            wanted[index] = values
        else:
            UFUNCS[method].at(wanted, index, values)
        check(getattr(cnp.asarray(X).at[index], method)(values), wanted)
        if not (place in ("mask", "rows") and np.ndim(values)):
            check(ct.jit(lambda x, v: getattr(x.at[index], method)(v))(X, values), wanted)


def test_traced_indices_and_masks():
    x = cnp.asarray(X)
    wanted = X.copy()
    wanted[1] = 7
    check(ct.jit(lambda x, i: x.at[i].set(7.0))(x, 1), wanted)
    check(ct.jit(lambda x, i: x.at[i].set(7.0))(x, -2), wanted)
    np.add.at(wanted, (I1, slice(1, 3)), 1)
    check(ct.jit(lambda x, i: x.at[1].set(7.0).at[i, 1:3].add(1.0))(x, I1), wanted)
    check(ct.jit(lambda x: x.at[x > 5].set(0.0))(x), np.where(X > 5, 0, X))
    check(
        ct.jit(lambda x: x.at[x[:, 0] > 4].add(cnp.arange(4.0)))(x),
        np.where(X[:, :1] > 4, X + np.arange(4), X),
    )


def test_out_of_bounds():
    y = cnp.arange(5.0)
    for index in (9, -9, np.array([9]), cnp.array([9])):
        check(y.at[index].set(7.0), np.arange(5, dtype=np.float32))
    check(y.at[9].set(7.0, mode="clip"), np.array([0, 1, 2, 3, 7], np.float32))
    check(y.at[cnp.array([1, 9])].add(1.0), np.array([0, 2, 2, 3, 4], np.float32))
    assert y.at[9].get() == 4 and y.at[9].get(mode="clip") == 4
    assert np.isnan(y.at[9].get(mode="fill")) and y.at[9].get(mode="fill", fill_value=-1.0) == -1
    assert y.at[-1].get(mode="fill", wrap_negative_indices=False, fill_value=3.5) == 3.5
    check(y.at[cnp.array([-1])].set(9.0, wrap_negative_indices=False), np.arange(5, dtype=np.float32))
    assert cnp.arange(5).at[9].get(mode="fill") == np.iinfo(np.int32).min


def test_power_apply_and_aliases():
    y = cnp.arange(5.0)
    check(y.at[2:].power(2.0), np.array([0, 1, 4, 9, 16], np.float32))
    check(y.at[cnp.array([2, 2])].power(2.0), np.array([0, 1, 16, 3, 4], np.float32))
    check(y.at[1:3].apply(cnp.negative), np.array([0, -1, -2, 3, 4], np.float32))
    check(y.at[cnp.array([1, 1])].apply(lambda v: v * 2), np.array([0, 4, 2, 3, 4], np.float32))
    check(y.at[1].mul(3.0), np.array([0, 3, 2, 3, 4], np.float32))
    check(y.at[:2].set([5, 6]), np.array([5, 6, 2, 3, 4], np.float32))


def test_dtype_stays_and_unsafe_values_warn():
    with pytest.warns(FutureWarning, match="incompatible types"):
        out = cnp.arange(3).at[1].set(2.7)
    check(out, np.array([0, 2, 2]))
    assert cnp.ones(3, "bfloat16").at[0].add(1).dtype == "bfloat16"
    check(cnp.zeros(3, bool).at[1].set(True), np.array([False, True, False]))
    assert cnp.asarray(1.0).at[()].set(2.0).weak_type


def test_mistakes():
    y = cnp.arange(5.0)
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        y.at[:2].set(cnp.ones(3))
    with pytest.raises(IndexError, match="Too many indices"):
        y.at[:, 0].set(1.0)
    with pytest.raises(TypeError, match="NoneType"):
        y.at[0].set(None)


@pytest.mark.parametrize("place", [p for p in PLACES if p not in ("True", "no indices", "empty")])
def test_gradients_of_set_and_add(place):
    index = PLACES[place]
    weights = np.arange(X.size, dtype=np.float32).reshape(X.shape)
    if isinstance(index, np.ndarray) and index.dtype != bool:
        index = UNIQUE
    elif isinstance(index, tuple):
        index = tuple(UNIQUE if isinstance(i, np.ndarray) else i for i in index)
    size = X[index].shape
    value = np.full(size, 0.5, np.float32)
    dx, dv = ct.grad(lambda x, v: cnp.sum(weights * x.at[index].add(v)), (0, 1))(X, value)
    check(dx, weights)
    check(dv, weights[index])
    if "mask" in place or place == "rows":
        return
    dx, dv = ct.grad(lambda x, v: cnp.sum(weights * x.at[index].set(v)), (0, 1))(X, value)
    wanted = weights.copy()
    wanted[index] = 0
    check(dx, wanted)
    check(dv, weights[index])


def test_vmap():
    got = ct.vmap(lambda x, i: x.at[i].set(0.0))(X, np.array([0, 1, 3]))
    wanted = X.copy()
    wanted[[0, 1, 2], [0, 1, 3]] = 0
    check(got, wanted)


def test_repr():
    assert repr(cnp.zeros(1).at[0]) == "_IndexUpdateRef(Array([0.], dtype=float32), 0)"
    assert operator.attrgetter("array.shape")(cnp.zeros(2).at) == (2,)
