"""The operators, methods and attributes of arrays and tracers."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from tests.numpy.oracle import check, numbers

F, WHOLE = numbers((2, 3), "float32"), numbers((2, 3), "int32", low=1)

OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow,
             operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge, divmod]  # fmt: skip
BITWISE = [operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift]


@pytest.mark.parametrize("op", OPERATORS)
def test_operators_with_arrays_and_numbers(op):
    x, y = np.abs(F) + 1, np.abs(F[::-1]) + 1
    for other in (y, np.float32(2.0), y[0]):
        check(op(cnp.asarray(x), cnp.asarray(other)), op(x, other), rtol=1e-5)
        check(op(cnp.asarray(x), other), op(x, other), rtol=1e-5)
        check(ct.jit(op)(x, other), op(x, other), rtol=1e-5)
    for number in (2, 2.5):
        check(op(cnp.asarray(x), number), op(x, np.float32(number)), rtol=1e-5)
        check(op(number, cnp.asarray(x)), op(np.float32(number), x), rtol=1e-5)
        check(ct.jit(lambda a: op(number, a))(x), op(np.float32(number), x), rtol=1e-5)
    if op not in (operator.truediv,):
        check(op(cnp.asarray(WHOLE), 2), op(WHOLE, 2))


@pytest.mark.parametrize("op", BITWISE)
def test_bitwise_operators(op):
    check(op(cnp.asarray(WHOLE), 3), op(WHOLE, 3))
    check(op(3, cnp.asarray(WHOLE)), op(3, WHOLE))
    check(ct.jit(op)(WHOLE, WHOLE), op(WHOLE, WHOLE))
    if op in (operator.and_, operator.or_, operator.xor):
        check(op(cnp.asarray(WHOLE > 2), WHOLE < 4), op(WHOLE > 2, WHOLE < 4))
    with pytest.raises(TypeError, match="float32"):
        op(cnp.asarray(F), cnp.asarray(F))


@pytest.mark.parametrize("op", [operator.neg, operator.pos, operator.abs])
def test_unary_operators(op):
    check(op(cnp.asarray(F)), op(F))
    check(ct.jit(op)(WHOLE), op(WHOLE))
    check(~cnp.asarray(WHOLE), ~WHOLE)
    check(~cnp.asarray(WHOLE > 2), ~(WHOLE > 2))


def test_matmul_operator():
    check(cnp.asarray(F) @ F.T, F @ F.T, rtol=1e-4)
    check(F @ cnp.asarray(F.T), F @ F.T, rtol=1e-4)


@pytest.mark.parametrize(
    "other", [[1.0], "a", None, object(), {"a": 1}, (1, 2)], ids=lambda v: type(v).__name__
)
@pytest.mark.parametrize("op", [operator.add, operator.mul, operator.lt, operator.matmul, operator.pow])
def test_foreign_operands_are_refused(op, other):
    for left, right in ((cnp.ones(2), other), (other, cnp.ones(2))):
        # A str tries to concatenate or to repeat itself, and says so.
        with pytest.raises(TypeError, match=r"supported|concatenate str|scalar index"):
            op(left, right)
    with pytest.raises(TypeError, match=r"supported|needs an integer"):
        ct.jit(lambda x: op(x, other))(cnp.ones(2))


def test_foreign_operands_have_the_last_word():
    class Other:
        def __radd__(self, x):
            return "added"

        def __eq__(self, x):
            return "equal"

        __hash__ = None

    assert cnp.ones(2) + Other() == "added"
    assert (cnp.ones(2) == Other()) == "equal"
    assert (cnp.ones(2) == None) is False  # noqa: E711
    assert (cnp.ones(2) != "a") is True


def test_operands_that_know_their_array():
    class Holder:
        def __jax_array__(self):
            return cnp.arange(2.0)

    check(cnp.ones(2) + Holder(), np.array([1, 2], np.float32))
    check(ct.jit(lambda x: x * Holder())(np.ones(2, np.float32)), np.array([0, 1], np.float32))


METHODS = """
x.sum() | x.sum(0) | x.sum(axis=1, keepdims=True) | x.prod() | x.max(1) | x.min() | x.mean(0) | x.std()
x.var(axis=1) | x.all() | x.any(0) | x.argmax() | x.argmin(1) | x.argsort() | x.clip(-1, 1) | x.conj()
x.conjugate() | x.copy() | x.cumsum() | x.cumprod(1) | x.diagonal() | x.dot(x.T) | x.flatten() | x.ravel()
x.repeat(2, 1) | x.reshape(3, 2) | x.reshape((3, 2)) | x.reshape(-1) | x.reshape([2, 3]) | x.round(1)
x.squeeze() | x.swapaxes(0, 1) | x.take(np.array([1, 0])) | x.trace() | x.transpose() | x.transpose(1, 0)
x.transpose((1, 0)) | x.T | x.mT | x.real | x.imag | x.astype(int) | x.view(np.int32) | x.view(np.int16)
x.view(np.uint8).view(np.float32) | x.nonzero() | x.byteswap().byteswap() | x[0].searchsorted(x[1])
"""
EXPRESSIONS = [
    e.strip() for line in METHODS.strip().splitlines() for e in line.split(" | ") if "if False" not in e
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_methods(expression):
    wanted = eval(expression, {"x": F, "np": np})
    check(eval(expression, {"x": cnp.asarray(F), "np": np}), wanted, rtol=1e-5)
    if "nonzero" not in expression:
        check(ct.jit(lambda x: eval(expression, {"x": x, "np": np}))(F), wanted, rtol=1e-5)


def test_attributes_and_protocols():
    x = cnp.asarray(F)
    assert (x.shape, x.ndim, x.size, x.itemsize, x.nbytes, x.dtype) == ((2, 3), 2, 6, 4, 24, np.float32)
    assert len(x) == 2 and [r.shape for r in x] == [(3,), (3,)] and x[0, 0].item() == F[0, 0]
    assert x.tolist() == F.tolist() and x.tobytes() == F.tobytes()
    assert 1 in cnp.arange(3) and 7 not in cnp.arange(3)
    assert x.__array_namespace__() is cnp
    assert round(cnp.float32(2.5)) == 2 and round(cnp.float32(2.25), 1) == np.float32(2.2)
    assert x.sort().shape == x.shape and cnp.arange(3).sort(descending=True)[0] == 2
    assert isinstance(x, cnp.ndarray) and np.asarray(x).flags.writeable is False
    ct.jit(lambda t: [len(t) == 2, t.nbytes == 24, t.itemsize == 4, [r.shape for r in t] == [(3,)] * 2])(F)


def test_errors_of_methods():
    x = cnp.asarray(F)
    with pytest.raises(TypeError, match="unhashable"):
        hash(x)
    with pytest.raises(TypeError, match=r"len\(\)"):
        len(cnp.float32(1))
    with pytest.raises(TypeError, match="0-d"):
        iter(cnp.float32(1))
    with pytest.raises(TypeError, match="immutable"):
        x[0] = 1
    with pytest.raises(TypeError, match="delete"):
        del x[0]
    with pytest.raises(ValueError, match="multiple"):
        x.view(np.complex64)


def test_views_of_sizes():
    x = np.arange(8, dtype=np.uint8)
    for dtype in ("uint16", "int32", "float32", "bool"):
        if dtype == "bool":
            check(cnp.asarray(x % 2).view(bool), (x % 2).view(bool))
        else:
            check(cnp.asarray(x).view(dtype), x.view(dtype))
    z = numbers((4,), "complex64")
    check(cnp.asarray(z).view("float32"), z.view(np.float32))
    check(cnp.asarray(z.view(np.float32)).view("complex64"), z)


def test_tracers_record_few_equations():
    def f(x):
        return (x * 2.0 + 1 - x / 3) @ x.T

    names = [e.primitive.name for e in ct.make_jaxpr(f)(F).eqns]
    assert names == ["mul", "add", "div", "sub", "transpose", "dot_general"]
