"""Objects that stand for an array by `__jax_array__` and pass on its attributes."""

import operator

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp


class Wrapper:
    """Has every attribute of the array that it holds, and is no array."""

    def __init__(self, value):
        self.value = value

    def __jax_array__(self):
        return self.value

    def __getattr__(self, name):
        return getattr(object.__getattribute__(self, "value"), name)


@pytest.mark.parametrize("op", [operator.matmul, operator.add, operator.mul])
def test_array_operators_with_a_wrapped_traced_value(op):
    x = np.arange(9, dtype=np.float32).reshape(3, 3)
    ys = np.arange(18, dtype=np.float32).reshape(2, 3, 3)
    array = cnp.asarray(x)
    want = np.stack([op(x, y) for y in ys])
    np.testing.assert_array_equal(ct.vmap(lambda y: op(array, Wrapper(y)))(ys), want)
    np.testing.assert_array_equal(ct.jit(lambda y: op(array, Wrapper(y)))(ys[1]), want[1])
    np.testing.assert_array_equal(op(array, Wrapper(cnp.asarray(ys[1]))), want[1])
