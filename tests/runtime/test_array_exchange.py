"""dlpack, both ways; values on the host."""

import sys

import numpy as np
import pytest

import canter.numpy as cnp
from canter.core.tracing import trace_to_jaxpr
from canter.runtime.array import ArrayImpl
from canter.runtime.backend import devices
from canter.runtime.device_put import device_put, to_device
from canter.runtime.dlpack import DLDeviceType, from_dlpack


def aligned(n, dtype=np.float32):
    raw = np.zeros(n * np.dtype(dtype).itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + n * np.dtype(dtype).itemsize].view(dtype)


@pytest.mark.smoke
def test_out_to_numpy_shares_memory():
    x = to_device(np.arange(6, dtype=np.float32).reshape(2, 3))
    assert x.__dlpack_device__() == (DLDeviceType.kDLCPU, 0)
    host = np.from_dlpack(x)
    assert host.ctypes.data == x.unsafe_buffer_pointer()
    np.testing.assert_array_equal(host, np.asarray(x))
    assert np.from_dlpack(device_put(x, devices()[4])).shape == (2, 3)


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "int32", "uint8", "uint32", "float16", "float32", "complex64"]
)
def test_round_trip(dtype):
    host = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    array = from_dlpack(to_device(host))
    assert type(array) is ArrayImpl and array.dtype == dtype and array.shape == (2, 3)
    np.testing.assert_array_equal(array, host)
    np.testing.assert_array_equal(from_dlpack(host), host)
    np.testing.assert_array_equal(np.from_dlpack(array), host)


def test_in_shares_aligned_memory_unless_told_not_to():
    host = aligned(4)
    assert from_dlpack(host).unsafe_buffer_pointer() == host.ctypes.data
    assert from_dlpack(host, copy=True).unsafe_buffer_pointer() != host.ctypes.data
    assert from_dlpack(host, copy=False).unsafe_buffer_pointer() == host.ctypes.data
    with pytest.raises((ValueError, BufferError), match=r"copy=False|copy"):
        from_dlpack(aligned(5)[1:], copy=False)


@pytest.mark.parametrize("view", [lambda x: x[::2], lambda x: x.reshape(2, 3).T, lambda x: x[::-1]])
def test_strided_data(view):
    host = view(np.arange(6, dtype=np.float32))
    np.testing.assert_array_equal(from_dlpack(host), host)


def test_wide_types_become_narrow_without_x64():
    array = from_dlpack(np.arange(3.0))
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, [0, 1, 2])


def test_to_a_device():
    device = devices()[3]
    array = from_dlpack(np.arange(3, dtype=np.int32), device=device)
    assert array.device is device
    np.testing.assert_array_equal(array, [0, 1, 2])
    with pytest.raises(ValueError, match="copy=False"):
        from_dlpack(aligned(4), device=device, copy=False)


@pytest.mark.parametrize("bad", [3, np.float32(1), [1.0], "text", object()])
def test_other_objects(bad):
    with pytest.raises(TypeError, match="__dlpack__"):
        from_dlpack(bad)


def test_tracer():
    def function(x):
        from_dlpack(x)

    with pytest.raises(TypeError, match="tracer"):
        trace_to_jaxpr(function, (to_device(1.0).aval,), name="function")


def test_asking_for_another_device_is_refused():
    x = to_device(np.arange(3))
    with pytest.raises(BufferError, match="device_put"):
        x.__dlpack__(dl_device=(2, 0))
    assert x.__dlpack__(copy=True) is not None


def test_reading_a_value_searches_for_no_module(monkeypatch):
    """jaxlib asks for a module of jax at each read; the search for it was dearer than all the rest."""
    wanted = []

    class Recorder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            wanted.append(name)

    x = cnp.arange(4)
    assert int(x[1]) == 1
    monkeypatch.setattr(sys, "meta_path", [Recorder, *sys.meta_path])
    assert (x + 1).tolist() == [1, 2, 3, 4] and int(x[2]) == 2
    assert np.asarray((x + 1).astype("bfloat16")).tolist() == [1, 2, 3, 4]
    assert wanted == []
