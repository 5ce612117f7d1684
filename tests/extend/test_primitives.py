"""A primitive of the user's own, with every rule, under every transformation; and its rules in the tables."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.core import ShapedArray
from canter.extend import core, linear_util as lu
from canter.interpreters import ad, batching, mlir, partial_eval as pe, xla


@pytest.fixture(scope="module")
def fma():
    """x * y + z, elementwise, lowered by hand."""
    from jaxlib.mlir.dialects import stablehlo

    p = core.Primitive("fma")

    @p.def_impl
    def impl(x, y, z):
        return xla.apply_primitive(p, x, y, z)

    @p.def_abstract_eval
    def abstract(x, y, z):
        assert x.shape == y.shape == z.shape
        return ShapedArray(x.shape, x.dtype)

    def jvp(primals, tangents):
        x, y, _ = primals
        dx, dy, dz = map(ad.instantiate_zeros, tangents)
        return p.bind(*primals), p.bind(dx, y, p.bind(x, dy, dz))

    def transpose(ct_, x, y, z):
        assert not ad.is_undefined_primal(x) or not ad.is_undefined_primal(y)
        zero = lambda v: lax.full(v.aval.shape, 0, v.aval.dtype) if ad.is_undefined_primal(v) else v
        if ad.is_undefined_primal(x):
            return p.bind(ct_, y, cnp.zeros_like(ct_)), None, ct_ if ad.is_undefined_primal(z) else None
        if ad.is_undefined_primal(y):
            return None, p.bind(x, ct_, cnp.zeros_like(ct_)), ct_ if ad.is_undefined_primal(z) else None
        return None, None, zero(z) * 0 + ct_

    def batch(args, dims):
        size = next(a.shape[d] for a, d in zip(args, dims, strict=True) if d is not None)
        return p.bind(*(batching.bdim_at_front(a, d, size) for a, d in zip(args, dims, strict=True))), 0

    def lower(ctx, x, y, z):
        assert ctx.primitive is p and len(ctx.avals_in) == 3 and ctx.module_context.platforms == ("cpu",)
        return [stablehlo.add(stablehlo.multiply(x, y), z)]

    ad.primitive_jvps[p] = jvp
    ad.primitive_transposes[p] = transpose
    batching.primitive_batchers[p] = batch
    mlir.register_lowering(p, lower)
    mlir.register_lowering(p, lambda *_: pytest.fail("the rule of another platform"), platform="tpu")
    return p


X, Y, Z = np.float32([1, 2, 3]), np.float32([4, 5, 6]), np.float32([7, 8, 9])


def test_evaluation_and_derivatives(fma):
    f = lambda x, y, z: fma.bind(x, y, z)
    np.testing.assert_array_equal(f(X, Y, Z), X * Y + Z)
    np.testing.assert_array_equal(ct.jit(f)(X, Y, Z), X * Y + Z)
    _out, tangent = ct.jvp(f, (X, Y, Z), (Z, X, Y))
    np.testing.assert_array_equal(tangent, Z * Y + X * X + Y)
    for transform in (lambda g: g, ct.jit):
        grads = transform(ct.grad(lambda x, y, z: f(x, y, z).sum(), (0, 1, 2)))(X, Y, Z)
        for got, want in zip(grads, (Y, X, np.ones(3)), strict=True):
            np.testing.assert_array_equal(got, want)
    second = ct.grad(lambda x: ct.grad(lambda x: fma.bind(x, x * x, x).sum())(x).sum())(X)
    np.testing.assert_allclose(second, 6 * X, rtol=1e-6)


def test_vmap_and_loops(fma):
    batch = np.stack([X, Y])
    np.testing.assert_array_equal(ct.vmap(fma.bind, (0, None, None))(batch, Y, Z), batch * Y + Z)
    np.testing.assert_array_equal(ct.vmap(fma.bind, (1, 0, 0))(batch.T, batch, batch), batch * batch + batch)

    def f(x):
        return lax.scan(lambda c, y: (fma.bind(c, c, y), c.sum()), x, batch)[0].sum()

    want = lambda x: ((x * x + batch[0]) ** 2 + batch[1]).sum()
    np.testing.assert_allclose(ct.jit(f)(X), want(X), rtol=1e-6)
    np.testing.assert_allclose(ct.grad(f)(X), ct.grad(want)(X), rtol=1e-6)
    np.testing.assert_allclose(
        ct.vmap(ct.grad(f))(batch), np.stack([ct.grad(want)(b) for b in batch]), rtol=1e-6
    )


def test_tables_are_views_of_the_rules(fma):
    assert ad.primitive_jvps[fma] is fma.jvp_rule
    assert fma in ad.primitive_transposes and fma in set(batching.primitive_batchers)
    assert fma not in pe.dce_rules and len(ad.primitive_jvps) > 100
    assert ad.get_primitive_transpose(fma) is ad.primitive_transposes[fma]
    with pytest.raises(KeyError):
        batching.primitive_batchers[core.Primitive("bare")]
    with pytest.raises(TypeError, match="for a Primitive"):
        ad.primitive_jvps["sin"] = lambda: None
    p = core.Primitive("bare")
    ad.primitive_jvps[p] = lambda *_: None
    del ad.primitive_jvps[p]
    assert p not in ad.primitive_jvps and p.jvp_rule is None


def test_missing_rules_are_named():
    p = core.Primitive("bare")
    with pytest.raises(NotImplementedError, match="bare"):
        ct.make_jaxpr(p.bind)(1.0)
    with pytest.raises(NotImplementedError, match="bare"):
        p.bind(1.0)
    p.def_abstract_eval(lambda x: x)
    for f in (ct.jit(p.bind), ct.grad(p.bind), p.bind):
        with pytest.raises(NotImplementedError, match="bare"):
            f(1.0)
    with pytest.raises(NotImplementedError, match="bare"):
        ct.vmap(p.bind)(X)
    ad.primitive_jvps[p] = lambda primals, tangents: (p.bind(*primals), p.bind(*tangents))
    with pytest.raises(NotImplementedError, match="bare"):
        ct.grad(p.bind)(1.0)
    with pytest.raises(NotImplementedError, match="bare"):
        ad.get_primitive_transpose(p)


def test_a_new_rule_takes_the_place_of_the_old():
    p = core.Primitive("changing")
    p.def_abstract_eval(lambda x: x)
    mlir.register_lowering(p, mlir.lower_fun(lambda x: x + 1, multiple_results=False))
    assert p.bind(1.0) == 2.0
    mlir.register_lowering(p, mlir.lower_fun(lambda x: x + 2, multiple_results=False))
    assert p.bind(1.0) == 3.0
    ad.deflinear2(p, lambda ct_, x: [ct_])
    ad.defjvp(p, lambda t, x: t * 5)
    assert ct.jvp(p.bind, (1.0,), (1.0,))[1] == 5.0
    p.def_abstract_eval(lambda x: ShapedArray(x.shape, np.float32))
    assert ct.eval_shape(p.bind, 1).dtype == np.float32


def test_helpers_that_declare_rules():
    p = core.Primitive("scaled")
    p.def_abstract_eval(lambda x, *, by: ShapedArray(x.shape, x.dtype))
    mlir.register_lowering(p, mlir.lower_fun(lambda x, by: x * by, multiple_results=False))
    ad.deflinear(p, lambda ct_, *, by: [p.bind(ct_, by=by)])
    batching.defvectorized(p)
    f = lambda x: p.bind(cnp.sin(x), by=3.0)
    np.testing.assert_allclose(ct.vmap(ct.grad(f))(X), 3 * np.cos(X), rtol=1e-6)

    q = core.Primitive("product")
    q.def_abstract_eval(lambda x, y: ShapedArray(x.shape or y.shape, x.dtype))
    mlir.register_lowering(q, mlir.lower_fun(lambda x, y: x * y, multiple_results=False))
    ad.defbilinear(q, lambda c, x, y: q.bind(c, y), lambda c, x, y: q.bind(x, c))
    batching.defbroadcasting(q)
    np.testing.assert_allclose(ct.vmap(ct.grad(lambda x: q.bind(x, x)))(X), 2 * X, rtol=1e-6)
    ad.defjvp2(q, lambda t, out, x, y: out * t, None)
    np.testing.assert_allclose(ct.jvp(lambda x: q.bind(x, Y), (X,), (Z,))[1], X * Y * Z, rtol=1e-6)

    r = core.Primitive("total")
    r.def_abstract_eval(
        lambda x, *, axes: ShapedArray([n for i, n in enumerate(x.shape) if i not in axes], x.dtype)
    )
    mlir.register_lowering(r, mlir.lower_fun(lambda x, axes: cnp.sum(x, axes), multiple_results=False))
    batching.defreducer(r)
    np.testing.assert_allclose(ct.vmap(lambda x: r.bind(x, axes=(0,)), 1)(np.outer(X, Y)), X.sum() * Y)


def test_batching_rules_that_see_the_axis():
    p = core.Primitive("position")
    p.def_abstract_eval(lambda x: ShapedArray(x.shape, x.dtype))
    mlir.register_lowering(p, mlir.lower_fun(lambda x: x * 0, multiple_results=False))
    seen = []

    def rule(axis, args, dims):
        seen.append((axis.size, axis.name, axis.spmd_name, axis.explicit_mesh_axis, tuple(dims)))
        return args[0] + cnp.arange(3.0), dims[0]

    batching.fancy_primitive_batchers[p] = rule
    assert batching.fancy_primitive_batchers[p] is rule
    np.testing.assert_array_equal(ct.vmap(p.bind, axis_name="i")(np.zeros(3, np.float32)), [0, 1, 2])
    assert seen == [(3, "i", None, None, (0,))]

    def old_rule(size, name, main_type, args, dims):
        assert (size, name, main_type) == (3, "i", None)
        return args[0] * 2, dims[0]

    batching.axis_primitive_batchers[p] = old_rule
    assert batching.axis_primitive_batchers[p] is old_rule and p in batching.axis_primitive_batchers
    np.testing.assert_array_equal(ct.vmap(p.bind, axis_name="i")(X), 2 * X)


def test_several_results_and_effects_of_lowering():
    from jaxlib.mlir.dialects import stablehlo

    p = core.Primitive("both")
    p.multiple_results = True
    p.def_abstract_eval(lambda x: [x, x])
    mlir.register_lowering(p, lambda ctx, x: [stablehlo.sine(x), stablehlo.cosine(x)], inline=False)
    text = ct.jit(lambda x: p.bind(x) + p.bind(x)).lower(X).as_text()
    assert text.count("stablehlo.sine") == 1 and text.count("call @both") == 2
    for got, want in zip(p.bind(X), (np.sin(X), np.cos(X)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)
    for wrong in (lambda ctx, x: x, lambda ctx, x: None, lambda ctx, x: [x, None]):
        mlir.register_lowering(p, wrong)
        with pytest.raises(ValueError, match="both"):
            p.bind(X)
    with pytest.raises(NotImplementedError, match="unknown platform nope"):
        mlir.register_lowering(p, wrong, platform="nope")


def test_what_a_lowering_rule_can_build():
    p = core.Primitive("built")
    p.def_abstract_eval(lambda x: x)
    found = {}

    def rule(ctx, x):
        ir = mlir.ir
        found["type"] = str(mlir.aval_to_ir_type(ctx.module_context, ctx.avals_in[0]))
        found["types"] = [str(t) for t in mlir.aval_to_ir_types(ctx.avals_in[0])]
        found["dtype"] = str(mlir.dtype_to_ir_type(np.dtype("int8")))
        found["token"] = str(mlir.token_type())
        found["attributes"] = str(mlir.ir_attribute({"a": 1.0, "b": "s", "c": True, "d": (1, np.int32(2))}))
        found["ints"] = f"{mlir.dense_int_array([1, 2])} {mlir.dense_int_elements([1, 2])} {mlir.i32_attr(3)}"
        found["shape"] = str(mlir.shape_tensor(ctx.module_context, [1, 2]).type)
        assert isinstance(x, mlir.Value) and isinstance(ctx, mlir.LoweringRuleContext)
        assert mlir.flatten_ir_values([x, (x, x)]) == [x] * 3
        assert mlir.unflatten_ir_values_like_types([1, 2, 3], ["t", ("u", "v")]) == [1, (2, 3)]
        ctx.module_context.add_keepalive(found)
        two = mlir.ir_constant(np.float32(2))
        assert isinstance(two, ir.Value)
        scaled = mlir.lower_fun(lambda a, b: a * b)(
            ctx.replace(avals_in=[*ctx.avals_in, ShapedArray((), np.float32)]), x, two
        )
        return scaled

    mlir.register_lowering(p, rule)
    mlir.register_lowering(p, lambda ctx, x: mlir.lower_fun(lambda y: [y * 2])(ctx, x), platform="gpu")
    # lower_fun's function gives a sequence by default: one result must be in a list
    with pytest.raises(TypeError):
        p.bind(1.0)
    assert found["type"] == "tensor<f32>" == found["types"][0] and found["dtype"] == "i8"
    assert found["token"] == "!stablehlo.token"
    assert found["attributes"] == '{a = 1.000000e+00 : f64, b = "s", c = true, d = [1, 2 : i32]}'
    assert found["ints"] == "array<i64: 1, 2> dense<[1, 2]> : tensor<2xi64> 3 : i32"
    assert found["shape"] == "tensor<2xi32>"


def test_call_primitives():
    p = core.CallPrimitive("block")
    fun = lu.wrap_init(lambda x: [cnp.sin(x) * x])
    f = lambda x: p.bind(x, subfuns=(fun,))[0]
    jaxpr = ct.make_jaxpr(f)(1.0)
    assert [e.primitive.name for e in jaxpr.eqns] == ["block"]
    np.testing.assert_allclose(f(2.0), np.sin(2) * 2, rtol=1e-6)
    np.testing.assert_allclose(ct.grad(f)(2.0), np.cos(2) * 2 + np.sin(2), rtol=1e-6)
    np.testing.assert_allclose(ct.jit(ct.vmap(f))(X), np.sin(X) * X, rtol=1e-6)
    subfuns, params = p.get_bind_params(jaxpr.eqns[0].params)
    np.testing.assert_allclose(p.bind(*subfuns, 2.0, **params)[0], np.sin(2) * 2, rtol=1e-6)
    p.def_impl(core.call_impl)
    np.testing.assert_allclose(f(2.0), np.sin(2) * 2, rtol=1e-6)
    text = str(ct.make_jaxpr(ct.grad(lambda x: core.primitives.closed_call_p.bind(fun, x)[0]))(1.0))
    assert "closed_call" in text


def test_bind_can_be_taken_over():
    p = core.Primitive("noticed")
    seen = []

    @p.def_bind_with_trace
    def bind(trace, args, avals, params):
        seen.append((avals, params))
        return args[0] * 2

    of_three = [ct.typeof(3)]
    assert p.bind(3, by=1) == 6 and seen == [(of_three, {"by": 1})]
    assert p.bind_with_trace(None, [3], of_three, {"by": 2}) == 6 and seen[1] == (of_three, {"by": 2})


def test_vmap_of_containers():
    class Rows:
        def __init__(self, value):
            self.value = value

    class ByRow:
        pass

    batching.register_vmappable(
        Rows,
        ByRow,
        int,
        lambda convert, index, box, spec: convert(box.value, 0) + index(),
        lambda convert, size, x, spec: Rows(convert(size, x.value, 0)),
        None,
    )
    try:
        out = ct.vmap(lambda x, y: x * y, in_axes=(ByRow(), None), axis_size=3)(Rows(X), 2.0)
        np.testing.assert_array_equal(out, 2 * (X + [0, 1, 2]))
        boxed = ct.vmap(lambda x: Rows(x * 2), out_axes=ByRow())(X)
        np.testing.assert_array_equal(boxed.value, 2 * X)
        with pytest.raises(ValueError, match="stands for a container"):
            ct.vmap(lambda x: x, out_axes=ByRow())(X)
        with pytest.raises(ValueError, match="registered"):
            batching.register_vmappable(Rows, ByRow, int, None, None, None)
    finally:
        batching.unregister_vmappable(Rows)
    np.testing.assert_array_equal(ct.vmap(lambda x: x * 2)(X), 2 * X)
