"""The memory in which values are, as types say it. What is expected was observed with JAX 0.10.2."""

import pickle

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import export, lax
from canter.core.avals import ShapedArray
from canter.memory import Space
from canter.sharding import AxisType, NamedSharding, PartitionSpec as P, SingleDeviceSharding

N = np.arange(8, dtype=np.float32)


def on_host(x, device=None):
    return ct.device_put(x, SingleDeviceSharding(device or ct.devices()[0], memory_kind="pinned_host"))


@pytest.fixture
def h():
    return on_host(N)


def kind(x):
    return str(ct.typeof(x)), x.sharding.memory_kind


def test_types_say_the_memory(h):
    aval = ct.typeof(h)
    assert str(aval) == "float32<host>[8]" and repr(aval) == "ShapedArray(float32<host>[8])"
    assert aval.memory_space is Space.Host and str(aval.memory_space) == "MemorySpace.Host"
    assert ct.typeof(cnp.ones(8)).memory_space is Space.Device
    device = ShapedArray((8,), np.float32)
    assert aval != device and aval.update(memory_space=Space.Device) == device
    assert ShapedArray((8,), np.float32, memory_space=Space.Host) == aval == pickle.loads(pickle.dumps(aval))
    assert hash(ShapedArray((8,), np.float32, memory_space=Space.Device)) == hash(device)
    assert str(ct.make_jaxpr(lambda x: x + 1.0)(h)) == (
        "{ lambda ; a:f32<host>[8]. let b:f32<host>[8] = add a 1.0:f32[] in (b,) }"
    )


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize(
    "f, expected, type_",
    [
        (lambda x: x + x, 2 * N, "float32<host>[8]"),
        (lambda x: x * 2.0, 2 * N, "float32<host>[8]"),
        (cnp.sin, np.sin(N), "float32<host>[8]"),
        (lambda x: x > 3, N > 3, "bool<host>[8]"),
        (lambda x: x.reshape(2, 4).T, N.reshape(2, 4).T, "float32<host>[4,2]"),
        (lambda x: x[1:3], N[1:3], "float32<host>[2]"),
        (lambda x: x[2], N[2], "float32<host>[]"),
        (cnp.sum, N.sum(), "float32<host>[]"),
        (lambda x: x @ x, N @ N, "float32<host>[]"),
        (cnp.mean, N.mean(), "float32[]"),  # a number divided by a number is in the devices' memory
        (cnp.var, N.var(), "float32[]"),
        (lambda x: x.at[0].set(5.0), np.r_[np.float32(5), N[1:]], "float32<host>[8]"),
        (lambda x: x.at[:2].add(1.0), np.r_[N[:2] + 1, N[2:]], "float32<host>[8]"),
        (ct.nn.relu, N, "float32<host>[8]"),
        (lambda x: cnp.sort(-x), -N[::-1], "float32<host>[8]"),
        (lambda x: x + cnp.float32(1), N + 1, "float32<host>[8]"),
        (lambda x: lax.fori_loop(0, 3, lambda i, y: y + 1, x), N + 3, "float32<host>[8]"),
        (ct.vmap(lambda x: x * x), N * N, "float32<host>[8]"),
        (ct.jit(lambda x: x - 1), N - 1, "float32<host>[8]"),
        (lambda x: ct.device_put(x, Space.Device) + 1, N + 1, "float32[8]"),
        (
            lambda x: lax.scan(lambda c, y: (c + ct.device_put(y, Space.Device), y), 0.0, x)[1],
            N,
            "float32<host>[8]",
        ),
    ],
)
def test_results_are_in_the_memory_of_operands(h, f, expected, type_, eager):
    got = (f if eager else ct.jit(f))(h)
    np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-6)
    assert kind(got) == (type_, "pinned_host" if "host" in type_ else "device")


@pytest.mark.parametrize(
    "f",
    [
        lambda h, d: h + d,
        lambda h, d: d + h,
        cnp.dot,
        lambda h, d: cnp.concatenate([h, d]),
        lambda h, d: cnp.where(h > 0, h, d),
        lambda h, d: h[cnp.array([1, 2])],
        lambda h, d: h + np.ones(8, np.float32),
        lambda h, d: ct.vmap(lambda x: x + d)(h),
    ],
)
def test_operands_in_different_memories(h, f):
    for g in (f, ct.jit(f)):
        with pytest.raises(ValueError, match=r"memory_space of all inputs passed to `.*` must be the same"):
            g(h, cnp.asarray(N))


def test_control_flow_keeps_memories(h):
    def moved(x):
        return ct.device_put(x, Space.Host)

    with pytest.raises(TypeError, match="<host>"):
        lax.cond(True, lambda x: x, moved, cnp.asarray(N))
    with pytest.raises(TypeError, match="<host>"):
        lax.while_loop(lambda x: True, moved, cnp.asarray(N))


def test_puts_inside_programs(h):
    @ct.jit
    def f(h, d):
        return ct.device_put(h, Space.Device) + d, ct.device_put(d, Space.Host), h

    outs = f(h, cnp.asarray(N))
    assert [kind(out) for out in outs] == [
        ("float32[8]", "device"), ("float32<host>[8]", "pinned_host"), ("float32<host>[8]", "pinned_host")
    ]  # fmt: skip
    # A sharding for one device says where the result goes, and nothing of its type.
    asked = ct.jit(lambda x: x + 1, out_shardings=h.sharding)(cnp.asarray(N))
    assert kind(asked) == ("float32[8]", "pinned_host")
    text = ct.jit(lambda x: x * 2).lower(h).as_text()
    assert text.count('mhlo.memory_kind = "pinned_host"') == 2


def test_traces_differ_by_memory(h):
    traces = []
    f = ct.jit(lambda x: traces.append(ct.typeof(x)) or x * 2)
    for x in (h, cnp.asarray(N), h, cnp.asarray(N)):
        f(x)
    assert list(map(str, traces)) == ["float32<host>[8]", "float32[8]"]


@pytest.mark.parametrize("eager", [True, False])
def test_derivatives_are_in_the_memory_of_arguments(h, eager):
    def loss(x):
        return cnp.sum(ct.device_put(x, Space.Device) ** 2)

    def whole(x):
        return cnp.sum(x * x)

    def there_and_back(x):
        return ct.device_put(cnp.mean(ct.device_put(x, Space.Host) * 2), Space.Device)

    wrap = (lambda f: f) if eager else ct.jit
    for f in (loss, whole):
        got = wrap(ct.grad(f))(h)
        np.testing.assert_allclose(got, 2 * N)
        assert kind(got) == ("float32<host>[8]", "pinned_host")
    got = wrap(ct.grad(there_and_back))(cnp.asarray(N))
    np.testing.assert_allclose(got, 0 * N + 0.25)
    assert kind(got) == ("float32[8]", "device")
    _, tangent = ct.jvp(cnp.sin, (h,), (cnp.asarray(N),))
    np.testing.assert_allclose(tangent, N * np.cos(N), rtol=1e-6)
    assert kind(tangent)[0] == "float32<host>[8]"
    np.testing.assert_allclose(ct.jacfwd(lambda x: x * x)(h), np.diag(2 * N))


def test_offloaded_residuals():
    policy = ct.checkpoint_policies.save_and_offload_only_these_names(
        names_which_can_be_saved=[],
        names_which_can_be_offloaded=["z"],
        offload_src="device",
        offload_dst="pinned_host",
    )

    def f(x):
        return cnp.sum(cnp.sin(ct.ad_checkpoint.checkpoint_name(cnp.sin(x), "z")))

    g = ct.grad(ct.checkpoint(f, policy=policy))
    assert "f32<host>[8]" in str(ct.make_jaxpr(g)(N))
    np.testing.assert_allclose(ct.jit(g)(N), np.cos(np.sin(N)) * np.cos(N), rtol=1e-5)


def test_over_a_mesh():
    for axis_type, type_ in ((AxisType.Explicit, "float32<host>[8@x]"), (AxisType.Auto, "float32<host>[8]")):
        mesh = ct.make_mesh((4, 2), ("x", "y"), axis_types=(axis_type,) * 2)
        split = NamedSharding(mesh, P("x"))
        x = ct.device_put(N, split.with_memory_kind("pinned_host"))
        assert kind(x) == (type_, "pinned_host")
        assert kind(x.addressable_shards[0].data) == ("float32<host>[2]", "pinned_host")
        with ct.set_mesh(mesh):
            for f in (lambda x: x * x, ct.jit(lambda x: x * x)):
                got = f(x)
                np.testing.assert_allclose(got, N * N)
                assert kind(got) == (type_, "pinned_host") and got.sharding.spec == P("x")
            got = ct.jit(lambda x: x * 2, out_shardings=x.sharding)(ct.device_put(N, split))
            assert kind(got) == (type_, "pinned_host")
            if axis_type is AxisType.Explicit:
                for f in (
                    lambda x: ct.sharding.reshard(x, P("y")),
                    ct.jit(lambda x: ct.sharding.reshard(x, P("y"))),
                ):
                    assert kind(f(x)) == ("float32<host>[8@y]", "pinned_host")
            got = ct.jit(lambda x: ct.device_put(x, Space.Device) + 1)(x)
            assert kind(got) == (type_.replace("<host>", ""), "device")


def test_donated_arrays_of_the_host(h):
    assert np.asarray(ct.jit(lambda x: x + 1, donate_argnums=0)(h)).tolist() == (N + 1).tolist()
    asked = ct.jit(lambda x: x + 1, out_shardings=on_host(N).sharding)(cnp.asarray(N))
    got = ct.jit(lambda x: x + 1, donate_argnums=0)(asked)  # the type says nothing of its memory
    assert np.asarray(got).tolist() == (N + 2).tolist()


def test_exported_programs_keep_memories(h):
    exported = export.deserialize(export.export(ct.jit(lambda x: x * 2))(h).serialize())
    assert list(map(str, exported.in_avals)) == list(map(str, exported.out_avals)) == ["float32<host>[8]"]
    got = exported.call(h)
    np.testing.assert_allclose(got, 2 * N)
    assert kind(got) == ("float32<host>[8]", "pinned_host")
