"""What an array tells of itself, and how it becomes Python and NumPy values."""

import copy
import json
import operator
import pathlib
import pickle

import ml_dtypes
import numpy as np
import pytest

from canter.core import config
from canter.core.avals import ShapedArray
from canter.core.tracing import trace_to_jaxpr
from canter.runtime import backend
from canter.runtime.array import Array, ArrayImpl
from canter.runtime.device_put import device_put, to_device

DATA = pathlib.Path(__file__).parent / "data"


@pytest.fixture
def x():
    return to_device(np.arange(6, dtype=np.float32).reshape(2, 3))


@pytest.mark.smoke
def test_attributes(x):
    assert x.shape == (2, 3) and x.ndim == 2 and x.size == 6
    assert x.dtype == np.float32 and isinstance(x.dtype, np.dtype)
    assert (x.itemsize, x.nbytes, x.on_device_size_in_bytes()) == (4, 24, 24)
    assert x.weak_type is False and to_device(1.0).weak_type is True
    assert x.platform() == "cpu" and x.unsafe_buffer_pointer() > 0
    assert x.is_ready() in (True, False) and not x.is_deleted()
    assert x.__array_priority__ == 100
    assert x.aval == ShapedArray((2, 3), "float32")
    assert x.traceback is not None


def test_device_attributes(x):
    first, second = backend.devices()[:2]
    assert x.device is first and x.devices() == {first} and not x.committed
    moved = device_put(x, second)
    assert moved.device is second and moved.devices() == {second} and moved.committed
    assert moved.is_fully_replicated and moved.is_fully_addressable
    assert moved.sharding.device_set == {second}


def test_shards_of_an_array_on_one_device(x):
    for shards in (x.addressable_shards, x.global_shards):
        (shard,) = shards
        assert shard.device is x.device and shard.replica_id == 0
        assert shard.index == (slice(None), slice(None))
        np.testing.assert_array_equal(shard.data, np.asarray(x))
    assert repr(shard).startswith("Shard(device=CpuDevice(id=0), index=(slice(None, None, None), slice(")
    np.testing.assert_array_equal(x.addressable_data(0), np.asarray(x))


@pytest.mark.smoke
def test_isinstance_admits_arrays_and_tracers_only(x):
    seen = []

    def function(tracer):
        seen.append(isinstance(tracer, Array))
        return [tracer]

    trace_to_jaxpr(function, (x.aval,), name="function")
    assert seen == [True]
    assert isinstance(x, Array) and issubclass(ArrayImpl, Array)
    for other in (1.0, np.ones(3), None, [x]):
        assert not isinstance(other, Array)


@pytest.mark.parametrize(
    "case", json.loads((DATA / "array_repr.json").read_text()), ids=lambda case: case["value"]
)
def test_repr_is_that_of_jax(case):
    value = eval(case["value"], {"np": np})
    assert repr(to_device(value)) == case["repr"]


def test_text(x):
    assert repr(to_device(2.0)) == "Array(2., dtype=float32, weak_type=True)"
    assert str(x) == str(np.asarray(x)) == f"{x}"
    assert f"{to_device(2.5):.3f}" == "2.500" and f"{to_device(7):04d}" == "0007"
    with pytest.raises(TypeError, match="format"):
        f"{x:.3f}"


@pytest.mark.smoke
def test_scalars_convert():
    assert int(to_device(2.7)) == 2 and float(to_device(3)) == 3.0 and complex(to_device(2j)) == 2j
    assert bool(to_device(np.ones((1, 1)))) is True and bool(to_device(0.0)) is False
    assert operator.index(to_device(3)) == 3 and hex(to_device(255)) == "0xff"
    assert [10, 20, 30][to_device(1)] == 20
    assert to_device(3).item() == 3 and type(to_device(3).item()) is int


@pytest.mark.parametrize(
    ("convert", "error", "message"),
    [
        (
            bool,
            ValueError,
            r"more than one element is ambiguous \(shape \(2, 3\)\). Use a.any\(\) or a.all\(\)",
        ),
        (int, TypeError, r"Only scalar arrays.*ndim=2, shape \(2, 3\).*int\(x\[0, 0\]\)"),
        (float, TypeError, r"Only scalar arrays.*float\(x\[0, 0\]\)"),
        (complex, TypeError, r"Only scalar arrays"),
        (operator.index, TypeError, r"Only integer scalar arrays.*f32\[2,3\]"),
        (hash, TypeError, r"unhashable.*tuple"),
        (lambda x: x.item(), ValueError, r"size 1.*shape \(2, 3\)"),
        (lambda x: x.item(7), IndexError, r"out of bounds"),
        (lambda x: {x: 1}, TypeError, r"unhashable"),
    ],
)
def test_bigger_arrays_do_not_convert(x, convert, error, message):
    with pytest.raises(error, match=message):
        convert(x)


def test_conversions_of_odd_arrays():
    with pytest.raises(ValueError, match="empty array is ambiguous"):
        bool(to_device(np.zeros(0)))
    with pytest.raises(TypeError, match="integer scalar"):
        operator.index(to_device(1.0))
    with pytest.raises(TypeError, match="integer scalar"):
        operator.index(to_device(np.array([1])))
    with pytest.raises(TypeError, match="len\\(\\) of unsized object"):
        len(to_device(1.0))
    with pytest.raises(TypeError, match="iteration over a 0-d array"):
        iter(to_device(1.0))


def test_item_and_tolist(x):
    host = np.asarray(x)
    assert x.tolist() == host.tolist() and x.item(1, 2) == 5.0 and x.item(4) == 4.0


def test_length_and_iteration(x):
    assert len(x) == 2
    rows = list(x)
    assert all(type(row) is ArrayImpl and row.shape == (3,) and row.dtype == np.float32 for row in rows)
    np.testing.assert_array_equal(rows, np.asarray(x))
    first, *_, last = to_device(np.arange(4))
    assert (int(first), int(last)) == (0, 3) and first.dtype == np.int32
    (weak,) = (device_put(element) for element in [2.0])
    assert weak.weak_type


def test_rows_stay_where_the_array_is(x):
    device = backend.devices()[2]
    assert all(row.device is device and row.committed for row in device_put(x, device))


@pytest.mark.smoke
def test_numpy_takes_it_without_a_copy_and_cannot_write(x):
    host = np.asarray(x)
    assert not host.flags.writeable and host.ctypes.data == x.unsafe_buffer_pointer()
    with pytest.raises(ValueError, match="read-only"):
        host[0] = 1
    own = np.array(x)
    own[0] = 99
    assert float(x.item(0)) == 0.0


def test_array_protocol(x):
    assert x.__array__().dtype == np.float32
    converted = np.asarray(x, dtype=np.int64)
    assert converted.dtype == np.int64 and converted.flags.writeable
    copied = x.__array__(copy=True)
    copied[:] = 0
    assert x.item(5) == 5.0
    with pytest.raises(ValueError, match="float32 cannot become int32 without a copy"):
        x.__array__(np.int32, copy=False)
    memory = memoryview(x)
    assert memory.readonly and memory.shape == (2, 3) and memory.format.endswith("f")


@pytest.mark.parametrize(
    "name",
    "bool int4 int8 int16 int32 uint4 uint8 uint16 uint32 float16 bfloat16 float32 complex64 float8_e4m3fn "
    "float8_e5m2 float8_e4m3b11fnuz float8_e4m3fnuz float8_e5m2fnuz float8_e3m4 float8_e4m3 float8_e8m0fnu "
    "float4_e2m1fn int2 uint2".split(),
)
def test_every_dtype_makes_the_round_trip(name):
    dtype = np.dtype(getattr(ml_dtypes, name)) if hasattr(ml_dtypes, name) else np.dtype(name)
    host = np.array([1, 1, 1, 1] if name == "float8_e8m0fnu" else [0, 1, 1, 0]).astype(dtype)
    array = to_device(host)
    assert array.dtype == dtype
    np.testing.assert_array_equal(np.asarray(array), host)
    assert f"dtype={name}" in repr(array)
    again = pickle.loads(pickle.dumps(array))
    assert again.dtype == dtype and np.array_equal(np.asarray(again), host)


@pytest.mark.parametrize("weak_type", [False, True])
def test_pickling_keeps_value_and_weak_type(weak_type):
    array = to_device(2.0) if weak_type else to_device(np.float32(2))
    again = pickle.loads(pickle.dumps(array))
    assert type(again) is ArrayImpl and again.weak_type is weak_type and float(again) == 2.0


def test_pickles_of_64_bit_arrays_are_exact():
    with config.enable_x64(True):
        array = to_device(np.array([2**40 + 1]))
        data = pickle.dumps(array)
        assert pickle.loads(data).dtype == np.int64
    assert pickle.loads(data).item() == 2**40 + 1


def test_copies_have_memory_of_their_own(x):
    for duplicate in (copy.copy(x), copy.deepcopy(x)):
        assert duplicate.unsafe_buffer_pointer() != x.unsafe_buffer_pointer()
        assert not duplicate.committed and duplicate.aval == x.aval
        np.testing.assert_array_equal(duplicate, np.asarray(x))
    tree = {"a": x, "b": [x]}
    duplicate = copy.deepcopy(tree)
    assert duplicate["a"] is duplicate["b"][0] and duplicate["a"] is not x
    moved = device_put(x, backend.devices()[1])
    assert copy.deepcopy(moved).committed and copy.deepcopy(moved).device is moved.device


def test_waiting_returns_the_array(x):
    assert x.block_until_ready() is x
    x.copy_to_host_async()
    np.testing.assert_array_equal(x, np.arange(6).reshape(2, 3))
