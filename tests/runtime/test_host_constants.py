"""Small constants are made on the host first: the same arrays, and no program for each shape."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.core import config
from canter.runtime import host_constants
from canter_pjrt import compile as compiler


@pytest.fixture
def compiles(monkeypatch):
    names = []
    original = compiler.compile_or_load

    def spy(*args, **kwargs):
        names.append(kwargs["name"])
        return original(*args, **kwargs)

    monkeypatch.setattr(compiler, "compile_or_load", spy)
    return names


@pytest.mark.parametrize(
    "dtype", [np.bool_, np.int8, np.uint32, np.float16, cnp.bfloat16, np.float32, np.complex64]
)
def test_values_and_types_are_those_of_numpy(dtype, compiles):
    def check(shape):
        for made, name in ((cnp.zeros, "zeros"), (cnp.ones, "ones")):
            found = made(shape, dtype)
            assert found.dtype == dtype and not found.weak_type and not found.committed
            np.testing.assert_array_equal(np.asarray(found), getattr(np, name)(shape, dtype), strict=True)
        np.testing.assert_array_equal(np.asarray(cnp.ones_like(found)), np.ones(shape, dtype))

    for shape in ((3, 71), (0, 71), (2, 1, 73)):  # which no other test makes
        check(shape)
    np.testing.assert_array_equal(np.asarray(lax.full((2, 75), 1, dtype)), np.ones((2, 75), dtype))
    assert compiles == []
    for shape in ((1,), ()):
        check(shape)


@pytest.mark.parametrize("dimension", [0, 1])
def test_counting(dimension, compiles):
    found = lax.broadcasted_iota(np.float32, (3, 11), dimension)
    np.testing.assert_array_equal(found, np.indices((3, 11))[dimension].astype(np.float32))
    assert found.dtype == np.float32 and compiles == []
    for dtype in (np.int8, np.float32, cnp.bfloat16):
        np.testing.assert_array_equal(np.asarray(cnp.arange(41, dtype=dtype)), np.arange(41).astype(dtype))
    assert cnp.arange(41).dtype == np.int32 and compiles == []


def test_a_python_number_stays_weak(compiles):
    found = lax.full((2, 13), 2.5)
    assert found.weak_type and found.dtype == np.float32 and compiles == []
    assert (found * cnp.bfloat16(2)).dtype == cnp.bfloat16


def test_what_is_made_often_or_is_large_is_compiled(compiles):
    for _ in range(host_constants._FEW):
        cnp.zeros((2, 17))
    assert compiles == []
    assert cnp.zeros((2, 17)).shape == (2, 17)
    assert len(compiles) == 1
    cnp.zeros((64, 65))
    assert len(compiles) == 2


def test_inside_of_a_trace_nothing_is_made():
    assert "broadcast_in_dim" in str(ct.make_jaxpr(lambda: cnp.zeros((2, 19)))())
    np.testing.assert_array_equal(ct.jit(lambda x: x + lax.iota(np.float32, 3))(1.0), [1, 2, 3])
    np.testing.assert_array_equal(ct.vmap(lambda x: x + cnp.ones((2, 19))[0, 0])(np.zeros(2)), [1, 1])


def test_each_is_an_array_of_its_own():
    first = cnp.zeros((2, 23))
    ct.jit(lambda x: x + 1, donate_argnums=0)(first)
    assert first.is_deleted()
    np.testing.assert_array_equal(cnp.zeros((2, 23)), np.zeros((2, 23)))


def test_checks_and_refusals_hold(compiles):
    with config.debug_nans(True), pytest.raises(FloatingPointError):
        lax.full((2, 29), np.nan)
    with config.no_execution(True), pytest.raises(RuntimeError, match="no_execution"):
        cnp.ones((2, 29))
    assert compiles
    with ct.transfer_guard("disallow"):
        np.testing.assert_array_equal(np.asarray(cnp.ones((2, 37))), np.ones((2, 37)))


def test_on_the_device_that_is_chosen():
    with config.default_device(ct.devices()[0]):
        assert cnp.zeros((2, 31)).devices() == {ct.devices()[0]}


def test_arrays_that_are_filled_for_a_device_are_not_weak():
    device = ct.devices()[0]
    assert not cnp.full((2,), 2.5, device=device).weak_type
    assert not lax.full((2,), 2.5, sharding=ct.sharding.SingleDeviceSharding(device)).weak_type
    with pytest.raises(TypeError, match="complex"):
        cnp.full((2,), 1 + 2j, cnp.float32)
    assert cnp.full((2,), 1 + 2j).dtype == np.complex64


@pytest.mark.parametrize("dtype", [np.float16, cnp.bfloat16])
def test_steps_of_narrow_numbers_are_rounded_once(dtype):
    found = np.asarray(cnp.arange(0.0, 10.0, 0.3, dtype))
    np.testing.assert_array_equal(found, np.arange(0.0, 10.0, 0.3).astype(dtype))
