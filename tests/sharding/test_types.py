"""Meshes, specs and shardings as values."""

import copy
import itertools
import pickle

import numpy as np
import pytest

import canter as ct
from canter.core.sharding import sharding_of_tiles
from canter.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, SingleDeviceSharding

from .meshes import P, mesh, named

SPECS = [
    P(), P(None), P("x"), P("y"), P(None, "x"), P("x", "y"), P("y", "x"), P(("x", "y")), P(("y", "x")),
    P(None, ("x", "y")), P("x", None),
]  # fmt: skip


def test_a_mesh_knows_its_axes():
    m = mesh()
    assert repr(m) == "Mesh(axis_sizes=(4, 2), axis_names=('x', 'y'), axis_types=(Auto, Auto))"
    assert str(m) == "Mesh('x': 4, 'y': 2, axis_types=(Auto, Auto))"
    assert dict(m.shape) == {"x": 4, "y": 2} and m.shape_tuple == (("x", 4), ("y", 2))
    assert (m.size, m.empty, m.is_multi_process) == (8, False, False)
    assert m.device_ids.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert m.local_mesh is m and len(m.local_devices) == 8
    assert m.auto_axes == ("x", "y") and not m.explicit_axes and not m.manual_axes


def test_meshes_are_values():
    assert mesh() == mesh() and hash(mesh()) == hash(mesh())
    assert mesh() != mesh(reverse=True) != mesh(names=("a", "b"))
    assert mesh() != mesh().update(axis_types=(AxisType.Explicit,) * 2)
    assert pickle.loads(pickle.dumps(mesh())) == mesh()


def test_an_abstract_mesh_has_no_devices():
    a = mesh().abstract_mesh
    assert str(a).startswith("AbstractMesh('x': 4, 'y': 2, axis_types=(Auto, Auto), device_kind=cpu")
    assert repr(AbstractMesh((4, 2), ("x", "y"))) == "AbstractMesh('x': 4, 'y': 2, axis_types=(Auto, Auto))"
    assert a == AbstractMesh((4, 2), ("x", "y"))
    assert a.update_axis_types({"x": AxisType.Manual}).manual_axes == ("x",)
    with pytest.raises(ValueError, match="does not implement devices"):
        _ = a.devices
    sharding = NamedSharding(a, P("x"))
    assert sharding.shard_shape((8, 3)) == (2, 3)
    with pytest.raises(ValueError, match="AbstractMesh"):
        _ = sharding.device_set


def test_the_mesh_in_force():
    assert ct.sharding.get_mesh().empty and ct.sharding.get_abstract_mesh().empty
    with ct.set_mesh(mesh()):
        assert ct.sharding.get_mesh() == mesh()
        assert ct.jit(lambda: ct.sharding.get_abstract_mesh().size * 1)() == 8
        with ct.set_mesh(None):
            assert ct.sharding.get_mesh().empty
        assert not ct.sharding.get_mesh().empty
        with pytest.raises(ValueError, match="being traced"):
            ct.jit(lambda: ct.set_mesh(mesh()))()
    assert ct.sharding.get_mesh().empty
    with mesh():
        assert ct.sharding.get_mesh().empty  # only bare specs refer to it
        assert ct.lax.with_sharding_constraint(np.arange(8), P("x")).sharding == named("x")


def test_make_mesh():
    m = ct.make_mesh((2, 2), ("a", "b"))
    assert m.axis_types == (AxisType.Explicit,) * 2 and m.device_ids.tolist() == [[0, 1], [2, 3]]
    assert ct.make_mesh((8,), ("a",), (AxisType.Auto,)).auto_axes == ("a",)


class Chip:
    """A device of a torus."""

    def __init__(self, number, coords, slice_index=0):
        self.id, self.coords, self.core_on_chip = number, coords, 0
        self.process_index, self.slice_index, self.platform, self.device_kind = 0, slice_index, "tpu", "v5e"

    def __repr__(self):
        return f"Chip{self.coords}"


def test_a_torus_gives_each_mesh_axis_whole_axes():
    from canter.experimental.mesh_utils import create_device_mesh, create_hybrid_device_mesh

    places = list(itertools.product(range(4), range(2), range(2)))
    chips = [Chip(i, place) for i, place in enumerate(places)]
    grid = create_device_mesh((4, 4), chips)
    for row in grid:
        assert len({chip.coords[0] for chip in row}) in (1, 4)
    assert {chip.coords for chip in grid.flat} == set(places)
    with pytest.raises(NotImplementedError, match="allow_split_physical_axes"):
        create_device_mesh((8, 2), [Chip(i, p) for i, p in enumerate(itertools.product(range(4), range(4)))])
    both = chips + [Chip(16 + i, place, 1) for i, place in enumerate(places)]
    hybrid = create_hybrid_device_mesh((4, 4), (2, 1), both)
    assert hybrid.shape == (8, 4)
    assert {chip.slice_index for chip in hybrid[:4].flat} == {0}


def test_specs_are_sequences_and_values():
    assert repr(P("x", None)) == "P('x', None)" and repr(P("x")) == "P('x',)" and repr(P()) == "P()"
    assert repr(P(("x", "y"), P.UNCONSTRAINED)) == "P(('x', 'y'), UNCONSTRAINED)"
    assert repr(P("x", unreduced={"y"})) == "P('x', unreduced={'y'})"
    assert P(("x",)) == P("x") and P("x") != P("x", None) and P(()) == P(None)
    assert hash(P("x")) == hash(P("x", None)) and P("x") + P("y") == P("x", "y")
    assert len(P("x", None)) == 2 and tuple(P("x", None)) == ("x", None) and P("x")[0] == "x"
    assert copy.deepcopy(P("x", P.UNCONSTRAINED)) == pickle.loads(pickle.dumps(P("x", P.UNCONSTRAINED)))
    assert ct.tree.leaves({"a": P("x")}) == [P("x")]


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("reverse", [False, True])
def test_each_device_holds_the_block_at_its_place(spec, reverse):
    m = mesh(reverse=reverse)
    sharding = NamedSharding(m, spec)
    sizes = dict(m.shape)
    shape = (8, 16)
    blocks = [1, 1]
    for dim, axes in enumerate(spec.axes()):
        blocks[dim] = int(np.prod([sizes[axis] for axis in axes], dtype=int))
    assert sharding.shard_shape(shape) == (8 // blocks[0], 16 // blocks[1])
    found = sharding.devices_indices_map(shape)
    assert list(found) == list(m.devices.flat)
    for place in np.ndindex(*m.devices.shape):
        where = dict(zip(m.axis_names, place, strict=True))
        cuts = []
        for dim in range(2):
            number = 0
            for axis in (*spec.axes(), (), ())[dim]:
                number = number * sizes[axis] + where[axis]
            size = shape[dim] // blocks[dim]
            cuts.append(slice(None) if blocks[dim] == 1 else slice(number * size, (number + 1) * size))
        assert found[m.devices[place]] == tuple(cuts)
    assert sharding.is_fully_replicated == (blocks == [1, 1])
    assert sharding.num_devices == 8 and sharding.is_fully_addressable and sharding.memory_kind == "device"
    # jaxlib's form says the same, and leads back to the spec.
    back = sharding_of_tiles(m, sharding._to_xla_hlo_sharding(2), 2)
    assert type(back) is NamedSharding and back.is_equivalent_to(sharding, 2)
    assert pickle.loads(pickle.dumps(sharding)) == sharding


def test_equivalence():
    assert named("x") != named("x", None) and named("x").is_equivalent_to(named("x", None), 2)
    assert not named("x").is_equivalent_to(named("y"), 1)
    assert not named("x").is_equivalent_to(named("x", memory_kind="pinned_host"), 1)
    one = Mesh(ct.devices()[1:2], "x")
    assert SingleDeviceSharding(ct.devices()[1]).is_equivalent_to(NamedSharding(one, P("x")), 1)
    assert NamedSharding(one, P("x")).is_equivalent_to(SingleDeviceSharding(ct.devices()[1]), 1)
    assert named("x").with_memory_kind("pinned_host").memory_kind == "pinned_host"
    assert named("x").update(spec=P("y")) == named("y")


def test_layouts():
    from canter.experimental.layout import Format, Layout, with_layout_constraint

    x = ct.device_put(np.zeros((8, 4)), named("x"))
    assert x.format == Format(Layout((0, 1), (), 0), named("x"))
    assert ct.device_put(np.zeros((8, 4)), x.format).sharding == named("x")
    assert with_layout_constraint(x, Layout((1, 0))).format == Format(Layout((1, 0), (), 0), named("x"))


def test_the_names_of_the_module():
    names = """AbstractDevice AbstractMesh AxisType ManualAxisType Mesh NamedSharding PartitionSpec Sharding
    SingleDeviceSharding auto_axes explicit_axes get_abstract_mesh get_mesh make_single_device_sharding reshard
    set_mesh use_abstract_mesh""".split()
    for name in (*names, "use_mesh"):
        assert callable(getattr(ct.sharding, name)) and name in dir(ct.sharding)
    assert isinstance(named("x"), ct.sharding.Sharding)
    with pytest.raises(AttributeError, match="did you mean"):
        _ = ct.sharding.NamedShard


def test_types_are_made_with_the_sharding_that_types_have():
    aval = ct.core.ShapedArray
    whole = ct.typeof(np.ones((2, 3), np.float32))
    assert aval((2, 3), np.float32, sharding=whole.sharding) == whole
    mesh = ct.sharding.AbstractMesh((2,), ("x",), axis_types=(ct.sharding.AxisType.Explicit,))
    split = ct.sharding.NamedSharding(mesh, ct.sharding.PartitionSpec("x"))
    assert str(aval((4,), np.float32, sharding=split)) == "float32[4@x]"
    with pytest.raises(TypeError, match="NamedSharding"):
        aval((4,), np.float32, sharding=ct.devices()[0])
