"""What programs over several processes do: four devices in all, compared with NumPy and with one device."""

import os
import pickle
import signal
import sys
import time

import numpy as np

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.experimental import multihost_utils
from canter.sharding import AxisType, Mesh, NamedSharding, SingleDeviceSharding

NUMBER, COUNT, ADDRESS = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
P = ct.P
ct.distributed.initialize(ADDRESS, COUNT, NUMBER, heartbeat_timeout_seconds=20)

LOCAL = 4 // COUNT
mesh = ct.make_mesh((4,), ("x",), axis_types=(AxisType.Auto,))
grid = ct.make_mesh((2, 2), ("x", "y"), axis_types=(AxisType.Auto,) * 2)
rows, everywhere = NamedSharding(mesh, P("x")), NamedSharding(mesh, P())
whole = np.arange(16, dtype=np.float32).reshape(8, 2)


def gathered(x):
    return multihost_utils.process_allgather(x, tiled=True)


def refused(kind, call, *words):
    try:
        call()
    except kind as error:
        missing = [word for word in words if word not in str(error)]
        assert not missing, (missing, str(error))
        return
    raise AssertionError(f"{kind.__name__} was not raised")


def devices():
    assert ct.distributed.is_initialized()
    assert ct.process_count() == ct.host_count() == COUNT
    assert ct.process_index() == ct.host_id() == NUMBER
    assert ct.process_indices() == ct.host_ids() == list(range(COUNT))
    assert ct.device_count() == 4 and ct.local_device_count() == LOCAL
    assert [d.process_index for d in ct.devices()] == [n for n in range(COUNT) for _ in range(LOCAL)]
    assert ct.local_devices() == [d for d in ct.devices() if d.process_index == NUMBER]
    assert ct.local_devices(0) == ct.devices()[:LOCAL]
    assert mesh.is_multi_process and mesh.local_mesh.shape == {"x": LOCAL}
    assert cnp.ones(3).devices() == {ct.local_devices()[0]}
    refused(
        RuntimeError, lambda: ct.distributed.initialize(ADDRESS, COUNT, NUMBER), "before any device is used"
    )


def arrays():
    x = ct.device_put(whole, rows)
    assert not x.is_fully_addressable and not x.is_fully_replicated
    assert len(x.addressable_shards) == LOCAL and len(x.global_shards) == 4
    for place, shard in enumerate(x.addressable_shards):
        part = NUMBER * LOCAL + place
        assert shard.device == ct.local_devices()[place] and shard.index == (
            slice(2 * part, 2 * part + 2),
            slice(None),
        )
        np.testing.assert_array_equal(shard.data, whole[2 * part : 2 * part + 2])
    assert sum(shard.data is None for shard in x.global_shards) == 4 - LOCAL
    assert repr(x) == str(x) == "Array(shape=(8, 2), dtype=float32)"
    for reading in (np.asarray, lambda x: x.tolist(), pickle.dumps, ct.device_get):
        refused(
            RuntimeError,
            lambda reading=reading: reading(x),
            "other processes",
            "process_allgather",
            "addressable_shards",
        )
    np.testing.assert_array_equal(gathered(x), whole)
    same = ct.device_put(whole, everywhere)
    assert not same.is_fully_addressable and "[ 0.,  1.]" in repr(same)
    np.testing.assert_array_equal(same, whole)
    made = [
        ct.make_array_from_callback((8, 2), rows, lambda index: whole[index]),
        ct.make_array_from_process_local_data(rows, whole[2 * LOCAL * NUMBER :][: 2 * LOCAL]),
        ct.make_array_from_process_local_data(rows, whole, (8, 2)),
        ct.make_array_from_single_device_arrays((8, 2), rows, [shard.data for shard in x.addressable_shards]),
        ct.device_put(x, NamedSharding(mesh, P("x", None))),
    ]
    for other in made:
        np.testing.assert_array_equal(gathered(other), whole)
    np.testing.assert_array_equal(gathered(ct.device_put(x, NamedSharding(grid, P("y", "x")))), whole)
    wrong = [ct.device_put(whole[:2], device) for device in ct.local_devices()] * 2
    refused(
        ValueError,
        lambda: ct.make_array_from_single_device_arrays((8, 2), rows, wrong),
        f"Expected {LOCAL} per-device",
    )
    # Scalars and keys, and what each process has for itself where all should have the same.
    assert int(ct.device_put(3, everywhere)) == 3
    keys = ct.device_put(ct.random.split(ct.random.key(0), 4), rows)
    np.testing.assert_array_equal(
        ct.random.key_data(gathered(keys)), ct.random.key_data(ct.random.split(ct.random.key(0), 4))
    )
    refused(
        ValueError,
        lambda: ct.device_put(np.full(4, NUMBER), rows),
        "device_put",
        "process 0: int",
        "process 1: int",
    )


def programs():
    x = ct.device_put(whole, rows)
    np.testing.assert_array_equal(gathered(x * 2 + 1), whole * 2 + 1)
    step = ct.jit(lambda w, x: ct.value_and_grad(lambda w: cnp.tanh(x @ w).sum())(w))
    w = np.ones((2, 3), np.float32)
    value, slope = step(ct.device_put(w, everywhere), x)
    alone, slope_alone = step(w, whole)
    np.testing.assert_allclose(value, alone, rtol=1e-6)
    np.testing.assert_allclose(gathered(slope), slope_alone, rtol=1e-6)
    total = ct.jit(lambda x: x.sum())
    for _ in range(100):  # none may wait for another in a queue
        y = total(x)
    assert float(y) == whole.sum()
    explicit = ct.make_mesh((4,), ("x",))
    with ct.set_mesh(explicit):
        z = ct.device_put(whole, P("x"))
        assert str(ct.typeof(z + z)) == "float32[8@x,2]"
        np.testing.assert_array_equal(gathered(z + z), 2 * whole)

    # A part of it, and what takes other ways to the devices.
    assert float(x[3, 1]) == 7 and float(cnp.where(x > 3, x, 0)[0, 0]) == 0
    for sums in (
        ct.jit(lambda x, y: x + y)(x, whole),
        ct.jit(lambda x: 2 * x).lower(x).compile()(x),
        x + cnp.asarray(whole),
    ):
        np.testing.assert_array_equal(gathered(sums), 2 * whole)
    twice = ct.shard_map(
        lambda x: ct.pure_callback(lambda v: 2 * np.asarray(v), ct.ShapeDtypeStruct(x.shape, x.dtype), x),
        mesh=mesh, in_specs=P("x"), out_specs=P("x"), check_vma=False,
    )  # fmt: skip
    np.testing.assert_array_equal(gathered(ct.jit(twice)(x)), 2 * whole)
    created = ct.jit(lambda: cnp.zeros((8, 2)), out_shardings=rows)()
    assert created.addressable_shards[0].data.shape == (2, 2)
    # Each process has the elements of its devices; the axis is as long as all of them.
    own = np.arange(LOCAL, dtype=np.float32) + NUMBER * LOCAL
    shares = ct.pmap(lambda x: x / lax.psum(x, "i"), axis_name="i", axis_size=4)(own)
    assert shares.is_fully_addressable
    np.testing.assert_allclose(shares, own / 6, rtol=1e-6)


def collectives():
    def each(x):
        i = lax.axis_index("x")
        return (
            lax.psum(x, "x"), lax.pmax(x, "x"), lax.pmin(x, "x"), lax.pmean(x, "x"),
            lax.all_gather(x, "x", tiled=True), lax.ppermute(x, "x", [(k, (k + 1) % 4) for k in range(4)]),
            lax.all_to_all(cnp.tile(x, (2, 1)) + i, "x", 0, 0, tiled=True),
            lax.psum_scatter(cnp.tile(x, (2, 1)) + i, "x", tiled=True),
        )  # fmt: skip

    mapped = ct.jit(ct.shard_map(each, mesh=mesh, in_specs=P("x"), out_specs=(P("x"),) * 8, check_vma=False))
    results = [gathered(y) for y in mapped(ct.device_put(whole, rows))]
    parts = whole.reshape(4, 2, 2)
    tall = [np.tile(part, (2, 1)) + k for k, part in enumerate(parts)]
    expected = [
        *(np.tile(f(parts, axis=0), (4, 1)) for f in (np.sum, np.max, np.min, np.mean)),
        np.tile(whole, (4, 1)),
        np.roll(parts, 1, axis=0).reshape(8, 2),
        np.concatenate([tall[source][k : k + 1] for k in range(4) for source in range(4)]),
        sum(tall),
    ]
    for got, want in zip(results, expected, strict=True):
        np.testing.assert_array_equal(got, want)


def random_numbers():
    def draw(key):
        return ct.random.normal(key, (8, 2)), ct.random.randint(key, (8,), 0, 1000)

    split = ct.jit(draw, out_shardings=(rows, rows))(ct.random.key(7))
    for got, want in zip(split, ct.jit(draw)(ct.random.key(7)), strict=True):
        np.testing.assert_array_equal(gathered(got), want)


def utilities():
    m = multihost_utils
    stacked = m.process_allgather({"n": np.int32(NUMBER), "v": np.full((1, 2), NUMBER + 0.5, np.float32)})
    np.testing.assert_array_equal(stacked["n"], np.arange(COUNT))
    assert stacked["v"].shape == (COUNT, 1, 2) and stacked["v"][-1, 0, 1] == COUNT - 0.5
    tiled = m.process_allgather(np.full((1, 2), NUMBER), tiled=True)
    np.testing.assert_array_equal(tiled, np.repeat(np.arange(COUNT), 2).reshape(COUNT, 2))
    refused(ValueError, lambda: m.process_allgather(np.float32(1), tiled=True), "scalar")
    refused(ValueError, lambda: m.process_allgather(np.zeros(1 + NUMBER)), "same shapes", "float32[2]")
    for value in (
        np.float32(-0.0),
        np.array([True, False]),
        np.array([np.nan, 1 + NUMBER], np.float32),
        np.int8(-3),
    ):
        sent = m.broadcast_one_to_all(value if NUMBER == 0 else np.zeros_like(value))
        expected = (
            np.array([np.nan, 1], np.float32) if value.shape == (2,) and value.dtype == np.float32 else value
        )
        assert (
            sent.tobytes() == expected.tobytes() and sent.dtype == value.dtype and sent.shape == value.shape
        )
    assert int(m.broadcast_one_to_all(np.int32(NUMBER), is_source=NUMBER == COUNT - 1)) == COUNT - 1
    key = m.broadcast_one_to_all(ct.random.key(NUMBER))
    assert (ct.random.key_data(key) == ct.random.key_data(ct.random.key(0))).all()
    m.assert_equal({"step": 3, "rate": np.float32(0.1)})
    refused(
        AssertionError,
        lambda: m.assert_equal({"step": NUMBER // (COUNT - 1)}, "Steps differ."),
        "Steps differ.",
    )
    m.sync_global_devices("here")
    refused(AssertionError, lambda: m.sync_global_devices(f"at {NUMBER}"), "at 0", "at 1", "name mismatch")
    local = np.arange(LOCAL * 2, dtype=np.float32) + 10 * NUMBER
    joined = m.host_local_array_to_global_array(local, mesh, P("x"))
    assert joined.shape == (8,)
    np.testing.assert_array_equal(m.global_array_to_host_local_array(joined, mesh, P("x")), local)
    same = m.host_local_array_to_global_array({"a": whole}, mesh, P())["a"]
    assert same.shape == whole.shape
    assert m.reached_preemption_sync_point(0) is False
    with m.live_devices(ct.devices()) as alive:
        assert alive == ct.devices()
    refused(
        ValueError,
        lambda: m.live_devices([ct.local_devices((NUMBER + 1) % COUNT)[0]]).__enter__(),
        "this process",
    )

    def block():
        with m.live_devices(ct.devices()):
            if NUMBER == 1:
                raise KeyError("mine")

    refused((KeyError, RuntimeError), block, "mine")


def preemption():
    step = 0
    if NUMBER == 1:
        os.kill(os.getpid(), signal.SIGTERM)
    while not multihost_utils.reached_preemption_sync_point(step) and step < 1000:
        step += 1
        multihost_utils.sync_global_devices("step")
        time.sleep(0.01)
    assert step < 1000
    multihost_utils.assert_equal(step, "All stop at the same step.")


def disagreements():
    from canter.runtime.processes import ProgramMismatchError

    x = ct.device_put(whole, rows)

    def common(x):
        return (x * (2.0 if NUMBER else 3.0)).sum()

    def first(x):
        return x.sum()

    def other(x):
        return x.max()

    refused(
        ProgramMismatchError, lambda: ct.jit(other if NUMBER == 1 else first)(x), "Process 1 would run another",
        "first(f32[8,2])", "other(f32[8,2])", "same order",
    )  # fmt: skip
    refused(
        ProgramMismatchError, lambda: ct.jit(common)(x), "first differ here", "process 0: ", "3.000000e+00"
    )
    # And on we go, together.
    assert float(ct.jit(first)(x)) == whole.sum()
    ct.config.update("process_agreement_timeout_seconds", 1.0)
    if NUMBER == 0:
        refused(
            multihost_utils.ProcessFailureError, lambda: ct.jit(other)(x), "Process 1 cannot take part in run other",
            "1 s (config.process_agreement_timeout_seconds)", "last about to do",
        )  # fmt: skip
    ct.config.update("process_agreement_timeout_seconds", 100.0)


def neighbours():
    """Half of the processes compute among themselves, and each alone."""
    half = [d for d in ct.devices() if d.process_index < 2]
    if NUMBER < 2:
        own = NamedSharding(Mesh(np.array(half, object), ("x",)), P("x"))
        y = ct.device_put(whole, own)
        assert float(y.sum()) == whole.sum()
    alone = NamedSharding(mesh.local_mesh, P("x"))
    np.testing.assert_array_equal(ct.device_put(whole, alone) + 1, whole + 1)
    assert ct.device_put(whole, SingleDeviceSharding(ct.local_devices()[-1])).is_fully_addressable


CHECKS = (
    devices,
    arrays,
    programs,
    collectives,
    random_numbers,
    utilities,
    neighbours,
    preemption,
    disagreements,
)
for check in CHECKS:
    check()
    print("passed", check.__name__, flush=True)
multihost_utils.sync_global_devices("end")
print(f"all {len(CHECKS)} passed", flush=True)
ct.distributed.shutdown()
assert not ct.distributed.is_initialized()
