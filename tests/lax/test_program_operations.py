"""Composites, tokens, values to keep or without meaning, scaled products."""

import ml_dtypes
import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.core.checker import check_jaxpr
from canter.errors import UnexpectedTracerError

X = np.arange(3, dtype=np.float32)


def printed(fun, *args):
    closed = ct.make_jaxpr(fun)(*args)
    check_jaxpr(closed)
    return " ".join(str(closed).split())


# --- composites


def softmax(x, /, *, axis, note=None):
    return ct.nn.softmax(x, axis)


def test_composite_is_one_equation_and_one_operation():
    tangent = lax.composite(lambda x: lax.sin(x) / lax.cos(x), name="my.tangent", version=2)
    assert printed(tangent, X) == (
        "{ lambda ; a:f32[3]. let b:f32[3] = composite[ attributes=() jaxpr={ lambda ; c:f32[3]. let d:f32[3] = sin c "
        "e:f32[3] = cos c f:f32[3] = div d e in (f,) } name=my.tangent version=2 ] a in (b,) }"
    )
    text = ct.jit(tangent).lower(X).as_text()
    assert 'stablehlo.composite "my.tangent" %arg0 {decomposition = @my.tangent, version = 2 : i32}' in text
    for fun in (tangent, ct.jit(tangent)):
        np.testing.assert_allclose(fun(X), np.tan(X), rtol=1e-5)


@pytest.mark.parametrize(
    "value, attribute",
    [
        ("hello", '"hello"'),
        (True, "true"),
        (2.5, "2.500000e+00 : f64"),
        ((1, ("a", 2)), '[1, ["a", 2]]'),
        ({"k": 1}, "{k = 1 : i64}"),
        (np.float32(2), "2.000000e+00 : f32"),
        (np.int8(3), "3 : i8"),
        (np.dtype("int8"), "i8"),
        (np.arange(2, dtype=np.int8), "dense<[0, 1]> : tensor<2xi8>"),
    ],
)
def test_attributes_of_a_composite(value, attribute):
    operation = lax.composite(softmax, name="my.softmax")
    text = ct.jit(lambda x: operation(x, axis=0, note=value)).lower(X).as_text()
    assert f"composite_attributes = {{axis = 0 : i64, note = {attribute}}}" in text
    assert "note" not in ct.jit(lambda x: operation(x, axis=0, note=None)).lower(X).as_text()


def test_composite_of_trees_captures_constants_but_no_tracers():
    bias = cnp.ones(3)
    operation = lax.composite(lambda x, y: {"sum": x + y["b"] + bias}, name="my.sum")
    out = ct.jit(operation)(X, {"b": 1.0})
    np.testing.assert_array_equal(out["sum"], X + 2)
    with pytest.raises(UnexpectedTracerError, match=r"my\.add.*traced value"):
        ct.jit(lambda z: lax.composite(lambda x: x + z, name="my.add")(X))(X)
    with pytest.raises(UnexpectedTracerError, match="attribute 'note'"):
        ct.jit(lambda z: lax.composite(softmax, name="my.softmax")(X, axis=0, note=z))(X)


def test_what_a_composite_refuses():
    operation = lax.composite(softmax, name="my.softmax")
    with pytest.raises(ValueError, match="no JVP rule"):
        ct.grad(lambda x: operation(x, axis=0).sum())(X)
    with pytest.raises(NotImplementedError, match="batching rule"):
        ct.vmap(lambda x: operation(x, axis=0))(X[None])
    with pytest.raises(TypeError, match="attribute of type function"):
        ct.jit(lambda x: operation(x, axis=0, note=softmax))(X)
    with pytest.raises(ValueError, match="namespace"):
        ct.jit(lax.composite(lambda x: x + 1, name="bare"))(X)
    with pytest.raises(TypeError, match="takes functions"):
        lax.composite(3, name="my.op")


def test_a_custom_rule_makes_a_composite_differentiable():
    @ct.custom_jvp
    def tangent(x):
        return lax.composite(lambda x: lax.sin(x) / lax.cos(x), name="my.tangent")(x)

    tangent.defjvps(lambda dot, out, x: dot * (1 + out * out))
    np.testing.assert_allclose(ct.grad(tangent)(0.5), 1 / np.cos(0.5) ** 2, rtol=1e-5)


# --- scaled products


def test_scaled_dot_multiplies_runs_by_their_scales():
    rng = np.random.default_rng(0)
    lhs = rng.normal(size=(4, 8)).astype(ml_dtypes.float8_e4m3fn)
    rhs = rng.normal(size=(8, 3)).astype(ml_dtypes.float8_e4m3fn)
    lhs_scale = np.exp2(rng.integers(-2, 3, (4, 2))).astype(ml_dtypes.float8_e8m0fnu)
    rhs_scale = np.exp2(rng.integers(-2, 3, (4, 3))).astype(ml_dtypes.float8_e8m0fnu)

    def product(lhs, rhs, lhs_scale, rhs_scale):
        return lax.scaled_dot(
            lhs, rhs, lhs_scale=lhs_scale, rhs_scale=rhs_scale, preferred_element_type=np.float32
        )

    wide = np.repeat(lhs_scale.astype(np.float32), 4, 1), np.repeat(rhs_scale.astype(np.float32), 2, 0)
    expected = (lhs.astype(np.float32) * wide[0]) @ (rhs.astype(np.float32) * wide[1])
    args = lhs, rhs, lhs_scale, rhs_scale
    np.testing.assert_allclose(product(*args), expected, rtol=2e-2, atol=2e-2)
    np.testing.assert_array_equal(ct.jit(product)(*args), product(*args))
    batched = ct.vmap(product, in_axes=(0, None, 0, None))(lhs[None], rhs, lhs_scale[None], rhs_scale)
    np.testing.assert_array_equal(batched[0], product(*args))
    assert "preferred_element_type=float32" in printed(product, *args)
    assert 'stablehlo.composite "xla.scaled_dot"' in ct.jit(product).lower(*args).as_text()


def test_scaled_dot_without_scales_and_with_batches():
    lhs, rhs = np.ones((2, 3, 4), np.float32), np.ones((2, 4, 5), np.float32)
    out = lax.scaled_dot(lhs, rhs)
    assert out.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(np.asarray(out, np.float32), lhs @ rhs)


@pytest.mark.parametrize(
    "lhs, rhs, scale, message",
    [
        ((4, 8), (8, 3), (4, 3), "divisible"),
        ((4, 8), (8, 3), (3, 2), "does not match scale"),
        ((4, 8), (8, 3), (4, 8), "at least 2"),
        ((4, 8), (8, 3), (4,), "same rank"),
        ((4, 8), (6, 3), (4, 2), "does not match RHS"),
        ((8,), (8, 3), (4,), "0-rank and 1-rank"),
    ],
)
def test_scaled_dot_checks_shapes(lhs, rhs, scale, message):
    with pytest.raises(TypeError, match=message):
        lax.scaled_dot(np.ones(lhs), np.ones(rhs), lhs_scale=np.ones(scale))


# --- lifting, keeping, ordering


def test_stage_lifts_into_the_trace():
    assert printed(lambda: lax.stage(3.0)) == "{ lambda ; . let in (3.0:f32[],) }"
    staged = lax.stage(3)
    assert isinstance(staged, ct.Array) and staged.weak_type and staged.dtype == np.int32
    assert ct.grad(lambda x: lax.stage(x) * 2)(1.0) == 2
    np.testing.assert_array_equal(ct.vmap(lambda x: lax.stage(x) * lax.stage(2.0))(X), 2 * X)
    assert ct.jit(lambda x: lax.stage_p.bind(x))(2.0) == 2
    with pytest.raises(TypeError, match="not a valid array"):
        lax.stage([1, 2])


def test_broadcast_like_and_shape_as_value():
    np.testing.assert_array_equal(lax.broadcast_like(X, np.zeros((2, 3))), np.broadcast_to(X, (2, 3)))
    np.testing.assert_array_equal(
        ct.grad(lambda x: lax.broadcast_like(x, np.zeros((2, 3))).sum())(X), [2, 2, 2]
    )
    for shape in ((2, 4), ()):
        with pytest.raises(ValueError, match="Incompatible types for broadcasting"):
            lax.broadcast_like(X, np.zeros(shape))
    assert lax.shape_as_value((2, 3)).tolist() == [2, 3] and lax.shape_as_value(()).shape == (0,)


def test_empty_has_shape_and_dtype():
    assert lax.empty(3, bool).dtype == bool
    assert ct.jit(lambda: lax.empty((2, 3), np.float32))().shape == (2, 3)
    assert lax.empty((2,), ct.random.key(0).dtype).shape == (2,)
    assert "empty[dtype=float32 out_sharding=None shape=(2,)]" in printed(lambda: lax.empty([2], np.float32))
    with pytest.raises(TypeError, match="nonnegative"):
        lax.empty((-1,), np.float32)


def test_dce_sink_keeps_what_nothing_reads():
    def fun(x, **options):
        lax.dce_sink({"a": lax.sin(x)}, **options)
        return x**3

    kept = "dce_sink[prevent_mlir_dce=False]"
    assert kept in printed(ct.jit(fun), 1.0)
    assert kept in printed(ct.grad(fun), 1.0)
    assert kept in printed(ct.vmap(fun), X)
    assert "stablehlo.sine" in ct.jit(fun).lower(1.0).as_text()
    assert (
        "custom_call @dce_sink"
        in ct.jit(fun, static_argnames="prevent_mlir_dce").lower(1.0, prevent_mlir_dce=True).as_text()
    )
    assert ct.jit(fun)(2.0) == 8 and lax.dce_sink(X) is None and lax.dce_sink(2.0) is None
    looped = ct.jit(lambda x: lax.fori_loop(0, 2, lambda _, y: fun(y), x))
    assert looped(1.5) == 1.5**9 and ct.grad(ct.checkpoint(fun))(2.0) == 12


def test_tokens():
    def fun(x):
        token = lax.after_all(lax.create_token(x), lax.create_token())
        return lax.optimization_barrier((x, token))[0] * 2

    assert "c:Tok = create_token d:Tok = after_all b c" in printed(fun, 1.0)
    text = ct.jit(fun).lower(1.0).as_text()
    assert "stablehlo.after_all" in text and "stablehlo.create_token" in text
    assert ct.jit(fun)(2.0) == 4 and fun(2.0) == 4 and ct.grad(fun)(1.0) == 2
    np.testing.assert_array_equal(ct.vmap(fun)(X), 2 * X)
    with pytest.raises(TypeError, match="must be tokens"):
        lax.after_all(1.0)


# --- an operation without a public function


def test_select_and_scatter_adds_to_what_each_window_selects():
    from canter.lax import select_and_scatter_p

    select, scatter = ct.make_jaxpr(lax.ge)(0.0, 0.0), ct.make_jaxpr(lax.add)(0.0, 0.0)
    params = {
        "select_jaxpr": select.jaxpr,
        "select_consts": (),
        "scatter_jaxpr": scatter.jaxpr,
        "scatter_consts": (),
        "window_dimensions": (2,),
        "window_strides": (2,),
        "padding": ((0, 0),),
    }
    operand, source = np.float32([3, 1, 2, 5]), np.float32([10, 20])
    out = ct.jit(lambda x, s: select_and_scatter_p.bind(x, s, np.float32(0), **params))(operand, source)
    np.testing.assert_array_equal(out, [10, 0, 0, 20])
    with pytest.raises(TypeError, match="shape of the windows"):
        ct.make_jaxpr(lambda x: select_and_scatter_p.bind(x, X, np.float32(0), **params))(operand)


def test_device_put_is_reachable_as_a_primitive():
    closed = ct.make_jaxpr(lambda x: ct.device_put(x))(X)
    assert closed.eqns[0].primitive is lax.device_put_p
