"""Programs over several devices, exported and called."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import export
from canter.experimental import topologies
from canter.sharding import AbstractMesh, AxisType, Mesh, NamedSharding

P = ct.P
x = np.arange(64, dtype=np.float32).reshape(8, 8)


@pytest.fixture(scope="module")
def mesh():
    return ct.make_mesh((2, 4), ("a", "b"), axis_types=(AxisType.Auto, AxisType.Auto))


@pytest.fixture(scope="module")
def exported(mesh):
    rows, columns = NamedSharding(mesh, P("a")), NamedSharding(mesh, P("a", "b"))
    function = ct.jit(lambda x: x * x.sum(0), in_shardings=rows, out_shardings=columns)
    return export.deserialize(export.export(function)(x).serialize(vjp_order=1))


def test_shardings_are_told(exported, mesh):
    assert exported.nr_devices == 8
    assert exported.in_shardings_jax(mesh) == (NamedSharding(mesh, P("a")),)
    assert exported.out_shardings_jax(mesh) == (NamedSharding(mesh, P("a", "b")),)
    assert exported._in_named_shardings[0].mesh == mesh.abstract_mesh
    assert 'sdy.mesh @mesh = <["a"=2, "b"=4]>' in exported.mlir_module()
    with pytest.raises(ValueError, match="has other axes"):
        exported.in_shardings_jax(AbstractMesh((8,), ("i",)))


def test_call_on_as_many_devices(exported, mesh):
    for placed in (NamedSharding(mesh, P("a")), NamedSharding(mesh, P(None, "b"))):
        result = exported.call(ct.device_put(x, placed))
        np.testing.assert_allclose(result, x * x.sum(0))
        assert result.sharding.is_equivalent_to(NamedSharding(mesh, P("a", "b")), 2)
    gradient = ct.grad(lambda x: exported.call(x).sum())(ct.device_put(x, NamedSharding(mesh, P("a"))))
    np.testing.assert_allclose(gradient, ct.grad(lambda x: (x * x.sum(0)).sum())(x), rtol=1e-6)


def test_another_number_of_devices_is_refused(exported):
    with pytest.raises(ValueError, match="exported for 8 devices and is called in a program that runs on 1"):
        exported.call(x)
    four = Mesh(np.array(ct.devices()[:4]), ("a",))
    with pytest.raises(ValueError, match="exported for 8 devices and is called in a program that runs on 4"):
        exported.call(ct.device_put(x, NamedSharding(four, P("a"))))


def test_a_program_for_one_device_runs_on_many(mesh):
    exported = export.export(ct.jit(lambda x: x * 2))(x)
    assert exported.nr_devices == 1
    result = exported.call(ct.device_put(x, NamedSharding(mesh, P("a"))))
    np.testing.assert_allclose(result, 2 * x)
    assert len(result.sharding.device_set) == 8


def test_two_programs_share_a_mesh(exported, mesh):
    placed = ct.device_put(x, NamedSharding(mesh, P("a")))
    text = ct.jit(lambda x: exported.call(exported.call(x))).lower(placed).as_text()
    assert text.count("sdy.mesh") == 1


def test_export_for_devices_that_are_not_here():
    mesh = AbstractMesh((16, 4), ("a", "b"), axis_types=(AxisType.Auto, AxisType.Auto))
    struct = ct.ShapeDtypeStruct((64, 8), np.float32, sharding=NamedSharding(mesh, P("a")))
    exported = export.export(ct.jit(lambda x: (x @ x.T).sum(0)), platforms=["tpu"])(struct)
    assert exported.nr_devices == 64 and exported.platforms == ("tpu",)
    assert exported._in_named_shardings[0] == NamedSharding(mesh, P("a"))
    assert "mhlo.num_partitions = 64" in exported.mlir_module()
    assert exported.vjp().nr_devices == 64
    read = export.deserialize(exported.serialize())
    assert read.in_shardings_jax(mesh) == (NamedSharding(mesh, P("a")),)
    asked = ct.jit(lambda x: x * 2, out_shardings=NamedSharding(mesh, P("b")))
    assert export.export(asked, platforms=["tpu"])(np.ones(64, np.float32)).nr_devices == 64


def test_export_for_an_abstract_mesh_of_devices_that_are_here(mesh):
    abstract = NamedSharding(mesh.abstract_mesh, P("a"))
    exported = export.export(ct.jit(lambda x: x * 2))(
        ct.ShapeDtypeStruct(x.shape, x.dtype, sharding=abstract)
    )
    result = exported.call(ct.device_put(x, NamedSharding(mesh, P("b"))))
    np.testing.assert_allclose(result, 2 * x)


@pytest.fixture(scope="module")
def typed_exported():
    """A program whose types have layouts, read back; its mesh, and where its argument lies."""
    mesh = ct.make_mesh((8,), ("a",), axis_types=(AxisType.Explicit,))
    rows = NamedSharding(mesh, P("a"))
    placed = ct.device_put(x, rows)
    exported = export.export(ct.jit(lambda x: (cnp.sin(x), (x * 2).sum(0))))(placed)
    return export.deserialize(exported.serialize(vjp_order=1)), exported, placed


def test_layouts_of_types_are_read_back(typed_exported):
    read, exported, placed = typed_exported
    assert (read.in_avals, read.out_avals) == (exported.in_avals, exported.out_avals)
    assert read.in_avals == (ct.typeof(placed),) and str(read.in_avals[0]) == "float32[8@a,8]"
    assert read.vjp().out_avals == read.in_avals


def test_layouts_of_types_go_through_calls(typed_exported):
    read, _, placed = typed_exported
    mesh = placed.sharding.mesh
    outs = read.call(placed)
    assert [str(ct.typeof(out)) for out in outs] == ["float32[8@a,8]", "float32[8]"]
    np.testing.assert_allclose(outs[0], np.sin(x), rtol=1e-6)
    program = ct.make_jaxpr(lambda x: read.call(x)[0] + x)(placed)
    assert "call_exported" in str(program) and program.out_avals == [ct.typeof(placed)]
    with ct.set_mesh(mesh):
        gradient = ct.jit(ct.grad(lambda x: read.call(x)[0].sum()))(placed)
    np.testing.assert_allclose(gradient, np.cos(x), atol=1e-6)
    assert ct.typeof(gradient) == ct.typeof(placed)
    automatic = Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,))
    result = read.call(ct.device_put(x, NamedSharding(automatic, P())))[0]
    np.testing.assert_allclose(result, np.sin(x), rtol=1e-6)


def test_compiled_for_its_devices_under_its_name(exported, mesh, typed_exported):
    here = topologies.get_attached_topology("cpu")
    text = export.compile_for(exported, here)
    assert text.as_text().startswith("HloModule jit__lambda,") and "all-reduce" in text.as_text()
    assert text.input_shardings == ((NamedSharding(mesh, P("a")),), {})
    explicit = export.compile_for(typed_exported[0], here)
    assert explicit.input_shardings[0][0].spec == P("a") and "f32[1,8]" in explicit.as_text()
    with pytest.raises(ValueError, match="runs on 8 devices and the topology has 2"):
        export.compile_for(exported, topologies.TopologyDescription(ct.devices()[:2]))

    def model(x):
        return x + 1

    alone = export.compile_for(export.export(ct.jit(model))(x), here)
    assert alone.as_text().startswith("HloModule jit_model")
