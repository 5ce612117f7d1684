"""Layouts in types: the types of results over explicit mesh axes, their values, derivatives, and errors."""

from __future__ import annotations

import json

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import P, lax
from canter.core.avals import ShapedArray
from canter.core.errors import ShardingTypeError
from canter.core.primitive import Primitive

from . import explicit_cases as cases
from .meshes import mesh as mesh_of

EXPLICIT = ct.sharding.AxisType.Explicit
SHARDING_ERRORS = {"ShardingTypeError", "DuplicateSpecError"}

# What JAX refuses, mostly because an operand that no axis splits has to be brought to the layout of the others
# first, or for reasons of its implementation, and Canter allows.
MORE = """
lax.select(lz, x, z)
lax.select(l, x, z)
jnp.where(x > 0, r, d)
r.at[0].get(out_sharding=P(None))
lax.sort((r, z), dimension=1, num_keys=2)
jnp.linalg.cholesky(t)
jnp.linalg.inv(t)
jax.vmap(lambda a: lax.scan(lambda k, e: (k + e, k), 0.0, a))(r)
jax.grad(lambda a: a.at[0].get(out_sharding=P(None)).sum())(r)
jax.grad(lambda a: jnp.sort(a, 1)[:, 0].sum())(r)
jnp.searchsorted(n, v)
jnp.interp(v, n, n)
""".strip().splitlines()

# JAX raises an error of another class, or takes no notice of out_sharding.
OTHERWISE = ["r.at[ir].add(r)", "r.at[:4].get(out_sharding=P())"]


def explicit_mesh(shape=(4, 2), names=("x", "y"), types=None):
    return ct.make_mesh(shape, names, axis_types=types or (EXPLICIT,) * len(names))


@pytest.fixture(scope="module", autouse=True)
def mesh():
    with ct.set_mesh(explicit_mesh()):
        yield explicit_mesh()


def sharded(shape, *spec, dtype=np.float32):
    values = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    return ct.device_put(values, P(*spec))


def text(x):
    return ct.typeof(x).str_short(True)


def test_types_are_those_of_jax():
    wanted = json.loads(cases.GOLDEN.read_text())
    args = cases.arguments(ct, explicit_mesh())
    differing = {}
    for case in cases.CASES:
        found, golden = cases.outcome(ct, case, args), wanted[case]
        if case in MORE:
            assert golden.endswith("Error"), case
        elif case not in OTHERWISE and found != golden:
            differing[case] = found, golden
    assert not differing
    assert len(cases.CASES) > 400


# A few programs that put many primitives together: compiled once sharded, once not.
PROGRAMS = {
    "elements": lambda x, r, w: (cnp.sin(x) + r * 2, cnp.where(x > 3, x, 0.0), x.astype("int32") // 3),
    "shapes": lambda x, r, w: (
        x.T, r.reshape(4, 2, 4), x[None], cnp.concatenate([r, r], 1), cnp.pad(r, ((0, 0), (1, 1))),
    ),
    "reductions": lambda x, r, w: (x.sum(), x.mean(0), r.max(1), r.argmax(1), x.var(1), cnp.cumsum(r, 1)),
    "products": lambda x, r, w: (
        r @ w,
        cnp.matmul(x, x.T, out_sharding=P("x", None)),
        cnp.einsum("ab,ac->bc", r, r, out_sharding=P(None, "y")),
    ),
    "indices": lambda x, r, w: (
        r[:, 1], r[:4], r.at[:, 0].set(7.0), r.at[cnp.array([1, 5])].get(out_sharding=P(None, "y")), cnp.sort(-r, 1),
    ),
    "control flow": lambda x, r, w: (
        lax.scan(lambda k, a: (k + a, k), cnp.zeros(8, out_sharding=P("x")), ct.reshard(r.T, P(None, "x"))),
        lax.cond(x.sum() > 0, lambda a: a * 2, lambda a: a, x),
        lax.while_loop(lambda a: a.sum() < 1e4, lambda a: a * 3 + 1, x),
    ),
    "vmap": lambda x, r, w: (
        ct.vmap(lambda a: a @ w)(r), ct.vmap(lambda a: cnp.zeros(3))(r), ct.vmap(lambda a: a.reshape(2, 2).T)(r),
    ),
    "derivatives": lambda x, r, w: (
        ct.grad(lambda a, b: cnp.tanh(a @ b).sum(), (0, 1))(r, w),
        ct.grad(lambda a: (cnp.matmul(a, a.T, out_sharding=P("x", None)) ** 2).sum())(x),
        ct.grad(lambda a: ct.nn.softmax(a, 1)[:, 0].sum())(r),
        ct.jvp(lambda a: a.reshape(32), (x,), (x,)),
        ct.hessian(lambda a: (a**3).sum())(r[:, 0]),
    ),
    "random": lambda x, r, w: ct.random.normal(ct.random.key(3), (8, 4), out_sharding=P("x", "y")),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_values_and_layouts_of_results(name, mesh):
    x, r, w = sharded((8, 4), "x", "y"), sharded((8, 4), "x"), sharded((4, 16), None, "y")
    outs = ct.tree.leaves(ct.jit(PROGRAMS[name])(x, r, w))
    one = ct.sharding.Mesh(np.array(ct.devices()[:1]).reshape(1, 1), ("x", "y"), (EXPLICIT,) * 2)
    with ct.set_mesh(one):
        plain = ct.tree.leaves(ct.jit(PROGRAMS[name])(*(np.asarray(a) for a in (x, r, w))))
    for out, value in zip(outs, plain, strict=True):
        np.testing.assert_allclose(out, value, rtol=1e-5, atol=1e-5)
        spec = ct.typeof(out).sharding.spec
        assert out.sharding.is_equivalent_to(ct.NamedSharding(mesh, spec), out.ndim)


def test_types_print_and_stay_with_arrays():
    x = sharded((8, 4), "x", None)
    assert text(x) == "f32[8@x,4]" and str(ct.typeof(x)) == "float32[8@x,4]"
    assert x.aval.sharding.spec == P("x", None)
    assert text(x + 1) == "f32[8@x,4]" and (x + 1).sharding.spec == P("x", None)
    assert text(cnp.zeros((8, 4), out_sharding=P(("x", "y")))) == "f32[8@(x,y),4]"
    assert str(ct.make_jaxpr(lambda a: a * 2)(x)).count("f32[8@x,4]") == 2
    assert text(cnp.ones(8)) == "f32[8]" and cnp.ones(8).sharding.spec == P(None)
    assert ct.typeof(1.0).weak_type and text(x * 2.0) == "f32[8@x,4]"
    parts = ct.make_array_from_callback(
        (8,), ct.NamedSharding(explicit_mesh(), P("y")), lambda i: np.ones(8)[i]
    )
    assert text(parts) == "f32[8@y]"
    struct = ct.ShapeDtypeStruct((8, 4), "float32", sharding=ct.NamedSharding(explicit_mesh(), P("x")))
    assert text(ct.jit(lambda a: a.T).lower(struct).compile()(x)) == "f32[4,8@x]"
    hash(ct.typeof(x))
    assert ct.typeof(x) != ct.typeof(cnp.ones((8, 4)))


def test_sums_that_are_yet_to_be_made():
    x = sharded((8, 4), "x", None)

    def f(a):
        product = cnp.matmul(a.T, a, out_sharding=P(unreduced={"x"}))
        seen.append(text(product))
        return ct.reshard(product + product, P())

    seen = []
    np.testing.assert_allclose(ct.jit(f)(x), 2 * np.asarray(x).T @ np.asarray(x))
    assert seen == ["f32[4,4]{U:x}"]
    with pytest.raises(ShardingTypeError, match="yet to be made"):
        ct.jit(lambda a: cnp.sin(cnp.matmul(a.T, a, out_sharding=P(unreduced={"x"}))))(x)

    def loss(w):
        types.append(text(w))
        return (x @ w).sum()

    types = []

    def gradient(w):
        cotangent = ct.grad(loss)(ct.reshard(w, P(reduced={"x"})))
        types.append(text(cotangent))
        return ct.reshard(cotangent, P())

    np.testing.assert_allclose(
        ct.jit(gradient)(np.ones((4, 4), "f")), np.tile(np.asarray(x).sum(0)[:, None], 4)
    )
    assert types == ["f32[4,4]{R:x}", "f32[4,4]{U:x}"]


def test_axes_change_their_types():
    x = sharded((8, 4), "x", "y")
    inside = []

    @ct.sharding.auto_axes(out_sharding=P("y"))
    def gram(a):
        inside.append((text(a), ct.sharding.get_abstract_mesh().auto_axes))
        return a.T @ a

    for f in (gram, ct.jit(gram)):
        out = f(x)
        assert text(out) == "f32[4@y,4]"
        np.testing.assert_allclose(out, np.asarray(x).T @ np.asarray(x))
    assert set(inside) == {("f32[8,4]", ("x", "y"))}
    part = ct.sharding.auto_axes(
        lambda a: inside.append(text(a)) or a * 2, axes="x", out_sharding=P("x", "y")
    )
    assert text(ct.jit(part)(x)) == "f32[8@x,4@y]" and inside[-1] == "f32[8,4@y]"
    np.testing.assert_allclose(ct.grad(lambda a: gram(a).sum())(x).shape, (8, 4))
    auto = explicit_mesh(types=(ct.sharding.AxisType.Auto,) * 2)
    with ct.set_mesh(auto):
        f = ct.sharding.explicit_axes(lambda a: inside.append(text(a)) or a * 2, in_sharding=P("x"))
        np.testing.assert_allclose(ct.jit(f)(np.ones((8, 4), "f")), 2)
        assert inside[-1] == "f32[8@x,4]"


def test_shard_map_over_explicit_axes(mesh):
    x = sharded((8, 4), "x", "y")
    inside = []

    def f(a):
        inside.append(text(a))
        return a * 2

    out = ct.jit(ct.shard_map(f, out_specs=P("x", "y")))(x)
    assert text(out) == "f32[8@x,4@y]" and inside == ["f32[2,2]{V:(x,y)}"]
    out = ct.jit(ct.shard_map(f, in_specs=P("x"), out_specs=P("x"), axis_names={"x"}))(x)
    assert text(out) == "f32[8@x,4@y]" and inside[-1] == "f32[2,4@y]{V:x}"
    np.testing.assert_allclose(out, 2 * np.asarray(x))
    with pytest.raises(ValueError, match=r"does not match the specs of the input.*reshard"):
        ct.shard_map(f, in_specs=P("y", "x"), out_specs=P("y", "x"))(x)


def test_derivatives_without_jit_under_one_mesh_after_another():
    x = np.arange(6.0, dtype=np.float32)
    for types in ((EXPLICIT,), (ct.sharding.AxisType.Auto,)):
        for names in (("x",), ("y",)):
            with ct.set_mesh(mesh_of((8,), names, types)):
                gradient = ct.grad(lambda x: (cnp.sin(x) * x).sum())(x)
                assert gradient.sharding.mesh == ct.sharding.get_mesh()
            np.testing.assert_allclose(gradient, np.cos(x) * x + np.sin(x), rtol=1e-5)


def test_abstract_meshes_need_no_devices():
    mesh = ct.sharding.AbstractMesh((4, 2), ("x", "y"), EXPLICIT)
    with ct.sharding.use_abstract_mesh(mesh):
        args = cases.arguments(ct, mesh)
        out = ct.eval_shape(lambda x, w: cnp.sum(x, 1), args["x"], args["w"])
        assert out.shape == (8,)
        assert str(ct.make_jaxpr(lambda x: x.sum(1))(args["x"]).out_avals[0]) == "float32[8@x]"
    with pytest.raises(ValueError, match="different meshes"):
        other = ct.sharding.AbstractMesh((8,), "z", EXPLICIT)
        far = ct.ShapeDtypeStruct((8, 4), "float32", sharding=ct.NamedSharding(other, P("z")))
        ct.make_jaxpr(lambda a, b: a + b)(far, args["x"])


def test_two_kinds_of_axes_in_one_mesh():
    with ct.set_mesh(explicit_mesh(types=(EXPLICIT, ct.sharding.AxisType.Auto))):
        x = sharded((8, 4), "x", "y")
        assert text(x) == "f32[8@x,4]"
        out = ct.jit(lambda a, b: cnp.tanh(a) @ b)(x, np.ones((4, 4), "f"))
        assert text(out) == "f32[8@x,4]"
        np.testing.assert_allclose(out, np.tanh(np.asarray(x)) @ np.ones((4, 4)), rtol=1e-5)


ERRORS = {
    "two layouts": (lambda x, r, c: x + c, "dimension 0 is split over 'x' in one.*|dimension 1.*reshard"),
    "one axis twice": (lambda x, r, c: r + c, "mesh axis 'x'.*reshard"),
    "contraction": (lambda x, r, c: r.T @ r, "out_sharding"),
    "reshape": (lambda x, r, c: r.reshape(2, 4, 4), "out_sharding"),
    "index": (lambda x, r, c: r[0], r"out_sharding"),
    "sort": (lambda x, r, c: cnp.sort(r, 0), "whole.*split over x.*reshard"),
    "slice": (lambda x, r, c: lax.slice(r, (0, 0), (3, 4)), "from size 8 to 3.*divisible by 4.*reshard"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_name_the_axis_and_a_fix(name):
    function, message = ERRORS[name]
    x, r, c = sharded((8, 4), "x", "y"), sharded((8, 4), "x"), sharded((8, 4), None, "x")
    with pytest.raises(ShardingTypeError, match=message):
        ct.jit(function)(x, r, c)


def test_programs_with_asked_layouts_are_transformed_and_checked():
    x, t = sharded((8, 4), "x"), sharded((8, 4, 4), "x", None, "y")
    inner = ct.jit(lambda a: cnp.matmul(a.T, a, out_sharding=P(None, "y")))
    with ct.enable_checks(True):
        assert text(ct.jit(ct.vmap(lambda a: cnp.dot(a, a, out_sharding=P())))(x)) == "f32[8@x]"
        out = ct.jit(ct.vmap(inner))(t)
        assert text(out) == "f32[8@x,4,4@y]"
        np.testing.assert_allclose(out, np.swapaxes(t, 1, 2) @ np.asarray(t), rtol=1e-6)
        slope = ct.jit(ct.grad(lambda a: inner(a).sum()))(x)
        assert text(slope) == "f32[8@x,4]"
        np.testing.assert_allclose(slope, 2 * np.tile(np.asarray(x).sum(1)[:, None], 4), rtol=1e-6)


def test_primitives_from_outside_say_themselves_how_results_are_split():
    x = sharded((8, 4), "x")
    for rule, kind in ((lambda x: x, "f32[8@x,4]"), (lambda x: ShapedArray(x.shape, x.dtype), "f32[8,4]")):
        strange = Primitive("strange")
        strange.def_abstract_eval(rule)
        assert ct.make_jaxpr(strange.bind)(x).out_avals[0].str_short(True) == kind


def test_without_an_explicit_mesh_types_are_the_same_objects():
    plain = ct.typeof(np.ones(3, "f"))
    with ct.set_mesh(None):
        auto = ct.make_mesh((8,), ("x",), axis_types=(ct.sharding.AxisType.Auto,))
        x = ct.device_put(np.ones(8, "f"), ct.NamedSharding(auto, P("x")))
        assert ct.typeof(x).layout is None and text(x) == "f32[8]"
        assert plain.layout is None and plain.sharding.mesh.empty


def test_constraints_along_the_automatic_axes_of_a_mesh():
    half = explicit_mesh(types=(EXPLICIT, ct.sharding.AxisType.Auto))
    x = np.arange(32.0, dtype=np.float32).reshape(8, 4)
    with ct.set_mesh(half):
        out = ct.jit(lambda x: lax.with_sharding_constraint(x, P(None, "y")))(ct.device_put(x, P("x")))
        assert str(ct.typeof(out)) == "float32[8@x,4]" and out.sharding.spec == P("x", "y")
        np.testing.assert_array_equal(out, x)
