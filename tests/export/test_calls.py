"""Exported programs called: eagerly, inside other programs, differentiated, with wrong arguments."""

import copy

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import export
from canter.core import effects
from canter.core.primitive import Primitive
from canter.interpreters import mlir

x = np.linspace(-1, 1, 3, dtype=np.float32)


def exported_through_bytes(function, *args, order=0, **options):
    exported = export.export(ct.jit(function), **options)(*args)
    return export.deserialize(exported.serialize(vjp_order=order))


@pytest.fixture(scope="module")
def scaled_sine():
    return exported_through_bytes(lambda x, y: {"a": cnp.sin(x) * y}, x, 2.0, order=2)


def test_fields_of_an_export():
    def f(x, *, k):
        return {"a": cnp.sin(x) * 2.0, "b": (k.sum(),)}

    exported = export.export(ct.jit(f))(cnp.ones((3, 4)), k=cnp.ones(3, cnp.int32))
    assert exported.fun_name == "f"
    assert str(exported) == repr(exported) == "Exported(fun_name=f, ...)"
    assert exported.in_tree == ct.tree.structure(((0,), {"k": 0}))
    assert exported.out_tree == ct.tree.structure({"a": 0, "b": (0,)})
    assert [str(a) for a in exported.in_avals] == ["float32[3,4]", "int32[3]"]
    assert [str(a) for a in exported.out_avals] == ["float32[3,4]", "int32[]"]
    assert exported.in_shardings_hlo == exported.out_shardings_hlo == (None, None)
    assert (exported.nr_devices, exported.platforms) == (1, (export.default_export_platform(),))
    assert exported.ordered_effects == exported.unordered_effects == exported.disabled_safety_checks == ()
    assert exported.calling_convention_version == export.maximum_supported_calling_convention_version == 10
    assert export.minimum_supported_calling_convention_version == 9
    assert (exported.module_kept_var_idx, exported.uses_global_constants) == ((0, 1), False)
    assert exported.has_vjp()
    assert exported.in_shardings_jax(ct.make_mesh((1,), ("x",))) == (None, None)
    assert "jax.result_info = \"result['a']\"" in exported.mlir_module()
    assert exported.mlir_module(serialized=False).operation.name == "builtin.module"
    assert exported.mlir_module_serialized.startswith(b"ML\xefR\rStableHLO_v")


def test_call_everywhere(scaled_sine):
    call, expected = scaled_sine.call, np.sin(x) * 2
    np.testing.assert_allclose(call(x, 2.0)["a"], expected, rtol=1e-6)
    np.testing.assert_allclose(ct.jit(call)(x, 2.0)["a"], expected, rtol=1e-6)
    np.testing.assert_allclose(export.call_exported(scaled_sine)(x, 2.0)["a"], expected, rtol=1e-6)
    carry, _ = ct.lax.scan(lambda c, y: (call(c, y)["a"], y), x, np.ones(3, np.float32))
    np.testing.assert_allclose(carry, np.sin(np.sin(np.sin(x))), rtol=1e-5)
    branch = ct.lax.cond(True, lambda x: call(x, 1.0)["a"], lambda x: x, x)
    np.testing.assert_allclose(branch, np.sin(x), rtol=1e-6)
    again = export.export(ct.jit(lambda x: call(call(x, 1.0)["a"], 3.0)["a"]))(x)
    np.testing.assert_allclose(again.call(x), np.sin(np.sin(x)) * 3, rtol=1e-5)


def test_derivatives_as_far_as_they_were_written(scaled_sine):
    def total(x):
        return scaled_sine.call(x, 2.0)["a"].sum()

    np.testing.assert_allclose(ct.grad(total)(x), 2 * np.cos(x), rtol=1e-6)
    second = ct.grad(lambda x: ct.grad(total)(x).sum())
    np.testing.assert_allclose(second(x), -2 * np.sin(x), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"No VJP is available.*vjp_order"):
        ct.grad(lambda x: second(x).sum())(x)
    with pytest.raises(ValueError, match=r"vjps of high-enough order"):
        scaled_sine.serialize(vjp_order=3)
    with pytest.raises(TypeError, match=r"custom_vjp"):
        ct.jvp(lambda x: scaled_sine.call(x, 2.0), (x,), (x,))


def test_vmap_is_one_call_after_another(scaled_sine):
    rows = np.stack([x, 2 * x])
    found = ct.vmap(scaled_sine.call, in_axes=(0, None))(rows, 2.0)["a"]
    np.testing.assert_allclose(found, 2 * np.sin(rows), rtol=1e-6)
    gradient = ct.grad(lambda r: ct.vmap(scaled_sine.call, in_axes=(0, None))(r, 2.0)["a"].sum())(rows)
    np.testing.assert_allclose(gradient, 2 * np.cos(rows), rtol=1e-6)


def test_derivative_as_a_program():
    exported = export.export(ct.jit(lambda x, i: (x * i, i)))(x, np.int32(3))
    derivative = exported.vjp()
    assert [str(a.dtype) for a in derivative.in_avals][:3] == ["float32", "int32", "float32"]
    assert derivative.in_avals[3].dtype == derivative.out_avals[1].dtype == ct.float0
    gradient, nothing = derivative.call(x, np.int32(3), x, np.zeros((), ct.float0))
    np.testing.assert_allclose(gradient, 3 * x)
    assert nothing.dtype == ct.float0


def test_wrong_arguments_are_named(scaled_sine):
    with pytest.raises(
        ValueError, match=r"Shape mismatch for args\[0\].shape\[0\] .*\(3,\) and called with \(4,\)"
    ):
        scaled_sine.call(np.ones(4, np.float32), 2.0)
    with pytest.raises(ValueError, match=r"Rank mismatch for args\[0\]"):
        scaled_sine.call(2.0, 2.0)
    with pytest.raises(
        ValueError, match=r"Dtype mismatch for args\[0\].*expected float32 and called with int32"
    ):
        scaled_sine.call(np.ones(3, np.int32), 2.0)
    with pytest.raises(ValueError, match=r"same pytree structure as when the function was exported"):
        scaled_sine.call(x, y=2.0)
    with pytest.raises(ValueError, match=r"must be the result of `jit`"):
        export.export(np.sin)
    with pytest.raises(TypeError, match=r"Write \['cpu'\]"):
        export.export(ct.jit(cnp.sin), platforms="cpu")


def test_weak_types_constants_and_unused_arguments():
    captured = cnp.arange(300.0)
    exported = export.export(ct.jit(lambda x, y: (captured + x, x * 2)))(1.0, 2.0)
    assert exported.in_avals[0].weak_type and exported.out_avals[1].weak_type
    assert exported.module_kept_var_idx == (0,)
    assert "tensor<300xf32>" in exported.mlir_module()
    first, second = exported.call(1.0, 5.0)
    np.testing.assert_allclose(first, np.arange(300) + 1)
    assert float(second) == 2.0
    kept = export.export(ct.jit(lambda x, y: x, keep_unused=True))(1.0, 2.0)
    assert kept.module_kept_var_idx == (0, 1)


def test_static_and_donated_arguments():
    function = ct.jit(lambda x, n: x * n, static_argnums=1, donate_argnums=0)
    exported = export.export(function)(ct.ShapeDtypeStruct((3,), np.float32), 3)
    assert "tf.aliasing_output = 0" in exported.mlir_module()
    np.testing.assert_allclose(exported.call(x), 3 * x)


def test_keys_are_types():
    exported = exported_through_bytes(lambda key: ct.random.normal(key, (4,)), ct.random.key(0))
    key = ct.random.key(7)
    assert exported.in_avals[0].dtype == key.dtype
    np.testing.assert_array_equal(exported.call(key), ct.random.normal(key, (4,)))
    for implementation in ("rbg", "unsafe_rbg"):
        key = ct.random.key(1, impl=implementation)
        assert exported_through_bytes(lambda key: key, key).out_avals[0].dtype == key.dtype


def test_several_platforms_in_one_artifact():
    def eigenvalues(a):
        return cnp.linalg.eigvalsh(a + a.T)

    square = np.arange(9, dtype=np.float32).reshape(3, 3)
    exported = exported_through_bytes(eigenvalues, square, platforms=["tpu", "cpu", "cuda"])
    assert exported.platforms == ("tpu", "cpu", "cuda") and exported.uses_global_constants
    assert '{jax.global_constant = "_platform_index"}' in exported.mlir_module()
    expected = np.linalg.eigvalsh(square + square.T)
    np.testing.assert_allclose(exported.call(square), expected, rtol=1e-4, atol=1e-4)
    nested = exported_through_bytes(lambda a: exported.call(a) * 2, square, platforms=["cuda", "cpu"])
    np.testing.assert_allclose(nested.call(square), 2 * expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match=r"exported for platforms .*but it is used on .*rocm"):
        export.export(ct.jit(exported.call), platforms=["cpu", "rocm"])(square)


def test_another_platform_is_refused_unless_the_check_is_disabled():
    exported = export.export(ct.jit(cnp.sin), platforms=["tpu"])(x)
    with pytest.raises(
        ValueError, match=r"exported for platforms '\('tpu',\)' but it is used on '\('cpu',\)'"
    ):
        exported.call(x)
    check = export.DisabledSafetyCheck.platform()
    anywhere = exported_through_bytes(cnp.sin, x, platforms=["tpu"], disabled_checks=[check])
    assert anywhere.disabled_safety_checks == (check,)
    np.testing.assert_allclose(anywhere.call(x), np.sin(x), rtol=1e-6)


def test_custom_calls_without_guarantees_are_named():
    def call(x):
        return ct.ffi.ffi_call("my_target", ct.ShapeDtypeStruct(x.shape, x.dtype))(x)

    with pytest.raises(
        ValueError, match=r"(?s)no compatibility guarantees.*my_target.*custom_call\('my_target'\)"
    ):
        export.export(ct.jit(call))(x)
    check = export.DisabledSafetyCheck.custom_call("my_target")
    assert check.is_custom_call() == "my_target" and str(check) == "custom_call:my_target"
    exported = exported_through_bytes(call, x, disabled_checks=[check])
    assert exported.disabled_safety_checks == (check,)
    assert "@my_target" in exported.mlir_module()
    export.export(ct.jit(cnp.linalg.cholesky))(np.eye(3, dtype=np.float32))


def test_callbacks_are_refused():
    with pytest.raises(NotImplementedError, match=r"host_callbacks is not yet implemented"):
        export.export(ct.jit(lambda x: ct.pure_callback(np.sin, x, x)))(x)


class _Ordered(effects.Effect):
    def __eq__(self, other):
        return type(self) is type(other)

    def __hash__(self):
        return 1


class _Unordered(_Ordered):
    def __hash__(self):
        return 2


def test_effects_and_their_tokens():
    effects.lowerable_effects.add_type(_Ordered)
    ordered = type("_JustOrdered", (_Ordered,), {"__hash__": _Ordered.__hash__})
    effects.ordered_effects.add_type(ordered)
    effects.lowerable_effects.add_type(ordered)
    acts = Primitive("acts")
    acts.def_effectful_abstract_eval(lambda x, effect: (x, {effect}))
    mlir.register_lowering(acts, lambda ctx, x, effect: [x])

    def f(x):
        return acts.bind(acts.bind(x, effect=ordered()), effect=_Ordered()) + 1

    exported = export.export(ct.jit(f))(1.0)
    assert exported.ordered_effects == (ordered(),) and exported.unordered_effects == (_Ordered(),)
    read = export.deserialize(exported.serialize())
    assert read.ordered_effects == exported.ordered_effects
    assert read.unordered_effects == exported.unordered_effects
    program = ct.make_jaxpr(read.call)(2.0)
    assert program.effects == {ordered(), _Ordered()}
    text = ct.jit(read.call).lower(2.0).as_text()
    assert "func.func public @main(%arg0: !stablehlo.token {jax.token = true}" in text


def test_wide_numbers():
    with ct.enable_x64(True):
        exported = exported_through_bytes(lambda x: x / 3, np.float64(1.0), order=1)
        assert exported.in_avals[0].dtype == np.float64
        assert float(exported.call(1.0)) == 1.0 / 3.0
    with pytest.raises(ValueError, match=r"Dtype mismatch.*expected float64 and called with float32"):
        exported.call(1.0)


def test_exported_programs_are_copied_as_they_are():
    exported = export.export(ct.jit(cnp.sin))(1.0)
    assert copy.deepcopy({"f": exported})["f"] is exported


def test_disabled_checks_are_checks():
    with pytest.raises(TypeError, match=r"disabled_checks takes .* got 'platform'"):
        export.export(ct.jit(cnp.sin), disabled_checks=["platform"])
