"""Random keys split over explicit axes, operands that a batch repeats, and where arrays and structs say that they are.

What is expected was observed with JAX 0.10.2, or is what one device computes.
"""

from __future__ import annotations

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import P, lax
from canter.core.errors import ShardingTypeError
from canter.sharding import NamedSharding, SingleDeviceSharding

from .meshes import mesh as mesh_of, parts
from .test_explicit import explicit_mesh, sharded, text

ROWS = np.sin(np.arange(32, dtype=np.float32)).reshape(8, 4)


@pytest.fixture
def mesh():
    with ct.set_mesh(explicit_mesh()):
        yield explicit_mesh()


# ---- keys ------------------------------------------------------------------------------------------


def keys_of(*spec, shape=8):
    return ct.device_put(ct.random.split(ct.random.key(0), shape), NamedSharding(explicit_mesh(), P(*spec)))


KEY_TYPES = [
    (lambda k: k, "key<fry>[8@x]"),
    (lambda k: k[:4], "key<fry>[4@x]"),
    (lambda k: k[None], "key<fry>[1,8@x]"),
    (lambda k: k.reshape(4, 2), "key<fry>[4@x,2]"),
    (lambda k: cnp.stack([k, k]), "key<fry>[2,8@x]"),
    (ct.random.key_data, "u32[8@x,2]"),
    (lambda k: ct.random.wrap_key_data(ct.random.key_data(k)), "key<fry>[8@x]"),
    (ct.random.clone, "key<fry>[8@x]"),
    (ct.vmap(ct.random.split), "key<fry>[8@x,2]"),
    (ct.vmap(lambda k: ct.random.fold_in(k, 1)), "key<fry>[8@x]"),
    (ct.vmap(lambda k: ct.random.normal(k, (4,))), "f32[8@x,4]"),
    (lambda k: ct.sharding.reshard(k, P("y")), "key<fry>[8@y]"),
    (cnp.zeros_like, "key<fry>[8@x]"),
]


@pytest.mark.parametrize("transform", [lambda f: f, ct.jit], ids=["eager", "jit"])
def test_types_of_keys_say_how_they_are_split(mesh, transform):
    keys, alone = keys_of("x"), ct.random.split(ct.random.key(0), 8)
    for f, expected in KEY_TYPES:
        out = transform(f)(keys)
        assert text(out) == expected
        np.testing.assert_array_equal(words(out), words(f(alone)))


def words(x):
    return np.asarray(ct.random.key_data(x) if cnp.issubdtype(x.dtype, ct.dtypes.prng_key) else x)


def test_keys_of_two_dimensions_and_one_by_one(mesh):
    assert text(keys_of("x", "y", shape=(8, 4)).T) == "key<fry>[4@y,8@x]"
    alone = list(ct.random.split(ct.random.key(0), 8))
    for own, other in zip(keys_of("x"), alone, strict=True):
        np.testing.assert_array_equal(words(own), words(other))


def test_keys_are_made_and_folded_where_seeds_are_split(mesh):
    seeds = sharded((8,), "x", dtype=np.int32)
    made = ct.vmap(ct.random.key)(seeds)
    assert text(made) == "key<fry>[8@x]"
    folded = ct.vmap(lambda i: ct.random.fold_in(ct.random.key(7), i))(seeds)
    assert text(folded) == "key<fry>[8@x]"
    for i in range(8):
        np.testing.assert_array_equal(words(made)[i], words(ct.random.key(i)))
        np.testing.assert_array_equal(words(folded)[i], words(ct.random.fold_in(ct.random.key(7), i)))


def test_keys_folded_without_a_mesh_in_force():
    folded = ct.vmap(lambda k: ct.random.fold_in(k, 1))(keys_of("x"))
    expected = ct.vmap(lambda k: ct.random.fold_in(k, 1))(ct.random.split(ct.random.key(0), 8))
    np.testing.assert_array_equal(words(folded), words(expected))


def test_keys_of_zeros_inside_jit():
    zeros = ct.jit(cnp.zeros_like)(ct.random.split(ct.random.key(0), 3))
    np.testing.assert_array_equal(words(zeros), np.zeros((3, 2), np.uint32))


# ---- batches ---------------------------------------------------------------------------------------

BATCHES = [
    lambda r: cnp.concatenate([r, cnp.zeros(3)]),
    lambda r: cnp.stack([cnp.ones(4), r]),
    lambda r: lax.dynamic_update_slice(cnp.zeros(8), r, (1,)),
    lambda r: cnp.zeros(8).at[2:6].set(r),
]


@pytest.mark.parametrize("f", BATCHES)
def test_operands_without_the_batch_axis_are_repeated_over_its_mesh_axes(mesh, f):
    out = ct.vmap(f)(ct.device_put(ROWS, P("x")))
    assert text(out).startswith("f32[8@x,")
    with ct.set_mesh(None):
        expected = np.stack([f(row) for row in ROWS])
    np.testing.assert_array_equal(parts(out), expected)


# ---- other rules -----------------------------------------------------------------------------------


def test_all_of_an_array_is_set_and_stays_where_it_is(mesh):
    x = ct.device_put(np.zeros((8, 4), np.float32), P("x", "y"))
    for f in (lambda a: a.at[:].set(ROWS), lambda a: a.at[...].set(ROWS)):
        for out in (f(x), ct.jit(f)(x)):
            assert text(out) == "f32[8@x,4@y]"
            np.testing.assert_array_equal(parts(out), ROWS)
    assert text(x.at[:].set(1.0)) == "f32[8@x,4@y]"
    whole = ct.device_put(np.zeros((8, 4), np.float32), P())
    assert text(whole.at[:].set(ct.device_put(ROWS, P("x")))) == "f32[8,4]"


@pytest.mark.parametrize("spec", [P(None, "y"), P("x", "y"), P(None, "x")])
def test_gradients_of_extrema_of_everything(mesh, spec):
    x = ct.device_put(ROWS, spec)
    for f, at in ((cnp.max, ROWS.argmax()), (cnp.min, ROWS.argmin())):
        out = ct.grad(f)(x)
        assert ct.typeof(out) == ct.typeof(x)
        np.testing.assert_array_equal(np.flatnonzero(out), [at])


def test_right_hand_sides_may_be_split(mesh):
    a = cnp.asarray(np.tril(np.arange(1.0, 17.0, dtype=np.float32).reshape(4, 4)))
    b = ct.device_put(np.ascontiguousarray(ROWS.T), P(None, "x"))
    for left_side, rhs in ((True, b), (False, b.T)):
        out = lax.linalg.triangular_solve(a, rhs, left_side=left_side, lower=True)
        assert ct.typeof(out) == ct.typeof(rhs)
        product = np.asarray(a) @ parts(out) if left_side else parts(out) @ np.asarray(a)
        np.testing.assert_allclose(product, np.asarray(rhs), rtol=1e-5, atol=1e-5)
    with pytest.raises(ShardingTypeError, match="must be whole"):
        lax.linalg.triangular_solve(a, ct.device_put(np.ones((4, 4), np.float32), P("x")), left_side=True)


def test_arrays_over_no_mesh_are_joined_to_those_over_one():
    x = ct.device_put(ROWS, NamedSharding(explicit_mesh(), P("x", "y")))
    assert text(cnp.stack([x, ROWS])) == "f32[2,8@x,4@y]"
    out = cnp.concatenate([ROWS, x])
    assert text(out) == "f32[16@x,4@y]"
    np.testing.assert_array_equal(out, np.concatenate([ROWS, ROWS]))


# ---- places ----------------------------------------------------------------------------------------


def test_a_layout_of_a_type_is_taken_over_the_mesh_of_the_array():
    mesh = explicit_mesh()
    x = ct.device_put(ROWS, NamedSharding(mesh, P("x")))
    out = ct.sharding.reshard(x, ct.typeof(x).sharding.update(spec=P("y", "x")))
    assert out.sharding == NamedSharding(mesh, P("y", "x"))
    np.testing.assert_array_equal(parts(out), ROWS)
    with pytest.raises(ValueError, match="has no devices"):
        ct.sharding.reshard(ROWS, ct.typeof(x).sharding)


def test_types_follow_an_array_to_the_memory_of_the_host():
    x = ct.device_put(ROWS, NamedSharding(mesh_of(), P("x")))
    there = ct.device_put(x, NamedSharding(explicit_mesh(), P("x"), memory_kind="pinned_host"))
    assert str(ct.typeof(there)) == "float32<host>[8@x,4]"
    back = ct.device_put(there, NamedSharding(mesh_of(), P("x")))
    assert str(ct.typeof(back)) == "float32[8,4]"


def test_the_part_of_an_array_of_whole_copies_knows_its_type():
    x = ct.device_put(ROWS, NamedSharding(mesh_of(), P()))
    for number in range(2):
        part = x.addressable_data(number)
        assert str(ct.typeof(part)) == "float32[8,4]" and part.dtype == np.float32
        (shard,) = part.addressable_shards
        np.testing.assert_array_equal(shard.data, ROWS)


@pytest.mark.parametrize("asked", [
    SingleDeviceSharding(ct.devices()[0], memory_kind="pinned_host"),
    NamedSharding(mesh_of(), P("x"), memory_kind="pinned_host"),
])  # fmt: skip
def test_arguments_are_in_the_memory_of_in_shardings(asked):
    f = ct.jit(lambda x: x * 2, in_shardings=asked)
    for x in (cnp.ones(8), ct.device_put(cnp.ones(8), asked.with_memory_kind("device"))):
        for _ in range(2):
            with pytest.raises(ValueError, match="pinned_host"):
                f(x)
    for x in (np.ones(8, np.float32), ct.device_put(cnp.ones(8), asked)):
        np.testing.assert_array_equal(f(x), np.full(8, 2, np.float32))


def test_a_program_is_compiled_for_the_device_of_a_struct():
    here = SingleDeviceSharding(ct.devices()[3])
    compiled = ct.jit(lambda x: x * 2).lower(ct.ShapeDtypeStruct((4,), np.float32, sharding=here)).compile()
    out = compiled(ct.device_put(ROWS[0], here))
    assert out.sharding == here and compiled.input_shardings[0][0] == here
    np.testing.assert_array_equal(out, ROWS[0] * 2)


def test_a_struct_takes_a_spec_over_the_mesh_in_force():
    with pytest.raises(TypeError, match="needs a mesh"):
        ct.ShapeDtypeStruct((8, 4), np.float32, sharding=P("x"))
    with ct.set_mesh(explicit_mesh()):
        struct = ct.ShapeDtypeStruct((8, 4), np.float32, sharding=P("x"))
        assert struct.sharding == NamedSharding(explicit_mesh(), P("x"))
        assert text(ct.eval_shape(lambda x: x.T, struct)) == "f32[4,8@x]"
        out = ct.jit(lambda x: x * 2).lower(struct).compile()(ROWS)
    assert out.sharding.is_equivalent_to(struct.sharding, 2)
