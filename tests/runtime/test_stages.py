"""Traced, Lowered, Compiled; make_jaxpr, eval_shape, ShapeDtypeStruct."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.experimental import topologies
from canter.runtime.abstract import eval_shape, make_jaxpr
from canter.runtime.jit import jit
from canter.runtime.shape_dtype import ShapeDtypeStruct
from canter.sharding import NamedSharding, PartitionSpec

ARRAY = np.arange(3, dtype=np.float32)


def affine(params, x):
    return {"y": lax.add(lax.mul(params["w"], x), params["b"]), "x": x}


PARAMS = {"w": ARRAY, "b": ARRAY}


def test_traced():
    traced = jit(affine).trace(PARAMS, ShapeDtypeStruct((3,), "float32"))
    assert [eqn.primitive.name for eqn in traced.jaxpr.eqns] == ["mul", "add"]
    assert traced.fun_name == "affine"
    assert traced.out_info["y"] == ShapeDtypeStruct((3,), np.float32)
    (params, x), kwargs = traced.args_info
    assert x.shape == (3,) and x.dtype == np.float32 and not x.donated and kwargs == {}
    assert set(params) == {"w", "b"}
    assert traced.in_tree.num_leaves == 3 and traced.out_tree.num_leaves == 2


def test_lowered_text():
    lowered = jit(affine).lower(PARAMS, ARRAY)
    text = lowered.as_text()
    assert "module @jit_affine" in text
    assert """jax.result_info = "result['y']\"""" in text
    assert "loc(" not in text and "params['w']" in lowered.as_text(debug_info=True)
    assert "HloModule jit_affine" in lowered.as_text(dialect="hlo")
    assert lowered.cost_analysis()["flops"] == 6.0
    assert lowered.compiler_ir().operation.verify()
    with pytest.raises(ValueError, match="'mhlo'"):
        lowered.as_text(dialect="mhlo")


def test_lower_for_another_platform():
    lowered = jit(affine).trace(PARAMS, ARRAY).lower(lowering_platforms=("tpu",))
    assert "stablehlo.multiply" in lowered.as_text()
    with pytest.raises(ValueError, match="lowered for tpu"):
        lowered.compile()


def test_compiled():
    compiled = jit(affine).lower(PARAMS, ARRAY).compile()
    for _ in range(3):
        out = compiled(PARAMS, ARRAY)
        np.testing.assert_array_equal(out["y"], ARRAY * ARRAY + ARRAY)
    assert "HloModule jit_affine" in compiled.as_text()
    assert compiled.cost_analysis()["flops"] == 6.0
    assert compiled.memory_analysis().argument_size_in_bytes == 36
    assert compiled.runtime_executable() is not None
    assert compiled.output_shardings["y"] == compiled.input_shardings[0][1]
    assert compiled.out_info["y"].sharding is not None


WRONG = {
    "shape": ((PARAMS, np.ones(4, np.float32)), r"argument x: compiled for f32\[3\], called with f32\[4\]"),
    "dtype": (
        (dict(PARAMS, b=np.ones(3, np.int32)), ARRAY),
        r"argument params\['b'\]: .* called with i32\[3\]",
    ),
    "count": ((PARAMS,), "another structure"),
    "keys": (({"w": ARRAY}, ARRAY), "another structure"),
}


@pytest.mark.parametrize("name", WRONG)
def test_compiled_checks_arguments(name):
    args, message = WRONG[name]
    compiled = jit(affine).lower(PARAMS, ARRAY).compile()
    with pytest.raises(TypeError, match=message):
        compiled(*args)


def test_compiled_names_what_is_wrong_with_a_call():
    f = ct.jit(lambda x, y: (x + 1, y + 1), donate_argnums=(0, 1))
    compiled = f.lower(*[np.ones(3, np.float32)] * 2).compile()
    with pytest.raises(TypeError, match=r"Argument y of <lambda> .* is of type str"):
        compiled(np.ones(3, np.float32), "a")
    with pytest.raises(
        TypeError, match=r"args: compiled for a tuple of length 2, called with a tuple of length 1"
    ):
        compiled(np.ones(3, np.float32))
    x = cnp.ones(3)
    with pytest.raises(ValueError, match=r"argument x of .*, which is donated, and as argument y"):
        compiled(x, x)
    with pytest.raises(TypeError, match="compiler_options"):
        ct.jit(lambda x: x, compiler_options=3)


def test_compiled_refuses_tracers():
    compiled = jit(affine).lower(PARAMS, ARRAY).compile()
    with pytest.raises(TypeError, match="cannot be traced: argument x"):
        jit(lambda x: compiled(PARAMS, x))(ARRAY)


def test_compiled_without_static_arguments():
    compiled = jit(lambda x, n: lax.mul(x, float(n)), static_argnums=1).lower(2.0, 3).compile()
    assert float(compiled(5.0)) == 15.0
    with pytest.raises(TypeError, match="Static arguments are not passed again"):
        compiled(5.0, 3)


def test_donation_in_stages():
    lowered = jit(affine, donate_argnums=1).lower(PARAMS, ARRAY)
    assert lowered.donate_argnums == (2,) and lowered.args_info[0][1].donated
    assert "tf.aliasing_output" in lowered.as_text()


def test_the_same_program_lowers_to_the_same_text():
    def build():
        return jit(lambda x: lax.add(lax.sin(x), ARRAY)).lower(ARRAY).as_text()

    assert build() == build()


def test_make_jaxpr():
    closed, shape = make_jaxpr(affine, return_shape=True)(PARAMS, ARRAY)
    assert [str(eqn.primitive) for eqn in closed.eqns] == ["mul", "add"]
    assert shape["x"] == ShapeDtypeStruct((3,), "float32")
    assert len(make_jaxpr(lambda x, n: lax.mul(x, float(n)), static_argnums=1)(1.0, 3).in_avals) == 1
    with pytest.raises(TypeError, match="takes a function"):
        make_jaxpr(3)
    with pytest.raises(TypeError, match="Argument x"):
        make_jaxpr(lambda x: x)("a")


def test_eval_shape():
    out = eval_shape(affine, PARAMS, ShapeDtypeStruct((3,), "float32"))
    assert out == {"y": ShapeDtypeStruct((3,), "float32"), "x": ShapeDtypeStruct((3,), "float32")}
    assert eval_shape(lambda x: lax.neg(x), 1.0).weak_type
    assert jit(affine).eval_shape(PARAMS, ARRAY)["y"].shape == (3,)
    huge = ShapeDtypeStruct((1 << 20, 1 << 20), "float32")  # 4 TB, were it computed
    assert eval_shape(lambda x: lax.exp(x), huge) == huge


def test_types_of_results_have_the_shardings_that_are_known():
    mesh = ct.make_mesh((2,), ("i",))
    split, struct = NamedSharding(mesh, PartitionSpec("i")), ct.ShapeDtypeStruct((4, 3), "float32")
    f = ct.jit(lambda x: (x * 2, x.sum()))
    with_sharding = struct.update(sharding=split)
    typed = NamedSharding(mesh.abstract_mesh, PartitionSpec("i", None))
    for found in (ct.eval_shape(f, with_sharding), f.trace(with_sharding).out_info):
        assert found[0].sharding == typed and found[1].sharding is None
    assert ct.make_jaxpr(f, return_shape=True)(with_sharding)[1][0].sharding == typed
    assert f.lower(with_sharding).out_info[0].sharding == NamedSharding(mesh, PartitionSpec("i", None))
    asked = ct.jit(lambda x: (x * 2, x.sum()), out_shardings=(split, None))
    assert [one.sharding for one in ct.eval_shape(asked, struct)] == [split, None]
    assert [one.sharding for one in f.trace(struct).out_info] == [None, None]

    again = ct.eval_shape(f, with_sharding)[0]  # names no devices: those of the mesh in force
    with ct.set_mesh(mesh):
        assert f.lower(again).compile().input_shardings[0][0].device_set == set(mesh.devices.flat)
    with pytest.raises(ValueError, match="names no devices"):
        f.lower(again)


def test_shape_dtype_struct():
    struct = ShapeDtypeStruct((2, 3), "float32")
    assert (struct.ndim, struct.size, len(struct)) == (2, 6, 2)
    assert repr(struct) == "ShapeDtypeStruct(shape=(2, 3), dtype=float32)"
    assert struct.update(shape=(4,)) == ShapeDtypeStruct((4,), np.float32)
    assert {struct: 1}[ShapeDtypeStruct([2, 3], np.float32)] == 1
    assert pickle.loads(pickle.dumps(struct)) == struct
    with pytest.raises(ValueError, match="dtype"):
        ShapeDtypeStruct((2,), None)
    with pytest.raises(TypeError, match="sequence"):
        ShapeDtypeStruct(3, "float32")


def test_lojax_knows_arrays_only():
    traced = jit(affine).trace(PARAMS, ARRAY)
    low = traced.lojax
    assert low.jaxpr is traced.jaxpr and low.fun_name == "affine" and low.out_tree == traced.out_tree
    assert low.out_info == traced.out_info and low.args_info == traced.args_info

    def bump(ref):
        ref[...] = ref[...] + 1

    import canter as ct

    high = jit(bump).trace(ct.new_ref(ARRAY))
    assert "Ref" in str(high.jaxpr.in_avals)
    assert [str(aval) for aval in high.lojax.jaxpr.in_avals] == ["float32[3]"]


def test_a_donated_argument_without_a_result_is_warned_of_and_kept():
    def total(x, y):
        return lax.add(x, lax.reduce_sum(y, (0,)))

    y = jit(lambda x: lax.add(x, x))(np.ones(4, np.float32))
    x = jit(lambda x: lax.add(x, x))(np.float32(1))
    jitted = jit(total, donate_argnums=(0, 1))
    with pytest.warns(UserWarning, match=r"donated buffers were not usable: y: f32\[4\]"):
        text = jitted.lower(x, y).as_text()
    assert "%arg1: tensor<4xf32>)" in text and "tf.aliasing_output" in text and "buffer_donor" not in text
    with pytest.warns(UserWarning, match="not usable"):
        jitted(x, y)
    assert x.is_deleted() and not y.is_deleted()


@pytest.mark.parametrize("axis_type", ["Auto", "Explicit"])
def test_lowering_for_hardware_that_is_not_here(axis_type):
    kind = getattr(ct.sharding.AxisType, axis_type)
    mesh = ct.sharding.AbstractMesh((16,), ("x",), axis_types=(kind,))
    struct = ct.ShapeDtypeStruct(
        (32, 4), np.float32, sharding=ct.sharding.NamedSharding(mesh, ct.sharding.PartitionSpec("x"))
    )
    assert str(ct.typeof(struct)) == ("float32[32,4]" if axis_type == "Auto" else "float32[32@x,4]")
    traced = ct.jit(lambda x: x.sum(0)).trace(struct)
    with pytest.raises(ValueError, match="lowering_platforms"):
        traced.lower()
    lowered = traced.lower(lowering_platforms=("tpu",))
    text = lowered.as_text()
    assert "mhlo.num_partitions = 16" in text and 'sdy.mesh @mesh = <["x"=16]>' in text
    assert '#sdy.sharding<@mesh, [{"x"}, {}]>' in text
    assert lowered.cost_analysis()["flops"] > 0
    with pytest.raises(ValueError, match="without devices"):
        lowered.compile()
    with pytest.raises(ValueError, match="runs on 16 devices and the topology has 8"):
        lowered.compile(topology=topologies.TopologyDescription(ct.devices()))


@pytest.mark.parametrize("axis_type", ["Auto", "Explicit"])
def test_compiling_for_the_devices_that_fill_a_mesh_without_any(axis_type):
    types = (getattr(ct.sharding.AxisType, axis_type),) * 2
    mesh = ct.sharding.AbstractMesh((4, 2), ("x", "y"), axis_types=types)
    spec = ct.sharding.PartitionSpec("x", "y")
    struct = ct.ShapeDtypeStruct((8, 4), np.float32, sharding=ct.sharding.NamedSharding(mesh, spec))
    traced = ct.jit(lambda x: (x.sum(0), x * 2)).trace(struct)
    devices = ct.devices()[::-1]
    compiled = traced.lower(lowering_platforms=("cpu",)).compile(
        topology=topologies.TopologyDescription(devices)
    )
    own = ct.sharding.Mesh(np.array(devices, object).reshape(4, 2), ("x", "y"), axis_types=types)
    x = np.arange(32, dtype=np.float32).reshape(8, 4)
    total, twice = compiled(ct.device_put(x, ct.sharding.NamedSharding(own, spec)))
    np.testing.assert_allclose(total, x.sum(0))
    np.testing.assert_allclose(twice, 2 * x)
    assert twice.sharding == ct.sharding.NamedSharding(own, spec)


def test_an_explicit_mesh_without_devices_in_force_is_that_of_the_program():
    mesh = ct.sharding.AbstractMesh((8,), ("x",), axis_types=(ct.sharding.AxisType.Explicit,))
    with ct.sharding.use_abstract_mesh(mesh):
        traced = ct.jit(lambda x: ct.sharding.reshard(x, PartitionSpec("x")) * 2).trace(
            ct.ShapeDtypeStruct((16, 4), np.float32)
        )
        text = traced.lower(lowering_platforms=("tpu",)).as_text()
    assert "mhlo.num_partitions = 8" in text and '<@mesh, [{"x"}, {}]>' in text


def test_structs_among_the_results_have_types_and_no_values():
    struct = ct.ShapeDtypeStruct((2, 3), np.float16, weak_type=True)

    def f(x):
        return {"x": x * 2, "struct": struct}

    assert ct.eval_shape(f, 1.0)["struct"] == struct
    assert ct.eval_shape(ct.jit(f), 1.0)["struct"] == struct
    assert ct.jit(f).trace(1.0).out_info["struct"].shape == (2, 3)
    for run in (lambda: ct.jit(f)(1.0), lambda: ct.jit(f).lower(1.0)):
        with pytest.raises(TypeError, match=r"A ShapeDtypeStruct has no value.*float16\[2,3\]"):
            run()
