"""Meshes of the eight virtual devices, and short names for shardings over them."""

from __future__ import annotations

import numpy as np

import canter as ct

P = ct.P


def mesh(shape=(4, 2), names=("x", "y"), types=None, reverse=False):
    devices = np.array(ct.devices()[: int(np.prod(shape))], object)
    return ct.sharding.Mesh((devices[::-1] if reverse else devices).reshape(shape), names, types)


def named(*entries, **options):
    return ct.NamedSharding(mesh(), P(*entries), **options)


def parts(array):
    """The value put together from what each device holds, and whether copies agree."""
    whole = np.full(array.shape, np.nan) if array.dtype.kind == "f" else np.zeros(array.shape, array.dtype)
    seen = {}
    for shard in array.addressable_shards:
        value = np.asarray(shard.data)
        assert shard.data.devices() == {shard.device}
        key = tuple((cut.start, cut.stop) for cut in shard.index)
        if key in seen:
            np.testing.assert_array_equal(seen[key], value)
        seen[key] = value
        whole[shard.index] = value
    return whole
