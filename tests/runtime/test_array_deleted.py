"""Use of arrays that were deleted or donated: always one clear error, never the end of the process."""

import copy
import pickle

import numpy as np
import pytest

from canter import lax
from canter.runtime.backend import devices, live_arrays
from canter.runtime.device_put import block_until_ready, device_get, device_put, to_device
from canter.runtime.jit import jit

USES = {
    "asarray": np.asarray,
    "item": lambda x: x.item(0),
    "tolist": lambda x: x.tolist(),
    "bool": bool,
    "iter": iter,
    "wait": lambda x: x.block_until_ready(),
    "wait for a tree": lambda x: block_until_ready([x, to_device(1.0)]),
    "copy to host": lambda x: x.copy_to_host_async(),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": pickle.dumps,
    "platform": lambda x: x.platform(),
    "is_ready": lambda x: x.is_ready(),
    "clone": lambda x: x.clone(),
    "size": lambda x: x.on_device_size_in_bytes(),
    "pointer": lambda x: x.unsafe_buffer_pointer(),
    "layout": lambda x: x._pjrt_layout,
    "shards": lambda x: x.addressable_shards,
    "data": lambda x: x.addressable_data(0),
    "put": device_put,
    "put elsewhere": lambda x: device_put(x, devices()[1]),
    "get": device_get,
    "dlpack": np.from_dlpack,
    "jit": lambda x: jit(lambda y: lax.mul(y, 3.0))(x),
}


@pytest.mark.parametrize("use", USES)
def test_use_after_delete_says_where_it_was_deleted(use):
    x = to_device(np.arange(3, dtype=np.float32))
    x.delete()
    with pytest.raises(
        RuntimeError, match=r"deleted with shape=float32\[3\].*delete\(\).*test_array_deleted.py:"
    ):
        USES[use](x)


@pytest.mark.parametrize("use", USES)
def test_use_after_donation_says_what_took_it(use):
    x = to_device(np.arange(3, dtype=np.float32))

    def consume(state):
        return lax.add(state, 1.0)

    jit(consume, donate_argnums=0)(x).block_until_ready()
    assert x.is_deleted()
    with pytest.raises(RuntimeError) as caught:
        USES[use](x)
    message = str(caught.value)
    assert "shape=float32[3]" in message and "donated" in message and "x.copy()" in message
    assert "consume" in message


def test_text_of_a_deleted_array_does_not_raise():
    x = to_device(np.arange(3))
    x.delete()
    x.delete()
    assert repr(x) == str(x) == "<deleted Array i32[3]>"
    assert x.shape == (3,) and x.dtype == np.int32 and x.is_deleted()


def test_views_outlive_the_array():
    x = to_device(np.arange(3))
    views = [np.asarray(x), np.from_dlpack(x), np.asarray(memoryview(x))]
    x.delete()
    for view in views:
        np.testing.assert_array_equal(view, [0, 1, 2])


def test_donation_does_not_change_a_view():
    x = to_device(np.arange(3, dtype=np.float32))
    view = np.asarray(x)
    y = jit(lambda x: lax.add(x, 1.0), donate_argnums=0)(x)
    np.testing.assert_array_equal(view, [0, 1, 2])
    np.testing.assert_array_equal(y, [1, 2, 3])


def test_deleted_arrays_are_not_live():
    x = to_device(np.arange(3))
    assert any(y is x for y in live_arrays())
    x.delete()
    assert not any(y is x for y in live_arrays())
