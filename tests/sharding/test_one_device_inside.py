"""Shardings on one device, given to `jit` or named inside of a program: where it runs, as observed from JAX."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter.sharding import NamedSharding, PartitionSpec as P, SingleDeviceSharding

X = np.arange(8, dtype=np.float32)
DEVICES = ct.devices()
MESH = ct.make_mesh((8,), ("x",), axis_types=(ct.sharding.AxisType.Auto,))


def on(i):
    return SingleDeviceSharding(DEVICES[i])


@pytest.mark.parametrize(
    "function",
    [
        lambda a: ct.device_put(a, on(1)) * 2,
        lambda a: ct.lax.with_sharding_constraint(a, on(1)) * 2,
        lambda a: ct.jit(lambda b: ct.device_put(b, on(1)))(a) * 2,
    ],
)
def test_a_program_runs_on_the_device_that_it_names(function):
    result = ct.jit(function)(X)
    assert result.device == DEVICES[1] and result.committed
    np.testing.assert_array_equal(result, 2 * X)
    with pytest.raises(ValueError, match=r"incompatible devices.*device ids \[1\].*device ids \[0\]"):
        ct.jit(function)(ct.device_put(X, DEVICES[0]))
    with pytest.raises(ValueError, match="incompatible devices"):
        ct.jit(function)(ct.device_put(X, NamedSharding(MESH, P("x"))))
    with pytest.raises(ValueError, match="incompatible devices"):
        ct.jit(function, out_shardings=on(2))(X)


def test_two_devices_inside_of_a_program_are_refused():
    with pytest.raises(ValueError, match="incompatible devices"):
        ct.jit(lambda a: ct.device_put(ct.device_put(a, on(1)) * 2, on(2)))(X)


def test_a_device_alone_says_nothing_inside_of_a_program():
    result = ct.jit(lambda a: ct.device_put(a, DEVICES[1]) * 2)(X)
    assert result.device == DEVICES[0] and not result.committed


@pytest.mark.parametrize("option", ["in_shardings", "out_shardings"])
def test_arrays_over_a_mesh_are_not_moved_to_one_device(option):
    step = ct.jit(lambda a: a * 2, **{option: on(1)})
    assert step(cnp.asarray(X)).device == DEVICES[1]
    with pytest.raises(ValueError, match="over 8 devices"):
        step(ct.device_put(X, NamedSharding(MESH, P("x"))))


def test_an_array_on_one_device_is_copied_to_where_a_whole_one_is_asked_for():
    step = ct.jit(lambda a: a * 2, in_shardings=NamedSharding(MESH, P()))
    result = step(ct.device_put(X, DEVICES[0]))
    assert result.sharding.device_set == set(DEVICES)
    np.testing.assert_array_equal(result, 2 * X)
    with pytest.raises(ValueError, match="does not match"):
        ct.jit(lambda a: a * 2, in_shardings=NamedSharding(MESH, P("x")))(ct.device_put(X, DEVICES[0]))
