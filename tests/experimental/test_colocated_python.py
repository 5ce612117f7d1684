"""Python functions beside the devices of their arguments, which here are this process's."""

import types

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter.experimental import colocated_python as beside


@pytest.fixture
def x():
    return ct.device_put(np.arange(3.0, dtype=np.float32), ct.devices()[2])


@beside.colocated_python
def double(x):
    return 2 * x


def test_a_function_gets_arrays_where_they_lie(x):
    found = double(x)
    np.testing.assert_array_equal(found, [0, 2, 4])
    assert found.sharding == x.sharding
    mesh = ct.make_mesh((8,), ("a",), axis_types=(ct.sharding.AxisType.Auto,))
    y = ct.device_put(np.arange(8.0), ct.sharding.NamedSharding(mesh, ct.P("a")))

    @beside.colocated_python
    def both(y, *, k):
        return {"sum": y + k, "k": k}

    found = both(y, k=y)
    np.testing.assert_array_equal(found["sum"], 2 * np.arange(8.0))
    assert found["k"].sharding == y.sharding
    with pytest.raises(ValueError, match="same device list"):
        both(x, k=y)


def test_what_is_no_array(x):
    for value in (np.ones(3), 2.0):
        with pytest.raises(ValueError, match="as input"):
            double(value)
    with pytest.raises(ValueError, match="as output"):
        beside.colocated_python(np.asarray)(x)
    with pytest.raises(ValueError, match="pure_callback"):
        ct.jit(double)(x)
    with pytest.raises(KeyError, match="mine"):
        beside.colocated_python(lambda x: {}["mine"])(x)


def test_what_is_known_of_calls(x):
    make = beside.colocated_python(lambda: cnp.ones(2))
    with pytest.raises(ValueError, match="No devices found"):
        make()
    known = make.specialize(devices=ct.devices()[:1])
    np.testing.assert_array_equal(known(), [1, 1])
    with pytest.raises(ValueError, match="already specified"):
        known.specialize(devices=ct.devices()[:1])
    there = ct.sharding.SingleDeviceSharding(ct.devices()[5])
    moved = double.specialize(
        in_specs=((ct.ShapeDtypeStruct((3,), np.float32),), {}),
        out_specs_fn=lambda x: ct.ShapeDtypeStruct(x.shape, x.dtype, sharding=there),
    )
    assert moved(x).sharding == there
    with pytest.raises(ValueError, match="in_specs says"):
        moved(x[:2])
    with pytest.raises(ValueError, match="out_specs_fn says"):
        double.specialize(out_specs_fn=lambda x: ct.ShapeDtypeStruct((4,), x.dtype))(x)


def test_an_object_is_made_by_its_first_call(x):
    made = []

    @beside.colocated_python_class
    class Counter:
        def __init__(self, start):
            made.append(start)
            self.count = start

        def add(self, x):
            self.count += 1
            return x + self.count

    counter = Counter(1)
    assert made == [] and Counter.__name__ == "Counter"
    np.testing.assert_array_equal(counter.add(x), [2, 3, 4])
    np.testing.assert_array_equal(counter.add(x), [3, 4, 5])
    assert made == [1] and not hasattr(counter, "count")


def test_devices_that_are_not_this_processs():
    assert beside.colocated_cpu_devices(ct.devices()) == ct.devices()
    mesh = ct.make_mesh((8,), ("a",))
    assert beside.colocated_cpu_devices(mesh) is mesh
    far = types.SimpleNamespace(platform="cpu", process_index=1)
    near = types.SimpleNamespace(platform="tpu", process_index=0)
    for device in (far, near):
        with pytest.raises(NotImplementedError, match="this process's CPU only"):
            beside.colocated_cpu_devices([device])
