"""Weak types survive differentiation and loops, so that results do not widen a program's dtypes."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax


@pytest.mark.parametrize(
    "fun",
    [
        cnp.sin,
        lambda x: x,
        lambda x: 3.0,
        lambda x: x * x,
        lambda x: cnp.where(x > 0, x, 0.0),
        lambda x: (x * cnp.ones(3)).sum(),
    ],
)
def test_gradient_of_a_python_number_is_a_weakly_typed_array(fun):
    for transform in (ct.grad(fun), ct.jit(ct.grad(fun)), lambda x: ct.vjp(fun, x)[1](1.0)[0]):
        gradient = transform(2.0)
        assert isinstance(gradient, ct.Array) and gradient.weak_type
        assert (cnp.ones(2, "bfloat16") * gradient).dtype == cnp.bfloat16


def test_gradient_of_an_array_is_not_weakly_typed():
    assert not ct.grad(cnp.sin)(np.float32(2)).weak_type
    assert not ct.grad(lambda x: x.sum())(cnp.ones(3)).weak_type


def test_backward_rules_get_arrays():
    seen = []

    @ct.custom_vjp
    def identity(x):
        return x

    def backward(_, cotangent):
        seen.append(cotangent)
        return (cotangent.astype("float32"),)

    identity.defvjp(lambda x: (x, None), backward)
    assert float(ct.grad(identity)(1.0)) == 1.0
    assert isinstance(seen[0], ct.Array)


def test_linear_transpose_checks_and_returns_arrays():
    transposed = ct.linear_transpose(lambda a, b: a + 2 * b, 1.0, 2.0)(3.0)
    assert [float(x) for x in transposed] == [3.0, 6.0]
    assert all(isinstance(x, ct.Array) for x in transposed)
    with pytest.raises(TypeError, match="cotangent"):
        ct.linear_transpose(lambda x: x, cnp.ones(3))(1.0)


def test_integer_tangents_of_floats_are_refused():
    with pytest.raises(TypeError, match="tangent"):
        ct.jvp(cnp.sin, (1.0,), (1,))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float16"])
def test_loop_indices_take_the_dtype_they_meet(dtype):
    zero = cnp.zeros((), dtype)
    assert lax.fori_loop(0, 4, lambda i, c: c + i, zero).dtype == dtype
    looped = ct.jit(lambda n: lax.fori_loop(0, n, lambda i, c: c + i, zero))(4)
    assert looped.dtype == dtype and int(looped) == 6


def test_jacobians_are_weak_where_what_they_are_of_is():
    f = lambda x, y: {"a": x * y, "b": y}
    y = cnp.ones(3)
    forward, reverse = ct.jacfwd(f, (0, 1))(2.0, y), ct.jacrev(f, (0, 1))(2.0, y)
    assert [x.weak_type for x in ct.tree.leaves(forward)] == [False] * 4
    assert [x.weak_type for x in ct.tree.leaves(reverse)] == [True, False] * 2
    for operator in (ct.jacfwd, ct.jacrev, ct.hessian):
        assert operator(lambda x: x * x * 3)(2.0).weak_type


def test_stacked_results_of_scan_are_weak_as_the_carry_was_given():
    (carry, ys) = ct.lax.scan(lambda c, x: (c * np.float32(2), c), 1.0, None, length=2)
    assert (carry.weak_type, ys.weak_type) == (False, True)
