"""`shard_map`, `smap` and `pmap`."""

import gc
import re
import weakref

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax

from .meshes import P, mesh, named

X = np.arange(8, dtype=np.float32)
CHECKED = {"mesh": None}


def smap(body, in_specs, out_specs, **options):
    return ct.shard_map(body, mesh=mesh(), in_specs=in_specs, out_specs=out_specs, **options)


def test_types_say_what_varies():
    seen = []

    def body(a, b):
        seen.extend(
            map(ct.typeof, (a, b, a * b[:2], lax.psum(a, "x"), lax.axis_index("y"), lax.all_gather(a, "x")))
        )
        assert ct.sharding.get_abstract_mesh().manual_axes == ("x", "y") and lax.axis_size(("x", "y")) == 8
        return a

    smap(body, (P("x"), P()), P("x"))(X, X)
    assert [str(t) for t in seen[1:2]] == ["float32[8]"]
    assert [sorted(t.vma) for t in seen] == [["x"], [], ["x"], [], ["y"], ["x"]]
    assert seen[0].str_short() == "f32[2]{V:x}"


def test_the_printed_program():
    f = smap(lambda a, b: lax.psum(cnp.sin(a) * b, "x"), (P("x"), P()), P())
    text = str(ct.make_jaxpr(f)(X, X[:2]))
    for line in (
        "check_vma=True", "in_specs=(P('x',), P())", "out_specs=(P(),)", "newly_manual_axes=frozenset(",
        "pvary[axes=('x',)]", "f32[2]{V:x} = mul", "f32[2] = psum_invariant[axes=('x',)]",
        "mesh=Mesh('x': 4, 'y': 2, axis_types=(Auto, Auto))",
    ):  # fmt: skip
        assert line in text
    module = ct.jit(f).lower(X, X[:2]).as_text()
    assert 'sdy.manual_computation(%arg0, %arg1) in_shardings=[<@mesh, [{"x"}]>, <@mesh, [{}]>]' in module
    assert (
        'manual_axes={"x", "y"}' in module
        and "replica_groups = dense<[[0, 2, 4, 6], [1, 3, 5, 7]]>" in module
    )


def test_forms():
    @ct.shard_map(mesh=mesh(), in_specs=P("x"), out_specs=P("x"))
    def doubled(a):
        return a * 2

    np.testing.assert_array_equal(doubled(X), 2 * X)
    assert doubled.__name__ == "doubled" and doubled(X).sharding == named("x")
    from canter.experimental.shard_map import shard_map

    old = shard_map(lambda a: lax.psum(a, "x"), mesh(), in_specs=(P("x"),), out_specs=P(), check_rep=False)
    np.testing.assert_array_equal(old(X), X.reshape(4, 2).sum(0))
    tree = smap(
        lambda t, s: {"u": t["a"] + s, "v": [t["b"]]},
        ({"a": P("x"), "b": P()}, None),
        {"u": P("x"), "v": P()},
    )
    out = tree({"a": X, "b": X[:3]}, 2.0)
    np.testing.assert_array_equal(out["u"], X + 2)
    np.testing.assert_array_equal(out["v"][0], X[:3])
    with ct.set_mesh(mesh()):
        np.testing.assert_array_equal(ct.shard_map(lambda a: a, in_specs=P("x"), out_specs=P("x"))(X), X)
        inferred = ct.shard_map(lambda a: a[:1], out_specs=P("x"))(ct.device_put(X, P("x")))
        np.testing.assert_array_equal(inferred, X[::2])
        total = ct.smap(lambda a: lax.psum(a, "x"), in_axes=0, out_axes=None, axis_name="x")
        np.testing.assert_array_equal(total(X), X.reshape(4, 2).sum(0))


def test_captured_arrays_are_everywhere():
    w = cnp.asarray([2.0, 3.0])
    f = lambda w: smap(lambda a: a * w, P("x"), P("x"))(X).sum()
    assert float(f(w)) == float((X.reshape(4, 2) * w).sum())
    np.testing.assert_array_equal(ct.grad(f)(w), X.reshape(4, 2).sum(0))
    np.testing.assert_array_equal(ct.jit(ct.grad(f))(w), X.reshape(4, 2).sum(0))


def test_nested():
    def outer(a):
        inner = ct.shard_map(
            lambda b: lax.psum(b, "y") + lax.axis_index("x"), in_specs=P("y"), out_specs=P(), axis_names={"y"}
        )
        return inner(a)

    f = smap(outer, P("x"), P("x"), axis_names={"x"})
    wanted = np.arange(16.0).reshape(4, 2, 2).sum(1) + np.arange(4)[:, None]
    np.testing.assert_array_equal(ct.jit(f)(cnp.arange(16.0)), wanted.ravel())


def test_out_of_a_loop_and_into_one():
    f = smap(lambda a: lax.psum(a, "x") + a, P("x"), P("x"))
    out, _ = lax.scan(lambda c, _: (f(c) / 4, None), X, None, length=3)
    wanted = X
    for _ in range(3):
        wanted = (np.tile(wanted.reshape(4, 2).sum(0), 4) + wanted) / 4
    np.testing.assert_allclose(out, wanted, rtol=1e-6)


def test_pmap():
    f = ct.pmap(
        lambda a, b: {"s": lax.pmean(a * b, "i")}, axis_name="i", in_axes=(0, None), out_axes={"s": 0}
    )
    for _ in range(2):
        out = f(X, 3.0)
    np.testing.assert_allclose(out["s"], np.full(8, X.mean() * 3))
    assert out["s"].sharding.spec == P("i") and out["s"].sharding.mesh.axis_names == ("i",)
    assert ct.pmap(lambda a: a, out_axes=1)(np.ones((8, 3))).shape == (3, 8)
    assert ct.pmap(lambda a: a, out_axes=None)(np.ones((8, 3))).shape == (3,)
    assert ct.pmap(lambda a: a, in_axes=1)(np.arange(16.0).reshape(2, 8)).tolist() == [
        [i, i + 8] for i in range(8)
    ]
    np.testing.assert_array_equal(ct.pmap(lambda a, n: a * n, static_broadcasted_argnums=1)(X, 3), 3 * X)
    assert ct.pmap(lambda a, *, k: a + k, devices=ct.devices()[:4])(X[:4], k=X[:4]).devices() == set(
        ct.devices()[:4]
    )
    assert ct.pmap(lambda: lax.axis_index("i"), axis_name="i", axis_size=4)().tolist() == [0, 1, 2, 3]
    x = ct.device_put(X, ct.devices()[2])  # wherever the argument is
    np.testing.assert_array_equal(ct.pmap(lambda a: a + 1)(x), X + 1)
    y = f(X, 3.0)["s"]
    ct.pmap(lambda a: a + 1, axis_name="i", donate_argnums=0)(y)
    assert y.is_deleted()
    loss = lambda x: ct.pmap(lambda a: lax.psum(a**2, "i"), axis_name="i")(x).sum()
    np.testing.assert_allclose(ct.grad(loss)(X), 16 * X)
    np.testing.assert_allclose(
        ct.jit(ct.vmap(ct.pmap(lambda a: a * 2)))(np.stack([X, X])), np.stack([X, X]) * 2
    )
    assert "sdy.manual_computation" in ct.pmap(lambda a: a).lower(X).as_text()


ERRORS = {
    "claims replication": (lambda: smap(lambda a: {"k": a}, P("x"), P())(X), r"require replication.*\['k'\].*\{x\}"),
    "does not divide": (lambda: smap(lambda a: a, P("x"), P("x"))(X[:7]), r"args\[0\] of shape f32.7. .*7.*size 4"),
    "unknown axis": (lambda: smap(lambda a: a, P("z"), P("x"))(X), "refers to 'z'.*{'x': 4, 'y': 2}"),
    "axis twice": (lambda: smap(lambda a: a, P("x", "x"), P("x"))(np.ones((8, 8))), "names the axis 'x' twice"),
    "spec too long": (lambda: smap(lambda a: a, P("x", "y"), P("x"))(X), "length 2.*rank 1"),
    "result spec too long": (lambda: smap(lambda a: a.sum(), P("x"), P("x"))(X), "rank 0.*x.None."),
    "number of specs": (lambda: smap(lambda a: a, (P(), P()), P())(X), "in_specs must be a tree prefix"),
    "structure of results": (lambda: smap(lambda a: a, P("x"), (P("x"), P()))(X), "out_specs must be a tree prefix"),
    "axis not manual": (lambda: smap(lambda a: a, P("x"), P("x"), axis_names={"y"})(X), "marked as manual"),
    "names not in the mesh": (lambda: smap(lambda a: a, P(), P(), axis_names={"z"})(X), "subset of"),
    "no mesh": (lambda: ct.shard_map(lambda a: a, in_specs=P(), out_specs=P())(X), "context mesh cannot be empty"),
    "manual already": (
        lambda: smap(lambda a: ct.shard_map(lambda b: b, in_specs=P("x"), out_specs=P("x"), axis_names={"x"})(a),
                     P("x"), P("x"))(X), "manual here already",
    ),
    "pmap: sizes": (lambda: ct.pmap(lambda a, b: a)(X, X[:4]), "inconsistent sizes.*4, 8"),
    "pmap: nothing mapped": (lambda: ct.pmap(lambda a: a, in_axes=None)(X), "at least one argument"),
    "pmap: scalar": (lambda: ct.pmap(lambda a: a)(1.0), "at least one argument"),
    "pmap: too few devices": (lambda: ct.pmap(lambda a: a)(np.ones(9)), "needs 9 devices.*8 are available"),
    "pmap: number of devices": (lambda: ct.pmap(lambda a: a, devices=ct.devices()[:2])(X), "devices has 2"),
    "pmap: in_axes": (lambda: ct.pmap(lambda a: a, in_axes=(0, 0))(X), "in_axes has 2 entries"),
    "groups do not cover": (
        lambda: smap(lambda a: lax.psum(a, "x", axis_index_groups=[[0, 1]]), P("x"), P("x"))(X), "exactly once",
    ),
    "groups of several sizes": (
        lambda: smap(lambda a: lax.all_gather(a, "x", axis_index_groups=[[0], [1, 2, 3]]), P("x"), P("x"))(X),
        "same size",
    ),
    "cast twice": (lambda: smap(lambda a: lax.pcast(a, "x", to="varying"), P("x"), P("x"))(X), "from=varying"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_message(name):
    call, words = ERRORS[name]
    with pytest.raises(ValueError, match=re.compile(words, re.DOTALL)):
        call()


def test_other_classes_of_errors():
    with pytest.raises(NameError, match=r"unbound axis name: 'z'.*'x', 'y'"):
        smap(lambda a: lax.psum(a, "z"), P("x"), P("x"))(X)
    with pytest.raises(TypeError, match="in_specs has 'x' of type str"):
        smap(lambda a: a, "x", P("x"))(X)
    with pytest.raises(TypeError, match=r"requires a `canter.sharding.Mesh`"):
        ct.shard_map(lambda a: a, mesh=3, in_specs=P(), out_specs=P())


@pytest.mark.parametrize("other", ["types", "names", "order"])
def test_the_mesh_is_the_one_in_force(other):
    explicit = (ct.sharding.AxisType.Explicit,) * 2
    given = {"types": mesh(types=explicit), "names": mesh(names=("x", "z")), "order": mesh(reverse=True)}[
        other
    ]
    doubled = ct.shard_map(lambda a: a * 2, mesh=given, in_specs=P("x"), out_specs=P("x"))
    with (
        ct.set_mesh(mesh()),
        pytest.raises(ValueError, match=r"context mesh .* should match the mesh passed"),
    ):
        doubled(np.ones((8, 4)))


def test_a_mesh_of_one_device():
    one = ct.sharding.Mesh(ct.devices()[:1], "x")

    def body(a):
        return [
            lax.psum(a, "x"), lax.all_gather(a, "x", tiled=True), lax.psum_scatter(a, "x", tiled=True),
            lax.ppermute(a, "x", [(0, 0)]), lax.all_to_all(a, "x", 0, 0, tiled=True), lax.axis_index("x") + a,
        ]  # fmt: skip

    for check_vma in (True, False):
        f = ct.shard_map(body, mesh=one, in_specs=P("x"), out_specs=P("x"), check_vma=check_vma)
        for out in (*f(X), *ct.jit(f)(X)):
            np.testing.assert_array_equal(out, X)
    assert (
        ct.grad(lambda x: ct.shard_map(lambda a: a * 2, mesh=one, in_specs=P(), out_specs=P())(x))(1.0) == 2.0
    )


def test_one_process_agrees_with_itself():
    from canter.experimental import multihost_utils

    tree = {"a": X, "b": np.int32(3)}
    np.testing.assert_array_equal(multihost_utils.process_allgather(tree)["a"], X[None])
    np.testing.assert_array_equal(multihost_utils.process_allgather(X, tiled=True), X)
    np.testing.assert_array_equal(multihost_utils.broadcast_one_to_all(tree)["a"], X)
    multihost_utils.assert_equal(tree)
    multihost_utils.sync_global_devices("here")
    spread = multihost_utils.host_local_array_to_global_array(X, mesh(), P("x"))
    assert spread.sharding == named("x")
    np.testing.assert_array_equal(multihost_utils.global_array_to_host_local_array(spread, mesh(), P("x")), X)


@pytest.mark.parametrize("check_vma", [True, False])
def test_spmd_axis_name_cuts_the_batch(check_vma):
    grid = mesh()
    x, w = np.random.default_rng(0).uniform(0, 1, (4, 2, 3)), np.ones((3, 3)) / 3

    def one(x, w):
        return cnp.sin(x @ w) * lax.psum(x.sum(), "y")

    mapped = ct.shard_map(one, mesh=grid, in_specs=(P("y"), P()), out_specs=P("y"), check_vma=check_vma)
    batched = ct.vmap(mapped, in_axes=(0, None), spmd_axis_name="x")

    def whole(x, w):
        return cnp.sin(x @ w) * x.sum((1, 2), keepdims=True)

    out = ct.jit(batched)(x, w)
    assert out.sharding.spec == P("x", "y")
    np.testing.assert_allclose(out, whole(x, w), rtol=1e-5)
    own, plain = (ct.grad(lambda *a, f=f: (f(*a) ** 2).sum(), (0, 1))(x, w) for f in (batched, whole))
    for a, b in zip(own, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)
    with pytest.raises(ValueError, match="axis of size 3 cannot be cut"):
        batched(x[:3], w)
    along = ct.vmap(lambda x: mapped(x, w) + lax.psum(x, "b"), axis_name="b", spmd_axis_name="x")
    np.testing.assert_allclose(along(x), whole(x, w) + x.sum(0), rtol=1e-5)  # which needs all of the batch


def test_pmap_takes_another_kind_of_argument_at_each_call():
    mapped = ct.pmap(lambda x, by: x * by, in_axes=(0, None))
    x = np.arange(16, dtype=np.float32).reshape(8, 2)
    two = np.float32(2)
    for first in (x, x, cnp.asarray(x), mapped(x, two) / 2, ct.device_put(x, ct.devices()[1])):
        np.testing.assert_array_equal(mapped(first, two), 2 * x)
    np.testing.assert_array_equal(mapped(x, 2), 2 * x)
    np.testing.assert_array_equal(mapped(x[:4], two), 2 * x[:4])
    np.testing.assert_array_equal(ct.jit(mapped)(x, two), 2 * x)
    np.testing.assert_array_equal(ct.grad(lambda x: mapped(x, two).sum())(x), 0 * x + 2)
    drawn = ct.pmap(lambda key: ct.random.bits(key))
    keys = ct.random.split(ct.random.key(0), 8)
    with pytest.raises(TypeError):
        drawn(x[:, 0])
    expected = [int(ct.random.bits(key)) for key in keys]
    for _ in range(2):
        assert drawn(keys).tolist() == expected


def test_pmap_does_not_keep_its_arguments():
    f = ct.pmap(lambda x, n: x * n, in_axes=(0, None))
    x = cnp.ones((2, 3)) * 3
    alive = weakref.ref(x)
    np.testing.assert_array_equal(f(x, 2.0), np.full((2, 3), 6.0))
    del x
    cnp.ones(4).block_until_ready()  # buffers that Python lent go with a later call
    gc.collect()
    assert alive() is None
    with ct.checking_leaks():
        np.testing.assert_array_equal(ct.jit(f)(np.ones((2, 5), np.float32), 2.0), np.full((2, 5), 2.0))


@pytest.mark.parametrize("axes", [-1, -2, (-1, 0), (0, -3), (-2, None)])
def test_axes_of_results_of_pmap_are_counted_from_the_end(axes):
    x = np.arange(24, dtype=np.float32).reshape(4, 2, 3)

    def f(x):
        return x * 2, (cnp.ones(2) if axes == (-2, None) else x + 1)

    for a, b in zip(ct.pmap(f, out_axes=axes)(x), ct.vmap(f, out_axes=axes)(x), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="out_axes=-4 is out of range for result 0"):
        ct.pmap(lambda x: x, out_axes=-4)(x)
