"""Eager evaluation of primitives, and composites."""

from __future__ import annotations

import numpy as np
import pytest

import canter as ct
from canter import lax
from canter.core import config
from canter.core.primitive import Primitive
from canter.runtime.abstract import make_jaxpr
from canter.runtime.composite import composite, composite_operator
from canter.runtime.jit import jit
from canter_mlir.registry import lower_fun, register_lowering

X = np.arange(4, dtype=np.float32)


def test_primitive_on_concrete_values():
    np.testing.assert_allclose(lax.sin(X), np.sin(X), rtol=1e-6)
    np.testing.assert_array_equal(lax.add(lax.neg(X), X), 0 * X)


def test_one_compilation_per_type():
    function_count = len(lax.tan_p.eval_cache)
    for scale in range(3):
        lax.tan(X * np.float32(scale))
    assert len(lax.tan_p.eval_cache) <= function_count + 1


def test_parameters_are_told_apart():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(lax.transpose(x, (1, 0)), x.T)
    np.testing.assert_array_equal(lax.transpose(x, (0, 1)), x)
    np.testing.assert_array_equal(lax.reshape(x, (3, 2)), x.reshape(3, 2))


@pytest.mark.parametrize("where", ["eager", "jit", "vmap", "vjp"])
def test_equal_numbers_of_other_types_and_signs_are_told_apart(where):
    def written(value):
        """A number for each kind of number, also within tuples."""
        if isinstance(value, tuple):
            return 10.0 + written(value[0])
        kinds = [bool, int, float]
        return 100.0 * kinds.index(type(value)) + (
            50.0 if np.isnan(value) else float(np.copysign(1 + value, value))
        )

    told = Primitive("told")
    told.def_abstract_eval(lambda x, *, k: x.update(shape=(*x.shape, 2) if isinstance(k, bool) else x.shape))
    told.def_batching(lambda args, dims, *, k: (told.bind(*args, k=k), dims[0]))
    told.def_jvp(
        lambda primals, tangents, *, k: (told.bind(*primals, k=k), lax.mul(tangents[0], 2.0 + written(k)))
    )

    def lowered(x, *, k):
        shape = (*x.shape, 2) if isinstance(k, bool) else x.shape
        return lax.full(shape, written(k), x.dtype)

    register_lowering(told, lower_fun(lowered, multiple_results=False))
    apply = {
        "eager": lambda k: told.bind(x, k=k),
        "jit": lambda k: jit(lambda x: told.bind(x, k=k))(x),
        "vmap": lambda k: ct.vmap(lambda x: told.bind(x, k=k))(x),
        "vjp": lambda k: ct.vjp(lambda x: told.bind(x, k=k), x)[0],
    }[where]
    x = ct.device_put(X)
    for k in (True, 1, 1.0, False, 0, 0.0, -0.0, float("nan"), (1,), (1.0,), (0.0,), (-0.0,)):
        expected = np.full((*X.shape, 2) if isinstance(k, bool) else X.shape, written(k), np.float32)
        for _ in range(2):
            np.testing.assert_array_equal(apply(k), expected, err_msg=f"{k!r}")


def test_equal_numbers_in_tuples_are_told_apart_within_a_program():
    told = Primitive("told_within")
    told.def_abstract_eval(lambda x, *, k: x)
    kinds = [bool, int, float]
    lowered = lower_fun(lambda x, *, k: lax.mul(x, float(kinds.index(type(k[0])))), multiple_results=False)
    register_lowering(told, lowered)
    outs = jit(lambda x: [told.bind(x, k=(k,)) for k in (True, 1, 1.0)])(X)
    for factor, out in enumerate(outs):
        np.testing.assert_array_equal(out, X * factor)


def test_a_negative_zero_that_fills_keeps_its_sign():
    x, far = ct.device_put(X), np.array([7])
    calls = {
        "get": lambda v: ct.numpy.asarray(x).at[far].get(mode="fill", fill_value=v),
        "take": lambda v: ct.numpy.take(x, far, fill_value=v),
        "take_along_axis": lambda v: ct.numpy.take_along_axis(x, far, fill_value=v),
        "vjp": lambda v: ct.vjp(lambda x: x.at[far].get(mode="fill", fill_value=v), x)[0],
    }
    for name, call in calls.items():
        for v in (0.0, -0.0, np.float32(0.0), np.float32(-0.0), 0.0):
            assert np.signbit(call(v)).item() == np.signbit(v), (name, v)


def test_impl_is_honoured():
    twice = Primitive("twice")
    twice.def_impl(lambda x: np.asarray(x) * 2)
    np.testing.assert_array_equal(twice.bind(X), X * 2)


def test_disable_jit_still_evaluates():
    with config.disable_jit(True):
        np.testing.assert_allclose(lax.cos(X), np.cos(X), rtol=1e-6)


def test_debug_nans_in_a_primitive():
    with config.debug_nans(True), pytest.raises(FloatingPointError, match="log"):
        lax.log(-1.0)


@composite
def scaled(x, y):
    """Doc."""
    return lax.add(lax.mul(x, y), x)


@composite(static_argnames=("axis",))
def flipped(x, axis=0):
    return lax.rev(x, (axis,))


def test_composite_is_one_call_and_traces_flat():
    for _ in range(2):
        np.testing.assert_array_equal(scaled(X, X), X * X + X)
    closed = make_jaxpr(lambda x: scaled(x, x))(X)
    assert [eqn.primitive.name for eqn in closed.eqns] == ["mul", "add"]
    assert scaled.__name__ == "scaled" and scaled.__doc__ == "Doc."
    inside = make_jaxpr(lambda x: lax.add(x, scaled(X, X)))(X)  # concrete, but a trace is active
    assert [eqn.primitive.name for eqn in inside.eqns] == ["mul", "add", "add"]


def test_composite_static_arguments():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(flipped(x), x[::-1])
    np.testing.assert_array_equal(flipped(x, 1), x[:, ::-1])
    np.testing.assert_array_equal(flipped(x, axis=1), x[:, ::-1])
    np.testing.assert_array_equal(jit(lambda y: flipped(y, axis=1))(x), x[:, ::-1])


def test_operator_composite_leaves_foreign_operands():
    operator = composite_operator(lambda x, y: lax.add(x, y))
    x = lax.neg(X)
    np.testing.assert_array_equal(operator(x, X), 0 * X)
    np.testing.assert_array_equal(operator(x, 1.0), 1 - X)
    for foreign in ("a", None, object(), np.array(["a"])):
        for _ in range(2):
            assert operator(x, foreign) is NotImplemented
    with pytest.raises(TypeError, match="list"):
        operator(x, [1.0])


def test_eager_gradients_survive_results_given_away():
    gradient = ct.grad(lambda x: x)
    gradient(1.0).delete()
    assert float(gradient(1.0)) == 1.0
