"""Rules of one's own inside `shard_map`, and small differences from JAX 0.10.2 that an audit found."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.core.errors import ShardingTypeError
from canter.core.sharding import DuplicateSpecError
from canter.sharding import AxisType, NamedSharding, PartitionSpec as P

X = np.random.RandomState(0).randn(8, 4).astype(np.float32)


def mesh(axis_type=AxisType.Auto):
    return ct.make_mesh((4, 2), ("x", "y"), axis_types=(axis_type,) * 2)


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("sums", [True, False])
def test_custom_cotangents_of_what_every_device_has(sums, eager):
    """The rule's own sum over devices is the cotangent; one that it leaves out is made, and none is made twice."""

    @ct.custom_vjp
    def product(q, w):
        return q * w

    def backward(residuals, g):
        q, w = residuals
        total = g * q
        return g * w, lax.psum(total, "x") if sums else total

    product.defvjp(lambda q, w: (q * w, (q, w)), backward)
    body = ct.shard_map(
        lambda q, w: lax.psum(product(q, w).sum(), "x"), mesh=mesh(), in_specs=(P("x"), P()), out_specs=P()
    )
    grad = ct.grad(body, argnums=(0, 1))
    dq, dw = (grad if eager else ct.jit(grad))(X, X[:2])
    np.testing.assert_allclose(dq, np.tile(X[:2], (4, 1)), rtol=1e-5)
    np.testing.assert_allclose(dw, X.reshape(4, 2, 4).sum(0), rtol=1e-5)


def test_bits_of_split_arrays():
    own = mesh(AxisType.Explicit)
    with ct.set_mesh(own):
        x = ct.device_put(X, NamedSharding(own, P("x")))
        parts = lax.bitcast_convert_type(x, np.int8)
        assert str(ct.typeof(parts)) == "int8[8@x,4,4]"
        np.testing.assert_array_equal(parts, X.view(np.int8).reshape(8, 4, 4))
        np.testing.assert_array_equal(lax.bitcast_convert_type(parts, np.float32), X)
        with pytest.raises(ShardingTypeError, match="split"):
            lax.bitcast_convert_type(ct.sharding.reshard(parts, P(None, None, "y")), np.float32)


def test_spmd_axis_name_besides_split_arguments():
    own = mesh(AxisType.Explicit)
    with ct.set_mesh(own):
        x = ct.device_put(X, NamedSharding(own, P("x")))
        assert ct.vmap(lambda r: r * 2, spmd_axis_name="x")(x).sharding.spec == P("x", None)
        with pytest.raises(ValueError, match="Only one of spmd_axis_name"):
            ct.vmap(lambda r: r * 2, spmd_axis_name="y")(x)


def test_shard_map_reads_specs_off_arrays_that_no_mesh_knows():
    f = ct.shard_map(lambda v: v * 2, mesh=mesh(AxisType.Explicit), out_specs=P("x"))
    for x in (X, cnp.asarray(X)):
        np.testing.assert_allclose(f(x), np.tile(2 * X, (4, 1)))
    with pytest.raises(DuplicateSpecError):
        ct.shard_map(lambda v: v, mesh=mesh(), in_specs=P("x", "x"), out_specs=P("x"))(X)


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
def test_deleted_arrays_over_several_devices(axis_type):
    """Executing a program with memory that is gone would end the process."""
    own = mesh(axis_type)
    split = NamedSharding(own, P("x"))

    def twice(x):
        return x * 2

    mapped = ct.shard_map(twice, mesh=own, in_specs=P("x"), out_specs=P("x"))
    donated, deleted = ct.device_put(X, split), ct.device_put(X, split)
    ct.jit(lambda x: x * 3, donate_argnums=0)(donated)
    deleted.delete()
    for f in (ct.jit(twice), mapped, ct.jit(mapped), lambda x: x - 1, ct.grad(lambda x: x.sum()), cnp.sum):
        for gone in (donated, deleted):
            with pytest.raises(RuntimeError, match="Array has been deleted"):
                f(gone)
    pmapped = ct.pmap(twice)
    rows = pmapped(np.ones((8, 2), np.float32))
    pmapped(rows)
    rows.delete()
    with pytest.raises(RuntimeError, match="Array has been deleted"):
        pmapped(rows)


def test_types_inside_shard_map():
    seen = []

    def look(v):
        aval = ct.typeof(v)
        seen.append((aval.manual_axis_type.varying, aval.sharding.spec, aval.sharding.mesh.axis_types))
        return v

    ct.jit(ct.shard_map(look, mesh=mesh(), in_specs=P("x"), out_specs=P("x")))(X)
    assert seen[-1] == ({"x"}, P(None, None), (AxisType.Manual,) * 2)
    assert ct.typeof(X).manual_axis_type == ct.sharding.ManualAxisType()


def test_shardings_of_keys_have_no_entries_for_their_words():
    with ct.set_mesh(mesh(AxisType.Explicit)):
        keys = ct.random.split(ct.random.key(0), 8)
        assert keys.sharding.spec == P(None) and len(keys.sharding.spec) == 1
        assert ct.random.key(0).shape == () and np.asarray(ct.random.normal(keys[0], (2,))).shape == (2,)
    split = NamedSharding(mesh(), P("x"))
    keys = ct.device_put(ct.random.split(ct.random.key(0), 8), split)
    assert keys.sharding.is_equivalent_to(split, 1) and keys.sharding.spec == P("x")
    drawn = ct.jit(ct.vmap(lambda k: ct.random.normal(k, (2,))))(keys)
    np.testing.assert_array_equal(drawn, [ct.random.normal(k, (2,)) for k in keys])
