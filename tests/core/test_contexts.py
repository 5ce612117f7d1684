"""Flags that change what programs mean, contexts of a user's own, and slices of fixed size."""

import threading

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax


def test_a_user_context_is_part_of_what_is_compiled():
    context = ct.make_user_context(1)
    traces = []

    @ct.jit
    def scaled(x):
        traces.append(context.value)
        return x * context.value

    assert float(scaled(2.0)) == 2
    for value in (5, 7, 5):
        with context(value):
            assert float(scaled(2.0)) == 2 * value
            with context(1):
                assert float(scaled(2.0)) == 2
    assert traces == [1, 5, 7]
    with pytest.raises(TypeError, match="unhashable"):
        context([1])
    elsewhere = []
    with context(9):
        thread = threading.Thread(target=lambda: elsewhere.append(context.value))
        thread.start()
        thread.join()
    assert elsewhere == [1]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sums_in_half_precision_can_be_forbidden(dtype):
    x = cnp.ones(3, dtype)
    total = ct.jit(lambda x: lax.reduce_sum(x, (0,)))
    assert float(total(x)) == 3
    with ct.allow_f16_reductions(False):
        for function in (total, lambda x: lax.reduce_sum(x, (0,))):
            with pytest.raises(ValueError, match="allow_f16_reductions"):
                function(x)
        assert float(cnp.sum(x)) == 3  # it sums in float32
    assert float(total(x)) == 3


def test_softmax_by_its_own_rule():
    x = cnp.array([[0.5, -1.0, 3.0], [2.0, 2.0, 0.0]])
    mask = cnp.array([[True, True, False], [True, True, True]])
    probe = lambda x: (ct.nn.softmax(x) ** 2).sum() + (ct.nn.softmax(x, axis=0, where=mask) ** 3).sum()
    plain = [probe(x), ct.grad(probe)(x), ct.hessian(probe)(x)]
    with ct.softmax_custom_jvp(True):
        assert "custom_jvp_call" in str(ct.make_jaxpr(ct.nn.softmax)(x))
        ruled = [probe(x), ct.grad(probe)(x), ct.hessian(probe)(x)]
        np.testing.assert_allclose(
            ct.vmap(ct.grad(lambda r: ct.nn.softmax(r)[0]))(x), ct.jacfwd(lambda r: ct.nn.softmax(r)[:, 0].sum())(x),
            atol=1e-6,
        )  # fmt: skip
    for a, b in zip(plain, ruled, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)
    assert "custom_jvp_call" not in str(ct.make_jaxpr(ct.nn.softmax)(x))


def _on_one_device(function):
    mesh = ct.make_mesh((1,), ("x",), axis_types=(ct.sharding.AxisType.Auto,))
    return ct.shard_map(function, mesh=mesh, in_specs=ct.P("x"), out_specs=ct.P("x"))


def test_operands_are_cast_to_vary_only_if_allowed():
    def mixed(a):
        return a + cnp.ones(3)

    assert "pvary" in str(ct.make_jaxpr(_on_one_device(mixed))(cnp.ones(3)))
    with ct.auto_pcast(False):
        with pytest.raises(ValueError, match="vary along"):
            ct.make_jaxpr(_on_one_device(mixed))(cnp.ones(3))
        explicit = _on_one_device(lambda a: a + lax.pcast(cnp.ones(3), "x", to="varying"))
        assert explicit(cnp.ones(3)).tolist() == [2, 2, 2]


def test_axes_of_size_one_can_be_left_out_of_types():
    def body(a):
        assert ct.typeof(a).vma == frozenset()
        return lax.psum(lax.pcast(a, "x", to="varying"), "x") + cnp.ones(3)

    with ct.remove_size_one_mesh_axis_from_type(True):
        assert "pvary" not in str(ct.make_jaxpr(_on_one_device(body))(cnp.ones(3)))
        assert _on_one_device(body)(cnp.ones(3)).tolist() == [2, 2, 2]


def test_guards_take_their_levels():
    for level in ("allow", "log", None):
        with ct.array_garbage_collection_guard(level):
            assert ct.config.array_garbage_collection_guard == level
    with pytest.raises(ValueError, match="'fatal'"):
        ct.array_garbage_collection_guard("never")
    with ct.thread_guard(True):
        assert float(cnp.ones(()) + 1) == 2


SLICES = [(9, 3), (-2, 2), (2, 3), (0, 10), (3, 0), (1, 3, 2), (8, 2, 4)]


@pytest.mark.parametrize("parts", SLICES, ids=str)
def test_slices_of_fixed_size(parts):
    x = np.arange(10)
    start, size, stride = (*parts, 1)[:3]
    span = (size - 1) * stride + 1 if size else 0
    first = max(0, min(start + 10 if start < 0 else start, 10 - span))
    wanted = x[first : first + span : stride]
    array = cnp.asarray(x)
    take = lambda i: array[ct.ds(i, size, stride)]
    np.testing.assert_array_equal(take(start), wanted)
    np.testing.assert_array_equal(take(cnp.int32(start)), wanted)
    np.testing.assert_array_equal(ct.jit(take)(start), wanted)
    np.testing.assert_array_equal(ct.vmap(take)(cnp.full(2, start)), [wanted, wanted])
    changed = x.copy()
    places = np.arange(size) * stride + (
        start + 10 if start < 0 else start
    )  # nothing is written out of bounds
    changed[places[(places < 10) if stride > 1 else np.full(size, places.max(initial=0) < 10)]] = -1
    np.testing.assert_array_equal(ct.jit(lambda i: array.at[ct.ds(i, size, stride)].set(-1))(start), changed)


def test_slices_beside_other_indices_and_in_references():
    x = cnp.arange(24).reshape(4, 6)
    np.testing.assert_array_equal(x[1, ct.ds(2, 3)], x[1, 2:5])
    np.testing.assert_array_equal(x[cnp.array([0, 2]), ct.ds(cnp.int32(2), 3)], x[[0, 2], 2:5])
    ref = ct.new_ref(cnp.arange(10))
    assert ref[ct.ds(2, 3)].tolist() == [2, 3, 4]
    assert ref[ct.ds(cnp.int32(2), 3, 2)].tolist() == [2, 4, 6]
    ref[ct.ds(cnp.int32(8), 2)] = cnp.array([7, 7])
    assert ref[...].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 7, 7]
    assert "a[b:b+3]" in str(ct.make_jaxpr(lambda r, i: r[ct.ds(i, 3)])(ref, 1))


def test_what_slices_are():
    assert ct.ds(None) == slice(None)
    assert repr(ct.ds(3)) == "Slice(start=0, size=3, stride=1)"
    assert ct.ds(1, 2, 3) == ct.tree.map(lambda x: x, ct.ds(1, 2, 3))
    (start,) = ct.tree.leaves(ct.ds(cnp.int32(3), 2))
    assert int(start) == 3
    with pytest.raises(ValueError, match="negative"):
        ct.ds(1, 2, -1)
    with pytest.raises(ValueError, match="does not fit"):
        cnp.arange(3)[ct.ds(0, 4)]
    with pytest.raises(TypeError, match="size of a slice"):
        ct.jit(lambda n: cnp.arange(3)[ct.ds(0, n)])(2)


def test_marks_for_cotangents():
    _, f_vjp = ct.vjp(lambda x, y: cnp.sin(x) * y, 2.0, 3.0)
    total = ct.new_ref(0.0)
    wanted, added = f_vjp.with_refs(ct.ad.GradValue(), total)(1.0)
    assert added == ct.ad.GradRef() and float(wanted) == pytest.approx(3 * np.cos(2.0))
    assert f_vjp.with_refs(ct.ad.DontWant(), total)(1.0) == (ct.ad.DidntWant(), ct.ad.GradRef())
    assert float(total[...]) == pytest.approx(2 * np.sin(2.0))


def test_types_of_references_and_of_varying_values():
    reference = ct.ShapeDtypeStruct((2,), "float32", is_ref=True)
    assert repr(reference) == "ShapeDtypeStruct(shape=(2,), dtype=float32, is_ref=True)"
    assert reference != ct.ShapeDtypeStruct((2,), "float32")

    def add_one(ref):
        ref[...] += 1
        return ref[...]

    assert ct.eval_shape(add_one, reference) == ct.ShapeDtypeStruct((2,), "float32")
    assert "Ref{f32[2]}" in str(ct.make_jaxpr(add_one)(reference))
    varying = ct.sharding.ManualAxisType(varying=frozenset({"i"}))
    assert (
        ct.ShapeDtypeStruct((2,), "int8", manual_axis_type=varying).update(shape=(3,)).manual_axis_type
        is varying
    )
    with pytest.raises(TypeError, match="ManualAxisType"):
        ct.ShapeDtypeStruct((2,), "int8", manual_axis_type="i")
