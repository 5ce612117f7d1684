"""ufuncs: their methods against NumPy's, what they refuse, and how they behave as objects."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from tests.numpy.oracle import check, numbers

BINARY = (
    "add bitwise_and bitwise_or bitwise_xor logaddexp logaddexp2 logical_and logical_or logical_xor maximum minimum "
    "multiply subtract"
).split()
X = numbers((3, 4), "float32")
WHOLE = numbers((3, 4), "int32")


def operand(name):
    return WHOLE if name.startswith(("bitwise", "logical")) else X


@pytest.mark.parametrize("name", BINARY)
def test_methods(name):
    ours, theirs, x = getattr(cnp, name), getattr(np, name), operand(name)
    mask = x > -2
    for axis in (0, -1) if name == "subtract" else (0, -1, None):
        check(ours.reduce(x, axis=axis), theirs.reduce(x, axis=axis), rtol=1e-4)
    check(ours.reduce(x, keepdims=True), theirs.reduce(x, keepdims=True), rtol=1e-4)
    check(ours.accumulate(x, axis=1), theirs.accumulate(x, axis=1), rtol=1e-4)
    check(ours.outer(x, x[0]), theirs.outer(x, x[0]), rtol=1e-4)
    check(
        ours.reduceat(x, np.array([0, 2, 1]), axis=1),
        theirs.reduceat(x, np.array([0, 2, 1]), axis=1),
        rtol=1e-4,
    )
    initial = {"initial": 1} if ours.identity is None or name in ("add", "multiply") else {}
    check(
        ours.reduce(x, axis=1, where=mask, **initial),
        theirs.reduce(x, axis=1, where=mask, **initial),
        rtol=1e-4,
    )
    changed = x.astype(bool) if name.startswith("logical") else x.copy()
    places = np.array([0, 2, 0, -1])
    found = ours.at(changed, places, x[0], inplace=False)
    theirs.at(changed, places, x[0])
    check(found, changed, rtol=1e-4)


@pytest.mark.parametrize("name", ["add", "maximum", "logical_xor", "subtract"])
def test_methods_of_no_elements(name):
    ours, theirs, empty = getattr(cnp, name), getattr(np, name), operand(name)[:, :0]
    check(ours.reduce(empty, axis=0), theirs.reduce(empty, axis=0))
    check(ours.accumulate(empty, axis=0), theirs.accumulate(empty, axis=0))
    if ours.identity is None:
        with pytest.raises(ValueError, match="no identity"):
            ours.reduce(empty, axis=1)
        check(ours.reduce(empty, axis=1, initial=7), theirs.reduce(empty, axis=1, initial=7))
    else:
        check(ours.reduce(empty, axis=1), theirs.reduce(empty, axis=1))


def test_functions_of_python():
    twice = cnp.frompyfunc(lambda x, y: x * 2 + y, 2, 1)
    check(twice(X, X[0]), X * 2 + X[0])
    check(twice.reduce(WHOLE), (WHOLE[0] * 2 + WHOLE[1]) * 2 + WHOLE[2])
    check(twice.accumulate(WHOLE)[1], WHOLE[0] * 2 + WHOLE[1])
    check(ct.jit(lambda x: twice.outer(x, x))(X[0]), X[0][:, None] * 2 + X[0])
    both = cnp.frompyfunc(lambda x: (x + 1, x > 0), 1, 2)
    check(both(X), (X + 1, X > 0))
    less = cnp.frompyfunc(lambda x, y: x < y, 2, 1)  # a result of another dtype than the operands'
    assert less.reduce(WHOLE).dtype == bool and less.accumulate(WHOLE).dtype == bool
    negative = cnp.negative.at(cnp.asarray(X[0]), np.array([1, 1, 2]), inplace=False)
    check(negative, X[0] * np.array([1, 1, -1, 1], np.float32))
    product = cnp.frompyfunc(lambda x, y: x * y, 2, 1, identity=1)
    check(product.reduce(WHOLE, axis=(0, 1)), WHOLE.prod(dtype=np.int32))
    own = cnp.ufunc(lambda x, y: x + y, 2, 1, reduce=lambda a, **options: "mine")
    assert own.reduce(X) == "mine" and own.nargs == 2


def test_derivatives_and_batches_of_methods():
    weights = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    for name in ("logaddexp", "subtract", "maximum"):
        ufunc = getattr(cnp, name)
        loop = np.stack([np.asarray(ufunc.reduce(row)) for row in weights])
        check(ct.vmap(ufunc.reduce)(weights), loop, rtol=1e-5)
        summed = ct.grad(lambda x: ufunc.reduce(x).sum())(cnp.asarray(weights))
        assert abs(float(summed.sum()) - {"logaddexp": 4, "subtract": -4, "maximum": 4}[name]) < 1e-4


REFUSED = [
    (NotImplementedError, "out", lambda: cnp.add(X, X, out=X)),
    (NotImplementedError, "where", lambda: cnp.add(X, X, where=X > 0)),
    (NotImplementedError, "out", lambda: cnp.add.reduce(X, out=X)),
    (NotImplementedError, "inplace=False", lambda: cnp.add.at(X, 0, 1.0)),
    (TypeError, "operands", lambda: cnp.add.at(X, 0, inplace=False)),
    (ValueError, "binary", lambda: cnp.negative.reduce(X)),
    (ValueError, "binary", lambda: cnp.negative.outer(X, X)),
    (ValueError, "single value", lambda: cnp.frompyfunc(lambda x, y: (x, y), 2, 2).reduce(X)),
    (ValueError, "initial", lambda: cnp.maximum.reduce(X, where=X > 0)),
    (ValueError, "reorderable", lambda: cnp.subtract.reduce(X, axis=(0, 1))),
    (ValueError, "integer axis", lambda: cnp.add.reduceat(X, np.array([0]), axis=None)),
    (IndexError, "indices", lambda: cnp.add.reduceat(X, np.array([0, 9]))),
    (TypeError, "requires ndarray", lambda: cnp.add.reduce([1, 2])),
    (TypeError, "missing 1 required", lambda: cnp.add(X)),
    (TypeError, "scalars", lambda: cnp.frompyfunc(3, 1, 1)),
    (TypeError, "operands", lambda: cnp.frompyfunc(lambda x: x, 1, 1)(X, X)),
]


@pytest.mark.parametrize(("kind", "message", "call"), REFUSED)
def test_what_is_refused(kind, message, call):
    with pytest.raises(kind, match=message):
        call()


def test_objects():
    assert isinstance(cnp.add, cnp.ufunc) and not isinstance(cnp.divide, cnp.ufunc)
    assert (cnp.add.nin, cnp.add.nout, cnp.add.nargs, cnp.add.identity) == (2, 1, 2, 0)
    assert pickle.loads(pickle.dumps(cnp.add)) is cnp.add and copy.deepcopy(cnp.add) is cnp.add
    assert repr(cnp.add) == "<canter.numpy.ufunc 'add'>" and cnp.add.__name__ == "add"

    def f(x, y):
        return x + y

    assert cnp.frompyfunc(f, 2, 1) == cnp.frompyfunc(f, 2, 1) != cnp.frompyfunc(f, 2, 1, identity=0)
    assert len({cnp.frompyfunc(f, 2, 1), cnp.frompyfunc(f, 2, 1)}) == 1
    check(ct.jit(cnp.add)(X, 1), X + 1)
    check(ct.vmap(cnp.add)(X, X), X + X)
    names = [e.primitive.name for e in ct.make_jaxpr(lambda x: cnp.add(x, cnp.multiply(x, x)))(X).eqns]
    assert names == ["mul", "add"]


# --- files --------------------------------------------------------------------------------------


def test_files(tmp_path):
    for dtype in ("float32", "bfloat16", "int8", "bool", "complex64"):
        file = io.BytesIO()
        x = cnp.arange(3).astype(dtype)
        cnp.save(file, x)
        file.seek(0)
        again = cnp.load(file)
        assert again.dtype == x.dtype and (again == x).all()
    cnp.savez(tmp_path / "both.npz", a=cnp.ones(2), b=cnp.arange(3))
    with cnp.load(tmp_path / "both.npz") as archive:
        assert sorted(archive) == ["a", "b"] and archive["b"].tolist() == [0, 1, 2]
    np.arange(4, dtype=np.int16).tofile(tmp_path / "raw")
    check(cnp.fromfile(tmp_path / "raw", "int16", count=2, offset=2), np.array([1, 2], np.int16))
    with pytest.raises(ValueError, match="sep"):
        cnp.fromstring("1 2", sep="")
