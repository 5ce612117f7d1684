"""Gradients outside jit take one compiled call a primitive, and are those of the compiled program."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.core.trace import eval_trace
from canter.runtime import dispatch
from canter.transforms import eager_linearize

X = np.array([0.3, -0.6, 0.8], np.float32)

FUNCTIONS = {
    "sin": lax.sin,
    "tanh": lax.tanh,
    "logistic": lax.logistic,
    "product": lambda x: x * x,
    "quotient": lambda x: 2.0 / (x + 3),
    "power": lambda x: (x + 2) ** 1.5,
    "maximum": lambda x: lax.max(x, 0.1),
    "select": lambda x: lax.select(x > 0, lax.sin(x), x * 3),
    "sum": lambda x: x.sum() * x,
    "maximum of all": lambda x: x.max() * x,
    "cumulative": lambda x: lax.cumprod(x),
    "sort": lambda x: lax.sort((x, lax.neg(x)), num_keys=1)[1],
    "gather": lambda x: x[cnp.array([2, 0, 0])],
    "converted": lambda x: x.astype(np.float16) * 2,
    "integers": lambda x: x * lax.iota(np.int32, 3),
    "matrix": lambda x: cnp.outer(x, x) @ x,
    "cholesky": lambda x: cnp.linalg.cholesky(cnp.outer(x, x) + cnp.eye(3)) @ x,
    "loop": lambda x: lax.fori_loop(0, 3, lambda i, y: lax.sin(y) * x, x),
    "branch": lambda x: lax.cond(True, lax.sin, lax.cos, x),
    "jit": lambda x: ct.jit(lambda y: lax.exp(y) * y)(x),
    "complex": lambda x: abs(lax.complex(x, x * 2)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_are_those_of_the_compiled_program(name):
    fun = FUNCTIONS[name]

    def total(x):
        return (fun(x).astype(np.float32) * np.array([0.5, 2.0, 1.5], np.float32)).sum()

    expected = ct.jit(ct.grad(total))(X)
    np.testing.assert_allclose(ct.grad(total)(X), expected, rtol=2e-5, atol=1e-6)
    value, push = ct.linearize(fun, X)
    direction = np.array([1.0, -2.0, 0.5], np.float32)
    both = ct.jit(lambda x, t: ct.jvp(fun, (x,), (t,)))(X, direction)
    np.testing.assert_allclose(value, both[0], rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(
        push(direction), both[1], rtol=2e-3 if name == "converted" else 2e-5, atol=1e-6
    )


def test_numbers_stay_weak():
    assert ct.grad(lax.sin)(1.0).weak_type
    assert float(ct.grad(lambda x, y: x * y)(2.0, 3.0)) == 3.0
    value, slope = ct.value_and_grad(lambda x: lax.mul(x, 3.0))(2.0)
    assert (float(value), float(slope)) == (6.0, 3.0)


def test_each_primitive_is_one_call(monkeypatch):
    x = cnp.asarray(X[0])
    gradient = ct.grad(lambda x: lax.tanh(lax.sin(x)))
    gradient(x)
    evaluated = []

    def evaluate(primitive, args, params):
        evaluated.append(primitive.name)
        return dispatch.apply_primitive(primitive, args, params)

    monkeypatch.setattr(eval_trace, "evaluate", evaluate)
    for template in eager_linearize._templates.values():
        if template is not None and template.function is not None:
            monkeypatch.setattr(template, "function", _noting(template.function, evaluated))
    gradient(x)
    assert evaluated == ["compiled", "compiled", "mul", "mul"]


def _noting(function, notes):
    def call(*args):
        notes.append("compiled")
        return function(*args)

    return call


def test_clear_caches_forgets():
    ct.grad(lax.sin)(1.0)
    assert eager_linearize._templates
    ct.clear_caches()
    assert not eager_linearize._templates
    assert float(ct.grad(lax.sin)(0.0)) == 1.0


def test_a_deleted_operand_is_named():
    x = cnp.asarray(X)
    x.delete()
    with pytest.raises(RuntimeError, match="deleted"):
        ct.grad(lambda x: lax.sin(x).sum())(x)


def test_programs_among_parameters_are_not_kept():
    before = len(eager_linearize._templates)
    for step in range(3):
        ct.grad(lambda x, k=step: lax.fori_loop(0, 2, lambda i, y: y * (x + k), x).sum())(X)
    keys = list(eager_linearize._templates)[before:]
    assert not any(key[0].name in ("scan", "while") for key in keys)
