"""`jit` with shardings."""

import re

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax

from .meshes import P, mesh, named, parts

X = np.arange(128, dtype=np.float32).reshape(8, 16) / 64


def test_shardings_of_arguments_and_results():
    f = ct.jit(lambda t, b: {"m": t["a"] @ b, "s": b.sum()}, in_shardings=({"a": named("x")}, None),
               out_shardings={"m": named("y", "x"), "s": None})  # fmt: skip
    out = f({"a": X}, X.T)
    assert out["m"].sharding == named("y", "x")
    np.testing.assert_allclose(parts(out["m"]), X @ X.T, rtol=1e-5)
    compiled = f.lower({"a": X}, X.T).compile()
    assert compiled.input_shardings[0][0]["a"] == named("x")
    assert compiled.output_shardings["m"] == named("y", "x")
    np.testing.assert_allclose(compiled({"a": X}, X.T)["m"], X @ X.T, rtol=1e-5)
    assert f._cache_size() == 1
    for _ in range(3):
        f({"a": ct.device_put(X, named("x"))}, X.T)


def test_the_module_speaks_shardy():
    f = ct.jit(lambda x: lax.with_sharding_constraint(x * 2, named(None, "x")), in_shardings=named("x", "y"))
    text = f.lower(X).as_text()
    assert 'sdy.mesh @mesh = <["x"=4, "y"=2]>' in text and "mhlo.sharding" not in text
    assert "mhlo.num_partitions = 8" in text
    assert '%arg0: tensor<8x16xf32> {sdy.sharding = #sdy.sharding<@mesh, [{"x"}, {"y"}]>}' in text
    assert 'sdy.sharding_constraint %1 <@mesh, [{}, {"x"}]>' in text
    propagated = f.lower(X).as_text(propagated=True)
    assert re.search(r"stablehlo.multiply .*sdy.sharding_per_value", propagated)
    struct = ct.ShapeDtypeStruct((8, 16), "float32", sharding=named("y"))
    assert ct.jit(lambda x: x + 1).lower(struct).compile().output_shardings == named("y")


def test_constraints():
    f = ct.jit(lambda x: lax.with_sharding_constraint({"u": x, "v": x + 1}, {"u": named("y"), "v": None}))
    assert f(X)["u"].sharding == named("y")
    with ct.set_mesh(mesh()):
        assert ct.jit(lambda x: lax.with_sharding_constraint(x + 1, P("x")))(X).sharding == named("x")
        assert ct.jit(lambda x: x + 1, out_shardings=P("y"))(X).sharding == named("y")
    assert lax.with_sharding_constraint(X, named("x")).sharding == named("x")
    free = ct.jit(lambda x: lax.with_sharding_constraint(x + 1, named(P.UNCONSTRAINED, "y")))
    assert free(ct.device_put(X, named("x"))).sharding == named("x", "y")
    batched = ct.jit(ct.vmap(lambda x: lax.with_sharding_constraint(x, named("x")), spmd_axis_name="y"))
    assert batched(X.T).sharding == named("y", "x")
    gradient = ct.jit(ct.grad(lambda x: (lax.with_sharding_constraint(x, named("x")) ** 2).sum()))(X)
    np.testing.assert_allclose(gradient, 2 * X, rtol=1e-6)
    nested = ct.jit(lambda x: ct.jit(lambda y: y * 2, out_shardings=named("y"))(x) + 0)
    assert nested(X).sharding == named("y")


def test_a_mesh_of_devices_in_another_order():
    other = ct.NamedSharding(mesh(names=("a", "b"), reverse=True), P("b", "a"))
    x = ct.device_put(X, named("x"))
    f = ct.jit(lambda x, y: (x + y, x @ y.T), out_shardings=(other, named("y")))
    for _ in range(2):
        total, product = f(x, ct.device_put(X, other))
        assert total.sharding == other and product.sharding == named("y")
        np.testing.assert_allclose(parts(total), 2 * X, rtol=1e-6)
        np.testing.assert_allclose(parts(product), X @ X.T, rtol=1e-5)


def test_uncommitted_arguments_go_where_the_others_are():
    f = ct.jit(lambda x, y: x * y + 1)
    x = ct.device_put(X, named("x", "y"))
    for other in (cnp.asarray(X), X, 2.0, np.float32(2)):
        for _ in range(2):
            out = f(x, other)
            np.testing.assert_allclose(out, X * np.asarray(other) + 1, rtol=1e-6)
            assert out.sharding == named("x", "y")
    captured = cnp.asarray(X)
    g = ct.jit(lambda x: x + captured)
    for _ in range(2):
        np.testing.assert_allclose(g(x), 2 * X)


def test_donation():
    step = ct.jit(lambda x: x + 1, donate_argnums=0, in_shardings=named("x"), out_shardings=named("x"))
    x = ct.device_put(X, named("x"))
    y = step(x)
    assert x.is_deleted()
    np.testing.assert_allclose(y, X + 1)
    loose = ct.jit(lambda x: x * 2, donate_argnums=0)
    z = loose(y)
    assert y.is_deleted() and z.sharding == named("x")


def test_a_mesh_of_one_device_keeps_its_name():
    one = ct.sharding.Mesh(ct.devices()[:1], "x")
    x = ct.device_put(X, ct.NamedSharding(one, P("x")))
    out = ct.jit(lambda x: x + 1)(x)
    assert isinstance(out.sharding, ct.NamedSharding) and out.sharding.mesh == one
    np.testing.assert_allclose(out, X + 1)


def test_a_training_step_is_the_same_on_one_device_and_on_eight():
    key = ct.random.key(0)
    params = {"w": ct.random.normal(key, (16, 32)) * 0.3, "v": ct.random.normal(key, (32, 4)) * 0.3}

    def loss(params, x):
        return (cnp.tanh(x @ params["w"]) @ params["v"]).var()

    @ct.jit
    def step(params, x):
        value, gradient = ct.value_and_grad(loss)(params, x)
        return ct.tree.map(lambda p, g: p - 0.1 * g, params, gradient), value

    spread = ct.device_put(params, {"w": named(None, "y"), "v": named("y")})
    losses = [[], []]
    for run, (state, x) in enumerate(((params, X), (spread, ct.device_put(X, named("x"))))):
        for _ in range(3):
            state, value = step(state, x)
            losses[run].append(float(value))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert state["w"].sharding.is_equivalent_to(named(None, "y"), 2)


def test_reshard_and_axes_by_type():
    explicit = ct.make_mesh((4, 2), ("x", "y"))
    where = ct.NamedSharding(explicit, P("x"))
    assert ct.reshard(X, where).sharding == where.update(spec=P("x", None))
    assert ct.jit(lambda x: ct.reshard(x + 1, where))(X).sharding == where.update(spec=P("x", None))
    with pytest.raises(ValueError, match="of type Auto"):
        ct.reshard(X, named("x"))
    auto = ct.sharding.auto_axes(lambda x: x @ x.T, out_sharding=where)
    np.testing.assert_allclose(auto(X), X @ X.T, rtol=1e-5)
    assert auto(X).sharding == where.update(spec=P("x", None))
    seen = []
    inside = ct.sharding.explicit_axes(
        lambda x: seen.append(ct.sharding.get_abstract_mesh().explicit_axes) or x, in_sharding=named("x")
    )
    inside(X)
    assert seen == [("x", "y")]


ERRORS = {
    "argument does not divide": (
        lambda: ct.jit(lambda x: x, in_shardings=named("x"))(X[:3]),
        ValueError, "argument x of .*f32.3,16..*axis 0 is partitioned 4 times.*Pad",
    ),
    "result does not divide": (
        lambda: ct.jit(lambda x: {"r": x}, out_shardings=named("x"))(X[:3]), ValueError, r"result\['r'\] of .*3,16",
    ),
    "spec longer than rank": (
        lambda: ct.jit(lambda x: x.sum(0), out_shardings=named("x", "y"))(X), ValueError, "rank at least 2",
    ),
    "committed elsewhere": (
        lambda: ct.jit(lambda x: x, in_shardings=named("x"))(ct.device_put(X, named("y"))),
        ValueError, "does not match the sharding on the respective arg",
    ),
    "other devices": (
        lambda: ct.jit(lambda a, b: a + b)(ct.device_put(X, named("x")), ct.device_put(X, ct.devices()[1])),
        ValueError, "incompatible devices.*argument a of .*device ids .0, 1, .*argument b of .*device ids .1.",
    ),
    "eager, other devices": (
        lambda: ct.device_put(X, named("x")) + ct.device_put(X, ct.devices()[1]), ValueError, "incompatible devices",
    ),
    "mixed meshes": (
        lambda: ct.jit(lambda x: lax.with_sharding_constraint(x, ct.NamedSharding(mesh((2, 2)), P("x"))))(
            ct.device_put(X, named("x"))
        ),
        ValueError, "incompatible devices",
    ),
    "no mesh": (lambda: ct.jit(lambda x: x, in_shardings=P("x"))(X), RuntimeError, "set_mesh"),
    "no mesh for a constraint": (lambda: lax.with_sharding_constraint(X, P("x")), RuntimeError, "set_mesh"),
    "no mesh for a put": (lambda: ct.device_put(X, P("x")), ValueError, "set_mesh"),
    "constraint too long": (
        lambda: lax.with_sharding_constraint({"a": X[0]}, named("x", "y")), ValueError, r"x\['a'\].*rank at least 2",
    ),
    "unknown axis": (lambda: named("z"), ValueError, "Resource axis: z of P.'z',. is not found in mesh: .'x', 'y'."),
    "axis twice": (lambda: named("x", "x"), ValueError, "duplicate entries for `x`"),
    "no spec": (lambda: ct.NamedSharding(mesh(), "x"), TypeError, "PartitionSpec"),
    "no mesh at all": (lambda: ct.NamedSharding(3, P()), TypeError, "Mesh"),
    "no such memory": (lambda: named("x", memory_kind="attic"), ValueError, "attic"),
    "mesh and names": (lambda: ct.sharding.Mesh(ct.devices(), ("x", "y")), ValueError, "devices.ndim == 1"),
    "names twice": (lambda: mesh(names=("x", "x")), ValueError, "different names"),
    "types": (lambda: mesh(types=(ct.sharding.AxisType.Auto,)), ValueError, "axis_types"),
    "too few devices": (lambda: ct.make_mesh((3, 3), ("x", "y")), ValueError, "Number of devices 8 must be >="),
    "wrong prefix": (
        lambda: ct.jit(lambda x: x, in_shardings=(named(), named()))(X), ValueError, "wrong length.*2 .* 1",
    ),
    "keywords": (lambda: ct.jit(lambda x: x, in_shardings=named())(x=X), ValueError, "does not support kwargs"),
    "no sharding": (lambda: ct.jit(lambda x: x, in_shardings=3), TypeError, "in_shardings.*got 3"),
    "put does not divide": (
        lambda: ct.device_put({"a": X[:3]}, named("x")), ValueError, r"x\['a'\]: .*f32.3,16..*partitioned 4 times",
    ),
    "callback shape": (
        lambda: ct.make_array_from_callback((8,), named("x"), lambda index: np.zeros(3)), ValueError, "shape .3,.*.2,.",
    ),
    "number of parts": (
        lambda: ct.make_array_from_single_device_arrays((8,), named("x"), [cnp.zeros(2)]), ValueError, "Expected 8",
    ),
    "compiled for another layout": (
        lambda: ct.jit(lambda x: x, in_shardings=named("x")).lower(X).compile()(ct.device_put(X, named("y"))),
        ValueError, "Passed sharding",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_message(name):
    call, kind, words = ERRORS[name]
    with pytest.raises(kind, match=re.compile(words, re.DOTALL)) as caught:
        call()
    assert len(str(caught.value).splitlines()) <= 15


def test_operations_that_lay_out_their_results():
    explicit = ct.make_mesh((4, 2), ("x", "y"))
    key = ct.random.key(0)
    table = {
        "dot_general": lambda x, s: lax.dot_general(x, x, (((1,), (1,)), ((), ())), out_sharding=s),
        "reshape": lambda x, s: lax.reshape(x, (8, 4, 4), out_sharding=s),
        "broadcast_in_dim": lambda x, s: lax.broadcast_in_dim(x, (8, 8, 16), (1, 2), out_sharding=s),
        "iota": lambda x, s: lax.broadcasted_iota(np.int32, (8, 4), 0, out_sharding=s),
        "full": lambda x, s: lax.full((8, 4), 1.0, sharding=s),
        "reduce_sum": lambda x, s: lax.reduce_sum(x, (1,), out_sharding=s),
        "einsum": lambda x, s: cnp.einsum("ij,kj->ik", x, x, out_sharding=s),
        "zeros": lambda x, s: cnp.zeros((8, 2), out_sharding=s),
        "normal": lambda x, s: ct.random.normal(key, (8, 2), out_sharding=s),
        "initializer": lambda x, s: ct.nn.initializers.normal()(key, (8, 2), out_sharding=s),
        "segment_sum": lambda x, s: ct.ops.segment_sum(x, np.arange(8), 8, out_sharding=s),
    }
    wanted = ct.NamedSharding(explicit, P("x"))
    everything = lambda x, s: {name: f(x, s) for name, f in table.items()}
    plain = everything(X, None)
    with ct.set_mesh(explicit):
        for given in (wanted, P("x")):
            for found in (everything(X, given), ct.jit(everything, static_argnums=1)(X, given)):
                for name, out in found.items():
                    assert out.sharding.is_equivalent_to(wanted, out.ndim), name
                    np.testing.assert_allclose(out, plain[name], rtol=1e-5, atol=1e-5, err_msg=name)
    with pytest.raises(TypeError, match="takes a sharding"):
        lax.full((8,), 1.0, sharding=3)


@pytest.mark.parametrize("kind", [ct.sharding.AxisType.Auto, ct.sharding.AxisType.Explicit])
def test_arguments_are_where_the_mesh_in_force_is(kind):
    here = mesh((4,), ("x",), (kind,))
    turned = mesh((4,), ("x",), (kind,), reverse=True)
    single = ct.device_put(X, ct.devices()[0])
    elsewhere = {
        "one device": single,
        "another order": ct.device_put(X, ct.NamedSharding(turned, P("x"))),
        "one of those devices": ct.device_put(X, ct.devices()[3]),
    }
    with ct.set_mesh(here):
        for name, array in elsewhere.items():
            for f in (ct.jit(lambda a: a + 1), cnp.sin, lambda a: a.sum()):
                with pytest.raises(ValueError, match=r"incompatible devices.*jit's context mesh"):
                    f(array)
                    pytest.fail(name)
        # What makes arrays on a device, and what moves them, names its own place.
        assert cnp.zeros(3, device=ct.devices()[5]).devices() == {ct.devices()[5]}
        assert cnp.zeros_like(single).devices() == {ct.devices()[0]}
        moved = ct.device_put(single, ct.NamedSharding(here, P("x")))
        np.testing.assert_array_equal(cnp.sin(moved), np.asarray(cnp.sin(X)))
        assert float(ct.device_put(np.float32(2), ct.devices()[1])) == 2
    np.testing.assert_array_equal(single + 1, np.asarray(X) + 1)
