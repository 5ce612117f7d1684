"""Moving values to devices and back: copies, placement, trees, transformations, errors."""

import numpy as np
import pytest

from canter import lax
from canter.core import config
from canter.core.avals import ShapedArray
from canter.core.tracing import trace_to_jaxpr
from canter.runtime import backend
from canter.runtime.array import ArrayImpl
from canter.runtime.device_put import block_until_ready, device_get, device_put, to_device
from canter.runtime.jit import jit
from canter.runtime.shardings import SingleDeviceSharding
from canter.transforms.derivatives import grad, jvp
from canter.transforms.vmap import vmap


def aligned(n, offset=0):
    """float32 memory that begins `offset` bytes after a multiple of 64, which is what jaxlib would share."""
    raw = np.empty(n * 4 + 128, np.uint8)
    start = -raw.ctypes.data % 64 + offset
    return raw[start : start + n * 4].view(np.float32)


@pytest.mark.smoke
@pytest.mark.parametrize("offset", [0, 16])
@pytest.mark.parametrize("size", [1, 1000, 100_000])
def test_a_put_never_shares_the_callers_memory(offset, size):
    host = aligned(size, offset)
    host[:] = 1
    arrays = [
        device_put(host),
        to_device(host),
        device_put(host, backend.devices()[1]),
        device_put({"a": host})["a"],
    ]
    host[:] = 99
    for array in arrays:
        assert (np.asarray(array) == 1).all()


@pytest.mark.smoke
@pytest.mark.parametrize("offset", [0, 16])
def test_a_call_does_not_see_later_writes_to_its_arguments(offset):
    @jit
    def slow(x):
        for _ in range(20):
            x = lax.sin(lax.cos(x))
        return lax.mul(lax.slice(x, (0,), (1000,)), 0.0)

    add = jit(lax.add)
    big, host = device_put(np.full(500_000, 0.3, np.float32)), aligned(1000, offset)
    for _ in range(5):
        host[:] = 0.5
        out = add(host, slow(big))  # has to wait for `slow`, so that the write comes first
        host[:] = 99
        assert (np.asarray(out) == 0.5).all()
    assert add._cache_size() == 1


def test_repeated_calls_with_numpy_arguments_stay_in_cpp():
    calls = []

    @jit
    def function(x, y):
        calls.append(1)
        return lax.add(x, y)

    for _ in range(5):
        np.testing.assert_array_equal(function(np.ones(3, np.float32), 2.0), [3, 3, 3])
    assert len(calls) == 1 and function._cache_size() == 1


@pytest.mark.smoke
def test_trees_and_types():
    tree = {"a": np.arange(3), "b": [1.0, None, True], "c": (np.float64(2), 2j, np.int8(3))}
    out = device_put(tree)
    assert out["b"][1] is None
    described = [(x.dtype.name, x.weak_type, x.committed) for x in (out["a"], *out["b"][::2], *out["c"])]
    assert described == [
        ("int32", False, False),
        ("float32", True, False),
        ("bool", False, False),
        ("float32", False, False),
        ("complex64", True, False),
        ("int8", False, False),
    ]


def test_x64_keeps_wide_types():
    with config.enable_x64(True):
        assert device_put(np.arange(3)).dtype == np.int64
        assert device_put(1.0).dtype == np.float64
        assert device_put(2**40).item() == 2**40


def test_targets():
    first, second = backend.devices()[:2]
    x = device_put(np.arange(3), second)
    assert x.device is second and x.committed
    assert device_put(x) is x and device_put(x, second) is x
    back = device_put(x, SingleDeviceSharding(first))
    assert back.device is first and back.committed
    np.testing.assert_array_equal(back, [0, 1, 2])
    uncommitted = device_put(np.arange(3))
    assert device_put(uncommitted, first).committed and not uncommitted.committed


def test_tree_of_targets_is_a_prefix():
    first, second = backend.devices()[:2]
    out = device_put({"a": [1, 2], "b": 3}, {"a": second, "b": None})
    assert [x.device for x in out["a"]] == [second, second]
    assert out["b"].device is first and not out["b"].committed


def test_memory_kinds():
    device = backend.devices()[0]
    host = device_put(np.arange(3), SingleDeviceSharding(device, memory_kind="pinned_host"))
    assert host.sharding.memory_kind == "pinned_host"
    np.testing.assert_array_equal(host, [0, 1, 2])
    assert device_put(host, device).sharding.memory_kind == "device"
    with pytest.raises(ValueError, match="memory"):
        SingleDeviceSharding(device, memory_kind="nowhere")


def test_may_alias_false_copies():
    x = to_device(np.arange(3))
    assert device_put(x, may_alias=False).unsafe_buffer_pointer() != x.unsafe_buffer_pointer()
    assert device_put(x, may_alias=True) is x


def test_donation_to_another_device():
    x = to_device(np.arange(3))
    y = device_put(x, backend.devices()[1], donate=True)
    np.testing.assert_array_equal(y, [0, 1, 2])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: device_put("a"), TypeError, "'a'"),
        (lambda: device_put(object()), TypeError, "object"),
        (lambda: device_put(np.array(["a"])), TypeError, "<U1"),
        (lambda: device_put(np.array([None])), TypeError, "object"),
        (lambda: device_put(2**40), OverflowError, "int32"),
        (lambda: device_put(1, "cpu"), ValueError, r"got 'cpu'.*canter.devices\('cpu'\)"),
        (lambda: device_put(1, 3), ValueError, "device takes a device.*got 3"),
        (lambda: device_put([1, 2], [backend.devices()[0]]), ValueError, "prefix.*\n.*length 1.*length 2"),
        (lambda: device_put(1.0, donate=True, may_alias=True), ValueError, "donate"),
    ],
)
def test_bad_puts(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_get_and_wait():
    tree = {"a": to_device(np.arange(3)), "b": "text", "c": to_device(2.0), "d": None}
    out = device_get(tree)
    assert type(out["a"]) is type(out["c"]) is np.ndarray and out["c"].shape == ()
    assert out["b"] == "text" and out["d"] is None
    assert block_until_ready(tree) is tree
    assert block_until_ready([tree["a"], tree["c"], 3])[2] == 3


def test_transfer_guards_tell_explicit_puts_from_others():
    host = np.arange(3, dtype=np.float32)
    double = jit(lambda x: lax.add(x, x))
    x = device_put(host)
    double(x)
    with config.transfer_guard("disallow"):
        assert device_put(host).shape == (3,) and device_get(double(x)).tolist() == [0, 2, 4]
        with pytest.raises(RuntimeError, match="Disallowed host-to-device transfer"):
            double(host)
    with config.transfer_guard("disallow_explicit"), pytest.raises(RuntimeError, match="Disallowed"):
        device_put(host)


# --- inside transformations ---


JAXPR = """\
{ lambda ; a:f32[3]. let
    b:f32[3] = device_put[
      copy_semantics=(ArrayCopySemantics.REUSE_INPUT,)
      devices=(CpuDevice(id=0),)
      srcs=(None,)
    ] a
    c:f32[3] d:f32[3] = device_put[
      copy_semantics=(ArrayCopySemantics.ALWAYS_COPY, ArrayCopySemantics.ALWAYS_COPY)
      devices=(None, None)
      srcs=(None, None)
    ] b a
  in (c, d) }"""


def test_jaxpr_is_printed_as_jax_prints_it():
    def function(x):
        return device_put([device_put(x, backend.devices()[0]), x], may_alias=False)

    closed = trace_to_jaxpr(function, (ShapedArray((3,), "float32"),), name="function")
    assert str(closed) == JAXPR


@pytest.mark.smoke
def test_transformations_pass_through():
    device = backend.devices()[0]
    x = np.arange(3, dtype=np.float32)

    def function(x):
        y = device_put({"a": x, "b": 2.0}, device)
        return lax.reduce_sum(lax.mul(y["a"], y["a"]), (0,))

    np.testing.assert_allclose(jit(function)(x), 5)
    np.testing.assert_allclose(grad(function)(x), 2 * x)
    np.testing.assert_allclose(jvp(function, (x,), (np.ones_like(x),))[1], 6)
    np.testing.assert_allclose(vmap(lambda x: lax.mul(device_put(x), 2.0))(x), 2 * x)
    second = jvp(grad(function), (x,), (np.ones_like(x),))[1]
    np.testing.assert_allclose(second, np.full(3, 2))


def test_gradient_goes_back_where_the_value_came_from():
    first, second = backend.devices()[:2]
    x = device_put(np.float32(3), first)
    gradient = grad(lambda x: lax.mul(device_put(x, second, src=first), np.float32(2)))(x)
    assert type(gradient) is ArrayImpl and float(gradient) == 2.0
    assert gradient.device is first


def test_device_get_leaves_traced_values_alone():
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.testing.assert_array_equal(vmap(lambda a: lax.mul(device_get({"a": a})["a"], a))(x), x * x)
    np.testing.assert_array_equal(jit(lambda a: lax.mul(device_get(a), a))(x), x * x)
    assert grad(lambda a: lax.mul(device_get(a), a))(np.float32(3.0)) == 6.0  # no link of the chain is cut
