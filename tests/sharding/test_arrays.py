"""Arrays over several devices."""

import pickle
import sys
from functools import partial

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.sharding import NamedSharding

from .meshes import P, mesh, named, parts

X = np.arange(128, dtype=np.float32).reshape(8, 16)
LAYOUTS = [(), ("x",), (None, "y"), ("x", "y"), ("y", "x"), (("x", "y"),), (("y", "x"), None)]


@pytest.mark.parametrize("source", LAYOUTS, ids=str)
def test_any_layout_leads_to_any_other(source):
    start = ct.device_put(X, named(*source))
    np.testing.assert_array_equal(parts(start), X)
    for target in LAYOUTS:
        moved = ct.device_put(start, named(*target))
        assert moved.sharding == named(*target) and moved.committed
        np.testing.assert_array_equal(parts(moved), X)
    reverse = ct.NamedSharding(mesh(reverse=True), P("x", "y"))
    np.testing.assert_array_equal(parts(ct.device_put(start, reverse)), X)
    back = ct.device_put(start, ct.devices()[3])
    assert back.devices() == {ct.devices()[3]}
    np.testing.assert_array_equal(back, X)


def test_a_put_copies():
    x = np.arange(1 << 16, dtype=np.float32)
    for layout in LAYOUTS[:2]:
        y = ct.device_put(x, named(*layout))
        x[:] = -1
        assert float(y[5]) == 5.0
        x[:] = np.arange(1 << 16)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_large_puts_copy_wherever_the_memory_lies(layout):
    memory = np.empty((1 << 21) + 512, np.uint8)
    start = -memory.ctypes.data % 256
    whole = np.arange(1 << 19, dtype=np.float32).reshape(512, 1024)
    for offset in (0, 4, 16, 64):
        x = memory[start + offset : start + offset + (1 << 21)].view(np.float32).reshape(512, 1024)
        for source, expected in ((x, whole), (x.T, whole.T)):
            x[:] = whole
            put = ct.device_put(source, named(*layout))
            made = ct.make_array_from_callback(source.shape, named(*layout), lambda cut, x=source: x[cut])
            x[:] = -1
            np.testing.assert_array_equal(put, expected)
            np.testing.assert_array_equal(parts(made), expected)


def test_parts_are_cut_without_a_search_for_modules(monkeypatch):
    searched = []

    class Watch:
        @staticmethod
        def find_spec(name, path=None, target=None):
            searched.append(name)

    x = ct.device_put(X, named("x"))
    monkeypatch.setattr("sys.meta_path", [Watch, *sys.meta_path])
    y = x + 1
    searched.clear()
    np.testing.assert_array_equal(parts(y), X + 1)
    np.testing.assert_array_equal(ct.device_get(y), X + 1)
    assert not searched


def test_places_of_parts():
    for layout in LAYOUTS:
        seen = []
        for shard in ct.device_put(X, named(*layout)).global_shards:
            assert shard.replica_id == seen.count(shard.index)
            seen.append(shard.index)


def test_trees_and_specs_of_the_mesh_in_force():
    tree = ct.device_put({"a": X, "b": 1.0}, {"a": named("x"), "b": named()})
    assert tree["a"].sharding == named("x") and tree["b"].sharding == named()
    with ct.set_mesh(mesh()):
        assert ct.device_put(X, P(None, "x")).sharding == named(None, "x")
        assert cnp.zeros(8).sharding.device_set == set(ct.devices())


def test_memory_kinds():
    host = ct.device_put(X, named("x", memory_kind="pinned_host"))
    assert host.sharding.memory_kind == "pinned_host"
    np.testing.assert_array_equal(host, X)
    again = ct.device_put(host, ct.memory.Space.Device)
    assert again.sharding == named("x")
    np.testing.assert_array_equal(parts(again), X)
    assert ct.device_put(X, ct.memory.Space.Host).sharding.memory_kind == "pinned_host"
    stay = ct.jit(lambda x: x * 2, out_shardings=named("x", memory_kind="pinned_host"))(X)
    assert stay.sharding.memory_kind == "pinned_host"
    np.testing.assert_array_equal(stay, 2 * X)


def test_donated_and_equal_layouts():
    x = ct.device_put(X, named("x"))
    same = ct.device_put(x, named("x", None))
    assert same.sharding == named("x", None)
    moved = ct.device_put(x, named("y"), donate=True)
    assert x.is_deleted()
    np.testing.assert_array_equal(moved, X)


def test_attributes():
    x = ct.device_put(X, named("x", "y"))
    assert x.sharding == named("x", "y") == x.device and x.devices() == set(ct.devices())
    assert x.is_fully_addressable and not x.is_fully_replicated
    shards = x.addressable_shards
    assert [s.replica_id for s in ct.device_put(X, named("x")).addressable_shards] == [0, 1] * 4
    assert len(x.global_shards) == 8 and shards[3].data.shape == (2, 8)
    np.testing.assert_array_equal(shards[3].data, X[shards[3].index])
    np.testing.assert_array_equal(x.addressable_data(3), shards[3].data)
    assert x.nbytes == X.nbytes and str(x) == str(X) and repr(x) == repr(cnp.asarray(X))
    assert x.tolist() == X.tolist() and float(x[1, 2]) == X[1, 2] and len(x) == 8
    np.testing.assert_array_equal(np.stack([np.asarray(row) for row in x]), X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(x)), X)
    np.testing.assert_array_equal(ct.device_get({"a": x})["a"], X)
    np.testing.assert_array_equal(x.copy(), X)
    assert x.copy().sharding == x.sharding
    x.copy_to_host_async()
    assert ct.block_until_ready(x) is x
    x.delete()
    assert "deleted" in repr(x)


def test_arrays_from_their_parts():
    sharding = named("x", "y")
    calls = []

    def part(index):
        calls.append(index)
        return X[index]

    a = ct.make_array_from_callback(X.shape, sharding, part)
    np.testing.assert_array_equal(parts(a), X)
    assert len(calls) == 8
    calls.clear()
    replicated = ct.make_array_from_callback(X.shape, named("y"), part)
    np.testing.assert_array_equal(parts(replicated), X)
    assert len(calls) == 2  # devices with the same part share it
    b = ct.make_array_from_single_device_arrays(
        X.shape, sharding, [s.data for s in a.addressable_shards][::-1]
    )
    np.testing.assert_array_equal(parts(b), X)
    c = ct.make_array_from_process_local_data(sharding, X)
    np.testing.assert_array_equal(parts(c), X)
    tree = ct.make_array_from_process_local_data(named("x"), {"u": X, "v": X[:, 0]})
    assert tree["v"].sharding == named("x")
    keys = ct.random.split(ct.random.key(0), 8)
    spread = ct.make_array_from_callback((8,), named("x"), lambda index: keys[index])
    np.testing.assert_array_equal(ct.random.key_data(spread), ct.random.key_data(keys))


def test_work_follows_the_data():
    x = ct.device_put(X, named("x", "y"))
    assert (x + 1).sharding == named("x", "y")
    assert (x + X).sharding == named("x", "y") == cnp.sin(x).sharding
    assert x.T.sharding == named("y", "x")
    np.testing.assert_allclose(x @ x.T, X @ X.T, rtol=1e-6)
    np.testing.assert_array_equal(x[2:5, ::3], X[2:5, ::3])
    np.testing.assert_array_equal(x.at[1].set(0.0), np.where(np.arange(8)[:, None] == 1, 0, X))
    assert x.sum().sharding == named() and float(x.sum()) == X.sum()
    y = ct.device_put(X, ct.NamedSharding(mesh(reverse=True), P("x")))
    np.testing.assert_array_equal(x + y, 2 * X)  # the same devices in another order
    np.testing.assert_array_equal(ct.grad(lambda z: (z * z).sum())(x), 2 * X)


def test_random_numbers_do_not_depend_on_the_layout():
    key = ct.random.key(7)
    draw = lambda key: (
        ct.random.normal(key, (8, 16)),
        ct.random.permutation(key, 16),
        ct.random.bits(key, (16,)),
    )
    plain = draw(key)
    spread = ct.jit(draw, out_shardings=(named("x", "y"), named("x"), named(("x", "y"))))(key)
    for a, b in zip(plain, spread, strict=True):
        np.testing.assert_array_equal(a, b)
    keys = ct.device_put(ct.random.split(key, 8), named(("x", "y")))
    one_each = ct.vmap(lambda key: ct.random.uniform(key, (3,)))
    np.testing.assert_array_equal(one_each(keys), one_each(ct.random.split(key, 8)))


def test_pictures():
    from canter.runtime.sharding_pictures import sharding_picture

    assert sharding_picture((8, 8), named("x", "y")).splitlines()[:3] == [
        "┌───────┬───────┐",
        "│ CPU 0 │ CPU 1 │",
        "├───────┼───────┤",
    ]
    assert "CPU 1,3,5,7" in sharding_picture((8,), named("y"))
    assert "\x1b[" in sharding_picture((8,), named("y"), use_color=True)
    with pytest.raises(ValueError, match="one or two dimensions"):
        sharding_picture((8, 1, 1), named("x"))


def test_what_is_made_after_an_array_is_where_it_is():
    x = ct.device_put(X, named("x", "y"))
    for made in (
        cnp.zeros_like(x),
        cnp.ones_like(x, int),
        cnp.empty_like(x),
        cnp.full_like(x, 3),
        lax.full_like(x, 3),
    ):
        assert made.sharding == x.sharding
    assert cnp.zeros_like(x, shape=(3,)).sharding.num_devices == 1
    third = ct.devices()[3]
    assert cnp.zeros_like(ct.device_put(1.0, third)).devices() == {third}
    assert not cnp.zeros_like(cnp.ones(3)).committed
    whole = ct.device_put(X, named())
    for made in (
        cnp.ones_like(whole, shape=3),
        cnp.full_like(whole, 3, shape=(2, 3)),
        lax.full_like(whole, 3, shape=(3,)),
    ):
        assert made.sharding == named()
    explicit = mesh((4, 2), ("x", "y"), (ct.sharding.AxisType.Explicit,) * 2)
    with ct.set_mesh(explicit):
        there = ct.device_put(X, third)
        for made in (
            cnp.zeros_like(there),
            cnp.full_like(there, 3),
            lax.full_like(there, 3),
            lax.full_like(X, 3, sharding=there.sharding),
        ):
            assert made.devices() == {third}
        over_auto = named("x")
        for made in (lax.full((8, 2), 1.0, sharding=over_auto), lax.full_like(X, 3, sharding=over_auto)):
            assert made.sharding == over_auto
    assert cnp.zeros((8, 2), device=named("x")).sharding == named("x")
    with pytest.raises(ValueError, match="evenly divide"):
        cnp.zeros(7, device=named("x"))


LIKE = (
    cnp.zeros_like,
    cnp.empty_like,
    partial(cnp.full_like, fill_value=3),
    partial(lax.full_like, fill_value=3),
)


@pytest.mark.parametrize("like", LIKE)
def test_what_is_made_after_a_struct_is_where_it_says(like):
    def struct(sharding):
        return ct.ShapeDtypeStruct(X.shape, X.dtype, sharding=sharding)

    third = ct.sharding.SingleDeviceSharding(ct.devices()[3])
    explicit = mesh((4, 2), ("x", "y"), (ct.sharding.AxisType.Explicit,) * 2)
    split = NamedSharding(explicit, P("x", None))
    for sharding in (named("x", "y"), third, split):
        assert like(struct(sharding)).sharding == sharding
        with ct.set_mesh(explicit):
            assert like(struct(sharding)).sharding == sharding
    assert like(struct(third), shape=(3,)).devices() == {ct.devices()[3]}
    assert like(struct(named("x")), shape=(3,)).sharding.num_devices == 1
    assert not like(struct(None)).committed
    with ct.set_mesh(explicit):
        of_sums = ct.eval_shape(lambda x: x.sum(1), ct.device_put(X, split))
        for made in (like(of_sums), ct.jit(lambda: like(of_sums))()):
            assert str(ct.typeof(made)) == "float32[8@x]"
    assert like(of_sums).sharding.num_devices == 1  # there is no mesh for its type


def test_arrays_made_under_a_mesh_are_on_its_devices():
    with ct.set_mesh(mesh()):
        for made in (cnp.asarray(X), cnp.array([1, 2]), cnp.float32(1)):
            assert made.sharding == named()
        np.testing.assert_array_equal(cnp.asarray(X), X)
        first, second = ct.random.split(ct.random.key(0))
        assert first.sharding == second.sharding == named()
        ct.jit(lambda key, x: x * ct.random.normal(key), out_shardings=P("x"))(first, X)


def test_rows_of_a_sharded_array_may_go_anywhere():
    first, *_ = ct.device_put(X, named("x"))
    assert not first.committed
    np.testing.assert_array_equal(first + ct.device_put(X[0], named("y")), 2 * X[0])


def test_a_mesh_of_one_device():
    one = ct.make_mesh((1,), ("x",), axis_types=(ct.sharding.AxisType.Auto,), devices=ct.devices()[2:3])
    start = ct.device_put(X, ct.NamedSharding(one, P("x")))
    for array in (start, ct.jit(lambda x: x * 1)(start)):
        (shard,) = array.addressable_shards
        assert shard.device == ct.devices()[2] and shard.data.sharding.device_set == {shard.device}
        np.testing.assert_array_equal(shard.data, X)
        assert ct.device_put(array, ct.devices()[2]).devices() == {ct.devices()[2]}
        np.testing.assert_array_equal(parts(ct.device_put(array, named("x"))), X)


def _programs_with_shardings():
    one, square = cnp.arange(6.0), cnp.arange(9.0).reshape(3, 3)
    yield "zeros", lambda s: cnp.zeros(6, out_sharding=s), one
    yield "zeros on", lambda s: cnp.zeros(6, device=s), one
    yield "arange", lambda s: cnp.arange(6.0, out_sharding=s), one
    yield "asarray", lambda s: cnp.asarray([1.0, 2.0], out_sharding=s), one
    yield "broadcast_to", lambda s: cnp.broadcast_to(one[:3], (2, 3), out_sharding=s), square
    yield "reshape", lambda s: one.reshape(2, 3, out_sharding=s), square
    yield "einsum", lambda s: cnp.einsum("ij,kj->ik", square, square, out_sharding=s), square
    yield "tensordot", lambda s: cnp.tensordot(square, square, 2, out_sharding=s), cnp.float32(0)
    yield "get", lambda s: square.at[0].get(out_sharding=s), one
    yield "set", lambda s: square.at[0].set(1.0, out_sharding=s), square
    yield "dot", lambda s: lax.dot(square, square, out_sharding=s), square
    yield "full", lambda s: lax.full((2, 3), 1.5, sharding=s), square
    yield "iota", lambda s: lax.broadcasted_iota(int, (2, 3), 1, out_sharding=s), square
    yield "normal", lambda s: ct.random.normal(ct.random.key(0), (2, 3), out_sharding=s), square
    yield "device_put", lambda s: ct.device_put(square, s), square


@pytest.mark.parametrize("name, f, like", list(_programs_with_shardings()))
def test_the_sharding_of_a_type_asks_for_nothing_where_no_mesh_is(name, f, like):
    for sharding in (ct.typeof(like).sharding, NamedSharding(ct.typeof(like).sharding.mesh, P())):
        for made in (f(sharding), ct.jit(lambda s=sharding: f(s))()):
            assert made.sharding.num_devices == 1 and not made.committed
            np.testing.assert_allclose(made, f(None), rtol=1e-6)
