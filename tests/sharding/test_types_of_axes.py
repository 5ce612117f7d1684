"""Meshes over one grid of devices whose axes have different types. What is expected was observed with JAX 0.10.2."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.core.sharding import IndivisibleError
from canter.sharding import AxisType, NamedSharding, PartitionSpec as P

X = np.arange(16, dtype=np.float32).reshape(8, 2)
TYPES = {
    "explicit": (AxisType.Explicit, AxisType.Explicit),
    "auto": (AxisType.Auto, AxisType.Auto),
    "mixed": (AxisType.Explicit, AxisType.Auto),
}
PAIRS = [(a, b) for a in TYPES for b in TYPES if a != b]


def mesh(name):
    return ct.make_mesh((4, 2), ("x", "y"), axis_types=TYPES[name])


def put(name, *entries):
    return ct.device_put(X, NamedSharding(mesh(name), P(*entries)))


def twice(x):
    return x * 2


@pytest.mark.parametrize("own, in_force", PAIRS)
@pytest.mark.parametrize("entries", [("x",), (), ("x", "y")])
def test_arrays_over_a_mesh_of_other_types(own, in_force, entries):
    x = put(own, *entries)
    contexts = (
        lambda: ct.set_mesh(mesh(in_force)),
        lambda: ct.sharding.use_abstract_mesh(mesh(in_force).abstract_mesh),
    )
    for context in contexts:
        for f in (twice, ct.jit(twice)):
            with context(), pytest.raises(ValueError, match="should match the aval mesh"):
                f(x)
    with pytest.raises(ValueError, match=r"should match|over different meshes"):
        x + put(in_force, *entries)


@pytest.mark.parametrize("own, in_force", PAIRS)
def test_constraints_over_a_mesh_of_other_types(own, in_force):
    def f(x):
        return lax.with_sharding_constraint(x, NamedSharding(mesh(own), P("x")))

    kind = AssertionError if in_force == "explicit" else ValueError
    with ct.set_mesh(mesh(in_force)):
        if (own, in_force) == ("auto", "mixed"):
            np.testing.assert_allclose(ct.jit(f)(X), X)
        else:
            with pytest.raises(kind):
                ct.jit(f)(X)


def test_auto_axes_has_results_along_explicit_axes():
    with ct.set_mesh(mesh("mixed")):
        x = put("mixed", "x")
        assert ct.typeof(ct.sharding.auto_axes(twice, out_sharding=P("x"))(x)).sharding.spec == P("x", None)
        for out_sharding in (P("y"), P(None, "y")):
            f = ct.sharding.auto_axes(twice, out_sharding=out_sharding)
            for g in (f, ct.jit(f)):
                with pytest.raises(ValueError, match="cannot contain axis names that are of type Auto"):
                    g(x)
        # Along axes that are automatic already there is nothing to change.
        same = ct.sharding.auto_axes(twice, axes="y", out_sharding=P("y"))(x)
        assert same.sharding.spec == P("x", None)
    with ct.set_mesh(mesh("explicit")), pytest.raises(ValueError, match="mesh in force"):
        ct.sharding.auto_axes(twice, out_sharding=NamedSharding(mesh("auto"), P("x")))(put("explicit", "x"))


@pytest.mark.parametrize("eager", [True, False])
def test_gradients_of_what_is_done_along_axes_of_other_types(eager):
    wrap = (lambda f: f) if eager else ct.jit
    with ct.set_mesh(mesh("mixed")):
        x = put("mixed", "x")
        square = ct.sharding.explicit_axes(lambda a: cnp.sum(a * a), axes=("y",), in_sharding=P("x", "y"))
        got = wrap(ct.grad(square))(x)
        np.testing.assert_allclose(got, 2 * X)
        assert str(ct.typeof(got)) == "float32[8@x,2]"
        double = ct.sharding.explicit_axes(twice, in_sharding=P("x", "y"))
        got = wrap(ct.grad(lambda a: cnp.sum(double(a) ** 2)))(x)
        np.testing.assert_allclose(got, 8 * X)
        squares = ct.sharding.auto_axes(lambda a: a * a, out_sharding=P("x"))
        np.testing.assert_allclose(wrap(ct.grad(lambda a: cnp.sum(squares(a))))(x), 2 * X)


def test_specs_of_jit_need_more_than_an_abstract_mesh_of_auto_axes():
    with ct.sharding.use_abstract_mesh(mesh("auto").abstract_mesh):
        for option in ("in_shardings", "out_shardings"):
            with pytest.raises(RuntimeError, match="requires a non-empty mesh in context"):
                ct.jit(twice, **{option: P("x")})(X)


SPECS = [P("x"), P(None, "y"), P(), P(("x", "y"))]


@pytest.mark.parametrize("entries", [(), ("x",), (None, "y")])
@pytest.mark.parametrize("spec", SPECS)
def test_shard_map_takes_arguments_as_their_types_say(entries, spec):
    own = mesh("explicit")
    f = ct.shard_map(twice, mesh=own, in_specs=spec, out_specs=spec)
    fits = P(*entries) == spec
    with ct.set_mesh(own):
        for g in (f, ct.jit(f)):
            if fits:
                np.testing.assert_allclose(g(put("explicit", *entries)), 2 * X)
            else:
                with pytest.raises(ValueError, match="does not match the specs of the input"):
                    g(put("explicit", *entries))


def test_shard_map_splits_what_no_mesh_knows_along_auto_axes_only():
    for x in (X, cnp.asarray(X)):
        with pytest.raises(ValueError, match="does not match the specs of the input"):
            ct.shard_map(twice, mesh=mesh("explicit"), in_specs=P("x"), out_specs=P("x"))(x)
        for name in ("auto", "mixed"):
            got = ct.shard_map(twice, mesh=mesh(name), in_specs=P("x"), out_specs=P("x"))(x)
            np.testing.assert_allclose(got, 2 * X)
    f = ct.shard_map(twice, mesh=mesh("explicit"), in_specs=P("x"), out_specs=P("x"), axis_names={"x"})
    with ct.set_mesh(mesh("explicit")):
        np.testing.assert_allclose(f(put("explicit")), 2 * X)


@pytest.mark.parametrize("rows", [0, 9, 12, 16])
def test_pmap_of_rows_that_devices_cannot_have(rows):
    x = np.ones((rows, 2), np.float32)
    kind = ValueError if rows == 0 else IndivisibleError
    for f in (ct.pmap(twice), ct.jit(ct.pmap(twice))):
        with pytest.raises(kind):
            f(x)
    with pytest.raises(ValueError):
        ct.pmap(twice, devices=ct.devices()[:4])(x)


def test_pmap_of_fewer_rows_than_devices():
    got = ct.pmap(twice, devices=ct.devices()[:4])(np.ones((3, 2), np.float32))
    np.testing.assert_allclose(got, 2 * np.ones((3, 2)))
    assert got.sharding.device_set == set(ct.devices()[:3])


def test_promised_arrays_that_cannot_be_split():
    split = NamedSharding(mesh("auto"), P("x"))
    with pytest.raises(ValueError, match="size is 9"):
        ct.jit(twice).lower(ct.ShapeDtypeStruct((9, 2), np.float32, sharding=split))
